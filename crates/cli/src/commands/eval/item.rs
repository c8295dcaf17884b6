//! One item with its verdicts, and the one decision that they come to.

use policy::{Effort, GoldenCase, Majority, Verdict, label_of};
use serde::Serialize;

use policy::eval::Scored;

/// A case that was judged.
pub(super) struct Item<'a> {
    pub(super) case: &'a GoldenCase,
    /// One a vote; never empty.
    pub(super) verdicts: Vec<Verdict>,
    pub(super) decision: Majority,
}

impl<'a> Item<'a> {
    pub(super) fn new(case: &'a GoldenCase, verdicts: Vec<Verdict>) -> Item<'a> {
        let decision = Majority::of(&verdicts);
        Item { case, verdicts, decision }
    }

    /// What people agreed on.
    pub(super) fn truth(&self) -> bool {
        self.case.outcome.is_violation()
    }

    /// Truth and prediction, as `policy::eval` counts them.
    pub(super) fn pair(&self) -> (bool, Option<bool>) {
        (self.truth(), self.decision.outcome.is_violation())
    }

    /// The score beside the truth, where there is one.
    pub(super) fn scored(&self) -> Option<Scored> {
        Scored::new(self.truth(), self.decision.score?)
    }

    /// The calibrated score beside the truth, where there is one.
    pub(super) fn calibrated(&self) -> Option<Scored> {
        Scored::new(self.truth(), self.decision.probability?)
    }

    /// Undetermined is not right.
    pub(super) fn is_right(&self) -> bool {
        self.decision.outcome.is_violation() == Some(self.truth())
    }

    pub(super) fn telling(&self) -> &Verdict {
        &self.verdicts[self.decision.telling]
    }

    /// The base code of the rule that people agreed on.
    pub(super) fn expected_label(&self) -> Option<&str> {
        self.case.rule.as_deref().map(label_of)
    }

    pub(super) fn report(&self) -> ItemReport {
        let telling = self.telling();
        let votes =
            self.verdicts.iter().map(|verdict| word(verdict.outcome.is_violation()).to_owned());
        ItemReport {
            id: self.case.id.clone(),
            expected: word(Some(self.truth())).to_owned(),
            expected_rule: self.case.rule.clone(),
            lang: self.case.lang.clone(),
            outcome: word(self.decision.outcome.is_violation()).to_owned(),
            cause: self.decision.outcome.names().1,
            is_right: self.is_right(),
            label: self.decision.label.clone(),
            rule_ids: telling.rule_ids.clone(),
            score: self.decision.score,
            probability: self.decision.probability,
            votes: votes.collect(),
            rationale: telling.rationale.clone(),
            reasoning: telling.reasoning.clone(),
            detail: telling.detail.clone(),
        }
    }
}

/// An item as it goes into JSON. The content itself stays in its file.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ItemReport {
    pub(super) id: String,
    pub(super) expected: String,
    pub(super) expected_rule: Option<String>,
    pub(super) lang: Option<String>,
    pub(super) outcome: String,
    pub(super) cause: Option<String>,
    pub(super) is_right: bool,
    pub(super) label: Option<String>,
    pub(super) rule_ids: Vec<String>,
    pub(super) score: Option<f64>,
    /// The score calibrated; `None` where the policy has no calibration for this judge.
    pub(super) probability: Option<f64>,
    /// The outcome of every vote, in the order of the seeds.
    pub(super) votes: Vec<String>,
    pub(super) rationale: Option<String>,
    pub(super) reasoning: String,
    pub(super) detail: Option<String>,
}

/// An outcome's word.
pub(super) fn word(is_violation: Option<bool>) -> &'static str {
    match is_violation {
        Some(true) => "violation",
        Some(false) => "clear",
        None => "undetermined",
    }
}

/// What was asked for, in words.
pub(super) fn effort_word(effort: Option<Effort>) -> String {
    effort.map_or_else(|| "as the policy says".to_owned(), |effort| effort.to_string())
}
