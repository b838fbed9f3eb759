//! A tree → a configuration that cannot be wrong.

mod fingerprint;
mod judgement;
mod policy;
mod source;
mod stage;
mod target;

use super::load::Environment;
use super::reader::{At, MapReader, is_name, suggestion};
use super::tree::{Key, Node};
use super::{Config, Evidence, Http, OWN_TOPICS, Source, Topics, kafka};
use crate::retention::activity::{KindIndex, KindTag};
use crate::retention::calendar::{Period, Resolution, Seconds};
use crate::retention::policy::{CATEGORIES_MAX, Forget, Kind, Mode, Rulebook, Target, Trust};
use crate::retention::pseudonym::PseudonymKey;
use crate::wire::progress::ConfigHash;
use chrono::NaiveDate;
use chrono_tz::Tz;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// The evidence key where no secret is resolved: command ids differ from those of the service.
const OFFLINE_KEY: &str = "lapsed offline evidence key";
/// The first is kept for "none" where a kind is one byte.
const KINDS_MAX: usize = 255;

/// What the parts of a configuration have to know of the whole. Names are taken from the raw tree, so
/// that one mistake in a source or target is not told again wherever it is named.
struct Context<'n> {
    zone: Tz,
    short_periods: bool,
    mode_max: Mode,
    today: NaiveDate,
    environment: Environment,
    /// Full names.
    own_topics: Vec<String>,
    /// Keys, ordered.
    targets: Vec<&'n str>,
    /// Topics of targets, and whose they are.
    command_topics: BTreeMap<&'n str, &'n str>,
    /// Kinds that rules yield.
    yielded: BTreeSet<&'n str>,
    /// No rule is so wrong that nobody knows what it yields.
    yielded_is_complete: bool,
    /// Those among them that a source yields which is still read.
    yielded_live: BTreeSet<&'n str>,
    /// Kinds that policies count.
    counted: BTreeSet<&'n str>,
}

/// What the file says of the service itself.
struct Service {
    application: String,
    kafka: BTreeMap<String, String>,
    http: Http,
    topics: Topics,
    gate_lag_max: Seconds,
    evidence_key: String,
}

/// Builds the checked configuration. `None`: it is wrong, and why is among the problems.
pub(super) fn config(at: &At<'_>, environment: Environment, today: NaiveDate) -> Option<Config> {
    let mut top = at.map()?;
    top.not_supported_yet(&["brake", "floors", "forget", "schema_registry", "window"]);
    let application = top.optional("application", "lapsed".to_owned(), |at| application(&at));
    let zone = top.need("time_zone", "the calendar of periods, such as Europe/Amsterdam").and_then(|at| zone(&at));
    let short_periods = top.optional("short_periods", false, |at| at.boolean());
    let mode_max = top.optional("mode", Mode::Enforce, |at| policy::mode(&at));
    let context = Context {
        zone: zone.unwrap_or(Tz::UTC),
        // Where this one is wrong, nothing else is for its sake.
        short_periods: short_periods.unwrap_or(true),
        mode_max: mode_max.unwrap_or(Mode::Enforce),
        environment,
        today,
        own_topics: OWN_TOPICS
            .iter()
            .map(|name| format!("{}.{name}", application.as_deref().unwrap_or("lapsed")))
            .collect(),
        ..names(at.node)
    };
    let service = service(&mut top, &context, application);
    let sources = top.need("sources", "the topics on which activity is reported");
    let sources = sources.map(|at| source::sources(&at, &context)).unwrap_or_default();
    let targets = top.need("targets", "the systems that hold customers' data");
    let targets = targets.map(|at| target::targets(&at, &context)).unwrap_or_default();
    let policies = top.need("policies", "what is kept for how long, and why");
    let policies = policies.map(|at| policy::drafts(&at, &context)).unwrap_or_default();
    let kinds = kinds(&context, at);
    let categories = categories(&policies, at);
    top.finish();
    if !at.problems.errors.borrow().is_empty() {
        return None;
    }
    Some(assemble(service?, sources, targets, policies, kinds, categories, &context))
}

/// The names that parts of the file know each other by.
fn names<'n>(root: &'n Node) -> Context<'n> {
    let entries = |name: &str| root.member(name).map(Node::entries).unwrap_or_default();
    let mut targets: Vec<&str> = entries("targets").iter().map(|(key, _)| key.name.as_str()).collect();
    targets.sort_unstable();
    let topic = |(key, target): &'n (Key, Node)| Some((target.member("topic")?.as_text()?, key.name.as_str()));
    let command_topics = entries("targets").iter().filter_map(topic).collect();
    let (mut yielded, mut yielded_live, mut yielded_is_complete) = (BTreeSet::new(), BTreeSet::new(), true);
    for (_, source) in entries("sources") {
        let rules = source.member("rules").map(Node::elements).unwrap_or_default();
        let kinds = rules.iter().filter_map(|rule| rule.member("activity")?.as_text().filter(|kind| is_name(kind)));
        yielded_is_complete &= !rules.is_empty() && kinds.clone().count() == rules.len();
        yielded.extend(kinds.clone());
        if source.member("retired").and_then(Node::as_text) != Some("true") {
            yielded_live.extend(kinds);
        }
    }
    let since_last = entries("policies").iter().filter_map(|(_, policy)| policy.member("since_last"));
    let counted = since_last.flat_map(Node::elements).filter_map(Node::as_text).collect();
    Context {
        zone: Tz::UTC,
        short_periods: false,
        mode_max: Mode::Enforce,
        today: NaiveDate::MIN,
        environment: Environment::Leave,
        own_topics: Vec::new(),
        targets,
        command_topics,
        yielded,
        yielded_is_complete,
        yielded_live,
        counted,
    }
}

fn service(top: &mut MapReader<'_>, context: &Context, application: Option<String>) -> Option<Service> {
    let kafka = top.need("kafka", "how to reach the brokers: {bootstrap.servers: host:port}");
    let kafka = kafka.and_then(|at| kafka::read(&at, context.environment));
    let http = top.optional("http", default_http(), |at| http(&at));
    let evidence = top.need("evidence", "{key: file:/path}, a secret that never changes");
    let evidence_key = evidence.and_then(|at| evidence_key(&at, context.environment));
    let topics = top.optional("topics", default_topics(), |at| topics(&at));
    let gate_lag_max = top.optional("max_gate_lag", Seconds(900), |at| gate_lag_max(&at));
    if let Some(at) = top.get("labels") {
        labels(&at);
    }
    Some(Service {
        application: application?,
        kafka: kafka?,
        http: http?,
        topics: topics?,
        gate_lag_max: gate_lag_max?,
        evidence_key: evidence_key?,
    })
}

/// Puts together what has been found right.
fn assemble(
    service: Service,
    sources: Vec<source::Draft<'_>>,
    targets: Vec<Target>,
    policies: Vec<policy::Draft>,
    kinds: Vec<Kind>,
    categories: Vec<String>,
    context: &Context,
) -> Config {
    let resolution = resolution(&policies);
    let trusts: Vec<Trust> = sources.iter().map(|source| source.trust(&kinds)).collect();
    let build = |draft: policy::Draft| draft.build(&kinds, &categories, &trusts, &targets, context.zone);
    let (policies, texts) = policies.into_iter().map(build).unzip();
    let build = |source: source::Draft<'_>| source.build(&kinds, resolution, context.zone);
    let sources: Vec<Source> = sources.into_iter().map(build).collect();
    let namespace = format!("lapsed commands {}", service.evidence_key);
    let mut config = Config {
        rules: Rulebook {
            application: service.application.clone(),
            zone: context.zone,
            resolution,
            command_namespace: Uuid::new_v5(&Uuid::NAMESPACE_OID, namespace.as_bytes()),
            kinds,
            categories,
            targets,
            sources: trusts,
            policies,
            floors: Vec::new(),
            hold_sources: Vec::new(),
            window: None,
            forget: Forget::default(),
            gate_lag_max: service.gate_lag_max,
        },
        application: service.application,
        zone: context.zone,
        kafka: service.kafka,
        http: service.http,
        topics: service.topics,
        evidence: Evidence {
            keep: Period::Calendar { months: 60, days: 0 },
            pseudonyms: PseudonymKey::derive(&service.evidence_key),
        },
        labels: BTreeMap::new(),
        sources,
        texts,
        hash: ConfigHash([0; 16]),
    };
    config.hash = fingerprint::of_config(&config);
    config
}

fn application(at: &At<'_>) -> Option<String> {
    let name = at.text()?;
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > 200 || !name.chars().all(legal) || name.starts_with('.') {
        at.error(format!(
            "is '{}'; it begins the names of topics, so it is 1 to 200 letters, digits, '.', '_' or '-'",
            at.shown()
        ));
        return None;
    }
    Some(name.to_owned())
}

fn zone(at: &At<'_>) -> Option<Tz> {
    let name = at.text()?;
    let zone = name.parse::<Tz>();
    if zone.is_err() {
        let near = suggestion(name, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()));
        at.error(format!("is '{}', which is no time zone of the IANA database{near}", at.shown()));
    }
    zone.ok()
}

fn default_http() -> Http {
    Http { listen: std::net::SocketAddr::from(([0, 0, 0, 0], 8080)) }
}

fn http(at: &At<'_>) -> Option<Http> {
    let mut map = at.map()?;
    map.not_supported_yet(&["tokens"]);
    let listen = map.optional("listen", default_http().listen, |at| {
        let address = at.text()?.parse();
        if address.is_err() {
            at.error(format!("is '{}', and must be an address and a port, such as 0.0.0.0:8080", at.shown()));
        }
        address.ok()
    });
    map.finish();
    Some(Http { listen: listen? })
}

fn evidence_key(at: &At<'_>, environment: Environment) -> Option<String> {
    let mut map = at.map()?;
    // What it would keep, audit, does not exist yet.
    map.not_supported_yet(&["keep"]);
    let key = map.need("key", "a secret that never changes; command ids are derived from it");
    map.finish();
    let key = key?;
    let text = key.text()?;
    if environment == Environment::Leave {
        return Some(OFFLINE_KEY.to_owned());
    }
    if text.trim().is_empty() {
        key.error("is empty; take 32 random characters, and keep them for ever");
        return None;
    }
    if text.len() < 16 {
        key.warning("is shorter than 16 characters, so that it can be guessed; take 32 random ones");
    }
    Some(text.to_owned())
}

fn default_topics() -> Topics {
    Topics { partitions: 32, replication_factor: 3 }
}

fn topics(at: &At<'_>) -> Option<Topics> {
    let mut map = at.map()?;
    let default = default_topics();
    let partitions = map.optional("partitions", default.partitions, |at| at.whole_number(1, 10_000));
    let factor = u32::from(default.replication_factor);
    let factor = map.optional("replication_factor", factor, |at| at.whole_number(1, 100));
    map.finish();
    Some(Topics { partitions: partitions?, replication_factor: u16::try_from(factor?).ok()? })
}

fn gate_lag_max(at: &At<'_>) -> Option<Seconds> {
    let lag = at.duration()?;
    if lag < Seconds(10) {
        at.warning("is less than ten seconds, and progress comes each second at most: the gate will seldom be open");
    }
    Some(lag)
}

/// What people read instead of names, by language; nothing shows them yet.
fn labels(at: &At<'_>) {
    for (_, language) in at.named("a map of languages") {
        for (_, label) in language.named("a map of texts by name") {
            label.text();
        }
    }
}

/// Every kind that a rule yields or a policy counts, by name.
fn kinds(context: &Context, root: &At<'_>) -> Vec<Kind> {
    let names: BTreeSet<&str> = context.yielded.union(&context.counted).copied().collect();
    let mut tags = BTreeMap::new();
    for name in &names {
        if let Some(other) = tags.insert(KindTag::of(name), *name) {
            root.error(format!("has the kinds '{other}' and '{name}', whose stored form is the same; rename one"));
        }
    }
    if names.len() > KINDS_MAX {
        root.error(format!("has {} kinds of activity; at most {KINDS_MAX} can be told apart", names.len()));
    }
    names.into_iter().map(|name| Kind { name: name.to_owned(), tag: KindTag::of(name) }).collect()
}

/// Every category that a policy names, by name.
fn categories(policies: &[policy::Draft], root: &At<'_>) -> Vec<String> {
    let names: BTreeSet<&String> = policies.iter().flat_map(|policy| &policy.categories).collect();
    if names.len() > CATEGORIES_MAX {
        root.error(format!("has {} categories; at most {CATEGORIES_MAX} can be told apart", names.len()));
    }
    names.into_iter().cloned().collect()
}

fn resolution(policies: &[policy::Draft]) -> Resolution {
    let mut stages = policies.iter().flat_map(|policy| &policy.stages);
    if stages.all(|stage| stage.after.is_calendar()) { Resolution::Day } else { Resolution::Second }
}

/// The place of a kind by name.
fn kind_index(kinds: &[Kind], name: &str) -> KindIndex {
    let place = kinds.iter().position(|kind| kind.name == name).and_then(|place| u8::try_from(place).ok());
    KindIndex(place.expect("every name is among the kinds, of which there are at most 255"))
}
