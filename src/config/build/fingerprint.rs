//! Hashes of what decides: canonical, so that formatting and the order of maps don't matter.

use crate::config::{Config, CustomerFrom, Source, TimeFrom, Yield};
use crate::retention::calendar::Resolution;
use crate::retention::policy::{Kind, Policy, Target};
use crate::wire::progress::ConfigHash;
use chrono_tz::Tz;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// Of all that decides what a source's records mean.
pub(super) fn of_reading(source: &Source, kinds: &[Kind], resolution: Resolution, zone: Tz, reread: &str) -> u64 {
    let mut text = format!("json\n{zone}\n{}\n{}\n{resolution:?}\n{reread:?}\n", source.zone, source.lowercase);
    describe_reading(source, kinds, &mut text);
    let digest = Sha256::digest(text.as_bytes());
    u64::from_be_bytes(digest[..8].try_into().unwrap_or_default())
}

fn describe_reading(source: &Source, kinds: &[Kind], text: &mut String) {
    let customer: &dyn std::fmt::Debug = match &source.customer {
        CustomerFrom::Value(pointer) => pointer,
        other => other,
    };
    let _ = writeln!(text, "{customer:?}\n{:?}", source.time);
    for rule in &source.rules {
        let Yield::Activity(kind) = rule.yields;
        let (mut when, mut unless) = (rule.when.clone(), rule.unless.clone());
        when.sort_by(|a, b| format!("{a:?}").cmp(&format!("{b:?}")));
        unless.sort_by(|a, b| format!("{a:?}").cmp(&format!("{b:?}")));
        let time: &Option<TimeFrom> = &rule.time;
        let _ = writeln!(text, "{:?} {when:?} {unless:?} {time:?}", kinds[usize::from(kind.0)].name);
    }
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
    let categories: Vec<_> = policy.categories.iter().map(|&place| categories.get(usize::from(place))).collect();
    let mut text =
        format!("{}\n{kinds:?}\n{categories:?}\n{:?}\n{:?}\n{zone}\n", policy.key, policy.counted_from, policy.mode);
    for stage in &policy.stages {
        let targets: Vec<_> = stage.targets.iter().map(|target| &targets[usize::from(target.0)].key).collect();
        let _ = writeln!(text, "{:?} {:?} {targets:?}", stage.after, stage.action);
    }
    hex(&Sha256::digest(text.as_bytes())[..8])
}

/// Of all but `http`, `kafka` and secrets.
pub(super) fn of_config(config: &Config) -> ConfigHash {
    let rules = &config.rules;
    let mut text = format!("{}\n{}\n{:?}\n{:?}\n", config.application, config.zone, config.topics, rules.gate_lag_max);
    for (source, trust) in config.sources.iter().zip(&rules.sources) {
        let topics: Vec<_> = source.topics.iter().map(ToString::to_string).collect();
        let _ = writeln!(text, "{} {:x} {topics:?} {trust:?}", source.key, source.reading);
    }
    for target in &rules.targets {
        let _ = writeln!(text, "{target:?}");
    }
    for (policy, words) in rules.policies.iter().zip(&config.texts) {
        let _ = writeln!(text, "{} {} {words:?}", policy.key, policy.version);
    }
    let digest = Sha256::digest(text.as_bytes());
    ConfigHash(digest[..16].try_into().unwrap_or_default())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
