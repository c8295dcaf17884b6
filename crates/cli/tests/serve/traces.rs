//! Traces as a collector gets them: OTLP over HTTP, read here field by field.

use std::net::SocketAddr;
use std::sync::mpsc;

use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use serde_json::json;

use crate::{Service, client};

/// A span, as far as it is looked at.
#[derive(Debug)]
struct Span {
    trace: Vec<u8>,
    id: Vec<u8>,
    parent: Vec<u8>,
    name: String,
}

/// The fields of a protobuf message whose values are bytes.
fn fields(mut message: &[u8]) -> Vec<(u64, &[u8])> {
    fn number(message: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = message[0];
            *message = &message[1..];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    }
    let mut fields = Vec::new();
    while !message.is_empty() {
        let key = number(&mut message);
        let len = match key & 7 {
            0 => {
                number(&mut message);
                0
            }
            1 => 8,
            5 => 4,
            _ => number(&mut message) as usize,
        };
        if key & 7 == 2 {
            fields.push((key >> 3, &message[..len]));
        }
        message = &message[len..];
    }
    fields
}

fn children(message: &[u8], number: u64) -> Vec<&[u8]> {
    fields(message).into_iter().filter(|it| it.0 == number).map(|it| it.1).collect()
}

/// The spans of an export: resource spans, in them scope spans, in them spans.
fn spans(export: &[u8]) -> Vec<Span> {
    let scopes = children(export, 1).into_iter().flat_map(|resource| children(resource, 2));
    let spans = scopes.flat_map(|scope| children(scope, 2));
    let span = |span: &[u8]| {
        let field = |number| children(span, number).first().map_or_else(Vec::new, |it| it.to_vec());
        Span {
            trace: field(1),
            id: field(2),
            parent: field(4),
            name: String::from_utf8(field(5)).unwrap(),
        }
    };
    spans.map(span).collect()
}

async fn take(State(sender): State<mpsc::Sender<Bytes>>, body: Bytes) {
    sender.send(body).unwrap();
}

/// A collector, and the exports that it got.
struct Collector {
    runtime: tokio::runtime::Runtime,
    url: String,
    exports: mpsc::Receiver<Bytes>,
}

impl Collector {
    fn start() -> Collector {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (sender, exports) = mpsc::channel();
        let router = axum::Router::new().route("/v1/traces", post(take)).with_state(sender);
        let url = serve(&runtime, router);
        Collector { runtime, url, exports }
    }

    /// The spans of a service, which are sent when it stops.
    fn spans(&self, service: Service) -> Vec<Span> {
        let (ended_well, log) = service.stop();
        assert!(ended_well, "{log}");
        let exports: Vec<Bytes> = self.exports.try_iter().collect();
        let has_content = |export: &Bytes| export.windows(8).any(|window| window == b"cinnabar");
        assert!(!exports.is_empty() && !exports.iter().any(has_content));
        exports.iter().flat_map(|export| spans(export)).collect()
    }
}

/// Serves on a port of its own; where.
fn serve(runtime: &tokio::runtime::Runtime, router: axum::Router) -> String {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = runtime.block_on(tokio::net::TcpListener::bind(any)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    runtime.spawn(async move { axum::serve(listener, router).await });
    url
}

#[test]
fn a_request_is_traced_from_reading_to_record_without_its_content() {
    let collector = Collector::start();
    let folder = tempfile::tempdir().unwrap();
    let settings = format!("[serve.traces]\nendpoint = \"{}\"\n", collector.url);
    std::fs::write(folder.path().join("safeguard.toml"), settings).unwrap();
    let service = Service::start(folder.path(), &[]);
    let policy = json!({ "name": "cinnabar-name", "text": "No cinnabar." });
    let body = json!({ "items": ["cinnabar"], "policies": ["ads", policy] });
    let request = client().post(format!("{}/v1/classify?q=cinnabar", service.url));
    let reply = request.bearer_auth("cinnabar-key").json(&body).send().unwrap();
    assert!(reply.status().is_success());
    reply.text().unwrap();
    let spans = collector.spans(service);
    let root = spans.iter().find(|span| span.name == "request").unwrap();
    assert!(root.parent.is_empty());
    for (name, n_spans) in [("read", 1), ("queue", 2), ("judge", 2), ("record", 2)] {
        let named: Vec<&Span> = spans.iter().filter(|span| span.name == name).collect();
        assert_eq!(named.len(), n_spans, "{name}: {spans:?}");
        for span in named {
            assert_eq!((&span.trace, &span.parent), (&root.trace, &root.id), "{span:?}");
        }
    }
}

/// Digits as the headers and the spans of a test have them.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_callers_trace_goes_on_here_and_at_the_guarded_model() {
    let collector = Collector::start();
    let (sender, asked) = mpsc::channel();
    let model = move |headers: axum::http::HeaderMap| {
        let parent = headers["traceparent"].to_str().unwrap().to_owned();
        sender.send(parent).unwrap();
        let message = json!({ "role": "assistant", "content": "cinnabar" });
        let choice = json!({ "index": 0, "message": message, "finish_reason": "stop" });
        std::future::ready(axum::Json(json!({ "id": "c", "choices": [choice] })))
    };
    let router = axum::Router::new().route("/v1/chat/completions", post(model));
    let upstream = serve(&collector.runtime, router);
    let folder = tempfile::tempdir().unwrap();
    let settings = format!(
        "[serve.traces]\nendpoint = \"{}\"\n[serve.guard]\nupstream = \"{upstream}\"\nmode = \"score\"\n",
        collector.url
    );
    std::fs::write(folder.path().join("safeguard.toml"), settings).unwrap();
    let service = Service::start(folder.path(), &[]);
    let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let messages = json!([{ "role": "user", "content": "cinnabar" }]);
    for parent in [format!("00-{trace}-{span}-01"), format!("00-{trace}-{span}-x")] {
        let request = client().post(format!("{}/v1/chat/completions", service.url));
        let request = request.header("traceparent", parent);
        let reply = request.json(&json!({ "model": "other", "messages": messages })).send();
        assert!(reply.unwrap().status().is_success());
    }
    let asked: Vec<String> = asked.try_iter().collect();
    let spans = collector.spans(service);
    let roots: Vec<&Span> = spans.iter().filter(|span| span.name == "request").collect();
    let is_ours = |root: &&&Span| hex(&root.trace) == trace;
    let ours = roots.iter().find(is_ours).unwrap();
    assert_eq!(hex(&ours.parent), span);
    let other = roots.iter().find(|root| !is_ours(root)).expect("a trace of its own");
    assert!(other.parent.is_empty(), "what is no trace is not continued");
    for (root, asked) in [(ours, &asked[0]), (other, &asked[1])] {
        assert_eq!(*asked, format!("00-{}-{}-01", hex(&root.trace), hex(&root.id)));
        let judged = spans.iter().filter(|it| it.name == "judge" && it.trace == root.trace);
        assert_eq!(judged.count(), 2, "the request and the reply");
    }
}
