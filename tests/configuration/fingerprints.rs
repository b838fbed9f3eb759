//! What moves a hash and what doesn't.

use crate::shop::{config_with, loaded};
use lapsed::config::Config;

struct Hashes {
    config: [u8; 16],
    policy: String,
    reading: u64,
}

/// Of the policy and of source `web`.
fn of(config: &Config) -> Hashes {
    Hashes {
        config: config.hash.0,
        policy: config.rules.policies[0].version.clone(),
        reading: config.sources[1].reading,
    }
}

/// A change, and which of policy and reading it moves; `config` moves with either.
#[test]
fn each_moves_with_what_it_stands_for() {
    let before = of(&config_with(&[]));
    for (from, to, moves_config, moves_policy, moves_reading) in [
        ("Relevant offers", "Fitting offers", true, false, false),
        ("review_by: 2027-06-01", "review_by: 2028-06-01", true, false, false),
        ("[email, name]", "[name, email]", true, true, false),
        ("[purchase, login]", "[login, purchase]", true, true, false),
        ("after: P24M", "after: P25M", true, true, false),
        ("after: P24M", "after: P2Y", false, false, false),
        ("command: anonymise", "command: expire", true, true, false),
        ("targets: [crm, mailing]", "targets: [mailing, crm]", false, false, false),
        ("mode: enforce", "mode: notify", true, true, false),
        ("Europe/Amsterdam", "Europe/Paris", true, true, true),
        ("allowed_lateness: P3D", "allowed_lateness: P4D", true, false, false),
        ("max_silence: PT12H", "max_silence: PT13H", true, false, false),
        ("max_silence: PT12H", "max_silence: PT720M", false, false, false),
        ("topics: [web.events, ^web\\.old\\.]", "topics: [^web\\.old\\., web.events]", false, false, false),
        ("topics: [web.events, ^web\\.old\\.]", "topics: [web.events]", true, false, false),
        ("customer: key:/id", "customer: key:/user", true, false, true),
        ("time: record", "time: record\n    lowercase: true", true, false, true),
        ("time: record", "time: record\n    time_zone: UTC", true, false, true),
        ("time: record", "time: record\n    reread: 2", true, false, true),
        ("unless: {/agent: bot}", "unless: {/agent: [bot]}", false, false, false),
        ("unless: {/agent: bot}", "unless: {/agent: robot}", true, false, true),
        ("unless: {/agent: bot}", "time: /at", true, false, true),
        ("localhost:9092", "localhost:9093", false, false, false),
        ("0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210", false, false, false),
        ("time_zone:", "http: {listen: '127.0.0.1:1'}\ntime_zone:", false, false, false),
        ("time_zone:", "labels: {nl: {email: e-mailadres}}\ntime_zone:", true, false, false),
        ("time_zone:", "max_gate_lag: PT20M\ntime_zone:", true, false, false),
    ] {
        let after = of(&config_with(&[(from, to)]));
        let moved = (before.config != after.config, before.policy != after.policy, before.reading != after.reading);
        assert_eq!(moved, (moves_config, moves_policy, moves_reading), "{from} → {to}");
    }
}

#[test]
fn neither_the_order_of_maps_nor_of_files_matters() {
    let reordered = config_with(&[
        (
            "{when: {/op: [c, u], /status: paid}, activity: purchase}",
            "{activity: purchase, when: {/status: paid, /op: [u, c]}}",
        ),
        (
            "crm: {topic: crm.commands, acknowledge_within: P3D}\n  mailing: {topic: mail.commands, acknowledge_within: none}",
            "mailing: {acknowledge_within: none, topic: mail.commands}\n  crm: {acknowledge_within: P3D, topic: crm.commands}",
        ),
    ]);
    let (before, after) = (of(&config_with(&[])), of(&reordered));
    assert_eq!((before.config, before.policy, before.reading), (after.config, after.policy, after.reading));
}

/// A reading that moves makes every installation read its sources again, a version that moves stops
/// every policy until a person releases it: a release may do neither by accident.
#[test]
fn they_are_the_same_in_every_release() {
    let hashes = of(&loaded(crate::shop::SHOP).config);
    assert_eq!(hashes.policy, "e9d858ea98fa88cb");
    assert_eq!(format!("{:016x}", hashes.reading), "b5c41ee69429dfde");
}

#[test]
fn command_ids_depend_on_the_evidence_key_alone() {
    let namespace = |changes: &[(&str, &str)]| config_with(changes).rules.command_namespace;
    assert_eq!(namespace(&[]), namespace(&[("after: P24M", "after: P30M")]));
    assert_ne!(namespace(&[]), namespace(&[("0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210")]));
}
