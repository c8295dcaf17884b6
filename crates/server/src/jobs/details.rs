//! What the store keeps of a job and its items for this service, as JSON that it does not read itself.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{LeasedItem, Sampling};
use utoipa::ToSchema;

use crate::error::Problem;
use crate::settings::OnUndetermined;
use crate::webhooks::Secret;

/// Of a job.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct JobDetails {
    /// The route that took it.
    pub(crate) source: String,
    /// SHA-256 of the request, where it has a key: a second one under that key must be the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<String>,
    #[serde(default)]
    pub(crate) on_undetermined: OnUndetermined,
    /// Whether the caller wants the reasoning too.
    #[serde(default)]
    pub(crate) reasoning: bool,
    /// What the webhook's messages are signed with; unset: the service's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<Secret>,
    /// Pairs that could not be taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) refused: Vec<Refused>,
    /// What makes it a batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) batch: Option<BatchDetails>,
}

/// A pair that could not be taken.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Refused {
    /// The item's place in the request, from 0.
    pub(crate) index: usize,
    /// The item's own id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<Value>,
    /// What the request called the policy.
    pub(crate) policy: String,
    pub(crate) error: Problem,
}

/// Of an item.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ItemDetails {
    /// The item's place in the request, from 0.
    pub(crate) index: usize,
    /// The item's own id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<Value>,
    /// How the judge is to be asked.
    pub(crate) sampling: Sampling,
    /// What its line of a batch asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<LineDetails>,
}

impl ItemDetails {
    /// What its caller wants done without a verdict: as its line says, else as the job does.
    pub(crate) fn on_undetermined(&self, job: &JobDetails) -> OnUndetermined {
        match self.line {
            Some(LineDetails::Classify { on_undetermined, .. }) => on_undetermined,
            _ => job.on_undetermined,
        }
    }
}

/// Both, of an item that was leased.
#[derive(Clone, Debug, Default)]
pub(crate) struct Details {
    pub(crate) job: JobDetails,
    pub(crate) item: ItemDetails,
}

impl Details {
    /// Reads them.
    ///
    /// # Errors
    /// What serde said, of JSON that this program never writes.
    pub(crate) fn of(item: &LeasedItem) -> Result<Details, serde_json::Error> {
        Ok(Details {
            job: serde_json::from_str(&item.job_details)?,
            item: serde_json::from_str(&item.details)?,
        })
    }
}

/// What a line of a batch asked for, as far as its reply depends on it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LineDetails {
    Moderation,
    Classify { on_undetermined: OnUndetermined, reasoning: bool },
    Chat { model: String, reasoning: bool },
}

/// What makes a job a batch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct BatchDetails {
    pub(crate) endpoint: String,
    pub(crate) input_file: String,
    pub(crate) window: String,
    #[serde(default)]
    pub(crate) metadata: Option<Value>,
    /// Lines of the file.
    pub(crate) n_lines: usize,
    /// Lines whose request could not be taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) faults: Vec<Fault>,
    /// Why the file as a whole could not be taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) errors: Vec<BatchError>,
}

/// A line whose request could not be taken.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Fault {
    pub(crate) custom_id: String,
    pub(crate) status: u16,
    /// The error in OpenAI's shape.
    pub(crate) body: Value,
}

/// What is wrong with a file.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct BatchError {
    /// A word for programs.
    pub(crate) code: String,
    /// The line, from 1.
    pub(crate) line: Option<usize>,
    /// What is wrong; no content.
    pub(crate) message: String,
    /// The field at fault.
    pub(crate) param: Option<String>,
}

/// The JSON of one of these.
pub(crate) fn json(details: &impl Serialize) -> String {
    serde_json::to_string(details).expect("details are plain data")
}
