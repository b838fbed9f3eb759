//! The last purpose removes: what a command may name at a target, and what something else keeps there.

use super::Judgement;
use super::standing::{Addressee, FloorStanding};
use crate::retention::calendar::Timestamp;
use crate::retention::command::Kept;
use crate::retention::customer::{Left, Request};
use crate::retention::gate::KnownSince;
use crate::retention::policy::{PolicyIndex, TargetIndex};
use uuid::Uuid;

/// A policy's categories at one target, parted into what a command may name and what is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Parted {
    pub named: Vec<String>,
    pub kept: Vec<Kept>,
}

/// For what the categories are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct View {
    /// Only holds and floors keep.
    pub on_request: bool,
    /// The command that is looked at again; what its target has answered doesn't keep it.
    pub answered: Option<Uuid>,
    /// What isn't known yet keeps. Not so where something has been sent already: a gate that has just
    /// begun to listen takes no ground away.
    pub unknown_keeps: bool,
}

impl View {
    pub fn by_period() -> View {
        View { on_request: false, answered: None, unknown_keeps: true }
    }

    pub fn on_request() -> View {
        View { on_request: true, ..View::by_period() }
    }

    /// Of a command that was sent.
    pub fn again(on_request: bool, command: Uuid) -> View {
        View { on_request, answered: Some(command), unknown_keeps: false }
    }
}

impl Judgement<'_> {
    /// Who, other than `policy`, still keeps a category of this customer at a target: a hold before a
    /// floor before a policy, then the first by name.
    fn keeper(&self, policy: PolicyIndex, category: u8, target: TargetIndex, view: View) -> Option<String> {
        if view.on_request
            && let Some(id) = self.stops(policy, view.answered).into_iter().map(|stop| stop.id).min()
        {
            return Some(format!("hold:{id}"));
        }
        if self.floor_keeps(policy, category, view) {
            return Some(format!("floor:{}", self.rules().categories[usize::from(category)]));
        }
        if view.on_request {
            return None;
        }
        self.policy_that_keeps(policy, category, target, view)
    }

    /// The first other policy that needs a category at a target.
    fn policy_that_keeps(&self, policy: PolicyIndex, category: u8, target: TargetIndex, view: View) -> Option<String> {
        let keeps = |other: &PolicyIndex| {
            let rules = self.policy(*other);
            *other != policy
                && rules.category_set.contains(category)
                && rules.stages.iter().any(|stage| stage.action.removes() && stage.targets.contains(&target))
                && self.covers(*other, view)
                && !self.finished(*other)
        };
        self.policy_indices().find(keeps).map(|keeper| self.policy(keeper).key.clone())
    }

    /// Whether the policy has a starting point for the customer. One whose history isn't known yet may
    /// have one, and keeps what it would keep then.
    fn covers(&self, policy: PolicyIndex, view: View) -> bool {
        let may_cover = || {
            view.unknown_keeps
                && self.known_since(policy) == KnownSince::Unknown
                && super::standing::applies(self.policy(policy), &self.record.claims)
                && !self.is_withdrawn(policy)
        };
        self.start(policy).is_some() || may_cover()
    }

    fn floor(&self, category: u8) -> FloorStanding {
        let floor = self.rules().floor_of(category);
        floor.map_or(FloorStanding::Empty, |floor| self.floors[usize::from(floor.0)])
    }

    /// A floor keeps until its deadline and the lateness of whoever would remove have passed.
    fn floor_keeps(&self, policy: PolicyIndex, category: u8, view: View) -> bool {
        match self.floor(category) {
            FloorStanding::Empty => false,
            FloorStanding::Unknown => view.unknown_keeps,
            FloorStanding::Until(deadline) => deadline + self.policy(policy).lateness > self.now(),
        }
    }

    /// When nothing keeps a category at a target any more but for what only time ends: floors, and holds with an end.
    /// `None`: something else keeps it, too.
    pub(super) fn free_from(
        &self,
        policy: PolicyIndex,
        name: &str,
        target: TargetIndex,
        view: View,
    ) -> Option<Timestamp> {
        let category = self.category(name)?;
        let floor = match self.floor(category) {
            FloorStanding::Until(deadline) => deadline + self.policy(policy).lateness,
            FloorStanding::Empty => self.now(),
            FloorStanding::Unknown => return None,
        };
        // Of a period holds defer the whole command.
        let ends: Option<Vec<Timestamp>> =
            self.stops(policy, view.answered).into_iter().map(|stop| stop.until).collect();
        if !view.on_request && self.policy_that_keeps(policy, category, target, view).is_some() {
            return None;
        }
        ends?.into_iter().chain([floor, self.now()]).max()
    }

    /// What a policy keeps of what was left for longer than its floor did, or the hold (`hold:ID`), and was
    /// not noted yet.
    pub(super) fn outlasted(&self, policy: PolicyIndex, left: &Left) -> Vec<String> {
        let Some(target) = self.rules().target_by_key(&left.target).filter(|_| left.request.is_none()) else {
            return Vec::new();
        };
        let lateness = self.policy(policy).lateness;
        let is_outlasted = |name: &&String| {
            let Some(category) = self.category(name) else { return false };
            let FloorStanding::Until(deadline) = self.floor(category) else { return false };
            deadline + lateness <= self.now()
                && !left.outlasted.contains(name)
                && self.keeper(policy, category, target, View::by_period()).is_some()
        };
        let mut outlasted: Vec<String> = left.categories.iter().filter(is_outlasted).cloned().collect();
        let deferral = self.course(policy).and_then(|course| course.deferral.as_ref());
        if let Some(hold) = deferral.filter(|deferral| deferral.ended(self.now()).is_some()) {
            let name = format!("hold:{}", hold.id);
            let is_free = |name: &String| self.is_free(policy, name, target, View::by_period());
            if !left.outlasted.contains(&name) && !left.categories.iter().any(is_free) {
                outlasted.push(name);
            }
        }
        outlasted
    }

    /// The latest deadline of the floors of the policy's categories that are over: what would be removed
    /// rests on it.
    pub(super) fn floors_over(&self, policy: PolicyIndex) -> Timestamp {
        let rules = self.policy(policy);
        let over = rules.categories.iter().filter_map(|&category| match self.floor(category) {
            FloorStanding::Until(deadline) if deadline + rules.lateness <= self.now() => Some(deadline),
            _ => None,
        });
        over.max().unwrap_or(Timestamp::MIN)
    }

    /// Of the floors that kept what an addressee still has longer than its command would have, the one
    /// that ended last, then the first by name; with its deadline.
    pub(super) fn floor_that_left(
        &self,
        policy: PolicyIndex,
        addressee: &Addressee,
        request: Option<Request>,
    ) -> Option<(String, Timestamp)> {
        let lateness = self.policy(policy).lateness;
        let otherwise = match request {
            Some(request) => self.request_deadline(request),
            None => self.ready_by_period(policy, addressee.stage, self.course_start(policy)?),
        };
        let left = self.left(policy, addressee, request)?;
        let kept = left.categories.iter().filter(|name| !left.outlasted.contains(name));
        let ended = kept.filter_map(|name| {
            let category = self.category(name)?;
            match self.floor(category) {
                FloorStanding::Until(deadline) => {
                    let end = deadline + lateness;
                    (otherwise < end && end <= self.now()).then(|| (name.clone(), deadline))
                }
                _ => None,
            }
        });
        ended.max_by(|a, b| a.1.cmp(&b.1).then_with(|| b.0.cmp(&a.0)))
    }

    fn category(&self, name: &str) -> Option<u8> {
        let place = self.rules().categories.iter().position(|category| category == name)?;
        u8::try_from(place).ok()
    }

    /// What an earlier command left for an addressee.
    pub(super) fn left(&self, policy: PolicyIndex, addressee: &Addressee, request: Option<Request>) -> Option<&Left> {
        let target = &self.rules().target(addressee.target).key;
        let stage = self.policy(policy).stage_id(addressee.stage);
        let is_it = |left: &&Left| left.target == *target && left.stage == stage && left.request == request;
        self.course(policy)?.left.iter().find(is_it)
    }

    /// Parts those of the policy's categories that `counts` tells of.
    pub(super) fn part(
        &self,
        policy: PolicyIndex,
        target: TargetIndex,
        view: View,
        counts: impl Fn(&String) -> bool,
    ) -> Parted {
        let mut parted = Parted::default();
        for &category in &self.policy(policy).categories {
            let name = &self.rules().categories[usize::from(category)];
            if !counts(name) {
                continue;
            }
            match self.keeper(policy, category, target, view) {
                Some(by) => parted.kept.push(Kept { category: name.clone(), by }),
                None => parted.named.push(name.clone()),
            }
        }
        parted
    }

    /// What a command would name at an addressee, and what stays: of what an earlier one left there, or
    /// of all.
    pub(super) fn part_for(
        &self,
        policy: PolicyIndex,
        addressee: &Addressee,
        request: Option<Request>,
        view: View,
    ) -> Parted {
        if !addressee.left {
            return self.part(policy, addressee.target, view, |_| true);
        }
        let left = self.left(policy, addressee, request);
        self.part(policy, addressee.target, view, |name| left.is_some_and(|left| left.categories.contains(name)))
    }

    pub(super) fn is_free(&self, policy: PolicyIndex, name: &str, target: TargetIndex, view: View) -> bool {
        self.category(name).is_some_and(|category| {
            self.policy(policy).category_set.contains(category) && self.keeper(policy, category, target, view).is_none()
        })
    }

    /// The removing stage that a warning is of: the first after it that has something to see to.
    pub(super) fn removal_after(&self, policy: PolicyIndex, warning: usize, view: View) -> Option<Vec<Addressee>> {
        let stages = &self.policy(policy).stages;
        let removing = (warning + 1..stages.len()).filter(|&stage| stages[stage].action.removes());
        // A request takes no ground away from a warning that was given.
        let only_left = view.answered.is_none() && self.is_withdrawn(policy);
        removing.map(|stage| self.see_to(policy, stage, only_left)).find(|to| !to.is_empty())
    }

    /// What the removal after a warning would name now, at any of its targets; `None`: nothing follows.
    pub(super) fn warned_of(&self, policy: PolicyIndex, warning: usize) -> Option<Vec<String>> {
        self.part_for_warning(policy, warning, View::by_period()).map(|parted| parted.named)
    }

    /// What the removal after a warning would name at any of its targets, and what all of them keep.
    pub(super) fn part_for_warning(&self, policy: PolicyIndex, warning: usize, view: View) -> Option<Parted> {
        let to = self.removal_after(policy, warning, view)?;
        let parts: Vec<Parted> = to.iter().map(|addressee| self.part_for(policy, addressee, None, view)).collect();
        let mut parted = Parted::default();
        for &category in &self.policy(policy).categories {
            let name = &self.rules().categories[usize::from(category)];
            if parts.iter().any(|part| part.named.contains(name)) {
                parted.named.push(name.clone());
            } else if let Some(kept) = parts.iter().flat_map(|part| &part.kept).find(|kept| kept.category == *name) {
                parted.kept.push(kept.clone());
            }
        }
        Some(parted)
    }

    /// Floors end, one by one.
    pub(super) fn wake_for_floors(&self, policy: PolicyIndex, wake: &mut super::Wake) {
        for &category in &self.policy(policy).categories {
            if let FloorStanding::Until(deadline) = self.floor(category) {
                wake.at_last(deadline + self.policy(policy).lateness, self.now());
            }
        }
    }

    /// What was left waits for floors, and on request for holds.
    pub(super) fn wake_for_what_is_left(&self, policy: PolicyIndex, wake: &mut super::Wake) {
        let Some(course) = self.course(policy) else { return };
        if !course.left.is_empty() {
            self.wake_for_floors(policy, wake);
        }
        if course.left.iter().any(|left| left.request.is_some()) {
            self.wake_for_holds(policy, wake);
        }
    }
}
