//! A policy as evidence keeps it: all that was promised, in the words of the configuration.

use crate::shop::DESIGN;
use chrono::NaiveDate;
use lapsed::config::Environment;
use lapsed::config::load::from_texts;
use lapsed::retention::calendar::Timestamp;
use lapsed::retention::policy::PolicyIndex;
use lapsed::wire::audit::{Entry, encode};
use serde_json::{Value, json};

#[test]
fn a_policy_is_told_in_full() {
    let today = NaiveDate::from_ymd_opt(2026, 11, 24).unwrap();
    let texts = [("design.yaml".to_owned(), DESIGN.to_owned())];
    let config = from_texts(&texts, Environment::Leave, today).unwrap().config;
    let told = |place| {
        let policy = config.policy_in_full(PolicyIndex(place), 3, Timestamp(7));
        let mut value = Vec::new();
        encode(&Entry::Policy(policy), Timestamp(8), &mut value);
        serde_json::from_slice::<Value>(&value).unwrap()
    };
    assert_eq!(
        told(0),
        json!({
            "v": 1, "entry": "policy", "time": "1970-01-01T00:00:08Z",
            "policy": "administration", "policy_version": config.rules.policies[0].version,
            "effective": "1970-01-01T00:00:07Z", "shard": 3,
            "purpose": {"nl": "Fiscale administratie van bestellingen", "en": "Tax administration of orders"},
            "lawful_basis": "legal_obligation", "interest": {}, "consent": null,
            "categories": ["invoices"], "applies_to": {"segment": ["consumer", "business", null]},
            "since_last": ["purchase"], "counted_from": "end_of_year",
            "stages": [{"after": "P7Y", "command": "expire", "targets": ["crm"]}],
            "floors": [{"category": "invoices", "since_last": ["purchase"], "counted_from": "end_of_year",
                        "keep": "P7Y", "because": "AWR art. 52 lid 4"}],
            "mode": "enforce", "review_by": "2027-06-01", "time_zone": "Europe/Amsterdam"
        })
    );
    let offers = told(2);
    assert_eq!(offers["consent"], "offers");
    assert_eq!(offers["stages"][0], json!({"after": "P23M", "command": "warn", "targets": ["mailing"]}));
    assert_eq!(offers["stages"][1], json!({"after": "P2Y", "command": "anonymise", "targets": ["crm", "mailing"]}));
    assert_eq!(offers["floors"], json!([]));
}
