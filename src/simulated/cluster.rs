//! One instance of `lapsed` on a log in memory: the real ingest and the real shards, a clock that somebody
//! else turns, and targets that obey.

use super::log::{Log, Record, Stamp};
use super::targets::TargetSystem;
use crate::config::{Config, TopicPattern};
use crate::ingest::extract::{NoHeaders, RecordView};
use crate::ingest::facts::{Committed, Look};
use crate::ingest::instance::{Instance, Sink, Slot};
use crate::retention::calendar::Timestamp;
use crate::retention::command::Command;
use crate::retention::gate::Doubt;
use crate::retention::policy::SourceIndex;
use crate::track::outputs::Outputs;
use crate::track::shard::{Home, Input, More, Shard};
use crate::wire;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How much of what has been forwarded is remembered, in bytes.
const CACHE_BYTES: usize = 4 << 20;
/// How many customers that fall due are judged at once.
const DUE_PER_BATCH: usize = 10_000;
/// The id of the cluster, in headers.
const CLUSTER: &str = "simulated";

/// Something worth telling.
#[derive(Clone, Debug)]
pub enum Happening {
    Sent {
        customer: String,
        command: Box<Command>,
    },
    /// A target has done what a command said.
    Done {
        customer: String,
        target: String,
    },
    /// A source's progress counts again, or does no longer, and why.
    Gate {
        source: String,
        doubts: Vec<Doubt>,
    },
}

pub struct Cluster {
    pub log: Log,
    config: Arc<Config>,
    instance: Instance,
    /// Committed source offsets, with what is kept beside them.
    commits: BTreeMap<(String, u32), (i64, String)>,
    positions: BTreeMap<(String, u32), i64>,
    shards: Vec<Shard>,
    targets: Vec<TargetSystem>,
    outputs: Outputs,
    produced: Produced,
    /// By source, whether its gate was open when last looked at.
    open: Vec<Option<bool>>,
}

/// What the instance has produced in a turn.
#[derive(Default)]
struct Produced {
    signals: Vec<(u32, Option<Vec<u8>>, Vec<u8>)>,
    rejects: Vec<Vec<u8>>,
    /// By shard, since the start.
    totals: BTreeMap<u32, u64>,
    rejects_total: u64,
}

impl Sink for Produced {
    fn signal(&mut self, shard: u32, customer: &str, value: &[u8]) {
        *self.totals.entry(shard).or_default() += 1;
        self.signals.push((shard, Some(customer.as_bytes().to_vec()), value.to_vec()));
    }

    fn sightings(&mut self, shard: u32, value: &[u8]) {
        *self.totals.entry(shard).or_default() += 1;
        self.signals.push((shard, None, value.to_vec()));
    }

    fn reject(&mut self, value: &[u8]) {
        self.rejects_total += 1;
        self.rejects.push(value.to_vec());
    }

    fn progress(&mut self, shard: u32, value: &[u8]) {
        self.signals.push((shard, None, value.to_vec()));
    }
}

impl Cluster {
    /// Makes the topics of a configuration, one partition each but for `signals` and `state`, and starts an
    /// instance. Targets obey after `delay_seconds`.
    pub fn new(config: Arc<Config>, delay_seconds: i64) -> Cluster {
        let mut log = Log::default();
        let partitions = config.topics.partitions;
        log.create(&format!("{}.signals", config.application), partitions, Stamp::LogAppendTime);
        log.create(&format!("{}.state", config.application), partitions, Stamp::CreateTime);
        for name in ["acks", "rejects"] {
            log.create(&format!("{}.{name}", config.application), 1, Stamp::CreateTime);
        }
        for pattern in config.sources.iter().flat_map(|source| &source.topics) {
            if let TopicPattern::Name(name) = pattern {
                log.create(name, 1, Stamp::CreateTime);
            }
        }
        let target =
            |target: &crate::retention::policy::Target| TargetSystem::new(&target.key, &target.topic, 1, delay_seconds);
        let targets: Vec<TargetSystem> = config.rules.targets.iter().map(target).collect();
        targets.iter().for_each(|target| log.create(&target.topic, 1, Stamp::CreateTime));
        let home = |partition| Home { partition, partitions, cluster: CLUSTER.to_owned() };
        let mut shards: Vec<Shard> = (0..partitions).map(|p| Shard::new(home(p), config.clone())).collect();
        for shard in &mut shards {
            shard.finish_restore(false).expect("an empty changelog is whole where nothing was committed");
        }
        Cluster {
            log,
            // What is forwarded twice costs nothing here, so the key need not be secret.
            instance: Instance::new(config.clone(), CACHE_BYTES, [7; 16]),
            commits: BTreeMap::new(),
            positions: BTreeMap::new(),
            shards,
            targets,
            outputs: Outputs::default(),
            produced: Produced::default(),
            open: vec![None; config.sources.len()],
            config,
        }
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    pub fn shards(&self) -> &[Shard] {
        &self.shards
    }

    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// A system reports something: a record for its topic, stamped at `at_ms`.
    pub fn report(&mut self, topic: &str, at_ms: i64, payload: &str) {
        let appended = self.log.append((topic, 0), None, Some(payload.as_bytes()), (at_ms, at_ms));
        debug_assert!(appended.is_some(), "there is no topic {topic}");
    }

    /// Turns the clock to `now_ms`, and everything once.
    pub fn tick(&mut self, now_ms: i64) -> Vec<Happening> {
        let mut happenings = Vec::new();
        self.ingest(now_ms);
        self.track(now_ms, &mut happenings);
        self.obey(now_ms, &mut happenings);
        self.look_at_gates(&mut happenings);
        happenings
    }

    fn ingest(&mut self, now_ms: i64) {
        let now = Timestamp::from_millis_floor(now_ms);
        let known: Vec<(String, u32)> = self.log.topics().map(|(name, count)| (name.to_owned(), count)).collect();
        let known = known.iter().map(|(name, count)| (name.as_str(), *count));
        for topic in self.instance.topics(now, known) {
            self.assign(&topic, now_ms);
        }
        let reading: Vec<(Slot, String, u32)> =
            self.instance.slots().map(|(slot, topic, partition)| (slot, topic.to_owned(), partition)).collect();
        for (slot, topic, partition) in &reading {
            self.read(*slot, topic, *partition, now_ms);
        }
        self.deliver(now_ms);
        for (slot, topic, partition) in &reading {
            self.instance.watermark(*slot, now, self.log.end(topic, *partition));
        }
        // Once for what has been read, once for what has been acknowledged of it.
        self.instance.turn();
        self.instance.turn();
        let commits = self.instance.commits(now_ms);
        for commit in &commits {
            let place = (commit.topic.clone(), commit.partition);
            self.commits.insert(place, (commit.offset, commit.metadata.clone()));
        }
        self.instance.committed(&commits);
        self.instance.progress(now_ms, &mut self.produced);
        self.deliver(now_ms);
    }

    fn assign(&mut self, topic: &str, now_ms: i64) {
        if self.instance.slot(topic, 0).is_some() {
            return;
        }
        let committed = self.commits.get(&(topic.to_owned(), 0));
        let committed = committed.map(|(offset, metadata)| Committed { offset: *offset, metadata });
        let look = Look {
            at: Timestamp::from_millis_floor(now_ms),
            topic: None,
            log_start: self.log.start(topic, 0),
            log_end: self.log.end(topic, 0),
        };
        if let Some((_, offset, _)) = self.instance.assign((topic, 0), committed, look, false, now_ms) {
            self.positions.insert((topic.to_owned(), 0), offset);
        }
    }

    fn read(&mut self, slot: Slot, topic: &str, partition: u32, now_ms: i64) {
        let position = self.positions.entry((topic.to_owned(), partition)).or_default();
        for Record { offset, timestamp_ms, key, value } in self.log.read(topic, partition, *position, usize::MAX) {
            let record = RecordView {
                timestamp_ms: Some(*timestamp_ms),
                key: key.as_deref(),
                payload: value.as_deref(),
                headers: &NoHeaders,
            };
            self.instance.record_of_many(slot, *offset, record, now_ms, &mut self.produced);
            *position = offset + 1;
        }
        self.instance.catch_up(&mut self.produced);
    }

    /// Appends what was produced, and acknowledges it.
    fn deliver(&mut self, now_ms: i64) {
        let (signals, rejects) = (self.topic("signals"), self.topic("rejects"));
        for (shard, key, value) in self.produced.signals.drain(..) {
            self.log.append((&signals, shard), key.as_deref(), Some(&value), (now_ms, now_ms));
            self.instance.clock(shard, now_ms, now_ms);
        }
        for value in self.produced.rejects.drain(..) {
            self.log.append((&rejects, 0), None, Some(&value), (now_ms, now_ms));
        }
        for (shard, total) in &self.produced.totals {
            self.instance.acked(*shard, *total);
        }
        self.instance.rejects_acked(self.produced.rejects_total);
        self.instance.turn();
    }

    fn topic(&self, name: &str) -> String {
        format!("{}.{name}", self.config.application)
    }

    fn track(&mut self, now_ms: i64, happenings: &mut Vec<Happening>) {
        for place in 0..self.shards.len() {
            while self.batch(place, now_ms, happenings) == More::Waiting {}
        }
    }

    /// One transaction of one shard.
    fn batch(&mut self, place: usize, now_ms: i64, happenings: &mut Vec<Happening>) -> More {
        let (signals, state) = (self.topic("signals"), self.topic("state"));
        let shard = &mut self.shards[place];
        let partition = shard.home().partition;
        shard.begin();
        let from = shard.next_offset().unwrap_or(0);
        for record in self.log.read(&signals, partition, from, usize::MAX) {
            let (key, value) = (record.key.as_deref(), record.value.as_deref());
            shard.apply(Input { offset: record.offset, append_ms: record.timestamp_ms, key, value });
        }
        self.outputs.clear();
        let more = shard.decide(now_ms, DUE_PER_BATCH, &mut self.outputs);
        let mut value = Vec::new();
        for (customer, command) in self.outputs.commands() {
            value.clear();
            wire::command::encode(command, customer, &self.config.rules, &mut value);
            let topic = &self.config.rules.target(command.target).topic;
            self.log.append((topic, 0), Some(customer.as_bytes()), Some(&value), (now_ms, now_ms));
            happenings.push(Happening::Sent { customer: customer.to_owned(), command: Box::new(command.clone()) });
        }
        self.outputs.clear();
        shard.changelog(&mut self.outputs);
        for (key, value) in self.outputs.changelog() {
            self.log.append((&state, partition), Some(key), value, (now_ms, now_ms));
        }
        shard.commit();
        let end = shard.next_offset().unwrap_or(0);
        self.log.trim(&signals, partition, end);
        more
    }

    fn obey(&mut self, now_ms: i64, happenings: &mut Vec<Happening>) {
        let (now, acks) = (Timestamp::from_millis_floor(now_ms), self.topic("acks"));
        for target in &mut self.targets {
            let position = target.positions[0];
            let new = self.log.read(&target.topic, 0, position, usize::MAX);
            let command =
                |record: &Record| record.value.as_deref().and_then(|value| serde_json::from_slice(value).ok());
            let commands: Vec<serde_json::Value> = new.filter_map(command).collect();
            commands.into_iter().for_each(|command| target.receive(command, now));
            target.positions[0] = self.log.end(&target.topic, 0);
            self.log.trim(&target.topic, 0, target.positions[0]);
            for (customer, answer) in target.obey(now) {
                let value = answer.to_string();
                self.log.append((&acks, 0), Some(customer.as_bytes()), Some(value.as_bytes()), (now_ms, now_ms));
                happenings.push(Happening::Done { customer, target: target.key.clone() });
            }
        }
    }

    fn look_at_gates(&mut self, happenings: &mut Vec<Happening>) {
        let Some(shard) = self.shards.first() else { return };
        let Some(now) = shard.now() else { return };
        for (place, was) in self.open.iter_mut().enumerate() {
            let index = SourceIndex(u16::try_from(place).unwrap_or(u16::MAX));
            let is_open = shard.gate().is_open(index, now);
            if *was != Some(is_open) {
                *was = Some(is_open);
                let source = self.config.sources[place].key.clone();
                happenings.push(Happening::Gate { source, doubts: shard.gate().doubts(index, now) });
            }
        }
    }
}
