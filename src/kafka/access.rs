//! What the brokers let us do, asked before it is needed: a missing right to write to a target would else
//! show when the first command falls due.
//!
//! Brokers tell with a topic's description what the asker may do with it, but rdkafka has no call for it.
//! So this file, and [`super::inbox`], talk to librdkafka itself.

#![allow(unsafe_code, reason = "rdkafka wraps neither DescribeTopics nor the operations it tells")]

use super::clients::Clients;
use super::topics::TopicsError;
use rdkafka::bindings::*;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::fmt;
use std::ptr;

/// Something that the instance must be allowed to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Access {
    pub operation: Operation,
    pub topic: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    Read,
    Write,
    Delete,
    DescribeConfigs,
}

impl Operation {
    const ALL: [(Operation, rd_kafka_AclOperation_t); 4] = [
        (Operation::Read, rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_READ),
        (Operation::Write, rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_WRITE),
        (Operation::Delete, rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_DELETE),
        (Operation::DescribeConfigs, rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS),
    ];
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} on topic {}", self.operation, self.topic)
    }
}

/// Those of `wanted` that are not granted. A topic that is not there counts as granted, and so does
/// everything at brokers that don't tell.
///
/// # Errors
/// When the brokers can't be asked.
pub fn missing(clients: &Clients, wanted: &[Access]) -> Result<Vec<Access>, TopicsError> {
    let mut topics: Vec<&str> = wanted.iter().map(|access| access.topic.as_str()).collect();
    topics.sort_unstable();
    topics.dedup();
    // Whoever isn't let in at all hears why.
    super::topics::partitions_of_all(clients)?;
    let granted = granted(clients, &topics)?;
    let is_missing = |access: &&Access| match granted.get(&access.topic) {
        Some(Granted::Told(operations)) => !operations.contains(&access.operation),
        Some(Granted::Nothing) => true,
        Some(Granted::Untold) | None => false,
    };
    Ok(wanted.iter().filter(is_missing).cloned().collect())
}

enum Granted {
    Told(Vec<Operation>),
    /// Not even to know of it.
    Nothing,
    Untold,
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

fn granted(clients: &Clients, topics: &[&str]) -> Result<BTreeMap<String, Granted>, TopicsError> {
    let admin = clients.admin()?;
    let client = admin.inner().native_ptr();
    let names: Vec<CString> = topics.iter().filter_map(|name| CString::new(*name).ok()).collect();
    let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
    let patience = i32::try_from(super::topics::PATIENCE.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: `admin`, the names and everything held outlive the calls; what is held is given back in the
    // opposite order; what the event owns is copied before it goes.
    unsafe {
        let asked = rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        let asked = Held(asked, rd_kafka_TopicCollection_destroy);
        let options = rd_kafka_AdminOptions_new(client, rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
        let options = Held(options, rd_kafka_AdminOptions_destroy);
        rd_kafka_AdminOptions_set_request_timeout(options.0, patience, ptr::null_mut(), 0);
        drop(Held(rd_kafka_AdminOptions_set_include_authorized_operations(options.0, 1), rd_kafka_error_destroy));
        let queue = Held(rd_kafka_queue_new(client), rd_kafka_queue_destroy);
        rd_kafka_DescribeTopics(client, asked.0, options.0, queue.0);
        let event = Held(rd_kafka_queue_poll(queue.0, patience), rd_kafka_event_destroy);
        if event.0.is_null() {
            return Err(KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut).into());
        }
        let error = rd_kafka_event_error(event.0);
        if error != rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(KafkaError::AdminOp(error.into()).into());
        }
        Ok(told(rd_kafka_event_DescribeTopics_result(event.0)))
    }
}

/// # Safety
/// `result` must be null or belong to an event that outlives the call.
unsafe fn told(result: *const rd_kafka_DescribeTopics_result_t) -> BTreeMap<String, Granted> {
    let mut all = BTreeMap::new();
    if result.is_null() {
        return all;
    }
    // SAFETY: see above; librdkafka tells how long each of its arrays is.
    unsafe {
        let mut count = 0;
        let topics = rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        for topic in (0..count).map(|place| *topics.add(place)) {
            let name = CStr::from_ptr(rd_kafka_TopicDescription_name(topic)).to_string_lossy().into_owned();
            let granted = match rd_kafka_error_code(rd_kafka_TopicDescription_error(topic)) {
                rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => operations(topic),
                rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED => Granted::Nothing,
                _ => Granted::Untold,
            };
            all.insert(name, granted);
        }
    }
    all
}

/// # Safety
/// `topic` must belong to an event that outlives the call.
unsafe fn operations(topic: *const rd_kafka_TopicDescription_t) -> Granted {
    let mut count = 0;
    // SAFETY: see above.
    let operations = unsafe { rd_kafka_TopicDescription_authorized_operations(topic, &raw mut count) };
    if operations.is_null() {
        return Granted::Untold;
    }
    // SAFETY: librdkafka tells how many there are.
    let told: Vec<_> = (0..count).map(|place| unsafe { *operations.add(place) }).collect();
    let known = Operation::ALL.iter().filter(|(_, code)| told.contains(code));
    Granted::Told(known.map(|(operation, _)| *operation).collect())
}
