//! Reviews over HTTP: what waits, what people say, and what becomes of it.

use policy::{GoldenOutcome, parse_golden};
use serde_json::{Value, json};
use server::ServerSettings;

use crate::keyed::{As, ByTheText, Shared, on_each_store};
use crate::running::{Running, ads};

on_each_store!(
    an_appeal_comes_first_and_an_overturned_decision_becomes_a_case,
    without_content_there_is_no_case_and_the_reply_says_so,
    what_says_nothing_or_cannot_be_is_refused,
    a_review_names_the_key_that_answers_for_it,
);

fn ids(reply: &Value) -> Vec<String> {
    let results = reply["results"].as_array().unwrap().iter();
    results.map(|it| it["decision"].as_str().unwrap().to_owned()).collect()
}

fn waiting(me: &As<'_>) -> Vec<(String, String)> {
    let queue = me.get("/v1/reviews?policy=ads").1;
    let listed = queue["waiting"].as_array().unwrap();
    assert_eq!(queue["n_waiting"], listed.len());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    listed.iter().map(|it| (text(&it["why"]), text(&it["decision"]["id"]))).collect()
}

fn an_appeal_comes_first_and_an_overturned_decision_becomes_a_case(shared: &Shared) {
    let settings = ServerSettings { keep_content: true, ..shared.settings() };
    let service = Running::start(settings, std::sync::Arc::new(ByTheText), ads());
    let me = As(&service, "");
    let decided = ids(&me.classify(&["cinnabar", "undetermined"], &["ads"]).1);
    let [clear, unknown] = &decided[..] else { panic!("{decided:?}") };
    let of = |why: &str, id: &String| (why.to_owned(), id.clone());
    assert_eq!(waiting(&me), [of("undetermined", unknown)]);
    let route = |id: &str| format!("/v1/decisions/{id}/reviews");
    let appeal = json!({ "finding": "appeal", "reason": "I sell pigments", "reviewer": "ada" });
    let (status, review) = me.post(&route(clear), &appeal);
    assert_eq!((status, &review["reviewer"]), (201, &json!("ada")), "{review}");
    assert_eq!(waiting(&me), [of("appealed", clear), of("undetermined", unknown)]);
    let (_, shown) = me.get(&route(clear));
    assert_eq!(shown["content"]["text"], "cinnabar");
    assert_eq!(shown["reviews"][0]["reason"], "I sell pigments");
    let overturn = json!({ "finding": "overturn", "outcome": "violation", "rule": "AD1", "reason": "it advertises" });
    assert_eq!(me.post(&route(clear), &overturn).0, 201);
    let confirm = json!({ "finding": "confirm" });
    assert_eq!(me.post(&route(unknown), &confirm).0, 201);
    assert_eq!(waiting(&me), []);
    let golden = service.read("/v1/reviews/golden?policy=ads");
    let cases = parse_golden(&golden).unwrap();
    assert_eq!((cases.len(), cases[0].outcome), (1, GoldenOutcome::Violation));
    assert_eq!((&cases[0].id, cases[0].rule.as_deref()), (clear, Some("AD1")));
    assert_eq!(service.read("/v1/reviews/golden?policy=other"), "");
}

fn without_content_there_is_no_case_and_the_reply_says_so(shared: &Shared) {
    let service = shared.start(ads());
    let me = As(&service, "");
    let decided = ids(&me.classify(&["x"], &["ads"]).1);
    let overturn = json!({ "finding": "overturn", "outcome": "violation", "reason": "wrong" });
    assert_eq!(me.post(&format!("/v1/decisions/{}/reviews", decided[0]), &overturn).0, 201);
    let golden = me.send(reqwest::Method::GET, "/v1/reviews/golden", None);
    assert_eq!(golden.headers()["x-safeguard-without-content"], "1");
    assert_eq!(golden.text().unwrap(), "");
}

fn what_says_nothing_or_cannot_be_is_refused(shared: &Shared) {
    let service = shared.start(ads());
    let me = As(&service, "");
    let decided = ids(&me.classify(&["x"], &["ads"]).1);
    let route = format!("/v1/decisions/{}/reviews", decided[0]);
    let overturn = |more: Value| {
        let mut body = json!({ "finding": "overturn", "outcome": "violation", "reason": "why" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for (body, status, word) in [
        (json!({ "finding": "praise" }), 400, "praise"),
        (json!({ "finding": "confirm", "outcome": "clear" }), 422, "outcome"),
        (json!({ "finding": "overturn", "reason": "x" }), 422, "outcome"),
        (json!({ "finding": "appeal" }), 422, "reason"),
        (overturn(json!({ "reason": " " })), 422, "reason"),
        (overturn(json!({ "reason": "x".repeat(10_001) })), 422, "reason"),
        (overturn(json!({ "rule": "AD0.a" })), 422, "rule"),
        (overturn(json!({ "rule": "ZZ9" })), 422, "rule"),
        (overturn(json!({ "outcome": "clear" })), 422, "outcome"),
        (overturn(json!({ "reviewer": "a\nb" })), 422, "reviewer"),
    ] {
        let (found, problem) = me.post(&route, &body);
        let detail = problem["detail"].as_str().unwrap();
        assert!(found == status && detail.contains(word), "{body}: {problem}");
    }
    for id in ["nonsense", "dec_01jd9g3vd8k2m4n6p8q0r2s4t6"] {
        let confirm = json!({ "finding": "confirm" });
        assert_eq!(me.post(&format!("/v1/decisions/{id}/reviews"), &confirm).0, 404);
    }
    assert_eq!(me.get("/v1/reviews?policy=a%00").0, 400);
    let without = crate::running::start();
    assert_eq!(As(&without, "").get("/v1/reviews").0, 503);
}

fn a_review_names_the_key_that_answers_for_it(shared: &Shared) {
    let (id, key) = shared.key("default", &["judge", "review"], store::Grants::default());
    let service = shared.start(ads());
    let me = As(&service, &key);
    let decided = ids(&me.classify(&["x"], &["ads"]).1);
    let route = format!("/v1/decisions/{}/reviews", decided[0]);
    for (body, reviewer) in [
        (json!({ "finding": "confirm", "reviewer": "ada" }), format!("ada ({id})")),
        (json!({ "finding": "confirm" }), id.to_string()),
    ] {
        assert_eq!(me.post(&route, &body).1["reviewer"], reviewer);
    }
}
