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

    /// The partition ended at `end`, asked after `at`, which is later than the marks before. Those that lie
    /// no nearer say less, and where a log was cut off they would never be reached.
    pub fn mark(&mut self, at: Timestamp, end: i64) {
        while self.marks.back().is_some_and(|mark| mark.end >= end) {
            self.marks.pop_back();
        }
        if self.marks.len() < MARKS_MAX {
            self.marks.push_back(Mark { at, end });
        }
    }

    /// Forgets up to which moments it was read, not how far.
    pub fn forget_moments(&mut self) {
        self.marks.clear();
        for reached in [&mut self.now, &mut self.at_checkpoint, &mut self.settled] {
            reached.read_to = None;
        }
    }

    /// The newest moment at which it was looked at, as far as that matters.
    pub fn newest_moment(&self) -> Option<Timestamp> {
        let reached = [self.now, self.at_checkpoint, self.settled].map(|reached| reached.read_to);
        self.marks.iter().map(|mark| Some(mark.at)).chain(reached).max().flatten()
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

    /// The next offset to read.
    pub fn position(&self) -> i64 {
        self.now.position
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_moment_that_was_reached_counts() {
        // Marks, a position, and up to when that has read.
        let cases = [
            (vec![], 5, None),
            (vec![(1, 6)], 5, None),
            (vec![(1, 5)], 5, Some(1)),
            (vec![(1, 5), (2, 6), (3, 9)], 7, Some(2)),
            (vec![(1, 5), (2, 5), (3, 5)], 5, Some(3)),
            (vec![(1, 900), (2, 5)], 5, Some(2)),
            (vec![(1, 4), (2, 900), (3, 5)], 4, Some(1)),
        ];
        for (marks, position, expected) in cases {
            let mut partition = Partition::new("events", 0, Some(0), 0, true);
            marks.iter().for_each(|(at, end)| partition.mark(Timestamp(*at), *end));
            partition.advance(position);
            partition.pass_marks();
            partition.pass_checkpoint();
            assert_eq!(partition.handed_over(true).read_to, expected.map(Timestamp), "{marks:?}");
        }
        let mut partition = Partition::new("events", 0, Some(0), 0, true);
        (0..1000).for_each(|at| partition.mark(Timestamp(at), at + 10));
        assert_eq!(partition.marks.len(), MARKS_MAX);
    }
}
