//! Two sentences that somebody at a desk can read aloud: how things stand, and what comes next.

use serde::Deserialize;
use serde_json::Value;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    Nl,
    #[default]
    En,
}

impl Language {
    fn key(self) -> &'static str {
        match self {
            Language::Nl => "nl",
            Language::En => "en",
        }
    }

    fn pick(self, nl: &str, en: &str) -> String {
        match self {
            Language::Nl => nl,
            Language::En => en,
        }
        .to_owned()
    }
}

const MONTHS: [[&str; 12]; 2] = [
    [
        "januari",
        "februari",
        "maart",
        "april",
        "mei",
        "juni",
        "juli",
        "augustus",
        "september",
        "oktober",
        "november",
        "december",
    ],
    [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ],
];

/// A date, or the local date of an instant, in words.
fn date(text: &Value, lang: Language) -> String {
    let text = text.as_str().unwrap_or_default();
    let mut parts = text.get(..10).unwrap_or_default().split('-').map(str::parse::<usize>);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(Ok(year)), Some(Ok(month @ 1..=12)), Some(Ok(day))) => {
            format!("{day} {} {year}", MONTHS[usize::from(lang == Language::En)][month - 1])
        }
        _ => text.to_owned(),
    }
}

/// Two sentences about what [`explained`](super::answers::explained) tells.
pub fn says(told: &Value, lang: Language) -> [String; 2] {
    if told["known"] == true {
        return [stands(told, lang), comes(told, lang)];
    }
    if told["forgotten"].is_object() {
        let end = date(&told["forgotten"]["end"], lang);
        return [
            lang.pick(
                &format!("Deze klant is vergeten: de laatste opdracht daartoe is van {end}."),
                &format!("This customer has been forgotten: the last command to do so is of {end}."),
            ),
            lang.pick(
                "Er gebeurt niets meer, tenzij de klant terugkomt.",
                "Nothing more will happen, unless the customer comes back.",
            ),
        ];
    }
    [
        lang.pick("Wij kennen deze klant niet.", "We don't know this customer."),
        lang.pick(
            "Geen enkele bron heeft iets over deze klant gemeld, of alles is al zo lang vergeten dat ook dat niet meer vaststaat.",
            "No source has reported anything about them, or everything was forgotten so long ago that not even that is kept.",
        ),
    ]
}

fn list<'v>(value: &'v Value, field: &str) -> impl Iterator<Item = &'v Value> {
    value[field].as_array().into_iter().flatten()
}

fn stands(told: &Value, lang: Language) -> String {
    let holds = list(told, "holds").count();
    let held = match holds {
        0 => String::new(),
        _ => lang.pick(", en er geldt een bewaarverplichting (hold)", ", and a hold is in force"),
    };
    let last = list(told, "last_seen").max_by_key(|seen| seen["date"].as_str());
    match last {
        Some(seen) => {
            let (on, kind) = (date(&seen["date"], lang), seen["kind"].as_str().unwrap_or_default());
            lang.pick(
                &format!("Deze klant is voor het laatst gezien op {on} ({kind}){held}."),
                &format!("This customer was last seen on {on} ({kind}){held}."),
            )
        }
        None => lang.pick(
            &format!("Van deze klant is geen activiteit bekend{held}."),
            &format!("No activity of this customer is known{held}."),
        ),
    }
}

/// What would leave first, and for what it waits.
fn comes(told: &Value, lang: Language) -> String {
    let next = list(told, "policies").flat_map(|policy| list(policy, "next").map(move |next| (policy, next)));
    let first = next.min_by_key(|(_, next)| instant(&next["earliest"]));
    let Some((policy, next)) = first else { return nothing_comes(told, lang) };
    let on = date(&next["earliest"], lang);
    let what = match (next["command"].as_str(), lang) {
        (Some("warn"), Language::Nl) => "waarschuwen wij de klant",
        (Some("warn"), Language::En) => "the customer is warned",
        (Some("expire"), Language::Nl) => "worden gegevens verwijderd",
        (Some("expire"), Language::En) => "data is deleted",
        (_, Language::Nl) => "worden gegevens geanonimiseerd",
        (_, Language::En) => "data is made anonymous",
    };
    let purpose = policy["purpose"][lang.key()].as_str().or(policy["policy"].as_str()).unwrap_or_default();
    let waits: Vec<String> = list(next, "waits").filter_map(|wait| reason(wait, lang)).collect();
    let is_to_come =
        list(next, "waits").any(|wait| matches!(wait["for"].as_str(), Some("deadline" | "lateness" | "notice")));
    let when = match (is_to_come, lang) {
        (true, Language::Nl) => format!("Op zijn vroegst op {on}"),
        (true, Language::En) => format!("On {on} at the earliest"),
        (false, Language::Nl) => "Binnenkort".to_owned(),
        (false, Language::En) => "Soon".to_owned(),
    };
    let but = match (waits.is_empty(), lang) {
        (true, _) => String::new(),
        (false, Language::Nl) => format!(", maar nu nog niet: {}", waits.join("; ")),
        (false, Language::En) => format!(", but not yet: {}", waits.join("; ")),
    };
    match lang {
        Language::Nl => format!("{when} {what} ({purpose}){but}."),
        Language::En => format!("{when} {what} ({purpose}){but}."),
    }
}

fn instant(text: &Value) -> Option<i64> {
    Some(chrono::DateTime::parse_from_rfc3339(text.as_str()?).ok()?.timestamp())
}

fn nothing_comes(told: &Value, lang: Language) -> String {
    if list(told, "policies").any(|policy| policy["awaits_answer"] == true) {
        return lang.pick(
            "De klant is gewaarschuwd; wij wachten op de bevestiging daarvan.",
            "The customer has been warned; we wait for the confirmation of that.",
        );
    }
    let left = list(told, "policies").flat_map(|policy| list(policy, "left"));
    let left = left.filter(|left| left["earliest"].is_string()).min_by_key(|left| instant(&left["earliest"]));
    if let Some(left) = left {
        let on = date(&left["earliest"], lang);
        return lang.pick(
            &format!("De rest moet nog bewaard blijven, op zijn vroegst tot {on}."),
            &format!("The rest must still be kept, until {on} at the earliest."),
        );
    }
    if list(told, "policies").any(|policy| policy["removed"] == true) {
        return lang.pick(
            "Alles wat verwijderd moest worden, is opgedragen.",
            "Everything that had to be removed has been ordered.",
        );
    }
    lang.pick("Er staat niets gepland.", "Nothing is planned.")
}

fn reason(wait: &Value, lang: Language) -> Option<String> {
    let until = wait["until"].as_str().map(|_| date(&wait["until"], lang));
    Some(match (wait["for"].as_str()?, until) {
        // The sentence says when already.
        ("deadline" | "lateness", _) => return None,
        ("notice", Some(until)) => lang.pick(
            &format!("de klant is gewaarschuwd en heeft tot {until} de tijd"),
            &format!("the customer was warned, and has until {until}"),
        ),
        ("hold", Some(until)) => {
            lang.pick(&format!("een hold houdt het tegen tot {until}"), &format!("a hold keeps it back until {until}"))
        }
        ("hold", None) => lang.pick("een hold houdt het tegen", "a hold keeps it back"),
        ("floor", Some(until)) => lang.pick(
            &format!("een wettelijke bewaartermijn loopt tot {until}"),
            &format!("a statutory period runs until {until}"),
        ),
        ("window", Some(until)) => {
            lang.pick(&format!("opdrachten vertrekken weer op {until}"), &format!("commands leave again on {until}"))
        }
        ("mode", _) => lang.pick("het beleid staat nog niet aan", "the policy is not enforced yet"),
        ("gate", _) => lang.pick(
            "niet alle bronnen zijn bij, dus misschien is de klant nog gezien",
            "not all sources are up to date, so the customer may have been seen since",
        ),
        ("release", _) => lang.pick("iemand moet het eerst vrijgeven", "somebody has to release it first"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_desk_can_read_it_aloud() {
        let waits = |waits: Value| {
            json!({
                "known": true, "holds": [],
                "last_seen": [{"kind": "login", "date": "2023-01-01"}, {"kind": "purchase", "date": "2024-02-29"}],
                "policies": [{"policy": "offers", "purpose": {"nl": "Aanbiedingen", "en": "Offers"}, "next": [
                    {"command": "anonymise", "earliest": "2026-03-03T00:00:00+01:00", "waits": waits},
                ]}],
            })
        };
        let told = waits(json!([{"for": "deadline", "until": "2026-03-01T00:00:00+01:00", "hold": null}]));
        assert_eq!(
            says(&told, Language::En),
            [
                "This customer was last seen on 29 February 2024 (purchase).",
                "On 3 March 2026 at the earliest data is made anonymous (Offers)."
            ]
        );
        assert_eq!(
            says(&told, Language::Nl),
            [
                "Deze klant is voor het laatst gezien op 29 februari 2024 (purchase).",
                "Op zijn vroegst op 3 maart 2026 worden gegevens geanonimiseerd (Aanbiedingen)."
            ]
        );
        let told = waits(json!([{"for": "gate", "until": null, "hold": null}]));
        assert_eq!(
            says(&told, Language::En)[1],
            "Soon data is made anonymous (Offers), but not yet: not all sources are up to date, so the customer may \
             have been seen since."
        );
        let left = json!({
            "known": true, "holds": [], "last_seen": [{"kind": "purchase", "date": "2024-02-29"}],
            "policies": [{"policy": "offers", "removed": true, "next": [],
                "left": [{"target": "crm", "kept": [], "earliest": "2031-01-03T00:00:00+01:00"}]}],
        });
        assert_eq!(says(&left, Language::En)[1], "The rest must still be kept, until 3 January 2031 at the earliest.");
        let unknown = json!({"known": false, "forgotten": null});
        assert_eq!(says(&unknown, Language::En)[0], "We don't know this customer.");
        let forgotten = json!({"known": false, "forgotten": {"end": "2026-03-05T09:00:00+01:00"}});
        assert_eq!(
            says(&forgotten, Language::Nl)[0],
            "Deze klant is vergeten: de laatste opdracht daartoe is van 5 maart 2026."
        );
    }
}
