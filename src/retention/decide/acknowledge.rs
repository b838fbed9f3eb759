//! What comes back.

use super::defer::retained_id;
use crate::retention::calendar::Timestamp;
use crate::retention::customer::{AckResult, Acknowledgement, Course, Record, Reply, Retained, Sent};

/// Whether an acknowledgement answered something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    Command,
    Recall,
    /// No command of this customer has this id at this target: only a metric changes.
    Nothing,
}

/// When the signal with an answer was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// By the shard's clock, which doesn't go back.
    pub at: Timestamp,
    /// The latest moment at which the answer can have been given: when it was appended, unless the broker's
    /// clock is back. By that one an answer would be older than it is, and a notice shorter.
    pub latest: Timestamp,
}

impl Heard {
    /// In the order of time.
    pub fn at(at: Timestamp) -> Heard {
        Heard { at, latest: at }
    }
}

/// Merges a target's answer into the record.
pub fn acknowledge(record: &mut Record, ack: &Acknowledgement, heard: Heard) -> Answered {
    for course in &mut record.courses {
        let mut commands = course.sent.iter_mut();
        if let Some(sent) = commands.find(|sent| sent.id == ack.command && sent.target == ack.target) {
            sent.reply = merge(sent, ack, heard);
            let reply = sent.reply;
            retain(course, ack, reply, heard.at);
            return Answered::Command;
        }
    }
    let mut resent = record.resends.iter_mut().flat_map(|resend| &mut resend.sent);
    if let Some((_, sent)) = resent.find(|(_, sent)| sent.id == ack.command && sent.target == ack.target) {
        sent.reply = merge(sent, ack, heard);
        return Answered::Command;
    }
    let done = ack.result == AckResult::Done;
    for place in 0..record.recalls.len() {
        let recalled = &record.recalls[place];
        if recalled.command.target != ack.target {
            continue;
        }
        let answered = match ack.command {
            id if id == recalled.id => Answered::Recall,
            id if id == recalled.command.id => Answered::Command,
            _ => continue,
        };
        if answered == Answered::Command && done {
            let reply = merge(&recalled.command, ack, heard);
            let policy = recalled.policy.clone();
            let course = record.courses.iter_mut().find(|course| course.policy == policy);
            course.into_iter().for_each(|course| retain(course, ack, reply, heard.at));
        }
        // An answered recall is not repeated, whatever the answer; nor one of what was done all the same.
        if done || answered == Answered::Recall {
            record.recalls.remove(place);
        }
        return answered;
    }
    // Its recall has been answered long since; what it said to retain is remembered.
    let retains = |course: &&mut Course| {
        course.retained.iter().any(|retained| retained.command == ack.command && retained.target == ack.target)
    };
    match record.courses.iter_mut().find(retains) {
        Some(course) if done => {
            retain(course, ack, Reply::Done { at: heard.at, heard: heard.at }, heard.at);
            Answered::Command
        }
        _ => Answered::Nothing,
    }
}

/// `retained` works as a hold of the policy, until its end or until the command is done, be it recalled.
fn retain(course: &mut Course, ack: &Acknowledgement, reply: Reply, now: Timestamp) {
    let before = course.retained.len();
    course.retained.retain(|retained| retained.command != ack.command);
    let was_retained = course.retained.len() < before;
    match reply {
        Reply::Retained { until, .. } => {
            course.retained.push(Retained { command: ack.command, target: ack.target.clone(), until });
        }
        _ if was_retained => lift(course, &ack.target, now),
        _ => {}
    }
}

/// What a target retained it has done after all: the hold that this was is over before its end.
fn lift(course: &mut Course, target: &str, now: Timestamp) {
    if let Some(deferral) = &mut course.deferral
        && deferral.id == retained_id(target)
        && deferral.ended(now).is_none()
    {
        deferral.lifted = Some(now);
    }
}

/// `done` absorbs; else the higher attempt; on a tie retained over failed, and the longer stay.
fn merge(sent: &Sent, ack: &Acknowledgement, heard: Heard) -> Reply {
    let answer = match ack.result {
        AckResult::Done => Reply::Done { at: ack.time.min(heard.latest).max(sent.first_sent_at), heard: heard.at },
        AckResult::Retained { until } => Reply::Retained { attempt: ack.attempt, until },
        AckResult::Failed => Reply::Failed { attempt: ack.attempt },
    };
    let rank = |reply: Reply| match reply {
        Reply::None => (0, 0, 0, Timestamp::MIN),
        Reply::Failed { attempt } => (1, attempt, 0, Timestamp::MIN),
        Reply::Retained { attempt, until } => (1, attempt, 1, until),
        // Of two that say done the earlier: a repeated answer must not lengthen a notice.
        Reply::Done { at, .. } => (2, 0, 0, Timestamp(-at.0)),
    };
    if rank(answer) > rank(sent.reply) { answer } else { sent.reply }
}
