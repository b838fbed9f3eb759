//! What is asked and ordered over HTTP, by whoever reaches the port.

#[path = "../api/office.rs"]
#[allow(dead_code, reason = "each test binary uses its part")]
mod office;

use crate::rig::at;
use bolero::check;
use lapsed::http::api::ROUTES;
use lapsed::http::desk::PEER_PATH;
use office::{DESK, Office, PRIVACY, one_of_each, seen};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// Names that requests have, so that a search gets behind the first look at a body.
const NAMES: [&str; 21] = [
    "customer",
    "customers",
    "policy",
    "policies",
    "target",
    "source",
    "reason",
    "due_by",
    "by",
    "rows",
    "at_most",
    "per_day",
    "id",
    "until",
    "from",
    "to",
    "lang",
    "doubt",
    "order",
    "configuration",
    "unknown",
];

static OFFICE: LazyLock<Office> =
    LazyLock::new(|| Office::open(1, seen(&one_of_each(), at("2024-01-01"), at("2026-01-01"))));

fn value(choice: u8, text: &str) -> Value {
    match choice % 14 {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(0),
        3 => json!(-1),
        4 => json!(u64::MAX),
        5 => json!(1e300),
        6 => json!("offers"),
        7 => json!("crm"),
        8 => json!("c1"),
        9 => json!("2026-02-31"),
        10 => json!("2026-12-31"),
        11 => json!(["c1", text, 4711]),
        12 => json!({ text: [{}] }),
        _ => json!(text),
    }
}

fn told(route: u8, who: u8, body: &[u8]) {
    let paths: Vec<&str> = ROUTES.iter().filter(|(method, _)| *method == "post").map(|(_, path)| *path).collect();
    let path = paths[usize::from(route) % paths.len()];
    // Not often without a token: whoever guesses soon gets no answer but 429.
    let authorization = match who {
        0 => None,
        1 => Some("Bearer nobody".to_owned()),
        2..80 => Some(format!("Bearer {DESK}")),
        _ => Some(format!("Bearer {PRIVACY}")),
    };
    let (status, answer) =
        office::post(&format!("http://{}{path}", OFFICE.addresses[0]), authorization.as_deref(), body);
    assert!(
        matches!(status, 200 | 400..500 | 503),
        "{path} answers {status} {answer} to {}",
        String::from_utf8_lossy(body)
    );
    if status != 200 {
        let problem: Value = serde_json::from_str(&answer).unwrap_or_default();
        assert_eq!(problem["status"], status, "{path} answers {answer}");
    }
    // What instances ask each other is the state of things, too, which anybody may see.
    let is_open = authorization.is_some() || path == PEER_PATH;
    assert!(is_open || matches!(status, 401 | 429), "{path} answers {status} to nobody");
}

/// Any bytes, and bodies that are nearly right, at every route that takes one.
#[test]
fn bodies_of_requests() {
    check!().with_type::<(u8, u8, Vec<u8>)>().for_each(|(route, who, body)| told(*route, *who, body));
}

#[test]
fn bodies_nearly_right() {
    check!().with_type::<(u8, u8, Vec<(u8, u8)>, String)>().for_each(|(route, who, members, text)| {
        let name = |choice: u8| NAMES[usize::from(choice) % NAMES.len()].to_owned();
        let members = members.iter().map(|(of, choice)| (name(*of), value(*choice, text)));
        told(*route, *who, Value::Object(members.collect::<Map<_, _>>()).to_string().as_bytes());
    });
}
