//! The probe: an encoder whose vector is what the judging model itself makes of a text under the policy.
//!
//! A vector is the model's state where its verdict would begin, with the log-odds of the verdict that it would give
//! at once as the last number. It costs the prefill of the text; the policy before it is computed once.

use std::sync::Arc;

use cascade::{CascadeError, Encoder, Windows};
use engine::EngineError;
use policy::{Content, Effort, JudgeSettings, Policy, VERDICT_FORM};
use reasoner::{LocalJudge, Reading, ReasonerError};

/// Log-odds beyond these say no more than that the model is certain.
const MOST_LOG_ODDS: f64 = 20.0;

/// A model and a policy as an encoder.
pub(crate) struct Probe {
    judge: Arc<LocalJudge>,
    policy: Policy,
    effort: Effort,
    identity: String,
}

impl Probe {
    /// The probe of a policy, at the effort that the policy is judged with unless somebody says otherwise: so the
    /// reasoning behind the probe finds the policy computed.
    pub(crate) fn new(judge: Arc<LocalJudge>, policy: Policy) -> Probe {
        let effort = JudgeSettings::default().effort_for(&policy);
        let model = judge.engine().identity();
        let identity = format!("probe {model} {} {effort} {VERDICT_FORM}", policy.id.0);
        Probe { judge, policy, effort, identity }
    }

    /// Whether an encoder of this name is a probe.
    pub(crate) fn is_name(identity: &str) -> bool {
        identity.starts_with("probe ")
    }
}

impl Encoder for Probe {
    fn identity(&self) -> &str {
        &self.identity
    }

    fn n_dims(&self) -> usize {
        self.judge.engine().model().config().hidden_size + 1
    }

    fn encode(&self, texts: &[&str]) -> Result<Vec<Windows>, CascadeError> {
        let contents: Vec<Content> = texts.iter().map(|text| Content::text(*text)).collect();
        let readings = self.judge.read(&self.policy, &contents, self.effort);
        readings.into_iter().map(windows).collect()
    }
}

/// One window, or none where the text does not fit into the model: half of a text, read as if it were the whole,
/// would say nothing of it.
fn windows(reading: Result<Reading, ReasonerError>) -> Result<Windows, CascadeError> {
    match reading {
        Ok(Reading { mut state, score, .. }) => {
            let log_odds = (score / (1.0 - score)).ln();
            state.push(log_odds.clamp(-MOST_LOG_ODDS, MOST_LOG_ODDS) as f32);
            Ok(vec![state])
        }
        Err(
            ReasonerError::Content(_)
            | ReasonerError::Engine(EngineError::PromptTooLong { .. } | EngineError::KvFull { .. }),
        ) => Ok(Windows::new()),
        Err(error) => Err(CascadeError::Encode(Box::new(error))),
    }
}
