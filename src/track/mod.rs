//! Signals → state and commands, exactly once.
//!
//! * [`shard`]: the deterministic state machine of one partition of `signals`
//! * [`outputs`]: what a batch leaves to be produced in its transaction
//! * [`table`]: the customers of a shard, in flat columns; [`ids`]: their ids
//! * [`forgotten`]: what is left of those whose record is gone
//! * [`due`]: which of them to look at when; [`waiting`]: who waits for the gate, or for a release
//! * [`questions`]: what other threads ask of the shards
//! * [`owner`]: the shards of an instance, and what happens at which step; [`worker`]: its loop on Kafka
//! * [`status`]: what the rest of the process sees of it

pub mod due;
pub mod forgotten;
pub mod ids;
pub mod outputs;
pub mod owner;
pub mod questions;
pub mod shard;
pub mod status;
pub mod table;
pub mod waiting;
pub mod worker;
