//! `/v1/moderations`: OpenAI's shape, with nothing passed that was not judged.

use policy::{Judge, JudgeSettings, Observer, Policy, Verdict};
use serde_json::json;
use server::{ServerSettings, StockUndetermined};

use crate::running::{Running, ads, settings, start};

#[test]
fn stock_categories_are_always_there_and_policies_beside_them() {
    let service = start();
    let reply =
        service.ask("/v1/moderations", &json!({ "model": "any", "input": ["Buy!", "hello"] }));
    assert!(reply["id"].as_str().unwrap().starts_with("modr-"));
    let results = reply["results"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    for result in results {
        for map in ["categories", "category_scores", "category_applied_input_types"] {
            assert_eq!(result[map].as_object().unwrap().len(), 14, "13 and one policy");
        }
        assert_eq!(result["flagged"], result["categories"]["ads"]);
        assert_eq!(result["categories"]["sexual/minors"], false);
        assert_eq!(result["category_applied_input_types"]["ads"], json!(["text"]));
        assert_eq!(result["category_applied_input_types"]["hate"], json!([]));
    }
    let parts = json!([{ "type": "text", "text": "Buy!" }, { "type": "text", "text": "now" }]);
    let reply = service.ask("/v1/moderations", &json!({ "input": parts }));
    assert_eq!(reply["results"].as_array().unwrap().len(), 1, "parts are one item");
}

/// Whatever it is asked, there is a violation of `AD1` at 0.75; or nothing, for those who say so.
struct Set(Option<f64>);

impl Judge for Set {
    fn identity(&self) -> String {
        "set".to_owned()
    }

    fn judge(
        &self,
        policy: &Policy,
        _: &policy::Content,
        _: &JudgeSettings,
        _: &mut dyn Observer,
    ) -> Verdict {
        let cause = policy::Cause::Unparseable;
        let none = Verdict::undetermined(cause, "", policy.reference(), "set");
        let Some(score) = self.0 else { return none };
        let outcome = policy::Outcome::Violation;
        Verdict { outcome, label: Some("AD1".to_owned()), score: Some(score), ..none }
    }
}

fn mapped(on_undetermined: StockUndetermined) -> ServerSettings {
    let mut settings = settings();
    settings.moderations.on_undetermined = on_undetermined;
    settings.moderations.map = [
        ("ads".to_owned(), vec!["illicit".to_owned()]),
        ("ads.AD1".to_owned(), vec!["violence".to_owned()]),
        ("ads.AD2".to_owned(), vec!["sexual".to_owned()]),
    ]
    .into();
    settings
}

#[test]
fn policies_and_labels_set_the_categories_that_they_are_mapped_to() {
    let judge = std::sync::Arc::new(Set(Some(0.75)));
    let service = Running::start(mapped(StockUndetermined::Error), judge, ads());
    let reply = service.ask("/v1/moderations", &json!({ "input": "x" }));
    let result = &reply["results"][0];
    for (category, flag) in
        [("ads", true), ("illicit", true), ("violence", true), ("sexual", false)]
    {
        assert_eq!(result["categories"][category], flag, "{category}");
        assert_eq!(
            result["category_scores"][category],
            if flag { 0.75 } else { 0.0 },
            "{category}"
        );
    }
}

#[test]
fn no_verdict_is_an_error_or_a_flag_and_never_a_pass() {
    let judge = || std::sync::Arc::new(Set(None));
    let strict = Running::start(mapped(StockUndetermined::Error), judge(), ads());
    let response = strict.post("/v1/moderations", &json!({ "input": "x" }));
    assert_eq!(response.status(), 503);
    let error: serde_json::Value = response.json().unwrap();
    assert_eq!(error["error"]["code"], "undetermined");
    let flagging = Running::start(mapped(StockUndetermined::Flag), judge(), ads());
    let reply = flagging.ask("/v1/moderations", &json!({ "input": "x" }));
    assert_eq!(reply["results"][0]["flagged"], true);
    assert_eq!(reply["results"][0]["undetermined"], json!(["ads"]));
    let metrics = flagging.read("/metrics");
    assert!(
        metrics.contains(
            r#"safeguard_traffic_total{policy="ads",disposition="blocked",cause="unparseable"} 1"#
        ),
        "{metrics}"
    );
    assert!(metrics.contains(r#"outcome="undetermined",cause="unparseable""#), "{metrics}");
}
