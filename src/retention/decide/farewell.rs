//! When nothing more will come of a customer, our own record goes, too.

use super::hear::course_mut;
use super::lease::is_overtaken;
use super::resend::{is_only_resent, last_resent};
use super::standing::ground;
use super::{Blocked, Judgement, Obstacle, Wake};
use crate::retention::calendar::{Seconds, Timestamp};
use crate::retention::claims::Claim;
use crate::retention::command::Cause;
use crate::retention::customer::{Record, Reply, Resend, Sent};
use crate::retention::gate::KnownSince;
use crate::retention::policy::{PolicyIndex, Rulebook};

/// What is left to remember of a customer whose record goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Farewell {
    /// The moment the last command was decided.
    pub end: Timestamp,
    /// Of that command.
    pub cause: Cause,
    /// Keys of the policies that sent something, ordered.
    pub policies: Vec<String>,
    /// Consents that stand withdrawn, with when they were, ordered by name.
    pub withdrawn: Vec<(String, Timestamp)>,
    /// What happened up to here has been seen to; the same for all policies.
    pub served: Timestamp,
}

impl Farewell {
    /// Consents that stood withdrawn stand for the customer who comes anew, and the moment from which history
    /// is known does not make them due once more.
    pub fn stand(&self, rules: &Rulebook, record: &mut Record) {
        for policy in &rules.policies {
            let refused = self.withdrawn.iter().find(|(name, _)| policy.consent.as_ref() == Some(name));
            let course = course_mut(record, &policy.key);
            course.served = Some(self.served);
            course.refused_since = refused.map(|(_, at)| *at);
        }
        for (name, at) in &self.withdrawn {
            let withdrawal = Claim::Consent { name: name.clone(), given: false, at: *at };
            record.claims.merge(&withdrawal, *at);
        }
    }
}

/// Whether something that happened at `at` lies before the end: at day resolution before its local day.
pub fn is_from_before(rules: &Rulebook, end: Timestamp, at: Timestamp) -> bool {
    let at_resolution = |at: Timestamp| rules.resolution.apply(at, rules.zone);
    at_resolution(at) < at_resolution(end)
}

impl Judgement<'_> {
    pub(super) fn wake_for_farewell(&self, wake: &mut Wake) {
        let Some(farewell) = self.farewell() else {
            let ends = self.record.claims.holds_in_force(self.now()).filter_map(|placed| placed.until);
            ends.for_each(|end| wake.no_later_than(end));
            let leases = self.record.courses.iter().flat_map(|course| &course.sent).filter_map(|sent| sent.expires);
            return leases.for_each(|end| wake.at_last(end, self.now()));
        };
        let (rules, now) = (self.rules(), self.now());
        let at = rules.forget.after.deadline(farewell.end, rules.zone);
        if at > now {
            return wake.no_later_than(at);
        }
        let is_open = |policy: PolicyIndex| {
            self.known_since(policy) != KnownSince::Unknown
                && self.circumstances.gate.proven_up_to(policy, now).is_some()
        };
        match self.policy_indices().find(|policy| !is_open(*policy)) {
            None => {
                wake.farewell = Some(farewell);
                // What was left and is over would have had another look.
                wake.at = None;
            }
            // When that has opened, another may still be closed.
            Some(policy) => {
                let (deadline, by) = (farewell.end, Obstacle::FarewellGate);
                wake.blocked.push(Blocked { policy, deadline, on_request: false, by, due: None });
            }
        }
    }

    /// `None`: something may still come of the customer.
    fn farewell(&self) -> Option<Farewell> {
        let claims = &self.record.claims;
        let is_held = claims.holds_in_force(self.now()).next().is_some();
        // Whomever policies mean by now.
        let has_start = |policy| ground(self.circumstances, policy, self.seen, claims).is_some();
        let had_start = self.policy_indices().any(has_start);
        let only_resent = is_only_resent(self.record, had_start);
        let is_resending = self.record.resends.iter().any(Resend::is_under_way);
        if is_held || !(had_start || only_resent) || is_resending || !self.record.recalls.is_empty() {
            return None;
        }
        let courses = &self.record.courses;
        let answered = courses.iter().all(|course| {
            let is_answered = |sent: &Sent| matches!(sent.reply, Reply::Done { .. });
            // Nobody waits for its answer, but until its lease ends it may still be obeyed, and so taken back.
            let is_past = |place| is_overtaken(course, place) && course.sent[place].expires <= Some(self.now());
            (0..course.sent.len()).all(|place| is_answered(&course.sent[place]) || is_past(place))
        });
        let nothing_left = courses.iter().all(|course| {
            let policy = self.rules().policy_by_key(&course.policy);
            course.left.iter().all(|left| policy.is_some_and(|policy| self.is_left_over(policy, left)))
        });
        if !answered || !nothing_left || !self.policy_indices().all(|policy| self.is_through(policy)) {
            return None;
        }
        let sent = courses.iter().flat_map(|course| &course.sent);
        if !only_resent && !sent.clone().any(|sent| sent.stage.action.removes()) {
            return None;
        }
        let by_courses = sent.map(|sent| (sent.first_sent_at, sent.cause));
        let (end, cause) = by_courses.chain(last_resent(self.record)).max_by_key(|(at, _)| *at)?;
        let by_courses = courses.iter().filter(|course| !course.sent.is_empty()).map(|course| &course.policy);
        let policies = by_courses.chain(self.record.resends.iter().flat_map(|resend| &resend.policies));
        let policies: std::collections::BTreeSet<&String> = policies.collect();
        let withdrawn = claims.consents.iter();
        Some(Farewell {
            end,
            served: self.rules().resolution.apply(end, self.rules().zone) - Seconds(1),
            cause,
            policies: policies.into_iter().cloned().collect(),
            withdrawn: withdrawn
                .filter_map(|consent| Some((consent.name.clone(), consent.withdrawn_last()?)))
                .collect(),
        })
    }

    /// One without a starting point counts as done.
    fn is_through(&self, policy: PolicyIndex) -> bool {
        if self.known_since(policy) == KnownSince::Unknown {
            return false;
        }
        let is_asked = self.erasure(policy).is_some() || self.withdrawal(policy).is_some();
        !is_asked && (self.start(policy).is_none() || self.finished(policy))
    }
}
