//! However often and in whatever order activity comes, it comes to the same.

use crate::rig::{DAY, Rig, activity, at, progress, sightings};
use lapsed::track::shard::{Applied, Seen};
use proptest::prelude::*;

proptest! {
    #[test]
    fn replay_in_any_order_and_number_merges_to_the_same(
        seen in prop::collection::vec((0..6_u8, 0..3_u8, 1..300_i64), 1..40),
        shuffled in any::<Vec<prop::sample::Index>>(),
        cuts in prop::collection::vec(1..9_usize, 1..9),
    ) {
        let now = at("2025-01-01");
        let kinds = ["login", "purchase", "contact"];
        let entry = |(customer, kind, days): (u8, u8, i64)| {
            activity(now, &format!("customer {customer}"), kinds[usize::from(kind)], now - days * DAY)
        };
        let mut rig = Rig::new();
        rig.batch(&seen.iter().map(|seen| entry(*seen)).collect::<Vec<_>>());
        // All of them backwards, some of them again, in batches of another size.
        let again = shuffled.iter().map(|index| *index.get(&seen));
        let entries: Vec<_> = again.clone().chain(seen.iter().rev().copied()).chain(again).map(entry).collect();
        let mut other = Rig::new();
        let mut rest = entries.as_slice();
        for cut in cuts.iter().cycle() {
            let (batch, left) = rest.split_at((*cut).min(rest.len()));
            other.batch(batch);
            rest = left;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(&other.state, &rig.state);
        let report = progress(now, &rig.config);
        rig.batch(std::slice::from_ref(&report));
        other.batch(&[report]);
        let (mut stats, mut others) = (rig.shard.stats(), other.shard.stats());
        (stats.memory_bytes, others.memory_bytes) = (0, 0);
        prop_assert_eq!(others, stats);
    }
}

proptest! {
    /// In one record or in one each, activities come to the same; and nothing stays of a transaction that aborts.
    #[test]
    fn activities_of_one_record_merge_as_those_of_many(
        seen in prop::collection::vec((0..6_u8, 0..3_u8, 1..300_i64), 1..40), cut in 0..40_usize
    ) {
        let now = at("2025-01-01");
        let kinds = ["login", "purchase", "elsewhere"];
        let seen: Vec<(String, &str, i64)> = seen
            .into_iter()
            .map(|(customer, kind, days)| (format!("customer {customer}"), kinds[usize::from(kind)], now - days * DAY))
            .collect();
        let (mut alone, mut together) = (Rig::new(), Rig::new());
        let one_each = |(customer, kind, at): &(String, &str, i64)| activity(now, customer, kind, *at);
        alone.batch(&seen.iter().map(one_each).collect::<Vec<_>>());
        let (first, second) = seen.split_at(cut.min(seen.len()));
        let records: Vec<_> = [first, second].iter().filter(|all| !all.is_empty()).map(|all| sightings(now, all)).collect();
        let before = together.shard.stats();
        let _ = together.try_batch(&records);
        together.shard.abort();
        prop_assert_eq!(together.shard.stats().customers, before.customers);
        let applied = together.batch(&records);
        prop_assert!(applied.iter().all(|applied| *applied == Applied::Seen(Seen::default())), "{:?}", applied);
        prop_assert_eq!(&together.state, &alone.state);
    }
}

#[test]
fn what_is_known_already_is_not_written_again() {
    let mut rig = Rig::new();
    let now = at("2025-01-01");
    rig.batch(&[activity(now, "4711", "login", now), progress(now, &rig.config)]);
    let older = [activity(now + 1, "4711", "login", now), activity(now + 1, "4711", "login", now - 9)];
    let (_, out, _) = rig.try_batch(&older);
    assert_eq!(out.changelog().len(), 0);
}

#[test]
fn a_customer_is_written_once_a_batch() {
    let mut rig = Rig::new();
    let now = at("2025-01-01");
    rig.batch(&[activity(now, "other", "login", now)]);
    let entries: Vec<_> = (0..50).map(|second| activity(now, "4711", "login", now + second)).collect();
    let (_, out, _) = rig.try_batch(&entries);
    assert_eq!(out.changelog().len(), 1);
    rig.shard.commit();
}
