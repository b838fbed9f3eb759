//! What a target has removed, and still lists, it is told once more: on order, never early, once.

use crate::rig::{DAY, Entry, Rig, activity, answer, at, claim, config, progress, progress_with, resend, text};
use lapsed::retention::calendar::Timestamp;
use lapsed::retention::claims::Claim;
use lapsed::retention::command::{Cause, Verb};
use lapsed::retention::customer::AckResult;
use lapsed::retention::decide::NotResent;
use lapsed::track::shard::{Applied, Reconciled};
use serde_json::Value;

const LEFT: &str = "2024-03-10";
const ORDERED: &str = "2026-05-01";

/// Everything has been removed, and our own record went on 2026-04-15.
fn gone() -> Rig {
    let mut rig = Rig::new();
    let left = at(LEFT);
    rig.batch(&[activity(left, "4711", "login", left), progress(left, &rig.config)]);
    rig.days(left, at("2026-04-16"), true);
    assert_eq!((rig.shard.stats().customers, rig.shard.stats().forgotten), (0, 1));
    rig.sent.clear();
    rig.answered = 0;
    rig
}

fn order(target: &str) -> Entry {
    resend(at(ORDERED), "4711", target, (at(ORDERED), 0))
}

fn stands(rig: &Rig, target: &str) -> Reconciled {
    let target = rig.config.rules.target_by_key(target).unwrap();
    rig.shard.reconcile(target, b"4711", Timestamp(0))
}

/// Applies a batch, and tells why orders are not obeyed.
fn told(entries: &[Entry], rig: &mut Rig) -> Vec<String> {
    let (_, out, _) = rig.try_batch(entries);
    let told: Vec<Value> = out.audit().map(|(_, value)| serde_json::from_slice(value).unwrap()).collect();
    rig.commit(entries, &out);
    let told = told.iter().filter(|entry| entry["entry"] == "not_resent");
    told.map(|entry| entry["why"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn it_leaves_when_nobody_can_have_been_seen_unnoticed_and_is_followed_to_its_answer() {
    let mut rig = gone();
    assert_eq!(rig.batch(&[order("mailing")]), [Applied::Ordered(Ok(()))]);
    assert_eq!((stands(&rig, "mailing"), rig.shard.stats().customers), (Reconciled::Due, 1));
    // Late signals of before are still suppressed; two days of lateness must pass.
    let late = activity(at(ORDERED) + 1, "4711", "login", at("2026-03-14"));
    assert_eq!(rig.batch(&[late, progress(at("2026-05-03") - 1, &rig.config)])[0], Applied::Suppressed);
    assert_eq!(rig.lines(), Vec::<String>::new());
    rig.batch(&[progress(at("2026-05-03"), &rig.config)]);
    let lines = ["2026-05-03 4711 newsletter expire mailing", "2026-05-03 4711 offers anonymise mailing"];
    assert_eq!(rig.lines(), lines);
    let command = &rig.sent[1].1;
    assert_eq!((command.cause, command.since.kind.as_str(), command.categories.len()), (Cause::Period, "forgotten", 2));
    assert_eq!((command.deadline, command.since.at), (Timestamp(at(ORDERED)), Timestamp(at("2026-03-15"))));
    assert_eq!(rig.shard.stats().unacknowledged, [0, 2]);
    assert_eq!(rig.shard.stats().oldest_unanswered_request, None);

    // No answer within a day: the same once more.
    rig.batch(&[progress(at("2026-05-04"), &rig.config)]);
    assert_eq!(rig.lines()[3], "2026-05-04 4711 offers anonymise mailing attempt 2");
    assert_eq!(rig.sent[3].1.id, rig.sent[1].1.id);
    assert_eq!(rig.shard.stats().overdue, [0, 2]);
    let sent: Vec<_> = rig.sent[2..].to_vec();
    let answers =
        sent.iter().map(|(customer, sent)| answer(at("2026-05-04") + 60, &rig.config, customer, sent, AckResult::Done));
    let mut rig = rig.restored();
    rig.batch(&answers.collect::<Vec<_>>());
    assert_eq!((stands(&rig, "mailing"), stands(&rig, "crm")), (Reconciled::Forgotten, Reconciled::Forgotten));
    assert_eq!(rig.shard.stats().unacknowledged, [0, 0]);
    // Our own record goes thirty days after the last command, as ever.
    rig.days(at("2026-05-05"), at("2026-06-03"), true);
    assert_eq!(rig.shard.stats().customers, 1);
    rig.days(at("2026-06-03"), at("2026-06-05"), true);
    assert_eq!((rig.shard.stats().customers, rig.shard.stats().forgotten), (0, 1));
    assert_eq!(rig.lines(), Vec::<String>::new(), "once");
}

#[test]
fn an_order_is_obeyed_once_however_often_it_is_heard_of() {
    let mut rig = gone();
    let repeated = Applied::Ordered(Err(NotResent::Repeated));
    assert_eq!(rig.batch(&[order("crm"), order("crm")]), [Applied::Ordered(Ok(())), repeated.clone()]);
    let another = resend(at(ORDERED) + 1, "4711", "crm", (at(ORDERED) + 1, 1));
    assert_eq!(rig.batch(&[another]), std::slice::from_ref(&repeated), "one is under way");
    rig.days(at("2026-05-02"), at("2026-06-10"), true);
    assert_eq!(rig.lines(), ["2026-05-03 4711 offers anonymise crm"]);
    assert_eq!(rig.shard.stats().customers, 0);
    // Also when nothing remembers it any more.
    let now = at("2026-06-10");
    let again = |number| resend(now, "4711", "crm", (if number == 0 { at(ORDERED) } else { now }, number));
    assert_eq!(rig.batch(&[again(0)]), [repeated]);
    assert_eq!(rig.batch(&[again(1)]), [Applied::Ordered(Ok(()))]);
    rig.days(now, at("2026-06-13"), true);
    assert_eq!(rig.lines()[1..], ["2026-06-12 4711 offers anonymise crm"]);
    assert_ne!(rig.sent[0].1.id, rig.sent[1].1.id);
}

#[test]
fn who_is_not_forgotten_is_left_alone() {
    let mut rig = gone();
    let now = at(ORDERED);
    let nobody = resend(now, "4712", "crm", (now, 0));
    let nowhere = resend(now, "4711", "elsewhere", (now, 0));
    let mut active = Rig::new();
    active.batch(&[activity(now, "4711", "login", now), progress(now, &active.config)]);
    assert_eq!(
        rig.batch(&[nobody, nowhere]),
        [NotResent::Unknown, NotResent::NoPolicy].map(|why| Applied::Ordered(Err(why)))
    );
    assert_eq!(rig.shard.stats().customers, 0, "nobody is taken in by it");
    assert_eq!(active.batch(&[order("crm")]), [Applied::Ordered(Err(NotResent::Unknown))]);
    // A day on which the record still stands, and the answer is outstanding.
    let mut sent = Rig::new();
    let left = at(LEFT);
    sent.batch(&[activity(left, "4711", "login", left), progress(left, &sent.config)]);
    sent.days(left, at("2026-03-16"), true);
    let now = at("2026-03-16");
    let due = resend(now, "4711", "crm", (now, 0));
    assert_eq!(sent.batch(&[due]), [Applied::Ordered(Err(NotResent::Due))]);
}

#[test]
fn also_while_our_own_record_still_stands() {
    let mut rig = Rig::new();
    let left = at(LEFT);
    rig.batch(&[activity(left, "4711", "login", left), progress(left, &rig.config)]);
    rig.days(left, at("2026-03-18"), true);
    assert_eq!(stands(&rig, "mailing"), Reconciled::Forgotten);
    let (sent, now) = (rig.sent.len(), at("2026-03-18"));
    assert_eq!(rig.batch(&[resend(now, "4711", "mailing", (now, 0))]), [Applied::Ordered(Ok(()))]);
    rig.days(now, at("2026-05-01"), true);
    let lines = ["2026-03-20 4711 newsletter expire mailing", "2026-03-20 4711 offers anonymise mailing"];
    assert_eq!(rig.lines()[sent..], lines);
    // Thirty days after this one.
    assert_eq!(rig.shard.stats().forgotten, 1);
    let forgotten = rig.shard.explain(b"4711", Timestamp(now)).forgotten.unwrap();
    assert_eq!((forgotten.end, forgotten.policies.len()), (Timestamp(at("2026-03-20")), 2));
}

#[test]
fn who_returns_before_it_leaves_is_not_touched() {
    // The newest of what is known, be it late: seen two days before the order.
    for seen in [at("2026-04-29"), at(ORDERED) + 3600] {
        let mut rig = gone();
        rig.batch(&[order("mailing")]);
        let back = activity(at("2026-05-02"), "4711", "purchase", seen);
        let why = told(&[back, progress(at("2026-05-02"), &rig.config)], &mut rig);
        assert_eq!(why, ["the customer was seen since, or a policy covers them again"]);
        rig.days(at("2026-05-03"), at("2026-05-10"), true);
        assert_eq!(rig.lines(), Vec::<String>::new());
        assert_eq!(stands(&rig, "mailing"), Reconciled::Fine);
        assert_eq!(rig.restored().state, rig.state);
    }
    // And before it is given.
    let mut rig = gone();
    rig.batch(&[activity(at("2026-04-30"), "4711", "purchase", at("2026-04-30"))]);
    assert_eq!(rig.batch(&[order("mailing")]), [Applied::Ordered(Err(NotResent::Active))]);
}

/// Whenever they came back up to the order, and however late that is heard of, as late as it may be.
#[test]
fn nobody_who_was_seen_up_to_the_order_is_touched() {
    let restored = gone();
    for hours_before in [0, 1, 23, 24, 47, 700] {
        for hours_late in [0, 1, 24, 47] {
            let mut rig = restored.restored();
            let seen = at(ORDERED) - hours_before * 3600;
            let mut entries = vec![order("crm"), order("mailing")];
            entries.push(activity(seen + hours_late * 3600, "4711", "login", seen));
            entries.extend((0..120).map(|hour| progress(at(ORDERED) + hour * 3600, &rig.config)));
            entries.sort_by_key(|entry| entry.append);
            entries.iter().for_each(|entry| drop(rig.batch(std::slice::from_ref(entry))));
            assert_eq!(rig.lines(), Vec::<String>::new(), "seen {hours_before} before, heard of {hours_late} later");
        }
    }
}

#[test]
fn who_returns_after_it_has_left_takes_it_back() {
    let mut rig = gone();
    rig.batch(&[order("crm")]);
    rig.batch(&[progress(at("2026-05-03"), &rig.config)]);
    let back = activity(at("2026-05-03") + 60, "4711", "login", at("2026-05-03"));
    let why = told(&[back, progress(at("2026-05-03") + 60, &rig.config)], &mut rig);
    assert_eq!(why.len(), 1);
    assert_eq!(rig.lines(), ["2026-05-03 4711 offers anonymise crm", "2026-05-03 4711 offers recall crm"]);
    assert_eq!(rig.sent[1].1.recalls, Some(rig.sent[0].1.id));
    rig.days(at("2026-05-04"), at("2026-05-20"), true);
    assert_eq!(rig.lines().len(), 2);
}

#[test]
fn a_hold_keeps_it_back_for_good_and_the_record_goes_when_it_is_over() {
    let hold = |at: i64, until: i64| Claim::Hold {
        id: "dispute".to_owned(),
        at: Timestamp(at),
        until: Some(Timestamp(until)),
        reason: String::new(),
        policies: None,
    };
    let mut rig = gone();
    rig.batch(&[order("crm")]);
    let now = at("2026-05-02");
    let why = told(&[claim(now, "4711", hold(now, at("2026-05-20"))), progress(now, &rig.config)], &mut rig);
    assert_eq!(why, ["the customer is held"]);
    rig.days(at("2026-05-03"), at("2026-05-22"), true);
    assert_eq!(rig.lines(), Vec::<String>::new());
    assert_eq!((rig.shard.stats().customers, rig.shard.stats().forgotten), (0, 1));

    let mut rig = gone();
    let now = at(ORDERED) - 60;
    rig.batch(&[claim(now, "4711", hold(now, at("2026-05-20")))]);
    assert_eq!(rig.batch(&[order("crm")]), [Applied::Ordered(Err(NotResent::Held))]);
}

#[test]
fn a_closed_gate_and_a_stop_delay_it_visibly() {
    let mut rig = gone();
    rig.batch(&[order("crm")]);
    let stalled = progress_with(at("2026-05-04"), &rig.config, |partition| {
        partition.complete_to = Some(Timestamp(at("2026-05-03") - 3600));
    });
    rig.batch(&[stalled]);
    assert_eq!((rig.lines().len(), rig.shard.stats().policies[1].due_unsent), (0, 1));
    rig.batch(&[progress(at("2026-05-04") + 60, &rig.config)]);
    assert_eq!((rig.lines().len(), rig.shard.stats().policies[1].due_unsent), (1, 0));

    let mut rig = gone();
    let stop = lapsed::retention::brake::Order::Stop { policy: Some("offers".to_owned()) };
    rig.batch(&[order("crm"), crate::rig::instruct(at(ORDERED), stop)]);
    rig.days(at("2026-05-02"), at("2026-05-06"), true);
    assert_eq!((rig.lines().len(), rig.shard.stats().policies[1].waiting_for_release), (0, 1));
    let now = at("2026-05-06");
    rig.batch(&[crate::rig::release(now, &rig.config, "offers", now, 0), progress(now, &rig.config)]);
    assert_eq!(rig.lines(), ["2026-05-06 4711 offers anonymise crm"]);
}

#[test]
fn a_window_and_a_mode_keep_what_they_keep_from_others() {
    let mut rig = gone();
    rig.config = config(&(text() + "window: {days: [mon, tue, wed, thu, fri], hours: \"09:00-17:00\"}\n"));
    rig.shard.reconfigure(rig.config.clone());
    rig.batch(&[progress(at(ORDERED) - 60, &rig.config), order("crm")]);
    // 2026-05-03 is a Sunday.
    rig.batch(&[progress(at("2026-05-03"), &rig.config)]);
    assert_eq!(rig.lines().len(), 0);
    rig.batch(&[progress(at("2026-05-04") + 9 * 3600, &rig.config)]);
    assert_eq!(rig.lines(), ["2026-05-04 4711 offers anonymise crm"]);

    let mut rig = gone();
    rig.batch(&[order("crm")]);
    let lower = text().replacen("categories: [email, name]", "categories: [email, name]\n    mode: test", 1);
    let lower = lower.replacen("targets: [crm, mailing]\n    mode: enforce", "targets: [crm, mailing]", 1);
    rig.config = config(&lower);
    rig.shard.reconfigure(rig.config.clone());
    let why = told(&[progress(at("2026-05-02"), &rig.config)], &mut rig);
    assert_eq!(why, ["no policy in force has removed anything at this target"]);
    rig.days(at("2026-05-03"), at("2026-05-10"), true);
    assert_eq!((rig.lines().len(), rig.shard.stats().customers), (0, 0), "and is forgotten as before");
}

#[test]
fn what_a_policy_has_come_to_mean_since_is_not_said_again_in_other_words() {
    let mut rig = gone();
    rig.batch(&[order("crm")]);
    rig.batch(&[progress(at("2026-05-03"), &rig.config)]);
    rig.config = config(&text().replacen("categories: [email, name]", "categories: [name]", 1));
    rig.shard.reconfigure(rig.config.clone());
    rig.batch(&[progress(at("2026-05-04"), &rig.config)]);
    assert_eq!(rig.lines().len(), 1, "the lease still runs");
    let why = told(&[progress(at("2026-05-06") + DAY, &rig.config)], &mut rig);
    assert_eq!(why, ["the policy has changed since it was sent"]);
    assert_eq!(rig.sent[1].1.verb, Verb::Recall);
}

#[test]
fn what_is_undone_has_not_been_ordered() {
    let mut rig = gone();
    let _ = rig.try_batch(&[order("crm")]);
    rig.shard.abort();
    assert_eq!(rig.shard.stats().customers, 0);
    rig.batch(&[order("crm")]);
    let due = [progress(at("2026-05-03"), &rig.config)];
    let (_, out, _) = rig.try_batch(&due);
    assert_eq!(out.commands().len(), 1);
    rig.shard.abort();
    rig.batch(&due);
    assert_eq!(rig.lines(), ["2026-05-03 4711 offers anonymise crm"]);
}
