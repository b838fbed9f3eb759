//! One transaction after another, and what became of each.
//!
//! Every call here blocks; it belongs on a thread of its own. A producer whose transaction ended in
//! doubt is never used again: librdkafka lacks the second part of KIP-890, so a delayed EndTxn of the old
//! transaction could end a new one of the same producer.

use super::clients::Clients;
use super::outbox::{KeyValue, Outbox};
use super::polled::PolledProducer;
use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext};
use std::time::{Duration, Instant};

/// What became of a transaction that did not plainly commit.
#[derive(Debug, thiserror::Error)]
pub enum TransactionError {
    /// Nothing of it will ever be seen. Undo, go back to the committed offsets, try again.
    #[error("the transaction was aborted: {0}")]
    Aborted(String),
    /// It was committed or it was not. The producer has been replaced, so that by now it is one of them
    /// for good: forget the shards it wrote for, and restore them.
    #[error("the outcome of the transaction is unknown: {0}")]
    Unknown(String),
    /// This instance is not the one any more that it was, or cannot go on: it must end.
    #[error("{0}")]
    Fatal(String),
}

/// Delivery reports of a transaction are summed up by its commit.
struct Silent;

impl ClientContext for Silent {}

impl ProducerContext for Silent {
    type DeliveryOpaque = ();
    fn delivery(&self, _result: &DeliveryResult<'_>, _opaque: ()) {}
}

/// A record to be produced.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    pub topic: &'a str,
    /// `None`: by the key.
    pub partition: Option<u32>,
    pub key: &'a [u8],
    /// `None`: a tombstone.
    pub value: Option<&'a [u8]>,
    /// Value of the header `content-type`.
    pub content_type: Option<&'a str>,
}

/// A transactional producer that survives its own accidents.
pub struct Transactions {
    clients: Clients,
    transactional_id: String,
    outbox: Option<Outbox<Silent>>,
    open: bool,
}

/// One call to the coordinator may take this long.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// How long to wait for the producer's own thread where its queue is full.
const QUEUE_PATIENCE: Duration = Duration::from_millis(2);
/// So many records are handed to the producer in one call.
const PRODUCED_AT_ONCE: usize = 1_000;
/// Becoming the owner of a transactional id may have to wait for an older owner's transaction.
const INIT_TIMEOUT: Duration = Duration::from_secs(60);

impl Transactions {
    /// Becomes the owner of the transactional id; an older owner's open transaction is aborted.
    ///
    /// # Errors
    /// When no coordinator could be reached in a minute, or the id may not be used.
    pub fn open(clients: Clients, transactional_id: String) -> Result<Transactions, TransactionError> {
        let mut transactions = Transactions { clients, transactional_id, outbox: None, open: false };
        transactions.renew()?;
        Ok(transactions)
    }

    fn renew(&mut self) -> Result<(), TransactionError> {
        self.open = false;
        // Dropping the old one first: what it still has in flight must not follow the new one's epoch.
        self.outbox = None;
        let fatal = |error: KafkaError| {
            let id = &self.transactional_id;
            let refused = error.rdkafka_error_code() == Some(RDKafkaErrorCode::TransactionalIdAuthorizationFailed);
            let grant = if refused { format!("; grant Write on transactional id {id}") } else { String::new() };
            TransactionError::Fatal(format!("cannot own the transactional id {id}: {error}{grant}"))
        };
        let producer = self.clients.transactional_producer(&self.transactional_id, Silent).map_err(fatal)?;
        let deadline = Instant::now() + INIT_TIMEOUT;
        while let Err(error) = producer.init_transactions(CALL_TIMEOUT) {
            let retriable = matches!(&error, KafkaError::Transaction(inner) if inner.is_retriable());
            if !retriable || Instant::now() > deadline {
                return Err(fatal(error));
            }
        }
        self.outbox = Some(Outbox::new(producer));
        Ok(())
    }

    fn outbox(&mut self) -> Result<&mut Outbox<Silent>, TransactionError> {
        self.outbox.as_mut().ok_or_else(|| TransactionError::Fatal("there is no producer any more".to_owned()))
    }

    fn producer(&mut self) -> Result<&PolledProducer<Silent>, TransactionError> {
        Ok(self.outbox()?.producer())
    }

    /// Produces into the open transaction, which it begins if there is none.
    ///
    /// # Errors
    /// [`TransactionError`]: what became of the transaction.
    pub fn produce(&mut self, record: Outgoing<'_>) -> Result<(), TransactionError> {
        self.begin()?;
        let mut message = BaseRecord::to(record.topic).key(record.key);
        message.partition = record.partition.and_then(|partition| i32::try_from(partition).ok());
        message.payload = record.value;
        if let Some(content_type) = record.content_type {
            let header = rdkafka::message::Header { key: "content-type", value: Some(content_type) };
            message.headers = Some(OwnedHeaders::new().insert(header));
        }
        let deadline = Instant::now() + CALL_TIMEOUT;
        loop {
            match self.producer()?.send(message) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again))
                    if Instant::now() < deadline =>
                {
                    std::thread::sleep(QUEUE_PATIENCE);
                    message = again;
                }
                Err((error, _)) => return Err(self.fail(error, Stage::Producing)),
            }
        }
    }

    /// Produces records for one partition into the open transaction, which it begins if there is none and there are
    /// any.
    ///
    /// # Errors
    /// [`TransactionError`]: what became of the transaction.
    pub fn produce_all<'r>(
        &mut self,
        topic: &str,
        partition: u32,
        mut records: impl Iterator<Item = KeyValue<'r>>,
    ) -> Result<(), TransactionError> {
        let mut some = Vec::with_capacity(PRODUCED_AT_ONCE);
        loop {
            some.clear();
            some.extend(records.by_ref().take(PRODUCED_AT_ONCE));
            if some.is_empty() {
                return Ok(());
            }
            self.begin()?;
            let mut rest = some.as_slice();
            let deadline = Instant::now() + CALL_TIMEOUT;
            while !rest.is_empty() {
                let taken = match self.outbox()?.produce(topic, partition, rest) {
                    Ok(0) if Instant::now() > deadline => {
                        Err(KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull))
                    }
                    taken => taken,
                };
                rest = &rest[taken.map_err(|error| self.fail(error, Stage::Producing))?..];
                if !rest.is_empty() {
                    std::thread::sleep(QUEUE_PATIENCE);
                }
            }
        }
    }

    fn begin(&mut self) -> Result<(), TransactionError> {
        if !self.open {
            if let Err(error) = self.producer()?.begin_transaction() {
                return Err(self.fail(error, Stage::Producing));
            }
            self.open = true;
        }
        Ok(())
    }

    /// Commits everything produced, and the offsets, which must hold at least one real position of every
    /// shard that was written for: librdkafka takes an empty list for done without asking anyone, and a
    /// zombie's commit would go through. `metadata` is the group's as of when the batch began.
    ///
    /// # Errors
    /// [`TransactionError`]: what became of the transaction.
    pub fn commit(
        &mut self,
        offsets: &TopicPartitionList,
        metadata: &ConsumerGroupMetadata,
    ) -> Result<(), TransactionError> {
        let real = |offset: rdkafka::Offset| matches!(offset, rdkafka::Offset::Offset(_));
        if offsets.count() == 0 || !offsets.elements().iter().all(|element| real(element.offset())) {
            let _ = self.abort();
            return Err(TransactionError::Fatal("a transaction without real offsets cannot be fenced".to_owned()));
        }
        self.begin()?;
        if let Err(error) = self.producer()?.send_offsets_to_transaction(offsets, metadata, CALL_TIMEOUT) {
            return Err(self.fail(error, Stage::Producing));
        }
        // rdkafka's commit flushes, too, but not before a tenth of a second has passed.
        if let Err(error) = self.outbox()?.flush(CALL_TIMEOUT) {
            return Err(self.fail(error, Stage::Committing));
        }
        if let Err(error) = self.producer()?.commit_transaction(CALL_TIMEOUT) {
            return Err(self.fail(error, Stage::Committing));
        }
        self.open = false;
        Ok(())
    }

    /// Aborts the open transaction, if there is one.
    ///
    /// # Errors
    /// [`TransactionError::Fatal`] only: after anything else it is aborted.
    pub fn abort(&mut self) -> Result<(), TransactionError> {
        if !self.open {
            return Ok(());
        }
        self.open = false;
        match self.producer()?.abort_transaction(CALL_TIMEOUT) {
            Ok(()) => Ok(()),
            Err(error) if is_fatal(&error) => Err(TransactionError::Fatal(error.to_string())),
            // A new producer with the same id ends the old one's transaction.
            Err(_) => self.renew(),
        }
    }

    /// Says what an error means for the transaction, and brings the producer back into use.
    fn fail(&mut self, error: KafkaError, stage: Stage) -> TransactionError {
        let reason = error.to_string();
        if is_fatal(&error) {
            return TransactionError::Fatal(reason);
        }
        let requires_abort = matches!(&error, KafkaError::Transaction(inner) if inner.txn_requires_abort());
        if requires_abort || stage == Stage::Producing {
            return match self.abort() {
                Ok(()) => TransactionError::Aborted(reason),
                Err(fatal) => fatal,
            };
        }
        match self.renew() {
            Ok(()) => TransactionError::Unknown(reason),
            Err(fatal) => fatal,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing has asked for a commit yet.
    Producing,
    Committing,
}

/// Fenced, or broken beyond use. An error without flags is one, too, unless it is about a single record.
fn is_fatal(error: &KafkaError) -> bool {
    match error {
        KafkaError::Transaction(inner) => inner.is_fatal(),
        KafkaError::MessageProduction(code) => matches!(code, RDKafkaErrorCode::Fatal | RDKafkaErrorCode::Fenced),
        KafkaError::Flush(_) => true,
        _ => false,
    }
}

/// Positions as a list for [`Transactions::commit`]: (partition, next offset).
///
/// # Errors
/// When an offset is none.
pub fn offsets(topic: &str, positions: impl Iterator<Item = (u32, i64)>) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in positions {
        let partition = i32::try_from(partition).unwrap_or(i32::MAX);
        list.add_partition_offset(topic, partition, rdkafka::Offset::Offset(offset))?;
    }
    Ok(list)
}
