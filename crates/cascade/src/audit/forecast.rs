//! Within how many items a drop of the recall is noticed.
//!
//! Before a drop, the logarithm of a bet's wealth falls by a steady amount an item on average; after
//! it, it grows by one, and wanders around that as a random walk does. A drop is noticed when the
//! wealth of one alternative reaches the limit. Two ways lead there and the quicker counts: by the
//! restarts before the drop, which have lost the less the later they were, or by the next one, which
//! has to be waited for. What the other alternatives, lucky restarts and the interval over the whole
//! audit add is left out, so the truth is quicker: in the simulations of `tests/audit.rs`, drops are
//! noticed after 65% to 85% of the forecast on average, and 97% or more within what is given for nine
//! of ten.

use std::fmt;

use serde::Serialize;

use super::drift::{TIMES, on_caught, on_missed, stake};
use super::settings::AuditSettings;

/// The standard normal quantile of 0.9.
const NINE_OF_TEN: f64 = 1.281_551_565_544_600_4;

/// A drop to reckon with. Shares from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RecallDrop {
    /// The share of violating items in the traffic.
    pub base_rate: f64,
    /// The recall until then.
    pub recall_before: f64,
    /// The recall afterwards.
    pub recall_after: f64,
    /// Items that the audit saw before.
    pub n_before: u64,
}

/// How fast a drop is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Forecast {
    /// By how much the logarithm of the best bet's wealth grows an item, in nats.
    pub growth: f64,
    /// Items until it is noticed, on average; rather too many than too few.
    pub mean_items: f64,
    /// Items within which at least nine drops of ten are noticed, even those just after a restart.
    pub likely_items: f64,
}

impl fmt::Display for Forecast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Forecast { growth, mean_items, likely_items } = self;
        write!(
            f,
            "noticed after {mean_items:.0} items on average, nine times of ten within \
             {likely_items:.0} (growth {growth:.2e} an item)"
        )
    }
}

/// When an audit with these `settings` will have noticed `drop`; `None` where no bet grows, as the
/// recall is not low enough for any.
///
/// The numbers come from a normal approximation, good where a dozen missed violations or more are
/// found by then.
pub fn forecast(settings: &AuditSettings, drop: RecallDrop) -> Option<Forecast> {
    let forecasts = TIMES.iter().filter_map(|&times| {
        let before = Step::new(settings, drop.base_rate, drop.recall_before, times);
        let after = Step::new(settings, drop.base_rate, drop.recall_after, times);
        let block = settings.restart_every.get() as f64;
        let quicker = |age: f64, z: f64| {
            let by_next = age + after.items_to(needed(settings, drop.n_before, 1.0), z);
            let running = running_restarts(settings, drop.n_before, -before.mean, age);
            by_next.min(after.items_to(needed(settings, drop.n_before, running), z))
        };
        (after.mean > 0.0).then(|| Forecast {
            growth: after.mean,
            mean_items: quicker(0.5 * block, 0.0),
            likely_items: quicker(block, NINE_OF_TEN),
        })
    });
    forecasts.min_by(|a, b| a.likely_items.total_cmp(&b.likely_items))
}

/// How far the logarithm of the wealth is from the limit, in nats, if `n_stakes` stakes are in play;
/// infinitely far without any.
fn needed(settings: &AuditSettings, n_before: u64, n_stakes: f64) -> f64 {
    let stake = stake(n_before.div_ceil(settings.restart_every.get()));
    settings.log_limit() - (n_stakes * stake / TIMES.len() as f64).ln()
}

/// What is left of the restarts so far, in stakes: each has lost `loss` nats an item since it began,
/// the last of them `age` items ago, the others a block earlier each.
fn running_restarts(settings: &AuditSettings, n_before: u64, loss: f64, age: f64) -> f64 {
    let n_restarts = n_before.div_ceil(settings.restart_every.get()) as f64;
    let by_block = loss.max(0.0) * settings.restart_every.get() as f64;
    let sum = if by_block > 0.0 {
        (-by_block * n_restarts).exp_m1() / (-by_block).exp_m1()
    } else {
        n_restarts
    };
    sum * (-loss.max(0.0) * age).exp()
}

/// By what an item changes the logarithm of a bet's wealth, in nats.
struct Step {
    mean: f64,
    variance: f64,
}

impl Step {
    fn new(settings: &AuditSettings, base_rate: f64, recall: f64, times: f64) -> Step {
        let odds = settings.odds();
        let caught = base_rate * recall;
        let missed = base_rate * (1.0 - recall) * settings.rate.value();
        let (loss, gain) = (on_caught(odds, times).ln(), on_missed(odds, times).ln());
        let mean = caught * loss + missed * gain;
        let square = caught * loss * loss + missed * gain * gain;
        Step { mean, variance: square - mean * mean }
    }

    /// The `n` with `n mean - z sqrt(n variance) = distance`.
    fn items_to(&self, distance: f64, z: f64) -> f64 {
        let spread = z * self.variance.sqrt();
        let root = spread + (spread * spread + 4.0 * self.mean * distance).sqrt();
        (root / (2.0 * self.mean)).powi(2)
    }
}
