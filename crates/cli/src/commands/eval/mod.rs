//! `safeguard eval`: how well a judge applies policies, in numbers with intervals.

mod calibrate;
mod clock;
mod compare;
mod evaluation;
#[cfg(test)]
mod fixture;
mod groups;
mod input;
mod item;
mod matrix;
mod measures;
mod page;
mod routes;
mod summary;
mod want;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cascade::{EFFORTS, Learned};
use clap::ValueEnum;
use policy::eval::{Bootstrap, CalibrationMethod, Level};
use policy::{Effort, Stage, Verdict};
use serde::Serialize;

use super::judging::{
    Calibrations, CascadeArgs, CaseJudge, CasesArgs, EffortName, MetricsArgs, Progress,
};
use crate::exit::Exit;
use crate::output::{Format, report_note};
use compare::Earlier;
use evaluation::{Evaluation, Judged, Method, Run};
use groups::By;
use input::{InputArgs, Source};
use item::Item;
use want::Want;

/// Measure policies on golden sets: precision, recall, F1, κ, curves and calibration, all with intervals
///
/// Items come as golden sets beside policies, or as labelled rows with --data and --label. Every measure has a
/// 95 % interval: Wilson's for shares, the bootstrap for the rest. What is undetermined is counted apart, by
/// cause, and enters no other measure. Scores are probabilities of a violation.
///
/// Exit status: 0 done, also where the judge is wrong or something is undetermined (this measures; `policy test`
/// decides), 2 could not be done.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    input: InputArgs,
    /// Judge every item so many times, each with a seed of its own: the majority decides, the score is the mean
    ///
    /// More than half of all votes must agree, or the item is undetermined.
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=100))]
    votes: u16,
    /// Compare efforts: one run each
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        value_name = "EFFORT,…",
        conflicts_with = "effort"
    )]
    efforts: Vec<EffortName>,
    /// Run at every effort, learn which answers of low effort may stand, and write it for --cascade
    ///
    /// F1 stays what high effort alone reaches, within its interval, at the fewest tokens. Half of the cases choose, the
    /// other half confirms; at least 100 are needed. An answer that is in doubt goes on to the next effort.
    #[arg(long, value_name = "FILE.toml", conflicts_with_all = ["effort", "efforts", "votes", "cascade", "direct"])]
    routes_out: Option<PathBuf>,
    /// Measure groups apart, and the gap between them
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KIND,…")]
    by: Vec<By>,
    /// Calibrate scores: show what it would do to unseen items
    #[arg(long, value_enum, value_name = "METHOD")]
    calibrate: Option<Calibrate>,
    /// Keep the calibration as calibration.json beside each policy: from then on its verdicts have a probability
    ///
    /// It is for single verdicts, so not for --votes.
    #[arg(long, requires = "calibrate", conflicts_with_all = ["efforts", "suite", "votes", "cascade"])]
    save_calibration: bool,
    /// Show the threshold for a precision or a recall, such as precision=0.9; may be given many times
    #[arg(long, value_name = "MEASURE=LEAST")]
    want: Vec<Want>,
    /// Show what changed since an earlier run: its JSON
    #[arg(long, value_name = "EARLIER.json")]
    compare: Option<PathBuf>,
    /// Write a page for a browser: one file that shows items, so handle it like them
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// Sets drawn for each bootstrap interval
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    resamples: u32,
    /// Write everything as JSON too, item by item
    #[arg(long, value_name = "FILE")]
    out_json: Option<PathBuf>,
    /// How to write the results: for people, or as one JSON object
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    metrics: MetricsArgs,
    #[command(flatten)]
    cascade: CascadeArgs,
    #[command(flatten)]
    cases: CasesArgs,
}

/// What was judged under one effort.
type EffortJudged<'a> = (Option<Effort>, Vec<Judged<'a>>);

/// How scores are calibrated.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Calibrate {
    /// By one number; for a hundred items and up
    Temperature,
    /// By a rising curve; for a thousand items and up
    Isotonic,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    // All that can be wrong with the files is said before anything is judged.
    let sources = args.input.read()?;
    if args.routes_out.is_some() {
        routes::check(&sources)?;
    }
    let earlier = args.compare.as_deref().map(Earlier::read).transpose()?;
    let calibrations = Calibrations::of(sources.iter().map(|source| &source.suite))?;
    let policies = sources.iter().map(|source| &source.suite.policy);
    let mut judge = CaseJudge::open(&args.cases, calibrations)?.behind(&args.cascade, policies)?;
    let method = Method {
        bootstrap: Bootstrap {
            n_resamples: args.resamples as usize,
            level: Level::P95,
            ..Bootstrap::default()
        },
        by: &args.by,
        calibrate: args.calibrate.map_or(CalibrationMethod::None, CalibrationMethod::from),
        wants: &args.want,
        direct: judge.settings().direct,
    };
    if let Some(earlier) = &earlier {
        earlier.note_where_direct_differs(method.direct);
    }
    let progress = Progress::new(n_verdicts(args, &sources), 0);
    let mut judged = Vec::new();
    for effort in efforts(args, &judge) {
        if let Some(effort) = effort {
            judge.set_effort(effort);
        }
        judged.push((effort, judge_all(args, &judge, &sources, &progress)));
    }
    progress.finish();
    judge.report();
    let runs: Vec<Run> =
        judged.iter().map(|(effort, judged)| Run::new(*effort, judged, &method)).collect();
    let settings = judge.settings();
    let comparison = earlier.map(|earlier| earlier.compare(&runs));
    let evaluation = Evaluation::new(runs, model(&judged), args.votes, settings, &method.bootstrap);
    let evaluation = Evaluation { comparison, routes: learned(args, &judged)?, ..evaluation };
    write_files(args, &evaluation, &judged)?;
    if let (Some(path), Some(learned)) = (&args.routes_out, &evaluation.routes) {
        routes::save(path, learned, &sources, &evaluation.model, &evaluation.made)?;
    }
    write_metrics(args, &judge, &judged)?;
    if args.save_calibration {
        save_calibrations(&evaluation, &judge)?;
    }
    match args.format {
        Format::Text => summary::show(&evaluation),
        Format::Json => println!("{}", serde_json::to_string(&evaluation)?),
    }
    Ok(Exit::Clear)
}

impl From<Calibrate> for CalibrationMethod {
    fn from(method: Calibrate) -> CalibrationMethod {
        match method {
            Calibrate::Temperature => CalibrationMethod::Temperature,
            Calibrate::Isotonic => CalibrationMethod::Isotonic,
        }
    }
}

/// The routes, where they are wanted.
fn learned(args: &Args, judged: &[EffortJudged<'_>]) -> Result<Option<Learned>> {
    let seed = args.routes_out.as_ref().map(|_| 0);
    seed.map(|seed| routes::learn(judged, seed)).transpose()
}

/// Every vote is a verdict here.
fn write_metrics(args: &Args, judge: &CaseJudge, judged: &[EffortJudged<'_>]) -> Result<()> {
    let Some(mut metrics) = args.metrics.begin() else { return Ok(()) };
    let items = judged.iter().flat_map(|(_, judged)| judged).flat_map(|one| &one.items);
    for verdict in items.flat_map(|item| &item.verdicts) {
        metrics.add(verdict, judge.cascaded())?;
    }
    metrics.write(judge.cascaded())
}

/// Everything but the summary.
fn write_files(args: &Args, evaluation: &Evaluation, judged: &[EffortJudged<'_>]) -> Result<()> {
    if let Some(path) = &args.out_json {
        write_json(path, evaluation)?;
    }
    if let Some(path) = &args.report {
        let judged: Vec<&[Judged<'_>]> =
            judged.iter().map(|(_, judged)| judged.as_slice()).collect();
        write(path, &page::page(evaluation, &judged))?;
    }
    Ok(())
}

fn save_calibrations(evaluation: &Evaluation, judge: &CaseJudge) -> Result<()> {
    for path in calibrate::save(evaluation, &judge.identity(), judge.settings())? {
        report_note(&format!("calibration written to {}", path.display()));
    }
    Ok(())
}

/// What each run asks for: the efforts to compare, or the one that holds anyway.
fn efforts(args: &Args, judge: &CaseJudge) -> Vec<Option<Effort>> {
    if args.routes_out.is_some() {
        return EFFORTS.map(Some).to_vec();
    }
    if args.efforts.is_empty() {
        return vec![judge.settings().effort];
    }
    args.efforts.iter().map(|&effort| Some(effort.into())).collect()
}

fn n_verdicts(args: &Args, sources: &[Source]) -> usize {
    let n_cases: usize = sources.iter().map(|source| source.suite.cases.len()).sum();
    let n_efforts =
        if args.routes_out.is_some() { EFFORTS.len() } else { args.efforts.len().max(1) };
    n_cases * usize::from(args.votes) * n_efforts
}

/// Every case of every source, with all its votes.
fn judge_all<'a>(
    args: &Args,
    judge: &CaseJudge,
    sources: &'a [Source],
    progress: &Progress,
) -> Vec<Judged<'a>> {
    let judge_one = |source: &'a Source| {
        let rounds = judge.rounds(&source.suite, args.votes, progress);
        let votes =
            |at: usize| -> Vec<Verdict> { rounds.iter().map(|round| round[at].clone()).collect() };
        let cases = source.suite.cases.iter().enumerate();
        Judged { source, items: cases.map(|(at, case)| Item::new(case, votes(at))).collect() }
    };
    sources.iter().map(judge_one).collect()
}

/// What answered, by its own word.
fn model(judged: &[EffortJudged<'_>]) -> String {
    let items = judged.iter().flat_map(|(_, judged)| judged).flat_map(|one| &one.items);
    // A filter that stopped everything is the only one to name.
    let of_reasoner = |item: &&Item| item.telling().stage == Stage::Reasoner;
    let item = items.clone().find(of_reasoner).or_else(|| items.clone().next());
    item.map(|item| item.telling().model.clone()).unwrap_or_default()
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    write(path, &text)
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("{}: cannot be written", path.display()))
}
