//! One partition being read: how far, and what that proves.

use super::facts::Facts;
use crate::retention::calendar::Timestamp;
use std::collections::VecDeque;

/// Looks at the end of a partition that wait until it has been read that far.
const MARKS_MAX: usize = 32;

pub struct Partition {
    pub topic: String,
    pub number: u32,
    /// Place in the configuration's sources; `None`: acknowledgements.
    pub source: Option<usize>,
    /// `None`: acknowledgements.
    pub facts: Option<Facts>,
    now: Reached,
    /// When the open checkpoint was opened.
    at_checkpoint: Reached,
    /// Everything produced before has been acknowledged.
    settled: Reached,
    marks: VecDeque<Mark>,
    /// The offset of the last commit; `None`: what was begun with is not committed yet, so a restart
    /// would not know of it.
    committed: Option<i64>,
}

/// How far reading has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    /// The next offset to read.
    pub position: i64,
    /// Everything appended before this instant has been read.
    pub read_to: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    at: Timestamp,
    /// The high watermark, asked after `at`.
    end: i64,
}

impl Partition {
    pub fn new(topic: &str, number: u32, source: Option<usize>, offset: i64, is_committed: bool) -> Partition {
        let start = Reached { position: offset, read_to: None };
        Partition {
            topic: topic.to_owned(),
            number,
            source,
            facts: None,
            now: start,
            at_checkpoint: start,
            settled: start,
            marks: VecDeque::new(),
            committed: is_committed.then_some(offset),
        }
    }

    /// Everything below `position` has been read.
    pub fn advance(&mut self, position: i64) {
        self.now.position = self.now.position.max(position);
    }

    /// The partition ended at `end`, asked after `at`.
    pub fn mark(&mut self, at: Timestamp, end: i64) {
        if self.marks.len() < MARKS_MAX {
            self.marks.push_back(Mark { at, end });
        }
    }

    /// Looks up which marks have been reached.
    pub fn pass_marks(&mut self) {
        while let Some(mark) = self.marks.front().filter(|mark| mark.end <= self.now.position) {
            self.now.read_to = self.now.read_to.max(Some(mark.at));
            self.marks.pop_front();
        }
        if let (Some(facts), Some(read_to)) = (&mut self.facts, self.now.read_to) {
            facts.read_to(read_to);
        }
    }

    /// All lanes have reached the open checkpoint; the next one is opened.
    pub fn pass_checkpoint(&mut self) {
        self.settled = self.at_checkpoint;
        self.at_checkpoint = self.now;
    }

    /// How far a lane knows of it: that has reached the open checkpoint, or has not.
    pub fn handed_over(&self, has_reached_checkpoint: bool) -> Reached {
        if has_reached_checkpoint { self.at_checkpoint } else { self.settled }
    }

    /// The offset to commit, if there is something new.
    pub fn to_commit(&self) -> Option<i64> {
        (self.committed != Some(self.settled.position)).then_some(self.settled.position)
    }

    /// Whether a restart would know of it.
    pub fn is_committed(&self) -> bool {
        self.committed.is_some()
    }

    pub fn committed(&mut self, offset: i64) {
        self.committed = Some(offset);
    }
}
