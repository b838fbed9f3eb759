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
            Resolution::Day => self.look_up(Question::DayEnd(at), || resolution.apply(at, self.zone)),
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
