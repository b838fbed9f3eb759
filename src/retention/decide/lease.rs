//! A command is a lease: what isn't answered in time is judged again and sent again, word for word, or,
//! if the words would differ, recalled and sent anew.

use super::{Judgement, Sending, Wake};
use crate::retention::calendar::Timestamp;
use crate::retention::customer::{Course, Reply, Sent};
use crate::retention::policy::{PolicyIndex, TargetIndex};

impl Judgement<'_> {
    pub(super) fn renew_leases(&mut self) {
        if self.circumstances.sending == Sending::RecallsOnly {
            return;
        }
        for course in 0..self.record.courses.len() {
            let mut sent = 0;
            while sent < self.record.courses[course].sent.len() {
                if self.renew(course, sent) {
                    sent += 1;
                }
            }
        }
    }

    /// `false`: the command was recalled and has left its place.
    fn renew(&mut self, course: usize, place: usize) -> bool {
        let sent = &self.record.courses[course].sent[place];
        let Some((policy, target)) = self.renewable(&self.record.courses[course], sent) else { return true };
        let due = renewal(sent).is_some_and(|due| due <= self.now());
        if !due || !self.proven(policy, sent.deadline) {
            return true;
        }
        if !self.would_read_the_same(policy, target, sent) {
            self.recall(course, &[place]);
            self.record.courses[course].round += 1;
            return false;
        }
        let (now, expires) = (self.now(), self.expiry(target));
        let sent = &mut self.record.courses[course].sent[place];
        sent.attempt += 1;
        sent.sent_at = now;
        sent.expires = expires;
        if expires.is_none() {
            // The target has stopped acknowledging: it counts as done when sent.
            sent.reply = Reply::Done { at: now };
        }
        let command = self.command_of(course, place, target);
        self.out.push(command);
        true
    }

    /// The policy and target of a command that still waits for its answer. A warning waits only until
    /// the next stage was sent.
    fn renewable(&self, course: &Course, sent: &Sent) -> Option<(PolicyIndex, TargetIndex)> {
        let policy = self.rules().policy_by_key(&course.policy)?;
        let target = self.rules().target_by_key(&sent.target)?;
        let stage = self.policy(policy).stage_by_id(sent.stage)?;
        let overtaken = !sent.stage.action.removes() && self.last_sent_stage(policy) > Some(stage);
        (!overtaken && renewal(sent).is_some()).then_some((policy, target))
    }

    /// Whether the command would today be the same but for attempt and times.
    fn would_read_the_same(&self, policy: PolicyIndex, target: TargetIndex, sent: &Sent) -> bool {
        let rules = self.policy(policy);
        let (Some(stage), Some(start)) = (rules.stage_by_id(sent.stage), self.start(policy)) else { return false };
        let parted = if sent.stage.action.removes() {
            let mut others = self.named_by_stage(policy, stage, target);
            others.retain(|named| !sent.categories.contains(named));
            Some(self.part(policy, target, &others))
        } else {
            self.part_for_warning(policy, stage)
        };
        let parted = parted.unwrap_or_default();
        sent.policy_version == rules.version
            && sent.since == self.since(policy, start)
            && sent.deadline == self.deadline(policy, stage, start)
            && sent.categories == parted.named
            && sent.kept == parted.kept
    }

    pub(super) fn wake_for_leases(&self, wake: &mut Wake) {
        for course in &self.record.courses {
            for sent in &course.sent {
                let Some((policy, _)) = self.renewable(course, sent) else { continue };
                match renewal(sent) {
                    Some(due) if due > self.now() => wake.no_later_than(due),
                    Some(_) if self.circumstances.sending == Sending::RecallsOnly => wake.no_later_than(self.now()),
                    Some(_) => wake.blocked.push((policy, sent.deadline)),
                    None => {}
                }
            }
        }
        for recalled in &self.record.recalls {
            let target = self.rules().target_by_key(&recalled.command.target);
            let within = target.and_then(|target| self.rules().target(target).acknowledge_within);
            if let Some(within) = within {
                wake.no_later_than((recalled.sent_at + within).max(self.now()));
            }
        }
    }

    pub(super) fn expiry(&self, target: TargetIndex) -> Option<Timestamp> {
        self.rules().target(target).acknowledge_within.map(|within| self.now() + within)
    }
}

/// When a command is to be sent again; `None`: never, it is done.
fn renewal(sent: &Sent) -> Option<Timestamp> {
    match sent.reply {
        Reply::Done { .. } => None,
        Reply::None | Reply::Failed { .. } => sent.expires,
        Reply::Retained { until, .. } => Some(sent.expires.map_or(until, |expires| expires.max(until))),
    }
}
