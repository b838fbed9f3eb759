//! What will fall due of a policy for one customer, if nobody does anything until then and every target
//! answers the moment it is told.
//!
//! It falls due when it may leave at the earliest: when its lateness and its notice have passed. A warning
//! of something that other policies will still keep then is foretold all the same.

use super::standing::{Candidate, Ground, Start, stage_deadline};
use super::{Circumstances, Judgement, as_judged};
use crate::retention::activity::LastSeen;
use crate::retention::calendar::{Period, Timestamp, first_instant_after, local_date};
use crate::retention::customer::Record;
use crate::retention::policy::{PolicyIndex, TargetIndex};
use chrono::Days;

/// Something that will fall due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coming {
    /// Place of the stage in the policy.
    pub stage: usize,
    pub to: Vec<TargetIndex>,
    /// When it may leave at the earliest, not before now; `None`: a hold without an end keeps it.
    pub at: Option<Timestamp>,
    pub on_request: bool,
}

/// All that is to come of a policy for a customer.
pub fn coming(
    circumstances: Circumstances<'_>,
    policy: PolicyIndex,
    seen: &[LastSeen],
    record: &Record,
) -> Vec<Coming> {
    as_judged(circumstances, seen, record, |judgement| judgement.coming(policy))
}

/// The same for customers of whom nothing but activity is known, and whose periods start at `start`.
pub fn coming_from(circumstances: Circumstances<'_>, policy: PolicyIndex, start: Timestamp) -> Vec<Coming> {
    let stages = circumstances.rules.policies[usize::from(policy.0)].stages.len();
    stages_from(circumstances, policy, start, 0..stages, None)
}

/// The stages in their order, each with full notice of the warning before it. `warned`: a warning that
/// comes before the first of them, and when it is given.
fn stages_from(
    circumstances: Circumstances<'_>,
    policy: PolicyIndex,
    start: Timestamp,
    stages: std::ops::Range<usize>,
    mut warned: Option<(usize, Timestamp)>,
) -> Vec<Coming> {
    let Circumstances { rules, almanac, now, .. } = circumstances;
    let policy = &rules.policies[usize::from(policy.0)];
    let deadline = |stage: usize| stage_deadline(almanac, policy, stage, start);
    let mut coming = Vec::new();
    let mut earliest = now;
    for stage in stages {
        let mut at = earliest.max(deadline(stage) + policy.lateness);
        if let Some((warning, given)) = warned.take() {
            let exact = |stage: usize| matches!(policy.stages[stage].after, Period::Exact { .. });
            let end = if exact(warning) || exact(stage) {
                given + (deadline(stage) - deadline(warning))
            } else {
                let (from, to) = (local_date(deadline(warning), rules.zone), local_date(deadline(stage), rules.zone));
                let days = Days::new((to - from).num_days().max(0).unsigned_abs());
                let last = local_date(given, rules.zone).checked_add_days(days);
                last.map_or(Timestamp::MAX, |last| first_instant_after(last, rules.zone))
            };
            at = at.max(end);
        }
        if !policy.stages[stage].action.removes() {
            warned = Some((stage, at));
        }
        earliest = at;
        coming.push(Coming { stage, to: policy.stages[stage].targets.clone(), at: Some(at), on_request: false });
    }
    coming
}

impl Judgement<'_> {
    fn coming(&self, policy: PolicyIndex) -> Vec<Coming> {
        let mut coming = Vec::new();
        let candidates = self.candidates(policy);
        for candidate in &candidates {
            let at = self.falls_due(candidate);
            coming.extend(self.of_candidate(candidate, at));
            if let Ground::Period(start) = candidate.ground {
                coming.extend(self.after(candidate, start, at));
            }
        }
        let by_period = candidates.iter().any(|candidate| !candidate.is_on_request());
        if !by_period && let Some((warning, start)) = self.unanswered(policy) {
            let stages = warning + 1..self.policy(policy).stages.len();
            coming.extend(stages_from(self.circumstances, policy, start.at, stages, Some((warning, self.now()))));
        }
        coming
    }

    /// When a candidate may leave; `None`: never, as far as anybody knows.
    fn falls_due(&self, candidate: &Candidate) -> Option<Timestamp> {
        let at = candidate.ready.max(self.now());
        match self.deferring_hold(candidate) {
            Some(stop) => stop.until.map(|until| until.max(at)),
            None => Some(at),
        }
    }

    /// By stage: a request has one for each target.
    fn of_candidate(&self, candidate: &Candidate, at: Option<Timestamp>) -> Vec<Coming> {
        let mut coming: Vec<Coming> = Vec::new();
        let on_request = candidate.is_on_request();
        for addressee in &candidate.to {
            match coming.iter_mut().find(|coming| coming.stage == addressee.stage) {
                Some(coming) => coming.to.push(addressee.target),
                None => {
                    coming.push(Coming { stage: addressee.stage, to: vec![addressee.target], at, on_request });
                }
            }
        }
        coming
    }

    /// What follows a candidate that is no leftover.
    fn after(&self, candidate: &Candidate, start: Start, at: Option<Timestamp>) -> Vec<Coming> {
        let policy = candidate.policy;
        let Some(stage) = candidate.to.iter().filter(|addressee| !addressee.left).map(|to| to.stage).max() else {
            return Vec::new();
        };
        let stages = stage + 1..self.policy(policy).stages.len();
        let Some(given) = at else {
            // Whatever holds this holds that, too.
            let held = |stage: usize| {
                let to = self.policy(policy).stages[stage].targets.clone();
                Coming { stage, to, at: None, on_request: false }
            };
            return stages.map(held).collect();
        };
        let warned = (!candidate.action.removes()).then_some((stage, given));
        stages_from(self.circumstances, policy, start.at, stages, warned)
    }

    /// A warning that was sent, and whose answer holds what comes next.
    fn unanswered(&self, policy: PolicyIndex) -> Option<(usize, Start)> {
        let start = self.start(policy)?;
        let warning = self.last_sent_stage(policy)?;
        (!self.policy(policy).stages[warning].action.removes()).then_some((warning, start))
    }
}
