//! A broker that demands TLS, SCRAM-SHA-512 and rights: with exactly those of the chart's KafkaUser `lapsed run`
//! works, and without any one of them it says which one is missing.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;
#[path = "support/tools/mod.rs"]
mod tools;

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use support::acls::{Acl, grant, revoke};
use support::broker::create_topic;
use support::secured::SecuredBroker;

const USER: &str = "lapsed-user";
const PASSWORD: &str = "a-password-of-this-test-only";
/// Takes the first one's place.
const NEXT_USER: &str = "next-user";
const NEXT_PASSWORD: &str = "another-password";
const PATIENCE: Duration = Duration::from_secs(60);

struct Rig {
    broker: SecuredBroker,
    port: u16,
    /// The properties with which it says who it is.
    sasl: String,
}

impl Rig {
    fn new() -> Rig {
        let broker = SecuredBroker::start(&[(USER, PASSWORD), (NEXT_USER, NEXT_PASSWORD)]);
        let file = |name: &str| broker.data.path().join(name).display().to_string();
        let (user, password) = (file("user"), file("password"));
        let sasl = format!(
            "sasl.mechanism: SCRAM-SHA-512
  sasl.username: file:{user}
  sasl.password: file:{password}"
        );
        Rig::of(broker, sasl)
    }

    fn of(broker: SecuredBroker, sasl: String) -> Rig {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let rig = Rig { broker, port, sasl };
        rig.write("user", USER);
        rig.write("password", PASSWORD);
        rig.write("lapsed.yaml", &rig.yaml());
        // Whoever makes the topics is another user, here one who may do everything.
        let plain = rig.yaml().replace(&rig.kafka(), &format!("kafka: {{bootstrap.servers: '{}'}}", rig.broker.plain));
        let plain = rig.write("plain.yaml", &plain);
        create_topic(&rig.broker.plain, "shop.web", 2);
        create_topic(&rig.broker.plain, "crm.commands", 1);
        let made =
            Command::new(env!("CARGO_BIN_EXE_lapsed")).args(["topics", "--create", "-c"]).arg(plain).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        rig
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.broker.data.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn kafka(&self) -> String {
        format!(
            "kafka:
  bootstrap.servers: '{}'
  security.protocol: SASL_SSL
  {}
  ssl.ca.location: {}
  session.timeout.ms: 6000
  heartbeat.interval.ms: 1000",
            self.broker.address,
            self.sasl,
            self.broker.authority().display(),
        )
    }

    fn yaml(&self) -> String {
        format!(
            "application: shop-lapsed
time_zone: Europe/Amsterdam
short_periods: true
max_gate_lag: PT20S
brake: {{per_day: 100%, at_least: 1000}}
{kafka}
evidence: {{key: a key of this test only}}
http: {{listen: '127.0.0.1:{port}'}}
topics: {{partitions: 2, replication_factor: 1}}
sources:
  web:
    topics: [shop.web]
    customer: /user
    time: record
    history_from: beginning
    allowed_lateness: PT1S
    max_silence: PT1M
    rules: [{{activity: login}}]
targets: {{crm: {{topic: crm.commands, acknowledge_within: none}}}}
policies:
  offers:
    purpose: {{en: Offers that fit until three seconds after the last visit}}
    lawful_basis: contract
    categories: [email]
    since_last: [login]
    stages: [{{after: PT3S, command: expire}}]
    targets: [crm]
    mode: enforce
    review_by: 2099-01-01
",
            kafka = self.kafka(),
            port = self.port,
        )
    }

    /// What the chart's KafkaUser may do, one operation each.
    fn acls(&self) -> Vec<Acl> {
        let values = json!({
            "config": {"files": {"lapsed.yaml": self.yaml()}},
            "strimzi": {"enabled": true, "cluster": "shop"},
        });
        let manifests = tools::render_chart(&values).unwrap();
        let user = manifests.iter().find(|manifest| manifest["kind"] == "KafkaUser").unwrap();
        let acls = user["spec"]["authorization"]["acls"].as_array().unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let each = |acl: &Value| {
            let resource = acl["resource"].clone();
            let operations = acl["operations"].as_array().unwrap().clone();
            operations.into_iter().map(move |operation| Acl {
                resource: text(&resource["type"]),
                name: text(&resource["name"]),
                is_prefix: resource["patternType"] == "prefix",
                operation: text(&operation),
            })
        };
        acls.iter().flat_map(each).collect()
    }

    fn start(&self, file: &str) -> Running {
        let log = self.broker.data.path().join("lapsed.log");
        let output = std::fs::File::create(&log).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_lapsed"))
            .args(["run", "-c"])
            .arg(self.broker.data.path().join(file))
            .env("HOSTNAME", "pod-0")
            .stdout(Stdio::from(output.try_clone().unwrap()))
            .stderr(Stdio::from(output))
            .spawn()
            .unwrap();
        Running { child, log }
    }

    fn metrics(&self) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: lapsed\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }
}

struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until it has said this.
    fn until_it_says(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.log().contains(text) {
            assert!(Instant::now() < deadline, "it never said '{text}':\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn ends_with(&mut self, code: i32) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.child.try_wait().unwrap() {
                Some(status) => return assert_eq!(status.code(), Some(code), "{}", self.log()),
                None => assert!(Instant::now() < deadline, "it does not end:\n{}", self.log()),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How many commands have left.
fn commands(metrics: &str) -> u64 {
    let name = "lapsed_commands_total{cause=\"period\",command=\"expire\",policy=\"offers\",target=\"crm\"} ";
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0, |count| count.parse().unwrap())
}

/// Customers come until more of them have been forgotten than before.
fn somebody_is_forgotten(rig: &Rig, running: &Running, prefix: &str) {
    let before = commands(&rig.metrics().unwrap_or_default());
    let producer: ThreadedProducer<_> =
        ClientConfig::new().set("bootstrap.servers", &rig.broker.plain).create().unwrap();
    let deadline = Instant::now() + PATIENCE;
    let mut customer = 0;
    loop {
        let payload = json!({"user": format!("{prefix}-{customer}")}).to_string();
        producer.send(BaseRecord::<(), _>::to("shop.web").payload(&payload)).map_err(|(error, _)| error).unwrap();
        producer.flush(Duration::from_secs(10)).unwrap();
        customer += 1;
        let metrics = rig.metrics().unwrap_or_default();
        if commands(&metrics) > before {
            return;
        }
        assert!(Instant::now() < deadline, "nobody is forgotten:\n{metrics}\n{}", running.log());
        std::thread::sleep(Duration::from_millis(300));
    }
}

#[test]
fn the_charts_rights_are_enough_and_none_is_too_many() {
    let rig = Rig::new();
    let acls = rig.acls();
    grant(&rig.broker.plain, USER, &acls);
    {
        let running = rig.start("lapsed.yaml");
        somebody_is_forgotten(&rig, &running, "first");
        let log = running.log();
        assert!(!log.contains("uthoriz") && !log.contains("uthoris"), "{log}");
        assert!(!log.contains(PASSWORD) && !log.contains(NEXT_PASSWORD), "a password stands in the log");
    }
    new_secrets_are_taken_over(&rig, &acls);
    for acl in &acls {
        let one = std::slice::from_ref(acl);
        revoke(&rig.broker.plain, USER, one);
        let mut running = rig.start("lapsed.yaml");
        let resource = match acl.resource.as_str() {
            "transactionalId" => "transactional id shop-lapsed-pod-0".to_owned(),
            other => format!("{other} {}", acl.name),
        };
        running.until_it_says(&format!("grant {} on {resource}", acl.operation));
        // Without knowing how long a source keeps its records it keeps more itself, and goes on.
        if (acl.operation.as_str(), acl.name.as_str()) != ("DescribeConfigs", "shop.web") {
            running.ends_with(1);
        }
        drop(running);
        grant(&rig.broker.plain, USER, one);
    }
}

/// Another user takes the first one's place, who then may do nothing any more; and back again.
fn new_secrets_are_taken_over(rig: &Rig, acls: &[Acl]) {
    grant(&rig.broker.plain, NEXT_USER, acls);
    for (from, to, password) in [(USER, NEXT_USER, NEXT_PASSWORD), (NEXT_USER, USER, PASSWORD)] {
        let mut running = rig.start("lapsed.yaml");
        somebody_is_forgotten(rig, &running, from);
        rig.write("user", to);
        rig.write("password", password);
        let hup = Command::new("kill").args(["-s", "HUP", &running.child.id().to_string()]).status().unwrap();
        assert!(hup.success());
        running.ends_with(1);
        assert!(running.log().contains("secrets of kafka have changed"), "{}", running.log());
        revoke(&rig.broker.plain, from, acls);
        running = rig.start("lapsed.yaml");
        somebody_is_forgotten(rig, &running, &format!("{from}-{to}"));
        assert!(!running.log().contains(PASSWORD) && !running.log().contains(NEXT_PASSWORD));
        grant(&rig.broker.plain, from, acls);
    }
    revoke(&rig.broker.plain, NEXT_USER, acls);
}

/// What is wrong with the way in is named.
#[test]
fn a_wrong_password_and_an_unknown_authority_are_named() {
    let rig = Rig::new();
    grant(&rig.broker.plain, USER, &rig.acls());
    rig.write("password", "wrong");
    let mut running = rig.start("lapsed.yaml");
    running.ends_with(1);
    assert!(running.log().contains("SASL authentication error"), "{}", running.log());
    assert!(running.log().contains("check kafka: sasl.username and sasl.password"), "{}", running.log());
    rig.write("password", PASSWORD);
    let authority = rig.broker.authority().display().to_string();
    rig.write("unknown.yaml", &rig.yaml().replace(&format!("  ssl.ca.location: {authority}\n"), ""));
    let mut running = rig.start("unknown.yaml");
    running.ends_with(1);
    assert!(running.log().contains("certificate verify failed"), "{}", running.log());
    assert!(running.log().contains("check kafka: ssl.ca.location"), "{}", running.log());
}

/// OAUTHBEARER with tokens that nobody has signed. OIDC is not in this build, and `check` says so.
///
///     cargo test --test kafka_access -- --ignored a_token_lets_in
#[test]
#[ignore = "only whoever tries things out gets in so; half a minute"]
fn a_token_lets_in_with_the_rights_of_its_principal() {
    let sasl = format!(
        "sasl.mechanism: OAUTHBEARER
  enable.sasl.oauthbearer.unsecure.jwt: true
  sasl.oauthbearer.config: principal={USER}"
    );
    let rig = Rig::of(SecuredBroker::start_with_tokens(), sasl);
    let acls = rig.acls();
    grant(&rig.broker.plain, USER, &acls);
    let running = rig.start("lapsed.yaml");
    somebody_is_forgotten(&rig, &running, "first");
    assert!(!running.log().contains("SASL authentication error"), "{}", running.log());
    // The token's principal is who has the rights.
    drop(running);
    let write = |acl: &&Acl| acl.name == "crm.commands" && acl.operation == "Write";
    let write = std::slice::from_ref(acls.iter().find(write).unwrap());
    revoke(&rig.broker.plain, USER, write);
    let mut running = rig.start("lapsed.yaml");
    running.until_it_says("grant Write on topic crm.commands");
    running.ends_with(1);

    for (change, says) in [
        (
            "sasl.oauthbearer.method: oidc",
            "kafka.sasl.oauthbearer.method is not in this build of librdkafka, which has no libcurl",
        ),
        ("sasl.oauthbearer.scope: x", "has 'sasl.mechanism: OAUTHBEARER' and nowhere to get a token from"),
    ] {
        let file = rig.write("oidc.yaml", &rig.yaml().replace("enable.sasl.oauthbearer.unsecure.jwt: true", change));
        let output = Command::new(env!("CARGO_BIN_EXE_lapsed")).args(["check", "-c"]).arg(file).output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(says), "{told}");
    }
}
