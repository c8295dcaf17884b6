//! Sends requests with patience: retries what may pass, waits as long as the server asks, never longer than
//! the caller allows. When nobody waits any more the connection is closed, which tells the server to stop.
//!
//! A request that blocks cannot be called off, so requests run on a small runtime of their own; who calls still
//! waits on a plain thread.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use policy::{Observer, Silent};
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Client, RequestBuilder, Response, StatusCode, redirect};
use serde::de::DeserializeOwned;
use tokio::runtime::{Builder, Runtime};

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
const MAX_COMPLAINT: usize = 64 << 10;
/// How long a caller who is gone may go unnoticed.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A connection to one server.
pub(super) struct Caller {
    http: Client,
    /// Taken when dropped.
    runtime: Option<Runtime>,
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
        let mut runtime = Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).thread_name("remote").enable_all().build();
        let runtime = Some(runtime.map_err(|source| RemoteError::Threads { source })?);
        let reached = AtomicBool::new(false);
        Ok(Caller { http, runtime, address, key: key.transpose()?, patience, reached })
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// The models that the server lists.
    pub(super) fn models(&self) -> Result<Listing, RemoteError> {
        let deadline = Instant::now() + LIST_TIMEOUT;
        let route = self.address.route("models");
        let answer = self.patiently(deadline, || self.http.get(route.clone()));
        self.wait(&Silent, answer).map_err(|failure| failure.error)
    }

    /// One completion, by `deadline`; called off once `observer` says that nobody waits.
    pub(super) fn complete(
        &self,
        request: &Request<'_>,
        deadline: Instant,
        observer: &dyn Observer,
    ) -> Result<Completion, Failure> {
        let route = self.address.route("chat/completions");
        let answer = self.patiently(deadline, || self.http.post(route.clone()).json(request));
        self.wait(observer, answer)
    }

    /// Waits for an answer on this thread. One that is called off is dropped, and its connection with it.
    fn wait<T>(
        &self,
        observer: &dyn Observer,
        answer: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let called_off = async {
            while !observer.is_cancelled() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let runtime = self.runtime.as_ref().expect("it is taken by drop alone");
        runtime.block_on(async {
            tokio::select! {
                biased;
                () = called_off => Err(Failure::new(RemoteError::Cancelled, Retry::Never)),
                answer = answer => answer,
            }
        })
    }

    async fn patiently<T: DeserializeOwned>(
        &self,
        deadline: Instant,
        build: impl Fn() -> RequestBuilder,
    ) -> Result<T, Failure> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let failure = match self.once(deadline, build()).await {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            let pause = match failure.retry {
                Retry::After(asked) => self.patience.pause(attempt, asked),
                Retry::Never => None,
            };
            match pause {
                // With the reason rather than with a timeout: it says more.
                Some(pause) if pause < left_until(deadline) => tokio::time::sleep(pause).await,
                _ => return Err(failure),
            }
        }
    }

    async fn once<T: DeserializeOwned>(
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
        let answer = request.timeout(left).send().await;
        let response = answer.map_err(|error| self.no_answer(error))?;
        self.reached.store(true, Ordering::Relaxed);
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        let body = self.body(response, deadline).await?;
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
    async fn refusal(&self, mut response: Response) -> Failure {
        let status = response.status();
        let asked = retry_after(response.headers());
        let mut body = Vec::new();
        // A complaint that breaks off says what it says.
        while body.len() < MAX_COMPLAINT
            && let Ok(Some(piece)) = response.chunk().await
        {
            body.extend_from_slice(&piece);
        }
        body.truncate(MAX_COMPLAINT);
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

    async fn body(&self, mut response: Response, deadline: Instant) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(piece)) => body.extend_from_slice(&piece),
                Ok(None) => return Ok(body),
                Err(_) if left_until(deadline).is_zero() => {
                    return Err(Failure::new(RemoteError::Timeout, Retry::Never));
                }
                Err(_) => {
                    let error = RemoteError::Broken { host: self.address.host() };
                    return Err(Failure::new(error, Retry::After(None)));
                }
            }
            if body.len() as u64 > MAX_BODY {
                return Err(Failure::new(RemoteError::TooLarge { limit: MAX_BODY }, Retry::Never));
            }
        }
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        // Whoever drops it may itself run on a runtime, where waiting for another is not allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

fn left_until(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
