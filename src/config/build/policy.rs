//! `policies`.

use super::{Context, fingerprint, judgement, kind_index, stage};
use crate::config::reader::{At, MapReader, key_is_name, suggestion};
use crate::config::{LawfulBasis, PolicyText};
use crate::retention::calendar::{CountedFrom, Seconds};
use crate::retention::policy::{
    Brake, CategorySet, Kind, Mode, Policy, SourceIndex, Stage, Target, TargetIndex, Trust,
};
use chrono::NaiveDate;
use chrono_tz::Tz;
use std::collections::BTreeMap;

/// A policy as it is written, its kinds and categories still names.
pub(super) struct Draft {
    key: String,
    since_last: Vec<String>,
    pub categories: Vec<String>,
    counted_from: CountedFrom,
    pub stages: Vec<Stage>,
    mode: Mode,
    text: PolicyText,
}

/// In the order of their keys.
pub(super) fn drafts(at: &At<'_>, context: &Context) -> Vec<Draft> {
    let named = at.named("a map of policies by name");
    if named.is_empty() {
        at.error("must hold at least one policy");
    }
    let draft = |(key, at)| if key_is_name(key, &at) { draft(&key.name, &at, context) } else { None };
    let mut drafts: Vec<Draft> = named.into_iter().filter_map(draft).collect();
    drafts.sort_by(|a, b| a.key.cmp(&b.key));
    drafts
}

pub(super) fn mode(at: &At<'_>) -> Option<Mode> {
    at.word(&[("test", Mode::Test), ("notify", Mode::Notify), ("enforce", Mode::Enforce)])
}

fn draft(key: &str, at: &At<'_>, context: &Context) -> Option<Draft> {
    let mut map = at.map()?;
    map.not_supported_yet(&["applies_to", "brake", "consent", "per_day"]);
    // The cap of the whole file comes first: in `test`, mistakes of this policy harm nobody.
    let mode = map.optional("mode", Mode::Test, |at| mode(&at));
    let capped = mode.unwrap_or(Mode::Test).min(context.mode_max);
    let text = text(&mut map, capped, context);
    let categories = map.need("categories", "what is kept: a list of names").and_then(|at| names(&at.list("category")));
    let since_last = map.need("since_last", "the kinds of activity from which the period runs");
    let since_last = since_last.and_then(|at| kinds(&at, capped, context));
    let counted_from = map.optional("counted_from_end_of", CountedFrom::Event, |at| {
        at.word(&[("month", CountedFrom::EndOfMonth), ("year", CountedFrom::EndOfYear)])
    });
    let targets_at = map.need("targets", "the targets its stages speak to");
    let targets = targets_at.as_ref().and_then(|at| target_list(at, context));
    let stages = map.need("stages", "what happens after how long: [{after: P2Y, command: anonymise}]");
    let stages = stages.and_then(|at| stage::stages(&at, context, targets.as_deref()));
    map.finish();
    if let (Some(at), Some(targets), Some(stages)) = (&targets_at, &targets, &stages) {
        judgement::of_targets(at, targets, stages, context);
    }
    mode?;
    Some(Draft {
        key: key.to_owned(),
        since_last: since_last?,
        categories: categories?,
        counted_from: counted_from?,
        stages: stages?,
        mode: capped,
        text: text?,
    })
}

/// What people read of it.
fn text(map: &mut MapReader<'_>, mode: Mode, context: &Context) -> Option<PolicyText> {
    let purpose = map.need("purpose", "what the data is kept for, by language: {en: …}").and_then(|at| {
        let purpose = texts(&at)?;
        judgement::of_purpose(&at, &purpose);
        Some(purpose)
    });
    let interest = map.optional("interest", BTreeMap::new(), |at| texts(&at));
    let lawful_basis = map.need("lawful_basis", "the ground of article 6(1) GDPR").and_then(|at| {
        let basis = lawful_basis(&at)?;
        if basis == LawfulBasis::LegalObligation && mode != Mode::Test {
            at.error(
                "is legal_obligation, so each category needs a floor, and floors are not supported yet by this \
                 version; set mode: test",
            );
        }
        judgement::of_interest(&at, basis, interest.as_ref()?);
        Some(basis)
    });
    let review_by = map.need("review_by", "the date by which someone looks at it again").and_then(|at| {
        let review_by = date(&at)?;
        judgement::of_review(&at, review_by, context);
        Some(review_by)
    });
    Some(PolicyText { purpose: purpose?, lawful_basis: lawful_basis?, interest: interest?, review_by: review_by? })
}

fn lawful_basis(at: &At<'_>) -> Option<LawfulBasis> {
    at.word(&LawfulBasis::ALL.map(|basis| (basis.name(), basis)))
}

/// Texts by language.
fn texts(at: &At<'_>) -> Option<BTreeMap<String, String>> {
    let named = at.named("a map of texts by language, such as {en: …}");
    if named.is_empty() && at.node.as_text().is_none() {
        at.error("needs a text in at least one language: {en: …}");
    }
    let mut texts = BTreeMap::new();
    for (key, at) in &named {
        if !is_language(&key.name) {
            at.problems.error(&key.place, &at.path, "is no language; a language is a code such as nl or en");
        }
        match at.text() {
            Some(text) if text.trim().is_empty() => at.error("is empty"),
            Some(text) => _ = texts.insert(key.name.clone(), text.to_owned()),
            None => {}
        }
    }
    (!texts.is_empty()).then_some(texts)
}

/// The form of BCP 47, without its registry.
fn is_language(text: &str) -> bool {
    let mut parts = text.split('-');
    let first = parts.next().unwrap_or_default();
    let subtag = |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric());
    (2..=3).contains(&first.len()) && first.bytes().all(|b| b.is_ascii_lowercase()) && parts.all(subtag)
}

fn date(at: &At<'_>) -> Option<NaiveDate> {
    let text = at.text()?;
    let date = text.parse::<NaiveDate>().ok().filter(|date| date.to_string() == text);
    if date.is_none() {
        at.error(format!("is '{}', and must be a date such as 2027-06-01", at.shown()));
    }
    date
}

/// Different names, at least one.
fn names(list: &[At<'_>]) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for at in list {
        let Some(name) = at.name() else { continue };
        if names.contains(&name) {
            at.error(format!("names '{}' twice", at.shown()));
        }
        names.push(name);
    }
    (!names.is_empty()).then_some(names)
}

/// Kinds of activity, which sources must yield: in `test` that is only a warning.
fn kinds(at: &At<'_>, mode: Mode, context: &Context) -> Option<Vec<String>> {
    let list = at.list("kind of activity");
    for at in &list {
        let Some(kind) = at.node.as_text() else { continue };
        if context.yielded.contains(kind) {
            continue;
        }
        let near = suggestion(kind, context.yielded.iter().copied());
        if near.is_empty() && !context.yielded_is_complete {
            continue;
        }
        let message = format!("is '{}', which no source yields{near}", at.shown());
        if mode == Mode::Test { at.warning(message) } else { at.error(message) }
    }
    let kinds = names(&list)?;
    let yielded = kinds.iter().any(|kind| context.yielded.contains(kind.as_str()));
    if yielded && !kinds.iter().any(|kind| context.yielded_live.contains(kind.as_str())) {
        at.warning("counts only what retired sources yielded: nothing can show any more that a customer is active");
    }
    Some(kinds)
}

/// Places of targets, each once, in order.
pub(super) fn target_list(at: &At<'_>, context: &Context) -> Option<Vec<TargetIndex>> {
    let mut places = Vec::new();
    let mut known = true;
    for at in at.list("target") {
        let Some(name) = at.text() else { continue };
        let Ok(place) = context.targets.binary_search(&name) else {
            let near = suggestion(name, context.targets.iter().copied());
            at.error(format!("is '{}', which is not among the targets{near}", at.shown()));
            known = false;
            continue;
        };
        let place = TargetIndex(u16::try_from(place).expect("a file holds fewer targets"));
        if places.contains(&place) {
            at.error(format!("names '{}' twice", at.shown()));
        }
        places.push(place);
    }
    places.sort();
    (known && !places.is_empty()).then_some(places)
}

impl Draft {
    pub fn build(
        self,
        kinds: &[Kind],
        categories: &[String],
        sources: &[Trust],
        targets: &[Target],
        zone: Tz,
    ) -> (Policy, PolicyText) {
        let since_last: Vec<_> = self.since_last.iter().map(|name| kind_index(kinds, name)).collect();
        let place = |name: &String| categories.binary_search(name).ok().and_then(|place| u8::try_from(place).ok());
        let place = |name| place(name).expect("every category was collected, and there are at most 64");
        let categories_of: Vec<u8> = self.categories.iter().map(place).collect();
        let mut category_set = CategorySet::EMPTY;
        categories_of.iter().for_each(|&category| category_set.insert(category));
        let mut history_rules = Vec::new();
        for (place, source) in (0..).zip(sources) {
            for (number, rule) in (0..).zip(&source.rules) {
                if rule.kind.is_some_and(|kind| since_last.contains(&kind)) {
                    history_rules.push((SourceIndex(place), number));
                }
            }
        }
        let live = |source: &SourceIndex| !sources[usize::from(source.0)].retired;
        let mut used: Vec<SourceIndex> = history_rules.iter().map(|(source, _)| *source).filter(live).collect();
        used.dedup();
        let lateness = used.iter().map(|source| sources[usize::from(source.0)].allowed_lateness).max();
        let mut policy = Policy {
            key: self.key,
            version: String::new(),
            categories: categories_of,
            category_set,
            since_last,
            counted_from: self.counted_from,
            stages: self.stages,
            mode: self.mode,
            consent: None,
            applies_to: Vec::new(),
            brake: Brake::default(),
            sources: used,
            lateness: lateness.unwrap_or(Seconds(0)),
            history_rules,
        };
        policy.version = fingerprint::of_policy(&policy, kinds, categories, targets, zone);
        (policy, self.text)
    }
}
