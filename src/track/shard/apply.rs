//! Merging one record.

use super::undo::Rare;
use super::{Applied, Input, Seen, Shard, decoded};
use crate::retention::activity::{KindIndex, KindTag, LastSeen};
use crate::retention::brake::{Instruction, Refusal};
use crate::retention::calendar::Timestamp;
use crate::retention::claims::Claim;
use crate::retention::customer::{Acknowledgement, Record};
use crate::retention::decide::{
    Answered, Circumstances, Heard, NotResent, ResendOrder, Sending, Unlimited, acknowledge, hear, is_from_before,
    order_resend, see,
};
use crate::track::ids::ID_BYTES_MAX;
use crate::track::table::{Column, FOREIGN_MAX, Mark, Slot};
use crate::wire::instruction::{self, INSTRUCTION};
use crate::wire::partition::shard_of;
use crate::wire::progress;
use crate::wire::signal::{Resend, SIGHTINGS, Signal, decode_sightings};

impl Shard {
    /// Takes in one record. It never panics on one, however broken.
    pub fn apply(&mut self, input: Input<'_>) -> Applied {
        self.next_offset = Some(input.offset.saturating_add(1));
        let append = Timestamp::from_millis_floor(input.append_ms);
        self.now = self.now.max(self.kept_now).max(Some(append));
        self.enter(self.now.unwrap_or(append));
        match (input.key, input.value) {
            (Some(customer), Some(value)) => self.apply_signal(customer, value, append),
            (None, Some(value)) if value.first() == Some(&INSTRUCTION) => match instruction::decode(value) {
                Ok(instruction) => Applied::Instructed(self.obey(&instruction, append)),
                Err(_) => Applied::Garbage,
            },
            (None, Some(value)) if value.first() == Some(&SIGHTINGS) => self.see_all(value),
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

    /// Nothing of a record that can't be read to its end.
    fn see_all(&mut self, sightings: &[u8]) -> Applied {
        let Ok(sightings) = decode_sightings(sightings) else { return Applied::Garbage };
        let mut seen = Seen::default();
        for sighting in sightings {
            let customer = sighting.customer.as_bytes();
            let is_id = !customer.is_empty() && customer.len() <= ID_BYTES_MAX;
            let applied =
                if is_id { self.see(customer, sighting.kind, LastSeen::at(sighting.at)) } else { Applied::Garbage };
            match applied {
                Applied::Suppressed => seen.suppressed += 1,
                Applied::Garbage => seen.garbage += 1,
                _ => {}
            }
        }
        Applied::Seen(seen)
    }

    fn apply_signal(&mut self, customer: &[u8], signal: &[u8], append: Timestamp) -> Applied {
        if customer.is_empty() || customer.len() > ID_BYTES_MAX {
            return Applied::Garbage;
        }
        match Signal::decode(signal) {
            Ok(Signal::Activity { kind, at }) => self.see(customer, kind, LastSeen::at(at)),
            Ok(Signal::Claim(claim)) => self.hear(customer, &claim),
            Ok(Signal::Acknowledgement(ack)) => Applied::Acknowledged(self.acknowledge(customer, &ack, append)),
            Ok(Signal::Resend(resend)) => Applied::Ordered(self.resend(customer, &resend)),
            Err(_) => Applied::Garbage,
        }
    }

    fn see(&mut self, customer: &[u8], kind: KindTag, at: LastSeen) -> Applied {
        let known = self.table.find(customer);
        // Whoever has come anew has a record that says so.
        let may_be_late = known.is_none_or(|slot| self.table.record(slot).is_some());
        if may_be_late && self.is_suppressed(customer, Timestamp(i64::from(at.0))) {
            return Applied::Suppressed;
        }
        let Some(slot) = known.or_else(|| self.welcome(customer)) else { return Applied::Garbage };
        match self.tags.iter().position(|tag| *tag == kind) {
            Some(place) => self.see_kind(slot, KindIndex(u8::try_from(place).unwrap_or(u8::MAX)), at),
            None => self.see_foreign(slot, kind, at),
        }
    }

    /// Whether this is about somebody whose record is gone, and from before that.
    fn is_suppressed(&mut self, customer: &[u8], at: Timestamp) -> bool {
        if self.forgotten.is_empty() {
            return false;
        }
        let farewell = self.forgotten.get(self.config.evidence.pseudonyms.of(customer));
        let is_late = farewell.is_some_and(|farewell| is_from_before(&self.config.rules, farewell.end, at));
        self.suppressed += u64::from(is_late);
        is_late
    }

    /// Takes in a customer who isn't known; `None`: it must be one that a restore will take for this
    /// shard's.
    fn welcome(&mut self, customer: &[u8]) -> Option<Slot> {
        let home = &self.home;
        let admit = || is_customer(customer) && shard_of(customer, home.partitions) == home.partition;
        let (slot, _) = self.table.find_or_insert(customer, admit)?;
        if let Some(undo) = &mut self.undo {
            undo.new.push(slot);
        }
        self.mark_changed(slot);
        self.mark_to_judge(slot);
        if !self.forgotten.is_empty() {
            let farewell = self.forgotten.get(self.config.evidence.pseudonyms.of(customer));
            let mut record = Record::default();
            farewell.into_iter().for_each(|farewell| farewell.stand(&self.config.rules, &mut record));
            if !record.is_empty() {
                self.counts.add(&self.config.rules, &vec![LastSeen::NEVER; self.tags.len()], Some(&record));
                self.keep_record(slot, &record);
            }
        }
        Some(slot)
    }

    fn hear(&mut self, customer: &[u8], claim: &Claim) -> Applied {
        // A late word about somebody who has come anew is as late as one about somebody who is gone.
        if self.is_suppressed(customer, claim.at()) {
            return Applied::Suppressed;
        }
        let known = self.table.find(customer);
        let Some(slot) = known.or_else(|| self.welcome(customer)) else { return Applied::Garbage };
        self.change_record(slot, |circumstances, seen, record| hear(circumstances, seen, record, claim))
    }

    /// Changes a customer's record.
    fn change_record(
        &mut self,
        slot: Slot,
        change: impl FnOnce(Circumstances<'_>, &[LastSeen], &mut Record) -> bool,
    ) -> Applied {
        self.read_row(slot);
        let before = self.table.record(slot).map(decoded);
        let mut record = before.clone().unwrap_or_default();
        let config = self.config.clone();
        let circumstances = Circumstances {
            rules: &config.rules,
            almanac: &self.almanac,
            gate: &self.gate,
            allowance: &Unlimited,
            now: self.now.unwrap_or(Timestamp::MIN),
            sending: Sending::RecallsOnly,
        };
        if !change(circumstances, &self.scratch.seen, &mut record) {
            return Applied::Known;
        }
        self.counts.remove(&config.rules, &self.scratch.seen, before.as_ref());
        self.counts.add(&config.rules, &self.scratch.seen, Some(&record));
        self.keep_record(slot, &record);
        self.mark_to_judge(slot);
        Applied::Merged
    }

    /// Takes in an order about somebody who has been forgotten, or is about to be. Nobody else is taken in by it.
    fn resend(&mut self, customer: &[u8], resend: &Resend) -> Result<(), NotResent> {
        let outcome = self.order_resend(customer, resend);
        if let Err(why) = outcome {
            self.tell_not_resent(customer, resend.order, &resend.target, why);
        }
        outcome
    }

    fn order_resend(&mut self, customer: &[u8], resend: &Resend) -> Result<(), NotResent> {
        let target = self.config.rules.target_by_key(&resend.target).ok_or(NotResent::NoPolicy)?;
        let given = resend.given().ok_or(NotResent::Unknown)?;
        let order = ResendOrder { id: resend.order, given, target };
        let farewell = self.forgotten.get(self.config.evidence.pseudonyms.of(customer)).cloned();
        let known = self.table.find(customer);
        if known.is_none() && farewell.is_none() {
            return Err(NotResent::Unknown);
        }
        // Who comes anew by it is taken in only if it will be obeyed.
        if known.is_none() {
            let mut record = Record::default();
            farewell.iter().for_each(|farewell| farewell.stand(&self.config.rules, &mut record));
            let seen = vec![LastSeen::NEVER; self.tags.len()];
            order_resend(self.circumstances_of_a_word(), &seen, &mut record, farewell.as_ref(), order)?;
        }
        let slot = known.or_else(|| self.welcome(customer)).ok_or(NotResent::Unknown)?;
        let mut outcome = Ok(());
        self.change_record(slot, |circumstances, seen, record| {
            outcome = order_resend(circumstances, seen, record, farewell.as_ref(), order);
            outcome.is_ok()
        });
        outcome
    }

    fn circumstances_of_a_word(&self) -> Circumstances<'_> {
        Circumstances {
            rules: &self.config.rules,
            almanac: &self.almanac,
            gate: &self.gate,
            allowance: &Unlimited,
            now: self.now.unwrap_or(Timestamp::MIN),
            sending: Sending::RecallsOnly,
        }
    }

    fn obey(&mut self, instruction: &Instruction, append: Timestamp) -> Result<(), Refusal> {
        let now = self.now.unwrap_or(append);
        let gate = &mut self.gate;
        let outcome = self.brakes.obey(instruction, now, |source, doubt| gate.accept(source, doubt, now));
        if outcome.is_ok() {
            self.begin_passes();
        }
        self.tell_instruction(instruction, &outcome, append);
        outcome
    }

    fn see_kind(&mut self, slot: Slot, kind: KindIndex, at: LastSeen) -> Applied {
        let column = Column::seen(kind);
        let before = LastSeen(self.table.word(slot, column));
        let merged = before.merge(at);
        if merged == before {
            // An older one than is known may still be from before a withdrawal.
            let may_matter = at < before && self.table.record(slot).is_some();
            return if may_matter { self.see_in_record(slot, kind, merged, at) } else { Applied::Known };
        }
        // A policy that had a starting point, and whose first stage isn't due yet, can only fall due later.
        if before == LastSeen::NEVER {
            self.count_first(slot, column, merged);
            self.mark_to_judge(slot);
        } else if self.table.has_mark(slot, Mark::STIRRED) {
            self.mark_to_judge(slot);
        }
        if self.table.record(slot).is_some() {
            self.see_in_record(slot, kind, merged, at);
        }
        self.set_word(slot, column, merged.0);
        self.mark_changed(slot);
        Applied::Merged
    }

    fn see_in_record(&mut self, slot: Slot, kind: KindIndex, merged: LastSeen, at: LastSeen) -> Applied {
        let Some(at) = at.timestamp() else { return Applied::Known };
        self.change_record(slot, |circumstances, before, record| {
            let mut seen = before.to_vec();
            seen[usize::from(kind.0)] = merged;
            let at = circumstances.almanac.at_resolution(circumstances.rules.resolution, at);
            see(circumstances, &seen, record, (kind, at))
        })
    }

    /// The first activity of a kind may be a policy's first.
    fn count_first(&mut self, slot: Slot, column: Column, at: LastSeen) {
        let record = self.table.record(slot).map(decoded);
        let seen = &mut self.scratch.seen;
        seen.clear();
        seen.extend(self.table.seen(slot));
        self.counts.remove(&self.config.rules, seen, record.as_ref());
        seen[column.kind()] = at;
        self.counts.add(&self.config.rules, seen, record.as_ref());
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
        let mut answered = Answered::Nothing;
        // A broker's clock may go back: by it the answer would have been heard before the command left.
        let at = self.now.unwrap_or(append);
        let heard = Heard { at, latest: if append < at { Timestamp::MAX } else { at } };
        if let Some(slot) = self.table.find(customer).filter(|slot| self.table.record(*slot).is_some()) {
            self.change_record(slot, |_, _, record| {
                answered = acknowledge(record, ack, heard);
                answered != Answered::Nothing
            });
        }
        // An answer to nothing changes nothing but a metric.
        if answered != Answered::Nothing {
            self.tell_acknowledged(customer, ack, append, answered);
        }
        answered
    }
}

/// Text, and none that begins as the shard's own keys in the changelog do.
pub(super) fn is_customer(key: &[u8]) -> bool {
    key.len() <= ID_BYTES_MAX && key.first().is_some_and(|first| *first != 0) && std::str::from_utf8(key).is_ok()
}
