//! `safeguard serve` under mixed load for a long time: killed at random moments in the first two thirds, left alone in
//! the last. Nothing that was accepted is lost, nothing is settled twice, and what the process holds does not grow.
//!
//! `cargo test -p cli --test serve -- --ignored soak --nocapture` takes half an hour. `SAFEGUARD_SOAK_MINUTES` sets
//! another length, `SAFEGUARD_SOAK_SAMPLES` a file for the samples of memory, `SAFEGUARD_SOAK_STORE=postgres` the
//! other kind of store, and `SAFEGUARD_TEST_PROGRAM` another program, such as a release.

mod load;
mod memory;

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use store::{DecisionId, Store};
use tokio::runtime::Runtime;

use crate::kill::chance;
use crate::later::{self, Told, busy_receiver};
use crate::place::Place;
use crate::program::{command, stderr, stdout};
use crate::receiver::Receiver;
use crate::{Service, client, upstream};
use load::{EndsAll, Load};
use memory::{Sample, Samples, mean, slope};

const N_CLIENTS: usize = 4;
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// The pause of the guarded model before each piece of a reply.
const PAUSE: Duration = Duration::from_millis(5);
/// The share of the run in which the service is killed.
const KILLS: f64 = 2.0 / 3.0;
/// A life that is shorter, in seconds, fills its caches to its end.
const TELLING_S: f64 = 300.0;

#[test]
#[ignore = "takes half an hour"]
fn soak() {
    let minutes = std::env::var("SAFEGUARD_SOAK_MINUTES");
    let minutes: f64 = minutes.map_or(30.0, |it| it.parse().expect("minutes"));
    let runtime = Runtime::new().unwrap();
    let place = match std::env::var("SAFEGUARD_SOAK_STORE").as_deref() {
        Ok("postgres") => runtime.block_on(Place::postgres()).expect("PostgreSQL"),
        _ => runtime.block_on(Place::sqlite()),
    };
    run(&runtime, &place, Duration::from_secs_f64(minutes * 60.0));
    runtime.block_on(place.remove());
}

fn run(runtime: &Runtime, place: &Place, length: Duration) {
    let folder = place.folder.path();
    let guard = format!("[serve.guard]\nupstream = \"{}\"\n", upstream::start(PAUSE));
    std::fs::write(folder.join("safeguard.toml"), later::SETTINGS.to_owned() + &guard).unwrap();
    let receiver = busy_receiver();
    let load = Load::new(&receiver.url);
    let told = Mutex::new(Told::default());
    let file = std::env::var_os("SAFEGUARD_SOAK_SAMPLES").map(Into::into);
    let samples = Samples::new(&file.unwrap_or_else(|| folder.join("samples.jsonl")));
    let samples = Mutex::new(samples);
    let pid = AtomicU32::default();
    let n_lives = AtomicUsize::default();
    let is_done = AtomicBool::default();
    let receiver = Mutex::new(receiver);
    let service = std::thread::scope(|scope| {
        let _ends = [EndsAll(&load.is_over), EndsAll(&is_done)];
        scope.spawn(|| listen(&receiver, &told, &load, &is_done));
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                samples
                    .lock()
                    .unwrap()
                    .take(pid.load(Ordering::Relaxed), n_lives.load(Ordering::Relaxed));
                std::thread::sleep(SAMPLE_EVERY);
            }
        });
        let clients: Vec<_> = (0..N_CLIENTS).map(|_| scope.spawn(|| load.ask_on())).collect();
        let lives = Lives { folder, store: &place.url, load: &load, pid: &pid, n_lives: &n_lives };
        let service = lives.live(length);
        load.is_over.store(true, Ordering::Relaxed);
        let are_well = clients.into_iter().all(|client| client.join().is_ok());
        is_done.store(true, Ordering::Relaxed);
        assert!(are_well, "a client met a fault; it is told above");
        service
    });
    let (receiver, mut told) = (receiver.into_inner().unwrap(), told.into_inner().unwrap());
    load.asked.ask_again(&service.url);
    told.await_all(&receiver, load.asked.accepted().len());
    await_batches(&service.url, &load.batches.lock().unwrap());
    let (ended_well, _) = service.stop();
    assert!(ended_well);
    let grows = report(&load, n_lives.into_inner(), &samples.into_inner().unwrap());
    let verified = command(folder, &["audit", "verify", "--store", &place.url]).output().unwrap();
    assert!(verified.status.success(), "{}{}", stdout(&verified), stderr(&verified));
    println!("audit verify: {}", stdout(&verified).trim());
    let store = runtime.block_on(place.open());
    let (batches, heard) = (load.batches.into_inner().unwrap(), load.heard.into_inner().unwrap());
    runtime.block_on(async {
        later::check(&store, &load.asked.accepted(), &told).await;
        check_batches(&store, &batches).await;
        check_heard(&store, &heard).await;
        store.close().await;
    });
    assert!(!grows, "the process grows");
}

/// Takes what webhooks tell, so that clients know how much is open.
fn listen(receiver: &Mutex<Receiver>, told: &Mutex<Told>, load: &Load, is_done: &AtomicBool) {
    while !is_done.load(Ordering::Relaxed) {
        let mut told = told.lock().unwrap();
        told.note_all_now(&receiver.lock().unwrap());
        load.n_told.store(told.n_things(), Ordering::Relaxed);
        drop(told);
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// One service after the other over one store.
struct Lives<'a> {
    folder: &'a Path,
    store: &'a str,
    load: &'a Load,
    pid: &'a AtomicU32,
    n_lives: &'a AtomicUsize,
}

impl Lives<'_> {
    /// Kills and starts again, then leaves the last one alone until the time is over.
    fn live(&self, length: Duration) -> Service {
        let begun = Instant::now();
        let mut service = self.begin();
        while begun.elapsed() < length.mul_f64(KILLS) && !self.load.is_over.load(Ordering::Relaxed)
        {
            // Between 1 and 14 seconds.
            self.wait(Duration::from_millis(1000 + u64::from(chance()) * 50));
            *self.load.life.lock().unwrap() = None;
            service.kill();
            service = self.begin();
        }
        self.wait(length.saturating_sub(begun.elapsed()));
        service
    }

    fn begin(&self) -> Service {
        let log = self.folder.join("serve.log");
        let log = File::options().append(true).create(true).open(log).unwrap();
        // So much for keys and values is soon full.
        let args = ["--store", self.store, "--kv-mb", "128"];
        let service = Service::start_to(self.folder, &args, Stdio::from(log));
        self.pid.store(service.pid(), Ordering::Relaxed);
        let life = self.n_lives.fetch_add(1, Ordering::Relaxed) + 1;
        *self.load.life.lock().unwrap() = Some((life, service.url.clone()));
        service
    }

    /// Until the time is over, or a client met a fault.
    fn wait(&self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end && !self.load.is_over.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Waits until each batch has its files, and each file its lines.
fn await_batches(url: &str, batches: &[String]) {
    let http = client();
    let read = |path: String| http.get(format!("{url}{path}")).send().unwrap().text().unwrap();
    for id in batches {
        let batch = loop {
            let batch: Value = serde_json::from_str(&read(format!("/v1/batches/{id}"))).unwrap();
            if !["in_progress", "finalizing"].contains(&batch["status"].as_str().unwrap()) {
                break batch;
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        assert_eq!(batch["status"], "completed", "{batch}");
        let mut ids: Vec<String> = Vec::new();
        for file in [&batch["output_file_id"], &batch["error_file_id"]] {
            let Some(file) = file.as_str() else { continue };
            for line in read(format!("/v1/files/{file}/content")).lines() {
                let line: Value = serde_json::from_str(line).unwrap();
                ids.push(line["custom_id"].as_str().unwrap().to_owned());
            }
        }
        ids.sort();
        assert_eq!(ids, (0..load::N_LINES).map(|it| it.to_string()).collect::<Vec<_>>(), "{batch}");
    }
}

/// Each batch that was answered is there, and each of its items, and those of batches whose answer was cut, has one
/// outcome.
async fn check_batches(store: &Store, batches: &[String]) {
    let jobs = later::jobs(store, "batch").await;
    for job in &jobs {
        let settled = later::settled_once(store, job).await;
        assert_eq!(settled.len(), load::N_LINES);
        assert!(job.conclusion.is_some(), "{} has no files", job.id);
    }
    let n_answered = batches.len();
    assert!(jobs.len() >= n_answered, "{} batches of {n_answered} are there", jobs.len());
    println!("{n_answered} batches answered, {} there, each request with one outcome", jobs.len());
}

/// Every decision that a caller heard of at once is in the store as it was told.
async fn check_heard(store: &Store, heard: &[(String, String)]) {
    for (id, outcome) in heard {
        let id: DecisionId = id.parse().unwrap();
        let stored = store.decision(None, &id).await.unwrap();
        assert_eq!(stored.decision.outcome.names().0, outcome, "{id}");
    }
    println!("{} decisions that callers of /v1/classify heard of are stored as told", heard.len());
}

/// Tells all figures; returns whether the last life went on to grow once its caches were full.
fn report(load: &Load, n_lives: usize, samples: &Samples) -> bool {
    let answers = load.answers.lock().unwrap();
    println!("{} requests, {} kills", answers.values().sum::<u64>(), n_lives - 1);
    for ((kind, told), n) in &*answers {
        println!("  {kind:16} {told:7} {n:8}");
    }
    let mib = |bytes: f64| bytes / f64::from(1 << 20);
    println!("most memory that any life held: {:.1} MiB", mib(samples.peak() as f64));
    let last = samples.of_life(n_lives, 0.0);
    let (first, end) = (last.first().expect("a sample"), last.last().expect("a sample"));
    let length_s = end.at_s - first.at_s;
    let line = |name: &str, it: &Sample| {
        let (resident, threads, files) = (mib(it.resident as f64), it.n_threads, it.n_files);
        println!("  {name}: {resident:.1} MiB, {threads} threads, {files} files");
    };
    println!("the last life, {length_s:.0} s without a kill:");
    line("at its start", first);
    // Caches and pools fill up first.
    let warm = samples.of_life(n_lives, length_s / 3.0);
    line("after a third", &warm[0]);
    line("at its end", end);
    let grows = slope(&warm) * 3600.0;
    println!("  slope of its last two thirds: {:+.2} MiB an hour", mib(grows));
    let (before, after) = warm.split_at(warm.len() / 2);
    let (before, after) = (mean(before), mean(after));
    println!("  mean of either half of these: {:.1} and {:.1} MiB", mib(before), mib(after));
    let has_more = end.n_threads > warm[0].n_threads + 8 || end.n_files > warm[0].n_files + 16;
    length_s > TELLING_S && (has_more || after > before * 1.02 + f64::from(4 << 20))
}
