//! The real ingest on brokers in memory: what [`crate::ingest::worker`] does around an
//! [`Instance`], in the same order, with faults between the steps.

use super::World;
use super::group::Told;
use super::kafka::{Isolation, Place};
use super::shards::Death;
use crate::config::Config;
use crate::ingest::extract::{NoHeaders, RecordView};
use crate::ingest::facts::{Committed, Look};
use crate::ingest::instance::{Commit, Instance, Sink};
use crate::ingest::sight::seen;
use crate::plant::{Plant, is_planted};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// How much of what has been forwarded is remembered, in bytes.
const CACHE_BYTES: usize = 1 << 14;

/// What waits in the producer's queue, or is on its way.
#[derive(Debug)]
struct Produced {
    key: Option<Vec<u8>>,
    value: Vec<u8>,
    /// Not progress.
    is_signal: bool,
}

/// The producer: what was handed to it, and what arrived.
#[derive(Debug, Default)]
struct Outlet {
    signals: BTreeMap<u32, VecDeque<Produced>>,
    rejects: u64,
    /// By shard: appended, and told to the instance.
    arrived: BTreeMap<u32, u64>,
}

impl Sink for Outlet {
    fn signal(&mut self, shard: u32, customer: &str, value: &[u8]) {
        self.push(shard, Some(customer.as_bytes().to_vec()), value, true);
    }

    fn sightings(&mut self, shard: u32, value: &[u8]) {
        self.push(shard, None, value, true);
    }

    fn reject(&mut self, _value: &[u8]) {
        self.rejects += 1;
    }

    fn progress(&mut self, shard: u32, value: &[u8]) {
        self.push(shard, None, value, false);
    }
}

impl Outlet {
    fn push(&mut self, shard: u32, key: Option<Vec<u8>>, value: &[u8], is_signal: bool) {
        self.signals.entry(shard).or_default().push_back(Produced { key, value: value.to_vec(), is_signal });
    }
}

/// One process' ingest.
pub struct Reader {
    instance: Instance,
    outlet: Outlet,
    member: u64,
    generation: u64,
    positions: BTreeMap<Place, i64>,
    /// Assigned by the group, not begun yet.
    waiting: Vec<Place>,
    reading: bool,
    wanted: Vec<String>,
    /// A commit whose answer is not there yet.
    committing: Option<Vec<Commit>>,
}

impl Reader {
    pub fn new(world: &World, pod: &str, config: &Arc<Config>) -> Reader {
        let mut kafka = world.kafka.borrow_mut();
        let member = kafka.ingest.join(pod, &[], world.now_ms());
        Reader {
            instance: new_instance(world, config),
            outlet: Outlet::default(),
            member,
            generation: kafka.ingest.generation(),
            positions: BTreeMap::new(),
            waiting: Vec::new(),
            reading: false,
            wanted: Vec::new(),
            committing: None,
        }
    }

    pub fn heartbeat(&mut self, world: &World, pod: &str) -> bool {
        let mut kafka = world.kafka.borrow_mut();
        if kafka.ingest.is_fenced(pod, self.member) {
            return false;
        }
        if !kafka.ingest.has(pod, self.member) {
            for ((topic, partition), _) in std::mem::take(&mut self.positions) {
                self.instance.revoke(kafka.name(topic), partition);
            }
            self.waiting.clear();
            let topics: Vec<_> = self.wanted.iter().filter_map(|name| kafka.topic(name)).collect();
            self.member = kafka.ingest.join(pod, &topics, world.now_ms());
        }
        let now_ms = world.now_ms();
        kafka.ingest.heartbeat(pod, self.member, now_ms);
        let counts: Vec<u32> =
            (0..kafka.topics().count()).map(|place| kafka.partitions(super::kafka::Topic(place))).collect();
        kafka.ingest.pass(now_ms, |topic| counts[topic.0]);
        self.generation = kafka.ingest.generation();
        true
    }

    pub fn leave(&self, world: &World, pod: &str) {
        world.kafka.borrow_mut().ingest.leave(pod, self.member);
    }

    /// One turn of the loop.
    ///
    /// # Errors
    /// Whatever ends the process.
    pub fn turn(&mut self, world: &World, pod: &str, clock_ms: i64) -> Result<(), Death> {
        let wall = || world.now_ms() + clock_ms;
        if !self.heartbeat(world, pod) {
            return Err(Death::Fenced);
        }
        self.look(world, pod, &wall);
        self.take_events(world, pod, &wall);
        world.strike(pod, "read")?;
        // What the lookout heard may be told before anything more is fetched.
        if !world.fails(250) {
            self.read(world, &wall);
        }
        self.deliver(world, pod, &wall)?;
        self.instance.turn();
        self.tend(world, pod, &wall)?;
        self.deliver(world, pod, &wall)?;
        self.begin_waiting(world, &wall);
        Ok(())
    }

    /// The lookout, asking and being told; what it asks first is for nobody to rely on.
    fn look(&mut self, world: &World, pod: &str, wall: &impl Fn() -> i64) {
        if world.chance(150) {
            return;
        }
        let topics_first = world.chance(500);
        if topics_first {
            self.look_for_topics(world, pod, wall);
        }
        self.look_for_ends(world, pod, wall);
        if !topics_first {
            self.look_for_topics(world, pod, wall);
        }
    }

    fn look_for_topics(&mut self, world: &World, pod: &str, wall: &impl Fn() -> i64) {
        let (at, topics) = seen(wall, || {
            world.idle(pod);
            let kafka = world.kafka.borrow();
            let topics: Vec<(String, u32)> = kafka.topics().map(|(name, count)| (name.to_owned(), count)).collect();
            drop(kafka);
            world.idle(pod);
            topics
        });
        let mut wanted = self.instance.topics(at, topics.iter().map(|(name, count)| (name.as_str(), *count)));
        wanted.sort();
        if wanted != self.wanted {
            let mut kafka = world.kafka.borrow_mut();
            let topics: Vec<_> = wanted.iter().filter_map(|name| kafka.topic(name)).collect();
            kafka.ingest.subscribe(pod, &topics);
            self.wanted = wanted;
        }
    }

    fn look_for_ends(&mut self, world: &World, pod: &str, wall: &impl Fn() -> i64) {
        let watched: Vec<Place> = self.positions.keys().copied().collect();
        let isolation = if is_planted(Plant::EndReadCommitted) { Isolation::Committed } else { Isolation::Uncommitted };
        let (at, ends) = seen(wall, || {
            world.idle(pod);
            let ends: Vec<i64> = watched.iter().map(|place| world.kafka.borrow().end(*place, isolation)).collect();
            world.idle(pod);
            ends
        });
        // A sight waits in a queue until the loop has time for it.
        if world.chance(200) {
            self.read(world, wall);
        }
        for (place, end) in watched.into_iter().zip(ends) {
            let slot = self.instance.slot(world.kafka.borrow().name(place.0), place.1);
            if let Some(slot) = slot {
                self.instance.watermark(slot, at, end);
            }
        }
    }

    fn take_events(&mut self, world: &World, pod: &str, wall: &impl Fn() -> i64) {
        let told = world.kafka.borrow_mut().ingest.tell(pod, self.member);
        for told in told {
            match told {
                Told::Assigned(places) => self.begin(world, &places, wall),
                Told::Revoked(places) => {
                    for place in places {
                        self.positions.remove(&place);
                        self.waiting.retain(|waiting| *waiting != place);
                        self.instance.revoke(world.kafka.borrow().name(place.0), place.1);
                    }
                }
            }
        }
    }

    fn begin_waiting(&mut self, world: &World, wall: &impl Fn() -> i64) {
        let waiting = std::mem::take(&mut self.waiting);
        if !waiting.is_empty() {
            self.begin(world, &waiting, wall);
        }
    }

    fn begin(&mut self, world: &World, places: &[Place], wall: &impl Fn() -> i64) {
        let names: Vec<(String, u32)> =
            places.iter().map(|place| (world.kafka.borrow().name(place.0).to_owned(), place.1)).collect();
        let has_elder = |topic: &str| {
            let kafka = world.kafka.borrow();
            let mut elders = self.instance.elders(topic).into_iter();
            elders.any(|(topic, partition)| {
                kafka.topic(topic).is_some_and(|topic| kafka.ingest.offsets.contains_key(&(topic, partition)))
            })
        };
        let joining: Vec<bool> = names.iter().map(|(topic, _)| has_elder(topic)).collect();
        let committed: Vec<Option<(i64, String)>> =
            places.iter().map(|place| world.kafka.borrow().ingest.offsets.get(place).cloned()).collect();
        for (place, ((name, joins_later), committed)) in places.iter().zip(names.iter().zip(joining).zip(committed)) {
            if world.chance(50) {
                // A leader didn't answer.
                self.waiting.push(*place);
                continue;
            }
            let (at, (log_start, log_end)) = seen(wall, || {
                let kafka = world.kafka.borrow();
                (kafka.start(*place), kafka.end(*place, Isolation::Uncommitted))
            });
            let committed = committed.as_ref().map(|(offset, metadata)| Committed { offset: *offset, metadata });
            let look = Look { at, topic: None, log_start, log_end };
            let assigned = self.instance.assign((&name.0, name.1), committed, look, joins_later, wall());
            let Some((slot, offset, start)) = assigned else { continue };
            self.instance.watermark(slot, at, log_end);
            world.trace(|| format!("ingest: {}[{}] begins at {offset}: {start:?}", name.0, name.1));
            self.positions.insert(*place, offset);
        }
    }

    fn read(&mut self, world: &World, wall: &impl Fn() -> i64) {
        if !self.reading {
            return;
        }
        let now_ms = wall();
        let places: Vec<Place> = self.positions.keys().copied().collect();
        let mut lost = Vec::new();
        for place in places {
            // What a broker has, the client need not have fetched yet.
            if world.fails(world.plan.unfetched) {
                continue;
            }
            let Some(position) = self.positions.get_mut(&place) else { continue };
            let kafka = world.kafka.borrow();
            if *position < kafka.start(place) {
                lost.push(place);
                continue;
            }
            let Some(slot) = self.instance.slot(kafka.name(place.0), place.1) else { continue };
            let count = world.batch();
            let (records, next) = kafka.read(place, *position, count);
            for record in records {
                let view = RecordView {
                    timestamp_ms: Some(record.timestamp_ms),
                    key: record.key.as_deref(),
                    payload: record.value.as_deref(),
                    headers: &NoHeaders,
                };
                self.instance.record_of_many(slot, record.offset, view, now_ms, &mut self.outlet);
            }
            *position = next;
        }
        self.instance.catch_up(&mut self.outlet);
        if !lost.is_empty() {
            // Records are gone before they were read: these begin anew, with a gap.
            for place in &lost {
                self.positions.remove(place);
                self.instance.revoke(world.kafka.borrow().name(place.0), place.1);
            }
            self.begin(world, &lost, wall);
        }
    }

    /// The brokers append some of what is in flight; some answers get through.
    fn deliver(&mut self, world: &World, pod: &str, wall: &impl Fn() -> i64) -> Result<(), Death> {
        world.strike(pod, "deliver")?;
        for (shard, queue) in &mut self.outlet.signals {
            let count = if world.chance(800) { queue.len() } else { world.below(1 + queue.len()) };
            let mut skew_ms = None;
            for produced in queue.drain(..count) {
                let append_ms = world.append_ms();
                let place = (world.topics.signals, *shard);
                let value = Some(produced.value.as_slice());
                world.kafka.borrow_mut().append(place, produced.key.as_deref(), value, (append_ms, append_ms));
                if produced.is_signal {
                    *self.outlet.arrived.entry(*shard).or_default() += 1;
                } else {
                    skew_ms = Some(append_ms);
                }
            }
            // Answers may still be under way.
            if world.chance(850) {
                self.instance.acked(*shard, self.outlet.arrived.get(shard).copied().unwrap_or_default());
            }
            if let Some(append_ms) = skew_ms {
                self.instance.clock(*shard, append_ms, wall());
            }
        }
        self.instance.rejects_acked(self.outlet.rejects);
        if world.fails(world.plan.faults.crash / 2) {
            world.trace(|| format!("{pod}: a record could not be delivered"));
            return Err(Death::Undelivered);
        }
        Ok(())
    }

    /// Positions, commits, progress, the clock.
    fn tend(&mut self, world: &World, pod: &str, wall: &impl Fn() -> i64) -> Result<(), Death> {
        for (place, position) in &self.positions {
            if let Some(slot) = self.instance.slot(world.kafka.borrow().name(place.0), place.1) {
                self.instance.position(slot, *position);
            }
        }
        self.instance.turn();
        self.commit(world, pod, wall)?;
        self.instance.progress(wall(), &mut self.outlet);
        self.reading = self.instance.may_read();
        Ok(())
    }

    fn commit(&mut self, world: &World, pod: &str, wall: &impl Fn() -> i64) -> Result<(), Death> {
        if let Some(commits) = self.committing.take() {
            self.instance.committed(&commits);
        }
        let commits = self.instance.commits(wall());
        if commits.is_empty() || world.fails(world.plan.faults.abort) {
            return Ok(());
        }
        world.strike(pod, "commit source offsets")?;
        let offsets = commits.iter().filter_map(|commit| {
            let topic = world.kafka.borrow().topic(&commit.topic)?;
            Some(((topic, commit.partition), commit.offset, commit.metadata.clone()))
        });
        let offsets = offsets.collect();
        let arrived = world.kafka.borrow_mut().ingest.commit((self.member, self.generation), offsets);
        // Of one whose answer is lost nothing is known.
        if arrived && !world.fails(world.plan.faults.lost_answer) {
            self.committing = Some(commits);
        }
        Ok(())
    }

    /// Takes over a new configuration: everything in flight first, then all partitions anew.
    ///
    /// # Errors
    /// Whatever ends the process.
    pub fn reconfigure(&mut self, world: &World, pod: &str, config: &Arc<Config>, clock_ms: i64) -> Result<(), Death> {
        let wall = || world.now_ms() + clock_ms;
        while self.outlet.signals.values().any(|queue| !queue.is_empty()) {
            self.deliver(world, pod, &wall)?;
        }
        for (shard, arrived) in &self.outlet.arrived {
            self.instance.acked(*shard, *arrived);
        }
        self.instance.turn();
        self.instance.turn();
        self.commit(world, pod, &wall)?;
        let places: Vec<Place> = std::mem::take(&mut self.positions).into_keys().collect();
        self.instance = new_instance(world, config);
        self.outlet = Outlet::default();
        self.committing = None;
        self.reading = false;
        self.wanted.clear();
        self.begin(world, &places, &wall);
        Ok(())
    }
}

fn new_instance(world: &World, config: &Arc<Config>) -> Instance {
    let mut key = [0; 16];
    world.random.borrow_mut().fill(&mut key);
    Instance::new(config.clone(), CACHE_BYTES, key)
}
