//! Removals that are sent once more because a person has ordered it: a target still lists somebody whom it has
//! removed.
//!
//! The order works as a deadline of its own. It is obeyed when the sources prove that the customer was not seen
//! between the last removal and the order, lateness included; whoever was, or is held, or kept, keeps it from being
//! sent, and that ends the order. What was sent on it is a lease like any other, and is recalled when its ground goes.

use super::keepers::{Parted, View};
use super::lease::renewal;
use super::standing::ground;
use super::{Blocked, Circumstances, Farewell, Judgement, Obstacle, Sending, Wake, as_judged};
use crate::retention::activity::LastSeen;
use crate::retention::calendar::Timestamp;
use crate::retention::command::{Cause, Since};
use crate::retention::customer::{Recalled, Record, Reply, Resend, Sent};
use crate::retention::policy::{PolicyIndex, TargetIndex};
use uuid::Uuid;

/// So many orders about one customer are remembered.
const RESENDS_MAX: usize = 16;

/// The kind of a starting point that is none: since then the customer has been forgotten.
pub const FORGOTTEN: &str = "forgotten";

/// Why a removal is not sent once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotResent {
    #[error("nothing of this customer is known to have been removed")]
    Unknown,
    #[error("the customer was seen since, or a policy covers them again")]
    Active,
    #[error("a removal of the customer is due there, or has no answer yet")]
    Due,
    #[error("the customer is held")]
    Held,
    #[error("everything that would be named must be kept")]
    Kept,
    #[error("no policy in force has removed anything at this target")]
    NoPolicy,
    #[error("the policy has changed since it was sent")]
    Changed,
    #[error("it was obeyed before, or another one for this target is under way")]
    Repeated,
}

/// An order to send removals once more that has ended without being obeyed to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped {
    pub order: Uuid,
    pub target: TargetIndex,
    pub why: NotResent,
}

/// What has to be known of an order.
#[derive(Clone, Copy, Debug)]
pub struct ResendOrder {
    pub id: Uuid,
    /// When it was given; one from before the last command was obeyed then.
    pub given: Timestamp,
    pub target: TargetIndex,
}

/// Takes in an order about a customer. `farewell`: what is left where the record has gone.
///
/// # Errors
/// When it is not to be obeyed, and why; then nothing has changed.
pub fn order_resend(
    circumstances: Circumstances<'_>,
    seen: &[LastSeen],
    record: &mut Record,
    farewell: Option<&Farewell>,
    order: ResendOrder,
) -> Result<(), NotResent> {
    let resend = as_judged(circumstances, seen, record, |judgement| {
        let resend = judgement.new_resend(farewell, order)?;
        judgement.why_not(&resend).map_or(Ok(resend), Err)
    })?;
    record.resends.push(resend);
    Ok(())
}

/// Whether nothing is known of the customer but what was sent once more, or is to be.
pub(super) fn is_only_resent(record: &Record, has_start: bool) -> bool {
    !has_start && !record.resends.is_empty()
}

impl Judgement<'_> {
    fn new_resend(&self, farewell: Option<&Farewell>, order: ResendOrder) -> Result<Resend, NotResent> {
        let key = &self.rules().target(order.target).key;
        let before = &self.record.resends;
        let is_it = |resend: &Resend| resend.order == order.id || (resend.target == *key && resend.is_under_way());
        if before.iter().any(is_it) || before.len() >= RESENDS_MAX {
            return Err(NotResent::Repeated);
        }
        let sent = self.record.courses.iter().flat_map(|course| &course.sent);
        let of_courses = sent.map(|sent| (sent.first_sent_at, sent.cause));
        let of_resends = before.iter().flat_map(|resend| {
            let sent = resend.sent.iter().map(|(_, sent)| (sent.first_sent_at, sent.cause));
            sent.chain([(resend.end, resend.cause)])
        });
        let of_farewell = farewell.map(|farewell| (farewell.end, farewell.cause));
        let last = of_courses.chain(of_resends).chain(of_farewell).max_by_key(|(at, _)| *at);
        let (end, cause) = last.ok_or(NotResent::Unknown)?;
        if order.given <= end {
            return Err(NotResent::Repeated);
        }
        let of_courses = self
            .record
            .courses
            .iter()
            .filter(|course| course.sent.iter().any(|sent| sent.target == *key && sent.stage.action.removes()));
        let mut policies: Vec<String> = of_courses.map(|course| course.policy.clone()).collect();
        policies.extend(before.iter().flat_map(|resend| resend.policies.iter().cloned()));
        policies.extend(farewell.into_iter().flat_map(|farewell| farewell.policies.iter().cloned()));
        policies.sort_unstable();
        policies.dedup();
        Ok(Resend {
            order: order.id,
            target: key.clone(),
            ordered: self.now(),
            end,
            cause,
            policies,
            sent: Vec::new(),
            is_over: false,
        })
    }

    /// The last removing stage of a policy that speaks to a target, if its mode lets it.
    fn last_removal(&self, policy: PolicyIndex, target: TargetIndex) -> Option<usize> {
        let rules = self.policy(policy);
        let speaks = |stage: &usize| {
            let stage = &rules.stages[*stage];
            stage.action.removes() && stage.targets.contains(&target) && rules.mode.allows(stage.action)
        };
        (0..rules.stages.len()).rev().find(speaks)
    }

    /// Policies whose removals an order repeats, with the stage that does.
    fn repeated(&self, resend: &Resend, target: TargetIndex) -> Vec<(PolicyIndex, usize)> {
        let of_order = |policy: &PolicyIndex| resend.policies.contains(&self.policy(*policy).key);
        let policies = self.policy_indices().filter(of_order);
        policies.filter_map(|policy| Some((policy, self.last_removal(policy, target)?))).collect()
    }

    /// What keeps an order from being obeyed, or takes the ground from what was sent on it.
    fn why_not(&self, resend: &Resend) -> Option<NotResent> {
        let Some(target) = self.rules().target_by_key(&resend.target) else { return Some(NotResent::NoPolicy) };
        let repeated = self.repeated(resend, target);
        if repeated.is_empty() {
            return Some(NotResent::NoPolicy);
        }
        if repeated.iter().any(|(policy, _)| !self.stops(*policy, None).is_empty()) {
            return Some(NotResent::Held);
        }
        let speaks = |policy: &PolicyIndex| {
            self.policy(*policy).stages.iter().any(|stage| stage.action.removes() && stage.targets.contains(&target))
        };
        if self.policy_indices().filter(speaks).any(|policy| self.is_back(policy, resend.end)) {
            return Some(NotResent::Active);
        }
        let sent = self.record.courses.iter().flat_map(|course| &course.sent);
        let mut removals = sent.filter(|sent| sent.target == resend.target && sent.stage.action.removes());
        let waits = removals.any(|sent| !matches!(sent.reply, Reply::Done { .. }));
        let is_to_come = |policy: PolicyIndex| !self.candidates(policy).is_empty();
        if waits || self.policy_indices().filter(speaks).any(is_to_come) {
            return Some(NotResent::Due);
        }
        let names = |(policy, _): &(PolicyIndex, usize)| !self.parted(*policy, target).named.is_empty();
        (!repeated.iter().any(names)).then_some(NotResent::Kept)
    }

    /// Whether a policy covers the customer again, or would if it meant them: what is known of whom it means went
    /// with the record.
    fn is_back(&self, policy: PolicyIndex, end: Timestamp) -> bool {
        let resolved = |at: Timestamp| self.circumstances.almanac.at_resolution(self.rules().resolution, at);
        let reached = ground(self.circumstances, policy, self.seen, &self.record.claims).map(|start| start.at);
        let was_seen = !self.is_withdrawn(policy) && reached.is_some_and(|at| resolved(at) >= resolved(end));
        was_seen || (self.start(policy).is_some() && !self.finished(policy))
    }

    fn parted(&self, policy: PolicyIndex, target: TargetIndex) -> Parted {
        self.part(policy, target, View::by_period(), |_| true)
    }

    /// Ends orders whose ground is gone, and recalls what was sent on them.
    pub(super) fn withdraw_resends(&mut self) {
        for place in 0..self.record.resends.len() {
            let resend = &self.record.resends[place];
            if resend.is_under_way() {
                if let Some(why) = self.why_not(resend) {
                    self.drop_resend(place, why);
                } else if self.sending_is_full() && self.words_have_changed(place) {
                    self.drop_resend(place, NotResent::Changed);
                }
            }
        }
    }

    fn sending_is_full(&self) -> bool {
        self.circumstances.sending == Sending::All
    }

    /// Whether what has to be sent again, because its lease is over, would read otherwise by now.
    fn words_have_changed(&self, place: usize) -> bool {
        let resend = &self.record.resends[place];
        let Some(target) = self.rules().target_by_key(&resend.target) else { return true };
        resend.sent.iter().filter(|(_, sent)| renewal(sent).is_some_and(|due| due <= self.now())).any(|(key, sent)| {
            let Some(policy) = self.rules().policy_by_key(key) else { return true };
            let stage = self.last_removal(policy, target).map(|stage| self.policy(policy).stage_id(stage));
            let parted = self.parted(policy, target);
            sent.policy_version != self.policy(policy).version
                || stage != Some(sent.stage)
                || sent.categories != parted.named
                || sent.kept != parted.kept
        })
    }

    fn drop_resend(&mut self, place: usize, why: NotResent) {
        let resend = &mut self.record.resends[place];
        resend.is_over = true;
        let gone: Vec<(String, Sent)> =
            resend.sent.extract_if(.., |(_, sent)| !matches!(sent.reply, Reply::Done { .. })).collect();
        let (order, target) = (resend.order, resend.target.clone());
        let first_new = self.record.recalls.len();
        for (policy, command) in gone {
            let id = self.recall_id(&policy, &command);
            self.record.recalls.push(Recalled { id, policy, command, sent_at: self.now(), attempt: 0 });
        }
        self.send_recalls(first_new);
        if let Some(target) = self.rules().target_by_key(&target) {
            self.dropped.push(Dropped { order, target, why });
        }
    }

    /// When what happened before an order can no longer arrive.
    fn resend_is_ready(&self, resend: &Resend, target: TargetIndex) -> Timestamp {
        let repeated = self.repeated(resend, target);
        let lateness = repeated.iter().map(|(policy, _)| self.policy(*policy).lateness).max();
        lateness.map_or(resend.ordered, |lateness| resend.ordered + lateness)
    }

    /// What keeps an order from being obeyed now, though its time has come, and of which policy.
    fn resend_obstacle(&self, resend: &Resend, target: TargetIndex) -> Option<(PolicyIndex, Obstacle)> {
        let repeated = self.repeated(resend, target);
        let removes = |policy: &PolicyIndex| self.last_removal(*policy, target).is_some();
        // Whoever came back did so under any policy that speaks to the target.
        let unproven = self.policy_indices().filter(removes).find(|policy| !self.proven(*policy, resend.ordered));
        if let Some(policy) = unproven {
            return Some((policy, Obstacle::Gate));
        }
        let stopped = |policy: &PolicyIndex| !self.circumstances.allowance.allows_attempts(*policy);
        let stopped = repeated.into_iter().map(|(policy, _)| policy).find(stopped);
        stopped.map(|policy| (policy, Obstacle::Brake))
    }

    /// Sends what orders make due, and again what has had no answer in time.
    pub(super) fn send_resends(&mut self) {
        if !self.sending_is_full() || self.window_opens() > self.now() {
            return;
        }
        for place in 0..self.record.resends.len() {
            let resend = &self.record.resends[place];
            let Some(target) = self.rules().target_by_key(&resend.target) else { continue };
            let is_due = resend.waits() && self.resend_is_ready(resend, target) <= self.now();
            let is_overdue = resend.sent.iter().any(|(_, sent)| renewal(sent).is_some_and(|due| due <= self.now()));
            if (!is_due && !is_overdue) || self.resend_obstacle(resend, target).is_some() {
                continue;
            }
            if is_due {
                self.obey_resend(place, target);
            } else {
                self.renew_resend(place, target);
            }
        }
    }

    fn obey_resend(&mut self, place: usize, target: TargetIndex) {
        let resend = self.record.resends[place].clone();
        for (policy, stage) in self.repeated(&resend, target) {
            let parted = self.parted(policy, target);
            if parted.named.is_empty() {
                continue;
            }
            let (now, expires) = (self.now(), self.expiry(target));
            let mut sent = Sent {
                id: Uuid::nil(),
                round: 0,
                target: resend.target.clone(),
                stage: self.policy(policy).stage_id(stage),
                cause: resend.cause,
                policy_version: self.policy(policy).version.clone(),
                categories: parted.named,
                kept: parted.kept,
                since: Since { kind: FORGOTTEN.to_owned(), at: resend.end },
                deadline: resend.ordered,
                deferred_by: None,
                next: None,
                sent_at: now,
                first_sent_at: now,
                attempt: 1,
                expires,
                reply: if expires.is_some() { Reply::None } else { Reply::Done { at: now, heard: now } },
                followed: false,
            };
            let key = self.policy(policy).key.clone();
            sent.id = self.resend_id(&key, &sent, resend.order);
            self.out.push(super::send::command_of(&key, &sent, target));
            self.record.resends[place].sent.push((key, sent));
        }
    }

    fn renew_resend(&mut self, place: usize, target: TargetIndex) {
        let (now, expires) = (self.now(), self.expiry(target));
        for (key, sent) in &mut self.record.resends[place].sent {
            if renewal(sent).is_some_and(|due| due <= now) {
                sent.attempt += 1;
                (sent.sent_at, sent.expires) = (now, expires);
                if expires.is_none() {
                    // The target has stopped acknowledging: it counts as done when sent.
                    sent.reply = Reply::Done { at: now, heard: now };
                }
                self.out.push(super::send::command_of(key, sent, target));
            }
        }
    }

    /// Whoever has come back is no longer told by an order that has ended.
    pub(super) fn forget_resends(&mut self) {
        let has_start = self
            .policy_indices()
            .any(|policy| ground(self.circumstances, policy, self.seen, &self.record.claims).is_some());
        self.record.resends.retain(|resend| !(has_start && resend.is_over && resend.sent.is_empty()));
    }

    pub(super) fn wake_for_resends(&self, wake: &mut Wake) {
        for resend in &self.record.resends {
            let Some(target) = self.rules().target_by_key(&resend.target) else { continue };
            let due = if resend.waits() {
                Some(self.resend_is_ready(resend, target))
            } else {
                resend.sent.iter().filter_map(|(_, sent)| renewal(sent)).min()
            };
            match due {
                None => {}
                Some(due) if due > self.now() => wake.no_later_than(due),
                Some(_) if !self.sending_is_full() => wake.no_later_than(self.now()),
                Some(_) if self.window_opens() > self.now() => wake.no_later_than(self.window_opens()),
                Some(_) => {
                    let Some((policy, by)) = self.resend_obstacle(resend, target) else { continue };
                    let deadline = resend.ordered;
                    wake.blocked.push(Blocked { policy, deadline, on_request: false, by, due: None });
                }
            }
        }
    }
}

/// What became of the last command of orders, with its cause, where there is nothing else to tell of the customer.
pub(super) fn last_resent(record: &Record) -> Option<(Timestamp, Cause)> {
    let last = record.resends.iter().flat_map(|resend| {
        let sent = resend.sent.iter().map(|(_, sent)| (sent.first_sent_at, sent.cause));
        sent.chain([(resend.end, resend.cause)])
    });
    last.max_by_key(|(at, _)| *at)
}
