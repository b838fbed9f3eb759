//! Where a policy stands for a customer: its starting point, the stages sent, the one that is next.

use super::keepers::View;
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
    starting_point_up_to(rules, almanac, since_last, seen, known, Timestamp::MAX)
}

fn starting_point_up_to(
    rules: &Rulebook,
    almanac: &Almanac,
    since_last: &[KindIndex],
    seen: &[LastSeen],
    known: KnownSince,
    last: Timestamp,
) -> Option<Start> {
    let start = latest_activity(since_last, seen, last);
    match known {
        KnownSince::At(known) if almanac.at_resolution(rules.resolution, known) <= last => {
            let at = almanac.at_resolution(rules.resolution, known);
            Some(start.filter(|activity| activity.at >= at).unwrap_or(Start { at, kind: StartKind::History }))
        }
        KnownSince::At(_) | KnownSince::Beginning | KnownSince::Unknown => start,
    }
}

/// Each kind is remembered by its latest activity only, so what is known up to an instant may be less than
/// what was.
fn latest_activity(since_last: &[KindIndex], seen: &[LastSeen], last: Timestamp) -> Option<Start> {
    let mut start: Option<Start> = None;
    for &kind in since_last {
        let Some(at) = seen.get(usize::from(kind.0)).and_then(|seen| seen.timestamp()) else { continue };
        if at <= last && start.is_none_or(|earlier| earlier.at < at) {
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
    ground_up_to(circumstances, policy, seen, claims, Timestamp::MAX)
}

/// The same, as far as is known of what happened up to an instant.
pub(super) fn ground_up_to(
    circumstances: Circumstances<'_>,
    policy: PolicyIndex,
    seen: &[LastSeen],
    claims: &Claims,
    last: Timestamp,
) -> Option<Start> {
    let Circumstances { rules, almanac, gate, .. } = circumstances;
    let known = gate.known_since(policy);
    let policy = &rules.policies[usize::from(policy.0)];
    let start = starting_point_up_to(rules, almanac, &policy.since_last, seen, known, last);
    let given = policy.consent.as_ref().and_then(|name| claims.consent(name)?.given);
    let given = given.map(|given| almanac.at_resolution(rules.resolution, given)).filter(|given| *given <= last);
    let Some(given) = given else { return start };
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
        if self.is_withdrawn(policy) { None } else { self.unserved_start(policy) }
    }

    /// Where what was sent by period rests: activity after a withdrawal has started nothing over.
    pub(super) fn course_start(&self, policy: PolicyIndex) -> Option<Start> {
        if !self.is_withdrawn(policy) {
            return self.unserved_start(policy);
        }
        let course = self.course(policy).filter(|course| course.since > course.served)?;
        self.ground(policy)?;
        let sent = course.sent.iter().rev().find(|sent| sent.cause == Cause::Period)?;
        Some(Start { at: sent.since.at, kind: self.start_kind(&sent.since.kind)? })
    }

    /// What a command by period must rest on to stand: activity after a withdrawal takes nothing away from it.
    pub(super) fn start_of_sent(&self, policy: PolicyIndex, sent: &Sent) -> Option<Start> {
        let ground = self.ground(policy)?;
        if !self.is_withdrawn(policy) {
            return Some(ground);
        }
        let later = self.reached(policy).filter(|reached| *reached > sent.since.at);
        let at = later.unwrap_or(sent.since.at);
        let kind = self.start_kind(&sent.since.kind).unwrap_or(ground.kind);
        Some(Start { at, kind })
    }

    fn start_kind(&self, name: &str) -> Option<StartKind> {
        Some(match name {
            "consent" => StartKind::Consent,
            "history" => StartKind::History,
            name => {
                let place = self.rules().kinds.iter().position(|kind| kind.name == name)?;
                StartKind::Activity(KindIndex(u8::try_from(place).ok()?))
            }
        })
    }

    fn unserved_start(&self, policy: PolicyIndex) -> Option<Start> {
        let start = self.ground(policy)?;
        match self.course(policy).and_then(|course| course.served) {
            Some(served) if start.at == served && self.given_again_that_day(policy, served) => {
                Some(Start { at: served, kind: StartKind::Consent })
            }
            Some(served) if start.at <= served => None,
            _ => Some(start),
        }
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

    pub(super) fn targets_missing(&self, policy: PolicyIndex, stage: usize) -> Vec<TargetIndex> {
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

    /// Stages in order: what a removing stage has still to see to; before it, the warnings of it that were
    /// never given. A withdrawal takes no ground away: what was left before it must go all the same.
    fn period_candidate(&self, policy: PolicyIndex) -> Option<Candidate> {
        if self.known_since(policy) == KnownSince::Unknown {
            return None;
        }
        let start = self.course_start(policy)?;
        for (place, stage) in self.policy(policy).stages.iter().enumerate() {
            if stage.action.removes() {
                let to = self.to_remove(policy, place);
                if !to.is_empty() {
                    return Some(self.stage_candidate(policy, place, to, start));
                }
                continue;
            }
            let missing = self.targets_missing(policy, place);
            if missing.is_empty() {
                // An unanswered or failed warning holds the next stage.
                self.given_at(policy, place)?;
            } else if self.warned_of(policy, place).is_some_and(|named| !named.is_empty()) {
                let to = missing.into_iter().map(|target| Addressee { stage: place, target, left: false });
                return Some(self.stage_candidate(policy, place, to.collect(), start));
            }
        }
        None
    }

    /// Where a removing stage was not sent, or, once nothing of the policy is to come, left something that
    /// nothing keeps any more.
    pub(super) fn to_remove(&self, policy: PolicyIndex, stage: usize) -> Vec<Addressee> {
        self.see_to(policy, stage, self.is_withdrawn(policy))
    }

    /// The same; `only_left`: nothing is due but what was left.
    pub(super) fn see_to(&self, policy: PolicyIndex, stage: usize, only_left: bool) -> Vec<Addressee> {
        let missing = if only_left { Vec::new() } else { self.targets_missing(policy, stage) };
        let addressee = |target: TargetIndex| {
            let left = Addressee { stage, target, left: true };
            let was_said = self.left(policy, &left, None).is_some();
            Addressee { left: was_said, ..left }
        };
        let mut to: Vec<Addressee> = missing.into_iter().map(addressee).collect();
        if self.is_removed(policy) {
            let targets = self.policy(policy).stages[stage].targets.iter();
            let left = targets.map(|&target| Addressee { stage, target, left: true });
            let missing: Vec<TargetIndex> = to.iter().map(|addressee| addressee.target).collect();
            let left = left.filter(|addressee| !missing.contains(&addressee.target));
            to.extend(left.filter(|addressee| self.has_left_something_free(policy, addressee)));
        }
        to
    }

    fn has_left_something_free(&self, policy: PolicyIndex, addressee: &Addressee) -> bool {
        let free = |name: &String| self.is_free(policy, name, addressee.target, View::by_period());
        self.left(policy, addressee, None).is_some_and(|left| left.categories.iter().any(free))
    }

    fn stage_candidate(&self, policy: PolicyIndex, stage: usize, to: Vec<Addressee>, start: Start) -> Candidate {
        let mut ready = self.ready_by_period(policy, stage, start);
        if let Some(notice) = self.notice_end(policy, stage, start) {
            ready = ready.max(notice);
        }
        if let Some(heard) = self.warnings_heard(policy, stage) {
            ready = ready.max(heard);
        }
        for addressee in to.iter().filter(|addressee| addressee.left) {
            // What was recalled is due again since then.
            let again = self.left(policy, addressee, None).filter(|left| left.again);
            ready = again.map_or(ready, |left| left.since.max(ready));
            if let Some((_, end)) = self.floor_that_left(policy, addressee, None) {
                ready = ready.max(end + self.policy(policy).lateness);
            }
        }
        self.by_period(policy, stage, to, start, ready)
    }

    /// What was left by period waits until nothing of the policy is to come: so a hold has deferred it only
    /// if it lasted longer, or deferred the last stage, too.
    pub(super) fn outlasted_the_last_stage(&self, policy: PolicyIndex, hold: &str, ended: Timestamp) -> bool {
        let last = self.policy(policy).stages.len() - 1;
        self.sent_of_stage(policy, last)
            .all(|sent| sent.first_sent_at < ended || sent.deferred_by.as_deref() == Some(hold))
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

    /// When a warning was given: acknowledged by every acknowledging target of it, for others sent; of
    /// several the latest. `None`: it was not.
    fn given_at(&self, policy: PolicyIndex, warning: usize) -> Option<Timestamp> {
        if !self.targets_missing(policy, warning).is_empty() {
            return None;
        }
        let replies = self.sent_of_stage(policy, warning).map(|sent| match sent.reply {
            Reply::Done { at, .. } => Some(at),
            _ => None,
        });
        replies.collect::<Option<Vec<Timestamp>>>()?.into_iter().max()
    }

    /// When the last of the answers was heard that the warnings before a stage have waited for: nothing that
    /// comes after them was due before.
    fn warnings_heard(&self, policy: PolicyIndex, stage: usize) -> Option<Timestamp> {
        let warnings = (0..stage).filter(|&earlier| !self.policy(policy).stages[earlier].action.removes());
        let sent = warnings.flat_map(|warning| self.sent_of_stage(policy, warning)).filter(|sent| !sent.followed);
        let heard = sent.filter_map(|sent| match sent.reply {
            Reply::Done { heard, .. } => Some(heard),
            _ => None,
        });
        heard.max()
    }

    /// When the notice of the last warning given before a stage ends, if the stage is the next after it.
    pub(super) fn notice_end(&self, policy: PolicyIndex, stage: usize, start: Start) -> Option<Timestamp> {
        let warnings = (0..stage).rev().filter(|&earlier| !self.policy(policy).stages[earlier].action.removes());
        let (warning, given) =
            warnings.filter_map(|warning| Some((warning, self.given_at(policy, warning)?))).next()?;
        // What followed the warning may have been this very stage, recalled since, because the policy, and with it
        // the notice, is longer now.
        let is_followed = self.sent_of_stage(policy, warning).all(|sent| sent.followed);
        let is_next = !is_followed || warning + 1 == stage;
        is_next.then(|| self.notice_between(policy, warning, stage, start, given))
    }

    /// The first instant of a stage, if the warning before it was given at `given`: the n days between the
    /// two stages' deadlines, counted as a period of n days from the day it was given.
    pub(super) fn notice_between(
        &self,
        policy: PolicyIndex,
        warning: usize,
        stage: usize,
        start: Start,
        given: Timestamp,
    ) -> Timestamp {
        let (rules, stages) = (self.rules(), &self.policy(policy).stages);
        let (from, to) = (self.deadline(policy, warning, start), self.deadline(policy, stage, start));
        let exact = |stage: usize| matches!(stages[stage].after, Period::Exact { .. });
        if exact(warning) || exact(stage) {
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
                let given = self.given_at(policy, last - 1)?;
                self.notice_between(policy, last - 1, last, start, given)
            } else {
                let given = self.ready_by_period(policy, last - 1, start);
                self.notice_between(policy, last - 1, last, start, given)
            };
            end = end.max(notice);
        }
        Some(end)
    }

    /// A warning that would be of nothing now may be of something when its time comes, or, if that has come,
    /// when something that keeps goes.
    pub(super) fn wake_for_skipped_warnings(&self, policy: PolicyIndex, wake: &mut Wake) {
        let Some(start) = self.start(policy) else { return };
        for (place, stage) in self.policy(policy).stages.iter().enumerate() {
            if !stage.action.removes() && !self.targets_missing(policy, place).is_empty() {
                wake.at_last(self.ready_by_period(policy, place, start), self.now());
            }
        }
        if self.has_skipped_a_warning(policy) {
            self.wake_for_floors(policy, wake);
        }
    }

    fn has_skipped_a_warning(&self, policy: PolicyIndex) -> bool {
        let Some(start) = self.start(policy) else { return false };
        let stages = self.policy(policy).stages.iter().enumerate();
        let mut warnings = stages.filter(|(_, stage)| !stage.action.removes()).map(|(place, _)| place);
        warnings.any(|place| {
            self.ready_by_period(policy, place, start) <= self.now() && !self.targets_missing(policy, place).is_empty()
        })
    }

    /// Another policy's leftovers may wait for the virtual end of this one, and for its proof.
    pub(super) fn wake_for_virtual_end(&self, policy: PolicyIndex, wake: &mut Wake) {
        let waits = |other: PolicyIndex| self.has_skipped_a_warning(other);
        let has_left = self.record.courses.iter().any(|course| !course.left.is_empty());
        if !has_left && !self.policy_indices().any(waits) {
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
