//! The policies of tenants as the store has them: which version acts, which candidate judges beside it.
//!
//! They are kept in memory and read again when the chain has a newer change, whoever made it. What is active in
//! the store goes before the folder's file of the same name.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use policy::PolicyId;
use store::{Store, StoreError};

use crate::error::ApiError;
use crate::shelf::Shelved;

/// What one tenant has in use.
#[derive(Debug, Default)]
pub(crate) struct InUse {
    /// By name, the versions that act.
    pub(crate) active: BTreeMap<String, Shelved>,
    /// By name, the candidates beside them.
    pub(crate) shadow: BTreeMap<String, Shelved>,
}

/// The policies of all tenants.
#[derive(Default)]
pub(crate) struct StoredPolicies {
    store: Option<Store>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The last change of any policy that was seen in the chain.
    last_change: i64,
    /// Grows when what was read is forgotten, so that a reading under way then is not kept.
    generation: u64,
    tenants: HashMap<String, Arc<InUse>>,
}

impl StoredPolicies {
    pub(crate) fn new(store: Option<Store>) -> StoredPolicies {
        StoredPolicies { store, state: Mutex::default() }
    }

    /// What a tenant has in use.
    ///
    /// # Errors
    /// [`ApiError::StoreUnreadable`]: to go on without would be to judge by other policies than were meant.
    pub(crate) async fn of(&self, tenant: &str) -> Result<Arc<InUse>, ApiError> {
        let Some(store) = &self.store else { return Ok(Arc::default()) };
        let generation = {
            let state = self.state();
            if let Some(known) = state.tenants.get(tenant) {
                return Ok(Arc::clone(known));
            }
            state.generation
        };
        let read = Arc::new(read(store, tenant).await.map_err(|error| {
            tracing::error!("a tenant's policies cannot be read: {error}");
            ApiError::StoreUnreadable
        })?);
        let mut state = self.state();
        if state.generation == generation {
            state.tenants.insert(tenant.to_owned(), Arc::clone(&read));
        }
        Ok(read)
    }

    /// Forgets what was read: something was changed here.
    pub(crate) fn forget(&self) {
        let mut state = self.state();
        state.generation += 1;
        state.tenants.clear();
    }

    /// Forgets what was read if something was changed elsewhere.
    pub(crate) async fn look_again(&self) {
        let Some(store) = &self.store else { return };
        match store.last_policy_change().await {
            Ok(last) if last != self.state().last_change => {
                self.forget();
                self.state().last_change = last;
            }
            Ok(_) => {}
            Err(error) => tracing::error!("changes of policies cannot be seen: {error}"),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read(store: &Store, tenant: &str) -> Result<InUse, StoreError> {
    let mut in_use = InUse::default();
    for store::InUse { name, active, shadow } in store.policies(tenant).await? {
        if let Some(id) = active {
            in_use.active.insert(name.clone(), version(store, &name, &id).await?);
        }
        if let Some(id) = shadow {
            in_use.shadow.insert(name.clone(), version(store, &name, &id).await?);
        }
    }
    Ok(in_use)
}

async fn version(store: &Store, name: &str, id: &PolicyId) -> Result<Shelved, StoreError> {
    Shelved::parse(name, &store.policy_bytes(id).await?)
        .map_err(|error| StoreError::Policy(Arc::new(error)))
}
