//! Ingest's loop on Kafka: reads the sources' topics, produces signals and progress, commits.
//!
//! * [`membership`]: what the group tells
//! * [`lookout`]: asks for topics and ends on a thread of its own
//! * [`begin`]: where partitions begin
//! * [`committer`]: commits on another
//! * [`outlet`]: produces, and counts what arrived
//!
//! A delivery that failed ends the instance: its cache would swallow what was not delivered.

mod begin;
mod committer;
mod lookout;
mod membership;
mod outlet;

use super::extract::{Headers, RecordView};
use super::instance::{Counts, Instance, Slot};
use super::status::IngestStatus;
use crate::config::Config;
use crate::kafka::clients::{Clients, Isolation};
use crate::kafka::inbox::{Inbox, Received, Record, TopicHandle};
use crate::kafka::offsets::list;
use committer::{Committed, Committer};
use lookout::{Lookout, Sight};
use membership::{Event, Membership, Name};
use outlet::Outlet;
use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A batch takes at most this many records: few enough for what is read of them to stay near the processor,
/// and for a rebalance not to wait.
const BATCH_RECORDS_MAX: usize = 2_000;
/// So many records before its turn one is fetched into the processor's cache.
const PREFETCH_RECORDS: usize = 3;
/// How long it waits for a record where there is none. A rebalance waits as long.
const BATCH_PATIENCE: Duration = Duration::from_millis(50);
/// With more records than this waiting for the brokers' acknowledgement nothing is read.
const IN_FLIGHT_MAX: u64 = 400_000;
/// How often progress, commits and metrics are looked after.
const TEND_INTERVAL: Duration = Duration::from_millis(500);
/// How long one question to the brokers may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// What is in flight when the loop is asked to stop may take this long to arrive.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

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
    #[error("ingest may not join its group; grant Read on group {0}")]
    GroupRefused(String),
}

/// Reads the sources for one instance.
pub struct IngestWorker {
    clients: Clients,
    config: Arc<Config>,
    consumer: Arc<BaseConsumer<Membership>>,
    /// Where its partitions deliver.
    inbox: Inbox<Membership>,
    /// For questions that only a rebalance asks; the loop waits for their answers.
    uncommitted: BaseConsumer,
    lookout: Lookout,
    instance: Instance,
    outlet: Outlet,
    subscribed: Vec<String>,
    status: Arc<IngestStatus>,
    told: Vec<Counts>,
    next_config: Arc<Mutex<Option<Arc<Config>>>>,
    /// Where the latest record lay, so that the next need not be looked up.
    latest: Option<Latest>,
    committer: Committer,
    /// Assigned by the group, and the brokers did not say yet where they begin.
    waiting: Vec<Name>,
    tended: Instant,
    /// Whether partitions are read, or paused.
    reading: bool,
}

impl IngestWorker {
    /// Connects. `name` is the instance's, the same after a restart.
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
        let group = group(&config);
        let member = format!("{}-{name}-ingest", config.application);
        let consumer = Arc::new(clients.group_member(&group, Some(&member), Membership::default())?);
        Ok(IngestWorker {
            committer: Committer::begin(consumer.clone())?,
            inbox: Inbox::new(consumer.clone()),
            consumer,
            uncommitted: clients.reader(Isolation::ReadUncommitted, None)?,
            lookout: Lookout::begin(clients.clone(), clients.reader(Isolation::ReadUncommitted, None)?)?,
            instance: new_instance(&config)?,
            outlet: Outlet::new(&clients, &config)?,
            subscribed: Vec::new(),
            status,
            told: Vec::new(),
            next_config,
            latest: None,
            waiting: Vec::new(),
            tended: Instant::now(),
            reading: false,
            clients,
            config,
        })
    }

    /// Runs until `stop`, or until it can't go on. Belongs on a thread of its own.
    ///
    /// # Errors
    /// Whatever must end the instance: a failed delivery, or a refusal of the brokers.
    pub fn run(self, stop: &AtomicBool) -> Result<(), IngestError> {
        let group = group(&self.config);
        self.turn(stop).map_err(|error| match error {
            IngestError::Kafka(error)
                if error.rdkafka_error_code() == Some(RDKafkaErrorCode::GroupAuthorizationFailed) =>
            {
                IngestError::GroupRefused(group)
            }
            other => other,
        })
    }

    fn turn(mut self, stop: &AtomicBool) -> Result<(), IngestError> {
        self.tend()?;
        while !stop.load(Ordering::Relaxed) {
            self.status.beat();
            self.reconfigure(stop)?;
            while let Some(sight) = self.lookout.next() {
                self.see(sight, stop)?;
            }
            self.listen(stop)?;
            self.read(stop)?;
            self.outlet.check()?;
            self.outlet.tell(&mut self.instance);
            self.instance.turn();
            if self.tended.elapsed() >= TEND_INTERVAL {
                self.tend()?;
                self.begin_waiting(stop)?;
            }
        }
        self.wind_up(STOP_PATIENCE);
        self.consumer.unsubscribe();
        Ok(())
    }

    fn see(&mut self, sight: Sight, stop: &AtomicBool) -> Result<(), IngestError> {
        match sight {
            Sight::Topics(at, topics) => {
                let known = topics.iter().map(|(topic, count)| (topic.as_str(), *count));
                let mut wanted = self.instance.topics(at, known);
                wanted.sort();
                if wanted != self.subscribed {
                    tracing::info!(topics = ?wanted, "subscribing");
                    self.consumer.subscribe(&wanted.iter().map(String::as_str).collect::<Vec<_>>())?;
                    self.subscribed = wanted;
                }
            }
            Sight::Retentions(retentions) => self.instance.retentions(&retentions),
            Sight::Ends(at, ends, topics) => {
                self.begin_recreated(&topics, stop)?;
                for ((topic, partition), end) in ends {
                    if let Some(slot) = self.instance.slot(&topic, partition) {
                        self.instance.watermark(slot, at, end);
                    }
                }
            }
        }
        Ok(())
    }

    fn take_events(&mut self, stop: &AtomicBool) -> Result<(), IngestError> {
        if !self.consumer.context().has_events() {
            return Ok(());
        }
        for event in self.consumer.context().take() {
            match event {
                Event::Assigned(partitions) => self.begin_all(&partitions, stop)?,
                Event::Revoked(partitions) => self.let_go(&partitions),
                Event::Failed(code) => return Err(KafkaError::Rebalance(code).into()),
            }
        }
        Ok(())
    }

    fn let_go(&mut self, partitions: &[Name]) {
        self.waiting.retain(|name| !partitions.contains(name));
        partitions.iter().for_each(|(topic, partition)| self.instance.revoke(topic, *partition));
        self.latest = None;
        self.watch();
    }

    /// Tells the lookout what to look at.
    fn watch(&self) {
        self.lookout.watch(self.names());
    }

    fn names(&self) -> Vec<Name> {
        self.instance.slots().map(|(_, topic, partition)| (topic.to_owned(), partition)).collect()
    }

    /// Takes in what the group tells, and whatever else is no record. Whatever was given up delivers nothing
    /// after this.
    fn listen(&mut self, stop: &AtomicBool) -> Result<(), IngestError> {
        let consumer = self.consumer.clone();
        while let Some(answer) = consumer.poll(Duration::ZERO) {
            match answer {
                // Records are delivered to the inbox, unless a partition has forgotten that.
                Ok(message) => {
                    let received = Received::from(message);
                    record(&mut self.instance, &mut self.latest, received.record()?, wall_ms(), &self.outlet);
                }
                Err(error) => self.endure(error, stop)?,
            }
        }
        self.instance.catch_up(&mut &self.outlet);
        self.take_events(stop)
    }

    /// Reads one batch, all of it: its positions count as read from here on.
    fn read(&mut self, stop: &AtomicBool) -> Result<(), IngestError> {
        if self.instance.in_flight() > IN_FLIGHT_MAX {
            // The producer's own thread empties its queue; what the consumer has fetched waits.
            std::thread::sleep(Duration::from_millis(2));
            return Ok(());
        }
        let mut errors = Vec::new();
        let mut now_ms = None;
        let mut batch = self.inbox.receive(BATCH_RECORDS_MAX, BATCH_PATIENCE).into_iter();
        while let Some(received) = batch.next() {
            if let Some(later) = batch.as_slice().get(PREFETCH_RECORDS) {
                later.prefetch();
            }
            match received.record() {
                Ok(it) => {
                    let now_ms = *now_ms.get_or_insert_with(wall_ms);
                    record(&mut self.instance, &mut self.latest, it, now_ms, &self.outlet);
                }
                Err(error) => errors.push(error),
            }
        }
        drop(batch);
        self.instance.catch_up(&mut &self.outlet);
        errors.into_iter().try_for_each(|error| self.endure(error, stop))
    }

    /// Goes on after an error, if that is possible.
    fn endure(&mut self, error: KafkaError, stop: &AtomicBool) -> Result<(), IngestError> {
        match error {
            KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset) => self.begin_lost(stop),
            error if is_passing(&error) => {
                tracing::debug!(%error, "passing");
                Ok(())
            }
            error => Err(error.into()),
        }
    }

    /// Positions, progress, commits, metrics.
    fn tend(&mut self) -> Result<(), IngestError> {
        self.tended = Instant::now();
        self.instance.slots().for_each(|(_, topic, partition)| self.inbox.take_in(topic, partition));
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
        self.commit(Duration::ZERO);
        self.instance.progress(wall_ms(), &mut &self.outlet);
        self.heed_the_clock()?;
        self.status.tell(&self.instance, &self.config, &mut self.told);
        Ok(())
    }

    /// With a clock that is off nothing is read: a time in the future would pass for one in the past. At
    /// the beginning nothing is known of it, until the first progress has been appended.
    fn heed_the_clock(&mut self) -> Result<(), IngestError> {
        let may_read = self.instance.may_read();
        if may_read == self.reading {
            return Ok(());
        }
        self.reading = may_read;
        let partitions = list(self.names().iter().map(|(topic, partition)| (topic.as_str(), *partition, None)))?;
        if may_read {
            tracing::info!("the clock agrees with the brokers': reading");
            self.consumer.resume(&partitions)?;
        } else {
            tracing::warn!("this instance's clock and most brokers' differ by more than a minute: not reading");
            self.consumer.pause(&partitions)?;
        }
        Ok(())
    }

    /// Notes what became of the last commit, and begins the next.
    fn commit(&mut self, patience: Duration) {
        if let Some(Committed { commits, outcome }) = self.committer.outcome(patience) {
            match outcome {
                Ok(()) => self.instance.committed(&commits),
                // After a rebalance somebody else commits; what was read is read again, which changes nothing.
                Err(error) => tracing::info!(%error, "offsets were not committed; they will be, or read again"),
            }
        }
        if self.committer.is_busy() {
            return;
        }
        let commits = self.instance.commits(wall_ms());
        if !commits.is_empty() {
            self.committer.commit(commits);
        }
    }

    /// Lets what is in flight arrive, and commits.
    fn wind_up(&mut self, patience: Duration) {
        self.outlet.flush(patience);
        self.outlet.tell(&mut self.instance);
        // Everything has reached the checkpoint that is open; the second turn settles it.
        self.instance.turn();
        self.instance.turn();
        // The one under way, and the last.
        self.commit(patience);
        self.commit(patience);
        self.status.tell(&self.instance, &self.config, &mut self.told);
    }

    /// Takes over a new configuration: everything that is in flight first, then all partitions anew.
    fn reconfigure(&mut self, stop: &AtomicBool) -> Result<(), IngestError> {
        let Some(config) = locked(&self.next_config).take() else { return Ok(()) };
        self.wind_up(Duration::from_secs(60));
        self.outlet.check()?;
        let partitions = self.names();
        self.give_back(&partitions)?;
        self.config = config;
        self.told.clear();
        self.instance = new_instance(&self.config)?;
        self.outlet = Outlet::new(&self.clients, &self.config)?;
        self.reading = false;
        // Which topics are read is decided anew with the next look at them.
        self.subscribed.clear();
        self.begin_again(&partitions, stop)
    }
}

fn group(config: &Config) -> String {
    format!("{}-ingest", config.application)
}

fn new_instance(config: &Arc<Config>) -> Result<Instance, IngestError> {
    let mut key = [0; 16];
    getrandom::fill(&mut key).map_err(|error| IngestError::Random(error.to_string()))?;
    Ok(Instance::new(config.clone(), super::coalesce::BYTES, key))
}

/// Where a record lay.
struct Latest {
    topic: TopicHandle,
    partition: u32,
    slot: Slot,
}

fn record(instance: &mut Instance, latest: &mut Option<Latest>, record: Record<'_>, now_ms: i64, mut outlet: &Outlet) {
    let (topic, partition) = (record.topic_handle(), record.partition());
    let slot = match latest {
        Some(latest) if latest.partition == partition && latest.topic == topic => latest.slot,
        _ => {
            let Some(slot) = record.topic().and_then(|topic| instance.slot(topic, partition)) else { return };
            *latest = Some(Latest { topic, partition, slot });
            slot
        }
    };
    let view = RecordView {
        timestamp_ms: record.timestamp_ms(),
        key: record.key(),
        payload: record.payload(),
        headers: &record,
    };
    instance.record_of_many(slot, record.offset(), view, now_ms, &mut outlet);
}

impl Headers for Record<'_> {
    fn last(&self, name: &str) -> Option<Option<&[u8]>> {
        self.last_header(|header| header == name.as_bytes())
    }

    fn last_ignoring_case(&self, name: &str) -> Option<Option<&[u8]>> {
        self.last_header(|header| header.eq_ignore_ascii_case(name.as_bytes()))
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

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
