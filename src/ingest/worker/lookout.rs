//! Asks the brokers for topics and ends, on a thread of its own, so that the hot one never waits.

use super::membership::Name;
use super::{locked, wall_ms};
use crate::ingest::facts::TopicId;
use crate::ingest::sight::seen;
use crate::kafka::clients::Clients;
use crate::kafka::describe::describe;
use crate::kafka::offsets::{End, Offsets, ends};
use crate::kafka::topics::retentions;
use crate::retention::calendar::Timestamp;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How often it asks.
const INTERVAL: Duration = Duration::from_secs(2);
/// How often it asks for how long topics keep their records.
const RETENTION_INTERVAL: Duration = Duration::from_secs(600);
/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many answers may wait for the loop; beyond that they are dropped, and asked for again.
const SIGHTS_MAX: usize = 16;

/// What was seen. All were asked for after the instant.
pub enum Sight {
    /// All topics with their partition counts.
    Topics(Timestamp, Vec<(String, u32)>),
    /// High watermarks, and which topics those of their names are, asked for last of all.
    Ends(Timestamp, Offsets, HashMap<String, TopicId>),
    /// For how long topics keep their records, in milliseconds; those that keep them for ever are left out.
    Retentions(BTreeMap<String, i64>),
}

/// The loop's end of it; the thread ends with it.
pub struct Lookout {
    watched: Arc<Mutex<Vec<Name>>>,
    sights: Receiver<Sight>,
}

impl Lookout {
    /// `reader` must be a `read_uncommitted` one: another is told of the last stable offset, which hides
    /// an open transaction.
    pub fn begin(clients: Clients, reader: BaseConsumer) -> std::io::Result<Lookout> {
        let (sender, sights) = sync_channel(SIGHTS_MAX);
        let watched = Arc::new(Mutex::new(Vec::new()));
        let lookout = Lookout { watched: watched.clone(), sights };
        std::thread::Builder::new()
            .name("ingest-lookout".to_owned())
            .spawn(move || look_again_and_again(&clients, &reader, &watched, &sender))?;
        Ok(lookout)
    }

    /// Which partitions' ends are asked for.
    pub fn watch(&self, partitions: Vec<Name>) {
        *locked(&self.watched) = partitions;
    }

    pub fn next(&self) -> Option<Sight> {
        self.sights.try_recv().ok()
    }
}

fn look_again_and_again(
    clients: &Clients,
    reader: &BaseConsumer,
    watched: &Mutex<Vec<Name>>,
    sights: &SyncSender<Sight>,
) {
    let mut retentions_at: Option<Instant> = None;
    loop {
        let begun = Instant::now();
        let watched = locked(watched).clone();
        if !watched.is_empty() && retentions_at.is_none_or(|at| at.elapsed() > RETENTION_INTERVAL) {
            retentions_at = Some(begun);
            look_at_retentions(clients, &watched, sights);
        }
        let topics = look_at_topics(reader);
        let ends = look_at_ends(reader, &watched);
        for sight in [topics, ends] {
            match sight.map(|sight| sights.try_send(sight)) {
                Ok(Ok(()) | Err(TrySendError::Full(_))) => {}
                Ok(Err(TrySendError::Disconnected(_))) => return,
                Err(error) => tracing::warn!(%error, "the brokers did not say where partitions end; the gate waits"),
            }
        }
        std::thread::sleep(INTERVAL.saturating_sub(begun.elapsed()));
    }
}

fn look_at_topics(reader: &BaseConsumer) -> KafkaResult<Sight> {
    let (at, metadata) = seen(wall_ms, || reader.fetch_metadata(None, PATIENCE));
    let metadata = metadata?;
    let there = metadata.topics().iter().filter(|topic| topic.error().is_none());
    let count = |topic: &rdkafka::metadata::MetadataTopic| u32::try_from(topic.partitions().len()).unwrap_or(0);
    Ok(Sight::Topics(at, there.map(|topic| (topic.name().to_owned(), count(topic))).collect()))
}

/// Where they can't be told, what is left of the forgotten is kept for longer: nobody waits for this.
fn look_at_retentions(clients: &Clients, watched: &[Name], sights: &SyncSender<Sight>) {
    let mut topics: Vec<String> = watched.iter().map(|(topic, _)| topic.clone()).collect();
    topics.sort();
    topics.dedup();
    match retentions(clients, &topics) {
        Ok(retentions) => _ = sights.try_send(Sight::Retentions(retentions)),
        Err(error) => tracing::info!(%error, "for how long topics keep their records is not known"),
    }
}

fn look_at_ends(reader: &BaseConsumer, watched: &[Name]) -> KafkaResult<Sight> {
    let partitions = watched.iter().map(|(topic, partition)| (topic.as_str(), *partition));
    let (at, ends) = seen(wall_ms, || ends(reader, partitions, End::Last, PATIENCE));
    let topics = watched.iter().map(|(topic, _)| topic.as_str());
    let ids = ids(reader, topics, PATIENCE).unwrap_or_else(|error| {
        tracing::warn!(%error, "the brokers did not say which topics those of the sources' names are");
        HashMap::new()
    });
    Ok(Sight::Ends(at, ends?, ids))
}

/// Of those topics of which the brokers tell it.
pub fn ids<'t>(
    reader: &BaseConsumer,
    topics: impl Iterator<Item = &'t str>,
    patience: Duration,
) -> KafkaResult<HashMap<String, TopicId>> {
    let topics: BTreeSet<&str> = topics.collect();
    if topics.is_empty() {
        return Ok(HashMap::new());
    }
    let told = describe(reader.client(), &topics.into_iter().collect::<Vec<_>>(), false, patience)?;
    Ok(told.into_iter().filter_map(|topic| Some((topic.name, TopicId(topic.id? as u64)))).collect())
}
