//! The audit topic from its beginning to its end as of now, without what was never committed.

use crate::kafka::clients::{Clients, Isolation};
use crate::kafka::restore::{RestoreError, Restorer, watermarks};
use crate::kafka::topics::partitions_of_all;
use crate::retention::calendar::Timestamp;
use crate::wire::audit::{Entry, decode};
use anyhow::Context;

/// Hands on key, time and entry of each record, those of one partition in their order: what was sent to a
/// customer comes before what was answered. Returns how many records could not be read.
///
/// # Errors
/// When the topic can't be read to its end: a part of the evidence proves nothing.
pub fn read(clients: &Clients, topic: &str, mut each: impl FnMut(&str, Timestamp, Entry)) -> anyhow::Result<u64> {
    let mut restorer = begin(clients, topic)?;
    let mut unread = 0;
    restorer
        .read_to_end(|record| {
            match (std::str::from_utf8(record.key), record.value.map(decode)) {
                (Ok(key), Some(Ok((time, entry)))) => each(key, time, entry),
                _ => unread += 1,
            }
            Ok::<_, RestoreError>(())
        })
        .with_context(|| format!("{topic} can't be read to its end"))?;
    Ok(unread)
}

fn begin(clients: &Clients, topic: &str) -> anyhow::Result<Restorer> {
    let partitions = partitions_of_all(clients)?
        .remove(topic)
        .with_context(|| format!("topic {topic} is missing: make it with `lapsed topics --create`"))?;
    let reader = clients.reader(Isolation::ReadUncommitted, None)?;
    let mut restorer = Restorer::new(clients, topic.to_owned())?;
    for partition in 0..partitions {
        let (low, end) = watermarks(&reader, topic, partition)
            .with_context(|| format!("cannot ask for the end of {topic}[{partition}]"))?;
        if low < end {
            restorer.begin(partition, low, end)?;
        }
    }
    Ok(restorer)
}
