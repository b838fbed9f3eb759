//! Before the moment from which history is known, it is unknown, not silent.

use crate::story::{Story, at};
use lapsed::retention::gate::KnownSince;

const OFFERS: &str = "offers: email; purchase; P1Y expire crm";

#[test]
fn everyone_counts_as_active_when_history_begins() {
    let story = Story::new(&[OFFERS]).known_since(KnownSince::At(at("2025-01-10T09:00:00")));
    let story = story.active("purchase", "2020-03-10").active("login", "2025-06-01");
    story.expect("2027-01-01", &["2026-01-13T00:00:00 offers expire crm [email]"]);
    let since = &story.commands(i64::MAX)[0].since;
    assert_eq!((since.kind.as_str(), since.at), ("history", at("2025-01-10T23:59:59")));
}

#[test]
fn also_one_without_a_starting_point() {
    let story = Story::new(&[OFFERS]).known_since(KnownSince::At(at("2025-01-10T09:00:00")));
    story.active("login", "2025-06-01").expect("2027-01-01", &["2026-01-13T00:00:00 offers expire crm [email]"]);
}

#[test]
fn where_all_history_is_known_nobody_is_due_without_a_starting_point() {
    Story::new(&[OFFERS]).active("login", "2020-06-01").expect("2027-01-01", &[]);
}

#[test]
fn where_history_is_not_heard_of_nothing_leaves() {
    let story = Story::new(&[OFFERS]).known_since(KnownSince::Unknown);
    story.active("purchase", "2020-06-01").expect("2027-01-01", &[]);
}

#[test]
fn activity_since_then_counts_as_ever() {
    let story = Story::new(&[OFFERS]).known_since(KnownSince::At(at("2025-01-10T09:00:00")));
    let story = story.active("purchase", "2025-06-01");
    story.expect("2027-01-01", &["2026-06-04T00:00:00 offers expire crm [email]"]);
    assert_eq!(story.commands(i64::MAX)[0].since.kind, "purchase");
}

#[test]
fn consent_from_before_it_is_not_the_starting_point() {
    let story = Story::new(&["news: email; purchase; P1Y expire mailing; consent newsletter"])
        .known_since(KnownSince::At(at("2025-01-10T09:00:00")));
    story
        .clone()
        .consents("newsletter", "2024-06-01")
        .arriving("2025-02-01")
        .expect("2027-01-01", &["2026-01-13T00:00:00 news expire mailing [email]"]);
    story
        .consents("newsletter", "2025-06-01")
        .expect("2027-01-01", &["2026-06-04T00:00:00 news expire mailing [email] since consent 2025-06-01"]);
}

#[test]
fn where_history_is_not_heard_of_a_request_is_obeyed() {
    Story::new(&[OFFERS])
        .known_since(KnownSince::Unknown)
        .asks_for_erasure("2026-03-10T12:00:00")
        .expect("2027-01-01", &["2026-03-11T00:00:00 offers expire crm [email] on erasure 2026-03-10"]);
}

#[test]
fn a_floor_of_which_history_is_not_heard_keeps() {
    Story::new(&[OFFERS])
        .floor("email: login; P1Y")
        .known_since(KnownSince::Unknown)
        .asks_for_erasure("2026-03-10T12:00:00")
        .expect(
            "2027-01-01",
            &["2026-03-11T00:00:00 offers expire crm [] kept [email by floor:email] on erasure 2026-03-10"],
        );
}
