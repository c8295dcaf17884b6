//! What can be wrong with a filter, its data or its settings.

/// Why a filter cannot be made, read or trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CascadeError {
    /// The filter was made for another version of the policy.
    #[error("the filter was made for policy {made_for}, this one is {found}")]
    Stale {
        /// The hash that the filter carries.
        made_for: String,
        /// The hash of the policy at hand.
        found: String,
    },
    /// A setting of the budget that makes no sense.
    #[error("budget: {setting}: {problem}")]
    Budget {
        /// The setting's name.
        setting: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// Rows from which no routes can be learned.
    #[error("effort routing: {problem}")]
    Routes {
        /// What is wrong with them.
        problem: String,
    },
}
