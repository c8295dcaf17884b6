//! gpt-oss: checkpoint, tokenizer, harmony and the forward pass.
//!
//! This crate knows tensors and tokens; it has never heard of a policy or a request. Start with
//! `forward.rs`, which reads from tokens to logits; `checkpoint/` finds the bytes, `weights.rs` gives
//! them their shapes, `kv.rs` is the memory that the forward pass reads and extends, `tokenizer/` and
//! `harmony/` turn text into tokens and back.

mod batch;
mod checkpoint;
mod config;
mod error;
pub mod forward;
pub mod harmony;
pub mod kv;
mod model;
mod parallel;
mod rope;
mod tap;
pub mod tokenizer;
mod weights;

pub use config::{Config, ExpertFormat, LayerKind, RopeConfig};
pub use error::{ModelError, OffsetProblem};
pub use model::Model;
