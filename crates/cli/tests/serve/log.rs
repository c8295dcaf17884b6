//! The log of a full run: what it tells, and what it never does.

use serde_json::{Value, json};

use crate::{Service, client};

const SECRETS: [&str; 4] = ["cinnabar-content", "cinnabar-policy", "cinnabar-key", "cinnabar-id"];

#[test]
fn content_policies_and_keys_never_reach_the_log() {
    let [content, policy, key, id] = SECRETS;
    let folder = tempfile::tempdir().unwrap();
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
    let (ended_well, log) = service.stop();
    assert!(ended_well);
    assert!(!log.contains("cinnabar"), "{log}");
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let noted: Vec<Value> = lines.filter(|line| line["message"] == "request").collect();
    assert_eq!(noted.len(), 8, "each request has its line: {log}");
    assert_eq!(noted[7]["route"], "unmatched");
}
