//! What was forwarded already, in bounded memory: a customer's further activities of the same day cost a
//! look-up here and nothing after it.

use crate::prefetch::prefetch;
use crate::retention::activity::{KindTag, LastSeen};
use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;

/// For each customer and kind, the latest activity that was forwarded.
///
/// What is not later than that changes nothing (last seen merges by maximum), so it need not be
/// forwarded. An entry is recognised by 96 bits of a keyed hash of customer and kind instead of by the id
/// itself. Taking one customer for another could swallow a sign of life; the key is random and secret,
/// so nobody can look for such a pair, and by chance it takes 2^48 customers to expect one.
///
/// An entry that had to make room costs a duplicate, which is harmless.
///
/// Entries lie in sets, one cache line each, and each entry in one of two sets: that with more room when it
/// came. As many sets are in use as the entries need, for a look-up in a small cache finds it in the
/// processor's: when they fill up, each set is split in two, in place.
pub struct Coalescer {
    key: [u8; 16],
    /// Room for all sets; zero where nothing was written, and there it takes no memory either.
    words: Vec<u32>,
    /// The first word that begins a cache line.
    start: usize,
    /// How many sets are in use, and may be: powers of two.
    sets: usize,
    sets_max: usize,
    entries: usize,
}

/// A customer and kind, recognised by their hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry([u32; TIME]);

/// The newest entry first; an entry is three words of hash and the time, which is 0 where there is none.
type Set = [u32; SET_WORDS];
const SET_WORDS: usize = 16;
const WORDS: usize = 4;
const TIME: usize = 3;
const ENTRIES: usize = SET_WORDS / WORDS;
/// With more entries a set than this, on average, sets are split. Up to here hardly any set is full: those in
/// a set that is too small would push each other out again and again.
const ENTRIES_WANTED: usize = ENTRIES / 2;

/// How much memory the cache takes in an instance, at most: four million customers and kinds.
pub const BYTES: usize = 64 << 20;

impl Coalescer {
    /// A cache of at most `bytes`, at least one entry's worth. `key` must be random.
    pub fn new(bytes: usize, key: [u8; 16]) -> Coalescer {
        let count = (bytes / size_of::<Set>()).max(1);
        let sets_max = if count.is_power_of_two() { count } else { count.next_power_of_two() / 2 };
        let words = vec![0; (sets_max + 1) * SET_WORDS];
        // Anything up to the next line; a set that lies across two is only slower.
        let start = words.as_ptr().align_offset(size_of::<Set>()).min(SET_WORDS);
        Coalescer { key, words, start, sets: 1, sets_max, entries: 0 }
    }

    /// What stands for a customer and kind here. The processor begins to fetch where it stands: best some time before
    /// anybody asks whether it [is news](Coalescer::is_news).
    pub fn entry(&self, customer: &str, kind: KindTag) -> Entry {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        hasher.write(customer.as_bytes());
        hasher.write_u32(kind.0);
        let hash = hasher.finish128();
        let hash = [hash.h1 as u32, (hash.h1 >> 32) as u32, hash.h2 as u32];
        for place in self.places(&hash) {
            // A set is a line.
            prefetch(&self.words[self.start + place * SET_WORDS]);
        }
        Entry(hash)
    }

    fn places(&self, hash: &[u32; TIME]) -> [usize; 2] {
        [hash[0], hash[1]].map(|word| word as usize & (self.sets - 1))
    }

    /// Whether the activity must be forwarded; then it counts as forwarded.
    pub fn is_news(&mut self, Entry(hash): Entry, at: LastSeen) -> bool {
        let places = self.places(&hash);
        for place in places {
            let set = self.set(place);
            let mut entries = (0..SET_WORDS).step_by(WORDS);
            if let Some(entry) = entries.find(|&entry| set[entry..entry + TIME] == hash && set[entry + TIME] != 0) {
                return look_again(set, entry, at);
            }
        }
        let [first, second] = places.map(|place| count(self.set(place)));
        let set = self.set(places[usize::from(second < first)]);
        set.copy_within(..SET_WORDS - WORDS, WORDS);
        set[..TIME].copy_from_slice(&hash);
        set[TIME] = at.0;
        if first.min(second) < ENTRIES {
            self.entries += 1;
            self.split_if_full();
        }
        true
    }

    /// Forgets everything: what was forwarded may not have arrived, or must be forwarded again.
    pub fn clear(&mut self) {
        let used = self.start..self.start + self.sets * SET_WORDS;
        self.words[used].fill(0);
        (self.sets, self.entries) = (1, 0);
    }

    fn set(&mut self, place: usize) -> &mut Set {
        let from = self.start + place * SET_WORDS;
        self.words[from..].first_chunk_mut().expect("there is room for all sets and a line")
    }

    fn split_if_full(&mut self) {
        if self.entries <= self.sets * ENTRIES_WANTED || self.sets == self.sets_max {
            return;
        }
        let sets = self.sets;
        for place in 0..sets {
            let both = *self.set(place);
            let halves = [0, sets].map(|bit| {
                let (mut half, mut end) = ([0; SET_WORDS], 0);
                for entry in both.chunks_exact(WORDS).filter(|entry| entry[TIME] != 0) {
                    let is_by_first = entry[0] as usize & (sets - 1) == place;
                    if entry[usize::from(!is_by_first)] as usize & sets == bit {
                        half[end..end + WORDS].copy_from_slice(entry);
                        end += WORDS;
                    }
                }
                half
            });
            *self.set(place) = halves[0];
            *self.set(place + sets) = halves[1];
        }
        self.sets *= 2;
    }
}

/// How many entries a set has.
fn count(set: &Set) -> usize {
    set.chunks_exact(WORDS).take_while(|entry| entry[TIME] != 0).count()
}

/// Whether what happened at `at` is later than what the entry knows.
fn look_again(set: &mut Set, entry: usize, at: LastSeen) -> bool {
    let is_news = at.0 > set[entry + TIME];
    if is_news {
        set[entry + TIME] = at.0;
    }
    if entry > 0 {
        // Whoever is asked for moves up, so that the idle make room.
        for word in entry..entry + WORDS {
            set.swap(word, word - WORDS);
        }
    }
    is_news
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    const LOGIN: KindTag = KindTag(1);
    const PURCHASE: KindTag = KindTag(2);

    impl Coalescer {
        fn hears(&mut self, customer: &str, kind: KindTag, at: LastSeen) -> bool {
            let entry = self.entry(customer, kind);
            self.is_news(entry, at)
        }
    }

    #[test]
    fn the_first_of_a_customer_kind_and_time_is_news() {
        let mut coalescer = Coalescer::new(4096, [3; 16]);
        let table = [
            ("ann", LOGIN, 10, true),
            ("ann", LOGIN, 10, false),
            ("ann", LOGIN, 9, false),
            ("ann", LOGIN, 11, true),
            ("ann", PURCHASE, 11, true),
            ("bob", LOGIN, 11, true),
            ("ann", LOGIN, 11, false),
        ];
        for (customer, kind, at, expected) in table {
            assert_eq!(coalescer.hears(customer, kind, LastSeen(at)), expected, "{customer} {at}");
        }
        coalescer.clear();
        assert!(coalescer.hears("ann", LOGIN, LastSeen(11)));
    }

    #[test]
    fn what_repeats_stays_while_others_pass() {
        let mut coalescer = Coalescer::new(64, [3; 16]);
        assert!(coalescer.hears("ann", LOGIN, LastSeen(10)));
        for passer_by in 0..100 {
            coalescer.hears(&passer_by.to_string(), LOGIN, LastSeen(10));
            assert!(!coalescer.hears("ann", LOGIN, LastSeen(10)));
        }
    }

    #[test]
    fn it_grows_with_what_it_knows() {
        let mut coalescer = Coalescer::new(1 << 16, [3; 16]);
        let times: Vec<bool> = (0..2000)
            .map(|customer: u32| {
                coalescer.hears(&customer.to_string(), LOGIN, LastSeen(10));
                coalescer.hears(&customer.to_string(), LOGIN, LastSeen(10))
            })
            .collect();
        assert!(times.iter().all(|is_news| !is_news), "each was known at once");
        let forgotten = (0..2000).filter(|customer| coalescer.hears(&customer.to_string(), LOGIN, LastSeen(9)));
        assert!(forgotten.count() < 20, "almost all are remembered: there is room for 4,096");
        assert_eq!((coalescer.sets, coalescer.sets_max), (1024, 1024));
    }

    proptest! {
        /// However small the cache: the latest of each customer and kind is forwarded.
        #[test]
        fn nothing_that_counts_is_swallowed(
            bytes in 0..600usize, activities in prop::collection::vec((0..40u8, 0..2u32, 1..6u32), 0..300)
        ) {
            let mut coalescer = Coalescer::new(bytes, [9; 16]);
            let (mut seen, mut forwarded) = (HashMap::new(), HashMap::new());
            for (customer, kind, at) in activities {
                let latest = |of: &mut HashMap<_, u32>| {
                    let entry = of.entry((customer, kind)).or_default();
                    *entry = at.max(*entry);
                };
                latest(&mut seen);
                if coalescer.hears(&customer.to_string(), KindTag(kind), LastSeen(at)) {
                    latest(&mut forwarded);
                }
                prop_assert_eq!(&seen, &forwarded);
            }
        }
    }
}
