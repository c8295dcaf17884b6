//! The judge that asks a chat server: anything that speaks OpenAI's chat completions.
//!
//! `server.rs` knows how servers differ and `extras.rs` what they may refuse; `wire.rs` has the bytes,
//! `call.rs` sends with patience, `answer.rs` finds thought and verdict in a reply, `logprob.rs` the
//! probability behind the verdict, `cut.rs` whether all of the prompt was read.

mod address;
mod answer;
mod call;
mod complaint;
mod cut;
mod error;
mod extras;
mod harmony;
mod listing;
mod logprob;
mod patience;
mod server;
mod wire;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

pub use error::RemoteError;
pub use patience::Patience;
use policy::{Cause, Content, Judge, JudgeSettings, Observer, Policy, PolicyRef, Verdict};
pub use server::Server;

use crate::prompt::{Prompt, marker};
use crate::reply::parse_reply;
use address::Address;
use answer::Answer;
use call::{Caller, Failure};
use extras::{Extra, Extras};
use listing::{Listing, Served};
use wire::{Completion, Request};

/// Time for one verdict unless the caller says otherwise: a slow server on a long thought.
const TIMEOUT: Duration = Duration::from_secs(300);
/// No caller waits longer, and no clock counts endless times.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// How to reach a server.
#[derive(Clone, Default)]
pub struct RemoteSettings {
    /// Sent as a bearer token; never shown.
    pub api_key: Option<String>,
    /// Which of the server's models; unset: its only one, or its only gpt-oss-safeguard.
    pub model: Option<String>,
    /// What the server is; unset: found out.
    pub server: Option<Server>,
    /// How often to try again.
    pub patience: Patience,
}

/// Judges with a chat server. Many threads may judge at once.
pub struct RemoteJudge {
    caller: Caller,
    server: Server,
    model: Served,
    /// What this server is asked for; less after it refused something.
    extras: Mutex<Extras>,
}

impl RemoteJudge {
    /// Finds out what answers at `url` (with or without `/v1`) and which models it has.
    ///
    /// # Errors
    /// [`RemoteError`] when it cannot be reached, refuses the key, or has no such model.
    pub fn connect(url: &str, settings: &RemoteSettings) -> Result<RemoteJudge, RemoteError> {
        let address = Address::parse(url)?;
        let host = address.host();
        let caller = Caller::new(address.clone(), settings.api_key.as_deref(), settings.patience)?;
        let (listing, model) = match (caller.models(), &settings.model) {
            (Ok(listing), asked) => {
                let model = listing.choose(asked.as_deref(), &host)?;
                (listing, model)
            }
            // A gateway that lists nothing may well have it.
            (Err(RemoteError::Status { status: 404 | 405 | 501, .. }), Some(name)) => {
                (Listing::default(), Served::named(name))
            }
            (Err(error), _) => return Err(error),
        };
        let server = settings.server.unwrap_or_else(|| Server::of(&address, &listing));
        let extras = Mutex::new(server.extras(&model));
        Ok(RemoteJudge { caller, server, model, extras })
    }

    /// What the server was taken for.
    pub fn server(&self) -> Server {
        self.server
    }

    /// The model that judges, by its name on the server.
    pub fn model(&self) -> &str {
        &self.model.name
    }

    fn ask(
        &self,
        policy: &Policy,
        prompt: &Prompt,
        settings: &JudgeSettings,
        deadline: Instant,
        observer: &dyn Observer,
    ) -> Result<Answer, RemoteError> {
        let JudgeSettings { temperature, top_p, .. } = *settings;
        if !(temperature.is_finite() && temperature >= 0.0 && top_p > 0.0 && top_p <= 1.0) {
            return Err(RemoteError::Sampling { temperature, top_p });
        }
        if settings.direct {
            return Err(RemoteError::Direct);
        }
        let completion = self.complete(policy, prompt, settings, deadline, observer)?;
        let mut answer = Answer::new(completion);
        if let Err(error) = cut::check(prompt, &self.model, answer.usage.prompt_tokens) {
            answer.verdict = Err(error);
        }
        Ok(answer)
    }

    /// A completion, asked for with less and less as long as the server refuses something by name.
    fn complete(
        &self,
        policy: &Policy,
        prompt: &Prompt,
        settings: &JudgeSettings,
        deadline: Instant,
        observer: &dyn Observer,
    ) -> Result<Completion, RemoteError> {
        let send = |extras| {
            let request = Request::new(&self.model.name, policy, prompt, settings, extras);
            self.caller.complete(&request, deadline, observer)
        };
        let mut extras = *self.extras.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let failure = match send(extras) {
                Ok(completion) => {
                    *self.extras.lock().unwrap_or_else(PoisonError::into_inner) = extras;
                    return Ok(completion);
                }
                Err(failure) => failure,
            };
            let Failure { error, complaint, .. } = failure;
            // Prompt and limit together may be too long where the prompt alone is not. That holds for this
            // prompt and is not remembered.
            let unlimited = extras.without(Extra::MaxTokens).without(Extra::MaxCompletionTokens);
            if complaint.is_about_length() && unlimited != extras {
                return send(unlimited).map_err(|failure| failure.error);
            }
            let fewer = match error {
                RemoteError::Status { .. } => extras.after_refusal(complaint.words()),
                _ => None,
            };
            extras = fewer.ok_or(error)?;
        }
    }
}

impl Judge for RemoteJudge {
    fn identity(&self) -> String {
        format!("remote {} {}", self.caller.address().root(), self.model.name)
    }

    fn judge(
        &self,
        policy: &Policy,
        content: &Content,
        settings: &JudgeSettings,
        observer: &mut dyn Observer,
    ) -> Verdict {
        let start = Instant::now();
        let about = policy.reference();
        let none = |cause: Cause, detail: String| {
            Verdict::undetermined(cause, detail, about.clone(), self.model())
        };
        if let Err(error) = content.check() {
            return none(Cause::UnsupportedInput, error.to_string());
        }
        let marker = match marker(content, settings.seed) {
            Ok(marker) => marker,
            Err(error) => return none(Cause::BackendError, error.to_string()),
        };
        let prompt = disarmed(Prompt::new(policy, content, settings.effort_for(policy), &marker));
        let deadline = start + settings.timeout.unwrap_or(TIMEOUT).min(LONGEST_TIMEOUT);
        let mut verdict = match self.ask(policy, &prompt, settings, deadline, observer) {
            Err(error) => none(error.cause(), error.to_string()),
            Ok(answer) => {
                if !answer.reasoning.is_empty() {
                    observer.reasoning(&answer.reasoning);
                }
                decide(policy, answer, about, self.model())
            }
        };
        verdict.marker = Some(marker);
        verdict.usage.seconds = start.elapsed().as_secs_f64();
        verdict
    }
}

fn decide(policy: &Policy, answer: Answer, about: PolicyRef, model: &str) -> Verdict {
    let verdict = match answer.verdict {
        Err(error) => Verdict::undetermined(error.cause(), error.to_string(), about, model),
        Ok(text) => match parse_reply(policy, &text) {
            Err(error) => Verdict::undetermined(error.cause(), error.to_string(), about, model),
            Ok(reply) => reply.into_verdict(answer.score, about, model),
        },
    };
    Verdict { reasoning: answer.reasoning, usage: answer.usage, ..verdict }
}

/// A space inside every `<|` of the content: many servers read control tokens wherever they stand in a
/// message, and content must not end its own message. The policy is the user's own and stays as it is.
fn disarmed(prompt: Prompt) -> Prompt {
    Prompt { user: prompt.user.replace("<|", "< |"), ..prompt }
}

impl std::fmt::Debug for RemoteJudge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteJudge")
            .field("server", &self.server)
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}
