//! `safeguard key`: who may call a service.

mod create;
mod list;
mod revoke;

use anyhow::Result;
use clap::Subcommand;

use crate::exit::Exit;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Create(create::Args),
    List(list::Args),
    Revoke(revoke::Args),
}

impl Command {
    /// Runs the chosen subcommand.
    pub(crate) fn run(&self) -> Result<Exit> {
        match self {
            Command::Create(args) => create::run(args),
            Command::List(args) => list::run(args),
            Command::Revoke(args) => revoke::run(args),
        }
    }
}
