//! A command is a lease: without an answer it is sent again under the same id.

use crate::story::{Story, at};
use lapsed::retention::customer::AckResult;

const OFFERS: &str = "offers: email; purchase; P24M anonymise crm";

#[test]
fn an_unanswered_command_is_repeated_word_for_word() {
    let story = Story::new(&[OFFERS]).without_acknowledgements().active("purchase", "2024-02-29");
    story.expect(
        "2026-03-08",
        &[
            "2026-03-03T00:00:00 offers anonymise crm [email]",
            "2026-03-06T00:00:00 offers anonymise crm [email] attempt 2",
        ],
    );
    let commands = story.commands(at("2026-03-08").0 * 1000);
    let mut first_again = commands[1].clone();
    first_again.attempt = 1;
    first_again.time = commands[0].time;
    first_again.expires = commands[0].expires;
    assert_eq!(first_again, commands[0]);
    assert_eq!(commands[1].expires, Some(at("2026-03-09")));
}

#[test]
fn done_ends_it_whichever_attempt_it_answers() {
    let story = Story::new(&[OFFERS]).without_acknowledgements().active("purchase", "2024-02-29");
    let story = story.acknowledges(0, AckResult::Done, "2026-03-04", "2026-03-06T12:00:00");
    story.expect(
        "2027-03-08",
        &[
            "2026-03-03T00:00:00 offers anonymise crm [email]",
            "2026-03-06T00:00:00 offers anonymise crm [email] attempt 2",
        ],
    );
}

#[test]
fn retained_waits_until_its_end_and_failed_until_the_lease_ends() {
    let story = Story::new(&[OFFERS]).without_acknowledgements().active("purchase", "2024-02-29");
    let retained = AckResult::Retained { until: at("2026-08-01") };
    let story = story.acknowledges(0, retained, "2026-03-04", "2026-03-04");
    story.expect(
        "2026-08-02",
        &[
            "2026-03-03T00:00:00 offers anonymise crm [email]",
            "2026-08-01T00:00:00 offers anonymise crm [email] attempt 2",
        ],
    );
    let story = story.acknowledges(1, AckResult::Failed, "2026-08-01T01:00:00", "2026-08-01T01:00:00");
    assert_eq!(story.commands(at("2026-08-04").0 * 1000).len(), 2);
    assert_eq!(story.commands(at("2026-08-04").0 * 1000 + 1).len(), 3);
}

#[test]
fn failed_is_sent_again_when_the_lease_ends() {
    let story = Story::new(&[OFFERS]).without_acknowledgements().active("purchase", "2024-02-29");
    story.acknowledges(0, AckResult::Failed, "2026-03-03T10:00:00", "2026-03-03T10:00:00").expect(
        "2026-03-07",
        &[
            "2026-03-03T00:00:00 offers anonymise crm [email]",
            "2026-03-06T00:00:00 offers anonymise crm [email] attempt 2",
        ],
    );
}

#[test]
fn if_its_words_would_differ_it_is_recalled_and_sent_anew() {
    // Since b has removed the address nothing keeps it any more.
    let story = Story::new(&["a: email name; purchase; P1Y expire crm", "b: email; purchase; P13M expire crm"])
        .without_acknowledgements()
        .active("purchase", "2024-03-10");
    story.expect_from(
        "2025-04-12",
        "2025-04-16",
        &[
            // Every 72 hours since 2025-03-13T00:00.
            "2025-04-12T01:00:00 a expire crm [name] kept [email by b] attempt 11",
            "2025-04-13T00:00:00 b expire crm [email]",
            "2025-04-15T01:00:00 a recall crm [name] kept [email by b]",
            "2025-04-15T01:00:00 a expire crm [email name]",
        ],
    );
    let commands = story.commands(at("2025-04-16").0 * 1000);
    let mut ids: Vec<_> = commands.iter().map(|command| command.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4, "a's first, b's, the recall, a's second");
}
