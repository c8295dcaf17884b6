//! The log of a full run: what it tells, and what it never does.

use serde_json::{Value, json};

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
