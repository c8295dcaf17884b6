//! The audit against scipy, and against traffic whose recall is known.

use std::num::NonZeroU64;

use cascade::audit::{
    AlarmCause, Audit, AuditRate, AuditSettings, AuditState, RESTART_EVERY, RecallDrop, Seen,
    forecast,
};
use cascade::{CascadeError, Promise};
use policy::eval::{Level, SplitMix};
use policy::{Cause, Outcome, PolicyId};
use proptest::prelude::*;
use serde::Deserialize;

fn settings(rate: f64, recall: f64) -> AuditSettings {
    AuditSettings {
        policy: PolicyId("abc".to_owned()),
        seed: 7,
        rate: AuditRate::new(rate).expect("a rate"),
        promise: Promise::new(recall, Level::P95).expect("a recall"),
        restart_every: RESTART_EVERY,
    }
}

/// Traffic of which `base_rate` violates; an item's fate costs one draw.
struct Traffic {
    base_rate: f64,
    rate: f64,
    random: SplitMix,
}

impl Traffic {
    fn new(base_rate: f64, settings: &AuditSettings, seed: u64) -> Traffic {
        let random = SplitMix::new(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x9e6c);
        Traffic { base_rate, rate: settings.rate.value(), random }
    }

    fn next(&mut self, recall: f64) -> Seen {
        let draw = self.random.share();
        let caught = self.base_rate * recall;
        if draw < caught {
            Seen::Caught
        } else if draw < caught + self.base_rate * (1.0 - recall) * self.rate {
            Seen::Missed
        } else {
            Seen::Stopped
        }
    }
}

#[test]
fn the_same_items_are_audited_everywhere() {
    let settings = settings(0.2, 0.95);
    let audited: Vec<u32> = (0..40).filter(|i| settings.is_audited(&format!("item-{i}"))).collect();
    assert_eq!(audited, [5, 9, 18, 23, 26, 29], "as hashlib of Python draws them");
    let n_audited = (0..10_000).filter(|i| settings.is_audited(&format!("{i}"))).count();
    assert!((1880..=2120).contains(&n_audited), "{n_audited}: three standard deviations");
    let other = AuditSettings { policy: PolicyId("abd".to_owned()), ..settings.clone() };
    let both = (0..10_000).map(|i| format!("{i}"));
    let n_both = both.filter(|id| settings.is_audited(id) && other.is_audited(id)).count();
    assert!((340..=460).contains(&n_both), "{n_both}: policies draw apart");
    let all = AuditSettings { rate: AuditRate::new(1.0).unwrap(), ..settings };
    assert!((0..1000).all(|i| all.is_audited(&format!("{i}"))));
}

#[test]
fn rates_are_above_0_and_at_most_1() {
    for rate in [0.0, -0.1, 1.000_001, 1e-300, f64::NAN] {
        let found = AuditRate::new(rate);
        assert!(matches!(found, Err(CascadeError::AuditRate { .. })), "{found:?}");
    }
}

/// A row of `fixtures/recall/intervals.json`.
#[derive(Debug, Deserialize)]
struct Ends {
    caught: u64,
    missed: u64,
    rate: f64,
    outside: f64,
    low: f64,
    high: f64,
}

#[test]
fn intervals_are_those_of_the_beta_function() {
    let rows: Vec<Ends> =
        serde_json::from_str(include_str!("fixtures/recall/intervals.json")).unwrap();
    for row in rows {
        let level = Level::new(1.0 - 2.0 * row.outside).unwrap();
        let promise = Promise::new(0.95, level).unwrap();
        let mut audit = Audit::new(AuditSettings { promise, ..settings(row.rate, 0.95) });
        (0..row.missed).for_each(|_| _ = audit.record(Seen::Missed));
        (0..row.caught).for_each(|_| _ = audit.record(Seen::Caught));
        let found = audit.interval();
        assert!((found.low - row.low).abs() < 1e-9, "{row:?}: {found:?}");
        assert!((found.high - row.high).abs() < 1e-9, "{row:?}: {found:?}");
    }
}

/// 2,000 runs of 2,000 items at three rates, drawn by id: the mean estimate of missed violations
/// among the stopped items lies within three standard errors of their true number.
#[test]
fn the_count_of_missed_violations_is_unbiased() {
    let (n_runs, n_items, base_rate, recall) = (2000_u64, 2000_u64, 0.2, 0.9);
    for rate in [0.05, 0.3, 1.0] {
        let mut differences = Vec::new();
        let mut errors = Vec::new();
        for seed in 0..n_runs {
            let settings = AuditSettings { seed, ..settings(rate, 0.9) };
            let mut random = SplitMix::new(seed);
            let mut audit = Audit::new(settings.clone());
            let mut missed = 0.0;
            for id in 0..n_items {
                let seen = if random.share() >= base_rate {
                    Seen::PassedClear
                } else if random.share() < recall {
                    Seen::Caught
                } else {
                    missed += 1.0;
                    if settings.is_audited(&id.to_string()) { Seen::Missed } else { Seen::Stopped }
                };
                audit.record(seen);
            }
            differences.push(audit.estimate().missed - missed);
            errors.push(audit.estimate().missed_error.powi(2));
        }
        let mean = differences.iter().sum::<f64>() / n_runs as f64;
        let variance = differences.iter().map(|d| d * d).sum::<f64>() / n_runs as f64;
        let said = errors.iter().sum::<f64>() / n_runs as f64;
        println!("rate {rate}: mean error {mean:.3}, variance {variance:.1}, said {said:.1}");
        assert!(mean.abs() <= 3.0 * (variance / n_runs as f64).sqrt(), "rate {rate}: {mean}");
        assert!((said - variance).abs() <= 0.15 * variance, "rate {rate}: {said}, {variance}");
    }
}

/// How often an audit is wrong at any moment of 100,000 items.
struct Wrong {
    /// Of the runs in which the alarm was raised.
    alarms: f64,
    /// Of those in which the state was holding at some moment.
    holding: f64,
    /// Of those in which either was so.
    either: f64,
}

fn wrong(
    settings: &AuditSettings,
    base_rate: f64,
    n_runs: u64,
    recall: impl Fn(u64) -> f64,
) -> Wrong {
    let (mut alarms, mut holding, mut either) = (0, 0, 0);
    for seed in 0..n_runs {
        let mut traffic = Traffic::new(base_rate, settings, seed);
        let mut audit = Audit::new(settings.clone());
        let mut held = false;
        for item in 0..100_000 {
            let seen = traffic.next(recall(item));
            audit.record(seen);
            held |= seen == Seen::Caught && audit.state() == AuditState::Holding;
        }
        let is_alarm = audit.alarm().is_some();
        alarms += u64::from(is_alarm);
        holding += u64::from(held);
        either += u64::from(is_alarm || held);
    }
    let rate = |n: u64| n as f64 / n_runs as f64;
    Wrong { alarms: rate(alarms), holding: rate(holding), either: rate(either) }
}

/// With a recall exactly as promised, the interval misses it exactly when the state is holding or the
/// alarm is raised by the interval; so what is counted here covers both, and the drift detector.
#[test]
fn a_recall_just_as_promised_is_covered_at_all_moments() {
    for (rate, recall, base_rate) in [(0.1, 0.95, 0.1), (0.5, 0.9, 0.02), (1.0, 0.99, 0.2)] {
        let settings = settings(rate, recall);
        let wrong = wrong(&settings, base_rate, 300, |_| recall);
        println!(
            "rate {rate} recall {recall} base rate {base_rate}: alarms {:.3}, holding {:.3}, \
             either {:.3}",
            wrong.alarms, wrong.holding, wrong.either
        );
        assert!(wrong.either <= 0.05, "{}", wrong.either);
        assert!(wrong.alarms > 0.0, "an alarm that never errs is not looking");
    }
}

#[test]
fn false_alarms_stay_rare_over_a_hundred_thousand_items() {
    let settings = settings(0.2, 0.95);
    let moving = |item: u64| 0.95 + 0.05 * (item as f64 / 7000.0).sin().max(0.0);
    let recalls: [(_, &dyn Fn(u64) -> f64); 3] =
        [("as promised", &|_| 0.95), ("slightly above", &|_| 0.955), ("moving above", &moving)];
    for (name, recall) in recalls {
        let wrong = wrong(&settings, 0.05, 500, recall);
        println!("{name}: alarms {:.3}", wrong.alarms);
        assert!(wrong.alarms <= 0.05, "{name}: {}", wrong.alarms);
    }
}

/// A drop after 100,000 good items. (promise, before, after, base rate, audit rate)
const DROPS: [(f64, f64, f64, f64, f64); 4] = [
    (0.95, 0.99, 0.90, 0.05, 0.5),
    (0.98, 0.99, 0.90, 0.05, 0.2),
    (0.90, 0.95, 0.70, 0.02, 0.3),
    (0.99, 0.995, 0.95, 0.10, 1.0),
];

#[test]
fn drops_are_noticed_as_soon_as_forecast() {
    let (n_before, n_runs) = (100_000, 200);
    for (promise, before, after, base_rate, rate) in DROPS {
        let settings = settings(rate, promise);
        let drop = RecallDrop { base_rate, recall_before: before, recall_after: after, n_before };
        let forecast = forecast(&settings, drop).unwrap();
        let mut delays = Vec::new();
        let mut by_drift = 0;
        for seed in 0..n_runs {
            let mut traffic = Traffic::new(base_rate, &settings, seed + 77_000);
            let mut audit = Audit::new(settings.clone());
            (0..n_before).for_each(|_| _ = audit.record(traffic.next(before)));
            if audit.alarm().is_some() {
                continue;
            }
            let alarm =
                std::iter::repeat_with(|| audit.record(traffic.next(after))).flatten().next();
            let alarm = alarm.expect("it goes on until the alarm");
            by_drift += u32::from(alarm.cause == AlarmCause::Drift);
            delays.push((alarm.n_items - n_before) as f64);
        }
        let n = delays.len() as f64;
        let mean = delays.iter().sum::<f64>() / n;
        let within = delays.iter().filter(|&&d| d <= forecast.likely_items).count() as f64 / n;
        println!(
            "promise {promise}, {before} -> {after}, base rate {base_rate}, audit rate {rate}: \
             {forecast}; found {mean:.0} and {:.1}% within, {by_drift} of {n} by drift",
            100.0 * within
        );
        assert!(n >= 0.95 * f64::from(n_runs as u32), "false alarms before the drop");
        assert!(within >= 0.90, "{within}");
        let off = mean / forecast.mean_items;
        assert!((0.6..=1.1).contains(&off), "{off}");
    }
}

#[test]
fn a_faster_forecast_needs_more_violations_more_audit_or_a_deeper_drop() {
    let items = |rate: f64, base_rate: f64, recall: f64| {
        let (recall_before, n_before) = (0.99, 50_000);
        let drop = RecallDrop { base_rate, recall_before, recall_after: recall, n_before };
        forecast(&settings(rate, 0.95), drop).map(|forecast| forecast.likely_items)
    };
    let usual = items(0.1, 0.05, 0.8).unwrap();
    assert!(items(0.2, 0.05, 0.8).unwrap() < usual);
    assert!(items(0.1, 0.10, 0.8).unwrap() < usual);
    assert!(items(0.1, 0.05, 0.6).unwrap() < usual);
    for recall in [0.945, 0.95, 1.0] {
        assert_eq!(items(0.1, 0.05, recall), None, "no bet grows at {recall}");
    }
    assert_eq!(items(0.1, 0.0, 0.5), None, "nothing violates");
}

#[test]
fn a_young_audit_is_unproven_a_good_one_holds_and_a_bad_one_is_broken() {
    let mut audit = Audit::new(settings(0.5, 0.9));
    assert_eq!(audit.state(), AuditState::Unproven);
    assert_eq!(audit.estimate().recall, None);
    (0..200).for_each(|_| _ = audit.record(Seen::Caught));
    assert_eq!(audit.state(), AuditState::Holding);
    let alarm = std::iter::repeat_with(|| audit.record(Seen::Missed)).flatten().next().unwrap();
    assert_eq!((audit.state(), audit.alarm()), (AuditState::Broken, Some(alarm)));
    (0..100_000).for_each(|_| _ = audit.record(Seen::Caught));
    assert_eq!(audit.state(), AuditState::Broken, "an alarm stays");
    assert_eq!(audit.alarm(), Some(alarm));
}

#[test]
fn undetermined_verdicts_are_never_clear() {
    let undetermined = Outcome::Undetermined(Cause::Timeout);
    let mut audit = Audit::new(settings(0.5, 0.9));
    for _ in 0..300 {
        audit.record(Seen::passed_on(Outcome::Violation));
        audit.record(Seen::audited(Outcome::Clear));
    }
    assert_eq!(audit.state(), AuditState::Holding);
    for _ in 0..30 {
        audit.record(Seen::passed_on(undetermined));
        audit.record(Seen::audited(undetermined));
    }
    let (counts, estimate) = (audit.counts(), audit.estimate());
    assert_eq!((counts.audited_undetermined, counts.passed_undetermined), (30, 30));
    assert_eq!((counts.audited_clear, counts.n_items()), (300, 660));
    assert_eq!((estimate.recall, estimate.recall_at_worst), (Some(1.0), Some(300.0 / 360.0)));
    assert_eq!(audit.state(), AuditState::Unproven, "they could all be missed violations");
    assert_eq!(audit.interval().high, 1.0, "and none of them raises an alarm");
    assert_eq!(audit.alarm(), None);
}

#[test]
fn a_saved_audit_that_contradicts_itself_is_refused() {
    let mut audit = Audit::new(settings(0.5, 0.9));
    for seen in [Seen::Caught, Seen::Missed, Seen::AuditedUndetermined] {
        audit.record(seen);
    }
    let json = serde_json::to_value(&audit).unwrap();
    let forgeries = [
        ("/counts/caught", serde_json::json!(2)),
        ("/counts/audited_undetermined", serde_json::json!(0)),
        ("/plain/log_guesses", serde_json::json!(1.0)),
        ("/drift/wealth/0", serde_json::json!(-1.0)),
        ("/drift/n_restarts", serde_json::json!(u64::MAX)),
        ("/settings/rate", serde_json::json!(0.0)),
        ("/settings/promise/recall", serde_json::json!(1.0)),
        ("/settings/restart_every", serde_json::json!(0)),
    ];
    for (place, value) in forgeries {
        let mut forged = json.clone();
        *forged.pointer_mut(place).unwrap() = value;
        assert!(serde_json::from_value::<Audit>(forged).is_err(), "{place}");
    }
}

fn seen() -> impl Strategy<Value = Seen> {
    prop_oneof![
        20 => Just(Seen::Caught),
        2 => Just(Seen::Missed),
        1 => Just(Seen::AuditedUndetermined),
        1 => Just(Seen::PassedUndetermined),
        3 => Just(Seen::AuditedClear),
        3 => Just(Seen::PassedClear),
        9 => Just(Seen::Stopped),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_run_can_be_saved_and_says_what_its_interval_says(
        run in prop::collection::vec(seen(), 0..600),
        rate in 1e-6..=1.0_f64,
        recall in 0.01..0.999_f64,
        restart_every in 1..100_u64,
    ) {
        let restart_every = NonZeroU64::new(restart_every).expect("from 1");
        let mut audit = Audit::new(AuditSettings { restart_every, ..settings(rate, recall) });
        for (index, &seen) in run.iter().enumerate() {
            audit.record(seen);
            if index % 97 == 0 {
                let json = serde_json::to_string(&audit).unwrap();
                prop_assert_eq!(&serde_json::from_str::<Audit>(&json).unwrap(), &audit);
            }
        }
        let (interval, estimate) = (audit.interval(), audit.estimate());
        prop_assert!(0.0 <= interval.low && interval.low <= interval.high && interval.high <= 1.0);
        if let (Some(recall), Some(at_worst)) = (estimate.recall, estimate.recall_at_worst) {
            prop_assert!(interval.low <= at_worst && at_worst <= recall && recall <= interval.high);
        }
        match audit.state() {
            AuditState::Holding => prop_assert!(interval.low >= recall - 1e-12),
            AuditState::Unproven => {
                prop_assert!(interval.low <= recall + 1e-12 && recall - 1e-12 <= interval.high);
            }
            AuditState::Broken => prop_assert!(audit.alarm().is_some()),
        }
    }
}
