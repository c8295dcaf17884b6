//! The judge in the shape of Responses: whole and in events it says the same.

use serde_json::{Value, json};

use crate::guard::Words;
use crate::running::{ADS, Running, ads, settings, start};

const ROUTE: &str = "/v1/responses";

fn question() -> Value {
    json!({
        "model": "safeguard", "instructions": ADS, "reasoning": { "effort": "low" }, "seed": 1,
        "input": [{ "role": "user", "content": [{ "type": "input_text", "text": "Buy now!" }] }],
        "include": ["message.output_text.logprobs"], "top_logprobs": 5, "max_output_tokens": 20,
        "metadata": { "item": "7" },
    })
}

/// The events of a reply in pieces, each with its name.
fn events(service: &Running, question: &Value) -> Vec<Value> {
    let text = service.post(ROUTE, question).text().unwrap();
    let mut events = Vec::new();
    for event in text.split("\n\n").filter(|event| event.starts_with("event: ")) {
        let (name, data) = event.split_once('\n').unwrap();
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(name.strip_prefix("event: "), data["type"].as_str());
        assert_eq!(data["sequence_number"], events.len());
        events.push(data);
    }
    events
}

#[test]
fn events_add_up_to_the_whole() {
    let service = start();
    let whole = service.ask(ROUTE, &question());
    assert_eq!((&whole["object"], &whole["status"]), (&json!("response"), &json!("completed")));
    assert_eq!(whole["reasoning"]["effort"], "low");
    assert_eq!(whole["metadata"], json!({ "item": "7" }));
    let output = whole["output"].as_array().unwrap();
    assert_eq!(output.len(), 2);
    assert_eq!((&output[0]["type"], &output[1]["type"]), (&json!("reasoning"), &json!("message")));
    let part = &output[1]["content"][0];
    let verdict: Value = serde_json::from_str(part["text"].as_str().unwrap()).unwrap();
    assert!(verdict["violation"] == 0 || verdict["violation"] == 1);
    let tokens = part["logprobs"].as_array().unwrap();
    let text: String = tokens.iter().map(|it| it["token"].as_str().unwrap()).collect();
    assert_eq!(text, part["text"].as_str().unwrap());
    let usage = &whole["usage"];
    let n_thought = usage["output_tokens_details"]["reasoning_tokens"].as_u64().unwrap();
    assert_eq!(n_thought + tokens.len() as u64, usage["output_tokens"].as_u64().unwrap());

    let mut streamed = question();
    streamed["stream"] = true.into();
    let events = events(&service, &streamed);
    let names: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(names[..2], ["response.created", "response.in_progress"]);
    let mut steps = names[2..].to_vec();
    steps.dedup();
    assert_eq!(
        steps,
        [
            "response.output_item.added",
            "response.content_part.added",
            "response.reasoning_text.delta",
            "response.reasoning_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    let join = |name: &str| -> String {
        let of_name = events.iter().filter(|event| event["type"] == name);
        of_name.map(|event| event["delta"].as_str().unwrap()).collect()
    };
    assert_eq!(join("response.output_text.delta"), text);
    assert_eq!(
        join("response.reasoning_text.delta"),
        output[0]["content"][0]["text"].as_str().unwrap()
    );
    let last = &events[events.len() - 1]["response"];
    assert_eq!(last["usage"]["total_tokens"], usage["total_tokens"]);
    for (there, here) in last["output"].as_array().unwrap().iter().zip(output) {
        assert_eq!(there["content"], here["content"]);
    }
}

#[test]
fn items_of_all_kinds_are_judged_or_refused() {
    let service = Running::start(settings(), std::sync::Arc::new(Words), ads());
    let said = |item: Value| {
        let user = json!({ "role": "user", "content": "hi" });
        json!({ "model": "safeguard/ads", "input": [user, item] })
    };
    let bad = [
        json!({ "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": "BAD" }] }),
        json!({ "role": "assistant", "content": [{ "type": "refusal", "refusal": "BAD" }] }),
        json!({ "type": "function_call", "call_id": "1", "name": "f", "arguments": "{\"q\":\"\\u0042AD\"}" }),
        json!({ "type": "function_call_output", "call_id": "1", "output": "BAD" }),
        json!({ "type": "custom_tool_call", "call_id": "1", "name": "f", "input": "BAD" }),
        json!({ "type": "reasoning", "id": "r", "summary": [{ "type": "summary_text", "text": "BAD" }] }),
        json!({ "type": "reasoning", "id": "r", "summary": [], "content": [{ "type": "reasoning_text", "text": "BAD" }] }),
    ];
    for item in bad {
        let reply = service.ask(ROUTE, &said(item.clone()));
        let verdict = reply["output"][0]["content"][0]["text"].as_str().unwrap();
        let verdict: Value = serde_json::from_str(verdict).unwrap();
        assert_eq!(verdict["violation"], 1, "{item}");
        assert_eq!(reply["usage"]["output_tokens_details"]["reasoning_tokens"], 0);
    }
    for (item, param) in [
        (
            json!({ "role": "user", "content": [{ "type": "input_image", "image_url": "x" }] }),
            "input",
        ),
        (json!({ "type": "item_reference", "id": "x" }), "input[1].type"),
        (
            json!({ "type": "reasoning", "id": "x", "summary": [], "encrypted_content": "x" }),
            "input[1]",
        ),
        (json!({ "type": "function_call", "name": "f" }), "input[1].arguments"),
        (json!({ "content": "x" }), "input[1].role"),
        (json!({ "role": "nobody", "content": "x" }), "input"),
    ] {
        let response = service.post(ROUTE, &said(item.clone()));
        assert_eq!(response.status(), 422, "{item}");
        assert_eq!(response.json::<Value>().unwrap()["error"]["param"], param, "{item}");
    }
}

#[test]
fn what_cannot_be_done_is_refused_in_the_words_of_the_route() {
    let service = start();
    for (field, value, status, param) in [
        ("previous_response_id", json!("resp_1"), 422, "previous_response_id"),
        ("background", json!(true), 422, "background"),
        ("conversation", json!({ "id": "c" }), 422, "conversation"),
        ("prompt", json!({ "id": "p" }), 422, "prompt"),
        ("reasoning", json!({ "effort": "much" }), 422, "reasoning.effort"),
        (
            "text",
            json!({ "format": { "type": "json_schema", "name": "v", "schema": {} } }),
            422,
            "text.format",
        ),
        ("top_logprobs", json!(21), 422, "top_logprobs"),
        ("instructions", json!(""), 422, "input"),
    ] {
        let mut question = question();
        question[field] = value;
        let response = service.post(ROUTE, &question);
        assert_eq!(response.status(), status, "{field}");
        assert_eq!(response.json::<Value>().unwrap()["error"]["param"], param, "{field}");
    }
    let policy = policy::Policy::parse("p", ADS.as_bytes()).unwrap();
    let own: Value = serde_json::from_str(&reasoner::reply_schema(&policy)).unwrap();
    let mut question = question();
    question["text"] = json!({ "format": { "type": "json_schema", "name": "v", "schema": own } });
    let reply = service.ask(ROUTE, &question);
    assert_eq!(reply["text"], question["text"]);
}

#[test]
fn no_verdict_is_an_error_or_a_failed_response() {
    let service = Running::start(settings(), std::sync::Arc::new(Words), ads());
    let mut question = json!({ "model": "safeguard/ads", "input": "ODD" });
    let response = service.post(ROUTE, &question);
    assert_eq!(response.status(), 503);
    assert_eq!(response.json::<Value>().unwrap()["error"]["code"], "undetermined");
    question["stream"] = true.into();
    let events = events(&service, &question);
    let last = &events[events.len() - 1];
    assert_eq!(last["type"], "response.failed");
    assert_eq!(
        (&last["response"]["status"], &last["response"]["output"]),
        (&json!("failed"), &json!([]))
    );
    assert_eq!(last["response"]["error"]["code"], "server_error");
}
