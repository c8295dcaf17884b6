//! The subcommands, one file each: flags as a struct, `run` as the work.

mod audit;
mod batch;
mod bench;
mod classify;
mod days;
mod eval;
mod files;
mod filter;
mod judging;
mod key;
mod labelled;
mod model;
mod policy;
mod review;
mod secret;
mod serve;
mod storing;
mod tokenizer;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::exit::Exit;

/// Bring-your-own-policy safety classification.
#[derive(Debug, Parser)]
#[command(name = "safeguard", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Classify(classify::Args),
    Batch(batch::Args),
    Eval(Box<eval::Args>),
    /// Policies as code: write, check, show, test, compare and shorten them
    #[command(subcommand)]
    Policy(policy::Command),
    /// The small classifiers before the reasoner: train them, prove their recall, look into them
    #[command(subcommand)]
    Filter(filter::Command),
    /// The decisions of a store: verify their chain, export, replay and erase them
    #[command(subcommand)]
    Audit(audit::Command),
    /// Weights and tokens: list, download, describe and check models
    #[command(subcommand)]
    Model(model::Command),
    Bench(bench::Args),
    Serve(Box<serve::Args>),
    /// Who may call a service: make, list and revoke keys
    #[command(subcommand)]
    Key(key::Command),
    /// What people say of decisions: see what waits, confirm, overturn
    #[command(subcommand)]
    Review(review::Command),
}

impl Cli {
    /// Runs the chosen subcommand.
    pub(crate) fn run(self) -> Result<Exit> {
        match self.command {
            Command::Classify(args) => classify::run(&args),
            Command::Batch(args) => batch::run(&args),
            Command::Eval(args) => eval::run(&args),
            Command::Policy(command) => command.run(),
            Command::Filter(command) => command.run(),
            Command::Audit(command) => command.run(),
            Command::Model(command) => command.run(),
            Command::Bench(args) => bench::run(&args),
            Command::Serve(args) => serve::run(&args),
            Command::Key(command) => command.run(),
            Command::Review(command) => command.run(),
        }
    }
}
