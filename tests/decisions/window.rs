//! Commands by period leave within the window; requests and recalls ignore it.

use crate::story::Story;
use lapsed::retention::customer::AckResult;

const OFFICE: &str = "mon tue wed thu fri 09:00-17:00";
/// By period it is due on 2026-03-03, a Tuesday, for an activity of 2024-02-29.
const PLAIN: &str = "offers: email; purchase login; P24M anonymise crm";
const WARNED: &str = "offers: email name; purchase login; P23M warn mailing, P24M anonymise crm mailing";

#[test]
fn the_example_of_the_design() {
    // P23M ends with 2026-01-29, lateness with Saturday 2026-01-31: the warning leaves on Monday. 30 days of
    // notice end with Wednesday 2026-03-04.
    let story = Story::new(&[WARNED]).window(OFFICE).active("purchase", "2024-02-29");
    story.expect(
        "2030-01-01",
        &[
            "2026-02-02T09:00:00 offers warn mailing [email name]",
            "2026-03-05T09:00:00 offers anonymise crm [email name]",
            "2026-03-05T09:00:00 offers anonymise mailing [email name]",
        ],
    );
    let removal = &story.commands(i64::MAX)[1];
    let zone = crate::story::AMSTERDAM;
    assert_eq!(removal.time.to_utc_string(), "2026-03-05T08:00:00Z");
    assert_eq!(removal.expires.unwrap().to_utc_string(), "2026-03-08T08:00:00Z");
    assert_eq!(removal.deadline.to_local_string(zone), "2026-03-01T00:00:00+01:00");
    assert_eq!(removal.since.at.to_local_string(zone), "2024-02-29T23:59:59+01:00");
    assert_eq!((removal.since.kind.as_str(), &removal.deferred_by, removal.attempt), ("purchase", &None, 1));
}

#[test]
fn its_first_instant_is_in_and_its_last_is_out() {
    // What has long been due arrives around a Friday's hours.
    for (arrives, leaves) in [
        ("2026-03-06T08:59:59", "2026-03-06T09:00:00"),
        ("2026-03-06T09:00:00", "2026-03-06T09:00:00"),
        ("2026-03-06T16:59:59", "2026-03-06T16:59:59"),
        ("2026-03-06T17:00:00", "2026-03-09T09:00:00"),
    ] {
        Story::new(&[PLAIN])
            .window(OFFICE)
            .active_late("purchase", "2020-01-01", arrives)
            .expect("2027-01-01", &[&format!("{leaves} offers anonymise crm [email]")]);
    }
}

#[test]
fn it_may_last_to_the_end_of_the_day() {
    Story::new(&[PLAIN])
        .window("mon 22:00-24:00")
        .active_late("purchase", "2020-01-01", "2026-03-09T23:59:59")
        .expect("2027-01-01", &["2026-03-09T23:59:59 offers anonymise crm [email]"]);
}

#[test]
fn requests_ignore_it() {
    // A Saturday.
    Story::new(&[
        "offers: email; purchase; P24M anonymise crm; consent offers",
        "tips: name; purchase; P24M expire crm",
    ])
    .window(OFFICE)
    .active("purchase", "2025-03-10")
    .withdraws("offers", "2026-03-14T12:00:00")
    .asks_for_erasure("2026-03-21T12:00:00")
    .expect(
        "2030-01-01",
        &[
            "2026-03-15T00:00:00 offers anonymise crm [email] on withdrawn 2026-03-14",
            "2026-03-22T00:00:00 offers anonymise crm [email] on erasure 2026-03-21",
            "2026-03-22T00:00:00 tips expire crm [name] on erasure 2026-03-21",
        ],
    );
}

#[test]
fn recalls_ignore_it() {
    // A Sunday.
    Story::new(&[WARNED])
        .window(OFFICE)
        .active("purchase", "2024-02-29")
        .active("login", "2026-02-15T20:00:00")
        .expect(
            "2026-12-31",
            &[
                "2026-02-02T09:00:00 offers warn mailing [email name]",
                "2026-02-15T20:00:00 offers recall mailing [email name]",
            ],
        );
}

#[test]
fn who_returns_while_it_is_closed_hears_nothing() {
    // Due on Sunday 2026-02-01, and back that evening.
    Story::new(&[WARNED])
        .window(OFFICE)
        .active("purchase", "2024-02-29")
        .active("login", "2026-02-01T20:00:00")
        .expect("2027-12-31", &[]);
}

#[test]
fn further_attempts_keep_to_it() {
    // Each lease ends on a Thursday.
    Story::new(&[PLAIN]).window("mon 09:00-17:00").without_acknowledgements().active("purchase", "2024-02-29").expect(
        "2026-03-24",
        &[
            "2026-03-09T09:00:00 offers anonymise crm [email]",
            "2026-03-16T09:00:00 offers anonymise crm [email] attempt 2",
            "2026-03-23T09:00:00 offers anonymise crm [email] attempt 3",
        ],
    );
}

#[test]
fn repeated_recalls_do_not() {
    Story::new(&[PLAIN])
        .window("mon 09:00-17:00")
        .without_acknowledgements()
        .active("purchase", "2024-02-29")
        .active("login", "2026-03-10T12:00:00")
        .expect(
            "2026-03-14",
            &[
                "2026-03-09T09:00:00 offers anonymise crm [email]",
                "2026-03-10T12:00:00 offers recall crm [email]",
                "2026-03-13T12:00:00 offers recall crm [email] attempt 2",
            ],
        );
}

#[test]
fn what_a_hold_deferred_waits_for_it() {
    // The hold ends with Friday the 13th.
    Story::new(&[PLAIN])
        .window(OFFICE)
        .active("purchase", "2024-02-29")
        .held("dispute", "2026-01-15", Some("2026-03-13"))
        .expect("2030-01-01", &["2026-03-16T09:00:00 offers anonymise crm [email] deferred by dispute"]);
}

#[test]
fn where_the_clock_skips_its_opening_it_opens_after_the_gap() {
    // On Sunday 2026-03-29 there is no time between 02:00 and 03:00. Due on Friday.
    Story::new(&[PLAIN])
        .window("sun 02:15-04:00")
        .active("purchase", "2024-03-24")
        .expect("2030-01-01", &["2026-03-29T03:00:00 offers anonymise crm [email]"]);
}

#[test]
fn where_the_clock_skips_all_of_it_the_next_one_counts() {
    Story::new(&[PLAIN])
        .window("sun 02:00-03:00")
        .active("purchase", "2024-03-24")
        .expect("2030-01-01", &["2026-04-05T02:00:00 offers anonymise crm [email]"]);
}

#[test]
fn where_the_clock_repeats_it_the_first_counts() {
    // On Sunday 2026-10-25 02:00 comes twice, first in summer time. Due on Friday.
    let story = Story::new(&[PLAIN]).window("sun 02:00-02:30").active("purchase", "2024-10-20");
    assert_eq!(story.commands(i64::MAX)[0].time.to_utc_string(), "2026-10-25T00:00:00Z");
}

#[test]
fn all_that_is_due_leaves_in_it_however_short_it_is() {
    // Overdue for years: one opening for each step that has to wait for another.
    let policy = "offers: email; purchase; P10M warn mailing, P1Y anonymise crm mailing, P2Y expire crm mailing";
    Story::new(&[policy])
        .window("mon 09:00-09:01")
        .active_late("purchase", "2019-01-01", "2026-03-04T12:00:00")
        .expect(
            "2030-01-01",
            &[
                "2026-03-09T09:00:00 offers warn mailing [email]",
                // 61 days from 2019-11-02 to 2020-01-02: up to Saturday 2026-05-09.
                "2026-05-11T09:00:00 offers anonymise crm [email]",
                "2026-05-11T09:00:00 offers expire crm [email]",
                "2026-05-11T09:00:00 offers anonymise mailing [email]",
                "2026-05-11T09:00:00 offers expire mailing [email]",
            ],
        );
}

#[test]
fn where_it_is_shorter_than_a_notice_the_next_opening_counts() {
    let policy = "quick: email; login; PT10M warn crm, PT15M expire crm";
    Story::new(&[policy]).window("mon 09:00-09:01").active("login", "2024-03-10T12:00:00").expect(
        "2025-01-01",
        &["2024-03-18T09:00:00 quick warn crm [email]", "2024-03-25T09:00:00 quick expire crm [email]"],
    );
}

#[test]
fn an_answer_that_comes_after_it_closed_lets_the_next_stage_wait_for_the_next() {
    // The notice ends with Saturday 2026-03-07.
    let policy = "offers: email; purchase; P23M warn mailing, P24M anonymise crm";
    Story::new(&[policy])
        .window(OFFICE)
        .without_acknowledgements()
        .active("purchase", "2024-02-29")
        .acknowledges(0, AckResult::Done, "2026-02-05T08:00:00", "2026-02-05T08:00:00")
        .expect(
            "2026-03-10",
            &["2026-02-02T09:00:00 offers warn mailing [email]", "2026-03-09T09:00:00 offers anonymise crm [email]"],
        );
}
