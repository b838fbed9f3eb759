//! The commands as the README shows them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::Value;
use std::io::Write;
use std::process::{Command, Output, Stdio};

const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/lapsed.yaml");

fn lapsed(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lapsed"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that refuses its arguments doesn't read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// As `kcat -C -e -J` prints it; payload as text, the other time as JSON.
const RECORDS: &str = r#"{"topic":"web.events","partition":0,"offset":2,"tstype":"create","ts":1709300000000,"broker":1,"key":null,"payload":{"event":"login","at":1709300000}}
{"topic":"shop.public.orders","partition":0,"offset":1,"tstype":"create","ts":1709210000123,"broker":1,"key":"k","payload":"{\"op\":\"c\",\"after\":{\"customer_id\":4711,\"status\":\"paid\",\"placed_at\":1709210000000}}"}
{"topic":"elsewhere","partition":0,"offset":0,"tstype":"create","ts":1709210000123,"broker":1,"key":null,"payload":"x"}
"#;

#[test]
fn simulate_tells_what_would_leave() {
    let output = lapsed(&["simulate", "-c", CONFIG, "--until", "2027-01-01"], RECORDS);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let story: Vec<String> = lines(&output)
        .iter()
        .map(|event| {
            let data = &event["data"];
            let part = |name: &str| data[name].as_str().unwrap().to_owned();
            format!("{} {} {} {}", event["time"].as_str().unwrap(), part("policy"), part("command"), part("target"))
        })
        .collect();
    assert_eq!(
        story,
        [
            "2025-03-02T23:00:00Z newsletter expire mailing",
            "2026-01-31T23:00:00Z offers warn mailing",
            "2026-03-03T23:00:00Z offers anonymise crm",
            "2026-03-03T23:00:00Z offers anonymise mailing",
        ]
    );
    let told = stderr(&output);
    assert!(told.contains("line 1: rejected"), "{told}");
    assert!(told.contains("elsewhere"), "{told}");
}

#[test]
fn simulate_from_a_day_knows_no_history_before_what_a_topic_shows() {
    // Switched on after the order: its rule has history from the beginning, the policy's other sources too.
    let output = lapsed(&["simulate", "-c", CONFIG, "--from", "2026-06-01", "--until", "2026-06-02"], RECORDS);
    let times: Vec<_> = lines(&output).iter().map(|event| event["time"].as_str().unwrap().to_owned()).collect();
    assert_eq!(times, ["2026-05-31T22:00:00Z", "2026-05-31T22:00:00Z"], "one expires, one is warned, at once");
}

#[test]
fn extract_says_why() {
    let output = lapsed(&["extract", "-c", CONFIG], RECORDS);
    assert_eq!(output.status.code(), Some(0));
    let outcomes: Vec<_> = lines(&output).iter().map(|line| line["outcome"].as_str().unwrap().to_owned()).collect();
    assert_eq!(outcomes, ["rejected", "signals", "ignored"]);
}

#[test]
fn extract_shows_what_is_told_beyond_activity() {
    let record = r#"{"topic":"crm.events","partition":0,"offset":0,"ts":1709210000123,"payload":{"event":"case_opened","customer_id":4711,"case":"c7","reason":"dispute","until":"2024-12-31"}}"#;
    let output = lapsed(&["extract", "-c", CONFIG], record);
    let expected = serde_json::json!([{
        "customer": "4711", "hold": "c7", "until": "2024-12-31T23:00:00Z", "reason": "dispute", "policies": null,
        "time": "2024-02-29T12:33:21Z"
    }]);
    assert_eq!(lines(&output)[0]["signals"], expected);
}

#[test]
fn a_line_that_is_not_kcats_is_an_error_with_its_number() {
    for command in ["simulate", "extract"] {
        let output = lapsed(&[command, "-c", CONFIG], &format!("{RECORDS}not kcat\n"));
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("line 4"), "{}", stderr(&output));
    }
}

#[test]
fn the_example_is_without_fault_and_wrong_usage_exits_with_two() {
    assert_eq!(lapsed(&["check", "-c", CONFIG, "--no-environment"], "").status.code(), Some(0));
    assert_eq!(lapsed(&["check"], "").status.code(), Some(2));
    assert_eq!(lapsed(&["chekc"], "").status.code(), Some(2));
    assert_eq!(lapsed(&["check", "-c", "missing.yaml"], "").status.code(), Some(1));
    for command in COMMANDS.iter().filter(|command| **command != "help") {
        assert_eq!(lapsed(&[command, "--help"], "").status.code(), Some(0), "{command}");
    }
}

const COMMANDS: [&str; 23] = [
    "accept",
    "check",
    "completions",
    "demo",
    "due",
    "erase",
    "evidence",
    "explain",
    "extract",
    "forecast",
    "hold",
    "man",
    "reconcile",
    "release",
    "run",
    "schema",
    "simulate",
    "statement",
    "status",
    "stop",
    "topics",
    "unhold",
    "help",
];

#[test]
fn what_asks_a_service_says_what_it_lacks() {
    for command in [
        &["explain", "4711"][..],
        &["status"],
        &["forecast"],
        &["reconcile", "crm"],
        &["hold", "4711", "--id", "h", "--reason", "r"],
        &["due", "offers"],
        &["release", "offers", "--due-by", "2026-01-01", "--at-most", "1", "--reason", "r"],
    ] {
        let output = lapsed(command, "");
        assert_eq!(output.status.code(), Some(2), "{command:?}");
        let (lacks, why) =
            (if matches!(command[0], "due" | "release") { "--config" } else { "--url" }, stderr(&output));
        assert!(why.contains(lacks), "{why}");
    }
    let nobody = ["explain", "4711", "--url", "http://127.0.0.1:1"];
    let output = lapsed(&nobody, "");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("http://127.0.0.1:1 can't be asked"), "{}", stderr(&output));
    assert!(!stderr(&output).contains("4711"));
    let output = lapsed(&[&nobody[..], &["--token-file", "missing"]].concat(), "");
    assert!(stderr(&output).contains("the token cannot be read from missing"), "{}", stderr(&output));
}

#[test]
fn shells_and_readers_know_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = lapsed(&["completions", shell], "");
        assert_eq!(output.status.code(), Some(0), "{shell}");
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(COMMANDS.iter().all(|command| script.contains(command)), "{shell}");
    }
    let directory = tempfile::tempdir().unwrap();
    let output = lapsed(&["man", directory.path().to_str().unwrap()], "");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for command in COMMANDS.iter().filter(|command| **command != "help") {
        let page = std::fs::read_to_string(directory.path().join(format!("lapsed-{command}.1"))).unwrap();
        assert!(page.starts_with(".ie") && page.contains(".SH SYNOPSIS"), "{command}");
    }
}

#[test]
fn a_person_answers_for_one_doubt_of_a_source_there_is() {
    let text = std::fs::read_to_string(CONFIG).unwrap();
    let text = text.replace("${KAFKA_BOOTSTRAP_SERVERS}", "127.0.0.1:1").replace("file:/secrets/evidence.key", "a key");
    let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    std::fs::write(file.path(), text).unwrap();
    let config = file.path().to_str().unwrap();
    let accept = |rest: &[&str]| lapsed(&[&["accept", "-c", config], rest].concat(), "");
    let unknown = accept(&["nowhere", "--gap", "--reason", "r"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(stderr(&unknown).contains("there is no source 'nowhere'; there are: "), "{}", stderr(&unknown));
    for usage in [
        &["web", "--reason", "r"][..],
        &["web", "--gap"],
        &["web", "--gap", "--silence", "--reason", "r"],
        &["--gap", "--reason", "r"],
    ] {
        assert_eq!(accept(usage).status.code(), Some(2), "{usage:?}");
    }
}

#[test]
fn a_statement_goes_out_and_what_is_missing_is_remarked_beside_it() {
    let statement = |rest: &[&str]| lapsed(&[&["statement", "-c", CONFIG, "--lang", "nl"], rest].concat(), "");
    let notice = statement(&["--for", "notice"]);
    assert_eq!(notice.status.code(), Some(0), "{}", stderr(&notice));
    assert!(String::from_utf8(notice.stdout.clone()).unwrap().starts_with("## Hoe lang wij uw gegevens bewaren\n"));
    assert!(stderr(&notice).contains("remark: without a label in 'nl'"), "{}", stderr(&notice));
    assert_eq!(statement(&["--for", "notice"]).stdout, notice.stdout);
    let register = statement(&["--for", "register", "--format", "csv"]);
    assert_eq!(String::from_utf8(register.stdout).unwrap().lines().count(), 3);
    assert_eq!(statement(&["--for", "notice", "--format", "csv"]).status.code(), Some(2));
}

#[test]
fn the_demo_forgets_nobody_early_and_shows_a_broken_pipe() {
    let output = lapsed(&["demo", "--seconds", "0", "--years", "3", "--customers", "60"], "");
    let told = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
    for line in
        ["gate closed: web", "the pipe is mended", "Carla, moved away: anonymised at crm", "0 early, 0 sent twice"]
    {
        assert!(told.contains(line), "{line}\n{told}");
    }
    assert!(told.contains("Daan, returns once he is warned: recalled"), "{told}");
    assert!(!told.contains("Anna, logs in every day: warned"), "{told}");
}
