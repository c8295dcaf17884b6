//! Puts verdicts into a store, for the audit.

use std::path::Path;

use anyhow::{Result, bail};
use policy::{Content, JudgeSettings, Policy, Verdict};
use store::{DecisionId, Millis, NewDecision, Origin, Sampling};

use crate::commands::files::read;
use crate::commands::storing::{OpenStore, TENANT};
use crate::output::report_note;

/// Whether and where verdicts are recorded.
#[derive(Debug, clap::Args)]
pub(super) struct RecordingArgs {
    /// Record the decision in a store, made if it is not there: sqlite:FILE, or the URL of a PostgreSQL database
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// Keep content, rationale and reasoning in the store too, so that the decision can be replayed
    #[arg(long, requires = "store")]
    keep_content: bool,
}

/// An open store that decisions go to.
pub(super) struct Recording {
    open: OpenStore,
    keep_content: bool,
}

impl RecordingArgs {
    /// Opens the store, before the model takes its time.
    pub(super) fn open(&self) -> Result<Option<Recording>> {
        let Some(url) = &self.store else { return Ok(None) };
        let open = OpenStore::open(url)?;
        Ok(Some(Recording { open, keep_content: self.keep_content }))
    }
}

impl Recording {
    /// Stores the policy's file and the decision.
    pub(super) fn record(
        &self,
        file: &Path,
        policy: &Policy,
        content: &Content,
        settings: &JudgeSettings,
        judge: &str,
        verdict: Verdict,
    ) -> Result<()> {
        let store = &self.open.store;
        let stored = self.open.wait(store.add_policy(TENANT, &policy.name, &read(file)?))?;
        if stored.id != policy.id {
            bail!("{}: changed while it was judged by; nothing was recorded", file.display());
        }
        let now = Millis::now();
        let decision = NewDecision {
            id: DecisionId::new(now)?,
            at: now,
            origin: Origin {
                tenant: TENANT.to_owned(),
                source: "classify".to_owned(),
                judge: judge.to_owned(),
                ..Origin::default()
            },
            sampling: Sampling::of(settings, policy),
            verdict,
            content: content.clone(),
            keep_content: self.keep_content,
        };
        let stored = self.open.wait(store.record(decision))?;
        report_note(&format!("recorded as {}", stored.id));
        Ok(())
    }
}
