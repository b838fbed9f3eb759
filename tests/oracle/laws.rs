//! What holds whatever the oracle says.

use crate::check;
use crate::core::{CUSTOMER, Run};
use crate::generate::{Area, EVERYTHING, PERIODS};
use crate::told::{CATEGORIES, Case, TARGETS, Told};
use crate::view::{Memory, View};
use lapsed::retention::command::Command;
use lapsed::simulated::offline::Arrival;

fn same(case: &Case, what: &str, first: &[Command], second: &[Command]) -> Result<(), String> {
    if first == second {
        return Ok(());
    }
    let differs = first.iter().zip(second).position(|(first, second)| first != second);
    let place = differs.unwrap_or_else(|| first.len().min(second.len()));
    let case = crate::compare::shown_case(case);
    Err(format!("\n{case}\n{what} decides otherwise: {:#?}\nthan {:#?}", second.get(place), first.get(place)))
}

#[test]
fn what_arrives_twice_is_decided_once() {
    check(EVERYTHING, 100, |case| {
        let run = Run::answered(case);
        let twice: Vec<(i64, Arrival)> =
            run.arrivals.iter().flat_map(|arrival| [arrival.clone(), arrival.clone()]).collect();
        same(case, "all of it twice", &run.commands_on(&run.arrivals), &run.commands_on(&twice))
    });
}

#[test]
fn what_is_read_again_later_changes_nothing() {
    check(EVERYTHING, 100, |case| {
        let run = Run::answered(case);
        let again = run.arrivals.iter().enumerate().map(|(place, (arrives_ms, arrival))| {
            let later_ms = 3_600_000 * i64::try_from(1 + place * 17 % 1000).unwrap();
            (arrives_ms + later_ms, arrival.clone())
        });
        let twice: Vec<(i64, Arrival)> = run.arrivals.iter().cloned().chain(again).collect();
        same(case, "all of it read again later", &run.commands_on(&run.arrivals), &run.commands_on(&twice))
    });
}

#[test]
fn what_arrives_at_one_instant_has_no_order() {
    check(EVERYTHING, 100, |case| {
        let mut case = case.clone();
        for arrived in &mut case.log {
            arrived.arrives = case.configuration.calendar().next_day(arrived.arrives);
        }
        let run = Run::answered(&case);
        let mut backwards = run.arrivals.clone();
        backwards.reverse();
        same(&case, "the other order", &run.commands_on(&run.arrivals), &run.commands_on(&backwards))
    });
}

/// After all policies of a customer have ended, and all floors and holds are over, each category at each
/// target has been named by exactly one removing command that was not recalled since the last activity; none
/// was named while a keeper kept it.
#[test]
fn every_category_goes_exactly_once() {
    let area = Area { floors: true, holds: true, known_since: true, answers: true, ..PERIODS };
    check(area, 200, |case| {
        let case = let_everything_end(case);
        let run = Run::answered(&case);
        let commands = run.commands_on(&run.arrivals);
        let found = Found { case: &case, commands: &commands };
        let problem = (0..CATEGORIES.len())
            .flat_map(|category| (0..TARGETS.len()).map(move |target| (category, target)))
            .find_map(|(category, target)| found.named_once(category, target).err())
            .or_else(|| found.nothing_named_that_is_kept().err());
        problem.map_or(Ok(()), |problem| {
            let lines = run.decided();
            let lines = lines.iter().map(|decided| case.configuration.shown_line(&decided.line));
            let lines = lines.collect::<Vec<_>>().join("\n");
            Err(format!("\n{}\n{problem}:\n{lines}", crate::compare::shown_case(&case)))
        })
    });
}

/// One removing stage a policy, no hold without end, and time enough.
fn let_everything_end(case: &Case) -> Case {
    let mut case = case.clone();
    for policy in &mut case.configuration.policies {
        let last = policy.stages.iter().position(|stage| stage.action.removes()).unwrap();
        policy.stages.truncate(last + 1);
    }
    for arrived in &mut case.log {
        if let Told::Hold { at, until, .. } = &mut arrived.what {
            until.get_or_insert(*at + 40 * 86_400);
        }
    }
    case.until += 700 * 86_400;
    case
}

struct Found<'a> {
    case: &'a Case,
    commands: &'a [Command],
}

impl Found<'_> {
    /// What is known at an instant but for what was sent.
    fn view(&self, now: i64) -> View<'_> {
        static NOTHING: Memory = Memory { suppress_before: None, withdrawn: Vec::new() };
        let configuration = &self.case.configuration;
        let arrived = self.case.log.partition_point(|arrived| arrived.arrives <= now);
        View {
            configuration,
            calendar: configuration.calendar(),
            memory: &NOTHING,
            arrived: &self.case.log[..arrived],
            sent: &[],
            now,
            sees_decisions_of_now: true,
        }
    }

    fn covers(&self, policy: usize, category: usize, target: usize) -> bool {
        let configuration = &self.case.configuration;
        configuration.policies[policy].categories.contains(&category)
            && configuration.removing_targets(policy).iter().any(|(removing, _)| *removing == target)
    }

    /// First attempts of removals that were not recalled by an instant.
    fn removals(&self, by: i64) -> impl Iterator<Item = &Command> {
        let recalled = move |removal: &Command| {
            self.commands.iter().any(|recall| recall.recalls == Some(removal.id) && recall.time.0 <= by)
        };
        let removes = |command: &&Command| matches!(command.verb.name(), "expire" | "anonymise");
        let first = self.commands.iter().filter(removes).filter(|command| command.attempt == 1);
        first.filter(move |removal| !recalled(removal))
    }

    fn names(&self, command: &Command, category: usize, target: usize) -> bool {
        usize::from(command.target.0) == target && command.categories.iter().any(|name| name == CATEGORIES[category])
    }

    fn named_once(&self, category: usize, target: usize) -> Result<(), String> {
        let policies = 0..self.case.configuration.policies.len();
        let starts = |policy: usize, now: i64| self.view(now).start(policy).map(|since| since.at);
        let news = policies.filter(|policy| self.covers(*policy, category, target)).filter_map(|policy| {
            let arrivals = self.case.log.iter().map(|arrived| arrived.arrives);
            arrivals.rev().find(|arrives| starts(policy, *arrives) > starts(policy, *arrives - 1))
        });
        let Some(last_news) = news.max() else { return Ok(()) };
        let named = self
            .removals(i64::MAX)
            .filter(|removal| removal.time.0 >= last_news && self.names(removal, category, target));
        match named.count() {
            1 => Ok(()),
            times => Err(format!("{} at {} was named {times} times", CATEGORIES[category], TARGETS[target])),
        }
    }

    fn nothing_named_that_is_kept(&self) -> Result<(), String> {
        let places =
            || (0..CATEGORIES.len()).flat_map(|category| (0..TARGETS.len()).map(move |target| (category, target)));
        for removal in self.removals(i64::MIN) {
            for (category, target) in places().filter(|(category, target)| self.names(removal, *category, *target)) {
                if let Some(keeper) = self.keeper(removal, category, target) {
                    let name = CATEGORIES[category];
                    return Err(format!("at {} {name} was named while {keeper} kept it", removal.time.0));
                }
            }
        }
        Ok(())
    }

    fn keeper(&self, removal: &Command, category: usize, target: usize) -> Option<String> {
        let view = self.view(removal.time.0);
        let policies = &self.case.configuration.policies;
        let own = policies.iter().position(|policy| policy.key == removal.policy).unwrap();
        if view.floor_end(category, own).is_some_and(|end| removal.time.0 < end) {
            return Some("a floor".to_owned());
        }
        let keeps = |&other: &usize| {
            other != own
                && self.covers(other, category, target)
                && view.start(other).is_some_and(|since| !self.has_removed(other, since.at, removal.time.0))
        };
        (0..policies.len()).find(keeps).map(|other| policies[other].key.clone())
    }

    fn has_removed(&self, policy: usize, since: i64, by: i64) -> bool {
        let policy = &self.case.configuration.policies[policy];
        let last = &policy.stages[policy.stages.len() - 1];
        last.targets.iter().all(|&target| {
            let mut removals = self.removals(by);
            removals.any(|removal| {
                let is_there = removal.policy == policy.key && usize::from(removal.target.0) == target;
                is_there && removal.since.at.0 == since && removal.time.0 <= by
            })
        })
    }
}

#[test]
fn customers_have_nothing_to_do_with_each_other() {
    check(EVERYTHING, 100, |case| {
        let run = Run::answered(case);
        let alone = run.commands_on(&run.arrivals);
        let others = run.arrivals.iter().map(|(arrives_ms, arrival)| (arrives_ms + 86_400_000, renamed(arrival)));
        let together: Vec<(i64, Arrival)> = run.arrivals.iter().cloned().chain(others).collect();
        same(case, "the presence of another customer", &alone, &run.commands_on(&together))
    });
}

fn renamed(arrival: &Arrival) -> Arrival {
    let mut arrival = arrival.clone();
    match &mut arrival {
        Arrival::Activity { customer, .. }
        | Arrival::Claim { customer, .. }
        | Arrival::Acknowledgement { customer, .. } => *customer = format!("not {CUSTOMER}").into(),
    }
    arrival
}

#[test]
#[ignore]
fn timing() {
    use proptest::strategy::{Strategy, ValueTree};
    for (name, area) in [
        ("periods", crate::generate::PERIODS),
        ("answers", crate::generate::Area { answers: true, policies_max: 3, ..crate::generate::PERIODS }),
        ("everything", crate::generate::EVERYTHING),
        ("seconds", crate::generate::Area { by_second: true, ..crate::generate::EVERYTHING }),
    ] {
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let strategy = crate::generate::case(area);
        let begin = std::time::Instant::now();
        let cases: Vec<_> = (0..200).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect();
        let generated = begin.elapsed();
        let begin = std::time::Instant::now();
        let lines: usize = cases.iter().map(|case| crate::oracle::expected(case).len()).sum();
        let oracle = begin.elapsed();
        let begin = std::time::Instant::now();
        let found: usize = cases.iter().map(|case| crate::core::Run::answered(case).decided().len()).sum();
        println!("{name}: gen {generated:?} oracle {oracle:?} {lines} core {:?} {found}", begin.elapsed());
    }
}
