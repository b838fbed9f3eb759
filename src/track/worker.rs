//! Track's loop on Kafka: poll a bounded batch, merge and decide, produce, commit, believe.
//!
//! * A batch ends at a rebalance: what was buffered is thrown away and read again, so that nothing of a
//!   revoked shard gets into a transaction.
//! * The group's metadata is read when a batch begins; the broker refuses the commit of a batch that a
//!   rebalance has overtaken.
//! * After an abort everything is undone and read again; after an unknown outcome the shards are dropped
//!   and restored.

use super::outputs::Outputs;
use super::questions::Questions;
use super::shard::{Applied, Home, Input, More, RestoreError as ShardError, Shard};
use super::status::TrackStatus;
use crate::config::Config;
use crate::kafka::clients::{Clients, Isolation};
use crate::kafka::restore::{self, RestoreError, Restorer};
use crate::kafka::transaction::{self, Outgoing, TransactionError, Transactions};
use crate::retention::command::Verb;
use crate::wire;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message, Timestamp as Stamp};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A batch takes at most this many records, bytes and time.
const BATCH_RECORDS_MAX: usize = 200_000;
const BATCH_BYTES_MAX: usize = 64 << 20;
const BATCH_TIME_MAX: Duration = Duration::from_secs(1);
/// How long a batch waits for more once it has something.
const BATCH_LINGER: Duration = Duration::from_millis(100);
/// How many customers that fall due are judged in one batch and shard.
const DUE_PER_BATCH: usize = 10_000;
/// How often what was committed past is deleted.
const TRIM_INTERVAL: Duration = Duration::from_secs(60);
/// How often offsets are committed when nothing else is.
const OFFSETS_INTERVAL: Duration = Duration::from_secs(5);
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
    events: Mutex<Vec<Event>>,
}

enum Event {
    Assigned(Vec<u32>),
    Revoked(Vec<u32>),
    Failed(RDKafkaErrorCode),
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
                Ok(Event::Failed(other.into()))
            }
        };
        let code = |error: KafkaError| error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        let event = outcome.unwrap_or_else(|error| Event::Failed(code(error)));
        self.events.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(event);
    }
}

impl Membership {
    fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.events.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn is_changed(&self) -> bool {
        !self.events.lock().unwrap_or_else(std::sync::PoisonError::into_inner).is_empty()
    }
}

struct Slot {
    shard: Shard,
    /// Where its input goes on after what is committed.
    committed: i64,
    /// The group has committed for it, or its input was trimmed: there must be state.
    has_history: bool,
    running: bool,
    /// There is more to decide, be it without input.
    waiting: bool,
    offsets_committed: Instant,
}

/// Owns the shards of this instance.
pub struct TrackWorker {
    names: Names,
    clients: Clients,
    config: Arc<Config>,
    cluster: String,
    consumer: Arc<BaseConsumer<Membership>>,
    lookup: BaseConsumer,
    uncommitted: BaseConsumer,
    restorer: Restorer,
    transactions: Transactions,
    slots: BTreeMap<u32, Slot>,
    outputs: Outputs,
    status: Arc<TrackStatus>,
    trimmed: Instant,
    /// A configuration to take over between two batches.
    next_config: Arc<Mutex<Option<Arc<Config>>>>,
    questions: Questions,
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
        Ok(TrackWorker {
            names,
            clients,
            config,
            cluster,
            consumer,
            lookup,
            uncommitted,
            restorer,
            transactions,
            slots: BTreeMap::new(),
            outputs: Outputs::default(),
            status,
            trimmed: Instant::now(),
            next_config,
            questions,
        })
    }

    /// Runs until `stop`, or until it can't go on. Belongs on a thread of its own.
    ///
    /// # Errors
    /// Whatever must end the instance: fenced, unreadable state, refused by the brokers.
    pub fn run(self, stop: &AtomicBool) -> Result<(), TrackError> {
        let group = self.names.group.clone();
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
        self.consumer.subscribe(&[&self.names.signals])?;
        while !stop.load(Ordering::Relaxed) {
            self.status.beat();
            self.reconfigure();
            self.rebalance()?;
            self.restore()?;
            self.batch()?;
            self.answer();
            self.trim();
        }
        self.consumer.unsubscribe();
        self.slots.keys().for_each(|partition| self.status.forget(*partition));
        self.status.left();
        Ok(())
    }

    fn reconfigure(&mut self) {
        let next = self.next_config.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(config) = next {
            self.config = config;
            self.questions.interrupt_all();
            self.slots.values_mut().for_each(|slot| slot.shard.reconfigure(self.config.clone()));
        }
    }

    fn answer(&mut self) {
        let slots = &self.slots;
        self.questions.turn(|partition| slots.get(&partition).filter(|slot| slot.running).map(|slot| &slot.shard));
    }

    /// Takes in what rebalances have done.
    fn rebalance(&mut self) -> Result<(), TrackError> {
        for event in self.consumer.context().take() {
            self.status.joined();
            match event {
                Event::Assigned(partitions) => {
                    self.open(&partitions)?;
                    self.take_over(&partitions)?;
                }
                Event::Revoked(partitions) => partitions.iter().for_each(|&partition| self.close(partition)),
                Event::Failed(code) => return Err(KafkaError::Rebalance(code).into()),
            }
        }
        Ok(())
    }

    /// Tells librdkafka, which has waited for it, that these are read here; paused, until their shards
    /// are restored.
    fn take_over(&mut self, partitions: &[u32]) -> Result<(), TrackError> {
        let offset = |partition: &u32| Some((*partition, self.slots.get(partition)?.committed));
        let list = transaction::offsets(&self.names.signals, partitions.iter().filter_map(offset))?;
        if let Err(error) = self.consumer.incremental_assign(&list) {
            // Lost again meanwhile: the group will say who owns them.
            tracing::warn!(%error, "shards could not be taken over");
            partitions.iter().for_each(|&partition| self.close(partition));
            return Ok(());
        }
        Ok(self.consumer.pause(&list)?)
    }

    fn close(&mut self, partition: u32) {
        self.slots.remove(&partition);
        self.questions.interrupt(partition);
        self.restorer.cancel(partition);
        self.status.forget(partition);
    }

    /// Begins to restore shards: the committed offsets first, which waits for pending transactions, and
    /// only then the end of the changelog.
    fn open(&mut self, partitions: &[u32]) -> Result<(), TrackError> {
        tracing::info!(?partitions, "restoring shards");
        loop {
            match self.try_open(partitions) {
                Err(Opening::NotNow(reason)) => {
                    tracing::warn!(reason, "a restore can't begin yet");
                    self.status.beat();
                    std::thread::sleep(Duration::from_millis(500));
                }
                Err(Opening::Never(error)) => return Err(error),
                Ok(()) => return Ok(()),
            }
        }
    }

    fn try_open(&mut self, partitions: &[u32]) -> Result<(), Opening> {
        let committed = restore::committed_offsets(&self.lookup, &self.names.signals, partitions)?;
        for &partition in partitions {
            self.close(partition);
            let offset = committed.get(&partition).copied().flatten();
            let (input_low, _) = restore::watermarks(&self.uncommitted, &self.names.signals, partition)?;
            let (low, end) = restore::watermarks(&self.uncommitted, &self.names.state, partition)?;
            let has_history = offset.is_some() || input_low > 0;
            if has_history && low > 0 {
                return Err(Opening::Never(TrackError::StateTruncated(partition)));
            }
            let home = Home { partition, partitions: self.config.topics.partitions, cluster: self.cluster.clone() };
            let slot = Slot {
                shard: Shard::new(home, self.config.clone()),
                // Offsets expire; what was committed past has been trimmed, and the rest merges again.
                committed: offset.unwrap_or(input_low).max(input_low),
                has_history,
                running: false,
                waiting: false,
                offsets_committed: Instant::now(),
            };
            self.slots.insert(partition, slot);
            self.restorer.begin(partition, low, end)?;
        }
        Ok(())
    }

    /// Goes on restoring for a moment; shards that are restored begin to run.
    fn restore(&mut self) -> Result<(), TrackError> {
        if self.restorer.is_idle() {
            return Ok(());
        }
        let mut broken = None;
        let (slots, metrics) = (&mut self.slots, &self.status.metrics);
        let stepped = self.restorer.step(Duration::from_millis(500), |record| {
            metrics.restored_records.inc();
            if let Some(slot) = slots.get_mut(&record.partition)
                && let Err(error) = slot.shard.restore(record.key, record.value)
            {
                broken.get_or_insert(error);
            }
        });
        if let Some(error) = broken {
            return Err(error.into());
        }
        self.status.restoring(self.restorer.progress());
        match stepped {
            Ok(done) => done.into_iter().try_for_each(|partition| self.begin_running(partition)),
            Err(RestoreError::NotNow(reason)) => {
                tracing::warn!(reason, "a restore begins anew");
                let restoring: Vec<u32> = self.restorer.progress().map(|(partition, _)| partition).collect();
                self.open(&restoring)
            }
        }
    }

    fn begin_running(&mut self, partition: u32) -> Result<(), TrackError> {
        let Some(slot) = self.slots.get_mut(&partition) else { return Ok(()) };
        slot.shard.finish_restore(slot.has_history)?;
        slot.running = true;
        slot.waiting = true;
        let offset = slot.committed;
        self.seek(partition, offset)?;
        self.consumer.resume(&self.list(partition))?;
        self.status.running(partition);
        tracing::info!(partition, offset, "shard restored");
        Ok(())
    }

    fn list(&self, partition: u32) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.names.signals, i32::try_from(partition).unwrap_or(i32::MAX));
        list
    }

    fn seek(&self, partition: u32, offset: i64) -> Result<(), KafkaError> {
        let partition = i32::try_from(partition).unwrap_or(i32::MAX);
        let deadline = Instant::now() + CALL_TIMEOUT;
        // Right after an assignment the fetcher may not have begun.
        while let Err(error) =
            self.consumer.seek(&self.names.signals, partition, Offset::Offset(offset), Duration::from_secs(5))
        {
            if Instant::now() > deadline {
                return Err(error);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// One batch: poll, apply, decide, produce, commit.
    fn batch(&mut self) -> Result<(), TrackError> {
        let consumer = self.consumer.clone();
        let Some(metadata) = consumer.group_metadata() else { return Ok(()) };
        let messages = collect(&consumer, self.is_busy())?;
        if consumer.context().is_changed() {
            // A rebalance: nothing of what was buffered may be used; what stays is read again.
            drop(messages);
            return self.rewind_all();
        }
        let touched = self.apply(&messages);
        drop(messages);
        self.decide(&touched);
        self.finish(&touched, &metadata)
    }

    /// There is something to do without input.
    fn is_busy(&self) -> bool {
        self.questions.are_under_way() || self.slots.values().any(|slot| slot.waiting)
    }

    fn rewind_all(&mut self) -> Result<(), TrackError> {
        self.rebalance()?;
        let running: Vec<u32> =
            self.slots.iter().filter(|(_, slot)| slot.running).map(|(partition, _)| *partition).collect();
        self.rewind(&running)
    }

    /// Back to what each shard has taken in for good.
    fn rewind(&mut self, partitions: &[u32]) -> Result<(), TrackError> {
        for &partition in partitions {
            if let Some(slot) = self.slots.get(&partition) {
                let offset = slot.shard.next_offset().unwrap_or(slot.committed);
                self.seek(partition, offset)?;
            }
        }
        Ok(())
    }

    /// Hands the records to their shards; returns the shards that have something to do.
    fn apply(&mut self, messages: &[BorrowedMessage<'_>]) -> Vec<u32> {
        let mut touched: Vec<u32> =
            self.slots.iter().filter(|(_, slot)| slot.waiting).map(|(partition, _)| *partition).collect();
        self.slots.values_mut().filter(|slot| slot.waiting).for_each(|slot| slot.shard.begin());
        let metrics = &self.status.metrics;
        for message in messages {
            let partition = u32::try_from(message.partition()).unwrap_or(u32::MAX);
            let Some(slot) = self.slots.get_mut(&partition).filter(|slot| slot.running) else { continue };
            // A record that was fetched before a seek and handed out after it.
            if slot.shard.next_offset().unwrap_or(slot.committed) > message.offset() {
                continue;
            }
            if !touched.contains(&partition) {
                touched.push(partition);
                slot.shard.begin();
            }
            let append_ms = match message.timestamp() {
                Stamp::LogAppendTime(ms) | Stamp::CreateTime(ms) => ms,
                Stamp::NotAvailable => 0,
            };
            let input = Input { offset: message.offset(), append_ms, key: message.key(), value: message.payload() };
            match slot.shard.apply(input) {
                Applied::Garbage => metrics.signals_garbage.inc(),
                Applied::Acknowledged(answered) => self.status.acknowledged(answered, input.value, &self.config),
                Applied::Instructed(Err(refusal)) => {
                    tracing::warn!(partition, %refusal, "an instruction changes nothing here");
                }
                Applied::Instructed(Ok(())) => tracing::info!(partition, "an instruction is obeyed"),
                Applied::Suppressed => metrics.signals_suppressed.inc(),
                Applied::Merged | Applied::Known | Applied::Progress => {}
            }
        }
        metrics.signals_applied.inc_by(messages.len() as u64);
        touched
    }

    fn decide(&mut self, touched: &[u32]) {
        self.outputs.clear();
        let now_ms = wall_ms();
        for partition in touched {
            if let Some(slot) = self.slots.get_mut(partition) {
                slot.waiting = slot.shard.decide(now_ms, DUE_PER_BATCH, &mut self.outputs) == More::Waiting;
            }
        }
    }

    fn finish(
        &mut self,
        touched: &[u32],
        metadata: &rdkafka::consumer::ConsumerGroupMetadata,
    ) -> Result<(), TrackError> {
        match self.produce_and_commit(touched, metadata) {
            Ok(()) => {
                for partition in touched {
                    if let Some(slot) = self.slots.get_mut(partition) {
                        slot.shard.commit();
                        self.status.observe(*partition, &slot.shard, !slot.waiting);
                    }
                }
                Ok(())
            }
            Err(TransactionError::Aborted(reason)) => {
                tracing::warn!(reason, "transaction aborted");
                self.status.given_up();
                self.status.metrics.transactions.with_label_values(&["aborted"]).inc();
                for partition in touched {
                    if let Some(slot) = self.slots.get_mut(partition) {
                        slot.shard.abort();
                        slot.waiting = true;
                    }
                }
                self.rewind(touched)
            }
            Err(TransactionError::Unknown(reason)) => {
                tracing::warn!(reason, "the outcome of a transaction is unknown; its shards are restored");
                self.status.given_up();
                self.status.metrics.transactions.with_label_values(&["unknown"]).inc();
                for &partition in touched {
                    self.consumer.pause(&self.list(partition))?;
                }
                self.open(touched)
            }
            Err(fatal) => Err(TrackError::Transaction(fatal)),
        }
    }

    fn produce_and_commit(
        &mut self,
        touched: &[u32],
        metadata: &rdkafka::consumer::ConsumerGroupMetadata,
    ) -> Result<(), TransactionError> {
        let begun = Instant::now();
        let mut changed = self.produce_commands()?;
        for partition in touched {
            let Some(slot) = self.slots.get_mut(partition) else { continue };
            self.outputs.clear();
            slot.shard.changelog(&mut self.outputs);
            for (key, value) in self.outputs.changelog() {
                changed = true;
                let topic = &self.names.state;
                let record = Outgoing { topic, partition: Some(*partition), key, value, content_type: None };
                self.transactions.produce(record)?;
            }
            for (key, value) in self.outputs.audit() {
                changed = true;
                let (topic, content_type) = (&self.names.audit, Some("application/json"));
                self.transactions.produce(Outgoing {
                    topic,
                    partition: None,
                    key,
                    value: Some(value),
                    content_type,
                })?;
            }
        }
        let stale = |slot: &Slot| slot.offsets_committed.elapsed() > OFFSETS_INTERVAL;
        let offsets_due = touched.iter().filter_map(|partition| self.slots.get(partition)).any(stale);
        if !changed && !offsets_due {
            return Ok(());
        }
        let position = |slot: &Slot| slot.shard.next_offset().unwrap_or(slot.committed);
        let positions: Vec<(u32, i64)> =
            touched.iter().filter_map(|partition| Some((*partition, position(self.slots.get(partition)?)))).collect();
        let list = transaction::offsets(&self.names.signals, positions.iter().copied())
            .map_err(|error| TransactionError::Fatal(error.to_string()))?;
        self.transactions.commit(&list, metadata)?;
        for (partition, offset) in positions {
            if let Some(slot) = self.slots.get_mut(&partition) {
                (slot.committed, slot.offsets_committed) = (offset, Instant::now());
            }
        }
        self.status.committed(begun.elapsed());
        Ok(())
    }

    fn produce_commands(&mut self) -> Result<bool, TransactionError> {
        let rules = &self.config.rules;
        let mut value = Vec::new();
        for (customer, command) in self.outputs.commands() {
            value.clear();
            wire::command::encode(command, customer, rules, &mut value);
            let target = rules.target(command.target);
            self.transactions.produce(Outgoing {
                topic: &target.topic,
                partition: None,
                key: customer.as_bytes(),
                value: Some(&value),
                content_type: Some(wire::command::CONTENT_TYPE),
            })?;
            self.status.decided(&command.policy, command.verb.name(), &target.key, command.cause.name());
            if command.verb == Verb::Recall {
                tracing::debug!(customer, policy = command.policy, "recalled");
            }
        }
        Ok(self.outputs.commands().len() > 0)
    }

    /// Deletes what has been committed past, at most once a minute.
    fn trim(&mut self) {
        if self.trimmed.elapsed() < TRIM_INTERVAL {
            return;
        }
        self.trimmed = Instant::now();
        let positions = self.slots.iter().filter(|(_, slot)| slot.running && slot.committed > 0);
        let positions: Vec<(u32, i64)> = positions.map(|(partition, slot)| (*partition, slot.committed)).collect();
        let (Ok(list), Ok(admin)) =
            (transaction::offsets(&self.names.signals, positions.into_iter()), self.clients.admin())
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

/// Reads a bounded batch; it ends at a rebalance.
fn collect<'c>(consumer: &'c BaseConsumer<Membership>, waiting: bool) -> Result<Vec<BorrowedMessage<'c>>, KafkaError> {
    let (mut messages, mut bytes) = (Vec::new(), 0);
    let begun = Instant::now();
    let mut first: Option<Instant> = None;
    while messages.len() < BATCH_RECORDS_MAX && bytes < BATCH_BYTES_MAX && begun.elapsed() < BATCH_TIME_MAX {
        let patience = match first {
            None if waiting => Duration::ZERO,
            None => Duration::from_millis(100),
            Some(first) => BATCH_LINGER.saturating_sub(Instant::now() - first),
        };
        match consumer.poll(patience) {
            None if consumer.context().is_changed() => break,
            None if first.is_none_or(|first| first.elapsed() >= BATCH_LINGER) => break,
            None => {}
            Some(Ok(message)) => {
                bytes += message.payload_len() + message.key_len();
                first.get_or_insert_with(Instant::now);
                messages.push(message);
            }
            Some(Err(error)) if is_passing(&error) => {
                tracing::debug!(%error, "passing");
            }
            Some(Err(error)) => return Err(error),
        }
        if consumer.context().is_changed() {
            break;
        }
    }
    Ok(messages)
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

/// Why a restore didn't begin.
enum Opening {
    NotNow(String),
    Never(TrackError),
}

impl From<RestoreError> for Opening {
    fn from(error: RestoreError) -> Opening {
        match error {
            RestoreError::NotNow(reason) => Opening::NotNow(reason),
        }
    }
}

fn not_now(error: RestoreError) -> TrackError {
    match error {
        RestoreError::NotNow(reason) => TrackError::Transaction(TransactionError::Fatal(reason)),
    }
}

fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
