//! `safeguard policy diff`: what a change of a policy says, and what it does to the golden cases.

use std::path::{Path, PathBuf};

use anyhow::Result;
use policy::eval::{Confusion, Flips, Paired, flips};
use policy::{Policy, Verdict};

use crate::commands::files::read_policy;
use crate::commands::judging::{Calibrations, CaseJudge, CasesArgs, Progress, Suite};
use crate::exit::Exit;
use crate::output::Format;

mod report;
mod rules;
mod words;

/// Compare two versions of a policy by what they say and by what they do
///
/// Rules that were added, removed or reworded are listed; then every golden case is judged under both versions, and
/// those whose verdict changes are shown with both rationales. Only what changed is judged again.
///
/// Exit status: 0 no more cases went from right to wrong than allowed, 1 more did, 2 could not be done.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The version that is in force
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The version that is to replace it
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// The golden set; by default golden.jsonl beside the new version
    #[arg(long, value_name = "FILE")]
    golden: Option<PathBuf>,
    /// How many cases may go from right to wrong
    #[arg(long, value_name = "N", default_value_t = 0)]
    allow_regressions: usize,
    /// How to write the result: for people, or as one JSON object
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    cases: CasesArgs,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    let (old_path, old) = read_policy(&args.old)?;
    let suite = Suite::read(&args.new, args.golden.as_deref())?;
    let judge = CaseJudge::open(&args.cases, Calibrations::default())?;
    let progress = Progress::new(suite.cases.len() * 2, 0);
    let judge = |policy: &Policy| judge.judge(policy, &suite.cases, judge.settings(), &progress);
    let (before, after) = (judge(&old), judge(&suite.policy));
    progress.finish();
    let diff = Diff::new(&old_path, &old, &suite, before, after);
    match args.format {
        Format::Text => report::show(&diff),
        Format::Json => println!("{}", serde_json::to_string(&report::to_json(&diff))?),
    }
    Ok(diff.exit(args.allow_regressions))
}

/// Two versions with their verdicts.
struct Diff<'a> {
    old_path: &'a Path,
    old: &'a Policy,
    suite: &'a Suite,
    before: Vec<Verdict>,
    after: Vec<Verdict>,
    flips: Flips,
}

impl<'a> Diff<'a> {
    fn new(
        old_path: &'a Path,
        old: &'a Policy,
        suite: &'a Suite,
        before: Vec<Verdict>,
        after: Vec<Verdict>,
    ) -> Diff<'a> {
        let pairs = suite.cases.iter().zip(before.iter().zip(&after));
        let pairs: Vec<Paired<bool>> = pairs
            .map(|(case, (old, new))| Paired {
                truth: case.outcome.is_violation(),
                old: old.outcome.is_violation(),
                new: new.outcome.is_violation(),
            })
            .collect();
        Diff { old_path, old, suite, before, after, flips: flips(&pairs) }
    }

    fn confusion(&self, verdicts: &[Verdict]) -> Confusion {
        let pairs = self.suite.cases.iter().zip(verdicts);
        let decided = pairs
            .map(|(case, verdict)| (case.outcome.is_violation(), verdict.outcome.is_violation()));
        decided.collect()
    }

    fn exit(&self, n_allowed: usize) -> Exit {
        let all = self.before.iter().chain(&self.after);
        if all.clone().any(|verdict| verdict.outcome.is_violation().is_none()) {
            return Exit::CouldNot;
        }
        if self.flips.broken.len() > n_allowed { Exit::Found } else { Exit::Clear }
    }
}
