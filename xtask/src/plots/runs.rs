//! What `safeguard bench --json` wrote, as far as it is drawn.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

/// One run.
#[derive(Debug, Deserialize)]
pub(super) struct Run {
    pub(super) model: Model,
    arithmetic: String,
    dense: String,
    pub(super) sizes: Sizes,
    pub(super) measures: Vec<Measure>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Model {
    pub(super) name: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Sizes {
    pub(super) prefix_tokens: u32,
}

/// One figure beside its limit.
#[derive(Debug, Deserialize)]
pub(super) struct Measure {
    pub(super) what: What,
    pub(super) count: Option<u32>,
    pub(super) value: f64,
    pub(super) limit: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum What {
    Prefill,
    Load,
    FirstToken,
    Start,
    Decode,
    Workload,
}

impl Run {
    /// The flags that say how exactly it computed.
    pub(super) fn arithmetic(&self) -> String {
        match self.dense.as_str() {
            "stored" => self.arithmetic.clone(),
            dense => format!("{}, dense {dense}", self.arithmetic),
        }
    }
}

/// All runs of a folder, by name; none if there is no folder.
pub(super) fn read(folder: &Path) -> Result<Vec<Run>> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files
        .iter()
        .map(|file| {
            let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
            serde_json::from_str(&text).with_context(|| {
                format!("{}: not a run of `safeguard bench --json`", file.display())
            })
        })
        .collect()
}
