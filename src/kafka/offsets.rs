//! Offsets of many partitions at once, and where those begin and end.

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// Which end of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The offset of the oldest record.
    First,
    /// The offset after the newest record: of a `read_uncommitted` reader the high watermark, of a
    /// `read_committed` one the last stable offset.
    Last,
}

/// Partitions by topic and number, with offsets where there are any.
///
/// # Errors
/// When an offset is negative.
pub fn list<'p>(partitions: impl Iterator<Item = (&'p str, u32, Option<i64>)>) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for (topic, partition, offset) in partitions {
        let offset = offset.map_or(Offset::Invalid, Offset::Offset);
        list.add_partition_offset(topic, i32::try_from(partition).unwrap_or(i32::MAX), offset)?;
    }
    Ok(list)
}

/// How long one try of a seek may take.
const SEEK_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two tries of a seek.
const SEEK_PAUSE: Duration = Duration::from_millis(20);

/// Seeks partitions that were just assigned to the offsets at which they are to begin, again until their
/// fetchers have begun. Where a partition was read before by the same consumer, this is what makes
/// librdkafka forget its old position, which it would otherwise tell for some moments more.
///
/// # Errors
/// When it could not be done within `patience`.
pub fn seek<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    list: &TopicPartitionList,
    patience: Duration,
) -> KafkaResult<()> {
    let deadline = Instant::now() + patience;
    loop {
        let sought = consumer.seek_partitions(list.clone(), SEEK_TIMEOUT);
        let outcome = sought.and_then(|list| list.elements().iter().try_for_each(|element| element.error()));
        if outcome.is_ok() || Instant::now() > deadline {
            return outcome;
        }
        std::thread::sleep(SEEK_PAUSE);
    }
}

/// By topic and partition.
pub type Offsets = HashMap<(String, u32), i64>;

/// How long each topic may be asked about when asking about all at once failed.
const SINGLE_TIMEOUT: Duration = Duration::from_secs(2);

/// Asks each leader once, for all its partitions. A partition that nobody answered for is left out.
///
/// # Errors
/// When none answered in time.
pub fn ends<'p>(
    reader: &BaseConsumer,
    partitions: impl IntoIterator<Item = (&'p str, u32)>,
    end: End,
    timeout: Duration,
) -> KafkaResult<Offsets> {
    let mut by_topic = BTreeMap::<&str, Vec<(&str, u32)>>::new();
    for name in partitions {
        by_topic.entry(name.0).or_default().push(name);
    }
    let asked = ask(reader, by_topic.values().flatten(), end, timeout);
    if asked.is_ok() || by_topic.len() < 2 {
        return asked;
    }
    // One topic that is gone or has no leader spoils the answer for all.
    let mut offsets = Offsets::new();
    for partitions in by_topic.values() {
        offsets.extend(ask(reader, partitions.iter(), end, SINGLE_TIMEOUT).unwrap_or_default());
    }
    if offsets.is_empty() { asked } else { Ok(offsets) }
}

fn ask<'p>(
    reader: &BaseConsumer,
    partitions: impl Iterator<Item = &'p (&'p str, u32)>,
    end: End,
    timeout: Duration,
) -> KafkaResult<Offsets> {
    // The protocol's special times: the same request finds the first record after a time.
    let time = match end {
        End::First => Offset::Beginning,
        End::Last => Offset::End,
    };
    let mut list = TopicPartitionList::new();
    for (topic, partition) in partitions {
        list.add_partition_offset(topic, i32::try_from(*partition).unwrap_or(i32::MAX), time)?;
    }
    let mut offsets = Offsets::new();
    if list.count() == 0 {
        return Ok(offsets);
    }
    for element in reader.offsets_for_times(list, timeout)?.elements() {
        if let (Ok(()), Offset::Offset(offset), Ok(partition)) =
            (element.error(), element.offset(), u32::try_from(element.partition()))
        {
            offsets.insert((element.topic().to_owned(), partition), offset);
        }
    }
    Ok(offsets)
}
