//! An in-memory log that drives the real ingest and shards; the demo and the tests use it.

pub mod cluster;
pub mod log;
pub mod offline;
pub mod targets;
pub mod town;
pub mod world;
