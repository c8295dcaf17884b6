//! How many decisions a second a store takes, each on the disk before its caller goes on.
//!
//! `cargo run --release -p store --example throughput -- URL` prints one line for each number of callers.

use std::time::{Duration, Instant};

use policy::{Cause, Content, PolicyId, PolicyRef, Verdict};
use store::{DecisionId, Millis, NewDecision, Origin, Sampling, Store, StoreError};

const SPAN: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() -> Result<(), StoreError> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "sqlite:throughput.db".to_owned());
    let store = Store::open(&url).await?;
    for n_callers in [1, 8, 64] {
        let start = Instant::now();
        let callers = (0..n_callers).map(|_| tokio::spawn(call(store.clone(), start)));
        let mut n_decisions = 0;
        for caller in callers.collect::<Vec<_>>() {
            n_decisions += caller.await.map_err(|_| StoreError::Closed)??;
        }
        let rate = f64::from(n_decisions) / start.elapsed().as_secs_f64();
        println!("{n_callers} callers: {rate:.0} decisions a second");
    }
    let start = Instant::now();
    let found = store.verify(None).await?;
    println!("verified in {:.2} s: {found:?}", start.elapsed().as_secs_f64());
    store.close().await;
    Ok(())
}

/// Stores decisions one after the other for a while; returns how many.
async fn call(store: Store, start: Instant) -> Result<u32, StoreError> {
    let mut n_decisions = 0;
    while start.elapsed() < SPAN {
        store.record(decision()?).await?;
        n_decisions += 1;
    }
    Ok(n_decisions)
}

fn decision() -> Result<NewDecision, StoreError> {
    let now = Millis::now();
    let policy = PolicyRef { name: "p".to_owned(), id: PolicyId("0".repeat(64)) };
    Ok(NewDecision {
        id: DecisionId::new(now)?,
        at: now,
        origin: Origin { tenant: "t".to_owned(), ..Origin::default() },
        sampling: Sampling::default(),
        verdict: Verdict::undetermined(Cause::Timeout, "x".repeat(500), policy, "m"),
        content: Content::text("x".repeat(500)),
        keep_content: true,
    })
}
