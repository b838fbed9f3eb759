//! Starting on Apache Kafka: what is missing or wrong is named, with what to do, and nothing starts.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;
#[path = "support/tools/mod.rs"]
mod tools;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use support::broker::{bootstrap, create_topic, create_topic_with, unique};

struct Application {
    name: String,
    directory: tempfile::TempDir,
    port: u16,
}

impl Application {
    fn new(bootstrap: &str) -> Application {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let application = Application { name: unique("start"), directory: tempfile::tempdir().unwrap(), port };
        std::fs::write(application.file(), application.yaml(bootstrap, 4)).unwrap();
        application
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("lapsed.yaml")
    }

    fn yaml(&self, bootstrap: &str, partitions: u32) -> String {
        let (name, port) = (&self.name, self.port);
        format!(
            "application: {name}
time_zone: Europe/Amsterdam
kafka: {{bootstrap.servers: '{bootstrap}'}}
evidence: {{key: a key of this test only}}
http: {{listen: '127.0.0.1:{port}'}}
topics: {{partitions: {partitions}, replication_factor: 1}}
sources:
  web: {{topics: [{name}.web], customer: /user, time: /at, max_silence: P1D, rules: [{{activity: login}}]}}
targets: {{crm: {{topic: {name}.crm, acknowledge_within: P3D}}}}
policies:
  offers:
    purpose: {{en: Relevant offers until two years after your last visit}}
    lawful_basis: contract
    categories: [email]
    since_last: [login]
    stages: [{{after: P2Y, command: expire}}]
    targets: [crm]
    review_by: 2099-01-01
"
        )
    }

    fn lapsed(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lapsed"));
        command.args(arguments).arg("-c").arg(self.file()).output().unwrap()
    }

    fn refusal(&self) -> String {
        let output = self.lapsed(&["run"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: lapsed\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        Some((status, answer))
    }

    fn until(&self, path: &str, wanted: impl Fn(u16, &str) -> bool) -> String {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            match self.get(path) {
                Some((status, answer)) if wanted(status, &answer) => return answer,
                last => assert!(Instant::now() < deadline, "{path}: {last:?}"),
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// As promtool lints names, kinds and help texts.
fn prometheus_has_nothing_to_complain_about(answer: &str) {
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let mut promtool = Command::new(tools::tool("promtool"));
    let mut child = promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(body.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}\n{body}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn missing_topics_are_named_and_made() {
    let application = Application::new(&bootstrap());
    let refusal = application.refusal();
    for name in ["signals", "state", "audit", "acks", "rejects"] {
        let line = format!("topic {}.{name} is missing: make it with `lapsed topics --create`", application.name);
        assert!(refusal.contains(&line), "{refusal}");
    }
    assert!(refusal.contains(&format!("{}.crm is missing: whoever runs the target", application.name)), "{refusal}");
    create_topic(&bootstrap(), &format!("{}.crm", application.name), 1);
    create_topic(&bootstrap(), &format!("{}.web", application.name), 1);
    let made = application.lapsed(&["topics", "--create"]);
    assert!(made.status.success(), "{made:?}");
    assert!(application.lapsed(&["topics"]).status.success(), "what it makes is what it wants");
}

#[test]
fn a_wrong_topic_is_refused_with_what_is_wrong() {
    let application = Application::new(&bootstrap());
    let topic = |name: &str| format!("{}.{name}", application.name);
    create_topic_with(&bootstrap(), &topic("signals"), 3, &[("retention.ms", "1000")]);
    create_topic_with(&bootstrap(), &topic("state"), 4, &[("cleanup.policy", "delete")]);
    create_topic_with(&bootstrap(), &topic("audit"), 1, &[]);
    let refusal = application.refusal();
    for fault in [
        "has 3 partitions, and topics.partitions is 4",
        "has message.timestamp.type=CreateTime, and needs LogAppendTime",
        "has retention.ms=1000, and needs -1",
        "has cleanup.policy=delete, and needs compact",
        // A week, and evidence.keep is five years.
        "has retention.ms=604800000, and needs at least 160704000000",
    ] {
        assert!(refusal.contains(fault), "{fault}\n{refusal}");
    }
}

#[test]
fn brokers_that_do_not_answer_are_named() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let application = Application::new(&nobody.to_string());
    let refusal = application.refusal();
    assert!(refusal.contains(&format!("no broker answered at {nobody}")), "{refusal}");
    assert!(refusal.contains("check kafka: bootstrap.servers"), "{refusal}");
}

#[test]
fn health_and_metrics_are_served_and_a_stop_is_graceful() {
    let application = Application::new(&bootstrap());
    create_topic(&bootstrap(), &format!("{}.crm", application.name), 1);
    create_topic(&bootstrap(), &format!("{}.web", application.name), 1);
    assert!(application.lapsed(&["topics", "--create"]).status.success());
    let mut command = Command::new(env!("CARGO_BIN_EXE_lapsed"));
    command.args(["run", "-c"]).arg(application.file()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut running = Running(command.env("HOSTNAME", "pod-0").spawn().unwrap());
    application.until("/livez", |status, _| status == 200);
    application.until("/readyz", |status, _| status == 200);
    // The gate shows once the shards have heard of the source; nobody has ever been active, so it is closed.
    for name in [
        "lapsed_shards{state=\"running\"} 4",
        "lapsed_gate_open{source=\"web\"} 0",
        "lapsed_gate_doubt{doubt=\"silent\",source=\"web\"} 1",
        "lapsed_due_unsent{policy=\"offers\"} 0",
        "lapsed_oldest_due_age_seconds{policy=\"offers\"} 0",
        "lapsed_oldest_open_request_seconds 0",
        "lapsed_brake_engaged{policy=\"offers\"} 0",
        "lapsed_commands_unacknowledged{target=\"crm\"} 0",
        "lapsed_customers{policy=\"offers\",stage=\"none\"} 0",
        "lapsed_customers_without_starting_point 0",
        "lapsed_customers_uncovered 0",
        "lapsed_policy_review_timestamp_seconds{policy=\"offers\"} 4070908800",
        "lapsed_records_total{outcome=\"signals\",source=\"web\"} 0",
        "lapsed_acknowledgements_unknown_total{target=\"crm\"} 0",
        "lapsed_transactions_total{outcome=\"committed\"}",
        "lapsed_transaction_seconds_count",
        "lapsed_table_bytes",
        "lapsed_config_last_reload_successful 1",
        "lapsed_build_info",
    ] {
        application.until("/metrics", |_, text| text.contains(name));
    }
    prometheus_has_nothing_to_complain_about(&application.get("/metrics").unwrap().1);
    assert_eq!(application.get("/nothing").unwrap().0, 404);
    // A file that is wrong leaves the old one in force, and shows.
    std::fs::write(application.file(), "time_zone: Nowhere/Land").unwrap();
    let hup = Command::new("kill").args(["-s", "HUP", &running.0.id().to_string()]).status().unwrap();
    assert!(hup.success());
    application.until("/metrics", |_, text| text.contains("lapsed_config_last_reload_successful 0"));
    let term = Command::new("kill").args(["-s", "TERM", &running.0.id().to_string()]).status().unwrap();
    assert!(term.success());
    let begun = Instant::now();
    let status = running.0.wait().unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(20), "it took {:?} to stop", begun.elapsed());
}
