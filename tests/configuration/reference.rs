//! `docs/configuration.md` is made from the schema: `LAPSED_UPDATE_DOCS=1 cargo test --test configuration`.

use crate::schema::{MAPS, schema};
use serde_json::Value;
use std::fmt::Write as _;

const INTRODUCTION: &str = "\
<!-- Made from src/config/schema.json by a test: LAPSED_UPDATE_DOCS=1 cargo test --test configuration -->
# Configuration

YAML. `-c` repeats and takes directories (`*.yaml`, `*.yml`): maps merge, a key twice is an error. `${NAME}` is a
variable of the environment, `file:/path` what a file holds; what they hold is never read as YAML and never logged.
`lapsed check` tells all that is wrong at once, `lapsed schema config` gives editors completion. A commented
example is [config/lapsed.yaml](../config/lapsed.yaml).

Periods (`after`, `keep`, `suppress_for`) are ISO 8601: `P24M`, `P2Y`, `P30D`. Durations (lateness, silence, acknowledgement) too, but a day
is 24 hours there, and years and months are errors.
";

fn reference() -> String {
    let schema = schema();
    let mut text = INTRODUCTION.to_owned();
    for (_, pointer) in MAPS {
        let definition = schema.pointer(pointer).unwrap();
        let title = if pointer.is_empty() { "The file" } else { definition["title"].as_str().unwrap() };
        let title = if pointer.is_empty() { title.to_owned() } else { format!("`{title}`") };
        let about = definition["description"].as_str().unwrap();
        let _ = write!(text, "\n## {title}\n\n{about}\n\n| key | | |\n| --- | --- | --- |\n");
        for (key, property) in definition["properties"].as_object().unwrap() {
            let required = definition["required"].as_array().unwrap().iter().any(|name| name == key);
            let _ =
                writeln!(text, "| `{key}` | {} | {} |", when_absent(property, required), meaning(&schema, property));
        }
    }
    let kafka = &schema["$defs"]["kafka"];
    let refused = kafka["propertyNames"]["not"]["enum"].as_array().unwrap();
    let refused: Vec<_> = refused.iter().map(|name| format!("`{}`", name.as_str().unwrap())).collect();
    let about = kafka["description"].as_str().unwrap();
    let _ =
        writeln!(text, "\n## `kafka`\n\n{about} `bootstrap.servers` is required. `lapsed check` says of each why.\n");
    let _ = writeln!(text, "Refused: {}.", refused.join(", "));
    text
}

fn when_absent(property: &Value, required: bool) -> String {
    match property.get("default") {
        Some(Value::String(default)) => format!("`{default}`"),
        Some(default) => format!("`{default}`"),
        None if required => "required".to_owned(),
        None => "optional".to_owned(),
    }
}

fn meaning(schema: &Value, property: &Value) -> String {
    let referred = property["$ref"].as_str().and_then(|name| schema.pointer(name.trim_start_matches('#')));
    let about = property.get("description").or(referred.and_then(|of| of.get("description")));
    let mut text = about.and_then(Value::as_str).unwrap().replace('|', "\\|");
    if let Some(words) = property["enum"].as_array() {
        let words: Vec<_> = words.iter().map(|word| format!("`{}`", word.as_str().unwrap())).collect();
        let _ = write!(text, " One of {}.", words.join(", "));
    }
    if let Some(examples) = property["examples"].as_array() {
        let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let examples: Vec<_> = examples.iter().map(|example| format!("`{}`", shown(example))).collect();
        let _ = write!(text, " Such as {}.", examples.join(", "));
    }
    text
}

#[test]
fn the_reference_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
    if std::env::var_os("LAPSED_UPDATE_DOCS").is_some() {
        std::fs::write(path, reference()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), reference(), "run it with LAPSED_UPDATE_DOCS=1");
}
