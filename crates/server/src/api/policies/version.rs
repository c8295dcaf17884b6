//! Versions named by their digits.

use policy::PolicyId;
use store::Store;

use crate::error::ApiError;
use crate::selector::MIN_DIGITS;

/// Whether these digits name this version.
pub(super) fn is_named(id: &PolicyId, wanted: &str) -> bool {
    wanted.len() >= MIN_DIGITS && id.0.starts_with(wanted)
}

/// The one stored version that the digits name.
///
/// # Errors
/// [`ApiError::Unknown`] for none, [`ApiError::Field`] for too few digits or more than one.
pub(super) async fn find(
    store: &Store,
    tenant: &str,
    name: &str,
    wanted: &str,
) -> Result<PolicyId, ApiError> {
    if wanted.len() < MIN_DIGITS {
        let problem = format!("a version is named by at least {MIN_DIGITS} of its digits");
        return Err(ApiError::field("version", problem));
    }
    let versions = store.policy_versions(tenant, name).await.map_err(ApiError::of_store)?;
    let mut named = versions.into_iter().map(|it| it.policy.id).filter(|id| is_named(id, wanted));
    match (named.next(), named.next()) {
        (Some(id), None) => Ok(id),
        (Some(_), Some(_)) => Err(ApiError::field("version", "more than one begins so")),
        (None, _) => {
            let id = wanted.chars().take(64).collect();
            Err(ApiError::Unknown { what: "stored version of this policy", id })
        }
    }
}
