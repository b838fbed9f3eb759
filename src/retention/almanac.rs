//! Deadlines looked up instead of computed: customers share their days, so one computation serves many.

use super::calendar::{CountedFrom, Period, Resolution, Timestamp};
use chrono_tz::Tz;
use std::cell::RefCell;

/// Remembers deadlines and day ends of one time zone. It changes no answer, only what it costs; its size
/// is fixed.
#[derive(Debug)]
pub struct Almanac {
    zone: Tz,
    entries: RefCell<Box<[Option<Entry>]>>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    question: Question,
    answer: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Question {
    Deadline(CountedFrom, Period, Timestamp),
    DayEnd(Timestamp),
}

/// The finest step in which offsets from UTC have changed, and been set, since [`QUARTERS_SINCE`]: all of
/// one quarter of an hour belongs to one local day.
const QUARTER_SECONDS: i64 = 900;
/// 1973-01-01T00:00:00Z; Liberia was the last to leave an offset in seconds, the year before.
const QUARTERS_SINCE: i64 = 94_694_400;

/// Some years of days for a handful of stages; about 200 KiB.
const ENTRIES: usize = 1 << 12;

impl Almanac {
    pub fn new(zone: Tz) -> Almanac {
        Almanac { zone, entries: RefCell::new(vec![None; ENTRIES].into_boxed_slice()) }
    }

    /// The first instant after a period that is counted from `start`.
    pub fn deadline(&self, counted_from: CountedFrom, period: Period, start: Timestamp) -> Timestamp {
        self.look_up(Question::Deadline(counted_from, period, start), || {
            period.deadline(counted_from.apply(start, self.zone), self.zone)
        })
    }

    /// [`Resolution::apply`].
    pub fn at_resolution(&self, resolution: Resolution, at: Timestamp) -> Timestamp {
        match resolution {
            Resolution::Second => at,
            Resolution::Day => {
                let at = if at.0 < QUARTERS_SINCE { at } else { Timestamp(at.0 - at.0 % QUARTER_SECONDS) };
                self.look_up(Question::DayEnd(at), || resolution.apply(at, self.zone))
            }
        }
    }

    fn look_up(&self, question: Question, compute: impl FnOnce() -> Timestamp) -> Timestamp {
        use std::hash::BuildHasher;
        // Seeded alike everywhere: what is remembered must not make two replays differ even in cost.
        let hash = foldhash::fast::FixedState::with_seed(1).hash_one(question);
        let place = usize::try_from(hash % ENTRIES as u64).unwrap_or(0);
        let mut entries = self.entries.borrow_mut();
        match entries[place] {
            Some(entry) if entry.question == question => entry.answer,
            _ => {
                let answer = compute();
                entries[place] = Some(Entry { question, answer });
                answer
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever the zone: near the changes of its offset, too, of which most lie at the end of a month.
        #[test]
        fn a_quarter_of_an_hour_belongs_to_one_day(
            zone in prop::sample::select(&chrono_tz::TZ_VARIANTS[..]),
            at in prop_oneof![-1_000_000_000..5_000_000_000_i64, QUARTERS_SINCE..2_000_000_000],
            hours in -40..40_i64,
        ) {
            let almanac = Almanac::new(zone);
            let days = at.div_euclid(86_400);
            for at in [at, days * 86_400 + hours * 900, days * 86_400 + hours * 900 - 1] {
                let at = Timestamp(at);
                prop_assert_eq!(almanac.at_resolution(Resolution::Day, at), Resolution::Day.apply(at, zone));
            }
        }
    }
}
