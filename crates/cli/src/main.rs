//! The `safeguard` command line: reads flags, calls one command, turns its end into an exit code.
//!
//! It knows every lower floor and holds no judgement of its own. One file per subcommand lives in
//! `commands/`; what people read goes through `output`, what shells read through `exit`.

mod commands;
mod exit;
mod hub;
mod output;

use std::process::ExitCode;

use clap::Parser;

use crate::commands::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.run() {
        Ok(exit) => exit.into(),
        Err(error) => {
            output::report_error(&error);
            exit::Exit::CouldNot.into()
        }
    }
}
