//! Entries in, timeline and certificate out.

use super::certificate::{Certificate, Scope};
use super::timeline::Timeline;
use crate::retention::calendar::{CountedFrom, Period, Timestamp, first_instant_after, first_instant_of};
use crate::retention::command::{Cause, Verb};
use crate::retention::customer::AckResult;
use crate::retention::decide::Answered;
use crate::retention::policy::{Action, Mode};
use crate::retention::pseudonym::{Pseudonym, PseudonymKey};
use crate::wire::audit::{
    Acknowledged, Entry, Floor, Forgotten, Instruction, Kept, Next, NotResent, Order, Ordered, OrderedKind, Policy,
    Sent, Since, Stage,
};
use chrono::NaiveDate;
use chrono_tz::Tz;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

const ZONE: Tz = Tz::Europe__Amsterdam;

fn at(text: &str) -> Timestamp {
    Timestamp(chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp())
}

fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn pseudonym(customer: &str) -> Pseudonym {
    PseudonymKey::derive("a key of this test only").of(customer.as_bytes())
}

fn sent(number: u128, command: Verb, target: &str) -> Sent {
    Sent {
        id: id(number),
        attempt: 1,
        command,
        target: target.to_owned(),
        cause: Cause::Period,
        policy: "offers".to_owned(),
        policy_version: "9f0c".to_owned(),
        categories: vec!["email".to_owned(), "name".to_owned()],
        kept: Vec::new(),
        since: Since { kind: "purchase".to_owned(), date: "2024-02-29".to_owned() },
        deadline: "2026-03-01T00:00:00+01:00".to_owned(),
        deferred_by: None,
        next: None,
        recalls: None,
        expirytime: Some(at("2026-03-08T08:00:00Z")),
    }
}

fn expire(number: u128) -> Sent {
    sent(number, Verb::Act(Action::Expire), "crm")
}

fn acknowledged(number: u128, attempt: u32, result: AckResult, when: &str) -> Acknowledged {
    let (executed, appended) = (at(when), at(when));
    let target = "crm".to_owned();
    Acknowledged { command: id(number), attempt, target, result, executed, appended, answers: Answered::Command }
}

fn policy(version: &str, effective: &str) -> Policy {
    let text = |text: &str| BTreeMap::from([("en".to_owned(), text.to_owned())]);
    Policy {
        policy: "offers".to_owned(),
        policy_version: version.to_owned(),
        effective: at(effective),
        shard: 0,
        purpose: text("Relevant offers"),
        lawful_basis: "legitimate_interest".to_owned(),
        interest: text("keeping customers"),
        consent: Some("offers".to_owned()),
        categories: vec!["email".to_owned(), "name".to_owned()],
        applies_to: BTreeMap::from([("segment".to_owned(), vec![Some("consumer".to_owned()), None])]),
        since_last: vec!["purchase".to_owned(), "login".to_owned()],
        counted_from: CountedFrom::Event,
        stages: vec![Stage {
            after: Period::Calendar { months: 24, days: 0 },
            command: Action::Expire,
            targets: vec!["crm".to_owned()],
        }],
        floors: vec![Floor {
            category: "name".to_owned(),
            since_last: vec!["purchase".to_owned()],
            counted_from: CountedFrom::EndOfYear,
            keep: Period::Calendar { months: 12, days: 0 },
            because: "a law".to_owned(),
        }],
        mode: Mode::Enforce,
        review_by: date("2027-06-01"),
        time_zone: "Europe/Amsterdam".to_owned(),
    }
}

/// A warning, its answer, the removal with a second attempt, our own record gone.
fn story() -> Vec<(&'static str, Entry)> {
    let warn = Sent {
        next: Some(Next { command: Action::Expire, on: "2026-03-05".to_owned() }),
        expirytime: None,
        ..sent(1, Verb::Act(Action::Warn), "mailing")
    };
    let mailed =
        Acknowledged { target: "mailing".to_owned(), ..acknowledged(1, 1, AckResult::Done, "2026-02-02T09:00:00Z") };
    let first = Sent {
        kept: vec![Kept { category: "name".to_owned(), by: "floor:name".to_owned() }],
        categories: vec!["email".to_owned()],
        deferred_by: Some("case 7".to_owned()),
        ..expire(2)
    };
    let again = Sent { attempt: 2, ..first.clone() };
    let forgotten = Forgotten {
        end: at("2026-03-08T09:00:00Z"),
        cause: Cause::Period,
        policies: vec!["offers".to_owned()],
        suppressed_until: Some(at("2028-03-09T00:00:00+01:00")),
    };
    vec![
        ("2026-02-02T08:00:00Z", Entry::Sent(warn)),
        ("2026-02-02T09:00:05Z", Entry::Acknowledged(mailed)),
        ("2026-03-05T08:00:00Z", Entry::Sent(first)),
        ("2026-03-08T09:00:00Z", Entry::Sent(again)),
        ("2026-03-08T10:00:00Z", Entry::Acknowledged(acknowledged(2, 2, AckResult::Done, "2026-03-08T09:59:00Z"))),
        ("2026-04-08T00:00:00+02:00", Entry::Forgotten(forgotten)),
    ]
}

fn timeline() -> Timeline {
    let mut timeline = Timeline::new(pseudonym("4711"), ZONE);
    // The text is told by another shard, a moment later, and by several; one version later there is another.
    let told = at("2026-02-02T08:00:10Z");
    for shard in [1, 0] {
        let policy = Policy { shard, ..policy("9f0c", "2026-02-02T08:00:10Z") };
        timeline.take("offers", told, Entry::Policy(policy));
    }
    timeline.take("offers", told, Entry::Policy(policy("aaaa", "2026-06-01T00:00:00Z")));
    let (ours, other) = (pseudonym("4711").to_string(), pseudonym("4712").to_string());
    for (time, entry) in story() {
        timeline.take(&ours, at(time), entry);
    }
    timeline.take(&other, at("2026-02-02T08:00:00Z"), Entry::Sent(expire(9)));
    timeline
}

#[test]
fn a_timeline_tells_what_was_sent_on_which_text_and_what_came_back() {
    let told = timeline().text(0);
    let expected = format!(
        "evidence about {}

2026-02-02T09:00:00+01:00  warn sent to mailing (00000000-0000-0000-0000-000000000001)
    under offers, version 9f0c [1]
    because its period has run out: since purchase on 2024-02-29, deadline 2026-03-01T00:00:00+01:00
    names: email, name
    announces expire on 2026-03-05 at the earliest

2026-02-02T10:00:05+01:00  mailing answered done (attempt 1 of 00000000-0000-0000-0000-000000000001)
    executed, it says, at 2026-02-02T10:00:00+01:00

2026-03-05T09:00:00+01:00  expire sent to crm (00000000-0000-0000-0000-000000000002)
    under offers, version 9f0c [1]
    because its period has run out: since purchase on 2024-02-29, deadline 2026-03-01T00:00:00+01:00
    deferred by case 7
    names: email
    keeps name for floor:name
    to be obeyed before 2026-03-08T09:00:00+01:00

2026-03-08T10:00:00+01:00  expire sent to crm, attempt 2 (00000000-0000-0000-0000-000000000002)
    under offers, version 9f0c [1]
    because its period has run out: since purchase on 2024-02-29, deadline 2026-03-01T00:00:00+01:00
    deferred by case 7
    names: email
    keeps name for floor:name
    to be obeyed before 2026-03-08T09:00:00+01:00

2026-03-08T11:00:00+01:00  crm answered done (attempt 2 of 00000000-0000-0000-0000-000000000002)
    executed, it says, at 2026-03-08T10:59:00+01:00

2026-04-08T00:00:00+02:00  our own record went; a keyed hash stays until 2028-03-09T00:00:00+01:00
    the last command was decided at 2026-03-08T10:00:00+01:00 (period); policies: offers

policies, as they were

[1] offers, version 9f0c, in force since 2026-02-02T09:00:10+01:00
    purpose (en): Relevant offers
    lawful basis: legitimate_interest
    interest (en): keeping customers
    consent: offers
    data: email, name
    applies to: segment consumer, (not set)
    runs from: the last purchase, login
    after P2Y: expire at crm
    floor: name for P1Y from the last purchase, from the end of that year (a law)
    mode: enforce; to be reviewed by 2027-06-01; calendar of Europe/Amsterdam
",
        pseudonym("4711")
    );
    assert!(told == expected, "{told}");
}

#[test]
fn a_timeline_for_programs_holds_the_entries_as_they_stand() {
    let document: Value = serde_json::from_str(&timeline().json(2)).unwrap();
    let entries = document["entries"].as_array().unwrap();
    let kinds: Vec<&str> = entries.iter().map(|entry| entry["entry"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["sent", "acknowledged", "sent", "sent", "acknowledged", "forgotten"]);
    assert_eq!(entries[2]["kept"], json!([{"category": "name", "by": "floor:name"}]));
    assert_eq!(document["policies"].as_array().unwrap().len(), 1);
    assert_eq!((&document["pseudonym"], &document["unread"]), (&json!(pseudonym("4711").to_string()), &json!(2)));
}

#[test]
fn recalls_requests_and_texts_that_are_not_there_are_told() {
    let mut timeline = Timeline::new(pseudonym("4711"), ZONE);
    assert!(timeline.is_empty());
    let recall =
        Sent { recalls: Some(id(2)), cause: Cause::ErasureRequest, expirytime: None, ..sent(3, Verb::Recall, "crm") };
    let key = pseudonym("4711").to_string();
    timeline.take(&key, at("2026-03-06T08:00:00Z"), Entry::Sent(recall));
    let answer =
        Acknowledged { answers: Answered::Recall, ..acknowledged(3, 1, AckResult::Failed, "2026-03-06T09:00:00Z") };
    timeline.take(&key, at("2026-03-06T09:00:00Z"), Entry::Acknowledged(answer));
    let told = timeline.text(1);
    for part in [
        "incomplete: 1 records could not be read",
        "recall of 00000000-0000-0000-0000-000000000002 sent to crm (00000000-0000-0000-0000-000000000003)",
        "version 9f0c whose text is not in evidence",
        "because erasure was asked for: since purchase on 2024-02-29",
        "named: email, name",
        "crm answered failed (attempt 1 of 00000000-0000-0000-0000-000000000003, the recall)",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
}

fn certificate() -> Certificate {
    let (from, to) = (date("2026-01-01"), date("2026-12-31"));
    Certificate::new(Scope {
        application: "lapsed".to_owned(),
        policy: "offers".to_owned(),
        from,
        to,
        begins: first_instant_of(from, ZONE),
        ends: first_instant_after(to, ZONE),
        zone: ZONE,
        sources: Some(BTreeSet::from(["shop".to_owned(), "web".to_owned()])),
    })
}

/// Commands with one customer each, one of every outcome, and some that don't belong.
fn outcomes() -> Certificate {
    let mut certificate = certificate();
    let take = |certificate: &mut Certificate, number: u128, time: &str, entry: Entry| {
        certificate.take(&pseudonym(&number.to_string()).to_string(), at(time), entry);
    };
    let answer = |number, attempt, result, when: &str| Entry::Acknowledged(acknowledged(number, attempt, result, when));
    let retained = AckResult::Retained { until: at("2027-05-01T00:00:00+02:00") };
    let again = |number| Entry::Sent(Sent { attempt: 2, ..expire(number) });
    let recall = |number: u128| {
        Entry::Sent(Sent { recalls: Some(id(number)), expirytime: None, ..sent(number + 100, Verb::Recall, "crm") })
    };
    for number in 1..=7 {
        take(&mut certificate, number, "2026-03-05T08:00:00Z", Entry::Sent(expire(number)));
    }
    // 1: done on the second attempt; it says so twice, and the first time it counts.
    take(&mut certificate, 1, "2026-03-08T08:00:00Z", again(1));
    take(&mut certificate, 1, "2026-03-08T08:01:00Z", answer(1, 2, AckResult::Done, "2026-03-08T08:01:00Z"));
    take(&mut certificate, 1, "2026-03-09T08:01:00Z", answer(1, 2, AckResult::Done, "2026-03-09T08:01:00Z"));
    take(&mut certificate, 1, "2026-03-09T08:02:00Z", answer(1, 1, AckResult::Failed, "2026-03-09T08:02:00Z"));
    // 2: retained. 3: failed. 4: failed, and sent again since.
    take(&mut certificate, 2, "2026-03-06T08:00:00Z", answer(2, 1, AckResult::Failed, "2026-03-06T08:00:00Z"));
    take(&mut certificate, 2, "2026-03-06T09:00:00Z", answer(2, 1, retained, "2026-03-06T09:00:00Z"));
    take(&mut certificate, 3, "2026-03-06T08:00:00Z", answer(3, 1, AckResult::Failed, "2026-03-06T08:00:00Z"));
    take(&mut certificate, 4, "2026-03-06T08:00:00Z", answer(4, 1, AckResult::Failed, "2026-03-06T08:00:00Z"));
    take(&mut certificate, 4, "2026-03-08T08:00:00Z", again(4));
    // 5: recalled. 6: recalled too late.
    take(&mut certificate, 5, "2026-03-06T08:00:00Z", recall(5));
    take(&mut certificate, 6, "2026-03-06T08:00:00Z", recall(6));
    take(&mut certificate, 6, "2026-03-06T08:00:01Z", answer(6, 1, AckResult::Done, "2026-03-05T09:00:00Z"));
    // 7: somebody else's answer counts for nothing.
    take(&mut certificate, 8, "2026-03-06T08:00:01Z", answer(7, 1, AckResult::Done, "2026-03-05T09:00:00Z"));
    // 8: cannot answer; on the last second of the last day.
    let mailed = Sent { expirytime: None, ..sent(8, Verb::Act(Action::Warn), "mailing") };
    take(&mut certificate, 8, "2026-12-31T23:59:59+01:00", Entry::Sent(mailed));
    // Before, after, of another policy.
    take(&mut certificate, 9, "2025-12-31T23:59:59+01:00", Entry::Sent(expire(9)));
    take(&mut certificate, 9, "2026-01-03T00:00:00+01:00", again(9));
    take(&mut certificate, 10, "2027-01-01T00:00:00+01:00", Entry::Sent(expire(10)));
    let other = Sent { policy: "newsletter".to_owned(), ..expire(11) };
    take(&mut certificate, 11, "2026-03-05T08:00:00Z", Entry::Sent(other));
    certificate
}

#[test]
fn every_command_of_the_period_has_one_outcome() {
    let document: Value = serde_json::from_str(&outcomes().json(0)).unwrap();
    assert_eq!(
        document["counts"],
        json!([
            {"target": "crm", "command": "expire", "sent": 7, "done": 2, "retained": 1, "failed": 1, "recalled": 1,
             "unanswered": 0, "outstanding": 2},
            {"target": "mailing", "command": "warn", "sent": 1, "done": 0, "retained": 0, "failed": 0, "recalled": 0,
             "unanswered": 1, "outstanding": 0},
        ])
    );
    let told: Vec<String> = document["commands"]
        .as_array()
        .unwrap()
        .iter()
        .map(|command| {
            let [id, outcome, time] =
                ["id", "outcome", "outcome_time"].map(|name| command[name].as_str().unwrap_or("-"));
            format!("{} {outcome} {time}", &id[35..])
        })
        .collect();
    assert_eq!(
        told,
        [
            "1 done 2026-03-08T09:01:00+01:00",
            "2 retained 2027-05-01T00:00:00+02:00",
            "3 failed -",
            "4 outstanding -",
            "5 recalled 2026-03-06T09:00:00+01:00",
            "6 done 2026-03-05T10:00:00+01:00",
            "7 outstanding -",
            "8 unanswered -",
        ]
    );
    assert_eq!(document["versions_without_text"], json!(["9f0c"]));
    assert_eq!(document["as_of"], "2027-01-01T00:00:00+01:00");
}

/// Two commands, the text and a release, word for word.
#[test]
fn a_certificate_can_be_checked() {
    let mut certificate = certificate();
    certificate.take("offers", at("2026-01-01T00:00:00Z"), Entry::Policy(policy("9f0c", "2025-06-01T00:00:00Z")));
    for (shard, refused) in [(0, None), (1, None), (2, Some("it is for version a, and b is in force".to_owned()))] {
        let order = Order::Release {
            policy: "offers".to_owned(),
            policy_version: "9f0c".to_owned(),
            due_before: at("2026-04-01T00:00:00+02:00"),
            at_most: 21,
            per_day: None,
        };
        let (by, reason) = ("privacy".to_owned(), "quarter's list".to_owned());
        let instruction = Instruction { id: id(77), order, by, reason, shard, refused };
        certificate.take("", at("2026-03-05T07:00:00Z"), Entry::Instruction(instruction));
    }
    let key = |customer| pseudonym(customer).to_string();
    certificate.take(&key("b"), at("2026-03-05T08:00:00Z"), Entry::Sent(expire(2)));
    certificate.take(&key("a"), at("2026-03-05T08:00:00Z"), Entry::Sent(expire(1)));
    let done = acknowledged(1, 1, AckResult::Done, "2026-03-05T09:00:00Z");
    certificate.take(&key("a"), at("2026-03-05T09:00:01Z"), Entry::Acknowledged(done));
    let told = certificate.text(0);
    let first = format!("{} {} expire crm 2026-03-05T09:00:00+01:00 done 2026-03-05T10:00:00+01:00", key("a"), id(1));
    let second = format!("{} {} expire crm 2026-03-05T09:00:00+01:00 outstanding -", key("b"), id(2));
    let expected = format!(
        "certificate of destruction

application  lapsed
policy       offers
period       2026-01-01 up to and including 2026-12-31 (Europe/Amsterdam)
as of        2026-03-05T10:00:01+01:00, the newest evidence there was

policy as it was

[1] offers, version 9f0c, in force since 2025-06-01T02:00:00+02:00
    purpose (en): Relevant offers
    lawful basis: legitimate_interest
    interest (en): keeping customers
    consent: offers
    data: email, name
    applies to: segment consumer, (not set)
    runs from: the last purchase, login
    after P2Y: expire at crm
    floor: name for P1Y from the last purchase, from the end of that year (a law)
    mode: enforce; to be reviewed by 2027-06-01; calendar of Europe/Amsterdam

orders in force in the period

2026-03-05T08:00:00+01:00  release of 42 due by 2026-03-31, by privacy: quarter's list (00000000-0000-0000-0000-00000000004d)
    obeyed by 2 shards, refused by 1

target  command         sent         done     retained       failed     recalled   unanswered  outstanding
crm     expire             2            1            0            0            0            0            1

unanswered: the target does not acknowledge, so that sending it is all that can be proven

commands: customer's pseudonym, id, command, target, when it first left, what has become of it and
when (retained: until when)

-----BEGIN COMMANDS-----
{first}
{second}
-----END COMMANDS-----

SHA-256 of these 2 lines: HASH
to check it: sed -n '/^-----BEGIN COMMANDS-----$/,/^-----END COMMANDS-----$/p' FILE | sed '1d;$d' | sha256sum
"
    );
    let (before, after) = told.split_once("2 lines: ").unwrap();
    let (hash, after) = after.split_at(64);
    let told = format!("{before}2 lines: HASH{after}");
    assert!(told == expected, "{told}");
    let digest: String =
        Sha256::digest(format!("{first}\n{second}\n")).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hash, digest);
}

#[test]
fn texts_in_force_in_the_period_are_told() {
    let mut certificate = certificate();
    for (version, effective) in [
        ("1111", "2025-01-01T00:00:00Z"), // over before the period
        ("2222", "2025-06-01T00:00:00Z"),
        ("3333", "2026-06-01T00:00:00Z"),
        ("2222", "2026-07-01T00:00:00Z"), // again
        ("4444", "2027-02-01T00:00:00Z"),
    ] {
        certificate.take("offers", at(effective), Entry::Policy(policy(version, effective)));
    }
    let late = Sent { policy_version: "1111".to_owned(), ..expire(1) };
    certificate.take("key", at("2026-01-01T08:00:00Z"), Entry::Sent(late));
    let document: Value = serde_json::from_str(&certificate.json(0)).unwrap();
    let told: Vec<(&str, &str)> = document["policies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|policy| (policy["policy_version"].as_str().unwrap(), &policy["effective"].as_str().unwrap()[..7]))
        .collect();
    assert_eq!(
        told,
        [("1111", "2025-01"), ("2222", "2025-06"), ("3333", "2026-06"), ("2222", "2026-07")],
        "a shard that was behind still sent under the first"
    );
}

/// Of what was ordered before the period, only what may still have counted in it.
#[test]
fn orders_in_force_in_the_period_are_told() {
    let mut certificate = certificate();
    certificate.take("offers", at("2025-06-01T00:00:00Z"), Entry::Policy(policy("2222", "2025-06-01T00:00:00Z")));
    let mut number = 0;
    let mut take = |time: &str, order: Order, refused: Option<&str>| {
        number += 1;
        let (by, reason, refused) = ("privacy".to_owned(), format!("{number}"), refused.map(str::to_owned));
        let instruction = Instruction { id: id(number), order, by, reason, shard: 0, refused };
        certificate.take("", at(time), Entry::Instruction(instruction));
    };
    let release = |version: &str, due_before: &str| Order::Release {
        policy: "offers".to_owned(),
        policy_version: version.to_owned(),
        due_before: at(due_before),
        at_most: 1,
        per_day: None,
    };
    let stop = |policy: Option<&str>| Order::Stop { policy: policy.map(str::to_owned) };
    let accept = |source: &str, doubt: &str| Order::Accept { source: source.to_owned(), doubt: doubt.to_owned() };
    take("2025-07-01T00:00:00Z", stop(None), None); // 1: lifted by 3
    take("2025-07-02T00:00:00Z", release("1111", "2027-01-01T00:00:00Z"), None); // 2: of a version that was over
    take("2025-07-03T00:00:00Z", release("2222", "2025-08-01T00:00:00Z"), None); // 3: for deadlines before
    take("2025-12-01T00:00:00Z", release("2222", "2026-02-01T00:00:00Z"), None); // 4: told
    take("2025-12-02T00:00:00Z", release("2222", "2026-02-01T00:00:00Z"), Some("too many")); // 5: refused
    take("2025-12-03T00:00:00Z", accept("web", "silence"), None); // 6: overtaken by 7
    take("2025-12-04T00:00:00Z", accept("web", "silence"), None); // 7: told
    take("2025-12-05T00:00:00Z", accept("web", "gap"), None); // 8: told
    take("2025-12-06T00:00:00Z", accept("desk", "gap"), None); // 9: the policy does not rest on it
    take("2026-03-01T00:00:00Z", accept("shop", "rejects"), None); // 10: told
    take("2026-03-02T00:00:00Z", stop(Some("newsletter")), None); // 11: another policy
    take("2026-03-03T00:00:00Z", stop(Some("offers")), Some("no")); // 12: told, with its refusal
    take("2027-01-02T00:00:00Z", stop(None), None); // 13: after
    certificate.take("key", at("2026-03-05T08:00:00Z"), Entry::Sent(expire(1)));
    let told: Value = serde_json::from_str(&certificate.json(0)).unwrap();
    let told: Vec<Value> = told["orders"]
        .as_array()
        .unwrap()
        .iter()
        .map(|order| json!([order["reason"], order["order"], order["source"], order["doubt"], order["before_period"]]))
        .collect();
    assert_eq!(
        json!(told),
        json!([
            ["4", "release", null, null, true],
            ["7", "accept", "web", "silence", true],
            ["8", "accept", "web", "gap", true],
            ["10", "accept", "shop", "rejects", false],
            ["12", "stop", null, null, false],
        ])
    );
}

#[test]
fn an_acceptance_is_told_in_words() {
    let mut certificate = certificate();
    let order = Order::Accept { source: "web".to_owned(), doubt: "silence".to_owned() };
    let (by, reason) = ("Petra de Vries".to_owned(), "the shop moves".to_owned());
    for (shard, refused) in [(0, None), (1, None), (2, Some("there is no doubt".to_owned()))] {
        let (order, by, reason) = (order.clone(), by.clone(), reason.clone());
        let instruction = Instruction { id: id(7), order, by, reason, shard, refused };
        certificate.take("", at("2025-12-31T07:00:00Z"), Entry::Instruction(instruction));
    }
    let told = certificate.text(0);
    let id = id(7);
    let expected = format!(
        "orders in force in the period\n\n2025-12-31T08:00:00+01:00  silence of web accepted, by Petra de Vries: the \
         shop moves ({id})\n    obeyed by 2 shards, refused by 1; given before the period\n"
    );
    assert!(told.contains(&expected), "{told}");
}

/// What was ordered to be sent once more, and why it was not.
#[test]
fn a_timeline_tells_of_what_is_sent_once_more() {
    let mut timeline = Timeline::new(pseudonym("4711"), ZONE);
    let key = pseudonym("4711").to_string();
    let ordered = Ordered {
        order: OrderedKind::Resend,
        by: "privacy".to_owned(),
        reason: "CRM-88".to_owned(),
        hold: None,
        target: Some("crm".to_owned()),
        id: Some(id(9)),
    };
    timeline.take(&key, at("2026-05-01T08:00:00Z"), Entry::Ordered(ordered));
    let why = "the customer is held".to_owned();
    let not = NotResent { order: id(9), target: "crm".to_owned(), why };
    timeline.take(&key, at("2026-05-01T08:00:01Z"), Entry::NotResent(not));
    let since = Since { kind: "forgotten".to_owned(), date: "2026-03-15".to_owned() };
    let sent = Sent { since, deadline: "2026-05-01T10:00:00+02:00".to_owned(), ..expire(3) };
    timeline.take(&key, at("2026-05-03T08:00:00Z"), Entry::Sent(sent));
    let (told, id) = (timeline.text(0), id(9));
    for part in [
        format!("privacy ordered that crm be told once more ({id}): CRM-88"),
        format!("crm is not told once more ({id}): the customer is held"),
        "once more, ordered at 2026-05-01T10:00:00+02:00; forgotten on 2026-03-15, because its period has run out"
            .to_owned(),
    ] {
        assert!(told.contains(&part), "{part}\n{told}");
    }
}
