//! Ingest's loop on Apache Kafka itself: what it forwards, what it claims, and what a restart knows.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use lapsed::config::{Config, Environment, load};
use lapsed::ingest::status::IngestStatus;
use lapsed::ingest::worker::{IngestError, IngestWorker};
use lapsed::kafka::clients::{Clients, Isolation};
use lapsed::kafka::offsets::{End, ends};
use lapsed::retention::progress::{History, PartitionProgress};
use lapsed::telemetry::metrics::Metrics;
use lapsed::wire::progress::{self, PROGRESS, Progress};
use lapsed::wire::signal::{SIGHTINGS, decode_sightings};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use support::broker::{bootstrap, create_topic, create_topic_with, unique};

const SHARDS: i32 = 2;
const PATIENCE: Duration = Duration::from_secs(60);

fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// An application's topics, its configuration, and what has arrived in its shards.
struct Stage {
    application: String,
    topics: String,
    reread: u32,
    signals: BaseConsumer,
    arrived: Vec<(Option<String>, Vec<u8>)>,
}

impl Stage {
    fn new(partitions: i32) -> Stage {
        let application = unique("ingest");
        let stamped = [("message.timestamp.type", "LogAppendTime")];
        create_topic_with(&bootstrap(), &format!("{application}.signals"), SHARDS, &stamped);
        for topic in ["acks", "rejects"] {
            create_topic(&bootstrap(), &format!("{application}.{topic}"), 1);
        }
        create_topic(&bootstrap(), &format!("{application}-source"), partitions);
        let signals: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", bootstrap()).set("group.id", "reader").create().unwrap();
        let mut list = TopicPartitionList::new();
        for shard in 0..SHARDS {
            list.add_partition_offset(&format!("{application}.signals"), shard, Offset::Beginning).unwrap();
        }
        signals.assign(&list).unwrap();
        let topics = format!("{application}-source");
        Stage { application, topics, reread: 1, signals, arrived: Vec::new() }
    }

    fn source(&self) -> String {
        format!("{}-source", self.application)
    }

    fn config(&self) -> Arc<Config> {
        let text = format!(
            "
application: {application}
time_zone: UTC
short_periods: true
max_gate_lag: PT20S
kafka: {{bootstrap.servers: '{bootstrap}', session.timeout.ms: 6000}}
evidence: {{key: 0123456789abcdef0123456789abcdef}}
topics: {{partitions: {SHARDS}, replication_factor: 1}}
sources:
  web:
    topics: ['{topics}']
    customer: /user
    time: record
    reread: {reread}
    allowed_lateness: PT10S
    max_silence: PT12H
    rules: [{{when: {{/event: login}}, activity: login}}]
targets:
  crm: {{topic: crm.commands, acknowledge_within: P1D}}
policies:
  offers:
    purpose: {{en: Relevant offers until an hour after your last login}}
    lawful_basis: legitimate_interest
    interest: {{en: keeping customers}}
    categories: [email]
    since_last: [login]
    stages: [{{after: PT1H, command: expire}}]
    targets: [crm]
    review_by: 2099-01-01
",
            application = self.application,
            bootstrap = bootstrap(),
            topics = self.topics,
            reread = self.reread,
        );
        let today = "2026-06-01".parse().unwrap();
        let loaded = load::from_texts(&[("lapsed.yaml".to_owned(), text)], Environment::Leave, today);
        Arc::new(loaded.unwrap_or_else(|error| panic!("{error}")).config)
    }

    /// Logins of customers, each in partition number % partitions.
    fn logins(&self, customers: std::ops::Range<u32>, partitions: i32) {
        let producer = producer(&[]);
        for customer in customers {
            let payload = format!(r#"{{"event": "login", "user": "c{customer}"}}"#);
            let partition = i32::try_from(customer).unwrap() % partitions;
            let topic = self.source();
            let record = BaseRecord::<(), _>::to(&topic).partition(partition).payload(&payload);
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
    }

    /// Reads the shards until what has arrived is enough.
    fn until(&mut self, what: &str, mut enough: impl FnMut(&Stage) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !enough(self) {
            assert!(Instant::now() < deadline, "{what}: not within a minute; latest {:?}", self.latest());
            if let Some(Ok(message)) = self.signals.poll(Duration::from_millis(200)) {
                let customer = message.key().map(|key| String::from_utf8(key.to_vec()).unwrap());
                self.arrived.push((customer, message.payload().unwrap().to_vec()));
            }
        }
    }

    fn customers(&self) -> BTreeSet<&str> {
        let alone = self.arrived.iter().filter_map(|(customer, _)| customer.as_deref());
        let together = self.arrived.iter().filter(|(_, value)| value[0] == SIGHTINGS);
        let together = together.flat_map(|(_, value)| decode_sightings(value).unwrap()).map(|seen| seen.customer);
        alone.chain(together).collect()
    }

    fn reports(&self) -> impl DoubleEndedIterator<Item = Progress> {
        let is_report = |(_, value): &&(Option<String>, Vec<u8>)| value[0] == PROGRESS;
        self.arrived.iter().filter(is_report).map(|(_, value)| progress::decode(value).unwrap())
    }

    /// The latest report on each partition.
    fn latest(&self) -> BTreeMap<u32, PartitionProgress> {
        let all = self.reports().flat_map(|progress| progress.partitions);
        all.map(|report| (report.partition, report)).collect()
    }

    /// Waits until so many partitions are reported complete up to now, by whichever instance.
    fn until_complete(&mut self, partitions: usize) {
        let now = now_ms() / 1000;
        self.until("complete", |stage| {
            let latest = stage.latest();
            latest.len() == partitions
                && latest.values().all(|report| report.complete_to.is_some_and(|complete_to| complete_to.0 > now))
        });
    }
}

fn producer(properties: &[(&str, &str)]) -> ThreadedProducer<rdkafka::producer::DefaultProducerContext> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap());
    properties.iter().for_each(|(key, value)| _ = config.set(*key, *value));
    config.create().unwrap()
}

/// A running worker; stopped when it goes.
struct Running {
    stop: Arc<AtomicBool>,
    next: Arc<Mutex<Option<Arc<Config>>>>,
    thread: Option<JoinHandle<Result<(), IngestError>>>,
}

impl Running {
    fn start(config: &Arc<Config>, name: &str) -> Running {
        let stop = Arc::new(AtomicBool::new(false));
        let next: Arc<Mutex<Option<Arc<Config>>>> = Arc::default();
        let mut kafka = config.kafka.clone();
        if std::env::var("DBG").is_ok() {
            kafka.insert("debug".into(), "cgrp,consumer,topic".into());
        }
        let clients = Clients::new(kafka, "ingest", name.to_owned());
        let status = Arc::new(IngestStatus::new(Arc::new(Metrics::new())));
        let worker = IngestWorker::new(name, clients, config.clone(), status, next.clone()).unwrap();
        let stopping = stop.clone();
        let thread = std::thread::spawn(move || worker.run(&stopping));
        Running { stop, next, thread: Some(thread) }
    }

    fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap().unwrap();
    }
}

impl Running {
    fn reconfigure(&self, config: Arc<Config>) {
        *self.next.lock().unwrap() = Some(config);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[test]
fn what_was_read_is_forwarded_once_and_reported_complete() {
    let mut stage = Stage::new(3);
    let config = stage.config();
    stage.logins(0..30, 3);
    let worker = Running::start(&config, "a");
    stage.until_complete(3);
    assert_eq!(stage.customers().len(), 30);
    let report = &stage.latest()[&0];
    assert_eq!((report.records_last_hour, report.rejects_last_hour), (10, 0));
    assert!(report.rules[0].matched.is_some() && report.gap.is_none());
    worker.stop();

    // A restart knows what the run before did: nothing is read again.
    let first_read = report.first_read;
    stage.logins(30..36, 3);
    stage.arrived.clear();
    let worker = Running::start(&config, "a");
    stage.until_complete(3);
    assert_eq!(stage.customers().len(), 6);
    let report = &stage.latest()[&0];
    assert_eq!((report.first_read, report.records_last_hour), (first_read, 12));
    worker.stop();
}

fn admin() -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", bootstrap()).create().unwrap()
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

#[test]
fn ends_are_asked_for_many_partitions_at_once() {
    let stage = Stage::new(3);
    stage.logins(0..5, 3);
    let clients = Clients::new(stage.config().kafka.clone(), "ingest", "ends".to_owned());
    let reader = clients.reader(Isolation::ReadUncommitted, None).unwrap();
    let (source, acks) = (stage.source(), format!("{}.acks", stage.application));
    let names = [(source.as_str(), 0), (source.as_str(), 2), (acks.as_str(), 0)];
    let found = ends(&reader, names, End::Last, PATIENCE).unwrap();
    let of = |topic: &str, partition| found.get(&(topic.to_owned(), partition)).copied();
    assert_eq!((of(&source, 0), of(&source, 2), of(&acks, 0), found.len()), (Some(2), Some(1), Some(0), 3));
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&source, 0, Offset::Offset(1)).unwrap();
    wait(admin().delete_records(&list, &AdminOptions::new())).unwrap();
    let found = ends(&reader, [(source.as_str(), 0), ("nowhere", 0)], End::First, PATIENCE).unwrap();
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [((source, 0), 1)]);
}

#[test]
fn partitions_change_hands_without_a_doubt() {
    let mut stage = Stage::new(4);
    let config = stage.config();
    stage.logins(0..40, 4);
    let first = Running::start(&config, "a");
    stage.until_complete(4);
    let before = stage.latest();
    let second = Running::start(&config, "b");
    stage.until("shared", |stage| {
        let mut sizes: Vec<usize> = stage.reports().rev().take(8).map(|progress| progress.partitions.len()).collect();
        sizes.dedup();
        sizes.contains(&2) && !sizes.contains(&4)
    });
    stage.logins(40..48, 4);
    stage.until_complete(4);
    first.stop();
    stage.logins(48..56, 4);
    stage.until_complete(4);
    assert_eq!(stage.customers().len(), 56);
    for (partition, report) in stage.latest() {
        assert_eq!((report.first_read, report.gap), (before[&partition].first_read, None));
    }
    second.stop();
}

#[test]
fn an_open_transaction_holds_back_what_is_proven() {
    let mut stage = Stage::new(1);
    let config = stage.config();
    stage.logins(0..3, 1);
    let worker = Running::start(&config, "a");
    stage.until_complete(1);
    let transactional = producer(&[("transactional.id", &unique("source"))]);
    transactional.init_transactions(PATIENCE).unwrap();
    transactional.begin_transaction().unwrap();
    let topic = stage.source();
    let record = BaseRecord::<(), _>::to(&topic).partition(0).payload(r#"{"event": "login", "user": "hidden"}"#);
    transactional.send(record).map_err(|(error, _)| error).unwrap();
    transactional.flush(PATIENCE).unwrap();
    let opened = now_ms() / 1000 + 1;
    stage.logins(3..4, 1);
    // Eight more reports, two a shard every two seconds: all say no more than before it was opened.
    let count = stage.reports().count();
    stage.until("reports", |stage| stage.reports().count() >= count + 8);
    let complete_to = stage.latest()[&0].complete_to.unwrap();
    assert!(complete_to.0 <= opened, "{complete_to:?} with a transaction open since {opened}");
    assert!(!stage.customers().contains("hidden") && !stage.customers().contains("c3"));
    transactional.commit_transaction(PATIENCE).unwrap();
    // The marker it leaves at the end holds nothing back.
    stage.until_complete(1);
    assert!(stage.customers().contains("hidden") && stage.customers().contains("c3"));
    worker.stop();
}

#[test]
fn expired_records_are_a_gap_until_the_source_is_read_again() {
    let mut stage = Stage::new(1);
    stage.logins(0..5, 1);
    let worker = Running::start(&stage.config(), "a");
    stage.until_complete(1);
    worker.stop();
    stage.logins(5..10, 1);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&stage.source(), 0, Offset::Offset(8)).unwrap();
    wait(admin().delete_records(&list, &AdminOptions::new())).unwrap();
    let worker = Running::start(&stage.config(), "a");
    stage.until_complete(1);
    let report = stage.latest().remove(&0).unwrap();
    assert!(report.gap.is_some());
    assert_eq!(stage.customers().len(), 7);

    // A reload with another reading, under way.
    stage.reread = 2;
    stage.arrived.clear();
    worker.reconfigure(stage.config());
    stage.until_complete(1);
    let again = stage.latest().remove(&0).unwrap();
    assert_eq!((again.gap, again.first_read), (None, report.first_read));
    assert_ne!(again.reading, report.reading);
    assert_eq!(stage.customers(), BTreeSet::from(["c8", "c9"]));
    worker.stop();
}

#[test]
fn a_topic_made_anew_under_way_does_not_pass_for_the_old_one() {
    let mut stage = Stage::new(1);
    stage.logins(0..5, 1);
    let worker = Running::start(&stage.config(), "a");
    stage.until_complete(1);
    let before = stage.latest().remove(&0).unwrap();
    let source = stage.source();
    wait(admin().delete_topics(&[&source], &AdminOptions::new())).unwrap();
    stage.until("missed", |stage| stage.reports().next_back().unwrap().topics[0].partitions == 0);
    create_topic(&bootstrap(), &source, 1);
    stage.logins(5..7, 1);
    stage.until("read again", |stage| stage.customers().contains("c6"));
    stage.until_complete(1);
    let after = stage.latest().remove(&0).unwrap();
    assert!(after.gap.is_some() || after.first_read != before.first_read, "{after:?}");
    worker.stop();
}

#[test]
fn a_topic_that_joins_later_is_read_from_its_beginning() {
    let mut stage = Stage::new(1);
    stage.topics = format!("^{}-source", stage.application);
    stage.logins(0..5, 1);
    let worker = Running::start(&stage.config(), "a");
    stage.until_complete(1);
    let joining = format!("{}-source-2", stage.application);
    create_topic(&bootstrap(), &joining, 2);
    let producer = producer(&[]);
    let record = BaseRecord::<(), _>::to(&joining).partition(1).payload(r#"{"event": "login", "user": "new"}"#);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(PATIENCE).unwrap();
    stage.until("joined", |stage| {
        let latest = stage.reports().next_back();
        latest.is_some_and(|progress| {
            let complete = |report: &PartitionProgress| report.complete_to.is_some() && report.topic == joining;
            progress.partitions.iter().filter(|report| complete(report)).count() == 2
        })
    });
    assert!(stage.customers().contains("new"));
    let latest = stage.reports().next_back().unwrap();
    for report in latest.partitions {
        let is_whole = report.rules[0].history == History::Whole;
        assert_eq!(is_whole, report.topic == joining, "{report:?}");
    }
    worker.stop();
}

#[test]
fn partitions_that_are_added_are_read_under_way() {
    let mut stage = Stage::new(2);
    stage.logins(0..4, 2);
    let worker = Running::start(&stage.config(), "a");
    stage.until_complete(2);
    wait(admin().create_partitions([&NewPartitions::new(&stage.source(), 4)], &AdminOptions::new())).unwrap();
    stage.until("noticed", |stage| stage.reports().next_back().unwrap().topics[0].partitions == 4);
    stage.logins(4..12, 4);
    stage.until_complete(4);
    assert_eq!(stage.customers().len(), 12);
    assert_eq!(stage.latest()[&3].rules[0].history, History::Whole);
    worker.stop();
}

#[test]
fn rejects_are_named_and_not_copied() {
    let mut stage = Stage::new(1);
    let producer = producer(&[]);
    let topic = stage.source();
    for payload in ["secret nonsense", r#"{"event": "login", "user": "ann"}"#] {
        producer.send(BaseRecord::<(), _>::to(&topic).payload(payload)).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    let worker = Running::start(&stage.config(), "a");
    stage.until_complete(1);
    assert_eq!(stage.latest()[&0].rejects_total, 1);
    let reader: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", bootstrap()).set("group.id", "reader").create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&format!("{}.rejects", stage.application), 0, Offset::Beginning).unwrap();
    reader.assign(&list).unwrap();
    let reject = reader.poll(PATIENCE).unwrap().unwrap();
    assert!(reject.key().is_none());
    let text = std::str::from_utf8(reject.payload().unwrap()).unwrap();
    let value: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!((value["topic"].as_str(), value["offset"].as_i64()), (Some(topic.as_str()), Some(0)));
    assert!(!text.contains("secret"));
    worker.stop();
}
