//! What people do to the service, on Apache Kafka: release and stop, a change of policy between two instances,
//! and what evidence tells afterwards.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "a run tells its figures")]

mod support;

use lapsed::wire::partition::shard_of;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::service::{Application, PARTITIONS, nothing_is_twice, now_ms, read_committed, target_obeys, text};

const LATENESS_SECONDS: u64 = 2;
/// Longer than what falls due needs: progress is told every ten seconds.
const PATIENCE: Duration = Duration::from_secs(60);
const HOUR_MS: i64 = 3_600_000;

/// Offers go to `crm`, letters to `mailing`; both are about the same customers.
fn yaml(name: &str, bootstrap: &str, offers: &str, letters: &str) -> String {
    format!(
        "application: {name}
time_zone: Europe/Amsterdam
short_periods: true
max_gate_lag: PT20S
brake: {{per_day: 100%, at_least: 1000000}}
kafka: {{bootstrap.servers: '{bootstrap}', session.timeout.ms: 6000, heartbeat.interval.ms: 1000}}
evidence: {{key: a key of this test only}}
http: {{listen: '127.0.0.1:0'}}
topics: {{partitions: {PARTITIONS}, replication_factor: 1}}
sources:
  shop:
    topics: [{name}.activity]
    customer: /customer
    time: /at
    history_from: beginning
    allowed_lateness: PT{LATENESS_SECONDS}S
    max_silence: PT1M
    rules: [{{when: {{/event: seen}}, activity: seen}}]
targets:
  crm: {{topic: {name}.crm, acknowledge_within: PT1M}}
  mailing: {{topic: {name}.mailing, acknowledge_within: PT1M}}
policies:
  offers:
    purpose: {{en: Offers that fit until some seconds after the last visit}}
    lawful_basis: legitimate_interest
    interest: {{en: keeping customers}}
    categories: [email, name]
    since_last: [seen]
    stages: {offers}
    targets: [crm]
    mode: enforce
    review_by: 2099-01-01
  letters:
    purpose: {{en: Letters on paper until some seconds after the last visit}}
    lawful_basis: legitimate_interest
    interest: {{en: keeping customers}}
    categories: [address]
    since_last: [seen]
    stages: {letters}
    targets: [mailing]
    mode: enforce
    review_by: 2099-01-01
"
    )
}

/// One stage that removes.
fn expire_after(seconds: u32) -> String {
    format!("[{{after: PT{seconds}S, command: expire}}]")
}

/// An application whose customers a test sends, whose commands a target collects and answers.
struct Scene {
    application: Application,
    producer: ThreadedProducer<rdkafka::producer::DefaultProducerContext>,
    commands: Mutex<Vec<Value>>,
    /// Nobody visits.
    quiet: AtomicBool,
    stop: AtomicBool,
}

impl Scene {
    fn new(yaml: impl Fn(&str, &str) -> String) -> Scene {
        let application = Application::new(&support::broker::bootstrap(), yaml);
        application.create_topics();
        let producer = ClientConfig::new().set("bootstrap.servers", &application.bootstrap).create().unwrap();
        Scene {
            application,
            producer,
            commands: Mutex::default(),
            quiet: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        }
    }

    /// Plays `test` while somebody visits unless it is quiet, and the targets answer what `answers` says.
    fn play(&self, answers: impl Fn(&Value) -> bool + Send, test: impl FnOnce(&Scene)) {
        std::thread::scope(|scope| {
            scope.spawn(|| target_obeys(&self.application, answers, &self.commands, &self.stop));
            scope.spawn(|| {
                while !self.stop.load(Ordering::Relaxed) {
                    if !self.quiet.load(Ordering::Relaxed) {
                        self.see(&["stays-0".to_owned(), "stays-1".to_owned()], now_ms());
                    }
                    std::thread::sleep(Duration::from_millis(200));
                }
            });
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(self)));
            self.stop.store(true, Ordering::Relaxed);
            outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        });
        nothing_is_twice(&self.commands.lock().unwrap());
    }

    fn see(&self, customers: &[String], at_ms: i64) {
        let topic = self.application.topic("activity");
        for customer in customers {
            let payload = json!({"customer": customer, "event": "seen", "at": at_ms}).to_string();
            self.producer.send(BaseRecord::<(), _>::to(&topic).payload(&payload)).map_err(|(error, _)| error).unwrap();
        }
        self.producer.flush(Duration::from_secs(20)).unwrap();
    }

    /// Whatever payloads.
    fn send(&self, payloads: &[String]) {
        let topic = self.application.topic("activity");
        for payload in payloads {
            self.producer.send(BaseRecord::<(), _>::to(&topic).payload(payload)).map_err(|(error, _)| error).unwrap();
        }
        self.producer.flush(Duration::from_secs(20)).unwrap();
    }

    /// So many commands of a policy about each customer so far.
    fn sent(&self, policy: &str, group: &[String]) -> BTreeMap<String, usize> {
        let mut sent = BTreeMap::new();
        for command in self.commands.lock().unwrap().iter().filter(|command| text(command, "policy") == policy) {
            if group.iter().any(|customer| customer == text(command, "customer")) {
                *sent.entry(text(command, "customer").to_owned()).or_default() += 1;
            }
        }
        sent
    }

    fn await_all(&self, policy: &str, group: &[String]) {
        until(|| {
            let sent = self.sent(policy, group).len();
            (sent == group.len()).then_some(()).ok_or(format!("{sent} of {} have had {policy}", group.len()))
        });
    }

    /// Everyone has had one command, no more and no less, and every shard has sent its own.
    fn all_went_once(&self, policy: &str, group: &[String]) {
        let sent = self.sent(policy, group);
        assert_eq!(sent.len(), group.len());
        assert!(sent.values().all(|count| *count == 1), "{sent:?}");
    }

    fn lapsed(&self, file: &Path, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lapsed"));
        command.args(arguments).arg("-c").arg(file).output().unwrap()
    }

    /// What it prints, when it must succeed.
    fn told(&self, file: &Path, arguments: &[&str]) -> String {
        let output = self.lapsed(file, arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Who is due in a policy by tomorrow, and for what they wait. Nobody is listed twice.
    fn due(&self, file: &Path, policy: &str) -> BTreeMap<String, String> {
        let table = self.told(file, &["due", policy, "--json", "--by", &tomorrow()]);
        let mut due = BTreeMap::new();
        for line in table.lines() {
            let listed: Value = serde_json::from_str(line).unwrap();
            let waits = listed["waits_for"].as_str().unwrap().to_owned();
            let twice = due.insert(listed["customer"].as_str().unwrap().to_owned(), waits);
            assert!(twice.is_none(), "{line}");
        }
        due
    }

    fn waiting_for_release(&self, file: &Path, policy: &str) -> BTreeSet<String> {
        self.due(file, policy)
            .into_iter()
            .filter(|(_, waits)| waits == "release")
            .map(|(customer, _)| customer)
            .collect()
    }

    fn release(&self, file: &Path, policy: &str, at_most: usize, reason: &str) -> Output {
        let at_most = at_most.to_string();
        let by = tomorrow();
        self.lapsed(
            file,
            &["release", policy, "--due-by", &by, "--at-most", &at_most, "--reason", reason, "--by", "Petra de Vries"],
        )
    }

    fn orders(&self) -> Vec<Value> {
        let (from, to) = (yesterday(), tomorrow());
        let told = self.told(
            &self.application.file(),
            &["evidence", "--policy", "offers", "--from", &from, "--to", &to, "--json"],
        );
        let certificate: Value = serde_json::from_str(&told).unwrap();
        certificate["orders"].as_array().unwrap().clone()
    }

    /// Everything committed in the audit topic: key and value.
    fn audit(&self) -> Vec<(String, String)> {
        read_committed(&self.application.bootstrap, &self.application.topic("audit"), PATIENCE)
    }

    /// No value of the audit topic, and no key, names a customer.
    fn audit_names_nobody(&self, customers: &[String]) {
        for (key, value) in self.audit() {
            let named = customers.iter().find(|customer| value.contains(*customer) || key.contains(*customer));
            assert!(named.is_none(), "{named:?}: {key} {value}");
        }
    }
}

fn day(offset: i64) -> String {
    (chrono::DateTime::from_timestamp_millis(now_ms()).unwrap() + chrono::Duration::days(offset))
        .date_naive()
        .to_string()
}

fn tomorrow() -> String {
    day(1)
}

fn yesterday() -> String {
    day(-1)
}

fn until<T>(found: impl FnMut() -> Result<T, String>) -> T {
    support::service::until(PATIENCE, found)
}

/// Customers in every shard.
fn group(name: &str, size: usize) -> Vec<String> {
    let group: Vec<String> = (0..size).map(|number| format!("{name}-{number}")).collect();
    assert_eq!(by_shard(group.iter()).len(), 4, "a group leaves a shard out: {group:?}");
    group
}

fn by_shard<'c>(customers: impl Iterator<Item = &'c String>) -> BTreeMap<u32, usize> {
    let mut shards = BTreeMap::new();
    for customer in customers {
        *shards.entry(shard_of(customer.as_bytes(), u32::try_from(PARTITIONS).unwrap())).or_default() += 1;
    }
    shards
}

fn set(group: &[String]) -> BTreeSet<String> {
    group.iter().cloned().collect()
}

/// What was due before the first run, and what a person has stopped, waits for a person: in every shard, with
/// nobody twice, and with the person's name in evidence.
#[test]
fn people_release_and_stop() {
    let scene = Scene::new(|name, bootstrap| yaml(name, bootstrap, &expire_after(5), &expire_after(6)));
    let (backlog, flowing, stopped) = (group("backlog", 40), group("flowing", 16), group("stopped", 16));
    scene.see(&backlog, now_ms() - HOUR_MS);
    scene.play(
        |_| true,
        |scene| {
            let file = scene.application.file();
            let instance = scene.application.start("pod-0");
            scene.application.await_shards();

            // What falls due now leaves, so that the gate is open; what was due before the first run waits.
            scene.see(&flowing, now_ms());
            scene.await_all("offers", &flowing);
            scene.await_all("letters", &flowing);
            assert_eq!(scene.sent("offers", &backlog).len(), 0, "{}", instance.tail());
            assert_eq!(scene.waiting_for_release(&file, "offers"), set(&backlog));
            assert_eq!(scene.waiting_for_release(&file, "letters"), set(&backlog));
            assert!(scene.told(&file, &["due", "offers", "--by", &tomorrow()]).contains("  release  "));

            let number = scene.due(&file, "offers").len();
            let refused = scene.release(&file, "offers", number - 1, "one too few");
            assert_eq!(refused.status.code(), Some(1), "{refused:?}");
            let why = String::from_utf8(refused.stderr).unwrap();
            assert!(why.contains(&format!("{number} are due in 'offers'")), "{why}");
            assert!(why.contains("nothing is released"), "{why}");
            std::thread::sleep(Duration::from_secs(3));
            assert_eq!(scene.waiting_for_release(&file, "offers"), set(&backlog), "a refusal changes nothing");
            assert_eq!(scene.sent("offers", &backlog).len(), 0);
            assert_eq!(scene.orders(), Vec::<Value>::new());

            let released = scene.release(&file, "offers", number, "the list was seen");
            assert!(released.status.success(), "{released:?}");
            scene.await_all("offers", &backlog);
            let listed: BTreeMap<u32, usize> = by_shard(scene.sent("offers", &backlog).keys());
            assert_eq!(listed, by_shard(backlog.iter()), "every shard has sent its own");
            println!("released {number}, by shard: {listed:?}");

            let stop = scene.lapsed(&file, &["stop", "offers", "--reason", "wrong segment", "--by", "Sam Visser"]);
            assert!(stop.status.success(), "{stop:?}");
            until(|| {
                let orders = scene.orders();
                let obeyed = orders.len() == 2 && orders[1]["shards_obeyed"] == PARTITIONS;
                obeyed.then_some(()).ok_or(format!("{orders:?}"))
            });
            scene.see(&stopped, now_ms());
            // Letters about the same customers, due a second later, show that nothing else holds them back.
            scene.await_all("letters", &stopped);
            assert_eq!(scene.sent("offers", &stopped).len(), 0);
            assert!(scene.waiting_for_release(&file, "offers").is_superset(&set(&stopped)));
            let number = scene.due(&file, "offers").len();
            let released = scene.release(&file, "offers", number, "the segment was right");
            assert!(released.status.success(), "{released:?}");
            scene.await_all("offers", &stopped);

            // Nobody follows twice, and nobody whom no one released.
            std::thread::sleep(Duration::from_secs(3));
            for group in [&backlog, &flowing, &stopped] {
                scene.all_went_once("offers", group);
            }
            assert_eq!(scene.sent("letters", &backlog).len(), 0, "a release is of one policy");
            let people = ["the list was seen", "wrong segment", "the segment was right"];
            told_by_evidence(scene, &people);
            let everyone = [&backlog[..], &flowing, &stopped, &["stays-".to_owned()]].concat();
            scene.audit_names_nobody(&everyone);
            println!("{} commands, each committed once", scene.commands.lock().unwrap().len());
        },
    );
}

/// Says for a person that a doubt about the shop is none, once it is there. Until then there is nothing to say.
fn accept(scene: &Scene, doubt: &str, reason: &str) -> String {
    let file = scene.application.file();
    until(|| {
        let arguments = ["accept", "shop", doubt, "--reason", reason, "--by", "Petra de Vries"];
        let accepted = scene.lapsed(&file, &arguments);
        let told = String::from_utf8(accepted.stderr).unwrap();
        match accepted.status.code() {
            Some(0) => Ok(told),
            Some(1) if told.contains("accepted") || told.contains("nothing to accept") => Err(told),
            _ => panic!("{told}"),
        }
    })
}

/// A source falls silent, and floods with what can't be read: nothing leaves until a person answers for it,
/// and a restart remembers that they did.
#[test]
fn people_answer_for_a_source_in_doubt() {
    let scene = Scene::new(|name, bootstrap| {
        let text = yaml(name, bootstrap, &expire_after(5), &expire_after(6));
        text.replace("max_silence: PT1M", "max_silence: PT15S")
    });
    let (before, silent, flooded, restarted) =
        (group("before", 16), group("silent", 16), group("flooded", 16), group("restarted", 16));
    scene.play(
        |_| true,
        |scene| {
            let instance = scene.application.start("pod-0");
            scene.application.await_shards();
            scene.see(&before, now_ms());
            scene.await_all("offers", &before);

            // Whoever was seen last is due later than anything was heard.
            scene.quiet.store(true, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(500));
            scene.see(&silent, now_ms());
            let told = accept(scene, "--silence", "the shop moves");
            assert!(told.contains("has matched nothing in topic"), "{told}");
            scene.await_all("offers", &silent);

            scene.quiet.store(false, Ordering::Relaxed);
            let garbage: Vec<String> =
                (0..60).map(|number| format!("{{\"event\": \"seen\", \"at\": {number}}}")).collect();
            scene.send(&garbage);
            let told = accept(scene, "--rejects", "a broken import");
            assert!(told.contains("were rejected"), "{told}");
            scene.see(&flooded, now_ms());
            scene.await_all("offers", &flooded);

            drop(instance);
            let instance = scene.application.start("pod-0");
            scene.see(&restarted, now_ms());
            scene.await_all("offers", &restarted);
            let nothing = scene.lapsed(&scene.application.file(), &["accept", "shop", "--gap", "--reason", "none"]);
            assert_eq!(nothing.status.code(), Some(1), "{nothing:?}");
            scene.send(&garbage);
            until(|| {
                let told = instance.log_text();
                told.contains("more of its records were rejected").then_some(()).ok_or(told)
            });
            [&before, &silent, &flooded, &restarted].into_iter().for_each(|group| scene.all_went_once("offers", group));
            let mut answers: BTreeMap<String, Vec<(u64, Value)>> = BTreeMap::new();
            for (_, value) in scene.audit() {
                let entry: Value = serde_json::from_str(&value).unwrap();
                if entry["order"] == "accept" {
                    assert_eq!((&entry["source"], &entry["by"]), (&json!("shop"), &json!("Petra de Vries")));
                    let told = (entry["shard"].as_u64().unwrap(), entry["refused"].clone());
                    answers.entry(entry["reason"].as_str().unwrap().to_owned()).or_default().push(told);
                }
            }
            answers.values_mut().for_each(|told| told.sort_by_key(|(shard, _)| *shard));
            let by_all: Vec<(u64, Value)> = (0..4).map(|shard| (shard, Value::Null)).collect();
            assert_eq!(answers.remove("the shop moves"), Some(by_all.clone()));
            assert_eq!(answers.remove("a broken import"), Some(by_all));
            assert!(answers.is_empty(), "{answers:?}");
        },
    );
}

/// The three instructions, as the certificate and the audit topic have them.
fn told_by_evidence(scene: &Scene, reasons: &[&str; 3]) {
    let orders = scene.orders();
    assert_eq!(orders.len(), 3, "{orders:?}");
    let who = ["Petra de Vries", "Sam Visser", "Petra de Vries"];
    for (((order, kind), reason), by) in orders.iter().zip(["release", "stop", "release"]).zip(reasons).zip(who) {
        assert_eq!((&order["order"], &order["reason"], &order["by"]), (&json!(kind), &json!(reason), &json!(by)));
        assert_eq!((&order["shards_obeyed"], &order["shards_refused"]), (&json!(PARTITIONS), &json!(0)), "{order}");
    }
    let mut by_shard: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (_, value) in scene.audit() {
        let entry: Value = serde_json::from_str(&value).unwrap();
        if entry["entry"] == "instruction" {
            by_shard.entry(entry["id"].as_str().unwrap().to_owned()).or_default().push(entry);
        }
    }
    assert_eq!(by_shard.len(), 3);
    for order in &orders {
        let told = &by_shard[order["id"].as_str().unwrap()];
        let shards: BTreeSet<u64> = told.iter().map(|entry| entry["shard"].as_u64().unwrap()).collect();
        assert_eq!((told.len(), shards), (4, (0..4).collect()), "{told:?}");
        let people = |entry: &Value| entry["by"] == order["by"] && entry["reason"] == order["reason"];
        assert!(told.iter().all(people), "{told:?}");
        let customers: u64 = told.iter().filter_map(|entry| entry["at_most"].as_u64()).sum();
        assert_eq!(order["customers"], customers);
    }
    let (from, to) = (yesterday(), tomorrow());
    let told = scene.told(&scene.application.file(), &["evidence", "--policy", "offers", "--from", &from, "--to", &to]);
    for part in ["by Petra de Vries: the list was seen", "stop, by Sam Visser: wrong segment", "obeyed by 4 shards"] {
        assert!(told.contains(part), "{part}\n{told}");
    }
}

/// While two instances have different policies nothing but recalls leaves; when they agree, what was due at
/// the change waits for a person and the rest leaves.
#[test]
fn instances_that_differ_send_nothing_but_recalls() {
    let write = |name: &str, bootstrap: &str| yaml(name, bootstrap, &expire_after(5), &expire_after(5));
    let scene = Scene::new(write);
    let (before, during, after) = (group("before", 16), group("during", 24), group("after", 16));
    let returns = group("returns", 16);
    // Those who return have not been answered, so that what was sent about them can be recalled.
    let answers = |command: &Value| !text(command, "customer").starts_with("returns");
    scene.play(answers, |scene| {
        let new = yaml(&scene.application.name, &scene.application.bootstrap, &expire_after(6), &expire_after(5));
        let old = scene.application.file();
        let files: [PathBuf; 2] = [old.with_file_name("pod-0.yaml"), old.with_file_name("pod-1.yaml")];
        files.iter().for_each(|file| _ = std::fs::copy(&old, file).unwrap());
        let instances =
            [scene.application.start_with("pod-0", &files[0]), scene.application.start_with("pod-1", &files[1])];
        scene.application.await_shards();
        let reload = |pod: usize| {
            let taken = || instances[pod].tail().matches("a new configuration is in force").count();
            let before = taken();
            std::fs::write(&files[pod], &new).unwrap();
            instances[pod].signal("HUP");
            until(|| (taken() > before).then_some(()).ok_or(instances[pod].tail()));
        };

        scene.see(&before, now_ms());
        std::thread::sleep(Duration::from_secs(4));
        scene.see(&returns, now_ms());
        scene.await_all("offers", &before);
        scene.await_all("offers", &returns);

        reload(1);
        // Until every shard has heard of it, and what was under way is committed.
        std::thread::sleep(Duration::from_secs(8));
        let old_commands = scene.commands.lock().unwrap().len();
        scene.see(&during, now_ms());
        scene.see(&returns, now_ms());
        // Period, lateness, twice the time between two progress records, and a little.
        std::thread::sleep(Duration::from_secs(6 + LATENESS_SECONDS + 20));
        let commands = scene.commands.lock().unwrap()[old_commands..].to_vec();
        let others = commands.iter().find(|command| text(command, "command") != "recall");
        assert!(others.is_none(), "left while instances differ: {others:?}");
        let recalled: BTreeSet<&str> = commands.iter().map(|command| text(command, "customer")).collect();
        assert_eq!(recalled, returns.iter().map(String::as_str).collect(), "recalls leave all the same");

        let refused = scene.release(&old, "offers", 1_000, "with one version only");
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(String::from_utf8(refused.stderr).unwrap().contains("runs version"), "shards differ");

        reload(0);
        scene.see(&after, now_ms());
        scene.await_all("offers", &after);
        scene.await_all("letters", &during);
        let left = scene.sent("offers", &during).into_keys().collect::<BTreeSet<_>>();
        let waiting: BTreeSet<String> =
            scene.waiting_for_release(&files[0], "offers").intersection(&set(&during)).cloned().collect();
        assert!(!waiting.is_empty(), "what was due at the change waits");
        assert_eq!(left.union(&waiting).cloned().collect::<BTreeSet<_>>(), set(&during), "or it has left");
        assert!(left.is_disjoint(&waiting));
        let number = scene.due(&files[0], "offers").len();
        let released = scene.release(&files[0], "offers", number, "the shorter list was seen");
        assert!(released.status.success(), "{released:?}");
        scene.await_all("offers", &during);
        std::thread::sleep(Duration::from_secs(2));
        [&before, &during, &after].into_iter().for_each(|group| scene.all_went_once("offers", group));
        println!(
            "recalls while they differed: {}; after the change {} left by themselves, {} under the release",
            commands.len(),
            left.len(),
            waiting.len()
        );
    });
}

/// What evidence tells of a customer who was warned and removed.
#[test]
fn evidence_tells_a_customer_s_story() {
    let stages = "[{after: PT4S, command: warn}, {after: PT9S, command: expire}]";
    let scene = Scene::new(|name, bootstrap| yaml(name, bootstrap, stages, &expire_after(9)));
    let gone = group("gone", 24);
    scene.play(
        |_| true,
        |scene| {
            let file = scene.application.file();
            let _instance = scene.application.start("pod-0");
            scene.application.await_shards();
            scene.see(&gone, now_ms());
            let story = until(|| {
                let output = scene.lapsed(&file, &["evidence", &gone[0], "--json"]);
                let story: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
                let entries = story["entries"].as_array().cloned().unwrap_or_default();
                (entries.len() == 6).then_some(story.clone()).ok_or(format!("{story}"))
            });
            check_story(scene, &gone[0], &story);
            let told = scene.told(&file, &["evidence", &gone[0]]);
            for part in [
                "warn sent to crm",
                "expire sent to crm",
                "expire sent to mailing",
                "because its period has run out: since seen on",
                "crm answered done",
                "mailing answered done",
                "Offers that fit until some seconds after the last visit",
                "Letters on paper until some seconds after the last visit",
            ] {
                assert!(told.contains(part), "{part}\n{told}");
            }
            scene.await_all("offers", &gone);
            let stranger = scene.lapsed(&file, &["evidence", "nobody"]);
            assert_eq!(stranger.status.code(), Some(1), "{stranger:?}");
            let audit = scene.audit();
            assert!(audit.len() > 8, "{audit:?}");
            scene.audit_names_nobody(&[&gone[..], &["stays-".to_owned(), "gone-".to_owned()]].concat());
            println!("{} records of evidence, none names a customer", audit.len());
        },
    );
}

/// Warned and removed under offers, removed under letters: each sent, answered, and on its text.
fn check_story(scene: &Scene, customer: &str, story: &Value) {
    let entries = story["entries"].as_array().unwrap();
    let of = |kind: &str| entries.iter().filter(|entry| entry["entry"] == kind).collect::<Vec<_>>();
    let (sent, acknowledged) = (of("sent"), of("acknowledged"));
    let what: BTreeSet<(&str, &str)> =
        sent.iter().map(|sent| (sent["policy"].as_str().unwrap(), sent["command"].as_str().unwrap())).collect();
    assert_eq!(what, BTreeSet::from([("offers", "warn"), ("offers", "expire"), ("letters", "expire")]));
    let commands = scene.commands.lock().unwrap();
    for sent in &sent {
        let command = commands.iter().find(|command| command["id"] == sent["id"]).expect("it was committed");
        assert_eq!(text(command, "customer"), customer);
        for field in ["command", "target", "deadline", "since", "categories"] {
            assert_eq!(command["data"][field], sent[field], "{field}");
        }
        let answers: Vec<_> = acknowledged.iter().filter(|ack| ack["command"] == sent["id"]).collect();
        assert_eq!(answers.len(), 1, "{story}");
        assert_eq!((&answers[0]["result"], &answers[0]["target"]), (&json!("done"), &sent["target"]));
        let policies = story["policies"].as_array().unwrap();
        let text = policies.iter().find(|text| text["policy"] == sent["policy"]).expect("its text is told");
        assert_eq!(text["policy_version"], sent["policy_version"]);
        assert!(text["purpose"]["en"].as_str().unwrap().contains("until some seconds after the last visit"));
    }
    assert_eq!(acknowledged.len(), 3, "{story}");
}

/// A target that still lists whom it has removed is told once more: those who are gone, once for an order, and
/// nobody who has come back.
#[test]
fn a_target_is_told_once_more_about_those_it_still_lists() {
    const PRIVACY: &str = "the secret of the privacy officer";
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let scene = Scene::new(|name, bootstrap| {
        let text =
            yaml(name, bootstrap, &expire_after(5), &expire_after(6)) + "forget: {after: PT3S, suppress_for: P1D}\n";
        let http = format!("http: {{listen: '{address}', tokens: {{privacy: {{secret: {PRIVACY}, may: operate}}}}}}");
        text.replace("http: {listen: '127.0.0.1:0'}", &http)
    });
    let (gone, back, stays) = (group("gone", 24), group("back", 16), vec!["stays-0".to_owned()]);
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("privacy");
    std::fs::write(&token, PRIVACY).unwrap();
    let asks = |arguments: &[&str], input: &str| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_lapsed"))
            .args(arguments)
            .args(["--url", &format!("http://{address}"), "--token-file"])
            .arg(&token)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let resent = |group: &[String]| {
        let commands = scene.commands.lock().unwrap();
        let is_it = |command: &&Value| {
            command["data"]["since"]["kind"] == "forgotten" && group.iter().any(|id| id == text(command, "customer"))
        };
        commands.iter().filter(is_it).cloned().collect::<Vec<Value>>()
    };
    scene.play(
        |_| true,
        |scene| {
            let instance = scene.application.start("pod-0");
            scene.application.await_shards();
            let everyone = [gone.clone(), back.clone()].concat();
            scene.see(&everyone, now_ms());
            let list = [everyone.clone(), stays.clone(), vec!["nobody".to_owned()]].concat().join("\n");
            // Removed, answered, and our own record gone.
            until(|| {
                let stats = asks(&["status", "--json"], "").stdout;
                let status: Value = serde_json::from_slice(&stats).unwrap_or_default();
                let all = status["forgotten"] == 40;
                all.then_some(()).ok_or_else(|| format!("{} are forgotten\n{}", status["forgotten"], instance.tail()))
            });
            let told = asks(&["reconcile", "crm"], &list);
            assert_eq!(told.status.code(), Some(1), "{told:?}");
            assert!(
                String::from_utf8_lossy(&told.stderr).contains("1 due, 0 fine, 40 forgotten, 1 unknown")
                    || String::from_utf8_lossy(&told.stderr).contains("0 due, 1 fine, 40 forgotten, 1 unknown"),
                "{told:?}"
            );

            let few = asks(&["reconcile", "crm", "--send", "--reason", "CRM-88", "--at-most", "39"], &list);
            assert!(String::from_utf8_lossy(&few.stderr).contains("40 are forgotten, more than 39"), "{few:?}");
            let order = uuid::Uuid::now_v7().to_string();
            let send = ["reconcile", "crm", "--send", "--reason", "CRM-88", "--order", &order];
            let sent = asks(&send, &list);
            assert!(sent.status.success(), "{sent:?}");
            assert!(String::from_utf8_lossy(&sent.stderr).contains("crm is to be told once more about 40"), "{sent:?}");
            // Before anything can leave some of them are seen again.
            scene.see(&back, now_ms());
            until(|| {
                let number = resent(&gone).len();
                (number == gone.len()).then_some(()).ok_or_else(|| format!("{number}\n{}", instance.tail()))
            });
            let again = asks(&send, &list);
            assert!(again.status.success(), "{again:?}");
            until(|| {
                let stats = asks(&["status", "--json"], "").stdout;
                let status: Value = serde_json::from_slice(&stats).unwrap_or_default();
                (status["forgotten"] == 40).then_some(()).ok_or_else(|| format!("{status}"))
            });
            // The word that was repeated, as soon as they are forgotten anew.
            let again = asks(&send, &list);
            assert!(again.status.success(), "{again:?}");
            scene.await_all("letters", &back);
            std::thread::sleep(Duration::from_secs(5));
            let sent = resent(&gone);
            assert_eq!(sent.len(), gone.len(), "once: {sent:?}");
            let targets: BTreeSet<&str> = sent.iter().map(|command| text(command, "target")).collect();
            assert_eq!(targets, BTreeSet::from(["crm"]));
            assert_eq!(resent(&back), Vec::<Value>::new(), "whoever was seen again is left alone");
            let told = asks(&["evidence", &gone[0]], "");
            let told = String::from_utf8(told.stdout).unwrap();
            assert!(told.contains(&format!("privacy ordered that crm be told once more ({order}): CRM-88")), "{told}");
            let told = String::from_utf8(asks(&["evidence", &back[0]], "").stdout).unwrap();
            assert!(
                told.contains(&format!("crm is not told once more ({order}): the customer was seen since")),
                "{told}"
            );
            scene.audit_names_nobody(&everyone);
        },
    );
}
