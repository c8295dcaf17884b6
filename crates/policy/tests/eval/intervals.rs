//! Intervals of shares, of differences, of anything.

use policy::eval::{Bootstrap, Confusion, Interval, Level, Share, newcombe};
use serde_json::Value;

use crate::compare::{Against, count, list, number, rows};

fn rows_of(kind: &str) -> Vec<Value> {
    let mut rows = rows(include_str!("../fixtures/eval/intervals.json"));
    rows.retain(|row| row["kind"] == kind);
    rows
}

fn share(hits: &Value, of: &Value) -> Share {
    Share::new(count(hits), count(of)).expect("no more hits than there are")
}

fn level(row: &Value) -> Level {
    Level::new(number(&row["level"])).expect("from 0.5 to below 1")
}

#[test]
fn intervals_of_shares_are_those_of_statsmodels() {
    let mut wilson = Against::new("Wilson", 1e-9);
    let mut exact = Against::new("Clopper and Pearson", 1e-9);
    for row in rows_of("share") {
        let (share, level) = (share(&row["hits"], &row["of"]), level(&row));
        let what = format!("{share:?} at {level:?}");
        wilson.check_interval(&what, share.wilson(level), &row["wilson"]);
        exact.check_interval(&what, share.clopper_pearson(level), &row["clopper_pearson"]);
        exact.check(&what, Some(share.lower_bound(level)), &row["lower"]);
        exact.check(&what, Some(share.upper_bound(level)), &row["upper"]);
    }
    wilson.finish();
    exact.finish();
}

#[test]
fn differences_are_those_of_statsmodels() {
    let mut against = Against::new("Newcombe", 1e-9);
    for row in rows_of("difference") {
        let side = |name: &str| share(&list(&row[name])[0], &list(&row[name])[1]);
        let interval = newcombe(side("first"), side("second"), Level::P95).expect("two shares");
        against.check_interval("difference", interval, &row["interval"]);
    }
    against.finish();
    assert_eq!(newcombe(Share::default(), Share::new(1, 2).expect("a half"), Level::P95), None);
}

#[test]
fn the_bootstrap_takes_percentiles_as_numpy() {
    let mut against = Against::new("bootstrap", 1e-9);
    for row in rows_of("bootstrap") {
        let values: Vec<f64> = list(&row["values"]).iter().map(number).collect();
        let bootstrap = Bootstrap {
            n_resamples: usize::try_from(count(&row["n_resamples"])).expect("a small count"),
            seed: count(&row["seed"]),
            level: level(&row),
        };
        let mean = |set: &[&f64]| Some(set.iter().copied().sum::<f64>() / set.len() as f64);
        let resampled = bootstrap.interval(&values, mean).expect("values");
        assert_eq!(resampled.n_undefined, 0);
        against.check_interval("mean", resampled.interval, &row["interval"]);
    }
    against.finish();
}

#[test]
fn the_bootstrap_counts_what_it_cannot_say() {
    let bootstrap = Bootstrap::default();
    let precision = |set: &[&(bool, bool)]| {
        set.iter().map(|&&(truth, said)| (truth, Some(said))).collect::<Confusion>().precision()
    };
    assert_eq!(bootstrap.interval(&[], precision), None);
    assert_eq!(bootstrap.interval(&[(true, false)], precision), None);
    assert_eq!(bootstrap.interval(&[1], |_| Some(f64::NAN)), None);
    let some = bootstrap.interval(&[(true, true), (true, false)], precision).expect("some sets");
    assert_eq!(some.interval, Interval { low: 1.0, high: 1.0 });
    let quarter = bootstrap.n_resamples / 4;
    assert!(some.n_undefined.abs_diff(quarter) < 100, "{} are undefined", some.n_undefined);
}

#[test]
fn nothing_says_nothing() {
    let nothing = Share::default();
    assert_eq!(nothing.value(), None);
    assert_eq!(nothing.wilson(Level::P95), Interval::UNKNOWN);
    assert_eq!(nothing.clopper_pearson(Level::P95), Interval::UNKNOWN);
    assert_eq!((nothing.lower_bound(Level::P95), nothing.upper_bound(Level::P95)), (0.0, 1.0));
    assert_eq!(Share::new(2, 1), None);
    for level in [0.0, 0.49, 1.0, -0.5, f64::NAN, f64::INFINITY] {
        assert_eq!(Level::new(level), None);
    }
}

#[test]
fn huge_counts_are_answered_too() {
    for of in [1 << 32, 1 << 53, u64::MAX] {
        for hits in [1, of / 3, of] {
            let share = Share::new(hits, of).expect("a share");
            let exact = share.clopper_pearson(Level::P95);
            let wilson = share.wilson(Level::P95);
            let far = (exact.low - wilson.low).abs().max((exact.high - wilson.high).abs());
            assert!(far < 1e-8, "{share:?}: {exact:?} {wilson:?}");
        }
    }
}
