//! Everything that is known at one moment: what has arrived, what was sent. Nothing is remembered from
//! one question to the next; each looks through both lists again (sections 4 and 5 of the design).

use crate::days::Calendar;
use crate::told::{AnswerResult, Arrived, Configuration, KINDS, Policy, TARGETS, Told};

/// The starting point that a command rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since {
    pub kind: &'static str,
    /// At day resolution the day's last second.
    pub at: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    Period,
    Withdrawn,
    ErasureRequest,
}

/// One command that was sent.
#[derive(Clone, Debug)]
pub struct Sent {
    pub number: usize,
    pub policy: usize,
    pub stage: usize,
    pub target: usize,
    pub cause: Cause,
    pub since: Since,
    pub deadline: i64,
    pub words: Words,
    pub deferred_by: Option<String>,
    /// When each attempt left.
    pub attempts: Vec<i64>,
    /// Its recall, if it was recalled.
    pub recall: Option<Recall>,
}

/// What a command says that may change while it is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    pub since_kind: &'static str,
    pub categories: Vec<usize>,
    /// Category and keeper.
    pub kept: Vec<(usize, String)>,
    /// What follows a warning, and the first instant at which it can.
    pub next: Option<(&'static str, i64)>,
}

#[derive(Clone, Debug)]
pub struct Recall {
    pub number: usize,
    pub attempts: Vec<i64>,
}

impl Sent {
    pub fn first_sent(&self) -> i64 {
        self.attempts[0]
    }

    pub fn names(&self, category: usize) -> bool {
        self.words.categories.contains(&category)
    }

    pub fn keeps(&self, category: usize) -> bool {
        self.words.kept.iter().any(|(kept, _)| *kept == category)
    }
}

/// What is left of a forgotten customer.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// What happened before is suppressed.
    pub suppress_before: Option<i64>,
    /// Consents that stood withdrawn, and since when.
    pub withdrawn: Vec<(&'static str, i64)>,
}

/// A target's answer, all its answers to one command merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    None,
    /// The time that counts: not before the command was sent nor after its answer arrived.
    Done(i64),
    Retained(i64),
    Failed,
}

/// A hold in force: its id, and when it ends, if it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    pub id: String,
    pub until: Option<i64>,
}

#[derive(Clone, Copy)]
pub struct View<'a> {
    pub configuration: &'a Configuration,
    pub calendar: &'a Calendar,
    pub memory: &'a Memory,
    /// In the order of arrival.
    pub arrived: &'a [Arrived],
    /// In the order of sending.
    pub sent: &'a [Sent],
    pub now: i64,
    /// Whether what was decided at this very instant is seen.
    pub sees_decisions_of_now: bool,
}

impl<'a> View<'a> {
    /// How things stood once all had been decided at an earlier instant.
    pub fn after(self, instant: i64) -> View<'a> {
        let arrived = self.arrived.partition_point(|arrived| arrived.arrives <= instant);
        let sent = self.sent.partition_point(|sent| sent.first_sent() <= instant);
        View { arrived: &self.arrived[..arrived], sent: &self.sent[..sent], now: instant, ..self }
    }

    /// How things stood when all of an earlier instant had arrived and nothing had been decided then.
    pub fn before_deciding(self, instant: i64) -> View<'a> {
        let sent = self.sent.partition_point(|sent| sent.first_sent() < instant);
        View { sent: &self.sent[..sent], sees_decisions_of_now: false, ..self.after(instant) }
    }

    pub fn policy(self, policy: usize) -> &'a Policy {
        &self.configuration.policies[policy]
    }

    /// "When every period is in days or longer, only the local day matters."
    pub fn at_resolution(self, at: i64) -> i64 {
        if self.configuration.by_second { at } else { self.calendar.next_day(at) - 1 }
    }

    /// When what counts at the end of its local day counts; at second resolution at once.
    pub fn end(self, at: i64) -> i64 {
        if self.configuration.by_second { at } else { self.calendar.next_day(at) }
    }

    fn told(self) -> impl Iterator<Item = &'a Told> {
        self.arrived.iter().map(|arrived| &arrived.what)
    }

    /// Latest time, at resolution.
    fn last_seen(self, kind: usize) -> Option<i64> {
        let times = self.told().filter_map(|told| match told {
            Told::Activity { kind: seen, at } if *seen == kind => Some(*at),
            _ => None,
        });
        times.max().map(|at| self.at_resolution(at))
    }

    /// When consent was last given.
    pub fn given(self, consent: &str) -> Option<i64> {
        let times = self.told().filter_map(|told| match told {
            Told::Consent { name, given: true, at } if *name == consent => Some(*at),
            _ => None,
        });
        times.max()
    }

    /// Every time consent was withdrawn.
    pub fn withdrawals(self, consent: &str) -> impl Iterator<Item = i64> {
        let remembered = self.memory.withdrawn.iter().filter(move |(name, _)| *name == consent).map(|(_, at)| *at);
        let told = self.told().filter_map(move |told| match told {
            Told::Consent { name, given: false, at } if *name == consent => Some(*at),
            _ => None,
        });
        remembered.chain(told)
    }

    /// Since when consent stands withdrawn: "latest event time; on a tie, false", "a withdrawal counts
    /// from the end of its local day".
    pub fn withdrawn(self, consent: &str) -> Option<i64> {
        let latest = self.withdrawals(consent).filter(|at| self.end(*at) <= self.now).max()?;
        self.given(consent).is_none_or(|given| given <= latest).then_some(latest)
    }

    /// When erasure was last asked for.
    pub fn erasure(self) -> Option<i64> {
        let times = self.told().filter_map(|told| match told {
            Told::Erasure { at } => Some(*at),
            _ => None,
        });
        times.max()
    }

    /// "Latest event time; on a tie, the greater value."
    fn attribute(self, attribute: &str) -> Option<&'static str> {
        let told = self.told().filter_map(|told| match told {
            Told::Attribute { name, value, at } if *name == attribute => Some((*at, *value)),
            _ => None,
        });
        told.max().and_then(|(_, value)| value)
    }

    pub fn applies(self, policy: usize) -> bool {
        let matches = |(name, values): &(&str, Vec<_>)| values.contains(&self.attribute(name));
        self.policy(policy).applies_to.iter().all(matches)
    }

    /// Holds in force that a record placed: "latest event time; on a tie placed wins, then longest until,
    /// then greater reason", and at last the one that concerns more policies.
    fn placed_holds(self) -> Vec<(Hold, Option<&'a [String]>)> {
        let mut ids: Vec<&str> = self.told().filter_map(|told| hold_id(told)).collect();
        ids.sort_unstable();
        ids.dedup();
        let last_word = |id: &str| {
            let words = self.told().filter(|told| hold_id(told) == Some(id));
            words.max_by_key(|told| match told {
                Told::Hold { at, until, reason, policies, .. } => {
                    let until = until.unwrap_or(i64::MAX);
                    (*at, true, until, *reason, policies.is_none(), policies.clone())
                }
                other => (other.at(), false, 0, "", false, None),
            })
        };
        let placed = ids.into_iter().filter_map(|id| match last_word(id)? {
            Told::Hold { until, policies, .. } if until.is_none_or(|until| self.now < until) => {
                Some((Hold { id: id.to_owned(), until: *until }, policies.as_deref()))
            }
            _ => None,
        });
        placed.collect()
    }

    /// "`retained` works as a hold of that policy till then", whatever becomes of the command it answers.
    fn retained(self, policy: Option<usize>, except: Option<usize>) -> impl Iterator<Item = Hold> {
        let concerned = self.sent.iter().filter(move |sent| policy.is_none_or(|policy| sent.policy == policy));
        let others = concerned.filter(move |sent| Some(sent.number) != except);
        others.filter_map(move |sent| match self.reply(sent) {
            Reply::Retained(until) if self.now < until => {
                Some(Hold { id: format!("retained:{}", TARGETS[sent.target]), until: Some(until) })
            }
            _ => None,
        })
    }

    /// Holds in force for a policy; but for what the command with the number `except` was answered.
    pub fn holds(self, policy: usize, except: Option<usize>) -> Vec<Hold> {
        let key = &self.policy(policy).key;
        let concerning = |policies: Option<&[String]>| policies.is_none_or(|policies| policies.contains(key));
        let placed = self.placed_holds().into_iter().filter(|(_, policies)| concerning(*policies));
        placed.map(|(hold, _)| hold).chain(self.retained(Some(policy), except)).collect()
    }

    pub fn is_held_at_all(self) -> bool {
        !self.placed_holds().is_empty() || self.retained(None, None).next().is_some()
    }

    /// Whether anything was ever said that may hold something back.
    pub fn has_heard_of_holds(self) -> bool {
        self.told()
            .any(|told| matches!(told, Told::Hold { .. } | Told::Answer { result: AnswerResult::Retained { .. }, .. }))
    }

    /// A customer is known when anything was told of them.
    fn is_known(self) -> bool {
        self.told().any(|told| !matches!(told, Told::Answer { .. }))
    }

    /// "Every customer counts as active at the latest `history_from`", but for the past of one who was
    /// forgotten.
    fn history(self, known_since: Option<i64>) -> Option<i64> {
        let known_since = known_since.filter(|_| self.is_known())?;
        let suppressed = self.memory.suppress_before.is_some_and(|before| known_since < before);
        (!suppressed).then(|| self.at_resolution(known_since))
    }

    /// The latest activity of a policy up to an instant, whatever was asked and whoever it applies to. Of
    /// each kind, only the latest is known.
    pub fn last_active(self, policy: usize, up_to: i64) -> Option<Since> {
        let Policy { kinds, consent, known_since, .. } = self.policy(policy);
        let of_kinds = kinds.iter().map(|kind| (KINDS[*kind], self.last_seen(*kind)));
        let given = consent.and_then(|name| self.given(name)).map(|at| self.at_resolution(at));
        // On a tie the first of these is named.
        let all = of_kinds.chain([("consent", given), ("history", self.history(*known_since))]);
        let mut latest: Option<Since> = None;
        for (kind, at) in all {
            if let Some(at) = at.filter(|at| *at <= up_to && latest.is_none_or(|latest| *at > latest.at)) {
                latest = Some(Since { kind, at });
            }
        }
        latest
    }

    /// "A policy has a starting point only if `applies_to` matches, if its consent is not withdrawn, and if
    /// the starting point lies after what was served on request."
    pub fn start(self, policy: usize) -> Option<Since> {
        let withdrawn = self.policy(policy).consent.and_then(|name| self.withdrawn(name));
        self.start_despite_withdrawal(policy).filter(|_| withdrawn.is_none())
    }

    pub fn start_despite_withdrawal(self, policy: usize) -> Option<Since> {
        let since = self.last_active(policy, i64::MAX).filter(|_| self.applies(policy));
        since.filter(|since| self.served(policy).is_none_or(|served| since.at > served))
    }

    /// Requests up to here have been served.
    pub fn served(self, policy: usize) -> Option<i64> {
        let on_request = self.sent.iter().filter(|sent| sent.policy == policy && sent.cause != Cause::Period);
        on_request.map(|sent| sent.since.at).max()
    }

    /// When a category may be removed by a policy: its floor's deadline and the policy's lateness.
    pub fn floor_end(self, category: usize, policy: usize) -> Option<i64> {
        let floor = self.configuration.floors.iter().find(|floor| floor.category == category)?;
        let seen = floor.kinds.iter().filter_map(|kind| self.last_seen(*kind));
        let start = seen.chain(self.history(floor.known_since)).max()?;
        Some(self.calendar.deadline(floor.counted_from, floor.keep, start) + self.policy(policy).lateness)
    }

    /// What was sent and not recalled.
    pub fn standing(self) -> impl DoubleEndedIterator<Item = (usize, &'a Sent)> {
        self.sent.iter().enumerate().filter(move |(_, sent)| !self.is_recalled(sent))
    }

    pub fn is_recalled(self, sent: &Sent) -> bool {
        let decided = |at: i64| at < self.now || (at == self.now && self.sees_decisions_of_now);
        sent.recall.as_ref().is_some_and(|recall| decided(recall.attempts[0]))
    }

    /// The result of every answer to a decision, with its attempt, its time and its arrival.
    pub fn answers(self, number: usize) -> impl Iterator<Item = (u32, AnswerResult, i64, i64)> {
        self.arrived.iter().filter_map(move |arrived| match arrived.what {
            Told::Answer { to, attempt, result, time } if to == number => {
                Some((attempt, result, time, arrived.arrives))
            }
            _ => None,
        })
    }

    /// "`done` absorbs; else the higher attempt; on a tie retained over failed." What doesn't acknowledge
    /// has done it when it was sent. After its recall nothing but `done` is of interest.
    pub fn reply(self, sent: &Sent) -> Reply {
        if self.configuration.acknowledge_within[sent.target].is_none() {
            return Reply::Done(sent.first_sent());
        }
        let answers = self.answers(sent.number);
        let done = answers.filter(|(_, result, ..)| *result == AnswerResult::Done);
        if let Some(earliest) = done.map(|(.., time, arrives)| time.min(arrives).max(sent.first_sent())).min() {
            return Reply::Done(earliest);
        }
        let recalled = sent.recall.as_ref().map_or(i64::MAX, |recall| recall.attempts[0]);
        let in_time = self.answers(sent.number).filter(|(.., arrives)| *arrives <= recalled);
        let ranked = in_time.map(|(attempt, result, ..)| match result {
            AnswerResult::Retained { until } => (attempt, true, until),
            _ => (attempt, false, 0),
        });
        match ranked.max() {
            None => Reply::None,
            Some((_, true, until)) => Reply::Retained(until),
            Some((_, false, _)) => Reply::Failed,
        }
    }

    pub fn is_done(self, sent: &Sent) -> bool {
        matches!(self.reply(sent), Reply::Done(_))
    }
}

fn hold_id(told: &Told) -> Option<&'static str> {
    match told {
        Told::Hold { id, .. } | Told::Unhold { id, .. } => Some(*id),
        _ => None,
    }
}
