//! `POST /v1/moderations`, in OpenAI's shape: categories are the policies, and the stock ones always there.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use policy::{Content, Outcome, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::app::{App, Pair};
use super::classify::Action;
use crate::door::Caller;
use crate::error::{ApiError, OpenAiError};
use crate::pool::Class;
use crate::selector::{Chosen, all_or};
use crate::settings::{Moderations, StockUndetermined};
use crate::shelf::Served;
use crate::wire::{OpenAiJson, OpenAiRefusal, parse};

/// The categories of `omni-moderation-latest`, as in OpenAI's specification of August 2026.
pub(crate) const STOCK: [&str; 13] = [
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/intent",
    "self-harm/instructions",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
];

/// What is to be judged.
#[derive(Deserialize, ToSchema)]
pub(crate) struct ModerationRequest {
    input: ModerationInput,
    /// Any word: this service has one judge.
    #[serde(default, rename = "model")]
    _model: Option<String>,
}

/// A text, texts, or the parts of one item.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
enum ModerationInput {
    /// One item.
    Text(String),
    /// One item each.
    Texts(Vec<String>),
    /// The parts of one item; text only.
    Parts(Vec<InputPart>),
}

/// A part of an item.
#[derive(Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
enum InputPart {
    /// Text.
    Text { text: String },
    /// Refused: the judge reads text.
    ImageUrl {
        #[serde(rename = "image_url")]
        #[schema(value_type = Object)]
        _image_url: Value,
    },
}

/// One result an item.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModerationResponse {
    id: String,
    /// The judge's model.
    model: String,
    results: Vec<ModerationResult>,
}

/// What was found in one item.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModerationResult {
    /// Whether any policy is violated.
    flagged: bool,
    /// By category: the 13 stock ones and every policy's name.
    categories: BTreeMap<String, bool>,
    /// Probability of a violation, 0 to 1; 0 where no policy stands for the category.
    category_scores: BTreeMap<String, f64>,
    /// `["text"]` where the category was judged.
    category_applied_input_types: BTreeMap<String, Vec<&'static str>>,
    /// Policies without a verdict on the item, where the settings flag that instead of failing.
    undetermined: Vec<String>,
}

/// Judge texts in OpenAI's shape
///
/// Official clients work with only the base URL changed.
#[utoipa::path(
    post, path = "/v1/moderations", tag = "OpenAI", request_body = ModerationRequest,
    responses(
        (status = 200, body = ModerationResponse),
        (status = 400, body = OpenAiError),
        (status = 404, description = "The settings name a policy that is not served", body = OpenAiError),
        (status = 409, body = OpenAiError),
        (status = 413, body = OpenAiError),
        (status = 415, body = OpenAiError),
        (status = 422, body = OpenAiError),
        (status = 429, body = OpenAiError),
        (status = 500, body = OpenAiError),
        (status = 503, description = "No verdict; it is no pass", body = OpenAiError),
    )
)]
pub(crate) async fn moderations(
    State(app): State<Arc<App>>,
    caller: Caller,
    OpenAiJson(request): OpenAiJson<ModerationRequest>,
) -> Result<axum::Json<ModerationResponse>, OpenAiRefusal> {
    let served = app.served(&caller).await?;
    let (contents, policies) = contents_and_policies(&app, &served, request)?;
    app.check_count(contents.len().saturating_mul(policies.len()))?;
    let pairs = contents.iter().flat_map(|content| {
        let pair = |chosen: &Chosen| Pair { chosen: chosen.clone(), content: Arc::clone(content) };
        policies.iter().map(pair)
    });
    let pairs: Vec<Pair> = pairs.collect();
    let deadline = app.deadline(None);
    let verdicts = app.judge(&caller, Class::Sync, pairs.clone(), &app.judging, deadline).await?;
    app.record_all(&caller, "/v1/moderations", &pairs, &app.judging, &verdicts).await?;
    let settings = &app.settings.moderations;
    let otherwise = settings.on_undetermined.action();
    for (verdict, chosen) in verdicts.iter().zip(policies.iter().cycle()) {
        let (_, disposition) = Action::of(verdict.outcome, otherwise);
        app.metrics.disposed(&chosen.metric, verdict.outcome, disposition);
    }
    let id = format!("modr-{:016x}", getrandom::u64().map_err(|_| ApiError::Random)?);
    let items = verdicts.chunks(policies.len());
    Ok(axum::Json(ModerationResponse::new(id, &app.model, items, settings)?))
}

impl ModerationResponse {
    /// One result for the verdicts of each item.
    ///
    /// # Errors
    /// [`ApiError::Undetermined`], where the settings say so.
    pub(crate) fn new<'a>(
        id: String,
        model: &str,
        items: impl Iterator<Item = &'a [Verdict]>,
        settings: &Moderations,
    ) -> Result<ModerationResponse, ApiError> {
        let results = items.map(|verdicts| result(verdicts, settings)).collect::<Result<_, _>>()?;
        Ok(ModerationResponse { id, model: model.to_owned(), results })
    }
}

/// What is to be judged, each by all of what.
///
/// # Errors
/// [`ApiError::Field`] for an input that cannot be judged, [`ApiError::NoPolicies`], or as [`Selector::find`].
pub(crate) fn contents_and_policies(
    app: &App,
    served: &Served,
    request: ModerationRequest,
) -> Result<(Vec<Arc<Content>>, Vec<Chosen>), ApiError> {
    let policies = all_or(&app.settings.moderations.policies, served)?;
    Ok((contents(request.input)?, policies))
}

/// What a body asks to be judged.
///
/// # Errors
/// [`ApiError`] for a body that is none, or the first item that cannot be judged.
pub(crate) fn read(body: &[u8]) -> Result<Vec<Arc<Content>>, ApiError> {
    contents(parse::<ModerationRequest>(body)?.input)
}

fn contents(input: ModerationInput) -> Result<Vec<Arc<Content>>, ApiError> {
    let texts = match input {
        ModerationInput::Text(text) => vec![text],
        ModerationInput::Texts(texts) => texts,
        ModerationInput::Parts(parts) => vec![joined(parts)?],
    };
    if texts.is_empty() {
        return Err(ApiError::field("input", "there is none"));
    }
    let content = |text| {
        let content = Content::text(text);
        content.check().map_err(|error| ApiError::field("input", error.to_string()))?;
        Ok(Arc::new(content))
    };
    texts.into_iter().map(content).collect()
}

fn joined(parts: Vec<InputPart>) -> Result<String, ApiError> {
    let text = |part| match part {
        InputPart::Text { text } => Ok(text),
        InputPart::ImageUrl { .. } => Err(ApiError::field(
            "input",
            "images cannot be judged, and a part left out would be no verdict",
        )),
    };
    Ok(parts.into_iter().map(text).collect::<Result<Vec<_>, _>>()?.join("\n"))
}

/// The same as JSON, for the `moderation` field of chats.
///
/// # Errors
/// As [`result`].
pub(crate) fn stock_result(
    verdicts: &[Verdict],
    settings: &Moderations,
) -> Result<Value, ApiError> {
    let result = result(verdicts, settings)?;
    Ok(serde_json::to_value(result).expect("a result is plain data"))
}

/// One item's result from its verdicts, one a policy.
///
/// # Errors
/// [`ApiError::Undetermined`], where the settings say so.
fn result(verdicts: &[Verdict], settings: &Moderations) -> Result<ModerationResult, ApiError> {
    let stock = STOCK.iter().map(|&key| key.to_owned());
    let mut result = ModerationResult {
        flagged: false,
        categories: stock.clone().map(|key| (key, false)).collect(),
        category_scores: stock.clone().map(|key| (key, 0.0)).collect(),
        category_applied_input_types: stock.map(|key| (key, Vec::new())).collect(),
        undetermined: Vec::new(),
    };
    for verdict in verdicts {
        let name = &verdict.policy.name;
        let is_flagged = match (verdict.outcome, settings.on_undetermined) {
            (Outcome::Violation, _) => true,
            (Outcome::Clear, _) => false,
            (Outcome::Undetermined(cause), StockUndetermined::Error) => {
                return Err(ApiError::Undetermined { policy: name.clone(), cause });
            }
            (Outcome::Undetermined(_), StockUndetermined::Flag) => {
                result.undetermined.push(name.clone());
                true
            }
        };
        result.flagged |= is_flagged;
        let certain = f64::from(u8::from(is_flagged));
        let score = verdict.probability.or(verdict.score).unwrap_or(certain);
        let is_violation = verdict.outcome == Outcome::Violation;
        let label = verdict.label.as_ref().filter(|_| is_violation);
        let by_label = label.and_then(|label| settings.map.get(&format!("{name}.{label}")));
        let mapped = settings.map.get(name).into_iter().chain(by_label).flatten();
        for key in std::iter::once(name).chain(mapped) {
            *result.categories.entry(key.clone()).or_default() |= is_flagged;
            let kept = result.category_scores.entry(key.clone()).or_default();
            *kept = kept.max(score);
            result.category_applied_input_types.insert(key.clone(), vec!["text"]);
        }
    }
    Ok(result)
}
