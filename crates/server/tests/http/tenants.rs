//! Jobs, files and batches are their tenant's, and what is judged later is recorded for the key that asked.

use policy::Outcome;
use reqwest::Method;
use reqwest::blocking::multipart::{Form, Part};
use serde_json::{Value, json};
use server::PolicySource;
use store::Grants;

use crate::batches::{create, line, upload};
use crate::jobs::Hand;
use crate::keyed::{As, Shared, on_each_store};
use crate::running::Running;

on_each_store!(
    a_tenant_sees_nothing_of_anothers_jobs_files_and_batches,
    a_bound_key_brings_no_policy_of_its_own_later_either,
    a_candidate_judges_what_is_judged_later_too,
    what_waits_to_be_judged_counts_against_its_keys_day,
);

const POLICY: &str = "## VIOLATES\n- AD1 advertising, strict\n\n## SAFE\n- AD0.a anything else\n";

fn a_tenant_sees_nothing_of_anothers_jobs_files_and_batches(shared: &Shared) {
    let (key, one) = shared.key("one", &["judge", "read"], Grants::default());
    let other = shared.secret("other", &["judge", "read"]);
    let service = shared.start(PolicySource::Fixed(Vec::new()));
    let (one, other) = (As(&service, &one), As(&service, &other));
    let body = json!({ "mode": "async", "items": ["x"], "policies": [{ "name": "mine", "text": POLICY }] });
    let (status, job) = one.post("/v1/classify", &body);
    assert_eq!(status, 202, "{job}");
    let job = format!("/v1/jobs/{}", job["id"].as_str().unwrap());
    let result = loop {
        let (_, job) = one.get(&job);
        if job["state"] == "finished" {
            break job["results"][0].clone();
        }
        std::thread::yield_now();
    };
    assert_eq!(result["verdict"]["outcome"], "violation");
    let (_, decision) = one.get(&format!("/v1/decisions/{}", result["decision"].as_str().unwrap()));
    assert_eq!((&decision["tenant"], &decision["key"]), (&json!("one"), &json!(key.as_str())));

    let form = Form::new().text("purpose", "batch").part("file", Part::text("{}").file_name("f"));
    let upload = service.http.post(format!("{}/v1/files", service.url)).multipart(form);
    let file: Value = upload.bearer_auth(one.1).send().unwrap().json().unwrap();
    let batch = |who: &As<'_>| {
        let body = json!({
            "input_file_id": file["id"], "endpoint": "/v1/classify", "completion_window": "24h"
        });
        who.post("/v1/batches", &body)
    };
    let (status, made) = batch(&one);
    assert_eq!((status, &made["status"]), (200, &json!("failed")));
    assert_eq!(batch(&other).0, 404);
    let file = format!("/v1/files/{}", file["id"].as_str().unwrap());
    let made = format!("/v1/batches/{}", made["id"].as_str().unwrap());
    for route in [&job, &file, &format!("{file}/content"), &made] {
        assert_eq!((one.get(route).0, other.get(route).0), (200, 404), "{route}");
    }
    for route in [format!("{job}/cancel"), format!("{made}/cancel")] {
        assert_eq!(other.ask(Method::POST, &route, None).0, 404, "{route}");
    }
    assert_eq!(other.delete(&file).0, 404);
    for (route, rows) in [("/v1/jobs", "jobs"), ("/v1/files", "data"), ("/v1/batches", "data")] {
        assert!(!one.get(route).1[rows].as_array().unwrap().is_empty(), "{route}");
        assert_eq!(other.get(route).1[rows], json!([]), "{route}");
    }
}

fn a_bound_key_brings_no_policy_of_its_own_later_either(shared: &Shared) {
    let bound = Grants { policies: Some(vec!["ads".to_owned()]), ..Grants::default() };
    let (_, key) = shared.key("default", &["judge"], bound);
    let service = shared.start(crate::running::ads());
    let key = As(&service, &key);
    let body = |policies: Value| json!({ "mode": "async", "items": ["x"], "policies": policies });
    assert_eq!(key.post("/v1/classify", &body(json!(["ads"]))).0, 202);
    let inline = json!([{ "name": "mine", "text": POLICY }]);
    assert_eq!(key.post("/v1/classify", &body(inline)).0, 403);
}

fn a_candidate_judges_what_is_judged_later_too(shared: &Shared) {
    let service = shared.start(crate::running::ads());
    let me = As(&service, "");
    let stored = me.store("ads", crate::policies::STRICT);
    assert_eq!(me.post("/v1/policies/ads/shadow", &json!({ "version": stored })).0, 200);
    let body = json!({ "mode": "async", "items": ["x", "y"], "policies": ["ads"] });
    assert_eq!(me.post("/v1/classify", &body).0, 202);
    let tried = |n: u64| {
        while me.get("/v1/policies/ads/shadow").1["n_compared"] != n {
            std::thread::yield_now();
        }
    };
    tried(2);
    let request = line("one", "/v1/moderations", &json!({ "input": ["x", "y", "z"] }));
    create(&service, &upload(&service, request), "/v1/moderations");
    tried(5);
    let report = me.get("/v1/policies/ads/shadow").1;
    assert_eq!(report["n_differ"], 5, "the candidate finds all of them: {report}");
    let inline = json!({ "items": ["x"], "policies": [{ "name": "ads", "text": POLICY }] });
    assert_eq!(me.post("/v1/classify", &inline).0, 200);
    assert_eq!(me.classify(&["x"], &["ads"]).0, 200);
    tried(6);
}

fn what_waits_to_be_judged_counts_against_its_keys_day(shared: &Shared) {
    let three = Grants { items_per_day: Some(3), ..Grants::default() };
    let (_, key) = shared.key("default", &["judge"], three);
    let (judge, hand) = Hand::new();
    let service = Running::start(shared.settings(), judge, crate::running::ads());
    let key = As(&service, &key);
    let body = json!({ "mode": "async", "items": ["x", "y"] });
    let (_, job) = key.post("/v1/classify", &body);
    let (status, refused) = key.post("/v1/classify", &body);
    assert_eq!(status, 429, "one is left: {refused}");
    for _ in 0..2 {
        hand.give.send(Outcome::Clear).unwrap();
    }
    let job = format!("/v1/jobs/{}", job["id"].as_str().unwrap());
    while key.get(&job).1["state"] != "finished" {
        std::thread::yield_now();
    }
    assert_eq!(key.post("/v1/classify", &body).0, 429, "and still is");
    let one = json!({ "mode": "async", "items": ["z"] });
    assert_eq!(key.post("/v1/classify", &one).0, 202);
    hand.give.send(Outcome::Clear).unwrap();
}
