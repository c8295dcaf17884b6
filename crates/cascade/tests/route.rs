//! Effort routing, by simulation.

use cascade::{Answer, CascadeError, Doubt, Learned, Next, RouteRow, Routes, learn_routes};
use policy::Confidence;
use policy::eval::SplitMix;

/// An answer whose score leans to the right side by up to `skill`, and is wrong where noise wins.
fn answer(truth: bool, skill: f64, tokens: f64, random: &mut SplitMix) -> Answer {
    let lean = if truth { skill } else { -skill };
    let score = (0.5 + lean * 0.5 + (random.share() - 0.5)).clamp(0.0, 1.0);
    Answer {
        is_violation: Some(score >= 0.5),
        score: Some(score),
        is_unanimous: true,
        has_unknown_rule: false,
        confidence: None,
        tokens,
    }
}

/// 600 rows with low, medium and high effort of these skills.
fn rows(skills: [f64; 3], seed: u64) -> Vec<RouteRow> {
    let mut random = SplitMix::new(seed);
    let mut row = |at: usize| {
        let truth = at.is_multiple_of(3);
        let tiers = skills.iter().zip([150.0, 450.0, 1350.0]);
        let tiers = tiers.map(|(skill, tokens)| answer(truth, *skill, tokens, &mut random));
        RouteRow { truth, tiers: tiers.collect() }
    };
    (0..600).map(&mut row).collect()
}

fn check(skills: [f64; 3], seed: u64) -> Learned {
    let learned = learn_routes(&rows(skills, seed), seed).expect("the rows are right");
    let saved = learned.saved_interval.expect("there are tokens");
    assert!(saved.contains(learned.saved));
    let range = learned.last_f1_interval.expect("there are violations");
    assert!(learned.f1.is_some_and(|f1| f1 >= range.low), "{learned:?}");
    learned
}

#[test]
fn low_effort_that_is_as_good_routes_nothing() {
    for seed in 0..5 {
        let learned = check([1.0, 1.0, 1.0], seed);
        assert_eq!((learned.routes.start, learned.moved_on), (0, 0.0));
        assert!((learned.saved - (1.0 - 150.0 / 1350.0)).abs() < 1e-9);
    }
}

#[test]
fn low_effort_that_is_useless_is_not_asked() {
    for seed in 0..5 {
        let learned = check([0.0, 0.0, 0.9], seed);
        assert_eq!(learned.routes, Routes::last_only(3), "all goes to high effort");
        assert_eq!(learned.saved, 0.0);
    }
}

#[test]
fn in_between_the_doubtful_move_on_and_tokens_are_saved() {
    let learned: Vec<Learned> = (0..5).map(|seed| check([0.75, 0.85, 0.95], seed)).collect();
    let n_confirmed = learned.iter().filter(|learned| learned.is_confirmed).count();
    assert!(n_confirmed >= 3, "{learned:#?}");
    for learned in learned.iter().filter(|learned| learned.is_confirmed) {
        assert!(learned.saved_interval.is_some_and(|saved| saved.low > 0.2), "{learned:?}");
        assert!(learned.moved_on > 0.0);
    }
}

#[test]
fn every_doubt_moves_on_and_the_last_to_a_person() {
    let routes = Routes { start: 0, margins: vec![0.2, 0.0] };
    let sure = Answer { score: Some(0.9), ..answer(true, 1.0, 1.0, &mut SplitMix::new(0)) };
    assert_eq!(routes.next(0, &sure), Next::Done);
    let doubtful = [
        (Answer { score: Some(0.6), ..sure }, Doubt::Margin),
        (Answer { score: None, ..sure }, Doubt::Margin),
        (Answer { score: Some(f64::NAN), ..sure }, Doubt::Margin),
        (Answer { is_unanimous: false, ..sure }, Doubt::Votes),
        (Answer { has_unknown_rule: true, ..sure }, Doubt::UnknownRule),
        (Answer { confidence: Some(Confidence::Low), ..sure }, Doubt::LowConfidence),
        (Answer { is_violation: None, ..sure }, Doubt::Undetermined),
    ];
    for (answer, doubt) in doubtful {
        assert_eq!(routes.next(0, &answer), Next::Tier(1, vec![doubt]));
        let at_last = routes.next(1, &answer);
        let expected = if doubt == Doubt::Margin { Next::Done } else { Next::Person(vec![doubt]) };
        assert_eq!(at_last, expected);
    }
}

#[test]
fn too_few_or_uneven_rows_are_refused() {
    let mut some = rows([1.0; 3], 0);
    assert!(matches!(learn_routes(&some[..99], 0), Err(CascadeError::Routes { .. })));
    some[7].tiers.pop();
    assert!(matches!(learn_routes(&some, 0), Err(CascadeError::Routes { .. })));
}
