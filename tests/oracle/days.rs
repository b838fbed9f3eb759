//! Days as people count them, straight from the time-zone database. Every zone of this test has one
//! midnight each day.

use chrono::{Datelike, Days, Months, NaiveDate, NaiveTime, TimeZone};
use chrono_tz::Tz;
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

/// A stage's or floor's period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    Calendar { months: u32, days: u32 },
    Exact { seconds: i64 },
}

/// Where a period is counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountedFrom {
    Event,
    EndOfMonth,
    EndOfYear,
}

/// When each local day of a zone begins.
pub struct Calendar {
    pub zone: Tz,
    first: NaiveDate,
    midnights: Vec<i64>,
}

static CALENDARS: LazyLock<Mutex<HashMap<Tz, &'static Calendar>>> = LazyLock::new(Mutex::default);

impl Calendar {
    /// Made once for each zone.
    pub fn of(zone: Tz) -> &'static Calendar {
        CALENDARS.lock().unwrap().entry(zone).or_insert_with(|| Box::leak(Box::new(Calendar::new(zone))))
    }

    fn new(zone: Tz) -> Calendar {
        let first = NaiveDate::from_ymd_opt(2015, 1, 1).unwrap();
        let midnight = |date: NaiveDate| {
            let midnight = zone.from_local_datetime(&date.and_time(NaiveTime::MIN)).single();
            midnight.expect("every day of this test's zones has one midnight").timestamp()
        };
        Calendar { zone, first, midnights: first.iter_days().take(40 * 366).map(midnight).collect() }
    }

    pub fn date(&self, instant: i64) -> NaiveDate {
        let begun = self.midnights.partition_point(|midnight| *midnight <= instant);
        assert!(begun > 0 && begun < self.midnights.len(), "{instant} is out of this calendar");
        self.first + Days::new(begun as u64 - 1)
    }

    /// The first instant of a date.
    pub fn begin(&self, date: NaiveDate) -> i64 {
        self.midnights[usize::try_from((date - self.first).num_days()).unwrap()]
    }

    /// The first instant of the day after.
    pub fn next_day(&self, instant: i64) -> i64 {
        self.begin(self.date(instant) + Days::new(1))
    }

    /// The first instant after a period, by Regulation 1182/71 for those in days and longer.
    pub fn deadline(&self, counted_from: CountedFrom, period: Period, start: i64) -> i64 {
        let first_of = |year: i32, month: u32| NaiveDate::from_ymd_opt(year, month, 1).unwrap();
        let date = self.date(start);
        let counted = match counted_from {
            CountedFrom::Event => date,
            CountedFrom::EndOfMonth => first_of(date.year(), date.month()) + Months::new(1) - Days::new(1),
            CountedFrom::EndOfYear => first_of(date.year() + 1, 1) - Days::new(1),
        };
        match period {
            Period::Exact { seconds } => start + seconds,
            Period::Calendar { months, days } => {
                self.begin(counted + Months::new(months) + Days::new(u64::from(days)) + Days::new(1))
            }
        }
    }

    /// The first instant after a notice that was given at `given`, as long as the time between two
    /// deadlines: that many days, or where either is exact, seconds.
    pub fn notice_end(&self, from: (Period, i64), to: (Period, i64), given: i64) -> i64 {
        match (from.0, to.0) {
            (Period::Calendar { .. }, Period::Calendar { .. }) => {
                let days = (self.date(to.1) - self.date(from.1)).num_days();
                self.begin(self.date(given) + Days::new(u64::try_from(days).unwrap()) + Days::new(1))
            }
            _ => given + (to.1 - from.1),
        }
    }
}
