//! Bodies of any bytes, and bodies that are almost right: they are read or refused, never a panic, and whatever is
//! read can be shown to a judge. `fuzz/` asks the same of more of them.

#![expect(clippy::unwrap_used, reason = "what a test makes itself must work")]

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};
use server::{Body, ServerSettings};

/// A body that each route takes, with all the kinds of things that it may hold.
fn good(body: Body) -> Value {
    let user = json!({ "role": "user", "content": [{ "type": "text", "text": "hé 🥊" }] });
    let function = json!({ "name": "f", "arguments": "{\"q\":\"\\u0041\"}" });
    let call = json!({ "role": "assistant", "content": null, "tool_calls": [{ "index": 0, "function": function }] });
    let policy = json!({ "role": "system", "content": "No advertising." });
    match body {
        Body::Classify => json!({
            "items": ["a", { "id": 7, "prompt": "p", "reply": "r" }, { "messages": [{ "role": "user", "text": "t" }], "metadata": { "k": "v" } }],
            "policies": ["ads", { "name": "mine", "text": "No ads." }], "deadline_ms": 100, "effort": "low",
            "on_undetermined": "block", "seed": 1, "reasoning": true,
        }),
        Body::Moderations => json!({ "input": [{ "type": "text", "text": "a" }], "model": "m" }),
        Body::Chat | Body::Guarded => json!({
            "model": "safeguard", "messages": [policy, user, call], "reasoning_effort": "high", "temperature": 0.5,
            "top_p": 0.9, "response_format": { "type": "json_object" }, "tools": [{ "function": { "name": "f" } }],
        }),
        Body::Responses => json!({
            "model": "safeguard", "instructions": "No advertising.", "reasoning": { "effort": "low" },
            "input": [user, { "type": "function_call", "name": "f", "arguments": "{}" }, { "type": "function_call_output", "output": "o" }],
            "text": { "format": { "type": "text" } }, "include": ["message.output_text.logprobs"], "metadata": { "k": "v" },
        }),
        Body::Litellm => json!({
            "input_type": "response", "texts": ["a"], "structured_messages": [user, call], "tool_calls": [{ "function": function }],
            "images": [], "tools": [{ "type": "function", "function": { "name": "f" } }],
        }),
        Body::Predict => json!({ "inputs": [["a"], ["p", "r"]], "raw_scores": false }),
        Body::Perspective => json!({
            "comment": { "text": "a", "type": "PLAIN_TEXT" }, "languages": ["en"], "spanAnnotations": true,
            "requestedAttributes": { "TOXICITY": { "scoreType": "PROBABILITY", "scoreThreshold": 0.1 } },
        }),
    }
}

fn body() -> impl Strategy<Value = Body> {
    prop::sample::select(Body::ALL.to_vec())
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,6}".prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!("\u{0}\r\n")),
    ]
}

/// Puts a value in place of the `at`-th one of a tree, counted in order.
fn put(tree: &mut Value, at: &mut usize, value: &Value) {
    if *at == 0 {
        *tree = value.clone();
    }
    *at = at.wrapping_sub(1);
    match tree {
        Value::Array(elements) => elements.iter_mut().for_each(|it| put(it, at, value)),
        Value::Object(fields) => fields.values_mut().for_each(|it| put(it, at, value)),
        _ => {}
    }
}

fn reads(body: Body, bytes: &[u8]) {
    if let Ok(contents) = body.read(bytes) {
        contents.iter().for_each(|content| content.check().unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes(body in body(), bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        reads(body, &bytes);
    }

    #[test]
    fn a_good_body_with_a_value_changed(
        body in body(), at in 0_usize..40, value in leaf(), also in 0_usize..40, other in leaf(),
    ) {
        let mut tree = good(body);
        put(&mut tree, &mut { at }, &value);
        put(&mut tree, &mut { also }, &other);
        reads(body, tree.to_string().as_bytes());
    }

    #[test]
    fn a_good_body_with_bytes_changed(
        body in body(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = good(body).to_string().into_bytes();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        reads(body, &bytes);
    }

    #[test]
    fn settings_of_any_text(text in "(\\[serve(\\.[a-z]{1,9})?\\]\n)?([a-z_]{1,9} = [\\PC]{0,12}\n){0,4}") {
        let read = ServerSettings::parse(Path::new("safeguard.toml"), &text);
        prop_assert!(read.is_ok_and(|settings| settings.check().is_ok()) || !text.is_empty());
    }
}

#[test]
fn good_bodies_are_read() {
    for body in Body::ALL {
        let contents = body.read(good(body).to_string().as_bytes());
        assert!(!contents.unwrap_or_else(|error| panic!("{body:?}: {error}")).is_empty());
    }
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    for body in Body::ALL {
        assert!(body.read(deep.as_bytes()).is_err(), "{body:?}: a body without end ends");
    }
}
