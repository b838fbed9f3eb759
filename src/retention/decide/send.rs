//! What leaves: composing a command, remembering it.

use super::Judgement;
use super::hear::course_mut;
use super::keepers::{Parted, View};
use super::standing::{Addressee, Candidate, Ground, Start};
use crate::plant::{Plant, is_planted};
use crate::retention::command::{Cause, Command, Next, Verb};
use crate::retention::customer::{Course, Left, Reply, Sent};
use crate::retention::policy::{PolicyIndex, TargetIndex};
use uuid::Uuid;

impl Judgement<'_> {
    /// The policy's course, made if there is none.
    pub(super) fn course_mut(&mut self, policy: PolicyIndex) -> &mut Course {
        let key = &self.rules().policies[usize::from(policy.0)].key;
        course_mut(self.record, key)
    }

    /// Sends a candidate to each of its addressees and remembers what was sent and what was left.
    pub(super) fn send(&mut self, candidate: &Candidate) {
        let policy = candidate.policy;
        for addressee in &candidate.to {
            let sent = self.compose(candidate, addressee);
            if sent.stage.action.removes() {
                self.remember_what_is_left(candidate, &sent);
            }
            self.follow_warnings(policy, addressee.stage, &sent);
            self.course_mut(policy).sent.push(sent);
            let course = self.place_of(policy);
            let place = self.record.courses[course].sent.len() - 1;
            let command = self.command_of(course, place, addressee.target);
            self.out.push(command);
        }
        let course = self.course_mut(policy);
        match candidate.ground {
            Ground::Period(start) => course.since = Some(start.at),
            // What covers more is spent with it.
            Ground::Request(request) => course.served = course.served.max(Some(request.at)),
        }
    }

    /// Warnings that have been followed by a later stage, or by a request, are no longer taken back.
    fn follow_warnings(&mut self, policy: PolicyIndex, stage: usize, by: &Sent) {
        let rules = self.policy(policy);
        for earlier in &mut self.course_mut(policy).sent {
            let is_before = match by.cause {
                Cause::Period => rules.stage_by_id(earlier.stage) < Some(stage),
                Cause::Withdrawn | Cause::ErasureRequest => by.since.at >= earlier.since.at,
            };
            earlier.followed |= !earlier.stage.action.removes() && is_before;
        }
    }

    fn place_of(&mut self, policy: PolicyIndex) -> usize {
        let key = self.policy(policy).key.as_str();
        let place = self.record.courses.binary_search_by(|course| course.policy.as_str().cmp(key));
        place.unwrap_or_else(|place| place)
    }

    fn compose(&mut self, candidate: &Candidate, addressee: &Addressee) -> Sent {
        let Candidate { policy, action, deadline, ground, .. } = *candidate;
        let target = addressee.target;
        let stage = self.policy(policy).stage_id(addressee.stage);
        let (cause, since, request) = match ground {
            Ground::Period(start) => (Cause::Period, self.since(start), None),
            Ground::Request(request) => (request.cause, Self::request_since(request), Some(request)),
        };
        let key = self.rules().target(target).key.clone();
        let view = if request.is_some() { View::on_request() } else { View::by_period() };
        let parted = match action.removes() {
            true => self.part_for(policy, addressee, request, view),
            false => {
                let parted = self.part_for_warning(policy, addressee.stage, view);
                parted.unwrap_or_else(|| self.everything(policy))
            }
        };
        let next = match ground {
            Ground::Period(start) if !action.removes() => self.next_after_warning(policy, addressee.stage, start),
            _ => None,
        };
        let mut sent = Sent {
            id: Uuid::nil(),
            round: 0,
            target: key,
            stage,
            cause,
            policy_version: self.policy(policy).version.clone(),
            categories: parted.named,
            kept: parted.kept,
            since,
            deadline,
            deferred_by: self.deferred_by(candidate, addressee),
            next,
            sent_at: self.now(),
            first_sent_at: self.now(),
            attempt: 1,
            expires: self.expiry(target),
            reply: Reply::None,
            followed: false,
        };
        if sent.expires.is_none() {
            sent.reply = Reply::Done { at: self.now(), heard: self.now() };
        }
        if self.course(policy).is_some_and(|course| course.sent.iter().any(|other| other.says_the_same_as(&sent))) {
            self.course_mut(policy).round += 1;
        }
        sent.round = self.course(policy).map_or(0, |course| course.round);
        sent.id = self.command_id(&self.policy(policy).key, &sent);
        sent
    }

    fn everything(&self, policy: PolicyIndex) -> Parted {
        let names = self.policy(policy).categories.iter();
        let named = names.map(|&category| self.rules().categories[usize::from(category)].clone()).collect();
        Parted { named, kept: Vec::new() }
    }

    /// What follows, and when it can at the earliest if the warning is given now.
    pub(super) fn next_after_warning(&self, policy: PolicyIndex, warning: usize, start: Start) -> Option<Next> {
        let stages = &self.policy(policy).stages;
        let is_open = |&stage: &usize| match stages[stage].action.removes() {
            true => !self.to_remove(policy, stage).is_empty(),
            false => !self.targets_missing(policy, stage).is_empty(),
        };
        let next = (warning + 1..stages.len()).find(is_open)?;
        let by_period = self.ready_by_period(policy, next, start);
        let by_notice = self.notice_between(policy, warning, next, start, self.now());
        Some(Next { action: stages[next].action, on: by_period.max(by_notice) })
    }

    /// What a removal leaves is the policy's to remove later, unless another command names it first; what
    /// it names, nobody has to remove again.
    fn remember_what_is_left(&mut self, candidate: &Candidate, sent: &Sent) {
        let request = match candidate.ground {
            Ground::Period(_) => None,
            Ground::Request(request) => Some(request),
        };
        let rules = self.policy(candidate.policy);
        for other in &mut self.record.courses {
            // What an earlier stage does to a category is not what a later one of the policy does.
            let is_of_later_stage = |left: &Left| {
                let is_of_course = other.policy == rules.key && left.request == request;
                is_of_course && rules.stage_by_id(left.stage) > rules.stage_by_id(sent.stage)
            };
            for left in other.left.iter_mut().filter(|left| left.target == sent.target && !left.again) {
                if !is_of_later_stage(left) {
                    left.categories.retain(|category| !sent.categories.contains(category));
                }
            }
            other.left.retain(|left| left.again || !left.categories.is_empty());
        }
        let categories: Vec<String> = sent.kept.iter().map(|kept| kept.category.clone()).collect();
        let course = self.course_mut(candidate.policy);
        if request.is_none() {
            // A period that ran again speaks for what requests before it had left.
            let is_spoken_for = |left: &Left| left.request.is_some_and(|request| request.at < sent.since.at);
            course.left.retain(|left| left.again || left.target != sent.target || !is_spoken_for(left));
        }
        // A later word of the same kind covers an earlier one, and of a policy's stages the later one sees to
        // what both have left.
        course.left.retain_mut(|left| {
            let same_kind = left.request.map(|request| request.cause) == request.map(|request| request.cause);
            if left.target != sent.target || !same_kind || left.stage == sent.stage {
                return left.target != sent.target || !same_kind;
            }
            if !left.again && rules.stage_by_id(left.stage) < rules.stage_by_id(sent.stage) {
                left.categories.retain(|category| !categories.contains(category));
            }
            left.again || !left.categories.is_empty()
        });
        if !categories.is_empty() {
            let (target, stage, since) = (sent.target.clone(), sent.stage, sent.sent_at);
            course.left.push(Left { target, stage, categories, since, request, again: false, outlasted: Vec::new() });
        }
    }

    /// The command as it leaves now: the latest attempt of what was sent.
    pub(super) fn command_of(&self, course: usize, place: usize, target: TargetIndex) -> Command {
        let Course { policy, sent, .. } = &self.record.courses[course];
        command_of(policy, &sent[place], target)
    }

    fn command_id(&self, policy: &str, sent: &Sent) -> Uuid {
        self.id(policy, sent, sent.stage.action.name(), &[])
    }

    /// The order makes it another one than what was done before.
    pub(super) fn resend_id(&self, policy: &str, sent: &Sent, order: Uuid) -> Uuid {
        self.id(policy, sent, sent.stage.action.name(), order.as_bytes())
    }

    /// A recall's identity holds that of the command it cancels.
    pub(super) fn recall_id(&self, policy: &str, recalled: &Sent) -> Uuid {
        self.id(policy, recalled, Verb::Recall.name(), recalled.id.as_bytes())
    }

    /// UUIDv5 (RFC 9562) over everything that tells one decision from another. Each part is preceded by
    /// its length, so that no two lists of parts read the same.
    fn id(&self, policy: &str, sent: &Sent, command: &str, more: &[u8]) -> Uuid {
        let round = if is_planted(Plant::ForgetRound) { 0 } else { sent.round };
        let numbers = [sent.since.at.0, sent.deadline.0, i64::from(round), i64::from(sent.stage.nth)];
        let numbers: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
        let parts: [&[u8]; 8] = [
            self.rules().application.as_bytes(),
            sent.target.as_bytes(),
            policy.as_bytes(),
            command.as_bytes(),
            self.customer.as_bytes(),
            sent.cause.name().as_bytes(),
            &numbers,
            more,
        ];
        let mut name = Vec::with_capacity(parts.iter().map(|part| part.len() + 4).sum());
        for part in parts {
            name.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            name.extend_from_slice(part);
        }
        Uuid::new_v5(&self.rules().command_namespace, &name)
    }
}

/// The latest attempt of what was sent.
pub(super) fn command_of(policy: &str, sent: &Sent, target: TargetIndex) -> Command {
    Command {
        id: sent.id,
        target,
        verb: Verb::Act(sent.stage.action),
        cause: sent.cause,
        policy: policy.to_owned(),
        policy_version: sent.policy_version.clone(),
        categories: sent.categories.clone(),
        kept: sent.kept.clone(),
        since: sent.since.clone(),
        deadline: sent.deadline,
        deferred_by: sent.deferred_by.clone(),
        next: sent.next,
        recalls: None,
        attempt: sent.attempt,
        time: sent.sent_at,
        expires: sent.expires,
    }
}
