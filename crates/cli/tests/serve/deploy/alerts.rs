//! The rules for Prometheus: whatever they ask for is there in a real answer of `/metrics`.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::{read_yaml, repository};
use crate::receiver::Receiver;
use crate::{Service, client};

/// What a rule asks for: the name of a metric, and a label with the value that it must have.
type Asked = (String, Option<(String, String)>);

/// The selectors of an expression.
fn selectors(expression: &str) -> Vec<Asked> {
    let mut found = Vec::new();
    for (at, _) in expression.match_indices("safeguard_") {
        let rest = &expression[at..];
        let end = rest.find(|it: char| !(it.is_ascii_alphanumeric() || it == '_'));
        let (name, rest) = rest.split_at(end.unwrap_or(rest.len()));
        let labels = rest.strip_prefix('{').and_then(|it| it.split_once('}')).map(|it| it.0);
        // `=~` says less: whether anything matches depends on the traffic.
        let label = labels.and_then(|it| it.split_once("=\"")).filter(|it| !it.0.contains('='));
        let label =
            label.map(|(name, value)| (name.to_owned(), value.trim_end_matches('"').to_owned()));
        found.push((name.to_owned(), label));
    }
    found
}

#[test]
fn selectors_are_found() {
    let label = |name: &str, value: &str| Some((name.to_owned(), value.to_owned()));
    let found = selectors("a(safeguard_x{b=\"c\"}[5m]) > safeguard_y + safeguard_z{d=~\"5..\"}");
    let named = |name: &str, label| (name.to_owned(), label);
    assert_eq!(
        found,
        [
            named("safeguard_x", label("b", "c")),
            named("safeguard_y", None),
            named("safeguard_z", None)
        ]
    );
}

#[test]
fn every_metric_of_the_rules_is_a_real_one() {
    let Some(file) = read_yaml("alerts.yaml") else { return };
    let rules = file["groups"][0]["rules"].as_array().unwrap();
    let page = std::fs::read_to_string(repository().join("docs/src/guide/production.md")).unwrap();
    let mut asked = BTreeSet::new();
    for rule in rules {
        let (name, expression) = (rule["alert"].as_str().unwrap(), rule["expr"].as_str().unwrap());
        assert!(page.contains(&format!("| `{name}` |")), "the page does not tell of {name}");
        assert!(
            rule["labels"]["severity"].is_string() && rule["annotations"]["summary"].is_string()
        );
        asked.extend(selectors(expression));
    }
    assert_eq!(page.matches("| `Safeguard").count(), rules.len());
    assert!(asked.len() > 8, "{asked:?}");
    let metrics = metrics_of_a_service_that_met_everything();
    for (name, label) in asked {
        let fits = |line: &&str| {
            let rest = line.strip_prefix(&*name)?;
            let labels = rest.strip_prefix('{').or(rest.strip_prefix(' '))?;
            let wanted = label.as_ref().map(|(name, value)| match &**name {
                // Any request has one; which it is depends on the traffic.
                "status" => "status=\"".to_owned(),
                _ => format!("{name}=\"{value}\""),
            });
            wanted.is_none_or(|wanted| labels.contains(&wanted)).then_some(())
        };
        assert!(metrics.lines().any(|line| fits(&line).is_some()), "{name} {label:?}: {metrics}");
    }
}

#[test]
fn prometheus_asks_with_the_key_that_the_page_makes() {
    let Some(file) = read_yaml("prometheus.yaml") else { return };
    assert_eq!(file["rule_files"], json!(["alerts.yaml"]));
    let job = &file["scrape_configs"][0];
    assert_eq!(job["job_name"], "safeguard", "as the rules have it");
    let page = std::fs::read_to_string(repository().join("docs/src/guide/production.md")).unwrap();
    let key = job["authorization"]["credentials_file"].as_str().unwrap();
    assert!(page.contains(&format!("> {key}\n")));
}

/// Requests of each kind, one that cannot be decided, one that nobody waits for, jobs and a webhook that is dead.
fn metrics_of_a_service_that_met_everything() -> String {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    with_filter(folder);
    let hook = Receiver::start(|_| "500 Internal Server Error".to_owned());
    let service = Service::start(folder, &["--cascade", "ads.filter"]);
    let ask = |body: &Value| {
        let request = client().post(format!("{}/v1/classify", service.url)).json(body);
        let status = request.send().unwrap().status();
        assert!(status.is_success(), "{status}");
    };
    ask(&json!({ "items": ["Buy now!", "number 7 is my garden 0"], "policies": ["ads"] }));
    ask(
        &json!({ "items": ["number 1: buy now, a cheap offer"], "policies": ["ads"], "deadline_ms": 1, "on_undetermined": "allow" }),
    );
    ask(
        &json!({ "items": ["Buy!"], "policies": ["ads"], "mode": "async", "webhook": { "url": hook.url, "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" } }),
    );
    for _look in 0..1_200 {
        let metrics = client().get(format!("{}/metrics", service.url)).send().unwrap();
        let metrics = metrics.text().unwrap();
        let is_dead = metrics.lines().any(|line| {
            line.strip_prefix("safeguard_deliveries_open{state=\"dead\"} ")
                .is_some_and(|n| n != "0")
        });
        if is_dead {
            return metrics;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("the webhook is not given up");
}

/// A filter for the policy that every service of these tests has.
fn with_filter(folder: &Path) {
    std::fs::create_dir_all(folder.join("policies")).unwrap();
    std::fs::write(folder.join("policies/ads.md"), crate::POLICY).unwrap();
    let settings =
        "[serve.webhooks]\nallow_private = true\nallow_http = true\nfirst_s = 0.01\ntries = 1\n";
    std::fs::write(folder.join("safeguard.toml"), settings).unwrap();
    crate::filter::prove(folder, "policies/ads.md", "ads.filter");
}
