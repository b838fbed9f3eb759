//! An erasure request is obeyed when its day has ended, whatever else is going on.

use crate::story::{Story, at};
use lapsed::retention::customer::AckResult;

const OFFERS: &str = "offers: email name; purchase login; P23M warn mailing, P24M anonymise crm mailing";
/// Removes at one target, without a warning.
const PLAIN: &str = "offers: email name; purchase login; P24M anonymise crm";

#[test]
fn it_makes_the_last_stage_due_at_each_of_its_targets_without_a_warning() {
    Story::new(&[OFFERS]).active("purchase", "2025-05-01").asks_for_erasure("2026-03-10T12:00:00").expect(
        "2030-01-01",
        &[
            "2026-03-11T00:00:00 offers anonymise crm [email name] on erasure 2026-03-10",
            "2026-03-11T00:00:00 offers anonymise mailing [email name] on erasure 2026-03-10",
        ],
    );
}

#[test]
fn its_deadline_is_the_end_of_its_day() {
    let story = Story::new(&[PLAIN]).active("purchase", "2025-05-01").asks_for_erasure("2026-03-10T12:00:00");
    let command = &story.commands(i64::MAX)[0];
    assert_eq!((command.deadline, command.next), (at("2026-03-11"), None));
    assert_eq!(command.since.at, at("2026-03-10T23:59:59"));
    assert_eq!(command.expires, Some(at("2026-03-14")));
}

#[test]
fn every_policy_obeys_and_no_other_keeps() {
    Story::new(&["a: email name; purchase; P1Y expire crm", "b: email; purchase; P9Y expire crm mailing"])
        .active("purchase", "2025-05-01")
        .asks_for_erasure("2026-03-10T12:00:00")
        .expect(
            "2040-01-01",
            &[
                "2026-03-11T00:00:00 a expire crm [email name] on erasure 2026-03-10",
                "2026-03-11T00:00:00 b expire crm [email] on erasure 2026-03-10",
                "2026-03-11T00:00:00 b expire mailing [email] on erasure 2026-03-10",
            ],
        );
}

#[test]
fn a_target_that_only_an_earlier_stage_removes_at_hears_that_one() {
    let policy = "offers: email; purchase; P6M warn mailing, P1Y anonymise crm paper, P2Y expire crm";
    Story::new(&[policy]).active("purchase", "2026-03-01").asks_for_erasure("2026-03-10T12:00:00").expect(
        "2030-01-01",
        &[
            "2026-03-11T00:00:00 offers expire crm [email] on erasure 2026-03-10",
            "2026-03-11T00:00:00 offers anonymise paper [email] on erasure 2026-03-10",
        ],
    );
}

#[test]
fn neither_window_nor_lateness_delays_it() {
    // A Saturday.
    Story::new(&[PLAIN])
        .window("mon tue wed thu fri 09:00-17:00")
        .active("purchase", "2026-03-01")
        .asks_for_erasure("2026-03-14T12:00:00")
        .expect("2030-01-01", &["2026-03-15T00:00:00 offers anonymise crm [email name] on erasure 2026-03-14"]);
}

#[test]
fn its_day_is_the_local_one_also_when_the_clock_changes_that_night() {
    // 2026-03-29 has 23 hours, 2026-10-25 has 25.
    for (asked, leaves) in [("2026-03-29", "2026-03-30T00:00:00"), ("2026-10-25", "2026-10-26T00:00:00")] {
        let story = Story::new(&[PLAIN]).active("purchase", "2026-03-01");
        let line = format!("{leaves} offers anonymise crm [email name] on erasure {asked}");
        story.clone().asks_for_erasure(&format!("{asked}T23:59:59")).expect("2027-01-01", &[&line]);
        story.asks_for_erasure(&format!("{asked}T00:00:00")).expect("2027-01-01", &[&line]);
    }
}

#[test]
fn it_covers_the_activity_of_its_own_day() {
    Story::new(&[PLAIN])
        .asks_for_erasure("2026-03-10T12:00:00")
        .active("purchase", "2026-03-10T18:00:00")
        .expect("2030-01-01", &["2026-03-11T00:00:00 offers anonymise crm [email name] on erasure 2026-03-10"]);
    // However late that arrives.
    Story::new(&[PLAIN])
        .asks_for_erasure("2026-03-10T12:00:00")
        .active_late("purchase", "2026-03-10T18:00:00", "2026-03-20")
        .expect("2030-01-01", &["2026-03-11T00:00:00 offers anonymise crm [email name] on erasure 2026-03-10"]);
}

#[test]
fn activity_after_its_day_starts_over() {
    Story::new(&[OFFERS])
        .active("purchase", "2025-05-01")
        .asks_for_erasure("2026-03-10T12:00:00")
        .active("purchase", "2026-03-11T08:00:00")
        .expect(
            "2030-01-01",
            &[
                "2026-03-11T00:00:00 offers anonymise crm [email name] on erasure 2026-03-10",
                "2026-03-11T00:00:00 offers anonymise mailing [email name] on erasure 2026-03-10",
                // P23M ends with 2028-02-11.
                "2028-02-14T00:00:00 offers warn mailing [email name]",
                // 29 days from 2028-02-12 to 2028-03-12, from 2028-02-14.
                "2028-03-15T00:00:00 offers anonymise crm [email name]",
                "2028-03-15T00:00:00 offers anonymise mailing [email name]",
            ],
        );
}

#[test]
fn where_periods_are_exact_it_counts_at_once() {
    let policy = "quick: email; login; PT10M expire crm";
    let story = Story::new(&[policy]).active("login", "2024-03-10T12:00:00").asks_for_erasure("2024-03-10T12:00:30");
    let word = "2024-03-10T12:00:30 quick expire crm [email] on erasure 2024-03-10T12:00:30";
    story.clone().active("login", "2024-03-10T12:00:30").expect("2025-01-01", &[word]);
    story
        .active("login", "2024-03-10T12:00:31")
        .expect("2025-01-01", &[word, "2024-03-12T12:10:31 quick expire crm [email]"]);
}

#[test]
fn one_that_arrives_late_is_obeyed_at_once_whatever_came_after_it() {
    Story::new(&[PLAIN])
        .active("purchase", "2025-05-01")
        .active("purchase", "2026-03-20")
        .asks_for_erasure("2026-03-10T12:00:00")
        .arriving("2026-04-01T09:00:00")
        .expect(
            "2030-01-01",
            &[
                "2026-04-01T09:00:00 offers anonymise crm [email name] on erasure 2026-03-10",
                "2028-03-23T00:00:00 offers anonymise crm [email name]",
            ],
        );
}

#[test]
fn nobody_needs_to_be_known() {
    Story::new(&[PLAIN])
        .asks_for_erasure("2026-03-10T12:00:00")
        .expect("2030-01-01", &["2026-03-11T00:00:00 offers anonymise crm [email name] on erasure 2026-03-10"]);
}

#[test]
fn nor_have_a_starting_point() {
    Story::new(&[PLAIN])
        .active("registered", "2026-01-01")
        .asks_for_erasure("2026-03-10T12:00:00")
        .expect("2030-01-01", &["2026-03-11T00:00:00 offers anonymise crm [email name] on erasure 2026-03-10"]);
}

#[test]
fn nor_be_one_to_whom_the_policy_applies() {
    Story::new(&["offers: email; purchase; P24M anonymise crm; only segment business"])
        .active("purchase", "2026-01-01")
        .is("segment", Some("consumer"), "2026-01-01")
        .asks_for_erasure("2026-03-10T12:00:00")
        .expect("2030-01-01", &["2026-03-11T00:00:00 offers anonymise crm [email] on erasure 2026-03-10"]);
}

#[test]
fn who_was_removed_by_period_is_removed_again() {
    for asked in ["2026-03-10", "2026-09-10"] {
        let again = at(asked).0 + 86_400;
        let again = lapsed::retention::calendar::Timestamp(again).to_local_string(crate::story::AMSTERDAM);
        Story::new(&[PLAIN]).active("purchase", "2024-02-29").asks_for_erasure(asked).expect(
            "2030-01-01",
            &[
                "2026-03-03T00:00:00 offers anonymise crm [email name]",
                &format!("{} offers anonymise crm [email name] on erasure {asked}", &again[..19]),
            ],
        );
    }
}

#[test]
fn once_served_it_is_spent_and_so_is_any_earlier_one() {
    Story::new(&[PLAIN])
        .active("purchase", "2025-05-01")
        .asks_for_erasure("2026-03-10T12:00:00")
        .asks_for_erasure("2026-03-10T12:00:00")
        .arriving("2026-03-20")
        .asks_for_erasure("2026-03-10T16:00:00")
        .arriving("2026-03-21")
        .asks_for_erasure("2026-03-09T12:00:00")
        .arriving("2026-03-22")
        .expect("2030-01-01", &["2026-03-11T00:00:00 offers anonymise crm [email name] on erasure 2026-03-10"]);
}

#[test]
fn who_asks_again_on_a_later_day_is_obeyed_again() {
    Story::new(&[PLAIN])
        .active("purchase", "2025-05-01")
        .asks_for_erasure("2026-03-10T12:00:00")
        .asks_for_erasure("2026-03-12T12:00:00")
        .expect(
            "2030-01-01",
            &[
                "2026-03-11T00:00:00 offers anonymise crm [email name] on erasure 2026-03-10",
                "2026-03-13T00:00:00 offers anonymise crm [email name] on erasure 2026-03-12",
            ],
        );
}

#[test]
fn who_asks_twice_on_one_day_is_obeyed_once() {
    Story::new(&[PLAIN])
        .active("purchase", "2025-05-01")
        .asks_for_erasure("2026-03-10T12:00:00")
        .asks_for_erasure("2026-03-10T13:00:00")
        .expect("2030-01-01", &["2026-03-11T00:00:00 offers anonymise crm [email name] on erasure 2026-03-10"]);
}

#[test]
fn a_hold_does_not_delay_its_word_and_what_the_hold_protects_goes_when_it_ends() {
    Story::new(&[PLAIN])
        .active("purchase", "2025-05-01")
        .held("dispute", "2026-01-15", Some("2026-06-30"))
        .asks_for_erasure("2026-03-10T12:00:00")
        .expect(
            "2030-01-01",
            &[
                "2026-03-11T00:00:00 offers anonymise crm [] kept [email by hold:dispute, name by hold:dispute] on erasure 2026-03-10",
                "2026-07-01T00:00:00 offers anonymise crm [email name] on erasure 2026-03-10 deferred by dispute",
            ],
        );
}

#[test]
fn of_several_holds_the_first_by_name_keeps_and_the_last_to_end_deferred() {
    Story::new(&[PLAIN])
        .active("purchase", "2025-05-01")
        .held("appeal", "2026-01-15", Some("2026-04-30"))
        .held("dispute", "2026-01-15", Some("2026-06-30"))
        .asks_for_erasure("2026-03-10T12:00:00")
        .expect(
            "2030-01-01",
            &[
                "2026-03-11T00:00:00 offers anonymise crm [] kept [email by hold:appeal, name by hold:appeal] on erasure 2026-03-10",
                "2026-07-01T00:00:00 offers anonymise crm [email name] on erasure 2026-03-10 deferred by dispute",
            ],
        );
}

#[test]
fn a_hold_keeps_only_from_the_policies_it_is_limited_to() {
    Story::new(&["a: email; purchase; P1Y expire crm", "b: phone; purchase; P1Y expire crm"])
        .active("purchase", "2025-05-01")
        .held_for(Some(&["a"]), "dispute", "2026-01-15", Some("2026-06-30"))
        .asks_for_erasure("2026-03-10T12:00:00")
        .expect(
            "2030-01-01",
            &[
                "2026-03-11T00:00:00 a expire crm [] kept [email by hold:dispute] on erasure 2026-03-10",
                "2026-03-11T00:00:00 b expire crm [phone] on erasure 2026-03-10",
                "2026-07-01T00:00:00 a expire crm [email] on erasure 2026-03-10 deferred by dispute",
            ],
        );
}

#[test]
fn what_a_hold_kept_goes_the_moment_it_is_released_also_outside_the_window() {
    // A Saturday night.
    Story::new(&[PLAIN])
        .window("mon tue wed thu fri 09:00-17:00")
        .active("purchase", "2025-05-01")
        .held("dispute", "2026-01-15", None)
        .asks_for_erasure("2026-03-10T12:00:00")
        .released("dispute", "2026-05-16T23:00:00")
        .expect(
            "2030-01-01",
            &[
                "2026-03-11T00:00:00 offers anonymise crm [] kept [email by hold:dispute, name by hold:dispute] on erasure 2026-03-10",
                "2026-05-16T23:00:00 offers anonymise crm [email name] on erasure 2026-03-10 deferred by dispute",
            ],
        );
}

#[test]
fn a_hold_that_ended_before_the_day_did_keeps_nothing() {
    Story::new(&[PLAIN])
        .active("purchase", "2025-05-01")
        .held("dispute", "2026-01-15", Some("2026-03-10"))
        .asks_for_erasure("2026-03-10T12:00:00")
        .expect("2030-01-01", &["2026-03-11T00:00:00 offers anonymise crm [email name] on erasure 2026-03-10"]);
}

#[test]
fn what_a_hold_kept_stays_if_activity_has_started_the_policy_over() {
    Story::new(&[PLAIN])
        .active("purchase", "2025-05-01")
        .held("dispute", "2026-01-15", Some("2026-06-30"))
        .asks_for_erasure("2026-03-10T12:00:00")
        .active("purchase", "2026-05-01")
        .expect(
            "2030-01-01",
            &[
                "2026-03-11T00:00:00 offers anonymise crm [] kept [email by hold:dispute, name by hold:dispute] on erasure 2026-03-10",
                "2028-05-04T00:00:00 offers anonymise crm [email name]",
            ],
        );
}

#[test]
fn but_not_for_activity_that_the_request_covers() {
    Story::new(&[PLAIN])
        .held("dispute", "2026-01-15", Some("2026-06-30"))
        .asks_for_erasure("2026-03-10T12:00:00")
        .active_late("purchase", "2026-03-10T20:00:00", "2026-03-20")
        .expect_from(
            "2026-03-12",
            "2030-01-01",
            &["2026-07-01T00:00:00 offers anonymise crm [email name] on erasure 2026-03-10 deferred by dispute"],
        );
}

#[test]
fn of_two_requests_under_one_hold_the_later_has_the_rest() {
    Story::new(&["offers: email; purchase; P24M anonymise crm"])
        .held("dispute", "2026-01-15", Some("2026-06-30"))
        .asks_for_erasure("2026-03-10T12:00:00")
        .asks_for_erasure("2026-03-12T12:00:00")
        .expect(
            "2030-01-01",
            &[
                "2026-03-11T00:00:00 offers anonymise crm [] kept [email by hold:dispute] on erasure 2026-03-10",
                "2026-03-13T00:00:00 offers anonymise crm [] kept [email by hold:dispute] on erasure 2026-03-12",
                "2026-07-01T00:00:00 offers anonymise crm [email] on erasure 2026-03-12 deferred by dispute",
            ],
        );
}

#[test]
fn a_floor_does_not_delay_its_word_either() {
    // The year ends with 2024-12-31, seven more with 2031-12-31; two days of lateness.
    Story::new(&[PLAIN])
        .floor("name: purchase; P7Y; from the end of the year")
        .active("purchase", "2024-05-04")
        .asks_for_erasure("2026-03-10T12:00:00")
        .expect(
            "2040-01-01",
            &[
                "2026-03-11T00:00:00 offers anonymise crm [email] kept [name by floor:name] on erasure 2026-03-10",
                "2032-01-03T00:00:00 offers anonymise crm [name] on erasure 2026-03-10 deferred by floor:name",
            ],
        );
}

#[test]
fn what_a_floor_kept_stays_if_activity_has_started_the_policy_over() {
    Story::new(&[PLAIN])
        .floor("name: purchase; P7Y; from the end of the year")
        .active("purchase", "2024-05-04")
        .asks_for_erasure("2026-03-10T12:00:00")
        .active("login", "2031-03-10")
        .expect(
            "2040-01-01",
            &[
                "2026-03-11T00:00:00 offers anonymise crm [email] kept [name by floor:name] on erasure 2026-03-10",
                "2033-03-13T00:00:00 offers anonymise crm [email name]",
            ],
        );
}

#[test]
fn a_hold_goes_before_a_floor() {
    Story::new(&["offers: name; purchase; P24M anonymise crm"])
        .floor("name: purchase; P7Y; from the end of the year")
        .active("purchase", "2024-05-04")
        .held("dispute", "2026-01-15", Some("2026-06-30"))
        .asks_for_erasure("2026-03-10T12:00:00")
        .expect(
            "2040-01-01",
            &[
                "2026-03-11T00:00:00 offers anonymise crm [] kept [name by hold:dispute] on erasure 2026-03-10",
                "2032-01-03T00:00:00 offers anonymise crm [name] on erasure 2026-03-10 deferred by floor:name",
            ],
        );
}

#[test]
fn what_a_floor_keeps_longer_than_the_hold_was_deferred_by_the_floor() {
    for target in ["crm", "paper"] {
        let policy = format!("offers: email name; purchase; P24M anonymise {target}");
        let word = "kept [email by hold:dispute, name by hold:dispute] on erasure 2026-03-10";
        Story::new(&[&policy])
            .floor("name: purchase; P7Y; from the end of the year")
            .active("purchase", "2024-05-04")
            .held("dispute", "2026-01-15", Some("2026-06-30"))
            .asks_for_erasure("2026-03-10T12:00:00")
            .expect(
                "2040-01-01",
                &[
                    &format!("2026-03-11T00:00:00 offers anonymise {target} [] {word}"),
                    &format!(
                        "2026-07-01T00:00:00 offers anonymise {target} [email] kept [name by floor:name] on erasure 2026-03-10 deferred by dispute"
                    ),
                    &format!(
                        "2032-01-03T00:00:00 offers anonymise {target} [name] on erasure 2026-03-10 deferred by floor:name"
                    ),
                ],
            );
    }
}

#[test]
fn at_every_target_the_hold_is_named() {
    Story::new(&["offers: email; purchase; P24M anonymise crm mailing"])
        .held("dispute", "2026-01-15", Some("2026-06-30"))
        .asks_for_erasure("2026-03-10T12:00:00")
        .expect_from(
            "2026-03-12",
            "2040-01-01",
            &[
                "2026-07-01T00:00:00 offers anonymise crm [email] on erasure 2026-03-10 deferred by dispute",
                "2026-07-01T00:00:00 offers anonymise mailing [email] on erasure 2026-03-10 deferred by dispute",
            ],
        );
}

#[test]
fn it_takes_no_ground_away() {
    // The warning stands, and so does a removal that was not done yet.
    Story::new(&[OFFERS]).active("purchase", "2024-02-29").asks_for_erasure("2026-02-10T12:00:00").expect(
        "2030-01-01",
        &[
            "2026-02-01T00:00:00 offers warn mailing [email name]",
            "2026-02-11T00:00:00 offers anonymise crm [email name] on erasure 2026-02-10",
            "2026-02-11T00:00:00 offers anonymise mailing [email name] on erasure 2026-02-10",
        ],
    );
    Story::new(&[PLAIN])
        .without_acknowledgements()
        .active("purchase", "2024-02-29")
        .asks_for_erasure("2026-03-03T12:00:00")
        .expect(
            "2026-03-06",
            &[
                "2026-03-03T00:00:00 offers anonymise crm [email name]",
                "2026-03-04T00:00:00 offers anonymise crm [email name] on erasure 2026-03-03",
            ],
        );
}

#[test]
fn activity_does_not_take_its_word_back() {
    Story::new(&[PLAIN])
        .without_acknowledgements()
        .active("purchase", "2025-05-01")
        .asks_for_erasure("2026-03-10T12:00:00")
        .active("login", "2026-03-12T10:00:00")
        .expect(
            "2026-03-16",
            &[
                "2026-03-11T00:00:00 offers anonymise crm [email name] on erasure 2026-03-10",
                "2026-03-14T00:00:00 offers anonymise crm [email name] on erasure 2026-03-10 attempt 2",
            ],
        );
}

#[test]
fn a_hold_that_begins_before_it_is_done_takes_it_back_and_the_word_is_given_anew() {
    Story::new(&[PLAIN])
        .without_acknowledgements()
        .active("purchase", "2025-05-01")
        .asks_for_erasure("2026-03-10T12:00:00")
        .held("dispute", "2026-03-12T10:00:00", Some("2026-06-30"))
        .acknowledges(1, AckResult::Done, "2026-03-12T11:00:00", "2026-03-12T11:00:00")
        .acknowledges(2, AckResult::Done, "2026-03-12T11:00:00", "2026-03-12T11:00:00")
        .expect(
            "2026-07-02",
            &[
                "2026-03-11T00:00:00 offers anonymise crm [email name] on erasure 2026-03-10",
                "2026-03-12T10:00:00 offers recall crm [email name] on erasure 2026-03-10",
                "2026-03-12T10:00:00 offers anonymise crm [] kept [email by hold:dispute, name by hold:dispute] on erasure 2026-03-10",
                "2026-07-01T00:00:00 offers anonymise crm [email name] on erasure 2026-03-10 deferred by dispute",
            ],
        );
}

#[test]
fn a_floor_that_begins_before_it_is_done_takes_it_back_and_the_word_is_given_anew() {
    // An order of before the request is heard of late.
    Story::new(&[PLAIN])
        .floor("name: purchase; P1Y")
        .without_acknowledgements()
        .active("login", "2025-05-01")
        .asks_for_erasure("2026-03-10T12:00:00")
        .active_late("purchase", "2026-03-09", "2026-03-12T10:00:00")
        .acknowledges(1, AckResult::Done, "2026-03-12T11:00:00", "2026-03-12T11:00:00")
        .acknowledges(2, AckResult::Done, "2026-03-12T11:00:00", "2026-03-12T11:00:00")
        .expect(
            "2027-03-13",
            &[
                "2026-03-11T00:00:00 offers anonymise crm [email name] on erasure 2026-03-10",
                "2026-03-12T10:00:00 offers recall crm [email name] on erasure 2026-03-10",
                "2026-03-12T10:00:00 offers anonymise crm [email] kept [name by floor:name] on erasure 2026-03-10",
                "2027-03-12T00:00:00 offers anonymise crm [name] on erasure 2026-03-10 deferred by floor:name",
            ],
        );
}

#[test]
fn it_is_a_lease_too_and_a_window_does_not_keep_its_further_attempts() {
    // Sent on Wednesday; Saturday and Tuesday follow.
    Story::new(&[PLAIN])
        .window("mon 09:00-17:00")
        .without_acknowledgements()
        .asks_for_erasure("2026-03-10T12:00:00")
        .expect(
            "2026-03-18",
            &[
                "2026-03-11T00:00:00 offers anonymise crm [email name] on erasure 2026-03-10",
                "2026-03-14T00:00:00 offers anonymise crm [email name] on erasure 2026-03-10 attempt 2",
                "2026-03-17T00:00:00 offers anonymise crm [email name] on erasure 2026-03-10 attempt 3",
            ],
        );
}

#[test]
fn one_that_waits_for_its_day_to_end_does_not_stop_what_is_due_by_period() {
    Story::new(&[PLAIN]).active("purchase", "2024-02-27").asks_for_erasure("2026-03-02T00:00:00").expect(
        "2030-01-01",
        &[
            "2026-03-02T00:00:00 offers anonymise crm [email name]",
            "2026-03-03T00:00:00 offers anonymise crm [email name] on erasure 2026-03-02",
        ],
    );
}

#[test]
fn what_a_removal_had_left_goes_once_on_the_request() {
    Story::new(&["offers: email name; purchase; P2Y expire crm"])
        .floor("name: purchase; P4Y")
        .active("purchase", "2024-03-10")
        .asks_for_erasure("2027-01-01")
        .expect(
            "2032-01-01",
            &[
                "2026-03-13T00:00:00 offers expire crm [email] kept [name by floor:name]",
                "2027-01-02T00:00:00 offers expire crm [email] kept [name by floor:name] on erasure 2027-01-01",
                "2028-03-13T00:00:00 offers expire crm [name] on erasure 2027-01-01 deferred by floor:name",
            ],
        );
}

#[test]
fn who_came_back_is_owed_nothing_of_it_whoever_they_become_since() {
    // Else it would touch somebody who is active again.
    Story::new(&["offers: email name; purchase; P1Y expire crm; only segment none consumer"])
        .floor("name: purchase; P2Y")
        .active("purchase", "2024-03-10")
        .asks_for_erasure("2024-06-10")
        .active("purchase", "2024-07-01")
        .is("segment", Some("business"), "2024-08-01")
        .expect(
            "2030-01-01",
            &["2024-06-11T00:00:00 offers expire crm [email] kept [name by floor:name] on erasure 2024-06-10"],
        );
}

#[test]
fn nor_is_who_had_come_back_before_the_request_was_heard_of() {
    // They were removed by period since, and are not meant any more when it is.
    Story::new(&["offers: email name; purchase; P1Y expire crm; only segment none consumer"])
        .floor("name: purchase; P3Y")
        .active("purchase", "2024-03-10")
        .is("segment", Some("business"), "2025-06-01")
        .asks_for_erasure("2024-03-01")
        .arriving("2025-08-01")
        .expect(
            "2030-01-01",
            &[
                "2025-03-13T00:00:00 offers expire crm [email] kept [name by floor:name]",
                "2025-08-01T00:00:00 offers expire crm [email] kept [name by floor:name] on erasure 2024-03-01",
            ],
        );
}

#[test]
fn who_was_not_meant_when_they_came_back_is_owed_all_of_it() {
    Story::new(&["offers: email name; purchase; P1Y expire crm; only segment consumer"])
        .floor("name: purchase; P2Y")
        .active("purchase", "2024-03-10")
        .asks_for_erasure("2024-06-10")
        .active("purchase", "2024-07-01")
        .expect(
            "2030-01-01",
            &[
                "2024-06-11T00:00:00 offers expire crm [email] kept [name by floor:name] on erasure 2024-06-10",
                "2026-07-04T00:00:00 offers expire crm [name] on erasure 2024-06-10 deferred by floor:name",
            ],
        );
}
