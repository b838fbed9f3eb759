//! What was sent, and what targets answered.

use crate::told::{AnswerResult, Told};
use crate::view::{Since, View};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    Period,
    Withdrawn,
    ErasureRequest,
}

/// One command that was sent.
#[derive(Clone, Debug)]
pub struct Sent {
    pub number: usize,
    pub policy: usize,
    pub stage: usize,
    pub target: usize,
    pub cause: Cause,
    pub since: Since,
    pub deadline: i64,
    pub words: Words,
    pub deferred_by: Option<String>,
    /// When each attempt left.
    pub attempts: Vec<i64>,
    /// Its recall, if it was recalled.
    pub recall: Option<Recall>,
}

/// What a command says that may change while it is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    pub since_kind: &'static str,
    pub categories: Vec<usize>,
    /// Category and keeper.
    pub kept: Vec<(usize, String)>,
    /// What follows a warning, and the first instant at which it can.
    pub next: Option<(&'static str, i64)>,
}

#[derive(Clone, Debug)]
pub struct Recall {
    pub number: usize,
    pub attempts: Vec<i64>,
}

impl Sent {
    pub fn first_sent(&self) -> i64 {
        self.attempts[0]
    }

    pub fn names(&self, category: usize) -> bool {
        self.words.categories.contains(&category)
    }

    pub fn keeps(&self, category: usize) -> bool {
        self.words.kept.iter().any(|(kept, _)| *kept == category)
    }
}

/// A target's answer, all its answers to one command merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    None,
    /// The time that counts: not before the command was sent nor after its answer arrived.
    Done(i64),
    Retained(i64),
    Failed,
}

impl<'a> View<'a> {
    /// What was sent and not recalled.
    pub fn standing(self) -> impl Iterator<Item = (usize, &'a Sent)> {
        self.sent.iter().enumerate().filter(move |(_, sent)| !self.is_recalled(sent))
    }

    pub fn is_recalled(self, sent: &Sent) -> bool {
        let decided = |at: i64| at < self.now || (at == self.now && self.sees_decisions_of_now);
        sent.recall.as_ref().is_some_and(|recall| decided(recall.attempts[0]))
    }

    /// The result of every answer to a decision, with its attempt, its time and its arrival.
    pub fn answers(self, number: usize) -> impl Iterator<Item = (u32, AnswerResult, i64, i64)> {
        self.arrived.iter().filter_map(move |arrived| match arrived.what {
            Told::Answer { to, attempt, result, time } if to == number => {
                Some((attempt, result, time, arrived.arrives))
            }
            _ => None,
        })
    }

    /// "`done` absorbs; else the higher attempt; on a tie retained over failed." What doesn't acknowledge
    /// has done it when it was sent. After its recall nothing but `done` is of interest.
    pub fn reply(self, sent: &Sent) -> Reply {
        if self.configuration.acknowledge_within[sent.target].is_none() {
            return Reply::Done(sent.first_sent());
        }
        let answers = self.answers(sent.number);
        let done = answers.filter(|(_, result, ..)| *result == AnswerResult::Done);
        if let Some(earliest) = done.map(|(.., time, arrives)| time.min(arrives).max(sent.first_sent())).min() {
            return Reply::Done(earliest);
        }
        let recalled = sent.recall.as_ref().map_or(i64::MAX, |recall| recall.attempts[0]);
        let in_time = self.answers(sent.number).filter(|(.., arrives)| *arrives <= recalled);
        let ranked = in_time.map(|(attempt, result, ..)| match result {
            AnswerResult::Retained { until } => (attempt, true, until),
            _ => (attempt, false, 0),
        });
        match ranked.max() {
            None => Reply::None,
            Some((_, true, until)) => Reply::Retained(until),
            Some((_, false, _)) => Reply::Failed,
        }
    }

    /// When it was first known that a command was done.
    pub fn done_known(self, sent: &Sent) -> i64 {
        let done = self.answers(sent.number).filter(|(_, result, ..)| *result == AnswerResult::Done);
        done.map(|(.., arrives)| arrives).min().unwrap_or(sent.first_sent())
    }

    pub fn is_done(self, sent: &Sent) -> bool {
        matches!(self.reply(sent), Reply::Done(_))
    }
}
