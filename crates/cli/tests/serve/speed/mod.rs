//! How fast the service answers, and what it costs beside the same work in one process.
//!
//! `SAFEGUARD_TEST_PROGRAM=RELEASE cargo test -p cli --test serve -- --ignored speed --nocapture` prints the tables of
//! the page "Run it in production". It takes less than five minutes and wants the machine for itself; clients and
//! service share its cores.

mod connection;
mod guarded;
mod rates;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;

use crate::filter::{prove, quiet};
use crate::{Service, client};
use rates::{Rate, Route, Texts, batch_rate, rate};

/// Items of a request that has many.
const MANY: usize = 32;
/// Requests at once.
const BUSY: usize = 8;

const ROUTES: [Route; 7] = [
    Route {
        name: "`/v1/classify`",
        path: "/v1/classify",
        n_items: 1,
        body: |items| json!({ "items": items, "policies": ["ads"] }),
    },
    Route {
        name: "`/v1/classify`, 32 items",
        path: "/v1/classify",
        n_items: MANY,
        body: |items| json!({ "items": items, "policies": ["ads"] }),
    },
    Route {
        name: "`/v1/moderations`",
        path: "/v1/moderations",
        n_items: 1,
        body: |items| json!({ "input": items }),
    },
    Route {
        name: "`/v1/chat/completions`, the judge",
        path: "/v1/chat/completions",
        n_items: 1,
        body: |items| json!({ "model": "safeguard/ads", "messages": [{ "role": "user", "content": items[0] }] }),
    },
    Route {
        name: "`/v1/responses`, the judge",
        path: "/v1/responses",
        n_items: 1,
        body: |items| json!({ "model": "safeguard/ads", "input": items[0] }),
    },
    Route {
        name: "`/predict`",
        path: "/predict",
        n_items: 1,
        body: |items| json!({ "inputs": items[0] }),
    },
    Route {
        name: "Perspective",
        path: "/v1alpha1/comments:analyze",
        n_items: 1,
        body: |items| json!({ "comment": { "text": items[0] }, "requestedAttributes": { "AD": {} } }),
    },
];

/// Who judges.
#[derive(Clone, Copy)]
struct Judge {
    name: &'static str,
    text: fn(usize) -> String,
    args: &'static [&'static str],
    /// The stage that must have decided.
    stage: &'static str,
}

const JUDGES: [Judge; 2] = [
    Judge {
        name: "the filter alone",
        text: quiet,
        args: &["--cascade", "cascade.toml"],
        stage: "filter",
    },
    Judge {
        name: "the built-in reasoner",
        text: |number| format!("Buy now! Offer {number} ends today."),
        args: &[],
        stage: "reasoner",
    },
];

#[test]
#[ignore = "measures: takes minutes, and wants the machine for itself"]
fn speed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let attributes = "[serve.perspective.attributes]\nAD = [\"ads\"]\n";
    std::fs::write(folder.join("safeguard.toml"), attributes).unwrap();
    std::fs::create_dir(folder.join("policies")).unwrap();
    std::fs::write(folder.join("policies/ads.md"), crate::POLICY).unwrap();
    prove(folder, "policies/ads.md", "ads.filter");
    // So rare that no item of the filter is audited.
    let cascade = "[[filter]]\nfile = \"ads.filter\"\naudit_rate = 1e-9\n";
    std::fs::write(folder.join("cascade.toml"), cascade).unwrap();
    let n_cores = std::thread::available_parallelism().unwrap();
    println!("{n_cores} cores, shared by the service and its clients");
    for judge in JUDGES {
        routes(folder, &judge);
    }
    guarded::measure(folder);
}

/// All routes without a store, beside `batch`, which has none either; then what the store costs.
fn routes(folder: &Path, judge: &Judge) {
    let texts = Texts::new(judge.text);
    let [alone, busy, many] =
        [1, BUSY, MANY].map(|n_at_once| batch_rate(folder, &texts, judge.args, n_at_once));
    println!(
        "\n{}: `batch` judges {alone:.0}, {busy:.0} and {many:.0} items a second with 1, {BUSY} and {MANY} at once",
        judge.name
    );
    println!(
        "\n| route | alone: p50, ms | p99, ms | of `batch` | {BUSY} at once: requests/s | p50, ms | p99, ms | of `batch` |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for (store, routes) in [("none", &ROUTES[..]), ("sqlite:speed.db", &ROUTES[..3])] {
        let args = [judge.args, &["--store", store]].concat();
        let service = Service::start_to(folder, &args, Stdio::null());
        for route in routes {
            let one = rate(&service.url, route, &texts, 1);
            let eight = rate(&service.url, route, &texts, BUSY);
            let (in_one, in_eight) = if route.n_items == 1 { (alone, busy) } else { (many, many) };
            let of = |rate: &Rate, batch: f64| rate.requests_s * route.n_items as f64 / batch;
            let recorded = if store == "none" { "" } else { ", recorded" };
            println!(
                "| {}{recorded} | {} | {} | {:.2} | {:.0} | {} | {} | {:.2} |",
                route.name,
                ms(one.p50),
                ms(one.p99),
                of(&one, in_one),
                eight.requests_s,
                ms(eight.p50),
                ms(eight.p99),
                of(&eight, in_eight),
            );
        }
        check_stage(&service, judge);
        let (ended_well, _) = service.stop();
        assert!(ended_well);
    }
}

fn ms(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1e3)
}

/// Nearly all verdicts came from where they should.
fn check_stage(service: &Service, judge: &Judge) {
    let metrics = client().get(format!("{}/metrics", service.url)).send().unwrap().text().unwrap();
    let count = |wanted: &str| -> f64 {
        let lines = metrics.lines().filter(|it| it.starts_with("safeguard_verdicts_total{"));
        let lines = lines.filter(|it| it.contains(wanted));
        lines.map(|it| it.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    };
    let (all, decided) = (count(""), count(&format!("stage=\"{}\"", judge.stage)));
    assert!(decided > 0.99 * all, "{}: {decided} of {all}: {metrics}", judge.name);
}
