//! Hashes of what decides. Each is of a text that is written out here, so that neither formatting, nor
//! the order of maps, nor a change of our own types moves it: a moved `reading` has every source read
//! again, a moved `version` makes every policy wait for a release.

use super::Parts;
use crate::config::{Condition, Config, CustomerFrom, Format, PolicyText, Source, TimeFrom, Told, Yield};
use crate::retention::activity::KindIndex;
use crate::retention::calendar::{CountedFrom, Period, Resolution};
use crate::retention::policy::{Brake, Floor, Kind, Mode, Policy, Trust};
use crate::wire::progress::ConfigHash;
use chrono_tz::Tz;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Of all that decides what a source's records mean.
pub(super) fn of_reading(source: &Source, kinds: &[Kind], resolution: Resolution, zone: Tz, reread: &str) -> u64 {
    let rules = source.rules.iter().map(|rule| {
        let [sort, what] = yields(&rule.yields, kinds);
        let time = rule.time.as_ref().map(time);
        json!([sort, what, conditions(&rule.when), conditions(&rule.unless), time])
    });
    let resolution = match resolution {
        Resolution::Day => "day",
        Resolution::Second => "second",
    };
    let format = match source.format {
        Format::Json => "json",
        Format::CloudEvents => "cloudevents",
    };
    let digest = digest(&json!([
        "reading 1",
        format,
        customer(&source.customer),
        source.lowercase,
        time(&source.time),
        source.zone.name(),
        zone.name(),
        resolution,
        reread,
        rules.collect::<Vec<_>>(),
    ]));
    u64::from_be_bytes(first(&digest))
}

/// What sort of thing, and which.
fn yields(yields: &Yield, kinds: &[Kind]) -> [Value; 2] {
    match yields {
        Yield::Activity(kind) => [json!("activity"), json!(kind_name(kinds, *kind))],
        Yield::Consent(told) => [json!("consent"), all_told(told)],
        Yield::Hold { id, reason, until, policies } => {
            let [reason, until] = [reason, until].map(|told| told.as_ref().map(self::told));
            [json!("hold"), json!([self::told(id), reason, until, policies])]
        }
        Yield::Unhold { id } => [json!("unhold"), told(id)],
        Yield::Erasure => [json!("erasure"), json!(null)],
        Yield::Attribute(told) => [json!("attribute"), all_told(told)],
    }
}

fn all_told(all: &[(String, Told)]) -> Value {
    all.iter().map(|(name, told)| json!([name, self::told(told)])).collect()
}

fn told(told: &Told) -> Value {
    match told {
        Told::Literal(text) => json!(["literal", text]),
        Told::Field(pointer) => json!(["field", pointer.to_string()]),
    }
}

/// Of what decides in a policy: kinds, consent, who it applies to, stages, categories and their floors,
/// targets, mode, zone; not brake, texts or review dates. 16 hex digits.
pub(super) fn of_policy(policy: &Policy, floors: &[Floor], parts: &Parts<'_>, zone: Tz) -> String {
    let categories: Vec<_> = policy.categories.iter().map(|&place| category_name(&parts.categories, place)).collect();
    let stages = policy.stages.iter().map(|stage| {
        let targets: Vec<_> = stage.targets.iter().map(|target| &parts.targets[usize::from(target.0)].key).collect();
        json!([period(stage.after), stage.action.name(), targets])
    });
    let mode = match policy.mode {
        Mode::Test => "test",
        Mode::Notify => "notify",
        Mode::Enforce => "enforce",
    };
    let floors = floors.iter().filter(|floor| policy.category_set.contains(floor.category));
    let digest = digest(&json!([
        "policy 1",
        policy.key,
        zone.name(),
        kind_names(&parts.kinds, &policy.since_last),
        policy.consent,
        applies_to(policy),
        categories,
        counted_from(policy.counted_from),
        mode,
        stages.collect::<Vec<_>>(),
        floors.map(|floor| of_floor(floor, &parts.kinds, &parts.categories)).collect::<Vec<_>>(),
    ]));
    format!("{:016x}", u64::from_be_bytes(first(&digest)))
}

/// What decides in a floor; not which law demands it.
fn of_floor(floor: &Floor, kinds: &[Kind], categories: &[String]) -> Value {
    json!([
        category_name(categories, floor.category),
        kind_names(kinds, &floor.since_last),
        counted_from(floor.counted_from),
        period(floor.keep),
    ])
}

/// Any value of one: they have no order.
fn applies_to(policy: &Policy) -> Value {
    let attribute = |(name, any_of): &(String, Vec<Option<String>>)| {
        let mut any_of: Vec<_> = any_of.iter().collect();
        any_of.sort();
        json!([name, any_of])
    };
    policy.applies_to.iter().map(attribute).collect()
}

fn counted_from(counted_from: CountedFrom) -> &'static str {
    match counted_from {
        CountedFrom::Event => "event",
        CountedFrom::EndOfMonth => "month",
        CountedFrom::EndOfYear => "year",
    }
}

fn kind_name(kinds: &[Kind], kind: KindIndex) -> &str {
    &kinds[usize::from(kind.0)].name
}

fn kind_names<'k>(kinds: &'k [Kind], of: &[KindIndex]) -> Vec<&'k str> {
    of.iter().map(|kind| kind_name(kinds, *kind)).collect()
}

fn category_name(categories: &[String], place: u8) -> &str {
    &categories[usize::from(place)]
}

/// Of all but `http`, `kafka` and secrets.
pub(super) fn of_config(config: &Config) -> ConfigHash {
    let rules = &config.rules;
    let sources =
        config.sources.iter().zip(&rules.sources).map(|(source, trust)| of_source(source, trust, &rules.kinds));
    let targets = rules
        .targets
        .iter()
        .map(|target| json!([target.key, target.topic, target.acknowledge_within.map(|within| within.0)]));
    let policies = rules.policies.iter().zip(&config.texts).map(|(policy, text)| {
        let PolicyText { purpose, lawful_basis, interest, review_by } = text;
        let texts = [purpose, interest].map(|texts| texts.iter().collect::<Vec<_>>());
        let brake = brake(policy.brake);
        json!([policy.key, policy.version, brake, texts, lawful_basis.name(), review_by.to_string()])
    });
    let floors = rules.floors.iter();
    let floors = floors.map(|floor| json!([of_floor(floor, &rules.kinds, &rules.categories), floor.because]));
    let window =
        rules.window.map(|window| json!([window.days, window.from.to_string(), window.to.map(|to| to.to_string())]));
    let labels = config.labels.iter().map(|(language, labels)| json!([language, labels.iter().collect::<Vec<_>>()]));
    let digest = digest(&json!([
        "configuration 1",
        config.application,
        config.zone.name(),
        config.topics.partitions,
        config.topics.replication_factor,
        rules.gate_lag_max.0,
        period(config.evidence.keep),
        [period(rules.forget.after), period(rules.forget.suppress_for)],
        window,
        sources.collect::<Vec<_>>(),
        targets.collect::<Vec<_>>(),
        floors.collect::<Vec<_>>(),
        policies.collect::<Vec<_>>(),
        labels.collect::<Vec<_>>(),
    ]));
    ConfigHash(first(&digest))
}

fn brake(brake: Brake) -> Value {
    json!([format!("{:e}", brake.per_day), brake.at_least])
}

fn of_source(source: &Source, trust: &Trust, kinds: &[Kind]) -> Value {
    let mut topics: Vec<_> = source.topics.iter().map(|topic| topic.as_written()).collect();
    topics.sort_unstable();
    let rules = trust.rules.iter().map(|rule| {
        let kind = rule.kind.map(|kind| kind_name(kinds, kind));
        json!([kind, rule.silence_max.map(|silence| silence.0), rule.history_from_beginning])
    });
    json!([
        source.key,
        format!("{:016x}", source.reading),
        topics,
        trust.allowed_lateness.0,
        format!("{:e}", trust.rejects_max),
        trust.retired,
        rules.collect::<Vec<_>>(),
    ])
}

fn customer(from: &CustomerFrom) -> Value {
    match from {
        CustomerFrom::Value(pointer) => json!(["value", pointer.to_string()]),
        CustomerFrom::Key => json!(["key"]),
        CustomerFrom::KeyPointer(pointer) => json!(["key", pointer.to_string()]),
        CustomerFrom::Header(name) => json!(["header", name]),
    }
}

fn time(from: &TimeFrom) -> Value {
    match from {
        TimeFrom::Record => json!(["record"]),
        TimeFrom::Value(pointer) => json!(["value", pointer.to_string()]),
    }
}

/// All must match, and any value of one: neither has an order.
fn conditions(conditions: &[Condition]) -> Value {
    let mut conditions: Vec<(String, Vec<&Option<String>>)> = conditions
        .iter()
        .map(|condition| {
            let mut any_of: Vec<_> = condition.any_of.iter().collect();
            any_of.sort();
            (condition.field.to_string(), any_of)
        })
        .collect();
    conditions.sort();
    json!(conditions)
}

fn period(period: Period) -> Value {
    match period {
        Period::Calendar { months, days } => json!(["calendar", months, days]),
        Period::Exact { seconds } => json!(["exact", seconds]),
    }
}

fn digest(text: &Value) -> [u8; 32] {
    // Lists only: the order of an object's members would depend on how serde_json was built.
    Sha256::digest(text.to_string().as_bytes()).into()
}

fn first<const N: usize>(digest: &[u8; 32]) -> [u8; N] {
    std::array::from_fn(|place| digest[place])
}
