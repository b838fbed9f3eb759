//! One ingest instance, from records to what a shard may believe.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod behaviour;
mod truth;
mod world;
