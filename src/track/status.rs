//! What the rest of the process sees of track.

use super::shard::{Shard, Stats};
use crate::config::Config;
use crate::retention::calendar::{Seconds, Timestamp};
use crate::retention::customer::AckResult;
use crate::retention::decide::Answered;
use crate::retention::gate::{Doubt, GateTable};
use crate::retention::policy::{Policy, SourceIndex};
use crate::telemetry::metrics::{Metrics, UNKNOWN_TARGET};
use crate::wire::signal::Signal;
use prometheus::IntGaugeVec;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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
    clock: Clock,
    gate: GateTable,
    /// The shard's now when a source was first seen closed since it was last open.
    closed_since: BTreeMap<String, Timestamp>,
    /// Since it was restored everyone who was due has been judged once: until then it would show fewer.
    is_settled: bool,
}

/// A shard's clock, which stands still when nobody writes to its log, and since when it has shown this.
#[derive(Clone, Copy)]
struct Clock {
    shows: Option<Timestamp>,
    since: Instant,
}

impl Clock {
    /// What it would show if its log had gone on. A shard that is behind sends nothing, so what has been
    /// due for long must not look younger for it: then the wall clock counts.
    fn now(self, wall: Timestamp) -> Option<Timestamp> {
        let passed = i64::try_from(self.since.elapsed().as_secs()).unwrap_or(i64::MAX);
        self.shows.map(|shows| (shows + Seconds(passed)).max(wall))
    }

    /// How far it lies behind.
    fn lag(self, wall: Timestamp) -> Option<Seconds> {
        let now = self.now(wall)?;
        self.shows.map(|shows| now - shows)
    }
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
        shard.closed_since.clone()
    }

    /// The group has told this instance which shards are its own, be it none.
    pub fn has_joined(&self) -> bool {
        self.joined.load(Ordering::Relaxed)
    }

    pub(super) fn joined(&self) {
        self.joined.store(true, Ordering::Relaxed);
    }

    pub(super) fn left(&self) {
        self.joined.store(false, Ordering::Relaxed);
    }

    /// Takes in how a shard is after a batch; `is_through`: nobody is left who could be judged by now.
    pub fn observe(&self, partition: u32, shard: &Shard, is_through: bool) {
        let mut observed = locked(&self.observed);
        let before = observed.remove(&partition);
        let stood = before.as_ref().map(|before| before.clock).filter(|clock| clock.shows == shard.now());
        let mut after = Observed {
            config: shard.config().clone(),
            stats: shard.stats(),
            clock: stood.unwrap_or(Clock { shows: shard.now(), since: Instant::now() }),
            gate: shard.gate().clone(),
            closed_since: BTreeMap::new(),
            is_settled: (is_through && shard.now().is_some())
                || before.as_ref().is_some_and(|before| before.is_settled),
        };
        after.closed_since = after.closed_sources(before.as_ref());
        after.tell_changes(partition, before.as_ref());
        observed.insert(partition, after);
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
        metrics.sampled().for_each(IntGaugeVec::reset);
        let observed = locked(&self.observed);
        let is_whole = shards.keys().all(|partition| observed.get(partition).is_some_and(|shard| shard.is_settled));
        if running == shards.len() && is_whole {
            let wall = Timestamp(seconds());
            for source in observed.values().flat_map(|shard| &shard.config.rules.sources) {
                metrics.gate_open.with_label_values(&[&source.key]).set(1);
            }
            observed.values().for_each(|shard| shard.add_to(metrics, wall));
        }
    }

    pub(super) fn decided(&self, policy: &str, command: &str, target: &str, cause: &str) {
        locked(&self.decided).push([policy, command, target, cause].map(str::to_owned));
    }

    /// A transaction is through; it took so long from its first record to the brokers' word.
    pub(super) fn committed(&self, took: Duration) {
        self.metrics.transactions.with_label_values(&["committed"]).inc();
        self.metrics.transaction_seconds.observe(took.as_secs_f64());
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
        let target = if known { ack.target.as_str() } else { UNKNOWN_TARGET };
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
    /// A gate that opens or closes is worth a line in the log.
    fn tell_changes(&self, partition: u32, before: Option<&Observed>) {
        let now = self.clock.shows.unwrap_or(Timestamp::MIN);
        for (index, source) in self.sources() {
            let (open, doubts) = self.standing(index, now);
            let was = before.and_then(|before| {
                let (index, _) = before.sources().find(|(_, key)| *key == source)?;
                Some(before.standing(index, before.clock.shows.unwrap_or(Timestamp::MIN)))
            });
            let kinds = |doubts: &[Doubt]| doubts.iter().map(Doubt::name).collect::<Vec<_>>();
            if was.is_none_or(|(was_open, had)| was_open != open || kinds(&had) != kinds(&doubts)) {
                let doubts = doubts.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                tracing::info!(shard = partition, source, open, doubts, "gate");
            }
        }
    }

    /// A gate that was closed before has been so since then; before the first record there is no saying.
    fn closed_sources(&self, before: Option<&Observed>) -> BTreeMap<String, Timestamp> {
        let Some(now) = self.clock.shows else { return BTreeMap::new() };
        let closed = self.sources().filter(|(index, _)| !self.gate.is_open(*index, now));
        let since = |key: &str| before.and_then(|before| before.closed_since.get(key).copied()).unwrap_or(now);
        closed.map(|(_, key)| (key.to_owned(), since(key))).collect()
    }

    fn sources(&self) -> impl Iterator<Item = (SourceIndex, &str)> {
        (0_u16..).map(SourceIndex).zip(self.config.rules.sources.iter().map(|source| source.key.as_str()))
    }

    fn standing(&self, source: SourceIndex, now: Timestamp) -> (bool, Vec<Doubt>) {
        (self.gate.is_open(source, now), self.gate.doubts(source, now))
    }

    fn add_to(&self, metrics: &Metrics, wall: Timestamp) {
        let (rules, stats) = (&self.config.rules, &self.stats);
        for (gauge, number) in [
            (&metrics.table_bytes, count(stats.memory_bytes as u64)),
            (&metrics.without_starting_point, count(stats.without_starting_point)),
            (&metrics.uncovered, count(stats.uncovered)),
            (&metrics.overflowed, count(stats.overflowed)),
            (&metrics.forgotten, count(stats.forgotten)),
        ] {
            gauge.with_label_values::<&str>(&[]).add(number);
        }
        let now = self.clock.now(wall);
        let age = |since: Option<Timestamp>| since.and_then(|since| Some((now? - since).0.max(0))).unwrap_or(0);
        raise(&metrics.shard_lag, &[], self.clock.lag(wall).map_or(0, |lag| lag.0));
        raise(&metrics.oldest_open_request, &[], age(stats.oldest_unanswered_request));
        for (policy, stats) in rules.policies.iter().zip(&stats.policies) {
            let key = policy.key.as_str();
            raise(&metrics.brake_engaged, &[key], i64::from(stats.brake_engaged));
            raise(&metrics.oldest_due_age, &[key], age(stats.oldest_due));
            raise(&metrics.oldest_open_request, &[], age(stats.oldest_request));
            metrics.waiting_for_release.with_label_values(&[key]).add(count(stats.waiting_for_release));
            metrics.requests_withheld.with_label_values(&[key]).add(count(stats.withheld_requests));
            metrics.due_unsent.with_label_values(&[key]).add(count(stats.due_unsent));
            metrics.customers.with_label_values(&[key, "none"]).add(count(stats.active));
            for (stage, sent) in stats.sent.iter().enumerate() {
                let stage = stage_name(policy, stage);
                metrics.customers.with_label_values(&[key, stage.as_str()]).add(count(*sent));
            }
        }
        for (target, waiting) in rules.targets.iter().zip(&stats.unacknowledged) {
            metrics.unacknowledged.with_label_values(&[&target.key]).add(count(*waiting));
        }
        for (target, overdue) in rules.targets.iter().zip(&stats.overdue) {
            metrics.overdue.with_label_values(&[&target.key]).add(count(*overdue));
        }
        for (index, source) in self.sources() {
            self.add_source_to(metrics, index, source, now);
        }
    }

    /// Open where every shard says so; the lag is the worst.
    fn add_source_to(&self, metrics: &Metrics, index: SourceIndex, key: &str, now: Option<Timestamp>) {
        let (open, doubts) = self.standing(index, now.unwrap_or(Timestamp::MIN));
        let gate = metrics.gate_open.with_label_values(&[key]);
        gate.set(gate.get().min(i64::from(open)));
        for doubt in doubts {
            metrics.gate_doubt.with_label_values(&[key, doubt.name()]).set(1);
        }
        if let Some(lag) = now.and_then(|now| self.gate.lag(index, now)) {
            raise(&metrics.gate_lag, &[key], lag.0.max(0));
        }
        if let Some(newest) = self.gate.newest_match(index) {
            raise(&metrics.last_activity, &[key], newest.0);
        }
    }
}

/// Of several with one action the later ones are numbered.
fn stage_name(policy: &Policy, stage: usize) -> String {
    let action = policy.stages[stage].action;
    let earlier = policy.stages[..stage].iter().filter(|stage| stage.action == action).count();
    if earlier == 0 { action.name().to_owned() } else { format!("{}_{}", action.name(), earlier + 1) }
}

fn raise(gauge: &IntGaugeVec, labels: &[&str], value: i64) {
    let gauge = gauge.with_label_values(labels);
    gauge.set(gauge.get().max(value));
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
            status.observe(partition, &shard, true);
            assert_eq!(status.closed_since(partition), BTreeMap::new(), "it has read nothing, so it has no time");
            let nothing = Input { offset: 0, append_ms: 9_000, key: None, value: Some(&[]) };
            shard.apply(nothing);
            if partition == 1 {
                let (topic, source) = ("events".to_owned(), "web".to_owned());
                let topics = vec![TopicPartitions { topic, source, partitions: 1, kept_for: None }];
                let mut value = Vec::new();
                progress::encode(&Progress { config: config.hash, topics, partitions: Vec::new() }, &mut value);
                shard.apply(Input { offset: 1, value: Some(&value), ..nothing });
            }
            status.observe(partition, &shard, true);
            assert_eq!(status.closed_since(partition).get("web"), Some(&Timestamp(9)));
            status.running(partition);
        }
        let told = |doubt: &str| metrics.gate_doubt.with_label_values(&["web", doubt]).get();
        status.observe_gauges(&metrics);
        assert_eq!(["no_topic", "partition_unheard", "silent", "gap"].map(told), [1, 1, 1, 0]);
        assert_eq!(metrics.gate_open.with_label_values(&["web"]).get(), 0);
        status.restoring([(1, (0, 5))].into_iter());
        status.observe_gauges(&metrics);
        assert_eq!(["no_topic", "partition_unheard"].map(told), [0, 0]);
    }
}
