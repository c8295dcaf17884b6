//! Jobs: accepted at once, judged later, read, cancelled, given up, finished by another service.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use policy::{Cause, Content, Judge, JudgeSettings, Observer, Outcome, Policy, Verdict};
use serde_json::{Value, json};
use server::ServerSettings;
use store::Store;

use crate::keyed::{Shared, on_each_store};
use crate::running::{Running, ads, builtin};

on_each_store!(
    a_job_has_the_verdicts_that_the_same_request_has_at_once,
    a_request_key_makes_one_job_and_another_request_under_it_is_refused,
    what_cannot_be_taken_later_is_refused_at_once,
    a_cancelled_job_gets_no_more_outcomes_and_pages_cannot_cancel,
    at_the_deadline_what_is_open_is_undetermined_or_waits_on,
    a_failing_judge_is_asked_again_and_a_failure_is_no_clear,
    a_service_that_stops_hands_over_and_another_one_finishes,
    what_is_under_way_when_a_service_stops_is_finished,
    what_felled_its_workers_too_often_is_undetermined,
    with_too_much_open_nothing_more_is_accepted,
);

const PATIENCE: Duration = Duration::from_secs(30);

/// Settings with a store, and webhooks on this machine.
pub(crate) fn stored(shared: &Shared) -> ServerSettings {
    let mut settings = shared.settings();
    settings.webhooks.allow_private = true;
    settings.webhooks.allow_http = true;
    settings
}

impl Running {
    /// The job as it is now.
    pub(crate) fn job(&self, job: &Value) -> Value {
        let id = job["id"].as_str().unwrap();
        serde_json::from_str(&self.read(&format!("/v1/jobs/{id}?limit=1000"))).unwrap()
    }

    /// The job once it has no pairs open; other tests wait for webhooks, which is how callers should.
    pub(crate) fn finished(&self, job: &Value) -> Value {
        let end = std::time::Instant::now() + PATIENCE;
        loop {
            let job = self.job(job);
            if !job["finished_at"].is_null() {
                return job;
            }
            assert!(std::time::Instant::now() < end, "{job}");
            std::thread::yield_now();
        }
    }
}

/// Hands out the outcomes that the test gives it, one a judgement, and says when it begins.
struct Script {
    begun: Mutex<Sender<()>>,
    outcomes: Mutex<Receiver<Outcome>>,
}

pub(crate) struct Hand {
    begun: Receiver<()>,
    pub(crate) give: Sender<Outcome>,
}

impl Hand {
    pub(crate) fn new() -> (Arc<dyn Judge>, Hand) {
        let (begun, hears_begun) = channel();
        let (give, outcomes) = channel();
        let judge = Script { begun: Mutex::new(begun), outcomes: Mutex::new(outcomes) };
        (Arc::new(judge), Hand { begun: hears_begun, give })
    }

    fn wait_for_begin(&self) {
        self.begun.recv_timeout(PATIENCE).expect("a judgement begins");
    }
}

impl Judge for Script {
    fn identity(&self) -> String {
        "script".to_owned()
    }

    fn judge(
        &self,
        policy: &Policy,
        _: &Content,
        settings: &JudgeSettings,
        observer: &mut dyn Observer,
    ) -> Verdict {
        let none = |cause| Verdict::undetermined(cause, "", policy.reference(), "script");
        let _ = self.begun.lock().unwrap().send(());
        let end = std::time::Instant::now() + settings.timeout.unwrap();
        loop {
            if let Ok(outcome) =
                self.outcomes.lock().unwrap().recv_timeout(Duration::from_millis(2))
            {
                return Verdict { outcome, ..none(Cause::Timeout) };
            }
            if observer.is_cancelled() {
                return none(Cause::Cancelled);
            }
            if std::time::Instant::now() > end {
                return none(Cause::Timeout);
            }
        }
    }
}

fn a_job_has_the_verdicts_that_the_same_request_has_at_once(shared: &Shared) {
    let service = Running::start(stored(shared), builtin(), ads());
    let inline = json!({ "name": "mine", "text": "No cinnabar." });
    let items = json!([{ "id": 7, "text": "Buy now!" }, "hello"]);
    let mut body =
        json!({ "items": items, "policies": ["ads", inline, "none"], "reasoning": true });
    let now = service.ask("/v1/classify", &body);
    body["mode"] = json!("async");
    let response = service.post("/v1/classify", &body);
    assert_eq!(response.status(), 202);
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let accepted: Value = response.json().unwrap();
    assert_eq!(location, format!("/v1/jobs/{}", accepted["id"].as_str().unwrap()));
    assert_eq!((&accepted["n_items"], &accepted["refused"][1]["index"]), (&json!(4), &json!(1)));
    let job = service.finished(&accepted);
    assert_eq!((&job["state"], &job["n_done"]), (&json!("finished"), &json!(4)));
    assert_eq!(job["refused"][0]["error"]["type"], "urn:safeguard:unknown_policy");
    let results = job["results"].as_array().unwrap();
    let judged = now["results"].as_array().unwrap().iter().filter(|it| it["error"].is_null());
    for (later, now) in results.iter().zip(judged) {
        for field in ["index", "id", "policy", "action"] {
            assert_eq!(later[field], now[field], "{field}");
        }
        let (mut later, mut now) = (later["verdict"].clone(), now["verdict"].clone());
        assert!(later["reasoning"].is_string());
        later["usage"] = Value::Null;
        now["usage"] = Value::Null;
        assert_eq!(later, now);
    }
    for result in results {
        let decision = result["decision"].as_str().unwrap();
        let decision: Value =
            serde_json::from_str(&service.read(&format!("/v1/decisions/{decision}"))).unwrap();
        assert_eq!((&decision["item"], &decision["job"]), (&result["item"], &job["id"]));
        assert_eq!(decision["source"], "/v1/classify");
    }
    let page: Value = serde_json::from_str(&service.read(&format!("{location}?limit=3"))).unwrap();
    assert_eq!((page["results"].as_array().unwrap().len(), &page["next"]), (3, &json!(2)));
    let page: Value = serde_json::from_str(&service.read(&format!("{location}?after=2"))).unwrap();
    assert_eq!((page["results"].as_array().unwrap().len(), &page["next"]), (1, &Value::Null));
    let list: Value =
        serde_json::from_str(&service.read("/v1/jobs?kind=classify&limit=1")).unwrap();
    assert_eq!((&list["jobs"][0]["id"], &list["next"]), (&job["id"], &job["id"]));
    let metrics = service.read("/metrics");
    assert!(metrics.contains(r#"safeguard_job_items_total{result="settled"} 4"#), "{metrics}");
    assert!(metrics.contains(r#"safeguard_jobs_total{kind="classify",event="accepted"} 1"#));
}

fn a_request_key_makes_one_job_and_another_request_under_it_is_refused(shared: &Shared) {
    let service = Running::start(stored(shared), builtin(), ads());
    let send = |key: &str, text: &str| {
        let body = json!({ "items": [text], "mode": "async" });
        let request = service.http.post(format!("{}/v1/classify", service.url));
        request.header("idempotency-key", key).json(&body).send().unwrap()
    };
    let id = |response: reqwest::blocking::Response| {
        assert_eq!(response.status(), 202);
        response.json::<Value>().unwrap()["id"].clone()
    };
    let first = id(send("a", "x"));
    assert_eq!(id(send("a", "x")), first);
    assert_ne!(id(send("b", "x")), first);
    let other = send("a", "y");
    assert_eq!(other.status(), 422);
    assert_eq!(other.json::<Value>().unwrap()["type"], "urn:safeguard:idempotency_key_reused");
    assert_eq!(send(&"k".repeat(201), "x").status(), 422);
}

fn what_cannot_be_taken_later_is_refused_at_once(shared: &Shared) {
    let mut settings = stored(shared);
    settings.webhooks.allow_private = false;
    settings.jobs.pairs = 3;
    let service = Running::start(settings, builtin(), ads());
    let hook = |url: &str| json!({ "items": ["x"], "mode": "async", "webhook": { "url": url } });
    for (body, status, word) in [
        (hook("https://127.0.0.1/"), 422, "webhook.url"),
        (hook("nothing"), 422, "webhook.url"),
        (hook("https://example.org/"), 422, "webhook.secret"),
        (
            json!({ "items": ["x"], "mode": "async", "webhook": { "url": "https://example.org/", "secret": "guess" } }),
            422,
            "whsec_",
        ),
        (json!({ "items": ["x"], "webhook": { "url": "https://example.org/" } }), 422, "async"),
        (json!({ "items": ["x"], "on_deadline": "wait" }), 422, "async"),
        (json!({ "items": ["x"], "mode": "async", "deadline_ms": 0 }), 422, "deadline_ms"),
        (json!({ "items": [], "mode": "async" }), 422, "items"),
        (
            json!({ "items": ["x", "x", "x", "x"], "mode": "async" }),
            422,
            "the most in one request is 3",
        ),
        (json!({ "items": [1, 2], "mode": "async" }), 422, "items"),
        (json!({ "items": ["x"], "mode": "async", "policies": ["none"] }), 404, "none"),
        (json!({ "items": ["x"], "mode": "never" }), 400, "never"),
    ] {
        let response = service.post("/v1/classify", &body);
        let (found, text) = (response.status().as_u16(), response.text().unwrap());
        assert_eq!(found, status, "{body}: {text}");
        assert!(text.contains(word) && !text.contains("guess"), "{body}: {text}");
    }
    let problem: Value = serde_json::from_str(&service.read("/v1/jobs/nonsense")).unwrap();
    assert_eq!(problem["status"], 404);
    for query in ["kind=other", "limit=x", "surplus=1"] {
        let problem: Value =
            serde_json::from_str(&service.read(&format!("/v1/jobs?{query}"))).unwrap();
        assert_eq!(problem["status"], 400, "{query}");
    }
    let without = crate::running::start();
    let response = without.post("/v1/classify", &json!({ "items": ["x"], "mode": "async" }));
    assert_eq!(response.json::<Value>().unwrap()["type"], "urn:safeguard:no_store");
}

fn a_cancelled_job_gets_no_more_outcomes_and_pages_cannot_cancel(shared: &Shared) {
    let (judge, hand) = Hand::new();
    let mut settings = stored(shared);
    settings.jobs.in_flight = 1;
    settings.jobs.lease_s = 0.3;
    let service = Running::start(settings, judge, ads());
    let job = service.ask("/v1/classify", &json!({ "items": ["x", "y", "z"], "mode": "async" }));
    hand.wait_for_begin();
    hand.give.send(Outcome::Clear).unwrap();
    hand.wait_for_begin();
    let cancel = format!("{}/v1/jobs/{}/cancel", service.url, job["id"].as_str().unwrap());
    let page = service.http.post(&cancel).header("origin", "https://evil.example").send().unwrap();
    assert_eq!(page.status(), 403);
    let cancelled: Value = service.http.post(&cancel).send().unwrap().json().unwrap();
    assert_eq!((&cancelled["state"], &cancelled["n_done"]), (&json!("cancelled"), &json!(1)));
    assert_eq!(
        (&cancelled["n_cancelled"], &cancelled["results"][2]["state"]),
        (&json!(2), &json!("cancelled"))
    );
    let next = service.ask("/v1/classify", &json!({ "items": ["w"], "mode": "async" }));
    // The judge of the cancelled item is told, and its place goes to the next job. Before it heard of that it may
    // take an outcome, which nobody wants any more.
    hand.wait_for_begin();
    for _ in 0..2 {
        hand.give.send(Outcome::Violation).unwrap();
    }
    assert_eq!(service.finished(&next)["results"][0]["action"], "block");
    assert_eq!(service.job(&job)["n_done"], 1);
}

fn at_the_deadline_what_is_open_is_undetermined_or_waits_on(shared: &Shared) {
    let (judge, hand) = Hand::new();
    let mut settings = stored(shared);
    settings.jobs.in_flight = 1;
    let service = Running::start(settings, judge, ads());
    let submit = |on_deadline: &str| {
        let body = json!({
            "items": ["x", "y"], "mode": "async", "deadline_ms": 300, "on_deadline": on_deadline,
            "on_undetermined": "block"
        });
        service.ask("/v1/classify", &body)
    };
    let waits = submit("wait");
    hand.wait_for_begin();
    let given_up = submit("undetermined");
    let done = service.finished(&given_up);
    for result in done["results"].as_array().unwrap() {
        assert_eq!(
            (&result["verdict"]["cause"], &result["action"]),
            (&json!("timeout"), &json!("block"))
        );
    }
    for _ in 0..2 {
        hand.give.send(Outcome::Clear).unwrap();
    }
    let done = service.finished(&waits);
    for result in done["results"].as_array().unwrap() {
        assert_eq!(
            (&result["verdict"]["outcome"], &result["late"]),
            (&json!("clear"), &json!(true))
        );
    }
}

fn a_failing_judge_is_asked_again_and_a_failure_is_no_clear(shared: &Shared) {
    let (judge, hand) = Hand::new();
    let mut settings = stored(shared);
    (settings.jobs.attempts, settings.jobs.retry_s) = (3, 0.001);
    let service = Running::start(settings, judge, ads());
    let fails = Outcome::Undetermined(Cause::BackendError);
    for (outcomes, expected) in [
        (vec![fails, fails, Outcome::Violation], "violation"),
        (vec![fails, fails, fails], "undetermined"),
    ] {
        let job = service.ask("/v1/classify", &json!({ "items": ["x"], "mode": "async" }));
        for outcome in outcomes {
            hand.give.send(outcome).unwrap();
        }
        assert_eq!(service.finished(&job)["results"][0]["verdict"]["outcome"], expected);
    }
    assert!(service.read("/metrics").contains(r#"safeguard_job_items_total{result="retried"} 4"#));
}

fn a_service_that_stops_hands_over_and_another_one_finishes(shared: &Shared) {
    let (judge, hand) = Hand::new();
    let mut settings = stored(shared);
    settings.limits.shutdown_s = 0.2;
    // Nobody would wait for these leases to end.
    settings.jobs.lease_s = 3600.0;
    let store = settings.store.clone().unwrap();
    let service = Running::start(settings.clone(), judge, ads());
    let job = service.ask("/v1/classify", &json!({ "items": ["x", "y", "z"], "mode": "async" }));
    hand.wait_for_begin();
    drop(service);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let backlog =
        runtime.block_on(async { Store::open(&store).await.unwrap().backlog().await.unwrap() });
    assert_eq!((backlog.n_waiting, backlog.n_leased), (3, 0));
    let (judge, hand) = Hand::new();
    let service = Running::start(settings, judge, ads());
    for _ in 0..3 {
        hand.give.send(Outcome::Clear).unwrap();
    }
    assert_eq!(service.finished(&job)["n_done"], 3);
}

fn what_is_under_way_when_a_service_stops_is_finished(shared: &Shared) {
    let (judge, hand) = Hand::new();
    let settings = stored(shared);
    let store = settings.store.clone().unwrap();
    let service = Running::start(settings, judge, ads());
    service.ask("/v1/classify", &json!({ "items": ["x"], "mode": "async" }));
    hand.wait_for_begin();
    let address = service.url.strip_prefix("http://").unwrap().to_owned();
    let stopping = std::thread::spawn(|| drop(service));
    while std::net::TcpStream::connect(&address).is_ok() {}
    hand.give.send(Outcome::Clear).unwrap();
    stopping.join().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let backlog =
        runtime.block_on(async { Store::open(&store).await.unwrap().backlog().await.unwrap() });
    assert_eq!(backlog, store::Backlog::default());
}

fn what_felled_its_workers_too_often_is_undetermined(shared: &Shared) {
    let (judge, hand) = Hand::new();
    let mut settings = stored(shared);
    (settings.jobs.attempts, settings.limits.shutdown_s) = (2, 0.1);
    let url = settings.store.clone().unwrap();
    let service = Running::start(settings.clone(), judge, ads());
    let job = service.ask("/v1/classify", &json!({ "items": ["x"], "mode": "async" }));
    hand.wait_for_begin();
    drop(service);
    // Two workers that lease it and are never heard of again.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = Store::open(&url).await.unwrap();
        for worker in ["one", "two"] {
            while store.lease(worker, 1, Duration::ZERO).await.unwrap().is_empty() {}
        }
        store.close().await;
    });
    let (judge, _hand) = Hand::new();
    let service = Running::start(settings, judge, ads());
    let verdict = service.finished(&job)["results"][0]["verdict"].clone();
    assert_eq!(
        (&verdict["outcome"], &verdict["cause"]),
        (&json!("undetermined"), &json!("backend_error"))
    );
    assert!(verdict["detail"].as_str().unwrap().contains("given up: 2 tries"), "{verdict}");
}

fn with_too_much_open_nothing_more_is_accepted(shared: &Shared) {
    let (judge, hand) = Hand::new();
    let mut settings = stored(shared);
    settings.jobs.backlog = 2;
    let service = Running::start(settings, judge, ads());
    let body = |items: &[&str]| json!({ "items": items, "mode": "async" });
    let refused = service.post("/v1/classify", &body(&["x", "y", "z"]));
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["retry-after"]),
        (429, &"10".parse().unwrap())
    );
    let job = service.ask("/v1/classify", &body(&["x", "y"]));
    while !service.read("/metrics").contains("safeguard_jobs_open 1") {}
    assert_eq!(service.post("/v1/classify", &body(&["z"])).status(), 429);
    for _ in 0..2 {
        hand.give.send(Outcome::Clear).unwrap();
    }
    service.finished(&job);
    while !service.read("/metrics").contains("safeguard_jobs_open 0") {}
    service.ask("/v1/classify", &body(&["z"]));
    hand.give.send(Outcome::Clear).unwrap();
}
