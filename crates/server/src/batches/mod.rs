//! Batches in OpenAI's shape, over the same jobs: a file of requests becomes a job, and what comes of it two files.
//!
//! `body.rs` is what callers see of it. `lines.rs` reads the file, `line.rs` what one request asks for, `conclude.rs` writes the files at the end,
//! `reply.rs` the lines in them.

mod body;
mod conclude;
mod line;
mod lines;
mod reply;

pub(crate) use body::{BatchBody, parse_id};
pub(crate) use conclude::{Conclusion, conclude_all};
pub(crate) use line::By;
pub(crate) use lines::parse;

/// The routes that a batch may call.
pub(crate) const ENDPOINTS: [&str; 3] = [MODERATIONS, CLASSIFY, CHAT];
const MODERATIONS: &str = "/v1/moderations";
const CLASSIFY: &str = "/v1/classify";
const CHAT: &str = "/v1/chat/completions";
