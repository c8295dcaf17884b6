//! Items with their truths: as people labelled them, and as the reasoner judged them where nobody did.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use cascade::{Row, readable};
use policy::{PolicyRef, Stage};

use super::counted;
use crate::commands::batch::Written;
use crate::commands::judging::BadLines;
use crate::commands::labelled;
use crate::output::{hinted, report_note};

/// What a filter of verdicts is trained to find.
pub(super) const VIOLATION: &str = "violation";

/// Flags that say where truths come from.
#[derive(Debug, clap::Args)]
pub(super) struct SourceArgs {
    /// The items: {"id","text","labels":{NAME:0|1}} a line
    #[arg(long, value_name = "IN.jsonl")]
    data: PathBuf,
    /// Take what people did not label from these verdicts, which `safeguard batch` made of the same items under
    /// --policy; the label is then "violation"
    #[arg(long, value_name = "VERDICTS.jsonl", requires = "policy", conflicts_with = "label")]
    distill: Option<PathBuf>,
}

/// How much a person's word counts beside a verdict.
const HUMAN_WEIGHT: f64 = 5.0;

impl SourceArgs {
    /// Where the items come from, for messages.
    pub(super) fn place(&self) -> String {
        self.data.display().to_string()
    }

    /// Whether a file is one of those read.
    pub(super) fn is_from(&self, path: &Path) -> bool {
        self.data == path || self.distill.as_deref() == Some(path)
    }

    /// The labels that there are: those asked for, or the one that verdicts give.
    pub(super) fn labels(&self, asked: &[String]) -> Vec<String> {
        if self.distill.is_some() { vec![VIOLATION.to_owned()] } else { asked.to_vec() }
    }

    /// Every item with its truths, in the order of `labels`.
    pub(super) fn read(&self, labels: &[String], policy: Option<&PolicyRef>) -> Result<Vec<Row>> {
        let rows = labelled::read(&self.data, labelled::parse)?;
        let verdicts = match (&self.distill, policy) {
            (Some(path), Some(policy)) => Some(read_verdicts(path, policy)?.said),
            _ => None,
        };
        if verdicts.is_none() {
            for label in labels {
                labelled::check_label(&self.data, &rows, label)?;
            }
        }
        Ok(rows.into_iter().map(|row| truths(row, labels, verdicts.as_ref())).collect())
    }
}

/// What a model said of items.
pub(super) struct Verdicts {
    /// Its name.
    pub(super) model: String,
    /// By the items' ids; what is undetermined is not here.
    pub(super) said: HashMap<String, bool>,
}

/// Verdicts that batch wrote, of a model under this version of the policy.
pub(super) fn read_verdicts(path: &Path, policy: &PolicyRef) -> Result<Verdicts> {
    let text =
        fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    let mut verdicts = Verdicts { model: String::new(), said: HashMap::new() };
    let (mut problems, mut n_undetermined) = (Vec::new(), 0);
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        match serde_json::from_str::<Written>(line) {
            Ok(it) if it.policy_id != policy.id.0 => {}
            Ok(it) if it.stage != Stage::Reasoner => {
                let error = anyhow!("{}:{number}: a verdict of a filter", path.display());
                let why =
                    "what a filter decided teaches and proves nothing: judge without --cascade";
                return Err(hinted(error, why));
            }
            Ok(it) => match it.outcome.as_str() {
                "violation" | "clear" => {
                    verdicts.model = it.model;
                    verdicts.said.insert(it.id, it.outcome == "violation");
                }
                _ => n_undetermined += 1,
            },
            Err(_) => problems.push(format!("line {number}: not a verdict that batch wrote")),
        }
    }
    if !problems.is_empty() {
        bail!(BadLines::new(path, problems));
    }
    if n_undetermined > 0 {
        report_note(&format!("{} left out", counted(n_undetermined, "undetermined verdict")));
    }
    if verdicts.said.is_empty() {
        let error = anyhow!("{}: no verdict is of {} as it is now", path.display(), policy.name);
        return Err(hinted(
            error,
            "judge the items with `safeguard batch` under this version of the policy",
        ));
    }
    Ok(verdicts)
}

fn truths(row: labelled::Row, labels: &[String], verdicts: Option<&HashMap<String, bool>>) -> Row {
    let text = readable(&row.content);
    let said: Vec<Option<bool>> =
        labels.iter().map(|label| row.labels.get(label).copied()).collect();
    let Some(verdicts) = verdicts else { return Row { text, truths: said, weight: 1.0 } };
    match said[0] {
        Some(human) => Row { text, truths: vec![Some(human)], weight: HUMAN_WEIGHT },
        None => Row { text, truths: vec![verdicts.get(&row.id).copied()], weight: 1.0 },
    }
}
