//! The owner of an instance's shards: what happens at which step of a batch, a rebalance and a restore.
//!
//! It knows no Kafka: [`super::worker`] lends it rdkafka, the simulator a log of its own. So the order of
//! the steps on which exactly-once rests is the same code in both:
//!
//! * A batch ends at a rebalance: what was buffered is thrown away and read again, so that nothing of a
//!   revoked shard gets into a transaction.
//! * The group's metadata is read when a batch begins; the broker refuses the commit of a batch that a
//!   rebalance has overtaken.
//! * After an abort everything is undone and read again; after an unknown outcome the shards are dropped
//!   and restored.
//! * A restore asks for the committed offsets first, which waits for pending transactions, and only then
//!   for the end of the changelog, uncommitted records included.

use super::outputs::Outputs;
use super::shard::{Applied, Home, Input, More, RestoreError, Shard};
use crate::config::Config;
use crate::plant::{Plant, is_planted};
use crate::retention::calendar::Timestamp;
use crate::wire;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many customers that fall due are judged in one batch and shard.
const DUE_PER_BATCH: usize = 10_000;
/// How often offsets are committed when nothing else is, in milliseconds.
const OFFSETS_INTERVAL_MS: i64 = 5_000;

/// What a rebalance has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The group wants these read here; they are once [`Broker::assign`] was called.
    Assigned(Vec<u32>),
    /// These are read here no longer.
    Revoked(Vec<u32>),
}

/// What became of a transaction that did not plainly commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending<E> {
    /// Nothing of it will ever be seen.
    Aborted(String),
    /// It was committed or it was not, for good by now: its producer has been replaced.
    Unknown(String),
    /// The instance must end.
    Fatal(E),
}

/// Not now: the brokers could not be reached, or a transaction is still pending. And why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotNow(pub String);

/// Why the owner can't go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OwnerError<E> {
    #[error("{0}")]
    Broker(E),
    #[error("track cannot restore its state: {0}")]
    State(#[from] RestoreError),
    #[error("track cannot restore shard {0}: the beginning of its state partition is gone")]
    StateTruncated(u32),
}

/// What metrics, logs and whoever else looks on may want to know.
#[derive(Debug)]
pub enum News<'n> {
    /// A rebalance has been taken in.
    Joined,
    Opening(&'n [u32]),
    RestoreBeginsAnew(&'n str),
    /// By shard, after a step of restoring.
    Restoring,
    Restored {
        partition: u32,
        offset: i64,
    },
    /// The shard is here no longer.
    Closed(u32),
    /// What became of a record.
    Applied {
        partition: u32,
        applied: &'n Applied,
        value: Option<&'n [u8]>,
    },
    Decided {
        customer: &'n str,
        command: &'n crate::retention::command::Command,
    },
    /// A transaction was committed, so long after its first record.
    Committed {
        took_ms: i64,
    },
    /// A batch is believed; `is_through`: nobody is left who could be judged by now.
    Believed {
        partition: u32,
        shard: &'n Shard,
        is_through: bool,
    },
    Aborted(&'n str),
    Unknown(&'n str),
}

/// What the owner asks of Kafka. Partitions are those of `signals` and `state`.
pub trait Broker {
    /// The group's metadata as of a moment.
    type Membership;
    /// Records of several partitions, in each partition's order.
    type Batch<'b>
    where
        Self: 'b;
    /// Whatever must end the instance.
    type Error;

    /// The instance's clock, in milliseconds of Unix time; it may jump.
    fn wall_ms(&self) -> i64;
    /// Milliseconds since some moment; it doesn't jump.
    fn elapsed_ms(&self) -> i64;
    fn tell(&self, news: News<'_>, config: &Config);

    /// `None`: the instance is no member yet.
    fn membership(&self) -> Option<Self::Membership>;
    /// What rebalances have done since it was last asked.
    ///
    /// # Errors
    /// When one failed.
    fn take_events(&mut self) -> Result<Vec<Event>, Self::Error>;
    /// Whether there are events to take.
    fn has_events(&self) -> bool;

    /// Reads a bounded batch, which ends at a rebalance; without waiting for records if `at_once`.
    ///
    /// # Errors
    /// What doesn't pass by itself.
    fn collect(&self, at_once: bool) -> Result<Self::Batch<'_>, Self::Error>;
    /// The records of a batch with their partitions.
    fn records<'r, 'b: 'r>(batch: &'r Self::Batch<'b>) -> impl Iterator<Item = (u32, Input<'r>)>
    where
        Self: 'b;

    /// Has partitions of `signals` read from these offsets, paused; `false`: they were lost meanwhile.
    ///
    /// # Errors
    /// When they can't be paused.
    fn assign(&mut self, offsets: &[(u32, i64)]) -> Result<bool, Self::Error>;
    /// # Errors
    /// When it could not be done in time.
    fn seek(&mut self, partition: u32, offset: i64) -> Result<(), Self::Error>;
    /// # Errors
    /// When the partition isn't read here.
    fn pause(&mut self, partition: u32) -> Result<(), Self::Error>;
    /// # Errors
    /// When the partition isn't read here.
    fn resume(&mut self, partition: u32) -> Result<(), Self::Error>;

    /// The group's committed offsets, when no transaction over them is pending any more.
    ///
    /// # Errors
    /// When they can't be had now.
    fn committed(&mut self, partitions: &[u32]) -> Result<BTreeMap<u32, Option<i64>>, NotNow>;
    /// The oldest offset of `signals`.
    ///
    /// # Errors
    /// When it can't be had now.
    fn signals_start(&mut self, partition: u32) -> Result<i64, NotNow>;
    /// The oldest offset and the high watermark of `state`, uncommitted records included.
    ///
    /// # Errors
    /// When they can't be had now.
    fn state_ends(&mut self, partition: u32) -> Result<(i64, i64), NotNow>;
    /// Begins to read committed records of `state` from `start` until the position has reached `end`.
    ///
    /// # Errors
    /// When that can't be begun now.
    fn begin_restore(&mut self, partition: u32, start: i64, end: i64) -> Result<(), NotNow>;
    fn cancel_restore(&mut self, partition: u32);
    /// The partitions that are being restored.
    fn restoring(&self) -> Vec<u32>;
    /// Goes on for a moment; returns the partitions that are at their end.
    ///
    /// # Errors
    /// When it must begin anew.
    fn step_restore(&mut self, each: impl FnMut(u32, &[u8], Option<&[u8]>)) -> Result<Vec<u32>, NotNow>;
    /// A restore can't begin yet: waits for a moment.
    ///
    /// # Errors
    /// When there is nothing to wait for any more.
    fn wait(&mut self, reason: &str) -> Result<(), Self::Error>;

    /// Produces a command into the open transaction, which it begins if there is none; so do the next two.
    ///
    /// # Errors
    /// What became of the transaction.
    fn produce_command(&mut self, topic: &str, customer: &str, value: &[u8]) -> Result<(), Ending<Self::Error>>;
    /// # Errors
    /// What became of the transaction.
    fn produce_state<'r>(
        &mut self,
        partition: u32,
        records: impl Iterator<Item = (&'r [u8], Option<&'r [u8]>)>,
    ) -> Result<(), Ending<Self::Error>>;
    /// # Errors
    /// What became of the transaction.
    fn produce_audit(&mut self, key: &[u8], value: &[u8]) -> Result<(), Ending<Self::Error>>;
    /// Sends the offsets of `signals`, on behalf of that membership, and commits.
    ///
    /// # Errors
    /// What became of the transaction.
    fn commit(&mut self, positions: &[(u32, i64)], membership: &Self::Membership) -> Result<(), Ending<Self::Error>>;
}

struct Slot {
    shard: Shard,
    /// Where its input goes on after what is committed.
    committed: i64,
    /// The group has committed for it, or its input was trimmed: there must be state.
    has_history: bool,
    running: bool,
    /// There is more to decide, be it without input.
    waiting: bool,
    offsets_committed_ms: i64,
}

impl Slot {
    fn position(&self) -> i64 {
        self.shard.next_offset().unwrap_or(self.committed)
    }
}

/// The shards of one instance.
pub struct Owner {
    config: Arc<Config>,
    /// The cluster's id.
    cluster: String,
    slots: BTreeMap<u32, Slot>,
    outputs: Outputs,
}

type Outcome<B> = Result<(), OwnerError<<B as Broker>::Error>>;

impl Owner {
    pub fn new(config: Arc<Config>, cluster: String) -> Owner {
        Owner { config, cluster, slots: BTreeMap::new(), outputs: Outputs::default() }
    }

    /// The configuration in force.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// Of the shards it owns, be they still restored.
    pub fn partitions(&self) -> impl Iterator<Item = u32> {
        self.slots.keys().copied()
    }

    /// The shards that run.
    pub fn shards(&self) -> impl Iterator<Item = &Shard> {
        self.slots.values().filter(|slot| slot.running).map(|slot| &slot.shard)
    }

    /// A shard that runs.
    pub fn shard(&self, partition: u32) -> Option<&Shard> {
        self.slots.get(&partition).filter(|slot| slot.running).map(|slot| &slot.shard)
    }

    /// The shards that run, when nobody owns them any more.
    pub fn into_shards(self) -> impl Iterator<Item = Shard> {
        self.slots.into_values().filter(|slot| slot.running).map(|slot| slot.shard)
    }

    /// By running shard, where its input goes on after what is committed.
    pub fn committed(&self) -> impl Iterator<Item = (u32, i64)> {
        self.slots.iter().filter(|(_, slot)| slot.running).map(|(partition, slot)| (*partition, slot.committed))
    }

    /// Takes over a new configuration, between two turns.
    pub fn reconfigure(&mut self, config: Arc<Config>) {
        self.config = config;
        self.slots.values_mut().for_each(|slot| slot.shard.reconfigure(self.config.clone()));
    }

    /// Takes in what rebalances have done, goes on restoring, and runs one batch.
    ///
    /// # Errors
    /// Whatever must end the instance.
    pub fn turn<B: Broker>(&mut self, broker: &mut B) -> Outcome<B> {
        self.rebalance(broker)?;
        self.restore(broker)?;
        self.batch(broker)
    }

    fn rebalance<B: Broker>(&mut self, broker: &mut B) -> Outcome<B> {
        for event in broker.take_events().map_err(OwnerError::Broker)? {
            broker.tell(News::Joined, &self.config);
            match event {
                Event::Assigned(partitions) => {
                    self.open(broker, &partitions)?;
                    self.take_over(broker, &partitions)?;
                }
                Event::Revoked(_) if is_planted(Plant::KeepRevoked) => {}
                Event::Revoked(partitions) => partitions.iter().for_each(|&partition| self.close(broker, partition)),
            }
        }
        Ok(())
    }

    fn take_over<B: Broker>(&mut self, broker: &mut B, partitions: &[u32]) -> Outcome<B> {
        let offset = |partition: &u32| Some((*partition, self.slots.get(partition)?.committed));
        let offsets: Vec<(u32, i64)> = partitions.iter().filter_map(offset).collect();
        if !broker.assign(&offsets).map_err(OwnerError::Broker)? {
            partitions.iter().for_each(|&partition| self.close(broker, partition));
        }
        Ok(())
    }

    fn close<B: Broker>(&mut self, broker: &mut B, partition: u32) {
        self.slots.remove(&partition);
        broker.cancel_restore(partition);
        broker.tell(News::Closed(partition), &self.config);
    }

    fn open<B: Broker>(&mut self, broker: &mut B, partitions: &[u32]) -> Outcome<B> {
        broker.tell(News::Opening(partitions), &self.config);
        loop {
            match self.try_open(broker, partitions) {
                Err(Opening::NotNow(NotNow(reason))) => broker.wait(&reason).map_err(OwnerError::Broker)?,
                Err(Opening::Never(partition)) => return Err(OwnerError::StateTruncated(partition)),
                Ok(()) => return Ok(()),
            }
        }
    }

    fn try_open<B: Broker>(&mut self, broker: &mut B, partitions: &[u32]) -> Result<(), Opening> {
        let committed = broker.committed(partitions)?;
        for &partition in partitions {
            self.close(broker, partition);
            let offset = committed.get(&partition).copied().flatten();
            let signals_start = broker.signals_start(partition)?;
            let (start, end) = broker.state_ends(partition)?;
            let has_history = offset.is_some() || signals_start > 0;
            if has_history && start > 0 {
                return Err(Opening::Never(partition));
            }
            let home = Home { partition, partitions: self.config.topics.partitions, cluster: self.cluster.clone() };
            let slot = Slot {
                shard: Shard::new(home, self.config.clone()),
                // Offsets expire; what was committed past has been trimmed, and the rest merges again.
                committed: offset.unwrap_or(signals_start).max(signals_start),
                has_history,
                running: false,
                waiting: false,
                offsets_committed_ms: broker.elapsed_ms(),
            };
            self.slots.insert(partition, slot);
            broker.begin_restore(partition, start, end)?;
        }
        Ok(())
    }

    /// Goes on restoring for a moment; shards that are restored begin to run.
    fn restore<B: Broker>(&mut self, broker: &mut B) -> Outcome<B> {
        let restoring = broker.restoring();
        if restoring.is_empty() {
            return Ok(());
        }
        let mut broken = None;
        let slots = &mut self.slots;
        let stepped = broker.step_restore(|partition, key, value| {
            if let Some(slot) = slots.get_mut(&partition)
                && let Err(error) = slot.shard.restore(key, value)
            {
                broken.get_or_insert(error);
            }
        });
        if let Some(error) = broken {
            return Err(error.into());
        }
        broker.tell(News::Restoring, &self.config);
        match stepped {
            Ok(done) => done.into_iter().try_for_each(|partition| self.begin_running(broker, partition)),
            Err(NotNow(reason)) => {
                broker.tell(News::RestoreBeginsAnew(&reason), &self.config);
                self.open(broker, &restoring)
            }
        }
    }

    fn begin_running<B: Broker>(&mut self, broker: &mut B, partition: u32) -> Outcome<B> {
        let Some(slot) = self.slots.get_mut(&partition) else { return Ok(()) };
        slot.shard.finish_restore(slot.has_history)?;
        slot.shard.begin_no_later_than(Timestamp::from_millis_floor(broker.wall_ms()));
        slot.running = true;
        slot.waiting = true;
        let offset = slot.committed;
        broker.seek(partition, offset).map_err(OwnerError::Broker)?;
        broker.resume(partition).map_err(OwnerError::Broker)?;
        broker.tell(News::Restored { partition, offset }, &self.config);
        Ok(())
    }

    /// One batch: read, apply, decide, produce, commit.
    fn batch<B: Broker>(&mut self, broker: &mut B) -> Outcome<B> {
        let Some(membership) = broker.membership() else { return Ok(()) };
        let waiting = self.slots.values().any(|slot| slot.waiting);
        let batch = broker.collect(waiting).map_err(OwnerError::Broker)?;
        if broker.has_events() {
            // A rebalance: nothing of what was buffered may be used; what stays is read again.
            drop(batch);
            return self.rewind_all(broker);
        }
        let touched = self.apply(broker, &batch);
        drop(batch);
        self.decide(&touched, broker.wall_ms());
        self.finish(broker, &touched, &membership)
    }

    fn rewind_all<B: Broker>(&mut self, broker: &mut B) -> Outcome<B> {
        self.rebalance(broker)?;
        let running: Vec<u32> =
            self.slots.iter().filter(|(_, slot)| slot.running).map(|(partition, _)| *partition).collect();
        self.rewind(broker, &running)
    }

    /// Back to what each shard has taken in for good.
    fn rewind<B: Broker>(&mut self, broker: &mut B, partitions: &[u32]) -> Outcome<B> {
        for &partition in partitions {
            if let Some(slot) = self.slots.get(&partition) {
                broker.seek(partition, slot.position()).map_err(OwnerError::Broker)?;
            }
        }
        Ok(())
    }

    /// Hands the records to their shards; returns the shards that have something to do.
    fn apply<B: Broker>(&mut self, broker: &B, batch: &B::Batch<'_>) -> Vec<u32> {
        let mut touched: Vec<u32> =
            self.slots.iter().filter(|(_, slot)| slot.waiting).map(|(partition, _)| *partition).collect();
        self.slots.values_mut().filter(|slot| slot.waiting).for_each(|slot| slot.shard.begin());
        for (partition, input) in B::records(batch) {
            let Some(slot) = self.slots.get_mut(&partition).filter(|slot| slot.running) else { continue };
            // A record that was fetched before a seek and handed out after it.
            if slot.position() > input.offset {
                continue;
            }
            if !touched.contains(&partition) {
                touched.push(partition);
                slot.shard.begin();
            }
            let applied = slot.shard.apply(input);
            broker.tell(News::Applied { partition, applied: &applied, value: input.value }, &self.config);
        }
        touched
    }

    fn decide(&mut self, touched: &[u32], wall_ms: i64) {
        self.outputs.clear();
        for partition in touched {
            if let Some(slot) = self.slots.get_mut(partition) {
                slot.waiting = slot.shard.decide(wall_ms, DUE_PER_BATCH, &mut self.outputs) == More::Waiting;
            }
        }
    }

    fn finish<B: Broker>(&mut self, broker: &mut B, touched: &[u32], membership: &B::Membership) -> Outcome<B> {
        match self.produce_and_commit(broker, touched, membership) {
            Ok(()) => {
                for partition in touched {
                    if let Some(slot) = self.slots.get_mut(partition) {
                        slot.shard.commit();
                        broker.tell(
                            News::Believed { partition: *partition, shard: &slot.shard, is_through: !slot.waiting },
                            &self.config,
                        );
                    }
                }
                Ok(())
            }
            Err(Ending::Aborted(reason)) => {
                broker.tell(News::Aborted(&reason), &self.config);
                for partition in touched {
                    if let Some(slot) = self.slots.get_mut(partition) {
                        if is_planted(Plant::SkipUndo) {
                            slot.shard.commit()
                        } else {
                            slot.shard.abort()
                        }
                        slot.waiting = true;
                    }
                }
                self.rewind(broker, touched)
            }
            Err(Ending::Unknown(reason)) => {
                broker.tell(News::Unknown(&reason), &self.config);
                for &partition in touched {
                    broker.pause(partition).map_err(OwnerError::Broker)?;
                }
                self.open(broker, touched)
            }
            Err(Ending::Fatal(error)) => Err(OwnerError::Broker(error)),
        }
    }

    fn produce_and_commit<B: Broker>(
        &mut self,
        broker: &mut B,
        touched: &[u32],
        membership: &B::Membership,
    ) -> Result<(), Ending<B::Error>> {
        let begun_ms = broker.elapsed_ms();
        let mut changed = self.produce_commands(broker)?;
        for partition in touched {
            let Some(slot) = self.slots.get_mut(partition) else { continue };
            self.outputs.clear();
            slot.shard.changelog(&mut self.outputs);
            changed |= self.outputs.changelog().len() > 0;
            broker.produce_state(*partition, self.outputs.changelog())?;
            for (key, value) in self.outputs.audit() {
                changed = true;
                broker.produce_audit(key, value)?;
            }
        }
        let elapsed_ms = broker.elapsed_ms();
        let mut slots = touched.iter().filter_map(|partition| self.slots.get(partition));
        let offsets_due = slots.any(|slot| elapsed_ms - slot.offsets_committed_ms > OFFSETS_INTERVAL_MS);
        if !changed && !offsets_due {
            return Ok(());
        }
        for partition in touched {
            let Some(slot) = self.slots.get_mut(partition) else { continue };
            self.outputs.clear();
            slot.shard.write_clock(&mut self.outputs);
            broker.produce_state(*partition, self.outputs.changelog())?;
        }
        let position = |partition: &u32| Some((*partition, self.slots.get(partition)?.position()));
        let mut positions: Vec<(u32, i64)> = touched.iter().filter_map(position).collect();
        if is_planted(Plant::EmptyOffsets) {
            positions.clear();
        }
        match broker.membership().filter(|_| is_planted(Plant::MembershipAtSending)) {
            Some(membership) => broker.commit(&positions, &membership)?,
            None => broker.commit(&positions, membership)?,
        }
        for (partition, offset) in positions {
            if let Some(slot) = self.slots.get_mut(&partition) {
                (slot.committed, slot.offsets_committed_ms) = (offset, elapsed_ms);
            }
        }
        broker.tell(News::Committed { took_ms: broker.elapsed_ms() - begun_ms }, &self.config);
        Ok(())
    }

    fn produce_commands<B: Broker>(&mut self, broker: &mut B) -> Result<bool, Ending<B::Error>> {
        let rules = &self.config.rules;
        let mut value = Vec::new();
        for (customer, command) in self.outputs.commands() {
            value.clear();
            wire::command::encode(command, customer, rules, &mut value);
            broker.produce_command(&rules.target(command.target).topic, customer, &value)?;
            broker.tell(News::Decided { customer, command }, &self.config);
        }
        Ok(self.outputs.commands().len() > 0)
    }
}

/// Why a restore didn't begin.
enum Opening {
    NotNow(NotNow),
    /// The beginning of this shard's state is gone.
    Never(u32),
}

impl From<NotNow> for Opening {
    fn from(not_now: NotNow) -> Opening {
        Opening::NotNow(not_now)
    }
}
