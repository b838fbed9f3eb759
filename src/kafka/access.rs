//! What the brokers let us do, asked before it is needed: a missing right to write to a target would else
//! show when the first command falls due.

use super::clients::Clients;
use super::describe::{Description, describe};
use super::topics::TopicsError;
use rdkafka::bindings::rd_kafka_AclOperation_t;
use rdkafka::error::RDKafkaErrorCode;
use std::fmt;

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
    fn code(self) -> rd_kafka_AclOperation_t {
        match self {
            Operation::Read => rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_READ,
            Operation::Write => rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_WRITE,
            Operation::Delete => rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_DELETE,
            Operation::DescribeConfigs => rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS,
        }
    }
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
    let told = describe(clients.admin()?.inner(), &topics, true, super::topics::PATIENCE)?;
    let is_missing = |access: &&Access| {
        let topic = told.iter().find(|topic| topic.name == access.topic);
        topic.is_some_and(|topic| is_refused(topic, access.operation))
    };
    Ok(wanted.iter().filter(is_missing).cloned().collect())
}

fn is_refused(topic: &Description, operation: Operation) -> bool {
    match (topic.error, &topic.operations) {
        // Not even to know of it.
        (Some(RDKafkaErrorCode::TopicAuthorizationFailed), _) => true,
        (None, Some(granted)) => !granted.contains(&operation.code()),
        _ => false,
    }
}
