//! `safeguard policy`: policies as code.

mod diff;
mod junit;
mod minimise;
mod test;

use anyhow::Result;
use clap::Subcommand;

use crate::exit::Exit;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Test(test::Args),
    Diff(diff::Args),
    Minimise(minimise::Args),
}

impl Command {
    /// Runs the chosen subcommand.
    pub(crate) fn run(&self) -> Result<Exit> {
        match self {
            Command::Test(args) => test::run(args),
            Command::Diff(args) => diff::run(args),
            Command::Minimise(args) => minimise::run(args),
        }
    }
}
