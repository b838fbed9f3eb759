//! Examples of configuration, commands, answers and evidence are what their schemas say.

use crate::place::{Place, text};
use crate::{file, pages};
use lapsed::config::SCHEMA;
use lapsed::wire::{acknowledgement, audit, command};
use serde_json::Value;
use std::collections::BTreeSet;

fn faults(schema: &str, instance: &Value) -> Vec<String> {
    let schema: Value = serde_json::from_str(schema).unwrap();
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    validator.iter_errors(instance).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// A part of a configuration: what is there is right.
fn part_schema() -> String {
    let mut schema: Value = serde_json::from_str(SCHEMA).unwrap();
    schema.as_object_mut().unwrap().remove("required");
    schema.to_string()
}

#[test]
fn parts_of_a_configuration_are_good() {
    let mut tried = 0;
    for page in pages() {
        for block in page.blocks.iter().filter(|block| block.language == "yaml") {
            let value: Value = serde_saphyr::from_str(&block.text)
                .unwrap_or_else(|error| panic!("{}:{}: {error}", page.path, block.line));
            let schema = if block.value("file").is_some() { SCHEMA.to_owned() } else { part_schema() };
            let faults = faults(&schema, &value);
            assert!(faults.is_empty(), "{}:{}: {faults:?}", page.path, block.line);
            tried += 1;
        }
    }
    assert!(tried > 3, "{tried} examples");
}

#[test]
fn commands_answers_and_evidence_are_good() {
    let mut tried = [0; 3];
    for page in pages() {
        for block in page.blocks.iter().filter(|block| block.language == "json") {
            for document in serde_json::Deserializer::from_str(&block.text).into_iter::<Value>() {
                let document = document.unwrap_or_else(|error| panic!("{}:{}: {error}", page.path, block.line));
                let has = |member: &str| document.get(member).is_some();
                let (place, schema) = match () {
                    () if has("specversion") => (0, command::SCHEMA),
                    () if has("entry") => (2, audit::SCHEMA),
                    () if has("result") => (1, acknowledgement::SCHEMA),
                    () if has("topic") => continue,
                    () => panic!("{}:{}: what is it an example of?", page.path, block.line),
                };
                let faults = faults(schema, &document);
                assert!(faults.is_empty(), "{}:{}: {faults:?}", page.path, block.line);
                tried[place] += 1;
            }
        }
    }
    assert!(tried.iter().all(|count| *count > 0), "{tried:?}");
}

/// The worked timeline of docs/concepts.md tells what `lapsed simulate` says of its records.
#[test]
fn the_timeline_is_what_is_simulated() {
    let concepts = file("docs/concepts.md");
    let told: BTreeSet<[String; 4]> = concepts
        .lines()
        .filter(|line| line.starts_with("| 20"))
        .flat_map(|line| {
            let cells: Vec<String> = line.split('|').map(|cell| cell.trim().replace('`', "")).collect();
            let whom: Vec<String> = cells[2].split(", ").map(str::to_owned).collect();
            whom.into_iter().map(move |who| [cells[1].clone(), who, cells[3].clone(), cells[4].clone()])
        })
        .collect();
    let pages = pages();
    let page = pages.iter().find(|page| page.path == "docs/concepts.md").unwrap();
    let mut place = Place::new(Vec::new());
    page.blocks.iter().for_each(|block| place.write_block(block));
    let output = place.run("lapsed simulate -c config/lapsed.yaml --until 2027-01-01 story.ndjson");
    let simulated: BTreeSet<[String; 4]> = text(&output.stdout)
        .lines()
        .map(|line| {
            let command: Value = serde_json::from_str(line).unwrap();
            let time = chrono::DateTime::parse_from_rfc3339(command["time"].as_str().unwrap()).unwrap();
            let local = time.with_timezone(&chrono_tz::Europe::Amsterdam).format("%Y-%m-%d %H:%M").to_string();
            let part = |name: &str| command["data"][name].as_str().unwrap().to_owned();
            [local, part("customer"), part("policy"), part("command")]
        })
        .collect();
    assert_eq!(told, simulated);
}
