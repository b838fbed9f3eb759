//! Hashes of what decides. Each is of a text that is written out here, so that neither formatting, nor
//! the order of maps, nor a change of our own types moves it: a moved `reading` has every source read
//! again, a moved `version` makes every policy wait for a release.

use crate::config::{Condition, Config, CustomerFrom, PolicyText, Source, TimeFrom, Yield};
use crate::retention::calendar::{CountedFrom, Period, Resolution};
use crate::retention::policy::{Kind, Mode, Policy, Target, Trust};
use crate::wire::progress::ConfigHash;
use chrono_tz::Tz;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Of all that decides what a source's records mean.
pub(super) fn of_reading(source: &Source, kinds: &[Kind], resolution: Resolution, zone: Tz, reread: &str) -> u64 {
    let rules = source.rules.iter().map(|rule| {
        let Yield::Activity(kind) = rule.yields else { unreachable!() };
        let time = rule.time.as_ref().map(time);
        let kind = &kinds[usize::from(kind.0)].name;
        json!(["activity", kind, conditions(&rule.when), conditions(&rule.unless), time])
    });
    let resolution = match resolution {
        Resolution::Day => "day",
        Resolution::Second => "second",
    };
    let digest = digest(&json!([
        "reading 1",
        "json",
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

/// Of what decides in a policy: kinds, stages, categories, targets, mode, zone; not texts or review dates.
/// 16 hex digits.
pub(super) fn of_policy(
    policy: &Policy,
    kinds: &[Kind],
    categories: &[String],
    targets: &[Target],
    zone: Tz,
) -> String {
    let kinds: Vec<_> = policy.since_last.iter().map(|kind| &kinds[usize::from(kind.0)].name).collect();
    let categories: Vec<_> = policy.categories.iter().map(|place| &categories[usize::from(*place)]).collect();
    let stages = policy.stages.iter().map(|stage| {
        let targets: Vec<_> = stage.targets.iter().map(|target| &targets[usize::from(target.0)].key).collect();
        json!([period(stage.after), stage.action.name(), targets])
    });
    let counted_from = match policy.counted_from {
        CountedFrom::Event => "event",
        CountedFrom::EndOfMonth => "month",
        CountedFrom::EndOfYear => "year",
    };
    let mode = match policy.mode {
        Mode::Test => "test",
        Mode::Notify => "notify",
        Mode::Enforce => "enforce",
    };
    let stages: Vec<_> = stages.collect();
    let digest = digest(&json!(["policy 1", policy.key, zone.name(), kinds, categories, counted_from, mode, stages]));
    format!("{:016x}", u64::from_be_bytes(first(&digest)))
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
        json!([policy.key, policy.version, texts, lawful_basis.name(), review_by.to_string()])
    });
    let digest = digest(&json!([
        "configuration 1",
        config.application,
        config.zone.name(),
        config.topics.partitions,
        config.topics.replication_factor,
        rules.gate_lag_max.0,
        sources.collect::<Vec<_>>(),
        targets.collect::<Vec<_>>(),
        policies.collect::<Vec<_>>(),
    ]));
    ConfigHash(first(&digest))
}

fn of_source(source: &Source, trust: &Trust, kinds: &[Kind]) -> Value {
    let mut topics: Vec<_> = source.topics.iter().map(|topic| topic.as_written()).collect();
    topics.sort_unstable();
    let rules = trust.rules.iter().map(|rule| {
        let kind = rule.kind.map(|kind| &kinds[usize::from(kind.0)].name);
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
