//! What leaves now, and when to look again.

use super::activity::LastSeen;
use super::calendar::Timestamp;
use super::command::Command;
use super::customer::{Acknowledgement, Record};
use super::gate::Gate;
use super::policy::{PolicyIndex, Rulebook};

/// What may leave at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sending {
    All,
    /// A shard that is behind only merges, and recalls.
    RecallsOnly,
}

/// When a customer must be judged again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wake {
    /// Something falls due at this instant, if nothing changes before. `None`: nothing ever will.
    pub at: Option<Timestamp>,
    /// What would leave now but for the gate: the policy and the deadline it has to prove.
    pub blocked: Vec<(PolicyIndex, Timestamp)>,
}

/// Judges one customer: everything that may leave at `now` is appended to `out` (recalls first) and
/// written to `record`.
///
/// `seen` is indexed by [`KindIndex`](super::activity::KindIndex). Judging twice in a row changes
/// nothing the second time.
pub fn judge(
    _rules: &Rulebook,
    _gate: &dyn Gate,
    _now: Timestamp,
    _sending: Sending,
    _customer: &str,
    _seen: &[LastSeen],
    _record: &mut Record,
    _out: &mut Vec<Command>,
) -> Wake {
    Wake::default()
}

/// Whether an acknowledgement answered something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    Command,
    Recall,
    /// No command of this customer has this id at this target: only a metric changes.
    Nothing,
}

/// Merges a target's answer into the record. `append_time` is when its signal was appended.
pub fn acknowledge(_record: &mut Record, _ack: &Acknowledgement, _append_time: Timestamp) -> Answered {
    Answered::Nothing
}
