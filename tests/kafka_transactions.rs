//! The ground on which exactly-once stands, on Apache Kafka itself: transactions, fencing, restores, and
//! commits whose outcome is unknown.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use lapsed::kafka::clients::{Clients, Isolation};
use lapsed::kafka::restore::{Restorer, committed_offsets, watermarks};
use lapsed::kafka::transaction::{Outgoing, TransactionError, Transactions, offsets};
use rdkafka::consumer::{BaseConsumer, Consumer, DefaultConsumerContext};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use support::broker::{bootstrap, broker, create_topic, unique};
use support::proxy::{END_TXN, Fault, Proxy};

fn clients_at(address: &str) -> Clients {
    let properties = BTreeMap::from([
        ("bootstrap.servers".to_owned(), address.to_owned()),
        ("session.timeout.ms".to_owned(), "6000".to_owned()),
        ("socket.timeout.ms".to_owned(), "5000".to_owned()),
    ]);
    Clients::new(properties, "test", "test".to_owned())
}

fn clients() -> Clients {
    clients_at(&bootstrap())
}

/// A group's only member, with its partition of the input assigned.
fn member(clients: &Clients, group: &str, input: &str) -> BaseConsumer {
    let consumer = clients.group_member(group, None, DefaultConsumerContext).unwrap();
    consumer.subscribe(&[input]).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while consumer.assignment().unwrap().count() == 0 {
        // Without a committed offset `auto.offset.reset=error` complains; the assignment stands.
        let _ = consumer.poll(Duration::from_millis(100));
        assert!(Instant::now() < deadline, "no assignment within 30 seconds");
    }
    consumer
}

fn outgoing<'a>(topic: &'a str, key: &'a str) -> Outgoing<'a> {
    Outgoing { topic, partition: Some(0), key: key.as_bytes(), value: Some(b"v"), content_type: None }
}

/// What a `read_committed` restore of a partition sees, after the steps that the design prescribes.
fn restored(topic: &str, group: &str, input: &str) -> Vec<String> {
    let clients = clients();
    let lookup = clients.reader(Isolation::ReadCommitted, Some(group)).unwrap();
    committed_offsets(&lookup, input, &[0]).unwrap();
    let uncommitted = clients.reader(Isolation::ReadUncommitted, None).unwrap();
    let (low, high) = watermarks(&uncommitted, topic, 0).unwrap();
    let mut restorer = Restorer::new(&clients, topic.to_owned()).unwrap();
    restorer.begin(0, low, high).unwrap();
    let mut keys = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(40);
    while !restorer.is_idle() {
        assert!(Instant::now() < deadline, "the restore hangs");
        let read = |record: lapsed::kafka::restore::Restored<'_>| {
            keys.push(String::from_utf8(record.key.to_vec()).unwrap());
        };
        restorer.step(Duration::from_millis(200), read).unwrap();
    }
    keys
}

struct Stage {
    group: String,
    input: String,
    output: String,
}

fn stage(name: &str) -> Stage {
    let stage = Stage {
        group: unique(&format!("{name}-group")),
        input: unique(&format!("{name}-input")),
        output: unique(&format!("{name}-output")),
    };
    create_topic(&bootstrap(), &stage.input, 1);
    create_topic(&bootstrap(), &stage.output, 1);
    stage
}

fn committed(stage: &Stage) -> Option<i64> {
    let lookup = clients().reader(Isolation::ReadCommitted, Some(&stage.group)).unwrap();
    committed_offsets(&lookup, &stage.input, &[0]).unwrap()[&0]
}

#[test]
fn what_is_committed_is_seen_once_and_what_is_aborted_never() {
    let stage = stage("plain");
    let consumer = member(&clients(), &stage.group, &stage.input);
    let mut transactions = Transactions::open(clients(), unique("plain")).unwrap();
    let metadata = consumer.group_metadata().unwrap();
    transactions.produce(outgoing(&stage.output, "a")).unwrap();
    transactions.commit(&offsets(&stage.input, [(0, 1)].into_iter()).unwrap(), &metadata).unwrap();
    transactions.produce(outgoing(&stage.output, "aborted")).unwrap();
    transactions.abort().unwrap();
    transactions.produce(outgoing(&stage.output, "b")).unwrap();
    transactions.commit(&offsets(&stage.input, [(0, 2)].into_iter()).unwrap(), &metadata).unwrap();
    assert_eq!(restored(&stage.output, &stage.group, &stage.input), ["a", "b"]);
    assert_eq!(committed(&stage), Some(2));
}

/// More than the producer's queue has room for at once, and then one that no topic takes.
#[test]
fn many_records_are_taken_in_their_order_or_none_of_them() {
    let stage = stage("many");
    let consumer = member(&clients(), &stage.group, &stage.input);
    let mut transactions = Transactions::open(clients(), unique("many")).unwrap();
    let metadata = consumer.group_metadata().unwrap();
    let (keys, value): (Vec<String>, _) = ((0..3_000).map(|key| format!("{key:05}")).collect(), vec![0; 200_000]);
    let records = keys.iter().map(|key| (key.as_bytes(), Some(value.as_slice()).filter(|_| key.as_str() != "00007")));
    transactions.produce_all(&stage.output, 0, records.clone()).unwrap();
    transactions.commit(&offsets(&stage.input, [(0, 1)].into_iter()).unwrap(), &metadata).unwrap();
    let too_large = vec![0; 2_000_000];
    let late = records.take(10).chain([(&b"large"[..], Some(too_large.as_slice()))]).chain([(&b"last"[..], None)]);
    let outcome = transactions.produce_all(&stage.output, 0, late);
    assert!(matches!(outcome, Err(TransactionError::Aborted(_))), "{outcome:?}");
    transactions.produce_all(&stage.output, 0, [(&b"after"[..], None)].into_iter()).unwrap();
    transactions.commit(&offsets(&stage.input, [(0, 2)].into_iter()).unwrap(), &metadata).unwrap();
    let seen = restored(&stage.output, &stage.group, &stage.input);
    assert_eq!(seen.len(), 3_001);
    assert!(seen.iter().eq(keys.iter().map(String::as_str).chain(["after"])));
    assert_eq!(committed(&stage), Some(2));
}

#[test]
fn a_transaction_without_real_offsets_is_refused_before_it_is_tried() {
    let stage = stage("empty");
    let consumer = member(&clients(), &stage.group, &stage.input);
    let metadata = consumer.group_metadata().unwrap();
    let mut invalid = TopicPartitionList::new();
    invalid.add_partition_offset(&stage.input, 0, Offset::Invalid).unwrap();
    for list in [TopicPartitionList::new(), invalid] {
        let mut transactions = Transactions::open(clients(), unique("empty")).unwrap();
        transactions.produce(outgoing(&stage.output, "a")).unwrap();
        assert!(matches!(transactions.commit(&list, &metadata), Err(TransactionError::Fatal(_))));
    }
    assert!(restored(&stage.output, &stage.group, &stage.input).is_empty());
}

#[test]
fn who_has_lost_its_shards_is_fenced_by_the_group_metadata_of_its_batch() {
    let stage = stage("stale");
    let first = member(&clients(), &stage.group, &stage.input);
    let stale = first.group_metadata().unwrap();
    let mut zombie = Transactions::open(clients(), unique("stale-1")).unwrap();
    zombie.produce(outgoing(&stage.output, "zombie")).unwrap();
    drop(first);
    let second = member(&clients(), &stage.group, &stage.input);
    let mut owner = Transactions::open(clients(), unique("stale-2")).unwrap();
    owner.produce(outgoing(&stage.output, "owner")).unwrap();
    let metadata = second.group_metadata().unwrap();
    owner.commit(&offsets(&stage.input, [(0, 5)].into_iter()).unwrap(), &metadata).unwrap();
    let late = zombie.commit(&offsets(&stage.input, [(0, 3)].into_iter()).unwrap(), &stale);
    assert!(matches!(late, Err(TransactionError::Aborted(_))), "{late:?}");
    assert_eq!(restored(&stage.output, &stage.group, &stage.input), ["owner"]);
    assert_eq!(committed(&stage), Some(5));
}

#[test]
fn a_restart_under_the_same_id_ends_the_open_transaction_and_fences_the_old_process() {
    let stage = stage("restart");
    let consumer = member(&clients(), &stage.group, &stage.input);
    let metadata = consumer.group_metadata().unwrap();
    let id = unique("restart");
    let mut old = Transactions::open(clients(), id.clone()).unwrap();
    old.produce(outgoing(&stage.output, "old")).unwrap();
    let mut new = Transactions::open(clients(), id).unwrap();
    let late = old.commit(&offsets(&stage.input, [(0, 1)].into_iter()).unwrap(), &metadata);
    assert!(matches!(late, Err(TransactionError::Fatal(_))), "{late:?}");
    new.produce(outgoing(&stage.output, "new")).unwrap();
    new.commit(&offsets(&stage.input, [(0, 2)].into_iter()).unwrap(), &metadata).unwrap();
    assert_eq!(restored(&stage.output, &stage.group, &stage.input), ["new"]);
}

/// An owner that has written and hangs: its transaction is open, and a later one's records lie behind it.
#[test]
fn a_restore_waits_for_an_older_owners_open_transaction() {
    let stage = stage("hanging");
    let hanging: ThreadedProducer<_> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap())
        .set("transactional.id", unique("hanging"))
        .set("transaction.timeout.ms", "5000")
        .create()
        .unwrap();
    hanging.init_transactions(Duration::from_secs(20)).unwrap();
    hanging.begin_transaction().unwrap();
    hanging.send(BaseRecord::to(&stage.output).partition(0).key("hanging").payload("v")).map_err(|(e, _)| e).unwrap();
    hanging.flush(Duration::from_secs(20)).unwrap();
    let consumer = member(&clients(), &stage.group, &stage.input);
    let mut owner = Transactions::open(clients(), unique("hanging-2")).unwrap();
    owner.produce(outgoing(&stage.output, "behind")).unwrap();
    let metadata = consumer.group_metadata().unwrap();
    owner.commit(&offsets(&stage.input, [(0, 1)].into_iter()).unwrap(), &metadata).unwrap();
    // A reader that trusts the end of the partition would now see nothing at all.
    let reader = clients().reader(Isolation::ReadCommitted, None).unwrap();
    let (_, stable_end) = watermarks(&reader, &stage.output, 0).unwrap();
    assert_eq!(stable_end, 0, "the open transaction hides what lies behind it");
    assert_eq!(restored(&stage.output, &stage.group, &stage.input), ["behind"]);
}

/// Its last record is a control record, and of those before it some were aborted.
#[test]
fn a_restore_ends_behind_trailing_control_records() {
    let stage = stage("markers");
    let consumer = member(&clients(), &stage.group, &stage.input);
    let mut transactions = Transactions::open(clients(), unique("markers")).unwrap();
    transactions.produce(outgoing(&stage.output, "aborted")).unwrap();
    transactions.abort().unwrap();
    assert!(restored(&stage.output, &stage.group, &stage.input).is_empty(), "nothing but aborted records");
    transactions.produce(outgoing(&stage.output, "a")).unwrap();
    let metadata = consumer.group_metadata().unwrap();
    transactions.commit(&offsets(&stage.input, [(0, 1)].into_iter()).unwrap(), &metadata).unwrap();
    transactions.produce(outgoing(&stage.output, "aborted")).unwrap();
    transactions.abort().unwrap();
    assert_eq!(restored(&stage.output, &stage.group, &stage.input), ["a"]);
    let empty = unique("markers-empty");
    create_topic(&bootstrap(), &empty, 1);
    assert!(restored(&empty, &stage.group, &stage.input).is_empty());
}

/// After an unknown outcome a shard is restored anew, by the same reader.
#[test]
fn what_was_restored_is_restored_again_in_full() {
    let output = unique("again");
    create_topic(&bootstrap(), &output, 1);
    let producer: ThreadedProducer<_> = ClientConfig::new().set("bootstrap.servers", bootstrap()).create().unwrap();
    for key in ["a", "b"] {
        producer.send(BaseRecord::to(&output).key(key).payload("v")).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(Duration::from_secs(10)).unwrap();
    let mut restorer = Restorer::new(&clients(), output).unwrap();
    for round in 0..5 {
        restorer.begin(0, 0, 2).unwrap();
        let mut count = 0;
        let deadline = Instant::now() + Duration::from_secs(40);
        while !restorer.is_idle() {
            assert!(Instant::now() < deadline, "the restore hangs");
            restorer.step(Duration::from_millis(200), |_| count += 1).unwrap();
        }
        assert_eq!(count, 2, "round {round}");
    }
}

/// The commit's request or its answer is lost: the outcome is unknown, and one look at the committed
/// offsets and the restored partition tells which it was.
#[test]
fn a_commit_whose_answer_is_lost_is_found_out() {
    if broker().proxy.is_empty() {
        println!("a broker of yours has no listener behind the proxy: not tried");
        return;
    }
    let proxy = Proxy::start(broker());
    for (fault, may_be) in [(Fault::LoseAnswer, vec![Some(1)]), (Fault::LoseRequest, vec![None, Some(1)])] {
        let stage = stage("unknown");
        let consumer = member(&clients(), &stage.group, &stage.input);
        let metadata = consumer.group_metadata().unwrap();
        let mut transactions = Transactions::open(clients_at(&proxy.address), unique("unknown")).unwrap();
        transactions.produce(outgoing(&stage.output, "first")).unwrap();
        proxy.arm(END_TXN, fault);
        let struck = proxy.struck();
        let outcome = transactions.commit(&offsets(&stage.input, [(0, 1)].into_iter()).unwrap(), &metadata);
        assert_eq!(proxy.struck(), struck + 1, "the fault did not strike");
        proxy.disarm();
        let offset = committed(&stage);
        assert!(may_be.contains(&offset), "{fault:?}: {offset:?}");
        // Plainly committed after a retry, or unknown and then one of both: never half.
        match outcome {
            Ok(()) => assert_eq!(offset, Some(1)),
            Err(TransactionError::Unknown(_)) => {}
            other => panic!("{fault:?}: {other:?}"),
        }
        let mut expected = Vec::new();
        if offset.is_some() {
            expected.push("first");
        }
        assert_eq!(restored(&stage.output, &stage.group, &stage.input), expected, "{fault:?}");
        // And the instance goes on.
        transactions.produce(outgoing(&stage.output, "second")).unwrap();
        transactions.commit(&offsets(&stage.input, [(0, 2)].into_iter()).unwrap(), &metadata).unwrap();
        expected.push("second");
        assert_eq!(restored(&stage.output, &stage.group, &stage.input), expected, "{fault:?}");
    }
}

#[test]
fn a_reader_sees_what_was_produced_in_order() {
    let stage = stage("order");
    let consumer = member(&clients(), &stage.group, &stage.input);
    let metadata = consumer.group_metadata().unwrap();
    let mut transactions = Transactions::open(clients(), unique("order")).unwrap();
    let keys: Vec<String> = (0..2000).map(|n| n.to_string()).collect();
    keys.iter().for_each(|key| transactions.produce(outgoing(&stage.output, key)).unwrap());
    transactions.commit(&offsets(&stage.input, [(0, 1)].into_iter()).unwrap(), &metadata).unwrap();
    assert_eq!(restored(&stage.output, &stage.group, &stage.input), keys);
    let reader = clients().reader(Isolation::ReadUncommitted, None).unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&stage.output, 0, Offset::Offset(1999)).unwrap();
    reader.assign(&list).unwrap();
    let message = reader.poll(Duration::from_secs(10)).unwrap().unwrap();
    assert_eq!(message.key(), Some(&b"1999"[..]));
}
