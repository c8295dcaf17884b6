//! Who is promoted: simulated classifiers beside simulated reasoners.

use cascade::{CascadeError, Contest, compare};
use policy::eval::{Level, SplitMix};

/// Rows of which a third violate: scores have `skill` standard deviations between the sides, and the
/// reasoner is right with probability `reasoner`.
fn rows(n: usize, skill: f64, reasoner: f64, seed: u64) -> Vec<Contest> {
    let mut random = SplitMix::new(seed);
    let row = |n: usize| {
        let truth = n.is_multiple_of(3);
        // Twelve uniform numbers make a normal one, near enough.
        let noise: f64 = (0..12).map(|_| random.share()).sum::<f64>() - 6.0;
        let shift = if truth { 0.5 * skill } else { -0.5 * skill };
        let said = if random.share() < reasoner { truth } else { !truth };
        Contest { truth, score: 1.0 / (1.0 + (-(noise + shift)).exp()), reasoner: Some(said) }
    };
    (0..n).map(row).collect()
}

#[test]
fn who_is_better_is_promoted_with_edges_that_hold() {
    let compared = compare(&rows(1200, 4.0, 0.85, 1), Level::P95, 0).unwrap();
    assert!(compared.is_better());
    let promotion = compared.promotion(Level::P95, "model").unwrap();
    let (low, high) = (promotion.low.unwrap(), promotion.high.unwrap());
    assert!(low <= compared.threshold && compared.threshold <= high);
    for edge in [compared.low.unwrap(), compared.high.unwrap()] {
        assert!(edge.bound >= edge.reasoner && edge.right.unwrap() > edge.bound, "{edge:?}");
    }
}

#[test]
fn who_is_worse_or_no_better_is_not() {
    let worse = compare(&rows(1200, 1.0, 0.9, 2), Level::P95, 0).unwrap();
    assert!(!worse.is_better() && worse.promotion(Level::P95, "model").is_none());
    // Equally good: right with probability 0.9 at the best threshold, by the normal's quantile.
    let promoted = |seed: &u64| {
        let compared = compare(&rows(400, 2.563, 0.9, *seed), Level::P95, *seed).unwrap();
        compared.promotion(Level::P95, "model").is_some()
    };
    let n_promoted = (0..60).filter(promoted).count();
    assert!(n_promoted <= 3, "{n_promoted} of 60 promoted without merit");
}

#[test]
fn what_the_reasoner_did_not_decide_says_nothing() {
    let mut some = rows(1200, 4.0, 0.85, 1);
    some.iter_mut().take(100).for_each(|row| row.reasoner = None);
    let compared = compare(&some, Level::P95, 0).unwrap();
    assert_eq!((compared.n_undetermined, compared.n_rows), (100, (550, 550)));
    some.iter_mut().for_each(|row| row.reasoner = None);
    assert!(matches!(compare(&some, Level::P95, 0), Err(CascadeError::Contest { .. })));
    let unscored = Contest { truth: true, score: f64::NAN, reasoner: Some(true) };
    some.push(unscored);
    assert!(matches!(compare(&some, Level::P95, 0), Err(CascadeError::Score { .. })));
}

#[test]
fn scores_that_are_all_the_same_decide_nothing() {
    let same: Vec<Contest> =
        rows(300, 1.0, 0.9, 3).into_iter().map(|row| Contest { score: 0.5, ..row }).collect();
    let compared = compare(&same, Level::P95, 0).unwrap();
    assert!(compared.low.is_none() && compared.promotion(Level::P95, "model").is_none());
}
