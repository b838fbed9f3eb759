//! Signals → state and commands, exactly once.
//!
//! * [`shard`]: the deterministic state machine of one partition of `signals`
//! * [`outputs`]: what a batch leaves to be produced in its transaction
//! * [`worker`]: the loop on Kafka
//! * [`status`]: what the rest of the process sees of it

pub mod outputs;
pub mod shard;
pub mod status;
pub mod worker;
