//! The real program, as tests of every command run it.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// `safeguard ARGS` in a folder, with nothing on standard input and nothing from the tester's own settings.
pub(crate) fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.current_dir(folder).args(args).stdin(Stdio::null());
    for variable in ["NO_COLOR", "CLICOLOR_FORCE", "COLUMNS", "SAFEGUARD_ISA", "SAFEGUARD_CACHE"] {
        command.env_remove(variable);
    }
    command
}

/// The program of this build, or the one that `SAFEGUARD_TEST_PROGRAM` names: a release, to measure it.
pub(crate) fn program() -> OsString {
    let named = std::env::var_os("SAFEGUARD_TEST_PROGRAM");
    named.unwrap_or_else(|| env!("CARGO_BIN_EXE_safeguard").into())
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
