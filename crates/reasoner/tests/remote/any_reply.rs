//! Whatever bytes come back: no panic, and never `clear` unless the reply ends with a verdict that says so.

use std::cell::Cell;

use policy::{Content, Judge, JudgeSettings, Outcome, Silent, Verdict};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use reasoner::remote::RemoteJudge;
use serde_json::{Value, json};

use crate::server::{ChatServer, Reply};
use crate::{policy, settings};

const CLEAR: &str =
    r#"{"violation":0,"label":"AC0","rule_ids":["AC0.a"],"confidence":"low","rationale":"r"}"#;
const VIOLATION: &str =
    r#"{"violation":1,"label":"AC1","rule_ids":["AC1"],"confidence":"low","rationale":"r"}"#;
const PIECES: [&str; 24] = [
    CLEAR,
    VIOLATION,
    r#"{"violation":0,"label":"AC1","rule_ids":["AC1"],"confidence":"low","rationale":"r"}"#,
    r#"{"violation":0,"label":"AC9","rule_ids":["AC9"],"confidence":"low","rationale":"r"}"#,
    r#"{"violation":0"#,
    "<|start|>assistant",
    "<|channel|>analysis",
    "<|channel|>final",
    "<|channel|>commentary to=x",
    "<|message|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|constrain|>json",
    "<think>",
    "</think>",
    "```",
    "json",
    "I cannot.",
    "\u{0}é🙂",
    "{",
    "}",
    "\n ",
    "\"",
];

const KEYS: [&str; 7] =
    ["content", "token", "logprob", "bytes", "top_logprobs", "message", "prompt_tokens"];

fn content() -> impl Strategy<Value = Value> {
    let text = prop::collection::vec(prop::sample::select(&PIECES[..]), 0..9)
        .prop_map(|pieces| pieces.concat());
    prop_oneof![
        8 => text.clone().prop_map(Value::from),
        1 => Just(Value::Null),
        1 => text.prop_map(|text| json!([{ "type": "text", "text": text }, { "type": "x" }, 3])),
    ]
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop::sample::select(&["stop", "length", "error", CLEAR, "1"][..]).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(prop::sample::select(&KEYS[..]), inner, 0..4)
                .prop_map(|map| map.into_iter().collect()),
        ]
    })
}

/// A completion, or nearly one: some fields are what they should be, some are anything.
fn completion() -> impl Strategy<Value = Value> {
    let finish = prop_oneof![Just(json!("stop")), Just(json!("length")), any_json()];
    let extra = || prop_oneof![3 => Just(Value::Null), 1 => any_json()];
    (content(), content(), finish, extra(), extra(), extra()).prop_map(
        |(content, reasoning, finish, logprobs, usage, refusal)| {
            json!({
                "choices": [{
                    "message": { "content": content, "reasoning": reasoning, "refusal": refusal },
                    "finish_reason": finish,
                    "logprobs": logprobs,
                }],
                "usage": usage,
            })
        },
    )
}

/// The content's text as a client reads it.
fn text_of(completion: &Value) -> String {
    let content = &completion["choices"][0]["message"]["content"];
    content.as_str().or(content[0]["text"].as_str()).unwrap_or_default().to_owned()
}

/// Whether the text ends with the clear verdict, marks of an end aside.
fn ends_clear(text: &str) -> bool {
    let mut text = text.trim();
    loop {
        let marks = ["<|end|>", "<|return|>", "<|call|>", "```"];
        match marks.iter().find_map(|mark| text.strip_suffix(mark)) {
            Some(shorter) => text = shorter.trim_end(),
            None => return text.ends_with(CLEAR),
        }
    }
}

fn judged(server: &ChatServer, judge: &RemoteJudge, reply: Reply) -> Verdict {
    server.set_reply(reply);
    let settings = JudgeSettings { seed: Some(1), ..JudgeSettings::default() };
    judge.judge(&policy(), &Content::text("hello"), &settings, &mut Silent)
}

#[test]
fn no_reply_panics_or_clears_by_failure() {
    let models = Reply { body: json!({ "data": [{ "id": "m" }] }), ..Reply::default() };
    let server = ChatServer::start(models, vec![Reply::default()]);
    let judge = RemoteJudge::connect(&server.url, &settings()).unwrap();
    let n_clear = Cell::new(0);
    let config = Config { failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    runner
        .run(&completion(), |completion| {
            let text = text_of(&completion);
            let reply = Reply { body: completion, ..Reply::default() };
            let verdict = judged(&server, &judge, reply);
            if verdict.outcome == Outcome::Clear {
                n_clear.set(n_clear.get() + 1);
                prop_assert!(ends_clear(&text), "{}", text);
            }
            Ok(())
        })
        .unwrap();
    assert!(n_clear.get() > 0, "some replies are good");
    let bytes = (any::<u16>(), ".{0,40}", any_json(), any::<bool>());
    runner
        .run(&bytes, |(status, text, body, is_json)| {
            let status = 200 + status % 400;
            let text = (!is_json).then_some(text);
            let reply = Reply { status, body, text, ..Reply::default() };
            let verdict = judged(&server, &judge, reply);
            prop_assert!(matches!(verdict.outcome, Outcome::Undetermined(_)), "{:?}", verdict);
            Ok(())
        })
        .unwrap();
}
