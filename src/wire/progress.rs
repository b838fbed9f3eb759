//! Ingest's report on how far source partitions have been read, and what it saw. One record per
//! instance and shard, at most every ten seconds, without a key.

use crate::retention::calendar::Timestamp;

/// First 16 bytes of SHA-256 of the configuration in force, all but `http`, `kafka` and secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConfigHash(pub [u8; 16]);

#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    pub config: ConfigHash,
    /// The sources' topics with their partition counts, as the brokers tell them.
    pub topics: Vec<TopicPartitions>,
    /// One per partition this instance reads.
    pub partitions: Vec<PartitionProgress>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPartitions {
    pub topic: String,
    /// Key of its source.
    pub source: String,
    pub partitions: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct PartitionProgress {
    /// Key of the source.
    pub source: String,
    pub topic: String,
    pub partition: u32,
    /// Everything appended before this instant has been read and handed to this shard; `None`: not
    /// known yet.
    pub complete_to: Option<Timestamp>,
    /// No commit was found, so it was read from its beginning.
    pub first_read: bool,
    /// Since when records are missing: the committed offset lay below the log start or above its end.
    pub gap: Option<Timestamp>,
    /// Of the last hour.
    pub records_last_hour: u64,
    pub rejects_last_hour: u64,
    /// Since the last re-read.
    pub rejects_total: u64,
    /// In the order of the source's rules.
    pub rules: Vec<RuleFacts>,
}

/// What one rule has seen in one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleFacts {
    /// Newest matched record's own timestamp.
    pub newest_match: Option<Timestamp>,
    /// The last silence longer than the rule's `max_silence` whose doubt may still stand: from the
    /// match before it to the match after it. Two that overlap in doubt are joined.
    pub silence: Option<(Timestamp, Timestamp)>,
    /// What the partition can still show of it, lateness included; `None`: `beginning`, or a partition
    /// that joined later with log start 0.
    pub known_since: Option<Timestamp>,
}
