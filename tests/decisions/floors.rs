//! What the law demands to keep, nobody removes earlier.

use crate::story::{Story, at};
use lapsed::retention::customer::AckResult;
use lapsed::retention::gate::KnownSince;

const PLAIN: &str = "offers: email name; login purchase; P2Y expire crm";
/// For a purchase in 2016 it ends with 2023-12-31.
const TAX: &str = "name: purchase; P7Y; from the end of the year";

#[test]
fn what_it_keeps_goes_when_it_has_ended_plus_lateness() {
    let story = Story::new(&[PLAIN]).floor(TAX).active("purchase", "2016-05-04");
    story.expect(
        "2030-01-01",
        &[
            "2018-05-07T00:00:00 offers expire crm [email] kept [name by floor:name]",
            "2024-01-03T00:00:00 offers expire crm [name] deferred by floor:name",
        ],
    );
    // It is the stage's own command, for the same reason.
    let commands = story.commands(i64::MAX);
    assert_eq!((&commands[1].since, commands[1].deadline), (&commands[0].since, commands[0].deadline));
    assert_ne!(commands[1].id, commands[0].id);
}

#[test]
fn one_that_ends_before_the_period_does_keeps_nothing() {
    Story::new(&[PLAIN])
        .floor("name: purchase; P1Y")
        .active("purchase", "2016-05-04")
        .expect("2030-01-01", &["2018-05-07T00:00:00 offers expire crm [email name]"]);
}

#[test]
fn one_that_ends_with_the_period_keeps_nothing() {
    Story::new(&[PLAIN])
        .floor("name: purchase; P2Y")
        .active("purchase", "2016-05-04")
        .expect("2030-01-01", &["2018-05-07T00:00:00 offers expire crm [email name]"]);
}

#[test]
fn without_an_activity_that_it_counts_from_there_is_nothing_to_keep() {
    Story::new(&[PLAIN])
        .floor(TAX)
        .active("login", "2016-05-04")
        .expect("2030-01-01", &["2018-05-07T00:00:00 offers expire crm [email name]"]);
}

#[test]
fn it_counts_from_its_own_activity() {
    Story::new(&[PLAIN])
        .floor("name: purchase; P5Y")
        .active("purchase", "2015-03-10")
        .active("login", "2016-05-04")
        .expect(
            "2030-01-01",
            &[
                "2018-05-07T00:00:00 offers expire crm [email] kept [name by floor:name]",
                "2020-03-13T00:00:00 offers expire crm [name] deferred by floor:name",
            ],
        );
}

#[test]
fn it_is_extended_by_what_no_policy_counts() {
    // The purchase of 2017 arrives in 2019, when the rest has long gone.
    Story::new(&["offers: email name; login; P2Y expire crm"])
        .floor("name: purchase; P5Y")
        .active("purchase", "2016-03-10")
        .active("login", "2016-05-04")
        .active_late("purchase", "2017-03-10", "2019-01-01")
        .expect(
            "2030-01-01",
            &[
                "2018-05-07T00:00:00 offers expire crm [email] kept [name by floor:name]",
                "2022-03-13T00:00:00 offers expire crm [name] deferred by floor:name",
            ],
        );
}

#[test]
fn at_every_target_of_every_policy() {
    Story::new(&["a: name; purchase; P1Y expire crm", "b: name; purchase; P2Y expire crm mailing"])
        .floor("name: purchase; P3Y")
        .active("purchase", "2024-03-10")
        .expect(
            "2030-01-01",
            &[
                "2025-03-13T00:00:00 a expire crm [] kept [name by floor:name]",
                "2026-03-13T00:00:00 b expire crm [] kept [name by floor:name]",
                "2026-03-13T00:00:00 b expire mailing [] kept [name by floor:name]",
                // What a names, b needs not name again.
                "2027-03-13T00:00:00 a expire crm [name] deferred by floor:name",
                "2027-03-13T00:00:00 b expire mailing [name] deferred by floor:name",
            ],
        );
}

#[test]
fn it_is_named_before_a_policy() {
    Story::new(&["a: name; purchase; P1Y expire crm", "b: name; purchase; P5Y expire crm"])
        .floor("name: purchase; P3Y")
        .active("purchase", "2024-03-10")
        .expect(
            "2030-01-01",
            &[
                "2025-03-13T00:00:00 a expire crm [] kept [name by floor:name]",
                "2029-03-13T00:00:00 b expire crm [name]",
            ],
        );
}

#[test]
fn of_several_the_one_that_ended_last_has_deferred() {
    Story::new(&["offers: email name phone; purchase; P1Y expire crm"])
        .floor("name: purchase; P3Y")
        .floor("phone: purchase; P3Y")
        .floor("email: purchase; P2Y")
        .active("purchase", "2024-03-10")
        .expect(
            "2030-01-01",
            &[
                "2025-03-13T00:00:00 offers expire crm [] kept [email by floor:email, name by floor:name, phone by floor:phone]",
                "2026-03-13T00:00:00 offers expire crm [email] kept [name by floor:name, phone by floor:phone] deferred by floor:email",
                // Of two that end together the first by name.
                "2027-03-13T00:00:00 offers expire crm [name phone] deferred by floor:name",
            ],
        );
}

#[test]
fn a_removal_of_which_it_keeps_everything_is_warned_of_when_it_has_ended() {
    Story::new(&["offers: name; purchase; P23M warn mailing, P24M expire crm"])
        .floor(TAX)
        .active("purchase", "2016-05-04")
        .expect(
            "2030-01-01",
            &[
                "2018-05-07T00:00:00 offers expire crm [] kept [name by floor:name]",
                "2024-01-03T00:00:00 offers warn mailing [name]",
                // 30 days from 2018-04-05 to 2018-05-05, from 2024-01-03.
                "2024-02-03T00:00:00 offers expire crm [name] deferred by floor:name",
            ],
        );
}

#[test]
fn a_warning_that_was_given_holds_for_the_rest_too() {
    Story::new(&["offers: email name; purchase; P23M warn mailing, P24M expire crm"])
        .floor(TAX)
        .active("purchase", "2016-05-04")
        .expect(
            "2030-01-01",
            &[
                // It names what the removal would name now.
                "2018-04-07T00:00:00 offers warn mailing [email] kept [name by floor:name]",
                "2018-05-08T00:00:00 offers expire crm [email] kept [name by floor:name]",
                "2024-01-03T00:00:00 offers expire crm [name] deferred by floor:name",
            ],
        );
}

#[test]
fn the_rest_waits_for_the_window_and_for_holds() {
    let story = Story::new(&[PLAIN]).floor(TAX).active("purchase", "2016-05-04");
    let first = "2018-05-07T09:00:00 offers expire crm [email] kept [name by floor:name]";
    // 2024-01-03 is a Wednesday.
    let story = story.window("mon 09:00-17:00");
    story.expect("2030-01-01", &[first, "2024-01-08T09:00:00 offers expire crm [name] deferred by floor:name"]);
    story
        .held("dispute", "2023-06-01", Some("2024-03-31"))
        .expect("2030-01-01", &[first, "2024-04-01T09:00:00 offers expire crm [name] deferred by dispute"]);
}

#[test]
fn the_rest_at_each_target_names_the_hold() {
    Story::new(&["offers: name; purchase; P2Y expire crm mailing"])
        .floor(TAX)
        .active("purchase", "2016-05-04")
        .held("dispute", "2023-06-01", Some("2024-03-31"))
        .expect_from(
            "2020-01-01",
            "2030-01-01",
            &[
                "2024-04-01T00:00:00 offers expire crm [name] deferred by dispute",
                "2024-04-01T00:00:00 offers expire mailing [name] deferred by dispute",
            ],
        );
}

#[test]
fn activity_that_starts_over_takes_the_rest_with_it() {
    Story::new(&[PLAIN]).floor(TAX).active("purchase", "2016-05-04").active("login", "2023-06-01").expect(
        "2030-01-01",
        &[
            "2018-05-07T00:00:00 offers expire crm [email] kept [name by floor:name]",
            "2025-06-04T00:00:00 offers expire crm [email name]",
        ],
    );
}

#[test]
fn one_that_begins_to_keep_recalls_what_is_not_done() {
    Story::new(&["offers: email name; login; P2Y expire crm"])
        .floor("name: purchase; P1Y")
        .without_acknowledgements()
        .active("login", "2016-05-04")
        .active("purchase", "2018-05-08T10:00:00")
        .acknowledges(1, AckResult::Done, "2018-05-08T11:00:00", "2018-05-08T11:00:00")
        .acknowledges(2, AckResult::Done, "2018-05-08T11:00:00", "2018-05-08T11:00:00")
        .expect(
            "2019-05-12",
            &[
                "2018-05-07T00:00:00 offers expire crm [email name]",
                "2018-05-08T10:00:00 offers recall crm [email name]",
                "2018-05-08T10:00:00 offers expire crm [email] kept [name by floor:name]",
                "2019-05-11T00:00:00 offers expire crm [name] deferred by floor:name",
            ],
        );
}

#[test]
fn one_that_begins_to_keep_undoes_nothing_that_is_done() {
    Story::new(&["offers: email name; login; P2Y expire crm"])
        .floor("name: purchase; P1Y")
        .active("login", "2016-05-04")
        .active("purchase", "2018-05-08T10:00:00")
        .expect("2030-01-01", &["2018-05-07T00:00:00 offers expire crm [email name]"]);
}

#[test]
fn of_which_the_history_begins_somewhere_it_keeps_from_there() {
    // Everyone counts as having bought something on 2017-01-10.
    Story::new(&[PLAIN])
        .floor("name: purchase; P5Y")
        .known_since(KnownSince::At(at("2017-01-10T09:00:00")))
        .expect_from("2017-01-01", "2030-01-01", &[]);
    Story::new(&[PLAIN])
        .floor("name: purchase; P5Y")
        .known_since(KnownSince::At(at("2017-01-10T09:00:00")))
        .active("login", "2016-05-04")
        .expect(
            "2030-01-01",
            &[
                "2019-01-13T00:00:00 offers expire crm [email] kept [name by floor:name]",
                "2022-01-13T00:00:00 offers expire crm [name] deferred by floor:name",
            ],
        );
}

#[test]
fn one_that_begins_to_keep_all_that_was_warned_of_recalls_the_warning() {
    Story::new(&["offers: email; login; P23M warn mailing, P24M expire crm"])
        .floor("email: purchase; P1Y")
        .active("login", "2024-02-29")
        .active("purchase", "2026-02-10T10:00:00")
        .expect(
            "2030-01-01",
            &[
                "2026-02-01T00:00:00 offers warn mailing [email]",
                "2026-02-10T10:00:00 offers recall mailing [email]",
                // Nobody has to be warned of this.
                "2026-03-03T00:00:00 offers expire crm [] kept [email by floor:email]",
                "2027-02-13T00:00:00 offers warn mailing [email]",
                // 30 days from 2027-02-13.
                "2027-03-16T00:00:00 offers expire crm [email] deferred by floor:email",
            ],
        );
}

#[test]
fn one_that_begins_to_keep_some_of_it_makes_the_warning_be_given_anew() {
    Story::new(&["offers: email phone; login; P23M warn mailing, P24M expire crm"])
        .floor("email: purchase; P1Y")
        .active("login", "2024-02-29")
        .active("purchase", "2026-02-10T10:00:00")
        .expect(
            "2030-01-01",
            &[
                "2026-02-01T00:00:00 offers warn mailing [email phone]",
                "2026-02-10T10:00:00 offers recall mailing [email phone]",
                "2026-02-10T10:00:00 offers warn mailing [phone] kept [email by floor:email]",
                // 30 days from 2026-02-10.
                "2026-03-13T00:00:00 offers expire crm [phone] kept [email by floor:email]",
                "2027-02-13T00:00:00 offers expire crm [email] deferred by floor:email",
            ],
        );
}

#[test]
fn the_rest_goes_at_targets_that_cannot_acknowledge_too() {
    Story::new(&["offers: email phone; login; P2Y expire crm paper"])
        .floor("email: login; P3Y")
        .active("login", "2024-03-10")
        .expect(
            "2030-01-01",
            &[
                "2026-03-13T00:00:00 offers expire crm [phone] kept [email by floor:email]",
                "2026-03-13T00:00:00 offers expire paper [phone] kept [email by floor:email]",
                "2027-03-13T00:00:00 offers expire crm [email] deferred by floor:email",
                "2027-03-13T00:00:00 offers expire paper [email] deferred by floor:email",
            ],
        );
}
