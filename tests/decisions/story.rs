//! A story: policies, what customers did, and the commands that follow, one line each.

use chrono::{NaiveDate, NaiveTime};
use chrono_tz::Tz;
use lapsed::retention::activity::{KindIndex, KindTag};
use lapsed::retention::calendar::{
    CountedFrom, Period, Resolution, Seconds, Timestamp, first_instant_after, first_instant_of,
};
use lapsed::retention::claims::Claim;
use lapsed::retention::command::{Cause, Command};
use lapsed::retention::customer::{AckResult, Acknowledgement};
use lapsed::retention::gate::KnownSince;
use lapsed::retention::policy::{
    Action, Brake, CategorySet, Floor, Forget, Kind, Mode, Policy, Rulebook, SourceIndex, Stage, Target, TargetIndex,
    Trust, Window,
};
use lapsed::simulated::offline::{Acknowledging, Arrival, KnownSinces, Offline};
use std::collections::BTreeSet;
use uuid::Uuid;

pub const AMSTERDAM: Tz = chrono_tz::Europe::Amsterdam;
pub const LATENESS: Seconds = Seconds(2 * 86_400);
const KINDS: [&str; 3] = ["login", "purchase", "registered"];
const CATEGORIES: [&str; 4] = ["email", "name", "phone", "address"];
const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
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

fn place(names: &[&str], name: &str) -> usize {
    names.iter().position(|known| *known == name).unwrap_or_else(|| panic!("no such name: {name}"))
}

fn categories(text: &str) -> Vec<u8> {
    text.split(' ').map(|name| place(&CATEGORIES, name) as u8).collect()
}

fn kinds(text: &str) -> Vec<KindIndex> {
    text.split(' ').map(|name| KindIndex(place(&KINDS, name) as u8)).collect()
}

fn stage(text: &str) -> Stage {
    let mut words = text.split(' ');
    let after = Period::parse(words.next().unwrap()).unwrap();
    let action = match words.next().unwrap() {
        "warn" => Action::Warn,
        "expire" => Action::Expire,
        "anonymise" => Action::Anonymise,
        other => panic!("no such command: {other}"),
    };
    Stage { after, action, targets: words.map(|name| TargetIndex(place(&TARGETS, name) as u16)).collect() }
}

fn counted_from(text: &str) -> CountedFrom {
    match text {
        "from the end of the year" => CountedFrom::EndOfYear,
        "from the end of the month" => CountedFrom::EndOfMonth,
        other => panic!("no such clause: {other}"),
    }
}

/// `key: categories; kinds; stages`, as in
/// `offers: email name; purchase login; P23M warn mailing, P24M anonymise crm mailing`, and then, as needed,
/// `; consent newsletter`, `; only segment business none` (several: all must match) and
/// `; from the end of the year`.
pub fn policy(text: &str) -> Policy {
    let (key, rest) = text.split_once(": ").unwrap();
    let parts: Vec<&str> = rest.split("; ").collect();
    let [category_names, kind_names, stages, more @ ..] = parts.as_slice() else { panic!("too short: {text}") };
    let mut category_set = CategorySet::EMPTY;
    categories(category_names).iter().for_each(|&category| category_set.insert(category));
    let mut policy = Policy {
        key: key.to_owned(),
        version: "v1".to_owned(),
        categories: categories(category_names),
        category_set,
        since_last: kinds(kind_names),
        counted_from: CountedFrom::Event,
        stages: stages.split(", ").map(stage).collect(),
        mode: Mode::Enforce,
        consent: None,
        applies_to: Vec::new(),
        brake: Brake::default(),
        sources: vec![SourceIndex(0)],
        lateness: LATENESS,
        history_rules: Vec::new(),
    };
    for clause in more {
        match clause.split_once(' ').unwrap() {
            ("consent", name) => policy.consent = Some(name.to_owned()),
            ("only", values) => policy.applies_to.push(only(values)),
            _ => policy.counted_from = counted_from(clause),
        }
    }
    policy
}

fn only(text: &str) -> (String, Vec<Option<String>>) {
    let (name, values) = text.split_once(' ').unwrap();
    let value = |text: &str| (text != "none").then(|| text.to_owned());
    (name.to_owned(), values.split(' ').map(value).collect())
}

/// `category: kinds; period`, as in `name: purchase; P7Y; from the end of the year`.
fn floor(text: &str) -> Floor {
    let (category, rest) = text.split_once(": ").unwrap();
    let parts: Vec<&str> = rest.split("; ").collect();
    Floor {
        category: place(&CATEGORIES, category) as u8,
        since_last: kinds(parts[0]),
        counted_from: parts.get(2).map_or(CountedFrom::Event, |clause| counted_from(clause)),
        keep: Period::parse(parts[1]).unwrap(),
        because: "the law".to_owned(),
        sources: vec![SourceIndex(0)],
        history_rules: Vec::new(),
    }
}

/// `mon tue wed thu fri 09:00-17:00`.
fn window(text: &str) -> Window {
    let (days, hours) = text.rsplit_once(' ').unwrap();
    let (from, to) = hours.split_once('-').unwrap();
    let time = |text: &str| NaiveTime::parse_from_str(text, "%H:%M").unwrap();
    let mut open = [false; 7];
    days.split(' ').for_each(|day| open[place(&WEEKDAYS, day)] = true);
    Window { days: open, from: time(from), to: (to != "24:00").then(|| time(to)) }
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

/// How an end is told: through a whole day, or up to an instant.
fn end(text: &str) -> Timestamp {
    text.parse::<NaiveDate>().map_or_else(|_| at(text), |date| first_instant_after(date, AMSTERDAM))
}

#[derive(Clone)]
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

    /// A holding period by law, `name: purchase; P7Y; from the end of the year`.
    pub fn floor(mut self, text: &str) -> Story {
        self.rules.floors.push(floor(text));
        self.rules.floors.sort_by_key(|floor| floor.category);
        self
    }

    /// Commands leave only then, `mon tue wed thu fri 09:00-17:00`.
    pub fn window(mut self, text: &str) -> Story {
        self.rules.window = Some(window(text));
        self
    }

    /// Our own record goes that long after the last command, instead of `P30D`.
    pub fn forgets_after(mut self, period: &str) -> Story {
        self.rules.forget.after = Period::parse(period).unwrap();
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

    /// What was told last arrives not at once, but then.
    pub fn arriving(mut self, when: &str) -> Story {
        self.arrivals.last_mut().unwrap().0 = at(when).0 * 1000;
        self
    }

    fn claims(mut self, claim: Claim) -> Story {
        self.arrivals.push((claim.at().0 * 1000, Arrival::Claim { customer: "4711".into(), claim }));
        self
    }

    pub fn consents(self, name: &str, when: &str) -> Story {
        self.claims(Claim::Consent { name: name.to_owned(), given: true, at: at(when) })
    }

    pub fn withdraws(self, name: &str, when: &str) -> Story {
        self.claims(Claim::Consent { name: name.to_owned(), given: false, at: at(when) })
    }

    pub fn asks_for_erasure(self, when: &str) -> Story {
        self.claims(Claim::Erasure { at: at(when) })
    }

    /// `value` `None`: it is no longer set.
    pub fn is(self, attribute: &str, value: Option<&str>, when: &str) -> Story {
        self.claims(Claim::Attribute { name: attribute.to_owned(), value: value.map(str::to_owned), at: at(when) })
    }

    /// A hold on every policy; `until` a date: through that day; `None`: until it is released.
    pub fn held(self, id: &str, from: &str, until: Option<&str>) -> Story {
        self.held_for(None, id, from, until)
    }

    /// A hold on these policies only; `None`: on all.
    pub fn held_for(self, policies: Option<&[&str]>, id: &str, from: &str, until: Option<&str>) -> Story {
        self.claims(Claim::Hold {
            id: id.to_owned(),
            at: at(from),
            until: until.map(end),
            reason: "because".to_owned(),
            policies: policies.map(|keys| keys.iter().map(|&key| key.to_owned()).collect()),
        })
    }

    pub fn released(self, id: &str, when: &str) -> Story {
        self.claims(Claim::Unhold { id: id.to_owned(), at: at(when) })
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
    /// `2026-02-01T00:00:00 offers warn mailing [email name] kept [phone by newsletter]`, and where it differs
    /// from the plain case `on erasure 2026-03-10`, `on withdrawn 2026-03-10`, `since consent 2026-03-10`,
    /// `deferred by dispute`, `attempt 2`.
    pub fn expect(&self, until: &str, lines: &[&str]) {
        self.expect_from("1973-01-01", until, lines);
    }

    /// The same for what leaves from `from` on.
    pub fn expect_from(&self, from: &str, until: &str, lines: &[&str]) {
        let commands = self.commands(at(until).0 * 1000);
        let attempts: BTreeSet<_> = commands.iter().map(|command| (command.id, command.attempt)).collect();
        assert_eq!(attempts.len(), commands.len(), "two decisions share an id: {commands:#?}");
        let later = commands.iter().filter(|command| command.time >= at(from));
        let found: Vec<String> = later.map(|command| self.line(command)).collect();
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
        line += &self.since(command);
        if let Some(hold) = &command.deferred_by {
            line += &format!(" deferred by {hold}");
        }
        if command.attempt > 1 {
            line += &format!(" attempt {}", command.attempt);
        }
        line
    }

    fn since(&self, command: &Command) -> String {
        let kind = command.since.kind.as_str();
        let cause = match kind {
            "erasure" => Cause::ErasureRequest,
            "withdrawn" => Cause::Withdrawn,
            _ => Cause::Period,
        };
        assert_eq!(command.cause, cause, "since {kind}");
        let when = command.since.at.to_local_string(AMSTERDAM);
        let length = if self.rules.resolution == Resolution::Day { 10 } else { 19 };
        match kind {
            "erasure" | "withdrawn" => format!(" on {kind} {}", &when[..length]),
            "consent" => format!(" since {kind} {}", &when[..length]),
            _ => String::new(),
        }
    }
}
