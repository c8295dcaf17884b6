//! Decisions into the store, before their callers hear of them.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use policy::{Content, JudgeSettings, PolicyId, Verdict};
use store::{DecisionId, Millis, NewDecision, Origin, Sampling, Store};

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
        let failed = |error: store::StoreError| {
            tracing::error!(source, "a decision could not be recorded: {error}");
            ApiError::Store
        };
        self.remember(chosen).await?;
        let at = Millis::now();
        let id = DecisionId::new(at).map_err(failed)?;
        let decision = NewDecision {
            id: id.clone(),
            at,
            origin: self.origin(source),
            sampling: Sampling::of(settings, &chosen.policy),
            verdict: verdict.clone(),
            content: content.clone(),
            keep_content: self.keep_content,
        };
        self.store.record(decision).await.map_err(failed)?;
        Ok(id)
    }

    /// Where a decision of this judge comes from.
    pub(crate) fn origin(&self, source: &str) -> Origin {
        Origin {
            tenant: TENANT.to_owned(),
            source: source.to_owned(),
            judge: self.judge.clone(),
            ..Origin::default()
        }
    }

    /// Stores the text of a policy, where that is new; when it returns, it is on the disk.
    ///
    /// # Errors
    /// [`ApiError::Store`]; what went wrong is in the log.
    pub(crate) async fn remember(&self, chosen: &Chosen) -> Result<(), ApiError> {
        let policy = &chosen.policy;
        if self.known().contains(&policy.id) {
            return Ok(());
        }
        let added = self.store.add_policy(TENANT, &policy.name, &chosen.bytes).await;
        added.map_err(|error| {
            tracing::error!("a policy could not be stored: {error}");
            ApiError::Store
        })?;
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
