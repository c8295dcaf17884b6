//! A guarded reply in pieces: read, judged and let through at once.
//!
//! Chunks are written anew from the fields that were judged; whatever else the other server puts into its
//! chunks (log-probabilities, which spell the tokens) does not go through.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use axum::body::Bytes;
use axum::response::Response;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tracing::Instrument;

use super::check::{Checked, Ruling};
use super::frames::Frames;
use super::proxy::{MAX_REPLY, Passage, add};
use super::release::{Piece, Release};
use super::settings::OutputMode;
use crate::api::{Events, Gone, chunk, now};
use crate::error::ApiError;
use crate::settings::duration;

/// The end of a stream of events.
const DONE: &str = "[DONE]";

/// A stream that ends before it begins.
pub(super) async fn blocked(passage: &Passage, found: &Value) -> Response {
    let (events, response) = Events::open(patience(passage));
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
    let (events, response) = Events::open(patience(&passage));
    let settings = &passage.guard.settings;
    let release = Release::new(settings.output, settings.window_chars);
    let about = About { id: String::new(), created: now(), model: passage.model.clone() };
    let came = Came { release, about, finish: None, usage: None };
    // A reader who is gone ends the task, and with it the check and the connection behind.
    let run = async move { drop(run(passage, events, came, upstream).await) };
    tokio::spawn(run.in_current_span());
    response
}

fn patience(passage: &Passage) -> Duration {
    duration(passage.app.settings.limits.read_s)
}

/// What all chunks repeat.
struct About {
    id: String,
    created: u64,
    model: String,
}

/// What came of a reply so far.
struct Came {
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

async fn run(
    passage: Passage,
    events: Events,
    mut came: Came,
    upstream: reqwest::Response,
) -> Result<(), Gone> {
    let mut bytes = upstream.bytes_stream();
    let mut frames = Frames::default();
    let mut failure = None;
    let mut check: Option<Check<'_>> = None;
    let mode = passage.output_mode;
    let out = Out { events: &events };
    loop {
        if check.is_none() {
            let saw_end = came.release.has_ended();
            let due = came.release.due();
            check = due.map(|text| Check {
                saw_end,
                n_chars: came.release.n_asked(),
                checked: Box::pin(async { passage.check_reply(&{ text }).await }),
            });
        }
        out.pieces(&came.about, came.release.ready()).await?;
        let may_read = !came.release.has_ended();
        tokio::select! {
            biased;
            () = events.gone() => return Err(Gone),
            checked = answered(&mut check), if check.is_some() => {
                let Some(Check { saw_end, n_chars, .. }) = check.take() else { continue };
                let ruling = passage.guard.ruling(&checked, mode);
                if ruling == Ruling::Block || saw_end {
                    let Passage { guard, app, caller, .. } = &passage;
                    let noted = guard.note(app, caller, &checked, mode).await;
                    if let Err(error) = noted {
                        return events.json(&json!(error.openai())).await;
                    }
                }
                if ruling == Ruling::Block {
                    let found = passage.found(Some(&checked), Some("output"));
                    let output = passage.guard.settings.output;
                    return out.cut(&came.about, &came.release, &found, output).await;
                }
                came.release.cleared(n_chars, saw_end);
                if saw_end {
                    out.pieces(&came.about, came.release.ready()).await?;
                    let found = passage.found(Some(&checked), None);
                    return out.end(came, failure, &found).await;
                }
            }
            piece = bytes.next(), if may_read => {
                if let Err(problem) = came.bytes(&mut frames, piece) {
                    failure = Some(problem);
                    came.release.end();
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

impl Came {
    /// Takes in what the other server sent, or its end.
    ///
    /// # Errors
    /// What went wrong; nothing that follows counts.
    fn bytes(
        &mut self,
        frames: &mut Frames,
        piece: Option<reqwest::Result<Bytes>>,
    ) -> Result<(), &'static str> {
        let Some(piece) = piece else {
            return self.event(DONE);
        };
        let piece = piece.map_err(|_| "its reply broke off")?;
        for event in frames.push(&piece).map_err(|_| "its reply has no end")? {
            self.event(&event)?;
            if self.release.has_ended() {
                break;
            }
            if self.release.n_bytes() > MAX_REPLY {
                return Err("its reply has no end");
            }
        }
        Ok(())
    }

    /// Takes one event of the other server apart.
    fn event(&mut self, event: &str) -> Result<(), &'static str> {
        if event.trim() == DONE {
            self.release.end();
            return self.finish.as_ref().map(drop).ok_or("its reply broke off");
        }
        let chunk: Value =
            serde_json::from_str(event).map_err(|_| "a piece of its reply is no JSON")?;
        if chunk.get("error").is_some_and(|error| !error.is_null()) {
            return Err("it told of an error amid its reply");
        }
        if !chunk["choices"].is_array() {
            return Err("a piece of its reply has no choices");
        }
        self.chunk(&chunk);
        Ok(())
    }

    fn chunk(&mut self, chunk: &Value) {
        let Came { release, about, finish, usage } = self;
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

    /// The end of a reply that was let through, as far as it came.
    async fn end(
        &self,
        came: Came,
        failure: Option<&'static str>,
        found: &Value,
    ) -> Result<(), Gone> {
        let Came { about, finish, usage, .. } = came;
        let finish = match (failure, finish) {
            (None, Some(finish)) => finish,
            (failure, _) => return self.failed(failure.unwrap_or("its reply broke off")).await,
        };
        self.delta(&about, json!({}), finish, found).await?;
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
