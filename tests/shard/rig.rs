//! One shard, its log, its changelog and what it sent.

use chrono::NaiveDate;
use lapsed::config::{Config, Environment, load};
use lapsed::retention::activity::KindTag;
use lapsed::retention::brake::{Instruction, Order};
use lapsed::retention::calendar::{Seconds, Timestamp, first_instant_of};
use lapsed::retention::claims::Claim;
use lapsed::retention::command::Command;
use lapsed::retention::customer::{AckResult, Acknowledgement};
use lapsed::track::outputs::Outputs;
use lapsed::track::shard::{Applied, Home, Input, More, Shard};
use lapsed::wire::instruction;
use lapsed::wire::progress::{self, History, Matched, PartitionProgress, Progress, RuleFacts, TopicPartitions};
use lapsed::wire::signal::{Resend, Sighting, Signal};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

pub const DAY: i64 = 86_400;
pub const BUDGET: usize = 10_000;

/// One source of two kinds; `offers` warns mailing after 23 months and is anonymised at both after 24,
/// `newsletter` expires at mailing after a year, and keeps the address until then.
pub fn text() -> String {
    "
time_zone: Europe/Amsterdam
kafka: {bootstrap.servers: localhost}
evidence: {key: test}
topics: {partitions: 1}
sources:
  shop:
    topics: [shop]
    customer: /id
    time: /at
    history_from: beginning
    max_silence: P4D
    rules:
      - {when: {/event: login}, activity: login}
      - {when: {/event: order}, activity: purchase}
targets:
  crm: {topic: crm.commands, acknowledge_within: P3D}
  mailing: {topic: mail.commands, acknowledge_within: P1D}
policies:
  newsletter:
    purpose: {en: A weekly newsletter for a year after the last visit}
    lawful_basis: consent
    categories: [email]
    since_last: [login]
    stages: [{after: P1Y, command: expire}]
    targets: [mailing]
    mode: enforce
    review_by: 2099-01-01
  offers:
    purpose: {en: Relevant offers until two years after the last purchase or visit}
    lawful_basis: legitimate_interest
    interest: {en: keeping customers}
    categories: [email, name]
    since_last: [login, purchase]
    stages:
      - {after: P23M, command: warn, targets: [mailing]}
      - {after: P24M, command: anonymise}
    targets: [crm, mailing]
    mode: enforce
    review_by: 2099-01-01
"
    .to_owned()
}

pub fn config(text: &str) -> Arc<Config> {
    let today = NaiveDate::from_ymd_opt(2026, 1, 1).unwrap();
    let loaded = load::from_texts(&[("test.yaml".to_owned(), text.to_owned())], Environment::Leave, today);
    Arc::new(loaded.unwrap().config)
}

pub fn home() -> Home {
    Home { partition: 0, partitions: 1, cluster: "test".to_owned() }
}

/// The first instant of a date in Amsterdam.
pub fn at(date: &str) -> i64 {
    first_instant_of(date.parse().unwrap(), chrono_tz::Europe::Amsterdam).0
}

/// A record of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Unix seconds.
    pub append: i64,
    pub key: Option<Vec<u8>>,
    pub value: Vec<u8>,
}

pub fn activity(append: i64, customer: &str, kind: &str, at: i64) -> Entry {
    let mut value = Vec::new();
    Signal::Activity { kind: KindTag::of(kind), at: Timestamp(at) }.encode(&mut value);
    Entry { append, key: Some(customer.into()), value }
}

/// Of several customers, in one record.
pub fn sightings(append: i64, seen: &[(String, &str, i64)]) -> Entry {
    let mut value = Vec::new();
    for (customer, kind, at) in seen {
        Sighting { customer, kind: KindTag::of(kind), at: Timestamp(*at) }.encode(&mut value);
    }
    Entry { append, key: None, value }
}

pub fn answer(append: i64, config: &Config, customer: &str, command: &Command, result: AckResult) -> Entry {
    let acknowledgement = Acknowledgement {
        command: command.id,
        attempt: command.attempt,
        target: config.rules.target(command.target).key.clone(),
        result,
        time: Timestamp(append),
    };
    let mut value = Vec::new();
    Signal::Acknowledgement(acknowledgement).encode(&mut value);
    Entry { append, key: Some(customer.into()), value }
}

/// Lets so many go whose deadline lies before an instant.
pub fn release(append: i64, config: &Config, policy: &str, due_before: i64, at_most: u64) -> Entry {
    let version = &config.rules.policies.iter().find(|known| known.key == policy).unwrap().version;
    let order = Order::Release {
        policy: policy.to_owned(),
        version: version.clone(),
        due_before: Timestamp(due_before),
        at_most,
        per_day: None,
    };
    instruct(append, order)
}

pub fn instruct(append: i64, order: Order) -> Entry {
    let text = format!("{append} {order:?}");
    let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes());
    let instruction = Instruction { id, by: "privacy".to_owned(), reason: "a test".to_owned(), order };
    let mut value = Vec::new();
    instruction::encode(&instruction, &mut value);
    Entry { append, key: None, value }
}

pub fn claim(append: i64, customer: &str, claim: Claim) -> Entry {
    let mut value = Vec::new();
    Signal::Claim(claim).encode(&mut value);
    Entry { append, key: Some(customer.into()), value }
}

/// An order to tell a target once more, given at an instant; orders of one instant differ by their number.
pub fn resend(append: i64, customer: &str, target: &str, (given, number): (i64, u8)) -> Entry {
    let given = u64::try_from(given * 1000).unwrap();
    let order = uuid::Builder::from_unix_timestamp_millis(given, &[number; 10]).into_uuid();
    let mut value = Vec::new();
    Signal::Resend(Resend { order, target: target.to_owned() }).encode(&mut value);
    Entry { append, key: Some(customer.into()), value }
}

/// Everything was read up to `append`, and both rules have matched just now.
pub fn progress(append: i64, config: &Config) -> Entry {
    progress_with(append, config, |_| {})
}

pub fn progress_with(append: i64, config: &Config, change: impl FnOnce(&mut PartitionProgress)) -> Entry {
    report(append, config, None, change)
}

/// The same, of a topic that keeps its records for so long.
pub fn progress_kept(append: i64, config: &Config, kept_for: Option<Seconds>) -> Entry {
    report(append, config, kept_for, |_| {})
}

fn report(
    append: i64,
    config: &Config,
    kept_for: Option<Seconds>,
    change: impl FnOnce(&mut PartitionProgress),
) -> Entry {
    let facts = RuleFacts {
        matched: Some(Matched { first: Timestamp(1), newest: Timestamp(append) }),
        silences: Vec::new(),
        history: History::Whole,
    };
    let mut partition = PartitionProgress {
        source: "shop".to_owned(),
        topic: "shop".to_owned(),
        partition: 0,
        reading: config.sources[0].reading,
        first_read: Timestamp(1),
        complete_to: Some(Timestamp(append)),
        gap: None,
        records_last_hour: 100,
        rejects_last_hour: 0,
        rejects_total: 0,
        shown: History::Whole,
        rules: vec![facts; config.sources[0].rules.len()],
    };
    change(&mut partition);
    let topics = vec![TopicPartitions { topic: "shop".to_owned(), source: "shop".to_owned(), partitions: 1, kept_for }];
    let mut value = Vec::new();
    progress::encode(&Progress { config: config.hash, topics, partitions: vec![partition] }, &mut value);
    Entry { append, key: None, value }
}

pub type State = BTreeMap<Vec<u8>, Vec<u8>>;

/// A shard with what its transactions have committed.
pub struct Rig {
    pub config: Arc<Config>,
    pub shard: Shard,
    pub log: Vec<Entry>,
    pub state: State,
    pub sent: Vec<(String, Command)>,
    /// So many of them were answered.
    pub answered: usize,
    /// How far the wall clock is ahead of the log, in seconds.
    pub ahead: i64,
}

impl Rig {
    pub fn new() -> Rig {
        Rig::of(config(&text()))
    }

    pub fn of(config: Arc<Config>) -> Rig {
        let mut shard = Shard::new(home(), config.clone());
        shard.finish_restore(false).unwrap();
        Rig { config, shard, log: Vec::new(), state: State::new(), sent: Vec::new(), answered: 0, ahead: 0 }
    }

    /// Applies a batch, up to its end but for commit or abort.
    pub fn try_batch(&mut self, entries: &[Entry]) -> (Vec<Applied>, Outputs, More) {
        self.shard.begin();
        let first = self.log.len();
        let apply = |(place, entry): (usize, &Entry)| {
            let (key, value) = (entry.key.as_deref(), Some(entry.value.as_slice()));
            let offset = i64::try_from(first + place).unwrap();
            self.shard.apply(Input { offset, append_ms: entry.append * 1000, key, value })
        };
        let applied = entries.iter().enumerate().map(apply).collect();
        let now = self.shard.now().map_or(0, |now| now.0);
        let mut out = Outputs::default();
        let more = self.shard.decide((now + self.ahead) * 1000, BUDGET, &mut out);
        self.shard.changelog(&mut out);
        (applied, out, more)
    }

    pub fn batch(&mut self, entries: &[Entry]) -> Vec<Applied> {
        let (applied, out, _) = self.try_batch(entries);
        self.commit(entries, &out);
        applied
    }

    /// The transaction of a batch was committed.
    pub fn commit(&mut self, entries: &[Entry], out: &Outputs) {
        let mut clock = Outputs::default();
        self.shard.write_clock(&mut clock);
        self.shard.commit();
        self.log.extend_from_slice(entries);
        self.sent.extend(out.commands().map(|(customer, command)| (customer.to_owned(), command.clone())));
        for (key, value) in out.changelog().chain(clock.changelog()) {
            match value {
                Some(value) => drop(self.state.insert(key.to_vec(), value.to_vec())),
                None => drop(self.state.remove(key)),
            }
        }
    }

    /// Batches of nothing but progress, a day apart, until just before `until`; each command is answered
    /// with `done` in the next one where `answering`.
    pub fn days(&mut self, from: i64, until: i64, answering: bool) {
        for now in (from..until).step_by(usize::try_from(DAY).unwrap()) {
            let mut entries = Vec::new();
            if answering {
                let waiting = &self.sent[self.answered..];
                entries.extend(
                    waiting.iter().map(|(customer, sent)| answer(now, &self.config, customer, sent, AckResult::Done)),
                );
            }
            self.answered = self.sent.len();
            entries.push(progress(now, &self.config));
            self.batch(&entries);
        }
    }

    /// Another shard, from the changelog.
    pub fn restored(&self) -> Rig {
        self.restored_at(home())
    }

    /// The same, somewhere else.
    pub fn restored_at(&self, home: Home) -> Rig {
        let mut rig = Rig {
            config: self.config.clone(),
            shard: Shard::new(home, self.config.clone()),
            log: self.log.clone(),
            state: self.state.clone(),
            sent: Vec::new(),
            answered: 0,
            ahead: self.ahead,
        };
        self.state.iter().for_each(|(key, value)| rig.shard.restore(key, Some(value)).unwrap());
        rig.shard.finish_restore(true).unwrap();
        rig
    }

    /// `2026-03-01 4711 offers warn mailing`, and `attempt 2` behind it.
    pub fn lines(&self) -> Vec<String> {
        self.sent.iter().map(|(customer, command)| line(&self.config, customer, command)).collect()
    }
}

pub fn line(config: &Config, customer: &str, command: &Command) -> String {
    let date = &command.time.to_local_string(config.zone)[..10];
    let target = &config.rules.target(command.target).key;
    let attempt = if command.attempt > 1 { format!(" attempt {}", command.attempt) } else { String::new() };
    format!("{date} {customer} {} {} {target}{attempt}", command.policy, command.verb.name())
}
