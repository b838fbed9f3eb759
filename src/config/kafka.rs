//! The `kafka:` map: any librdkafka property but those that would break the promises.

use super::load::{Environment, is_reference};
use super::reader::{At, suggestion};
use std::collections::BTreeMap;

/// Properties that are refused, and why; their aliases with them.
const REFUSED: &[(&str, &str)] = &[
    ("acks", "a record that only one broker has is lost with it; all must have it"),
    ("allow.auto.create.topics", "a topic with the broker's defaults loses state; see `lapsed topics --create`"),
    ("auto.commit.enable", "offsets are committed with what they stand for, never by a timer"),
    ("auto.commit.interval.ms", "offsets are committed with what they stand for, never by a timer"),
    ("auto.offset.reset", "an offset that is gone is a gap that must be seen, not skipped"),
    ("check.crcs", "a damaged record must not be read"),
    ("client.id", "it is the instance's address, so that the group tells who owns what"),
    ("delivery.report.only.error", "an offset is committed once its signals are reported as delivered"),
    ("enable.auto.commit", "offsets are committed with what they stand for, never by a timer"),
    ("enable.auto.offset.store", "offsets are committed with what they stand for, never before"),
    ("enable.gapless.guarantee", "a failed delivery ends the instance by other means"),
    ("enable.idempotence", "without it a retried record is written twice or out of order"),
    ("enable.partition.eof", "the end of a partition ends nothing here"),
    ("enabled_events", "what is not reported cannot be acted on"),
    ("group.id", "groups are named after the application"),
    ("group.instance.id", "it is the pod's name, so that a restart takes its own place"),
    ("group.protocol", "fencing was proved with the classic protocol"),
    ("group.protocol.type", "the groups are consumer groups"),
    ("group.remote.assignor", "fencing was proved with the classic protocol"),
    ("isolation.level", "what was aborted must not be read, and a restore needs both levels"),
    ("max.in.flight", "more than five requests in flight break the order"),
    ("message.timeout.ms", "a record must be delivered before its transaction times out"),
    ("offset.store.method", "offsets belong to the broker, in the transaction of what they stand for"),
    ("offset.store.path", "offsets belong to the broker, in the transaction of what they stand for"),
    ("offset.store.sync.interval.ms", "offsets belong to the broker, in the transaction of what they stand for"),
    ("partition.assignment.strategy", "shards move one by one; cooperative-sticky is needed for that"),
    ("partitioner", "a customer's shard is computed with murmur2, everywhere the same"),
    ("plugin.library.paths", "a plug-in could change any of this"),
    ("queuing.strategy", "records leave in the order in which they were made"),
    ("retries", "what is not retried ends the instance"),
    ("topic.blacklist", "a source's topic that is hidden would never be waited for"),
    ("transaction.timeout.ms", "a restore waits as long as this, so it is kept at 15 s"),
    ("transactional.id", "it is the application and the pod's name, so that a restart ends its own transaction"),
];

/// What librdkafka knows, and of which type.
const KNOWN: &str = include_str!("kafka_properties.txt");

fn known() -> impl Iterator<Item = (&'static str, &'static str)> {
    KNOWN.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' '))
}

/// The type of a property, and its name without aliases.
fn known_as(name: &str) -> Option<(&'static str, &'static str)> {
    let (name, kind) = known().find(|(known, _)| *known == name)?;
    match kind.strip_prefix("alias ") {
        Some(same) => known_as(same),
        None => Some((name, kind)),
    }
}

fn refused(name: &str) -> Option<&'static str> {
    let same =
        |other: &str| other == name || known_as(other).map(|found| found.0) == known_as(name).map(|found| found.0);
    known_as(name).and_then(|_| REFUSED.iter().find(|(other, _)| same(other)).map(|(_, why)| *why))
}

/// Reads the map. Values are passed to librdkafka as they are written.
pub fn read(at: &At<'_>, environment: Environment) -> Option<BTreeMap<String, String>> {
    let mut properties = BTreeMap::new();
    let mut names = BTreeMap::new();
    for (key, value) in at.named("a map of librdkafka properties") {
        let complain = |message: &str| value.problems.error(&key.place, &value.path, message);
        if let Some(why) = refused(&key.name) {
            complain(&format!("may not be set: {why}"));
            continue;
        }
        let Some((name, kind)) = known_as(&key.name) else {
            let usable = known().map(|(name, _)| name).filter(|name| refused(name).is_none());
            complain(&format!("is no property of librdkafka{}", suggestion(&key.name, usable)));
            continue;
        };
        if let Some(other) = names.insert(name, &key.name) {
            complain(&format!("sets the same as '{other}'; keep one"));
        }
        let Some(text) = value.text() else { continue };
        let left = environment != Environment::Resolve && is_reference(text);
        match check(kind, text) {
            // Not the value: it may be a secret.
            Err(must) if !left => value.error(format!("must be {must}")),
            _ if name == "sasl.oauthbearer.method" && text.eq_ignore_ascii_case("oidc") => value.error(NO_OIDC),
            _ => _ = properties.insert(key.name.clone(), text.to_owned()),
        }
    }
    if at.node.member("bootstrap.servers").is_none() && at.node.member("metadata.broker.list").is_none() {
        at.error("needs 'bootstrap.servers': the brokers to begin with, host:port, separated by commas");
    }
    if let Some(lacks) = way_in_lacks(&properties) {
        at.error(lacks);
    }
    Some(properties)
}

const NO_OIDC: &str =
    "is not in this build of librdkafka, which has no libcurl: take SCRAM, or TLS with a client's certificate";

/// What keeps librdkafka, as it is built here, from getting in at all: it would say so only when it is started.
fn way_in_lacks(properties: &BTreeMap<String, String>) -> Option<&'static str> {
    let value = |names: &[&str]| names.iter().find_map(|name| properties.get(*name)).map(|value| value.to_lowercase());
    if !value(&["security.protocol"])?.starts_with("sasl_") {
        return None;
    }
    match value(&["sasl.mechanism", "sasl.mechanisms"]).as_deref() {
        None => Some(
            "needs 'sasl.mechanism': PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; librdkafka's default, GSSAPI, needs libsasl2, which \
             is not in this build",
        ),
        Some("gssapi") => Some(
            "has 'sasl.mechanism: GSSAPI', which needs libsasl2 and is not in this build of librdkafka: take SCRAM, or TLS \
             with a client's certificate",
        ),
        Some("oauthbearer") if value(&["enable.sasl.oauthbearer.unsecure.jwt"]).is_none_or(|value| value != "true") => {
            Some(
                "has 'sasl.mechanism: OAUTHBEARER' and nowhere to get a token from: OIDC needs libcurl and is not in this \
                 build of librdkafka; 'enable.sasl.oauthbearer.unsecure.jwt: true' makes tokens that only a broker for \
                 trying things out accepts",
            )
        }
        Some(_) => None,
    }
}

/// Whether librdkafka will take the value; else what it must be.
fn check(kind: &str, text: &str) -> Result<(), String> {
    let words: Vec<&str> = kind.split(' ').collect();
    let fits = match words[..] {
        ["integer", from, to] | ["float", from, to] => {
            let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
            let whole = words[0] == "float" || text.parse::<i64>().is_ok();
            if whole && number(text).is_some_and(|value| number(from) <= Some(value) && Some(value) <= number(to)) {
                return Ok(());
            }
            let number = if words[0] == "float" { "a number" } else { "a whole number" };
            return Err(format!("{number} from {from} to {to}"));
        }
        ["boolean"] => matches!(text, "true" | "false"),
        ["one", "of", ref words @ ..] => words.iter().any(|word| word.eq_ignore_ascii_case(text)),
        ["some", "of", ref words @ ..] => text.split(',').all(|one| words.contains(&one.trim())),
        _ if text.is_empty() => return Err("text, and is empty".to_owned()),
        _ if text.contains('\0') => return Err("text without null characters".to_owned()),
        _ => true,
    };
    match (fits, words[0]) {
        (true, _) => Ok(()),
        (false, "boolean") => Err("true or false".to_owned()),
        (false, how_many) => Err(format!("{how_many} of {}", words[2..].join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::ClientConfig;

    /// A value of the type, and one that is not of it.
    fn samples(kind: &str) -> (String, Option<String>) {
        let words: Vec<&str> = kind.split(' ').collect();
        match words[..] {
            ["integer", from, to] => (from.to_owned(), Some((to.parse::<i64>().unwrap() + 1).to_string())),
            ["float", from, to] => (from.to_owned(), Some(format!("{to}1"))),
            ["boolean"] => ("true".to_owned(), Some("perhaps".to_owned())),
            ["one" | "some", "of", first, ..] => (first.to_owned(), Some("perhaps".to_owned())),
            _ => ("x".to_owned(), None),
        }
    }

    /// `None`: this build was made without it.
    fn librdkafka_takes(name: &str, value: &str) -> Option<bool> {
        let config = ClientConfig::new().set(name, value).create_native_config();
        let without = |error: &rdkafka::error::KafkaError| error.to_string().contains("not supported in this build");
        if config.as_ref().is_err_and(without) { None } else { Some(config.is_ok()) }
    }

    #[test]
    fn every_property_is_as_librdkafka_has_it() {
        let (_, version) = rdkafka::util::get_rdkafka_version();
        assert!(KNOWN.contains(&format!("librdkafka {version}'s")), "make kafka_properties.txt anew for {version}");
        for (name, _) in known().filter(|(name, _)| refused(name).is_none()) {
            let (_, kind) = known_as(name).unwrap();
            let (good, bad) = samples(kind);
            assert_eq!(check(kind, &good), Ok(()), "{name}: {good}");
            assert_ne!(librdkafka_takes(name, &good), Some(false), "{name}: {good}");
            if let Some(bad) = bad {
                assert!(check(kind, &bad).is_err(), "{name}: {bad}");
                assert_ne!(librdkafka_takes(name, &bad), Some(true), "{name}: {bad}");
            }
        }
    }

    /// Held against librdkafka, so that a build with more says that this is out of date.
    #[test]
    fn what_this_build_lacks_is_said_before_it_is_started() {
        use rdkafka::consumer::BaseConsumer;
        let properties = |more: &[(&str, &str)]| -> BTreeMap<String, String> {
            let all = [("security.protocol", "SASL_PLAINTEXT"), ("sasl.username", "u"), ("sasl.password", "p")];
            all.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let starts = |properties: &BTreeMap<String, String>| {
            let mut config = ClientConfig::new();
            properties.iter().for_each(|(name, value)| _ = config.set(name, value));
            config.create::<BaseConsumer>().is_ok()
        };
        for more in [&[][..], &[("sasl.mechanism", "GSSAPI")]] {
            let properties = properties(more);
            assert!(way_in_lacks(&properties).is_some() && !starts(&properties), "{more:?}");
        }
        // It starts, and waits for a token for ever.
        assert!(way_in_lacks(&properties(&[("sasl.mechanisms", "oauthbearer")])).is_some());
        for more in [
            &[("sasl.mechanisms", "PLAIN")][..],
            &[("sasl.mechanism", "SCRAM-SHA-256")],
            &[("sasl.mechanism", "OAUTHBEARER"), ("enable.sasl.oauthbearer.unsecure.jwt", "true")],
        ] {
            let properties = properties(more);
            assert!(way_in_lacks(&properties).is_none() && starts(&properties), "{more:?}");
        }
        assert_eq!(librdkafka_takes("sasl.oauthbearer.method", "oidc"), None, "this build has libcurl: say so");
    }

    #[test]
    fn refusals_are_of_known_properties_and_cover_aliases() {
        for (name, _) in REFUSED {
            assert!(known_as(name).is_some(), "{name}");
        }
        for alias in ["request.required.acks", "delivery.timeout.ms", "max.in.flight.requests.per.connection"] {
            assert!(refused(alias).is_some(), "{alias}");
        }
        for fine in ["bootstrap.servers", "security.protocol", "compression.type", "no.such.property"] {
            assert!(refused(fine).is_none(), "{fine}");
        }
    }
}
