//! The bar that shows how far a download is: on a terminal only, never into a pipe.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::hub::error::HubError;
use crate::output::report_note;

/// How far a download is, for people.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Nothing is shown before [`Progress::start`].
    pub(crate) fn new() -> Progress {
        // indicatif draws on stderr, and only if that is a terminal.
        let bar = ProgressBar::no_length();
        bar.set_style(
            ProgressStyle::with_template(
                "{bar:32} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta} {msg}",
            )
            .expect("the template is a constant"),
        );
        Progress { bar }
    }

    /// `n_bytes` in all, of which `n_here` are on disk already.
    pub(crate) fn start(&self, n_bytes: u64, n_here: u64) {
        self.bar.set_length(n_bytes);
        self.bar.set_position(n_here);
        self.bar.reset_eta();
        self.bar.enable_steady_tick(Duration::from_millis(200));
    }

    /// So many more bytes are on disk.
    pub(crate) fn add(&self, n_bytes: u64) {
        self.bar.inc(n_bytes);
    }

    /// So many bytes are not on disk after all.
    pub(crate) fn take_back(&self, n_bytes: u64) {
        self.bar.set_position(self.bar.position().saturating_sub(n_bytes));
    }

    /// Which part of the whole is done.
    pub(crate) fn files(&self, n_done: usize, n_files: usize) {
        self.bar.set_message(format!("{n_done}/{n_files} files"));
    }

    /// Says something above the bar.
    pub(crate) fn note(&self, note: &str) {
        self.bar.suspend(|| report_note(note));
    }

    /// Says that a request is repeated.
    pub(crate) fn retrying(&self, error: &HubError, wait: Duration) {
        self.note(&format!("{error}; trying again in {:.1} s", wait.as_secs_f32()));
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
