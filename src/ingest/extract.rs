//! A record → its signals, or why it has none.
//!
//! In this order: decode, `when` and `unless`, customer, time. A record is exactly one of four things:
//! it yields signals, it is ignored (no rule applies), skipped (it names no customer) or rejected (it
//! can't be understood). A rejected record yields nothing, also where some of it could be read.

use crate::config::{Condition, Config, CustomerFrom, Pointer, Step, TimeFrom, Yield};
use crate::ingest::json::{Document, EACH_MAX, Field, JsonError, Path, Plan, Value};
use crate::ingest::time::{self, EventTime, FIRST_SECONDS, TimeError};
use crate::retention::activity::KindIndex;
use crate::retention::almanac::Almanac;
use crate::retention::calendar::{Resolution, Seconds, Timestamp};
use chrono_tz::Tz;

/// A payload may be this large, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 8 << 20;
/// A customer's id may be this long, in bytes.
pub const CUSTOMER_BYTES_MAX: usize = 1024;
/// How far a time may run ahead: an event's of its record, a record's of the clock.
pub const AHEAD_MAX: Seconds = Seconds(300);

/// A record as Kafka hands it out.
#[derive(Clone, Copy)]
pub struct RecordView<'a> {
    /// Milliseconds of Unix time; `None`: it has none.
    pub timestamp_ms: Option<i64>,
    pub key: Option<&'a [u8]>,
    /// `None`: a tombstone.
    pub payload: Option<&'a [u8]>,
    pub headers: &'a dyn Headers,
}

/// A record's headers. Of several with one name the last counts, as in Kafka's `lastHeader`.
pub trait Headers {
    /// `None`: there is none; `Some(None)`: its value is null.
    fn last(&self, name: &str) -> Option<Option<&[u8]>>;
}

impl Headers for Vec<(String, Option<Vec<u8>>)> {
    fn last(&self, name: &str) -> Option<Option<&[u8]>> {
        self.iter().rev().find(|(header, _)| header == name).map(|(_, value)| value.as_deref())
    }
}

/// No headers.
pub struct NoHeaders;

impl Headers for NoHeaders {
    fn last(&self, _name: &str) -> Option<Option<&[u8]>> {
        None
    }
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Signals,
    Ignored,
    Skipped,
    Rejected(Reason),
}

/// Why a record was rejected; the metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Reason {
    #[error("the payload is larger than 8 MiB")]
    TooLarge,
    #[error("the payload is not JSON in UTF-8")]
    NotJson,
    #[error("the payload is nested too deeply")]
    TooDeep,
    #[error("an object in the payload has a member twice")]
    DuplicateMember,
    #[error("the key is not JSON in UTF-8")]
    KeyNotJson,
    #[error("there is no field where the customer should be")]
    NoCustomer,
    #[error("the customer is neither text nor an integer")]
    CustomerType,
    #[error("the customer is empty")]
    CustomerEmpty,
    #[error("the customer's id is longer than 1,024 bytes")]
    CustomerTooLong,
    #[error("the customer's id is not UTF-8 or contains a null character")]
    CustomerBytes,
    #[error("there is no field where the time should be, or it is null")]
    NoTime,
    #[error("the time is no RFC 3339 time, date or Unix time")]
    TimeMalformed,
    #[error("the time lies before 1973")]
    TimeBefore1973,
    #[error("the time lies after 2100")]
    TimeAfter2100,
    #[error("the record has no timestamp, or one before 1973")]
    RecordTimestamp,
    #[error("the record is stamped more than five minutes ahead of the clock")]
    RecordAhead,
    #[error("the record could not be decoded before it got here")]
    Undecoded,
    #[error("it is no acknowledgement")]
    NoAcknowledgement,
}

impl Reason {
    /// The metric's label.
    pub fn name(self) -> &'static str {
        match self {
            Reason::TooLarge => "too_large",
            Reason::NotJson => "not_json",
            Reason::TooDeep => "too_deep",
            Reason::DuplicateMember => "duplicate_member",
            Reason::KeyNotJson => "key_not_json",
            Reason::NoCustomer => "no_customer",
            Reason::CustomerType => "customer_type",
            Reason::CustomerEmpty => "customer_empty",
            Reason::CustomerTooLong => "customer_too_long",
            Reason::CustomerBytes => "customer_bytes",
            Reason::NoTime => "no_time",
            Reason::TimeMalformed => "time_malformed",
            Reason::TimeBefore1973 => "time_before_1973",
            Reason::TimeAfter2100 => "time_after_2100",
            Reason::RecordTimestamp => "record_timestamp",
            Reason::RecordAhead => "record_ahead",
            Reason::Undecoded => "undecoded",
            Reason::NoAcknowledgement => "no_acknowledgement",
        }
    }
}

/// What a record yields; used again for the next.
#[derive(Debug, Default)]
pub struct Extracted {
    customers: String,
    seen: Vec<Seen>,
    /// Rules that matched, in order; also where the record names no customer.
    pub matched: Vec<u16>,
    /// A time more than five minutes after the record's timestamp was replaced by that.
    pub replaced: bool,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    customer: (usize, usize),
    kind: KindIndex,
    at: Timestamp,
    happened: Timestamp,
}

/// One signal of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activity<'a> {
    pub customer: &'a str,
    pub kind: KindIndex,
    /// At the configuration's resolution.
    pub at: Timestamp,
    /// The true time.
    pub happened: Timestamp,
}

impl Extracted {
    pub fn activities(&self) -> impl Iterator<Item = Activity<'_>> {
        self.seen.iter().map(|seen| Activity {
            customer: &self.customers[seen.customer.0..seen.customer.1],
            kind: seen.kind,
            at: seen.at,
            happened: seen.happened,
        })
    }

    fn clear(&mut self) {
        self.customers.clear();
        self.seen.clear();
        self.matched.clear();
        self.replaced = false;
    }
}

/// Reads the records of all sources of one configuration.
pub struct Extractor {
    sources: Vec<SourcePlan>,
    resolution: Resolution,
    almanac: Almanac,
    payload: Document,
    key: Document,
    people: Vec<Person>,
}

/// A customer of the record being read, and where in its arrays they stand.
#[derive(Clone, Copy)]
struct Person {
    customer: (usize, usize),
    path: Path,
}

struct SourcePlan {
    payload: Plan,
    key: Plan,
    customer: CustomerPlan,
    lowercase: bool,
    zone: Tz,
    rules: Vec<RulePlan>,
}

enum CustomerPlan {
    Value(Places),
    Key,
    KeyPointer(Places),
    Header(String),
}

/// A pointer, and those that tell a missing field from an empty array.
#[derive(Clone, Copy)]
struct Places {
    field: Field,
    /// How many arrays it steps through.
    each: usize,
    /// The pointer up to its last `*`: one value an element.
    elements: Option<Field>,
    /// The pointer up to its first `*`.
    array: Option<Field>,
}

struct RulePlan {
    when: Vec<ConditionPlan>,
    unless: Vec<ConditionPlan>,
    time: TimePlan,
    own_time: bool,
    kind: KindIndex,
}

struct ConditionPlan {
    field: Field,
    any_of: Vec<Option<String>>,
}

#[derive(Clone, Copy)]
enum TimePlan {
    Record,
    Value(Places),
}

impl Extractor {
    pub fn new(config: &Config) -> Extractor {
        Extractor {
            sources: config.sources.iter().map(SourcePlan::new).collect(),
            resolution: config.rules.resolution,
            almanac: Almanac::new(config.rules.zone),
            payload: Document::default(),
            key: Document::default(),
            people: Vec::new(),
        }
    }

    /// Reads one record of the source at this place in [`Config::sources`].
    ///
    /// `now_ms` is the clock that a record's timestamp must not be ahead of; `None` offline, where
    /// nothing says when the record was read.
    pub fn extract(
        &mut self,
        source: usize,
        record: RecordView<'_>,
        now_ms: Option<i64>,
        out: &mut Extracted,
    ) -> Outcome {
        out.clear();
        match self.try_extract(source, record, now_ms, out) {
            Ok(outcome) => outcome,
            Err(reason) => {
                out.clear();
                Outcome::Rejected(reason)
            }
        }
    }

    fn try_extract(
        &mut self,
        source: usize,
        record: RecordView<'_>,
        now_ms: Option<i64>,
        out: &mut Extracted,
    ) -> Result<Outcome, Reason> {
        let Some(payload) = record.payload else { return Ok(Outcome::Ignored) };
        let plan = &self.sources[source];
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(Reason::TooLarge);
        }
        self.payload.read(&plan.payload, payload).map_err(payload_reason)?;
        for (place, rule) in plan.rules.iter().enumerate() {
            if rule.matches(&self.payload) {
                out.matched.push(u16::try_from(place).unwrap_or(u16::MAX));
            }
        }
        if out.matched.is_empty() {
            return Ok(Outcome::Ignored);
        }
        self.people.clear();
        plan.read_customers(record, &self.payload, &mut self.key, &mut self.people, &mut out.customers)?;
        if self.people.is_empty() {
            return Ok(Outcome::Skipped);
        }
        let stamp = record_time(record.timestamp_ms, now_ms)?;
        for &place in &out.matched {
            let rule = &plan.rules[usize::from(place)];
            for person in &self.people {
                let Some(time) = rule.time(plan, &self.payload, person.path, stamp)? else { continue };
                let mut happened = time.at;
                if time.checked > stamp + AHEAD_MAX {
                    happened = stamp;
                    out.replaced = true;
                }
                let at = self.almanac.at_resolution(self.resolution, happened);
                out.seen.push(Seen { customer: person.customer, kind: rule.kind, at, happened });
            }
        }
        Ok(if out.seen.is_empty() { Outcome::Ignored } else { Outcome::Signals })
    }
}

fn payload_reason(error: JsonError) -> Reason {
    match error {
        JsonError::Malformed => Reason::NotJson,
        JsonError::TooDeep => Reason::TooDeep,
        JsonError::DuplicateMember => Reason::DuplicateMember,
    }
}

/// The record's own timestamp, rounded up.
fn record_time(timestamp_ms: Option<i64>, now_ms: Option<i64>) -> Result<Timestamp, Reason> {
    let stamp = timestamp_ms.ok_or(Reason::RecordTimestamp)?;
    if stamp < FIRST_SECONDS * 1000 {
        return Err(Reason::RecordTimestamp);
    }
    if now_ms.is_some_and(|now| stamp > now.saturating_add(AHEAD_MAX.0 * 1000)) {
        return Err(Reason::RecordAhead);
    }
    Ok(Timestamp::from_millis_ceil(stamp))
}

impl SourcePlan {
    fn new(source: &crate::config::Source) -> SourcePlan {
        let (mut payload, mut key) = (Plan::new(), Plan::new());
        let customer = match &source.customer {
            CustomerFrom::Value(pointer) => CustomerPlan::Value(Places::new(&mut payload, pointer)),
            CustomerFrom::Key => CustomerPlan::Key,
            CustomerFrom::KeyPointer(pointer) => CustomerPlan::KeyPointer(Places::new(&mut key, pointer)),
            CustomerFrom::Header(name) => CustomerPlan::Header(name.clone()),
        };
        let rules = source.rules.iter().map(|rule| RulePlan::new(rule, &source.time, &mut payload)).collect();
        SourcePlan { payload, key, customer, lowercase: source.lowercase, zone: source.zone, rules }
    }

    fn read_customers(
        &self,
        record: RecordView<'_>,
        payload: &Document,
        key: &mut Document,
        people: &mut Vec<Person>,
        customers: &mut String,
    ) -> Result<(), Reason> {
        let mut reader = CustomerReader { lowercase: self.lowercase, people, customers };
        match &self.customer {
            CustomerPlan::Value(places) => reader.read_places(*places, payload),
            CustomerPlan::Key => record.key.map_or(Ok(()), |key| reader.read_bytes(key)),
            CustomerPlan::KeyPointer(places) => {
                let Some(bytes) = record.key else { return Ok(()) };
                key.read(&self.key, bytes).map_err(|_| Reason::KeyNotJson)?;
                reader.read_places(*places, key)
            }
            CustomerPlan::Header(name) => match record.headers.last(name) {
                None => Err(Reason::NoCustomer),
                Some(None) => Ok(()),
                Some(Some(bytes)) => reader.read_bytes(bytes),
            },
        }
    }
}

impl Places {
    fn new(plan: &mut Plan, pointer: &Pointer) -> Places {
        let is_each = |step: &Step| *step == Step::Each;
        let mut up_to = |steps: Option<usize>| steps.map(|steps| plan.add(&Pointer(pointer.0[..steps].to_vec())));
        let array = up_to(pointer.0.iter().position(is_each));
        let elements = up_to(pointer.0.iter().rposition(is_each).map(|place| place + 1));
        let each = pointer.0.iter().filter(|step| is_each(step)).count().min(EACH_MAX);
        Places { field: plan.add(pointer), each, elements, array }
    }
}

struct CustomerReader<'a> {
    lowercase: bool,
    people: &'a mut Vec<Person>,
    customers: &'a mut String,
}

impl CustomerReader<'_> {
    fn read_places(&mut self, places: Places, document: &Document) -> Result<(), Reason> {
        let mut count = 0;
        for (path, value) in document.all(places.field) {
            count += 1;
            self.read_value(value, path)?;
        }
        match (places.elements, places.array) {
            // Every element must have the field; an empty array, or null instead of one, has nobody.
            (Some(elements), Some(array)) if document.all(elements).count() == count => match document.first(array) {
                Some(Value::Array | Value::Null) => Ok(()),
                _ => Err(Reason::NoCustomer),
            },
            (None, _) if count > 0 => Ok(()),
            _ => Err(Reason::NoCustomer),
        }
    }

    fn read_value(&mut self, value: Value<'_>, path: Path) -> Result<(), Reason> {
        match value {
            Value::Null => Ok(()),
            Value::Text(text) => self.push(text, path),
            Value::Number(digits) if is_integer(digits) => self.push(digits, path),
            Value::Number(_) | Value::Bool(_) | Value::Array | Value::Object => Err(Reason::CustomerType),
        }
    }

    fn read_bytes(&mut self, bytes: &[u8]) -> Result<(), Reason> {
        if bytes.len() > CUSTOMER_BYTES_MAX {
            return Err(Reason::CustomerTooLong);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Reason::CustomerBytes)?;
        self.push(text, Path::default())
    }

    fn push(&mut self, id: &str, path: Path) -> Result<(), Reason> {
        if id.is_empty() {
            return Err(Reason::CustomerEmpty);
        }
        let from = self.customers.len();
        if self.lowercase {
            self.customers.extend(id.chars().flat_map(char::to_lowercase));
        } else {
            self.customers.push_str(id);
        }
        let written = &self.customers[from..];
        if written.len() > CUSTOMER_BYTES_MAX {
            return Err(Reason::CustomerTooLong);
        }
        if written.contains('\0') {
            return Err(Reason::CustomerBytes);
        }
        self.people.push(Person { customer: (from, self.customers.len()), path });
        Ok(())
    }
}

fn is_integer(number: &str) -> bool {
    number.strip_prefix('-').unwrap_or(number).bytes().all(|b| b.is_ascii_digit())
}

impl RulePlan {
    fn new(rule: &crate::config::Rule, source_time: &TimeFrom, plan: &mut Plan) -> RulePlan {
        let mut conditions = |conditions: &[Condition]| {
            let compiled = conditions
                .iter()
                .map(|condition| ConditionPlan { field: plan.add(&condition.field), any_of: condition.any_of.clone() });
            compiled.collect()
        };
        let (when, unless) = (conditions(&rule.when), conditions(&rule.unless));
        let time = match rule.time.as_ref().unwrap_or(source_time) {
            TimeFrom::Record => TimePlan::Record,
            TimeFrom::Value(pointer) => TimePlan::Value(Places::new(plan, pointer)),
        };
        let Yield::Activity(kind) = rule.yields else { unreachable!() };
        RulePlan { when, unless, time, own_time: rule.time.is_some(), kind }
    }

    fn matches(&self, document: &Document) -> bool {
        let all = |conditions: &[ConditionPlan]| conditions.iter().all(|condition| condition.matches(document));
        all(&self.when) && (self.unless.is_empty() || !all(&self.unless))
    }

    /// `None`: the rule's own time is null, so the rule doesn't apply.
    fn time(
        &self,
        source: &SourcePlan,
        document: &Document,
        path: Path,
        stamp: Timestamp,
    ) -> Result<Option<EventTime>, Reason> {
        let places = match self.time {
            TimePlan::Record => return Ok(Some(EventTime { at: stamp, checked: stamp })),
            TimePlan::Value(places) => places,
        };
        let here = |(found, _): &(Path, Value<'_>)| found[..places.each] == path[..places.each];
        match document.all(places.field).find(here).map(|(_, value)| value) {
            Some(Value::Null) if self.own_time => Ok(None),
            None | Some(Value::Null) => Err(Reason::NoTime),
            Some(value) => time::read(value, source.zone).map(Some).map_err(time_reason),
        }
    }
}

fn time_reason(error: TimeError) -> Reason {
    match error {
        TimeError::Malformed => Reason::TimeMalformed,
        TimeError::BeforeFirst => Reason::TimeBefore1973,
        TimeError::AfterLast => Reason::TimeAfter2100,
    }
}

impl ConditionPlan {
    /// Compared as JSON text; null is null or absent; arrays and objects never match.
    fn matches(&self, document: &Document) -> bool {
        let is_one_of = |value: Value<'_>| {
            self.any_of.iter().any(|expected| match expected {
                None => value == Value::Null,
                Some(expected) => value.as_text() == Some(expected),
            })
        };
        let mut values = document.all(self.field).map(|(_, value)| value).peekable();
        match values.peek() {
            None => self.any_of.contains(&None),
            Some(_) => values.any(is_one_of),
        }
    }
}
