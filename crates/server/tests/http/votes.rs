//! Votes are told wherever a verdict is: at once, by job, by webhook, in a batch.

use std::sync::Arc;

use cascade::VotedJudge;
use policy::{Cause, Content, Judge, JudgeSettings, Observer, Outcome, Policy, Verdict};
use serde_json::{Value, json};

use crate::batches::{create, ended, line, lines, upload};
use crate::jobs::stored;
use crate::keyed::Shared;
use crate::receiver::{Receiver, ok};
use crate::running::{Running, ads, judging, settings};

/// Of four seeds, three find a violation; in a torn item, two.
struct BySeed;

impl Judge for BySeed {
    fn identity(&self) -> String {
        "by seed".to_owned()
    }

    fn judge(
        &self,
        policy: &Policy,
        content: &Content,
        settings: &JudgeSettings,
        _: &mut dyn Observer,
    ) -> Verdict {
        let is_torn = content.texts().iter().any(|text| text.contains("torn"));
        let n_clear = if is_torn { 2 } else { 1 };
        let is_clear = settings.seed.unwrap() % 4 < n_clear;
        let outcome = if is_clear { Outcome::Clear } else { Outcome::Violation };
        let none = Verdict::undetermined(Cause::Timeout, "", policy.reference(), "by seed");
        Verdict { outcome, ..none }
    }
}

fn start(settings: server::ServerSettings) -> Running {
    let judging = JudgeSettings { votes: 4, ..judging() };
    Running::start_judging(settings, Arc::new(VotedJudge::new(BySeed)), ads(), judging)
}

/// Outcome, cause and votes of each result.
fn told(results: &Value) -> Vec<Value> {
    let told = |it: &Value| {
        let verdict = &it["verdict"];
        json!([verdict["outcome"], verdict["cause"], verdict["votes"]])
    };
    results.as_array().unwrap().iter().map(told).collect()
}

fn expected() -> [Value; 2] {
    [
        json!(["violation", null, { "violation": 3, "clear": 1, "undetermined": 0 }]),
        json!(["undetermined", "no_majority", { "violation": 2, "clear": 2, "undetermined": 0 }]),
    ]
}

#[test]
fn votes_are_told_wherever_the_verdict_is() {
    let shared = Shared::new();
    let service = start(stored(&shared));
    let receiver = Receiver::start(ok);
    let mut body = json!({ "items": ["an item", "a torn item"] });
    assert_eq!(told(&service.ask("/v1/classify", &body)["results"]), expected());
    let batch = line("one", "/v1/classify", &body);
    let webhook = json!({ "url": receiver.url, "secret": crate::running::OWN_SECRET });
    (body["mode"], body["webhook"]) = (json!("async"), webhook);
    let job = service.finished(&service.ask("/v1/classify", &body));
    assert_eq!(told(&job["results"]), expected());
    let messages = (0..3).map(|_| receiver.next().json());
    let mut items: Vec<Value> = messages
        .filter(|message| message["type"] == "item.done")
        .map(|mut message| message["data"].take())
        .collect();
    items.sort_by_key(|item| item["index"].as_u64());
    assert_eq!(told(&json!(items)), expected());
    let batch = create(&service, &upload(&service, batch), "/v1/classify");
    let replies = lines(&service, &ended(&service, &batch)["output_file_id"]);
    assert_eq!(told(&replies["one"]["response"]["body"]["results"]), expected());
}

#[test]
fn one_vote_is_not_told_and_the_description_has_every_cause() {
    let service = Running::start(settings(), Arc::new(VotedJudge::new(BySeed)), ads());
    let reply = service.ask("/v1/classify", &json!({ "items": ["an item"] }));
    assert!(reply["results"][0]["verdict"].get("votes").is_none(), "{reply}");
    let description: Value = serde_json::from_str(&service.read("/openapi.json")).unwrap();
    let causes = &description["components"]["schemas"]["VerdictBody"]["properties"]["cause"];
    assert_eq!(causes["enum"], json!(Cause::ALL.map(Cause::code)), "{causes}");
    assert!(description["components"]["schemas"]["VotesBody"].is_object());
}
