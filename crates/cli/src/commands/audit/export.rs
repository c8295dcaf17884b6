//! `safeguard audit export`: decisions as lines, as a table, as golden cases, as statements of reasons.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::ValueEnum;
use policy::Outcome;
use serde_json::json;
use store::{DecisionFilter, Millis, StoredDecision};

use super::dsa::Statements;
use crate::commands::days::day;
use crate::commands::storing::{OpenStore, StoreArgs, TENANT};
use crate::exit::Exit;
use crate::output::{is_broken_pipe, report_note};

/// Rows read at once.
const PAGE: usize = 500;

/// Write decisions out: JSON lines, CSV, golden cases, or the EU's statements of reasons
///
/// Content is in no export unless --content asks for it. `golden` writes the decisions that reviewers
/// overturned as cases for `safeguard policy test`; `dsa` writes violations as bodies of at most 100
/// statements for the DSA Transparency Database, from --dsa-settings.
///
/// Exit status: 0 all written, 1 some decisions could not be written in this form (stderr says why), 2 could
/// not be done.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// The form
    #[arg(long, value_enum, default_value_t)]
    format: Form,
    /// Write to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Only of this tenant
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Only under the policy of this name
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// Only with this outcome
    #[arg(long, value_enum)]
    outcome: Option<OutcomeName>,
    /// Only from this day on, in UTC
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    since: Option<Millis>,
    /// Only before this day, in UTC
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    until: Option<Millis>,
    /// Add content, rationale and reasoning, where they are kept; JSON lines only
    #[arg(long)]
    content: bool,
    /// What the store cannot know of a statement of reasons: a TOML file
    #[arg(long, value_name = "FILE", required_if_eq("format", "dsa"))]
    dsa_settings: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Form {
    /// One decision a line
    #[default]
    Jsonl,
    /// One decision a row
    Csv,
    /// Overturned decisions as golden cases
    Golden,
    /// Statements of reasons under the Digital Services Act
    Dsa,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OutcomeName {
    /// A rule is violated
    Violation,
    /// None is
    Clear,
    /// Not decided
    Undetermined,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    let open = args.store.open()?;
    let out: Box<dyn Write> = match &args.out {
        Some(file) => Box::new(
            File::create(file).with_context(|| format!("{}: cannot be made", file.display()))?,
        ),
        None => Box::new(io::stdout().lock()),
    };
    let mut out = BufWriter::new(out);
    let written = match args.format {
        Form::Jsonl => jsonl(args, &open, &mut out),
        Form::Csv => csv(args, &open, &mut out),
        Form::Golden => golden(args, &open, &mut out),
        Form::Dsa => dsa(args, &open, &mut out),
    };
    match written.and_then(|exit| Ok(out.flush().map(|()| exit)?)) {
        Err(error) if is_broken_pipe(&error) => Ok(Exit::Clear),
        result => result,
    }
}

impl Args {
    fn filter(&self) -> DecisionFilter {
        let outcome = self.outcome.and_then(|name| name.to_possible_value());
        DecisionFilter {
            tenant: self.tenant.clone(),
            policy: self.policy.clone(),
            outcome: outcome.map(|value| value.get_name().to_owned()),
            since: self.since,
            until: self.until,
            ..DecisionFilter::default()
        }
    }
}

/// Calls `each` with every decision that the filter finds, in the order of the chain.
fn for_each(
    open: &OpenStore,
    filter: &DecisionFilter,
    mut each: impl FnMut(StoredDecision) -> Result<()>,
) -> Result<()> {
    let mut after = 0;
    loop {
        let page = open.wait(open.store.decisions(filter, after, PAGE))?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.seq;
        page.into_iter().try_for_each(&mut each)?;
    }
}

fn jsonl(args: &Args, open: &OpenStore, out: &mut impl Write) -> Result<Exit> {
    for_each(open, &args.filter(), |StoredDecision { seq, decision }| {
        let mut line = serde_json::to_value(&decision)?;
        line["seq"] = json!(seq);
        line["time"] = json!(decision.at.rfc3339());
        if args.content {
            let kept = open.wait(open.store.kept(&decision.id))?;
            line["content"] = json!(kept.content);
            line["words"] = json!(kept.words);
        }
        Ok(writeln!(out, "{line}")?)
    })?;
    Ok(Exit::Clear)
}

fn csv(args: &Args, open: &OpenStore, out: &mut impl Write) -> Result<Exit> {
    let mut table = csv::Writer::from_writer(out);
    table.write_record([
        "seq",
        "id",
        "time",
        "tenant",
        "policy",
        "policy_id",
        "outcome",
        "cause",
        "label",
        "rules",
        "score",
        "probability",
        "stage",
        "model",
        "source",
        "job",
        "item",
    ])?;
    for_each(open, &args.filter(), |StoredDecision { seq, decision }| {
        let value = serde_json::to_value(&decision)?;
        let text = |field: &str| match &value[field] {
            serde_json::Value::Null => String::new(),
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        table.write_record([
            seq.to_string(),
            text("id"),
            decision.at.rfc3339(),
            text("tenant"),
            decision.policy.name.clone(),
            decision.policy.id.to_string(),
            text("outcome"),
            text("cause"),
            text("label"),
            decision.rule_ids.join(" "),
            text("score"),
            text("probability"),
            text("stage"),
            text("model"),
            text("source"),
            text("job"),
            text("item"),
        ])?;
        Ok(())
    })?;
    table.flush()?;
    Ok(Exit::Clear)
}

fn golden(args: &Args, open: &OpenStore, out: &mut impl Write) -> Result<Exit> {
    let tenant = args.tenant.as_deref().unwrap_or(TENANT);
    let overturned = open.wait(open.store.overturned(tenant, args.policy.as_deref()))?;
    let mut n_erased = 0;
    for one in overturned {
        match one.case {
            Some(case) => writeln!(out, "{}", serde_json::to_string(&case)?)?,
            None => n_erased += 1,
        }
    }
    if n_erased > 0 {
        report_note(&format!("{n_erased} overturned decisions have no content any more"));
        return Ok(Exit::Found);
    }
    Ok(Exit::Clear)
}

fn dsa(args: &Args, open: &OpenStore, out: &mut impl Write) -> Result<Exit> {
    let file = args.dsa_settings.as_deref().context("--dsa-settings is needed")?;
    let mut statements = Statements::read(file)?;
    for_each(open, &args.filter(), |StoredDecision { decision, .. }| {
        // What a candidate version says acts on nobody.
        if decision.outcome != Outcome::Violation || decision.origin.shadow_of.is_some() {
            return Ok(());
        }
        let reviews = open.wait(open.store.reviews(&decision.id))?;
        let kept = open.wait(open.store.kept(&decision.id))?;
        statements.add(&decision, &reviews, &kept, out)
    })?;
    statements.finish(out)
}
