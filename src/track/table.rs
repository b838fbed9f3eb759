//! The customers of one shard: a hash table from id to slot, and flat columns by slot.
//!
//! Columns grow by chunks and the hash table by segments, so that growing never takes twice the memory.
//! What few customers have stands in side tables.

use super::ids::{Id, Ids, Place};
use crate::retention::activity::{KindIndex, KindTag, LastSeen};
use hashbrown::HashTable;
use std::collections::HashMap;

/// A customer's place in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

/// A time of a kind that the configuration doesn't name.
pub type Foreign = (KindTag, LastSeen);

/// How many kinds that the configuration doesn't name are kept for one customer.
pub const FOREIGN_MAX: usize = 64;

/// A word of a customer's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column(pub u32);

impl Column {
    /// Where the id is kept; of a freed slot the next free one.
    const ID: Column = Column(0);
    /// Under which second the slot is filed in the due index; 0: under none.
    pub const WAKE: Column = Column(1);

    /// When the customer was last seen doing this.
    pub fn seen(kind: KindIndex) -> Column {
        Column(2 + u32::from(kind.0))
    }

    /// The kind's place, of a column that is of a kind.
    pub fn kind(self) -> usize {
        self.0 as usize - 2
    }

    fn width(kinds: usize) -> usize {
        2 + kinds
    }
}

/// What is marked in a slot. `CHANGED` and `TO_JUDGE` end with the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(u8);

impl Mark {
    /// Something was sent, or falls due now: any change may make the next wake earlier.
    pub const STIRRED: Mark = Mark(1);
    /// Its state must go to the changelog.
    pub const CHANGED: Mark = Mark(2);
    /// It must be judged at the end of the batch.
    pub const TO_JUDGE: Mark = Mark(4);
    /// There is a customer in the slot.
    const TAKEN: Mark = Mark(8);
}

const CHUNK_SLOTS: usize = 1 << 10;
const SEGMENTS: usize = 64;
const NO_SLOT: u32 = u32::MAX;

#[derive(Debug)]
pub struct Table {
    kinds: usize,
    index: Box<[HashTable<u32>]>,
    hasher: foldhash::fast::RandomState,
    ids: Ids,
    /// A chunk holds the rows of [`CHUNK_SLOTS`] slots one after the other.
    rows: Vec<Box<[u32]>>,
    marks: Vec<Box<[u8]>>,
    /// Slots in use, freed ones included.
    slots: u32,
    freed: u32,
    count: usize,
    records: SlotMap<Box<[u8]>>,
    record_bytes: usize,
    foreign: SlotMap<Box<[Foreign]>>,
    foreign_bytes: usize,
}

type SlotMap<T> = HashMap<Slot, T, foldhash::fast::FixedState>;

impl Table {
    /// An empty table for customers with so many kinds of activity.
    pub fn new(kinds: usize) -> Table {
        Table {
            kinds,
            index: (0..SEGMENTS).map(|_| HashTable::new()).collect(),
            hasher: foldhash::fast::RandomState::default(),
            ids: Ids::default(),
            rows: Vec::new(),
            marks: Vec::new(),
            slots: 0,
            freed: NO_SLOT,
            count: 0,
            records: SlotMap::default(),
            record_bytes: 0,
            foreign: SlotMap::default(),
            foreign_bytes: 0,
        }
    }

    /// How many customers there are.
    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn find(&self, id: &[u8]) -> Option<Slot> {
        let id = Id::new(id);
        self.find_hashed(id, id.hash(&self.hasher))
    }

    fn find_hashed(&self, id: Id<'_>, hash: u64) -> Option<Slot> {
        let is_it = |slot: &u32| self.id(Slot(*slot)) == id;
        self.index[segment(hash)].find(hash, is_it).map(|slot| Slot(*slot))
    }

    /// The customer's slot, and whether it is new: never seen, not filed, nothing sent. `None`: it isn't
    /// there, and `admit` doesn't want it.
    pub fn find_or_insert(&mut self, id: &[u8], admit: impl FnOnce() -> bool) -> Option<(Slot, bool)> {
        let key = Id::new(id);
        let hash = key.hash(&self.hasher);
        match self.find_hashed(key, hash) {
            Some(slot) => Some((slot, false)),
            None => admit().then(|| (self.insert(key, hash), true)),
        }
    }

    fn insert(&mut self, id: Id<'_>, hash: u64) -> Slot {
        let slot = self.take_slot();
        let place = self.ids.keep(id);
        self.set_word(slot, Column::ID, place.0);
        self.set_mark(slot, Mark::TAKEN, true);
        let Table { index, ids, rows, kinds, hasher, .. } = self;
        let width = Column::width(*kinds);
        let hash_of = |slot: &u32| {
            let (chunk, at) = position(Slot(*slot));
            ids.get(Place(rows[chunk][at * width])).hash(hasher)
        };
        index[segment(hash)].insert_unique(hash, slot.0, hash_of);
        self.count += 1;
        slot
    }

    fn take_slot(&mut self) -> Slot {
        if self.freed != NO_SLOT {
            let slot = Slot(self.freed);
            self.freed = self.word(slot, Column::ID);
            return slot;
        }
        let slot = Slot(self.slots);
        assert!(slot.0 != NO_SLOT, "a shard holds fewer than 2^32 customers");
        if position(slot).0 == self.rows.len() {
            self.rows.push(vec![0; CHUNK_SLOTS * Column::width(self.kinds)].into());
            self.marks.push(vec![0; CHUNK_SLOTS].into());
        }
        self.slots += 1;
        slot
    }

    /// Removes a customer. Its slot will be another's.
    pub fn remove(&mut self, slot: Slot) {
        let hash = self.id(slot).hash(&self.hasher);
        if let Ok(entry) = self.index[segment(hash)].find_entry(hash, |other| *other == slot.0) {
            entry.remove();
        }
        self.ids.free(Place(self.word(slot, Column::ID)));
        self.replace_record(slot, None);
        self.replace_foreign(slot, Box::default());
        let (chunk, at) = position(slot);
        let width = Column::width(self.kinds);
        self.rows[chunk][at * width..(at + 1) * width].fill(0);
        self.marks[chunk][at] = 0;
        self.set_word(slot, Column::ID, self.freed);
        self.freed = slot.0;
        self.count -= 1;
    }

    /// A customer's id.
    pub fn id(&self, slot: Slot) -> Id<'_> {
        self.ids.get(Place(self.word(slot, Column::ID)))
    }

    pub fn word(&self, slot: Slot, column: Column) -> u32 {
        let (chunk, at) = position(slot);
        self.rows[chunk][at * Column::width(self.kinds) + column.0 as usize]
    }

    pub fn set_word(&mut self, slot: Slot, column: Column, word: u32) {
        let (chunk, at) = position(slot);
        self.rows[chunk][at * Column::width(self.kinds) + column.0 as usize] = word;
    }

    /// When the customer was last seen, by kind.
    pub fn seen(&self, slot: Slot) -> impl ExactSizeIterator<Item = LastSeen> + Clone {
        let (chunk, at) = position(slot);
        let width = Column::width(self.kinds);
        self.rows[chunk][at * width + 2..(at + 1) * width].iter().map(|seconds| LastSeen(*seconds))
    }

    pub fn has_mark(&self, slot: Slot, mark: Mark) -> bool {
        let (chunk, at) = position(slot);
        self.marks[chunk][at] & mark.0 != 0
    }

    /// Puts a word into every slot that has a customer.
    pub fn fill_column(&mut self, column: Column, word: u32) {
        for slot in (0..self.slots).map(Slot) {
            if self.has_mark(slot, Mark::TAKEN) {
                self.set_word(slot, column, word);
            }
        }
    }

    /// Forgets when the customer was last seen.
    pub fn clear_seen(&mut self, slot: Slot) {
        let (chunk, at) = position(slot);
        let width = Column::width(self.kinds);
        self.rows[chunk][at * width + 2..(at + 1) * width].fill(0);
    }

    /// Sets or clears a mark; whether it was set before.
    pub fn set_mark(&mut self, slot: Slot, mark: Mark, on: bool) -> bool {
        let (chunk, at) = position(slot);
        let marks = &mut self.marks[chunk][at];
        let before = *marks & mark.0 != 0;
        *marks = if on { *marks | mark.0 } else { *marks & !mark.0 };
        before
    }

    /// What was sent to the customer and came back, encoded.
    pub fn record(&self, slot: Slot) -> Option<&[u8]> {
        self.records.get(&slot).map(|record| &**record)
    }

    /// Puts a record in the place of the one before, which it returns.
    pub fn replace_record(&mut self, slot: Slot, record: Option<Box<[u8]>>) -> Option<Box<[u8]>> {
        self.record_bytes += record.as_ref().map_or(0, |record| record.len());
        let before = match record {
            Some(record) => self.records.insert(slot, record),
            None if self.records.is_empty() => None,
            None => self.records.remove(&slot),
        };
        self.record_bytes -= before.as_ref().map_or(0, |record| record.len());
        before
    }

    /// Times of kinds that the configuration doesn't name, ordered by kind.
    pub fn foreign(&self, slot: Slot) -> &[Foreign] {
        if self.foreign.is_empty() {
            return &[];
        }
        self.foreign.get(&slot).map_or(&[], |foreign| foreign)
    }

    /// Puts them, ordered by kind, in the place of the ones before, which it returns.
    pub fn replace_foreign(&mut self, slot: Slot, foreign: Box<[Foreign]>) -> Box<[Foreign]> {
        self.foreign_bytes += size_of_val(&*foreign);
        let before = match foreign.is_empty() {
            false => self.foreign.insert(slot, foreign),
            true if self.foreign.is_empty() => None,
            true => self.foreign.remove(&slot),
        };
        let before = before.unwrap_or_default();
        self.foreign_bytes -= size_of_val(&*before);
        before
    }

    /// All slots with a customer in them, in order.
    pub fn slots(&self) -> impl Iterator<Item = Slot> + use<'_> {
        self.slots_from(Slot(0))
    }

    /// The same, from one on: a scan that is done in portions goes on there.
    pub fn slots_from(&self, first: Slot) -> impl Iterator<Item = Slot> + use<'_> {
        (first.0..self.slots).map(Slot).filter(|slot| self.has_mark(*slot, Mark::TAKEN))
    }

    /// Goes over to other kinds. What is seen of a kind that is no longer named is kept aside, and found
    /// again when it is named.
    pub fn change_kinds(&mut self, from: &[KindTag], to: &[KindTag]) {
        if from == to {
            return;
        }
        let moves: Vec<Option<usize>> = to.iter().map(|kind| from.iter().position(|old| old == kind)).collect();
        let dropped: Vec<usize> = (0..from.len()).filter(|place| !to.contains(&from[*place])).collect();
        let mut returning = Vec::new();
        if !self.foreign.is_empty() || !dropped.is_empty() {
            for slot in (0..self.slots).map(Slot) {
                if self.has_mark(slot, Mark::TAKEN) {
                    self.sort_out_foreign(slot, from, to, &dropped, &mut returning);
                }
            }
        }
        let (old_width, width) = (Column::width(from.len()), Column::width(to.len()));
        for chunk in &mut self.rows {
            let mut rows = vec![0; CHUNK_SLOTS * width].into_boxed_slice();
            for (row, old) in rows.chunks_exact_mut(width).zip(chunk.chunks_exact(old_width)) {
                row[..2].copy_from_slice(&old[..2]);
                for (word, place) in row[2..].iter_mut().zip(&moves) {
                    *word = place.map_or(0, |place| old[2 + place]);
                }
            }
            *chunk = rows;
        }
        self.kinds = to.len();
        for (slot, place, seen) in returning {
            let column = Column(2 + place);
            self.set_word(slot, column, seen);
        }
    }

    fn sort_out_foreign(
        &mut self,
        slot: Slot,
        from: &[KindTag],
        to: &[KindTag],
        dropped: &[usize],
        returning: &mut Vec<(Slot, u32, u32)>,
    ) {
        let mut foreign = self.foreign(slot).to_vec();
        let seen: Vec<LastSeen> = self.seen(slot).collect();
        let gone = dropped.iter().map(|place| (from[*place], seen[*place]));
        foreign.extend(gone.filter(|(_, seen)| *seen != LastSeen::NEVER));
        foreign.retain(|(kind, seen)| match to.iter().position(|named| named == kind) {
            Some(place) => {
                returning.push((slot, place as u32, seen.0));
                false
            }
            None => true,
        });
        foreign.sort_unstable();
        self.replace_foreign(slot, foreign.into());
    }

    /// Everything counted, in bytes.
    pub fn memory_bytes(&self) -> usize {
        let index: usize = self.index.iter().map(|segment| size_of_val(segment) + segment.allocation_size()).sum();
        let chunk = CHUNK_SLOTS * (Column::width(self.kinds) * size_of::<u32>() + 1) + 2 * size_of::<Box<[u8]>>();
        let records = self.records.capacity() * (size_of::<(Slot, Box<[u8]>)>() + 1) + self.record_bytes;
        let foreign = self.foreign.capacity() * (size_of::<(Slot, Box<[Foreign]>)>() + 1) + self.foreign_bytes;
        index + self.ids.memory_bytes() + self.rows.len() * chunk + records + foreign
    }
}

fn position(slot: Slot) -> (usize, usize) {
    let slot = slot.0 as usize;
    (slot / CHUNK_SLOTS, slot % CHUNK_SLOTS)
}

/// Bits of the hash that a segment uses neither for the position nor for its tags.
fn segment(hash: u64) -> usize {
    (hash >> 40) as usize % SEGMENTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u8),
        Remove(u8),
        Set(u8, u8, u32),
        Record(u8, Vec<u8>),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => any::<u8>().prop_map(Step::Insert),
            1 => any::<u8>().prop_map(Step::Remove),
            3 => (any::<u8>(), 0..3_u8, any::<u32>()).prop_map(|(who, kind, at)| Step::Set(who, kind, at)),
            1 => (any::<u8>(), any::<Vec<u8>>()).prop_map(|(who, record)| Step::Record(who, record)),
        ];
        prop::collection::vec(step, 0..400)
    }

    fn id(who: u8) -> Vec<u8> {
        match who % 2 {
            0 => uuid::Uuid::from_u128(u128::from(who)).to_string().into(),
            _ => vec![who; usize::from(who)],
        }
    }

    #[derive(Clone, Debug, Default, PartialEq)]
    struct Customer {
        seen: [u32; 3],
        record: Option<Vec<u8>>,
    }

    proptest! {
        /// Against a plain map.
        #[test]
        fn it_is_a_map(steps in steps()) {
            let mut table = Table::new(3);
            let mut map = HashMap::<Vec<u8>, Customer>::new();
            for step in steps {
                match step {
                    Step::Insert(who) => {
                        let is_new = table.find_or_insert(&id(who), || true).unwrap().1;
                        prop_assert_eq!(is_new, !map.contains_key(&id(who)));
                        map.entry(id(who)).or_default();
                    }
                    Step::Remove(who) => {
                        prop_assert_eq!(table.find(&id(who)).is_some(), map.remove(&id(who)).is_some());
                        table.find(&id(who)).into_iter().for_each(|slot| table.remove(slot));
                    }
                    Step::Set(who, kind, at) => {
                        if let Some(slot) = table.find(&id(who)) {
                            table.set_word(slot, Column::seen(KindIndex(kind)), at);
                            map.get_mut(&id(who)).unwrap().seen[usize::from(kind)] = at;
                        }
                    }
                    Step::Record(who, record) => {
                        if let Some(slot) = table.find(&id(who)) {
                            let before = table.replace_record(slot, Some(record.clone().into()));
                            let customer = map.get_mut(&id(who)).unwrap();
                            prop_assert_eq!(before.map(Vec::from), customer.record.replace(record));
                        }
                    }
                }
            }
            prop_assert_eq!(table.len(), map.len());
            let found: HashMap<Vec<u8>, Customer> = table.slots().map(|slot| {
                let mut id = Vec::new();
                table.id(slot).write(&mut id);
                let seen: Vec<u32> = table.seen(slot).map(|seen| seen.0).collect();
                (id, Customer { seen: seen.try_into().unwrap(), record: table.record(slot).map(<[u8]>::to_vec) })
            }).collect();
            prop_assert_eq!(found, map);
        }
    }

    #[test]
    fn whoever_is_not_admitted_is_not_there() {
        let mut table = Table::new(1);
        assert_eq!(table.find_or_insert(b"4711", || false), None);
        assert_eq!((table.len(), table.find(b"4711")), (0, None));
    }
}
