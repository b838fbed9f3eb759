//! "Holds defer a period's commands wholly, never cancel", and what deferred a command.

use crate::grounds::task_of;
use crate::keepers::Task;
use crate::sent::{Cause, Reply, Sent};
use crate::told::{AnswerResult, CATEGORIES, TARGETS, Told};
use crate::view::View;
use std::cmp::Reverse;

/// A hold in force: its id, and when it ends, if it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    pub id: String,
    pub until: Option<i64>,
}

impl<'a> View<'a> {
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

    /// What deferred a command that leaves now: the hold that was last in force while it was ready, or of what
    /// it names and an earlier one had left, the floor that ended last; whichever ended later.
    pub fn deferred_by(self, ready: i64, task: Task, named: &[usize], looks: &[i64]) -> Option<String> {
        let earlier: Vec<&Sent> = self.sent.iter().filter(|sent| same_task(task_of(sent), task)).collect();
        let was_left = |category: &usize| earlier.iter().any(|sent| sent.keeps(*category));
        let freed: Vec<(i64, usize)> = named
            .iter()
            .copied()
            .filter(was_left)
            .map(|category| (self.free_since(task, category, looks), category))
            .collect();
        let by_floor = freed.iter().filter(|(at, category)| self.floor_end(*category, task.policy) == Some(*at));
        let floor = by_floor.map(|(at, category)| (*at, Reverse(CATEGORIES[*category]))).max();
        // What was sent before was not deferred any more when it was sent.
        let taken_back = earlier.last().and_then(|sent| sent.recall.as_ref()).map(|recall| recall.attempts[0]);
        let first_freed = freed.iter().map(|(at, _)| *at).min();
        let hold = match (task.cause, taken_back.or(first_freed)) {
            (Cause::Period, since) => {
                let was_known = |then: View<'_>| then.start(task.policy).is_some_and(|start| start.at == task.since.at);
                self.last_hold(task.policy, since.map_or(ready, |since| ready.max(since)), looks, was_known)
            }
            // Nothing defers the word of a request; what it left, it may have left to a hold.
            _ if first_freed.is_none() => None,
            _ => self.last_hold(task.policy, ready, looks, |_| true),
        };
        match (hold, floor) {
            (Some((hold_end, id)), floor) if floor.is_none_or(|(floor_end, _)| floor_end < hold_end) => Some(id),
            (_, floor) => floor.map(|(_, Reverse(category))| format!("floor:{category}")),
        }
    }

    /// Since when nothing but a hold has kept a category that was left.
    fn free_since(self, task: Task, category: usize, looks: &[i64]) -> i64 {
        let is_free = |&look: &i64| {
            let then = self.after(look);
            let by_floor = then.floor_end(category, task.policy).is_some_and(|end| look < end);
            !by_floor && (task.cause != Cause::Period || then.keeper(task, category, None).is_none())
        };
        looks.iter().rev().copied().take_while(|look| is_free(look)).last().unwrap_or(self.now)
    }

    /// The hold that was last in force for a policy from `ready` on, as far as things were known then, and when
    /// that ended: "of several in force at one time the one with the latest end, then the first by id".
    fn last_hold(
        self,
        policy: usize,
        ready: i64,
        looks: &[i64],
        was_known: impl Fn(View<'_>) -> bool,
    ) -> Option<(i64, String)> {
        if !self.has_heard_of_holds() {
            return None;
        }
        let mut end = self.now;
        for &look in looks.iter().rev().filter(|look| **look < self.now) {
            if end <= ready {
                return None;
            }
            let then = self.after(look);
            let holds = then.holds(policy, None).into_iter();
            let latest = holds.max_by_key(|Hold { id, until }| (until.unwrap_or(i64::MAX), Reverse(id.clone())));
            if let Some(hold) = latest.filter(|_| was_known(then)) {
                return Some((end, hold.id));
            }
            end = look;
        }
        None
    }
}

fn same_task(one: Task, other: Task) -> bool {
    let place = |task: Task| (task.policy, task.stage, task.target);
    place(one) == place(other) && (one.cause, one.since.at) == (other.cause, other.since.at)
}

fn hold_id(told: &Told) -> Option<&'static str> {
    match told {
        Told::Hold { id, .. } | Told::Unhold { id, .. } => Some(*id),
        _ => None,
    }
}
