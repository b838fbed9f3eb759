//! Whom to judge, and when to look again.

use super::undo::Rare;
use super::{More, Shard, decoded};
use crate::retention::calendar::Timestamp;
use crate::retention::customer::Record;
use crate::retention::decide::{Circumstances, Sending, Unlimited, Wake, judge};
use crate::retention::gate::{Gate, KnownSince};
use crate::retention::policy::{FloorIndex, PolicyIndex};
use crate::track::outputs::Outputs;
use crate::track::table::{Column, Mark, Slot};
use crate::wire::state::encode_record;

/// What the gate says at one moment, by policy: asked once, not for every customer.
#[derive(Debug)]
struct Standing {
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
struct Moment {
    standing: Standing,
    now: Timestamp,
    sending: Sending,
}

impl Shard {
    /// Decides on the customers that the batch touched and on those who fall due; of the latter at most
    /// `budget`. `wall_ms` is the instance's clock: it may hold back, never hasten.
    pub fn decide(&mut self, wall_ms: i64, budget: usize, out: &mut Outputs) -> More {
        let Some(now) = self.now else { return More::Nothing };
        let is_behind = Timestamp::from_millis_floor(wall_ms) - now > self.config.rules.gate_lag_max;
        let sending = if is_behind { Sending::RecallsOnly } else { Sending::All };
        let moment = Moment { standing: self.standing(now), now, sending };
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
        if steps == 0 { More::Waiting } else { More::Nothing }
    }

    fn standing(&self, now: Timestamp) -> Standing {
        let policies = 0..self.config.rules.policies.len();
        let indices = policies.map(|policy| PolicyIndex(u16::try_from(policy).unwrap_or(u16::MAX)));
        let (known_since, proven) = indices
            .map(|policy| {
                let known = self.gate.known_since(policy);
                let proven = self.gate.proven_up_to(policy, now).filter(|_| known != KnownSince::Unknown);
                (known, proven)
            })
            .unzip();
        let floors =
            (0..self.config.rules.floors.len()).map(|floor| FloorIndex(u16::try_from(floor).unwrap_or(u16::MAX)));
        Standing {
            known_since,
            floors_known_since: floors.map(|floor| self.gate.floor_known_since(floor)).collect(),
            proven,
            requests_proven: self.gate.requests_proven_up_to(now),
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
            let Some(proven) = moment.standing.proven[policy] else { continue };
            let index = PolicyIndex(u16::try_from(policy).unwrap_or(u16::MAX));
            let mut slots = std::mem::take(&mut self.scratch.slots);
            slots.extend(self.waiting.proven(index, proven, *steps));
            *steps -= slots.len();
            for slot in slots.drain(..) {
                self.judge(slot, moment, out);
            }
            self.scratch.slots = slots;
        }
    }

    fn judge(&mut self, slot: Slot, moment: &Moment, out: &mut Outputs) {
        self.scratch.id.clear();
        self.table.id(slot).write(&mut self.scratch.id);
        self.scratch.seen.clear();
        self.scratch.seen.extend(self.table.seen(slot));
        let before = self.table.record(slot).map(decoded);
        let had_record = before.is_some();
        let mut record = before.unwrap_or_default();
        if had_record {
            self.counts.remove_record(&self.config.rules, &record);
        }
        let circumstances = Circumstances {
            rules: &self.config.rules,
            almanac: &self.almanac,
            gate: &moment.standing,
            allowance: &Unlimited,
            now: moment.now,
            sending: moment.sending,
        };
        let scratch = &mut self.scratch;
        let customer = std::str::from_utf8(&scratch.id).expect("only text is taken for a customer's id");
        let wake = judge(circumstances, customer, &scratch.seen, &mut record, &mut scratch.decided);
        out.add_commands(customer, &mut scratch.decided);
        if had_record || !record.is_empty() {
            self.keep_record(slot, &record);
        }
        self.look_again(slot, &wake, !record.is_empty(), moment);
    }

    fn keep_record(&mut self, slot: Slot, record: &Record) {
        self.counts.add_record(&self.config.rules, record);
        self.scratch.record.clear();
        encode_record(record, &mut self.scratch.record);
        self.take_record(slot);
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
            let gate = wake.blocked.iter().filter(|blocked| blocked.by == crate::retention::decide::Obstacle::Gate);
            let waits: Vec<_> = gate.map(|blocked| (blocked.policy, blocked.deadline)).collect();
            self.wait_for_gate(slot, &waits);
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

    fn wait_for_gate(&mut self, slot: Slot, blocked: &[(PolicyIndex, Timestamp)]) {
        let before: Vec<_> = self.waiting.of(slot).collect();
        if before != blocked {
            self.waiting.replace(slot, blocked);
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
