//! Statements of reasons for the EU's DSA Transparency Database: what the store knows, and from settings what
//! it cannot know.

mod rules;
mod words;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use policy::GoldenOutcome;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use store::{Decision, Finding, Kept, StoredReview};

use crate::exit::Exit;
use crate::output::{hinted, report_hint, report_note};

/// Most statements of one call.
const BATCH: usize = 100;

type Fields = Map<String, Value>;

/// What the store cannot know. Fields of a label go over those of its policy, and these over all others'.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The metadata line of the content that holds its day, `YYYY-MM-DD…`.
    #[serde(default)]
    content_date_from: Option<String>,
    /// Fields of every statement.
    #[serde(default)]
    statement: Fields,
    /// Fields by policy.
    #[serde(default)]
    policies: BTreeMap<String, OfPolicy>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfPolicy {
    #[serde(default)]
    statement: Fields,
    /// Fields by label.
    #[serde(default)]
    labels: BTreeMap<String, Fields>,
}

/// Statements on their way out, in bodies of at most 100.
pub(super) struct Statements {
    settings: Settings,
    batch: Vec<Value>,
    n_written: usize,
    /// Faults with how many decisions have them, and one of those.
    faults: BTreeMap<String, (usize, String)>,
    n_faulty: usize,
    n_overturned: usize,
}

impl Statements {
    /// Reads the settings; a field that no statement has, or a word that none may use, is an error here.
    pub(super) fn read(file: &Path) -> Result<Statements> {
        let place = || file.display().to_string();
        let text = fs::read_to_string(file).with_context(place)?;
        let settings: Settings = toml::from_str(&text).map_err(|error| {
            let error = anyhow::Error::from(error).context(place());
            hinted(
                error,
                "tables are [statement], [policies.NAME.statement], [policies.NAME.labels.LABEL]",
            )
        })?;
        let of_policies = settings.policies.iter().flat_map(|(name, of)| {
            let labels = of.labels.iter().map(move |(label, f)| (format!("{name}, {label}"), f));
            std::iter::once((name.clone(), &of.statement)).chain(labels)
        });
        for (table, fields) in
            std::iter::once(("statement".to_owned(), &settings.statement)).chain(of_policies)
        {
            for (field, value) in fields {
                let why = match rules::kind(field) {
                    Some(kind) => rules::fault(kind, value),
                    None => Some("no field of a statement".to_owned()),
                };
                if let Some(why) = why {
                    bail!("{}: [{table}] {field}: {why}", place());
                }
            }
        }
        Ok(Statements {
            settings,
            batch: Vec::new(),
            n_written: 0,
            faults: BTreeMap::new(),
            n_faulty: 0,
            n_overturned: 0,
        })
    }

    /// Writes a violation, or notes why it cannot be a statement.
    pub(super) fn add(
        &mut self,
        decision: &Decision,
        reviews: &[StoredReview],
        kept: &Kept,
        out: &mut impl Write,
    ) -> Result<()> {
        let last = reviews.iter().rev().map(|r| &r.review.finding).find(|f| **f != Finding::Appeal);
        let cleared = GoldenOutcome::Clear;
        if matches!(last, Some(Finding::Overturn { outcome, .. }) if *outcome == cleared) {
            self.n_overturned += 1;
            return Ok(());
        }
        let statement = self.statement(decision, last.is_some(), kept);
        let faults = rules::faults(&statement);
        if !faults.is_empty() {
            self.n_faulty += 1;
            for fault in faults {
                let fault = format!("policy {}: {fault}", decision.policy.name);
                let first = (0, decision.id.to_string());
                self.faults.entry(fault).or_insert(first).0 += 1;
            }
            return Ok(());
        }
        self.batch.push(Value::Object(statement));
        if self.batch.len() == BATCH { self.write(out) } else { Ok(()) }
    }

    fn write(&mut self, out: &mut impl Write) -> Result<()> {
        self.n_written += self.batch.len();
        let statements = std::mem::take(&mut self.batch);
        Ok(writeln!(out, "{}", json!({ "statements": statements }))?)
    }

    /// Writes the rest and says what is missing.
    pub(super) fn finish(mut self, out: &mut impl Write) -> Result<Exit> {
        if !self.batch.is_empty() {
            self.write(out)?;
        }
        if self.n_overturned > 0 {
            report_note(&format!("{} overturned decisions are no statements", self.n_overturned));
        }
        for (fault, (n_decisions, first)) in &self.faults {
            report_note(&format!("{fault} ({n_decisions}×, first in {first})"));
        }
        report_note(&format!("{} statements written, {} not", self.n_written, self.n_faulty));
        if self.n_faulty > 0 {
            report_hint("set the fields in the file of --dsa-settings");
            return Ok(Exit::Found);
        }
        Ok(Exit::Clear)
    }

    fn statement(&self, decision: &Decision, is_reviewed: bool, kept: &Kept) -> Fields {
        let mut fields = known(decision, is_reviewed);
        if let Some(day) = self.content_date(kept) {
            fields.insert("content_date".to_owned(), json!(day));
        }
        fields.extend(self.settings.statement.clone());
        if let Some(of) = self.settings.policies.get(&decision.policy.name) {
            fields.extend(of.statement.clone());
            let label = decision.label.as_ref().and_then(|label| of.labels.get(label));
            fields.extend(label.cloned().unwrap_or_default());
        }
        for value in fields.values_mut() {
            if let Value::String(text) = value {
                *text = filled(text, decision);
            }
        }
        fields
    }

    fn content_date(&self, kept: &Kept) -> Option<String> {
        let key = self.settings.content_date_from.as_ref()?;
        let metadata = kept.content.as_ref()?.metadata();
        let (_, value) = metadata.iter().find(|(name, _)| name == key)?;
        value.get(..10).map(str::to_owned)
    }
}

/// What the store knows. The facts name policy and rule and quote nothing: a statement must hold no personal
/// data.
fn known(decision: &Decision, is_reviewed: bool) -> Fields {
    let automated =
        if is_reviewed { "AUTOMATED_DECISION_PARTIALLY" } else { "AUTOMATED_DECISION_FULLY" };
    let facts = "The content was examined by an automated system under the policy {policy} and found \
                 to violate its rule {rules}.";
    [
        ("puid", decision.id.to_string()),
        ("application_date", decision.at.day()),
        ("automated_detection", "Yes".to_owned()),
        ("automated_decision", automated.to_owned()),
        ("decision_facts", facts.to_owned()),
    ]
    .into_iter()
    .map(|(field, value)| (field.to_owned(), Value::String(value)))
    .collect()
}

/// Puts policy, label and rules where a text names them in braces.
fn filled(text: &str, decision: &Decision) -> String {
    if !text.contains('{') {
        return text.to_owned();
    }
    let label = decision.label.as_deref().unwrap_or_default();
    let rules =
        if decision.rule_ids.is_empty() { label.to_owned() } else { decision.rule_ids.join(", ") };
    text.replace("{policy}", &decision.policy.name)
        .replace("{label}", label)
        .replace("{rules}", &rules)
}
