//! Brokers in memory, with what exactly-once rests on: transactions whose markers are written in their own
//! time, the last stable offset, control records that take offsets, fencing of producers, and offsets that
//! wait for pending transactions.

use super::group::Group;
use crate::simulated::log::Stamp;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

/// How long a transaction may be open; then the coordinator aborts it and fences its producer.
pub const TRANSACTION_TIMEOUT_MS: i64 = 15_000;

/// A topic, by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(pub usize);

/// A partition of a topic.
pub type Place = (Topic, u32);

/// A transaction's number; no two have the same.
pub type Transaction = u64;

#[derive(Clone, Debug)]
pub struct Entry {
    pub offset: i64,
    pub timestamp_ms: i64,
    pub key: Option<Rc<[u8]>>,
    pub value: Option<Rc<[u8]>>,
    transaction: Option<Transaction>,
    is_marker: bool,
}

/// What a reader is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    Committed,
    Uncommitted,
}

#[derive(Debug, Default)]
struct Partition {
    start: i64,
    end: i64,
    entries: VecDeque<Entry>,
    /// Open transactions, with the offsets of their first records here.
    open: Vec<(Transaction, i64)>,
    aborted: BTreeSet<Transaction>,
}

impl Partition {
    fn stable_end(&self) -> i64 {
        self.open.iter().map(|(_, first)| *first).min().unwrap_or(self.end)
    }
}

#[derive(Debug)]
struct TopicLog {
    name: String,
    stamp: Stamp,
    partitions: Vec<Partition>,
}

#[derive(Debug)]
struct Pending {
    producer: String,
    /// When the coordinator aborts it.
    expires_ms: i64,
    /// How it ended; `None`: it is open.
    outcome: Option<bool>,
    /// Partitions whose markers are still to be written.
    unmarked: BTreeSet<Place>,
    /// Until then some leader can't be reached: its marker is not written.
    slow_until_ms: i64,
    offsets: BTreeMap<Place, i64>,
}

#[derive(Debug, Default)]
struct Producer {
    epoch: u64,
    open: Option<Transaction>,
}

/// Why a call of a transactional producer was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Another owns its id, or its transaction has timed out.
    Fenced,
    /// A transaction's offsets came on behalf of a membership that is over.
    StaleMembership,
}

/// All topics, the coordinators, and the two groups.
#[derive(Debug, Default)]
pub struct Kafka {
    topics: Vec<TopicLog>,
    producers: BTreeMap<String, Producer>,
    pending: BTreeMap<Transaction, Pending>,
    next_transaction: Transaction,
    now_ms: i64,
    pub track: Group,
    pub ingest: Group,
}

impl Kafka {
    pub fn create(&mut self, name: &str, partitions: u32, stamp: Stamp) -> Topic {
        let partitions = (0..partitions).map(|_| Partition::default()).collect();
        self.topics.push(TopicLog { name: name.to_owned(), stamp, partitions });
        Topic(self.topics.len() - 1)
    }

    pub fn add_partition(&mut self, topic: Topic) {
        self.topics[topic.0].partitions.push(Partition::default());
    }

    pub fn topic(&self, name: &str) -> Option<Topic> {
        self.topics.iter().position(|topic| topic.name == name).map(Topic)
    }

    pub fn name(&self, topic: Topic) -> &str {
        &self.topics[topic.0].name
    }

    pub fn partitions(&self, topic: Topic) -> u32 {
        u32::try_from(self.topics[topic.0].partitions.len()).unwrap_or(u32::MAX)
    }

    /// All topics with their partition counts.
    pub fn topics(&self) -> impl Iterator<Item = (&str, u32)> {
        (0..self.topics.len()).map(|place| (self.topics[place].name.as_str(), self.partitions(Topic(place))))
    }

    fn partition(&self, (topic, partition): Place) -> &Partition {
        &self.topics[topic.0].partitions[partition as usize]
    }

    fn partition_mut(&mut self, (topic, partition): Place) -> &mut Partition {
        &mut self.topics[topic.0].partitions[partition as usize]
    }

    /// Appends a record outside any transaction; returns its offset.
    pub fn append(
        &mut self,
        place: Place,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        (created_ms, now_ms): (i64, i64),
    ) -> i64 {
        let timestamp_ms = if self.topics[place.0.0].stamp == Stamp::LogAppendTime { now_ms } else { created_ms };
        self.push(place, key, value, timestamp_ms, None, false)
    }

    fn push(
        &mut self,
        place: Place,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        timestamp_ms: i64,
        transaction: Option<Transaction>,
        is_marker: bool,
    ) -> i64 {
        let partition = self.partition_mut(place);
        let offset = partition.end;
        partition.end += 1;
        let (key, value) = (key.map(Rc::from), value.map(Rc::from));
        partition.entries.push_back(Entry { offset, timestamp_ms, key, value, transaction, is_marker });
        offset
    }

    pub fn start(&self, place: Place) -> i64 {
        self.partition(place).start
    }

    /// The high watermark, or what a `read_committed` client is told: the last stable offset.
    pub fn end(&self, place: Place, isolation: Isolation) -> i64 {
        match isolation {
            Isolation::Committed => self.partition(place).stable_end(),
            Isolation::Uncommitted => self.partition(place).end,
        }
    }

    /// At most `count` committed records from `from` on, and the position behind them, which passes
    /// markers and what was aborted.
    pub fn read(&self, place: Place, from: i64, count: usize) -> (Vec<Entry>, i64) {
        let partition = self.partition(place);
        let stable_end = partition.stable_end();
        let first = partition.entries.partition_point(|entry| entry.offset < from);
        let mut records = Vec::new();
        for entry in partition.entries.range(first..).take_while(|entry| entry.offset < stable_end) {
            if records.len() == count {
                return (records, entry.offset);
            }
            let is_aborted = entry.transaction.is_some_and(|transaction| partition.aborted.contains(&transaction));
            if !entry.is_marker && !is_aborted {
                records.push(entry.clone());
            }
        }
        (records, from.max(stable_end))
    }

    /// Deletes the records before an offset.
    pub fn trim(&mut self, place: Place, before: i64) {
        let partition = self.partition_mut(place);
        let before = before.min(partition.end);
        while partition.entries.front().is_some_and(|entry| entry.offset < before) {
            partition.entries.pop_front();
        }
        partition.start = partition.start.max(before);
    }

    /// Compacts what is stable: of each key the newest committed record stays; markers and what was aborted
    /// go.
    pub fn compact(&mut self, place: Place) {
        let partition = self.partition_mut(place);
        let stable_end = partition.stable_end();
        let mut newest = BTreeMap::new();
        let aborted = std::mem::take(&mut partition.aborted);
        let is_over = |entry: &Entry| entry.offset < stable_end;
        let counts = |entry: &Entry| {
            !entry.is_marker && entry.transaction.is_none_or(|transaction| !aborted.contains(&transaction))
        };
        for entry in partition.entries.iter().filter(|entry| is_over(entry) && counts(entry)) {
            newest.insert(entry.key.clone(), entry.offset);
        }
        partition
            .entries
            .retain(|entry| !is_over(entry) || (counts(entry) && newest.get(&entry.key) == Some(&entry.offset)));
        partition.aborted = aborted;
    }

    /// Becomes the owner of a transactional id: fences an older one, and ends its transaction.
    pub fn init(&mut self, id: &str) -> u64 {
        let producer = self.producers.entry(id.to_owned()).or_default();
        producer.epoch += 1;
        let (epoch, open) = (producer.epoch, producer.open.take());
        if let Some(open) = open {
            self.finish(open, false);
        }
        self.complete_all_of(id);
        epoch
    }

    /// Begins a transaction that the coordinator aborts at `expires_ms`.
    ///
    /// # Errors
    /// When the producer was fenced.
    pub fn begin(&mut self, id: &str, epoch: u64, expires_ms: i64) -> Result<Transaction, Refused> {
        self.check_epoch(id, epoch)?;
        // The coordinator makes a producer wait until its transaction before is over.
        self.complete_all_of(id);
        self.next_transaction += 1;
        let transaction = self.next_transaction;
        let pending = Pending {
            producer: id.to_owned(),
            expires_ms,
            outcome: None,
            unmarked: BTreeSet::new(),
            slow_until_ms: 0,
            offsets: BTreeMap::new(),
        };
        self.pending.insert(transaction, pending);
        self.producers.entry(id.to_owned()).or_default().open = Some(transaction);
        Ok(transaction)
    }

    fn check_epoch(&self, id: &str, epoch: u64) -> Result<(), Refused> {
        if self.producers.get(id).is_some_and(|producer| producer.epoch == epoch) {
            Ok(())
        } else {
            Err(Refused::Fenced)
        }
    }

    fn check(&self, id: &str, epoch: u64, transaction: Transaction) -> Result<(), Refused> {
        self.check_epoch(id, epoch)?;
        let is_open = self.producers.get(id).is_some_and(|producer| producer.open == Some(transaction));
        if is_open { Ok(()) } else { Err(Refused::Fenced) }
    }

    /// # Errors
    /// When the producer was fenced.
    pub fn produce(
        &mut self,
        (id, epoch, transaction): (&str, u64, Transaction),
        place: Place,
        key: &[u8],
        value: Option<&[u8]>,
        now_ms: i64,
    ) -> Result<(), Refused> {
        self.check(id, epoch, transaction)?;
        let offset = self.push(place, Some(key), value, now_ms, Some(transaction), false);
        let partition = self.partition_mut(place);
        if !partition.open.iter().any(|(open, _)| *open == transaction) {
            partition.open.push((transaction, offset));
        }
        if let Some(pending) = self.pending.get_mut(&transaction) {
            pending.unmarked.insert(place);
        }
        Ok(())
    }

    /// Adds the track group's offsets to a transaction, which are committed with it.
    ///
    /// # Errors
    /// When the producer was fenced, or the membership is over.
    pub fn send_offsets(
        &mut self,
        (id, epoch, transaction): (&str, u64, Transaction),
        offsets: &[(Place, i64)],
        membership: Option<(u64, u64)>,
    ) -> Result<(), Refused> {
        self.check(id, epoch, transaction)?;
        if !membership.is_none_or(|membership| self.track.is_current(membership)) {
            return Err(Refused::StaleMembership);
        }
        if let Some(pending) = self.pending.get_mut(&transaction) {
            pending.offsets.extend(offsets.iter().copied());
        }
        Ok(())
    }

    /// The coordinator writes down how a transaction ends; its markers follow.
    ///
    /// # Errors
    /// When the producer was fenced.
    pub fn end_transaction(
        &mut self,
        (id, epoch, transaction): (&str, u64, Transaction),
        commit: bool,
    ) -> Result<(), Refused> {
        self.check(id, epoch, transaction)?;
        self.finish(transaction, commit);
        Ok(())
    }

    fn finish(&mut self, transaction: Transaction, commit: bool) {
        let Some(pending) = self.pending.get_mut(&transaction) else { return };
        pending.outcome = Some(commit);
        if let Some(producer) = self.producers.get_mut(&pending.producer)
            && producer.open == Some(transaction)
        {
            producer.open = None;
        }
    }

    fn complete_all_of(&mut self, id: &str) {
        let ended = |pending: &Pending| pending.producer == id && pending.outcome.is_some();
        let ended: Vec<Transaction> =
            self.pending.iter().filter(|(_, pending)| ended(pending)).map(|(transaction, _)| *transaction).collect();
        for transaction in ended {
            while self.write_marker(transaction, 0) {}
        }
    }

    /// Writes one more marker of an ended transaction, or its offsets; which, `dice` says. `false`: it was
    /// the last.
    fn write_marker(&mut self, transaction: Transaction, dice: usize) -> bool {
        let Some(pending) = self.pending.get_mut(&transaction) else { return false };
        let Some(commit) = pending.outcome else { return false };
        let left = pending.unmarked.len() + usize::from(!pending.offsets.is_empty());
        let chosen = dice.checked_rem(left).unwrap_or(0);
        match pending.unmarked.iter().nth(chosen).copied() {
            Some(place) => {
                pending.unmarked.remove(&place);
                let partition = self.partition_mut(place);
                partition.open.retain(|(open, _)| *open != transaction);
                if !commit {
                    partition.aborted.insert(transaction);
                }
                self.push(place, None, None, 0, Some(transaction), true);
            }
            None => {
                let offsets = std::mem::take(&mut pending.offsets);
                if commit {
                    let commits = offsets.into_iter().map(|(place, offset)| (place, (offset, String::new())));
                    self.track.offsets.extend(commits);
                }
            }
        }
        let is_over =
            self.pending.get(&transaction).is_some_and(|left| left.unmarked.is_empty() && left.offsets.is_empty());
        if is_over {
            self.pending.remove(&transaction);
        }
        !is_over
    }

    /// Time passes: transactions time out, and some markers are written.
    pub fn pass(&mut self, now_ms: i64, random: &mut fastrand::Rng) {
        self.now_ms = now_ms;
        let late = |pending: &Pending| pending.outcome.is_none() && now_ms > pending.expires_ms;
        let late: Vec<Transaction> =
            self.pending.iter().filter(|(_, pending)| late(pending)).map(|(transaction, _)| *transaction).collect();
        for transaction in late {
            if let Some(producer) = self.pending.get(&transaction).map(|pending| pending.producer.clone()) {
                self.producers.entry(producer).or_default().epoch += 1;
            }
            self.finish(transaction, false);
        }
        let ended: Vec<Transaction> = self
            .pending
            .iter()
            .filter(|(_, pending)| pending.outcome.is_some() && pending.slow_until_ms <= now_ms)
            .map(|(transaction, _)| *transaction)
            .collect();
        for transaction in ended {
            while random.u8(0..4) > 0 && self.write_marker(transaction, random.usize(0..8)) {}
        }
    }

    /// Writes every marker.
    pub fn settle(&mut self) {
        let ended: Vec<Transaction> = self.pending.keys().copied().collect();
        for transaction in ended {
            while self.write_marker(transaction, 0) {}
        }
    }

    /// What comes of a transaction that was just ended: its markers are written at once, or one by one, or
    /// those in `state` only when its leader can be reached again.
    pub fn mark(&mut self, transaction: Transaction, random: &mut fastrand::Rng) {
        match random.u8(0..10) {
            0..6 => while self.write_marker(transaction, 0) {},
            6..8 => {}
            _ => {
                let until_ms = self.now_ms + random.i64(0..900_000);
                let Some(pending) = self.pending.get_mut(&transaction) else { return };
                pending.slow_until_ms = until_ms;
                // That of the offsets comes last in order.
                let last = pending.unmarked.len();
                self.write_marker(transaction, last);
            }
        }
    }

    /// Whether some transaction has yet to say what becomes of a partition's committed offset.
    pub fn has_pending_offset(&self, place: Place) -> bool {
        self.pending.values().any(|pending| pending.offsets.contains_key(&place))
    }
}
