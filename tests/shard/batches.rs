//! Aborting takes everything back.

use crate::events::{batches, beginning, entries, events};
use crate::rig::{Rig, activity, at, line, progress, progress_with};
use lapsed::track::outputs::Outputs;
use proptest::prelude::*;

type Left = (Vec<String>, Vec<(Vec<u8>, Option<Vec<u8>>)>);

/// What a batch leaves, in an order of its own: customers are independent of each other.
fn left(rig: &Rig, out: &Outputs) -> Left {
    let mut commands: Vec<_> = out.commands().map(|(customer, sent)| line(&rig.config, customer, sent)).collect();
    let mut changelog: Vec<_> = out.changelog().map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec))).collect();
    commands.sort();
    changelog.sort();
    (commands, changelog)
}

proptest! {
    #[test]
    fn an_aborted_batch_has_never_been(
        before in batches(0..6), aborted in batches(1..4), after in batches(1..6), behind in any::<bool>()
    ) {
        let (mut rig, mut twin) = (Rig::new(), Rig::new());
        let mut now = beginning();
        for batch in &before {
            let entries = entries(&rig, batch, &mut now);
            rig.batch(&entries);
            twin.batch(&entries);
        }
        for batch in &aborted {
            let entries = entries(&rig, batch, &mut now.clone());
            rig.ahead = if behind { 100_000 } else { 0 };
            let _ = rig.try_batch(&entries);
            rig.shard.abort();
            prop_assert_eq!(rig.shard.now(), twin.shard.now());
            prop_assert_eq!(rig.shard.next_offset(), twin.shard.next_offset());
            rig.ahead = 0;
        }
        for batch in &after {
            let entries = entries(&twin, batch, &mut now);
            let (applied, out, more) = twin.try_batch(&entries);
            let (applied_again, out_again, more_again) = rig.try_batch(&entries);
            prop_assert_eq!(applied_again, applied);
            prop_assert_eq!(more_again, more);
            prop_assert_eq!(left(&rig, &out_again), left(&twin, &out));
            let (mut stats, mut twins) = (rig.shard.stats(), twin.shard.stats());
            (stats.memory_bytes, twins.memory_bytes) = (0, 0);
            prop_assert_eq!(stats, twins);
            rig.commit(&entries, &out_again);
            twin.commit(&entries, &out);
        }
    }

    /// What was sent is not sent again, whether or not the shard has moved to another owner.
    #[test]
    fn replaying_a_batch_sends_nothing(before in batches(1..8), last in events()) {
        let mut rig = Rig::new();
        let mut now = beginning();
        for batch in &before {
            let entries = entries(&rig, batch, &mut now);
            rig.batch(&entries);
        }
        let entries = entries(&rig, &last, &mut now);
        rig.batch(&entries);
        let sent = rig.sent.len();
        rig.batch(&entries);
        prop_assert_eq!(rig.sent.len(), sent);
        let mut restored = rig.restored();
        restored.batch(&entries);
        prop_assert_eq!(restored.lines(), Vec::<String>::new());
    }
}

#[test]
fn aborts_do_not_pile_up() {
    let mut rig = Rig::new();
    let now = beginning();
    let entries: Vec<_> = (0..20_000).map(|place| activity(now, &format!("c{place}"), "login", now)).collect();
    let entries = [&entries[..], &[progress(now, &rig.config)]].concat();
    let mut sizes = Vec::new();
    for _ in 0..20 {
        let _ = rig.try_batch(&entries);
        rig.shard.abort();
        sizes.push(rig.shard.memory_bytes());
    }
    assert!(sizes[19] < 2 * sizes[3], "{sizes:?}");
}

#[test]
fn whoever_waits_for_the_gate_still_does_after_an_abort() {
    let mut rig = Rig::new();
    let left = at("2024-03-10");
    rig.batch(&[activity(left, "4711", "login", left), progress(left, &rig.config)]);
    let due = at("2025-03-20");
    rig.batch(&[progress_with(due, &rig.config, |partition| partition.complete_to = None)]);
    let back = [activity(due + 1, "4711", "login", due)];
    for outcome in ["aborted", "committed"] {
        assert_eq!(rig.shard.stats().policies[0].due_unsent, 1, "{outcome}");
        let (_, out, _) = rig.try_batch(&back);
        assert_eq!(rig.shard.stats().policies[0].due_unsent, 0, "{outcome}");
        match outcome {
            "aborted" => rig.shard.abort(),
            _ => rig.commit(&back, &out),
        }
    }
}
