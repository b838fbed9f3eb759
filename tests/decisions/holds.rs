//! A hold defers what is due by period, wholly, and never cancels it.

use crate::story::{Story, at};
use lapsed::retention::customer::AckResult;

/// By period it leaves on 2026-03-03, for an activity of 2024-02-29.
const PLAIN: &str = "offers: email; purchase login; P24M anonymise crm";
const WARNED: &str = "offers: email; purchase login; P23M warn mailing, P24M anonymise crm";

#[test]
fn when_it_ends_what_was_due_becomes_due() {
    let story = Story::new(&[PLAIN]).active("purchase", "2024-02-29").held("dispute", "2026-01-15", Some("2026-06-30"));
    story.expect("2030-01-01", &["2026-07-01T00:00:00 offers anonymise crm [email] deferred by dispute"]);
    let command = &story.commands(i64::MAX)[0];
    assert_eq!((command.since.at, command.deadline), (at("2024-02-29T23:59:59"), at("2026-03-01")));
}

#[test]
fn one_until_an_instant_is_over_at_that_instant() {
    Story::new(&[PLAIN])
        .active("purchase", "2024-02-29")
        .held("dispute", "2026-01-15", Some("2026-06-30T12:00:00"))
        .expect("2030-01-01", &["2026-06-30T12:00:00 offers anonymise crm [email] deferred by dispute"]);
}

#[test]
fn one_without_an_end_holds_until_it_is_released() {
    let story = Story::new(&[PLAIN]).active("purchase", "2024-02-29").held("dispute", "2026-01-15", None);
    story.expect("2040-01-01", &[]);
    story
        .released("dispute", "2026-05-10T12:00:00")
        .expect("2040-01-01", &["2026-05-10T12:00:00 offers anonymise crm [email] deferred by dispute"]);
}

#[test]
fn one_may_be_released_before_its_end() {
    Story::new(&[PLAIN])
        .active("purchase", "2024-02-29")
        .held("dispute", "2026-01-15", Some("2026-06-30"))
        .released("dispute", "2026-05-10T12:00:00")
        .expect("2040-01-01", &["2026-05-10T12:00:00 offers anonymise crm [email] deferred by dispute"]);
}

#[test]
fn one_that_ended_before_anything_was_due_has_deferred_nothing() {
    let line = ["2026-03-03T00:00:00 offers anonymise crm [email]"];
    let story = Story::new(&[PLAIN]).active("purchase", "2024-02-29");
    story.clone().held("dispute", "2026-01-15", Some("2026-02-15")).expect("2030-01-01", &line);
    // After the deadline, but within the lateness.
    story.clone().held("dispute", "2026-01-15", Some("2026-03-02")).expect("2030-01-01", &line);
    story.held("dispute", "2026-01-15", None).released("dispute", "2026-03-01").expect("2030-01-01", &line);
}

#[test]
fn of_several_the_latest_end_counts_and_is_named() {
    let story = Story::new(&[PLAIN])
        .active("purchase", "2024-02-29")
        .held("appeal", "2026-01-15", Some("2026-08-31"))
        .held("contract", "2026-01-15", Some("2026-04-30"))
        .held("dispute", "2026-01-15", Some("2026-08-31"));
    // Of two that end together the first by name.
    story.expect("2030-01-01", &["2026-09-01T00:00:00 offers anonymise crm [email] deferred by appeal"]);
}

#[test]
fn the_one_last_in_force_is_named_also_where_another_should_have_lasted_longer() {
    Story::new(&[PLAIN])
        .active("purchase", "2024-02-29")
        .held("contract", "2026-01-15", Some("2026-04-30"))
        .held("dispute", "2026-01-15", None)
        .released("dispute", "2026-04-01")
        .expect("2030-01-01", &["2026-05-01T00:00:00 offers anonymise crm [email] deferred by contract"]);
}

#[test]
fn a_released_one_is_named_until_what_it_deferred_was_sent() {
    // Released on a Saturday.
    Story::new(&[PLAIN])
        .window("mon tue wed thu fri 09:00-17:00")
        .active("purchase", "2024-02-29")
        .held("dispute", "2026-01-15", None)
        .released("dispute", "2026-05-16T12:00:00")
        .expect("2030-01-01", &["2026-05-18T09:00:00 offers anonymise crm [email] deferred by dispute"]);
}

#[test]
fn one_that_follows_after_a_while_is_named() {
    Story::new(&[PLAIN])
        .active("purchase", "2024-02-29")
        .window("mon 09:00-17:00")
        .held("dispute", "2026-01-15", Some("2026-05-12"))
        // It begins while the window is closed.
        .held("appeal", "2026-05-15", Some("2026-05-31"))
        .expect("2030-01-01", &["2026-06-01T09:00:00 offers anonymise crm [email] deferred by appeal"]);
}

#[test]
fn an_end_may_be_moved_either_way() {
    let story = Story::new(&[PLAIN]).active("purchase", "2024-02-29").held("dispute", "2026-01-15", Some("2026-06-30"));
    story
        .clone()
        .held("dispute", "2026-02-01", Some("2026-09-30"))
        .expect("2030-01-01", &["2026-10-01T00:00:00 offers anonymise crm [email] deferred by dispute"]);
    story
        .held("dispute", "2026-02-01", Some("2026-04-30"))
        .expect("2030-01-01", &["2026-05-01T00:00:00 offers anonymise crm [email] deferred by dispute"]);
}

#[test]
fn the_latest_word_on_one_counts_whichever_is_heard_first() {
    // Released once, and then placed again; the release is heard of last.
    Story::new(&[PLAIN])
        .active("purchase", "2024-02-29")
        .held("dispute", "2026-01-15", Some("2026-06-30"))
        .released("dispute", "2026-01-10")
        .arriving("2026-04-01")
        .expect("2030-01-01", &["2026-07-01T00:00:00 offers anonymise crm [email] deferred by dispute"]);
}

#[test]
fn placed_and_released_at_one_instant_it_stands() {
    Story::new(&[PLAIN])
        .active("purchase", "2024-02-29")
        .held("dispute", "2026-01-15T10:00:00", Some("2026-06-30"))
        .released("dispute", "2026-01-15T10:00:00")
        .expect("2030-01-01", &["2026-07-01T00:00:00 offers anonymise crm [email] deferred by dispute"]);
}

#[test]
fn it_defers_the_warning_and_the_notice_is_whole() {
    Story::new(&[WARNED]).active("purchase", "2024-02-29").held("dispute", "2026-01-15", Some("2026-06-30")).expect(
        "2030-01-01",
        &[
            "2026-07-01T00:00:00 offers warn mailing [email] deferred by dispute",
            // 30 days from 2026-07-01; the hold has not deferred this one.
            "2026-08-01T00:00:00 offers anonymise crm [email]",
        ],
    );
}

#[test]
fn one_limited_to_some_policies_defers_those_alone() {
    Story::new(&["a: email; purchase; P24M expire crm", "b: phone; purchase; P24M expire crm"])
        .active("purchase", "2024-02-29")
        .held_for(Some(&["a"]), "dispute", "2026-01-15", Some("2026-06-30"))
        .expect(
            "2030-01-01",
            &[
                "2026-03-03T00:00:00 b expire crm [phone]",
                "2026-07-01T00:00:00 a expire crm [email] deferred by dispute",
            ],
        );
}

#[test]
fn a_policy_that_is_held_keeps_for_others_what_it_has_not_removed() {
    Story::new(&["a: email; purchase; P1Y expire crm", "b: email; purchase; P2Y expire crm"])
        .active("purchase", "2024-03-10")
        .held_for(Some(&["a"]), "dispute", "2025-01-15", Some("2026-06-30"))
        .expect(
            "2030-01-01",
            &[
                "2026-03-13T00:00:00 b expire crm [] kept [email by a]",
                "2026-07-01T00:00:00 a expire crm [email] deferred by dispute",
            ],
        );
}

#[test]
fn all_targets_wait_and_the_hold_is_named_at_each() {
    Story::new(&["offers: email; purchase; P24M anonymise crm mailing"])
        .active("purchase", "2024-02-29")
        .held("dispute", "2026-01-15", Some("2026-06-30"))
        .expect(
            "2030-01-01",
            &[
                "2026-07-01T00:00:00 offers anonymise crm [email] deferred by dispute",
                "2026-07-01T00:00:00 offers anonymise mailing [email] deferred by dispute",
            ],
        );
}

#[test]
fn every_stage_that_became_due_meanwhile_names_it() {
    Story::new(&["offers: email; purchase; P1Y anonymise crm, P2Y expire crm"])
        .active("purchase", "2024-03-10")
        .held("dispute", "2025-01-15", Some("2026-06-30"))
        .expect(
            "2030-01-01",
            &[
                "2026-07-01T00:00:00 offers anonymise crm [email] deferred by dispute",
                "2026-07-01T00:00:00 offers expire crm [email] deferred by dispute",
            ],
        );
}

#[test]
fn activity_counts_while_it_holds() {
    Story::new(&[PLAIN])
        .active("purchase", "2024-02-29")
        .held("dispute", "2026-01-15", Some("2026-06-30"))
        .active("login", "2026-05-10")
        .expect("2030-01-01", &["2028-05-13T00:00:00 offers anonymise crm [email]"]);
}

#[test]
fn a_removal_not_yet_done_is_recalled_and_sent_again_when_it_ends() {
    Story::new(&[PLAIN])
        .without_acknowledgements()
        .active("purchase", "2024-02-29")
        .held("dispute", "2026-03-04T10:00:00", Some("2026-06-30"))
        .acknowledges(1, AckResult::Done, "2026-03-04T11:00:00", "2026-03-04T11:00:00")
        .expect(
            "2026-07-02",
            &[
                "2026-03-03T00:00:00 offers anonymise crm [email]",
                "2026-03-04T10:00:00 offers recall crm [email]",
                "2026-07-01T00:00:00 offers anonymise crm [email] deferred by dispute",
            ],
        );
}

#[test]
fn a_warning_is_recalled_and_then_counts_as_never_given() {
    Story::new(&[WARNED])
        .active("purchase", "2024-02-29")
        .held("dispute", "2026-02-10T10:00:00", Some("2026-06-30"))
        .expect(
            "2030-01-01",
            &[
                "2026-02-01T00:00:00 offers warn mailing [email]",
                "2026-02-10T10:00:00 offers recall mailing [email]",
                "2026-07-01T00:00:00 offers warn mailing [email] deferred by dispute",
                "2026-08-01T00:00:00 offers anonymise crm [email]",
            ],
        );
}

#[test]
fn what_is_done_is_not_recalled_nor_the_warning_before_it() {
    Story::new(&[WARNED]).active("purchase", "2024-02-29").held("dispute", "2026-03-05", Some("2026-06-30")).expect(
        "2030-01-01",
        &["2026-02-01T00:00:00 offers warn mailing [email]", "2026-03-04T00:00:00 offers anonymise crm [email]"],
    );
}

#[test]
fn what_a_policy_kept_is_deferred_too() {
    // b goes first and leaves the address to a; when a has gone without removing it at crm, b's rest is held.
    Story::new(&["a: email; purchase; P2Y expire crm", "b: email; purchase; P1Y anonymise crm, P3Y expire mailing"])
        .active("purchase", "2024-03-10")
        .held_for(Some(&["b"]), "dispute", "2027-01-15", Some("2027-06-30"))
        .expect_from(
            "2027-01-01",
            "2028-01-01",
            &[
                "2027-07-01T00:00:00 b anonymise crm [email] deferred by dispute",
                "2027-07-01T00:00:00 b expire mailing [email] deferred by dispute",
            ],
        );
}

#[test]
fn whoever_has_more_holds_than_there_is_room_for_is_held_until_a_person_says_otherwise() {
    let mut story = Story::new(&[PLAIN]).active("purchase", "2024-02-29");
    for nth in 0..65 {
        story = story.held(&format!("case-{nth}"), "2025-01-01", None);
    }
    for nth in 0..65 {
        story = story.released(&format!("case-{nth}"), "2026-04-01");
    }
    story.expect("2040-01-01", &[]);
    story
        .released("*", "2026-05-01T09:00:00")
        .expect("2040-01-01", &["2026-05-01T09:00:00 offers anonymise crm [email] deferred by *"]);
}

#[test]
fn released_ones_take_no_room() {
    let mut story = Story::new(&[PLAIN]).active("purchase", "2024-02-29");
    for nth in 0..65 {
        let id = format!("case-{nth}");
        story = story.held(&id, "2025-01-01", None).released(&id, "2025-01-02").arriving("2025-01-01");
    }
    story.expect("2030-01-01", &["2026-03-03T00:00:00 offers anonymise crm [email]"]);
}
