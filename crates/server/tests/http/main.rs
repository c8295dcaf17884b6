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
#[path = "../../../store/tests/suite/place.rs"]
#[expect(dead_code, reason = "the store's own tests do more with it")]
mod place;
mod policies;
mod predict;
mod queue;
mod receiver;
mod refusals;
mod responses;
mod retention;
mod reviews;
mod running;
#[path = "../../../store/tests/suite/server.rs"]
mod server;
mod shelf;
mod tenants;
mod tls;
mod traffic;
mod votes;
mod webhooks;
