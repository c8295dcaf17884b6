//! Sends requests with patience: retries what may pass, waits as long as the server asks, never longer than
//! the caller allows.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use reqwest::blocking::{Client, RequestBuilder, Response};
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::redirect;
use serde::de::DeserializeOwned;

use super::address::Address;
use super::complaint::Complaint;
use super::error::RemoteError;
use super::listing::Listing;
use super::patience::{Patience, retry_after};
use super::wire::{Completion, Request};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const LIST_TIMEOUT: Duration = Duration::from_secs(30);
/// No chat completion is near this; an endless body must end somewhere.
const MAX_BODY: u64 = 32 << 20;
/// A server's complaint is read up to here.
const MAX_COMPLAINT: u64 = 64 << 10;

/// A connection to one server.
pub(super) struct Caller {
    http: Client,
    address: Address,
    key: Option<HeaderValue>,
    patience: Patience,
    /// Whether the server ever answered: before that, waiting for it is of no use.
    reached: AtomicBool,
}

/// An attempt that failed.
pub(super) struct Failure {
    pub(super) error: RemoteError,
    /// What the server said, where it said something.
    pub(super) complaint: Box<Complaint>,
    retry: Retry,
}

enum Retry {
    Never,
    /// After a pause, which the server may have named.
    After(Option<Duration>),
}

impl Failure {
    fn new(error: RemoteError, retry: Retry) -> Failure {
        Failure { error, complaint: Box::default(), retry }
    }
}

impl Caller {
    pub(super) fn new(
        address: Address,
        key: Option<&str>,
        patience: Patience,
    ) -> Result<Caller, RemoteError> {
        let key = key.map(|key| {
            let mut value =
                HeaderValue::from_str(&format!("Bearer {key}")).map_err(|_| RemoteError::Key)?;
            value.set_sensitive(true);
            Ok(value)
        });
        // Another part of this program may have chosen the same provider before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .user_agent(concat!("safeguard/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            // What is sent is for the server that was named, and for no other.
            .redirect(redirect::Policy::none());
        let client = if address.is_local() { client.no_proxy() } else { client };
        let http = client.build().map_err(|source| RemoteError::Tls { source })?;
        let reached = AtomicBool::new(false);
        Ok(Caller { http, address, key: key.transpose()?, patience, reached })
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// The models that the server lists.
    pub(super) fn models(&self) -> Result<Listing, RemoteError> {
        let deadline = Instant::now() + LIST_TIMEOUT;
        let route = self.address.route("models");
        self.patiently(deadline, || self.http.get(route.clone())).map_err(|failure| failure.error)
    }

    /// One completion, by `deadline`.
    pub(super) fn complete(
        &self,
        request: &Request<'_>,
        deadline: Instant,
    ) -> Result<Completion, Failure> {
        let route = self.address.route("chat/completions");
        self.patiently(deadline, || self.http.post(route.clone()).json(request))
    }

    fn patiently<T: DeserializeOwned>(
        &self,
        deadline: Instant,
        build: impl Fn() -> RequestBuilder,
    ) -> Result<T, Failure> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let failure = match self.once(deadline, build()) {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            let pause = match failure.retry {
                Retry::After(asked) => self.patience.pause(attempt, asked),
                Retry::Never => None,
            };
            match pause {
                // With the reason rather than with a timeout: it says more.
                Some(pause) if pause < left_until(deadline) => std::thread::sleep(pause),
                _ => return Err(failure),
            }
        }
    }

    fn once<T: DeserializeOwned>(
        &self,
        deadline: Instant,
        request: RequestBuilder,
    ) -> Result<T, Failure> {
        let left = left_until(deadline);
        if left.is_zero() {
            return Err(Failure::new(RemoteError::Timeout, Retry::Never));
        }
        let request = match &self.key {
            Some(key) => request.header(AUTHORIZATION, key.clone()),
            None => request,
        };
        let response = request.timeout(left).send().map_err(|error| self.no_answer(error))?;
        self.reached.store(true, Ordering::Relaxed);
        if !response.status().is_success() {
            return Err(self.refusal(response));
        }
        let body = self.body(response, deadline)?;
        serde_json::from_slice(&body).map_err(|error| {
            // Where and what, but never the text itself: it may be somebody's content.
            let problem =
                format!("line {} column {}, {:?}", error.line(), error.column(), error.classify());
            Failure::new(RemoteError::Form { problem }, Retry::Never)
        })
    }

    fn no_answer(&self, error: reqwest::Error) -> Failure {
        if error.is_timeout() && !error.is_connect() {
            return Failure::new(RemoteError::Timeout, Retry::Never);
        }
        let source = error.without_url();
        let error = RemoteError::Unreachable { host: self.address.host(), source };
        let is_known = self.reached.load(Ordering::Relaxed);
        Failure::new(error, if is_known { Retry::After(None) } else { Retry::Never })
    }

    /// What an answer with an error status means.
    fn refusal(&self, response: Response) -> Failure {
        let status = response.status();
        let asked = retry_after(response.headers());
        let mut body = Vec::new();
        // A complaint that breaks off says what it says.
        let _ = response.take(MAX_COMPLAINT).read_to_end(&mut body);
        let complaint = Complaint::read(&body);
        let host = self.address.host();
        let error = match status.as_u16() {
            400 | 403 if complaint.is_about_content() => RemoteError::Refused,
            status @ (401 | 403) => RemoteError::Unauthorised { host, status },
            429 => RemoteError::Busy { host, pause: asked },
            413 => RemoteError::TooLong,
            _ if complaint.is_about_reply() => {
                let problem = "its server cannot take apart what the model wrote".to_owned();
                return Failure::new(RemoteError::Form { problem }, Retry::Never);
            }
            status if complaint.is_about_length() && status < 500 => RemoteError::TooLong,
            status => RemoteError::Status { host, status, code: complaint.code() },
        };
        let retry = if is_passing(status) { Retry::After(asked) } else { Retry::Never };
        Failure { error, complaint: Box::new(complaint), retry }
    }

    fn body(&self, response: Response, deadline: Instant) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        match response.take(MAX_BODY + 1).read_to_end(&mut body) {
            Ok(n_bytes) if n_bytes as u64 > MAX_BODY => {
                Err(Failure::new(RemoteError::TooLarge { limit: MAX_BODY }, Retry::Never))
            }
            Ok(_) => Ok(body),
            Err(_) if left_until(deadline).is_zero() => {
                Err(Failure::new(RemoteError::Timeout, Retry::Never))
            }
            Err(_) => {
                let error = RemoteError::Broken { host: self.address.host() };
                Err(Failure::new(error, Retry::After(None)))
            }
        }
    }
}

fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

fn left_until(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
