//! A shard as its worker sees it: batches in, commands and changelog out.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accepting;
mod batches;
mod braking;
mod changelog;
mod events;
mod firing;
mod forgetting;
mod merging;
mod questions;
mod reload;
mod resending;
mod rig;
