//! What the rest of the process sees of track.

use super::shard::Shard;
use crate::config::Config;
use crate::retention::customer::AckResult;
use crate::retention::decide::Answered;
use crate::telemetry::metrics::Metrics;
use crate::wire::signal::Signal;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// How a shard is.
#[derive(Clone, Debug, PartialEq)]
pub enum ShardState {
    /// Offsets of the changelog read, and there are.
    Restoring {
        read: u64,
        total: u64,
    },
    Running,
}

/// Shared by the loop and whoever asks.
pub struct TrackStatus {
    pub metrics: Arc<Metrics>,
    beat: AtomicI64,
    shards: Mutex<BTreeMap<u32, ShardState>>,
    /// Commands of the transaction under way, counted when it is committed.
    decided: Mutex<Vec<[String; 4]>>,
}

impl TrackStatus {
    pub fn new(metrics: Arc<Metrics>) -> TrackStatus {
        let status = TrackStatus {
            metrics,
            beat: AtomicI64::new(0),
            shards: Mutex::new(BTreeMap::new()),
            decided: Mutex::new(Vec::new()),
        };
        status.beat();
        status
    }

    /// The loop has turned.
    pub fn beat(&self) {
        self.beat.store(seconds(), Ordering::Relaxed);
    }

    /// Seconds since the loop last turned.
    pub fn stillness(&self) -> i64 {
        seconds() - self.beat.load(Ordering::Relaxed)
    }

    pub fn shards(&self) -> BTreeMap<u32, ShardState> {
        locked(&self.shards).clone()
    }

    pub(super) fn restoring(&self, shares: impl Iterator<Item = (u32, (u64, u64))>) {
        let mut shards = locked(&self.shards);
        for (partition, (read, total)) in shares {
            shards.insert(partition, ShardState::Restoring { read, total });
        }
    }

    pub(super) fn running(&self, partition: u32) {
        locked(&self.shards).insert(partition, ShardState::Running);
    }

    pub(super) fn forget(&self, partition: u32) {
        locked(&self.shards).remove(&partition);
    }

    pub(super) fn observe(&self, _partition: u32, _shard: &Shard) {}

    pub(super) fn decided(&self, policy: &str, command: &str, target: &str, cause: &str) {
        locked(&self.decided).push([policy, command, target, cause].map(str::to_owned));
    }

    pub(super) fn committed(&self) {
        self.metrics.transactions.with_label_values(&["committed"]).inc();
        for labels in locked(&self.decided).drain(..) {
            self.metrics.commands.with_label_values(&labels).inc();
        }
    }

    pub(super) fn given_up(&self) {
        locked(&self.decided).clear();
    }

    pub(super) fn acknowledged(&self, answered: Answered, signal: Option<&[u8]>, config: &Config) {
        let Some(Ok(Signal::Acknowledgement(ack))) = signal.map(Signal::decode) else { return };
        // The target's name comes from outside: it is no label unless the configuration has it.
        let known = config.rules.target_by_key(&ack.target).is_some();
        let target = if known { ack.target.as_str() } else { "(unknown)" };
        let result = match ack.result {
            AckResult::Done => "done",
            AckResult::Retained { .. } => "retained",
            AckResult::Failed => "failed",
        };
        match answered {
            Answered::Nothing => self.metrics.acknowledgements_unknown.with_label_values(&[target]).inc(),
            _ => self.metrics.acknowledgements.with_label_values(&[target, result]).inc(),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
