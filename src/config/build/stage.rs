//! `stages`: periods that grow, each with its command.

use super::policy::target_list;
use super::{Context, judgement};
use crate::config::reader::At;
use crate::retention::calendar::{CountedFrom, Period, Seconds, Timestamp};
use crate::retention::policy::{Action, Stage, TargetIndex};
use chrono::{Days, NaiveDate, NaiveTime};
use chrono_tz::Tz;

const DAY: Seconds = Seconds(86_400);

/// At least one, each later than the one before for every starting point, the last one removing.
pub(super) fn stages(at: &At<'_>, context: &Context, default: Option<&[TargetIndex]>) -> Option<Vec<Stage>> {
    let list = at.list("stage");
    let stages: Vec<Option<Stage>> = list.iter().map(|at| stage(at, context, default)).collect();
    let stages: Vec<Stage> = stages.into_iter().collect::<Option<_>>()?;
    let last = stages.last()?;
    if !last.action.removes() {
        list[stages.len() - 1].error("warns, and nothing follows; the last stage must be expire or anonymise");
        return None;
    }
    for (place, pair) in stages.windows(2).enumerate() {
        let at = &list[place + 1];
        match shortest_notice(pair[0].after, pair[1].after, context.zone) {
            Ok(notice) if pair[0].action == Action::Warn => judgement::of_notice(&list[place], notice, context),
            Ok(_) => {}
            Err(date) => {
                at.error(format!("does not come after the stage before it, for instance for an activity on {date}"));
                return None;
            }
        }
    }
    judgement::of_stages(&list, &stages);
    Some(stages)
}

fn stage(at: &At<'_>, context: &Context, default: Option<&[TargetIndex]>) -> Option<Stage> {
    let mut map = at.map()?;
    let after = map.need("after", "the period, such as P24M").and_then(|at| period(&at, context));
    let command = map.need("command", "warn, expire or anonymise").and_then(|at| {
        at.word(&[("warn", Action::Warn), ("expire", Action::Expire), ("anonymise", Action::Anonymise)])
    });
    let targets = match map.get("targets") {
        Some(at) => target_list(&at, context),
        None => default.map(<[_]>::to_vec),
    };
    map.finish();
    Some(Stage { after: after?, action: command?, targets: targets? })
}

/// A period of the calendar, or an exact one; a short one must be meant.
pub(super) fn period(at: &At<'_>, context: &Context) -> Option<Period> {
    let period = at.period()?;
    if matches!(period, Period::Exact { seconds } if seconds < DAY.0) && !context.short_periods {
        let months = "; PT24M, say, is 24 minutes, and 24 months are P24M";
        at.error(format!(
            "is '{}', which is less than a day{months}. Set short_periods: true if you mean it",
            at.shown()
        ));
        return None;
    }
    Some(period)
}

/// The shortest time between the deadlines of two stages, over [`starting_points`].
///
/// # Errors
/// A day for which the second does not come after the first.
fn shortest_notice(first: Period, second: Period, zone: Tz) -> Result<Seconds, NaiveDate> {
    let mut shortest = Seconds(i64::MAX);
    for (date, start) in starting_points() {
        let notice = second.deadline(start, zone) - first.deadline(start, zone);
        if notice <= Seconds(0) {
            return Err(date);
        }
        shortest = shortest.min(notice);
    }
    Ok(shortest)
}

/// Whether one period always ends before another, whatever the starting point of both.
pub(super) fn comes_first(first: (CountedFrom, Period), second: (CountedFrom, Period), zone: Tz) -> bool {
    let deadline = |(from, period): (CountedFrom, Period), start| period.deadline(from.apply(start, zone), zone);
    starting_points().all(|(_, start)| deadline(first, start) < deadline(second, start))
}

/// The noon of days that see every month's end, a leap year and a year that is none although it divides
/// by four.
fn starting_points() -> impl Iterator<Item = (NaiveDate, Timestamp)> {
    [2024, 2097].into_iter().flat_map(|from| {
        let new_year = NaiveDate::from_ymd_opt(from, 1, 1).expect("every year has this day");
        let dates = (0..1461).map(move |days| new_year + Days::new(days));
        dates.map(|date| (date, Timestamp(date.and_time(NaiveTime::MIN).and_utc().timestamp() + DAY.0 / 2)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_grow_for_every_starting_point_or_not_at_all() {
        for (first, second, days) in [
            ("P23M", "P24M", Some(28)),
            ("P1Y", "P366D", None),
            ("P364D", "P1Y", Some(1)),
            ("P365D", "P1Y", None),
            ("P30D", "P1M", None),
            ("P28D", "P1M", None),
            ("P27D", "P1M", Some(1)),
            ("P4W", "P29D", Some(1)),
            ("P12M", "P1Y", None),
            ("P1461D", "P4Y", None),
            ("PT24H", "P1D", Some(0)),
            ("PT10M", "PT20M", Some(0)),
            ("PT20M", "PT10M", None),
        ] {
            let [a, b] = [first, second].map(|text| Period::parse(text).unwrap());
            let notice = shortest_notice(a, b, Tz::UTC).ok().map(|notice| notice.0 / DAY.0);
            assert_eq!(notice, days, "{first} {second}");
        }
    }
}
