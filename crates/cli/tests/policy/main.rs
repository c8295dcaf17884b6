//! `safeguard policy …` as people run it: the real program on real files.

mod diff;
mod lint;
mod minimise;
mod new;
#[path = "../program/mod.rs"]
mod program;
mod show;
#[path = "../program/suite.rs"]
mod suite;
mod test;

use std::path::{Path, PathBuf};
use std::process::Output;

use program::{command, stderr, stdout};
use suite::{json, n_remembered, write_suite};

/// Runs `safeguard policy` in a folder.
fn run(folder: &Path, args: &[&str]) -> Output {
    command(folder, &[&["policy"], args].concat()).output().expect("the program runs")
}

/// The same for a subcommand that judges.
fn run_judge(folder: &Path, args: &[&str]) -> Output {
    suite::run_judge(folder, &[&["policy"], args].concat())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The folder with `faulty/`.
fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/policy")
}
