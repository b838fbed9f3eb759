//! What leaves now, and when to look again.
//!
//! A judgement takes the customer's state as it stands and works in a fixed order:
//!
//! 1. [`withdraw`]: commands whose ground is gone are recalled; activity later than what was sent
//!    starts the policy over.
//! 2. [`lease`]: recalls and commands without an answer are sent again when their time has come.
//! 3. [`send`]: what is due on request ([`request`]) leaves, then what is due by period ([`standing`]), by
//!    deadline, then by policy key, each seeing the one before, unless a hold [defers](defer) it. [`keepers`] part what
//!    it names from what stays. What a person has ordered to be sent once more ([`mod@resend`]) comes last.
//! 4. the next [`Wake`], and whether our own record may go ([`farewell`]).
//!
//! [`mod@explain`] and [`forecast`] look at the same, and decide nothing.
//!
//! It cannot fail, and a second judgement at the same instant changes nothing.

mod acknowledge;
mod defer;
mod explain;
mod farewell;
mod forecast;
mod hear;
mod keepers;
mod lease;
mod request;
mod resend;
mod send;
mod standing;
mod withdraw;

pub use acknowledge::{Answered, Heard, acknowledge};
pub use explain::{Expected, LeftBehind, Outlook, Standing, Wait, explain, standing_at};
pub use farewell::{Farewell, is_from_before};
pub use forecast::{Coming, coming, coming_from};
pub use hear::{hear, see};
pub use resend::{Dropped, FORGOTTEN, NotResent, ResendOrder, order_resend};
pub use standing::{Start, StartKind, applies, starting_point};

use super::activity::LastSeen;
use super::almanac::Almanac;
use super::calendar::Timestamp;
use super::command::{Cause, Command, Since};
use super::customer::{Course, Record};
use super::gate::{Gate, KnownSince};
use super::policy::{Action, PolicyIndex, Rulebook};
use crate::plant::{Plant, is_planted};
use keepers::View;
use standing::{Candidate, FloorStanding, Ground};

/// What may leave at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sending {
    All,
    /// A shard that is behind only merges, and recalls.
    RecallsOnly,
}

/// Something that would leave as a first attempt, as far as the brake asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    pub policy: PolicyIndex,
    pub deadline: Timestamp,
    /// When it fell due: lateness, notice and floors included.
    pub ready: Timestamp,
    /// When it was asked for; `None`: it is due by period.
    pub asked: Option<Timestamp>,
}

/// What the brake lets through.
pub trait Allowance {
    /// Whether a first attempt may leave.
    fn allows(&self, due: Due) -> bool;
    /// Whether further attempts of a policy's commands may leave.
    fn allows_attempts(&self, policy: PolicyIndex) -> bool;
}

/// No brake.
#[derive(Clone, Copy, Debug)]
pub struct Unlimited;

impl Allowance for Unlimited {
    fn allows(&self, _due: Due) -> bool {
        true
    }

    fn allows_attempts(&self, _policy: PolicyIndex) -> bool {
        true
    }
}

/// When a customer must be judged again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wake {
    /// Something falls due at this instant, if nothing changes before. `None`: nothing ever will.
    pub at: Option<Timestamp>,
    /// What would leave now but for an obstacle that no passing of time removes.
    pub blocked: Vec<Blocked>,
    /// Nothing more will come of this customer: the record may go.
    pub farewell: Option<Farewell>,
    /// Orders to send something once more that have just ended, and why.
    pub dropped: Vec<Dropped>,
}

/// Something due that does not leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocked {
    pub policy: PolicyIndex,
    /// What the gate has to prove.
    pub deadline: Timestamp,
    pub on_request: bool,
    pub by: Obstacle,
    /// What the brake was asked, if that is what it is.
    pub due: Option<Due>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    Gate,
    /// The brake, a stop, or backlog that nobody has released.
    Brake,
    /// The policy's mode.
    Mode,
    /// A gate: nothing leaves, but our own record waits for it to open.
    FarewellGate,
}

impl Wake {
    fn no_later_than(&mut self, at: Timestamp) {
        self.at = Some(self.at.map_or(at, |earlier| earlier.min(at)));
    }

    /// At `at`, unless that has passed.
    fn at_last(&mut self, at: Timestamp, now: Timestamp) {
        if at > now {
            self.no_later_than(at);
        }
    }
}

/// The circumstances of a judgement, the same for every customer of a shard.
#[derive(Clone, Copy)]
pub struct Circumstances<'a> {
    pub rules: &'a Rulebook,
    /// Of the rulebook's zone.
    pub almanac: &'a Almanac,
    pub gate: &'a dyn Gate,
    pub allowance: &'a dyn Allowance,
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
    let grounds = standing::grounds(circumstances, seen, &record.claims);
    let floors = standing::floors(circumstances, seen);
    hear::note_withdrawals(circumstances, seen, record);
    let dropped = Vec::new();
    let mut judgement = Judgement { circumstances, customer, seen, grounds, floors, record, out, dropped };
    judgement.note_returns();
    judgement.note_stops();
    judgement.withdraw();
    judgement.withdraw_resends();
    judgement.repeat_recalls();
    let has_recalled = judgement.renew_leases();
    judgement.send_what_is_due();
    // What was taken back and not said anew at once keeps something from others again.
    while has_recalled && judgement.withdraw() {
        judgement.send_what_is_due();
    }
    judgement.send_resends();
    judgement.note_what_outlasts_floors();
    judgement.forget_deferrals();
    judgement.forget_resends();
    let wake = judgement.wake();
    for course in &mut record.courses {
        course.retained.retain(|retained| retained.until > circumstances.now);
    }
    record.courses.retain(|course| *course != Course::new(&course.policy));
    wake
}

/// What would come next of a policy for one customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prospect {
    pub due: Due,
    pub cause: Cause,
    pub action: Action,
    pub since: Since,
    /// The hold that would defer it now.
    pub held_by: Option<String>,
}

/// What a policy would send next, by period and on requests, if nothing changed; whether or not its time
/// has come. Sends nothing and changes nothing.
pub fn prospects(
    circumstances: Circumstances<'_>,
    policy: PolicyIndex,
    seen: &[LastSeen],
    record: &Record,
) -> Vec<Prospect> {
    as_judged(circumstances, seen, record, |judgement| judgement.prospects(policy))
}

/// Looks at a customer as they would stand in the middle of a judgement, when what has lost its ground is gone and
/// nothing has been sent yet; and changes nothing.
fn as_judged<T>(
    circumstances: Circumstances<'_>,
    seen: &[LastSeen],
    record: &Record,
    look: impl FnOnce(&Judgement<'_>) -> T,
) -> T {
    let mut record = record.clone();
    hear::note_withdrawals(circumstances, seen, &mut record);
    with_judgement(circumstances, seen, &mut record, |judgement| {
        judgement.note_returns();
        judgement.note_stops();
        judgement.withdraw();
        judgement.withdraw_resends();
        look(judgement)
    })
}

/// Looks at a customer as a judgement does: who they are only matters to the identity of what is sent.
fn with_judgement<T>(
    circumstances: Circumstances<'_>,
    seen: &[LastSeen],
    record: &mut Record,
    look: impl FnOnce(&mut Judgement<'_>) -> T,
) -> T {
    let grounds = standing::grounds(circumstances, seen, &record.claims);
    let floors = standing::floors(circumstances, seen);
    let mut out = Vec::new();
    let dropped = Vec::new();
    look(&mut Judgement { circumstances, customer: "", seen, grounds, floors, record, out: &mut out, dropped })
}

/// One customer under judgement.
struct Judgement<'a> {
    circumstances: Circumstances<'a>,
    customer: &'a str,
    seen: &'a [LastSeen],
    /// By policy: where its periods would start for this customer, but for requests.
    grounds: Vec<Option<Start>>,
    /// By floor.
    floors: Vec<FloorStanding>,
    record: &'a mut Record,
    out: &'a mut Vec<Command>,
    dropped: Vec<Dropped>,
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

    fn known_since(&self, policy: PolicyIndex) -> KnownSince {
        self.circumstances.gate.known_since(policy)
    }

    fn proven(&self, policy: PolicyIndex, deadline: Timestamp) -> bool {
        let Circumstances { gate, now, .. } = self.circumstances;
        self.known_since(policy) != KnownSince::Unknown
            && gate.proven_up_to(policy, now).is_some_and(|proven| deadline <= proven)
    }

    fn proven_for_request(&self, deadline: Timestamp) -> bool {
        let Circumstances { gate, now, .. } = self.circumstances;
        gate.requests_proven_up_to(now).is_some_and(|proven| deadline <= proven)
    }

    /// The first instant from now on at which commands by period may leave.
    fn window_opens(&self) -> Timestamp {
        let rules = self.rules();
        rules.window.map_or(self.now(), |window| window.opens(self.now(), rules.zone))
    }

    fn send_what_is_due(&mut self) {
        if self.circumstances.sending == Sending::RecallsOnly {
            return;
        }
        let window_is_open = self.window_opens() == self.now();
        let before = self.out.len();
        // Each pass sends at least one command that is then no longer due, so this ends.
        while let Some(candidate) = self.next_to_send(window_is_open) {
            debug_assert!(self.out.len() - before < 10_000, "what was sent is due again at once");
            self.send(&candidate);
            // It may have removed what a warning is about.
            self.withdraw();
        }
    }

    fn next_to_send(&self, window_is_open: bool) -> Option<Candidate> {
        let due = |candidate: &Candidate| {
            candidate.ready <= self.now()
                && (window_is_open || candidate.is_on_request())
                && self.deferring_hold(candidate).is_none()
                && self.obstacle(candidate).is_none()
        };
        self.policy_indices().flat_map(|policy| self.candidates(policy)).filter(due).min_by_key(|candidate| {
            (!candidate.is_on_request(), candidate.deadline, candidate.policy, candidate.rank())
        })
    }

    /// What keeps a candidate that is ready from leaving, and would still do tomorrow.
    fn obstacle(&self, candidate: &Candidate) -> Option<Obstacle> {
        if !self.policy(candidate.policy).mode.allows(candidate.action) {
            return Some(Obstacle::Mode);
        }
        let proven = match candidate.ground {
            Ground::Period(_) => self.proven(candidate.policy, candidate.proof),
            Ground::Request(_) => self.proven_for_request(candidate.proof),
        };
        if !proven && !is_planted(Plant::SendBeforeGate) {
            return Some(Obstacle::Gate);
        }
        let allowed = self.circumstances.allowance.allows(self.due(candidate));
        (!allowed).then_some(Obstacle::Brake)
    }

    fn due(&self, candidate: &Candidate) -> Due {
        let asked = match candidate.ground {
            Ground::Period(_) => None,
            Ground::Request(request) => Some(self.asked_at(candidate.policy, request)),
        };
        Due { policy: candidate.policy, deadline: candidate.deadline, ready: candidate.ready, asked }
    }

    fn prospects(&self, policy: PolicyIndex) -> Vec<Prospect> {
        self.candidates(policy).iter().map(|candidate| self.prospect(candidate)).collect()
    }

    fn prospect(&self, candidate: &Candidate) -> Prospect {
        let (cause, since) = match candidate.ground {
            Ground::Period(start) => (Cause::Period, self.since(start)),
            Ground::Request(request) => (request.cause, Judgement::request_since(request)),
        };
        let held_by = self.deferring_hold(candidate).map(|stop| stop.id);
        Prospect { due: self.due(candidate), cause, action: candidate.action, since, held_by }
    }

    fn wake(&mut self) -> Wake {
        let mut wake = Wake { dropped: std::mem::take(&mut self.dropped), ..Wake::default() };
        self.wake_for_leases(&mut wake);
        self.wake_for_resends(&mut wake);
        for policy in self.policy_indices() {
            for candidate in self.candidates(policy) {
                self.wake_for_candidate(&candidate, &mut wake);
            }
            self.wake_for_virtual_end(policy, &mut wake);
            self.wake_for_requests(policy, &mut wake);
            self.wake_for_what_is_left(policy, &mut wake);
            self.wake_for_skipped_warnings(policy, &mut wake);
        }
        if wake.blocked.is_empty() {
            self.wake_for_farewell(&mut wake);
        }
        wake
    }

    fn wake_for_candidate(&self, candidate: &Candidate, wake: &mut Wake) {
        let Candidate { policy, deadline, .. } = *candidate;
        if candidate.ready > self.now() {
            return wake.no_later_than(candidate.ready);
        }
        if self.deferring_hold(candidate).is_some() {
            return self.wake_for_holds(policy, wake);
        }
        let on_request = candidate.is_on_request();
        match self.obstacle(candidate) {
            Some(Obstacle::Mode) => {
                wake.blocked.push(Blocked { policy, deadline, on_request, by: Obstacle::Mode, due: None });
            }
            _ if self.circumstances.sending == Sending::RecallsOnly => wake.no_later_than(self.now()),
            _ if !on_request && self.window_opens() > self.now() => wake.no_later_than(self.window_opens()),
            Some(by) => {
                let deadline = if by == Obstacle::Gate { candidate.proof } else { deadline };
                let due = (by == Obstacle::Brake).then(|| self.due(candidate));
                wake.blocked.push(Blocked { policy, deadline, on_request, by, due });
            }
            // It was sent, and is due again at once only if something is wrong: never spin.
            None => wake.no_later_than(self.now()),
        }
    }
}
