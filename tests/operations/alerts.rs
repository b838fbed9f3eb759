//! Every alert has a runbook and a unit test, and asks for metrics that exist.

use crate::{file, path, root, tool, yaml};
use lapsed::retention::gate::Doubt;
use lapsed::telemetry::metrics::Metrics;
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;

pub const RULES: &str = "deploy/prometheus/lapsed.rules.yaml";
const TESTS: &str = "deploy/prometheus/lapsed.rules.test.yaml";
const RUNBOOKS: &str = "docs/runbooks/README.md";

/// The metrics that an expression names, without what Prometheus adds to a histogram's.
pub fn metrics_in(expression: &str) -> BTreeSet<String> {
    let word = regex::Regex::new(r"\b(lapsed|process)_[a-z0-9_]+").unwrap();
    let histograms: Vec<String> =
        served().filter(|metric| metric.kind == "histogram").map(|metric| metric.name).collect();
    let plain = |name: &str| {
        let stem = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        stem.filter(|stem| histograms.iter().any(|histogram| histogram == stem)).unwrap_or(name).to_owned()
    };
    word.find_iter(expression).map(|found| plain(found.as_str())).collect()
}

pub fn served() -> impl Iterator<Item = lapsed::telemetry::metrics::Described> {
    Metrics::new().described().into_iter()
}

/// Fails for a metric that nobody serves, or a label that it doesn't have.
pub fn exists(expression: &str) {
    let found = metrics_in(expression);
    assert!(!found.is_empty(), "no metric in {expression}");
    for name in found {
        assert!(served().any(|metric| metric.name == name), "{name} in {expression}");
    }
}

fn alerts() -> Vec<Value> {
    let rules = yaml(&file(RULES));
    let groups = rules[0]["groups"].as_array().unwrap();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).cloned().collect()
}

fn promtool(arguments: &[&str]) {
    let output = Command::new(tool("promtool")).args(arguments).current_dir(root()).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "promtool {arguments:?}: {text}");
}

#[test]
fn prometheus_accepts_the_rules() {
    promtool(&["check", "rules", "--lint-fatal", RULES]);
}

#[test]
fn alerts_fire_when_they_should_and_not_before() {
    promtool(&["test", "rules", TESTS]);
}

#[test]
fn each_alert_has_a_runbook_and_a_test_that_sees_it_fire_and_not_fire() {
    let tests = yaml(&file(TESTS));
    let cases: Vec<&Value> = tests[0]["tests"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|test| test["alert_rule_test"].as_array().unwrap())
        .collect();
    let runbooks = file(RUNBOOKS);
    let alerts = alerts();
    for alert in &alerts {
        let name = alert["alert"].as_str().unwrap();
        let of_it = || cases.iter().filter(|case| case["alertname"] == name);
        let fires = |case: &&&Value| case["exp_alerts"].as_array().is_some_and(|expected| !expected.is_empty());
        assert!(of_it().any(|case| fires(&case)), "no test sees {name} fire");
        assert!(of_it().any(|case| !fires(&case)), "no test sees {name} keep still");
        let url = alert["annotations"]["runbook_url"].as_str().unwrap();
        assert_eq!(url, format!("{RUNBOOKS}#{}", name.to_lowercase()));
        let section =
            runbooks.split(&format!("\n## {name}\n")).nth(1).unwrap_or_else(|| panic!("no runbook for {name}"));
        let section = section.split("\n## ").next().unwrap();
        let severity = alert["labels"]["severity"].as_str().unwrap();
        let severity = format!("*{}{}.*", severity[..1].to_uppercase(), &severity[1..]);
        for part in [severity.as_str(), "**Look at**", "**Do**", "**Don't**"] {
            assert!(section.contains(part), "the runbook of {name} lacks {part}");
        }
        exists(alert["expr"].as_str().unwrap());
    }
    let headings: BTreeSet<&str> = runbooks.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let names: BTreeSet<&str> = alerts.iter().map(|alert| alert["alert"].as_str().unwrap()).collect();
    assert_eq!(headings, names, "a runbook without an alert");
}

/// Lateness wakes nobody.
#[test]
fn no_alert_pages() {
    for alert in alerts() {
        let severity = alert["labels"]["severity"].as_str().unwrap();
        assert!(["ticket", "critical"].contains(&severity), "{alert}");
    }
}

#[test]
fn every_doubt_is_explained() {
    let runbooks = file(RUNBOOKS);
    for doubt in Doubt::NAMES {
        assert!(runbooks.contains(&format!("| `{doubt}` |")), "{doubt}");
    }
}

#[test]
fn runbooks_and_metrics_name_what_exists() {
    for page in [RUNBOOKS, "docs/metrics.md"] {
        assert!(path(page).exists(), "{page}");
        exists(&file(page));
    }
}
