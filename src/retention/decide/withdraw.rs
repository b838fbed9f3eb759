//! Recall: a command whose ground is gone is cancelled, whatever took it away.

use super::Judgement;
use super::keepers::View;
use crate::retention::command::{Cause, Command, Verb};
use crate::retention::customer::{Course, Left, Recalled, Reply, Sent};
use crate::retention::gate::KnownSince;
use crate::retention::policy::{PolicyIndex, TargetIndex};

impl Judgement<'_> {
    /// First every policy that starts over does, for from then on it keeps its categories again; only then
    /// can be seen which other commands have lost their ground.
    /// Whether anything was recalled for want of ground.
    pub(super) fn withdraw(&mut self) -> bool {
        for place in 0..self.record.courses.len() {
            self.start_over(place);
        }
        let mut any = false;
        // A recall may make a keeper of the policy whose command it is, and so take away the next ground.
        while self.recall_what_lost_its_ground() {
            any = true;
        }
        any
    }

    fn recall_what_lost_its_ground(&mut self) -> bool {
        let mut any = false;
        for place in 0..self.record.courses.len() {
            let course = &self.record.courses[place];
            let policy = self.rules().policy_by_key(&course.policy);
            let gone = places_to_recall(course, |sent| self.ground_is_gone(policy, sent));
            self.recall(place, &gone);
            self.record.courses[place].round += u32::from(!gone.is_empty());
            any |= !gone.is_empty();
        }
        any
    }

    fn start_over(&mut self, place: usize) {
        let course = &self.record.courses[place];
        let Some(policy) = self.rules().policy_by_key(&course.policy) else { return };
        let Some(start) = self.start(policy) else { return };
        if course.since.is_none_or(|since| start.at <= since) {
            return;
        }
        let now = self.now();
        let course = &mut self.record.courses[place];
        // A hold that ended before has deferred nothing of what begins now.
        course.deferral.take_if(|deferral| deferral.ended(now).is_some());
        let standing = places_to_recall(&self.record.courses[place], |sent| sent.cause == Cause::Period);
        self.recall(place, &standing);
        let course = &mut self.record.courses[place];
        // What was done is over, unless others that say the same still wait for an answer, or it speaks for
        // earlier ones that do.
        let waits = |sent: &Sent| sent.cause != Cause::Period && !matches!(sent.reply, Reply::Done { .. });
        let all = std::mem::take(&mut course.sent);
        let remains = |place: usize| {
            let sent = &all[place];
            let speaks = sent.cause != Cause::Period && all[..place].iter().any(waits);
            speaks || all.iter().any(|other| waits(other) && other.says_the_same_as(sent))
        };
        let remain: Vec<bool> = (0..all.len()).map(remains).collect();
        course.sent = all.into_iter().zip(remain).filter_map(|(sent, remains)| remains.then_some(sent)).collect();
        course.left.retain(|left| left.request.is_some());
        course.since = None;
        course.round += 1;
    }

    fn ground_is_gone(&self, policy: Option<PolicyIndex>, sent: &Sent) -> bool {
        let Some(policy) = policy else { return true };
        let rules = self.policy(policy);
        let Some(stage) = rules.stage_by_id(sent.stage) else { return true };
        let target = self.rules().target_by_key(&sent.target);
        let Some(target) = target.filter(|target| rules.stages[stage].targets.contains(target)) else { return true };
        if !rules.mode.allows(sent.stage.action) {
            return true;
        }
        match sent.cause {
            Cause::Period => self.ground_by_period_is_gone(policy, sent, stage, target),
            Cause::Withdrawn => !self.still_stands(policy, sent) || self.names_something_kept(policy, sent, target),
            Cause::ErasureRequest => self.names_something_kept(policy, sent, target),
        }
    }

    /// Whether consent has not been given again since the withdrawal that a command obeys.
    fn still_stands(&self, policy: PolicyIndex, sent: &Sent) -> bool {
        sent.cause != Cause::Withdrawn
            || self.last_withdrawn_at(policy).is_some_and(|withdrawn| withdrawn >= sent.since.at)
    }

    fn ground_by_period_is_gone(&self, policy: PolicyIndex, sent: &Sent, stage: usize, target: TargetIndex) -> bool {
        if self.last_stop(policy, Some(sent.id)).is_some() {
            return true;
        }
        match self.start_of_sent(policy, sent) {
            Some(start) if start.at > sent.since.at || self.deadline(policy, stage, start) > self.now() => return true,
            // What was asked for since takes no ground away, and what isn't known yet neither.
            None if self.known_since(policy) != KnownSince::Unknown => return true,
            _ => {}
        }
        if sent.stage.action.removes() {
            return self.names_something_kept(policy, sent, target);
        }
        self.warns_of_something_kept(policy, stage, sent)
    }

    fn names_something_kept(&self, policy: PolicyIndex, sent: &Sent, target: TargetIndex) -> bool {
        let view = View::again(sent.cause != Cause::Period, sent.id);
        !self.part(policy, target, view, |name| sent.categories.contains(name)).kept.is_empty()
    }

    /// Or of something that is not to come any more, because another command has removed it.
    fn warns_of_something_kept(&self, policy: PolicyIndex, stage: usize, sent: &Sent) -> bool {
        let parted = self.part_for_warning(policy, stage, View::again(false, sent.id)).unwrap_or_default();
        sent.categories.iter().any(|category| !parted.named.contains(category))
    }

    /// What is recalled must be said again: all of it, or, where other commands of the kind stand, what those
    /// have not named, and nobody has seen to since it was left.
    fn leave(&mut self, course: usize, place: usize) {
        let Course { policy, sent: all, left, served, .. } = &self.record.courses[course];
        let sent = &all[place];
        let Some(policy) = self.rules().policy_by_key(policy).filter(|_| sent.stage.action.removes()) else { return };
        // A later request has spoken for this one.
        let is_spoken_for = sent.cause != Cause::Period && *served > Some(sent.since.at);
        if is_spoken_for || !self.still_stands(policy, sent) {
            return;
        }
        let request = sent.request();
        let is_it = |left: &Left| left.target == sent.target && left.stage == sent.stage && left.request == request;
        let left = left.iter().find(|left| is_it(left));
        let others: Vec<&Sent> =
            all.iter().filter(|other| other.id != sent.id && other.says_the_same_as(sent)).collect();
        if !others.is_empty() && request.is_some_and(|request| self.is_over(policy, request)) {
            return;
        }
        let is_open = |name: &String| {
            let was_kept = |sent: &Sent| sent.kept.iter().any(|kept| kept.category == *name);
            let is_named = others.iter().any(|other| other.categories.contains(name));
            let was_left = was_kept(sent) || others.iter().any(|other| was_kept(other));
            let is_left = left.is_some_and(|left| left.categories.contains(name));
            others.is_empty() || (!is_named && (sent.categories.contains(name) || !was_left || is_left))
        };
        let names = self.policy(policy).categories.iter().map(|&place| &self.rules().categories[usize::from(place)]);
        let categories: Vec<String> = names.filter(|name| is_open(name)).cloned().collect();
        let new = Left {
            target: sent.target.clone(),
            stage: sent.stage,
            categories,
            since: self.now(),
            request,
            again: others.is_empty(),
            outlasted: Vec::new(),
        };
        let lefts = &mut self.record.courses[course].left;
        lefts.retain(|left| !(left.target == new.target && left.stage == new.stage && left.request == new.request));
        if new.again || !new.categories.is_empty() {
            lefts.push(new);
        }
    }

    /// What others had left, and a command that is recalled had named, nobody has named any more.
    fn restore_what_was_left_to(&mut self, recalled: &Sent) {
        if !recalled.stage.action.removes() {
            return;
        }
        for category in &recalled.categories {
            let at_target = |sent: &&Sent| sent.target == recalled.target && sent.stage.action.removes();
            let mut standing = self.record.courses.iter().flat_map(|course| &course.sent).filter(at_target);
            if standing.any(|sent| sent.categories.contains(category)) {
                continue;
            }
            let now = self.now();
            for place in 0..self.record.courses.len() {
                let course = &self.record.courses[place];
                let Some(policy) = self.rules().policy_by_key(&course.policy) else { continue };
                let keeps = |sent: &&Sent| sent.kept.iter().any(|kept| kept.category == *category);
                let Some(last) = course.sent.iter().rev().filter(at_target).find(keeps) else { continue };
                let request = last.request();
                // Nor need anybody: who has returned since is covered by the period that runs again.
                if request.is_some_and(|request| self.is_over(policy, request)) {
                    continue;
                }
                let (target, stage) = (last.target.clone(), last.stage);
                let course = &mut self.record.courses[place];
                let is_it = |left: &&mut Left| left.target == target && left.stage == stage && left.request == request;
                match course.left.iter_mut().find(is_it) {
                    Some(left) if left.categories.contains(category) => {}
                    Some(left) => left.categories.push(category.clone()),
                    None => course.left.push(Left {
                        target,
                        stage,
                        categories: vec![category.clone()],
                        since: now,
                        request,
                        again: false,
                        outlasted: Vec::new(),
                    }),
                }
            }
        }
    }

    /// Takes commands of one course back, in the order they were sent.
    pub(super) fn recall(&mut self, course: usize, places: &[usize]) {
        for &place in places.iter().rev() {
            self.leave(course, place);
            let command = self.record.courses[course].sent.remove(place);
            self.restore_what_was_left_to(&command);
            let policy = self.record.courses[course].policy.clone();
            let id = self.recall_id(&policy, &command);
            let recalled = Recalled { id, policy, command, sent_at: self.now(), attempt: 0 };
            self.record.recalls.push(recalled);
        }
        let first_new = self.record.recalls.len() - places.len();
        self.record.recalls[first_new..].reverse();
        self.send_recalls(first_new);
    }

    /// Sends the next attempt of every recall from `first` on. One to a target that doesn't acknowledge
    /// counts as answered; one to a target that has left the configuration waits for it to return.
    pub(super) fn send_recalls(&mut self, first: usize) {
        let mut place = first;
        while place < self.record.recalls.len() {
            let Some(target) = self.rules().target_by_key(&self.record.recalls[place].command.target) else {
                place += 1;
                continue;
            };
            let now = self.now();
            let recalled = &mut self.record.recalls[place];
            recalled.attempt += 1;
            recalled.sent_at = now;
            let command = recall_command(recalled, target);
            self.out.push(command);
            if self.rules().target(target).acknowledge_within.is_some() {
                place += 1;
            } else {
                self.record.recalls.remove(place);
            }
        }
    }

    /// Repeats each recall `acknowledge_within` after its last attempt, until it is answered.
    pub(super) fn repeat_recalls(&mut self) {
        let mut waiting = std::mem::take(&mut self.record.recalls);
        let due: Vec<Recalled> = waiting.extract_if(.., |recalled| self.recall_is_due(recalled)).collect();
        self.record.recalls = waiting;
        let first = self.record.recalls.len();
        self.record.recalls.extend(due);
        self.send_recalls(first);
    }

    fn recall_is_due(&self, recalled: &Recalled) -> bool {
        let Some(target) = self.rules().target_by_key(&recalled.command.target) else { return false };
        recalled.attempt == 0
            || match self.rules().target(target).acknowledge_within {
                Some(within) => recalled.sent_at + within <= self.now(),
                // It has stopped acknowledging: what was sent counts.
                None => false,
            }
    }
}

/// Those among what was sent that are gone and can still be recalled: a removal until it is done, a warning
/// until the next stage has been sent.
fn places_to_recall(course: &Course, is_gone: impl Fn(&Sent) -> bool) -> Vec<usize> {
    let can_be_recalled = |place: usize| {
        let sent = &course.sent[place];
        if sent.stage.action.removes() { !matches!(sent.reply, Reply::Done { .. }) } else { !sent.followed }
    };
    let places = 0..course.sent.len();
    places.filter(|&place| can_be_recalled(place) && is_gone(&course.sent[place])).collect()
}

fn recall_command(recalled: &Recalled, target: TargetIndex) -> Command {
    let command = &recalled.command;
    Command {
        id: recalled.id,
        target,
        verb: Verb::Recall,
        cause: command.cause,
        policy: recalled.policy.clone(),
        policy_version: command.policy_version.clone(),
        categories: command.categories.clone(),
        kept: command.kept.clone(),
        since: command.since.clone(),
        deadline: command.deadline,
        deferred_by: command.deferred_by.clone(),
        next: None,
        recalls: Some(command.id),
        attempt: recalled.attempt,
        time: recalled.sent_at,
        expires: None,
    }
}
