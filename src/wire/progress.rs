//! Ingest's report on how far source partitions have been read, and what it saw. One record per
//! instance and shard, at most every ten seconds, without a key.

pub use crate::retention::progress::*;
