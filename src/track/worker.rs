//! Track's loop on Kafka: lends the [`Owner`] of the instance's shards rdkafka.

use super::owner::{Broker, Ending, Event, News, NotNow, Owner, OwnerError};
use super::questions::Questions;
use super::shard::{Applied, Input, RestoreError as ShardError};
use super::status::TrackStatus;
use crate::config::Config;
use crate::kafka::clients::{Clients, Isolation};
use crate::kafka::inbox::{Inbox, Received};
use crate::kafka::restore::{self, RestoreError, Restorer};
use crate::kafka::transaction::{self, Outgoing, TransactionError, Transactions};
use crate::retention::command::Verb;
use crate::wire;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A batch takes at most this many records, bytes and time.
const BATCH_RECORDS_MAX: usize = 200_000;
/// Many activities may stand in one record; as many as that come to as much as so many records of one.
const BATCH_BYTES_MAX: usize = 10 << 20;
const BATCH_TIME_MAX: Duration = Duration::from_secs(1);
/// How long a batch waits for more once it has something.
const BATCH_LINGER: Duration = Duration::from_millis(100);
/// How many records are received at once; between two of those a rebalance is heard of, and the bytes are counted:
/// a record may have sixteen kilobytes.
const RECEIVE_MAX: usize = 256;
/// How often partitions are told where to deliver.
const TAKE_IN_INTERVAL: Duration = Duration::from_millis(500);
/// How often what was committed past is deleted.
const TRIM_INTERVAL: Duration = Duration::from_secs(60);
/// How long one step of a restore may take.
const RESTORE_STEP: Duration = Duration::from_millis(500);
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// Why the loop ended before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum TrackError {
    #[error("track: {0}")]
    Kafka(#[from] KafkaError),
    #[error("track: {0}")]
    Transaction(TransactionError),
    #[error("track cannot restore its state: {0}")]
    State(#[from] ShardError),
    #[error("track cannot restore shard {0}: the beginning of its state partition is gone")]
    StateTruncated(u32),
    #[error("track: the brokers did not tell their cluster's id")]
    NoClusterId,
    #[error("track may not join its group; grant Read on group {0}")]
    GroupRefused(String),
}

impl From<OwnerError<TrackError>> for TrackError {
    fn from(error: OwnerError<TrackError>) -> TrackError {
        match error {
            OwnerError::Broker(error) => error,
            OwnerError::State(error) => TrackError::State(error),
            OwnerError::StateTruncated(partition) => TrackError::StateTruncated(partition),
        }
    }
}

/// What a worker is called and reads.
#[derive(Clone, Debug)]
pub struct Names {
    pub group: String,
    pub transactional_id: String,
    /// Names a static member, so that a restarted pod takes its own place.
    pub group_instance: String,
    pub signals: String,
    pub state: String,
    pub audit: String,
}

impl Names {
    pub fn new(application: &str, pod: &str) -> Names {
        Names {
            group: format!("{application}-track"),
            transactional_id: format!("{application}-{pod}"),
            group_instance: format!("{application}-{pod}"),
            signals: format!("{application}.signals"),
            state: format!("{application}.state"),
            audit: format!("{application}.audit"),
        }
    }
}

/// What rebalances have done since the loop last looked.
#[derive(Default)]
struct Membership {
    events: Mutex<Vec<Result<Event, RDKafkaErrorCode>>>,
}

impl ClientContext for Membership {}

impl ConsumerContext for Membership {
    /// Partitions are assigned by the loop, which looks up where they begin: at an offset that has been
    /// trimmed librdkafka would give up the partition before it could be paused.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, err: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let partitions: Vec<u32> =
            list.elements().iter().filter_map(|element| u32::try_from(element.partition()).ok()).collect();
        let outcome = match err {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Ok(Event::Assigned(partitions)),
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => {
                // Lost or given up: the batch has not begun its transaction, so there is nothing to end.
                consumer.incremental_unassign(list).map(|()| Event::Revoked(partitions))
            }
            other => {
                // librdkafka wants to hear that everything is given up.
                let _ = consumer.unassign();
                return self.push(Err(other.into()));
            }
        };
        let code = |error: KafkaError| error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        self.push(outcome.map_err(code));
    }
}

impl Membership {
    fn push(&self, event: Result<Event, RDKafkaErrorCode>) {
        self.events.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(event);
    }

    fn take(&self) -> Vec<Result<Event, RDKafkaErrorCode>> {
        std::mem::take(&mut self.events.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn is_changed(&self) -> bool {
        !self.events.lock().unwrap_or_else(std::sync::PoisonError::into_inner).is_empty()
    }
}

/// Runs the shards of this instance.
pub struct TrackWorker {
    owner: Owner,
    kafka: Kafka,
    clients: Clients,
    trimmed: Instant,
    taken_in: Instant,
    /// A configuration to take over between two batches.
    next_config: Arc<Mutex<Option<Arc<Config>>>>,
}

/// What an [`Owner`] asks of Kafka.
struct Kafka {
    names: Names,
    consumer: Arc<BaseConsumer<Membership>>,
    /// Where its partitions deliver.
    inbox: Inbox<Membership>,
    lookup: BaseConsumer,
    uncommitted: BaseConsumer,
    restorer: Restorer,
    transactions: Transactions,
    status: Arc<TrackStatus>,
    begun: Instant,
    questions: RefCell<Questions>,
}

impl TrackWorker {
    /// Connects, and becomes the owner of the instance's transactional id.
    ///
    /// # Errors
    /// When the brokers can't be reached or refuse.
    pub fn new(
        names: Names,
        clients: Clients,
        config: Arc<Config>,
        status: Arc<TrackStatus>,
        next_config: Arc<Mutex<Option<Arc<Config>>>>,
        questions: Questions,
    ) -> Result<TrackWorker, TrackError> {
        let consumer =
            Arc::new(clients.group_member(&names.group, Some(&names.group_instance), Membership::default())?);
        let lookup = clients.reader(Isolation::ReadCommitted, Some(&names.group))?;
        let uncommitted = clients.reader(Isolation::ReadUncommitted, None)?;
        let cluster = lookup.client().fetch_cluster_id(CALL_TIMEOUT).ok_or(TrackError::NoClusterId)?;
        let restorer = Restorer::new(&clients, names.state.clone()).map_err(not_now)?;
        let transactions =
            Transactions::open(clients.clone(), names.transactional_id.clone()).map_err(TrackError::Transaction)?;
        let begun = Instant::now();
        let questions = RefCell::new(questions);
        let inbox = Inbox::new(consumer.clone());
        let kafka =
            Kafka { names, consumer, inbox, lookup, uncommitted, restorer, transactions, status, begun, questions };
        let owner = Owner::new(config, cluster);
        Ok(TrackWorker { owner, kafka, clients, trimmed: begun, taken_in: begun, next_config })
    }

    /// Runs until `stop`, or until it can't go on. Belongs on a thread of its own.
    ///
    /// # Errors
    /// Whatever must end the instance: fenced, unreadable state, refused by the brokers.
    pub fn run(self, stop: &AtomicBool) -> Result<(), TrackError> {
        let group = self.kafka.names.group.clone();
        self.turn(stop).map_err(|error| match error {
            TrackError::Kafka(error)
                if error.rdkafka_error_code() == Some(RDKafkaErrorCode::GroupAuthorizationFailed) =>
            {
                TrackError::GroupRefused(group)
            }
            other => other,
        })
    }

    fn turn(mut self, stop: &AtomicBool) -> Result<(), TrackError> {
        self.kafka.consumer.subscribe(&[&self.kafka.names.signals])?;
        while !stop.load(Ordering::Relaxed) {
            self.kafka.status.beat();
            self.reconfigure();
            self.owner.turn(&mut self.kafka)?;
            self.kafka.questions.get_mut().turn(|partition| self.owner.shard(partition));
            self.trim();
            if self.taken_in.elapsed() >= TAKE_IN_INTERVAL {
                self.taken_in = Instant::now();
                let (owner, kafka) = (&self.owner, &self.kafka);
                owner.partitions().for_each(|partition| kafka.inbox.take_in(&kafka.names.signals, partition));
            }
        }
        self.kafka.consumer.unsubscribe();
        self.owner.partitions().for_each(|partition| self.kafka.status.forget(partition));
        self.kafka.status.left();
        Ok(())
    }

    fn reconfigure(&mut self) {
        let next = self.next_config.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(config) = next {
            self.kafka.questions.get_mut().interrupt_all();
            self.owner.reconfigure(config);
        }
    }

    /// Deletes what has been committed past, at most once a minute.
    fn trim(&mut self) {
        if self.trimmed.elapsed() < TRIM_INTERVAL {
            return;
        }
        self.trimmed = Instant::now();
        let positions = self.owner.committed().filter(|(_, committed)| *committed > 0);
        let (Ok(list), Ok(admin)) = (transaction::offsets(&self.kafka.names.signals, positions), self.clients.admin())
        else {
            return;
        };
        if list.count() == 0 {
            return;
        }
        // It waits for brokers; the loop must not.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let options = rdkafka::admin::AdminOptions::new().request_timeout(Some(CALL_TIMEOUT));
            let outcome = runtime.map(|runtime| runtime.block_on(admin.delete_records(&list, &options)));
            if let Ok(Err(error)) = outcome {
                tracing::warn!(%error, "committed signals could not be deleted; they take room until they can");
            }
        });
    }
}

impl Broker for Kafka {
    type Membership = ConsumerGroupMetadata;
    type Batch<'b> = Vec<Received<'b>>;
    type Error = TrackError;

    fn wall_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    fn elapsed_ms(&self) -> i64 {
        i64::try_from(self.begun.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    fn tell(&self, news: News<'_>, config: &Config) {
        let (status, metrics) = (&self.status, &self.status.metrics);
        match news {
            News::Joined => status.joined(),
            News::Opening(partitions) => tracing::info!(?partitions, "restoring shards"),
            News::RestoreBeginsAnew(reason) => tracing::warn!(reason, "a restore begins anew"),
            News::Restoring => status.restoring(self.restorer.progress()),
            News::Restored { partition, offset } => {
                status.running(partition);
                tracing::info!(partition, offset, "shard restored");
            }
            News::Closed(partition) => {
                self.questions.borrow_mut().interrupt(partition);
                status.forget(partition);
            }
            News::Applied { partition, applied, value } => {
                metrics.signals_applied.inc();
                self.tell_applied(partition, applied, value, config);
            }
            News::Decided { customer, command } => {
                let target = &config.rules.target(command.target).key;
                status.decided(&command.policy, command.verb.name(), target, command.cause.name());
                if command.verb == Verb::Recall {
                    tracing::debug!(customer, policy = command.policy, "recalled");
                }
            }
            News::Committed { took_ms } => {
                status.committed(Duration::from_millis(u64::try_from(took_ms).unwrap_or_default()));
            }
            News::Believed { partition, shard, is_through } => status.observe(partition, shard, is_through),
            News::Aborted(reason) => {
                tracing::warn!(reason, "transaction aborted");
                status.given_up();
                metrics.transactions.with_label_values(&["aborted"]).inc();
            }
            News::Unknown(reason) => {
                tracing::warn!(reason, "the outcome of a transaction is unknown; its shards are restored");
                status.given_up();
                metrics.transactions.with_label_values(&["unknown"]).inc();
            }
        }
    }

    fn membership(&self) -> Option<ConsumerGroupMetadata> {
        self.consumer.group_metadata()
    }

    fn take_events(&mut self) -> Result<Vec<Event>, TrackError> {
        let events = self.consumer.context().take().into_iter();
        Ok(events.collect::<Result<_, _>>().map_err(KafkaError::Rebalance)?)
    }

    fn has_events(&self) -> bool {
        self.consumer.context().is_changed()
    }

    fn collect(&self, at_once: bool) -> Result<Vec<Received<'_>>, TrackError> {
        Ok(collect(&self.consumer, &self.inbox, at_once || self.questions.borrow().are_under_way())?)
    }

    fn records<'r, 'b: 'r>(batch: &'r Vec<Received<'b>>) -> impl Iterator<Item = (u32, Input<'r>)> {
        batch.iter().filter_map(|received| received.record().ok()).map(|record| {
            let append_ms = record.timestamp_ms().unwrap_or(0);
            let input = Input { offset: record.offset(), append_ms, key: record.key(), value: record.payload() };
            (record.partition(), input)
        })
    }

    /// librdkafka has waited for it; paused, until their shards are restored.
    fn assign(&mut self, offsets: &[(u32, i64)]) -> Result<bool, TrackError> {
        let list = transaction::offsets(&self.names.signals, offsets.iter().copied())?;
        offsets.iter().for_each(|(partition, _)| self.inbox.take_in(&self.names.signals, *partition));
        if let Err(error) = self.consumer.incremental_assign(&list) {
            // Lost again meanwhile: the group will say who owns them.
            tracing::warn!(%error, "shards could not be taken over");
            return Ok(false);
        }
        self.consumer.pause(&list)?;
        Ok(true)
    }

    fn seek(&mut self, partition: u32, offset: i64) -> Result<(), TrackError> {
        let partition = i32::try_from(partition).unwrap_or(i32::MAX);
        let deadline = Instant::now() + CALL_TIMEOUT;
        // Right after an assignment the fetcher may not have begun.
        while let Err(error) =
            self.consumer.seek(&self.names.signals, partition, Offset::Offset(offset), Duration::from_secs(5))
        {
            if Instant::now() > deadline {
                return Err(error.into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn pause(&mut self, partition: u32) -> Result<(), TrackError> {
        Ok(self.consumer.pause(&self.list(partition))?)
    }

    fn resume(&mut self, partition: u32) -> Result<(), TrackError> {
        Ok(self.consumer.resume(&self.list(partition))?)
    }

    fn committed(&mut self, partitions: &[u32]) -> Result<BTreeMap<u32, Option<i64>>, NotNow> {
        Ok(restore::committed_offsets(&self.lookup, &self.names.signals, partitions)?)
    }

    fn signals_start(&mut self, partition: u32) -> Result<i64, NotNow> {
        Ok(restore::watermarks(&self.uncommitted, &self.names.signals, partition)?.0)
    }

    fn state_ends(&mut self, partition: u32) -> Result<(i64, i64), NotNow> {
        Ok(restore::watermarks(&self.uncommitted, &self.names.state, partition)?)
    }

    fn begin_restore(&mut self, partition: u32, start: i64, end: i64) -> Result<(), NotNow> {
        Ok(self.restorer.begin(partition, start, end)?)
    }

    fn cancel_restore(&mut self, partition: u32) {
        self.restorer.cancel(partition);
    }

    fn restoring(&self) -> Vec<u32> {
        self.restorer.progress().map(|(partition, _)| partition).collect()
    }

    fn step_restore(&mut self, mut each: impl FnMut(u32, &[u8], Option<&[u8]>)) -> Result<Vec<u32>, NotNow> {
        let metrics = &self.status.metrics;
        let done = self.restorer.step(RESTORE_STEP, |record| {
            metrics.restored_records.inc();
            each(record.partition, record.key, record.value);
        })?;
        Ok(done)
    }

    fn wait(&mut self, reason: &str) -> Result<(), TrackError> {
        tracing::warn!(reason, "a restore can't begin yet");
        self.status.beat();
        std::thread::sleep(Duration::from_millis(500));
        Ok(())
    }

    fn produce_command(&mut self, topic: &str, customer: &str, value: &[u8]) -> Result<(), Ending<TrackError>> {
        let (key, content_type) = (customer.as_bytes(), Some(wire::command::CONTENT_TYPE));
        Ok(self.transactions.produce(Outgoing { topic, partition: None, key, value: Some(value), content_type })?)
    }

    fn produce_state<'r>(
        &mut self,
        partition: u32,
        records: impl Iterator<Item = (&'r [u8], Option<&'r [u8]>)>,
    ) -> Result<(), Ending<TrackError>> {
        Ok(self.transactions.produce_all(&self.names.state, partition, records)?)
    }

    fn produce_audit(&mut self, key: &[u8], value: &[u8]) -> Result<(), Ending<TrackError>> {
        let (topic, content_type) = (&self.names.audit, Some("application/json"));
        Ok(self.transactions.produce(Outgoing { topic, partition: None, key, value: Some(value), content_type })?)
    }

    fn commit(
        &mut self,
        positions: &[(u32, i64)],
        membership: &ConsumerGroupMetadata,
    ) -> Result<(), Ending<TrackError>> {
        let list = transaction::offsets(&self.names.signals, positions.iter().copied())
            .map_err(|error| Ending::Fatal(error.into()))?;
        Ok(self.transactions.commit(&list, membership)?)
    }
}

impl Kafka {
    fn tell_applied(&self, partition: u32, applied: &Applied, value: Option<&[u8]>, config: &Config) {
        let metrics = &self.status.metrics;
        match applied {
            Applied::Garbage => metrics.signals_garbage.inc(),
            Applied::Acknowledged(answered) => self.status.acknowledged(*answered, value, config),
            Applied::Instructed(Err(refusal)) => {
                tracing::warn!(partition, %refusal, "an instruction changes nothing here");
            }
            Applied::Instructed(Ok(())) => tracing::info!(partition, "an instruction is obeyed"),
            Applied::Ordered(Err(why)) => tracing::warn!(partition, %why, "a removal is not sent once more"),
            Applied::Ordered(Ok(())) => tracing::info!(partition, "a removal is to be sent once more"),
            Applied::Seen(seen) => {
                metrics.signals_suppressed.inc_by(seen.suppressed);
                metrics.signals_garbage.inc_by(seen.garbage);
            }
            Applied::Suppressed => metrics.signals_suppressed.inc(),
            Applied::Merged | Applied::Known | Applied::Progress => {}
        }
    }

    fn list(&self, partition: u32) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.names.signals, i32::try_from(partition).unwrap_or(i32::MAX));
        list
    }
}

impl From<TransactionError> for Ending<TrackError> {
    fn from(error: TransactionError) -> Ending<TrackError> {
        match error {
            TransactionError::Aborted(reason) => Ending::Aborted(reason),
            TransactionError::Unknown(reason) => Ending::Unknown(reason),
            fatal => Ending::Fatal(TrackError::Transaction(fatal)),
        }
    }
}

impl From<RestoreError> for NotNow {
    fn from(error: RestoreError) -> NotNow {
        match error {
            RestoreError::NotNow(reason) => NotNow(reason),
        }
    }
}

/// Reads a bounded batch; it ends at a rebalance.
fn collect<'c>(
    consumer: &'c BaseConsumer<Membership>,
    inbox: &'c Inbox<Membership>,
    waiting: bool,
) -> Result<Vec<Received<'c>>, KafkaError> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    let begun = Instant::now();
    let mut first: Option<Instant> = None;
    while batch.len() < BATCH_RECORDS_MAX && bytes < BATCH_BYTES_MAX && begun.elapsed() < BATCH_TIME_MAX {
        // Whatever is no record; it may be a rebalance.
        let mut received = listen(consumer)?;
        if consumer.context().is_changed() {
            break;
        }
        let patience = match first {
            None if waiting => Duration::ZERO,
            None => Duration::from_millis(100),
            Some(first) => BATCH_LINGER.saturating_sub(first.elapsed()),
        };
        received.append(&mut inbox.receive(RECEIVE_MAX.min(BATCH_RECORDS_MAX - batch.len()), patience));
        if received.is_empty() && first.is_none_or(|first| first.elapsed() >= BATCH_LINGER) {
            break;
        }
        for received in received {
            match received.record() {
                Ok(record) => bytes += record.payload().map_or(0, <[u8]>::len) + record.key().map_or(0, <[u8]>::len),
                Err(error) if is_passing(&error) => {
                    tracing::debug!(%error, "passing");
                    continue;
                }
                Err(error) => return Err(error),
            }
            first.get_or_insert_with(Instant::now);
            batch.push(received);
        }
    }
    Ok(batch)
}

/// What the consumer hands out itself: no records, unless a partition has forgotten where to deliver.
fn listen(consumer: &BaseConsumer<Membership>) -> Result<Vec<Received<'_>>, KafkaError> {
    let mut astray = Vec::new();
    while let Some(answer) = consumer.poll(Duration::ZERO) {
        match answer {
            Ok(message) => astray.push(Received::from(message)),
            Err(error) if is_passing(&error) => tracing::debug!(%error, "passing"),
            Err(error) => return Err(error),
        }
    }
    Ok(astray)
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
                | RDKafkaErrorCode::CoordinatorNotAvailable
                | RDKafkaErrorCode::NotCoordinator
        ),
        _ => false,
    }
}

fn not_now(error: RestoreError) -> TrackError {
    match error {
        RestoreError::NotNow(reason) => TrackError::Transaction(TransactionError::Fatal(reason)),
    }
}
