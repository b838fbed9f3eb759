//! What others write: records, acknowledgements, files.

use bolero::check;
use lapsed::cli::records;
use lapsed::config::{Environment, load};
use lapsed::ingest::extract::{Extracted, Extractor, NoHeaders, Outcome, RecordView};
use lapsed::ingest::note::Note;
use lapsed::retention::calendar::Timestamp;
use lapsed::wire::{acknowledgement, audit};

const NOW_MS: i64 = 1_709_208_000_000;

/// Records of all sources: in the key, in the payload, as a CloudEvent in binary mode.
#[test]
fn records_of_sources() {
    let config = crate::config();
    check!().for_each(|bytes: &[u8]| {
        let mut extractor = Extractor::new(&config);
        let mut extracted = Extracted::default();
        let binary = vec![
            ("content-type".to_owned(), Some(b"application/json".to_vec())),
            ("ce_type".to_owned(), Some(b"preference".to_vec())),
            ("ce_time".to_owned(), Some(bytes.iter().take(30).copied().collect())),
        ];
        for source in 0..config.sources.len() {
            for headers in [&NoHeaders as &dyn lapsed::ingest::extract::Headers, &binary] {
                for now_ms in [None, Some(NOW_MS)] {
                    let record =
                        RecordView { timestamp_ms: Some(NOW_MS), key: Some(bytes), payload: Some(bytes), headers };
                    let outcome = extractor.extract(source, record, now_ms, &mut extracted);
                    let signals = extracted.activities().count() + extracted.claims().count();
                    assert_eq!(outcome == Outcome::Signals, signals > 0, "{outcome:?} with {signals} signals");
                    for activity in extracted.activities() {
                        assert!((1..=1024).contains(&activity.customer.len()));
                    }
                }
            }
        }
    });
}

/// What an acknowledgement says is what it says again when it is written as a signal.
#[test]
fn acknowledgements() {
    check!().for_each(|bytes: &[u8]| {
        let appended = Timestamp(NOW_MS / 1000);
        if let Ok((customer, answer)) = acknowledgement::decode(bytes, appended, chrono_tz::Europe::Amsterdam) {
            assert!((1..=1024).contains(&customer.len()));
            crate::within::round_trip(&lapsed::wire::signal::Signal::Acknowledgement(answer));
        }
    });
}

#[test]
fn configurations() {
    check!().for_each(|bytes: &[u8]| {
        if let Ok(text) = std::str::from_utf8(bytes) {
            let texts = [("fuzz.yaml".to_owned(), text.to_owned())];
            let _ = load::from_texts(&texts, Environment::Leave, crate::today());
        }
    });
}

/// The example with some bytes of its own in place of others: what loads must load again the same.
#[test]
fn configurations_nearly_right() {
    let whole = include_str!("config.yaml");
    check!().with_type::<(u16, u8, Vec<u8>)>().for_each(|(at, length, by)| {
        let at = usize::from(*at) % whole.len();
        let end = (at + usize::from(*length)).min(whole.len());
        let bytes = [&whole.as_bytes()[..at], by, &whole.as_bytes()[end..]].concat();
        if let Ok(text) = String::from_utf8(bytes) {
            let load =
                || load::from_texts(&[("fuzz.yaml".to_owned(), text.clone())], Environment::Leave, crate::today());
            if let Ok(loaded) = load() {
                assert!(loaded.config.hash == load().unwrap().config.hash);
                Extractor::new(&loaded.config);
            }
        }
    });
}

/// The metadata of a committed offset.
#[test]
fn notes() {
    check!().for_each(|bytes: &[u8]| {
        if let Some(note) = std::str::from_utf8(bytes).ok().and_then(|text| Note::decode(text).ok()) {
            let again = note.encode();
            assert!(again.is_ascii() && again.len() <= 4096);
            assert_eq!(Note::decode(&again).unwrap().encode(), again);
        }
    });
}

#[test]
fn records_as_kcat_prints_them() {
    check!().for_each(|bytes: &[u8]| _ = records::parse(bytes, 1));
}

#[test]
fn entries_of_the_audit() {
    check!().for_each(|bytes: &[u8]| {
        if let Ok((time, entry)) = audit::decode(bytes) {
            let mut again = Vec::new();
            audit::encode(&entry, time, &mut again);
            let (time_again, entry_again) = audit::decode(&again).unwrap();
            assert_eq!((time, format!("{entry:?}")), (time_again, format!("{entry_again:?}")));
        }
    });
}
