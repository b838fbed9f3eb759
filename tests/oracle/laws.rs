//! What holds whatever the oracle says.

use crate::core::{CUSTOMER, Run};
use crate::generate::{Area, EVERYTHING, PERIODS};
use crate::told::Case;
use crate::{check, once};
use lapsed::retention::command::Command;
use lapsed::simulated::offline::Arrival;

const CASES: u32 = 100;

fn same(case: &Case, what: &str, first: &[Command], second: &[Command]) -> Result<(), String> {
    if first == second {
        return Ok(());
    }
    let differs = first.iter().zip(second).position(|(first, second)| first != second);
    let place = differs.unwrap_or_else(|| first.len().min(second.len()));
    let case = crate::compare::shown_case(case);
    Err(format!("\n{case}\n{what} makes it {:#?}\ninstead of {:#?}", second.get(place), first.get(place)))
}

/// Runs a case and what becomes of its arrivals, answers among them.
fn changes_nothing(
    what: &str,
    case: &Case,
    change: impl Fn(&[(i64, Arrival)]) -> Vec<(i64, Arrival)>,
) -> Result<(), String> {
    let run = Run::answered(case);
    same(case, what, &run.commands_on(&run.arrivals), &run.commands_on(&change(&run.arrivals)))
}

#[test]
fn what_arrives_twice_is_decided_once() {
    check(EVERYTHING, CASES, |case| {
        changes_nothing("all of it twice", case, |arrivals| {
            arrivals.iter().flat_map(|arrival| [arrival.clone(), arrival.clone()]).collect()
        })
    });
}

/// As when a source is read again from its beginning.
#[test]
fn what_is_read_again_later_changes_nothing() {
    check(EVERYTHING, CASES, |case| {
        changes_nothing("all of it again later", case, |arrivals| {
            let hours_later = |place: usize| 3_600_000 * i64::try_from(1 + place * 17 % 1000).unwrap();
            let again = arrivals.iter().enumerate();
            let again = again.map(|(place, (arrives_ms, arrival))| (arrives_ms + hours_later(place), arrival.clone()));
            arrivals.iter().cloned().chain(again).collect()
        })
    });
}

#[test]
fn what_arrives_at_one_instant_has_no_order() {
    check(EVERYTHING, CASES, |case| {
        let mut case = case.clone();
        for arrived in &mut case.log {
            arrived.arrives = case.configuration.calendar().next_day(arrived.arrives);
        }
        changes_nothing("the other order", &case, |arrivals| arrivals.iter().rev().cloned().collect())
    });
}

#[test]
fn customers_have_nothing_to_do_with_each_other() {
    check(EVERYTHING, CASES, |case| {
        changes_nothing("another customer", case, |arrivals| {
            let others = arrivals.iter().map(|(arrives_ms, arrival)| (arrives_ms + 86_400_000, of_another(arrival)));
            arrivals.iter().cloned().chain(others).collect()
        })
    });
}

fn of_another(arrival: &Arrival) -> Arrival {
    let mut arrival = arrival.clone();
    match &mut arrival {
        Arrival::Activity { customer, .. }
        | Arrival::Claim { customer, .. }
        | Arrival::Acknowledgement { customer, .. } => *customer = format!("not {CUSTOMER}").into(),
    }
    arrival
}

const ONCE: [Area; 2] = [
    Area { floors: true, holds: true, known_since: true, ..PERIODS },
    Area { floors: true, holds: true, known_since: true, answers: true, ..PERIODS },
];

#[test]
fn every_category_goes_exactly_once() {
    for area in ONCE {
        check(area, CASES, |case| {
            let case = once::let_everything_end(case);
            once::every_category_goes_exactly_once(&case, &Run::answered(&case).decided())
        });
    }
}

/// The oracle, too, must keep the law.
#[test]
fn every_category_goes_exactly_once_by_the_oracle() {
    for area in ONCE {
        check(area, CASES, |case| {
            let case = once::let_everything_end(case);
            once::every_category_goes_exactly_once(&case, &crate::oracle::expected(&case))
        });
    }
}
