//! The house's own chores: `cargo xtask ci | tidy | docs | plots FOLDER`.
//!
//! `ci` is everything that continuous integration runs, `tidy` checks the floors and the shape of
//! the house, `docs` writes the generated pages and, where mdBook is installed, builds the book,
//! `plots` draws the book's pictures of speed from measured runs.

mod ci;
mod docs;
mod plots;
mod readme;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<()> {
    match arguments {
        ["ci"] => ci::run(&root()),
        ["tidy"] => tidy::run(&root()),
        ["docs"] => docs::write(&root()),
        ["plots", folder] => plots::run(&root(), Path::new(folder)),
        _ => bail!("usage: cargo xtask ci | tidy | docs | plots FOLDER"),
    }
}

/// The workspace's root folder.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("xtask lies in the workspace").to_path_buf()
}
