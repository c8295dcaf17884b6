//! The policies that jobs were accepted under, found again when their turn comes: in service, remembered, or in
//! the store, which has had their texts since before the job was accepted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use store::{LeasedItem, StoreError};

use super::settle::caller_of;
use crate::api::App;
use crate::selector::{Chosen, INLINE};
use crate::shelf::Shelved;

/// Policies remembered.
const MAX_KNOWN: usize = 256;

/// Policies by name and version.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    known: Mutex<HashMap<(String, String), Chosen>>,
}

impl Texts {
    /// The policy that an item was accepted under.
    ///
    /// # Errors
    /// As [`store::Store::policy_bytes`]; [`StoreError::Policy`] if the text cannot be read any more.
    pub(crate) async fn find(&self, app: &App, item: &LeasedItem) -> Result<Chosen, StoreError> {
        let (wanted, caller) = (&item.policy, caller_of(item));
        // Where the store cannot say what is in service, it will not say the text either.
        if let Ok(served) = app.served(&caller).await
            && let Some(shelved) = served.policies.get(&wanted.name)
            && shelved.id == wanted.id
        {
            return Ok(Chosen::served(shelved));
        }
        let key = (wanted.name.clone(), wanted.id.0.clone());
        if let Some(chosen) = self.known().get(&key) {
            return Ok(chosen.clone());
        }
        let store = app.store().map_err(|_| StoreError::Closed)?;
        let Shelved { policy, bytes } =
            Shelved::parse(&wanted.name, &store.policy_bytes(&wanted.id).await?)
                .map_err(|error| StoreError::Policy(Arc::new(error)))?;
        let chosen = Chosen { policy, bytes, metric: INLINE.to_owned() };
        let mut known = self.known();
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(key, chosen.clone());
        Ok(chosen)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<(String, String), Chosen>> {
        // A map of whole policies is whole at every moment.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
