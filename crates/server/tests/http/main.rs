//! The service over real connections: the built-in model judges, or a judge whose hand the test holds.

#![expect(clippy::unwrap_used, reason = "what a test's own client and server do must work")]

mod batches;
mod chat;
mod classify;
mod decisions;
mod guard;
mod jobs;
mod moderations;
mod queue;
mod receiver;
mod refusals;
mod running;
mod shelf;
mod tls;
mod webhooks;
