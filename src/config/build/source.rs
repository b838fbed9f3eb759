//! `sources`.

use super::{Context, fingerprint, kind_index};
use crate::config::reader::At;
use crate::config::tree::Value;
use crate::config::{
    Condition, CustomerFrom, LATENESS_MIN, Pointer, Rule, Source, Step, TimeFrom, TopicPattern, Yield,
};
use crate::retention::calendar::{Resolution, Seconds};
use crate::retention::policy::{Kind, RuleTrust, Trust};
use chrono_tz::Tz;

/// A pointer may step through this many arrays.
const EACH_MAX: usize = crate::config::POINTER_EACH_MAX;

/// A source as it is written, its kinds still names.
pub(super) struct Draft {
    pub key: String,
    topics: Vec<TopicPattern>,
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

struct RuleDraft {
    when: Vec<Condition>,
    unless: Vec<Condition>,
    time: Option<TimeFrom>,
    kind: String,
    silence_max: Option<Seconds>,
    history_from_beginning: bool,
}

impl Draft {
    pub fn kinds(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| rule.kind.as_str())
    }

    pub fn trust(&self, kinds: &[Kind]) -> Trust {
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
            topics: self.topics,
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

pub(super) fn sources(at: &At<'_>, context: &Context) -> Vec<Draft> {
    let named = at.named();
    let drafts: Vec<Draft> = named.iter().filter_map(|(key, at)| source(&key.name, at, context)).collect();
    for (place, source) in drafts.iter().enumerate() {
        for other in &drafts[..place] {
            for topic in &source.topics {
                let shared = other.topics.iter().any(|theirs| overlap(topic, theirs));
                if shared {
                    let at = named.iter().find(|(key, _)| key.name == source.key).map_or(at, |(_, at)| at);
                    at.error(format!("reads {topic}, which source '{}' reads; a topic belongs to one", other.key));
                }
            }
        }
    }
    drafts
}

/// Whether a name is read by both. Two patterns can only be compared by what they read, at run time.
fn overlap(a: &TopicPattern, b: &TopicPattern) -> bool {
    match (a, b) {
        (TopicPattern::Name(name), other) | (other, TopicPattern::Name(name)) => other.matches(name),
        (TopicPattern::Regex(a), TopicPattern::Regex(b)) => a.as_str() == b.as_str(),
    }
}

fn source(key: &str, at: &At<'_>, context: &Context) -> Option<Draft> {
    let mut map = at.map()?;
    if let Some(format) = map.get("format") {
        match format.text() {
            Some("json") | None => {}
            Some("cloudevents" | "avro") => format.error("is not supported yet by this version; only json is"),
            Some(other) => format.error(format!("is '{other}', and must be json")),
        }
    }
    let topics = map.need("topics", "a list of the topics it reads").map(|at| topics(&at));
    let customer = map.need("customer", "where the customer's id is: /pointer, key, key:/pointer or header:NAME");
    let customer = customer.and_then(|at| customer_from(&at));
    let lowercase = map.get("lowercase").map_or(Some(false), |at| at.boolean());
    let time = map.need("time", "when it happened: /pointer, or record for the record's own timestamp");
    let time = time.and_then(|at| time_from(&at));
    let zone = map.get("time_zone").map_or(Some(context.zone), |at| super::zone(&at));
    let retired = map.get("retired").map_or(Some(false), |at| at.boolean());
    let reread = map.get("reread").map_or(Some(""), |at| at.text());
    let lateness = map.get("allowed_lateness").map_or(Some(Seconds(2 * 86_400)), |at| lateness(&at, context));
    let rejects_max = map.get("max_rejects").map_or(Some(0.001), |at| share(&at));
    let history = map.get("history_from").map_or(Some(false), |at| history_from_beginning(&at));
    let silence = map.need("max_silence", "no activity for longer closes the gate, such as P1D; or none");
    let silence = silence.and_then(|at| silence_max(&at));
    let rules = map.need("rules", "what makes a record an activity");
    let rules = rules.map(|at| rules_of(&at, silence.flatten(), history.unwrap_or_default()));
    map.finish();
    let (silence, rules) = (silence?, rules?);
    if silence.is_none() && !retired? && history != Some(true) {
        at.warning("is live and has max_silence: none, so that a broken feed looks like customers who have gone");
    }
    Some(Draft {
        key: key.to_owned(),
        topics: topics?,
        customer: customer?,
        lowercase: lowercase?,
        time: time?,
        zone: zone?,
        retired: retired?,
        reread: reread?.to_owned(),
        allowed_lateness: lateness?,
        rejects_max: rejects_max?,
        rules,
    })
}

fn lateness(at: &At<'_>, context: &Context) -> Option<Seconds> {
    let lateness = at.duration()?;
    if lateness < LATENESS_MIN && !context.short_periods {
        at.error(format!("is {lateness}, and must be at least {LATENESS_MIN} (or set short_periods: true)"));
        return None;
    }
    Some(lateness)
}

fn share(at: &At<'_>) -> Option<f64> {
    let text = at.text()?;
    let percent = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    let share = percent.filter(|percent| (0.0..=100.0).contains(percent)).map(|percent| percent / 100.0);
    if share.is_none() {
        at.error(format!("is '{text}', and must be a percentage from 0% to 100%"));
    }
    share
}

fn history_from_beginning(at: &At<'_>) -> Option<bool> {
    match at.text()? {
        "beginning" => Some(true),
        other => {
            at.error(format!("is '{other}'; say beginning, or leave it out for what the topic can still show"));
            None
        }
    }
}

fn silence_max(at: &At<'_>) -> Option<Option<Seconds>> {
    match at.text()? {
        "none" => Some(None),
        _ => at.duration().map(Some),
    }
}

fn topics(at: &At<'_>) -> Vec<TopicPattern> {
    let list = at.list();
    if list.is_empty() {
        at.error("must be a list of at least one topic");
    }
    list.iter().filter_map(topic_pattern).collect()
}

fn topic_pattern(at: &At<'_>) -> Option<TopicPattern> {
    let text = at.text()?;
    if !text.starts_with('^') {
        return topic_name(at).map(TopicPattern::Name);
    }
    match regex::Regex::new(text) {
        Ok(regex) => Some(TopicPattern::Regex(regex)),
        Err(error) => {
            at.error(format!("is no regular expression: {}", error.to_string().replace('\n', " ")));
            None
        }
    }
}

pub(super) fn topic_name(at: &At<'_>) -> Option<String> {
    let name = at.text()?;
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > 249 || !name.chars().all(legal) || matches!(name, "." | "..") {
        at.error(format!("is '{name}'; a topic's name is 1 to 249 letters, digits, '.', '_' or '-'"));
        return None;
    }
    Some(name.to_owned())
}

fn customer_from(at: &At<'_>) -> Option<CustomerFrom> {
    let text = at.text()?;
    match (text, text.split_once(':')) {
        ("key", _) => Some(CustomerFrom::Key),
        (_, Some(("key", place))) => pointer(at, place).map(CustomerFrom::KeyPointer),
        (_, Some(("header", name))) if !name.is_empty() => Some(CustomerFrom::Header(name.to_owned())),
        _ if text.starts_with('/') => pointer(at, text).map(CustomerFrom::Value),
        _ => {
            at.error(format!("is '{text}', and must be /pointer, key, key:/pointer or header:NAME"));
            None
        }
    }
}

fn time_from(at: &At<'_>) -> Option<TimeFrom> {
    match at.text()? {
        "record" => Some(TimeFrom::Record),
        text if text.starts_with('/') => pointer(at, text).map(TimeFrom::Value),
        text => {
            at.error(format!("is '{text}', and must be /pointer, or record for the record's own timestamp"));
            None
        }
    }
}

/// RFC 6901, with `*` for every element of an array.
fn pointer(at: &At<'_>, text: &str) -> Option<Pointer> {
    let mut steps = Vec::new();
    for step in text.strip_prefix('/')?.split('/') {
        if step.replace("~0", "").replace("~1", "").contains('~') {
            at.error(format!("is '{text}', in which '~' stands neither before 0 nor before 1 (RFC 6901)"));
            return None;
        }
        let member = || Step::Member(step.replace("~1", "/").replace("~0", "~"));
        steps.push(if step == "*" { Step::Each } else { member() });
    }
    if steps.iter().filter(|step| **step == Step::Each).count() > EACH_MAX {
        at.error(format!("is '{text}', which steps through more than {EACH_MAX} arrays"));
        return None;
    }
    Some(Pointer(steps))
}

fn rules_of(at: &At<'_>, silence: Option<Seconds>, from_beginning: bool) -> Vec<RuleDraft> {
    let list = at.list();
    if list.is_empty() {
        at.error("must be a list of at least one rule");
    }
    list.iter().filter_map(|at| rule(at, silence, from_beginning)).collect()
}

fn rule(at: &At<'_>, silence: Option<Seconds>, from_beginning: bool) -> Option<RuleDraft> {
    let mut map = at.map()?;
    map.not_supported_yet(&["attribute", "consent", "erasure", "hold", "unhold"]);
    let when = map.get("when").map(|at| conditions(&at)).unwrap_or_default();
    let unless = map.get("unless").map(|at| conditions(&at)).unwrap_or_default();
    let time = map.get("time").map_or(Some(None), |at| time_from(&at).map(Some));
    let silence = map.get("max_silence").map_or(Some(silence), |at| silence_max(&at));
    let history = map.get("history_from").map_or(Some(from_beginning), |at| history_from_beginning(&at));
    let kind = map.need("activity", "the kind of activity it makes").and_then(|at| name(&at));
    map.finish();
    Some(RuleDraft { when, unless, time: time?, kind: kind?, silence_max: silence?, history_from_beginning: history? })
}

/// A name of the user's choice: a kind, a category.
pub(super) fn name(at: &At<'_>) -> Option<String> {
    let text = at.text()?;
    let legal = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-');
    if text.is_empty() || text.len() > 100 || !text.chars().all(legal) {
        at.error(format!("is '{text}'; a name is 1 to 100 letters, digits, '.', '_' or '-'"));
        return None;
    }
    Some(text.to_owned())
}

fn conditions(at: &At<'_>) -> Vec<Condition> {
    at.named().iter().filter_map(|(key, at)| condition(&key.name, at)).collect()
}

fn condition(field: &str, at: &At<'_>) -> Option<Condition> {
    if !field.starts_with('/') {
        at.error("must be named by a JSON Pointer, such as /event");
        return None;
    }
    let field = pointer(at, field)?;
    let any_of: Option<Vec<_>> = at.list_or_one().iter().map(value).collect();
    let any_of = any_of?;
    if any_of.is_empty() {
        at.error("is an empty list, which nothing matches");
        return None;
    }
    Some(Condition { field, any_of })
}

/// A literal, as JSON text; null is null or absent.
fn value(at: &At<'_>) -> Option<Option<String>> {
    match &at.node.value {
        _ if at.node.is_null() => Some(None),
        Value::Scalar { text, .. } => Some(Some(text.clone())),
        _ => {
            at.error("must be a value or a list of values");
            None
        }
    }
}

impl std::fmt::Display for TopicPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TopicPattern::Name(name) => write!(f, "'{name}'"),
            TopicPattern::Regex(regex) => write!(f, "'{regex}'"),
        }
    }
}
