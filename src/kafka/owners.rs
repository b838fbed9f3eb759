//! Who owns which partition, as a consumer group has it: each member's `client.id` and assignment.

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use std::collections::BTreeMap;
use std::time::Duration;

/// By partition of a topic: the `client.id` of the group's member that owns it. Asks every broker, so keep
/// the answer for a while.
///
/// # Errors
/// When the group can't be described now.
pub fn owners(
    reader: &BaseConsumer,
    group: &str,
    topic: &str,
    patience: Duration,
) -> Result<BTreeMap<u32, String>, KafkaError> {
    let groups = reader.fetch_group_list(Some(group), patience)?;
    let mut owners = BTreeMap::new();
    for member in groups.groups().iter().filter(|found| found.name() == group).flat_map(|group| group.members()) {
        let assigned = member.assignment().and_then(|bytes| assigned(bytes, topic)).unwrap_or_default();
        owners.extend(assigned.into_iter().map(|partition| (partition, member.client_id().to_owned())));
    }
    Ok(owners)
}

/// The partitions of a topic in a member's assignment, as the classic protocol writes it: version, topics
/// with their partitions, the assignor's own bytes.
fn assigned(bytes: &[u8], topic: &str) -> Option<Vec<u32>> {
    let mut rest = bytes.get(2..)?;
    let mut found = Vec::new();
    for _ in 0..number(&mut rest)? {
        let length = usize::from(u16::from_be_bytes(rest.get(..2)?.try_into().ok()?));
        let name = rest.get(2..2 + length)?;
        rest = rest.get(2 + length..)?;
        for _ in 0..number(&mut rest)? {
            let partition = number(&mut rest)?;
            if name == topic.as_bytes() {
                found.push(partition);
            }
        }
    }
    Some(found)
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    let (first, after) = rest.split_first_chunk::<4>()?;
    *rest = after;
    Some(u32::from_be_bytes(*first))
}

#[cfg(test)]
mod tests {
    use super::assigned;

    #[test]
    fn an_assignment_is_read_and_anything_else_is_none() {
        let mut bytes = vec![0, 1];
        bytes.extend(2_u32.to_be_bytes());
        for (topic, partitions) in [("other", vec![9]), ("app.signals", vec![0, 3])] {
            bytes.extend(u16::try_from(topic.len()).expect("short").to_be_bytes());
            bytes.extend(topic.as_bytes());
            bytes.extend(u32::try_from(partitions.len()).expect("few").to_be_bytes());
            partitions.iter().for_each(|partition: &u32| bytes.extend(partition.to_be_bytes()));
        }
        bytes.extend(u32::MAX.to_be_bytes());
        assert_eq!(assigned(&bytes, "app.signals"), Some(vec![0, 3]));
        assert_eq!(assigned(&bytes, "none"), Some(vec![]));
        for cut in 0..bytes.len() - 4 {
            assert_eq!(assigned(&bytes[..cut], "app.signals"), None, "{cut}");
        }
        assert_eq!(assigned(&[0, 1, 255, 255, 255, 255], "app.signals"), None);
    }
}
