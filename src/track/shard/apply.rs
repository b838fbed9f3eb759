//! Merging one record.

use super::undo::Rare;
use super::{Applied, Input, Shard, decoded};
use crate::retention::activity::{KindIndex, KindTag, LastSeen};
use crate::retention::calendar::Timestamp;
use crate::retention::customer::Acknowledgement;
use crate::retention::decide::{Answered, acknowledge};
use crate::track::ids::ID_BYTES_MAX;
use crate::track::table::{Column, FOREIGN_MAX, Mark, Slot};
use crate::wire::partition::shard_of;
use crate::wire::progress;
use crate::wire::signal::Signal;
use crate::wire::state::encode_record;

impl Shard {
    /// Takes in one record. It never panics on one, however broken.
    pub fn apply(&mut self, input: Input<'_>) -> Applied {
        self.next_offset = Some(input.offset.saturating_add(1));
        let append = Timestamp::from_millis_floor(input.append_ms);
        self.now = self.now.max(Some(append));
        match (input.key, input.value) {
            (Some(customer), Some(value)) => self.apply_signal(customer, value, append),
            (None, Some(value)) => match progress::decode(value) {
                Ok(progress) => {
                    self.gate.observe(&progress, append);
                    Applied::Progress
                }
                Err(_) => Applied::Garbage,
            },
            (_, None) => Applied::Garbage,
        }
    }

    fn apply_signal(&mut self, customer: &[u8], signal: &[u8], append: Timestamp) -> Applied {
        if customer.is_empty() || customer.len() > ID_BYTES_MAX {
            return Applied::Garbage;
        }
        match Signal::decode(signal) {
            Ok(Signal::Activity { kind, at }) => self.see(customer, kind, LastSeen::at(at)),
            Ok(Signal::Claim(_)) => Applied::Garbage,
            Ok(Signal::Acknowledgement(ack)) => Applied::Acknowledged(self.acknowledge(customer, &ack, append)),
            Err(_) => Applied::Garbage,
        }
    }

    fn see(&mut self, customer: &[u8], kind: KindTag, at: LastSeen) -> Applied {
        let home = &self.home;
        // A new customer must be one that a restore will take for this shard's.
        let admit = || is_customer(customer) && shard_of(customer, home.partitions) == home.partition;
        let Some((slot, is_new)) = self.table.find_or_insert(customer, admit) else { return Applied::Garbage };
        if is_new {
            self.remember(Rare::New(slot));
            self.mark_changed(slot);
            self.mark_to_judge(slot);
        }
        match self.tags.iter().position(|tag| *tag == kind) {
            Some(place) => self.see_kind(slot, KindIndex(u8::try_from(place).unwrap_or(u8::MAX)), at),
            None => self.see_foreign(slot, kind, at),
        }
    }

    fn see_kind(&mut self, slot: Slot, kind: KindIndex, at: LastSeen) -> Applied {
        let column = Column::seen(kind);
        let before = LastSeen(self.table.word(slot, column));
        let merged = before.merge(at);
        if merged == before {
            return Applied::Known;
        }
        // A policy that had a starting point, and whose first stage isn't due yet, can only fall due later.
        if before == LastSeen::NEVER {
            self.count_first(slot, column, merged);
            self.mark_to_judge(slot);
        } else if self.table.has_mark(slot, Mark::STIRRED) {
            self.mark_to_judge(slot);
        }
        self.set_word(slot, column, merged.0);
        self.mark_changed(slot);
        Applied::Merged
    }

    /// The first activity of a kind may be a policy's first.
    fn count_first(&mut self, slot: Slot, column: Column, at: LastSeen) {
        let seen = &mut self.scratch.seen;
        seen.clear();
        seen.extend(self.table.seen(slot));
        self.counts.remove_seen(&self.config.rules, seen);
        seen[column.kind()] = at;
        self.counts.add_seen(&self.config.rules, seen);
    }

    /// A kind of another configuration: kept for when this one names it.
    fn see_foreign(&mut self, slot: Slot, kind: KindTag, at: LastSeen) -> Applied {
        let mut foreign = self.table.foreign(slot).to_vec();
        match foreign.binary_search_by_key(&kind, |(kind, _)| *kind) {
            Ok(place) if foreign[place].1 >= at => return Applied::Known,
            Ok(place) => foreign[place].1 = at,
            Err(_) if foreign.len() >= FOREIGN_MAX => return Applied::Garbage,
            Err(place) => foreign.insert(place, (kind, at)),
        }
        let before = self.table.replace_foreign(slot, foreign.into());
        self.remember(Rare::Foreign(slot, before));
        self.mark_changed(slot);
        Applied::Merged
    }

    fn acknowledge(&mut self, customer: &[u8], ack: &Acknowledgement, append: Timestamp) -> Answered {
        let Some(slot) = self.table.find(customer) else { return Answered::Nothing };
        let Some(mut record) = self.table.record(slot).map(decoded) else { return Answered::Nothing };
        self.counts.remove_record(&self.config.rules, &record);
        let answered = acknowledge(&mut record, ack, append);
        self.counts.add_record(&self.config.rules, &record);
        if answered != Answered::Nothing {
            self.scratch.record.clear();
            encode_record(&record, &mut self.scratch.record);
            self.take_record(slot);
            self.mark_to_judge(slot);
        }
        answered
    }
}

/// Text, and none that begins as the shard's own keys in the changelog do.
pub(super) fn is_customer(key: &[u8]) -> bool {
    key.len() <= ID_BYTES_MAX && key.first().is_some_and(|first| *first != 0) && std::str::from_utf8(key).is_ok()
}
