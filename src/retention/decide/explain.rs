//! Where every policy stands for one customer, and why nothing leaves now: for people who ask, never for
//! sending.

use super::standing::{Candidate, Ground};
use super::{Circumstances, Judgement, Obstacle, Prospect, View, as_judged};
use crate::retention::activity::LastSeen;
use crate::retention::calendar::Timestamp;
use crate::retention::command::{Kept, Since};
use crate::retention::customer::{Left, Record, Reply};
use crate::retention::policy::{PolicyIndex, TargetIndex};

/// One policy for one customer, as things stand.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlook {
    pub policy: PolicyIndex,
    /// Whether the policy means the customer at all.
    pub applies: bool,
    /// Consent to it was withdrawn, or objected, and not given again.
    pub withdrawn: bool,
    /// What its periods run from; `None`: they don't run.
    pub since: Option<Since>,
    /// By stage: the first instant after its period. Empty: there is no starting point.
    pub deadlines: Vec<Timestamp>,
    /// The last stage has gone to all its targets by period.
    pub removed: bool,
    /// A warning was sent, and its answer holds what comes next.
    pub awaits_answer: bool,
    /// By period, and on requests.
    pub next: Vec<Expected>,
    /// What commands have left at targets because something keeps it there, and nobody has seen to since.
    pub left: Vec<LeftBehind>,
}

/// What a removal has left at a target, as things stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftBehind {
    pub target: TargetIndex,
    /// What still stays, and for whom.
    pub kept: Vec<Kept>,
    /// When any of it may leave at the earliest; `None`: that is not for time alone to say.
    pub earliest: Option<Timestamp>,
}

/// What a policy would send next, and for what that waits.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    pub prospect: Prospect,
    pub to: Vec<TargetIndex>,
    /// What stays at all of these targets, and for whom, as things stand.
    pub kept: Vec<Kept>,
    /// All that must be over before it leaves; empty: it is about to.
    pub waits: Vec<Wait>,
}

/// One thing that must be over first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Its period has not run out, or the day of the request has not ended.
    Deadline(Timestamp),
    /// What happened before the deadline may still arrive.
    Lateness(Timestamp),
    /// The customer was warned, and has until then.
    Notice(Timestamp),
    /// A floor, or something else that was left to be seen to.
    Floor(Timestamp),
    /// `None`: it has no end.
    Hold { id: String, until: Option<Timestamp> },
    /// Commands by period leave when it opens.
    Window(Timestamp),
    /// The policy's mode withholds it.
    Mode,
    /// Its sources don't prove that the customer was not seen since.
    Gate,
    /// A person's release: of backlog, of the brake, or after a stop.
    Release,
}

/// Where every policy stands for a customer. Sends nothing and changes nothing.
pub fn explain(circumstances: Circumstances<'_>, seen: &[LastSeen], record: &Record) -> Vec<Outlook> {
    as_judged(circumstances, seen, record, |judgement| {
        judgement.policy_indices().map(|policy| judgement.outlook(policy)).collect()
    })
}

/// How a target's copy of a customer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A policy still covers the customer there, or none ever has sent anything to be removed.
    Fine,
    /// Something that removes is due there now, or was sent and not answered.
    Due,
    /// Every policy that speaks to the target has removed there, and it has said so.
    Removed,
}

/// How a customer stands at one target.
pub fn standing_at(
    circumstances: Circumstances<'_>,
    target: TargetIndex,
    seen: &[LastSeen],
    record: &Record,
) -> Standing {
    as_judged(circumstances, seen, record, |judgement| judgement.standing_at(target))
}

impl Judgement<'_> {
    fn outlook(&self, policy: PolicyIndex) -> Outlook {
        let start = self.start(policy);
        let stages = 0..self.policy(policy).stages.len();
        let is_warned_unanswered = |place: usize| {
            let stage = &self.policy(policy).stages[place];
            !stage.action.removes()
                && self
                    .sent_of_stage(policy, place)
                    .any(|sent| !sent.followed && !matches!(sent.reply, Reply::Done { .. }))
        };
        Outlook {
            policy,
            applies: super::applies(self.policy(policy), &self.record.claims),
            withdrawn: self.is_withdrawn(policy),
            since: start.map(|start| self.since(start)),
            deadlines: start.map_or_else(Vec::new, |start| {
                stages.clone().map(|stage| self.deadline(policy, stage, start)).collect()
            }),
            removed: self.is_removed(policy),
            awaits_answer: stages.clone().any(is_warned_unanswered),
            next: self.candidates(policy).iter().map(|candidate| self.expected(candidate)).collect(),
            left: self.course(policy).map_or_else(Vec::new, |course| {
                course.left.iter().filter_map(|left| self.left_behind(policy, left)).collect()
            }),
        }
    }

    /// `None`: nothing more comes of it, or nothing keeps it any more, and it comes next.
    fn left_behind(&self, policy: PolicyIndex, left: &Left) -> Option<LeftBehind> {
        let target = self.rules().target_by_key(&left.target)?;
        if self.is_left_over(policy, left) || (left.request.is_none() && self.course_start(policy).is_none()) {
            return None;
        }
        let view = if left.request.is_some() { View::on_request() } else { View::by_period() };
        let parted = self.part(policy, target, view, |name| left.categories.contains(name));
        if parted.kept.is_empty() || !parted.named.is_empty() {
            return None;
        }
        let ends = parted.kept.iter().filter_map(|kept| self.free_from(policy, &kept.category, target, view));
        Some(LeftBehind { target, earliest: ends.min(), kept: parted.kept })
    }

    fn expected(&self, candidate: &Candidate) -> Expected {
        let mut to: Vec<TargetIndex> = candidate.to.iter().map(|addressee| addressee.target).collect();
        to.sort_unstable();
        to.dedup();
        Expected {
            prospect: self.prospect(candidate),
            to,
            kept: self.kept_everywhere(candidate),
            waits: self.waits(candidate),
        }
    }

    fn kept_everywhere(&self, candidate: &Candidate) -> Vec<Kept> {
        let (request, view) = match candidate.ground {
            Ground::Period(_) => (None, View::by_period()),
            Ground::Request(request) => (Some(request), View::on_request()),
        };
        if !candidate.action.removes() {
            let warning = candidate.to.first().map_or(0, |addressee| addressee.stage);
            return self.part_for_warning(candidate.policy, warning, view).unwrap_or_default().kept;
        }
        let mut parts =
            candidate.to.iter().map(|addressee| self.part_for(candidate.policy, addressee, request, view).kept);
        let Some(mut kept) = parts.next() else { return Vec::new() };
        parts.for_each(|other| kept.retain(|kept| other.iter().any(|other| other.category == kept.category)));
        kept
    }

    fn waits(&self, candidate: &Candidate) -> Vec<Wait> {
        let (now, policy) = (self.now(), candidate.policy);
        let mut waits = Vec::new();
        if candidate.deadline > now {
            waits.push(Wait::Deadline(candidate.deadline));
        }
        if candidate.ready > now {
            waits.extend(self.why_not_ready(candidate));
        }
        if let Some(stop) = self.deferring_hold(candidate) {
            waits.push(Wait::Hold { id: stop.id, until: stop.until });
        }
        let opens = self.window_opens();
        // Only what could leave otherwise waits for these.
        if waits.is_empty() {
            if !candidate.is_on_request() && opens > now {
                waits.push(Wait::Window(opens));
            }
            match self.obstacle(candidate) {
                Some(Obstacle::Gate) => waits.push(Wait::Gate),
                Some(Obstacle::Brake) => waits.push(Wait::Release),
                // The mode is told below; the last is of a record, not of what leaves.
                Some(Obstacle::Mode | Obstacle::FarewellGate) | None => {}
            }
        }
        if !self.policy(policy).mode.allows(candidate.action) {
            waits.push(Wait::Mode);
        }
        waits
    }

    fn why_not_ready(&self, candidate: &Candidate) -> Option<Wait> {
        let (now, ready) = (self.now(), candidate.ready);
        let Ground::Period(start) = candidate.ground else {
            return (candidate.deadline < ready).then_some(Wait::Floor(ready));
        };
        let stage = candidate.to.first().map_or(0, |addressee| addressee.stage);
        let late = self.ready_by_period(candidate.policy, stage, start);
        if self.notice_end(candidate.policy, stage, start).is_some_and(|end| end == ready && end > late) {
            return Some(Wait::Notice(ready));
        }
        if late > now {
            return Some(Wait::Lateness(late)).filter(|_| late > candidate.deadline);
        }
        Some(Wait::Floor(ready))
    }

    fn standing_at(&self, target: TargetIndex) -> Standing {
        let key = &self.rules().target(target).key;
        let mut resends = self.record.resends.iter().filter(|resend| resend.target == *key);
        if resends.any(|resend| resend.is_under_way()) {
            return Standing::Due;
        }
        let speaks = |policy: &PolicyIndex| {
            let stages = &self.policy(*policy).stages;
            stages.iter().any(|stage| stage.action.removes() && stage.targets.contains(&target))
        };
        let removals = self.record.courses.iter().flat_map(|course| &course.sent);
        let removals = removals.filter(|sent| sent.stage.action.removes() && sent.target == *key);
        // Of whom nothing else is known, everything had been removed.
        let mut removed = !self.record.resends.is_empty();
        for sent in removals {
            match sent.reply {
                Reply::Done { .. } => removed = true,
                Reply::None | Reply::Failed { .. } => return Standing::Due,
                Reply::Retained { .. } => {}
            }
        }
        let mut covered = false;
        for policy in self.policy_indices().filter(speaks) {
            let candidates = self.candidates(policy);
            let is_due = |candidate: &Candidate| {
                candidate.ready <= self.now()
                    && candidate.action.removes()
                    && candidate.to.iter().any(|addressee| addressee.target == target)
            };
            if candidates.iter().any(is_due) {
                return Standing::Due;
            }
            covered |= !candidates.is_empty() || (self.start(policy).is_some() && !self.is_removed(policy));
        }
        if removed && !covered { Standing::Removed } else { Standing::Fine }
    }
}
