//! A command is a lease: what isn't answered in time is judged again and sent again, word for word, or,
//! if the words would differ, recalled and sent anew.

use super::keepers::View;
use super::standing::Addressee;
use super::{Blocked, Judgement, Obstacle, Sending, Wake};
use crate::retention::calendar::Timestamp;
use crate::retention::command::{Cause, Next};
use crate::retention::customer::{Course, Reply, Sent};
use crate::retention::policy::{PolicyIndex, TargetIndex};

/// A command whose lease is over.
struct Renewal {
    place: usize,
    policy: PolicyIndex,
    target: TargetIndex,
    /// Whether it would today be the same but for attempt and times.
    reads_the_same: bool,
}

impl Judgement<'_> {
    /// Whether any was recalled because its words have changed.
    pub(super) fn renew_leases(&mut self) -> bool {
        if self.circumstances.sending == Sending::RecallsOnly {
            return false;
        }
        let mut has_recalled = false;
        // All are judged by what stood before any of them left: one that is taken back to be said in other words
        // keeps nothing from the others.
        let courses = 0..self.record.courses.len();
        let renewals: Vec<Vec<Renewal>> = courses.map(|course| self.renewals(course)).collect();
        for (course, renewals) in renewals.into_iter().enumerate() {
            for renewal in renewals.iter().filter(|renewal| renewal.reads_the_same) {
                self.renew(course, renewal);
            }
            let differing = renewals.iter().filter(|renewal| !renewal.reads_the_same);
            let places: Vec<usize> = differing.map(|renewal| renewal.place).collect();
            self.recall(course, &places);
            self.record.courses[course].round += u32::from(!places.is_empty());
            has_recalled |= !places.is_empty();
        }
        has_recalled
    }

    /// Commands of a course whose lease is over and which may be sent again now.
    fn renewals(&self, course: usize) -> Vec<Renewal> {
        let course = &self.record.courses[course];
        let renewal = |place: usize| {
            let (policy, target) = self.renewable(course, place)?;
            let sent = &course.sent[place];
            let is_due = renewal(sent).is_some_and(|due| due <= self.now());
            let reads_the_same = || self.would_read_the_same(policy, target, place, course);
            (is_due && !self.may_not_renew(policy, sent)).then(|| Renewal {
                place,
                policy,
                target,
                reads_the_same: reads_the_same(),
            })
        };
        (0..course.sent.len()).filter_map(renewal).collect()
    }

    fn renew(&mut self, course: usize, renewal: &Renewal) {
        let Renewal { place, policy, target, .. } = *renewal;
        let (now, expires) = (self.now(), self.expiry(target));
        let next = self.next_as_of_now(policy, &self.record.courses[course].sent[place]);
        let sent = &mut self.record.courses[course].sent[place];
        sent.attempt += 1;
        sent.sent_at = now;
        sent.expires = expires;
        sent.next = next;
        if expires.is_none() {
            // The target has stopped acknowledging: it counts as done when sent.
            sent.reply = Reply::Done { at: now, heard: now };
        }
        let command = self.command_of(course, place, target);
        self.out.push(command);
    }

    /// A further attempt is judged like a first one, but for the brake's count.
    fn may_not_renew(&self, policy: PolicyIndex, sent: &Sent) -> bool {
        self.renewal_obstacle(policy, sent).is_some()
            || (sent.cause == Cause::Period && self.window_opens() > self.now())
    }

    fn renewal_obstacle(&self, policy: PolicyIndex, sent: &Sent) -> Option<Obstacle> {
        let proven = match sent.cause {
            Cause::Period => self.proven(policy, sent.deadline),
            Cause::Withdrawn | Cause::ErasureRequest => self.proven_for_request(sent.deadline),
        };
        if !proven {
            return Some(Obstacle::Gate);
        }
        (!self.circumstances.allowance.allows_attempts(policy)).then_some(Obstacle::Brake)
    }

    /// The policy and target of a command that still waits for its answer. A warning waits only until
    /// the next stage was sent.
    fn renewable(&self, course: &Course, place: usize) -> Option<(PolicyIndex, TargetIndex)> {
        let sent = &course.sent[place];
        renewal(sent)?;
        let policy = self.rules().policy_by_key(&course.policy)?;
        let target = self.rules().target_by_key(&sent.target)?;
        self.policy(policy).stage_by_id(sent.stage)?;
        (!is_overtaken(course, place)).then_some((policy, target))
    }

    /// Whether the command would today be the same but for attempt and times.
    fn would_read_the_same(&self, policy: PolicyIndex, target: TargetIndex, place: usize, course: &Course) -> bool {
        let sent = &course.sent[place];
        let rules = self.policy(policy);
        let Some(stage) = rules.stage_by_id(sent.stage) else { return false };
        let on_request = sent.cause != Cause::Period;
        if sent.policy_version != rules.version || (!on_request && !self.rests_on_the_same(policy, stage, sent)) {
            return false;
        }
        let view = View::again(on_request, sent.id);
        if !sent.stage.action.removes() {
            // A withdrawal takes no ground away, but what it has ended is not warned of again.
            let view = if self.is_withdrawn(policy) { View::by_period() } else { view };
            let parted = self.part_for_warning(policy, stage, view).unwrap_or_default();
            let follows = |next: Option<Next>| next.map(|next| next.action);
            let same_next = follows(self.next_as_of_now(policy, sent)) == follows(sent.next);
            return same_next && sent.categories == parted.named && sent.kept == parted.kept;
        }
        let is_other = |other: &&Sent| other.id != sent.id && other.says_the_same_as(sent);
        let others: Vec<&Sent> = course.sent.iter().filter(is_other).collect();
        let request = sent.request();
        let left = self.left(policy, &Addressee { stage, target, left: true }, request);
        let is_left = |name: &String| left.is_some_and(|left| left.categories.contains(name));
        let parted = self.part(policy, target, view, |name| {
            let is_named = others.iter().any(|other| other.categories.contains(name));
            others.is_empty() || (!is_named && (sent.categories.contains(name) || is_left(name)))
        });
        sent.categories == parted.named && sent.kept == parted.kept
    }

    /// What follows a warning, and when it can if the warning is given only now.
    fn next_as_of_now(&self, policy: PolicyIndex, sent: &Sent) -> Option<Next> {
        let stage = self.policy(policy).stage_by_id(sent.stage)?;
        match sent.stage.action.removes() {
            true => None,
            false => self.next_after_warning(policy, stage, self.start_of_sent(policy, sent)?),
        }
    }

    fn rests_on_the_same(&self, policy: PolicyIndex, stage: usize, sent: &Sent) -> bool {
        self.start_of_sent(policy, sent).is_some_and(|start| {
            sent.since == self.since(start) && sent.deadline == self.deadline(policy, stage, start)
        })
    }

    pub(super) fn wake_for_leases(&self, wake: &mut Wake) {
        for course in &self.record.courses {
            for place in 0..course.sent.len() {
                let Some((policy, _)) = self.renewable(course, place) else { continue };
                self.wake_for_lease(policy, &course.sent[place], wake);
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

    fn wake_for_lease(&self, policy: PolicyIndex, sent: &Sent, wake: &mut Wake) {
        match renewal(sent) {
            None => {}
            Some(due) if due > self.now() => wake.no_later_than(due),
            Some(_) if self.circumstances.sending == Sending::RecallsOnly => wake.no_later_than(self.now()),
            Some(_) if sent.cause == Cause::Period && self.window_opens() > self.now() => {
                wake.no_later_than(self.window_opens());
            }
            Some(_) => {
                let (deadline, on_request) = (sent.deadline, sent.cause != Cause::Period);
                let by = self.renewal_obstacle(policy, sent).unwrap_or(Obstacle::Gate);
                wake.blocked.push(Blocked { policy, deadline, on_request, by, due: None });
            }
        }
    }

    pub(super) fn expiry(&self, target: TargetIndex) -> Option<Timestamp> {
        self.rules().target(target).acknowledge_within.map(|within| self.now() + within)
    }
}

/// Whether nobody waits for the answer any more: a warning has been followed by the next stage; what was
/// sent before has been taken over by a later request.
pub(super) fn is_overtaken(course: &Course, place: usize) -> bool {
    let (sent, later) = (&course.sent[place], &course.sent[place + 1..]);
    let takes_over = |request: &Sent| {
        request.cause != Cause::Period && request.since.at >= sent.since.at && request.since != sent.since
    };
    sent.followed || later.iter().any(takes_over)
}

/// When a command is to be sent again; `None`: never, it is done.
pub(super) fn renewal(sent: &Sent) -> Option<Timestamp> {
    match sent.reply {
        Reply::Done { .. } => None,
        Reply::None | Reply::Failed { .. } => sent.expires,
        Reply::Retained { until, .. } => Some(sent.expires.map_or(until, |expires| expires.max(until))),
    }
}
