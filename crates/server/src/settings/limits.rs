//! What no request may exceed: the table `[serve.limits]`.

use serde::Deserialize;

use super::{MAX_SECONDS, SettingsError};

/// What no request may exceed.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Most bytes of a request's body.
    pub body_bytes: usize,
    /// Most pairs of item and policy in one request.
    pub pairs: usize,
    /// Most pairs that wait for a judge, over all requests; what the guard asks waits beside them, as many again.
    pub queue: usize,
    /// Most pairs judged at once.
    pub in_flight: usize,
    /// Seconds until a verdict is undetermined, where the request does not say.
    pub deadline_s: f64,
    /// Seconds between two pieces of a request's body before its sender counts as gone, and those in which the
    /// reader of a reply in pieces may take none.
    pub read_s: f64,
    /// Seconds that requests under way have to finish after a signal to stop.
    pub shutdown_s: f64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            body_bytes: 4 << 20,
            pairs: 256,
            queue: 1024,
            in_flight: 32,
            deadline_s: 120.0,
            read_s: 30.0,
            shutdown_s: 30.0,
        }
    }
}

impl Limits {
    /// Whether the values can hold.
    ///
    /// # Errors
    /// [`SettingsError::Value`] for the first that cannot.
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        let &Limits { body_bytes, pairs, queue, in_flight, deadline_s, read_s, shutdown_s } = self;
        for (setting, count, most) in [
            ("limits.body_bytes", body_bytes, 1 << 30),
            ("limits.pairs", pairs, 1 << 20),
            ("limits.queue", queue, 1 << 20),
            ("limits.in_flight", in_flight, 4096),
        ] {
            if count == 0 || count > most {
                let found = count.to_string();
                let expected = "at least 1, and no more than a machine can hold";
                return Err(SettingsError::Value { setting, found, expected });
            }
        }
        if pairs > queue {
            let found = pairs.to_string();
            let expected = "at most limits.queue, or such a request could never be taken";
            return Err(SettingsError::Value { setting: "limits.pairs", found, expected });
        }
        for (setting, seconds) in [
            ("limits.deadline_s", deadline_s),
            ("limits.read_s", read_s),
            ("limits.shutdown_s", shutdown_s),
        ] {
            if !(seconds > 0.0 && seconds <= MAX_SECONDS) {
                let found = seconds.to_string();
                let expected = "above 0 and at most 86400 seconds";
                return Err(SettingsError::Value { setting, found, expected });
            }
        }
        Ok(())
    }
}
