//! `sources`.

use super::{Context, fingerprint, judgement, kind_index};
use crate::config::reader::{At, key_is_name, suggestion};
use crate::config::tree::Value;
use crate::config::{
    Condition, CustomerFrom, Format, LATENESS_MIN, POINTER_EACH_MAX, Pointer, RULES_MAX, Rule, Source, Step, TimeFrom,
    TopicPattern, Yield,
};
use crate::retention::calendar::{Resolution, Seconds};
use crate::retention::policy::{Kind, RuleTrust, Trust};
use chrono_tz::Tz;

/// A source as it is written, its kinds still names.
pub(super) struct Draft<'n> {
    key: String,
    topics: Vec<(TopicPattern, At<'n>)>,
    customer: CustomerFrom,
    lowercase: bool,
    time: TimeFrom,
    zone: Tz,
    retired: bool,
    reread: String,
    allowed_lateness: Seconds,
    rejects_max: f64,
    rules: Vec<RuleDraft>,
}

pub(super) struct RuleDraft {
    when: Vec<Condition>,
    unless: Vec<Condition>,
    pub time: Option<TimeFrom>,
    kind: String,
    pub silence_max: Option<Seconds>,
    pub history_from_beginning: bool,
}

impl Draft<'_> {
    pub fn trust(&self, kinds: &[Kind]) -> Trust {
        // Every rule makes activity, so every rule guards.
        let rule = |rule: &RuleDraft| RuleTrust {
            kind: Some(kind_index(kinds, &rule.kind)),
            silence_max: rule.silence_max,
            history_from_beginning: rule.history_from_beginning,
        };
        Trust {
            key: self.key.clone(),
            allowed_lateness: self.allowed_lateness,
            rejects_max: self.rejects_max,
            retired: self.retired,
            rules: self.rules.iter().map(rule).collect(),
        }
    }

    pub fn build(self, kinds: &[Kind], resolution: Resolution, file_zone: Tz) -> Source {
        let rule = |rule: RuleDraft| Rule {
            yields: Yield::Activity(kind_index(kinds, &rule.kind)),
            when: rule.when,
            unless: rule.unless,
            time: rule.time,
        };
        let mut source = Source {
            key: self.key,
            format: Format::Json,
            topics: self.topics.into_iter().map(|(topic, _)| topic).collect(),
            customer: self.customer,
            lowercase: self.lowercase,
            time: self.time,
            zone: self.zone,
            retired: self.retired,
            rules: self.rules.into_iter().map(rule).collect(),
            reading: 0,
        };
        source.reading = fingerprint::of_reading(&source, kinds, resolution, file_zone, &self.reread);
        source
    }
}

/// In the order of their keys.
pub(super) fn sources<'n>(at: &At<'n>, context: &Context) -> Vec<Draft<'n>> {
    let named = at.named("a map of sources by name");
    if named.is_empty() {
        at.error("must hold at least one source");
    }
    let source = |(key, at)| if key_is_name(key, &at) { source(&key.name, &at, context) } else { None };
    let mut drafts: Vec<Draft> = named.into_iter().filter_map(source).collect();
    for (place, source) in drafts.iter().enumerate() {
        for other in &drafts[..place] {
            for (topic, at) in &source.topics {
                if other.topics.iter().any(|(theirs, _)| overlap(topic, theirs)) {
                    at.error(format!("is also read by source '{}'; a topic belongs to one source", other.key));
                }
            }
        }
    }
    drafts.sort_by(|a, b| a.key.cmp(&b.key));
    drafts
}

/// Whether a name is read by both. Two patterns can only be compared by what they read, at run time.
fn overlap(a: &TopicPattern, b: &TopicPattern) -> bool {
    match (a, b) {
        (TopicPattern::Name(name), other) | (other, TopicPattern::Name(name)) => other.matches(name),
        (TopicPattern::Regex(a), TopicPattern::Regex(b)) => a.as_str() == b.as_str(),
    }
}

fn source<'n>(key: &str, at: &At<'n>, context: &Context) -> Option<Draft<'n>> {
    let mut map = at.map()?;
    map.not_supported_yet(&["schema_registry"]);
    let format = map.optional("format", (), |at| format(&at));
    let topics = map.need("topics", "a list of the topics it reads").map(|at| topics(&at, context));
    let customer = map.need("customer", "where the customer's id is: /pointer, key, key:/pointer or header:NAME");
    let customer = customer.and_then(|at| customer_from(&at));
    let lowercase = map.optional("lowercase", false, |at| at.boolean());
    let time = map.need("time", "when it happened: /pointer, or record for the record's own timestamp");
    let time = time.and_then(|at| time_from(&at));
    let zone = map.optional("time_zone", context.zone, |at| super::zone(&at));
    let retired = map.optional("retired", false, |at| at.boolean());
    let reread = map.optional("reread", "", |at| at.text());
    let lateness = map.optional("allowed_lateness", Seconds(2 * 86_400), |at| lateness(&at, context));
    let rejects_max = map.optional("max_rejects", 0.001, |at| share(&at));
    let history = map.optional("history_from", false, |at| history_from_beginning(&at));
    let silence = map.need("max_silence", "no activity for longer closes the gate, such as P1D; or none");
    let silence = silence.and_then(|at| silence_max(&at));
    let rules = map.need("rules", "what makes a record an activity");
    let rules = rules.map(|at| rules_of(&at, silence.flatten(), history.unwrap_or_default(), context));
    map.finish();
    let ((), silence, rules, retired) = (format?, silence?, rules?, retired?);
    if !retired {
        judgement::of_silence(at, silence, &rules);
    }
    Some(Draft {
        key: key.to_owned(),
        topics: topics?,
        customer: customer?,
        lowercase: lowercase?,
        time: time?,
        zone: zone?,
        retired,
        reread: reread?.to_owned(),
        allowed_lateness: lateness?,
        rejects_max: rejects_max?,
        rules,
    })
}

fn format(at: &At<'_>) -> Option<()> {
    match at.text()? {
        "json" => return Some(()),
        "cloudevents" | "avro" => {
            at.error(format!("is '{}', which is not supported yet by this version; only json is", at.shown()));
        }
        _ => at.error(format!("is '{}', and must be json", at.shown())),
    }
    None
}

fn lateness(at: &At<'_>, context: &Context) -> Option<Seconds> {
    let lateness = at.duration()?;
    if lateness < LATENESS_MIN && !context.short_periods {
        at.error(format!("is '{}', and must be at least {LATENESS_MIN} (or set short_periods: true)", at.shown()));
        return None;
    }
    Some(lateness)
}

fn share(at: &At<'_>) -> Option<f64> {
    let percent = at.text()?.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    let share = percent.filter(|percent| (0.0..=100.0).contains(percent)).map(|percent| percent / 100.0);
    if share.is_none() {
        at.error(format!("is '{}', and must be a percentage from 0% to 100%, such as 0.1%", at.shown()));
    }
    share
}

fn history_from_beginning(at: &At<'_>) -> Option<bool> {
    if at.text()? == "beginning" {
        return Some(true);
    }
    at.error(format!("is '{}'; say beginning, or leave it out for what the topic can still show", at.shown()));
    None
}

fn silence_max(at: &At<'_>) -> Option<Option<Seconds>> {
    if at.text()? == "none" { Some(None) } else { at.duration().map(Some) }
}

fn topics<'n>(at: &At<'n>, context: &Context) -> Vec<(TopicPattern, At<'n>)> {
    let mut topics: Vec<(TopicPattern, At<'n>)> = Vec::new();
    for at in at.list("topic") {
        let Some(topic) = topic_pattern(&at) else { continue };
        if matches!(&topic, TopicPattern::Name(name) if context.own_topics.contains(name)) {
            at.error(format!("is '{}', which is one of our own topics", at.shown()));
        } else if let Some((name, target)) = context.command_topics.iter().find(|(name, _)| topic.matches(name)) {
            at.error(format!("is '{}', which reads {name}, to which target '{target}' has its commands", at.shown()));
        } else if topics.iter().any(|(other, _)| other.as_written() == topic.as_written()) {
            at.error(format!("names '{}' twice", at.shown()));
        } else {
            topics.push((topic, at));
        }
    }
    topics
}

fn topic_pattern(at: &At<'_>) -> Option<TopicPattern> {
    let text = at.text()?;
    if !text.starts_with('^') {
        return topic_name(at).map(TopicPattern::Name);
    }
    match regex::Regex::new(text) {
        Ok(regex) => Some(TopicPattern::Regex(regex)),
        Err(error) => {
            let error = error.to_string();
            // The last line says it; those before draw it.
            let why = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
            at.error(format!("is '{}', which is no regular expression: {why}", at.shown()));
            None
        }
    }
}

pub(super) fn topic_name(at: &At<'_>) -> Option<String> {
    let name = at.text()?;
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > 249 || !name.chars().all(legal) || matches!(name, "." | "..") {
        at.error(format!("is '{}', and a topic's name is 1 to 249 letters, digits, '.', '_' or '-'", at.shown()));
        return None;
    }
    Some(name.to_owned())
}

fn customer_from(at: &At<'_>) -> Option<CustomerFrom> {
    let text = at.text()?;
    match text.split_once(':') {
        Some(("key", place)) if place.starts_with('/') => pointer(at, place).map(CustomerFrom::KeyPointer),
        Some(("header", name)) if !name.is_empty() => Some(CustomerFrom::Header(name.to_owned())),
        _ if text == "key" => Some(CustomerFrom::Key),
        _ if text.starts_with('/') => pointer(at, text).map(CustomerFrom::Value),
        _ => {
            at.error(format!("is '{}', and must be /pointer, key, key:/pointer or header:NAME", at.shown()));
            None
        }
    }
}

fn time_from(at: &At<'_>) -> Option<TimeFrom> {
    match at.text()? {
        "record" => Some(TimeFrom::Record),
        text if text.starts_with('/') => pointer(at, text).map(TimeFrom::Value),
        _ => {
            at.error(format!("is '{}', and must be /pointer, or record for the record's own timestamp", at.shown()));
            None
        }
    }
}

/// RFC 6901, with `*` for every element of an array. The text begins with `/`.
fn pointer(at: &At<'_>, text: &str) -> Option<Pointer> {
    let mut steps = Vec::new();
    for step in text.split('/').skip(1) {
        if step.replace("~0", "").replace("~1", "").contains('~') {
            at.error(format!("has the pointer '{text}', in which '~' stands neither before 0 nor before 1 (RFC 6901)"));
            return None;
        }
        let member = || Step::Member(step.replace("~1", "/").replace("~0", "~"));
        steps.push(if step == "*" { Step::Each } else { member() });
    }
    if steps.iter().filter(|step| **step == Step::Each).count() > POINTER_EACH_MAX {
        at.error(format!("has the pointer '{text}', which steps through more than {POINTER_EACH_MAX} arrays"));
        return None;
    }
    Some(Pointer(steps))
}

fn rules_of(at: &At<'_>, silence: Option<Seconds>, from_beginning: bool, context: &Context) -> Vec<RuleDraft> {
    let rules = at.list("rule");
    if rules.len() > RULES_MAX {
        at.error(format!(
            "has {} rules; more than {RULES_MAX} could not be kept beside a committed offset",
            rules.len()
        ));
    }
    rules.iter().filter_map(|at| rule(at, silence, from_beginning, context)).collect()
}

fn rule(at: &At<'_>, silence: Option<Seconds>, from_beginning: bool, context: &Context) -> Option<RuleDraft> {
    let mut map = at.map()?;
    const NOT_YET: &[&str] = &["attribute", "consent", "erasure", "hold", "unhold"];
    map.not_supported_yet(NOT_YET);
    let when = map.optional("when", Vec::new(), |at| conditions(&at));
    let unless = map.optional("unless", Vec::new(), |at| conditions(&at));
    let time = map.optional("time", None, |at| time_from(&at).map(Some));
    let silence = map.optional("max_silence", silence, |at| silence_max(&at));
    let history = map.optional("history_from", from_beginning, |at| history_from_beginning(&at));
    let needed = NOT_YET.iter().all(|name| at.node.member(name).is_none());
    let kind = if needed { map.need("activity", "the kind of activity it makes") } else { map.get("activity") };
    let kind = kind.and_then(|at| {
        let kind = at.name()?;
        if !context.counted.contains(kind.as_str()) && !context.counted.is_empty() {
            let near = suggestion(&kind, context.counted.iter().copied());
            at.warning(format!("is '{}', which no policy counts{near}", at.shown()));
        }
        Some(kind)
    });
    map.finish();
    Some(RuleDraft {
        when: when?,
        unless: unless?,
        time: time?,
        kind: kind?,
        silence_max: silence?,
        history_from_beginning: history?,
    })
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
fn literal(at: &At<'_>) -> Option<Option<String>> {
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
