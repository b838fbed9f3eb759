//! The deterministic state machine of one partition of `signals`, with an undo log.
//!
//! A worker restores it from the changelog, and then for each batch calls [`Shard::begin`],
//! [`Shard::apply`] for each record, [`Shard::decide`], [`Shard::changelog`], produces what they left,
//! and ends with [`Shard::commit`] or [`Shard::abort`]: commit the transaction, then believe it.

use super::outputs::Outputs;
use crate::config::Config;
use crate::retention::calendar::Timestamp;
use crate::retention::decide::Answered;
use std::sync::Arc;

/// Which shard, of how many, at which cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    pub partition: u32,
    /// Of `signals` and `state`, for ever.
    pub partitions: u32,
    /// The cluster's id.
    pub cluster: String,
}

/// One record of the shard's partition of `signals`.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    pub offset: i64,
    /// Milliseconds of Unix time; the broker's clock.
    pub append_ms: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
}

/// What became of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It told something new.
    Merged,
    /// It told what was known.
    Known,
    Acknowledged(Answered),
    Progress,
    /// It is no signal, progress or instruction. Nothing changed.
    Garbage,
}

/// Whether there is more to decide at this very moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum More {
    Nothing,
    /// The budget was used up: commit, and begin another batch soon, be it without input.
    Waiting,
}

/// Why a changelog can't be restored. Never later either: a person must look.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    #[error(
        "a customer of the state partition belongs to shard {belongs_to}, not to {partition}; was `state` written with another number of partitions?"
    )]
    Misplaced { partition: u32, belongs_to: u32 },
    #[error("shard {partition} has committed before, but its state partition has no header: its beginning is lost")]
    HeaderMissing { partition: u32 },
}

/// One partition of `signals` and the customers in it.
#[derive(Debug)]
pub struct Shard {
    home: Home,
    config: Arc<Config>,
    now: Option<Timestamp>,
    next_offset: Option<i64>,
}

impl Shard {
    /// An empty shard, to be restored.
    pub fn new(home: Home, config: Arc<Config>) -> Shard {
        Shard { home, config, now: None, next_offset: None }
    }

    /// Takes in one record of the state partition, in the order of the partition; no value: a tombstone.
    ///
    /// # Errors
    /// A record that this version can't read, or that doesn't belong here: never.
    pub fn restore(&mut self, _key: &[u8], _value: Option<&[u8]>) -> Result<(), RestoreError> {
        Ok(())
    }

    /// Ends restoring. `has_history`: the group has committed offsets for the shard, or its partition of
    /// `signals` begins above 0, so that there must be state.
    ///
    /// # Errors
    /// State that is not whole, or not of this shard: never.
    pub fn finish_restore(&mut self, _has_history: bool) -> Result<(), RestoreError> {
        Ok(())
    }

    /// Begins a batch.
    pub fn begin(&mut self) {}

    /// Takes in one record. It never panics on one, however broken.
    pub fn apply(&mut self, input: Input<'_>) -> Applied {
        self.next_offset = Some(input.offset + 1);
        let append = Timestamp::from_millis_floor(input.append_ms);
        self.now = self.now.max(Some(append));
        Applied::Garbage
    }

    /// Decides on the customers that the batch touched and on those who fall due; of the latter at most
    /// `budget`. `wall_ms` is the instance's clock: it may hold back, never hasten.
    pub fn decide(&mut self, _wall_ms: i64, _budget: usize, _out: &mut Outputs) -> More {
        More::Nothing
    }

    /// Writes what the batch changed: one record for each customer and each part of the shard's own.
    pub fn changelog(&mut self, _out: &mut Outputs) {}

    /// The transaction was committed: the batch is believed.
    pub fn commit(&mut self) {}

    /// The transaction was aborted: everything since [`Shard::begin`] is undone.
    pub fn abort(&mut self) {}

    /// Takes over a new configuration; between batches.
    pub fn reconfigure(&mut self, config: Arc<Config>) {
        self.config = config;
    }

    /// The configuration it decides under; commands' indices are of its rules.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    pub fn home(&self) -> &Home {
        &self.home
    }

    /// The newest append time it has read; `None` before the first record: nothing fires.
    pub fn now(&self) -> Option<Timestamp> {
        self.now
    }

    /// The offset after the last record it has applied; `None` before the first.
    pub fn next_offset(&self) -> Option<i64> {
        self.next_offset
    }
}
