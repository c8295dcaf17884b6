//! What can go wrong with a server, and which cause that is. No message holds a key or a content.

use std::time::Duration;

use policy::Cause;

/// Why a server gave no answer that could be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// Not an address. It is not repeated: it may hold a password.
    #[error("that is no address of a server: {problem}")]
    Url {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The key has characters that no header can hold.
    #[error("the key cannot be sent: it has characters that no header can hold")]
    Key,
    /// The HTTP client cannot be made.
    #[error("cannot set up TLS")]
    Tls {
        /// Why.
        source: reqwest::Error,
    },
    /// No connection.
    #[error("{host} cannot be reached")]
    Unreachable {
        /// Host and port.
        host: String,
        /// What the connection said.
        source: reqwest::Error,
    },
    /// 401 or 403.
    #[error("{host} refuses the key, or wants one ({status})")]
    Unauthorised {
        /// Host and port.
        host: String,
        /// The status.
        status: u16,
    },
    /// The model is not there.
    #[error("{host} has no model {model:?}; it has {known}")]
    UnknownModel {
        /// Host and port.
        host: String,
        /// The model asked for.
        model: String,
        /// Those it lists.
        known: String,
    },
    /// The server has many models, and none was named.
    #[error("{host} has many models ({known}); one must be named")]
    WhichModel {
        /// Host and port.
        host: String,
        /// Those it lists.
        known: String,
    },
    /// The server lists no models at all.
    #[error("{host} lists no models")]
    NoModels {
        /// Host and port.
        host: String,
    },
    /// Settings that no server can sample with, and that JSON cannot even say.
    #[error("temperature {temperature} and top_p {top_p} are nothing to sample with")]
    Sampling {
        /// Must be finite and at least 0.
        temperature: f32,
        /// Must be above 0 and at most 1.
        top_p: f32,
    },
    /// A chat server's verdict cannot be read before it reasons.
    #[error("a chat server does not score directly: that is for a model in this process")]
    Direct,
    /// The prompt is too long for the server.
    #[error("the server says that the input is too long")]
    TooLong,
    /// The server read less than it was sent.
    #[error(
        "the server read {read} tokens of a prompt that has {sent}: it cut the prompt or left out the policy"
    )]
    PromptCut {
        /// Tokens that it counted.
        read: usize,
        /// Tokens that it must have counted at least.
        sent: usize,
    },
    /// 429 to the end, or with a pause that is longer than the time allowed.
    #[error("{host} asks for fewer requests (429){}", pause_of(.pause))]
    Busy {
        /// Host and port.
        host: String,
        /// How long it asks to be left alone.
        pause: Option<Duration>,
    },
    /// Any other status.
    #[error("{host} answered {status}{}", in_brackets(.code))]
    Status {
        /// Host and port.
        host: String,
        /// The status.
        status: u16,
        /// The server's own word for it, such as `invalid_request_error`.
        code: Option<String>,
    },
    /// Nobody waits for the answer any more.
    #[error("it was called off")]
    Cancelled,
    /// The system has no thread for requests.
    #[error("the system has no thread for requests")]
    Threads {
        /// Why.
        source: std::io::Error,
    },
    /// The time allowed ran out, retries included.
    #[error("the time allowed ran out")]
    Timeout,
    /// An answer that does not end.
    #[error("the server's answer is longer than {limit} bytes")]
    TooLarge {
        /// Most bytes that are read.
        limit: u64,
    },
    /// The connection broke inside an answer.
    #[error("the connection to {host} broke inside the answer")]
    Broken {
        /// Host and port.
        host: String,
    },
    /// Bytes that are no chat completion.
    #[error("the server's answer is no chat completion: {problem}")]
    Form {
        /// What is wrong.
        problem: String,
    },
    /// A completion that says itself that it failed.
    #[error("the server says that the completion failed")]
    Failed,
    /// The answer ended before its verdict.
    #[error("the answer ended before its verdict did")]
    Truncated,
    /// The model would not answer.
    #[error("the model would not answer")]
    Refused,
}

impl RemoteError {
    /// The cause to report.
    pub fn cause(&self) -> Cause {
        match self {
            RemoteError::Timeout => Cause::Timeout,
            RemoteError::Cancelled => Cause::Cancelled,
            RemoteError::Truncated => Cause::Truncated,
            RemoteError::Refused => Cause::Refused,
            RemoteError::TooLong | RemoteError::PromptCut { .. } | RemoteError::Direct => {
                Cause::UnsupportedInput
            }
            RemoteError::Form { .. } => Cause::Unparseable,
            RemoteError::Busy { .. } | RemoteError::Status { status: 402, .. } => Cause::OverBudget,
            _ => Cause::BackendError,
        }
    }
}

fn in_brackets(code: &Option<String>) -> String {
    code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default()
}

fn pause_of(pause: &Option<Duration>) -> String {
    pause.map(|pause| format!(" and a pause of {} s", pause.as_secs())).unwrap_or_default()
}
