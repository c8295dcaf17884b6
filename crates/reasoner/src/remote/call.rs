//! Sends requests with patience: retries what may pass, waits as long as the server asks, never longer than
//! the caller allows.

use std::io::Read;
use std::time::{Duration, Instant};

use reqwest::blocking::{Client, RequestBuilder, Response};
use reqwest::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER};
use reqwest::{StatusCode, Url};
use serde::de::DeserializeOwned;

use super::error::RemoteError;
use super::wire::{Completion, Listing, Request};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const LIST_TIMEOUT: Duration = Duration::from_secs(30);
const ATTEMPTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause between two attempts, whatever the server asks.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// No chat completion is near this; an endless body must end somewhere.
const MAX_BODY: u64 = 32 << 20;

/// A connection to one server.
pub(super) struct Caller {
    http: Client,
    base: Url,
    key: Option<HeaderValue>,
}

impl Caller {
    pub(super) fn new(url: &str, key: Option<&str>) -> Result<Caller, RemoteError> {
        let invalid = || RemoteError::Url { url: url.to_owned() };
        let trimmed = url.trim_end_matches('/').trim_end_matches("/v1");
        let base = Url::parse(&format!("{trimmed}/v1/")).map_err(|_| invalid())?;
        if !matches!(base.scheme(), "http" | "https") || !base.has_host() {
            return Err(invalid());
        }
        let key = key.map(|key| {
            let mut value =
                HeaderValue::from_str(&format!("Bearer {key}")).map_err(|_| RemoteError::Key)?;
            value.set_sensitive(true);
            Ok(value)
        });
        // Another part of this program may have chosen the same provider before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder()
            .user_agent(concat!("safeguard/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .build()
            .map_err(|source| RemoteError::Unreachable { host: host_of(&base), source })?;
        Ok(Caller { http, base, key: key.transpose()? })
    }

    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    /// The models that the server lists.
    pub(super) fn models(&self) -> Result<Listing, RemoteError> {
        let deadline = Instant::now() + LIST_TIMEOUT;
        let mut listing: Listing =
            self.patiently(deadline, || self.http.get(self.path("models")))?;
        listing.host = host_of(&self.base);
        Ok(listing)
    }

    /// One completion, by `deadline`.
    pub(super) fn complete(
        &self,
        request: &Request<'_>,
        deadline: Instant,
    ) -> Result<Completion, RemoteError> {
        self.patiently(deadline, || self.http.post(self.path("chat/completions")).json(request))
    }

    fn path(&self, end: &str) -> Url {
        self.base.join(end).expect("a plain path joins any base")
    }

    fn patiently<T: DeserializeOwned>(
        &self,
        deadline: Instant,
        build: impl Fn() -> RequestBuilder,
    ) -> Result<T, RemoteError> {
        let mut attempt = 1;
        loop {
            let failure = match self.once(deadline, build()) {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            let Some(asked) = failure.pause.filter(|_| attempt < ATTEMPTS) else {
                return Err(failure.error);
            };
            let pause = asked.max(FIRST_PAUSE * 2_u32.pow(attempt - 1)).min(LONGEST_PAUSE);
            let pause = pause + jitter(pause);
            if Instant::now() + pause >= deadline {
                return Err(RemoteError::Timeout);
            }
            std::thread::sleep(pause);
            attempt += 1;
        }
    }

    fn once<T: DeserializeOwned>(
        &self,
        deadline: Instant,
        request: RequestBuilder,
    ) -> Result<T, Failure> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Failure::lasting(RemoteError::Timeout));
        }
        let request = match &self.key {
            Some(key) => request.header(AUTHORIZATION, key.clone()),
            None => request,
        };
        let response = request.timeout(left).send().map_err(|error| self.no_answer(error))?;
        let response = self.check(response)?;
        let mut body = Vec::new();
        response.take(MAX_BODY).read_to_end(&mut body).map_err(|error| body_failure(&error))?;
        serde_json::from_slice(&body).map_err(|error| {
            // Where and what, but never the text itself: it may be somebody's content.
            let problem =
                format!("line {} column {}, {:?}", error.line(), error.column(), error.classify());
            Failure::lasting(RemoteError::Form { problem })
        })
    }

    fn no_answer(&self, error: reqwest::Error) -> Failure {
        if error.is_timeout() && !error.is_connect() {
            return Failure::lasting(RemoteError::Timeout);
        }
        let error =
            RemoteError::Unreachable { host: host_of(&self.base), source: error.without_url() };
        Failure { error, pause: Some(Duration::ZERO) }
    }

    fn check(&self, response: Response) -> Result<Response, Failure> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let asked =
            response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let pause = is_passing(status).then(|| asked.map_or(Duration::ZERO, Duration::from_secs));
        let host = host_of(&self.base);
        let error = match status.as_u16() {
            status @ (401 | 403) => RemoteError::Unauthorised { host, status },
            413 => RemoteError::TooLong,
            400 if says_too_long(response) => RemoteError::TooLong,
            status => RemoteError::Status { status },
        };
        Err(Failure { error, pause })
    }
}

/// An attempt that failed; `pause` is how long to wait before another, if one makes sense.
struct Failure {
    error: RemoteError,
    pause: Option<Duration>,
}

impl Failure {
    fn lasting(error: RemoteError) -> Failure {
        Failure { error, pause: None }
    }
}

fn body_failure(error: &std::io::Error) -> Failure {
    if error.kind() == std::io::ErrorKind::TimedOut {
        return Failure::lasting(RemoteError::Timeout);
    }
    let error = RemoteError::Form { problem: "the connection broke inside the answer".to_owned() };
    Failure { error, pause: Some(Duration::ZERO) }
}

fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// Servers word it in their own way; all of them name the context.
fn says_too_long(response: Response) -> bool {
    let mut text = String::new();
    let read = response.take(1 << 16).read_to_string(&mut text);
    read.is_ok()
        && (text.contains("context length")
            || text.contains("context size")
            || text.contains("context_length"))
}

fn host_of(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}

/// Up to a quarter of the pause, so that many callers do not come back together.
fn jitter(pause: Duration) -> Duration {
    let mut byte = [0];
    // Without random numbers there is no jitter, which is no harm.
    let _ = getrandom::fill(&mut byte);
    pause.mul_f64(f64::from(byte[0]) / 1024.0)
}
