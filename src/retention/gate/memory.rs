//! What a shard must not forget of its gate. It stands in the shard's changelog.

use super::acceptance::{AcceptedRejects, AcceptedSilence};
use crate::retention::calendar::Timestamp;
use crate::retention::progress::PartitionProgress;
use std::collections::BTreeMap;

/// By key of the source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    pub sources: BTreeMap<String, SourceMemory>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceMemory {
    /// The reading under which rejects exceeded `max_rejects`: in doubt until it changes.
    pub rejected_reading: Option<u64>,
    /// That doubt has been ended by reading again: what was rejected before may no longer be there, so
    /// the source's history begins with what it could show then.
    pub begins_anew: bool,
    /// Where it began anew: no rule's history is known before, save those with `history_from: beginning`.
    pub unknown_before: Option<Timestamp>,
    /// Latest history of any of its rules without `history_from: beginning`. A retired source is asked
    /// for it when nobody reports on it any more.
    pub known_since: Option<Timestamp>,
    /// By topic and partition, all that were ever heard of under the last reading.
    pub partitions: BTreeMap<String, BTreeMap<u32, HeardPartition>>,
    /// By topic and place of the rule: silences that a person has answered for.
    pub silences: BTreeMap<String, BTreeMap<u16, AcceptedSilence>>,
}

/// How a partition was read when it was first heard of, what is doubtful about it since, and what a person
/// has answered for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeardPartition {
    pub reading: u64,
    pub first_read: Timestamp,
    /// Since when records are missing.
    pub gap: Option<Timestamp>,
    /// A gap that a person has answered for. It is reported for as long as it isn't read again.
    pub accepted_gap: Option<Timestamp>,
    /// When it was read as if for the first time, though it had been read before.
    pub lost: Option<Timestamp>,
    pub rejects: AcceptedRejects,
}

impl HeardPartition {
    pub fn new(reading: u64, first_read: Timestamp) -> HeardPartition {
        let rejects = AcceptedRejects::Nothing;
        HeardPartition { reading, first_read, gap: None, accepted_gap: None, lost: None, rejects }
    }

    /// Takes in a report under the same reading.
    pub fn hear(&mut self, report: &PartitionProgress) {
        if report.first_read == self.first_read {
            self.rejects = self.rejects.hear(report);
        } else {
            // Its counts have begun anew.
            (self.lost, self.rejects) = (Some(report.first_read), AcceptedRejects::Nothing);
        }
        if report.gap.is_some() && report.gap != self.accepted_gap {
            self.gap = report.gap;
        }
    }

    /// Whether records may be missing for which nobody answers.
    pub fn has_gap(&self) -> bool {
        self.gap.is_some() || self.lost.is_some()
    }

    /// A person answers for what may be missing.
    pub fn accept_gap(&mut self) {
        self.accepted_gap = self.gap.take().or(self.accepted_gap);
        self.first_read = self.lost.take().unwrap_or(self.first_read);
    }
}

impl SourceMemory {
    /// What a person has said of a rule's silence in a topic.
    pub fn accepted_silence(&self, topic: &str, rule: usize) -> Option<AcceptedSilence> {
        let rules = self.silences.get(topic)?;
        rules.get(&u16::try_from(rule).ok()?).copied()
    }
}

impl Memory {
    /// Drops topics that the configuration no longer reads: `is_read` tells from the key of a source
    /// and the topic. Without this they would count as gone.
    pub fn retain_topics(&mut self, is_read: impl Fn(&str, &str) -> bool) {
        for (source, memory) in &mut self.sources {
            memory.partitions.retain(|topic, _| is_read(source, topic));
            memory.silences.retain(|topic, _| is_read(source, topic));
        }
    }
}
