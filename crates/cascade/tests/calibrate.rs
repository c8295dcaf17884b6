//! The threshold against scipy, and the promise against thousands of simulated filters.

use cascade::{CascadeError, Evidence, Promise, calibrate, scored};
use policy::eval::{Level, Scored, Share, SplitMix};
use proptest::prelude::*;
use serde::Deserialize;

/// A row of `fixtures/recall/orders.json`.
#[derive(Debug, Deserialize)]
struct Order {
    n: u64,
    recall: f64,
    confidence: f64,
    k: u64,
    proven: Option<f64>,
    needed: u64,
}

fn promise(recall: f64, confidence: f64) -> Promise {
    let confidence = Level::new(confidence).expect("a confidence");
    Promise::new(recall, confidence).expect("a recall")
}

#[test]
fn orders_are_those_of_scipy() {
    let rows: Vec<Order> =
        serde_json::from_str(include_str!("fixtures/recall/orders.json")).unwrap();
    for row in rows {
        let promise = promise(row.recall, row.confidence);
        assert_eq!(promise.order(row.n).unwrap_or(0), row.k, "{row:?}");
        assert_eq!(promise.positives_needed(), row.needed, "{row:?}");
        let scores = (0..row.n).map(|i| (true, i as f64));
        let found = calibrate(&scored(scores).unwrap(), promise, None);
        match (found, row.proven) {
            (Ok(evidence), Some(proven)) => {
                assert!((evidence.chosen.proven_recall - proven).abs() < 1e-10, "{row:?}");
                assert_eq!(evidence.chosen.threshold, (row.k - 1) as f64, "{row:?}");
            }
            (Err(CascadeError::TooFewPositives { found, needed, more, .. }), None) => {
                assert_eq!((found, needed, more), (row.n, row.needed, row.needed - row.n));
            }
            (found, _) => panic!("{row:?}: {found:?}"),
        }
    }
}

/// What a simulated filter gives a violating item, as a function of a uniform draw.
struct Filter {
    name: &'static str,
    score: fn(f64) -> f64,
    /// `P(score >= threshold)`, exactly.
    recall: fn(f64) -> f64,
    /// Whether no two scores are ever equal; then the promise is broken exactly as often as said.
    is_continuous: bool,
}

const FILTERS: [Filter; 5] = [
    Filter { name: "uniform", score: |u| u, recall: |t| 1.0 - t, is_continuous: true },
    Filter {
        name: "logit of u^4",
        score: |u| -(u.powi(-4) - 1.0).ln(),
        recall: |t| 1.0 - (1.0 + (-t).exp()).powf(-0.25),
        is_continuous: true,
    },
    Filter {
        name: "tenths",
        score: |u| (10.0 * u).floor() / 10.0,
        recall: |t| 1.0 - (10.0 * t).round() / 10.0,
        is_continuous: false,
    },
    Filter {
        name: "thousandths",
        score: |u| (1000.0 * u).floor(),
        recall: |t| 1.0 - t / 1000.0,
        is_continuous: false,
    },
    Filter {
        name: "three values",
        score: |u| {
            if u < 0.04 {
                0.0
            } else if u < 0.07 {
                1.0
            } else {
                2.0
            }
        },
        recall: |t| {
            if t <= 0.0 {
                1.0
            } else if t <= 1.0 {
                0.96
            } else {
                0.93
            }
        },
        is_continuous: false,
    },
];

/// Over 1,000 calibrations each, at most 5% break the promise, with three standard errors of slack
/// (2.1 points); where no scores tie, the rate is also no lower than the exact one less that slack.
#[test]
fn promises_are_broken_in_one_calibration_of_twenty_at_most() {
    let n_runs = 1000;
    let slack = 3.0 * (0.05_f64 * 0.95 / f64::from(n_runs)).sqrt();
    for filter in &FILTERS {
        for (n, recall) in [(100, 0.95), (500, 0.95), (500, 0.99), (1000, 0.90)] {
            let promise = promise(recall, 0.95);
            let broken = (0..n_runs).filter(|&seed| is_broken(filter, n, promise, seed)).count();
            let rate = broken as f64 / f64::from(n_runs);
            let k = promise.order(n).unwrap();
            let exact = 1.0 - at_least(k, n, 1.0 - recall);
            println!("{:<20} n {n:>4} recall {recall}: {rate:.3}, exact {exact:.4}", filter.name);
            assert!(rate <= 0.05 + slack, "{} n {n} recall {recall}: {rate}", filter.name);
            if filter.is_continuous {
                assert!((rate - exact).abs() <= slack, "{} n {n}: {rate}, {exact}", filter.name);
                assert!(exact > 0.01, "one more positive may not cost the whole confidence");
            }
        }
    }
}

fn is_broken(filter: &Filter, n: u64, promise: Promise, seed: u32) -> bool {
    let mut random = SplitMix::new(u64::from(seed) * 1_000_003 + n + filter.name.len() as u64);
    let scores = (0..n).map(|_| (true, (filter.score)(random.share())));
    let evidence =
        calibrate(&scored(scores).expect("finite"), promise, None).expect("enough positives");
    (filter.recall)(evidence.chosen.threshold) < promise.recall() - 1e-12
}

/// `P(Bin(n, p) >= k)`, summed up.
fn at_least(k: u64, n: u64, p: f64) -> f64 {
    let (n, mut term, mut below) = (n as f64, (n as f64 * (-p).ln_1p()).exp(), 0.0);
    for hits in 0..k {
        below += term;
        term *= (n - hits as f64) / (hits as f64 + 1.0) * p / (1.0 - p);
    }
    1.0 - below
}

#[test]
fn the_share_passed_on_is_counted_and_weighted() {
    let positives = (0..100).map(|i| (true, 50.0 + f64::from(i)));
    let negatives = (0..900).map(|i| (false, f64::from(i) / 9.0));
    let items = scored(positives.chain(negatives)).unwrap();
    let evidence = calibrate(&items, promise(0.9, 0.95), Some(0.01)).unwrap();
    let chosen = evidence.chosen;
    assert_eq!((evidence.n_positives, evidence.n_negatives), (100, 900));
    assert_eq!((chosen.k, chosen.threshold), (5, 54.0));
    assert_eq!((chosen.passed_positives, chosen.passed_negatives), (96, 414));
    let passed_on = evidence.passed_on(&chosen, Level::P95);
    assert_eq!(passed_on.value, Some(0.51));
    assert_eq!(passed_on.interval, Share::new(510, 1000).unwrap().wilson(Level::P95));
    let in_traffic = evidence.passed_on_in_traffic(&chosen, Level::P95).unwrap();
    assert!((in_traffic.value - (0.01 * 0.96 + 0.99 * 0.46)).abs() < 1e-12);
    assert!(in_traffic.interval.contains(in_traffic.value));
    let negatives_alone = Share::new(414, 900).unwrap().wilson(Level::P95).width();
    assert!((in_traffic.interval.width() / negatives_alone - 0.99).abs() < 1e-3);
    let recalls: Vec<f64> = evidence.table.iter().map(|row| row.recall).collect();
    assert_eq!(recalls, [0.80, 0.90, 0.95], "299 positives are needed for 0.99, 149 for 0.98");
}

#[test]
fn what_cannot_be_compared_or_promised_is_refused() {
    let broken = scored([(true, 0.0), (false, f64::NAN)]);
    assert!(matches!(broken, Err(CascadeError::Score { index: 1, .. })), "{broken:?}");
    for recall in [0.0, -1.0, 1.0, 0.999_999_5, f64::NAN] {
        let found = Promise::new(recall, Level::P95);
        assert!(matches!(found, Err(CascadeError::Recall { .. })), "{found:?}");
    }
    let none = calibrate(&[], promise(0.99, 0.95), None).unwrap_err();
    assert_eq!(
        none.to_string(),
        "0 positives cannot prove a recall of 0.99 with confidence 0.95: it takes 299, so 299 more; \
         label more violating items or promise less"
    );
    let base_rate = calibrate(&[], promise(0.99, 0.95), Some(1.5));
    assert!(matches!(base_rate, Err(CascadeError::BaseRate { .. })), "{base_rate:?}");
}

#[test]
fn evidence_comes_back_from_its_file_and_forged_evidence_does_not() {
    let items = scored((0..400).map(|i| (i % 2 == 0, f64::from(i % 37) / 7.0))).unwrap();
    let evidence = calibrate(&items, promise(0.95, 0.9), Some(0.02)).unwrap();
    let json = serde_json::to_value(&evidence).unwrap();
    assert_eq!(serde_json::from_value::<Evidence>(json.clone()).unwrap(), evidence);
    let forgeries = [
        ("/chosen/recall", serde_json::json!(0.99)),
        ("/chosen/k", serde_json::json!(40)),
        ("/chosen/k", serde_json::json!(0)),
        ("/chosen/k", serde_json::json!(u64::MAX)),
        ("/chosen/proven_recall", serde_json::json!(0.999)),
        ("/chosen/passed_positives", serde_json::json!(100)),
        ("/chosen/passed_negatives", serde_json::json!(201)),
        ("/table/0/proven_recall", serde_json::json!(0.999)),
        ("/n_positives", serde_json::json!(20)),
        ("/n_positives", serde_json::json!(u64::MAX)),
        ("/confidence", serde_json::json!(1.0)),
        ("/base_rate", serde_json::json!(2.0)),
    ];
    for (place, value) in forgeries {
        let mut forged = json.clone();
        *forged.pointer_mut(place).unwrap() = value;
        assert!(serde_json::from_value::<Evidence>(forged).is_err(), "{place}");
    }
}

fn items() -> impl Strategy<Value = Vec<Scored>> {
    let score = prop_oneof![(-3..3).prop_map(f64::from), -1e9..1e9, Just(f64::MAX), Just(-0.0)];
    let item = (any::<bool>(), score)
        .prop_map(|(truth, score)| Scored::new(truth, score).expect("finite"));
    prop::collection::vec(item, 0..400)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_higher_promise_never_passes_less_on(items in items(), recalls in [1e-9..1.0_f64, 1e-9..1.0]) {
        let [low, high] = if recalls[0] < recalls[1] { recalls } else { [recalls[1], recalls[0]] };
        let at = |recall: f64| calibrate(&items, promise(recall.min(0.999_999), 0.95), None);
        let Ok(higher) = at(high) else { return Ok(()) };
        let lower = at(low).expect("what proves more proves less");
        let (lower, higher) = (lower.chosen, higher.chosen);
        prop_assert!(higher.k <= lower.k);
        prop_assert!(higher.threshold <= lower.threshold);
        prop_assert!(higher.passed_positives >= lower.passed_positives);
        prop_assert!(higher.passed_negatives >= lower.passed_negatives);
    }

    #[test]
    fn what_is_proven_holds_in_the_data_and_survives_its_file(items in items(), base_rate in 0.0..=1.0) {
        let Ok(evidence) = calibrate(&items, promise(0.9, 0.9), Some(base_rate)) else { return Ok(()) };
        for row in std::iter::once(&evidence.chosen).chain(&evidence.table) {
            let passed = row.passed_positives as f64 / evidence.n_positives as f64;
            prop_assert!(row.recall <= row.proven_recall && row.proven_recall <= passed);
            let share = evidence.passed_on(row, Level::P95);
            prop_assert!(share.interval.contains(share.value.unwrap()));
        }
        let json = serde_json::to_string(&evidence).unwrap();
        prop_assert_eq!(serde_json::from_str::<Evidence>(&json).unwrap(), evidence);
    }
}
