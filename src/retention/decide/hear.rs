//! What is told of a customer.

use super::standing::{applies, ground};
use super::{Circumstances, Timestamp};
use crate::retention::activity::LastSeen;
use crate::retention::claims::Claim;
use crate::retention::customer::{Course, Record};
use crate::retention::policy::{Policy, PolicyIndex, Rulebook};

/// Merges a claim into the record; whether it changed anything.
///
/// A withdrawal is a request for each policy that covers the customer when it arrives, also where all that
/// is remembered of them is from after it: what they did before can no longer be told.
pub fn hear(circumstances: Circumstances<'_>, seen: &[LastSeen], record: &mut Record, claim: &Claim) -> bool {
    let changed = record.claims.merge(claim, circumstances.now);
    if let (true, Claim::Consent { name, given: false, .. }) = (changed, claim) {
        let asked = |policy: &Policy| policy.consent.as_ref() == Some(name);
        note(circumstances, seen, record, asked, |_, _| true);
    }
    changed
}

/// Notes for which policies a withdrawal is a request, because they cover the customer by what happened
/// before it. Call it before activity is merged over what was seen, too.
pub fn note_withdrawals(circumstances: Circumstances<'_>, seen: &[LastSeen], record: &mut Record) {
    if !record.claims.consents.is_empty() {
        note(circumstances, seen, record, |policy| policy.consent.is_some(), |start, withdrawn| start <= withdrawn);
    }
}

fn note(
    circumstances: Circumstances<'_>,
    seen: &[LastSeen],
    record: &mut Record,
    is_meant: impl Fn(&Policy) -> bool,
    counts: impl Fn(Timestamp, Timestamp) -> bool,
) {
    let Circumstances { rules, almanac, .. } = circumstances;
    for (place, policy) in rules.policies.iter().enumerate().filter(|(_, policy)| is_meant(policy)) {
        let consent = policy.consent.as_ref().and_then(|name| record.claims.consent(name));
        let Some(withdrawn) = consent.and_then(|consent| consent.withdrawn_last()) else { continue };
        let withdrawn = almanac.at_resolution(rules.resolution, withdrawn);
        let index = PolicyIndex(u16::try_from(place).unwrap_or(u16::MAX));
        let start = ground(circumstances, index, seen, &record.claims).map(|start| start.at);
        let place = record.courses.binary_search_by(|course| course.policy.as_str().cmp(&policy.key));
        let served = place.ok().and_then(|place| record.courses[place].served);
        let covers = start.is_some_and(|start| counts(start, withdrawn) && served.is_none_or(|served| start > served));
        if covers && applies(policy, &record.claims) {
            course_mut(record, &policy.key).withdrawn = Some(withdrawn);
        }
    }
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
