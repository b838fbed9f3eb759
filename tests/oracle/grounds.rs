//! "Recall", "a command is a lease", and what deferred a command.

use crate::keepers::Task;
use crate::stages::Candidate;
use crate::told::{AnswerResult, CATEGORIES};
use crate::view::{Cause, Hold, Reply, Sent, View};

impl View<'_> {
    /// "A command not yet acknowledged as done is recalled as soon as its ground is gone; a `warn` until the
    /// next stage has been sent."
    pub fn must_be_recalled(self, place: usize) -> bool {
        let sent = &self.sent[place];
        let is_settled = if self.action_of(sent).removes() { self.is_done(sent) } else { self.is_warning_over(place) };
        !self.is_recalled(sent) && !is_settled && !self.has_ground(sent)
    }

    fn has_ground(self, sent: &Sent) -> bool {
        if sent.cause != Cause::Period {
            let is_taken_back = sent.cause == Cause::Withdrawn && self.is_given_again(sent.policy, sent.since);
            return !is_taken_back && self.nothing_keeps_what_it_names(sent);
        }
        // "A request takes no ground away", so neither does what was served nor withdrawn.
        let last_active = self.last_active(sent.policy, i64::MAX).filter(|_| self.applies(sent.policy));
        last_active.is_some_and(|since| since.at == sent.since.at)
            && self.holds(sent.policy, Some(sent.number)).is_empty()
            && match self.action_of(sent).removes() {
                true => self.nothing_keeps_what_it_names(sent),
                false => self.is_still_warned_of(sent),
            }
    }

    fn nothing_keeps_what_it_names(self, sent: &Sent) -> bool {
        let keeps = |category: &usize| self.keeper(task_of(sent), *category, Some(sent.number)).is_some();
        !sent.words.categories.iter().any(keeps)
    }

    /// When a command must be sent again or taken back: neither `done`, nor still retained, and its lease is
    /// over. What a later request to the policy has taken over is not.
    pub fn lease_end(self, place: usize) -> Option<i64> {
        let sent = &self.sent[place];
        if self.is_recalled(sent) || self.is_taken_over(place) {
            return None;
        }
        let end = sent.attempts.last()? + self.configuration.acknowledge_within[sent.target]?;
        match self.reply(sent) {
            Reply::Done(_) => None,
            Reply::Retained(until) => Some(end.max(until)),
            Reply::None | Reply::Failed => Some(end),
        }
    }

    fn is_taken_over(self, place: usize) -> bool {
        let Sent { policy, since, .. } = self.sent[place];
        let later = self.sent[place + 1..].iter().filter(|sent| sent.policy == policy && sent.cause != Cause::Period);
        later.map(|sent| sent.since).any(|request| request.at >= since.at && request != since)
    }

    /// "Word for word": whether it would say the same if it were sent now. Of what a warning says of the
    /// next stage, when that can be may differ.
    pub fn would_say_the_same(self, place: usize) -> bool {
        let sent = &self.sent[place];
        let mut others = self.sent.to_vec();
        others.remove(place);
        let view = View { sent: &others, ..self };
        let mut task = task_of(sent);
        if let Some(last_active) = self.last_active(sent.policy, i64::MAX).filter(|_| sent.cause == Cause::Period) {
            task.since = last_active;
        }
        let mut words = view.words(task, Some(sent.number));
        words.next = words.next.map(|(command, _)| (command, sent.words.next.map_or(0, |(_, on)| on)));
        words == sent.words
    }

    /// When a recall must be repeated: "each `acknowledge_within` until answered, or until the recalled
    /// command is `done`".
    pub fn recall_repeats(self, sent: &Sent) -> Option<i64> {
        let recall = sent.recall.as_ref()?;
        let within = self.configuration.acknowledge_within[sent.target]?;
        let is_open = !self.is_done(sent) && !self.is_recall_done(recall.number);
        is_open.then(|| recall.attempts[recall.attempts.len() - 1] + within)
    }

    pub fn is_recall_done(self, number: usize) -> bool {
        self.answers(number).any(|(_, result, ..)| result == AnswerResult::Done)
    }

    /// What deferred a command that leaves now: the hold that was last in force while it was ready, or the
    /// floor that ended last before what it kept could leave, whichever ended later.
    pub fn deferred_by(self, candidate: &Candidate, task: Task, named: &[usize], looks: &[i64]) -> Option<String> {
        let is_leftover = !self.todo(task).first && self.action_of_task(task).removes();
        if task.cause != Cause::Period && !is_leftover {
            return None; // Nothing defers the word of a request.
        }
        let freed: Vec<(usize, i64)> = match is_leftover {
            true => named.iter().map(|&category| (category, self.free_since(task, category, looks))).collect(),
            false => Vec::new(),
        };
        let floors = freed.iter().filter(|(category, at)| self.floor_end(*category, task.policy) == Some(*at));
        let floor = floors.map(|(category, at)| (*at, std::cmp::Reverse(CATEGORIES[*category]))).max();
        // What a request leaves may have been left to a hold.
        let ready = match task.cause {
            Cause::Period => {
                freed.iter().map(|(_, at)| *at).min().map_or(candidate.ready, |at| at.max(candidate.ready))
            }
            _ => candidate.ready,
        };
        let hold = self.last_hold(task.policy, ready, looks);
        match (hold, floor) {
            (Some((hold_end, id)), floor) if floor.is_none_or(|(floor_end, _)| floor_end < hold_end) => Some(id),
            (_, Some((_, category))) => Some(format!("floor:{}", category.0)),
            (_, None) => None,
        }
    }

    fn action_of_task(self, task: Task) -> crate::told::Action {
        self.policy(task.policy).stages[task.stage].action
    }

    /// Since when nothing but a hold has kept a category that was left.
    fn free_since(self, task: Task, category: usize, looks: &[i64]) -> i64 {
        let is_free = |&look: &i64| {
            let then = self.after(look);
            let by_floor = then.floor_end(category, task.policy).is_some_and(|end| look < end);
            !by_floor && (task.cause != Cause::Period || then.keeper(task, category, None).is_none())
        };
        looks.iter().rev().copied().take_while(|look| is_free(look)).last().unwrap_or(self.now)
    }

    /// The hold that was last in force for a policy from `ready` on, and when that ended: "of several in
    /// force at one time the one with the latest end, then the first by id".
    fn last_hold(self, policy: usize, ready: i64, looks: &[i64]) -> Option<(i64, String)> {
        if !self.has_heard_of_holds() {
            return None;
        }
        let mut end = self.now;
        for &look in looks.iter().rev().filter(|look| **look < self.now) {
            let holds = self.after(look).holds(policy, None);
            let latest = holds
                .into_iter()
                .max_by_key(|Hold { id, until }| (until.unwrap_or(i64::MAX), std::cmp::Reverse(id.clone())));
            if let Some(hold) = latest {
                return (end > ready).then_some((end, hold.id));
            }
            if look <= ready {
                return None;
            }
            end = look;
        }
        None
    }
}

pub fn task_of(sent: &Sent) -> Task {
    let Sent { policy, stage, target, cause, since, .. } = *sent;
    Task { policy, stage, target, cause, since }
}
