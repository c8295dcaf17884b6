//! What holds for any input.

use policy::eval::{
    Bootstrap, Calibration, CalibrationMethod, Confusion, Curve, Interval, Isotonic, Level, Rate,
    Scored, Share, Temperature, brier, cross_fitted, expected_calibration_error, log_loss, mcnemar,
    mcnemar_mid_p, newcombe, reliability, too_small,
};
use proptest::prelude::*;

/// Shares of up to a million.
fn shares() -> impl Strategy<Value = Share> {
    (1..=1_000_000_u64, 0.0..=1.0).prop_map(|(of, part)| {
        let hits = ((of as f64 * part) as u64).min(of);
        Share::new(hits, of).expect("no more hits than there are")
    })
}

fn levels() -> impl Strategy<Value = Level> {
    prop_oneof![Just(0.5), Just(1.0 - f64::EPSILON / 2.0), 0.5..0.9999]
        .prop_map(|level| Level::new(level).expect("from 0.5 to below 1"))
}

/// Any finite scores, with ties, zeros of both signs and both ends.
fn scores() -> impl Strategy<Value = Vec<Scored>> {
    let score = prop_oneof![
        4 => (0..=10_u8).prop_map(|step| f64::from(step) / 10.0),
        2 => 0.0..=1.0,
        1 => any::<f64>().prop_filter("finite", |score| score.is_finite()),
        1 => Just(-0.0),
    ];
    let item = (any::<bool>(), score)
        .prop_map(|(truth, score)| Scored::new(truth, score).expect("a finite score"));
    prop::collection::vec(item, 0..40)
}

fn is_within(interval: Interval, low: f64, high: f64) -> bool {
    low <= interval.low && interval.low <= interval.high && interval.high <= high
}

fn is_share(value: Option<f64>) -> bool {
    value.is_none_or(|value| (0.0..=1.0).contains(&value))
}

proptest! {
    #[test]
    fn intervals_hold_the_share(share in shares(), level in levels()) {
        let value = share.value().expect("a share of something");
        for interval in [share.wilson(level), share.clopper_pearson(level)] {
            prop_assert!(is_within(interval, 0.0, 1.0), "{interval:?}");
            prop_assert!(interval.contains(value), "{interval:?} without {value}");
        }
        let (lower, upper) = (share.lower_bound(level), share.upper_bound(level));
        prop_assert!(0.0 <= lower && lower <= value && value <= upper && upper <= 1.0);
    }

    #[test]
    fn exact_bounds_grow_with_the_hits(of in 1..2000_u64, part in 0.0..1.0, level in levels()) {
        let hits = ((of as f64 * part) as u64).min(of - 1);
        let [fewer, more] = [hits, hits + 1].map(|hits| Share::new(hits, of).expect("a share"));
        prop_assert!(fewer.lower_bound(level) <= more.lower_bound(level));
        prop_assert!(fewer.upper_bound(level) <= more.upper_bound(level));
    }

    #[test]
    fn intervals_shrink_as_sets_grow(share in shares(), times in 2..20_u64) {
        let more = Share::new(share.hits() * times, share.of() * times).expect("the same share");
        let level = Level::P95;
        prop_assert!(more.wilson(level).width() < share.wilson(level).width());
        prop_assert!(more.clopper_pearson(level).width() < share.clopper_pearson(level).width());
    }

    #[test]
    fn differences_hold_the_difference(first in shares(), second in shares(), level in levels()) {
        let interval = newcombe(first, second, level).expect("two shares");
        let difference = first.value().expect("a share") - second.value().expect("a share");
        prop_assert!(is_within(interval, -1.0, 1.0) && interval.contains(difference));
    }

    #[test]
    fn resampled_means_lie_among_the_values(
        values in prop::collection::vec(-1e300..1e300, 1..20),
        seed: u64,
        level in levels(),
    ) {
        let bootstrap = Bootstrap { n_resamples: 50, seed, level };
        let first = |set: &[&f64]| set.first().map(|&&value| value);
        let resampled = bootstrap.interval(&values, first).expect("values");
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        prop_assert!(is_within(resampled.interval, low, high));
        prop_assert_eq!(bootstrap.interval(&values, first), Some(resampled));
    }

    #[test]
    fn measures_are_shares_or_nothing(counts: [u64; 6], small in 0..4_u64, keep: [bool; 6]) {
        let [tp, fp, tn, fn_, undetermined_positive, undetermined_negative] =
            std::array::from_fn(|at| if keep[at] { counts[at] } else { small });
        let confusion =
            Confusion { tp, fp, tn, fn_, undetermined_positive, undetermined_negative };
        for rate in Rate::ALL {
            prop_assert!(is_share(confusion.share(rate).value()));
        }
        prop_assert!(is_share(confusion.f1()) && is_share(confusion.balanced_accuracy()));
        prop_assert!(confusion.kappa().is_none_or(|kappa| (-1.0..=1.0).contains(&kappa)));
        let reasons = too_small(&confusion, &Default::default());
        prop_assert!(reasons.len() <= 5);
        let _ = confusion + confusion;
    }

    #[test]
    fn p_values_are_probabilities(fixed in 0..2000_u64, broken in 0..2000_u64) {
        let (exact, mid) = (mcnemar(fixed, broken), mcnemar_mid_p(fixed, broken));
        prop_assert!((0.0..=1.0).contains(&exact) && (0.0..=1.0).contains(&mid));
        prop_assert!(mid <= exact);
        prop_assert_eq!(exact, mcnemar(broken, fixed));
        if fixed > broken {
            prop_assert!(mcnemar(fixed + 1, broken) <= exact);
        }
    }

    #[test]
    fn the_area_does_not_see_a_rising_map(
        items in prop::collection::vec((any::<bool>(), -50..50_i32), 0..60),
    ) {
        let area = |map: fn(f64) -> f64| {
            let items: Vec<Scored> = items
                .iter()
                .filter_map(|&(truth, score)| Scored::new(truth, map(f64::from(score))))
                .collect();
            let curve = Curve::new(&items);
            (curve.auroc(), curve.average_precision())
        };
        let plain = area(|score| score);
        for map in [|score| score / 7.0 + 3.0, f64::exp, |score: f64| score.powi(3), f64::atan] {
            prop_assert_eq!(area(map), plain);
        }
        let (turned, _) = area(|score| -score);
        let back = turned.map(|area| 1.0 - area);
        prop_assert!(plain.0.zip(back).is_none_or(|(area, back)| (area - back).abs() < 1e-12));
    }

    #[test]
    fn curves_rise_and_stay_in_the_square(items in scores(), wanted in 0.0..=1.0) {
        let curve = Curve::new(&items);
        prop_assert!(is_share(curve.auroc()) && is_share(curve.average_precision()));
        if let Some(points) = curve.roc() {
            prop_assert!(points.is_sorted_by_key(|point| point.false_positive_rate));
            prop_assert!(points.is_sorted_by_key(|point| point.true_positive_rate));
            prop_assert_eq!(points.last().map(|point| point.true_positive_rate), Some(1.0));
        }
        if let Some(points) = curve.precision_recall() {
            prop_assert!(points.iter().all(|point| is_share(Some(point.precision))));
            prop_assert!(points.is_sorted_by(|a, b| a.recall <= b.recall));
        }
        if let Some(point) = curve.for_precision(wanted) {
            prop_assert!(point.confusion.precision().is_some_and(|found| found >= wanted));
        }
        if let Some(point) = curve.for_recall(wanted) {
            prop_assert!(point.confusion.recall().is_some_and(|found| found >= wanted));
        }
    }

    #[test]
    fn errors_of_scores_are_finite(items in scores(), n_bins in 0..30_usize) {
        prop_assert!(is_share(expected_calibration_error(&items, n_bins)));
        prop_assert!(is_share(brier(&items)));
        prop_assert!(log_loss(&items).is_none_or(|loss| (0.0..=37.0).contains(&loss)));
        let bins = reliability(&items, n_bins);
        let n_items: u64 = bins.iter().map(|bin| bin.violations.of()).sum();
        prop_assert_eq!(n_items, items.len() as u64);
    }

    #[test]
    fn calibrated_scores_are_probabilities_in_the_old_order(items in scores()) {
        let fits = [
            Some(Calibration::None),
            Temperature::fit(&items).map(Calibration::Temperature),
            Isotonic::fit(&items).map(Calibration::Isotonic),
        ];
        let mut points: Vec<f64> = items.iter().map(|item| item.score()).collect();
        points.extend((0..=100).map(|step| f64::from(step) / 100.0));
        points.sort_by(f64::total_cmp);
        for fit in fits.iter().flatten() {
            let calibrated: Vec<f64> = points.iter().map(|&score| fit.apply(score)).collect();
            prop_assert!(calibrated.iter().all(|&score| is_share(Some(score))));
            prop_assert!(calibrated.is_sorted(), "{fit:?}");
        }
    }

    #[test]
    fn a_fit_is_no_worse_than_none_on_its_own_set(items in scores()) {
        for method in [CalibrationMethod::Temperature, CalibrationMethod::Isotonic] {
            let Some(fit) = Calibration::fit(method, &items) else { continue };
            let after: Vec<Scored> = items
                .iter()
                .filter_map(|item| Scored::new(item.truth(), fit.apply(item.score())))
                .collect();
            // Temperature makes the log loss least, isotonic regression the squared distance.
            let loss = if method == CalibrationMethod::Temperature { log_loss } else { brier };
            let [before, after] = [&items, &after].map(|items| loss(items).expect("both sides"));
            prop_assert!(after <= before + 1e-9, "{method:?}: {before} {after}");
        }
    }

    #[test]
    fn the_rising_curve_is_monotone_and_balanced(items in scores()) {
        let Some(isotonic) = Isotonic::fit(&items) else { return Ok(()) };
        let (x, y): (Vec<f64>, Vec<f64>) = isotonic.points().unzip();
        prop_assert!(x.is_sorted_by(|a, b| a < b) && y.is_sorted());
        prop_assert_eq!(Isotonic::new(x, y), Ok(isotonic.clone()));
        // Pooling keeps the sum.
        let fitted: f64 = items.iter().map(|item| isotonic.apply(item.score())).sum();
        let violations = items.iter().filter(|item| item.truth()).count() as f64;
        prop_assert!((fitted - violations).abs() < 1e-9);
    }

    #[test]
    fn cross_fitting_answers_for_every_item(items in scores(), n_folds in 0..50_usize, seed: u64) {
        for method in [CalibrationMethod::Temperature, CalibrationMethod::Isotonic] {
            let Some(calibrated) = cross_fitted(method, &items, n_folds, seed) else { continue };
            prop_assert_eq!(calibrated.len(), items.len());
            for (after, before) in calibrated.iter().zip(&items) {
                prop_assert_eq!(after.truth(), before.truth());
                prop_assert!(is_share(Some(after.score())));
            }
            prop_assert_eq!(cross_fitted(method, &items, n_folds, seed), Some(calibrated));
        }
    }
}
