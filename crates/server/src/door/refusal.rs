//! Why the door stays shut.

use std::time::Duration;

use axum::http::StatusCode;

use super::Scope;

/// Why somebody is not let in, or may not have this.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("this service asks for a key: send `authorization: Bearer sg_…`")]
    NoKey,
    #[error("the key is not one of this service, or it has ended")]
    WrongKey,
    #[error("the key has not the scope `{needed}`, which this needs")]
    Scope { needed: Scope },
    #[error("the key is bound to policies by name, so a request may not bring its own")]
    Bound,
    #[error("the key may ask {limit} times a minute; try again in {} s", retry_after.as_secs().max(1))]
    Rate { limit: u32, retry_after: Duration },
    #[error("of the key's {what} for today, {left} are left; the day ends in {} s", retry_after.as_secs().max(1))]
    Quota { what: &'static str, left: u64, retry_after: Duration },
    #[error("keys cannot be looked up now")]
    Unreadable,
}

impl Refusal {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Refusal::NoKey | Refusal::WrongKey => StatusCode::UNAUTHORIZED,
            Refusal::Scope { .. } | Refusal::Bound => StatusCode::FORBIDDEN,
            Refusal::Rate { .. } | Refusal::Quota { .. } => StatusCode::TOO_MANY_REQUESTS,
            Refusal::Unreadable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// A word for programs; OpenAI's, where it has one.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Refusal::NoKey => "no_api_key",
            Refusal::WrongKey => "invalid_api_key",
            Refusal::Scope { .. } => "missing_scope",
            Refusal::Bound => "policies_bound",
            Refusal::Rate { .. } => "rate_limit_exceeded",
            Refusal::Quota { .. } => "insufficient_quota",
            Refusal::Unreadable => "store",
        }
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Refusal::Rate { retry_after, .. } | Refusal::Quota { retry_after, .. } => {
                Some(*retry_after)
            }
            Refusal::Unreadable => Some(Duration::from_secs(1)),
            _ => None,
        }
    }
}
