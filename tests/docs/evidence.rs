//! The check of evidence for auditors finds what is wrong, and nothing where nothing is.

use crate::place::{Place, text};
use lapsed::retention::pseudonym::PseudonymKey;
use serde_json::{Value, json};

const WARNING: &str = "6ba7b810-9dad-11d1-80b4-00c04fd430c1";
const REMOVAL: &str = "6ba7b810-9dad-11d1-80b4-00c04fd430c2";

fn pseudonym() -> String {
    PseudonymKey::derive("a key of this test only, 32 characters").of(b"4711").to_string()
}

fn policy() -> Value {
    json!({"entry": "policy", "policy": "offers", "policy_version": "aa", "time_zone": "Europe/Amsterdam",
           "stages": [{"command": "warn"}, {"command": "expire"}]})
}

/// Sent on the first instants of local days.
fn sent(id: &str, command: &str, time: &str, deadline: &str, next: Value) -> Value {
    json!({"entry": "sent", "time": time, "id": id, "attempt": 1, "command": command, "target": "crm", "cause": "period",
           "policy": "offers", "policy_version": "aa", "categories": ["email"], "deadline": deadline, "next": next,
           "recalls": null, "expirytime": "2026-12-31T00:00:00Z"})
}

fn warning() -> Value {
    sent(
        WARNING,
        "warn",
        "2026-01-31T23:00:00Z",
        "2026-01-30T00:00:00+01:00",
        json!({"command": "expire", "on": "2026-03-04"}),
    )
}

fn removal() -> Value {
    sent(REMOVAL, "expire", "2026-03-03T23:00:00Z", "2026-03-01T00:00:00+01:00", Value::Null)
}

fn answer(command: &str, result: &str) -> Value {
    json!({"entry": "acknowledged", "time": "2026-03-04T00:00:00Z", "command": command, "attempt": 1, "target": "crm",
           "result": result, "answers": "command"})
}

/// Whether it is content, and all it prints.
fn checked(entries: &[Value], more: &str) -> (bool, String) {
    let mut place = Place::new(Vec::new());
    let line = |entry: &Value| {
        let key = if entry["entry"] == "policy" { "offers".to_owned() } else { pseudonym() };
        json!({"topic": "lapsed.audit", "key": key, "payload": entry.to_string()}).to_string()
    };
    std::fs::write(place.path("audit.ndjson"), entries.iter().map(line).collect::<Vec<_>>().join("\n")).unwrap();
    let output = place.run(&format!("python3 config/check-evidence.py audit.ndjson {more}"));
    (output.status.success(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn evidence_without_fault_passes_and_a_customer_is_found() {
    let entries = [policy(), warning(), answer(WARNING, "done"), removal(), answer(REMOVAL, "retained")];
    let (fine, told) = checked(&entries, "/secrets/evidence.key 4711");
    assert!(fine, "{told}");
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!((lines[0], lines[1..].iter().filter(|line| line.starts_with('{')).count()), (pseudonym().as_str(), 4));
    for count in ["1 offers expire crm retained", "1 offers warn crm done", "5 entries, 0 faults"] {
        assert!(told.contains(count), "{told}");
    }
    // Summer time, a warning given anew after a recall, and who was never warned of nothing.
    let recall = json!({"entry": "sent", "time": "2026-02-02T00:00:00Z", "id": "r", "attempt": 1, "command": "recall",
                        "target": "crm", "policy": "offers", "policy_version": "aa", "recalls": WARNING, "cause": "period",
                        "deadline": "2026-01-30T00:00:00+01:00", "expirytime": null});
    let mut again = warning();
    again["id"] = json!("again");
    let mut nothing = removal();
    nothing["categories"] = json!([]);
    assert!(checked(&[policy(), warning(), recall.clone(), again, removal()], "").0);
    assert!(checked(&[policy(), nothing], "").0);
    let (fine, told) = checked(&[policy(), warning(), recall, removal()], "");
    assert!(!fine && told.contains("nobody was warned of in time"), "{told}");
}

#[test]
fn what_is_wrong_is_found() {
    let changed = |mut entry: Value, member: &str, value: Value| {
        entry[member] = value;
        entry
    };
    let cases = [
        ("before its deadline", vec![policy(), changed(warning(), "time", json!("2026-01-29T22:59:59Z"))]),
        ("sent twice", vec![policy(), warning(), warning()]),
        ("never sent", vec![policy(), answer(WARNING, "done")]),
        ("not in evidence", vec![warning()]),
        ("nobody was warned of in time", vec![policy(), removal()]),
        (
            "nobody was warned of in time",
            vec![policy(), warning(), changed(removal(), "time", json!("2026-03-03T22:59:59Z"))],
        ),
    ];
    for (why, entries) in cases {
        let (fine, told) = checked(&entries, "");
        assert!(!fine && told.contains(why) && told.contains("1 faults"), "{why}: {told}");
    }
}
