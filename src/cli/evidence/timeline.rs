//! All that evidence tells of one customer, in its order, with the texts it rested on.

use super::promises::{Promises, Texts, write as write_text};
use crate::retention::calendar::Timestamp;
use crate::retention::command::{Cause, Verb};
use crate::retention::customer::AckResult;
use crate::retention::decide::{Answered, FORGOTTEN};
use crate::retention::pseudonym::Pseudonym;
use crate::wire::audit::{Acknowledged, Entry, Forgotten, NotResent, Ordered, OrderedKind, Question, Sent, encode};
use chrono_tz::Tz;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write;

#[derive(Debug)]
pub struct Timeline {
    pseudonym: String,
    zone: Tz,
    /// In the order of the customer's partition.
    entries: Vec<(Timestamp, Entry)>,
    promises: Promises,
}

impl Timeline {
    pub fn new(pseudonym: Pseudonym, zone: Tz) -> Timeline {
        Timeline { pseudonym: pseudonym.to_string(), zone, entries: Vec::new(), promises: Promises::default() }
    }

    /// Takes in a record, be it of another customer.
    pub fn take(&mut self, key: &str, time: Timestamp, entry: Entry) {
        match entry {
            Entry::Policy(policy) => self.promises.take(time, policy),
            Entry::Sent(_)
            | Entry::Acknowledged(_)
            | Entry::Forgotten(_)
            | Entry::LookUp(_)
            | Entry::Ordered(_)
            | Entry::NotResent(_)
                if key == self.pseudonym =>
            {
                self.entries.push((time, entry));
            }
            _ => {}
        }
    }

    /// Nothing was ever done; that somebody has asked is no deed.
    pub fn is_empty(&self) -> bool {
        self.entries.iter().all(|(_, entry)| matches!(entry, Entry::LookUp(_)))
    }

    fn in_order(self) -> (Vec<(Timestamp, Entry)>, Texts) {
        let mut entries = self.entries;
        entries.sort_by_key(|(time, _)| *time);
        (entries, self.promises.into_texts())
    }

    /// For people.
    pub fn text(self, unread: u64) -> String {
        let (zone, pseudonym) = (self.zone, self.pseudonym.clone());
        let (entries, texts) = self.in_order();
        let mut out = String::new();
        let mut used = Vec::new();
        let written = (|| {
            writeln!(out, "evidence about {pseudonym}")?;
            if unread > 0 {
                writeln!(out, "incomplete: {unread} records could not be read")?;
            }
            for (time, entry) in &entries {
                write!(out, "\n{}  ", time.to_local_string(zone))?;
                match entry {
                    Entry::Sent(sent) => {
                        let text = texts.of(&sent.policy, &sent.policy_version, *time);
                        let number = text.map(|place| number(&mut used, place));
                        write_sent(&mut out, sent, number, zone)?;
                    }
                    Entry::Acknowledged(ack) => write_acknowledged(&mut out, ack, zone)?,
                    Entry::Forgotten(forgotten) => write_forgotten(&mut out, forgotten, zone)?,
                    Entry::LookUp(look_up) => {
                        let question = match look_up.question {
                            Question::Evidence => "evidence of this",
                            _ => "an explanation",
                        };
                        writeln!(out, "{} asked for {question}", look_up.by)?;
                    }
                    Entry::Ordered(ordered) => write_ordered(&mut out, ordered)?,
                    Entry::NotResent(NotResent { order, target, why }) => {
                        writeln!(out, "{target} is not told once more ({order}): {why}")?;
                    }
                    Entry::Policy(_) | Entry::Instruction(_) | Entry::Brake(_) => {}
                }
            }
            if !used.is_empty() {
                writeln!(out, "\npolicies, as they were")?;
            }
            (1..).zip(&used).try_for_each(|(number, place)| {
                writeln!(out)?;
                write_text(&mut out, number, &texts.0[*place], zone)
            })
        })();
        written.map(|()| out).expect("a String takes every write")
    }

    /// For programs: the entries as they stand in the topic, and the texts they rest on.
    pub fn json(self, unread: u64) -> String {
        let pseudonym = self.pseudonym.clone();
        let (entries, texts) = self.in_order();
        let used: BTreeSet<usize> = entries
            .iter()
            .filter_map(|(time, entry)| match entry {
                Entry::Sent(sent) => texts.of(&sent.policy, &sent.policy_version, *time),
                _ => None,
            })
            .collect();
        let policies: Vec<Value> = used.into_iter().map(|place| policy_value(&texts, place)).collect();
        let entries: Vec<Value> = entries.iter().map(|(time, entry)| value(entry, *time)).collect();
        let document = json!({"pseudonym": pseudonym, "entries": entries, "policies": policies, "unread": unread});
        format!("{document}\n")
    }
}

/// Texts are numbered as they are first referred to.
fn number(used: &mut Vec<usize>, place: usize) -> usize {
    let found = used.iter().position(|used| *used == place);
    found.unwrap_or_else(|| {
        used.push(place);
        used.len() - 1
    }) + 1
}

/// An entry as it stands in the topic.
fn value(entry: &Entry, time: Timestamp) -> Value {
    let mut bytes = Vec::new();
    encode(entry, time, &mut bytes);
    serde_json::from_slice(&bytes).expect("it was written as JSON")
}

/// A text as it was told.
pub fn policy_value(texts: &Texts, place: usize) -> Value {
    let policy = texts.0[place].clone();
    let effective = policy.effective;
    value(&Entry::Policy(policy), effective)
}

fn write_sent(out: &mut String, sent: &Sent, text: Option<usize>, zone: Tz) -> std::fmt::Result {
    let again = if sent.attempt > 1 { format!(", attempt {}", sent.attempt) } else { String::new() };
    match sent.recalls {
        Some(recalled) => writeln!(out, "recall of {recalled} sent to {}{again} ({})", sent.target, sent.id)?,
        None => writeln!(out, "{} sent to {}{again} ({})", sent.command.name(), sent.target, sent.id)?,
    }
    let text = text.map_or_else(|| "whose text is not in evidence".to_owned(), |number| format!("[{number}]"));
    writeln!(out, "    under {}, version {} {text}", sent.policy, sent.policy_version)?;
    let because = match sent.cause {
        Cause::Period => "its period has run out",
        Cause::Withdrawn => "consent was withdrawn",
        Cause::ErasureRequest => "erasure was asked for",
    };
    let (kind, date) = (&sent.since.kind, &sent.since.date);
    if kind == FORGOTTEN {
        writeln!(out, "    once more, ordered at {}; forgotten on {date}, because {because}", sent.deadline)?;
    } else {
        writeln!(out, "    because {because}: since {kind} on {date}, deadline {}", sent.deadline)?;
    }
    if let Some(by) = &sent.deferred_by {
        writeln!(out, "    deferred by {by}")?;
    }
    let categories = if sent.categories.is_empty() { "nothing".to_owned() } else { sent.categories.join(", ") };
    match sent.command {
        Verb::Recall => writeln!(out, "    named: {categories}")?,
        Verb::Act(_) => writeln!(out, "    names: {categories}")?,
    }
    for kept in &sent.kept {
        writeln!(out, "    keeps {} for {}", kept.category, kept.by)?;
    }
    if let Some(next) = &sent.next {
        writeln!(out, "    announces {} on {} at the earliest", next.command.name(), next.on)?;
    }
    sent.expirytime.map_or(Ok(()), |end| writeln!(out, "    to be obeyed before {}", end.to_local_string(zone)))
}

fn write_acknowledged(out: &mut String, ack: &Acknowledged, zone: Tz) -> std::fmt::Result {
    let result = match ack.result {
        AckResult::Done => "done".to_owned(),
        AckResult::Retained { until } => format!("retained until {}", until.to_local_string(zone)),
        AckResult::Failed => "failed".to_owned(),
    };
    let what = match ack.answers {
        Answered::Command => "",
        Answered::Recall => ", the recall",
        Answered::Nothing => ", and no such command stood",
    };
    writeln!(out, "{} answered {result} (attempt {} of {}{what})", ack.target, ack.attempt, ack.command)?;
    writeln!(out, "    executed, it says, at {}", ack.executed.to_local_string(zone))
}

fn write_ordered(out: &mut String, ordered: &Ordered) -> std::fmt::Result {
    let Ordered { order, by, reason, hold, target, id } = ordered;
    let hold = hold.as_deref().unwrap_or_default();
    match order {
        OrderedKind::Hold => writeln!(out, "{by} placed the hold {hold}: {reason}"),
        OrderedKind::Unhold => writeln!(out, "{by} lifted the hold {hold}: {reason}"),
        OrderedKind::Erase => writeln!(out, "{by} asked for erasure: {reason}"),
        OrderedKind::Resend => {
            let (target, id) =
                (target.as_deref().unwrap_or_default(), id.map_or_else(String::new, |id| id.to_string()));
            writeln!(out, "{by} ordered that {target} be told once more ({id}): {reason}")
        }
    }
}

fn write_forgotten(out: &mut String, forgotten: &Forgotten, zone: Tz) -> std::fmt::Result {
    let until = forgotten
        .suppressed_until
        .map_or("for good".to_owned(), |until| format!("until {}", until.to_local_string(zone)));
    writeln!(out, "our own record went; a keyed hash stays {until}")?;
    let (end, cause) = (forgotten.end.to_local_string(zone), forgotten.cause.name());
    writeln!(out, "    the last command was decided at {end} ({cause}); policies: {}", forgotten.policies.join(", "))
}
