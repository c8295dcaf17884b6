//! What is asked for: the cost of what arrives, a second, on every rung of the ladder.

use super::ladder::N_RUNGS;

/// Cost of all that arrives if it were judged on each rung, as running means a second.
#[derive(Clone, Debug)]
pub(super) struct Demand {
    slot_s: f64,
    /// Weight of a new slot in the mean.
    weight: f64,
    rates: [f64; N_RUNGS],
    /// Arrived in the slot that is not over yet.
    arrived: [f64; N_RUNGS],
}

impl Demand {
    /// Slots of `slot_s` seconds; the mean follows the last `n_slots` or so.
    pub(super) fn new(slot_s: f64, n_slots: f64) -> Demand {
        let weight = 1.0 - (-1.0 / n_slots).exp();
        Demand { slot_s, weight, rates: [0.0; N_RUNGS], arrived: [0.0; N_RUNGS] }
    }

    /// Something arrived that costs so much on each rung.
    pub(super) fn arrive(&mut self, costs: &[f64; N_RUNGS]) {
        for (sum, cost) in self.arrived.iter_mut().zip(costs) {
            *sum += cost;
        }
    }

    /// A slot is over, and `n_idle` more in which nothing came.
    pub(super) fn next_slot(&mut self, n_idle: u64) {
        let fade = (1.0 - self.weight).powf(n_idle as f64);
        for (rate, sum) in self.rates.iter_mut().zip(&mut self.arrived) {
            let seen = std::mem::take(sum) / self.slot_s;
            *rate = (*rate + self.weight * (seen - *rate)) * fade;
        }
    }

    /// Cost a second on a rung.
    pub(super) fn rate(&self, rung: usize) -> f64 {
        self.rates[rung]
    }

    /// The place on the ladder, up to rung `last`, at which so much a second is spent. Between two rungs, the
    /// fraction is the share of items on the lower one.
    pub(super) fn level(&self, spend: f64, last: usize) -> f64 {
        let below = (0..last).find(|&rung| self.rates[rung + 1] <= spend);
        let Some(rung) = below else { return last as f64 };
        let (above, below) = (self.rates[rung], self.rates[rung + 1]);
        let part = if above > below { (above - spend) / (above - below) } else { 0.0 };
        rung as f64 + part.clamp(0.0, 1.0)
    }
}
