//! A command as a CloudEvent: CloudEvents 1.0, JSON event format, structured mode.

use crate::retention::calendar::{Resolution, Timestamp, local_date};
use crate::retention::command::{Command, Kept, Verb};
use crate::retention::policy::Rulebook;
use serde::Serialize;

/// Value of the record header `content-type`.
pub const CONTENT_TYPE: &str = "application/cloudevents+json; charset=UTF-8";
/// JSON Schema of the whole event; [`DATA_SCHEMA`] is in it.
pub const SCHEMA: &str = include_str!("schema/command.json");
/// JSON Schema of `data`.
pub const DATA_SCHEMA: &str = "urn:lapsed:schema:command:v1";

#[derive(Serialize)]
struct Event<'a> {
    specversion: &'static str,
    id: String,
    source: String,
    r#type: String,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expirytime: Option<String>,
    datacontenttype: &'static str,
    dataschema: &'static str,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    customer: &'a str,
    target: &'a str,
    command: &'static str,
    cause: &'static str,
    policy: &'a str,
    policy_version: &'a str,
    categories: &'a [String],
    kept: Vec<KeptData<'a>>,
    since: SinceData<'a>,
    deadline: String,
    deferred_by: Option<&'a str>,
    next: Option<NextData>,
    recalls: Option<String>,
    attempt: u32,
}

#[derive(Serialize)]
struct KeptData<'a> {
    category: &'a str,
    by: &'a str,
}

#[derive(Serialize)]
struct SinceData<'a> {
    kind: &'a str,
    date: String,
}

#[derive(Serialize)]
struct NextData {
    command: &'static str,
    on: String,
}

/// Appends the record's value to `buffer`; its key is the customer.
pub fn encode(command: &Command, customer: &str, rules: &Rulebook, buffer: &mut Vec<u8>) {
    serde_json::to_writer(buffer, &event(command, customer, rules))
        .expect("no map with other keys than text, and a Vec takes every write");
}

fn event<'a>(command: &'a Command, customer: &'a str, rules: &'a Rulebook) -> Event<'a> {
    Event {
        specversion: "1.0",
        id: command.id.to_string(),
        source: format!("urn:lapsed:{}", rules.application),
        r#type: format!("lapsed.command.{}.v1", command.verb.name()),
        time: command.time.to_utc_string(),
        expirytime: command.expires.map(Timestamp::to_utc_string),
        datacontenttype: "application/json",
        dataschema: DATA_SCHEMA,
        data: data(command, customer, rules),
    }
}

fn data<'a>(command: &'a Command, customer: &'a str, rules: &'a Rulebook) -> Data<'a> {
    let kept = |kept: &'a Kept| KeptData { category: &kept.category, by: &kept.by };
    Data {
        customer,
        target: &rules.target(command.target).key,
        command: command.verb.name(),
        cause: command.cause.name(),
        policy: &command.policy,
        policy_version: &command.policy_version,
        categories: &command.categories,
        kept: command.kept.iter().map(kept).collect(),
        since: SinceData { kind: &command.since.kind, date: day_or_instant(command.since.at, rules) },
        deadline: command.deadline.to_local_string(rules.zone),
        deferred_by: command.deferred_by.as_deref(),
        next: command
            .next
            .map(|next| NextData { command: Verb::Act(next.action).name(), on: day_or_instant(next.on, rules) }),
        recalls: command.recalls.map(|id| id.to_string()),
        attempt: command.attempt,
    }
}

/// A local date; at second resolution the instant.
pub(super) fn day_or_instant(at: Timestamp, rules: &Rulebook) -> String {
    match rules.resolution {
        Resolution::Day => local_date(at, rules.zone).to_string(),
        Resolution::Second => at.to_local_string(rules.zone),
    }
}
