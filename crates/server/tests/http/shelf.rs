//! Policies follow their folder while the service runs.

use std::fs;

use serde_json::Value;
use server::PolicySource;

use crate::running::{ADS, Running, builtin, settings};

#[test]
fn an_edit_comes_into_service_and_a_broken_one_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ads.md");
    fs::write(&file, ADS).unwrap();
    let source = PolicySource::Folder(dir.path().to_owned());
    let service = Running::start(settings(), builtin(), source);
    let ready = || -> Value { serde_json::from_str(&service.read("/readyz")).unwrap() };
    let first = ready()["policies"][0]["id"].clone();
    fs::write(&file, ADS.replace("advertising", "advertisements")).unwrap();
    while ready()["policies"][0]["id"] == first {
        std::thread::yield_now();
    }
    let second = ready()["policies"][0]["id"].clone();
    fs::write(&file, "## SAFE\n- AD0.a all\n").unwrap();
    let broken = loop {
        let ready = ready();
        if ready["faults"][0].is_object() {
            break ready;
        }
    };
    assert_eq!(broken["policies"][0]["id"], second, "the last good version goes on");
    assert_eq!(broken["faults"][0]["is_served"], true);
    assert_eq!(broken["status"], "ready");
    while !service.read("/metrics").contains("safeguard_policy_faults 1") {
        std::thread::yield_now();
    }
}
