//! The judge that asks a chat server: anything that speaks OpenAI's chat completions.
//!
//! `server.rs` knows how servers differ, `wire.rs` the bytes, `call.rs` sends with patience, `answer.rs`
//! finds thought and verdict in a reply, `logprob.rs` the probability behind the verdict.

mod answer;
mod call;
mod error;
mod logprob;
mod server;
mod wire;

use std::time::{Duration, Instant};

pub use error::RemoteError;
use policy::{
    Cause, Content, Effort, Judge, JudgeSettings, Observer, Policy, PolicyRef, Usage, Verdict,
};
pub use server::Server;

use crate::prompt::{Prompt, marker};
use crate::reply::parse_reply;
use answer::Answer;
use call::Caller;

/// Most tokens that a reply may have, thought included, unless the caller caps the analysis.
const MAX_TOKENS: usize = 8_192;
/// Room for the verdict behind a capped analysis.
const FINAL_TOKENS: usize = 600;
/// Time for one verdict unless the caller says otherwise: a slow server on a long thought.
const TIMEOUT: Duration = Duration::from_secs(300);

/// How to reach a server.
#[derive(Clone, Default)]
pub struct RemoteSettings {
    /// Sent as a bearer token; never shown.
    pub api_key: Option<String>,
    /// Which of the server's models; unset: the first it lists.
    pub model: Option<String>,
    /// What the server is; unset: found out.
    pub server: Option<Server>,
}

/// Judges with a chat server.
pub struct RemoteJudge {
    caller: Caller,
    server: Server,
    model: String,
}

impl RemoteJudge {
    /// Finds out what answers at `url` (with or without `/v1`) and which models it has.
    ///
    /// # Errors
    /// [`RemoteError`] when it cannot be reached, refuses the key, or has no such model.
    pub fn connect(url: &str, settings: RemoteSettings) -> Result<RemoteJudge, RemoteError> {
        let caller = Caller::new(url, settings.api_key.as_deref())?;
        let listing = caller.models()?;
        let server = settings.server.unwrap_or_else(|| Server::of(caller.base(), &listing));
        let model = match settings.model {
            Some(model) => listing.check(model)?,
            None => listing.first().ok_or(RemoteError::NoModels)?,
        };
        Ok(RemoteJudge { caller, server, model })
    }

    /// What the server was taken for.
    pub fn server(&self) -> Server {
        self.server
    }

    fn ask(
        &self,
        policy: &Policy,
        content: &Content,
        settings: &JudgeSettings,
        marker: &str,
    ) -> Result<Answer, RemoteError> {
        let effort = settings.effort_for(policy);
        let prompt = Prompt::new(policy, content, effort, marker);
        let max_tokens = settings.max_analysis_tokens.map_or(MAX_TOKENS, |cap| cap + FINAL_TOKENS);
        let request = wire::Request {
            model: &self.model,
            messages: [
                wire::Message { role: self.server.policy_role(), content: &prompt.developer },
                wire::Message { role: "user", content: &prompt.user },
            ],
            temperature: settings.temperature,
            top_p: settings.top_p,
            seed: settings.seed,
            max_tokens,
            reasoning_effort: effort_name(effort),
            logprobs: true,
            top_logprobs: wire::TOP_LOGPROBS,
            stream: false,
            response_format: self
                .server
                .binds_final()
                .then(|| wire::ResponseFormat::verdict(policy)),
        };
        let deadline = Instant::now() + settings.timeout.unwrap_or(TIMEOUT);
        Answer::new(self.caller.complete(&request, deadline)?)
    }
}

fn effort_name(effort: Effort) -> &'static str {
    match effort {
        Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High => "high",
    }
}

impl Judge for RemoteJudge {
    fn identity(&self) -> String {
        format!("remote {} {}", self.caller.base(), self.model)
    }

    fn judge(
        &self,
        policy: &Policy,
        content: &Content,
        settings: &JudgeSettings,
        observer: &mut dyn Observer,
    ) -> Verdict {
        let start = Instant::now();
        let about = PolicyRef { name: policy.name.clone(), id: policy.id.clone() };
        let none = |cause: Cause, detail: String| {
            Verdict::undetermined(cause, detail, about.clone(), &self.model)
        };
        if let Err(error) = content.check() {
            return none(Cause::UnsupportedInput, error.to_string());
        }
        let marker = match marker(content, settings.seed) {
            Ok(marker) => marker,
            Err(error) => return none(Cause::BackendError, error.to_string()),
        };
        let mut verdict = match self.ask(policy, content, settings, &marker) {
            Err(error) => none(error.cause(), error.to_string()),
            Ok(answer) => {
                observer.reasoning(&answer.reasoning);
                let verdict = match parse_reply(policy, &answer.verdict) {
                    Ok(reply) => reply.into_verdict(answer.score, about.clone(), &self.model),
                    Err(error) => none(error.cause(), error.to_string()),
                };
                Verdict { reasoning: answer.reasoning, usage: answer.usage, ..verdict }
            }
        };
        verdict.marker = Some(marker);
        verdict.usage = Usage { seconds: start.elapsed().as_secs_f64(), ..verdict.usage };
        verdict
    }
}

impl std::fmt::Debug for RemoteJudge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteJudge")
            .field("server", &self.server)
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}
