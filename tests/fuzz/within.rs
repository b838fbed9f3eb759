//! What we write ourselves and read again, and what a shard makes of it.

use bolero::check;
use lapsed::config::Config;
use lapsed::retention::calendar::Timestamp;
use lapsed::track::outputs::Outputs;
use lapsed::track::shard::{Home, Input, Shard};
use lapsed::wire::signal::{SIGHTINGS, Signal, decode_sightings};
use lapsed::wire::{instruction, progress, state};
use std::sync::Arc;

/// What was read is written and read the same.
fn stays<T: std::fmt::Debug, E: std::fmt::Debug>(
    bytes: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, E>,
    encode: impl Fn(&T, &mut Vec<u8>),
) {
    if let Ok(read) = decode(bytes) {
        let mut written = Vec::new();
        encode(&read, &mut written);
        let again = decode(&written).unwrap();
        assert_eq!(format!("{again:?}"), format!("{read:?}"));
    }
}

pub fn round_trip(signal: &Signal) {
    let mut written = Vec::new();
    signal.encode(&mut written);
    assert_eq!(format!("{:?}", Signal::decode(&written).unwrap()), format!("{signal:?}"));
}

#[test]
fn signals() {
    check!().for_each(|bytes: &[u8]| {
        stays(bytes, Signal::decode, Signal::encode);
        let several = [&[SIGHTINGS], bytes].concat();
        if let Ok(all) = decode_sightings(&several) {
            let mut written = Vec::new();
            all.iter().for_each(|sighting| sighting.encode(&mut written));
            assert_eq!(decode_sightings(&written).unwrap_or_default(), all);
        }
    });
}

#[test]
fn reports_of_progress() {
    check!().for_each(|bytes: &[u8]| stays(bytes, progress::decode, progress::encode));
}

#[test]
fn instructions() {
    check!().for_each(|bytes: &[u8]| stays(bytes, instruction::decode, instruction::encode));
}

#[test]
fn records_of_the_changelog() {
    check!().for_each(|bytes: &[u8]| {
        stays(bytes, state::Header::decode, state::Header::encode);
        stays(bytes, state::decode_gate, state::encode_gate);
        stays(bytes, state::decode_brakes, state::encode_brakes);
        stays(bytes, state::decode_farewell, state::encode_farewell);
        stays(bytes, state::decode_record, state::encode_record);
        let _ = state::CustomerState::decode(bytes).map(|state| state.seen().count());
    });
}

/// A shard restores what is garbage, or says why it can't, and then reads garbage: its clock and all it
/// keeps stay within bounds, and an abort takes back all of it.
#[test]
fn a_shard() {
    let config: Arc<Config> = Arc::new(crate::config());
    check!().with_type::<(Vec<(u8, Vec<u8>, Vec<u8>)>, Vec<(u8, u16, Vec<u8>)>)>().for_each(|(changelog, log)| {
        let home = Home { partition: 0, partitions: 1, cluster: "fuzz".to_owned() };
        let mut shard = Shard::new(home, Arc::clone(&config));
        for (kind, key, value) in changelog {
            let key = key_of(*kind, key);
            if shard.restore(&key, Some(value)).is_err() {
                return;
            }
        }
        if shard.finish_restore(!changelog.is_empty()).is_err() {
            return;
        }
        let mut now = Timestamp(1_709_208_000);
        for (offset, (kind, wait, value)) in log.iter().enumerate() {
            now = now + lapsed::retention::calendar::Seconds(i64::from(*wait) * 60);
            shard.begin();
            let key = (*kind & 1 == 0).then_some(&b"4711"[..]);
            let input = Input {
                offset: i64::try_from(offset).unwrap(),
                append_ms: now.0 * 1000,
                key,
                value: (*kind & 2 == 0).then_some(value.as_slice()),
            };
            let mut out = Outputs::default();
            let before = shard.stats().customers;
            let _ = shard.apply(input);
            let _ = shard.decide(now.0 * 1000, 100, &mut out);
            shard.changelog(&mut out);
            if kind & 4 == 0 {
                shard.commit();
            } else {
                shard.abort();
                assert_eq!(shard.stats().customers, before);
            }
        }
    });
}

fn key_of(kind: u8, key: &[u8]) -> Vec<u8> {
    match kind % 6 {
        0 => state::HEADER_KEY.to_vec(),
        1 => state::GATE_KEY.to_vec(),
        2 => state::BRAKES_KEY.to_vec(),
        3 => state::CLOCK_KEY.to_vec(),
        4 => [b"\0gone:", &[0; 16][..]].concat(),
        _ => key.to_vec(),
    }
}
