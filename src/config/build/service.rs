//! What the file says of the service itself.

use super::{Context, stage};
use crate::config::load::Environment;
use crate::config::reader::{At, MapReader, key_is_name, suggestion};
use crate::config::{Http, May, Secret, Token, Topics, kafka};
use crate::retention::calendar::{Period, Seconds};
use chrono_tz::Tz;
use std::collections::BTreeMap;

/// The evidence key where no secret is resolved: command ids differ from those of the service.
const OFFLINE_KEY: &str = "lapsed offline evidence key";

pub(super) struct Service {
    pub application: String,
    pub kafka: BTreeMap<String, String>,
    pub http: Http,
    pub topics: Topics,
    pub gate_lag_max: Seconds,
    pub evidence: Evidence,
    pub labels: BTreeMap<String, BTreeMap<String, String>>,
}

/// The key still as it is written.
pub(super) struct Evidence {
    pub key: String,
    pub keep: Period,
}

pub(super) fn service(top: &mut MapReader<'_>, context: &Context, application: Option<String>) -> Option<Service> {
    let kafka = top.need("kafka", "how to reach the brokers: {bootstrap.servers: host:port}");
    let kafka = kafka.and_then(|at| kafka::read(&at, context.environment));
    let http = top.optional("http", default_http(), |at| http(&at, context.environment));
    let evidence = top.need("evidence", "{key: file:/path}, a secret that never changes");
    let evidence = evidence.and_then(|at| evidence_of(&at, context));
    let topics = top.optional("topics", default_topics(), |at| topics(&at));
    let gate_lag_max = top.optional("max_gate_lag", Seconds(900), |at| gate_lag_max(&at));
    let labels = top.optional("labels", BTreeMap::new(), |at| Some(labels(&at)));
    Some(Service {
        application: application?,
        kafka: kafka?,
        http: http?,
        topics: topics?,
        gate_lag_max: gate_lag_max?,
        evidence: evidence?,
        labels: labels?,
    })
}

pub(super) fn application(at: &At<'_>) -> Option<String> {
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

pub(super) fn zone(at: &At<'_>) -> Option<Tz> {
    let name = at.text()?;
    let zone = name.parse::<Tz>();
    if zone.is_err() {
        let near = suggestion(name, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()));
        at.error(format!("is '{}', which is no time zone of the IANA database{near}", at.shown()));
    }
    zone.ok()
}

fn default_http() -> Http {
    Http { listen: std::net::SocketAddr::from(([0, 0, 0, 0], 8080)), tokens: BTreeMap::new() }
}

fn http(at: &At<'_>, environment: Environment) -> Option<Http> {
    let mut map = at.map()?;
    let listen = map.optional("listen", default_http().listen, |at| {
        let address = at.text()?.parse();
        if address.is_err() {
            at.error(format!("is '{}', and must be an address and a port, such as 0.0.0.0:8080", at.shown()));
        }
        address.ok()
    });
    let tokens = map.optional("tokens", BTreeMap::new(), |at| Some(tokens(&at, environment)));
    map.finish();
    Some(Http { listen: listen?, tokens: tokens? })
}

/// By name, each with a secret of its own: what is done with it is audited under its name.
fn tokens(at: &At<'_>, environment: Environment) -> BTreeMap<String, Token> {
    let mut tokens: BTreeMap<String, Token> = BTreeMap::new();
    for (key, at) in at.named("a map of tokens by name") {
        let Some(token) = token(&at, environment).filter(|_| key_is_name(key, &at)) else { continue };
        let same = tokens.iter().find(|(_, other)| token.secret.is_some() && other.secret == token.secret);
        if let Some((other, _)) = same {
            at.error(format!("has the secret of '{other}', so that nobody could tell whose it is"));
        }
        tokens.insert(key.name.clone(), token);
    }
    tokens
}

fn token(at: &At<'_>, environment: Environment) -> Option<Token> {
    let mut map = at.map()?;
    let secret = map.need("secret", "what has to be shown: file:/path").and_then(|at| secret(&at, environment));
    let may = map.need("may", "look_up or operate");
    let may = may.and_then(|at| at.word(&[("look_up", May::LookUp), ("operate", May::Operate)]));
    map.finish();
    Some(Token { secret: secret?, may: may? })
}

/// `None`: secrets are not resolved.
fn secret(at: &At<'_>, environment: Environment) -> Option<Option<Secret>> {
    let text = at.text()?;
    if environment != Environment::Resolve {
        return Some(None);
    }
    if text.trim().is_empty() {
        at.error("is empty; take 32 random characters");
        return None;
    }
    if text.len() < SECRET_BYTES_MIN {
        at.warning("is shorter than 16 characters, so that it can be guessed; take 32 random ones");
    }
    Some(Some(Secret(text.to_owned())))
}

/// Shorter ones can be guessed.
const SECRET_BYTES_MIN: usize = 16;

fn evidence_of(at: &At<'_>, context: &Context) -> Option<Evidence> {
    let mut map = at.map()?;
    let key = map.need("key", "a secret that never changes; command ids are derived from it");
    let key = key.and_then(|at| evidence_key(&at, context.environment));
    let default = Period::Calendar { months: 60, days: 0 };
    let keep = map.optional("keep", default, |at| stage::period(&at, context));
    map.finish();
    Some(Evidence { key: key?, keep: keep? })
}

fn evidence_key(at: &At<'_>, environment: Environment) -> Option<String> {
    let text = at.text()?;
    if environment != Environment::Resolve {
        return Some(OFFLINE_KEY.to_owned());
    }
    if text.trim().is_empty() {
        at.error("is empty; take 32 random characters, and keep them for ever");
        return None;
    }
    if text.len() < SECRET_BYTES_MIN {
        at.warning("is shorter than 16 characters, so that it can be guessed; take 32 random ones");
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

/// What people read instead of names, by language.
fn labels(at: &At<'_>) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    for (key, language) in at.named("a map of languages") {
        super::policy::check_language(key, &language);
        let named = language.named("a map of texts by name");
        let texts = named.into_iter().filter_map(|(name, at)| Some((name.name.clone(), at.text()?.to_owned())));
        labels.insert(key.name.clone(), texts.collect());
    }
    labels
}
