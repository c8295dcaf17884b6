//! The remote judge against a server on this machine that answers as others do. A new case is a new file in
//! `cases/`; `case.rs` says what a file may hold.

#![expect(clippy::unwrap_used, reason = "what a test's own server and files do must work")]

mod any_reply;
mod called_off;
mod case;
mod connect;
mod live;
mod server;

use std::path::{Path, PathBuf};
use std::time::Duration;

use policy::Policy;
use reasoner::remote::{Patience, RemoteSettings};

/// No message may hold it.
const KEY: &str = "sk-a-secret-key";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/remote")
}

fn policy() -> Policy {
    let bytes = std::fs::read(folder().join("policy.md")).unwrap();
    Policy::parse("accounts", &bytes).unwrap()
}

/// As in use, but without long pauses.
fn settings() -> RemoteSettings {
    RemoteSettings {
        api_key: Some(KEY.to_owned()),
        patience: Patience { attempts: 3, first_pause: Duration::from_millis(1) },
        ..RemoteSettings::default()
    }
}

#[test]
fn every_case_ends_as_its_file_says() {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder().join("cases"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() > 50, "the cases are found");
    for file in files {
        case::check(&file);
    }
}
