//! Temperature: one number that makes scores bolder or more careful and keeps their order.

use serde::{Deserialize, Serialize};

use super::scored::Scored;
use crate::error::CalibrationError;

/// Coldest and hottest that a fit may find. Scores that separate a set perfectly would otherwise
/// ask for 0, and scores without any sense for infinity.
const COLDEST: f64 = 0.01;
const HOTTEST: f64 = 100.0;

/// Divides the log odds of a score by `t`: Guo and others (2017), section 4.2. Above 1 it makes
/// scores more careful, below 1 bolder.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Saved")]
pub struct Temperature {
    t: f64,
}

/// As read from a file, before it is checked.
#[derive(Deserialize)]
struct Saved {
    t: f64,
}

impl TryFrom<Saved> for Temperature {
    type Error = CalibrationError;

    fn try_from(saved: Saved) -> Result<Temperature, CalibrationError> {
        Temperature::new(saved.t)
    }
}

impl Temperature {
    /// # Errors
    /// [`CalibrationError::Temperature`] unless `t` is above 0 and finite.
    pub fn new(t: f64) -> Result<Temperature, CalibrationError> {
        if t.is_finite() && t > 0.0 {
            Ok(Temperature { t })
        } else {
            Err(CalibrationError::Temperature { t })
        }
    }

    /// The temperature of the least log loss, between 0.01 and 100; 1 where no temperature changes
    /// the loss, because every score is one half. `None` of nothing.
    pub fn fit(items: &[Scored]) -> Option<Temperature> {
        if items.is_empty() {
            return None;
        }
        let points: Vec<(f64, f64)> = items
            .iter()
            .map(|item| (log_odds(item.score()), f64::from(u8::from(item.truth()))))
            .collect();
        if points.iter().all(|&(odds, _)| odds == 0.0) {
            return Some(Temperature { t: 1.0 });
        }
        Some(Temperature { t: 1.0 / best_inverse(&points) })
    }

    /// The number.
    pub fn value(self) -> f64 {
        self.t
    }

    /// The calibrated score, from 0 to 1.
    pub fn apply(self, score: f64) -> f64 {
        sigmoid(log_odds(score) / self.t)
    }
}

/// Where the loss stops falling, from `1 / HOTTEST` to `1 / COLDEST`. The loss is convex in the
/// inverse temperature, so its slope has one zero: Newton's steps inside a bracket (Numerical
/// Recipes 9.4, `rtsafe`).
fn best_inverse(points: &[(f64, f64)]) -> f64 {
    let (mut low, mut high) = (1.0 / HOTTEST, 1.0 / COLDEST);
    if slope(points, low).0 >= 0.0 {
        return low;
    }
    if slope(points, high).0 <= 0.0 {
        return high;
    }
    let mut inverse = 1.0;
    // 60 halvings would do; Newton needs about five steps.
    for _ in 0..200 {
        let (first, second) = slope(points, inverse);
        if first > 0.0 {
            high = inverse;
        } else {
            low = inverse;
        }
        let newton = inverse - first / second;
        let inside = newton >= low && newton <= high;
        let next = if inside { newton } else { 0.5 * (low + high) };
        let is_settled = (next - inverse).abs() <= 4.0 * f64::EPSILON * inverse;
        inverse = next;
        if is_settled {
            break;
        }
    }
    inverse
}

/// First and second derivative of the log loss by the inverse temperature, of log odds and truths.
fn slope(points: &[(f64, f64)], inverse: f64) -> (f64, f64) {
    points.iter().fold((0.0, 0.0), |(first, second), &(odds, truth)| {
        let score = sigmoid(inverse * odds);
        (first + odds * (score - truth), second + odds * odds * score * (1.0 - score))
    })
}

/// `ln(p / (1 - p))`, with `p` held [`f64::EPSILON`] away from 0 and 1.
fn log_odds(score: f64) -> f64 {
    let score = score.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
    (score / (1.0 - score)).ln()
}

/// The reverse of [`log_odds`].
fn sigmoid(odds: f64) -> f64 {
    1.0 / (1.0 + (-odds).exp())
}
