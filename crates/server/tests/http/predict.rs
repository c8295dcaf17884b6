//! `/predict` in the shape of text-embeddings-inference.

use std::sync::Arc;

use serde_json::{Value, json};
use server::PolicySource;

use crate::guard::Words;
use crate::running::{ADS, Running, settings};

const ROUTE: &str = "/predict";

fn start() -> Running {
    let policy = |name: &str| (name.to_owned(), ADS.as_bytes().to_vec());
    let policies = PolicySource::Fixed(vec![policy("ads"), policy("more")]);
    let mut settings = settings();
    settings.predict.policies = vec!["ads".to_owned()];
    Running::start(settings, Arc::new(Words), policies)
}

#[test]
fn inputs_of_all_forms_have_predictions_of_theirs() {
    let service = start();
    let of = |score: f64| json!([{ "score": score, "label": "ads" }]);
    for (inputs, reply) in [
        (json!("fine"), of(0.0)),
        (json!("BAD"), of(1.0)),
        (json!(["a prompt", "a BAD reply"]), of(1.0)),
        (
            json!([["BAD"], ["fine"], ["a prompt", "a BAD reply"]]),
            json!([of(1.0), of(0.0), of(1.0)]),
        ),
        (json!([["fine"]]), json!([of(0.0)])),
    ] {
        let asked = json!({ "inputs": inputs, "raw_scores": false, "truncate": true });
        assert_eq!(service.ask(ROUTE, &asked), reply, "{inputs}");
    }
}

#[test]
fn refusals_have_the_shape_of_the_route() {
    let service = start();
    for (asked, status, kind) in [
        (json!({ "inputs": "ODD" }), 424, "Backend"),
        (json!({ "inputs": [["fine"], ["ODD"]] }), 424, "Backend"),
        (json!({ "inputs": "" }), 422, "Validation"),
        (json!({ "inputs": [] }), 422, "Validation"),
        (json!({ "inputs": ["a", "b", "c"] }), 400, "Validation"),
        (json!({ "inputs": "fine", "raw_scores": true }), 422, "Validation"),
    ] {
        let response = service.post(ROUTE, &asked);
        assert_eq!(response.status(), status, "{asked}");
        let error: Value = response.json().unwrap();
        assert_eq!(error["error_type"], kind, "{asked}");
        assert!(error["error"].is_string());
    }
}
