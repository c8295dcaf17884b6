//! Two runs over the same cases, several policies over one case, repeats of one item.

use policy::eval::{
    Flips, Paired, Unstable, exact_match, flips, instability, mcnemar, mcnemar_mid_p,
    most_unstable, unanimous,
};

use crate::compare::{Against, count, rows};

#[test]
fn p_values_are_those_of_statsmodels() {
    let mut against = Against::new("McNemar", 1e-9);
    for row in rows(include_str!("../fixtures/eval/paired.json")) {
        let (fixed, broken) = (count(&row["fixed"]), count(&row["broken"]));
        let what = format!("{fixed} fixed, {broken} broken");
        against.check(&what, Some(mcnemar(fixed, broken)), &row["exact"]);
        against.check(&what, Some(mcnemar_mid_p(fixed, broken)), &row["mid_p"]);
    }
    against.finish();
}

#[test]
fn only_the_truth_is_right() {
    let labels = ["A1", "A2", "A0"];
    let [first, second, clear] = labels;
    let case = |old, new| Paired { truth: first, old, new };
    let cases = [
        case(Some(first), Some(first)),
        case(Some(second), Some(first)),
        case(None, Some(first)),
        case(Some(first), Some(clear)),
        case(Some(first), None),
        case(Some(second), Some(clear)),
        case(None, Some(second)),
        case(None, None),
        case(Some(clear), Some(clear)),
    ];
    let found = flips(&cases);
    assert_eq!(found, Flips { fixed: vec![1, 2], broken: vec![3, 4], other: vec![5, 6] });
    assert_eq!(found.p_value(), 1.0);
    assert_eq!(flips::<bool>(&[]), Flips::default());
    assert_eq!(Flips::default().p_value(), 1.0);
}

#[test]
fn a_case_counts_only_if_every_policy_is_right() {
    let right = (true, Some(true));
    let cases = [
        vec![right, (false, Some(false))],
        vec![right, (false, None)],
        vec![(true, Some(false)), right],
        vec![right],
        vec![],
    ];
    let share = exact_match(cases);
    assert_eq!((share.hits(), share.of()), (2, 4));
    assert_eq!(exact_match::<bool, Vec<_>>([]).value(), None);
}

#[test]
fn the_least_stable_items_come_first() {
    let repeats = ["aaab", "ab", "aaaa", "", "a", "abc", "abab"]
        .map(|verdicts| verdicts.chars().collect::<Vec<_>>());
    let shares: Vec<_> = repeats.iter().map(|verdicts| instability(verdicts)).collect();
    let third = Some(2.0 / 3.0);
    assert_eq!(shares, [Some(0.25), Some(0.5), Some(0.0), None, Some(0.0), third, Some(0.5)]);
    let ranked: Vec<_> = most_unstable(&repeats)
        .iter()
        .map(|&Unstable { place, n_verdicts, .. }| (place, n_verdicts))
        .collect();
    assert_eq!(ranked, [(5, 3), (1, 2), (6, 4), (0, 4)]);
    let share = unanimous(&repeats);
    assert_eq!((share.hits(), share.of()), (1, 5));
}
