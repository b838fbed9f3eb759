//! What operators get beside the service: metrics, alerts, runbooks, dashboard, chart, compose file. Each is
//! held against the others, and by the tools that will read it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod alerts;
mod chart;
mod dashboard;
mod images;
mod metrics;

use std::path::{Path, PathBuf};

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

/// A tool that `tests/support/tools/install` fetches; it fails loudly, and so does this.
fn tool(name: &str) -> PathBuf {
    static INSTALLED: std::sync::Once = std::sync::Once::new();
    INSTALLED.call_once(|| {
        let installed = std::process::Command::new(path("tests/support/tools/install")).status().unwrap();
        assert!(installed.success(), "tests/support/tools/install could not fetch what these tests need");
    });
    path(".cache/tools").join(name)
}
