//! A confidence sequence for the recall: an interval that is valid at every moment, however often one
//! looks.
//!
//! # From recall to a coin
//!
//! For a recall `r` and the audit rate `a`, each item has `Y = (1 - r) caught - r missed / a`, where
//! `missed` is 1 for a missed violation that the audit found. The mean of `Y` is the base rate times
//! (true recall - `r`). Who bets the part `b` of his wealth multiplies it by `1 + b Y` each time, and
//! if the recall is `r` no way of betting gains on average: Waudby-Smith and Ramdas (2024),
//! "Estimating means of bounded random variables by betting". Where neither happens `Y` is 0 and
//! nothing changes, so the items that matter are tosses of a coin that shows "caught" with
//!
//! > `t(r) = r / (r + a (1 - r))`,
//!
//! and the bet that multiplies the wealth by `g / t(r)` on "caught" and by `(1 - g) / (1 - t(r))` on
//! "missed" is the bet `b = (g / t(r) - 1) / (1 - r)`. Base rate and clear items play no part.
//!
//! # The bets
//!
//! `g` is the guess of Krichevsky and Trofimov (1981) from the tosses so far,
//! `(caught + 1/2) / (caught + missed + 1)`. It does not depend on `r`, so one number, the product of
//! guesses, gives the wealth against every `r` at once: exact, without a grid, in constant memory. By
//! Ville's inequality the wealth against the true recall ever comes to `1 / error` with a probability
//! of at most `error`; the interval is every `r` whose wealth is below that. The logarithm of the
//! wealth is convex in `ln t / (1 - t)`, hence the interval has two ends and halving finds them.
//!
//! # A recall that moves
//!
//! If the recall moves but is never below `r`, the upper end still falls below `r` with a probability
//! of at most `error`. For couple the tosses with those of a coin of constant `t(r)`, so that at every
//! moment it shows "caught" no more often. With `n` tosses in all, one more "caught" in place of a
//! "missed" changes the wealth by `(c + 1/2) / (n - c - 1/2)` over `t / (1 - t)`, which is below 1 as
//! long as `(c + 1/2) / n < t(r)`, and so all the way to where the upper end is below `r`: the coupled
//! coin's wealth is at least as high there, and Ville's inequality bounds it. The same, mirrored,
//! holds for the lower end and a recall that is never above.

use serde::{Deserialize, Serialize};

/// The tosses so far, and what was guessed about them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Bets {
    caught: u64,
    missed: u64,
    /// The logarithm of the product of guesses.
    log_guesses: f64,
}

/// How often a missed violation is found for each one caught: `(1 - t) / t`.
pub(super) fn missed_odds(recall: f64, rate: f64) -> f64 {
    rate * (1.0 - recall) / recall
}

impl Bets {
    pub(super) fn caught(&mut self) {
        self.log_guesses += self.guess(self.caught).ln();
        self.caught += 1;
    }

    pub(super) fn missed(&mut self) {
        self.log_guesses += self.guess(self.missed).ln();
        self.missed += 1;
    }

    fn guess(&self, of: u64) -> f64 {
        (of as f64 + 0.5) / ((self.caught + self.missed) as f64 + 1.0)
    }

    /// The logarithm of the wealth against a recall above 0 and below 1.
    fn log_wealth(&self, recall: f64, rate: f64) -> f64 {
        let odds = missed_odds(recall, rate);
        let caught = self.caught as f64 * odds.ln_1p();
        let missed = self.missed as f64 * odds.recip().ln_1p();
        self.log_guesses + caught + missed
    }

    /// The recall that the tosses speak for most; 0.5 without any.
    fn best(&self, rate: f64) -> f64 {
        let (caught, missed) = (self.caught as f64, self.missed as f64 / rate);
        if caught + missed > 0.0 { caught / (caught + missed) } else { 0.5 }
    }

    /// Whether the lower end is at or above `recall`.
    pub(super) fn lies_above(&self, recall: f64, rate: f64, log_limit: f64) -> bool {
        self.best(rate) > recall && self.log_wealth(recall, rate) >= log_limit
    }

    /// Whether the upper end is below `recall`.
    pub(super) fn lies_below(&self, recall: f64, rate: f64, log_limit: f64) -> bool {
        self.best(rate) < recall && self.log_wealth(recall, rate) >= log_limit
    }

    /// The lower end; 0 without a violation caught.
    pub(super) fn low_end(&self, rate: f64, log_limit: f64) -> f64 {
        end(0.0, self.best(rate), |recall| self.lies_above(recall, rate, log_limit))
    }

    /// The upper end; 1 without a missed violation.
    pub(super) fn high_end(&self, rate: f64, log_limit: f64) -> f64 {
        end(1.0, self.best(rate), |recall| self.lies_below(recall, rate, log_limit))
    }

    /// Whether it can be the state after these counts.
    pub(super) fn follows_from(&self, caught: u64, missed: u64) -> bool {
        (self.caught, self.missed) == (caught, missed)
            && caught.checked_add(missed).is_some_and(|tosses| tosses < u64::MAX / 2)
            && self.log_guesses.is_finite()
            && self.log_guesses <= 0.0
    }
}

/// The last recall outside the interval on the way from `outside` (0 or 1) to `inside`.
fn end(mut outside: f64, mut inside: f64, is_outside: impl Fn(f64) -> bool) -> f64 {
    loop {
        let middle = 0.5 * (outside + inside);
        if middle == outside || middle == inside || (outside - inside).abs() < 1e-15 {
            return outside;
        }
        if is_outside(middle) { outside = middle } else { inside = middle }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wealth_is_that_of_bets_on_items() {
        let (recall, rate) = (0.93, 0.2);
        let caught_share = 1.0 / (1.0 + missed_odds(recall, rate));
        let mut bets = Bets::default();
        let mut wealth = 1.0;
        for is_caught in [true, true, false, true, false, true, true, true] {
            let guess = bets.guess(bets.caught);
            let bet = (guess / caught_share - 1.0) / (1.0 - recall);
            if is_caught {
                wealth *= 1.0 + bet * (1.0 - recall);
                bets.caught();
            } else {
                wealth *= 1.0 - bet * recall / rate;
                bets.missed();
            }
        }
        assert!((bets.log_wealth(recall, rate) - f64::ln(wealth)).abs() < 1e-12);
    }
}
