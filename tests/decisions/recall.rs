//! A command is recalled as soon as its ground is gone.

use crate::story::Story;
use lapsed::retention::customer::AckResult;

const OFFERS: &str = "offers: email; purchase login; P23M warn mailing, P24M anonymise crm";

#[test]
fn whoever_returns_after_the_warning_is_recalled_and_starts_over() {
    Story::new(&[OFFERS]).active("purchase", "2024-02-29").active("login", "2026-02-10T08:15:00").expect(
        "2029-01-01",
        &[
            "2026-02-01T00:00:00 offers warn mailing [email]",
            "2026-02-10T08:15:00 offers recall mailing [email]",
            "2028-01-13T00:00:00 offers warn mailing [email]",
            "2028-02-14T00:00:00 offers anonymise crm [email]",
        ],
    );
}

#[test]
fn what_is_done_stays_done_and_the_return_starts_over() {
    Story::new(&[OFFERS]).active("purchase", "2024-02-29").active("login", "2026-06-10").expect(
        "2028-07-30",
        &[
            "2026-02-01T00:00:00 offers warn mailing [email]",
            "2026-03-04T00:00:00 offers anonymise crm [email]",
            "2028-05-13T00:00:00 offers warn mailing [email]",
            "2028-06-14T00:00:00 offers anonymise crm [email]",
        ],
    );
}

#[test]
fn a_removal_is_recalled_until_it_is_done() {
    let policy = "offers: email; purchase login; P24M anonymise crm";
    let story = Story::new(&[policy]).without_acknowledgements().active("purchase", "2024-02-29");
    let story = story.active("login", "2026-03-04T12:00:00");
    let lines = [
        "2026-03-03T00:00:00 offers anonymise crm [email]",
        "2026-03-04T12:00:00 offers recall crm [email]",
        "2026-03-07T12:00:00 offers recall crm [email] attempt 2",
        "2026-03-10T12:00:00 offers recall crm [email] attempt 3",
    ];
    story.expect("2026-03-11", &lines);
    // Answered, the recall isn't repeated; so it is when the command itself was done after all.
    for nth in [0, 1] {
        let policy_story = Story::new(&[policy]).without_acknowledgements().active("purchase", "2024-02-29");
        let answered = policy_story.active("login", "2026-03-04T12:00:00").acknowledges(
            nth,
            AckResult::Done,
            "2026-03-04T13:00:00",
            "2026-03-04T13:00:00",
        );
        answered.expect("2026-03-20", &lines[..2]);
    }
}

#[test]
fn late_activity_starts_a_removed_customer_over_however_late_it_arrives() {
    let policy = "offers: email; purchase login; P24M anonymise crm";
    Story::new(&[policy]).active("purchase", "2020-02-10").active_late("login", "2020-02-20", "2022-03-01").expect(
        "2027-01-01",
        &[
            "2022-02-13T00:00:00 offers anonymise crm [email]",
            // The new period, too, has long run out.
            "2022-03-01T00:00:00 offers anonymise crm [email]",
        ],
    );
}

#[test]
fn no_two_decisions_share_an_id_and_a_recall_names_what_it_cancels() {
    let story = Story::new(&[OFFERS]).active("purchase", "2024-02-29").active("login", "2026-02-10");
    let commands = story.commands(i64::MAX);
    let mut ids: Vec<_> = commands.iter().map(|command| command.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4);
    let (warning, recall) = (&commands[0], &commands[1]);
    assert_eq!(recall.recalls, Some(warning.id));
    assert_eq!((recall.since.clone(), recall.deadline), (warning.since.clone(), warning.deadline));
    assert_eq!((recall.expires, recall.next), (None, None));
    assert_eq!(story.commands(i64::MAX), commands, "a replay decides the same");
}

#[test]
fn a_target_that_cannot_acknowledge_hears_a_recall_of_a_warning_once() {
    let policy = "offers: email; purchase login; P23M warn paper, P24M anonymise paper";
    Story::new(&[policy])
        .without_acknowledgements()
        .active("purchase", "2024-02-29")
        .active("login", "2026-02-10")
        .expect(
            "2028-01-01",
            &["2026-02-01T00:00:00 offers warn paper [email]", "2026-02-10T00:00:00 offers recall paper [email]"],
        );
}

#[test]
fn a_warning_is_not_recalled_once_the_next_stage_was_sent() {
    Story::new(&[OFFERS])
        .without_acknowledgements()
        .active("purchase", "2024-02-29")
        .acknowledges(0, AckResult::Done, "2026-02-01T10:00:00", "2026-02-01T10:00:00")
        .active("login", "2026-03-05T10:00:00")
        .expect(
            "2026-03-06",
            &[
                "2026-02-01T00:00:00 offers warn mailing [email]",
                "2026-03-04T00:00:00 offers anonymise crm [email]",
                "2026-03-05T10:00:00 offers recall crm [email]",
            ],
        );
}

#[test]
fn a_removal_at_a_target_that_cannot_acknowledge_is_done_when_it_is_sent() {
    Story::new(&["offers: email; purchase login; P24M anonymise paper"])
        .without_acknowledgements()
        .active("purchase", "2024-02-29")
        .active("login", "2026-03-04")
        .expect(
            "2029-01-01",
            &[
                "2026-03-03T00:00:00 offers anonymise paper [email]",
                "2028-03-07T00:00:00 offers anonymise paper [email]",
            ],
        );
}

#[test]
fn only_what_is_not_done_is_recalled() {
    Story::new(&["offers: email; purchase login; P24M anonymise crm mailing"])
        .without_acknowledgements()
        .active("purchase", "2024-02-29")
        .acknowledges(0, AckResult::Done, "2026-03-03T10:00:00", "2026-03-03T10:00:00")
        .active("login", "2026-03-04T12:00:00")
        .expect(
            "2026-03-05",
            &[
                "2026-03-03T00:00:00 offers anonymise crm [email]",
                "2026-03-03T00:00:00 offers anonymise mailing [email]",
                "2026-03-04T12:00:00 offers recall mailing [email]",
            ],
        );
}

#[test]
fn activity_that_is_not_later_than_the_starting_point_takes_no_ground_away() {
    Story::new(&[OFFERS])
        .active("purchase", "2024-02-29")
        .active_late("login", "2024-02-29T23:00:00", "2026-02-10")
        .active_late("login", "2023-06-01", "2026-02-11")
        .expect(
            "2029-01-01",
            &["2026-02-01T00:00:00 offers warn mailing [email]", "2026-03-04T00:00:00 offers anonymise crm [email]"],
        );
}
