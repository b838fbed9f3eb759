//! Image and compose file: neither can be built here, so what can be seen of them is.

use crate::{file, path, root, tool, yaml};
use lapsed::config::Environment;
use lapsed::config::load::load;
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;

const DOCKERFILE: &str = "deploy/docker/Dockerfile";
const COMPOSE: &str = "deploy/compose/compose.yaml";

#[test]
fn hadolint_finds_nothing() {
    let output = Command::new(tool("hadolint")).arg(path(DOCKERFILE)).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// What the build stage copies from the repository.
fn copied() -> Vec<String> {
    let text = file(DOCKERFILE);
    let lines = text.lines().filter_map(|line| line.strip_prefix("COPY ")).filter(|line| !line.starts_with("--from"));
    lines
        .flat_map(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>())
        .filter(|name| name != "./" && path(name).exists())
        .collect()
}

#[test]
fn the_image_runs_as_nobody_in_particular() {
    let text = file(DOCKERFILE);
    let last = text.rsplit("\nFROM ").next().unwrap();
    assert_eq!(text.matches("\nFROM ").count(), 2, "one stage builds, one runs");
    assert!(
        last.contains("\nUSER 65532:65532\n") && last.contains("\nENTRYPOINT [\"/usr/local/bin/lapsed\"]\n"),
        "{last}"
    );
    assert!(!last.contains("cargo") && !last.contains("gcc"), "{last}");
    let chart = file("deploy/helm/lapsed/templates/statefulset.yaml");
    assert!(chart.contains("runAsUser: 65532"));
    let version =
        file("Cargo.toml").lines().find_map(|line| line.strip_prefix("rust-version = ").map(str::to_owned)).unwrap();
    assert!(
        text.contains(&format!("FROM rust:{}-", version.trim_matches('"'))),
        "the toolchain that Cargo.toml asks for"
    );
}

/// The build stage has all that `cargo build` reads: Cargo accepts the manifest, and no source file reaches
/// for what was left behind.
#[test]
fn the_build_has_what_it_needs() {
    let place = tempfile::tempdir().unwrap();
    for name in copied() {
        let copied = Command::new("cp").arg("-r").arg(path(&name)).arg(place.path()).status().unwrap();
        assert!(copied.success());
    }
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--no-deps"])
        .current_dir(place.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let included = regex::Regex::new(r#"include_(?:str|bytes)!\("([^"]+)"\)"#).unwrap();
    let mut stack = vec![place.path().join("src"), place.path().join("bench")];
    let mut seen = 0;
    while let Some(entry) = stack.pop() {
        if entry.is_dir() {
            stack.extend(std::fs::read_dir(&entry).unwrap().map(|entry| entry.unwrap().path()));
        } else if entry.extension().is_some_and(|extension| extension == "rs") && !entry.ends_with("tests.rs") {
            let text = std::fs::read_to_string(&entry).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            for found in included.captures_iter(code) {
                seen += 1;
                assert!(entry.parent().unwrap().join(&found[1]).exists(), "{}: {}", entry.display(), &found[1]);
            }
        }
    }
    assert!(seen > 3);
    let ignore = file(&format!("{DOCKERFILE}.dockerignore"));
    let kept: BTreeSet<&str> = ignore.lines().filter_map(|line| line.strip_prefix('!')).collect();
    assert_eq!(
        kept,
        copied().iter().map(String::as_str).collect(),
        "what is copied, and no more, is sent to the builder"
    );
}

#[test]
fn the_compose_file_is_one() {
    let schema: Value = serde_json::from_str(&file("tests/schemas/compose-spec.json")).unwrap();
    let mut compose = yaml(&file(COMPOSE)).remove(0);
    merge_keys(&mut compose);
    let validator = jsonschema::validator_for(&schema).unwrap();
    let faults: Vec<String> =
        validator.iter_errors(&compose).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(faults.is_empty(), "{faults:#?}");
    let services = compose["services"].as_object().unwrap();
    for (name, service) in services {
        let needs = &service["depends_on"];
        let names: Vec<&str> = match needs {
            Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
            Value::Object(all) => all.keys().map(String::as_str).collect(),
            _ => Vec::new(),
        };
        assert!(names.iter().all(|needed| services.contains_key(*needed)), "{name} waits for nobody");
        for volume in service["volumes"].as_array().into_iter().flatten() {
            let from = volume.as_str().unwrap().split(':').next().unwrap();
            assert!(path("deploy/compose").join(from).exists(), "{name} mounts {from}");
        }
        for port in service["ports"].as_array().into_iter().flatten() {
            assert!(port.as_str().unwrap().starts_with("127.0.0.1:"), "{name} is open to others: {port}");
        }
    }
    assert_eq!(services["lapsed"]["environment"]["KAFKA_BOOTSTRAP_SERVERS"], "kafka:9092");
}

/// `<<: *anchor`, as compose reads it.
fn merge_keys(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::Object(merged)) = map.remove("<<") {
                for (key, value) in merged {
                    map.entry(key).or_insert(value);
                }
            }
            map.values_mut().for_each(merge_keys);
        }
        Value::Array(all) => all.iter_mut().for_each(merge_keys),
        _ => {}
    }
}

#[test]
fn what_compose_mounts_is_valid() {
    let today = chrono::NaiveDate::from_ymd_opt(2026, 11, 24).unwrap();
    load(&[path("deploy/compose/lapsed.yaml")], Environment::Leave, today).unwrap();
    let quick = file("config/quick.yaml");
    let (_, rest) = quick.split_once("sources:").unwrap();
    assert!(file("deploy/compose/lapsed.yaml").ends_with(rest), "it follows config/quick.yaml");
    let prometheus = tempfile::tempdir().unwrap();
    for (name, to) in
        [("deploy/compose/prometheus.yaml", "prometheus.yml"), (crate::alerts::RULES, "lapsed.rules.yaml")]
    {
        std::fs::copy(path(name), prometheus.path().join(to)).unwrap();
    }
    let output = Command::new(tool("promtool"))
        .args(["check", "config"])
        .arg(prometheus.path().join("prometheus.yml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for name in ["grafana-datasources.yaml", "grafana-dashboards.yaml"] {
        assert_eq!(yaml(&file(&format!("deploy/compose/{name}")))[0]["apiVersion"], 1, "{name}");
    }
    assert!(root().join("deploy/grafana/lapsed.json").exists());
}
