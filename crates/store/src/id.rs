//! Ids: 48 bits of time and 80 of chance, 26 letters that sort by time (the layout of ULID), with a prefix
//! that says what they identify.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Result, StoreError};
use crate::time::Millis;

/// Crockford's alphabet, in small letters: no i, l, o, u.
const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const N_LETTERS: usize = 26;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident $what:literal $prefix:literal $example:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// A new one, later in order than those of earlier milliseconds.
            ///
            /// # Errors
            /// [`StoreError::Random`] if the system gives no random numbers.
            pub fn new(now: Millis) -> Result<$name> {
                Ok($name(format!("{}{}", $prefix, letters(now)?)))
            }

            /// Its text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = StoreError;

            fn from_str(text: &str) -> Result<$name> {
                if text.strip_prefix($prefix).is_some_and(is_letters) {
                    return Ok($name(text.to_owned()));
                }
                let text = text.chars().take(64).collect();
                Err(StoreError::Id { what: $what, text, example: $example })
            }
        }

        impl TryFrom<String> for $name {
            type Error = StoreError;

            fn try_from(text: String) -> Result<$name> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    )*};
}

ids! {
    /// Identifies a decision.
    DecisionId "decision" "dec_" "dec_01jd9g3vd8k2m4n6p8q0r2s4t6";
    /// Identifies a job.
    JobId "job" "job_" "job_01jd9g3vd8k2m4n6p8q0r2s4t6";
    /// Identifies an item of a job.
    ItemId "item" "item_" "item_01jd9g3vd8k2m4n6p8q0r2s4t6";
    /// Identifies a delivery to a webhook, and is its idempotency key.
    DeliveryId "delivery" "dlv_" "dlv_01jd9g3vd8k2m4n6p8q0r2s4t6";
    /// Identifies a review.
    ReviewId "review" "rev_" "rev_01jd9g3vd8k2m4n6p8q0r2s4t6";
    /// Identifies any other record of the chain.
    RecordId "record" "rec_" "rec_01jd9g3vd8k2m4n6p8q0r2s4t6";
    /// Identifies an API key; no secret.
    KeyId "key" "key_" "key_01jd9g3vd8k2m4n6p8q0r2s4t6";
    /// Identifies a file.
    FileId "file" "file-" "file-01jd9g3vd8k2m4n6p8q0r2s4t6";
}

fn letters(now: Millis) -> Result<String> {
    let mut chance = [0; 16];
    getrandom::fill(&mut chance[6..]).map_err(|_| StoreError::Random)?;
    let time = u128::from(now.0.unsigned_abs()) << 80;
    Ok(encode(time | u128::from_be_bytes(chance)))
}

fn encode(bits: u128) -> String {
    (0..N_LETTERS)
        .rev()
        .map(|place| char::from(LETTERS[(bits >> (5 * place)) as usize & 31]))
        .collect()
}

fn is_letters(text: &str) -> bool {
    text.len() == N_LETTERS && text.bytes().all(|letter| LETTERS.contains(&letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_differ() {
        let at = |millis| JobId::new(Millis(millis)).unwrap();
        assert!(at(1_700_000_000_000) < at(1_700_000_000_001));
        assert_ne!(at(5), at(5));
        assert_eq!(at(5).as_str().parse::<JobId>().unwrap().as_str().len(), 4 + N_LETTERS);
    }

    #[test]
    fn ids_of_another_kind_are_refused() {
        let job = JobId::new(Millis(5)).unwrap();
        for text in [job.as_str(), "", "dec_", "dec_01jd9g3vd8k2m4n6p8q0r2s4tu", "dec_é"] {
            assert!(text.parse::<DecisionId>().is_err(), "{text}");
        }
    }
}
