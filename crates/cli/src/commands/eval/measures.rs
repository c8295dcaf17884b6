//! The measures of a policy's run, each with its interval: Wilson's for shares, the bootstrap for the rest.

use policy::eval::{
    Bootstrap, Confusion, Curve, Level, Rate, Scored, TooSmall, expected_calibration_error,
    too_small,
};
use serde::Serialize;

use super::item::Item;

/// Bins of calibration errors and reliability curves.
pub(super) const N_BINS: usize = 10;

/// A number with where it may really be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Measure {
    /// `None` where the data do not define it.
    pub(super) value: Option<f64>,
    pub(super) low: Option<f64>,
    pub(super) high: Option<f64>,
    /// How the interval was made.
    pub(super) interval: Method,
}

/// How an interval is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Method {
    /// Wilson's score interval.
    #[default]
    Wilson,
    /// Percentiles over sets drawn with replacement.
    Bootstrap,
}

/// Every measure of a set.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Measures {
    pub(super) precision: Measure,
    pub(super) recall: Measure,
    pub(super) specificity: Measure,
    pub(super) accuracy: Measure,
    pub(super) f1: Measure,
    pub(super) balanced_accuracy: Measure,
    pub(super) kappa: Measure,
    pub(super) auprc: Measure,
    pub(super) auroc: Measure,
    pub(super) ece: Measure,
    /// The same of probabilities, where the policy has a calibration for this judge.
    pub(super) probability_ece: Measure,
    /// The share of items that got a verdict.
    pub(super) determined: Measure,
}

impl Measures {
    pub(super) fn new(items: &[Item<'_>], bootstrap: &Bootstrap) -> Measures {
        let pairs: Vec<(bool, Option<bool>)> = items.iter().map(Item::pair).collect();
        let scored = scores(items);
        let confusion = Confusion::from_iter(pairs.iter().copied());
        let share = |rate| share(&confusion, rate, bootstrap.level);
        let of_counts = |statistic: fn(&Confusion) -> Option<f64>| {
            resampled(&pairs, bootstrap, |set| statistic(&set.iter().map(|pair| **pair).collect()))
        };
        let of_scores = |scored: &[Scored], statistic: fn(&[Scored]) -> Option<f64>| {
            resampled(scored, bootstrap, |set| {
                statistic(&set.iter().map(|one| **one).collect::<Vec<Scored>>())
            })
        };
        let calibrated: Vec<Scored> = items.iter().filter_map(Item::calibrated).collect();
        Measures {
            precision: share(Rate::Precision),
            recall: share(Rate::Recall),
            specificity: share(Rate::Specificity),
            accuracy: share(Rate::Accuracy),
            f1: of_counts(Confusion::f1),
            balanced_accuracy: of_counts(Confusion::balanced_accuracy),
            kappa: of_counts(Confusion::kappa),
            auprc: of_scores(&scored, |scored| Curve::new(scored).average_precision()),
            auroc: of_scores(&scored, |scored| Curve::new(scored).auroc()),
            ece: of_scores(&scored, calibration_error),
            probability_ece: of_scores(&calibrated, calibration_error),
            determined: share(Rate::Determined),
        }
    }

    /// With their names for people.
    pub(super) fn named(&self) -> [(&'static str, Measure); 12] {
        [
            ("precision", self.precision),
            ("recall", self.recall),
            ("specificity", self.specificity),
            ("accuracy", self.accuracy),
            ("F1", self.f1),
            ("balanced accuracy", self.balanced_accuracy),
            ("Cohen's κ", self.kappa),
            ("AUPRC", self.auprc),
            ("AUROC", self.auroc),
            ("calibration error (ECE)", self.ece),
            ("calibration error, calibrated", self.probability_ece),
            ("determined", self.determined),
        ]
    }
}

/// What a verdict takes, on the average.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Cost {
    pub(super) prompt_tokens: Measure,
    pub(super) generated_tokens: Measure,
    /// Of the verdicts as they were made; a remembered one keeps its time.
    pub(super) seconds: Measure,
}

impl Cost {
    pub(super) fn new(items: &[Item<'_>], bootstrap: &Bootstrap) -> Cost {
        let mean_of = |number: fn(&policy::Usage) -> f64| {
            let of_item = |item: &Item<'_>| {
                let sum: f64 = item.verdicts.iter().map(|verdict| number(&verdict.usage)).sum();
                sum / item.verdicts.len() as f64
            };
            let numbers: Vec<f64> = items.iter().map(of_item).collect();
            resampled(&numbers, bootstrap, mean)
        };
        Cost {
            prompt_tokens: mean_of(|usage| usage.prompt_tokens as f64),
            generated_tokens: mean_of(|usage| usage.generated_tokens as f64),
            seconds: mean_of(|usage| usage.seconds),
        }
    }
}

/// The scores of the items that have one.
pub(super) fn scores(items: &[Item<'_>]) -> Vec<Scored> {
    items.iter().filter_map(Item::scored).collect()
}

/// The calibration error over [`N_BINS`] bins.
pub(super) fn calibration_error(scored: &[Scored]) -> Option<f64> {
    expected_calibration_error(scored, N_BINS)
}

/// A statistic of all items, with the interval that resampling them gives.
pub(super) fn resampled<T>(
    items: &[T],
    bootstrap: &Bootstrap,
    statistic: impl Fn(&[&T]) -> Option<f64>,
) -> Measure {
    let value = statistic(&items.iter().collect::<Vec<&T>>());
    let interval = value.and_then(|_| bootstrap.interval(items, statistic)).map(|it| it.interval);
    Measure {
        value,
        low: interval.map(|interval| interval.low),
        high: interval.map(|interval| interval.high),
        interval: Method::Bootstrap,
    }
}

/// A share of the counts.
fn share(confusion: &Confusion, rate: Rate, level: Level) -> Measure {
    let estimate = confusion.share(rate).estimate(level);
    Measure {
        value: estimate.value,
        low: Some(estimate.interval.low),
        high: Some(estimate.interval.high),
        interval: Method::Wilson,
    }
}

/// Why the set is too small to say much, in words; empty where it is not.
pub(super) fn size_warnings(confusion: &Confusion) -> Vec<String> {
    too_small(confusion, &Default::default()).iter().map(TooSmall::to_string).collect()
}

fn mean(numbers: &[&f64]) -> Option<f64> {
    let sum: f64 = numbers.iter().copied().sum();
    (!numbers.is_empty()).then(|| sum / numbers.len() as f64)
}
