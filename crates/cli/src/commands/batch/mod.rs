//! `safeguard batch`: a file of items under one or many policies, many at once, to be cut and gone on with.

mod input;
mod line;
mod openai;
mod order;
mod output;
mod summary;

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, bail};
use policy::{Judge, JudgeSettings, Policy, ScoreMethod, Verdict};
use reasoner::{Job, judge_many};

use super::files::read_policy;
use super::judging::{
    Calibrations, CascadeArgs, Cascaded, JudgeArgs, Lifetime, Metrics, MetricsArgs, Progress,
    Traffic, VotesArgs,
};
use crate::exit::Exit;
use crate::output::{hinted, report_note};
pub(crate) use input::next_line;
use input::{Errors, Input};
pub(crate) use line::{Item, LineError, items};
use order::{Order, Window};
pub(crate) use output::Written;
use output::{Done, Judges, Output};
use summary::Summary;

/// What to do where verdicts do not go into a file.
const NEW_FILE: &str = "give a new file with --out";
/// Most bytes of a line of input: no context is near it.
const MAX_LINE: usize = 16 << 20;

/// Judge a file of items under one or many policies, many at once
///
/// One JSON object a line: {"id","text"}, {"id","prompt","reply"} or {"id","messages"}, "metadata" if wanted; or
/// request lines of OpenAI's batch files. One line a verdict comes out. Started again after a cut, the same
/// command goes on where it stood. Lines that cannot be judged go to a second file.
///
/// Exit status: 0 all clear, 1 a policy is violated somewhere, 2 something is undetermined or could not be read.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The items
    #[arg(value_name = "IN.jsonl")]
    input: PathBuf,
    /// A policy: a Markdown file, or a folder with policy.md; may be given many times
    #[arg(long, short, value_name = "FILE", required = true)]
    policy: Vec<PathBuf>,
    /// Where the verdicts go; verdicts that are there already are not made again
    #[arg(long, short, value_name = "OUT.jsonl")]
    out: PathBuf,
    /// Where lines go that cannot be judged; by default OUT.errors.jsonl
    #[arg(long, value_name = "FILE")]
    errors: Option<PathBuf>,
    /// Most items under way at once
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    max_inflight: u16,
    /// Write verdicts as they come, not in the order of the input
    #[arg(long)]
    any_order: bool,
    /// Put the reasoning into the verdicts: it may repeat the content
    #[arg(long)]
    reasoning: bool,
    /// Judge again what an earlier run left undetermined
    #[arg(long)]
    retry_undetermined: bool,
    #[command(flatten)]
    metrics: MetricsArgs,
    #[command(flatten)]
    cascade: CascadeArgs,
    #[command(flatten)]
    judge: JudgeArgs,
    #[command(flatten)]
    votes: VotesArgs,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    let files = args.policy.iter().map(|path| read_policy(path)).collect::<Result<Vec<_>>>()?;
    let calibrations =
        Calibrations::beside(files.iter().map(|(path, policy)| (path.as_path(), policy)))?;
    let policies: Vec<Policy> = files.into_iter().map(|(_, policy)| policy).collect();
    check_names(&policies)?;
    let n_lines = count_lines(&args.input)?;
    let errors = args.errors.clone().unwrap_or_else(|| args.out.with_extension("errors.jsonl"));
    check_paths(args, &errors)?;
    let input = Input::open(&args.input, Errors::new(errors)?)?;
    let open = calibrations.over(args.judge.open(Lifetime::Run)?, args.judge.settings().direct);
    let (open, cascaded) = args.cascade.over(open, policies.iter(), Traffic::Queue)?;
    let judges = Judges::of_models(cascaded.as_ref().map_or(1, Cascaded::n_models));
    let (output, earlier) =
        Output::open(&args.out, args.reasoning, args.retry_undetermined, judges)?;
    let n_verdicts = n_lines * policies.len();
    if !earlier.done.is_empty() {
        report_note(&format!(
            "going on: {} of {n_verdicts} verdicts are there",
            earlier.done.len()
        ));
    }
    let earlier_exit = earlier.exit;
    let run = Run {
        judge: open.judge.as_ref(),
        policies: &policies,
        settings: args.votes.on(args.judge.settings()),
        n_in_flight: args.max_inflight.into(),
        progress: Progress::new(n_verdicts, earlier.done.len()),
        judges: Mutex::new(earlier.judges),
        done: earlier.done,
        cascaded: cascaded.as_ref(),
    };
    let mut metrics = args.metrics.begin();
    let order = if args.any_order { Order::AsTheyCome } else { Order::AsRead };
    let ended = run.to_end(input, output, order, &mut metrics);
    // What the audit saw is kept even if the output could not be.
    if let Some(cascaded) = &cascaded {
        cascaded.finish()?;
    }
    if let Some(metrics) = &mut metrics {
        metrics.write(cascaded.as_ref())?;
    }
    let (summary, errors) = ended?;
    summary.show(&errors);
    let exit = if errors.n > 0 { Exit::CouldNot } else { Exit::Clear };
    Ok(exit.max(summary.exit()).max(earlier_exit))
}

/// Verdicts name their policy, so no two may share a name.
fn check_names(policies: &[Policy]) -> Result<()> {
    for (at, policy) in policies.iter().enumerate() {
        if policies[..at].iter().any(|other| other.name == policy.name) {
            bail!("two policies are called {:?}", policy.name);
        }
    }
    Ok(())
}

fn check_paths(args: &Args, errors: &Path) -> Result<()> {
    let files = [args.input.as_path(), &args.out, errors];
    let is_twice = |file: &&Path| files.iter().filter(|other| *other == file).count() > 1;
    if files.iter().any(|file| is_twice(file) || args.metrics.is(file)) {
        bail!("input, verdicts, errors and metrics must be different files");
    }
    Ok(())
}

fn count_lines(path: &Path) -> Result<usize> {
    let place = || format!("{}: cannot be read", path.display());
    let mut reader = BufReader::with_capacity(1 << 20, File::open(path).with_context(place)?);
    let (mut n_lines, mut last) = (0, b'\n');
    loop {
        let buffer = reader.fill_buf().with_context(place)?;
        let Some(&end) = buffer.last() else { break };
        n_lines += buffer.iter().filter(|&&byte| byte == b'\n').count();
        last = end;
        let n_used = buffer.len();
        reader.consume(n_used);
    }
    Ok(n_lines + usize::from(last != b'\n'))
}

/// One run over the input.
struct Run<'a> {
    judge: &'a dyn Judge,
    policies: &'a [Policy],
    settings: JudgeSettings,
    n_in_flight: usize,
    progress: Progress,
    judges: Mutex<Judges>,
    done: Done,
    cascaded: Option<&'a Cascaded>,
}

/// What is known of a job that is under way: the item's id and the policy's place.
type UnderWay = Mutex<HashMap<usize, (String, usize)>>;

impl Run<'_> {
    fn to_end(
        &self,
        mut input: Input,
        mut output: Output,
        order: Order,
        metrics: &mut Option<Metrics>,
    ) -> Result<(Summary, Errors)> {
        let mut summary = Summary::new(self.policies);
        let under_way = UnderWay::default();
        let window = Window::new(order, self.n_in_flight);
        let mut waiting = order.waiting();
        let mut failure = None;
        let mut read_failure = None;
        let jobs = self.jobs(&mut input, &under_way, &window, &mut read_failure);
        judge_many(self.judge, jobs, self.n_in_flight, |number, verdict| {
            for (number, verdict) in waiting.next_in_order(number, verdict) {
                let (id, policy_idx) = under_way
                    .lock()
                    .expect("no holder panics")
                    .remove(&number)
                    .expect("it was begun");
                let policy = &self.policies[policy_idx];
                let written = self
                    .check_judge(&verdict)
                    .and_then(|()| output.write(&id, policy, &verdict))
                    .and_then(|()| self.keep(&verdict, metrics));
                if let Err(error) = written {
                    failure = Some(error);
                    window.close();
                    return false;
                }
                summary.add(policy_idx, &verdict);
                self.progress.one();
                window.written(number);
            }
            true
        });
        self.progress.finish();
        if let Some(error) = failure.or(read_failure) {
            return Err(error);
        }
        output.finish()?;
        Ok((summary, input.errors))
    }

    /// Every item under every policy that has no verdict yet.
    fn jobs<'a>(
        &'a self,
        input: &'a mut Input,
        under_way: &'a UnderWay,
        window: &'a Window,
        failure: &'a mut Option<anyhow::Error>,
    ) -> impl Iterator<Item = Job<'a>> + Send {
        let mut item = None;
        let mut next_policy = self.policies.len();
        let mut number = 0;
        std::iter::from_fn(move || {
            loop {
                if next_policy == self.policies.len() {
                    let next = input.next().unwrap_or_else(|error| {
                        *failure = Some(error);
                        None
                    });
                    item = Some(next.map(|item| (item.id, Arc::new(item.content)))?);
                    next_policy = 0;
                }
                let policy_idx = next_policy;
                next_policy += 1;
                let (id, content) = item.as_ref().expect("an item was read");
                let policy = &self.policies[policy_idx];
                if self.done.contains(&(id.clone(), policy.id.0.clone())) {
                    continue;
                }
                let job =
                    Job { number, policy, content: Arc::clone(content), settings: &self.settings };
                under_way
                    .lock()
                    .expect("no holder panics")
                    .insert(number, (id.clone(), policy_idx));
                number += 1;
                return window.wait_for(job.number).then_some(job);
            }
        })
    }

    /// What a run that is killed leaves beside its verdicts.
    fn keep(&self, verdict: &Verdict, metrics: &mut Option<Metrics>) -> Result<()> {
        if let Some(metrics) = metrics {
            metrics.add(verdict, self.cascaded)?;
        }
        self.cascaded.map_or(Ok(()), Cascaded::save_if_due)
    }

    /// Verdicts of two models, of two filters of one policy, or with and without reasoning, do not go into one file.
    fn check_judge(&self, verdict: &Verdict) -> Result<()> {
        let mut judges = self.judges.lock().expect("no holder panics");
        if judges.scored_otherwise(verdict.stage, verdict.score_method) {
            let problem = match verdict.score_method {
                ScoreMethod::Direct => "verdicts with reasoning, and those of now are direct",
                _ => "direct verdicts, and those of now are made with reasoning",
            };
            return Err(hinted(anyhow::anyhow!("the file has {problem}"), NEW_FILE));
        }
        match judges.other(verdict.stage, &verdict.policy.id.0, &verdict.model) {
            Some(other) => Err(hinted(
                anyhow::anyhow!(
                    "the file has verdicts of {other:?}, and {:?} judges now",
                    verdict.model
                ),
                NEW_FILE,
            )),
            None => Ok(()),
        }
    }
}
