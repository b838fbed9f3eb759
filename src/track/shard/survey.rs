//! Who is due in a shard by a date, and for what they would wait.

use super::Shard;
use crate::retention::brake::Braking;
use crate::retention::calendar::Timestamp;
use crate::retention::decide::{Circumstances, Prospect, Sending, Unlimited, prospects};
use crate::retention::gate::{Gate, KnownSince};
use crate::retention::policy::{FloorIndex, PolicyIndex};

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

/// What the gate remembers, everything proven: for questions, never for sending.
struct Remembered<'g> {
    shard: &'g Shard,
    now: Timestamp,
}

impl Gate for Remembered<'_> {
    fn proven_up_to(&self, _policy: PolicyIndex, _now: Timestamp) -> Option<Timestamp> {
        Some(self.now)
    }

    fn requests_proven_up_to(&self, _now: Timestamp) -> Option<Timestamp> {
        Some(self.now)
    }

    fn known_since(&self, policy: PolicyIndex) -> KnownSince {
        self.shard.gate.remembered_since(policy)
    }

    fn floor_known_since(&self, floor: FloorIndex) -> KnownSince {
        self.shard.gate.floor_remembered_since(floor)
    }
}

impl Shard {
    /// Those whose deadline in a policy lies before an instant, as things stand at `now`, in no
    /// particular order. Looks at every customer.
    pub fn due_before(&self, policy: PolicyIndex, before: Timestamp, now: Timestamp) -> Vec<Listed> {
        let covered: Vec<u64> = (0..self.config.rules.policies.len()).map(|place| self.covered(place)).collect();
        let braking = Braking { rules: &self.config.rules, brakes: &self.brakes, covered: &covered };
        let gate = Remembered { shard: self, now };
        let circumstances = Circumstances {
            rules: &self.config.rules,
            almanac: &self.almanac,
            gate: &gate,
            allowance: &Unlimited,
            now,
            sending: Sending::All,
        };
        let (mut listed, mut id, mut seen) = (Vec::new(), Vec::new(), Vec::new());
        for slot in self.table.slots() {
            seen.clear();
            seen.extend(self.table.seen(slot));
            let record = self.table.record(slot).map(super::decoded).unwrap_or_default();
            let found = prospects(circumstances, policy, &seen, &record);
            for prospect in found.into_iter().filter(|prospect| prospect.due.deadline < before) {
                id.clear();
                self.table.id(slot).write(&mut id);
                let customer = String::from_utf8_lossy(&id).into_owned();
                let waits = self.waits(&prospect, &braking);
                listed.push(Listed { customer, policy, prospect, waits });
            }
        }
        listed
    }

    fn waits(&self, prospect: &Prospect, braking: &Braking<'_>) -> Waits {
        use crate::retention::decide::Allowance;
        let policy = &self.config.rules.policies[usize::from(prospect.due.policy.0)];
        match policy.mode.allows(prospect.action) {
            false => Waits::Mode,
            true if braking.allows(prospect.due) => Waits::Gate,
            true => Waits::Release,
        }
    }
}
