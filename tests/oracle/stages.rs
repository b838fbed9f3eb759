//! "Stages in order, with full notice": what of a policy leaves next by period, and from when on.

use crate::keepers::{Parted, Task};
use crate::sent::{Cause, Reply, Sent, Words};
use crate::told::{Action, Stage};
use crate::view::{Since, View};

/// One command to some targets that leaves as soon as it may.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub policy: usize,
    pub cause: Cause,
    pub since: Since,
    pub deadline: i64,
    /// It can leave from here on: deadline + lateness, or the end of notice; a request at once.
    pub ready: i64,
    /// Stage and target.
    pub to: Vec<(usize, usize)>,
}

/// A policy's way from one starting point to its last stage.
#[derive(Clone, Copy)]
struct Course {
    policy: usize,
    since: Since,
    /// Nothing is due but what was left before consent was withdrawn.
    only_left: bool,
}

impl Course {
    fn task(self, stage: usize, target: usize) -> Task {
        Task { policy: self.policy, stage, target, cause: Cause::Period, since: self.since }
    }
}

impl<'a> View<'a> {
    pub fn action_of(self, sent: &Sent) -> Action {
        self.policy(sent.policy).stages[sent.stage].action
    }

    pub fn stage_deadline(self, policy: usize, stage: usize, since: Since) -> i64 {
        let counted_from = self.policy(policy).counted_from;
        self.calendar.deadline(counted_from, self.policy(policy).stages[stage].after, since.at)
    }

    /// A withdrawal takes no ground away, so what had been left before it must go all the same.
    fn course(self, policy: usize) -> Option<Course> {
        if let Some(since) = self.start(policy) {
            return Some(Course { policy, since, only_left: false });
        }
        self.start_despite_withdrawal(policy)?;
        let sent = self.standing().map(|(_, sent)| sent);
        let by_period = sent.filter(|sent| sent.policy == policy && sent.cause == Cause::Period).last()?;
        let is_unserved = self.served(policy).is_none_or(|served| by_period.since.at > served);
        is_unserved.then_some(Course { policy, since: by_period.since, only_left: true })
    }

    /// What leaves next by period, be it only in the future.
    pub fn due_by_period(self, policy: usize) -> Option<Candidate> {
        let course = self.course(policy)?;
        let stages = &self.policy(policy).stages;
        for (place, stage) in stages.iter().enumerate() {
            if stage.action.removes() {
                let to = self.targets_to_remove_at(course, place);
                if !to.is_empty() {
                    return Some(self.candidate(course, place, to));
                }
                continue;
            }
            let missing = self.targets_not_warned(course, place);
            if missing.is_empty() {
                // "An unanswered or failed warning holds the next stage."
                self.given(course, place)?;
            } else if self.warned_of(course, place).is_some_and(|(_, parted)| !parted.named.is_empty()) {
                return Some(self.candidate(course, place, missing));
            }
        }
        None
    }

    fn candidate(self, course: Course, stage: usize, targets: Vec<usize>) -> Candidate {
        let Course { policy, since, .. } = course;
        let deadline = self.stage_deadline(policy, stage, since);
        let by_period = deadline + self.policy(policy).lateness;
        let ready = self.notice_end(course, stage).map_or(by_period, |notice| notice.max(by_period));
        let to = targets.into_iter().map(|target| (stage, target)).collect();
        Candidate { policy, cause: Cause::Period, since, deadline, ready, to }
    }

    fn targets_not_warned(self, course: Course, stage: usize) -> Vec<usize> {
        let targets = self.policy(course.policy).stages[stage].targets.iter().copied();
        targets.filter(|&target| self.sent_for(course.task(stage, target)).next().is_none()).collect()
    }

    /// Where a removing stage was not sent, or left something that nothing keeps any more. Not even the policy
    /// itself, which keeps its categories until its last stage was sent.
    fn targets_to_remove_at(self, course: Course, stage: usize) -> Vec<usize> {
        let has_removed = self.has_removed(course.policy, course.since.at);
        let is_due = |target: &usize| {
            let task = course.task(stage, *target);
            let todo = self.todo(task);
            match todo.first {
                true => !course.only_left,
                false => has_removed && !self.part(task, &todo.categories, None).named.is_empty(),
            }
        };
        self.policy(course.policy).stages[stage].targets.iter().copied().filter(is_due).collect()
    }

    /// The stage that a warning is of, and what it would name now over all its targets. A category that it
    /// would name at one of them isn't kept; of others the keeper at the first target is told.
    fn warned_of(self, course: Course, warning: usize) -> Option<(usize, Parted)> {
        let stages = &self.policy(course.policy).stages;
        let removing = (warning + 1..stages.len()).filter(|stage| stages[*stage].action.removes());
        let mut open = removing.map(|stage| (stage, self.targets_to_remove_at(course, stage)));
        let (stage, targets) = open.find(|(_, targets)| !targets.is_empty())?;
        let parted = targets.into_iter().map(|target| {
            let task = course.task(stage, target);
            self.part(task, &self.todo(task).categories, None)
        });
        let parted: Vec<Parted> = parted.collect();
        let mut together = Parted::default();
        for &category in &self.policy(course.policy).categories {
            if parted.iter().any(|parted| parted.named.contains(&category)) {
                together.named.push(category);
            } else {
                let kept = parted.iter().flat_map(|parted| &parted.kept);
                together.kept.extend(kept.filter(|(kept, _)| *kept == category).take(1).cloned());
            }
        }
        Some((stage, together))
    }

    /// When a warning was given, and when that was known: "acknowledged `done` by every acknowledging target of
    /// that stage; for others, sent; of several targets the latest".
    fn given(self, course: Course, warning: usize) -> Option<(i64, i64)> {
        let targets = &self.policy(course.policy).stages[warning].targets;
        let given = targets.iter().map(|&target| {
            let (_, sent) = self.sent_for(course.task(warning, target)).next()?;
            match self.reply(sent) {
                Reply::Done(at) => Some((at, self.done_known(sent))),
                _ => None,
            }
        });
        let given: Vec<(i64, i64)> = given.collect::<Option<_>>()?;
        Some((given.iter().map(|(at, _)| *at).max()?, given.iter().map(|(_, known)| *known).max()?))
    }

    /// "The next stage waits for the whole notice": the end of the notice of the last warning given before
    /// a stage, if that stage is the next after it; not before it is known that it was given.
    fn notice_end(self, course: Course, stage: usize) -> Option<i64> {
        let is_warning = |earlier: &usize| self.policy(course.policy).stages[*earlier].action == Action::Warn;
        let mut warnings = (0..stage).rev().filter(is_warning);
        let (warning, (given, known)) = warnings.find_map(|warning| Some((warning, self.given(course, warning)?)))?;
        let (first_warned, _) = self.sent_of_stage(course, warning).find(|(_, sent)| !self.is_recalled(sent))?;
        let another_was_next = (warning + 1..stage)
            .flat_map(|between| self.sent_of_stage(course, between))
            .any(|(place, _)| place > first_warned);
        (!another_was_next).then(|| self.notice_from(course, warning, stage, given).max(known))
    }

    /// All that was sent for a stage, recalled or not.
    fn sent_of_stage(self, course: Course, stage: usize) -> impl Iterator<Item = (usize, &'a Sent)> {
        self.sent.iter().enumerate().filter(move |(_, sent)| {
            (sent.policy, sent.stage, sent.cause) == (course.policy, stage, Cause::Period)
                && sent.since.at == course.since.at
        })
    }

    fn notice_from(self, course: Course, warning: usize, stage: usize, given: i64) -> i64 {
        let Course { policy, since, .. } = course;
        let bound = |stage: usize| (self.policy(policy).stages[stage].after, self.stage_deadline(policy, stage, since));
        self.calendar.notice_end(bound(warning), bound(stage), given)
    }

    /// What a stage says now to one of its targets.
    pub fn words(self, task: Task, except: Option<usize>) -> Words {
        let Task { policy, stage, since, .. } = task;
        let action = self.policy(policy).stages[stage].action;
        if action.removes() {
            let Parted { named, kept } = self.part(task, &self.todo(task).categories, except);
            return Words { since_kind: since.kind, categories: named, kept, next: None };
        }
        let course = Course { policy, since, only_left: self.start(policy).is_none() };
        let (_, Parted { named, kept }) = self.warned_of(course, stage).unwrap_or_default();
        Words { since_kind: since.kind, categories: named, kept, next: self.next_after(course, stage) }
    }

    /// The first stage after a warning that is still to be sent, and the first instant at which it can.
    fn next_after(self, course: Course, warning: usize) -> Option<(&'static str, i64)> {
        let stages: &[Stage] = &self.policy(course.policy).stages;
        let is_open = |stage: &usize| match stages[*stage].action.removes() {
            true => !self.targets_to_remove_at(course, *stage).is_empty(),
            false => !self.targets_not_warned(course, *stage).is_empty(),
        };
        let next = (warning + 1..stages.len()).find(is_open)?;
        let by_period = self.stage_deadline(course.policy, next, course.since) + self.policy(course.policy).lateness;
        let by_notice = self.notice_from(course, warning, next, self.now);
        Some((stages[next].action.name(), by_period.max(by_notice)))
    }

    /// Whether a warning stands only until here: the next stage has been sent, recalled or not, or a request
    /// has done away with what it warns of.
    pub fn is_warning_over(self, place: usize) -> bool {
        let warning = &self.sent[place];
        let mut later = self.sent[place + 1..].iter().filter(|sent| sent.policy == warning.policy);
        later.any(|sent| match sent.cause {
            Cause::Period => sent.since.at == warning.since.at && sent.stage > warning.stage,
            _ => sent.since.at >= warning.since.at,
        })
    }

    /// Whether a warning would still be of all that it names: nothing has begun to keep it, nor has another
    /// command removed it.
    pub fn is_still_warned_of(self, warning: &Sent) -> bool {
        let Sent { policy, stage, since, .. } = *warning;
        // Neither a request nor a withdrawal takes a ground away.
        let course = Course { policy, since, only_left: false };
        let named = self.warned_of(course, stage).map_or(Vec::new(), |(_, parted)| parted.named);
        warning.words.categories.iter().all(|category| named.contains(category))
    }
}
