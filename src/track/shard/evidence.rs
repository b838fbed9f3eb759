//! What goes to audit: pseudonymous, and in the transaction of what it tells.

use super::Shard;
use super::decide::Moment;
use crate::retention::brake::{Instruction, Refusal};
use crate::retention::calendar::Timestamp;
use crate::retention::command::Command;
use crate::retention::customer::Acknowledgement;
use crate::retention::decide::{Answered, Due, Farewell};
use crate::retention::policy::{Policy, PolicyIndex};
use crate::retention::pseudonym::Pseudonym;

impl Shard {
    pub(super) fn tell_policies(&mut self, _new: &[PolicyIndex], _now: Timestamp) {}
    pub(super) fn tell_trip(&mut self, _policy: &Policy, _due: Due, _moment: &Moment) {}
    pub(super) fn tell_sent(&mut self, _decided: &[Command], _now: Timestamp) {}
    pub(super) fn tell_forgotten(&mut self, _pseudonym: Pseudonym, _farewell: &Farewell, _now: Timestamp) {}
    pub(super) fn tell_instruction(&mut self, _instruction: &Instruction, _outcome: &Result<(), Refusal>) {}
    pub(super) fn tell_acknowledged(
        &mut self,
        _customer: &[u8],
        _ack: &Acknowledgement,
        _append: Timestamp,
        _answered: Answered,
    ) {
    }
}
