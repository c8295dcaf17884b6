//! Versions of policies: the bytes by their hash, and which version acts.

use policy::{PolicyId, PolicyRef};
use serde::{Deserialize, Serialize};

use crate::time::Millis;

/// A version of a policy, without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyVersion {
    /// Name and hash.
    pub policy: PolicyRef,
    /// When it was first added under this name.
    pub added_at: Millis,
    /// Whether it is the one that acts.
    pub is_active: bool,
    /// Whether it is the candidate that judges beside the active one.
    pub is_shadow: bool,
}

/// The versions in use under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InUse {
    /// The policy's name.
    pub name: String,
    /// The version that acts.
    pub active: Option<PolicyId>,
    /// The candidate that judges beside it.
    pub shadow: Option<PolicyId>,
}

/// What is done to the versions in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// This version acts from now on.
    Activate(PolicyId),
    /// The version that acted before the present one acts again.
    RollBack,
    /// This version judges beside the active one; `None` ends that.
    Shadow(Option<PolicyId>),
    /// No version acts any more, and none judges beside. All stay in the store, for decisions rest on them.
    Withdraw,
}

/// A change as the chain keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyChange {
    /// Whose policy.
    pub tenant: String,
    /// Its name.
    pub name: String,
    /// What was done.
    pub change: ChangeKind,
    /// The version that acts or judges beside from then on.
    pub policy_id: Option<PolicyId>,
    /// Who did it: a name or a key's id.
    pub actor: String,
}

/// The kinds of [`Change`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// A version was made active.
    Activate,
    /// An earlier version was made active again.
    RollBack,
    /// The candidate was set or taken away.
    Shadow,
    /// The policy was taken out of use.
    Withdraw,
}

impl ChangeKind {
    pub(crate) fn word(self) -> &'static str {
        match self {
            ChangeKind::Activate => "activate",
            ChangeKind::RollBack => "roll_back",
            ChangeKind::Shadow => "shadow",
            ChangeKind::Withdraw => "withdraw",
        }
    }
}
