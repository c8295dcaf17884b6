//! `safeguard classify --model URL` as people run it, against a small chat server on this machine.

#![expect(clippy::unwrap_used, reason = "what a test's own server does must work")]

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const KEY: &str = "sk-a-secret-key";
const POLICY: &str = "policies/game-cheating/policy.md";
const TEXT: &str = "Ranked account for sale, middleman welcome";

/// A server with one model that wants a key and answers always the same.
struct ChatServer {
    url: String,
    seen: Arc<Mutex<Vec<Value>>>,
    _runtime: tokio::runtime::Runtime,
}

impl ChatServer {
    fn start(content: &str) -> ChatServer {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let message = json!({ "content": content, "reasoning": "It offers\u{1b}[2J an account." });
        let completion = json!({
            "choices": [{ "message": message, "finish_reason": "stop" }],
            "usage": { "prompt_tokens": 2000, "completion_tokens": 60 },
        });
        let chat = move |State(seen): State<Arc<Mutex<Vec<Value>>>>, Json(body): Json<Value>| {
            seen.lock().unwrap().push(body);
            std::future::ready(Json(completion.clone()))
        };
        let routes = Router::new()
            .route("/v1/models", get(models))
            .route("/v1/chat/completions", post(chat))
            .with_state(Arc::clone(&seen));
        runtime.spawn(async move { axum::serve(listener, routes).await });
        ChatServer { url, seen, _runtime: runtime }
    }
}

async fn models(headers: HeaderMap) -> Result<Json<Value>, StatusCode> {
    let key = headers.get("authorization").and_then(|value| value.to_str().ok());
    if key != Some(&format!("Bearer {KEY}")) {
        return Err(StatusCode::UNAUTHORIZED);
    }
    Ok(Json(json!({ "data": [{ "id": "gpt-oss-safeguard-20b", "owned_by": "vllm" }] })))
}

/// How a run of the program ended.
struct Run {
    code: i32,
    out: String,
    err: String,
}

fn classify(key: Option<&str>, args: &[&str]) -> Run {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut command = Command::new(env!("CARGO_BIN_EXE_safeguard"));
    command.current_dir(root).env_clear().envs(key.map(|key| ("SAFEGUARD_API_KEY", key)));
    let output = command.arg("classify").args(["-p", POLICY]).args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap();
    let run = Run { code, out: text(output.stdout), err: text(output.stderr) };
    assert!(!run.err.contains(KEY) && !run.out.contains(KEY), "the key is shown");
    run
}

fn verdict(violation: u8, label: &str) -> String {
    json!({ "violation": violation, "label": label, "rule_ids": [label], "confidence": "high", "rationale": "r" })
        .to_string()
}

#[test]
fn a_servers_verdict_is_shown_like_any_other() {
    let server = ChatServer::start(&verdict(1, "CH3"));
    let args = ["--model", &server.url, TEXT];
    let run = classify(Some(KEY), &[&args[..], &["--format", "json"]].concat());
    assert_eq!((run.code, run.err.as_str()), (1, ""), "{}", run.err);
    let found: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((&found["outcome"], &found["label"]), (&json!("violation"), &json!("CH3")));
    assert_eq!(
        (&found["score"], &found["score_method"], &found["model"]),
        (&Value::Null, &json!("none"), &json!("gpt-oss-safeguard-20b"))
    );
    let run = classify(Some(KEY), &args);
    assert!(run.out.contains("violation") && run.out.contains("CH3"), "{}", run.out);
    assert!(run.out.contains("It offers[2J an account."), "a server moves no cursor: {}", run.out);
    let clear = ChatServer::start(&verdict(0, "CH0"));
    assert_eq!(classify(Some(KEY), &["--model", &clear.url, TEXT]).code, 0);
    let strange = ChatServer::start(&verdict(0, "CH3"));
    let run = classify(Some(KEY), &["--model", &strange.url, TEXT]);
    assert_eq!(run.code, 2);
    assert!(run.out.contains("undetermined (unknown rule)"), "{}", run.out);
}

#[test]
fn flags_reach_the_server() {
    let server = ChatServer::start(&verdict(1, "CH3"));
    let url = format!("{}/v1/", server.url);
    let named =
        ["--served-model", "gpt-oss-safeguard-20b", "--server", "ollama", "--effort", "high"];
    let run = classify(Some(KEY), &[&["--model", url.as_str(), TEXT][..], &named].concat());
    assert_eq!(run.code, 1, "{}", run.err);
    let seen = server.seen.lock().unwrap();
    let request = seen.first().unwrap();
    assert_eq!(request["messages"][0]["role"], "system");
    assert_eq!(request["reasoning_effort"], "high");
    assert!(request.get("response_format").is_none());
    assert!(request["messages"][1]["content"].as_str().unwrap().contains(TEXT));
}

#[test]
fn what_cannot_be_done_is_said_with_a_hint() {
    let server = ChatServer::start("");
    let url = server.url.as_str();
    for (key, args, error, hint) in [
        (None, &["--model", url][..], "(401)", "put the server's key into SAFEGUARD_API_KEY"),
        (Some("sk-other"), &["--model", url], "(401)", "is the key in SAFEGUARD_API_KEY right?"),
        (
            Some(KEY),
            &["--model", url, "--served-model", "x"],
            "has no model \"x\"",
            "--served-model",
        ),
        (None, &["--model", "http://127.0.0.1:9"], "127.0.0.1:9 cannot be reached", "started"),
        (None, &["--model", "http://a:b@h"], "no address of a server", "http://127.0.0.1:8000"),
        (Some("a\nb"), &["--model", url], "cannot be sent", "SAFEGUARD_API_KEY"),
        (None, &["--server", "vllm"], "for a chat server", "--model"),
    ] {
        let run = classify(key, &[args, &[TEXT]].concat());
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{}", run.err);
        assert!(run.err.contains(error) && run.err.contains(hint), "{}", run.err);
    }
    assert!(server.seen.lock().unwrap().is_empty());
}
