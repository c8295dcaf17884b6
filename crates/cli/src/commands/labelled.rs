//! Labelled rows: an item with 0 or 1 for each label that is known, one JSON object a line.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use policy::{Content, GoldenCase, GoldenOutcome};
use serde::Deserialize;
use serde_json::Value;

use super::judging::BadLines;
use crate::output::hinted;

/// An item with what is known of it.
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) content: Content,
    /// Labels that are known.
    pub(crate) labels: BTreeMap<String, bool>,
    pub(crate) lang: Option<String>,
}

impl Row {
    /// The row as a case of the policy behind a label; `None` where the label is not known.
    pub(crate) fn case(&self, label: &str) -> Option<GoldenCase> {
        Some(GoldenCase {
            id: self.id.clone(),
            content: self.content.clone(),
            outcome: outcome(*self.labels.get(label)?),
            rule: None,
            lang: self.lang.clone(),
            note: None,
        })
    }
}

/// A line as it stands in the file.
#[derive(Deserialize)]
struct Line {
    id: String,
    #[serde(flatten)]
    content: Content,
    #[serde(default)]
    labels: BTreeMap<String, Value>,
    #[serde(default)]
    lang: Option<String>,
}

/// Reads a file of rows, each line by `parse`, which gets its number too; empty lines are skipped.
pub(crate) fn read(
    path: &Path,
    parse: impl Fn(&str, u64) -> Result<Row, String>,
) -> Result<Vec<Row>> {
    let text = fs::read_to_string(path)
        .with_context(|| format!("{}: cannot be read as text", path.display()))?;
    let lines = (1..).zip(text.split('\n')).filter(|(_, line)| !line.trim().is_empty());
    let mut ids = Ids::default();
    all_lines(
        path,
        lines.map(|(number, line)| {
            parse(line, number)
                .and_then(|row| ids.add(&row.id, number).map(|()| row))
                .map_err(|problem| format!("line {number}: {problem}"))
        }),
    )
}

/// Reads `{"id","text","labels"}`.
pub(crate) fn parse(line: &str, _number: u64) -> Result<Row, String> {
    let line: Line = serde_json::from_str(line).map_err(|error| error.to_string())?;
    line.content.check().map_err(|error| error.to_string())?;
    let mut labels = BTreeMap::new();
    for (name, value) in line.labels {
        if let Some(known) = known(&name, &value)? {
            labels.insert(name, known);
        }
    }
    Ok(Row { id: line.id, content: line.content, labels, lang: line.lang })
}

/// Whether any row says something of the label.
pub(crate) fn check_label(path: &Path, rows: &[Row], label: &str) -> Result<()> {
    if rows.iter().any(|row| row.labels.contains_key(label)) {
        return Ok(());
    }
    let mut known: Vec<&str> =
        rows.iter().flat_map(|row| row.labels.keys().map(String::as_str)).collect();
    known.sort_unstable();
    known.dedup();
    let error = anyhow!("{}: no item has the label {label:?}", path.display());
    Err(hinted(error, format!("its labels are {}", known.join(", "))))
}

/// A label's value as a truth; `None` where it is null, because what is not said is not known.
pub(crate) fn known(name: &str, value: &Value) -> Result<Option<bool>, String> {
    match value {
        Value::Null => Ok(None),
        Value::Bool(known) => Ok(Some(*known)),
        value if value.as_f64() == Some(0.0) => Ok(Some(false)),
        value if value.as_f64() == Some(1.0) => Ok(Some(true)),
        value => Err(format!("the label {name:?} is {value}; it must be 0, 1 or null")),
    }
}

/// Ids that were given, with their lines: no two items share one.
#[derive(Default)]
pub(crate) struct Ids(HashMap<String, u64>);

impl Ids {
    pub(crate) fn add(&mut self, id: &str, line: u64) -> Result<(), String> {
        match self.0.get(id) {
            Some(first) => Err(format!("the id {id:?} was given in line {first} already")),
            None => {
                self.0.insert(id.to_owned(), line);
                Ok(())
            }
        }
    }
}

/// The outcome behind a 0 or 1.
pub(crate) fn outcome(is_violation: bool) -> GoldenOutcome {
    if is_violation { GoldenOutcome::Violation } else { GoldenOutcome::Clear }
}

/// Lines that were read, or all that could not be.
pub(crate) fn all_lines<T>(
    path: &Path,
    lines: impl Iterator<Item = Result<T, String>>,
) -> Result<Vec<T>> {
    let (good, bad): (Vec<_>, Vec<_>) = lines.partition(Result::is_ok);
    if !bad.is_empty() {
        return Err(BadLines::new(path, bad.into_iter().filter_map(Result::err)).into());
    }
    let good: Vec<T> = good.into_iter().filter_map(Result::ok).collect();
    if good.is_empty() {
        bail!("{}: no items", path.display());
    }
    Ok(good)
}
