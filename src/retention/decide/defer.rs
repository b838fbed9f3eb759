//! Holds: they defer what is due by period, wholly, and never cancel it.

use super::standing::{Addressee, Candidate};
use super::{Judgement, Wake};
use crate::retention::calendar::Timestamp;
use crate::retention::customer::Deferral;
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

/// The id of the hold that a target's `retained` works as.
pub(super) fn retained_id(target: &str) -> String {
    format!("retained:{target}")
}

impl Judgement<'_> {
    /// What stops a policy now. A target's `retained` doesn't stop the command it answers.
    pub(super) fn stops(&self, policy: PolicyIndex, answered: Option<Uuid>) -> Vec<Stop> {
        let key = &self.policy(policy).key;
        let holds = self.record.claims.holds_in_force(self.now()).filter(|placed| placed.concerns(key));
        let mut stops: Vec<Stop> = holds.map(|placed| Stop { id: placed.id.clone(), until: placed.until }).collect();
        let retained = self.course(policy).into_iter().flat_map(|course| &course.retained);
        let retained = retained.filter(|retained| retained.until > self.now() && answered != Some(retained.command));
        stops.extend(retained.map(|retained| Stop { id: retained_id(&retained.target), until: Some(retained.until) }));
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

    /// Remembers which holds are in force, so that what they defer can name them when it leaves.
    pub(super) fn note_stops(&mut self) {
        if self.record.claims.holds.is_empty() && self.record.courses.is_empty() {
            return;
        }
        for policy in self.policy_indices() {
            if let Some(Stop { id, until }) = self.last_stop(policy, None) {
                self.course_mut(policy).deferral = Some(Deferral { id, until, lifted: None });
            }
        }
    }

    /// A hold that is no longer in force although its end has not come has been lifted now.
    pub(super) fn note_what_was_lifted(&mut self) {
        let now = self.now();
        for policy in self.policy_indices() {
            let in_force = self.stops(policy, None);
            let deferral = self.course(policy).and_then(|course| course.deferral.as_ref());
            let is_lifted = deferral.is_some_and(|deferral| {
                deferral.ended(now).is_none() && !in_force.iter().any(|stop| stop.id == deferral.id)
            });
            if is_lifted && let Some(deferral) = &mut self.course_mut(policy).deferral {
                deferral.lifted = Some(now);
            }
        }
    }

    /// Forgets holds that have ended and defer nothing that has still to be sent.
    pub(super) fn forget_deferrals(&mut self) {
        for policy in self.policy_indices() {
            let Some(ended) = self.hold_ended(policy) else { continue };
            if !self.may_have_deferred(policy, ended) {
                let course = self.course_mut(policy);
                course.deferral = None;
            }
        }
    }

    /// Whether anything is still to be sent that was ready before a hold ended.
    fn may_have_deferred(&self, policy: PolicyIndex, ended: Timestamp) -> bool {
        let has_left = self.course(policy).is_some_and(|course| !course.left.is_empty());
        let is_to_come = |place: usize| {
            let start = self.ground(policy);
            let was_ready = start.is_some_and(|start| self.ready_by_period(policy, place, start) < ended);
            was_ready && !self.targets_missing(policy, place).is_empty()
        };
        has_left || (0..self.policy(policy).stages.len()).any(is_to_come)
    }

    /// When the hold that was last in force ended; `None`: it hasn't, or there was none.
    fn hold_ended(&self, policy: PolicyIndex) -> Option<Timestamp> {
        self.course(policy)?.deferral.as_ref()?.ended(self.now())
    }

    /// Whether a policy still keeps what a floor no longer does; asked when everything due has been sent, so
    /// that it doesn't matter how often.
    pub(super) fn note_what_outlasts_floors(&mut self) {
        self.policy_indices().for_each(|policy| self.note_what_outlasts_floors_of(policy));
    }

    fn note_what_outlasts_floors_of(&mut self, policy: PolicyIndex) {
        let Some(course) = self.course(policy) else { return };
        let outlasted: Vec<Vec<String>> = course.left.iter().map(|left| self.outlasted(policy, left)).collect();
        for (place, names) in outlasted.into_iter().enumerate().filter(|(_, names)| !names.is_empty()) {
            self.course_mut(policy).left[place].outlasted.extend(names);
        }
    }

    /// The hold or floor that deferred what leaves: whichever ended last, if it did so after the command was
    /// ready. Nothing defers the word of a request, given anew or not.
    pub(super) fn deferred_by(&self, candidate: &Candidate, addressee: &Addressee) -> Option<String> {
        let policy = candidate.policy;
        let request = match candidate.ground {
            super::standing::Ground::Request(request) => Some(request),
            super::standing::Ground::Period(_) => None,
        };
        let left = if addressee.left { self.left(policy, addressee, request) } else { None };
        if request.is_some() && left.is_none_or(|left| left.again) {
            return None;
        }
        let floor = self.floor_that_left(policy, addressee, request);
        let floor_ended = floor.as_ref().map(|(_, deadline)| *deadline + self.policy(policy).lateness);
        let is_left_by_period = left.is_some_and(|left| !left.again) && request.is_none();
        let hold = self.course(policy).and_then(|course| course.deferral.as_ref());
        let hold = hold.and_then(|hold| Some((hold.id.clone(), hold.ended(self.now())?)));
        // What is said again waits for nobody but the hold.
        let left = left.filter(|left| !left.again);
        let is_outlasted = |id: &String| left.is_some_and(|left| left.outlasted.contains(&format!("hold:{id}")));
        let hold = hold.filter(|(id, _)| !is_outlasted(id));
        let hold = hold.filter(|(id, ended)| {
            *ended > candidate.ready && (!is_left_by_period || self.outlasted_the_last_stage(policy, id, *ended))
        });
        if let Some((id, ended)) = hold
            && floor_ended.is_none_or(|floor_ended| ended > floor_ended)
        {
            return Some(id);
        }
        floor.map(|(category, _)| format!("floor:{category}"))
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
