//! What Prometheus is told of the traffic adds up to it, each pair once.

use std::collections::BTreeMap;
use std::sync::Arc;

use policy::{Content, Judge, JudgeSettings, Observer, Policy, Stage, Verdict};
use serde_json::{Value, json};
use server::ServerSettings;
use store::Grants;

use crate::batches::line;
use crate::guard::{Model, Words, before, chat};
use crate::keyed::{As, Shared, on_each_store};
use crate::running::{Running, ads};

on_each_store!(dispositions_add_up_to_what_was_asked);

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// As [`Words`]; lets a filter stop what is `PLAIN`, and falls over `PIT`.
struct Filtered;

impl Judge for Filtered {
    fn identity(&self) -> String {
        Words.identity()
    }

    fn judge(
        &self,
        policy: &Policy,
        content: &Content,
        settings: &JudgeSettings,
        observer: &mut dyn Observer,
    ) -> Verdict {
        let text = content.texts().concat();
        assert!(!text.contains("PIT"), "as a judge might");
        let stage = if text.contains("PLAIN") { Stage::Filter } else { Stage::Reasoner };
        Verdict { stage, ..Words.judge(policy, content, settings, observer) }
    }
}

/// The samples of a counter, summed by some of its labels.
fn counted(metrics: &str, name: &str, labels: &[&str]) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for line in metrics.lines().filter(|line| line.starts_with(&format!("{name}{{"))) {
        let value = |label: &str| {
            line.split_once(&format!("{label}=\"")).unwrap().1.split('"').next().unwrap()
        };
        let key = labels
            .iter()
            .map(|label| value(label))
            .collect::<Vec<_>>()
            .join(" ")
            .trim_end()
            .to_owned();
        let n: u64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        *sums.entry(key).or_default() += n;
    }
    sums
}

struct Traffic<'a> {
    service: &'a Running,
    me: As<'a>,
    metrics: As<'a>,
    expected: BTreeMap<String, u64>,
}

impl Traffic<'_> {
    /// Notes what the last request comes to, as disposition and cause, and holds the counts against it.
    fn expect(&mut self, dispositions: &[&str]) {
        for disposition in dispositions {
            *self.expected.entry((*disposition).to_owned()).or_default() += 1;
        }
        let n_expected: u64 = self.expected.values().sum();
        let end = std::time::Instant::now() + PATIENCE;
        let found = loop {
            let found = counted(&self.text(), "safeguard_traffic_total", &["disposition", "cause"]);
            // What was judged later is counted a moment after it is settled.
            if found.values().sum::<u64>() >= n_expected || std::time::Instant::now() > end {
                break found;
            }
            std::thread::yield_now();
        };
        assert_eq!(found, self.expected);
    }

    fn text(&self) -> String {
        self.metrics.get("/metrics").1.as_str().unwrap().to_owned()
    }

    fn classify(&self, items: &[&str], more: &Value) -> Value {
        let mut body = json!({ "items": items });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (status, reply) = self.me.post("/v1/classify", &body);
        assert!(status < 300, "{reply}");
        reply
    }

    fn finish(&self, job: &Value) {
        let job = format!("/v1/jobs/{}", job["id"].as_str().unwrap());
        while self.me.get(&job).1["state"] != "finished" {
            std::thread::yield_now();
        }
    }

    fn batch(&self, endpoint: &str, body: &Value) {
        let form = reqwest::blocking::multipart::Form::new().text("purpose", "batch");
        let part = reqwest::blocking::multipart::Part::text(line("one", endpoint, body));
        let form = form.part("file", part.file_name("in.jsonl"));
        let upload = self.service.http.post(format!("{}/v1/files", self.service.url));
        let file: Value =
            upload.bearer_auth(self.me.1).multipart(form).send().unwrap().json().unwrap();
        let body = json!({
            "input_file_id": file["id"], "endpoint": endpoint, "completion_window": "24h"
        });
        let (_, batch) = self.me.post("/v1/batches", &body);
        let batch = format!("/v1/batches/{}", batch["id"].as_str().unwrap());
        while self.me.get(&batch).1["status"] != "completed" {
            std::thread::yield_now();
        }
    }
}

fn dispositions_add_up_to_what_was_asked(shared: &Shared) {
    let model = Model::saying("fine");
    let [key, metrics] = [["judge"], ["metrics"]].map(|scopes| shared.secret("default", &scopes));
    let two = Grants { items_per_day: Some(2), ..Grants::default() };
    let (_, limited) = shared.key("default", &["judge"], two);
    let settings = ServerSettings { guard: Some(before(&model)), ..shared.settings() };
    let service = Running::start(settings, Arc::new(Filtered), ads());
    let me = As(&service, &key);
    let mut traffic =
        Traffic { service: &service, me, metrics: As(&service, &metrics), expected: [].into() };

    traffic.classify(&["fine", "BAD", "ODD", "PLAIN"], &json!({}));
    traffic.expect(&["admitted", "blocked", "undetermined unparseable", "admitted"]);
    traffic.classify(&["ODD"], &json!({ "on_undetermined": "allow" }));
    traffic.expect(&["bypassed unparseable"]);
    traffic.classify(&["ODD"], &json!({ "on_undetermined": "block" }));
    traffic.expect(&["blocked unparseable"]);
    traffic.classify(&["PIT"], &json!({}));
    traffic.expect(&["undetermined backend_error"]);

    traffic.me.post("/v1/moderations", &json!({ "input": ["fine", "BAD"] }));
    traffic.expect(&["admitted", "blocked"]);
    assert_eq!(traffic.me.post("/v1/moderations", &json!({ "input": "ODD" })).0, 503);
    traffic.expect(&["undetermined unparseable"]);

    let later = json!({ "mode": "async", "on_undetermined": "allow" });
    let job = traffic.classify(&["fine", "BAD", "ODD"], &later);
    traffic.finish(&job);
    traffic.expect(&["admitted", "blocked", "bypassed unparseable"]);
    let line = json!({ "items": ["ODD", "fine"], "on_undetermined": "block" });
    traffic.batch("/v1/classify", &line);
    traffic.expect(&["blocked unparseable", "admitted"]);
    traffic.batch("/v1/moderations", &json!({ "input": ["BAD", "ODD"] }));
    traffic.expect(&["blocked", "undetermined unparseable"]);

    for (text, dispositions) in [("hi", &["admitted"; 2][..]), ("BAD", &["blocked"])] {
        traffic.me.post("/v1/chat/completions", &chat(text, false));
        traffic.expect(dispositions);
    }

    let little = As(&service, &limited);
    assert_eq!(little.classify(&["fine", "fine"], &["ads"]).0, 200);
    assert_eq!(little.classify(&["fine"], &["ads"]).0, 429);
    traffic.expect(&["admitted", "admitted"]);

    let text = traffic.text();
    let n_judged: u64 = traffic.expected.values().sum();
    let made = counted(&text, "safeguard_verdicts_total", &["stage"]);
    assert_eq!(made, [("filter".to_owned(), 1), ("reasoner".to_owned(), n_judged - 1)].into());
    let seconds = counted(&text, "safeguard_stage_seconds_count", &["stage"]);
    assert_eq!(seconds["queue"], n_judged, "each waited once");

    traffic.classify(&["fine", " "], &json!({ "policies": ["ads", "none"] }));
    let broken = ["undetermined invalid_field"; 2];
    traffic.expect(&["admitted", "undetermined unknown_policy", broken[0], broken[1]]);
    assert_eq!(traffic.me.post("/v1/classify", &json!({ "items": [] })).0, 422);
    traffic.me.post("/v1/chat/completions", &chat("hi", true));
    traffic.expect(&["admitted", "admitted"]);
    let policies = counted(&traffic.text(), "safeguard_traffic_total", &["policy"]);
    assert_eq!(policies["unknown"], 2, "names of requests are no labels");
}
