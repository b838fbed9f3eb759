//! How much falls due per day, policy and target for a year ahead, if nobody does anything until then.
//!
//! Most customers have only been seen: at day resolution they are counted by the day on which a policy's
//! periods start, and their future is worked out once a day, not once a customer.

use super::activity::LastSeen;
use super::brake::limit;
use super::calendar::{Resolution, Timestamp, first_instant_of, local_date};
use super::claims::Claims;
use super::customer::Record;
use super::decide::{Circumstances, Coming, applies, coming, coming_from, starting_point};
use super::policy::{Action, Mode, PolicyIndex, Rulebook, TargetIndex};
use chrono::{Days, NaiveDate};

/// How many days are foretold, today included.
pub const DAYS: usize = 366;

/// One policy's future in one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyForecast {
    pub policy: String,
    pub mode: Mode,
    /// Customers who have a starting point, and to whom it applies.
    pub covered: u64,
    /// Customers to whom something is due already.
    pub due: u64,
    /// Customers to whom nothing leaves before a hold without an end is lifted.
    pub held: u64,
    /// By day: customers to whom something falls due then.
    pub customers: Vec<u64>,
    pub commands: Vec<CommandForecast>,
    /// Customers it may send something in a day without tripping the brake.
    pub brake: u64,
    /// The first day on which more than that want to leave, backlog apart, and how many such days there are.
    pub brake_trips: Option<(NaiveDate, u64)>,
}

/// One command to one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandForecast {
    pub command: Action,
    pub target: String,
    pub due: u64,
    /// By day.
    pub days: Vec<u64>,
}

/// A shard's future while it is being counted.
#[derive(Debug)]
pub struct Tally {
    /// The day that is today, in the zone of the rules.
    pub first: NaiveDate,
    policies: Vec<PolicyTally>,
}

#[derive(Debug)]
struct PolicyTally {
    covered: u64,
    due: u64,
    held: u64,
    customers: Vec<u64>,
    /// Ordered by command and target.
    commands: Vec<(Action, TargetIndex, u64, Vec<u64>)>,
    /// By half day of Unix time: a starting point in it, and how many customers have it.
    starts: Vec<(Timestamp, u64)>,
}

/// The ends of two local days are never so close that they share one: clocks move by less.
const HALF_DAY: i64 = 43_200;
/// No starting point lies before: 1973, where times begin.
const FIRST_HALF_DAY: i64 = 94_694_400 / HALF_DAY;
/// So many half days are enough for the times that are kept, which end in 2106.
const HALF_DAYS_MAX: usize = 100_000;

impl Tally {
    pub fn new(rules: &Rulebook, now: Timestamp) -> Tally {
        let policies = rules.policies.iter().map(|policy| {
            let mut commands: Vec<_> = policy
                .stages
                .iter()
                .flat_map(|stage| stage.targets.iter().map(|target| (stage.action, *target, 0, vec![0; DAYS])))
                .collect();
            commands.sort_by_key(|(action, target, ..)| (*action, *target));
            commands.dedup_by_key(|(action, target, ..)| (*action, *target));
            PolicyTally { covered: 0, due: 0, held: 0, customers: vec![0; DAYS], commands, starts: Vec::new() }
        });
        Tally { first: local_date(now, rules.zone), policies: policies.collect() }
    }

    /// Counts a customer. `due_now` is told by policy whether something is due already, if anybody asks.
    pub fn add(
        &mut self,
        circumstances: Circumstances<'_>,
        seen: &[LastSeen],
        record: Option<&Record>,
        mut due_now: Option<&mut Vec<bool>>,
    ) {
        if let Some(due_now) = &mut due_now {
            due_now.clear();
        }
        for place in 0..self.policies.len() {
            let due = match record.filter(|record| !record.is_empty()) {
                Some(record) => self.add_told(circumstances, place, seen, record),
                None => self.add_seen(circumstances, place, seen, due_now.is_some()),
            };
            if let Some(due_now) = &mut due_now {
                due_now.push(due);
            }
        }
    }

    fn add_told(&mut self, circumstances: Circumstances<'_>, place: usize, seen: &[LastSeen], record: &Record) -> bool {
        let rules = circumstances.rules;
        let policy = index(place);
        let known = circumstances.gate.known_since(policy);
        let of_kinds = &rules.policies[place].since_last;
        let applies = applies(&rules.policies[place], &record.claims);
        let start = starting_point(rules, circumstances.almanac, of_kinds, seen, known);
        self.policies[place].covered += u64::from(applies && start.is_some());
        let coming = coming(circumstances, policy, seen, record);
        self.count(circumstances, place, &coming, 1)
    }

    fn add_seen(&mut self, circumstances: Circumstances<'_>, place: usize, seen: &[LastSeen], asks: bool) -> bool {
        let Circumstances { rules, almanac, gate, now, .. } = circumstances;
        let policy = &rules.policies[place];
        if !applies(policy, &Claims::NONE) {
            return false;
        }
        let known = gate.known_since(index(place));
        let Some(start) = starting_point(rules, almanac, &policy.since_last, seen, known) else { return false };
        self.policies[place].covered += 1;
        if rules.resolution == Resolution::Second || !self.policies[place].file(start.at) {
            let coming = coming_from(circumstances, index(place), start.at);
            return self.count(circumstances, place, &coming, 1);
        }
        let first = &policy.stages[0];
        asks && almanac.deadline(policy.counted_from, first.after, start.at) + policy.lateness <= now
    }

    /// Counts what is to come for so many customers; whether something is due already.
    fn count(&mut self, circumstances: Circumstances<'_>, place: usize, coming: &[Coming], number: u64) -> bool {
        let Circumstances { rules, now, .. } = circumstances;
        let first = self.first;
        let tally = &mut self.policies[place];
        let (mut is_due, mut days): (bool, Vec<usize>) = (false, Vec::new());
        for coming in coming {
            let Some(at) = coming.at else { continue };
            let action = rules.policies[place].stages[coming.stage].action;
            let day = if at <= now { None } else { Some((local_date(at, rules.zone) - first).num_days()) };
            let day = match day.map(usize::try_from) {
                None => None,
                Some(Ok(day)) if day < DAYS => Some(day),
                Some(_) => continue,
            };
            is_due |= day.is_none();
            days.extend(day);
            let commands = tally.commands.iter_mut();
            for (_, _, due, by_day) in commands.filter(|(of, target, ..)| *of == action && coming.to.contains(target)) {
                match day {
                    None => *due += number,
                    Some(day) => by_day[day] += number,
                }
            }
        }
        tally.due += if is_due { number } else { 0 };
        if !is_due && !coming.is_empty() && coming.iter().all(|coming| coming.at.is_none()) {
            tally.held += number;
        }
        days.sort_unstable();
        days.dedup();
        days.into_iter().for_each(|day| tally.customers[day] += number);
        is_due
    }

    /// The whole, when everyone has been counted.
    pub fn finish(mut self, circumstances: Circumstances<'_>) -> Vec<PolicyForecast> {
        for place in 0..self.policies.len() {
            for (start, number) in std::mem::take(&mut self.policies[place].starts) {
                if number > 0 {
                    let coming = coming_from(circumstances, index(place), start);
                    self.count(circumstances, place, &coming, number);
                }
            }
        }
        let (rules, first) = (circumstances.rules, self.first);
        let leaving = leaving_days(rules, first);
        let foretold = |(policy, tally): (&super::policy::Policy, PolicyTally)| {
            let brake = limit(policy.brake, tally.covered);
            let commands = tally.commands.into_iter().map(|(command, target, due, days)| CommandForecast {
                command,
                target: rules.target(target).key.clone(),
                due,
                days,
            });
            PolicyForecast {
                policy: policy.key.clone(),
                mode: policy.mode,
                covered: tally.covered,
                due: tally.due,
                held: tally.held,
                brake_trips: trips(&tally.customers, &leaving, brake, first),
                customers: tally.customers,
                commands: commands.collect(),
                brake,
            }
        };
        rules.policies.iter().zip(self.policies).map(foretold).collect()
    }
}

impl PolicyTally {
    /// Files a customer under a starting point at the end of a local day; whether that is one.
    fn file(&mut self, start: Timestamp) -> bool {
        let Ok(place) = usize::try_from(start.0.div_euclid(HALF_DAY) - FIRST_HALF_DAY) else { return false };
        if place >= HALF_DAYS_MAX {
            return false;
        }
        if place >= self.starts.len() {
            self.starts.resize(place + 1, (Timestamp(0), 0));
        }
        let (at, number) = &mut self.starts[place];
        if *number > 0 && *at != start {
            return false;
        }
        (*at, *number) = (start, *number + 1);
        true
    }
}

/// By day the one on which commands leave that fall due then; `None`: after the last that is foretold.
fn leaving_days(rules: &Rulebook, first: NaiveDate) -> Vec<Option<usize>> {
    let leaves = |day: usize| {
        let Some(window) = rules.window else { return Some(day) };
        let date = first + Days::new(day as u64);
        let opens = window.opens(first_instant_of(date, rules.zone), rules.zone);
        usize::try_from((local_date(opens, rules.zone) - first).num_days()).ok().filter(|day| *day < DAYS)
    };
    (0..DAYS).map(leaves).collect()
}

fn trips(customers: &[u64], leaving: &[Option<usize>], brake: u64, first: NaiveDate) -> Option<(NaiveDate, u64)> {
    let mut wanting = vec![0; DAYS];
    for (number, day) in customers.iter().zip(leaving) {
        if let Some(day) = day {
            wanting[*day] += number;
        }
    }
    let mut tripping = wanting.iter().enumerate().filter(|(_, number)| **number > brake).map(|(day, _)| day);
    let day = tripping.next()?;
    Some((first + Days::new(day as u64), 1 + tripping.count() as u64))
}

fn index(place: usize) -> PolicyIndex {
    PolicyIndex(u16::try_from(place).unwrap_or(u16::MAX))
}
