//! What the request of one line asks for, as pairs to be judged.

use std::sync::Arc;

use policy::JudgeSettings;
use serde::de::DeserializeOwned;
use serde_json::Value;
use store::Sampling;

use super::{CHAT, CLASSIFY, MODERATIONS};
use crate::api::{
    App, ChatRequest, ClassifyRequest, ModerationRequest, Question, check_sync,
    contents_and_policies, items_and_policies, settings,
};
use crate::door::Caller;
use crate::error::ApiError;
use crate::jobs::{AskedItem, ItemDetails, LineDetails};
use crate::selector::Chosen;
use crate::shelf::Served;

/// By whose policies a file is read.
pub(crate) struct By {
    pub(crate) app: Arc<App>,
    pub(crate) caller: Caller,
    /// What the caller may use, the same for all lines.
    pub(crate) served: Arc<Served>,
}

/// The pairs of a request's body, in the order of their reply.
///
/// # Errors
/// As the route itself would refuse it.
pub(super) fn pairs(
    by: &By,
    endpoint: &str,
    custom_id: &str,
    body: Value,
) -> Result<Vec<AskedItem>, ApiError> {
    let line = Line { custom_id, settings: &by.app.judging };
    match endpoint {
        MODERATIONS => line.moderation(by, read(body)?),
        CLASSIFY => line.classify(by, read(body)?),
        CHAT => line.chat(by, read(body)?),
        _ => Err(ApiError::NoRoute),
    }
}

fn read<T: DeserializeOwned>(body: Value) -> Result<T, ApiError> {
    serde_json::from_value(body).map_err(|error| ApiError::Json { problem: error.to_string() })
}

struct Line<'a> {
    custom_id: &'a str,
    settings: &'a JudgeSettings,
}

impl Line<'_> {
    fn moderation(&self, by: &By, request: ModerationRequest) -> Result<Vec<AskedItem>, ApiError> {
        let (contents, policies) = contents_and_policies(&by.app, &by.served, request)?;
        by.app.check_count(contents.len().saturating_mul(policies.len()))?;
        let mut items = Vec::new();
        for (index, content) in contents.iter().enumerate() {
            for chosen in &policies {
                let details = self.details(chosen, index, None, LineDetails::Moderation);
                items.push(self.item(chosen.clone(), Arc::clone(content), details));
            }
        }
        Ok(items)
    }

    /// A line has one status, so one pair at fault is the whole line's.
    fn classify(&self, by: &By, mut request: ClassifyRequest) -> Result<Vec<AskedItem>, ApiError> {
        if request.is_later() {
            let problem = "leave it out: a batch has one deadline, and all of it is judged later";
            return Err(ApiError::field("mode or deadline_ms", problem));
        }
        check_sync(&request)?;
        let settings = settings(&by.app, &request)?;
        let line = Line { settings: &settings, ..*self };
        let asked = request.asked();
        let (contents, policies) =
            items_and_policies(&by.served, &mut request, by.app.settings.limits.pairs)?;
        let mut items = Vec::new();
        for (index, (id, content)) in contents.into_iter().enumerate() {
            let content = content?;
            for (_, chosen) in &policies {
                let chosen = chosen.clone()?;
                let details = line.details(&chosen, index, id.clone(), asked.clone());
                items.push(line.item(chosen, Arc::clone(&content), details));
            }
        }
        Ok(items)
    }

    fn chat(&self, by: &By, request: ChatRequest) -> Result<Vec<AskedItem>, ApiError> {
        let Question {
            model,
            chosen,
            content,
            settings,
            stream,
            include_reasoning,
            n_logprobs,
            ..
        } = Question::under(&by.app, &by.served, by.caller.clone(), CHAT, request)?;
        if stream {
            return Err(ApiError::field("stream", "a line of a batch has its reply in one piece"));
        }
        if n_logprobs.is_some() {
            return Err(ApiError::field(
                "logprobs",
                "they are not kept for replies that come later",
            ));
        }
        let line = Line { settings: &settings, ..*self };
        let asked = LineDetails::Chat { model, reasoning: include_reasoning };
        let details = line.details(&chosen, 0, None, asked);
        Ok(vec![line.item(chosen, content, details)])
    }

    fn details(
        &self,
        chosen: &Chosen,
        index: usize,
        id: Option<Value>,
        line: LineDetails,
    ) -> ItemDetails {
        let sampling = Sampling::of(self.settings, &chosen.policy);
        ItemDetails { index, id, sampling, line: Some(line) }
    }

    fn item(
        &self,
        chosen: Chosen,
        content: Arc<policy::Content>,
        details: ItemDetails,
    ) -> AskedItem {
        AskedItem { chosen, content, custom_id: Some(self.custom_id.to_owned()), details }
    }
}
