//! "Requests are obeyed when read": erasure requests and withdrawn consent.

use crate::keepers::Task;
use crate::sent::Cause;
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
        let is_over = self.start(task.policy).is_some();
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

    /// "A withdrawal is a request only if the policy covered the customer when it arrived, or an activity
    /// from before its end arrived later, and only while the policy has not removed the customer by period
    /// since, nor served a request of that day or later."
    fn unserved_withdrawal(self, policy: usize) -> Option<(Cause, Since)> {
        let consent = self.policy(policy).consent?;
        let withdrawn = self.withdrawn(consent)?;
        let since = Since { kind: "withdrawn", at: self.at_resolution(withdrawn) };
        if self.served(policy).is_some_and(|served| served >= since.at) {
            return None;
        }
        let is_it = |arrived: &&Arrived| arrived.what == Told::Consent { name: consent, given: false, at: withdrawn };
        let arrived = self.arrived.iter().find(is_it)?.arrives;
        let covered = [
            self.covered_when(policy, consent, arrived),
            self.heard_later(policy, self.refused_since(consent, since.at), arrived),
        ];
        let to_end = covered.into_iter().flatten().any(|covered| !self.has_removed(policy, covered.at));
        to_end.then_some((Cause::Withdrawn, since))
    }

    /// The policy's starting point at an instant, but for the withdrawals that arrived then.
    fn covered_when(self, policy: usize, consent: &str, instant: i64) -> Option<Since> {
        let then = self.before_deciding(instant);
        let is_withdrawal = |told: &Told| matches!(told, Told::Consent { name, given: false, .. } if *name == consent);
        let arrived = then.arrived.iter().filter(|arrived| arrived.arrives < instant || !is_withdrawal(&arrived.what));
        let arrived: Vec<Arrived> = arrived.cloned().collect();
        View { arrived: &arrived, ..then }.start(policy)
    }

    /// When consent was first withdrawn since it was given: what happened later has started nothing.
    fn refused_since(self, consent: &str, withdrawn: i64) -> i64 {
        let given = self.consent_given(consent);
        let refusals = self.withdrawals(consent).filter(|at| given.is_none_or(|given| given <= *at));
        refusals.map(|at| self.at_resolution(at)).min().map_or(withdrawn, |since| since.min(withdrawn))
    }

    /// A starting point from before the end of a withdrawal that was news after it had arrived.
    fn heard_later(self, policy: usize, end: i64, withdrawal_arrived: i64) -> Option<Since> {
        let known = self.before_deciding(withdrawal_arrived).last_active(policy, end);
        let later = self.arrived.iter().map(|arrived| arrived.arrives).filter(|arrives| *arrives > withdrawal_arrived);
        let news = later.filter_map(|instant| {
            let then = self.before_deciding(instant);
            let since = then.last_active(policy, end)?;
            let is_news = known.is_none_or(|known| known.at < since.at);
            let covers = then.applies(policy) && then.served(policy).is_none_or(|served| served < since.at);
            (is_news && covers).then_some(since)
        });
        news.max_by_key(|since| since.at)
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
