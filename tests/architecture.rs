//! The house keeps its order: imports run one way, and the pure rooms read no clock, do no I/O, log
//! nothing. `src/lib.rs` is the map.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

/// A source file: its path below `src/`, and its code without comments and tests.
struct Source {
    path: String,
    code: String,
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&root, &mut found);
    found.sort();
    let source = |path: &PathBuf| Source {
        path: path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned(),
        code: code_of(&std::fs::read_to_string(path).unwrap()),
    };
    found.iter().map(source).filter(|source| !source.path.ends_with("tests.rs")).collect()
}

/// Without comments, and without what follows `#[cfg(test)]`, which stands last.
fn code_of(text: &str) -> String {
    let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = code.lines().map(|line| match line.trim_start() {
        comment if comment.starts_with("//") => "",
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The room a file belongs to.
fn room(path: &str) -> &str {
    path.split(['/', '.']).next().unwrap()
}

/// What each room may import from `crate`.
fn allowed(room: &str) -> &'static [&'static str] {
    match room {
        "retention" => &["retention", "plant"],
        "wire" => &["retention", "wire"],
        "config" => &["retention", "wire", "config"],
        "ingest" => &["retention", "wire", "config", "ingest", "kafka", "telemetry", "plant", "prefetch"],
        "track" => &["retention", "wire", "config", "track", "kafka", "telemetry", "plant"],
        "kafka" => &["kafka", "prefetch"],
        "simulated" => &["retention", "wire", "config", "ingest", "track", "simulated", "plant"],
        "http" => &["retention", "wire", "config", "track", "http", "telemetry"],
        "telemetry" => &["telemetry"],
        "plant" => &["plant"],
        "prefetch" => &["prefetch"],
        _ => &["retention", "wire", "config", "ingest", "track", "kafka", "simulated", "http", "telemetry", "cli"],
    }
}

/// Where Kafka may be joined to the rest: the workers, and what they share with whoever asks.
const JOINED: &[&str] = &["ingest/", "track/"];

fn may_touch_the_world(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap();
    JOINED.iter().any(|room| path.starts_with(room)) && (path.contains("/worker") || matches!(name, "status.rs"))
}

fn is_pure(path: &str) -> bool {
    match room(path) {
        "retention" | "wire" => true,
        "ingest" | "track" => !may_touch_the_world(path),
        _ => false,
    }
}

/// A clock, a file, a socket, a thread, a log, a print.
const WORLD: &[&str] = &[
    "SystemTime",
    "Instant::now",
    "Utc::now",
    "Local::now",
    "std::fs",
    "std::io",
    "std::net",
    "std::thread",
    "std::env",
    "std::process",
    "tracing::",
    "println!",
    "rdkafka",
    "tokio",
];

fn violations(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for (place, _) in source.code.match_indices("crate::") {
        let name = room(&source.code[place + "crate::".len()..]).split([':', ';', ' ', '{', '*']).next().unwrap();
        let named: Vec<&str> = if name.is_empty() {
            let list = source.code[place + "crate::{".len()..].split('}').next().unwrap();
            list.split(',').map(|item| item.trim().split("::").next().unwrap()).collect()
        } else {
            vec![name]
        };
        for name in named {
            if !allowed(room(&source.path)).contains(&name) && source.path != "lib.rs" && source.path != "main.rs" {
                found.push(format!("{} imports {name}", source.path));
            }
            let joins = matches!(name, "kafka" | "telemetry") && matches!(room(&source.path), "ingest" | "track");
            if joins && !may_touch_the_world(&source.path) {
                found.push(format!("{} joins {name}; only the workers may", source.path));
            }
        }
    }
    if is_pure(&source.path) {
        let touched = WORLD.iter().filter(|word| source.code.contains(*word));
        found.extend(touched.map(|word| format!("{} is pure, and has {word}", source.path)));
    }
    if source.code.contains("anyhow") && !matches!(room(&source.path), "cli" | "main") {
        found.push(format!("{} uses anyhow; a module owns its errors", source.path));
    }
    let name = source.path.rsplit('/').next().unwrap();
    if matches!(name, "utils.rs" | "common.rs" | "types.rs" | "util.rs" | "helpers.rs") {
        found.push(format!("{} names nothing", source.path));
    }
    found
}

#[test]
fn the_house_is_in_order() {
    let sources = sources();
    assert!(sources.len() > 40, "looked at {} files only", sources.len());
    for room in ["retention", "wire", "config", "ingest", "track", "kafka", "simulated", "cli"] {
        assert!(sources.iter().any(|source| self::room(&source.path) == room), "no file in {room}");
    }
    let found: Vec<String> = sources.iter().flat_map(violations).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn disorder_is_seen() {
    let planted = [
        ("retention/policy.rs", "use crate::wire::signal::Signal;"),
        ("retention/policy.rs", "let now = std::time::SystemTime::now();"),
        ("wire/signal.rs", "use crate::{config::Config, retention::calendar};"),
        ("track/shard.rs", "use crate::kafka::clients::Clients;"),
        ("track/due.rs", "tracing::info!(\"woke\");"),
        ("ingest/extract.rs", "std::fs::read(path)"),
        ("kafka/clients.rs", "use crate::config::Config;"),
        ("config/load.rs", "fn load() -> anyhow::Result<()>"),
        ("cli/utils.rs", ""),
    ];
    for (path, code) in planted {
        let source = Source { path: path.to_owned(), code: code.to_owned() };
        assert!(!violations(&source).is_empty(), "{path}: {code}");
    }
    let fine = Source { path: "track/worker.rs".to_owned(), code: "use crate::kafka::clients::Clients;".to_owned() };
    assert!(violations(&fine).is_empty());
    assert_eq!(code_of("a\n// std::fs\nb\n#[cfg(test)]\nmod tests {\nstd::fs"), "a\n\nb");
}

#[test]
fn nothing_of_a_machine_is_in_the_repository() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let listed = std::process::Command::new("git").args(["ls-files", "-z"]).current_dir(root).output().unwrap();
    assert!(listed.status.success(), "git lists the files");
    let names: Vec<&str> = std::str::from_utf8(&listed.stdout).unwrap().split('\0').filter(|n| !n.is_empty()).collect();
    assert!(names.len() > 40, "looked at {} files only", names.len());
    // Written in two halves, so that this file does not find itself.
    let forbidden = [["/ro", "ot/"], ["/wo", "rk/"], ["/ho", "me/"], ["file.", "//C:"]].map(|halves| halves.concat());
    for name in names {
        let Ok(text) = std::fs::read_to_string(root.join(name)) else { continue };
        for word in &forbidden {
            assert!(!text.contains(word.as_str()), "{name} holds {word}");
        }
    }
}
