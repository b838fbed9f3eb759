//! Questions and instructions, and what becomes of them.

use crate::office::{DESK, Office, PRIVACY, SHARDS, one_of_each, seen, text};
use crate::rig::{Entry, Rig, activity, at, config, progress};
use lapsed::retention::calendar::Timestamp;
use lapsed::retention::customer::{AckResult, Acknowledgement};
use lapsed::retention::pseudonym::PseudonymKey;
use lapsed::wire::signal::Signal;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

/// Seen on a day, some weeks before the newsletter's year is over.
fn office(instances: u32) -> (Office, Vec<String>) {
    let customers = one_of_each();
    let office = Office::open(instances, seen(&customers, at("2025-03-10"), at("2026-03-01")));
    (office, customers)
}

fn by_whom(audited: &[(String, Value)]) -> Vec<(String, String)> {
    let text = |entry: &Value, field: &str| entry[field].as_str().unwrap_or_default().to_owned();
    audited.iter().map(|(_, entry)| (text(entry, "by"), text(entry, "entry"))).collect()
}

#[test]
fn whichever_instance_is_asked_the_owner_answers_once_and_it_is_audited() {
    let (office, customers) = office(2);
    for customer in &customers {
        let asked_before = office.cluster.peers_asked.load(Ordering::Relaxed);
        let answers = [0, 1].map(|instance| {
            let (status, told) = office.ask_at(instance, "explain", DESK, &json!({"customer": customer}));
            assert_eq!(status, 200, "{told}");
            told
        });
        assert_eq!(answers[0], answers[1]);
        assert_eq!(answers[0]["last_seen"], json!([{"kind": "login", "date": "2025-03-10"}]));
        assert_eq!(answers[0]["says"][0], "This customer was last seen on 10 March 2025 (login).");
        assert_eq!(office.cluster.peers_asked.load(Ordering::Relaxed), asked_before + 1, "one hop");
    }
    let audited = office.audited();
    assert_eq!(audited.len(), 2 * customers.len());
    assert!(by_whom(&audited).iter().all(|told| *told == ("desk".to_owned(), "look_up".to_owned())));
    let key = office.config.evidence.pseudonyms.of(customers[0].as_bytes()).to_string();
    assert_eq!(audited[0].0, key);
    assert_ne!(PseudonymKey::derive("another").of(customers[0].as_bytes()).to_string(), key);
    assert!(!audited.iter().any(|(_, entry)| customers.iter().any(|id| entry.to_string().contains(id.as_str()))));

    let nobody = office.told("explain", DESK, &json!({"customer": "nobody", "lang": "nl"}));
    assert_eq!(nobody["says"][0], "Wij kennen deze klant niet.");
}

#[test]
fn what_can_not_be_audited_is_not_answered_or_done() {
    let (office, customers) = office(1);
    office.cluster.audit_fails.store(true, Ordering::Relaxed);
    let (customer, reason) = (&customers[0], "a case");
    for (path, body) in [
        ("explain", json!({"customer": customer})),
        ("evidence", json!({"customer": customer})),
        ("due", json!({"policy": "offers"})),
        ("reconcile", json!({"target": "crm", "customers": [customer]})),
        ("hold", json!({"customer": customer, "id": "h", "reason": reason})),
        ("unhold", json!({"customer": customer, "id": "h", "reason": reason})),
        ("erase", json!({"customer": customer, "reason": reason})),
        ("resend", json!({"target": "crm", "customers": [customer], "reason": reason})),
    ] {
        let (status, problem) = office.ask(path, PRIVACY, &body);
        assert_eq!((status, &problem["status"]), (503, &json!(503)), "{path}: {problem}");
    }
    office.cluster.audit_fails.store(false, Ordering::Relaxed);
    let told = office.told("explain", DESK, &json!({"customer": customer}));
    assert_eq!((&told["holds"], &told["erasure_requested"]), (&json!([]), &Value::Null));
}

#[test]
fn a_question_waits_for_a_shard_that_moves_and_tells_when_it_can_not_be_had() {
    let (office, customers) = office(2);
    let elsewhere = &customers[1];
    let address = office.cluster.owners.lock().unwrap().remove(&1).unwrap();
    let (status, problem) = office.ask("explain", DESK, &json!({"customer": elsewhere}));
    assert_eq!(status, 503, "{problem}");
    assert!(!problem.to_string().contains(elsewhere.as_str()));
    // The group says that it is where it isn't: that one answers for its own shards only.
    office.cluster.owners.lock().unwrap().insert(1, office.addresses[0].clone());
    assert_eq!(office.ask("explain", DESK, &json!({"customer": elsewhere})).0, 503);
    let status: Value = serde_json::from_str(&office.get("/api/v1/status").1).unwrap();
    assert_eq!((&status["shards"], &status["shards_there_are"]), (&json!(SHARDS - 1), &json!(SHARDS)));
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| office.told("explain", DESK, &json!({"customer": elsewhere})));
        std::thread::sleep(std::time::Duration::from_millis(100));
        office.cluster.owners.lock().unwrap().insert(1, address);
        assert_eq!(asked.join().unwrap()["known"], true);
    });
}

#[test]
fn a_hold_holds_until_it_is_lifted_and_erasure_is_asked_for() {
    let (office, customers) = office(2);
    let customer = &customers[3];
    let explained = || office.told("explain", DESK, &json!({"customer": customer}));
    let hold = json!({"customer": customer, "id": "case-9", "reason": "a dispute", "until": "2026-12-31",
        "policies": ["offers"]});
    assert_eq!(office.told("hold", PRIVACY, &hold), json!({"shard": 3}));
    let held = office.until(|| Some(explained()).filter(|told| told["holds"] != json!([])));
    let expected = json!([{"id": "case-9", "until": "2027-01-01T00:00:00+01:00", "reason": "a dispute",
        "policies": ["offers"]}]);
    assert_eq!(held["holds"], expected);
    let offers = held["policies"].as_array().unwrap().iter().find(|policy| policy["policy"] == "offers").unwrap();
    assert!(offers["next"][0]["waits"].as_array().unwrap().iter().any(|wait| wait["hold"] == "case-9"));

    office.append(vec![progress(at("2026-03-02"), &office.config)]);
    office.told("unhold", PRIVACY, &json!({"customer": customer, "id": "case-9", "reason": "settled"}));
    office.until(|| Some(explained()).filter(|told| told["holds"] == json!([])));
    office.told("erase", PRIVACY, &json!({"customer": customer, "reason": "a letter"}));
    office.until(|| Some(explained()).filter(|told| told["erasure_requested"] == "2026-03-02T00:00:00+01:00"));
    let ordered: Vec<Value> = office
        .audited()
        .into_iter()
        .filter(|(_, entry)| entry["entry"] == "ordered")
        .map(|(_, entry)| json!([entry["order"], entry["by"], entry["reason"], entry["hold"]]))
        .collect();
    let expected = json!([
        ["hold", "privacy", "a dispute", "case-9"],
        ["unhold", "privacy", "settled", "case-9"],
        ["erase", "privacy", "a letter", null]
    ]);
    assert_eq!(json!(ordered), expected);
}

#[test]
fn who_is_due_is_listed_and_released_with_their_number() {
    let customers: Vec<String> = (0..40).map(|number| format!("c{number}")).collect();
    // What was due before the shards first ran waits for a person.
    let now = at("2026-03-01");
    let mut entries: Vec<_> =
        customers.iter().map(|customer| activity(now, customer, "login", at("2024-01-10"))).collect();
    entries.push(progress(now, &config(&text())));
    let office = Office::open(2, entries);
    let due = |rows: usize| office.told("due", DESK, &json!({"policy": "newsletter", "rows": rows}));
    let listed = due(1_000);
    assert_eq!((&listed["customers"], &listed["total"]), (&json!(40), &json!(40)));
    let mut ids: Vec<&str> =
        listed["rows"].as_array().unwrap().iter().map(|row| row["customer"].as_str().unwrap()).collect();
    assert!(ids.is_sorted(), "{ids:?}");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 40);
    let few = due(7);
    assert_eq!((few["rows"].as_array().unwrap().len(), &few["total"]), (7, &json!(40)));
    assert_eq!(few["rows"].as_array().unwrap()[..], listed["rows"].as_array().unwrap()[..7]);

    let release =
        |at_most: u64| json!({"policy": "newsletter", "due_by": "2026-03-01", "at_most": at_most, "reason": "seen"});
    let (status, problem) = office.ask("release", PRIVACY, &release(39));
    assert_eq!((status, problem["detail"].as_str().unwrap()), (409, "40 are due, more than 39; nothing is released"));
    let waiting = || {
        let status: Value = serde_json::from_str(&office.get("/api/v1/status").1).unwrap();
        status["policies"][0].clone()
    };
    assert_eq!(waiting()["waiting_for_release"], 40);
    assert_eq!(office.told("release", PRIVACY, &release(40))["released"], 40);
    let released = office.until(|| Some(waiting()).filter(|policy| policy["waiting_for_release"] == 0));
    assert_eq!(released["stages"], json!([{"command": "expire", "customers": 40}]));

    office.told("stop", PRIVACY, &json!({"policy": "offers", "reason": "a wrong segment"}));
    let stopped = office.until(|| {
        let status: Value = serde_json::from_str(&office.get("/api/v1/status").1).unwrap();
        Some(status["policies"][1]["brake"].clone()).filter(|brake| brake["shards_engaged"] == SHARDS)
    });
    assert_eq!(
        (&stopped["stopped"]["by"], &stopped["stopped"]["reason"]),
        (&json!("privacy"), &json!("a wrong segment"))
    );
}

#[test]
fn a_year_ahead_is_told_and_what_another_configuration_would_change() {
    let (office, _) = office(2);
    let (status, told) = office.get("/api/v1/forecast");
    assert_eq!(status, 200, "{told}");
    let forecast: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(forecast["first"], "2026-03-01");
    let newsletter = &forecast["policies"][0];
    // Deadline on the 11th, lateness of two days.
    assert_eq!(newsletter["customers"][12], json!(SHARDS));
    assert_eq!(newsletter["customers"].as_array().unwrap().iter().map(|day| day.as_u64().unwrap()).sum::<u64>(), 4);
    let shorter = text().replace("{after: P1Y, command: expire}", "{after: P6M, command: expire}");
    let changed = office.told("forecast", DESK, &json!({"configuration": {"new.yaml": shorter}}));
    assert_eq!(changed["other"]["shifts"][0], json!({"policy": "newsletter", "becomes_due": 4, "no_longer_due": 0}));
    assert_eq!(changed["policies"], forecast["policies"]);
    let wrong = office.ask("forecast", DESK, &json!({"configuration": {"new.yaml": "policies: 3"}}));
    assert_eq!(wrong.0, 422, "{}", wrong.1);
    let curious = text().replace("A weekly newsletter for a year after the last visit", "file:Cargo.toml");
    let (status, problem) = office.ask("forecast", DESK, &json!({"configuration": {"new.yaml": curious}}));
    assert_eq!(status, 422);
    assert!(problem["detail"].as_str().unwrap().contains("is not resolved here"), "{problem}");
}

#[test]
fn a_targets_own_list_is_held_against_ours_in_its_order() {
    let (office, customers) = office(2);
    let mut list = customers.clone();
    list.insert(2, "nobody".to_owned());
    let told = office.told("reconcile", DESK, &json!({"target": "mailing", "customers": list}));
    assert_eq!(told["stands"], json!(["fine", "fine", "unknown", "fine", "fine"]));
    assert_eq!(office.ask("reconcile", DESK, &json!({"target": "other", "customers": []})).0, 404);
    let many: Vec<String> = (0..10_001).map(|number| number.to_string()).collect();
    assert_eq!(office.ask("reconcile", DESK, &json!({"target": "mailing", "customers": many})).0, 413);
}

#[test]
fn a_target_is_told_once_more_about_those_it_still_lists() {
    let customers = one_of_each();
    // All that was to be removed was, and is done; nobody has been seen since.
    let mut rig = Rig::of(config(&text()));
    rig.batch(&seen(&customers, at("2024-03-10"), at("2024-03-11")));
    rig.days(at("2024-03-12"), at("2026-03-20"), true);
    assert_eq!((rig.sent.len(), rig.answered), (4 * customers.len(), 4 * customers.len()));
    let office = Office::open(2, rig.log.clone());
    let config = office.config.clone();
    let list = json!({"target": "crm", "customers": customers});
    assert_eq!(office.told("reconcile", DESK, &list)["stands"], json!(vec!["forgotten"; 4]));

    let resend = |secret: &str, customers: &[String], order: Option<&Value>| {
        let mut body = json!({"target": "crm", "customers": customers, "reason": "from a backup, CRM-88"});
        if let Some(order) = order {
            body["order"] = order.clone();
        }
        office.ask("resend", secret, &body)
    };
    assert_eq!(resend(DESK, &customers, None).0, 403);
    assert_eq!(
        resend(PRIVACY, &customers, Some(&json!("0195a2c4-0000-7000-8000-000000000000"))).0,
        400,
        "of last year"
    );
    let mut asked = customers[..3].to_vec();
    asked.extend(["nobody".to_owned(), customers[0].clone()]);
    let (status, told) = resend(PRIVACY, &asked, None);
    assert_eq!((status, &told["ordered"]), (200, &json!(3)), "{told}");
    assert_eq!(told["stands"], json!(["forgotten", "forgotten", "forgotten", "unknown", "forgotten"]));
    let resends = |customer: &str| {
        let told = office.told("explain", DESK, &json!({"customer": customer}));
        told["resends"].as_array().unwrap().clone()
    };
    let state = |customer: &str| {
        // No more questions a second than may be asked.
        std::thread::sleep(std::time::Duration::from_millis(30));
        resends(customer).iter().map(|resend| resend["state"].clone()).collect::<Vec<Value>>()
    };
    office.until(|| customers[..3].iter().all(|customer| state(customer) == ["waits"]).then_some(()));
    // No answer came, so it is said to have come: the same order is none but the first.
    let (_, again) = resend(PRIVACY, &asked, Some(&told["order"]));
    assert_eq!((&again["order"], &again["ordered"]), (&told["order"], &json!(0)), "they are due now: {again}");
    assert_eq!(state(&customers[3]), Vec::<Value>::new());

    let now = at("2026-03-22");
    office.append(vec![progress(now, &config)]);
    office.until(|| customers[..3].iter().all(|customer| state(customer) == ["sent"]).then_some(()));
    let answers = customers[..3].iter().map(|customer| answered(now + 60, customer, &resends(customer)[0]["sent"][0]));
    office.append(answers.collect());
    office.until(|| customers[..3].iter().all(|customer| state(customer) == ["done"]).then_some(()));
    let ordered: Vec<Value> = office
        .audited()
        .into_iter()
        .filter(|(_, entry)| entry["entry"] == "ordered")
        .map(|(key, entry)| json!([key, entry["order"], entry["by"], entry["reason"], entry["target"], entry["id"]]))
        .collect();
    assert_eq!(ordered.len(), 3, "once for each customer: {ordered:?}");
    let mut keys: Vec<String> =
        customers[..3].iter().map(|id| config.evidence.pseudonyms.of(id.as_bytes()).to_string()).collect();
    keys.sort();
    let mut told_of: Vec<String> = ordered.iter().map(|told| told[0].as_str().unwrap().to_owned()).collect();
    told_of.sort();
    assert_eq!(told_of, keys);
    let order = &told["order"];
    let expected = json!(["resend", "privacy", "from a backup, CRM-88", "crm", order]);
    assert!(ordered.iter().all(|told| json!(told.as_array().unwrap()[1..]) == expected), "{ordered:?}");
}

/// What a target says of a command that `explain` has told of.
fn answered(now: i64, customer: &str, sent: &Value) -> Entry {
    let acknowledgement = Acknowledgement {
        command: sent["id"].as_str().unwrap().parse().unwrap(),
        attempt: u32::try_from(sent["attempt"].as_u64().unwrap()).unwrap(),
        target: sent["target"].as_str().unwrap().to_owned(),
        result: AckResult::Done,
        time: Timestamp(now),
    };
    let mut value = Vec::new();
    Signal::Acknowledgement(acknowledgement).encode(&mut value);
    Entry { append: now, key: Some(customer.into()), value }
}

#[test]
fn evidence_is_told_as_json_or_as_text() {
    let (office, _) = office(1);
    assert_eq!(office.told("evidence", DESK, &json!({"customer": "4711"})), json!({"entries": []}));
    assert_eq!(office.ask("evidence", DESK, &json!({"customer": "4712"})).0, 404);
    let certificate = json!({"policy": "offers", "from": "2026-01-01", "to": "2026-12-31"});
    assert_eq!(office.told("evidence", DESK, &certificate), json!({"entries": []}));
    let backwards = json!({"policy": "offers", "from": "2026-12-31", "to": "2026-01-01"});
    assert_eq!(office.ask("evidence", DESK, &backwards).0, 400);
    assert_eq!(office.ask("evidence", DESK, &json!({"customer": "4711", "policy": "offers"})).0, 400);
}

#[test]
fn a_person_answers_for_a_source_in_doubt_and_for_nothing_else() {
    let (office, _) = office(2);
    let accept = |source: &str, doubt: &str| {
        office.ask("accept", PRIVACY, &json!({"source": source, "doubt": doubt, "reason": "only newsletters"}))
    };
    assert_eq!(accept("shop", "gap").0, 409, "it is not in doubt");
    let now = at("2026-03-01") + 60;
    office.lose_records(now);
    assert_eq!([accept("shop", "rejects").0, accept("none", "gap").0, accept("shop", "all").0], [409, 404, 400]);
    let (status, told) = accept("shop", "gap");
    assert_eq!((status, &told["doubts"][0]["doubt"]), (200, &json!("gap")));
    let opened = office.until(|| {
        let status: Value = serde_json::from_str(&office.get("/api/v1/status").1).unwrap();
        Some(status["sources"][0].clone()).filter(|source| source["open"] == true)
    });
    assert_eq!(
        (&opened["doubts"], &opened["acceptable"], &opened["closed_since"]),
        (&json!([]), &json!([]), &Value::Null)
    );
}
