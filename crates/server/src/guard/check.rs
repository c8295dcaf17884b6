//! One check of a conversation, and what it leads to.

use std::sync::Arc;

use policy::{Cause, Content, Outcome, Verdict};
use serde_json::{Value, json};

use super::proxy::Guard;
use super::settings::{GuardMode, WithoutVerdict};
use crate::api::{App, Pair, stock_result};
use crate::door::Caller;
use crate::error::ApiError;
use crate::metrics::{Disposition, UNKNOWN};
use crate::pool::Class;
use crate::selector::{Chosen, all_or};
use crate::settings::duration;

/// What the policies say of a conversation.
#[derive(Debug)]
pub(super) struct Checked {
    chosen: Vec<Chosen>,
    /// Where there was something to judge.
    pairs: Vec<Pair>,
    verdicts: Result<Vec<Verdict>, ApiError>,
}

/// Whether text may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ruling {
    Pass,
    Block,
}

impl Guard {
    /// Judges a conversation under all policies of the guard. It never fails: what has no verdict is checked
    /// without one.
    pub(super) async fn check(
        &self,
        app: &App,
        caller: &Caller,
        content: Result<Content, ApiError>,
    ) -> Checked {
        let chosen = match self.policies(app, caller).await {
            Ok(chosen) => chosen,
            Err(error) => {
                return Checked { chosen: Vec::new(), pairs: Vec::new(), verdicts: Err(error) };
            }
        };
        let content = match content {
            Ok(content) => Arc::new(content),
            Err(error) => return Checked { chosen, pairs: Vec::new(), verdicts: Err(error) },
        };
        let pair = |chosen: &Chosen| Pair { chosen: chosen.clone(), content: Arc::clone(&content) };
        let pairs: Vec<Pair> = chosen.iter().map(pair).collect();
        let deadline = app.deadline(Some(duration(self.settings.check_s)));
        let verdicts = app.judge(caller, Class::Guard, pairs.clone(), &app.judging, deadline).await;
        Checked { chosen, pairs, verdicts }
    }

    async fn policies(&self, app: &App, caller: &Caller) -> Result<Vec<Chosen>, ApiError> {
        all_or(&self.settings.policies, &*app.served(caller).await?)
    }

    /// What an outcome leads to, and how the traffic counts it.
    fn rule(&self, outcome: Outcome, mode: GuardMode) -> (Ruling, Disposition) {
        match (outcome, mode, self.settings.on_undetermined) {
            (Outcome::Clear, _, _) => (Ruling::Pass, Disposition::Admitted),
            (Outcome::Violation, GuardMode::Block, _)
            | (Outcome::Undetermined(_), GuardMode::Block, WithoutVerdict::Block) => {
                (Ruling::Block, Disposition::Blocked)
            }
            _ => (Ruling::Pass, Disposition::Bypassed),
        }
    }

    /// Whether the text may go on after a check.
    pub(super) fn ruling(&self, checked: &Checked, mode: GuardMode) -> Ruling {
        let outcomes = checked.outcomes();
        let blocks = |outcome: &Outcome| self.rule(*outcome, mode).0 == Ruling::Block;
        if outcomes.iter().any(blocks) { Ruling::Block } else { Ruling::Pass }
    }

    /// Records and counts a check that decided about its text.
    ///
    /// # Errors
    /// [`ApiError::Store`]; the text must not go on.
    pub(super) async fn note(
        &self,
        app: &App,
        caller: &Caller,
        checked: &Checked,
        mode: GuardMode,
    ) -> Result<(), ApiError> {
        if let Ok(verdicts) = &checked.verdicts {
            app.record_all(caller, "guard", &checked.pairs, &app.judging, verdicts).await?;
        }
        // Without policies there is one outcome all the same, and text that passes by it.
        let names = checked.chosen.iter().map(|chosen| chosen.metric.as_str());
        let names = names.chain(std::iter::repeat(UNKNOWN));
        for (outcome, name) in checked.outcomes().into_iter().zip(names) {
            app.metrics.disposed(name, outcome, self.rule(outcome, mode).1);
        }
        Ok(())
    }
}

impl Checked {
    /// One a policy; at least one, so that no check without verdicts looks clear.
    fn outcomes(&self) -> Vec<Outcome> {
        match &self.verdicts {
            Ok(verdicts) => verdicts.iter().map(|verdict| verdict.outcome).collect(),
            Err(error) => {
                let cause = match error {
                    ApiError::Field { .. } => Cause::UnsupportedInput,
                    ApiError::Busy { .. } | ApiError::Late { .. } | ApiError::Door(_) => {
                        Cause::OverBudget
                    }
                    _ => Cause::BackendError,
                };
                vec![Outcome::Undetermined(cause); self.chosen.len().max(1)]
            }
        }
    }

    /// Policies that are violated, or have no verdict.
    pub(super) fn against(&self) -> Vec<&str> {
        let names = self.chosen.iter().zip(self.outcomes());
        let is_against = |outcome| outcome != Outcome::Clear;
        names.filter(|it| is_against(it.1)).map(|(chosen, _)| &*chosen.policy.name).collect()
    }

    /// Why nothing was judged, where the service has no room.
    pub(super) fn refusal(&self) -> Option<&ApiError> {
        let error = self.verdicts.as_ref().err()?;
        let is_ours = matches!(
            error,
            ApiError::Busy { .. } | ApiError::Late { .. } | ApiError::Stopping | ApiError::Door(_)
        );
        is_ours.then_some(error)
    }

    /// OpenAI's inline form of it.
    pub(super) fn inline(&self, app: &App) -> Value {
        let result = match &self.verdicts {
            Ok(verdicts) => stock_result(verdicts, &app.settings.moderations),
            Err(error) => Err(error.clone()),
        };
        match result {
            Ok(mut result) => {
                result["type"] = "moderation_result".into();
                result["model"] = app.model.clone().into();
                json!({ "type": "moderation_results", "model": app.model, "results": [result] })
            }
            Err(error) => {
                json!({ "type": "error", "code": error.code(), "message": error.to_string() })
            }
        }
    }
}
