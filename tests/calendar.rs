//! Section "Time": periods end as Regulation (EEC, Euratom) 1182/71, article 3, says, in every zone.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
use chrono::{DateTime, NaiveDate};
use chrono_tz::Tz;
use lapsed::retention::calendar::{
    CountedFrom, Period, PeriodError, Seconds, Timestamp, first_instant_after, first_instant_of, last_second,
    local_date,
};
use proptest::prelude::*;

fn at(text: &str) -> Timestamp {
    Timestamp(DateTime::parse_from_rfc3339(text).unwrap().timestamp())
}

fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn zone(name: &str) -> Tz {
    name.parse().unwrap()
}

#[test]
fn a_period_ends_with_the_same_date_later_on() {
    let table = [
        // zone, activity, period, deadline
        ("Europe/Amsterdam", "2024-02-29T12:00:00+01:00", "P1Y", "2025-03-01T00:00:00+01:00"), // last day of February
        ("Europe/Amsterdam", "2024-02-29T00:00:00+01:00", "P24M", "2026-03-01T00:00:00+01:00"),
        ("Europe/Amsterdam", "2024-02-29T23:59:59+01:00", "P23M", "2026-01-30T00:00:00+01:00"),
        ("Europe/Amsterdam", "2024-02-29T12:00:00+01:00", "P4Y", "2028-03-01T00:00:00+01:00"), // leap day again
        ("Europe/Amsterdam", "2023-01-31T12:00:00+01:00", "P1M", "2023-03-01T00:00:00+01:00"),
        ("Europe/Amsterdam", "2024-01-31T12:00:00+01:00", "P1M", "2024-03-01T00:00:00+01:00"), // 02-29
        ("Europe/Amsterdam", "2023-08-31T12:00:00+02:00", "P1M1D", "2023-10-02T00:00:00+02:00"), // clamp, then days
        ("Europe/Amsterdam", "2023-12-31T23:59:59+01:00", "P1D", "2024-01-02T00:00:00+01:00"),
        ("Europe/Amsterdam", "2024-03-01T00:00:00+01:00", "P2W", "2024-03-16T00:00:00+01:00"),
        // Summer time begins and ends: the deadline is local midnight all the same.
        ("Europe/Amsterdam", "2024-03-30T12:00:00+01:00", "P1D", "2024-04-01T00:00:00+02:00"),
        ("Europe/Amsterdam", "2024-10-26T12:00:00+02:00", "P1D", "2024-10-28T00:00:00+01:00"),
        // Late in the evening in UTC is the next day here.
        ("Europe/Amsterdam", "2024-05-31T22:30:00Z", "P1M", "2024-07-02T00:00:00+02:00"),
        ("UTC", "2024-05-31T22:30:00Z", "P1M", "2024-07-01T00:00:00Z"),
        // Samoa had no 2011-12-30: a period that ends with it, or with the day before, ends at the 31st.
        ("Pacific/Apia", "2011-12-28T12:00:00-10:00", "P1D", "2011-12-31T00:00:00+14:00"),
        ("Pacific/Apia", "2011-12-28T12:00:00-10:00", "P2D", "2011-12-31T00:00:00+14:00"),
        ("Pacific/Apia", "2011-12-28T12:00:00-10:00", "P3D", "2012-01-01T00:00:00+14:00"),
        // No midnight: the day begins at one.
        ("America/Sao_Paulo", "2018-11-02T12:00:00-03:00", "P1D", "2018-11-04T01:00:00-02:00"),
        ("Africa/Cairo", "2014-05-14T12:00:00+02:00", "P1D", "2014-05-16T01:00:00+03:00"),
        ("Asia/Beirut", "2022-03-25T12:00:00+02:00", "P1D", "2022-03-27T01:00:00+03:00"),
        // The clock goes back over midnight: 2018-02-18T00:00-02 became 2018-02-17T23:00-03.
        ("America/Sao_Paulo", "2018-02-16T12:00:00-02:00", "P1D", "2018-02-18T00:00:00-03:00"),
        // Lord Howe shifts by half an hour.
        ("Australia/Lord_Howe", "2024-10-05T12:00:00+10:30", "P1D", "2024-10-07T00:00:00+11:00"),
        ("Asia/Kathmandu", "2024-10-05T12:00:00+05:45", "P1Y", "2025-10-06T00:00:00+05:45"),
        // Hours, minutes and seconds are exact.
        ("Europe/Amsterdam", "2024-03-30T12:00:00+01:00", "PT24H", "2024-03-31T13:00:00+02:00"),
        ("Europe/Amsterdam", "2024-03-30T12:00:00+01:00", "PT1M30S", "2024-03-30T12:01:30+01:00"),
    ];
    for (name, activity, period, deadline) in table {
        let found = Period::parse(period).unwrap().deadline(at(activity), zone(name));
        assert_eq!(found.to_local_string(zone(name)), at(deadline).to_local_string(zone(name)), "{activity} {period}");
    }
}

#[test]
fn counted_from_the_end_of_a_year_or_month() {
    let amsterdam = zone("Europe/Amsterdam");
    let table = [
        (CountedFrom::EndOfYear, "2016-05-04T10:00:00+02:00", "P7Y", "2024-01-01T00:00:00+01:00"),
        (CountedFrom::EndOfYear, "2016-12-31T23:30:00Z", "P7Y", "2025-01-01T00:00:00+01:00"), // 2017 over here
        (CountedFrom::EndOfMonth, "2024-02-02T10:00:00+01:00", "P1M", "2024-03-30T00:00:00+01:00"),
        (CountedFrom::EndOfMonth, "2023-12-02T10:00:00+01:00", "P1D", "2024-01-02T00:00:00+01:00"),
        (CountedFrom::Event, "2024-02-02T10:00:00+01:00", "P1M", "2024-03-03T00:00:00+01:00"),
    ];
    for (from, activity, period, deadline) in table {
        let start = from.apply(at(activity), amsterdam);
        let found = Period::parse(period).unwrap().deadline(start, amsterdam);
        assert_eq!(found, at(deadline), "{from:?} {activity} {period}: {}", found.to_local_string(amsterdam));
    }
}

#[test]
fn periods_are_read_or_refused() {
    let calendar = |months, days| Ok(Period::Calendar { months, days });
    let exact = |seconds| Ok(Period::Exact { seconds });
    let table = [
        ("P2Y", calendar(24, 0)),
        ("P23M", calendar(23, 0)),
        ("P1Y6M2W3D", calendar(18, 17)),
        ("PT24M", exact(24 * 60)),
        ("PT1H0.2S", exact(3601)),
        ("PT36H", exact(36 * 3600)),
        ("P0D", Err(PeriodError::Zero)),
        ("PT0S", Err(PeriodError::Zero)),
        ("P1DT1H", Err(PeriodError::Mixed)),
        ("P1YT1H", Err(PeriodError::Mixed)),
        ("P", Err(PeriodError::Malformed)),
        ("PT", Err(PeriodError::Malformed)),
        ("P1DT", Err(PeriodError::Malformed)),
        ("2Y", Err(PeriodError::Malformed)),
        ("p2y", Err(PeriodError::Malformed)),
        ("P-1D", Err(PeriodError::Malformed)),
        ("P+1D", Err(PeriodError::Malformed)),
        ("P1.5Y", Err(PeriodError::Malformed)),
        ("P6M1Y", Err(PeriodError::Malformed)),
        ("P1Y1Y", Err(PeriodError::Malformed)),
        ("P 1D", Err(PeriodError::Malformed)),
        ("P1D ", Err(PeriodError::Malformed)),
        ("PT1.5H", Err(PeriodError::Malformed)),
        ("PT1.S", Err(PeriodError::Malformed)),
        ("P１D", Err(PeriodError::Malformed)),
        ("P99999999999Y", Err(PeriodError::Malformed)),
        ("P1001Y", Err(PeriodError::TooLong)),
        ("PT99999999999999H", Err(PeriodError::TooLong)),
    ];
    for (text, expected) in table {
        assert_eq!(Period::parse(text), expected, "{text}");
    }
}

#[test]
fn a_duration_has_a_fixed_length() {
    let table = [
        ("P2D", Ok(Seconds(172_800))),
        ("P1W", Ok(Seconds(604_800))),
        ("PT12H", Ok(Seconds(43_200))),
        ("P1DT12H", Ok(Seconds(129_600))),
        ("P1M", Err(PeriodError::NoFixedLength)),
        ("P1Y", Err(PeriodError::NoFixedLength)),
        ("PT0S", Err(PeriodError::Zero)),
    ];
    for (text, expected) in table {
        assert_eq!(Seconds::parse(text), expected, "{text}");
    }
    for text in ["P2D", "PT12H", "P1DT12H30M", "PT1S", "PT10M5S"] {
        assert_eq!(Seconds::parse(text).unwrap().to_string(), text);
    }
}

#[test]
fn a_date_begins_at_its_first_instant() {
    assert_eq!(first_instant_of(date("2024-03-31"), zone("Europe/Amsterdam")), at("2024-03-31T00:00:00+01:00"));
    assert_eq!(first_instant_of(date("2011-12-30"), zone("Pacific/Apia")), at("2011-12-31T00:00:00+14:00"));
    assert_eq!(last_second(date("2024-03-31"), zone("Europe/Amsterdam")), at("2024-03-31T23:59:59+02:00"));
}

#[test]
fn a_period_is_written_as_iso_8601() {
    for (text, written) in [
        ("P1Y", "P1Y"),
        ("P24M", "P2Y"),
        ("P1Y6M", "P18M"),
        ("P6W", "P42D"),
        ("P1Y2W3D", "P1Y17D"),
        ("P1000Y", "P1000Y"),
        ("PT90M", "PT1H30M"),
        ("PT0.5S", "PT1S"),
        ("PT36H1S", "PT36H1S"),
    ] {
        assert_eq!(Period::parse(text).unwrap().to_string(), written);
    }
    for text in ["P1000Y1M", "P52000W1001D", "PT8784000H1S"] {
        assert_eq!(Period::parse(text), Err(PeriodError::TooLong), "{text}");
    }
}

/// The definition, word for word: walk second by second (here in steps that divide every offset change
/// since 1973, then by seconds) over all that could be it.
fn slow_first_instant_after(day: NaiveDate, zone: Tz) -> Timestamp {
    let around = day.and_hms_opt(0, 0, 0).unwrap().and_utc().timestamp();
    let mut last_not_after = i64::MIN;
    for minute in -40 * 60..80 * 60 {
        let seconds = around + minute * 60;
        if local_date(Timestamp(seconds), zone) <= day {
            last_not_after = seconds;
        }
    }
    Timestamp((last_not_after..last_not_after + 120).find(|&s| local_date(Timestamp(s), zone) > day).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn the_next_day_begins_where_the_definition_says(
        place in 0..chrono_tz::TZ_VARIANTS.len(), day in 1_200..47_000_i64, near_change in any::<bool>()
    ) {
        let zone = chrono_tz::TZ_VARIANTS[place];
        let mut day = DateTime::from_timestamp(day * 86_400, 0).unwrap().date_naive();
        if near_change {
            // Look for the next day that isn't 24 hours long.
            let length = |d: NaiveDate| first_instant_after(d, zone).0 - first_instant_of(d, zone).0;
            day = day.iter_days().take(200).find(|&d| length(d) != 86_400).unwrap_or(day);
        }
        prop_assert_eq!(first_instant_after(day, zone), slow_first_instant_after(day, zone), "{} in {}", day, zone);
    }

    #[test]
    fn a_later_activity_never_has_an_earlier_deadline(
        place in 0..chrono_tz::TZ_VARIANTS.len(), a in 200_000_000..4_000_000_000_i64, b in 200_000_000..4_000_000_000_i64,
        months in 0..40_u32, days in 0..40_u32
    ) {
        let zone = chrono_tz::TZ_VARIANTS[place];
        let period = Period::Calendar { months, days };
        let (a, b) = (a.min(b), a.max(b));
        prop_assert!(period.deadline(Timestamp(a), zone) <= period.deadline(Timestamp(b), zone));
        prop_assert!(period.deadline(Timestamp(a), zone) > Timestamp(a));
    }

    #[test]
    fn a_period_is_read_from_its_own_text(periodish in "P[0-9]{0,4}[YMWD]([0-9]{1,5}[MWD])?|PT[0-9]{1,6}[HMS]([0-9]{1,4}[MS])?") {
        if let Ok(period) = Period::parse(&periodish) {
            prop_assert_eq!(Period::parse(&period.to_string()), Ok(period), "{} as {}", periodish, period);
        }
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in "\\PC*", periodish in "P[0-9YMWDTHS.,]{0,12}") {
        for text in [text, periodish] {
            let _ = Period::parse(&text);
            let _ = Seconds::parse(&text);
        }
    }
}
