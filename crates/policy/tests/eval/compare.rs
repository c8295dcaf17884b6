//! Reads fixtures and keeps the largest distance from them.

use policy::eval::{Interval, Scored};
use serde_json::Value;

/// The rows of a fixture.
pub(crate) fn rows(json: &str) -> Vec<Value> {
    serde_json::from_str(json).expect("the fixture is a list of rows")
}

pub(crate) fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is a number"))
}

pub(crate) fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is a count"))
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("{value} is a list"))
}

/// The truths and scores of a row.
pub(crate) fn scored(row: &Value) -> Vec<Scored> {
    let (truths, scores) = (list(&row["truth"]), list(&row["score"]));
    std::iter::zip(truths, scores)
        .map(|(truth, score)| {
            Scored::new(truth.as_bool().expect("a truth"), number(score)).expect("a finite score")
        })
        .collect()
}

/// Compares up to a tolerance and remembers the worst.
pub(crate) struct Against {
    reference: &'static str,
    tolerance: f64,
    worst: f64,
    n_compared: usize,
}

impl Against {
    pub(crate) fn new(reference: &'static str, tolerance: f64) -> Against {
        Against { reference, tolerance, worst: 0.0, n_compared: 0 }
    }

    /// `null` in the fixture is `None` here.
    pub(crate) fn check(&mut self, what: &str, found: Option<f64>, expected: &Value) {
        let Some(found) = found else {
            assert!(expected.is_null(), "{what}: nothing found, {expected} expected");
            return;
        };
        assert!(!expected.is_null(), "{what}: {found} found, nothing expected");
        let distance = (found - number(expected)).abs();
        assert!(distance <= self.tolerance, "{what}: {found} is not {expected}");
        self.worst = self.worst.max(distance);
        self.n_compared += 1;
    }

    /// Number by number.
    pub(crate) fn check_list(&mut self, what: &str, found: &[f64], expected: &Value) {
        assert_eq!(found.len(), list(expected).len(), "{what}");
        for (&found, expected) in found.iter().zip(list(expected)) {
            self.check(what, Some(found), expected);
        }
    }

    pub(crate) fn check_interval(&mut self, what: &str, found: Interval, expected: &Value) {
        self.check_list(what, &[found.low, found.high], expected);
    }

    /// Says how close it was, to those who run the tests with `--nocapture`.
    pub(crate) fn finish(self) {
        let Against { reference, worst, n_compared, .. } = self;
        assert!(n_compared > 0, "{reference}: nothing was compared");
        println!("{reference}: {n_compared} numbers, at most {worst:.1e} apart");
    }
}
