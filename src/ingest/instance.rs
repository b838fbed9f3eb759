//! One ingest instance: records in; signals, rejects, progress and commits out. It reads no clock and
//! does no I/O; [`super::worker`] does for it, and the simulation.
//!
//! After each batch of records call [`Instance::turn`]; every second or so [`Instance::progress`] and
//! [`Instance::commits`], which know themselves whether something is due.

use super::clocks::Clocks;
use super::coalesce::{Coalescer, Entry};
use super::extract::{AHEAD_MAX, Extracted, Extractor, Outcome, Reason, RecordView};
use super::facts::{Committed, Facts, FactsPlan, Look, Start, TopicId};
use super::lanes::Lanes;
use super::partition::Partition;
use super::topics;
use crate::config::Config;
use crate::retention::activity::{KindTag, LastSeen};
use crate::retention::calendar::{Seconds, Timestamp};
use crate::retention::progress::{PartitionProgress, Progress, TopicPartitions};
use crate::wire::partition::shard_of;
use crate::wire::signal::Sighting;
use crate::wire::time::FIRST_SECONDS;
use crate::wire::{acknowledgement, progress, signal};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A topic takes records of a megabyte, unless told otherwise (`max.message.bytes`).
const REPORT_BYTES_MAX: usize = 512 << 10;

/// Takes what an instance produces. Records of one shard stay in order.
pub trait Sink {
    fn signal(&mut self, shard: u32, customer: &str, value: &[u8]);
    /// Activities of several customers, without a key.
    fn sightings(&mut self, shard: u32, value: &[u8]);
    /// For the topic of rejects, without a key.
    fn reject(&mut self, value: &[u8]);
    /// To the shard, without a key.
    fn progress(&mut self, shard: u32, value: &[u8]);
}

/// A partition that an instance reads; valid until it is revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot(usize);

/// An offset to commit, and its metadata in ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    pub topic: String,
    pub partition: u32,
    pub offset: i64,
    pub metadata: String,
}

/// What became of a source's records since the instance started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records that yielded signals.
    pub signals: u64,
    pub ignored: u64,
    pub skipped: u64,
    pub rejected: BTreeMap<Reason, u64>,
    /// Records whose time lay ahead and was replaced by their timestamp.
    pub replaced: u64,
    /// Signals that were forwarded; of those that were not, an equal or later one had been.
    pub forwarded: u64,
    pub coalesced: u64,
}

/// Activities that were read, and nobody has looked yet whether they are news.
#[derive(Default)]
struct Ahead {
    customers: String,
    activities: Vec<Waiting>,
}

struct Waiting {
    source: usize,
    kind: KindTag,
    entry: Entry,
    at: Timestamp,
    /// Where the customer's id ends in [`Ahead::customers`]; it begins where the one before ends.
    end: usize,
}

/// News for the shards, to be produced: one record for many.
#[derive(Default)]
struct News {
    /// By shard, how many and what.
    by_shard: Vec<(usize, Vec<u8>)>,
    /// Shards for which there are any, and perhaps some for which there are none any more.
    shards: Vec<u32>,
    /// Shards for which there is a record's worth.
    full: Vec<u32>,
}

/// A record of news is not much longer than this, in bytes: beyond that the next one costs nothing against its content.
const NEWS_BYTES: usize = 16 << 10;

/// With so many waiting they are looked at together.
const AHEAD_MAX_ACTIVITIES: usize = 32;

pub struct Instance {
    config: Arc<Config>,
    plans: Vec<FactsPlan>,
    acknowledgements: String,
    extractor: Extractor,
    extracted: Extracted,
    coalescer: Coalescer,
    ahead: Ahead,
    news: News,
    partitions: Vec<Option<Partition>>,
    slots: HashMap<String, BTreeMap<u32, Slot>>,
    /// One per shard, and the last for rejects.
    lanes: Lanes,
    clocks: Clocks,
    topics: Vec<TopicPartitions>,
    /// For how long topics keep their records; those that keep them for ever are left out.
    kept_for: BTreeMap<String, Seconds>,
    /// There were no other topics and partitions then.
    topics_at: Option<Timestamp>,
    /// When each shard was last reported to; `None`: it shall be at once.
    reported_at: Vec<Option<Timestamp>>,
    /// By source.
    counts: Vec<Counts>,
    acknowledgement_counts: Counts,
    buffer: Vec<u8>,
}

impl Instance {
    /// `cache_bytes` bounds the memory of what was forwarded; `key` must be random.
    pub fn new(config: Arc<Config>, cache_bytes: usize, key: [u8; 16]) -> Instance {
        let shards = config.topics.partitions as usize;
        let sources = config.sources.iter().zip(&config.rules.sources);
        Instance {
            plans: sources.map(|(source, trust)| FactsPlan::new(source, trust, &config.rules.kinds)).collect(),
            acknowledgements: topics::acknowledgements(&config),
            extractor: Extractor::new(&config),
            extracted: Extracted::default(),
            coalescer: Coalescer::new(cache_bytes, key),
            ahead: Ahead::default(),
            news: News { by_shard: vec![(0, Vec::new()); shards], ..News::default() },
            partitions: Vec::new(),
            slots: HashMap::new(),
            lanes: Lanes::new(shards + 1),
            clocks: Clocks::new(shards),
            topics: Vec::new(),
            kept_for: BTreeMap::new(),
            topics_at: None,
            reported_at: vec![None; shards],
            counts: vec![Counts::default(); config.sources.len()],
            acknowledgement_counts: Counts::default(),
            buffer: Vec::new(),
            config,
        }
    }

    pub fn shards(&self) -> u32 {
        self.config.topics.partitions
    }

    /// Starts to read a partition; see [`Facts::begin`]. Returns the offset to start at; `None`: no
    /// source reads the topic.
    pub fn assign(
        &mut self,
        (topic, partition): (&str, u32),
        committed: Option<Committed<'_>>,
        look: Look,
        joins_later: bool,
        now_ms: i64,
    ) -> Option<(Slot, i64, Start)> {
        self.revoke(topic, partition);
        let (offset, start, reading) = if topic == self.acknowledgements {
            let (offset, start) = begin_acknowledgements(committed, look);
            (offset, start, Partition::new(topic, partition, None, offset, start == Start::Continued))
        } else {
            let source = topics::source_of(&self.config, topic)?;
            let (offset, start, facts) = Facts::begin(&self.plans[source], committed, look, joins_later, now_ms);
            let mut reading = Partition::new(topic, partition, Some(source), offset, start == Start::Continued);
            reading.facts = Some(facts);
            (offset, start, reading)
        };
        let free = self.partitions.iter().position(Option::is_none).unwrap_or(self.partitions.len());
        if free == self.partitions.len() {
            self.partitions.push(None);
        }
        self.partitions[free] = Some(reading);
        self.slots.entry(topic.to_owned()).or_default().insert(partition, Slot(free));
        Some((Slot(free), offset, start))
    }

    /// Stops reading a partition. What is in flight of it stays counted.
    pub fn revoke(&mut self, topic: &str, partition: u32) {
        if let Some(Slot(place)) = self.slots.get_mut(topic).and_then(|slots| slots.remove(&partition)) {
            self.partitions[place] = None;
        }
    }

    pub fn slot(&self, topic: &str, partition: u32) -> Option<Slot> {
        self.slots.get(topic)?.get(&partition).copied()
    }

    /// The partitions being read, with their topics.
    pub fn slots(&self) -> impl Iterator<Item = (Slot, &str, u32)> {
        let read = self.partitions.iter().enumerate();
        read.filter_map(|(place, partition)| {
            partition.as_ref().map(|partition| (Slot(place), partition.topic.as_str(), partition.number))
        })
    }

    /// Reads one record. `now_ms` may be the time at which its batch was received.
    pub fn record(&mut self, slot: Slot, offset: i64, record: RecordView<'_>, now_ms: i64, sink: &mut impl Sink) {
        self.record_of_many(slot, offset, record, now_ms, sink);
        self.catch_up(sink);
    }

    /// Reads one record of many. After the last comes [`Instance::catch_up`]; until then none of them counts
    /// as read.
    pub fn record_of_many(
        &mut self,
        slot: Slot,
        offset: i64,
        record: RecordView<'_>,
        now_ms: i64,
        sink: &mut impl Sink,
    ) {
        let Some(partition) = self.partitions.get_mut(slot.0).and_then(Option::as_mut) else { return };
        partition.advance(offset + 1);
        let outcome = match partition.source {
            Some(source) => self.read_source(slot, source, record, now_ms, sink),
            None => self.read_acknowledgement(record, sink),
        };
        if let Outcome::Rejected(reason) = outcome {
            self.reject(slot, offset, reason, sink);
        }
    }

    fn read_source(
        &mut self,
        slot: Slot,
        source: usize,
        record: RecordView<'_>,
        now_ms: i64,
        sink: &mut impl Sink,
    ) -> Outcome {
        // Our clock may have gone back a moment ago, and reading stops only when an answer shows it. Until then it
        // can't say which record is ahead, and each may be a sign of life.
        let clock_ms = Some(now_ms).filter(|now_ms| !self.clocks.is_back(*now_ms));
        let outcome = self.extractor.extract(source, record, clock_ms, &mut self.extracted);
        self.note(slot, source, outcome, record.timestamp_ms, now_ms);
        if outcome == Outcome::Signals {
            self.forward(source, sink);
        }
        outcome
    }

    /// Keeps the facts of a record that was read.
    fn note(&mut self, slot: Slot, source: usize, outcome: Outcome, timestamp_ms: Option<i64>, now_ms: i64) {
        let Some(partition) = self.partitions[slot.0].as_mut() else { return };
        let (Some(facts), plan, counts) = (&mut partition.facts, &self.plans[source], &mut self.counts[source]) else {
            return;
        };
        let is_reject = matches!(outcome, Outcome::Rejected(_));
        facts.count(is_reject, now_ms);
        counts.count(outcome);
        counts.replaced += u64::from(self.extracted.replaced);
        if is_reject {
            return;
        }
        let Some(stamp) = timestamp_ms.filter(|stamp| is_plausible(*stamp, now_ms)) else { return };
        let (at, now) = (Timestamp::from_millis_floor(stamp), Timestamp::from_millis_floor(now_ms));
        if facts.is_unread() {
            let happened = self.extracted.latest.unwrap_or(Timestamp::MIN);
            facts.first_record(plan, happened.max(Timestamp::from_millis_ceil(stamp)));
        }
        for &rule in &self.extracted.matched {
            facts.matched(plan, usize::from(rule), at, now);
        }
    }

    /// Hands on what was extracted; activities wait to be looked at together.
    fn forward(&mut self, source: usize, sink: &mut impl Sink) {
        for activity in self.extracted.activities() {
            let kind = self.config.rules.kinds[usize::from(activity.kind.0)].tag;
            let entry = self.coalescer.entry(activity.customer, kind);
            self.ahead.customers.push_str(activity.customer);
            let end = self.ahead.customers.len();
            self.ahead.activities.push(Waiting { source, kind, entry, at: activity.at, end });
        }
        if self.ahead.activities.len() >= AHEAD_MAX_ACTIVITIES {
            self.look_up(sink);
        }
        let counts = &mut self.counts[source];
        // Claims are few, and none makes up for another.
        for (customer, claim) in self.extracted.claims() {
            counts.forwarded += 1;
            self.buffer.clear();
            signal::encode_claim(claim, &mut self.buffer);
            let shard = shard_of(customer.as_bytes(), self.config.topics.partitions);
            self.lanes.produced(shard as usize);
            sink.signal(shard, customer, &self.buffer);
        }
    }

    /// Hands on the activities that wait, unless they have been already.
    pub fn catch_up(&mut self, sink: &mut impl Sink) {
        self.look_up(sink);
        while let Some(shard) = self.news.shards.pop() {
            self.hand_on(shard, sink);
        }
    }

    /// Produces the news for a shard. What is alone has its customer for its key, as all other signals.
    fn hand_on(&mut self, shard: u32, sink: &mut impl Sink) {
        let (count, bytes) = &mut self.news.by_shard[shard as usize];
        match std::mem::take(count) {
            0 => return,
            1 => {
                for Sighting { customer, kind, at } in signal::decode_sightings(bytes).unwrap_or_default() {
                    self.buffer.clear();
                    signal::encode_activity(kind, at, &mut self.buffer);
                    sink.signal(shard, customer, &self.buffer);
                }
            }
            _ => sink.sightings(shard, bytes),
        }
        bytes.clear();
        self.lanes.produced(shard as usize);
    }

    /// Looks which of the activities that wait are news.
    fn look_up(&mut self, sink: &mut impl Sink) {
        let mut begin = 0;
        for Waiting { source, kind, entry, at, end } in self.ahead.activities.drain(..) {
            let customer = &self.ahead.customers[std::mem::replace(&mut begin, end)..end];
            let counts = &mut self.counts[source];
            if !self.coalescer.is_news(entry, LastSeen::at(at)) {
                counts.coalesced += 1;
                continue;
            }
            counts.forwarded += 1;
            let shard = shard_of(customer.as_bytes(), self.config.topics.partitions);
            let (count, bytes) = &mut self.news.by_shard[shard as usize];
            if *count == 0 {
                self.news.shards.push(shard);
            }
            *count += 1;
            Sighting { customer, kind, at }.encode(bytes);
            if bytes.len() >= NEWS_BYTES {
                self.news.full.push(shard);
            }
        }
        self.ahead.customers.clear();
        while let Some(shard) = self.news.full.pop() {
            self.hand_on(shard, sink);
        }
    }

    fn read_acknowledgement(&mut self, record: RecordView<'_>, sink: &mut impl Sink) -> Outcome {
        let outcome = match (record.payload, record.timestamp_ms) {
            (None, _) => Outcome::Ignored,
            (_, None) => Outcome::Rejected(Reason::RecordTimestamp),
            (Some(payload), Some(stamp)) => {
                let appended = Timestamp::from_millis_ceil(stamp);
                match acknowledgement::decode(payload, appended, self.config.zone) {
                    Err(_) => Outcome::Rejected(Reason::NoAcknowledgement),
                    Ok((customer, acknowledgement)) => {
                        self.buffer.clear();
                        signal::Signal::Acknowledgement(acknowledgement).encode(&mut self.buffer);
                        let shard = shard_of(customer.as_bytes(), self.config.topics.partitions);
                        self.lanes.produced(shard as usize);
                        sink.signal(shard, &customer, &self.buffer);
                        Outcome::Signals
                    }
                }
            }
        };
        self.acknowledgement_counts.count(outcome);
        outcome
    }

    fn reject(&mut self, slot: Slot, offset: i64, reason: Reason, sink: &mut impl Sink) {
        let Some(partition) = &self.partitions[slot.0] else { return };
        let value = serde_json::json!({
            "topic": partition.topic,
            "partition": partition.number,
            "offset": offset,
            "reason": reason.name(),
            "detail": reason.to_string(),
        });
        self.buffer.clear();
        self.buffer.extend_from_slice(value.to_string().as_bytes());
        self.lanes.produced(self.config.topics.partitions as usize);
        sink.reject(&self.buffer);
    }

    /// The brokers have acknowledged `total` records of a shard since the start.
    pub fn acked(&mut self, shard: u32, total: u64) {
        self.lanes.acked(shard as usize, total);
    }

    /// The brokers have acknowledged `total` rejects since the start.
    pub fn rejects_acked(&mut self, total: u64) {
        self.lanes.acked(self.config.topics.partitions as usize, total);
    }

    /// How many records the brokers have not acknowledged yet.
    pub fn in_flight(&self) -> u64 {
        self.lanes.in_flight()
    }

    /// A record was appended to a shard's log at `append_ms` by its clock, and `now_ms` by ours.
    pub fn clock(&mut self, shard: u32, append_ms: i64, now_ms: i64) {
        let shard = shard as usize;
        let agreed = self.clocks.agrees(shard);
        if self.clocks.observe(shard, append_ms, now_ms) {
            self.forget_moments();
        }
        if !agreed && self.clocks.agrees(shard) {
            self.reported_at[shard] = None;
        }
    }

    /// By a clock that was off nothing is known of when partitions were looked at.
    fn forget_moments(&mut self) {
        self.partitions.iter_mut().flatten().for_each(Partition::forget_moments);
        self.topics_at = None;
    }

    /// Whether records may be read: the clock agrees with those of most shards. The first progress finds
    /// that out, and later ones that it does again.
    pub fn may_read(&self) -> bool {
        self.clocks.agrees_with_most()
    }

    /// Everything below `position` has been read; it passes what is no record.
    pub fn position(&mut self, slot: Slot, position: i64) {
        if let Some(partition) = self.partitions.get_mut(slot.0).and_then(Option::as_mut) {
            partition.advance(position);
        }
    }

    /// The next offset that is expected of a partition.
    pub fn next_offset(&self, slot: Slot) -> Option<i64> {
        self.partitions.get(slot.0)?.as_ref().map(Partition::position)
    }

    /// Those of the partitions being read whose topic is another one by now. Where nothing was known of it, this
    /// is what it is.
    pub fn recreated(&mut self, topics: &HashMap<String, TopicId>) -> Vec<(String, u32)> {
        let mut recreated = Vec::new();
        for partition in self.partitions.iter_mut().flatten() {
            let (Some(&topic), Some(facts)) = (topics.get(&partition.topic), &mut partition.facts) else { continue };
            if facts.is_another(topic) {
                recreated.push((partition.topic.clone(), partition.number));
            }
        }
        recreated
    }

    /// The high watermark of a partition was `end` when it was asked for, after `at`, by a
    /// `read_uncommitted` client.
    pub fn watermark(&mut self, slot: Slot, at: Timestamp, end: i64) {
        if let Some(partition) = self.partitions.get_mut(slot.0).and_then(Option::as_mut) {
            partition.mark(at, end);
        }
    }

    /// All topics that the brokers know of, asked for after `at`. Returns those that the sources read, and
    /// the one with acknowledgements.
    pub fn topics<'t>(&mut self, at: Timestamp, known: impl Iterator<Item = (&'t str, u32)>) -> Vec<String> {
        self.topics = topics::resolve(&self.config, known);
        self.topics.iter_mut().for_each(|topic| topic.kept_for = self.kept_for.get(&topic.topic).copied());
        if self.topics_at.is_none() {
            self.reported_at.fill(None);
        }
        self.topics_at = self.topics_at.max(Some(at));
        let there = self.topics.iter().filter(|topic| topic.partitions > 0).map(|topic| topic.topic.clone());
        there.chain([self.acknowledgements.clone()]).collect()
    }

    /// For how long topics keep their records, in milliseconds; those that keep them for ever are left out.
    pub fn retentions(&mut self, retentions: &BTreeMap<String, i64>) {
        let seconds = |milliseconds: i64| Seconds(milliseconds.saturating_add(999) / 1000);
        self.kept_for = retentions.iter().map(|(topic, kept)| (topic.clone(), seconds(*kept))).collect();
    }

    /// The partitions of which any commit tells that a partition of `topic` joins later.
    pub fn elders(&self, topic: &str) -> Vec<(&str, u32)> {
        let source = self.topics.iter().find(|known| known.topic == topic).map(|known| known.source.as_str());
        let by_pattern = topics::is_read_by_pattern(&self.config, topic);
        let tells =
            |known: &&TopicPartitions| known.topic == topic || (by_pattern && Some(known.source.as_str()) == source);
        let topics = self.topics.iter().filter(tells);
        topics.flat_map(|known| (0..known.partitions).map(|partition| (known.topic.as_str(), partition))).collect()
    }

    /// After a batch: notes how far everything has come.
    pub fn turn(&mut self) {
        if !self.ahead.activities.is_empty() || !self.news.shards.is_empty() {
            // What waits has not been produced: nothing may count on it.
            return;
        }
        self.partitions.iter_mut().flatten().for_each(Partition::pass_marks);
        if self.lanes.all_have_reached() {
            self.partitions.iter_mut().flatten().for_each(Partition::pass_checkpoint);
            self.lanes.open_checkpoint();
        }
    }

    /// Reports to each shard that is due. Where the clock does not agree, or the topics are not known
    /// yet, the report is empty: it only shows which time it is there.
    pub fn progress(&mut self, now_ms: i64, sink: &mut impl Sink) {
        let now = Timestamp::from_millis_floor(now_ms);
        // The clock was ahead for a moment: nothing is complete up to an instant that is still to come.
        let is_ahead = |partition: &Partition| partition.newest_moment() > Some(now);
        if self.topics_at > Some(now) || self.partitions.iter().flatten().any(is_ahead) {
            self.forget_moments();
        }
        let every = self.config.rules.report_every();
        let mut reports: [Option<Vec<Vec<u8>>>; 2] = [None, None];
        let mut empty = Vec::new();
        self.encode_report(&[], Vec::new(), &mut empty);
        for shard in 0..self.config.topics.partitions {
            let place = shard as usize;
            if self.reported_at[place].is_some_and(|at| at <= now && now < at + every) {
                continue;
            }
            self.reported_at[place] = Some(now);
            if self.topics_at.is_none() || !self.clocks.agrees(place) {
                empty.iter().for_each(|report| sink.progress(shard, report));
                continue;
            }
            let has_reached = self.lanes.has_reached(place);
            let report = reports[usize::from(has_reached)].get_or_insert_with(|| {
                let partitions = self.partition_reports(has_reached, now_ms);
                let mut records = Vec::new();
                self.encode_report(&self.topics, partitions, &mut records);
                records
            });
            report.iter().for_each(|record| sink.progress(shard, record));
        }
    }

    fn partition_reports(&mut self, has_reached: bool, now_ms: i64) -> Vec<PartitionProgress> {
        let mut reports = Vec::new();
        // One whose beginning is not committed yet would seem to be another one after a crash.
        for partition in self.partitions.iter_mut().flatten().filter(|partition| partition.is_committed()) {
            let read_to = partition.handed_over(has_reached).read_to;
            let complete_to = read_to.zip(self.topics_at).map(|(read_to, topics_at)| read_to.min(topics_at));
            if let (Some(facts), Some(source)) = (&mut partition.facts, partition.source) {
                let name = (partition.topic.as_str(), partition.number);
                reports.push(facts.report(&self.plans[source], name, complete_to, now_ms));
            }
        }
        reports
    }

    /// One record, or several where one would be too large for a topic. Each stands by itself.
    fn encode_report(
        &self,
        topics: &[TopicPartitions],
        mut partitions: Vec<PartitionProgress>,
        records: &mut Vec<Vec<u8>>,
    ) {
        let mut bytes = Vec::new();
        let report = Progress { config: self.config.hash, topics: topics.to_vec(), partitions };
        progress::encode(&report, &mut bytes);
        partitions = report.partitions;
        if bytes.len() <= REPORT_BYTES_MAX || partitions.len() < 2 {
            return records.push(bytes);
        }
        let second = partitions.split_off(partitions.len() / 2);
        self.encode_report(topics, partitions, records);
        self.encode_report(topics, second, records);
    }

    /// Offsets to commit: nothing below them is in flight. Tell [`Instance::committed`] when they are.
    pub fn commits(&mut self, now_ms: i64) -> Vec<Commit> {
        let mut commits = Vec::new();
        for partition in self.partitions.iter_mut().flatten() {
            let Some(offset) = partition.to_commit() else { continue };
            let metadata = match (&mut partition.facts, partition.source) {
                (Some(facts), Some(source)) => facts.note(&self.plans[source], now_ms).encode(),
                _ => String::new(),
            };
            commits.push(Commit { topic: partition.topic.clone(), partition: partition.number, offset, metadata });
        }
        commits
    }

    /// These have been committed.
    pub fn committed(&mut self, commits: &[Commit]) {
        for commit in commits {
            if let Some(Slot(place)) = self.slot(&commit.topic, commit.partition)
                && let Some(partition) = &mut self.partitions[place]
            {
                partition.committed(commit.offset);
            }
        }
    }

    /// What became of a source's records; the source's place in the configuration.
    pub fn counts(&self, source: usize) -> &Counts {
        &self.counts[source]
    }

    /// What became of acknowledgements.
    pub fn acknowledgement_counts(&self) -> &Counts {
        &self.acknowledgement_counts
    }
}

impl Counts {
    fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Signals => self.signals += 1,
            Outcome::Ignored => self.ignored += 1,
            Outcome::Skipped => self.skipped += 1,
            Outcome::Rejected(reason) => *self.rejected.entry(reason).or_default() += 1,
        }
    }
}

/// Where a record names no customer, nothing else has looked at its timestamp. One from the future would
/// pass for a sign of life until then.
fn is_plausible(stamp_ms: i64, now_ms: i64) -> bool {
    (FIRST_SECONDS * 1000..=now_ms.saturating_add(AHEAD_MAX.0 * 1000)).contains(&stamp_ms)
}

/// Acknowledgements that are missing cost a command's further attempt: nothing is in doubt.
fn begin_acknowledgements(committed: Option<Committed<'_>>, look: Look) -> (i64, Start) {
    match committed {
        None => (look.log_start, Start::First),
        Some(committed) if (look.log_start..=look.log_end).contains(&committed.offset) => {
            (committed.offset, Start::Continued)
        }
        Some(_) => (look.log_start, Start::Gap),
    }
}
