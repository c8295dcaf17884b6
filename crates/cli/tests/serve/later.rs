//! Jobs as their callers know them: what was asked for, what webhooks told, and that the store says the same, however
//! often the service was killed in between.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use policy::{Cause, Outcome};
use reqwest::blocking::Client;
use serde_json::{Value, json};
use store::{DecisionFilter, Event, ItemState, Job, Store, Verification};

use crate::client;
use crate::receiver::{Received, Receiver, ok};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// Items of each job.
pub(crate) const N_ITEMS: usize = 3;
/// As `recorder.rs` of the server has it.
const TENANT: &str = "default";
/// Leases end soon after a kill. A life is short, so tries are many.
pub(crate) const SETTINGS: &str = "
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

/// A receiver that says of every fifth message that it could not take it.
pub(crate) fn busy_receiver() -> Receiver {
    let n_heard = AtomicUsize::new(0);
    Receiver::start(move |message| match n_heard.fetch_add(1, Ordering::Relaxed) % 5 {
        0 => "503 Service Unavailable".to_owned(),
        _ => ok(message),
    })
}

/// What clients asked for: the number of each request is its key, and the job that it was answered with, if it was.
pub(crate) struct Asked {
    hook: String,
    http: Client,
    jobs: Mutex<Vec<Option<String>>>,
}

impl Asked {
    pub(crate) fn new(hook: &str) -> Asked {
        Asked { hook: hook.to_owned(), http: client(), jobs: Mutex::default() }
    }

    /// Asks for one more job; whether it was answered.
    pub(crate) fn one_more(&self, url: &str) -> bool {
        let number = {
            let mut jobs = self.jobs.lock().unwrap();
            jobs.push(None);
            jobs.len() - 1
        };
        let job = self.ask(url, number);
        self.jobs.lock().unwrap()[number].clone_from(&job);
        job.is_some()
    }

    /// Sends again, under their old keys, all requests whose answer never came.
    pub(crate) fn ask_again(&self, url: &str) {
        let unsure: Vec<usize> = {
            let jobs = self.jobs.lock().unwrap();
            (0..jobs.len()).filter(|&number| jobs[number].is_none()).collect()
        };
        for number in unsure {
            let job = self.ask(url, number).expect("this life is long");
            self.jobs.lock().unwrap()[number] = Some(job);
        }
    }

    /// The jobs of requests that were answered.
    pub(crate) fn accepted(&self) -> BTreeSet<String> {
        self.jobs.lock().unwrap().iter().flatten().cloned().collect()
    }

    pub(crate) fn n_asked(&self) -> usize {
        self.jobs.lock().unwrap().len()
    }

    /// The job's id; `None` where the service went before its answer came.
    fn ask(&self, url: &str, number: usize) -> Option<String> {
        let key = format!("key-{number}");
        let items: Vec<String> = (0..N_ITEMS).map(|n| format!("Buy {key}, {n} times!")).collect();
        let webhook = json!({ "url": self.hook, "secret": SECRET });
        let body = json!({ "items": items, "mode": "async", "webhook": webhook });
        let request = self.http.post(format!("{url}/v1/classify")).header("idempotency-key", key);
        let response = request.json(&body).send().ok()?;
        let status = response.status();
        let text = response.text().ok()?;
        assert_eq!(status, 202, "{text}");
        let job: Value = serde_json::from_str(&text).unwrap();
        Some(job["id"].as_str().unwrap().to_owned())
    }
}

/// A job, or one of its items.
type About = (String, Option<String>);

/// What was told, by what it is about: the ids that it came under, and the decision.
#[derive(Default)]
pub(crate) struct Told(BTreeMap<About, (BTreeSet<String>, Option<String>)>);

impl Told {
    pub(crate) fn note(&mut self, message: &Received) {
        let told = message.json();
        let data = &told["data"];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let job = if told["type"] == "item.done" { &data["job"] } else { &data["id"] };
        let of = (text(job).unwrap(), text(&data["item"]));
        let (ids, decision) = self.0.entry(of).or_default();
        ids.insert(message.id().to_owned());
        let now = text(&data["decision"]);
        assert!(decision.is_none() || *decision == now, "two outcomes were told: {told}");
        *decision = now;
    }

    /// Takes what has come by now.
    pub(crate) fn note_all_now(&mut self, receiver: &Receiver) {
        while let Some(message) = receiver.next_now() {
            self.note(&message);
        }
    }

    /// Waits until the end of so many jobs was told, and the outcome of each of their items.
    pub(crate) fn await_all(&mut self, receiver: &Receiver, n_jobs: usize) {
        while self.0.len() < n_jobs * (N_ITEMS + 1) {
            self.note(&receiver.next());
        }
        self.note_all_now(receiver);
    }

    pub(crate) fn n_things(&self) -> usize {
        self.0.len()
    }
}

/// All jobs of a kind.
pub(crate) async fn jobs(store: &Store, kind: &str) -> Vec<Job> {
    let mut jobs: Vec<Job> = Vec::new();
    loop {
        let before = jobs.last().map(|job| job.id.clone());
        let page = store.jobs(TENANT, None, before.as_ref(), 1000).await.unwrap();
        if page.is_empty() {
            return jobs.into_iter().filter(|job| job.kind == kind).collect();
        }
        jobs.extend(page);
    }
}

/// Each item of a job has one outcome, and the job has no decision beside theirs. Returns them by item.
pub(crate) async fn settled_once(store: &Store, job: &Job) -> BTreeMap<String, String> {
    assert_eq!((job.n_done, job.n_cancelled), (job.n_items, 0), "{}", job.id);
    let filter = DecisionFilter { job: Some(job.id.clone()), ..DecisionFilter::default() };
    let decisions = store.decisions(&filter, 0, 1000).await.unwrap();
    assert_eq!(decisions.len() as i64, job.n_items, "one decision an item");
    let mut settled = BTreeMap::new();
    for item in store.items(&job.id, None, 1000).await.unwrap() {
        assert_eq!(item.state, ItemState::Done);
        let decision = item.decision.unwrap();
        assert_eq!(decision.item.as_ref(), Some(&item.id));
        assert!(decisions.iter().any(|it| it.decision.id == decision.id));
        assert_ne!(decision.outcome, Outcome::Undetermined(Cause::BackendError));
        settled.insert(item.id.to_string(), decision.id.to_string());
    }
    settled
}

/// Jobs, items, decisions, messages and the chain say the same.
pub(crate) async fn check(store: &Store, accepted: &BTreeSet<String>, told: &Told) {
    let jobs = jobs(store, "classify").await;
    let found: BTreeSet<String> = jobs.iter().map(|job| job.id.to_string()).collect();
    assert_eq!(found, *accepted, "each request is one job, and no job is lost");
    assert_eq!(told.n_things(), jobs.len() * (N_ITEMS + 1));
    for job in &jobs {
        let settled = settled_once(store, job).await;
        assert_eq!(settled.len(), N_ITEMS);
        for (item, decision) in settled {
            let (ids, told) = &told.0[&(job.id.to_string(), Some(item))];
            assert_eq!(ids.len(), 1, "one id however often it was told");
            assert_eq!(told.as_ref(), Some(&decision));
        }
        assert_eq!(told.0[&(job.id.to_string(), None)].0.len(), 1);
    }
    let deliveries = store.deliveries(TENANT, None, None, 1000).await.unwrap();
    assert!(deliveries.iter().all(|it| it.event != Event::DeadlinePassed));
    let chain = store.verify(None).await.unwrap();
    assert!(matches!(chain, Verification::Whole(_)), "{chain:?}");
    let (n_jobs, n_items) = (jobs.len(), jobs.len() * N_ITEMS);
    println!("{n_jobs} jobs, {n_items} items, each with one outcome");
}
