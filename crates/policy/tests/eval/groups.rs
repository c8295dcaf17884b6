//! Measures by group.

use std::collections::BTreeMap;

use policy::eval::{GroupMetrics, Level, Rate, by_group, gap, newcombe};

fn groups() -> BTreeMap<String, GroupMetrics> {
    let say = |group: &str, truth, said, n| {
        std::iter::repeat_n((group.to_owned(), truth, said), n).collect::<Vec<_>>()
    };
    let items = [
        say("de", true, Some(true), 9),
        say("de", true, Some(false), 1),
        say("en", true, Some(true), 45),
        say("en", true, Some(false), 5),
        say("pl", true, Some(true), 3),
        say("pl", true, Some(false), 7),
        say("xx", false, Some(false), 4),
        say("xx", true, None, 4),
    ];
    by_group(items.concat(), Level::P95)
}

#[test]
fn each_group_has_its_measures() {
    let groups = groups();
    assert_eq!(groups.keys().collect::<Vec<_>>(), ["de", "en", "pl", "xx"]);
    let (small, large) = (&groups["de"].recall, &groups["en"].recall);
    assert_eq!((small.value, large.value), (Some(0.9), Some(0.9)));
    assert!(small.interval.width() > 1.5 * large.interval.width());
    assert_eq!(groups["xx"].recall.value, None);
    assert_eq!((groups["xx"].recall.interval.low, groups["xx"].recall.interval.high), (0.0, 1.0));
    assert_eq!(groups["xx"].determined.value, Some(0.5));
    let json = serde_json::to_value(&groups).expect("groups are JSON");
    assert_eq!(json["pl"]["recall"]["hits"], 3);
    assert!(json["xx"]["recall"]["value"].is_null());
}

#[test]
fn the_gap_is_between_groups_that_have_the_measure() {
    let groups = groups();
    let found = gap(&groups, Rate::Recall, Level::P95).expect("three groups have a recall");
    assert_eq!((found.best.as_str(), found.worst.as_str()), ("de", "pl"));
    assert!((found.difference - 0.6).abs() < 1e-12);
    let [best, worst] = ["de", "pl"].map(|group| groups[group].confusion.share(Rate::Recall));
    assert_eq!(Some(found.interval), newcombe(best, worst, Level::P95));
    assert_eq!(gap(&groups, Rate::Specificity, Level::P95), None);
    assert_eq!(gap(&BTreeMap::new(), Rate::Recall, Level::P95), None);
}

#[test]
fn groups_without_a_difference_are_two_groups() {
    let items = ["a", "b"].map(|group| (group.to_owned(), true, Some(true)));
    let groups = by_group(items, Level::P95);
    let found = gap(&groups, Rate::Recall, Level::P95).expect("two groups have a recall");
    assert_eq!((found.best.as_str(), found.worst.as_str()), ("a", "b"));
    assert_eq!(found.difference, 0.0);
}
