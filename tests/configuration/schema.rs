//! The published JSON Schema says what the loader does.

use crate::shop::{DESIGN, SHOP};
use crate::yaml;
use chrono::NaiveDate;
use lapsed::config::load::from_texts;
use lapsed::config::{Environment, LoadErrors, Loaded, SCHEMA};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::LazyLock;

pub fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

fn validator() -> &'static jsonschema::Validator {
    static VALIDATOR: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
        jsonschema::draft202012::meta::validate(&schema()).unwrap();
        jsonschema::validator_for(&schema()).unwrap()
    });
    &VALIDATOR
}

/// The maps of a configuration whose keys are ours, and their schemas.
pub const MAPS: [(&str, &str); 16] = [
    ("", ""),
    ("/http", "/$defs/http"),
    ("/http/tokens/desk", "/$defs/token"),
    ("/evidence", "/$defs/evidence"),
    ("/topics", "/$defs/topics"),
    ("/sources/orders", "/$defs/source"),
    (RULE, "/$defs/rule"),
    ("/sources/orders/rules/1/hold", "/$defs/hold"),
    ("/sources/orders/rules/2/unhold", "/$defs/unhold"),
    ("/targets/crm", "/$defs/target"),
    ("/floors/invoices", "/$defs/floor"),
    ("/policies/offers", "/$defs/policy"),
    ("/policies/offers/stages/0", "/$defs/stage"),
    ("/brake", "/$defs/brake"),
    ("/forget", "/$defs/forget"),
    ("/window", "/$defs/window"),
];

/// A rule with every key that is not what it yields; it yields an activity.
const RULE: &str = "/sources/orders/rules/0";
/// A rule has one of these.
const YIELDS: [&str; 6] = ["activity", "consent", "hold", "unhold", "erasure", "attribute"];

/// A configuration with every key there is.
fn full() -> Value {
    serde_json::from_str(include_str!("full.json")).unwrap()
}

/// JSON is YAML, so that what was changed as JSON can be loaded.
fn load(document: &Value) -> Result<Loaded, LoadErrors> {
    let today = NaiveDate::from_ymd_opt(2026, 11, 24).unwrap();
    from_texts(&[("full.yaml".to_owned(), document.to_string())], Environment::Leave, today)
}

fn with(pointer: &str, key: &str, value: Option<Value>) -> Value {
    let mut document = full();
    let map = document.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
    if pointer == RULE && YIELDS.contains(&key) {
        YIELDS.iter().for_each(|yields| _ = map.remove(*yields));
    }
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
        let mut there = names(full.pointer(map).unwrap());
        there.extend(one_of(map));
        assert_eq!(there, properties, "the full configuration has every key of {map}");
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
        for key in names(&definition["properties"]).difference(&one_of(map)) {
            let without = with(map, key, None);
            let needed = load(&without).err().is_some_and(|errors| {
                errors.0.iter().any(|error| error.message.starts_with(&format!("needs '{key}': ")))
            });
            assert_eq!(
                (needed, validator().is_valid(&without)),
                (required.contains(key), !required.contains(key)),
                "{map}/{key}"
            );
            // An interest and short periods are there because of what else the configuration says.
            assert_eq!(load(&without).is_ok(), !needed, "{map}/{key}");
        }
    }
}

fn one_of(map: &str) -> BTreeSet<String> {
    YIELDS.iter().filter(|_| map == RULE).map(|yields| (*yields).to_owned()).collect()
}

#[test]
fn both_want_a_rule_to_yield_one_thing() {
    let yields = |key: &str| match key {
        "activity" => json!("purchase"),
        "consent" => json!({"offers": true}),
        "hold" | "unhold" => json!({"id": "/case"}),
        "erasure" => json!(true),
        _ => json!({"segment": "/segment"}),
    };
    let good = |document: &Value| (load(document).is_ok(), validator().is_valid(document));
    assert_eq!(good(&with(RULE, "activity", None)), (false, false));
    for one in YIELDS {
        let mut document = with(RULE, one, Some(yields(one)));
        assert_eq!(good(&document), (true, true), "{one}");
        for other in YIELDS.into_iter().filter(|other| *other != one) {
            document.pointer_mut(RULE).unwrap()[other] = yields(other);
            assert_eq!(good(&document), (false, false), "{one} and {other}");
            document.pointer_mut(RULE).unwrap().as_object_mut().unwrap().remove(other);
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
    assert_eq!(tried, 18, "defaults that the schema tells");
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
        ("", "brake", &["1%"]),
        ("", "forget", &["P30D"]),
        ("", "window", &["09:00-17:00"]),
        ("", "floors", &["P7Y"]),
        ("/http", "tokens", &["secret"]),
        ("/http/tokens/desk", "may", &["all"]),
        ("/evidence", "key", &[]),
        ("/evidence", "keep", &["5Y", "P1Y12H"]),
        ("/brake", "per_day", &["1", "all"]),
        ("/brake", "at_least", &["-1", "few"]),
        ("/forget", "after", &["30D"]),
        ("/forget", "suppress_for", &["ever"]),
        ("/window", "days", &["mon", "monday"]),
        ("/window", "hours", &["9-17", "09:00", "09:00-25:00", "24:00-09:00"]),
        ("/floors/invoices", "since_last", &["purchase"]),
        ("/floors/invoices", "counted_from_end_of", &["week"]),
        ("/floors/invoices", "keep", &["7Y"]),
        ("/floors/invoices", "because", &["", " "]),
        ("/topics", "partitions", &["0", "many", "10001"]),
        ("/sources/orders", "customer", &["id", "key:id", "header:", "/a~2", ""]),
        ("/sources/orders", "time", &["now", "/~", "key"]),
        ("/sources/orders", "format", &["avro", "xml"]),
        ("/sources/orders", "max_silence", &["never", "P1M", "1d"]),
        ("/sources/orders", "max_rejects", &["0.1", "one%"]),
        ("/sources/orders", "history_from", &["end", "2020-01-01"]),
        ("/sources/orders", "rules", &["login"]),
        ("/sources/orders/rules/0", "activity", &["", "log in", "-login", "a:b"]),
        (RULE, "consent", &["/newsletter", "true"]),
        (RULE, "hold", &["/case"]),
        (RULE, "unhold", &["/case"]),
        (RULE, "erasure", &["yes", "false"]),
        (RULE, "attribute", &["/segment"]),
        ("/sources/orders/rules/1/hold", "id", &["", "/a~2"]),
        ("/sources/orders/rules/1/hold", "reason", &["/a~2"]),
        ("/sources/orders/rules/1/hold", "until", &["/a~2"]),
        ("/sources/orders/rules/1/hold", "policies", &["offers"]),
        ("/sources/orders/rules/2/unhold", "id", &["", "/a~2"]),
        ("/targets/crm", "topic", &["", "a b", "crm/commands"]),
        ("/targets/crm", "acknowledge_within", &["soon", "P1Y"]),
        ("/policies/offers", "purpose", &["To sell"]),
        ("/policies/offers", "lawful_basis", &["because"]),
        ("/policies/offers", "counted_from_end_of", &["week"]),
        ("/policies/offers", "consent", &["", "my offers"]),
        ("/policies/offers", "applies_to", &["consumer"]),
        ("/policies/offers", "brake", &["1%"]),
        ("/policies/offers", "per_day", &["1"]),
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
    let texts =
        files.iter().map(|path| std::fs::read_to_string(path).unwrap()).chain([SHOP, DESIGN].map(str::to_owned));
    for text in texts {
        let errors: Vec<_> = validator.iter_errors(&yaml::to_json(&text)).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}\n{text}");
        let today = NaiveDate::from_ymd_opt(2026, 11, 24).unwrap();
        let loaded = from_texts(&[("example.yaml".to_owned(), text)], Environment::Leave, today).unwrap();
        assert_eq!(loaded.warnings, []);
    }
}
