//! What people ask of a shard: where a customer stands, what falls due, whom a change hits.

use crate::rig::{DAY, Entry, Rig, activity, answer, at, claim, config, progress, progress_with, release, text};
use chrono::Days;
use lapsed::retention::calendar::{Timestamp, last_second, local_date};
use lapsed::retention::claims::Claim;
use lapsed::retention::customer::AckResult;
use lapsed::retention::decide::{Expected, Outlook, Wait};
use lapsed::track::questions::{Answer, Answered, Question, Reply, Unanswered, queue};
use lapsed::track::shard::{Explained, Foretelling, Foretold, Reconciled, Shard, Survey};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

fn explain(rig: &Rig, customer: &str) -> Explained {
    let now = rig.shard.now().unwrap();
    rig.shard.explain(customer.as_bytes(), now)
}

fn outlook<'e>(explained: &'e Explained, rig: &Rig, policy: &str) -> &'e Outlook {
    let index = rig.config.rules.policy_by_key(policy).unwrap();
    explained.known.as_ref().unwrap().outlooks.iter().find(|outlook| outlook.policy == index).unwrap()
}

fn waits(rig: &Rig, policy: &str) -> Vec<Wait> {
    let explained = explain(rig, "4711");
    outlook(&explained, rig, policy).next[0].waits.clone()
}

fn instant(date: &str) -> Timestamp {
    Timestamp(at(date))
}

#[test]
fn each_reason_to_wait_is_told() {
    let mut rig = Rig::of(config(&(text() + "window: {days: [mon, tue, wed, thu, fri], hours: \"09:00-17:00\"}\n")));
    let left = at("2024-03-10");
    rig.batch(&[activity(left, "4711", "login", left), progress(left, &rig.config)]);
    assert_eq!(
        waits(&rig, "newsletter"),
        [Wait::Deadline(instant("2025-03-11")), Wait::Lateness(instant("2025-03-13"))]
    );
    rig.batch(&[progress(at("2025-03-12"), &rig.config)]);
    assert_eq!(waits(&rig, "newsletter"), [Wait::Lateness(instant("2025-03-13"))]);

    let held = |until| Claim::Hold {
        id: "case-9".to_owned(),
        at: instant("2025-03-12"),
        until,
        reason: "a dispute".to_owned(),
        policies: None,
    };
    rig.batch(&[claim(at("2025-03-12") + 1, "4711", held(Some(instant("2025-04-01"))))]);
    rig.batch(&[progress(at("2025-03-14"), &rig.config)]);
    let hold = Wait::Hold { id: "case-9".to_owned(), until: Some(instant("2025-04-01")) };
    assert_eq!(waits(&rig, "newsletter"), [hold]);
    let unhold = Claim::Unhold { id: "case-9".to_owned(), at: instant("2025-03-15") };
    // A Saturday, before the window opens.
    rig.batch(&[claim(at("2025-03-15"), "4711", unhold), progress(at("2025-03-15"), &rig.config)]);
    let monday = Timestamp(at("2025-03-17") + 9 * 3600);
    assert_eq!(waits(&rig, "newsletter"), [Wait::Window(monday)]);
    let stalled = progress_with(monday.0, &rig.config, |partition| partition.complete_to = None);
    rig.batch(&[stalled]);
    assert_eq!(waits(&rig, "newsletter"), [Wait::Gate]);
    rig.batch(&[progress(monday.0 + 10, &rig.config)]);
    assert_eq!(rig.lines(), ["2025-03-17 4711 newsletter expire mailing"]);
    let explained = explain(&rig, "4711");
    assert!(outlook(&explained, &rig, "newsletter").removed);
    assert_eq!(outlook(&explained, &rig, "newsletter").next, []);
    assert_eq!(outlook(&explained, &rig, "offers").since.as_ref().unwrap().kind, "login");
    assert_eq!(explain(&rig, "4712").known, None);
}

#[test]
fn a_warned_customer_waits_for_the_answer_and_then_for_the_notice() {
    let mut rig = Rig::new();
    let left = at("2024-03-10");
    rig.batch(&[activity(left, "4711", "purchase", left), progress(left, &rig.config)]);
    rig.days(left, at("2026-02-13") + 1, false);
    let explained = explain(&rig, "4711");
    let offers = outlook(&explained, &rig, "offers");
    assert!(offers.awaits_answer && offers.next.is_empty());
    let now = at("2026-02-13") + 3600;
    let done = answer(now, &rig.config, "4711", &rig.sent[0].1.clone(), AckResult::Done);
    rig.batch(&[done, progress(at("2026-03-13"), &rig.config)]);
    assert_eq!(waits(&rig, "offers"), [Wait::Notice(instant("2026-03-14"))]);
}

#[test]
fn backlog_waits_for_a_release_and_a_mode_withholds() {
    let mut rig = Rig::of(config(&text().replacen("mode: enforce", "mode: test", 1)));
    let now = at("2026-03-01");
    rig.batch(&[activity(now, "4711", "login", at("2024-01-10")), progress(now, &rig.config)]);
    assert_eq!(waits(&rig, "offers"), [Wait::Release]);
    // The address is kept by nobody else, and the newsletter only thinks so.
    assert!(waits(&rig, "newsletter").contains(&Wait::Mode));
    rig.batch(&[release(now, &rig.config, "offers", now, 1)]);
    assert_eq!(rig.lines(), ["2026-03-01 4711 offers warn mailing"]);
}

/// Customers of many pasts: most only seen, some held, some already warned.
fn town(rig: &mut Rig, count: u64) -> i64 {
    let mut random = fastrand::Rng::with_seed(11);
    let first = at("2024-01-10");
    let mut entries: Vec<Entry> = Vec::new();
    for place in 0..count {
        let day = first + random.i64(0..700) * DAY;
        let kind = if random.bool() { "login" } else { "purchase" };
        entries.push(activity(first, &format!("c{place}"), kind, day));
        if place % 9 == 0 {
            let until = (place % 2 == 0).then_some(Timestamp(at("2026-06-01")));
            let hold = Claim::Hold { id: "h".into(), at: Timestamp(day), until, reason: String::new(), policies: None };
            entries.push(claim(first, &format!("c{place}"), hold));
        }
    }
    rig.batch(&entries);
    let now = at("2026-01-11");
    for day in (first..=now).step_by(usize::try_from(DAY).unwrap()) {
        settle(rig, day);
    }
    now
}

/// A day on which every command is answered as it is sent.
fn settle(rig: &mut Rig, now: i64) {
    rig.batch(&[progress(now, &rig.config)]);
    while rig.answered < rig.sent.len() {
        let waiting = &rig.sent[rig.answered..];
        let done = |(customer, sent): &(String, _)| answer(now, &rig.config, customer, sent, AckResult::Done);
        let mut entries: Vec<Entry> = waiting.iter().map(done).collect();
        rig.answered = rig.sent.len();
        entries.push(progress(now, &rig.config));
        rig.batch(&entries);
    }
}

fn wide(text: &str) -> String {
    format!("{text}brake: {{per_day: 100%, at_least: 100000}}\n")
}

fn foretell(shard: &Shard, other: Option<Arc<lapsed::config::Config>>) -> Foretold {
    let mut foretelling = Foretelling::new(shard, shard.now().unwrap(), other);
    // In the smallest portions, which must not matter.
    loop {
        if let Some(foretold) = foretelling.step(shard, &mut 100) {
            return foretold;
        }
    }
}

type PerDay = BTreeMap<(String, &'static str, String, usize), u64>;

fn days(foretold: &Foretold) -> PerDay {
    let mut days = PerDay::new();
    for policy in &foretold.policies {
        for command in &policy.commands {
            for (day, number) in command.days.iter().enumerate().filter(|(_, number)| **number > 0) {
                let key = (policy.policy.clone(), command.command.name(), command.target.clone(), day);
                days.insert(key, *number);
            }
        }
    }
    days
}

#[test]
fn what_is_foretold_happens() {
    let mut rig = Rig::of(config(&wide(&text())));
    let now = town(&mut rig, 400);
    let foretold = foretell(&rig.shard, None);
    let zone = rig.config.zone;
    assert_eq!(foretold.first, local_date(Timestamp(now), zone));
    assert_eq!(foretold.policies.iter().map(|policy| policy.due).sum::<u64>(), 0, "everything due has left");
    assert!(foretold.policies.iter().any(|policy| policy.held > 0));

    let sent = rig.sent.len();
    for day in 0..366 {
        settle(&mut rig, last_second(foretold.first + Days::new(day), zone).0);
    }
    let mut happened = PerDay::new();
    for (_, command) in &rig.sent[sent..] {
        let day = (local_date(command.time, zone) - foretold.first).num_days();
        let target = rig.config.rules.target(command.target).key.clone();
        *happened.entry((command.policy.clone(), command.verb.name(), target, day as usize)).or_default() += 1;
    }
    assert!(happened.len() > 100, "{}", happened.len());
    let foretold = days(&foretold);
    let differs = |key: &&_| foretold.get(*key) != happened.get(*key);
    let different: Vec<_> = foretold.keys().chain(happened.keys()).filter(differs).collect();
    assert_eq!(different, Vec::<&(String, &str, String, usize)>::new());
}

/// A floor, and consent, so that every kind of thing can come next.
fn varied() -> String {
    let text = wide(&text()).replacen(
        "    lawful_basis: consent\n",
        "    lawful_basis: consent\n    consent: newsletter\n",
        1,
    );
    let consent = "      - {when: {/event: preference}, consent: {newsletter: /newsletter}}\ntargets:";
    let text = text.replacen("targets:", consent, 1);
    text + "floors: {name: {since_last: [purchase], keep: P30M, because: a law}}\n"
}

/// Customers of whom more is known than when they were seen: holds, consent given and withdrawn, erasure asked for.
fn varied_town(rig: &mut Rig, seed: u64, count: u64) -> i64 {
    let mut random = fastrand::Rng::with_seed(seed);
    let (first, now) = (at("2024-01-10"), at("2026-01-11"));
    let mut entries: Vec<Entry> = Vec::new();
    for place in 0..count {
        let customer = format!("c{place}");
        for _ in 0..random.u8(1..4) {
            let day = first + random.i64(0..729) * DAY;
            entries.push(activity(day, &customer, if random.bool() { "login" } else { "purchase" }, day));
        }
        let day = first + random.i64(0..730) * DAY + 60;
        let told = match random.u8(0..12) {
            0 | 1 => {
                let until = random.bool().then(|| Timestamp(day + random.i64(1..800) * DAY));
                Claim::Hold { id: "h".into(), at: Timestamp(day), until, reason: String::new(), policies: None }
            }
            2 | 3 => Claim::Consent { name: "newsletter".into(), given: random.bool(), at: Timestamp(day) },
            4 => Claim::Erasure { at: Timestamp(day) },
            _ => continue,
        };
        entries.push(claim(day, &customer, told));
    }
    entries.sort_by_key(|entry| entry.append);
    let mut left = entries.into_iter().peekable();
    for day in (first..=now).step_by(usize::try_from(DAY).unwrap()) {
        let mut today = Vec::new();
        while left.peek().is_some_and(|entry| entry.append < day) {
            today.extend(left.next());
        }
        if !today.is_empty() {
            rig.batch(&today);
        }
        settle(rig, day);
    }
    now
}

/// The day on which the next command is told to leave, if nothing but time keeps it.
fn next_day(rig: &Rig, explained: &Explained) -> Option<chrono::NaiveDate> {
    let next = explained.known.iter().flat_map(|known| &known.outlooks).flat_map(|outlook| &outlook.next);
    let leaves = |next: &Expected| {
        let until = |wait: &Wait| match wait {
            Wait::Hold { until, .. } => *until,
            Wait::Deadline(at) | Wait::Lateness(at) | Wait::Notice(at) | Wait::Floor(at) | Wait::Window(at) => {
                Some(*at)
            }
            Wait::Mode | Wait::Gate | Wait::Release => None,
        };
        let ends: Option<Vec<Timestamp>> = next.waits.iter().map(until).collect();
        let last = ends?.into_iter().chain([next.prospect.due.ready, explained.now]).max()?;
        Some(local_date(last, rig.config.zone))
    };
    let left = explained.known.iter().flat_map(|known| &known.outlooks).flat_map(|outlook| &outlook.left);
    let left = left.filter_map(|left| Some(local_date(left.earliest?, rig.config.zone)));
    next.filter_map(leaves).chain(left).min()
}

/// What `explain` says comes next is what the shard then does, and on that day, if nobody does anything and every target
/// answers at once.
#[test]
fn what_is_explained_happens() {
    let mut told = BTreeMap::new();
    for seed in 0..6 {
        let mut rig = Rig::of(config(&varied()));
        let now = varied_town(&mut rig, seed, 120);
        let zone = rig.config.zone;
        let customers: Vec<String> = (0..120).map(|place| format!("c{place}")).collect();
        let explained: Vec<Explained> = customers.iter().map(|customer| explain(&rig, customer)).collect();
        let expected: Vec<_> = explained.iter().map(|explained| next_day(&rig, explained)).collect();
        let (sent, today, days) = (rig.sent.len(), local_date(Timestamp(now), zone), 500);
        for day in 0..=days {
            settle(&mut rig, last_second(today + Days::new(day), zone).0);
        }
        let mut happened = BTreeMap::new();
        for (customer, command) in rig.sent[sent..].iter().filter(|(_, command)| command.attempt == 1) {
            if !command.verb.is_recall() {
                happened.entry(customer.clone()).or_insert(local_date(command.time, zone));
            }
        }
        for ((customer, explained), expected) in customers.iter().zip(&explained).zip(expected) {
            let expected = expected.filter(|day| *day <= today + Days::new(days));
            let lines: Vec<String> =
                rig.lines().into_iter().filter(|line| line.contains(&format!(" {customer} "))).collect();
            assert_eq!(
                happened.get(customer).copied(),
                expected,
                "{customer} of seed {seed}: {:#?}\n{explained:#?}",
                lines
            );
            *told.entry(expected.is_some()).or_insert(0) += 1;
        }
    }
    assert!(told[&true] > 300 && told[&false] > 30, "{told:?}");
}

#[test]
fn another_configuration_is_held_against_the_one_in_force() {
    let mut rig = Rig::of(config(&wide(&text())));
    town(&mut rig, 400);
    let shorter = text().replace("{after: P1Y, command: expire}", "{after: P6M, command: expire}");
    let stricter = format!("{shorter}brake: {{per_day: 1%, at_least: 1}}\n");
    let mut foretold = foretell(&rig.shard, Some(config(&stricter)));
    let (then, shifts) = foretold.other.take().unwrap();
    let newsletter = |policies: &[lapsed::retention::forecast::PolicyForecast]| {
        policies.iter().find(|policy| policy.policy == "newsletter").unwrap().clone()
    };
    let (before, after) = (newsletter(&foretold.policies), newsletter(&then));
    let shift = shifts.iter().find(|shift| shift.policy == "newsletter").unwrap();
    assert_eq!((before.due, shift.no_longer_due), (0, 0));
    assert!(after.due > 10, "{}", after.due);
    assert_eq!(shift.becomes_due, after.due);
    assert!(after.brake_trips.is_some() && before.brake_trips.is_none());
    assert_eq!(before.covered, after.covered);

    // And it is what happens when it is taken over: they wait for a person.
    let changed = config(&stricter);
    rig.config = changed.clone();
    rig.shard.reconfigure(changed);
    rig.batch(&[progress(rig.shard.now().unwrap().0 + 60, &rig.config)]);
    assert_eq!(rig.shard.stats().policies[0].waiting_for_release, after.due);

    // Back to the longer period, and without a policy.
    let longer = text();
    let start = longer.find("  newsletter:").unwrap();
    let end = longer.find("  offers:").unwrap();
    let without = format!("{}{}", &longer[..start], &longer[end..]);
    let (_, shifts) = foretell(&rig.shard, Some(config(&without))).other.unwrap();
    let dropped = shifts.iter().find(|shift| shift.policy == "newsletter").unwrap();
    assert_eq!((dropped.becomes_due, dropped.no_longer_due), (0, after.due));
}

#[test]
fn a_survey_in_portions_lists_as_one_in_one_go() {
    let mut rig = Rig::of(config(&wide(&text())));
    let now = Timestamp(town(&mut rig, 300));
    for policy in ["newsletter", "offers"] {
        let index = rig.config.rules.policy_by_key(policy).unwrap();
        let before = instant("2026-12-01");
        let mut whole = rig.shard.due_before(index, before, now);
        assert!(whole.len() > 50);
        let mut survey = Survey::new(index, before, now, 20);
        let listing = loop {
            if let Some(listing) = survey.step(&rig.shard, &mut 50) {
                break listing;
            }
        };
        assert_eq!((listing.total, listing.customers), (whole.len() as u64, whole.len() as u64));
        whole.truncate(20);
        assert_eq!(listing.rows, whole);
    }
}

#[test]
fn a_targets_list_is_held_against_ours() {
    let mut rig = Rig::of(config(&text()));
    let left = at("2024-03-10");
    rig.batch(&[activity(left, "old", "login", left), progress(left, &rig.config)]);
    rig.days(left, at("2026-03-16"), true);
    let mailing = rig.config.rules.target_by_key("mailing").unwrap();
    let stands = |rig: &Rig, customer: &str| rig.shard.reconcile(mailing, customer.as_bytes(), Timestamp(0));
    assert_eq!(stands(&rig, "old"), Reconciled::Due, "sent, and not answered");
    rig.days(at("2026-03-16"), at("2026-03-18"), true);
    assert_eq!(stands(&rig, "old"), Reconciled::Forgotten, "answered, and still on their list");
    let now = at("2026-03-18");
    rig.batch(&[activity(now, "new", "login", now), activity(now, "late", "login", at("2025-01-10"))]);
    assert_eq!([stands(&rig, "new"), stands(&rig, "late")], [Reconciled::Fine, Reconciled::Due]);
    assert_eq!(stands(&rig, "nobody"), Reconciled::Unknown);
    rig.days(at("2026-03-19"), at("2026-05-20"), true);
    assert_eq!(explain(&rig, "old").known, None);
    assert!(explain(&rig, "old").forgotten.is_some());
    assert_eq!(stands(&rig, "old"), Reconciled::Forgotten);
}

struct Waiting(Sender<Answered>);

impl Reply for Waiting {
    fn is_wanted(&self) -> bool {
        true
    }

    fn give(self: Box<Self>, answer: Answered) {
        let _ = self.0.send(answer);
    }
}

fn waiting() -> (Box<dyn Reply>, Receiver<Answered>) {
    let (sender, receiver) = channel();
    (Box::new(Waiting(sender)), receiver)
}

#[test]
fn questions_are_answered_in_bounded_turns_or_refused() {
    let mut rig = Rig::of(config(&wide(&text())));
    let now = Timestamp(town(&mut rig, 200));
    let (asker, mut questions) = queue();
    let (reply, forecast) = waiting();
    asker.ask(0, now, Question::Forecast { other: None }, reply);
    let (reply, explained) = waiting();
    asker.ask(0, now, Question::Explain { customer: "c1".to_owned() }, reply);
    let (reply, elsewhere) = waiting();
    asker.ask(1, now, Question::Overview, reply);
    let (reply, nothing) = waiting();
    asker.ask(0, now, Question::Due { policy: "none".into(), before: now, rows_max: 1 }, reply);
    let shard = &rig.shard;
    questions.turn(|partition| (partition == 0).then_some(shard));
    assert!(matches!(explained.try_recv().unwrap().unwrap().0, Answer::Explained(_)));
    assert!(matches!(forecast.try_recv().unwrap().unwrap().0, Answer::Forecast(_)));
    assert_eq!(elsewhere.try_recv().unwrap().err(), Some(Unanswered::NotHere));
    assert_eq!(nothing.try_recv().unwrap().err(), Some(Unanswered::NoPolicy("none".to_owned())));
    assert!(!questions.are_under_way());

    let replies: Vec<_> = (0..300)
        .map(|_| {
            let (reply, receiver) = waiting();
            asker.ask(0, now, Question::Overview, reply);
            receiver
        })
        .collect();
    let busy = replies.iter().filter(|reply| matches!(reply.try_recv(), Ok(Err(Unanswered::Busy)))).count();
    assert_eq!(busy, 300 - 256);
    let (reply, gone) = waiting();
    drop(questions);
    asker.ask(0, now, Question::Overview, reply);
    assert_eq!(gone.try_recv().unwrap().err(), Some(Unanswered::NotHere));
}

#[test]
fn half_of_an_answer_is_none() {
    let mut rig = Rig::of(config(&wide(&text())));
    // More than one turn's steps: of each more is known than when they were seen, and two configurations are asked about.
    let now = at("2024-01-10");
    let hold = |place: i64| {
        let until = Some(Timestamp(now + (place + 1) * DAY));
        let hold = Claim::Hold { id: "h".into(), at: Timestamp(now), until, reason: String::new(), policies: None };
        claim(now, &format!("c{place}"), hold)
    };
    rig.batch(&(0..35_000).map(hold).collect::<Vec<Entry>>());
    let (asker, mut questions) = queue();
    let (reply, forecast) = waiting();
    asker.ask(0, Timestamp(now), Question::Forecast { other: Some(rig.config.clone()) }, reply);
    let shard = &rig.shard;
    questions.turn(|_| Some(shard));
    assert!(questions.are_under_way() && forecast.try_recv().is_err());
    questions.interrupt(0);
    assert_eq!(forecast.try_recv().unwrap().err(), Some(Unanswered::Interrupted));
    assert!(!questions.are_under_way());
}
