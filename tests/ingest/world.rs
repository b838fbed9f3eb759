//! Source partitions, instances that read them, and the shards' logs.

use lapsed::config::{Config, Environment, load};
use lapsed::ingest::extract::{NoHeaders, RecordView};
use lapsed::ingest::facts::{Committed, Look, Start};
use lapsed::ingest::instance::{Commit, Instance, Sink};
use lapsed::retention::calendar::Timestamp;
use lapsed::wire::progress::{self, PROGRESS, Progress};
use lapsed::wire::signal::{SIGHTINGS, Sighting, Signal, decode_sightings};
use std::collections::BTreeMap;
use std::sync::Arc;

pub const START_MS: i64 = 1_780_000_000_000;

pub const CONFIG: &str = r"
application: lapsed
time_zone: UTC
kafka: {bootstrap.servers: nowhere:9092}
evidence: {key: 0123456789abcdef0123456789abcdef}
topics: {partitions: 2, replication_factor: 1}
sources:
  web:
    topics: [web.events]
    customer: /user
    time: record
    max_silence: PT12H
    rules:
      - {when: {/event: login}, activity: login}
      - {when: {/event: purchase}, activity: purchase}
targets:
  crm: {topic: crm.commands, acknowledge_within: P1D}
policies:
  offers:
    purpose: {en: Relevant offers until a year after your last login}
    lawful_basis: legitimate_interest
    interest: {en: keeping customers}
    categories: [email]
    since_last: [login, purchase]
    stages: [{after: P1Y, command: expire}]
    targets: [crm]
    review_by: 2027-06-01
";

pub fn config(text: &str) -> Arc<Config> {
    let texts = [("lapsed.yaml".to_owned(), text.to_owned())];
    let today = "2026-06-01".parse().unwrap();
    Arc::new(load::from_texts(&texts, Environment::Leave, today).unwrap_or_else(|error| panic!("{error}")).config)
}

#[derive(Clone, Debug)]
pub struct Record {
    pub timestamp_ms: i64,
    /// When it was appended.
    pub appended_ms: i64,
    pub payload: String,
}

impl Record {
    fn view(&self) -> RecordView<'_> {
        RecordView {
            timestamp_ms: Some(self.timestamp_ms),
            key: None,
            payload: Some(self.payload.as_bytes()),
            headers: &NoHeaders,
        }
    }
}

/// What reached a shard's log, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Arrived {
    Signal(String, Signal),
    Progress(Progress),
}

/// Source partitions by topic and number; an offset is a place, log starts are 0 unless trimmed.
#[derive(Default)]
pub struct Source {
    pub logs: BTreeMap<(String, u32), Vec<Record>>,
    pub starts: BTreeMap<(String, u32), i64>,
}

impl Source {
    pub fn create(&mut self, topic: &str, partitions: u32) {
        for partition in 0..partitions {
            self.logs.entry((topic.to_owned(), partition)).or_default();
        }
    }

    pub fn append(&mut self, topic: &str, partition: u32, now_ms: i64, payload: &str) {
        let log = self.logs.get_mut(&(topic.to_owned(), partition)).unwrap();
        log.push(Record { timestamp_ms: now_ms, appended_ms: now_ms, payload: payload.to_owned() });
    }

    pub fn topics(&self) -> BTreeMap<&str, u32> {
        let mut topics = BTreeMap::new();
        for (topic, _) in self.logs.keys() {
            *topics.entry(topic.as_str()).or_default() += 1;
        }
        topics
    }

    pub fn look(&self, topic: &str, partition: u32, now_ms: i64) -> Look {
        let key = (topic.to_owned(), partition);
        Look {
            at: Timestamp::from_millis_floor(now_ms),
            topic: None,
            log_start: self.starts.get(&key).copied().unwrap_or(0),
            log_end: self.logs[&key].len() as i64,
        }
    }
}

/// A signal with its customer, or progress.
pub type Produced = (Option<String>, Vec<u8>);

/// What an instance has handed to its producer and the brokers have not acknowledged yet.
#[derive(Default)]
pub struct InFlight {
    pub by_shard: BTreeMap<u32, Vec<Produced>>,
    pub rejects: Vec<String>,
    rejects_acked: u64,
    acked: BTreeMap<u32, u64>,
}

impl Sink for InFlight {
    fn signal(&mut self, shard: u32, customer: &str, value: &[u8]) {
        self.by_shard.entry(shard).or_default().push((Some(customer.to_owned()), value.to_vec()));
    }

    fn sightings(&mut self, shard: u32, value: &[u8]) {
        self.by_shard.entry(shard).or_default().push((None, value.to_vec()));
    }

    fn reject(&mut self, value: &[u8]) {
        self.rejects.push(String::from_utf8(value.to_vec()).unwrap());
    }

    fn progress(&mut self, shard: u32, value: &[u8]) {
        self.by_shard.entry(shard).or_default().push((None, value.to_vec()));
    }
}

/// An instance with its consumer's positions and its producer.
pub struct Reader {
    pub instance: Instance,
    positions: BTreeMap<(String, u32), i64>,
    pub in_flight: InFlight,
}

impl Reader {
    pub fn new(config: &Arc<Config>) -> Reader {
        Reader {
            instance: Instance::new(config.clone(), 1 << 12, [5; 16]),
            positions: BTreeMap::new(),
            in_flight: InFlight::default(),
        }
    }

    /// With a clock that agrees.
    pub fn started(config: &Arc<Config>, now_ms: i64) -> Reader {
        let mut reader = Reader::new(config);
        for shard in 0..config.topics.partitions {
            reader.instance.clock(shard, now_ms, now_ms);
        }
        reader
    }

    pub fn assign(
        &mut self,
        source: &Source,
        topic: &str,
        partition: u32,
        committed: &BTreeMap<(String, u32), Commit>,
        now_ms: i64,
    ) -> Start {
        let key = (topic.to_owned(), partition);
        let is_elder = |(topic, partition): &(&str, u32)| committed.contains_key(&((*topic).to_owned(), *partition));
        let joins_later = self.instance.elders(topic).iter().any(is_elder);
        let commit = committed.get(&key);
        let commit = commit.map(|commit| Committed { offset: commit.offset, metadata: &commit.metadata });
        let look = source.look(topic, partition, now_ms);
        let (_, offset, start) = self.instance.assign((topic, partition), commit, look, joins_later, now_ms).unwrap();
        self.positions.insert(key, offset);
        start
    }

    pub fn revoke(&mut self, topic: &str, partition: u32) {
        self.instance.revoke(topic, partition);
        self.positions.remove(&(topic.to_owned(), partition));
    }

    /// Reads up to `count` records of each partition.
    pub fn read(&mut self, source: &Source, count: usize, now_ms: i64) {
        for (key, position) in &mut self.positions {
            let slot = self.instance.slot(&key.0, key.1).unwrap();
            let log = &source.logs[key];
            for record in log.iter().skip(*position as usize).take(count) {
                self.instance.record_of_many(slot, *position, record.view(), now_ms, &mut self.in_flight);
                *position += 1;
            }
        }
        self.instance.catch_up(&mut self.in_flight);
        self.instance.turn();
    }

    pub fn look(&mut self, source: &Source, now_ms: i64) {
        self.instance.topics(Timestamp::from_millis_floor(now_ms), source.topics().into_iter());
        self.look_at_ends(source, now_ms);
    }

    pub fn look_at_ends(&mut self, source: &Source, now_ms: i64) {
        let at = Timestamp::from_millis_floor(now_ms);
        for (topic, partition) in self.positions.keys() {
            let slot = self.instance.slot(topic, *partition).unwrap();
            self.instance.watermark(slot, at, source.look(topic, *partition, now_ms).log_end);
        }
        self.instance.turn();
    }

    /// The brokers append up to `count` of what is in flight to a shard; returns it.
    pub fn deliver(&mut self, shard: u32, count: usize) -> Vec<Arrived> {
        let waiting = self.in_flight.by_shard.entry(shard).or_default();
        let arrived: Vec<_> = waiting.drain(..count.min(waiting.len())).collect();
        let signals = arrived.iter().filter(|(_, value)| value[0] != PROGRESS).count() as u64;
        let acked = self.in_flight.acked.entry(shard).or_default();
        *acked += signals;
        self.instance.acked(shard, *acked);
        self.in_flight.rejects_acked = self.in_flight.rejects.len() as u64;
        self.instance.rejects_acked(self.in_flight.rejects_acked);
        self.instance.turn();
        arrived.into_iter().flat_map(|(customer, value)| read_arrived(customer, &value)).collect()
    }

    /// The first record in flight to a shard fails, what is behind it arrives. That ends the instance.
    pub fn fail(&mut self, shard: u32) -> Vec<Arrived> {
        let waiting = std::mem::take(self.in_flight.by_shard.entry(shard).or_default());
        waiting.into_iter().skip(1).flat_map(|(customer, value)| read_arrived(customer, &value)).collect()
    }

    pub fn report(&mut self, now_ms: i64) {
        self.instance.progress(now_ms, &mut self.in_flight);
    }

    pub fn commit(&mut self, committed: &mut BTreeMap<(String, u32), Commit>, now_ms: i64) {
        let commits = self.instance.commits(now_ms);
        self.instance.committed(&commits);
        for commit in commits {
            committed.insert((commit.topic.clone(), commit.partition), commit);
        }
    }
}

fn read_arrived(customer: Option<String>, value: &[u8]) -> Vec<Arrived> {
    match customer {
        Some(customer) => vec![Arrived::Signal(customer, Signal::decode(value).unwrap())],
        None if value[0] == SIGHTINGS => {
            let signal = |seen: Sighting<'_>| {
                Arrived::Signal(seen.customer.to_owned(), Signal::Activity { kind: seen.kind, at: seen.at })
            };
            decode_sightings(value).unwrap().into_iter().map(signal).collect()
        }
        None => {
            assert_eq!(value[0], PROGRESS);
            vec![Arrived::Progress(progress::decode(value).unwrap())]
        }
    }
}
