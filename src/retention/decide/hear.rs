//! What is told of a customer.

use super::standing::{applies, ground, ground_up_to};
use super::{Circumstances, Timestamp, with_judgement};
use crate::retention::activity::{KindIndex, LastSeen};
use crate::retention::claims::{Claim, Claims};
use crate::retention::customer::{Course, Record};
use crate::retention::policy::{Policy, PolicyIndex, Rulebook};

/// Merges a claim into the record; whether it changed anything.
///
/// A withdrawal is a request for each policy that covers the customer when it arrives, also where all that
/// is remembered of them is from after it: what they did before can no longer be told.
pub fn hear(circumstances: Circumstances<'_>, seen: &[LastSeen], record: &mut Record, claim: &Claim) -> bool {
    if let Claim::Hold { .. } | Claim::Unhold { .. } = claim {
        return hear_of_hold(circumstances, seen, record, claim);
    }
    let Claim::Consent { name, given, at } = claim else { return record.claims.merge(claim, circumstances.now) };
    let rules = circumstances.rules;
    let rests_on_it = |index: &PolicyIndex| rules.policies[usize::from(index.0)].consent.as_ref() == Some(name);
    let policies = policy_indices(rules).filter(rests_on_it);
    let asked: Vec<(PolicyIndex, Standing)> =
        policies.map(|index| (index, Standing::of(circumstances, index, seen, record))).collect();
    let changed = record.claims.merge(claim, circumstances.now);
    for (index, before) in asked {
        let policy = &rules.policies[usize::from(index.0)];
        let said = if *given { None } else { Some(*at) };
        let refused = refused_since(policy, &record.claims, [before.refused_since, said]);
        let first = refused.map(|at| circumstances.almanac.at_resolution(rules.resolution, at));
        let course = course_mut(record, &policy.key);
        course.refused_since = refused;
        course.refused_start = first.and_then(|first| {
            let known = if *given { None } else { before.start };
            // What came after the first "no" has started nothing, unless the policy was asked to end it already.
            let remembered = course.refused_start.filter(|start| *start <= first || before.was_asked);
            remembered.max(known).map(|start| start.min(first))
        });
        note_refused_start(circumstances, index, seen, record);
        if !given {
            note_withdrawal(circumstances, index, record);
        }
    }
    changed
}

/// Takes in the latest starting point from before consent was withdrawn: what happens later may hide it.
/// Consent that was given before and is heard of later is one, too.
fn note_refused_start(
    circumstances: Circumstances<'_>,
    index: PolicyIndex,
    seen: &[LastSeen],
    record: &mut Record,
) -> bool {
    let policy = &circumstances.rules.policies[usize::from(index.0)];
    let course = record.courses.iter().find(|course| course.policy == policy.key);
    let Some(first) = withdrawn_at(circumstances, policy, &record.claims, course) else { return false };
    let start = ground_up_to(circumstances, index, seen, &record.claims, first).map(|start| start.at);
    let is_news = start > course.and_then(|course| course.refused_start);
    if is_news {
        course_mut(record, &policy.key).refused_start = start;
    }
    is_news
}

/// A withdrawal becomes a request when its policy covers the customer: there is a starting point from before
/// it that no request has been served for, and `applies_to` matches. It stays one if that changes.
fn note_withdrawal(circumstances: Circumstances<'_>, index: PolicyIndex, record: &mut Record) {
    let policy = &circumstances.rules.policies[usize::from(index.0)];
    let Ok(place) = record.courses.binary_search_by(|course| course.policy.as_str().cmp(&policy.key)) else { return };
    let course = &record.courses[place];
    let Some(first) = withdrawn_at(circumstances, policy, &record.claims, Some(course)) else { return };
    let covers = course.refused_start > course.served && applies(policy, &record.claims);
    if covers {
        record.courses[place].withdrawn = Some(first);
    }
}

/// Since when consent stands withdrawn: of the withdrawals that are known the first, since it was given. Only the
/// last one is remembered for certain.
fn refused_since(policy: &Policy, claims: &Claims, known: [Option<Timestamp>; 2]) -> Option<Timestamp> {
    let consent = claims.consent(policy.consent.as_ref()?)?;
    let last = consent.withdrawn_last()?;
    let since_given = |since: &Timestamp| consent.given.is_none_or(|given| given <= *since);
    known.into_iter().flatten().filter(since_given).chain([last]).min()
}

/// Whether a withdrawal is a request changes with whom policies mean, and with the policies themselves.
pub(super) fn note_withdrawals(circumstances: Circumstances<'_>, seen: &[LastSeen], record: &mut Record) {
    if record.claims.consents.is_empty() {
        return;
    }
    for index in policy_indices(circumstances.rules) {
        note_refused_start(circumstances, index, seen, record);
        note_withdrawal(circumstances, index, record);
    }
}

fn policy_indices(rules: &Rulebook) -> impl Iterator<Item = PolicyIndex> + use<> {
    (0..rules.policies.len()).map(|place| PolicyIndex(u16::try_from(place).unwrap_or(u16::MAX)))
}

/// Where a policy with consent stands when a word on that arrives.
struct Standing {
    /// Its starting point, unless consent stands withdrawn.
    start: Option<Timestamp>,
    /// Consent stands withdrawn, and that was a request.
    was_asked: bool,
    refused_since: Option<Timestamp>,
}

impl Standing {
    fn of(circumstances: Circumstances<'_>, index: PolicyIndex, seen: &[LastSeen], record: &Record) -> Standing {
        let policy = &circumstances.rules.policies[usize::from(index.0)];
        let course = record.courses.iter().find(|course| course.policy == policy.key);
        let withdrawn = withdrawn_at(circumstances, policy, &record.claims, course);
        let refused_since = course.and_then(|course| course.refused_since).filter(|_| withdrawn.is_some());
        let counts = withdrawn.is_some_and(|at| counts_from(circumstances.rules, at) <= circumstances.now);
        let start = ground(circumstances, index, seen, &record.claims).filter(|_| !counts).map(|start| start.at);
        let was_asked = withdrawn.is_some() && course.is_some_and(|course| course.withdrawn == withdrawn);
        Standing { start, was_asked, refused_since }
    }
}

/// What a hold that is lifted has deferred must be able to name it.
fn hear_of_hold(circumstances: Circumstances<'_>, seen: &[LastSeen], record: &mut Record, claim: &Claim) -> bool {
    with_judgement(circumstances, seen, record, |judgement| {
        judgement.note_stops();
        let changed = judgement.record.claims.merge(claim, circumstances.now);
        judgement.note_what_was_lifted();
        changed
    })
}

/// When consent to a policy was withdrawn, at the configuration's resolution, if that is the last word: the
/// first time since it was given.
pub(super) fn withdrawn_at(
    circumstances: Circumstances<'_>,
    policy: &Policy,
    claims: &Claims,
    course: Option<&Course>,
) -> Option<Timestamp> {
    let Circumstances { rules, almanac, .. } = circumstances;
    let last = claims.consent(policy.consent.as_ref()?)?.withdrawn_last()?;
    let first = course.and_then(|course| course.refused_since).map_or(last, |first| first.min(last));
    Some(almanac.at_resolution(rules.resolution, first))
}

/// Takes note of an activity at the configuration's resolution: one from before a withdrawal may be what that
/// must end, also where later ones are known. `seen` is what has been seen with it.
pub fn see(
    circumstances: Circumstances<'_>,
    seen: &[LastSeen],
    record: &mut Record,
    (kind, at): (KindIndex, Timestamp),
) -> bool {
    let mut changed = false;
    for index in policy_indices(circumstances.rules) {
        changed |= note_refused_start(circumstances, index, seen, record);
        let policy = &circumstances.rules.policies[usize::from(index.0)];
        let course = record.courses.iter().find(|course| course.policy == policy.key);
        let first = withdrawn_at(circumstances, policy, &record.claims, course);
        let is_before = policy.since_last.contains(&kind) && Some(at) <= first;
        if is_before && Some(at) > course.and_then(|course| course.refused_start) {
            course_mut(record, &policy.key).refused_start = Some(at);
            changed = true;
        }
    }
    changed
}

/// The policy's course, made if there is none.
pub(super) fn course_mut<'r>(record: &'r mut Record, policy: &str) -> &'r mut Course {
    let place = match record.courses.binary_search_by(|course| course.policy.as_str().cmp(policy)) {
        Ok(place) => place,
        Err(place) => {
            record.courses.insert(place, Course::new(policy));
            place
        }
    };
    &mut record.courses[place]
}

/// The first instant at which a request counts: at day resolution the end of its local day.
pub(super) fn counts_from(rules: &Rulebook, at: Timestamp) -> Timestamp {
    use crate::retention::calendar::{Resolution, Seconds};
    match rules.resolution {
        Resolution::Day => at + Seconds(1),
        Resolution::Second => at,
    }
}
