//! Consent given counts as an activity; withdrawn, or an objection, it ends its policy at once.

use crate::story::{Story, at};
use lapsed::retention::customer::AckResult;

const NEWS: &str = "news: email; purchase; P1Y expire mailing; consent newsletter";

#[test]
fn never_heard_is_not_withdrawn() {
    Story::new(&[NEWS])
        .active("purchase", "2025-03-10")
        .expect("2030-01-01", &["2026-03-13T00:00:00 news expire mailing [email]"]);
}

#[test]
fn given_it_counts_as_an_activity_at_its_own_time() {
    let lines = ["2026-06-13T00:00:00 news expire mailing [email] since consent 2025-06-10"];
    let story = Story::new(&[NEWS]).active("purchase", "2025-03-10");
    story.clone().consents("newsletter", "2025-06-10T12:00:00").expect("2030-01-01", &lines);
    // However late it is heard of.
    story.consents("newsletter", "2025-06-10T12:00:00").arriving("2025-09-01").expect("2030-01-01", &lines);
}

#[test]
fn given_it_is_a_starting_point_for_who_has_no_other() {
    Story::new(&[NEWS])
        .consents("newsletter", "2025-06-10T12:00:00")
        .expect("2030-01-01", &["2026-06-13T00:00:00 news expire mailing [email] since consent 2025-06-10"]);
}

#[test]
fn activity_of_the_same_day_is_named_before_it_and_later_activity_counts() {
    let story = Story::new(&[NEWS]).consents("newsletter", "2025-06-10T12:00:00");
    story
        .clone()
        .active("purchase", "2025-06-10T08:00:00")
        .expect("2030-01-01", &["2026-06-13T00:00:00 news expire mailing [email]"]);
    story.active("purchase", "2025-06-11").expect("2030-01-01", &["2026-06-14T00:00:00 news expire mailing [email]"]);
}

#[test]
fn it_counts_for_the_policies_that_rest_on_it_alone() {
    Story::new(&[
        NEWS,
        "offers: phone; purchase; P1Y expire crm",
        "tips: name; purchase; P1Y expire crm; consent tips",
    ])
    .active("purchase", "2025-03-10")
    .consents("newsletter", "2025-06-10T12:00:00")
    .expect(
        "2030-01-01",
        &[
            "2026-03-13T00:00:00 offers expire crm [phone]",
            "2026-03-13T00:00:00 tips expire crm [name]",
            "2026-06-13T00:00:00 news expire mailing [email] since consent 2025-06-10",
        ],
    );
}

#[test]
fn withdrawn_it_ends_its_policy_when_the_day_has_ended() {
    let story = Story::new(&[NEWS, "offers: phone; purchase; P1Y expire crm"])
        .active("purchase", "2025-03-10")
        .withdraws("newsletter", "2025-06-10T12:00:00");
    story.expect(
        "2030-01-01",
        &[
            "2025-06-11T00:00:00 news expire mailing [email] on withdrawn 2025-06-10",
            "2026-03-13T00:00:00 offers expire crm [phone]",
        ],
    );
    assert_eq!(story.commands(i64::MAX)[0].deadline, at("2025-06-11"));
}

#[test]
fn every_policy_that_rests_on_it_ends() {
    Story::new(&[NEWS, "tips: name; purchase; P1Y expire crm; consent newsletter"])
        .active("purchase", "2025-03-10")
        .withdraws("newsletter", "2025-06-10T12:00:00")
        .expect(
            "2030-01-01",
            &[
                "2025-06-11T00:00:00 news expire mailing [email] on withdrawn 2025-06-10",
                "2025-06-11T00:00:00 tips expire crm [name] on withdrawn 2025-06-10",
            ],
        );
}

#[test]
fn withdrawn_its_last_stage_is_due_without_warning_or_window() {
    // A Saturday.
    Story::new(&["offers: email; purchase; P23M warn mailing, P24M anonymise crm mailing; consent offers"])
        .window("mon tue wed thu fri 09:00-17:00")
        .active("purchase", "2025-03-10")
        .withdraws("offers", "2025-06-14T12:00:00")
        .expect(
            "2030-01-01",
            &[
                "2025-06-15T00:00:00 offers anonymise crm [email] on withdrawn 2025-06-14",
                "2025-06-15T00:00:00 offers anonymise mailing [email] on withdrawn 2025-06-14",
            ],
        );
}

#[test]
fn a_warning_that_was_given_stands_when_it_is_withdrawn() {
    Story::new(&["offers: email; purchase; P23M warn mailing, P24M anonymise crm; consent offers"])
        .active("purchase", "2024-02-29")
        .withdraws("offers", "2026-02-10T12:00:00")
        .expect(
            "2030-01-01",
            &[
                "2026-02-01T00:00:00 offers warn mailing [email]",
                "2026-02-11T00:00:00 offers anonymise crm [email] on withdrawn 2026-02-10",
            ],
        );
}

#[test]
fn where_periods_are_exact_withdrawal_counts_at_once() {
    Story::new(&["quick: email; login; PT10M expire crm; consent offers"])
        .active("login", "2024-03-10T12:00:00")
        .withdraws("offers", "2024-03-10T12:00:30")
        .expect("2025-01-01", &["2024-03-10T12:00:30 quick expire crm [email] on withdrawn 2024-03-10T12:00:30"]);
}

#[test]
fn a_withdrawal_that_is_heard_of_late_is_obeyed_at_once() {
    Story::new(&[NEWS])
        .active("purchase", "2025-03-10")
        .withdraws("newsletter", "2025-06-10T12:00:00")
        .arriving("2025-08-01T09:00:00")
        .expect("2030-01-01", &["2025-08-01T09:00:00 news expire mailing [email] on withdrawn 2025-06-10"]);
}

#[test]
fn who_was_removed_by_period_has_nothing_to_withdraw() {
    Story::new(&[NEWS])
        .active("purchase", "2025-03-10")
        .withdraws("newsletter", "2026-03-20")
        .expect("2030-01-01", &["2026-03-13T00:00:00 news expire mailing [email]"]);
}

#[test]
fn unless_something_from_before_the_withdrawal_is_heard_of_since() {
    Story::new(&[NEWS])
        .active("purchase", "2025-03-10")
        .withdraws("newsletter", "2026-03-20")
        .active_late("purchase", "2026-03-15", "2026-03-22T10:00:00")
        .expect(
            "2030-01-01",
            &[
                "2026-03-13T00:00:00 news expire mailing [email]",
                "2026-03-22T10:00:00 news expire mailing [email] on withdrawn 2026-03-20",
            ],
        );
}

#[test]
fn without_a_starting_point_there_is_nothing_to_end() {
    Story::new(&[NEWS]).active("login", "2025-03-10").withdraws("newsletter", "2025-06-10").expect("2030-01-01", &[]);
}

#[test]
fn nor_where_the_policy_does_not_apply() {
    Story::new(&["news: email; purchase; P1Y expire mailing; consent newsletter; only segment business"])
        .active("purchase", "2025-03-10")
        .withdraws("newsletter", "2025-06-10")
        .expect("2030-01-01", &[]);
}

const BUSINESS_NEWS: &str = "news: email; purchase; P1Y expire mailing; consent newsletter; only segment business";

#[test]
fn what_was_heard_of_while_the_policy_did_not_apply_ends_when_it_does() {
    let story = Story::new(&[BUSINESS_NEWS]).withdraws("newsletter", "2025-06-10").active_late(
        "purchase",
        "2025-06-01",
        "2025-06-20T09:00:00",
    );
    story.expect("2030-01-01", &[]);
    // What came after the withdrawal hides nothing.
    for story in [story.clone(), story.active("purchase", "2025-06-25")] {
        story
            .is("segment", Some("business"), "2025-07-01T10:00:00")
            .expect("2030-01-01", &["2025-07-01T10:00:00 news expire mailing [email] on withdrawn 2025-06-10"]);
    }
}

#[test]
fn so_does_what_was_known_before_whichever_is_heard_first() {
    let story = Story::new(&[BUSINESS_NEWS]).active("purchase", "2025-03-10").withdraws("newsletter", "2025-06-10");
    story
        .clone()
        .is("segment", Some("business"), "2025-06-01")
        .expect("2030-01-01", &["2025-06-11T00:00:00 news expire mailing [email] on withdrawn 2025-06-10"]);
    story
        .is("segment", Some("business"), "2025-06-01")
        .arriving("2025-06-20T10:00:00")
        .expect("2030-01-01", &["2025-06-20T10:00:00 news expire mailing [email] on withdrawn 2025-06-10"]);
}

#[test]
fn who_was_covered_when_they_withdrew_it_is_owed_it_whoever_they_become() {
    Story::new(&[BUSINESS_NEWS])
        .is("segment", Some("business"), "2025-01-01")
        .active("purchase", "2025-03-10")
        .withdraws("newsletter", "2025-06-10T12:00:00")
        .is("segment", Some("consumer"), "2025-06-10T13:00:00")
        .expect("2030-01-01", &["2025-06-11T00:00:00 news expire mailing [email] on withdrawn 2025-06-10"]);
}

#[test]
fn what_was_served_before_the_policy_applied_is_owed_nothing_more() {
    Story::new(&[BUSINESS_NEWS])
        .active("purchase", "2025-03-10")
        .asks_for_erasure("2025-04-01")
        .withdraws("newsletter", "2025-06-10")
        .is("segment", Some("business"), "2025-07-01")
        .expect("2030-01-01", &["2025-04-02T00:00:00 news expire mailing [email] on erasure 2025-04-01"]);
}

#[test]
fn who_objects_before_doing_anything_is_not_covered_by_what_comes_later() {
    Story::new(&[NEWS])
        .withdraws("newsletter", "2025-06-10")
        .active("purchase", "2025-06-20")
        .expect("2030-01-01", &[]);
}

#[test]
fn but_by_what_came_before_and_is_heard_of_later() {
    Story::new(&[NEWS])
        .withdraws("newsletter", "2025-06-10")
        .active_late("purchase", "2025-06-01", "2025-06-20T09:00:00")
        .expect("2030-01-01", &["2025-06-20T09:00:00 news expire mailing [email] on withdrawn 2025-06-10"]);
}

#[test]
fn also_if_something_later_is_known_already() {
    Story::new(&[NEWS])
        .withdraws("newsletter", "2025-06-10")
        .active("purchase", "2025-06-15")
        .active_late("purchase", "2025-06-01", "2025-06-20T09:00:00")
        .expect("2030-01-01", &["2025-06-20T09:00:00 news expire mailing [email] on withdrawn 2025-06-10"]);
}

#[test]
fn an_older_no_that_is_heard_of_while_a_newer_one_is_still_to_count_is_obeyed_at_once_and_only_once() {
    Story::new(&[NEWS])
        .active("purchase", "2025-03-10")
        .withdraws("newsletter", "2025-06-10T08:00:00")
        .withdraws("newsletter", "2025-05-20")
        .arriving("2025-06-10T09:00:00")
        .expect("2030-01-01", &["2025-06-10T09:00:00 news expire mailing [email] on withdrawn 2025-05-20"]);
}

#[test]
fn activity_after_it_keeps_nothing_that_a_removal_had_left() {
    // The removal keeps the name by law; what comes after the "no" extends that, and starts nothing over.
    Story::new(&["news: email name; purchase; P1Y expire crm; consent newsletter"])
        .floor("name: purchase; P3Y")
        .active("purchase", "2024-03-10")
        .withdraws("newsletter", "2025-06-10")
        .active("purchase", "2025-08-01")
        .expect(
            "2035-01-01",
            &[
                "2025-03-13T00:00:00 news expire crm [email] kept [name by floor:name]",
                "2028-08-04T00:00:00 news expire crm [name] deferred by floor:name",
            ],
        );
}

#[test]
fn until_it_is_given_again_no_activity_starts_the_policy_over() {
    let story = Story::new(&[NEWS])
        .active("purchase", "2025-03-10")
        .withdraws("newsletter", "2025-06-10T12:00:00")
        .active("purchase", "2025-07-01");
    let withdrawn = "2025-06-11T00:00:00 news expire mailing [email] on withdrawn 2025-06-10";
    story.expect("2030-01-01", &[withdrawn]);
    let story = story.consents("newsletter", "2025-09-01T12:00:00");
    let since_then = "2026-09-04T00:00:00 news expire mailing [email] since consent 2025-09-01";
    story.expect("2030-01-01", &[withdrawn, since_then]);
    let since_later = "2026-10-04T00:00:00 news expire mailing [email]";
    story.active("purchase", "2025-10-01").expect("2030-01-01", &[withdrawn, since_later]);
}

#[test]
fn after_a_removal_too_only_consent_given_again_starts_the_policy_over() {
    let story = Story::new(&[NEWS])
        .active("purchase", "2025-03-10")
        .withdraws("newsletter", "2026-03-20")
        .active("purchase", "2026-03-25");
    let removed = "2026-03-13T00:00:00 news expire mailing [email]";
    story.expect("2030-01-01", &[removed]);
    let story = story.consents("newsletter", "2026-04-01");
    story.expect("2030-01-01", &[removed, "2027-04-04T00:00:00 news expire mailing [email] since consent 2026-04-01"]);
}

#[test]
fn withdrawn_it_keeps_nothing_for_others() {
    let policies = ["a: email; purchase; P1Y expire crm", "news: email; purchase; P2Y expire crm; consent newsletter"];
    let story = Story::new(&policies).active("purchase", "2024-03-10");
    story.clone().withdraws("newsletter", "2024-06-10").expect(
        "2030-01-01",
        &[
            // On a request other policies don't keep.
            "2024-06-11T00:00:00 news expire crm [email] on withdrawn 2024-06-10",
            "2025-03-13T00:00:00 a expire crm [email]",
        ],
    );
    // Until its day has ended it does.
    story.withdraws("newsletter", "2025-03-13").expect(
        "2030-01-01",
        &[
            "2025-03-13T00:00:00 a expire crm [] kept [email by news]",
            // Of two due at one instant the one with the earlier deadline is judged first.
            "2025-03-14T00:00:00 news expire crm [email] on withdrawn 2025-03-13",
        ],
    );
}

#[test]
fn of_two_words_the_later_counts_whichever_is_heard_first() {
    // Given on the afternoon of the day on which it was withdrawn.
    let lines = ["2026-06-13T00:00:00 news expire mailing [email] since consent 2025-06-10"];
    let story = Story::new(&[NEWS]).active("purchase", "2025-03-10");
    story
        .clone()
        .withdraws("newsletter", "2025-06-10T10:00:00")
        .consents("newsletter", "2025-06-10T15:00:00")
        .expect("2030-01-01", &lines);
    story
        .clone()
        .consents("newsletter", "2025-06-10T15:00:00")
        .withdraws("newsletter", "2025-06-10T10:00:00")
        .arriving("2025-07-01")
        .expect("2030-01-01", &lines);
    // And the other way round.
    story
        .consents("newsletter", "2025-06-10T10:00:00")
        .withdraws("newsletter", "2025-06-10T15:00:00")
        .expect("2030-01-01", &["2025-06-11T00:00:00 news expire mailing [email] on withdrawn 2025-06-10"]);
}

#[test]
fn of_two_words_at_one_instant_the_no_counts() {
    Story::new(&[NEWS])
        .withdraws("newsletter", "2025-06-10T10:00:00")
        .consents("newsletter", "2025-06-10T10:00:00")
        .expect("2030-01-01", &["2025-06-11T00:00:00 news expire mailing [email] on withdrawn 2025-06-10"]);
}

#[test]
fn an_erasure_request_of_the_same_day_covers_a_withdrawal() {
    for (asked, withdrawn) in [("10:00", "15:00"), ("15:00", "10:00")] {
        Story::new(&[NEWS])
            .active("purchase", "2025-03-10")
            .asks_for_erasure(&format!("2025-06-10T{asked}:00"))
            .withdraws("newsletter", &format!("2025-06-10T{withdrawn}:00"))
            .active("purchase", "2025-06-20")
            .expect("2030-01-01", &["2025-06-11T00:00:00 news expire mailing [email] on erasure 2025-06-10"]);
    }
}

#[test]
fn a_withdrawal_does_not_cover_an_erasure_request_of_a_later_day() {
    Story::new(&[NEWS])
        .active("purchase", "2025-03-10")
        .withdraws("newsletter", "2025-06-10")
        .asks_for_erasure("2025-06-11")
        .expect(
            "2030-01-01",
            &[
                "2025-06-11T00:00:00 news expire mailing [email] on withdrawn 2025-06-10",
                "2025-06-12T00:00:00 news expire mailing [email] on erasure 2025-06-11",
            ],
        );
}

#[test]
fn an_erasure_request_leaves_nothing_to_withdraw() {
    Story::new(&[NEWS])
        .active("purchase", "2025-03-10")
        .asks_for_erasure("2025-06-10")
        .withdraws("newsletter", "2025-06-12")
        .expect("2030-01-01", &["2025-06-11T00:00:00 news expire mailing [email] on erasure 2025-06-10"]);
}

#[test]
fn a_second_no_ends_nothing_more() {
    Story::new(&[NEWS])
        .active("purchase", "2025-03-10")
        .withdraws("newsletter", "2025-06-10")
        .withdraws("newsletter", "2025-07-10")
        .expect("2030-01-01", &["2025-06-11T00:00:00 news expire mailing [email] on withdrawn 2025-06-10"]);
}

#[test]
fn a_no_after_a_new_yes_ends_the_policy_again() {
    Story::new(&[NEWS])
        .active("purchase", "2025-03-10")
        .withdraws("newsletter", "2025-06-10")
        .consents("newsletter", "2025-07-10")
        .withdraws("newsletter", "2025-08-10")
        .expect(
            "2030-01-01",
            &[
                "2025-06-11T00:00:00 news expire mailing [email] on withdrawn 2025-06-10",
                "2025-08-11T00:00:00 news expire mailing [email] on withdrawn 2025-08-10",
            ],
        );
}

#[test]
fn given_again_before_the_command_is_done_it_is_recalled() {
    Story::new(&[NEWS])
        .without_acknowledgements()
        .active("purchase", "2025-03-10")
        .withdraws("newsletter", "2025-06-10T12:00:00")
        .consents("newsletter", "2025-06-12T10:00:00")
        .acknowledges(1, AckResult::Done, "2025-06-12T11:00:00", "2025-06-12T11:00:00")
        .expect(
            "2026-06-16",
            &[
                "2025-06-11T00:00:00 news expire mailing [email] on withdrawn 2025-06-10",
                "2025-06-12T10:00:00 news recall mailing [email] on withdrawn 2025-06-10",
                "2026-06-15T00:00:00 news expire mailing [email] since consent 2025-06-12",
            ],
        );
}

#[test]
fn activity_does_not_recall_it() {
    Story::new(&[NEWS])
        .without_acknowledgements()
        .active("purchase", "2025-03-10")
        .withdraws("newsletter", "2025-06-10T12:00:00")
        .active("purchase", "2025-06-12")
        .expect("2025-06-14", &["2025-06-11T00:00:00 news expire mailing [email] on withdrawn 2025-06-10"]);
}

#[test]
fn a_hold_does_not_delay_the_word_of_a_withdrawal_and_what_it_protects_goes_when_it_ends() {
    let story = Story::new(&[NEWS])
        .active("purchase", "2025-03-10")
        .held("dispute", "2025-05-01", Some("2025-08-31"))
        .withdraws("newsletter", "2025-06-10T12:00:00");
    let word = "2025-06-11T00:00:00 news expire mailing [] kept [email by hold:dispute] on withdrawn 2025-06-10";
    let rest = "2025-09-01T00:00:00 news expire mailing [email] on withdrawn 2025-06-10 deferred by dispute";
    story.expect("2030-01-01", &[word, rest]);
    // Activity doesn't start over what is withdrawn, so it saves nothing; consent does.
    story.clone().active("purchase", "2025-07-01").expect("2030-01-01", &[word, rest]);
    story
        .consents("newsletter", "2025-07-01")
        .expect("2030-01-01", &[word, "2026-07-04T00:00:00 news expire mailing [email] since consent 2025-07-01"]);
}

#[test]
fn a_floor_keeps_from_a_withdrawal_too() {
    Story::new(&["news: email name; purchase; P1Y expire crm; consent newsletter"])
        .floor("name: purchase; P2Y")
        .active("purchase", "2025-03-10")
        .withdraws("newsletter", "2025-06-10T12:00:00")
        .expect(
            "2030-01-01",
            &[
                "2025-06-11T00:00:00 news expire crm [email] kept [name by floor:name] on withdrawn 2025-06-10",
                "2027-03-13T00:00:00 news expire crm [name] on withdrawn 2025-06-10 deferred by floor:name",
            ],
        );
}

#[test]
fn one_that_is_heard_of_late_ends_also_what_came_after_it() {
    Story::new(&[NEWS])
        .active("purchase", "2025-03-10")
        .active("purchase", "2025-06-20")
        .withdraws("newsletter", "2025-06-10")
        .arriving("2025-07-01T09:00:00")
        .expect("2030-01-01", &["2025-07-01T09:00:00 news expire mailing [email] on withdrawn 2025-06-10"]);
}

#[test]
fn what_a_removal_left_goes_also_if_consent_is_withdrawn_since() {
    let story = Story::new(&["news: email name; purchase; P1Y expire crm; consent newsletter"])
        .floor("name: purchase; P3Y")
        .active("purchase", "2024-03-10");
    let removed = "2025-03-13T00:00:00 news expire crm [email] kept [name by floor:name]";
    let rest = "2027-03-13T00:00:00 news expire crm [name] deferred by floor:name";
    story.expect("2030-01-01", &[removed, rest]);
    story.withdraws("newsletter", "2025-06-10").expect("2030-01-01", &[removed, rest]);
}

#[test]
fn given_again_on_the_day_of_an_erasure_request_it_is_covered_by_that() {
    Story::new(&[NEWS])
        .active("purchase", "2025-03-10")
        .withdraws("newsletter", "2025-06-10T10:00:00")
        .asks_for_erasure("2025-06-10T12:00:00")
        .consents("newsletter", "2025-06-10T15:00:00")
        .arriving("2025-06-12")
        .expect("2030-01-01", &["2025-06-11T00:00:00 news expire mailing [email] on erasure 2025-06-10"]);
}

#[test]
fn given_again_on_the_very_day_what_a_hold_kept_stays_however_late_that_is_heard_of() {
    Story::new(&[NEWS])
        .active("purchase", "2025-03-10")
        .held("dispute", "2025-05-01", Some("2025-08-31"))
        .withdraws("newsletter", "2025-06-10T10:00:00")
        .consents("newsletter", "2025-06-10T15:00:00")
        .arriving("2025-06-12")
        .expect(
            "2026-01-01",
            &["2025-06-11T00:00:00 news expire mailing [] kept [email by hold:dispute] on withdrawn 2025-06-10"],
        );
}

#[test]
fn a_second_no_does_not_lose_the_word_of_the_first() {
    Story::new(&[NEWS])
        .without_acknowledgements()
        .active("purchase", "2025-03-10")
        .withdraws("newsletter", "2025-06-10")
        .withdraws("newsletter", "2025-06-12")
        .held("dispute", "2025-06-13T10:00:00", Some("2025-08-31"))
        .acknowledges(1, AckResult::Done, "2025-06-13T11:00:00", "2025-06-13T11:00:00")
        .acknowledges(2, AckResult::Done, "2025-06-13T11:00:00", "2025-06-13T11:00:00")
        .expect(
            "2025-09-02",
            &[
                "2025-06-11T00:00:00 news expire mailing [email] on withdrawn 2025-06-10",
                "2025-06-13T10:00:00 news recall mailing [email] on withdrawn 2025-06-10",
                "2025-06-13T10:00:00 news expire mailing [] kept [email by hold:dispute] on withdrawn 2025-06-10",
                "2025-09-01T00:00:00 news expire mailing [email] on withdrawn 2025-06-10 deferred by dispute",
            ],
        );
}

#[test]
fn a_no_that_follows_a_removal_that_is_taken_back_is_obeyed() {
    Story::new(&[NEWS])
        .without_acknowledgements()
        .active("purchase", "2025-03-10")
        .withdraws("newsletter", "2026-03-14")
        .held("dispute", "2026-03-15T10:00:00", Some("2026-08-31"))
        .acknowledges(1, AckResult::Done, "2026-03-15T11:00:00", "2026-03-15T11:00:00")
        .acknowledges(2, AckResult::Done, "2026-03-15T11:00:00", "2026-03-15T11:00:00")
        .expect(
            "2026-09-02",
            &[
                "2026-03-13T00:00:00 news expire mailing [email]",
                "2026-03-15T10:00:00 news recall mailing [email]",
                "2026-03-15T10:00:00 news expire mailing [] kept [email by hold:dispute] on withdrawn 2026-03-14",
                "2026-09-01T00:00:00 news expire mailing [email] on withdrawn 2026-03-14 deferred by dispute",
            ],
        );
}

#[test]
fn what_came_after_it_extends_a_floor_and_nothing_else() {
    // The second order is kept for four years from 2025-08-01; it starts nothing over.
    Story::new(&["offers: email name; purchase; P1Y anonymise mailing, P2Y expire crm; consent offers"])
        .floor("name: purchase; P4Y")
        .active("purchase", "2024-03-10")
        .withdraws("offers", "2025-06-01")
        .active("purchase", "2025-08-01")
        .expect(
            "2036-01-01",
            &[
                "2025-03-13T00:00:00 offers anonymise mailing [email] kept [name by floor:name]",
                "2025-06-02T00:00:00 offers expire crm [email] kept [name by floor:name] on withdrawn 2025-06-01",
                "2025-06-02T00:00:00 offers anonymise mailing [email] kept [name by floor:name] on withdrawn 2025-06-01",
                "2029-08-04T00:00:00 offers expire crm [name] on withdrawn 2025-06-01 deferred by floor:name",
                "2029-08-04T00:00:00 offers anonymise mailing [name] on withdrawn 2025-06-01 deferred by floor:name",
            ],
        );
}
