//! Ingest's loop on Kafka: reads the sources' topics, produces signals and progress, commits.
//!
//! A second thread asks the brokers for topics and high watermarks, so that the hot one never waits for
//! them. A delivery that failed ends the instance: its cache would swallow what was not delivered.

use super::extract::{Headers, RecordView};
use super::facts::{Committed, Look, Start};
use super::instance::{Commit, Counts, Instance, Sink};
use super::status::IngestStatus;
use crate::config::Config;
use crate::kafka::clients::{Clients, Isolation};
use crate::retention::calendar::Timestamp;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers as _, Message};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A batch takes at most this many records and this much time.
const BATCH_RECORDS_MAX: usize = 20_000;
const BATCH_TIME_MAX: Duration = Duration::from_millis(200);
/// No more than this many records may wait for the brokers' acknowledgement.
const IN_FLIGHT_MAX: u64 = 400_000;
/// How often progress, commits and metrics are looked after.
const TEND_INTERVAL: Duration = Duration::from_millis(500);
/// How often topics and watermarks are asked for.
const LOOK_INTERVAL: Duration = Duration::from_millis(1_500);
/// How long one question to the brokers may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How much memory remembers what was forwarded, in bytes.
const CACHE_BYTES: usize = super::coalesce::BYTES;

/// Why the loop ended before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    #[error("ingest: {0}")]
    Kafka(#[from] KafkaError),
    #[error(
        "ingest could not deliver to {topic}: {reason}; the instance ends, and reads again what it had not committed"
    )]
    Delivery { topic: String, reason: String },
    #[error("ingest could not begin the thread that asks the brokers: {0}")]
    Thread(#[from] std::io::Error),
    #[error("ingest has no source of random bytes: {0}")]
    Random(String),
}

#[derive(Default)]
struct Membership {
    events: Mutex<Vec<Event>>,
}

enum Event {
    Assigned(Vec<(String, u32)>),
    Revoked(Vec<(String, u32)>),
    Failed(RDKafkaErrorCode),
}

impl ClientContext for Membership {}

impl ConsumerContext for Membership {
    /// Partitions come paused: where to begin is looked up before they are read.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, err: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let partitions: Vec<(String, u32)> = list
            .elements()
            .iter()
            .filter_map(|element| Some((element.topic().to_owned(), u32::try_from(element.partition()).ok()?)))
            .collect();
        let outcome = match err {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => list
                .set_all_offsets(Offset::Offset(0))
                .and_then(|()| consumer.incremental_assign(list))
                .and_then(|()| consumer.pause(list))
                .map(|()| Event::Assigned(partitions)),
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => {
                consumer.incremental_unassign(list).map(|()| Event::Revoked(partitions))
            }
            other => {
                let _ = consumer.unassign();
                Ok(Event::Failed(other.into()))
            }
        };
        let code = |error: KafkaError| error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        locked(&self.events).push(outcome.unwrap_or_else(|error| Event::Failed(code(error))));
    }
}

/// What the brokers have acknowledged, told by the producer's own thread.
struct Deliveries {
    /// By lane: shards, then rejects.
    acked: Vec<AtomicU64>,
    /// By shard: the append time of its newest record less our clock then, in milliseconds.
    skew_ms: Vec<AtomicI64>,
    failed: Mutex<Option<(String, String)>>,
    has_failed: AtomicBool,
}

/// Nothing was appended yet.
const NO_SKEW: i64 = i64::MIN;

impl Deliveries {
    fn new(shards: usize) -> Deliveries {
        Deliveries {
            acked: (0..=shards).map(|_| AtomicU64::new(0)).collect(),
            skew_ms: (0..shards).map(|_| AtomicI64::new(NO_SKEW)).collect(),
            failed: Mutex::new(None),
            has_failed: AtomicBool::new(false),
        }
    }

    fn check(&self) -> Result<(), IngestError> {
        match locked(&self.failed).take() {
            Some((topic, reason)) => Err(IngestError::Delivery { topic, reason }),
            None => Ok(()),
        }
    }
}

/// Shared with the producer.
struct Reports(Arc<Deliveries>);

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    /// The lane, or past the last for progress, which is not counted.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, lane: usize) {
        match result {
            Ok(message) => {
                if let (rdkafka::Timestamp::LogAppendTime(append_ms), Ok(shard)) =
                    (message.timestamp(), usize::try_from(message.partition()))
                    && let Some(skew) = self.0.skew_ms.get(shard)
                    && lane != self.0.skew_ms.len()
                {
                    skew.store(append_ms - wall_ms(), Ordering::Relaxed);
                }
                if let Some(acked) = self.0.acked.get(lane) {
                    acked.fetch_add(1, Ordering::Release);
                }
            }
            Err((error, message)) => {
                let mut failed = locked(&self.0.failed);
                failed.get_or_insert_with(|| (message.topic().to_owned(), error.to_string()));
                self.0.has_failed.store(true, Ordering::Release);
            }
        }
    }
}

/// Produces what an instance hands out.
struct Outlet {
    producer: ThreadedProducer<Reports>,
    deliveries: Arc<Deliveries>,
    signals: String,
    rejects: String,
}

impl Outlet {
    fn new(clients: &Clients, config: &Config) -> KafkaResult<Outlet> {
        let deliveries = Arc::new(Deliveries::new(config.topics.partitions as usize));
        let producer = clients.producer(Reports(deliveries.clone()))?;
        let topic = |name: &str| format!("{}.{name}", config.application);
        Ok(Outlet { producer, deliveries, signals: topic("signals"), rejects: topic("rejects") })
    }

    fn send(&self, topic: &str, partition: Option<u32>, key: Option<&[u8]>, value: &[u8], lane: usize) {
        let mut record = BaseRecord::<[u8], [u8], usize>::with_opaque_to(topic, lane).payload(value);
        record.key = key;
        record.partition = partition.and_then(|partition| i32::try_from(partition).ok());
        while let Err((error, again)) = self.producer.send(record) {
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                let mut failed = locked(&self.deliveries.failed);
                failed.get_or_insert_with(|| (topic.to_owned(), error.to_string()));
                self.deliveries.has_failed.store(true, Ordering::Release);
                return;
            }
            if self.deliveries.has_failed.load(Ordering::Acquire) {
                return;
            }
            // The producer's own thread empties the queue.
            std::thread::sleep(Duration::from_millis(1));
            record = again;
        }
    }
}

impl Sink for &Outlet {
    fn signal(&mut self, shard: u32, customer: &str, value: &[u8]) {
        self.send(&self.signals, Some(shard), Some(customer.as_bytes()), value, shard as usize);
    }

    fn reject(&mut self, value: &[u8]) {
        self.send(&self.rejects, None, None, value, self.deliveries.skew_ms.len());
    }

    fn progress(&mut self, shard: u32, value: &[u8]) {
        self.send(&self.signals, Some(shard), None, value, self.deliveries.acked.len());
    }
}

/// What the second thread found.
enum Sight {
    /// All topics with their partition counts, asked for after the instant.
    Topics(Timestamp, Vec<(String, u32)>),
    /// The high watermark of a partition, asked for after the instant.
    End(String, u32, Timestamp, i64),
}

/// Reads the sources for one instance.
pub struct IngestWorker {
    clients: Clients,
    config: Arc<Config>,
    consumer: Arc<BaseConsumer<Membership>>,
    uncommitted: BaseConsumer,
    instance: Instance,
    outlet: Outlet,
    subscribed: Vec<String>,
    status: Arc<IngestStatus>,
    told: Vec<Counts>,
    next_config: Arc<Mutex<Option<Arc<Config>>>>,
    /// What the second thread is to look at.
    watched: Arc<Mutex<Vec<(String, u32)>>>,
    tended: Instant,
    may_read: bool,
}

impl IngestWorker {
    /// Connects.
    ///
    /// # Errors
    /// When the clients' properties are refused.
    pub fn new(
        name: &str,
        clients: Clients,
        config: Arc<Config>,
        status: Arc<IngestStatus>,
        next_config: Arc<Mutex<Option<Arc<Config>>>>,
    ) -> Result<IngestWorker, IngestError> {
        let group = format!("{}-ingest", config.application);
        let member = format!("{}-{name}-ingest", config.application);
        let consumer = clients.group_member(&group, Some(&member), Membership::default())?;
        let uncommitted = clients.reader(Isolation::ReadUncommitted, None)?;
        let outlet = Outlet::new(&clients, &config)?;
        let instance = new_instance(&config)?;
        Ok(IngestWorker {
            consumer: Arc::new(consumer),
            uncommitted,
            instance,
            outlet,
            subscribed: Vec::new(),
            status,
            told: Vec::new(),
            next_config,
            watched: Arc::default(),
            tended: Instant::now(),
            may_read: true,
            clients,
            config,
        })
    }

    /// Runs until `stop`, or until it can't go on. Belongs on a thread of its own.
    ///
    /// # Errors
    /// Whatever must end the instance: a failed delivery, or a refusal of the brokers.
    pub fn run(mut self, stop: &AtomicBool) -> Result<(), IngestError> {
        let sights = self.begin_looking()?;
        while !stop.load(Ordering::Relaxed) {
            self.status.beat();
            self.reconfigure()?;
            while let Ok(sight) = sights.try_recv() {
                self.see(sight)?;
            }
            self.rebalance()?;
            self.read()?;
            self.outlet.deliveries.check()?;
            self.instance.turn();
            if self.tended.elapsed() >= TEND_INTERVAL {
                self.tended = Instant::now();
                self.tend();
            }
        }
        // What is in flight may still arrive, and be committed.
        let _ = self.outlet.producer.flush(Duration::from_secs(5));
        self.take_acknowledgements();
        self.instance.turn();
        self.instance.turn();
        self.commit();
        self.consumer.unsubscribe();
        Ok(())
    }

    /// Starts the thread that asks the brokers; it ends with the channel.
    fn begin_looking(&self) -> Result<Receiver<Sight>, IngestError> {
        let (sender, sights) = std::sync::mpsc::channel();
        let reader = self.clients.reader(Isolation::ReadUncommitted, None)?;
        let watched = self.watched.clone();
        std::thread::Builder::new().name("ingest-look".to_owned()).spawn(move || look(&reader, &watched, &sender))?;
        Ok(sights)
    }

    fn see(&mut self, sight: Sight) -> Result<(), IngestError> {
        match sight {
            Sight::Topics(at, topics) => {
                let known = topics.iter().map(|(topic, count)| (topic.as_str(), *count));
                let mut wanted = self.instance.topics(at, known);
                wanted.sort();
                if wanted != self.subscribed {
                    let names: Vec<&str> = wanted.iter().map(String::as_str).collect();
                    tracing::info!(topics = ?names, "subscribing");
                    self.consumer.subscribe(&names)?;
                    self.subscribed = wanted;
                }
            }
            Sight::End(topic, partition, at, end) => {
                if let Some(slot) = self.instance.slot(&topic, partition) {
                    self.instance.watermark(slot, at, end);
                }
            }
        }
        Ok(())
    }

    fn rebalance(&mut self) -> Result<(), IngestError> {
        let events = std::mem::take(&mut *locked(&self.consumer.context().events));
        for event in events {
            match event {
                Event::Assigned(partitions) => self.begin_all(&partitions)?,
                Event::Revoked(partitions) => {
                    for (topic, partition) in &partitions {
                        self.instance.revoke(topic, *partition);
                    }
                    self.watch();
                }
                Event::Failed(code) => return Err(KafkaError::Rebalance(code).into()),
            }
        }
        Ok(())
    }

    /// Looks up where to begin partitions, and begins them.
    fn begin_all(&mut self, partitions: &[(String, u32)]) -> Result<(), IngestError> {
        let committed = self.until_answered("committed offsets", |worker| worker.committed(partitions))?;
        let mut elders = HashMap::new();
        for (topic, partition) in partitions {
            let joins_later = match elders.get(topic) {
                Some(found) => *found,
                None => {
                    let found = self.until_answered("committed offsets", |worker| worker.has_elders(topic))?;
                    elders.insert(topic.clone(), found);
                    found
                }
            };
            let look = self.until_answered("watermarks", |worker| worker.look_at(topic, *partition))?;
            let found = committed.get(&(topic.clone(), *partition));
            let found = found.map(|(offset, metadata)| Committed { offset: *offset, metadata });
            let Some((_, offset, start)) =
                self.instance.assign((topic, *partition), found, look, joins_later, wall_ms())
            else {
                continue;
            };
            if start != Start::Continued {
                tracing::info!(topic, partition, offset, ?start, "reading from the beginning of what there is");
            }
            self.seek(topic, *partition, offset)?;
            if self.may_read {
                self.consumer.resume(&list_of(topic, *partition))?;
            }
        }
        self.watch();
        Ok(())
    }

    /// Asks until the brokers answer: without knowing where to begin nothing may be read.
    fn until_answered<T>(&self, what: &str, ask: impl Fn(&Self) -> KafkaResult<T>) -> Result<T, IngestError> {
        loop {
            match ask(self) {
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    tracing::warn!(%error, "no answer about {what} yet");
                    self.status.beat();
                    self.outlet.deliveries.check()?;
                    std::thread::sleep(Duration::from_millis(500));
                }
            }
        }
    }

    fn committed(&self, partitions: &[(String, u32)]) -> KafkaResult<HashMap<(String, u32), (i64, String)>> {
        let mut list = TopicPartitionList::new();
        for (topic, partition) in partitions {
            list.add_partition(topic, i32::try_from(*partition).unwrap_or(i32::MAX));
        }
        let mut found = HashMap::new();
        for element in self.consumer.committed_offsets(list, CALL_TIMEOUT)?.elements() {
            element.error()?;
            if let (Offset::Offset(offset), Ok(partition)) = (element.offset(), u32::try_from(element.partition())) {
                found.insert((element.topic().to_owned(), partition), (offset, element.metadata().to_owned()));
            }
        }
        Ok(found)
    }

    fn has_elders(&self, topic: &str) -> KafkaResult<bool> {
        let elders: Vec<(String, u32)> =
            self.instance.elders(topic).into_iter().map(|(topic, partition)| (topic.to_owned(), partition)).collect();
        Ok(!elders.is_empty() && !self.committed(&elders)?.is_empty())
    }

    fn look_at(&self, topic: &str, partition: u32) -> KafkaResult<Look> {
        let at = Timestamp::from_millis_floor(wall_ms());
        let number = i32::try_from(partition).unwrap_or(i32::MAX);
        let (log_start, log_end) = self.uncommitted.fetch_watermarks(topic, number, CALL_TIMEOUT)?;
        Ok(Look { at, log_start, log_end })
    }

    fn seek(&self, topic: &str, partition: u32, offset: i64) -> Result<(), IngestError> {
        let number = i32::try_from(partition).unwrap_or(i32::MAX);
        let deadline = Instant::now() + CALL_TIMEOUT;
        // Right after an assignment the fetcher may not have begun.
        while let Err(error) = self.consumer.seek(topic, number, Offset::Offset(offset), Duration::from_secs(5)) {
            if Instant::now() > deadline {
                return Err(error.into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Tells the second thread what to look at.
    fn watch(&self) {
        let partitions = self.instance.slots().map(|(_, topic, partition)| (topic.to_owned(), partition));
        *locked(&self.watched) = partitions.collect();
    }

    /// Reads one batch.
    fn read(&mut self) -> Result<(), IngestError> {
        if self.instance.in_flight() > IN_FLIGHT_MAX {
            std::thread::sleep(Duration::from_millis(2));
            self.take_acknowledgements();
            return Ok(());
        }
        let consumer = self.consumer.clone();
        let begun = Instant::now();
        let now_ms = wall_ms();
        let mut read = 0;
        let mut patience = Duration::from_millis(50);
        while read < BATCH_RECORDS_MAX && begun.elapsed() < BATCH_TIME_MAX {
            match consumer.poll(patience) {
                None => break,
                Some(Ok(message)) => {
                    self.record(&message, now_ms);
                    read += 1;
                    patience = Duration::ZERO;
                }
                Some(Err(error)) if is_passing(&error) => tracing::debug!(%error, "passing"),
                Some(Err(error)) => return Err(error.into()),
            }
            if !locked(&consumer.context().events).is_empty() {
                break;
            }
        }
        self.take_acknowledgements();
        Ok(())
    }

    fn record(&mut self, message: &BorrowedMessage<'_>, now_ms: i64) {
        let partition = u32::try_from(message.partition()).unwrap_or(u32::MAX);
        let Some(slot) = self.instance.slot(message.topic(), partition) else { return };
        let headers = MessageHeaders(message);
        let record = RecordView {
            timestamp_ms: message.timestamp().to_millis(),
            key: message.key(),
            payload: message.payload(),
            headers: &headers,
        };
        self.instance.record(slot, message.offset(), record, now_ms, &mut &self.outlet);
    }

    fn take_acknowledgements(&mut self) {
        let deliveries = &self.outlet.deliveries;
        let (rejects, shards) = deliveries.acked.split_last().expect("there is always the lane of rejects");
        let now_ms = wall_ms();
        for (shard, (acked, skew)) in (0_u32..).zip(shards.iter().zip(&deliveries.skew_ms)) {
            self.instance.acked(shard, acked.load(Ordering::Acquire));
            let skew_ms = skew.swap(NO_SKEW, Ordering::Relaxed);
            if skew_ms != NO_SKEW {
                self.instance.clock(shard, now_ms + skew_ms, now_ms);
            }
        }
        self.instance.rejects_acked(rejects.load(Ordering::Acquire));
    }

    /// Positions, progress, commits, metrics.
    fn tend(&mut self) {
        if let Ok(positions) = self.consumer.position() {
            for element in positions.elements() {
                if let (Offset::Offset(position), Ok(partition)) =
                    (element.offset(), u32::try_from(element.partition()))
                    && let Some(slot) = self.instance.slot(element.topic(), partition)
                {
                    // It passes control records, which nobody is handed.
                    self.instance.position(slot, position);
                }
            }
        }
        self.instance.turn();
        self.commit();
        self.instance.progress(wall_ms(), &mut &self.outlet);
        self.heed_the_clock();
        self.status.tell(&self.instance, &self.config, &mut self.told);
    }

    /// A clock that is off reads nothing: times in the future would be taken for the past, or the past
    /// for the future.
    fn heed_the_clock(&mut self) {
        let may_read = self.instance.may_read();
        if may_read == self.may_read {
            return;
        }
        self.may_read = may_read;
        if let Ok(assignment) = self.consumer.assignment() {
            let outcome = if may_read { self.consumer.resume(&assignment) } else { self.consumer.pause(&assignment) };
            if let Err(error) = outcome {
                tracing::warn!(%error, "reading could not be paused or resumed");
            }
        }
        tracing::warn!(reading = may_read, "this instance's clock and the brokers' differ by more than a minute");
    }

    fn commit(&mut self) {
        let commits = self.instance.commits(wall_ms());
        if commits.is_empty() {
            return;
        }
        let outcome = commit_list(&commits).and_then(|list| self.consumer.commit(&list, CommitMode::Sync));
        match outcome {
            Ok(()) => self.instance.committed(&commits),
            // After a rebalance somebody else commits; what was read is read again, which changes nothing.
            Err(error) => tracing::info!(%error, "offsets not committed"),
        }
    }

    /// Takes over a new configuration: everything that is in flight first, then all partitions anew.
    fn reconfigure(&mut self) -> Result<(), IngestError> {
        let Some(config) = locked(&self.next_config).take() else { return Ok(()) };
        let _ = self.outlet.producer.flush(Duration::from_secs(60));
        self.outlet.deliveries.check()?;
        self.take_acknowledgements();
        self.instance.turn();
        self.instance.turn();
        self.commit();
        self.status.tell(&self.instance, &self.config, &mut self.told);
        let partitions: Vec<(String, u32)> =
            self.instance.slots().map(|(_, topic, partition)| (topic.to_owned(), partition)).collect();
        self.config = config;
        self.told.clear();
        self.instance = new_instance(&self.config)?;
        self.outlet = Outlet::new(&self.clients, &self.config)?;
        // The topics are resolved anew at the next look.
        self.subscribed.clear();
        for (topic, partition) in &partitions {
            self.consumer.pause(&list_of(topic, *partition))?;
        }
        self.begin_all(&partitions)
    }
}

fn new_instance(config: &Arc<Config>) -> Result<Instance, IngestError> {
    let mut key = [0; 16];
    getrandom::fill(&mut key).map_err(|error| IngestError::Random(error.to_string()))?;
    Ok(Instance::new(config.clone(), CACHE_BYTES, key))
}

/// Asks the brokers, again and again, until nobody listens.
fn look(reader: &BaseConsumer, watched: &Mutex<Vec<(String, u32)>>, sights: &Sender<Sight>) {
    loop {
        let begun = Instant::now();
        let at = Timestamp::from_millis_floor(wall_ms());
        match reader.fetch_metadata(None, CALL_TIMEOUT) {
            Ok(metadata) => {
                let count =
                    |topic: &rdkafka::metadata::MetadataTopic| u32::try_from(topic.partitions().len()).unwrap_or(0);
                let topics = metadata.topics().iter().map(|topic| (topic.name().to_owned(), count(topic)));
                if sights.send(Sight::Topics(at, topics.collect())).is_err() {
                    return;
                }
            }
            Err(error) => tracing::debug!(%error, "no answer about topics"),
        }
        let partitions = locked(watched).clone();
        for (topic, partition) in partitions {
            // First the moment, then the question: what is appended in between is beyond the answer.
            let at = Timestamp::from_millis_floor(wall_ms());
            let number = i32::try_from(partition).unwrap_or(i32::MAX);
            match reader.fetch_watermarks(&topic, number, CALL_TIMEOUT) {
                Ok((_, end)) => {
                    if sights.send(Sight::End(topic, partition, at, end)).is_err() {
                        return;
                    }
                }
                Err(error) => tracing::debug!(%error, topic, partition, "no answer about a watermark"),
            }
        }
        std::thread::sleep(LOOK_INTERVAL.saturating_sub(begun.elapsed()));
    }
}

fn commit_list(commits: &[Commit]) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for commit in commits {
        let partition = i32::try_from(commit.partition).unwrap_or(i32::MAX);
        list.add_partition_offset(&commit.topic, partition, Offset::Offset(commit.offset))?;
        if let Some(mut element) = list.find_partition(&commit.topic, partition) {
            element.set_metadata(&commit.metadata);
        }
    }
    Ok(list)
}

fn list_of(topic: &str, partition: u32) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, i32::try_from(partition).unwrap_or(i32::MAX));
    list
}

struct MessageHeaders<'m, 'c>(&'m BorrowedMessage<'c>);

impl Headers for MessageHeaders<'_, '_> {
    fn last(&self, name: &str) -> Option<Option<&[u8]>> {
        let headers = self.0.headers()?;
        let found = (0..headers.count()).rev().map(|place| headers.get(place)).find(|header| header.key == name);
        found.map(|header| header.value)
    }
}

/// librdkafka goes on by itself.
fn is_passing(error: &KafkaError) -> bool {
    match error {
        KafkaError::PartitionEOF(_) => true,
        KafkaError::MessageConsumption(code) => matches!(
            code,
            RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::NotLeaderForPartition
                | RDKafkaErrorCode::LeaderNotAvailable
                | RDKafkaErrorCode::RequestTimedOut
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::CoordinatorNotAvailable
                | RDKafkaErrorCode::NotCoordinator
        ),
        _ => false,
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
