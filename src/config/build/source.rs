//! `sources`.

use super::brake::share;
use super::pointer::{pointer, time_from};
use super::rule::{self, RuleDraft, RulesOf};
use super::{Context, fingerprint, judgement, kind_index};
use crate::config::reader::{At, key_is_name};
use crate::config::{CustomerFrom, Format, LATENESS_MIN, Source, TimeFrom, TopicPattern};
use crate::retention::calendar::{Resolution, Seconds};
use crate::retention::policy::{Kind, RuleTrust, Trust};
use chrono_tz::Tz;

/// A source as it is written, its kinds still names.
pub(super) struct Draft<'n> {
    key: String,
    format: Format,
    topics: Vec<(TopicPattern, At<'n>)>,
    customer: CustomerFrom,
    lowercase: bool,
    time: TimeFrom,
    zone: Tz,
    pub retired: bool,
    reread: String,
    pub allowed_lateness: Seconds,
    rejects_max: f64,
    pub rules: Vec<RuleDraft<'n>>,
}

impl Draft<'_> {
    pub fn trust(&self, kinds: &[Kind]) -> Trust {
        let rule = |rule: &RuleDraft| RuleTrust {
            kind: rule.yields.kind().map(|kind| kind_index(kinds, kind)),
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
        let mut source = Source {
            key: self.key,
            format: self.format,
            topics: self.topics.into_iter().map(|(topic, _)| topic).collect(),
            customer: self.customer,
            lowercase: self.lowercase,
            time: self.time,
            zone: self.zone,
            retired: self.retired,
            rules: self.rules.into_iter().map(|rule| rule.build(kinds)).collect(),
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
    let format = map.optional("format", Format::Json, |at| format(&at));
    let topics = map.need("topics", "a list of the topics it reads").map(|at| topics(&at, context));
    let customer = map.need("customer", "where the customer's id is: /pointer, key, key:/pointer or header:NAME");
    let customer = customer.and_then(|at| customer_from(&at));
    let lowercase = map.optional("lowercase", false, |at| at.boolean());
    let time = map.need("time", "when it happened: /pointer, or record for the record's own timestamp");
    let time = time.and_then(|at| time_from(&at));
    let zone = map.optional("time_zone", context.zone, |at| super::service::zone(&at));
    let retired = map.optional("retired", false, |at| at.boolean());
    let reread = map.optional("reread", "", |at| at.text());
    let lateness = map.optional("allowed_lateness", Seconds(2 * 86_400), |at| lateness(&at, context));
    let rejects_max = map.optional("max_rejects", 0.001, |at| share(&at));
    let history = map.optional("history_from", false, |at| rule::history_from_beginning(&at));
    let silence = map.need("max_silence", "no activity for longer closes the gate, such as P1D; or none");
    let silence = silence.and_then(|at| rule::silence_max(&at));
    let of = RulesOf {
        context,
        zone: zone.unwrap_or(context.zone),
        silence_max: silence.flatten(),
        history_from_beginning: history.unwrap_or_default(),
    };
    let rules = map.need("rules", "what makes of a record what").map(|at| of.rules(&at));
    map.finish();
    let (silence, rules, retired, customer, time) = (silence?, rules?, retired?, customer?, time?);
    rules.iter().for_each(|rule| rule.check_arrays(&customer, &time));
    if !retired {
        judgement::of_silence(at, silence, &rules);
    }
    Some(Draft {
        key: key.to_owned(),
        format: format?,
        topics: topics?,
        customer,
        lowercase: lowercase?,
        time,
        zone: zone?,
        retired,
        reread: reread?.to_owned(),
        allowed_lateness: lateness?,
        rejects_max: rejects_max?,
        rules,
    })
}

fn format(at: &At<'_>) -> Option<Format> {
    match at.text()? {
        "json" => return Some(Format::Json),
        "cloudevents" => return Some(Format::CloudEvents),
        "avro" => at.error("is 'avro', which is not supported yet by this version; json and cloudevents are"),
        _ => at.error(format!("is '{}', and must be json or cloudevents", at.shown())),
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

fn topics<'n>(at: &At<'n>, context: &Context) -> Vec<(TopicPattern, At<'n>)> {
    let mut topics: Vec<(TopicPattern, At<'n>)> = Vec::new();
    for at in at.list("topic") {
        let Some(topic) = topic_pattern(&at) else { continue };
        if matches!(&topic, TopicPattern::Name(name) if context.own_topics.contains(name)) {
            at.error(format!("is '{}', which is one of our own topics", at.shown()));
        } else if let Some((name, target)) = context.names.command_topics.iter().find(|(name, _)| topic.matches(name)) {
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
