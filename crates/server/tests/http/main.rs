//! The service over real connections: the built-in model judges, or a judge whose hand the test holds.

#![expect(clippy::unwrap_used, reason = "what a test's own client and server do must work")]

mod chat;
mod classify;
mod decisions;
mod guard;
mod litellm;
mod litellm_proxy;
mod moderations;
mod perspective;
mod predict;
mod queue;
mod refusals;
mod responses;
mod running;
mod shelf;
mod tls;
