//! What people read: errors, hints and notes on stderr. Results go to stdout, from the commands.
//!
//! Colours come and go with the terminal (`anstream` strips them from pipes and honours `NO_COLOR`).

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;

/// How a command writes its result to stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}

const ERROR: Style = AnsiColor::Red.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();
const NOTE: Style = AnsiColor::Yellow.on_default().bold();

/// An error with advice: printed as the error, then a `hint:` line.
#[derive(Debug, thiserror::Error)]
#[error("{error:#}")]
pub(crate) struct Hinted {
    error: anyhow::Error,
    hint: String,
}

/// Adds a `hint:` line to an error on its way to the terminal.
pub(crate) fn hinted(error: impl Into<anyhow::Error>, hint: impl Into<String>) -> anyhow::Error {
    Hinted { error: error.into(), hint: hint.into() }.into()
}

/// Writes an error, its causes, and its hint if it has one, to stderr.
pub(crate) fn report_error(error: &anyhow::Error) {
    anstream::eprintln!("{ERROR}error:{ERROR:#} {error:#}");
    if let Some(Hinted { hint, .. }) = error.downcast_ref() {
        report_hint(hint);
    }
}

/// Writes what to do next to stderr.
pub(crate) fn report_hint(hint: &str) {
    anstream::eprintln!("{HINT}hint:{HINT:#} {hint}");
}

/// Writes something worth knowing to stderr.
pub(crate) fn report_note(note: &str) {
    anstream::eprintln!("{NOTE}note:{NOTE:#} {note}");
}

/// One line of at most `n_shown` characters. Content is a guest: it does not get to move the cursor, so
/// control characters are made visible.
pub(crate) fn shortened(text: &str, n_shown: usize) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut shown: String = line.chars().take(n_shown).flat_map(visible).collect();
    if line.chars().count() > n_shown {
        shown.push('…');
    }
    shown
}

fn visible(letter: char) -> Vec<char> {
    if letter.is_control() { letter.escape_default().collect() } else { vec![letter] }
}
