//! Other people's own clients, with nothing changed but an address.

use std::path::Path;
use std::process::Command;

use crate::Service;

/// Runs a script against a service; its last line must be `ok`.
fn run(mut command: Command, script: &str) {
    let folder = tempfile::tempdir().unwrap();
    let settings = "[serve.perspective.attributes]\nSPAM = [\"ads\"]\n";
    std::fs::write(folder.path().join("safeguard.toml"), settings).unwrap();
    let service = Service::start(folder.path(), &[]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/serve").join(script);
    command.arg(script).env("OPENAI_BASE_URL", format!("{}/v1", service.url));
    let output = command.env("OPENAI_API_KEY", "any").output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let wrong = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && told.trim_end().ends_with("ok"), "{told}{wrong}");
}

/// Whether a program runs to a good end.
fn works(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// A Python that has a package, or a loud word that there is none.
pub(crate) fn python_with(package: &str) -> Option<String> {
    let python = std::env::var("SAFEGUARD_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let has_it = works(Command::new(&python).args(["-c", &format!("import {package}")]));
    if !has_it {
        eprintln!(
            "SKIPPED: {python} has no {package}; SAFEGUARD_TEST_PYTHON names a Python that has it"
        );
    }
    has_it.then_some(python)
}

#[test]
fn python() {
    if let Some(python) = python_with("openai") {
        run(Command::new(python), "client.py");
    }
}

#[test]
fn google() {
    if let Some(python) = python_with("googleapiclient") {
        run(Command::new(python), "perspective.py");
    }
}

#[test]
fn python_batches() {
    let Some(python) = python_with("openai") else { return };
    run(Command::new(python), "batches.py");
}

/// `SAFEGUARD_TEST_NODE` names a folder whose `node_modules` has the package.
#[test]
fn node() {
    let folder = std::env::var("SAFEGUARD_TEST_NODE").unwrap_or_default();
    let package = Path::new(&folder).join("node_modules/openai/index.mjs");
    if !package.is_file() || !works(Command::new("node").arg("--version")) {
        eprintln!(
            "SKIPPED: no node, or SAFEGUARD_TEST_NODE names no folder with node_modules/openai"
        );
        return;
    }
    let mut command = Command::new("node");
    command.env("OPENAI_PACKAGE", package);
    run(command, "client.mjs");
}
