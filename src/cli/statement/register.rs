//! The record of processing activities: article 30(1) GDPR, as far as a configuration knows it.

use super::limits::{beforehand, condition, floor_limit, floors, limit, removals};
use super::teller::Teller;
use super::words::Language::{Dutch, English};
use super::words::Reader;
use crate::config::PolicyText;
use crate::retention::policy::{Action, Mode, Policy, TargetIndex};

/// A table below a heading, with a word on what is missing.
pub fn markdown(teller: &mut Teller<'_>) -> String {
    let language = teller.language;
    let title = language.either("Register van verwerkingsactiviteiten", "Record of processing activities");
    let missing = match language {
        Dutch => format!(
            "Artikel 30, lid 1, AVG. Kolommen met *{}* eist dat artikel ook, maar ze staan niet in de configuratie van \
             lapsed.",
            to_complete(teller)
        ),
        English => format!(
            "Article 30(1) GDPR. Columns marked *{}* are demanded by it, too, and are not in the configuration of lapsed.",
            to_complete(teller)
        ),
    };
    let mut lines = vec![format!("# {title}"), String::new(), missing, String::new()];
    let row = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|").replace('\n', "<br>")).collect();
        format!("| {} |", cells.join(" | "))
    };
    let heads = heads(teller);
    lines.push(row(&heads));
    lines.push(format!("|{}", " --- |".repeat(heads.len())));
    lines.extend(rows(teller).iter().map(|cells| row(cells)));
    lines.join("\n") + "\n"
}

/// RFC 4180.
pub fn csv(teller: &mut Teller<'_>) -> String {
    let heads = heads(teller);
    let record = |cells: &[String]| {
        let quoted: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
        quoted.join(",") + "\r\n"
    };
    let mut text = record(&heads);
    text.extend(rows(teller).iter().map(|cells| record(cells)));
    text
}

fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\r', '\n']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}

fn to_complete(teller: &Teller<'_>) -> &'static str {
    teller.language.either("[zelf invullen]", "[to be completed]")
}

/// A column: its head by language, and what a policy has there; `None`: lapsed doesn't know it.
struct Column {
    dutch: &'static str,
    english: &'static str,
    cell: Option<fn(&mut Teller<'_>, &Policy, &PolicyText) -> String>,
}

const COLUMNS: [Column; 14] = [
    Column { dutch: "Verwerking", english: "Processing", cell: Some(|_, policy, _| policy.key.clone()) },
    Column {
        dutch: "Verwerkingsverantwoordelijke, vertegenwoordiger, functionaris voor gegevensbescherming, contactgegevens",
        english: "Controller, representative, data protection officer, contact details",
        cell: None,
    },
    Column { dutch: "Doel", english: "Purpose", cell: Some(|teller, policy, text| teller.purpose(policy, text)) },
    Column { dutch: "Categorieën van betrokkenen", english: "Categories of data subjects", cell: None },
    Column {
        dutch: "Beperkt tot",
        english: "Limited to",
        cell: Some(|teller, policy, _| condition(teller, policy).unwrap_or_default()),
    },
    Column {
        dutch: "Categorieën van persoonsgegevens",
        english: "Categories of personal data",
        cell: Some(|teller, policy, _| teller.categories(&policy.categories).join(", ")),
    },
    Column {
        dutch: "Grondslag",
        english: "Legal basis",
        cell: Some(|teller, policy, text| teller.lawful_basis(policy, text, Reader::Supervisor)),
    },
    Column { dutch: "Bronsystemen", english: "Source systems", cell: Some(sources) },
    Column { dutch: "Ontvangers", english: "Recipients", cell: Some(recipients) },
    Column {
        dutch: "Doorgifte naar derde landen en waarborgen",
        english: "Transfers to third countries and safeguards",
        cell: None,
    },
    Column { dutch: "Beoogde bewaartermijnen", english: "Envisaged time limits for erasure", cell: Some(time_limits) },
    Column {
        dutch: "Technische en organisatorische beveiligingsmaatregelen",
        english: "Technical and organisational security measures",
        cell: None,
    },
    Column { dutch: "Stand", english: "State", cell: Some(state) },
    Column { dutch: "Herzien uiterlijk", english: "Review by", cell: Some(|_, _, text| text.review_by.to_string()) },
];

fn heads(teller: &Teller<'_>) -> Vec<String> {
    let head = |column: &Column| {
        let head = teller.language.either(column.dutch, column.english);
        match column.cell {
            Some(_) => head.to_owned(),
            None => format!("{head} {}", to_complete(teller)),
        }
    };
    COLUMNS.iter().map(head).collect()
}

/// A row a policy.
fn rows(teller: &mut Teller<'_>) -> Vec<Vec<String>> {
    let policies: Vec<_> = teller.policies().collect();
    let mut row = |policy, text| {
        COLUMNS.iter().map(|column| column.cell.map_or_else(String::new, |cell| cell(teller, policy, text))).collect()
    };
    policies.into_iter().map(|(policy, text)| row(policy, text)).collect()
}

fn sources(teller: &mut Teller<'_>, policy: &Policy, _: &PolicyText) -> String {
    teller.sources(&policy.sources).join(", ")
}

/// The systems that its stages speak to.
fn recipients(teller: &mut Teller<'_>, policy: &Policy, _: &PolicyText) -> String {
    let mut targets: Vec<TargetIndex> = policy.stages.iter().flat_map(|stage| &stage.targets).copied().collect();
    targets.sort();
    targets.dedup();
    teller.targets(&targets).join(", ")
}

fn time_limits(teller: &mut Teller<'_>, policy: &Policy, text: &PolicyText) -> String {
    let language = teller.language;
    let mut told = Vec::new();
    let removals = removals(policy);
    let told_apart = removals.iter().any(|removal| removal.stage.targets != removals[0].stage.targets);
    for removal in &removals {
        let after = limit(teller, policy, removal.stage.after, text.lawful_basis, Reader::Supervisor);
        let mut removed = match removal.stage.action {
            Action::Anonymise => format!("{after}: {}", language.either("anonimiseren", "anonymised")),
            _ => format!("{after}: {}", language.either("verwijderen", "deleted")),
        };
        if told_apart {
            removed += &format!(" ({})", teller.targets(&removal.stage.targets).join(", "));
        }
        for warning in &removal.warnings {
            removed += &match beforehand(warning.after, removal.stage.after).map(|period| language.period(period)) {
                Some(period) => match language {
                    Dutch => format!(", waarschuwing {period} van tevoren"),
                    English => format!(", warning {period} beforehand"),
                },
                None => {
                    let period = language.period(warning.after);
                    match language {
                        Dutch => format!(", waarschuwing na {period}"),
                        English => format!(", warning after {period}"),
                    }
                }
            };
        }
        told.push(removed);
    }
    for law in floors(teller, policy) {
        let category = teller.label(teller.config.category(law.category));
        let (limit, because) = (floor_limit(teller, law, Reader::Supervisor), &law.because);
        told.push(match language {
            Dutch => format!("{category} volgens de wet ten minste {limit} ({because})"),
            English => format!("{category} by law at least until {limit} ({because})"),
        });
    }
    told.join("; ")
}

fn state(teller: &mut Teller<'_>, policy: &Policy, _: &PolicyText) -> String {
    let language = teller.language;
    let state = match policy.mode {
        Mode::Test => language.either("test: er gebeurt nog niets", "test: nothing is done yet"),
        Mode::Notify => language.either("notify: alleen waarschuwingen", "notify: warnings only"),
        Mode::Enforce => language.either("enforce: in werking", "enforce: in operation"),
    };
    state.to_owned()
}
