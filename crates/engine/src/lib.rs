//! Many requests at once over one model: scheduling, sampling, cached keys and values, bound output.
//!
//! This crate knows tokens, guides and grammars. It has never heard of a policy, and does not look
//! inside a tensor. Start with [`Engine::submit`] in `engine.rs`, then `scheduler.rs`: the loop that
//! every request goes through. `sequence.rs` is one request's way, `kv/` what sequences share,
//! `grammar/` how a reply is bound to a form.

mod engine;
mod error;
mod generation;
mod grammar;
mod guess;
mod guide;
mod inbox;
mod kv;
mod mask;
mod panics;
mod plan;
mod random;
mod request;
mod said;
mod sampler;
mod scheduler;
mod sequence;
mod settings;
mod step;
mod totals;

pub use engine::{ComputeUnit, Engine};
pub use error::EngineError;
pub use generation::{
    Canceller, Done, Event, Finish, Generation, NoEvent, Reply, TokenEvent, Usage,
};
pub use grammar::{Grammar, GrammarCompiler};
pub use guide::{Guide, Next};
pub use kv::{PrefixCache, PrefixProblem, Warn};
pub use mask::TokenMask;
pub use request::{Request, Sampling};
pub use settings::EngineSettings;
pub use totals::Totals;
