//! The example of a target does what its page says.

use crate::{file, pages, root};
use lapsed::retention::calendar::Timestamp;
use lapsed::retention::customer::AckResult;
use lapsed::wire::acknowledgement::decode;
use serde_json::{Value, json};
use std::process::{Command, Output};
use std::time::SystemTime;

#[test]
fn the_page_shows_the_example_as_it_is() {
    let pages = pages();
    let page = pages.iter().find(|page| page.path == "docs/targets.md").unwrap();
    let shown: Vec<&str> =
        page.blocks.iter().filter(|block| block.language == "python").map(|block| block.text.as_str()).collect();
    assert_eq!(shown, [file("config/target-example.py")]);
}

/// Kafka's client, played: it hands out the lines of `commands`, and writes down what is answered and committed.
const CLIENT: &str = r#"
import os, sys
class Message:
    def __init__(self, line): self.line = line
    def error(self): return None
    def key(self): return b"4711"
    def value(self): return self.line
class Consumer:
    def __init__(self, settings):
        assert settings["isolation.level"] == "read_committed" and settings["enable.auto.commit"] is False, settings
        self.lines = open("commands", "rb").read().splitlines()
    def subscribe(self, topics): print("reads", *topics)
    def poll(self, seconds):
        if not self.lines: sys.exit(0)
        return Message(self.lines.pop(0))
    def commit(self, message, asynchronous): print("commits")
class Producer:
    def __init__(self, settings): pass
    def produce(self, topic, key, value): print("answers", topic, value)
    def flush(self): print("flushed")
"#;

fn now() -> chrono::DateTime<chrono::Utc> {
    SystemTime::now().into()
}

fn command(id: &str, attempt: u32, expires_in_seconds: Option<i64>) -> Value {
    let expiry = expires_in_seconds.map(|seconds| now() + chrono::Duration::seconds(seconds));
    let expiry = expiry.map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
    json!({
        "specversion": "1.0", "id": id, "type": "lapsed.command.expire.v1", "expirytime": expiry,
        "data": {"customer": "4711", "target": "crm", "command": "expire", "categories": ["email"], "recalls": null,
                 "attempt": attempt},
    })
}

fn obeys(commands: &[Value]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("confluent_kafka.py"), CLIENT).unwrap();
    let lines: Vec<String> = commands.iter().map(Value::to_string).collect();
    std::fs::write(directory.path().join("commands"), lines.join("\n")).unwrap();
    Command::new("python3")
        .arg(root().join("config/target-example.py"))
        .args(["localhost:9092", "crm.commands", "lapsed.acks"])
        .current_dir(directory.path())
        .env("PYTHONPATH", directory.path())
        .output()
        .unwrap()
}

#[test]
fn it_obeys_once_answers_each_attempt_and_lets_what_is_late_pass() {
    let [first, second, third] = [1, 2, 3].map(|number| format!("6ba7b810-9dad-11d1-80b4-00c04fd430c{number}"));
    let output = obeys(&[
        command(&first, 1, Some(3600)),
        command(&first, 2, Some(3600)),
        command(&second, 1, Some(-1)),
        command(&third, 1, None),
    ]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8(output.stdout).unwrap();
    let told: Vec<&str> = told.lines().collect();
    let count = |line: &str| told.iter().filter(|told| told.starts_with(line)).count();
    assert_eq!((told[0], count("expire 4711"), count("commits")), ("reads crm.commands", 2, 4), "{told:?}");
    let answers: Vec<&str> = told.iter().filter_map(|line| line.strip_prefix("answers lapsed.acks ")).collect();
    let appended = Timestamp(now().timestamp());
    let answered: Vec<(String, u32)> = answers
        .iter()
        .map(|answer| {
            let (customer, answer) = decode(answer.as_bytes(), appended, chrono_tz::Tz::UTC).unwrap();
            assert_eq!((customer.as_str(), answer.target.as_str(), answer.result), ("4711", "crm", AckResult::Done));
            (answer.command.to_string(), answer.attempt)
        })
        .collect();
    assert_eq!(answered, [(first.clone(), 1), (first, 2), (third, 1)]);
}
