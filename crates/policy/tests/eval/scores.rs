//! Curves, reliability and calibration of one fixture of scores.

use policy::CalibrationError;
use policy::eval::{
    Calibration, CalibrationMethod, Curve, Isotonic, OperatingPoint, Scored, Temperature, brier,
    cross_fitted, expected_calibration_error, log_loss, reliability,
};
use serde_json::{Value, json};

use crate::compare::{Against, count, list, number, rows, scored};

fn sets() -> Vec<Value> {
    rows(include_str!("../fixtures/eval/scores.json"))
}

fn set(name: &str) -> Vec<Scored> {
    let sets = sets();
    scored(sets.iter().find(|row| row["name"] == name).expect("a set of this name"))
}

#[test]
fn curves_are_those_of_scikit_learn() {
    let mut against = Against::new("curves", 1e-9);
    for row in sets() {
        let curve = Curve::new(&scored(&row));
        let what = row["name"].to_string();
        against.check(&what, curve.auroc(), &row["auroc"]);
        against.check(&what, curve.average_precision(), &row["average_precision"]);
        let (roc, pr) = (&row["roc"], &row["precision_recall"]);
        assert_eq!(curve.roc().is_none(), roc.is_null(), "{what}");
        if let Some(points) = curve.roc() {
            let column = |value: fn(&_) -> f64| points.iter().map(value).collect::<Vec<_>>();
            against.check_list(&what, &column(|point| point.false_positive_rate), &roc["fpr"]);
            against.check_list(&what, &column(|point| point.true_positive_rate), &roc["tpr"]);
            for (point, threshold) in points.iter().zip(list(&roc["threshold"])) {
                assert_eq!(point.threshold, threshold.as_f64(), "{what}");
            }
        }
        assert_eq!(curve.precision_recall().is_none(), pr.is_null(), "{what}");
        if let Some(points) = curve.precision_recall() {
            let column = |value: fn(&_) -> f64| points.iter().map(value).collect::<Vec<_>>();
            against.check_list(&what, &column(|point| point.threshold), &pr["threshold"]);
            against.check_list(&what, &column(|point| point.precision), &pr["precision"]);
            against.check_list(&what, &column(|point| point.recall), &pr["recall"]);
        }
    }
    against.finish();
}

#[test]
fn the_threshold_is_the_best_of_all() {
    for row in sets() {
        let curve = Curve::new(&scored(&row));
        for choice in list(&row["choices"]) {
            let wanted = number(&choice["wanted"]);
            let what = format!("{} for {wanted}", row["name"]);
            let check = |found: Option<OperatingPoint>, expected: &Value| {
                let Some(found) = found else { return assert!(expected.is_null(), "{what}") };
                let confusion = found.confusion;
                assert_eq!(
                    json!([found.threshold, confusion.tp, confusion.fp]),
                    *expected,
                    "{what}"
                );
                assert_eq!(curve.confusion_at(found.threshold), confusion, "{what}");
            };
            check(curve.for_precision(wanted), &choice["for_precision"]);
            check(curve.for_recall(wanted), &choice["for_recall"]);
        }
        let all = curve.confusion_at(f64::INFINITY);
        assert_eq!((all.tp, all.fp, all.determined()), (0, 0, list(&row["score"]).len() as u64));
    }
}

#[test]
fn reliability_is_that_of_scikit_learn() {
    let mut against = Against::new("reliability", 1e-9);
    for row in sets() {
        let items = scored(&row);
        let what = row["name"].to_string();
        for (n_bins, expected) in row["ece"].as_object().expect("errors by number of bins") {
            let n_bins = n_bins.parse().expect("a number of bins");
            against.check(&what, expected_calibration_error(&items, n_bins), expected);
        }
        against.check(&what, brier(&items), &row["brier"]);
        against.check(&what, log_loss(&items), &row["log_loss"]);
        let bins = reliability(&items, 10);
        assert_eq!((bins[0].low, bins[9].high, bins.len()), (0.0, 1.0, 10));
        let full: Vec<_> = bins.iter().filter(|bin| bin.mean_score.is_some()).collect();
        if full.is_empty() {
            assert!(items.is_empty(), "{what}");
            continue;
        }
        let column = |value: fn(&policy::eval::Bin) -> Option<f64>| -> Vec<f64> {
            full.iter().filter_map(|bin| value(bin)).collect()
        };
        against.check_list(&what, &column(|bin| bin.mean_score), &row["bins"]["mean"]);
        against.check_list(&what, &column(|bin| bin.violations.value()), &row["bins"]["rate"]);
        against.check_list(
            &what,
            &column(|bin| Some(bin.violations.of() as f64)),
            &row["bins"]["n"],
        );
    }
    against.finish();
}

#[test]
fn fits_are_those_of_scipy_and_scikit_learn() {
    let mut temperatures = Against::new("temperature", 1e-6);
    let mut curves = Against::new("isotonic", 1e-9);
    for row in sets() {
        let items = scored(&row);
        let what = row["name"].to_string();
        let temperature = Temperature::fit(&items).map(Temperature::value);
        temperatures.check(&what, temperature, &row["temperature"]);
        let isotonic = Isotonic::fit(&items);
        assert_eq!(isotonic.is_none(), row["isotonic"].is_null(), "{what}");
        if let Some(isotonic) = isotonic {
            let grid: Vec<f64> =
                (0..21).map(|step| isotonic.apply(f64::from(step) / 20.0)).collect();
            curves.check_list(&what, &grid, &row["isotonic"]);
        }
    }
    temperatures.finish();
    curves.finish();
}

#[test]
fn cross_fitting_holds_out_what_it_calibrates() {
    let mut temperatures = Against::new("cross-fitted temperature", 1e-6);
    let mut curves = Against::new("cross-fitted isotonic", 1e-9);
    for row in sets() {
        let items = scored(&row);
        let expected = &row["cross_fitted"];
        let calibrated = |method| {
            let calibrated = cross_fitted(method, &items, 5, 11)?;
            Some(calibrated.iter().map(|item| item.score()).collect::<Vec<_>>())
        };
        let what = row["name"].to_string();
        if expected.is_null() {
            assert_eq!(calibrated(CalibrationMethod::Isotonic), None, "{what}");
            continue;
        }
        assert_eq!((count(&expected["n_folds"]), count(&expected["seed"])), (5, 11));
        let found = calibrated(CalibrationMethod::Temperature).expect("both sides");
        temperatures.check_list(&what, &found, &expected["temperature"]);
        let found = calibrated(CalibrationMethod::Isotonic).expect("both sides");
        curves.check_list(&what, &found, &expected["isotonic"]);
        let same = calibrated(CalibrationMethod::None).expect("both sides");
        assert!(std::iter::zip(same, &items).all(|(found, item)| found == item.score()));
    }
    temperatures.finish();
    curves.finish();
}

#[test]
fn one_side_alone_teaches_nothing() {
    for name in ["only_violations", "only_clear", "one_violation", "none"] {
        for method in [CalibrationMethod::Temperature, CalibrationMethod::Isotonic] {
            assert_eq!(Calibration::fit(method, &set(name)), None, "{name}");
            assert_eq!(cross_fitted(method, &set(name), 5, 0), None, "{name}");
        }
    }
    assert_eq!(cross_fitted(CalibrationMethod::Isotonic, &set("careful"), 1, 0), None);
    let by_one = cross_fitted(CalibrationMethod::Isotonic, &set("separated"), 1000, 0);
    assert_eq!(by_one.map(|scores| scores.len()), Some(10));
}

#[test]
fn a_calibration_is_saved_and_read_again() {
    for method in
        [CalibrationMethod::None, CalibrationMethod::Temperature, CalibrationMethod::Isotonic]
    {
        let calibration = Calibration::fit(method, &set("careful")).expect("both sides");
        let json = serde_json::to_value(&calibration).expect("a calibration is JSON");
        assert_eq!(json["method"], serde_json::to_value(method).expect("a name"));
        let back: Calibration = serde_json::from_value(json).expect("and comes back");
        assert_eq!(back, calibration);
    }
    let read = |json: Value| serde_json::from_value::<Calibration>(json);
    let fixed = read(json!({"method": "temperature", "t": 2.0})).expect("a temperature");
    assert!((fixed.apply(0.9) - 0.75).abs() < 1e-12);
    for (bad, problem) in [
        (json!({"method": "temperature", "t": 0.0}), "the temperature is 0; it must be"),
        (json!({"method": "isotonic", "x": [], "y": []}), "the curve has 0 x and 0 y"),
        (json!({"method": "isotonic", "x": [0.1], "y": [0.1, 0.2]}), "the curve has 1 x and 2 y"),
        (
            json!({"method": "isotonic", "x": [0.1], "y": [2.0]}),
            "point 0 of the curve does not lie",
        ),
        (json!({"method": "isotonic", "x": [0.1, 0.1], "y": [0.1, 0.2]}), "point 1 of the curve"),
        (json!({"method": "isotonic", "x": [0.1, 0.2], "y": [0.2, 0.1]}), "point 1 of the curve"),
    ] {
        let error = read(bad).expect_err("a bad calibration").to_string();
        assert!(error.starts_with(problem), "{error}");
    }
    assert_eq!(
        Temperature::new(f64::NAN).map_err(|error| error.to_string()),
        Err(CalibrationError::Temperature { t: f64::NAN }.to_string())
    );
}

#[test]
fn scores_are_numbers() {
    for score in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(Scored::new(true, score), None);
    }
    let margin = Scored::new(true, 7.5).expect("a finite score");
    assert_eq!((margin.score(), margin.probability()), (7.5, 1.0));
}
