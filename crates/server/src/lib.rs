//! The HTTP service: verdicts for every caller, in our shape and in OpenAI's.
//!
//! `serve.rs` is its life from binding to shutdown, `settings/` what can be set, `api/` one file a route.
//! `pool/` leads from async requests to the judges, which block: threads of its own behind a bounded queue.
//! `guard/` stands before another chat model. `shelf.rs` holds the policies and follows their folder. `error/` knows every refusal and its
//! status.
//! `jobs/` judges what was accepted to be judged later, `webhooks/` tells of it, `batches/` is the same in OpenAI's shape.
//! `door/` knows who may call, as whom and how often.
//! `stored.rs` are policies of the store, `shadow.rs` their candidates. `recorder.rs` puts decisions into the store before their callers hear of them.
//! `bodies.rs` reads what routes read, without a service. `log.rs` and `traces.rs` tell what happens, and never what was said.
//! Which judge answers is not known here: the caller brings a [`policy::Judge`].

mod api;
mod batches;
mod bodies;
mod callers;
mod door;
mod error;
mod guard;
mod jobs;
mod lane;
mod log;
mod metrics;
mod pool;
mod recorder;
mod selector;
mod serve;
mod settings;
mod shadow;
mod shelf;
mod signals;
mod stored;
mod traceparent;
mod traces;
mod webhooks;
mod wire;

pub use bodies::{Body, NotRead};
pub use callers::{Litellm, Perspective, Predict};
pub use door::Scope;
pub use error::ServerError;
pub use guard::{GuardMode, GuardSettings, OutputMode, WithoutVerdict};
pub use jobs::JobSettings;
pub use log::{Log, LogFormat, start_log};
pub use serve::{Before, Server, Setup, Stopper};
pub use settings::{
    Cors, Limits, Moderations, OnUndetermined, ServerSettings, SettingsError, StockUndetermined,
    Tls,
};
pub use shadow::ShadowSettings;
pub use shelf::{Fault, PolicySource, read_folder};
pub use traces::TraceSettings;
pub use webhooks::WebhookSettings;
