//! What moderations answer, and what is done without a verdict.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::SettingsError;

/// What `/v1/moderations` answers.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Moderations {
    /// Policies that judge, as in a request's `policies`; empty: all of the folder.
    pub policies: Vec<String>,
    /// From a policy (`harassment`) or one of its labels (`harassment.HA4`) to the stock categories that it
    /// sets. A policy whose name is a stock category needs no line. By default, what the policies that come
    /// with safeguard mean by theirs.
    pub map: BTreeMap<String, Vec<String>>,
    /// What becomes of an item that could not be judged.
    pub on_undetermined: StockUndetermined,
}

impl Default for Moderations {
    fn default() -> Moderations {
        let map = [
            ("harassment.HA4", "harassment/threatening"),
            ("hate.HS4", "hate/threatening"),
            ("illicit-goods", "illicit"),
            ("self-harm.SH2", "self-harm/intent"),
            ("self-harm.SH4", "self-harm/instructions"),
        ];
        Moderations {
            policies: Vec::new(),
            map: map.map(|(from, to)| (from.to_owned(), vec![to.to_owned()])).into(),
            on_undetermined: StockUndetermined::default(),
        }
    }
}

impl Moderations {
    /// Whether the categories that are set are there.
    ///
    /// # Errors
    /// [`SettingsError::Category`] for the first that is not.
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        let mut mapped = self.map.values().flatten();
        match mapped.find(|it| !crate::api::STOCK.contains(&it.as_str())) {
            Some(category) => Err(SettingsError::Category { category: category.clone() }),
            None => Ok(()),
        }
    }
}

/// What `/v1/moderations` does without a verdict, for which its shape has no word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StockUndetermined {
    /// The request fails with status 503, so that clients try again or notice.
    #[default]
    Error,
    /// The item is flagged.
    Flag,
}

impl StockUndetermined {
    /// What that comes to for the item: a request that fails leaves it to the caller.
    pub(crate) fn action(self) -> OnUndetermined {
        match self {
            StockUndetermined::Error => OnUndetermined::Review,
            StockUndetermined::Flag => OnUndetermined::Block,
        }
    }
}

/// What a caller of `/v1/classify` wants done where there is no verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnUndetermined {
    /// Let it through; counted as bypassed.
    Allow,
    /// Treat it as a violation.
    Block,
    /// A person decides.
    #[default]
    Review,
}
