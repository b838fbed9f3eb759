//! What the group tells this instance, kept until the loop looks.

use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// A partition's topic and number.
pub type Name = (String, u32);

pub enum Event {
    /// These must be assigned: librdkafka waits for it.
    Assigned(Vec<Name>),
    /// These are given up already.
    Revoked(Vec<Name>),
    Failed(RDKafkaErrorCode),
}

#[derive(Default)]
pub struct Membership {
    events: Mutex<Vec<Event>>,
    has_events: AtomicBool,
}

impl Membership {
    pub fn take(&self) -> Vec<Event> {
        self.has_events.store(false, Ordering::Relaxed);
        std::mem::take(&mut super::locked(&self.events))
    }

    pub fn has_events(&self) -> bool {
        self.has_events.load(Ordering::Relaxed)
    }

    fn push(&self, event: Event) {
        super::locked(&self.events).push(event);
        self.has_events.store(true, Ordering::Relaxed);
    }
}

impl ClientContext for Membership {}

impl ConsumerContext for Membership {
    /// Where a partition begins has to be looked up, so the loop assigns it; it is given up at once.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, err: RDKafkaRespErr, list: &mut TopicPartitionList) {
        match err {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.push(Event::Assigned(names(list))),
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => {
                let code = |error: KafkaError| error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
                let outcome = consumer.incremental_unassign(list);
                self.push(outcome.map_or_else(|error| Event::Failed(code(error)), |()| Event::Revoked(names(list))));
            }
            other => {
                // librdkafka wants to hear that everything is given up.
                let _ = consumer.unassign();
                self.push(Event::Failed(other.into()));
            }
        }
    }
}

fn names(list: &TopicPartitionList) -> Vec<Name> {
    let name = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
        Some((element.topic().to_owned(), u32::try_from(element.partition()).ok()?))
    };
    list.elements().iter().filter_map(name).collect()
}
