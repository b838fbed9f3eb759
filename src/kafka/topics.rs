//! The topics that are needed, and what is there.

use super::clients::Clients;
use rdkafka::admin::{AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::ClientContext;
use rdkafka::consumer::{Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A topic as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub name: String,
    /// `None`: any number; made with the cluster's default.
    pub partitions: Option<u32>,
    pub replication_factor: u16,
    pub settings: Vec<(&'static str, Setting)>,
    pub owner: Owner,
}

/// Who makes a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// `lapsed topics --create`.
    Ours,
    /// The system that obeys what is written there.
    Target,
    /// The system that reports there.
    Source,
}

/// What a topic's setting must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    Exactly(&'static str),
    /// A number of this size or less; made so. -1, which means without bound, is more.
    AtMost(i64),
    /// A number of this size or more; made so. -1, which means without bound, is more.
    AtLeast(i64),
}

impl Setting {
    fn value(&self) -> String {
        match self {
            Setting::Exactly(text) => (*text).to_owned(),
            Setting::AtMost(number) | Setting::AtLeast(number) => number.to_string(),
        }
    }

    fn allows(&self, found: &str) -> bool {
        let number = |text: &str| text.parse::<i64>().ok().map(|number| if number < 0 { i64::MAX } else { number });
        match self {
            Setting::Exactly(text) => found == *text,
            Setting::AtMost(most) => number(found).is_some_and(|found| found <= *most),
            Setting::AtLeast(least) => number(found).is_some_and(|found| found >= *least),
        }
    }

    fn words(&self) -> String {
        match self {
            Setting::Exactly(text) => (*text).to_owned(),
            Setting::AtMost(number) => format!("at most {number}"),
            Setting::AtLeast(number) => format!("at least {number}"),
        }
    }
}

const DAY_MS: i64 = 86_400_000;

/// The topics of an application, and those of its targets, which must be there. Evidence is kept for at
/// least `evidence_ms`.
pub fn wanted(
    application: &str,
    partitions: u32,
    replication_factor: u16,
    evidence_ms: i64,
    targets: &[&str],
) -> Vec<Wanted> {
    let safety = || {
        let mut settings = Vec::new();
        if replication_factor >= 2 {
            settings.push(("min.insync.replicas", Setting::AtLeast(2)));
            settings.push(("unclean.leader.election.enable", Setting::Exactly("false")));
        }
        settings
    };
    let ours = |name: &str, partitions: Option<u32>, settings: Vec<(&'static str, Setting)>| Wanted {
        name: format!("{application}.{name}"),
        partitions,
        replication_factor,
        settings: [settings, safety()].concat(),
        owner: Owner::Ours,
    };
    let mut all = vec![
        ours(
            "signals",
            Some(partitions),
            vec![
                ("cleanup.policy", Setting::Exactly("delete")),
                ("message.timestamp.type", Setting::Exactly("LogAppendTime")),
                ("retention.ms", Setting::Exactly("-1")),
                ("retention.bytes", Setting::Exactly("-1")),
                ("segment.ms", Setting::AtMost(DAY_MS)),
            ],
        ),
        ours(
            "state",
            Some(partitions),
            vec![
                ("cleanup.policy", Setting::Exactly("compact")),
                ("max.compaction.lag.ms", Setting::AtMost(7 * DAY_MS)),
                ("segment.ms", Setting::AtMost(DAY_MS)),
            ],
        ),
        ours(
            "audit",
            None,
            vec![
                ("cleanup.policy", Setting::Exactly("delete")),
                ("retention.ms", Setting::AtLeast(evidence_ms)),
                ("retention.bytes", Setting::Exactly("-1")),
            ],
        ),
        ours(
            "acks",
            None,
            vec![("cleanup.policy", Setting::Exactly("delete")), ("retention.ms", Setting::AtLeast(7 * DAY_MS))],
        ),
        ours(
            "rejects",
            None,
            vec![("cleanup.policy", Setting::Exactly("delete")), ("retention.ms", Setting::AtLeast(30 * DAY_MS))],
        ),
    ];
    let target = |name: &&str| Wanted {
        name: (*name).to_owned(),
        partitions: None,
        replication_factor,
        settings: Vec::new(),
        owner: Owner::Target,
    };
    let mut names: Vec<&&str> = targets.iter().collect();
    names.sort();
    names.dedup();
    all.extend(names.into_iter().map(target));
    all
}

/// A topic against what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub wanted: Wanted,
    /// `None`: there is no such topic.
    pub partitions: Option<u32>,
    /// What is wrong with it, each with what to do.
    pub faults: Vec<String>,
}

/// Why the brokers could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum TopicsError {
    #[error(
        "no broker answered at {bootstrap} within {seconds} seconds ({reason}); check kafka: bootstrap.servers, the \
         network, and security.protocol"
    )]
    Unreachable { bootstrap: String, seconds: u64, reason: String },
    #[error("the brokers refuse us: {0}; check kafka: sasl.username and sasl.password, and sasl.mechanism")]
    Unauthenticated(String),
    #[error("no trusted connection to the brokers: {0}; check kafka: ssl.ca.location, and the brokers' names")]
    TlsFailed(String),
    #[error("not authorised to describe topics; grant Describe and DescribeConfigs on them: {0}")]
    Unauthorised(String),
    #[error("cannot look at the topics: {0}")]
    Kafka(#[from] KafkaError),
    #[error("cannot create {topic}: {reason}")]
    Create { topic: String, reason: RDKafkaErrorCode },
}

/// How long a look at the brokers may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime of one thread needs nothing that could be missing").block_on(future)
}

/// After so long it is looked whether the brokers refuse us, or just don't answer.
const ATTEMPT: Duration = Duration::from_secs(2);

/// Remembers why brokers refused a connection.
#[derive(Default)]
struct Listening {
    refused: Mutex<Option<(RDKafkaErrorCode, String)>>,
}

impl Listening {
    fn refusal(&self) -> Option<TopicsError> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner).take();
        refused.map(|(code, reason)| match code {
            RDKafkaErrorCode::SSL => TopicsError::TlsFailed(reason),
            _ => TopicsError::Unauthenticated(reason),
        })
    }
}

impl ClientContext for Listening {
    fn error(&self, error: KafkaError, reason: &str) {
        if let Some(code @ (RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL)) = error.rdkafka_error_code() {
            *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some((code, reason.to_owned()));
        }
    }
}

impl ConsumerContext for Listening {}

/// All topics and their partition counts.
///
/// # Errors
/// When no broker answers in time.
pub fn partitions_of_all(clients: &Clients) -> Result<BTreeMap<String, u32>, TopicsError> {
    let reader = clients.reader_with(super::clients::Isolation::ReadUncommitted, None, Listening::default())?;
    let deadline = Instant::now() + PATIENCE;
    let metadata = loop {
        let error = match reader.fetch_metadata(None, ATTEMPT) {
            Ok(metadata) => break metadata,
            Err(error) => error,
        };
        // Only polling hands on why a connection was refused.
        while reader.poll(Duration::from_millis(10)).is_some() {}
        if let Some(refusal) = reader.context().refusal() {
            return Err(refusal);
        }
        if Instant::now() > deadline {
            return Err(TopicsError::Unreachable {
                bootstrap: clients.bootstrap().to_owned(),
                seconds: PATIENCE.as_secs(),
                reason: error.to_string(),
            });
        }
    };
    let count = |topic: &rdkafka::metadata::MetadataTopic| u32::try_from(topic.partitions().len()).unwrap_or(u32::MAX);
    Ok(metadata.topics().iter().map(|topic| (topic.name().to_owned(), count(topic))).collect())
}

/// Holds each wanted topic against what is there.
///
/// # Errors
/// When the brokers can't be asked.
pub fn look(clients: &Clients, wanted: &[Wanted]) -> Result<Vec<Found>, TopicsError> {
    let there = partitions_of_all(clients)?;
    let described = wanted.iter().filter(|topic| there.contains_key(&topic.name) && !topic.settings.is_empty());
    let settings = settings_of(clients, &described.map(|topic| topic.name.as_str()).collect::<Vec<_>>())?;
    let look = |topic: &Wanted| {
        let partitions = there.get(&topic.name).copied();
        let faults = match partitions {
            None => vec![missing(topic.owner).to_owned()],
            Some(count) => faults(topic, count, settings.get(&topic.name)),
        };
        Found { wanted: topic.clone(), partitions, faults }
    };
    Ok(wanted.iter().map(look).collect())
}

/// For how long topics keep their records at most, in milliseconds. One that keeps them for ever, or
/// whose settings may not be read, is left out.
///
/// # Errors
/// When the brokers can't be asked.
pub fn retentions(clients: &Clients, topics: &[String]) -> Result<BTreeMap<String, i64>, TopicsError> {
    let names: Vec<&str> = topics.iter().map(String::as_str).collect();
    let settings = settings_of(clients, &names)?;
    let retention = |settings: &BTreeMap<String, String>| {
        let number = |name: &str| settings.get(name)?.parse::<i64>().ok().filter(|number| *number >= 0);
        let deletes = settings.get("cleanup.policy").is_some_and(|policy| policy == "delete");
        // A record goes with its segment.
        deletes.then(|| Some(number("retention.ms")?.saturating_add(number("segment.ms")?))).flatten()
    };
    Ok(settings.iter().filter_map(|(name, settings)| Some((name.clone(), retention(settings)?))).collect())
}

fn settings_of(clients: &Clients, names: &[&str]) -> Result<BTreeMap<String, BTreeMap<String, String>>, TopicsError> {
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let resources: Vec<ResourceSpecifier<'_>> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
    let options = AdminOptions::new().request_timeout(Some(PATIENCE));
    let described = block_on(clients.admin()?.describe_configs(&resources, &options))?;
    let mut all = BTreeMap::new();
    for (name, described) in names.iter().copied().zip(described) {
        let resource = described.map_err(|error| match error {
            RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed => {
                TopicsError::Unauthorised(name.to_owned())
            }
            other => TopicsError::Kafka(KafkaError::AdminOp(other)),
        })?;
        let entries = resource.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?)));
        all.insert(name.to_owned(), entries.collect());
    }
    Ok(all)
}

fn missing(owner: Owner) -> &'static str {
    match owner {
        Owner::Ours => "is missing: make it with `lapsed topics --create`",
        Owner::Target => "is missing: whoever runs the target must make it, or correct the target's topic",
        Owner::Source => "is missing: whoever reports there must make it, or correct the source's topics",
    }
}

fn faults(topic: &Wanted, partitions: u32, settings: Option<&BTreeMap<String, String>>) -> Vec<String> {
    let mut faults = Vec::new();
    if let Some(wanted) = topic.partitions.filter(|wanted| *wanted != partitions) {
        faults.push(format!(
            "has {partitions} partitions, and topics.partitions is {wanted}: a customer's shard is a matter of this \
             number, so set topics.partitions to what is there"
        ));
    }
    for (name, setting) in &topic.settings {
        let found = settings.and_then(|settings| settings.get(*name)).map_or("nothing", String::as_str);
        if !setting.allows(found) {
            faults.push(format!(
                "has {name}={found}, and needs {}: kafka-configs.sh --alter --entity-type topics --entity-name {} \
                 --add-config {name}={}",
                setting.words(),
                topic.name,
                setting.value()
            ));
        }
    }
    faults
}

/// Makes the topics that are missing and ours. Returns their names.
///
/// # Errors
/// When a topic can't be made.
pub fn create(clients: &Clients, found: &[Found]) -> Result<Vec<String>, TopicsError> {
    let missing: Vec<&Wanted> = found
        .iter()
        .filter(|topic| topic.partitions.is_none() && topic.wanted.owner == Owner::Ours)
        .map(|topic| &topic.wanted)
        .collect();
    let values: Vec<Vec<(&str, String)>> = missing
        .iter()
        .map(|topic| topic.settings.iter().map(|(name, value)| (*name, value.value())).collect())
        .collect();
    let new: Vec<NewTopic<'_>> = missing
        .iter()
        .zip(&values)
        .map(|(topic, values)| {
            let partitions = i32::try_from(topic.partitions.unwrap_or(8)).unwrap_or(i32::MAX);
            let replication = TopicReplication::Fixed(i32::from(topic.replication_factor));
            let topic = NewTopic::new(&topic.name, partitions, replication);
            values.iter().fold(topic, |topic, (name, value)| topic.set(name, value))
        })
        .collect();
    if new.is_empty() {
        return Ok(Vec::new());
    }
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE));
    let created = block_on(clients.admin()?.create_topics(&new, &options))?;
    let outcome = |made: Result<String, (String, RDKafkaErrorCode)>| match made {
        Ok(name) | Err((name, RDKafkaErrorCode::TopicAlreadyExists)) => Ok(name),
        Err((topic, reason)) => Err(TopicsError::Create { topic, reason }),
    };
    created.into_iter().map(outcome).collect()
}

/// Makes topics with the cluster's defaults.
///
/// # Errors
/// When a topic can't be made.
pub fn create_plain(
    clients: &Clients,
    names: &[&str],
    replication_factor: u16,
    partitions: u32,
) -> Result<(), TopicsError> {
    let partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
    let replication = || TopicReplication::Fixed(i32::from(replication_factor));
    let new: Vec<NewTopic<'_>> = names.iter().map(|name| NewTopic::new(name, partitions, replication())).collect();
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE));
    for made in block_on(clients.admin()?.create_topics(&new, &options))? {
        if let Err((topic, reason)) = made {
            return Err(TopicsError::Create { topic, reason });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_held_against_what_is_there() {
        let table = [
            (Setting::Exactly("delete"), "delete", true),
            (Setting::Exactly("delete"), "compact,delete", false),
            (Setting::AtMost(10), "10", true),
            (Setting::AtMost(10), "11", false),
            (Setting::AtMost(10), "-1", false),
            (Setting::AtLeast(10), "9", false),
            (Setting::AtLeast(10), "-1", true),
            (Setting::AtLeast(10), "nothing", false),
        ];
        for (setting, found, allowed) in table {
            assert_eq!(setting.allows(found), allowed, "{setting:?} {found}");
        }
    }

    #[test]
    fn replication_asks_for_what_makes_it_safe() {
        let names = |replication| {
            let topics = wanted("a", 4, replication, DAY_MS, &["crm", "crm"]);
            assert_eq!(topics.len(), 6, "a target's topic stands once");
            topics[1].settings.iter().map(|(name, _)| *name).collect::<Vec<_>>()
        };
        assert!(!names(1).contains(&"min.insync.replicas"));
        assert!(names(3).contains(&"min.insync.replicas") && names(3).contains(&"unclean.leader.election.enable"));
    }

    #[test]
    fn every_fault_says_what_to_do() {
        let topics = wanted("a", 4, 1, DAY_MS, &[]);
        let settings = BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]);
        let faults = faults(&topics[0], 3, Some(&settings));
        assert_eq!(faults.len(), 6, "{faults:?}");
        assert!(faults[0].contains("set topics.partitions"));
        assert!(faults[1].contains("--add-config cleanup.policy=delete"));
    }
}
