//! The judge's answer as named events, while it thinks.

use std::sync::Arc;

use axum::response::Response;
use policy::{AnswerToken, Heard, Verdict};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tracing::Instrument;

use super::super::app::App;
use super::super::chat::{Events, Gone, Question, content, no_verdict};
use super::reply::{OutputItem, OutputPart, ResponseBody, answer, message, probabilities, thought};
use crate::pool::Ticket;
use crate::settings::duration;

/// The reply of a judge that has begun.
pub(super) fn reply(
    app: Arc<App>,
    body: ResponseBody,
    question: Question,
    ticket: Ticket,
    heard: mpsc::UnboundedReceiver<Heard>,
) -> Response {
    let (events, response) = Events::open(duration(app.settings.limits.read_s));
    let writer = Writer { events, body, question, n_events: 0, open: None, tokens: Vec::new() };
    // A reader who is gone ends the task, and with it the ticket.
    let write = async move { drop(writer.write(&app, ticket, heard).await) };
    tokio::spawn(write.in_current_span());
    response
}

/// The item that is being written.
struct Open {
    id: String,
    is_thought: bool,
    text: String,
}

struct Writer {
    events: Events,
    body: ResponseBody,
    question: Question,
    n_events: u64,
    open: Option<Open>,
    /// Tokens of the verdict's JSON, where the judge tells them.
    tokens: Vec<AnswerToken>,
}

impl Writer {
    async fn write(
        mut self,
        app: &App,
        ticket: Ticket,
        mut heard: mpsc::UnboundedReceiver<Heard>,
    ) -> Result<(), Gone> {
        self.response("response.created").await?;
        self.response("response.in_progress").await?;
        let mut verdict = std::pin::pin!(ticket.verdict());
        let verdict = loop {
            tokio::select! {
                biased;
                () = self.events.gone() => return Err(Gone),
                Some(piece) = heard.recv() => self.piece(piece).await?,
                verdict = &mut verdict => break verdict,
            }
        };
        while let Ok(piece) = heard.try_recv() {
            self.piece(piece).await?;
        }
        let recorded = self.question.record(app, &verdict).await;
        match recorded.err().or_else(|| no_verdict(&verdict)) {
            Some(error) => self.body.fail(&error),
            None => self.rest(&verdict).await?,
        }
        self.response(self.body.last_event()).await
    }

    /// What the judge did not say on its way, and the end of what it did.
    async fn rest(&mut self, verdict: &Verdict) -> Result<(), Gone> {
        let has_begun = self.open.is_some() || !self.body.output.is_empty();
        if !has_begun && !verdict.reasoning.is_empty() {
            self.thought(&verdict.reasoning).await?;
        }
        if self.tokens.is_empty() && verdict.outcome.is_violation().is_some() {
            self.answer(&content(verdict), Vec::new()).await?;
        }
        self.close().await?;
        self.body.finish(verdict, self.tokens.len());
        Ok(())
    }

    async fn piece(&mut self, piece: Heard) -> Result<(), Gone> {
        match piece {
            Heard::Reasoning(text) => self.thought(&text).await,
            Heard::Answer(token) => {
                let n_logprobs = self.question.n_logprobs;
                let token = std::slice::from_ref(&token);
                let logprobs = n_logprobs.map_or_else(Vec::new, |n| probabilities(token, n));
                self.tokens.extend_from_slice(token);
                self.answer(&token[0].text, logprobs).await
            }
        }
    }

    async fn thought(&mut self, text: &str) -> Result<(), Gone> {
        self.begin(true).await?;
        self.delta("response.reasoning_text.delta", text, None).await
    }

    async fn answer(&mut self, text: &str, logprobs: Vec<Value>) -> Result<(), Gone> {
        self.begin(false).await?;
        self.delta("response.output_text.delta", text, Some(logprobs)).await
    }

    /// Opens an item of a kind, unless it is the one that is open.
    async fn begin(&mut self, is_thought: bool) -> Result<(), Gone> {
        if self.open.as_ref().is_some_and(|open| open.is_thought == is_thought) {
            return Ok(());
        }
        self.close().await?;
        let kind = if is_thought { "rs" } else { "msg" };
        let id = match self.body.output.len() {
            0 | 1 => format!("{kind}_{}", self.body.number()),
            n_items => format!("{kind}_{}_{n_items}", self.body.number()),
        };
        let open = Open { id, is_thought, text: String::new() };
        let item = match is_thought {
            true => thought(open.id.clone(), "in_progress", String::new()),
            false => message(open.id.clone(), "in_progress", Vec::new()),
        };
        let part = open.part(Vec::new());
        self.open = Some(open);
        self.item("response.output_item.added", &item).await?;
        self.part("response.content_part.added", json!({ "part": part })).await
    }

    async fn delta(
        &mut self,
        name: &str,
        text: &str,
        logprobs: Option<Vec<Value>>,
    ) -> Result<(), Gone> {
        if let Some(open) = &mut self.open {
            open.text += text;
        }
        let mut fields = json!({ "delta": text });
        if let Some(logprobs) = logprobs {
            fields["logprobs"] = logprobs.into();
        }
        self.part(name, fields).await
    }

    /// The end of the item that is open, if one is.
    async fn close(&mut self) -> Result<(), Gone> {
        let Some(open) = &self.open else { return Ok(()) };
        let (text, is_thought) = (open.text.clone(), open.is_thought);
        let n_logprobs = self.question.n_logprobs.filter(|_| !is_thought);
        let logprobs = n_logprobs.map_or_else(Vec::new, |n| probabilities(&self.tokens, n));
        let part = open.part(logprobs.clone());
        let item = match is_thought {
            true => thought(open.id.clone(), "completed", text.clone()),
            false => message(open.id.clone(), "completed", vec![part.clone()]),
        };
        if is_thought {
            self.part("response.reasoning_text.done", json!({ "text": text })).await?;
        } else {
            let done = json!({ "text": text, "logprobs": logprobs });
            self.part("response.output_text.done", done).await?;
        }
        self.part("response.content_part.done", json!({ "part": part })).await?;
        self.item("response.output_item.done", &item).await?;
        self.open = None;
        self.body.output.push(item);
        Ok(())
    }

    async fn response(&mut self, name: &str) -> Result<(), Gone> {
        let body = json!({ "response": self.body });
        self.event(name, body).await
    }

    async fn item(&mut self, name: &str, item: &OutputItem) -> Result<(), Gone> {
        let output_index = self.body.output.len();
        self.event(name, json!({ "output_index": output_index, "item": item })).await
    }

    /// An event about the one part of the open item.
    async fn part(&mut self, name: &str, mut fields: Value) -> Result<(), Gone> {
        fields["item_id"] = self.open.as_ref().map(|open| open.id.clone()).into();
        fields["output_index"] = self.body.output.len().into();
        fields["content_index"] = 0.into();
        self.event(name, fields).await
    }

    async fn event(&mut self, name: &str, mut fields: Value) -> Result<(), Gone> {
        fields["type"] = name.into();
        fields["sequence_number"] = self.n_events.into();
        self.n_events += 1;
        self.events.named(name, &fields).await
    }
}

impl Open {
    fn part(&self, logprobs: Vec<Value>) -> OutputPart {
        match self.is_thought {
            true => OutputPart::ReasoningText { text: self.text.clone() },
            false => answer(self.text.clone(), logprobs),
        }
    }
}
