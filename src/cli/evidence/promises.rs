//! The policies' texts, and which was in force when.

use crate::retention::calendar::{CountedFrom, Timestamp};
use crate::retention::policy::Mode;
use crate::wire::audit::{Floor, Policy};
use chrono_tz::Tz;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Texts of policies with when they were told, as one shard or several told them.
#[derive(Debug, Default)]
pub struct Promises {
    told: Vec<(Timestamp, Policy)>,
}

impl Promises {
    pub fn take(&mut self, time: Timestamp, policy: Policy) {
        self.told.push((time, policy));
    }

    /// In the order in which they took effect, each text once.
    pub fn into_texts(mut self) -> Texts {
        self.told.sort_by(|(a_time, a), (b_time, b)| {
            (a.effective, a_time, a.shard, &a.policy).cmp(&(b.effective, b_time, b.shard, &b.policy))
        });
        let mut texts: Vec<Policy> = Vec::new();
        for (_, policy) in self.told {
            // A text that comes back after another is in force a second time.
            let before = texts.iter().rev().find(|text| text.policy == policy.policy);
            if before.is_none_or(|before| !same_text(before, &policy)) {
                texts.push(policy);
            }
        }
        Texts(texts)
    }
}

/// Shards tell the same text, each from when it takes effect there.
fn same_text(a: &Policy, b: &Policy) -> bool {
    let b = Policy { shard: a.shard, effective: a.effective, ..b.clone() };
    *a == b
}

/// In the order in which they took effect.
#[derive(Debug)]
pub struct Texts(pub Vec<Policy>);

impl Texts {
    /// The text that a command of this version rested on: the latest before it was sent. A shard may send
    /// before another tells the text, so if need be the first.
    pub fn of(&self, policy: &str, version: &str, sent: Timestamp) -> Option<usize> {
        let is_it = |place: &usize| self.0[*place].policy == policy && self.0[*place].policy_version == version;
        let of_version = || (0..self.0.len()).filter(is_it);
        of_version().rfind(|place| self.0[*place].effective <= sent).or_else(|| of_version().next())
    }

    /// Those of a policy that were in force at some time from `begins` until before `ends`.
    pub fn in_force(&self, policy: &str, begins: Timestamp, ends: Timestamp) -> Vec<usize> {
        let of_policy: Vec<usize> = (0..self.0.len()).filter(|place| self.0[*place].policy == policy).collect();
        let began = |place: usize| self.0[place].effective;
        let ended = |nth: usize| of_policy.get(nth + 1).map_or(Timestamp::MAX, |next| began(*next));
        let overlaps = |(nth, place): (usize, &usize)| (began(*place) < ends && ended(nth) > begins).then_some(*place);
        of_policy.iter().enumerate().filter_map(overlaps).collect()
    }
}

/// Writes a text as it was promised, indented below its number.
pub fn write(out: &mut String, number: usize, text: &Policy, zone: Tz) -> std::fmt::Result {
    let mode = match text.mode {
        Mode::Test => "test",
        Mode::Notify => "notify",
        Mode::Enforce => "enforce",
    };
    writeln!(
        out,
        "[{number}] {}, version {}, in force since {}",
        text.policy,
        text.policy_version,
        text.effective.to_local_string(zone)
    )?;
    by_language(out, "purpose", &text.purpose)?;
    writeln!(out, "    lawful basis: {}", text.lawful_basis)?;
    by_language(out, "interest", &text.interest)?;
    if let Some(consent) = &text.consent {
        writeln!(out, "    consent: {consent}")?;
    }
    writeln!(out, "    data: {}", text.categories.join(", "))?;
    for (attribute, values) in &text.applies_to {
        let values: Vec<&str> = values.iter().map(|value| value.as_deref().unwrap_or("(not set)")).collect();
        writeln!(out, "    applies to: {attribute} {}", values.join(", "))?;
    }
    writeln!(out, "    runs from: the last {}{}", text.since_last.join(", "), end_of(text.counted_from))?;
    for stage in &text.stages {
        writeln!(out, "    after {}: {} at {}", stage.after, stage.command.name(), stage.targets.join(", "))?;
    }
    text.floors.iter().try_for_each(|floor| floor_line(out, floor))?;
    writeln!(out, "    mode: {mode}; to be reviewed by {}; calendar of {}", text.review_by, text.time_zone)
}

fn floor_line(out: &mut String, floor: &Floor) -> std::fmt::Result {
    let Floor { category, since_last, counted_from, keep, because } = floor;
    let from = end_of(*counted_from);
    let (kinds, because) = (since_last.join(", "), in_one_line(because));
    writeln!(out, "    floor: {category} for {keep} from the last {kinds}{from} ({because})")
}

fn by_language(out: &mut String, what: &str, texts: &BTreeMap<String, String>) -> std::fmt::Result {
    texts.iter().try_for_each(|(language, text)| writeln!(out, "    {what} ({language}): {}", in_one_line(text)))
}

/// What people wrote must not look like lines of ours.
pub fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn end_of(counted_from: CountedFrom) -> &'static str {
    match counted_from {
        CountedFrom::Event => "",
        CountedFrom::EndOfMonth => ", from the end of that month",
        CountedFrom::EndOfYear => ", from the end of that year",
    }
}
