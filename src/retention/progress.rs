//! Facts about sources: how far their partitions have been read, and what was seen there. Ingest
//! reports them, [`super::gate`] judges them.

use super::calendar::{Seconds, Timestamp};

/// First 16 bytes of SHA-256 of the configuration in force, all but `http`, `kafka` and secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConfigHash(pub [u8; 16]);

/// One report of one ingest instance to one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    pub config: ConfigHash,
    /// All sources' topics with their partition counts, as the brokers tell them. A topic that the
    /// configuration names and no broker knows has 0 partitions.
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
    /// For how long the topic keeps its records; `None`: for ever, or nobody knows.
    pub kept_for: Option<Seconds>,
}

/// Stands by itself: all facts are as of `complete_to`, or later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionProgress {
    /// Key of the source.
    pub source: String,
    pub topic: String,
    pub partition: u32,
    /// Hash of all that decides what the source's records mean.
    pub reading: u64,
    /// When the partition was first read, no commit of it having been found. The commit keeps it, also
    /// through another reading; so two different ones mean that the commit was lost between them.
    pub first_read: Timestamp,
    /// Everything appended before this instant has been read and handed to this shard, and there were
    /// no other topics and partitions then; `None`: not known yet.
    pub complete_to: Option<Timestamp>,
    /// Since when records are missing: the committed offset lay below the log start or above its end.
    pub gap: Option<Timestamp>,
    /// Of the last hour.
    pub records_last_hour: u64,
    pub rejects_last_hour: u64,
    /// Since it was last read from its beginning.
    pub rejects_total: u64,
    /// How far back it could show anything when it was last read from its beginning.
    pub shown: History,
    /// In the order of the source's rules.
    pub rules: Vec<RuleFacts>,
}

/// What one rule has seen in one partition. Times are the records' own timestamps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleFacts {
    /// The oldest and the newest record it matched.
    pub matched: Option<Matched>,
    /// Ended silences longer than the rule's `max_silence` whose doubt may still stand, oldest first,
    /// none overlapping. At most [`SILENCES_MAX`]: beyond that neighbours are reported as one.
    pub silences: Vec<Silence>,
    /// How far back it shows what the rule is after: further than [`PartitionProgress::shown`] where the
    /// rule was there before the last reading from the beginning.
    pub history: History,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matched {
    pub first: Timestamp,
    pub newest: Timestamp,
}

/// From one match to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence {
    pub from: Timestamp,
    pub to: Timestamp,
}

/// How many silences a rule reports of a partition. A silence is reported for as long as it lasted, so
/// at any moment there is one on average, however rarely the partition speaks.
pub const SILENCES_MAX: usize = 4;

/// How far back a partition shows things.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum History {
    /// Not known yet.
    #[default]
    Unread,
    /// Everything: `history_from: beginning`, or a partition that joined later with log start 0.
    Whole,
    /// What happened before may be missing; lateness is included.
    Since(Timestamp),
    /// It was empty when it was first looked at, at this instant, and nothing had been deleted. That
    /// bounds a topic's history only where no other partition does.
    EmptyAt(Timestamp),
}
