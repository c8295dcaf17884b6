//! `POST /predict`, as text-embeddings-inference has it: labels are the policies.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use policy::{Content, Outcome, Verdict};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::app::{App, Pair};
use crate::door::Caller;
use crate::error::ApiError;
use crate::pool::Class;
use crate::selector::{Chosen, all_or};
use crate::wire::{Json, parse};

/// What is judged.
#[derive(Deserialize, ToSchema)]
pub(crate) struct PredictRequest {
    inputs: PredictInputs,
    /// Refused where true: the scores are probabilities, and nothing lies under them.
    #[serde(default)]
    raw_scores: bool,
}

/// A text, a pair, or many of either.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
enum PredictInputs {
    /// One text.
    One(String),
    /// A prompt and its reply, judged together.
    Pair([String; 2]),
    /// Many, each a list of one text or two.
    Many(Vec<PredictInput>),
}

/// One of many.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
enum PredictInput {
    /// A text.
    Alone([String; 1]),
    /// A prompt and its reply.
    Pair([String; 2]),
}

/// The predictions.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum PredictResponse {
    /// Of one input.
    One(Vec<Prediction>),
    /// Of each of many.
    Many(Vec<Vec<Prediction>>),
}

/// A label's score.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Prediction {
    /// Probability of a violation, 0 to 1.
    score: f64,
    /// The policy.
    label: String,
}

/// The error in this shape.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PredictError {
    /// What went wrong and where.
    error: String,
    /// `Unhealthy`, `Backend`, `Overloaded`, `Validation` or `Empty`.
    error_type: &'static str,
}

/// A refusal in this shape.
#[derive(Debug)]
pub(crate) struct PredictRefusal(ApiError);

impl From<ApiError> for PredictRefusal {
    fn from(error: ApiError) -> PredictRefusal {
        PredictRefusal(error)
    }
}

impl IntoResponse for PredictRefusal {
    fn into_response(self) -> Response {
        let status = match &self.0 {
            ApiError::Undetermined { .. } => StatusCode::FAILED_DEPENDENCY,
            error => error.status(),
        };
        let error_type = match (&self.0, status.as_u16()) {
            (ApiError::Undetermined { .. } | ApiError::Store, _) => "Backend",
            (_, 429) => "Overloaded",
            (_, 500..) => "Unhealthy",
            _ => "Validation",
        };
        let body = PredictError { error: self.0.to_string(), error_type };
        self.0.finish((status, axum::Json(body)).into_response())
    }
}

pub(super) const ROUTE: &str = "/predict";

/// Judge texts in the shape of text-embeddings-inference
///
/// Labels are the policies, the most probable violation first. Texts are never cut, whatever `truncate` says.
#[utoipa::path(
    post, path = "/predict", tag = "others", request_body = PredictRequest,
    responses(
        (status = 200, body = PredictResponse),
        (status = 400, body = PredictError),
        (status = 404, description = "The settings name a policy that is not served", body = PredictError),
        (status = 409, body = PredictError),
        (status = 413, body = PredictError),
        (status = 415, body = PredictError),
        (status = 422, body = PredictError),
        (status = 424, description = "No verdict; it is no score", body = PredictError),
        (status = 429, body = PredictError),
        (status = 503, body = PredictError),
    )
)]
pub(crate) async fn predict(
    State(app): State<Arc<App>>,
    caller: Caller,
    body: Result<Json<PredictRequest>, ApiError>,
) -> Result<axum::Json<PredictResponse>, PredictRefusal> {
    let Json(request) = body?;
    if request.raw_scores {
        let problem = "the scores are probabilities, and nothing lies under them";
        return Err(ApiError::field("raw_scores", problem).into());
    }
    let is_many = matches!(request.inputs, PredictInputs::Many(_));
    let contents = contents(request.inputs)?;
    let served = app.served(&caller).await?;
    let policies = all_or(&app.settings.predict.policies, &served)?;
    let pairs = contents.iter().flat_map(|content| {
        let pair = |chosen: &Chosen| Pair { chosen: chosen.clone(), content: Arc::clone(content) };
        policies.iter().map(pair)
    });
    let pairs: Vec<Pair> = pairs.collect();
    let deadline = app.deadline(None);
    let verdicts = app.judge(&caller, Class::Sync, pairs.clone(), &app.judging, deadline).await?;
    app.record_all(&caller, ROUTE, &pairs, &app.judging, &verdicts).await?;
    for (pair, verdict) in pairs.iter().zip(&verdicts) {
        app.note(&pair.chosen, verdict.outcome);
    }
    let mut predictions =
        verdicts.chunks(policies.len()).map(predictions).collect::<Result<Vec<_>, _>>()?;
    Ok(axum::Json(match (is_many, predictions.pop()) {
        (false, Some(only)) => PredictResponse::One(only),
        (_, last) => {
            predictions.extend(last);
            PredictResponse::Many(predictions)
        }
    }))
}

/// What a body asks to be judged.
///
/// # Errors
/// [`ApiError`] for a body that is none, or the first input that cannot be judged.
pub(crate) fn read(body: &[u8]) -> Result<Vec<Arc<Content>>, ApiError> {
    contents(parse::<PredictRequest>(body)?.inputs)
}

fn contents(inputs: PredictInputs) -> Result<Vec<Arc<Content>>, ApiError> {
    let exchange =
        |[prompt, reply]: [String; 2]| Content::Exchange { prompt, reply, metadata: Vec::new() };
    let contents = match inputs {
        PredictInputs::One(text) => vec![Content::text(text)],
        PredictInputs::Pair(texts) => vec![exchange(texts)],
        PredictInputs::Many(inputs) => {
            let content = |input| match input {
                PredictInput::Alone([text]) => Content::text(text),
                PredictInput::Pair(texts) => exchange(texts),
            };
            inputs.into_iter().map(content).collect()
        }
    };
    if contents.is_empty() {
        return Err(ApiError::field("inputs", "there is none"));
    }
    let checked = |content: Content| match content.check() {
        Ok(()) => Ok(Arc::new(content)),
        Err(error) => Err(ApiError::field("inputs", error.to_string())),
    };
    contents.into_iter().map(checked).collect()
}

/// One item's labels, the most probable first.
fn predictions(verdicts: &[Verdict]) -> Result<Vec<Prediction>, ApiError> {
    let prediction = |verdict: &Verdict| {
        let label = verdict.policy.name.clone();
        let certain = match verdict.outcome {
            Outcome::Violation => 1.0,
            Outcome::Clear => 0.0,
            Outcome::Undetermined(cause) => {
                return Err(ApiError::Undetermined { policy: label, cause });
            }
        };
        Ok(Prediction { score: verdict.probability.or(verdict.score).unwrap_or(certain), label })
    };
    let mut predictions = verdicts.iter().map(prediction).collect::<Result<Vec<_>, _>>()?;
    predictions.sort_by(|a, b| b.score.total_cmp(&a.score));
    Ok(predictions)
}
