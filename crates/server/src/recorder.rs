//! Decisions into the store, before their callers hear of them.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use policy::{Content, JudgeSettings, PolicyId, Verdict};
use store::{DecisionId, Millis, NewDecision, Origin, Sampling, Store, StoreError};
use tracing::Instrument;

use crate::door::Caller;
use crate::error::ApiError;
use crate::selector::Chosen;

/// Whose decisions these are where no keys are asked for.
pub(crate) const TENANT: &str = "default";

/// Policies remembered as stored; requests may bring ever new ones. Adding one again changes nothing.
const MAX_KNOWN: usize = 1 << 14;

/// Who had what judged, by which policy and how.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) caller: &'a Caller,
    /// The route.
    pub(crate) source: &'static str,
    pub(crate) chosen: &'a Chosen,
    pub(crate) content: &'a Content,
    pub(crate) settings: &'a JudgeSettings,
}

/// The store, as far as routes that judge need it.
pub(crate) struct Recorder {
    pub(crate) store: Store,
    keep_content: bool,
    /// The judge's identity.
    judge: String,
    /// Policies whose text is in the store.
    known: Mutex<HashSet<PolicyId>>,
}

impl Recorder {
    pub(crate) fn new(store: Store, keep_content: bool, judge: String) -> Recorder {
        Recorder { store, keep_content, judge, known: Mutex::default() }
    }

    /// Stores a decision, and the text of its policy where that is new; when it returns, both are on the disk.
    /// `shadow_of` is the decision that acted, where a candidate made this one.
    ///
    /// # Errors
    /// [`ApiError::Store`]; what went wrong is in the log.
    pub(crate) async fn record(
        &self,
        asked: &Asked<'_>,
        verdict: &Verdict,
        shadow_of: Option<DecisionId>,
    ) -> Result<DecisionId, ApiError> {
        self.logged(asked, verdict, shadow_of, self.keep_content).await
    }

    /// The same, with nothing kept of the content but its hash.
    ///
    /// # Errors
    /// [`ApiError::Store`]; what went wrong is in the log.
    pub(crate) async fn record_without_content(
        &self,
        asked: &Asked<'_>,
        verdict: &Verdict,
    ) -> Result<DecisionId, ApiError> {
        self.logged(asked, verdict, None, false).await
    }

    async fn logged(
        &self,
        asked: &Asked<'_>,
        verdict: &Verdict,
        shadow_of: Option<DecisionId>,
        keep_content: bool,
    ) -> Result<DecisionId, ApiError> {
        let stored = self.store_both(asked, verdict, shadow_of, keep_content);
        stored.instrument(tracing::info_span!("record")).await.map_err(|error| {
            tracing::error!(source = asked.source, "a decision could not be recorded: {error}");
            ApiError::Store
        })
    }

    async fn store_both(
        &self,
        asked: &Asked<'_>,
        verdict: &Verdict,
        shadow_of: Option<DecisionId>,
        keep_content: bool,
    ) -> Result<DecisionId, StoreError> {
        let Asked { caller, source, chosen, content, settings } = asked;
        self.keep(chosen).await?;
        let at = Millis::now();
        let id = DecisionId::new(at)?;
        let decision = NewDecision {
            id: id.clone(),
            at,
            origin: Origin { shadow_of, ..self.origin(caller, source) },
            sampling: Sampling::of(settings, &chosen.policy),
            verdict: verdict.clone(),
            content: (*content).clone(),
            keep_content,
        };
        self.store.record(decision).await?;
        Ok(id)
    }

    /// Where a decision of this judge comes from, and whom it is for.
    pub(crate) fn origin(&self, caller: &Caller, source: &str) -> Origin {
        Origin {
            tenant: caller.tenant().to_owned(),
            key: caller.key().cloned(),
            source: source.to_owned(),
            judge: self.judge.clone(),
            ..Origin::default()
        }
    }

    /// Stores the text of a policy, where that is new; when it returns, it is on the disk.
    ///
    /// # Errors
    /// [`StoreError`] where it could not be.
    pub(crate) async fn keep(&self, chosen: &Chosen) -> Result<(), StoreError> {
        let policy = &chosen.policy;
        if self.known().contains(&policy.id) {
            return Ok(());
        }
        self.store.keep_policy_text(&chosen.bytes).await?;
        let mut known = self.known();
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(policy.id.clone());
        Ok(())
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashSet<PolicyId>> {
        // A set of ids is whole at every moment.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
