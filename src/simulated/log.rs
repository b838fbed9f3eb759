//! A log in memory, as a broker keeps it: topics, partitions, offsets, append times.
//!
//! It has no network, no groups and no transactions of its own: one owner appends, so that what a
//! transaction would make visible at once is appended at once.

use std::collections::BTreeMap;

/// A record as it lies in a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    pub offset: i64,
    /// Milliseconds of Unix time: the append time, or what the producer said where the topic keeps that.
    pub timestamp_ms: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
}

/// Whose clock stamps a topic's records (`message.timestamp.type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    CreateTime,
    LogAppendTime,
}

#[derive(Debug)]
struct Topic {
    stamp: Stamp,
    partitions: Vec<Partition>,
}

#[derive(Debug, Default)]
struct Partition {
    start: i64,
    records: std::collections::VecDeque<Record>,
}

/// All topics of a simulated cluster.
#[derive(Debug, Default)]
pub struct Log {
    topics: BTreeMap<String, Topic>,
}

impl Log {
    /// Creates a topic, or does nothing where there is one of that name.
    pub fn create(&mut self, topic: &str, partitions: u32, stamp: Stamp) {
        let new = || Topic { stamp, partitions: (0..partitions).map(|_| Partition::default()).collect() };
        self.topics.entry(topic.to_owned()).or_insert_with(new);
    }

    pub fn topics(&self) -> impl Iterator<Item = (&str, u32)> {
        let count = |topic: &Topic| u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX);
        self.topics.iter().map(move |(name, topic)| (name.as_str(), count(topic)))
    }

    /// Appends at `now_ms`; `created_ms` is the producer's stamp. Returns the record's offset; `None`:
    /// there is no such partition.
    pub fn append(
        &mut self,
        (topic, partition): (&str, u32),
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        (created_ms, now_ms): (i64, i64),
    ) -> Option<i64> {
        let topic = self.topics.get_mut(topic)?;
        let stamp = topic.stamp;
        let partition = topic.partitions.get_mut(usize::try_from(partition).ok()?)?;
        let offset = partition.end();
        let timestamp_ms = match stamp {
            Stamp::CreateTime => created_ms,
            Stamp::LogAppendTime => now_ms,
        };
        let (key, value) = (key.map(<[u8]>::to_vec), value.map(<[u8]>::to_vec));
        partition.records.push_back(Record { offset, timestamp_ms, key, value });
        Some(offset)
    }

    /// The records of a partition from an offset on, at most `count`.
    pub fn read(&self, topic: &str, partition: u32, from: i64, count: usize) -> impl Iterator<Item = &Record> {
        let partition = self.partition(topic, partition);
        partition.into_iter().flat_map(move |partition| {
            let skip = usize::try_from(from - partition.start).unwrap_or(0);
            partition.records.iter().skip(skip).take(count)
        })
    }

    /// The offset of the oldest record there still is.
    pub fn start(&self, topic: &str, partition: u32) -> i64 {
        self.partition(topic, partition).map_or(0, |partition| partition.start)
    }

    /// The high watermark: the offset of the next record.
    pub fn end(&self, topic: &str, partition: u32) -> i64 {
        self.partition(topic, partition).map_or(0, Partition::end)
    }

    /// Deletes the records before an offset, as retention or `delete_records` does.
    pub fn trim(&mut self, topic: &str, partition: u32, before: i64) {
        let partitions = self.topics.get_mut(topic).map(|topic| &mut topic.partitions);
        let place = usize::try_from(partition).unwrap_or(usize::MAX);
        if let Some(partition) = partitions.and_then(|partitions| partitions.get_mut(place)) {
            while partition.start < before && partition.records.pop_front().is_some() {
                partition.start += 1;
            }
        }
    }

    fn partition(&self, topic: &str, partition: u32) -> Option<&Partition> {
        self.topics.get(topic)?.partitions.get(usize::try_from(partition).ok()?)
    }
}

impl Partition {
    fn end(&self) -> i64 {
        self.start + i64::try_from(self.records.len()).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_survive_trimming() {
        let mut log = Log::default();
        log.create("signals", 2, Stamp::LogAppendTime);
        for value in [b"a", b"b", b"c"] {
            log.append(("signals", 1), None, Some(value), (5, 7)).unwrap();
        }
        log.trim("signals", 1, 2);
        assert_eq!((log.start("signals", 1), log.end("signals", 1), log.end("signals", 0)), (2, 3, 0));
        let left: Vec<_> = log.read("signals", 1, 0, 10).map(|record| (record.offset, record.timestamp_ms)).collect();
        assert_eq!(left, [(2, 7)]);
        assert_eq!(log.append(("signals", 2), None, None, (0, 0)), None);
    }
}
