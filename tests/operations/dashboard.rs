//! Every query of the dashboard parses and asks for metrics and labels that exist.

use crate::alerts::{exists, metrics_in, served};
use crate::{file, tool};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::Command;

const DASHBOARD: &str = "deploy/grafana/lapsed.json";

fn dashboard() -> Value {
    serde_json::from_str(&file(DASHBOARD)).unwrap()
}

fn panels(dashboard: &Value) -> Vec<&Value> {
    dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row").collect()
}

/// Query and legend, with the dashboard's variables filled in.
fn queries(dashboard: &Value) -> Vec<(String, String)> {
    let targets = panels(dashboard).into_iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let text = |value: &Value| value.as_str().unwrap().replace("$namespace", ".*").replace("$job", ".*");
    targets.map(|target| (text(&target["expr"]), text(&target["legendFormat"]))).collect()
}

#[test]
fn queries_parse() {
    let dashboard = dashboard();
    let rules: Vec<Value> = (0..)
        .zip(queries(&dashboard))
        .map(|(number, (query, _))| json!({"record": format!("query:{number}"), "expr": query}))
        .collect();
    assert!(rules.len() > 20);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), json!({"groups": [{"name": "dashboard", "rules": rules}]}).to_string()).unwrap();
    let output = Command::new(tool("promtool")).args(["check", "rules"]).arg(file.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn queries_ask_for_what_exists() {
    let grouping = regex::Regex::new(r"by \(([^)]*)\)").unwrap();
    let legend = regex::Regex::new(r"\{\{([a-z]+)\}\}").unwrap();
    for (query, format) in queries(&dashboard()) {
        exists(&query);
        let asked = metrics_in(&query);
        let mut labels: BTreeSet<String> =
            served().filter(|metric| asked.contains(&metric.name)).flat_map(|metric| metric.labels).collect();
        // What Prometheus and Kubernetes add.
        labels.extend(["pod", "instance", "le"].map(str::to_owned));
        let grouped = grouping
            .captures_iter(&query)
            .flat_map(|found| found[1].split(", ").map(str::to_owned).collect::<Vec<_>>());
        let shown = legend.captures_iter(&format).map(|found| found[1].to_owned());
        for label in grouped.chain(shown) {
            assert!(labels.contains(&label), "{label} in {query} {format}");
        }
    }
}

/// What an operator must be able to see.
#[test]
fn every_gauge_of_the_design_is_on_it() {
    let shown: BTreeSet<String> = queries(&dashboard()).iter().flat_map(|(query, _)| metrics_in(query)).collect();
    for name in [
        "lapsed_due_unsent",
        "lapsed_oldest_due_age_seconds",
        "lapsed_oldest_open_request_seconds",
        "lapsed_gate_open",
        "lapsed_gate_doubt",
        "lapsed_gate_lag_seconds",
        "lapsed_last_activity_timestamp_seconds",
        "lapsed_brake_engaged",
        "lapsed_commands_total",
        "lapsed_acknowledgements_total",
        "lapsed_commands_unacknowledged",
        "lapsed_records_total",
        "lapsed_customers",
        "lapsed_policy_review_timestamp_seconds",
    ] {
        assert!(shown.contains(name), "{name}");
    }
}

#[test]
fn panels_have_their_place_and_say_what_they_show() {
    let dashboard = dashboard();
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "an id stands twice: {panel}");
        let place = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(place("x") + place("w") <= 24, "{panel}");
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(taken.insert((x, y)), "{} lies over another", panel["title"]);
            }
        }
    }
    for panel in panels(&dashboard) {
        assert!(panel["description"].as_str().is_some_and(|text| text.ends_with('.')), "{panel}");
    }
}
