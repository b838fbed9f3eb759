//! What the status of a shard is made of.

use super::{Shard, Stats};
use crate::retention::brake::{PolicyBrake, limit};
use crate::retention::calendar::{Seconds, Timestamp};
use crate::retention::gate::{Acceptable, Doubt};
use crate::retention::policy::SourceIndex;

/// A shard at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Overview {
    /// The newest append time it has read; `None`: it has read nothing since it was opened.
    pub now: Option<Timestamp>,
    pub stats: Stats,
    /// In the order of the configuration's sources.
    pub sources: Vec<SourceOverview>,
    /// In the order of the configuration's policies.
    pub policies: Vec<PolicyOverview>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SourceOverview {
    pub open: bool,
    /// How far what is proven lies behind; `None`: nothing is.
    pub lag: Option<Seconds>,
    pub doubts: Vec<Doubt>,
    /// What a person can answer for now.
    pub acceptable: Vec<Acceptable>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct PolicyOverview {
    /// `None`: nothing has been read under its version yet.
    pub brake: Option<PolicyBrake>,
    /// Customers it may send something in a day, releases apart.
    pub limit: u64,
}

impl Shard {
    /// Gate, brakes and counts. Costs no more than there are sources, partitions and policies.
    pub fn overview(&self) -> Overview {
        let now = self.now.unwrap_or(Timestamp::MIN);
        let source = |place: usize| {
            let index = SourceIndex(u16::try_from(place).unwrap_or(u16::MAX));
            SourceOverview {
                open: self.gate.is_open(index, now),
                lag: self.gate.lag(index, now),
                doubts: self.gate.doubts(index, now),
                acceptable: [Acceptable::Silence, Acceptable::Rejects, Acceptable::Gap]
                    .into_iter()
                    .filter(|doubt| !self.gate.to_accept(index, *doubt, now).is_empty())
                    .collect(),
            }
        };
        let rules = &self.config.rules;
        let policies = rules.policies.iter().enumerate().map(|(place, policy)| PolicyOverview {
            brake: self.brakes.policies.get(&policy.key).cloned(),
            limit: limit(policy.brake, self.covered(place)),
        });
        Overview {
            now: self.now,
            stats: self.stats(),
            sources: (0..rules.sources.len()).map(source).collect(),
            policies: policies.collect(),
        }
    }
}
