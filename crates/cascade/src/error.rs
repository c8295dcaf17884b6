//! What can be wrong with a filter, its data or its settings.

/// Why a filter cannot be made, read or trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CascadeError {
    /// No label was named.
    #[error("no label to train on")]
    NoLabels,
    /// More labels than a filter's file has room for.
    #[error("{n_labels} labels are too many for one filter")]
    TooManyLabels {
        /// How many.
        n_labels: usize,
    },
    /// Too little to learn a label from.
    #[error(
        "label {label:?}: {n_positives} rows have it and {n_negatives} do not; at least {} of each are needed",
        crate::train::MIN_SIDE
    )]
    TooFewRows {
        /// The label.
        label: String,
        /// Rows that have it.
        n_positives: usize,
        /// Rows known not to have it.
        n_negatives: usize,
    },
    /// The file is something else.
    #[error("not a filter's file")]
    NotAFilter,
    /// The file is of another version of the format.
    #[error("a filter's file of version {found}; this program reads version {known}")]
    Version {
        /// The file's.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// The file was changed or cut after it was written.
    #[error("the filter's file is damaged: its {part} is not as it was written")]
    Damaged {
        /// Which part.
        part: &'static str,
    },
    /// The filter was trained on labels alone.
    #[error("the filter is bound to no policy")]
    Unbound,
    /// The filter was made for another version of the policy.
    #[error("the filter was made for policy {made_for}, this one is {found}")]
    Stale {
        /// The hash that the filter carries.
        made_for: String,
        /// The hash of the policy at hand.
        found: String,
    },
}
