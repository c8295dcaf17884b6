//! The service over real connections: the built-in model judges, or a judge whose hand the test holds.

#![expect(clippy::unwrap_used, reason = "what a test's own client and server do must work")]

mod batches;
mod borders;
mod chat;
mod classify;
mod decisions;
mod guard;
mod jobs;
mod keyed;
mod keyed_shapes;
mod keys;
mod litellm;
mod litellm_proxy;
mod moderations;
mod perspective;
mod policies;
mod predict;
mod queue;
mod receiver;
mod refusals;
mod responses;
mod reviews;
mod running;
mod shelf;
mod tenants;
mod tls;
mod webhooks;
