//! Section "Extraction": a record → signals, ignored, skipped or rejected. One table a rule.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod claims;
mod cloud_events;
mod times;

use lapsed::config::{Config, Environment, load};
use lapsed::ingest::extract::{Extracted, Extractor, Headers, Outcome, RecordView};
use lapsed::retention::claims::Claim;
use proptest::prelude::*;

/// A configuration whose only source has these keys; `web` is its topic.
pub fn config(source: &str) -> Config {
    let text = format!(
        "time_zone: Europe/Amsterdam
kafka: {{bootstrap.servers: 'kafka:9092'}}
evidence: {{key: none}}
sources:
  web:
    topics: [web]
    max_silence: P1D
{source}
targets: {{crm: {{topic: crm, acknowledge_within: P3D}}}}
policies:
  offers:
    purpose: {{en: Relevant offers until two years after the last visit}}
    lawful_basis: contract
    categories: [email]
    since_last: [login]
    stages: [{{after: P2Y, command: expire}}]
    targets: [crm]
    review_by: 2099-01-01
"
    );
    let today = "2026-01-01".parse().unwrap();
    let loaded = load::from_texts(&[("test.yaml".to_owned(), text)], Environment::Leave, today);
    loaded.map_err(|errors| errors.to_string()).unwrap().config
}

/// 2024-02-29T12:00:00Z, when the records of the tables are stamped.
pub const STAMP_MS: i64 = 1_709_208_000_000;

/// The outcome in words: `4711 login 2024-02-29T12:00:00Z`, one after the other, or what became of it.
pub fn read(config: &Config, record: RecordView<'_>, now_ms: Option<i64>) -> String {
    let mut extracted = Extracted::default();
    match Extractor::new(config).extract(0, record, now_ms, &mut extracted) {
        Outcome::Ignored => "ignored".to_owned(),
        Outcome::Skipped => "skipped".to_owned(),
        Outcome::Rejected(reason) => reason.name().to_owned(),
        Outcome::Signals => {
            let activities = extracted.activities().map(|activity| {
                let kind = &config.rules.kinds[usize::from(activity.kind.0)].name;
                format!("{} {kind} {}", activity.customer, activity.happened.to_utc_string())
            });
            let claims = extracted.claims().map(|(customer, claim)| format!("{customer} {}", in_words(claim)));
            let words = activities.chain(claims);
            let replaced = if extracted.replaced { " (replaced)" } else { "" };
            words.collect::<Vec<_>>().join("; ") + replaced
        }
    }
}

/// `hold 42 2024-02-29T12:00:00Z for offers until 2030-12-31T23:00:00Z (reason)`, and the like.
fn in_words(claim: &Claim) -> String {
    match claim {
        Claim::Consent { name, given, at } => format!("{name} {given} {}", at.to_utc_string()),
        Claim::Hold { id, at, until, reason, policies } => {
            let policies = policies.as_ref().map(|policies| format!(" for {}", policies.join(" ")));
            let until = until.map(|until| format!(" until {}", until.to_utc_string()));
            let reason = Some(reason).filter(|reason| !reason.is_empty()).map(|reason| format!(" ({reason})"));
            let more = [policies, until, reason].map(Option::unwrap_or_default).concat();
            format!("hold {id} {}{more}", at.to_utc_string())
        }
        Claim::Unhold { id, at } => format!("unhold {id} {}", at.to_utc_string()),
        Claim::Erasure { at } => format!("erasure {}", at.to_utc_string()),
        Claim::Attribute { name, value: Some(value), at } => format!("{name}={value} {}", at.to_utc_string()),
        Claim::Attribute { name, value: None, at } => format!("{name} not set {}", at.to_utc_string()),
    }
}

fn record(payload: &str) -> RecordView<'_> {
    static NONE: Vec<(String, Option<Vec<u8>>)> = Vec::new();
    RecordView { timestamp_ms: Some(STAMP_MS), key: None, payload: Some(payload.as_bytes()), headers: &NONE }
}

fn table(source: &str, rows: &[(&str, &str)]) {
    let config = config(source);
    for (payload, expected) in rows {
        assert_eq!(read(&config, record(payload), None), *expected, "{payload}");
    }
}

#[test]
fn when_and_unless() {
    table(
        "    customer: /user
    time: record
    rules:
      - when: {/event: [login, 3], /deep/ok: true}
        unless: {/agent: bot, /test: null}
        activity: login",
        &[
            (r#"{"user":"a","event":"login","deep":{"ok":true}}"#, "a login 2024-02-29T12:00:00Z"),
            (r#"{"user":"a","event":3,"deep":{"ok":"true"}}"#, "a login 2024-02-29T12:00:00Z"),
            (r#"{"user":"a","event":"3","deep":{"ok":true}}"#, "a login 2024-02-29T12:00:00Z"),
            (r#"{"user":"a","event":"logout","deep":{"ok":true}}"#, "ignored"),
            (r#"{"user":"a","event":["login"],"deep":{"ok":true}}"#, "ignored"),
            (r#"{"user":"a","event":"login"}"#, "ignored"),
            (r#"{"event":"logout"}"#, "ignored"), // no rule matches, so nobody asks for the customer
            // `unless` holds only where all of it matches; null is null or absent.
            (r#"{"user":"a","event":3,"deep":{"ok":true},"agent":"bot"}"#, "ignored"),
            (r#"{"user":"a","event":3,"deep":{"ok":true},"agent":"bot","test":null}"#, "ignored"),
            (r#"{"user":"a","event":3,"deep":{"ok":true},"agent":"bot","test":1}"#, "a login 2024-02-29T12:00:00Z"),
        ],
    );
}

#[test]
fn customers() {
    table(
        "    customer: /user
    time: record
    rules: [{activity: login}]",
        &[
            (r#"{"user":"Anna"}"#, "Anna login 2024-02-29T12:00:00Z"),
            (r#"{"user":42}"#, "42 login 2024-02-29T12:00:00Z"),
            (r#"{"user":"42"}"#, "42 login 2024-02-29T12:00:00Z"),
            (r#"{"user":-7}"#, "-7 login 2024-02-29T12:00:00Z"),
            (r#"{"user":123456789012345678901234567890}"#, "123456789012345678901234567890 login 2024-02-29T12:00:00Z"),
            (r#"{"user":null}"#, "skipped"),
            (r#"{"usr":"Anna"}"#, "no_customer"),
            (r#"{"user":4.2}"#, "customer_type"),
            (r#"{"user":42.0}"#, "customer_type"),
            (r#"{"user":1e3}"#, "customer_type"),
            (r#"{"user":true}"#, "customer_type"),
            (r#"{"user":{}}"#, "customer_type"),
            (r#"{"user":["a"]}"#, "customer_type"),
            (r#"{"user":""}"#, "customer_empty"),
            (r#"{"user":"a\u0000b"}"#, "customer_bytes"),
            (&format!(r#"{{"user":"{}"}}"#, "x".repeat(1025)), "customer_too_long"),
        ],
    );
    let long = "x".repeat(1024);
    let config = config("    customer: /user\n    time: record\n    rules: [{activity: login}]");
    assert!(read(&config, record(&format!(r#"{{"user":"{long}"}}"#)), None).starts_with(&long));
}

#[test]
fn lowercase_is_opt_in() {
    table(
        "    customer: /user\n    lowercase: true\n    time: record\n    rules: [{activity: login}]",
        &[(r#"{"user":"ANNA@Example.COM"}"#, "anna@example.com login 2024-02-29T12:00:00Z")],
    );
}

#[test]
fn each_element_of_an_array_is_a_customer() {
    table(
        "    customer: /passengers/*/id
    time: /at
    rules: [{activity: login, time: /passengers/*/at}]",
        &[
            (
                r#"{"passengers":[{"id":1,"at":"2024-02-28T10:00:00Z"},{"id":2,"at":"2024-02-27T10:00:00Z"}]}"#,
                "1 login 2024-02-28T10:00:00Z; 2 login 2024-02-27T10:00:00Z",
            ),
            (
                r#"{"passengers":[{"id":null,"at":1709200000},{"id":2,"at":1709200000}]}"#,
                "2 login 2024-02-29T09:46:40Z",
            ),
            (r#"{"passengers":[{"id":1,"at":null},{"id":2,"at":1709200000}]}"#, "2 login 2024-02-29T09:46:40Z"),
            (r#"{"passengers":[]}"#, "skipped"),
            (r#"{"passengers":null}"#, "skipped"),
            (r#"{"passengers":[{"id":null}]}"#, "skipped"),
            (r#"{"passengers":[{"id":1,"at":1709200000},{"name":"x"}]}"#, "no_customer"),
            (r#"{"passengers":[{"id":1}]}"#, "no_time"),
            (r#"{"passengers":{"id":1}}"#, "no_customer"),
            (r#"{"people":[]}"#, "no_customer"),
        ],
    );
    table(
        "    customer: /cars/*/people/*/id\n    time: record\n    rules: [{activity: login}]",
        &[
            (r#"{"cars":[{"people":[{"id":1}]},{"people":[]},{"people":null}]}"#, "1 login 2024-02-29T12:00:00Z"),
            (r#"{"cars":[{"people":[{"id":1}]},{"passengers":[{"id":2}]}]}"#, "no_customer"),
            (r#"{"cars":[{"people":[{"id":1}]},{"people":{"id":2}}]}"#, "no_customer"),
        ],
    );
}

#[test]
fn every_matching_rule_applies_and_a_rules_own_null_time_is_no_activity() {
    table(
        "    customer: /id
    time: /exported_at
    rules:
      - {activity: registered, time: /created_at}
      - {activity: purchase, time: /last_order_at}
      - {activity: login, when: {/active: true}}",
        &[
            (
                r#"{"id":1,"exported_at":1709200000,"created_at":"2020-01-01","last_order_at":null,"active":true}"#,
                "1 registered 2020-01-01T22:59:59Z; 1 login 2024-02-29T09:46:40Z",
            ),
            (r#"{"id":1,"created_at":null,"last_order_at":null,"active":false}"#, "ignored"),
            (r#"{"id":1,"created_at":null,"last_order_at":null,"active":true}"#, "no_time"),
            (r#"{"id":1,"exported_at":null,"created_at":null,"last_order_at":null,"active":true}"#, "no_time"),
            (r#"{"id":1,"exported_at":1709200000,"created_at":"2020-01-01"}"#, "no_time"), // a renamed field
            (r#"{"id":null,"created_at":"bad"}"#, "skipped"),                              // the customer comes first
        ],
    );
}

#[test]
fn customers_from_key_and_headers() {
    let key = |source: &str, key: Option<&[u8]>| {
        let config = config(&format!("    customer: {source}\n    time: record\n    rules: [{{activity: login}}]"));
        read(&config, RecordView { key, ..record("{}") }, None)
    };
    assert_eq!(key("key", Some(b"Anna")), "Anna login 2024-02-29T12:00:00Z");
    assert_eq!(key("key", None), "skipped");
    assert_eq!(key("key", Some(b"")), "customer_empty");
    assert_eq!(key("key", Some(b"\xff")), "customer_bytes");
    assert_eq!(key("key", Some(&[b'x'; 10_000])), "customer_too_long");
    assert_eq!(key("'key:/id'", Some(b"{\"id\":7}")), "7 login 2024-02-29T12:00:00Z");
    assert_eq!(key("'key:/id'", Some(b"{\"id\":null}")), "skipped");
    assert_eq!(key("'key:/id'", Some(b"{}")), "no_customer");
    assert_eq!(key("'key:/id'", Some(b"no")), "key_not_json");
    assert_eq!(key("'key:/id'", None), "skipped");
    let header = |headers: Vec<(String, Option<Vec<u8>>)>| {
        let config = config("    customer: header:user\n    time: record\n    rules: [{activity: login}]");
        read(&config, RecordView { headers: &headers, ..record("{}") }, None)
    };
    let named = |value: Option<&[u8]>| ("user".to_owned(), value.map(<[u8]>::to_vec));
    assert_eq!(header(vec![named(Some(b"a")), named(Some(b"b"))]), "b login 2024-02-29T12:00:00Z");
    assert_eq!(header(vec![named(None)]), "skipped");
    assert_eq!(header(vec![]), "no_customer");
}

#[test]
fn what_cannot_be_decoded_is_rejected_and_a_tombstone_ignored() {
    let source = "    customer: /user\n    time: record\n    rules: [{activity: login}]";
    let deep = format!(r#"{{"user":"a","x":{}{}}}"#, "[".repeat(500), "]".repeat(500));
    let large = format!(r#"{{"user":"a","x":"{}"}}"#, "x".repeat(10 << 20));
    table(
        source,
        &[
            ("", "not_json"),
            ("not json", "not_json"),
            (r#"{"user":"a""#, "not_json"),
            (r#"{"user":"a"} x"#, "not_json"),
            ("{\"user\":\"a\0\"}", "not_json"),
            (r#"{"user":"\ud800"}"#, "not_json"),
            (r#"{"user":"a","user":"b"}"#, "duplicate_member"),
            (r#"{"user":"a","x":{"y":[{"z":1,"z":1}]}}"#, "duplicate_member"),
            (&deep, "too_deep"),
            (&large, "too_large"),
            ("[]", "no_customer"),
            ("3", "no_customer"),
        ],
    );
    let config = config(source);
    assert_eq!(read(&config, RecordView { payload: None, ..record("") }, None), "ignored");
    assert_eq!(read(&config, RecordView { payload: Some(b"{\"user\":\"\xff\"}"), ..record("") }, None), "not_json");
}

#[test]
fn the_records_own_timestamp_is_checked() {
    let config = config("    customer: /user\n    time: record\n    rules: [{activity: login}]");
    let at = |timestamp_ms: Option<i64>, now_ms: Option<i64>| {
        read(&config, RecordView { timestamp_ms, ..record(r#"{"user":"a"}"#) }, now_ms)
    };
    assert_eq!(at(None, None), "record_timestamp");
    assert_eq!(at(Some(0), None), "record_timestamp");
    assert_eq!(at(Some(-1), None), "record_timestamp");
    assert_eq!(at(Some(94_694_399_999), None), "record_timestamp");
    assert_eq!(at(Some(94_694_400_000), None), "a login 1973-01-01T00:00:00Z");
    assert_eq!(at(Some(STAMP_MS), Some(STAMP_MS - 300_000)), "a login 2024-02-29T12:00:00Z");
    assert_eq!(at(Some(STAMP_MS), Some(STAMP_MS - 300_001)), "record_ahead");
    assert_eq!(at(Some(STAMP_MS + 1), None), "a login 2024-02-29T12:00:01Z"); // rounded up
}

/// The same, over a tree and step by step.
fn plainly(payload: &[u8]) -> String {
    let Ok(tree) = serde_json::from_slice::<serde_json::Value>(payload) else { return "not_json".to_owned() };
    if tree.get("event").and_then(|event| event.as_str()) != Some("login") {
        return "ignored".to_owned();
    }
    match tree.get("user") {
        None => "no_customer".to_owned(),
        Some(serde_json::Value::Null) => "skipped".to_owned(),
        Some(serde_json::Value::String(user)) if user.is_empty() => "customer_empty".to_owned(),
        Some(serde_json::Value::String(user)) => format!("{user} login 2024-02-29T12:00:00Z"),
        Some(serde_json::Value::Number(user)) if user.is_u64() || user.is_i64() => {
            format!("{user} login 2024-02-29T12:00:00Z")
        }
        Some(_) => "customer_type".to_owned(),
    }
}

proptest! {
    #[test]
    fn it_reads_as_a_tree_does(
        user in prop_oneof![
            "\"[a-z]{0,3}\"", "-?[1-9][0-9]{0,4}", Just("null".to_owned()), Just("1.5".to_owned()),
            Just("[1]".to_owned()), Just("{\"a\":1}".to_owned()), "[a-z]{1,3}"
        ],
        event in prop_oneof![Just("\"login\""), Just("\"other\""), Just("null"), Just("{}")],
        has_user in any::<bool>(), nested in any::<bool>()
    ) {
        let config = config("    customer: /user\n    time: record\n    rules: [{when: {/event: login}, activity: login}]");
        let mut payload = format!("{{\"x\":{{\"user\":9}},\"event\":{event}");
        if has_user {
            payload += &format!(",\"user\":{user}");
        }
        payload += if nested { ",\"event2\":{\"event\":\"login\"}}" } else { "}" };
        prop_assert_eq!(read(&config, record(&payload), None), plainly(payload.as_bytes()), "{}", payload);
    }

    #[test]
    fn no_bytes_make_it_panic(
        payload: Vec<u8>, json in "[\\[\\]{}\",:ac0-9 .*-]{0,60}", key: Option<Vec<u8>>, timestamp_ms: Option<i64>,
        now_ms: Option<i64>, header: Option<Vec<u8>>, is_event in any::<bool>(), in_key in any::<bool>()
    ) {
        let (customer, format) = (if in_key { "key:/a/*" } else { "/a/*" }, if is_event { "cloudevents" } else { "json" });
        let config = config(&format!("    format: {format}
    customer: '{customer}'
    time: /t
    rules:
      - {{activity: login}}
      - {{consent: {{offers: /a/*/c}}, time: record}}
      - {{hold: {{id: /c/*/a, reason: /c/*, until: /c/*/t}}, time: record}}
      - {{unhold: {{id: /a/*}}, time: record}}
      - {{attribute: {{segment: /data}}, time: /a/*}}
      - {{erasure: true, time: record}}"));
        let attributes = ["ce_specversion", "ce_id", "ce_source", "ce_type", "content-type"];
        let headers: Vec<(String, Option<Vec<u8>>)> =
            attributes.map(|name| (name.to_owned(), header.clone().or(Some(b"1.0".to_vec())))).to_vec();
        let headers: &dyn Headers = &headers;
        for payload in [&payload[..], json.as_bytes()] {
            let view = RecordView { timestamp_ms, key: key.as_deref(), payload: Some(payload), headers };
            let _ = read(&config, view, now_ms);
        }
    }
}
