//! `window`: days and hours at which commands leave.

use crate::config::reader::At;
use crate::retention::policy::Window;
use chrono::NaiveTime;

/// Monday first.
const DAYS: [(&str, usize); 7] = [("mon", 0), ("tue", 1), ("wed", 2), ("thu", 3), ("fri", 4), ("sat", 5), ("sun", 6)];

pub(super) fn window(at: &At<'_>) -> Option<Window> {
    let mut map = at.map()?;
    let days = map.need("days", "the days of the week: [mon, tue, wed, thu, fri]").and_then(|at| days(&at));
    let hours = map.need("hours", "from when to when, such as \"09:00-17:00\"").and_then(|at| hours(&at));
    map.finish();
    let (days, (from, to)) = (days?, hours?);
    Some(Window { days, from, to })
}

fn days(at: &At<'_>) -> Option<[bool; 7]> {
    let mut days = [false; 7];
    let mut known = true;
    for at in at.list("day") {
        let Some(day) = at.word(&DAYS) else {
            known = false;
            continue;
        };
        if days[day] {
            at.error(format!("names '{}' twice", at.shown()));
        }
        days[day] = true;
    }
    (known && days.contains(&true)).then_some(days)
}

/// From the first, which is in, to the second, which is out; `None`: midnight.
fn hours(at: &At<'_>) -> Option<(NaiveTime, Option<NaiveTime>)> {
    let hours = read_hours(at.text()?);
    if hours.is_none() {
        at.error(format!("is '{}', and must be like 09:00-17:00, the earlier first, 24:00 at most", at.shown()));
    }
    hours
}

fn read_hours(text: &str) -> Option<(NaiveTime, Option<NaiveTime>)> {
    let (from, to) = text.split_once('-')?;
    let from = time_of_day(from.trim())?;
    match to.trim() {
        "24:00" => Some((from, None)),
        to => time_of_day(to).filter(|to| from < *to).map(|to| (from, Some(to))),
    }
}

/// Two digits each, so that 9:00 is told from 19:00 at a glance.
fn time_of_day(text: &str) -> Option<NaiveTime> {
    if text.len() == 5 { NaiveTime::parse_from_str(text, "%H:%M").ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_read() {
        for (text, hours) in [
            ("09:00-17:00", Some(("09:00:00", Some("17:00:00")))),
            ("00:00 - 24:00", Some(("00:00:00", None))),
            ("17:00-09:00", None),
            ("09:00-09:00", None),
            ("9:00-17:00", None),
            ("09:00", None),
            ("09:00-25:00", None),
            ("24:00-24:00", None),
            ("09:60-17:00", None),
            ("+9:00-17:00", None),
        ] {
            let read = read_hours(text).map(|(from, to)| (from.to_string(), to.map(|to| to.to_string())));
            let expected = hours.map(|(from, to)| (from.to_owned(), to.map(str::to_owned)));
            assert_eq!(read, expected, "{text}");
        }
    }
}
