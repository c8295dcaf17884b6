//! The guardrail of LiteLLM: whatever goes through is judged, and what has no verdict does not pass.

use std::sync::Arc;

use serde_json::{Value, json};
use server::WithoutVerdict;

use crate::guard::Words;
use crate::running::{Running, ads, settings};

const ROUTE: &str = "/beta/litellm_basic_guardrail_api";

fn start(on_undetermined: WithoutVerdict) -> Running {
    let mut settings = settings();
    settings.litellm.on_undetermined = on_undetermined;
    Running::start(settings, Arc::new(Words), ads())
}

/// As LiteLLM writes it, with all the fields that say nothing of the content.
fn asked(input_type: &str, fields: &Value) -> Value {
    let mut body = json!({
        "input_type": input_type, "litellm_call_id": "c", "litellm_trace_id": null, "structured_messages": null,
        "images": null, "tools": null, "texts": [], "tool_calls": null, "model": "gpt-x",
        "request_data": { "user_api_key_user_id": "BAD" }, "request_headers": { "user-agent": "BAD" },
        "litellm_version": "1", "additional_provider_specific_params": {},
    });
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

#[test]
fn whatever_goes_through_is_judged() {
    let service = start(WithoutVerdict::Block);
    let function = json!({ "name": "f", "arguments": "{\"q\":\"\\u0042AD\"}" });
    let call = json!([{ "id": "1", "type": "function", "function": function }]);
    for (input_type, fields) in [
        ("request", json!({ "texts": ["fine", "BAD"] })),
        (
            "request",
            json!({ "texts": ["fine"], "structured_messages": [{ "role": "user", "content": "fine" }, { "role": "assistant", "content": "BAD" }] }),
        ),
        (
            "request",
            json!({ "texts": ["fine"], "structured_messages": [{ "role": "user", "content": "fine", "name": "BAD" }] }),
        ),
        (
            "request",
            json!({ "texts": ["fine"], "structured_messages": [{ "role": "assistant", "content": null, "tool_calls": call }] }),
        ),
        (
            "request",
            json!({ "texts": ["BAD"], "structured_messages": [{ "role": "user", "content": "fine" }] }),
        ),
        (
            "request",
            json!({ "texts": ["fine"], "tools": [{ "type": "function", "function": { "name": "f", "description": "BAD" } }] }),
        ),
        ("response", json!({ "texts": ["BAD"] })),
        ("response", json!({ "tool_calls": call })),
    ] {
        let reply = service.ask(ROUTE, &asked(input_type, &fields));
        let reason = "it violates policy ads";
        assert_eq!(reply, json!({ "action": "BLOCKED", "blocked_reason": reason }), "{fields}");
    }
    for (input_type, fields) in [
        (
            "request",
            json!({ "texts": ["fine"], "structured_messages": [{ "role": "user", "content": "fine" }] }),
        ),
        ("response", json!({ "texts": ["fine"] })),
        ("response", json!({ "texts": [] })),
    ] {
        assert_eq!(service.ask(ROUTE, &asked(input_type, &fields)), json!({ "action": "NONE" }));
    }
    assert_eq!(service.post(ROUTE, &asked("neither", &json!({}))).status(), 400);
    let none = json!({ "structured_messages": 7 });
    assert_eq!(service.post(ROUTE, &asked("request", &none)).status(), 422);
}

#[test]
fn without_a_verdict_nothing_passes_unless_the_settings_say_so() {
    let parts = json!([{ "type": "image_url", "image_url": { "url": "x" } }]);
    for fields in [
        json!({ "texts": ["ODD"] }),
        json!({ "texts": ["fine"], "images": ["data:,"] }),
        json!({ "texts": ["fine"], "structured_messages": [{ "role": "user", "content": parts }] }),
    ] {
        let strict = start(WithoutVerdict::Block);
        let reply = strict.ask(ROUTE, &asked("request", &fields));
        assert_eq!(reply["action"], "BLOCKED", "{fields}");
        assert!(
            reply["blocked_reason"].as_str().unwrap().starts_with("no verdict under policy ads")
        );
        let lax = start(WithoutVerdict::Allow);
        assert_eq!(lax.ask(ROUTE, &asked("request", &fields)), json!({ "action": "NONE" }));
        let metrics = lax.read("/metrics");
        let counted = r#"policy="ads",disposition="bypassed",cause="un"#;
        assert!(metrics.contains(counted), "{metrics}");
    }
}
