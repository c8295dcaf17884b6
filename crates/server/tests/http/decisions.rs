//! Decisions are in the store before their callers hear of them.

use serde_json::{Value, json};
use store::Store;

use crate::running::{Running, ads, builtin, settings};

#[test]
fn every_verdict_is_recorded_without_content_and_the_chain_holds() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", dir.path().join("s.db").display());
    let mut settings = settings();
    settings.store = Some(url.clone());
    let service = Running::start(settings, builtin(), ads());
    let read = |route: &str| -> Value { serde_json::from_str(&service.read(route)).unwrap() };
    let inline = json!({ "name": "mine", "text": "No cinnabar." });
    let reply =
        service.ask("/v1/classify", &json!({ "items": ["cinnabar"], "policies": ["ads", inline] }));
    service.ask("/v1/moderations", &json!({ "input": ["cinnabar", "x"] }));
    for stream in [false, true] {
        let messages = json!([{ "role": "user", "content": "cinnabar" }]);
        let body = json!({ "model": "safeguard/ads", "stream": stream, "messages": messages });
        service.post("/v1/chat/completions", &body).text().unwrap();
    }
    let all = read("/v1/decisions");
    let sources: Vec<&str> = all["decisions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["source"].as_str().unwrap())
        .collect();
    let expected = ["/v1/classify", "/v1/moderations", "/v1/chat/completions"];
    assert_eq!(sources, expected.map(|it| [it; 2]).concat());
    assert!(!all.to_string().contains("cinnabar"), "{all}");
    for result in reply["results"].as_array().unwrap() {
        let id = result["decision"].as_str().unwrap();
        let one = read(&format!("/v1/decisions/{id}"));
        assert_eq!(one["outcome"], result["verdict"]["outcome"]);
        assert_eq!(one["policy"], result["policy"]);
    }
    let page = read("/v1/decisions?policy=ads&limit=2&after=0");
    assert_eq!(page["decisions"].as_array().unwrap().len(), 2);
    let next = read(&format!("/v1/decisions?policy=ads&after={}", page["next"]));
    assert_eq!(next["decisions"].as_array().unwrap().len(), 3);
    assert_eq!(read("/v1/decisions/nonsense")["status"], 404);
    assert_eq!(read("/v1/decisions?outcome=undetermined")["decisions"], json!([]));
    let long = format!("policy={}", "x".repeat(201));
    for query in ["limit=many", "outcome=bad", "outcome=clear%00", "policy=a%00", &long] {
        assert_eq!(read(&format!("/v1/decisions?{query}"))["status"], 400, "{query}");
    }
    for name in ["x".repeat(201), "a\0".to_owned()] {
        let policies = json!([{ "name": name, "text": "No cinnabar." }]);
        let body = json!({ "items": ["x"], "policies": policies });
        assert_eq!(service.ask("/v1/classify", &body)["results"][0]["error"]["status"], 422);
    }
    drop(service);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let verified =
        runtime.block_on(async { Store::open(&url).await.unwrap().verify(None).await.unwrap() });
    assert!(matches!(verified, store::Verification::Whole(_)), "{verified:?}");
}

#[test]
fn without_a_store_there_are_no_decisions_to_read() {
    let service = crate::running::start();
    let problem: Value = serde_json::from_str(&service.read("/v1/decisions")).unwrap();
    assert_eq!(
        (&problem["status"], &problem["type"]),
        (&json!(503), &json!("urn:safeguard:no_store"))
    );
}
