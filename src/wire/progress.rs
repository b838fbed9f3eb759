//! Ingest's report on how far source partitions have been read, and what it saw. One record per
//! instance and shard, at most every ten seconds, without a key.

use super::bytes::{DecodeError, Reader, Writer};
use crate::retention::calendar::{Seconds, Timestamp};
pub use crate::retention::progress::{
    ConfigHash, History, Matched, PartitionProgress, Progress, RuleFacts, SILENCES_MAX, Silence, TopicPartitions,
};

/// The first byte of progress. What is about a customer begins with a byte below 0x80, so no record of
/// `signals` can be taken for one of another kind.
pub const PROGRESS: u8 = 0x80;

/// Appends a report. Times are written as distances from the first one, keys and topics once.
pub fn encode(progress: &Progress, buffer: &mut Vec<u8>) {
    let mut writer = Writer(buffer);
    writer.byte(PROGRESS);
    writer.bytes(&progress.config.0);
    let origin = progress.partitions.iter().find_map(|partition| partition.complete_to).unwrap_or_default();
    writer.signed(origin.0);
    let mut names = names(progress);
    names.sort_unstable();
    names.dedup();
    writer.list(&names, |writer, name| writer.text(name));
    let mut writer = Body { writer, names: &names, origin };
    writer.topics(&progress.topics);
    writer.partitions(&progress.partitions);
}

fn names(progress: &Progress) -> Vec<&str> {
    let of_topics = progress.topics.iter().flat_map(|topic| [topic.topic.as_str(), topic.source.as_str()]);
    let of_partitions = progress.partitions.iter().flat_map(|part| [part.topic.as_str(), part.source.as_str()]);
    of_topics.chain(of_partitions).collect()
}

struct Body<'b> {
    writer: Writer<'b>,
    /// Ordered.
    names: &'b [&'b str],
    origin: Timestamp,
}

impl Body<'_> {
    fn name(&mut self, name: &str) {
        let place = self.names.binary_search(&name).expect("all names were collected");
        self.writer.unsigned(place as u64);
    }

    fn time(&mut self, at: Timestamp) {
        self.writer.signed(at.0.wrapping_sub(self.origin.0));
    }

    fn time_or_none(&mut self, at: Option<Timestamp>) {
        self.writer.byte(u8::from(at.is_some()));
        if let Some(at) = at {
            self.time(at);
        }
    }

    fn topics(&mut self, topics: &[TopicPartitions]) {
        self.writer.unsigned(topics.len() as u64);
        for topic in topics {
            self.name(&topic.topic);
            self.name(&topic.source);
            self.writer.unsigned(u64::from(topic.partitions));
            self.writer.option(topic.kept_for, |writer, kept| writer.signed(kept.0));
        }
    }

    fn partitions(&mut self, partitions: &[PartitionProgress]) {
        self.writer.unsigned(partitions.len() as u64);
        for partition in partitions {
            self.name(&partition.source);
            self.name(&partition.topic);
            self.writer.unsigned(u64::from(partition.partition));
            self.writer.bytes(&partition.reading.to_be_bytes());
            self.time(partition.first_read);
            self.time_or_none(partition.complete_to);
            self.time_or_none(partition.gap);
            self.writer.unsigned(partition.records_last_hour);
            self.writer.unsigned(partition.rejects_last_hour);
            self.writer.unsigned(partition.rejects_total);
            write_history(&mut self.writer, partition.shown, self.origin);
            write_rules(&mut self.writer, &partition.rules, self.origin);
        }
    }
}

const UNREAD: u64 = 0;
const WHOLE: u64 = 1;
const SINCE: u64 = 2;
const EMPTY_AT: u64 = 3;

/// Appends a history; its time as a distance from `origin`.
pub fn write_history(writer: &mut Writer<'_>, history: History, origin: Timestamp) {
    let (tag, at) = match history {
        History::Unread => (UNREAD, None),
        History::Whole => (WHOLE, None),
        History::Since(at) => (SINCE, Some(at)),
        History::EmptyAt(at) => (EMPTY_AT, Some(at)),
    };
    writer.unsigned(tag);
    if let Some(at) = at {
        writer.signed(at.0.wrapping_sub(origin.0));
    }
}

/// Reads what [`write_history`] wrote.
///
/// # Errors
/// Anything else.
pub fn read_history(reader: &mut Reader<'_>, origin: Timestamp) -> Result<History, DecodeError> {
    Ok(match reader.unsigned()? {
        UNREAD => History::Unread,
        WHOLE => History::Whole,
        SINCE => History::Since(read_time(reader, origin)?),
        EMPTY_AT => History::EmptyAt(read_time(reader, origin)?),
        _ => return Err(DecodeError::Invalid),
    })
}

/// Appends what the rules of a partition saw; times as distances from `origin`. A rule that has not
/// been silent takes about seven bytes.
pub fn write_rules(writer: &mut Writer<'_>, rules: &[RuleFacts], origin: Timestamp) {
    writer.unsigned(rules.len() as u64);
    for rule in rules {
        write_history(writer, rule.history, origin);
        // No match: 0; a match: how many silences, and one.
        writer.unsigned(rule.matched.map_or(0, |_| rule.silences.len() as u64 + 1));
        let Some(Matched { first, newest }) = rule.matched else { continue };
        let mut time = |at: Timestamp| writer.signed(at.0.wrapping_sub(origin.0));
        time(first);
        time(newest);
        for silence in &rule.silences {
            time(silence.from);
            time(silence.to);
        }
    }
}

/// Reads what [`write_rules`] wrote.
///
/// # Errors
/// Anything else.
pub fn read_rules(reader: &mut Reader<'_>, origin: Timestamp) -> Result<Vec<RuleFacts>, DecodeError> {
    reader.list(|reader| {
        let mut rule = RuleFacts { history: read_history(reader, origin)?, ..RuleFacts::default() };
        let Some(silences) = reader.unsigned()?.checked_sub(1) else { return Ok(rule) };
        if silences > SILENCES_MAX as u64 {
            return Err(DecodeError::Invalid);
        }
        let mut time = || read_time(reader, origin);
        rule.matched = Some(Matched { first: time()?, newest: time()? });
        for _ in 0..silences {
            rule.silences.push(Silence { from: time()?, to: time()? });
        }
        Ok(rule)
    })
}

/// Reads a report.
///
/// # Errors
/// Anything that [`encode`] did not write.
pub fn decode(bytes: &[u8]) -> Result<Progress, DecodeError> {
    let mut reader = Reader(bytes);
    if reader.byte()? != PROGRESS {
        return Err(DecodeError::UnknownFormat);
    }
    let config = ConfigHash(reader.array()?);
    let origin = Timestamp(reader.signed()?);
    let names = reader.list(Reader::text)?;
    let topics = reader.list(|reader| {
        Ok(TopicPartitions {
            topic: name(reader, &names)?,
            source: name(reader, &names)?,
            partitions: reader.unsigned_as()?,
            kept_for: reader.option(Reader::signed)?.map(Seconds),
        })
    })?;
    let partitions = reader.list(|reader| read_partition(reader, &names, origin))?;
    reader.finish()?;
    Ok(Progress { config, topics, partitions })
}

fn read_partition(
    reader: &mut Reader<'_>,
    names: &[&str],
    origin: Timestamp,
) -> Result<PartitionProgress, DecodeError> {
    let time = |reader: &mut Reader<'_>| read_time(reader, origin);
    Ok(PartitionProgress {
        source: name(reader, names)?,
        topic: name(reader, names)?,
        partition: reader.unsigned_as()?,
        reading: u64::from_be_bytes(reader.array()?),
        first_read: time(reader)?,
        complete_to: reader.option(time)?,
        gap: reader.option(time)?,
        records_last_hour: reader.unsigned()?,
        rejects_last_hour: reader.unsigned()?,
        rejects_total: reader.unsigned()?,
        shown: read_history(reader, origin)?,
        rules: read_rules(reader, origin)?,
    })
}

/// Reads a distance from `origin`.
///
/// # Errors
/// What lies so far off that calculating with it could overflow is refused.
pub fn read_time(reader: &mut Reader<'_>, origin: Timestamp) -> Result<Timestamp, DecodeError> {
    let at = Timestamp(reader.signed()?.wrapping_add(origin.0));
    if (Timestamp::MIN..=Timestamp::MAX).contains(&at) { Ok(at) } else { Err(DecodeError::Invalid) }
}

fn name(reader: &mut Reader<'_>, names: &[&str]) -> Result<String, DecodeError> {
    let place: usize = reader.unsigned_as()?;
    names.get(place).map(|name| (*name).to_owned()).ok_or(DecodeError::Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn times() -> impl Strategy<Value = Timestamp> {
        prop_oneof![1_700_000_000..1_800_000_000_i64, Timestamp::MIN.0..=Timestamp::MAX.0].prop_map(Timestamp)
    }

    fn histories() -> impl Strategy<Value = History> {
        prop_oneof![
            Just(History::Unread),
            Just(History::Whole),
            times().prop_map(History::Since),
            times().prop_map(History::EmptyAt)
        ]
    }

    fn rules() -> impl Strategy<Value = RuleFacts> {
        let matched = (times(), times()).prop_map(|(first, newest)| Matched { first, newest });
        let silences = (times(), times()).prop_map(|(from, to)| Silence { from, to });
        (prop::option::of(matched), prop::collection::vec(silences, 0..=SILENCES_MAX), histories()).prop_map(
            |(matched, mut silences, history)| {
                if matched.is_none() {
                    silences.clear();
                }
                RuleFacts { matched, silences, history }
            },
        )
    }

    fn reports() -> impl Strategy<Value = Progress> {
        let name = || "[a-c]{0,2}";
        let topics =
            (name(), name(), any::<u32>(), any::<Option<i64>>()).prop_map(|(topic, source, partitions, kept)| {
                let kept_for = kept.map(Seconds);
                TopicPartitions { topic, source, partitions, kept_for }
            });
        let moments = (times(), prop::option::of(times()), prop::option::of(times()), histories());
        let counts = any::<(u32, u64, u64, u64, u64)>();
        let partitions = (name(), name(), moments, counts, prop::collection::vec(rules(), 0..4)).prop_map(
            |(
                source,
                topic,
                (first_read, complete_to, gap, shown),
                (partition, reading, records, rejects, total),
                rules,
            )| {
                PartitionProgress {
                    source,
                    topic,
                    partition,
                    reading,
                    first_read,
                    complete_to,
                    gap,
                    records_last_hour: records,
                    rejects_last_hour: rejects,
                    rejects_total: total,
                    shown,
                    rules,
                }
            },
        );
        (any::<[u8; 16]>(), prop::collection::vec(topics, 0..4), prop::collection::vec(partitions, 0..4))
            .prop_map(|(config, topics, partitions)| Progress { config: ConfigHash(config), topics, partitions })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(progress in reports(), cut in any::<prop::sample::Index>()) {
            let mut bytes = Vec::new();
            encode(&progress, &mut bytes);
            prop_assert_eq!(decode(&bytes), Ok(progress));
            prop_assert!(decode(&bytes[..cut.index(bytes.len())]).is_err());
            prop_assert!(crate::wire::signal::Signal::decode(&bytes).is_err());
        }

        #[test]
        fn no_bytes_make_it_panic(mut bytes: Vec<u8>) {
            let _ = decode(&bytes);
            bytes.splice(..0, std::iter::once(PROGRESS).chain([0; 17]));
            let _ = decode(&bytes);
        }
    }

    #[test]
    fn a_partition_of_five_rules_takes_seventy_bytes() {
        let at = Timestamp(1_750_000_000);
        let matched = Some(Matched { first: Timestamp(1_500_000_000), newest: at });
        let rule = RuleFacts { matched, silences: Vec::new(), history: History::Whole };
        let report = |partition| PartitionProgress {
            source: "orders".into(),
            topic: "shop.public.orders".into(),
            partition,
            reading: u64::MAX,
            first_read: Timestamp(1_600_000_000),
            complete_to: Some(at),
            gap: None,
            records_last_hour: 100_000,
            rejects_last_hour: 0,
            rejects_total: 0,
            shown: History::Whole,
            rules: vec![rule.clone(); 5],
        };
        let size = |partitions: u32| {
            let progress = Progress {
                config: ConfigHash([0; 16]),
                topics: vec![],
                partitions: (0..partitions).map(report).collect(),
            };
            let mut bytes = Vec::new();
            encode(&progress, &mut bytes);
            bytes.len()
        };
        assert!(size(20) - size(10) <= 700, "{}", size(20) - size(10));
    }
}
