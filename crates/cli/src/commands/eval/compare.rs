//! This run against an earlier one: which items changed, and whether it could be chance.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use policy::eval::{Paired, flips};
use serde::{Deserialize, Serialize};

use super::evaluation::{Report, Run, SCHEMA};
use super::item::ItemReport;
use crate::output::{hinted, report_note};

/// What is read of an earlier run's JSON.
#[derive(Debug, Deserialize)]
pub(super) struct Earlier {
    schema: u32,
    made: String,
    model: String,
    #[serde(default)]
    direct: bool,
    runs: Vec<EarlierRun>,
}

#[derive(Debug, Deserialize)]
struct EarlierRun {
    effort: Option<policy::Effort>,
    policies: Vec<EarlierReport>,
}

#[derive(Debug, Deserialize)]
struct EarlierReport {
    name: String,
    items: Vec<EarlierItem>,
}

#[derive(Debug, Deserialize)]
struct EarlierItem {
    id: String,
    expected: String,
    outcome: String,
}

/// What changed since then.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Comparison {
    /// When the earlier run was made, and what answered.
    pub(super) made: String,
    pub(super) model: String,
    /// Whether its verdicts were asked for without reasoning.
    pub(super) direct: bool,
    /// Policies that both runs have, by name.
    pub(super) policies: Vec<Compared>,
}

/// One policy in both runs. Undetermined is as little right as wrong.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Compared {
    pub(super) name: String,
    pub(super) effort: Option<policy::Effort>,
    /// Items with one id and the same expected outcome.
    pub(super) common: usize,
    /// Items that are right now and were not.
    pub(super) fixed: Vec<String>,
    /// Items that were right and are not.
    pub(super) broken: Vec<String>,
    /// Right neither time, but different.
    pub(super) other: Vec<String>,
    /// McNemar's exact test of fixed against broken.
    pub(super) p_value: f64,
}

impl Compared {
    /// The policy and, where it was asked for, the effort.
    pub(super) fn title(&self) -> String {
        match self.effort {
            Some(effort) => format!("{}, effort {effort}", self.name),
            None => self.name.clone(),
        }
    }
}

impl Earlier {
    /// Reads the JSON of an earlier run.
    pub(super) fn read(path: &Path) -> Result<Earlier> {
        let place = || path.display().to_string();
        let bytes = fs::read(path).with_context(place)?;
        let earlier: Earlier = serde_json::from_slice(&bytes).map_err(|error| {
            let error = anyhow::Error::from(error).context(place());
            hinted(error, "--compare takes what an earlier `safeguard eval --out-json` wrote")
        })?;
        if earlier.schema != SCHEMA {
            bail!("{}: its schema is {}, and this program's is {SCHEMA}", place(), earlier.schema);
        }
        Ok(earlier)
    }

    /// With and without reasoning one model is two judges, so a note says what is compared.
    pub(super) fn note_where_direct_differs(&self, direct: bool) {
        if self.direct != direct {
            let way =
                |direct| if direct { "without reasoning (--direct)" } else { "with reasoning" };
            report_note(&format!(
                "the earlier run was judged {}, and this one {}: what changed may come of that alone",
                way(self.direct),
                way(direct)
            ));
        }
    }

    /// Compares policies of one name, under one effort; where either has a single run, that run.
    pub(super) fn compare(&self, runs: &[Run]) -> Comparison {
        let policies = runs.iter().flat_map(|run| {
            let same = self.runs.iter().find(|earlier| earlier.effort == run.effort);
            let single = (self.runs.len() == 1).then(|| &self.runs[0]);
            let earlier = same.or(single);
            run.policies.iter().filter_map(move |report| {
                let found = earlier?.policies.iter().find(|other| other.name == report.name)?;
                Some(found.compare(report, run.effort))
            })
        });
        Comparison {
            made: self.made.clone(),
            model: self.model.clone(),
            direct: self.direct,
            policies: policies.collect(),
        }
    }
}

impl EarlierReport {
    fn compare(&self, now: &Report, effort: Option<policy::Effort>) -> Compared {
        let earlier: HashMap<&str, &EarlierItem> =
            self.items.iter().map(|item| (item.id.as_str(), item)).collect();
        let common: Vec<(&ItemReport, &EarlierItem)> = now
            .items
            .iter()
            .filter_map(|item| Some((item, *earlier.get(item.id.as_str())?)))
            .filter(|(item, earlier)| item.expected == earlier.expected)
            .collect();
        let pairs: Vec<Paired<&str>> = common
            .iter()
            .map(|(item, earlier)| Paired {
                truth: item.expected.as_str(),
                old: decided(&earlier.outcome),
                new: decided(&item.outcome),
            })
            .collect();
        let flips = flips(&pairs);
        let ids = |places: &[usize]| places.iter().map(|&at| common[at].0.id.clone()).collect();
        Compared {
            name: now.name.clone(),
            effort,
            common: common.len(),
            fixed: ids(&flips.fixed),
            broken: ids(&flips.broken),
            other: ids(&flips.other),
            p_value: flips.p_value(),
        }
    }
}

fn decided(outcome: &str) -> Option<&str> {
    (outcome != super::item::word(None)).then_some(outcome)
}
