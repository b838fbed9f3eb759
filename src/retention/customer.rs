//! What has been told and sent about a customer, and what came back. Few customers have any of it: whoever
//! is merely active has only [`LastSeen`](super::activity::LastSeen) times.

use super::calendar::Timestamp;
use super::claims::Claims;
use super::command::{Cause, Kept, Next, Since};
use super::policy::StageId;
use uuid::Uuid;

/// The side of a customer's state that is more than activity. Default: nothing was ever told or sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    pub claims: Claims,
    /// Ordered by policy key; only policies that have something to remember.
    pub courses: Vec<Course>,
    /// Recalls not answered yet, in the order they were decided.
    pub recalls: Vec<Recalled>,
    /// Removals that somebody has ordered to be sent once more, in the order they were.
    pub resends: Vec<Resend>,
}

impl Record {
    pub fn is_empty(&self) -> bool {
        self.courses.is_empty() && self.recalls.is_empty() && self.claims.is_empty() && self.resends.is_empty()
    }
}

/// How far one policy has come for one customer.
#[derive(Clone, Debug, PartialEq)]
pub struct Course {
    /// The policy's key: its identity across configurations.
    pub policy: String,
    /// How often the policy has started over, recalls included; part of a command's identity.
    pub round: u32,
    /// The starting point that what was sent rests on; `None` after a recall.
    pub since: Option<Timestamp>,
    /// What was sent for this starting point, in the order it was sent; and on requests, whatever came
    /// after them.
    pub sent: Vec<Sent>,
    /// What the last removal left at a target because something else kept it there.
    pub left: Vec<Left>,
    /// Requests up to here have been served; at day resolution a day's last second.
    pub served: Option<Timestamp>,
    /// When consent was withdrawn, at the configuration's resolution, if the policy covered the customer.
    pub withdrawn: Option<Timestamp>,
    /// When consent was first withdrawn since it was last given, to the second: what happened later has
    /// started nothing.
    pub refused_since: Option<Timestamp>,
    /// The latest starting point from before consent was withdrawn, whether or not the policy applied: a
    /// withdrawal must end it as soon as the policy does. No later than `refused_since` at the
    /// configuration's resolution.
    pub refused_start: Option<Timestamp>,
    /// The latest starting point that the policy had while it applied, once anything was asked of it: what
    /// requests before it left is covered by the period that ran again.
    pub returned: Option<Timestamp>,
    /// What targets must keep the data of this customer for: it works as a hold of the policy.
    pub retained: Vec<Retained>,
    /// The hold that was last in force, as long as something that it deferred has not been sent.
    pub deferral: Option<Deferral>,
}

/// A target's answer that it must keep the data until then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retained {
    /// The command it answers.
    pub command: Uuid,
    /// Key of the target.
    pub target: String,
    pub until: Timestamp,
}

/// A hold that was in force for a policy; of several at one time the one with the latest end, then the
/// first by id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deferral {
    pub id: String,
    /// `None`: it had no end.
    pub until: Option<Timestamp>,
    /// When it was lifted, if that was before its end.
    pub lifted: Option<Timestamp>,
}

impl Deferral {
    /// When it ended; `None`: as far as is known it hasn't.
    pub fn ended(&self, now: Timestamp) -> Option<Timestamp> {
        self.lifted.or(self.until.filter(|until| *until <= now))
    }
}

impl Course {
    pub fn new(policy: &str) -> Course {
        Course {
            policy: policy.to_owned(),
            round: 0,
            since: None,
            sent: Vec::new(),
            left: Vec::new(),
            served: None,
            withdrawn: None,
            refused_since: None,
            refused_start: None,
            returned: None,
            retained: Vec::new(),
            deferral: None,
        }
    }
}

/// One command that left.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    pub id: Uuid,
    pub round: u32,
    /// Key of the target.
    pub target: String,
    pub stage: StageId,
    pub cause: Cause,
    pub policy_version: String,
    /// Names, in the policy's order.
    pub categories: Vec<String>,
    pub kept: Vec<Kept>,
    pub since: Since,
    pub deadline: Timestamp,
    pub deferred_by: Option<String>,
    pub next: Option<Next>,
    /// When the latest attempt left.
    pub sent_at: Timestamp,
    /// When the first attempt left.
    pub first_sent_at: Timestamp,
    /// Of the latest attempt, from 1.
    pub attempt: u32,
    /// When the latest attempt's lease ends; `None`: the target does not acknowledge.
    pub expires: Option<Timestamp>,
    pub reply: Reply,
    /// Of a warning: the next stage, or a request, has been sent since; it is no longer taken back.
    pub followed: bool,
}

impl Sent {
    /// Whether two commands of one policy are about the same: at one target, as the same stage, for the same reason.
    /// What their words are does not matter, nor which kind of signal set the day.
    pub fn says_the_same_as(&self, other: &Sent) -> bool {
        let about = |sent: &Sent| (sent.stage, sent.cause, sent.since.at);
        self.target == other.target && about(self) == about(other)
    }

    /// What asked for it; `None`: its time had come.
    pub fn request(&self) -> Option<Request> {
        (self.cause != Cause::Period).then_some(Request { cause: self.cause, at: self.since.at })
    }
}

/// What a target has answered to one command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reply {
    #[default]
    None,
    /// Executed; absorbs every other answer. `at` is the acknowledgement's time, held between the
    /// first sending and the append time of its signal.
    Done {
        at: Timestamp,
        /// When that was heard.
        heard: Timestamp,
    },
    /// The target must keep the data until then.
    Retained {
        attempt: u32,
        until: Timestamp,
    },
    Failed {
        attempt: u32,
    },
}

/// Categories that a removal left at a target, and the stage that left them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Key of the target.
    pub target: String,
    pub stage: StageId,
    /// May be none where the word must be given again.
    pub categories: Vec<String>,
    /// When it was left.
    pub since: Timestamp,
    /// The request on which it was left; `None`: by period.
    pub request: Option<Request>,
    /// What was sent was recalled, so it must be said again, whatever keeps.
    pub again: bool,
    /// What a policy has kept of it for longer than its floor did; `hold:ID`: than that hold did.
    pub outlasted: Vec<String>,
}

/// An erasure request, withdrawn consent or objection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// [`Cause::Withdrawn`] or [`Cause::ErasureRequest`].
    pub cause: Cause,
    /// At the configuration's resolution: at day resolution the last second of its day.
    pub at: Timestamp,
}

/// A recalled command and the recall itself, until one of them is answered with `done`.
#[derive(Clone, Debug, PartialEq)]
pub struct Recalled {
    /// The recall's own id.
    pub id: Uuid,
    pub policy: String,
    /// The command as it was sent.
    pub command: Sent,
    /// When the latest attempt of the recall left.
    pub sent_at: Timestamp,
    pub attempt: u32,
}

/// An order to send a target once more what it has removed already, or says that it has.
#[derive(Clone, Debug, PartialEq)]
pub struct Resend {
    /// The order's own id: who gives it twice has given it once.
    pub order: Uuid,
    /// Key of the target.
    pub target: String,
    /// When the shard was told: what happened up to then must have been heard of before anything leaves.
    pub ordered: Timestamp,
    /// The moment the last command before it was decided: whoever was seen since is not forgotten.
    pub end: Timestamp,
    /// Of that command.
    pub cause: Cause,
    /// Keys of the policies that had sent something, ordered.
    pub policies: Vec<String>,
    /// What left on this order, with its policy's key; none yet: it waits.
    pub sent: Vec<(String, Sent)>,
    /// Nothing more leaves on it: something has come to keep the customer, or it can't be said any more.
    pub is_over: bool,
}

impl Resend {
    /// Nothing has left yet, and something still may.
    pub fn waits(&self) -> bool {
        self.sent.is_empty() && !self.is_over
    }

    /// What left still waits for its answer.
    pub fn is_unanswered(&self) -> bool {
        self.sent.iter().any(|(_, sent)| !matches!(sent.reply, Reply::Done { .. }))
    }

    /// Something may still leave on it, or be answered.
    pub fn is_under_way(&self) -> bool {
        self.waits() || self.is_unanswered()
    }
}

/// A target's answer to one attempt of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    pub command: Uuid,
    pub attempt: u32,
    /// Key of the target.
    pub target: String,
    pub result: AckResult,
    pub time: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckResult {
    Done,
    Retained { until: Timestamp },
    Failed,
}
