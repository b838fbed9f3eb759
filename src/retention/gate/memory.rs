//! What a shard must not forget of its gate. It stands in the shard's changelog.

use crate::retention::calendar::Timestamp;
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
}

/// How a partition was read when it was first heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeardPartition {
    pub reading: u64,
    pub first_read: Timestamp,
}

impl Memory {
    /// Drops topics that the configuration no longer reads: `is_read` tells from the key of a source
    /// and the topic. Without this they would count as gone.
    pub fn retain_topics(&mut self, is_read: impl Fn(&str, &str) -> bool) {
        for (source, memory) in &mut self.sources {
            memory.partitions.retain(|topic, _| is_read(source, topic));
        }
    }
}
