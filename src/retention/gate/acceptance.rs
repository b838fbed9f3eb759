//! What a person can accept of a source that is in doubt, and how far their word reaches.
//!
//! It answers what is doubtful when it is given, as the shard's log has it, and ends with that: what comes
//! later is a new occurrence.

use crate::retention::calendar::{Seconds, Timestamp};
use crate::retention::progress::{PartitionProgress, Silence};
use std::fmt;

/// A kind of doubt that a person can answer for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Acceptable {
    Silence,
    Rejects,
    Gap,
}

impl Acceptable {
    pub const ALL: [Acceptable; 3] = [Acceptable::Silence, Acceptable::Rejects, Acceptable::Gap];

    pub fn name(self) -> &'static str {
        match self {
            Acceptable::Silence => "silence",
            Acceptable::Rejects => "rejects",
            Acceptable::Gap => "gap",
        }
    }
}

impl fmt::Display for Acceptable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A person's word for the silences of a rule in a topic that were too long at `at`, under `reading`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptedSilence {
    pub reading: u64,
    pub at: Timestamp,
    /// When the silence of that moment ended, that moment itself if there was none; `None`: it lasts.
    /// Neighbours that are reported as one with it later reach further, and are not meant.
    pub ended: Option<Timestamp>,
}

impl AcceptedSilence {
    /// Whether a silence that hasn't ended is meant; `MIN`: the rule has never matched.
    pub fn covers_open(&self, from: Timestamp, silence_max: Seconds) -> bool {
        self.ended.is_none() && self.was_too_long(from, silence_max)
    }

    pub fn covers(&self, silence: Silence, silence_max: Seconds) -> bool {
        let reaches = self.ended.is_none_or(|ended| silence.to <= ended);
        reaches && silence.from != Timestamp::MIN && self.was_too_long(silence.from, silence_max)
    }

    fn was_too_long(&self, from: Timestamp, silence_max: Seconds) -> bool {
        from == Timestamp::MIN || from + silence_max < self.at
    }
}

/// What a person has said of a partition's rejects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AcceptedRejects {
    #[default]
    Nothing,
    /// Those up to the next report are accepted: a restart may have forgotten the one before.
    UntilHeard,
    /// So many since it was last read from its beginning.
    UpTo(u64),
}

impl AcceptedRejects {
    /// Takes in a report. When all rejects of the last hour came later, nothing is left to answer for.
    pub fn hear(self, report: &PartitionProgress) -> AcceptedRejects {
        let accepted = match self {
            AcceptedRejects::Nothing => return AcceptedRejects::Nothing,
            AcceptedRejects::UntilHeard => report.rejects_total,
            AcceptedRejects::UpTo(total) => total,
        };
        let later = report.rejects_total.checked_sub(accepted);
        let is_over = later.is_none_or(|later| later > 0 && later >= report.rejects_last_hour);
        if is_over { AcceptedRejects::Nothing } else { AcceptedRejects::UpTo(accepted) }
    }

    /// Rejects of the last hour for which nobody answers.
    pub fn unanswered(self, report: &PartitionProgress) -> u64 {
        match self {
            AcceptedRejects::Nothing => report.rejects_last_hour,
            AcceptedRejects::UntilHeard => 0,
            AcceptedRejects::UpTo(total) => report.rejects_total.saturating_sub(total).min(report.rejects_last_hour),
        }
    }
}
