//! Whom webhooks may tell, and how often it is tried: the table `[serve.webhooks]`.

use serde::Deserialize;
use store::Backoff;

use crate::settings::{MAX_SECONDS, SettingsError, duration};

/// Whom webhooks may tell, and how often it is tried.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookSettings {
    /// Where jobs are told of whose request names no webhook. Their secret comes from
    /// `SAFEGUARD_WEBHOOK_SECRET`.
    pub url: Option<String>,
    /// Whether addresses of this machine and of private networks may be told. Otherwise whoever may send requests
    /// could have this service knock at doors that are closed to them.
    pub allow_private: bool,
    /// Whether `http` may be used; what is told can be read on its way then.
    pub allow_http: bool,
    /// Seconds that a receiver has to answer.
    pub timeout_s: f64,
    /// Most deliveries under way at once.
    pub in_flight: usize,
    /// Seconds before the second try; doubled at each further one.
    pub first_s: f64,
    /// Most seconds between two tries.
    pub longest_s: f64,
    /// Tries after which a delivery is dead.
    pub tries: u32,
}

impl Default for WebhookSettings {
    fn default() -> WebhookSettings {
        let Backoff { first, longest, n_tries } = Backoff::default();
        WebhookSettings {
            url: None,
            allow_private: false,
            allow_http: false,
            timeout_s: 10.0,
            in_flight: 16,
            first_s: first.as_secs_f64(),
            longest_s: longest.as_secs_f64(),
            tries: n_tries,
        }
    }
}

impl WebhookSettings {
    /// Whether the values can hold.
    ///
    /// # Errors
    /// [`SettingsError::Value`] for the first that cannot.
    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        for (setting, seconds) in [
            ("webhooks.timeout_s", self.timeout_s),
            ("webhooks.first_s", self.first_s),
            ("webhooks.longest_s", self.longest_s),
        ] {
            if !(seconds > 0.0 && seconds <= MAX_SECONDS) {
                let expected = "above 0 and at most 86400 seconds";
                return Err(SettingsError::Value { setting, found: seconds.to_string(), expected });
            }
        }
        for (setting, count) in
            [("webhooks.in_flight", self.in_flight), ("webhooks.tries", self.tries as usize)]
        {
            if count == 0 || count > 1024 {
                let expected = "1 to 1024";
                return Err(SettingsError::Value { setting, found: count.to_string(), expected });
            }
        }
        Ok(())
    }

    pub(crate) fn backoff(&self) -> Backoff {
        Backoff {
            first: duration(self.first_s),
            longest: duration(self.longest_s),
            n_tries: self.tries,
        }
    }
}
