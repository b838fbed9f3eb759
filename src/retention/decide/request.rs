//! Requests: erasure, and consent withdrawn.
//!
//! A request counts from the end of its local day, so that it covers that day's activity (at second
//! resolution at once). What it covers is spent once it is served.

use super::hear::counts_from;
use super::keepers::View;
use super::standing::{Addressee, Candidate, Ground, applies, ground};
use super::{Judgement, Wake};
use crate::retention::calendar::Timestamp;
use crate::retention::command::{Cause, Since};
use crate::retention::customer::{Course, Left, Request};
use crate::retention::policy::PolicyIndex;

impl Judgement<'_> {
    /// When consent to the policy was first withdrawn since it was last given.
    pub(super) fn withdrawn_at(&self, policy: PolicyIndex) -> Option<Timestamp> {
        let course = self.course(policy);
        super::hear::withdrawn_at(self.circumstances, self.policy(policy), &self.record.claims, course)
    }

    /// When it was last.
    pub(super) fn last_withdrawn_at(&self, policy: PolicyIndex) -> Option<Timestamp> {
        super::hear::withdrawn_at(self.circumstances, self.policy(policy), &self.record.claims, None)
    }

    pub(super) fn is_withdrawn(&self, policy: PolicyIndex) -> bool {
        self.withdrawn_at(policy).is_some_and(|at| counts_from(self.rules(), at) <= self.now())
    }

    fn at_resolution(&self, at: Timestamp) -> Timestamp {
        self.circumstances.almanac.at_resolution(self.rules().resolution, at)
    }

    /// The request that erasure makes of every policy, until it is served.
    pub(super) fn erasure(&self, policy: PolicyIndex) -> Option<Request> {
        let at = self.at_resolution(self.record.claims.erasure?);
        self.is_unserved(policy, at).then_some(Request { cause: Cause::ErasureRequest, at })
    }

    /// The request that a withdrawal makes of a policy that covered the customer and has not removed
    /// them since.
    pub(super) fn withdrawal(&self, policy: PolicyIndex) -> Option<Request> {
        let first = self.withdrawn_at(policy)?;
        let covered = self.course(policy)?.withdrawn == Some(first);
        let asks = covered && self.is_unserved(policy, first) && !self.was_removed_before(policy);
        // Saying it again must not put off what was asked.
        let last = self.last_withdrawn_at(policy).filter(|at| counts_from(self.rules(), *at) <= self.now());
        asks.then_some(Request { cause: Cause::Withdrawn, at: last.unwrap_or(first) })
    }

    /// Where the policy's periods would start for whomever it means: activity after a withdrawal starts nothing.
    pub(super) fn reached(&self, policy: PolicyIndex) -> Option<Timestamp> {
        match self.withdrawn_at(policy) {
            Some(_) => self.course(policy)?.refused_start,
            None => ground(self.circumstances, policy, self.seen, &self.record.claims).map(|start| start.at),
        }
    }

    /// Takes note of where policies start over for whom something was asked of them: whoever they mean later,
    /// what was left then is covered by the period that ran again.
    pub(super) fn note_returns(&mut self) {
        for policy in self.policy_indices() {
            let course = self.course(policy);
            let was_asked = |course: &Course| course.served.or(course.withdrawn).is_some();
            let is_asked = self.record.claims.erasure.is_some() || course.is_some_and(was_asked);
            if is_asked {
                // Where it no longer means them, what was sent by period shows how far it had come while it did.
                let by_period = |course: &Course| course.sent.iter().any(|sent| sent.cause == Cause::Period);
                let reached = if applies(self.policy(policy), &self.record.claims) {
                    self.reached(policy)
                } else {
                    course.filter(|course| by_period(course)).and_then(|course| course.since)
                };
                if reached > course.and_then(|course| course.returned) {
                    self.course_mut(policy).returned = reached;
                }
            }
        }
    }

    /// Whether the policy has started over since a request, or consent was given again. Which words on consent
    /// came before that is known only once all have been heard.
    pub(super) fn is_over(&self, policy: PolicyIndex, request: Request) -> bool {
        let returned = self.course(policy).and_then(|course| course.returned).min(self.reached(policy));
        returned > Some(request.at) || self.is_taken_back(policy, request)
    }

    /// Whether nothing more is to come of what was left.
    pub(super) fn is_left_over(&self, policy: PolicyIndex, left: &Left) -> bool {
        !left.again && left.request.is_some_and(|request| self.is_over(policy, request))
    }

    /// Whether a withdrawal has been followed by consent given again.
    pub(super) fn is_taken_back(&self, policy: PolicyIndex, request: Request) -> bool {
        request.cause == Cause::Withdrawn && self.last_withdrawn_at(policy).is_none_or(|at| at < request.at)
    }

    /// Whether consent was given again on the very day of the withdrawal that was served last.
    pub(super) fn given_again_that_day(&self, policy: PolicyIndex, served: Timestamp) -> bool {
        let consent = self.policy(policy).consent.as_ref().and_then(|name| self.record.claims.consent(name));
        let Some(consent) = consent.filter(|consent| consent.withdrawn_last().is_none()) else { return false };
        let is_served = |at: Option<Timestamp>| at.map(|at| self.at_resolution(at)) == Some(served);
        !is_served(self.record.claims.erasure) && is_served(consent.withdrawn) && is_served(consent.given)
    }

    fn is_unserved(&self, policy: PolicyIndex, at: Timestamp) -> bool {
        let served = self.course(policy).and_then(|course| course.served);
        served.is_none_or(|served| served < at)
    }

    /// By period, and no activity from before the withdrawal has come since.
    fn was_removed_before(&self, policy: PolicyIndex) -> bool {
        let Some(course) = self.course(policy) else { return false };
        let came_later = course.since.is_some_and(|since| course.refused_start > Some(since));
        self.is_removed(policy) && !came_later
    }

    /// When a request was made, to the second.
    pub(super) fn asked_at(&self, policy: PolicyIndex, request: Request) -> Timestamp {
        let claims = &self.record.claims;
        let consent = self.policy(policy).consent.as_ref().and_then(|name| claims.consent(name));
        let asked = match request.cause {
            Cause::ErasureRequest => claims.erasure,
            _ => consent.and_then(|consent| consent.withdrawn),
        };
        // What was left on an earlier request was asked for no later than that.
        asked.map_or(request.at, |asked| asked.min(request.at))
    }

    pub(super) fn request_since(request: Request) -> Since {
        let kind = if request.cause == Cause::Withdrawn { "withdrawn" } else { "erasure" };
        Since { kind: kind.to_owned(), at: request.at }
    }

    pub(super) fn request_deadline(&self, request: Request) -> Timestamp {
        counts_from(self.rules(), request.at)
    }

    /// What requests make due: their word, and what it left.
    pub(super) fn request_candidates(&self, policy: PolicyIndex) -> Vec<Candidate> {
        let requests = [self.erasure(policy), self.withdrawal(policy)];
        let words = requests.into_iter().flatten().map(|request| self.word(policy, request));
        words.chain(self.left_by_request(policy)).collect()
    }

    /// At each target that a removing stage speaks to, the last one that does.
    fn word(&self, policy: PolicyIndex, request: Request) -> Candidate {
        let mut to: Vec<Addressee> = Vec::new();
        for (stage, rules) in self.policy(policy).stages.iter().enumerate().filter(|(_, stage)| stage.action.removes())
        {
            to.retain(|addressee| !rules.targets.contains(&addressee.target));
            to.extend(rules.targets.iter().map(|&target| Addressee { stage, target, left: false }));
        }
        self.on_request(policy, request, to)
    }

    /// What an earlier word left at a target and nothing keeps any more, or a word that was recalled.
    fn left_by_request(&self, policy: PolicyIndex) -> Option<Candidate> {
        // One that counts by now says it itself.
        let mut requests = [self.erasure(policy), self.withdrawal(policy)].into_iter().flatten();
        if requests.any(|request| self.request_deadline(request) <= self.now()) {
            return None;
        }
        let due = self.course(policy)?.left.iter().filter_map(|left| {
            let request = left.request.filter(|_| !self.is_left_over(policy, left))?;
            let stage = self.policy(policy).stage_by_id(left.stage)?;
            let target = self.rules().target_by_key(&left.target)?;
            let view = View::on_request();
            let is_due = left.again || left.categories.iter().any(|name| self.is_free(policy, name, target, view));
            is_due.then_some((stage, target, request))
        });
        // The last one that was asked for speaks for all.
        let (stage, target, request) = due.rev().max_by_key(|(.., request)| request.at)?;
        Some(self.on_request(policy, request, vec![Addressee { stage, target, left: true }]))
    }

    fn on_request(&self, policy: PolicyIndex, request: Request, to: Vec<Addressee>) -> Candidate {
        let deadline = self.request_deadline(request);
        let mut ready = deadline;
        for addressee in to.iter().filter(|addressee| addressee.left) {
            if let Some((_, end)) = self.floor_that_left(policy, addressee, Some(request)) {
                ready = ready.max(end + self.policy(policy).lateness);
            }
        }
        let action = self.policy(policy).stages[to.first().map_or(0, |addressee| addressee.stage)].action;
        let proof = deadline.max(self.floors_over(policy));
        Candidate { policy, action, ground: Ground::Request(request), to, deadline, ready, proof }
    }

    /// Requests that don't count yet, and withdrawals after which nothing starts over.
    pub(super) fn wake_for_requests(&self, policy: PolicyIndex, wake: &mut Wake) {
        if let Some(at) = self.withdrawn_at(policy) {
            wake.at_last(counts_from(self.rules(), at), self.now());
        }
    }
}
