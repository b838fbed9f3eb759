//! Stages leave in order, with full notice.

use crate::story::{AMSTERDAM, Story, at, rules};
use lapsed::retention::calendar::{CountedFrom, Timestamp};
use lapsed::retention::command::Next;
use lapsed::retention::customer::AckResult;
use lapsed::retention::policy::Action;

const OFFERS: &str = "offers: email name; purchase login; P23M warn mailing, P24M anonymise crm mailing";

#[test]
fn a_stage_leaves_at_its_deadline_plus_lateness_and_the_next_after_full_notice() {
    Story::new(&[OFFERS]).active("purchase", "2024-02-29T15:00:00").expect(
        "2027-01-01",
        &[
            // P23M ends with 2026-01-29, two days of lateness.
            "2026-02-01T00:00:00 offers warn mailing [email name]",
            // P24M ends with 2026-02-28: 30 days between the deadlines, counted from 2026-02-01.
            "2026-03-04T00:00:00 offers anonymise crm [email name]",
            "2026-03-04T00:00:00 offers anonymise mailing [email name]",
        ],
    );
}

#[test]
fn a_warning_says_what_comes_next_and_when() {
    let story = Story::new(&[OFFERS]).active("purchase", "2024-02-29T15:00:00");
    let warning = &story.commands(at("2026-02-02").0 * 1000)[0];
    assert_eq!(warning.next, Some(Next { action: Action::Anonymise, on: at("2026-03-04") }));
    assert_eq!(warning.deadline.to_local_string(AMSTERDAM), "2026-01-30T00:00:00+01:00");
    assert_eq!((warning.since.kind.as_str(), warning.since.at), ("purchase", at("2024-02-29T23:59:59")));
    assert_eq!(warning.expires, Some(at("2026-02-04")));
}

#[test]
fn of_two_activities_on_one_day_the_first_of_since_last_is_named() {
    let story = Story::new(&[OFFERS]).active("login", "2024-02-29T10:00:00").active("purchase", "2024-02-29T09:00:00");
    assert_eq!(story.commands(at("2026-02-02").0 * 1000)[0].since.kind, "purchase");
}

#[test]
fn overdue_stages_go_in_turn_and_the_notice_is_still_whole() {
    // Switched on years too late: the history arrives at once.
    Story::new(&[OFFERS]).active_late("purchase", "2019-01-01", "2026-05-10T12:00:00").expect(
        "2027-01-01",
        &[
            "2026-05-10T12:00:00 offers warn mailing [email name]",
            // 2020-12-02 to 2021-01-02: 31 days, from 2026-05-10.
            "2026-06-11T00:00:00 offers anonymise crm [email name]",
            "2026-06-11T00:00:00 offers anonymise mailing [email name]",
        ],
    );
}

#[test]
fn notice_runs_from_the_acknowledgement_of_the_last_target() {
    let policy = "offers: email; purchase; P23M warn crm mailing, P24M expire crm";
    let story = Story::new(&[policy]).without_acknowledgements().active("purchase", "2024-02-29");
    let warned = ["2026-02-01T00:00:00 offers warn crm [email]", "2026-02-01T00:00:00 offers warn mailing [email]"];
    story.expect("2026-02-03", &warned);
    let story = story.acknowledges(0, AckResult::Done, "2026-02-01T10:00:00", "2026-02-01T10:00:00");
    let story = story.acknowledges(1, AckResult::Done, "2026-02-02T23:00:00", "2026-02-03T10:00:00");
    let all = [&warned[..], &["2026-03-05T00:00:00 offers expire crm [email]"]].concat();
    story.expect("2026-03-06", &all);
}

#[test]
fn an_acknowledgement_cannot_move_the_notice_before_the_warning_or_beyond_its_arrival() {
    let policy = "offers: email; purchase; P23M warn crm, P24M expire crm";
    for (claimed, expire) in [
        ("2020-01-01", "2026-03-04T00:00:00 offers expire crm [email]"), // counts as 2026-02-01
        ("2029-01-01", "2026-03-06T00:00:00 offers expire crm [email]"), // counts as 2026-02-03
    ] {
        let story = Story::new(&[policy]).without_acknowledgements().active("purchase", "2024-02-29");
        let story = story.acknowledges(0, AckResult::Done, claimed, "2026-02-03T10:00:00");
        story.expect("2026-03-07", &["2026-02-01T00:00:00 offers warn crm [email]", expire]);
    }
}

#[test]
fn an_unanswered_or_failed_warning_holds_the_next_stage() {
    let policy = "offers: email; purchase; P23M warn crm, P24M expire crm";
    let silent = Story::new(&[policy]).without_acknowledgements().active("purchase", "2024-02-29");
    let attempts = [
        "2026-02-01T00:00:00 offers warn crm [email]",
        "2026-02-04T00:00:00 offers warn crm [email] attempt 2",
        "2026-02-07T00:00:00 offers warn crm [email] attempt 3",
    ];
    silent.expect("2026-02-08", &attempts);
    assert!(silent.commands(at("2027-02-08").0 * 1000).iter().all(|command| command.verb.name() == "warn"));
    let failed = silent.acknowledges(0, AckResult::Failed, "2026-02-01T10:00:00", "2026-02-01T10:00:00");
    failed.expect("2026-02-08", &attempts);
}

#[test]
fn a_target_that_cannot_acknowledge_has_been_told_when_it_was_sent() {
    let policy = "offers: email; purchase; P23M warn paper, P24M expire paper";
    Story::new(&[policy]).without_acknowledgements().active("purchase", "2024-02-29").expect(
        "2027-01-01",
        &["2026-02-01T00:00:00 offers warn paper [email]", "2026-03-04T00:00:00 offers expire paper [email]"],
    );
}

#[test]
fn several_removals_follow_each_other_without_notice() {
    let policy = "offers: email; purchase; P1Y anonymise crm, P2Y expire crm";
    Story::new(&[policy]).active("purchase", "2024-03-10").expect(
        "2027-01-01",
        &["2025-03-13T00:00:00 offers anonymise crm [email]", "2026-03-13T00:00:00 offers expire crm [email]"],
    );
}

#[test]
fn periods_below_a_day_are_exact_and_so_is_their_notice() {
    let policy = "quick: email; login; PT10M warn crm, PT15M expire crm";
    let mut rules = rules(&[policy]);
    rules.policies[0].lateness = lapsed::retention::calendar::Seconds(60);
    let story = Story::of(rules).active("login", "2024-03-10T12:00:30");
    story.expect(
        "2024-03-11",
        &["2024-03-10T12:11:30 quick warn crm [email]", "2024-03-10T12:16:30 quick expire crm [email]"],
    );
    assert_eq!(story.commands(i64::MAX)[0].deadline, Timestamp(at("2024-03-10T12:10:30").0));
}

#[test]
fn counted_from_the_end_of_the_year() {
    let mut rules = rules(&["books: name; purchase; P7Y expire crm"]);
    rules.policies[0].counted_from = CountedFrom::EndOfYear;
    let story = Story::of(rules).active("purchase", "2016-05-04");
    story.expect("2025-01-01", &["2024-01-03T00:00:00 books expire crm [name]"]);
    // `since` is the activity's own date.
    assert_eq!(story.commands(i64::MAX)[0].since.at, at("2016-05-04T23:59:59"));
}

#[test]
fn of_2016_seven_years_end_with_2023() {
    let books = "books: name; purchase; P7Y expire crm; from the end of the year";
    for bought in ["2016-01-01T00:00:00", "2016-05-04", "2016-12-31T23:59:59"] {
        let story = Story::new(&[books]).active("purchase", bought);
        assert_eq!(story.commands(i64::MAX)[0].deadline.to_local_string(AMSTERDAM), "2024-01-01T00:00:00+01:00");
    }
}

#[test]
fn counted_from_the_end_of_the_month() {
    // A month from 2024-01-31 ends with 2024-02-29.
    Story::new(&["books: name; purchase; P1M expire crm; from the end of the month"])
        .active("purchase", "2024-01-10")
        .expect("2025-01-01", &["2024-03-03T00:00:00 books expire crm [name]"]);
}

#[test]
fn a_day_of_lateness_has_24_hours() {
    // Deadline 2026-03-29T00:00; that day the clock goes forward.
    Story::new(&["offers: email; purchase; P24M anonymise crm"])
        .active("purchase", "2024-03-28")
        .expect("2027-01-01", &["2026-03-31T01:00:00 offers anonymise crm [email]"]);
}

#[test]
fn of_two_warnings_each_has_its_own_notice() {
    let policy = "offers: email; purchase; P22M warn mailing, P23M warn crm, P24M expire crm";
    let story = Story::new(&[policy]).active("purchase", "2024-02-29");
    story.expect(
        "2027-01-01",
        &[
            "2026-01-01T00:00:00 offers warn mailing [email]",
            // 31 days from 2025-12-30 to 2026-01-30.
            "2026-02-02T00:00:00 offers warn crm [email]",
            // 30 days from there to 2026-03-01.
            "2026-03-05T00:00:00 offers expire crm [email]",
        ],
    );
    let commands = story.commands(i64::MAX);
    assert_eq!(commands[0].next, Some(Next { action: Action::Warn, on: at("2026-02-02") }));
    assert_eq!(commands[1].next, Some(Next { action: Action::Expire, on: at("2026-03-05") }));
}

#[test]
fn notice_that_the_warning_ran_late_for_still_ends_with_a_day() {
    // Given in the night in which the clock goes forward.
    let policy = "offers: email; purchase; P23M warn mailing, P24M expire crm";
    let story = Story::new(&[policy]).without_acknowledgements().active("purchase", "2024-02-29");
    story.acknowledges(0, AckResult::Done, "2026-03-29T03:00:00", "2026-03-29T03:00:00").expect_from(
        "2026-03-29",
        "2026-05-01",
        // 30 days from 2026-03-29: up to and including 2026-04-28.
        &["2026-04-29T00:00:00 offers expire crm [email]"],
    );
}
