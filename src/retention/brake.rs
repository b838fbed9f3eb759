//! The brake: the stop that a mass of commands runs into, and backlog, which waits for a person.
//!
//! Per policy, shard and local day customers are counted, requests apart. Past the larger of `per_day` of
//! the customers covered there and `at_least` the policy stops, before sending, until a release. What was
//! due already when a policy's version took effect waits for a release, however little it is.
//!
//! All of it stands in the shard's changelog, in the transaction of the commands it counts.

use super::calendar::{Timestamp, local_date};
use super::decide::{Allowance, Due};
use super::gate::Acceptable;
use super::policy::{Brake, Policy, PolicyIndex, Rulebook};
use chrono::NaiveDate;
use std::collections::BTreeMap;
use uuid::Uuid;

/// So many releases of one policy can be under way in a shard.
pub const RELEASES_MAX: usize = 16;
/// So many ids of instructions are remembered, so that one that is delivered twice is obeyed once.
pub const INSTRUCTIONS_MAX: usize = 64;

/// What a shard remembers of its brakes. Default: it has never run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Brakes {
    /// When the shard first ran: what was asked before waits for a release.
    pub first_run: Option<Timestamp>,
    /// By the policy's key.
    pub policies: BTreeMap<String, PolicyBrake>,
    /// The latest instructions, oldest first.
    pub instructions: Vec<Uuid>,
}

/// One policy in one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyBrake {
    pub version: String,
    /// Of all that is said of it, the version's own part included: what audit was told last.
    pub text: Option<TextHash>,
    /// When that took effect here: what was due already is backlog.
    pub effective: Timestamp,
    /// The local day that is counted.
    pub day: NaiveDate,
    pub by_period: Lane,
    pub on_request: Lane,
    /// Pulled by hand.
    pub stopped: Option<Stopped>,
    pub releases: Vec<Release>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lane {
    /// Customers to whom something was sent today, not counting those under a release.
    pub customers: u64,
    /// Since when more wanted to go than may; `None`: it flows.
    pub tripped: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    pub at: Timestamp,
    pub by: String,
    pub reason: String,
}

/// The hash of a policy's full text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextHash(pub [u8; 16]);

/// Lets a shard's own number of customers go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    pub id: Uuid,
    /// When the shard was told: what was asked for later was not in the number.
    pub given: Timestamp,
    /// Whose deadline lies before this instant.
    pub due_before: Timestamp,
    /// How many may still go.
    pub left: u64,
    pub per_day: Option<u64>,
    /// How many went today.
    pub today: u64,
}

/// An operator's order to one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    pub id: Uuid,
    /// Who gave it.
    pub by: String,
    pub reason: String,
    pub order: Order,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    Release {
        policy: String,
        version: String,
        due_before: Timestamp,
        /// This shard's number of customers.
        at_most: u64,
        per_day: Option<u64>,
    },
    /// `None`: all policies.
    Stop { policy: Option<String> },
    /// Answers what is doubtful about a source now, and nothing that comes later.
    Accept { source: String, doubt: Acceptable },
}

/// Why an instruction changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("there is no policy '{0}'")]
    NoPolicy(String),
    #[error("it is for version {asked}, and {in_force} is in force")]
    OtherVersion { asked: String, in_force: String },
    #[error("{RELEASES_MAX} releases of this policy are under way already")]
    TooMany,
    #[error("it was obeyed before")]
    Repeated,
    #[error("there is no source '{0}' that is read")]
    NoSource(String),
    #[error("there is no doubt about '{about}' for its {doubt}")]
    NoDoubt { about: String, doubt: Acceptable },
}

impl Brakes {
    /// Notes which versions are in force from `now` on, and with which texts; returns the policies of which
    /// either is new. A new text alone makes no backlog and ends no release.
    pub fn enter(&mut self, rules: &Rulebook, texts: &[TextHash], now: Timestamp) -> Vec<PolicyIndex> {
        self.first_run = self.first_run.or(Some(now));
        let day = local_date(now, rules.zone);
        let mut new = Vec::new();
        for ((place, policy), text) in (0_u16..).zip(&rules.policies).zip(texts) {
            let before = self.policies.get_mut(&policy.key);
            if let Some(brake) = before.filter(|brake| brake.version == policy.version) {
                if brake.text.replace(*text) != Some(*text) {
                    new.push(PolicyIndex(place));
                }
                continue;
            }
            let before = self.policies.get(&policy.key);
            let brake = PolicyBrake {
                version: policy.version.clone(),
                text: Some(*text),
                effective: now,
                day,
                by_period: before.map_or_else(Lane::default, |brake| brake.by_period),
                on_request: before.map_or_else(Lane::default, |brake| brake.on_request),
                // Whoever pulled it had a reason that a new version need not remove.
                stopped: before.and_then(|brake| brake.stopped.clone()),
                releases: Vec::new(),
            };
            self.policies.insert(policy.key.clone(), brake);
            new.push(PolicyIndex(place));
        }
        self.policies.retain(|key, _| rules.policy_by_key(key).is_some());
        new
    }

    /// Begins to count anew if the local day is another; whether it is.
    pub fn turn_to(&mut self, day: NaiveDate) -> bool {
        let mut turned = false;
        for brake in self.policies.values_mut().filter(|brake| brake.day != day) {
            turned = true;
            brake.day = day;
            brake.by_period.customers = 0;
            brake.on_request.customers = 0;
            brake.releases.iter_mut().for_each(|release| release.today = 0);
        }
        turned
    }

    /// Obeys an instruction; what accepts a doubt is the gate's.
    ///
    /// # Errors
    /// When it changes nothing, and why.
    pub fn obey(
        &mut self,
        instruction: &Instruction,
        now: Timestamp,
        accept: impl FnOnce(&str, Acceptable) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        if self.instructions.contains(&instruction.id) {
            return Err(Refusal::Repeated);
        }
        match &instruction.order {
            Order::Release { policy, version, due_before, at_most, per_day } => {
                let brake = self.policies.get_mut(policy).ok_or_else(|| Refusal::NoPolicy(policy.clone()))?;
                if brake.version != *version {
                    let (asked, in_force) = (version.clone(), brake.version.clone());
                    return Err(Refusal::OtherVersion { asked, in_force });
                }
                if brake.releases.len() >= RELEASES_MAX {
                    return Err(Refusal::TooMany);
                }
                brake.lift();
                if *at_most > 0 {
                    let (id, due_before) = (instruction.id, *due_before);
                    let (given, left) = (now, *at_most);
                    brake.releases.push(Release { id, given, due_before, left, per_day: *per_day, today: 0 });
                }
            }
            Order::Stop { policy } => {
                if let Some(policy) = policy.as_ref().filter(|policy| !self.policies.contains_key(*policy)) {
                    return Err(Refusal::NoPolicy(policy.clone()));
                }
                let stopped = Stopped { at: now, by: instruction.by.clone(), reason: instruction.reason.clone() };
                let meant = |key: &String| policy.as_ref().is_none_or(|policy| policy == key);
                for (_, brake) in self.policies.iter_mut().filter(|(key, _)| meant(key)) {
                    brake.stopped = Some(stopped.clone());
                    brake.releases.clear();
                }
            }
            Order::Accept { source, doubt } => accept(source, *doubt)?,
        }
        self.instructions.push(instruction.id);
        if self.instructions.len() > INSTRUCTIONS_MAX {
            self.instructions.remove(0);
        }
        Ok(())
    }

    /// Stops every policy, for a reason of our own.
    pub fn stop_all(&mut self, now: Timestamp, reason: &str) {
        for brake in self.policies.values_mut() {
            brake.stopped = Some(Stopped { at: now, by: "lapsed".to_owned(), reason: reason.to_owned() });
            brake.releases.clear();
        }
    }

    /// Ends the releases of a policy under which everyone has left: who is due by its date is ready when lateness
    /// is over, leaves when a window opens, and else waits for a gate or for another day. Asked when all who are
    /// ready have been judged.
    pub fn end_releases(&mut self, rules: &Rulebook, policy: &Policy, now: Timestamp, oldest: Option<Timestamp>) {
        let Some(brake) = self.policies.get_mut(&policy.key) else { return };
        brake.releases.retain(|release| {
            let ready = release.given.max(release.due_before + policy.lateness);
            let leave = rules.window.map_or(ready, |window| window.opens(ready, rules.zone));
            leave > now || oldest.is_some_and(|oldest| oldest < release.due_before)
        });
    }
}

impl PolicyBrake {
    fn lift(&mut self) {
        (self.by_period.tripped, self.on_request.tripped, self.stopped) = (None, None, None);
    }

    /// Whether nothing leaves until a person releases it.
    pub fn is_engaged(&self) -> bool {
        self.stopped.is_some() || self.by_period.tripped.is_some() || self.on_request.tripped.is_some()
    }

    /// Of requests a release lets only those go whose day had ended when it was given: no others were in its
    /// number.
    fn usable_release(&self, deadline: Timestamp, on_request: bool) -> Option<usize> {
        self.releases.iter().position(|release| {
            deadline < release.due_before
                && (!on_request || deadline <= release.given)
                && release.left > 0
                && release.per_day.is_none_or(|per_day| release.today < per_day)
        })
    }

    fn is_backlog(&self, due: Due, first_run: Option<Timestamp>) -> bool {
        let asked_before = |asked: Timestamp| first_run.is_none_or(|first_run| asked < first_run);
        due.ready <= self.effective || due.asked.is_some_and(asked_before)
    }

    pub fn lane(&self, due: Due) -> &Lane {
        if due.asked.is_some() { &self.on_request } else { &self.by_period }
    }

    fn lane_mut(&mut self, due: Due) -> &mut Lane {
        if due.asked.is_some() { &mut self.on_request } else { &mut self.by_period }
    }
}

/// The brakes of a shard at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Braking<'b> {
    pub rules: &'b Rulebook,
    pub brakes: &'b Brakes,
    /// By policy: customers covered in the shard.
    pub covered: &'b [u64],
}

/// The most customers a policy may send something in a shard and local day.
pub fn limit(brake: Brake, covered: u64) -> u64 {
    let share = (brake.per_day * covered as f64).floor();
    // A share of at most all of them fits.
    (share as u64).max(u64::from(brake.at_least))
}

impl Braking<'_> {
    fn policy(&self, policy: PolicyIndex) -> Option<&PolicyBrake> {
        self.brakes.policies.get(&self.rules.policies[usize::from(policy.0)].key)
    }

    fn limit(&self, policy: PolicyIndex) -> u64 {
        let place = usize::from(policy.0);
        limit(self.rules.policies[place].brake, self.covered[place])
    }

    /// Whether something due is stopped by the brake's own count, and by nothing a person has done or
    /// must do first.
    pub fn trips(&self, due: Due) -> bool {
        self.policy(due.policy).is_some_and(|brake| {
            brake.stopped.is_none()
                && !brake.is_backlog(due, self.brakes.first_run)
                && brake.lane(due).tripped.is_none()
                && brake.lane(due).customers >= self.limit(due.policy)
        })
    }

    /// Whether anything of a policy with this deadline might leave, be it no backlog.
    pub fn might_allow(&self, policy: PolicyIndex, deadline: Timestamp) -> bool {
        self.policy(policy).is_some_and(|brake| {
            let flows = |lane: &Lane| lane.tripped.is_none() && lane.customers < self.limit(policy);
            let flows = flows(&brake.by_period) || flows(&brake.on_request);
            brake.stopped.is_none() && (brake.usable_release(deadline, false).is_some() || flows)
        })
    }
}

impl Allowance for Braking<'_> {
    fn allows(&self, due: Due) -> bool {
        let Some(brake) = self.policy(due.policy) else { return false };
        if brake.stopped.is_some() {
            return false;
        }
        if brake.usable_release(due.deadline, due.asked.is_some()).is_some() {
            return true;
        }
        let lane = brake.lane(due);
        !brake.is_backlog(due, self.brakes.first_run)
            && lane.tripped.is_none()
            && lane.customers < self.limit(due.policy)
    }

    fn allows_attempts(&self, policy: PolicyIndex) -> bool {
        self.policy(policy).is_some_and(|brake| !brake.is_engaged())
    }
}

impl Brakes {
    /// Counts a customer to whom something has just been sent.
    pub fn count(&mut self, policy: &str, due: Due) {
        let Some(brake) = self.policies.get_mut(policy) else { return };
        match brake.usable_release(due.deadline, due.asked.is_some()) {
            Some(place) => {
                let release = &mut brake.releases[place];
                release.left -= 1;
                release.today += 1;
                if release.left == 0 {
                    brake.releases.remove(place);
                }
            }
            None => brake.lane_mut(due).customers += 1,
        }
    }

    /// More wanted to go than may.
    pub fn trip(&mut self, policy: &str, due: Due, now: Timestamp) {
        if let Some(brake) = self.policies.get_mut(policy) {
            brake.lane_mut(due).tripped = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brakes() -> Brakes {
        let brake = PolicyBrake {
            version: "v1".to_owned(),
            text: None,
            effective: Timestamp(1_000),
            day: NaiveDate::default(),
            by_period: Lane { customers: 3, tripped: Some(Timestamp(2_000)) },
            on_request: Lane::default(),
            stopped: None,
            releases: Vec::new(),
        };
        Brakes {
            first_run: Some(Timestamp(1_000)),
            policies: BTreeMap::from([("offers".to_owned(), brake)]),
            instructions: Vec::new(),
        }
    }

    fn release(id: u128, version: &str, at_most: u64) -> Instruction {
        let order = Order::Release {
            policy: "offers".to_owned(),
            version: version.to_owned(),
            due_before: Timestamp(5_000),
            at_most,
            per_day: Some(2),
        };
        Instruction { id: Uuid::from_u128(id), by: "privacy".to_owned(), reason: String::new(), order }
    }

    fn obey(brakes: &mut Brakes, instruction: &Instruction) -> Result<(), Refusal> {
        brakes.obey(instruction, Timestamp(3_000), |source, _| Err(Refusal::NoSource(source.to_owned())))
    }

    fn due(deadline: i64) -> Due {
        let deadline = Timestamp(deadline);
        Due { policy: PolicyIndex(0), deadline, ready: deadline, asked: None }
    }

    #[test]
    fn a_release_is_obeyed_once_and_ends_when_its_number_is_used_up() {
        let mut brakes = brakes();
        assert_eq!(obey(&mut brakes, &release(1, "v1", 3)), Ok(()));
        assert_eq!(obey(&mut brakes, &release(1, "v1", 3)), Err(Refusal::Repeated));
        assert!(!brakes.policies["offers"].is_engaged());
        for _ in 0..2 {
            brakes.count("offers", due(500));
        }
        assert_eq!(brakes.policies["offers"].usable_release(Timestamp(500), false), None, "two a day");
        assert!(brakes.turn_to(NaiveDate::MAX));
        assert_eq!(brakes.policies["offers"].usable_release(Timestamp(5_000), false), None, "due later");
        assert_eq!(brakes.policies["offers"].usable_release(Timestamp(3_001), true), None, "asked later");
        assert!(brakes.policies["offers"].usable_release(Timestamp(3_000), true).is_some());
        brakes.count("offers", due(500));
        assert!(brakes.policies["offers"].releases.is_empty());
        brakes.count("offers", due(500));
        assert_eq!(brakes.policies["offers"].by_period.customers, 1);
    }

    #[test]
    fn what_a_release_cannot_mean_changes_nothing() {
        let mut brakes = brakes();
        let before = brakes.clone();
        let in_force = "v1".to_owned();
        let refusal = Refusal::OtherVersion { asked: "v0".to_owned(), in_force };
        assert_eq!(obey(&mut brakes, &release(1, "v0", 3)), Err(refusal));
        let stop = Order::Stop { policy: Some("other".to_owned()) };
        let stop = Instruction { order: stop, ..release(2, "v1", 1) };
        assert_eq!(obey(&mut brakes, &stop), Err(Refusal::NoPolicy("other".to_owned())));
        let accept = Order::Accept { source: "web".to_owned(), doubt: Acceptable::Gap };
        let accept = Instruction { order: accept, ..release(3, "v1", 1) };
        assert_eq!(obey(&mut brakes, &accept), Err(Refusal::NoSource("web".to_owned())));
        assert_eq!(brakes, before);
    }

    #[test]
    fn the_larger_limit_counts() {
        let brake = Brake { per_day: 0.01, at_least: 10 };
        assert_eq!([0, 999, 1_099, 1_100].map(|covered| limit(brake, covered)), [10, 10, 10, 11]);
    }
}
