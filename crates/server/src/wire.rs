//! Verdicts as our routes write them, and bodies as all routes read them.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use policy::{Cause, Confidence, ScoreMethod, Verdict, Votes};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use tracing::Instrument;
use utoipa::ToSchema;
use utoipa::openapi::{Object, ObjectBuilder, Type};

use crate::error::ApiError;

/// The decision on one pair.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VerdictBody {
    /// `violation`, `clear` or `undetermined`.
    outcome: &'static str,
    /// Why there is no decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = causes)]
    cause: Option<String>,
    /// The base code decided on.
    label: Option<String>,
    /// The rules it rests on.
    rule_ids: Vec<String>,
    /// Probability of a violation, 0 to 1.
    score: Option<f64>,
    /// `logprob`, `direct`, `filter` or `none`: where the score comes from.
    score_method: &'static str,
    /// The score calibrated, where the policy has a calibration.
    probability: Option<f64>,
    /// The model's own word: `low`, `medium` or `high`.
    confidence: Option<&'static str>,
    /// A sentence or two for reviewers.
    rationale: Option<String>,
    /// How the model got there, for reviewers only; where asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<String>,
    /// Whether the reasoning was cut off at its limit.
    capped: bool,
    /// What went wrong, or stood in the way of the usual course.
    detail: Option<String>,
    /// The votes, where several were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    votes: Option<VotesBody>,
    /// What a budget gave up for it.
    given_up: Vec<String>,
    /// Why a person should look at it.
    doubts: Vec<String>,
    /// `filter`, `classifier` or `reasoner`: who decided.
    stage: &'static str,
    /// The model that answered.
    model: String,
    /// What it took.
    usage: UsageBody,
}

/// All causes by name.
fn causes() -> Object {
    let description = "Why there is no decision.";
    let causes = ObjectBuilder::new().schema_type(Type::String).description(Some(description));
    causes.enum_values(Some(Cause::ALL.map(Cause::code))).build()
}

/// How many votes there were, by what they said; more than half decide.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VotesBody {
    /// For a violation.
    violation: usize,
    /// For clear.
    clear: usize,
    /// For nothing.
    undetermined: usize,
}

impl VotesBody {
    fn new(Votes { violation, clear, undetermined }: Votes) -> VotesBody {
        VotesBody { violation, clear, undetermined }
    }
}

/// What a verdict took; of several votes, all of them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UsageBody {
    /// Tokens of the prompt.
    prompt_tokens: usize,
    /// Those of them that were computed before.
    cached_tokens: usize,
    /// Tokens generated.
    generated_tokens: usize,
    /// Seconds of the judge.
    seconds: f64,
}

impl VerdictBody {
    pub(crate) fn new(verdict: Verdict, with_reasoning: bool) -> VerdictBody {
        let (outcome, cause) = verdict.outcome.names();
        VerdictBody {
            outcome,
            cause,
            label: verdict.label,
            rule_ids: verdict.rule_ids,
            score: verdict.score,
            score_method: match verdict.score_method {
                ScoreMethod::Logprob => "logprob",
                ScoreMethod::Direct => "direct",
                ScoreMethod::Filter => "filter",
                ScoreMethod::None => "none",
            },
            probability: verdict.probability,
            confidence: verdict.confidence.map(Confidence::name),
            rationale: verdict.rationale,
            reasoning: with_reasoning.then_some(verdict.reasoning),
            capped: verdict.capped,
            detail: verdict.detail,
            votes: verdict.votes.map(VotesBody::new),
            given_up: verdict.given_up,
            doubts: verdict.doubts,
            stage: verdict.stage.name(),
            model: verdict.model,
            usage: UsageBody {
                prompt_tokens: verdict.usage.prompt_tokens,
                cached_tokens: verdict.usage.cached_tokens,
                generated_tokens: verdict.usage.generated_tokens,
                seconds: verdict.usage.seconds,
            },
        }
    }
}

/// A body of JSON on our routes.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Json<T>, ApiError> {
        read(request, state).await.map(Json)
    }
}

/// The same, with the SHA-256 of its bytes.
pub(crate) struct Digested<T> {
    pub(crate) body: Json<T>,
    /// In hexadecimal.
    pub(crate) digest: String,
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Digested<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Digested<T>, ApiError> {
        let bytes = json_bytes(request, state).await?;
        Ok(Digested { body: Json(parse(&bytes)?), digest: policy::hex(&Sha256::digest(&bytes)) })
    }
}

/// A policy's file as it is.
pub(crate) struct Markdown(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for Markdown {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Markdown, ApiError> {
        if !is_kind(&request, "text/markdown") {
            return Err(ApiError::Markdown);
        }
        bytes(request, state).await.map(Markdown)
    }
}

/// A body of JSON on routes of OpenAI's shape.
pub(crate) struct OpenAiJson<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for OpenAiJson<T> {
    type Rejection = OpenAiRefusal;

    async fn from_request(request: Request, state: &S) -> Result<OpenAiJson<T>, OpenAiRefusal> {
        read(request, state).await.map(OpenAiJson).map_err(OpenAiRefusal)
    }
}

/// A refusal in OpenAI's shape.
#[derive(Debug)]
pub(crate) struct OpenAiRefusal(pub(crate) ApiError);

impl From<ApiError> for OpenAiRefusal {
    fn from(error: ApiError) -> OpenAiRefusal {
        OpenAiRefusal(error)
    }
}

impl IntoResponse for OpenAiRefusal {
    fn into_response(self) -> Response {
        self.0.into_openai()
    }
}

/// Reads a body. Only JSON by name is taken: a web page cannot send that without asking first, and is told
/// no, so no page that a user of this machine opens can have anything judged here.
async fn read<T: DeserializeOwned, S: Send + Sync>(
    request: Request,
    state: &S,
) -> Result<T, ApiError> {
    parse(&json_bytes(request, state).await?)
}

async fn json_bytes<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, ApiError> {
    if !is_kind(&request, "application/json") {
        return Err(ApiError::MediaType);
    }
    bytes(request, state).instrument(tracing::info_span!("read")).await
}

/// A body's JSON.
///
/// # Errors
/// [`ApiError::Json`].
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| ApiError::Json { problem: error.to_string() })
}

/// Whether the body is of this type by name.
fn is_kind(request: &Request, wanted: &str) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default();
    kind.trim().eq_ignore_ascii_case(wanted)
}

async fn bytes<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, ApiError> {
    let limit = request.extensions().get::<BodyLimit>().map_or(usize::MAX, |limit| limit.0);
    let read = Bytes::from_request(request, state).await;
    read.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::TooLarge { limit },
        _ => ApiError::Broken,
    })
}

/// The most bytes of a body, for the message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimit(pub(crate) usize);
