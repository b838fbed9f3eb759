//! A target's answer to a command: JSON on `<app>.acks`.

use crate::retention::calendar::{Timestamp, last_second};
use crate::retention::customer::{AckResult, Acknowledgement};
use chrono::{DateTime, NaiveDate};
use chrono_tz::Tz;
use serde::Deserialize;
use uuid::Uuid;

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

/// Reads an acknowledgement and the customer it is about. Where it tells no time, `appended` counts; a
/// bare date of `until` ends with its last second in `zone`.
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
        serde_json::Value::Number(number) => number.to_string(),
        _ => return Err(AcknowledgementError::Customer),
    };
    let result = match document.result.as_str() {
        "done" => AckResult::Done,
        "failed" => AckResult::Failed,
        "retained" => {
            let until = document.until.as_deref().ok_or(AcknowledgementError::RetainedWithoutEnd)?;
            AckResult::Retained { until: instant_or_date(until, zone)? }
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

fn instant_or_date(text: &str, zone: Tz) -> Result<Timestamp, AcknowledgementError> {
    match text.parse::<NaiveDate>() {
        Ok(date) => Ok(last_second(date, zone)),
        Err(_) => instant(text),
    }
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
        assert_eq!(retained, AckResult::Retained { until: Timestamp(86_399) });
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
}
