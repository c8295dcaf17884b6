//! The log of a full run: what it tells, and what it never does.

use serde_json::{Value, json};

use crate::keys::key;
use crate::{Service, client};

const SECRETS: [&str; 4] = ["cinnabar-content", "cinnabar-policy", "cinnabar-key", "cinnabar-id"];

#[test]
fn content_policies_and_keys_never_reach_the_log() {
    let [content, policy, key, id] = SECRETS;
    let folder = tempfile::tempdir().unwrap();
    let settings =
        "[serve.webhooks]\nallow_private = true\nallow_http = true\nfirst_s = 0.01\ntries = 2\n";
    std::fs::write(folder.path().join("safeguard.toml"), settings).unwrap();
    let service = Service::start(folder.path(), &["--log", "json"]);
    let http = client();
    let messages =
        json!([{ "role": "system", "content": policy }, { "role": "user", "content": content }]);
    for (route, body) in [
        (
            "/v1/classify",
            json!({ "items": [{ "id": id, "text": content }], "policies": ["ads", { "text": policy }, content] }),
        ),
        ("/v1/classify", json!({ "items": [content], content: 1 })),
        ("/v1/moderations", json!({ "input": content })),
        ("/v1/moderations", json!({ "input": { content: content } })),
        ("/v1/chat/completions", json!({ "model": "safeguard", "messages": messages })),
        (
            "/v1/chat/completions",
            json!({ "model": "safeguard", "stream": true, "messages": messages }),
        ),
        ("/v1/chat/completions", json!({ "model": content, "messages": messages })),
        ("/v1/cinnabar-content?q=cinnabar-content", json!({})),
    ] {
        let request = http.post(format!("{}{route}", service.url)).bearer_auth(key);
        request.json(&body).send().unwrap().text().unwrap();
    }
    tell_nobody(&service, content);
    let (ended_well, log) = service.stop();
    assert!(ended_well);
    assert!(log.contains("a webhook was given up"), "{log}");
    assert!(!log.contains("cinnabar"), "{log}");
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let noted: Vec<Value> = lines.filter(|line| line["message"] == "request").collect();
    assert!(noted.len() > 8, "each request has its line: {log}");
    assert_eq!(noted[7]["route"], "unmatched");
}

/// Has something judged later and told to a webhook that nobody listens at, until that is given up.
fn tell_nobody(service: &Service, content: &str) {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let webhook =
        json!({ "url": "http://127.0.0.1:9/cinnabar-hook?key=cinnabar-key", "secret": secret });
    let body = json!({ "mode": "async", "items": [{ "id": "cinnabar-id", "text": content }], "webhook": webhook });
    let http = client();
    let accepted = http.post(format!("{}/v1/classify", service.url)).json(&body).send().unwrap();
    assert_eq!(accepted.status(), 202);
    let dead = format!("{}/v1/webhooks/deliveries?state=dead", service.url);
    while http.get(&dead).send().unwrap().text().unwrap().matches("dlv_").count() < 2 {}
}

/// A body that a route takes, full of marked words; for other routes one that they refuse.
fn body(path: &str, version: &Value) -> Value {
    let [content, policy, ..] = SECRETS;
    let messages =
        json!([{ "role": "system", "content": policy }, { "role": "user", "content": content }]);
    match path {
        "/v1/classify" => {
            json!({ "items": [content], "policies": ["mine", { "text": policy }, content] })
        }
        "/v1/moderations" => json!({ "input": content }),
        "/v1/chat/completions" => json!({ "model": "safeguard", "messages": messages }),
        "/v1/decisions/{id}/reviews" => json!({
            "finding": "appeal", "reason": content, "reviewer": "cinnabar-reviewer",
        }),
        "/v1/policies/{name}/activate" | "/v1/policies/{name}/shadow" => {
            json!({ "version": version })
        }
        "/v1/policies/{name}/rollback" => json!({}),
        _ => json!({ "input": content, "messages": messages, content: content }),
    }
}

#[test]
fn no_route_of_the_description_tells_the_log_what_it_was_sent() {
    let folder = tempfile::tempdir().unwrap();
    let (_, secret) = key(folder.path(), &["--scope", "admin", "--scope", "metrics"]);
    let service = Service::start(folder.path(), &["--log", "json", "--keep-content"]);
    let http = client();
    let ask = |method: &str, path: &str, key: &str| {
        let method = reqwest::Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
        http.request(method, format!("{}{path}", service.url)).bearer_auth(key)
    };
    let text = |request: reqwest::blocking::RequestBuilder| request.send().unwrap().text().unwrap();
    let markdown = |request: reqwest::blocking::RequestBuilder| {
        let text = "No cinnabar-policy is sold here.";
        request.header("content-type", "text/markdown").body(text)
    };
    let stored = text(markdown(ask("put", "/v1/policies/mine", &secret)));
    let version = serde_json::from_str::<Value>(&stored).unwrap()["id"].clone();
    let choice = json!({ "version": version });
    text(ask("post", "/v1/policies/mine/activate", &secret).json(&choice));
    let items = body("/v1/classify", &version);
    let decided = text(ask("post", "/v1/classify", &secret).json(&items));
    let decided: Value = serde_json::from_str(&decided).unwrap();
    let id = decided["results"][0]["decision"].as_str().unwrap();
    let description: Value =
        serde_json::from_str(&text(ask("get", "/openapi.json", &secret))).unwrap();
    let mut n_sent = 4;
    for (path, item) in description["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            for (name, of, key) in [
                ("mine", id, &*secret),
                ("cinnabar-id", "cinnabar-id", &secret),
                ("mine", id, "sg_cinnabar-key"),
            ] {
                let filled = path.replace("{name}", name).replace("{id}", of);
                let filled = filled.replace('{', "cinnabar-id").replace('}', "");
                let query = if name == "mine" { "" } else { "?cinnabar-query=cinnabar-query" };
                let request = ask(method, &format!("{filled}{query}"), key);
                let request = match &**method {
                    "put" => markdown(request),
                    "post" => request.json(&body(path, &version)),
                    _ => request,
                };
                text(request);
                n_sent += 1;
            }
        }
    }
    let (ended_well, log) = service.stop();
    assert!(ended_well, "{log}");
    assert!(!log.contains("cinnabar"), "{log}");
    assert!(!log.contains("sg_") && !log.contains(&secret[secret.len() - 64..]), "{log}");
    let noted = log.lines().filter(|line| line.contains("\"message\":\"request\"")).count();
    assert_eq!(noted, n_sent, "each request has its line: {log}");
}
