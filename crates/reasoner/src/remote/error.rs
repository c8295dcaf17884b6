//! What can go wrong with a server, and which cause that is. No message holds a key or a content.

use policy::Cause;

/// Why a server gave no answer that could be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// Not an address.
    #[error("{url} is no address of a server")]
    Url {
        /// What was given.
        url: String,
    },
    /// The key has characters that no header can hold.
    #[error("the key cannot be sent: it has characters that no header can hold")]
    Key,
    /// No connection.
    #[error("{host} cannot be reached")]
    Unreachable {
        /// The host.
        host: String,
        /// What the connection said.
        source: reqwest::Error,
    },
    /// 401 or 403.
    #[error("{host} refuses the key ({status})")]
    Unauthorised {
        /// The host.
        host: String,
        /// The status.
        status: u16,
    },
    /// The model is not there.
    #[error("{host} has no model {model:?}; it has {known}")]
    UnknownModel {
        /// The host.
        host: String,
        /// The model asked for.
        model: String,
        /// Those it lists.
        known: String,
    },
    /// The server lists no models at all.
    #[error("the server lists no models")]
    NoModels,
    /// The prompt is too long for the server.
    #[error("the server says that the input is too long")]
    TooLong,
    /// Any other status.
    #[error("the server answered {status}")]
    Status {
        /// The status.
        status: u16,
    },
    /// The time allowed ran out, retries included.
    #[error("the time allowed ran out")]
    Timeout,
    /// Bytes that are no chat completion.
    #[error("the server's answer is no chat completion: {problem}")]
    Form {
        /// What is wrong.
        problem: String,
    },
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
            RemoteError::Truncated => Cause::Truncated,
            RemoteError::Refused => Cause::Refused,
            RemoteError::TooLong => Cause::UnsupportedInput,
            RemoteError::Form { .. } => Cause::Unparseable,
            _ => Cause::BackendError,
        }
    }
}
