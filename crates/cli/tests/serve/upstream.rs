//! Another chat model's server, for the guard to stand before: it says the same words at every request, piece by
//! piece, with a pause before each.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::serve::ListenerExt;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

/// Pieces of a reply.
pub(crate) const N_PIECES: usize = 40;

/// All that it says: no check should find anything in it, but what is found is the judge's word.
pub(crate) fn reply() -> String {
    (0..N_PIECES).map(piece).collect()
}

fn piece(number: usize) -> String {
    format!("In my garden, row {number} has beans. ")
}

/// Serves on a port of its own until the test's process ends.
pub(crate) fn start(pause: Duration) -> String {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = runtime.block_on(tokio::net::TcpListener::bind(any)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = axum::Router::new().route("/v1/chat/completions", post(complete));
    let router = router.with_state(pause);
    // A piece leaves at once, not when its reader has said that the piece before it came.
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
    std::thread::spawn(move || runtime.block_on(async { axum::serve(listener, router).await }));
    url
}

async fn complete(State(pause): State<Duration>, axum::Json(body): axum::Json<Value>) -> Response {
    if body["stream"] != true {
        tokio::time::sleep(pause * N_PIECES as u32).await;
        let message = json!({ "role": "assistant", "content": reply() });
        let choice = json!({ "index": 0, "message": message, "finish_reason": "stop" });
        return axum::Json(json!({ "id": "c", "object": "chat.completion", "created": 7, "model": "m", "choices": [choice] })).into_response();
    }
    let said =
        (0..N_PIECES).map(|number| event(&json!({ "content": piece(number) }), &Value::Null));
    let end = event(&json!({}), &"stop".into()) + "data: [DONE]\n\n";
    let events: Vec<String> = said.chain([end]).collect();
    let events = stream::iter(events).then(move |event| async move {
        tokio::time::sleep(pause).await;
        Ok::<_, std::io::Error>(Bytes::from(event))
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(events)).into_response()
}

fn event(delta: &Value, finish: &Value) -> String {
    let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish });
    let chunk = json!({ "id": "c", "object": "chat.completion.chunk", "created": 7, "model": "m", "choices": [choice] });
    format!("data: {chunk}\n\n")
}
