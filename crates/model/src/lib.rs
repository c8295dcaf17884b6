//! gpt-oss: checkpoint, tokenizer, harmony and the forward pass.
//!
//! This crate knows tensors and tokens; it has never heard of a policy or a request. Start with
//! `forward.rs`, which reads from tokens to logits (the last of it in `head.rs`); `checkpoint/` finds the bytes, `weights/` gives
//! them their shapes, `prepared/` the form that products want, `memory.rs` says how much there is for it, `kv.rs` is what the
//! forward pass reads and extends, `tokenizer/` and `harmony/` turn text into tokens and back, `golden.rs` compares with
//! numbers made elsewhere, `shape.rs` makes random weights to measure with, and `work.rs` says what a step costs.

mod buffers;
mod builtin;
pub mod checkpoint;
mod config;
mod error;
pub mod forward;
pub mod golden;
pub mod harmony;
mod head;
pub mod kv;
pub mod memory;
mod model;
mod prepared;
mod rope;
mod shape;
pub mod tokenizer;
pub mod weights;
mod work;

pub use config::{Config, ExpertFormat, RopeConfig};
pub use error::{FileProblem, ModelError};
pub use model::{EmbeddedFiles, Model};
pub use prepared::{KeepProblem, LoadProblem, Loading, Preparation, Preparing, Residence};
pub use rope::Rope;
pub use shape::Shape;
pub use work::{Sums, Work};
