//! The oracle at work: at every instant that matters it looks at everything that has arrived and
//! everything that was sent, and asks what must leave now.

use crate::compare::{Decided, Line};
use crate::days::{Calendar, CountedFrom};
use crate::grounds::task_of;
use crate::keepers::Task;
use crate::sent::{Cause, Recall, Sent, Words};
use crate::stages::Candidate;
use crate::told::{AnswerResult, Answering, Arrived, CATEGORIES, Case, Configuration, TARGETS, Told, Window};
use crate::view::{Memory, View};
use chrono::{Datelike, LocalResult, NaiveDate, TimeZone};
use std::collections::BTreeSet;

/// At second resolution everything in this test happens at a multiple of this.
pub const GRID: i64 = 1800;

pub struct Oracle<'a> {
    case: &'a Case,
    memory: Memory,
    arrived: Vec<Arrived>,
    sent: Vec<Sent>,
    now: i64,
    /// Instants at which to look.
    ahead: BTreeSet<i64>,
    looks: Vec<i64>,
    /// Answers on their way.
    answers: Vec<Arrived>,
    lines: Vec<Decided>,
    decisions: usize,
}

/// All that must leave, in the order of [`Line::order`].
pub fn expected(case: &Case) -> Vec<Decided> {
    let mut oracle = Oracle {
        case,
        memory: Memory::default(),
        arrived: Vec::new(),
        sent: Vec::new(),
        now: i64::MIN,
        ahead: instants(case),
        looks: Vec::new(),
        answers: Vec::new(),
        lines: Vec::new(),
        decisions: 0,
    };
    while let Some(now) = oracle.ahead.pop_first().filter(|now| *now < case.until) {
        oracle.now = now;
        oracle.looks.push(now);
        oracle.arrive();
        oracle.look();
    }
    oracle.lines
}

/// Arrivals, ends of holds, midnights, midnights + lateness, window openings; at second resolution the
/// whole grid. What is sent adds the end of its lease, an answer the end of what is retained.
fn instants(case: &Case) -> BTreeSet<i64> {
    let configuration = &case.configuration;
    let mut instants: BTreeSet<i64> = case.log.iter().map(|arrived| arrived.arrives).collect();
    let Some(&first) = instants.first() else { return instants };
    instants.extend(case.log.iter().filter_map(|arrived| match arrived.what {
        Told::Hold { until, .. } => until.filter(|until| *until > first),
        _ => None,
    }));
    let calendar = configuration.calendar();
    let days = calendar.date(first).iter_days().take_while(|date| calendar.begin(*date) < case.until);
    for date in days {
        let midnight = calendar.begin(date);
        let late = configuration.policies.iter().map(|policy| midnight + policy.lateness);
        let opening = configuration.window.iter().flat_map(|window| openings(calendar, window, date));
        instants.extend([midnight].into_iter().chain(late).chain(opening).filter(|instant| *instant > first));
    }
    if configuration.by_second {
        let begin = first - first.rem_euclid(GRID);
        instants.extend((begin..case.until).step_by(usize::try_from(GRID).unwrap()).filter(|instant| *instant > first));
    }
    instants
}

/// When a window may open on a date: at its local time, which may come twice; where the clock skips it, as
/// soon as it shows a later one.
fn openings(calendar: &Calendar, window: &Window, date: NaiveDate) -> Vec<i64> {
    let zone = calendar.zone;
    let opening = match zone.from_local_datetime(&date.and_time(window.from)) {
        LocalResult::None => {
            let mut quarters = (0..96).map(|quarter| calendar.begin(date) + quarter * 900);
            [quarters.find(|instant| zone.timestamp_opt(*instant, 0).unwrap().time() >= window.from), None]
        }
        some => [some.earliest(), some.latest()].map(|opening| opening.map(|opening| opening.timestamp())),
    };
    opening.into_iter().flatten().collect()
}

impl Configuration {
    fn is_in_window(&self, now: i64) -> bool {
        let Some(window) = &self.window else { return true };
        let local = self.zone.timestamp_opt(now, 0).unwrap();
        let time = local.time();
        window.days.contains(&local.weekday()) && window.from <= time && window.to.is_none_or(|to| time < to)
    }
}

impl Oracle<'_> {
    fn configuration(&self) -> &Configuration {
        &self.case.configuration
    }

    fn view(&self) -> View<'_> {
        View {
            configuration: self.configuration(),
            calendar: self.configuration().calendar(),
            memory: &self.memory,
            arrived: &self.arrived,
            sent: &self.sent,
            now: self.now,
            sees_decisions_of_now: true,
        }
    }

    /// What happened before a customer was forgotten is suppressed.
    fn arrive(&mut self) {
        let now = self.now;
        let suppress_before = self.memory.suppress_before.unwrap_or(i64::MIN);
        let of_log =
            self.case.log.iter().filter(|arrived| arrived.arrives == now && arrived.what.at() >= suppress_before);
        self.arrived.extend(of_log.cloned());
        let (due, later) = std::mem::take(&mut self.answers).into_iter().partition(|answer| answer.arrives <= now);
        self.answers = later;
        self.arrived.extend::<Vec<Arrived>>(due);
    }

    fn look(&mut self) {
        let first_new = self.lines.len();
        self.recall_what_lost_its_ground();
        self.repeat_recalls();
        self.renew_leases();
        // Each command that is sent is no longer due, and may leave a warning that was sent before without
        // anything to warn of.
        loop {
            while let Some(candidate) = self.next_to_send() {
                self.send(&candidate);
                self.recall_what_lost_its_ground();
            }
            // What was taken back above, and is not said anew at once, keeps something from others again.
            if !self.recall_what_lost_its_ground() {
                break;
            }
        }
        self.lines[first_new..].sort_by(|a, b| a.line.order().cmp(&b.line.order()));
        self.plan_answers(first_new);
        self.forget();
    }

    /// A recall may make a keeper of the policy whose command it is, and so take away the next ground.
    fn recall_what_lost_its_ground(&mut self) -> bool {
        let mut any = false;
        while let Some(place) = (0..self.sent.len()).find(|place| self.view().must_be_recalled(*place)) {
            self.recall(place);
            any = true;
        }
        any
    }

    fn recall(&mut self, place: usize) {
        let number = self.decide();
        self.sent[place].recall = Some(Recall { number, attempts: vec![self.now] });
        self.write_recall(place);
    }

    fn write_recall(&mut self, place: usize) {
        let sent = &self.sent[place];
        let recall = sent.recall.as_ref().unwrap();
        let mut line = self.line(sent);
        line.verb = "recall";
        line.next = None;
        line.expires = None;
        line.deferred_by = None;
        line.attempt = recall.attempts.len();
        let decided = Decided { line, number: recall.number, recalls: Some(sent.number) };
        self.write(decided);
    }

    fn repeat_recalls(&mut self) {
        for place in 0..self.sent.len() {
            if self.view().recall_repeats(&self.sent[place]).is_some_and(|at| at <= self.now) {
                self.sent[place].recall.as_mut().unwrap().attempts.push(self.now);
                self.write_recall(place);
            }
        }
    }

    /// "When that has passed, `lapsed` judges again and sends what is still due, word for word; if more than
    /// attempt and times would differ, recall and a new round"; by period only inside the window. All are
    /// judged by what stood before any of them left.
    fn renew_leases(&mut self) {
        let view = self.view();
        let is_over = |place: &usize| {
            let by_request = self.sent[*place].cause != Cause::Period;
            let may_leave = by_request || self.configuration().is_in_window(self.now);
            may_leave && view.lease_end(*place).is_some_and(|end| end <= self.now)
        };
        let over = (0..self.sent.len()).filter(is_over);
        let judged: Vec<(usize, Option<Words>)> = over.map(|place| (place, view.said_again(place))).collect();
        for (place, words) in judged {
            match words {
                None => self.recall(place),
                Some(words) => {
                    self.sent[place].words = words;
                    self.sent[place].attempts.push(self.now);
                    self.write_sent(place);
                }
            }
        }
    }

    /// Requests are obeyed when read; then what is due by period and not held, "by deadline, then key, each
    /// seeing the one before".
    fn next_to_send(&self) -> Option<Candidate> {
        let view = self.view();
        let policies = 0..self.configuration().policies.len();
        let requests = policies.clone().filter_map(|policy| view.due_on_request(policy));
        let by_period = policies.filter_map(|policy| view.due_by_period(policy)).filter(|candidate| {
            let is_held = !view.holds(candidate.policy, None).is_empty();
            candidate.ready <= self.now && !is_held && self.configuration().is_in_window(self.now)
        });
        let first = |candidate: &Candidate| (candidate.deadline, candidate.policy);
        requests.min_by_key(first).or_else(|| by_period.min_by_key(first))
    }

    fn send(&mut self, candidate: &Candidate) {
        let &Candidate { policy, cause, since, deadline, .. } = candidate;
        let view = self.view();
        let compose = |&(stage, target): &(usize, usize)| {
            let task = Task { policy, stage, target, cause, since };
            let words: Words = view.words(task, None);
            let deferred_by = view.deferred_by(candidate.ready, task, &words.categories, &self.looks);
            (stage, target, words, deferred_by)
        };
        let composed: Vec<_> = candidate.to.iter().map(compose).collect();
        for (stage, target, words, deferred_by) in composed {
            let (number, attempts) = (self.decide(), vec![self.now]);
            let sent = Sent {
                number,
                policy,
                stage,
                target,
                cause,
                since,
                deadline,
                words,
                deferred_by,
                attempts,
                recall: None,
            };
            self.sent.push(sent);
            self.write_sent(self.sent.len() - 1);
        }
    }

    fn decide(&mut self) -> usize {
        self.decisions += 1;
        self.decisions
    }

    fn write_sent(&mut self, place: usize) {
        let sent = &self.sent[place];
        let decided = Decided { line: self.line(sent), number: sent.number, recalls: None };
        self.write(decided);
    }

    fn line(&self, sent: &Sent) -> Line {
        let policy = &self.configuration().policies[sent.policy];
        let names = |categories: &[usize]| categories.iter().map(|category| CATEGORIES[*category].to_owned()).collect();
        let kept = sent.words.kept.iter().map(|(category, by)| (CATEGORIES[*category].to_owned(), by.clone()));
        let since = self.configuration().shown_since(sent.since.at);
        Line {
            time: self.now,
            policy: policy.key.clone(),
            target: TARGETS[sent.target].to_owned(),
            verb: policy.stages[sent.stage].action.name(),
            cause: match sent.cause {
                Cause::Period => "period",
                Cause::Withdrawn => "withdrawn",
                Cause::ErasureRequest => "erasure_request",
            },
            categories: names(&sent.words.categories),
            kept: kept.collect(),
            since: (sent.words.since_kind.to_owned(), since),
            deadline: sent.deadline,
            deferred_by: sent.deferred_by.clone(),
            next: sent.words.next.map(|(command, on)| (command.to_owned(), on)),
            attempt: sent.attempts.len(),
            expires: self.configuration().acknowledge_within[sent.target].map(|within| self.now + within),
        }
    }

    fn write(&mut self, decided: Decided) {
        let target = TARGETS.iter().position(|target| *target == decided.line.target).unwrap();
        if let Some(within) = self.configuration().acknowledge_within[target] {
            self.ahead.insert(self.now + within);
            if matches!(self.case.answering, Answering::AtOnce) {
                let attempt = u32::try_from(decided.line.attempt).unwrap();
                let what = Told::Answer { to: decided.number, attempt, result: AnswerResult::Done, time: self.now };
                self.arrived.push(Arrived { arrives: self.now, what });
            }
        }
        self.lines.push(decided);
    }

    fn plan_answers(&mut self, first_new: usize) {
        for place in first_new..self.lines.len() {
            let Decided { line, number, .. } = &self.lines[place];
            let attempt = u32::try_from(line.attempt).unwrap();
            for answer in self.case.answering.planned(place) {
                let what = Told::Answer {
                    to: *number,
                    attempt,
                    result: answer.result(self.now),
                    time: self.now + answer.claimed,
                };
                let arrives = self.now + answer.after;
                self.ahead.insert(arrives);
                if let AnswerResult::Retained { until } = answer.result(self.now) {
                    self.ahead.insert(until);
                }
                self.answers.push(Arrived { arrives, what });
            }
        }
    }

    /// "The record goes at the first instant after `forget.after`, counted from the end, if by then every
    /// policy is done, everything sent is acknowledged, nothing is left or waiting, no hold is in force."
    fn forget(&mut self) {
        let Some(end) = self.sent.iter().map(Sent::first_sent).max() else { return };
        let calendar = self.configuration().calendar();
        let after = calendar.deadline(CountedFrom::Event, self.configuration().forget_after, end);
        if self.now < after || !self.view().may_be_forgotten() {
            return;
        }
        let view = self.view();
        let consents: BTreeSet<&'static str> =
            self.configuration().policies.iter().filter_map(|policy| policy.consent).collect();
        let stands_withdrawn = |consent: &'static str| {
            let withdrawn = view.withdrawals(consent).max()?;
            view.consent_given(consent).is_none_or(|given| given <= withdrawn).then_some((consent, withdrawn))
        };
        let withdrawn = consents.into_iter().filter_map(stands_withdrawn).collect();
        let suppress_before =
            Some(if self.configuration().by_second { end } else { calendar.begin(calendar.date(end)) });
        self.memory = Memory { suppress_before, withdrawn };
        self.arrived.clear();
        self.sent.clear();
    }
}

impl View<'_> {
    fn may_be_forgotten(self) -> bool {
        let policies = 0..self.configuration.policies.len();
        let was_removed = self.sent.iter().any(|sent| self.action_of(sent).removes());
        let was_ever_active = policies.clone().any(|policy| self.was_ever_active(policy));
        let is_done = |policy| self.start(policy).is_none_or(|since| self.has_removed(policy, since.at));
        was_removed
            && was_ever_active
            && policies.clone().all(is_done)
            && (0..self.sent.len()).all(|place| self.is_answered(place))
            && !policies.clone().any(|policy| self.left_something(policy))
            && !self.has_waiting_request()
            && !self.is_held_at_all()
    }

    /// Or nobody waits for an answer any more: it was taken over, and its lease is over.
    fn is_answered(self, place: usize) -> bool {
        let sent = &self.sent[place];
        if let Some(recall) = &sent.recall {
            return self.is_recall_answered(sent, recall);
        }
        let is_warning_over = !self.action_of(sent).removes() && self.is_warning_over(place);
        let lease = sent.attempts.last().zip(self.configuration.acknowledge_within[sent.target]);
        let is_past = lease.is_some_and(|(attempt, within)| attempt + within <= self.now);
        self.is_done(sent) || ((is_warning_over || self.is_taken_over(place)) && is_past)
    }

    /// Whether the policy's last command to some target, by period or on request, has left something there that
    /// nobody has seen to since.
    fn left_something(self, policy: usize) -> bool {
        let targets = self.configuration.removing_targets(policy).into_iter().map(|(target, _)| target);
        let kinds = targets.flat_map(|target| [(target, true), (target, false)]);
        kinds.into_iter().any(|(target, by_period)| {
            let is_it = |sent: &&Sent| {
                let is_there = (sent.policy, sent.target) == (policy, target) && self.action_of(sent).removes();
                is_there && (sent.cause == Cause::Period) == by_period
            };
            self.sent.iter().rfind(is_it).is_some_and(|sent| {
                let is_over = !by_period && self.has_returned_since(policy, sent.since);
                !is_over && !self.todo(task_of(sent)).categories.is_empty()
            })
        })
    }
}
