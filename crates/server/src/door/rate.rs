//! Requests a minute, key by key, in this process.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use store::{ApiKey, KeyId};

use super::Refusal;

/// The keys' rates. There is one a limited key that was ever shown, and whoever makes keys bounds those.
#[derive(Default)]
pub(super) struct Rates(Mutex<HashMap<KeyId, Arc<DefaultDirectRateLimiter>>>);

impl Rates {
    /// Takes one request of the key's minute: as many as the limit at once, then evenly.
    ///
    /// # Errors
    /// [`Refusal::Rate`].
    pub(super) fn take(&self, key: &ApiKey) -> Result<(), Refusal> {
        let Some(limit) = key.grants.requests_per_minute else { return Ok(()) };
        let Some(a_minute) = NonZeroU32::new(limit) else {
            return Err(Refusal::Rate { limit, retry_after: Duration::from_secs(60) });
        };
        let mut rates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rate = rates
            .entry(key.id.clone())
            .or_insert_with(|| Arc::new(RateLimiter::direct(Quota::per_minute(a_minute))));
        let rate = Arc::clone(rate);
        drop(rates);
        rate.check().map_err(|until| {
            let retry_after = until.wait_time_from(DefaultClock::default().now());
            Refusal::Rate { limit, retry_after }
        })
    }
}
