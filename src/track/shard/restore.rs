//! From the changelog to a shard, and from a shard's changes to the changelog.

use super::apply::is_customer;
use super::{Home, Shard, decoded};
use crate::retention::activity::{KindIndex, LastSeen};
use crate::retention::calendar::Timestamp;
use crate::retention::gate::Memory;
use crate::track::outputs::Outputs;
use crate::track::table::{Column, Foreign, Mark, Slot};
use crate::wire::bytes::DecodeError;
use crate::wire::partition::shard_of;
use crate::wire::state::{self, BRAKES_KEY, CLOCK_KEY, CustomerState, GATE_KEY, HEADER_KEY, Header};
use std::sync::Arc;

/// Why a changelog can't be restored. Never later either: a person must look.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    #[error(
        "a customer of the state partition belongs to shard {belongs_to}, not to {partition}; was it written with another number of partitions?"
    )]
    Misplaced { partition: u32, belongs_to: u32 },
    #[error("shard {partition} has committed before, but its state partition has no header: its beginning is lost")]
    HeaderMissing { partition: u32 },
    #[error(
        "the state of shard {partition} is of {written} shards, but there are {partitions}; the number is for ever"
    )]
    OtherPartitions { partition: u32, written: u32, partitions: u32 },
    #[error("a record of the state partition of shard {partition} {reason}")]
    Undecodable { partition: u32, reason: DecodeError },
    #[error("a record of the state partition of shard {partition} has a key that this version doesn't know")]
    UnknownKey { partition: u32 },
}

impl Shard {
    /// Takes in one record of the state partition, in the order of the partition; no value: a tombstone.
    ///
    /// # Errors
    /// A record that this version can't read, or that doesn't belong here: never.
    pub fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), RestoreError> {
        let partition = self.home.partition;
        let undecodable = |reason| RestoreError::Undecodable { partition, reason };
        match (key, value) {
            (HEADER_KEY, Some(value)) => {
                let header = Header::decode(value).map_err(undecodable)?;
                check_header(&self.home, &header)?;
                self.header_is_kept = true;
                // What it decided rests on another cluster's logs: a person has to look first.
                self.other_cluster = Some(header.cluster).filter(|written| *written != self.home.cluster);
                Ok(())
            }
            (GATE_KEY, Some(value)) => {
                self.kept_memory = Some(Arc::new(state::decode_gate(value).map_err(undecodable)?));
                Ok(())
            }
            (CLOCK_KEY, Some(value)) => {
                self.kept_now = Some(state::decode_clock(value).map_err(undecodable)?);
                Ok(())
            }
            (BRAKES_KEY, Some(value)) => {
                self.brakes = state::decode_brakes(value).map_err(undecodable)?;
                self.kept_brakes = self.brakes.clone();
                Ok(())
            }
            _ if state::pseudonym_of_key(key).is_some() => {
                let Some(pseudonym) = state::pseudonym_of_key(key) else { return Ok(()) };
                match value {
                    Some(value) => {
                        let farewell = state::decode_farewell(value).map_err(undecodable)?;
                        self.forgotten.insert(pseudonym, farewell);
                    }
                    None => self.forgotten.remove(pseudonym),
                }
                Ok(())
            }
            (GATE_KEY, None) => {
                self.kept_memory = None;
                Ok(())
            }
            _ if !is_customer(key) => Err(RestoreError::UnknownKey { partition }),
            _ => {
                let belongs_to = shard_of(key, self.home.partitions);
                if belongs_to != partition {
                    return Err(RestoreError::Misplaced { partition, belongs_to });
                }
                match value {
                    Some(value) => self.restore_customer(key, CustomerState::decode(value).map_err(undecodable)?),
                    None => self.restore_absence(key),
                }
                Ok(())
            }
        }
    }

    fn restore_customer(&mut self, key: &[u8], state: CustomerState<'_>) {
        let Some((slot, is_new)) = self.table.find_or_insert(key, || true) else { return };
        if !is_new {
            self.uncount(slot);
            self.table.clear_seen(slot);
            self.table.replace_foreign(slot, Box::default());
        }
        let mut foreign = Vec::new();
        for (kind, seen) in state.seen() {
            match self.tags.iter().position(|tag| *tag == kind) {
                Some(place) => {
                    let column = Column::seen(KindIndex(u8::try_from(place).unwrap_or(u8::MAX)));
                    let merged = LastSeen(self.table.word(slot, column)).merge(seen);
                    self.table.set_word(slot, column, merged.0);
                }
                None => foreign.push((kind, seen)),
            }
        }
        if !foreign.is_empty() {
            self.table.replace_foreign(slot, merged(foreign));
        }
        let record = (!state.record.is_empty()).then(|| state.record.into());
        self.table.set_mark(slot, Mark::STIRRED, record.is_some());
        self.table.replace_record(slot, record);
        self.count(slot);
    }

    fn restore_absence(&mut self, key: &[u8]) {
        if let Some(slot) = self.table.find(key) {
            self.uncount(slot);
            self.table.remove(slot);
        }
    }

    fn count(&mut self, slot: Slot) {
        self.scratch.seen.clear();
        self.scratch.seen.extend(self.table.seen(slot));
        let record = self.table.record(slot).map(decoded);
        self.counts.add(&self.config.rules, &self.scratch.seen, record.as_ref());
    }

    pub(super) fn uncount(&mut self, slot: Slot) {
        self.scratch.seen.clear();
        self.scratch.seen.extend(self.table.seen(slot));
        let record = self.table.record(slot).map(decoded);
        self.counts.remove(&self.config.rules, &self.scratch.seen, record.as_ref());
    }

    /// Ends restoring. `has_history`: the group has committed offsets for the shard, or its partition of
    /// `signals` begins above 0, so that there must be state.
    ///
    /// # Errors
    /// State that is not whole, or not of this shard: never.
    pub fn finish_restore(&mut self, has_history: bool) -> Result<(), RestoreError> {
        let must_have_header = has_history || !self.table.is_empty() || self.kept_memory.is_some();
        if must_have_header && !self.header_is_kept {
            return Err(RestoreError::HeaderMissing { partition: self.home.partition });
        }
        self.header_is_kept &= self.other_cluster.is_none();
        let memory = self.kept_memory.as_deref().cloned().unwrap_or_default();
        self.reset_gate(memory);
        self.refile_all();
        Ok(())
    }

    /// Lets the clock begin no later than `wall`, the instance's: a broker whose clock was years ahead, and is
    /// so no longer, must not stop the shard for years. After [`Shard::finish_restore`].
    pub fn begin_no_later_than(&mut self, wall: Timestamp) {
        self.kept_now = self.kept_now.map(|kept| kept.min(wall));
    }

    /// Writes how far the clock has come, once for each transaction that is committed anyway.
    pub fn write_clock(&mut self, out: &mut Outputs) {
        if let Some(now) = self.now.filter(|_| self.now != self.kept_now) {
            out.add_state(CLOCK_KEY, |value| state::encode_clock(now, value));
            self.kept_now = self.now;
        }
    }

    /// Writes what the batch changed: one record for each customer and each part of the shard's own.
    pub fn changelog(&mut self, out: &mut Outputs) {
        // At another cluster the policies are stopped first.
        if !self.header_is_kept && self.other_cluster.is_none() {
            let header = Header { partitions: self.home.partitions, cluster: self.home.cluster.clone() };
            out.add_state(HEADER_KEY, |value| header.encode(value));
            self.header_is_kept = true;
        }
        let memory = self.gate.memory();
        let is_kept = match &self.kept_memory {
            Some(kept) => Arc::ptr_eq(kept, memory),
            None => **memory == Memory::default(),
        };
        if !is_kept {
            out.add_state(GATE_KEY, |value| state::encode_gate(memory, value));
            self.kept_memory = Some(memory.clone());
        }
        if self.brakes != self.kept_brakes {
            out.add_state(BRAKES_KEY, |value| state::encode_brakes(&self.brakes, value));
            self.kept_brakes.clone_from(&self.brakes);
        }
        let mut changed = std::mem::take(&mut self.changed);
        for slot in changed.drain(..) {
            self.table.set_mark(slot, Mark::CHANGED, false);
            self.write_customer(slot, out);
        }
        self.changed = changed;
        self.write_farewells(out);
        out.take_audit(&mut self.evidence);
    }

    /// A tombstone for each record that goes, behind its last words; a tombstone for each farewell that
    /// has been kept for long enough.
    fn write_farewells(&mut self, out: &mut Outputs) {
        for (slot, pseudonym, farewell) in &self.leaving {
            let id = &mut self.scratch.id;
            id.clear();
            self.table.id(*slot).write(id);
            out.add_tombstone(id);
            out.add_state(&state::farewell_key(*pseudonym), |value| state::encode_farewell(farewell, value));
        }
        for pseudonym in &self.expired {
            out.add_tombstone(&state::farewell_key(*pseudonym));
        }
    }

    fn write_customer(&mut self, slot: Slot, out: &mut Outputs) {
        let id = &mut self.scratch.id;
        id.clear();
        self.table.id(slot).write(id);
        let named = self.tags.iter().copied().zip(self.table.seen(slot));
        let named = named.filter(|(_, seen)| *seen != LastSeen::NEVER);
        let seen = named.chain(self.table.foreign(slot).iter().copied());
        let record = self.table.record(slot).unwrap_or_default();
        out.add_state(id, |value| state::encode_customer(seen, record, value));
    }
}

fn check_header(home: &Home, header: &Header) -> Result<(), RestoreError> {
    let &Home { partition, partitions, .. } = home;
    if header.partitions != partitions {
        return Err(RestoreError::OtherPartitions { partition, written: header.partitions, partitions });
    }
    Ok(())
}

/// Ordered by kind, each once.
fn merged(mut foreign: Vec<Foreign>) -> Box<[Foreign]> {
    foreign.sort_unstable_by_key(|(kind, seen)| (*kind, std::cmp::Reverse(*seen)));
    foreign.dedup_by_key(|(kind, _)| *kind);
    foreign.into()
}
