//! Section "Configuration": what is read, what is refused and in which words.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accepted;
mod design;
mod environment;
mod files;
mod fingerprints;
mod garbage;
mod judgements;
mod promises;
mod reference;
mod refused;
mod schema;
mod shop;
mod yaml;
