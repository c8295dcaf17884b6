//! Clients of every kind: each asks again and again, and holds every answer against what was promised.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::blocking::{Client, RequestBuilder};
use serde_json::{Value, json};

use crate::kill::chance;
use crate::later::{Asked, N_ITEMS};
use crate::{client, upstream};

/// Things of jobs that may be open before clients leave jobs alone for a while.
const MOST_OPEN: usize = 400;
/// Requests of a batch.
pub(super) const N_LINES: usize = 5;
/// Cuts the parts of an upload.
const CUT: &str = "safeguard-soak-cut";

/// The service as clients know it: which life it is in, and where. `None` while it is down.
pub(super) type Life = Option<(usize, String)>;

/// What all clients share.
pub(super) struct Load {
    http: Client,
    pub(super) asked: Asked,
    /// What webhooks told, counted by whoever hears it.
    pub(super) n_told: AtomicUsize,
    pub(super) life: Mutex<Life>,
    pub(super) is_over: AtomicBool,
    /// Decisions that callers heard of, with their outcomes.
    pub(super) heard: Mutex<Vec<(String, String)>>,
    /// Batches that were answered.
    pub(super) batches: Mutex<Vec<String>>,
    /// Answers by kind of request and status; `broken` is a connection that a kill cut.
    pub(super) answers: Mutex<BTreeMap<(&'static str, String), u64>>,
}

/// What became of a request: its status, or nothing where the connection broke.
type Answer = Option<u16>;

impl Load {
    pub(super) fn new(hook: &str) -> Load {
        Load {
            http: client(),
            asked: Asked::new(hook),
            n_told: AtomicUsize::default(),
            life: Mutex::default(),
            is_over: AtomicBool::default(),
            heard: Mutex::default(),
            batches: Mutex::default(),
            answers: Mutex::default(),
        }
    }

    /// One client, until the end.
    pub(super) fn ask_on(&self) {
        let _ends = EndsAll(&self.is_over);
        while !self.is_over.load(Ordering::Relaxed) {
            let life = self.life.lock().unwrap().clone();
            let Some((number, url)) = life else {
                std::thread::sleep(Duration::from_millis(10));
                continue;
            };
            let (kind, answer) = self.ask(&url);
            let told = answer.map_or_else(|| "broken".to_owned(), |status| status.to_string());
            *self.answers.lock().unwrap().entry((kind, told)).or_default() += 1;
            if answer.is_none() {
                let now = self.life.lock().unwrap().clone();
                let is_same = now.is_some_and(|(now, _)| now == number);
                assert!(!is_same, "{kind}: a connection broke, and nobody killed the service");
            }
        }
    }

    fn ask(&self, url: &str) -> (&'static str, Answer) {
        match chance() % 16 {
            0..5 => ("classify", self.classify(url)),
            5..8 => ("moderations", self.moderations(url)),
            8 | 9 => ("judge", self.judge(url)),
            10 => ("judge, streamed", self.judge_streamed(url)),
            11 | 12 => ("guard, streamed", self.guarded(url)),
            15 => ("batch", self.batch(url)),
            _ if self.n_open() > MOST_OPEN => ("moderations", self.moderations(url)),
            _ => ("job", self.asked.one_more(url).then_some(202)),
        }
    }

    /// Ends and items of jobs that nothing was told of yet.
    fn n_open(&self) -> usize {
        let n_things = self.asked.n_asked() * (N_ITEMS + 1);
        n_things.saturating_sub(self.n_told.load(Ordering::Relaxed))
    }

    fn post(&self, url: &str, route: &str, body: &Value) -> RequestBuilder {
        self.http.post(format!("{url}{route}")).json(body)
    }

    fn classify(&self, url: &str) -> Answer {
        let items = [(); 2].map(|()| text());
        let (status, reply) = send(self.post(url, "/v1/classify", &json!({ "items": items })))?;
        let results = reply["results"].as_array().map_or(&[][..], Vec::as_slice);
        assert!(status != 200 || results.len() == items.len(), "{reply}");
        for result in results {
            let word =
                |value: &Value| value.as_str().unwrap_or_else(|| panic!("{reply}")).to_owned();
            let decided = (word(&result["decision"]), word(&result["verdict"]["outcome"]));
            self.heard.lock().unwrap().push(decided);
        }
        Some(status)
    }

    fn moderations(&self, url: &str) -> Answer {
        let body = json!({ "input": [text(), text()] });
        let (status, reply) = send(self.post(url, "/v1/moderations", &body))?;
        let n_results = reply["results"].as_array().map(Vec::len);
        assert!(status != 200 || n_results == Some(2), "{reply}");
        Some(status)
    }

    fn judge(&self, url: &str) -> Answer {
        let body = json!({ "model": "safeguard/ads", "messages": [{ "role": "user", "content": text() }] });
        let (status, reply) = send(self.post(url, "/v1/chat/completions", &body))?;
        if status == 200 {
            let verdict = reply["choices"][0]["message"]["content"].as_str().unwrap();
            let verdict: Value = serde_json::from_str(verdict).unwrap();
            assert!(verdict["violation"].is_number(), "{reply}");
        }
        Some(status)
    }

    fn judge_streamed(&self, url: &str) -> Answer {
        let body = json!({ "model": "safeguard/ads", "stream": true, "messages": [{ "role": "user", "content": text() }] });
        let (said, last) = self.streamed(url, &body)?;
        if last["error"]["code"] == "undetermined" {
            return Some(503);
        }
        assert_eq!(last["choices"][0]["finish_reason"], "stop", "{last}");
        let verdict: Value = serde_json::from_str(&said).unwrap();
        assert!(verdict["violation"].is_number(), "{verdict}");
        Some(200)
    }

    fn guarded(&self, url: &str) -> Answer {
        let body = json!({ "model": "gpt-x", "stream": true, "messages": [{ "role": "user", "content": text() }] });
        let (said, last) = self.streamed(url, &body)?;
        let whole = upstream::reply();
        match last["choices"][0]["finish_reason"].as_str() {
            Some("stop") => assert_eq!(said, whole),
            Some("content_filter") => assert!(whole.starts_with(&said), "{said}"),
            _ => panic!("a reply without an end: {last}"),
        }
        Some(200)
    }

    /// The text of a stream, and its last chunk.
    fn streamed(&self, url: &str, body: &Value) -> Option<(String, Value)> {
        let response = self.post(url, "/v1/chat/completions", body).send().ok()?;
        assert_eq!(response.status(), 200);
        let raw = response.text().ok()?;
        // What was cut has no end; what has an end is whole.
        let (events, _) = raw.split_once("data: [DONE]")?;
        let chunks: Vec<Value> = events
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .map(|chunk| serde_json::from_str(chunk).unwrap())
            .collect();
        let said =
            |chunk: &Value| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned);
        Some((chunks.iter().filter_map(said).collect(), chunks.last().unwrap().clone()))
    }

    fn batch(&self, url: &str) -> Answer {
        let line = |number: usize| {
            let body = json!({ "items": [text()] });
            json!({ "custom_id": number.to_string(), "method": "POST", "url": "/v1/classify", "body": body }).to_string()
        };
        let lines: Vec<String> = (0..N_LINES).map(line).collect();
        let part = |head: &str, body: &str| {
            format!("--{CUT}\r\ncontent-disposition: form-data; {head}\r\n\r\n{body}\r\n")
        };
        let purpose = part("name=\"purpose\"", "batch");
        let file = part("name=\"file\"; filename=\"in.jsonl\"", &lines.join("\n"));
        let upload = self.http.post(format!("{url}/v1/files"));
        let upload = upload.header("content-type", format!("multipart/form-data; boundary={CUT}"));
        let (status, file) = send(upload.body(format!("{purpose}{file}--{CUT}--\r\n")))?;
        assert_eq!(status, 200, "{file}");
        let body = json!({ "input_file_id": file["id"], "endpoint": "/v1/classify", "completion_window": "24h" });
        let (status, batch) = send(self.post(url, "/v1/batches", &body))?;
        assert_eq!(status, 200, "{batch}");
        self.batches.lock().unwrap().push(batch["id"].as_str().unwrap().to_owned());
        Some(status)
    }
}

/// The status and the body; nothing where the connection broke. Only an item that could not be decided, or a full
/// queue, is a reason not to answer with 200.
fn send(request: RequestBuilder) -> Option<(u16, Value)> {
    let response = request.send().ok()?;
    let status = response.status().as_u16();
    let reply: Value = serde_json::from_str(&response.text().ok()?).unwrap();
    let is_undecided = status == 503 && reply["error"]["code"] == "undetermined";
    assert!(status == 200 || status == 429 || is_undecided, "{status}: {reply}");
    Some((status, reply))
}

/// A text that did not come before.
fn text() -> String {
    let number = u64::from_le_bytes([(); 8].map(|()| chance()));
    format!("Offer {number}: beans from my garden")
}

/// Where one thread finds a fault, the run is over for all.
pub(super) struct EndsAll<'a>(pub(super) &'a AtomicBool);

impl Drop for EndsAll<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}
