//! A run: the storm, in which everything goes wrong that the plan says, and the calm after it, at whose end
//! everything must have come right.

use super::kafka::Kafka;
use super::oracle::Ordered;
use super::people::{People, name};
use super::plan::{BEGIN, HOUR, MINUTE, Plan, SHARDS, STORM};
use super::process::{CLUSTER, End, Process};
use super::{Pod, Topics, World};
use crate::retention::brake::{Instruction, Order};
use crate::retention::calendar::Timestamp;
use crate::simulated::log::Stamp;
use crate::track::outputs::Outputs;
use crate::track::shard::{Home, Input, Shard};
use crate::wire;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// How long the calm lasts: silences must be made up for, periods and notices run out.
const CALM: i64 = 18 * HOUR;

/// What came of a seed.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub seed: u64,
    /// The first promise that was broken.
    pub violation: Option<String>,
    /// What happened, if asked for.
    pub lines: Vec<String>,
    /// Commands that became visible, further attempts and recalls included.
    pub commands: usize,
    /// Processes that ended before they were asked to.
    pub deaths: usize,
}

/// Runs a seed.
pub fn run(seed: u64, with_lines: bool) -> Outcome {
    run_plan(Plan::of(seed), with_lines)
}

/// Runs what a seed or a test has planned.
pub fn run_plan(plan: Plan, with_lines: bool) -> Outcome {
    let seed = plan.seed;
    let world = World::new(plan, with_lines);
    let deaths = world.run();
    let violation = world.oracle.borrow_mut().violation.take();
    let commands = world.oracle.borrow().seen.len();
    Outcome { seed, violation, lines: world.lines.take().unwrap_or_default(), commands, deaths }
}

impl World {
    fn new(plan: Plan, with_lines: bool) -> World {
        let mut random = fastrand::Rng::with_seed(plan.seed);
        let mut kafka = Kafka::default();
        let topics = Topics {
            signals: kafka.create("sim.signals", SHARDS, Stamp::LogAppendTime),
            state: kafka.create("sim.state", SHARDS, Stamp::CreateTime),
            web: kafka.create("web", 2, Stamp::CreateTime),
            desk: kafka.create("desk", 1, Stamp::CreateTime),
            acks: kafka.create("sim.acks", 1, Stamp::CreateTime),
            crm: kafka.create("crm", 1, Stamp::CreateTime),
            mailing: kafka.create("mailing", 1, Stamp::CreateTime),
        };
        let mut versions = HashMap::new();
        for (_, settings) in &plan.settings {
            for policy in &settings.config().rules.policies {
                versions.insert((policy.key.clone(), policy.version.clone()), *settings);
            }
        }
        let people = People::new(plan.customers, &mut random);
        let pods = (0..plan.processes).map(|place| Pod {
            name: format!("pod-{place}"),
            process: None,
            is_away: false,
            is_stopped: false,
            down_until: 0,
            clock_ms: if plan.skew > 0 { random.i64(-plan.skew..=plan.skew) * 1000 } else { 0 },
        });
        let pods = pods.collect();
        World {
            plan,
            random: RefCell::new(random),
            now_ms: Cell::new(BEGIN * 1000),
            topics,
            kafka: RefCell::new(kafka),
            people: RefCell::new(people),
            oracle: RefCell::default(),
            pods: RefCell::new(pods),
            depth: Cell::new(0),
            calm: Cell::new(false),
            starved: RefCell::default(),
            late_commits: RefCell::default(),
            wanted: Cell::new(0),
            versions,
            deaths: Cell::new(0),
            lines: RefCell::new(with_lines.then(Vec::new)),
        }
    }

    fn is_broken(&self) -> bool {
        self.oracle.borrow().violation.is_some()
    }

    fn run(&self) -> usize {
        self.trace(|| format!("{:?}", self.plan));
        let mut to_come = self.plan.settings.len() - 1;
        let mut marks = Marks::default();
        while self.now_ms() < (BEGIN + STORM) * 1000 && !self.is_broken() {
            self.advance(self.between(5_000, 5 * 60_000));
            let now = self.now_ms() / 1000;
            while to_come > 0 && self.plan.settings[self.plan.settings.len() - to_come].0 <= now {
                self.wanted.set(self.plan.settings.len() - to_come);
                self.trace(|| format!("configuration {} is rolled out", self.wanted.get()));
                to_come -= 1;
            }
            self.happen(now, &mut marks);
            self.turn_all();
        }
        if !self.is_broken() {
            self.be_calm();
        }
        self.deaths.get()
    }

    /// What the plan has for this moment.
    fn happen(&self, now: i64, marks: &mut Marks) {
        let due = |at: Option<i64>, done: &mut bool| at.is_some_and(|at| at <= now) && !std::mem::replace(done, true);
        if due(self.plan.partition_added_at, &mut marks.partition_added) {
            self.trace(|| "web has another partition".to_owned());
            self.kafka.borrow_mut().add_partition(self.topics.web);
        }
        if due(self.plan.gap_at, &mut marks.gap) {
            self.trace(|| "retention deletes all of web".to_owned());
            let partitions = self.kafka.borrow().partitions(self.topics.web);
            for partition in 0..partitions {
                let place = (self.topics.web, partition);
                let end = self.kafka.borrow().end(place, super::kafka::Isolation::Uncommitted);
                self.people.borrow_mut().endanger(place, end);
                self.kafka.borrow_mut().trim(place, end);
            }
        }
        if due(self.plan.stopped.map(|(from, _)| from), &mut marks.stopped) {
            self.order(&[Order::Stop { policy: None }]);
        }
        if due(self.plan.stopped.map(|(_, until)| until), &mut marks.released) {
            self.release();
        }
        let is_bad = self.is_in(self.plan.bad_clock, now);
        if is_bad != std::mem::replace(&mut marks.bad_clock, is_bad) {
            let mut pods = self.pods.borrow_mut();
            let years = if self.chance(500) { -2 } else { 3 } * 365 * 24 * HOUR * 1000;
            pods[0].clock_ms = if is_bad { years } else { 0 };
        }
        let faults = self.plan.faults;
        if self.chance(faults.starve) {
            let shard = self.below_u32(SHARDS);
            let until = self.now_ms() + self.between(20 * MINUTE, 5 * HOUR) * 1000;
            self.trace(|| format!("shard {shard} gets no records for a while"));
            self.starved.borrow_mut().insert(shard, until);
        }
        if self.chance(faults.rebalance) {
            self.shake();
        }
        if self.chance(20) {
            let shard = self.below_u32(SHARDS);
            self.kafka.borrow_mut().compact((self.topics.state, shard));
        }
    }

    /// A pod is asked to stop, and comes back later.
    fn shake(&self) {
        let place = self.below(self.pods.borrow().len());
        let mut pods = self.pods.borrow_mut();
        if let Some(process) = pods[place].process.take() {
            self.trace(|| format!("{}: is asked to stop", pods[place].name));
            process.leave(self, &pods[place].name);
            pods[place].down_until = self.now_ms() + self.between(1_000, 30 * 60_000);
        }
    }

    /// One turn of a pod.
    pub(super) fn turn(&self, place: usize) {
        let now_ms = self.now_ms();
        let (name, clock_ms, process) = {
            let mut pods = self.pods.borrow_mut();
            let pod = &mut pods[place];
            if pod.is_away || pod.down_until > now_ms {
                return;
            }
            pod.is_away = true;
            (pod.name.clone(), pod.clock_ms, pod.process.take())
        };
        let mut process = process.unwrap_or_else(|| {
            self.trace(|| format!("{name}: starts"));
            Process::new(self, &name)
        });
        let ended = process.turn(self, &name, clock_ms);
        let mut pods = self.pods.borrow_mut();
        let pod = &mut pods[place];
        pod.is_stopped = false;
        // Another life of the pod may have begun while this one was stopped.
        let is_replaced = pod.process.is_some() || !pod.is_away;
        pod.is_away = false;
        match ended {
            Ok(()) if !is_replaced => pod.process = Some(process),
            Ok(()) => {}
            Err(End::Death(death)) => {
                self.deaths.set(self.deaths.get() + 1);
                let pause_ms = if self.is_calm() { 1_000 } else { self.between(500, 15 * 60_000) };
                self.trace(|| format!("{name}: ends ({death:?})"));
                if !is_replaced {
                    pod.down_until = now_ms.max(self.now_ms()) + pause_ms;
                }
            }
            Err(End::State(reason)) => {
                self.oracle.borrow_mut().violation.get_or_insert(format!("{name} can't restore: {reason}"));
            }
        }
        drop(pods);
        self.obey();
    }

    /// The node of a stopped pod is given up: another life of it begins.
    pub(super) fn begin_twin(&self, name: &str) {
        let mut pods = self.pods.borrow_mut();
        if let Some(pod) = pods.iter_mut().find(|pod| pod.name == name && pod.is_away && pod.process.is_none()) {
            self.trace(|| format!("{name}: another life begins"));
            pod.process = Some(Process::new(self, name));
            (pod.is_away, pod.is_stopped) = (false, false);
        }
    }

    fn order(&self, orders: &[Order]) {
        for shard in 0..SHARDS {
            for order in orders {
                let mut value = Vec::new();
                let id = Uuid::from_u128(self.random.borrow_mut().u128(..));
                let (by, reason) = ("operator".to_owned(), "because".to_owned());
                wire::instruction::encode(&Instruction { id, by, reason, order: order.clone() }, &mut value);
                let at_ms = self.append_ms();
                let place = (self.topics.signals, shard);
                self.kafka.borrow_mut().append(place, None, Some(&value), (at_ms, at_ms));
                let stops = matches!(order, Order::Stop { .. });
                self.oracle.borrow_mut().orders.push(Ordered { shard, at: at_ms / 1000, stops });
            }
        }
        self.trace(|| format!("an operator orders {orders:?}"));
    }

    fn release(&self) {
        let config = self.settings_in_force().config();
        let release = |policy: &crate::retention::policy::Policy| Order::Release {
            policy: policy.key.clone(),
            version: policy.version.clone(),
            due_before: Timestamp(BEGIN + 30 * 24 * HOUR),
            at_most: 100_000,
            per_day: None,
        };
        self.order(&config.rules.policies.iter().map(release).collect::<Vec<_>>());
    }

    /// Faults end; everything comes right, or it never does.
    fn be_calm(&self) {
        self.trace(|| "calm".to_owned());
        self.calm.set(true);
        self.wanted.set(self.plan.settings.len() - 1);
        self.starved.borrow_mut().clear();
        for pod in self.pods.borrow_mut().iter_mut() {
            pod.down_until = 0;
            if self.plan.bad_clock.is_some() {
                pod.clock_ms = 0;
            }
        }
        let begun = self.now_ms();
        let mut released = false;
        while self.now_ms() < begun + CALM * 1000 && !self.is_broken() {
            self.advance(4 * 60_000);
            self.turn_all();
            if !released && self.now_ms() > begun + HOUR * 1000 {
                released = true;
                self.release();
            }
        }
        self.kafka.borrow_mut().settle();
        self.obey();
        if !self.is_broken() {
            self.oracle.borrow_mut().close(self);
        }
        if !self.is_broken() {
            self.compare_all_with_changelog();
        }
        if self.is_broken() {
            self.tell_gates();
        }
    }

    /// Why nothing leaves, for whoever reads the trace.
    fn tell_gates(&self) {
        for pod in self.pods.borrow().iter() {
            for shard in pod.process.iter().flat_map(|process| process.owner.shards()) {
                let Some(now) = shard.now() else { continue };
                for (place, source) in (0_u16..).zip(&shard.config().sources) {
                    let doubts = shard.gate().doubts(crate::retention::policy::SourceIndex(place), now);
                    let partition = shard.home().partition;
                    self.trace(|| format!("{}: shard {partition} at {}: {}: {doubts:?}", pod.name, now.0, source.key));
                }
                self.trace(|| format!("{:?} {:?}", shard.stats(), shard.brakes()));
            }
        }
    }

    fn restored(&self, partition: u32, shard: &Shard) -> Option<Shard> {
        let home = Home { partition, partitions: SHARDS, cluster: CLUSTER.to_owned() };
        let mut twin = Shard::new(home, shard.config().clone());
        let (records, _) = self.kafka.borrow().read((self.topics.state, partition), 0, usize::MAX);
        for record in &records {
            let restored = twin.restore(record.key.as_deref().unwrap_or_default(), record.value.as_deref());
            if let Err(error) = restored.as_ref() {
                self.oracle
                    .borrow_mut()
                    .violation
                    .get_or_insert(format!("shard {partition} can't be restored: {error}"));
                return None;
            }
        }
        if let Err(error) = twin.finish_restore(!records.is_empty()) {
            self.oracle.borrow_mut().violation.get_or_insert(format!("shard {partition} can't be restored: {error}"));
            return None;
        }
        Some(twin)
    }

    /// A shard that was just committed is what its changelog says.
    pub(super) fn compare_with_changelog(&self, partition: u32, shard: &Shard) {
        self.kafka.borrow_mut().settle();
        let place = (self.topics.signals, partition);
        let committed = self.kafka.borrow().track.offsets.get(&place).map(|(offset, _)| *offset);
        // Its owner was stopped right after the commit, and meanwhile another one has gone on.
        if committed > shard.next_offset() {
            return;
        }
        let Some(twin) = self.restored(partition, shard) else { return };
        let facts = |shard: &Shard| {
            let stats = shard.stats();
            let sent: Vec<Vec<u64>> = stats.policies.iter().map(|policy| policy.sent.clone()).collect();
            (stats.customers, stats.forgotten, stats.unacknowledged, sent, shard.brakes().clone())
        };
        let (live, restored) = (facts(shard), facts(&twin));
        if live != restored {
            let what = format!("shard {partition} restores to {restored:?} instead of {live:?}");
            self.oracle.borrow_mut().violation.get_or_insert(what);
        }
    }

    /// Every shard goes on from its changelog exactly as it would have.
    fn compare_all_with_changelog(&self) {
        for pod in self.pods.borrow_mut().iter_mut() {
            let Some(process) = pod.process.take() else { continue };
            for mut shard in process.owner.into_shards() {
                let partition = shard.home().partition;
                let Some(mut twin) = self.restored(partition, &shard) else { return };
                let (live, restored) = (self.go_on(&mut shard), self.go_on(&mut twin));
                if live != restored {
                    let differ = live.iter().find(|(key, value)| restored.get(*key) != Some(value));
                    let differ = differ.map(|(key, _)| String::from_utf8_lossy(key).into_owned());
                    let what = format!("shard {partition} restores to another state ({differ:?})");
                    self.oracle.borrow_mut().violation.get_or_insert(what);
                }
            }
        }
    }

    /// Everybody is seen once more: what that writes is the whole state of each.
    fn go_on(&self, shard: &mut Shard) -> BTreeMap<Vec<u8>, Option<Vec<u8>>> {
        let now = self.now_ms() / 1000 + 60;
        let mut value = Vec::new();
        wire::signal::encode_activity(shard.config().rules.kinds[0].tag, Timestamp(now), &mut value);
        shard.begin();
        for customer in 0..self.plan.customers {
            let key = name(customer);
            if wire::partition::shard_of(key.as_bytes(), SHARDS) == shard.home().partition {
                let (key, value) = (Some(key.as_bytes()), Some(value.as_slice()));
                shard.apply(Input { offset: i64::MAX / 2, append_ms: now * 1000, key, value });
            }
        }
        let mut outputs = Outputs::default();
        let _ = shard.decide(now * 1000, 10_000, &mut outputs);
        outputs.clear();
        shard.changelog(&mut outputs);
        let changed = outputs.changelog().map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec)));
        let changed = changed.filter(|(key, _)| key.first() != Some(&0)).collect();
        shard.abort();
        changed
    }
}

/// What has happened of what comes once.
#[derive(Default)]
struct Marks {
    partition_added: bool,
    gap: bool,
    stopped: bool,
    released: bool,
    bad_clock: bool,
}
