//! Policy and content in, a reasoned verdict out.
//!
//! [`LocalJudge`] asks a model in this process, bound by a grammar made from the policy;
//! [`remote::RemoteJudge`] asks a chat server. Both ways lead
//! through the same parts: `prompt.rs` says what the model sees, `schema.rs` and `grammar.rs` what it
//! may answer, `reply.rs` what an answer means; `direct.rs` asks for the verdict's digit alone. Nothing that goes wrong here is a verdict of `clear`.

mod cached;
mod direct;
mod grammar;
mod guide;
mod hear;
mod local;
mod many;
mod prompt;
mod reading;
pub mod remote;
mod reply;
mod schema;
mod score;

pub use cached::CachedJudge;
pub use grammar::reply_grammar;
pub use local::{LocalJudge, ReasonerError};
pub use many::{Job, judge_many};
pub use prompt::{Prompt, item_text, marker};
pub use reading::Reading;
pub use reply::{Reply, ReplyError, parse_reply};
pub use schema::{RATIONALE_LEN, bound_schema, reply_schema};
