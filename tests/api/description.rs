//! The OpenAPI description is of this server: every route is in it, and every answer is as it says.

use crate::office::{DESK, Office, PRIVACY, get, one_of_each, post, seen};
use crate::rig::at;
use lapsed::http::api::ROUTES;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn description(office: &Office) -> Value {
    let (status, text) = office.get("/api/v1/openapi.json");
    assert_eq!(status, 200);
    serde_json::from_str(&text).unwrap()
}

#[test]
fn every_route_is_described_and_nothing_else() {
    let office = Office::open(1, seen(&one_of_each(), at("2025-03-10"), at("2026-03-01")));
    let description = description(&office);
    assert_eq!(description["openapi"], "3.1.0");
    let mut described = BTreeSet::new();
    for (path, operations) in description["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            described.insert((method.clone(), path.clone()));
            assert!(operation["summary"].is_string(), "{path}");
        }
    }
    let routes: BTreeSet<(String, String)> =
        ROUTES.iter().map(|(method, path)| ((*method).to_owned(), (*path).to_owned())).collect();
    assert_eq!(described, routes);
}

/// A body that is answered, for each route that takes one.
fn example(path: &str, customer: &str) -> Value {
    let reason = "a test";
    match path.rsplit('/').next().unwrap() {
        "forecast" => json!({"configuration": {"new.yaml": crate::office::text()}}),
        "explain" => json!({"customer": customer, "lang": "nl"}),
        "evidence" => json!({"customer": "4711"}),
        "due" => json!({"policy": "newsletter", "by": "2027-01-01"}),
        "reconcile" => json!({"target": "crm", "customers": [customer]}),
        "resend" => json!({"target": "crm", "customers": [customer], "reason": "from a backup"}),
        "release" => json!({"policy": "newsletter", "due_by": "2027-01-01", "at_most": 100, "reason": reason}),
        "stop" => json!({"reason": reason}),
        "accept" => json!({"source": "shop", "doubt": "gap", "reason": reason}),
        "hold" => json!({"customer": customer, "id": "case", "reason": reason}),
        "unhold" => json!({"customer": customer, "id": "case", "reason": reason}),
        "erase" => json!({"customer": customer, "reason": reason}),
        "shards" => json!([{"shards": [0], "question": {"ask": "overview"}}]),
        other => panic!("no example for {other}"),
    }
}

fn validator(description: &Value, schema: &Value) -> jsonschema::Validator {
    let mut whole = schema.clone();
    if let Some(whole) = whole.as_object_mut() {
        whole.insert("components".to_owned(), description["components"].clone());
    }
    jsonschema::draft202012::options().build(&whole).unwrap()
}

#[test]
fn every_described_operation_answers_as_described() {
    let customers = one_of_each();
    let now = at("2026-03-01");
    let office = Office::open(2, seen(&customers, at("2025-03-10"), now));
    office.lose_records(now + 60);
    let description = description(&office);
    for (path, operations) in description["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let url = format!("http://{}{path}", office.addresses[0]);
            let (status, answer) = if method == "get" {
                get(&url)
            } else {
                let body = example(path, &customers[0]);
                let asked = &operation["requestBody"]["content"]["application/json"]["schema"];
                let errors: Vec<_> =
                    validator(&description, asked).iter_errors(&body).map(|error| error.to_string()).collect();
                assert_eq!(errors, Vec::<String>::new(), "{path}: {body}");
                let secret = if operation["security"][0]["token"][0] == "operate" { PRIVACY } else { DESK };
                post(&url, Some(&format!("Bearer {secret}")), body.to_string().as_bytes())
            };
            assert_eq!(status, 200, "{method} {path}: {answer}");
            let answer: Value = serde_json::from_str(&answer).unwrap();
            let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
            let errors: Vec<_> =
                validator(&description, schema).iter_errors(&answer).map(|error| error.to_string()).collect();
            assert_eq!(errors, Vec::<String>::new(), "{method} {path}: {answer}");
            // What is described as an object is not just anything.
            if let Some(name) = schema["$ref"].as_str().and_then(|name| name.rsplit('/').next())
                && let Some(properties) = description["components"]["schemas"][name]["properties"].as_object()
            {
                let told: BTreeSet<&String> = answer.as_object().unwrap().keys().collect();
                assert!(told.iter().all(|member| properties.contains_key(*member)), "{path}: {told:?}");
            }
        }
    }
}

#[test]
fn every_problem_is_as_described() {
    let office = Office::open(1, seen(&one_of_each(), at("2025-03-10"), at("2026-03-01")));
    let description = description(&office);
    let validator = validator(&description, &json!({"$ref": "#/components/schemas/Problem"}));
    for (method, path) in ROUTES.iter().filter(|(method, _)| *method == "post") {
        let url = format!("http://{}{path}", office.addresses[0]);
        let (status, answer) = post(&url, None, b"");
        assert!(status >= 400, "{method} {path}");
        assert!(validator.is_valid(&serde_json::from_str(&answer).unwrap()), "{answer}");
    }
}
