//! The changelog is the truth.

use crate::events::{batches, beginning, entries};
use crate::rig::{DAY, Rig, activity, at, config, home, progress, text};
use lapsed::retention::calendar::Timestamp;
use lapsed::track::shard::{Home, RestoreError, Shard};
use lapsed::wire::bytes::DecodeError;
use lapsed::wire::state::{GATE_KEY, HEADER_KEY, Header};
use proptest::prelude::*;

proptest! {
    #[test]
    fn a_restored_shard_decides_the_same(before in batches(1..8), after in batches(1..6)) {
        let mut rig = Rig::new();
        let mut now = beginning();
        for batch in &before {
            let entries = entries(&rig, batch, &mut now);
            rig.batch(&entries);
        }
        // Whose record a closed gate keeps from being forgotten is looked at a day later, and at once by a shard
        // that is restored: nobody may wait for that here.
        now += 86_401;
        rig.batch(&[progress(now, &rig.config)]);
        let mut restored = rig.restored();
        let progress = progress(now, &rig.config);
        let sent = rig.sent.len();
        rig.batch(std::slice::from_ref(&progress));
        restored.batch(&[progress]);
        for batch in &after {
            let entries = entries(&rig, batch, &mut now);
            rig.batch(&entries);
            restored.batch(&entries);
        }
        let (mut lines, mut again) = (rig.lines()[sent..].to_vec(), restored.lines());
        lines.sort();
        again.sort();
        prop_assert_eq!(again, lines);
        prop_assert_eq!(&restored.state, &rig.state);
        let (mut stats, mut others) = (rig.shard.stats(), restored.shard.stats());
        (stats.memory_bytes, others.memory_bytes) = (0, 0);
        // Counted since a shard began.
        (stats.suppressed, others.suppressed) = (0, 0);
        prop_assert_eq!(others, stats);
    }

    #[test]
    fn no_changelog_makes_it_panic(records in prop::collection::vec((any::<Vec<u8>>(), any::<Option<Vec<u8>>>()), 1..9)) {
        let mut shard = Shard::new(home(), config(&text()));
        for (key, value) in records {
            let _ = shard.restore(&key, value.as_deref());
        }
        let _ = shard.finish_restore(true);
    }
}

#[test]
fn the_last_record_of_a_key_counts() {
    let mut rig = Rig::new();
    let now = at("2025-01-01");
    rig.batch(&[activity(now, "a", "login", now), activity(now, "b", "purchase", now), progress(now, &rig.config)]);
    let (header, [a, b]) = (&rig.state[HEADER_KEY], [b"a", b"b"].map(|key| &rig.state[&key[..]]));
    let mut shard = Shard::new(home(), rig.config.clone());
    for (key, value) in
        [(&b"a"[..], Some(b)), (HEADER_KEY, Some(header)), (b"a", Some(a)), (b"b", Some(b)), (b"b", None), (b"c", None)]
    {
        shard.restore(key, value.map(Vec::as_slice)).unwrap();
    }
    shard.finish_restore(true).unwrap();
    let stats = shard.stats();
    assert_eq!((stats.customers, stats.without_starting_point), (1, 0));
    assert_eq!(stats.policies.iter().map(|policy| policy.active).collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn what_cannot_be_restored_says_why() {
    let header = |partitions, cluster: &str| {
        let mut value = Vec::new();
        Header { partitions, cluster: cluster.to_owned() }.encode(&mut value);
        value
    };
    let mut rig = Rig::new();
    let now = at("2025-01-01");
    rig.batch(&[activity(now, "4711", "login", now)]);
    let state = rig.state[&b"4711"[..]].clone();
    let mut newer = state.clone();
    newer[0] += 1;
    let partition = 0;
    let undecodable = |reason| RestoreError::Undecodable { partition, reason };
    let table = [
        (HEADER_KEY, header(2, "test"), RestoreError::OtherPartitions { partition, written: 1, partitions: 2 }),
        (b"4711", newer, undecodable(DecodeError::UnknownFormat)),
        (b"4711", state[..state.len() - 1].to_vec(), undecodable(DecodeError::Truncated)),
        (GATE_KEY, Vec::new(), undecodable(DecodeError::Truncated)),
        (b"\0later", Vec::new(), RestoreError::UnknownKey { partition }),
        (b"", state.clone(), RestoreError::UnknownKey { partition }),
    ];
    for (key, value, expected) in table {
        let expected = match expected {
            RestoreError::OtherPartitions { .. } => {
                RestoreError::OtherPartitions { partition, written: 2, partitions: 1 }
            }
            other => other,
        };
        let found = Shard::new(home(), rig.config.clone()).restore(key, Some(&value));
        assert_eq!(found, Err(expected), "{key:?}");
    }
    // Of eight shards, 4711 belongs to one.
    let of_eight = |partition| Home { partition, partitions: 8, cluster: "test".to_owned() };
    let restore = |partition| Shard::new(of_eight(partition), rig.config.clone()).restore(b"4711", Some(&state));
    assert_eq!((0..8).filter(|partition| restore(*partition).is_ok()).count(), 1);
}

#[test]
fn a_partition_that_lost_its_beginning_is_refused() {
    let new = || Shard::new(home(), config(&text()));
    assert_eq!(new().finish_restore(false), Ok(()));
    assert_eq!(new().finish_restore(true), Err(RestoreError::HeaderMissing { partition: 0 }));
    let mut rig = Rig::new();
    rig.batch(&[activity(beginning(), "4711", "login", beginning())]);
    let mut shard = new();
    shard.restore(b"4711", Some(&rig.state[&b"4711"[..]])).unwrap();
    assert_eq!(shard.finish_restore(false), Err(RestoreError::HeaderMissing { partition: 0 }));
}

#[test]
fn a_signal_of_another_shard_is_garbage() {
    let home = Home { partition: 3, partitions: 8, cluster: "test".to_owned() };
    let mut rig = Rig::new();
    rig.shard = Shard::new(home, rig.config.clone());
    let now = beginning();
    let entries: Vec<_> = (0..800).map(|place| activity(now, &format!("{place}"), "login", now)).collect();
    rig.batch(&entries);
    assert!((50..150).contains(&rig.shard.stats().customers), "{}", rig.shard.stats().customers);
}

/// A warning was sent, the broker's clock goes back, the shard is opened anew, and only then the answer comes.
#[test]
fn a_clock_that_goes_back_while_the_shard_is_opened_anew_shortens_no_notice() {
    let mut rig = Rig::new();
    let (then, now) = (at("2025-01-01"), at("2025-06-01"));
    rig.batch(&[progress(then, &rig.config), progress(now, &rig.config)]);
    let mut opened = rig.restored();
    assert_eq!(opened.shard.now(), None, "it decides nothing before it has read something");
    opened.batch(&[progress(then, &rig.config)]);
    assert_eq!(opened.shard.now(), Some(Timestamp(now)));
    // What was years ahead is not believed when it is over.
    let mut capped = rig.restored();
    capped.shard.begin_no_later_than(Timestamp(then + DAY));
    capped.batch(&[progress(then, &rig.config)]);
    assert_eq!(capped.shard.now(), Some(Timestamp(then + DAY)));
}
