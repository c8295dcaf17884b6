//! `safeguard filter promote`: lets a filter decide by itself where it judges better than the model.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use cascade::text::normalise;
use cascade::{CascadeError, Comparison, Contest, Edge, Filter, FilterScore, compare, readable};
use comfy_table::{Table, presets};
use policy::eval::{Confusion, Interval, Level};
use policy::{GoldenCase, Policy};
use reasoner::{Job, judge_many};
use serde::Serialize;

use super::encoder::EmbedArgs;
use super::show::band;
use super::source::{VIOLATION, read_verdicts};
use super::{counted, read_filter, share};
use crate::commands::files::{read_policy, write};
use crate::commands::judging::{JudgeArgs, Lifetime, Progress, Suite};
use crate::commands::labelled;
use crate::exit::Exit;
use crate::output::{Format, align_numbers, hinted, print_result, report_hint, report_note};

/// Let a calibrated filter give final verdicts, if it judges better than the model
///
/// Both are compared on labelled items that neither training nor calibration saw: half of them choose the scores
/// beyond which the filter may decide, the other half confirms. It is promoted if its F1 and its balanced accuracy
/// are higher, the intervals of the differences above 0, and if beyond an edge it is right at least as often as the
/// model, by an exact bound. In between the model goes on to decide. Otherwise nothing is changed.
///
/// Exit status: 0 promoted, 1 not better, so nothing is changed, 2 could not be done.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The filter; it is written back with what it may decide
    #[arg(value_name = "FILTER")]
    filter: PathBuf,
    /// Labelled items: {"id","text","labels":{NAME:0|1}} a line
    #[arg(long, value_name = "IN.jsonl", required_unless_present = "golden")]
    data: Option<PathBuf>,
    /// Which label of --data is a violation; by default that of the training
    #[arg(long, value_name = "NAME", requires = "data")]
    label: Option<String>,
    /// Golden cases of the policy in place of --data
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    golden: Option<PathBuf>,
    /// The policy that the filter is bound to
    #[arg(long, short, value_name = "FILE")]
    policy: PathBuf,
    /// Take the model's word from these verdicts, which `safeguard batch` made of the same items, and run no model
    #[arg(long, value_name = "VERDICTS.jsonl")]
    verdicts: Option<PathBuf>,
    /// How sure to be
    #[arg(long, value_name = "C", default_value_t = 0.95)]
    confidence: f64,
    /// Splits the items and draws the intervals
    #[arg(long, value_name = "N", default_value_t = 0)]
    split_seed: u64,
    /// Most items under way at once
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    max_inflight: u16,
    /// How to write the comparison
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    embed: EmbedArgs,
    #[command(flatten)]
    judge: JudgeArgs,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    if args.judge.settings().direct {
        return Err(refused_direct("--direct"));
    }
    let mut filter = read_filter(&args.filter)?;
    let level = Level::new(args.confidence)
        .ok_or(CascadeError::Confidence { confidence: args.confidence })?;
    let (_, policy) = read_policy(&args.policy)?;
    check_filter(&args.filter, &filter, &policy)?;
    let cases = held_out(&filter, read_cases(args, &filter)?)?;
    let (reasoner, said) = reasoner(args, &policy, &cases)?;
    let texts: Vec<String> = cases.iter().map(|case| readable(&case.content)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let encoder = args.embed.open(&args.filter, &filter, Some(&policy), args.judge.model())?;
    let scores = filter.scorer(encoder.as_deref())?.score_all(&texts)?;
    let contest = |(case, found): (&GoldenCase, FilterScore)| Contest {
        truth: case.outcome.is_violation(),
        score: found.score,
        reasoner: said.get(&case.id).copied().flatten(),
    };
    let rows: Vec<Contest> = cases.iter().zip(scores).map(contest).collect();
    let comparison = compare(&rows, level, args.split_seed).map_err(|error| {
        hinted(error, "label more items; the model must have decided them, under this policy")
    })?;
    let promotion = comparison.promotion(level, &reasoner);
    let text = match args.format {
        Format::Text => report(&comparison, &reasoner, level),
        Format::Json => {
            let promoted = promotion.is_some();
            format!(
                "{}\n",
                serde_json::to_string(&Report {
                    promoted,
                    reasoner: &reasoner,
                    comparison: &comparison
                })?
            )
        }
    };
    print_result(&text)?;
    let Some(promotion) = promotion else {
        report_note(&format!("not promoted, nothing is changed: {}", why_not(&comparison)));
        return Ok(Exit::Found);
    };
    report_note(&format!("promoted: {}", band(&promotion)));
    warn_of_audit(&filter, &comparison);
    filter.about.decides = Some(promotion);
    write(&args.filter, &filter.to_bytes())?;
    Ok(Exit::Clear)
}

/// A filter that beats the model while it may not reason is not shown to beat the one that it would decide for.
fn refused_direct(place: &str) -> anyhow::Error {
    hinted(
        anyhow!("{place}: direct verdicts are not what the model says once it reasons"),
        "compare the filter with verdicts that were made with reasoning, without --direct",
    )
}

fn check_filter(path: &Path, filter: &Filter, policy: &Policy) -> Result<()> {
    let how = "`safeguard filter calibrate FILTER --data … --policy …` proves its recall and binds it to a policy";
    if filter.about.calibration.is_none() {
        return Err(hinted(
            anyhow!(CascadeError::Uncalibrated).context(path.display().to_string()),
            how,
        ));
    }
    filter
        .check_policy(&policy.reference())
        .map_err(|error| hinted(anyhow!(error).context(path.display().to_string()), how))
}

/// The items with their truths.
fn read_cases(args: &Args, filter: &Filter) -> Result<Vec<GoldenCase>> {
    let Some(data) = &args.data else {
        return Ok(Suite::read(&args.policy, args.golden.as_deref())?.cases);
    };
    let label = match (&args.label, filter.about.labels.as_slice()) {
        (Some(label), _) => label.as_str(),
        (None, [only]) => only.as_str(),
        (None, _) => VIOLATION,
    };
    let rows = labelled::read(data, labelled::parse)?;
    labelled::check_label(data, &rows, label)
        .map_err(|error| hinted(error, "name the label that is a violation with --label"))?;
    Ok(rows.iter().filter_map(|row| row.case(label)).collect())
}

/// Those that nothing was chosen by.
fn held_out(filter: &Filter, cases: Vec<GoldenCase>) -> Result<Vec<GoldenCase>> {
    let n_cases = cases.len();
    let is_new = |case: &GoldenCase| {
        let text = readable(&case.content);
        !filter.has_seen(&text) && !filter.about.proven_on.contains(&text)
    };
    let mut kept: Vec<GoldenCase> = cases.into_iter().filter(is_new).collect();
    let n_seen = n_cases - kept.len();
    // One text many times is one proof, and must not both choose an edge and confirm it.
    let mut forms = HashSet::new();
    kept.retain(|case| forms.insert(normalise(&readable(&case.content)).text));
    if kept.is_empty() {
        return Err(hinted(
            anyhow!("training or calibration has seen every item, so nothing can be compared"),
            "give labelled items that were kept back from both",
        ));
    }
    if n_seen > 0 {
        report_note(&format!(
            "{} left out, as training or calibration saw them",
            counted(n_seen, "item")
        ));
    }
    Ok(kept)
}

/// Who judged, and what it said of each item; `None` where undetermined.
type Said = (String, HashMap<String, Option<bool>>);

fn reasoner(args: &Args, policy: &Policy, cases: &[GoldenCase]) -> Result<Said> {
    if let Some(path) = &args.verdicts {
        let verdicts = read_verdicts(path, &policy.reference())?;
        if verdicts.are_direct {
            return Err(refused_direct(&path.display().to_string()));
        }
        let said =
            verdicts.said.into_iter().map(|(id, said)| (id, Some(said.is_violation))).collect();
        return Ok((verdicts.model, said));
    }
    let judge = args.judge.open(Lifetime::Run)?.judge;
    let settings = args.judge.settings();
    let progress = Progress::new(cases.len(), 0);
    let jobs = cases.iter().enumerate().map(|(number, case)| Job {
        number,
        policy,
        content: Arc::new(case.content.clone()),
        settings: &settings,
    });
    let (mut said, mut model) = (HashMap::new(), String::new());
    judge_many(judge.as_ref(), jobs, args.max_inflight.into(), |number, verdict| {
        progress.one();
        said.insert(cases[number].id.clone(), verdict.outcome.is_violation());
        model = verdict.model;
        true
    });
    progress.finish();
    if said.values().all(Option::is_none) {
        bail!("the model decided nothing, so there is nothing to compare with");
    }
    Ok((model, said))
}

/// The comparison for machines.
#[derive(Serialize)]
struct Report<'a> {
    promoted: bool,
    reasoner: &'a str,
    #[serde(flatten)]
    comparison: &'a Comparison,
}

fn report(comparison: &Comparison, reasoner: &str, level: Level) -> String {
    let mut out = format!(
        "{} chose, {} confirmed; what follows is of those that confirmed\n",
        counted(comparison.n_rows.0, "item"),
        counted(comparison.n_rows.1, "item")
    );
    // A string takes everything.
    if comparison.n_undetermined > 0 {
        let n = counted(comparison.n_undetermined, "item");
        let _ = writeln!(out, "{n} left out, as the model did not decide them");
    }
    let classifier = format!("filter, violation from {:.4}", comparison.threshold);
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "",
        "F1",
        "balanced",
        "precision",
        "recall",
        "wrong",
    ]);
    table.add_row(measures(&classifier, &comparison.classifier));
    table.add_row(measures(reasoner, &comparison.reasoner));
    let difference = [
        format!("difference, {:.0} % interval", 100.0 * level.value()),
        range(comparison.f1_difference),
        range(comparison.balanced_difference),
        String::new(),
        String::new(),
        format!("p {:.2}", comparison.p_value),
    ];
    table.add_row(difference);
    align_numbers(&mut table, 1);
    let _ = writeln!(out, "\n{}\n", table.trim_fmt());
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "by itself",
        "score",
        "items",
        "right",
        "at least",
        "model",
        "confirmed",
    ]);
    table.add_row(edge_cells("clear", "below", comparison.low));
    table.add_row(edge_cells("violation", "from", comparison.high));
    align_numbers(&mut table, 1);
    let _ = writeln!(out, "{}", table.trim_fmt());
    out
}

fn measures(name: &str, counts: &Confusion) -> [String; 6] {
    [
        name.to_owned(),
        share(counts.f1()),
        share(counts.balanced_accuracy()),
        share(counts.precision()),
        share(counts.recall()),
        format!("{} of {}", counts.fp + counts.fn_, counts.determined()),
    ]
}

fn edge_cells(says: &str, side: &str, edge: Option<Edge>) -> [String; 7] {
    let Some(edge) = edge else {
        return [says, "—", "—", "—", "—", "—", "no such score"].map(str::to_owned);
    };
    [
        says.to_owned(),
        format!("{side} {:.4}", edge.at),
        edge.n_decided.to_string(),
        share(edge.right),
        format!("{:.3}", edge.bound),
        format!("{:.3}", edge.reasoner),
        if edge.is_confirmed { "yes" } else { "no" }.to_owned(),
    ]
}

fn range(interval: Option<Interval>) -> String {
    interval.map_or_else(|| "—".to_owned(), |it| format!("{:+.3} to {:+.3}", it.low, it.high))
}

fn why_not(comparison: &Comparison) -> &'static str {
    if comparison.is_better() {
        "the filter is better as a whole, but beyond no score is it proven to be right as often as the model"
    } else {
        "the filter is not shown to be better: an interval of a difference reaches 0"
    }
}

/// The audit will measure the clear verdicts by the model's word.
fn warn_of_audit(filter: &Filter, comparison: &Comparison) {
    let promised = filter.about.calibration.as_ref().map(|it| it.chosen.recall);
    let is_cleared = comparison.low.is_some_and(|edge| edge.is_confirmed);
    if let (true, Some(promised), Some(seen)) =
        (is_cleared, promised, comparison.recall_of_reasoner)
        && seen < promised
    {
        report_note(&format!(
            "of what the model calls a violation, {seen:.3} scores above the lower edge; the audit goes by the model and watches over {promised}, so it will raise its alarm"
        ));
        report_hint(
            "on_alarm = \"keep\" in the cascade's file leaves the filter in service all the same",
        );
    }
}
