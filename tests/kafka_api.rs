//! The API of two instances on Apache Kafka: whichever is asked, the owner answers; what is told arrives, and is
//! audited.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use lapsed::wire::partition::shard_of;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use support::service::{Application, PARTITIONS, now_ms, read_committed};

const PATIENCE: Duration = Duration::from_secs(90);
const DESK: &str = "the secret of the desk";
const PRIVACY: &str = "the secret of the privacy officer";

fn yaml(name: &str, bootstrap: &str, listen: &str, desk: &Path) -> String {
    format!(
        "application: {name}
time_zone: Europe/Amsterdam
kafka: {{bootstrap.servers: '{bootstrap}', session.timeout.ms: 6000, heartbeat.interval.ms: 1000}}
evidence: {{key: a key of this test only}}
http: {{listen: '{listen}', tokens: {{desk: {{secret: 'file:{desk}', may: look_up}}, privacy: {{secret: {PRIVACY}, may: operate}}}}}}
topics: {{partitions: {PARTITIONS}, replication_factor: 1}}
sources:
  shop:
    topics: [{name}.activity]
    customer: /customer
    time: /at
    history_from: beginning
    max_silence: P30D
    rules: [{{when: {{/event: seen}}, activity: seen}}]
targets:
  crm: {{topic: {name}.crm, acknowledge_within: P3D}}
  mailing: {{topic: {name}.mailing, acknowledge_within: P3D}}
policies:
  offers:
    purpose: {{en: Offers that fit until a year after the last visit, nl: Passende aanbiedingen tot een jaar na het laatste bezoek}}
    lawful_basis: legitimate_interest
    interest: {{en: keeping customers}}
    categories: [email, name]
    since_last: [seen]
    stages: [{{after: P1Y, command: expire}}]
    targets: [crm, mailing]
    mode: enforce
    review_by: 2099-01-01
",
        desk = desk.display()
    )
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

struct Scene {
    application: Application,
    addresses: [String; 2],
    directory: tempfile::TempDir,
}

impl Scene {
    fn token(&self, name: &str, secret: &str) -> PathBuf {
        let file = self.directory.path().join(name);
        std::fs::write(&file, format!("{secret}\n")).unwrap();
        file
    }

    /// Asks an instance on the command line.
    fn lapsed(&self, instance: usize, arguments: &[&str], input: &str) -> Output {
        let operates = matches!(arguments[0], "hold" | "unhold" | "erase" | "release" | "stop");
        let token = if operates { self.token("privacy", PRIVACY) } else { self.token("desk", DESK) };
        let mut child = Command::new(env!("CARGO_BIN_EXE_lapsed"))
            .args(arguments)
            .env("LAPSED_URL", format!("http://{}", self.addresses[instance]))
            .arg("--token-file")
            .arg(token)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that takes no input doesn't read.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    fn told(&self, instance: usize, arguments: &[&str]) -> String {
        let output = self.lapsed(instance, arguments, "");
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, instance: usize, arguments: &[&str]) -> Value {
        let arguments = [arguments, &["--json"]].concat();
        serde_json::from_str(&self.told(instance, &arguments)).unwrap()
    }

    fn status(&self, instance: usize) -> Value {
        let output = self.lapsed(instance, &["status", "--json"], "");
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    fn see(&self, customers: &[String], at_ms: i64) {
        let producer: ThreadedProducer<_> =
            ClientConfig::new().set("bootstrap.servers", &self.application.bootstrap).create().unwrap();
        let topic = self.application.topic("activity");
        for customer in customers {
            let payload = json!({"customer": customer, "event": "seen", "at": at_ms}).to_string();
            producer.send(BaseRecord::<(), _>::to(&topic).payload(&payload)).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(Duration::from_secs(20)).unwrap();
    }

    fn audit(&self) -> Vec<(String, Value)> {
        let told = |(key, value): (String, String)| (key, serde_json::from_str(&value).unwrap());
        let topic = self.application.topic("audit");
        read_committed(&self.application.bootstrap, &topic, PATIENCE).into_iter().map(told).collect()
    }
}

fn until<T>(found: impl FnMut() -> Result<T, String>) -> T {
    support::service::until(PATIENCE, found)
}

fn with_listen(scene: &Scene, name: &str, listen: &str) -> PathBuf {
    let file = scene.directory.path().join(name);
    let desk = scene.directory.path().join("desk.secret");
    std::fs::write(&file, yaml(&scene.application.name, &scene.application.bootstrap, listen, &desk)).unwrap();
    file
}

const DAY_MS: i64 = 86_400_000;

#[test]
fn two_instances_answer_as_one() {
    let addresses = [free_address(), free_address()];
    let directory = tempfile::tempdir().unwrap();
    let (first, desk) = (addresses[0].clone(), directory.path().join("desk.secret"));
    std::fs::write(&desk, DESK).unwrap();
    let application =
        Application::new(&support::broker::bootstrap(), |name, bootstrap| yaml(name, bootstrap, &first, &desk));
    application.create_topics();
    let scene = Scene { application, addresses, directory };
    let customers: Vec<String> = (0..24).map(|number| format!("marked-{number}")).collect();
    let shards: BTreeSet<u32> =
        customers.iter().map(|customer| shard_of(customer.as_bytes(), PARTITIONS.unsigned_abs())).collect();
    assert_eq!(shards.len(), 4);
    // 25 to 335 days ago: all fall due within a year.
    for (place, customer) in customers.iter().enumerate() {
        scene.see(std::slice::from_ref(customer), now_ms() - (25 + 13 * place as i64) * DAY_MS);
    }
    let old: Vec<String> = (0..8).map(|number| format!("marked-old-{number}")).collect();
    scene.see(&old, now_ms() - 800 * DAY_MS);
    let instances = [0, 1].map(|instance| {
        let file = with_listen(&scene, &format!("{instance}.yaml"), &scene.addresses[instance]);
        scene.application.start_with(&format!("pod-{instance}"), &file)
    });
    until(|| {
        let seen = [0, 1].map(|instance| scene.status(instance));
        let whole =
            |status: &Value| status["shards"] == 4 && status["customers"] == 32 && status["sources"][0]["open"] == true;
        let backlog = |status: &Value| status["policies"][0]["waiting_for_release"] == 8;
        let all = seen.iter().all(|status| whole(status) && backlog(status));
        all.then_some(()).ok_or_else(|| format!("{seen:?}\n{}\n{}", instances[0].tail(), instances[1].tail()))
    });
    owners_differ(&scene);
    look_ups(&scene, &customers, &old);
    orders(&scene, &customers[0]);
    ahead(&scene);
    another_secret(&scene, &customers[0]);
    nobody_is_named(&scene, &instances.iter().map(|instance| instance.log()).collect::<Vec<_>>());
}

/// Each instance owns a part, so that half of what each is asked is answered by the other.
fn owners_differ(scene: &Scene) {
    let metrics = |instance: usize| {
        let url = format!("http://{}/metrics", scene.addresses[instance]);
        let mut response = ureq::get(url).call().unwrap();
        response.body_mut().read_to_string().unwrap()
    };
    for instance in 0..2 {
        let metrics = metrics(instance);
        assert!(metrics.contains("lapsed_shards{state=\"running\"} 2"), "{metrics}");
    }
}

fn look_ups(scene: &Scene, customers: &[String], old: &[String]) {
    for customer in customers {
        let told = [0, 1].map(|instance| scene.json(instance, &["explain", customer]));
        assert_eq!(told[0]["last_seen"], told[1]["last_seen"]);
        assert_eq!(told[0]["known"], true, "{}", told[0]);
    }
    let said = scene.told(1, &["explain", &customers[0], "--lang", "nl"]);
    assert!(said.starts_with("Deze klant is voor het laatst gezien op"), "{said}");
    assert!(said.contains("Passende aanbiedingen") && said.contains("waits for its deadline"), "{said}");

    let due = scene.told(0, &["due", "offers", "--json"]);
    let listed: BTreeSet<String> = due
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["customer"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(listed, old.iter().cloned().collect());
    assert!(scene.told(1, &["due", "offers"]).contains("  release"));

    let list = format!("{}\n{}\r\nmarked-nobody\n\n", customers[1], old[0]);
    let output = scene.lapsed(1, &["reconcile", "crm"], &list);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let stands = String::from_utf8(output.stdout).unwrap();
    assert_eq!(stands, format!("due        {}\nunknown    marked-nobody\n", old[0]));

    let audited = scene.audit();
    let look_ups: Vec<&Value> =
        audited.iter().map(|(_, entry)| entry).filter(|entry| entry["entry"] == "look_up").collect();
    let of = |question: &str| look_ups.iter().filter(|entry| entry["question"] == question).count();
    assert_eq!((of("explain"), of("due"), of("reconcile")), (2 * customers.len() + 1, 2, 1));
    assert!(look_ups.iter().all(|entry| entry["by"] == "desk"));
    // The command line of auditors finds them by the customer.
    let told = scene.lapsed(0, &["evidence", &customers[0]], "");
    assert_eq!(told.status.code(), Some(1), "nothing was done about them yet: {told:?}");
}

fn orders(scene: &Scene, customer: &str) {
    scene.told(0, &["hold", customer, "--id", "case-9", "--reason", "a dispute", "--until", "2099-12-31"]);
    until(|| {
        let told = scene.json(1, &["explain", customer]);
        (told["holds"][0]["id"] == "case-9").then_some(()).ok_or(format!("no hold: {told}"))
    });
    scene.told(1, &["unhold", customer, "--id", "case-9", "--reason", "settled"]);
    until(|| {
        let told = scene.json(0, &["explain", customer]);
        (told["holds"] == json!([])).then_some(()).ok_or(format!("still held: {told}"))
    });
    scene.told(1, &["erase", customer, "--reason", "a letter"]);
    until(|| {
        let told = scene.json(0, &["explain", customer]);
        (told["erasure_requested"].is_string()).then_some(()).ok_or(format!("not asked for: {told}"))
    });
    let refused =
        scene.lapsed(0, &["release", "offers", "--due-by", "2026-01-01", "--at-most", "1", "--reason", "r"], "");
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let today = chrono::DateTime::from_timestamp_millis(now_ms()).unwrap().date_naive().to_string();
    scene.told(1, &["release", "offers", "--due-by", &today, "--at-most", "8", "--reason", "the list was seen"]);
    until(|| {
        let waiting = scene.status(0)["policies"][0].clone();
        (waiting["waiting_for_release"] == 0).then_some(()).ok_or(format!("still waiting: {waiting}"))
    });
    let told = scene.told(0, &["evidence", "marked-old-0"]);
    assert!(told.contains("expire sent to crm"), "{told}");
    let evidence = scene.told(1, &["evidence", "marked-old-0", "--json"]);
    assert!(evidence.contains("\"look_up\""), "the one who asked before stands there: {evidence}");
    scene.told(0, &["stop", "--all", "--reason", "the test is over"]);
    until(|| {
        let brake = scene.status(1)["policies"][0]["brake"].clone();
        (brake["stopped"]["by"] == "privacy").then_some(()).ok_or(format!("not stopped: {brake}"))
    });
    let ordered: Vec<Value> = scene
        .audit()
        .into_iter()
        .filter(|(_, entry)| entry["entry"] == "ordered")
        .map(|(_, entry)| json!([entry["order"], entry["by"]]))
        .collect();
    assert_eq!(json!(ordered), json!([["hold", "privacy"], ["unhold", "privacy"], ["erase", "privacy"]]));
}

fn ahead(scene: &Scene) {
    let forecast = scene.json(0, &["forecast"]);
    let offers = &forecast["policies"][0];
    let days: u64 = offers["customers"].as_array().unwrap().iter().map(|day| day.as_u64().unwrap()).sum();
    assert_eq!(offers["covered"], 32);
    assert!((23..=25).contains(&days), "{days}");
    let listen = free_address();
    let text = yaml(&scene.application.name, &scene.application.bootstrap, &listen, Path::new("/nowhere"));
    let text = text.replace("P1Y", "P30D");
    let file = scene.directory.path().join("new.yaml");
    std::fs::write(&file, text).unwrap();
    let changed = scene.json(1, &["forecast", "-c", file.to_str().unwrap()]);
    let becomes_due = changed["other"]["shifts"][0]["becomes_due"].as_u64().unwrap();
    assert!((20..=24).contains(&becomes_due), "{changed}");
    let table = scene.told(0, &["forecast", "-c", file.to_str().unwrap()]);
    assert!(table.contains("becomes due at once"), "{table}");
}

/// The file of a secret is read again, although the configuration has not changed.
fn another_secret(scene: &Scene, customer: &str) {
    std::fs::write(scene.directory.path().join("desk.secret"), "another secret of the desk").unwrap();
    let token = scene.token("another", "another secret of the desk");
    for instance in 0..2 {
        until(|| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_lapsed"));
            command.args(["explain", customer, "--url", &format!("http://{}", scene.addresses[instance])]);
            let output = command.arg("--token-file").arg(&token).output().unwrap();
            output.status.success().then_some(()).ok_or(format!("{output:?}"))
        });
        let refused = scene.lapsed(instance, &["explain", customer], "");
        assert_eq!(refused.status.code(), Some(1), "the old one opens nothing: {refused:?}");
    }
}

/// No log of an instance has an id in it.
fn nobody_is_named(scene: &Scene, logs: &[String]) {
    for log in logs {
        assert!(!log.contains("marked-"), "{log}");
    }
    for (key, entry) in scene.audit() {
        assert!(!key.contains("marked-") && !entry.to_string().contains("marked-"), "{entry}");
    }
}
