//! The oracle itself, checked by hand against the design.

use crate::compare::shown_case;
use crate::days::{CountedFrom, Period};
use crate::oracle::expected;
use crate::told::{
    Action, AnswerResult, Answering, Arrived, CATEGORIES, Case, Configuration, Floor, KINDS, PlannedAnswer,
    PlannedResult, Policy, Stage, TARGETS, Told, Window,
};
use chrono::{NaiveDateTime, NaiveTime, TimeZone, Weekday};
use chrono_tz::Tz;

const AMSTERDAM: Tz = Tz::Europe__Amsterdam;
const DAY: i64 = 86_400;

/// A local time in Amsterdam, as in `2024-02-29T15:00`.
fn at(text: &str) -> i64 {
    let local = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M").unwrap();
    AMSTERDAM.from_local_datetime(&local).single().unwrap().timestamp()
}

fn places(all: &[&str], names: &str) -> Vec<usize> {
    names.split(' ').map(|name| all.iter().position(|known| *known == name).unwrap()).collect()
}

/// `P23M`, `P30D` or `PT5H`.
fn period(text: &str) -> Period {
    let number = |from: usize| text[from..text.len() - 1].parse::<u32>().unwrap();
    match (text.as_bytes()[1], text.as_bytes()[text.len() - 1]) {
        (b'T', b'H') => Period::Exact { seconds: i64::from(number(2)) * 3600 },
        (_, b'M') => Period::Calendar { months: number(1), days: 0 },
        (_, b'D') => Period::Calendar { months: 0, days: number(1) },
        _ => panic!("no such period: {text}"),
    }
}

/// `offers: email name; purchase login; P23M warn mailing, P24M anonymise crm mailing`.
fn policy(text: &str) -> Policy {
    let (key, rest) = text.split_once(": ").unwrap();
    let [categories, kinds, stages]: [&str; 3] = rest.split("; ").collect::<Vec<_>>().try_into().unwrap();
    let stage = |text: &str| {
        let (after, rest) = text.split_once(' ').unwrap();
        let (action, targets) = rest.split_once(' ').unwrap();
        let actions = [Action::Warn, Action::Expire, Action::Anonymise];
        let action = actions.into_iter().find(|known| known.name() == action).unwrap();
        Stage { after: period(after), action, targets: places(&TARGETS, targets) }
    };
    Policy {
        key: key.to_owned(),
        categories: places(&CATEGORIES, categories),
        kinds: places(&KINDS, kinds),
        counted_from: CountedFrom::Event,
        stages: stages.split(", ").map(stage).collect(),
        lateness: 2 * DAY,
        consent: None,
        applies_to: Vec::new(),
        known_since: None,
    }
}

/// A case that is told, and what must follow.
struct Example(Case);

impl Example {
    fn new(policies: &[&str]) -> Example {
        let configuration = Configuration {
            zone: AMSTERDAM,
            by_second: false,
            acknowledge_within: [Some(3 * DAY), Some(3 * DAY), None],
            policies: policies.iter().map(|text| policy(text)).collect(),
            floors: Vec::new(),
            window: None,
            forget_after: period("P60M"),
        };
        let until = at("2030-01-01T00:00");
        Example(Case { configuration, log: Vec::new(), answering: Answering::AtOnce, until })
    }

    fn active(self, kind: &str, when: &str) -> Example {
        self.active_late(kind, when, when)
    }

    fn active_late(self, kind: &str, when: &str, arrives: &str) -> Example {
        self.told(arrives, Told::Activity { kind: places(&KINDS, kind)[0], at: at(when) })
    }

    fn told(mut self, arrives: &str, what: Told) -> Example {
        self.0.log.push(Arrived { arrives: at(arrives), what });
        self
    }

    fn held(self, when: &str, until: Option<&str>) -> Example {
        let hold = Told::Hold { id: "case-7", at: at(when), until: until.map(at), reason: "dispute", policies: None };
        self.told(when, hold)
    }

    fn erasure(self, when: &str) -> Example {
        self.told(when, Told::Erasure { at: at(when) })
    }

    fn consent(self, when: &str, given: bool) -> Example {
        self.told(when, Told::Consent { name: "offers", given, at: at(when) })
    }

    /// Each line begins with what is expected of it.
    fn expect(&self, beginnings: &[&str]) {
        let lines = expected(&self.0).into_iter().map(|decided| self.0.configuration.shown_line(&decided.line));
        let lines: Vec<String> = lines.collect();
        let same = lines.len() == beginnings.len()
            && lines.iter().zip(beginnings).all(|(line, beginning)| line.starts_with(beginning));
        let (case, lines, beginnings) = (shown_case(&self.0), lines.join("\n"), beginnings.join("\n"));
        assert!(same, "\n{case}\nexpected:\n{beginnings}\nfound:\n{lines}");
    }
}

const OFFERS: &str = "offers: email name; purchase login; P23M warn mailing, P24M anonymise crm";

#[test]
fn the_worked_example_of_the_design() {
    let mut example = Example::new(&[OFFERS]).active("purchase", "2024-02-29T15:00");
    let days = vec![Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri];
    let time = |hour| NaiveTime::from_hms_opt(hour, 0, 0).unwrap();
    example.0.configuration.window = Some(Window { days, from: time(9), to: Some(time(17)) });
    // Due on Sunday 2026-02-01, given on Monday with 30 days of notice, which end with 2026-03-04.
    example.expect(&[
        "2026-02-02T09:00 offers warn mailing [email name] period since purchase 2024-02-29, \
         deadline 2026-01-30T00:00, next anonymise on 2026-03-05T00:00",
        "2026-03-05T09:00 offers anonymise crm [email name] period since purchase 2024-02-29, \
         deadline 2026-03-01T00:00",
    ]);
}

#[test]
fn whoever_returns_after_a_warning_is_recalled_and_starts_over() {
    Example::new(&[OFFERS]).active("purchase", "2024-02-29T15:00").active("login", "2026-02-10T08:15").expect(&[
        "2026-02-01T00:00 offers warn mailing [email name]",
        "2026-02-10T08:15 offers recall mailing [email name] period since purchase 2024-02-29",
        "2028-01-13T00:00 offers warn mailing [email name] period since login 2026-02-10",
        "2028-02-14T00:00 offers anonymise crm [email name]",
    ]);
}

#[test]
fn the_last_purpose_removes() {
    let policies = ["a: email name; purchase; P12M expire crm", "b: email; purchase; P24M expire crm"];
    Example::new(&policies).active("purchase", "2024-03-10T12:00").expect(&[
        "2025-03-13T00:00 a expire crm [name] kept [email by b]",
        "2026-03-13T00:00 b expire crm [email] period",
    ]);
}

#[test]
fn a_floor_keeps_and_what_it_kept_goes_when_it_is_over() {
    let mut example = Example::new(&["a: email name; purchase; P12M expire crm"]);
    example.0.configuration.floors = vec![Floor {
        category: places(&CATEGORIES, "email")[0],
        kinds: places(&KINDS, "purchase"),
        counted_from: CountedFrom::EndOfYear,
        keep: period("P24M"),
        known_since: None,
    }];
    example.active("purchase", "2024-03-10T12:00").expect(&[
        "2025-03-13T00:00 a expire crm [name] kept [email by floor:email]",
        // Until the end of 2026, with lateness.
        "2027-01-03T00:00 a expire crm [email] period since purchase 2024-03-10, deadline 2025-03-11T00:00, \
         deferred by floor:email",
    ]);
}

#[test]
fn a_hold_defers_and_takes_a_warning_back() {
    let example = Example::new(&[OFFERS]).active("purchase", "2024-02-29T15:00");
    example.held("2026-02-10T10:00", Some("2026-04-01T00:00")).expect(&[
        "2026-02-01T00:00 offers warn mailing",
        "2026-02-10T10:00 offers recall mailing",
        // The warning was never given; it was due all the while the hold was in force.
        "2026-04-01T00:00 offers warn mailing [email name] period since purchase 2024-02-29, \
         deadline 2026-01-30T00:00, deferred by case-7, next anonymise on 2026-05-02T00:00",
        "2026-05-02T00:00 offers anonymise crm [email name] period since purchase 2024-02-29, \
         deadline 2026-03-01T00:00, expires",
    ]);
}

#[test]
fn an_erasure_request_counts_at_the_end_of_its_day_and_leaves_what_is_held() {
    let example = Example::new(&[OFFERS]).active("purchase", "2024-02-29T15:00").held("2024-05-01T10:00", None);
    let example = example.erasure("2024-06-03T10:00").active("login", "2024-06-03T20:00");
    example.told("2024-08-01T09:30", Told::Unhold { id: "case-7", at: at("2024-08-01T09:30") }).expect(&[
        "2024-06-04T00:00 offers anonymise crm [] kept [email by hold:case-7, name by hold:case-7] \
         erasure_request since erasure 2024-06-03, deadline 2024-06-04T00:00, expires",
        "2024-08-01T09:30 offers anonymise crm [email name] erasure_request since erasure 2024-06-03, \
         deadline 2024-06-04T00:00, deferred by case-7",
    ]);
}

#[test]
fn activity_after_a_request_starts_over_and_a_request_is_served_once() {
    let example = Example::new(&[OFFERS]).erasure("2024-06-03T10:00").erasure("2024-06-03T11:00");
    example.active("login", "2024-06-04T00:00").expect(&[
        "2024-06-04T00:00 offers anonymise crm [email name] erasure_request",
        "2026-05-07T00:00 offers warn mailing [email name] period since login 2024-06-04",
        "2026-06-08T00:00 offers anonymise crm [email name] period",
    ]);
}

#[test]
fn withdrawn_consent_ends_a_policy_until_it_is_given_again() {
    let mut example = Example::new(&[OFFERS]);
    example.0.configuration.policies[0].consent = Some("offers");
    let example = example.consent("2024-01-05T10:00", false).active("purchase", "2024-02-29T15:00");
    let example = example.consent("2024-03-01T10:00", true).consent("2024-05-06T10:00", false);
    example.active("login", "2024-05-20T10:00").consent("2024-06-01T10:00", true).expect(&[
        // Objecting before any activity had nothing to end. The policy covered nobody until consent was given.
        "2024-05-07T00:00 offers anonymise crm [email name] withdrawn since withdrawn 2024-05-06",
        "2026-05-04T00:00 offers warn mailing [email name] period since consent 2024-06-01",
        "2026-06-05T00:00 offers anonymise crm [email name] period since consent 2024-06-01",
    ]);
}

#[test]
fn a_command_without_an_answer_is_repeated_word_for_word() {
    let mut example = Example::new(&["a: email; purchase; P12M expire crm"]).active("purchase", "2024-03-10T12:00");
    let done = PlannedAnswer { after: 3600, result: PlannedResult::Done, claimed: 0 };
    example.0.answering = Answering::Planned { plan: vec![Vec::new()], later: done };
    example.expect(&[
        "2025-03-13T00:00 a expire crm [email]",
        "2025-03-16T00:00 a expire crm [email] period since purchase 2024-03-10, deadline 2025-03-11T00:00, attempt 2",
    ]);
}

#[test]
fn retained_works_as_a_hold_of_the_policy() {
    let mut example = Example::new(&["a: email; purchase; P12M expire crm mailing"]);
    let answer = |result| vec![PlannedAnswer { after: 3600, result, claimed: 0 }];
    let plan = vec![answer(PlannedResult::Retained(10 * DAY)), Vec::new()];
    example.0.answering = Answering::Planned { plan, later: answer(PlannedResult::Done).remove(0) };
    assert_eq!(answer(PlannedResult::Done)[0].result(0), AnswerResult::Done);
    example.active("purchase", "2024-03-10T12:00").expect(&[
        "2025-03-13T00:00 a expire crm [email]",
        "2025-03-13T00:00 a expire mailing [email]",
        "2025-03-13T01:00 a recall mailing [email]",
        "2025-03-23T01:00 a expire crm [email] period since purchase 2024-03-10, deadline 2025-03-11T00:00, attempt 2",
        "2025-03-23T01:00 a expire mailing [email] period since purchase 2024-03-10, deadline 2025-03-11T00:00, \
         deferred by retained:crm",
    ]);
}

#[test]
fn who_was_forgotten_is_not_revived_by_what_happened_before() {
    let mut example = Example::new(&["a: email; purchase; P12M expire crm"]);
    example.0.configuration.forget_after = period("P30D");
    let example = example.active("purchase", "2024-03-10T12:00");
    // Decided on 2025-03-13, forgotten with the end of 2025-04-12.
    let example = example.active_late("purchase", "2025-03-12T12:00", "2025-04-13T00:01");
    let example = example.active_late("purchase", "2025-03-13T12:00", "2025-04-14T10:00");
    example.expect(&[
        "2025-03-13T00:00 a expire crm [email] period since purchase 2024-03-10",
        "2026-03-16T00:00 a expire crm [email] period since purchase 2025-03-13",
    ]);
}

#[test]
fn short_periods_are_exact() {
    let mut example = Example::new(&["a: email; purchase; PT5H warn mailing, PT8H expire crm"]);
    example.0.configuration.by_second = true;
    example.0.configuration.policies[0].lateness = 1800;
    example.active("purchase", "2024-03-10T12:00").expect(&[
        "2024-03-10T17:30 a warn mailing [email] period since purchase 2024-03-10T12:00, deadline 2024-03-10T17:00, \
         next expire on 2024-03-10T20:30",
        "2024-03-10T20:30 a expire crm [email]",
    ]);
}
