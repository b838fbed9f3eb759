//! Signals → state and commands, exactly once.
//!
//! * [`shard`]: the deterministic state machine of one partition of `signals`
//! * [`outputs`]: what a batch leaves to be produced in its transaction

pub mod outputs;
pub mod shard;
