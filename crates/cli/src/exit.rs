//! Exit codes: the one place that knows their numbers.

use std::process::ExitCode;

/// How a command ended, for the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// Done, and nothing was found: clear, equal, all tests passed.
    Clear,
    /// Done, and something was found: a violation, a difference, a failed test.
    Found,
    /// Could not be done, or not decided.
    CouldNot,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Clear => 0,
            Exit::Found => 1,
            Exit::CouldNot => 2,
        })
    }
}
