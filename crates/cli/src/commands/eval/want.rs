//! The threshold for a wanted precision or recall.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use policy::eval::{Curve, Estimate, Level, Rate, Scored};
use serde::Serialize;

/// What the user wants: `precision=0.9` or `recall=0.95`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Want {
    rate: Rate,
    least: f64,
}

impl FromStr for Want {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Want> {
        let (name, least) = text.split_once('=').context("must be precision=P or recall=R")?;
        let rate = match name {
            "precision" => Rate::Precision,
            "recall" => Rate::Recall,
            _ => bail!("{name:?} is neither precision nor recall"),
        };
        let least: f64 = least.parse().with_context(|| format!("{least:?} is no number"))?;
        if !(least > 0.0 && least <= 1.0) {
            bail!("{name} must be above 0 and at most 1");
        }
        Ok(Want { rate, least })
    }
}

/// The threshold, if there is one.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Wanted {
    rate: Rate,
    least: f64,
    found: Option<Found>,
}

/// A threshold and what it does to the items that it was chosen by, which flatters it.
#[derive(Clone, Debug, Serialize)]
struct Found {
    threshold: f64,
    precision: Estimate,
    recall: Estimate,
}

impl Wanted {
    pub(super) fn new(want: Want, scored: &[Scored], level: Level) -> Wanted {
        let curve = Curve::new(scored);
        let point = match want.rate {
            Rate::Precision => curve.for_precision(want.least),
            _ => curve.for_recall(want.least),
        };
        let found = point.map(|point| Found {
            threshold: point.threshold,
            precision: point.confusion.share(Rate::Precision).estimate(level),
            recall: point.confusion.share(Rate::Recall).estimate(level),
        });
        Wanted { rate: want.rate, least: want.least, found }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of at least {}: ", self.rate, self.least)?;
        let Some(found) = &self.found else {
            return f.write_str("no threshold has it");
        };
        let ends = |it: &Estimate| {
            let value = it.value.unwrap_or_default();
            format!("{value:.2} ({:.2}–{:.2})", it.interval.low, it.interval.high)
        };
        write!(
            f,
            "threshold {:.4}; precision {}, recall {} on the items that it was chosen by",
            found.threshold,
            ends(&found.precision),
            ends(&found.recall)
        )
    }
}
