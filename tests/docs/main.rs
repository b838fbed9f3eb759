//! What the docs show is so: every command in README.md and docs/ is run, or named in a short list with the reason
//! why it can't be; links lead somewhere; examples are good.
//!
//! A fenced block may say more behind its language: `file=NAME` is a file that the page has its reader write,
//! `output` is what the block before it prints, `like` the same but for numbers, dates and ids (of the last command,
//! among other lines), `from=NAME` one line of a file that a command has written.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "a run tells what it runs")]

mod commands;
mod elsewhere;
mod evidence;
mod examples;
mod links;
mod markdown;
mod offline;
mod on_kafka;
mod place;
#[path = "../support/mod.rs"]
mod support;
mod target;
#[path = "../support/tools/mod.rs"]
mod tools;

use markdown::Page;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn file(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// README.md, and every page below docs/.
fn pages() -> Vec<Page> {
    let mut found = vec![PathBuf::from("README.md")];
    collect(Path::new("docs"), &mut found);
    assert!(found.len() > 15, "{found:?}");
    found.iter().map(|path| Page::read(path.to_str().unwrap(), &file(path.to_str().unwrap()))).collect()
}

fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(root().join(directory)).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    for name in names {
        let path = directory.join(name);
        if root().join(&path).is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}
