//! Where partitions begin: after what is committed, or where that says little, at their first record.

use super::lookout::ids;
use super::membership::Name;
use super::{CALL_TIMEOUT, IngestError, IngestWorker, wall_ms};
use crate::ingest::facts::{Committed, Look, Start, TopicId};
use crate::ingest::sight::seen;
use crate::kafka::offsets::{End, Offsets, ends, list, seek};
use crate::retention::calendar::Timestamp;
use rdkafka::Offset;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaResult;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Between two questions that the brokers didn't answer.
const PAUSE: Duration = Duration::from_millis(500);

/// What the brokers know of partitions that are to begin.
struct Known {
    /// Offsets and metadata.
    committed: HashMap<Name, (i64, String)>,
    topics: HashMap<String, TopicId>,
    at: Timestamp,
    first: Offsets,
    last: Offsets,
}

impl IngestWorker {
    /// Looks up where partitions begin, and has them read. librdkafka has been waiting for it since the
    /// rebalance.
    pub(super) fn begin_all(&mut self, partitions: &[Name], stop: &AtomicBool) -> Result<(), IngestError> {
        let Some(known) = self.until_answered(partitions, stop)? else { return Ok(()) };
        let topics: BTreeSet<&str> = partitions.iter().map(|(topic, _)| topic.as_str()).collect();
        let joining: BTreeSet<&str> = topics.into_iter().filter(|topic| self.has_elder(topic, &known)).collect();
        let mut begun = Vec::new();
        for name in partitions {
            let (Some(&log_start), Some(&log_end)) = (known.first.get(name), known.last.get(name)) else {
                self.waiting.push(name.clone());
                continue;
            };
            let committed = known.committed.get(name);
            let committed = committed.map(|(offset, metadata)| Committed { offset: *offset, metadata });
            let topic = known.topics.get(&name.0).copied();
            let look = Look { at: known.at, topic, log_start, log_end };
            let joins_later = joining.contains(name.0.as_str());
            let place = (name.0.as_str(), name.1);
            // A topic that no source reads any more leaves with the next subscription.
            let assigned = self.instance.assign(place, committed, look, joins_later, wall_ms());
            let Some((slot, offset, start)) = assigned else { continue };
            self.instance.watermark(slot, look.at, log_end);
            tell(name, offset, start);
            begun.push((place.0, place.1, Some(offset)));
        }
        begun.iter().for_each(|(topic, partition, _)| self.inbox.take_in(topic, *partition));
        let list = list(begun.into_iter())?;
        if let Err(error) = self.consumer.incremental_assign(&list) {
            // Lost again meanwhile: the group will say who reads them.
            tracing::warn!(%error, "partitions could not be taken over");
            self.let_go(partitions);
            return Ok(());
        }
        if !self.reading {
            self.consumer.pause(&list)?;
        }
        self.latest = None;
        self.watch();
        Ok(())
    }

    /// Whether partitions of the topic, or of its source where that reads by pattern, have been read
    /// before.
    fn has_elder(&self, topic: &str, known: &Known) -> bool {
        let mut elders = self.instance.elders(topic).into_iter();
        elders.any(|(topic, partition)| known.committed.contains_key(&(topic.to_owned(), partition)))
    }

    /// Asks again about partitions of which the brokers did not say where they begin.
    pub(super) fn begin_waiting(&mut self, stop: &AtomicBool) -> Result<(), IngestError> {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() { Ok(()) } else { self.begin_all(&waiting, stop) }
    }

    /// Has partitions read anew that are this instance's already. Their old positions are forgotten before
    /// anybody asks for them: they would say that what is to be read again has been read.
    pub(super) fn begin_again(&mut self, partitions: &[Name], stop: &AtomicBool) -> Result<(), IngestError> {
        self.begin_all(partitions, stop)?;
        let next = |(topic, partition): &Name| {
            let slot = self.instance.slot(topic, *partition)?;
            self.instance.next_offset(slot)
        };
        let begun: Vec<_> = partitions.iter().filter_map(|name| Some((name, next(name)?))).collect();
        if begun.is_empty() {
            return Ok(());
        }
        let list = list(begun.iter().map(|(name, offset)| (name.0.as_str(), name.1, Some(*offset))))?;
        Ok(seek(&self.consumer, &list, CALL_TIMEOUT)?)
    }

    /// Gives partitions back to librdkafka, to be assigned anew.
    pub(super) fn give_back(&mut self, partitions: &[Name]) -> Result<(), IngestError> {
        let names = partitions.iter().map(|(topic, partition)| (topic.as_str(), *partition, None));
        self.consumer.incremental_unassign(&list(names)?)?;
        self.let_go(partitions);
        Ok(())
    }

    /// Some partition's next record is not there any more; librdkafka doesn't say of which. Those begin
    /// anew, with a gap.
    pub(super) fn begin_lost(&mut self, stop: &AtomicBool) -> Result<(), IngestError> {
        let names = self.names();
        let Some(known) = self.until_answered(&names, stop)? else { return Ok(()) };
        let is_lost = |name: &&Name| {
            let next = self.instance.slot(&name.0, name.1).and_then(|slot| self.instance.next_offset(slot));
            let log = known.first.get(*name).zip(known.last.get(*name));
            next.zip(log).is_some_and(|(next, (first, last))| next < *first || next > *last)
        };
        let lost: Vec<Name> = names.iter().filter(is_lost).cloned().collect();
        tracing::warn!(partitions = ?lost, "records are gone before they were read");
        self.give_back(&lost)?;
        self.begin_again(&lost, stop)
    }

    /// Has partitions begin anew, with a gap, whose topic was deleted and created again: what has been read of them
    /// says nothing about the records that are there now.
    pub(super) fn begin_recreated(
        &mut self,
        topics: &HashMap<String, TopicId>,
        stop: &AtomicBool,
    ) -> Result<(), IngestError> {
        let recreated = self.instance.recreated(topics);
        if recreated.is_empty() {
            return Ok(());
        }
        tracing::warn!(partitions = ?recreated, "their topic was created anew");
        self.give_back(&recreated)?;
        self.begin_again(&recreated, stop)
    }

    /// Asks until the brokers answer: without knowing where to begin nothing may be read. `None`: asked to
    /// stop.
    fn until_answered(&self, partitions: &[Name], stop: &AtomicBool) -> Result<Option<Known>, IngestError> {
        while !stop.load(Ordering::Relaxed) {
            match self.ask(partitions) {
                Ok(known) => return Ok(Some(known)),
                Err(error) => {
                    tracing::warn!(%error, "the brokers did not say where partitions begin; asking again");
                    self.status.beat();
                    self.outlet.check()?;
                    // A topic that has grown has partitions that this client has not heard of, and would not
                    // for minutes.
                    let _ = self.uncommitted.fetch_metadata(None, CALL_TIMEOUT);
                    std::thread::sleep(PAUSE);
                }
            }
        }
        Ok(None)
    }

    fn ask(&self, partitions: &[Name]) -> KafkaResult<Known> {
        let names = || partitions.iter().map(|(topic, partition)| (topic.as_str(), *partition));
        let topics: BTreeSet<&str> = names().map(|(topic, _)| topic).collect();
        let elders = topics.into_iter().flat_map(|topic| self.instance.elders(topic));
        let committed = self.committed(names().chain(elders).collect())?;
        let topics = ids(&self.uncommitted, names().map(|(topic, _)| topic), CALL_TIMEOUT)?;
        let ask = |end| ends(&self.uncommitted, names(), end, CALL_TIMEOUT);
        let (at, (first, last)) = seen(wall_ms, || (ask(End::First), ask(End::Last)));
        Ok(Known { committed, topics, at, first: first?, last: last? })
    }

    fn committed(&self, partitions: BTreeSet<(&str, u32)>) -> KafkaResult<HashMap<Name, (i64, String)>> {
        let list = list(partitions.into_iter().map(|(topic, partition)| (topic, partition, None)))?;
        let mut found = HashMap::new();
        for element in self.consumer.committed_offsets(list, CALL_TIMEOUT)?.elements() {
            element.error()?;
            if let (Offset::Offset(offset), Ok(partition)) = (element.offset(), u32::try_from(element.partition())) {
                found.insert((element.topic().to_owned(), partition), (offset, element.metadata().to_owned()));
            }
        }
        Ok(found)
    }
}

fn tell((topic, partition): &Name, offset: i64, start: Start) {
    match start {
        Start::Continued => tracing::debug!(topic, partition, offset, "continued"),
        Start::First => tracing::info!(topic, partition, offset, "read for the first time"),
        Start::Reread => tracing::info!(topic, partition, offset, "read from the beginning, under another reading"),
        Start::Gap => tracing::warn!(topic, partition, offset, "records are missing: its source is in doubt"),
    }
}
