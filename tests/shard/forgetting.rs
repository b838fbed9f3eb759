//! Our own record goes, too; what comes late of the forgotten revives nobody.

use crate::rig::{DAY, Rig, activity, at, claim, progress_with};
use lapsed::retention::calendar::{Seconds, Timestamp};
use lapsed::retention::claims::Claim;
use lapsed::track::shard::Applied;

const LEFT: &str = "2024-03-10";

/// Everything has been sent by 2026-03-15 and done the day after.
fn gone() -> Rig {
    let mut rig = Rig::new();
    let left = at(LEFT);
    rig.batch(&[activity(left, "4711", "login", left), crate::rig::progress(left, &rig.config)]);
    rig.days(left, at("2026-04-15"), true);
    assert_eq!((rig.shard.stats().customers, rig.shard.stats().forgotten), (1, 0));
    rig.days(at("2026-04-15"), at("2026-04-16"), true);
    assert_eq!((rig.shard.stats().customers, rig.shard.stats().forgotten), (0, 1));
    rig
}

#[test]
fn the_record_goes_after_the_period_and_stays_gone_after_a_restore() {
    let rig = gone();
    assert!(!rig.state.contains_key(&b"4711"[..]));
    assert!(rig.state.iter().all(|(key, value)| !contains(key, b"4711") && !contains(value, b"4711")));
    let restored = rig.restored();
    assert_eq!((restored.shard.stats().customers, restored.shard.stats().forgotten), (0, 1));
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn what_is_late_is_suppressed_and_who_returns_is_new() {
    for mut rig in [gone(), gone().restored()] {
        let now = at("2026-05-01");
        // The last command was decided on 2026-03-15: what happened on the day before is late.
        let late = rig.batch(&[
            activity(now, "4711", "login", at("2026-03-15") - 1),
            claim(now, "4711", Claim::Erasure { at: Timestamp(at("2026-03-14")) }),
        ]);
        assert_eq!(late, [Applied::Suppressed, Applied::Suppressed]);
        assert_eq!((rig.shard.stats().customers, rig.shard.stats().suppressed), (0, 2));
        let new = rig.batch(&[activity(now, "4711", "login", at("2026-03-16") - 1)]);
        assert_eq!(new, [Applied::Merged]);
        assert_eq!(rig.shard.stats().customers, 1);
        // An old word about the new customer is as late.
        let late = rig.batch(&[claim(now, "4711", Claim::Erasure { at: Timestamp(at("2026-03-14")) })]);
        assert_eq!(late, [Applied::Suppressed]);
    }
}

#[test]
fn whoever_is_held_is_not_forgotten() {
    let mut rig = Rig::new();
    let left = at(LEFT);
    rig.batch(&[activity(left, "4711", "login", left), crate::rig::progress(left, &rig.config)]);
    rig.days(left, at("2026-04-01"), true);
    let now = at("2026-04-01");
    let hold = Claim::Hold {
        id: "dispute".to_owned(),
        at: Timestamp(now),
        until: Some(Timestamp(at("2026-06-01"))),
        reason: String::new(),
        policies: None,
    };
    rig.batch(&[claim(now, "4711", hold)]);
    rig.days(now, at("2026-06-01"), true);
    assert_eq!(rig.shard.stats().customers, 1);
    rig.days(at("2026-06-01"), at("2026-06-03"), true);
    assert_eq!(rig.shard.stats().customers, 0);
}

#[test]
fn an_aborted_farewell_has_not_been_said() {
    let mut rig = Rig::new();
    let left = at(LEFT);
    rig.batch(&[activity(left, "4711", "login", left), crate::rig::progress(left, &rig.config)]);
    rig.days(left, at("2026-04-15"), true);
    let entries = [crate::rig::progress(at("2026-04-15"), &rig.config)];
    let (_, out, _) = rig.try_batch(&entries);
    assert!(out.changelog().any(|(key, value)| key == b"4711" && value.is_none()));
    rig.shard.abort();
    assert_eq!((rig.shard.stats().customers, rig.shard.stats().forgotten), (1, 0));
    rig.batch(&entries);
    assert_eq!((rig.shard.stats().customers, rig.shard.stats().forgotten), (0, 1));
}

#[test]
fn what_is_left_goes_when_no_source_can_still_deliver_what_is_late() {
    let mut rig = gone();
    // Two years after the end, from a topic that is kept for ever: it stays.
    rig.days(at("2028-03-14"), at("2028-03-20"), true);
    assert_eq!(rig.shard.stats().forgotten, 1);
    for (kept, left) in [(800, 1), (30, 0)] {
        let now = at("2028-03-20") + i64::from(left == 0) * DAY;
        let entry = crate::rig::progress_kept(now, &rig.config, Some(Seconds(kept * DAY)));
        rig.batch(&[entry]);
        assert_eq!(rig.shard.stats().forgotten, left, "kept for {kept} days");
    }
    assert_eq!(rig.restored().shard.stats().forgotten, 0);
}

#[test]
fn the_record_goes_as_soon_as_the_gate_opens_and_nothing_is_due_meanwhile() {
    let mut rig = Rig::new();
    let left = at(LEFT);
    rig.batch(&[activity(left, "4711", "login", left), crate::rig::progress(left, &rig.config)]);
    rig.days(left, at("2026-04-10"), true);
    let closed = |now: i64, rig: &Rig| progress_with(now, &rig.config, |partition| partition.complete_to = None);
    for day in 0..20 {
        let now = at("2026-04-10") + day * DAY;
        rig.batch(&[closed(now, &rig)]);
    }
    let stats = rig.shard.stats();
    assert_eq!((stats.customers, stats.policies[0].due_unsent, stats.policies[1].due_unsent), (1, 0, 0));
    // An hour after it was last looked at, not a day.
    let opens = at("2026-04-10") + 19 * DAY + 3600;
    for mut rig in [rig.restored(), rig] {
        rig.batch(&[crate::rig::progress(opens, &rig.config)]);
        rig.batch(&[crate::rig::progress(opens + 10, &rig.config)]);
        assert_eq!(rig.shard.stats().customers, 0);
    }
}

#[test]
fn while_a_gate_is_closed_nobody_is_forgotten() {
    let mut rig = Rig::new();
    let left = at(LEFT);
    rig.batch(&[activity(left, "4711", "login", left), crate::rig::progress(left, &rig.config)]);
    rig.days(left, at("2026-04-10"), true);
    for day in 0..20 {
        let now = at("2026-04-10") + day * DAY;
        rig.batch(&[progress_with(now, &rig.config, |partition| partition.complete_to = None)]);
    }
    assert_eq!(rig.shard.stats().customers, 1);
    rig.days(at("2026-05-01"), at("2026-05-04"), true);
    assert_eq!(rig.shard.stats().customers, 0);
}
