//! A tree → a configuration that cannot be wrong.

mod fingerprint;
mod policy;
mod source;
mod target;

use super::load::Environment;
use super::reader::{At, MapReader};
use super::{Config, Http, PolicyText, Source, Topics, kafka};
use crate::retention::activity::KindTag;
use crate::retention::calendar::{Resolution, Seconds};
use crate::retention::policy::{CATEGORIES_MAX, Kind, Mode, Policy, Rulebook, Trust};
use chrono::NaiveDate;
use chrono_tz::Tz;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// The evidence key where no secret is resolved: command ids differ from those of the service.
const OFFLINE_KEY: &str = "lapsed offline evidence key";

/// What the parts of a configuration have to know of the whole.
struct Context {
    zone: Tz,
    short_periods: bool,
    mode_max: Mode,
    today: NaiveDate,
}

/// Builds the checked configuration; `None`, or errors among the problems: it is wrong.
pub(super) fn config(at: &At<'_>, environment: Environment, today: NaiveDate) -> Option<Config> {
    let mut top = at.map()?;
    top.not_supported_yet(&["brake", "floors", "forget", "schema_registry", "window"]);
    let application = top.get("application").map_or(Some("lapsed".to_owned()), |at| application(&at));
    let zone = top.need("time_zone", "the calendar of periods, such as Europe/Amsterdam").and_then(|at| zone(&at));
    let short_periods = top.get("short_periods").and_then(|at| at.boolean()).unwrap_or(false);
    let mode_max = top.get("mode").map_or(Some(Mode::Enforce), |at| policy::mode(&at));
    let context =
        Context { zone: zone.unwrap_or(Tz::UTC), short_periods, mode_max: mode_max.unwrap_or_default(), today };
    let kafka = top.need("kafka", "how to reach the brokers: {bootstrap.servers: host:port}");
    let kafka = kafka.and_then(|at| kafka::read(&at));
    let http = top.get("http").map_or(Some(default_http()), |at| http(&at));
    let key = evidence_key(&mut top, environment);
    let topics = top.get("topics").map_or(Some(default_topics()), |at| topics(&at));
    let gate_lag_max = top.get("max_gate_lag").map_or(Some(Seconds(900)), |at| at.duration());
    if let Some(labels) = top.get("labels") {
        labels.named().iter().for_each(|(_, language)| {
            language.named().iter().for_each(|(_, label)| _ = label.text());
        });
    }
    let sources = top.need("sources", "the topics on which activity is reported");
    let mut sources = sources.map(|at| source::sources(&at, &context)).unwrap_or_default();
    let targets = top.need("targets", "the systems that hold customers' data");
    let targets = targets.map(|at| target::targets(&at)).unwrap_or_default();
    let policies = top.need("policies", "what is kept for how long, and why");
    let drafts = policies.map(|at| policy::drafts(&at, &context, &targets)).unwrap_or_default();
    let root = top.at().clone();
    top.finish();
    if !root.problems.errors.borrow().is_empty() {
        return None;
    }

    sources.sort_by(|a, b| a.key.cmp(&b.key));
    let kinds = kinds(&sources, &drafts, &root);
    let categories: BTreeSet<&str> = drafts.iter().flat_map(|draft| &draft.categories).map(String::as_str).collect();
    let categories: Vec<String> = categories.into_iter().map(str::to_owned).collect();
    if categories.len() > CATEGORIES_MAX {
        root.error(format!("has {} categories; at most {CATEGORIES_MAX} can be told apart", categories.len()));
    }
    let resolution = resolution(&drafts);
    let trusts: Vec<Trust> = sources.iter().map(|source| source.trust(&kinds)).collect();
    let (policies, texts): (Vec<Policy>, Vec<PolicyText>) =
        drafts.into_iter().map(|draft| draft.build(&kinds, &categories, &trusts, &targets, &context)).unzip();
    let mut config = Config {
        application: application?,
        zone: context.zone,
        kafka: kafka?,
        http: http?,
        topics: topics?,
        sources: sources
            .into_iter()
            .map(|source| source.build(&kinds, resolution, context.zone))
            .collect::<Vec<Source>>(),
        texts,
        rules: Rulebook {
            application: String::new(),
            zone: context.zone,
            resolution,
            command_namespace: Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("lapsed commands {}", key?).as_bytes()),
            kinds,
            categories,
            targets,
            sources: trusts,
            policies,
            gate_lag_max: gate_lag_max?,
        },
        hash: crate::wire::progress::ConfigHash([0; 16]),
    };
    config.rules.application.clone_from(&config.application);
    config.hash = fingerprint::of_config(&config);
    Some(config)
}

fn application(at: &At<'_>) -> Option<String> {
    let name = at.text()?;
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > 200 || !name.chars().all(legal) || name.starts_with('.') {
        at.error("names topics, so it is 1 to 200 letters, digits, '.', '_' or '-'");
        return None;
    }
    Some(name.to_owned())
}

fn zone(at: &At<'_>) -> Option<Tz> {
    let name = at.text()?;
    let zone = name.parse::<Tz>();
    if zone.is_err() {
        let near = super::reader::suggestion(name, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()));
        at.error(format!("is '{name}', which is no time zone of the IANA database{near}"));
    }
    zone.ok()
}

fn default_http() -> Http {
    Http { listen: std::net::SocketAddr::from(([0, 0, 0, 0], 8080)) }
}

fn http(at: &At<'_>) -> Option<Http> {
    let mut map = at.map()?;
    map.not_supported_yet(&["tokens"]);
    let listen = map.get("listen").map_or(Some(default_http().listen), |at| {
        let text = at.text()?;
        let address = text.parse();
        if address.is_err() {
            at.error(format!("is '{text}', and must be an address and a port, such as 0.0.0.0:8080"));
        }
        address.ok()
    });
    map.finish();
    Some(Http { listen: listen? })
}

fn evidence_key(top: &mut MapReader<'_>, environment: Environment) -> Option<String> {
    let mut map = top.need("evidence", "{key: file:/path}, a secret that never changes")?.map()?;
    map.not_supported_yet(&["keep"]);
    let key = map.need("key", "a secret that never changes; command ids are derived from it")?;
    map.finish();
    if environment == Environment::Leave {
        return Some(OFFLINE_KEY.to_owned());
    }
    let text = key.text()?;
    if text.len() < 16 {
        key.error("is shorter than 16 characters; take 32 random ones");
        return None;
    }
    Some(text.to_owned())
}

fn default_topics() -> Topics {
    Topics { partitions: 32, replication_factor: 3 }
}

fn topics(at: &At<'_>) -> Option<Topics> {
    let mut map = at.map()?;
    let default = default_topics();
    let partitions = map.get("partitions").map_or(Some(default.partitions), |at| at.whole_number(1, 10_000));
    let factor = map.get("replication_factor");
    let factor = factor.map_or(Some(u32::from(default.replication_factor)), |at| at.whole_number(1, 100));
    map.finish();
    Some(Topics { partitions: partitions?, replication_factor: u16::try_from(factor?).ok()? })
}

/// Every kind that a rule yields or a policy counts, by name.
fn kinds(sources: &[source::Draft], policies: &[policy::Draft], root: &At<'_>) -> Vec<Kind> {
    let yielded = sources.iter().flat_map(source::Draft::kinds);
    let counted = policies.iter().flat_map(|policy| policy.since_last.iter().map(String::as_str));
    let names: BTreeSet<&str> = yielded.chain(counted).collect();
    let mut tags = BTreeMap::new();
    for name in &names {
        if let Some(other) = tags.insert(KindTag::of(name), *name) {
            root.error(format!("has the kinds '{other}' and '{name}', whose stored form is the same; rename one"));
        }
    }
    if names.len() > 255 {
        root.error(format!("has {} kinds of activity; at most 255 can be told apart", names.len()));
    }
    names.into_iter().map(|name| Kind { name: name.to_owned(), tag: KindTag::of(name) }).collect()
}

fn resolution(policies: &[policy::Draft]) -> Resolution {
    let mut stages = policies.iter().flat_map(|policy| &policy.stages);
    if stages.all(|stage| stage.after.is_calendar()) { Resolution::Day } else { Resolution::Second }
}

/// The place of a kind by name; every name was collected before.
fn kind_index(kinds: &[Kind], name: &str) -> crate::retention::activity::KindIndex {
    let place = kinds.iter().position(|kind| kind.name == name).unwrap_or_default();
    crate::retention::activity::KindIndex(u8::try_from(place).unwrap_or_default())
}
