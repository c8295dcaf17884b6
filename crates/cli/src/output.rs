//! What people read: errors, hints and notes on stderr. Results go to stdout, from the commands.
//!
//! Colours come and go with the terminal (`anstream` strips them from pipes and honours `NO_COLOR`).

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use anyhow::Result;
use clap::ValueEnum;
use comfy_table::{CellAlignment, Table};

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

/// All values; or the last error, after the others were written to stderr.
pub(crate) fn all_or_errors<T>(results: impl IntoIterator<Item = Result<T>>) -> Result<Vec<T>> {
    let mut values = Vec::new();
    let mut last = None;
    for result in results {
        match result {
            Ok(value) => values.push(value),
            Err(error) => {
                if let Some(earlier) = last.replace(error) {
                    report_error(&earlier);
                }
            }
        }
    }
    last.map_or(Ok(values), Err)
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

/// Text of others, whole and safe to show: line ends and tabs are spaces, what else a terminal would obey is
/// made visible.
pub(crate) fn shown(text: &str) -> String {
    text.chars().flat_map(visible).collect()
}

fn visible(letter: char) -> Vec<char> {
    match letter {
        '\n' | '\r' => vec![' '],
        '\t' => vec![' '; 4],
        letter if is_hidden(letter) => letter.escape_unicode().collect(),
        letter => vec![letter],
    }
}

/// Characters that move the cursor, change the direction of text, or cannot be seen.
fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// Sets all columns but the first `n_words` flush right, as numbers are read.
pub(crate) fn align_numbers(table: &mut Table, n_words: usize) {
    for column in table.column_iter_mut().skip(n_words) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

/// Writes a result to stdout. A reader who has seen enough, as `head` has, is no error.
pub(crate) fn print_result(text: &str) -> Result<()> {
    let mut out = anstream::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

/// Whether an error says that the reader of stdout has gone.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let source = error.downcast_ref::<io::Error>();
    source.is_some_and(|source| source.kind() == io::ErrorKind::BrokenPipe)
}
