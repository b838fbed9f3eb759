//! The `kafka:` map: any librdkafka property but those that would break the promises.

use super::reader::At;
use super::tree::Value;
use std::collections::BTreeMap;

/// Properties that are refused, and why.
const REFUSED: &[(&str, &str)] = &[
    ("enable.auto.commit", "offsets are committed with what they stand for, never by a timer"),
    ("enable.auto.offset.store", "offsets are committed with what they stand for, never before"),
    ("auto.commit.interval.ms", "offsets are committed with what they stand for, never by a timer"),
    ("auto.offset.reset", "an offset that is gone is a gap that must be seen, not skipped"),
    ("isolation.level", "what was aborted must not be read, and a restore needs both levels"),
    ("group.id", "groups are named after the application"),
    ("group.instance.id", "it is the pod's name, so that a restart takes its place"),
    ("group.protocol", "fencing was proved with the classic protocol"),
    ("group.remote.assignor", "fencing was proved with the classic protocol"),
    ("partition.assignment.strategy", "shards move one by one; cooperative-sticky is needed for that"),
    ("transactional.id", "it is the application and the pod's name, so that a restart ends its own transaction"),
    ("transaction.timeout.ms", "a restore waits as long as this, so it is kept at 15 s"),
    ("enable.idempotence", "without it a retried record is written twice"),
    ("enable.gapless.guarantee", "a failed delivery ends the instance by other means"),
    ("acks", "a record that one broker has can be lost with it; all is needed"),
    ("request.required.acks", "a record that one broker has can be lost with it; all is needed"),
    ("max.in.flight", "more than five requests in flight break the order"),
    ("max.in.flight.requests.per.connection", "more than five requests in flight break the order"),
    ("partitioner", "a customer's shard is computed with murmur2, everywhere the same"),
    ("enable.partition.eof", "the end of a partition ends nothing here"),
    ("client.id", "it is the instance's address, so that the group tells who owns what"),
    ("check.crcs", "a damaged record must not be read"),
    ("allow.auto.create.topics", "a topic with the broker's defaults loses state; see `lapsed topics --create`"),
    ("test.mock.num.brokers", "the embedded broker forgets offsets and shows what was aborted"),
    ("plugin.library.paths", "a plug-in could change any of this"),
];

/// Reads the map. Values are passed to librdkafka as they are written.
pub fn read(at: &At<'_>) -> Option<BTreeMap<String, String>> {
    let Value::Map(_) = at.node.value else {
        at.error("must be a map of librdkafka properties, among them bootstrap.servers");
        return None;
    };
    let mut properties = BTreeMap::new();
    for (key, value) in at.named() {
        if let Some((_, why)) = REFUSED.iter().find(|(name, _)| *name == key.name) {
            value.problems.error(&key.place, &value.path, format!("may not be set: {why}"));
            continue;
        }
        if let Some(text) = value.text() {
            properties.insert(key.name.clone(), text.to_owned());
        }
    }
    if !properties.contains_key("bootstrap.servers") && !properties.contains_key("metadata.broker.list") {
        at.error("needs 'bootstrap.servers': the brokers to begin with, host:port, separated by commas");
    }
    Some(properties)
}
