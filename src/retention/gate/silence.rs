//! When a topic's rule fell silent.
//!
//! A topic speaks when any of its partitions does, so it is silent where the silences of all its
//! partitions overlap.

use super::acceptance::AcceptedSilence;
use crate::retention::calendar::{Seconds, Timestamp};
use crate::retention::progress::{RuleFacts, Silence};

/// What the partitions' facts say of one rule in one topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Voice {
    /// The newest match in any partition; `None`: there never was one.
    pub newest: Option<Timestamp>,
    /// Until when an ended silence leaves the topic in doubt.
    pub doubted_until: Option<Timestamp>,
    /// When a person answered for the silence that lasts.
    pub accepted_at: Option<Timestamp>,
    /// Up to when ended silences reach for which a person has answered.
    pub accepted_to: Option<Timestamp>,
}

impl Voice {
    /// Up to when the rule is known to have been heard, or a person has answered for it.
    pub fn spoken_to(&self) -> Option<Timestamp> {
        self.newest.max(self.accepted_at)
    }

    /// After this the topic is silent for too long.
    pub fn silent_after(&self, silence_max: Seconds) -> Timestamp {
        match self.accepted_at {
            Some(_) => Timestamp::MAX,
            None => self.newest.map_or(Timestamp::MIN, |newest| newest + silence_max),
        }
    }
}

/// Judges one rule in one topic from the facts of all its partitions.
pub fn listen<'f>(
    partitions: impl Iterator<Item = &'f RuleFacts>,
    silence_max: Seconds,
    accepted: Option<AcceptedSilence>,
) -> Voice {
    let mut shared = vec![Silence { from: Timestamp::MIN, to: Timestamp::MAX }];
    let mut next = Vec::new();
    for facts in partitions {
        intersect(&shared, facts, silence_max, &mut next);
        std::mem::swap(&mut shared, &mut next);
    }
    let mut voice = Voice::default();
    for silence in shared {
        if silence.to == Timestamp::MAX {
            voice.newest = (silence.from != Timestamp::MIN).then_some(silence.from);
            let accepted = accepted.filter(|accepted| accepted.covers_open(silence.from, silence_max));
            voice.accepted_at = accepted.map(|accepted| accepted.at);
        } else if accepted.is_some_and(|accepted| accepted.covers(silence, silence_max)) {
            voice.accepted_to = voice.accepted_to.max(Some(silence.to));
        } else if silence.from != Timestamp::MIN {
            voice.doubted_until = voice.doubted_until.max(Some(silence.to + (silence.to - silence.from)));
        }
    }
    voice
}

/// What of `shared` is silent in this partition too. Ended silences that are short enough to be
/// believed are dropped: they can only get shorter.
fn intersect(shared: &[Silence], facts: &RuleFacts, silence_max: Seconds, out: &mut Vec<Silence>) {
    out.clear();
    for silence in shared {
        for own in silences(facts) {
            let overlap = Silence { from: silence.from.max(own.from), to: silence.to.min(own.to) };
            let is_open = overlap.from == Timestamp::MIN || overlap.to == Timestamp::MAX;
            if overlap.from < overlap.to && (is_open || overlap.to - overlap.from > silence_max) {
                out.push(overlap);
            }
        }
    }
}

/// A partition's silences in order, with the ones before its first and after its newest match.
fn silences(facts: &RuleFacts) -> impl Iterator<Item = Silence> {
    let before = facts.matched.map_or(Timestamp::MAX, |matched| matched.first);
    let after = facts.matched.map(|matched| Silence { from: matched.newest, to: Timestamp::MAX });
    std::iter::once(Silence { from: Timestamp::MIN, to: before }).chain(facts.silences.iter().copied()).chain(after)
}
