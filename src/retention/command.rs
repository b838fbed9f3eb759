//! What a target is told, and the identity of it.

use super::calendar::Timestamp;
use super::policy::{Action, TargetIndex};
use uuid::Uuid;

/// One command to one target. Indices are of the [`super::policy::Rulebook`] it was decided under.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    pub id: Uuid,
    pub target: TargetIndex,
    pub verb: Verb,
    pub cause: Cause,
    /// The policy's key; it may have left the configuration when its command is recalled.
    pub policy: String,
    pub policy_version: String,
    /// Names, in the policy's order.
    pub categories: Vec<String>,
    pub kept: Vec<Kept>,
    pub since: Since,
    pub deadline: Timestamp,
    /// The hold's id or `floor:CATEGORY` that deferred it.
    pub deferred_by: Option<String>,
    pub next: Option<Next>,
    /// Which command a recall cancels.
    pub recalls: Option<Uuid>,
    /// From 1.
    pub attempt: u32,
    /// When it was decided.
    pub time: Timestamp,
    /// Until when the target may obey; `None` for recalls and for targets that don't acknowledge.
    pub expires: Option<Timestamp>,
}

/// What the target must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// Cancel an earlier command; sorts first.
    Recall,
    Act(Action),
}

impl Verb {
    pub fn is_recall(self) -> bool {
        self == Verb::Recall
    }

    pub fn name(self) -> &'static str {
        match self {
            Verb::Recall => "recall",
            Verb::Act(action) => action.name(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    Period,
    Withdrawn,
    ErasureRequest,
}

impl Cause {
    pub fn name(self) -> &'static str {
        match self {
            Cause::Period => "period",
            Cause::Withdrawn => "withdrawn",
            Cause::ErasureRequest => "erasure_request",
        }
    }
}

/// A category that must stay at the target, and the keeper that needs it there: a policy's key,
/// `floor:CATEGORY` or `hold:ID`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub category: String,
    pub by: String,
}

/// The starting point a command rests on: an activity's kind, `history`, `consent`, `erasure` or
/// `withdrawn`, and when it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Since {
    pub kind: String,
    pub at: Timestamp,
}

/// What follows a warning, and the first instant at which it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    pub action: Action,
    pub on: Timestamp,
}
