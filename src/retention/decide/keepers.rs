//! The last purpose removes: what a command may name at a target, and what something else keeps there.

use super::Judgement;
use crate::retention::command::Kept;
use crate::retention::gate::KnownSince;
use crate::retention::policy::{Action, CategorySet, PolicyIndex, TargetIndex};

/// A policy's categories at one target, parted into what a command may name and what is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Parted {
    pub named: Vec<String>,
    pub kept: Vec<Kept>,
}

impl Judgement<'_> {
    /// Who, other than `policy`, still keeps a category of this customer at a target: of several the
    /// first by name.
    fn keeper(&self, policy: PolicyIndex, category: u8, target: TargetIndex) -> Option<&str> {
        let keeps = |other: &PolicyIndex| {
            let rules = self.policy(*other);
            *other != policy
                && rules.category_set.contains(category)
                && rules.stages.iter().any(|stage| stage.action.removes() && stage.targets.contains(&target))
                && self.covers(*other)
                && !self.finished(*other)
        };
        self.policy_indices().find(keeps).map(|keeper| self.policy(keeper).key.as_str())
    }

    /// Whether the policy has a starting point for the customer. One whose history isn't known yet may
    /// have one, and keeps what it would keep then.
    fn covers(&self, policy: PolicyIndex) -> bool {
        self.start(policy).is_some() || self.circumstances.gate.known_since(policy) == KnownSince::Unknown
    }

    /// What a removal by `policy` would name at `target`, apart from `already`, which it has named there.
    pub(super) fn part(&self, policy: PolicyIndex, target: TargetIndex, already: &[String]) -> Parted {
        let mut parted = Parted::default();
        for &category in &self.policy(policy).categories {
            let name = &self.rules().categories[usize::from(category)];
            if already.contains(name) {
                continue;
            }
            match self.keeper(policy, category, target) {
                Some(by) => parted.kept.push(Kept { category: name.clone(), by: by.to_owned() }),
                None => parted.named.push(name.clone()),
            }
        }
        parted
    }

    /// What the commands of one stage of a course have named at a target.
    pub(super) fn named_by_stage(&self, policy: PolicyIndex, stage: usize, target: TargetIndex) -> Vec<String> {
        let key = &self.rules().target(target).key;
        let sent = self.sent_of_stage(policy, stage).filter(|sent| sent.target == *key);
        sent.flat_map(|sent| sent.categories.iter().cloned()).collect()
    }

    pub(super) fn would_remove(&self, policy: PolicyIndex, stage: usize, targets: &[TargetIndex]) -> bool {
        let removes = |&target: &TargetIndex| {
            !self.part(policy, target, &self.named_by_stage(policy, stage, target)).named.is_empty()
        };
        targets.iter().any(removes)
    }

    /// The stage that a warning warns of.
    pub(super) fn removal_after(&self, policy: PolicyIndex, warning: usize) -> Option<usize> {
        let stages = &self.policy(policy).stages;
        (warning + 1..stages.len()).find(|&stage| stages[stage].action != Action::Warn)
    }

    /// What the removal after a warning would name now, at any of its targets; `None`: nothing follows.
    pub(super) fn warned_of(&self, policy: PolicyIndex, warning: usize) -> Option<Vec<String>> {
        self.part_for_warning(policy, warning).map(|parted| parted.named)
    }

    /// What the removal after a warning would name at any of its targets, and what all of them keep.
    pub(super) fn part_for_warning(&self, policy: PolicyIndex, warning: usize) -> Option<Parted> {
        let removal = self.removal_after(policy, warning)?;
        let targets = &self.policy(policy).stages[removal].targets;
        let mut named = CategorySet::EMPTY;
        let mut parted = Parted::default();
        for &target in targets {
            for &category in &self.policy(policy).categories {
                if self.keeper(policy, category, target).is_none() {
                    named.insert(category);
                }
            }
        }
        for &category in &self.policy(policy).categories {
            let name = &self.rules().categories[usize::from(category)];
            if named.contains(category) {
                parted.named.push(name.clone());
            } else if let Some(by) = targets.iter().find_map(|&target| self.keeper(policy, category, target)) {
                parted.kept.push(Kept { category: name.clone(), by: by.to_owned() });
            }
        }
        Some(parted)
    }

    /// A stage and target at which a finished policy left a category that nothing keeps any more.
    pub(super) fn left_without_keeper(&self, policy: PolicyIndex) -> Option<(usize, TargetIndex)> {
        self.course(policy)?.left.iter().find_map(|left| {
            let stage = self.policy(policy).stage_by_id(left.stage)?;
            let target = self.rules().target_by_key(&left.target)?;
            let in_force = self.policy(policy).stages[stage].targets.contains(&target);
            let free = |name: &String| {
                let place = self.policy(policy).categories.iter();
                let mut places = place.filter(|&&category| self.rules().categories[usize::from(category)] == *name);
                places.any(|&category| self.keeper(policy, category, target).is_none())
            };
            (in_force && left.categories.iter().any(free)).then_some((stage, target))
        })
    }
}
