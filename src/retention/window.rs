//! Days and hours at which commands leave.

use super::calendar::{Timestamp, local_date};
use super::policy::Window;
use chrono::{DateTime, Datelike, Days, NaiveDateTime, TimeZone};
use chrono_tz::Tz;

/// A window is open on some day of a week; a clock that skips the hour may cost one more.
const DAYS_AHEAD: u64 = 15;

impl Window {
    /// By the local clock: from `from` on, up to but not including `to`.
    pub fn is_open(&self, at: Timestamp, zone: Tz) -> bool {
        let Some(local) = local(at, zone) else { return false };
        self.days[local.weekday().num_days_from_monday() as usize]
            && local.time() >= self.from
            && self.to.is_none_or(|to| local.time() < to)
    }

    /// The first instant from `at` on at which it is open.
    pub fn opens(&self, at: Timestamp, zone: Tz) -> Timestamp {
        if self.is_open(at, zone) {
            return at;
        }
        let today = local_date(at, zone);
        let days = (0..DAYS_AHEAD).filter_map(|ahead| today.checked_add_days(Days::new(ahead)));
        let openings = days.flat_map(|date| first_instants(date.and_time(self.from), zone));
        let next = openings.filter(|opening| *opening > at && self.is_open(*opening, zone)).min();
        next.unwrap_or(Timestamp::MAX)
    }
}

fn local(at: Timestamp, zone: Tz) -> Option<NaiveDateTime> {
    Some(DateTime::from_timestamp(at.0, 0)?.with_timezone(&zone).naive_local())
}

/// The instants at which a local clock shows a time; where it skips it, the first one after the gap.
fn first_instants(local: NaiveDateTime, zone: Tz) -> Vec<Timestamp> {
    match zone.from_local_datetime(&local) {
        chrono::LocalResult::Single(only) => vec![Timestamp(only.timestamp())],
        chrono::LocalResult::Ambiguous(earlier, later) => {
            vec![Timestamp(earlier.timestamp()), Timestamp(later.timestamp())]
        }
        chrono::LocalResult::None => vec![after_gap(local, zone)],
    }
}

/// Local time grows across a gap, so bisect for the first instant that shows a later one.
fn after_gap(naive: NaiveDateTime, zone: Tz) -> Timestamp {
    let around = naive.and_utc().timestamp();
    let is_later = |seconds: i64| local(Timestamp(seconds), zone).is_some_and(|local| local >= naive);
    let (mut before, mut after) = (around - 2 * 86_400, around + 2 * 86_400);
    while after - before > 1 {
        let middle = before + (after - before) / 2;
        if is_later(middle) { after = middle } else { before = middle }
    }
    Timestamp(after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::NaiveTime;

    const AMSTERDAM: Tz = chrono_tz::Europe::Amsterdam;

    fn at(text: &str) -> Timestamp {
        Timestamp(DateTime::parse_from_rfc3339(text).unwrap().timestamp())
    }

    fn window(days: [bool; 7], from: &str, to: &str) -> Window {
        let time = |text: &str| NaiveTime::parse_from_str(text, "%H:%M").unwrap();
        Window { days, from: time(from), to: (to != "24:00").then(|| time(to)) }
    }

    #[test]
    fn it_opens_on_the_next_day_that_is_named() {
        let office = window([true, true, true, true, true, false, false], "09:00", "17:00");
        for (now, opens) in [
            ("2026-02-01T00:00:00+01:00", "2026-02-02T09:00:00+01:00"), // Sunday
            ("2026-02-02T09:00:00+01:00", "2026-02-02T09:00:00+01:00"),
            ("2026-02-02T16:59:59+01:00", "2026-02-02T16:59:59+01:00"),
            ("2026-02-02T17:00:00+01:00", "2026-02-03T09:00:00+01:00"),
            ("2026-02-06T17:00:00+01:00", "2026-02-09T09:00:00+01:00"), // Friday
            ("2026-03-27T17:00:00+01:00", "2026-03-30T09:00:00+02:00"), // the clock goes forward meanwhile
        ] {
            assert_eq!(office.opens(at(now), AMSTERDAM), at(opens), "{now}");
        }
    }

    #[test]
    fn the_clock_may_skip_or_repeat_its_hours() {
        let sunday = [false, false, false, false, false, false, true];
        // 02:00 to 03:00 doesn't exist on 2026-03-29.
        let night = window(sunday, "02:15", "04:00");
        assert_eq!(night.opens(at("2026-03-29T00:00:00+01:00"), AMSTERDAM), at("2026-03-29T03:00:00+02:00"));
        let gone = window(sunday, "02:00", "03:00");
        assert_eq!(gone.opens(at("2026-03-29T00:00:00+01:00"), AMSTERDAM), at("2026-04-05T02:00:00+02:00"));
        // And exists twice on 2026-10-25.
        assert_eq!(gone.opens(at("2026-10-25T00:00:00+02:00"), AMSTERDAM), at("2026-10-25T02:00:00+02:00"));
        let half = window(sunday, "02:00", "02:30");
        assert_eq!(half.opens(at("2026-10-25T02:30:00+02:00"), AMSTERDAM), at("2026-10-25T02:00:00+01:00"));
    }

    #[test]
    fn it_may_last_to_the_end_of_the_day() {
        let late = window([true; 7], "22:00", "24:00");
        assert!(late.is_open(at("2026-02-02T23:59:59+01:00"), AMSTERDAM));
        assert_eq!(late.opens(at("2026-02-03T00:00:00+01:00"), AMSTERDAM), at("2026-02-03T22:00:00+01:00"));
    }
}
