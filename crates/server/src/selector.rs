//! How a request names policies: `name`, `name@` and the first digits of a version, a whole version, or the
//! text itself.

use std::sync::Arc;

use policy::{Policy, PolicyError};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::door::Refusal;
use crate::error::ApiError;
use crate::shelf::{Served, Shelved};

/// The label of metrics for policies that came with their request.
pub(crate) const INLINE: &str = "inline";
/// Fewest digits that name a version.
pub(crate) const MIN_DIGITS: usize = 4;

/// Most bytes of a policy's name.
const MAX_NAME: usize = 200;

/// Whether a policy can have this name: every store can keep it.
pub(crate) fn is_name(name: &str) -> bool {
    name.len() <= MAX_NAME && !name.contains(char::is_control)
}

/// One policy of a request.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Selector {
    /// `name`, `name@3f2a…`, or the 64 digits of a version.
    #[schema(example = "harassment")]
    Named(String),
    /// A policy that comes with the request.
    Inline(InlinePolicy),
}

/// A policy that comes with the request.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InlinePolicy {
    /// What verdicts call it.
    #[serde(default = "inline_name")]
    name: String,
    /// The Markdown.
    text: String,
}

fn inline_name() -> String {
    INLINE.to_owned()
}

/// A policy found, with its name in metrics.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    pub(crate) policy: Arc<Policy>,
    /// Its file.
    pub(crate) bytes: Arc<[u8]>,
    pub(crate) metric: String,
}

impl Chosen {
    /// Whether it came with its request.
    pub(crate) fn is_inline(&self) -> bool {
        self.metric == INLINE
    }

    pub(crate) fn served(shelved: &Shelved) -> Chosen {
        let Shelved { policy, bytes } = shelved.clone();
        Chosen { metric: policy.name.clone(), policy, bytes }
    }

    /// A policy that came with its request.
    ///
    /// # Errors
    /// As [`Policy::parse`].
    pub(crate) fn inline(name: &str, text: &str) -> Result<Chosen, PolicyError> {
        let policy = Arc::new(Policy::parse(name, text.as_bytes())?);
        Ok(Chosen { policy, bytes: text.as_bytes().into(), metric: INLINE.to_owned() })
    }
}

impl Selector {
    /// What the caller called it.
    pub(crate) fn name(&self) -> &str {
        match self {
            Selector::Named(name) => name,
            Selector::Inline(inline) => &inline.name,
        }
    }

    /// The policy meant.
    ///
    /// # Errors
    /// [`ApiError::UnknownPolicy`], [`ApiError::OtherVersion`], [`Refusal::Bound`], or [`ApiError::Field`] for an inline policy
    /// that is none.
    pub(crate) fn find(&self, served: &Served) -> Result<Chosen, ApiError> {
        match self {
            Selector::Named(name) => named(name, served),
            Selector::Inline(_) if served.is_bound => Err(Refusal::Bound.into()),
            Selector::Inline(InlinePolicy { name, .. }) if !is_name(name) => {
                let problem =
                    format!("it must be at most {MAX_NAME} bytes without control characters");
                Err(ApiError::field("the name of a policy", problem))
            }
            Selector::Inline(InlinePolicy { name, text }) => Chosen::inline(name, text)
                .map_err(|error| ApiError::field(format!("policy {name}"), error.to_string())),
        }
    }
}

/// The policies named, or all that are served where none is.
///
/// # Errors
/// As [`Selector::find`], or [`ApiError::NoPolicies`].
pub(crate) fn all_or(named: &[String], served: &Served) -> Result<Vec<Chosen>, ApiError> {
    let find = |name: &String| Selector::Named(name.clone()).find(served);
    let chosen: Vec<Chosen> = match named.is_empty() {
        true => served.policies.values().map(Chosen::served).collect(),
        false => named.iter().map(find).collect::<Result<_, _>>()?,
    };
    if chosen.is_empty() { Err(ApiError::NoPolicies) } else { Ok(chosen) }
}

fn named(text: &str, served: &Served) -> Result<Chosen, ApiError> {
    let unknown = || {
        let known: Vec<&str> = served.policies.keys().map(String::as_str).collect();
        ApiError::UnknownPolicy { name: text.to_owned(), known: known.join(", ") }
    };
    if let Some(policy) = served.policies.get(text) {
        return Ok(Chosen::served(policy));
    }
    if let Some(policy) = served.policies.values().find(|policy| policy.id.0 == text) {
        return Ok(Chosen::served(policy));
    }
    let (name, wanted) = text.rsplit_once('@').ok_or_else(unknown)?;
    let policy = served.policies.get(name).ok_or_else(unknown)?;
    if wanted.len() >= MIN_DIGITS && policy.id.0.starts_with(wanted) {
        return Ok(Chosen::served(policy));
    }
    if wanted.len() < MIN_DIGITS {
        let problem = format!("a version is named by at least {MIN_DIGITS} of its digits");
        return Err(ApiError::field(format!("policy {text}"), problem));
    }
    let (name, wanted) = (name.to_owned(), wanted.to_owned());
    Err(ApiError::OtherVersion { name, wanted, served: policy.id.0[..12].to_owned() })
}
