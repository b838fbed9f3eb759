//! What ingest tells track about one customer. The record's key is the customer's id; the value is a
//! byte for the kind and format of the signal, and the signal.
//!
//! Activities of several customers of a shard travel in one record without a key: to hand over a record costs
//! more than to read or merge what it tells.

use super::bytes::{DecodeError, Reader, Writer};
use crate::retention::activity::KindTag;
use crate::retention::calendar::Timestamp;
use crate::retention::claims::Claim;
use crate::retention::customer::{AckResult, Acknowledgement};
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq)]
pub enum Signal {
    /// The customer was seen doing this; at day resolution `at` is the local day's last second.
    Activity {
        kind: KindTag,
        at: Timestamp,
    },
    Acknowledgement(Acknowledgement),
    Claim(Claim),
    Resend(Resend),
}

/// A person's order to send a target once more what it has removed already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resend {
    /// UUIDv7 (RFC 9562): it tells when it was given.
    pub order: Uuid,
    /// Key of the target.
    pub target: String,
}

impl Resend {
    /// When it was given, by the clock of whoever took it in; `None`: its id doesn't tell.
    pub fn given(&self) -> Option<Timestamp> {
        let (seconds, _) = self.order.get_timestamp().filter(|_| self.order.get_version_num() == 7)?.to_unix();
        Some(Timestamp(i64::try_from(seconds).ok()?))
    }
}

/// How the value of a record with [`Sighting`]s begins.
pub const SIGHTINGS: u8 = 0x82;

const ACTIVITY: u8 = 1;
const ACKNOWLEDGEMENT: u8 = 2;
const CONSENT: u8 = 3;
const HOLD: u8 = 4;
const UNHOLD: u8 = 5;
const ERASURE: u8 = 6;
const ATTRIBUTE: u8 = 7;
const RESEND: u8 = 8;

/// Appends an activity: nine bytes.
pub fn encode_activity(kind: KindTag, at: Timestamp, buffer: &mut Vec<u8>) {
    let mut writer = Writer(buffer);
    writer.byte(ACTIVITY);
    writer.bytes(&kind.0.to_be_bytes());
    writer.bytes(&u32::try_from(at.0.max(1)).unwrap_or(u32::MAX).to_be_bytes());
}

/// An activity among others of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting<'b> {
    pub customer: &'b str,
    pub kind: KindTag,
    pub at: Timestamp,
}

impl Sighting<'_> {
    /// Appends it to those of a record, which it begins if `buffer` is empty.
    pub fn encode(&self, buffer: &mut Vec<u8>) {
        if buffer.is_empty() {
            buffer.push(SIGHTINGS);
        }
        encode_activity(self.kind, self.at, buffer);
        Writer(buffer).text(self.customer);
    }
}

/// The activities of one record.
///
/// # Errors
/// Anything that [`Sighting::encode`] did not write.
pub fn decode_sightings(bytes: &[u8]) -> Result<Vec<Sighting<'_>>, DecodeError> {
    let mut reader = Reader(bytes);
    if reader.byte()? != SIGHTINGS {
        return Err(DecodeError::UnknownFormat);
    }
    let mut sightings = Vec::new();
    while !reader.0.is_empty() {
        if reader.byte()? != ACTIVITY {
            return Err(DecodeError::UnknownFormat);
        }
        let (kind, at) = decode_activity(&mut reader)?;
        sightings.push(Sighting { customer: reader.text()?, kind, at });
    }
    Ok(sightings)
}

fn decode_activity(reader: &mut Reader<'_>) -> Result<(KindTag, Timestamp), DecodeError> {
    let kind = KindTag(u32::from_be_bytes(reader.array()?));
    match u32::from_be_bytes(reader.array()?) {
        0 => Err(DecodeError::Invalid),
        at => Ok((kind, Timestamp(i64::from(at)))),
    }
}

impl Signal {
    pub fn encode(&self, buffer: &mut Vec<u8>) {
        match self {
            Signal::Activity { kind, at } => encode_activity(*kind, *at, buffer),
            Signal::Acknowledgement(acknowledgement) => encode_acknowledgement(acknowledgement, buffer),
            Signal::Claim(claim) => encode_claim(claim, buffer),
            Signal::Resend(resend) => {
                let mut writer = Writer(buffer);
                writer.byte(RESEND);
                writer.bytes(resend.order.as_bytes());
                writer.text(&resend.target);
            }
        }
    }

    /// # Errors
    /// Anything that [`Signal::encode`] did not write.
    pub fn decode(bytes: &[u8]) -> Result<Signal, DecodeError> {
        let mut reader = Reader(bytes);
        let signal = match reader.byte()? {
            ACTIVITY => {
                let (kind, at) = decode_activity(&mut reader)?;
                Signal::Activity { kind, at }
            }
            ACKNOWLEDGEMENT => Signal::Acknowledgement(decode_acknowledgement(&mut reader)?),
            RESEND => {
                let order = Uuid::from_bytes(reader.array()?);
                Signal::Resend(Resend { order, target: reader.text()?.to_owned() })
            }
            kind @ (CONSENT | HOLD | UNHOLD | ERASURE | ATTRIBUTE) => Signal::Claim(decode_claim(kind, &mut reader)?),
            _ => return Err(DecodeError::UnknownFormat),
        };
        reader.finish()?;
        Ok(signal)
    }
}

/// Appends a claim.
pub fn encode_claim(claim: &Claim, buffer: &mut Vec<u8>) {
    let mut writer = Writer(buffer);
    match claim {
        Claim::Consent { name, given, at } => {
            writer.byte(CONSENT);
            writer.text(name);
            writer.byte(u8::from(*given));
            writer.signed(at.0);
        }
        Claim::Hold { id, at, until, reason, policies } => {
            writer.byte(HOLD);
            writer.text(id);
            writer.signed(at.0);
            writer.option(*until, |writer, until| writer.signed(until.0));
            writer.text(reason);
            writer.option(policies.as_deref(), |writer, policies| {
                writer.list(policies, |writer, policy| writer.text(policy));
            });
        }
        Claim::Unhold { id, at } => {
            writer.byte(UNHOLD);
            writer.text(id);
            writer.signed(at.0);
        }
        Claim::Erasure { at } => {
            writer.byte(ERASURE);
            writer.signed(at.0);
        }
        Claim::Attribute { name, value, at } => {
            writer.byte(ATTRIBUTE);
            writer.text(name);
            writer.option(value.as_deref(), |writer, value| writer.text(value));
            writer.signed(at.0);
        }
    }
}

fn decode_claim(kind: u8, reader: &mut Reader<'_>) -> Result<Claim, DecodeError> {
    let text = |reader: &mut Reader<'_>| reader.text().map(str::to_owned);
    let time = |reader: &mut Reader<'_>| reader.signed().map(Timestamp);
    Ok(match kind {
        CONSENT => {
            let name = text(reader)?;
            let given = match reader.byte()? {
                0 => false,
                1 => true,
                _ => return Err(DecodeError::Invalid),
            };
            Claim::Consent { name, given, at: time(reader)? }
        }
        HOLD => {
            let (id, at, until) = (text(reader)?, time(reader)?, reader.option(time)?);
            let reason = text(reader)?;
            let mut policies = reader.option(|reader| reader.list(text))?;
            policies.iter_mut().for_each(|policies| {
                policies.sort_unstable();
                policies.dedup();
            });
            Claim::Hold { id, at, until, reason, policies }
        }
        UNHOLD => Claim::Unhold { id: text(reader)?, at: time(reader)? },
        ERASURE => Claim::Erasure { at: time(reader)? },
        _ => Claim::Attribute { name: text(reader)?, value: reader.option(text)?, at: time(reader)? },
    })
}

fn encode_acknowledgement(acknowledgement: &Acknowledgement, buffer: &mut Vec<u8>) {
    let mut writer = Writer(buffer);
    writer.byte(ACKNOWLEDGEMENT);
    writer.bytes(acknowledgement.command.as_bytes());
    writer.unsigned(u64::from(acknowledgement.attempt));
    writer.text(&acknowledgement.target);
    match acknowledgement.result {
        AckResult::Done => writer.byte(0),
        AckResult::Failed => writer.byte(1),
        AckResult::Retained { until } => {
            writer.byte(2);
            writer.signed(until.0);
        }
    }
    writer.signed(acknowledgement.time.0);
}

fn decode_acknowledgement(reader: &mut Reader<'_>) -> Result<Acknowledgement, DecodeError> {
    let command = Uuid::from_bytes(reader.array()?);
    let attempt = reader.unsigned_as()?;
    let target = reader.text()?.to_owned();
    let result = match reader.byte()? {
        0 => AckResult::Done,
        1 => AckResult::Failed,
        2 => AckResult::Retained { until: Timestamp(reader.signed()?) },
        _ => return Err(DecodeError::Invalid),
    };
    Ok(Acknowledgement { command, attempt, target, result, time: Timestamp(reader.signed()?) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn signals() -> impl Strategy<Value = Signal> {
        let results = prop_oneof![
            Just(AckResult::Done),
            Just(AckResult::Failed),
            any::<i64>().prop_map(|until| AckResult::Retained { until: Timestamp(until) })
        ];
        let acknowledgements = (any::<u128>(), any::<u32>(), ".{0,20}", results, any::<i64>()).prop_map(
            |(id, attempt, target, result, time)| {
                let command = Uuid::from_u128(id);
                Signal::Acknowledgement(Acknowledgement { command, attempt, target, result, time: Timestamp(time) })
            },
        );
        let activities = (any::<u32>(), 1..u32::MAX)
            .prop_map(|(kind, at)| Signal::Activity { kind: KindTag(kind), at: Timestamp(i64::from(at)) });
        let policies = prop::option::of(prop::collection::btree_set("[a-z]{1,9}", 0..3));
        let holds = (".{0,9}", any::<i64>(), any::<Option<i64>>(), ".{0,9}", policies).prop_map(
            |(id, at, until, reason, policies)| Claim::Hold {
                id,
                at: Timestamp(at),
                until: until.map(Timestamp),
                reason,
                policies: policies.map(|policies| policies.into_iter().collect()),
            },
        );
        let claims = prop_oneof![
            (".{0,9}", any::<bool>(), any::<i64>()).prop_map(|(name, given, at)| Claim::Consent {
                name,
                given,
                at: Timestamp(at)
            }),
            holds,
            (".{0,9}", any::<i64>()).prop_map(|(id, at)| Claim::Unhold { id, at: Timestamp(at) }),
            any::<i64>().prop_map(|at| Claim::Erasure { at: Timestamp(at) }),
            (".{0,9}", prop::option::of(".{0,9}"), any::<i64>()).prop_map(|(name, value, at)| Claim::Attribute {
                name,
                value,
                at: Timestamp(at)
            }),
        ];
        let resends = (any::<u128>(), ".{0,9}")
            .prop_map(|(order, target)| Signal::Resend(Resend { order: Uuid::from_u128(order), target }));
        prop_oneof![activities, acknowledgements, claims.prop_map(Signal::Claim), resends]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(signal in signals(), cut in any::<prop::sample::Index>()) {
            let mut bytes = Vec::new();
            signal.encode(&mut bytes);
            prop_assert_eq!(Signal::decode(&bytes), Ok(signal));
            prop_assert!(Signal::decode(&bytes[..cut.index(bytes.len())]).is_err());
        }

        #[test]
        fn sightings_that_are_written_are_read(
            all in prop::collection::vec((".{0,40}", any::<u32>(), 1..u32::MAX), 1..9), cut in any::<prop::sample::Index>()
        ) {
            let sighting = |(customer, kind, at): &'_ (String, u32, u32)| {
                (customer.clone(), KindTag(*kind), Timestamp(i64::from(*at)))
            };
            let all: Vec<_> = all.iter().map(sighting).collect();
            let (mut bytes, mut ends) = (Vec::new(), Vec::new());
            for (customer, kind, at) in &all {
                Sighting { customer, kind: *kind, at: *at }.encode(&mut bytes);
                ends.push(bytes.len());
            }
            let read = |bytes: &[u8]| {
                let owned = |seen: &Sighting<'_>| (seen.customer.to_owned(), seen.kind, seen.at);
                decode_sightings(bytes).map(|all| all.iter().map(owned).collect::<Vec<_>>())
            };
            prop_assert_eq!(read(&bytes), Ok(all.clone()));
            let cut = cut.index(bytes.len());
            let whole = ends.iter().filter(|end| **end <= cut).count();
            let ends_between = cut == 1 || ends.contains(&cut);
            prop_assert_eq!(read(&bytes[..cut]).ok(), ends_between.then(|| all[..whole].to_vec()));
            prop_assert!(Signal::decode(&bytes).is_err() && crate::wire::progress::decode(&bytes).is_err());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = Signal::decode(&bytes);
            let _ = decode_sightings(&bytes);
            let _ = decode_sightings(&[&[SIGHTINGS], bytes.as_slice()].concat());
        }
    }
}
