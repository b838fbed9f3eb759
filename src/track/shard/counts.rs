//! Counts over a shard's customers, kept as they change, so that nobody has to go through them all.

use crate::retention::activity::LastSeen;
use crate::retention::calendar::Timestamp;
use crate::retention::claims::Claims;
use crate::retention::command::Cause;
use crate::retention::customer::{Record, Reply, Sent};
use crate::retention::decide::applies;
use crate::retention::policy::{Policy, Rulebook};
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Customers with a starting point in any policy.
    pub started: u64,
    /// Customers with starting points only in policies that don't apply to them.
    pub uncovered: u64,
    /// Customers on whom a hold has been placed because there was no room for something.
    pub overflowed: u64,
    /// In the order of the rulebook's policies.
    pub policies: Vec<PolicyCounts>,
    /// In the order of the rulebook's targets: commands and recalls that wait for an answer.
    pub unacknowledged: Vec<u64>,
    /// The same: of them those whose lease has run out once or more, or that the target failed.
    pub overdue: Vec<u64>,
    /// Commands of requests that wait for an answer, by the minute of the request: so the map is no larger
    /// than there are minutes, and at day resolution days, with such a request.
    pub unanswered_requests: BTreeMap<Timestamp, u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyCounts {
    /// Customers with a starting point of the policy, to whom it applies.
    pub started: u64,
    /// By stage: customers for whom it was the last that was sent.
    pub sent: Vec<u64>,
}

impl Counts {
    pub fn new(rules: &Rulebook) -> Counts {
        let policies =
            rules.policies.iter().map(|policy| PolicyCounts { started: 0, sent: vec![0; policy.stages.len()] });
        let none = vec![0; rules.targets.len()];
        Counts { policies: policies.collect(), unacknowledged: none.clone(), overdue: none, ..Counts::default() }
    }

    /// Counts a customer.
    pub fn add(&mut self, rules: &Rulebook, seen: &[LastSeen], record: Option<&Record>) {
        self.change(rules, seen, record, |count| *count += 1);
    }

    /// Takes back what [`Counts::add`] counted.
    pub fn remove(&mut self, rules: &Rulebook, seen: &[LastSeen], record: Option<&Record>) {
        self.change(rules, seen, record, |count| *count -= 1);
    }

    fn change(&mut self, rules: &Rulebook, seen: &[LastSeen], record: Option<&Record>, change: impl Fn(&mut u64)) {
        const NOTHING: &Claims = &Claims::NONE;
        let claims = record.map_or(NOTHING, |record| &record.claims);
        let (mut has_start, mut is_covered) = (false, false);
        for (policy, counts) in rules.policies.iter().zip(&mut self.policies) {
            if !has_started(policy, seen, claims) {
                continue;
            }
            has_start = true;
            if applies(policy, claims) {
                is_covered = true;
                change(&mut counts.started);
            }
        }
        if has_start {
            change(&mut self.started);
        }
        if has_start && !is_covered {
            change(&mut self.uncovered);
        }
        if claims.has_overflowed() {
            change(&mut self.overflowed);
        }
        if let Some(record) = record {
            self.change_sent(rules, record, change);
        }
    }

    fn change_sent(&mut self, rules: &Rulebook, record: &Record, change: impl Fn(&mut u64)) {
        for course in &record.courses {
            let Some(policy) = rules.policy_by_key(&course.policy).map(|policy| usize::from(policy.0)) else {
                continue;
            };
            let by_period = course.sent.iter().filter(|sent| sent.cause == Cause::Period);
            let stage = |sent: &Sent| rules.policies[policy].stage_by_id(sent.stage);
            if let Some(last) = by_period.filter_map(stage).max() {
                change(&mut self.policies[policy].sent[last]);
            }
        }
        let sent = record.courses.iter().flat_map(|course| &course.sent);
        let unanswered = sent.filter(|sent| sent.expires.is_some() && is_unanswered(sent.reply));
        let is_overdue = |sent: &Sent| sent.attempt > 1 || matches!(sent.reply, Reply::Failed { .. });
        // Nobody asked for these, so no month runs: they count where an answer is waited for, and nowhere else.
        let resent = record.resends.iter().flat_map(|resend| &resend.sent).map(|(_, sent)| sent);
        let resent = resent.filter(|sent| sent.expires.is_some() && is_unanswered(sent.reply));
        let recalled = record.recalls.iter().map(|recalled| (&recalled.command, recalled.attempt > 1));
        for (sent, is_overdue) in unanswered.clone().chain(resent).map(|sent| (sent, is_overdue(sent))).chain(recalled)
        {
            if let Some(target) = rules.target_by_key(&sent.target) {
                change(&mut self.unacknowledged[usize::from(target.0)]);
                if is_overdue {
                    change(&mut self.overdue[usize::from(target.0)]);
                }
            }
        }
        for request in unanswered.filter_map(Sent::request) {
            let minute = Timestamp(request.at.0 - request.at.0.rem_euclid(60));
            let count = self.unanswered_requests.entry(minute).or_default();
            change(count);
            if *count == 0 {
                self.unanswered_requests.remove(&minute);
            }
        }
    }
}

/// By an activity of the policy's kinds, or by consent to it.
fn has_started(policy: &Policy, seen: &[LastSeen], claims: &Claims) -> bool {
    let consent = policy.consent.as_ref().and_then(|name| claims.consent(name));
    policy.since_last.iter().any(|kind| seen[usize::from(kind.0)] != LastSeen::NEVER)
        || consent.is_some_and(|consent| consent.given.is_some())
}

fn is_unanswered(reply: Reply) -> bool {
    matches!(reply, Reply::None | Reply::Failed { .. })
}
