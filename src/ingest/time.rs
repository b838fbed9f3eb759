//! When an event happened: a value of a document → an instant.

use crate::ingest::json::Value;
use crate::wire::time::{EventTime, TimeError, of_number, of_text};
use chrono_tz::Tz;

/// Reads a time: RFC 3339; a date-time without zone, in `zone`; a bare date; Unix time in days, seconds,
/// milli-, micro- or nanoseconds.
///
/// # Errors
/// Anything else, whatever lies before 1973, and numbers beyond 2100 in every unit.
pub fn read(value: Value<'_>, zone: Tz) -> Result<EventTime, TimeError> {
    match value {
        Value::Number(text) => of_number(text, zone),
        Value::Text(text) => of_text(text, zone),
        Value::Null | Value::Bool(_) | Value::Array | Value::Object => Err(TimeError::Malformed),
    }
}
