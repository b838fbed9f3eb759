//! Lines, one a command, that oracle and core are compared by; and a failed case as people read it.

use crate::days::{CountedFrom, Period};
use crate::told::{
    AnswerResult, Answering, Arrived, CATEGORIES, Case, Configuration, KINDS, PlannedResult, TARGETS, Told,
};
use chrono::TimeZone;
use std::collections::HashMap;
use std::fmt::{Debug, Display, Write};

/// All that is compared of a command but for ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub time: i64,
    pub policy: String,
    pub target: String,
    pub verb: &'static str,
    pub cause: &'static str,
    pub categories: Vec<String>,
    /// Category and keeper.
    pub kept: Vec<(String, String)>,
    /// Kind, and date or at second resolution instant.
    pub since: (String, String),
    pub deadline: i64,
    pub deferred_by: Option<String>,
    pub next: Option<(String, i64)>,
    pub attempt: usize,
    pub expires: Option<i64>,
}

/// A line, and which decision it tells: further attempts tell the same one. In the core an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided<Id = usize> {
    pub line: Line,
    pub number: Id,
    pub recalls: Option<Id>,
}

impl Line {
    /// Commands of one instant in a fixed order: by policy and target, recalls first.
    pub fn order(&self) -> impl Ord + '_ {
        let first = (self.time, &self.policy, &self.target, self.verb != "recall", self.verb, self.cause);
        (first, &self.categories, &self.kept, &self.since, self.deadline, self.attempt)
    }
}

impl Configuration {
    fn shown(&self, instant: i64) -> String {
        let local = self.zone.timestamp_opt(instant, 0).unwrap();
        let shown = local.format("%Y-%m-%dT%H:%M:%S").to_string();
        shown.strip_suffix(":00").map(str::to_owned).unwrap_or(shown)
    }

    /// At day resolution a date.
    pub fn shown_since(&self, at: i64) -> String {
        let shown = self.shown(at);
        if self.by_second { shown } else { shown[..10].to_owned() }
    }

    /// `2026-02-01T00:00 offers warn mailing [email] period since login 2024-02-29, deadline …`.
    pub fn shown_line(&self, line: &Line) -> String {
        let Line { policy, verb, target, cause, .. } = line;
        let mut text = format!("{} {policy} {verb} {target} [{}]", self.shown(line.time), line.categories.join(" "));
        if !line.kept.is_empty() {
            let kept: Vec<_> = line.kept.iter().map(|(category, by)| format!("{category} by {by}")).collect();
            write!(text, " kept [{}]", kept.join(", ")).unwrap();
        }
        let deadline = self.shown(line.deadline);
        write!(text, " {cause} since {} {}, deadline {deadline}", line.since.0, line.since.1).unwrap();
        if let Some(by) = &line.deferred_by {
            write!(text, ", deferred by {by}").unwrap();
        }
        if let Some((command, on)) = &line.next {
            write!(text, ", next {command} on {}", self.shown(*on)).unwrap();
        }
        if line.attempt > 1 {
            write!(text, ", attempt {}", line.attempt).unwrap();
        }
        if let Some(expires) = line.expires {
            write!(text, ", expires {}", self.shown(expires)).unwrap();
        }
        text
    }
}

/// What differs, with all that one needs to see why; `None` if nothing does.
pub fn difference<Id: Copy + Eq + std::hash::Hash + Debug>(
    case: &Case,
    expected: &[Decided],
    found: &[Decided<Id>],
) -> Option<String> {
    let configuration = &case.configuration;
    let lines = |lines: &mut dyn Iterator<Item = &Line>| -> Vec<String> {
        lines.map(|line| configuration.shown_line(line)).collect()
    };
    let expected_lines = lines(&mut expected.iter().map(|decided| &decided.line));
    let found_lines = lines(&mut found.iter().map(|decided| &decided.line));
    let problem = if expected_lines == found_lines {
        difference_of_identity(expected, found)?
    } else {
        format!("- expected, + found:\n{}", diff(&expected_lines, &found_lines))
    };
    Some(format!("\n{}\n{problem}", shown_case(case)))
}

/// "The same decision has the same id; no two decisions share one", and a recall names what it cancels.
fn difference_of_identity<Id: Copy + Eq + std::hash::Hash + Debug>(
    expected: &[Decided],
    found: &[Decided<Id>],
) -> Option<String> {
    let mut ids: HashMap<usize, Id> = HashMap::new();
    let mut numbers: HashMap<Id, usize> = HashMap::new();
    for (place, (expected, found)) in expected.iter().zip(found).enumerate() {
        let id = *ids.entry(expected.number).or_insert(found.number);
        let number = *numbers.entry(found.number).or_insert(expected.number);
        if id != found.number || number != expected.number {
            return Some(format!("line {place} has another decision's id, or its attempts differ in theirs"));
        }
        if expected.recalls.map(|recalled| ids[&recalled]) != found.recalls {
            return Some(format!("line {place} does not name what it recalls: {:?}", found.recalls));
        }
    }
    None
}

/// Line by line, by the longest common subsequence.
fn diff(expected: &[String], found: &[String]) -> String {
    let mut common = vec![vec![0; found.len() + 1]; expected.len() + 1];
    for (e, f) in (0..expected.len()).rev().flat_map(|e| (0..found.len()).rev().map(move |f| (e, f))) {
        common[e][f] = match expected[e] == found[f] {
            true => common[e + 1][f + 1] + 1,
            false => common[e + 1][f].max(common[e][f + 1]),
        };
    }
    let (mut e, mut f, mut lines) = (0, 0, Vec::new());
    while e < expected.len() || f < found.len() {
        if e < expected.len() && f < found.len() && expected[e] == found[f] {
            lines.push(format!("  {}", expected[e]));
            (e, f) = (e + 1, f + 1);
        } else if f == found.len() || (e < expected.len() && common[e + 1][f] >= common[e][f + 1]) {
            lines.push(format!("- {}", expected[e]));
            e += 1;
        } else {
            lines.push(format!("+ {}", found[f]));
            f += 1;
        }
    }
    // What follows the first difference is mostly its consequence.
    let first = lines.iter().position(|line| !line.starts_with(' ')).unwrap_or(0);
    let shown = lines.len().min(first + 15);
    let more = lines.len() - shown;
    lines.truncate(shown);
    lines.join("\n") + &if more > 0 { format!("\n… and {more} lines more") } else { String::new() }
}

pub fn shown_case(case: &Case) -> String {
    let configuration = &case.configuration;
    let mut text = shown_configuration(configuration);
    writeln!(text, "log:").unwrap();
    for Arrived { arrives, what } in &case.log {
        writeln!(text, "  {} {}", configuration.shown(*arrives), shown_told(configuration, what)).unwrap();
    }
    if let Answering::Planned { plan, .. } = &case.answering {
        writeln!(text, "answers to the nth line, after these done:").unwrap();
        for (nth, answers) in plan.iter().enumerate() {
            let shown = answers.iter().map(|answer| {
                let result = match answer.result {
                    PlannedResult::Done => "done".to_owned(),
                    PlannedResult::Failed => "failed".to_owned(),
                    PlannedResult::Retained(length) => format!("retained for {}", shown_seconds(length)),
                };
                let claimed = answer.claimed;
                format!("{result} after {}, claiming {claimed} s", shown_seconds(answer.after))
            });
            writeln!(text, "  {nth}: {}", shown.collect::<Vec<_>>().join("; ")).unwrap();
        }
    }
    write!(text, "until {}", configuration.shown(case.until)).unwrap();
    text
}

fn shown_configuration(configuration: &Configuration) -> String {
    let resolution = if configuration.by_second { "second" } else { "day" };
    let mut text = format!("{} by {resolution}", configuration.zone);
    if let Some(window) = &configuration.window {
        write!(text, ", window {:?} {} to {:?}", window.days, window.from, window.to).unwrap();
    }
    writeln!(text, ", forget after {}", shown_period(configuration.forget_after)).unwrap();
    for (target, within) in TARGETS.iter().zip(configuration.acknowledge_within) {
        write!(text, "{target}: {}; ", within.map_or("none".to_owned(), shown_seconds)).unwrap();
    }
    writeln!(text).unwrap();
    for floor in &configuration.floors {
        let (category, keep) = (CATEGORIES[floor.category], shown_period(floor.keep));
        let from = shown_from(floor.counted_from, floor.known_since, configuration);
        writeln!(text, "floor {category}: {}; {keep}{from}", names(&KINDS, &floor.kinds)).unwrap();
    }
    for policy in &configuration.policies {
        let stages = policy.stages.iter().map(|stage| {
            format!("{} {} {}", shown_period(stage.after), stage.action.name(), names(&TARGETS, &stage.targets))
        });
        let (categories, kinds) = (names(&CATEGORIES, &policy.categories), names(&KINDS, &policy.kinds));
        let stages = stages.collect::<Vec<_>>().join(", ");
        write!(text, "{}: {categories}; {kinds}; {stages}", policy.key).unwrap();
        write!(text, "; lateness {}", shown_seconds(policy.lateness)).unwrap();
        text += &shown_from(policy.counted_from, policy.known_since, configuration);
        if let Some(consent) = policy.consent {
            write!(text, "; consent {consent}").unwrap();
        }
        for (name, values) in &policy.applies_to {
            let values: Vec<_> = values.iter().map(|value| value.unwrap_or("none")).collect();
            write!(text, "; applies to {name} {}", values.join(" ")).unwrap();
        }
        writeln!(text).unwrap();
    }
    text
}

fn shown_told(configuration: &Configuration, told: &Told) -> String {
    let at = configuration.shown(told.at());
    match told {
        Told::Activity { kind, .. } => format!("{} at {at}", KINDS[*kind]),
        Told::Consent { name, given: true, .. } => format!("consent {name} given at {at}"),
        Told::Consent { name, given: false, .. } => format!("consent {name} withdrawn at {at}"),
        Told::Hold { id, until, reason, policies, .. } => {
            let until = until.map_or("none".to_owned(), |until| configuration.shown(until));
            format!("hold {id} at {at} until {until} for {policies:?} because {reason}")
        }
        Told::Unhold { id, .. } => format!("unhold {id} at {at}"),
        Told::Erasure { .. } => format!("erasure at {at}"),
        Told::Attribute { name, value, .. } => format!("attribute {name} {} at {at}", value.unwrap_or("none")),
        Told::Answer { to, attempt, result, .. } => {
            let result = match result {
                AnswerResult::Done => "done".to_owned(),
                AnswerResult::Failed => "failed".to_owned(),
                AnswerResult::Retained { until } => format!("retained until {}", configuration.shown(*until)),
            };
            format!("decision {to}, attempt {attempt}: {result} at {at}")
        }
    }
}

fn shown_from(counted_from: CountedFrom, known_since: Option<i64>, configuration: &Configuration) -> String {
    let counted_from = match counted_from {
        CountedFrom::Event => String::new(),
        other => format!(" {other:?}"),
    };
    let known_since = known_since.map(|at| format!("; known since {}", configuration.shown(at)));
    counted_from + &known_since.unwrap_or_default()
}

fn shown_period(period: Period) -> impl Display {
    match period {
        Period::Calendar { months, days } => format!("P{months}M{days}D"),
        Period::Exact { seconds } => shown_seconds(seconds),
    }
}

fn shown_seconds(seconds: i64) -> String {
    let (hours, rest) = (seconds / 3600, seconds % 3600);
    if rest == 0 { format!("PT{hours}H") } else { format!("PT{hours}H{}M", rest / 60) }
}

fn names(all: &[&str], places: &[usize]) -> String {
    places.iter().map(|place| all[*place]).collect::<Vec<_>>().join(" ")
}
