//! Everything that an evaluation found, as terminal, JSON and page show it.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use cascade::Learned;
use policy::eval::{
    Bin, Bootstrap, CalibrationMethod, Confusion, Curve, Estimate, GroupMetrics, PrPoint, RocPoint,
    Scored, exact_match, most_unstable, reliability,
};
use policy::{Effort, JudgeSettings, PolicyRef};
use serde::Serialize;

use super::calibrate::Calibrated;
use super::compare::Comparison;
use super::groups::{By, Grouping, per_rule};
use super::input::Source;
use super::item::{Item, ItemReport};
use super::matrix::Matrix;
use super::measures::{Cost, Measures, N_BINS, scores, size_warnings};
use super::want::{Want, Wanted};

/// Raised when a field changes its meaning or goes away.
pub(super) const SCHEMA: u32 = 1;

/// One evaluation: the same cases under one or several efforts.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Evaluation {
    pub(super) schema: u32,
    /// When it was made, in UTC.
    pub(super) made: String,
    /// Of this program.
    pub(super) version: String,
    pub(super) model: String,
    /// Verdicts an item; the majority decides.
    pub(super) votes: u16,
    /// Of the first vote.
    pub(super) seed: Option<u64>,
    pub(super) temperature: f32,
    /// Whether verdicts were asked for without reasoning.
    pub(super) direct: bool,
    /// How sure intervals are to hold the true value.
    pub(super) level: f64,
    pub(super) resamples: usize,
    pub(super) runs: Vec<Run>,
    /// With an earlier run, where one was given.
    pub(super) comparison: Option<Comparison>,
    /// What routes between efforts would save, where they were learned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) routes: Option<Learned>,
}

/// All policies under one effort.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Run {
    /// `None`: as each policy says.
    pub(super) effort: Option<Effort>,
    pub(super) policies: Vec<Report>,
    /// Of the items that every policy has: how many have the right outcome under all of them.
    pub(super) exact_match: Option<Estimate>,
}

/// What one policy's run came to.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    pub(super) name: String,
    pub(super) policy: PolicyRef,
    pub(super) file: PathBuf,
    pub(super) golden: PathBuf,
    pub(super) label: Option<String>,
    pub(super) cases: usize,
    /// Items that were not judged, because their label is not known.
    pub(super) unknown: usize,
    pub(super) confusion: Confusion,
    pub(super) measures: Measures,
    /// How many verdicts are undetermined, by cause.
    pub(super) undetermined: BTreeMap<String, u64>,
    pub(super) cost: Cost,
    pub(super) too_small: Vec<String>,
    /// Empty where verdicts are direct: they name no rule.
    pub(super) per_rule: BTreeMap<String, GroupMetrics>,
    pub(super) matrix: Matrix,
    pub(super) groups: Vec<Grouping>,
    pub(super) curves: Curves,
    pub(super) calibration: Option<Calibrated>,
    /// Thresholds for what was wanted.
    pub(super) wanted: Vec<Wanted>,
    /// Ids of items whose votes differ, the least stable first.
    pub(super) unstable: Vec<String>,
    pub(super) items: Vec<ItemReport>,
}

/// What scores could do at every threshold, and how far they can be taken at their word.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Curves {
    pub(super) precision_recall: Option<Vec<PrPoint>>,
    pub(super) roc: Option<Vec<RocPoint>>,
    pub(super) reliability: Vec<Bin>,
}

/// A policy whose items were judged.
pub(super) struct Judged<'a> {
    pub(super) source: &'a Source,
    pub(super) items: Vec<Item<'a>>,
}

/// How results are worked out.
pub(super) struct Method<'a> {
    pub(super) bootstrap: Bootstrap,
    pub(super) by: &'a [By],
    pub(super) calibrate: CalibrationMethod,
    pub(super) wants: &'a [Want],
    /// As in [`Evaluation`].
    pub(super) direct: bool,
}

impl Evaluation {
    pub(super) fn new(
        runs: Vec<Run>,
        model: String,
        votes: u16,
        settings: &JudgeSettings,
        bootstrap: &Bootstrap,
    ) -> Evaluation {
        Evaluation {
            schema: SCHEMA,
            made: super::clock::now(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            model,
            votes,
            seed: settings.seed,
            temperature: settings.temperature,
            direct: settings.direct,
            level: bootstrap.level.value(),
            resamples: bootstrap.n_resamples,
            runs,
            comparison: None,
            routes: None,
        }
    }
}

impl Run {
    pub(super) fn new(effort: Option<Effort>, judged: &[Judged<'_>], method: &Method<'_>) -> Run {
        Run {
            effort,
            policies: judged.iter().map(|one| Report::new(one, method)).collect(),
            exact_match: shared_match(judged, method),
        }
    }
}

impl Report {
    fn new(judged: &Judged<'_>, method: &Method<'_>) -> Report {
        let (source, items, level) = (judged.source, &judged.items, method.bootstrap.level);
        let suite = &source.suite;
        let scored = scores(items);
        let confusion: Confusion = items.iter().map(Item::pair).collect();
        Report {
            name: source.name().to_owned(),
            policy: suite.policy.reference(),
            file: suite.path.clone(),
            golden: suite.golden_path.clone(),
            label: source.label.clone(),
            cases: items.len(),
            unknown: source.n_unknown,
            confusion,
            measures: Measures::new(items, &method.bootstrap),
            undetermined: causes(items),
            cost: Cost::new(items, &method.bootstrap),
            too_small: size_warnings(&confusion),
            per_rule: if method.direct {
                BTreeMap::new()
            } else {
                per_rule(&suite.policy, items, level)
            },
            matrix: Matrix::new(&suite.policy, items),
            groups: method.by.iter().map(|&by| Grouping::new(by, items, level)).collect(),
            curves: Curves::new(&scored),
            calibration: Calibrated::new(method.calibrate, &scored, &method.bootstrap),
            wanted: method.wants.iter().map(|&want| Wanted::new(want, &scored, level)).collect(),
            unstable: unstable(items),
            items: items.iter().map(Item::report).collect(),
        }
    }
}

impl Curves {
    fn new(scored: &[Scored]) -> Curves {
        let curve = Curve::new(scored);
        Curves {
            precision_recall: curve.precision_recall(),
            roc: curve.roc(),
            reliability: reliability(scored, N_BINS),
        }
    }
}

fn causes(items: &[Item<'_>]) -> BTreeMap<String, u64> {
    let mut causes = BTreeMap::new();
    for cause in items.iter().filter_map(|item| item.decision.outcome.names().1) {
        *causes.entry(cause).or_default() += 1;
    }
    causes
}

fn unstable(items: &[Item<'_>]) -> Vec<String> {
    let votes: Vec<Vec<_>> = items
        .iter()
        .map(|item| item.verdicts.iter().map(|vote| vote.outcome.is_violation()).collect())
        .collect();
    most_unstable(&votes).iter().map(|one| items[one.place].case.id.clone()).collect()
}

/// Over the items that every policy judged: two files may use one id for different things, so only
/// policies with the same file are compared, and an item that one of them does not know is left out.
fn shared_match(judged: &[Judged<'_>], method: &Method<'_>) -> Option<Estimate> {
    let (first, others) = judged.split_first()?;
    let file = &first.source.suite.golden_path;
    if others.is_empty() || others.iter().any(|other| other.source.suite.golden_path != *file) {
        return None;
    }
    let mut cases: HashMap<&str, Vec<(bool, Option<bool>)>> = HashMap::new();
    for item in judged.iter().flat_map(|one| &one.items) {
        cases.entry(&item.case.id).or_default().push(item.pair());
    }
    let complete = cases.into_values().filter(|pairs| pairs.len() == judged.len());
    Some(exact_match(complete).estimate(method.bootstrap.level))
}
