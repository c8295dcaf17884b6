//! Counts and measures.

use policy::eval::{Confusion, Rate, SizeLimits, TooSmall, too_small};
use serde_json::Value;

use crate::compare::{Against, count, list, rows};

#[test]
fn measures_are_those_of_scikit_learn() {
    let mut against = Against::new("confusion", 1e-9);
    for row in rows(include_str!("../fixtures/eval/confusion.json")) {
        let pairs = std::iter::zip(list(&row["truth"]), list(&row["predicted"]));
        let confusion: Confusion = pairs
            .map(|(truth, predicted)| (truth.as_bool().expect("a truth"), predicted.as_bool()))
            .collect();
        assert_eq!(confusion.undetermined(), count(&row["undetermined"]));
        let found = [
            ("precision", confusion.precision()),
            ("recall", confusion.recall()),
            ("f1", confusion.f1()),
            ("specificity", confusion.specificity()),
            ("accuracy", confusion.accuracy()),
            ("balanced_accuracy", confusion.balanced_accuracy()),
            ("kappa", confusion.kappa()),
        ];
        for (name, found) in found {
            against.check(name, found, &row[name]);
        }
    }
    against.finish();
}

#[test]
fn undetermined_is_never_clear() {
    let mut confusion = Confusion::from_iter([(true, None), (false, None), (true, Some(true))]);
    assert_eq!((confusion.tn, confusion.fn_), (0, 0));
    assert_eq!((confusion.undetermined_positive, confusion.undetermined_negative), (1, 1));
    assert_eq!(confusion.recall(), Some(1.0));
    assert_eq!(confusion.share(Rate::Determined).value(), Some(1.0 / 3.0));
    confusion += confusion;
    assert_eq!((confusion.tp, confusion.undetermined()), (2, 4));
}

#[test]
fn counts_are_saved_with_their_usual_names() {
    let confusion = Confusion { tp: 1, fp: 2, tn: 3, fn_: 4, ..Confusion::default() };
    let json = serde_json::to_value(confusion).expect("counts are JSON");
    assert_eq!(json["fn"], Value::from(4));
    assert_eq!(serde_json::from_value::<Confusion>(json).expect("and come back"), confusion);
}

#[test]
fn a_small_set_is_called_small() {
    let limits = SizeLimits::default();
    let reasons = |tp, fp, tn, fn_| {
        let confusion = Confusion { tp, fp, tn, fn_, ..Confusion::default() };
        too_small(&confusion, &limits).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(reasons(400, 20, 400, 20), [""; 0]);
    assert_eq!(
        reasons(200, 5, 20, 5),
        [
            "25 clear contents with a verdict; it takes 30",
            "the interval of specificity spans 0.30; at most 0.20 says something",
        ]
    );
    assert_eq!(
        too_small(&Confusion::default(), &limits),
        [
            TooSmall::FewViolations { found: 0, needed: 30 },
            TooSmall::FewClear { found: 0, needed: 30 },
            TooSmall::WideInterval { rate: Rate::Precision, width: 1.0, limit: 0.2 },
            TooSmall::WideInterval { rate: Rate::Recall, width: 1.0, limit: 0.2 },
            TooSmall::WideInterval { rate: Rate::Specificity, width: 1.0, limit: 0.2 },
        ]
    );
}
