//! What is no error, and worth a second look.

use super::rule::RuleDraft;
use super::{Context, floor, policy, stage};
use crate::config::LawfulBasis;
use crate::config::reader::At;
use crate::retention::calendar::Seconds;
use crate::retention::policy::{Action, Stage, TargetIndex};
use chrono::NaiveDate;
use std::collections::BTreeMap;

/// Too little to open a letter, think, and log in.
const NOTICE_MIN: Seconds = Seconds(7 * 86_400);

/// Said of a whole purpose, these tell nobody what will happen to their data (WP 203, Opinion 03/2013
/// on purpose limitation, III.1.1).
const VAGUE: &[&str] = &[
    "marketing",
    "marketing purposes",
    "business purposes",
    "commercial purposes",
    "future research",
    "it-security purposes",
    "improving our services",
    "improving users' experience",
    "improving user experience",
    "commerciële doeleinden",
    "marketingdoeleinden",
    "bedrijfsdoeleinden",
    "verbetering van onze dienstverlening",
    "onze dienstverlening verbeteren",
];

/// Shorter ones hold neither what is done nor for whom or how long.
const PURPOSE_WORDS_MIN: usize = 4;

pub(super) fn of_purpose(at: &At<'_>, purpose: &BTreeMap<String, String>) {
    for (language, text) in purpose {
        let plain = text.to_lowercase();
        let plain = plain.trim().trim_end_matches('.').trim_start_matches("for ").trim_start_matches("voor ");
        // Chinese, Japanese and Korean put no spaces between words.
        let countable = plain.chars().all(|c| c < '\u{2e80}');
        let short = countable && plain.split_whitespace().count() < PURPOSE_WORDS_MIN;
        if short || VAGUE.contains(&plain) {
            at.warning(format!(
                "is too vague ({language}) to test anything against: say what is done, and for how long"
            ));
        }
    }
}

pub(super) fn of_review(at: &At<'_>, review_by: NaiveDate, context: &Context) {
    if review_by < context.today {
        at.warning(format!("is past: the policy should have been reviewed by {review_by}"));
    }
}

pub(super) fn of_interest(at: &At<'_>, basis: LawfulBasis, interest: &BTreeMap<String, String>) {
    match (basis == LawfulBasis::LegitimateInterest, interest.is_empty()) {
        (true, true) => at.warning("rests on a legitimate interest and doesn't name it; add interest: {en: …}"),
        (false, false) => at.warning("names an interest, and doesn't rest on a legitimate one"),
        _ => {}
    }
}

pub(super) fn of_notice(at: &At<'_>, notice: Seconds, context: &Context) {
    if notice < NOTICE_MIN && !context.short_periods {
        at.warning(format!("leaves less than {NOTICE_MIN} to react to the warning"));
    }
}

/// Removing what is gone already.
pub(super) fn of_stages(list: &[At<'_>], stages: &[Stage]) {
    for (place, stage) in stages.iter().enumerate() {
        let expired = stages[..place].iter().filter(|earlier| earlier.action == Action::Expire);
        let gone: Vec<TargetIndex> = expired.flat_map(|earlier| earlier.targets.iter().copied()).collect();
        if stage.targets.iter().any(|target| gone.contains(target)) {
            list[place].warning("comes after an expire at the same target, which leaves nothing to do it to");
        }
    }
}

/// A target of the policy that no stage tells to remove anything keeps its data for ever.
pub(super) fn of_targets(at: &At<'_>, targets: &[TargetIndex], stages: &[Stage], context: &Context) {
    let removing = stages.iter().filter(|stage| stage.action.removes());
    let told: Vec<TargetIndex> = removing.flat_map(|stage| stage.targets.iter().copied()).collect();
    for target in targets.iter().filter(|target| !told.contains(target)) {
        let name = context.names.targets[usize::from(target.0)];
        at.warning(format!("names '{name}', and no stage tells it to remove anything"));
    }
}

/// Whose consent it is, they may take back.
pub(super) fn of_consent(at: &At<'_>, basis: LawfulBasis, consent: Option<&str>) {
    if basis == LawfulBasis::Consent && consent.is_none() {
        at.warning("rests on consent and reads none, so that nobody's withdrawal ends it; add consent: NAME");
    }
}

/// A live source without a guard. One whose rules all bring their own time is a snapshot of what
/// happened, such as a baseline, which is loaded once and rightly silent after.
pub(super) fn of_silence(at: &At<'_>, silence: Option<Seconds>, rules: &[RuleDraft<'_>]) {
    let of_activity = || rules.iter().filter(|rule| rule.yields.kind().is_some());
    let snapshot = of_activity().all(|rule| rule.time.is_some() && rule.history_from_beginning);
    let unguarded = of_activity().any(|rule| rule.silence_max.is_none());
    if snapshot || !unguarded {
        return;
    }
    let what = if silence.is_none() { "has max_silence: none" } else { "has a rule with max_silence: none" };
    at.warning(format!("{what}, and is live: when it breaks, its customers look as if they had gone"));
}

/// A stage that removes, for every starting point, before a floor of its categories has ended: what it
/// says never happens when it says. Consent given starts a policy and no floor, so nothing is certain there.
pub(super) fn of_floors(policies: &[policy::Draft<'_>], floors: &[floor::Draft], context: &Context) {
    for policy in policies.iter().filter(|policy| policy.consent.is_none()) {
        let outlasts = |floor: &&floor::Draft| {
            policy.names(&floor.category) && policy.since_last.iter().all(|kind| floor.since_last.contains(kind))
        };
        for floor in floors.iter().filter(outlasts) {
            for (stage, at) in policy.stages.iter().zip(&policy.stages_at).filter(|(stage, _)| stage.action.removes()) {
                let (stage, keep) = ((policy.counted_from, stage.after), (floor.counted_from, floor.keep));
                if stage::comes_first(stage, keep, context.zone) {
                    let category = &floor.category;
                    at.warning(format!("always lies before the floor of '{category}', which is kept until that ends"));
                }
            }
        }
    }
}
