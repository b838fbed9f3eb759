//! Everything that is known at one moment: what has arrived, what was sent. Nothing is remembered from
//! one question to the next; each looks through both lists again (sections 4 and 5 of the design).

use crate::days::Calendar;
use crate::sent::{Cause, Sent};
use crate::told::{Arrived, Configuration, KINDS, Policy, Told};

/// The starting point that a command rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since {
    pub kind: &'static str,
    /// At day resolution the day's last second.
    pub at: i64,
}

/// What is left of a forgotten customer.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// What happened before is suppressed.
    pub suppress_before: Option<i64>,
    /// Consents that stood withdrawn, and since when.
    pub withdrawn: Vec<(&'static str, i64)>,
}

#[derive(Clone, Copy)]
pub struct View<'a> {
    pub configuration: &'a Configuration,
    pub calendar: &'a Calendar,
    pub memory: &'a Memory,
    /// In the order of arrival.
    pub arrived: &'a [Arrived],
    /// In the order of sending.
    pub sent: &'a [Sent],
    pub now: i64,
    /// Whether what was decided at this very instant is seen.
    pub sees_decisions_of_now: bool,
}

impl<'a> View<'a> {
    /// How things stood once all had been decided at an earlier instant.
    pub fn after(self, instant: i64) -> View<'a> {
        let arrived = self.arrived.partition_point(|arrived| arrived.arrives <= instant);
        let sent = self.sent.partition_point(|sent| sent.first_sent() <= instant);
        View { arrived: &self.arrived[..arrived], sent: &self.sent[..sent], now: instant, ..self }
    }

    /// How things stood when all of an earlier instant had arrived and nothing had been decided then.
    pub fn before_deciding(self, instant: i64) -> View<'a> {
        let sent = self.sent.partition_point(|sent| sent.first_sent() < instant);
        View { sent: &self.sent[..sent], sees_decisions_of_now: false, ..self.after(instant) }
    }

    pub fn policy(self, policy: usize) -> &'a Policy {
        &self.configuration.policies[policy]
    }

    /// "When every period is in days or longer, only the local day matters."
    pub fn at_resolution(self, at: i64) -> i64 {
        if self.configuration.by_second { at } else { self.calendar.next_day(at) - 1 }
    }

    /// When what counts at the end of its local day counts; at second resolution at once.
    pub fn end(self, at: i64) -> i64 {
        if self.configuration.by_second { at } else { self.calendar.next_day(at) }
    }

    pub fn told(self) -> impl Iterator<Item = &'a Told> {
        self.arrived.iter().map(|arrived| &arrived.what)
    }

    /// Latest time, at resolution.
    fn last_seen(self, kind: usize) -> Option<i64> {
        let times = self.told().filter_map(|told| match told {
            Told::Activity { kind: seen, at } if *seen == kind => Some(*at),
            _ => None,
        });
        times.max().map(|at| self.at_resolution(at))
    }

    /// When consent was last given.
    pub fn consent_given(self, consent: &str) -> Option<i64> {
        let times = self.told().filter_map(|told| match told {
            Told::Consent { name, given: true, at } if *name == consent => Some(*at),
            _ => None,
        });
        times.max()
    }

    /// Every time consent was withdrawn.
    pub fn withdrawals(self, consent: &str) -> impl Iterator<Item = i64> {
        let remembered = self.memory.withdrawn.iter().filter(move |(name, _)| *name == consent).map(|(_, at)| *at);
        let told = self.told().filter_map(move |told| match told {
            Told::Consent { name, given: false, at } if *name == consent => Some(*at),
            _ => None,
        });
        remembered.chain(told)
    }

    /// Since when consent stands withdrawn: "latest event time; on a tie, false", "a withdrawal counts
    /// from the end of its local day".
    pub fn withdrawn(self, consent: &str) -> Option<i64> {
        let latest = self.withdrawals(consent).filter(|at| self.end(*at) <= self.now).max()?;
        self.consent_given(consent).is_none_or(|given| given <= latest).then_some(latest)
    }

    /// When erasure was last asked for.
    pub fn erasure(self) -> Option<i64> {
        let times = self.told().filter_map(|told| match told {
            Told::Erasure { at } => Some(*at),
            _ => None,
        });
        times.max()
    }

    /// "Latest event time; on a tie, the greater value."
    fn attribute(self, attribute: &str) -> Option<&'static str> {
        let told = self.told().filter_map(|told| match told {
            Told::Attribute { name, value, at } if *name == attribute => Some((*at, *value)),
            _ => None,
        });
        told.max().and_then(|(_, value)| value)
    }

    pub fn applies(self, policy: usize) -> bool {
        let matches = |(name, values): &(&str, Vec<_>)| values.contains(&self.attribute(name));
        self.policy(policy).applies_to.iter().all(matches)
    }

    /// A customer is known when anything was told of them.
    fn is_known(self) -> bool {
        self.told().any(|told| !matches!(told, Told::Answer { .. }))
    }

    /// "Every customer counts as active at the latest `history_from`", but for the past of one who was
    /// forgotten.
    fn history(self, known_since: Option<i64>) -> Option<i64> {
        let suppressed = known_since < self.memory.suppress_before;
        self.whole_history(known_since).filter(|_| !suppressed)
    }

    /// The same, whoever they were: a law holds also for what was left of one who was forgotten.
    fn whole_history(self, known_since: Option<i64>) -> Option<i64> {
        known_since.filter(|_| self.is_known()).map(|known_since| self.at_resolution(known_since))
    }

    /// The latest activity of a policy up to an instant, whatever was asked and whoever it applies to. Of
    /// each kind, only the latest is known.
    pub fn last_active(self, policy: usize, up_to: i64) -> Option<Since> {
        let Policy { kinds, consent, known_since, .. } = self.policy(policy);
        let of_kinds = kinds.iter().map(|kind| (KINDS[*kind], self.last_seen(*kind)));
        let given = consent.and_then(|name| self.consent_given(name)).map(|at| self.at_resolution(at));
        // On a tie the first of these is named.
        let all = of_kinds.chain([("consent", given), ("history", self.history(*known_since))]);
        let mut latest: Option<Since> = None;
        for (kind, at) in all {
            if let Some(at) = at.filter(|at| *at <= up_to && latest.is_none_or(|latest| *at > latest.at)) {
                latest = Some(Since { kind, at });
            }
        }
        latest
    }

    /// Whomever it applies to, and be it before they were forgotten.
    pub fn was_ever_active(self, policy: usize) -> bool {
        let history = self.whole_history(self.policy(policy).known_since);
        history.is_some() || self.last_active(policy, i64::MAX).is_some()
    }

    /// "A policy has a starting point only if `applies_to` matches, if its consent is not withdrawn, and if
    /// the starting point lies after what was served on request."
    pub fn start(self, policy: usize) -> Option<Since> {
        self.start_despite_withdrawal(policy).filter(|_| !self.is_withdrawn(policy))
    }

    pub fn is_withdrawn(self, policy: usize) -> bool {
        self.policy(policy).consent.is_some_and(|name| self.withdrawn(name).is_some())
    }

    pub fn start_despite_withdrawal(self, policy: usize) -> Option<Since> {
        let since = self.last_active(policy, i64::MAX).filter(|_| self.applies(policy))?;
        match self.served(policy) {
            Some(served) if since.at == served && self.is_given_again_that_day(policy, served) => {
                Some(Since { kind: "consent", at: served })
            }
            Some(served) if since.at <= served => None,
            _ => Some(since),
        }
    }

    /// Whether consent was given again later on the very day of the withdrawal that was served last.
    fn is_given_again_that_day(self, policy: usize, served: i64) -> bool {
        let Some(consent) = self.policy(policy).consent else { return false };
        let withdrawn = self.withdrawals(consent).max();
        let is_of_that_day = |at: Option<i64>| at.is_some_and(|at| self.at_resolution(at) == served);
        let given = self.consent_given(consent);
        given > withdrawn && is_of_that_day(given) && is_of_that_day(withdrawn) && !is_of_that_day(self.erasure())
    }

    /// Requests up to here have been served.
    pub fn served(self, policy: usize) -> Option<i64> {
        let on_request = self.sent.iter().filter(|sent| sent.policy == policy && sent.cause != Cause::Period);
        on_request.map(|sent| sent.since.at).max()
    }

    /// When a category may be removed by a policy: its floor's deadline and the policy's lateness.
    pub fn floor_end(self, category: usize, policy: usize) -> Option<i64> {
        let floor = self.configuration.floors.iter().find(|floor| floor.category == category)?;
        let seen = floor.kinds.iter().filter_map(|kind| self.last_seen(*kind));
        let start = seen.chain(self.whole_history(floor.known_since)).max()?;
        Some(self.calendar.deadline(floor.counted_from, floor.keep, start) + self.policy(policy).lateness)
    }
}
