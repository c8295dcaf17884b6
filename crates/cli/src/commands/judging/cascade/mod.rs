//! What stands before the model: filters and their audits, a memory, routes, a budget.

mod audits;
mod budget;
mod memory;
mod settings;
mod stages;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use cascade::{
    BudgetedJudge, CacheCounts, CascadeJudge, FilterStage, RouteCounts, RoutedJudge, Spending,
};
use policy::{Judge, Policy, PolicyId};

use super::OpenJudge;
use crate::output::report_note;
use audits::Held;
use budget::Hurry;
pub(crate) use settings::RoutesFile;
use settings::read_settings;
use stages::{Stages, stages};

/// Flag of commands that may ask filters first.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct CascadeArgs {
    /// Ask a filter first: its file, or a TOML file that names several and how they are audited, a budget, and routes
    #[arg(long, value_name = "FILE")]
    cascade: Option<PathBuf>,
}

/// Whether what a filter does now counts for its audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Traffic {
    /// Real items that somebody waits for: a share of the stopped ones is audited, and the audit goes on from run to
    /// run.
    Live,
    /// The same of items that may be put off.
    Queue,
    /// Chosen items: nothing is audited or counted.
    Trial,
}

/// A judge with what stands before it.
pub(crate) struct Cascaded {
    judge: Arc<CascadeJudge<Box<dyn Judge>>>,
    budget: Option<Arc<BudgetedJudge<Box<dyn Judge>>>>,
    routes: Option<Arc<RoutedJudge<Box<dyn Judge>>>>,
    has_bigger: bool,
    /// Filters' files with their policies.
    filters: Vec<(PathBuf, PolicyId)>,
    /// Where verdicts are kept from run to run.
    memory: Option<PathBuf>,
    /// While a run counts for audits.
    _held: Vec<Held>,
    saved: Mutex<Instant>,
}

/// How long a run that is killed may lose of its audits.
const SAVE_EVERY: Duration = Duration::from_secs(5);

impl CascadeArgs {
    /// The same, or a file of the settings where the flag is not given.
    pub(crate) fn or(self, file: Option<PathBuf>) -> CascadeArgs {
        CascadeArgs { cascade: self.cascade.or(file) }
    }

    /// Puts filters, routes and a budget before a judge; `None` where there are to be none.
    pub(crate) fn over<'a>(
        &self,
        open: OpenJudge,
        policies: impl Iterator<Item = &'a Policy>,
        traffic: Traffic,
    ) -> Result<(OpenJudge, Option<Cascaded>)> {
        let Some(path) = &self.cascade else { return Ok((open, None)) };
        let policies: Vec<&Policy> = policies.collect();
        let settings = read_settings(path)?;
        let place = || path.display().to_string();
        let hurry =
            if traffic == Traffic::Queue { Hurry::NobodyWaits } else { Hurry::SomebodyWaits };
        let OpenJudge { mut judge, local: local_model, room } = open;
        let mut bigger = settings.bigger.as_ref().map(|it| it.open(&room)).transpose()?;
        let mut budget = None;
        if let Some(table) = &settings.budget {
            let budgeted = Arc::new(table.over(judge, hurry).with_context(place)?);
            bigger = bigger.map(|bigger| -> Box<dyn Judge> { Box::new(budgeted.beside(bigger)) });
            judge = Box::new(Arc::clone(&budgeted));
            budget = Some(budgeted);
        }
        let mut routes = None;
        if let Some(learned) = settings.learned {
            tell_routes(&learned, &policies);
            let routed = RoutedJudge::new(judge, learned.routes).with_context(place)?;
            let routed = Arc::new(match bigger {
                Some(bigger) => routed.then_bigger(bigger),
                None => routed,
            });
            judge = Box::new(Arc::clone(&routed));
            routes = Some(routed);
        }
        let Stages { stages, filters, held } =
            stages(&settings.filter, &policies, traffic, local_model.as_ref())?;
        let judge = CascadeJudge::new(stages, judge);
        let judge =
            if settings.cache_mb > 0 { judge.remembering(settings.cache_mb << 20) } else { judge };
        let judge = if settings.cache_ignores_metadata { judge.ignoring_metadata() } else { judge };
        if let Some(file) = &settings.cache_file {
            judge.restore(memory::read(file)?);
        }
        let judge = Arc::new(judge);
        for policy in policies.iter().filter(|policy| judge.stage(&policy.id).is_none()) {
            if !filters.is_empty() {
                report_note(&format!("{} has no filter: all of it goes to the model", policy.name));
            }
        }
        let before = OpenJudge { judge: Box::new(Arc::clone(&judge)), local: local_model, room };
        let saved = Mutex::new(Instant::now());
        Ok((
            before,
            Some(Cascaded {
                judge,
                budget,
                routes,
                has_bigger: settings.bigger.is_some(),
                filters,
                memory: settings.cache_file,
                _held: held,
                saved,
            }),
        ))
    }
}

/// Routes learned under other policies are of use, but promise nothing.
fn tell_routes(learned: &RoutesFile, policies: &[&Policy]) {
    for policy in policies.iter().filter(|policy| !learned.policies.contains(&policy.id.0)) {
        report_note(&format!(
            "the routes were not learned on {}, so what they save and lose there is not known",
            policy.name
        ));
    }
}

impl Cascaded {
    /// The filters in service, by their files.
    pub(crate) fn stages(&self) -> impl Iterator<Item = (&Path, &FilterStage)> {
        self.filters
            .iter()
            .filter_map(|(file, policy)| Some((file.as_path(), self.judge.stage(policy)?)))
    }

    /// How many models may decide.
    pub(crate) fn n_models(&self) -> usize {
        1 + usize::from(self.has_bigger)
    }

    /// What the budget spent.
    pub(crate) fn spending(&self) -> Option<Spending> {
        self.budget.as_ref().map(|budget| budget.spending())
    }

    /// Where items ended.
    pub(crate) fn route_counts(&self) -> Option<RouteCounts> {
        self.routes.as_ref().map(|routes| routes.counts())
    }

    /// What the memory did.
    pub(crate) fn cache_counts(&self) -> Option<CacheCounts> {
        self.judge.cache_counts()
    }

    /// Saves the audits, if it is some seconds ago that they were.
    pub(crate) fn save_if_due(&self) -> Result<()> {
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        if saved.elapsed() < SAVE_EVERY {
            return Ok(());
        }
        self.save()?;
        *saved = Instant::now();
        Ok(())
    }

    fn save(&self) -> Result<()> {
        for (file, stage) in self.stages() {
            if let Some(audit) = stage.audit() {
                audits::save(file, stage, audit)?;
            }
        }
        Ok(())
    }

    /// Keeps the audits, and what is remembered; says what was done.
    pub(crate) fn finish(&self) -> Result<()> {
        self.save()?;
        if let Some(file) = &self.memory {
            memory::save(file, &self.judge.remembered())?;
        }
        self.report();
        Ok(())
    }

    /// Says what the filters, the memory, the routes and the budget did.
    pub(crate) fn report(&self) {
        for (file, stage) in self.stages() {
            if let Some(audit) = stage.audit() {
                audits::report(file, stage, &audit);
            }
        }
        if let Some(counts) = self.cache_counts() {
            report_note(&format!(
                "verdicts known letter for letter: {}, but for case and spaces: {}, not known: {}",
                counts.exact, counts.normalised, counts.missed
            ));
        }
        if let Some(RouteCounts { ended: [low, medium, high], bigger, person }) =
            self.route_counts()
        {
            report_note(&format!(
                "routes: decided at low effort {low}, medium {medium}, high {high}, by a bigger model {bigger}; for a person to look at: {person}"
            ));
        }
        if let Some(spending) = self.spending() {
            budget::report(&spending);
        }
    }
}
