//! A partition read to its end, for good.
//!
//! Under `read_committed` an end of partition is raised at the last stable offset: an older owner's open
//! transaction hides later commits (KAFKA-10167). So the group's committed offsets are asked for first,
//! which waits for pending transactions; then the high watermark, of a client that sees uncommitted
//! records; and the partition is restored when the reader's position, which passes control records, or
//! the offset it began at if that is greater, has reached it.

use super::clients::{Clients, Isolation};
use super::offsets::seek;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Why a restore did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// Not now: the brokers could not be reached, or a transaction is still pending.
    #[error("{0}")]
    NotNow(String),
}

impl From<KafkaError> for RestoreError {
    fn from(error: KafkaError) -> RestoreError {
        RestoreError::NotNow(error.to_string())
    }
}

/// How long nothing may come of a topic that is read to its end.
const PATIENCE: Duration = Duration::from_secs(60);
const LEADER_RETRIES: u32 = 10;
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// The offsets that a group has committed, when no transaction over them is pending any more; `None`:
/// it has committed none. The group is the consumer's.
///
/// # Errors
/// When a partition's offset could not be had in twenty seconds.
pub fn committed_offsets(
    consumer: &BaseConsumer,
    topic: &str,
    partitions: &[u32],
) -> Result<BTreeMap<u32, Option<i64>>, RestoreError> {
    let mut list = TopicPartitionList::new();
    for &partition in partitions {
        list.add_partition(topic, i32::try_from(partition).unwrap_or(i32::MAX));
    }
    let deadline = Instant::now() + CALL_TIMEOUT;
    loop {
        match try_committed(consumer, list.clone()) {
            Ok(found) => return Ok(found),
            Err(error) if Instant::now() > deadline => return Err(error),
            // A pending transaction ends by itself within its timeout.
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

fn try_committed(
    consumer: &BaseConsumer,
    list: TopicPartitionList,
) -> Result<BTreeMap<u32, Option<i64>>, RestoreError> {
    let committed = consumer.committed_offsets(list, CALL_TIMEOUT)?;
    let mut found = BTreeMap::new();
    for element in committed.elements() {
        element.error()?;
        let offset = match element.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        };
        found.insert(u32::try_from(element.partition()).unwrap_or(u32::MAX), offset);
    }
    Ok(found)
}

/// The oldest offset of a partition and its high watermark, uncommitted records included.
///
/// # Errors
/// When no broker answered in time, or the partition has had no leader for a while.
pub fn watermarks(reader: &BaseConsumer, topic: &str, partition: u32) -> Result<(i64, i64), RestoreError> {
    let partition = i32::try_from(partition).unwrap_or(i32::MAX);
    for _ in 0..LEADER_RETRIES {
        match reader.fetch_watermarks(topic, partition, CALL_TIMEOUT) {
            // Leadership moves, or the topic has just been made.
            Err(KafkaError::MetadataFetch(RDKafkaErrorCode::NotLeaderForPartition)) => {
                std::thread::sleep(Duration::from_millis(200));
            }
            answer => return Ok(answer?),
        }
    }
    Ok(reader.fetch_watermarks(topic, partition, CALL_TIMEOUT)?)
}

/// A record of the partition being restored.
#[derive(Clone, Copy, Debug)]
pub struct Restored<'a> {
    pub partition: u32,
    pub key: &'a [u8],
    /// `None`: a tombstone.
    pub value: Option<&'a [u8]>,
}

/// Reads partitions of one topic from their beginnings to their ends.
pub struct Restorer {
    consumer: BaseConsumer,
    topic: String,
    open: BTreeMap<u32, Open>,
}

struct Open {
    low: i64,
    end: i64,
    position: i64,
}

/// How far a partition has come: (offsets read, offsets there are).
pub type Share = (u64, u64);

impl Restorer {
    /// # Errors
    /// When the client's properties are refused.
    pub fn new(clients: &Clients, topic: String) -> Result<Restorer, RestoreError> {
        let consumer = clients.reader(Isolation::ReadCommitted, None)?;
        Ok(Restorer { consumer, topic, open: BTreeMap::new() })
    }

    /// Begins to read a partition up to `end`, its high watermark as of after the committed offsets were
    /// asked for.
    ///
    /// # Errors
    /// When the partition can't be assigned.
    pub fn begin(&mut self, partition: u32, low: i64, end: i64) -> Result<(), RestoreError> {
        self.open.insert(partition, Open { low, end, position: low });
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, i32::try_from(partition).unwrap_or(i32::MAX), Offset::Offset(low))?;
        self.consumer.incremental_assign(&list)?;
        // It may have been restored here before: its old position must not end this restore.
        Ok(seek(&self.consumer, &list, CALL_TIMEOUT)?)
    }

    /// Stops reading a partition.
    pub fn cancel(&mut self, partition: u32) {
        if self.open.remove(&partition).is_some() {
            let mut list = TopicPartitionList::new();
            list.add_partition(&self.topic, i32::try_from(partition).unwrap_or(i32::MAX));
            // What can't be unassigned is gone already.
            let _ = self.consumer.incremental_unassign(&list);
        }
    }

    pub fn is_idle(&self) -> bool {
        self.open.is_empty()
    }

    /// By partition, how far it has come.
    pub fn progress(&self) -> impl Iterator<Item = (u32, Share)> {
        let count = |offsets: i64| u64::try_from(offsets).unwrap_or(0);
        self.open
            .iter()
            .map(move |(partition, open)| (*partition, (count(open.position - open.low), count(open.end - open.low))))
    }

    /// Reads for at most `time`, hands each record on, and returns the partitions that are restored.
    ///
    /// # Errors
    /// When the partitions can't be read now; `each` has seen a part of them, so they must begin anew.
    pub fn step(&mut self, time: Duration, mut each: impl FnMut(Restored<'_>)) -> Result<Vec<u32>, RestoreError> {
        let deadline = Instant::now() + time;
        let mut polled = 0_u32;
        while !self.open.is_empty() {
            match self.consumer.poll(Duration::from_millis(20)) {
                None => break,
                Some(Ok(message)) => {
                    let partition = u32::try_from(message.partition()).unwrap_or(u32::MAX);
                    if self.open.contains_key(&partition) {
                        let key = message.key().unwrap_or_default();
                        each(Restored { partition, key, value: message.payload() });
                    }
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {}
                Some(Err(KafkaError::MessageConsumption(RDKafkaErrorCode::BrokerTransportFailure))) => {}
                Some(Err(error)) => return Err(error.into()),
            }
            polled += 1;
            if polled.is_multiple_of(1024) && Instant::now() > deadline {
                break;
            }
        }
        self.finished()
    }

    /// Reads every partition to its end and hands each record on, until one is refused.
    ///
    /// # Errors
    /// The first that `each` returned, or when an end can't be reached.
    pub fn read_to_end<E: From<RestoreError>>(
        &mut self,
        mut each: impl FnMut(Restored<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (mut moved, mut read) = (Instant::now(), 0);
        while !self.is_idle() {
            let mut refused = None;
            self.step(Duration::from_millis(500), |record| {
                if refused.is_none() {
                    refused = each(record).err();
                }
            })?;
            if let Some(error) = refused {
                return Err(error);
            }
            let now_read = self.progress().map(|(_, (read, _))| read).sum::<u64>();
            if now_read != read {
                (read, moved) = (now_read, Instant::now());
            }
            if moved.elapsed() > PATIENCE {
                let (topic, partitions, seconds) =
                    (&self.topic, self.open.keys().collect::<Vec<_>>(), PATIENCE.as_secs());
                let stalled = RestoreError::NotNow(format!(
                    "nothing has come of {topic}{partitions:?} for {seconds} seconds, and its end was not reached; a \
                     transaction may be open there"
                ));
                return Err(stalled.into());
            }
        }
        Ok(())
    }

    fn finished(&mut self) -> Result<Vec<u32>, RestoreError> {
        for element in self.consumer.position()?.elements() {
            if let (Offset::Offset(position), Ok(partition)) = (element.offset(), u32::try_from(element.partition()))
                && let Some(open) = self.open.get_mut(&partition)
            {
                open.position = open.position.max(position);
            }
        }
        let done: Vec<u32> =
            self.open.iter().filter(|(_, open)| open.position >= open.end).map(|(partition, _)| *partition).collect();
        done.iter().for_each(|&partition| self.cancel(partition));
        Ok(done)
    }
}
