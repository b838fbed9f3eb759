//! What a rule makes of a record: an activity, or what is told of a customer beyond that.

use crate::config::{REASON_CHARS_MAX, TOLD_BYTES_MAX, Told, Yield};
use crate::ingest::json::{Document, Value};
use crate::ingest::places::{Place, Placing, Spot};
use crate::ingest::reason::Reason;
use crate::ingest::time;
use crate::retention::activity::KindIndex;
use crate::retention::calendar::Timestamp;
use crate::retention::claims::Claim;
use crate::wire::time::EventTime;
use chrono_tz::Tz;

/// A rule's yield, its fields placed.
pub enum YieldPlan {
    Activity(KindIndex),
    Consent(Vec<(String, Telling<bool>)>),
    Hold(HoldPlan),
    Unhold(Telling<String>),
    Erasure,
    Attribute(Vec<(String, Telling<String>)>),
}

pub struct HoldPlan {
    id: Telling<String>,
    reason: Option<Telling<String>>,
    until: Option<Telling<Option<Timestamp>>>,
    policies: Option<Vec<String>>,
}

/// What the rule says, or where the record says it.
pub enum Telling<T> {
    Literal(T),
    Field(Place),
}

impl YieldPlan {
    pub fn new(yields: &Yield, placing: &mut Placing<'_>, zone: Tz) -> YieldPlan {
        let text = |told: &Told, placing: &mut Placing<'_>| Telling::new(told, placing, str::to_owned);
        match yields {
            Yield::Activity(kind) => YieldPlan::Activity(*kind),
            Yield::Consent(told) => YieldPlan::Consent(named(told, placing, |text| text == "true")),
            Yield::Hold { id, reason, until, policies } => YieldPlan::Hold(HoldPlan {
                id: text(id, placing),
                reason: reason.as_ref().map(|told| text(told, placing)),
                until: until.as_ref().map(|told| Telling::new(told, placing, |text| until_literal(text, zone))),
                policies: policies.clone(),
            }),
            Yield::Unhold { id } => YieldPlan::Unhold(text(id, placing)),
            Yield::Erasure => YieldPlan::Erasure,
            Yield::Attribute(told) => YieldPlan::Attribute(named(told, placing, str::to_owned)),
        }
    }

    /// What is claimed at one spot, at a time; an activity claims nothing.
    pub fn claims(&self, from: &Claiming<'_>, at: Timestamp, claim: impl FnMut(Claim)) -> Result<(), Reason> {
        let mut claim = claim;
        match self {
            YieldPlan::Activity(_) => {}
            YieldPlan::Consent(consents) => {
                for (name, telling) in consents {
                    if let Some(given) = telling.consent(from)? {
                        claim(Claim::Consent { name: name.clone(), given, at });
                    }
                }
            }
            YieldPlan::Hold(hold) => claim(hold.place(from, at)?),
            YieldPlan::Unhold(id) => claim(Claim::Unhold { id: id.hold_id(from)?.to_owned(), at }),
            YieldPlan::Erasure => claim(Claim::Erasure { at }),
            YieldPlan::Attribute(attributes) => {
                for (name, telling) in attributes {
                    if let Some(value) = telling.attribute(from)? {
                        claim(Claim::Attribute { name: name.clone(), value: value.map(str::to_owned), at });
                    }
                }
            }
        }
        Ok(())
    }
}

fn named<T>(told: &[(String, Told)], placing: &mut Placing<'_>, literal: fn(&str) -> T) -> Vec<(String, Telling<T>)> {
    told.iter().map(|(name, told)| (name.clone(), Telling::new(told, placing, literal))).collect()
}

/// The configuration refuses one that can't be read.
fn until_literal(text: &str, zone: Tz) -> Option<Timestamp> {
    crate::wire::time::of_either(text, zone).ok().map(EventTime::end)
}

/// Where claims are read.
pub struct Claiming<'d> {
    pub document: &'d Document,
    pub spot: Spot,
    /// Of times that have none.
    pub zone: Tz,
}

impl HoldPlan {
    fn place(&self, from: &Claiming<'_>, at: Timestamp) -> Result<Claim, Reason> {
        let id = self.id.hold_id(from)?.to_owned();
        let until = self.until.as_ref().and_then(|until| until.end(from));
        let reason = self.reason.as_ref().and_then(|reason| reason.text(from)).unwrap_or_default();
        let reason = reason.chars().take(REASON_CHARS_MAX).collect();
        Ok(Claim::Hold { id, at, until, reason, policies: self.policies.clone() })
    }
}

impl<T> Telling<T> {
    fn new(told: &Told, placing: &mut Placing<'_>, literal: impl FnOnce(&str) -> T) -> Telling<T> {
        match told {
            Told::Literal(text) => Telling::Literal(literal(text)),
            Told::Field(pointer) => Telling::Field(placing.place(pointer)),
        }
    }
}

impl Place {
    fn read<'d>(&self, from: &Claiming<'d>) -> Option<Value<'d>> {
        self.value(from.document, from.spot)
    }
}

impl Telling<bool> {
    /// Null or absent tells nothing.
    fn consent(&self, from: &Claiming<'_>) -> Result<Option<bool>, Reason> {
        match self {
            Telling::Literal(given) => Ok(Some(*given)),
            Telling::Field(place) => match place.read(from) {
                None | Some(Value::Null) => Ok(None),
                Some(Value::Bool(given)) => Ok(Some(given)),
                Some(_) => Err(Reason::ConsentType),
            },
        }
    }
}

impl Telling<Option<Timestamp>> {
    /// The first instant after it; what can't be read has no end.
    fn end(&self, from: &Claiming<'_>) -> Option<Timestamp> {
        match self {
            Telling::Literal(end) => *end,
            Telling::Field(place) => time::read(place.read(from)?, from.zone).ok().map(EventTime::end),
        }
    }
}

impl Telling<String> {
    fn text<'v>(&'v self, from: &Claiming<'v>) -> Option<&'v str> {
        match self {
            Telling::Literal(text) => Some(text),
            Telling::Field(place) => place.read(from)?.as_text(),
        }
    }

    fn hold_id<'v>(&'v self, from: &Claiming<'v>) -> Result<&'v str, Reason> {
        let id = match self {
            Telling::Literal(id) => id,
            Telling::Field(place) => match place.read(from) {
                None | Some(Value::Null) => return Err(Reason::NoHoldId),
                Some(Value::Text(id)) => id,
                Some(number @ Value::Number(_)) => number.as_integer().ok_or(Reason::HoldIdType)?,
                Some(Value::Bool(_) | Value::Array | Value::Object) => return Err(Reason::HoldIdType),
            },
        };
        if id.is_empty() || id.len() > TOLD_BYTES_MAX { Err(Reason::HoldIdLength) } else { Ok(id) }
    }

    /// `None`: absent, which tells nothing; `Some(None)`: null, no longer set.
    fn attribute<'v>(&'v self, from: &Claiming<'v>) -> Result<Option<Option<&'v str>>, Reason> {
        let value = match self {
            Telling::Literal(text) => return Ok(Some(Some(text))),
            Telling::Field(place) => place.read(from),
        };
        let text = match value {
            None => return Ok(None),
            Some(Value::Null) => return Ok(Some(None)),
            Some(scalar) => scalar.as_text().ok_or(Reason::AttributeType)?,
        };
        if text.len() > TOLD_BYTES_MAX { Err(Reason::AttributeTooLong) } else { Ok(Some(Some(text))) }
    }
}
