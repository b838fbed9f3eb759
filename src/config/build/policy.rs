//! `policies`.

use super::brake::{brake, share};
use super::rule::literal;
use super::{Context, Parts, category_index, dependence, fingerprint, judgement, kind_index, stage};
use crate::config::reader::{At, MapReader, key_is_name, suggestion};
use crate::config::tree::Key;
use crate::config::{LawfulBasis, PolicyText};
use crate::retention::calendar::CountedFrom;
use crate::retention::policy::{Brake, CategorySet, Floor, Mode, Policy, Stage, TargetIndex};
use chrono::NaiveDate;
use chrono_tz::Tz;
use std::collections::BTreeMap;

/// A policy as it is written, its kinds and categories still names.
pub(super) struct Draft<'n> {
    pub key: String,
    pub since_last: Vec<String>,
    pub categories: Vec<String>,
    pub counted_from: CountedFrom,
    pub stages: Vec<Stage>,
    /// Where they stand.
    pub stages_at: Vec<At<'n>>,
    pub mode: Mode,
    pub consent: Option<String>,
    /// By name.
    pub applies_to: Vec<(String, Vec<Option<String>>)>,
    brake: Brake,
    text: PolicyText,
}

/// In the order of their keys.
pub(super) fn drafts<'n>(at: &At<'n>, context: &Context) -> Vec<Draft<'n>> {
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

fn draft<'n>(key: &str, at: &At<'n>, context: &Context) -> Option<Draft<'n>> {
    let mut map = at.map()?;
    // The cap of the whole file comes first: in `test`, mistakes of this policy harm nobody.
    let mode = map.optional("mode", Mode::Test, |at| mode(&at));
    let capped = mode.unwrap_or(Mode::Test).min(context.mode_max);
    let is_harmless = capped == Mode::Test;
    let text = text(&mut map, context);
    let categories_at = map.need("categories", "what is kept: a list of names");
    let categories = categories_at.as_ref().and_then(|at| names(&at.list("category")));
    let since_last = map.need("since_last", "the kinds of activity from which the period runs");
    let since_last = since_last.and_then(|at| kinds(&at, is_harmless, context));
    let counted_from = map.optional("counted_from_end_of", CountedFrom::Event, |at| counted_from(&at));
    let consent = map.optional("consent", None, |at| consent(&at, is_harmless, context).map(Some));
    let applies_to = map.optional("applies_to", Vec::new(), |at| applies_to(&at, is_harmless, context));
    let brake = brake_of(&mut map, context);
    let targets_at = map.need("targets", "the targets its stages speak to");
    let targets = targets_at.as_ref().and_then(|at| target_list(at, context));
    let stages_at = map.need("stages", "what happens after how long: [{after: P2Y, command: anonymise}]");
    let stages = stages_at.as_ref().and_then(|at| stage::stages(at, context, targets.as_deref()));
    map.finish();
    if let (Some(at), Some(targets), Some(stages)) = (&targets_at, &targets, &stages) {
        judgement::of_targets(at, targets, stages, context);
    }
    if let (Some(at), Some(text), false) = (&categories_at, &text, is_harmless) {
        demand_floors(at, text.lawful_basis, context);
    }
    if let (Some(text), Some(consent)) = (&text, &consent) {
        judgement::of_consent(at, text.lawful_basis, consent.as_deref());
    }
    mode?;
    Some(Draft {
        key: key.to_owned(),
        since_last: since_last?,
        categories: categories?,
        counted_from: counted_from?,
        stages: stages?,
        stages_at: stages_at?.elements_if_any(),
        mode: capped,
        consent: consent?,
        applies_to: applies_to?,
        brake: brake?,
        text: text?,
    })
}

/// What people read of it.
fn text(map: &mut MapReader<'_>, context: &Context) -> Option<PolicyText> {
    let purpose = map.need("purpose", "what the data is kept for, by language: {en: …}").and_then(|at| {
        let purpose = texts(&at)?;
        judgement::of_purpose(&at, &purpose);
        Some(purpose)
    });
    let interest = map.optional("interest", BTreeMap::new(), |at| texts(&at));
    let lawful_basis = map.need("lawful_basis", "the ground of article 6(1) GDPR").and_then(|at| {
        let basis = lawful_basis(&at)?;
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

/// What the law demands to keep, it demands for some time.
fn demand_floors(categories: &At<'_>, basis: LawfulBasis, context: &Context) {
    if basis != LawfulBasis::LegalObligation {
        return;
    }
    for at in categories.elements_if_any() {
        if at.node.as_text().is_some_and(|name| !context.names.floors.contains(name)) {
            at.error(format!(
                "is '{}', which has no floor; what is kept by legal_obligation needs one, or mode: test",
                at.shown()
            ));
        }
    }
}

fn consent(at: &At<'_>, is_harmless: bool, context: &Context) -> Option<String> {
    let name = at.name()?;
    demand(context.names.consents.lacks(&name), at, &format!("is '{}', which", at.shown()), is_harmless);
    Some(name)
}

/// Complains of what no source yields; where it is harmless that is only a warning.
fn demand(lacks: Option<String>, at: &At<'_>, what: &str, is_harmless: bool) {
    let Some(near) = lacks else { return };
    let message = format!("{what} no source yields{near}");
    if is_harmless { at.warning(message) } else { at.error(message) }
}

/// Attributes that must all match, each with the values that do; by name. `none`: not set.
fn applies_to(at: &At<'_>, is_harmless: bool, context: &Context) -> Option<Vec<(String, Vec<Option<String>>)>> {
    let named = at.named("a map of attributes by name, such as {segment: [consumer, none]}");
    if named.is_empty() && at.node.as_text().is_none() {
        at.error("names no attribute; leave it out for everyone");
    }
    let mut attributes = Vec::new();
    for (key, at) in &named {
        if !key_is_name(key, at) {
            continue;
        }
        demand(context.names.attributes.lacks(&key.name), at, "is an attribute that", is_harmless);
        attributes.push((key.name.clone(), values(at)?));
    }
    attributes.sort_by(|(a, _), (b, _)| a.cmp(b));
    (!attributes.is_empty()).then_some(attributes)
}

fn values(at: &At<'_>) -> Option<Vec<Option<String>>> {
    let mut values = Vec::new();
    for at in at.list_or_one("value") {
        let Some(value) = literal(&at)? else {
            at.error("is null; say none for not set");
            return None;
        };
        let value = Some(value).filter(|value| value != "none");
        if values.contains(&value) {
            at.error(format!("is '{}', which stands here twice", at.shown()));
        }
        values.push(value);
    }
    (!values.is_empty()).then_some(values)
}

/// `brake: {per_day: …}`, or `per_day` alone.
fn brake_of(map: &mut MapReader<'_>, context: &Context) -> Option<Brake> {
    let whole = map.get("brake");
    let per_day = map.get("per_day");
    if let (Some(whole), Some(per_day)) = (&whole, &per_day)
        && whole.node.member("per_day").is_some()
    {
        per_day.error("is set twice, also in brake; keep one");
    }
    let mut brake = whole.map_or(Some(context.brake), |at| brake(&at, context.brake))?;
    if let Some(at) = per_day {
        brake.per_day = share(&at)?;
    }
    Some(brake)
}

pub(super) fn counted_from(at: &At<'_>) -> Option<CountedFrom> {
    at.word(&[("month", CountedFrom::EndOfMonth), ("year", CountedFrom::EndOfYear)])
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
        check_language(key, at);
        match at.text() {
            Some(text) if text.trim().is_empty() => at.error("is empty"),
            Some(text) => _ = texts.insert(key.name.clone(), text.to_owned()),
            None => {}
        }
    }
    (!texts.is_empty()).then_some(texts)
}

pub(super) fn check_language(key: &Key, at: &At<'_>) {
    if !is_language(&key.name) {
        at.problems.error(&key.place, &at.path, "is no language; a language is a code such as nl or en");
    }
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

/// Kinds of activity, which sources must yield; where it is harmless, that they don't is only a warning.
pub(super) fn kinds(at: &At<'_>, is_harmless: bool, context: &Context) -> Option<Vec<String>> {
    let yielded = &context.names.kinds;
    let list = at.list("kind of activity");
    for at in &list {
        if let Some(kind) = at.node.as_text() {
            demand(yielded.lacks(kind), at, &format!("is '{}', which", at.shown()), is_harmless);
        }
    }
    let kinds = names(&list)?;
    let is_yielded = kinds.iter().any(|kind| yielded.all.contains(kind.as_str()));
    if is_yielded && !kinds.iter().any(|kind| yielded.live.contains(kind.as_str())) {
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
        let Ok(place) = context.names.targets.binary_search(&name) else {
            let near = suggestion(name, context.names.targets.iter().copied());
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

impl Draft<'_> {
    pub fn names(&self, category: &str) -> bool {
        self.categories.iter().any(|named| named == category)
    }

    pub fn build(&self, parts: &Parts<'_>, floors: &[Floor], zone: Tz) -> (Policy, PolicyText) {
        let categories: Vec<u8> = self.categories.iter().map(|name| category_index(&parts.categories, name)).collect();
        let mut category_set = CategorySet::EMPTY;
        categories.iter().for_each(|&category| category_set.insert(category));
        let sources = dependence::live_sources(&parts.sources, |yields| {
            yields.is_hold()
                || yields.kind().is_some_and(|kind| self.counts(kind, parts))
                || self.consent.iter().any(|name| yields.tells_consent(name))
                || self.applies_to.iter().any(|(name, _)| yields.tells_attribute(name))
        });
        let mut policy = Policy {
            key: self.key.clone(),
            version: String::new(),
            categories,
            category_set,
            since_last: self.since_last.iter().map(|name| kind_index(&parts.kinds, name)).collect(),
            counted_from: self.counted_from,
            stages: self.stages.clone(),
            mode: self.mode,
            consent: self.consent.clone(),
            applies_to: self.applies_to.clone(),
            brake: self.brake,
            lateness: dependence::lateness(&parts.sources, &sources),
            sources,
            history_rules: dependence::history_rules(&parts.sources, &self.since_last),
        };
        policy.version = fingerprint::of_policy(&policy, floors, parts, zone);
        (policy, self.text.clone())
    }

    /// Whether it runs from a kind, or a floor of its categories does.
    fn counts(&self, kind: &str, parts: &Parts<'_>) -> bool {
        let floors = parts.floors.iter().filter(|floor| self.names(&floor.category));
        let counted = floors.flat_map(|floor| &floor.since_last).chain(&self.since_last);
        counted.into_iter().any(|counted| counted == kind)
    }
}
