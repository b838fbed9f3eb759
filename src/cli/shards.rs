//! The shards as their changelog has them: for questions that need no running service.

use crate::config::Config;
use crate::kafka::clients::{Clients, Isolation};
use crate::kafka::restore::{Restorer, watermarks};
use crate::retention::calendar::Timestamp;
use crate::track::shard::{Home, Shard};
use anyhow::{Context, bail};
use rdkafka::consumer::Consumer;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long the brokers may take to tell who they are.
const PATIENCE: Duration = Duration::from_secs(60);

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

/// This machine's clock.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_secs()).unwrap_or(i64::MAX / 4))
}
