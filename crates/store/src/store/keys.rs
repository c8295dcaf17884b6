//! API keys.

use super::{Store, twin};
use crate::error::Result;
use crate::id::KeyId;
use crate::key::{ApiKey, KeyUsage, NewKey, Secret};
use crate::time::Millis;

impl Store {
    /// Makes a key. Its secret is returned this once and is not stored.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn create_key(&self, key: &NewKey) -> Result<(ApiKey, Secret)> {
        twin!(self, keys::create(key, Millis::now()))
    }

    /// The valid key of a presented secret; `None` for any other text.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn key_of(&self, presented: &str) -> Result<Option<ApiKey>> {
        let key = twin!(self, keys::of_secret(presented))?;
        Ok(key.filter(|key| key.is_valid(Millis::now())))
    }

    /// Whether there is any key, or was: one that ended or was revoked counts too.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn has_keys(&self) -> Result<bool> {
        twin!(self, keys::exist())
    }

    /// Keys of a tenant, or of all, oldest first; revoked ones too.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn keys(&self, tenant: Option<&str>) -> Result<Vec<ApiKey>> {
        twin!(self, keys::list(tenant))
    }

    /// What was decided for a key on the day of this moment, in UTC; candidates' decisions are not counted.
    ///
    /// # Errors
    /// [`crate::StoreError::Database`].
    pub async fn key_usage(&self, id: &KeyId, at: Millis) -> Result<KeyUsage> {
        twin!(self, keys::usage(id, at))
    }

    /// Ends a key.
    ///
    /// # Errors
    /// [`crate::StoreError::Unknown`] without such a key of this tenant.
    pub async fn revoke_key(&self, tenant: Option<&str>, id: &KeyId) -> Result<()> {
        twin!(self, keys::revoke(tenant, id, Millis::now()))
    }
}
