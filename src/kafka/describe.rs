//! What brokers tell of a topic beyond its partitions: which one of its name it is, and what the asker may do
//! with it. rdkafka has no call for that, so this file, like [`super::inbox`], talks to librdkafka itself.

#![allow(unsafe_code, reason = "rdkafka does not wrap DescribeTopics")]

use rdkafka::bindings::*;
use rdkafka::client::{Client, ClientContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use std::ffi::{CStr, CString};
use std::ptr;
use std::time::Duration;

/// One topic.
#[derive(Clone, Debug)]
pub struct Description {
    pub name: String,
    /// Why nothing is told of it.
    pub error: Option<RDKafkaErrorCode>,
    /// Another one each time that a topic of this name is created (KIP-516); `None`: brokers before Kafka 2.8
    /// have none.
    pub id: Option<u128>,
    /// `None`: not asked for, or the brokers don't tell.
    pub operations: Option<Vec<rd_kafka_AclOperation_t>>,
}

/// Asks for topics by name; any client will do.
///
/// # Errors
/// When the brokers don't answer in time.
pub fn describe<C: ClientContext>(
    client: &Client<C>,
    topics: &[&str],
    with_operations: bool,
    patience: Duration,
) -> KafkaResult<Vec<Description>> {
    let client = client.native_ptr();
    let names: Vec<CString> = topics.iter().filter_map(|name| CString::new(*name).ok()).collect();
    let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
    let patience = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the client, the names and everything held outlive the calls; what is held is given back in the
    // opposite order; what the event owns is copied before it goes.
    unsafe {
        let asked = rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        let asked = Held(asked, rd_kafka_TopicCollection_destroy);
        let options = rd_kafka_AdminOptions_new(client, rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
        let options = Held(options, rd_kafka_AdminOptions_destroy);
        rd_kafka_AdminOptions_set_request_timeout(options.0, patience, ptr::null_mut(), 0);
        let with_operations = i32::from(with_operations);
        let refused = rd_kafka_AdminOptions_set_include_authorized_operations(options.0, with_operations);
        drop(Held(refused, rd_kafka_error_destroy));
        let queue = Held(rd_kafka_queue_new(client), rd_kafka_queue_destroy);
        rd_kafka_DescribeTopics(client, asked.0, options.0, queue.0);
        let event = Held(rd_kafka_queue_poll(queue.0, patience), rd_kafka_event_destroy);
        if event.0.is_null() {
            return Err(KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut));
        }
        let error = rd_kafka_event_error(event.0);
        if error != rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(KafkaError::AdminOp(error.into()));
        }
        let result = rd_kafka_event_DescribeTopics_result(event.0);
        if result.is_null() {
            return Ok(Vec::new());
        }
        let mut count = 0;
        let topics = rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        Ok((0..count).map(|place| description(*topics.add(place))).collect())
    }
}

/// Calls its function when it goes out of scope.
struct Held<T>(*mut T, unsafe extern "C" fn(*mut T));

impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: made by librdkafka for us, and given back once.
            unsafe { (self.1)(self.0) }
        }
    }
}

/// # Safety
/// `topic` must belong to an event that outlives the call.
unsafe fn description(topic: *const rd_kafka_TopicDescription_t) -> Description {
    // SAFETY: see above; librdkafka tells how many operations there are, and keeps all of it as long as the event.
    unsafe {
        let name = CStr::from_ptr(rd_kafka_TopicDescription_name(topic)).to_string_lossy().into_owned();
        let error = rd_kafka_error_code(rd_kafka_TopicDescription_error(topic));
        let error = (error != rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR).then(|| error.into());
        let id = rd_kafka_TopicDescription_topic_id(topic);
        let id = if id.is_null() || error.is_some() {
            None
        } else {
            let (most, least) = (rd_kafka_Uuid_most_significant_bits(id), rd_kafka_Uuid_least_significant_bits(id));
            let bits = u128::from(most.cast_unsigned()) << 64 | u128::from(least.cast_unsigned());
            (bits != 0).then_some(bits)
        };
        let mut count = 0;
        let operations = rd_kafka_TopicDescription_authorized_operations(topic, &raw mut count);
        let operations =
            (!operations.is_null()).then(|| (0..count).map(|place| *operations.add(place)).collect::<Vec<_>>());
        Description { name, error, id, operations }
    }
}
