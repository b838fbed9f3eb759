//! A target that must keep the data says until when; that works as a hold of the policy.

use crate::story::{Story, at};
use lapsed::retention::customer::AckResult;

/// By period it leaves on 2026-03-03, for an activity of 2024-02-29.
const PLAIN: &str = "offers: email; purchase; P24M anonymise crm";

fn until(text: &str) -> AckResult {
    AckResult::Retained { until: at(text) }
}

#[test]
fn the_command_it_answers_is_sent_again_when_it_ends() {
    Story::new(&[PLAIN])
        .without_acknowledgements()
        .active("purchase", "2024-02-29")
        .acknowledges(0, until("2026-08-01"), "2026-03-04", "2026-03-04")
        .acknowledges(1, AckResult::Done, "2026-08-01T10:00:00", "2026-08-01T10:00:00")
        .expect(
            "2030-01-01",
            &[
                "2026-03-03T00:00:00 offers anonymise crm [email]",
                "2026-08-01T00:00:00 offers anonymise crm [email] attempt 2",
            ],
        );
}

#[test]
fn not_before_the_lease_has_ended() {
    Story::new(&[PLAIN])
        .without_acknowledgements()
        .active("purchase", "2024-02-29")
        .acknowledges(0, until("2026-03-05"), "2026-03-04", "2026-03-04")
        .expect(
            "2026-03-09",
            &[
                "2026-03-03T00:00:00 offers anonymise crm [email]",
                "2026-03-06T00:00:00 offers anonymise crm [email] attempt 2",
            ],
        );
}

#[test]
fn it_may_be_said_again_of_the_next_attempt() {
    Story::new(&[PLAIN])
        .without_acknowledgements()
        .active("purchase", "2024-02-29")
        .acknowledges(0, until("2026-08-01"), "2026-03-04", "2026-03-04")
        .acknowledges(1, until("2026-12-01"), "2026-08-02", "2026-08-02")
        .expect(
            "2026-12-04",
            &[
                "2026-03-03T00:00:00 offers anonymise crm [email]",
                "2026-08-01T00:00:00 offers anonymise crm [email] attempt 2",
                "2026-12-01T00:00:00 offers anonymise crm [email] attempt 3",
            ],
        );
}

#[test]
fn done_before_it_ends_is_done() {
    Story::new(&[PLAIN])
        .without_acknowledgements()
        .active("purchase", "2024-02-29")
        .acknowledges(0, until("2026-08-01"), "2026-03-04", "2026-03-04")
        .acknowledges(0, AckResult::Done, "2026-05-01", "2026-05-01")
        .expect("2030-01-01", &["2026-03-03T00:00:00 offers anonymise crm [email]"]);
}

#[test]
fn who_returns_meanwhile_is_recalled() {
    Story::new(&[PLAIN])
        .without_acknowledgements()
        .active("purchase", "2024-02-29")
        .acknowledges(0, until("2026-08-01"), "2026-03-04", "2026-03-04")
        .active("purchase", "2026-05-01T10:00:00")
        .expect(
            "2026-05-02",
            &["2026-03-03T00:00:00 offers anonymise crm [email]", "2026-05-01T10:00:00 offers recall crm [email]"],
        );
}

#[test]
fn the_next_stage_waits_for_it() {
    Story::new(&["offers: email; purchase; P1Y anonymise crm, P2Y expire mailing"])
        .without_acknowledgements()
        .active("purchase", "2024-03-10")
        .acknowledges(0, until("2026-07-01"), "2025-03-14", "2025-03-14")
        .expect(
            "2026-07-02",
            &[
                "2025-03-13T00:00:00 offers anonymise crm [email]",
                "2026-07-01T00:00:00 offers anonymise crm [email] attempt 2",
                "2026-07-01T00:00:00 offers expire mailing [email] deferred by retained:crm",
            ],
        );
}

#[test]
fn what_another_target_has_not_done_is_recalled_until_it_ends() {
    Story::new(&["offers: email; purchase; P24M anonymise crm mailing"])
        .without_acknowledgements()
        .active("purchase", "2024-02-29")
        .acknowledges(0, until("2026-08-01"), "2026-03-04T10:00:00", "2026-03-04T10:00:00")
        .acknowledges(2, AckResult::Done, "2026-03-04T11:00:00", "2026-03-04T11:00:00")
        .expect(
            "2026-08-02",
            &[
                "2026-03-03T00:00:00 offers anonymise crm [email]",
                "2026-03-03T00:00:00 offers anonymise mailing [email]",
                "2026-03-04T10:00:00 offers recall mailing [email]",
                "2026-08-01T00:00:00 offers anonymise crm [email] attempt 2",
                "2026-08-01T00:00:00 offers anonymise mailing [email] deferred by retained:crm",
            ],
        );
}

#[test]
fn another_policy_does_not_wait() {
    Story::new(&["a: email; purchase; P1Y expire crm", "b: phone; purchase; P2Y expire crm"])
        .without_acknowledgements()
        .active("purchase", "2024-03-10")
        .acknowledges(0, until("2027-07-01"), "2025-03-14", "2025-03-14")
        .expect(
            "2026-03-14",
            &["2025-03-13T00:00:00 a expire crm [email]", "2026-03-13T00:00:00 b expire crm [phone]"],
        );
}

#[test]
fn on_request_it_keeps_as_a_hold_does() {
    Story::new(&[PLAIN])
        .without_acknowledgements()
        .active("purchase", "2024-02-29")
        .acknowledges(0, until("2026-08-01"), "2026-03-04", "2026-03-04")
        .asks_for_erasure("2026-03-10T12:00:00")
        .acknowledges(1, AckResult::Done, "2026-03-11T12:00:00", "2026-03-11T12:00:00")
        .expect(
            "2026-08-02",
            &[
                "2026-03-03T00:00:00 offers anonymise crm [email]",
                "2026-03-11T00:00:00 offers anonymise crm [] kept [email by hold:retained:crm] on erasure 2026-03-10",
                // What was sent by period is not sent again: the request has taken over.
                "2026-08-01T00:00:00 offers anonymise crm [email] on erasure 2026-03-10 deferred by retained:crm",
            ],
        );
}

#[test]
fn the_word_of_a_request_may_be_answered_so_too() {
    Story::new(&[PLAIN])
        .without_acknowledgements()
        .asks_for_erasure("2026-03-10T12:00:00")
        .acknowledges(0, until("2026-08-01"), "2026-03-12", "2026-03-12")
        .acknowledges(1, AckResult::Done, "2026-08-02", "2026-08-02")
        .expect(
            "2030-01-01",
            &[
                "2026-03-11T00:00:00 offers anonymise crm [email] on erasure 2026-03-10",
                "2026-08-01T00:00:00 offers anonymise crm [email] on erasure 2026-03-10 attempt 2",
            ],
        );
}

#[test]
fn a_warning_that_is_retained_is_not_given() {
    Story::new(&["offers: email; purchase; P23M warn mailing, P24M anonymise crm"])
        .without_acknowledgements()
        .active("purchase", "2024-02-29")
        .acknowledges(0, until("2026-05-01"), "2026-02-02", "2026-02-02")
        .acknowledges(1, AckResult::Done, "2026-05-02", "2026-05-02")
        .expect(
            "2026-06-03",
            &[
                "2026-02-01T00:00:00 offers warn mailing [email]",
                "2026-05-01T00:00:00 offers warn mailing [email] attempt 2",
                // 30 days from 2026-05-02.
                "2026-06-02T00:00:00 offers anonymise crm [email]",
            ],
        );
}
