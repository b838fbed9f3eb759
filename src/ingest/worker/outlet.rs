//! Produces what an instance hands out, and counts what arrived.

use super::{IngestError, locked, wall_ms};
use crate::config::Config;
use crate::ingest::instance::{Instance, Sink};
use crate::kafka::clients::Clients;
use crate::kafka::polled::PolledProducer;
use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaResult, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the brokers have acknowledged, told by the producer's own thread.
struct Deliveries {
    /// By lane: shards, then rejects.
    acked: Vec<AtomicU64>,
    /// By shard: the append time of the newest progress less our clock when that was heard, in
    /// milliseconds.
    skew_ms: Vec<AtomicI64>,
    failed: Mutex<Option<(String, String)>>,
    has_failed: AtomicBool,
}

/// No progress was appended since the last look.
const NO_SKEW: i64 = i64::MIN;

impl Deliveries {
    fn fail(&self, topic: &str, reason: String) {
        locked(&self.failed).get_or_insert_with(|| (topic.to_owned(), reason));
        self.has_failed.store(true, Ordering::Release);
    }
}

/// Shared with the producer.
struct Reports(Arc<Deliveries>);

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    /// The lane, or past the last for progress, which is not counted.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, lane: usize) {
        match (result, self.0.acked.get(lane)) {
            (Ok(_), Some(acked)) => _ = acked.fetch_add(1, Ordering::Release),
            (Ok(message), None) => {
                let shard = usize::try_from(message.partition()).ok().and_then(|shard| self.0.skew_ms.get(shard));
                if let (rdkafka::Timestamp::LogAppendTime(append_ms), Some(skew)) = (message.timestamp(), shard) {
                    skew.store(append_ms - wall_ms(), Ordering::Release);
                }
            }
            (Err((error, message)), _) => self.0.fail(message.topic(), error.to_string()),
        }
    }
}

pub struct Outlet {
    producer: PolledProducer<Reports>,
    deliveries: Arc<Deliveries>,
    signals: String,
    rejects: String,
}

impl Outlet {
    pub fn new(clients: &Clients, config: &Config) -> KafkaResult<Outlet> {
        let shards = config.topics.partitions as usize;
        let deliveries = Arc::new(Deliveries {
            acked: (0..=shards).map(|_| AtomicU64::new(0)).collect(),
            skew_ms: (0..shards).map(|_| AtomicI64::new(NO_SKEW)).collect(),
            failed: Mutex::new(None),
            has_failed: AtomicBool::new(false),
        });
        let producer = clients.producer(Reports(deliveries.clone()))?;
        let topic = |name: &str| format!("{}.{name}", config.application);
        Ok(Outlet { producer, deliveries, signals: topic("signals"), rejects: topic("rejects") })
    }

    /// Whether all that was produced has arrived.
    ///
    /// # Errors
    /// [`IngestError::Delivery`]: something never will.
    pub fn check(&self) -> Result<(), IngestError> {
        if !self.deliveries.has_failed.load(Ordering::Acquire) {
            return Ok(());
        }
        let failed = locked(&self.deliveries.failed).clone().unwrap_or_default();
        Err(IngestError::Delivery { topic: failed.0, reason: failed.1 })
    }

    /// Tells the instance what has arrived.
    pub fn tell(&self, instance: &mut Instance) {
        let now_ms = wall_ms();
        let (rejects, shards) = self.deliveries.acked.split_last().expect("there is always the lane of rejects");
        for (shard, (acked, skew)) in (0_u32..).zip(shards.iter().zip(&self.deliveries.skew_ms)) {
            instance.acked(shard, acked.load(Ordering::Acquire));
            let skew_ms = skew.swap(NO_SKEW, Ordering::AcqRel);
            if skew_ms != NO_SKEW {
                instance.clock(shard, now_ms + skew_ms, now_ms);
            }
        }
        instance.rejects_acked(rejects.load(Ordering::Acquire));
    }

    /// Waits until everything has arrived, or so long.
    pub fn flush(&self, patience: Duration) {
        // What has not arrived then is not committed either.
        let _ = self.producer.flush(patience);
    }

    fn send(&self, topic: &str, partition: Option<u32>, key: Option<&[u8]>, value: &[u8], lane: usize) {
        let mut record = BaseRecord::<[u8], [u8], usize>::with_opaque_to(topic, lane).payload(value);
        record.key = key;
        record.partition = partition.and_then(|partition| i32::try_from(partition).ok());
        while let Err((error, again)) = self.producer.send(record) {
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                return self.deliveries.fail(topic, error.to_string());
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

    fn sightings(&mut self, shard: u32, value: &[u8]) {
        self.send(&self.signals, Some(shard), None, value, shard as usize);
    }

    fn reject(&mut self, value: &[u8]) {
        self.send(&self.rejects, None, None, value, self.deliveries.skew_ms.len());
    }

    fn progress(&mut self, shard: u32, value: &[u8]) {
        self.send(&self.signals, Some(shard), None, value, self.deliveries.acked.len());
    }
}
