//! LiteLLM itself, with this service as its guardrail. `SAFEGUARD_TEST_LITELLM` names its program.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use reqwest::blocking::Client;
use serde_json::{Value, json};

use crate::guard::Words;
use crate::running::{Running, ads, settings};

const KEY: &str = "sk-9b1de3a7c0f84e52a6d7f3b81c5e204796af";

/// LiteLLM before two models that always say the same; stopped when dropped.
struct Proxy {
    url: String,
    http: Client,
    child: Child,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Proxy {
    fn start(program: &str, guardrail: &Running) -> Proxy {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config.yaml");
        let model = |name: &str, says: &str| {
            let params = json!({ "model": "openai/x", "api_key": "none", "mock_response": says });
            json!({ "model_name": name, "litellm_params": params })
        };
        let params = json!({
            "guardrail": "generic_guardrail_api", "mode": ["pre_call", "post_call"], "default_on": true,
            "api_base": guardrail.url,
        });
        // JSON is YAML.
        let text = json!({
            "model_list": [model("fine", "all is well"), model("bad", "a BAD reply")],
            "guardrails": [{ "guardrail_name": "safeguard", "litellm_params": params }],
        });
        std::fs::write(&config, text.to_string()).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(program);
        command.args(["--host", "127.0.0.1", "--telemetry", "False", "--config"]).arg(&config);
        command.args(["--port", &port.to_string()]).env("LITELLM_MASTER_KEY", KEY);
        command.env("LITELLM_LOCAL_MODEL_COST_MAP", "True").stdout(Stdio::null());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let is_up =
            lines.by_ref().map_while(Result::ok).any(|line| line.contains("Uvicorn running"));
        assert!(is_up, "LiteLLM starts");
        // It must never wait for somebody to read.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let http = guardrail.http.clone();
        Proxy { url: format!("http://127.0.0.1:{port}"), http, child }
    }

    fn ask(&self, model: &str, says: &str, stream: bool) -> (u16, String) {
        let messages = json!([{ "role": "user", "content": says }]);
        let body = json!({ "model": model, "messages": messages, "stream": stream });
        let request = self.http.post(format!("{}/v1/chat/completions", self.url));
        let response = request.bearer_auth(KEY).json(&body).send().unwrap();
        (response.status().as_u16(), response.text().unwrap())
    }
}

#[test]
fn it_asks_before_and_after_its_models() {
    let Ok(program) = std::env::var("SAFEGUARD_TEST_LITELLM") else {
        eprintln!("SKIPPED: SAFEGUARD_TEST_LITELLM names no LiteLLM");
        return;
    };
    let service = Running::start(settings(), Arc::new(Words), ads());
    let proxy = Proxy::start(&program, &service);
    let (status, reply) = proxy.ask("fine", "hello", false);
    assert_eq!(status, 200, "{reply}");
    let reply: Value = serde_json::from_str(&reply).unwrap();
    assert_eq!(reply["choices"][0]["message"]["content"], "all is well");
    for (model, says) in [("fine", "this is BAD"), ("bad", "hello"), ("fine", "this is ODD")] {
        let (status, reply) = proxy.ask(model, says, false);
        assert!((400..500).contains(&status), "{model} {says}: {status} {reply}");
        assert!(
            reply.contains("under policy ads") || reply.contains("violates policy ads"),
            "{reply}"
        );
        assert!(!reply.contains("a BAD reply") && !reply.contains("all is well"), "{reply}");
    }
    let (_, reply) = proxy.ask("fine", "this is BAD", true);
    assert!(reply.contains("violates policy ads") && !reply.contains("all is well"), "{reply}");
}
