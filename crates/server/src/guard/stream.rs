//! A guarded reply in pieces: read, judged and let through at once.
//!
//! Chunks are written anew from the fields that were judged; whatever else the other server puts into its
//! chunks (log-probabilities, which spell the tokens) does not go through.

use std::future::Future;
use std::pin::Pin;

use axum::response::Response;
use futures_util::StreamExt;
use serde_json::{Value, json};

use super::check::{Checked, Ruling};
use super::frames::Frames;
use super::proxy::{MAX_REPLY, Passage, add};
use super::release::{Piece, Release};
use super::settings::OutputMode;
use crate::api::{Events, Gone, chunk, now};
use crate::error::ApiError;

/// The end of a stream of events.
const DONE: &str = "[DONE]";

/// A stream that ends before it begins.
pub(super) async fn blocked(passage: &Passage, found: &Value) -> Response {
    let (events, response) = Events::open();
    let choice = json!([{
        "index": 0, "delta": { "role": "assistant", "content": "" }, "logprobs": null,
        "finish_reason": "content_filter",
    }]);
    let mut last = chunk(&format!("chatcmpl-{:x}", now()), now(), &passage.model, choice);
    add(&mut last, found);
    // A reader who is gone misses nothing.
    drop((events.json(&last).await, events.text(DONE).await));
    response
}

/// The reply of the other server, through the guard.
pub(super) fn reply(passage: Passage, upstream: reqwest::Response) -> Response {
    let (events, response) = Events::open();
    let settings = &passage.guard.settings;
    let release = Release::new(settings.output, settings.window_chars);
    let about = About { id: String::new(), created: now(), model: passage.model.clone() };
    let way = Way { events, release, about, finish: None, usage: None, passage };
    // A reader who is gone ends the task, and with it the check and the connection behind.
    tokio::spawn(async move { drop(way.run(upstream).await) });
    response
}

/// What all chunks repeat.
struct About {
    id: String,
    created: u64,
    model: String,
}

struct Way {
    passage: Passage,
    events: Events,
    release: Release,
    about: About,
    finish: Option<Value>,
    usage: Option<Value>,
}

/// A check under way: it began after the end or not, and saw so many characters.
struct Check<'a> {
    saw_end: bool,
    n_chars: usize,
    checked: Pin<Box<dyn Future<Output = Checked> + Send + 'a>>,
}

impl Way {
    async fn run(self, upstream: reqwest::Response) -> Result<(), Gone> {
        let Way { passage, events, mut release, mut about, mut finish, mut usage } = self;
        let mut bytes = upstream.bytes_stream();
        let mut frames = Frames::default();
        let mut failure = None;
        let mut check: Option<Check<'_>> = None;
        let mode = passage.output_mode;
        let out = Out { events: &events };
        loop {
            if check.is_none() {
                let saw_end = release.has_ended();
                let due = release.due().map(str::to_owned);
                check = due.map(|text| Check {
                    saw_end,
                    n_chars: release.n_asked(),
                    checked: Box::pin(async { passage.check_reply(&{ text }).await }),
                });
            }
            out.pieces(&about, release.ready()).await?;
            let may_read = !release.has_ended();
            tokio::select! {
                biased;
                () = events.gone() => return Err(Gone),
                checked = answered(&mut check), if check.is_some() => {
                    let Some(Check { saw_end, n_chars, .. }) = check.take() else { continue };
                    let ruling = passage.guard.ruling(&checked, mode);
                    if ruling == Ruling::Block || saw_end {
                        let noted = passage.guard.note(&passage.app, &checked, mode).await;
                        if let Err(error) = noted {
                            return events.json(&json!(error.openai())).await;
                        }
                    }
                    if ruling == Ruling::Block {
                        let found = passage.found(Some(&checked), Some("output"));
                        return out.cut(&about, &release, &found, passage.guard.settings.output).await;
                    }
                    release.cleared(n_chars, saw_end);
                    if saw_end {
                        out.pieces(&about, release.ready()).await?;
                        let found = passage.found(Some(&checked), None);
                        return match failure {
                            Some(problem) => out.failed(problem).await,
                            None => out.end(&about, finish, usage, &found).await,
                        };
                    }
                }
                piece = bytes.next(), if may_read => {
                    let events = match piece {
                        Some(Ok(piece)) => frames.push(&piece).map_err(|_| "its reply has no end"),
                        Some(Err(_)) => Err("its reply broke off"),
                        None => Ok(vec![DONE.to_owned()]),
                    };
                    let events = events.unwrap_or_else(|problem| {
                        failure = Some(problem);
                        vec![DONE.to_owned()]
                    });
                    for event in events {
                        read(&event, &mut release, &mut about, &mut finish, &mut usage);
                    }
                    if release.n_bytes() > MAX_REPLY {
                        failure = Some("its reply has no end");
                        release.end();
                    }
                }
            }
        }
    }
}

async fn answered(check: &mut Option<Check<'_>>) -> Checked {
    match check {
        Some(check) => check.checked.as_mut().await,
        None => std::future::pending().await,
    }
}

/// Takes one event of the other server apart.
fn read(
    event: &str,
    release: &mut Release,
    about: &mut About,
    finish: &mut Option<Value>,
    usage: &mut Option<Value>,
) {
    if event.trim() == DONE {
        release.end();
        return;
    }
    // What is no chunk has nothing that could be shown.
    let Ok(chunk) = serde_json::from_str::<Value>(event) else { return };
    if let Some(id) = chunk["id"].as_str() {
        about.id = id.to_owned();
    }
    if let Some(model) = chunk["model"].as_str() {
        about.model = model.to_owned();
    }
    about.created = chunk["created"].as_u64().unwrap_or(about.created);
    if !chunk["usage"].is_null() {
        *usage = Some(chunk["usage"].clone());
    }
    let choice = &chunk["choices"][0];
    if !choice["finish_reason"].is_null() {
        *finish = Some(choice["finish_reason"].clone());
    }
    for (field, value) in choice["delta"].as_object().into_iter().flatten() {
        match value {
            Value::Null => {}
            _ if field == "role" => {}
            Value::String(text) => {
                release.push(Piece::Text { field: field.clone(), text: text.clone() });
            }
            value => release.push(Piece::Whole { field: field.clone(), value: value.clone() }),
        }
    }
}

/// Writes chunks.
struct Out<'a> {
    events: &'a Events,
}

impl Out<'_> {
    async fn delta(
        &self,
        about: &About,
        delta: Value,
        finish: Value,
        found: &Value,
    ) -> Result<(), Gone> {
        let choice =
            json!([{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish }]);
        let mut value = chunk(&about.id, about.created, &about.model, choice);
        add(&mut value, found);
        self.events.json(&value).await
    }

    async fn pieces(&self, about: &About, pieces: Vec<Piece>) -> Result<(), Gone> {
        for piece in pieces {
            let (field, value) = match piece {
                Piece::Text { field, text } => (field, Value::String(text)),
                Piece::Whole { field, value } => (field, value),
            };
            let mut delta = json!({ "role": "assistant" });
            delta[field] = value;
            self.delta(about, delta, Value::Null, &Value::Null).await?;
        }
        Ok(())
    }

    /// The end of a reply that was let through.
    async fn end(
        &self,
        about: &About,
        finish: Option<Value>,
        usage: Option<Value>,
        found: &Value,
    ) -> Result<(), Gone> {
        self.delta(about, json!({}), finish.unwrap_or_else(|| "stop".into()), found).await?;
        if let Some(usage) = usage {
            let mut last = chunk(&about.id, about.created, &about.model, json!([]));
            last["usage"] = usage;
            self.events.json(&last).await?;
        }
        self.events.text(DONE).await
    }

    /// The end of a reply that was blocked; in mode `live` the reader is to take back what it has.
    async fn cut(
        &self,
        about: &About,
        release: &Release,
        found: &Value,
        mode: OutputMode,
    ) -> Result<(), Gone> {
        let mut found = found.clone();
        found["safeguard"]["sent_chars"] = release.n_sent().into();
        found["safeguard"]["retract"] = (mode == OutputMode::Live && release.n_sent() > 0).into();
        self.delta(about, json!({}), "content_filter".into(), &found).await?;
        self.events.text(DONE).await
    }

    async fn failed(&self, problem: &'static str) -> Result<(), Gone> {
        self.events.json(&json!(ApiError::Upstream { problem }.openai())).await
    }
}
