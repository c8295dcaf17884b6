//! The guard before another chat model: what goes in is judged, and what comes out before it is read.
//!
//! `settings.rs` says where and how, `asked.rs` what a request says, `check.rs` judges, `proxy.rs` is a request's way
//! through and `stream.rs` that of a reply in pieces. `release.rs` decides how much of a reply may leave, `frames.rs`
//! takes its events apart, and `said.rs` puts what a judge reads together, with what `arguments.rs` makes of calls; all
//! of these are plain functions of what came, without clocks or connections.

mod arguments;
mod asked;
mod check;
mod frames;
mod proxy;
mod release;
mod said;
mod settings;
mod stream;

pub(crate) use asked::{read, said, turns};
pub(crate) use proxy::{Guard, forward};
pub use settings::{GuardMode, GuardSettings, OutputMode, WithoutVerdict};
