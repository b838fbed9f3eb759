//! Records for one partition, many at a time; and waiting until all have arrived.
//!
//! rdkafka produces one record a call, for which librdkafka looks up the topic by its name and asks the clock four
//! times; that costs as much as the rest of it. And its flush waits a tenth of a second whenever anything is in
//! flight, for a report that a transactional producer of ours does not ask for. So this file, beside
//! [`super::inbox`], talks to librdkafka itself.

#![allow(unsafe_code, reason = "rdkafka does not wrap rd_kafka_produce_batch, and not rd_kafka_flush as it is")]

use super::polled::PolledProducer;
use rdkafka::bindings::*;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::producer::{Producer, ProducerContext};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::ptr;
use std::time::Duration;

/// A key, and a value or a tombstone.
pub type KeyValue<'r> = (&'r [u8], Option<&'r [u8]>);

/// A producer, and the topics it has produced to.
pub struct Outbox<C: ProducerContext + 'static> {
    // Dropped first: a topic belongs to its producer.
    topics: BTreeMap<String, Topic>,
    producer: PolledProducer<C>,
    messages: Vec<rd_kafka_message_t>,
}

/// Not null; given back when it is dropped.
struct Topic(*mut rd_kafka_topic_t);

// SAFETY: librdkafka's topics may be used by any thread, and what the messages point to is read only during a call.
unsafe impl<C: ProducerContext + 'static> Send for Outbox<C> {}

impl<C: ProducerContext + 'static> Outbox<C> {
    pub fn new(producer: PolledProducer<C>) -> Outbox<C> {
        Outbox { topics: BTreeMap::new(), producer, messages: Vec::new() }
    }

    pub fn producer(&self) -> &PolledProducer<C> {
        &self.producer
    }

    /// Takes in records for a partition, as many as there is room for, in this order; tells how many.
    ///
    /// # Errors
    /// Whatever else than a full queue keeps one of them from being taken in.
    pub fn produce(&mut self, topic: &str, partition: u32, records: &[KeyValue<'_>]) -> KafkaResult<usize> {
        let partition = i32::try_from(partition).unwrap_or(i32::MAX);
        let topic = self.topic(topic)?;
        let messages = records.iter().map(|(key, value)| rd_kafka_message_t {
            err: rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR,
            rkt: ptr::null_mut(),
            partition,
            payload: value.map_or(ptr::null_mut(), |value| value.as_ptr().cast_mut().cast()),
            len: value.map_or(0, <[u8]>::len),
            key: key.as_ptr().cast_mut().cast(),
            key_len: key.len(),
            offset: 0,
            _private: ptr::null_mut(),
        });
        self.messages.clear();
        self.messages.extend(messages);
        let count = i32::try_from(self.messages.len()).unwrap_or(i32::MAX);
        let messages = self.messages.as_mut_ptr();
        // SAFETY: the topic is there, and so many messages are; what they point to is copied, and was lent to us.
        unsafe { rd_kafka_produce_batch(topic, partition, RD_KAFKA_MSG_F_COPY, messages, count) };
        let failed = |message: &rd_kafka_message_t| message.err != rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
        // Once the queue is full, nothing after it is taken in by the same call.
        let taken = self.messages.iter().position(failed).unwrap_or(self.messages.len());
        match self.messages.get(taken).map(|message| message.err) {
            None | Some(rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__QUEUE_FULL) => Ok(taken),
            Some(error) => Err(KafkaError::MessageProduction(error.into())),
        }
    }

    fn topic(&mut self, name: &str) -> KafkaResult<*mut rd_kafka_topic_t> {
        if let Some(topic) = self.topics.get(name) {
            return Ok(topic.0);
        }
        let c_name = CString::new(name)?;
        // SAFETY: the producer and the name are there; null stands for the producer's own properties.
        let topic =
            unsafe { rd_kafka_topic_new(self.producer.client().native_ptr(), c_name.as_ptr(), ptr::null_mut()) };
        if topic.is_null() {
            // SAFETY: nothing is asked for.
            let error = unsafe { rd_kafka_last_error() };
            return Err(KafkaError::MessageProduction(error.into()));
        }
        self.topics.insert(name.to_owned(), Topic(topic));
        Ok(topic)
    }

    /// Waits until nothing is in flight any more, without lingering.
    ///
    /// # Errors
    /// When something still is after `patience`.
    pub fn flush(&self, patience: Duration) -> KafkaResult<()> {
        let patience = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the producer is there. Its own thread takes the reports of what failed.
        match unsafe { rd_kafka_flush(self.producer.client().native_ptr(), patience) } {
            rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
            error => Err(KafkaError::Flush(error.into())),
        }
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        // SAFETY: made for us, and given back once, while its producer is still there.
        unsafe { rd_kafka_topic_destroy(self.0) }
    }
}
