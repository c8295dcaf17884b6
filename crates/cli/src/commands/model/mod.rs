//! `safeguard model …`: everything about weights and tokens that needs no policy.
//!
//! One file per subcommand, each with `pub(crate) struct Args` (clap) and
//! `pub(crate) fn run(args: Args) -> anyhow::Result<Exit>`; add it here as a variant.

mod check;
mod info;
mod list;
mod pull;
mod tokens;

use anyhow::Result;
use clap::Subcommand;

use crate::exit::Exit;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Check(check::Args),
    Info(info::Args),
    List(list::Args),
    Pull(pull::Args),
    Tokens(tokens::Args),
}

impl Command {
    pub(crate) fn run(self) -> Result<Exit> {
        match self {
            Command::Check(args) => check::run(&args),
            Command::Info(args) => info::run(&args),
            Command::List(args) => list::run(&args),
            Command::Pull(args) => pull::run(&args),
            Command::Tokens(args) => tokens::run(&args),
        }
    }
}
