//! An in-memory log that drives the real ingest and shards; the demo and the tests use it.

pub mod log;
pub mod offline;
pub mod town;
