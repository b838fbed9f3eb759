//! Arbitrary days in the life of a shard.

use crate::rig::{DAY, Entry, Rig, activity, answer, at, progress, progress_with, resend};
use lapsed::retention::calendar::Timestamp;
use lapsed::retention::customer::AckResult;
use proptest::prelude::*;

/// Something that is appended to a shard's log.
#[derive(Clone, Debug)]
pub enum Event {
    /// So many days later.
    Later(i64),
    /// A customer did something so many days ago.
    Activity { customer: u8, kind: u8, days_ago: i64 },
    /// All was read, and both rules have just matched.
    Progress,
    /// A rule is silent.
    Silence,
    /// A target answers one of the commands that were sent.
    Answer { nth: prop::sample::Index, result: AckResult },
    /// A target is to be told once more.
    Resend { customer: u8, target: bool, days_ago: i64, number: u8 },
    /// Not from ingest.
    Garbage(Vec<u8>),
}

const CUSTOMERS: [&str; 5] = ["4711", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "anna@example.org", "ß", "0"];
/// The last is of another configuration.
const KINDS: [&str; 3] = ["login", "purchase", "contact"];

pub fn events() -> impl Strategy<Value = Vec<Event>> {
    let results = prop_oneof![
        4 => Just(AckResult::Done),
        1 => Just(AckResult::Failed),
        1 => (0..900_i64).prop_map(|days| AckResult::Retained { until: Timestamp(at("2025-01-01") + days * DAY) }),
    ];
    let event = prop_oneof![
        3 => (1..200_i64).prop_map(Event::Later),
        4 => (0..5_u8, 0..3_u8, 0..900_i64)
            .prop_map(|(customer, kind, days_ago)| Event::Activity { customer, kind, days_ago }),
        5 => Just(Event::Progress),
        1 => Just(Event::Silence),
        3 => (any::<prop::sample::Index>(), results).prop_map(|(nth, result)| Event::Answer { nth, result }),
        1 => (0..5_u8, any::<bool>(), 0..3_i64, 0..3_u8)
            .prop_map(|(customer, target, days_ago, number)| Event::Resend { customer, target, days_ago, number }),
        1 => any::<Vec<u8>>().prop_map(Event::Garbage),
    ];
    prop::collection::vec(event, 1..12)
}

pub fn batches(count: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = Vec<Vec<Event>>> {
    prop::collection::vec(events(), count)
}

/// The log's records for events that begin after a moment.
pub fn entries(rig: &Rig, events: &[Event], begin: &mut i64) -> Vec<Entry> {
    let mut entries = Vec::new();
    for event in events {
        let now = *begin;
        match event {
            Event::Later(days) => *begin += days * DAY,
            Event::Activity { customer, kind, days_ago } => {
                let (customer, kind) = (CUSTOMERS[usize::from(*customer)], KINDS[usize::from(*kind)]);
                entries.push(activity(now, customer, kind, now - days_ago * DAY));
            }
            Event::Progress => entries.push(progress(now, &rig.config)),
            Event::Silence => entries.push(progress_with(now, &rig.config, |partition| {
                partition.rules[0].matched.as_mut().unwrap().newest = Timestamp(now - 30 * DAY);
            })),
            Event::Answer { nth, result } if !rig.sent.is_empty() => {
                let (customer, command) = nth.get(&rig.sent);
                entries.push(answer(now, &rig.config, customer, command, *result));
            }
            Event::Answer { .. } => {}
            Event::Resend { customer, target, days_ago, number } => {
                let (customer, target) = (CUSTOMERS[usize::from(*customer)], if *target { "crm" } else { "mailing" });
                entries.push(resend(now, customer, target, (now - days_ago * DAY, *number)));
            }
            Event::Garbage(value) => {
                entries.push(Entry { append: now, key: Some(b"4711".to_vec()), value: value.clone() })
            }
        }
        *begin += 1;
    }
    entries
}

/// When arbitrary lives begin.
pub fn beginning() -> i64 {
    at("2025-01-01")
}
