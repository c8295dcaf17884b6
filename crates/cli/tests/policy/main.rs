//! `safeguard policy …` as people run it: the real program on real files.

mod diff;
mod lint;
mod minimise;
mod new;
mod show;
mod test;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// Runs `safeguard policy` in a folder, with nothing on standard input.
fn run(folder: &Path, args: &[&str]) -> Output {
    command(folder, args).output().expect("the program runs")
}

/// The same for a subcommand that judges: repeatable, quick, with verdicts remembered in the folder's `cache`.
fn run_judge(folder: &Path, args: &[&str]) -> Output {
    command(folder, args)
        .args(["--seed", "1", "--max-analysis-tokens", "48"])
        .env("SAFEGUARD_CACHE", "cache")
        .env_remove("SAFEGUARD_ISA")
        .output()
        .expect("the program runs")
}

fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_safeguard"));
    command
        .current_dir(folder)
        .arg("policy")
        .args(args)
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR_FORCE")
        .env_remove("COLUMNS")
        .stdin(Stdio::null());
    command
}

/// The one JSON value that a command printed.
fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}{}", stdout(output), stderr(output)))
}

/// Puts a policy with a golden set beside it into a folder.
fn write_suite(folder: &Path, policy: &str, golden: &str) {
    fs::create_dir_all(folder).expect("a folder");
    fs::write(folder.join("policy.md"), policy).expect("written");
    fs::write(folder.join("golden.jsonl"), golden).expect("written");
}

/// How many verdicts a folder's `cache` holds.
fn n_remembered(folder: &Path) -> usize {
    let files = |dir: PathBuf| {
        fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("an entry").path())
    };
    files(folder.join("cache")).map(|folder| files(folder).count()).sum()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The folder with `faulty/`.
fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/policy")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
