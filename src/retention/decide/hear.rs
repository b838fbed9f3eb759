//! What is told of a customer.

use super::standing::{applies, ground, ground_up_to};
use super::{Circumstances, Timestamp, with_judgement};
use crate::retention::activity::LastSeen;
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
    let Claim::Consent { name, given, .. } = claim else { return record.claims.merge(claim, circumstances.now) };
    let rules = circumstances.rules;
    let policies = rules.policies.iter().enumerate().filter(|(_, policy)| policy.consent.as_ref() == Some(name));
    let index = |place: usize| PolicyIndex(u16::try_from(place).unwrap_or(u16::MAX));
    let asked: Vec<(PolicyIndex, Standing)> =
        policies.map(|(place, _)| (index(place), Standing::of(circumstances, index(place), seen, record))).collect();
    let claims_before = record.claims.clone();
    let changed = record.claims.merge(claim, circumstances.now);
    for (index, before) in asked {
        let policy = &rules.policies[usize::from(index.0)];
        let refused = refused_since(policy, &record.claims, before.refused_since);
        let at = refused.map(|at| circumstances.almanac.at_resolution(rules.resolution, at));
        let course = course_mut(record, &policy.key);
        course.refused_since = refused;
        if let Some(at) = at.filter(|_| before.covers && !given) {
            course.withdrawn = Some(at);
        }
        let (served, last) = (course.served, at);
        // Consent that was given before the withdrawal, and heard of later, is late activity.
        let start = |claims| ground_up_to(circumstances, index, seen, claims, last?).map(|start| start.at);
        let (known, news) = (start(&claims_before), start(&record.claims));
        if *given && news > known && news > served && applies(policy, &record.claims) {
            course_mut(record, &policy.key).withdrawn = at;
        }
    }
    changed
}

/// Since when consent stands withdrawn. Only the last withdrawal is remembered for certain: where consent was
/// given after the first one that was known, that counts.
fn refused_since(policy: &Policy, claims: &Claims, before: Option<Timestamp>) -> Option<Timestamp> {
    let consent = claims.consent(policy.consent.as_ref()?)?;
    let last = consent.withdrawn_last()?;
    let before = before.filter(|since| consent.given.is_none_or(|given| given <= *since));
    Some(before.map_or(last, |since| since.min(last)))
}

/// Where a policy with consent stands when a word on that arrives.
struct Standing {
    /// It covers the customer, or has been asked to end that and has not done so yet.
    covers: bool,
    refused_since: Option<Timestamp>,
}

impl Standing {
    fn of(circumstances: Circumstances<'_>, index: PolicyIndex, seen: &[LastSeen], record: &Record) -> Standing {
        let policy = &circumstances.rules.policies[usize::from(index.0)];
        let course = record.courses.iter().find(|course| course.policy == policy.key);
        let served = course.and_then(|course| course.served);
        let withdrawn = withdrawn_at(circumstances, policy, &record.claims, course);
        let refused_since = course.and_then(|course| course.refused_since).filter(|_| withdrawn.is_some());
        let counts = withdrawn.is_some_and(|at| counts_from(circumstances.rules, at) <= circumstances.now);
        let covers = match withdrawn.filter(|_| counts) {
            Some(at) => {
                let was_asked = course.is_some_and(|course| course.withdrawn == Some(at));
                was_asked && served.is_none_or(|served| served < at)
            }
            None => {
                let start = ground(circumstances, index, seen, &record.claims);
                let is_open = start.is_some_and(|start| served.is_none_or(|served| start.at > served));
                is_open && applies(policy, &record.claims)
            }
        };
        Standing { covers, refused_since }
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

/// Takes note of an activity that arrives late: one from before a withdrawal makes that a request, if it is
/// news to a policy. `before` is what was seen until now, `seen` what has been with it.
pub fn see(circumstances: Circumstances<'_>, before: &[LastSeen], seen: &[LastSeen], record: &mut Record) -> bool {
    let mut changed = false;
    for (place, policy) in circumstances.rules.policies.iter().enumerate() {
        let index = PolicyIndex(u16::try_from(place).unwrap_or(u16::MAX));
        let course = record.courses.iter().find(|course| course.policy == policy.key);
        let Some(last) = withdrawn_at(circumstances, policy, &record.claims, course) else { continue };
        let served = course.and_then(|course| course.served);
        let start = |seen| ground_up_to(circumstances, index, seen, &record.claims, last).map(|start| start.at);
        let (known, news) = (start(before), start(seen));
        let covers = news > known && news > served && applies(policy, &record.claims);
        if covers && course.is_none_or(|course| course.withdrawn != Some(last)) {
            course_mut(record, &policy.key).withdrawn = Some(last);
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
