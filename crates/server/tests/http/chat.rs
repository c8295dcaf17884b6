//! The judge as a chat model: whole and in pieces it says the same.

use policy::JudgeSettings;
use serde_json::{Value, json};

use crate::running::{ADS, Running, ads, builtin, judging, settings, start};

fn question() -> Value {
    json!({
        "model": "safeguard",
        "messages": [{ "role": "developer", "content": ADS }, { "role": "user", "content": [{ "type": "text", "text": "Buy now!" }] }],
        "logprobs": true, "top_logprobs": 5, "max_completion_tokens": 20, "reasoning_effort": "low",
    })
}

/// The chunks of a reply in pieces, and whether it ended with `[DONE]`.
fn chunks(service: &Running, question: &Value) -> (Vec<Value>, bool) {
    let response = service.post("/v1/chat/completions", question);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let text = response.text().unwrap();
    let lines: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    let is_done = lines.last() == Some(&"[DONE]");
    let chunks = lines.iter().filter(|line| **line != "[DONE]");
    (chunks.map(|line| serde_json::from_str(line).unwrap()).collect(), is_done)
}

#[test]
fn a_service_that_scores_directly_says_the_digit_and_its_probability() {
    let judging = JudgeSettings { direct: true, ..judging() };
    let service = Running::start_judging(settings(), builtin(), ads(), judging);
    let whole = service.ask("/v1/chat/completions", &question());
    let choice = &whole["choices"][0];
    let content = choice["message"]["content"].as_str().unwrap();
    assert!([r#"{"violation":0}"#, r#"{"violation":1}"#].contains(&content), "{content}");
    let tokens = choice["logprobs"]["content"].as_array().unwrap();
    let text: String = tokens.iter().map(|it| it["token"].as_str().unwrap()).collect();
    assert_eq!(text, content);
    assert_eq!(tokens[1]["top_logprobs"].as_array().unwrap().len(), 2);
    assert_eq!(whole["usage"]["completion_tokens"], 1);
}

#[test]
fn pieces_add_up_to_the_whole() {
    let service = start();
    let whole = service.ask("/v1/chat/completions", &question());
    let choice = &whole["choices"][0];
    let content = choice["message"]["content"].as_str().unwrap();
    let verdict: Value = serde_json::from_str(content).expect("the verdict's JSON");
    assert!(verdict["violation"] == 0 || verdict["violation"] == 1);
    assert_eq!(choice["finish_reason"], "stop");
    let tokens = choice["logprobs"]["content"].as_array().unwrap();
    let text: String = tokens.iter().map(|it| it["token"].as_str().unwrap()).collect();
    assert_eq!(text, content);
    let decided =
        tokens.iter().find(|it| it["top_logprobs"].as_array().unwrap().len() == 2).unwrap();
    let sum: f64 = decided["top_logprobs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["logprob"].as_f64().unwrap().exp())
        .sum();
    assert!(
        (sum - 1.0).abs() < 1e-3,
        "the verdict's two tokens are all that was allowed: {decided}"
    );

    let mut streamed = question();
    streamed["stream"] = true.into();
    streamed["stream_options"] = json!({ "include_usage": true });
    let (chunks, is_done) = chunks(&service, &streamed);
    let join = |field: &str| -> String {
        chunks.iter().filter_map(|it| it["choices"][0]["delta"][field].as_str()).collect()
    };
    assert!(is_done);
    assert_eq!(join("content"), content);
    assert_eq!(join("reasoning"), choice["message"]["reasoning"].as_str().unwrap());
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    let last = &chunks[chunks.len() - 1];
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"]["total_tokens"], whole["usage"]["total_tokens"]);
    assert_eq!(chunks[chunks.len() - 2]["choices"][0]["finish_reason"], "stop");
}

#[test]
fn a_policy_of_the_folder_judges_whole_conversations() {
    let service = start();
    let models: Value = serde_json::from_str(&service.read("/v1/models")).unwrap();
    let ids: Vec<&str> =
        models["data"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["safeguard", "safeguard/ads"]);
    let messages =
        json!([{ "role": "system", "content": "Be kind." }, { "role": "user", "content": "hi" }]);
    let reply = service.ask(
        "/v1/chat/completions",
        &json!({ "model": "safeguard/ads", "messages": messages, "include_reasoning": false }),
    );
    let message = &reply["choices"][0]["message"];
    assert!(
        message["content"].as_str().unwrap().contains("AD") && message.get("reasoning").is_none()
    );
}

#[test]
fn the_schema_is_the_policys_own_or_refused() {
    let service = start();
    let policy = policy::Policy::parse("p", ADS.as_bytes()).unwrap();
    let own: Value = serde_json::from_str(&reasoner::reply_schema(&policy)).unwrap();
    for (schema, status) in [(own, 200), (json!({ "type": "object" }), 422)] {
        let mut question = question();
        question["response_format"] =
            json!({ "type": "json_schema", "json_schema": { "name": "v", "schema": schema } });
        assert_eq!(service.post("/v1/chat/completions", &question).status(), status);
    }
}
