//! `POST /v1alpha1/comments:analyze`, as Perspective had it: attributes are policies or their labels.
//!
//! `wire.rs` has the bodies, `error.rs` the refusals in Google's shape, `discovery.rs` the description by which
//! Google's own clients find the route.

mod discovery;
mod error;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use policy::{Content, Outcome, Verdict};

use super::app::{App, Pair};
use crate::door::Caller;
use crate::error::ApiError;
use crate::pool::Class;
use crate::selector::{Chosen, Selector};
use crate::shelf::Served;
use crate::wire::{Json, parse};
pub(crate) use discovery::{__path_describe, describe};
pub(super) use error::Refusal;
use error::{GoogleError, Kind};
use wire::{AnalyzeRequest, AnalyzeResponse, AttributeScores, PerspectiveScore, PerspectiveSpan};

/// Score a comment in Perspective's shape
///
/// Each requested attribute has the highest probability of a violation under the policies that the settings map it
/// to. An attribute that nothing stands for is refused, and so is a comment without a verdict: there is no score
/// that means "not judged".
#[utoipa::path(
    post, path = "/v1alpha1/comments:analyze", tag = "others", request_body = AnalyzeRequest,
    params(("key" = Option<String>, Query, description = "A key of the service, where it asks for them")),
    responses(
        (status = 200, body = AnalyzeResponse),
        (status = 400, body = GoogleError),
        (status = 404, description = "A policy of the settings is not served", body = GoogleError),
        (status = 409, body = GoogleError),
        (status = 413, body = GoogleError),
        (status = 415, body = GoogleError),
        (status = 429, body = GoogleError),
        (status = 503, description = "No verdict; it is no score", body = GoogleError),
    )
)]
pub(crate) async fn analyze(
    State(app): State<Arc<App>>,
    caller: Caller,
    body: Result<Json<AnalyzeRequest>, ApiError>,
) -> Result<axum::Json<AnalyzeResponse>, Refusal> {
    let Json(request) = body?;
    request.check(&app.settings.perspective.languages)?;
    let served = app.served(&caller).await?;
    let asked = request.requested_attributes.keys();
    let attributes = asked.map(|name| Attribute::find(&app, &served, name));
    let attributes = attributes.collect::<Result<Vec<_>, _>>()?;
    let chosen = policies(&attributes, &served)?;
    let content = request.content()?;
    let pair = |chosen: &Chosen| Pair { chosen: chosen.clone(), content: Arc::clone(&content) };
    let pairs: Vec<Pair> = chosen.values().map(pair).collect();
    let deadline = app.deadline(None);
    let verdicts = app.judge(&caller, Class::Sync, pairs.clone(), &app.judging, deadline).await?;
    if request.do_not_store {
        app.record_all_without_content(&caller, ROUTE, &pairs, &app.judging, &verdicts).await?;
    } else {
        app.record_all(&caller, ROUTE, &pairs, &app.judging, &verdicts).await?;
    }
    for (chosen, verdict) in chosen.values().zip(&verdicts) {
        app.note(chosen, verdict.outcome);
    }
    let verdicts: BTreeMap<&str, &Verdict> =
        chosen.keys().map(String::as_str).zip(&verdicts).collect();
    let mut scores = BTreeMap::new();
    for attribute in &attributes {
        let score = attribute.score(&verdicts)?;
        let asked = &request.requested_attributes[attribute.name];
        if asked.score_threshold.is_none_or(|threshold| score >= threshold) {
            scores.insert(attribute.name.to_owned(), request.scores(score));
        }
    }
    Ok(axum::Json(AnalyzeResponse {
        attribute_scores: scores,
        languages: request.languages,
        client_token: request.client_token,
    }))
}

pub(super) const ROUTE: &str = "/v1alpha1/comments:analyze";

/// What a body asks to be judged.
///
/// # Errors
/// [`ApiError`] for a body that is none, or asks for what cannot be answered.
pub(crate) fn read(body: &[u8]) -> Result<Vec<Arc<Content>>, ApiError> {
    let request: AnalyzeRequest = parse(body)?;
    let refused = |refusal| match refusal {
        Refusal::Own { message, .. } => ApiError::field("comment", message),
        Refusal::Api(error) => error,
    };
    request.check(&[]).map_err(refused)?;
    request.content().map(|content| vec![content]).map_err(refused)
}

/// An attribute with the policies and labels that it asks.
struct Attribute<'a> {
    name: &'a str,
    /// A policy's name, and one of its labels.
    asked: Vec<(&'a str, Option<&'a str>)>,
}

impl<'a> Attribute<'a> {
    fn find(app: &'a App, served: &Served, name: &'a str) -> Result<Attribute<'a>, Refusal> {
        let known = &app.settings.perspective.attributes;
        let Some(asked) = known.get(name).filter(|asked| !asked.is_empty()) else {
            let known: Vec<&str> = known.keys().map(String::as_str).collect();
            let message = format!(
                "the settings map no policy to attribute {name}; there are: {}",
                known.join(", ")
            );
            return Err(Refusal::new(Kind::Request, message));
        };
        let split = |text: &'a String| match text.rsplit_once('.') {
            // A policy's own name may hold a dot.
            Some((policy, label)) if !served.policies.contains_key(text) => (policy, Some(label)),
            _ => (text.as_str(), None),
        };
        Ok(Attribute { name, asked: asked.iter().map(split).collect() })
    }

    /// The highest score of what it asks.
    fn score(&self, verdicts: &BTreeMap<&str, &Verdict>) -> Result<f64, ApiError> {
        let mut highest: f64 = 0.0;
        for (policy, label) in &self.asked {
            let Some(verdict) = verdicts.get(policy) else { continue };
            let is_violation = match verdict.outcome {
                Outcome::Violation => true,
                Outcome::Clear => false,
                Outcome::Undetermined(cause) => {
                    return Err(ApiError::Undetermined { policy: (*policy).to_owned(), cause });
                }
            };
            let certain = f64::from(u8::from(is_violation));
            let score = verdict.probability.or(verdict.score).unwrap_or(certain);
            let is_about = match label {
                // A label has the score where it was decided on; a violation that names none may be of any.
                Some(label) => {
                    is_violation && verdict.label.as_deref().is_none_or(|own| own == *label)
                }
                None => true,
            };
            if is_about {
                highest = highest.max(score);
            }
        }
        Ok(highest)
    }
}

/// The policies that attributes ask, each once.
fn policies(
    attributes: &[Attribute<'_>],
    served: &Served,
) -> Result<BTreeMap<String, Chosen>, ApiError> {
    let mut chosen = BTreeMap::new();
    for (name, _) in attributes.iter().flat_map(|attribute| &attribute.asked) {
        if !chosen.contains_key(*name) {
            chosen.insert((*name).to_owned(), Selector::Named((*name).to_owned()).find(served)?);
        }
    }
    Ok(chosen)
}

impl AnalyzeRequest {
    fn content(&self) -> Result<Arc<Content>, Refusal> {
        let content = Content::text(&self.comment.text);
        content.check().map_err(|error| Refusal::new(Kind::Empty, error.to_string()))?;
        Ok(Arc::new(content))
    }

    fn scores(&self, value: f64) -> AttributeScores {
        let score = PerspectiveScore { value, kind: "PROBABILITY" };
        let end = self.comment.text.chars().count();
        let whole = PerspectiveSpan { begin: 0, end, score };
        AttributeScores {
            summary_score: score,
            span_scores: self.span_annotations.then(|| vec![whole]),
        }
    }
}
