//! Judges around judges: what a budget and routes do to what is asked, and what they say of it.

use std::sync::{Arc, Mutex};

use cascade::{
    BudgetSettings, BudgetedJudge, Limit, PerEffort, RoutedJudge, Routes, Unit, VotedJudge,
    WhenSpent,
};
use policy::{
    Cause, Confidence, Content, Effort, Judge, JudgeSettings, Observer, Outcome, PassedOn, Policy,
    Silent, Stage, Usage, Verdict, Votes,
};

/// A judge whose score at each effort is the text, `low,medium,high`, and whose tokens are 100, 200, 400.
#[derive(Default)]
struct Scripted {
    asked: Mutex<Vec<Effort>>,
}

const TOKENS: PerEffort = PerEffort { low: 100.0, medium: 200.0, high: 400.0 };

impl Judge for Scripted {
    fn identity(&self) -> String {
        "scripted".to_owned()
    }

    fn judge(
        &self,
        policy: &Policy,
        content: &Content,
        settings: &JudgeSettings,
        observer: &mut dyn Observer,
    ) -> Verdict {
        let effort = settings.effort_for(policy);
        observer.reasoning(&effort.to_string());
        self.asked.lock().expect("no holder panics").push(effort);
        let scores: Vec<f64> =
            content.texts()[0].split(',').map(|score| score.parse().expect("a number")).collect();
        let score = scores[effort as usize];
        let outcome = if score >= 0.5 { Outcome::Violation } else { Outcome::Clear };
        let generated_tokens = TOKENS.of(effort) as usize;
        let verdict = Verdict::undetermined(Cause::Refused, "", policy.reference(), "scripted");
        let usage = Usage { generated_tokens, ..Usage::default() };
        let confidence = (score == 0.5).then_some(Confidence::Low);
        Verdict { outcome, score: Some(score), confidence, usage, detail: None, ..verdict }
    }
}

fn policy() -> Policy {
    Policy::parse("prose", b"Nothing bad.").expect("prose is a policy")
}

fn ask(judge: &impl Judge, text: &str) -> Verdict {
    let settings = JudgeSettings { effort: Some(Effort::High), ..JudgeSettings::default() };
    judge.judge(&policy(), &Content::text(text), &settings, &mut Silent)
}

fn settings(tokens_per_second: f64, when_spent: WhenSpent) -> BudgetSettings {
    BudgetSettings {
        limit: Limit::TokensPerSecond(tokens_per_second),
        window_ms: 6_000,
        first_guess: TOKENS,
        when_spent,
        may_raise_threshold: false,
    }
}

fn budgeted(settings: BudgetSettings) -> (Arc<Scripted>, BudgetedJudge<Arc<Scripted>>) {
    let judge = Arc::new(Scripted::default());
    let within = BudgetedJudge::new(Arc::clone(&judge), settings, None, None, Box::new(|_| {}));
    (judge, within.expect("the settings make sense"))
}

#[test]
fn effort_is_lowered_first_and_what_finds_no_room_is_over_budget() {
    // Room for 3,120 tokens: seven at high effort, one at medium, one at low.
    let (judge, within) = budgeted(settings(520.0, WhenSpent::Undetermined));
    let verdicts: Vec<Verdict> = (0..60).map(|_| ask(&within, "0.1,0.1,0.1")).collect();
    let asked = judge.asked.lock().unwrap().clone();
    assert_eq!(asked[0], Effort::High);
    assert!(asked.contains(&Effort::Low), "{asked:?}");
    assert!(asked.is_sorted_by(|a, b| *a as usize >= *b as usize), "{asked:?}");
    assert!(verdicts[0].given_up.is_empty());
    let lowered = verdicts.iter().filter(|it| it.given_up == ["effort low instead of high"]);
    assert!(lowered.count() > 0);
    let last = verdicts.last().unwrap();
    assert_eq!(last.outcome, Outcome::Undetermined(Cause::OverBudget));
    assert_eq!(last.given_up, ["over budget"]);
    let spending = within.spending();
    assert_eq!(spending.unit, Unit::Tokens);
    assert_eq!(spending.total, asked.iter().map(|effort| TOKENS.of(*effort)).sum::<f64>());
    assert!(spending.total <= 3_120.0 * 1.02, "{}", spending.total);
    assert_eq!(spending.given_up.over_budget as usize, 60 - asked.len());
    assert!(verdicts.iter().filter(|it| it.outcome == Outcome::Clear).count() == asked.len());
}

#[test]
fn a_share_goes_by_what_the_host_says() {
    let limit = Limit::Share { share: 0.5, unit: Unit::Tokens, host_at_start: 500.0 };
    let judge = Arc::new(Scripted::default());
    let spent = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&spent);
    let host = Box::new(move || {
        *counted.lock().unwrap() += 1;
        Some(0.0)
    });
    let settings = BudgetSettings { limit, ..settings(1.0, WhenSpent::Undetermined) };
    let within = BudgetedJudge::new(judge, settings, None, Some(host), Box::new(|_| {})).unwrap();
    assert_eq!(ask(&within, "0.1,0.1,0.1").outcome, Outcome::Clear);
    std::thread::sleep(std::time::Duration::from_millis(300));
    within.spending();
    assert_eq!(*spent.lock().unwrap(), 1, "asked once a quarter of a second at most");
}

#[test]
fn routes_go_on_only_while_there_is_doubt() {
    let judge = Arc::new(Scripted::default());
    let routes = Routes { start: 0, margins: vec![0.3, 0.2, 0.1] };
    let routed = RoutedJudge::new(Arc::clone(&judge), routes).unwrap();
    for (text, n_asked, score, n_doubts) in [
        ("0.1,0.9,0.9", 1, 0.1, 0),
        ("0.4,0.9,0.1", 2, 0.9, 0),
        ("0.4,0.6,0.1", 3, 0.1, 0),
        ("0.4,0.6,0.55", 3, 0.55, 1),
    ] {
        judge.asked.lock().unwrap().clear();
        let verdict = ask(&routed, text);
        assert_eq!(judge.asked.lock().unwrap().len(), n_asked, "{text}");
        assert_eq!((verdict.score, verdict.doubts.len()), (Some(score), n_doubts), "{text}");
        let tokens = [100, 300, 700][n_asked - 1];
        assert_eq!(verdict.usage.generated_tokens, tokens, "what all tiers took");
    }
    let counts = routed.counts();
    assert_eq!((counts.ended, counts.person), ([1, 1, 2], 1));
}

/// Everything that was heard.
#[derive(Default)]
struct Listening(String);

impl Observer for Listening {
    fn reasoning(&mut self, text: &str) {
        self.0.push_str(text);
    }
}

#[test]
fn a_bigger_model_is_asked_before_a_person_and_only_its_own_doubts_count() {
    let bigger = Arc::new(Scripted::default());
    let routes = Routes { start: 0, margins: vec![0.3, 0.2, 0.1] };
    let routed =
        RoutedJudge::new(Arc::new(Scripted::default()), routes).unwrap().then_bigger(bigger);
    for (text, n_doubts) in [("0.1,0.9,0.9", 0), ("0.6,0.6,0.55", 0), ("0.6,0.6,0.5", 1)] {
        assert_eq!(ask(&routed, text).doubts.len(), n_doubts, "{text}");
    }
    let counts = routed.counts();
    assert_eq!((counts.ended, counts.bigger, counts.person), ([1, 0, 0], 2, 1));
    assert!(routed.identity().ends_with("then scripted"), "{}", routed.identity());
}

#[test]
fn both_models_spend_from_one_budget() {
    // Room for every answer but the bigger model's.
    let (_, within) = budgeted(settings(130.0, WhenSpent::Undetermined));
    let beside = within.beside(Arc::new(Scripted::default()));
    let routes = Routes { start: 0, margins: vec![0.6; 3] };
    let routed = RoutedJudge::new(within, routes).unwrap().then_bigger(beside);
    let verdict = ask(&routed, "0.6,0.6,0.6");
    assert_eq!((verdict.outcome, verdict.doubts.len()), (Outcome::Violation, 1), "{verdict:?}");
    assert_eq!(routed.counts().bigger, 0);
}

/// A judge that only says this.
struct Saying(Outcome, Stage);

impl Judge for Saying {
    fn identity(&self) -> String {
        "saying".to_owned()
    }

    fn judge(
        &self,
        policy: &Policy,
        _: &Content,
        _: &JudgeSettings,
        _: &mut dyn Observer,
    ) -> Verdict {
        let verdict = Verdict::undetermined(Cause::Timeout, "", policy.reference(), "saying");
        Verdict { outcome: self.0, stage: self.1, ..verdict }
    }
}

#[test]
fn a_bigger_model_that_has_no_say_takes_no_violation_back_and_lets_no_doubtful_clear_pass() {
    let routes = Routes { start: 2, margins: vec![0.6; 3] };
    let filters_word = (Outcome::Clear, Stage::Filter, Cause::OverBudget);
    let no_say = [Cause::Timeout, Cause::BackendError]
        .map(|cause| (Outcome::Undetermined(cause), Stage::Reasoner, cause));
    for (outcome, stage, cause) in no_say.into_iter().chain([filters_word]) {
        let bigger: Box<dyn Judge> = Box::new(Saying(outcome, stage));
        let next: Box<dyn Judge> = Box::new(Scripted::default());
        let routed = RoutedJudge::new(next, routes.clone()).unwrap().then_bigger(bigger);
        let verdict = ask(&routed, "0.6,0.6,0.6");
        assert_eq!((verdict.outcome, verdict.doubts.len()), (Outcome::Violation, 1), "{cause:?}");
        let verdict = ask(&routed, "0.4,0.4,0.4");
        assert_eq!(verdict.outcome, Outcome::Undetermined(cause), "{verdict:?}");
    }
}

#[test]
fn whoever_listens_hears_the_answer_that_counts_and_no_other() {
    let settings = JudgeSettings::default();
    let routes = Routes { start: 0, margins: vec![0.3, 0.2, 0.1] };
    let routed = RoutedJudge::new(Scripted::default(), routes).unwrap();
    let mut heard = Listening::default();
    routed.judge(&policy(), &Content::text("0.4,0.9,0.1"), &settings, &mut heard);
    assert_eq!(heard.0, "medium");
    let mut heard = Listening::default();
    let voted = VotedJudge::new(Scripted::default());
    let settings = JudgeSettings { votes: 3, ..settings };
    voted.judge(&policy(), &Content::text("0.4,0.9,0.1"), &settings, &mut heard);
    assert_eq!(heard.0, "medium", "one of three");
}

#[test]
fn where_nothing_is_left_for_a_dearer_answer_a_doubtful_violation_stands_and_a_clear_does_not() {
    for (scores, outcome) in [
        ("0.6,0.6,0.6", Outcome::Violation),
        ("0.4,0.4,0.4", Outcome::Undetermined(Cause::OverBudget)),
    ] {
        // Room for one answer at low effort.
        let (_, within) = budgeted(settings(20.0, WhenSpent::Undetermined));
        let routed = RoutedJudge::new(within, Routes { start: 0, margins: vec![0.6; 3] }).unwrap();
        let verdict = ask(&routed, scores);
        assert_eq!(verdict.outcome, outcome, "{verdict:?}");
        assert_eq!((verdict.doubts.len(), verdict.given_up.len()), (1, 1), "{verdict:?}");
    }
}

#[test]
fn routes_have_no_say_in_what_is_scored_directly() {
    let judge = Arc::new(Scripted::default());
    let routes = Routes { start: 0, margins: vec![0.6; 3] };
    let routed = RoutedJudge::new(Arc::clone(&judge), routes).unwrap();
    let direct = JudgeSettings { direct: true, ..JudgeSettings::default() };
    let verdict = routed.judge(&policy(), &Content::text("0.6,0.6,0.6"), &direct, &mut Silent);
    assert!(verdict.doubts.is_empty(), "{verdict:?}");
    assert_eq!(*judge.asked.lock().unwrap(), [Effort::Medium]);
}

#[test]
fn routes_for_other_tiers_are_refused() {
    for routes in [
        Routes { start: 3, margins: vec![0.0; 3] },
        Routes { start: 0, margins: vec![0.0; 2] },
        Routes { start: 0, margins: vec![0.0, f64::NAN, 0.0] },
    ] {
        assert!(RoutedJudge::new(Scripted::default(), routes).is_err());
    }
}

/// A judge that says by the seed what the text says at its place: `v`iolation, `c`lear, or nothing.
struct BySeed;

impl Judge for BySeed {
    fn identity(&self) -> String {
        "by seed".to_owned()
    }

    fn judge(
        &self,
        policy: &Policy,
        content: &Content,
        settings: &JudgeSettings,
        _: &mut dyn Observer,
    ) -> Verdict {
        let place = usize::try_from(settings.seed.expect("votes have seeds")).expect("small");
        let outcome = match content.texts()[0].as_bytes()[place] {
            b'v' => Outcome::Violation,
            b'c' => Outcome::Clear,
            _ => Outcome::Undetermined(Cause::Truncated),
        };
        let verdict = Verdict::undetermined(Cause::Refused, "", policy.reference(), "by seed");
        let usage = Usage { generated_tokens: 10, ..Usage::default() };
        Verdict { outcome, rule_ids: vec![place.to_string()], usage, ..verdict }
    }
}

#[test]
fn more_than_half_of_all_votes_decide() {
    let none = |cause| Outcome::Undetermined(cause);
    for (text, outcome, shown, votes) in [
        ("cvv", Outcome::Violation, vec!["1"], (2, 1, 0)),
        ("ccv", Outcome::Clear, vec!["0"], (1, 2, 0)),
        ("cv", none(Cause::NoMajority), vec![], (1, 1, 0)),
        ("c-v", none(Cause::Truncated), vec![], (1, 1, 1)),
        ("c--", none(Cause::Truncated), vec![], (0, 1, 2)),
    ] {
        let n_votes = text.len() as u32;
        let settings = JudgeSettings { votes: n_votes, ..JudgeSettings::default() };
        let voted = VotedJudge::new(BySeed);
        let verdict = voted.judge(&policy(), &Content::text(text), &settings, &mut Silent);
        assert_eq!(
            (verdict.outcome, verdict.rule_ids),
            (outcome, shown.iter().map(|it| (*it).to_owned()).collect()),
            "{text}"
        );
        let (violation, clear, undetermined) = votes;
        assert_eq!(verdict.votes, Some(Votes { violation, clear, undetermined }), "{text}");
        assert_eq!(verdict.usage.generated_tokens, 10 * text.len(), "what all votes took");
    }
}

#[test]
fn votes_are_given_up_before_an_item_is() {
    let within = BudgetedJudge::new(
        VotedJudge::new(Scripted::default()),
        settings(520.0, WhenSpent::Undetermined),
        None,
        None,
        Box::new(|_| {}),
    )
    .unwrap();
    let asked = JudgeSettings { effort: Some(Effort::Low), votes: 3, ..JudgeSettings::default() };
    let judge = || within.judge(&policy(), &Content::text("0.1,0.1,0.1"), &asked, &mut Silent);
    let verdicts: Vec<Verdict> = (0..40).map(|_| judge()).collect();
    assert_eq!(verdicts[0].votes, Some(Votes { clear: 3, ..Votes::default() }));
    assert!(
        verdicts.iter().any(|it| it.votes.is_none() && it.given_up == ["votes 1 instead of 3"])
    );
    assert!(within.spending().given_up.votes > 0);
}

#[test]
fn a_filters_word_is_taken_only_under_its_highest_threshold_and_with_permission() {
    let word = |may_raise_threshold, score| {
        let settings =
            BudgetSettings { may_raise_threshold, ..settings(20.0, WhenSpent::Undetermined) };
        let (_, within) = budgeted(settings);
        let passed_on = Some(PassedOn { score, proven: 0.1, highest: 0.4 });
        let asked =
            JudgeSettings { passed_on, effort: Some(Effort::Low), ..JudgeSettings::default() };
        let judge = || within.judge(&policy(), &Content::text("0.9,0.9,0.9"), &asked, &mut Silent);
        let verdicts: Vec<Verdict> = (0..30).map(|_| judge()).collect();
        verdicts.into_iter().last().expect("thirty verdicts")
    };
    let left = word(true, 0.2);
    assert_eq!((left.outcome, left.stage), (Outcome::Clear, Stage::Filter));
    assert_eq!(left.score, Some(0.2));
    assert!(left.given_up[0].starts_with("filter threshold"), "{:?}", left.given_up);
    assert!(left.rationale.expect("a reason").contains("No recall is promised"));
    let over_budget = Outcome::Undetermined(Cause::OverBudget);
    assert_eq!(word(true, 0.5).outcome, over_budget);
    assert_eq!(word(false, 0.2).outcome, over_budget);
}
