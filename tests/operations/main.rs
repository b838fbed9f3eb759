//! What operators get beside the service: metrics, alerts, runbooks, dashboard, chart, compose file. Each is
//! held against the others, and by the tools that will read it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod alerts;
mod chart;
mod dashboard;
mod images;
mod metrics;
#[path = "../support/tools/mod.rs"]
mod tools;

use std::path::{Path, PathBuf};
use tools::tool;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn path(name: &str) -> PathBuf {
    root().join(name)
}

fn file(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A YAML file's documents.
fn yaml(text: &str) -> Vec<serde_json::Value> {
    serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}
