//! Raw YAML → checked configuration that cannot be wrong.
//!
//! `load` reads files into a tree that remembers where everything stood, and checks it
//! into a [`Config`], reporting every error at once.

mod build;
mod kafka;
pub mod load;
mod promise;
mod reader;
mod tree;

pub use load::{Environment, LoadErrors, Loaded, load};
pub use reader::Problem;

use crate::retention::calendar::{Period, Seconds};
use crate::retention::policy::Rulebook;
use crate::retention::pseudonym::PseudonymKey;
use crate::wire::progress::ConfigHash;
use chrono::NaiveDate;
use chrono_tz::Tz;
use std::collections::BTreeMap;
use std::fmt;

/// JSON Schema of the file, for editors. What `load` says counts.
pub const SCHEMA: &str = include_str!("schema.json");

/// A checked configuration.
#[derive(Clone)]
pub struct Config {
    /// Prefix of topics, groups and transactional ids.
    pub application: String,
    pub zone: Tz,
    /// librdkafka properties, secrets resolved; never logged.
    pub kafka: BTreeMap<String, String>,
    pub http: Http,
    pub topics: Topics,
    pub evidence: Evidence,
    /// What people read instead of names, by language and name.
    pub labels: BTreeMap<String, BTreeMap<String, String>>,
    /// In the order of [`Rulebook::sources`].
    pub sources: Vec<Source>,
    /// In the order of [`Rulebook::policies`].
    pub texts: Vec<PolicyText>,
    /// What deciding needs.
    pub rules: Rulebook,
    /// Of all but `http`, `kafka` and secrets.
    pub hash: ConfigHash,
}

impl Config {
    /// The place of the source that reads a topic; retired ones read none, and patterns never mean our
    /// own topics or Kafka's.
    pub fn source_of_topic(&self, topic: &str) -> Option<usize> {
        let own = topic.strip_prefix(&self.application).and_then(|rest| rest.strip_prefix('.'));
        if topic.starts_with("__") || own.is_some_and(|name| OWN_TOPICS.contains(&name)) {
            return None;
        }
        let reads = |source: &Source| !source.retired && source.topics.iter().any(|pattern| pattern.matches(topic));
        self.sources.iter().position(reads)
    }
}

/// Shows the names of `kafka`'s properties, for their values may be secrets.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Config { application, zone, kafka, http, topics, evidence, labels, sources, texts, rules, hash } = self;
        f.debug_struct("Config")
            .field("application", application)
            .field("zone", zone)
            .field("kafka", &kafka.keys())
            .field("http", http)
            .field("topics", topics)
            .field("evidence", evidence)
            .field("labels", labels)
            .field("sources", sources)
            .field("texts", texts)
            .field("rules", rules)
            .field("hash", hash)
            .finish()
    }
}

/// What our own topics are called, behind the application's name and a dot.
pub const OWN_TOPICS: [&str; 5] = ["acks", "audit", "rejects", "signals", "state"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    pub listen: std::net::SocketAddr,
    /// Who may ask and order, by name.
    pub tokens: BTreeMap<String, Token>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// `None`: secrets were not resolved, and nobody can show it.
    pub secret: Option<Secret>,
    pub may: May,
}

/// What must not be seen; `Debug` doesn't show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// What a token allows; each includes the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum May {
    /// Ask about one customer.
    LookUp,
    /// Release, stop, accept, hold, erase.
    Operate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topics {
    /// Of `signals` and `state`, for ever.
    pub partitions: u32,
    pub replication_factor: u16,
}

/// What proves what was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// How long it is kept.
    pub keep: Period,
    pub pseudonyms: PseudonymKey,
}

/// A source of records, as ingest reads it. Its lateness, silence and history are in
/// [`Rulebook::sources`] at the same place.
#[derive(Clone, Debug)]
pub struct Source {
    pub key: String,
    pub format: Format,
    pub topics: Vec<TopicPattern>,
    pub customer: CustomerFrom,
    pub lowercase: bool,
    pub time: TimeFrom,
    /// Of times that have no zone.
    pub zone: Tz,
    pub retired: bool,
    pub rules: Vec<Rule>,
    /// Hash over all that decides what the source's records mean: format, customer, time, rules, zones,
    /// `lowercase`, resolution, `reread`. First 8 bytes of SHA-256.
    pub reading: u64,
}

/// How a source's records are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Json,
    /// CloudEvents 1.0 of the Kafka protocol binding, in structured or binary mode; pointers address the
    /// structured form in either.
    CloudEvents,
}

#[derive(Clone, Debug)]
pub enum TopicPattern {
    Name(String),
    /// Written `^regex` in the file; it need not match the whole name.
    Regex(regex::Regex),
}

impl TopicPattern {
    pub fn matches(&self, topic: &str) -> bool {
        match self {
            TopicPattern::Name(name) => name == topic,
            TopicPattern::Regex(regex) => regex.is_match(topic),
        }
    }

    pub fn as_written(&self) -> &str {
        match self {
            TopicPattern::Name(name) => name,
            TopicPattern::Regex(regex) => regex.as_str(),
        }
    }
}

/// A source may have this many rules: what each of them saw is kept beside every committed offset, where
/// there is little room.
pub const RULES_MAX: usize = 80;

/// A pointer may step through this many arrays with `*`.
pub const POINTER_EACH_MAX: usize = 4;

/// JSON Pointer (RFC 6901), with `*` as a step through an array.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pointer(pub Vec<Step>);

impl Pointer {
    /// How many arrays it steps through.
    pub fn arrays(&self) -> usize {
        self.0.iter().filter(|step| **step == Step::Each).count()
    }

    /// Up to and with its `nth` step through an array, from 0.
    pub fn through_array(&self, nth: usize) -> Option<&[Step]> {
        let each = self.0.iter().enumerate().filter(|(_, step)| **step == Step::Each);
        each.map(|(place, _)| &self.0[..=place]).nth(nth)
    }

    /// How many arrays both step through, from the first on.
    pub fn arrays_shared(&self, other: &Pointer) -> usize {
        let is_shared = |nth: &usize| {
            let ours = self.through_array(*nth);
            ours.is_some() && ours == other.through_array(*nth)
        };
        (0..).take_while(is_shared).count()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// A member's name, or an array's index; `~0` and `~1` already undone.
    Member(String),
    /// Every element of an array.
    Each,
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|step| match step {
            Step::Member(name) => write!(f, "/{}", name.replace('~', "~0").replace('/', "~1")),
            Step::Each => f.write_str("/*"),
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CustomerFrom {
    Value(Pointer),
    /// The record's key as text.
    Key,
    /// The record's key as JSON.
    KeyPointer(Pointer),
    Header(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeFrom {
    /// The record's own timestamp.
    Record,
    Value(Pointer),
}

/// One rule: what makes a record a signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// All must match.
    pub when: Vec<Condition>,
    /// The rule does not apply where all of these match; empty: no exception.
    pub unless: Vec<Condition>,
    /// The rule's own time, instead of the source's.
    pub time: Option<TimeFrom>,
    pub yields: Yield,
}

/// A field and the values that match: JSON text, or `None` for null or absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    pub field: Pointer,
    pub any_of: Vec<Option<String>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Yield {
    /// An activity of the kind at this place in [`Rulebook::kinds`].
    Activity(crate::retention::activity::KindIndex),
    /// By name of the consent: true or false.
    Consent(Vec<(String, Told)>),
    Hold {
        id: Told,
        reason: Option<Told>,
        until: Option<Told>,
        /// `None`: all; ordered, each once.
        policies: Option<Vec<String>>,
    },
    Unhold {
        id: Told,
    },
    Erasure,
    /// By name of the attribute.
    Attribute(Vec<(String, Told)>),
}

/// What a rule says, or where the record says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Literal(String),
    Field(Pointer),
}

/// The id of a hold and the value of an attribute may be this long, in bytes.
pub const TOLD_BYTES_MAX: usize = 1024;
/// So many characters of a hold's reason are kept.
pub const REASON_CHARS_MAX: usize = 256;

impl Yield {
    /// The fields of a record that it reads.
    pub fn fields(&self) -> Vec<&Pointer> {
        let told: Vec<&Told> = match self {
            Yield::Activity(_) | Yield::Erasure => Vec::new(),
            Yield::Consent(told) | Yield::Attribute(told) => told.iter().map(|(_, told)| told).collect(),
            Yield::Hold { id, reason, until, .. } => {
                [Some(id), reason.as_ref(), until.as_ref()].into_iter().flatten().collect()
            }
            Yield::Unhold { id } => vec![id],
        };
        told.into_iter().filter_map(Told::field).collect()
    }
}

/// Of the fields that a rule reads, the one that steps through most arrays other than the customer's: each
/// of its elements is a signal.
pub fn leading_field<'p>(fields: &[&'p Pointer], customer: &CustomerFrom) -> Option<&'p Pointer> {
    let is_of_customer = |field: &Pointer| match customer {
        CustomerFrom::Value(customer) => customer.arrays_shared(field) == field.arrays(),
        CustomerFrom::Key | CustomerFrom::KeyPointer(_) | CustomerFrom::Header(_) => field.arrays() == 0,
    };
    fields.iter().copied().filter(|field| !is_of_customer(field)).max_by_key(|field| field.arrays())
}

impl Told {
    fn field(&self) -> Option<&Pointer> {
        match self {
            Told::Field(pointer) => Some(pointer),
            Told::Literal(_) => None,
        }
    }
}

/// What people read of a policy, and what decides nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyText {
    /// By language.
    pub purpose: BTreeMap<String, String>,
    pub lawful_basis: LawfulBasis,
    pub interest: BTreeMap<String, String>,
    pub review_by: NaiveDate,
}

/// GDPR article 6(1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LawfulBasis {
    Consent,
    Contract,
    LegalObligation,
    VitalInterests,
    PublicTask,
    LegitimateInterest,
}

impl LawfulBasis {
    pub const ALL: [LawfulBasis; 6] = [
        LawfulBasis::Consent,
        LawfulBasis::Contract,
        LawfulBasis::LegalObligation,
        LawfulBasis::VitalInterests,
        LawfulBasis::PublicTask,
        LawfulBasis::LegitimateInterest,
    ];

    pub fn name(self) -> &'static str {
        match self {
            LawfulBasis::Consent => "consent",
            LawfulBasis::Contract => "contract",
            LawfulBasis::LegalObligation => "legal_obligation",
            LawfulBasis::VitalInterests => "vital_interests",
            LawfulBasis::PublicTask => "public_task",
            LawfulBasis::LegitimateInterest => "legitimate_interest",
        }
    }
}

/// The least `allowed_lateness` without `short_periods`.
pub const LATENESS_MIN: Seconds = Seconds(600);
