//! What the owner of an instance's shards asks of Kafka, answered by the brokers in memory, and struck by
//! faults between any two steps.

use super::World;
use super::group::Told;
use super::kafka::{Entry, Isolation, Place, Refused, TRANSACTION_TIMEOUT_MS, Topic, Transaction};
use crate::config::Config;
use crate::plant::{Plant, is_planted};
use crate::track::owner::{Broker, Ending, Event, News, NotNow};
use crate::track::shard::Input;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

/// Why a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    Killed,
    /// Another has its transactional id or its place in the group, or its transaction timed out.
    Fenced,
    /// A record could not be delivered.
    Undelivered,
}

/// A restore under way: as [`crate::kafka::restore::Restorer`] does it.
#[derive(Clone, Copy, Debug)]
struct Restoring {
    end: i64,
    position: i64,
}

#[derive(Clone, Copy, Debug)]
struct Assigned {
    position: i64,
    paused: bool,
}

/// The clients of one process' shards.
#[derive(Debug)]
pub struct Clients {
    member: u64,
    generation: u64,
    epoch: u64,
    transaction: Option<Transaction>,
    assigned: BTreeMap<u32, Assigned>,
    restoring: BTreeMap<u32, Restoring>,
    events: Vec<Event>,
}

impl Clients {
    pub fn new(world: &World, pod: &str) -> Clients {
        let mut kafka = world.kafka.borrow_mut();
        let epoch = kafka.init(pod);
        let member = kafka.track.join(pod, &[world.topics.signals], world.now_ms());
        Clients {
            member,
            generation: kafka.track.generation(),
            epoch,
            transaction: None,
            assigned: BTreeMap::new(),
            restoring: BTreeMap::new(),
            events: Vec::new(),
        }
    }

    /// What the client's own thread does while the process is not stopped. `false`: its place is another's.
    pub fn heartbeat(&mut self, world: &World, pod: &str) -> bool {
        let mut kafka = world.kafka.borrow_mut();
        if kafka.track.is_fenced(pod, self.member) {
            return false;
        }
        if !kafka.track.has(pod, self.member) {
            // It was put out: what it read is lost, and it joins anew.
            let lost: Vec<u32> = std::mem::take(&mut self.assigned).into_keys().collect();
            if !lost.is_empty() {
                self.events.push(Event::Revoked(lost));
            }
            self.member = kafka.track.join(pod, &[world.topics.signals], world.now_ms());
        }
        kafka.track.heartbeat(pod, self.member, world.now_ms());
        let topics = |topic: Topic, kafka: &super::kafka::Kafka| kafka.partitions(topic);
        let counts: Vec<u32> = vec![topics(world.topics.signals, &kafka)];
        kafka.track.pass(world.now_ms(), |_| counts[0]);
        self.generation = kafka.track.generation();
        true
    }

    pub fn leave(&self, world: &World, pod: &str) {
        world.kafka.borrow_mut().track.leave(pod, self.member);
    }
}

/// Lends a process' owner of shards its clients, for a turn.
pub struct Lent<'w> {
    pub world: &'w World,
    pub pod: &'w str,
    pub clock_ms: i64,
    pub clients: &'w RefCell<Clients>,
    /// A transaction was committed in this turn, so nobody else had taken over before.
    pub has_committed: Cell<bool>,
}

impl Lent<'_> {
    fn place(&self, partition: u32) -> Place {
        (self.world.topics.signals, partition)
    }

    fn state(&self, partition: u32) -> Place {
        (self.world.topics.state, partition)
    }

    fn heartbeat(&self) -> bool {
        self.clients.borrow_mut().heartbeat(self.world, self.pod)
    }

    /// Something may happen here.
    fn step(&self, name: &str) -> Result<(), Death> {
        self.world.strike(self.pod, name)
    }

    /// Serves the rebalance callbacks, as a poll does.
    fn serve(&self) {
        let mut clients = self.clients.borrow_mut();
        let told = self.world.kafka.borrow_mut().track.tell(self.pod, clients.member);
        for told in told {
            let numbers = |places: &[Place]| places.iter().map(|(_, partition)| *partition).collect::<Vec<u32>>();
            match told {
                Told::Assigned(places) => clients.events.push(Event::Assigned(numbers(&places))),
                Told::Revoked(places) => {
                    let partitions = numbers(&places);
                    partitions.iter().for_each(|partition| _ = clients.assigned.remove(partition));
                    clients.events.push(Event::Revoked(partitions));
                }
            }
        }
    }

    fn transaction(&self) -> Result<(u64, Transaction), Death> {
        let mut clients = self.clients.borrow_mut();
        if clients.transaction.is_none() {
            let expires_ms = self.world.now_ms() + TRANSACTION_TIMEOUT_MS;
            let begun = self.world.kafka.borrow_mut().begin(self.pod, clients.epoch, expires_ms);
            clients.transaction = Some(begun.map_err(|_| Death::Fenced)?);
        }
        Ok((clients.epoch, clients.transaction.unwrap_or_default()))
    }

    fn produce(&self, place: Place, key: &[u8], value: Option<&[u8]>) -> Result<(), Ending<Death>> {
        self.step("produce").map_err(Ending::Fatal)?;
        if self.clients.borrow().transaction.is_none() {
            // Nothing can time out yet, so a process that is stopped here goes on as if nothing had been.
            self.step("first produce").map_err(Ending::Fatal)?;
            self.step("first produce").map_err(Ending::Fatal)?;
        }
        let (epoch, transaction) = self.transaction().map_err(Ending::Fatal)?;
        if self.world.fails(self.world.plan.faults.abort / 4) {
            return Err(self.abort("a record was refused"));
        }
        let now_ms = self.world.append_ms();
        let produced = self.world.kafka.borrow_mut().produce((self.pod, epoch, transaction), place, key, value, now_ms);
        produced.map_err(|_| Ending::Fatal(Death::Fenced))
    }

    fn abort(&self, reason: &str) -> Ending<Death> {
        let mut clients = self.clients.borrow_mut();
        let Some(transaction) = clients.transaction.take() else { return Ending::Aborted(reason.to_owned()) };
        let ended = self.world.kafka.borrow_mut().end_transaction((self.pod, clients.epoch, transaction), false);
        match ended {
            Ok(()) => Ending::Aborted(reason.to_owned()),
            Err(_) => Ending::Fatal(Death::Fenced),
        }
    }

    /// A new producer with the same id.
    fn renew(&self) {
        let mut clients = self.clients.borrow_mut();
        clients.transaction = None;
        clients.epoch = self.world.kafka.borrow_mut().init(self.pod);
    }

    /// How the request to commit, and its answer, fare.
    fn end(&self, epoch: u64, transaction: Transaction) -> Result<(), Ending<Death>> {
        let world = self.world;
        let commit = || world.kafka.borrow_mut().end_transaction((self.pod, epoch, transaction), true);
        if world.fails(world.plan.faults.lost_answer) {
            let arrives = world.chance(500);
            world.trace(|| {
                format!(
                    "{}: the answer to a commit is lost; it {}",
                    self.pod,
                    if arrives { "was committed" } else { "was not" }
                )
            });
            if arrives {
                let _ = commit();
            }
            world.meanwhile(self.pod, 20_000);
            self.renew();
            return Err(Ending::Unknown("no answer".to_owned()));
        }
        if world.fails(world.plan.faults.crash) {
            world.trace(|| format!("{}: killed with a commit in flight", self.pod));
            world.late_commit(self.pod, epoch, transaction);
            return Err(Ending::Fatal(Death::Killed));
        }
        commit().map_err(|_| Ending::Fatal(Death::Fenced))
    }
}

impl Broker for Lent<'_> {
    /// Member and generation.
    type Membership = (u64, u64);
    type Batch<'b>
        = Vec<(u32, Entry)>
    where
        Self: 'b;
    type Error = Death;

    fn wall_ms(&self) -> i64 {
        self.world.now_ms() + self.clock_ms
    }

    fn elapsed_ms(&self) -> i64 {
        self.world.now_ms()
    }

    fn tell(&self, news: News<'_>, _config: &Config) {
        match news {
            News::Opening(partitions) => self.world.trace(|| format!("{}: restores {partitions:?}", self.pod)),
            News::Restored { partition, offset } => {
                self.world.trace(|| format!("{}: shard {partition} runs from offset {offset}", self.pod));
            }
            News::Closed(partition) => self.world.trace(|| format!("{}: lets go of shard {partition}", self.pod)),
            News::Aborted(reason) => self.world.trace(|| format!("{}: transaction aborted: {reason}", self.pod)),
            News::Unknown(reason) => self.world.trace(|| format!("{}: outcome unknown: {reason}", self.pod)),
            News::Decided { customer, command } => {
                self.world.trace(|| {
                    let at = command.since.at.0;
                    format!("{}: decides {customer} {} {} since {at}", self.pod, command.policy, command.verb.name())
                });
                let now_ms = self.world.now_ms();
                self.world.oracle.borrow_mut().note_decided(command.id.to_string(), command.attempt, now_ms);
            }
            News::Committed { .. } => self.has_committed.set(true),
            News::Believed { partition, shard, .. } if self.has_committed.get() => {
                self.world.believed(partition, shard);
            }
            _ => {}
        }
    }

    fn membership(&self) -> Option<(u64, u64)> {
        self.heartbeat();
        let clients = self.clients.borrow();
        Some((clients.member, clients.generation))
    }

    fn take_events(&mut self) -> Result<Vec<Event>, Death> {
        Ok(std::mem::take(&mut self.clients.borrow_mut().events))
    }

    fn has_events(&self) -> bool {
        !self.clients.borrow().events.is_empty()
    }

    fn collect(&self, _at_once: bool) -> Result<Vec<(u32, Entry)>, Death> {
        if !self.heartbeat() {
            return Err(Death::Fenced);
        }
        let partitions: Vec<u32> = self.clients.borrow().assigned.keys().copied().collect();
        let mut batch = Vec::new();
        for partition in partitions {
            let Some(assigned) = self.clients.borrow().assigned.get(&partition).copied() else { continue };
            if assigned.paused || self.world.is_starved(partition) {
                continue;
            }
            let count = self.world.batch();
            let (records, position) = self.world.kafka.borrow().read(self.place(partition), assigned.position, count);
            batch.extend(records.into_iter().map(|record| (partition, record)));
            if let Some(assigned) = self.clients.borrow_mut().assigned.get_mut(&partition) {
                assigned.position = position;
            }
        }
        self.step("collect")?;
        if !self.heartbeat() {
            return Err(Death::Fenced);
        }
        self.serve();
        Ok(batch)
    }

    fn records<'r, 'b: 'r>(batch: &'r Vec<(u32, Entry)>) -> impl Iterator<Item = (u32, Input<'r>)>
    where
        Self: 'b,
    {
        batch.iter().map(|(partition, entry)| {
            let (key, value) = (entry.key.as_deref(), entry.value.as_deref());
            (*partition, Input { offset: entry.offset, append_ms: entry.timestamp_ms, key, value })
        })
    }

    fn assign(&mut self, offsets: &[(u32, i64)]) -> Result<bool, Death> {
        let mut clients = self.clients.borrow_mut();
        let lost =
            |event: &Event| matches!(event, Event::Revoked(lost) if offsets.iter().any(|(p, _)| lost.contains(p)));
        if clients.events.iter().any(lost) {
            return Ok(false);
        }
        for (partition, position) in offsets {
            clients.assigned.insert(*partition, Assigned { position: *position, paused: true });
        }
        Ok(true)
    }

    fn seek(&mut self, partition: u32, offset: i64) -> Result<(), Death> {
        if let Some(assigned) = self.clients.borrow_mut().assigned.get_mut(&partition) {
            assigned.position = offset;
        }
        Ok(())
    }

    fn pause(&mut self, partition: u32) -> Result<(), Death> {
        if let Some(assigned) = self.clients.borrow_mut().assigned.get_mut(&partition) {
            assigned.paused = true;
        }
        Ok(())
    }

    fn resume(&mut self, partition: u32) -> Result<(), Death> {
        if let Some(assigned) = self.clients.borrow_mut().assigned.get_mut(&partition) {
            assigned.paused = false;
        }
        Ok(())
    }

    fn committed(&mut self, partitions: &[u32]) -> Result<BTreeMap<u32, Option<i64>>, NotNow> {
        let kafka = self.world.kafka.borrow();
        if partitions.iter().any(|partition| kafka.has_pending_offset(self.place(*partition))) {
            return Err(NotNow("a transaction is pending".to_owned()));
        }
        let offset = |partition: u32| kafka.track.offsets.get(&self.place(partition)).map(|(offset, _)| *offset);
        Ok(partitions.iter().map(|partition| (*partition, offset(*partition))).collect())
    }

    fn signals_start(&mut self, partition: u32) -> Result<i64, NotNow> {
        Ok(self.world.kafka.borrow().start(self.place(partition)))
    }

    fn state_ends(&mut self, partition: u32) -> Result<(i64, i64), NotNow> {
        let kafka = self.world.kafka.borrow();
        let state = self.state(partition);
        Ok((kafka.start(state), kafka.end(state, Isolation::Uncommitted)))
    }

    fn begin_restore(&mut self, partition: u32, start: i64, end: i64) -> Result<(), NotNow> {
        self.clients.borrow_mut().restoring.insert(partition, Restoring { end, position: start });
        Ok(())
    }

    fn cancel_restore(&mut self, partition: u32) {
        self.clients.borrow_mut().restoring.remove(&partition);
    }

    fn restoring(&self) -> Vec<u32> {
        self.clients.borrow().restoring.keys().copied().collect()
    }

    fn step_restore(&mut self, mut each: impl FnMut(u32, &[u8], Option<&[u8]>)) -> Result<Vec<u32>, NotNow> {
        if self.world.fails(self.world.plan.faults.abort / 2) {
            return Err(NotNow("a broker could not be reached".to_owned()));
        }
        let mut done = Vec::new();
        for (partition, restoring) in &mut self.clients.borrow_mut().restoring {
            let count = self.world.batch().saturating_mul(4).saturating_add(1);
            let kafka = self.world.kafka.borrow();
            let (records, position) = kafka.read(self.state(*partition), restoring.position, count);
            let at_eof = position == kafka.end(self.state(*partition), Isolation::Committed);
            restoring.position = position;
            for record in &records {
                each(*partition, record.key.as_deref().unwrap_or_default(), record.value.as_deref());
            }
            if position >= restoring.end || (at_eof && is_planted(Plant::TrustEof)) {
                done.push(*partition);
            }
        }
        done.iter().for_each(|partition| self.cancel_restore(*partition));
        Ok(done)
    }

    fn wait(&mut self, _reason: &str) -> Result<(), Death> {
        self.step("wait")?;
        self.world.meanwhile(self.pod, 2_000);
        if self.heartbeat() { Ok(()) } else { Err(Death::Fenced) }
    }

    fn produce_command(&mut self, topic: &str, customer: &str, value: &[u8]) -> Result<(), Ending<Death>> {
        let topic = self.world.kafka.borrow().topic(topic).unwrap_or(self.world.topics.crm);
        self.produce((topic, 0), customer.as_bytes(), Some(value))
    }

    fn produce_state<'r>(
        &mut self,
        partition: u32,
        mut records: impl Iterator<Item = (&'r [u8], Option<&'r [u8]>)>,
    ) -> Result<(), Ending<Death>> {
        let state = self.state(partition);
        records.try_for_each(|(key, value)| self.produce(state, key, value))
    }

    fn produce_audit(&mut self, _key: &[u8], _value: &[u8]) -> Result<(), Ending<Death>> {
        // Nobody here reads it; that it is in the transaction is what matters.
        Ok(())
    }

    fn commit(&mut self, positions: &[(u32, i64)], membership: &(u64, u64)) -> Result<(), Ending<Death>> {
        self.step("send offsets").map_err(Ending::Fatal)?;
        let (epoch, transaction) = self.transaction().map_err(Ending::Fatal)?;
        if !positions.is_empty() {
            let offsets: Vec<(Place, i64)> =
                positions.iter().map(|(partition, offset)| (self.place(*partition), *offset)).collect();
            let producer = (self.pod, epoch, transaction);
            let sent = self.world.kafka.borrow_mut().send_offsets(producer, &offsets, Some(*membership));
            match sent {
                Ok(()) => {}
                Err(Refused::StaleMembership) => return Err(self.abort("the membership is over")),
                Err(Refused::Fenced) => return Err(Ending::Fatal(Death::Fenced)),
            }
        }
        self.step("commit").map_err(Ending::Fatal)?;
        if self.world.fails(self.world.plan.faults.abort) {
            return Err(self.abort("the coordinator said so"));
        }
        self.end(epoch, transaction)?;
        self.clients.borrow_mut().transaction = None;
        self.world.kafka.borrow_mut().mark(transaction, &mut self.world.random.borrow_mut());
        self.step("committed").map_err(Ending::Fatal)
    }
}
