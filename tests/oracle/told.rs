//! What a run is about: a configuration, and what arrives, in the oracle's own words.

use crate::days::{Calendar, CountedFrom, Period};
use chrono::{NaiveTime, Weekday};
use chrono_tz::Tz;

pub const KINDS: [&str; 3] = ["login", "purchase", "visit"];
pub const CATEGORIES: [&str; 4] = ["address", "email", "name", "phone"];
pub const TARGETS: [&str; 3] = ["crm", "mailing", "paper"];

/// Names of kinds, categories and targets are places in the lists above; policies go by their place.
#[derive(Clone, Debug)]
pub struct Configuration {
    pub zone: Tz,
    /// Whether activities are told apart by the second, not by the local day.
    pub by_second: bool,
    /// For each target how long a command is valid; `None`: it doesn't acknowledge.
    pub acknowledge_within: [Option<i64>; TARGETS.len()],
    /// Ordered by key.
    pub policies: Vec<Policy>,
    /// Ordered by category.
    pub floors: Vec<Floor>,
    pub window: Option<Window>,
    pub forget_after: Period,
}

#[derive(Clone, Debug)]
pub struct Policy {
    pub key: String,
    pub categories: Vec<usize>,
    /// `since_last`.
    pub kinds: Vec<usize>,
    pub counted_from: CountedFrom,
    pub stages: Vec<Stage>,
    pub lateness: i64,
    pub consent: Option<&'static str>,
    /// All attributes must match; `None` among the values: not set.
    pub applies_to: Vec<(&'static str, Vec<Option<&'static str>>)>,
    /// `None`: all history is known.
    pub known_since: Option<i64>,
}

#[derive(Clone, Debug)]
pub struct Stage {
    pub after: Period,
    pub action: Action,
    /// Ordered.
    pub targets: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    Warn,
    Expire,
    Anonymise,
}

#[derive(Clone, Debug)]
pub struct Floor {
    pub category: usize,
    pub kinds: Vec<usize>,
    pub counted_from: CountedFrom,
    pub keep: Period,
    pub known_since: Option<i64>,
}

#[derive(Clone, Debug)]
pub struct Window {
    pub days: Vec<Weekday>,
    pub from: NaiveTime,
    /// `None`: midnight.
    pub to: Option<NaiveTime>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Arrived {
    pub arrives: i64,
    pub what: Told,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    Activity {
        kind: usize,
        at: i64,
    },
    Consent {
        name: &'static str,
        given: bool,
        at: i64,
    },
    Hold {
        id: &'static str,
        at: i64,
        /// The first instant at which it no longer holds.
        until: Option<i64>,
        reason: &'static str,
        /// Ordered keys; `None`: all.
        policies: Option<Vec<String>>,
    },
    Unhold {
        id: &'static str,
        at: i64,
    },
    Erasure {
        at: i64,
    },
    Attribute {
        name: &'static str,
        value: Option<&'static str>,
        at: i64,
    },
    Answer {
        /// The number of the decision, a command or a recall, that is answered.
        to: usize,
        attempt: u32,
        result: AnswerResult,
        time: i64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerResult {
    Done,
    Retained { until: i64 },
    Failed,
}

impl Told {
    /// When it happened.
    pub fn at(&self) -> i64 {
        match self {
            Told::Activity { at, .. }
            | Told::Consent { at, .. }
            | Told::Hold { at, .. }
            | Told::Unhold { at, .. }
            | Told::Erasure { at }
            | Told::Attribute { at, .. }
            | Told::Answer { time: at, .. } => *at,
        }
    }
}

/// How targets answer.
#[derive(Clone, Debug)]
pub enum Answering {
    /// `done`, the moment a command leaves.
    AtOnce,
    /// The nth line of all that leaves gets the nth of these; what leaves later is done after a while.
    Planned { plan: Vec<Vec<PlannedAnswer>>, later: PlannedAnswer },
}

#[derive(Clone, Debug)]
pub struct PlannedAnswer {
    /// How long after the command it arrives.
    pub after: i64,
    pub result: PlannedResult,
    /// The time it states, from the command's.
    pub claimed: i64,
}

#[derive(Clone, Copy, Debug)]
pub enum PlannedResult {
    Done,
    Failed,
    /// How long after the answer's arrival.
    Retained(i64),
}

impl Answering {
    /// The answers to the nth line.
    pub fn planned(&self, nth: usize) -> &[PlannedAnswer] {
        match self {
            Answering::AtOnce => &[],
            Answering::Planned { plan, later } => plan.get(nth).map_or(std::slice::from_ref(later), Vec::as_slice),
        }
    }
}

impl PlannedAnswer {
    /// The answer to what left at `sent`.
    pub fn result(&self, sent: i64) -> AnswerResult {
        match self.result {
            PlannedResult::Done => AnswerResult::Done,
            PlannedResult::Failed => AnswerResult::Failed,
            PlannedResult::Retained(length) => AnswerResult::Retained { until: sent + self.after + length },
        }
    }
}

#[derive(Clone, Debug)]
pub struct Case {
    pub configuration: Configuration,
    /// Ordered by arrival.
    pub log: Vec<Arrived>,
    pub answering: Answering,
    /// Exclusive.
    pub until: i64,
}

impl Configuration {
    pub fn calendar(&self) -> &'static Calendar {
        Calendar::of(self.zone)
    }

    /// The targets that the policy's removing stages speak to, each with the last of these stages.
    pub fn removing_targets(&self, policy: usize) -> Vec<(usize, usize)> {
        let stages = &self.policies[policy].stages;
        let last =
            |target: usize| stages.iter().rposition(|stage| stage.action.removes() && stage.targets.contains(&target));
        (0..TARGETS.len()).filter_map(|target| Some((target, last(target)?))).collect()
    }
}

impl Action {
    pub fn name(self) -> &'static str {
        match self {
            Action::Warn => "warn",
            Action::Expire => "expire",
            Action::Anonymise => "anonymise",
        }
    }

    pub fn removes(self) -> bool {
        self != Action::Warn
    }
}
