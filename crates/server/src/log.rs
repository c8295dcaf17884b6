//! The log: one line an event on stderr, for people or as JSON. Content, policies and keys never get there:
//! events carry counts, names of routes and policies, statuses and times.

use std::io::IsTerminal;

use tracing::Level;
use tracing_subscriber::fmt;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts the log of this program. Where another log was started before, that one stays.
pub fn start_log(format: LogFormat) {
    // Lower levels would have the HTTP crates write headers and frames, which hold keys and content.
    let lines = fmt().with_max_level(Level::INFO).with_target(false).with_writer(std::io::stderr);
    let lines = lines.with_ansi(std::io::stderr().is_terminal());
    // The only failure is a log that was started before.
    let _ = match format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
}
