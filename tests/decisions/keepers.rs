//! The last purpose removes.

use crate::story::Story;
use lapsed::retention::customer::AckResult;

#[test]
fn what_another_policy_still_needs_is_kept_and_the_last_one_removes_it() {
    Story::new(&["a: email name; purchase; P1Y expire crm", "b: email; purchase; P2Y expire crm"])
        .active("purchase", "2024-03-10")
        .expect(
            "2027-01-01",
            &["2025-03-13T00:00:00 a expire crm [name] kept [email by b]", "2026-03-13T00:00:00 b expire crm [email]"],
        );
}

#[test]
fn of_two_due_at_one_instant_the_second_removes_what_they_share() {
    Story::new(&["a: email name; purchase; P1Y expire crm", "b: email phone; purchase; P1Y expire crm"])
        .active("purchase", "2024-03-10")
        .expect(
            "2027-01-01",
            &[
                "2025-03-13T00:00:00 a expire crm [name] kept [email by b]",
                "2025-03-13T00:00:00 b expire crm [email phone]",
            ],
        );
}

#[test]
fn only_the_same_category_at_the_same_target_of_a_removal_is_kept() {
    Story::new(&[
        "a: email; purchase; P1Y expire crm mailing",
        "b: phone; purchase; P2Y expire crm",
        "c: email; purchase; P23M warn crm, P2Y expire mailing",
        "d: email; registered; P2Y expire crm", // does not cover the customer: no starting point
    ])
    .active("purchase", "2024-03-10")
    .expect(
        "2025-04-01",
        &["2025-03-13T00:00:00 a expire crm [email]", "2025-03-13T00:00:00 a expire mailing [] kept [email by c]"],
    );
}

#[test]
fn a_removal_that_would_remove_nothing_is_not_warned_of() {
    Story::new(&["a: email; purchase; P11M warn mailing, P1Y expire crm", "b: email; purchase; P2Y expire crm"])
        .active("purchase", "2024-03-10")
        .expect(
            "2027-01-01",
            &["2025-03-13T00:00:00 a expire crm [] kept [email by b]", "2026-03-13T00:00:00 b expire crm [email]"],
        );
}

#[test]
fn what_a_removal_left_is_removed_when_its_keeper_goes_without_removing_it() {
    // b removes at crm early on, while a still keeps the address there, and later only at mailing.
    Story::new(&["a: email; purchase; P2Y expire crm", "b: email; purchase; P1Y anonymise crm, P3Y expire mailing"])
        .active("purchase", "2024-03-10")
        .expect(
            "2028-01-01",
            &[
                "2025-03-13T00:00:00 b anonymise crm [] kept [email by a]",
                "2026-03-13T00:00:00 a expire crm [] kept [email by b]",
                "2027-03-13T00:00:00 b anonymise crm [email]",
                "2027-03-13T00:00:00 b expire mailing [email]",
            ],
        );
}

#[test]
fn a_policy_that_begins_to_keep_a_category_recalls_its_removal() {
    Story::new(&["a: email; purchase; P1Y expire crm", "b: email; login; P1Y expire crm"])
        .without_acknowledgements()
        .active("purchase", "2024-03-10")
        .active("login", "2025-03-14")
        .expect(
            "2025-03-15",
            &[
                "2025-03-13T00:00:00 a expire crm [email]",
                "2025-03-14T00:00:00 a recall crm [email]",
                "2025-03-14T00:00:00 a expire crm [] kept [email by b]",
            ],
        );
}

#[test]
fn a_policy_that_starts_over_keeps_again_from_that_moment() {
    // b was through with the customer; a visit brings it back while a's warning stands.
    Story::new(&["a: email; purchase; P23M warn mailing, P24M expire crm", "b: email; login; P1M expire crm"])
        .active("login", "2024-02-01")
        .active("purchase", "2024-02-29")
        .active("login", "2026-02-10T09:00:00")
        .expect(
            "2026-04-01",
            &[
                "2024-03-04T00:00:00 b expire crm [] kept [email by a]",
                "2026-02-01T00:00:00 a warn mailing [email]",
                "2026-02-10T09:00:00 a recall mailing [email]",
                "2026-03-03T00:00:00 a expire crm [] kept [email by b]",
                "2026-03-13T00:00:00 b expire crm [email]",
            ],
        );
}

#[test]
fn of_two_overdue_the_one_with_the_earlier_deadline_is_judged_first() {
    // Switched on years too late.
    Story::new(&["a: email; purchase; P2Y expire crm", "b: email; purchase; P1Y expire crm"])
        .active_late("purchase", "2019-01-01", "2026-05-10T12:00:00")
        .expect(
            "2027-01-01",
            // Both leave at once, and are shown by name.
            &["2026-05-10T12:00:00 a expire crm [email]", "2026-05-10T12:00:00 b expire crm [] kept [email by a]"],
        );
}

#[test]
fn of_several_policies_that_keep_the_first_by_name_is_told() {
    Story::new(&[
        "c: email; purchase; P1Y expire crm",
        "b: email; purchase; P5Y expire crm",
        "a: email; purchase; P3Y expire crm",
    ])
    .active("purchase", "2024-03-10")
    .expect(
        "2030-01-01",
        &[
            "2025-03-13T00:00:00 c expire crm [] kept [email by a]",
            "2027-03-13T00:00:00 a expire crm [] kept [email by b]",
            "2029-03-13T00:00:00 b expire crm [email]",
        ],
    );
}

#[test]
fn a_policy_keeps_until_its_last_stage_was_sent() {
    Story::new(&["a: email; purchase; P2Y expire crm", "b: email; purchase; P1Y anonymise crm, P3Y expire crm"])
        .active("purchase", "2024-03-10")
        .expect(
            "2030-01-01",
            &[
                "2025-03-13T00:00:00 b anonymise crm [] kept [email by a]",
                "2026-03-13T00:00:00 a expire crm [] kept [email by b]",
                "2027-03-13T00:00:00 b expire crm [email]",
            ],
        );
}

#[test]
fn a_policy_keeps_while_it_waits_for_its_notice() {
    // b's warning is given on 2025-03-20 only, so its 28 days of notice end with 2025-04-17.
    Story::new(&["a: email; purchase; P13M expire crm", "b: email phone; purchase; P11M warn mailing, P1Y expire crm"])
        .without_acknowledgements()
        .active("purchase", "2024-03-10")
        .acknowledges(0, AckResult::Done, "2025-03-20", "2025-03-20")
        .acknowledges(12, AckResult::Done, "2025-04-14", "2025-04-14")
        .expect_from(
            "2025-03-20",
            "2025-04-19",
            &[
                "2025-04-13T00:00:00 a expire crm [] kept [email by b]",
                "2025-04-18T00:00:00 b expire crm [email phone]",
            ],
        );
}

#[test]
fn a_warning_names_what_the_removal_would_name_now() {
    Story::new(&["a: email name; purchase; P11M warn mailing, P1Y expire crm", "b: email; purchase; P2Y expire crm"])
        .active("purchase", "2024-03-10")
        .expect(
            "2025-12-31",
            &[
                "2025-02-13T00:00:00 a warn mailing [name] kept [email by b]",
                "2025-03-14T00:00:00 a expire crm [name] kept [email by b]",
            ],
        );
}
