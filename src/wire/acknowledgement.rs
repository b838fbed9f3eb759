//! A target's answer to a command: JSON on `<app>.acks`.

use crate::retention::calendar::{Timestamp, first_instant_after};
use crate::retention::customer::{AckResult, Acknowledgement};
use chrono::{DateTime, NaiveDate};
use chrono_tz::Tz;
use serde::Deserialize;
use uuid::Uuid;

/// JSON Schema of an acknowledgement.
pub const SCHEMA: &str = include_str!("schema/acknowledgement.json");

/// Why bytes are no acknowledgement. Never later either: the record is rejected.
#[derive(Debug, thiserror::Error)]
pub enum AcknowledgementError {
    #[error("is not JSON of the form of an acknowledgement: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("has no usable customer")]
    Customer,
    #[error("has '{0}' as result; it must be done, retained or failed")]
    Result(String),
    #[error("says retained and not until when")]
    RetainedWithoutEnd,
    #[error("has a time that is no RFC 3339")]
    Time,
    #[error("has 0 as attempt; they count from 1")]
    Attempt,
}

#[derive(Deserialize)]
struct Document {
    command: Uuid,
    attempt: u32,
    customer: serde_json::Value,
    target: String,
    result: String,
    #[serde(default)]
    until: Option<String>,
    #[serde(default)]
    time: Option<String>,
}

/// Reads an acknowledgement and the customer it is about. Where it tells no time, `appended` counts; what
/// is retained until a bare date is so through that date's last second in `zone`, until an instant no longer
/// at that instant.
///
/// # Errors
/// Whatever would be unsafe to guess; unknown members are ignored.
pub fn decode(bytes: &[u8], appended: Timestamp, zone: Tz) -> Result<(String, Acknowledgement), AcknowledgementError> {
    let document: Document = serde_json::from_slice(bytes)?;
    if document.attempt == 0 {
        return Err(AcknowledgementError::Attempt);
    }
    let customer = match document.customer {
        serde_json::Value::String(text) if !text.is_empty() && !text.contains('\0') && text.len() <= 1024 => text,
        serde_json::Value::Number(number) if is_integer(&number.to_string()) => number.to_string(),
        _ => return Err(AcknowledgementError::Customer),
    };
    let result = match document.result.as_str() {
        "done" => AckResult::Done,
        "failed" => AckResult::Failed,
        "retained" => {
            let until = document.until.as_deref().ok_or(AcknowledgementError::RetainedWithoutEnd)?;
            AckResult::Retained { until: end(until, zone)? }
        }
        _ => return Err(AcknowledgementError::Result(document.result)),
    };
    let time = document.time.as_deref().map_or(Ok(appended), instant)?;
    let acknowledgement =
        Acknowledgement { command: document.command, attempt: document.attempt, target: document.target, result, time };
    Ok((customer, acknowledgement))
}

fn instant(text: &str) -> Result<Timestamp, AcknowledgementError> {
    let time = DateTime::parse_from_rfc3339(text).map_err(|_| AcknowledgementError::Time)?;
    Ok(Timestamp::from_millis_ceil(time.timestamp_millis()))
}

/// The first instant after a bare date; an instant itself.
fn end(text: &str, zone: Tz) -> Result<Timestamp, AcknowledgementError> {
    match text.parse::<NaiveDate>() {
        Ok(date) => Ok(first_instant_after(date, zone)),
        Err(_) => instant(text),
    }
}

/// As it is written, without fraction and exponent.
fn is_integer(number: &str) -> bool {
    number.strip_prefix('-').unwrap_or(number).bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";

    fn read(result: &str) -> Result<(String, Acknowledgement), AcknowledgementError> {
        let text = format!(r#"{{"command":"{ID}","attempt":2,"customer":"4711","target":"crm",{result}}}"#);
        decode(text.as_bytes(), Timestamp(7), Tz::UTC)
    }

    #[test]
    fn answers_are_read() {
        let (customer, ack) = read(r#""result":"done","time":"2026-03-05T08:00:00Z","more":1"#).unwrap();
        assert_eq!((customer.as_str(), ack.attempt, ack.result), ("4711", 2, AckResult::Done));
        assert_eq!(ack.time.to_utc_string(), "2026-03-05T08:00:00Z");
        assert_eq!(read(r#""result":"failed","reason":"db down""#).unwrap().1.time, Timestamp(7));
        let retained = read(r#""result":"retained","until":"1970-01-01""#).unwrap().1.result;
        assert_eq!(retained, AckResult::Retained { until: Timestamp(86_400) });
        let retained = read(r#""result":"retained","until":"1970-01-02T00:00:00+01:00""#).unwrap().1.result;
        assert_eq!(retained, AckResult::Retained { until: Timestamp(82_800) });
    }

    #[test]
    fn what_would_have_to_be_guessed_is_refused() {
        for result in [
            r#""result":"ok""#,
            r#""result":"retained""#,
            r#""result":"retained","until":"soon""#,
            r#""result":"done","time":"yesterday""#,
            r#""reason":"no result""#,
        ] {
            assert!(read(result).is_err(), "{result}");
        }
        for bytes in [&b"\xff"[..], b"", b"[]", b"{\"command\":1}"] {
            assert!(decode(bytes, Timestamp(0), Tz::UTC).is_err());
        }
    }

    /// What the published schema lets through is read, and what it refuses would have to be guessed.
    #[test]
    fn the_schema_agrees() {
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
        jsonschema::draft202012::meta::validate(&schema).unwrap();
        let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
        let base =
            serde_json::json!({"command": ID, "attempt": 1, "customer": "4711", "target": "crm", "result": "done"});
        for (member, value, good) in [
            ("more", r#""x""#, true),
            ("customer", "4711", true),
            ("customer", "-4711", true),
            ("customer", "4711.5", false),
            ("customer", r#""""#, false),
            ("customer", "null", false),
            ("attempt", "0", false),
            ("attempt", "-1", false),
            ("attempt", "4294967296", false),
            ("attempt", r#""1""#, false),
            ("command", r#""7""#, false),
            ("target", "null", false),
            ("result", r#""failed""#, true),
            ("result", r#""ok""#, false),
            ("result", r#""retained""#, false),
            ("reason", "null", true),
            ("until", "null", true),
            ("time", "null", true),
            ("time", r#""2026-03-05T08:00:00+01:00""#, true),
            ("time", r#""2026-03-05""#, false),
        ] {
            let mut document = base.clone();
            document[member] = serde_json::from_str(value).unwrap();
            let read = decode(document.to_string().as_bytes(), Timestamp(7), Tz::UTC);
            assert_eq!((read.is_ok(), validator.is_valid(&document)), (good, good), "{member}: {value}");
        }
        for (until, good) in
            [("2030-01-01", true), ("2030-01-01T00:00:00Z", true), ("soon", false), ("2030-02-30", false)]
        {
            let mut document = base.clone();
            document["result"] = "retained".into();
            document["until"] = until.into();
            let read = decode(document.to_string().as_bytes(), Timestamp(7), Tz::UTC);
            assert_eq!((read.is_ok(), validator.is_valid(&document)), (good, good), "{until}");
        }
    }
}
