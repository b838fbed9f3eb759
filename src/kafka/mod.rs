//! Moves bytes; knows no retention.
//!
//! * [`clients`]: consumers and producers with the properties that the promises need
//! * [`transaction`]: one transaction after another, and what became of each
//! * [`restore`]: a partition read to its end, for good

pub mod clients;
pub mod restore;
pub mod transaction;
