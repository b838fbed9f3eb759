//! When nothing more will come of a customer, our own record goes; what is heard late makes nobody new.

use crate::story::Story;
use lapsed::retention::customer::AckResult;

/// For an activity of 2024-02-29 it leaves on 2026-03-03, and 30 days later, with 2026-04-02, the record goes.
const PLAIN: &str = "offers: email; purchase login; P24M anonymise crm";
const REMOVED: &str = "2026-03-03T00:00:00 offers anonymise crm [email]";
/// For a login of 2026-02-20.
const AGAIN: &str = "2028-02-23T00:00:00 offers anonymise crm [email]";

fn removed() -> Story {
    Story::new(&[PLAIN]).active("purchase", "2024-02-29")
}

#[test]
fn until_then_late_activity_starts_over() {
    for arrives in ["2026-03-10", "2026-04-02T23:59:59"] {
        removed().active_late("login", "2026-02-20", arrives).expect("2030-01-01", &[REMOVED, AGAIN]);
    }
}

#[test]
fn from_then_on_late_activity_from_before_the_end_makes_nobody_new() {
    for happened in ["2026-02-20", "2026-03-02T23:59:59"] {
        for arrives in ["2026-04-03T00:00:01", "2028-01-01"] {
            removed().active_late("login", happened, arrives).expect("2030-01-01", &[REMOVED]);
        }
    }
}

#[test]
fn activity_of_the_day_of_the_end_makes_a_new_customer() {
    for happened in ["2026-03-03T00:00:00", "2026-03-03T23:59:59"] {
        removed()
            .active_late("login", happened, "2026-06-01")
            .expect("2030-01-01", &[REMOVED, "2028-03-06T00:00:00 offers anonymise crm [email]"]);
    }
}

#[test]
fn who_returns_is_a_new_customer() {
    removed()
        .active("login", "2026-06-10")
        .expect("2030-01-01", &[REMOVED, "2028-06-13T00:00:00 offers anonymise crm [email]"]);
}

#[test]
fn it_is_a_period_like_any_other() {
    // A month from 2026-03-03 ends with 2026-04-03.
    let story = removed().forgets_after("P1M");
    story.clone().active_late("login", "2026-02-20", "2026-04-03T23:59:59").expect("2030-01-01", &[REMOVED, AGAIN]);
    story.active_late("login", "2026-02-20", "2026-04-04T00:00:01").expect("2030-01-01", &[REMOVED]);
}

#[test]
fn where_periods_are_exact_the_end_is_an_instant() {
    let removed = "2024-03-12T12:10:30 quick expire crm [email]";
    let story = Story::new(&["quick: email; login; PT10M expire crm"]).active("login", "2024-03-10T12:00:30");
    story.clone().active_late("login", "2024-03-12T12:10:29", "2024-04-12T10:00:00").expect("2025-01-01", &[removed]);
    story
        .active_late("login", "2024-03-12T12:10:30", "2024-04-12T10:00:00")
        .expect("2025-01-01", &[removed, "2024-04-12T10:00:00 quick expire crm [email]"]);
}

#[test]
fn the_end_is_the_last_command_of_the_last_policy() {
    let policies = ["a: email; purchase login; P1Y expire crm", "b: name; purchase; P24M expire crm"];
    let lines = ["2025-03-03T00:00:00 a expire crm [email]", "2026-03-03T00:00:00 b expire crm [name]"];
    let story = Story::new(&policies).active("purchase", "2024-02-29");
    story.clone().active_late("login", "2026-02-20", "2026-04-03T12:00:00").expect("2030-01-01", &lines);
    // As long as b isn't done, nobody is forgotten.
    story
        .active_late("login", "2025-03-01", "2026-03-02")
        .expect("2030-01-01", &[lines[0], lines[1], "2026-03-04T00:00:00 a expire crm [email]"]);
}

#[test]
fn on_request_the_end_is_the_word_of_it() {
    // The word leaves on 2026-03-11, the record on 2026-04-11.
    let word = "2026-03-11T00:00:00 offers anonymise crm [email] on erasure 2026-03-10";
    let story = Story::new(&[PLAIN]).active("purchase", "2026-03-01").asks_for_erasure("2026-03-10T12:00:00");
    story.clone().active_late("login", "2026-03-10T20:00:00", "2026-06-01").expect("2030-01-01", &[word]);
    story
        .active_late("login", "2026-03-11", "2026-06-01")
        .expect("2030-01-01", &[word, "2028-03-14T00:00:00 offers anonymise crm [email]"]);
}

#[test]
fn a_request_that_was_served_long_ago_does_not_revive_anyone() {
    let word = "2026-03-11T00:00:00 offers anonymise crm [email] on erasure 2026-03-10";
    Story::new(&[PLAIN])
        .active("purchase", "2026-03-01")
        .asks_for_erasure("2026-03-10T12:00:00")
        .asks_for_erasure("2026-03-10T12:00:00")
        .arriving("2026-06-01")
        .expect("2030-01-01", &[word]);
}

#[test]
fn withdrawn_consent_stands_for_who_returns() {
    let policies = ["news: name; purchase login; P1Y expire mailing; consent newsletter", PLAIN];
    let withdrawn = "2024-06-11T00:00:00 news expire mailing [name] on withdrawn 2024-06-10";
    let story = Story::new(&policies)
        .active("purchase", "2024-02-29")
        .withdraws("newsletter", "2024-06-10")
        .active("login", "2026-06-10");
    story.expect("2030-01-01", &[withdrawn, REMOVED, "2028-06-13T00:00:00 offers anonymise crm [email]"]);
    // Until it is given again.
    story.consents("newsletter", "2026-07-01").expect(
        "2030-01-01",
        &[
            withdrawn,
            REMOVED,
            "2027-07-04T00:00:00 news expire mailing [name] since consent 2026-07-01",
            "2028-06-13T00:00:00 offers anonymise crm [email]",
        ],
    );
}

#[test]
fn consent_that_was_given_does_not() {
    let policies = ["news: name; purchase; P1Y expire mailing; consent newsletter", PLAIN];
    Story::new(&policies)
        .active("purchase", "2024-02-29")
        .consents("newsletter", "2024-06-10")
        .active("login", "2026-06-10")
        .expect(
            "2030-01-01",
            &[
                "2025-06-13T00:00:00 news expire mailing [name] since consent 2024-06-10",
                REMOVED,
                "2028-06-13T00:00:00 offers anonymise crm [email]",
            ],
        );
}

#[test]
fn who_is_held_is_not_forgotten() {
    let story = removed().held("dispute", "2026-03-10", Some("2026-06-30"));
    story.clone().active_late("login", "2026-02-20", "2026-06-30T12:00:00").expect("2030-01-01", &[REMOVED, AGAIN]);
    // When the hold ends they are.
    story.active_late("login", "2026-02-20", "2026-07-01T00:00:01").expect("2030-01-01", &[REMOVED]);
}

#[test]
fn when_a_hold_is_released_they_are() {
    removed()
        .held("dispute", "2026-03-10", None)
        .released("dispute", "2026-05-01T12:00:00")
        .active_late("login", "2026-02-20", "2026-06-01")
        .expect("2030-01-01", &[REMOVED]);
}

#[test]
fn who_is_not_removed_everywhere_is_not_forgotten() {
    // What the floor keeps goes in 2024.
    Story::new(&["offers: email name; purchase login; P2Y expire crm"])
        .floor("name: purchase; P7Y; from the end of the year")
        .active("purchase", "2016-05-04")
        .active_late("login", "2018-05-06", "2020-01-01")
        .expect(
            "2023-12-31",
            &[
                "2018-05-07T00:00:00 offers expire crm [email] kept [name by floor:name]",
                "2020-05-09T00:00:00 offers expire crm [email] kept [name by floor:name]",
            ],
        );
}

#[test]
fn who_is_not_acknowledged_is_not_forgotten() {
    let story = removed().without_acknowledgements();
    story.clone().active_late("login", "2026-02-20", "2026-06-01T10:00:00").expect_from(
        "2026-06-01T10:00:00",
        "2026-06-02",
        &["2026-06-01T10:00:00 offers recall crm [email]"],
    );
    // Answered late, they are at once; the end is when the command was first sent.
    let story = story.acknowledges(0, AckResult::Done, "2026-05-20", "2026-05-20");
    story.clone().active_late("login", "2026-02-20", "2026-06-01T10:00:00").expect_from(
        "2026-05-21",
        "2030-01-01",
        &[],
    );
    story.active_late("login", "2026-03-10", "2026-06-01T10:00:00").expect_from(
        "2026-05-21",
        "2028-03-14",
        &["2028-03-13T00:00:00 offers anonymise crm [email]"],
    );
}

#[test]
fn forgotten_twice_the_later_end_counts() {
    removed()
        .active("login", "2026-06-10")
        .active_late("purchase", "2028-06-12", "2028-09-01")
        .expect("2032-01-01", &[REMOVED, "2028-06-13T00:00:00 offers anonymise crm [email]"]);
}

/// Consent that stood withdrawn stands; it is no answer to who asked to be erased before, and is heard of only now.
#[test]
fn what_was_withdrawn_serves_no_request_for_erasure() {
    Story::new(&["news: email; login; P24M expire crm; consent news"])
        .forgets_after("P1M")
        .active("login", "2024-02-29T12:00:00")
        .withdraws("news", "2026-03-10T12:00:00")
        .asks_for_erasure("2026-03-08T12:00:00")
        .arriving("2026-06-01T10:00:00")
        .expect(
            "2030-01-01",
            &[
                "2026-03-03T00:00:00 news expire crm [email]",
                "2026-06-01T10:00:00 news expire crm [email] on erasure 2026-03-08",
            ],
        );
}
