//! Why a source's progress doesn't count.

use super::Acceptable;
use crate::retention::calendar::Timestamp;
use std::fmt;

/// One reason, as of one moment. Status, metrics and `explain` show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// No topic of the source is known.
    NoTopic,
    /// A topic that the configuration names, or that once was read, is not there.
    TopicGone { topic: String },
    /// No instance has reported on the partition under this configuration.
    PartitionUnheard { topic: String, partition: u32 },
    /// What is proven of the source lies too far back, or nothing is.
    Behind { complete_to: Option<Timestamp> },
    /// The rule has matched nothing in the topic since `since`, or never.
    Silent { topic: String, rule: usize, since: Option<Timestamp> },
    /// The rule was silent in the topic, and must speak as long as it was.
    WasSilent { topic: String, rule: usize, until: Timestamp },
    /// More rejects than `max_rejects`; any of them may be a sign of life.
    Rejects,
    /// Records are missing since `since`.
    Gap { topic: String, partition: u32, since: Timestamp },
    /// The partition was read before, and then read again as if for the first time.
    CommitLost { topic: String, partition: u32 },
    /// An instance with another configuration was heard at `at`, and may still be there.
    InstancesDiffer { at: Timestamp },
    /// An instance said at `at` only that it is there. It closes no gate, but tells why one is.
    NothingReported { at: Timestamp },
}

impl Doubt {
    /// The kinds, as metrics name them.
    pub const NAMES: [&'static str; 11] = [
        "no_topic",
        "topic_gone",
        "partition_unheard",
        "behind",
        "silent",
        "was_silent",
        "rejects",
        "gap",
        "commit_lost",
        "instances_differ",
        "nothing_reported",
    ];

    /// As what a person can accept it.
    pub fn acceptable(&self) -> Option<Acceptable> {
        match self {
            Doubt::Silent { .. } | Doubt::WasSilent { .. } => Some(Acceptable::Silence),
            Doubt::Rejects => Some(Acceptable::Rejects),
            Doubt::Gap { .. } | Doubt::CommitLost { .. } => Some(Acceptable::Gap),
            _ => None,
        }
    }

    /// Its kind, as metrics name it.
    pub fn name(&self) -> &'static str {
        match self {
            Doubt::NoTopic => "no_topic",
            Doubt::TopicGone { .. } => "topic_gone",
            Doubt::PartitionUnheard { .. } => "partition_unheard",
            Doubt::Behind { .. } => "behind",
            Doubt::Silent { .. } => "silent",
            Doubt::WasSilent { .. } => "was_silent",
            Doubt::Rejects => "rejects",
            Doubt::Gap { .. } => "gap",
            Doubt::CommitLost { .. } => "commit_lost",
            Doubt::InstancesDiffer { .. } => "instances_differ",
            Doubt::NothingReported { .. } => "nothing_reported",
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Doubt::NoTopic => f.write_str("none of its topics is known"),
            Doubt::TopicGone { topic } => write!(f, "topic {topic} is not there"),
            Doubt::PartitionUnheard { topic, partition } => {
                write!(f, "no instance reports on {topic}[{partition}] under this configuration")
            }
            Doubt::Behind { complete_to: None } => f.write_str("it has not been read to its end yet"),
            Doubt::Behind { complete_to: Some(at) } => write!(
                f,
                "it is read only up to {}: there is much to read, nobody reads it, or a transaction is open in it",
                at.to_utc_string()
            ),
            Doubt::Silent { topic, rule, since: None } => write!(f, "rule {rule} has never matched in topic {topic}"),
            Doubt::Silent { topic, rule, since: Some(since) } => {
                write!(f, "rule {rule} has matched nothing in topic {topic} since {}", since.to_utc_string())
            }
            Doubt::WasSilent { topic, rule, until } => write!(
                f,
                "rule {rule} was silent in topic {topic} and must keep speaking until {}",
                until.to_utc_string()
            ),
            Doubt::Rejects => f.write_str("more of its records were rejected than `max_rejects` allows"),
            Doubt::Gap { topic, partition, since } => {
                write!(f, "records of {topic}[{partition}] are missing since {}", since.to_utc_string())
            }
            Doubt::CommitLost { topic, partition } => {
                write!(f, "how far {topic}[{partition}] had been read was lost, so records may be missing")
            }
            Doubt::InstancesDiffer { at } => {
                write!(f, "an instance with another configuration was there at {}", at.to_utc_string())
            }
            Doubt::NothingReported { at } => write!(
                f,
                "an instance reported nothing at {}: its clock and this shard's broker's differ by over a minute, or \
                 it has not seen the topics yet",
                at.to_utc_string()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_name() {
        let (topic, partition, rule, at) = (String::new(), 0, 0, Timestamp(0));
        let all = [
            Doubt::NoTopic,
            Doubt::TopicGone { topic: topic.clone() },
            Doubt::PartitionUnheard { topic: topic.clone(), partition },
            Doubt::Behind { complete_to: None },
            Doubt::Silent { topic: topic.clone(), rule, since: None },
            Doubt::WasSilent { topic: topic.clone(), rule, until: at },
            Doubt::Rejects,
            Doubt::Gap { topic: topic.clone(), partition, since: at },
            Doubt::CommitLost { topic, partition },
            Doubt::InstancesDiffer { at },
            Doubt::NothingReported { at },
        ];
        assert_eq!(all.each_ref().map(Doubt::name), Doubt::NAMES);
    }
}
