//! What is read, as deciding and extracting see it.

use crate::shop::{SHOP, config_with, loaded};
use lapsed::config::{Condition, CustomerFrom, LawfulBasis, Pointer, Step, TimeFrom};
use lapsed::retention::calendar::{CountedFrom, Period, Resolution, Seconds};
use lapsed::retention::policy::{Action, Mode, SourceIndex};

fn pointer(steps: &[&str]) -> Pointer {
    Pointer(steps.iter().map(|step| if *step == "*" { Step::Each } else { Step::Member((*step).to_owned()) }).collect())
}

#[test]
fn defaults() {
    let config = config_with(&[("application: shop\n", "")]);
    assert_eq!(config.application, "lapsed");
    assert_eq!(config.http.listen.to_string(), "0.0.0.0:8080");
    assert_eq!((config.topics.partitions, config.topics.replication_factor), (32, 3));
    assert_eq!(config.rules.gate_lag_max, Seconds(900));
    let orders = &config.rules.sources[0];
    assert_eq!((orders.allowed_lateness, orders.rejects_max, orders.retired), (Seconds(172_800), 0.001, false));
    assert_eq!(config.sources[0].zone.name(), "Europe/Amsterdam");
    assert_eq!(config_with(&[("    mode: enforce\n", "")]).rules.policies[0].mode, Mode::Test);
}

#[test]
fn a_policy_depends_on_the_sources_that_yield_its_kinds() {
    let rules = config_with(&[]).rules;
    let policy = &rules.policies[0];
    assert_eq!(policy.sources, [SourceIndex(0), SourceIndex(1)]);
    assert_eq!(policy.history_rules, [(SourceIndex(0), 0), (SourceIndex(1), 0)]);
    assert_eq!(policy.lateness, Seconds(3 * 86_400), "the larger of both");

    let only_orders = config_with(&[("[purchase, login]", "[purchase]")]).rules;
    assert_eq!(only_orders.policies[0].sources, [SourceIndex(0)]);
    assert_eq!(only_orders.policies[0].lateness, Seconds(2 * 86_400));

    let retired = config_with(&[("time: record", "time: record\n    retired: true")]).rules;
    assert_eq!(retired.policies[0].sources, [SourceIndex(0)]);
    assert_eq!(retired.policies[0].history_rules.len(), 2, "what a retired source showed still counts");
}

#[test]
fn stages_and_texts() {
    let config = config_with(&[("mode: enforce", "counted_from_end_of: year")]);
    let policy = &config.rules.policies[0];
    assert_eq!(policy.counted_from, CountedFrom::EndOfYear);
    let stages: Vec<_> = policy.stages.iter().map(|stage| (stage.after, stage.action, stage.targets.len())).collect();
    let months = |months| Period::Calendar { months, days: 0 };
    assert_eq!(stages, [(months(23), Action::Warn, 1), (months(24), Action::Anonymise, 2)]);
    assert_eq!(config.texts[0].lawful_basis, LawfulBasis::Contract);
    assert_eq!(config.texts[0].review_by.to_string(), "2027-06-01");
}

#[test]
fn where_a_customer_is() {
    for (text, customer) in [
        ("/a/b", CustomerFrom::Value(pointer(&["a", "b"]))),
        ("/a~1b/c~0d/~01", CustomerFrom::Value(pointer(&["a/b", "c~d", "~1"]))),
        ("/passengers/*/id", CustomerFrom::Value(pointer(&["passengers", "*", "id"]))),
        ("key", CustomerFrom::Key),
        ("key:/id", CustomerFrom::KeyPointer(pointer(&["id"]))),
        ("header:customer-id", CustomerFrom::Header("customer-id".to_owned())),
    ] {
        let config = config_with(&[("customer: key:/id", &format!("customer: {text}"))]);
        assert_eq!(config.sources[1].customer, customer, "{text}");
    }
}

#[test]
fn rules_and_what_they_guard() {
    let config = config_with(&[(
        "{when: {/event: login}, unless: {/agent: bot}, activity: login}",
        "{when: {/a: 3, /b: null, /c: [True, '~']}, time: /t, max_silence: PT1H, history_from: beginning, activity: login}",
    )]);
    let rule = &config.sources[1].rules[0];
    let condition = |field: &str, any_of: &[Option<&str>]| Condition {
        field: pointer(&[field]),
        any_of: any_of.iter().map(|value| value.map(str::to_owned)).collect(),
    };
    let when = [condition("a", &[Some("3")]), condition("b", &[None]), condition("c", &[Some("true"), Some("~")])];
    assert_eq!(rule.when, when);
    assert_eq!(rule.time, Some(TimeFrom::Value(pointer(&["t"]))));
    let trust = &config.rules.sources[1].rules[0];
    assert_eq!((trust.silence_max, trust.history_from_beginning), (Some(Seconds(3600)), true));
    let orders = &config.rules.sources[0].rules[0];
    assert_eq!((orders.silence_max, orders.history_from_beginning), (Some(Seconds(86_400)), true));
}

#[test]
fn topics_are_names_and_patterns() {
    let config = config_with(&[]);
    for (topic, source) in
        [("web.events", Some(1)), ("web.old.2019", Some(1)), ("shop.orders", Some(0)), ("web.events2", None)]
    {
        assert_eq!(config.source_of_topic(topic), source, "{topic}");
    }
}

#[test]
fn a_pattern_never_means_our_own_topics_or_kafkas() {
    let config = config_with(&[("[shop.orders]", "[^shop, ^__]")]);
    for (topic, source) in [("shop.orders", Some(0)), ("shop.acks", None), ("shop.signals", None), ("__offsets", None)]
    {
        assert_eq!(config.source_of_topic(topic), source, "{topic}");
    }
}

#[test]
fn two_targets_may_share_a_topic() {
    let config = config_with(&[("topic: mail.commands", "topic: crm.commands")]);
    assert_eq!(config.rules.targets[0].topic, config.rules.targets[1].topic);
}

#[test]
fn periods_below_a_day_need_a_word_and_set_the_resolution() {
    assert_eq!(config_with(&[]).rules.resolution, Resolution::Day);
    let short = config_with(&[
        ("time_zone:", "short_periods: true\ntime_zone:"),
        ("after: P23M", "after: PT10M"),
        ("after: P24M", "after: PT20M"),
        ("allowed_lateness: P3D", "allowed_lateness: PT10S"),
    ]);
    assert_eq!(short.rules.resolution, Resolution::Second);
}

#[test]
fn a_mode_for_all_caps_each() {
    for (cap, mode) in [("test", Mode::Test), ("notify", Mode::Notify), ("enforce", Mode::Enforce)] {
        let config = config_with(&[("time_zone:", &format!("mode: {cap}\ntime_zone:"))]);
        assert_eq!(config.rules.policies[0].mode, mode);
    }
}

#[test]
fn line_ends_byte_order_mark_and_anchors_make_no_difference() {
    let hash = loaded(SHOP).config.hash;
    assert_eq!(loaded(&SHOP.replace('\n', "\r\n")).config.hash, hash);
    assert_eq!(loaded(&format!("\u{feff}{SHOP}")).config.hash, hash);
    let anchored = SHOP.replacen("P3D", "&three P3D", 1).replacen("P3D}", "*three }", 1);
    assert_eq!(loaded(&anchored).config.hash, hash);
}

#[test]
fn secrets_are_not_in_what_debug_shows() {
    let config = config_with(&[("bootstrap.servers:", "sasl.password: hunter2, bootstrap.servers:")]);
    assert_eq!(config.kafka["sasl.password"], "hunter2");
    let shown = format!("{config:?}");
    assert!(shown.contains("sasl.password") && !shown.contains("hunter2") && !shown.contains("0123456789abcdef"));
}
