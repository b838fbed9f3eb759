//! Entries whose enums have fields of their own, as one flat object each.

use super::text::{instant, instant_or_none, word};
use super::{Acknowledged, Instruction, Order};
use crate::retention::calendar::Timestamp;
use crate::retention::customer::AckResult;
use crate::retention::decide::Answered;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An [`Acknowledged`]: its end stands beside its result.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct FlatAcknowledged {
    command: Uuid,
    attempt: u32,
    target: String,
    result: String,
    #[serde(with = "instant_or_none")]
    until: Option<Timestamp>,
    #[serde(with = "instant")]
    executed: Timestamp,
    #[serde(with = "instant")]
    appended: Timestamp,
    #[serde(with = "word")]
    answers: Answered,
}

impl From<Acknowledged> for FlatAcknowledged {
    fn from(ack: Acknowledged) -> FlatAcknowledged {
        let (result, until) = match ack.result {
            AckResult::Done => ("done", None),
            AckResult::Retained { until } => ("retained", Some(until)),
            AckResult::Failed => ("failed", None),
        };
        let Acknowledged { command, attempt, target, executed, appended, answers, .. } = ack;
        FlatAcknowledged { command, attempt, target, result: result.to_owned(), until, executed, appended, answers }
    }
}

impl TryFrom<FlatAcknowledged> for Acknowledged {
    type Error = String;

    fn try_from(document: FlatAcknowledged) -> Result<Acknowledged, String> {
        let result = match (document.result.as_str(), document.until) {
            ("done", _) => AckResult::Done,
            ("failed", _) => AckResult::Failed,
            ("retained", Some(until)) => AckResult::Retained { until },
            (result, _) => return Err(format!("'{result}' as result, or without its end")),
        };
        let FlatAcknowledged { command, attempt, target, executed, appended, answers, .. } = document;
        Ok(Acknowledged { command, attempt, target, result, executed, appended, answers })
    }
}

/// An [`Instruction`]: each order has its own of the members that may be null.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct FlatInstruction {
    id: Uuid,
    order: String,
    policy: Option<String>,
    policy_version: Option<String>,
    #[serde(with = "instant_or_none")]
    due_before: Option<Timestamp>,
    at_most: Option<u64>,
    per_day: Option<u64>,
    source: Option<String>,
    doubt: Option<String>,
    by: String,
    reason: String,
    shard: u32,
    refused: Option<String>,
}

impl From<Instruction> for FlatInstruction {
    fn from(instruction: Instruction) -> FlatInstruction {
        let Instruction { id, order, by, reason, shard, refused } = instruction;
        let bare = |order: &str| FlatInstruction {
            id,
            order: order.to_owned(),
            policy: None,
            policy_version: None,
            due_before: None,
            at_most: None,
            per_day: None,
            source: None,
            doubt: None,
            by,
            reason,
            shard,
            refused,
        };
        match order {
            Order::Release { policy, policy_version, due_before, at_most, per_day } => FlatInstruction {
                policy: Some(policy),
                policy_version: Some(policy_version),
                due_before: Some(due_before),
                at_most: Some(at_most),
                per_day,
                ..bare("release")
            },
            Order::Stop { policy } => FlatInstruction { policy, ..bare("stop") },
            Order::Accept { source, doubt } => {
                FlatInstruction { source: Some(source), doubt: Some(doubt), ..bare("accept") }
            }
        }
    }
}

impl TryFrom<FlatInstruction> for Instruction {
    type Error = &'static str;

    fn try_from(document: FlatInstruction) -> Result<Instruction, &'static str> {
        let order = match document.order.as_str() {
            "release" => Order::Release {
                policy: document.policy.ok_or("a release without policy")?,
                policy_version: document.policy_version.ok_or("a release without version")?,
                due_before: document.due_before.ok_or("a release without date")?,
                at_most: document.at_most.ok_or("a release without number")?,
                per_day: document.per_day,
            },
            "stop" => Order::Stop { policy: document.policy },
            "accept" => Order::Accept {
                source: document.source.ok_or("an acceptance without source")?,
                doubt: document.doubt.ok_or("an acceptance without doubt")?,
            },
            _ => return Err("an unknown order"),
        };
        let FlatInstruction { id, by, reason, shard, refused, .. } = document;
        Ok(Instruction { id, order, by, reason, shard, refused })
    }
}
