//! What the brake makes of what was judged: counts, trips, releases.

use super::Shard;
use super::decide::Moment;
use crate::plant::{Plant, is_planted};
use crate::retention::brake::Braking;
use crate::retention::calendar::{Timestamp, local_date};
use crate::retention::command::{Cause, Command};
use crate::retention::decide::{Due, Wake};
use crate::retention::policy::PolicyIndex;
use crate::track::outputs::Outputs;
use crate::track::table::Slot;
use crate::track::waiting::{Lane, Queue};

/// How far a policy's queue of those who wait for a release has been gone through since it may flow again.
pub type Pass = Option<Option<(Timestamp, Slot)>>;

/// Passes of so many policies.
pub fn passes(policies: usize) -> Vec<Pass> {
    vec![None; policies * Lane::BRAKES.len()]
}

/// So many customers are taken from a queue at once.
const PORTION: usize = 1_000;

impl Shard {
    /// Notes which versions of the policies are in force from the first record on that is read under them.
    pub(super) fn enter(&mut self, now: Timestamp) {
        if self.has_entered {
            return;
        }
        self.has_entered = true;
        let texts = self.config.text_hashes();
        let new = self.brakes.enter(&self.config.rules, &texts, now);
        self.tell_policies(&new, now);
        if let Some(written) = self.other_cluster.take() {
            self.brakes.stop_all(now, &format!("the state was written at another cluster ({written})"));
        }
    }

    pub(super) fn turn_day(&mut self, now: Timestamp) {
        if self.brakes.turn_to(local_date(now, self.config.rules.zone)) {
            self.passes.fill(Some(None));
        }
    }

    /// Lets a policy's queue be gone through from its beginning.
    pub(super) fn begin_passes(&mut self) {
        self.passes.fill(Some(None));
    }

    /// Counts what was sent, each customer once a policy, and trips where more wanted to leave.
    pub(super) fn brake(&mut self, decided: &[Command], wake: &Wake, moment: &Moment) {
        let mut counted: Vec<(PolicyIndex, bool)> = Vec::new();
        let counts = |command: &&Command| !command.verb.is_recall() || is_planted(Plant::CountRecalls);
        for command in decided.iter().filter(counts).filter(|command| command.attempt == 1) {
            let Some(policy) = self.config.rules.policy_by_key(&command.policy) else { continue };
            let on_request = command.cause != Cause::Period;
            if counted.contains(&(policy, on_request)) {
                continue;
            }
            counted.push((policy, on_request));
            let asked = on_request.then_some(moment.now);
            let due = Due { policy, deadline: command.deadline, ready: moment.now, asked };
            self.brakes.count(&command.policy, due);
        }
        for due in wake.blocked.iter().filter_map(|blocked| blocked.due) {
            let braking = Braking { rules: &self.config.rules, brakes: &self.brakes, covered: &moment.covered };
            if braking.trips(due) {
                let config = self.config.clone();
                let policy = &config.rules.policies[usize::from(due.policy.0)];
                self.brakes.trip(&policy.key, due, moment.now);
                self.tell_trip(policy, due, moment);
            }
        }
    }

    /// Judges again who waited for a release, as far as one might let them go.
    pub(super) fn judge_released(&mut self, moment: &Moment, steps: &mut usize, out: &mut Outputs) {
        for place in 0..self.passes.len() {
            let policy = place / Lane::BRAKES.len();
            let policy = PolicyIndex(u16::try_from(policy).unwrap_or(u16::MAX));
            let queue = Queue { policy, lane: Lane::BRAKES[place % Lane::BRAKES.len()] };
            while let Some(after) = self.passes[place] {
                if *steps == 0 {
                    return;
                }
                self.passes[place] = self.judge_portion(queue, after, moment, steps, out);
            }
        }
    }

    /// Where to go on; `None`: nobody behind might leave.
    fn judge_portion(
        &mut self,
        queue: Queue,
        after: Option<(Timestamp, Slot)>,
        moment: &Moment,
        steps: &mut usize,
        out: &mut Outputs,
    ) -> Pass {
        let portion: Vec<_> = self.waiting.behind(queue, after).take(PORTION.min(*steps)).collect();
        let mut last = None;
        for (deadline, slot) in portion {
            let braking = Braking { rules: &self.config.rules, brakes: &self.brakes, covered: &moment.covered };
            if !braking.might_allow(queue.policy, deadline) {
                return None;
            }
            *steps -= 1;
            self.judge(slot, moment, out);
            last = Some((deadline, slot));
        }
        last.map(Some)
    }

    /// Releases end when their date has passed and nobody waits under them.
    pub(super) fn end_releases(&mut self, now: Timestamp) {
        let config = self.config.clone();
        for (place, policy) in (0_u16..).zip(&config.rules.policies) {
            let index = PolicyIndex(place);
            let oldest =
                Lane::UNSENT.iter().filter_map(|&lane| self.waiting.oldest(Queue { policy: index, lane })).min();
            self.brakes.end_releases(&config.rules, policy, now, oldest);
        }
    }
}
