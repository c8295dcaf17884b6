//! Two services on one PostgreSQL store share its jobs, and what one leaves the other finishes.

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::place::Place;
use crate::{Service, client};

const N_ITEMS: usize = 30;

#[test]
fn services_on_one_store_share_the_work() {
    let runtime = Runtime::new().unwrap();
    let Some(place) = runtime.block_on(Place::postgres()) else { return };
    let folder = place.folder.path();
    std::fs::write(folder.join("safeguard.toml"), "[serve.jobs]\nin_flight = 1\n").unwrap();
    let services = [(); 2].map(|()| Service::start(folder, &["--store", &place.url]));
    let items: Vec<String> = (0..N_ITEMS).map(|n| format!("Buy {n}!")).collect();
    let body = json!({ "mode": "async", "items": items });
    let accepted = client().post(format!("{}/v1/classify", services[0].url)).json(&body).send();
    let job: Value = accepted.unwrap().json().unwrap();
    // The one that did not take the job knows it as well.
    let job = format!("{}/v1/jobs/{}?limit=1000", services[1].url, job["id"].as_str().unwrap());
    let job = loop {
        let job: Value = client().get(&job).send().unwrap().json().unwrap();
        if job["state"] == "finished" {
            break job;
        }
    };
    assert!(job["results"].as_array().unwrap().iter().all(|it| it["state"] == "done"));
    // The last one is counted a moment after it is done.
    let settled = loop {
        let settled = services.each_ref().map(n_settled);
        if settled.iter().sum::<usize>() >= N_ITEMS {
            break settled;
        }
    };
    assert_eq!(settled.iter().sum::<usize>(), N_ITEMS, "{settled:?}");
    assert!(settled.iter().all(|&n| n > 0), "both had a part in it: {settled:?}");
    for service in services {
        let (ended_well, log) = service.stop();
        assert!(ended_well, "{log}");
    }
    runtime.block_on(place.remove());
}

/// Items that a service says it settled.
fn n_settled(service: &Service) -> usize {
    let metrics = client().get(format!("{}/metrics", service.url)).send().unwrap().text().unwrap();
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix("safeguard_job_items_total{result=\"settled\"} "));
    line.map_or(0, |n| n.parse().unwrap())
}
