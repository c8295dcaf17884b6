//! Weights from the hub: downloads into, and looks into, the cache that `huggingface_hub` uses.
//!
//! A model pulled here is found by transformers and vLLM, and the other way round. This module knows
//! files, checksums and HTTP, and nothing of what is in the weights. Read `pull.rs` first: it goes
//! from a name to a finished snapshot; `client.rs` speaks HTTP, `download.rs` fetches one file,
//! `cache.rs` is the layout on disk, `scan.rs` says what is there.

mod cache;
mod checksum;
mod client;
mod download;
mod error;
mod files;
mod name;
mod progress;
mod pull;
mod reply;
mod scan;
mod settings;

use std::path::PathBuf;

use anyhow::Result;

pub(crate) use cache::Cache;
pub(crate) use error::HubError;
pub(crate) use name::ModelName;
pub(crate) use progress::Progress;
pub(crate) use pull::{Pulled, pull};
pub(crate) use scan::{CachedModel, State, scan};
pub(crate) use settings::Access;

/// The folder of a model in the cache: `20b`, `120b` or `ORG/NAME[@REV]`.
///
/// # Errors
/// An error with a hint when the name is none, or the model is not in the cache or not all of it.
pub(crate) fn resolve(name: &str) -> Result<PathBuf> {
    let name: ModelName = name.parse().map_err(HubError::into_report)?;
    scan::find(&Cache::from_env().map_err(HubError::into_report)?, &name)
        .map_err(HubError::into_report)
}
