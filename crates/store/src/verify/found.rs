//! What a walk over the chain finds.

use std::fmt;

use policy::PolicyId;

/// How the chain ends: note it elsewhere, and nobody can cut the chain or write it anew unseen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainHead {
    /// How many records.
    pub n_records: i64,
    /// The hash of the last, in hexadecimal.
    pub hash: String,
}

impl fmt::Display for ChainHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.n_records, self.hash)
    }
}

/// What a walk over the chain found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verification {
    /// All records are as they were written.
    Whole(ChainHead),
    /// The first that is not.
    Broken(Broken),
    /// All records are, but not the text of a policy that decisions may rest on.
    Policy(BrokenPolicy),
}

/// A policy whose text is not what was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenPolicy {
    /// The version: the SHA-256 that its text had.
    pub id: PolicyId,
    /// What is wrong.
    pub fault: PolicyFault,
}

/// What is wrong with the text of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PolicyFault {
    /// It has another hash.
    Altered,
    /// It is not there, though the chain tells of a change to this version.
    Gone,
}

impl fmt::Display for PolicyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PolicyFault::Altered => "the text of the policy was altered",
            PolicyFault::Gone => "the text of the policy has gone",
        })
    }
}

/// The first broken place of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The record's place, from 1.
    pub seq: i64,
    /// Its id, where there is a record.
    pub id: Option<String>,
    /// What is wrong.
    pub fault: Fault,
}

impl Broken {
    /// The row that says how long the chain is has gone.
    pub(crate) fn no_head() -> Broken {
        Broken { seq: 0, id: None, fault: Fault::Head }
    }
}

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Not the hash of what the record holds and of the record before.
    Altered,
    /// It does not follow the record before: one was exchanged, moved, put in or taken out.
    Unlinked,
    /// No record stands here, but later ones do.
    Missing,
    /// The chain ends before its head says.
    Truncated,
    /// There are records past the head, or the head's hash is not the last record's.
    Head,
    /// The head noted earlier is not in this chain.
    Forked,
    /// The columns that the record is found by do not say what it says, or there are some that should not be.
    Index,
    /// The content or the words kept are not those of the record.
    Sealed,
    /// What was kept has gone, and no later record says that it was erased.
    Gone,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Altered => "the record was altered",
            Fault::Unlinked => "the record does not follow the one before it",
            Fault::Missing => "the record is missing",
            Fault::Truncated => "the chain was cut off here",
            Fault::Head => "the head of the chain does not fit its last record",
            Fault::Forked => "the head noted earlier is not in this chain",
            Fault::Index => "the columns by which the record is found were altered",
            Fault::Sealed => "the content or the reasoning kept is not what was recorded",
            Fault::Gone => "what was kept has gone without a record of its erasure",
        })
    }
}
