//! `/v1/classify`: every pair has its verdict or its error.

use serde_json::json;

use crate::running::{ADS, start};

#[test]
fn pairs_fail_alone_and_the_strongest_action_stands_above() {
    let service = start();
    let reply = service.ask(
        "/v1/classify",
        &json!({
            "items": ["Buy now!", { "id": "b", "text": " " }, { "id": 3, "prompt": "hi", "reply": "ho" }],
            "policies": ["ads", "none", { "name": "mine", "text": ADS }],
        }),
    );
    let results = reply["results"].as_array().unwrap();
    assert_eq!(results.len(), 9);
    for (at, result) in results.iter().enumerate() {
        let is_judged = at / 3 != 1 && at % 3 != 1;
        assert_eq!(result["index"], at / 3);
        assert_eq!(result["policy"]["name"], ["ads", "none", "mine"][at % 3]);
        assert_eq!(result.get("verdict").is_some(), is_judged, "{result}");
        assert_eq!(result.get("error").is_some(), !is_judged, "{result}");
        if is_judged {
            let is_violation = result["verdict"]["outcome"] == "violation";
            assert_eq!(result["action"] == "block", is_violation, "{result}");
            assert!(result["verdict"].get("reasoning").is_none(), "it is sent on demand only");
        } else {
            assert_eq!(result["action"], "review", "what has no verdict is never let through");
        }
    }
    assert_eq!((&results[3]["id"], &results[6]["id"]), (&json!("b"), &json!(3)));
    assert_ne!(reply["action"], "allow");
    assert_eq!(
        results[0]["verdict"]["score"], results[2]["verdict"]["score"],
        "one text, one policy"
    );
}

#[test]
fn a_request_may_ask_for_direct_scores() {
    let service = start();
    let body = json!({ "items": ["Buy now!"], "policies": ["ads"], "direct": true, "seed": 5 });
    let verdict = service.ask("/v1/classify", &body)["results"][0]["verdict"].clone();
    assert_eq!((&verdict["score_method"], &verdict["rule_ids"]), (&json!("direct"), &json!([])));
    let is_violation = verdict["outcome"] == "violation";
    assert_eq!(verdict["score"].as_f64().map(|score| score > 0.5), Some(is_violation));
    assert_eq!(verdict["usage"]["generated_tokens"], 1);
}

#[test]
fn policies_are_named_in_four_ways_and_all_are_meant_by_none() {
    let service = start();
    let ready: serde_json::Value = serde_json::from_str(&service.read("/readyz")).unwrap();
    let id = ready["policies"][0]["id"].as_str().unwrap();
    let named = ["ads".to_owned(), format!("ads@{}", &id[..8]), id.to_owned()];
    let reply = service
        .ask("/v1/classify", &json!({ "items": ["x"], "policies": named, "reasoning": true }));
    for result in reply["results"].as_array().unwrap() {
        assert_eq!(result["policy"], json!({ "name": "ads", "id": id }));
        assert!(result["verdict"]["reasoning"].is_string());
    }
    let all = service.ask("/v1/classify", &json!({ "items": ["x"] }));
    assert_eq!(all["results"].as_array().unwrap().len(), 1);
    let other = service
        .ask("/v1/classify", &json!({ "items": ["x"], "policies": ["ads@ffffffff", "ads@f"] }));
    let kinds: Vec<_> =
        other["results"].as_array().unwrap().iter().map(|it| it["error"]["type"].clone()).collect();
    assert_eq!(kinds, ["urn:safeguard:other_version", "urn:safeguard:invalid_field"]);
}
