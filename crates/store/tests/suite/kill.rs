//! A process that accepts and settles jobs is killed at random, again and again: what it was told to be
//! stored is there, and every item has one outcome.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use policy::Outcome;
use store::{Completion, JobId, Store};

use crate::fixture::{TENANT, decision, job};
use crate::jobs::check_settled;
use crate::place::Place;

/// Tells a process of this binary to be the one that is killed; its value is the store.
const CHILD: &str = "SAFEGUARD_STORE_CHILD";
const N_ITEMS: usize = 3;
/// Longer than a child needs between lease and completion, shorter than the test waits at its end.
const LEASE: Duration = Duration::from_millis(300);

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_nothing_and_settle_nothing_twice() {
    kill(50).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute"]
async fn two_hundred_kills_lose_nothing() {
    kill(200).await;
}

/// Both databases at once.
async fn kill(n_kills: usize) {
    let on = |place: Place| async move {
        kill_on(&place, n_kills).await;
        place.remove().await;
    };
    let postgres = async {
        if let Some(place) = Place::postgres().await {
            on(place).await;
        }
    };
    tokio::join!(on(Place::sqlite().await), postgres);
}

async fn kill_on(place: &Place, n_kills: usize) {
    place.open().await.close().await;
    let (mut accepted, mut settled) = (Vec::new(), Vec::new());
    for _ in 0..n_kills {
        let url = place.url.clone();
        let lines = tokio::task::spawn_blocking(move || one_life(&url)).await.unwrap();
        for line in lines {
            match line.split_whitespace().collect::<Vec<_>>()[..] {
                ["accepted", id] => accepted.push(id.parse::<JobId>().unwrap()),
                ["settled", item, decision] => {
                    settled.push((item.to_owned(), decision.to_owned()));
                }
                _ => {}
            }
        }
    }
    assert!(accepted.len() >= n_kills / 2, "children accepted too little: {}", accepted.len());
    assert!(settled.len() >= n_kills / 2, "children settled too little: {}", settled.len());
    let store = place.open().await;
    while store.n_open_items().await.unwrap() > 0 {
        settle(&store, "last").await;
        tokio::time::sleep(LEASE / 4).await;
    }
    // Jobs that were stored while their maker was killed before it heard of it count too.
    let mut all: Vec<JobId> = Vec::new();
    loop {
        let page = store.jobs(TENANT, None, all.last(), 1000).await.unwrap();
        if page.is_empty() {
            break;
        }
        all.extend(page.into_iter().map(|job| job.id));
    }
    for id in &accepted {
        assert!(all.contains(id), "{id} was accepted and is lost");
    }
    for (item, decision) in settled {
        let decision = store.decision(None, &decision.parse().unwrap()).await.unwrap().decision;
        assert_eq!(decision.item.unwrap().as_str(), item);
    }
    check_settled(&store, &all, N_ITEMS as i64).await;
    store.close().await;
}

/// Starts a child, kills it at random, returns what it said.
fn one_life(url: &str) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::child", "--nocapture"])
        .env(CHILD, url)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut lines = Vec::new();
    for line in out.by_ref() {
        let line = line.unwrap();
        if line == "open" {
            break;
        }
    }
    // Some lines, so that children get somewhere however slow the machine is, and then a while.
    let mut chance = [0; 2];
    getrandom::fill(&mut chance).unwrap();
    lines.extend(out.by_ref().take(usize::from(chance[0] % 8)).map_while(Result::ok));
    std::thread::sleep(Duration::from_micros(u64::from(chance[1]) * 100));
    child.kill().unwrap();
    child.wait().unwrap();
    lines.extend(out.map_while(Result::ok));
    // The last line may be cut; ids of the wrong length would not parse.
    if lines.last().is_some_and(|line| !line.ends_with('.')) {
        lines.pop();
    }
    lines.iter().map(|line| line.trim_end_matches('.').to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn child() {
    let Ok(url) = std::env::var(CHILD) else { return };
    let store = Store::open(&url).await.unwrap();
    println!("\nopen");
    let worker = std::process::id().to_string();
    // Two that do both at once, so that a kill meets every kind of work.
    let live = |worker: String| {
        let store = store.clone();
        async move {
            loop {
                let (id, _) = store.accept(&job(N_ITEMS)).await.unwrap();
                println!("accepted {id}.");
                settle(&store, &worker).await;
            }
        }
    };
    tokio::join!(live(format!("{worker}a")), live(format!("{worker}b")));
}

/// Leases a few items and settles them.
async fn settle(store: &Store, worker: &str) {
    for item in store.lease(worker, 8, LEASE).await.unwrap() {
        let new = decision(Outcome::Violation);
        let id = new.id.clone();
        if let Completion::Stored(_) = store.complete(&item.id, new, None).await.unwrap() {
            println!("settled {} {id}.", item.id);
        }
    }
}
