//! The door: who may come in, as whom, for what, and how often.
//!
//! Without keys in the store everybody who reaches the service is [`Caller::anyone`]; with the first key that is
//! made, every route but those of `scope.rs` that are open asks for one. A key ends here: no handler, log or
//! other server sees it.

mod caller;
mod quota;
mod rate;
mod refusal;
mod scope;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, header};
use axum::middleware::Next;
use axum::response::Response;
use store::Store;

pub(crate) use caller::Caller;
pub(crate) use refusal::Refusal;
pub use scope::Scope;

use crate::api::{App, Shape};
use crate::error::ApiError;
use quota::Quotas;
use rate::Rates;

/// For a key of ours beside another server's key in `authorization`; the second is what gateways send.
const OWN_HEADERS: [HeaderName; 2] =
    [HeaderName::from_static("x-safeguard-key"), HeaderName::from_static("x-api-key")];
/// Where the routes are whose clients can put a key into the address only: Perspective's.
const KEY_IN_QUERY: &str = "/v1alpha1/";
/// What every key of ours begins with.
const PREFIX: &str = "sg_";

/// The door of one service.
pub(crate) struct Door {
    /// Where keys are; without it there are none.
    store: Option<Store>,
    /// Whether a key is asked for. Never taken back: a service whose last key was revoked lets nobody in.
    is_locked: AtomicBool,
    rates: Rates,
    quotas: Arc<Quotas>,
}

impl Door {
    /// A door that knows the store's keys.
    ///
    /// # Errors
    /// [`store::StoreError`] if it cannot be read.
    pub(crate) async fn open(store: Option<Store>) -> Result<Door, store::StoreError> {
        let is_locked = match &store {
            Some(store) => store.has_keys().await?,
            None => false,
        };
        Ok(Door {
            store,
            is_locked: is_locked.into(),
            rates: Rates::default(),
            quotas: Arc::default(),
        })
    }

    /// Whether a key is asked for.
    pub(crate) fn is_locked(&self) -> bool {
        self.is_locked.load(Ordering::Relaxed)
    }

    /// Locks once there is a key.
    pub(crate) async fn look_again(&self) {
        let Some(store) = self.store.as_ref().filter(|_| !self.is_locked()) else { return };
        match store.has_keys().await {
            Ok(true) => {
                tracing::info!("there are keys now: every request needs one");
                self.is_locked.store(true, Ordering::Relaxed);
            }
            Ok(false) => {}
            Err(error) => tracing::error!("the keys cannot be read: {error}"),
        }
    }

    /// Who comes with this key.
    async fn admit(&self, shown: Option<String>, any_of: &[Scope]) -> Result<Caller, Refusal> {
        let Some(store) = self.store.as_ref().filter(|_| self.is_locked()) else {
            return Ok(Caller::anyone());
        };
        let shown = shown.ok_or(Refusal::NoKey)?;
        let key = store.key_of(&shown).await.map_err(|error| {
            tracing::error!("a key cannot be looked up: {error}");
            Refusal::Unreadable
        })?;
        let key = key.ok_or(Refusal::WrongKey)?;
        self.rates.take(&key)?;
        let caller = Caller::with(key, Arc::clone(&self.quotas), store.clone());
        match any_of {
            [first, ..] if !any_of.iter().any(|&scope| caller.may(scope)) => {
                Err(Refusal::Scope { needed: *first })
            }
            _ => Ok(caller),
        }
    }
}

/// A key of ours, taken out of the headers. One that begins otherwise is another server's, unless it is the only
/// one there is.
fn shown(headers: &mut HeaderMap) -> Option<String> {
    let own = OWN_HEADERS.map(|name| headers.remove(name));
    if let Some(own) = own.into_iter().flatten().next() {
        return Some(own.to_str().unwrap_or_default().trim().to_owned());
    }
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    let key = key.trim().to_owned();
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    if key.starts_with(PREFIX) {
        headers.remove(header::AUTHORIZATION);
    }
    Some(key)
}

/// A key of ours in a query.
fn asked_with(query: &str) -> Option<String> {
    let values = query.split('&').filter_map(|pair| pair.strip_prefix("key="));
    values.map(str::to_owned).find(|key| key.starts_with(PREFIX))
}

/// What stands at the door: the service, and the shape of each route's refusals.
#[derive(Clone)]
pub(crate) struct Keeper {
    pub(crate) app: Arc<App>,
    pub(crate) shapes: Arc<HashMap<String, Shape>>,
}

/// Lets a request in with its [`Caller`], or refuses it in the shape of its route.
pub(crate) async fn enter(
    State(keeper): State<Keeper>,
    mut request: Request,
    next: Next,
) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    // What matches no route needs nobody.
    let Some(path) = path else { return next.run(request).await };
    let any_of = Scope::needed(request.method(), &path);
    if any_of.is_empty() {
        return next.run(request).await;
    }
    let shown = shown(request.headers_mut()).or_else(|| {
        let query = request.uri().query().filter(|_| path.starts_with(KEY_IN_QUERY));
        query.and_then(asked_with)
    });
    match keeper.app.door.admit(shown, any_of).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(refusal) => {
            let shape = keeper.shapes.get(&path).copied().unwrap_or_default();
            shape.refuse(ApiError::Door(refusal))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), value.parse().unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn a_key_of_ours_does_not_go_past_the_door_and_anothers_does() {
        for (given, key, left) in [
            (vec![("authorization", "Bearer sg_a")], Some("sg_a"), None),
            (vec![("authorization", "bearer  sg_a ")], Some("sg_a"), None),
            (vec![("authorization", "Bearer sk-b")], Some("sk-b"), Some("Bearer sk-b")),
            (
                vec![("authorization", "Bearer sk-b"), ("x-safeguard-key", "sg_a")],
                Some("sg_a"),
                Some("Bearer sk-b"),
            ),
            (vec![("x-api-key", "sg_a")], Some("sg_a"), None),
            (vec![("authorization", "Basic sg_a")], None, Some("Basic sg_a")),
            (vec![], None, None),
        ] {
            let mut headers = headers(&given);
            assert_eq!(shown(&mut headers).as_deref(), key, "{given:?}");
            assert!(OWN_HEADERS.iter().all(|name| !headers.contains_key(name)));
            let passed_on = headers.get(header::AUTHORIZATION).map(|it| it.to_str().unwrap());
            assert_eq!(passed_on, left, "{given:?}");
        }
    }

    #[test]
    fn a_query_has_a_key_where_it_looks_like_one_of_ours() {
        assert_eq!(asked_with("alt=json&key=sg_a_b").as_deref(), Some("sg_a_b"));
        for query in ["", "key=any", "monkey=sg_a", "key"] {
            assert_eq!(asked_with(query), None, "{query}");
        }
    }
}
