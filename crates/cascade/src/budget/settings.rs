//! How much safety compute there is, over which time, and what to do when it is spent.

use policy::{Effort, Usage};
use serde::{Deserialize, Serialize};

use crate::error::CascadeError;

/// The shortest window: a 240th of it, the step in which the books are kept, is then 25 ms.
const MIN_WINDOW_MS: u64 = 6_000;
/// The longest: a week.
const MAX_WINDOW_MS: u64 = 7 * 24 * 3_600_000;

/// How much there is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// A share of all compute: `safety / (safety + host)`. The host reports its own by
    /// [`super::Budget::host_spent`], in the same unit.
    Share {
        /// Above 0, below 1. OpenAI names up to 0.16 of its compute, its highest share so far, in the
        /// announcement of gpt-oss-safeguard.
        share: f64,
        /// What is counted.
        unit: Unit,
        /// Units per second that the host is thought to spend until it has reported for an eighth of a window;
        /// 0 lets nothing through before the first report.
        #[serde(default)]
        host_at_start: f64,
    },
    /// Tokens a second, on average over the window.
    TokensPerSecond(f64),
    /// Seconds of reasoning an hour, on average over the window.
    ReasonerSecondsPerHour(f64),
}

/// What is counted as cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Tokens computed: of the prompt, less those cached, and of the reply.
    Tokens,
    /// Seconds from call to verdict.
    Seconds,
}

impl Unit {
    /// What a verdict cost in this unit.
    pub fn cost(self, usage: &Usage) -> f64 {
        match self {
            Unit::Tokens => {
                let computed = usage.prompt_tokens.saturating_sub(usage.cached_tokens);
                (computed + usage.generated_tokens) as f64
            }
            Unit::Seconds => usage.seconds,
        }
    }
}

impl Limit {
    /// What is counted as cost.
    pub fn unit(self) -> Unit {
        match self {
            Limit::Share { unit, .. } => unit,
            Limit::TokensPerSecond(_) => Unit::Tokens,
            Limit::ReasonerSecondsPerHour(_) => Unit::Seconds,
        }
    }
}

/// A number for each effort.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PerEffort {
    /// At low effort.
    pub low: f64,
    /// At medium effort.
    pub medium: f64,
    /// At high effort.
    pub high: f64,
}

impl PerEffort {
    /// The number for one.
    pub fn of(&self, effort: Effort) -> f64 {
        match effort {
            Effort::Low => self.low,
            Effort::Medium => self.medium,
            Effort::High => self.high,
        }
    }
}

/// What becomes of an item for which nothing is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenSpent {
    /// It is `undetermined: over budget`.
    #[default]
    Undetermined,
    /// It waits, and is offered again.
    Queue,
}

/// What a [`super::Budget`] is made from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BudgetSettings {
    /// How much there is.
    pub limit: Limit,
    /// Over which time, in milliseconds: 6 seconds to a week. Best twenty times as long as a verdict takes, or
    /// longer: work that is under way for a tenth of the window or more blurs its edges.
    pub window_ms: u64,
    /// Cost of one verdict in the limit's unit until verdicts have come back, per effort. Too high is safe, too
    /// low spends too much in the first moments.
    pub first_guess: PerEffort,
    /// What becomes of an item for which nothing is left.
    #[serde(default)]
    pub when_spent: WhenSpent,
    /// Whether a filter's threshold may be raised above its proven bound, as the last thing given up. Items
    /// under the raised threshold are then clear without the recall that was promised.
    #[serde(default)]
    pub may_raise_threshold: bool,
}

impl BudgetSettings {
    /// Whether they make sense.
    ///
    /// # Errors
    /// [`CascadeError::Budget`] with the setting that does not.
    pub fn check(&self) -> Result<(), CascadeError> {
        let wrong = |setting, problem: String| Err(CascadeError::Budget { setting, problem });
        let is_rate = |rate: f64| rate.is_finite() && rate > 0.0;
        match self.limit {
            Limit::Share { share, .. } if !(share > 0.0 && share < 1.0) => {
                return wrong("share", format!("{share} is not between 0 and 1"));
            }
            Limit::Share { host_at_start: rate, .. } if !(rate.is_finite() && rate >= 0.0) => {
                return wrong("host_at_start", format!("{rate} is no amount a second"));
            }
            Limit::TokensPerSecond(rate) if !is_rate(rate) => {
                return wrong("tokens_per_second", format!("{rate} is not above 0"));
            }
            Limit::ReasonerSecondsPerHour(rate) if !is_rate(rate) => {
                return wrong("reasoner_seconds_per_hour", format!("{rate} is not above 0"));
            }
            _ => {}
        }
        if !(MIN_WINDOW_MS..=MAX_WINDOW_MS).contains(&self.window_ms) {
            let problem =
                format!("{} is not from {MIN_WINDOW_MS} to {MAX_WINDOW_MS}", self.window_ms);
            return wrong("window_ms", problem);
        }
        let PerEffort { low, medium, high } = self.first_guess;
        match [low, medium, high].into_iter().find(|guess| !is_rate(*guess)) {
            Some(guess) => wrong("first_guess", format!("{guess} is not above 0")),
            None => Ok(()),
        }
    }
}
