//! What leaves: composing a command, remembering it.

use super::Judgement;
use super::keepers::Parted;
use super::standing::{Candidate, Start};
use crate::retention::command::{Cause, Command, Next, Verb};
use crate::retention::customer::{Course, Left, Reply, Sent};
use crate::retention::policy::{PolicyIndex, TargetIndex};
use uuid::Uuid;

impl Judgement<'_> {
    /// Sends a candidate to each of its targets and remembers what was sent and what was left.
    pub(super) fn send(&mut self, candidate: &Candidate) {
        let Some(start) = self.start(candidate.policy) else { return };
        let course = self.course_for_sending(candidate.policy, start);
        for &target in &candidate.targets {
            let sent = self.compose(course, candidate, target, start);
            if sent.stage.action.removes() {
                self.remember_what_is_left(course, &sent);
            }
            self.record.courses[course].sent.push(sent);
            let place = self.record.courses[course].sent.len() - 1;
            let command = self.command_of(course, place, target);
            self.out.push(command);
        }
    }

    /// The place of the policy's course; sending to what an earlier removal left is a new round.
    fn course_for_sending(&mut self, policy: PolicyIndex, start: Start) -> usize {
        let key = &self.policy(policy).key;
        let courses = &mut self.record.courses;
        let place = match courses.binary_search_by(|course| course.policy.as_str().cmp(key)) {
            Ok(place) => place,
            Err(place) => {
                courses.insert(place, Course::new(key));
                place
            }
        };
        let course = &mut courses[place];
        course.since = Some(start.at);
        place
    }

    fn compose(&mut self, course: usize, candidate: &Candidate, target: TargetIndex, start: Start) -> Sent {
        let Candidate { policy, stage, action, deadline, .. } = *candidate;
        let already = self.named_by_stage(policy, stage, target);
        let again = self.sent_of_stage(policy, stage).any(|sent| sent.target == self.rules().target(target).key);
        if again {
            self.record.courses[course].round += 1;
        }
        let parted = match action.removes() {
            true => self.part(policy, target, &already),
            false => self.part_for_warning(policy, stage).unwrap_or_else(|| self.everything(policy)),
        };
        let next = (!action.removes()).then(|| self.next_after_warning(policy, stage, start)).flatten();
        let round = self.record.courses[course].round;
        let since = self.since(policy, start);
        let mut sent = Sent {
            id: Uuid::nil(),
            round,
            target: self.rules().target(target).key.clone(),
            stage: self.policy(policy).stage_id(stage),
            cause: Cause::Period,
            policy_version: self.policy(policy).version.clone(),
            categories: parted.named,
            kept: parted.kept,
            since,
            deadline,
            deferred_by: None,
            next,
            sent_at: self.now(),
            first_sent_at: self.now(),
            attempt: 1,
            expires: self.expiry(target),
            reply: Reply::None,
        };
        if sent.expires.is_none() {
            sent.reply = Reply::Done { at: self.now() };
        }
        sent.id = self.command_id(&self.policy(policy).key, &sent);
        sent
    }

    fn everything(&self, policy: PolicyIndex) -> Parted {
        let names = self.policy(policy).categories.iter();
        let named = names.map(|&category| self.rules().categories[usize::from(category)].clone()).collect();
        Parted { named, kept: Vec::new() }
    }

    /// What follows, and when it can at the earliest if the warning is given now.
    fn next_after_warning(&self, policy: PolicyIndex, warning: usize, start: Start) -> Option<Next> {
        let rules = self.policy(policy);
        let next = rules.stages.get(warning + 1)?;
        let by_period = self.deadline(policy, warning + 1, start) + rules.lateness;
        let by_notice = self.notice_after(policy, warning, start, self.now());
        Some(Next { action: next.action, on: by_period.max(by_notice) })
    }

    /// What a removal leaves is the policy's to remove later, unless another command names it first; what
    /// it names, nobody has to remove again.
    fn remember_what_is_left(&mut self, course: usize, sent: &Sent) {
        for other in &mut self.record.courses {
            for left in other.left.iter_mut().filter(|left| left.target == sent.target) {
                left.categories.retain(|category| !sent.categories.contains(category));
            }
            other.left.retain(|left| !left.categories.is_empty());
        }
        let categories: Vec<String> = sent.kept.iter().map(|kept| kept.category.clone()).collect();
        let lefts = &mut self.record.courses[course].left;
        lefts.retain(|left| !(left.target == sent.target && left.stage == sent.stage));
        if !categories.is_empty() {
            lefts.push(Left {
                target: sent.target.clone(),
                stage: sent.stage,
                categories,
                request: None,
                again: false,
            });
        }
    }

    /// The command as it leaves now: the latest attempt of what was sent.
    pub(super) fn command_of(&self, course: usize, place: usize, target: TargetIndex) -> Command {
        let Course { policy, sent, .. } = &self.record.courses[course];
        let sent = &sent[place];
        Command {
            id: sent.id,
            target,
            verb: Verb::Act(sent.stage.action),
            cause: sent.cause,
            policy: policy.clone(),
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

    fn command_id(&self, policy: &str, sent: &Sent) -> Uuid {
        self.id(policy, sent, sent.stage.action.name(), &[])
    }

    /// A recall's identity holds that of the command it cancels.
    pub(super) fn recall_id(&self, policy: &str, recalled: &Sent) -> Uuid {
        self.id(policy, recalled, Verb::Recall.name(), recalled.id.as_bytes())
    }

    /// UUIDv5 (RFC 9562) over everything that tells one decision from another. Each part is preceded by
    /// its length, so that no two lists of parts read the same.
    fn id(&self, policy: &str, sent: &Sent, command: &str, more: &[u8]) -> Uuid {
        let numbers = [sent.since.at.0, sent.deadline.0, i64::from(sent.round), i64::from(sent.stage.nth)];
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
