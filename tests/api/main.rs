//! The API over shards in memory: what is asked and answered, by whom, and what is told to audit.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod description;
mod office;
#[path = "../shard/rig.rs"]
#[allow(dead_code, reason = "each test binary uses its part")]
mod rig;
mod rights;
