//! An operator's order to one shard: a record of `signals` without a key, in the shard's partition.

use super::bytes::{DecodeError, Reader, Writer};
use crate::retention::brake::{Instruction, Order};
use crate::retention::calendar::Timestamp;
use crate::retention::gate::Acceptable;
use uuid::Uuid;

/// The first byte of an instruction, as [`PROGRESS`](super::progress::PROGRESS) is of progress.
pub const INSTRUCTION: u8 = 0x81;

const RELEASE: u8 = 1;
const STOP: u8 = 2;
const ACCEPT: u8 = 3;

/// By the byte that stands for each.
const DOUBTS: [Acceptable; 3] = [Acceptable::Silence, Acceptable::Rejects, Acceptable::Gap];

/// Appends an instruction.
pub fn encode(instruction: &Instruction, buffer: &mut Vec<u8>) {
    let mut writer = Writer(buffer);
    writer.byte(INSTRUCTION);
    writer.bytes(instruction.id.as_bytes());
    writer.text(&instruction.by);
    writer.text(&instruction.reason);
    match &instruction.order {
        Order::Release { policy, version, due_before, at_most, per_day } => {
            writer.byte(RELEASE);
            writer.text(policy);
            writer.text(version);
            writer.signed(due_before.0);
            writer.unsigned(*at_most);
            writer.option(*per_day, Writer::unsigned);
        }
        Order::Stop { policy } => {
            writer.byte(STOP);
            writer.option(policy.as_deref(), |writer, policy| writer.text(policy));
        }
        Order::Accept { source, doubt } => {
            writer.byte(ACCEPT);
            writer.text(source);
            writer.byte(DOUBTS.iter().position(|known| known == doubt).map_or(u8::MAX, |place| place as u8));
        }
    }
}

/// # Errors
/// Anything that [`encode`] did not write.
pub fn decode(bytes: &[u8]) -> Result<Instruction, DecodeError> {
    let text = |reader: &mut Reader<'_>| reader.text().map(str::to_owned);
    let mut reader = Reader(bytes);
    if reader.byte()? != INSTRUCTION {
        return Err(DecodeError::UnknownFormat);
    }
    let id = Uuid::from_bytes(reader.array()?);
    let (by, reason) = (text(&mut reader)?, text(&mut reader)?);
    let order = match reader.byte()? {
        RELEASE => Order::Release {
            policy: text(&mut reader)?,
            version: text(&mut reader)?,
            due_before: Timestamp(reader.signed()?),
            at_most: reader.unsigned()?,
            per_day: reader.option(Reader::unsigned)?,
        },
        STOP => Order::Stop { policy: reader.option(text)? },
        ACCEPT => {
            let source = text(&mut reader)?;
            let doubt = DOUBTS.get(usize::from(reader.byte()?)).copied().ok_or(DecodeError::Invalid)?;
            Order::Accept { source, doubt }
        }
        _ => return Err(DecodeError::UnknownFormat),
    };
    reader.finish()?;
    Ok(Instruction { id, by, reason, order })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn instructions() -> impl Strategy<Value = Instruction> {
        let release = (".{0,9}", ".{0,9}", any::<i64>(), any::<u64>(), any::<Option<u64>>()).prop_map(
            |(policy, version, due_before, at_most, per_day)| {
                let due_before = Timestamp(due_before);
                Order::Release { policy, version, due_before, at_most, per_day }
            },
        );
        let stop = prop::option::of(".{0,9}").prop_map(|policy| Order::Stop { policy });
        let accept = (".{0,9}", prop::sample::select(DOUBTS.to_vec()))
            .prop_map(|(source, doubt)| Order::Accept { source, doubt });
        (any::<u128>(), ".{0,9}", ".{0,9}", prop_oneof![release, stop, accept])
            .prop_map(|(id, by, reason, order)| Instruction { id: Uuid::from_u128(id), by, reason, order })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(instruction in instructions(), cut in any::<prop::sample::Index>()) {
            let mut bytes = Vec::new();
            encode(&instruction, &mut bytes);
            prop_assert!(decode(&bytes[..cut.index(bytes.len())]).is_err());
            prop_assert_eq!(decode(&bytes), Ok(instruction));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = decode(&bytes);
        }
    }
}
