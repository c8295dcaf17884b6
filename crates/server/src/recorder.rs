//! Decisions into the store, before their callers hear of them.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use policy::{Content, JudgeSettings, PolicyId, Verdict};
use store::{DecisionId, Millis, NewDecision, Origin, Sampling, Store};
use tracing::Instrument;

use crate::error::ApiError;
use crate::selector::Chosen;

/// Whose decisions these are, as long as there are no keys that say it.
pub(crate) const TENANT: &str = "default";

/// Policies remembered as stored; requests may bring ever new ones. Adding one again changes nothing.
const MAX_KNOWN: usize = 1 << 14;

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
    ///
    /// # Errors
    /// [`ApiError::Store`]; what went wrong is in the log.
    pub(crate) async fn record(
        &self,
        source: &'static str,
        chosen: &Chosen,
        content: &Content,
        settings: &JudgeSettings,
        verdict: &Verdict,
    ) -> Result<DecisionId, ApiError> {
        let added = self.add(source, chosen, content, settings, verdict, self.keep_content);
        added.instrument(tracing::info_span!("record")).await
    }

    /// The same, with nothing kept of the content but its hash.
    ///
    /// # Errors
    /// [`ApiError::Store`]; what went wrong is in the log.
    pub(crate) async fn record_without_content(
        &self,
        source: &'static str,
        chosen: &Chosen,
        content: &Content,
        settings: &JudgeSettings,
        verdict: &Verdict,
    ) -> Result<DecisionId, ApiError> {
        let added = self.add(source, chosen, content, settings, verdict, false);
        added.instrument(tracing::info_span!("record")).await
    }

    async fn add(
        &self,
        source: &'static str,
        chosen: &Chosen,
        content: &Content,
        settings: &JudgeSettings,
        verdict: &Verdict,
        keep_content: bool,
    ) -> Result<DecisionId, ApiError> {
        let failed = |error: store::StoreError| {
            tracing::error!(source, "a decision could not be recorded: {error}");
            ApiError::Store
        };
        let policy = &chosen.policy;
        let is_known = self.known().contains(&policy.id);
        if !is_known {
            let added = self.store.add_policy(TENANT, &policy.name, &chosen.bytes).await;
            added.map_err(failed)?;
            let mut known = self.known();
            if known.len() >= MAX_KNOWN {
                known.clear();
            }
            known.insert(policy.id.clone());
        }
        let at = Millis::now();
        let id = DecisionId::new(at).map_err(failed)?;
        let decision = NewDecision {
            id: id.clone(),
            at,
            origin: Origin {
                tenant: TENANT.to_owned(),
                source: source.to_owned(),
                judge: self.judge.clone(),
                ..Origin::default()
            },
            sampling: Sampling::of(settings, policy),
            verdict: verdict.clone(),
            content: content.clone(),
            keep_content,
        };
        self.store.record(decision).await.map_err(failed)?;
        Ok(id)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashSet<PolicyId>> {
        // A set of ids is whole at every moment.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
