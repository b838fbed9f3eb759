//! What the rest of the process sees of track.

use super::shard::{Shard, Stats};
use crate::config::Config;
use crate::retention::calendar::{Seconds, Timestamp};
use crate::retention::customer::AckResult;
use crate::retention::decide::Answered;
use crate::retention::gate::Doubt;
use crate::retention::policy::SourceIndex;
use crate::telemetry::metrics::Metrics;
use crate::wire::signal::Signal;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
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

/// What a running shard shows.
struct Observed {
    config: Arc<Config>,
    stats: Stats,
    now: Option<Timestamp>,
    /// In the order of the configuration's sources.
    sources: Vec<SourceObserved>,
}

struct SourceObserved {
    open: bool,
    /// The shard's now when it was first seen closed since it was last open.
    closed_since: Option<Timestamp>,
    lag: Option<Seconds>,
    doubts: Vec<Doubt>,
}

/// Shared by the loop and whoever asks.
pub struct TrackStatus {
    pub metrics: Arc<Metrics>,
    beat: AtomicI64,
    joined: AtomicBool,
    shards: Mutex<BTreeMap<u32, ShardState>>,
    observed: Mutex<BTreeMap<u32, Observed>>,
    /// Commands of the transaction under way, counted when it is committed.
    decided: Mutex<Vec<[String; 4]>>,
}

impl TrackStatus {
    pub fn new(metrics: Arc<Metrics>) -> TrackStatus {
        let status = TrackStatus {
            metrics,
            beat: AtomicI64::new(0),
            joined: AtomicBool::new(false),
            shards: Mutex::new(BTreeMap::new()),
            observed: Mutex::new(BTreeMap::new()),
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

    pub fn running(&self, partition: u32) {
        locked(&self.shards).insert(partition, ShardState::Running);
    }

    pub fn forget(&self, partition: u32) {
        locked(&self.shards).remove(&partition);
        locked(&self.observed).remove(&partition);
    }

    /// By source, since when a shard of this instance has seen its gate closed; as far as it knows.
    pub fn closed_since(&self, partition: u32) -> BTreeMap<String, Timestamp> {
        let observed = locked(&self.observed);
        let Some(shard) = observed.get(&partition) else { return BTreeMap::new() };
        let sources = shard.config.rules.sources.iter().zip(&shard.sources);
        sources.filter_map(|(trust, source)| Some((trust.key.clone(), source.closed_since?))).collect()
    }

    /// The group has told this instance which shards are its own, be it none.
    pub fn has_joined(&self) -> bool {
        self.joined.load(Ordering::Relaxed)
    }

    pub(super) fn joined(&self) {
        self.joined.store(true, Ordering::Relaxed);
    }

    /// Takes in how a shard is after a batch.
    pub fn observe(&self, partition: u32, shard: &Shard) {
        let gate = shard.gate();
        let now = shard.now();
        let source = |place: usize| {
            let index = SourceIndex(u16::try_from(place).unwrap_or(u16::MAX));
            let now = now.unwrap_or(Timestamp::MIN);
            let open = gate.is_open(index, now);
            SourceObserved {
                open,
                closed_since: (!open).then_some(now),
                lag: gate.lag(index, now),
                doubts: gate.doubts(index, now),
            }
        };
        let config = shard.config().clone();
        let sources: Vec<SourceObserved> = (0..config.rules.sources.len()).map(source).collect();
        let mut observed = Observed { stats: shard.stats(), now, sources, config };
        let mut all = locked(&self.observed);
        if let Some(before) = all.get(&partition) {
            observed.keep_since(before);
        }
        let before = all.insert(partition, observed);
        drop(all);
        self.tell_changes(partition, before);
    }

    /// A gate that opens or closes is worth a line in the log.
    fn tell_changes(&self, partition: u32, before: Option<Observed>) {
        let observed = locked(&self.observed);
        let Some(after) = observed.get(&partition) else { return };
        for (place, source) in after.sources.iter().enumerate() {
            let was = before.as_ref().and_then(|before| before.sources.get(place));
            let kinds = |source: &SourceObserved| source.doubts.iter().map(Doubt::name).collect::<Vec<_>>();
            if was.is_none_or(|was| was.open != source.open || kinds(was) != kinds(source)) {
                let key = after.config.rules.sources[place].key.as_str();
                let doubts = source.doubts.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                tracing::info!(shard = partition, source = key, open = source.open, doubts, "gate");
            }
        }
    }

    /// Sums over this instance's shards; nothing while any of them is being restored.
    pub fn observe_gauges(&self, metrics: &Metrics) {
        let shards = self.shards();
        let running = shards.values().filter(|state| **state == ShardState::Running).count();
        metrics.shards.with_label_values(&["running"]).set(whole(running));
        metrics.shards.with_label_values(&["restoring"]).set(whole(shards.len() - running));
        let (mut read_sum, mut total_sum) = (0, 0);
        for state in shards.values() {
            if let ShardState::Restoring { read, total } = state {
                read_sum += read;
                total_sum += total;
            }
        }
        metrics.restore_ratio.set(if total_sum == 0 { 1.0 } else { read_sum as f64 / total_sum as f64 });
        let gauges = [&metrics.due_unsent, &metrics.oldest_due_age, &metrics.gate_open, &metrics.gate_doubts];
        let more = [&metrics.unacknowledged, &metrics.customers, &metrics.without_starting_point];
        let braking =
            [&metrics.brake_engaged, &metrics.waiting_for_release, &metrics.requests_withheld, &metrics.gate_lag];
        let rest = [&metrics.oldest_open_request, &metrics.uncovered, &metrics.overflowed, &metrics.forgotten];
        gauges.into_iter().chain(more).chain(braking).chain(rest).for_each(prometheus::IntGaugeVec::reset);
        metrics.table_bytes.set(0);
        if running == shards.len() {
            let observed = locked(&self.observed);
            for source in observed.values().flat_map(|shard| &shard.config.rules.sources) {
                metrics.gate_open.with_label_values(&[&source.key]).set(1);
            }
            observed.values().for_each(|shard| shard.add_to(metrics));
        }
    }

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

impl Observed {
    /// A gate that was closed before has been so since then.
    fn keep_since(&mut self, before: &Observed) {
        for (place, source) in self.sources.iter_mut().enumerate().filter(|(_, source)| !source.open) {
            let key = &self.config.rules.sources[place].key;
            let was = before.config.rules.sources.iter().position(|trust| trust.key == *key);
            let since = was.and_then(|place| before.sources[place].closed_since);
            source.closed_since = since.or(source.closed_since);
        }
    }

    fn add_to(&self, metrics: &Metrics) {
        let rules = &self.config.rules;
        metrics.table_bytes.add(whole(self.stats.memory_bytes));
        metrics.without_starting_point.with_label_values::<&str>(&[]).add(count(self.stats.without_starting_point));
        for (gauge, number) in [
            (&metrics.uncovered, self.stats.uncovered),
            (&metrics.overflowed, self.stats.overflowed),
            (&metrics.forgotten, self.stats.forgotten),
        ] {
            gauge.with_label_values::<&str>(&[]).add(count(number));
        }
        let oldest_request = metrics.oldest_open_request.with_label_values::<&str>(&[]);
        for (policy, stats) in rules.policies.iter().zip(&self.stats.policies) {
            let key = policy.key.as_str();
            let engaged = metrics.brake_engaged.with_label_values(&[key]);
            engaged.set(engaged.get().max(i64::from(stats.brake_engaged)));
            metrics.waiting_for_release.with_label_values(&[key]).add(count(stats.waiting_for_release));
            metrics.requests_withheld.with_label_values(&[key]).add(count(stats.withheld_requests));
            if let (Some(now), Some(oldest)) = (self.now, stats.oldest_request) {
                oldest_request.set(oldest_request.get().max((now - oldest).0));
            }
            metrics.due_unsent.with_label_values(&[key]).add(count(stats.due_unsent));
            let age = metrics.oldest_due_age.with_label_values(&[key]);
            if let (Some(now), Some(oldest)) = (self.now, stats.oldest_due) {
                age.set(age.get().max((now - oldest).0));
            }
            metrics.customers.with_label_values(&[key, "none"]).add(count(stats.active));
            for (stage, sent) in policy.stages.iter().zip(&stats.sent) {
                metrics.customers.with_label_values(&[key, stage.action.name()]).add(count(*sent));
            }
        }
        for (target, waiting) in rules.targets.iter().zip(&self.stats.unacknowledged) {
            metrics.unacknowledged.with_label_values(&[&target.key]).add(count(*waiting));
        }
        for (source, observed) in rules.sources.iter().zip(&self.sources) {
            let key = source.key.as_str();
            // Open where every shard says so; the lag is the worst.
            let open = metrics.gate_open.with_label_values(&[key]);
            let first = metrics.gate_lag.get_metric_with_label_values(&[key]);
            open.set(open.get().min(i64::from(observed.open)));
            if let (Ok(lag), Some(seconds)) = (first, observed.lag) {
                lag.set(lag.get().max(seconds.0));
            }
            // Two topics that are silent are one reason.
            let mut doubts: Vec<&str> = observed.doubts.iter().map(Doubt::name).collect();
            doubts.sort_unstable();
            doubts.dedup();
            doubts.iter().for_each(|doubt| metrics.gate_doubts.with_label_values(&[key, doubt]).inc());
        }
    }
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn whole(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, load};
    use crate::track::shard::{Home, Input};
    use crate::wire::progress::{self, Progress, TopicPartitions};

    const CONFIG: &str = "
time_zone: UTC
kafka: {bootstrap.servers: localhost}
evidence: {key: test}
topics: {partitions: 2}
sources:
  web: {topics: [events], customer: /id, time: /at, max_silence: P1D, rules: [{activity: login}]}
targets: {crm: {topic: crm.commands, acknowledge_within: P1D}}
policies:
  offers:
    purpose: {en: Relevant offers until a year after the last login}
    lawful_basis: consent
    categories: [email]
    since_last: [login]
    stages: [{after: P1Y, command: expire}]
    targets: [crm]
    review_by: 2099-01-01
";

    /// Two shards, of which one has heard that the source's topic is there, and nothing of its partition.
    #[test]
    fn metrics_tell_why_a_gate_is_closed_and_nothing_while_restoring() {
        let today = "2026-06-01".parse().unwrap();
        let config = load::from_texts(&[("c.yaml".to_owned(), CONFIG.to_owned())], Environment::Leave, today);
        let config = Arc::new(config.unwrap().config);
        let metrics = Arc::new(Metrics::new());
        let status = TrackStatus::new(metrics.clone());
        for partition in 0..2 {
            let home = Home { partition, partitions: 2, cluster: String::new() };
            let mut shard = Shard::new(home, config.clone());
            if partition == 1 {
                let (topic, source) = ("events".to_owned(), "web".to_owned());
                let topics = vec![TopicPartitions { topic, source, partitions: 1, kept_for: None }];
                let mut value = Vec::new();
                progress::encode(&Progress { config: config.hash, topics, partitions: Vec::new() }, &mut value);
                shard.apply(Input { offset: 0, append_ms: 9_000, key: None, value: Some(&value) });
            }
            status.observe(partition, &shard);
            status.running(partition);
        }
        let told = |doubt: &str| metrics.gate_doubts.with_label_values(&["web", doubt]).get();
        status.observe_gauges(&metrics);
        assert_eq!(["no_topic", "partition_unheard", "silent", "gap"].map(told), [1, 1, 1, 0]);
        assert_eq!(metrics.gate_open.with_label_values(&["web"]).get(), 0);
        status.restoring([(1, (0, 5))].into_iter());
        status.observe_gauges(&metrics);
        assert_eq!(["no_topic", "partition_unheard"].map(told), [0, 0]);
    }
}
