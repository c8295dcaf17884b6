//! Under load: bounded, by deadline, and nothing is judged for nobody.

use std::io::Write;
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use policy::{Cause, Content, Judge, JudgeSettings, Observer, Outcome, Policy, Verdict};
use serde_json::{Value, json};

use server::{Limits, ServerSettings};

use crate::keyed::{As, Shared};
use crate::running::{Running, ads, settings};

/// Says when it begins, and goes on when it is told to or nobody waits any more.
struct Gate {
    begun: Mutex<Sender<()>>,
    go: Mutex<Receiver<()>>,
    left: Mutex<Sender<()>>,
}

impl Judge for Gate {
    fn identity(&self) -> String {
        "gate".to_owned()
    }

    fn judge(
        &self,
        policy: &Policy,
        _: &Content,
        settings: &JudgeSettings,
        observer: &mut dyn Observer,
    ) -> Verdict {
        self.begun.lock().unwrap().send(()).unwrap();
        let end = std::time::Instant::now() + settings.timeout.unwrap();
        let outcome = loop {
            if self.go.lock().unwrap().recv_timeout(Duration::from_millis(5)).is_ok() {
                break Outcome::Clear;
            }
            if observer.is_cancelled() {
                self.left.lock().unwrap().send(()).unwrap();
                break Outcome::Undetermined(Cause::Cancelled);
            }
            if std::time::Instant::now() > end {
                break Outcome::Undetermined(Cause::Timeout);
            }
        };
        let none = Verdict::undetermined(Cause::Timeout, "", policy.reference(), "gate");
        Verdict { outcome, ..none }
    }
}

struct Hand {
    service: Running,
    begun: Receiver<()>,
    go: Sender<()>,
    left: Receiver<()>,
}

/// One judge at a time, two that wait.
fn narrow() -> Hand {
    hand(ServerSettings {
        limits: Limits { queue: 2, pairs: 2, ..Limits::default() },
        ..settings()
    })
}

/// One judge at a time, whom the test lets go on.
fn hand(mut settings: ServerSettings) -> Hand {
    let (begun, hears_begun) = channel();
    let (go, hears_go) = channel();
    let (left, hears_left) = channel();
    let gate = Gate { begun: Mutex::new(begun), go: Mutex::new(hears_go), left: Mutex::new(left) };
    settings.limits.in_flight = 1;
    settings.limits.shutdown_s = 5.0;
    let service = Running::start(settings, Arc::new(gate), ads());
    Hand { service, begun: hears_begun, go, left: hears_left }
}

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn a_full_queue_says_when_to_come_again_and_no_place_is_lost() {
    let hand = narrow();
    let one = json!({ "items": ["x"] });
    std::thread::scope(|scope| {
        let first = scope.spawn(|| hand.service.ask("/v1/classify", &one));
        hand.begun.recv_timeout(PATIENCE).unwrap();
        let second =
            scope.spawn(|| hand.service.ask("/v1/classify", &json!({ "items": ["y", "z"] })));
        while !hand.service.read("/metrics").contains("safeguard_queue_pairs 2") {
            std::thread::yield_now();
        }
        let response = hand.service.post("/v1/classify", &one);
        assert_eq!(response.status(), 429);
        let wait: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!(wait >= 1);
        let hasty = hand.service.post("/v1/moderations", &json!({ "input": "x" }));
        assert_eq!(hasty.status(), 429);
        for _ in 0..3 {
            hand.go.send(()).unwrap();
        }
        assert_eq!(first.join().unwrap()["action"], "allow");
        assert_eq!(second.join().unwrap()["results"].as_array().unwrap().len(), 2);
    });
}

#[test]
fn one_keys_flood_keeps_no_other_key_waiting_or_out() {
    const N: usize = 8;
    let shared = Shared::new();
    let [flood, other] = ["flood", "other"].map(|name| shared.secret(name, &["judge"]));
    let limits = Limits { queue: N, pairs: N, ..Limits::default() };
    let lent = ServerSettings { share_policies: true, limits, ..shared.settings() };
    let metrics = shared.secret("default", &["metrics"]);
    let hand = hand(lent);
    let (flood, other) = (As(&hand.service, &flood), As(&hand.service, &other));
    let n_waiting = || -> usize {
        let text = As(&hand.service, &metrics).get("/metrics").1;
        let line =
            text.as_str().unwrap().lines().find(|it| it.starts_with("safeguard_queue_pairs "));
        line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
    };
    let until = |n| {
        while n_waiting() != n {
            std::thread::yield_now();
        }
    };
    std::thread::scope(|scope| {
        let first = scope.spawn(|| flood.classify(&["x"], &["ads"]).0);
        hand.begun.recv_timeout(PATIENCE).unwrap();
        let many = scope.spawn(|| flood.classify(&["x"; N], &["ads"]).0);
        until(N);
        assert_eq!(flood.classify(&["x"], &["ads"]).0, 429, "the queue is full of its own");
        let little = scope.spawn(|| other.classify(&["y"], &["ads"]).0);
        until(N + 1);
        for _ in 0..3 {
            hand.go.send(()).unwrap();
        }
        assert_eq!(little.join().unwrap(), 200, "it came, and came in its turn");
        assert!(n_waiting() >= N - 3, "most of the flood still waits");
        for _ in 0..N {
            hand.go.send(()).unwrap();
        }
        assert_eq!((first.join().unwrap(), many.join().unwrap()), (200, 200));
    });
}

#[test]
fn a_deadline_that_cannot_be_met_is_refused_and_one_that_passes_is_undetermined() {
    let hand = narrow();
    let one = json!({ "items": ["x"] });
    std::thread::scope(|scope| {
        let first = scope.spawn(|| hand.service.ask("/v1/classify", &one));
        hand.begun.recv_timeout(PATIENCE).unwrap();
        let waits = scope.spawn(|| {
            hand.service.ask("/v1/classify", &json!({ "items": ["x"], "deadline_ms": 60_000 }))
        });
        while !hand.service.read("/metrics").contains("safeguard_queue_pairs 1") {
            std::thread::yield_now();
        }
        let late = hand.service.post("/v1/classify", &json!({ "items": ["x"], "deadline_ms": 1 }));
        let status = late.status();
        let problem: Value = late.json().unwrap();
        assert_eq!((status.as_u16(), &problem["type"]), (429, &json!("urn:safeguard:deadline")));
        hand.go.send(()).unwrap();
        hand.go.send(()).unwrap();
        drop((first.join(), waits.join()));
    });
    let reply = hand.service.ask(
        "/v1/classify",
        &json!({ "items": ["x"], "deadline_ms": 50, "on_undetermined": "block" }),
    );
    let result = &reply["results"][0];
    assert_eq!(
        (&result["verdict"]["cause"], &result["action"]),
        (&json!("timeout"), &json!("block"))
    );
}

#[test]
fn a_client_who_leaves_frees_its_work() {
    let hand = narrow();
    for (route, body) in [
        ("/v1/classify", json!({ "items": ["x", "y"] })),
        (
            "/v1/chat/completions",
            json!({ "model": "safeguard/ads", "stream": true, "messages": [{ "role": "user", "content": "x" }] }),
        ),
    ] {
        let connection = send(&hand.service.url, route, &body);
        hand.begun.recv_timeout(PATIENCE).unwrap();
        drop(connection);
        hand.left.recv_timeout(PATIENCE).expect("the judge is told");
    }
    hand.go.send(()).unwrap();
    assert_eq!(hand.service.ask("/v1/classify", &json!({ "items": ["x"] }))["action"], "allow");
    hand.begun.recv_timeout(PATIENCE).unwrap();
    assert!(hand.begun.try_recv().is_err(), "what waited for nobody was not begun");
}

/// Sends a request whose answer can be left unread.
fn send(url: &str, route: &str, body: &Value) -> TcpStream {
    let (host, body) = (url.strip_prefix("http://").unwrap(), body.to_string());
    let mut connection = TcpStream::connect(host).unwrap();
    let head = format!(
        "POST {route} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all(format!("{head}{body}").as_bytes()).unwrap();
    connection
}

struct Broken;

impl Judge for Broken {
    fn identity(&self) -> String {
        "broken".to_owned()
    }

    fn judge(&self, _: &Policy, _: &Content, _: &JudgeSettings, _: &mut dyn Observer) -> Verdict {
        panic!("as a judge might")
    }
}

#[test]
fn a_judge_that_panics_costs_its_verdict_only() {
    let service = Running::start(settings(), Arc::new(Broken), ads());
    for _ in 0..3 {
        let reply = service.ask("/v1/classify", &json!({ "items": ["x"] }));
        assert_eq!(reply["results"][0]["verdict"]["cause"], "backend_error");
        assert_eq!(reply["action"], "review");
    }
}
