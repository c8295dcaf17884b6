//! Why settings cannot hold.

use std::path::{Path, PathBuf};

/// Why settings cannot hold.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// Not the TOML of settings.
    #[error("{}:{line}:{column}: {problem}", file.display())]
    Toml {
        /// The file.
        file: PathBuf,
        /// Where, from 1.
        line: usize,
        /// Where in the line, from 1, in characters.
        column: usize,
        /// Why. The line itself is not repeated, for a password may be in it.
        problem: String,
    },
    /// A value out of its range.
    #[error("serve.{setting} is {found}; it must be {expected}")]
    Value {
        /// Its name.
        setting: &'static str,
        /// What it is.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A category that `/v1/moderations` does not have.
    #[error("serve.moderations.map: {category} is none of the 13 stock categories")]
    Category {
        /// The name.
        category: String,
    },
}

impl SettingsError {
    /// Where and why, without the text at fault.
    pub(super) fn unreadable(file: &Path, text: &str, error: &toml::de::Error) -> SettingsError {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        let message = error.message();
        // A message may quote the value it is about.
        let is_safe = !message.contains("://");
        SettingsError::Toml {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
            problem: if is_safe { message } else { "no such value is taken here" }.to_owned(),
        }
    }
}
