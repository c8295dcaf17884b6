//! Harmony: the frame of messages and channels that gpt-oss reads and writes.
//!
//! `message.rs` has the types (their JSON is the layout that `safeguard model tokens --conversations`
//! reads), `render.rs` turns a conversation into tokens, `parse.rs` and `header.rs` turn generated tokens
//! back into messages as they come.

mod error;
mod header;
mod message;
mod parse;
mod render;

pub use error::HarmonyError;
pub use header::Header;
pub use message::{Conversation, Effort, Message, Role, SystemMessage};
pub use parse::{Event, Parser};
pub use render::{render, system_text};
