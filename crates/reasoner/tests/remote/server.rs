//! A chat server on this machine that says what it is told to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, header};
use axum::routing::{get, post};
use futures_util::stream::{self, Stream};
use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpListener;

/// Longer than anything that a client reads.
const OVERSIZED: usize = 33 << 20;

/// One reply.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Reply {
    /// 0 is 200.
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    /// JSON, or in place of it:
    pub(crate) body: Value,
    pub(crate) text: Option<String>,
    /// Never answers.
    pub(crate) hangs: bool,
    /// Ends the connection inside the body.
    pub(crate) breaks: bool,
    /// Goes on and on.
    pub(crate) oversized: bool,
    /// The same, byte by byte.
    pub(crate) drips: bool,
}

/// A request for a completion as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) body: Value,
    pub(crate) authorization: Option<String>,
}

/// The server; it stops when dropped.
pub(crate) struct ChatServer {
    pub(crate) url: String,
    inner: Arc<Inner>,
    _runtime: tokio::runtime::Runtime,
}

struct Inner {
    models: Reply,
    /// The last one is repeated.
    replies: Mutex<VecDeque<Reply>>,
    seen: Mutex<Vec<Seen>>,
    /// Told whenever a connection begins to hang, and when its client closes it.
    hung: Mutex<mpsc::Receiver<Hung>>,
    hangs: mpsc::Sender<Hung>,
}

impl ChatServer {
    pub(crate) fn start(models: Reply, replies: Vec<Reply>) -> ChatServer {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (hangs, hung) = mpsc::channel();
        let (replies, hung) = (Mutex::new(replies.into()), Mutex::new(hung));
        let inner = Arc::new(Inner { models, replies, seen: Mutex::default(), hung, hangs });
        let routes = Router::new()
            .route("/v1/models", get(models_route))
            .route("/v1/chat/completions", post(chat_route))
            .with_state(Arc::clone(&inner));
        runtime.spawn(async move { axum::serve(listener, routes).await });
        ChatServer { url, inner, _runtime: runtime }
    }

    pub(crate) fn set_reply(&self, reply: Reply) {
        *self.inner.replies.lock().unwrap() = VecDeque::from([reply]);
    }

    /// Waits for the next news of a connection that hangs.
    pub(crate) fn next_hung(&self) -> Hung {
        self.inner.hung.lock().unwrap().recv().unwrap()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.inner.seen.lock().unwrap().clone()
    }
}

async fn models_route(State(inner): State<Arc<Inner>>) -> Response<Body> {
    respond(inner.models.clone(), &inner.hangs).await
}

async fn chat_route(
    State(inner): State<Arc<Inner>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let authorization = headers.get(header::AUTHORIZATION).map(|v| v.to_str().unwrap().to_owned());
    let body = serde_json::from_slice(&body).unwrap();
    inner.seen.lock().unwrap().push(Seen { body, authorization });
    let reply = {
        let mut replies = inner.replies.lock().unwrap();
        if replies.len() > 1 { replies.pop_front().unwrap() } else { replies[0].clone() }
    };
    respond(reply, &inner.hangs).await
}

/// News of a connection that hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hung {
    Begun,
    Closed,
}

/// Tells when it is dropped.
struct Hanging<'a>(&'a mpsc::Sender<Hung>);

impl Drop for Hanging<'_> {
    fn drop(&mut self) {
        // The test may have ended.
        let _ = self.0.send(Hung::Closed);
    }
}

async fn respond(reply: Reply, hangs: &mpsc::Sender<Hung>) -> Response<Body> {
    if reply.hangs {
        // The test may have ended.
        let _ = hangs.send(Hung::Begun);
        let _hanging = Hanging(hangs);
        std::future::pending::<()>().await;
    }
    let mut response = Response::builder().status(reply.status.max(200));
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    let text = reply.text.unwrap_or_else(|| reply.body.to_string());
    let body = if reply.oversized {
        Body::from(vec![b' '; OVERSIZED])
    } else if reply.drips {
        Body::from_stream(drops())
    } else if reply.breaks {
        Body::from_stream(broken_after(text))
    } else {
        Body::from(text)
    };
    response.body(body).unwrap()
}

/// A body that ends with a broken connection.
fn broken_after(text: String) -> impl Stream<Item = std::io::Result<Bytes>> {
    stream::unfold(Some(text), |text| async {
        if let Some(text) = text {
            return Some((Ok(Bytes::from(text)), None));
        }
        // The text must be on its way before the connection breaks.
        tokio::time::sleep(Duration::from_millis(50)).await;
        Some((Err(std::io::Error::other("broken")), None))
    })
}

/// A body without end that is never silent for long.
fn drops() -> impl Stream<Item = std::io::Result<Bytes>> {
    stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Some((Ok(Bytes::from_static(b" ")), ()))
    })
}
