//! Counts over a shard's customers, kept as they change, so that nobody has to go through them all.

use crate::retention::activity::LastSeen;
use crate::retention::customer::{Record, Reply, Sent};
use crate::retention::policy::Rulebook;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Customers with an activity of any policy's kinds.
    pub started: u64,
    /// In the order of the rulebook's policies.
    pub policies: Vec<PolicyCounts>,
    /// In the order of the rulebook's targets: commands and recalls that wait for an answer.
    pub unacknowledged: Vec<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyCounts {
    /// Customers with an activity of the policy's kinds.
    pub started: u64,
    /// By stage: customers for whom it was the last that was sent.
    pub sent: Vec<u64>,
}

impl Counts {
    pub fn new(rules: &Rulebook) -> Counts {
        let policies =
            rules.policies.iter().map(|policy| PolicyCounts { started: 0, sent: vec![0; policy.stages.len()] });
        Counts { started: 0, policies: policies.collect(), unacknowledged: vec![0; rules.targets.len()] }
    }

    /// Counts a customer by what was seen of them.
    pub fn add_seen(&mut self, rules: &Rulebook, seen: &[LastSeen]) {
        self.change_seen(rules, seen, |count| *count += 1);
    }

    pub fn remove_seen(&mut self, rules: &Rulebook, seen: &[LastSeen]) {
        self.change_seen(rules, seen, |count| *count -= 1);
    }

    fn change_seen(&mut self, rules: &Rulebook, seen: &[LastSeen], change: impl Fn(&mut u64)) {
        let mut any = false;
        for (policy, counts) in rules.policies.iter().zip(&mut self.policies) {
            if policy.since_last.iter().any(|kind| seen[usize::from(kind.0)] != LastSeen::NEVER) {
                change(&mut counts.started);
                any = true;
            }
        }
        if any {
            change(&mut self.started);
        }
    }

    /// Counts a customer by what was sent to them.
    pub fn add_record(&mut self, rules: &Rulebook, record: &Record) {
        self.change_record(rules, record, |count| *count += 1);
    }

    pub fn remove_record(&mut self, rules: &Rulebook, record: &Record) {
        self.change_record(rules, record, |count| *count -= 1);
    }

    fn change_record(&mut self, rules: &Rulebook, record: &Record, change: impl Fn(&mut u64)) {
        for course in &record.courses {
            let Some(policy) = rules.policy_by_key(&course.policy).map(|policy| usize::from(policy.0)) else {
                continue;
            };
            let stage = |sent: &Sent| rules.policies[policy].stage_by_id(sent.stage);
            if let Some(last) = course.sent.iter().filter_map(stage).max() {
                change(&mut self.policies[policy].sent[last]);
            }
        }
        let sent = record.courses.iter().flat_map(|course| &course.sent);
        let unanswered = sent.filter(|sent| sent.expires.is_some() && is_unanswered(sent.reply));
        let recalled = record.recalls.iter().map(|recalled| &recalled.command);
        for sent in unanswered.chain(recalled) {
            if let Some(target) = rules.target_by_key(&sent.target) {
                change(&mut self.unacknowledged[usize::from(target.0)]);
            }
        }
    }
}

fn is_unanswered(reply: Reply) -> bool {
    matches!(reply, Reply::None | Reply::Failed { .. })
}
