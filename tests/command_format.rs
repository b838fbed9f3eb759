//! Section "Interfaces": a command as a target reads it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use chrono_tz::Tz;
use lapsed::retention::calendar::{Resolution, Seconds, Timestamp};
use lapsed::retention::command::{Cause, Command, Kept, Next, Since, Verb};
use lapsed::retention::policy::{Action, Forget, Rulebook, Target, TargetIndex};
use lapsed::wire::command::encode;
use serde_json::{Value, json};
use uuid::Uuid;

fn at(text: &str) -> Timestamp {
    Timestamp(chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp())
}

fn rules(resolution: Resolution) -> Rulebook {
    Rulebook {
        application: "lapsed".to_owned(),
        zone: Tz::Europe__Amsterdam,
        resolution,
        command_namespace: Uuid::nil(),
        kinds: Vec::new(),
        categories: Vec::new(),
        targets: vec![Target {
            key: "crm".to_owned(),
            topic: "crm.commands".to_owned(),
            acknowledge_within: Some(Seconds(3 * 86_400)),
        }],
        sources: Vec::new(),
        policies: Vec::new(),
        floors: Vec::new(),
        hold_sources: Vec::new(),
        window: None,
        forget: Forget::default(),
        gate_lag_max: Seconds(900),
    }
}

/// The example of the design.
fn anonymise() -> Command {
    Command {
        id: Uuid::from_u128(0xabc),
        target: TargetIndex(0),
        verb: Verb::Act(Action::Anonymise),
        cause: Cause::Period,
        policy: "offers".to_owned(),
        policy_version: "9f0c".to_owned(),
        categories: ["email", "name", "purchase_history"].map(str::to_owned).to_vec(),
        kept: Vec::new(),
        since: Since { kind: "purchase".to_owned(), at: at("2024-02-29T23:59:59+01:00") },
        deadline: at("2026-03-01T00:00:00+01:00"),
        deferred_by: None,
        next: None,
        recalls: None,
        attempt: 1,
        time: at("2026-03-05T08:00:00Z"),
        expires: Some(at("2026-03-08T08:00:00Z")),
    }
}

fn warn() -> Command {
    Command {
        verb: Verb::Act(Action::Warn),
        kept: vec![Kept { category: "name".to_owned(), by: "newsletter".to_owned() }],
        next: Some(Next { action: Action::Anonymise, on: at("2026-03-05T00:00:00+01:00") }),
        ..anonymise()
    }
}

fn recall() -> Command {
    Command { verb: Verb::Recall, recalls: Some(Uuid::from_u128(0xabc)), expires: None, ..anonymise() }
}

fn json_of(command: &Command, resolution: Resolution) -> Value {
    let mut buffer = Vec::new();
    encode(command, "4711", &rules(resolution), &mut buffer);
    serde_json::from_slice(&buffer).unwrap()
}

#[test]
fn a_command_reads_as_the_design_shows_it() {
    let expected = json!({
        "specversion": "1.0", "id": "00000000-0000-0000-0000-000000000abc", "source": "urn:lapsed:lapsed",
        "type": "lapsed.command.anonymise.v1",
        "time": "2026-03-05T08:00:00Z", "expirytime": "2026-03-08T08:00:00Z",
        "datacontenttype": "application/json", "dataschema": "urn:lapsed:schema:command:v1",
        "data": {
            "customer": "4711", "target": "crm", "command": "anonymise", "cause": "period",
            "policy": "offers", "policy_version": "9f0c", "categories": ["email", "name", "purchase_history"], "kept": [],
            "since": {"kind": "purchase", "date": "2024-02-29"}, "deadline": "2026-03-01T00:00:00+01:00",
            "deferred_by": null, "next": null, "recalls": null, "attempt": 1
        }
    });
    assert_eq!(json_of(&anonymise(), Resolution::Day), expected);
}

#[test]
fn a_warning_says_what_follows_and_what_is_kept() {
    let data = &json_of(&warn(), Resolution::Day)["data"];
    assert_eq!(data["next"], json!({"command": "anonymise", "on": "2026-03-05"}));
    assert_eq!(data["kept"], json!([{"category": "name", "by": "newsletter"}]));
}

#[test]
fn at_second_resolution_dates_are_instants() {
    let data = &json_of(&warn(), Resolution::Second)["data"];
    assert_eq!(data["since"]["date"], "2024-02-29T23:59:59+01:00");
    assert_eq!(data["next"]["on"], "2026-03-05T00:00:00+01:00");
}

#[test]
fn a_recall_names_its_command_and_has_no_end() {
    let event = json_of(&recall(), Resolution::Day);
    assert_eq!(event["type"], "lapsed.command.recall.v1");
    assert_eq!(event["data"]["recalls"], "00000000-0000-0000-0000-000000000abc");
    assert_eq!(event.get("expirytime"), None);
}

#[test]
fn every_command_is_a_cloudevent() {
    let schema: Value = serde_json::from_str(include_str!("schemas/cloudevents-1.0.json")).unwrap();
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    for command in [anonymise(), warn(), recall()] {
        let event = json_of(&command, Resolution::Day);
        let errors: Vec<_> = validator.iter_errors(&event).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}");
        // Attribute names, extensions included: lower-case letters and digits (CloudEvents 1.0, 3.1).
        let names = event.as_object().unwrap().keys();
        for name in names {
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()), "{name}");
        }
    }
    let mut without_id = json_of(&anonymise(), Resolution::Day);
    without_id.as_object_mut().unwrap().remove("id");
    assert!(!validator.is_valid(&without_id));
}

#[test]
fn every_command_is_of_its_published_schema() {
    let schema: Value = serde_json::from_str(lapsed::wire::command::SCHEMA).unwrap();
    jsonschema::draft202012::meta::validate(&schema).unwrap();
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    let known = |members: &Value, of: &Value| members.as_object().unwrap().keys().all(|key| of.get(key).is_some());
    for (command, resolution) in [anonymise(), warn(), recall()]
        .iter()
        .flat_map(|command| [Resolution::Day, Resolution::Second].map(|resolution| (command, resolution)))
    {
        let event = json_of(command, resolution);
        let errors: Vec<_> = validator.iter_errors(&event).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}");
        assert!(known(&event, &schema["properties"]), "{event}");
        assert!(known(&event["data"], &schema["$defs"]["data"]["properties"]), "{event}");
    }
    for (place, value) in [
        ("/id", json!("7")),
        ("/type", json!("lapsed.command.warn.v1")),
        ("/time", json!("yesterday")),
        ("/data/command", json!("expire")),
        ("/data/recalls", json!("00000000-0000-0000-0000-000000000abc")),
        ("/data/attempt", json!(0)),
        ("/data/since/date", json!("2024-02-30")),
        ("/data/deadline", Value::Null),
    ] {
        let mut event = json_of(&anonymise(), Resolution::Day);
        *event.pointer_mut(place).unwrap() = value;
        assert!(!validator.is_valid(&event), "{place}");
    }
}
