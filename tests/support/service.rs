//! An application of its own on the shared broker, its instances as processes, and a target that answers.

use super::broker::create_topic_replicated;
use rdkafka::ClientConfig;
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseRecord, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Of `signals` and `state`.
pub const PARTITIONS: i32 = 4;
const PATIENCE: Duration = Duration::from_secs(20);

pub fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// One application of its own on the shared broker, with its configuration file.
pub struct Application {
    pub name: String,
    pub bootstrap: String,
    directory: tempfile::TempDir,
}

impl Application {
    /// `yaml` writes its configuration from its name and the broker's address.
    pub fn new(bootstrap: &str, yaml: impl Fn(&str, &str) -> String) -> Application {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("t{}-{}-{count}", std::process::id(), now_ms() % 100_000);
        let application =
            Application { name, bootstrap: bootstrap.to_owned(), directory: tempfile::tempdir().unwrap() };
        std::fs::write(application.file(), yaml(&application.name, bootstrap)).unwrap();
        application
    }

    pub fn file(&self) -> PathBuf {
        self.directory.path().join("lapsed.yaml")
    }

    pub fn topic(&self, name: &str) -> String {
        format!("{}.{name}", self.name)
    }

    /// Creates the application's topics with `lapsed topics --create`, and the source's by hand.
    pub fn create_topics(&self) {
        self.create_topics_replicated(1);
    }

    /// The same, where the configuration asks for so many replicas.
    pub fn create_topics_replicated(&self, replicas: i32) {
        for (topic, partitions) in [("activity", 3), ("crm", 2), ("mailing", 2)] {
            create_topic_replicated(&self.bootstrap, &self.topic(topic), partitions, replicas, &[]);
        }
        let output = Command::new(env!("CARGO_BIN_EXE_lapsed"))
            .args(["topics", "--create", "-c"])
            .arg(self.file())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    pub fn start(&self, pod: &str) -> Instance {
        self.start_with(pod, &self.file())
    }

    /// Starts an instance with a configuration of its own.
    pub fn start_with(&self, pod: &str, file: &Path) -> Instance {
        let log = self.directory.path().join(format!("{pod}.log"));
        let output = std::fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_lapsed"))
            .args(["run", "-c"])
            .arg(file)
            .env("HOSTNAME", pod)
            .stdout(Stdio::from(output.try_clone().unwrap()))
            .stderr(Stdio::from(output))
            .spawn()
            .unwrap();
        Instance { child, log }
    }

    /// Runs the service until every shard has written its state: what falls due later is no backlog.
    pub fn run_first(&self) {
        let _instance = self.start("pod-0");
        self.await_shards();
    }

    /// Waits until every shard has run.
    pub fn await_shards(&self) {
        let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", &self.bootstrap).create().unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        for partition in 0..PARTITIONS {
            // A topic just made has no leader for a moment.
            while consumer.fetch_watermarks(&self.topic("state"), partition, PATIENCE).map_or(0, |marks| marks.1) == 0 {
                assert!(Instant::now() < deadline, "shard {partition} has not run within a minute");
                std::thread::sleep(Duration::from_millis(200));
            }
        }
    }
}

/// A running `lapsed run`; ends with the test, however that ends.
pub struct Instance {
    pub child: Child,
    log: PathBuf,
}

impl Instance {
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Everything it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn tail(&self) -> String {
        tail(&self.log)
    }

    /// All that it has logged, and instances of its name before it.
    pub fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.kill();
    }
}

pub fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

/// A target system that reads committed commands, obeys and acknowledges those that it answers.
pub fn target_obeys(
    application: &Application,
    answers: impl Fn(&Value) -> bool,
    seen: &Mutex<Vec<Value>>,
    stop: &AtomicBool,
) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &application.bootstrap)
        .set("group.id", application.topic("target"))
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed")
        .create()
        .unwrap();
    let producer: ThreadedProducer<_> =
        ClientConfig::new().set("bootstrap.servers", &application.bootstrap).create().unwrap();
    let (crm, mailing) = (application.topic("crm"), application.topic("mailing"));
    consumer.subscribe(&[&crm, &mailing]).unwrap();
    while !stop.load(Ordering::Relaxed) {
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else { continue };
        let command: Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
        assert_eq!(message.key().unwrap(), command["data"]["customer"].as_str().unwrap().as_bytes());
        if answers(&command) {
            let answer = json!({
                "command": command["id"], "attempt": command["data"]["attempt"],
                "customer": command["data"]["customer"], "target": command["data"]["target"],
                "result": "done", "time": chrono::DateTime::<chrono::Utc>::from(SystemTime::now()).to_rfc3339(),
            });
            let key = command["data"]["customer"].as_str().unwrap().to_owned();
            let acks = application.topic("acks");
            producer
                .send(BaseRecord::to(&acks).key(&key).payload(&answer.to_string()))
                .map_err(|(error, _)| error)
                .unwrap();
        }
        seen.lock().unwrap().push(command);
    }
}

pub fn text<'v>(command: &'v Value, field: &str) -> &'v str {
    command["data"][field].as_str().unwrap_or_default()
}

pub fn instant(value: &Value) -> i64 {
    chrono::DateTime::parse_from_rfc3339(value.as_str().unwrap()).unwrap().timestamp()
}

pub fn nothing_is_twice(commands: &[Value]) {
    let mut seen = BTreeSet::new();
    for command in commands {
        let attempt = command["data"]["attempt"].as_u64().unwrap();
        let new = seen.insert((command["id"].as_str().unwrap(), attempt));
        assert!(new, "committed twice: {command}");
    }
}

/// Waits until it is found.
pub fn until<T>(patience: Duration, mut found: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        match found() {
            Ok(found) => return found,
            Err(why) => assert!(Instant::now() < deadline, "{why}"),
        }
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// Key and value of what is committed in a topic, up to its end as of now.
pub fn read_committed(bootstrap: &str, topic: &str, patience: Duration) -> Vec<(String, String)> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "reads without a group")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .create()
        .unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(20)).unwrap();
    let mut list = TopicPartitionList::new();
    for partition in metadata.topics()[0].partitions() {
        list.add_partition_offset(topic, partition.id(), Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let (mut ended, mut records) = (BTreeSet::new(), Vec::new());
    let deadline = Instant::now() + patience;
    while ended.len() < list.count() {
        assert!(Instant::now() < deadline, "{topic} can't be read to its end");
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => {
                let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
                records.push((text(message.key()), text(message.payload())));
            }
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(partition))) => _ = ended.insert(partition),
            Some(Err(error)) => panic!("{error}"),
            None => {}
        }
    }
    records
}
