//! Golden cases under a policy: read them, judge them all, remember what was judged.

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, anyhow};
use policy::{
    Effort, GoldenCase, GoldenError, Judge, JudgeSettings, Policy, Verdict, check_golden,
    parse_golden_fully,
};
use reasoner::{CachedJudge, Job, judge_many};

use super::OpenJudge;
use super::{Calibrations, CascadeArgs, Cascaded, JudgeArgs, Lifetime, Progress, Traffic};
use crate::commands::files::{GOLDEN, read_policy, user_cache};
use crate::output::{hinted, report_note};

/// Flags of commands that judge golden cases.
#[derive(Debug, clap::Args)]
pub(crate) struct CasesArgs {
    /// Most items under way at once
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    max_inflight: u16,
    /// Where verdicts are remembered; by default safeguard/verdicts in the user's cache folder
    #[arg(long, value_name = "DIR", env = "SAFEGUARD_CACHE")]
    cache: Option<PathBuf>,
    /// Judge everything anew and remember nothing, whatever folder is named for it
    #[arg(long)]
    no_cache: bool,
    #[command(flatten)]
    judge: JudgeArgs,
}

/// A policy with its golden cases.
pub(crate) struct Suite {
    pub(crate) path: PathBuf,
    pub(crate) policy: Policy,
    pub(crate) golden_path: PathBuf,
    pub(crate) cases: Vec<GoldenCase>,
}

impl Suite {
    /// Reads a policy and its golden set: the file given, or `golden.jsonl` beside the policy. Rules that cases name may
    /// be another version's.
    pub(crate) fn read(policy: &Path, golden: Option<&Path>) -> Result<Suite> {
        Suite::read_by(policy, golden, |bytes, _| parse_golden_fully(bytes))
    }

    /// The same, where each rule that a case names must be one of the policy's, on the side of the case's outcome.
    pub(crate) fn read_fitting(policy: &Path, golden: Option<&Path>) -> Result<Suite> {
        Suite::read_by(policy, golden, check_golden)
    }

    fn read_by(
        policy: &Path,
        golden: Option<&Path>,
        parse: impl Fn(&[u8], &Policy) -> Result<Vec<GoldenCase>, Vec<GoldenError>>,
    ) -> Result<Suite> {
        let (path, policy) = read_policy(policy)?;
        let beside = || path.with_file_name(GOLDEN);
        let golden_path = golden.map_or_else(beside, Path::to_owned);
        let bytes = fs::read(&golden_path).map_err(|error| {
            let error = anyhow::Error::from(error)
                .context(format!("{}: cannot be read", golden_path.display()));
            hinted(
                error,
                "a golden set is golden.jsonl beside the policy, or the file given with --golden",
            )
        })?;
        let cases = parse(&bytes, &policy).map_err(|errors| {
            let lines = BadLines::new(&golden_path, errors);
            hinted(lines, "`safeguard policy lint` says what to do about each, where the set lies beside its policy")
        })?;
        Suite { path, policy, golden_path, cases }.checked()
    }

    /// A suite has something to judge.
    pub(crate) fn checked(self) -> Result<Suite> {
        if self.cases.is_empty() {
            return Err(anyhow!("{}: no cases", self.golden_path.display()));
        }
        Ok(self)
    }
}

impl Calibrations {
    /// Those beside the policies of suites.
    pub(crate) fn of<'a>(suites: impl IntoIterator<Item = &'a Suite>) -> Result<Calibrations> {
        Calibrations::beside(suites.into_iter().map(|suite| (suite.path.as_path(), &suite.policy)))
    }
}

/// The lines of a file that are wrong, all of them.
#[derive(Debug, thiserror::Error)]
#[error("{}: {} bad line(s)\n  {}", path.display(), problems.len(), problems.join("\n  "))]
pub(crate) struct BadLines {
    path: PathBuf,
    /// Each with the number of its line.
    problems: Vec<String>,
}

impl BadLines {
    pub(crate) fn new(path: &Path, problems: impl IntoIterator<Item = impl Display>) -> BadLines {
        let problems = problems.into_iter().map(|problem| problem.to_string()).collect();
        BadLines { path: path.to_owned(), problems }
    }
}

/// A judge that remembers, with the settings of its user.
pub(crate) struct CaseJudge {
    open: OpenJudge,
    cascaded: Option<Cascaded>,
    settings: JudgeSettings,
    n_in_flight: usize,
}

impl CaseJudge {
    /// Opens the model, and the folder of remembered verdicts if there is to be one. Remembered are scores alone:
    /// calibrations come and go.
    pub(crate) fn open(args: &CasesArgs, calibrations: Calibrations) -> Result<CaseJudge> {
        let OpenJudge { judge, local, room } = args.judge.open(Lifetime::Run)?;
        let judge: Box<dyn Judge> = match cache_dir(args) {
            Some(dir) => match CachedJudge::new(judge, &dir) {
                Ok(cached) => Box::new(cached),
                Err(error) => {
                    let error = anyhow::Error::from(error).context(dir.display().to_string());
                    return Err(hinted(
                        error,
                        "give a folder for verdicts with --cache, or --no-cache",
                    ));
                }
            },
            None => judge,
        };
        let settings = args.judge.settings();
        Ok(CaseJudge {
            open: calibrations.over(OpenJudge { judge, local, room }, settings.direct),
            cascaded: None,
            settings,
            n_in_flight: args.max_inflight.into(),
        })
    }

    /// Puts filters before the model, as a trial.
    pub(crate) fn behind<'a>(
        self,
        cascade: &CascadeArgs,
        policies: impl Iterator<Item = &'a Policy>,
    ) -> Result<CaseJudge> {
        let (open, cascaded) = cascade.over(self.open, policies, Traffic::Trial)?;
        Ok(CaseJudge { open, cascaded, ..self })
    }

    /// What stands before the model.
    pub(crate) fn cascaded(&self) -> Option<&Cascaded> {
        self.cascaded.as_ref()
    }

    /// Says what stood before the model did.
    pub(crate) fn report(&self) {
        self.cascaded.iter().for_each(Cascaded::report);
    }

    /// Who judges, exactly.
    pub(crate) fn identity(&self) -> String {
        self.open.judge.identity()
    }

    /// The user's settings.
    pub(crate) fn settings(&self) -> &JudgeSettings {
        &self.settings
    }

    /// The verdicts of each round, with a seed of its own where there are several.
    pub(crate) fn rounds(
        &self,
        suite: &Suite,
        n_rounds: u16,
        progress: &Progress,
    ) -> Vec<Vec<Verdict>> {
        let first = self.settings.seed;
        let seed = |round: u16| {
            if n_rounds == 1 { first } else { Some(first.unwrap_or(0).wrapping_add(round.into())) }
        };
        let settings = |round| JudgeSettings { seed: seed(round), ..self.settings.clone() };
        (0..n_rounds)
            .map(|round| self.judge(&suite.policy, &suite.cases, &settings(round), progress))
            .collect()
    }

    /// From here on asks for another effort.
    pub(crate) fn set_effort(&mut self, effort: Effort) {
        self.settings.effort = Some(effort);
    }

    /// One verdict for every case under `policy`, in order.
    pub(crate) fn judge(
        &self,
        policy: &Policy,
        cases: &[GoldenCase],
        settings: &JudgeSettings,
        progress: &Progress,
    ) -> Vec<Verdict> {
        let jobs = cases.iter().enumerate().map(|(number, case)| Job {
            number,
            policy,
            content: Arc::new(case.content.clone()),
            settings,
        });
        let mut verdicts = vec![None; cases.len()];
        judge_many(self.open.judge.as_ref(), jobs, self.n_in_flight, |number, verdict| {
            progress.one();
            verdicts[number] = Some(verdict);
            true
        });
        verdicts.into_iter().map(|verdict| verdict.expect("every job has its verdict")).collect()
    }
}

/// The folder of remembered verdicts; `None` where there is to be none or no home to put it.
fn cache_dir(args: &CasesArgs) -> Option<PathBuf> {
    if args.no_cache {
        return None;
    }
    let of_user = || {
        let cache = user_cache();
        if cache.is_none() {
            report_note(
                "there is no home folder, so no verdicts are remembered; --cache DIR names one",
            );
        }
        Some(cache?.join("verdicts"))
    };
    args.cache.clone().or_else(of_user)
}
