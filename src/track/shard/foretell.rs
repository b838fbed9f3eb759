//! What falls due per day for a year ahead, and what other rules would change about it. A scan in portions:
//! customers that change meanwhile are counted as they are when the scan comes to them.

use super::Shard;
use super::survey::{RECORD_STEPS, Remembered};
use crate::config::Config;
use crate::retention::activity::{KindTag, LastSeen};
use crate::retention::almanac::Almanac;
use crate::retention::calendar::Timestamp;
use crate::retention::decide::{Circumstances, Sending, Unlimited};
use crate::retention::forecast::{PolicyForecast, Tally};
use crate::retention::gate::GateTable;
use crate::retention::policy::Rulebook;
use crate::track::table::Slot;
use chrono::NaiveDate;
use std::sync::Arc;

/// A forecast under way.
#[derive(Debug)]
pub struct Foretelling {
    now: Timestamp,
    next: Slot,
    tally: Tally,
    other: Option<Other>,
}

/// Another configuration's forecast of the same customers.
#[derive(Debug)]
struct Other {
    config: Arc<Config>,
    almanac: Almanac,
    gate: GateTable,
    tally: Tally,
    /// By kind of it: the place of the kind in the shard.
    kinds: Vec<(KindTag, Option<usize>)>,
    /// By policy of it: the place of the policy of that name in the rules in force.
    before: Vec<Option<usize>>,
    shifts: Vec<Shift>,
    /// Of policies that are no longer there.
    dropped: Vec<(usize, Shift)>,
}

/// Whom a change of configuration hits at once in one policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shift {
    pub policy: String,
    /// Customers to whom something is due at once that was not.
    pub becomes_due: u64,
    /// Customers to whom something was due, and no longer is.
    pub no_longer_due: u64,
}

/// A year ahead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foretold {
    /// Today.
    pub first: NaiveDate,
    pub policies: Vec<PolicyForecast>,
    /// Under the other configuration, and the difference it makes.
    pub other: Option<(Vec<PolicyForecast>, Vec<Shift>)>,
}

impl Foretelling {
    /// Begins; `wall` is the asker's clock, `other` another configuration to hold against the one in force.
    pub fn new(shard: &Shard, wall: Timestamp, other: Option<Arc<Config>>) -> Foretelling {
        let now = shard.now.unwrap_or(wall);
        let rules = &shard.config.rules;
        let other = other.map(|config| Other::new(shard, config, now));
        Foretelling { now, next: Slot(0), tally: Tally::new(rules, now), other }
    }

    /// Goes on in the same shard, for at most about so many steps, which it takes from them; the forecast,
    /// when it is complete.
    pub fn step(&mut self, shard: &Shard, steps: &mut usize) -> Option<Foretold> {
        let gate = Remembered { gate: &shard.gate, now: self.now };
        let circumstances = shard.circumstances(&gate, &Unlimited, self.now);
        let (mut seen, mut due, mut due_then) = (Vec::new(), Vec::new(), Vec::new());
        for slot in shard.table.slots_from(self.next) {
            let record = shard.table.record(slot);
            let cost = if record.is_some() { RECORD_STEPS } else { 1 } * if self.other.is_some() { 3 } else { 1 };
            if *steps < cost {
                self.next = slot;
                *steps = 0;
                return None;
            }
            *steps -= cost;
            seen.clear();
            seen.extend(shard.table.seen(slot));
            let record = record.map(super::decoded);
            let asks = self.other.is_some().then_some(&mut due);
            self.tally.add(circumstances, &seen, record.as_ref(), asks);
            if let Some(other) = &mut self.other {
                let seen: Vec<LastSeen> = other.seen(shard, slot, &seen);
                let gate = Remembered { gate: &other.gate, now: self.now };
                let circumstances = circumstances_of(&other.config.rules, &other.almanac, &gate, self.now);
                other.tally.add(circumstances, &seen, record.as_ref(), Some(&mut due_then));
                other.note_shifts(&due, &due_then);
            }
        }
        Some(self.finish(circumstances))
    }

    fn finish(&mut self, circumstances: Circumstances<'_>) -> Foretold {
        let now = self.now;
        let empty = |rules: &Rulebook| Tally::new(rules, now);
        let tally = std::mem::replace(&mut self.tally, empty(circumstances.rules));
        let first = tally.first;
        let other = self.other.take().map(|mut other| {
            let gate = Remembered { gate: &other.gate, now };
            let circumstances = circumstances_of(&other.config.rules, &other.almanac, &gate, now);
            let foretold = other.tally.finish(circumstances);
            other.shifts.extend(other.dropped.into_iter().map(|(_, shift)| shift));
            (foretold, other.shifts)
        });
        Foretold { first, policies: tally.finish(circumstances), other }
    }
}

fn circumstances_of<'a>(
    rules: &'a Rulebook,
    almanac: &'a Almanac,
    gate: &'a Remembered<'a>,
    now: Timestamp,
) -> Circumstances<'a> {
    Circumstances { rules, almanac, gate, allowance: &Unlimited, now, sending: Sending::All }
}

impl Other {
    fn new(shard: &Shard, config: Arc<Config>, now: Timestamp) -> Other {
        let (rules, before) = (&config.rules, &shard.config.rules);
        let place = |tag: KindTag| before.kinds.iter().position(|kind| kind.tag == tag);
        let shift = |policy: &str| Shift { policy: policy.to_owned(), ..Shift::default() };
        let is_dropped = |policy: &&crate::retention::policy::Policy| rules.policy_by_key(&policy.key).is_none();
        let places = before.policies.iter().enumerate().filter(|(_, policy)| is_dropped(policy));
        Other {
            almanac: Almanac::new(rules.zone),
            gate: GateTable::new(rules, config.hash, shard.gate.memory().as_ref().clone()),
            tally: Tally::new(rules, now),
            kinds: rules.kinds.iter().map(|kind| (kind.tag, place(kind.tag))).collect(),
            before: rules
                .policies
                .iter()
                .map(|policy| before.policy_by_key(&policy.key).map(|index| usize::from(index.0)))
                .collect(),
            shifts: rules.policies.iter().map(|policy| shift(&policy.key)).collect(),
            dropped: places.map(|(place, policy)| (place, shift(&policy.key))).collect(),
            config,
        }
    }

    /// What was seen, in the order of its kinds; one that no rule in force names may have been kept.
    fn seen(&self, shard: &Shard, slot: Slot, seen: &[LastSeen]) -> Vec<LastSeen> {
        let foreign = shard.table.foreign(slot);
        let of = |(tag, place): &(KindTag, Option<usize>)| match place {
            Some(place) => seen[*place],
            None => foreign.iter().find(|(kind, _)| kind == tag).map_or(LastSeen::NEVER, |(_, seen)| *seen),
        };
        self.kinds.iter().map(of).collect()
    }

    fn note_shifts(&mut self, due: &[bool], due_then: &[bool]) {
        for ((shift, before), then) in self.shifts.iter_mut().zip(&self.before).zip(due_then) {
            let before = before.is_some_and(|place| due[place]);
            shift.becomes_due += u64::from(*then && !before);
            shift.no_longer_due += u64::from(before && !*then);
        }
        for (place, shift) in &mut self.dropped {
            shift.no_longer_due += u64::from(due[*place]);
        }
    }
}
