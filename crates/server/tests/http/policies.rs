//! Policies over HTTP: stored, activated, tried beside the live one, rolled back, withdrawn.

use serde_json::{Value, json};
use server::{ServerSettings, ShadowSettings};

use crate::keyed::{As, ByTheText, Shared, on_each_store};
use crate::running::{ADS, Running, ads};

on_each_store!(
    a_stored_version_acts_once_it_is_activated_and_goes_before_the_folder,
    a_broken_policy_is_refused_with_what_is_wrong,
    a_candidate_judges_beside_the_live_version_and_acts_on_nothing,
    candidates_keep_to_their_budget,
    a_change_on_one_server_is_seen_by_the_others,
);

/// Another version of the same policy; the judge of these tests finds violations by it.
pub(crate) const STRICT: &str = "+++\nlint_allow = [\"P001\", \"P004\", \"P008\"]\n+++\n## VIOLATES\n- AD1 strict advertising\n\n## SAFE\n- AD0.a anything else\n";

fn version(id: &Value) -> Value {
    json!({ "version": id })
}

fn a_stored_version_acts_once_it_is_activated_and_goes_before_the_folder(shared: &Shared) {
    let service = shared.start(ads());
    let me = As(&service, "");
    let acting = || me.classify(&["x"], &["ads"]).1["results"][0]["policy"]["id"].clone();
    let folder = acting();
    let (status, stored) = me.put("ads", STRICT);
    assert_eq!((status, &stored["is_active"]), (200, &json!(false)), "{stored}");
    assert_eq!(acting(), folder, "it is not activated");
    let (status, detail) = me.post("/v1/policies/ads/activate", &version(&stored["id"]));
    assert_eq!((status, &detail["source"]), (200, &json!("store")));
    assert_eq!((acting(), &detail["folder"]), (stored["id"].clone(), &folder));
    assert_eq!(detail["rules"][0]["code"], "AD1");
    let id = stored["id"].as_str().unwrap();
    let text = me.get(&format!("/v1/policies/ads/versions/{}", &id[..8])).1;
    assert_eq!(text, STRICT);
    let of_folder = folder.as_str().unwrap();
    assert_eq!(me.get(&format!("/v1/policies/ads/versions/{of_folder}")).1, ADS);
    assert_eq!(me.post("/v1/policies/ads/rollback", &json!({})).0, 409);
    let second = me.store("ads", &STRICT.replace("strict", "paid"));
    me.post("/v1/policies/ads/activate", &version(&second));
    assert_eq!(acting(), second);
    assert_eq!(me.post("/v1/policies/ads/rollback", &json!({})).0, 200);
    assert_eq!(acting(), stored["id"]);
    let (status, detail) = me.delete("/v1/policies/ads");
    assert_eq!((status, &detail["source"], acting()), (200, &json!("folder"), folder));
    assert_eq!(me.delete("/v1/policies/ads").0, 404, "nothing of the store is in use");
    assert_eq!(me.post("/v1/policies/ads/rollback", &json!({})).0, 200);
    assert_eq!(acting(), stored["id"], "a withdrawal is undone too");
    let listed = me.get("/v1/policies").1;
    assert_eq!(listed["policies"].as_array().unwrap().len(), 1, "{listed}");
}

fn a_broken_policy_is_refused_with_what_is_wrong(shared: &Shared) {
    let service = shared.start(ads());
    let me = As(&service, "");
    let (status, problem) =
        me.put("mine", "## VIOLATES\n- A1 one\n- A1 again\n\n## SAFE\n- A0 no\n");
    assert_eq!((status, &problem["type"]), (422, &json!("urn:safeguard:faulty_policy")));
    let findings = problem["findings"].as_array().unwrap();
    let errors = findings.iter().filter(|it| it["severity"] == "error");
    assert!(errors.clone().any(|it| it["line"] == 3), "{problem}");
    assert!(errors.clone().all(|it| it["code"].is_string() && it["help"].is_string()));
    assert_eq!(me.get("/v1/policies/mine").0, 404, "it was not stored");
    for name in ["inline", "a@b", "%20a", "a%00"] {
        assert_eq!(me.put(name, STRICT).0, 422, "{name}");
    }
    let url = format!("{}/v1/policies/mine", service.url);
    let plain = service.http.put(url).header("content-type", "text/plain").body(STRICT);
    assert_eq!(plain.send().unwrap().status(), 415);
    let stored = me.store("mine", STRICT);
    for (route, body, status) in [
        ("/v1/policies/mine/activate", version(&json!("0000")), 404),
        ("/v1/policies/mine/activate", version(&json!("0")), 422),
        ("/v1/policies/none/activate", version(&stored), 404),
        ("/v1/policies/none/rollback", json!({}), 404),
        ("/v1/policies/mine/shadow", version(&json!("0000")), 404),
    ] {
        assert_eq!(me.post(route, &body).0, status, "{route} {body}");
    }
    assert_eq!(me.get("/v1/policies/mine/shadow").0, 404);
    assert_eq!(me.delete("/v1/policies/mine/shadow").0, 404);
    assert_eq!(me.get("/v1/policies/mine/shadow?limit=x").0, 400);
}

fn a_candidate_judges_beside_the_live_version_and_acts_on_nothing(shared: &Shared) {
    let service = shared.start(ads());
    let me = As(&service, "");
    let stored = me.store("ads", STRICT);
    assert_eq!(me.post("/v1/policies/ads/shadow", &version(&stored)).0, 200);
    let (_, reply) = me.classify(&["x", "y", "z"], &["ads"]);
    assert_eq!(reply["action"], "allow", "the live version decides");
    let report = loop {
        let report = me.get("/v1/policies/ads/shadow").1;
        if report["n_compared"] == 3 {
            break report;
        }
        std::thread::yield_now();
    };
    assert_eq!((&report["n_differ"], &report["candidate"]), (&json!(3), &stored));
    let outcomes = json!([{ "live": "clear", "candidate": "violation", "n": 3 }]);
    assert_eq!(report["outcomes"], outcomes);
    assert_eq!(report["rules"], json!([{ "live": "AD0", "candidate": "AD1", "n": 3 }]));
    let lived: Vec<&Value> = report["disagreements"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["live"]["decision"])
        .collect();
    for result in reply["results"].as_array().unwrap() {
        assert!(lived.contains(&&result["decision"]), "{report}");
    }
    let shadow = &report["disagreements"][0]["candidate"]["decision"];
    let (_, decision) = me.get(&format!("/v1/decisions/{}", shadow.as_str().unwrap()));
    assert_eq!(decision["shadow_of"], report["disagreements"][0]["live"]["decision"]);
    assert_eq!(me.get("/v1/reviews").1["n_waiting"], 0, "a candidate's word needs nobody");
    assert_eq!(me.delete("/v1/policies/ads/shadow").0, 200);
    me.classify(&["x"], &["ads"]);
    let query = format!("?version={}", stored.as_str().unwrap());
    let after = me.get(&format!("/v1/policies/ads/shadow{query}")).1;
    assert_eq!(after["n_compared"], 3, "it has ended, and its report stays");
}

fn candidates_keep_to_their_budget(shared: &Shared) {
    let shadow = ShadowSettings { per_minute: 2, ..ShadowSettings::default() };
    let settings = ServerSettings { shadow, ..shared.settings() };
    let service = Running::start(settings, std::sync::Arc::new(ByTheText), ads());
    let me = As(&service, "");
    let stored = me.store("ads", STRICT);
    me.post("/v1/policies/ads/shadow", &version(&stored));
    me.classify(&["a", "b", "c", "d", "e"], &["ads"]);
    while !service.read("/metrics").contains("safeguard_shadow_total{result=\"judged\"} 2") {
        std::thread::yield_now();
    }
    assert!(service.read("/metrics").contains("safeguard_shadow_total{result=\"skipped\"} 3"));
    assert_eq!(me.get("/v1/policies/ads/shadow").1["n_compared"], 2);
}

fn a_change_on_one_server_is_seen_by_the_others(shared: &Shared) {
    let (one, other) = (shared.start(ads()), shared.start(ads()));
    let (one, other) = (As(&one, ""), As(&other, ""));
    assert_eq!(other.classify(&["x"], &["ads"]).1["action"], "allow");
    let stored = one.store("ads", STRICT);
    one.post("/v1/policies/ads/activate", &version(&stored));
    assert_eq!(one.classify(&["x"], &["ads"]).1["action"], "block", "here at once");
    while other.classify(&["x"], &["ads"]).1["action"] != "block" {
        std::thread::yield_now();
    }
}
