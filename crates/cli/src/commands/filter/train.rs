//! `safeguard filter train`: from labelled rows, or from verdicts, to a filter's file.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use cascade::{CascadeError, Filter, Reading, Stretch, TrainSettings};
use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressStyle};

use super::source::SourceArgs;
use super::{counted, share};
use crate::commands::files::{read_policy, write};
use crate::exit::Exit;
use crate::output::{Format, align_numbers, hinted, print_result, report_hint, report_note};

/// Train a filter on labelled items
///
/// One JSON object a line: {"id","text","labels":{NAME:0|1}}, or "prompt" and "reply", or "messages" in place of
/// "text". A label that a line lacks is not known: the line does not count for it. The report is on rows that the
/// training did not see, by cross-validation; it promises nothing: `safeguard filter calibrate` does. With --distill,
/// verdicts of the model stand in for labels; an item that a person labelled counts five times a verdict.
///
/// Exit status: 0 done, 2 could not be done.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    source: SourceArgs,
    /// What the filter is to find; given many times, the filter passes on what has any of them
    #[arg(long, value_name = "NAME", required_unless_present = "distill")]
    label: Vec<String>,
    /// Where the filter goes
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
    /// The policy that the labels stand for: the filter is bound to this version of it
    #[arg(long, short, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Orders rows and makes folds: the same seed and rows make the same filter
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Folds of the cross-validation
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u8).range(2..=20))]
    folds: u8,
    /// How closely to follow the rows: the one of these that does best on rows not seen
    #[arg(long, value_name = "C,…", value_delimiter = ',', default_values_t = [1.0, 4.0, 16.0], value_parser = positive)]
    cost: Vec<f64>,
    /// How much a row with the label counts beside one without; `balanced` lets both sides weigh the same
    #[arg(long, value_name = "W", default_value = "1", value_parser = positive_weight)]
    positive_weight: PositiveWeight,
    /// How to write the report
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// The weight of positives, or that of the sides made equal.
#[derive(Clone, Copy, Debug)]
struct PositiveWeight(Option<f64>);

fn positive_weight(text: &str) -> Result<PositiveWeight> {
    if text == "balanced" {
        Ok(PositiveWeight(None))
    } else {
        Ok(PositiveWeight(Some(positive(text)?)))
    }
}

fn positive(text: &str) -> Result<f64> {
    let number: f64 = text.parse()?;
    if number > 0.0 && number <= 1e6 {
        Ok(number)
    } else {
        bail!("must be above 0 and at most 1000000")
    }
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    let policy = args.policy.as_deref().map(read_policy).transpose()?;
    let policy = policy.map(|(_, policy)| policy.reference());
    if args.source.is_from(&args.out) {
        bail!("the filter must go to a file of its own");
    }
    let labels = args.source.labels(&args.label);
    let rows = args.source.read(&labels, policy.as_ref())?;
    let settings = TrainSettings {
        seed: args.seed,
        n_folds: args.folds.into(),
        costs: args.cost.clone(),
        positive_weight: args.positive_weight.0,
        ..TrainSettings::default()
    };
    let bar = progress();
    let reading = Reading::default();
    let filter =
        cascade::train(&rows, &labels, policy, &reading, &settings, |stretch, n_done, n_all| {
            bar.set_message(match stretch {
                Stretch::Encoding => "texts encoded",
                _ => "fits",
            });
            bar.set_length(n_all as u64);
            bar.set_position(n_done as u64);
        });
    bar.finish_and_clear();
    let filter = filter.map_err(advised).with_context(|| args.source.place())?;
    let bytes = filter.to_bytes();
    write(&args.out, &bytes)?;
    match args.format {
        Format::Json => print_result(&format!("{}\n", serde_json::to_string(&filter.about)?))?,
        Format::Text => print_result(&report(&filter, bytes.len()))?,
    }
    if filter.about.policy.is_none() {
        report_note("bound to no policy; --policy binds it to the one that its labels stand for");
    }
    report_hint(&format!(
        "prove its recall next, on rows that it has not seen: `safeguard filter calibrate {} --data …`",
        args.out.display()
    ));
    Ok(Exit::Clear)
}

fn advised(error: CascadeError) -> anyhow::Error {
    match error {
        CascadeError::TooFewRows { .. } => hinted(
            error,
            "label more rows; hundreds of each side are usual for a filter that saves anything",
        ),
        CascadeError::TooManyLabels { .. } => hinted(error, "train several filters"),
        error => anyhow!(error),
    }
}

fn progress() -> ProgressBar {
    let bar = ProgressBar::new(0);
    bar.set_style(
        ProgressStyle::with_template("{bar:32} {pos}/{len} {msg}  {eta} left").expect("a constant"),
    );
    bar
}

fn report(filter: &Filter, n_bytes: usize) -> String {
    let training = &filter.about.training;
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "label",
        "with",
        "without",
        "AUPRC",
        "AUROC",
        "recall at 10 %",
        "20 %",
        "30 %",
        "to pass for 0.95",
        "cost",
    ]);
    for it in &training.labels {
        let recalls = it.recall_passing.map(share);
        let mut cells =
            vec![it.label.clone(), it.n_positives.to_string(), it.n_negatives.to_string()];
        cells.extend([share(it.average_precision), share(it.auroc)]);
        cells.extend(recalls);
        cells.extend([share(it.passing_for_95), it.cost.to_string()]);
        table.add_row(cells);
    }
    align_numbers(&mut table, 1);
    format!(
        "{}, {} folds, seed {}; {:.1} MB\n{}\n",
        counted(training.n_rows, "row"),
        training.n_folds,
        training.seed,
        n_bytes as f64 / 1e6,
        table.trim_fmt()
    )
}
