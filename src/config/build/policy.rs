//! `policies`.

use super::source::name;
use super::{Context, fingerprint, kind_index};
use crate::config::reader::{At, suggestion};
use crate::config::{LawfulBasis, PolicyText};
use crate::retention::calendar::{CountedFrom, Period, Seconds};
use crate::retention::policy::{
    Action, CategorySet, Kind, Mode, Policy, SourceIndex, Stage, Target, TargetIndex, Trust,
};
use chrono::NaiveDate;
use std::collections::BTreeMap;

/// A policy as it is written, its kinds and categories still names.
pub(super) struct Draft {
    key: String,
    pub since_last: Vec<String>,
    pub categories: Vec<String>,
    counted_from: CountedFrom,
    pub stages: Vec<Stage>,
    mode: Mode,
    text: PolicyText,
    /// Where to complain about a kind that no source yields, and how.
    place: crate::config::tree::Place,
    problems: crate::config::reader::Problems,
}

const SECONDS_PER_DAY: i64 = 86_400;

pub(super) fn drafts(at: &At<'_>, context: &Context, targets: &[Target]) -> Vec<Draft> {
    let drafts: Vec<Draft> = at.named().iter().filter_map(|(key, at)| draft(&key.name, at, context, targets)).collect();
    if drafts.is_empty() && at.problems.errors.borrow().is_empty() {
        at.error("must hold at least one policy");
    }
    let mut drafts = drafts;
    drafts.sort_by(|a, b| a.key.cmp(&b.key));
    drafts
}

pub(super) fn mode(at: &At<'_>) -> Option<Mode> {
    at.word(&[("test", Mode::Test), ("notify", Mode::Notify), ("enforce", Mode::Enforce)])
}

fn draft(key: &str, at: &At<'_>, context: &Context, targets: &[Target]) -> Option<Draft> {
    let mut map = at.map()?;
    map.not_supported_yet(&["applies_to", "consent", "per_day"]);
    let purpose = map.need("purpose", "what the data is kept for, by language: {en: …}").map(|at| texts(&at));
    let basis = map.need("lawful_basis", "the ground of article 6(1) GDPR").and_then(|at| lawful_basis(&at));
    let interest = map.get("interest").map(|at| texts(&at)).unwrap_or_default();
    let categories = map.need("categories", "what is kept: a list of names").and_then(|at| names(&at));
    let since_last =
        map.need("since_last", "the kinds of activity from which the period runs").and_then(|at| names(&at));
    let counted_from = map.get("counted_from_end_of").map_or(Some(CountedFrom::Event), |at| {
        at.word(&[("month", CountedFrom::EndOfMonth), ("year", CountedFrom::EndOfYear)])
    });
    let default_targets =
        map.need("targets", "the targets its stages speak to").and_then(|at| target_list(&at, targets));
    let stages = map.need("stages", "what happens after how long: [{after: P2Y, command: anonymise}]");
    let stages = stages.and_then(|at| stages_of(&at, context, targets, default_targets.as_deref().unwrap_or_default()));
    let mode = map.get("mode").map_or(Some(Mode::Test), |at| mode(&at));
    let review_by = map.need("review_by", "the date by which someone looks at it again").and_then(|at| date(&at));
    map.finish();
    let (basis, review_by, mode) = (basis?, review_by?, mode?.min(context.mode_max));
    judge(at, basis, &interest, review_by, mode, context, purpose.as_ref()?);
    Some(Draft {
        key: name_of(key, at)?,
        since_last: since_last?,
        categories: categories?,
        counted_from: counted_from?,
        stages: stages?,
        mode,
        text: PolicyText { purpose: purpose?, lawful_basis: basis, interest, review_by },
        place: at.node.place.clone(),
        problems: at.problems.clone(),
    })
}

fn name_of(key: &str, at: &At<'_>) -> Option<String> {
    if key.is_empty() || key.len() > 100 || key.contains(':') || key.chars().any(char::is_control) {
        at.error("is not a usable name; it is 1 to 100 characters without ':'");
        return None;
    }
    Some(key.to_owned())
}

/// What would stop `run`, and what is worth a second look.
fn judge(
    at: &At<'_>,
    basis: LawfulBasis,
    interest: &BTreeMap<String, String>,
    review_by: NaiveDate,
    mode: Mode,
    context: &Context,
    purpose: &BTreeMap<String, String>,
) {
    if basis == LawfulBasis::LegalObligation && mode != Mode::Test {
        at.error(
            "rests on a legal obligation, so each of its categories needs a floor, and floors are not supported yet \
             by this version; set mode: test",
        );
    }
    if basis == LawfulBasis::LegitimateInterest && interest.is_empty() {
        at.warning("rests on a legitimate interest and doesn't name it; add interest: {en: …}");
    }
    if review_by < context.today {
        at.warning(format!("should have been reviewed by {review_by}"));
    }
    for (language, text) in purpose {
        // A purpose that fits in three words can hold neither what is done nor for how long.
        if text.split_whitespace().count() < 4 {
            at.warning(format!("has a purpose ({language}) too vague to test anything against: '{text}'"));
        }
    }
}

fn lawful_basis(at: &At<'_>) -> Option<LawfulBasis> {
    at.word(&[
        ("consent", LawfulBasis::Consent),
        ("contract", LawfulBasis::Contract),
        ("legal_obligation", LawfulBasis::LegalObligation),
        ("vital_interests", LawfulBasis::VitalInterests),
        ("public_task", LawfulBasis::PublicTask),
        ("legitimate_interest", LawfulBasis::LegitimateInterest),
    ])
}

/// Texts by language.
fn texts(at: &At<'_>) -> BTreeMap<String, String> {
    let named = at.named();
    if named.is_empty() {
        at.error("needs a text in at least one language: {en: …}");
    }
    named.iter().filter_map(|(key, at)| Some((key.name.clone(), at.text()?.to_owned()))).collect()
}

fn date(at: &At<'_>) -> Option<NaiveDate> {
    let text = at.text()?;
    let date = text.parse().ok();
    if date.is_none() {
        at.error(format!("is '{text}', and must be a date such as 2027-06-01"));
    }
    date
}

/// A list of different names, at least one.
fn names(at: &At<'_>) -> Option<Vec<String>> {
    let names: Option<Vec<String>> = at.list().iter().map(name).collect();
    let names = names?;
    if names.is_empty() {
        at.error("must be a list of at least one name");
        return None;
    }
    if let Some(twice) = names.iter().enumerate().find(|(place, name)| names[..*place].contains(name)) {
        at.error(format!("names '{}' twice", twice.1));
        return None;
    }
    Some(names)
}

fn target_list(at: &At<'_>, targets: &[Target]) -> Option<Vec<TargetIndex>> {
    let mut places = Vec::new();
    for name in names(at)? {
        match targets.iter().position(|target| target.key == name) {
            Some(place) => places.push(TargetIndex(u16::try_from(place).unwrap_or(u16::MAX))),
            None => {
                let near = suggestion(&name, targets.iter().map(|target| target.key.as_str()));
                at.error(format!("names '{name}', which is not among the targets{near}"));
                return None;
            }
        }
    }
    places.sort();
    Some(places)
}

fn stages_of(at: &At<'_>, context: &Context, targets: &[Target], default: &[TargetIndex]) -> Option<Vec<Stage>> {
    let list = at.list();
    let stages: Option<Vec<Stage>> = list.iter().map(|at| stage(at, context, targets, default)).collect();
    let stages = stages?;
    let Some(last) = stages.last() else {
        at.error("must be a list of at least one stage");
        return None;
    };
    if !last.action.removes() {
        at.error("ends with a warning of nothing; its last stage must be expire or anonymise");
        return None;
    }
    for (place, pair) in stages.windows(2).enumerate() {
        if shortest_days(pair[0].after) >= shortest_days(pair[1].after) {
            list[place + 1].error("does not come after the stage before it; periods must grow");
            return None;
        }
        let notice = shortest_days(pair[1].after) - shortest_days(pair[0].after);
        if pair[0].action == Action::Warn && notice < 7.0 && !context.short_periods {
            list[place].warning("leaves less than a week to react to the warning");
        }
    }
    Some(stages)
}

fn stage(at: &At<'_>, context: &Context, targets: &[Target], default: &[TargetIndex]) -> Option<Stage> {
    let mut map = at.map()?;
    let after = map.need("after", "the period, such as P24M").and_then(|at| {
        let period = at.period()?;
        if shortest_days(period) < 1.0 && !context.short_periods {
            at.error(format!(
                "is '{}', which is less than a day ('PT24M' is 24 minutes); set short_periods: true if you mean it",
                at.text().unwrap_or_default()
            ));
            return None;
        }
        Some(period)
    });
    let command = map.need("command", "warn, expire or anonymise").and_then(|at| {
        at.word(&[("warn", Action::Warn), ("expire", Action::Expire), ("anonymise", Action::Anonymise)])
    });
    let targets = map.get("targets").map_or(Some(default.to_vec()), |at| target_list(&at, targets));
    map.finish();
    Some(Stage { after: after?, action: command?, targets: targets? })
}

/// The shortest it can be, in days of 24 hours: February has 28.
fn shortest_days(period: Period) -> f64 {
    match period {
        Period::Calendar { months, days } => f64::from(months) * 30.4 + f64::from(days),
        Period::Exact { seconds } => seconds as f64 / SECONDS_PER_DAY as f64,
    }
}

impl Draft {
    pub fn build(
        self,
        kinds: &[Kind],
        categories: &[String],
        sources: &[Trust],
        targets: &[Target],
        context: &Context,
    ) -> (Policy, PolicyText) {
        let since_last: Vec<_> = self.since_last.iter().map(|name| kind_index(kinds, name)).collect();
        let places = self.categories.iter().filter_map(|name| categories.iter().position(|known| known == name));
        let places: Vec<u8> = places.filter_map(|place| u8::try_from(place).ok()).collect();
        let mut category_set = CategorySet::EMPTY;
        places.iter().filter(|&&place| place < 64).for_each(|&place| category_set.insert(place));
        let index = |place: usize| SourceIndex(u16::try_from(place).unwrap_or(u16::MAX));
        let mut history_rules = Vec::new();
        for (place, source) in sources.iter().enumerate() {
            for (number, rule) in source.rules.iter().enumerate() {
                if rule.kind.is_some_and(|kind| since_last.contains(&kind)) {
                    history_rules.push((index(place), u16::try_from(number).unwrap_or(u16::MAX)));
                }
            }
        }
        self.complain_of_unknown_kinds(sources, kinds);
        let live = |source: &SourceIndex| !sources[usize::from(source.0)].retired;
        let mut used: Vec<SourceIndex> = history_rules.iter().map(|(source, _)| *source).filter(live).collect();
        used.dedup();
        let lateness = used.iter().map(|source| sources[usize::from(source.0)].allowed_lateness).max();
        let mut policy = Policy {
            key: self.key,
            version: String::new(),
            categories: places,
            category_set,
            since_last,
            counted_from: self.counted_from,
            stages: self.stages,
            mode: self.mode,
            sources: used,
            lateness: lateness.unwrap_or(Seconds(0)),
            history_rules,
        };
        policy.version = fingerprint::of_policy(&policy, kinds, categories, targets, context.zone);
        (policy, self.text)
    }

    fn complain_of_unknown_kinds(&self, sources: &[Trust], kinds: &[Kind]) {
        for name in &self.since_last {
            let kind = kind_index(kinds, name);
            let yielded = sources.iter().flat_map(|source| &source.rules).any(|rule| rule.kind == Some(kind));
            if yielded {
                continue;
            }
            let names = kinds.iter().map(|kind| kind.name.as_str()).filter(|known| known != name);
            let message = format!("runs from '{name}', which no source yields{}", suggestion(name, names));
            let path = format!("policies.{}.since_last", self.key);
            match self.mode {
                Mode::Test => self.problems.warning(&self.place, &path, message),
                _ => self.problems.error(&self.place, &path, message),
            }
        }
    }
}
