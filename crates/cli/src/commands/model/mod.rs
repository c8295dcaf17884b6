//! `safeguard model …`: everything about weights and tokens that needs no policy.
//!
//! One file per subcommand, each with `pub(crate) struct Args` (clap) and
//! `pub(crate) fn run(args: Args) -> anyhow::Result<Exit>`; add it here as a variant.

mod check;

use anyhow::Result;
use clap::Subcommand;

use crate::exit::Exit;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Check(check::Args),
}

impl Command {
    pub(crate) fn run(self) -> Result<Exit> {
        match self {
            Command::Check(args) => check::run(&args),
        }
    }
}
