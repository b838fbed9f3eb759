//! A law of its own: after all policies of a customer have ended, and all floors and holds are over, each
//! category at each target has been named by exactly one removing command that was not recalled since the last
//! activity; none was named while a keeper kept it. Where answers are late, a command that only left something
//! is judged again when its lease is over, and may by then name what its keeper has named, too.

use crate::compare::{Decided, Line, shown_case};
use crate::told::{Answering, CATEGORIES, Case, Policy, TARGETS, Told};
use crate::view::{Memory, View};

/// One removing stage a policy, no hold without end, and time enough.
pub fn let_everything_end(case: &Case) -> Case {
    let mut case = case.clone();
    for policy in &mut case.configuration.policies {
        let removing = policy.stages.iter().position(|stage| stage.action.removes()).unwrap();
        policy.stages.truncate(removing + 1);
    }
    for arrived in &mut case.log {
        if let Told::Hold { at, until, .. } = &mut arrived.what {
            until.get_or_insert(*at + 40 * 86_400);
        }
    }
    case.until += 500 * 86_400;
    case
}

pub fn every_category_goes_exactly_once<Id: Copy + Eq>(case: &Case, lines: &[Decided<Id>]) -> Result<(), String> {
    let found = Found { case, lines };
    let places = (0..CATEGORIES.len()).flat_map(|category| (0..TARGETS.len()).map(move |target| (category, target)));
    let problem = places.into_iter().find_map(|(category, target)| {
        let named_once = found.is_named_once(category, target);
        named_once.and_then(|()| found.is_not_named_while_kept(category, target)).err()
    });
    problem.map_or(Ok(()), |problem| {
        let lines = lines.iter().map(|decided| case.configuration.shown_line(&decided.line));
        Err(format!("\n{}\n{problem}:\n{}", shown_case(case), lines.collect::<Vec<_>>().join("\n")))
    })
}

struct Found<'a, Id> {
    case: &'a Case,
    lines: &'a [Decided<Id>],
}

impl<'a, Id: Copy + Eq> Found<'a, Id> {
    /// What is known at an instant, but for what was sent.
    fn view(&self, now: i64) -> View<'a> {
        static NOTHING: Memory = Memory { suppress_before: None, withdrawn: Vec::new() };
        let Case { configuration, log, .. } = self.case;
        let arrived = log.partition_point(|arrived| arrived.arrives <= now);
        View {
            configuration,
            calendar: configuration.calendar(),
            memory: &NOTHING,
            arrived: &log[..arrived],
            sent: &[],
            now,
            sees_decisions_of_now: true,
        }
    }

    fn policies(&self) -> &'a [Policy] {
        &self.case.configuration.policies
    }

    fn covers(&self, policy: usize, category: usize, target: usize) -> bool {
        let targets = self.case.configuration.removing_targets(policy);
        let speaks_to = targets.iter().any(|(removing, _)| *removing == target);
        speaks_to && self.policies()[policy].categories.contains(&category)
    }

    /// First attempts of removals that were not recalled by an instant.
    fn removals(&self, by: i64) -> impl Iterator<Item = &'a Line> {
        let lines = self.lines;
        let is_recalled = move |id: Id| lines.iter().any(|line| line.recalls == Some(id) && line.line.time <= by);
        let first = lines.iter().filter(move |decided| {
            matches!(decided.line.verb, "expire" | "anonymise") && decided.line.attempt == 1 && decided.line.time <= by
        });
        first.filter(move |decided| !is_recalled(decided.number)).map(|decided| &decided.line)
    }

    fn is_named_once(&self, category: usize, target: usize) -> Result<(), String> {
        let start = |policy: usize, now: i64| self.view(now).start(policy).map(|since| since.at);
        let covering = (0..self.policies().len()).filter(|policy| self.covers(*policy, category, target));
        let last_news = covering.filter_map(|policy| {
            let mut arrivals = self.case.log.iter().map(|arrived| arrived.arrives);
            arrivals.rfind(|arrives| start(policy, *arrives) > start(policy, *arrives - 1))
        });
        let Some(last_news) = last_news.max() else { return Ok(()) };
        let since = self.removals(i64::MAX).filter(|removal| removal.time >= last_news);
        match since.filter(|removal| names(removal, category, target)).count() {
            1 => Ok(()),
            2.. if matches!(self.case.answering, Answering::Planned { .. }) => Ok(()),
            times => Err(format!("{} at {} was named {times} times", CATEGORIES[category], TARGETS[target])),
        }
    }

    fn is_not_named_while_kept(&self, category: usize, target: usize) -> Result<(), String> {
        let all = self.lines.iter().map(|decided| &decided.line);
        let removals = all.filter(|line| line.verb != "warn" && line.verb != "recall" && line.attempt == 1);
        let keeper = removals
            .filter(|removal| names(removal, category, target))
            .find_map(|removal| Some((self.keeper(removal, category, target)?, removal.time)));
        let (name, at) = (CATEGORIES[category], TARGETS[target]);
        keeper.map_or(Ok(()), |(by, time)| Err(format!("{name} at {at} was named at {time} while {by} kept it")))
    }

    /// One that still keeps the category when all of that instant has been sent.
    fn keeper(&self, removal: &Line, category: usize, target: usize) -> Option<&'a str> {
        let view = self.view(removal.time);
        let own = self.policies().iter().position(|policy| policy.key == removal.policy).unwrap();
        if view.floor_end(category, own).is_some_and(|end| removal.time < end) {
            return Some("a floor");
        }
        let keeps = |other: &usize| {
            let is_over = |since: i64| self.has_removed(*other, since, removal.time);
            let covers = *other != own && self.covers(*other, category, target);
            covers && view.start(*other).is_some_and(|since| !is_over(since.at))
        };
        (0..self.policies().len()).find(keeps).map(|other| self.policies()[other].key.as_str())
    }

    fn has_removed(&self, policy: usize, since: i64, by: i64) -> bool {
        let policy = &self.policies()[policy];
        let since = self.case.configuration.shown_since(since);
        policy.stages[policy.stages.len() - 1].targets.iter().all(|&target| {
            self.removals(by).any(|removal| {
                removal.policy == policy.key && removal.target == TARGETS[target] && removal.since.1 == since
            })
        })
    }
}

fn names(line: &Line, category: usize, target: usize) -> bool {
    line.target == TARGETS[target] && line.categories.iter().any(|name| name == CATEGORIES[category])
}
