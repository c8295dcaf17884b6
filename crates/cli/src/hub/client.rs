//! HTTP with the hub: what a repository holds, what a file must be, a file's bytes from some offset.
//!
//! The token goes to the endpoint's own origin and nowhere else, so redirects are followed here and
//! not by the HTTP library. Nothing is written to disk here; that is `download.rs`.

use std::io::Read as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use reqwest::blocking::{Client as Http, Response};
use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, ETAG, HeaderMap, HeaderValue, IF_RANGE,
    LOCATION, RANGE,
};
use reqwest::{Method, Url, redirect};
use serde::Deserialize;

use crate::hub::checksum::Checksum;
use crate::hub::error::HubError;
use crate::hub::name::{Commit, ModelName};
use crate::hub::progress::Progress;
use crate::hub::reply::{Asked, check, host, number, text};
use crate::hub::settings::Access;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_REDIRECTS: usize = 8;
/// Longest list of files that is read; the published models' have 10 kB.
const MAX_LIST: u64 = 16 << 20;
/// Attempts in a row that may fail before a passing error is final.
pub(crate) const MAX_ATTEMPTS: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// A connection to one endpoint.
#[derive(Debug)]
pub(crate) struct Client {
    http: Http,
    endpoint: Url,
    token: Option<HeaderValue>,
    /// Whether the endpoint ever answered: before that, waiting for it is of no use.
    reached: AtomicBool,
    progress: Progress,
}

/// What a revision is: a commit and its files.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) commit: Commit,
    pub(crate) files: Vec<String>,
}

/// What a file must be.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) checksum: Checksum,
    pub(crate) n_bytes: u64,
}

#[derive(Deserialize)]
struct Info {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

impl Client {
    /// # Errors
    /// [`HubError::Endpoint`], [`HubError::Token`] or [`HubError::Tls`].
    pub(crate) fn new(access: &Access, progress: Progress) -> Result<Client, HubError> {
        let invalid = || HubError::Endpoint { endpoint: access.endpoint.clone() };
        let endpoint = Url::parse(&access.endpoint).map_err(|_| invalid())?;
        if !matches!(endpoint.scheme(), "http" | "https") || !endpoint.has_host() {
            return Err(invalid());
        }
        let token = access.token.as_ref().map(|token| {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", token.reveal()))
                .map_err(|_| HubError::Token)?;
            value.set_sensitive(true);
            Ok(value)
        });
        // Another part of this program may have chosen the same provider before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Http::builder()
            .user_agent(concat!("safeguard/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(access.timeout)
            .build()
            .map_err(|source| HubError::Tls { source })?;
        let reached = AtomicBool::new(false);
        Ok(Client { http, endpoint, token: token.transpose()?, reached, progress })
    }

    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The commit and the files of a revision.
    pub(crate) fn list(&self, name: &ModelName) -> Result<Listing, HubError> {
        let (org, repo, revision) = (name.repo.org(), name.repo.name(), name.revision.as_str());
        let url = self.url(&["api", "models", org, repo, "revision", revision]);
        let body = self.with_retries(|| {
            let response = self.follow(&Method::GET, url.clone(), &HeaderMap::new())?;
            let host = host(response.url());
            let response = check(response, self.asked(name, None, &self.page(name)))?;
            let mut body = Vec::new();
            let read = response.take(MAX_LIST).read_to_end(&mut body);
            read.map_err(|source| HubError::Broken { host, source })?;
            Ok(body)
        })?;
        let reply = |problem: String| HubError::Reply { host: host(&url), problem };
        let info: Info = serde_json::from_slice(&body).map_err(|e| reply(e.to_string()))?;
        let commit = Commit::parse(&info.sha)
            .ok_or_else(|| reply(format!("{:?} is no commit", info.sha)))?;
        let files = info.siblings.into_iter().map(|sibling| sibling.rfilename).collect();
        Ok(Listing { commit, files })
    }

    /// A file's checksum and size, from the headers that the hub itself sends.
    pub(crate) fn facts(
        &self,
        name: &ModelName,
        commit: &Commit,
        file: &str,
    ) -> Result<Facts, HubError> {
        self.with_retries(|| {
            let url = self.file_url(name, commit, file);
            let response = self.follow(&Method::HEAD, url.clone(), &HeaderMap::new())?;
            let headers = response.headers().clone();
            let host = host(&url);
            let is_redirect = response.status().is_redirection();
            if !is_redirect {
                check(response, self.asked(name, Some(file), &self.page(name)))?;
            }
            if text(&headers, "x-repo-commit").is_some_and(|found| found != commit.as_str()) {
                let problem = format!("{file} of another commit than {commit}");
                return Err(HubError::Reply { host, problem });
            }
            let linked = text(&headers, "x-linked-etag");
            let etag = linked.or_else(|| text(&headers, ETAG.as_str())).unwrap_or_default();
            // A redirect's own length is that of its few words.
            let own_size = number(&headers, CONTENT_LENGTH.as_str()).filter(|_| !is_redirect);
            let n_bytes = number(&headers, "x-linked-size").or(own_size).ok_or_else(|| {
                HubError::Reply { host: host.clone(), problem: format!("no size of {file}") }
            })?;
            let checksum = Checksum::from_etag(etag).ok_or_else(|| HubError::NoChecksum {
                host: host.clone(),
                file: file.to_owned(),
                etag: etag.to_owned(),
            })?;
            Ok(Facts { checksum, n_bytes })
        })
    }

    /// A file's bytes from `offset` on; all of it if the server's copy is not `validator` any more,
    /// or if the server cannot begin elsewhere than at the start. One attempt.
    pub(crate) fn open(
        &self,
        name: &ModelName,
        commit: &Commit,
        file: &str,
        offset: u64,
        validator: Option<&HeaderValue>,
    ) -> Result<Response, HubError> {
        let mut headers = HeaderMap::new();
        if offset > 0 {
            let range = format!("bytes={offset}-");
            headers.insert(RANGE, HeaderValue::from_str(&range).expect("digits are a header"));
            if let Some(validator) = validator {
                headers.insert(IF_RANGE, validator.clone());
            }
        }
        let response = self.follow(&Method::GET, self.file_url(name, commit, file), &headers)?;
        if response.status().as_u16() == 416 {
            return Ok(response);
        }
        check(response, self.asked(name, Some(file), &self.page(name)))
    }

    /// Repeats what fails for a passing reason, with growing pauses.
    fn with_retries<T>(&self, request: impl Fn() -> Result<T, HubError>) -> Result<T, HubError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            match request() {
                Err(error) if self.is_worth_repeating(&error) && attempt < MAX_ATTEMPTS => {
                    self.pause(attempt, &error);
                }
                done => return done,
            }
        }
    }

    pub(crate) fn is_worth_repeating(&self, error: &HubError) -> bool {
        error.is_passing() && self.reached.load(Ordering::Relaxed)
    }

    /// Waits before attempt `attempt + 1`: as long as the server asks, or twice as long each time.
    pub(crate) fn pause(&self, attempt: u32, error: &HubError) {
        let wait = FIRST_WAIT * (1 << (attempt - 1).min(5));
        let wait = error.retry_after().unwrap_or(wait);
        self.progress.retrying(error, wait);
        thread::sleep(wait);
    }

    /// Sends a request and follows redirects. A `HEAD` stops where a redirect leaves the endpoint:
    /// what describes the file are the hub's own headers, not those of its storage.
    fn follow(&self, method: &Method, url: Url, headers: &HeaderMap) -> Result<Response, HubError> {
        let mut url = url;
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send(method, &url, headers)?;
            let location = text(response.headers(), LOCATION.as_str());
            let Some(location) = location.filter(|_| response.status().is_redirection()) else {
                return Ok(response);
            };
            let refused = |problem: &str| HubError::Reply {
                host: host(&url),
                problem: format!("a redirect {problem}"),
            };
            let next = url.join(location).map_err(|_| refused("to no address"))?;
            if !matches!(next.scheme(), "http" | "https") || !next.has_host() {
                return Err(refused("to no web address"));
            }
            if url.scheme() == "https" && next.scheme() != "https" {
                return Err(refused("away from https"));
            }
            if method == Method::HEAD && next.origin() != self.endpoint.origin() {
                return Ok(response);
            }
            url = next;
        }
        Err(HubError::Reply { host: host(&url), problem: "too many redirects".to_owned() })
    }

    fn send(&self, method: &Method, url: &Url, headers: &HeaderMap) -> Result<Response, HubError> {
        let mut request = self.http.request(method.clone(), url.clone()).headers(headers.clone());
        // What is measured and hashed are the bytes as stored, not a compressed form of them.
        request = request.header(ACCEPT_ENCODING, "identity");
        if let Some(token) = &self.token
            && url.origin() == self.endpoint.origin()
        {
            request = request.header(AUTHORIZATION, token.clone());
        }
        match request.send() {
            Ok(response) => {
                self.reached.store(true, Ordering::Relaxed);
                Ok(response)
            }
            Err(error) => {
                Err(HubError::Unreachable { host: host(url), source: error.without_url() })
            }
        }
    }

    fn asked<'a>(&self, name: &'a ModelName, file: Option<&'a str>, page: &'a str) -> Asked<'a> {
        Asked { name, file, has_token: self.token.is_some(), page }
    }

    fn page(&self, name: &ModelName) -> String {
        self.url(&[name.repo.org(), name.repo.name()]).to_string()
    }

    fn file_url(&self, name: &ModelName, commit: &Commit, file: &str) -> Url {
        self.url(&[name.repo.org(), name.repo.name(), "resolve", commit.as_str(), file])
    }

    /// An address below the endpoint; each part is one segment, slashes in it are escaped.
    fn url(&self, parts: &[&str]) -> Url {
        let mut url = self.endpoint.clone();
        url.path_segments_mut().expect("http addresses have segments").pop_if_empty().extend(parts);
        url
    }
}
