//! `safeguard policy test`: the golden cases beside a policy, run like unit tests.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use clap::ValueEnum;
use policy::eval::{Confusion, Level, Share, SizeLimits, TooSmall, most_unstable, too_small};
use policy::{GoldenCase, GoldenOutcome, Outcome, Verdict, label_of};

use super::junit;
use crate::commands::judging::{Calibrations, CaseJudge, CasesArgs, Progress, Suite};
use crate::exit::Exit;
use crate::output::{Format, all_or_errors, hinted};

mod report;

/// Run the golden cases beside policies like unit tests
///
/// A case passes when the verdict is what people agreed on. With --repeat every case is judged many times, and
/// cases whose verdicts differ are listed, with the rules that they point to: vague wording shows there.
///
/// Exit status: 0 all pass, 1 some fail, 2 something is undetermined or could not be done.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Policies: Markdown files, or folders with policy.md
    #[arg(value_name = "POLICY", required = true)]
    policies: Vec<PathBuf>,
    /// The golden set; by default golden.jsonl beside each policy
    #[arg(long, value_name = "FILE")]
    golden: Option<PathBuf>,
    /// What must agree: the outcome, the label of a violation too, or the very rule
    #[arg(long, value_enum, default_value_t)]
    agree: Agree,
    /// Judge every case so many times, each with a seed of its own
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=100))]
    repeat: u16,
    /// Write the results as JUnit XML too
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// How to write the results: for people, or as one JSON object
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    cases: CasesArgs,
}

/// What must agree for a case to pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Agree {
    /// Violation or clear
    Outcome,
    /// And, where a violating rule is named, its label
    #[default]
    Label,
    /// And the rule that is named, on both sides
    Rule,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    // All that can be wrong with the files is said before anything is judged.
    let read = |path: &PathBuf| Suite::read_fitting(path, args.golden.as_deref());
    let suites = all_or_errors(args.policies.iter().map(read))?;
    let judge = CaseJudge::open(&args.cases, Calibrations::of(&suites)?)?;
    if judge.settings().direct && args.agree != Agree::Outcome {
        return Err(hinted(
            anyhow!("verdicts that are scored directly name no rule that could agree"),
            "compare outcomes alone with --agree outcome",
        ));
    }
    let n_verdicts: usize =
        suites.iter().map(|suite| suite.cases.len() * usize::from(args.repeat)).sum();
    let progress = Progress::new(n_verdicts, 0);
    let tested: Vec<Tested> = suites
        .iter()
        .map(|suite| Tested::new(suite, args, judge.rounds(suite, args.repeat, &progress)))
        .collect();
    progress.finish();
    if let Some(path) = &args.junit {
        junit::write(path, &tested)?;
    }
    match args.format {
        Format::Text => report::show(&tested),
        Format::Json => println!("{}", serde_json::to_string(&report::to_json(&tested))?),
    }
    Ok(tested.iter().map(Tested::exit).max().unwrap_or(Exit::Clear))
}

/// A policy whose cases were judged.
pub(super) struct Tested<'a> {
    pub(super) suite: &'a Suite,
    pub(super) cases: Vec<TestedCase<'a>>,
    pub(super) n_rounds: usize,
}

/// A case with the verdicts of all rounds.
pub(super) struct TestedCase<'a> {
    pub(super) case: &'a GoldenCase,
    pub(super) verdicts: Vec<Verdict>,
    /// Whether the verdict of every round agrees with the case.
    pub(super) has_passed: bool,
}

impl<'a> Tested<'a> {
    fn new(suite: &'a Suite, args: &Args, rounds: Vec<Vec<Verdict>>) -> Tested<'a> {
        let cases = suite.cases.iter().enumerate().map(|(at, case)| {
            let verdicts: Vec<Verdict> = rounds.iter().map(|round| round[at].clone()).collect();
            let has_passed = verdicts.iter().all(|verdict| agrees(args.agree, case, verdict));
            TestedCase { case, verdicts, has_passed }
        });
        Tested { suite, cases: cases.collect(), n_rounds: rounds.len() }
    }

    pub(super) fn passed(&self) -> Share {
        Share::count(self.cases.iter().map(|case| case.has_passed))
    }

    pub(super) fn n_undetermined(&self) -> usize {
        self.cases.iter().filter(|case| case.undetermined().is_some()).count()
    }

    /// Why the cases are too few to say much. How wide an interval is stands beside the pass rate.
    pub(super) fn too_small(&self) -> Vec<TooSmall> {
        let outcome = |case: &TestedCase<'_>| {
            (case.case.outcome.is_violation(), case.telling().outcome.is_violation())
        };
        let confusion: Confusion = self.cases.iter().map(outcome).collect();
        too_small(&confusion, &SizeLimits { max_width: 1.0, ..SizeLimits::default() })
    }

    /// Cases whose verdicts differ between rounds, the least stable first, each with its instability.
    pub(super) fn unstable(&self) -> Vec<(&TestedCase<'a>, f64)> {
        let said: Vec<Vec<_>> = self
            .cases
            .iter()
            .map(|case| {
                case.verdicts.iter().map(|verdict| (verdict.outcome, &verdict.label)).collect()
            })
            .collect();
        most_unstable(&said)
            .into_iter()
            .map(|one| (&self.cases[one.place], one.instability))
            .collect()
    }

    /// Labels that unstable cases point to, with the sum of their instability: where to look for vague words.
    pub(super) fn vague_labels(&self) -> Vec<(String, f64)> {
        let mut sums: Vec<(String, f64)> = Vec::new();
        for (case, instability) in self.unstable() {
            let mut labels: Vec<&str> =
                case.verdicts.iter().filter_map(|verdict| verdict.label.as_deref()).collect();
            labels.sort_unstable();
            labels.dedup();
            for label in labels {
                match sums.iter_mut().find(|(other, _)| other == label) {
                    Some((_, sum)) => *sum += instability,
                    None => sums.push((label.to_owned(), instability)),
                }
            }
        }
        sums.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        sums
    }

    fn exit(&self) -> Exit {
        if self.n_undetermined() > 0 {
            return Exit::CouldNot;
        }
        if self.cases.iter().all(|case| case.has_passed) { Exit::Clear } else { Exit::Found }
    }

    pub(super) fn level(&self) -> Level {
        Level::P95
    }
}

impl TestedCase<'_> {
    /// The first verdict without a decision.
    pub(super) fn undetermined(&self) -> Option<&Verdict> {
        self.verdicts.iter().find(|verdict| matches!(verdict.outcome, Outcome::Undetermined(_)))
    }

    /// The verdict to show: the first that does not agree, or the first.
    pub(super) fn telling(&self) -> &Verdict {
        let agrees = |verdict: &&Verdict| !has_outcome(self.case, verdict);
        self.verdicts.iter().find(agrees).unwrap_or(&self.verdicts[0])
    }

    /// What people agreed on, in words.
    pub(super) fn expected(&self) -> String {
        let outcome = match self.case.outcome {
            GoldenOutcome::Violation => "violation",
            GoldenOutcome::Clear => "clear",
        };
        self.case
            .rule
            .as_ref()
            .map_or_else(|| outcome.to_owned(), |rule| format!("{outcome} {rule}"))
    }
}

/// What a verdict says, in a few words.
pub(super) fn said(verdict: &Verdict) -> String {
    let outcome = match verdict.outcome {
        Outcome::Violation => "violation".to_owned(),
        Outcome::Clear => "clear".to_owned(),
        Outcome::Undetermined(cause) => return format!("undetermined ({cause})"),
    };
    format!("{outcome} {}", verdict.rule_ids.join(" "))
}

fn has_outcome(case: &GoldenCase, verdict: &Verdict) -> bool {
    verdict.outcome.is_violation() == Some(case.outcome.is_violation())
}

fn agrees(agree: Agree, case: &GoldenCase, verdict: &Verdict) -> bool {
    has_outcome(case, verdict)
        && match (agree, &case.rule) {
            (Agree::Outcome, _) | (_, None) => true,
            (Agree::Label, Some(_)) if case.outcome == GoldenOutcome::Clear => true,
            (Agree::Label, Some(rule)) => verdict.label.as_deref() == Some(label_of(rule)),
            (Agree::Rule, Some(rule)) => verdict.rule_ids.contains(rule),
        }
}
