//! The house's own chores: `cargo xtask ci | tidy | docs`.
//!
//! `ci` is everything that continuous integration runs, `tidy` checks the floors and the shape of
//! the house, `docs` writes the generated pages and, where mdBook is installed, builds the book.

mod ci;
mod docs;
mod readme;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};

fn main() -> ExitCode {
    match run(std::env::args().nth(1).as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(chore: Option<&str>) -> Result<()> {
    match chore {
        Some("ci") => ci::run(&root()),
        Some("tidy") => tidy::run(&root()),
        Some("docs") => docs::write(&root()),
        _ => bail!("usage: cargo xtask ci | tidy | docs"),
    }
}

/// The workspace's root folder.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("xtask lies in the workspace").to_path_buf()
}
