//! A batch as OpenAI's clients read it, from the job that it is.

use serde::Serialize;
use store::{Job, JobId, Millis, Store};
use utoipa::ToSchema;

use super::Conclusion;
use crate::error::ApiError;
use crate::jobs::{BatchDetails, BatchError, JobDetails};

const PREFIX: &str = "batch_";
const JOB_PREFIX: &str = "job_";

/// A batch and how far it is; times in seconds since 1970.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BatchBody {
    id: String,
    object: &'static str,
    endpoint: String,
    /// What is wrong with the file.
    errors: Option<BatchErrors>,
    input_file_id: String,
    completion_window: String,
    /// `failed`, `in_progress`, `finalizing`, `completed`, `expired`, `cancelling` or `cancelled`.
    status: &'static str,
    output_file_id: Option<String>,
    error_file_id: Option<String>,
    created_at: i64,
    in_progress_at: Option<i64>,
    expires_at: Option<i64>,
    finalizing_at: Option<i64>,
    completed_at: Option<i64>,
    failed_at: Option<i64>,
    expired_at: Option<i64>,
    cancelling_at: Option<i64>,
    cancelled_at: Option<i64>,
    request_counts: RequestCounts,
    #[schema(value_type = Option<Object>)]
    metadata: Option<serde_json::Value>,
}

/// What is wrong with a file.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BatchErrors {
    object: &'static str,
    data: Vec<BatchError>,
}

/// How many of the file's requests came to what.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct RequestCounts {
    total: usize,
    completed: usize,
    failed: usize,
}

/// A batch's id is its job's under another name.
///
/// # Errors
/// [`ApiError::Unknown`] for one that is none.
pub(crate) fn parse_id(id: &str) -> Result<JobId, ApiError> {
    let letters = id.strip_prefix(PREFIX).map(|letters| format!("{JOB_PREFIX}{letters}"));
    letters
        .and_then(|id| id.parse().ok())
        .ok_or_else(|| ApiError::Unknown { what: "batch", id: id.to_owned() })
}

fn name(id: &JobId) -> String {
    format!("{PREFIX}{}", id.as_str().trim_start_matches(JOB_PREFIX))
}

impl BatchBody {
    /// The batch as it is now.
    ///
    /// # Errors
    /// [`ApiError::Store`], [`ApiError::Unknown`] for a job that is no batch.
    pub(crate) async fn read(store: &Store, job: &Job) -> Result<BatchBody, ApiError> {
        let unreadable = |_| {
            tracing::error!("what the store keeps of a batch cannot be read");
            ApiError::Store
        };
        let details: JobDetails = serde_json::from_str(&job.details).map_err(unreadable)?;
        let batch =
            details.batch.ok_or_else(|| ApiError::Unknown { what: "batch", id: name(&job.id) })?;
        let conclusion = job.conclusion.as_deref().map(serde_json::from_str::<Conclusion>);
        let conclusion = conclusion.transpose().map_err(unreadable)?;
        let counts = match &conclusion {
            Some(conclusion) => RequestCounts::last(&batch, conclusion),
            None => RequestCounts::now(store, job, &batch).await?,
        };
        Ok(BatchBody::new(job, batch, conclusion.as_ref(), counts))
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    fn new(
        job: &Job,
        batch: BatchDetails,
        conclusion: Option<&Conclusion>,
        request_counts: RequestCounts,
    ) -> BatchBody {
        let has_failed = !batch.errors.is_empty();
        let status = status(job, has_failed, conclusion);
        let seconds = |at: Millis| at.0 / 1000;
        let at_if = |wanted| conclusion.filter(|_| status == wanted).map(|it| seconds(it.at));
        let file = |id: Option<&store::FileId>| id.map(ToString::to_string);
        let is_cut_short = has_failed || job.cancelled_at.is_some();
        let accepted_at = seconds(job.accepted_at);
        BatchBody {
            id: name(&job.id),
            object: "batch",
            endpoint: batch.endpoint,
            errors: has_failed.then_some(BatchErrors { object: "list", data: batch.errors }),
            input_file_id: batch.input_file,
            completion_window: batch.window,
            status,
            output_file_id: file(conclusion.and_then(|it| it.output_file.as_ref())),
            error_file_id: file(conclusion.and_then(|it| it.error_file.as_ref())),
            created_at: accepted_at,
            in_progress_at: (!has_failed).then_some(accepted_at),
            expires_at: job.deadline_at.map(seconds),
            finalizing_at: job.finished_at.filter(|_| !is_cut_short).map(seconds),
            completed_at: at_if("completed"),
            failed_at: has_failed.then_some(accepted_at),
            expired_at: at_if("expired"),
            cancelling_at: job.cancelled_at.map(seconds),
            cancelled_at: at_if("cancelled"),
            request_counts,
            metadata: batch.metadata,
        }
    }
}

fn status(job: &Job, has_failed: bool, conclusion: Option<&Conclusion>) -> &'static str {
    match (conclusion, job.finished_at, job.cancelled_at) {
        _ if has_failed => "failed",
        (None, None, _) => "in_progress",
        (None, Some(_), None) => "finalizing",
        (None, Some(_), Some(_)) => "cancelling",
        (Some(_), _, Some(_)) => "cancelled",
        (Some(conclusion), ..) if conclusion.n_expired > 0 => "expired",
        (Some(_), ..) => "completed",
    }
}

impl RequestCounts {
    fn last(batch: &BatchDetails, conclusion: &Conclusion) -> RequestCounts {
        RequestCounts {
            total: batch.n_lines,
            completed: conclusion.n_completed,
            failed: conclusion.n_failed + conclusion.n_expired,
        }
    }

    async fn now(
        store: &Store,
        job: &Job,
        batch: &BatchDetails,
    ) -> Result<RequestCounts, ApiError> {
        let (n, n_open) = store.n_names(&job.id).await.map_err(ApiError::of_store)?;
        let completed = usize::try_from(n - n_open).unwrap_or_default();
        Ok(RequestCounts { total: batch.n_lines, completed, failed: batch.faults.len() })
    }
}
