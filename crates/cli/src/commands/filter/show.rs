//! `safeguard filter show`: what a filter is, and why a text has its score.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Result;
use cascade::{Contribution, Filter, FilterScore, Promotion, Reads, Ruling, readable};
use comfy_table::{CellAlignment, Table, presets};
use policy::Content;
use serde::Serialize;

use super::encoder::EncoderArgs;
use super::{counted, read_filter, share};
use crate::exit::Exit;
use crate::output::{Format, print_result, shown};

/// Describe a filter, or explain the score of a text
///
/// Exit status: 0 done, 2 could not be done.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The filter
    #[arg(value_name = "FILTER")]
    filter: PathBuf,
    /// A text to explain
    text: Option<String>,
    /// How many of the text's features to show
    #[arg(long, value_name = "N", default_value_t = 12, requires = "text")]
    top: usize,
    #[command(flatten)]
    encoder: EncoderArgs,
    /// How to write it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    let filter = read_filter(&args.filter)?;
    let text = match &args.text {
        Some(text) => {
            let content = Content::text(text.as_str());
            content.check()?;
            explained(&filter, &readable(&content), args)?
        }
        None => described(&filter, args.format)?,
    };
    print_result(&text)?;
    Ok(Exit::Clear)
}

fn described(filter: &Filter, format: Format) -> Result<String> {
    let about = &filter.about;
    if let Format::Json = format {
        return Ok(format!("{}\n", serde_json::to_string(about)?));
    }
    let bound = about.policy.as_ref().map_or_else(
        || "no policy".to_owned(),
        |policy| format!("policy {} {}", policy.name, policy.id),
    );
    let mut out = format!("labels       {}\nbound to     {bound}\n", about.labels.join(", "));
    // A string takes everything.
    let _ = writeln!(out, "reads        {}", read_by(&about.reads));
    let _ = writeln!(out, "trained on   {}", counted(about.training.n_rows, "row"));
    for it in &about.training.labels {
        let _ = writeln!(
            out,
            "             {}: {} with it, {} without; AUPRC {} on rows not seen",
            it.label,
            it.n_positives,
            it.n_negatives,
            share(it.average_precision)
        );
    }
    let calibrated = about.calibration.as_ref().map_or_else(
        || "no: everything is passed on".to_owned(),
        |it| {
            format!(
                "recall {} at confidence {}: scores from {:.4} are passed on; proven on {} positives",
                it.chosen.recall, it.confidence, it.chosen.threshold, it.n_positives
            )
        },
    );
    let _ = writeln!(out, "calibrated   {calibrated}");
    if let Some(decides) = &about.decides {
        let _ = writeln!(out, "decides      {}", band(decides));
    }
    Ok(out)
}

/// What a promoted filter decides by itself.
pub(super) fn band(decides: &Promotion) -> String {
    let low = decides.low.map(|low| format!("clear below {low:.4}"));
    let high = decides.high.map(|high| format!("violation from {high:.4}"));
    let sides: Vec<String> = low.into_iter().chain(high).collect();
    format!(
        "{}; at confidence {} as often right as {} on {} rows",
        sides.join(", "),
        decides.confidence,
        decides.reasoner,
        decides.n_rows
    )
}

fn read_by(reads: &Reads) -> String {
    let ngrams = reads.ngrams.map(|_| "n-grams".to_owned());
    let dense = reads.dense.as_ref().map(|dense| {
        let place = dense.place.as_ref().map(|place| format!(", found at {place}"));
        format!("{} of {} numbers{}", dense.identity, dense.n_dims, place.unwrap_or_default())
    });
    ngrams.into_iter().chain(dense).collect::<Vec<_>>().join(" and ")
}

/// A score with its reasons.
#[derive(Serialize)]
struct Explained<'a> {
    score: f64,
    pass: bool,
    label: &'a str,
    features: &'a [Contribution],
}

fn explained(filter: &Filter, text: &str, args: &Args) -> Result<String> {
    let encoder = args.encoder.open(&args.filter, filter)?;
    let mut scorer = filter.scorer(encoder.as_deref())?;
    let FilterScore { score, label, .. } = scorer.score(text)?;
    let features = scorer.explain(text)?;
    let n_shown = args.top.min(features.len());
    let label = filter.about.labels[label].as_str();
    let pass = filter.ruling(score) == Ruling::PassedOn;
    if let Format::Json = args.format {
        let explained = Explained { score, pass, label, features: &features[..n_shown] };
        return Ok(format!("{}\n", serde_json::to_string(&explained)?));
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["feature", "log-odds"]);
    for it in &features[..n_shown] {
        table.add_row([format!("“{}”", shown(&it.feature)), format!("{:+.3}", it.log_odds)]);
    }
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let rest: f64 = features[n_shown..].iter().map(|it| it.log_odds).sum();
    table.add_row([format!("{} more", features.len() - n_shown), format!("{rest:+.3}")]);
    let what = match filter.ruling(score) {
        Ruling::Stopped => "stopped",
        Ruling::Clear => "clear",
        Ruling::Violation => "violation",
        Ruling::PassedOn => "passed on",
    };
    Ok(format!("{label} {score:.4}, {what}\n\n{}\n", table.trim_fmt()))
}
