//! Whom to judge, and when to look again.

use super::undo::Rare;
use super::{More, Shard, decoded};
use crate::plant::{Plant, is_planted};
use crate::retention::brake::Braking;
use crate::retention::calendar::Timestamp;
use crate::retention::customer::Record;
use crate::retention::decide::{Circumstances, Farewell, Sending, Wake, judge};
use crate::retention::gate::{Gate, KnownSince};
use crate::retention::policy::{FloorIndex, PolicyIndex};
use crate::track::outputs::Outputs;
use crate::track::table::{Column, Mark, Slot};
use crate::track::waiting::{Lane, Queue};
use crate::wire::state::encode_record;

/// What the gate says at one moment, by policy: asked once, not for every customer.
#[derive(Debug)]
pub(super) struct Standing {
    known_since: Vec<KnownSince>,
    floors_known_since: Vec<KnownSince>,
    proven: Vec<Option<Timestamp>>,
    requests_proven: Option<Timestamp>,
}

impl Gate for Standing {
    fn proven_up_to(&self, policy: PolicyIndex, _now: Timestamp) -> Option<Timestamp> {
        self.proven[usize::from(policy.0)]
    }

    fn requests_proven_up_to(&self, _now: Timestamp) -> Option<Timestamp> {
        self.requests_proven
    }

    fn known_since(&self, policy: PolicyIndex) -> KnownSince {
        self.known_since[usize::from(policy.0)]
    }

    fn floor_known_since(&self, floor: FloorIndex) -> KnownSince {
        self.floors_known_since[usize::from(floor.0)]
    }
}

/// The same for every customer of a batch.
pub(super) struct Moment {
    standing: Standing,
    pub now: Timestamp,
    sending: Sending,
    /// By policy: how many customers it covers here.
    pub covered: Vec<u64>,
}

impl Shard {
    /// Decides on the customers that the batch touched and on those who fall due; of the latter at most
    /// `budget`. `wall_ms` is the instance's clock: it may hold back, never hasten.
    pub fn decide(&mut self, wall_ms: i64, budget: usize, out: &mut Outputs) -> More {
        let Some(now) = self.now else { return More::Nothing };
        let (wall, lag_max) = (Timestamp::from_millis_floor(wall_ms), self.config.rules.gate_lag_max);
        // By a clock that is far back nobody can tell how far behind the shard is.
        let is_behind = (wall - now > lag_max || now - wall > lag_max) && !is_planted(Plant::FireWhileBehind);
        let sending = if is_behind { Sending::RecallsOnly } else { Sending::All };
        self.turn_day(now);
        let covered = (0..self.config.rules.policies.len()).map(|policy| self.covered(policy)).collect();
        let moment = Moment { standing: self.standing(now), now, sending, covered };
        if moment.standing.known_since != self.known_since {
            self.known_since.clone_from(&moment.standing.known_since);
            self.refile_all();
        }
        self.judge_touched(&moment, out);
        if is_behind {
            return More::Nothing;
        }
        let mut steps = budget;
        self.judge_due(&moment, &mut steps, out);
        self.judge_proven(&moment, &mut steps, out);
        self.judge_released(&moment, &mut steps, out);
        if steps == 0 {
            return More::Waiting;
        }
        self.end_releases(now);
        self.let_go(now, &mut steps);
        More::Nothing
    }

    pub(super) fn standing(&self, now: Timestamp) -> Standing {
        let rules = &self.config.rules;
        let index = |place: usize| u16::try_from(place).unwrap_or(u16::MAX);
        let policies = (0..rules.policies.len()).map(|place| PolicyIndex(index(place)));
        let floors = (0..rules.floors.len()).map(|place| FloorIndex(index(place)));
        let known_since: Vec<KnownSince> = policies.clone().map(|policy| self.gate.known_since(policy)).collect();
        let is_known = |policy: &PolicyIndex| known_since[usize::from(policy.0)] != KnownSince::Unknown;
        let proven = policies.map(|policy| self.gate.proven_up_to(policy, now).filter(|_| is_known(&policy)));
        Standing {
            proven: proven.collect(),
            floors_known_since: floors.map(|floor| self.gate.floor_known_since(floor)).collect(),
            requests_proven: self.gate.requests_proven_up_to(now),
            known_since,
        }
    }

    fn judge_touched(&mut self, moment: &Moment, out: &mut Outputs) {
        let mut touched = std::mem::take(&mut self.to_judge);
        for slot in touched.drain(..) {
            self.table.set_mark(slot, Mark::TO_JUDGE, false);
            self.judge(slot, moment, out);
        }
        self.to_judge = touched;
    }

    fn judge_due(&mut self, moment: &Moment, steps: &mut usize, out: &mut Outputs) {
        let now = filed_second(moment.now);
        loop {
            let table = &self.table;
            let Some(slot) = self.due.pop(now, |slot| table.word(slot, Column::WAKE), steps) else { return };
            self.set_word(slot, Column::WAKE, 0);
            self.judge(slot, moment, out);
        }
    }

    fn judge_proven(&mut self, moment: &Moment, steps: &mut usize, out: &mut Outputs) {
        for policy in 0..self.config.rules.policies.len() {
            let index = PolicyIndex(u16::try_from(policy).unwrap_or(u16::MAX));
            let lanes = [
                (Lane::Gate, moment.standing.proven[policy]),
                (Lane::RequestGate, moment.standing.requests_proven),
                (Lane::Farewell, moment.standing.proven[policy]),
            ];
            for (lane, proven) in lanes {
                let Some(proven) = proven else { continue };
                let mut slots = std::mem::take(&mut self.scratch.slots);
                slots.extend(self.waiting.proven(Queue { policy: index, lane }, proven, *steps));
                *steps -= slots.len();
                for slot in slots.drain(..) {
                    self.judge(slot, moment, out);
                }
                self.scratch.slots = slots;
            }
        }
    }

    pub(super) fn judge(&mut self, slot: Slot, moment: &Moment, out: &mut Outputs) {
        self.read_row(slot);
        let before = self.table.record(slot).map(decoded);
        let had_record = before.is_some();
        let mut record = before.unwrap_or_default();
        if had_record {
            self.counts.remove(&self.config.rules, &self.scratch.seen, Some(&record));
        }
        let (config, covered) = (self.config.clone(), &moment.covered);
        let rules = &config.rules;
        let braking = Braking { rules, brakes: &self.brakes, covered };
        let circumstances = Circumstances {
            rules,
            almanac: &self.almanac,
            gate: &moment.standing,
            allowance: &braking,
            now: moment.now,
            sending: moment.sending,
        };
        let scratch = &mut self.scratch;
        let customer = std::str::from_utf8(&scratch.id).expect("only text is taken for a customer's id");
        let wake = judge(circumstances, customer, &scratch.seen, &mut record, &mut scratch.decided);
        let mut decided = std::mem::take(&mut self.scratch.decided);
        if !decided.is_empty() || !wake.blocked.is_empty() {
            self.brake(&decided, &wake, moment);
            self.tell_sent(&decided, moment.now);
        }
        self.tell_dropped(&wake.dropped, moment.now);
        let customer = std::str::from_utf8(&self.scratch.id).expect("only text is taken for a customer's id");
        out.add_commands(customer, &mut decided);
        self.scratch.decided = decided;
        if had_record || !record.is_empty() {
            if !had_record {
                self.counts.remove(&self.config.rules, &self.scratch.seen, None);
            }
            self.counts.add(&self.config.rules, &self.scratch.seen, Some(&record));
            self.keep_record(slot, &record);
        }
        self.look_again(slot, &wake, !record.is_empty(), moment);
        if let Some(farewell) = wake.farewell {
            self.say_farewell(slot, farewell, moment.now);
        }
    }

    /// Reads a customer's id and activity into the scratch buffers.
    pub(super) fn read_row(&mut self, slot: Slot) {
        self.scratch.id.clear();
        self.table.id(slot).write(&mut self.scratch.id);
        self.scratch.seen.clear();
        self.scratch.seen.extend(self.table.seen(slot));
    }

    pub(super) fn keep_record(&mut self, slot: Slot, record: &Record) {
        self.scratch.record.clear();
        encode_record(record, &mut self.scratch.record);
        self.take_record(slot);
    }

    /// The record goes when the batch is committed.
    fn say_farewell(&mut self, slot: Slot, farewell: Farewell, now: Timestamp) {
        if self.leaving.iter().any(|(leaving, ..)| *leaving == slot) {
            return;
        }
        let pseudonym = self.config.evidence.pseudonyms.of(&self.scratch.id);
        self.tell_forgotten(pseudonym, &farewell, now);
        self.leaving.push((slot, pseudonym, farewell));
    }

    /// Lets go of what was left of customers, when it has been kept for long enough and no source can
    /// still deliver anything from before their end.
    fn let_go(&mut self, now: Timestamp, steps: &mut usize) {
        if self.forgotten.is_empty() || !self.expired.is_empty() {
            return;
        }
        let rules = &self.config.rules;
        let Some(delivered_from) = self.gate.delivers_from(now) else { return };
        let is_over =
            |end: Timestamp| rules.forget.suppress_for.deadline(end, rules.zone) <= now && end < delivered_from;
        let expired = self.forgotten.oldest().take(*steps).take_while(|(end, _)| is_over(*end));
        self.expired.extend(expired.map(|(_, pseudonym)| pseudonym));
        *steps -= self.expired.len();
    }

    /// Files a customer who was just judged under the next wake, if that is earlier than what they are
    /// filed under.
    fn look_again(&mut self, slot: Slot, wake: &Wake, has_record: bool, moment: &Moment) {
        let stirred = has_record || !wake.blocked.is_empty();
        let was_stirred = self.table.set_mark(slot, Mark::STIRRED, stirred);
        if was_stirred != stirred {
            self.remember(Rare::Stirred(slot, was_stirred));
        }
        if was_stirred || stirred {
            let waits = wake.blocked.iter().filter_map(|blocked| Some((Queue::of(blocked)?, blocked.deadline)));
            self.wait(slot, waits.collect());
        }
        let Some(at) = wake.at else { return };
        // What is held back until the shard has caught up may be looked at in this very second.
        let earliest = match moment.sending {
            Sending::All => filed_second(moment.now).saturating_add(1),
            Sending::RecallsOnly => filed_second(moment.now),
        };
        let at = filed_second(at).max(earliest);
        let filed = self.table.word(slot, Column::WAKE);
        if filed == 0 || at < filed {
            self.set_word(slot, Column::WAKE, at);
            self.due.file(slot, at);
        }
    }

    fn wait(&mut self, slot: Slot, waits: Vec<(Queue, Timestamp)>) {
        let before: Vec<_> = self.waiting.of(slot).collect();
        if before != waits {
            self.waiting.replace(slot, &waits);
            self.remember(Rare::Waits(slot, before));
        }
    }

    /// Has every customer judged anew, as the budget allows: what their wakes rest on has changed.
    pub(super) fn refile_all(&mut self) {
        if let Some(undo) = &mut self.undo {
            undo.before.refiled = true;
        }
        self.due.clear();
        for slot in self.table.slots() {
            self.due.file(slot, FIRST_SECOND);
        }
        self.table.fill_column(Column::WAKE, FIRST_SECOND);
    }
}

/// The earliest second a slot can be filed under.
const FIRST_SECOND: u32 = 1;

fn filed_second(at: Timestamp) -> u32 {
    u32::try_from(at.0.max(i64::from(FIRST_SECOND))).unwrap_or(u32::MAX)
}
