//! Whatever bytes come in, nothing panics, runs away or is half understood.
//!
//! `cargo test --test fuzz` tries what earlier runs found and some random input. `tests/fuzz/run` searches,
//! guided by coverage; see `docs/fuzzing.md`. An input that breaks something is kept as a test of its own,
//! beside its cause.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod http;
mod outside;
#[path = "../shard/rig.rs"]
#[allow(dead_code, reason = "each test binary uses its part")]
mod rig;
mod within;

use chrono::NaiveDate;
use lapsed::config::{Environment, load};

/// Lines of a configuration's example, so that a search begins with what is worth changing.
pub fn today() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 1, 1).unwrap()
}

/// A configuration with every kind of rule, as a search reads records by it.
pub fn config() -> lapsed::config::Config {
    let text = include_str!("config.yaml").to_owned();
    let loaded = load::from_texts(&[("fuzz.yaml".to_owned(), text)], Environment::Leave, today());
    loaded.map_err(|errors| errors.to_string()).unwrap().config
}
