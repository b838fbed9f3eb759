//! Who is due in a shard by a date, and for what they would wait.

use super::Shard;
use crate::retention::activity::LastSeen;
use crate::retention::brake::Braking;
use crate::retention::calendar::Timestamp;
use crate::retention::decide::{Allowance, Circumstances, Prospect, Sending, Unlimited, prospects, starting_point};
use crate::retention::gate::{Gate, GateTable, KnownSince};
use crate::retention::policy::{FloorIndex, PolicyIndex};
use crate::track::table::Slot;

/// One customer in one policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub customer: String,
    pub policy: PolicyIndex,
    pub prospect: Prospect,
    pub waits: Waits,
}

/// For what somebody waits who is due by then, as things stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// Their time, and the gate.
    Gate,
    /// The policy's mode.
    Mode,
    /// A person's release: of backlog, or because the brake is on.
    Release,
}

/// What a gate remembers, everything proven: for questions, never for sending.
pub(super) struct Remembered<'g> {
    pub gate: &'g GateTable,
    pub now: Timestamp,
}

impl Gate for Remembered<'_> {
    fn proven_up_to(&self, _policy: PolicyIndex, _now: Timestamp) -> Option<Timestamp> {
        Some(self.now)
    }

    fn requests_proven_up_to(&self, _now: Timestamp) -> Option<Timestamp> {
        Some(self.now)
    }

    fn known_since(&self, policy: PolicyIndex) -> KnownSince {
        self.gate.remembered_since(policy)
    }

    fn floor_known_since(&self, floor: FloorIndex) -> KnownSince {
        self.gate.floor_remembered_since(floor)
    }
}

/// A list of who is due that is drawn up in portions.
#[derive(Debug)]
pub struct Survey {
    policy: PolicyIndex,
    before: Timestamp,
    now: Timestamp,
    rows_max: usize,
    next: Slot,
    listing: Listing,
}

/// Who is due.
#[derive(Debug, Default)]
pub struct Listing {
    /// In no particular order; not more than were asked for.
    pub rows: Vec<Listed>,
    /// All rows there are.
    pub total: u64,
    /// Customers: one may be due by period and on request.
    pub customers: u64,
    /// Rows that wait for a release, and for the policy's mode.
    pub waiting_for_release: u64,
    pub waiting_for_mode: u64,
}

impl Survey {
    /// Of those whose deadline in a policy lies before an instant, as things stand at `now`.
    pub fn new(policy: PolicyIndex, before: Timestamp, now: Timestamp, rows_max: usize) -> Survey {
        Survey { policy, before, now, rows_max, next: Slot(0), listing: Listing::default() }
    }

    /// Goes on in the same shard, for at most about so many steps, which it takes from them; the list, when
    /// it is complete.
    pub fn step(&mut self, shard: &Shard, steps: &mut usize) -> Option<Listing> {
        let gate = Remembered { gate: &shard.gate, now: self.now };
        let covered = shard.covered_by_policy();
        let braking = Braking { rules: &shard.config.rules, brakes: &shard.brakes, covered: &covered };
        let circumstances = shard.circumstances(&gate, &Unlimited, self.now);
        let (mut id, mut seen) = (Vec::new(), Vec::new());
        for slot in shard.table.slots_from(self.next) {
            let record = shard.table.record(slot);
            let cost = if record.is_some() { RECORD_STEPS } else { 1 };
            if *steps < cost {
                self.next = slot;
                *steps = 0;
                return None;
            }
            *steps -= cost;
            seen.clear();
            seen.extend(shard.table.seen(slot));
            if record.is_none() && !is_due_by_period(circumstances, self.policy, self.before, &seen) {
                continue;
            }
            *steps = steps.saturating_sub(RECORD_STEPS);
            let record = record.map(super::decoded).unwrap_or_default();
            let found = prospects(circumstances, self.policy, &seen, &record);
            let mut is_listed = false;
            for prospect in found.into_iter().filter(|prospect| prospect.due.deadline < self.before) {
                is_listed = true;
                let waits = shard.waits(&prospect, &braking);
                self.listing.total += 1;
                self.listing.waiting_for_release += u64::from(waits == Waits::Release);
                self.listing.waiting_for_mode += u64::from(waits == Waits::Mode);
                if self.listing.rows.len() < self.rows_max {
                    id.clear();
                    shard.table.id(slot).write(&mut id);
                    let customer = String::from_utf8_lossy(&id).into_owned();
                    self.listing.rows.push(Listed { customer, policy: self.policy, prospect, waits });
                }
            }
            self.listing.customers += u64::from(is_listed);
        }
        Some(std::mem::take(&mut self.listing))
    }
}

/// Looking at a customer of whom more than activity is known costs about as much as so many others.
pub(super) const RECORD_STEPS: usize = 20;

/// Whether the first stage of a policy falls due before an instant for somebody who has only been seen.
fn is_due_by_period(
    circumstances: Circumstances<'_>,
    policy: PolicyIndex,
    before: Timestamp,
    seen: &[LastSeen],
) -> bool {
    let Circumstances { rules, almanac, gate, .. } = circumstances;
    let known = gate.known_since(policy);
    let policy = &rules.policies[usize::from(policy.0)];
    let start = starting_point(rules, almanac, &policy.since_last, seen, known);
    // Stages are in their order, so none falls due before the first.
    start.is_some_and(|start| almanac.deadline(policy.counted_from, policy.stages[0].after, start.at) < before)
}

impl Shard {
    /// Those whose deadline in a policy lies before an instant, as things stand at `now`, in no
    /// particular order. Looks at every customer.
    pub fn due_before(&self, policy: PolicyIndex, before: Timestamp, now: Timestamp) -> Vec<Listed> {
        let mut survey = Survey::new(policy, before, now, usize::MAX);
        survey.step(self, &mut usize::MAX.clone()).map_or_else(Vec::new, |listing| listing.rows)
    }

    pub(super) fn covered_by_policy(&self) -> Vec<u64> {
        (0..self.config.rules.policies.len()).map(|place| self.covered(place)).collect()
    }

    pub(super) fn circumstances<'s>(
        &'s self,
        gate: &'s dyn Gate,
        allowance: &'s dyn Allowance,
        now: Timestamp,
    ) -> Circumstances<'s> {
        let (rules, almanac) = (&self.config.rules, &self.almanac);
        Circumstances { rules, almanac, gate, allowance, now, sending: Sending::All }
    }

    fn waits(&self, prospect: &Prospect, braking: &Braking<'_>) -> Waits {
        let policy = &self.config.rules.policies[usize::from(prospect.due.policy.0)];
        match policy.mode.allows(prospect.action) {
            false => Waits::Mode,
            true if braking.allows(prospect.due) => Waits::Gate,
            true => Waits::Release,
        }
    }
}
