//! Who asks: a tenant, the key that was shown and what it may do. Routes take it as an argument; whatever judges,
//! records or reads for somebody is told for whom.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use store::{ApiKey, Grants, KeyId, Store};

use super::quota::{Held, Quotas};
use super::{Refusal, Scope};
use crate::error::ApiError;
use crate::recorder::TENANT;

/// Who asks.
#[derive(Clone)]
pub(crate) struct Caller {
    tenant: Arc<str>,
    key: Option<KeyId>,
    /// What the key may do; without one, everything.
    grants: Option<Arc<Grants>>,
    /// What this request takes of a limited day, until it has ended.
    held: Option<Arc<Held>>,
}

impl Caller {
    /// Whoever reaches a service that asks for no keys.
    pub(crate) fn anyone() -> Caller {
        Caller::on_behalf(TENANT, None)
    }

    /// Somebody whose request was let in earlier: a job's work is done for who made it.
    pub(crate) fn on_behalf(tenant: &str, key: Option<KeyId>) -> Caller {
        Caller { tenant: tenant.into(), key, grants: None, held: None }
    }

    pub(super) fn with(key: ApiKey, quotas: Arc<Quotas>, store: Store) -> Caller {
        let held = Held::new(&key, quotas, store).map(Arc::new);
        Caller {
            tenant: key.tenant.into(),
            key: Some(key.id),
            grants: Some(Arc::new(key.grants)),
            held,
        }
    }

    /// The same for work that takes nothing of a limited day.
    pub(crate) fn without_quota(&self) -> Caller {
        Caller { held: None, ..self.clone() }
    }

    /// Whose policies apply, and whose decisions, jobs and reviews there are.
    pub(crate) fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The key, where keys are asked for.
    pub(crate) fn key(&self) -> Option<&KeyId> {
        self.key.as_ref()
    }

    /// How records name who did something.
    pub(crate) fn actor(&self) -> &str {
        self.key.as_ref().map_or("anyone", |key| key.as_str())
    }

    /// # Errors
    /// [`Refusal::Scope`] where the key does not reach so far.
    pub(crate) fn must(&self, scope: Scope) -> Result<(), Refusal> {
        if self.may(scope) { Ok(()) } else { Err(Refusal::Scope { needed: scope }) }
    }

    /// Whether the key reaches so far.
    pub(crate) fn may(&self, scope: Scope) -> bool {
        self.grants.as_ref().is_none_or(|grants| scope.is_in(&grants.scopes))
    }

    /// The policies that the key is bound to; `None`: all of its tenant, and those that requests bring.
    pub(crate) fn bound_to(&self) -> Option<&[String]> {
        self.grants.as_ref()?.policies.as_deref()
    }

    /// Takes `n` decisions out of the key's day, for as long as its request lasts; what is recorded by then is
    /// counted for good.
    ///
    /// # Errors
    /// [`Refusal::Quota`] when the day has not so many left.
    pub(crate) async fn take(&self, n: usize) -> Result<(), Refusal> {
        match &self.held {
            Some(held) => held.take(n as u64).await,
            None => Ok(()),
        }
    }
}

/// Its key's id and no more.
impl std::fmt::Debug for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Caller").field("tenant", &self.tenant).field("key", &self.key).finish()
    }
}

/// As the door let them in. A route that the door leaves open to all has no caller, and must not ask for one.
impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Caller, ApiError> {
        parts.extensions.get::<Caller>().cloned().ok_or(ApiError::Door(Refusal::NoKey))
    }
}
