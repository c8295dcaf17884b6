//! What each route reads out of a body's bytes, without a service around it: for those who try to break it.

use std::sync::Arc;

use policy::Content;

use crate::api::{chat, classify, litellm, moderations, perspective, predict, responses};
use crate::error::ApiError;
use crate::guard;

/// A route that reads a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// `/v1/classify`.
    Classify,
    /// `/v1/moderations`.
    Moderations,
    /// `/v1/chat/completions`, for the judge.
    Chat,
    /// `/v1/chat/completions`, for a guarded model.
    Guarded,
    /// `/v1/responses`.
    Responses,
    /// `/beta/litellm_basic_guardrail_api`.
    Litellm,
    /// `/predict`.
    Predict,
    /// `/v1alpha1/comments:analyze`.
    Perspective,
}

/// Why a body was refused, in the words of its route.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct NotRead(#[from] ApiError);

impl Body {
    /// All of them.
    pub const ALL: [Body; 8] = [
        Body::Classify,
        Body::Moderations,
        Body::Chat,
        Body::Guarded,
        Body::Responses,
        Body::Litellm,
        Body::Predict,
        Body::Perspective,
    ];

    /// What the body asks to be judged. All of it can be shown to a judge.
    ///
    /// # Errors
    /// [`NotRead`] where the route would refuse it.
    pub fn read(self, bytes: &[u8]) -> Result<Vec<Arc<Content>>, NotRead> {
        let read = match self {
            Body::Classify => classify::read,
            Body::Moderations => moderations::read,
            Body::Chat => chat::read,
            Body::Guarded => guard::read,
            Body::Responses => responses::read,
            Body::Litellm => litellm::read,
            Body::Predict => predict::read,
            Body::Perspective => perspective::read,
        };
        Ok(read(bytes)?)
    }
}
