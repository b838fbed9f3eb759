//! The certificate of destruction: the commands of one policy that first left in a period, and what has
//! become of each.

use super::promises::{Promises, Texts, in_one_line, write as write_text};
use super::timeline::policy_value;
use crate::retention::calendar::{Seconds, Timestamp, local_date};
use crate::retention::command::Verb;
use crate::retention::customer::AckResult;
use crate::retention::policy::Action;
use crate::wire::audit::{Acknowledged, Entry, Instruction, Order, Sent};
use chrono::NaiveDate;
use chrono_tz::Tz;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use uuid::Uuid;

/// What is certified.
#[derive(Clone, Debug)]
pub struct Scope {
    pub application: String,
    pub policy: String,
    /// First day and last day.
    pub from: NaiveDate,
    pub to: NaiveDate,
    /// The first day's first instant, and the first after the last day.
    pub begins: Timestamp,
    pub ends: Timestamp,
    pub zone: Tz,
    /// Keys of the sources on which the policy rests today; `None`: there is no such policy any more.
    pub sources: Option<BTreeSet<String>>,
}

/// Entries must come in the order of their partitions: a command before its answers.
#[derive(Debug)]
pub struct Certificate {
    scope: Scope,
    commands: BTreeMap<Uuid, Line>,
    promises: Promises,
    orders: BTreeMap<Uuid, Ordered>,
    /// Time of the newest entry of whatever kind.
    newest: Option<Timestamp>,
}

/// One command, and what has become of it.
#[derive(Debug)]
struct Line {
    pseudonym: String,
    action: Action,
    target: String,
    policy_version: String,
    sent: Timestamp,
    /// The latest.
    attempt: u32,
    acknowledges: bool,
    /// The earliest answer that says so.
    done: Option<Timestamp>,
    /// The answer to the highest attempt, if none says done.
    answer: Option<(u32, Answer)>,
    recalled: Option<Timestamp>,
}

/// On a tie of attempts the greater counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Answer {
    Failed,
    Retained { until: Timestamp },
}

/// What has become of a command: just one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done {
        at: Timestamp,
    },
    Retained {
        until: Timestamp,
    },
    Failed,
    Recalled {
        at: Timestamp,
    },
    /// The target does not acknowledge.
    Unanswered,
    Outstanding,
}

/// An order that releases or stops the policy, or accepts a doubt about one of its sources, put together from the shards that heard it.
#[derive(Debug)]
struct Ordered {
    time: Timestamp,
    instruction: Instruction,
    /// Shards that obeyed it, and how many customers they were given.
    obeyed: u64,
    customers: u64,
    refused: u64,
}

impl Line {
    fn new(pseudonym: &str, time: Timestamp, action: Action, sent: Sent) -> Line {
        Line {
            pseudonym: pseudonym.to_owned(),
            action,
            target: sent.target,
            policy_version: sent.policy_version,
            sent: time,
            attempt: sent.attempt,
            acknowledges: sent.expirytime.is_some(),
            done: None,
            answer: None,
            recalled: None,
        }
    }

    fn answer(&mut self, ack: &Acknowledged) {
        let answer = match ack.result {
            AckResult::Done => {
                // As deciding reads it: neither before it was sent nor after it was heard of.
                let at = ack.executed.max(self.sent).min(ack.appended);
                self.done = Some(self.done.map_or(at, |before| before.min(at)));
                return;
            }
            AckResult::Retained { until } => Answer::Retained { until },
            AckResult::Failed => Answer::Failed,
        };
        self.answer = self.answer.max(Some((ack.attempt, answer)));
    }

    fn outcome(&self) -> Outcome {
        let answer = self.answer.filter(|(attempt, _)| *attempt >= self.attempt).map(|(_, answer)| answer);
        match (self.done, self.recalled, answer) {
            (Some(at), ..) => Outcome::Done { at },
            (None, Some(at), _) => Outcome::Recalled { at },
            (None, None, Some(Answer::Retained { until })) => Outcome::Retained { until },
            (None, None, Some(Answer::Failed)) => Outcome::Failed,
            (None, None, None) if !self.acknowledges => Outcome::Unanswered,
            (None, None, None) => Outcome::Outstanding,
        }
    }
}

impl Outcome {
    /// In the order of the columns of counts.
    const NAMES: [&str; 6] = ["done", "retained", "failed", "recalled", "unanswered", "outstanding"];

    fn column(self) -> usize {
        match self {
            Outcome::Done { .. } => 0,
            Outcome::Retained { .. } => 1,
            Outcome::Failed => 2,
            Outcome::Recalled { .. } => 3,
            Outcome::Unanswered => 4,
            Outcome::Outstanding => 5,
        }
    }

    fn name(self) -> &'static str {
        Outcome::NAMES[self.column()]
    }

    /// When it was done or recalled, or until when the target keeps the data.
    fn time(self) -> Option<Timestamp> {
        match self {
            Outcome::Done { at } | Outcome::Recalled { at } => Some(at),
            Outcome::Retained { until } => Some(until),
            Outcome::Failed | Outcome::Unanswered | Outcome::Outstanding => None,
        }
    }
}

/// By target and command: how many there are of each outcome.
type Counts = BTreeMap<(String, Action), [u64; Outcome::NAMES.len()]>;

impl Certificate {
    pub fn new(scope: Scope) -> Certificate {
        Certificate {
            scope,
            commands: BTreeMap::new(),
            promises: Promises::default(),
            orders: BTreeMap::new(),
            newest: None,
        }
    }

    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Takes in a record, be it of another policy.
    pub fn take(&mut self, key: &str, time: Timestamp, entry: Entry) {
        self.newest = self.newest.max(Some(time));
        match entry {
            Entry::Sent(sent) if sent.policy == self.scope.policy => self.take_sent(key, time, sent),
            Entry::Acknowledged(ack) => {
                let line = self.commands.get_mut(&ack.command);
                if let Some(line) = line.filter(|line| line.target == ack.target && line.pseudonym == key) {
                    line.answer(&ack);
                }
            }
            Entry::Policy(policy) if policy.policy == self.scope.policy => self.promises.take(time, policy),
            Entry::Instruction(instruction) if time < self.scope.ends => self.take_order(time, instruction),
            _ => {}
        }
    }

    fn is_in_period(&self, time: Timestamp) -> bool {
        self.scope.begins <= time && time < self.scope.ends
    }

    fn take_sent(&mut self, key: &str, time: Timestamp, sent: Sent) {
        match (sent.command, sent.recalls) {
            (Verb::Recall, recalled) => {
                if let Some(line) = recalled.and_then(|id| self.commands.get_mut(&id)) {
                    line.recalled.get_or_insert(time);
                }
            }
            (Verb::Act(action), _) if sent.attempt == 1 => {
                if self.is_in_period(time) {
                    self.commands.entry(sent.id).or_insert_with(|| Line::new(key, time, action, sent));
                }
            }
            (Verb::Act(_), _) => {
                if let Some(line) = self.commands.get_mut(&sent.id) {
                    line.attempt = line.attempt.max(sent.attempt);
                }
            }
        }
    }

    fn take_order(&mut self, time: Timestamp, instruction: Instruction) {
        let concerns = match &instruction.order {
            Order::Release { policy, .. } | Order::Stop { policy: Some(policy) } => *policy == self.scope.policy,
            Order::Stop { policy: None } => true,
            Order::Accept { source, .. } => self.scope.sources.as_ref().is_none_or(|sources| sources.contains(source)),
        };
        if !concerns {
            return;
        }
        let (is_obeyed, number) = match &instruction.order {
            Order::Release { at_most, .. } => (instruction.refused.is_none(), *at_most),
            Order::Stop { .. } | Order::Accept { .. } => (instruction.refused.is_none(), 0),
        };
        let bare = Ordered { time, instruction, obeyed: 0, customers: 0, refused: 0 };
        let ordered = self.orders.entry(bare.instruction.id).or_insert(bare);
        ordered.time = ordered.time.min(time);
        if is_obeyed {
            ordered.obeyed += 1;
            ordered.customers = ordered.customers.saturating_add(number);
        } else {
            ordered.refused += 1;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// In the order in which they left.
    fn in_order(&self) -> Vec<(Uuid, &Line)> {
        let mut lines: Vec<(Uuid, &Line)> = self.commands.iter().map(|(id, line)| (*id, line)).collect();
        lines.sort_by_key(|(id, line)| (line.sent, *id));
        lines
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts::new();
        for line in self.commands.values() {
            counts.entry((line.target.clone(), line.action)).or_default()[line.outcome().column()] += 1;
        }
        counts
    }

    /// What the certificate rests on: texts in force in the period, and those of commands that left in it.
    fn places(&self, texts: &Texts) -> (Vec<usize>, BTreeSet<&str>) {
        let Scope { policy, begins, ends, .. } = &self.scope;
        let mut places: BTreeSet<usize> = texts.in_force(policy, *begins, *ends).into_iter().collect();
        let mut untold = BTreeSet::new();
        for line in self.commands.values() {
            match texts.of(policy, &line.policy_version, line.sent) {
                Some(place) => _ = places.insert(place),
                None => _ = untold.insert(line.policy_version.as_str()),
            }
        }
        (places.into_iter().collect(), untold)
    }

    fn local(&self, at: Timestamp) -> String {
        at.to_local_string(self.scope.zone)
    }

    /// What the text lists of a command, and what the hash is of.
    fn line(&self, id: Uuid, line: &Line) -> String {
        let Line { pseudonym, action, target, sent, .. } = line;
        let (outcome, sent) = (line.outcome(), self.local(*sent));
        let time = outcome.time().map_or_else(|| "-".to_owned(), |time| self.local(time));
        format!("{pseudonym} {id} {} {target} {sent} {} {time}", action.name(), outcome.name())
    }

    fn hash(lines: &[String]) -> String {
        let mut digest = Sha256::new();
        for line in lines {
            digest.update(line.as_bytes());
            digest.update(b"\n");
        }
        digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// For people.
    pub fn text(mut self, unread: u64) -> String {
        let texts = std::mem::take(&mut self.promises).into_texts();
        let mut out = String::new();
        self.write(&mut out, &texts, unread).map(|()| out).expect("a String takes every write")
    }

    fn write(&self, out: &mut String, texts: &Texts, unread: u64) -> std::fmt::Result {
        let Scope { application, policy, from, to, zone, .. } = &self.scope;
        writeln!(out, "certificate of destruction\n")?;
        writeln!(out, "application  {application}")?;
        writeln!(out, "policy       {policy}")?;
        writeln!(out, "period       {from} up to and including {to} ({zone})")?;
        if let Some(newest) = self.newest {
            writeln!(out, "as of        {}, the newest evidence there was", self.local(newest))?;
        }
        if unread > 0 {
            writeln!(out, "incomplete   {unread} records could not be read")?;
        }
        writeln!(out, "\npolicy as it was\n")?;
        let (places, untold) = self.places(texts);
        (1..).zip(places).try_for_each(|(number, place)| write_text(out, number, &texts.0[place], *zone))?;
        untold.iter().try_for_each(|version| writeln!(out, "version {version}: its text is not in evidence"))?;
        self.write_orders(out, texts)?;
        self.write_counts(out)?;
        let lines: Vec<String> = self.in_order().into_iter().map(|(id, line)| self.line(id, line)).collect();
        writeln!(
            out,
            "\ncommands: customer's pseudonym, id, command, target, when it first left, what has become of it and"
        )?;
        writeln!(out, "when (retained: until when)\n\n{BEGIN}")?;
        lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
        writeln!(out, "{END}\n\nSHA-256 of these {} lines: {}", lines.len(), Certificate::hash(&lines))?;
        writeln!(out, "to check it: sed -n '/^{BEGIN}$/,/^{END}$/p' FILE | sed '1d;$d' | sha256sum")
    }

    fn write_orders(&self, out: &mut String, texts: &Texts) -> std::fmt::Result {
        let orders = self.orders_in_force(texts);
        if orders.is_empty() {
            return Ok(());
        }
        writeln!(out, "\norders in force in the period\n")?;
        for Ordered { time, instruction, obeyed, customers, refused } in orders {
            let what = match &instruction.order {
                Order::Release { due_before, .. } => {
                    format!("release of {customers} due by {}", self.last_day_before(*due_before))
                }
                Order::Stop { policy: Some(_) } => "stop".to_owned(),
                Order::Stop { policy: None } => "stop of all policies".to_owned(),
                Order::Accept { source, doubt } => format!("{doubt} of {source} accepted"),
            };
            let [by, reason] = [&instruction.by, &instruction.reason].map(|text| in_one_line(text));
            let id = instruction.id;
            writeln!(out, "{}  {what}, by {by}: {reason} ({id})", self.local(*time))?;
            let before = if self.is_in_period(*time) { "" } else { "; given before the period" };
            writeln!(out, "    obeyed by {obeyed} shards, refused by {refused}{before}")?;
        }
        Ok(())
    }

    /// Those given in the period, and of those before it what may still have counted then: a stop that no release had
    /// lifted; a release for deadlines in the period, of a version that was in force; of each doubt about a source the
    /// last acceptance. As they were given: times are seconds, and of one second the ids tell, which begin with their
    /// time (UUIDv7, RFC 9562).
    fn orders_in_force(&self, texts: &Texts) -> Vec<&Ordered> {
        let mut orders: Vec<&Ordered> = self.orders.values().collect();
        orders.sort_by_key(|ordered| (ordered.time, ordered.instruction.id));
        let before = orders.partition_point(|ordered| ordered.time < self.scope.begins);
        let in_force: BTreeSet<&str> = texts
            .in_force(&self.scope.policy, self.scope.begins, self.scope.ends)
            .into_iter()
            .map(|place| texts.0[place].policy_version.as_str())
            .collect();
        let counts = |place: usize| {
            let (ordered, later) = (orders[place], &orders[place + 1..before]);
            let is_later = |is_it: &dyn Fn(&Order) -> bool| {
                later.iter().any(|ordered| ordered.obeyed > 0 && is_it(&ordered.instruction.order))
            };
            ordered.obeyed > 0
                && match &ordered.instruction.order {
                    Order::Stop { .. } => !is_later(&|order| matches!(order, Order::Release { .. })),
                    Order::Release { due_before, policy_version, .. } => {
                        let is_stopped = is_later(&|order| matches!(order, Order::Stop { .. }));
                        *due_before > self.scope.begins && in_force.contains(policy_version.as_str()) && !is_stopped
                    }
                    accepted @ Order::Accept { .. } => !is_later(&|order| order == accepted),
                }
        };
        (0..orders.len()).filter(|&place| place >= before || counts(place)).map(|place| orders[place]).collect()
    }

    fn last_day_before(&self, at: Timestamp) -> NaiveDate {
        local_date(at - Seconds(1), self.scope.zone)
    }

    fn write_counts(&self, out: &mut String) -> std::fmt::Result {
        let counts = self.counts();
        let width = counts.keys().map(|(target, _)| target.len()).max().unwrap_or(0).max("target".len());
        write!(out, "\n{:width$}  {:9}  {:>9}", "target", "command", "sent")?;
        Outcome::NAMES.iter().try_for_each(|name| write!(out, "  {name:>11}"))?;
        writeln!(out)?;
        for ((target, action), counts) in &counts {
            write!(out, "{target:width$}  {:9}  {:>9}", action.name(), counts.iter().sum::<u64>())?;
            counts.iter().try_for_each(|count| write!(out, "  {count:>11}"))?;
            writeln!(out)?;
        }
        writeln!(out, "\nunanswered: the target does not acknowledge, so that sending it is all that can be proven")
    }

    /// For programs.
    pub fn json(mut self, unread: u64) -> String {
        let texts = std::mem::take(&mut self.promises).into_texts();
        let Scope { application, policy, from, to, zone, .. } = &self.scope;
        let (places, untold) = self.places(&texts);
        let policies: Vec<Value> = places.into_iter().map(|place| policy_value(&texts, place)).collect();
        let counts: Vec<Value> = self.counts().iter().map(count_value).collect();
        let orders: Vec<Value> =
            self.orders_in_force(&texts).into_iter().map(|ordered| self.order_value(ordered)).collect();
        let lines = self.in_order();
        let texts: Vec<String> = lines.iter().map(|(id, line)| self.line(*id, line)).collect();
        let commands: Vec<Value> = lines.iter().map(|(id, line)| self.command_value(*id, line)).collect();
        let document = json!({
            "application": application, "policy": policy, "from": from.to_string(), "to": to.to_string(),
            "time_zone": zone.name(), "as_of": self.newest.map(|newest| self.local(newest)), "unread": unread,
            "policies": policies, "versions_without_text": untold,
            "orders": orders, "counts": counts, "commands": commands, "sha256": Certificate::hash(&texts),
        });
        format!("{document}\n")
    }

    fn command_value(&self, id: Uuid, line: &Line) -> Value {
        let outcome = line.outcome();
        json!({
            "pseudonym": line.pseudonym, "id": id, "command": line.action.name(), "target": line.target,
            "sent": self.local(line.sent), "outcome": outcome.name(),
            "outcome_time": outcome.time().map(|time| self.local(time)), "policy_version": line.policy_version,
        })
    }

    fn order_value(&self, ordered: &Ordered) -> Value {
        let Ordered { time, instruction: Instruction { id, order, by, reason, .. }, obeyed, customers, refused } =
            ordered;
        let (order, due_by, accepted) = match order {
            Order::Release { due_before, .. } => ("release", Some(self.last_day_before(*due_before).to_string()), None),
            Order::Stop { .. } => ("stop", None, None),
            Order::Accept { source, doubt } => ("accept", None, Some((source, doubt))),
        };
        json!({
            "id": id, "order": order, "time": self.local(*time), "by": by, "reason": reason, "due_by": due_by,
            "source": accepted.map(|(source, _)| source), "doubt": accepted.map(|(_, doubt)| doubt),
            "customers": customers, "shards_obeyed": obeyed, "shards_refused": refused,
            "before_period": !self.is_in_period(*time),
        })
    }
}

fn count_value(((target, action), counts): (&(String, Action), &[u64; Outcome::NAMES.len()])) -> Value {
    let mut value = json!({"target": target, "command": action.name(), "sent": counts.iter().sum::<u64>()});
    for (name, count) in Outcome::NAMES.iter().zip(counts) {
        value[*name] = json!(count);
    }
    value
}

const BEGIN: &str = "-----BEGIN COMMANDS-----";
const END: &str = "-----END COMMANDS-----";
