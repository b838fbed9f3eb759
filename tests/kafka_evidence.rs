//! Evidence on Apache Kafka: what was committed is told, to the end as of the start, and nothing else.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use lapsed::retention::calendar::Timestamp;
use lapsed::retention::command::{Cause, Verb};
use lapsed::retention::customer::AckResult;
use lapsed::retention::decide::Answered;
use lapsed::retention::policy::Action;
use lapsed::retention::pseudonym::PseudonymKey;
use lapsed::wire::audit::{Acknowledged, Entry, Sent, Since, encode};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;
use support::broker::{bootstrap, create_topic, unique};
use uuid::Uuid;

const KEY: &str = "a key of this test only";
const PATIENCE: Duration = Duration::from_secs(30);

fn at(text: &str) -> Timestamp {
    Timestamp(chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp())
}

struct Application {
    name: String,
    directory: tempfile::TempDir,
}

impl Application {
    fn new() -> Application {
        let application = Application { name: unique("evidence"), directory: tempfile::tempdir().unwrap() };
        let (name, bootstrap) = (&application.name, bootstrap());
        let yaml = format!(
            "application: {name}
time_zone: Europe/Amsterdam
kafka: {{bootstrap.servers: '{bootstrap}'}}
evidence: {{key: {KEY}}}
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
        );
        std::fs::write(application.file(), yaml).unwrap();
        application
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("lapsed.yaml")
    }

    fn topic(&self) -> String {
        format!("{}.audit", self.name)
    }

    fn evidence(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lapsed"));
        command.args(["evidence", "-c"]).arg(self.file()).args(arguments).output().unwrap()
    }

    fn told(&self, arguments: &[&str]) -> String {
        let output = self.evidence(arguments);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// With a transaction if it has a name.
    fn producer(&self, transaction: Option<&str>) -> ThreadedProducer<DefaultProducerContext> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", bootstrap()).set("enable.idempotence", "true");
        if let Some(transaction) = transaction {
            config.set("transactional.id", format!("{}-{transaction}", self.name));
        }
        let producer: ThreadedProducer<DefaultProducerContext> = config.create().unwrap();
        if transaction.is_some() {
            producer.init_transactions(PATIENCE).unwrap();
            producer.begin_transaction().unwrap();
        }
        producer
    }

    fn write(&self, producer: &ThreadedProducer<DefaultProducerContext>, customer: &str, time: &str, entry: &Entry) {
        let key = PseudonymKey::derive(KEY).of(customer.as_bytes()).to_string();
        let mut value = Vec::new();
        encode(entry, at(time), &mut value);
        producer.send(BaseRecord::to(&self.topic()).key(&key).payload(&value)).map_err(|(error, _)| error).unwrap();
        producer.flush(PATIENCE).unwrap();
    }
}

fn expire(number: u128) -> Entry {
    Entry::Sent(Sent {
        id: Uuid::from_u128(number),
        attempt: 1,
        command: Verb::Act(Action::Expire),
        target: "crm".to_owned(),
        cause: Cause::Period,
        policy: "offers".to_owned(),
        policy_version: "9f0c".to_owned(),
        categories: vec!["email".to_owned()],
        kept: Vec::new(),
        since: Since { kind: "login".to_owned(), date: "2024-02-29".to_owned() },
        deadline: "2026-03-01T00:00:00+01:00".to_owned(),
        deferred_by: None,
        next: None,
        recalls: None,
        expirytime: Some(at("2026-03-08T08:00:00Z")),
    })
}

fn done(number: u128) -> Entry {
    let at = at("2026-03-05T09:00:00Z");
    Entry::Acknowledged(Acknowledged {
        command: Uuid::from_u128(number),
        attempt: 1,
        target: "crm".to_owned(),
        result: AckResult::Done,
        executed: at,
        appended: at,
        answers: Answered::Command,
    })
}

#[test]
fn what_was_committed_is_told_and_can_be_checked() {
    let application = Application::new();
    let missing = application.evidence(&["anna-4711"]);
    assert_eq!(missing.status.code(), Some(1));
    let refusal = String::from_utf8(missing.stderr).unwrap();
    assert!(refusal.contains(&format!("topic {} is missing", application.topic())), "{refusal}");

    create_topic(&bootstrap(), &application.topic(), 3);
    let period = ["--policy", "offers", "--from", "2026-03-01", "--to", "2026-03-31"];
    assert_eq!(application.evidence(&period).status.code(), Some(1), "an empty topic has an end, too");

    let plain = application.producer(None);
    application.write(&plain, "anna-4711", "2026-03-05T08:00:00Z", &expire(1));
    let committed = application.producer(Some("committed"));
    application.write(&committed, "anna-4711", "2026-03-05T09:00:01Z", &done(1));
    application.write(&committed, "bas-4712", "2026-03-06T09:00:01Z", &expire(2));
    committed.commit_transaction(PATIENCE).unwrap();
    // Each partition ends with what never was: the end lies behind the last record there is to read.
    let aborted = application.producer(Some("aborted"));
    for number in 10..40 {
        application.write(&aborted, &format!("nobody-{number}"), "2026-03-06T09:00:01Z", &expire(number));
    }
    application.write(&aborted, "bas-4712", "2026-03-06T09:00:01Z", &done(2));
    aborted.abort_transaction(PATIENCE).unwrap();

    let told = application.told(&["anna-4711"]);
    for part in [
        "2026-03-05T09:00:00+01:00  expire sent to crm (00000000-0000-0000-0000-000000000001)",
        "because its period has run out: since login on 2024-02-29, deadline 2026-03-01T00:00:00+01:00",
        "2026-03-05T10:00:01+01:00  crm answered done",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
    let document: serde_json::Value = serde_json::from_str(&application.told(&["bas-4712", "--json"])).unwrap();
    assert_eq!(document["entries"].as_array().unwrap().len(), 1, "the answer was never committed");
    let unknown = application.evidence(&["nobody-10"]);
    assert_eq!(unknown.status.code(), Some(1));

    let certificate = application.told(&period);
    assert!(!certificate.contains("anna") && !certificate.contains("bas"), "{certificate}");
    let file = application.directory.path().join("certificate.txt");
    std::fs::write(&file, &certificate).unwrap();
    let check = certificate.lines().last().unwrap().strip_prefix("to check it: ").unwrap();
    let checked = Command::new("sh").args(["-c", &check.replace("FILE", file.to_str().unwrap())]).output().unwrap();
    let hash = String::from_utf8(checked.stdout).unwrap()[..64].to_owned();
    assert!(certificate.contains(&format!("SHA-256 of these 2 lines: {hash}")), "{hash}\n{certificate}");
    let document: serde_json::Value =
        serde_json::from_str(&application.told(&[&period[..], &["--json"]].concat())).unwrap();
    assert_eq!(document["sha256"], hash.as_str());
    assert_eq!(
        document["counts"][0],
        serde_json::json!({"target": "crm", "command": "expire", "sent": 2, "done": 1, "retained": 0, "failed": 0,
                           "recalled": 0, "unanswered": 0, "outstanding": 1})
    );

    let backwards = ["--policy", "offers", "--from", "2026-03-31", "--to", "2026-03-01"];
    assert_eq!(application.evidence(&backwards).status.code(), Some(2));
    assert_eq!(application.evidence(&["--policy", "offers"]).status.code(), Some(2));
    assert_eq!(application.evidence(&[]).status.code(), Some(2));
}
