//! The budget's promises, held in simulation.

#[path = "../examples/budget/simulation.rs"]
#[allow(dead_code, reason = "the example uses the rest")]
mod simulation;

use cascade::{
    Budget, BudgetSettings, Decision, Event, Grant, Happening, Item, Limit, Rung, Step, Unit, Wait,
    WhenSpent,
};
use policy::{Effort, PassedOn};
use simulation::{Run, SHARE, Scenario, TOKENS, play};

/// Points of all compute.
const POINT: f64 = 0.01;

fn scenario(name: &str) -> Scenario {
    let all = Scenario::all();
    all.into_iter().find(|scenario| scenario.name == name).expect("the scenario is there")
}

/// Plays it; whatever happens, no window is more than a point above the share, nothing is cleared for lack of
/// budget, and where there is enough to spend on, 49 windows of 50 are not a point below it, and none two.
fn check(scenario: &Scenario) -> Run {
    let run = play(scenario);
    let window_s = scenario.settings.window_ms / 1000;
    let most = run.most_spent(window_s);
    assert!(most <= SHARE + POINT, "{}: spent {most} of the share {SHARE}", scenario.name);
    let wanted = run.spent_when_wanted(window_s);
    let n_low = wanted.iter().filter(|spent| **spent < SHARE - POINT).count();
    assert!(n_low * 50 <= wanted.len(), "{}: {n_low} of {}", scenario.name, wanted.len());
    assert!(wanted.iter().all(|spent| *spent >= SHARE - 2.0 * POINT), "{}", scenario.name);
    assert_eq!(run.n_clear_unjudged, 0);
    run
}

#[test]
fn under_the_share_nothing_is_given_up() {
    let run = check(&Scenario { load: 0.8, ..scenario("quiet") });
    assert_eq!((run.n_degraded, run.n_over_budget, run.events.len()), (0, 0, 0));
}

#[test]
fn bursts_lower_the_effort_and_lose_no_verdict() {
    let run = check(&scenario("bursts"));
    assert_eq!(run.n_over_budget, 0);
    assert!(run.n_degraded > 0);
}

#[test]
fn drift_in_cost_is_followed() {
    let run = check(&scenario("drift"));
    assert_eq!(run.n_over_budget, 0);
    assert!(run.seconds.iter().filter(|s| s.wanted < SHARE - POINT).all(|s| s.n_degraded == 0));
}

#[test]
fn a_slow_reasoner_is_reserved_for() {
    let run = check(&scenario("slow"));
    assert_eq!(run.n_over_budget, 0);
}

#[test]
fn a_falling_host_takes_the_budget_along() {
    check(&scenario("host"));
}

#[test]
fn what_cannot_be_met_is_over_budget_and_never_clear() {
    let run = check(&scenario("flood"));
    assert!(run.n_over_budget > 0);
}

#[test]
fn a_rate_of_tokens_is_kept_alike() {
    let calm = scenario("quiet");
    let settings = BudgetSettings { limit: Limit::TokensPerSecond(50_000.0), ..calm.settings };
    let run = play(&Scenario { load: 2.0, settings, minutes: 8, ..calm });
    let within = run.seconds.iter().filter(|s| s.at_s > 120);
    let spent: Vec<f64> = within.map(|s| s.spent).collect();
    assert!(spent.iter().all(|part| (0.85..1.01).contains(part)), "{spent:.3?}");
}

#[test]
fn queued_items_wait_and_none_is_lost() {
    let flood = scenario("flood");
    let settings = BudgetSettings { when_spent: WhenSpent::Queue, ..flood.settings };
    let traffic = |t: f64| if (60.0..120.0).contains(&t) { 10.0 } else { 0.5 };
    let host_rate = 60_000.0;
    let run = play(&Scenario { settings, traffic, host_rate, minutes: 12, ..flood });
    assert!(run.most_spent(60) <= SHARE + POINT);
    assert_eq!((run.n_over_budget, run.n_clear_unjudged), (0, 0));
    assert!(run.n_judged * 100 >= run.n_items * 99, "{} of {}", run.n_judged, run.n_items);
}

#[test]
fn thresholds_are_raised_only_where_allowed() {
    let flood = Scenario { has_filter: true, host_rate: 60_000.0, minutes: 6, ..scenario("flood") };
    assert_eq!(play(&flood).n_clear_unjudged, 0);
    let settings = BudgetSettings { may_raise_threshold: true, ..flood.settings };
    let run = play(&Scenario { settings, ..flood });
    assert!(run.n_clear_unjudged > 0);
    let raised = |event: &&Event| matches!(event.what, Happening::GivenUp(Step::Threshold { applied, .. }) if applied <= 0.5);
    assert_eq!(run.events.iter().filter(raised).count(), run.n_clear_unjudged);
}

fn small() -> BudgetSettings {
    BudgetSettings {
        limit: Limit::TokensPerSecond(1_000.0),
        window_ms: 60_000,
        first_guess: TOKENS,
        when_spent: WhenSpent::Undetermined,
        may_raise_threshold: false,
    }
}

fn granted(decision: Decision) -> Grant {
    match decision {
        Decision::Judge(grant) => grant,
        other => panic!("not granted: {other:?}"),
    }
}

#[test]
fn what_is_given_up_is_named_in_order() {
    // 60,120 tokens a window; three verdicts at high effort are thought to take 4,050.
    let settings = BudgetSettings { limit: Limit::TokensPerSecond(1_002.0), ..small() };
    let mut budget = Budget::new(settings, 0).unwrap();
    let mut events = Vec::new();
    let item = Item { votes: 3, ..Item::new(Effort::High) };
    let mut offer = |item: &Item| budget.decide(item, 1_000, &mut |event| events.push(event));
    let mut given_up: Vec<Vec<Step>> = (0..150).map(|_| offer(&item).given_up().to_vec()).collect();
    given_up.dedup();
    let (from, low) = (Effort::High, Step::Effort { from: Effort::High, to: Effort::Low });
    let order = [
        vec![],
        vec![Step::Effort { from, to: Effort::Medium }],
        vec![low],
        vec![low, Step::Votes { from: 3, to: 1 }],
        vec![Step::OverBudget],
    ];
    assert_eq!(given_up, order);
    let deferrable = Item { wait: Wait::Until(90_000), ..Item::new(Effort::High) };
    assert!(matches!(offer(&deferrable), Decision::Later { .. }));
    let last = (0..20).map(|_| offer(&item)).last().unwrap();
    assert_eq!(last, Decision::OverBudget { given_up: vec![Step::OverBudget] });
    let told = events.iter().filter(|e| e.what == Happening::GivenUp(Step::OverBudget)).count();
    assert!(told > 0);
}

#[test]
fn work_under_way_is_reserved_and_made_good_when_it_returns() {
    let mut budget = Budget::new(small(), 0).unwrap();
    let item = Item::new(Effort::High);
    let grants: Vec<Grant> =
        (0..4).map(|_| granted(budget.decide(&item, 1_000, &mut |_| {}))).collect();
    let standing = budget.standing(1_000, &mut |_| {});
    assert_eq!((standing.n_under_way, standing.under_way), (4, 5_400.0));
    for grant in &grants {
        budget.returned(grant.ticket, 10.0, 2_000);
        budget.returned(grant.ticket, 1e9, 2_000);
    }
    let standing = budget.standing(3_000, &mut |_| {});
    assert_eq!((standing.n_under_way, standing.spent), (0, 40.0));
    assert!(standing.cost.high < TOKENS.high);
    let long = Item { known_cost: 70_000.0, ..item };
    assert!(matches!(budget.decide(&long, 3_000, &mut |_| {}), Decision::OverBudget { .. }));
}

#[test]
fn direct_verdicts_have_a_cost_of_their_own_and_no_effort_to_give_up() {
    let mut budget = Budget::new(small(), 0).unwrap();
    let direct = Item { direct: true, ..Item::new(Effort::High) };
    for second in 1..=40 {
        let grant = granted(budget.decide(&direct, 1_000 * second, &mut |_| {}));
        budget.returned(grant.ticket, 10.0, 1_000 * second + 10);
    }
    let grant = granted(budget.decide(&direct, 41_000, &mut |_| {}));
    assert!(grant.reserved < 20.0, "{grant:?}");
    assert_eq!(budget.standing(41_000, &mut |_| {}).cost, TOKENS);
    let grant = granted(budget.decide(&Item::new(Effort::High), 41_000, &mut |_| {}));
    assert_eq!(grant.reserved, TOKENS.high, "nothing was learned of what reasons");

    let mut budget = Budget::new(small(), 0).unwrap();
    let mut given_up: Vec<Vec<Step>> =
        (0..500).map(|_| budget.decide(&direct, 1_000, &mut |_| {}).given_up().to_vec()).collect();
    given_up.dedup();
    assert_eq!(given_up, [vec![], vec![Step::OverBudget]]);
}

#[test]
fn a_host_that_falls_silent_is_noticed() {
    let limit = Limit::Share { share: SHARE, unit: Unit::Tokens, host_at_start: 0.0 };
    let mut budget = Budget::new(BudgetSettings { limit, ..small() }, 0).unwrap();
    let mut events = Vec::new();
    let item = Item::new(Effort::Low);
    let before = budget.decide(&item, 500, &mut |event| events.push(event));
    assert!(matches!(before, Decision::OverBudget { .. }), "nothing is known of the host");
    for second in 1..=60 {
        budget.host_spent(5_000.0, second * 1_000);
    }
    granted(budget.decide(&item, 60_000, &mut |event| events.push(event)));
    budget.decide(&item, 150_000, &mut |event| events.push(event));
    assert!(events.iter().any(|event| event.what == Happening::HostSilent));
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let share = |share| Limit::Share { share, unit: Unit::Tokens, host_at_start: 0.0 };
    let limits = [share(0.0), share(1.0), share(f64::NAN), Limit::TokensPerSecond(-1.0)];
    for limit in limits {
        assert!(BudgetSettings { limit, ..small() }.check().is_err(), "{limit:?}");
    }
    assert!(BudgetSettings { window_ms: 10, ..small() }.check().is_err());
    assert!(small().check().is_ok());
}

#[test]
fn the_ladder_is_in_order_and_passed_items_need_permission() {
    assert!(Rung::ALL.is_sorted());
    let passed = Some(PassedOn { score: 0.1, proven: 0.05, highest: 0.9 });
    let mut budget = Budget::new(small(), 0).unwrap();
    let item = Item { passed, ..Item::new(Effort::High) };
    for _ in 0..500 {
        let decision = budget.decide(&item, 1_000, &mut |_| {});
        assert!(!matches!(decision, Decision::LeaveToFilter { .. }));
    }
}
