//! `safeguard review`: what waits for people, and what they say.

mod list;
mod say;
mod show;

use anyhow::Result;
use clap::Subcommand;

use crate::exit::Exit;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    List(list::Args),
    Show(show::Args),
    Confirm(say::Confirm),
    Overturn(say::Overturn),
    Appeal(say::Appeal),
}

impl Command {
    /// Runs the chosen subcommand.
    pub(crate) fn run(&self) -> Result<Exit> {
        match self {
            Command::List(args) => list::run(args),
            Command::Show(args) => show::run(args),
            Command::Confirm(args) => args.run(),
            Command::Overturn(args) => args.run(),
            Command::Appeal(args) => args.run(),
        }
    }
}
