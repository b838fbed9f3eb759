//! The chart, rendered by helm's own engine, against the schemas of Kubernetes, Prometheus' operator and
//! Strimzi, and against what `lapsed` wants.

use crate::tools::{render_chart, run_chart, tool};
use crate::{file, yaml};
use lapsed::cli::topics::{needed, needed_access};
use lapsed::config::Environment;
use lapsed::config::load::from_texts;
use lapsed::kafka::topics::{Owner, Setting};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Values of the file, with a configuration among them.
fn values(text: &str, configuration: &str) -> Value {
    let mut values = yaml(text).into_iter().next().unwrap_or_else(|| json!({}));
    let values_map = values.as_object_mut().unwrap();
    values_map.insert("config".to_owned(), json!({"files": {"lapsed.yaml": configuration}}));
    values
}

fn full() -> Value {
    values(&file("deploy/helm/lapsed/ci/full.yaml"), &file("tests/configuration/design.yaml"))
}

fn least() -> Value {
    values("{}", &file("config/lapsed.yaml"))
}

/// The manifests.
fn rendered(values: &Value) -> Vec<Value> {
    render_chart(values).unwrap_or_else(|error| panic!("{error}"))
}

fn of_kind<'m>(manifests: &'m [Value], kind: &str) -> Vec<&'m Value> {
    manifests.iter().filter(|manifest| manifest["kind"] == kind).collect()
}

/// What an API server refuses with strict field validation: a field that the schema doesn't have.
fn make_strict(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            map.values_mut().for_each(make_strict);
            // A flag of Go's that no JSON Schema knows.
            if let Some(Value::String(pattern)) = map.get_mut("pattern") {
                *pattern = pattern.replace("(?i)", "");
            }
            let is_open = ["additionalProperties", "x-kubernetes-preserve-unknown-fields"]
                .iter()
                .any(|key| map.contains_key(*key));
            if map.get("type").is_some_and(|kind| kind == "object") && map.contains_key("properties") && !is_open {
                map.insert("additionalProperties".to_owned(), json!(false));
            }
        }
        Value::Array(all) => all.iter_mut().for_each(make_strict),
        _ => {}
    }
}

fn schemas() -> BTreeMap<(String, String), Value> {
    let mut schemas = BTreeMap::new();
    for api in ["api__v1", "apis__apps__v1", "apis__policy__v1", "apis__networking.k8s.io__v1"] {
        let document: Value = serde_json::from_str(&read_tool(&format!("schemas/{api}_openapi.json"))).unwrap();
        let mut components: Value = document["components"].clone();
        make_strict(&mut components);
        for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
            let Some(kinds) = schema["x-kubernetes-group-version-kind"].as_array() else { continue };
            let [kind] = &kinds[..] else { continue };
            let part = |name: &str| kind[name].as_str().unwrap().to_owned();
            let group = part("group");
            let version = if group.is_empty() { part("version") } else { format!("{group}/{}", part("version")) };
            let whole = json!({"$ref": format!("#/components/schemas/{name}"), "components": components});
            schemas.entry((version, part("kind"))).or_insert(whole);
        }
    }
    let strimzi = ["kafkatopic", "kafkauser"].map(|kind| file(&format!("tests/schemas/strimzi-{kind}.yaml")));
    let operator =
        ["podmonitors", "prometheusrules"].map(|kind| read_tool(&format!("schemas/monitoring.coreos.com_{kind}.yaml")));
    for text in strimzi.iter().chain(&operator) {
        let definition = &yaml(text)[0]["spec"];
        for version in definition["versions"].as_array().unwrap() {
            let mut schema = version["schema"]["openAPIV3Schema"].clone();
            make_strict(&mut schema);
            let api = format!("{}/{}", definition["group"].as_str().unwrap(), version["name"].as_str().unwrap());
            schemas.insert((api, definition["names"]["kind"].as_str().unwrap().to_owned()), schema);
        }
    }
    schemas
}

fn read_tool(name: &str) -> String {
    std::fs::read_to_string(tool(name)).unwrap()
}

fn faults(schemas: &BTreeMap<(String, String), Value>, manifest: &Value) -> Vec<String> {
    let of = |name: &str| manifest[name].as_str().unwrap_or_default().to_owned();
    let Some(schema) = schemas.get(&(of("apiVersion"), of("kind"))) else {
        return vec![format!("no schema for {} {}", of("apiVersion"), of("kind"))];
    };
    let validator = jsonschema::options().with_draft(jsonschema::Draft::Draft4).build(schema).unwrap();
    validator.iter_errors(manifest).map(|error| format!("{} {}: {error}", of("kind"), error.instance_path())).collect()
}

#[test]
fn kubernetes_accepts_what_is_rendered() {
    let schemas = schemas();
    for (values, kinds) in [(least(), 7), (full(), 11)] {
        let manifests = rendered(&values);
        let found: Vec<String> = manifests.iter().flat_map(|manifest| faults(&schemas, manifest)).collect();
        assert!(found.is_empty(), "{found:#?}");
        let there: BTreeSet<&str> = manifests.iter().filter_map(|manifest| manifest["kind"].as_str()).collect();
        assert_eq!(there.len(), kinds - 1, "{there:?}");
    }
}

/// The schemas see what is wrong.
#[test]
fn a_wrong_manifest_is_refused() {
    let schemas = schemas();
    let manifests = rendered(&full());
    let wrong = |kind: &str, pointer: &str, value: Value| {
        let mut manifest = of_kind(&manifests, kind)[0].clone();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        manifest.pointer_mut(parent).unwrap()[key] = value;
        assert!(!faults(&schemas, &manifest).is_empty(), "{kind} {pointer}");
    };
    wrong("StatefulSet", "/spec/replicas", json!("two"));
    wrong("StatefulSet", "/spec/template/spec/containers/0/livenesProbe", json!({}));
    wrong("PodDisruptionBudget", "/spec/maxUnavailable", json!([1]));
    wrong("NetworkPolicy", "/spec/policyTypes", json!("Ingress"));
    wrong("PodMonitor", "/spec/podMetricsEndpoints/0/interval", json!("often"));
    wrong("PrometheusRule", "/spec/groups/0/rules/0/severity", json!("ticket"));
    wrong("KafkaTopic", "/spec/partitions", json!("many"));
    wrong("KafkaUser", "/spec/authorization/acls/0/operations", json!(["Reed"]));
}

#[test]
fn helm_finds_nothing_to_complain_about() {
    for values in [least(), full()] {
        run_chart("lint", &[], &values).unwrap();
    }
}

#[test]
fn wrong_values_are_refused() {
    let refused = |pointer: &str, value: Value, why: &str| {
        let mut values = full();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = values.pointer_mut(parent).unwrap().as_object_mut().unwrap_or_else(|| panic!("{pointer}"));
        parent.insert(key.to_owned(), value);
        let error = render_chart(&values).unwrap_err();
        assert!(error.contains(why), "{pointer}: {error}");
    };
    refused("/replica", json!(2), "replica");
    refused("/terminationGracePeriodSeconds", json!(5), "terminationGracePeriodSeconds");
    refused("/image/digest", json!("latest"), "digest");
    refused("/config/files", json!({}), "needs config.files");
    refused("/config/files", json!({"lapsed.yaml": "a: [b"}), "config.files.lapsed.yaml is not YAML");
    refused("/strimzi/cluster", json!(""), "strimzi.cluster must name the Kafka resource");
    let error = render_chart(&json!({}));
    assert!(error.unwrap_err().contains("config.files is empty"));
    let by_pattern = "sources: {web: {topics: [^web.*]}}";
    refused("/config/files", json!({"lapsed.yaml": by_pattern}), "say in strimzi.sourceTopics what it may read");
}

/// The rules are the file that promtool tests, not a copy of it.
#[test]
fn the_rules_are_those_that_are_tested() {
    let tested = yaml(&file(crate::alerts::RULES)).remove(0);
    let mut values = full();
    assert_eq!(of_kind(&rendered(&values), "PrometheusRule")[0]["spec"], tested);
    values["prometheusRule"]["runbooks"] = json!("https://git.example.com/lapsed/");
    let rules = rendered(&values);
    for rule in of_kind(&rules, "PrometheusRule")[0]["spec"]["groups"][0]["rules"].as_array().unwrap() {
        let url = rule["annotations"]["runbook_url"].as_str().unwrap();
        assert!(url.starts_with("https://git.example.com/lapsed/docs/runbooks/README.md#lapsed"), "{url}");
    }
}

/// What stands on the pod's specification is what keeps the promises.
#[test]
fn pods_keep_their_names_and_see_changes() {
    for values in [least(), full()] {
        let manifests = rendered(&values);
        let set = of_kind(&manifests, "StatefulSet")[0];
        let pod = &set["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        let name = json!([{"name": "HOSTNAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]);
        assert_eq!(container["env"][0], name[0]);
        for mount in container["volumeMounts"].as_array().unwrap() {
            assert!(mount.get("subPath").is_none() && mount["readOnly"] == true, "{mount}");
        }
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        let security = &container["securityContext"];
        assert_eq!(
            (&security["readOnlyRootFilesystem"], &security["allowPrivilegeEscalation"]),
            (&json!(true), &json!(false))
        );
        assert_eq!(security["capabilities"]["drop"], json!(["ALL"]));
        assert_eq!(pod["automountServiceAccountToken"], false);
        let probe = |name: &str| container[name]["httpGet"]["path"].clone();
        assert_eq!((probe("livenessProbe"), probe("readinessProbe")), (json!("/livez"), json!("/readyz")));
        let services = of_kind(&manifests, "Service");
        let pods = services.iter().find(|service| service["spec"]["clusterIP"] == "None").unwrap();
        assert_eq!(pods["metadata"]["name"], set["spec"]["serviceName"]);
        let labels = set["spec"]["template"]["metadata"]["labels"].as_object().unwrap();
        for selector in manifests.iter().filter_map(|manifest| match manifest["kind"].as_str().unwrap() {
            "StatefulSet" | "PodDisruptionBudget" | "PodMonitor" => {
                manifest["spec"]["selector"]["matchLabels"].as_object()
            }
            "NetworkPolicy" => manifest["spec"]["podSelector"]["matchLabels"].as_object(),
            "Service" => manifest["spec"]["selector"].as_object(),
            _ => None,
        }) {
            assert!(selector.iter().all(|(key, value)| labels.get(key) == Some(value)), "{selector:?}");
        }
    }
}

/// Only what a process can't take over while it runs restarts the pods.
#[test]
fn pods_restart_only_for_what_needs_it() {
    let checksum = |configuration: &str| {
        let manifests = rendered(&values("{}", configuration));
        of_kind(&manifests, "StatefulSet")[0]["spec"]["template"]["metadata"]["annotations"].clone()
    };
    let configuration = file("config/lapsed.yaml");
    let before = checksum(&configuration);
    assert_eq!(checksum(&format!("{configuration}\nlabels: {{}}\n")), before);
    assert_ne!(checksum(&configuration.replacen("bootstrap.servers", "client.rack: a, bootstrap.servers", 1)), before);
}

fn design() -> lapsed::config::Config {
    let text = file("tests/configuration/design.yaml");
    let today = chrono::NaiveDate::from_ymd_opt(2026, 11, 24).unwrap();
    from_texts(&[("lapsed.yaml".to_owned(), text)], Environment::Leave, today).unwrap().config
}

#[test]
fn topics_are_as_lapsed_wants_them() {
    let manifests = rendered(&full());
    let topics = of_kind(&manifests, "KafkaTopic");
    let wanted = needed(&design()).into_iter().filter(|topic| topic.owner == Owner::Ours);
    let mut count = 0;
    for wanted in wanted {
        count += 1;
        let topic = topics.iter().find(|topic| topic["metadata"]["name"] == json!(wanted.name)).unwrap();
        assert_eq!(topic["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
        assert_eq!(topic["spec"]["replicas"], json!(wanted.replication_factor));
        if let Some(partitions) = wanted.partitions {
            assert_eq!(topic["spec"]["partitions"], json!(partitions));
        }
        let settings = topic["spec"]["config"].as_object().unwrap();
        let names: BTreeSet<&str> = settings.keys().map(String::as_str).collect();
        assert_eq!(names, wanted.settings.iter().map(|(name, _)| *name).collect(), "{}", wanted.name);
        for (name, setting) in &wanted.settings {
            let found = settings[*name].as_str().map_or_else(|| settings[*name].to_string(), str::to_owned);
            let number = || found.parse::<i64>().unwrap();
            let fits = match *setting {
                Setting::Exactly(text) => found == text,
                Setting::AtMost(most) => (0..=most).contains(&number()),
                Setting::AtLeast(least) => number() >= least,
            };
            assert!(fits, "{}: {name}={found}, wanted {setting:?}", wanted.name);
        }
    }
    assert_eq!(topics.len(), count);
}

/// The chart's user may do what `lapsed run` asks for at its start, and joins its groups and transactions.
#[test]
fn the_user_may_do_what_lapsed_needs_and_no_more() {
    let manifests = rendered(&full());
    let mut granted = BTreeSet::new();
    for acl in of_kind(&manifests, "KafkaUser")[0]["spec"]["authorization"]["acls"].as_array().unwrap() {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        for operation in acl["operations"].as_array().unwrap() {
            granted.insert(format!(
                "{} on {} {}",
                text(operation),
                text(&acl["resource"]["type"]),
                text(&acl["resource"]["name"])
            ));
        }
    }
    let mut needed: BTreeSet<String> = needed_access(&design()).iter().map(ToString::to_string).collect();
    needed.extend(["group lapsed-ingest", "group lapsed-track"].map(|group| format!("Read on {group}")));
    needed.insert("Write on transactionalId lapsed-".to_owned());
    assert_eq!(granted, needed);
}
