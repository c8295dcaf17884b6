//! `comments:analyze` in Perspective's shape, body for body.

use std::sync::Arc;

use policy::{Cause, Content, Judge, JudgeSettings, Observer, Outcome, Policy, Verdict};
use serde_json::{Value, json};

use crate::running::{Running, ads, judging, settings};

const ROUTE: &str = "/v1alpha1/comments:analyze?key=any";

/// What it says, whatever it is asked.
struct Says(Outcome);

impl Judge for Says {
    fn identity(&self) -> String {
        "says".to_owned()
    }

    fn judge(
        &self,
        policy: &Policy,
        _: &Content,
        settings: &JudgeSettings,
        _: &mut dyn Observer,
    ) -> Verdict {
        let none = Verdict::undetermined(Cause::Timeout, "", policy.reference(), "says");
        let has_label = self.0 == Outcome::Violation && !settings.direct;
        let label = has_label.then(|| "AD1".to_owned());
        Verdict { outcome: self.0, label, score: Some(0.75), ..none }
    }
}

fn start(outcome: Outcome, languages: &[&str], store: Option<String>) -> Running {
    start_judging(outcome, languages, store, judging())
}

fn start_judging(
    outcome: Outcome,
    languages: &[&str],
    store: Option<String>,
    judging: JudgeSettings,
) -> Running {
    let mut settings = settings();
    let asks = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    settings.perspective.attributes = [
        ("SPAM".to_owned(), asks(&["ads"])),
        ("FIRST".to_owned(), asks(&["ads.AD1"])),
        ("SECOND".to_owned(), asks(&["ads.AD2"])),
        ("GONE".to_owned(), asks(&["gone"])),
    ]
    .into();
    settings.perspective.languages = asks(languages);
    settings.store = store;
    settings.keep_content = true;
    Running::start_judging(settings, Arc::new(Says(outcome)), ads(), judging)
}

#[test]
fn a_violation_that_names_no_label_may_be_of_any() {
    let direct = JudgeSettings { direct: true, ..judging() };
    for (outcome, value) in [(Outcome::Violation, 0.75), (Outcome::Clear, 0.0)] {
        let service = start_judging(outcome, &[], None, direct.clone());
        let asked = json!({ "comment": { "text": "x" }, "requestedAttributes": { "SECOND": {} } });
        let reply = service.ask(ROUTE, &asked);
        assert_eq!(reply["attributeScores"]["SECOND"]["summaryScore"]["value"], value);
    }
}

#[test]
fn a_request_and_its_reply() {
    let service = start(Outcome::Violation, &[], None);
    let asked = json!({
        "comment": { "text": "Größe 🥊", "type": "PLAIN_TEXT" },
        "context": { "entries": [{ "text": "an article" }] },
        "requestedAttributes": {
            "SPAM": {}, "FIRST": { "scoreType": "PROBABILITY" }, "SECOND": { "scoreThreshold": 0.1 },
        },
        "spanAnnotations": true, "languages": ["de"], "doNotStore": true, "clientToken": "7", "sessionId": "s",
    });
    let scores = json!({
        "summaryScore": { "value": 0.75, "type": "PROBABILITY" },
        "spanScores": [{ "begin": 0, "end": 7, "score": { "value": 0.75, "type": "PROBABILITY" } }],
    });
    let reply = service.ask(ROUTE, &asked);
    assert_eq!(
        reply,
        json!({
            "attributeScores": { "SPAM": scores, "FIRST": scores }, "languages": ["de"], "clientToken": "7",
        })
    );
    let plain = json!({ "comment": { "text": "x" }, "requestedAttributes": { "SECOND": {} } });
    let reply = service.ask(ROUTE, &plain);
    let score = json!({ "summaryScore": { "value": 0.0, "type": "PROBABILITY" } });
    assert_eq!(reply, json!({ "attributeScores": { "SECOND": score } }));
}

#[test]
fn refusals_have_googles_shape_and_perspectives_words() {
    let service = start(Outcome::Clear, &["en"], None);
    let asked = |attribute: &str| json!({ "comment": { "text": "x" }, "requestedAttributes": { attribute: {} } });
    let with = |field: &str, value: Value| {
        let mut asked = asked("SPAM");
        asked[field] = value;
        asked
    };
    for (asked, status, word, kind) in [
        (with("comment", json!({ "text": " " })), 400, "INVALID_ARGUMENT", "COMMENT_EMPTY"),
        (
            with("comment", json!({ "text": "x", "type": "HTML" })),
            400,
            "INVALID_ARGUMENT",
            "INVALID_REQUEST",
        ),
        (
            with("requestedAttributes", json!({})),
            400,
            "INVALID_ARGUMENT",
            "NO_REQUESTED_ATTRIBUTES",
        ),
        (
            with("requestedAttributes", json!({ "SPAM": { "scoreType": "X" } })),
            400,
            "INVALID_ARGUMENT",
            "INVALID_REQUEST",
        ),
        (
            with("languages", json!(["en", "fi"])),
            400,
            "INVALID_ARGUMENT",
            "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE",
        ),
        (asked("TOXICITY"), 400, "INVALID_ARGUMENT", "INVALID_REQUEST"),
        (json!({}), 400, "INVALID_ARGUMENT", "INVALID_REQUEST"),
        (asked("GONE"), 404, "NOT_FOUND", ""),
    ] {
        let response = service.post(ROUTE, &asked);
        assert_eq!(response.status(), status, "{asked}");
        let error: Value = response.json().unwrap();
        let error = &error["error"];
        assert_eq!((&error["code"], &error["status"]), (&json!(status), &json!(word)), "{asked}");
        assert_eq!(error["details"][0]["errorType"].as_str().unwrap_or_default(), kind, "{asked}");
    }
}

#[test]
fn no_verdict_is_no_score() {
    let service = start(Outcome::Undetermined(Cause::Unparseable), &[], None);
    let asked = json!({ "comment": { "text": "x" }, "requestedAttributes": { "SPAM": {} } });
    let response = service.post(ROUTE, &asked);
    assert_eq!(response.status(), 503);
    assert_eq!(response.json::<Value>().unwrap()["error"]["status"], "UNAVAILABLE");
}

#[test]
fn what_is_not_to_be_stored_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s.db");
    let service = start(Outcome::Clear, &[], Some(format!("sqlite:{}", file.display())));
    for (text, do_not_store) in [("amaranth", false), ("vermilion", true)] {
        let asked = json!({
            "comment": { "text": text }, "requestedAttributes": { "SPAM": {} }, "doNotStore": do_not_store,
        });
        service.ask(ROUTE, &asked);
    }
    let list: Value = serde_json::from_str(&service.read("/v1/decisions")).unwrap();
    assert_eq!(list["decisions"].as_array().unwrap().len(), 2, "both are recorded: {list}");
    drop(service);
    let files = std::fs::read_dir(folder.path()).unwrap();
    let bytes: Vec<u8> = files.flat_map(|it| std::fs::read(it.unwrap().path()).unwrap()).collect();
    let has = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(has("amaranth") && !has("vermilion"));
}
