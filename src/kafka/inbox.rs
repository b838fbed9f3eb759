//! Records of a consumer's partitions, many at a time.
//!
//! rdkafka hands out one record a call, each in an event of its own; that costs more than reading the record
//! does. librdkafka has a call for many, which rdkafka does not wrap. So this file, beside
//! [`super::access`], talks to librdkafka itself.
//!
//! The call must not be made on the consumer's own queue: it would answer rebalances there, which are events
//! for [`BaseConsumer::poll`]. So partitions are told to deliver to a queue of ours, and whoever reads from
//! it goes on polling the consumer, for all that is no record.

#![allow(unsafe_code, reason = "rdkafka does not wrap rd_kafka_consume_batch_queue")]

use crate::prefetch::{LINE_BYTES, prefetch};
use rdkafka::bindings::*;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use std::ffi::{CStr, CString};
use std::marker::PhantomData;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

/// So much of a record is fetched ahead, in bytes: from there on the processor has seen where this leads.
const PREFETCH_BYTES: usize = 512;

/// Where a consumer's partitions deliver.
pub struct Inbox<C: ConsumerContext + 'static> {
    queue: *mut rd_kafka_queue_t,
    consumer: Arc<BaseConsumer<C>>,
}

// SAFETY: librdkafka's queues may be used by any thread.
unsafe impl<C: ConsumerContext + 'static> Send for Inbox<C> {}

impl<C: ConsumerContext + 'static> Inbox<C> {
    /// An inbox to which no partition delivers yet.
    pub fn new(consumer: Arc<BaseConsumer<C>>) -> Inbox<C> {
        // SAFETY: the consumer is there, and is kept for as long as the queue.
        let queue = unsafe { rd_kafka_queue_new(consumer.client().native_ptr()) };
        Inbox { queue, consumer }
    }

    /// Has a partition deliver here from now on. It is said before the partition is assigned, and again
    /// every now and then: when librdkafka stops to read a partition it forgets where that delivers, and
    /// stopping is not over when the call returns. To say it again changes nothing.
    pub fn take_in(&self, topic: &str, partition: u32) {
        let (Ok(topic), Ok(partition)) = (CString::new(topic), i32::try_from(partition)) else { return };
        // SAFETY: the consumer, the name and our queue are there; the partition's queue is given back once.
        unsafe {
            let source = rd_kafka_queue_get_partition(self.consumer.client().native_ptr(), topic.as_ptr(), partition);
            if !source.is_null() {
                rd_kafka_queue_forward(source, self.queue);
                rd_kafka_queue_destroy(source);
            }
        }
    }

    /// At most so many of what is there, in each partition's order; nothing of partitions that were given up
    /// before. Where nothing is there, it waits so long for one.
    pub fn receive(&self, records_max: usize, patience: Duration) -> Vec<Received<'_>> {
        let received = self.consume(records_max, Duration::ZERO);
        if received.is_empty() && !patience.is_zero() {
            // It would wait for as many as it is asked for.
            return self.consume(1, patience);
        }
        received
    }

    fn consume(&self, records_max: usize, patience: Duration) -> Vec<Received<'_>> {
        let patience = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
        let mut room = vec![ptr::null_mut(); records_max];
        // SAFETY: our queue is there, and there is room for as many as are asked for.
        let count = unsafe { rd_kafka_consume_batch_queue(self.queue, patience, room.as_mut_ptr(), room.len()) };
        // Negative: an error of the call's arguments, of which these have none.
        room.truncate(usize::try_from(count).unwrap_or(0));
        room.into_iter().map(|message| Received(Held::Delivered(message, PhantomData))).collect()
    }
}

impl<C: ConsumerContext + 'static> Drop for Inbox<C> {
    fn drop(&mut self) {
        // SAFETY: made for us, and given back once, while the consumer is still there.
        unsafe { rd_kafka_queue_destroy(self.queue) }
    }
}

/// One record, or what went wrong in a partition. It is given back when it goes out of scope, best soon: its
/// bytes are a part of what was fetched with it.
pub struct Received<'i>(Held<'i>);

enum Held<'i> {
    /// Not null, and ours alone until it is dropped. The inbox keeps the consumer it belongs to.
    Delivered(*mut rd_kafka_message_t, PhantomData<&'i ()>),
    HandedOut(Box<BorrowedMessage<'i>>),
}

/// One that the consumer handed out itself: its partition had forgotten where to deliver.
impl<'i> From<BorrowedMessage<'i>> for Received<'i> {
    fn from(message: BorrowedMessage<'i>) -> Received<'i> {
        Received(Held::HandedOut(Box::new(message)))
    }
}

impl Received<'_> {
    /// The record.
    ///
    /// # Errors
    /// What went wrong; then there is none.
    pub fn record(&self) -> Result<Record<'_>, KafkaError> {
        let message = match &self.0 {
            Held::Delivered(message, _) => *message,
            Held::HandedOut(message) => message.ptr(),
        };
        // SAFETY: it is there until `self` is dropped, and nobody changes it.
        let message = unsafe { &*message };
        match message.err {
            rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(Record(message)),
            rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__PARTITION_EOF => Err(KafkaError::PartitionEOF(message.partition)),
            error => Err(KafkaError::MessageConsumption(error.into())),
        }
    }
}

impl Received<'_> {
    /// Has the processor fetch the record's bytes. Another one has written them a moment ago, and to wait for them
    /// takes as long as to read a document. Best some records before it is its turn.
    pub fn prefetch(&self) {
        if let Ok(record) = self.record() {
            let payload = record.payload().unwrap_or_default();
            payload.iter().take(PREFETCH_BYTES).step_by(LINE_BYTES).for_each(prefetch);
        }
    }
}

impl Drop for Received<'_> {
    fn drop(&mut self) {
        if let Held::Delivered(message, _) = self.0 {
            // SAFETY: it was handed to us, and is given back once, before its consumer goes.
            unsafe { rd_kafka_message_destroy(message) }
        }
    }
}

/// A record as librdkafka keeps it.
#[derive(Clone, Copy)]
pub struct Record<'m>(&'m rd_kafka_message_t);

/// Tells topics apart, as long as a partition of theirs is assigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicHandle(usize);

impl<'m> Record<'m> {
    pub fn topic_handle(&self) -> TopicHandle {
        TopicHandle(self.0.rkt as usize)
    }

    /// `None`: its name is no text, which no topic's is.
    pub fn topic(&self) -> Option<&'m str> {
        // SAFETY: a record has a topic and keeps it, and a topic its name.
        unsafe { CStr::from_ptr(rd_kafka_topic_name(self.0.rkt)) }.to_str().ok()
    }

    pub fn partition(&self) -> u32 {
        u32::try_from(self.0.partition).unwrap_or(u32::MAX)
    }

    pub fn offset(&self) -> i64 {
        self.0.offset
    }

    /// In milliseconds of Unix time; `None`: it has none.
    pub fn timestamp_ms(&self) -> Option<i64> {
        let mut kind = rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is there.
        let at = unsafe { rd_kafka_message_timestamp(self.0, &raw mut kind) };
        let is_there = kind != rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE && at != -1;
        is_there.then_some(at)
    }

    pub fn key(&self) -> Option<&'m [u8]> {
        // SAFETY: librdkafka tells how long it is, and keeps it as long as the message.
        unsafe { bytes(self.0.key, self.0.key_len) }
    }

    /// `None`: a tombstone.
    pub fn payload(&self) -> Option<&'m [u8]> {
        // SAFETY: librdkafka tells how long it is, and keeps it as long as the message.
        unsafe { bytes(self.0.payload, self.0.len) }
    }

    /// The last header whose name is accepted, and its value, which may be null.
    pub fn last_header(&self, is_it: impl Fn(&[u8]) -> bool) -> Option<Option<&'m [u8]>> {
        let mut headers = ptr::null_mut();
        let mut found = None;
        // SAFETY: the message is there; names end with a zero, values are as long as is told, and both are
        // kept as long as the message.
        unsafe {
            if rd_kafka_message_headers(self.0, &raw mut headers) != rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                return None;
            }
            for place in 0.. {
                let (mut name, mut value, mut length) = (ptr::null(), ptr::null(), 0);
                let outcome = rd_kafka_header_get_all(headers, place, &raw mut name, &raw mut value, &raw mut length);
                if outcome != rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                    break;
                }
                if is_it(CStr::from_ptr(name).to_bytes()) {
                    found = Some(bytes(value, length));
                }
            }
        }
        found
    }
}

/// # Safety
/// What begins at `start` must be null or as long as that, for as long as the answer is used.
unsafe fn bytes<'b>(start: *const std::ffi::c_void, length: usize) -> Option<&'b [u8]> {
    // SAFETY: see above.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start.cast(), length) })
}
