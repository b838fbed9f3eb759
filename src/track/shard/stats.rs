//! What metrics and status show of a shard.

use super::Shard;
use crate::retention::calendar::Timestamp;
use crate::retention::gate::KnownSince;
use crate::retention::policy::PolicyIndex;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    pub customers: u64,
    /// Customers who are due in no policy, ever, as things stand.
    pub without_starting_point: u64,
    /// In the order of the configuration's policies.
    pub policies: Vec<PolicyStats>,
    /// In the order of the configuration's targets: commands and recalls that wait for an answer.
    pub unacknowledged: Vec<u64>,
    pub memory_bytes: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyStats {
    /// Customers whom the policy covers and has sent nothing.
    pub active: u64,
    /// By stage: customers for whom it was the last that was sent.
    pub sent: Vec<u64>,
    /// Customers to whom a command would leave now but for the gate.
    pub due_unsent: u64,
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
            memory_bytes: self.memory_bytes(),
        }
    }

    fn policy_stats(&self, policy: usize) -> PolicyStats {
        let counts = &self.counts.policies[policy];
        let index = PolicyIndex(u16::try_from(policy).unwrap_or(u16::MAX));
        let covered = match self.known_since.get(policy) {
            Some(KnownSince::At(_)) => self.table.len() as u64,
            _ => counts.started,
        };
        PolicyStats {
            active: covered.saturating_sub(counts.sent.iter().sum()),
            sent: counts.sent.clone(),
            due_unsent: self.waiting.count(index) as u64,
            oldest_due: self.waiting.oldest(index),
        }
    }

    /// Everything that grows with the customers, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.table.memory_bytes() + self.due.memory_bytes() + self.waiting.memory_bytes()
    }
}
