//! How jobs are worked off: the table `[serve.jobs]`.

use serde::Deserialize;

use crate::settings::{MAX_SECONDS, SettingsError};

/// How jobs are worked off.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JobSettings {
    /// Most pairs of item and policy in one job.
    pub pairs: usize,
    /// Most pairs that wait, in all jobs of the store.
    pub backlog: usize,
    /// Most pairs of jobs that this service judges at once.
    pub in_flight: usize,
    /// Seconds after which what a service that fell was judging goes to another one.
    pub lease_s: f64,
    /// How often a pair is tried before it is undetermined: after failures of the judge, and after services that
    /// fell over it.
    pub attempts: u32,
    /// Seconds before the second try after a failure of the judge; doubled at each further one.
    pub retry_s: f64,
    /// Days for which rationale and reasoning can be read.
    pub keep_words_days: u32,
    /// Days after its end for which a job can be read.
    pub keep_jobs_days: u32,
    /// Days for which a file can be read, unless its caller wants it gone before.
    pub keep_files_days: u32,
    /// Most bytes of an uploaded file.
    pub file_bytes: usize,
}

impl Default for JobSettings {
    fn default() -> JobSettings {
        JobSettings {
            pairs: 10_000,
            backlog: 1_000_000,
            in_flight: 16,
            lease_s: 30.0,
            attempts: 5,
            retry_s: 5.0,
            keep_words_days: 30,
            keep_jobs_days: 90,
            keep_files_days: 30,
            file_bytes: 64 << 20,
        }
    }
}

impl JobSettings {
    /// Whether the values can hold.
    ///
    /// # Errors
    /// [`SettingsError::Value`] for the first that cannot.
    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        for (setting, count, most) in [
            ("jobs.pairs", self.pairs, store::MAX_ITEMS),
            ("jobs.backlog", self.backlog, 1 << 32),
            ("jobs.in_flight", self.in_flight, 4096),
            ("jobs.attempts", self.attempts as usize, 1 << 20),
            ("jobs.keep_words_days", self.keep_words_days as usize, 36_500),
            ("jobs.keep_jobs_days", self.keep_jobs_days as usize, 36_500),
            ("jobs.keep_files_days", self.keep_files_days as usize, 36_500),
            ("jobs.file_bytes", self.file_bytes, 512 << 20),
        ] {
            if count == 0 || count > most {
                let expected = "at least 1, and no more than a store can hold";
                return Err(SettingsError::Value { setting, found: count.to_string(), expected });
            }
        }
        for (setting, seconds) in [("jobs.lease_s", self.lease_s), ("jobs.retry_s", self.retry_s)] {
            if !(seconds > 0.0 && seconds <= MAX_SECONDS) {
                let expected = "above 0 and at most 86400 seconds";
                return Err(SettingsError::Value { setting, found: seconds.to_string(), expected });
            }
        }
        Ok(())
    }
}
