//! Where a policy stands for a customer: its starting point, the stages sent, the one that is next.

use super::{Circumstances, Judgement, Wake};
use crate::retention::activity::{KindIndex, LastSeen};
use crate::retention::almanac::Almanac;
use crate::retention::calendar::{Period, Timestamp, first_instant_after, local_date};
use crate::retention::command::Since;
use crate::retention::customer::{Course, Reply, Sent};
use crate::retention::gate::KnownSince;
use crate::retention::policy::{Action, Policy, PolicyIndex, Rulebook, TargetIndex};
use chrono::Days;

/// The starting point of a policy's periods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    pub at: Timestamp,
    /// `None`: not an activity but the moment from which history is known.
    pub kind: Option<KindIndex>,
}

/// The latest activity of the policy's kinds, or, if that is later, the moment since when they are
/// known at all. `None`: there is no starting point, or the history isn't known yet.
pub fn starting_point(
    rules: &Rulebook,
    almanac: &Almanac,
    policy: &Policy,
    seen: &[LastSeen],
    known: KnownSince,
) -> Option<Start> {
    let mut start: Option<Start> = None;
    for &kind in &policy.since_last {
        let Some(at) = seen.get(usize::from(kind.0)).and_then(|seen| seen.timestamp()) else { continue };
        if start.is_none_or(|earlier| earlier.at < at) {
            start = Some(Start { at, kind: Some(kind) });
        }
    }
    if let KnownSince::At(known) = known {
        let at = almanac.at_resolution(rules.resolution, known);
        if start.is_none_or(|activity| activity.at < at) {
            start = Some(Start { at, kind: None });
        }
    }
    start
}

pub(super) fn starts(circumstances: Circumstances<'_>, seen: &[LastSeen]) -> Vec<Option<Start>> {
    let Circumstances { rules, almanac, gate, .. } = circumstances;
    let policies = rules.policies.iter().enumerate();
    policies
        .map(|(place, policy)| {
            let known = gate.known_since(PolicyIndex(u16::try_from(place).unwrap_or(u16::MAX)));
            starting_point(rules, almanac, policy, seen, known)
        })
        .collect()
}

/// The common case, cheap: nothing was ever sent and no first stage is due. `None`: look closer.
pub(super) fn nothing_due(circumstances: Circumstances<'_>, seen: &[LastSeen]) -> Option<Wake> {
    let Circumstances { rules, almanac, gate, now, .. } = circumstances;
    let mut wake = Wake::default();
    for (place, policy) in rules.policies.iter().enumerate() {
        let known = gate.known_since(PolicyIndex(u16::try_from(place).unwrap_or(u16::MAX)));
        if known == KnownSince::Unknown {
            continue;
        }
        let Some(start) = starting_point(rules, almanac, policy, seen, known) else { continue };
        let ready = stage_deadline(almanac, policy, 0, start.at) + policy.lateness;
        if ready <= now {
            return None;
        }
        wake.no_later_than(ready);
    }
    Some(wake)
}

/// The first instant after a stage's period, counted from `start`; the whole period at once, never
/// stage to stage.
pub(super) fn stage_deadline(almanac: &Almanac, policy: &Policy, stage: usize, start: Timestamp) -> Timestamp {
    almanac.deadline(policy.counted_from, policy.stages[stage].after, start)
}

/// Something a policy would send, and the first instant at which it may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub policy: PolicyIndex,
    pub stage: usize,
    pub action: Action,
    pub targets: Vec<TargetIndex>,
    pub deadline: Timestamp,
    pub ready: Timestamp,
}

impl<'a> Judgement<'a> {
    pub(super) fn policy(&self, policy: PolicyIndex) -> &'a Policy {
        &self.rules().policies[usize::from(policy.0)]
    }

    pub(super) fn start(&self, policy: PolicyIndex) -> Option<Start> {
        self.starts[usize::from(policy.0)]
    }

    pub(super) fn course(&self, policy: PolicyIndex) -> Option<&Course> {
        let key = &self.policy(policy).key;
        self.record.courses.iter().find(|course| course.policy == *key)
    }

    pub(super) fn sent_of_stage(&self, policy: PolicyIndex, stage: usize) -> impl Iterator<Item = &Sent> {
        let id = self.policy(policy).stage_id(stage);
        self.course(policy).into_iter().flat_map(|course| &course.sent).filter(move |sent| sent.stage == id)
    }

    /// The last stage of which anything was sent.
    pub(super) fn last_sent_stage(&self, policy: PolicyIndex) -> Option<usize> {
        let course = self.course(policy)?;
        course.sent.iter().filter_map(|sent| self.policy(policy).stage_by_id(sent.stage)).max()
    }

    fn targets_missing(&self, policy: PolicyIndex, stage: usize) -> Vec<TargetIndex> {
        let has = |target: &TargetIndex| {
            let key = &self.rules().target(*target).key;
            self.sent_of_stage(policy, stage).any(|sent| sent.target == *key)
        };
        self.policy(policy).stages[stage].targets.iter().copied().filter(|target| !has(target)).collect()
    }

    pub(super) fn since(&self, policy: PolicyIndex, start: Start) -> Since {
        let name = start.kind.map_or("history", |kind| &self.rules().kinds[usize::from(kind.0)].name);
        debug_assert!(start.kind.is_none_or(|kind| self.policy(policy).since_last.contains(&kind)));
        Since { kind: name.to_owned(), at: start.at }
    }

    /// What the policy would send next, whether or not its time has come.
    pub(super) fn candidate(&self, policy: PolicyIndex) -> Option<Candidate> {
        if self.circumstances.gate.known_since(policy) == KnownSince::Unknown {
            return None;
        }
        let start = self.start(policy)?;
        let stages = &self.policy(policy).stages;
        let last_sent = self.last_sent_stage(policy);
        if let Some(last) = last_sent {
            // A target that joined a stage later, or whose command was recalled, still has to hear of it.
            // A warning only matters while it is the last thing that was sent.
            let still_matters = |stage: usize| stages[stage].action.removes() || stage == last;
            for stage in (0..=last).filter(|&stage| still_matters(stage)) {
                let missing = self.targets_missing(policy, stage);
                if !missing.is_empty() {
                    return self.stage_candidate(policy, stage, missing, start);
                }
            }
        }
        let next = last_sent.map_or(0, |last| last + 1);
        if next < stages.len() {
            return self.stage_candidate(policy, next, stages[next].targets.clone(), start);
        }
        let (stage, target) = self.left_without_keeper(policy)?;
        self.stage_candidate(policy, stage, vec![target], start)
    }

    /// `stage` for `targets`, or the warning that has to come before it.
    fn stage_candidate(
        &self,
        policy: PolicyIndex,
        stage: usize,
        targets: Vec<TargetIndex>,
        start: Start,
    ) -> Option<Candidate> {
        let stages = &self.policy(policy).stages;
        if stages[stage].action == Action::Warn && self.removal_after(policy, stage).is_some() {
            // A warning of a removal that would remove nothing isn't given; the removal takes its turn.
            let removes_something = self.warned_of(policy, stage).is_some_and(|named| !named.is_empty());
            if !removes_something && self.sent_of_stage(policy, stage).next().is_none() {
                let after = stage + 1;
                return self.stage_candidate(policy, after, stages[after].targets.clone(), start);
            }
        }
        let mut ready = self.ready_by_period(policy, stage, start);
        if stage > 0 && stages[stage - 1].action == Action::Warn {
            let warning = stage - 1;
            if self.sent_of_stage(policy, warning).next().is_some() {
                ready = ready.max(self.notice_end(policy, warning, start)?);
            } else if self.would_remove(policy, stage, &targets) {
                let warning_targets = stages[warning].targets.clone();
                return self.earlier_warning(policy, warning, warning_targets, start);
            }
        }
        let deadline = self.deadline(policy, stage, start);
        Some(Candidate { policy, stage, action: stages[stage].action, targets, deadline, ready })
    }

    fn earlier_warning(
        &self,
        policy: PolicyIndex,
        stage: usize,
        targets: Vec<TargetIndex>,
        start: Start,
    ) -> Option<Candidate> {
        let deadline = self.deadline(policy, stage, start);
        let ready = self.ready_by_period(policy, stage, start);
        Some(Candidate { policy, stage, action: Action::Warn, targets, deadline, ready })
    }

    pub(super) fn deadline(&self, policy: PolicyIndex, stage: usize, start: Start) -> Timestamp {
        stage_deadline(self.circumstances.almanac, self.policy(policy), stage, start.at)
    }

    fn ready_by_period(&self, policy: PolicyIndex, stage: usize, start: Start) -> Timestamp {
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
        let (Some(start), stages) = (self.start(policy), &self.policy(policy).stages) else { return false };
        let last = stages.len() - 1;
        if self.last_sent_stage(policy) == Some(last) {
            return self.targets_missing(policy, last).is_empty();
        }
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
                wake.blocked.push((policy, self.deadline(policy, last, start)));
            }
            _ => {}
        }
    }
}
