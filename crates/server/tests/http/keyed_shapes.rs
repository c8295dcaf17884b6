//! Keys on the routes that have the shapes of other services.

use reqwest::Method;
use serde_json::{Value, json};
use server::ServerSettings;
use store::Grants;

use crate::keyed::{As, ByTheText, Shared};
use crate::policies::STRICT;
use crate::running::{Running, ads};

/// Each route with a request under the policy `ads`.
fn routes() -> [(&'static str, Value); 4] {
    let comment = json!({ "comment": { "text": "x" }, "requestedAttributes": { "ADS": {} } });
    [
        ("/v1/responses", json!({ "model": "safeguard/ads", "input": "x" })),
        ("/predict", json!({ "inputs": "x" })),
        ("/beta/litellm_basic_guardrail_api", json!({ "input_type": "request", "texts": ["x"] })),
        ("/v1alpha1/comments:analyze", comment),
    ]
}

fn start(shared: &Shared) -> Running {
    let mut settings: ServerSettings = shared.settings();
    settings.perspective.attributes = [("ADS".to_owned(), vec!["ads".to_owned()])].into();
    Running::start(settings, std::sync::Arc::new(ByTheText), ads())
}

#[test]
fn the_door_refuses_in_the_shape_of_the_route() {
    let places = ["/error/code", "/error_type", "/type", "/error/status"];
    let shared = Shared::new();
    let reads = shared.secret("default", &["read"]);
    let slow = Grants { requests_per_minute: Some(1), ..Grants::default() };
    let slow = [(); 4].map(|()| shared.key("default", &["judge"], slow.clone()).1);
    let service = start(&shared);
    let words = |named: [&str; 4], at: usize| json!(named[at]);
    for (at, (route, body)) in routes().into_iter().enumerate() {
        assert_eq!(As(&service, &slow[at]).post(route, &body).0, 200, "{route}");
        for (key, status, named) in [
            ("", 401, ["no_api_key", "Validation", "urn:safeguard:no_api_key", "UNAUTHENTICATED"]),
            (
                &*reads,
                403,
                ["missing_scope", "Validation", "urn:safeguard:missing_scope", "PERMISSION_DENIED"],
            ),
            (
                &*slow[at],
                429,
                [
                    "rate_limit_exceeded",
                    "Overloaded",
                    "urn:safeguard:rate_limit_exceeded",
                    "RESOURCE_EXHAUSTED",
                ],
            ),
        ] {
            let refused = As(&service, key).send(Method::POST, route, Some(&body));
            assert_eq!(refused.status(), status, "{route}");
            let has = |name: &str| refused.headers().contains_key(name);
            assert_eq!(
                (has("www-authenticate"), has("retry-after")),
                (status == 401, status == 429)
            );
            let refusal: Value = refused.json().unwrap();
            assert_eq!(refusal.pointer(places[at]), Some(&words(named, at)), "{route}: {refusal}");
        }
    }
}

#[test]
fn each_judges_by_the_tenants_policy_records_for_it_and_takes_of_its_day() {
    let shared = Shared::new();
    let day = Grants { items_per_day: Some(4), ..Grants::default() };
    let (mine, yours) = (shared.key("mine", &["admin"], day).1, shared.secret("yours", &["admin"]));
    let service = start(&shared);
    let (mine, yours) = (As(&service, &mine), As(&service, &yours));
    let stored = mine.store("ads", STRICT);
    mine.post("/v1/policies/ads/activate", &json!({ "version": stored }));
    let [responses, predict, litellm, perspective] = routes().map(|(route, body)| {
        let (status, reply) = mine.post(route, &body);
        assert_eq!(status, 200, "{route}: {reply}");
        reply
    });
    for (route, body) in routes() {
        assert_eq!(mine.post(route, &body).0, 429, "{route}: the day's four are used up");
    }
    let text = responses["output"][0]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("AD1"), "{responses}");
    assert_eq!(predict, json!([{ "score": 1.0, "label": "ads" }]));
    assert_eq!(litellm["action"], "BLOCKED");
    assert_eq!(perspective["attributeScores"]["ADS"]["summaryScore"]["value"], 1.0);
    let recorded = mine.get("/v1/decisions").1;
    let recorded = recorded["decisions"].as_array().unwrap();
    assert_eq!(recorded.len(), 4);
    for (route, body) in routes() {
        assert!(recorded.iter().any(|it| it["source"] == route), "{route}: {recorded:?}");
        assert!([404, 503].contains(&yours.post(route, &body).0), "{route}: no policy is theirs");
    }
    assert_eq!(yours.get("/v1/decisions").1["decisions"], json!([]));
}

#[test]
fn perspectives_clients_bring_the_key_in_the_address() {
    let shared = Shared::new();
    let key = shared.secret("default", &["judge"]);
    let service = start(&shared);
    let [(_, responses), .., (route, comment)] = routes();
    let nobody = As(&service, "");
    let with = |key: &str| nobody.post(&format!("{route}?alt=json&key={key}"), &comment).0;
    assert_eq!([with(&key), with("any")], [200, 401]);
    assert_eq!(nobody.post(&format!("/v1/responses?key={key}"), &responses).0, 401);
    assert_eq!(nobody.get("/$discovery/rest?version=v1alpha1").0, 200, "clients ask without it");
}

#[test]
fn candidates_judge_beside_each() {
    let shared = Shared::new();
    let service = start(&shared);
    let me = As(&service, "");
    let stored = me.store("ads", STRICT);
    me.post("/v1/policies/ads/shadow", &json!({ "version": stored }));
    for (route, body) in routes() {
        let (status, reply) = me.post(route, &body);
        assert_eq!(status, 200, "{route}: {reply}");
    }
    let report = loop {
        let report = me.get("/v1/policies/ads/shadow").1;
        if report["n_compared"] == 4 {
            break report;
        }
        std::thread::yield_now();
    };
    assert_eq!(report["n_differ"], 4, "{report}");
}
