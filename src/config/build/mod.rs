//! A tree → a configuration that cannot be wrong.

mod brake;
mod dependence;
mod fingerprint;
mod floor;
mod forget;
mod judgement;
mod names;
mod pointer;
mod policy;
mod rule;
mod service;
mod source;
mod stage;
mod target;
mod window;

use super::load::Environment;
use super::reader::At;
use super::{Config, Evidence, OWN_TOPICS, Source};
use crate::retention::activity::{KindIndex, KindTag};
use crate::retention::calendar::{Period, Resolution};
use crate::retention::policy::{
    Brake, CATEGORIES_MAX, Floor, Forget, Kind, Mode, Rulebook, SourceIndex, Target, Trust, Window,
};
use crate::retention::pseudonym::PseudonymKey;
use crate::wire::progress::ConfigHash;
use chrono::NaiveDate;
use chrono_tz::Tz;
use names::Names;
use service::Service;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// The first is kept for "none" where a kind is one byte.
const KINDS_MAX: usize = 255;

/// What the parts of a configuration have to know of the whole.
struct Context<'n> {
    zone: Tz,
    short_periods: bool,
    mode_max: Mode,
    /// Of policies that say nothing else.
    brake: Brake,
    today: NaiveDate,
    environment: Environment,
    /// Full names.
    own_topics: Vec<String>,
    names: Names<'n>,
}

/// What the file says, part by part, names not yet replaced by places.
struct Parts<'n> {
    service: Service,
    sources: Vec<source::Draft<'n>>,
    targets: Vec<Target>,
    policies: Vec<policy::Draft<'n>>,
    floors: Vec<floor::Draft>,
    window: Option<Window>,
    forget: Forget,
    /// By name.
    kinds: Vec<Kind>,
    /// By name.
    categories: Vec<String>,
}

/// Builds the checked configuration. `None`: it is wrong, and why is among the problems.
pub(super) fn config(at: &At<'_>, environment: Environment, today: NaiveDate) -> Option<Config> {
    let mut top = at.map()?;
    top.not_supported_yet(&["schema_registry"]);
    let application = top.optional("application", "lapsed".to_owned(), |at| service::application(&at));
    let zone = top.need("time_zone", "the calendar of periods, such as Europe/Amsterdam");
    let zone = zone.and_then(|at| service::zone(&at));
    let short_periods = top.optional("short_periods", false, |at| at.boolean());
    let mode_max = top.optional("mode", Mode::Enforce, |at| policy::mode(&at));
    let brake = top.optional("brake", Brake::default(), |at| brake::brake(&at, Brake::default()));
    let own_topic = |name| format!("{}.{name}", application.as_deref().unwrap_or("lapsed"));
    let context = Context {
        zone: zone.unwrap_or(Tz::UTC),
        // Where this one is wrong, nothing else is for its sake.
        short_periods: short_periods.unwrap_or(true),
        mode_max: mode_max.unwrap_or(Mode::Enforce),
        brake: brake.unwrap_or_default(),
        environment,
        today,
        own_topics: OWN_TOPICS.iter().map(own_topic).collect(),
        names: Names::of(at.node),
    };
    let service = service::service(&mut top, &context, application);
    let window = top.optional("window", None, |at| window::window(&at).map(Some));
    let forget = top.optional("forget", Forget::default(), |at| forget::forget(&at, &context));
    let sources = top.need("sources", "the topics on which activity is reported");
    let sources = sources.map(|at| source::sources(&at, &context)).unwrap_or_default();
    let targets = top.need("targets", "the systems that hold customers' data");
    let targets = targets.map(|at| target::targets(&at, &context)).unwrap_or_default();
    let policies = top.need("policies", "what is kept for how long, and why");
    let policies = policies.map(|at| policy::drafts(&at, &context)).unwrap_or_default();
    let floors = top.get("floors").map(|at| floor::drafts(&at, &context, &policies)).unwrap_or_default();
    let kinds = kinds(&context, at);
    let categories = categories(&policies, &floors, at);
    top.finish();
    dependence::check_histories(&sources, &policies);
    if !at.problems.errors.borrow().is_empty() {
        return None;
    }
    judgement::of_floors(&policies, &floors, &context);
    let (service, window, forget) = (service?, window?, forget?);
    let parts = Parts { service, sources, targets, policies, floors, window, forget, kinds, categories };
    Some(assemble(parts, &context))
}

/// Puts together what has been found right.
fn assemble(parts: Parts<'_>, context: &Context) -> Config {
    let resolution = resolution(&parts);
    let trusts: Vec<Trust> = parts.sources.iter().map(|source| source.trust(&parts.kinds)).collect();
    let floors: Vec<Floor> = parts.floors.iter().map(|draft| draft.build(&parts)).collect();
    let build = |draft: &policy::Draft| draft.build(&parts, &floors, context.zone);
    let (policies, texts) = parts.policies.iter().map(build).unzip();
    let hold_sources: Vec<SourceIndex> = dependence::live_sources(&parts.sources, |yields| yields.is_hold());
    let Parts { service, sources, targets, window, forget, kinds, categories, .. } = parts;
    let build = |source: source::Draft<'_>| source.build(&kinds, resolution, context.zone);
    let sources: Vec<Source> = sources.into_iter().map(build).collect();
    let namespace = format!("lapsed commands {}", service.evidence.key);
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
            floors,
            hold_sources,
            window,
            forget,
            gate_lag_max: service.gate_lag_max,
        },
        application: service.application,
        zone: context.zone,
        kafka: service.kafka,
        http: service.http,
        topics: service.topics,
        evidence: Evidence { keep: service.evidence.keep, pseudonyms: PseudonymKey::derive(&service.evidence.key) },
        labels: service.labels,
        sources,
        texts,
        hash: ConfigHash([0; 16]),
    };
    config.hash = fingerprint::of_config(&config);
    config
}

/// Every kind that a rule yields, or a policy or floor counts, by name.
fn kinds(context: &Context, root: &At<'_>) -> Vec<Kind> {
    let names: BTreeSet<&str> = context.names.kinds.all.union(&context.names.counted).copied().collect();
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

/// Every category that a policy names or that has a floor, by name.
fn categories(policies: &[policy::Draft], floors: &[floor::Draft], root: &At<'_>) -> Vec<String> {
    let of_policies = policies.iter().flat_map(|policy| &policy.categories);
    let names: BTreeSet<&String> = of_policies.chain(floors.iter().map(|floor| &floor.category)).collect();
    if names.len() > CATEGORIES_MAX {
        root.error(format!("has {} categories; at most {CATEGORIES_MAX} can be told apart", names.len()));
    }
    names.into_iter().cloned().collect()
}

/// Days are enough where no period is shorter than one.
fn resolution(parts: &Parts<'_>) -> Resolution {
    let stages = parts.policies.iter().flat_map(|policy| &policy.stages).map(|stage| stage.after);
    let floors = parts.floors.iter().map(|floor| floor.keep);
    let mut periods = stages.chain(floors).chain([parts.forget.after, parts.forget.suppress_for]);
    if periods.all(Period::is_calendar) { Resolution::Day } else { Resolution::Second }
}

/// The place of a category by name.
fn category_index(categories: &[String], name: &String) -> u8 {
    let place = categories.binary_search(name).ok().and_then(|place| u8::try_from(place).ok());
    place.expect("every category was collected, and there are at most 64")
}

/// The place of a kind by name.
fn kind_index(kinds: &[Kind], name: &str) -> KindIndex {
    let place = kinds.iter().position(|kind| kind.name == name).and_then(|place| u8::try_from(place).ok());
    KindIndex(place.expect("every name is among the kinds, of which there are at most 255"))
}
