//! `rules` of a source: what makes of a record what.

use super::pointer::{pointer, time_from, told};
use super::{Context, kind_index};
use crate::config::reader::{At, MapReader, key_is_name, suggestion};
use crate::config::tree::Value;
use crate::config::{
    Condition, CustomerFrom, Pointer, REASON_CHARS_MAX, RULES_MAX, Rule, TOLD_BYTES_MAX, TimeFrom, Told, Yield,
    leading_field,
};
use crate::retention::calendar::Seconds;
use crate::retention::policy::Kind;
use crate::wire::time;
use chrono_tz::Tz;

/// What a rule can make of a record; each rule one of them.
pub(super) const YIELDS: [&str; 6] = ["activity", "consent", "hold", "unhold", "erasure", "attribute"];

/// A rule as it is written, and where.
pub(super) struct RuleDraft<'n> {
    pub at: At<'n>,
    when: Vec<Condition>,
    unless: Vec<Condition>,
    pub time: Option<TimeFrom>,
    pub yields: YieldDraft,
    pub silence_max: Option<Seconds>,
    pub history_from_beginning: bool,
}

/// What a rule yields.
pub(super) enum YieldDraft {
    /// By the kind's name.
    Activity(String),
    Claim(Yield),
}

impl YieldDraft {
    pub fn kind(&self) -> Option<&str> {
        match self {
            YieldDraft::Activity(kind) => Some(kind),
            YieldDraft::Claim(_) => None,
        }
    }

    /// Whether it places holds, or ends them.
    pub fn is_hold(&self) -> bool {
        matches!(self, YieldDraft::Claim(Yield::Hold { .. } | Yield::Unhold { .. }))
    }

    pub fn tells_consent(&self, name: &str) -> bool {
        matches!(self, YieldDraft::Claim(Yield::Consent(told)) if told.iter().any(|(told, _)| told == name))
    }

    pub fn tells_attribute(&self, name: &str) -> bool {
        matches!(self, YieldDraft::Claim(Yield::Attribute(told)) if told.iter().any(|(told, _)| told == name))
    }

    fn fields(&self) -> Vec<&Pointer> {
        match self {
            YieldDraft::Activity(_) => Vec::new(),
            YieldDraft::Claim(yields) => yields.fields(),
        }
    }
}

impl RuleDraft<'_> {
    pub fn build(self, kinds: &[Kind]) -> Rule {
        let yields = match self.yields {
            YieldDraft::Activity(kind) => Yield::Activity(kind_index(kinds, &kind)),
            YieldDraft::Claim(yields) => yields,
        };
        Rule { when: self.when, unless: self.unless, time: self.time, yields }
    }

    /// Each element of an array is a signal, so nothing could tell which elements of two belong together.
    pub fn check_arrays(&self, customer: &CustomerFrom, source_time: &TimeFrom) {
        let mut fields = self.yields.fields();
        if let TimeFrom::Value(time) = self.time.as_ref().unwrap_or(source_time) {
            fields.push(time);
        }
        let Some(leading) = leading_field(&fields, customer) else { return };
        let strays = |field: &&&Pointer| {
            leading.arrays_shared(field) < field.arrays() && leading_field(&[field], customer).is_some()
        };
        if let Some(stray) = fields.iter().find(strays) {
            self.at.error(format!(
                "reads {leading} and {stray}, and nothing tells which elements of the two arrays belong together"
            ));
        }
    }
}

/// What a source says for all its rules.
pub(super) struct RulesOf<'c, 'n> {
    pub context: &'c Context<'n>,
    pub zone: Tz,
    pub silence_max: Option<Seconds>,
    pub history_from_beginning: bool,
}

impl RulesOf<'_, '_> {
    pub fn rules<'r>(&self, at: &At<'r>) -> Vec<RuleDraft<'r>> {
        let list = at.list("rule");
        if list.len() > RULES_MAX {
            at.error(format!(
                "has {} rules; more than {RULES_MAX} could not be kept beside a committed offset",
                list.len()
            ));
        }
        let mut rules: Vec<RuleDraft> = list.iter().filter_map(|at| self.rule(at)).collect();
        // Only rules that make activity guard, or any in a source without such.
        if rules.iter().any(|rule| rule.yields.kind().is_some()) {
            for rule in rules.iter_mut().filter(|rule| rule.yields.kind().is_none()) {
                rule.silence_max = None;
                if rule.at.node.member("max_silence").is_some() {
                    rule.at.warning("has a max_silence that does nothing: here, rules that make activity are guarded");
                }
            }
        }
        rules
    }

    fn rule<'r>(&self, at: &At<'r>) -> Option<RuleDraft<'r>> {
        let mut map = at.map()?;
        let when = map.optional("when", Vec::new(), |at| conditions(&at));
        let unless = map.optional("unless", Vec::new(), |at| conditions(&at));
        let time = map.optional("time", None, |at| time_from(&at).map(Some));
        let silence = map.optional("max_silence", self.silence_max, |at| silence_max(&at));
        let history = map.optional("history_from", self.history_from_beginning, |at| history_from_beginning(&at));
        let yields = self.yields(&mut map, at);
        map.finish();
        Some(RuleDraft {
            at: at.clone(),
            when: when?,
            unless: unless?,
            time: time?,
            yields: yields?,
            silence_max: silence?,
            history_from_beginning: history?,
        })
    }

    /// Exactly one; whatever is wrong with each is told.
    fn yields(&self, map: &mut MapReader<'_>, at: &At<'_>) -> Option<YieldDraft> {
        let found: Vec<(&str, At<'_>)> = YIELDS.iter().filter_map(|key| Some((*key, map.get(key)?))).collect();
        let names: Vec<&str> = found.iter().map(|(key, _)| *key).collect();
        let yields: Vec<_> = found.iter().map(|(key, at)| self.yield_of(key, at)).collect();
        match names[..] {
            [_] => yields.into_iter().next()?,
            [] => {
                at.error(format!("yields nothing; it needs one of {}", YIELDS.join(", ")));
                None
            }
            _ => {
                at.error(format!("yields {}, and a rule yields one thing; make a rule of each", names.join(" and ")));
                None
            }
        }
    }

    fn yield_of(&self, key: &str, at: &At<'_>) -> Option<YieldDraft> {
        let yields = match key {
            "activity" => return self.activity(at).map(YieldDraft::Activity),
            "consent" => Yield::Consent(self.consents(at)?),
            "attribute" => Yield::Attribute(self.attributes(at)?),
            "hold" => self.hold(at)?,
            "unhold" => unhold(at)?,
            _ => erasure(at)?,
        };
        Some(YieldDraft::Claim(yields))
    }

    fn activity(&self, at: &At<'_>) -> Option<String> {
        let kind = at.name()?;
        let counted = &self.context.names.counted;
        if !counted.contains(kind.as_str()) && !counted.is_empty() {
            let near = suggestion(&kind, counted.iter().copied());
            at.warning(format!("is '{}', which no policy counts{near}", at.shown()));
        }
        Some(kind)
    }

    fn consents(&self, at: &At<'_>) -> Option<Vec<(String, Told)>> {
        let names = &self.context.names;
        let is_read = |name: &str| names.consents_read.contains(name) || names.policies.is_empty();
        named_told(at, "a map of consents by name", is_read, |at, text| {
            let is_word = matches!(text, "true" | "false");
            if !is_word {
                at.error(format!("is '{}', and must be true, false, or a /pointer to where it stands", at.shown()));
            }
            is_word.then(|| text.to_owned())
        })
    }

    fn attributes(&self, at: &At<'_>) -> Option<Vec<(String, Told)>> {
        let names = &self.context.names;
        let is_read = |name: &str| names.attributes_read.contains(name) || names.policies.is_empty();
        named_told(at, "a map of attributes by name", is_read, |at, text| {
            if text == "none" {
                at.error("is 'none', which stands for not set in applies_to; take another word");
                return None;
            }
            at_most(at, text, TOLD_BYTES_MAX).then(|| text.to_owned())
        })
    }

    fn hold(&self, at: &At<'_>) -> Option<Yield> {
        let mut map = at.map()?;
        let id = hold_id(&mut map);
        let reason = map.optional("reason", None, |at| told(&at, reason_literal).map(Some));
        let until = map.optional("until", None, |at| told(&at, |at, text| self.until_literal(at, text)).map(Some));
        let policies = map.optional("policies", None, |at| self.policies(&at).map(Some));
        map.finish();
        Some(Yield::Hold { id: id?, reason: reason?, until: until?, policies: policies? })
    }

    /// What a record says and can't be read has no end; what the rule says can be read.
    fn until_literal(&self, at: &At<'_>, text: &str) -> Option<String> {
        if let Err(error) = time::of_either(text, self.zone) {
            at.error(format!("is '{}', which {error}", at.shown()));
            return None;
        }
        Some(text.to_owned())
    }

    fn policies(&self, at: &At<'_>) -> Option<Vec<String>> {
        let known = &self.context.names.policies;
        let mut policies: Vec<String> = Vec::new();
        for at in at.list("policy") {
            let name = at.text()?;
            if !known.contains(name) {
                let near = suggestion(name, known.iter().copied());
                at.error(format!("is '{}', which is not among the policies{near}", at.shown()));
            } else if policies.iter().any(|other| other == name) {
                at.error(format!("names '{}' twice", at.shown()));
            }
            policies.push(name.to_owned());
        }
        policies.sort();
        (!policies.is_empty()).then_some(policies)
    }
}

fn unhold(at: &At<'_>) -> Option<Yield> {
    let mut map = at.map()?;
    let id = hold_id(&mut map);
    map.finish();
    Some(Yield::Unhold { id: id? })
}

fn erasure(at: &At<'_>) -> Option<Yield> {
    if at.boolean()? {
        return Some(Yield::Erasure);
    }
    at.error("is false, and can only be true");
    None
}

fn hold_id(map: &mut MapReader<'_>) -> Option<Told> {
    let id = map.need("id", "what tells the hold from others of the customer, such as /case")?;
    told(&id, |at, text| at_most(at, text, TOLD_BYTES_MAX).then(|| text.to_owned()))
}

fn reason_literal(at: &At<'_>, text: &str) -> Option<String> {
    if text.chars().count() > REASON_CHARS_MAX {
        at.error(format!("is longer than {REASON_CHARS_MAX} characters"));
        return None;
    }
    Some(text.to_owned())
}

fn at_most(at: &At<'_>, text: &str, bytes_max: usize) -> bool {
    let fits = !text.is_empty() && text.len() <= bytes_max;
    if !fits {
        at.error(format!("must be text of 1 to {bytes_max} bytes"));
    }
    fits
}

/// By name, in order.
fn named_told(
    at: &At<'_>,
    what: &str,
    is_read: impl Fn(&str) -> bool,
    literal: impl Fn(&At<'_>, &str) -> Option<String>,
) -> Option<Vec<(String, Told)>> {
    let named = at.named(what);
    if named.is_empty() && at.node.as_text().is_none() {
        at.error("names nothing; it needs at least one name and where its value stands");
    }
    let mut all = Vec::new();
    let mut is_right = !named.is_empty();
    for (key, at) in named {
        let told = told(&at, &literal).filter(|_| key_is_name(key, &at));
        if !is_read(&key.name) {
            at.warning("is read by no policy");
        }
        is_right &= told.is_some();
        all.extend(told.map(|told| (key.name.clone(), told)));
    }
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    is_right.then_some(all)
}

pub(super) fn history_from_beginning(at: &At<'_>) -> Option<bool> {
    if at.text()? == "beginning" {
        return Some(true);
    }
    at.error(format!("is '{}'; say beginning, or leave it out for what the topic can still show", at.shown()));
    None
}

pub(super) fn silence_max(at: &At<'_>) -> Option<Option<Seconds>> {
    if at.text()? == "none" { Some(None) } else { at.duration().map(Some) }
}

fn conditions(at: &At<'_>) -> Option<Vec<Condition>> {
    let named = at.named("a map of conditions by JSON Pointer");
    let read: Vec<_> = named.iter().map(|(key, at)| condition(&key.name, at)).collect();
    read.into_iter().collect()
}

fn condition(field: &str, at: &At<'_>) -> Option<Condition> {
    if !field.starts_with('/') {
        at.error("must be named by a JSON Pointer, such as /event");
        return None;
    }
    let field = pointer(at, field)?;
    let mut any_of = Vec::new();
    for at in at.list_or_one("value") {
        let value = literal(&at)?;
        if any_of.contains(&value) {
            at.error(format!("is '{}', which stands here twice", at.shown()));
        }
        any_of.push(value);
    }
    (!any_of.is_empty()).then_some(Condition { field, any_of })
}

/// A literal, as JSON text; null is null or absent.
pub(super) fn literal(at: &At<'_>) -> Option<Option<String>> {
    match &at.node.value {
        _ if at.node.is_null() => Some(None),
        // YAML writes these in three ways, JSON in one.
        Value::Scalar(scalar)
            if scalar.plain && matches!(scalar.text.as_str(), "True" | "TRUE" | "False" | "FALSE") =>
        {
            Some(Some(scalar.text.to_ascii_lowercase()))
        }
        Value::Scalar(scalar) => Some(Some(scalar.text.clone())),
        Value::Broken => None,
        _ => {
            at.error(format!("must be a value or a list of values, and is {}", at.node.kind()));
            None
        }
    }
}
