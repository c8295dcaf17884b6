//! What quotes people is kept apart from the chain, and the chain holds only salted digests of it.
//!
//! A plain digest of a short text can be guessed by trying texts. So every record has a random salt of its
//! own, kept beside the text: with it, a copy of the text can be proven to be what was judged; once text and
//! salt are erased, the digest says nothing any more, and the chain is as whole as before.

use std::fmt;

use policy::{Content, Verdict, hex};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Result, StoreError};

/// The random salt of one record, 32 bytes.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Salt(pub(crate) [u8; 32]);

impl Salt {
    pub(crate) fn random() -> Result<Salt> {
        let mut salt = [0; 32];
        getrandom::fill(&mut salt).map_err(|_| StoreError::Random)?;
        Ok(Salt(salt))
    }

    /// SHA-256 of salt, field and text, in hexadecimal. The salt has one length and no field holds a zero
    /// byte, so no two inputs run together.
    pub(crate) fn digest(&self, field: &str, text: &str) -> String {
        let mut sha = Sha256::new();
        sha.update(self.0);
        sha.update(field);
        sha.update([0]);
        sha.update(text);
        hex(&sha.finalize())
    }
}

/// The part of a verdict that quotes the content.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Words {
    /// A sentence or two for reviewers.
    pub rationale: Option<String>,
    /// The analysis channel.
    pub reasoning: String,
    /// What went wrong, where undetermined.
    pub detail: Option<String>,
}

impl Words {
    /// Those of a verdict.
    pub fn of(verdict: &Verdict) -> Words {
        Words {
            rationale: verdict.rationale.clone(),
            reasoning: verdict.reasoning.clone(),
            detail: verdict.detail.clone(),
        }
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Words(…)")
    }
}

/// What is still kept of a decision besides its record.
#[derive(Clone, Default, PartialEq)]
pub struct Kept {
    /// What was judged; `None` if it was never kept or has been erased.
    pub content: Option<Content>,
    /// Rationale and reasoning; as `content`.
    pub words: Option<Words>,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept")
            .field("content", &self.content.is_some())
            .field("words", &self.words.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_have_unequal_digests() {
        let (one, other) = (Salt::random().unwrap(), Salt::random().unwrap());
        assert_ne!(one.digest("content", "x"), other.digest("content", "x"));
        assert_ne!(one.digest("content", "x"), one.digest("words", "x"));
        assert_eq!(one.digest("content", "x"), one.digest("content", "x"));
    }
}
