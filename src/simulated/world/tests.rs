//! The simulator runs, and sees.

use super::plan::{Faults, HOUR, Plan, Settings};
use super::storm::run_plan;
use crate::plant::{Plant, plant};

/// These are run every time.
const FIXED: u64 = 40;
/// And so many others, unless LAPSED_RANDOM_SEEDS says how many; a seed that fails is told.
const RANDOM: usize = 20;

#[test]
fn promises_hold_in_every_storm() {
    let number = std::env::var("LAPSED_RANDOM_SEEDS").ok().and_then(|number| number.parse().ok());
    let others = (0..number.unwrap_or(RANDOM)).map(|_| u64::from(fastrand::u32(..)));
    for seed in (0..FIXED).chain(others) {
        let violation = run_plan(Plan::of(seed), false).violation;
        assert_eq!(violation, None, "replay it: cargo run --release --bin simulator -- --seed {seed}");
    }
}

#[test]
fn a_seed_does_the_same_again() {
    assert_eq!(run_plan(Plan::of(7), true).lines, run_plan(Plan::of(7), true).lines);
}

/// The mistake shows in one of these storms, and that storm is clean without it.
fn is_found_in(planted: Plant, storms: impl Iterator<Item = Plan>) {
    for plan in storms {
        plant(Some(planted));
        let found = run_plan(plan.clone(), false).violation;
        plant(None);
        if found.is_some() {
            assert_eq!(run_plan(plan.clone(), false).violation, None, "without {} {plan:?} is clean", planted.name());
            return;
        }
    }
    panic!("{} is not found", planted.name());
}

fn is_found(planted: Plant, within: u64) {
    is_found_in(planted, (0..within).map(Plan::of));
}

/// A storm in which nothing goes wrong but what a test adds.
fn fair(seed: u64) -> Plan {
    let plan = Plan::of(seed);
    Plan {
        processes: 1,
        customers: 35,
        faults: Faults::default(),
        settings: vec![plan.settings[0]],
        skew: 0,
        bad_clock: None,
        broker_clock: (None, 0),
        silence: [None; 2],
        renamed: None,
        gap_at: None,
        partition_added_at: None,
        source_transactions: 0,
        claims: 0,
        stopped: None,
        twins: false,
        ..plan
    }
}

#[test]
fn sending_before_the_gate_is_seen() {
    is_found(Plant::SendBeforeGate, 20);
}

#[test]
fn trusting_an_end_of_partition_is_seen() {
    is_found(Plant::TrustEof, 40);
}

#[test]
fn skipping_the_undo_is_seen() {
    is_found(Plant::SkipUndo, 20);
}

#[test]
fn keeping_a_revoked_shard_is_seen() {
    is_found(Plant::KeepRevoked, 20);
}

#[test]
fn forgetting_the_round_is_seen() {
    is_found(Plant::ForgetRound, 80);
}

#[test]
fn asking_for_the_end_as_a_committed_reader_is_seen() {
    is_found(Plant::EndReadCommitted, 40);
}

#[test]
fn counting_recalls_in_the_brake_is_seen() {
    is_found_in(Plant::CountRecalls, (0..40).map(tight));
}

#[test]
fn sending_while_behind_is_seen() {
    is_found_in(Plant::FireWhileBehind, (0..60).map(starved));
}

// The rare ones show in storms that are made for them.

/// Processes are stopped while their shards are given to others.
fn restless(seed: u64) -> Plan {
    let faults = Faults { crash: 4, stall: 12, abort: 100, lost_answer: 60, rebalance: 29, ..Faults::default() };
    Plan { faults, processes: 3, ..fair(seed) }
}

/// Shards get no records for hours, and then all at once.
fn starved(seed: u64) -> Plan {
    Plan { faults: Faults { starve: 25, ..Faults::default() }, ..fair(seed) }
}

/// Two customers a day and shard are what the brake lets through.
fn tight(seed: u64) -> Plan {
    let plan = fair(seed);
    let (begin, settings) = plan.settings[0];
    Plan { settings: vec![(begin, Settings { brake: 2, ..settings })], ..plan }
}

/// Brokers take up to minutes to say where a partition ends.
fn slow(seed: u64) -> Plan {
    Plan { answer_ms: 240_000, unfetched: 0, ..fair(seed) }
}

/// One instance after another takes over that orders count, too, and it takes them hours.
fn differing(seed: u64) -> Plan {
    let plan = fair(seed);
    let (begin, before) = plan.settings[0];
    let after = Settings { counts_orders: true, ..before };
    Plan { processes: 3, takes_over: 12, settings: vec![(begin, before), (begin + 6 * HOUR, after)], ..plan }
}

#[test]
fn the_group_s_metadata_read_at_sending_is_seen() {
    is_found_in(Plant::MembershipAtSending, (0..40).map(restless));
}

#[test]
fn an_empty_list_of_offsets_is_seen() {
    is_found_in(Plant::EmptyOffsets, (20..40).map(restless));
}

#[test]
fn taking_the_moment_after_the_end_is_seen() {
    is_found_in(Plant::MomentAfterEnd, (100..120).map(slow));
}

#[test]
fn believing_the_progress_of_another_configuration_is_seen() {
    is_found_in(Plant::BelieveOtherProgress, (0..40).map(differing));
}
