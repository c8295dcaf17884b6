//! The bar that shows how many verdicts are there: on a terminal only, never into a pipe.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// How far a run is, for people.
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// `n_verdicts` in all, of which `n_here` are known already.
    pub(crate) fn new(n_verdicts: usize, n_here: usize) -> Progress {
        // indicatif draws on stderr, and only if that is a terminal.
        let bar = ProgressBar::new(n_verdicts as u64);
        bar.set_style(
            ProgressStyle::with_template(
                "{bar:32} {pos}/{len} verdicts  {per_sec}  {eta} left  {msg}",
            )
            .expect("the template is a constant"),
        );
        bar.set_position(n_here as u64);
        bar.reset_eta();
        bar.enable_steady_tick(Duration::from_millis(200));
        Progress { bar }
    }

    /// So many more verdicts will come than was known.
    pub(crate) fn expect(&self, n_more: usize) {
        let n_left = self.bar.length().unwrap_or(0).saturating_sub(self.bar.position());
        self.bar.inc_length((n_more as u64).saturating_sub(n_left));
    }

    /// One more verdict.
    pub(crate) fn one(&self) {
        self.bar.inc(1);
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
