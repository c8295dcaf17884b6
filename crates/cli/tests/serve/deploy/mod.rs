//! The folder `deploy/` and the page "Run it in production": what can be run without systemd and Docker is run.

mod alerts;
mod compose;
mod image;
mod reader;
mod unit;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::clients::python_with;

/// The repository.
fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A file of `deploy/`.
fn read(name: &str) -> String {
    std::fs::read_to_string(repository().join("deploy").join(name)).unwrap()
}

/// A file of `deploy/` in YAML; `None`, which is said, where no Python reads YAML.
fn read_yaml(name: &str) -> Option<Value> {
    let script = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    let mut python = Command::new(python_with("yaml")?);
    let output = python.args(["-c", script]).arg(repository().join("deploy").join(name)).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// Seconds that the settings of `deploy/` give requests under way.
fn shutdown_s() -> f64 {
    let settings: toml::Table = read("safeguard.toml").parse().unwrap();
    settings["serve"]["limits"]["shutdown_s"].as_float().unwrap()
}
