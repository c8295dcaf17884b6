//! Items with their truths: as people labelled them, and as the reasoner judged them where nobody did.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use cascade::{Row, readable};
use policy::{Policy, PolicyRef, ScoreMethod, Stage};
use reasoner::{Job, judge_many};
use serde::Deserialize;
use serde_json::Value;

use super::counted;
use crate::commands::batch::{Item, Written, items, next_line};
use crate::commands::judging::{BadLines, Lifetime, ModelArgs, Progress, ReasoningArgs};
use crate::commands::labelled::{self, Ids, all_lines};
use crate::output::{hinted, report_note};

/// What a filter of verdicts is trained to find.
pub(super) const VIOLATION: &str = "violation";

/// Flags that say where truths come from.
#[derive(Debug, clap::Args)]
pub(super) struct SourceArgs {
    /// The items: {"id","text","labels":{NAME:0|1}} a line; with --distill, whatever `safeguard batch` takes
    #[arg(long, value_name = "IN.jsonl")]
    data: PathBuf,
    /// Take what people did not label from these verdicts, which `safeguard batch` made of the same items under
    /// --policy; without a file, let --model judge them now. The label is then "violation"
    #[arg(
        long,
        value_name = "VERDICTS.jsonl",
        num_args = 0..=1,
        requires = "policy",
        conflicts_with = "label"
    )]
    distill: Option<Option<PathBuf>>,
    /// With --distill and no file: most items under way at once
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    max_inflight: u16,
    #[command(flatten)]
    reasoning: ReasoningArgs,
}

/// How much a person's word counts beside a verdict.
const HUMAN_WEIGHT: f64 = 5.0;

/// Items with their truths.
pub(super) struct Labelled {
    pub(super) rows: Vec<Row>,
    /// Of each row, the rules or labels that say what kind of violation it is.
    pub(super) rules: Vec<Vec<String>>,
}

impl SourceArgs {
    /// Where the items come from, for messages.
    pub(super) fn place(&self) -> String {
        self.data.display().to_string()
    }

    /// Whether a file is one of those read.
    pub(super) fn is_from(&self, path: &Path) -> bool {
        self.data == path || self.distill.iter().flatten().any(|file| file == path)
    }

    /// The labels that there are: those asked for, or the one that verdicts give.
    pub(super) fn labels(&self, asked: &[String]) -> Vec<String> {
        if self.distill.is_some() { vec![VIOLATION.to_owned()] } else { asked.to_vec() }
    }

    /// Who judges, and whose state a probe reads.
    pub(super) fn model(&self) -> &ModelArgs {
        self.reasoning.model()
    }

    /// Every item with its truths, in the order of `labels`.
    pub(super) fn read(&self, labels: &[String], policy: Option<&Policy>) -> Result<Labelled> {
        let (Some(file), Some(policy)) = (&self.distill, policy) else {
            let rows = labelled::read(&self.data, labelled::parse)?;
            for label in labels {
                labelled::check_label(&self.data, &rows, label)?;
            }
            return Ok(by_labels(rows, labels));
        };
        let sources = read_items(&self.data)?;
        let said = match file {
            Some(path) => read_verdicts(path, &policy.reference())?.said,
            None => self.judge(&sources, policy)?,
        };
        Ok(by_verdicts(sources, &said))
    }

    /// Lets the model judge what nobody labelled.
    fn judge(&self, sources: &[Source], policy: &Policy) -> Result<HashMap<String, Said>> {
        let open: Vec<&Source> = sources.iter().filter(|source| source.human.is_none()).collect();
        let judge = self.reasoning.open(Lifetime::Run)?.judge;
        let settings = self.reasoning.settings();
        let progress = Progress::new(open.len(), 0);
        let jobs = open.iter().enumerate().map(|(number, source)| Job {
            number,
            policy,
            content: Arc::new(source.item.content.clone()),
            settings: &settings,
        });
        let (mut said, mut n_undetermined) = (HashMap::new(), 0);
        judge_many(judge.as_ref(), jobs, self.max_inflight.into(), |number, verdict| {
            progress.one();
            match verdict.outcome.is_violation() {
                Some(is_violation) => {
                    let it = Said { is_violation, rules: verdict.rule_ids };
                    said.insert(open[number].item.id.clone(), it);
                }
                None => n_undetermined += 1,
            }
            true
        });
        progress.finish();
        if n_undetermined > 0 {
            report_note(&format!("{} left out", counted(n_undetermined, "undetermined verdict")));
        }
        Ok(said)
    }
}

/// One item with what a person said of it.
struct Source {
    item: Item,
    human: Option<bool>,
}

/// The part of a line that `batch` does not read.
#[derive(Deserialize)]
struct Labels {
    #[serde(default)]
    labels: BTreeMap<String, Value>,
}

/// Reads whatever `batch` takes; a label `violation` is a person's word.
fn read_items(path: &Path) -> Result<Vec<Source>> {
    let place = || format!("{}: cannot be read", path.display());
    let mut reader = BufReader::new(File::open(path).with_context(place)?);
    let mut lines = Vec::new();
    while let Some(line) = next_line(&mut reader).with_context(place)? {
        lines.push(line);
    }
    let mut ids = Ids::default();
    let read = (1..).zip(lines).map(|(number, line)| {
        let parsed = line.map_err(|error| error.to_string()).and_then(|line| sources(&line));
        let known = parsed.and_then(|found| {
            found.iter().try_for_each(|one| ids.add(&one.item.id, number)).map(|()| found)
        });
        known.map_err(|problem| format!("line {number}: {problem}"))
    });
    Ok(all_lines(path, read)?.into_iter().flatten().collect())
}

fn sources(line: &[u8]) -> Result<Vec<Source>, String> {
    if line.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    let items = items(line).map_err(|error| error.to_string())?;
    let Labels { labels } = serde_json::from_slice(line).map_err(|_| "\"labels\" is no object")?;
    let human = match labels.get(VIOLATION) {
        Some(value) => labelled::known(VIOLATION, value)?,
        None => None,
    };
    Ok(items.into_iter().map(|item| Source { item, human }).collect())
}

fn by_labels(rows: Vec<labelled::Row>, labels: &[String]) -> Labelled {
    let mut all = Labelled { rows: Vec::new(), rules: Vec::new() };
    for row in rows {
        let truths: Vec<Option<bool>> =
            labels.iter().map(|label| row.labels.get(label).copied()).collect();
        let has = labels.iter().zip(&truths).filter(|(_, truth)| **truth == Some(true));
        all.rules.push(has.map(|(label, _)| label.clone()).collect());
        all.rows.push(Row { text: readable(&row.content), truths, weight: 1.0 });
    }
    all
}

/// A person's word counts more, and over the verdict.
fn by_verdicts(sources: Vec<Source>, said: &HashMap<String, Said>) -> Labelled {
    let mut all = Labelled { rows: Vec::new(), rules: Vec::new() };
    for Source { item, human } in sources {
        let said = said.get(&item.id);
        let truth = human.or(said.map(|said| said.is_violation));
        let rules = said.filter(|said| truth == Some(said.is_violation));
        all.rules.push(rules.map(|said| said.rules.clone()).unwrap_or_default());
        let weight = if human.is_some() { HUMAN_WEIGHT } else { 1.0 };
        all.rows.push(Row { text: readable(&item.content), truths: vec![truth], weight });
    }
    all
}

/// What a model said of an item.
pub(super) struct Said {
    pub(super) is_violation: bool,
    pub(super) rules: Vec<String>,
}

/// What a model said of items.
pub(super) struct Verdicts {
    /// Its name.
    pub(super) model: String,
    /// Whether any was made without reasoning.
    pub(super) are_direct: bool,
    /// By the items' ids; what is undetermined is not here.
    pub(super) said: HashMap<String, Said>,
}

/// Verdicts that batch wrote, of a model under this version of the policy.
pub(super) fn read_verdicts(path: &Path, policy: &PolicyRef) -> Result<Verdicts> {
    let text =
        fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    let mut verdicts = Verdicts { model: String::new(), are_direct: false, said: HashMap::new() };
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
                    verdicts.are_direct |= it.score_method == ScoreMethod::Direct;
                    let said = Said { is_violation: it.outcome == "violation", rules: it.rule_ids };
                    verdicts.said.insert(it.id, said);
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
