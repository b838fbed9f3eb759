//! A mass of commands runs into the brake; backlog waits for a person.

use crate::rig::{DAY, Entry, Rig, activity, answer, at, claim, config, instruct, progress, release, text};
use lapsed::retention::brake::Order;
use lapsed::retention::calendar::Timestamp;
use lapsed::retention::claims::Claim;
use lapsed::retention::customer::AckResult;
use lapsed::track::shard::Applied;

const LEFT: &str = "2024-03-10";

/// So many customers who were last seen on a day, and the shard's clock there.
fn customers(count: usize, day: i64, rig: &Rig) -> Vec<Entry> {
    let mut entries: Vec<_> = (0..count).map(|place| activity(day, &format!("c{place}"), "login", day)).collect();
    entries.push(progress(day, &rig.config));
    entries
}

fn sent_by(rig: &Rig, policy: &str) -> usize {
    rig.sent.iter().filter(|(_, command)| command.policy == policy && !command.verb.is_recall()).count()
}

#[test]
fn more_than_a_day_may_have_stops_the_policy_until_it_is_released() {
    let mut rig = Rig::new();
    rig.batch(&customers(25, at(LEFT), &rig));
    rig.days(at("2025-03-13"), at("2025-03-16"), true);
    // One percent of 25 is less than ten; the eleventh pulls the brake, and a new day doesn't let go of it.
    assert_eq!(sent_by(&rig, "newsletter"), 10);
    let stats = rig.shard.stats().policies[0].clone();
    assert_eq!((stats.brake_engaged, stats.waiting_for_release, stats.due_unsent), (true, 15, 15));
    let mut restored = rig.restored();
    restored.days(at("2025-03-16"), at("2025-03-18"), true);
    assert_eq!(restored.sent.len(), 0, "no restart forgets");
    let now = at("2025-03-18");
    rig.batch(&[release(now, &rig.config, "newsletter", now, 4), progress(now, &rig.config)]);
    // What the release doesn't cover flows again, as a day may have it.
    assert_eq!(sent_by(&rig, "newsletter"), 10 + 4 + 10);
    assert!(rig.shard.stats().policies[0].brake_engaged);
    rig.batch(&[release(now + 1, &rig.config, "newsletter", now, 1)]);
    rig.days(now + DAY, now + 3 * DAY, true);
    assert_eq!(sent_by(&rig, "newsletter"), 25);
    assert!(!rig.shard.stats().policies[0].brake_engaged);
}

#[test]
fn a_share_of_many_is_more_than_the_least() {
    let mut rig = Rig::of(config(&text()));
    rig.batch(&customers(2_000, at(LEFT), &rig));
    rig.days(at("2025-03-13"), at("2025-03-14"), true);
    assert_eq!(sent_by(&rig, "newsletter"), 20);
}

#[test]
fn what_was_due_when_the_shard_first_ran_waits_however_little_it_is() {
    let mut rig = Rig::new();
    let now = at("2026-03-01");
    rig.batch(&[activity(now, "old", "login", at("2024-01-10")), activity(now, "new", "login", at("2025-03-10"))]);
    rig.days(now, at("2026-03-20"), true);
    assert_eq!(rig.lines(), ["2026-03-13 new newsletter expire mailing"]);
    let stats = rig.shard.stats().policies[0].clone();
    assert_eq!((stats.waiting_for_release, stats.brake_engaged), (1, false));
    // The warning leaves under a release; the removal falls due when its notice ends, and flows.
    let released = at("2026-03-20");
    rig.batch(&[
        release(released, &rig.config, "newsletter", released, 5),
        release(released, &rig.config, "offers", released, 5),
    ]);
    rig.days(released, at("2026-05-01"), true);
    let old: Vec<_> = rig.lines().into_iter().filter(|line| line.contains(" old ")).collect();
    assert_eq!(
        old,
        [
            "2026-03-20 old newsletter expire mailing",
            "2026-03-20 old offers warn mailing",
            "2026-04-22 old offers anonymise crm",
            "2026-04-22 old offers anonymise mailing",
        ]
    );
}

#[test]
fn a_release_may_be_given_ahead_and_ends_when_they_are_through() {
    let mut rig = Rig::new();
    rig.batch(&customers(40, at(LEFT), &rig));
    let approved = at("2025-02-01");
    rig.batch(&[release(approved, &rig.config, "newsletter", at("2025-03-12"), 40), progress(approved, &rig.config)]);
    assert_eq!(rig.shard.brakes().policies["newsletter"].releases.len(), 1);
    rig.days(at("2025-03-13"), at("2025-03-14"), true);
    assert_eq!(sent_by(&rig, "newsletter"), 40);
    assert!(rig.shard.brakes().policies["newsletter"].releases.is_empty());
    assert!(!rig.shard.stats().policies[0].brake_engaged);
}

#[test]
fn a_release_ends_with_those_it_was_given_for() {
    let mut rig = Rig::new();
    rig.batch(&customers(40, at(LEFT), &rig));
    let approved = at("2025-02-01");
    rig.batch(&[release(approved, &rig.config, "newsletter", at("2025-03-12"), 40), progress(approved, &rig.config)]);
    // Fifteen come back, and are due long after its date.
    let back = at("2025-02-10");
    let returned: Vec<_> = (0..15).map(|place| activity(back, &format!("c{place}"), "login", back)).collect();
    rig.batch(&returned);
    rig.days(at("2025-03-13"), at("2025-03-15"), true);
    assert_eq!(sent_by(&rig, "newsletter"), 25);
    assert!(rig.shard.brakes().policies["newsletter"].releases.is_empty(), "what is left of it serves nobody else");
    // Whoever is heard of only now and was due by its date is stopped as on any day.
    let late = at("2025-03-15");
    let unknown: Vec<_> = (0..15).map(|place| activity(late, &format!("x{place}"), "login", at(LEFT))).collect();
    rig.batch(&unknown);
    rig.days(late, late + 2 * DAY, true);
    assert_eq!(sent_by(&rig, "newsletter"), 25 + 10);
    assert!(rig.shard.stats().policies[0].brake_engaged);
}

#[test]
fn a_release_lets_no_request_go_that_was_made_after_it() {
    let mut rig = Rig::new();
    let many = customers(25, at(LEFT), &rig);
    rig.batch(&many);
    let approved = at("2025-02-01");
    rig.batch(&[release(approved, &rig.config, "newsletter", at("2025-03-12"), 25), progress(approved, &rig.config)]);
    let asked = at("2025-02-10");
    let requests = (0..12).map(|place| claim(asked, &format!("x{place}"), Claim::Erasure { at: Timestamp(asked) }));
    rig.batch(&requests.collect::<Vec<_>>());
    rig.days(asked + DAY, asked + 3 * DAY, true);
    assert_eq!(sent_by(&rig, "newsletter"), 10, "they have a count of their own");
    assert_eq!(rig.shard.brakes().policies["newsletter"].releases[0].left, 25);
    rig.days(at("2025-03-13"), at("2025-03-14"), true);
    assert_eq!(sent_by(&rig, "newsletter"), 10 + 25);
}

#[test]
fn a_release_that_is_given_while_the_window_is_closed_waits_for_it() {
    let mut rig = Rig::of(config(&format!("{}window: {{days: [mon], hours: \"09:00-17:00\"}}\n", text())));
    let saturday = at("2026-03-07");
    let many: Vec<_> =
        (0..20).map(|place| activity(saturday, &format!("c{place}"), "login", at("2025-01-10"))).collect();
    rig.batch(&many);
    rig.batch(&[release(saturday, &rig.config, "newsletter", at("2026-01-12"), 20), progress(saturday, &rig.config)]);
    rig.days(saturday + DAY, at("2026-03-09"), true);
    assert_eq!(sent_by(&rig, "newsletter"), 0);
    let monday = at("2026-03-09") + 10 * 3600;
    rig.batch(&[progress(monday, &rig.config)]);
    assert_eq!(sent_by(&rig, "newsletter"), 20);
}

#[test]
fn no_more_than_a_release_says() {
    let mut rig = Rig::new();
    let now = at("2026-03-01");
    let many: Vec<_> = (0..30).map(|place| activity(now, &format!("c{place}"), "login", at("2025-01-10"))).collect();
    rig.batch(&many);
    rig.batch(&[release(now, &rig.config, "newsletter", now, 7), progress(now, &rig.config)]);
    rig.days(now, now + 5 * DAY, true);
    assert_eq!(sent_by(&rig, "newsletter"), 7);
    let per_day = Order::Release {
        policy: "newsletter".to_owned(),
        version: rig.config.rules.policies[0].version.clone(),
        due_before: Timestamp(now),
        at_most: 20,
        per_day: Some(3),
    };
    let later = now + 5 * DAY;
    rig.batch(&[instruct(later, per_day), progress(later, &rig.config)]);
    assert_eq!(sent_by(&rig, "newsletter"), 10);
    rig.days(later + DAY, later + 3 * DAY, true);
    assert_eq!(sent_by(&rig, "newsletter"), 16);
}

#[test]
fn a_release_for_another_version_or_given_twice_changes_nothing() {
    let mut rig = Rig::new();
    let now = at("2026-03-01");
    let many: Vec<_> = (0..30).map(|place| activity(now, &format!("c{place}"), "login", at("2025-01-10"))).collect();
    rig.batch(&many);
    let other = config(&text().replace("P1Y,", "P6M,"));
    let refused = rig.batch(&[release(now, &other, "newsletter", now, 30), progress(now, &rig.config)]);
    assert!(matches!(refused[0], Applied::Instructed(Err(_))), "{refused:?}");
    let twice = release(now, &rig.config, "newsletter", now, 4);
    rig.batch(&[twice.clone(), twice, progress(now, &rig.config)]);
    assert_eq!(sent_by(&rig, "newsletter"), 4);
}

#[test]
fn stopped_by_hand_nothing_leaves_but_recalls_and_answers_still_count() {
    let mut rig = Rig::new();
    rig.batch(&customers(2, at(LEFT), &rig));
    rig.days(at("2026-02-13"), at("2026-02-14"), false);
    assert_eq!(rig.lines().iter().filter(|line| line.contains("offers warn")).count(), 2);
    let now = at("2026-02-14");
    rig.batch(&[instruct(now, Order::Stop { policy: None }), progress(now, &rig.config)]);
    rig.days(now, at("2026-02-20"), false);
    let before = rig.lines().len();
    assert!(rig.lines().iter().all(|line| !line.contains("attempt")), "no further attempts either");
    let back = at("2026-02-20");
    rig.batch(&[activity(back, "c0", "login", back), progress(back, &rig.config)]);
    assert!(
        rig.lines()[before..].iter().all(|line| line.contains(" c0 ") && line.contains(" recall ")),
        "{:?}",
        &rig.lines()[before..]
    );
    let warned = rig.sent.iter().find(|(customer, command)| customer == "c1" && command.policy == "offers").cloned();
    let (customer, command) = warned.unwrap();
    rig.batch(&[answer(back, &rig.config, &customer, &command, AckResult::Done)]);
    rig.days(back, at("2026-05-01"), true);
    assert!(rig.lines().iter().all(|line| !line.contains("anonymise")));
    let later = at("2026-05-01");
    rig.batch(&[release(later, &rig.config, "offers", later, 9), progress(later, &rig.config)]);
    assert!(rig.lines().iter().any(|line| line == "2026-05-01 c1 offers anonymise crm"));
}

#[test]
fn requests_are_counted_apart() {
    let mut rig = Rig::new();
    rig.batch(&customers(25, at(LEFT), &rig));
    rig.days(at("2025-03-13"), at("2025-03-14"), true);
    assert_eq!(sent_by(&rig, "newsletter"), 10);
    let asked = at("2025-03-14");
    let requests = (0..12).map(|place| claim(asked, &format!("x{place}"), Claim::Erasure { at: Timestamp(asked) }));
    rig.batch(&requests.collect::<Vec<_>>());
    rig.days(asked + DAY, asked + 3 * DAY, true);
    let erased = rig.lines().iter().filter(|line| line.contains(" x") && line.contains("newsletter expire")).count();
    assert_eq!(erased, 10, "ten in a day, although the brake is on for those due by period");
    let version = rig.config.rules.policies[0].version.clone();
    let order = Order::Release {
        policy: "newsletter".to_owned(),
        version,
        due_before: Timestamp(asked + 3 * DAY),
        at_most: 30,
        per_day: None,
    };
    let later = asked + 3 * DAY;
    rig.batch(&[instruct(later, order), progress(later, &rig.config)]);
    assert_eq!(sent_by(&rig, "newsletter"), 37);
}

#[test]
fn at_another_cluster_everything_starts_stopped() {
    let mut rig = Rig::new();
    rig.batch(&customers(3, at(LEFT), &rig));
    let elsewhere = lapsed::track::shard::Home { cluster: "elsewhere".to_owned(), ..crate::rig::home() };
    let mut moved = rig.restored_at(elsewhere.clone());
    moved.days(at("2025-03-13"), at("2025-03-16"), true);
    assert_eq!(moved.lines(), Vec::<String>::new());
    let mut again = moved.restored_at(elsewhere);
    again.days(at("2025-03-16"), at("2025-03-18"), true);
    assert_eq!(again.lines(), Vec::<String>::new());
    let now = at("2025-03-18");
    again.batch(&[release(now, &again.config, "newsletter", now, 3), progress(now, &again.config)]);
    assert_eq!(sent_by(&again, "newsletter"), 3);
}
