//! Keys at the door: who comes in, as whom, for what and how often.

use policy::{Judge, JudgeSettings};
use reqwest::Method;
use serde_json::{Value, json};
use server::{PolicySource, Server, ServerError, ServerSettings, Setup};
use store::Grants;

use crate::keyed::{As, ByTheText, Shared, on_each_store};
use crate::running::{ADS, ads, settings};

on_each_store!(
    from_the_first_key_on_every_request_needs_one,
    a_key_reaches_as_far_as_its_scopes,
    tenants_do_not_see_each_other,
    the_folder_is_lent_to_all_tenants_where_the_settings_say_so,
    a_key_bound_to_policies_judges_by_no_others,
    rates_and_days_have_an_end,
    an_address_that_others_reach_needs_keys_or_the_word_open,
);

fn from_the_first_key_on_every_request_needs_one(shared: &Shared) {
    let service = shared.start(ads());
    let nobody = As(&service, "");
    assert_eq!(nobody.classify(&["x"], &["ads"]).0, 200);
    let (id, secret) = shared.key("default", &["judge"], Grants::default());
    while nobody.classify(&["x"], &["ads"]).0 == 200 {
        std::thread::yield_now();
    }
    let refused = nobody.send(Method::POST, "/v1/classify", Some(&json!({ "items": ["x"] })));
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["www-authenticate"]),
        (401, &"Bearer".parse().unwrap())
    );
    let problem: Value = refused.json().unwrap();
    assert_eq!(problem["type"], "urn:safeguard:no_api_key");
    for open in ["/healthz", "/readyz", "/docs", "/openapi.json"] {
        assert_eq!(nobody.get(open).0, 200, "{open}");
    }
    assert_eq!(nobody.get("/readyz").1["policies"], Value::Null, "not told to anybody");
    assert_eq!(nobody.get("/v1/unheard-of").0, 404);
    assert_eq!(As(&service, &secret).classify(&["x"], &["ads"]).0, 200);
    let (status, error) =
        As(&service, "sg_wrong").post("/v1/moderations", &json!({ "input": "x" }));
    assert_eq!((status, &error["error"]["code"]), (401, &json!("invalid_api_key")));
    shared.revoke(&id);
    assert_eq!(As(&service, &secret).classify(&["x"], &["ads"]).0, 401, "at once");
    drop(service);
    let again = shared.start(ads());
    assert_eq!(As(&again, "").classify(&["x"], &["ads"]).0, 401, "and nobody without one");
}

fn a_key_reaches_as_far_as_its_scopes(shared: &Shared) {
    let [judge, read, review, policies, admin, metrics] =
        ["judge", "read", "review", "policies", "admin", "metrics"]
            .map(|scope| shared.secret("default", &[scope]));
    let service = shared.start(ads());
    let by = |key| As(&service, key);
    let decided = by(&judge).classify(&["x"], &["ads"]).1;
    let id = decided["results"][0]["decision"].as_str().unwrap();
    let reviews = format!("/v1/decisions/{id}/reviews");
    let confirm = json!({ "finding": "confirm" });
    let appeal = json!({ "finding": "appeal", "reason": "no" });
    let items = json!({ "items": ["x"] });
    for (method, route, body, allowed) in [
        (Method::POST, "/v1/classify", Some(&items), vec![&judge]),
        (Method::GET, "/v1/models", None, vec![&judge]),
        (Method::POST, "/v1/responses", Some(&items), vec![&judge]),
        (Method::POST, "/beta/litellm_basic_guardrail_api", Some(&items), vec![&judge]),
        (Method::POST, "/predict", Some(&items), vec![&judge]),
        (Method::POST, "/v1alpha1/comments:analyze", Some(&items), vec![&judge]),
        (Method::GET, "/v1/decisions", None, vec![&read]),
        (Method::GET, "/v1/policies", None, vec![&read]),
        (Method::GET, "/v1/reviews", None, vec![&review]),
        (Method::GET, "/v1/reviews/golden", None, vec![&review]),
        (Method::GET, &*reviews, None, vec![&review]),
        (Method::POST, &*reviews, Some(&confirm), vec![&review]),
        (Method::POST, &*reviews, Some(&appeal), vec![&judge, &review]),
        (Method::DELETE, "/v1/policies/none", None, vec![&policies]),
        (Method::GET, "/metrics", None, vec![&metrics]),
    ] {
        for key in [&judge, &read, &review, &policies, &admin, &metrics] {
            let (status, body) = by(key).ask(method.clone(), route, body);
            let is_allowed = allowed.contains(&key) || (key == &admin && route != "/metrics");
            assert_eq!(status != 403, is_allowed, "{method} {route}: {status} {body}");
            assert_ne!(status, 401);
        }
    }
}

fn tenants_do_not_see_each_other(shared: &Shared) {
    let (mine, yours) = (shared.secret("mine", &["admin"]), shared.secret("yours", &["admin"]));
    let house = shared.secret("default", &["admin"]);
    let service = shared.start(ads());
    let (mine, yours, house) = (As(&service, &mine), As(&service, &yours), As(&service, &house));
    let stored = mine.store("secret", "Nothing may be advertised here.");
    mine.post("/v1/policies/secret/activate", &json!({ "version": stored }));
    let decided = mine.classify(&["x"], &["secret"]).1;
    let id = decided["results"][0]["decision"].as_str().unwrap();
    assert_eq!(mine.get("/v1/policies").1["policies"].as_array().unwrap().len(), 1);
    assert_eq!(yours.get("/v1/policies").1["policies"], json!([]));
    let all = house.get("/v1/policies").1;
    assert_eq!((&all["policies"][0]["name"], &all["policies"][1]), (&json!("ads"), &Value::Null));
    for other in [&yours, &house] {
        let judged = other.classify(&["x"], &["secret"]).1;
        assert_eq!(judged["results"][0]["error"]["type"], "urn:safeguard:unknown_policy");
        for route in [
            format!("/v1/decisions/{id}"),
            format!("/v1/decisions/{id}/reviews"),
            "/v1/policies/secret".to_owned(),
            format!("/v1/policies/secret/versions/{}", stored.as_str().unwrap()),
        ] {
            assert_eq!(other.get(&route).0, 404, "{route}");
        }
        let appeal = json!({ "finding": "appeal", "reason": "mine" });
        assert_eq!(other.post(&format!("/v1/decisions/{id}/reviews"), &appeal).0, 404);
        let version = json!({ "version": stored });
        assert_eq!(other.post("/v1/policies/secret/activate", &version).0, 404);
        assert_eq!(other.get("/v1/decisions").1["decisions"], json!([]));
    }
    assert_eq!(mine.get("/v1/decisions").1["decisions"][0]["tenant"], "mine");
    let nothing = yours.post("/v1/classify", &json!({ "items": ["x"] }));
    assert_eq!((nothing.0, &nothing.1["type"]), (503, &json!("urn:safeguard:no_policies")));
}

fn the_folder_is_lent_to_all_tenants_where_the_settings_say_so(shared: &Shared) {
    let key = shared.secret("mine", &["admin"]);
    let settings = ServerSettings { share_policies: true, ..shared.settings() };
    let service = crate::running::Running::start(settings, std::sync::Arc::new(ByTheText), ads());
    assert_eq!(As(&service, &key).classify(&["x"], &["ads"]).1["action"], "allow");
}

fn a_key_bound_to_policies_judges_by_no_others(shared: &Shared) {
    let bound = Grants { policies: Some(vec!["ads".to_owned()]), ..Grants::default() };
    let (_, key) = shared.key("default", &["admin"], bound);
    let both = [("ads", ADS), ("other", ADS)].map(|(name, text)| (name.to_owned(), text.into()));
    let service = shared.start(PolicySource::Fixed(both.into()));
    let bound = As(&service, &key);
    let all = bound.post("/v1/classify", &json!({ "items": ["x"] })).1;
    assert_eq!(all["results"].as_array().unwrap().len(), 1, "all are those it is bound to");
    let inline = json!({ "name": "mine", "text": "No ads." });
    let judged =
        bound.post("/v1/classify", &json!({ "items": ["x"], "policies": ["other", inline] })).1;
    let kinds = [0, 1].map(|at: usize| judged["results"][at]["error"]["status"].clone());
    assert_eq!(kinds, [json!(404), json!(403)], "{judged}");
    let messages =
        json!([{ "role": "system", "content": "No ads." }, { "role": "user", "content": "x" }]);
    let chat =
        bound.post("/v1/chat/completions", &json!({ "model": "safeguard", "messages": messages }));
    assert_eq!((chat.0, &chat.1["error"]["code"]), (403, &json!("policies_bound")));
    assert_eq!(bound.get("/v1/policies/other").0, 404);
    assert_eq!(bound.put("other", ADS).0, 404);
}

fn rates_and_days_have_an_end(shared: &Shared) {
    let limited = |grants| shared.key("default", &["judge"], grants).1;
    let rate = limited(Grants { requests_per_minute: Some(2), ..Grants::default() });
    let items = limited(Grants { items_per_day: Some(3), ..Grants::default() });
    let service = shared.start(ads());
    let quick = As(&service, &rate);
    let statuses = [(); 3].map(|()| quick.classify(&["x"], &["ads"]).0);
    assert_eq!(statuses, [200, 200, 429]);
    let refused = quick.send(Method::POST, "/v1/moderations", Some(&json!({ "input": "x" })));
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    let error: Value = refused.json().unwrap();
    assert_eq!(error["error"]["code"], "rate_limit_exceeded");
    let daily = As(&service, &items);
    assert_eq!(daily.classify(&["x", "y"], &["ads"]).0, 200);
    let (status, problem) = daily.classify(&["x", "y"], &["ads"]);
    assert_eq!((status, &problem["type"]), (429, &json!("urn:safeguard:insufficient_quota")));
    assert_eq!(daily.classify(&["x"], &["ads"]).0, 200, "what was refused took nothing");
    let messages = json!([{ "role": "user", "content": "x" }]);
    let chat = json!({ "model": "safeguard/ads", "messages": messages });
    assert_eq!(daily.post("/v1/chat/completions", &chat).0, 429);
}

#[test]
fn the_description_says_which_routes_ask_for_a_key() {
    let service = crate::running::start();
    let (_, description) = As(&service, "").get("/openapi.json");
    assert_eq!(description["components"]["securitySchemes"]["key"]["scheme"], "bearer");
    let mut n_asking = 0;
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let asks = operation["security"].as_array().is_some_and(|it| it.len() == 2);
            let is_open = ["/healthz", "/readyz", "/$discovery/rest"].contains(&path.as_str());
            assert_eq!(asks, !is_open, "{method} {path}");
            for status in ["401", "403", "429"] {
                let is_told = operation["responses"][status].is_object();
                assert_eq!(is_told, asks, "{method} {path}: {status}");
            }
            n_asking += usize::from(asks);
        }
    }
    assert!(n_asking > 15, "{n_asking}");
}

fn an_address_that_others_reach_needs_keys_or_the_word_open(shared: &Shared) {
    let bind = |settings: ServerSettings| {
        let judge: std::sync::Arc<dyn Judge> = std::sync::Arc::new(ByTheText);
        Server::bind(Setup {
            settings,
            judge,
            judging: JudgeSettings::default(),
            scores_directly: true,
            model: "builtin".to_owned(),
            engine_info: Vec::new(),
            before: None,
            policies: ads(),
            upstream_key: None,
            webhook_secret: None,
        })
    };
    let everywhere = |settings: ServerSettings| ServerSettings {
        listen: "0.0.0.0:0".parse().unwrap(),
        ..settings
    };
    assert!(matches!(bind(everywhere(settings())), Err(ServerError::Open { .. })));
    let keyless = bind(everywhere(shared.settings()));
    assert!(matches!(keyless, Err(ServerError::Open { .. })));
    let open = ServerSettings { open: true, ..everywhere(settings()) };
    assert!(!bind(open).unwrap().asks_for_keys());
    shared.key("default", &["judge"], Grants::default());
    assert!(bind(everywhere(shared.settings())).unwrap().asks_for_keys());
}
