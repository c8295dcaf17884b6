//! What is evaluated: policies, each with the cases that people agreed on, from one of three kinds of file.

mod columns;
mod suites;

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use policy::{GoldenCase, Policy};

use crate::commands::files::read_policy;
use crate::commands::judging::Suite;
use crate::commands::labelled::{self, Row};
use crate::output::{all_or_errors, hinted};
use columns::Columns;
use suites::Published;

/// Flags that say what is evaluated.
#[derive(Debug, clap::Args)]
pub(super) struct InputArgs {
    /// A policy with golden cases: a Markdown file, or a folder with policy.md; may be given many times
    #[arg(long, short, value_name = "FILE", required_unless_present = "data")]
    policy: Vec<PathBuf>,
    /// The golden set of every --policy, JSONL or CSV; by default golden.jsonl beside each policy
    #[arg(long, value_name = "FILE", requires = "policy")]
    golden: Option<PathBuf>,
    /// Labelled items: {"id","text","labels":{NAME:0|1},"lang"} a line, or CSV with a column for each label
    #[arg(long, value_name = "FILE", requires = "meaning")]
    data: Option<PathBuf>,
    /// Which policy a label of --data stands for; may be given many times
    ///
    /// A label that an item lacks is not known: the item is not judged under that policy.
    #[arg(long, value_name = "NAME=POLICY", requires = "data", group = "meaning", value_parser = name_and_policy)]
    label: Vec<(String, PathBuf)>,
    /// The policies that this program brings for a published set, given with --data
    #[arg(long, value_enum, value_name = "NAME", requires = "data", group = "meaning")]
    suite: Option<Published>,
    /// Which columns of a CSV file are what: id, text, outcome, rule and lang; by default columns of these names
    #[arg(long, value_name = "id=COLUMN,…", conflicts_with = "suite")]
    columns: Option<Columns>,
    /// Take the first N items only
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

/// A policy with its cases, and where they come from.
pub(super) struct Source {
    pub(super) suite: Suite,
    /// The label of the data that the policy stands for.
    pub(super) label: Option<String>,
    /// Items whose label is not known, so that they are not judged.
    pub(super) n_unknown: usize,
}

impl Source {
    /// What tells it from the other sources of a run.
    pub(super) fn name(&self) -> &str {
        self.label.as_deref().unwrap_or(&self.suite.policy.name)
    }
}

impl InputArgs {
    /// Reads everything; all that is wrong with the files is said, not just the first of it.
    pub(super) fn read(&self) -> Result<Vec<Source>> {
        let golden = self.policy.iter().map(|path| self.golden_source(path));
        let mut sources = all_or_errors(golden)?;
        if let Some(path) = &self.data {
            let rows = self.read_rows(path)?;
            let published = self.suite.map(|set| published(path, &rows, set)).transpose()?;
            sources.extend(published.unwrap_or_default());
            let labelled =
                self.label.iter().map(|(name, policy)| source(path, &rows, name, policy));
            sources.extend(all_or_errors(labelled)?);
        }
        check_names(&sources)?;
        Ok(sources)
    }

    fn golden_source(&self, policy: &Path) -> Result<Source> {
        let mut suite = match &self.golden {
            Some(golden) if is_csv(golden) => {
                let (path, policy) = read_policy(policy)?;
                let cases = self.columns().read_golden(golden)?;
                Suite { path, policy, golden_path: golden.clone(), cases }.checked()?
            }
            golden => Suite::read(policy, golden.as_deref())?,
        };
        suite.cases.truncate(self.limit());
        Ok(Source { suite, label: None, n_unknown: 0 })
    }

    fn read_rows(&self, path: &Path) -> Result<Vec<Row>> {
        let names: Vec<&str> = self.label.iter().map(|(name, _)| name.as_str()).collect();
        let mut rows = match self.suite {
            Some(set) => set.read_rows(path)?,
            None if is_csv(path) => self.columns().read_rows(path, &names)?,
            None => labelled::read(path, labelled::parse)?,
        };
        rows.truncate(self.limit());
        Ok(rows)
    }

    fn columns(&self) -> Columns {
        self.columns.clone().unwrap_or_default()
    }

    fn limit(&self) -> usize {
        self.limit.map_or(usize::MAX, |limit| limit as usize)
    }
}

/// The rows whose label is known, as cases of the policy that the label stands for.
fn source(data: &Path, rows: &[Row], name: &str, policy: &Path) -> Result<Source> {
    labelled::check_label(data, rows, name)?;
    let (path, policy) = read_policy(policy)?;
    Ok(labelled(data, rows, name, path, policy))
}

/// A published set under the policies for it; labels that no item has are passed over.
fn published(data: &Path, rows: &[Row], set: Published) -> Result<Vec<Source>> {
    let policies = set.policies()?.into_iter();
    let sources = policies.map(|(label, path, policy)| labelled(data, rows, label, path, policy));
    let sources: Vec<Source> = sources.filter(|source| !source.suite.cases.is_empty()).collect();
    if sources.is_empty() {
        bail!("{}: no item has a label of this set", data.display());
    }
    Ok(sources)
}

fn labelled(data: &Path, rows: &[Row], name: &str, path: PathBuf, policy: Policy) -> Source {
    let cases: Vec<GoldenCase> = rows.iter().filter_map(|row| row.case(name)).collect();
    let n_unknown = rows.len() - cases.len();
    let suite = Suite { path, policy, golden_path: data.to_owned(), cases };
    Source { suite, label: Some(name.to_owned()), n_unknown }
}

/// Results are told apart by name.
fn check_names(sources: &[Source]) -> Result<()> {
    for (at, source) in sources.iter().enumerate() {
        if sources[..at].iter().any(|other| other.name() == source.name()) {
            let error = anyhow!("two policies are called {:?}", source.name());
            return Err(hinted(error, "a policy is called after its file, or its folder"));
        }
    }
    Ok(())
}

fn is_csv(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"))
}

fn name_and_policy(text: &str) -> Result<(String, PathBuf)> {
    match text.split_once('=') {
        Some((name, policy)) if !name.is_empty() && !policy.is_empty() => {
            Ok((name.to_owned(), policy.into()))
        }
        _ => bail!("must be NAME=POLICY"),
    }
}
