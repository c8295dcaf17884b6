//! `safeguard filter train`: from labelled rows, or from verdicts, to a filter's file.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use cascade::{
    About, CascadeError, Encoder, Filter, HeldOutScore, Reading, Row, Stretch, TrainSettings,
    train_and_score,
};
use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use policy::Policy;
use serde::Serialize;

use super::per_rule::{self, Caught, caught};
use super::source::{Labelled, SourceArgs};
use super::{counted, encoder, share};
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
#[command(group = clap::ArgGroup::new("vectors").args(["embed", "probe"]))]
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
    /// Read sentence embeddings too: the directory of an encoder of the BERT family, or its name in the cache of
    /// Hugging Face
    #[arg(long, value_name = "DIR|NAME")]
    embed: Option<String>,
    /// Read what --model makes of each item under --policy before it says anything: its state where the verdict would
    /// begin, for the price of reading the item
    #[arg(long, requires = "policy", conflicts_with = "embed")]
    probe: bool,
    /// Read sentence embeddings, or the model's state, alone
    #[arg(long, requires = "vectors")]
    no_ngrams: bool,
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
    let policy = policy.map(|(_, policy)| policy);
    if args.source.is_from(&args.out) {
        bail!("the filter must go to a file of its own");
    }
    let labels = args.source.labels(&args.label);
    let Labelled { rows, rules } = args.source.read(&labels, policy.as_ref())?;
    let (encoder, place) = vectors(args, policy.as_ref())?;
    let policy = policy.map(|policy| policy.reference());
    let settings = TrainSettings {
        seed: args.seed,
        n_folds: args.folds.into(),
        costs: args.cost.clone(),
        positive_weight: args.positive_weight.0,
        ..TrainSettings::default()
    };
    let reading = Reading { ngrams: !args.no_ngrams, encoder: encoder.as_deref(), place };
    let bar = progress();
    let progress = |stretch, n_done, n_all| {
        bar.set_message(match stretch {
            Stretch::Encoding => "texts encoded",
            Stretch::Fitting => "fits",
        });
        bar.set_length(n_all as u64);
        bar.set_position(n_done as u64);
    };
    let trained = train_and_score(&rows, &labels, policy, &reading, &settings, progress);
    bar.finish_and_clear();
    let (filter, held_out) = trained.map_err(advised).with_context(|| args.source.place())?;
    let bytes = filter.to_bytes();
    write(&args.out, &bytes)?;
    let per_rule = by_rule(&rows, &rules, &held_out);
    match args.format {
        Format::Json => {
            let report = Report { about: &filter.about, per_rule: &per_rule };
            print_result(&format!("{}\n", serde_json::to_string(&report)?))?;
        }
        Format::Text => {
            let by_rule = per_rule::table(&per_rule, "where 0.95 of all are caught");
            print_result(&format!("{}{by_rule}", report(&filter, bytes.len())))?;
        }
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

/// What was trained, for machines.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    about: &'a About,
    per_rule: &'a [Caught],
}

/// Of each rule, the held-out violations caught where the threshold catches [`USUAL_RECALL`] of all.
fn by_rule(rows: &[Row], rules: &[Vec<String>], held_out: &[Vec<HeldOutScore>]) -> Vec<Caught> {
    // A row passes on what its best head finds, as the filter does.
    let mut best: BTreeMap<usize, f64> = BTreeMap::new();
    for HeldOutScore { row, score } in held_out.iter().flatten() {
        let so_far = best.entry(*row).or_insert(*score);
        *so_far = so_far.max(*score);
    }
    let is_positive = |row: &usize| rows[*row].truths.contains(&Some(true));
    let positives: Vec<(usize, f64)> =
        best.into_iter().filter(|(row, _)| is_positive(row)).collect();
    let mut scores: Vec<f64> = positives.iter().map(|(_, score)| *score).collect();
    scores.sort_by(|a, b| b.total_cmp(a));
    let wanted = (USUAL_RECALL * scores.len() as f64).ceil() as usize;
    let threshold = wanted.checked_sub(1).and_then(|last| scores.get(last));
    let Some(&threshold) = threshold else { return Vec::new() };
    caught(positives.iter().map(|(row, score)| (rules[*row].as_slice(), *score)), threshold)
}

/// The recall at which rules are compared.
const USUAL_RECALL: f64 = 0.95;

/// An encoder, and where it can be found again.
type Vectors = (Option<Arc<dyn Encoder>>, Option<String>);

/// What the filter is to read vectors with.
fn vectors(args: &Args, policy: Option<&Policy>) -> Result<Vectors> {
    if let (true, Some(policy)) = (args.probe, policy) {
        return Ok((Some(encoder::probe(args.source.model().open_local()?, policy)), None));
    }
    Ok(args.embed.as_deref().map(encoder::chosen).transpose()?.unzip())
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
