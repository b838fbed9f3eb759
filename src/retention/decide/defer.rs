//! Holds: they defer what is due by period, wholly, and never cancel it.

use super::standing::{Addressee, Candidate};
use super::{Judgement, Wake};
use crate::retention::calendar::Timestamp;
use crate::retention::customer::{Course, Left, Reply, Request};
use crate::retention::policy::PolicyIndex;
use uuid::Uuid;

/// A stop on a policy of one customer, in force now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stop {
    /// The hold's id, or `retained:TARGET` where a target must keep the data.
    pub id: String,
    /// `None`: it has no end.
    pub until: Option<Timestamp>,
}

impl Judgement<'_> {
    /// What stops a policy now. A target's `retained` doesn't stop the command it answers.
    pub(super) fn stops(&self, policy: PolicyIndex, answered: Option<Uuid>) -> Vec<Stop> {
        let key = &self.policy(policy).key;
        let holds = self.record.claims.holds_in_force(self.now()).filter(|placed| placed.concerns(key));
        let mut stops: Vec<Stop> = holds.map(|placed| Stop { id: placed.id.clone(), until: placed.until }).collect();
        for sent in self.course(policy).into_iter().flat_map(|course| &course.sent) {
            if let Reply::Retained { until, .. } = sent.reply
                && until > self.now()
                && answered != Some(sent.id)
            {
                stops.push(Stop { id: format!("retained:{}", sent.target), until: Some(until) });
            }
        }
        stops
    }

    /// Of what stops a policy the one with the latest end, then the first by id.
    pub(super) fn last_stop(&self, policy: PolicyIndex, answered: Option<Uuid>) -> Option<Stop> {
        let end = |stop: &Stop| stop.until.unwrap_or(Timestamp::MAX);
        let stops = self.stops(policy, answered).into_iter();
        stops.max_by(|a, b| end(a).cmp(&end(b)).then_with(|| b.id.cmp(&a.id)))
    }

    /// What keeps a candidate from leaving. Requests have their word; only what they leave waits, and
    /// that is among what is kept.
    pub(super) fn deferring_hold(&self, candidate: &Candidate) -> Option<Stop> {
        if candidate.is_on_request() { None } else { self.last_stop(candidate.policy, None) }
    }

    /// Remembers which hold was last in force while something was ready, so that the command can name it
    /// when it leaves.
    pub(super) fn note_deferrals(&mut self) {
        if self.record.claims.holds.is_empty() && self.record.courses.is_empty() {
            return;
        }
        for policy in self.policy_indices() {
            self.note_deferral(policy);
        }
    }

    pub(super) fn note_deferral(&mut self, policy: PolicyIndex) {
        let is_waiting = self.waits_for_holds(policy);
        let stop = if is_waiting { self.last_stop(policy, None) } else { None };
        if let Some(Stop { id, .. }) = stop {
            self.course_mut(policy).deferred_by = Some(id);
        } else if !is_waiting && self.course(policy).is_some_and(|course| course.deferred_by.is_some()) {
            self.course_mut(policy).deferred_by = None;
        }
    }

    /// Whether something would leave by period but for a hold, or nothing but a hold keeps what a request
    /// left.
    fn waits_for_holds(&self, policy: PolicyIndex) -> bool {
        let is_ready = |candidate: &Candidate| !candidate.is_on_request() && candidate.ready <= self.now();
        let is_left_to_holds = |left: &Left| {
            left.request.is_some() && left.categories.iter().any(|name| self.is_free_of_floors(policy, name))
        };
        let has_left = |course: &Course| course.left.iter().any(is_left_to_holds);
        self.candidates(policy).iter().any(is_ready) || self.course(policy).is_some_and(has_left)
    }

    /// The hold that deferred a command: an observed one, or the floor that kept what is left.
    pub(super) fn deferred_by(&self, candidate: &Candidate, addressee: &Addressee) -> Option<String> {
        let request = match candidate.ground {
            super::standing::Ground::Request(request) => Some(request),
            super::standing::Ground::Period(_) => None,
        };
        // Nothing defers the word of a request, given anew or not.
        let is_word = !addressee.left || self.left(candidate.policy, addressee, request).is_some_and(|left| left.again);
        if request.is_some() && is_word {
            return None;
        }
        let observed = self.course(candidate.policy).and_then(|course| course.deferred_by.clone());
        observed.or_else(|| self.floor_named(candidate.policy, addressee, request))
    }

    fn floor_named(&self, policy: PolicyIndex, addressee: &Addressee, request: Option<Request>) -> Option<String> {
        let (category, _) = self.floor_that_left(policy, addressee, request)?;
        Some(format!("floor:{category}"))
    }

    /// Holds end, one by one.
    pub(super) fn wake_for_holds(&self, policy: PolicyIndex, wake: &mut Wake) {
        for stop in self.stops(policy, None) {
            if let Some(until) = stop.until {
                wake.at_last(until, self.now());
            }
        }
    }
}
