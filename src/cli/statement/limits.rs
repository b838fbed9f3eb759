//! A policy's periods in words.

use super::teller::Teller;
use super::words::Language::{Dutch, English};
use super::words::Reader;
use crate::config::LawfulBasis;
use crate::retention::calendar::{CountedFrom, Period};
use crate::retention::policy::{Action, Floor, Policy, Stage};

/// A removing stage, with the warnings that go before it. The last stage is one.
pub struct Removal<'p> {
    pub stage: &'p Stage,
    pub warnings: Vec<&'p Stage>,
}

pub fn removals(policy: &Policy) -> Vec<Removal<'_>> {
    let (mut removals, mut warnings) = (Vec::new(), Vec::new());
    for stage in &policy.stages {
        if stage.action.removes() {
            removals.push(Removal { stage, warnings: std::mem::take(&mut warnings) });
        } else {
            warnings.push(stage);
        }
    }
    removals
}

/// Whether a request anonymises, as the last stage does; else it deletes.
pub fn anonymises_at_last(policy: &Policy) -> bool {
    policy.stages.last().is_some_and(|stage| stage.action == Action::Anonymise)
}

/// The floors of a policy's categories, in its order.
pub fn floors<'c>(teller: &Teller<'c>, policy: &Policy) -> Vec<&'c Floor> {
    let rules = &teller.config.rules;
    let places = policy.categories.iter().filter_map(|category| rules.floor_of(*category));
    places.map(|place| &rules.floors[usize::from(place.0)]).collect()
}

/// `2 jaar na uw laatste aankoop, inlog of contact`.
pub fn limit(teller: &mut Teller<'_>, policy: &Policy, after: Period, basis: LawfulBasis, reader: Reader) -> String {
    let mut starts = teller.kinds(&policy.since_last);
    if policy.consent.is_some() {
        starts.push(consent_given(teller, basis));
    }
    counted(teller, after, policy.counted_from, &starts, reader)
}

/// Consent given is a starting point, too; where the ground is another it is not called consent.
fn consent_given(teller: &Teller<'_>, basis: LawfulBasis) -> String {
    let word = match basis {
        LawfulBasis::Consent => teller.language.either("toestemming", "consent"),
        _ => teller.language.either("akkoord", "opt-in"),
    };
    word.to_owned()
}

/// `7 jaar na het einde van het kalenderjaar van uw laatste aankoop`.
pub fn floor_limit(teller: &mut Teller<'_>, floor: &Floor, reader: Reader) -> String {
    let starts = teller.kinds(&floor.since_last);
    counted(teller, floor.keep, floor.counted_from, &starts, reader)
}

fn counted(
    teller: &Teller<'_>,
    period: Period,
    counted_from: CountedFrom,
    starts: &[String],
    reader: Reader,
) -> String {
    let language = teller.language;
    let (period, starts) = (language.period(period), language.or(starts));
    let from = language.counted_from(counted_from);
    match (language, reader) {
        (Dutch, Reader::Customer) => format!("{period} na {from}uw laatste {starts}"),
        (Dutch, Reader::Supervisor) => format!("{period} na {from}laatste {starts}"),
        (English, Reader::Customer) => format!("{period} after {from}your last {starts}"),
        (English, Reader::Supervisor) => format!("{period} after {from}the last {starts}"),
    }
}

/// How long before a removal a warning is due; `None` where no period says it, as between P11M and P365D.
pub fn beforehand(warning: Period, removal: Period) -> Option<Period> {
    match (warning, removal) {
        (Period::Calendar { months, days }, Period::Calendar { months: to_months, days: to_days }) => {
            let (months, days) = (to_months.checked_sub(months)?, to_days.checked_sub(days)?);
            (months + days > 0).then_some(Period::Calendar { months, days })
        }
        (Period::Exact { seconds }, Period::Exact { seconds: to_seconds }) => {
            let seconds = to_seconds - seconds;
            (seconds > 0).then_some(Period::Exact { seconds })
        }
        _ => None,
    }
}

/// Whom it is limited to, as a condition; `None`: everyone.
pub fn condition(teller: &mut Teller<'_>, policy: &Policy) -> Option<String> {
    let language = teller.language;
    let one = |(name, values): &(String, Vec<Option<String>>), teller: &mut Teller<'_>| {
        let name = teller.label(name);
        let values_set: Vec<String> =
            values.iter().flatten().map(|value| format!("“{}”", teller.word(value))).collect();
        let values_set = language.or(&values_set);
        let may_be_unset = values.contains(&None);
        match (language, values_set.is_empty(), may_be_unset) {
            (Dutch, true, _) => format!("{name} niet is vastgelegd"),
            (Dutch, false, false) => format!("{name} {values_set} is"),
            (Dutch, false, true) => format!("{name} {values_set} is of niet is vastgelegd"),
            (English, true, _) => format!("{name} is not recorded"),
            (English, false, false) => format!("{name} is {values_set}"),
            (English, false, true) => format!("{name} is {values_set}, or is not recorded"),
        }
    };
    let conditions: Vec<String> = policy.applies_to.iter().map(|attribute| one(attribute, teller)).collect();
    (!conditions.is_empty()).then(|| language.and(&conditions))
}
