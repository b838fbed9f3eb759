//! Tools that `tests/support/tools/install` fetches; it fails loudly, and so does this.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::path::{Path, PathBuf};

pub fn tool(name: &str) -> PathBuf {
    static INSTALLED: std::sync::Once = std::sync::Once::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    INSTALLED.call_once(|| {
        let installed = std::process::Command::new(root.join("tests/support/tools/install")).status().unwrap();
        assert!(installed.success(), "tests/support/tools/install could not fetch what these tests need");
    });
    root.join(".cache/tools").join(name)
}

/// The manifests that the chart makes of these values.
///
/// # Errors
/// What helm complains about.
pub fn render_chart(values: &serde_json::Value) -> Result<Vec<serde_json::Value>, String> {
    let text = run_chart("render", &["prod", "privacy"], values)?;
    let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(&text).map_err(|error| error.to_string())?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

/// # Errors
/// What helm complains about.
pub fn run_chart(command: &str, more: &[&str], values: &serde_json::Value) -> Result<String, String> {
    let mut given = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut given, values.to_string().as_bytes()).unwrap();
    let output = std::process::Command::new(tool("chart"))
        .arg(command)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/helm/lapsed"))
        .args(more)
        .arg(given.path())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}
