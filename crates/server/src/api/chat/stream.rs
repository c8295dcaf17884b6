//! The judge's reply as server-sent events, while it thinks.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::poll_fn;
use policy::{Heard, Verdict};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tracing::Instrument;

use super::super::app::App;
use super::no_verdict;
use super::reply::{ChatUsage, chunk, content, finish, logprobs_of, now};
use super::request::Question;
use crate::pool::Ticket;
use crate::settings::duration;

/// Events that may wait for a slow reader.
const N_WAITING: usize = 64;

/// Where events go; a reader who is gone is an error.
pub(crate) struct Events {
    sender: mpsc::Sender<Event>,
    /// How long a reader may take none before it counts as gone.
    patience: Duration,
}

/// The reader is gone.
#[derive(Debug)]
pub(crate) struct Gone;

impl Events {
    /// A response, and where its events go.
    pub(crate) fn open(patience: Duration) -> (Events, Response) {
        let (sender, mut receiver) = mpsc::channel(N_WAITING);
        let events = poll_fn(move |context| {
            receiver.poll_recv(context).map(|it| it.map(Ok::<_, Infallible>))
        });
        (
            Events { sender, patience },
            Sse::new(events).keep_alive(KeepAlive::default()).into_response(),
        )
    }

    pub(crate) async fn json(&self, value: &Value) -> Result<(), Gone> {
        self.text(value.to_string()).await
    }

    pub(crate) async fn text(&self, text: impl AsRef<str>) -> Result<(), Gone> {
        self.send(Event::default().data(text)).await
    }

    /// An event with a name.
    pub(crate) async fn named(&self, name: &str, value: &Value) -> Result<(), Gone> {
        self.send(Event::default().event(name).data(value.to_string())).await
    }

    async fn send(&self, event: Event) -> Result<(), Gone> {
        self.sender.send_timeout(event, self.patience).await.map_err(|_| Gone)
    }

    /// Returns once the reader is gone.
    pub(crate) async fn gone(&self) {
        self.sender.closed().await;
    }
}

/// The reply of a judge that has begun.
pub(crate) fn reply(
    app: Arc<App>,
    id: String,
    question: Question,
    ticket: Ticket,
    heard: mpsc::UnboundedReceiver<Heard>,
) -> Response {
    let (events, response) = Events::open(duration(app.settings.limits.read_s));
    let writer = Writer { events, id, created: now(), question, has_answered: false };
    // A reader who is gone ends the task, and with it the ticket.
    let write = async move { drop(writer.write(&app, ticket, heard).await) };
    tokio::spawn(write.in_current_span());
    response
}

struct Writer {
    events: Events,
    id: String,
    created: u64,
    question: Question,
    /// Whether pieces of the verdict's JSON were sent.
    has_answered: bool,
}

impl Writer {
    async fn write(
        mut self,
        app: &App,
        ticket: Ticket,
        mut heard: mpsc::UnboundedReceiver<Heard>,
    ) -> Result<(), Gone> {
        self.delta(json!({ "role": "assistant", "content": "" }), Value::Null, None).await?;
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
        if let Err(error) = self.question.record(app, &verdict).await {
            return self.events.json(&json!(error.openai())).await;
        }
        self.end(&verdict).await
    }

    async fn piece(&mut self, piece: Heard) -> Result<(), Gone> {
        match piece {
            Heard::Reasoning(text) if self.question.include_reasoning => {
                self.delta(json!({ "reasoning": text }), Value::Null, None).await
            }
            Heard::Reasoning(_) => Ok(()),
            Heard::Answer(token) => {
                self.has_answered = true;
                let logprobs = self.question.n_logprobs;
                let logprobs = logprobs.map(|n| logprobs_of(std::slice::from_ref(&token), n));
                self.delta(json!({ "content": token.text }), logprobs.into(), None).await
            }
        }
    }

    async fn end(&mut self, verdict: &Verdict) -> Result<(), Gone> {
        if let Some(error) = no_verdict(verdict) {
            return self.events.json(&json!(error.openai())).await;
        }
        if !self.has_answered {
            self.delta(json!({ "content": content(verdict) }), Value::Null, None).await?;
        }
        self.delta(json!({}), Value::Null, Some(finish(verdict))).await?;
        if self.question.include_usage {
            let mut last = chunk(&self.id, self.created, &self.question.model, json!([]));
            last["usage"] = json!(ChatUsage::of(verdict));
            self.events.json(&last).await?;
        }
        self.events.text("[DONE]").await
    }

    async fn delta(&self, delta: Value, logprobs: Value, finish: Option<&str>) -> Result<(), Gone> {
        let choice =
            json!([{ "index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish }]);
        self.events.json(&chunk(&self.id, self.created, &self.question.model, choice)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reader_who_takes_nothing_is_gone() {
        let (events, _response) = Events::open(Duration::from_millis(20));
        for _ in 0..N_WAITING {
            events.text("x").await.unwrap();
        }
        events.text("x").await.unwrap_err();
    }
}
