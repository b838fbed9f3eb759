//! The deterministic state machine of one partition of `signals`, with an undo log.
//!
//! A worker restores it from the changelog, and then for each batch calls [`Shard::begin`],
//! [`Shard::apply`] for each record, [`Shard::decide`], [`Shard::changelog`], produces what they left,
//! and ends with [`Shard::commit`] or [`Shard::abort`]: commit the transaction, then believe it.
//!
//! * [`restore`]: from the changelog to a shard, and the changelog's records
//! * [`apply`]: merging one record
//! * [`decide`]: whom to judge, and when to look again
//! * [`braking`]: what the brake makes of it
//! * [`evidence`]: what goes to audit
//! * [`stats`]: what metrics ask for, from [`counts`] that are kept
//! * [`survey`]: who is due by a date
//! * [`foretell`]: what falls due per day, under the rules in force or under others
//! * [`explain`]: where one customer stands, and a target's list of customers against ours
//! * [`overview`]: gate, brakes and counts
//! * [`undo`]: taking a batch back

mod apply;
mod braking;
mod counts;
mod decide;
mod evidence;
mod explain;
mod foretell;
mod overview;
mod restore;
mod stats;
mod survey;
mod undo;

pub use explain::{Explained, Known, Reconciled};
pub use foretell::{Foretelling, Foretold, Shift};
pub use overview::{Overview, PolicyOverview, SourceOverview};
pub use restore::RestoreError;
pub use stats::{PolicyStats, Stats};
pub use survey::{Listed, Listing, Survey, Waits};

use super::due::Due;
use super::forgotten::Forgotten;
use super::outputs::Outputs;
use super::table::{Column, Mark, Slot, Table};
use super::waiting::Waiting;
use crate::config::Config;
use crate::retention::activity::{KindTag, LastSeen};
use crate::retention::almanac::Almanac;
use crate::retention::brake::{Brakes, Refusal};
use crate::retention::calendar::Timestamp;
use crate::retention::command::Command;
use crate::retention::customer::Record;
use crate::retention::decide::{Answered, Farewell, NotResent};
use crate::retention::gate::{GateTable, KnownSince, Memory};
use crate::retention::pseudonym::Pseudonym;
use crate::wire::state::decode_record;
use braking::{Pass, passes};
use counts::Counts;
use std::sync::Arc;
use undo::{Before, Rare, Undo};

/// Which shard, of how many, at which cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    pub partition: u32,
    /// Of `signals` and `state`, for ever.
    pub partitions: u32,
    /// The cluster's id.
    pub cluster: String,
}

/// One record of the shard's partition of `signals`.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    pub offset: i64,
    /// Milliseconds of Unix time; the broker's clock.
    pub append_ms: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
}

/// What became of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It told something new.
    Merged,
    /// It told what was known.
    Known,
    Acknowledged(Answered),
    Progress,
    /// An instruction was obeyed, or refused.
    Instructed(Result<(), Refusal>),
    /// An order to send removals once more was taken in, or refused.
    Ordered(Result<(), NotResent>),
    /// It told of activities of several customers.
    Seen(Seen),
    /// It is about somebody whose record is gone, and from before that.
    Suppressed,
    /// It is no signal, progress or instruction. Nothing changed.
    Garbage,
}

/// What became of the activities of one record; the rest told something new, or what was known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub suppressed: u64,
    pub garbage: u64,
}

/// Whether there is more to decide at this very moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum More {
    Nothing,
    /// The budget was used up: commit, and begin another batch soon, be it without input.
    Waiting,
}

/// So many entries of the due index may always be out of date.
const DUE_SLACK: usize = 10_000;

/// Room for so many changes is kept from batch to batch: an instance has many shards.
const KEPT_CAPACITY: usize = 1 << 14;

/// One partition of `signals` and the customers in it.
#[derive(Debug)]
pub struct Shard {
    home: Home,
    config: Arc<Config>,
    /// In the order of the rulebook's kinds.
    tags: Vec<KindTag>,
    almanac: Almanac,
    now: Option<Timestamp>,
    /// How far its clock has come, as the changelog holds it. What it decides next it decides no earlier:
    /// a broker whose clock goes back must not shorten a notice because the shard was opened anew meanwhile.
    kept_now: Option<Timestamp>,
    next_offset: Option<i64>,
    table: Table,
    due: Due,
    waiting: Waiting,
    gate: GateTable,
    /// What the changelog holds of the gate's memory.
    kept_memory: Option<Arc<Memory>>,
    header_is_kept: bool,
    /// The cluster at which the state was written, if it is another one.
    other_cluster: Option<String>,
    brakes: Brakes,
    /// What the changelog holds of them.
    kept_brakes: Brakes,
    /// Whether the versions in force have been noted in the brakes.
    has_entered: bool,
    /// By policy, twice: how far those who wait for a release have been gone through.
    passes: Vec<Pass>,
    forgotten: Forgotten,
    /// Late signals about the forgotten since the shard was opened.
    suppressed: u64,
    /// From when on history is known, as the due index was filed under.
    known_since: Vec<KnownSince>,
    counts: Counts,
    /// Whose records go with this batch.
    leaving: Vec<(Slot, Pseudonym, Farewell)>,
    /// Of whom nothing is left after this batch.
    expired: Vec<Pseudonym>,
    /// What the batch has to tell to audit.
    evidence: Outputs,
    /// Slots marked in this batch.
    changed: Vec<Slot>,
    to_judge: Vec<Slot>,
    undo: Option<Undo>,
    scratch: Scratch,
}

/// Buffers that are reused.
#[derive(Debug, Default)]
struct Scratch {
    id: Vec<u8>,
    seen: Vec<LastSeen>,
    record: Vec<u8>,
    decided: Vec<Command>,
    slots: Vec<Slot>,
}

impl Shard {
    /// An empty shard, to be restored.
    pub fn new(home: Home, config: Arc<Config>) -> Shard {
        let rules = &config.rules;
        Shard {
            home,
            tags: rules.kinds.iter().map(|kind| kind.tag).collect(),
            almanac: Almanac::new(rules.zone),
            now: None,
            kept_now: None,
            next_offset: None,
            table: Table::new(rules.kinds.len()),
            due: Due::default(),
            waiting: Waiting::new(rules.policies.len()),
            gate: GateTable::new(rules, config.hash, Memory::default()),
            kept_memory: None,
            header_is_kept: false,
            other_cluster: None,
            brakes: Brakes::default(),
            kept_brakes: Brakes::default(),
            has_entered: false,
            passes: passes(rules.policies.len()),
            forgotten: Forgotten::default(),
            suppressed: 0,
            known_since: Vec::new(),
            counts: Counts::new(rules),
            leaving: Vec::new(),
            expired: Vec::new(),
            evidence: Outputs::default(),
            changed: Vec::new(),
            to_judge: Vec::new(),
            undo: None,
            scratch: Scratch::default(),
            config,
        }
    }

    /// Begins a batch.
    pub fn begin(&mut self) {
        self.tidy_due();
        let before = Before {
            now: self.now,
            kept_now: self.kept_now,
            next_offset: self.next_offset,
            gate: self.gate.clone(),
            kept_memory: self.kept_memory.clone(),
            header_is_kept: self.header_is_kept,
            other_cluster: self.other_cluster.clone(),
            brakes: self.brakes.clone(),
            kept_brakes: self.kept_brakes.clone(),
            has_entered: self.has_entered,
            passes: self.passes.clone(),
            suppressed: self.suppressed,
            counts: self.counts.clone(),
            refiled: false,
        };
        self.evidence.clear();
        debug_assert!(self.changed.is_empty() && self.to_judge.is_empty(), "the batch before was not ended");
        match &mut self.undo {
            Some(undo) => undo.before = before,
            None => self.undo = Some(Undo { words: Vec::new(), rare: Vec::new(), new: Vec::new(), before }),
        }
    }

    /// The transaction was committed: the batch is believed.
    pub fn commit(&mut self) {
        self.clear_marks();
        self.part();
        self.changed.shrink_to(KEPT_CAPACITY);
        self.to_judge.shrink_to(KEPT_CAPACITY);
        if let Some(undo) = &mut self.undo {
            undo.words.clear();
            undo.words.shrink_to(KEPT_CAPACITY);
            undo.rare.clear();
            undo.rare.shrink_to(KEPT_CAPACITY);
            undo.new.clear();
            undo.new.shrink_to(KEPT_CAPACITY);
        }
    }

    /// The transaction was aborted: everything since [`Shard::begin`] is undone.
    pub fn abort(&mut self) {
        self.clear_marks();
        self.leaving.clear();
        self.expired.clear();
        self.evidence.clear();
        let Some(mut undo) = self.undo.take() else { return };
        for (slot, column, word) in undo.words.drain(..).rev() {
            self.table.set_word(slot, column, word);
            if column == Column::WAKE && word != 0 {
                self.due.file(slot, word);
            }
        }
        for rare in undo.rare.drain(..).rev() {
            match rare {
                Rare::Record(slot, record) => drop(self.table.replace_record(slot, record)),
                Rare::Foreign(slot, foreign) => drop(self.table.replace_foreign(slot, foreign)),
                Rare::Stirred(slot, stirred) => drop(self.table.set_mark(slot, Mark::STIRRED, stirred)),
                Rare::Waits(slot, waits) => self.waiting.replace(slot, &waits),
            }
        }
        undo.new.drain(..).rev().for_each(|slot| self.table.remove(slot));
        let before = undo.before.clone();
        (self.now, self.kept_now, self.next_offset) = (before.now, before.kept_now, before.next_offset);
        (self.kept_memory, self.header_is_kept) = (before.kept_memory, before.header_is_kept);
        (self.gate, self.counts) = (before.gate, before.counts);
        (self.brakes, self.kept_brakes) = (before.brakes, before.kept_brakes);
        (self.has_entered, self.other_cluster) = (before.has_entered, before.other_cluster);
        (self.passes, self.suppressed) = (before.passes, before.suppressed);
        if before.refiled {
            self.refile_all();
        }
        self.undo = Some(undo);
    }

    /// Lets go of those whose farewell has been committed.
    fn part(&mut self) {
        for (slot, pseudonym, farewell) in std::mem::take(&mut self.leaving) {
            self.uncount(slot);
            self.waiting.replace(slot, &[]);
            self.table.remove(slot);
            self.forgotten.insert(pseudonym, farewell);
        }
        for pseudonym in self.expired.drain(..) {
            self.forgotten.remove(pseudonym);
        }
    }

    /// Aborts and wakes that move leave entries behind in the due index; they must not pile up.
    fn tidy_due(&mut self) {
        if self.due.len() <= 2 * self.table.len() + DUE_SLACK {
            return;
        }
        self.due.clear();
        for slot in self.table.slots() {
            let wake = self.table.word(slot, Column::WAKE);
            if wake != 0 {
                self.due.file(slot, wake);
            }
        }
    }

    fn clear_marks(&mut self) {
        for slot in self.changed.drain(..) {
            self.table.set_mark(slot, Mark::CHANGED, false);
        }
        for slot in self.to_judge.drain(..) {
            self.table.set_mark(slot, Mark::TO_JUDGE, false);
        }
    }

    /// Takes over a new configuration; between batches. Nothing but recalls is sent until the gate has
    /// heard progress under it.
    pub fn reconfigure(&mut self, config: Arc<Config>) {
        debug_assert!(self.changed.is_empty() && self.to_judge.is_empty(), "in the middle of a batch");
        let rules = &config.rules;
        let tags: Vec<KindTag> = rules.kinds.iter().map(|kind| kind.tag).collect();
        self.table.change_kinds(&self.tags, &tags);
        self.tags = tags;
        self.almanac = Almanac::new(rules.zone);
        self.waiting = Waiting::new(rules.policies.len());
        self.passes = passes(rules.policies.len());
        self.has_entered = false;
        let memory = self.gate.memory().as_ref().clone();
        self.config = config;
        self.known_since.clear();
        self.reset_gate(memory);
        self.count_all();
        self.refile_all();
    }

    /// An empty gate that remembers what still matters under the configuration in force.
    fn reset_gate(&mut self, mut memory: Memory) {
        let before = memory.clone();
        let config = self.config.clone();
        memory.retain_topics(|source, topic| {
            let reads = |place: usize| config.sources[place].key == source;
            config.source_of_topic(topic).is_some_and(reads)
        });
        let is_kept = memory == before && self.kept_memory.as_deref() == Some(&memory);
        self.gate = self.gate.renewed(&self.config.rules, self.config.hash, memory);
        self.kept_memory = is_kept.then(|| self.gate.memory().clone());
    }

    fn count_all(&mut self) {
        let mut counts = Counts::new(&self.config.rules);
        let mut seen = Vec::new();
        for slot in self.table.slots() {
            seen.clear();
            seen.extend(self.table.seen(slot));
            let record = self.table.record(slot).map(decoded);
            counts.add(&self.config.rules, &seen, record.as_ref());
        }
        self.counts = counts;
    }

    /// The configuration it decides under; commands' indices are of its rules.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    pub fn home(&self) -> &Home {
        &self.home
    }

    /// The newest append time it has read; `None` before the first record: nothing fires.
    pub fn now(&self) -> Option<Timestamp> {
        self.now
    }

    /// The offset after the last record it has applied; `None` before the first.
    pub fn next_offset(&self) -> Option<i64> {
        self.next_offset
    }

    /// What progress proves, and why it doesn't.
    pub fn gate(&self) -> &GateTable {
        &self.gate
    }

    /// What stops the policies here, and until when.
    pub fn brakes(&self) -> &Brakes {
        &self.brakes
    }

    /// Those whose record is gone.
    pub fn forgotten(&self) -> &Forgotten {
        &self.forgotten
    }

    fn mark_changed(&mut self, slot: Slot) {
        if !self.table.set_mark(slot, Mark::CHANGED, true) {
            self.changed.push(slot);
        }
    }

    fn mark_to_judge(&mut self, slot: Slot) {
        if !self.table.set_mark(slot, Mark::TO_JUDGE, true) {
            self.to_judge.push(slot);
        }
    }

    /// Changes a word so that an abort can change it back.
    fn set_word(&mut self, slot: Slot, column: Column, word: u32) {
        let before = self.table.word(slot, column);
        if before != word {
            self.table.set_word(slot, column, word);
            if let Some(undo) = &mut self.undo {
                undo.words.push((slot, column, before));
            }
        }
    }

    fn remember(&mut self, rare: Rare) {
        if let Some(undo) = &mut self.undo {
            undo.rare.push(rare);
        }
    }

    /// Replaces a customer's record by the one in the scratch buffer, if they differ.
    fn take_record(&mut self, slot: Slot) {
        let new = &self.scratch.record;
        if self.table.record(slot).unwrap_or_default() == new.as_slice() {
            return;
        }
        let new = (!new.is_empty()).then(|| new.as_slice().into());
        let before = self.table.replace_record(slot, new);
        self.remember(Rare::Record(slot, before));
        self.mark_changed(slot);
    }
}

/// A record of the table.
fn decoded(record: &[u8]) -> Record {
    decode_record(record).expect("what is in the table was written here, or was read when it was restored")
}
