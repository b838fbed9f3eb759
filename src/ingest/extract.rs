//! A record → its signals, or why it has none.
//!
//! In this order: decode, `when` and `unless`, customer, time. A record is exactly one of four things:
//! it yields signals, it is ignored (no rule applies), skipped (it names no customer) or rejected (it
//! can't be understood). A rejected record yields nothing, also where some of it could be read.

use crate::config::{Condition, Config, CustomerFrom, Format, Pointer, TimeFrom};
use crate::ingest::cloud_event::CloudEventPlan;
use crate::ingest::json::{Document, Field, Path, Plan, Value};
use crate::ingest::places::{Elements, Place, Placing, Spot};
pub use crate::ingest::reason::Reason;
use crate::ingest::time;
use crate::ingest::yields::{Claiming, YieldPlan};
use crate::retention::activity::KindIndex;
use crate::retention::almanac::Almanac;
use crate::retention::calendar::{Resolution, Seconds, Timestamp};
use crate::retention::claims::Claim;
use crate::wire::time::{EventTime, FIRST_SECONDS};
use chrono_tz::Tz;

/// A payload may be this large, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 8 << 20;
/// A customer's id may be this long, in bytes.
pub const CUSTOMER_BYTES_MAX: usize = 1024;
/// A record's rules may be applied this often: where one steps through one array and the customer through
/// another, their product is not bounded by the record's size.
pub const APPLIED_MAX: usize = 100_000;
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

    /// The same, whether letters are upper or lower case.
    fn last_ignoring_case(&self, name: &str) -> Option<Option<&[u8]>>;
}

impl Headers for Vec<(String, Option<Vec<u8>>)> {
    fn last(&self, name: &str) -> Option<Option<&[u8]>> {
        self.iter().rev().find(|(header, _)| header == name).map(|(_, value)| value.as_deref())
    }

    fn last_ignoring_case(&self, name: &str) -> Option<Option<&[u8]>> {
        let same = |(header, _): &&(String, Option<Vec<u8>>)| header.eq_ignore_ascii_case(name);
        self.iter().rev().find(same).map(|(_, value)| value.as_deref())
    }
}

/// No headers.
pub struct NoHeaders;

impl Headers for NoHeaders {
    fn last(&self, _name: &str) -> Option<Option<&[u8]>> {
        None
    }

    fn last_ignoring_case(&self, _name: &str) -> Option<Option<&[u8]>> {
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

/// What a record yields; used again for the next.
#[derive(Debug, Default)]
pub struct Extracted {
    customers: String,
    seen: Vec<Seen>,
    claims: Vec<((usize, usize), Claim)>,
    /// How often a rule was applied, to a customer and an element.
    applied: usize,
    /// Rules that matched, in order; also where the record names no customer.
    pub matched: Vec<u16>,
    /// A time more than five minutes after the record's timestamp was replaced by that.
    pub replaced: bool,
    /// The latest true time of any signal.
    pub latest: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    customer: (usize, usize),
    kind: KindIndex,
    at: Timestamp,
    happened: Timestamp,
}

/// An activity that a record tells of.
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

    /// What is told beyond activity: the customer and the claim.
    pub fn claims(&self) -> impl Iterator<Item = (&str, &Claim)> {
        self.claims.iter().map(|((from, to), claim)| (&self.customers[*from..*to], claim))
    }

    fn signals(&self) -> usize {
        self.seen.len() + self.claims.len()
    }

    fn clear(&mut self) {
        self.customers.clear();
        self.seen.clear();
        self.claims.clear();
        self.applied = 0;
        self.matched.clear();
        self.replaced = false;
        self.latest = None;
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
    /// Data that was wrapped in the payload.
    unwrapped: Vec<u8>,
}

/// A customer of the record being read, and where in its arrays they stand.
#[derive(Clone, Copy)]
struct Person {
    customer: (usize, usize),
    path: Path,
}

struct SourcePlan {
    payload: Plan,
    /// `None`: the payload is JSON.
    cloud_event: Option<CloudEventPlan>,
    key: Plan,
    customer: CustomerPlan,
    lowercase: bool,
    zone: Tz,
    rules: Vec<RulePlan>,
    /// `None`: they don't all ask for the same field.
    matching: Option<Matching>,
}

/// Which rules match, where all of them ask for one field: most sources tell one event from another by its type, of which
/// there are few.
struct Matching {
    field: Field,
    /// By the field's text.
    known: Vec<(String, Vec<u16>)>,
}

/// So many texts of one field are remembered, and none longer than this.
const MATCHING_TEXTS: usize = 16;
const MATCHING_BYTES_MAX: usize = 64;

enum CustomerPlan {
    Value(Customers),
    Key,
    KeyPointer(Customers),
    Header(String),
}

/// The customer's pointer, and what tells a missing field from an empty array.
struct Customers {
    field: Field,
    /// Each must have the field; `None`: it stands in no array.
    elements: Option<Elements>,
}

struct RulePlan {
    when: Vec<ConditionPlan>,
    unless: Vec<ConditionPlan>,
    time: TimePlan,
    own_time: bool,
    yields: YieldPlan,
    /// Each is a signal.
    elements: Option<Elements>,
}

struct ConditionPlan {
    field: Field,
    any_of: Vec<Option<String>>,
}

#[derive(Clone, Copy)]
enum TimePlan {
    Record,
    Value(Place),
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
            unwrapped: Vec::new(),
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
        let plan = &mut self.sources[source];
        if !plan.read(record, &mut self.payload, &mut self.unwrapped)? {
            return Ok(Outcome::Ignored);
        }
        plan.match_rules(&self.payload, &mut out.matched);
        if out.matched.is_empty() {
            return Ok(Outcome::Ignored);
        }
        self.people.clear();
        plan.read_customers(record, &self.payload, &mut self.key, &mut self.people, &mut out.customers)?;
        if self.people.is_empty() {
            return Ok(Outcome::Skipped);
        }
        let stamp = record_time(record.timestamp_ms, now_ms)?;
        let reading = Reading {
            zone: plan.zone,
            document: &self.payload,
            stamp,
            resolution: self.resolution,
            almanac: &self.almanac,
        };
        for matched in 0..out.matched.len() {
            let rule = &plan.rules[usize::from(out.matched[matched])];
            for person in &self.people {
                reading.apply(rule, person, out)?;
            }
        }
        Ok(if out.signals() == 0 { Outcome::Ignored } else { Outcome::Signals })
    }
}

/// A record being read, once it is known that it tells something.
struct Reading<'r> {
    document: &'r Document,
    /// Of times that have none.
    zone: Tz,
    /// The record's own timestamp.
    stamp: Timestamp,
    resolution: Resolution,
    almanac: &'r Almanac,
}

impl Reading<'_> {
    fn apply(&self, rule: &RulePlan, person: &Person, out: &mut Extracted) -> Result<(), Reason> {
        out.applied += rule.elements.as_ref().map_or(1, |elements| elements.count(self.document, person.path));
        if out.applied > APPLIED_MAX {
            return Err(Reason::TooManySignals);
        }
        match &rule.elements {
            None => self.tell(rule, person.customer, Spot { person: person.path, element: None }, out),
            Some(elements) => {
                let mut spots = elements.spots(self.document, person.path);
                spots.try_for_each(|spot| self.tell(rule, person.customer, spot, out))
            }
        }
    }

    fn tell(&self, rule: &RulePlan, customer: (usize, usize), spot: Spot, out: &mut Extracted) -> Result<(), Reason> {
        let Some(time) = rule.time(self, spot)? else { return Ok(()) };
        let is_ahead = time.checked > self.stamp + AHEAD_MAX;
        let happened = if is_ahead { self.stamp } else { time.at };
        let before = out.signals();
        if let YieldPlan::Activity(kind) = rule.yields {
            let at = self.almanac.at_resolution(self.resolution, happened);
            out.seen.push(Seen { customer, kind, at, happened });
        } else {
            // Not rounded to the day: of two words of one day the later counts.
            let from = Claiming { document: self.document, spot, zone: self.zone };
            rule.yields.claims(&from, happened, |claim| out.claims.push((customer, claim)))?;
        }
        if out.signals() > before {
            out.replaced |= is_ahead;
            out.latest = out.latest.max(Some(happened));
        }
        Ok(())
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
            CustomerFrom::Value(pointer) => CustomerPlan::Value(Customers::new(&mut payload, pointer)),
            CustomerFrom::Key => CustomerPlan::Key,
            CustomerFrom::KeyPointer(pointer) => CustomerPlan::KeyPointer(Customers::new(&mut key, pointer)),
            CustomerFrom::Header(name) => CustomerPlan::Header(name.clone()),
        };
        let rules: Vec<_> = source.rules.iter().map(|rule| RulePlan::new(rule, source, &mut payload)).collect();
        let matching = Matching::new(&rules);
        let cloud_event = match source.format {
            Format::Json => None,
            Format::CloudEvents => Some(CloudEventPlan::new(&mut payload)),
        };
        let (lowercase, zone) = (source.lowercase, source.zone);
        SourcePlan { payload, cloud_event, key, customer, lowercase, zone, rules, matching }
    }

    /// Tells the places of all rules that match; until then none is told.
    fn match_rules(&mut self, document: &Document, matched: &mut Vec<u16>) {
        let text = self.matching.as_ref().and_then(|matching| document.only(matching.field)?.as_text());
        if let (Some(matching), Some(text)) = (&self.matching, text)
            && let Some((_, rules)) = matching.known.iter().find(|(known, _)| known == text)
        {
            matched.extend_from_slice(rules);
            return;
        }
        let rules = (0_u16..).zip(&self.rules);
        matched.extend(rules.filter(|(_, rule)| rule.matches(document)).map(|(place, _)| place));
        if let (Some(matching), Some(text)) = (&mut self.matching, text)
            && matching.known.len() < MATCHING_TEXTS
            && text.len() <= MATCHING_BYTES_MAX
        {
            matching.known.push((text.to_owned(), matched.clone()));
        }
    }

    /// Reads what the record holds; `false`: it is a tombstone.
    fn read(
        &mut self,
        record: RecordView<'_>,
        document: &mut Document,
        unwrapped: &mut Vec<u8>,
    ) -> Result<bool, Reason> {
        if record.payload.is_some_and(|payload| payload.len() > PAYLOAD_BYTES_MAX) {
            return Err(Reason::TooLarge);
        }
        match (&self.cloud_event, record.payload) {
            (Some(cloud_event), _) => cloud_event.read(&mut self.payload, record, document, unwrapped),
            (None, None) => Ok(false),
            (None, Some(payload)) => {
                document.read(&mut self.payload, payload)?;
                Ok(true)
            }
        }
    }

    fn read_customers(
        &mut self,
        record: RecordView<'_>,
        payload: &Document,
        key: &mut Document,
        people: &mut Vec<Person>,
        customers: &mut String,
    ) -> Result<(), Reason> {
        let mut reader = CustomerReader { lowercase: self.lowercase, people, customers };
        match &self.customer {
            CustomerPlan::Value(places) => reader.read_places(places, payload),
            CustomerPlan::Key => record.key.map_or(Ok(()), |key| reader.read_bytes(key)),
            CustomerPlan::KeyPointer(places) => {
                let Some(bytes) = record.key else { return Ok(()) };
                key.read(&mut self.key, bytes).map_err(|_| Reason::KeyNotJson)?;
                reader.read_places(places, key)
            }
            CustomerPlan::Header(name) => match record.headers.last(name) {
                None => Err(Reason::NoCustomer),
                Some(None) => Ok(()),
                Some(Some(bytes)) => reader.read_bytes(bytes),
            },
        }
    }
}

impl Matching {
    fn new(rules: &[RulePlan]) -> Option<Matching> {
        let mut conditions = rules.iter().flat_map(|rule| rule.when.iter().chain(&rule.unless));
        let field = conditions.next()?.field;
        conditions.all(|condition| condition.field == field).then_some(Matching { field, known: Vec::new() })
    }
}

impl Customers {
    fn new(plan: &mut Plan, pointer: &Pointer) -> Customers {
        let elements = (pointer.arrays() > 0).then(|| Elements::new(plan, pointer, 0));
        Customers { field: plan.add(pointer), elements }
    }
}

struct CustomerReader<'a> {
    lowercase: bool,
    people: &'a mut Vec<Person>,
    customers: &'a mut String,
}

impl CustomerReader<'_> {
    fn read_places(&mut self, places: &Customers, document: &Document) -> Result<(), Reason> {
        let mut count = 0;
        for (path, value) in document.all(places.field) {
            count += 1;
            self.read_value(value, path)?;
        }
        let is_there = match &places.elements {
            None => count > 0,
            // An empty array, or null instead of one, has nobody.
            Some(elements) => {
                let outermost = Path::default();
                elements.all(document, outermost).count() == count && !elements.are_missing(document, outermost)
            }
        };
        if is_there { Ok(()) } else { Err(Reason::NoCustomer) }
    }

    fn read_value(&mut self, value: Value<'_>, path: Path) -> Result<(), Reason> {
        match value {
            Value::Null => Ok(()),
            Value::Text(text) => self.push(text, path),
            Value::Number(_) => self.push(value.as_integer().ok_or(Reason::CustomerType)?, path),
            Value::Bool(_) | Value::Array | Value::Object => Err(Reason::CustomerType),
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

impl RulePlan {
    fn new(rule: &crate::config::Rule, source: &crate::config::Source, plan: &mut Plan) -> RulePlan {
        let mut conditions = |conditions: &[Condition]| {
            let compiled = conditions
                .iter()
                .map(|condition| ConditionPlan { field: plan.add(&condition.field), any_of: condition.any_of.clone() });
            compiled.collect()
        };
        let (when, unless) = (conditions(&rule.when), conditions(&rule.unless));
        let mut placing = Placing::new(plan, &source.customer);
        let mut fields = rule.yields.fields();
        let time = match rule.time.as_ref().unwrap_or(&source.time) {
            TimeFrom::Record => TimePlan::Record,
            TimeFrom::Value(pointer) => {
                fields.push(pointer);
                TimePlan::Value(placing.place(pointer))
            }
        };
        RulePlan {
            when,
            unless,
            time,
            own_time: rule.time.is_some(),
            elements: placing.elements(&fields),
            yields: YieldPlan::new(&rule.yields, &mut placing, source.zone),
        }
    }

    fn matches(&self, document: &Document) -> bool {
        let all = |conditions: &[ConditionPlan]| conditions.iter().all(|condition| condition.matches(document));
        all(&self.when) && (self.unless.is_empty() || !all(&self.unless))
    }

    /// `None`: the rule's own time is null, so the rule doesn't apply.
    fn time(&self, reading: &Reading<'_>, spot: Spot) -> Result<Option<EventTime>, Reason> {
        let place = match self.time {
            TimePlan::Record => return Ok(Some(EventTime { at: reading.stamp, checked: reading.stamp })),
            TimePlan::Value(place) => place,
        };
        match place.value(reading.document, spot) {
            Some(Value::Null) if self.own_time => Ok(None),
            None | Some(Value::Null) => Err(Reason::NoTime),
            Some(value) => Ok(Some(time::read(value, reading.zone)?)),
        }
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
