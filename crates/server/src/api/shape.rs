//! The shape of a route's refusals, for those that its handler never sees.

use std::collections::HashMap;

use axum::response::{IntoResponse, Response};
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::{Operation, PathItem};

use super::{perspective, predict};
use crate::error::ApiError;

/// The tag of routes in OpenAI's shape.
const OPENAI: &str = "OpenAI";

/// How a route refuses.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Shape {
    /// A problem, as of RFC 9457.
    #[default]
    Problem,
    /// OpenAI's error object.
    OpenAi,
    /// As text-embeddings-inference does.
    Predict,
    /// As Google's services do.
    Google,
}

/// The shape of each path of the description.
pub(super) fn of_paths(description: &OpenApi) -> HashMap<String, Shape> {
    let paths = description.paths.paths.iter();
    paths.map(|(path, item)| (path.clone(), Shape::of(path, item))).collect()
}

impl Shape {
    pub(super) fn of(path: &str, item: &PathItem) -> Shape {
        let PathItem { get, put, post, delete, .. } = item;
        let is_openai =
            |operation: &Operation| operation.tags.iter().flatten().any(|it| it == OPENAI);
        match path {
            predict::ROUTE => Shape::Predict,
            perspective::ROUTE => Shape::Google,
            _ if [get, put, post, delete].into_iter().flatten().any(is_openai) => Shape::OpenAi,
            _ => Shape::Problem,
        }
    }

    /// Name and content type of its schema.
    pub(super) fn schema(self) -> (&'static str, &'static str) {
        match self {
            Shape::Problem => ("Problem", "application/problem+json"),
            Shape::OpenAi => ("OpenAiError", "application/json"),
            Shape::Predict => ("PredictError", "application/json"),
            Shape::Google => ("GoogleError", "application/json"),
        }
    }

    /// The refusal in this shape.
    pub(crate) fn refuse(self, error: ApiError) -> Response {
        match self {
            Shape::Problem => error.into_response(),
            Shape::OpenAi => error.into_openai(),
            Shape::Predict => predict::PredictRefusal::from(error).into_response(),
            Shape::Google => perspective::Refusal::from(error).into_response(),
        }
    }
}
