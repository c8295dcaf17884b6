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
    /// The filter reads vectors, and there is nothing to make them.
    #[error("the filter reads vectors of {identity}, and that encoder was not given")]
    EncoderMissing {
        /// The encoder's.
        identity: String,
    },
    /// The encoder is another than the filter was trained with.
    #[error("the filter reads vectors of {made_for}; the encoder given is {found}")]
    EncoderForeign {
        /// The identity that the filter carries.
        made_for: String,
        /// The identity of the encoder at hand.
        found: String,
    },
    /// Vectors that a filter cannot read.
    #[error("the encoder {identity} gave something else than finite vectors of its own length")]
    Vectors {
        /// The encoder's.
        identity: String,
    },
    /// An encoder failed.
    #[error("a text could not be turned into a vector")]
    Encode(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Neither n-grams nor vectors.
    #[error("a filter must read something: n-grams, vectors, or both")]
    ReadsNothing,
    /// The filter's recall is not proven yet.
    #[error("the filter is not calibrated, so nothing is promised of it")]
    Uncalibrated,
    /// The audit was begun for another policy or promise.
    #[error("the audit watches over another promise than the filter's")]
    ForeignAudit,
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
    /// A recall that cannot be promised.
    #[error("the recall {recall} cannot be promised; give a share above 0 and at most 0.999999")]
    Recall {
        /// The recall.
        recall: f64,
    },
    /// A confidence that is none.
    #[error("the confidence {confidence} is not from 0.5 to below 1; 0.95 is usual")]
    Confidence {
        /// The confidence.
        confidence: f64,
    },
    /// A score that cannot be compared with a threshold.
    #[error(
        "score {index}, counted from 0, is {score}; scores must be finite: see what the filter was given"
    )]
    Score {
        /// Its place, from 0.
        index: usize,
        /// The score.
        score: f64,
    },
    /// A base rate that is no share.
    #[error("the base rate {base_rate} is not between 0 and 1")]
    BaseRate {
        /// The base rate.
        base_rate: f64,
    },
    /// Too little data for the promise.
    #[error(
        "{found} positives cannot prove a recall of {recall} with confidence {confidence}: it takes {needed}, so {more} more; label more violating items or promise less"
    )]
    TooFewPositives {
        /// Positives at hand.
        found: u64,
        /// Positives that it takes in all.
        needed: u64,
        /// The difference.
        more: u64,
        /// The promised recall.
        recall: f64,
        /// The confidence.
        confidence: f64,
    },
    /// A file whose promise does not follow from its own counts.
    #[error(
        "the counts in the filter's file do not prove its recall of {recall}; calibrate it again"
    )]
    Evidence {
        /// The recall that the file promises.
        recall: f64,
    },
    /// An audit rate that audits nothing or more than all.
    #[error(
        "the audit rate {rate} is not above 0 and at most 1; 0.01 audits one stopped item in a hundred"
    )]
    AuditRate {
        /// The rate.
        rate: f64,
    },
    /// A saved audit that contradicts itself.
    #[error("the saved audit contradicts its own counts; begin another")]
    AuditState,
    /// A setting of the budget that makes no sense.
    #[error("budget: {setting}: {problem}")]
    Budget {
        /// The setting's name.
        setting: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// Rows on which classifier and reasoner cannot be compared.
    #[error("{problem}")]
    Contest {
        /// What is wrong with them.
        problem: String,
    },
    /// Rows from which no routes can be learned.
    #[error("effort routing: {problem}")]
    Routes {
        /// What is wrong with them.
        problem: String,
    },
}
