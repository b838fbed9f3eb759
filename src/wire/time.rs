//! When something happens, as systems write it: text and numbers → an instant.

use crate::retention::calendar::{Seconds, Timestamp, first_instant_of, last_second};
use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, TimeZone};
use chrono_tz::Tz;
use std::num::IntErrorKind;

/// An event's time. `checked` differs from `at` for bare dates: they mean their last second, and are
/// checked by their first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventTime {
    pub at: Timestamp,
    pub checked: Timestamp,
}

impl EventTime {
    /// The first instant after it: that of a bare date lies after its last second, an instant is its own.
    pub fn end(self) -> Timestamp {
        if self.at == self.checked { self.at } else { self.at + Seconds(1) }
    }

    fn not_before_first(self) -> Result<EventTime, TimeError> {
        if self.checked < Timestamp(FIRST_SECONDS) { Err(TimeError::BeforeFirst) } else { Ok(self) }
    }
}

/// Why a value is no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    #[error("is no RFC 3339 time, date or Unix time")]
    Malformed,
    #[error("lies before 1973")]
    BeforeFirst,
    #[error("lies after 2100")]
    AfterLast,
}

/// 1973-01-01T00:00:00Z; from here to 2100 the size of a number tells its unit.
pub const FIRST_SECONDS: i64 = 94_694_400;
/// 2101-01-01T00:00:00Z.
const END_SECONDS: i64 = 4_133_980_800;
const FIRST_DAY: i64 = FIRST_SECONDS / 86_400;
const END_DAY: i64 = END_SECONDS / 86_400;

/// Reads a text: RFC 3339; a date-time without zone, in `zone`; a bare date.
///
/// # Errors
/// Anything else, and whatever lies before 1973.
pub fn of_text(text: &str, zone: Tz) -> Result<EventTime, TimeError> {
    self::text(text, zone)?.not_before_first()
}

/// Reads a number: Unix time in days, seconds, milli-, micro- or nanoseconds.
///
/// # Errors
/// Whatever lies before 1973, or after 2100 in every unit.
pub fn of_number(number: &str, zone: Tz) -> Result<EventTime, TimeError> {
    self::number(number, zone)?.not_before_first()
}

/// Reads what may be either.
///
/// # Errors
/// Those of both.
pub fn of_either(written: &str, zone: Tz) -> Result<EventTime, TimeError> {
    match of_text(written, zone) {
        Err(TimeError::Malformed) => of_number(written, zone),
        read => read,
    }
}

fn instant(at: Timestamp) -> EventTime {
    EventTime { at, checked: at }
}

fn day(date: NaiveDate, zone: Tz) -> EventTime {
    EventTime { at: last_second(date, zone), checked: first_instant_of(date, zone) }
}

fn number(text: &str, zone: Tz) -> Result<EventTime, TimeError> {
    if text.starts_with('-') {
        return Err(TimeError::BeforeFirst);
    }
    match text.parse::<i64>() {
        Ok(whole) => return whole_number(whole, zone),
        Err(error) if *error.kind() == IntErrorKind::PosOverflow => return Err(TimeError::AfterLast),
        Err(_) => {}
    }
    let value: f64 = text.parse().map_err(|_| TimeError::Malformed)?;
    if !value.is_finite() || value >= i64::MAX as f64 {
        return Err(TimeError::AfterLast);
    }
    if value.fract() == 0.0 {
        return whole_number(value as i64, zone);
    }
    // A fraction has meaning for every unit but days; it rounds up to the whole second.
    let (units, whole) = (unit(value.floor() as i64)?, value.ceil() as i64);
    match units {
        Unit::Days => Err(TimeError::Malformed),
        Unit::PerSecond(per_second) => Ok(instant(seconds_ceil(whole, per_second))),
    }
}

enum Unit {
    Days,
    /// How many of it make a second.
    PerSecond(i64),
}

fn unit(number: i64) -> Result<Unit, TimeError> {
    if (FIRST_DAY..END_DAY).contains(&number) {
        return Ok(Unit::Days);
    }
    for per_second in [1, 1_000, 1_000_000, 1_000_000_000] {
        if (FIRST_SECONDS * per_second..END_SECONDS * per_second).contains(&number) {
            return Ok(Unit::PerSecond(per_second));
        }
    }
    Err(if number >= END_SECONDS * 1_000_000_000 { TimeError::AfterLast } else { TimeError::BeforeFirst })
}

fn whole_number(number: i64, zone: Tz) -> Result<EventTime, TimeError> {
    match unit(number)? {
        Unit::PerSecond(per_second) => Ok(instant(seconds_ceil(number, per_second))),
        Unit::Days => {
            let days = u64::try_from(number).map_err(|_| TimeError::BeforeFirst)?;
            let date = NaiveDate::default().checked_add_days(Days::new(days)).ok_or(TimeError::AfterLast)?;
            Ok(day(date, zone))
        }
    }
}

fn seconds_ceil(number: i64, per_second: i64) -> Timestamp {
    // To divide by a constant takes a multiplication.
    match per_second {
        1_000 => ceil_by::<1_000>(number),
        1_000_000 => ceil_by::<1_000_000>(number),
        1_000_000_000 => ceil_by::<1_000_000_000>(number),
        _ => Timestamp(-(-number).div_euclid(per_second)),
    }
}

fn ceil_by<const PER_SECOND: i64>(number: i64) -> Timestamp {
    Timestamp(-(-number).div_euclid(PER_SECOND))
}

fn text(text: &str, zone: Tz) -> Result<EventTime, TimeError> {
    let bytes = text.as_bytes();
    let date = text.get(..10).filter(|_| bytes.is_ascii()).ok_or(TimeError::Malformed)?;
    let date = plain_date(date).ok_or(TimeError::Malformed)?;
    if bytes.len() == 10 {
        return Ok(day(date, zone));
    }
    // RFC 3339 allows a space and lower-case letters.
    let mut normal = text.to_ascii_uppercase();
    if !matches!(bytes[10], b'T' | b't' | b' ') || bytes.len() < 16 {
        return Err(TimeError::Malformed);
    }
    normal.replace_range(10..11, "T");
    let has_zone = normal.ends_with('Z') || normal[11..].contains(['+', '-']);
    if has_zone {
        let time = DateTime::parse_from_rfc3339(&normal).map_err(|_| TimeError::Malformed)?;
        return Ok(instant(ceil(time.timestamp(), time.timestamp_subsec_nanos())));
    }
    let local = NaiveDateTime::parse_from_str(&normal, "%Y-%m-%dT%H:%M:%S%.f");
    let local = local.or_else(|_| NaiveDateTime::parse_from_str(&normal, "%Y-%m-%dT%H:%M"));
    let local = local.map_err(|_| TimeError::Malformed)?;
    Ok(instant(ceil(in_zone(local, zone), local.and_utc().timestamp_subsec_nanos())))
}

fn plain_date(text: &str) -> Option<NaiveDate> {
    let bytes = text.as_bytes();
    let shape =
        bytes.iter().enumerate().all(|(at, b)| if at == 4 || at == 7 { *b == b'-' } else { b.is_ascii_digit() });
    if shape { text.parse().ok() } else { None }
}

/// A leap second counts as the second after it.
fn ceil(seconds: i64, nanoseconds: u32) -> Timestamp {
    Timestamp(seconds + i64::from(nanoseconds > 0))
}

/// In a repeated hour the later; in a skipped one the first instant after the gap.
fn in_zone(local: NaiveDateTime, zone: Tz) -> i64 {
    match zone.from_local_datetime(&local) {
        chrono::LocalResult::Single(only) => only.timestamp(),
        chrono::LocalResult::Ambiguous(_, later) => later.timestamp(),
        chrono::LocalResult::None => after_gap(local, zone),
    }
}

fn after_gap(local: NaiveDateTime, zone: Tz) -> i64 {
    // The gap lies within a day of the local time read as UTC, before or after; local time grows with
    // time across it, so bisect for the first instant whose local time is later.
    let around = local.and_utc().timestamp();
    let later = |seconds: i64| {
        DateTime::from_timestamp(seconds, 0).is_some_and(|at| at.with_timezone(&zone).naive_local() >= local)
    };
    let (mut before, mut after) = (around - 2 * 86_400, around + 2 * 86_400);
    while after - before > 1 {
        let middle = before + (after - before) / 2;
        if later(middle) {
            after = middle;
        } else {
            before = middle;
        }
    }
    after
}
