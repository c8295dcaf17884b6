//! The budget of a run: its table in the cascade's file, where the host's compute is read, what there is to say.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use cascade::{
    BudgetSettings, BudgetedJudge, Event, Happening, HostMeter, Limit, PerEffort, Spending, Unit,
    WhenSpent,
};
use policy::Judge;
use serde::Deserialize;

use crate::output::{hinted, report_hint, report_note};

/// What one verdict is thought to cost until some have come back.
const USUAL_TOKENS: PerEffort = PerEffort { low: 700.0, medium: 1000.0, high: 1500.0 };
/// The same in seconds.
const USUAL_SECONDS: PerEffort = PerEffort { low: 2.0, medium: 5.0, high: 15.0 };
/// Seconds between two notes on the budget.
const NOTE_EVERY: Duration = Duration::from_secs(10);

/// The table `[budget]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BudgetTable {
    /// Share of all compute, the host's and ours.
    share: Option<f64>,
    tokens_per_second: Option<f64>,
    reasoner_seconds_per_hour: Option<f64>,
    /// With `share`: what is counted.
    #[serde(default = "tokens")]
    unit: Unit,
    /// With `share`: what the host spends a second; beside `host_file`, until the file has been heard of.
    host_per_second: Option<f64>,
    /// With `share`: a file with what the host has spent in all, read again and again.
    host_file: Option<PathBuf>,
    /// The file is Prometheus text, and this is the counter in it.
    host_metric: Option<String>,
    #[serde(default = "usual_window")]
    window_s: f64,
    /// What one verdict is thought to cost until some have come back.
    first_guess: Option<PerEffort>,
    #[serde(default)]
    when_spent: WhenSpent,
    /// Whether filters' thresholds may be raised above the proven ones, up to each filter's `highest_threshold`.
    #[serde(default)]
    pub(super) may_raise_threshold: bool,
    /// How long an item of `batch` may be put off; by default the window.
    defer_s: Option<f64>,
}

fn tokens() -> Unit {
    Unit::Tokens
}

fn usual_window() -> f64 {
    60.0
}

/// Whether somebody waits for the verdicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hurry {
    SomebodyWaits,
    NobodyWaits,
}

impl BudgetTable {
    /// Paths relative to the file that names them.
    pub(super) fn beside(self, folder: &Path) -> BudgetTable {
        BudgetTable { host_file: self.host_file.map(|file| folder.join(file)), ..self }
    }

    /// Puts a judge within the budget.
    pub(super) fn over(
        &self,
        judge: Box<dyn Judge>,
        hurry: Hurry,
    ) -> Result<BudgetedJudge<Box<dyn Judge>>> {
        let settings = self.settings()?;
        let defer_s = self.defer_s.unwrap_or(self.window_s);
        let may_wait = match hurry {
            Hurry::SomebodyWaits => None,
            Hurry::NobodyWaits => {
                let wait = Duration::try_from_secs_f64(defer_s);
                Some(wait.map_err(|_| self.wrong("defer_s must be a number of seconds"))?)
            }
        };
        let host = self.host(&settings)?;
        Ok(BudgetedJudge::new(judge, settings, may_wait, host, listener())?)
    }

    fn settings(&self) -> Result<BudgetSettings> {
        let limit = self.limit()?;
        let usual = match limit.unit() {
            Unit::Tokens => USUAL_TOKENS,
            Unit::Seconds => USUAL_SECONDS,
        };
        let is_time = self.window_s.is_finite() && (0.0..=1e9).contains(&self.window_s);
        if !is_time {
            return Err(self.wrong("window_s must be a number of seconds"));
        }
        let settings = BudgetSettings {
            limit,
            window_ms: (self.window_s * 1000.0) as u64,
            first_guess: self.first_guess.unwrap_or(usual),
            when_spent: self.when_spent,
            may_raise_threshold: self.may_raise_threshold,
        };
        settings.check()?;
        self.check_room(&settings)?;
        Ok(settings)
    }

    fn limit(&self) -> Result<Limit> {
        let limits = [
            self.share.map(|share| Limit::Share {
                share,
                unit: self.unit,
                host_at_start: self.host_per_second.unwrap_or(0.0),
            }),
            self.tokens_per_second.map(Limit::TokensPerSecond),
            self.reasoner_seconds_per_hour.map(Limit::ReasonerSecondsPerHour),
        ];
        let mut given = limits.into_iter().flatten();
        let (Some(limit), None) = (given.next(), given.next()) else {
            return Err(
                self.wrong("give one of share, tokens_per_second and reasoner_seconds_per_hour")
            );
        };
        let is_share = matches!(limit, Limit::Share { .. });
        let has_host = self.host_per_second.is_some() || self.host_file.is_some();
        if is_share != has_host || (self.host_metric.is_some() && self.host_file.is_none()) {
            return Err(self.wrong(
                "a share is of the host's compute: host_per_second, or host_file with host_metric if wanted, belong to share and to nothing else",
            ));
        }
        Ok(limit)
    }

    /// A window that one verdict does not fit into would never let any through.
    fn check_room(&self, settings: &BudgetSettings) -> Result<()> {
        let room = match settings.limit {
            Limit::TokensPerSecond(rate) => rate * self.window_s,
            Limit::ReasonerSecondsPerHour(rate) => rate / 3600.0 * self.window_s,
            Limit::Share { .. } => return Ok(()),
        };
        let least = settings.first_guess.low;
        if room >= least {
            return Ok(());
        }
        let problem = format!(
            "a window holds {room:.0}, and one verdict at low effort is thought to take {least:.0}"
        );
        Err(hinted(
            anyhow!("[budget]: {problem}"),
            "lengthen window_s, or say what verdicts take: first_guess = { low = …, medium = …, high = … }",
        ))
    }

    /// Where the host's compute is read.
    fn host(&self, settings: &BudgetSettings) -> Result<Option<HostMeter>> {
        if !matches!(settings.limit, Limit::Share { .. }) {
            return Ok(None);
        }
        let Some(file) = self.host_file.clone() else {
            let rate = self.host_per_second.unwrap_or(0.0);
            let mut last = Instant::now();
            return Ok(Some(Box::new(move || {
                let since = last.elapsed();
                last += since;
                Some(rate * since.as_secs_f64())
            })));
        };
        let metric = self.host_metric.clone();
        let mut last = read_total(&file, metric.as_deref())?;
        Ok(Some(Box::new(move || {
            let total = read_total(&file, metric.as_deref()).ok()?;
            // A counter that fell has begun anew.
            let spent = if total >= last { total - last } else { total };
            last = total;
            Some(spent)
        })))
    }

    fn wrong(&self, problem: &str) -> anyhow::Error {
        let example = "for example tokens_per_second = 500, or share = 0.16 and host_per_second = 20000; window_s, when_spent = \"undetermined\" or \"queue\", defer_s, first_guess and may_raise_threshold if wanted";
        hinted(anyhow!("[budget]: {problem}"), example)
    }
}

/// What the host has spent in all: the file's one number, or the sum of a counter in Prometheus text.
fn read_total(file: &Path, metric: Option<&str>) -> Result<f64> {
    let wrong = |problem: &str| anyhow!("{}: {problem}", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| wrong(&error.to_string()))?;
    let total = match metric {
        None => text.trim().parse().ok(),
        Some(metric) => counter(&text, metric),
    };
    let what = if metric.is_some() { "has no such counter" } else { "is not one number" };
    total.filter(|total: &f64| total.is_finite() && *total >= 0.0).ok_or_else(|| wrong(what))
}

/// The sum of a counter's samples.
fn counter(text: &str, metric: &str) -> Option<f64> {
    let value = |line: &str| {
        let rest = line.strip_prefix(metric)?;
        let values = match rest.strip_prefix('{') {
            Some(labels) => labels.rsplit_once('}')?.1,
            None => rest.strip_prefix(' ')?,
        };
        values.split_whitespace().next()?.parse::<f64>().ok()
    };
    let values: Vec<f64> = text.lines().filter_map(value).collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

/// Notes on stderr, not more than one in [`NOTE_EVERY`]; the last rung is what counts, so none is queued.
fn listener() -> Box<dyn Fn(&Event) + Send + Sync> {
    let last: Mutex<Option<Instant>> = Mutex::default();
    Box::new(move |event| {
        let note = match event.what {
            Happening::Rung { from, to } => format!("budget: from rung {from} to {to}"),
            Happening::HostSilent => {
                "budget: the host does not report its compute, so nothing more is counted on"
                    .to_owned()
            }
            _ => return,
        };
        let mut last = last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if last.is_none_or(|at| at.elapsed() >= NOTE_EVERY) {
            *last = Some(Instant::now());
            report_note(&note);
        }
    })
}

/// What the budget did, at the end of a run.
pub(super) fn report(spending: &Spending) {
    let unit = match spending.unit {
        Unit::Tokens => "tokens",
        Unit::Seconds => "seconds",
    };
    let standing = &spending.standing;
    report_note(&format!(
        "budget: {:.0} {unit} in all; {:.0} of {:.0} in the last window",
        spending.total, standing.spent, standing.allowed
    ));
    let given_up = spending.given_up;
    let words = [
        (given_up.effort, "judged with less effort"),
        (given_up.deferred, "put off"),
        (given_up.votes, "judged with fewer votes"),
        (given_up.thresholds, "left to the filter under a raised threshold"),
        (given_up.queued, "queued"),
        (given_up.over_budget, "over budget"),
    ];
    let words: Vec<String> =
        words.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    if !words.is_empty() {
        report_note(&format!(
            "budget: items {}; each verdict says so in given_up",
            words.join(", ")
        ));
    }
    if given_up.over_budget > 0 {
        report_hint(
            "when_spent = \"queue\" lets them wait; `batch --retry-undetermined` judges them later",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_summed_over_its_labels_and_no_other_is_taken() {
        let text = "# TYPE tokens_total counter\ntokens_total{a=\"x y\"} 3\ntokens_total{a=\"}\"} 4 1700\ntokens_total_created 9\nother 1\n";
        assert_eq!(counter(text, "tokens_total"), Some(7.0));
        assert_eq!(counter(text, "other"), Some(1.0));
        assert_eq!(counter(text, "none"), None);
    }
}
