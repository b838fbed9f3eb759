//! What is told of a customer beyond activity.

use super::{STAMP_MS, config, read, record, table};
use lapsed::ingest::extract::{Extracted, Extractor, Outcome, RecordView};

const NOON: &str = "2024-02-29T12:00:00Z";

/// A source whose only rule yields this.
fn rule(yields: &str) -> String {
    format!("    customer: /user\n    time: record\n    rules: [{{{yields}}}]")
}

/// What a rule makes of a record of customer `a` with these members.
fn rows(yields: &str, rows: &[(&str, &str)]) {
    let config = config(&rule(yields));
    for (members, expected) in rows {
        let payload = format!(r#"{{"user":"a"{members}}}"#);
        let expected = expected.replace("NOON", NOON);
        assert_eq!(read(&config, record(&payload), None), expected, "{yields}: {payload}");
    }
}

#[test]
fn consents() {
    rows(
        "consent: {offers: /offers, newsletter: /newsletter}",
        &[
            (r#","offers":true,"newsletter":false"#, "a newsletter false NOON; a offers true NOON"),
            (r#","offers":true"#, "a offers true NOON"),
            (r#","offers":true,"newsletter":null"#, "a offers true NOON"),
            (r#","offers":null"#, "ignored"),
            ("", "ignored"),
            (r#","offers":"true""#, "consent_type"),
            (r#","offers":1"#, "consent_type"),
            (r#","offers":[true]"#, "consent_type"),
            (r#","offers":{},"newsletter":true"#, "consent_type"),
        ],
    );
    rows("consent: {offers: false}", &[("", "a offers false NOON")]);
}

#[test]
fn a_record_that_tells_nothing_is_a_sign_of_life_all_the_same() {
    let config = config(&rule("consent: {offers: /offers}"));
    let mut extracted = Extracted::default();
    let outcome = Extractor::new(&config).extract(0, record(r#"{"user":"a"}"#), None, &mut extracted);
    assert_eq!((outcome, extracted.matched), (Outcome::Ignored, vec![0]));
}

#[test]
fn holds_have_an_id() {
    let long = "x".repeat(1024);
    rows(
        "hold: {id: /case}",
        &[
            (r#","case":"c7""#, "a hold c7 NOON"),
            (r#","case":42"#, "a hold 42 NOON"),
            (r#","case":-42"#, "a hold -42 NOON"),
            (&format!(r#","case":"{long}""#), &format!("a hold {long} NOON")),
            (&format!(r#","case":"{long}x""#), "hold_id_length"),
            (r#","case":"""#, "hold_id_length"),
            (r#","case":4.2"#, "hold_id_type"),
            (r#","case":true"#, "hold_id_type"),
            (r#","case":["c7"]"#, "hold_id_type"),
            (r#","case":null"#, "no_hold_id"),
            ("", "no_hold_id"),
        ],
    );
    rows("hold: {id: legal, reason: a lawsuit}", &[("", "a hold legal NOON (a lawsuit)")]);
    rows("hold: {id: 42, policies: [offers]}", &[("", "a hold 42 NOON for offers")]);
}

#[test]
fn the_last_second_of_a_date_is_held_and_the_instant_is_not() {
    rows(
        "hold: {id: c, until: /until}",
        &[
            (r#","until":"2030-12-31""#, "a hold c NOON until 2030-12-31T23:00:00Z"),
            (r#","until":"2030-12-31T23:00:00+01:00""#, "a hold c NOON until 2030-12-31T22:00:00Z"),
            (r#","until":"2030-12-31T23:00:00""#, "a hold c NOON until 2030-12-31T22:00:00Z"),
            (r#","until":"2030-12-31T22:00:00.5Z""#, "a hold c NOON until 2030-12-31T22:00:01Z"),
            (r#","until":1924988400"#, "a hold c NOON until 2030-12-31T23:00:00Z"),
            (r#","until":22279"#, "a hold c NOON until 2030-12-31T23:00:00Z"), // a day number is like a date
            (r#","until":"2024-01-01""#, "a hold c NOON until 2024-01-01T23:00:00Z"), // over already
            // What can't be read has no end.
            ("", "a hold c NOON"),
            (r#","until":null"#, "a hold c NOON"),
            (r#","until":"soon""#, "a hold c NOON"),
            (r#","until":"2030-02-30""#, "a hold c NOON"),
            (r#","until":true"#, "a hold c NOON"),
            (r#","until":{}"#, "a hold c NOON"),
            (r#","until":0"#, "a hold c NOON"),
            (r#","until":"1969-07-20""#, "a hold c NOON"),
        ],
    );
    rows("hold: {id: c, until: 2030-12-31}", &[("", "a hold c NOON until 2030-12-31T23:00:00Z")]);
    rows("hold: {id: c, until: 1924988400}", &[("", "a hold c NOON until 2030-12-31T23:00:00Z")]);
    table(
        "    customer: /user\n    time: record\n    time_zone: UTC\n    rules: [{hold: {id: c, until: 2030-12-31}}]",
        &[(r#"{"user":"a"}"#, "a hold c 2024-02-29T12:00:00Z until 2031-01-01T00:00:00Z")],
    );
}

#[test]
fn reasons_are_text_and_not_too_long() {
    let long = "é".repeat(300);
    rows(
        "hold: {id: c, reason: /reason}",
        &[
            (r#","reason":"dispute""#, "a hold c NOON (dispute)"),
            (r#","reason":7"#, "a hold c NOON (7)"),
            (r#","reason":true"#, "a hold c NOON (true)"),
            (r#","reason":null"#, "a hold c NOON"),
            (r#","reason":["x"]"#, "a hold c NOON"),
            (&format!(r#","reason":"{long}""#), &format!("a hold c NOON ({})", "é".repeat(256))),
        ],
    );
}

#[test]
fn unholds_and_erasure() {
    rows("unhold: {id: /case}", &[(r#","case":7"#, "a unhold 7 NOON"), ("", "no_hold_id")]);
    rows("erasure: true", &[("", "a erasure NOON")]);
}

#[test]
fn attributes() {
    let long = "x".repeat(1024);
    rows(
        "attribute: {segment: /segment}",
        &[
            (r#","segment":"consumer""#, "a segment=consumer NOON"),
            (r#","segment":3"#, "a segment=3 NOON"),
            (r#","segment":1.50"#, "a segment=1.50 NOON"),
            (r#","segment":false"#, "a segment=false NOON"),
            (r#","segment":"""#, "a segment= NOON"),
            (r#","segment":null"#, "a segment not set NOON"),
            ("", "ignored"),
            (r#","segment":[]"#, "attribute_type"),
            (r#","segment":{}"#, "attribute_type"),
            (&format!(r#","segment":"{long}""#), &format!("a segment={long} NOON")),
            (&format!(r#","segment":"{long}x""#), "attribute_too_long"),
        ],
    );
    rows("attribute: {segment: business, vip: true}", &[("", "a segment=business NOON; a vip=true NOON")]);
}

/// Of two words of one day the later counts, so their times are not rounded to the day.
#[test]
fn times_are_true_ones_and_not_ahead_of_the_record() {
    table(
        "    customer: /user
    time: /at
    rules:
      - {consent: {offers: /offers}}
      - {when: {/forget: true}, erasure: true, time: /asked}",
        &[
            (r#"{"user":"a","at":"2024-02-28T09:30:00Z","offers":true}"#, "a offers true 2024-02-28T09:30:00Z"),
            (r#"{"user":"a","at":"2024-02-28","offers":true}"#, "a offers true 2024-02-28T22:59:59Z"),
            (
                r#"{"user":"a","at":"2024-02-29T12:05:01Z","offers":true}"#,
                "a offers true 2024-02-29T12:00:00Z (replaced)",
            ),
            (r#"{"user":"a","at":"2024-02-29T12:05:01Z","offers":null}"#, "ignored"),
            (r#"{"user":"a","at":null,"offers":true}"#, "no_time"),
            (r#"{"user":"a","at":"1960-01-01","offers":true}"#, "time_before_1973"),
            (
                r#"{"user":"a","at":1709200000,"offers":false,"forget":true,"asked":"2024-02-01"}"#,
                "a offers false 2024-02-29T09:46:40Z; a erasure 2024-02-01T22:59:59Z",
            ),
            // A rule's own time that is null: that rule doesn't apply.
            (
                r#"{"user":"a","at":1709200000,"offers":false,"forget":true,"asked":null}"#,
                "a offers false 2024-02-29T09:46:40Z",
            ),
            (r#"{"user":"a","at":1709200000,"forget":true}"#, "no_time"),
        ],
    );
}

#[test]
fn every_matching_rule_applies_and_one_that_cannot_be_read_rejects_all() {
    table(
        "    customer: /user
    time: record
    rules:
      - {activity: login}
      - {consent: {offers: /offers}}
      - {when: {/case: c7}, hold: {id: /case}}",
        &[
            (
                r#"{"user":"a","offers":true,"case":"c7"}"#,
                "a login 2024-02-29T12:00:00Z; a offers true 2024-02-29T12:00:00Z; a hold c7 2024-02-29T12:00:00Z",
            ),
            (r#"{"user":"a","offers":"yes","case":"c7"}"#, "consent_type"),
            (r#"{"user":null,"offers":"yes"}"#, "skipped"),
        ],
    );
}

#[test]
fn fields_in_the_customers_array_belong_to_the_customer() {
    table(
        "    customer: /people/*/id
    time: record
    rules: [{hold: {id: /people/*/case, reason: /reason, until: /people/*/until}}]",
        &[
            (
                r#"{"reason":"r","people":[{"id":1,"case":"x","until":"2030-12-31"},{"id":2,"case":"y"},{"id":null,"case":"z"}]}"#,
                "1 hold x 2024-02-29T12:00:00Z until 2030-12-31T23:00:00Z (r); 2 hold y 2024-02-29T12:00:00Z (r)",
            ),
            (r#"{"people":[{"id":1,"case":"x"},{"id":2}]}"#, "no_hold_id"),
        ],
    );
}

#[test]
fn each_element_of_another_array_is_a_signal() {
    table(
        "    customer: /user
    time: record
    rules: [{hold: {id: /cases/*/id, reason: /cases/*/why, until: /until}}]",
        &[
            (
                r#"{"user":"a","cases":[{"id":1,"why":"x"},{"id":2}],"until":"2030-12-31"}"#,
                "a hold 1 2024-02-29T12:00:00Z until 2030-12-31T23:00:00Z (x); a hold 2 2024-02-29T12:00:00Z until \
                 2030-12-31T23:00:00Z",
            ),
            (r#"{"user":"a","cases":[]}"#, "ignored"),
            (r#"{"user":"a","cases":null}"#, "ignored"),
            (r#"{"user":"a","cases":[{"id":1},{}]}"#, "no_hold_id"),
            // A renamed field looks like this.
            (r#"{"user":"a","kases":[{"id":1}]}"#, "no_hold_id"),
            (r#"{"user":"a","cases":{"id":1}}"#, "no_hold_id"),
        ],
    );
    table(
        "    customer: /people/*/id
    time: record
    rules: [{unhold: {id: /people/*/cases/*}}]",
        &[(
            r#"{"people":[{"id":1,"cases":["x","y"]},{"id":2,"cases":[]},{"id":3,"cases":["z"]}]}"#,
            "1 unhold x 2024-02-29T12:00:00Z; 1 unhold y 2024-02-29T12:00:00Z; 3 unhold z 2024-02-29T12:00:00Z",
        )],
    );
    table(
        "    customer: /user
    time: record
    rules: [{unhold: {id: /months/*/cases/*/id}}]",
        &[
            (
                r#"{"user":"a","months":[{"cases":[{"id":"x"}]},{"cases":[]},{"cases":null},{"cases":[{"id":"y"}]}]}"#,
                "a unhold x 2024-02-29T12:00:00Z; a unhold y 2024-02-29T12:00:00Z",
            ),
            (r#"{"user":"a","months":[]}"#, "ignored"),
            (r#"{"user":"a","months":[{"cases":[{"id":"x"}]},{}]}"#, "no_hold_id"),
            (r#"{"user":"a","months":[{"cases":[{"id":"x"}]},{"kases":[{"id":"y"}]}]}"#, "no_hold_id"),
            (r#"{"user":"a","months":[{"cases":"x"}]}"#, "no_hold_id"),
            (r#"{"user":"a","months":[7]}"#, "no_hold_id"),
        ],
    );
    table(
        "    customer: /people/*/id
    time: record
    rules: [{unhold: {id: /cases/*}}]",
        &[(
            r#"{"people":[{"id":1},{"id":2}],"cases":["x","y"]}"#,
            "1 unhold x 2024-02-29T12:00:00Z; 1 unhold y 2024-02-29T12:00:00Z; 2 unhold x 2024-02-29T12:00:00Z; \
             2 unhold y 2024-02-29T12:00:00Z",
        )],
    );
}

#[test]
fn each_time_in_an_array_is_an_activity() {
    table(
        "    customer: /user
    time: record
    rules: [{activity: login, time: /logins/*/at}]",
        &[
            (
                r#"{"user":"a","logins":[{"at":1709100000},{"at":null},{"at":1709200000}]}"#,
                "a login 2024-02-28T06:00:00Z; a login 2024-02-29T09:46:40Z",
            ),
            (r#"{"user":"a","logins":[]}"#, "ignored"),
            (r#"{"user":"a","logins":[{}]}"#, "no_time"),
            (r#"{"user":"a"}"#, "no_time"),
        ],
    );
}

#[test]
fn a_record_yields_no_more_than_can_be_handled() {
    let config = config("    customer: /people/*\n    time: record\n    rules: [{unhold: {id: /cases/*}}]");
    let numbers = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let payload = |people, cases| format!(r#"{{"people":[{}],"cases":[{}]}}"#, numbers(people), numbers(cases));
    let mut extracted = Extracted::default();
    let mut outcome = |payload: &str| {
        let view = RecordView { timestamp_ms: Some(STAMP_MS), ..record(payload) };
        Extractor::new(&config).extract(0, view, None, &mut extracted)
    };
    assert_eq!(outcome(&payload(400, 250)), Outcome::Signals);
    assert_eq!(read(&config, record(&payload(400, 251)), None), "too_many_signals");
    // Nor is time spent on what yields nothing.
    let config = super::config("    customer: /people/*\n    time: record\n    rules: [{attribute: {a: /cases/*/a}}]");
    assert_eq!(read(&config, record(&payload(400, 250)), None), "ignored");
    assert_eq!(read(&config, record(&payload(300_000, 300_000)), None), "too_many_signals");
}
