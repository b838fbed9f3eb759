//! The audit topic from its beginning to its end as of now, without what was never committed.

use crate::kafka::clients::{Clients, Isolation};
use crate::kafka::restore::{Restorer, watermarks};
use crate::kafka::topics::partitions_of_all;
use crate::retention::calendar::Timestamp;
use crate::wire::audit::{Entry, decode};
use anyhow::{Context, bail};
use std::time::{Duration, Instant};

/// How long nothing may come of the topic before it is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Hands on key, time and entry of each record, those of one partition in their order: what was sent to a
/// customer comes before what was answered. Returns how many records could not be read.
///
/// # Errors
/// When the topic can't be read to its end: a part of the evidence proves nothing.
pub fn read(clients: &Clients, topic: &str, mut each: impl FnMut(&str, Timestamp, Entry)) -> anyhow::Result<u64> {
    let mut restorer = begin(clients, topic)?;
    let mut unread = 0;
    let (mut moved, mut last) = (Instant::now(), 0);
    while !restorer.is_idle() {
        restorer
            .step(Duration::from_millis(500), |record| {
                let text = std::str::from_utf8(record.key);
                match (text, record.value.map(decode)) {
                    (Ok(key), Some(Ok((time, entry)))) => each(key, time, entry),
                    _ => unread += 1,
                }
            })
            .with_context(|| format!("{topic} can't be read to its end"))?;
        let now: u64 = restorer.progress().map(|(_, (read, _))| read).sum();
        if now != last {
            (last, moved) = (now, Instant::now());
        }
        if moved.elapsed() > PATIENCE {
            let open: Vec<u32> = restorer.progress().map(|(partition, _)| partition).collect();
            bail!(
                "nothing has come of {topic}{open:?} for {} seconds, and its end was not reached; a transaction may be \
                 open there",
                PATIENCE.as_secs()
            );
        }
    }
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
