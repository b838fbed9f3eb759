//! The due index: which customers to look at when.
//!
//! An entry may be out of date: the slot itself knows under which second it is filed, and an entry that
//! disagrees is dropped when it comes up. So nothing is ever searched for, and what it costs follows from
//! what is due, not from how many customers there are.

use super::table::Slot;
use std::collections::BTreeMap;

/// Slots by the second at which they wake. Far seconds share a window, so that sparse wakes don't take
/// memory each; a window is spread out when it comes near.
#[derive(Debug)]
pub struct Due {
    far: BTreeMap<u32, List>,
    near: BTreeMap<u32, List>,
    /// The first window that isn't spread out.
    horizon: u32,
    pool: Pool,
    entries: usize,
}

impl Default for Due {
    fn default() -> Due {
        let pool = Pool::default();
        // The first window ended in 1970: what is filed in it is to come up at once.
        Due { far: BTreeMap::new(), near: BTreeMap::new(), horizon: 1, pool, entries: 0 }
    }
}

/// How many seconds a window has, as a power of two: about 18 hours.
const WINDOW_BITS: u32 = 16;

impl Due {
    /// Files a slot under a second, which the slot must remember.
    pub fn file(&mut self, slot: Slot, wake: u32) {
        let list = match wake >> WINDOW_BITS {
            window if window < self.horizon => self.near.entry(wake).or_default(),
            window => self.far.entry(window).or_default(),
        };
        self.pool.push(list, slot);
        self.entries += 1;
    }

    /// How many entries there are, those out of date included.
    pub fn len(&self) -> usize {
        self.entries
    }

    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Takes a slot that is filed at or before `now`; `filed` tells under which second a slot is filed.
    /// Each entry looked at takes one of `steps`; `None`: nothing is left, or no steps are.
    pub fn pop(&mut self, now: u32, filed: impl Fn(Slot) -> u32, steps: &mut usize) -> Option<Slot> {
        self.spread_out(now, &filed, steps);
        while let Some(mut first) = self.near.first_entry() {
            let wake = *first.key();
            if wake > now || *steps == 0 {
                return None;
            }
            match self.pool.pop(first.get_mut()) {
                Some(slot) => {
                    *steps -= 1;
                    self.entries -= 1;
                    if filed(slot) == wake {
                        return Some(slot);
                    }
                }
                None => {
                    first.remove();
                }
            }
        }
        None
    }

    fn spread_out(&mut self, now: u32, filed: &impl Fn(Slot) -> u32, steps: &mut usize) {
        let window = now >> WINDOW_BITS;
        while let Some(mut first) = self.far.first_entry() {
            if *first.key() > window {
                break;
            }
            while *steps > 0
                && let Some(slot) = self.pool.pop(first.get_mut())
            {
                *steps -= 1;
                let wake = filed(slot);
                if wake >> WINDOW_BITS == *first.key() {
                    self.pool.push(self.near.entry(wake).or_default(), slot);
                } else {
                    self.entries -= 1;
                }
            }
            if *steps == 0 {
                return;
            }
            first.remove();
        }
        self.horizon = self.horizon.max(window + 1);
    }

    /// Drops all entries.
    pub fn clear(&mut self) {
        *self = Due::default();
    }

    /// The first second at which something may be filed.
    pub fn first(&self) -> Option<u32> {
        let far = self.far.first_key_value().map(|(window, _)| window << WINDOW_BITS);
        let near = self.near.first_key_value().map(|(wake, _)| *wake);
        far.into_iter().chain(near).min()
    }

    pub fn memory_bytes(&self) -> usize {
        // A B-tree's nodes are at least half full.
        let lists = self.far.len() + self.near.len();
        self.pool.memory_bytes() + lists * 2 * size_of::<(u32, List)>()
    }
}

/// A stack of slots in linked nodes of a pool.
#[derive(Clone, Copy, Debug)]
struct List {
    head: u32,
}

impl Default for List {
    fn default() -> List {
        List { head: NO_NODE }
    }
}

const NO_NODE: u32 = u32::MAX;
const NODE_SLOTS: usize = 14;
const CHUNK_NODES: usize = 1 << 10;

/// A cache line.
#[derive(Clone, Copy, Debug)]
struct Node {
    next: u32,
    count: u32,
    slots: [Slot; NODE_SLOTS],
}

#[derive(Debug)]
struct Pool {
    chunks: Vec<Box<[Node]>>,
    nodes: u32,
    free: u32,
}

impl Default for Pool {
    fn default() -> Pool {
        Pool { chunks: Vec::new(), nodes: 0, free: NO_NODE }
    }
}

impl Pool {
    fn push(&mut self, list: &mut List, slot: Slot) {
        if list.head == NO_NODE || self.node(list.head).count as usize == NODE_SLOTS {
            let next = list.head;
            list.head = self.take();
            *self.node(list.head) = Node { next, count: 0, slots: [Slot(0); NODE_SLOTS] };
        }
        let node = self.node(list.head);
        node.slots[node.count as usize] = slot;
        node.count += 1;
    }

    fn pop(&mut self, list: &mut List) -> Option<Slot> {
        if list.head == NO_NODE {
            return None;
        }
        let head = list.head;
        let free = self.free;
        let node = self.node(head);
        node.count -= 1;
        let slot = node.slots[node.count as usize];
        if node.count == 0 {
            list.head = std::mem::replace(&mut node.next, free);
            self.free = head;
        }
        Some(slot)
    }

    fn take(&mut self) -> u32 {
        if self.free != NO_NODE {
            let node = self.free;
            self.free = self.node(node).next;
            return node;
        }
        if self.nodes as usize == self.chunks.len() * CHUNK_NODES {
            let empty = Node { next: NO_NODE, count: 0, slots: [Slot(0); NODE_SLOTS] };
            self.chunks.push(vec![empty; CHUNK_NODES].into());
        }
        self.nodes += 1;
        self.nodes - 1
    }

    fn node(&mut self, node: u32) -> &mut Node {
        let node = node as usize;
        &mut self.chunks[node / CHUNK_NODES][node % CHUNK_NODES]
    }

    fn memory_bytes(&self) -> usize {
        self.chunks.len() * CHUNK_NODES * size_of::<Node>() + self.chunks.capacity() * size_of::<Box<[Node]>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn steps() -> impl Strategy<Value = (u32, u32, bool)> {
        let wakes = prop_oneof![1..100_u32, 1..400_000_u32];
        (0..20_u32, wakes, any::<bool>())
    }

    proptest! {
        /// Against a plain map from slot to wake.
        #[test]
        fn who_is_due_comes_up_once_and_nobody_else(steps in prop::collection::vec(steps(), 0..200)) {
            let (mut due, mut filed) = (Due::default(), [0_u32; 20]);
            for (slot, wake, pop) in steps {
                if pop {
                    let mut popped = Vec::new();
                    let mut budget = 3;
                    loop {
                        match due.pop(wake, |slot| filed[slot.0 as usize], &mut budget) {
                            Some(Slot(slot)) => {
                                prop_assert!((1..=wake).contains(&filed[slot as usize]));
                                filed[slot as usize] = 0;
                                popped.push(slot);
                            }
                            None if budget == 0 => budget = 3,
                            None => break,
                        }
                    }
                    prop_assert!(filed.iter().all(|filed| *filed == 0 || *filed > wake), "{popped:?}");
                } else if filed[slot as usize] == 0 || wake < filed[slot as usize] {
                    filed[slot as usize] = wake;
                    due.file(Slot(slot), wake);
                }
            }
            let mut all = usize::MAX;
            while let Some(Slot(slot)) = due.pop(u32::MAX, |slot| filed[slot.0 as usize], &mut all) {
                filed[slot as usize] = 0;
            }
            prop_assert_eq!(filed, [0; 20]);
            prop_assert!(due.is_empty());
        }
    }

    #[test]
    fn what_was_taken_makes_room() {
        let (mut due, mut wake) = (Due::default(), 1);
        for round in 1..100_u32 {
            wake = round * 50_000;
            (0..1000).for_each(|slot| due.file(Slot(slot), wake));
            let mut steps = usize::MAX;
            while due.pop(wake, |_| wake, &mut steps).is_some() {}
        }
        assert!(due.memory_bytes() < 200_000, "{}", due.memory_bytes());
        assert_eq!(due.pop(wake, |_| wake, &mut 1), None);
    }
}
