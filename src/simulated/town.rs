//! A town of customers with habits, and what their shop's systems report of them.
//!
//! The records have the shape that `config/lapsed.yaml` reads.

use chrono::{Datelike, Days, NaiveDate};
use serde_json::json;

/// What a system reported: a record for a source topic.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub topic: &'static str,
    /// Milliseconds of Unix time; the event and the record have the same.
    pub at_ms: i64,
    pub payload: String,
}

impl Report {
    /// Whom it is about, unless it is a row of the baseline.
    pub fn customer(&self) -> Option<String> {
        let payload: serde_json::Value = serde_json::from_str(&self.payload).ok()?;
        let places = ["/user", "/customer_id", "/after/customer_id"];
        let found = places.iter().find_map(|place| payload.pointer(place)?.as_str());
        found.map(str::to_owned)
    }
}

/// How a customer behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// Logs in most days, buys now and then.
    Daily,
    /// Comes once a year, around one date.
    Seasonal { day_of_year: u32 },
    /// Was there, and is not seen again after this date.
    Gone { last: NaiveDate },
    /// Stays away for so long that a warning comes, and then returns.
    Returning { away_days: u32 },
}

#[derive(Clone, Debug)]
pub struct Inhabitant {
    pub id: String,
    /// The few that a story is told of have a name.
    pub name: Option<&'static str>,
    pub habit: Habit,
    last_seen: NaiveDate,
}

impl Inhabitant {
    /// The date on which they last did anything.
    pub fn last_seen(&self) -> NaiveDate {
        self.last_seen
    }
}

/// A habit that begins on the town's first day.
type HabitFrom = fn(NaiveDate) -> Habit;

const NAMED: [(&str, HabitFrom); 6] = [
    ("Anna, logs in every day", |_| Habit::Daily),
    ("Bram, buys a Christmas tree", |_| Habit::Seasonal { day_of_year: 345 }),
    ("Carla, moved away", |first| Habit::Gone { last: first + Days::new(40) }),
    ("Daan, returns once he is warned", |_| Habit::Returning { away_days: 725 }),
    ("Eva, was gone before we looked", |first| Habit::Gone { last: first - Days::new(300) }),
    ("Faisal, comes back every summer", |_| Habit::Seasonal { day_of_year: 190 }),
];

/// The town, one day after the other.
pub struct Town {
    random: fastrand::Rng,
    pub people: Vec<Inhabitant>,
    first: NaiveDate,
}

impl Town {
    /// `size` customers, of whom the first few have names. The same seed makes the same town.
    pub fn new(size: usize, first: NaiveDate, seed: u64) -> Town {
        let mut random = fastrand::Rng::with_seed(seed);
        let people = (0..size)
            .map(|place| {
                let (name, habit) = match NAMED.get(place) {
                    Some((name, habit)) => (Some(*name), habit(first)),
                    None => (None, some_habit(&mut random, first)),
                };
                let last_seen = match habit {
                    Habit::Gone { last } if last < first => last,
                    _ => first - Days::new(random.u64(1..300)),
                };
                Inhabitant { id: format!("{}", 4711 + place), name, habit, last_seen }
            })
            .collect();
        Town { random, people, first }
    }

    /// What the shop's database knows on the first day and Kafka no longer does.
    pub fn baseline(&self, now_ms: i64) -> Vec<Report> {
        let row = |person: &Inhabitant| {
            let payload = json!({
                "id": person.id,
                "exported_at": now_ms,
                "created_at": (self.first - Days::new(900)).to_string(),
                "last_order_at": person.last_seen.to_string(),
                "last_login_at": person.last_seen.to_string(),
            });
            Report { topic: "shop.customers.baseline", at_ms: now_ms, payload: payload.to_string() }
        };
        self.people.iter().map(row).collect()
    }

    /// What happens on one day, in the order of time. The day begins at `midnight_ms`.
    pub fn day(&mut self, date: NaiveDate, midnight_ms: i64) -> Vec<Report> {
        let mut reports = Vec::new();
        for person in &mut self.people {
            let away = (date - person.last_seen).num_days();
            let active = match person.habit {
                Habit::Daily => self.random.u8(0..100) < 55,
                Habit::Seasonal { day_of_year } => date.ordinal() == day_of_year,
                Habit::Gone { last } => date <= last && self.random.u8(0..100) < 20,
                Habit::Returning { away_days } => away >= i64::from(away_days),
            };
            if active {
                person.last_seen = date;
                for _ in 0..self.random.u8(1..=4) {
                    let at_ms = midnight_ms + self.random.i64(7 * 3_600_000..22 * 3_600_000);
                    reports.push(report(&person.id, at_ms, self.random.u8(0..100)));
                }
            }
        }
        // Somebody always calls the desk: a source that says nothing can't be told from one that broke.
        let first = self.random.usize(0..self.people.len());
        let mut around = (first..self.people.len()).chain(0..first);
        if let Some(caller) = around.find(|&place| self.people[place].habit == Habit::Daily) {
            reports.push(call(&self.people[caller].id, midnight_ms + 36_000_000));
        }
        reports.sort_by_key(|report| report.at_ms);
        reports
    }
}

fn some_habit(random: &mut fastrand::Rng, first: NaiveDate) -> Habit {
    match random.u8(0..100) {
        0..45 => Habit::Daily,
        45..70 => Habit::Seasonal { day_of_year: random.u32(1..366) },
        70..95 => Habit::Gone { last: first + Days::new(random.u64(0..900)) - Days::new(200) },
        _ => Habit::Returning { away_days: random.u32(500..760) },
    }
}

fn report(id: &str, at_ms: i64, dice: u8) -> Report {
    match dice {
        0..15 => {
            let row = json!({"op": "c", "after": {"customer_id": id, "placed_at": at_ms, "status": "paid"}});
            Report { topic: "shop.public.orders", at_ms, payload: row.to_string() }
        }
        _ => {
            let event = json!({"event": "login", "user": id, "at": at_ms});
            Report { topic: "web.events", at_ms, payload: event.to_string() }
        }
    }
}

fn call(id: &str, at_ms: i64) -> Report {
    let event = json!({"event": "call", "customer_id": id});
    Report { topic: "crm.events", at_ms, payload: event.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_town() {
        let first = NaiveDate::from_ymd_opt(2022, 1, 1).unwrap();
        let day = |seed| Town::new(50, first, seed).day(first, 0);
        assert_eq!(day(7), day(7));
        assert_ne!(day(7), day(8));
    }

    #[test]
    fn whoever_is_gone_is_not_seen_again() {
        let first = NaiveDate::from_ymd_opt(2022, 1, 1).unwrap();
        let mut town = Town::new(20, first, 7);
        let carla = town.people[2].id.clone();
        assert_eq!(town.people[2].habit, Habit::Gone { last: first + Days::new(40) });
        for day in 41..800 {
            let reports = town.day(first + Days::new(day), 0);
            let mentioned = |report: &Report| report.payload.contains(&format!("\"{carla}\""));
            assert!(!reports.iter().any(mentioned), "{date}", date = first + Days::new(day));
        }
    }
}
