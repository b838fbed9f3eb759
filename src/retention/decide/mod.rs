//! What leaves now, and when to look again.
//!
//! A judgement takes the customer's state as it stands and works in a fixed order:
//!
//! 1. [`withdraw`]: commands whose ground is gone are recalled; activity later than what was sent
//!    starts the policy over.
//! 2. [`lease`]: recalls and commands without an answer are sent again when their time has come.
//! 3. [`send`]: what is due leaves, by deadline, then by policy key, each seeing the one before.
//! 4. the next [`Wake`].
//!
//! It cannot fail, and a second judgement at the same instant changes nothing.

mod acknowledge;
mod keepers;
mod lease;
mod send;
mod standing;
mod withdraw;

pub use acknowledge::{Answered, acknowledge};
pub use standing::{Start, starting_point};

use super::activity::LastSeen;
use super::almanac::Almanac;
use super::calendar::Timestamp;
use super::command::Command;
use super::customer::Record;
use super::gate::{Gate, KnownSince};
use super::policy::{PolicyIndex, Rulebook};
use standing::Candidate;

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
    /// What would leave now but for the policy's mode, and the deadline it has passed.
    pub withheld: Vec<(PolicyIndex, Timestamp)>,
}

impl Wake {
    fn no_later_than(&mut self, at: Timestamp) {
        self.at = Some(self.at.map_or(at, |earlier| earlier.min(at)));
    }
}

/// The circumstances of a judgement, the same for every customer of a shard.
#[derive(Clone, Copy)]
pub struct Circumstances<'a> {
    pub rules: &'a Rulebook,
    /// Of the rulebook's zone.
    pub almanac: &'a Almanac,
    pub gate: &'a dyn Gate,
    pub now: Timestamp,
    pub sending: Sending,
}

/// Judges one customer: everything that may leave is appended to `out`, recalls first, and written to
/// `record`.
///
/// `seen` is indexed by [`KindIndex`](super::activity::KindIndex).
pub fn judge(
    circumstances: Circumstances<'_>,
    customer: &str,
    seen: &[LastSeen],
    record: &mut Record,
    out: &mut Vec<Command>,
) -> Wake {
    if record.is_empty()
        && let Some(wake) = standing::nothing_due(circumstances, seen)
    {
        return wake;
    }
    let starts = standing::starts(circumstances, seen);
    let mut judgement = Judgement { circumstances, customer, starts, record, out };
    judgement.withdraw();
    judgement.repeat_recalls();
    judgement.renew_leases();
    judgement.send_what_is_due();
    judgement.wake()
}

/// One customer under judgement.
struct Judgement<'a> {
    circumstances: Circumstances<'a>,
    customer: &'a str,
    /// By policy: where its periods start for this customer.
    starts: Vec<Option<Start>>,
    record: &'a mut Record,
    out: &'a mut Vec<Command>,
}

impl<'a> Judgement<'a> {
    fn rules(&self) -> &'a Rulebook {
        self.circumstances.rules
    }

    fn now(&self) -> Timestamp {
        self.circumstances.now
    }

    fn policy_indices(&self) -> impl Iterator<Item = PolicyIndex> + use<'a> {
        (0..self.rules().policies.len()).map(|place| PolicyIndex(u16::try_from(place).unwrap_or(u16::MAX)))
    }

    fn proven(&self, policy: PolicyIndex, deadline: Timestamp) -> bool {
        let Circumstances { gate, now, .. } = self.circumstances;
        gate.known_since(policy) != KnownSince::Unknown
            && gate.proven_up_to(policy, now).is_some_and(|proven| deadline <= proven)
    }

    fn send_what_is_due(&mut self) {
        if self.circumstances.sending == Sending::RecallsOnly {
            return;
        }
        // Each pass sends at least one command that is then no longer due, so this ends.
        while let Some(candidate) = self.next_to_send() {
            self.send(&candidate);
        }
    }

    fn next_to_send(&self) -> Option<Candidate> {
        let due = |candidate: &Candidate| {
            candidate.ready <= self.now()
                && self.policy(candidate.policy).mode.allows(candidate.action)
                && self.proven(candidate.policy, candidate.deadline)
        };
        self.policy_indices()
            .filter_map(|policy| self.candidate(policy))
            .filter(due)
            .min_by_key(|candidate| (candidate.deadline, candidate.policy))
    }

    fn wake(&mut self) -> Wake {
        let mut wake = Wake::default();
        self.wake_for_leases(&mut wake);
        for policy in self.policy_indices() {
            if let Some(candidate) = self.candidate(policy) {
                self.wake_for_candidate(&candidate, &mut wake);
            }
            self.wake_for_virtual_end(policy, &mut wake);
        }
        wake
    }

    fn wake_for_candidate(&self, candidate: &Candidate, wake: &mut Wake) {
        if candidate.ready > self.now() {
            wake.no_later_than(candidate.ready);
        } else if !self.policy(candidate.policy).mode.allows(candidate.action) {
            wake.withheld.push((candidate.policy, candidate.deadline));
        } else if self.circumstances.sending == Sending::RecallsOnly {
            wake.no_later_than(self.now());
        } else {
            wake.blocked.push((candidate.policy, candidate.deadline));
        }
    }
}
