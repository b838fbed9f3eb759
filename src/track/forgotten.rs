//! What is left of customers whose record is gone: a keyed hash, and what must stand should they return.

use crate::retention::calendar::Timestamp;
use crate::retention::decide::Farewell;
use crate::retention::pseudonym::Pseudonym;
use std::collections::{BTreeSet, HashMap};

/// By pseudonym; the oldest end first.
#[derive(Debug, Default)]
pub struct Forgotten {
    farewells: HashMap<Pseudonym, Box<Farewell>>,
    by_end: BTreeSet<(Timestamp, Pseudonym)>,
}

impl Forgotten {
    pub fn len(&self) -> usize {
        self.farewells.len()
    }

    pub fn is_empty(&self) -> bool {
        self.farewells.is_empty()
    }

    pub fn get(&self, pseudonym: Pseudonym) -> Option<&Farewell> {
        self.farewells.get(&pseudonym).map(|farewell| &**farewell)
    }

    /// A later farewell takes the place of an earlier one.
    pub fn insert(&mut self, pseudonym: Pseudonym, farewell: Farewell) {
        self.remove(pseudonym);
        self.by_end.insert((farewell.end, pseudonym));
        self.farewells.insert(pseudonym, Box::new(farewell));
    }

    pub fn remove(&mut self, pseudonym: Pseudonym) {
        if let Some(farewell) = self.farewells.remove(&pseudonym) {
            self.by_end.remove(&(farewell.end, pseudonym));
        }
    }

    /// Those whose end lies furthest back, oldest first.
    pub fn oldest(&self) -> impl Iterator<Item = (Timestamp, Pseudonym)> + use<'_> {
        self.by_end.iter().copied()
    }

    pub fn memory_bytes(&self) -> usize {
        let texts = size_of::<String>() + 24;
        let farewell =
            |farewell: &Farewell| size_of::<Farewell>() + (farewell.policies.len() + farewell.withdrawn.len()) * texts;
        let farewells: usize = self.farewells.values().map(|kept| farewell(kept)).sum();
        farewells + self.farewells.len() * 2 * (size_of::<(Timestamp, Pseudonym)>() + 16)
    }
}
