//! Where a policy stands for a customer: its starting point, the stages sent, the one that is next.

use super::{Blocked, Circumstances, Judgement, Obstacle, Wake};
use crate::retention::activity::{KindIndex, LastSeen};
use crate::retention::almanac::Almanac;
use crate::retention::calendar::{Period, Timestamp, first_instant_after, local_date};
use crate::retention::claims::Claims;
use crate::retention::command::{Cause, Since};
use crate::retention::customer::{Course, Reply, Request, Sent};
use crate::retention::gate::KnownSince;
use crate::retention::policy::{Action, FloorIndex, Policy, PolicyIndex, Rulebook, TargetIndex};
use chrono::Days;

/// The starting point of a policy's periods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    pub at: Timestamp,
    pub kind: StartKind,
}

/// What makes a starting point; of several at one instant the first in `since_last`, then in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartKind {
    Activity(KindIndex),
    /// Consent was given.
    Consent,
    /// The moment from which history is known.
    History,
}

/// The latest activity of these kinds, or, if that is later, the moment since when they are known at all.
/// `None`: there is no starting point, or the history isn't known yet.
pub fn starting_point(
    rules: &Rulebook,
    almanac: &Almanac,
    since_last: &[KindIndex],
    seen: &[LastSeen],
    known: KnownSince,
) -> Option<Start> {
    let start = latest_activity(since_last, seen);
    match known {
        KnownSince::At(known) => {
            let at = almanac.at_resolution(rules.resolution, known);
            Some(start.filter(|activity| activity.at >= at).unwrap_or(Start { at, kind: StartKind::History }))
        }
        KnownSince::Beginning | KnownSince::Unknown => start,
    }
}

fn latest_activity(since_last: &[KindIndex], seen: &[LastSeen]) -> Option<Start> {
    let mut start: Option<Start> = None;
    for &kind in since_last {
        let Some(at) = seen.get(usize::from(kind.0)).and_then(|seen| seen.timestamp()) else { continue };
        if start.is_none_or(|earlier| earlier.at < at) {
            start = Some(Start { at, kind: StartKind::Activity(kind) });
        }
    }
    start
}

/// Whether a policy means the customer at all.
pub fn applies(policy: &Policy, claims: &Claims) -> bool {
    let matches = |(name, values): &(String, Vec<Option<String>>)| {
        let value = claims.attribute(name);
        values.iter().any(|expected| expected.as_deref() == value)
    };
    policy.applies_to.iter().all(matches)
}

/// Where the policy's periods would start, whatever was asked of it: consent given counts as an activity.
pub(super) fn ground(
    circumstances: Circumstances<'_>,
    policy: PolicyIndex,
    seen: &[LastSeen],
    claims: &Claims,
) -> Option<Start> {
    let Circumstances { rules, almanac, gate, .. } = circumstances;
    let known = gate.known_since(policy);
    let policy = &rules.policies[usize::from(policy.0)];
    let start = starting_point(rules, almanac, &policy.since_last, seen, known);
    let given = policy.consent.as_ref().and_then(|name| claims.consent(name)?.given);
    let Some(given) = given.map(|given| almanac.at_resolution(rules.resolution, given)) else { return start };
    let stands = |start: &Start| start.at > given || (start.at == given && start.kind != StartKind::History);
    Some(start.filter(stands).unwrap_or(Start { at: given, kind: StartKind::Consent }))
}

/// By policy; `None` also where it doesn't apply.
pub(super) fn grounds(circumstances: Circumstances<'_>, seen: &[LastSeen], claims: &Claims) -> Vec<Option<Start>> {
    let policies = circumstances.rules.policies.iter().enumerate();
    policies
        .map(|(place, policy)| {
            let index = PolicyIndex(u16::try_from(place).unwrap_or(u16::MAX));
            applies(policy, claims).then(|| ground(circumstances, index, seen, claims)).flatten()
        })
        .collect()
}

/// Where a floor stands for a customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FloorStanding {
    /// There is nothing it holds.
    Empty,
    /// It holds its category, as far as is known, up to this deadline.
    Until(Timestamp),
    /// Its history isn't known yet.
    Unknown,
}

/// By floor.
pub(super) fn floors(circumstances: Circumstances<'_>, seen: &[LastSeen]) -> Vec<FloorStanding> {
    let Circumstances { rules, almanac, gate, .. } = circumstances;
    let standing = |(place, floor): (usize, &crate::retention::policy::Floor)| {
        let known = gate.floor_known_since(FloorIndex(u16::try_from(place).unwrap_or(u16::MAX)));
        match (starting_point(rules, almanac, &floor.since_last, seen, known), known) {
            (_, KnownSince::Unknown) => FloorStanding::Unknown,
            (None, _) => FloorStanding::Empty,
            (Some(start), _) => FloorStanding::Until(almanac.deadline(floor.counted_from, floor.keep, start.at)),
        }
    };
    rules.floors.iter().enumerate().map(standing).collect()
}

/// The common case, cheap: nothing was ever told or sent and no first stage is due. `None`: look closer.
pub(super) fn nothing_due(circumstances: Circumstances<'_>, seen: &[LastSeen]) -> Option<Wake> {
    let Circumstances { rules, almanac, gate, now, .. } = circumstances;
    let mut wake = Wake::default();
    for (place, policy) in rules.policies.iter().enumerate() {
        let known = gate.known_since(PolicyIndex(u16::try_from(place).unwrap_or(u16::MAX)));
        // Without claims only those whom every missing attribute suits are meant.
        if known == KnownSince::Unknown || !applies(policy, NO_CLAIMS) {
            continue;
        }
        let Some(start) = starting_point(rules, almanac, &policy.since_last, seen, known) else { continue };
        let ready = stage_deadline(almanac, policy, 0, start.at) + policy.lateness;
        if ready <= now {
            return None;
        }
        wake.no_later_than(ready);
    }
    Some(wake)
}

const NO_CLAIMS: &Claims = &Claims::NONE;

/// The first instant after a stage's period, counted from `start`; the whole period at once, never
/// stage to stage.
pub(super) fn stage_deadline(almanac: &Almanac, policy: &Policy, stage: usize, start: Timestamp) -> Timestamp {
    almanac.deadline(policy.counted_from, policy.stages[stage].after, start)
}

/// Why something is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ground {
    Period(Start),
    Request(Request),
}

/// To whom a candidate goes, and as which stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Addressee {
    pub stage: usize,
    pub target: TargetIndex,
    /// Only what an earlier command left there.
    pub left: bool,
}

/// Something a policy would send, and the first instant at which it may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub policy: PolicyIndex,
    pub action: Action,
    pub ground: Ground,
    pub to: Vec<Addressee>,
    pub deadline: Timestamp,
    pub ready: Timestamp,
    /// What the gate has to prove: the deadline, and those of floors that are over.
    pub proof: Timestamp,
}

impl Candidate {
    pub fn is_on_request(&self) -> bool {
        matches!(self.ground, Ground::Request(_))
    }

    /// Of one policy's at one deadline: a request for all comes before one for a purpose.
    pub fn rank(&self) -> u8 {
        match self.ground {
            Ground::Request(Request { cause: Cause::ErasureRequest, .. }) => 0,
            Ground::Request(_) => 1,
            Ground::Period(_) => 2,
        }
    }
}

impl<'a> Judgement<'a> {
    pub(super) fn policy(&self, policy: PolicyIndex) -> &'a Policy {
        &self.rules().policies[usize::from(policy.0)]
    }

    /// Where the policy's periods start, whatever was asked of it.
    pub(super) fn ground(&self, policy: PolicyIndex) -> Option<Start> {
        self.grounds[usize::from(policy.0)]
    }

    /// Where the policy's periods start: not at what was served on request, and not without consent.
    pub(super) fn start(&self, policy: PolicyIndex) -> Option<Start> {
        let start = self.ground(policy)?;
        if self.is_withdrawn(policy) {
            return None;
        }
        let served = self.course(policy).and_then(|course| course.served);
        let is_spent = |served: Timestamp| start.at <= served && !self.is_consented_anew(policy, served);
        (!served.is_some_and(is_spent)).then_some(start)
    }

    pub(super) fn course(&self, policy: PolicyIndex) -> Option<&Course> {
        let key = &self.policy(policy).key;
        let place = self.record.courses.binary_search_by(|course| course.policy.as_str().cmp(key)).ok()?;
        Some(&self.record.courses[place])
    }

    /// What was sent of a stage by period.
    pub(super) fn sent_of_stage(&self, policy: PolicyIndex, stage: usize) -> impl Iterator<Item = &Sent> {
        let id = self.policy(policy).stage_id(stage);
        let sent = self.course(policy).into_iter().flat_map(|course| &course.sent);
        sent.filter(move |sent| sent.stage == id && sent.cause == Cause::Period)
    }

    /// The last stage of which anything was sent by period.
    pub(super) fn last_sent_stage(&self, policy: PolicyIndex) -> Option<usize> {
        let sent = self.course(policy)?.sent.iter().filter(|sent| sent.cause == Cause::Period);
        sent.filter_map(|sent| self.policy(policy).stage_by_id(sent.stage)).max()
    }

    fn targets_missing(&self, policy: PolicyIndex, stage: usize) -> Vec<TargetIndex> {
        let has = |target: &TargetIndex| {
            let key = &self.rules().target(*target).key;
            self.sent_of_stage(policy, stage).any(|sent| sent.target == *key)
        };
        self.policy(policy).stages[stage].targets.iter().copied().filter(|target| !has(target)).collect()
    }

    /// Whether the last stage has gone to all its targets by period.
    pub(super) fn is_removed(&self, policy: PolicyIndex) -> bool {
        let last = self.policy(policy).stages.len() - 1;
        self.last_sent_stage(policy) == Some(last) && self.targets_missing(policy, last).is_empty()
    }

    pub(super) fn since(&self, start: Start) -> Since {
        let kind = match start.kind {
            StartKind::Activity(kind) => &self.rules().kinds[usize::from(kind.0)].name,
            StartKind::Consent => "consent",
            StartKind::History => "history",
        };
        Since { kind: kind.to_owned(), at: start.at }
    }

    /// What the policy would send next, whether or not its time has come: by period, and on requests.
    pub(super) fn candidates(&self, policy: PolicyIndex) -> Vec<Candidate> {
        let mut candidates = self.request_candidates(policy);
        candidates.extend(self.period_candidate(policy));
        candidates
    }

    fn period_candidate(&self, policy: PolicyIndex) -> Option<Candidate> {
        if self.known_since(policy) == KnownSince::Unknown {
            return None;
        }
        let Some(start) = self.start(policy) else { return self.left_before_withdrawal(policy) };
        let stages = &self.policy(policy).stages;
        let whole = |stage: usize, targets: &[TargetIndex]| {
            targets.iter().map(|&target| Addressee { stage, target, left: false }).collect::<Vec<_>>()
        };
        let last_sent = self.last_sent_stage(policy);
        if let Some(last) = last_sent {
            // A target that joined a stage later, or whose command was recalled, still has to hear of it.
            // A warning only matters while it is the last thing that was sent.
            let still_matters = |stage: usize| stages[stage].action.removes() || stage == last;
            for stage in (0..=last).filter(|&stage| still_matters(stage)) {
                let missing = self.targets_missing(policy, stage);
                if !missing.is_empty() {
                    return self.stage_candidate(policy, stage, whole(stage, &missing), start);
                }
            }
        }
        let next = last_sent.map_or(0, |last| last + 1);
        if next < stages.len() {
            return self.stage_candidate(policy, next, whole(next, &stages[next].targets), start);
        }
        let (stage, target) = self.left_by_period(policy)?;
        self.stage_candidate(policy, stage, vec![Addressee { stage, target, left: true }], start)
    }

    /// Consent withdrawn after a removal is no request, and nothing is due again; but what the removal left
    /// must go one day.
    fn left_before_withdrawal(&self, policy: PolicyIndex) -> Option<Candidate> {
        let Course { since, served, .. } = self.course(policy)?;
        if *since <= *served {
            return None;
        }
        let (stage, target) = self.left_by_period(policy)?;
        self.stage_candidate(policy, stage, vec![Addressee { stage, target, left: true }], self.ground(policy)?)
    }

    /// `stage` for its addressees, or the warning that has to come before it.
    fn stage_candidate(
        &self,
        policy: PolicyIndex,
        stage: usize,
        to: Vec<Addressee>,
        start: Start,
    ) -> Option<Candidate> {
        let stages = &self.policy(policy).stages;
        if stages[stage].action == Action::Warn && self.removal_after(policy, stage).is_some() {
            // A warning of a removal that would remove nothing isn't given; the removal takes its turn.
            let removes_something = self.warned_of(policy, stage).is_some_and(|named| !named.is_empty());
            if !removes_something && self.sent_of_stage(policy, stage).next().is_none() {
                let after = stage + 1;
                let targets = stages[after].targets.iter();
                let to = targets.map(|&target| Addressee { stage: after, target, left: false }).collect();
                return self.stage_candidate(policy, after, to, start);
            }
        }
        let mut ready = self.ready_by_period(policy, stage, start);
        if stage > 0 && stages[stage - 1].action == Action::Warn {
            let warning = stage - 1;
            if self.sent_of_stage(policy, warning).next().is_some() {
                ready = ready.max(self.notice_end(policy, warning, start)?);
            } else if self.would_remove(policy, &to) {
                let targets = stages[warning].targets.iter();
                let to = targets.map(|&target| Addressee { stage: warning, target, left: false }).collect();
                let ready = self.ready_by_period(policy, warning, start);
                return Some(self.by_period(policy, warning, to, start, ready));
            }
        }
        let left = to.iter().find(|addressee| addressee.left);
        if let Some(end) = left.and_then(|addressee| self.floor_that_left(policy, addressee, None)) {
            ready = ready.max(end.1 + self.policy(policy).lateness);
        }
        Some(self.by_period(policy, stage, to, start, ready))
    }

    fn by_period(
        &self,
        policy: PolicyIndex,
        stage: usize,
        to: Vec<Addressee>,
        start: Start,
        ready: Timestamp,
    ) -> Candidate {
        let deadline = self.deadline(policy, stage, start);
        let proof = deadline.max(self.floors_over(policy));
        let action = self.policy(policy).stages[stage].action;
        Candidate { policy, action, ground: Ground::Period(start), to, deadline, ready, proof }
    }

    pub(super) fn deadline(&self, policy: PolicyIndex, stage: usize, start: Start) -> Timestamp {
        stage_deadline(self.circumstances.almanac, self.policy(policy), stage, start.at)
    }

    pub(super) fn ready_by_period(&self, policy: PolicyIndex, stage: usize, start: Start) -> Timestamp {
        self.deadline(policy, stage, start) + self.policy(policy).lateness
    }

    /// When the notice of a warning that was sent ends; `None` while it isn't given yet: acknowledged by
    /// every acknowledging target, for others sent.
    fn notice_end(&self, policy: PolicyIndex, warning: usize, start: Start) -> Option<Timestamp> {
        if !self.targets_missing(policy, warning).is_empty() {
            return None;
        }
        let mut given = Timestamp::MIN;
        for sent in self.sent_of_stage(policy, warning) {
            match sent.reply {
                Reply::Done { at } => given = given.max(at),
                _ => return None,
            }
        }
        Some(self.notice_after(policy, warning, start, given))
    }

    /// The first instant of the stage after `warning`, if that was given at `given`: the n days between
    /// the two stages' deadlines, counted as a period of n days from the day it was given.
    pub(super) fn notice_after(
        &self,
        policy: PolicyIndex,
        warning: usize,
        start: Start,
        given: Timestamp,
    ) -> Timestamp {
        let (rules, stages) = (self.rules(), &self.policy(policy).stages);
        let (from, to) = (self.deadline(policy, warning, start), self.deadline(policy, warning + 1, start));
        let exact = |stage: usize| matches!(stages[stage].after, Period::Exact { .. });
        if exact(warning) || exact(warning + 1) {
            return given + (to - from);
        }
        let days = (local_date(to, rules.zone) - local_date(from, rules.zone)).num_days().max(0);
        let last = local_date(given, rules.zone).checked_add_days(Days::new(days.unsigned_abs()));
        last.map_or(Timestamp::MAX, |last| first_instant_after(last, rules.zone))
    }

    /// Whether the policy's last stage was sent; where its mode withholds it, whether it would have been.
    pub(super) fn finished(&self, policy: PolicyIndex) -> bool {
        let Some(start) = self.start(policy) else { return false };
        if self.is_removed(policy) {
            return true;
        }
        let last = self.policy(policy).stages.len() - 1;
        self.virtual_end(policy, start).is_some_and(|end| end <= self.now())
            && self.proven(policy, self.deadline(policy, last, start))
    }

    /// When the last stage of a policy that isn't enforced would have left; `None`: it is enforced, or
    /// waits for a warning.
    fn virtual_end(&self, policy: PolicyIndex, start: Start) -> Option<Timestamp> {
        let Policy { mode, stages, .. } = self.policy(policy);
        let last = stages.len() - 1;
        if mode.allows(stages[last].action) {
            return None;
        }
        let mut end = self.ready_by_period(policy, last, start);
        if last > 0 && stages[last - 1].action == Action::Warn {
            let notice = if mode.allows(Action::Warn) {
                self.notice_end(policy, last - 1, start)?
            } else {
                let given = self.ready_by_period(policy, last - 1, start);
                self.notice_after(policy, last - 1, start, given)
            };
            end = end.max(notice);
        }
        Some(end)
    }

    /// Another policy's leftovers may wait for the virtual end of this one, and for its proof.
    pub(super) fn wake_for_virtual_end(&self, policy: PolicyIndex, wake: &mut Wake) {
        if self.record.courses.iter().all(|course| course.left.is_empty()) {
            return;
        }
        let Some(start) = self.start(policy) else { return };
        match self.virtual_end(policy, start) {
            Some(end) if end > self.now() => wake.no_later_than(end),
            Some(_) if !self.finished(policy) => {
                let last = self.policy(policy).stages.len() - 1;
                let deadline = self.deadline(policy, last, start);
                wake.blocked.push(Blocked { policy, deadline, on_request: false, by: Obstacle::Gate, due: None });
            }
            _ => {}
        }
    }
}
