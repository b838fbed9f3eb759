//! Customers to whom something would leave now but for the gate or the brake, and those whose record would go.

use super::table::Slot;
use crate::retention::calendar::Timestamp;
use crate::retention::decide::{Blocked, Obstacle};
use crate::retention::policy::PolicyIndex;
use std::collections::{BTreeMap, BTreeSet};

/// For what a customer waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Queue {
    pub policy: PolicyIndex,
    pub lane: Lane,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// The policy's gate.
    Gate,
    /// The gate of requests.
    RequestGate,
    /// A person's release.
    Brake,
    /// The same, for a request.
    RequestBrake,
    /// A request waits for a policy that isn't enforced.
    RequestMode,
    /// Our own record waits for the policy's gate to open; nothing is due.
    Farewell,
}

impl Lane {
    const COUNT: usize = Lane::Farewell as usize + 1;
    /// Where something waits that would leave.
    pub const UNSENT: [Lane; 5] = [Lane::Gate, Lane::RequestGate, Lane::Brake, Lane::RequestBrake, Lane::RequestMode];
    /// What waits for a person's release.
    pub const BRAKES: [Lane; 2] = [Lane::Brake, Lane::RequestBrake];
    /// Where requests wait.
    pub const REQUESTS: [Lane; 3] = [Lane::RequestGate, Lane::RequestBrake, Lane::RequestMode];
}

impl Queue {
    /// `None`: a mode withholds what is due by period, and only another configuration lets it go.
    pub fn of(blocked: &Blocked) -> Option<Queue> {
        let lane = match (blocked.by, blocked.on_request) {
            (Obstacle::Gate, false) => Lane::Gate,
            (Obstacle::Gate, true) => Lane::RequestGate,
            (Obstacle::Brake, false) => Lane::Brake,
            (Obstacle::Brake, true) => Lane::RequestBrake,
            (Obstacle::Mode, false) => return None,
            (Obstacle::Mode, true) => Lane::RequestMode,
            (Obstacle::FarewellGate, _) => Lane::Farewell,
        };
        Some(Queue { policy: blocked.policy, lane })
    }

    fn place(self) -> usize {
        usize::from(self.policy.0) * Lane::COUNT + self.lane as usize
    }
}

/// By queue, ordered by the deadline that the gate has to prove, or that a release has to cover.
#[derive(Debug, Default)]
pub struct Waiting {
    by_deadline: Vec<BTreeSet<(Timestamp, Slot)>>,
    by_slot: BTreeMap<(Slot, Queue), Timestamp>,
}

impl Waiting {
    pub fn new(policies: usize) -> Waiting {
        let by_deadline = vec![BTreeSet::new(); policies * Lane::COUNT];
        Waiting { by_deadline, by_slot: BTreeMap::new() }
    }

    /// For what a slot waits.
    pub fn of(&self, slot: Slot) -> impl Iterator<Item = (Queue, Timestamp)> {
        let first = Queue { policy: PolicyIndex(0), lane: Lane::Gate };
        let last = Queue { policy: PolicyIndex(u16::MAX), lane: Lane::Farewell };
        self.by_slot.range((slot, first)..=(slot, last)).map(|((_, queue), deadline)| (*queue, *deadline))
    }

    /// From now on a slot waits for this and nothing else; of several deadlines of one queue for the
    /// first.
    pub fn replace(&mut self, slot: Slot, waits: &[(Queue, Timestamp)]) {
        // Hardly anybody waits for anything, before or after.
        let before: Vec<Queue> = self.of(slot).map(|(queue, _)| queue).collect();
        for queue in before.into_iter().filter(|before| waits.iter().all(|(queue, _)| queue != before)) {
            self.replace_one(slot, queue, None);
        }
        for (place, (queue, _)) in waits.iter().enumerate() {
            if waits[..place].iter().all(|(other, _)| other != queue) {
                let deadlines = waits.iter().filter(|(of, _)| of == queue).map(|(_, deadline)| *deadline);
                self.replace_one(slot, *queue, deadlines.min());
            }
        }
    }

    fn replace_one(&mut self, slot: Slot, queue: Queue, deadline: Option<Timestamp>) {
        let before = match deadline {
            Some(deadline) => self.by_slot.insert((slot, queue), deadline),
            None => self.by_slot.remove(&(slot, queue)),
        };
        if before == deadline {
            return;
        }
        let by_deadline = &mut self.by_deadline[queue.place()];
        if let Some(before) = before {
            by_deadline.remove(&(before, slot));
        }
        if let Some(deadline) = deadline {
            by_deadline.insert((deadline, slot));
        }
    }

    /// The slots of a queue whose deadline is proven, at most `count`.
    pub fn proven(&self, queue: Queue, up_to: Timestamp, count: usize) -> impl Iterator<Item = Slot> {
        let proven = self.by_deadline[queue.place()].range(..=(up_to, Slot(u32::MAX)));
        proven.map(|(_, slot)| *slot).take(count)
    }

    /// The entries of a queue behind another, or from its beginning, in their order.
    pub fn behind(
        &self,
        queue: Queue,
        after: Option<(Timestamp, Slot)>,
    ) -> impl Iterator<Item = (Timestamp, Slot)> + use<'_> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, Excluded);
        self.by_deadline[queue.place()].range((from, Unbounded)).copied()
    }

    /// How many customers wait in a queue.
    pub fn count(&self, queue: Queue) -> usize {
        self.by_deadline[queue.place()].len()
    }

    /// The oldest deadline in a queue.
    pub fn oldest(&self, queue: Queue) -> Option<Timestamp> {
        self.by_deadline[queue.place()].first().map(|(deadline, _)| *deadline)
    }

    pub fn is_empty(&self) -> bool {
        self.by_slot.is_empty()
    }

    pub fn memory_bytes(&self) -> usize {
        let entry = size_of::<(Timestamp, Slot)>() + size_of::<(Slot, Queue, Timestamp)>();
        self.by_slot.len() * entry * 3 / 2
    }
}
