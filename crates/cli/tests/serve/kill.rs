//! `safeguard serve` is killed at random moments under load, again and again: what it accepted is there, each item
//! has one outcome, and its webhook heard of it at least once, under one id.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use policy::{Cause, Outcome};
use serde_json::{Value, json};
use store::{DecisionFilter, Event, ItemState, Store, Verification};
use tokio::runtime::Runtime;

use crate::place::Place;
use crate::receiver::{Received, Receiver, ok};
use crate::{Service, client};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const N_ITEMS: usize = 3;
/// Jobs that a client asks for in one life of the service.
const N_JOBS: usize = 3;
const N_CLIENTS: usize = 2;
/// As `recorder.rs` of the server has it.
const TENANT: &str = "default";
/// Leases end soon after a kill. A life is short, so tries are many.
const SETTINGS: &str = "
[serve.jobs]
in_flight = 4
lease_s = 0.5
attempts = 100000
[serve.webhooks]
allow_private = true
allow_http = true
timeout_s = 1.0
first_s = 0.02
longest_s = 0.2
tries = 1000
";

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
    let n_heard = AtomicUsize::new(0);
    let receiver =
        Receiver::start(move |message| match n_heard.fetch_add(1, Ordering::Relaxed) % 5 {
            0 => "503 Service Unavailable".to_owned(),
            _ => ok(message),
        });
    let load = Load { hook: receiver.url.clone(), ..Load::default() };
    for _ in 0..n_kills {
        let service = start(folder, &place.url);
        let url = service.url.clone();
        std::thread::scope(|scope| {
            for _ in 0..N_CLIENTS {
                scope.spawn(|| load.one_life(&url));
            }
            std::thread::sleep(Duration::from_millis(u64::from(chance()) * 2));
            service.kill();
        });
    }
    let service = start(folder, &place.url);
    load.ask_again(&service.url);
    let messages = all_messages(&receiver, &load.accepted());
    let (ended_well, _) = service.stop();
    assert!(ended_well);
    let store = runtime.block_on(place.open());
    runtime.block_on(check(&store, &load.accepted(), &messages));
    runtime.block_on(store.close());
}

fn start(folder: &Path, store: &str) -> Service {
    let log = File::options().append(true).create(true).open(folder.join("serve.log")).unwrap();
    Service::start_to(folder, &["--store", store], Stdio::from(log))
}

fn chance() -> u8 {
    let mut chance = [0];
    getrandom::fill(&mut chance).unwrap();
    chance[0]
}

/// What clients asked for: each request has a key, and the job it was answered with, if it was.
#[derive(Default)]
struct Load {
    hook: String,
    asked: Mutex<Vec<(String, Option<String>)>>,
}

impl Load {
    /// Asks until the service is gone, for some jobs at most.
    fn one_life(&self, url: &str) {
        for _ in 0..N_JOBS {
            let key = {
                let mut asked = self.asked.lock().unwrap();
                let key = format!("key-{}", asked.len());
                asked.push((key.clone(), None));
                key
            };
            match self.ask(url, &key) {
                Some(job) => self.note(&key, job),
                None => return,
            }
        }
    }

    /// Sends again, under their old keys, all requests whose answer never came.
    fn ask_again(&self, url: &str) {
        let unsure: Vec<String> = {
            let asked = self.asked.lock().unwrap();
            asked.iter().filter(|it| it.1.is_none()).map(|it| it.0.clone()).collect()
        };
        for key in unsure {
            let job = self.ask(url, &key).expect("this life is long");
            self.note(&key, job);
        }
    }

    fn note(&self, key: &str, job: String) {
        let mut asked = self.asked.lock().unwrap();
        asked.iter_mut().find(|it| it.0 == key).unwrap().1 = Some(job);
    }

    fn accepted(&self) -> BTreeSet<String> {
        self.asked.lock().unwrap().iter().map(|it| it.1.clone().unwrap()).collect()
    }

    /// The job's id; `None` where the service went before its answer came.
    fn ask(&self, url: &str, key: &str) -> Option<String> {
        let items: Vec<String> = (0..N_ITEMS).map(|n| format!("Buy {key}, {n} times!")).collect();
        let webhook = json!({ "url": self.hook, "secret": SECRET });
        let body = json!({ "items": items, "mode": "async", "webhook": webhook });
        let request = client().post(format!("{url}/v1/classify")).header("idempotency-key", key);
        let response = request.json(&body).send().ok()?;
        let status = response.status();
        let text = response.text().ok()?;
        assert_eq!(status, 202, "{text}");
        let job: Value = serde_json::from_str(&text).unwrap();
        Some(job["id"].as_str().unwrap().to_owned())
    }
}

/// All messages until each job's end and each of its items were told, by what they tell: the ids they came under
/// and the decision.
type Messages = BTreeMap<(String, Option<String>), (BTreeSet<String>, Option<String>)>;

fn all_messages(receiver: &Receiver, jobs: &BTreeSet<String>) -> Messages {
    let mut messages = Messages::new();
    let wanted = jobs.len() * (N_ITEMS + 1);
    let note = |message: &Received, messages: &mut Messages| {
        let told = message.json();
        let data = &told["data"];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let job = if told["type"] == "item.done" { &data["job"] } else { &data["id"] };
        let of = (text(job).unwrap(), text(&data["item"]));
        let (ids, decision) = messages.entry(of).or_default();
        ids.insert(message.id().to_owned());
        let now = text(&data["decision"]);
        assert!(decision.is_none() || *decision == now, "two outcomes were told: {told}");
        *decision = now;
    };
    while messages.len() < wanted {
        note(&receiver.next(), &mut messages);
    }
    while let Some(message) = receiver.next_now() {
        note(&message, &mut messages);
    }
    messages
}

/// Jobs, items, decisions, messages and the chain say the same.
async fn check(store: &Store, accepted: &BTreeSet<String>, messages: &Messages) {
    let mut jobs = Vec::new();
    loop {
        let before = jobs.last().map(|job: &store::Job| job.id.clone());
        let page = store.jobs(TENANT, None, before.as_ref(), 1000).await.unwrap();
        if page.is_empty() {
            break;
        }
        jobs.extend(page);
    }
    let found: BTreeSet<String> = jobs.iter().map(|job| job.id.to_string()).collect();
    assert_eq!(found, *accepted, "each request is one job, and no job is lost");
    assert_eq!(messages.len(), jobs.len() * (N_ITEMS + 1));
    for job in &jobs {
        assert_eq!((job.n_done, job.n_items), (N_ITEMS as i64, N_ITEMS as i64));
        let filter = DecisionFilter { job: Some(job.id.clone()), ..DecisionFilter::default() };
        let decisions = store.decisions(&filter, 0, 1000).await.unwrap();
        assert_eq!(decisions.len(), N_ITEMS, "one decision an item");
        for item in store.items(&job.id, None, 1000).await.unwrap() {
            assert_eq!(item.state, ItemState::Done);
            let decision = item.decision.unwrap();
            assert_eq!(decision.item.as_ref(), Some(&item.id));
            assert!(decisions.iter().any(|it| it.decision.id == decision.id));
            assert_ne!(decision.outcome, Outcome::Undetermined(Cause::BackendError));
            let of = (job.id.to_string(), Some(item.id.to_string()));
            let (ids, told) = &messages[&of];
            assert_eq!(ids.len(), 1, "one id however often it was told");
            assert_eq!(told.as_deref(), Some(decision.id.as_str()));
        }
        assert_eq!(messages[&(job.id.to_string(), None)].0.len(), 1);
    }
    let deliveries = store.deliveries(TENANT, None, None, 1000).await.unwrap();
    assert!(deliveries.iter().all(|it| it.event != Event::DeadlinePassed));
    let chain = store.verify(None).await.unwrap();
    assert!(matches!(chain, Verification::Whole(_)), "{chain:?}");
    let (n_jobs, n_items) = (jobs.len(), jobs.len() * N_ITEMS);
    println!("{n_jobs} jobs, {n_items} items, each with one outcome");
}
