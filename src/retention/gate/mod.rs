//! What progress proves.
//!
//! Ingest reports facts, the shard judges them here. A policy's gate is one instant: deadlines up to
//! it are proven, later ones are not.
//!
//! * [`table`]: a shard's view of all sources
//! * [`source`]: one source: what was heard of its partitions, and what that makes of it
//! * [`silence`]: when a topic's rule fell silent
//! * [`doubt`]: why a source's progress doesn't count
//! * [`acceptance`]: what a person can say to that
//! * [`memory`]: what a shard must not forget of all this

pub mod acceptance;
pub mod doubt;
pub mod memory;
pub mod silence;
pub mod source;
pub mod table;
#[cfg(test)]
mod tests;

use super::calendar::Timestamp;
use super::policy::{FloorIndex, PolicyIndex};

pub use acceptance::Acceptable;
pub use doubt::Doubt;
pub use memory::Memory;
pub use table::GateTable;

/// From when on a rule's, and so a policy's, history is known; before it, it is unknown, not silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KnownSince {
    /// Nothing is missing.
    Beginning,
    /// Every customer counts as active at this instant.
    At(Timestamp),
    /// Not heard yet: nothing can be decided.
    Unknown,
}

/// What deciding asks of the gate. The shard answers from progress, `simulate` with what its rules say.
pub trait Gate {
    /// The latest deadline of `policy` that is proven at `now`; `None` when the gate is closed.
    fn proven_up_to(&self, policy: PolicyIndex, now: Timestamp) -> Option<Timestamp>;
    /// The latest end of a request's day that is proven at `now`, by the sources that place holds or yield
    /// a floor's kinds; `None` when that gate is closed.
    fn requests_proven_up_to(&self, now: Timestamp) -> Option<Timestamp>;
    /// The latest `history_from` of the rules that yield the policy's kinds.
    fn known_since(&self, policy: PolicyIndex) -> KnownSince;
    /// The same for a floor's kinds.
    fn floor_known_since(&self, floor: FloorIndex) -> KnownSince;
}
