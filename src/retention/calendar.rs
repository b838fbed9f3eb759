//! Periods, deadlines and local days.
//!
//! Rules: Regulation (EEC, Euratom) No 1182/71, article 3: the day of the event does not count, a
//! period ends with the last hour of the same date later on, and where that month has no such date,
//! with the month's last day. Weekends and holidays (article 3(4) and (5)) extend nothing here: they
//! serve those who must act.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, Offset, SecondsFormat, TimeZone};
use chrono_tz::Tz;
use std::fmt;
use std::ops::{Add, Sub};

/// Unix time in whole seconds. Fractions of an event's time are rounded up before they get here, so
/// that rounding errs late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Before every event.
    pub const MIN: Timestamp = Timestamp(i64::MIN / 4);
    /// After every event.
    pub const MAX: Timestamp = Timestamp(i64::MAX / 4);

    /// The whole second that `milliseconds` of Unix time lie in.
    pub fn from_millis_floor(milliseconds: i64) -> Timestamp {
        Timestamp(milliseconds.div_euclid(1000))
    }

    /// The first whole second at or after `milliseconds` of Unix time.
    pub fn from_millis_ceil(milliseconds: i64) -> Timestamp {
        Timestamp(-(-milliseconds).div_euclid(1000))
    }

    /// RFC 3339 in UTC, as in CloudEvents' `time`: `2026-03-05T08:00:00Z`.
    pub fn to_utc_string(self) -> String {
        utc(self).to_rfc3339_opts(SecondsFormat::Secs, true)
    }

    /// RFC 3339 with the zone's offset: `2026-03-01T00:00:00+01:00`.
    pub fn to_local_string(self, zone: Tz) -> String {
        utc(self).with_timezone(&zone).to_rfc3339_opts(SecondsFormat::Secs, false)
    }
}

impl Add<Seconds> for Timestamp {
    type Output = Timestamp;
    fn add(self, seconds: Seconds) -> Timestamp {
        Timestamp(self.0.saturating_add(seconds.0).clamp(Timestamp::MIN.0, Timestamp::MAX.0))
    }
}

impl Sub<Seconds> for Timestamp {
    type Output = Timestamp;
    fn sub(self, seconds: Seconds) -> Timestamp {
        Timestamp(self.0.saturating_sub(seconds.0).clamp(Timestamp::MIN.0, Timestamp::MAX.0))
    }
}

impl Sub for Timestamp {
    type Output = Seconds;
    fn sub(self, other: Timestamp) -> Seconds {
        Seconds(self.0 - other.0)
    }
}

/// A length of time in seconds: lateness, silence, acknowledgement. A day of it is 24 hours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seconds(pub i64);

impl Seconds {
    /// Reads an ISO 8601 duration of weeks, days, hours, minutes and seconds.
    ///
    /// # Errors
    /// Years and months have no fixed length and are refused, as are zero and anything that isn't
    /// ISO 8601.
    pub fn parse(text: &str) -> Result<Seconds, PeriodError> {
        let parts = Parts::parse(text)?;
        if parts.years > 0 || parts.months > 0 {
            return Err(PeriodError::NoFixedLength);
        }
        let days = parts.weeks * 7 + parts.days;
        Ok(Seconds(i64::from(days) * 86_400 + parts.clock_seconds_ceil))
    }
}

impl fmt::Display for Seconds {
    /// ISO 8601, as in the configuration: `P2D`, `PT12H30M`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, clock) = (self.0 / 86_400, self.0 % 86_400);
        f.write_str("P")?;
        if days > 0 {
            write!(f, "{days}D")?;
        }
        if clock > 0 || days == 0 {
            f.write_str("T")?;
            for (value, unit) in [(clock / 3600, 'H'), (clock % 3600 / 60, 'M')] {
                if value > 0 {
                    write!(f, "{value}{unit}")?;
                }
            }
            if clock % 60 > 0 || clock == 0 {
                write!(f, "{}S", clock % 60)?;
            }
        }
        Ok(())
    }
}

/// How long a stage of a policy, or a floor, runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Period {
    /// Years, months, weeks and days: ends with a local day.
    Calendar { months: u32, days: u32 },
    /// Hours, minutes, seconds (and days among them): exact, ends at an instant.
    Exact { seconds: i64 },
}

/// Why a text is no usable period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeriodError {
    #[error("is not an ISO 8601 period such as P2Y, P23M, P30D or PT12H")]
    Malformed,
    #[error("is zero")]
    Zero,
    #[error("mixes years or months with hours, minutes or seconds, which has no defined length")]
    Mixed,
    #[error("has years or months, which have no fixed length here; use days or hours")]
    NoFixedLength,
    #[error("is too long")]
    TooLong,
}

impl Period {
    /// Reads an ISO 8601 period (`P2Y`, `P23M`, `P1Y6M`, `P4W`, `P30D`, `PT90M`). Fractions are
    /// allowed in the seconds only, and round up.
    ///
    /// # Errors
    /// Zero, and years or months mixed with hours, are refused.
    pub fn parse(text: &str) -> Result<Period, PeriodError> {
        let parts = Parts::parse(text)?;
        let (months, days) = (parts.years * 12 + parts.months, parts.weeks * 7 + parts.days);
        if parts.has_clock {
            if months > 0 || days > 0 {
                return Err(PeriodError::Mixed);
            }
            return Ok(Period::Exact { seconds: parts.clock_seconds_ceil });
        }
        Ok(Period::Calendar { months, days })
    }

    /// Whether the period ends with a local day.
    pub fn is_calendar(self) -> bool {
        matches!(self, Period::Calendar { .. })
    }

    /// No such period is longer: as if every month had 31 days.
    pub fn longest(self) -> Seconds {
        match self {
            Period::Calendar { months, days } => Seconds((i64::from(months) * 31 + i64::from(days)) * 86_400),
            Period::Exact { seconds } => Seconds(seconds),
        }
    }

    /// The first instant after the period, when it starts at `start`.
    ///
    /// Years and months are added first and clamped to the month's last day, then weeks and days.
    pub fn deadline(self, start: Timestamp, zone: Tz) -> Timestamp {
        match self {
            Period::Exact { seconds } => start + Seconds(seconds),
            Period::Calendar { months, days } => {
                let last = local_date(start, zone)
                    .checked_add_months(Months::new(months))
                    .and_then(|date| date.checked_add_days(Days::new(u64::from(days))));
                last.map_or(Timestamp::MAX, |last| first_instant_after(last, zone))
            }
        }
    }
}

impl fmt::Display for Period {
    /// ISO 8601: `P2Y`, `P23M`, `P30D`, `PT1H30M`. [`Period::parse`] reads the same period from it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |f: &mut fmt::Formatter<'_>, value: i64, unit: char| match value {
            0 => Ok(()),
            value => write!(f, "{value}{unit}"),
        };
        f.write_str("P")?;
        match *self {
            Period::Calendar { months, days } => {
                let (years, months) = if months.is_multiple_of(12) { (months / 12, 0) } else { (0, months) };
                part(f, i64::from(years), 'Y')?;
                part(f, i64::from(months), 'M')?;
                part(f, i64::from(days), 'D')
            }
            Period::Exact { seconds } => {
                f.write_str("T")?;
                part(f, seconds / 3600, 'H')?;
                part(f, seconds % 3600 / 60, 'M')?;
                part(f, seconds % 60, 'S')
            }
        }
    }
}

/// Where a period's starting point is moved to first (`counted_from_end_of`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CountedFrom {
    /// The event itself.
    #[default]
    Event,
    /// The last day of the event's month.
    EndOfMonth,
    /// The last day of the event's year.
    EndOfYear,
}

impl CountedFrom {
    /// The moved starting point: the last second of that year's or month's last day.
    pub fn apply(self, start: Timestamp, zone: Tz) -> Timestamp {
        let date = local_date(start, zone);
        let last_of = match self {
            CountedFrom::Event => return start,
            CountedFrom::EndOfMonth => date.with_day(1).and_then(|first| first.checked_add_months(Months::new(1))),
            CountedFrom::EndOfYear => NaiveDate::from_ymd_opt(date.year() + 1, 1, 1),
        };
        last_of.and_then(|first| first.pred_opt()).map_or(Timestamp::MAX, |last| last_second(last, zone))
    }
}

/// What activities are told apart by: the local day where every period is in days or longer, else the
/// second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resolution {
    Day,
    Second,
}

impl Resolution {
    /// An activity's time at this resolution: at day resolution its local day's last second.
    pub fn apply(self, at: Timestamp, zone: Tz) -> Timestamp {
        match self {
            Resolution::Second => at,
            Resolution::Day => last_second(local_date(at, zone), zone),
        }
    }
}

/// The local date of an instant.
pub fn local_date(at: Timestamp, zone: Tz) -> NaiveDate {
    utc(at).with_timezone(&zone).date_naive()
}

/// The first instant from which the local date is later than `date` for good.
///
/// Midnight may not exist, a date may be skipped, and the clock may go back over midnight; the last
/// is why this looks for the *last* change from `date` or earlier.
pub fn first_instant_after(date: NaiveDate, zone: Tz) -> Timestamp {
    let Some(next) = date.succ_opt() else { return Timestamp::MAX };
    let naive = next.and_time(NaiveTime::MIN).and_utc().timestamp();
    // Offsets lie within ±26 h (a skipped or repeated day included), so the change lies in between.
    let (low, high) = (naive - 30 * 3600, naive + 54 * 3600);
    // Offsets are constant between transitions. Walk back in quarter hours, the finest step in which
    // offsets have changed since 1973, to the last instant that is not after `date`, then bisect.
    let is_after = |seconds: i64| local_date(Timestamp(seconds), zone) > date;
    let common = midnight(next, zone);
    if let Some(common) = common
        && offset_at(low, zone) == offset_at(high, zone)
        && offset_at(low, zone) == naive - common
    {
        return Timestamp(common);
    }
    let mut after = high;
    let mut not_after = high - 900;
    while not_after > low && is_after(not_after) {
        after = not_after;
        not_after -= 900;
    }
    while after - not_after > 1 {
        let middle = not_after + (after - not_after) / 2;
        if is_after(middle) {
            after = middle;
        } else {
            not_after = middle;
        }
    }
    Timestamp(after)
}

/// The first instant of `date` or, where the zone skipped it, of the date after it: what a bare date
/// stands for in `simulate --from` and `--until`.
pub fn first_instant_of(date: NaiveDate, zone: Tz) -> Timestamp {
    date.pred_opt().map_or(Timestamp::MIN, |before| first_instant_after(before, zone))
}

/// The last second of a local day: the next date's first instant less a second.
pub fn last_second(date: NaiveDate, zone: Tz) -> Timestamp {
    first_instant_after(date, zone) - Seconds(1)
}

fn midnight(date: NaiveDate, zone: Tz) -> Option<i64> {
    zone.from_local_datetime(&date.and_time(NaiveTime::MIN)).single().map(|midnight| midnight.timestamp())
}

fn offset_at(seconds: i64, zone: Tz) -> i64 {
    i64::from(utc(Timestamp(seconds)).with_timezone(&zone).offset().fix().local_minus_utc())
}

fn utc(at: Timestamp) -> DateTime<chrono::Utc> {
    DateTime::from_timestamp(at.0, 0).unwrap_or(if at.0 < 0 {
        DateTime::<chrono::Utc>::MIN_UTC
    } else {
        DateTime::<chrono::Utc>::MAX_UTC
    })
}

#[derive(Default)]
struct Parts {
    years: u32,
    months: u32,
    weeks: u32,
    days: u32,
    clock_seconds_ceil: i64,
    has_clock: bool,
}

/// No period may be longer; it keeps every sum of dates representable.
const YEARS_MAX: u32 = 1000;

impl Parts {
    fn parse(text: &str) -> Result<Parts, PeriodError> {
        let rest = text.strip_prefix('P').ok_or(PeriodError::Malformed)?;
        let (date, clock) = match rest.split_once('T') {
            Some((date, clock)) if !clock.is_empty() => (date, Some(clock)),
            Some(_) => return Err(PeriodError::Malformed),
            None if rest.is_empty() => return Err(PeriodError::Malformed),
            None => (rest, None),
        };
        let mut parts = Parts { has_clock: clock.is_some(), ..Parts::default() };
        for (value, unit) in fields(date, "YMWD")? {
            let value: u32 = value.parse().map_err(|_| PeriodError::Malformed)?;
            let (slot, per_year) = match unit {
                'Y' => (&mut parts.years, 1),
                'M' => (&mut parts.months, 12),
                'W' => (&mut parts.weeks, 52),
                _ => (&mut parts.days, 365),
            };
            if value > YEARS_MAX * per_year {
                return Err(PeriodError::TooLong);
            }
            *slot = value;
        }
        for (value, unit) in fields(clock.unwrap_or_default(), "HMS")? {
            let (whole, fraction) = value.split_once(['.', ',']).unwrap_or((value, ""));
            if value.len() > whole.len()
                && (unit != 'S' || fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()))
            {
                return Err(PeriodError::Malformed);
            }
            let whole: i64 = whole.parse().map_err(|_| PeriodError::Malformed)?;
            let factor = match unit {
                'H' => 3600,
                'M' => 60,
                _ => 1,
            };
            if whole > i64::from(YEARS_MAX) * 366 * 86_400 / factor {
                return Err(PeriodError::TooLong);
            }
            parts.clock_seconds_ceil += whole * factor + i64::from(fraction.bytes().any(|b| b != b'0'));
        }
        if parts.years * 12 + parts.months > YEARS_MAX * 12
            || parts.weeks * 7 + parts.days > YEARS_MAX * 365
            || parts.clock_seconds_ceil > i64::from(YEARS_MAX) * 366 * 86_400
        {
            return Err(PeriodError::TooLong);
        }
        let zero = parts.years + parts.months + parts.weeks + parts.days == 0 && parts.clock_seconds_ceil == 0;
        if zero { Err(PeriodError::Zero) } else { Ok(parts) }
    }
}

/// Splits `1Y6M` into values and units, each unit at most once and in the order of `units`.
fn fields<'t>(text: &'t str, units: &str) -> Result<Vec<(&'t str, char)>, PeriodError> {
    let (mut rest, mut allowed, mut found) = (text, units, Vec::new());
    while !rest.is_empty() {
        let end = rest.find(|c: char| c.is_ascii_uppercase()).ok_or(PeriodError::Malformed)?;
        let (value, tail) = rest.split_at(end);
        let unit = tail.chars().next().ok_or(PeriodError::Malformed)?;
        let at = allowed.find(unit).ok_or(PeriodError::Malformed)?;
        if value.is_empty() || !value.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(PeriodError::Malformed);
        }
        found.push((value, unit));
        (rest, allowed) = (&tail[1..], &allowed[at + 1..]);
    }
    Ok(found)
}
