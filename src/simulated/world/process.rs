//! One process: ingest and track of an instance, with their clients.

use super::World;
use super::reader::Reader;
use super::shards::{Clients, Death, Lent};
use crate::config::Config;
use crate::track::owner::{Owner, OwnerError};
use crate::track::shard::RestoreError;
use std::cell::{Cell, RefCell};
use std::sync::Arc;

/// Of the simulated brokers.
pub const CLUSTER: &str = "simulated";

/// Why a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Death(Death),
    /// Its state can't be restored, which must never be.
    State(String),
}

impl From<Death> for End {
    fn from(death: Death) -> End {
        End::Death(death)
    }
}

impl From<OwnerError<Death>> for End {
    fn from(error: OwnerError<Death>) -> End {
        match error {
            OwnerError::Broker(death) => End::Death(death),
            OwnerError::State(error @ RestoreError::Misplaced { .. }) => End::State(error.to_string()),
            OwnerError::State(error) => End::State(error.to_string()),
            OwnerError::StateTruncated(shard) => End::State(format!("the beginning of shard {shard}'s state is gone")),
        }
    }
}

pub struct Process {
    /// Place in the plan's settings.
    settings: usize,
    pub owner: Owner,
    clients: RefCell<Clients>,
    reader: Reader,
}

impl Process {
    pub fn new(world: &World, pod: &str) -> Process {
        let settings = world.wanted.get();
        let config: Arc<Config> = world.plan.settings[settings].1.config();
        Process {
            settings,
            clients: RefCell::new(Clients::new(world, pod)),
            reader: Reader::new(world, pod, &config),
            owner: Owner::new(config, CLUSTER.to_owned()),
        }
    }

    /// What the clients' own threads do. What that finds out shows at the next turn.
    pub fn heartbeat(&mut self, world: &World, pod: &str) {
        let _ = self.clients.borrow_mut().heartbeat(world, pod);
        let _ = self.reader.heartbeat(world, pod);
    }

    /// One turn of both loops.
    pub fn turn(&mut self, world: &World, pod: &str, clock_ms: i64) -> Result<(), End> {
        let wanted = world.wanted.get();
        if wanted != self.settings && (world.is_calm() || world.chance(world.plan.takes_over)) {
            world.trace(|| format!("{pod}: takes over configuration {wanted}"));
            self.settings = wanted;
            let config = world.plan.settings[wanted].1.config();
            // Two threads take it over, each between two of its own steps.
            if world.chance(500) {
                self.track(world, pod, clock_ms)?;
            }
            self.reader.reconfigure(world, pod, &config, clock_ms)?;
            self.owner.reconfigure(config);
        }
        let track_first = world.chance(500);
        if track_first {
            self.track(world, pod, clock_ms)?;
        }
        self.reader.turn(world, pod, clock_ms)?;
        self.track(world, pod, clock_ms)?;
        if world.chance(100) {
            self.trim(world);
        }
        Ok(())
    }

    fn track(&mut self, world: &World, pod: &str, clock_ms: i64) -> Result<(), End> {
        self.owner.turn(&mut Lent { world, pod, clock_ms, clients: &self.clients, has_committed: Cell::new(false) })?;
        Ok(())
    }

    /// Deletes the signals that have been committed past.
    fn trim(&self, world: &World) {
        for (shard, committed) in self.owner.committed() {
            world.kafka.borrow_mut().trim((world.topics.signals, shard), committed);
        }
    }

    /// Leaves both groups, as a pod that is asked to stop does.
    pub fn leave(&self, world: &World, pod: &str) {
        self.clients.borrow().leave(world, pod);
        self.reader.leave(world, pod);
    }
}
