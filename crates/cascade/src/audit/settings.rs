//! What an audit is begun with, and which of the stopped items it takes.

use std::num::NonZeroU64;

use policy::PolicyId;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::bets::missed_odds;
use crate::error::CascadeError;
use crate::promise::Promise;

/// What an audit needs to know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditSettings {
    /// The policy that the filter serves.
    pub policy: PolicyId,
    /// Draws the audited items. Who knows it can choose ids that are never audited: keep it secret
    /// where senders choose ids.
    pub seed: u64,
    /// The share of stopped items that is audited.
    pub rate: AuditRate,
    /// The recall to be watched over. The confidence is here that of the interval and the alarm
    /// together: what it leaves out is the most that either may be wrong, ever.
    pub promise: Promise,
    /// Items from one moment at which the drift detector starts afresh to the next. A tenth to a half
    /// of the items within which a drop should be noticed; [`RESTART_EVERY`] where nothing is known.
    pub restart_every: NonZeroU64,
}

/// Drops that matter take some 10,000 items or more to notice; see the forecasts in `tests/audit.rs`.
pub const RESTART_EVERY: NonZeroU64 = NonZeroU64::new(5000).expect("not zero");

/// Above 0, up to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct AuditRate(f64);

/// Draws have 53 bits; at a lower rate, none would ever hit.
const MIN_RATE: f64 = 1.0 / (1_u64 << 53) as f64;

impl AuditRate {
    /// # Errors
    /// [`CascadeError::AuditRate`] unless `rate` is above 0 (at least 2^-53) and at most 1.
    pub fn new(rate: f64) -> Result<AuditRate, CascadeError> {
        if (MIN_RATE..=1.0).contains(&rate) {
            Ok(AuditRate(rate))
        } else {
            Err(CascadeError::AuditRate { rate })
        }
    }

    /// The number.
    pub fn value(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for AuditRate {
    type Error = CascadeError;

    fn try_from(rate: f64) -> Result<AuditRate, CascadeError> {
        AuditRate::new(rate)
    }
}

impl From<AuditRate> for f64 {
    fn from(rate: AuditRate) -> f64 {
        rate.0
    }
}

impl AuditSettings {
    /// Whether the stopped item `id` is audited: the same answer on every run and machine, for it is
    /// drawn by SHA-256 from the seed, the policy and the id. An id that comes again is audited again
    /// or not again, so repeated ids are no independent draws.
    pub fn is_audited(&self, id: &str) -> bool {
        let mut hash = Sha256::new();
        hash.update(self.seed.to_le_bytes());
        hash.update((self.policy.0.len() as u64).to_le_bytes());
        hash.update(&self.policy.0);
        hash.update(id);
        let mut bits = [0; 8];
        bits.copy_from_slice(&hash.finalize()[..8]);
        let draw = (u64::from_le_bytes(bits) >> 11) as f64 * MIN_RATE;
        draw < self.rate.0
    }

    /// Missed violations found to violations caught, at a recall just as promised.
    pub(super) fn odds(&self) -> f64 {
        missed_odds(self.promise.recall(), self.rate.0)
    }

    /// The logarithm of the wealth at which a bet is believed: `1 / error` by Ville's inequality, for
    /// half the error that the confidence leaves.
    pub(super) fn log_limit(&self) -> f64 {
        -(0.5 * (1.0 - self.promise.confidence().value())).ln()
    }
}
