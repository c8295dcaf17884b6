//! One record of the audit chain, and the hash that binds it to the one before.

use sha2::{Digest, Sha256};

/// A hash of the chain.
pub(crate) type Hash = [u8; 32];

/// What stands before the first record.
pub(crate) const START: Hash = [0; 32];

/// Kinds of records.
pub(crate) const DECISION: &str = "decision";
/// A person's word on a decision.
pub(crate) const REVIEW: &str = "review";
/// Another version of a policy came to act.
pub(crate) const POLICY: &str = "policy";
/// Content was erased.
pub(crate) const ERASURE: &str = "erasure";

/// Names the layout that is hashed; another layout needs another name.
const LAYOUT: &[u8] = b"safeguard record 1\n";

/// A row of the table `records`, without its hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// From 1, without gaps.
    pub(crate) seq: i64,
    pub(crate) id: String,
    /// `decision`, `review`, `policy` or `erasure`.
    pub(crate) kind: String,
    pub(crate) at: i64,
    /// JSON, byte for byte as hashed.
    pub(crate) body: String,
}

impl Record {
    /// SHA-256 of the record before and of every field, each with its length before it.
    pub(crate) fn hash(&self, previous: &Hash) -> Hash {
        let mut sha = Sha256::new();
        sha.update(LAYOUT);
        sha.update(previous);
        sha.update(self.seq.to_be_bytes());
        sha.update(self.at.to_be_bytes());
        for field in [&self.id, &self.kind, &self.body] {
            sha.update((field.len() as u64).to_be_bytes());
            sha.update(field);
        }
        sha.finalize().into()
    }
}
