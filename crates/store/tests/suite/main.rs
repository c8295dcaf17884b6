//! One suite for both databases: every case runs on SQLite, and on PostgreSQL where there is one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod audit;
mod chain;
mod fixture;
mod jobs;
mod kill;
mod later;
mod opening;
mod place;
mod resources;
mod retention;
mod server;
mod upgrade;
