//! Evidence: what is written is read again, and is of its published schema.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use chrono::NaiveDate;
use lapsed::retention::calendar::{CountedFrom, Period, Timestamp};
use lapsed::retention::command::{Cause, Verb};
use lapsed::retention::customer::AckResult;
use lapsed::retention::decide::Answered;
use lapsed::retention::policy::{Action, Mode};
use lapsed::wire::audit::{
    Acknowledged, AuditError, Brake, Entry, Floor, Forgotten, Instruction, Kept, LookUp, Next, NotResent, Order,
    Ordered, OrderedKind, Policy, Question, SCHEMA, Sent, Since, Stage, decode, encode,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use serde_json::{Value, json};
use uuid::Uuid;

/// What RFC 3339 can say.
fn instants() -> impl Strategy<Value = Timestamp> {
    (-62_135_596_800..=253_402_300_799_i64).prop_map(Timestamp)
}

fn uuids() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

fn text() -> impl Strategy<Value = String> {
    ".{0,9}"
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(text(), 0..3)
}

fn versions() -> impl Strategy<Value = String> {
    "[0-9a-f]{16}"
}

fn actions() -> impl Strategy<Value = Action> {
    prop_oneof![Just(Action::Warn), Just(Action::Expire), Just(Action::Anonymise)]
}

fn causes() -> impl Strategy<Value = Cause> {
    prop_oneof![Just(Cause::Period), Just(Cause::Withdrawn), Just(Cause::ErasureRequest)]
}

fn dates() -> impl Strategy<Value = String> {
    prop_oneof![Just("2024-02-29".to_owned()), Just("2024-02-29T23:59:59+01:00".to_owned())]
}

fn sent() -> impl Strategy<Value = Sent> {
    let verbs = prop_oneof![Just(Verb::Recall), actions().prop_map(Verb::Act)];
    let kept = prop::collection::vec((text(), text()).prop_map(|(category, by)| Kept { category, by }), 0..3);
    let next = prop::option::of((actions(), dates()).prop_map(|(command, on)| Next { command, on }));
    (
        (uuids(), 1..u32::MAX, verbs, text(), causes(), text(), versions(), texts(), kept),
        ((text(), dates()), instants(), prop::option::of(text()), next, prop::option::of(uuids())),
        prop::option::of(instants()),
    )
        .prop_map(|(what, why, expirytime)| {
            let (id, attempt, command, target, cause, policy, policy_version, categories, kept) = what;
            let ((kind, date), deadline, deferred_by, next, recalls) = why;
            let (since, deadline) = (Since { kind, date }, deadline.to_utc_string());
            Sent {
                id,
                attempt,
                command,
                target,
                cause,
                policy,
                policy_version,
                categories,
                kept,
                since,
                deadline,
                deferred_by,
                next,
                recalls,
                expirytime,
            }
        })
}

fn acknowledged() -> impl Strategy<Value = Acknowledged> {
    let results = prop_oneof![
        Just(AckResult::Done),
        Just(AckResult::Failed),
        instants().prop_map(|until| AckResult::Retained { until })
    ];
    let answers = prop_oneof![Just(Answered::Command), Just(Answered::Recall), Just(Answered::Nothing)];
    (uuids(), any::<u32>(), text(), results, instants(), instants(), answers).prop_map(
        |(command, attempt, target, result, executed, appended, answers)| Acknowledged {
            command,
            attempt,
            target,
            result,
            executed,
            appended,
            answers,
        },
    )
}

fn forgotten() -> impl Strategy<Value = Forgotten> {
    (instants(), causes(), texts(), prop::option::of(instants()))
        .prop_map(|(end, cause, policies, suppressed_until)| Forgotten { end, cause, policies, suppressed_until })
}

fn policies() -> impl Strategy<Value = Policy> {
    let by_language = || prop::collection::btree_map("[a-z]{2}", text(), 0..3);
    let applies_to = prop::collection::btree_map(text(), prop::collection::vec(prop::option::of(text()), 1..3), 0..3);
    let counted_from =
        || prop_oneof![Just(CountedFrom::Event), Just(CountedFrom::EndOfMonth), Just(CountedFrom::EndOfYear)];
    let periods = || {
        prop_oneof![
            (0..12_000_u32, 1..365_000_u32).prop_map(|(months, days)| Period::Calendar { months, days }),
            (1..1_000_000_000_i64).prop_map(|seconds| Period::Exact { seconds })
        ]
    };
    let stages =
        (periods(), actions(), texts()).prop_map(|(after, command, targets)| Stage { after, command, targets });
    let floors = (text(), texts(), counted_from(), periods(), text()).prop_map(
        |(category, since_last, counted_from, keep, because)| Floor {
            category,
            since_last,
            counted_from,
            keep,
            because,
        },
    );
    let modes = prop_oneof![Just(Mode::Test), Just(Mode::Notify), Just(Mode::Enforce)];
    (
        (text(), versions(), instants(), any::<u32>(), by_language(), by_language(), prop::option::of(text())),
        (texts(), applies_to, texts(), counted_from()),
        (prop::collection::vec(stages, 0..3), prop::collection::vec(floors, 0..3), modes, 0..80_000_i32),
    )
        .prop_map(|(head, whom, what)| {
            let (policy, policy_version, effective, shard, purpose, interest, consent) = head;
            let (categories, applies_to, since_last, counted_from) = whom;
            let (stages, floors, mode, day) = what;
            Policy {
                policy,
                policy_version,
                effective,
                shard,
                purpose,
                lawful_basis: "legitimate_interest".to_owned(),
                interest,
                consent,
                categories,
                applies_to,
                since_last,
                counted_from,
                stages,
                floors,
                mode,
                review_by: NaiveDate::from_epoch_days(day).unwrap(),
                time_zone: "Europe/Amsterdam".to_owned(),
            }
        })
}

fn instructions() -> impl Strategy<Value = Instruction> {
    let release = (text(), versions(), instants(), any::<u64>(), any::<Option<u64>>()).prop_map(
        |(policy, policy_version, due_before, at_most, per_day)| Order::Release {
            policy,
            policy_version,
            due_before,
            at_most,
            per_day,
        },
    );
    let stop = prop::option::of(text()).prop_map(|policy| Order::Stop { policy });
    let accept = (text(), text()).prop_map(|(source, doubt)| Order::Accept { source, doubt });
    (uuids(), prop_oneof![release, stop, accept], text(), text(), any::<u32>(), prop::option::of(text()))
        .prop_map(|(id, order, by, reason, shard, refused)| Instruction { id, order, by, reason, shard, refused })
}

fn brakes() -> impl Strategy<Value = Brake> {
    (text(), versions(), any::<u32>(), any::<bool>(), any::<u64>(), any::<u64>(), any::<bool>()).prop_map(
        |(policy, policy_version, shard, on_request, count, limit, tripped)| Brake {
            policy,
            policy_version,
            shard,
            on_request,
            count,
            limit,
            tripped,
        },
    )
}

fn look_ups() -> impl Strategy<Value = LookUp> {
    let questions =
        prop_oneof![Just(Question::Explain), Just(Question::Evidence), Just(Question::Due), Just(Question::Reconcile)];
    (questions, text(), any::<Option<u64>>()).prop_map(|(question, by, customers)| LookUp { question, by, customers })
}

fn ordered() -> impl Strategy<Value = Ordered> {
    let orders = prop_oneof![
        Just(OrderedKind::Hold),
        Just(OrderedKind::Unhold),
        Just(OrderedKind::Erase),
        Just(OrderedKind::Resend)
    ];
    let of_resend = (prop::option::of(text()), prop::option::of(uuids()));
    (orders, text(), text(), prop::option::of(text()), of_resend)
        .prop_map(|(order, by, reason, hold, (target, id))| Ordered { order, by, reason, hold, target, id })
}

fn not_resent() -> impl Strategy<Value = NotResent> {
    (uuids(), text(), text()).prop_map(|(order, target, why)| NotResent { order, target, why })
}

fn entries() -> impl Strategy<Value = Entry> {
    prop_oneof![
        sent().prop_map(Entry::Sent),
        acknowledged().prop_map(Entry::Acknowledged),
        forgotten().prop_map(Entry::Forgotten),
        policies().prop_map(Entry::Policy),
        instructions().prop_map(Entry::Instruction),
        brakes().prop_map(Entry::Brake),
        look_ups().prop_map(Entry::LookUp),
        ordered().prop_map(Entry::Ordered),
        not_resent().prop_map(Entry::NotResent),
    ]
}

fn value_of(entry: &Entry, time: Timestamp) -> Vec<u8> {
    let mut value = Vec::new();
    encode(entry, time, &mut value);
    value
}

fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

fn validator() -> jsonschema::Validator {
    jsonschema::draft202012::meta::validate(&schema()).unwrap();
    jsonschema::options().should_validate_formats(true).build(&schema()).unwrap()
}

proptest! {
    #[test]
    fn what_is_written_is_read(entry in entries(), time in instants(), cut in any::<prop::sample::Index>()) {
        let value = value_of(&entry, time);
        prop_assert!(decode(&value[..cut.index(value.len())]).is_err());
        prop_assert_eq!(decode(&value).unwrap(), (time, entry));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        let _ = decode(&bytes);
    }
}

#[test]
fn every_entry_is_of_its_published_schema() {
    let (schema, validator) = (schema(), validator());
    let strategy = (entries(), instants());
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..300 {
        let (entry, time) = strategy.new_tree(&mut runner).unwrap().current();
        let value: Value = serde_json::from_slice(&value_of(&entry, time)).unwrap();
        let errors: Vec<_> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}\n{value}");
        let known = &schema["$defs"][value["entry"].as_str().unwrap()]["properties"];
        let is_known = |key: &String| known.get(key).is_some() || schema["properties"].get(key).is_some();
        assert!(value.as_object().unwrap().keys().all(is_known), "{value}");
    }
}

#[test]
fn what_is_not_of_the_schema_is_refused() {
    let brake = Brake {
        policy: "offers".to_owned(),
        policy_version: "9f0c".to_owned(),
        shard: 3,
        on_request: false,
        count: 12,
        limit: 10,
        tripped: true,
    };
    let value = value_of(&Entry::Brake(brake), Timestamp(0));
    let good: Value = serde_json::from_slice(&value).unwrap();
    assert_eq!(
        good,
        json!({"v": 1, "entry": "brake", "time": "1970-01-01T00:00:00Z", "policy": "offers", "policy_version": "9f0c",
               "shard": 3, "on_request": false, "count": 12, "limit": 10, "tripped": true})
    );
    let validator = validator();
    for (member, value) in [
        ("v", json!(2)),
        ("entry", json!("broke")),
        ("entry", json!("sent")),
        ("time", json!("soon")),
        ("shard", json!(-1)),
    ] {
        let mut bad = good.clone();
        bad[member] = value;
        assert!(!validator.is_valid(&bad), "{bad}");
        assert!(decode(bad.to_string().as_bytes()).is_err(), "{bad}");
    }
    let mut newer = good.clone();
    newer["more"] = json!("ignored");
    assert!(validator.is_valid(&newer) && decode(newer.to_string().as_bytes()).is_ok());
    newer["v"] = json!(2);
    assert!(matches!(decode(newer.to_string().as_bytes()), Err(AuditError::Version(2))));
}

#[test]
fn a_time_beyond_four_digits_is_held_at_their_end() {
    let forgotten =
        |end| Entry::Forgotten(Forgotten { end, cause: Cause::Period, policies: vec![], suppressed_until: None });
    for (beyond, end) in [(Timestamp::MAX, "9999-12-31T23:59:59Z"), (Timestamp::MIN, "0001-01-01T00:00:00Z")] {
        let value = value_of(&forgotten(beyond), beyond);
        let read: Value = serde_json::from_slice(&value).unwrap();
        assert_eq!((&read["time"], &read["end"]), (&json!(end), &json!(end)));
        assert!(validator().is_valid(&read) && decode(&value).is_ok());
    }
}
