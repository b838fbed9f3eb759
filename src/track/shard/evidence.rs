//! What goes to audit: pseudonymous, and in the transaction of what it tells.

use super::Shard;
use super::decide::Moment;
use crate::retention::brake::{Instruction, Order, Refusal, limit};
use crate::retention::calendar::Timestamp;
use crate::retention::command::Command;
use crate::retention::customer::Acknowledgement;
use crate::retention::decide::{self, Answered, Dropped, Due, Farewell};
use crate::retention::policy::{Policy, PolicyIndex};
use crate::retention::pseudonym::Pseudonym;
use crate::wire::audit::{self, Acknowledged, Brake, Entry, Forgotten, NotResent, Sent};
use uuid::Uuid;

impl Shard {
    fn tell(&mut self, key: &[u8], entry: &Entry, time: Timestamp) {
        self.evidence.add_audit(key, |value| audit::encode(entry, time, value));
    }

    fn tell_of(&mut self, pseudonym: Pseudonym, entry: &Entry, time: Timestamp) {
        self.tell(pseudonym.to_string().as_bytes(), entry, time);
    }

    /// The full texts of policies whose version or text is new; once, not by every shard.
    pub(super) fn tell_policies(&mut self, new: &[PolicyIndex], now: Timestamp) {
        if self.home.partition != 0 {
            return;
        }
        let config = self.config.clone();
        for &policy in new {
            let entry = Entry::Policy(config.policy_in_full(policy, self.home.partition, now));
            self.tell(config.rules.policies[usize::from(policy.0)].key.as_bytes(), &entry, now);
        }
    }

    pub(super) fn tell_trip(&mut self, policy: &Policy, due: Due, moment: &Moment) {
        let entry = Entry::Brake(Brake {
            policy: policy.key.clone(),
            policy_version: policy.version.clone(),
            shard: self.home.partition,
            on_request: due.asked.is_some(),
            count: self.brakes.policies.get(&policy.key).map_or(0, |brake| brake.lane(due).customers),
            limit: limit(policy.brake, moment.covered[usize::from(due.policy.0)]),
            tripped: true,
        });
        self.tell(policy.key.as_bytes(), &entry, moment.now);
    }

    /// What has been decided for the customer whose id is in the scratch buffer.
    pub(super) fn tell_sent(&mut self, decided: &[Command], now: Timestamp) {
        if decided.is_empty() {
            return;
        }
        let pseudonym = self.config.evidence.pseudonyms.of(&self.scratch.id);
        let config = self.config.clone();
        for command in decided {
            self.tell_of(pseudonym, &Entry::Sent(Sent::of(command, &config.rules)), now);
        }
    }

    /// Why an order to send something once more is not obeyed, or not to its end, of the customer whose id is in the
    /// scratch buffer.
    pub(super) fn tell_dropped(&mut self, dropped: &[Dropped], now: Timestamp) {
        if dropped.is_empty() {
            return;
        }
        let pseudonym = self.config.evidence.pseudonyms.of(&self.scratch.id);
        let config = self.config.clone();
        for Dropped { order, target, why } in dropped {
            let target = config.rules.target(*target).key.clone();
            self.tell_of(pseudonym, &Entry::NotResent(NotResent { order: *order, target, why: why.to_string() }), now);
        }
    }

    /// The same, of an order that was refused as soon as it was heard.
    pub(super) fn tell_not_resent(&mut self, customer: &[u8], order: Uuid, target: &str, why: decide::NotResent) {
        let now = self.now.unwrap_or(Timestamp::MIN);
        let entry = NotResent { order, target: target.to_owned(), why: why.to_string() };
        let pseudonym = self.config.evidence.pseudonyms.of(customer);
        self.tell_of(pseudonym, &Entry::NotResent(entry), now);
    }

    pub(super) fn tell_forgotten(&mut self, pseudonym: Pseudonym, farewell: &Farewell, now: Timestamp) {
        let rules = &self.config.rules;
        let kept_until = rules.forget.suppress_for.deadline(farewell.end, rules.zone);
        let entry = Entry::Forgotten(Forgotten {
            end: farewell.end,
            cause: farewell.cause,
            policies: farewell.policies.clone(),
            // Kept for as long as a source can still deliver what is late.
            suppressed_until: self.gate.delivers_from(now).map(|_| kept_until),
        });
        self.tell_of(pseudonym, &entry, now);
    }

    pub(super) fn tell_instruction(
        &mut self,
        instruction: &Instruction,
        outcome: &Result<(), Refusal>,
        now: Timestamp,
    ) {
        let order = match &instruction.order {
            Order::Release { policy, version, due_before, at_most, per_day } => audit::Order::Release {
                policy: policy.clone(),
                policy_version: version.clone(),
                due_before: *due_before,
                at_most: *at_most,
                per_day: *per_day,
            },
            Order::Stop { policy } => audit::Order::Stop { policy: policy.clone() },
            Order::Accept { source, doubt } => {
                audit::Order::Accept { source: source.clone(), doubt: doubt.name().to_owned() }
            }
        };
        let entry = Entry::Instruction(audit::Instruction {
            id: instruction.id,
            order,
            by: instruction.by.clone(),
            reason: instruction.reason.clone(),
            shard: self.home.partition,
            refused: outcome.as_ref().err().map(ToString::to_string),
        });
        self.tell(b"", &entry, now);
    }

    pub(super) fn tell_acknowledged(
        &mut self,
        customer: &[u8],
        ack: &Acknowledgement,
        append: Timestamp,
        answers: Answered,
    ) {
        let entry = Entry::Acknowledged(Acknowledged {
            command: ack.command,
            attempt: ack.attempt,
            target: ack.target.clone(),
            result: ack.result,
            executed: ack.time,
            appended: append,
            answers,
        });
        let pseudonym = self.config.evidence.pseudonyms.of(customer);
        self.tell_of(pseudonym, &entry, append);
    }
}
