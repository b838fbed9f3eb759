//! What a batch has changed, so that an abort can take it back.

use super::braking::Pass;
use super::counts::Counts;
use crate::retention::brake::Brakes;
use crate::retention::calendar::Timestamp;
use crate::retention::gate::{GateTable, Memory};
use crate::track::table::{Column, Foreign, Slot};
use crate::track::waiting::Queue;
use std::sync::Arc;

/// Of each kind the last change is undone first.
#[derive(Debug)]
pub struct Undo {
    /// Words of rows as they were.
    pub words: Vec<(Slot, Column, u32)>,
    pub rare: Vec<Rare>,
    /// Slots that had no customer. What else was done in them is undone first.
    pub new: Vec<Slot>,
    pub before: Before,
}

/// What few customers of a batch have.
#[derive(Debug)]
pub enum Rare {
    Record(Slot, Option<Box<[u8]>>),
    Foreign(Slot, Box<[Foreign]>),
    Stirred(Slot, bool),
    Waits(Slot, Vec<(Queue, Timestamp)>),
}

/// The shard's own state when the batch began.
#[derive(Clone, Debug)]
pub struct Before {
    pub now: Option<Timestamp>,
    pub kept_now: Option<Timestamp>,
    pub next_offset: Option<i64>,
    pub gate: GateTable,
    pub kept_memory: Option<Arc<Memory>>,
    pub header_is_kept: bool,
    pub other_cluster: Option<String>,
    pub brakes: Brakes,
    pub kept_brakes: Brakes,
    pub has_entered: bool,
    pub passes: Vec<Pass>,
    pub suppressed: u64,
    pub counts: Counts,
    /// The due index was filed anew, which can't be taken back: it is filed anew again.
    pub refiled: bool,
}
