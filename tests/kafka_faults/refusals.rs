//! A refusal of the proxy is one that the client reads as the error it says, and not as noise on the line.

use crate::support::broker::{broker, create_topic, unique};
use crate::support::proxy::{
    ADD_PARTITIONS_TO_TXN, END_TXN, FETCH, Fault, LIST_OFFSETS, OFFSET_FETCH, PRODUCE, Proxy, TXN_OFFSET_COMMIT,
};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use std::sync::Mutex;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);
const GROUP_REFUSED: i16 = 30;
const TOPIC_REFUSED: i16 = 29;
const TRANSACTIONAL_ID_REFUSED: i16 = 53;

/// Keeps why records were not delivered.
#[derive(Default)]
struct Undelivered(Mutex<Vec<String>>);

impl ClientContext for Undelivered {}

impl ProducerContext for Undelivered {
    type DeliveryOpaque = ();
    fn delivery(&self, result: &DeliveryResult<'_>, _opaque: ()) {
        if let Err((error, _)) = result {
            self.0.lock().unwrap().push(error.to_string());
        }
    }
}

fn producer(address: &str, transactional: bool) -> ThreadedProducer<Undelivered> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address);
    if transactional {
        config.set("transactional.id", unique("refused"));
    }
    let producer: ThreadedProducer<Undelivered> = config.create_with_context(Undelivered::default()).unwrap();
    if transactional {
        producer.init_transactions(PATIENCE).unwrap();
        producer.begin_transaction().unwrap();
    }
    producer
}

fn send(producer: &ThreadedProducer<Undelivered>, topic: &str) {
    producer.send(BaseRecord::<(), _>::to(topic).partition(0).payload("x")).map_err(|(error, _)| error).unwrap();
}

fn consumer(address: &str) -> BaseConsumer {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", address)
        .set("group.id", unique("refused"))
        .set("isolation.level", "read_committed");
    config.create().unwrap()
}

fn first(topic: &str) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Offset(0)).unwrap();
    list
}

/// What a client says when an API is refused with an error.
fn told(proxy: &Proxy, api: i16, topic: &str) -> String {
    match api {
        PRODUCE => {
            let producer = producer(&proxy.address, false);
            send(&producer, topic);
            let _ = producer.flush(PATIENCE);
            producer.context().0.lock().unwrap().join("; ")
        }
        LIST_OFFSETS => consumer(&proxy.address).fetch_watermarks(topic, 0, PATIENCE).unwrap_err().to_string(),
        OFFSET_FETCH => match consumer(&proxy.address).committed_offsets(first(topic), PATIENCE) {
            Err(error) => error.to_string(),
            Ok(list) => list.elements()[0].error().unwrap_err().to_string(),
        },
        FETCH => {
            let consumer = consumer(&proxy.address);
            consumer.assign(&first(topic)).unwrap();
            consumer.poll(PATIENCE).unwrap().unwrap_err().to_string()
        }
        ADD_PARTITIONS_TO_TXN | END_TXN => {
            let producer = producer(&proxy.address, true);
            send(&producer, topic);
            producer.commit_transaction(PATIENCE).unwrap_err().to_string()
        }
        _ => {
            let (producer, consumer) = (producer(&proxy.address, true), consumer(&proxy.address));
            consumer.subscribe(&[topic]).unwrap();
            let metadata = consumer.group_metadata().unwrap();
            producer.send_offsets_to_transaction(&first(topic), &metadata, PATIENCE).unwrap_err().to_string()
        }
    }
}

#[test]
fn a_refusal_reaches_the_client() {
    if crate::is_yours() {
        return;
    }
    let _alone = crate::alone();
    let proxy = Proxy::start(broker());
    let topic = unique("refusals");
    create_topic(&broker().address, &topic, 1);
    for (api, code, word) in [
        (PRODUCE, TOPIC_REFUSED, "TopicAuthorizationFailed"),
        (LIST_OFFSETS, TOPIC_REFUSED, "TopicAuthorizationFailed"),
        (FETCH, TOPIC_REFUSED, "TopicAuthorizationFailed"),
        (OFFSET_FETCH, GROUP_REFUSED, "GroupAuthorizationFailed"),
        (ADD_PARTITIONS_TO_TXN, TRANSACTIONAL_ID_REFUSED, "ransactional"),
        (TXN_OFFSET_COMMIT, GROUP_REFUSED, "roup"),
        (END_TXN, TRANSACTIONAL_ID_REFUSED, "ransactional"),
    ] {
        proxy.keep(api, Fault::Error(code));
        let told = told(&proxy, api, &topic);
        proxy.disarm();
        println!("{api}: {told}");
        assert!(told.contains(word) && told.to_lowercase().contains("auth"), "{api}: {told}");
    }
}
