//! What was forwarded already, in bounded memory: a customer's further activities of the same day cost a
//! look-up here and nothing after it.

use crate::retention::activity::{KindTag, LastSeen};
use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;

/// For each customer and kind, the latest activity that was forwarded.
///
/// What is not later than that changes nothing (last seen merges by maximum), so it need not be
/// forwarded. An entry is recognised by a 128-bit keyed hash of customer and kind instead of by the id
/// itself. Taking one customer for another could swallow a sign of life; the key is random and secret,
/// so nobody can look for such a pair, and by chance it takes 2^64 customers to expect one.
///
/// An entry that had to make room costs a duplicate, which is harmless.
pub struct Coalescer {
    key: [u8; 16],
    sets: Vec<Set>,
    mask: usize,
}

/// Three entries and a word to spare, the newest first; an entry is four words of hash and the time,
/// which is 0 where there is none. Sets fill a cache line.
type Set = [u32; 16];
const ENTRIES: usize = 3;
const WORDS: usize = 5;

/// How much memory the cache takes in an instance: three million customers and kinds.
pub const BYTES: usize = 64 << 20;

impl Coalescer {
    /// A cache of at most `bytes`, at least one entry's worth. `key` must be random.
    pub fn new(bytes: usize, key: [u8; 16]) -> Coalescer {
        let count = (bytes / size_of::<Set>()).max(1);
        let count = if count.is_power_of_two() { count } else { count.next_power_of_two() / 2 };
        Coalescer { key, sets: vec![[0; 16]; count], mask: count - 1 }
    }

    /// Whether the activity must be forwarded; then it counts as forwarded.
    pub fn is_news(&mut self, customer: &str, kind: KindTag, at: LastSeen) -> bool {
        let (place, hash) = self.hash(customer, kind);
        let set = &mut self.sets[place];
        let found =
            (0..ENTRIES).map(|entry| entry * WORDS).find(|&start| set[start..start + 4] == hash && set[start + 4] != 0);
        let Some(start) = found else {
            set.copy_within(..(ENTRIES - 1) * WORDS, WORDS);
            set[..4].copy_from_slice(&hash);
            set[4] = at.0;
            return true;
        };
        let is_news = at.0 > set[start + 4];
        if is_news {
            set[start + 4] = at.0;
        }
        if start > 0 {
            // Whoever is asked for moves up, so that the idle make room.
            for word in start..start + WORDS {
                set.swap(word, word - WORDS);
            }
        }
        is_news
    }

    /// Forgets everything: what was forwarded may not have arrived, or must be forwarded again.
    pub fn clear(&mut self) {
        self.sets.fill([0; 16]);
    }

    fn hash(&self, customer: &str, kind: KindTag) -> (usize, [u32; 4]) {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        hasher.write(customer.as_bytes());
        hasher.write_u32(kind.0);
        let hash = hasher.finish128();
        let words = [hash.h1 as u32, (hash.h1 >> 32) as u32, hash.h2 as u32, (hash.h2 >> 32) as u32];
        (hash.h1 as usize & self.mask, words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    const LOGIN: KindTag = KindTag(1);
    const PURCHASE: KindTag = KindTag(2);

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
            assert_eq!(coalescer.is_news(customer, kind, LastSeen(at)), expected, "{customer} {at}");
        }
        coalescer.clear();
        assert!(coalescer.is_news("ann", LOGIN, LastSeen(11)));
    }

    #[test]
    fn what_repeats_stays_while_others_pass() {
        let mut coalescer = Coalescer::new(64, [3; 16]);
        assert!(coalescer.is_news("ann", LOGIN, LastSeen(10)));
        for passer_by in 0..100 {
            coalescer.is_news(&passer_by.to_string(), LOGIN, LastSeen(10));
            assert!(!coalescer.is_news("ann", LOGIN, LastSeen(10)));
        }
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
                if coalescer.is_news(&customer.to_string(), KindTag(kind), LastSeen(at)) {
                    latest(&mut forwarded);
                }
                prop_assert_eq!(&seen, &forwarded);
            }
        }
    }
}
