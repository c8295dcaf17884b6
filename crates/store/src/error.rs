//! What can go wrong with a store.

use std::sync::Arc;

/// Why the store could not do what it was asked.
///
/// Texts name ids and places, never content or secrets.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The URL names no store.
    #[error("{url:?} names no store; write sqlite:FILE or postgres://USER@HOST/DATABASE")]
    Url {
        /// What was given, without a password.
        url: String,
    },
    /// This build speaks no TLS and the URL asks for it.
    #[error(
        "sslmode={mode} needs TLS, and this build has none (feature `tls` of the crate `store`)"
    )]
    NoTls {
        /// The mode of the URL.
        mode: String,
    },
    /// The store was there, but could not be opened.
    #[error("{url}: cannot be opened")]
    Open {
        /// The URL, without a password.
        url: String,
        /// What the database said.
        #[source]
        source: Arc<sqlx::Error>,
    },
    /// A newer program wrote the tables.
    #[error(
        "{url}: its tables are of version {found}, this program knows versions up to {known}; use the newer program"
    )]
    Newer {
        /// The URL, without a password.
        url: String,
        /// The tables' version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// The tables could not be brought up to date.
    #[error("{url}: the tables could not be made")]
    Migrate {
        /// The URL, without a password.
        url: String,
        /// What the database said.
        #[source]
        source: Arc<sqlx::migrate::MigrateError>,
    },
    /// The database failed while it worked.
    #[error("the database failed")]
    Database(#[source] Arc<sqlx::Error>),
    /// A row holds what this program never writes.
    #[error("{table} {id}: column {column} cannot be read")]
    Row {
        /// The table.
        table: &'static str,
        /// The row.
        id: String,
        /// The column.
        column: &'static str,
    },
    /// The bytes stored under a hash are not those that have it.
    #[error("{what} {id}: its stored bytes were altered, they do not have this hash")]
    Altered {
        /// What it is: `policy`.
        what: &'static str,
        /// Its id, the hash.
        id: String,
    },
    /// There is nothing of that name for this tenant.
    #[error("there is no {what} {id:?}")]
    Unknown {
        /// What was looked for: `decision`, `job`, …
        what: &'static str,
        /// Its id or name.
        id: String,
    },
    /// An id that is none.
    #[error("{text:?} is no id of a {what}; one looks like {example}")]
    Id {
        /// What it should identify.
        what: &'static str,
        /// What was given.
        text: String,
        /// A good one.
        example: &'static str,
    },
    /// Asked for something that the store's present state forbids.
    #[error("{what} {id}: {why}")]
    Conflict {
        /// What it is about.
        what: &'static str,
        /// Its id or name.
        id: String,
        /// What stands against it.
        why: &'static str,
    },
    /// More than the store takes at once.
    #[error("{what}: {found} is more than the {limit} that are taken")]
    TooMuch {
        /// What it is about.
        what: &'static str,
        /// How much was given.
        found: usize,
        /// How much is taken.
        limit: usize,
    },
    /// A review that says nothing, or names what cannot be.
    #[error("{field}: {problem}")]
    Review {
        /// What of it: `outcome`, `rule` or `reason`.
        field: &'static str,
        /// What is wrong, in words that hold no content.
        problem: String,
    },
    /// The policy cannot be read.
    #[error("the policy cannot be read")]
    Policy(#[source] Arc<policy::PolicyError>),
    /// No random numbers from the system.
    #[error("the system gave no random numbers")]
    Random,
    /// A value cannot be written as JSON, such as a score that is no number.
    #[error("a record cannot be written as JSON: {reason}")]
    Json {
        /// What serde said; our own types, so no content.
        reason: String,
    },
    /// The store was closed, or the runtime that it was opened on has ended.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Whether the request was at fault, and nothing was changed; otherwise the database was.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            StoreError::Unknown { .. }
                | StoreError::Id { .. }
                | StoreError::Conflict { .. }
                | StoreError::TooMuch { .. }
                | StoreError::Policy(_)
                | StoreError::Review { .. }
                | StoreError::Json { .. }
        )
    }

    pub(crate) fn unknown(what: &'static str, id: impl ToString) -> StoreError {
        StoreError::Unknown { what, id: id.to_string() }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> StoreError {
        StoreError::Database(Arc::new(error))
    }
}

impl From<serde_json::Error> for StoreError {
    fn from(error: serde_json::Error) -> StoreError {
        // serde's own words may quote what it read.
        let reason =
            format!("{:?} at line {} column {}", error.classify(), error.line(), error.column());
        StoreError::Json { reason }
    }
}

pub(crate) type Result<T> = std::result::Result<T, StoreError>;
