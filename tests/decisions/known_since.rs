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
