//! Versions of policies.

use std::sync::Arc;

use policy::{Policy, PolicyId, hex};
use sha2::{Digest, Sha256};

use super::{Store, twin};
use crate::entry::{Applied, ChangeOf, Entry};
use crate::error::{Result, StoreError};
use crate::policies::{Change, InUse, PolicyVersion};
use crate::time::Millis;

impl Store {
    /// Keeps a policy's file under its hash. It does not act until it is activated; one that is there already
    /// stays.
    ///
    /// # Errors
    /// [`StoreError::Policy`] if it cannot be read.
    pub async fn add_policy(&self, tenant: &str, name: &str, bytes: &[u8]) -> Result<Policy> {
        let policy = Policy::parse(name, bytes).map_err(|e| StoreError::Policy(Arc::new(e)))?;
        twin!(self, policies::add(tenant, &policy, bytes, Millis::now()))?;
        Ok(policy)
    }

    /// Keeps a policy's file under its hash, as a version of no name: whoever finds a decision that rests on it
    /// can read it.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn keep_policy_text(&self, bytes: &[u8]) -> Result<PolicyId> {
        let id = PolicyId(hex(&Sha256::digest(bytes)));
        twin!(self, policies::keep(&id, bytes))?;
        Ok(id)
    }

    /// Where in the chain the last change of any policy stands; 0 without one. As long as it stays, the versions
    /// in use are the same.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn last_policy_change(&self) -> Result<i64> {
        twin!(self, policies::last_change())
    }

    /// The file of a version, byte for byte.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] where it is not stored.
    pub async fn policy_bytes(&self, id: &PolicyId) -> Result<Vec<u8>> {
        twin!(self, policies::text(id))
    }

    /// All versions of one name, newest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn policy_versions(&self, tenant: &str, name: &str) -> Result<Vec<PolicyVersion>> {
        twin!(self, policies::versions(tenant, name))
    }

    /// The versions in use under one name.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn policy_in_use(&self, tenant: &str, name: &str) -> Result<InUse> {
        twin!(self, policies::in_use(tenant, name))
    }

    /// Every name of a tenant with its versions in use.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn policies(&self, tenant: &str) -> Result<Vec<InUse>> {
        twin!(self, policies::all_in_use(tenant))
    }

    /// Changes which version acts or judges beside; the chain records it.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] for a version that was not added, or where there is nothing to withdraw;
    /// [`StoreError::Conflict`] for a roll-back with nothing before.
    pub async fn change_policy(
        &self,
        tenant: &str,
        name: &str,
        change: Change,
        actor: &str,
    ) -> Result<InUse> {
        let change = ChangeOf {
            tenant: tenant.to_owned(),
            name: name.to_owned(),
            change,
            actor: actor.to_owned(),
            at: Millis::now(),
        };
        match self.writer.append(Entry::Policy(change)).await? {
            Applied::Policy(in_use) => Ok(in_use),
            _ => Err(StoreError::Closed),
        }
    }
}
