//! What may be spent over a window: a constant, or what goes with the host's own compute.

use super::ledger::Ledger;
use super::settings::Limit;

/// Allowances in slots of the window.
#[derive(Clone, Debug)]
pub(super) struct Allowance {
    limit: Limit,
    slot_ms: u64,
    n_slots: u64,
    host: Ledger,
    started_ms: u64,
    /// How far the host has reported.
    reported_ms: u64,
}

impl Allowance {
    pub(super) fn new(limit: Limit, slot_ms: u64, n_slots: u64, now_ms: u64) -> Allowance {
        let host = Ledger::new(now_ms / slot_ms);
        Allowance { limit, slot_ms, n_slots, host, started_ms: now_ms, reported_ms: now_ms }
    }

    /// The host spent this much since it last reported.
    pub(super) fn report(&mut self, amount: f64, now_ms: u64) {
        let (from, to) = (self.reported_ms, now_ms);
        let rate = amount / to.saturating_sub(from).max(1) as f64;
        let kept = (now_ms / self.slot_ms).saturating_sub(self.n_slots + 1);
        self.host.forget_before(kept);
        let mut at = from.max(kept * self.slot_ms);
        while at < to {
            let slot = at / self.slot_ms;
            let end = to.min((slot + 1) * self.slot_ms);
            self.host.add(slot, rate * (end - at) as f64);
            at = end;
        }
        self.reported_ms = to;
    }

    /// Whether reports have stopped.
    pub(super) fn is_silent(&self, now_ms: u64) -> bool {
        let is_share = matches!(self.limit, Limit::Share { .. });
        is_share && now_ms.saturating_sub(self.reported_ms) > self.horizon_ms()
    }

    /// What may be spent in the window that ends with each slot from `from` to `to`, in the limit's unit.
    pub(super) fn windows(&self, from: u64, to: u64, now_ms: u64) -> Vec<f64> {
        let window_s = (self.n_slots * self.slot_ms) as f64 / 1000.0;
        let share = match self.limit {
            Limit::TokensPerSecond(rate) => return vec![rate * window_s; (to - from + 1) as usize],
            Limit::ReasonerSecondsPerHour(rate) => {
                return vec![rate / 3600.0 * window_s; (to - from + 1) as usize];
            }
            Limit::Share { share, .. } => share,
        };
        let rate = self.expected(now_ms);
        let mut known = self.host.sum((from + 1).saturating_sub(self.n_slots), from);
        let window = |end: u64| {
            let to_come_ms = ((end + 1) * self.slot_ms).saturating_sub(self.reported_ms);
            let total = known + rate * to_come_ms as f64 / 1000.0;
            known += self.host.at(end + 1);
            known -= (end + 1).checked_sub(self.n_slots).map_or(0.0, |left| self.host.at(left));
            share / (1.0 - share) * total
        };
        (from..=to).map(window).collect()
    }

    /// The host's spending a second that is counted on: the last eighth of a window or the whole of it,
    /// whichever is less, so that a fall is believed at once and a rise when it has come.
    fn expected(&self, now_ms: u64) -> f64 {
        let Limit::Share { host_at_start, .. } = self.limit else { return 0.0 };
        if self.is_silent(now_ms) {
            return 0.0;
        }
        let horizon_ms = self.horizon_ms();
        if self.reported_ms - self.started_ms < horizon_ms {
            return host_at_start;
        }
        self.mean_over(horizon_ms).min(self.mean_over(self.n_slots * self.slot_ms))
    }

    /// Mean of the reports a second, over this long or since the start.
    fn mean_over(&self, span_ms: u64) -> f64 {
        let from = self.started_ms.max(self.reported_ms.saturating_sub(span_ms));
        // Whole slots: an edge cut in the middle would weigh a slot that was only half lived through.
        let first = from.div_ceil(self.slot_ms);
        let last = self.reported_ms / self.slot_ms;
        let span_s = (last.saturating_sub(first) * self.slot_ms) as f64 / 1000.0;
        if span_s > 0.0 { self.host.sum(first, last - 1) / span_s } else { 0.0 }
    }

    fn horizon_ms(&self) -> u64 {
        self.n_slots * self.slot_ms / 8
    }
}
