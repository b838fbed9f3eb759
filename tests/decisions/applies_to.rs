//! A policy that names attributes means only those customers who have them.

use crate::story::Story;
use lapsed::retention::customer::AckResult;

const BUSINESS: &str = "offers: email; purchase; P24M anonymise crm; only segment business";
const LINE: &str = "2026-03-03T00:00:00 offers anonymise crm [email]";

#[test]
fn it_means_who_has_the_value() {
    let story = Story::new(&[BUSINESS]).active("purchase", "2024-02-29");
    story.clone().is("segment", Some("business"), "2024-03-01").expect("2030-01-01", &[LINE]);
    story.clone().is("segment", Some("consumer"), "2024-03-01").expect("2030-01-01", &[]);
    // Text is compared as it is.
    story.clone().is("segment", Some("Business"), "2024-03-01").expect("2030-01-01", &[]);
    story.clone().is("size", Some("business"), "2024-03-01").expect("2030-01-01", &[]);
    story.expect("2030-01-01", &[]);
}

#[test]
fn none_means_who_has_no_value() {
    let story = Story::new(&["offers: email; purchase; P24M anonymise crm; only segment business none"])
        .active("purchase", "2024-02-29");
    story.expect("2030-01-01", &[LINE]);
    let story = story.is("segment", Some("consumer"), "2024-03-01");
    story.expect("2030-01-01", &[]);
    // Null says that it is no longer set.
    story.clone().is("segment", None, "2024-03-02").expect("2030-01-01", &[LINE]);
    story.is("segment", Some("business"), "2024-03-02").expect("2030-01-01", &[LINE]);
}

#[test]
fn all_attributes_that_are_named_must_match() {
    let story = Story::new(&["offers: email; purchase; P24M anonymise crm; only segment business; only country NL BE"])
        .active("purchase", "2024-02-29")
        .is("segment", Some("business"), "2024-03-01");
    story.expect("2030-01-01", &[]);
    story.clone().is("country", Some("DE"), "2024-03-01").expect("2030-01-01", &[]);
    story.is("country", Some("BE"), "2024-03-01").expect("2030-01-01", &[LINE]);
}

#[test]
fn the_latest_word_counts_whichever_is_heard_first() {
    Story::new(&[BUSINESS])
        .active("purchase", "2024-02-29")
        .is("segment", Some("business"), "2024-05-01")
        .is("segment", Some("consumer"), "2024-04-01")
        .arriving("2024-06-01")
        .expect("2030-01-01", &[LINE]);
}

#[test]
fn of_two_words_at_one_instant_the_greater_value_counts() {
    for (first, second) in [("business", "consumer"), ("consumer", "business")] {
        Story::new(&[BUSINESS])
            .active("purchase", "2024-02-29")
            .is("segment", Some(first), "2024-05-01T12:00:00")
            .is("segment", Some(second), "2024-05-01T12:00:00")
            .expect("2030-01-01", &[]);
    }
}

#[test]
fn whoever_comes_to_be_meant_is_so_from_their_own_starting_point() {
    Story::new(&[BUSINESS])
        .active("purchase", "2024-02-29")
        .is("segment", Some("business"), "2027-05-01T12:00:00")
        .expect("2030-01-01", &["2027-05-01T12:00:00 offers anonymise crm [email]"]);
}

#[test]
fn and_is_warned_first() {
    Story::new(&["offers: email; purchase; P23M warn mailing, P24M anonymise crm; only segment business"])
        .active("purchase", "2024-02-29")
        .is("segment", Some("business"), "2027-05-01T12:00:00")
        .expect(
            "2030-01-01",
            &[
                "2027-05-01T12:00:00 offers warn mailing [email]",
                // 30 days from 2026-01-30 to 2026-03-01, from 2027-05-01.
                "2027-06-01T00:00:00 offers anonymise crm [email]",
            ],
        );
}

#[test]
fn whoever_is_no_longer_meant_is_recalled() {
    Story::new(&[BUSINESS])
        .without_acknowledgements()
        .active("purchase", "2024-02-29")
        .is("segment", Some("business"), "2024-03-01")
        .is("segment", Some("consumer"), "2026-03-04T10:00:00")
        .acknowledges(1, AckResult::Done, "2026-03-04T11:00:00", "2026-03-04T11:00:00")
        .is("segment", Some("business"), "2026-05-01T10:00:00")
        .expect(
            "2026-05-02",
            &[
                LINE,
                "2026-03-04T10:00:00 offers recall crm [email]",
                // Meant again, and long due.
                "2026-05-01T10:00:00 offers anonymise crm [email]",
            ],
        );
}

#[test]
fn a_warning_is_recalled_too() {
    Story::new(&["offers: email; purchase; P23M warn mailing, P24M anonymise crm; only segment none"])
        .active("purchase", "2024-02-29")
        .is("segment", Some("consumer"), "2026-02-10T10:00:00")
        .expect(
            "2030-01-01",
            &["2026-02-01T00:00:00 offers warn mailing [email]", "2026-02-10T10:00:00 offers recall mailing [email]"],
        );
}

#[test]
fn what_is_done_stays_done() {
    Story::new(&[BUSINESS])
        .active("purchase", "2024-02-29")
        .is("segment", Some("business"), "2024-03-01")
        .is("segment", Some("consumer"), "2026-03-04")
        .is("segment", Some("business"), "2026-03-05")
        .expect("2030-01-01", &[LINE]);
}

#[test]
fn a_policy_keeps_nothing_of_whom_it_does_not_mean() {
    let policies = ["a: email; purchase; P1Y expire crm", "b: email; purchase; P2Y expire crm; only segment business"];
    Story::new(&policies)
        .active("purchase", "2024-03-10")
        .is("segment", Some("consumer"), "2024-03-10")
        .expect("2030-01-01", &["2025-03-13T00:00:00 a expire crm [email]"]);
}

#[test]
fn what_it_kept_goes_when_it_no_longer_means_them_and_the_warning_comes_first() {
    let policies = [
        "a: email; purchase; P11M warn mailing, P1Y expire crm",
        "b: email; purchase; P9Y expire crm; only segment business",
    ];
    Story::new(&policies)
        .active("purchase", "2024-03-10")
        .is("segment", Some("business"), "2024-03-10")
        .is("segment", Some("consumer"), "2025-06-10T12:00:00")
        .expect(
            "2040-01-01",
            &[
                "2025-03-13T00:00:00 a expire crm [] kept [email by b]",
                "2025-06-10T12:00:00 a warn mailing [email]",
                // 28 days from 2025-02-11 to 2025-03-11, from 2025-06-10.
                "2025-07-09T00:00:00 a expire crm [email]",
            ],
        );
}

#[test]
fn a_policy_that_comes_to_mean_them_keeps_from_then_on() {
    let policies = ["a: email; purchase; P1Y expire crm", "b: email; purchase; P2Y expire crm; only segment business"];
    Story::new(&policies)
        .without_acknowledgements()
        .active("purchase", "2024-03-10")
        .is("segment", Some("business"), "2025-03-14T10:00:00")
        .expect(
            "2025-03-15",
            &[
                "2025-03-13T00:00:00 a expire crm [email]",
                "2025-03-14T10:00:00 a recall crm [email]",
                "2025-03-14T10:00:00 a expire crm [] kept [email by b]",
            ],
        );
}
