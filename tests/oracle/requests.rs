//! "Requests are obeyed when read": erasure requests and withdrawn consent.

use crate::keepers::Task;
use crate::sent::{Cause, Sent};
use crate::stages::Candidate;
use crate::told::{Arrived, Told};
use crate::view::{Since, View};

impl View<'_> {
    /// What of a policy leaves now on request: the word of a request that is not served, or of the last one
    /// what holds and floors no longer keep.
    pub fn due_on_request(self, policy: usize) -> Option<Candidate> {
        let unserved = [self.unserved_erasure(policy), self.unserved_withdrawal(policy)];
        let first = unserved.into_iter().flatten().min_by_key(|(_, since)| self.end(since.at));
        if let Some((cause, since)) = first {
            let to = self.tasks(policy, cause, since).map(|task| (task.stage, task.target)).collect();
            return Some(self.on_request(policy, cause, since, to));
        }
        let (cause, since) = self.last_served(policy)?;
        if cause == Cause::Withdrawn && self.is_given_again(policy, since) {
            return None;
        }
        let to: Vec<_> = self.tasks(policy, cause, since).filter(|task| self.is_word_due(*task)).collect();
        let to: Vec<_> = to.into_iter().map(|task| (task.stage, task.target)).collect();
        (!to.is_empty()).then(|| self.on_request(policy, cause, since, to))
    }

    fn on_request(self, policy: usize, cause: Cause, since: Since, to: Vec<(usize, usize)>) -> Candidate {
        let deadline = self.end(since.at);
        Candidate { policy, cause, since, deadline, ready: deadline, to }
    }

    /// "At each target that a removing stage speaks to, the last removing stage that speaks to it."
    fn tasks(self, policy: usize, cause: Cause, since: Since) -> impl Iterator<Item = Task> {
        let targets = self.configuration.removing_targets(policy).into_iter();
        targets.map(move |(target, stage)| Task { policy, stage, target, cause, since })
    }

    /// A word that was taken back must be given again, whatever keeps. What it left is due when nothing keeps
    /// it any more, unless later activity has started the policy over.
    fn is_word_due(self, task: Task) -> bool {
        let todo = self.todo(task);
        let is_over = self.has_returned_since(task.policy, task.since);
        todo.first || (!is_over && !self.part(task, &todo.categories, None).named.is_empty())
    }

    fn last_served(self, policy: usize) -> Option<(Cause, Since)> {
        let on_request = self.sent.iter().filter(|sent| sent.policy == policy && sent.cause != Cause::Period);
        on_request.map(|sent| (sent.cause, sent.since)).max_by_key(|(_, since)| since.at)
    }

    /// An erasure request is due "whatever came after it, whether or not the customer is known, has a
    /// starting point, matches `applies_to` or was removed by period".
    pub fn unserved_erasure(self, policy: usize) -> Option<(Cause, Since)> {
        let since = Since { kind: "erasure", at: self.at_resolution(self.erasure()?) };
        let is_due = self.end(since.at) <= self.now && self.served(policy).is_none_or(|served| served < since.at);
        is_due.then_some((Cause::ErasureRequest, since))
    }

    /// "A withdrawal is a request as soon as the policy covers the customer: it means them, and there is a
    /// starting point from before the end of the withdrawal, or known when that arrived, for which no request
    /// has been served; and only while the policy has not removed the customer by period since, nor served a
    /// request of that day or later."
    fn unserved_withdrawal(self, policy: usize) -> Option<(Cause, Since)> {
        let consent = self.policy(policy).consent?;
        self.withdrawn(consent)?;
        let first = self.refused_since(consent);
        // The last "no" is named, unless its day has not ended.
        let last = self.withdrawals(consent).max().filter(|last| self.end(*last) <= self.now);
        let since = Since { kind: "withdrawn", at: last.map_or(first, |last| self.at_resolution(last)) };
        if self.served(policy).is_some_and(|served| served >= first) {
            return None;
        }
        let starts = self.refused_starts(policy, consent);
        let is_covered = |instant: i64| {
            let then = self.before_deciding(instant);
            let served = then.served(policy);
            let by_then = starts.iter().filter(|(known, _)| *known <= instant);
            then.applies(policy)
                && by_then.map(|(_, start)| *start).any(|start| served.is_none_or(|served| served < start))
        };
        let last = starts.iter().map(|(_, start)| *start).max()?;
        let heard = self.first_refusal_heard(consent)?;
        let mut instants = self.arrived.iter().map(|arrived| arrived.arrives).filter(|arrives| *arrives >= heard);
        (instants.any(is_covered) && !self.has_removed(policy, last)).then_some((Cause::Withdrawn, since))
    }

    /// When the first withdrawal since consent was given arrived.
    fn first_refusal_heard(self, consent: &str) -> Option<i64> {
        let refusals = self.arrived.iter().filter(|arrived| self.is_refusal(consent, &arrived.what));
        refusals.map(|arrived| arrived.arrives).min()
    }

    /// Starting points from before consent was withdrawn, or known when a withdrawal arrived, whomever the
    /// policy meant; each with the instant since when it is known. What happens later may hide it, but not make
    /// it undone.
    fn refused_starts(self, policy: usize, consent: &str) -> Vec<(i64, i64)> {
        let Some(heard) = self.first_refusal_heard(consent) else { return Vec::new() };
        let first = self.refused_since(consent);
        let refusals = self.arrived.iter().filter(|arrived| self.is_refusal(consent, &arrived.what));
        let known = refusals.map(|arrived| (arrived.arrives, self.known_when(policy, consent, arrived.arrives)));
        let instants = self.arrived.iter().map(|arrived| arrived.arrives).filter(|arrives| *arrives >= heard);
        let told = instants.map(|instant| (instant, self.before_deciding(instant).last_active(policy, first)));
        let starts = known.chain(told).filter_map(|(instant, start)| Some((instant, start?.at)));
        // Nor does it matter whether a later one was known already.
        let late = self.arrived.iter().filter_map(|arrived| match arrived.what {
            Told::Activity { kind, at } if self.policy(policy).kinds.contains(&kind) => {
                Some((arrived.arrives, self.at_resolution(at)))
            }
            _ => None,
        });
        starts.chain(late.filter(|(arrives, at)| *arrives > heard && *at <= first)).collect()
    }

    /// Where the policy's periods would start for whomever it means: activity after a withdrawal starts nothing.
    pub fn reached(self, policy: usize) -> Option<i64> {
        let consent = self.policy(policy).consent.filter(|consent| self.refused_since(consent) < i64::MAX);
        let Some(consent) = consent else { return self.last_active(policy, i64::MAX).map(|start| start.at) };
        let first = self.refused_since(consent);
        self.refused_starts(policy, consent).into_iter().map(|(_, start)| first.min(start)).max()
    }

    /// Whether activity after a request has started the policy over, whomever it means by now; as far as
    /// activity did, by all that is known of consent now.
    pub fn has_returned_since(self, policy: usize, request: Since) -> bool {
        let instants = self.arrived.iter().map(|arrived| arrived.arrives);
        let mut moments = instants.chain(self.sent.iter().map(Sent::first_sent)).map(|instant| self.after(instant));
        let is_after = |start: Option<i64>| start > Some(request.at);
        is_after(self.reached(policy)) && moments.any(|then| then.applies(policy) && is_after(then.reached(policy)))
    }

    /// The policy's starting point when a withdrawal arrived, whomever it meant; none if consent stood withdrawn
    /// already.
    fn known_when(self, policy: usize, consent: &str, instant: i64) -> Option<Since> {
        let then = self.before_deciding(instant);
        let is_before = |arrived: &&Arrived| arrived.arrives < instant || !is_withdrawal(consent, &arrived.what);
        let arrived: Vec<Arrived> = then.arrived.iter().filter(is_before).cloned().collect();
        let stood_withdrawn = View { arrived: &arrived, ..then }.withdrawn(consent).is_some();
        then.last_active(policy, i64::MAX).filter(|_| !stood_withdrawn)
    }

    /// Whether this is one of the withdrawals since consent was last given.
    fn is_refusal(self, consent: &str, told: &Told) -> bool {
        let given = self.consent_given(consent);
        is_withdrawal(consent, told) && given.is_none_or(|given| given <= told.at())
    }

    /// When consent was first withdrawn since it was given: what happened later has started nothing.
    fn refused_since(self, consent: &str) -> i64 {
        let given = self.consent_given(consent);
        let refusals = self.withdrawals(consent).filter(|at| given.is_none_or(|given| given <= *at));
        refusals.map(|at| self.at_resolution(at)).min().unwrap_or(i64::MAX)
    }

    /// Whether consent was given after the withdrawal that was obeyed.
    pub fn is_given_again(self, policy: usize, obeyed: Since) -> bool {
        let Some(consent) = self.policy(policy).consent else { return false };
        let withdrawn = self.withdrawals(consent).filter(|at| self.at_resolution(*at) <= obeyed.at).max();
        self.consent_given(consent).is_some_and(|given| withdrawn.is_none_or(|withdrawn| given > withdrawn))
    }

    /// Whether a request is still to be served, its day may not even have ended.
    pub fn has_waiting_request(self) -> bool {
        let Some(at) = self.erasure() else { return false };
        let is_unserved = |policy| self.served(policy).is_none_or(|served| served < self.at_resolution(at));
        (0..self.configuration.policies.len()).any(is_unserved)
    }
}

fn is_withdrawal(consent: &str, told: &Told) -> bool {
    matches!(told, Told::Consent { name, given: false, .. } if *name == consent)
}
