//! `safeguard filter`: the small classifiers that stand before the reasoner.

mod calibrate;
mod encoder;
mod per_rule;
mod probe;
mod promote;
mod run;
mod show;
mod source;
mod train;

use std::fs;
use std::path::Path;

use anyhow::{Result, anyhow};
use cascade::Filter;
use clap::Subcommand;

pub(crate) use encoder::{VectorSource, encoder_of};

use crate::exit::Exit;
use crate::output::hinted;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Train(train::Args),
    Calibrate(calibrate::Args),
    Promote(promote::Args),
    Run(run::Args),
    Show(show::Args),
}

impl Command {
    /// Runs the chosen subcommand.
    pub(crate) fn run(&self) -> Result<Exit> {
        match self {
            Command::Train(args) => train::run(args),
            Command::Calibrate(args) => calibrate::run(args),
            Command::Promote(args) => promote::run(args),
            Command::Run(args) => run::run(args),
            Command::Show(args) => show::run(args),
        }
    }
}

/// Reads a filter's file.
pub(crate) fn read_filter(path: &Path) -> Result<Filter> {
    let bytes = fs::read(path).map_err(|error| {
        let error = anyhow!(error).context(format!("{}: cannot be read", path.display()));
        hinted(error, "`safeguard filter train` makes one")
    })?;
    Filter::from_bytes(&bytes).map_err(|error| {
        let error = anyhow!(error).context(path.display().to_string());
        hinted(error, "a filter is the file that `safeguard filter train --out` wrote, unchanged")
    })
}

/// A share as people read it.
fn share(value: Option<f64>) -> String {
    value.map_or_else(|| "—".to_owned(), |value| format!("{value:.3}"))
}

/// `1 row`, `2 rows`.
fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
