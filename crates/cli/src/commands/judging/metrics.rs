//! `--metrics FILE`: what a run did, as Prometheus text for a collector of text files.
//!
//! The file is put in place whole, every few seconds and at the end. Numbers are those of this run, but
//! for the audit's, which goes on from run to run.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use cascade::{FilterStage, Spending, Unit};
use policy::Verdict;

use super::cascade::Cascaded;
use crate::commands::files::write;

/// Seconds between two writings.
const EVERY: Duration = Duration::from_secs(5);

/// Flag of commands that write metrics.
#[derive(Debug, clap::Args)]
pub(crate) struct MetricsArgs {
    /// Keep metrics of the run in this file, as Prometheus text: verdicts, audits, budget, memory
    #[arg(long, value_name = "FILE.prom")]
    metrics: Option<PathBuf>,
}

impl MetricsArgs {
    /// Whether the file is this one.
    pub(crate) fn is(&self, path: &Path) -> bool {
        self.metrics.as_deref() == Some(path)
    }

    /// Metrics without a verdict yet; `None` where none are wanted.
    pub(crate) fn begin(&self) -> Option<Metrics> {
        let path = self.metrics.clone()?;
        Some(Metrics { path, verdicts: BTreeMap::new(), written: None })
    }
}

/// Verdicts counted by policy, stage, outcome and cause.
pub(crate) struct Metrics {
    path: PathBuf,
    verdicts: BTreeMap<(String, &'static str, &'static str, String), u64>,
    written: Option<Instant>,
}

impl Metrics {
    /// Counts a verdict, and writes the file if it is some seconds ago that it was.
    pub(crate) fn add(&mut self, verdict: &Verdict, cascaded: Option<&Cascaded>) -> Result<()> {
        let stage = verdict.stage.name();
        let (outcome, cause) = verdict.outcome.names();
        let cause = cause.unwrap_or_default();
        let key = (verdict.policy.name.clone(), stage, outcome, cause);
        *self.verdicts.entry(key).or_default() += 1;
        if self.written.is_none_or(|written| written.elapsed() >= EVERY) {
            self.write(cascaded)?;
        }
        Ok(())
    }

    /// Writes the file.
    pub(crate) fn write(&mut self, cascaded: Option<&Cascaded>) -> Result<()> {
        let mut page = Page::default();
        page.family("safeguard_verdicts_total", "counter", "Verdicts of this run.");
        for ((policy, stage, outcome, cause), n) in &self.verdicts {
            let labels = [
                ("policy", policy.as_str()),
                ("stage", stage),
                ("outcome", outcome),
                ("cause", cause),
            ];
            page.sample("safeguard_verdicts_total", &labels, *n as f64);
        }
        if let Some(cascaded) = cascaded {
            page.0 += &cascade_page(cascaded);
        }
        write(&self.path, page.0.as_bytes())?;
        self.written = Some(Instant::now());
        Ok(())
    }
}

/// What stands before the model, in Prometheus' text.
pub(crate) fn cascade_page(cascaded: &Cascaded) -> String {
    let mut page = Page::default();
    audits(&mut page, cascaded);
    if let Some(spending) = cascaded.spending() {
        budget(&mut page, &spending);
    }
    memory_and_routes(&mut page, cascaded);
    page.0
}

/// One measure of an audit.
type Measure = (&'static str, &'static str, &'static str, fn(&FilterStage) -> Option<f64>);

const AUDIT: [Measure; 8] = [
    ("safeguard_audit_items_total", "counter", "Items that the filter saw.", |stage| {
        Some(stage.audit()?.counts().n_items() as f64)
    }),
    ("safeguard_audit_missed_total", "counter", "Violations found among audited items.", |stage| {
        Some(stage.audit()?.counts().missed as f64)
    }),
    ("safeguard_audit_recall", "gauge", "Estimate of the recall.", |stage| {
        stage.audit()?.estimate().recall
    }),
    ("safeguard_audit_recall_low", "gauge", "Lower end of the recall's interval.", |stage| {
        Some(stage.audit()?.interval().low)
    }),
    ("safeguard_audit_recall_high", "gauge", "Upper end of the recall's interval.", |stage| {
        Some(stage.audit()?.interval().high)
    }),
    ("safeguard_audit_recall_promised", "gauge", "The recall promised.", |stage| {
        Some(stage.audit()?.settings().promise.recall())
    }),
    ("safeguard_audit_alarm", "gauge", "1 once the promise was found broken.", |stage| {
        Some(f64::from(u8::from(stage.audit()?.alarm().is_some())))
    }),
    ("safeguard_filter_bypassed", "gauge", "1 while everything goes to the model.", |stage| {
        Some(f64::from(u8::from(stage.is_bypassed())))
    }),
];

fn audits(page: &mut Page, cascaded: &Cascaded) {
    let stages: Vec<(String, &FilterStage)> =
        cascaded.stages().map(|(file, stage)| (file.display().to_string(), stage)).collect();
    if stages.is_empty() {
        return;
    }
    for (name, kind, help, value) in AUDIT {
        page.family(name, kind, help);
        for (file, stage) in &stages {
            if let Some(value) = value(stage) {
                let policy = stage.filter().about.policy.as_ref().map_or("", |it| it.name.as_str());
                page.sample(name, &[("filter", file), ("policy", policy)], value);
            }
        }
    }
}

fn budget(page: &mut Page, spending: &Spending) {
    let unit = match spending.unit {
        Unit::Tokens => "tokens",
        Unit::Seconds => "seconds",
    };
    let standing = &spending.standing;
    for (name, kind, help, value) in [
        ("safeguard_budget_used_total", "counter", "Spent in this run.", spending.total),
        ("safeguard_budget_spent", "gauge", "Spent or set aside in the window.", standing.spent),
        ("safeguard_budget_allowed", "gauge", "What the window may hold.", standing.allowed),
        (
            "safeguard_budget_demand",
            "gauge",
            "Asked for a second, if nothing were given up.",
            standing.demand,
        ),
        (
            "safeguard_budget_level",
            "gauge",
            "Place on the ladder; 0 gives nothing up.",
            standing.level,
        ),
    ] {
        page.family(name, kind, help);
        page.sample(name, &[("unit", unit)], value);
    }
    let name = "safeguard_budget_given_up_total";
    page.family(name, "counter", "Items from which something was taken.");
    for (step, n) in spending.given_up.all() {
        page.sample(name, &[("step", step)], n as f64);
    }
}

fn memory_and_routes(page: &mut Page, cascaded: &Cascaded) {
    if let Some(counts) = cascaded.cache_counts() {
        let name = "safeguard_cache_lookups_total";
        page.family(name, "counter", "Contents looked up among those judged before.");
        for (result, n) in
            [("exact", counts.exact), ("normalised", counts.normalised), ("missed", counts.missed)]
        {
            page.sample(name, &[("result", result)], n as f64);
        }
    }
    if let Some(counts) = cascaded.route_counts() {
        let name = "safeguard_routed_total";
        page.family(
            name,
            "counter",
            "Items by the effort, or the bigger model, that decided them.",
        );
        for (effort, n) in ["low", "medium", "high"].into_iter().zip(counts.ended) {
            page.sample(name, &[("tier", effort)], n as f64);
        }
        page.sample(name, &[("tier", "bigger")], counts.bigger as f64);
        let name = "safeguard_for_person_total";
        page.family(name, "counter", "Items that a person should look at.");
        page.sample(name, &[], counts.person as f64);
    }
}

/// Prometheus' text format, version 0.0.4.
#[derive(Default)]
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // A string takes everything.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<String> = labels
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| format!("{key}=\"{}\"", escaped(value)))
            .collect();
        let labels =
            if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_empty_ones_left_out() {
        let mut page = Page::default();
        page.sample("m", &[("a", "x\"\\\ny"), ("b", "")], 1.5);
        assert_eq!(page.0, "m{a=\"x\\\"\\\\\\ny\"} 1.5\n");
    }
}
