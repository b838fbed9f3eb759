//! A slow, obviously right oracle against the real core.
//!
//! It shares no code with `retention/`: at every midnight and every arrival it looks at all that has
//! arrived and all that was sent, and asks section 6 of the design what must leave now. Commands are
//! acknowledged the moment they leave, as in `simulate`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use chrono::{DateTime, Days, Months, NaiveDate, NaiveTime, TimeZone};
use chrono_tz::Tz;
use lapsed::config::{Config, Environment, load};
use lapsed::simulated::offline::{Acknowledging, Arrival, KnownSinces, Offline};
use proptest::prelude::*;
use std::collections::BTreeSet;

const KINDS: [&str; 3] = ["login", "purchase", "visit"];
const CATEGORIES: [&str; 3] = ["address", "email", "name"];
const TARGETS: [&str; 2] = ["crm", "mailing"];
const LATENESS_SECONDS: i64 = 2 * 86_400;

#[derive(Clone, Debug)]
struct Policy {
    key: String,
    kinds: BTreeSet<usize>,
    categories: Vec<usize>,
    /// Days before the removal at which it is warned of; 0: not at all.
    warned_before: u32,
    months: u32,
    days: u32,
    targets: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Event {
    kind: usize,
    happened: i64,
    arrives: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    time: i64,
    policy: String,
    target: String,
    /// Recalls sort first.
    verb: (u8, &'static str),
    categories: Vec<String>,
    kept: Vec<(String, String)>,
    since: NaiveDate,
    deadline: i64,
}

#[derive(Clone, Debug)]
struct Sent {
    policy: usize,
    warning: bool,
    line: Line,
    recalled: bool,
}

struct Oracle<'a> {
    zone: Tz,
    policies: &'a [Policy],
    arrived: Vec<Event>,
    sent: Vec<Sent>,
    lines: Vec<Line>,
    now: i64,
}

/// Local midnight at the beginning of a date, or what comes for it. The zones of this test have one.
fn midnight(date: NaiveDate, zone: Tz) -> i64 {
    zone.from_local_datetime(&date.and_time(NaiveTime::MIN)).earliest().unwrap().timestamp()
}

fn date_of(seconds: i64, zone: Tz) -> NaiveDate {
    DateTime::from_timestamp(seconds, 0).unwrap().with_timezone(&zone).date_naive()
}

impl Oracle<'_> {
    fn start(&self, policy: usize) -> Option<(NaiveDate, usize)> {
        let kinds = &self.policies[policy].kinds;
        let days = self.arrived.iter().filter(|event| kinds.contains(&event.kind));
        // Of one day the first of `since_last`, which here are in the order of their names.
        days.map(|event| (date_of(event.happened, self.zone), std::cmp::Reverse(event.kind)))
            .max()
            .map(|(date, kind)| (date, kind.0))
    }

    fn last_date(&self, policy: usize, warning: bool, start: NaiveDate) -> NaiveDate {
        let Policy { months, days, warned_before, .. } = self.policies[policy];
        let end = start + Months::new(months) + Days::new(u64::from(days));
        if warning { start + Months::new(months) + Days::new(u64::from(days - warned_before)) } else { end }
    }

    fn deadline(&self, policy: usize, warning: bool, start: NaiveDate) -> i64 {
        midnight(self.last_date(policy, warning, start) + Days::new(1), self.zone)
    }

    /// What of this run, the one since the latest activity, has been sent and stands.
    fn standing(&self, policy: usize, warning: bool) -> impl Iterator<Item = &Sent> {
        let start = self.start(policy).map(|(date, _)| date);
        self.sent.iter().filter(move |sent| {
            sent.policy == policy && sent.warning == warning && !sent.recalled && Some(sent.line.since) == start
        })
    }

    fn keeper(&self, policy: usize, category: usize, target: usize) -> Option<usize> {
        (0..self.policies.len()).find(|&other| {
            other != policy
                && self.policies[other].categories.contains(&category)
                && self.policies[other].targets.contains(&target)
                && self.start(other).is_some()
                && self.standing(other, false).next().is_none()
        })
    }

    fn parted(&self, policy: usize, targets: &[usize]) -> (Vec<String>, Vec<(String, String)>) {
        let (mut named, mut kept) = (Vec::new(), Vec::new());
        for &category in &self.policies[policy].categories {
            let keepers: Vec<_> = targets.iter().map(|&target| self.keeper(policy, category, target)).collect();
            let name = CATEGORIES[category].to_owned();
            match keepers.iter().flatten().next() {
                Some(keeper) if keepers.iter().all(Option::is_some) => {
                    kept.push((name, self.policies[*keeper].key.clone()));
                }
                _ => named.push(name),
            }
        }
        (named, kept)
    }

    fn recall_what_lost_its_ground(&mut self) {
        for place in 0..self.sent.len() {
            let sent = self.sent[place].clone();
            if sent.recalled || !sent.warning {
                continue; // a removal was done the moment it left
            }
            let removed_since = self
                .sent
                .iter()
                .any(|other| other.policy == sent.policy && !other.warning && other.line.since == sent.line.since);
            let start = self.start(sent.policy).map(|(date, _)| date);
            let (named, _) = self.parted(sent.policy, &self.policies[sent.policy].targets);
            let keeps_what_it_names = sent.line.categories.iter().any(|name| !named.contains(name));
            if !removed_since && (start != Some(sent.line.since) || keeps_what_it_names) {
                self.sent[place].recalled = true;
                let line = Line { time: self.now, verb: (0, "recall"), ..sent.line };
                self.lines.push(line);
            }
        }
    }

    /// Whether the policy would send something now: (deadline, a warning?).
    fn due(&self, policy: usize) -> Option<(i64, bool)> {
        let (start, _) = self.start(policy)?;
        if self.standing(policy, false).next().is_some() {
            return None;
        }
        let removal = self.deadline(policy, false, start);
        let has_warning = self.policies[policy].warned_before > 0;
        let warned = self.standing(policy, true).next().map(|sent| sent.line.time);
        let (deadline, ready, warning) = match warned {
            Some(given) => {
                let between = self.last_date(policy, false, start) - self.last_date(policy, true, start);
                let days = u64::try_from(between.num_days()).unwrap();
                let notice = midnight(date_of(given, self.zone) + Days::new(days + 1), self.zone);
                (removal, notice.max(removal + LATENESS_SECONDS), false)
            }
            None if has_warning && !self.parted(policy, &self.policies[policy].targets).0.is_empty() => {
                let deadline = self.deadline(policy, true, start);
                (deadline, deadline + LATENESS_SECONDS, true)
            }
            None => (removal, removal + LATENESS_SECONDS, false),
        };
        (ready <= self.now).then_some((deadline, warning))
    }

    fn send(&mut self, policy: usize, deadline: i64, warning: bool) {
        let (since, _) = self.start(policy).unwrap();
        let Policy { key, targets, .. } = &self.policies[policy];
        let speaks_to: Vec<usize> = if warning { vec![1] } else { targets.clone() };
        let mut new = Vec::new();
        for &target in &speaks_to {
            let (categories, kept) = self.parted(policy, if warning { targets } else { std::slice::from_ref(&target) });
            let verb = (1, if warning { "warn" } else { "expire" });
            let target = TARGETS[target].to_owned();
            let line = Line { time: self.now, policy: key.clone(), target, verb, categories, kept, since, deadline };
            new.push(Sent { policy, warning, line, recalled: false });
        }
        self.lines.extend(new.iter().map(|sent| sent.line.clone()));
        self.sent.extend(new);
    }

    fn look(&mut self) {
        self.recall_what_lost_its_ground();
        loop {
            let due = (0..self.policies.len()).filter_map(|policy| Some((self.due(policy)?, policy)));
            let Some(((deadline, warning), policy)) = due.min_by_key(|((deadline, _), policy)| (*deadline, *policy))
            else {
                return;
            };
            self.send(policy, deadline, warning);
        }
    }
}

fn expected(zone: Tz, policies: &[Policy], events: &[Event], until: i64) -> Vec<Line> {
    let mut oracle = Oracle { zone, policies, arrived: Vec::new(), sent: Vec::new(), lines: Vec::new(), now: 0 };
    let first = events.iter().map(|event| event.arrives).min().unwrap_or(until);
    let mut instants: BTreeSet<i64> = events.iter().map(|event| event.arrives).collect();
    // Whatever falls due does so at a midnight, or 48 hours after one.
    let mut day = date_of(first, zone);
    while midnight(day, zone) < until {
        instants.insert(midnight(day, zone));
        instants.insert(midnight(day, zone) + LATENESS_SECONDS);
        day = day + Days::new(1);
    }
    for now in instants.into_iter().filter(|now| *now < until) {
        oracle.now = now;
        oracle.arrived.extend(events.iter().filter(|event| event.arrives == now).cloned());
        oracle.look();
    }
    let mut lines = oracle.lines;
    lines.sort_by(|a, b| (a.time, &a.policy, &a.target, a.verb.0).cmp(&(b.time, &b.policy, &b.target, b.verb.0)));
    lines
}

fn configuration(zone: Tz, policies: &[Policy]) -> Config {
    let names = |places: &[usize], all: &[&str]| places.iter().map(|&place| all[place]).collect::<Vec<_>>().join(", ");
    let mut text = format!(
        "time_zone: {zone}
kafka: {{bootstrap.servers: 'kafka:9092'}}
evidence: {{key: none is needed offline}}
sources:
  web:
    topics: [web]
    customer: /user
    time: /at
    max_silence: P1D
    history_from: beginning
    rules: [{}]
targets: {{crm: {{topic: crm, acknowledge_within: P3D}}, mailing: {{topic: mailing, acknowledge_within: P3D}}}}
policies:
",
        KINDS.map(|kind| format!("{{when: {{/kind: {kind}}}, activity: {kind}}}")).join(", ")
    );
    for policy in policies {
        let kinds: Vec<usize> = policy.kinds.iter().copied().collect();
        let period = |days: u32| match (policy.months, days) {
            (0, days) => format!("P{days}D"),
            (months, 0) => format!("P{months}M"),
            (months, days) => format!("P{months}M{days}D"),
        };
        let warning = match policy.warned_before {
            0 => String::new(),
            before => format!("{{after: {}, command: warn, targets: [mailing]}}, ", period(policy.days - before)),
        };
        text += &format!(
            "  {}:
    purpose: {{en: Something that takes more than four words}}
    lawful_basis: contract
    categories: [{}]
    since_last: [{}]
    stages: [{warning}{{after: {}, command: expire}}]
    targets: [{}]
    mode: enforce
    review_by: 2099-01-01
",
            policy.key,
            names(&policy.categories, &CATEGORIES),
            names(&kinds, &KINDS),
            period(policy.days),
            names(&policy.targets, &TARGETS),
        );
    }
    let loaded = load::from_texts(&[("oracle".to_owned(), text.clone())], Environment::Leave, NaiveDate::default());
    loaded.unwrap_or_else(|errors| panic!("{errors}\n{text}")).config
}

fn found(config: &Config, zone: Tz, events: &[Event], until: i64) -> Vec<Line> {
    let mut rules = config.rules.clone();
    rules.forget.after = lapsed::retention::calendar::Period::Calendar { months: 1200, days: 0 };
    let rules = &rules;
    let kind = |event: &Event| rules.kinds.iter().position(|kind| kind.name == KINDS[event.kind]);
    let arrivals = events.iter().filter_map(|event| {
        // Of a kind that no policy names nothing is known; here every kind has a rule.
        let kind = lapsed::retention::activity::KindIndex(u8::try_from(kind(event)?).unwrap());
        let at = rules.resolution.apply(lapsed::retention::calendar::Timestamp(event.happened), zone);
        Some((event.arrives * 1000, Arrival::Activity { customer: "4711".into(), kind, at }))
    });
    let known = KnownSinces::beginning(rules);
    let commands = Offline::new(rules.clone(), known, Acknowledging::AtOnce).run(arrivals, until * 1000);
    let ids: BTreeSet<_> = commands.iter().map(|(_, command)| command.id).collect();
    assert_eq!(ids.len(), commands.len(), "two decisions share an id");
    let line = |command: &lapsed::retention::command::Command| Line {
        time: command.time.0,
        policy: command.policy.clone(),
        target: rules.target(command.target).key.clone(),
        verb: (u8::from(!command.verb.is_recall()), command.verb.name()),
        categories: command.categories.clone(),
        kept: command.kept.iter().map(|kept| (kept.category.clone(), kept.by.clone())).collect(),
        since: date_of(command.since.at.0, zone),
        deadline: command.deadline.0,
    };
    commands.iter().map(|(_, command)| line(command)).collect()
}

fn policies() -> impl Strategy<Value = Vec<Policy>> {
    let some = |count: usize| prop::collection::btree_set(0..count, 1..=count);
    let policy = (some(3), some(3), some(2), 0..4_u32, 12..40_u32, prop_oneof![Just(0_u32), 1..12_u32]);
    let policy = policy.prop_map(|(kinds, categories, targets, months, days, warned_before)| Policy {
        key: String::new(),
        kinds,
        categories: categories.into_iter().collect(),
        warned_before,
        months,
        days,
        targets: targets.into_iter().collect(),
    });
    prop::collection::vec(policy, 1..4).prop_map(|mut policies| {
        for (place, policy) in policies.iter_mut().enumerate() {
            policy.key = format!("p{place}");
        }
        policies
    })
}

/// Around the turns of the clock and a leap day, with hours in between; some arrive late, some in pairs.
fn events() -> impl Strategy<Value = Vec<Event>> {
    let begin = 1_706_000_000_i64; // 2024-01-23
    let late = prop_oneof![4 => Just(0_i64), 2 => 0..200_000_i64, 1 => 0..8_000_000_i64];
    let event = (0..3_usize, 0..300_i64, 0..24_i64, late).prop_map(move |(kind, day, hour, late)| {
        let happened = begin + day * 86_400 + hour * 3_600;
        Event { kind, happened, arrives: happened + late }
    });
    prop::collection::vec(event, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]
    #[test]
    fn the_core_decides_what_the_oracle_does(
        policies in policies(), events in events(),
        zone in prop_oneof![Just(Tz::Europe__Amsterdam), Just(Tz::UTC), Just(Tz::Asia__Kolkata), Just(Tz::America__New_York)]
    ) {
        let until = 1_706_000_000 + 600 * 86_400;
        let config = configuration(zone, &policies);
        let (expected, found) = (expected(zone, &policies, &events, until), found(&config, zone, &events, until));
        prop_assert!(expected == found, "expected\n{:#?}\nfound\n{:#?}", expected, found);
    }
}
