//! "The last purpose removes": what a command names, and what it leaves to whom.

use crate::holds::Hold;
use crate::sent::{Cause, Sent};
use crate::told::CATEGORIES;
use crate::view::{Since, View};

/// One stage of one policy at one target, for one starting point or request.
#[derive(Clone, Copy, Debug)]
pub struct Task {
    pub policy: usize,
    pub stage: usize,
    pub target: usize,
    pub cause: Cause,
    pub since: Since,
}

/// What a task still has to see to.
#[derive(Debug)]
pub struct Todo {
    pub categories: Vec<usize>,
    /// Nothing that was sent for it stands.
    pub first: bool,
}

/// What a policy's categories come to in a command: those named, and those kept with their keepers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parted {
    pub named: Vec<usize>,
    pub kept: Vec<(usize, String)>,
}

impl<'a> View<'a> {
    /// What stands of what was sent for a task, each with its place in the list.
    pub fn sent_for(self, task: Task) -> impl Iterator<Item = (usize, &'a Sent)> {
        self.ever_sent_for(task).filter(move |(_, sent)| !self.is_recalled(sent))
    }

    fn ever_sent_for(self, task: Task) -> impl Iterator<Item = (usize, &'a Sent)> {
        self.sent.iter().enumerate().filter(move |(_, sent)| {
            let place = (sent.policy, sent.stage, sent.target);
            let ground = (sent.cause, sent.since.at);
            place == (task.policy, task.stage, task.target) && ground == (task.cause, task.since.at)
        })
    }

    /// At first the whole policy. Later what stands of the task hasn't named, and what nobody has removed
    /// or taken charge of since it was left.
    pub fn todo(self, task: Task) -> Todo {
        let own: Vec<(usize, &Sent)> = self.sent_for(task).collect();
        let all = self.policy(task.policy).categories.iter().copied();
        let open = all.filter(|&category| {
            let is_named = own.iter().any(|(_, sent)| sent.names(category));
            // What was taken back since had left it, too.
            let left = self.ever_sent_for(task).filter(|(_, sent)| sent.keeps(category)).last();
            let is_seen_to = left.is_some_and(|(place, _)| self.is_seen_to_since(task, category, place));
            own.is_empty() || (!is_named && !is_seen_to)
        });
        Todo { categories: open.collect(), first: own.is_empty() }
    }

    /// Whether, after a category was left by the command at `place`, another command has named it there, or
    /// a later stage of the policy has left it again and will see to it.
    fn is_seen_to_since(self, task: Task, category: usize, place: usize) -> bool {
        let removals = self.removals_at(task.target).filter(|(later, _)| *later > place);
        let of_course = |sent: &Sent| {
            let course = (sent.policy, sent.cause, sent.since.at);
            course == (task.policy, task.cause, task.since.at)
        };
        // A period that ran again speaks for what requests before it had left.
        let speaks_for = |sent: &Sent| {
            let by_period = (sent.policy, sent.cause) == (task.policy, Cause::Period);
            by_period && task.cause != Cause::Period && sent.since.at > task.since.at
        };
        let takes_charge = |sent: &Sent| (of_course(sent) || speaks_for(sent)) && sent.keeps(category);
        let mut later = removals.filter(|(_, sent)| sent.names(category) || takes_charge(sent));
        // What an earlier stage does to a category is not what a later one of the policy does.
        later.any(|(_, sent)| sent.stage > task.stage || !of_course(sent))
    }

    fn removals_at(self, target: usize) -> impl Iterator<Item = (usize, &'a Sent)> {
        self.standing().filter(move |(_, sent)| sent.target == target && self.action_of(sent).removes())
    }

    /// Parts categories into what a command of the policy at a target names and what is kept there.
    pub fn part(self, task: Task, categories: &[usize], except: Option<usize>) -> Parted {
        let mut parted = Parted::default();
        for &category in categories {
            match self.keeper(task, category, except) {
                None => parted.named.push(category),
                Some(keeper) => parted.kept.push((category, keeper)),
            }
        }
        parted
    }

    /// "Of several keepers hold goes before floor before policy, then by name." "On a request only floors
    /// and holds keep", and a hold defers what falls due by period wholly.
    pub fn keeper(self, task: Task, category: usize, except: Option<usize>) -> Option<String> {
        let floor = self.floor_end(category, task.policy).filter(|end| self.now < *end);
        let floor = floor.map(|_| format!("floor:{}", CATEGORIES[category]));
        if task.cause == Cause::Period {
            return floor.or_else(|| self.keeping_policy(task.policy, category, task.target));
        }
        let holds = self.holds(task.policy, except).into_iter().map(|Hold { id, .. }| id);
        holds.min().map(|id| format!("hold:{id}")).or(floor)
    }

    /// "A policy that covers the customer keeps its categories at the targets of its removing stages from
    /// its starting point until its last stage was sent."
    fn keeping_policy(self, policy: usize, category: usize, target: usize) -> Option<String> {
        let keeps = |other: usize| {
            other != policy
                && self.policy(other).categories.contains(&category)
                && self.configuration.removing_targets(other).iter().any(|(removing, _)| *removing == target)
                && self.start(other).is_some_and(|since| !self.has_removed(other, since.at))
        };
        // Policies are ordered by key.
        (0..self.configuration.policies.len()).find(|&other| keeps(other)).map(|other| self.policy(other).key.clone())
    }

    /// Whether the policy's last stage was sent by period, to all its targets, for a starting point at
    /// `since` or later.
    pub fn has_removed(self, policy: usize, since: i64) -> bool {
        let last = self.policy(policy).stages.len() - 1;
        self.policy(policy).stages[last].targets.iter().all(|&target| {
            self.standing().any(|(_, sent)| {
                let place = (sent.policy, sent.stage, sent.target, sent.cause);
                place == (policy, last, target, Cause::Period) && sent.since.at >= since
            })
        })
    }
}
