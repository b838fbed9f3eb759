//! The programs that no test can run here, each with the reason, and what of their commands is checked all the same.

use crate::commands::{SHELL, Shown, refused};
use crate::tools::run_chart;
use crate::{file, root};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::process::Command;

struct Elsewhere {
    program: &'static str,
    #[allow(dead_code, reason = "for who reads the list")]
    because: &'static str,
    check: fn(&Shown, &[String]),
}

const LIST: [Elsewhere; 10] = [
    Elsewhere { program: "cargo", because: "it would build within a build", check: cargo },
    Elsewhere { program: "./test", because: "it runs this", check: is_a_script },
    Elsewhere { program: "tests/fuzz/run", because: "it takes minutes", check: is_a_script },
    Elsewhere { program: "bench/run", because: "it measures, in a release build, for minutes", check: is_a_script },
    Elsewhere { program: "kcat", because: "not on every machine; on_kafka.rs does what it would", check: kcat },
    Elsewhere {
        program: "kafka-topics.sh",
        because: "Kafka's scripts are not in its jars; on_kafka.rs does it",
        check: topics,
    },
    Elsewhere { program: "docker", because: "there is no daemon, and nothing to pull from", check: docker },
    Elsewhere {
        program: "helm",
        because: "there is no cluster; helm's engine renders what would be installed",
        check: helm,
    },
    Elsewhere {
        program: "kubectl",
        because: "there is no cluster; what it names is in the rendered chart",
        check: kubectl,
    },
    Elsewhere { program: "pip", because: "what it installs is not needed to run the example here", check: |_, _| {} },
];

pub fn knows(program: &str) -> bool {
    LIST.iter().any(|elsewhere| elsewhere.program == program)
}

/// As far as it can be.
pub fn check(shown: &Shown) {
    for part in shown.pipeline() {
        match LIST.iter().find(|elsewhere| elsewhere.program == part[0]) {
            Some(elsewhere) => (elsewhere.check)(shown, &part),
            None if part[0] == "lapsed" => assert_eq!(refused(&part), None, "{shown}"),
            None => assert!(SHELL.contains(&part[0].as_str()), "{shown}: {} is in no list", part[0]),
        }
    }
}

/// Of an option that takes a value, every value.
pub fn values<'w>(words: &'w [String], option: &str) -> Vec<&'w str> {
    let pairs = words.windows(2).filter(|pair| pair[0] == option);
    pairs.map(|pair| pair[1].as_str()).collect()
}

fn exists(shown: &Shown, path: &str) {
    assert!(root().join(path).exists(), "{shown}\n{path} is not there");
}

fn is_a_script(shown: &Shown, words: &[String]) {
    use std::os::unix::fs::PermissionsExt;
    let metadata = std::fs::metadata(root().join(&words[0])).unwrap_or_else(|error| panic!("{shown}: {error}"));
    assert!(metadata.permissions().mode() & 0o111 != 0, "{shown}: can't be executed");
}

/// Targets, binaries and tests that a command names are there, and a binary takes its arguments.
fn cargo(shown: &Shown, words: &[String]) {
    assert!(["build", "test", "run"].contains(&words[1].as_str()), "{shown}");
    let mut sides = words.splitn(2, |word| word == "--");
    let (ours, theirs) = (sides.next().unwrap(), sides.next().unwrap_or_default());
    for test in values(ours, "--test") {
        let found = [format!("tests/{test}.rs"), format!("tests/{test}/main.rs")];
        let path = found.iter().find(|path| root().join(path).exists());
        let path = path.unwrap_or_else(|| panic!("{shown}: there is no test {test}"));
        let ours = ours[2..].iter().filter(|word| *word != test);
        let wanted = ours.chain(if words[1] == "test" { theirs } else { &[] }).filter(|word| !word.starts_with('-'));
        for name in wanted.map(|wanted| wanted.rsplit("::").next().unwrap()) {
            assert!(sources(path).contains(name), "{shown}: {test} has no {name}");
        }
    }
    if words[1] != "run" {
        return;
    }
    match values(ours, "--bin").first().copied().unwrap_or("lapsed") {
        "lapsed" => {
            let words = [&["lapsed".to_owned()][..], theirs].concat();
            assert_eq!(refused(&words), None, "{shown}");
        }
        "bench" => takes(shown, env!("CARGO_BIN_EXE_bench"), theirs),
        "simulator" => takes(shown, env!("CARGO_BIN_EXE_simulator"), theirs),
        other => panic!("{shown}: there is no binary {other}"),
    }
}

/// All that belongs to a test.
fn sources(path: &str) -> String {
    let path = root().join(path);
    if path.file_name().is_some_and(|name| name != "main.rs") {
        return std::fs::read_to_string(path).unwrap();
    }
    let entries = std::fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.is_file());
    files.map(|path| format!("{}\n{}", path.display(), std::fs::read_to_string(&path).unwrap_or_default())).collect()
}

/// Its help knows the options, and the first word that is none.
fn takes(shown: &Shown, program: &str, arguments: &[String]) {
    let help = |more: &[&str]| {
        let output = Command::new(program).args(more).arg("--help").output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    let mut told = help(&[]);
    if let Some(subcommand) = arguments.first().filter(|word| !word.starts_with('-')) {
        assert!(told.contains(subcommand.as_str()), "{shown}: there is no {subcommand}\n{told}");
        told += &help(&[subcommand]);
    }
    for option in arguments.iter().filter(|word| word.starts_with("--")) {
        assert!(told.contains(option.split('=').next().unwrap()), "{shown}: there is no {option}\n{told}");
    }
}

/// Who reads what `lapsed` sends reads what is committed; what `lapsed` reads comes as it reads it.
fn kcat(shown: &Shown, words: &[String]) {
    let has = |option: &str| words.iter().any(|word| word == option);
    let [topic] = values(words, "-t")[..] else { panic!("{shown}: one topic") };
    assert!(has("-P") != has("-C") && !values(words, "-b").is_empty(), "{shown}");
    if has("-C") {
        let is_ours = is_written_by_us(topic);
        let committed = values(words, "-X").contains(&"isolation.level=read_committed");
        assert!(!is_ours || committed, "{shown}: reads what may never have been committed");
        let goes_to_lapsed = shown.text.contains(".ndjson") || shown.text.contains("| lapsed");
        assert!(is_ours || !goes_to_lapsed || has("-J"), "{shown}: lapsed reads what -J prints");
        assert!(has("-e") || has("-c") || is_ours, "{shown}: it never ends");
    }
}

/// Commands, answers' evidence, changelog.
pub fn is_written_by_us(topic: &str) -> bool {
    let ours = ["audit", "state", "signals", "rejects"];
    topic.ends_with(".commands")
        || topic == "quick.crm"
        || topic
            .rsplit_once('.')
            .is_some_and(|(application, name)| ["lapsed", "quick"].contains(&application) && ours.contains(&name))
}

fn topics(shown: &Shown, words: &[String]) {
    let has = |option: &str| words.iter().any(|word| word == option);
    assert!(has("--create") && has("--bootstrap-server") && values(words, "--topic").len() == 1, "{shown}");
}

fn docker(shown: &Shown, words: &[String]) {
    assert!(["build", "compose", "run"].contains(&words[1].as_str()), "{shown}");
    values(words, "-f").iter().for_each(|path| exists(shown, path));
    if words[1] == "run" {
        let pom = file("tests/support/kafka/pom.xml");
        let version = words.iter().find_map(|word| word.strip_prefix("apache/kafka:"));
        assert!(version.is_some_and(|version| pom.contains(version)), "{shown}: not the version that is tested");
    }
}

/// What `install` and `upgrade` would apply is rendered with their values.
fn helm(shown: &Shown, words: &[String]) {
    match words[1].as_str() {
        "install" | "upgrade" => _ = rendered(shown, words),
        "rollback" | "history" => {}
        other => panic!("{shown}: what does helm {other} do?"),
    }
}

fn rendered(shown: &Shown, words: &[String]) -> Vec<Value> {
    assert_eq!(words[3], "deploy/helm/lapsed", "{shown}");
    let namespace = values(words, "--namespace")[0];
    let mut chart_values = json!({});
    if words.iter().any(|word| word == "--reset-then-reuse-values") {
        set(shown, &INSTALLED.map(str::to_owned), &mut chart_values);
    }
    set(shown, words, &mut chart_values);
    let text = run_chart("render", &[&words[2], namespace], &chart_values);
    let text = text.unwrap_or_else(|error| panic!("{shown}\n{error}"));
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    documents.into_iter().filter(|document| !document.is_null()).collect()
}

/// What the words set.
fn set(shown: &Shown, words: &[String], chart_values: &mut Value) {
    for set in values(words, "--set") {
        let (path, value) = set.split_once('=').unwrap();
        put(chart_values, path, serde_json::from_str(value).unwrap_or_else(|_| json!(value)));
    }
    for set in values(words, "--set-file") {
        let (path, name) = set.split_once('=').unwrap();
        assert_eq!(Path::new(name).extension().unwrap(), "yaml", "{shown}");
        put(chart_values, path, json!(file("config/lapsed.yaml")));
    }
}

/// As docs/operating.md installs it.
const INSTALLED: [&str; 10] = [
    "helm",
    "install",
    "lapsed",
    "deploy/helm/lapsed",
    "--namespace",
    "privacy",
    "--set",
    "secrets[0].name=lapsed",
    "--set-file",
    "config.files.lapsed\\.yaml=lapsed.yaml",
];

/// As helm reads `a.b\.c[0].d`.
fn put(values: &mut Value, path: &str, value: Value) {
    let path = path.replace("\\.", "\u{1f}");
    let mut at = values;
    for part in path.split('.') {
        let (name, place) = match part.split_once('[') {
            Some((name, place)) => (name, place.strip_suffix(']').and_then(|place| place.parse::<usize>().ok())),
            None => (part, None),
        };
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        at = at.as_object_mut().unwrap().entry(name.replace('\u{1f}', ".")).or_insert(Value::Null);
        if let Some(place) = place {
            if !at.is_array() {
                *at = json!([]);
            }
            let list = at.as_array_mut().unwrap();
            list.resize(list.len().max(place + 1), Value::Null);
            at = &mut list[place];
        }
    }
    *at = value;
}

/// What it names as `KIND/NAME` is there when the chart is installed as the docs install it.
fn kubectl(shown: &Shown, words: &[String]) {
    let there = rendered(shown, &INSTALLED.map(str::to_owned));
    let named: Vec<(&str, &str)> = words.iter().filter_map(|word| word.split_once('/')).collect();
    for (kind, name) in
        named.into_iter().filter(|(kind, _)| ["statefulset", "pod", "service", "configmap"].contains(kind))
    {
        let is_there = there.iter().any(|manifest| {
            let is = |kind: &str| manifest["kind"].as_str().is_some_and(|of| of.to_lowercase() == kind);
            let of = manifest["metadata"]["name"].as_str().unwrap_or_default();
            if kind == "pod" {
                is("statefulset") && name.starts_with(&format!("{of}-"))
            } else {
                is(kind) && of == name
            }
        });
        assert!(is_there, "{shown}: the chart makes no {kind}/{name}");
    }
}

#[test]
fn values_are_put_as_helm_does() {
    let mut values = json!({});
    put(&mut values, "config.files.lapsed\\.yaml", json!("x"));
    put(&mut values, "secrets[0].name", json!("s"));
    put(&mut values, "replicas", json!(3));
    assert_eq!(values, json!({"config": {"files": {"lapsed.yaml": "x"}}, "secrets": [{"name": "s"}], "replicas": 3}));
}

#[test]
fn what_is_wrong_elsewhere_is_seen() {
    let wrong = [
        "cargo test --test no_such_test",
        "cargo test --test cli no_such_name",
        "cargo run --release -- demoo",
        "kcat -C -b localhost:9092 -t crm.commands",
        "kcat -C -e -b localhost:9092 -t web.events | lapsed extract -c lapsed.yaml",
        "docker compose -f deploy/compose.yaml up",
        "helm install lapsed deploy/helm/lapsed --namespace privacy --set nonsense=1",
        "kubectl -n privacy rollout status statefulset/lapsed-track",
        "tests/fuzz/runs",
    ];
    for text in wrong {
        let shown = Shown { page: "p.md".to_owned(), line: 1, text: text.to_owned() };
        assert!(std::panic::catch_unwind(|| check(&shown)).is_err(), "{text}");
    }
}
