//! Suites that the built-in model judges: a folder with a policy, its golden set, and a cache of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use crate::program::{command, stderr, stdout};

/// Runs a subcommand that judges in a folder: repeatable, quick, with verdicts remembered in the folder's `cache`.
pub(crate) fn run_judge(folder: &Path, args: &[&str]) -> Output {
    let cap: &[&str] =
        if args.contains(&"--direct") { &[] } else { &["--max-analysis-tokens", "48"] };
    command(folder, args)
        .args(["--seed", "1"])
        .args(cap)
        .env("SAFEGUARD_CACHE", "cache")
        .output()
        .expect("the program runs")
}

/// Puts a policy with a golden set beside it into a folder.
pub(crate) fn write_suite(folder: &Path, policy: &str, golden: &str) {
    fs::create_dir_all(folder).expect("a folder");
    fs::write(folder.join("policy.md"), policy).expect("written");
    fs::write(folder.join("golden.jsonl"), golden).expect("written");
}

/// The one JSON value that a command printed.
pub(crate) fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}{}", stdout(output), stderr(output)))
}

/// How many verdicts a folder's `cache` holds.
pub(crate) fn n_remembered(folder: &Path) -> usize {
    let files = |dir: PathBuf| {
        fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("an entry").path())
    };
    files(folder.join("cache")).map(|folder| files(folder).count()).sum()
}
