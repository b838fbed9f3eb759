//! The shards as their changelog has them: for questions that need no running service.

use crate::config::Config;
use crate::kafka::clients::{Clients, Isolation};
use crate::kafka::restore::{Restorer, watermarks};
use crate::retention::calendar::{Seconds, Timestamp};
use crate::track::shard::{Home, Input, Shard};
use crate::wire::progress::PROGRESS;
use anyhow::{Context, bail};
use rdkafka::consumer::Consumer;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long the brokers may take to tell who they are.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a report may be on its way.
const REPORT_PATIENCE: Duration = Duration::from_secs(10);

/// Reads all shards, as of the last transaction that was committed.
///
/// # Errors
/// When one can't be read whole, or has never run: a number that lacks a shard would be wrong.
pub fn read(clients: &Clients, config: &Arc<Config>) -> anyhow::Result<Vec<Shard>> {
    let topic = format!("{}.state", config.application);
    let reader = clients.reader(Isolation::ReadUncommitted, None)?;
    let cluster = reader.client().fetch_cluster_id(PATIENCE).context("the brokers did not tell their cluster's id")?;
    let mut restorer = Restorer::new(clients, topic.clone())?;
    let mut shards = BTreeMap::new();
    let partitions = config.topics.partitions;
    for partition in 0..partitions {
        let (low, end) = watermarks(&reader, &topic, partition)
            .with_context(|| format!("cannot ask for the end of {topic}[{partition}]"))?;
        if end == 0 {
            bail!("shard {partition} has never run, so nobody knows its number; start `lapsed run` first");
        }
        let home = Home { partition, partitions, cluster: cluster.clone() };
        shards.insert(partition, Shard::new(home, config.clone()));
        restorer.begin(partition, low, end)?;
    }
    restorer.read_to_end(|record| match shards.get_mut(&record.partition) {
        Some(shard) => shard.restore(record.key, record.value).map_err(anyhow::Error::from),
        None => Ok(()),
    })?;
    for shard in shards.values_mut() {
        shard.finish_restore(true)?;
    }
    Ok(shards.into_values().collect())
}

/// Hands the shards the progress that ingest tells now, until `enough` holds of each, or an instance would
/// have told by then.
///
/// # Errors
/// When `signals` can't be read.
pub fn hear(
    clients: &Clients,
    config: &Config,
    shards: &mut [Shard],
    enough: impl Fn(&Shard) -> bool,
) -> anyhow::Result<()> {
    let topic = format!("{}.signals", config.application);
    let reader = clients.reader(Isolation::ReadUncommitted, None)?;
    let every = Duration::from_secs(u64::try_from(config.rules.report_every().0)?);
    let since = (now() - Seconds(3 * config.rules.report_every().0)).0 * 1000;
    let mut list = TopicPartitionList::new();
    for partition in 0..config.topics.partitions {
        list.add_partition_offset(&topic, i32::try_from(partition)?, Offset::Offset(since))?;
    }
    let begins = reader.offsets_for_times(list, PATIENCE).context("the brokers did not say where to read signals")?;
    let mut ends = BTreeMap::new();
    for partition in 0..config.topics.partitions {
        ends.insert(partition, watermarks(&reader, &topic, partition)?.1);
    }
    reader.assign(&begins)?;
    let deadline = Instant::now() + 2 * every + REPORT_PATIENCE;
    let mut polled = 0_u32;
    while Instant::now() < deadline && !(ends.is_empty() && shards.iter().all(&enough)) {
        // Its errors are ends of partitions, and what librdkafka tries again.
        let message = reader.poll(Duration::from_millis(200)).and_then(Result::ok);
        polled += 1;
        if message.is_none() || polled.is_multiple_of(1024) {
            let positions = reader.position()?;
            let position = |partition| offset(&positions, &topic, partition).or(offset(&begins, &topic, partition));
            // Without an offset there is nothing as new as that.
            ends.retain(|&partition, end| position(partition).is_some_and(|position| position < *end));
        }
        let Some(message) = message else { continue };
        let partition = u32::try_from(message.partition())?;
        let is_progress = message.payload().and_then(|value| value.first()) == Some(&PROGRESS);
        if let Some(shard) = shards.iter_mut().find(|shard| shard.home().partition == partition && is_progress) {
            let append_ms = message.timestamp().to_millis().unwrap_or_default();
            shard.apply(Input { offset: message.offset(), append_ms, key: message.key(), value: message.payload() });
        }
    }
    Ok(())
}

fn offset(list: &TopicPartitionList, topic: &str, partition: u32) -> Option<i64> {
    match list.find_partition(topic, i32::try_from(partition).ok()?)?.offset() {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    }
}

/// This machine's clock.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_secs()).unwrap_or(i64::MAX / 4))
}
