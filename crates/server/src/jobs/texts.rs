//! The policies that jobs were accepted under, found again when their turn comes: in service, remembered, or in
//! the store, which has had their texts since before the job was accepted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use policy::{Policy, PolicyRef};
use store::{Store, StoreError};

use crate::shelf::Shelf;

/// Policies remembered.
const MAX_KNOWN: usize = 256;

/// Policies by name and version.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    known: Mutex<HashMap<(String, String), Arc<Policy>>>,
}

impl Texts {
    /// The policy of this name and version.
    ///
    /// # Errors
    /// As [`Store::policy_bytes`]; [`StoreError::Policy`] if the text cannot be read any more.
    pub(crate) async fn find(
        &self,
        shelf: &Shelf,
        store: &Store,
        wanted: &PolicyRef,
    ) -> Result<Arc<Policy>, StoreError> {
        let served = shelf.served();
        if let Some(shelved) = served.policies.get(&wanted.name).filter(|it| it.id == wanted.id) {
            return Ok(Arc::clone(&shelved.policy));
        }
        let key = (wanted.name.clone(), wanted.id.0.clone());
        if let Some(policy) = self.known().get(&key) {
            return Ok(Arc::clone(policy));
        }
        let bytes = store.policy_bytes(&wanted.id).await?;
        let policy = Policy::parse(&wanted.name, &bytes)
            .map_err(|error| StoreError::Policy(Arc::new(error)))?;
        let policy = Arc::new(policy);
        let mut known = self.known();
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(key, Arc::clone(&policy));
        Ok(policy)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<(String, String), Arc<Policy>>> {
        // A map of whole policies is whole at every moment.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
