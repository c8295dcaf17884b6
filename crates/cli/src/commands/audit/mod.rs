//! `safeguard audit`: what was decided, whether it is still as it was, and whether it would be again.

mod dsa;
mod erase;
mod export;
mod replay;
mod verify;

use anyhow::Result;
use clap::Subcommand;

use crate::exit::Exit;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Verify(verify::Args),
    Export(export::Args),
    Replay(replay::Args),
    Erase(erase::Args),
}

impl Command {
    /// Runs the chosen subcommand.
    pub(crate) fn run(&self) -> Result<Exit> {
        match self {
            Command::Verify(args) => verify::run(args),
            Command::Export(args) => export::run(args),
            Command::Replay(args) => replay::run(args),
            Command::Erase(args) => erase::run(args),
        }
    }
}
