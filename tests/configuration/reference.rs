//! `docs/configuration.md` is made from the schema: `LAPSED_UPDATE_DOCS=1 cargo test --test configuration reference`.

use crate::schema::{MAPS, schema};
use serde_json::Value;
use std::fmt::Write as _;

const INTRODUCTION: &str = "\
<!-- Made from src/config/schema.json by a test: LAPSED_UPDATE_DOCS=1 cargo test --test configuration reference -->
# Configuration

YAML. `-c` repeats and takes directories (`*.yaml`, `*.yml`): maps merge, a key twice is an error. So the platform team can
own one file and the privacy officer another. An unknown key is an error, with line and column.

`${NAME}` is a variable of the environment, `file:/path` what a file holds; what they hold is never read as YAML and never
logged. Commented examples are [config/lapsed.yaml](../config/lapsed.yaml), for a shop, and
[config/quick.yaml](../config/quick.yaml), with periods of minutes.

`check` tells all that is wrong at once, and what is unwise. `schema` prints the JSON Schema from which this page is made; with
`# yaml-language-server: $schema=lapsed.schema.json` as first line of the file an editor completes keys, and shows what is said here:

```sh
lapsed check -c lapsed.yaml --no-environment
lapsed schema config > lapsed.schema.json
```

A running instance takes over a changed file within ten seconds. `application`, `kafka`, `topics` and `http.listen` need a restart.
";

/// What `type` says, in words: definitions that have a name of their own.
const TYPES: [&str; 14] = [
    "name",
    "texts",
    "zone",
    "topic",
    "pointer",
    "time",
    "told",
    "literal",
    "value",
    "conditions",
    "period",
    "duration",
    "duration_or_none",
    "share",
];

fn reference() -> String {
    let schema = schema();
    let mut text = INTRODUCTION.to_owned();
    for (_, pointer) in MAPS {
        let definition = schema.pointer(pointer).unwrap();
        let title = if pointer.is_empty() { "The file" } else { definition["title"].as_str().unwrap() };
        let title = if pointer.is_empty() { title.to_owned() } else { format!("`{title}`") };
        let about = definition["description"].as_str().unwrap();
        let _ =
            write!(text, "\n## {title}\n\n{about}\n\n| key | type | default | meaning |\n| --- | --- | --- | --- |\n");
        for (key, property) in definition["properties"].as_object().unwrap() {
            let required = definition["required"].as_array().unwrap().iter().any(|name| name == key);
            let (kind, default) = (kind(&schema, property), when_absent(property, required));
            let _ = writeln!(text, "| `{key}` | {kind} | {default} | {} |", meaning(&schema, property));
        }
    }
    write_kafka(&mut text, &schema["$defs"]["kafka"]);
    let _ = write!(text, "\n## Types\n\n| type | is |\n| --- | --- |\n");
    for name in TYPES {
        let definition = &schema["$defs"][name];
        let part = |part: &str| definition[part].as_str().unwrap_or_else(|| panic!("{name} has no {part}"));
        let _ = writeln!(text, "| {} | {} |", part("title"), part("description"));
    }
    text
}

fn write_kafka(text: &mut String, kafka: &Value) {
    let refused = kafka["propertyNames"]["not"]["enum"].as_array().unwrap();
    let refused: Vec<_> = refused.iter().map(|name| format!("`{}`", name.as_str().unwrap())).collect();
    let about = kafka["description"].as_str().unwrap();
    let _ =
        writeln!(text, "\n## `kafka`\n\n{about} `bootstrap.servers` is required. `lapsed check` says of each why.\n");
    let _ = writeln!(text, "Refused: {}.", refused.join(", "));
}

/// Of what type a property is, in words; one that has a section here is a link to it.
fn kind(schema: &Value, property: &Value) -> String {
    if let Some(pointer) = property["$ref"].as_str() {
        let definition = schema.pointer(pointer.trim_start_matches('#')).unwrap();
        let title = definition["title"].as_str().unwrap_or_else(|| panic!("{pointer} has no title"));
        let has_section =
            MAPS.iter().any(|(_, map)| *map == pointer.trim_start_matches('#')) || pointer == "#/$defs/kafka";
        return if has_section { format!("[map](#{})", anchor(title)) } else { title.to_owned() };
    }
    if property["enum"].is_array() {
        return "word".to_owned();
    }
    if let Some(only) = property.get("const") {
        return format!("`{only}`");
    }
    if let Some(any) = property["anyOf"].as_array() {
        return kind(schema, &any[0]);
    }
    match &property["type"] {
        Value::String(one) => match one.as_str() {
            "string" => "text".to_owned(),
            "integer" => "number".to_owned(),
            "boolean" => "boolean".to_owned(),
            "array" => format!("list of {}", plural(&kind(schema, &property["items"]))),
            "object" => format!("map of name to {}", kind(schema, &property["additionalProperties"])),
            other => panic!("how is the type {other} called?"),
        },
        Value::Array(some) => {
            let names = some.iter().map(|one| if one == "string" { "text" } else { one.as_str().unwrap() });
            names.collect::<Vec<_>>().join(" or ")
        }
        other => panic!("what type is {other} of {property}?"),
    }
}

/// As GitHub makes it of a heading in code.
fn anchor(title: &str) -> String {
    title.to_lowercase().chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
}

fn plural(kind: &str) -> String {
    match kind {
        "name" => "names".to_owned(),
        "word" => "words".to_owned(),
        "topic or `^regex`" => "topics".to_owned(),
        map if map.starts_with("[map]") => map.replacen("[map]", "[maps]", 1),
        other => panic!("what are several of {other}?"),
    }
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
    let there = std::fs::read_to_string(path).unwrap_or_default();
    let line = reference().lines().zip(there.lines()).find(|(want, is)| want != is).map(|(want, _)| want.to_owned());
    assert!(there == reference(), "run it with LAPSED_UPDATE_DOCS=1; the first line that differs: {line:?}");
}
