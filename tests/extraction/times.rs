//! Times by form and by size.

use super::{STAMP_MS, config, read, record};
use lapsed::ingest::extract::RecordView;

fn source(zone: &str) -> String {
    format!("    customer: /user\n    time: /at\n    time_zone: {zone}\n    rules: [{{activity: login}}]")
}

/// (value of `at`, what is read), the record stamped far in the future so that nothing is replaced.
fn table(zone: &str, rows: &[(&str, &str)]) {
    let config = config(&source(zone));
    for (value, expected) in rows {
        let payload = format!("{{\"user\":\"a\",\"at\":{value}}}");
        let view = RecordView { timestamp_ms: Some(4_000_000_000_000), ..record(&payload) };
        let found = read(&config, view, None);
        let found = found.strip_prefix("a login ").unwrap_or(&found);
        assert_eq!(found, *expected, "{value} in {zone}");
    }
}

#[test]
fn text() {
    table(
        "Europe/Amsterdam",
        &[
            ("\"2024-02-29T12:00:00Z\"", "2024-02-29T12:00:00Z"),
            ("\"2024-02-29T12:00:00+02:00\"", "2024-02-29T10:00:00Z"),
            ("\"2024-02-29t12:00:00z\"", "2024-02-29T12:00:00Z"),
            ("\"2024-02-29 12:00:00Z\"", "2024-02-29T12:00:00Z"),
            ("\"2024-02-29T12:00:00.001Z\"", "2024-02-29T12:00:01Z"), // fractions round up
            ("\"2024-02-29T12:00:00.000Z\"", "2024-02-29T12:00:00Z"),
            ("\"2024-02-29T12:00:00\"", "2024-02-29T11:00:00Z"),
            ("\"2024-02-29 12:00:00.5\"", "2024-02-29T11:00:01Z"),
            ("\"2024-02-29T12:00\"", "2024-02-29T11:00:00Z"),
            ("\"2024-10-27T02:30:00\"", "2024-10-27T01:30:00Z"), // repeated: the later
            ("\"2024-03-31T02:30:00\"", "2024-03-31T01:00:00Z"), // skipped: the instant after
            ("\"2024-02-29\"", "2024-02-29T22:59:59Z"),          // the date's last second
            ("\"1973-01-01\"", "time_before_1973"),              // begins in 1972, in UTC
            ("\"1973-01-02\"", "1973-01-02T22:59:59Z"),
            ("\"1970-01-01T00:00:00Z\"", "time_before_1973"),
            ("\"0001-01-01T00:00:00Z\"", "time_before_1973"),
            ("\"2023-02-29\"", "time_malformed"),
            ("\"2024-02-29T25:00:00Z\"", "time_malformed"),
            ("\"yesterday\"", "time_malformed"),
            ("\"\"", "time_malformed"),
            ("\"1709208000\"", "time_malformed"), // a number is a number
            ("\"2024-2-9\"", "time_malformed"),
            ("\"２０２４-02-29\"", "time_malformed"),
            ("true", "time_malformed"),
            ("[]", "time_malformed"),
            ("null", "no_time"),
        ],
    );
    table("America/Sao_Paulo", &[("\"2018-11-04T00:30:00\"", "2018-11-04T03:00:00Z")]);
    table("UTC", &[("\"1973-01-01\"", "1973-01-01T23:59:59Z"), ("\"1972-12-31\"", "time_before_1973")]);
}

#[test]
fn numbers_by_their_size() {
    table(
        "UTC",
        &[
            ("19782", "2024-02-29T23:59:59Z"), // days
            ("1709208000", "2024-02-29T12:00:00Z"),
            ("1709208000.25", "2024-02-29T12:00:01Z"),
            ("1709208000000", "2024-02-29T12:00:00Z"),
            ("1709208000001", "2024-02-29T12:00:01Z"),
            ("1709208000000000", "2024-02-29T12:00:00Z"),
            ("1709208000000000000", "2024-02-29T12:00:00Z"),
            ("1709208000000000001", "2024-02-29T12:00:01Z"),
            ("1.709208e9", "2024-02-29T12:00:00Z"),
            ("1096", "1973-01-01T23:59:59Z"),
            ("1095", "time_before_1973"),
            ("94694400", "1973-01-01T00:00:00Z"),
            ("94694399", "time_before_1973"),
            ("94694400000", "1973-01-01T00:00:00Z"),
            ("0", "time_before_1973"),
            ("-1", "time_before_1973"),
            ("-1709208000", "time_before_1973"),
            ("5000000000000000000", "time_after_2100"),
            ("123456789012345678901234567890", "time_after_2100"),
            ("1e400", "time_after_2100"),
            ("19782.5", "time_malformed"), // half a day is no date
        ],
    );
}

#[test]
fn a_time_ahead_of_its_record_is_replaced_by_it() {
    let config = config(&source("Europe/Amsterdam"));
    let at = |value: &str| {
        let payload = format!("{{\"user\":\"a\",\"at\":{value}}}");
        read(&config, RecordView { timestamp_ms: Some(STAMP_MS), ..record(&payload) }, None)
    };
    assert_eq!(at("1709208300"), "a login 2024-02-29T12:05:00Z");
    assert_eq!(at("1709208301"), "a login 2024-02-29T12:00:00Z (replaced)");
    assert_eq!(at("\"9999-01-01T00:00:00Z\""), "a login 2024-02-29T12:00:00Z (replaced)");
    // A bare date of today ends after the record, and is checked by its beginning.
    assert_eq!(at("\"2024-02-29\""), "a login 2024-02-29T22:59:59Z");
    assert_eq!(at("\"2024-03-01\""), "a login 2024-02-29T12:00:00Z (replaced)");
}

#[test]
fn at_day_resolution_an_activity_counts_as_its_days_last_second() {
    use lapsed::ingest::extract::{Extracted, Extractor, Outcome};
    let config = config(&source("UTC"));
    let mut extracted = Extracted::default();
    let payload = r#"{"user":"a","at":"2024-02-28T23:30:00Z"}"#; // the 29th in Amsterdam
    let outcome = Extractor::new(&config).extract(0, record(payload), None, &mut extracted);
    assert_eq!(outcome, Outcome::Signals);
    let activity = extracted.activities().next().unwrap();
    assert_eq!(activity.at.to_local_string(config.rules.zone), "2024-02-29T23:59:59+01:00");
}
