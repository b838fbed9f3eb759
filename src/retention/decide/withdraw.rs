//! Recall: a command whose ground is gone is cancelled, whatever took it away.

use super::Judgement;
use crate::retention::command::{Command, Verb};
use crate::retention::customer::{Course, Recalled, Reply, Sent};
use crate::retention::policy::{PolicyIndex, TargetIndex};

impl Judgement<'_> {
    /// First every policy that starts over does, for from then on it keeps its categories again; only then
    /// can be seen which other commands have lost their ground.
    pub(super) fn withdraw(&mut self) {
        for place in 0..self.record.courses.len() {
            self.start_over(place);
        }
        for place in 0..self.record.courses.len() {
            let course = &self.record.courses[place];
            let policy = self.rules().policy_by_key(&course.policy);
            let gone = self.places_to_recall(policy, course, |sent| self.ground_is_gone(policy, course, sent));
            self.recall(place, &gone);
            self.record.courses[place].round += u32::from(!gone.is_empty());
        }
    }

    fn start_over(&mut self, place: usize) {
        let course = &self.record.courses[place];
        let Some(policy) = self.rules().policy_by_key(&course.policy) else { return };
        if !self.starts_over(policy, course) {
            return;
        }
        let standing = self.places_to_recall(Some(policy), course, |_| true);
        self.recall(place, &standing);
        let course = &mut self.record.courses[place];
        course.sent.clear();
        course.left.clear();
        course.since = None;
        course.round += 1;
    }

    fn places_to_recall(
        &self,
        policy: Option<PolicyIndex>,
        course: &Course,
        is_gone: impl Fn(&Sent) -> bool,
    ) -> Vec<usize> {
        let sent = course.sent.iter().enumerate();
        let gone = sent.filter(|(_, sent)| is_gone(sent) && self.can_be_recalled(policy, course, sent));
        gone.map(|(place, _)| place).collect()
    }

    /// Activity later than the starting point of what was sent starts the policy over, however late it
    /// arrives: what it left behind must go one day too.
    fn starts_over(&self, policy: PolicyIndex, course: &Course) -> bool {
        match (course.since, self.start(policy)) {
            (Some(since), Some(start)) => start.at > since,
            _ => false,
        }
    }

    fn ground_is_gone(&self, policy: Option<PolicyIndex>, course: &Course, sent: &Sent) -> bool {
        let Some(policy) = policy else { return true };
        let rules = self.policy(policy);
        let (Some(stage), Some(start)) = (rules.stage_by_id(sent.stage), self.start(policy)) else { return true };
        let target = self.rules().target_by_key(&sent.target);
        let in_force = target.is_some_and(|target| rules.stages[stage].targets.contains(&target));
        if !in_force || !rules.mode.allows(sent.stage.action) {
            return true;
        }
        if self.deadline(policy, stage, start) > self.now() {
            return true;
        }
        if sent.stage.action.removes() {
            target.is_none_or(|target| self.names_something_kept(policy, sent, target))
        } else {
            let last_sent = course.sent.iter().filter_map(|other| rules.stage_by_id(other.stage)).max();
            last_sent == Some(stage) && self.warns_of_something_kept(policy, stage, sent)
        }
    }

    fn names_something_kept(&self, policy: PolicyIndex, sent: &Sent, target: TargetIndex) -> bool {
        let parted = self.part(policy, target, &[]);
        sent.categories.iter().any(|named| !parted.named.contains(named))
    }

    fn warns_of_something_kept(&self, policy: PolicyIndex, stage: usize, sent: &Sent) -> bool {
        let named = self.warned_of(policy, stage);
        named.is_some_and(|named| sent.categories.iter().any(|category| !named.contains(category)))
    }

    /// A removal until it is done; a warning until the next stage has been sent.
    fn can_be_recalled(&self, policy: Option<PolicyIndex>, course: &Course, sent: &Sent) -> bool {
        if sent.stage.action.removes() {
            return !matches!(sent.reply, Reply::Done { .. });
        }
        let later = |other: &Sent| match policy.map(|policy| self.policy(policy)) {
            Some(rules) => rules.stage_by_id(other.stage) > rules.stage_by_id(sent.stage),
            None => other.stage.action.removes() && other.deadline >= sent.deadline,
        };
        !course.sent.iter().any(later)
    }

    /// Takes commands of one course back, in the order they were sent.
    pub(super) fn recall(&mut self, course: usize, places: &[usize]) {
        for &place in places.iter().rev() {
            let command = self.record.courses[course].sent.remove(place);
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
    fn send_recalls(&mut self, first: usize) {
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
