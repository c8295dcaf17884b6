//! `safeguard filter calibrate`: the threshold at which a promised recall is proven.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use cascade::text::normalise;
use cascade::{Encoder, Evidence, Filter, Prints, Promise, PromiseRow, Row};
use comfy_table::{Table, presets};
use policy::eval::{Level, Scored};
use serde::Serialize;

use super::encoder::EmbedArgs;
use super::per_rule::{self, Caught, caught};
use super::source::SourceArgs;
use super::{counted, read_filter, share};
use crate::commands::files::{read_policy, write};
use crate::exit::Exit;
use crate::output::{Format, align_numbers, hinted, print_result, report_note};

/// Prove a filter's recall on items that it has not seen, and set its threshold
///
/// The threshold is a score of the items themselves, chosen such that the promise holds whatever the scores look
/// like (a one-sided tolerance limit). Where there are too few items to prove it, nothing is changed, and it is
/// said how many are missing. Items that training saw do not count.
///
/// Exit status: 0 proven, 2 not proven or could not be done.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The filter; it is written back with its threshold
    #[arg(value_name = "FILTER")]
    filter: PathBuf,
    #[command(flatten)]
    source: SourceArgs,
    /// Pass on at least this share of what has the label
    #[arg(long, value_name = "R", default_value_t = 0.99)]
    recall: f64,
    /// How sure to be of it
    #[arg(long, value_name = "C", default_value_t = 0.95)]
    confidence: f64,
    /// Which labels of the data mean that an item must be passed on; by default those of the training
    #[arg(long, value_name = "NAME")]
    label: Vec<String>,
    /// How often a violation comes in real traffic, where the data hold more or fewer of them
    #[arg(long, value_name = "SHARE")]
    base_rate: Option<f64>,
    /// Bind the filter to this version of the policy, for which it is proven anew
    #[arg(long, short, value_name = "FILE")]
    policy: Option<PathBuf>,
    #[command(flatten)]
    embed: EmbedArgs,
    /// How to write the report
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    let mut filter = read_filter(&args.filter)?;
    let level = Level::new(args.confidence)
        .ok_or(cascade::CascadeError::Confidence { confidence: args.confidence })?;
    let promise = Promise::new(args.recall, level)?;
    let policy = args.policy.as_deref().map(read_policy).transpose()?;
    let policy = policy.map(|(_, policy)| policy);
    let asked = if args.label.is_empty() { &filter.about.labels } else { &args.label };
    let labels = args.source.labels(asked);
    let labelled = args.source.read(&labels, policy.as_ref())?;
    let encoder = args.embed.open(&args.filter, &filter, policy.as_ref(), args.source.model())?;
    let policy = policy.map(|policy| policy.reference());
    let held_out = score(&filter, encoder.as_deref(), &labelled.rows)?;
    if held_out.scored.is_empty() {
        let why =
            if held_out.n_seen > 0 { "training has seen every row" } else { "no row has a truth" };
        let error = anyhow!("{}: {why}, so nothing can be proven with them", args.source.place());
        return Err(hinted(
            error,
            "give rows that are labelled, or judged, and that training has not seen",
        ));
    }
    if held_out.n_seen > 0 {
        report_note(&format!("{} left out, as training saw them", counted(held_out.n_seen, "row")));
    }
    if held_out.n_again > 0 {
        let n = counted(held_out.n_again, "row");
        report_note(&format!("{n} left out, as their text came before"));
    }
    let evidence = cascade::calibrate(&held_out.scored, promise, args.base_rate)
        .map_err(|error| advised(error, held_out.n_seen))
        .with_context(|| args.source.place())?;
    filter.about.policy = policy.or(filter.about.policy);
    let positives =
        held_out.positives.iter().map(|(row, score)| (labelled.rules[*row].as_slice(), *score));
    let per_rule = caught(positives, evidence.chosen.threshold);
    let text = match args.format {
        Format::Json => {
            let report = Report { evidence: &evidence, per_rule: &per_rule };
            format!("{}\n", serde_json::to_string(&report)?)
        }
        Format::Text => {
            let by_rule = per_rule::table(&per_rule, "at the proven threshold");
            format!("{}{by_rule}", report(&evidence, level))
        }
    };
    filter.about.calibration = Some(evidence);
    filter.about.proven_on = held_out.texts;
    if filter.about.decides.take().is_some() {
        report_note("what it decided by itself is over with the new threshold; promote it anew");
    }
    write(&args.filter, &filter.to_bytes())?;
    print_result(&text)?;
    Ok(Exit::Clear)
}

/// What was proven, for machines.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    evidence: &'a Evidence,
    per_rule: &'a [Caught],
}

struct HeldOut {
    scored: Vec<Scored>,
    /// Violations: their places among the rows, and their scores.
    positives: Vec<(usize, f64)>,
    texts: Prints,
    n_seen: usize,
    /// Rows whose text another row has.
    n_again: usize,
}

/// Scores of the rows that training did not see and whose truths say whether they must be passed on.
fn score(filter: &Filter, encoder: Option<&dyn Encoder>, rows: &[Row]) -> Result<HeldOut> {
    let known =
        rows.iter().enumerate().filter_map(|(at, row)| Some((at, row, truth(&row.truths)?)));
    let (seen, mut unseen): (Vec<_>, Vec<_>) =
        known.partition(|(_, row, _)| filter.has_seen(&row.text));
    // A text that comes many times is one proof; it must be passed on if any of its rows must.
    unseen.sort_by_key(|(_, _, truth)| !truth);
    let n_unseen = unseen.len();
    let mut forms = HashSet::new();
    unseen.retain(|(_, row, _)| forms.insert(normalise(&row.text).text));
    let texts: Vec<&str> = unseen.iter().map(|(_, row, _)| row.text.as_str()).collect();
    let scores = filter.scorer(encoder)?.score_all(&texts)?;
    let scored =
        unseen.iter().zip(scores).map(|((at, _, truth), found)| (*at, *truth, found.score));
    let scored: Vec<(usize, bool, f64)> = scored.collect();
    Ok(HeldOut {
        scored: cascade::scored(scored.iter().map(|(_, truth, score)| (*truth, *score)))?,
        positives: scored.iter().filter(|it| it.1).map(|(at, _, score)| (*at, *score)).collect(),
        texts: Prints::of(texts),
        n_seen: seen.len(),
        n_again: n_unseen - unseen.len(),
    })
}

/// One label is enough to violate; all must be known to be absent for a clear item.
fn truth(truths: &[Option<bool>]) -> Option<bool> {
    if truths.contains(&Some(true)) {
        return Some(true);
    }
    (!truths.contains(&None)).then_some(false)
}

fn advised(error: cascade::CascadeError, n_seen: usize) -> anyhow::Error {
    match error {
        cascade::CascadeError::TooFewPositives { .. } if n_seen > 0 => hinted(
            error,
            "keep rows back from training: the first command's --data and this one's must be different rows",
        ),
        error => anyhow!(error),
    }
}

fn report(evidence: &Evidence, level: Level) -> String {
    let chosen = &evidence.chosen;
    let mut out = format!(
        "recall of at least {} proven with confidence {} on {} positives and {} negatives: threshold {:.4}\n",
        chosen.recall,
        evidence.confidence,
        evidence.n_positives,
        evidence.n_negatives,
        chosen.threshold
    );
    let passed = evidence.passed_on(chosen, level);
    // A string takes everything.
    let _ = writeln!(
        out,
        "passes on {} of these rows ({:.3}–{:.3})",
        share(passed.value),
        passed.interval.low,
        passed.interval.high
    );
    if let Some(traffic) = evidence.passed_on_in_traffic(chosen, level) {
        let _ = writeln!(
            out,
            "passes on {:.3} of traffic ({:.3}–{:.3}) where {} of it violates",
            traffic.value,
            traffic.interval.low,
            traffic.interval.high,
            evidence.base_rate.unwrap_or_default()
        );
    }
    let _ = writeln!(out, "\n{}", table(evidence, level));
    let _ = writeln!(out, "Each line holds by itself, if its promise was chosen before looking.");
    out
}

/// What each promise would cost.
fn table(evidence: &Evidence, level: Level) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "promise",
        "threshold",
        "proven",
        "passed on",
        "interval",
        "of clear items",
    ]);
    for row in &evidence.table {
        table.add_row(cells(evidence, row, level));
    }
    align_numbers(&mut table, 0);
    table.trim_fmt()
}

fn cells(evidence: &Evidence, row: &PromiseRow, level: Level) -> [String; 6] {
    let passed = evidence.passed_on(row, level);
    let of_clear = row.passed_negatives as f64 / evidence.n_negatives as f64;
    [
        row.recall.to_string(),
        format!("{:.4}", row.threshold),
        format!("{:.4}", row.proven_recall),
        share(passed.value),
        format!("{:.3}–{:.3}", passed.interval.low, passed.interval.high),
        share((evidence.n_negatives > 0).then_some(of_clear)),
    ]
}
