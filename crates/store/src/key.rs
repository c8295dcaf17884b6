//! API keys: 256 random bits that only the caller has; the store has their SHA-256.

use std::fmt;

use policy::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::error::{Result, StoreError};
use crate::id::KeyId;
use crate::time::Millis;

/// What every key begins with, so that scanners for leaked secrets know it.
const PREFIX: &str = "sg_";

/// A key's secret, shown once. Its `Debug` shows nothing.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// `sg_`, the id's letters, `_`, 64 hexadecimal digits.
    pub(crate) fn random(id: &KeyId) -> Result<Secret> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|_| StoreError::Random)?;
        let letters = id.as_str().trim_start_matches("key_");
        Ok(Secret(format!("{PREFIX}{letters}_{}", hex(&bytes))))
    }

    /// The text for the caller.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The id that a presented key claims; whether rightly, [`is_same`] says.
pub(crate) fn claimed_id(presented: &str) -> Option<KeyId> {
    let (letters, _) = presented.strip_prefix(PREFIX)?.split_once('_')?;
    format!("key_{letters}").parse().ok()
}

/// What is stored of a secret. It has 256 random bits, so one round of SHA-256 is enough.
pub(crate) fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// Compares in a time that does not depend on where they differ.
pub(crate) fn is_same(presented: &str, stored: &[u8]) -> bool {
    hash(presented).ct_eq(stored).into()
}

/// What a key may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Grants {
    /// Names that the server gives meaning to, such as `classify` or `admin`.
    pub scopes: Vec<String>,
    /// Policies it may use; unset: all of its tenant.
    pub policies: Option<Vec<String>>,
    /// Requests a minute; unset: no limit.
    pub requests_per_minute: Option<u32>,
    /// Decisions a day, in UTC; unset: no limit.
    pub items_per_day: Option<u64>,
    /// Generated tokens a day, in UTC; unset: no limit.
    pub tokens_per_day: Option<u64>,
}

/// What a key has used on one day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyUsage {
    /// Decisions.
    pub n_items: i64,
    /// Tokens generated for them.
    pub n_tokens: i64,
}

/// A key to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// Whose requests it marks.
    pub tenant: String,
    /// For people.
    pub name: String,
    /// What it may do.
    pub grants: Grants,
    /// When it ends.
    pub expires_at: Option<Millis>,
}

/// A key as listed: no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: KeyId,
    /// Whose requests it marks.
    pub tenant: String,
    /// For people.
    pub name: String,
    /// What it may do.
    pub grants: Grants,
    /// When it was made.
    pub created_at: Millis,
    /// When it ends.
    pub expires_at: Option<Millis>,
    /// When it was revoked.
    pub revoked_at: Option<Millis>,
}

impl ApiKey {
    /// Whether it opens anything at this time.
    pub fn is_valid(&self, now: Millis) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_names_its_key_and_hides_itself() {
        let id = KeyId::new(Millis(5)).unwrap();
        let secret = Secret::random(&id).unwrap();
        assert_eq!(claimed_id(secret.reveal()), Some(id));
        assert_eq!(secret.reveal().len(), 3 + 26 + 1 + 64);
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        assert!(is_same(secret.reveal(), &hash(secret.reveal())));
        assert!(!is_same(secret.reveal(), &hash("other")));
        assert!(!is_same(secret.reveal(), b""));
        for text in ["", "sg_", "sg_x_y", "key_01jd9g3vd8k2m4n6p8q0r2s4t6"] {
            assert_eq!(claimed_id(text), None, "{text}");
        }
    }
}
