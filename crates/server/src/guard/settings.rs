//! Which chat model is guarded, and how: the table `[serve.guard]`.

use serde::Deserialize;

use crate::settings::{MAX_SECONDS, SettingsError};

/// The guard before another chat model.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardSettings {
    /// The model's server, with or without `/v1`. Its key comes from `SAFEGUARD_UPSTREAM_KEY`; without that, the
    /// caller's own goes on to it.
    pub upstream: String,
    /// Policies that judge, as in a request's `policies`; empty: all of the folder.
    #[serde(default)]
    pub policies: Vec<String>,
    /// What a violation leads to. A request may be stricter with its `moderation` field, never laxer.
    #[serde(default)]
    pub mode: GuardMode,
    /// How a reply in pieces is let through.
    #[serde(default)]
    pub output: OutputMode,
    /// The characters that `output` speaks of.
    #[serde(default = "usual_window")]
    pub window_chars: usize,
    /// What becomes of a message or reply that could not be judged.
    #[serde(default)]
    pub on_undetermined: WithoutVerdict,
    /// Seconds that one check may take.
    #[serde(default = "usual_check")]
    pub check_s: f64,
}

impl GuardSettings {
    /// Whether the values can hold.
    ///
    /// # Errors
    /// [`SettingsError::Value`] for times and windows that are none.
    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        let is_time = self.check_s > 0.0 && self.check_s <= MAX_SECONDS;
        if is_time && self.window_chars < 1 << 24 {
            return Ok(());
        }
        let found = format!("{} and {}", self.check_s, self.window_chars);
        let setting = "guard.check_s and guard.window_chars";
        let expected = "at most a day and 16 million characters";
        Err(SettingsError::Value { setting, found, expected })
    }
}

/// What a violation leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GuardMode {
    /// It is told, and the text goes on.
    Score,
    /// The text does not go on.
    #[default]
    Block,
}

/// How a reply in pieces is let through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputMode {
    /// Nothing leaves before all of it was judged.
    Hold,
    /// A character leaves once a check has seen it and `window_chars` more, or the end, and found nothing.
    #[default]
    Window,
    /// Characters leave at once, at most `window_chars` beyond the last check that found nothing; on a violation
    /// the reader is told to take them back.
    Live,
}

/// What becomes of text without a verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WithoutVerdict {
    /// It is blocked.
    #[default]
    Block,
    /// It goes on, and counts as bypassed.
    Allow,
}

fn usual_window() -> usize {
    400
}

fn usual_check() -> f64 {
    30.0
}
