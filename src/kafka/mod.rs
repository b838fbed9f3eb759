//! Moves bytes; knows no retention.
//!
//! * [`access`]: what the brokers let us do
//! * [`clients`]: consumers and producers with the properties that the promises need
//! * [`describe`]: which topic of its name one is, and what may be done with it
//! * [`transaction`]: one transaction after another, and what became of each
//! * [`inbox`]: records of a consumer, many at a time
//! * [`offsets`]: where partitions begin and end
//! * [`restore`]: a partition read to its end, for good
//! * [`topics`]: the topics that are needed, and what is there

pub mod access;
pub mod clients;
pub mod describe;
pub mod inbox;
pub mod offsets;
pub mod outbox;
pub mod owners;
pub mod polled;
pub mod restore;
pub mod topics;
pub mod transaction;
