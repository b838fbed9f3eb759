//! The published JSON Schema says what the loader does.

use crate::shop::SHOP;
use crate::yaml;
use chrono::NaiveDate;
use lapsed::config::load::from_texts;
use lapsed::config::{Environment, LoadErrors, Loaded, SCHEMA};
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

fn validator() -> jsonschema::Validator {
    jsonschema::draft202012::meta::validate(&schema()).unwrap();
    jsonschema::validator_for(&schema()).unwrap()
}

/// The maps of a configuration whose keys are ours, and their schemas.
pub const MAPS: [(&str, &str); 9] = [
    ("", ""),
    ("/http", "/$defs/http"),
    ("/evidence", "/$defs/evidence"),
    ("/topics", "/$defs/topics"),
    ("/sources/orders", "/$defs/source"),
    ("/sources/orders/rules/0", "/$defs/rule"),
    ("/targets/crm", "/$defs/target"),
    ("/policies/offers", "/$defs/policy"),
    ("/policies/offers/stages/0", "/$defs/stage"),
];

/// A configuration with every key there is.
fn full() -> Value {
    json!({
        "application": "shop",
        "time_zone": "Europe/Amsterdam",
        "short_periods": true,
        "mode": "enforce",
        "kafka": {"bootstrap.servers": "localhost:9092"},
        "http": {"listen": "127.0.0.1:8080"},
        "evidence": {"key": "0123456789abcdef0123456789abcdef"},
        "topics": {"partitions": 4, "replication_factor": 1},
        "max_gate_lag": "PT20M",
        "labels": {"en": {"email": "e-mail address"}},
        "sources": {"orders": {
            "format": "json",
            "topics": ["shop.orders", "^old\\.orders"],
            "customer": "/customer",
            "lowercase": true,
            "time": "/at",
            "time_zone": "UTC",
            "allowed_lateness": "P1D",
            "max_silence": "P1D",
            "max_rejects": "1%",
            "history_from": "beginning",
            "retired": false,
            "reread": "2",
            "rules": [{
                "when": {"/op": ["c", 1, null, true]},
                "unless": {"/agent": "bot"},
                "time": "record",
                "max_silence": "PT12H",
                "history_from": "beginning",
                "activity": "purchase"
            }, {"activity": "login"}]
        }},
        "targets": {
            "crm": {"topic": "crm.commands", "acknowledge_within": "P3D"},
            "mailing": {"topic": "mail.commands", "acknowledge_within": "none"}
        },
        "policies": {"offers": {
            "purpose": {"en": "Relevant offers until two years after your last purchase"},
            "lawful_basis": "legitimate_interest",
            "interest": {"en": "keeping customers"},
            "categories": ["email"],
            "since_last": ["purchase", "login"],
            "counted_from_end_of": "month",
            "stages": [
                {"after": "P23M", "command": "warn", "targets": ["mailing"]},
                {"after": "P26M", "command": "anonymise"}
            ],
            "targets": ["crm", "mailing"],
            "mode": "enforce",
            "review_by": "2027-06-01"
        }}
    })
}

/// JSON is YAML, so that what was changed as JSON can be loaded.
fn load(document: &Value) -> Result<Loaded, LoadErrors> {
    let today = NaiveDate::from_ymd_opt(2026, 11, 24).unwrap();
    from_texts(&[("full.yaml".to_owned(), document.to_string())], Environment::Leave, today)
}

fn with(pointer: &str, key: &str, value: Option<Value>) -> Value {
    let mut document = full();
    let map = document.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
    match value {
        Some(value) => _ = map.insert(key.to_owned(), value),
        None => _ = map.remove(key),
    }
    document
}

fn names(of: &Value) -> BTreeSet<String> {
    match of {
        Value::Object(members) => members.keys().cloned().collect(),
        Value::Array(names) => names.iter().map(|name| name.as_str().unwrap().to_owned()).collect(),
        _ => BTreeSet::new(),
    }
}

#[test]
fn both_know_the_same_keys() {
    let (schema, full) = (schema(), full());
    for (map, definition) in MAPS {
        let definition = schema.pointer(definition).unwrap();
        let properties = names(&definition["properties"]);
        assert_eq!(names(full.pointer(map).unwrap()), properties, "the full configuration has every key of {map}");
        let unknown = with(map, "zzzzzzzzzzzzzzzz", Some(json!(1)));
        assert!(!validator().is_valid(&unknown), "{map}");
        let error = load(&unknown).unwrap_err().to_string();
        let known = error.split("; known here: ").nth(1).unwrap_or_else(|| panic!("{error}"));
        assert_eq!(known.split(", ").map(str::to_owned).collect::<BTreeSet<_>>(), properties, "{map}");
    }
}

#[test]
fn both_need_the_same_keys() {
    let schema = schema();
    for (map, definition) in MAPS {
        let definition = schema.pointer(definition).unwrap();
        let required = names(&definition["required"]);
        for key in names(&definition["properties"]) {
            let without = with(map, &key, None);
            let needed = load(&without).err().is_some_and(|errors| {
                errors.0.iter().any(|error| error.message.starts_with(&format!("needs '{key}': ")))
            });
            assert_eq!(
                (needed, validator().is_valid(&without)),
                (required.contains(&key), !required.contains(&key)),
                "{map}/{key}"
            );
            // An interest and short periods are there because of what else the configuration says.
            assert_eq!(load(&without).is_ok(), !needed, "{map}/{key}");
        }
    }
}

#[test]
fn defaults_are_what_counts_where_nothing_is_said() {
    let schema = schema();
    let mut tried = 0;
    for (map, definition) in MAPS {
        let properties = schema.pointer(definition).unwrap()["properties"].as_object().unwrap();
        for (key, property) in properties.iter().filter(|(_, property)| property.get("default").is_some()) {
            let default = Some(property["default"].clone());
            let [said, unsaid] = [default, None].map(|value| load(&with(map, key, value)).unwrap().config);
            assert_eq!(format!("{said:?}"), format!("{unsaid:?}"), "{map}/{key}");
            tried += 1;
        }
    }
    assert_eq!(tried, 13, "defaults that the schema tells");
}

#[test]
fn examples_are_good_for_both() {
    let schema = schema();
    for (map, definition) in MAPS {
        for (key, property) in schema.pointer(definition).unwrap()["properties"].as_object().unwrap() {
            for example in property.get("examples").and_then(Value::as_array).into_iter().flatten() {
                let document = with(map, key, Some(example.clone()));
                assert!(validator().is_valid(&document), "{map}/{key}: {example}");
                // The stages' periods must grow, whatever the example of one.
                if key != "after" {
                    assert!(load(&document).is_ok(), "{map}/{key}: {example}: {}", load(&document).unwrap_err());
                }
            }
        }
    }
}

#[test]
fn what_one_refuses_the_other_refuses() {
    for (map, key, values) in [
        ("", "application", &["", ".a", "a b", "a/b"][..]),
        ("", "mode", &["off"]),
        ("", "short_periods", &["yes"]),
        ("", "max_gate_lag", &["15m", "P1M", "P", "PT", "P1Y"]),
        ("/http", "listen", &["localhost", "8080"]),
        ("/evidence", "key", &[]),
        ("/topics", "partitions", &["0", "many", "10001"]),
        ("/sources/orders", "customer", &["id", "key:id", "header:", "/a~2", ""]),
        ("/sources/orders", "time", &["now", "/~", "key"]),
        ("/sources/orders", "format", &["avro", "cloudevents", "xml"]),
        ("/sources/orders", "max_silence", &["never", "P1M", "1d"]),
        ("/sources/orders", "max_rejects", &["0.1", "one%"]),
        ("/sources/orders", "history_from", &["end", "2020-01-01"]),
        ("/sources/orders", "rules", &["login"]),
        ("/sources/orders/rules/0", "activity", &["", "log in", "-login", "a:b"]),
        ("/targets/crm", "topic", &["", "a b", "crm/commands"]),
        ("/targets/crm", "acknowledge_within", &["soon", "P1Y"]),
        ("/policies/offers", "purpose", &["To sell"]),
        ("/policies/offers", "lawful_basis", &["because"]),
        ("/policies/offers", "counted_from_end_of", &["week"]),
        ("/policies/offers", "review_by", &["2027", "01-06-2027", "2027-6-1"]),
        ("/policies/offers/stages/0", "after", &["P23", "23M", "P1Y12H", "P0", "P-1M", "P1.5M"]),
        ("/policies/offers/stages/0", "command", &["delete", "recall"]),
    ] {
        for value in values.iter().map(|value| json!(value)).chain([json!({"a": {}}), json!([[]])]) {
            let document = with(map, key, Some(value.clone()));
            assert_eq!(
                (load(&document).is_ok(), validator().is_valid(&document)),
                (false, false),
                "{map}/{key}: {value}"
            );
        }
    }
}

#[test]
fn both_refuse_the_same_properties_of_kafka() {
    let refused = names(&schema()["$defs"]["kafka"]["propertyNames"]["not"]["enum"]);
    for line in include_str!("../../src/config/kafka_properties.txt").lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(' ').next().unwrap();
        let error = load(&with("/kafka", name, Some(json!([])))).unwrap_err().to_string();
        assert_eq!(error.contains("may not be set"), refused.contains(name), "{name}: {error}");
    }
}

#[test]
fn examples_in_the_repository_are_good_for_both() {
    let validator = validator();
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/config");
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = files.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect();
    assert!(files.len() >= 2, "{files:?}");
    let texts = files.iter().map(|path| std::fs::read_to_string(path).unwrap()).chain([SHOP.to_owned()]);
    for text in texts {
        let errors: Vec<_> = validator.iter_errors(&yaml::to_json(&text)).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}\n{text}");
        let today = NaiveDate::from_ymd_opt(2026, 11, 24).unwrap();
        let loaded = from_texts(&[("example.yaml".to_owned(), text)], Environment::Leave, today).unwrap();
        assert_eq!(loaded.warnings, []);
    }
}
