//! Who may, how much, and what errors look like.

use crate::office::{DESK, Office, PRIVACY, get, one_of_each, post, seen};
use crate::rig::at;
use lapsed::config::{Http, May, Secret, Token};
use lapsed::http::api::{BODY_BYTES_MAX, ROUTES};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn office() -> Office {
    Office::open(1, seen(&one_of_each(), at("2025-03-10"), at("2026-03-01")))
}

/// Paths that take no token, or only sometimes.
const OPEN: [&str; 4] = ["/api/v1/openapi.json", "/api/v1/status", "/api/v1/forecast", "/api/v1/shards"];
const ORDERS: [&str; 7] = ["release", "stop", "accept", "hold", "unhold", "erase", "resend"];

#[test]
fn without_a_token_nobody_asks_about_customers_and_a_look_up_token_orders_nothing() {
    let office = office();
    for (method, path) in ROUTES {
        let url = format!("http://{}{path}", office.addresses[0]);
        if method == "get" {
            assert_eq!(get(&url).0, 200, "{path}");
            continue;
        }
        let (status, body) = post(&url, None, b"{}");
        let expected = if path == "/api/v1/shards" { 400 } else { 401 };
        assert_eq!(status, expected, "{path}: {body}");
        let wrong = post(&url, Some("Bearer the secret of nobody"), b"{}");
        assert_eq!(wrong.0, 401, "{path}");
        let problem: Value = serde_json::from_str(&wrong.1).unwrap();
        assert_eq!((&problem["status"], &problem["title"]), (&json!(401), &json!("Unauthorized")));
    }
    for path in ORDERS {
        let (status, problem) = office.ask(path, DESK, &json!({"customer": "c0", "reason": "r"}));
        assert_eq!(status, 403, "{path}: {problem}");
        assert!(office.ask(path, PRIVACY, &json!({"unknown": 1})).0 == 400);
    }
    assert!(OPEN.iter().all(|open| ROUTES.iter().any(|(_, path)| path == open)));
    assert_eq!(office.audited(), []);
}

#[test]
fn instances_ask_each_other_about_customers_with_a_token_only() {
    let office = office();
    let url = format!("http://{}/api/v1/shards", office.addresses[0]);
    let overview = json!([{"shards": [0], "question": {"ask": "overview"}}]).to_string();
    assert_eq!(post(&url, None, overview.as_bytes()).0, 200);
    for question in [
        json!({"ask": "explain", "customer": "c0"}),
        json!({"ask": "due", "policy": "offers", "before": 0, "rows_max": 1}),
        json!({"ask": "reconcile", "target": "crm", "customers": ["c0"]}),
        json!({"ask": "forecast", "configuration": []}),
    ] {
        let asked = json!([{"shards": [0], "question": question}]).to_string();
        assert_eq!(post(&url, None, asked.as_bytes()).0, 401, "{question}");
    }
}

#[test]
fn other_tokens_are_taken_over() {
    let office = office();
    let question = json!({"customer": "c0"});
    office.told("explain", DESK, &question);
    let token = Token { secret: Some(Secret("another secret of the desk".to_owned())), may: May::LookUp };
    let tokens = BTreeMap::from([("desk".to_owned(), token)]);
    office.desk(0).take_tokens(&Http { tokens, ..office.config.http.clone() });
    assert_eq!(office.ask("explain", DESK, &question).0, 401);
    office.told("explain", "another secret of the desk", &question);
}

#[test]
fn errors_are_problems_and_name_nobody() {
    let office = office();
    let marker = "marker-4711";
    let too_long = marker.repeat(200);
    let mut errors = Vec::new();
    for (path, body) in [
        ("explain", json!({"customer": [marker]})),
        ("explain", json!({"customer": marker, "other": marker})),
        ("explain", json!({"customer": too_long})),
        ("explain", json!({"customer": ""})),
        ("hold", json!({"customer": marker, "id": "h", "reason": "r", "until": marker})),
        ("hold", json!({"customer": marker, "id": "h", "reason": "r", "policies": [marker]})),
        ("hold", json!({"customer": marker, "id": "", "reason": "r"})),
        ("erase", json!({"customer": marker, "reason": " "})),
        ("reconcile", json!({"target": "crm", "customers": [marker, too_long]})),
        ("evidence", json!({"customer": marker})),
        (marker, json!({})),
    ] {
        let (status, problem) = office.ask(path, PRIVACY, &body);
        assert!((400..500).contains(&status), "{path} {body}: {status}");
        assert_eq!(problem["status"], status, "{path}");
        errors.push(problem.to_string());
    }
    let url = format!("http://{}/api/v1/explain", office.addresses[0]);
    errors.push(post(&url, Some(&format!("Bearer {DESK}")), format!("{{\"customer\": \"{marker}").as_bytes()).1);
    errors.push(post(&url, Some(&format!("Bearer {DESK}")), &vec![b' '; BODY_BYTES_MAX + 1]).1);
    assert!(errors.last().unwrap().contains("a body has at most"), "{}", errors.last().unwrap());
    errors.push(get(&url).1);
    for error in errors {
        assert!(error.contains("\"detail\"") && !error.contains(marker), "{error}");
    }
}
