//! A small hub on this machine: the API, the redirect to a storage on another port, and trouble.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, Response, StatusCode, header};
use axum::routing::get;
use axum::{Json, Router};
use futures_util::stream;
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What goes wrong, and how often.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    /// For each file, after how many bytes each of its first replies breaks off.
    pub(crate) cuts: BTreeMap<String, VecDeque<usize>>,
    /// Replies in place of the right ones, while there are any, to requests whose path ends so.
    pub(crate) replies: Vec<Reply>,
    /// The storage sends whole files whatever the range.
    pub(crate) ignores_ranges: bool,
    /// A file whose bytes come out altered.
    pub(crate) alters: Option<String>,
    /// A file that is said to have another size.
    pub(crate) claims: Option<(String, u64)>,
    /// Names that the list has beside the files.
    pub(crate) lists_also: Vec<String>,
    /// How long the storage thinks before each reply.
    pub(crate) thinks: Duration,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    pub(crate) path: &'static str,
    /// How many such requests are served rightly before.
    pub(crate) skips: usize,
    pub(crate) times: usize,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
}

/// A request as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) to_storage: bool,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
    pub(crate) range: Option<String>,
    pub(crate) if_range: Option<String>,
}

/// The hub; it stops when dropped.
pub(crate) struct Hub {
    pub(crate) endpoint: String,
    inner: Arc<Inner>,
    _runtime: tokio::runtime::Runtime,
}

struct Inner {
    files: BTreeMap<String, Vec<u8>>,
    storage: String,
    trouble: Mutex<Trouble>,
    seen: Mutex<Vec<Seen>>,
}

impl Hub {
    pub(crate) fn start(files: &[(&str, Vec<u8>)], trouble: Trouble) -> Hub {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.unwrap();
        let bind = || runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let (hub, storage) = (bind(), bind());
        let address = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
        let endpoint = address(&hub);
        let inner = Arc::new(Inner {
            files: files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.clone())).collect(),
            storage: address(&storage),
            trouble: Mutex::new(trouble),
            seen: Mutex::default(),
        });
        let api = Router::new()
            .route("/api/models/{org}/{name}/revision/{revision}", get(list))
            .route("/{org}/{name}/resolve/{commit}/{file}", get(resolve))
            .with_state(Arc::clone(&inner));
        let blobs = Router::new().route("/{file}", get(blob)).with_state(Arc::clone(&inner));
        runtime.spawn(async move { axum::serve(hub, api).await });
        runtime.spawn(async move { axum::serve(storage, blobs).await });
        Hub { endpoint, inner, _runtime: runtime }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.inner.seen.lock().unwrap().clone()
    }

    pub(crate) fn forget(&self) {
        self.inner.seen.lock().unwrap().clear();
    }

    /// Requests to the storage for one file.
    pub(crate) fn fetches(&self, file: &str) -> Vec<Seen> {
        let path = format!("/{file}");
        self.seen().into_iter().filter(|seen| seen.to_storage && seen.path == path).collect()
    }

    pub(crate) fn set_trouble(&self, trouble: Trouble) {
        *self.inner.trouble.lock().unwrap() = trouble;
    }
}

/// As the hub names files: large ones by SHA-256, small ones by git's hash.
pub(crate) fn etag(name: &str, bytes: &[u8]) -> String {
    if is_large(name) {
        hex(&Sha256::digest(bytes))
    } else {
        let header = format!("blob {}\0", bytes.len());
        hex(&Sha1::new().chain_update(header).chain_update(bytes).finalize())
    }
}

fn is_large(name: &str) -> bool {
    name.ends_with(".safetensors")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Inner {
    /// Notes a request; the reply that is set for it, if there is one.
    fn see(
        &self,
        to_storage: bool,
        method: &Method,
        path: String,
        headers: &HeaderMap,
    ) -> Option<Response<Body>> {
        let text = |name| headers.get(name).map(|v| v.to_str().unwrap().to_owned());
        let seen = Seen {
            to_storage,
            method: method.to_string(),
            path: path.clone(),
            authorization: text(header::AUTHORIZATION),
            range: text(header::RANGE),
            if_range: text(header::IF_RANGE),
        };
        self.seen.lock().unwrap().push(seen);
        let mut trouble = self.trouble.lock().unwrap();
        let mut set = trouble.replies.iter_mut();
        let reply = set.find(|reply| reply.times > 0 && path.ends_with(reply.path))?;
        if reply.skips > 0 {
            reply.skips -= 1;
            return None;
        }
        reply.times -= 1;
        let mut response = Response::builder().status(reply.status);
        for (name, value) in &reply.headers {
            response = response.header(*name, value);
        }
        Some(response.body(Body::empty()).unwrap())
    }
}

async fn list(
    State(hub): State<Arc<Inner>>,
    Path((org, name, revision)): Path<(String, String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Response<Body> {
    let path = format!("/api/models/{org}/{name}/revision/{revision}");
    if let Some(reply) = hub.see(false, &method, path, &headers) {
        return reply;
    }
    let trouble = hub.trouble.lock().unwrap();
    let names = hub.files.keys().chain(&trouble.lists_also);
    let siblings: Vec<Value> = names.map(|name| json!({ "rfilename": name })).collect();
    let info = json!({ "id": format!("{org}/{name}"), "sha": COMMIT, "siblings": siblings });
    axum::response::IntoResponse::into_response(Json(info))
}

/// Small files at once, large ones by a redirect that says what they are.
async fn resolve(
    State(hub): State<Arc<Inner>>,
    Path((org, name, commit, file)): Path<(String, String, String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Response<Body> {
    let path = format!("/{org}/{name}/resolve/{commit}/{file}");
    if let Some(reply) = hub.see(false, &method, path, &headers) {
        return reply;
    }
    let Some(bytes) = hub.files.get(&file).filter(|_| commit == COMMIT) else {
        let reply = Response::builder().status(404).header("x-error-code", "EntryNotFound");
        return reply.body(Body::empty()).unwrap();
    };
    let etag = format!("\"{}\"", etag(&file, bytes));
    let reply = Response::builder().header("x-repo-commit", COMMIT);
    if !is_large(&file) {
        return reply.header("etag", etag).body(Body::from(bytes.clone())).unwrap();
    }
    let claims = hub.trouble.lock().unwrap().claims.clone();
    let size = claims.filter(|(name, _)| *name == file).map_or(bytes.len() as u64, |(_, n)| n);
    reply
        .status(302)
        .header("x-linked-etag", etag)
        .header("x-linked-size", size)
        .header("location", format!("{}/{file}?signature=a-secret", hub.storage))
        .body(Body::from("Found. Redirecting"))
        .unwrap()
}

async fn blob(
    State(hub): State<Arc<Inner>>,
    Path(file): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Response<Body> {
    if let Some(reply) = hub.see(true, &method, format!("/{file}"), &headers) {
        return reply;
    }
    let thinks = hub.trouble.lock().unwrap().thinks;
    tokio::time::sleep(thinks).await;
    let mut trouble = hub.trouble.lock().unwrap();
    let mut bytes = hub.files[&file].clone();
    if trouble.alters.as_deref() == Some(file.as_str()) {
        bytes[0] ^= 1;
    }
    let range = headers.get(header::RANGE).filter(|_| !trouble.ignores_ranges);
    let start: usize = range.map_or(0, |range| {
        let range = range.to_str().unwrap();
        range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap()
    });
    let whole = bytes.len();
    if start >= whole {
        return Response::builder().status(416).body(Body::empty()).unwrap();
    }
    let rest = bytes.split_off(start);
    let mut reply = Response::builder()
        .header("etag", "\"tag-of-the-storage\"")
        .header("content-length", rest.len());
    if range.is_some() {
        let range = format!("bytes {start}-{}/{whole}", whole - 1);
        reply = reply.status(StatusCode::PARTIAL_CONTENT).header("content-range", range);
    }
    let cut = trouble.cuts.get_mut(&file).and_then(VecDeque::pop_front);
    reply.body(broken_after(rest, cut)).unwrap()
}

/// A body that ends with a broken connection, if it is to be cut.
fn broken_after(bytes: Vec<u8>, cut: Option<usize>) -> Body {
    let Some(cut) = cut else { return Body::from(bytes) };
    let first = Bytes::from(bytes[..cut].to_vec());
    let steps = stream::unfold(Some(first), |first| async {
        match first {
            Some(first) => Some((Ok(first), None)),
            None => {
                // The first piece must be on its way before the connection breaks.
                tokio::time::sleep(Duration::from_millis(100)).await;
                Some((Err(std::io::Error::other("cut")), None))
            }
        }
    });
    Body::from_stream(steps)
}
