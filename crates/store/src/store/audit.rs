//! Decisions, reviews, erasure, and the chain that holds them.

use policy::{Content, Policy, PolicyId};

use super::{Store, page_of, twin};
use crate::decision::{Decision, DecisionFilter, NewDecision, StoredDecision};
use crate::entry::{Applied, Entry, Erased, Erasure, ErasureDone};
use crate::error::{Result, StoreError};
use crate::id::DecisionId;
use crate::review::{Compared, Disagreement, NewReview, Overturned, Review, StoredReview, Waiting};
use crate::seal::Kept;
use crate::time::Millis;
use crate::verify::{ChainHead, Verification};

impl Store {
    /// Stores a decision that belongs to no job; when this returns, it is on the disk. A second call with the
    /// same id stores nothing and returns the first.
    ///
    /// # Errors
    /// [`StoreError::Database`]; the decision may be tried again under its id.
    pub async fn record(&self, decision: NewDecision) -> Result<Decision> {
        match self.writer.append(Entry::Decision(Box::new(decision))).await? {
            Applied::Decision(decision) => Ok(*decision),
            _ => Err(StoreError::Closed),
        }
    }

    /// A decision; of this tenant only, if one is given.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] where there is none.
    pub async fn decision(&self, tenant: Option<&str>, id: &DecisionId) -> Result<StoredDecision> {
        twin!(self, decisions::one(tenant, id))
    }

    /// Decisions in the order of the chain, from behind the place `after` (0: from the start), at most 1000.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn decisions(
        &self,
        filter: &DecisionFilter,
        after: i64,
        limit: usize,
    ) -> Result<Vec<StoredDecision>> {
        twin!(self, decisions::page(filter, after, false, page_of(limit)))
    }

    /// Decisions newest first, from before the place `before` (`None`: from the end), at most 1000.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn latest_decisions(
        &self,
        filter: &DecisionFilter,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<StoredDecision>> {
        let before = before.unwrap_or(i64::MAX);
        twin!(self, decisions::page(filter, before, true, page_of(limit)))
    }

    /// What is still kept of a decision besides its record: content, rationale, reasoning.
    ///
    /// # Errors
    /// [`StoreError::Row`] if it cannot be read.
    pub async fn kept(&self, id: &DecisionId) -> Result<Kept> {
        twin!(self, decisions::kept(id))
    }

    /// Whether this very content is what was decided on, even if it was never kept; `None` after erasure.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] without such a decision.
    pub async fn is_content_of(&self, id: &DecisionId, content: &Content) -> Result<Option<bool>> {
        twin!(self, decisions::is_of(id, content))
    }

    /// Erases content, rationale, reasoning and salt of a decision, and the reasons of its reviews. The chain
    /// stays whole and records the erasure.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] without such a decision of this tenant.
    pub async fn erase(
        &self,
        tenant: Option<&str>,
        id: &DecisionId,
        actor: &str,
    ) -> Result<ErasureDone> {
        self.erase_what(tenant, Erased::Decision(id.clone()), actor).await
    }

    /// The same for all that was decided before, of one tenant or of all.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn erase_before(
        &self,
        tenant: Option<&str>,
        before: Millis,
        actor: &str,
    ) -> Result<ErasureDone> {
        self.erase_what(tenant, Erased::Before(before), actor).await
    }

    async fn erase_what(
        &self,
        tenant: Option<&str>,
        what: Erased,
        actor: &str,
    ) -> Result<ErasureDone> {
        let erasure = Erasure {
            tenant: tenant.map(str::to_owned),
            what,
            actor: actor.to_owned(),
            at: Millis::now(),
        };
        let n_records = match self.writer.append(Entry::Erasure(erasure)).await? {
            Applied::Erasure(n_records) => n_records,
            _ => return Err(StoreError::Closed),
        };
        Ok(ErasureDone { n_records, log: self.forget().await? })
    }

    /// Stores a review, in the chain as decisions are. An overturning one must name an outcome, or a rule of the
    /// policy, that the decision does not have.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] without such a decision of this tenant, [`StoreError::Review`] for one that says
    /// nothing or names what cannot be.
    pub async fn review(&self, review: NewReview) -> Result<Review> {
        let decision = self.decision(Some(&review.tenant), &review.decision).await?.decision;
        let policy = match self.policy_bytes(&decision.policy.id).await {
            Ok(bytes) => Policy::parse(&decision.policy.name, &bytes).ok(),
            // Whoever recorded it kept no text, so no rule can be looked up.
            Err(StoreError::Unknown { .. }) => None,
            Err(error) => return Err(error),
        };
        review.check(&decision, policy.as_ref())?;
        match self.writer.append(Entry::Review(Box::new(review))).await? {
            Applied::Review(review) => Ok(*review),
            _ => Err(StoreError::Closed),
        }
    }

    /// Reviews of a decision, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn reviews(&self, decision: &DecisionId) -> Result<Vec<StoredReview>> {
        twin!(self, reviews::of(decision))
    }

    /// Decisions that wait for a person, and how many there are: first those appealed since anybody last looked,
    /// then those never looked at that are undetermined, then those in doubt; each oldest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn waiting(
        &self,
        tenant: &str,
        policy: Option<&str>,
        limit: usize,
    ) -> Result<(i64, Vec<Waiting>)> {
        twin!(self, reviews::waiting(tenant, policy, page_of(limit)))
    }

    /// Decisions whose last review overturned them, as golden cases; of one policy, if one is named.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn overturned(&self, tenant: &str, policy: Option<&str>) -> Result<Vec<Overturned>> {
        twin!(self, reviews::overturned(tenant, policy))
    }

    /// What a candidate version and the versions that acted said of the same items, counted.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn comparison(
        &self,
        tenant: &str,
        policy: &str,
        candidate: &PolicyId,
    ) -> Result<Vec<Compared>> {
        twin!(self, reviews::comparison(tenant, policy, &candidate.0))
    }

    /// The newest decisions of a candidate version that differ in outcome or label from those that acted.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn disagreements(
        &self,
        tenant: &str,
        policy: &str,
        candidate: &PolicyId,
        limit: usize,
    ) -> Result<Vec<Disagreement>> {
        twin!(self, reviews::disagreements(tenant, policy, &candidate.0, page_of(limit)))
    }

    /// How the chain ends now.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn head(&self) -> Result<ChainHead> {
        twin!(self, verify::head())
    }

    /// Walks the whole chain, in memory that grows with the erasures alone; with a head noted earlier, also whether
    /// that is in it. Where the chain is whole, the texts of policies are held against their hashes too.
    ///
    /// # Errors
    /// [`StoreError::Database`] if it could not be read; a broken chain is no error.
    pub async fn verify(&self, noted: Option<ChainHead>) -> Result<Verification> {
        twin!(self, verify::walk(noted))
    }
}
