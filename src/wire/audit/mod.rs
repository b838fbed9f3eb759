//! Evidence: what was decided, on which policy text, sent, acknowledged and ordered. JSON on
//! `<app>.audit`.
//!
//! A record about a customer has their [`Pseudonym`](crate::retention::pseudonym::Pseudonym) as key, in
//! hex digits, so that whoever knows a customer and has the evidence key finds it, and nobody else does;
//! one about a policy has the policy's key, any other has none. No value holds a customer's id.

mod flat;
mod text;

use super::command::day_or_instant;
use crate::retention::calendar::{CountedFrom, Period, Timestamp};
use crate::retention::command::{Cause, Command, Verb};
use crate::retention::customer::AckResult;
use crate::retention::decide::Answered;
use crate::retention::policy::{Action, Mode, Rulebook};
use chrono::NaiveDate;
use flat::{FlatAcknowledged, FlatInstruction};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use text::{date, instant, instant_or_none, instant_text, period, word};
use uuid::Uuid;

/// JSON Schema of a record's value.
pub const SCHEMA: &str = include_str!("../schema/audit.json");

/// Of the format below. One release reads a version before the next writes it.
const VERSION: u32 = 1;

/// One thing that evidence tells.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    Sent(Sent),
    Acknowledged(Acknowledged),
    Forgotten(Forgotten),
    Policy(Policy),
    Instruction(Instruction),
    Brake(Brake),
    LookUp(LookUp),
    Ordered(Ordered),
    NotResent(NotResent),
}

/// A command that left: the first time, again, or to recall another. Dates, deadline and categories as
/// the target read them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sent {
    /// The same in every attempt.
    pub id: Uuid,
    pub attempt: u32,
    #[serde(with = "word")]
    pub command: Verb,
    pub target: String,
    #[serde(with = "word")]
    pub cause: Cause,
    pub policy: String,
    pub policy_version: String,
    pub categories: Vec<String>,
    pub kept: Vec<Kept>,
    pub since: Since,
    /// RFC 3339 with the zone's offset.
    pub deadline: String,
    pub deferred_by: Option<String>,
    pub next: Option<Next>,
    pub recalls: Option<Uuid>,
    /// Until when the target may obey.
    #[serde(with = "instant_or_none")]
    pub expirytime: Option<Timestamp>,
}

/// A category that had to stay, and what needs it: a policy, `floor:CATEGORY` or `hold:ID`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    pub category: String,
    pub by: String,
}

/// A starting point; the date is local, at second resolution an instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    pub kind: String,
    pub date: String,
}

/// What follows a warning, and when it can at the earliest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    #[serde(with = "word")]
    pub command: Action,
    pub on: String,
}

impl Sent {
    pub fn of(command: &Command, rules: &Rulebook) -> Sent {
        let kept = command.kept.iter().map(|kept| Kept { category: kept.category.clone(), by: kept.by.clone() });
        Sent {
            id: command.id,
            attempt: command.attempt,
            command: command.verb,
            target: rules.target(command.target).key.clone(),
            cause: command.cause,
            policy: command.policy.clone(),
            policy_version: command.policy_version.clone(),
            categories: command.categories.clone(),
            kept: kept.collect(),
            since: Since { kind: command.since.kind.clone(), date: day_or_instant(command.since.at, rules) },
            deadline: command.deadline.to_local_string(rules.zone),
            deferred_by: command.deferred_by.clone(),
            next: command.next.map(|next| Next { command: next.action, on: day_or_instant(next.on, rules) }),
            recalls: command.recalls,
            expirytime: command.expires,
        }
    }
}

/// A target's answer, as it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "FlatAcknowledged", into = "FlatAcknowledged")]
pub struct Acknowledged {
    pub command: Uuid,
    pub attempt: u32,
    pub target: String,
    pub result: AckResult,
    /// When the target says that it was.
    pub executed: Timestamp,
    /// When its signal was appended.
    pub appended: Timestamp,
    pub answers: Answered,
}

/// Our own record of a customer went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgotten {
    /// When the last command was decided, and its cause.
    #[serde(with = "instant")]
    pub end: Timestamp,
    #[serde(with = "word")]
    pub cause: Cause,
    /// Keys of the policies that had sent something.
    pub policies: Vec<String>,
    /// Until when the keyed hash is kept; `None`: for ever.
    #[serde(with = "instant_or_none")]
    pub suppressed_until: Option<Timestamp>,
}

/// A policy in full, told once for each change: what commands of this version rest on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    pub policy: String,
    pub policy_version: String,
    /// When it took effect in the shard.
    #[serde(with = "instant")]
    pub effective: Timestamp,
    pub shard: u32,
    /// By language.
    pub purpose: BTreeMap<String, String>,
    pub lawful_basis: String,
    /// By language.
    pub interest: BTreeMap<String, String>,
    pub consent: Option<String>,
    pub categories: Vec<String>,
    pub applies_to: BTreeMap<String, Vec<Option<String>>>,
    pub since_last: Vec<String>,
    #[serde(with = "word")]
    pub counted_from: CountedFrom,
    pub stages: Vec<Stage>,
    /// Of its categories.
    pub floors: Vec<Floor>,
    #[serde(with = "word")]
    pub mode: Mode,
    #[serde(with = "date")]
    pub review_by: NaiveDate,
    pub time_zone: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    #[serde(with = "period")]
    pub after: Period,
    #[serde(with = "word")]
    pub command: Action,
    pub targets: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Floor {
    pub category: String,
    pub since_last: Vec<String>,
    #[serde(with = "word")]
    pub counted_from: CountedFrom,
    #[serde(with = "period")]
    pub keep: Period,
    pub because: String,
}

/// An operator's order, as one shard heard it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "FlatInstruction", into = "FlatInstruction")]
pub struct Instruction {
    pub id: Uuid,
    pub order: Order,
    pub by: String,
    pub reason: String,
    pub shard: u32,
    /// Why it changed nothing; `None`: it was obeyed.
    pub refused: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    Release {
        policy: String,
        policy_version: String,
        /// Whose deadline lies before this instant.
        due_before: Timestamp,
        /// The shard's number of customers.
        at_most: u64,
        per_day: Option<u64>,
    },
    /// `None`: all policies.
    Stop { policy: Option<String> },
    /// A doubt about a source: `silence`, `rejects` or `gap`.
    Accept { source: String, doubt: String },
}

/// More wanted to leave in a day than may.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brake {
    pub policy: String,
    pub policy_version: String,
    pub shard: u32,
    /// Of requests; else of periods.
    pub on_request: bool,
    /// Customers to whom something was sent that day.
    pub count: u64,
    pub limit: u64,
    /// Whether the policy stopped there; else it may go on.
    pub tripped: bool,
}

/// Somebody asked about customers: about one, whose pseudonym is the key; who is due in a policy, whose key
/// is the key; or about a list, without a key. Told when it was asked, before it was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookUp {
    #[serde(with = "word")]
    pub question: Question,
    /// The token's name.
    pub by: String,
    /// How many customers were asked about; `None`: one, or as many as are due.
    pub customers: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    Explain,
    Evidence,
    Due,
    Reconcile,
}

/// Somebody placed or lifted a hold on a customer, asked for erasure, or ordered that a removal be sent once more,
/// through the service. Keyed by the customer's pseudonym; told before the signal is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ordered {
    #[serde(with = "word")]
    pub order: OrderedKind,
    /// The token's name.
    pub by: String,
    pub reason: String,
    /// Of the hold.
    pub hold: Option<String>,
    /// Which target is to be told once more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Of that order, the same for all customers it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Uuid>,
}

/// An order to send a target once more what it has removed is not obeyed, or not to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotResent {
    pub order: Uuid,
    pub target: String,
    pub why: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderedKind {
    Hold,
    Unhold,
    Erase,
    Resend,
}

/// Why bytes are no entry this version can read.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error("is not JSON of the form of evidence: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("is of version {0}; a newer lapsed reads it")]
    Version(u32),
    #[error("tells of '{0}'; a newer lapsed reads it")]
    Entry(String),
}

#[derive(Serialize)]
struct Document<'e, T> {
    v: u32,
    entry: &'static str,
    time: String,
    #[serde(flatten)]
    body: &'e T,
}

#[derive(Deserialize)]
struct Head {
    v: u32,
    entry: String,
    #[serde(with = "instant")]
    time: Timestamp,
}

/// Appends a record's value. `time` is the shard's now; of look-ups and of what was ordered through an instance,
/// its clock.
pub fn encode(entry: &Entry, time: Timestamp, buffer: &mut Vec<u8>) {
    match entry {
        Entry::Sent(body) => write("sent", body, time, buffer),
        Entry::Acknowledged(body) => write("acknowledged", body, time, buffer),
        Entry::Forgotten(body) => write("forgotten", body, time, buffer),
        Entry::Policy(body) => write("policy", body, time, buffer),
        Entry::Instruction(body) => write("instruction", body, time, buffer),
        Entry::Brake(body) => write("brake", body, time, buffer),
        Entry::LookUp(body) => write("look_up", body, time, buffer),
        Entry::Ordered(body) => write("ordered", body, time, buffer),
        Entry::NotResent(body) => write("not_resent", body, time, buffer),
    }
}

fn write<T: Serialize>(entry: &'static str, body: &T, time: Timestamp, buffer: &mut Vec<u8>) {
    let document = Document { v: VERSION, entry, time: instant_text(time), body };
    serde_json::to_writer(buffer, &document).expect("no map with other keys than text, and a Vec takes every write");
}

/// Reads a record's value, and when it was written. Members that are not known are ignored.
///
/// # Errors
/// Anything that [`encode`] of a known version did not write.
pub fn decode(bytes: &[u8]) -> Result<(Timestamp, Entry), AuditError> {
    let head: Head = serde_json::from_slice(bytes)?;
    if head.v != VERSION {
        return Err(AuditError::Version(head.v));
    }
    let entry = match head.entry.as_str() {
        "sent" => Entry::Sent(serde_json::from_slice(bytes)?),
        "acknowledged" => Entry::Acknowledged(serde_json::from_slice(bytes)?),
        "forgotten" => Entry::Forgotten(serde_json::from_slice(bytes)?),
        "policy" => Entry::Policy(serde_json::from_slice(bytes)?),
        "instruction" => Entry::Instruction(serde_json::from_slice(bytes)?),
        "brake" => Entry::Brake(serde_json::from_slice(bytes)?),
        "look_up" => Entry::LookUp(serde_json::from_slice(bytes)?),
        "ordered" => Entry::Ordered(serde_json::from_slice(bytes)?),
        "not_resent" => Entry::NotResent(serde_json::from_slice(bytes)?),
        _ => return Err(AuditError::Entry(head.entry)),
    };
    Ok((head.time, entry))
}
