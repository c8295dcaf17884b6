//! `safeguard serve` is killed at random moments under load, again and again: what it accepted is there, each item
//! has one outcome, and its webhook heard of it at least once, under one id.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::Service;
use crate::later::{Asked, SETTINGS, Told, busy_receiver, check};
use crate::place::Place;

/// Jobs that a client asks for in one life of the service.
const N_JOBS: usize = 3;
const N_CLIENTS: usize = 2;

#[test]
fn kills_lose_nothing_and_settle_nothing_twice() {
    on_each(10);
}

/// `cargo test -p cli --test serve -- --ignored kills`
#[test]
#[ignore = "takes minutes"]
fn two_hundred_kills_lose_nothing() {
    on_each(200);
}

fn on_each(n_kills: usize) {
    let runtime = Runtime::new().unwrap();
    let sqlite = runtime.block_on(Place::sqlite());
    kill(&runtime, &sqlite, n_kills);
    if let Some(postgres) = runtime.block_on(Place::postgres()) {
        kill(&runtime, &postgres, n_kills);
        runtime.block_on(postgres.remove());
    }
}

fn kill(runtime: &Runtime, place: &Place, n_kills: usize) {
    let folder = place.folder.path();
    std::fs::write(folder.join("safeguard.toml"), SETTINGS).unwrap();
    let receiver = busy_receiver();
    let asked = Asked::new(&receiver.url);
    for _ in 0..n_kills {
        let service = start(folder, &place.url);
        let url = service.url.clone();
        std::thread::scope(|scope| {
            for _ in 0..N_CLIENTS {
                // Asks until the service is gone, for some jobs at most.
                scope.spawn(|| (0..N_JOBS).all(|_| asked.one_more(&url)));
            }
            std::thread::sleep(Duration::from_millis(u64::from(chance()) * 2));
            service.kill();
        });
    }
    let service = start(folder, &place.url);
    asked.ask_again(&service.url);
    let mut told = Told::default();
    told.await_all(&receiver, asked.accepted().len());
    let (ended_well, _) = service.stop();
    assert!(ended_well);
    let store = runtime.block_on(place.open());
    runtime.block_on(check(&store, &asked.accepted(), &told));
    runtime.block_on(store.close());
}

fn start(folder: &Path, store: &str) -> Service {
    let log = File::options().append(true).create(true).open(folder.join("serve.log")).unwrap();
    Service::start_to(folder, &["--store", store], Stdio::from(log))
}

pub(crate) fn chance() -> u8 {
    let mut chance = [0];
    getrandom::fill(&mut chance).unwrap();
    chance[0]
}
