//! When a rule matched in a partition, and when it was silent.

use crate::retention::calendar::{Seconds, Timestamp};
use crate::retention::progress::{Matched, RuleFacts, SILENCES_MAX, Silence};

/// A silence is reported for this much longer than its doubt stands: the shard's clock may lag.
const SLACK: Seconds = Seconds(300);

/// Notes a match at `at`, the record's own timestamp. Silences are kept where the rule has a
/// `silence_max`, and forgotten when at `now` nobody holds them against it any more.
pub fn note_match(facts: &mut RuleFacts, at: Timestamp, silence_max: Option<Seconds>, now: Timestamp) {
    let Some(matched) = &mut facts.matched else {
        facts.matched = Some(Matched { first: at, newest: at });
        return;
    };
    let Matched { first, newest } = *matched;
    matched.first = first.min(at);
    matched.newest = newest.max(at);
    let Some(silence_max) = silence_max else { return };
    if at > newest {
        push(facts, Silence { from: newest, to: at }, silence_max);
    } else if at < first {
        push(facts, Silence { from: at, to: first }, silence_max);
    } else {
        split(facts, at, silence_max);
    }
    if facts.silences.len() > 1 {
        forget(facts, now);
        bound(facts, SILENCES_MAX);
    }
}

/// Drops silences that nobody holds against the rule any more.
pub fn forget(facts: &mut RuleFacts, now: Timestamp) {
    facts.silences.retain(|silence| now < silence.to + (silence.to - silence.from) + SLACK);
}

/// Joins neighbours until `silences_max` are left: those with the least said between them. A silence that
/// seems longer than it was errs late.
pub fn bound(facts: &mut RuleFacts, silences_max: usize) {
    let silences = &mut facts.silences;
    while silences.len() > silences_max.max(1) {
        let least = (1..silences.len()).min_by_key(|&place| silences[place].from - silences[place - 1].to);
        let Some(place) = least else { return };
        silences[place - 1].to = silences[place].to;
        silences.remove(place);
    }
}

fn push(facts: &mut RuleFacts, silence: Silence, silence_max: Seconds) {
    if silence.to - silence.from > silence_max {
        let place = facts.silences.partition_point(|other| other.from < silence.from);
        facts.silences.insert(place, silence);
    }
}

/// A record that comes late ends a silence that was none.
fn split(facts: &mut RuleFacts, at: Timestamp, silence_max: Seconds) {
    let around = facts.silences.iter().position(|silence| silence.from < at && at < silence.to);
    if let Some(place) = around {
        let whole = facts.silences.remove(place);
        push(facts, Silence { from: whole.from, to: at }, silence_max);
        push(facts, Silence { from: at, to: whole.to }, silence_max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAX: Seconds = Seconds(100);

    fn facts(matches: &[i64], now: i64) -> RuleFacts {
        let mut facts = RuleFacts::default();
        for at in matches {
            note_match(&mut facts, Timestamp(*at), Some(MAX), Timestamp(now));
        }
        facts
    }

    fn spans(facts: &RuleFacts) -> Vec<(i64, i64)> {
        facts.silences.iter().map(|silence| (silence.from.0, silence.to.0)).collect()
    }

    #[test]
    fn silences_lie_between_matches() {
        let cases = [
            (vec![], vec![]),
            (vec![5, 105], vec![]),
            (vec![5, 106], vec![(5, 106)]),
            (vec![5, 106, 120, 400], vec![(5, 106), (120, 400)]),
            (vec![500, 5], vec![(5, 500)]),
            (vec![5, 400, 100], vec![(100, 400)]),
            (vec![5, 400, 250], vec![(5, 250), (250, 400)]),
        ];
        for (matches, expected) in cases {
            assert_eq!(spans(&facts(&matches, 0)), expected, "{matches:?}");
        }
        let unguarded = {
            let mut facts = RuleFacts::default();
            for at in [5, 900] {
                note_match(&mut facts, Timestamp(at), None, Timestamp(0));
            }
            facts
        };
        assert_eq!((spans(&unguarded), unguarded.matched.unwrap().newest), (vec![], Timestamp(900)));
    }

    #[test]
    fn the_least_said_between_two_is_forgotten_first() {
        let facts = facts(&[0, 200, 260, 400, 410, 600, 680, 900, 960, 1200], 0);
        assert_eq!(spans(&facts), [(0, 200), (260, 600), (680, 900), (960, 1200)]);
    }

    #[test]
    fn a_silence_is_forgotten_when_its_doubt_has_passed() {
        let mut facts = facts(&[0, 200], 0);
        forget(&mut facts, Timestamp(699));
        assert_eq!(spans(&facts), [(0, 200)]);
        forget(&mut facts, Timestamp(700));
        assert_eq!(spans(&facts), []);
    }

    proptest! {
        /// In whatever order records come: every true silence lies within a reported one.
        #[test]
        fn no_silence_is_lost(matches in prop::collection::vec(0..3000i64, 1..30)) {
            let facts = facts(&matches, 0);
            let mut sorted = matches;
            sorted.sort_unstable();
            let newest = Timestamp(sorted[sorted.len() - 1]);
            prop_assert_eq!(facts.matched, Some(Matched { first: Timestamp(sorted[0]), newest }));
            for pair in sorted.windows(2).filter(|pair| pair[1] - pair[0] > MAX.0) {
                let is_within = |(from, to): &(i64, i64)| *from <= pair[0] && pair[1] <= *to;
                prop_assert!(spans(&facts).iter().any(is_within), "{:?} in {:?}", pair, facts);
            }
            prop_assert!(facts.silences.len() <= SILENCES_MAX);
            prop_assert!(facts.silences.windows(2).all(|pair| pair[0].to <= pair[1].from));
        }
    }
}
