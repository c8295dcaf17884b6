//! Decisions and tokens a day, key by key: what the store has counted, and what requests under way have taken.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use store::{ApiKey, KeyId, Millis, Store};

use super::Refusal;

const DAY_MS: i64 = 86_400_000;

/// What requests under way have taken, key by key.
#[derive(Default)]
pub(super) struct Quotas(Mutex<HashMap<KeyId, u64>>);

impl Quotas {
    /// Takes `n` beside what others hold, if all of that is at most `left`; else says how much of it is left.
    fn take(&self, key: &KeyId, n: u64, left: u64) -> Result<(), u64> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let held = all.get(key).copied().unwrap_or(0);
        if held.saturating_add(n) > left {
            return Err(left.saturating_sub(held));
        }
        all.insert(key.clone(), held + n);
        Ok(())
    }

    fn give_back(&self, key: &KeyId, n: u64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = all.get(key).copied().unwrap_or(0).saturating_sub(n);
        if left == 0 {
            all.remove(key);
        } else {
            all.insert(key.clone(), left);
        }
    }
}

/// What one request has taken of its key's day. It is given back when the request ends: by then the store has
/// counted what came of it.
pub(super) struct Held {
    key: KeyId,
    items_per_day: Option<u64>,
    tokens_per_day: Option<u64>,
    n: AtomicU64,
    quotas: Arc<Quotas>,
    store: Store,
}

impl Held {
    /// Nothing yet; `None` for a key whose days are not limited.
    pub(super) fn new(key: &ApiKey, quotas: Arc<Quotas>, store: Store) -> Option<Held> {
        let (items_per_day, tokens_per_day) = (key.grants.items_per_day, key.grants.tokens_per_day);
        (items_per_day.is_some() || tokens_per_day.is_some()).then(|| Held {
            key: key.id.clone(),
            items_per_day,
            tokens_per_day,
            n: AtomicU64::new(0),
            quotas,
            store,
        })
    }

    pub(super) async fn take(&self, n: u64) -> Result<(), Refusal> {
        let now = Millis::now();
        let unreadable = |error| {
            tracing::error!("a key's usage cannot be read: {error}");
            Refusal::Unreadable
        };
        let used = self.store.key_usage(&self.key, now).await.map_err(unreadable)?;
        let (n_items, n_tokens) = (used.n_items.max(0) as u64, used.n_tokens.max(0) as u64);
        if self.tokens_per_day.is_some_and(|limit| n_tokens >= limit) {
            return Err(Refusal::Quota { what: "tokens", left: 0, retry_after: rest_of_day(now) });
        }
        let Some(limit) = self.items_per_day else { return Ok(()) };
        // What was accepted to be judged later is as good as used.
        let n_open = self.store.n_open_items_of(&self.key).await.map_err(unreadable)?;
        let n_used = n_items.saturating_add(n_open.max(0) as u64);
        let taken = self.quotas.take(&self.key, n, limit.saturating_sub(n_used));
        taken.map_err(|left| {
            let retry_after = rest_of_day(now);
            Refusal::Quota { what: "decisions", left, retry_after }
        })?;
        self.n.fetch_add(n, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let n = *self.n.get_mut();
        if n > 0 {
            self.quotas.give_back(&self.key, n);
        }
    }
}

fn rest_of_day(now: Millis) -> Duration {
    Duration::from_millis((DAY_MS - now.0.rem_euclid(DAY_MS)).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_under_way_share_what_is_left() {
        let (quotas, key) = (Quotas::default(), KeyId::new(Millis(5)).unwrap());
        quotas.take(&key, 3, 5).unwrap();
        assert_eq!(quotas.take(&key, 3, 5), Err(2));
        quotas.take(&key, 2, 5).unwrap();
        quotas.give_back(&key, 3);
        quotas.take(&key, 3, 5).unwrap();
        quotas.give_back(&key, 5);
        assert!(quotas.0.lock().unwrap().is_empty(), "nothing is kept of keys at rest");
    }

    #[test]
    fn a_day_ends_at_midnight_in_utc() {
        assert_eq!(rest_of_day(Millis(DAY_MS - 1)), Duration::from_millis(1));
        assert_eq!(rest_of_day(Millis(DAY_MS)), Duration::from_secs(86_400));
    }
}
