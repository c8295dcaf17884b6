//! Requests a second and how long each takes; items a second of the same work in one process.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::connection::Connection;
use crate::program::{command, stderr};

/// How long one measurement takes.
const SPAN: Duration = Duration::from_secs(2);
/// How much longer the large run of `batch` is than the small one, at least.
const LONGER: Duration = Duration::from_secs(2);

/// A kind of request: what is sent where, and how many items it has.
#[derive(Clone, Copy)]
pub(super) struct Route {
    pub(super) name: &'static str,
    pub(super) path: &'static str,
    pub(super) n_items: usize,
    /// From as many texts as it has items.
    pub(super) body: fn(&[String]) -> Value,
}

/// What was measured with so many requests at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    pub(super) requests_s: f64,
    pub(super) p50: Duration,
    pub(super) p99: Duration,
}

/// Texts that never come twice.
pub(super) struct Texts {
    pub(super) make: fn(usize) -> String,
    n_made: AtomicUsize,
}

impl Texts {
    pub(super) fn new(make: fn(usize) -> String) -> Texts {
        Texts { make, n_made: AtomicUsize::new(0) }
    }

    pub(super) fn next(&self) -> String {
        (self.make)(self.n_made.fetch_add(1, Ordering::Relaxed))
    }
}

/// Asks for a while over so many connections, each of which waits for its reply before it asks again.
pub(super) fn rate(url: &str, route: &Route, texts: &Texts, n_at_once: usize) -> Rate {
    let begun = Instant::now();
    let ask_on = || {
        let mut connection = Connection::open(url);
        let mut took = Vec::new();
        while begun.elapsed() < SPAN {
            let items: Vec<String> = (0..route.n_items).map(|_| texts.next()).collect();
            took.push(connection.ask(route.path, &(route.body)(&items), "").whole);
        }
        took
    };
    let took: Vec<Duration> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..n_at_once).map(|_| scope.spawn(ask_on)).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    let requests_s = took.len() as f64 / begun.elapsed().as_secs_f64();
    Rate { requests_s, p50: quantile(&took, 0.5), p99: quantile(&took, 0.99) }
}

/// The smallest that at least this share is not above.
pub(super) fn quantile(took: &[Duration], share: f64) -> Duration {
    let mut took = took.to_vec();
    took.sort();
    took[((took.len() as f64 * share).ceil() as usize).clamp(1, took.len()) - 1]
}

/// Items a second of `safeguard batch` with so many at once, its start not counted: a large run less a small one.
pub(super) fn batch_rate(folder: &Path, texts: &Texts, more: &[&str], n_at_once: usize) -> f64 {
    let n_small = 16;
    let small = batch(folder, texts, more, n_at_once, n_small);
    let mut n_large = n_small * 8;
    loop {
        let large = batch(folder, texts, more, n_at_once, n_large);
        if large >= small + LONGER {
            return (n_large - n_small) as f64 / (large - small).as_secs_f64();
        }
        n_large *= 4;
    }
}

fn batch(
    folder: &Path,
    texts: &Texts,
    more: &[&str],
    n_at_once: usize,
    n_items: usize,
) -> Duration {
    let line = |n: usize| format!("{}\n", json!({ "id": n, "text": texts.next() }));
    let lines: String = (0..n_items).map(line).collect();
    std::fs::write(folder.join("in.jsonl"), lines).unwrap();
    let _ = std::fs::remove_file(folder.join("out.jsonl"));
    let n_at_once = n_at_once.to_string();
    let args = ["batch", "in.jsonl", "--policy", "policies/ads.md", "--out", "out.jsonl"];
    let usual = ["--max-analysis-tokens", "24", "--max-inflight", &n_at_once];
    let mut command = command(folder, &[&args[..], &usual, more].concat());
    let begun = Instant::now();
    let output = command.output().unwrap();
    let took = begun.elapsed();
    let verdicts = std::fs::read_to_string(folder.join("out.jsonl")).unwrap_or_default();
    assert_eq!(verdicts.lines().count(), n_items, "{}", stderr(&output));
    took
}

#[test]
fn quantiles_are_of_what_was_measured() {
    let took: Vec<Duration> = (1..=200).rev().map(Duration::from_millis).collect();
    assert_eq!(quantile(&took, 0.5), Duration::from_millis(100));
    assert_eq!(quantile(&took, 0.99), Duration::from_millis(198));
    assert_eq!(quantile(&took[..1], 0.5), Duration::from_millis(200));
}
