//! Customers to whom something would leave now but for the gate.

use super::table::Slot;
use crate::retention::calendar::Timestamp;
use crate::retention::policy::PolicyIndex;
use std::collections::{BTreeMap, BTreeSet};

/// By policy, ordered by the deadline that the gate has to prove.
#[derive(Debug, Default)]
pub struct Waiting {
    by_deadline: Vec<BTreeSet<(Timestamp, Slot)>>,
    by_slot: BTreeMap<(Slot, PolicyIndex), Timestamp>,
}

impl Waiting {
    pub fn new(policies: usize) -> Waiting {
        Waiting { by_deadline: vec![BTreeSet::new(); policies], by_slot: BTreeMap::new() }
    }

    /// For what a slot waits.
    pub fn of(&self, slot: Slot) -> impl Iterator<Item = (PolicyIndex, Timestamp)> {
        let policies = (slot, PolicyIndex(0))..=(slot, PolicyIndex(u16::MAX));
        self.by_slot.range(policies).map(|((_, policy), deadline)| (*policy, *deadline))
    }

    /// From now on a slot waits for this and nothing else; of several deadlines of one policy for the
    /// first.
    pub fn replace(&mut self, slot: Slot, waits: &[(PolicyIndex, Timestamp)]) {
        for policy in 0..self.by_deadline.len() {
            let policy = PolicyIndex(u16::try_from(policy).unwrap_or(u16::MAX));
            let deadline = waits.iter().filter(|(of, _)| *of == policy).map(|(_, deadline)| *deadline).min();
            self.replace_one(slot, policy, deadline);
        }
    }

    fn replace_one(&mut self, slot: Slot, policy: PolicyIndex, deadline: Option<Timestamp>) {
        let before = match deadline {
            Some(deadline) => self.by_slot.insert((slot, policy), deadline),
            None => self.by_slot.remove(&(slot, policy)),
        };
        if before == deadline {
            return;
        }
        let by_deadline = &mut self.by_deadline[usize::from(policy.0)];
        if let Some(before) = before {
            by_deadline.remove(&(before, slot));
        }
        if let Some(deadline) = deadline {
            by_deadline.insert((deadline, slot));
        }
    }

    /// The slots whose deadline for a policy is proven, at most `count`.
    pub fn proven(&self, policy: PolicyIndex, up_to: Timestamp, count: usize) -> impl Iterator<Item = Slot> {
        let proven = self.by_deadline[usize::from(policy.0)].range(..=(up_to, Slot(u32::MAX)));
        proven.map(|(_, slot)| *slot).take(count)
    }

    /// How many customers wait for a policy.
    pub fn count(&self, policy: PolicyIndex) -> usize {
        self.by_deadline[usize::from(policy.0)].len()
    }

    /// The oldest deadline that waits to be proven for a policy.
    pub fn oldest(&self, policy: PolicyIndex) -> Option<Timestamp> {
        self.by_deadline[usize::from(policy.0)].first().map(|(deadline, _)| *deadline)
    }

    pub fn is_empty(&self) -> bool {
        self.by_slot.is_empty()
    }

    pub fn memory_bytes(&self) -> usize {
        let entry = size_of::<(Timestamp, Slot)>() + size_of::<(Slot, PolicyIndex, Timestamp)>();
        self.by_slot.len() * entry * 3 / 2
    }
}
