//! Everything that continuous integration runs, in the order in which it fails fastest.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// One step: its name, and the arguments that follow `cargo`.
const STEPS: &[(&str, &[&str])] = &[
    ("format", &["fmt", "--all", "--check"]),
    ("lints", &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]),
    ("tests", &["test", "--workspace", "--features", "cli/otel", "--locked"]),
    ("api docs", &["doc", "--workspace", "--no-deps", "--locked"]),
];

pub(crate) fn run(root: &Path) -> Result<()> {
    step("tidy", || crate::tidy::run(root))?;
    for (name, arguments) in STEPS {
        step(name, || cargo(root, arguments))?;
    }
    step("book", || crate::docs::check(root))?;
    step("readme", || crate::readme::check(root))
}

fn step(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    eprintln!("== {name}");
    let started = Instant::now();
    work().with_context(|| format!("step `{name}`"))?;
    eprintln!("== {name}: done in {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}

fn cargo(root: &Path, arguments: &[&str]) -> Result<()> {
    let status = Command::new("cargo")
        .args(arguments)
        .env("RUSTDOCFLAGS", "-D warnings")
        .current_dir(root)
        .status()
        .context("cargo does not start")?;
    if !status.success() {
        bail!("cargo {} failed", arguments.join(" "));
    }
    Ok(())
}
