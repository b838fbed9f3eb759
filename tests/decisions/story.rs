//! A story: policies, what customers did, and the commands that follow, one line each.

use chrono_tz::Tz;
use lapsed::retention::activity::{KindIndex, KindTag};
use lapsed::retention::calendar::{CountedFrom, Period, Resolution, Seconds, Timestamp, first_instant_of};
use lapsed::retention::command::Command;
use lapsed::retention::customer::{AckResult, Acknowledgement};
use lapsed::retention::gate::KnownSince;
use lapsed::retention::policy::{
    Action, Brake, CategorySet, Forget, Kind, Mode, Policy, Rulebook, SourceIndex, Stage, Target, TargetIndex, Trust,
};
use lapsed::simulated::offline::{Acknowledging, Arrival, KnownSinces, Offline};
use uuid::Uuid;

pub const AMSTERDAM: Tz = chrono_tz::Europe::Amsterdam;
pub const LATENESS: Seconds = Seconds(2 * 86_400);
const KINDS: [&str; 3] = ["login", "purchase", "registered"];
const CATEGORIES: [&str; 4] = ["email", "name", "phone", "address"];
/// The last cannot acknowledge.
const TARGETS: [&str; 3] = ["crm", "mailing", "paper"];

/// A local time in Amsterdam, `2024-02-29` (its midnight) or `2024-02-29T12:00:00`.
pub fn at(text: &str) -> Timestamp {
    use chrono::TimeZone;
    match text.parse() {
        Ok(date) => first_instant_of(date, AMSTERDAM),
        Err(_) => Timestamp(AMSTERDAM.from_local_datetime(&text.parse().unwrap()).latest().unwrap().timestamp()),
    }
}

/// `key: categories; kinds; stages`, as in
/// `offers: email name; purchase login; P23M warn mailing, P24M anonymise crm mailing`.
pub fn policy(text: &str) -> Policy {
    let (key, rest) = text.split_once(": ").unwrap();
    let [categories, kinds, stages]: [&str; 3] = rest.split("; ").collect::<Vec<_>>().try_into().unwrap();
    let place = |names: &[&str], name: &str| names.iter().position(|known| *known == name).unwrap();
    let categories: Vec<u8> = categories.split(' ').map(|name| place(&CATEGORIES, name) as u8).collect();
    let mut category_set = CategorySet::EMPTY;
    categories.iter().for_each(|&category| category_set.insert(category));
    let stage = |text: &str| {
        let mut words = text.split(' ');
        let after = Period::parse(words.next().unwrap()).unwrap();
        let action = match words.next().unwrap() {
            "warn" => Action::Warn,
            "expire" => Action::Expire,
            "anonymise" => Action::Anonymise,
            other => panic!("no such command: {other}"),
        };
        Stage { after, action, targets: words.map(|name| TargetIndex(place(&TARGETS, name) as u16)).collect() }
    };
    Policy {
        key: key.to_owned(),
        version: "v1".to_owned(),
        categories,
        category_set,
        since_last: kinds.split(' ').map(|name| KindIndex(place(&KINDS, name) as u8)).collect(),
        counted_from: CountedFrom::Event,
        stages: stages.split(", ").map(stage).collect(),
        mode: Mode::Enforce,
        consent: None,
        applies_to: Vec::new(),
        brake: Brake::default(),
        sources: vec![SourceIndex(0)],
        lateness: LATENESS,
        history_rules: Vec::new(),
    }
}

pub fn rules(policies: &[&str]) -> Rulebook {
    let mut policies: Vec<Policy> = policies.iter().map(|text| policy(text)).collect();
    policies.sort_by(|a, b| a.key.cmp(&b.key));
    let exact = policies.iter().flat_map(|policy| &policy.stages).any(|stage| !stage.after.is_calendar());
    let acknowledge_within = |name: &str| (name != "paper").then_some(Seconds(3 * 86_400));
    Rulebook {
        application: "lapsed".to_owned(),
        zone: AMSTERDAM,
        resolution: if exact { Resolution::Second } else { Resolution::Day },
        command_namespace: Uuid::from_u128(1),
        kinds: KINDS.map(|name| Kind { name: name.to_owned(), tag: KindTag::of(name) }).to_vec(),
        categories: CATEGORIES.map(str::to_owned).to_vec(),
        targets: TARGETS
            .map(|key| Target {
                key: key.to_owned(),
                topic: format!("{key}.commands"),
                acknowledge_within: acknowledge_within(key),
            })
            .to_vec(),
        sources: vec![Trust {
            key: "shop".to_owned(),
            allowed_lateness: LATENESS,
            rejects_max: 0.001,
            retired: false,
            rules: Vec::new(),
        }],
        policies,
        floors: Vec::new(),
        hold_sources: Vec::new(),
        window: None,
        forget: Forget::default(),
        gate_lag_max: Seconds(900),
    }
}

pub struct Story {
    rules: Rulebook,
    known_since: KnownSince,
    acknowledging: Acknowledging,
    arrivals: Vec<(i64, Arrival)>,
}

impl Story {
    pub fn new(policies: &[&str]) -> Story {
        Story::of(rules(policies))
    }

    pub fn of(rules: Rulebook) -> Story {
        let known_since = KnownSince::Beginning;
        Story { rules, known_since, acknowledging: Acknowledging::AtOnce, arrivals: Vec::new() }
    }

    pub fn known_since(mut self, known_since: KnownSince) -> Story {
        self.known_since = known_since;
        self
    }

    /// Nobody acknowledges but by [`Story::acknowledges`].
    pub fn without_acknowledgements(mut self) -> Story {
        self.acknowledging = Acknowledging::FromInput;
        self
    }

    /// Customer 4711 is active, and the record arrives at once.
    pub fn active(self, kind: &str, when: &str) -> Story {
        self.active_late(kind, when, when)
    }

    /// Customer 4711 is active, and the record arrives later.
    pub fn active_late(mut self, kind: &str, when: &str, arrives: &str) -> Story {
        let kind = KindIndex(KINDS.iter().position(|known| *known == kind).unwrap() as u8);
        let time = self.rules.resolution.apply(at(when), AMSTERDAM);
        self.arrivals.push((at(arrives).0 * 1000, Arrival::Activity { customer: "4711".into(), kind, at: time }));
        self
    }

    /// A target answers the command that was the `nth` (from 0) of the story so far.
    pub fn acknowledges(mut self, nth: usize, result: AckResult, time: &str, arrives: &str) -> Story {
        let until = at(arrives).0 * 1000;
        let command = self.commands(until)[nth].clone();
        let acknowledgement = Acknowledgement {
            command: command.id,
            attempt: command.attempt,
            target: self.rules.target(command.target).key.clone(),
            result,
            time: at(time),
        };
        self.arrivals.push((until, Arrival::Acknowledgement { customer: "4711".into(), acknowledgement }));
        self
    }

    pub fn commands(&self, until_ms: i64) -> Vec<Command> {
        let known_since = KnownSinces {
            policies: vec![self.known_since; self.rules.policies.len()],
            floors: vec![self.known_since; self.rules.floors.len()],
        };
        let offline = Offline::new(self.rules.clone(), known_since, self.acknowledging);
        offline.run(self.arrivals.clone(), until_ms).into_iter().map(|(_, command)| command).collect()
    }

    /// Asserts what leaves before `until`, a line a command:
    /// `2026-02-01T00:00:00 offers warn mailing [email name] kept [phone by newsletter]`.
    pub fn expect(&self, until: &str, lines: &[&str]) {
        let found: Vec<String> = self.commands(at(until).0 * 1000).iter().map(|c| self.line(c)).collect();
        assert_eq!(found, lines, "\nfound:\n{}\n", found.join("\n"));
    }

    fn line(&self, command: &Command) -> String {
        let time = command.time.to_local_string(AMSTERDAM);
        let mut line = format!(
            "{} {} {} {} [{}]",
            &time[..19],
            command.policy,
            command.verb.name(),
            self.rules.target(command.target).key,
            command.categories.join(" ")
        );
        if !command.kept.is_empty() {
            let kept: Vec<_> = command.kept.iter().map(|kept| format!("{} by {}", kept.category, kept.by)).collect();
            line += &format!(" kept [{}]", kept.join(", "));
        }
        if command.attempt > 1 {
            line += &format!(" attempt {}", command.attempt);
        }
        line
    }
}
