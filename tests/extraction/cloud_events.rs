//! CloudEvents of the Kafka protocol binding, in both modes.

use super::{config, read, record};
use lapsed::ingest::extract::RecordView;

const SOURCE: &str = "    format: cloudevents
    customer: /data/user
    time: /time
    rules:
      - {when: {/type: shop.login}, activity: login}
      - {when: {/type: shop.forget_me, /channel: web}, erasure: true}";
/// One that reads no data.
const ATTRIBUTES_ONLY: &str = "    format: cloudevents
    customer: /subject
    time: /time
    rules: [{when: {/type: shop.login}, activity: login}]";

const LOGIN: &str = "a login 2024-02-29T11:00:00Z";

fn with(source: &str, headers: &[(&str, &str)], payload: Option<&[u8]>) -> String {
    let header = |(name, value): &(&str, &str)| ((*name).to_owned(), Some(value.as_bytes().to_vec()));
    let headers: Vec<_> = headers.iter().map(header).collect();
    read(&config(source), RecordView { headers: &headers, payload, ..record("") }, None)
}

fn structured(members: &str) -> String {
    let payload = format!(r#"{{"specversion":"1.0","id":"1","source":"/shop","type":"shop.login",{members}}}"#);
    with(SOURCE, &[("content-type", "application/cloudevents+json; charset=UTF-8")], Some(payload.as_bytes()))
}

/// A login of binary mode with some headers changed (`-`: left out) or more.
fn binary(source: &str, changes: &[(&str, &str)], payload: Option<&str>) -> String {
    let mut headers = vec![
        ("ce_specversion", "1.0"),
        ("ce_id", "1"),
        ("ce_source", "/shop"),
        ("ce_type", "shop.login"),
        ("ce_time", "2024-02-29T11:00:00Z"),
        ("ce_subject", "a"),
        ("content-type", "application/json"),
    ];
    headers.retain(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
    headers.extend(changes.iter().filter(|(_, value)| *value != "-"));
    with(source, &headers, payload.map(str::as_bytes))
}

#[test]
fn structured_mode() {
    let time = r#""time":"2024-02-29T11:00:00Z""#;
    for (members, expected) in [
        (format!(r#"{time},"data":{{"user":"a"}}"#), LOGIN),
        (format!(r#"{time},"data":{{"user":"a"}},"datacontenttype":"application/vnd.shop+json""#), LOGIN),
        (format!(r#"{time},"data_base64":"eyJ1c2VyIjoiYSJ9""#), LOGIN),
        (
            format!(r#"{time},"data_base64":"eyJ1c2VyIjoiYSJ9","datacontenttype":"Application/JSON; charset=utf-8""#),
            LOGIN,
        ),
        (format!(r#"{time},"data_base64":"eyJ1c2VyIjoiYSJ9","data":null"#), LOGIN),
        (format!(r#"{time},"data":{{"user":null}}"#), "skipped"),
        (format!(r#"{time},"data":{{"usr":"a"}}"#), "no_customer"),
        (time.to_owned(), "no_customer"),
        (r#""data":{"user":"a"}"#.to_owned(), "no_time"),
        (format!(r#"{time},"data_base64":"no base64""#), "cloud_event_data"),
        (format!(r#"{time},"data_base64":7"#), "cloud_event_data"),
        (format!(r#"{time},"data_base64":"eyJ1c2VyIjoiYSJ9","data":{{"user":"b"}}"#), "cloud_event_data"),
        (format!(r#"{time},"data_base64":"eA==""#), "not_json"),
        (format!(r#"{time},"data":"<user/>","datacontenttype":"text/xml""#), "data_not_json"),
        (format!(r#"{time},"data_base64":"eyJ1c2VyIjoiYSJ9","datacontenttype":"image/png""#), "data_not_json"),
    ] {
        assert_eq!(structured(&members), expected, "{members}");
    }
}

#[test]
fn what_is_no_event_is_rejected() {
    let structured =
        |content_type: &str, payload: &str| with(SOURCE, &[("content-type", content_type)], Some(payload.as_bytes()));
    let event = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t"}"#;
    for (content_type, payload, expected) in [
        ("application/cloudevents+json", event, "ignored"),
        ("APPLICATION/CloudEvents+JSON", event, "ignored"),
        ("application/cloudevents", event, "ignored"),
        ("application/cloudevents+json", "no json", "not_json"),
        ("application/cloudevents+json", r#"{"id":"1","source":"/s","type":"t"}"#, "cloud_event_incomplete"),
        (
            "application/cloudevents+json",
            r#"{"specversion":"1.0","id":"","source":"/s","type":"t"}"#,
            "cloud_event_incomplete",
        ),
        (
            "application/cloudevents+json",
            r#"{"specversion":"1.0","id":1,"source":"/s","type":"t"}"#,
            "cloud_event_incomplete",
        ),
        (
            "application/cloudevents+json",
            r#"{"specversion":"0.3","id":"1","source":"/s","type":"t"}"#,
            "cloud_event_version",
        ),
        ("application/cloudevents-batch+json", "[]", "cloud_event_batch"),
        ("application/json", event, "no_cloud_event"),
        ("", event, "no_cloud_event"),
    ] {
        assert_eq!(structured(content_type, payload), expected, "{content_type}: {payload}");
    }
    assert_eq!(with(SOURCE, &[], Some(event.as_bytes())), "no_cloud_event");
    assert_eq!(with(SOURCE, &[], None), "ignored", "a tombstone");
    assert_eq!(with(SOURCE, &[("content-type", "application/cloudevents+json")], None), "ignored", "a tombstone");
}

#[test]
fn binary_mode() {
    let data = Some(r#"{"user":"a"}"#);
    for (changes, payload, expected) in [
        (&[][..], data, LOGIN),
        (&[("content-type", "-")], data, LOGIN),
        (&[("content-type", "-"), ("Content-Type", "application/json")], data, LOGIN),
        (&[("content-type", "application/vnd.shop+json;x=y")], data, LOGIN),
        (&[("ce_type", "shop.forget_me"), ("ce_channel", "web")], data, "a erasure 2024-02-29T11:00:00Z"),
        (&[("ce_type", "shop.forget_me")], data, "ignored"),
        (&[("CE_TYPE", "shop.logout")], data, LOGIN), // attributes' headers are in lower case
        (&[("ce_id", "-")], data, "cloud_event_incomplete"),
        (&[("ce_source", "")], data, "cloud_event_incomplete"),
        (&[("ce_specversion", "0.3")], data, "cloud_event_version"),
        (&[("ce_time", "-")], data, "no_time"),
        (&[("content-type", "text/plain")], data, "data_not_json"),
        (&[], Some("no json"), "not_json"),
        (&[], Some(r#"{"user":"a"},"type":"x""#), "not_json"),
        (&[], Some(r#"{"user":"a","user":"b"}"#), "duplicate_member"),
        // No data: the customer is missing.
        (&[], Some(""), "no_customer"),
        (&[], None, "no_customer"),
    ] {
        assert_eq!(binary(SOURCE, changes, payload), expected, "{changes:?} {payload:?}");
    }
    let last_counts = [("ce_type", "shop.logout"), ("ce_type", "shop.login")];
    assert_eq!(binary(SOURCE, &last_counts, data), LOGIN);
    let not_utf8: Vec<(String, Option<Vec<u8>>)> =
        vec![("ce_specversion".to_owned(), Some(b"1.0".to_vec())), ("ce_type".to_owned(), Some(b"\xff".to_vec()))];
    let view = RecordView { headers: &not_utf8, ..record("{}") };
    assert_eq!(read(&config(SOURCE), view, None), "cloud_event_header");
}

#[test]
fn data_that_nobody_reads_may_be_anything() {
    for (changes, payload) in [
        (&[][..], Some(r#"{"user":"b"}"#)),
        (&[("content-type", "image/png")], Some("\u{1}\u{2}")),
        (&[], Some("")),
        (&[], None), // an event without data has no value, and is no tombstone
    ] {
        assert_eq!(binary(ATTRIBUTES_ONLY, changes, payload), LOGIN, "{changes:?} {payload:?}");
    }
}

/// Attributes can't be told by what is below the data, nor by members that only look like them.
#[test]
fn attributes_of_binary_mode_come_from_headers_alone() {
    assert_eq!(binary(SOURCE, &[], Some(r#"{"user":"a","type":"shop.logout","time":"2020-01-01"}"#)), LOGIN);
    let content_type = "    format: cloudevents
    customer: /subject
    time: /time
    rules: [{when: {/datacontenttype: application/json}, activity: login}]";
    assert_eq!(binary(content_type, &[("ce_datacontenttype", "text/plain")], None), LOGIN);
}
