//! Markers planted as secrets and as customers, in everything that can be told to the service: no secret stands in
//! anything it prints, serves or answers, and no customer in a log, a metric, an error or the page. And what becomes of
//! a secret whose file changes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use support::broker::create_topic;
use support::secured::SecuredBroker;
use support::service::{now_ms, until};

const PATIENCE: Duration = Duration::from_secs(60);
const USER: &str = "lapsed-user";
/// No output has any of these.
const SECRETS: [&str; 8] =
    [PASSWORD, EVIDENCE, DESK, PRIVACY, NEXT_DESK, NEXT_EVIDENCE, WRONG_TOKEN, "q9secret-registry"];
const PASSWORD: &str = "q9secret-password";
const EVIDENCE: &str = "q9secret-evidence";
const NEXT_EVIDENCE: &str = "q9secret-other-evidence";
const DESK: &str = "q9secret-desk";
const NEXT_DESK: &str = "q9secret-other-desk";
const PRIVACY: &str = "q9secret-privacy";
const WRONG_TOKEN: &str = "q9secret-wrong-token";
/// Every customer, payload and id that is planted has this in it.
const CUSTOMER: &str = "q9customer";

fn no_secret(output: &str, whence: &str) {
    for secret in SECRETS {
        assert!(!output.contains(secret), "{whence} tells {secret}:\n{output}");
    }
}

fn nobody_and_no_secret(output: &str, whence: &str) {
    no_secret(output, whence);
    assert!(!output.contains(CUSTOMER), "{whence} names somebody:\n{output}");
}

struct Scene {
    broker: SecuredBroker,
    listen: String,
}

impl Scene {
    fn new() -> Scene {
        let broker = SecuredBroker::start_open(&[(USER, PASSWORD)]);
        let listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let scene = Scene { broker, listen };
        let secrets = [("password", PASSWORD), ("evidence", EVIDENCE), ("desk", DESK), ("privacy", PRIVACY)];
        secrets.iter().for_each(|(name, secret)| drop(scene.write(name, secret)));
        scene.write("lapsed.yaml", &scene.yaml());
        create_topic(&scene.broker.plain, "shop.web", 1);
        create_topic(&scene.broker.plain, "crm.commands", 1);
        let made = scene.lapsed(&["topics", "--create"], "", true);
        assert!(made.status.success(), "{made:?}");
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.broker.data.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    fn yaml(&self) -> String {
        let file = |name: &str| format!("file:{}", self.path(name).display());
        format!(
            "application: marked
time_zone: Europe/Amsterdam
short_periods: true
max_gate_lag: PT20S
brake: {{per_day: 100%, at_least: 1000}}
kafka:
  bootstrap.servers: '{}'
  security.protocol: SASL_SSL
  sasl.mechanism: SCRAM-SHA-512
  sasl.username: {USER}
  sasl.password: {}
  ssl.ca.location: {}
  session.timeout.ms: 6000
  heartbeat.interval.ms: 1000
evidence: {{key: {}}}
http:
  listen: '{}'
  tokens:
    desk: {{secret: {}, may: look_up}}
    privacy: {{secret: {}, may: operate}}
topics: {{partitions: 2, replication_factor: 1}}
sources:
  web:
    topics: [shop.web]
    customer: /user
    time: /at
    history_from: beginning
    allowed_lateness: PT1S
    max_silence: PT1M
    max_rejects: 100%
    rules:
      - {{when: {{/event: seen}}, activity: seen}}
      - {{when: {{/event: case}}, hold: {{id: /case, reason: /reason}}}}
      - {{when: {{/event: forget}}, erasure: true}}
targets: {{crm: {{topic: crm.commands, acknowledge_within: PT1H}}}}
policies:
  offers:
    purpose: {{en: Offers that fit until some seconds after the last visit}}
    lawful_basis: contract
    categories: [email]
    since_last: [seen]
    stages: [{{after: PT3S, command: expire}}]
    targets: [crm]
    mode: enforce
    review_by: 2099-01-01
",
            self.broker.address,
            file("password"),
            self.broker.authority().display(),
            file("evidence"),
            self.listen,
            file("desk"),
            file("privacy"),
        )
    }

    fn lapsed(&self, arguments: &[&str], input: &str, with_config: bool) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lapsed"));
        command.args(arguments);
        if with_config {
            command.arg("-c").arg(self.path("lapsed.yaml"));
        }
        run(command, input)
    }

    fn start(&self, log: &str, level: &str) -> Running {
        let output = std::fs::File::create(self.path(log)).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_lapsed"))
            .args(["run", "-c"])
            .arg(self.path("lapsed.yaml"))
            .env("HOSTNAME", "pod-0")
            .env("LAPSED_LOG", level)
            .env("RUST_BACKTRACE", "1")
            .stdout(Stdio::from(output.try_clone().unwrap()))
            .stderr(Stdio::from(output))
            .spawn()
            .unwrap();
        Running { child, log: self.path(log) }
    }

    fn produce(&self, topic: &str, records: &[(String, Option<String>)]) {
        let producer: ThreadedProducer<_> =
            ClientConfig::new().set("bootstrap.servers", &self.broker.plain).create().unwrap();
        for (key, value) in records {
            let headers = Header { key: "trace", value: Some(&format!("{CUSTOMER}-header")) };
            let mut record = BaseRecord::to(topic).key(key).headers(OwnedHeaders::new().insert(headers));
            if let Some(value) = value {
                record = record.payload(value);
            }
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(Duration::from_secs(20)).unwrap();
    }

    fn see(&self, customers: &[String], event: &str) {
        let record = |id: &String| {
            let value = json!({"user": id, "event": event, "at": now_ms(), "case": format!("{CUSTOMER}-case"),
                "reason": format!("{CUSTOMER}-reason"), "address": format!("{CUSTOMER}-street 1")});
            (id.clone(), Some(value.to_string()))
        };
        self.produce("shop.web", &customers.iter().map(record).collect::<Vec<_>>());
    }

    /// Status and body, whatever they are.
    fn ask(&self, method: &str, path: &str, token: Option<&str>, body: &str) -> (u16, String) {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).proxy(None);
        let agent: ureq::Agent = agent.timeout_global(Some(PATIENCE)).build().into();
        let url = format!("http://{}{path}", self.listen);
        let authorization = token.map(|token| format!("Bearer {token}"));
        let answer = if method == "GET" {
            let request = agent.get(&url);
            match &authorization {
                Some(authorization) => request.header("authorization", authorization).call(),
                None => request.call(),
            }
        } else {
            let request = agent.post(&url).header("content-type", "application/json");
            match &authorization {
                Some(authorization) => request.header("authorization", authorization).send(body),
                None => request.send(body),
            }
        };
        let Ok(mut answer) = answer else { return (0, String::new()) };
        let headers = format!("{:?}", answer.headers());
        (answer.status().as_u16(), headers + &answer.body_mut().read_to_string().unwrap_or_default())
    }

    fn metric(&self, line: &str) -> Option<f64> {
        let (_, metrics) = self.ask("GET", "/metrics", None, "");
        metrics.lines().find_map(|found| found.strip_prefix(line)?.trim().parse().ok())
    }

    /// The look-up of a customer with a token.
    fn explains(&self, token: &str) -> u16 {
        self.ask("POST", "/api/v1/explain", Some(token), &json!({"customer": "somebody"}).to_string()).0
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

    fn says(&self, words: &str) {
        until(PATIENCE, || self.log().contains(words).then_some(()).ok_or_else(|| format!("no '{words}'")));
    }

    fn end(mut self) -> String {
        signal(&self.child, "TERM");
        assert!(self.child.wait().unwrap().success(), "{}", self.log());
        self.log()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap().success());
}

fn run(mut command: Command, input: &str) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // One that reads nothing may have ended.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn marked(name: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{CUSTOMER}-{name}-{number}")).collect()
}

#[test]
fn no_secret_is_told_and_nobody_is_named() {
    let scene = Scene::new();
    let running = scene.start("info.log", "info,librdkafka=info");
    until(PATIENCE, || (scene.ask("GET", "/readyz", None, "").0 == 200).then_some(()).ok_or_else(|| running.log()));
    scene.see(&marked("seen", 20), "seen");
    scene.see(&marked("held", 3), "case");
    scene.see(&marked("asks", 3), "forget");
    scene.produce("shop.web", &rejects());
    until(PATIENCE, || {
        scene.see(&marked("again", 1), "seen");
        let sent =
            scene.metric("lapsed_commands_total{cause=\"period\",command=\"expire\",policy=\"offers\",target=\"crm\"}");
        sent.filter(|sent| *sent >= 20.0).map(drop).ok_or_else(|| running.log())
    });
    scene.produce("marked.acks", &acknowledgements());
    scene.produce("marked.signals", &[(format!("{CUSTOMER}-garbage"), Some(format!("{CUSTOMER} is no signal")))]);
    until(PATIENCE, || {
        scene.see(&marked("again", 1), "seen");
        let rejected = scene.metric("lapsed_acknowledgements_rejected_total");
        let garbage = scene.metric("lapsed_signals_garbage_total");
        let heard = rejected.is_some_and(|rejected| rejected >= 3.0) && garbage.is_some_and(|garbage| garbage >= 1.0);
        heard.then_some(()).ok_or_else(|| scene.ask("GET", "/metrics", None, "").1)
    });
    wrong_requests(&scene);
    right_requests(&scene);
    wrong_configurations(&scene, &running);
    for path in ["/", "/metrics", "/livez", "/readyz", "/api/v1/status", "/api/v1/forecast", "/api/v1/openapi.json"] {
        let (status, answer) = scene.ask("GET", path, None, "");
        assert_eq!(status, 200, "{path}: {answer}");
        nobody_and_no_secret(&answer, path);
    }
    let rejects = support::service::read_committed(&scene.broker.plain, "marked.rejects", PATIENCE);
    assert!(rejects.len() > 5);
    rejects.iter().for_each(|(key, value)| nobody_and_no_secret(&format!("{key} {value}"), "the rejects"));
    let audit = support::service::read_committed(&scene.broker.plain, "marked.audit", PATIENCE);
    assert!(audit.len() > 20);
    audit.iter().for_each(|(key, value)| nobody_and_no_secret(&format!("{key} {value}"), "audit"));
    let log = running.end();
    assert!(log.contains("shard restored") && log.contains("is not taken over"), "{log}");
    nobody_and_no_secret(&log, "the log");
    // As much as can be said at all, librdkafka's own words included: ids may be there, secrets not.
    let yaml = scene.yaml().replace("kafka:\n", "kafka:\n  debug: all\n");
    scene.write("lapsed.yaml", &yaml);
    let running = scene.start("trace.log", "trace");
    until(PATIENCE, || (scene.ask("GET", "/readyz", None, "").0 == 200).then_some(()).ok_or("not ready".to_owned()));
    scene.explains(DESK);
    scene.explains(WRONG_TOKEN);
    let log = running.end();
    assert!(log.contains("SCRAM") || log.contains("SASL"), "librdkafka says nothing of its own");
    no_secret(&log, "the log at its most talkative");
    commands_that_read(&scene);
}

/// Records that a rule matches, and that can't be understood, or can't be decoded.
fn rejects() -> Vec<(String, Option<String>)> {
    let (key, at) = (format!("{CUSTOMER}-key"), now_ms());
    let wrong = [
        format!("{CUSTOMER} is no JSON"),
        format!("{{\"user\": \"{CUSTOMER}\", \"event\": \"seen\", \"at\": \"{CUSTOMER} o'clock\"}}"),
        format!("{{\"user\": {{\"id\": \"{CUSTOMER}\"}}, \"event\": \"seen\", \"at\": {at}}}"),
        format!("{{\"name\": \"{CUSTOMER}\", \"event\": \"seen\", \"at\": {at}}}"),
        format!("{{\"user\": \"{}\", \"event\": \"seen\", \"at\": {at}}}", CUSTOMER.repeat(200)),
        format!("{{\"user\": \"{CUSTOMER}\", \"user\": \"{CUSTOMER}\", \"event\": \"seen\"}}"),
        format!("{{\"user\": \"{CUSTOMER}\", \"event\": \"seen\", \"at\": -5}}"),
        format!(
            "{{\"user\": \"{CUSTOMER}\", \"event\": \"case\", \"at\": {at}, \"case\": {{\"id\": \"{CUSTOMER}\"}}}}"
        ),
    ];
    let mut records: Vec<_> = wrong.into_iter().map(|value| (key.clone(), Some(value))).collect();
    records.push((key, None));
    records
}

/// Of commands that there are not, of targets that there are not, and what is none at all.
fn acknowledgements() -> Vec<(String, Option<String>)> {
    let id = "0195a2c4-0000-7000-8000-000000000000";
    let good = json!({"command": id, "attempt": 1, "customer": format!("{CUSTOMER}-seen-1"), "target": "crm",
        "result": "done", "reason": format!("{CUSTOMER}-reason"), "time": "2026-01-01T00:00:00Z"});
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut value = good.clone();
        change(&mut value);
        Some(value.to_string())
    };
    let key = format!("{CUSTOMER}-key");
    let values = [
        changed(&|_| {}),
        changed(&|value| value["target"] = json!(format!("{CUSTOMER}-target"))),
        changed(&|value| value["command"] = json!(format!("{CUSTOMER}-command"))),
        changed(&|value| value["result"] = json!(format!("{CUSTOMER}-result"))),
        changed(&|value| value["time"] = json!(format!("{CUSTOMER}-time"))),
        Some(format!("{CUSTOMER} {{")),
        None,
    ];
    values.into_iter().map(|value| (key.clone(), value)).collect()
}

fn wrong_requests(scene: &Scene) {
    let paths = [
        "explain",
        "evidence",
        "due",
        "reconcile",
        "resend",
        "release",
        "stop",
        "accept",
        "hold",
        "unhold",
        "erase",
        "forecast",
        "shards",
    ];
    let customer = format!("{CUSTOMER}-asked");
    let bodies = [
        format!("{CUSTOMER} {{"),
        format!("{{\"customer\": 5, \"{CUSTOMER}\": \"{CUSTOMER}\"}}"),
        json!({"customer": customer, "unknown": CUSTOMER}).to_string(),
        json!({"customer": customer, "reason": format!("{CUSTOMER} {}", "x".repeat(5_000)), "id": CUSTOMER})
            .to_string(),
        json!({"customer": CUSTOMER.repeat(200), "reason": "r", "id": "h"}).to_string(),
        json!({"customer": customer, "id": "h", "reason": "r", "until": format!("{CUSTOMER}-day")}).to_string(),
        json!({"customer": customer, "id": "h", "reason": "r", "policies": [format!("{CUSTOMER}-policy")]}).to_string(),
        json!({"target": format!("{CUSTOMER}-target"), "customers": [customer], "reason": "r"}).to_string(),
        json!({"policy": format!("{CUSTOMER}-policy"), "due_by": "2026-01-01", "at_most": 1, "reason": "r"})
            .to_string(),
        json!({"source": format!("{CUSTOMER}-source"), "doubt": "gap", "reason": "r"}).to_string(),
        json!({"configuration": {format!("{CUSTOMER}.yaml"): format!("{CUSTOMER}: [{CUSTOMER}")}}).to_string(),
        json!([{"shards": [99], "question": {"ask": "explain", "customer": customer}}]).to_string(),
        format!("\"{}\"", CUSTOMER.repeat(300_000)),
    ];
    for path in paths {
        for (place, body) in bodies.iter().enumerate() {
            // Who has shown no token is refused before the body is looked at, and soon for asking too often.
            let refused = if place % 6 == 0 { &[None, Some(WRONG_TOKEN)][..] } else { &[] };
            for token in refused.iter().copied().chain([Some(PRIVACY)]) {
                let (status, answer) = scene.ask("POST", &format!("/api/v1/{path}"), token, body);
                // What asks for somebody, rightly, is answered.
                if status != 200 {
                    no_secret(&answer, path);
                    // An unknown configuration is told with its file's name.
                    let is_named = answer.contains(CUSTOMER) && !(path == "forecast" && status == 422);
                    assert!(!is_named, "{path} with body {place}: {status} {answer}");
                }
                assert_ne!(status, 429, "{path}: the answers to come would be hidden");
            }
        }
    }
    for path in
        [format!("/api/v1/{CUSTOMER}"), format!("/{CUSTOMER}?id={CUSTOMER}"), format!("/api/v1/explain?{CUSTOMER}")]
    {
        for (method, token) in [("GET", Some(WRONG_TOKEN)), ("POST", Some(DESK))] {
            let (_, answer) = scene.ask(method, &path, token, CUSTOMER);
            nobody_and_no_secret(&answer, &path);
        }
    }
}

/// What is answered about somebody may tell of them, and no secret.
fn right_requests(scene: &Scene) {
    let customer = format!("{CUSTOMER}-seen-1");
    for (path, body) in [
        ("explain", json!({"customer": customer})),
        ("evidence", json!({"customer": customer})),
        ("due", json!({"policy": "offers"})),
        ("reconcile", json!({"target": "crm", "customers": [customer]})),
        ("resend", json!({"target": "crm", "customers": [customer], "reason": "r"})),
        ("hold", json!({"customer": customer, "id": "h", "reason": "r"})),
        ("erase", json!({"customer": customer, "reason": "r"})),
    ] {
        let (status, answer) = scene.ask("POST", &format!("/api/v1/{path}"), Some(PRIVACY), &body.to_string());
        assert_eq!(status, 200, "{path}: {answer}");
        no_secret(&answer, path);
    }
}

/// A file that is wrong where its secrets stand is not taken over, and not quoted.
fn wrong_configurations(scene: &Scene, running: &Running) {
    let right = scene.yaml();
    let file = format!("file:{}", scene.path("desk").display());
    let evidence = format!("{{key: file:{}}}", scene.path("evidence").display());
    for (from, to) in [
        (file.as_str(), format!("[{DESK}]")),
        (file.as_str(), format!("{{{DESK}: {DESK}}}")),
        (file.as_str(), format!("'{DESK}")),
        (evidence.as_str(), EVIDENCE.to_string()),
        (evidence.as_str(), format!("{{key: [{EVIDENCE}]}}")),
        ("sasl.mechanism: SCRAM-SHA-512", format!("sasl.mechanism: {PASSWORD}")),
        ("security.protocol: SASL_SSL", format!("ssl.key.password: [{PASSWORD}]")),
        ("security.protocol: SASL_SSL", format!("session.timeout.ms: {PASSWORD}")),
        ("time: /at", "time: /at\n    schema_registry: {url: 'http://me:q9secret-registry@127.0.0.1:1'}".to_owned()),
    ] {
        let wrong = right.replacen(from, &to, 1);
        if wrong == right {
            continue;
        }
        scene.write("lapsed.yaml", &wrong);
        let refusals = || running.log().matches("ERROR lapsed::cli::run").count();
        let before = refusals();
        signal(&running.child, "HUP");
        until(PATIENCE, || {
            let refused = refusals() > before;
            refused.then_some(()).ok_or_else(|| format!("{to} is not refused:\n{}", running.log()))
        });
        let output = scene.lapsed(&["check"], "", true);
        nobody_and_no_secret(&(text(&output.stdout) + &text(&output.stderr)), "check");
    }
    scene.write("lapsed.yaml", &right);
    signal(&running.child, "HUP");
    running.says("the configuration decides as before");
}

/// Commands that work on files, and the demonstration.
fn commands_that_read(scene: &Scene) {
    scene.write("lapsed.yaml", &scene.yaml());
    let record = |value: &str, ts: i64| {
        json!({"topic": "shop.web", "partition": 0, "offset": ts, "tstype": "create", "ts": ts, "key": CUSTOMER,
            "payload": value})
        .to_string()
    };
    let start = now_ms() - 1_000_000;
    let mut lines: Vec<String> =
        (0..).zip(rejects()).map(|(place, (_, value))| record(&value.unwrap_or_default(), start + place)).collect();
    lines.push(record(&json!({"user": CUSTOMER, "event": "seen", "at": start}).to_string(), start + 100));
    lines.push(record("{}", start + 900_000));
    let input = lines.join("\n");
    for (command, on_stdout) in [
        (&["check"][..], true),
        (&["topics"], true),
        (&["simulate"], false),
        (&["extract"], false),
        (&["statement", "--for", "register", "--lang", "en"], true),
        (&["simulate", "/q9customer/is/no/file"], false),
    ] {
        let output = scene.lapsed(command, &input, true);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        no_secret(&(out.clone() + &err), &command.join(" "));
        if on_stdout {
            nobody_and_no_secret(&out, &command.join(" "));
        }
        let is_about_the_file = command.len() == 2 && command[0] == "simulate";
        assert!(is_about_the_file || !err.contains(CUSTOMER), "{command:?} names somebody: {err}");
    }
    let broken = scene.lapsed(&["simulate"], &format!("{CUSTOMER} {{"), true);
    assert_eq!(broken.status.code(), Some(1));
    nobody_and_no_secret(&text(&broken.stderr), "simulate of what is no record");
    let token = scene.write("token", WRONG_TOKEN);
    let token = token.to_str().unwrap();
    for arguments in [
        &["explain", CUSTOMER, "--url", "http://127.0.0.1:1", "--token-file", token][..],
        &["erase", CUSTOMER, "--reason", "r", "--url", "http://127.0.0.1:1", "--token-file", token],
    ] {
        let output = scene.lapsed(arguments, "", false);
        assert_eq!(output.status.code(), Some(1));
        nobody_and_no_secret(&text(&output.stderr), "a service that is not there");
    }
    let demo = scene.lapsed(
        &["demo", "--seconds", "0", "--years", "1", "--customers", "20", "--listen", "127.0.0.1:0"],
        "",
        false,
    );
    assert!(demo.status.success(), "{demo:?}");
    nobody_and_no_secret(&(text(&demo.stdout) + &text(&demo.stderr)), "the demonstration");
}

/// Tokens are read anew; the evidence key may not change, and what was in force stays; a changed password of `kafka` is
/// tested where rights are.
#[test]
fn a_secret_whose_file_changes() {
    let scene = Scene::new();
    let running = scene.start("info.log", "info");
    until(PATIENCE, || (scene.ask("GET", "/readyz", None, "").0 == 200).then_some(()).ok_or_else(|| running.log()));
    assert_eq!([scene.explains(DESK), scene.explains(NEXT_DESK)], [200, 401]);

    // Without a signal: files are looked at each ten seconds.
    scene.write("desk", NEXT_DESK);
    until(PATIENCE, || (scene.explains(NEXT_DESK) == 200).then_some(()).ok_or_else(|| running.log()));
    assert_eq!([scene.explains(DESK), scene.explains(PRIVACY)], [401, 200]);
    running.says("tokens were read anew");
    assert!(!running.log().contains("a new configuration is in force"), "no gate closes for a token");
    // An empty file, as an editor leaves it for a moment, lets nobody in, nor anybody out.
    scene.write("desk", "");
    signal(&running.child, "HUP");
    running.says("is not taken over");
    assert_eq!([scene.explains(NEXT_DESK), scene.explains("")], [200, 401]);
    scene.write("desk", DESK);
    signal(&running.child, "HUP");
    until(PATIENCE, || (scene.explains(DESK) == 200).then_some(()).ok_or_else(|| running.log()));
    assert_eq!(scene.metric("lapsed_config_last_reload_successful"), Some(1.0));

    let key_of_look_up = |scene: &Scene| {
        assert_eq!(scene.explains(DESK), 200);
        let audit = support::service::read_committed(&scene.broker.plain, "marked.audit", PATIENCE);
        audit.into_iter().rfind(|(_, value)| value.contains("look_up")).unwrap().0
    };
    let pseudonym = key_of_look_up(&scene);
    scene.write("evidence", NEXT_EVIDENCE);
    signal(&running.child, "HUP");
    running.says("evidence.key must never change");
    assert_eq!(scene.metric("lapsed_config_last_reload_successful"), Some(0.0));
    assert_eq!(key_of_look_up(&scene), pseudonym, "the old key stays in force");
    scene.write("evidence", EVIDENCE);
    signal(&running.child, "HUP");
    until(PATIENCE, || {
        let is_well = scene.metric("lapsed_config_last_reload_successful") == Some(1.0);
        is_well.then_some(()).ok_or_else(|| running.log())
    });
    // A file that is gone takes nothing with it.
    std::fs::remove_file(scene.path("privacy")).unwrap();
    signal(&running.child, "HUP");
    until(PATIENCE, || {
        let is_ill = scene.metric("lapsed_config_last_reload_successful") == Some(0.0);
        is_ill.then_some(()).ok_or_else(|| running.log())
    });
    assert_eq!(scene.explains(PRIVACY), 200);
    nobody_and_no_secret(&running.end(), "the log");
}

/// A panic quotes what was worked on; the log tells where it was, and no more.
#[test]
fn a_panic_tells_where_it_was_and_not_what_it_quotes() {
    const CHILD: &str = "LAPSED_TEST_PANICS";
    if std::env::var_os(CHILD).is_some() {
        lapsed::telemetry::logs::init(lapsed::telemetry::logs::LogFormat::Text);
        let customer = format!("{CUSTOMER}ß");
        let cut = std::thread::spawn(move || customer[..CUSTOMER.len() + 1].len());
        assert!(cut.join().is_err());
        return;
    }
    let panics = |level: &str| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "a_panic_tells_where_it_was_and_not_what_it_quotes", "--nocapture"]);
        let output = run_with(command.env(CHILD, "1").env("LAPSED_LOG", level).env("RUST_BACKTRACE", "1"));
        assert!(output.status.success(), "{output:?}");
        text(&output.stdout) + &text(&output.stderr)
    };
    let told = panics("info");
    assert!(
        told.contains("panicked") && told.contains(&Path::new("tests").join("kafka_markers.rs").display().to_string()),
        "{told}"
    );
    nobody_and_no_secret(&told, "a panic");
    assert!(panics("debug").contains(CUSTOMER), "at DEBUG it says what it says");
}

fn run_with(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}
