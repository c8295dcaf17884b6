//! The output: one line a verdict, appended whole, so that a run that was cut goes on where it stood.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use policy::{Outcome, Policy, ScoreMethod, Stage, Usage, Verdict, Votes};
use serde::{Deserialize, Serialize};

use crate::exit::Exit;
use crate::output::hinted;

/// A verdict with the item's id; `reasoning` only where it was asked for.
#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    policy: &'a str,
    policy_id: &'a str,
    #[serde(flatten)]
    outcome: Outcome,
    label: Option<&'a str>,
    rule_ids: &'a [String],
    score: Option<f64>,
    score_method: ScoreMethod,
    probability: Option<f64>,
    confidence: Option<policy::Confidence>,
    rationale: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<&'a str>,
    capped: bool,
    detail: Option<&'a str>,
    stage: Stage,
    model: &'a str,
    usage: Usage,
    #[serde(skip_serializing_if = "Option::is_none")]
    votes: Option<Votes>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    given_up: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    doubts: &'a [String],
}

/// What a line that was written before says about itself.
#[derive(Deserialize)]
pub(crate) struct Written {
    pub(crate) id: String,
    pub(crate) policy_id: String,
    pub(crate) outcome: String,
    pub(crate) stage: Stage,
    pub(crate) model: String,
    #[serde(default)]
    pub(crate) score_method: ScoreMethod,
    #[serde(default)]
    pub(crate) rule_ids: Vec<String>,
}

/// Ids with policies' identities.
pub(super) type Done = HashSet<(String, String)>;

/// The model of a file, with the bigger one behind it where there is one, and each policy's filter before it: one of
/// each, or its verdicts are not of one kind.
#[derive(Debug)]
pub(super) struct Judges {
    models: Vec<String>,
    n_models: usize,
    /// How the models' verdicts are scored.
    method: Option<ScoreMethod>,
    filters: HashMap<String, String>,
    classifiers: HashMap<String, String>,
}

impl Judges {
    /// Nobody yet, and at most so many models.
    pub(super) fn of_models(n_models: usize) -> Judges {
        let (models, filters, classifiers) = Default::default();
        Judges { models, n_models, method: None, filters, classifiers }
    }

    /// The one that has decided in this place before, if it is another; else `name` has the place.
    /// Who never came to decide has no name.
    pub(super) fn other(&mut self, stage: Stage, policy_id: &str, name: &str) -> Option<&str> {
        if name.is_empty() {
            return None;
        }
        let holder = match stage {
            Stage::Reasoner => {
                let is_known = self.models.iter().any(|model| model == name);
                if !is_known && self.models.len() < self.n_models {
                    self.models.push(name.to_owned());
                }
                let place = self.models.iter().position(|model| model == name).unwrap_or(0);
                &mut self.models[place]
            }
            Stage::Filter => {
                self.filters.entry(policy_id.to_owned()).or_insert_with(|| name.to_owned())
            }
            Stage::Classifier => {
                self.classifiers.entry(policy_id.to_owned()).or_insert_with(|| name.to_owned())
            }
        };
        (holder != name).then_some(holder)
    }

    /// Whether models' verdicts were scored in another way before, with or without reasoning; else `method` is the way.
    /// What has no score, as all that is undetermined, counts for neither.
    pub(super) fn scored_otherwise(&mut self, stage: Stage, method: ScoreMethod) -> bool {
        let counts = stage == Stage::Reasoner && method != ScoreMethod::None;
        counts && *self.method.get_or_insert(method) != method
    }
}

/// The file that verdicts are appended to.
pub(super) struct Output {
    path: PathBuf,
    file: File,
    with_reasoning: bool,
}

/// What is in the file already.
pub(super) struct Earlier {
    pub(super) done: Done,
    /// Who made the verdicts there.
    pub(super) judges: Judges,
    /// How a run that made these verdicts ends.
    pub(super) exit: Exit,
}

impl Output {
    /// Opens a file to go on with it: half a line at its end is cut off, and undetermined verdicts are dropped if
    /// they are to be tried again.
    pub(super) fn open(
        path: &Path,
        with_reasoning: bool,
        retry: bool,
        judges: Judges,
    ) -> Result<(Output, Earlier)> {
        let place = || format!("{}: cannot be opened for writing", path.display());
        if retry && path.exists() {
            drop_undetermined(path)?;
        }
        let file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(path)
            .with_context(place)?;
        let (earlier, n_whole) = earlier(path, &file, judges)?;
        file.set_len(n_whole).with_context(place)?;
        Ok((Output { path: path.to_owned(), file, with_reasoning }, earlier))
    }

    pub(super) fn write(&mut self, id: &str, policy: &Policy, verdict: &Verdict) -> Result<()> {
        let mut text = serde_json::to_vec(&self.line(id, policy, verdict))?;
        text.push(b'\n');
        // One call a line: a process that is killed leaves whole lines, but for the last at most.
        self.file
            .write_all(&text)
            .with_context(|| format!("{}: cannot be written", self.path.display()))
    }

    fn line<'a>(&self, id: &'a str, policy: &'a Policy, verdict: &'a Verdict) -> Line<'a> {
        Line {
            id,
            policy: &policy.name,
            policy_id: &policy.id.0,
            outcome: verdict.outcome,
            label: verdict.label.as_deref(),
            rule_ids: &verdict.rule_ids,
            score: verdict.score,
            score_method: verdict.score_method,
            probability: verdict.probability,
            confidence: verdict.confidence,
            rationale: verdict.rationale.as_deref(),
            reasoning: self.with_reasoning.then_some(&verdict.reasoning),
            capped: verdict.capped,
            detail: verdict.detail.as_deref(),
            stage: verdict.stage,
            model: &verdict.model,
            usage: verdict.usage,
            votes: verdict.votes,
            given_up: &verdict.given_up,
            doubts: &verdict.doubts,
        }
    }

    pub(super) fn finish(self) -> Result<()> {
        self.file.sync_all().with_context(|| format!("{}: cannot be written", self.path.display()))
    }
}

/// The verdicts in the file, and how many bytes of whole lines it has.
fn earlier(path: &Path, file: &File, judges: Judges) -> Result<(Earlier, u64)> {
    let mut earlier = Earlier { done: Done::new(), judges, exit: Exit::Clear };
    let mut n_whole = 0;
    for (number, line) in (1..).zip(whole_lines(file)) {
        let line = line.with_context(|| format!("{}: cannot be read", path.display()))?;
        let written = parse(path, number, &line)?;
        n_whole += line.len() as u64;
        if let Some(other) = earlier.judges.other(written.stage, &written.policy_id, &written.model)
        {
            bail!(
                "{}:{number}: verdicts of {other:?} and of {:?} are in one file",
                path.display(),
                written.model
            );
        }
        if earlier.judges.scored_otherwise(written.stage, written.score_method) {
            bail!(
                "{}:{number}: direct verdicts and verdicts with reasoning are in one file",
                path.display()
            );
        }
        earlier.exit = earlier.exit.max(match written.outcome.as_str() {
            "clear" => Exit::Clear,
            "violation" => Exit::Found,
            _ => Exit::CouldNot,
        });
        earlier.done.insert((written.id, written.policy_id));
    }
    Ok((earlier, n_whole))
}

/// Lines with their ends; a last line without one is left out.
fn whole_lines(file: &File) -> impl Iterator<Item = io::Result<Vec<u8>>> {
    let mut reader = BufReader::new(file);
    std::iter::from_fn(move || {
        let mut line = Vec::new();
        match reader.read_until(b'\n', &mut line) {
            Ok(_) if line.ends_with(b"\n") => Some(Ok(line)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        }
    })
}

fn parse(path: &Path, number: usize, line: &[u8]) -> Result<Written> {
    serde_json::from_slice(line).map_err(|_| {
        let error = anyhow::anyhow!("{}:{number}: not a verdict that batch wrote", path.display());
        hinted(error, "give a new file with --out, or remove this one")
    })
}

/// Rewrites the file without its undetermined verdicts, in one step.
fn drop_undetermined(path: &Path) -> Result<()> {
    let place = || format!("{}: cannot be rewritten", path.display());
    let file = File::open(path).with_context(place)?;
    let part = path.with_extension("part");
    let mut kept = File::create(&part).with_context(place)?;
    for (number, line) in (1..).zip(whole_lines(&file)) {
        let line = line.with_context(place)?;
        if parse(path, number, &line)?.outcome != "undetermined" {
            kept.write_all(&line).with_context(place)?;
        }
    }
    kept.sync_all().and_then(|()| fs::rename(&part, path)).with_context(place)
}
