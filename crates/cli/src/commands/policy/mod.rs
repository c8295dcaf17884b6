//! `safeguard policy`: policies as code.

mod diff;
mod junit;
mod lint;
mod minimise;
mod new;
mod show;
mod test;

use anyhow::Result;
use clap::Subcommand;

use crate::exit::Exit;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    New(new::Args),
    Lint(lint::Args),
    Show(show::Args),
    Test(test::Args),
    Diff(diff::Args),
    Minimise(minimise::Args),
}

impl Command {
    /// Runs the chosen subcommand.
    pub(crate) fn run(&self) -> Result<Exit> {
        match self {
            Command::New(args) => new::run(args),
            Command::Lint(args) => lint::run(args),
            Command::Show(args) => show::run(args),
            Command::Test(args) => test::run(args),
            Command::Diff(args) => diff::run(args),
            Command::Minimise(args) => minimise::run(args),
        }
    }
}
