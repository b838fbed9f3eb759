//! Where one customer stands, and whom of a target's own list we know.

use super::Shard;
use super::survey::Remembered;
use crate::retention::activity::LastSeen;
use crate::retention::brake::Braking;
use crate::retention::calendar::Timestamp;
use crate::retention::customer::Record;
use crate::retention::decide::{Farewell, Outlook, Standing, Unlimited, explain, standing_at};
use crate::retention::gate::Doubt;
use crate::retention::policy::{SourceIndex, TargetIndex};

/// What is known of one customer.
#[derive(Clone, Debug, PartialEq)]
pub struct Explained {
    /// The shard's now, as of which it is told.
    pub now: Timestamp,
    /// `None`: there is no record of the customer.
    pub known: Option<Known>,
    /// What was left when our record of them went.
    pub forgotten: Option<Farewell>,
    /// Since its log is behind the clock, nothing but recalls leaves the shard.
    pub is_behind: bool,
    /// Sources whose gate is closed, in the order of the configuration, and why.
    pub closed: Vec<(SourceIndex, Vec<Doubt>)>,
}

/// A customer's state and what comes of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// By kind in the order of the rules, those that were seen; at day resolution the local day's last second.
    pub last_seen: Vec<(String, Timestamp)>,
    /// What was told and sent.
    pub record: Record,
    /// By policy.
    pub outlooks: Vec<Outlook>,
}

/// How one id of a target's own list stands with us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reconciled {
    /// No source has ever told of it, or what was left of it has been let go.
    Unknown,
    /// Everything was removed, at this target, too, and it has said so.
    Forgotten,
    /// Something that removes is due there, or was sent and not answered.
    Due,
    Fine,
}

impl Shard {
    /// Where a customer stands. `wall` is the asker's clock.
    pub fn explain(&self, customer: &[u8], wall: Timestamp) -> Explained {
        let now = self.now.unwrap_or(wall);
        let forgotten = self.forgotten.get(self.config.evidence.pseudonyms.of(customer)).cloned();
        let is_behind = wall - now > self.config.rules.gate_lag_max;
        let sources =
            (0..self.config.rules.sources.len()).map(|place| SourceIndex(u16::try_from(place).unwrap_or(u16::MAX)));
        let closed = sources.filter(|source| !self.gate.is_open(*source, now));
        let closed = closed.map(|source| (source, self.gate.doubts(source, now))).collect();
        Explained { now, known: self.known(customer, now), forgotten, is_behind, closed }
    }

    fn known(&self, customer: &[u8], now: Timestamp) -> Option<Known> {
        let slot = self.table.find(customer)?;
        let seen: Vec<LastSeen> = self.table.seen(slot).collect();
        let record = self.table.record(slot).map(super::decoded).unwrap_or_default();
        let (standing, covered) = (self.standing(now), self.covered_by_policy());
        let braking = Braking { rules: &self.config.rules, brakes: &self.brakes, covered: &covered };
        let outlooks = explain(self.circumstances(&standing, &braking, now), &seen, &record);
        let kinds = self.config.rules.kinds.iter().zip(&seen);
        let last_seen = kinds.filter_map(|(kind, seen)| Some((kind.name.clone(), seen.timestamp()?)));
        Some(Known { last_seen: last_seen.collect(), record, outlooks })
    }

    /// How an id that a target has on its list stands with us.
    pub fn reconcile(&self, target: TargetIndex, customer: &[u8], wall: Timestamp) -> Reconciled {
        let now = self.now.unwrap_or(wall);
        let Some(slot) = self.table.find(customer) else {
            let pseudonym = self.config.evidence.pseudonyms.of(customer);
            let is_left = self.forgotten.get(pseudonym).is_some();
            return if is_left { Reconciled::Forgotten } else { Reconciled::Unknown };
        };
        let seen: Vec<LastSeen> = self.table.seen(slot).collect();
        let record = self.table.record(slot).map(super::decoded).unwrap_or_default();
        let gate = Remembered { gate: &self.gate, now };
        match standing_at(self.circumstances(&gate, &Unlimited, now), target, &seen, &record) {
            Standing::Fine => Reconciled::Fine,
            Standing::Due => Reconciled::Due,
            Standing::Removed => Reconciled::Forgotten,
        }
    }
}
