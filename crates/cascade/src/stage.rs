//! A filter in service: what it stops is clear, but for the share that its audit takes; what a promoted
//! one decides is decided, but for the same share; all else goes to the judge behind. Once the audit has
//! found the promise broken, the filter is passed by, unless the settings keep it.
//!
//! A classifier's clear verdicts count for the audit as what the filter stopped. Its violations count as
//! caught; how often the judge behind agrees with those that the audit took is counted apart.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard};

use policy::{
    Content, Outcome, PassedOn, Policy, PolicyId, ScoreMethod, Side, Stage, Verdict, hex, label_of,
};
use sha2::{Digest, Sha256};

use crate::audit::{Audit, Seen};
use crate::encoder::Encoder;
use crate::error::CascadeError;
use crate::filter::{Filter, FilterScore, readable};
use crate::judge::locked;
use crate::promote::Ruling;

/// A filter in service.
pub struct FilterStage {
    filter: Filter,
    /// What the filter reads vectors with, if it reads any.
    encoder: Option<Arc<dyn Encoder>>,
    policy: PolicyId,
    /// First bytes of the digest of the filter's file.
    name: String,
    /// How far a budget may raise the threshold, at most.
    highest: Option<f64>,
    watch: Option<Watch>,
}

/// The audit of a filter in service.
#[derive(Debug)]
struct Watch {
    audit: Mutex<Audit>,
    /// Prints of the texts counted so far in this run: a text that comes again is no new draw.
    counted: Mutex<HashSet<u64>>,
    agreement: Mutex<Agreement>,
    keep_on_alarm: bool,
}

/// What the judge behind said of the classifier's violations that the audit took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agreement {
    /// Audited violations that it decided.
    pub audited: u64,
    /// Of these, those that it calls violations too.
    pub agreed: u64,
}

impl FilterStage {
    /// A filter without an audit: for trying it out, not for traffic. A filter that reads vectors needs its encoder.
    ///
    /// # Errors
    /// [`CascadeError::Uncalibrated`], [`CascadeError::Unbound`], and those of [`Filter::scorer`].
    pub fn unwatched(
        filter: Filter,
        encoder: Option<Arc<dyn Encoder>>,
    ) -> Result<FilterStage, CascadeError> {
        if filter.about.calibration.is_none() {
            return Err(CascadeError::Uncalibrated);
        }
        let policy = filter.about.policy.as_ref().ok_or(CascadeError::Unbound)?.id.clone();
        let name = filter.print();
        filter.scorer(encoder.as_deref())?;
        Ok(FilterStage { filter, encoder, policy, name, highest: None, watch: None })
    }

    /// The same filter watched by an audit that begins, or goes on. `keep_on_alarm` leaves the filter in
    /// service although its promise was found broken.
    ///
    /// # Errors
    /// [`CascadeError::ForeignAudit`] if the audit watches over another policy or promise.
    pub fn watched(self, audit: Audit, keep_on_alarm: bool) -> Result<FilterStage, CascadeError> {
        let settings = audit.settings();
        let promised = self.filter.about.calibration.as_ref().map(|it| it.chosen.recall);
        if promised != Some(settings.promise.recall()) || settings.policy != self.policy {
            return Err(CascadeError::ForeignAudit);
        }
        let watch = Some(Watch {
            audit: Mutex::new(audit),
            counted: Mutex::default(),
            agreement: Mutex::default(),
            keep_on_alarm,
        });
        Ok(FilterStage { watch, ..self })
    }

    /// The same, whose threshold a budget that may do so raises up to `highest` at most where compute is short.
    pub fn raised_up_to(self, highest: f64) -> FilterStage {
        FilterStage { highest: Some(highest), ..self }
    }

    /// The filter.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// What tells the filter from others: [`Filter::print`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the audit knows by now.
    pub fn audit(&self) -> Option<Audit> {
        self.watch.as_ref().map(|watch| watch.audit().clone())
    }

    /// Whether everything goes on to the judge behind, since the promise was found broken.
    pub fn is_bypassed(&self) -> bool {
        self.watch.as_ref().is_some_and(Watch::is_bypassed)
    }

    /// What the judge behind said of the classifier's violations that the audit took, in this run.
    pub fn agreement(&self) -> Agreement {
        self.watch.as_ref().map(|watch| *locked(&watch.agreement)).unwrap_or_default()
    }

    pub(crate) fn policy(&self) -> &PolicyId {
        &self.policy
    }

    pub(crate) fn judge(
        &self,
        policy: &Policy,
        content: &Content,
        next: impl FnOnce(Option<PassedOn>) -> Verdict,
    ) -> Verdict {
        if self.is_bypassed() {
            let passed_by = "the filter was passed by: its audit found the promise broken";
            let verdict = next(None);
            return Verdict {
                detail: verdict.detail.or_else(|| Some(passed_by.to_owned())),
                ..verdict
            };
        }
        let text = readable(content);
        // What the filter cannot score, it cannot stop.
        let found = match self.score(&text) {
            Ok(found) => found,
            Err(error) => {
                let failed = format!("the filter failed: {error}");
                let verdict = next(None);
                return Verdict { detail: verdict.detail.or(Some(failed)), ..verdict };
            }
        };
        let ruling = self.filter.ruling(found.score);
        let watch = self.watch.as_ref().map(|watch| (watch, Sha256::digest(&text).into()));
        let count = |seen: Seen| watch.iter().for_each(|(watch, text)| watch.count(text, seen));
        let is_taken = watch.is_some_and(|(watch, text)| watch.takes(&text, ruling));
        match ruling {
            Ruling::PassedOn => {
                let verdict = next(self.passed_on(found.score));
                if verdict.stage == Stage::Filter {
                    // The budget took the filter's word, which tells the audit nothing.
                    count(Seen::PassedUndetermined);
                    return Verdict { model: format!("filter {}", self.name), ..verdict };
                }
                count(Seen::passed_on(verdict.outcome));
                verdict
            }
            Ruling::Stopped | Ruling::Clear if is_taken => {
                let verdict = next(None);
                count(Seen::audited(verdict.outcome));
                verdict
            }
            Ruling::Violation if is_taken => {
                let verdict = next(None);
                count(Seen::passed_on(verdict.outcome));
                watch.iter().for_each(|(watch, _)| watch.agree(verdict.outcome));
                verdict
            }
            Ruling::Stopped => {
                count(Seen::Stopped);
                self.stopped(policy, found.score)
            }
            Ruling::Clear => {
                count(Seen::Stopped);
                self.decided(policy, found, Outcome::Clear)
            }
            Ruling::Violation => {
                count(Seen::Caught);
                self.decided(policy, found, Outcome::Violation)
            }
        }
    }

    fn score(&self, text: &str) -> Result<FilterScore, CascadeError> {
        self.filter.scorer(self.encoder.as_deref())?.score(text)
    }

    /// What a budget may go by, where the owner lets the threshold be raised.
    fn passed_on(&self, score: f64) -> Option<PassedOn> {
        let proven = self.filter.about.calibration.as_ref()?.chosen.threshold;
        let highest = self.highest.filter(|highest| *highest > proven)?;
        Some(PassedOn { score, proven, highest })
    }

    fn stopped(&self, policy: &Policy, score: f64) -> Verdict {
        let rationale = self.filter.about.calibration.as_ref().map(|it| {
            let chosen = it.chosen;
            format!(
                "The filter finds nothing: its score is below {:.4}, from where it passes on at least {} of what \
                 violates, at confidence {}.{}",
                chosen.threshold, chosen.recall, it.confidence, self.doubt()
            )
        });
        let model = format!("filter {}", self.name);
        Verdict {
            stage: Stage::Filter,
            rationale,
            ..self.verdict(policy, score, Outcome::Clear, &model)
        }
    }

    /// The classifier's own word.
    fn decided(&self, policy: &Policy, found: FilterScore, outcome: Outcome) -> Verdict {
        let rationale = self.filter.about.decides.as_ref().map(|it| {
            let (edge, side) = match outcome {
                Outcome::Violation => (it.high, "at or above"),
                _ => (it.low, "below"),
            };
            format!(
                "The classifier decides by itself: its score is {side} {:.4}, where it was right at least as often as \
                 {} on {} labelled rows, at confidence {}.{}",
                edge.unwrap_or_default(), it.reasoner, it.n_rows, it.confidence, self.doubt()
            )
        });
        let label = (outcome == Outcome::Violation).then(|| self.label(policy, found)).flatten();
        let model = format!("classifier {}", self.name);
        let verdict = self.verdict(policy, found.score, outcome, &model);
        Verdict { stage: Stage::Classifier, rationale, label, ..verdict }
    }

    /// The policy's label that the head stands for: the one of its name, or the only one that violates.
    fn label(&self, policy: &Policy, found: FilterScore) -> Option<String> {
        let head = self.filter.about.labels.get(found.label)?;
        let mut violating: Vec<&str> =
            policy.labels().filter(|(_, side)| *side == Side::Violating).map(|it| it.0).collect();
        violating.sort_unstable();
        violating.dedup();
        let named = violating.iter().find(|label| **label == label_of(head));
        let only = (violating.len() == 1).then(|| violating.first()).flatten();
        named.or(only).map(|label| (*label).to_owned())
    }

    fn doubt(&self) -> &'static str {
        let is_broken = self.watch.as_ref().is_some_and(|watch| watch.audit().alarm().is_some());
        if is_broken { " Its audit has found the promise of the filter broken." } else { "" }
    }

    fn verdict(&self, policy: &Policy, score: f64, outcome: Outcome, model: &str) -> Verdict {
        Verdict {
            score: Some(score),
            score_method: ScoreMethod::Filter,
            stage: Stage::Filter,
            ..Verdict::bare(outcome, policy.reference(), model)
        }
    }
}

/// Texts are known by their digests here.
impl Watch {
    fn audit(&self) -> MutexGuard<'_, Audit> {
        locked(&self.audit)
    }

    fn is_bypassed(&self) -> bool {
        !self.keep_on_alarm && self.audit().alarm().is_some()
    }

    /// Whether a text that was decided before the judge behind is judged all the same. Drawn by the text
    /// itself, so that the draw does not depend on the order of items.
    fn takes(&self, text: &[u8; 32], ruling: Ruling) -> bool {
        ruling != Ruling::PassedOn && self.audit().settings().is_audited(&hex(text))
    }

    fn agree(&self, outcome: Outcome) {
        let Some(is_violation) = outcome.is_violation() else { return };
        let mut agreement = locked(&self.agreement);
        agreement.audited += 1;
        agreement.agreed += u64::from(is_violation);
    }

    /// Counts a text the first time that it comes.
    fn count(&self, text: &[u8; 32], seen: Seen) {
        let print = u64::from_le_bytes(text[..8].try_into().expect("a digest has eight bytes"));
        let mut counted = locked(&self.counted);
        if counted.len() >= MAX_COUNTED {
            counted.clear();
        }
        if counted.insert(print) {
            self.audit().record(seen);
        }
    }
}

/// Most texts remembered as counted, some 30 MB.
const MAX_COUNTED: usize = 1 << 21;
