//! The real core, by way of the offline simulation.

use crate::compare::{Decided, Line};
use crate::days::{CountedFrom, Period};
use crate::told::{AnswerResult, Answering, CATEGORIES, Case, Configuration, KINDS, Policy, TARGETS, Told, Window};
use chrono_tz::Tz;
use lapsed::retention::activity::{KindIndex, KindTag};
use lapsed::retention::calendar::{self, Resolution, Seconds, Timestamp};
use lapsed::retention::claims::Claim;
use lapsed::retention::command::Command;
use lapsed::retention::customer::{AckResult, Acknowledgement};
use lapsed::retention::gate::KnownSince;
use lapsed::retention::policy::{self, CategorySet, Rulebook, SourceIndex, TargetIndex};
use lapsed::simulated::offline::{Acknowledging, Arrival, KnownSinces, Offline};
use std::rc::Rc;
use uuid::Uuid;

pub const CUSTOMER: &str = "4711";

fn index<Index: TryFrom<usize, Error: std::fmt::Debug>>(place: usize) -> Index {
    Index::try_from(place).unwrap()
}

fn period(period: Period) -> calendar::Period {
    match period {
        Period::Calendar { months, days } => calendar::Period::Calendar { months, days },
        Period::Exact { seconds } => calendar::Period::Exact { seconds },
    }
}

fn counted_from(counted_from: CountedFrom) -> calendar::CountedFrom {
    match counted_from {
        CountedFrom::Event => calendar::CountedFrom::Event,
        CountedFrom::EndOfMonth => calendar::CountedFrom::EndOfMonth,
        CountedFrom::EndOfYear => calendar::CountedFrom::EndOfYear,
    }
}

fn kinds(kinds: &[usize]) -> Vec<KindIndex> {
    kinds.iter().map(|kind| KindIndex(index(*kind))).collect()
}

fn known_since(known_since: Option<i64>) -> KnownSince {
    known_since.map_or(KnownSince::Beginning, |at| KnownSince::At(Timestamp(at)))
}

fn policy(policy: &Policy) -> policy::Policy {
    let mut category_set = CategorySet::EMPTY;
    policy.categories.iter().for_each(|category| category_set.insert(index(*category)));
    let stages = policy.stages.iter().map(|stage| policy::Stage {
        after: period(stage.after),
        action: match stage.action {
            crate::told::Action::Warn => policy::Action::Warn,
            crate::told::Action::Expire => policy::Action::Expire,
            crate::told::Action::Anonymise => policy::Action::Anonymise,
        },
        targets: stage.targets.iter().map(|target| TargetIndex(index(*target))).collect(),
    });
    let applies_to = policy.applies_to.iter().map(|(name, values)| {
        let values = values.iter().map(|value| value.map(str::to_owned)).collect();
        ((*name).to_owned(), values)
    });
    policy::Policy {
        key: policy.key.clone(),
        version: "v1".to_owned(),
        categories: policy.categories.iter().map(|category| index(*category)).collect(),
        category_set,
        since_last: kinds(&policy.kinds),
        counted_from: counted_from(policy.counted_from),
        stages: stages.collect(),
        mode: policy::Mode::Enforce,
        consent: policy.consent.map(str::to_owned),
        applies_to: applies_to.collect(),
        brake: policy::Brake::default(),
        sources: vec![SourceIndex(0)],
        lateness: Seconds(policy.lateness),
        history_rules: Vec::new(),
    }
}

fn window(window: &Window) -> policy::Window {
    let mut days = [false; 7];
    window.days.iter().for_each(|day| days[day.num_days_from_monday() as usize] = true);
    policy::Window { days, from: window.from, to: window.to }
}

pub fn rulebook(configuration: &Configuration) -> Rulebook {
    let targets = TARGETS.iter().zip(configuration.acknowledge_within).map(|(key, within)| policy::Target {
        key: (*key).to_owned(),
        topic: format!("{key}.commands"),
        acknowledge_within: within.map(Seconds),
    });
    let floors = configuration.floors.iter().map(|floor| policy::Floor {
        category: index(floor.category),
        since_last: kinds(&floor.kinds),
        counted_from: counted_from(floor.counted_from),
        keep: period(floor.keep),
        because: "a law".to_owned(),
        sources: vec![SourceIndex(0)],
        history_rules: Vec::new(),
    });
    Rulebook {
        application: "lapsed".to_owned(),
        zone: configuration.zone,
        resolution: if configuration.by_second { Resolution::Second } else { Resolution::Day },
        command_namespace: Uuid::from_u128(1),
        kinds: KINDS.map(|name| policy::Kind { name: name.to_owned(), tag: KindTag::of(name) }).to_vec(),
        categories: CATEGORIES.map(str::to_owned).to_vec(),
        targets: targets.collect(),
        sources: vec![policy::Trust {
            key: "shop".to_owned(),
            allowed_lateness: Seconds(600),
            rejects_max: 0.001,
            retired: false,
            rules: Vec::new(),
        }],
        policies: configuration.policies.iter().map(policy).collect(),
        floors: floors.collect(),
        hold_sources: vec![SourceIndex(0)],
        window: configuration.window.as_ref().map(window),
        forget: policy::Forget {
            after: period(configuration.forget_after),
            // Longer than any run, so that it makes no difference from when on it is counted.
            suppress_for: calendar::Period::Calendar { months: 120, days: 0 },
        },
        gate_lag_max: Seconds(900),
    }
}

fn known_sinces(configuration: &Configuration) -> KnownSinces {
    KnownSinces {
        policies: configuration.policies.iter().map(|policy| known_since(policy.known_since)).collect(),
        floors: configuration.floors.iter().map(|floor| known_since(floor.known_since)).collect(),
    }
}

/// A case as the core takes it.
pub struct Run<'a> {
    configuration: &'a Configuration,
    rules: Rulebook,
    known_sinces: KnownSinces,
    acknowledging: Acknowledging,
    until_ms: i64,
    pub arrivals: Vec<(i64, Arrival)>,
}

impl<'a> Run<'a> {
    /// A case's log, without answers.
    pub fn new(case: &'a Case) -> Run<'a> {
        let rules = rulebook(&case.configuration);
        let arrivals =
            case.log.iter().map(|arrived| (arrived.arrives * 1000, arrival(&rules, CUSTOMER, &arrived.what)));
        Run {
            configuration: &case.configuration,
            known_sinces: known_sinces(&case.configuration),
            acknowledging: match case.answering {
                Answering::AtOnce => Acknowledging::AtOnce,
                Answering::Planned { .. } => Acknowledging::FromInput,
            },
            until_ms: case.until * 1000,
            arrivals: arrivals.collect(),
            rules,
        }
    }

    /// A case's log with the answers to what leaves: each changes only what leaves after it has arrived. Time
    /// is let run on in steps, for what is not yet answered is repeated again and again.
    pub fn answered(case: &'a Case) -> Run<'a> {
        let mut run = Run::new(case);
        if run.acknowledging == Acknowledging::AtOnce {
            return run;
        }
        let begin = run.arrivals.iter().map(|(arrives_ms, _)| *arrives_ms).min().unwrap_or(run.until_ms);
        let first_step = 1 + (run.until_ms - begin) / 40;
        let (mut answered, mut step, mut until_ms) = (0, first_step, begin + first_step);
        loop {
            let commands = run.commands(until_ms);
            if answered < commands.len() {
                answered = run.answer(&commands, answered, &case.answering);
                step = first_step;
            } else if until_ms < run.until_ms {
                step *= 2;
                until_ms = run.until_ms.min(until_ms + step);
            } else {
                return run;
            }
        }
    }

    /// Answers the commands from the nth on, up to the first that may change when these answers arrive;
    /// which that is.
    fn answer(&mut self, commands: &[Command], first: usize, answering: &Answering) -> usize {
        let mut next_answer = i64::MAX;
        for (nth, command) in commands.iter().enumerate().skip(first) {
            if command.time.0 >= next_answer {
                return nth;
            }
            for answer in answering.planned(nth) {
                let arrives = command.time.0 + answer.after;
                next_answer = next_answer.min(arrives);
                let acknowledgement = Acknowledgement {
                    command: command.id,
                    attempt: command.attempt,
                    target: self.rules.target(command.target).key.clone(),
                    result: match answer.result(command.time.0) {
                        AnswerResult::Done => AckResult::Done,
                        AnswerResult::Retained { until } => AckResult::Retained { until: Timestamp(until) },
                        AnswerResult::Failed => AckResult::Failed,
                    },
                    time: Timestamp(command.time.0 + answer.claimed),
                };
                let arrival = Arrival::Acknowledgement { customer: CUSTOMER.into(), acknowledgement };
                self.arrivals.push((arrives * 1000, arrival));
            }
        }
        commands.len()
    }

    /// In the order of [`Line::order`].
    fn commands(&self, until_ms: i64) -> Vec<Command> {
        let commands = self.raw_commands(&self.arrivals, until_ms).into_iter();
        let mut commands: Vec<(Line, Command)> = commands.map(|(_, command)| (self.line(&command), command)).collect();
        commands.sort_by(|(a, _), (b, _)| a.order().cmp(&b.order()));
        commands.into_iter().map(|(_, command)| command).collect()
    }

    fn raw_commands(&self, arrivals: &[(i64, Arrival)], until_ms: i64) -> Vec<(Rc<str>, Command)> {
        let offline = Offline::new(self.rules.clone(), self.known_sinces.clone(), self.acknowledging);
        offline.run(arrivals.iter().cloned(), until_ms)
    }

    /// The customer's commands on other arrivals, as they came out.
    pub fn commands_on(&self, arrivals: &[(i64, Arrival)]) -> Vec<Command> {
        let commands = self.raw_commands(arrivals, self.until_ms).into_iter();
        commands.filter(|(customer, _)| &**customer == CUSTOMER).map(|(_, command)| command).collect()
    }

    pub fn decided(&self) -> Vec<Decided<Uuid>> {
        let decided =
            |command: Command| Decided { line: self.line(&command), number: command.id, recalls: command.recalls };
        self.commands(self.until_ms).into_iter().map(decided).collect()
    }

    fn line(&self, command: &Command) -> Line {
        Line {
            time: command.time.0,
            policy: command.policy.clone(),
            target: self.rules.target(command.target).key.clone(),
            verb: command.verb.name(),
            cause: command.cause.name(),
            categories: command.categories.clone(),
            kept: command.kept.iter().map(|kept| (kept.category.clone(), kept.by.clone())).collect(),
            since: (command.since.kind.clone(), self.configuration.shown_since(command.since.at.0)),
            deadline: command.deadline.0,
            deferred_by: command.deferred_by.clone().filter(|_| !command.verb.is_recall()),
            next: command.next.map(|next| (next.action.name().to_owned(), next.on.0)),
            attempt: command.attempt as usize,
            expires: command.expires.map(|expires| expires.0),
        }
    }
}

fn arrival(rules: &Rulebook, customer: &str, told: &Told) -> Arrival {
    let customer: Rc<str> = customer.into();
    let at = Timestamp(told.at());
    let claim = match told.clone() {
        Told::Activity { kind, .. } => {
            let at = rules.resolution.apply(at, rules.zone);
            return Arrival::Activity { customer, kind: KindIndex(index(kind)), at };
        }
        Told::Answer { .. } => unreachable!("a case's log has no answers"),
        Told::Consent { name, given, .. } => Claim::Consent { name: name.to_owned(), given, at },
        Told::Hold { id, until, reason, policies, .. } => {
            let until = until.map(Timestamp);
            Claim::Hold { id: id.to_owned(), at, until, reason: reason.to_owned(), policies }
        }
        Told::Unhold { id, .. } => Claim::Unhold { id: id.to_owned(), at },
        Told::Erasure { .. } => Claim::Erasure { at },
        Told::Attribute { name, value, .. } => {
            Claim::Attribute { name: name.to_owned(), value: value.map(str::to_owned), at }
        }
    };
    Arrival::Claim { customer, claim }
}

/// Whose midnights the tests' calendar has.
pub const ZONES: [Tz; 5] =
    [Tz::UTC, Tz::Europe__Amsterdam, Tz::America__New_York, Tz::Asia__Kolkata, Tz::Pacific__Auckland];
