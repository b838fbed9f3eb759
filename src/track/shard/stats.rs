//! What metrics and status show of a shard.

use super::Shard;
use crate::retention::brake::PolicyBrake;
use crate::retention::calendar::Timestamp;
use crate::retention::gate::KnownSince;
use crate::retention::policy::PolicyIndex;
use crate::track::waiting::{Lane, Queue};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    pub customers: u64,
    /// Customers who are due in no policy, ever, as things stand.
    pub without_starting_point: u64,
    /// In the order of the configuration's policies.
    pub policies: Vec<PolicyStats>,
    /// In the order of the configuration's targets: commands and recalls that wait for an answer.
    pub unacknowledged: Vec<u64>,
    /// The same: of them those whose lease has run out once or more, or that the target failed.
    pub overdue: Vec<u64>,
    /// The oldest request that has left and waits for an answer, to the minute.
    pub oldest_unanswered_request: Option<Timestamp>,
    /// Customers with starting points only in policies that don't apply to them.
    pub uncovered: u64,
    /// Customers held because there was no room for something that was told of them.
    pub overflowed: u64,
    /// Those whose record is gone.
    pub forgotten: u64,
    /// Late signals about them since the shard was opened.
    pub suppressed: u64,
    pub memory_bytes: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyStats {
    /// Customers whom the policy covers and has sent nothing.
    pub active: u64,
    /// By stage: customers for whom it was the last that was sent.
    pub sent: Vec<u64>,
    /// Customers to whom a command would leave now but for the gate or the brake.
    pub due_unsent: u64,
    /// Of them those for whom a release is waited.
    pub waiting_for_release: u64,
    /// Requests that wait because the policy isn't enforced.
    pub withheld_requests: u64,
    /// The oldest deadline of a request that waits, for whatever.
    pub oldest_request: Option<Timestamp>,
    /// Nothing more leaves until a person releases it.
    pub brake_engaged: bool,
    /// The oldest deadline among them.
    pub oldest_due: Option<Timestamp>,
}

impl Shard {
    /// What metrics and status show. Costs no more than there are policies and targets.
    pub fn stats(&self) -> Stats {
        let customers = self.table.len() as u64;
        let everyone_counts = self.known_since.iter().any(|known| matches!(known, KnownSince::At(_)));
        Stats {
            customers,
            without_starting_point: if everyone_counts { 0 } else { customers - self.counts.started },
            policies: (0..self.config.rules.policies.len()).map(|policy| self.policy_stats(policy)).collect(),
            unacknowledged: self.counts.unacknowledged.clone(),
            overdue: self.counts.overdue.clone(),
            oldest_unanswered_request: self.counts.unanswered_requests.keys().next().copied(),
            uncovered: self.counts.uncovered,
            overflowed: self.counts.overflowed,
            forgotten: self.forgotten.len() as u64,
            suppressed: self.suppressed,
            memory_bytes: self.memory_bytes(),
        }
    }

    fn policy_stats(&self, policy: usize) -> PolicyStats {
        let counts = &self.counts.policies[policy];
        let index = PolicyIndex(u16::try_from(policy).unwrap_or(u16::MAX));
        let queue = |lane: &Lane| Queue { policy: index, lane: *lane };
        let due = Lane::UNSENT.iter().filter(|lane| **lane != Lane::RequestMode).map(queue);
        let waiting = |lanes: &[Lane]| lanes.iter().map(|lane| self.waiting.count(queue(lane)) as u64).sum();
        let brake = self.brakes.policies.get(&self.config.rules.policies[policy].key);
        PolicyStats {
            active: self.covered(policy).saturating_sub(counts.sent.iter().sum()),
            sent: counts.sent.clone(),
            due_unsent: due.clone().map(|queue| self.waiting.count(queue) as u64).sum(),
            oldest_due: due.filter_map(|queue| self.waiting.oldest(queue)).min(),
            waiting_for_release: waiting(&Lane::BRAKES),
            withheld_requests: waiting(&[Lane::RequestMode]),
            oldest_request: Lane::REQUESTS.iter().filter_map(|lane| self.waiting.oldest(queue(lane))).min(),
            brake_engaged: brake.is_some_and(PolicyBrake::is_engaged),
        }
    }

    /// How many customers a policy covers here.
    pub(super) fn covered(&self, policy: usize) -> u64 {
        match self.known_since.get(policy) {
            Some(KnownSince::At(_)) => self.table.len() as u64,
            _ => self.counts.policies[policy].started,
        }
    }

    /// Everything that grows with the customers, in bytes.
    pub fn memory_bytes(&self) -> usize {
        let table = self.table.memory_bytes() + self.due.memory_bytes();
        table + self.waiting.memory_bytes() + self.forgotten.memory_bytes()
    }
}
