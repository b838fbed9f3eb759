//! The simulator: real ingest and real shards, several processes of them, over brokers in memory, with a
//! scheduler, clocks and faults that one seed decides; and an oracle that sees everything.
//!
//! * [`plan`]: what a seed stands for
//! * [`kafka`]: brokers: logs, transactions, markers; [`group`]: consumer groups
//! * [`people`]: customers, and the systems that report on them
//! * [`process`]: one process; its [`shards`] (the [`Owner`](crate::track::owner::Owner) of the product) and
//!   its [`reader`] (the product's [`Instance`](crate::ingest::instance::Instance))
//! * [`oracle`]: what may be visible, and what must be
//! * [`storm`]: from the first moment to the last

mod group;
mod kafka;
mod oracle;
mod people;
mod plan;
mod process;
mod reader;
mod shards;
mod storm;
#[cfg(test)]
mod tests;

pub use storm::{Outcome, run};

use kafka::{Kafka, Topic, Transaction};
use oracle::Oracle;
use people::People;
use plan::{Plan, SHARDS, Settings, Window};
use process::Process;
use shards::Death;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};

/// The topics.
#[derive(Clone, Copy, Debug)]
struct Topics {
    signals: Topic,
    state: Topic,
    web: Topic,
    desk: Topic,
    acks: Topic,
    crm: Topic,
    mailing: Topic,
}

/// A pod, and what runs in it.
struct Pod {
    name: String,
    process: Option<Process>,
    /// It is in the middle of a turn.
    is_away: bool,
    /// And stopped there.
    is_stopped: bool,
    down_until: i64,
    clock_ms: i64,
}

/// Everything there is. All parts are behind cells, because a process in the middle of a step lets the rest
/// of the world go on.
struct World {
    plan: Plan,
    random: RefCell<fastrand::Rng>,
    now_ms: Cell<i64>,
    topics: Topics,
    kafka: RefCell<Kafka>,
    people: RefCell<People>,
    oracle: RefCell<Oracle>,
    pods: RefCell<Vec<Pod>>,
    /// How many processes are in the middle of a step while others go on.
    depth: Cell<usize>,
    calm: Cell<bool>,
    /// Until when shards get no records.
    starved: RefCell<BTreeMap<u32, i64>>,
    /// Requests to commit of the dead, still on their way.
    late_commits: RefCell<Vec<(i64, String, u64, Transaction)>>,
    wanted: Cell<usize>,
    /// By policy and version.
    versions: HashMap<(String, String), Settings>,
    deaths: Cell<usize>,
    lines: RefCell<Option<Vec<String>>>,
}

impl World {
    fn now_ms(&self) -> i64 {
        self.now_ms.get()
    }

    /// What a broker stamps.
    fn append_ms(&self) -> i64 {
        let (window, ahead) = self.plan.broker_clock;
        let ahead = if self.is_in(window, self.now_ms() / 1000) { ahead } else { 0 };
        self.now_ms() + ahead * 1000
    }

    fn is_calm(&self) -> bool {
        self.calm.get()
    }

    fn is_in(&self, window: Window, now: i64) -> bool {
        window.is_some_and(|(from, until)| (from..until).contains(&now))
    }

    /// True in so many of a thousand cases.
    fn chance(&self, of_thousand: u32) -> bool {
        of_thousand > 0 && self.random.borrow_mut().u32(0..1000) < of_thousand
    }

    /// The same, while faults strike.
    fn fails(&self, of_thousand: u32) -> bool {
        !self.is_calm() && self.chance(of_thousand)
    }

    fn below(&self, count: usize) -> usize {
        self.random.borrow_mut().usize(0..count.max(1))
    }

    fn below_u32(&self, count: u32) -> u32 {
        self.random.borrow_mut().u32(0..count.max(1))
    }

    fn between(&self, from: i64, until: i64) -> i64 {
        if from < until { self.random.borrow_mut().i64(from..until) } else { from }
    }

    /// How many records are read at once.
    fn batch(&self) -> usize {
        if self.is_calm() { usize::MAX } else { self.below(1 + self.plan.batch_max) }
    }

    fn trace(&self, line: impl FnOnce() -> String) {
        if let Some(lines) = self.lines.borrow_mut().as_mut() {
            let at = chrono::DateTime::from_timestamp_millis(self.now_ms()).unwrap_or_default();
            lines.push(format!("{} {}", at.format("%H:%M:%S%.3f"), line()));
        }
    }

    fn is_starved(&self, shard: u32) -> bool {
        self.starved.borrow().get(&shard).is_some_and(|until| *until > self.now_ms())
    }

    /// Between two steps of a process: it may be killed, or stopped while the rest of the world goes on.
    fn strike(&self, pod: &str, step: &str) -> Result<(), Death> {
        if self.fails(self.plan.faults.crash) {
            self.trace(|| format!("{pod}: killed at \"{step}\""));
            return Err(Death::Killed);
        }
        if self.fails(self.plan.faults.stall) {
            let length_ms = if self.chance(500) { self.between(1_000, 40_000) } else { self.between(40_000, 900_000) };
            self.trace(|| format!("{pod}: stopped at \"{step}\" for {} seconds", length_ms / 1000));
            self.set_stopped(pod, true);
            self.meanwhile(pod, length_ms);
            self.set_stopped(pod, false);
            self.trace(|| format!("{pod}: goes on"));
        }
        Ok(())
    }

    fn set_stopped(&self, name: &str, is_stopped: bool) {
        for pod in self.pods.borrow_mut().iter_mut().filter(|pod| pod.name == name && pod.is_away) {
            pod.is_stopped = is_stopped;
        }
    }

    /// Something takes a moment: time passes, nothing else does anything.
    fn idle(&self, pod: &str) {
        let longest_ms = if self.is_calm() { 2_000 } else { self.plan.answer_ms };
        match self.below(8) {
            0..4 => {}
            4..7 => self.advance(self.between(0, longest_ms)),
            _ => self.meanwhile(pod, self.between(0, longest_ms)),
        }
    }

    /// Time passes for everybody but this pod's process.
    fn meanwhile(&self, pod: &str, length_ms: i64) {
        if self.depth.get() >= 2 {
            return self.advance(length_ms);
        }
        self.depth.set(self.depth.get() + 1);
        let rounds = 1 + length_ms / 120_000;
        for _ in 0..rounds {
            self.advance(length_ms / rounds);
            self.turn_all();
            if self.plan.twins && self.chance(100) {
                self.begin_twin(pod);
            }
        }
        self.depth.set(self.depth.get() - 1);
    }

    /// A request to commit that its sender does not live to see answered.
    fn late_commit(&self, pod: &str, epoch: u64, transaction: Transaction) {
        let at_ms = self.now_ms() + self.between(0, 12_000);
        self.late_commits.borrow_mut().push((at_ms, pod.to_owned(), epoch, transaction));
    }

    /// Time passes: people act, brokers do what they do by themselves, targets obey.
    fn advance(&self, length_ms: i64) {
        // Timeouts and markers come in between, not all at the end.
        let pieces = 1 + length_ms / 60_000;
        for _ in 0..pieces {
            self.now_ms.set(self.now_ms() + length_ms / pieces);
            let now_ms = self.now_ms();
            self.people.borrow_mut().act(self, now_ms);
            let mut late = std::mem::take(&mut *self.late_commits.borrow_mut());
            late.retain(|(at_ms, pod, epoch, transaction)| {
                if *at_ms <= now_ms {
                    // It may have been fenced meanwhile.
                    let _ = self.kafka.borrow_mut().end_transaction((pod, *epoch, *transaction), true);
                }
                *at_ms > now_ms
            });
            self.late_commits.borrow_mut().extend(late);
            self.kafka.borrow_mut().pass(now_ms, &mut self.random.borrow_mut());
            self.pass_groups();
            self.obey();
        }
    }

    /// Who is not stopped beats; who is silent is put out.
    fn pass_groups(&self) {
        for pod in self.pods.borrow_mut().iter_mut().filter(|pod| !pod.is_stopped) {
            let name = pod.name.clone();
            match &mut pod.process {
                Some(process) => process.heartbeat(self, &name),
                None if pod.is_away => {
                    let mut kafka = self.kafka.borrow_mut();
                    kafka.track.beat(&name, self.now_ms());
                    kafka.ingest.beat(&name, self.now_ms());
                }
                None => {}
            }
        }
        let mut kafka = self.kafka.borrow_mut();
        let counts: Vec<u32> = kafka.topics().map(|(_, count)| count).collect();
        let now_ms = self.now_ms();
        kafka.track.pass(now_ms, |topic| counts[topic.0]);
        kafka.ingest.pass(now_ms, |topic| counts[topic.0]);
    }

    fn obey(&self) {
        self.oracle.borrow_mut().look(self);
        let answers = self.oracle.borrow_mut().answer(self);
        let now_ms = self.now_ms();
        for answer in answers {
            let place = (self.topics.acks, 0);
            self.kafka.borrow_mut().append(place, None, Some(answer.as_bytes()), (now_ms, now_ms));
        }
    }

    /// Every process that isn't away has a turn, in some order.
    fn turn_all(&self) {
        let mut order: Vec<usize> = (0..self.pods.borrow().len()).collect();
        self.random.borrow_mut().shuffle(&mut order);
        for place in order {
            self.turn(place);
        }
    }

    fn settings_of_version(&self, policy: &str, version: &str) -> Option<Settings> {
        self.versions.get(&(policy.to_owned(), version.to_owned())).copied()
    }

    fn settings_in_force(&self) -> Settings {
        self.plan.settings[self.wanted.get()].1
    }

    /// Whether the last change, which has `web` read again, was under way at `now`.
    fn was_read_again(&self, now: i64) -> bool {
        let ends_doubt = self.plan.gap_at.is_some() || self.plan.renamed.is_some();
        // Another reading is read from the beginning, whatever made it another.
        let reading = |settings: &Settings| (settings.reread, settings.ignores_unnamed, settings.counts_orders);
        let begun = self.plan.settings.windows(2).filter(|pair| reading(&pair[0].1) != reading(&pair[1].1));
        ends_doubt && begun.map(|pair| pair[1].0).any(|at| at <= now)
    }

    fn believed(&self, partition: u32, shard: &crate::track::shard::Shard) {
        let config = shard.config();
        for (key, brake) in &shard.brakes().policies {
            let Some(policy) = config.rules.policy_by_key(key) else { continue };
            let limit = config.rules.policies[usize::from(policy.0)].brake.at_least;
            for (lane, on_request) in [(&brake.by_period, false), (&brake.on_request, true)] {
                if let Some(at) = lane.tripped {
                    self.oracle.borrow_mut().note_trip(partition, key, at.0, on_request, limit);
                }
            }
        }
        if self.chance(10) {
            self.compare_with_changelog(partition, shard);
        }
    }
}

const _: () = assert!(SHARDS > 0);
