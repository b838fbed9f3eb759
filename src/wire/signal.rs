//! What ingest tells track about one customer. The record's key is the customer's id; the value is a
//! byte for the kind and format of the signal, and the signal.

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
                let kind = KindTag(u32::from_be_bytes(reader.array()?));
                let at = u32::from_be_bytes(reader.array()?);
                if at == 0 {
                    return Err(DecodeError::Invalid);
                }
                Signal::Activity { kind, at: Timestamp(i64::from(at)) }
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
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = Signal::decode(&bytes);
        }
    }
}
