//! The changelog's records: a customer's state, by customer, and what the shard itself must remember,
//! by keys that begin with a null character, which no customer's id contains.

use super::bytes::{DecodeError, Reader, Writer};
use crate::retention::activity::{KindTag, LastSeen};
use crate::retention::brake::{Brakes, Lane, PolicyBrake, Release, Stopped, TextHash};
use crate::retention::calendar::Timestamp;
use crate::retention::claims::{Attribute, Claims, Consent, Hold, HoldTag, Placed};
use crate::retention::command::{Cause, Kept, Next, Since};
use crate::retention::customer::{Course, Deferral, Left, Recalled, Record, Reply, Request, Resend, Retained, Sent};
use crate::retention::decide::Farewell;
use crate::retention::gate::Memory;
use crate::retention::gate::acceptance::{AcceptedRejects, AcceptedSilence};
use crate::retention::gate::memory::{HeardPartition, SourceMemory};
use crate::retention::policy::{Action, StageId};
use crate::retention::pseudonym::Pseudonym;
use chrono::{Datelike, NaiveDate};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Of the format below. One release reads a format before the next writes it.
const FORMAT: u8 = 1;
/// Of what the gate remembers; the first knew of no acceptance.
const GATE_FORMAT: u8 = 2;

/// Key of the header, the first record of each partition.
pub const HEADER_KEY: &[u8] = b"\0header";
/// Key of what the gate remembers.
pub const GATE_KEY: &[u8] = b"\0gate";
/// Key of what the brakes remember.
pub const BRAKES_KEY: &[u8] = b"\0brakes";
/// Key of how far a shard's clock had come.
pub const CLOCK_KEY: &[u8] = b"\0clock";
/// The beginning of the key of what is left of a forgotten customer; their pseudonym follows.
const FAREWELL_PREFIX: &[u8] = b"\0gone:";

/// The key of what is left of a forgotten customer.
pub fn farewell_key(pseudonym: Pseudonym) -> [u8; 22] {
    let mut key = [0; 22];
    key[..FAREWELL_PREFIX.len()].copy_from_slice(FAREWELL_PREFIX);
    key[FAREWELL_PREFIX.len()..].copy_from_slice(&pseudonym.0);
    key
}

/// Whose farewell a key is of; `None`: of nobody's.
pub fn pseudonym_of_key(key: &[u8]) -> Option<Pseudonym> {
    key.strip_prefix(FAREWELL_PREFIX)?.try_into().ok().map(Pseudonym)
}

/// What a state partition is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// How many shards there are, for ever.
    pub partitions: u32,
    /// Of the cluster it was first written at.
    pub cluster: String,
}

impl Header {
    pub fn encode(&self, buffer: &mut Vec<u8>) {
        let mut writer = Writer(buffer);
        writer.byte(FORMAT);
        writer.unsigned(u64::from(self.partitions));
        writer.text(&self.cluster);
    }

    /// # Errors
    /// Anything that [`Header::encode`] of a known format did not write.
    pub fn decode(bytes: &[u8]) -> Result<Header, DecodeError> {
        let mut reader = Reader(bytes);
        if reader.byte()? != FORMAT {
            return Err(DecodeError::UnknownFormat);
        }
        let header = Header { partitions: reader.unsigned_as()?, cluster: reader.text()?.to_owned() };
        reader.finish()?;
        Ok(header)
    }
}

/// Appends how far a shard's clock has come.
pub fn encode_clock(now: Timestamp, buffer: &mut Vec<u8>) {
    let mut writer = Writer(buffer);
    writer.byte(FORMAT);
    writer.signed(now.0);
}

/// # Errors
/// Anything that [`encode_clock`] of a known format did not write.
pub fn decode_clock(bytes: &[u8]) -> Result<Timestamp, DecodeError> {
    let mut reader = Reader(bytes);
    if reader.byte()? != FORMAT {
        return Err(DecodeError::UnknownFormat);
    }
    let now = Timestamp(reader.signed()?);
    reader.finish()?;
    Ok(now)
}

/// Appends what a shard's gate remembers.
pub fn encode_gate(memory: &Memory, buffer: &mut Vec<u8>) {
    let mut writer = Writer(buffer);
    writer.byte(GATE_FORMAT);
    writer.unsigned(memory.sources.len() as u64);
    for (source, memory) in &memory.sources {
        writer.text(source);
        writer.option(memory.rejected_reading, Writer::unsigned);
        writer.byte(u8::from(memory.begins_anew));
        writer.option(memory.unknown_before, |writer, at| writer.signed(at.0));
        writer.option(memory.known_since, |writer, at| writer.signed(at.0));
        writer.unsigned(memory.partitions.len() as u64);
        for (topic, partitions) in &memory.partitions {
            writer.text(topic);
            writer.unsigned(partitions.len() as u64);
            for (partition, heard) in partitions {
                writer.unsigned(u64::from(*partition));
                write_heard(&mut writer, heard);
            }
        }
        writer.unsigned(memory.silences.len() as u64);
        for (topic, rules) in &memory.silences {
            writer.text(topic);
            writer.unsigned(rules.len() as u64);
            for (rule, accepted) in rules {
                writer.unsigned(u64::from(*rule));
                writer.unsigned(accepted.reading);
                writer.signed(accepted.at.0);
                writer.option(accepted.ended, |writer, at| writer.signed(at.0));
            }
        }
    }
}

fn write_heard(writer: &mut Writer<'_>, heard: &HeardPartition) {
    writer.unsigned(heard.reading);
    writer.signed(heard.first_read.0);
    for at in [heard.gap, heard.accepted_gap, heard.lost] {
        writer.option(at, |writer, at| writer.signed(at.0));
    }
    match heard.rejects {
        AcceptedRejects::Nothing => writer.byte(0),
        AcceptedRejects::UntilHeard => writer.byte(1),
        AcceptedRejects::UpTo(total) => {
            writer.byte(2);
            writer.unsigned(total);
        }
    }
}

fn read_heard(reader: &mut Reader<'_>, format: u8) -> Result<HeardPartition, DecodeError> {
    let heard = HeardPartition::new(reader.unsigned()?, read_time(reader)?);
    if format < GATE_FORMAT {
        return Ok(heard);
    }
    Ok(HeardPartition {
        gap: reader.option(read_time)?,
        accepted_gap: reader.option(read_time)?,
        lost: reader.option(read_time)?,
        rejects: match reader.byte()? {
            0 => AcceptedRejects::Nothing,
            1 => AcceptedRejects::UntilHeard,
            2 => AcceptedRejects::UpTo(reader.unsigned()?),
            _ => return Err(DecodeError::Invalid),
        },
        ..heard
    })
}

fn read_silences(reader: &mut Reader<'_>) -> Result<BTreeMap<String, BTreeMap<u16, AcceptedSilence>>, DecodeError> {
    let topics = reader.list(|reader| {
        let topic = read_text(reader)?;
        let rules = reader.list(|reader| {
            let (rule, reading) = (reader.unsigned_as()?, reader.unsigned()?);
            let (at, ended) = (read_time(reader)?, reader.option(read_time)?);
            Ok((rule, AcceptedSilence { reading, at, ended }))
        })?;
        Ok((topic, rules.into_iter().collect()))
    })?;
    Ok(topics.into_iter().collect())
}

/// # Errors
/// Anything that [`encode_gate`] of a known format did not write.
pub fn decode_gate(bytes: &[u8]) -> Result<Memory, DecodeError> {
    let mut reader = Reader(bytes);
    let format = reader.byte()?;
    if !(1..=GATE_FORMAT).contains(&format) {
        return Err(DecodeError::UnknownFormat);
    }
    let sources = reader.list(|reader| Ok((read_text(reader)?, read_source_memory(reader, format)?)))?;
    reader.finish()?;
    Ok(Memory { sources: sources.into_iter().collect() })
}

fn read_source_memory(reader: &mut Reader<'_>, format: u8) -> Result<SourceMemory, DecodeError> {
    let rejected_reading = reader.option(Reader::unsigned)?;
    let begins_anew = reader.byte()? != 0;
    let unknown_before = reader.option(read_time)?;
    let known_since = reader.option(read_time)?;
    let partitions = reader.list(|reader| {
        let topic = read_text(reader)?;
        let heard = reader.list(|reader| {
            let partition = reader.unsigned_as()?;
            Ok((partition, read_heard(reader, format)?))
        })?;
        Ok((topic, heard.into_iter().collect()))
    })?;
    Ok(SourceMemory {
        rejected_reading,
        begins_anew,
        unknown_before,
        known_since,
        partitions: partitions.into_iter().collect(),
        silences: if format < GATE_FORMAT { BTreeMap::new() } else { read_silences(reader)? },
    })
}

/// Of what the brakes remember; the one before had neither texts nor when a release was given.
const BRAKES_FORMAT: u8 = 2;

/// Appends what the brakes remember.
pub fn encode_brakes(brakes: &Brakes, buffer: &mut Vec<u8>) {
    let mut writer = Writer(buffer);
    writer.byte(BRAKES_FORMAT);
    writer.option(brakes.first_run, |writer, at| writer.signed(at.0));
    writer.list(&brakes.instructions, |writer, id| writer.bytes(id.as_bytes()));
    writer.unsigned(brakes.policies.len() as u64);
    for (policy, brake) in &brakes.policies {
        writer.text(policy);
        writer.text(&brake.version);
        writer.option(brake.text, |writer, text| writer.bytes(&text.0));
        writer.signed(brake.effective.0);
        writer.signed(i64::from(brake.day.num_days_from_ce()));
        for lane in [brake.by_period, brake.on_request] {
            writer.unsigned(lane.customers);
            writer.option(lane.tripped, |writer, at| writer.signed(at.0));
        }
        writer.option(brake.stopped.as_ref(), |writer, stopped| {
            writer.signed(stopped.at.0);
            writer.text(&stopped.by);
            writer.text(&stopped.reason);
        });
        writer.list(&brake.releases, |writer, release| {
            writer.bytes(release.id.as_bytes());
            writer.signed(release.given.0);
            writer.signed(release.due_before.0);
            writer.unsigned(release.left);
            writer.option(release.per_day, Writer::unsigned);
            writer.unsigned(release.today);
        });
    }
}

/// # Errors
/// Anything that [`encode_brakes`] of a known format did not write.
pub fn decode_brakes(bytes: &[u8]) -> Result<Brakes, DecodeError> {
    let mut reader = Reader(bytes);
    let format = reader.byte()?;
    if ![FORMAT, BRAKES_FORMAT].contains(&format) {
        return Err(DecodeError::UnknownFormat);
    }
    let is_old = format == FORMAT;
    let first_run = reader.option(read_time)?;
    let instructions = reader.list(|reader| Ok(Uuid::from_bytes(reader.array()?)))?;
    let policies = reader.list(|reader| Ok((read_text(reader)?, read_policy_brake(reader, is_old)?)))?;
    reader.finish()?;
    Ok(Brakes { first_run, instructions, policies: policies.into_iter().collect() })
}

fn read_policy_brake(reader: &mut Reader<'_>, is_old: bool) -> Result<PolicyBrake, DecodeError> {
    let version = read_text(reader)?;
    let text = if is_old { None } else { reader.option(|reader| Ok(TextHash(reader.array()?)))? };
    let effective = read_time(reader)?;
    let day = i32::try_from(reader.signed()?).ok().and_then(NaiveDate::from_num_days_from_ce_opt);
    Ok(PolicyBrake {
        version,
        text,
        effective,
        day: day.ok_or(DecodeError::Invalid)?,
        by_period: read_lane(reader)?,
        on_request: read_lane(reader)?,
        stopped: reader.option(|reader| {
            Ok(Stopped { at: read_time(reader)?, by: read_text(reader)?, reason: read_text(reader)? })
        })?,
        releases: reader.list(|reader| {
            let id = Uuid::from_bytes(reader.array()?);
            let given = if is_old { None } else { Some(read_time(reader)?) };
            let due_before = read_time(reader)?;
            Ok(Release {
                id,
                // The date is no earlier than most requests it was given for.
                given: given.unwrap_or(due_before),
                due_before,
                left: reader.unsigned()?,
                per_day: reader.option(Reader::unsigned)?,
                today: reader.unsigned()?,
            })
        })?,
    })
}

fn read_lane(reader: &mut Reader<'_>) -> Result<Lane, DecodeError> {
    Ok(Lane { customers: reader.unsigned()?, tripped: reader.option(read_time)? })
}

/// Appends what is left of a forgotten customer.
pub fn encode_farewell(farewell: &Farewell, buffer: &mut Vec<u8>) {
    let mut writer = Writer(buffer);
    writer.byte(FORMAT);
    writer.signed(farewell.end.0);
    write_cause(&mut writer, farewell.cause);
    writer.list(&farewell.policies, |writer, policy| writer.text(policy));
    writer.list(&farewell.withdrawn, |writer, (name, at)| {
        writer.text(name);
        writer.signed(at.0);
    });
    writer.signed(farewell.served.0);
}

/// # Errors
/// Anything that [`encode_farewell`] of a known format did not write.
pub fn decode_farewell(bytes: &[u8]) -> Result<Farewell, DecodeError> {
    let mut reader = Reader(bytes);
    if reader.byte()? != FORMAT {
        return Err(DecodeError::UnknownFormat);
    }
    let (end, cause) = (read_time(&mut reader)?, read_cause(&mut reader)?);
    let policies = reader.list(read_text)?;
    let withdrawn = reader.list(|reader| Ok((read_text(reader)?, read_time(reader)?)))?;
    let served = read_time(&mut reader)?;
    reader.finish()?;
    Ok(Farewell { end, cause, policies, withdrawn, served })
}

/// A customer's state as the changelog holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CustomerState<'b> {
    seen: &'b [u8],
    /// What [`encode_record`] wrote; empty: nothing was ever sent.
    pub record: &'b [u8],
}

/// Appends a customer's state: kinds that were ever seen, whether or not the configuration still names
/// them, and what [`encode_record`] wrote.
pub fn encode_customer(seen: impl Iterator<Item = (KindTag, LastSeen)> + Clone, record: &[u8], buffer: &mut Vec<u8>) {
    let mut writer = Writer(buffer);
    writer.byte(FORMAT);
    writer.unsigned(seen.clone().count() as u64);
    for (kind, at) in seen {
        writer.bytes(&kind.0.to_be_bytes());
        writer.bytes(&at.0.to_be_bytes());
    }
    writer.bytes(record);
}

impl<'b> CustomerState<'b> {
    /// # Errors
    /// Anything that [`encode_customer`] of a known format did not write.
    pub fn decode(bytes: &'b [u8]) -> Result<CustomerState<'b>, DecodeError> {
        let mut reader = Reader(bytes);
        if reader.byte()? != FORMAT {
            return Err(DecodeError::UnknownFormat);
        }
        let kinds: usize = reader.unsigned_as()?;
        let seen = reader.bytes(kinds.saturating_mul(8))?;
        decode_record(reader.0)?;
        Ok(CustomerState { seen, record: reader.0 })
    }

    /// Kinds that were ever seen, whether or not the configuration still names them.
    pub fn seen(&self) -> impl ExactSizeIterator<Item = (KindTag, LastSeen)> + use<'b> {
        let (kinds, _) = self.seen.as_chunks::<8>();
        kinds.iter().map(|[a, b, c, d, at @ ..]| {
            (KindTag(u32::from_be_bytes([*a, *b, *c, *d])), LastSeen(u32::from_be_bytes(*at)))
        })
    }
}

/// Appends what was sent to a customer and came back: nothing for nothing.
pub fn encode_record(record: &Record, buffer: &mut Vec<u8>) {
    if !record.is_empty() {
        let mut writer = Writer(buffer);
        writer.list(&record.courses, write_course);
        writer.list(&record.recalls, write_recalled);
        write_claims(&mut writer, &record.claims);
        write_additions(&mut writer, record);
    }
}

/// What a record has come to remember since the first ones of this format were written. Those end before it,
/// and most still do: it is written only where there is something.
fn write_additions(writer: &mut Writer<'_>, record: &Record) {
    let Record { courses, resends, .. } = record;
    let has_more = courses.iter().any(|course| course.refused_start.or(course.returned).is_some());
    if has_more || !resends.is_empty() {
        for course in courses {
            writer.option(course.refused_start, |writer, at| writer.signed(at.0));
            writer.option(course.returned, |writer, at| writer.signed(at.0));
        }
    }
    if !resends.is_empty() {
        writer.list(resends, write_resend);
    }
}

fn read_additions(reader: &mut Reader<'_>, record: &mut Record) -> Result<(), DecodeError> {
    if !reader.0.is_empty() {
        for course in &mut record.courses {
            course.refused_start = reader.option(read_time)?;
            course.returned = reader.option(read_time)?;
        }
    }
    if !reader.0.is_empty() {
        record.resends = reader.list(read_resend)?;
    }
    Ok(())
}

fn write_resend(writer: &mut Writer<'_>, resend: &Resend) {
    writer.bytes(resend.order.as_bytes());
    writer.text(&resend.target);
    writer.signed(resend.ordered.0);
    writer.signed(resend.end.0);
    write_cause(writer, resend.cause);
    writer.list(&resend.policies, |writer, policy| writer.text(policy));
    writer.list(&resend.sent, |writer, (policy, sent)| {
        writer.text(policy);
        write_sent(writer, sent);
    });
    writer.byte(u8::from(resend.is_over));
}

fn read_resend(reader: &mut Reader<'_>) -> Result<Resend, DecodeError> {
    Ok(Resend {
        order: Uuid::from_bytes(reader.array()?),
        target: read_text(reader)?,
        ordered: read_time(reader)?,
        end: read_time(reader)?,
        cause: read_cause(reader)?,
        policies: reader.list(read_text)?,
        sent: reader.list(|reader| Ok((read_text(reader)?, read_sent(reader)?)))?,
        is_over: read_flag(reader)?,
    })
}

/// # Errors
/// Anything that [`encode_record`] did not write.
pub fn decode_record(bytes: &[u8]) -> Result<Record, DecodeError> {
    if bytes.is_empty() {
        return Ok(Record::default());
    }
    let mut reader = Reader(bytes);
    let (courses, recalls) = (reader.list(read_course)?, reader.list(read_recalled)?);
    let mut record = Record { courses, recalls, claims: read_claims(&mut reader)?, resends: Vec::new() };
    read_additions(&mut reader, &mut record)?;
    reader.finish()?;
    Ok(record)
}

fn write_course(writer: &mut Writer<'_>, course: &Course) {
    writer.text(&course.policy);
    writer.unsigned(u64::from(course.round));
    writer.option(course.since, |writer, since| writer.signed(since.0));
    writer.list(&course.sent, write_sent);
    writer.list(&course.left, |writer, left| {
        writer.text(&left.target);
        write_stage(writer, left.stage);
        writer.list(&left.categories, |writer, name| writer.text(name));
        writer.option(left.request, |writer, request| {
            write_cause(writer, request.cause);
            writer.signed(request.at.0);
        });
        writer.signed(left.since.0);
        writer.byte(u8::from(left.again));
        writer.list(&left.outlasted, |writer, name| writer.text(name));
    });
    writer.option(course.served, |writer, at| writer.signed(at.0));
    writer.option(course.withdrawn, |writer, at| writer.signed(at.0));
    writer.option(course.refused_since, |writer, at| writer.signed(at.0));
    writer.list(&course.retained, |writer, retained| {
        writer.bytes(retained.command.as_bytes());
        writer.text(&retained.target);
        writer.signed(retained.until.0);
    });
    writer.option(course.deferral.as_ref(), |writer, deferral| {
        writer.text(&deferral.id);
        writer.option(deferral.until, |writer, at| writer.signed(at.0));
        writer.option(deferral.lifted, |writer, at| writer.signed(at.0));
    });
}

fn read_course(reader: &mut Reader<'_>) -> Result<Course, DecodeError> {
    Ok(Course {
        policy: reader.text()?.to_owned(),
        round: reader.unsigned_as()?,
        since: reader.option(read_time)?,
        sent: reader.list(read_sent)?,
        left: reader.list(|reader| {
            let target = reader.text()?.to_owned();
            let stage = read_stage(reader)?;
            let categories = reader.list(read_text)?;
            let request = reader.option(|reader| Ok(Request { cause: read_cause(reader)?, at: read_time(reader)? }))?;
            let since = read_time(reader)?;
            let (again, outlasted) = (read_flag(reader)?, reader.list(read_text)?);
            Ok(Left { target, stage, categories, request, since, again, outlasted })
        })?,
        served: reader.option(read_time)?,
        withdrawn: reader.option(read_time)?,
        refused_since: reader.option(read_time)?,
        refused_start: None,
        returned: None,
        retained: reader.list(|reader| {
            let command = Uuid::from_bytes(reader.array()?);
            Ok(Retained { command, target: read_text(reader)?, until: read_time(reader)? })
        })?,
        deferral: reader.option(|reader| {
            let id = read_text(reader)?;
            Ok(Deferral { id, until: reader.option(read_time)?, lifted: reader.option(read_time)? })
        })?,
    })
}

fn write_claims(writer: &mut Writer<'_>, claims: &Claims) {
    writer.list(&claims.consents, |writer, consent| {
        writer.text(&consent.name);
        writer.option(consent.given, |writer, at| writer.signed(at.0));
        writer.option(consent.withdrawn, |writer, at| writer.signed(at.0));
    });
    writer.list(&claims.holds, |writer, hold| {
        writer.bytes(&hold.tag.0.to_be_bytes());
        writer.signed(hold.at.0);
        writer.option(hold.placed.as_ref(), |writer, placed| {
            writer.text(&placed.id);
            writer.option(placed.until, |writer, at| writer.signed(at.0));
            writer.text(&placed.reason);
            writer.option(placed.policies.as_deref(), |writer, policies| {
                writer.list(policies, |writer, policy| writer.text(policy));
            });
        });
    });
    writer.list(&claims.attributes, |writer, attribute| {
        writer.text(&attribute.name);
        writer.signed(attribute.at.0);
        writer.option(attribute.value.as_deref(), |writer, value| writer.text(value));
    });
    writer.option(claims.erasure, |writer, at| writer.signed(at.0));
}

fn read_claims(reader: &mut Reader<'_>) -> Result<Claims, DecodeError> {
    Ok(Claims {
        consents: reader.list(|reader| {
            let name = read_text(reader)?;
            Ok(Consent { name, given: reader.option(read_time)?, withdrawn: reader.option(read_time)? })
        })?,
        holds: reader.list(|reader| {
            let (tag, at) = (HoldTag(u64::from_be_bytes(reader.array()?)), read_time(reader)?);
            Ok(Hold { tag, at, placed: reader.option(read_placed)? })
        })?,
        attributes: reader.list(|reader| {
            let (name, at) = (read_text(reader)?, read_time(reader)?);
            Ok(Attribute { name, at, value: reader.option(read_text)? })
        })?,
        erasure: reader.option(read_time)?,
    })
}

fn read_placed(reader: &mut Reader<'_>) -> Result<Placed, DecodeError> {
    let (id, until) = (read_text(reader)?, reader.option(read_time)?);
    let reason = read_text(reader)?;
    Ok(Placed { id, until, reason, policies: reader.option(|reader| reader.list(read_text))? })
}

fn write_cause(writer: &mut Writer<'_>, cause: Cause) {
    writer.byte(match cause {
        Cause::Period => 0,
        Cause::Withdrawn => 1,
        Cause::ErasureRequest => 2,
    });
}

fn read_cause(reader: &mut Reader<'_>) -> Result<Cause, DecodeError> {
    Ok(match reader.byte()? {
        0 => Cause::Period,
        1 => Cause::Withdrawn,
        2 => Cause::ErasureRequest,
        _ => return Err(DecodeError::Invalid),
    })
}

fn read_flag(reader: &mut Reader<'_>) -> Result<bool, DecodeError> {
    Ok(match reader.byte()? {
        0 => false,
        1 => true,
        _ => return Err(DecodeError::Invalid),
    })
}

fn write_sent(writer: &mut Writer<'_>, sent: &Sent) {
    writer.bytes(sent.id.as_bytes());
    writer.unsigned(u64::from(sent.round));
    writer.text(&sent.target);
    write_stage(writer, sent.stage);
    write_cause(writer, sent.cause);
    writer.text(&sent.policy_version);
    writer.list(&sent.categories, |writer, name| writer.text(name));
    writer.list(&sent.kept, |writer, kept| {
        writer.text(&kept.category);
        writer.text(&kept.by);
    });
    writer.text(&sent.since.kind);
    writer.signed(sent.since.at.0);
    writer.signed(sent.deadline.0);
    writer.option(sent.deferred_by.as_deref(), |writer, name| writer.text(name));
    writer.option(sent.next, |writer, next| {
        write_action(writer, next.action);
        writer.signed(next.on.0);
    });
    writer.signed(sent.sent_at.0);
    writer.signed(sent.first_sent_at.0);
    writer.unsigned(u64::from(sent.attempt));
    writer.option(sent.expires, |writer, at| writer.signed(at.0));
    write_reply(writer, sent.reply);
    writer.byte(u8::from(sent.followed));
}

fn read_sent(reader: &mut Reader<'_>) -> Result<Sent, DecodeError> {
    Ok(Sent {
        id: Uuid::from_bytes(reader.array()?),
        round: reader.unsigned_as()?,
        target: reader.text()?.to_owned(),
        stage: read_stage(reader)?,
        cause: read_cause(reader)?,
        policy_version: reader.text()?.to_owned(),
        categories: reader.list(read_text)?,
        kept: reader.list(|reader| Ok(Kept { category: read_text(reader)?, by: read_text(reader)? }))?,
        since: Since { kind: reader.text()?.to_owned(), at: read_time(reader)? },
        deadline: read_time(reader)?,
        deferred_by: reader.option(read_text)?,
        next: reader.option(|reader| Ok(Next { action: read_action(reader)?, on: read_time(reader)? }))?,
        sent_at: read_time(reader)?,
        first_sent_at: read_time(reader)?,
        attempt: reader.unsigned_as()?,
        expires: reader.option(read_time)?,
        reply: read_reply(reader)?,
        followed: read_flag(reader)?,
    })
}

fn write_recalled(writer: &mut Writer<'_>, recalled: &Recalled) {
    writer.bytes(recalled.id.as_bytes());
    writer.text(&recalled.policy);
    write_sent(writer, &recalled.command);
    writer.signed(recalled.sent_at.0);
    writer.unsigned(u64::from(recalled.attempt));
}

fn read_recalled(reader: &mut Reader<'_>) -> Result<Recalled, DecodeError> {
    Ok(Recalled {
        id: Uuid::from_bytes(reader.array()?),
        policy: reader.text()?.to_owned(),
        command: read_sent(reader)?,
        sent_at: read_time(reader)?,
        attempt: reader.unsigned_as()?,
    })
}

fn write_reply(writer: &mut Writer<'_>, reply: Reply) {
    match reply {
        Reply::None => writer.byte(0),
        Reply::Done { at, heard } => {
            writer.byte(1);
            writer.signed(at.0);
            writer.signed(heard.0);
        }
        Reply::Retained { attempt, until } => {
            writer.byte(2);
            writer.unsigned(u64::from(attempt));
            writer.signed(until.0);
        }
        Reply::Failed { attempt } => {
            writer.byte(3);
            writer.unsigned(u64::from(attempt));
        }
    }
}

fn read_reply(reader: &mut Reader<'_>) -> Result<Reply, DecodeError> {
    Ok(match reader.byte()? {
        0 => Reply::None,
        1 => Reply::Done { at: read_time(reader)?, heard: read_time(reader)? },
        2 => Reply::Retained { attempt: reader.unsigned_as()?, until: read_time(reader)? },
        3 => Reply::Failed { attempt: reader.unsigned_as()? },
        _ => return Err(DecodeError::Invalid),
    })
}

fn write_stage(writer: &mut Writer<'_>, stage: StageId) {
    write_action(writer, stage.action);
    writer.byte(stage.nth);
}

fn read_stage(reader: &mut Reader<'_>) -> Result<StageId, DecodeError> {
    Ok(StageId { action: read_action(reader)?, nth: reader.byte()? })
}

fn write_action(writer: &mut Writer<'_>, action: Action) {
    writer.byte(match action {
        Action::Warn => 0,
        Action::Expire => 1,
        Action::Anonymise => 2,
    });
}

fn read_action(reader: &mut Reader<'_>) -> Result<Action, DecodeError> {
    Ok(match reader.byte()? {
        0 => Action::Warn,
        1 => Action::Expire,
        2 => Action::Anonymise,
        _ => return Err(DecodeError::Invalid),
    })
}

fn read_text(reader: &mut Reader<'_>) -> Result<String, DecodeError> {
    reader.text().map(str::to_owned)
}

fn read_time(reader: &mut Reader<'_>) -> Result<Timestamp, DecodeError> {
    reader.signed().map(Timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn claims() -> impl Strategy<Value = Claims> {
        let consent = (".{0,9}", any::<Option<i64>>(), any::<Option<i64>>()).prop_map(|(name, given, withdrawn)| {
            Consent { name, given: given.map(Timestamp), withdrawn: withdrawn.map(Timestamp) }
        });
        let policies = prop::option::of(prop::collection::vec(".{0,9}", 0..3));
        let placed = (".{0,9}", any::<Option<i64>>(), ".{0,9}", policies)
            .prop_map(|(id, until, reason, policies)| Placed { id, until: until.map(Timestamp), reason, policies });
        let hold = (any::<u64>(), any::<i64>(), prop::option::of(placed)).prop_map(|(tag, at, placed)| Hold {
            tag: HoldTag(tag),
            at: Timestamp(at),
            placed,
        });
        let attribute = (".{0,9}", any::<i64>(), prop::option::of(".{0,9}")).prop_map(|(name, at, value)| Attribute {
            name,
            at: Timestamp(at),
            value,
        });
        let consents = prop::collection::vec(consent, 0..3);
        let (holds, attributes) = (prop::collection::vec(hold, 0..3), prop::collection::vec(attribute, 0..3));
        (consents, holds, attributes, any::<Option<i64>>()).prop_map(|(consents, holds, attributes, erasure)| Claims {
            consents,
            holds,
            attributes,
            erasure: erasure.map(Timestamp),
        })
    }

    fn records() -> impl Strategy<Value = Record> {
        let sent = (any::<u128>(), ".{0,9}", 0..4_u8, any::<i64>(), any::<bool>(), 0..9_u32).prop_map(
            |(id, text, shape, at, some, attempt)| Sent {
                id: Uuid::from_u128(id),
                round: attempt,
                target: text.clone(),
                stage: StageId {
                    action: [Action::Warn, Action::Expire, Action::Anonymise][usize::from(shape % 3)],
                    nth: shape,
                },
                cause: [Cause::Period, Cause::Withdrawn, Cause::ErasureRequest][usize::from(shape % 3)],
                policy_version: text.clone(),
                categories: vec![text.clone(); usize::from(shape)],
                kept: vec![Kept { category: text.clone(), by: text.clone() }],
                since: Since { kind: text.clone(), at: Timestamp(at) },
                deadline: Timestamp(at.wrapping_add(1)),
                deferred_by: some.then_some(text),
                next: some.then_some(Next { action: Action::Expire, on: Timestamp(at) }),
                sent_at: Timestamp(at),
                first_sent_at: Timestamp(at),
                attempt,
                expires: some.then_some(Timestamp(at)),
                reply: match shape {
                    0 => Reply::None,
                    1 => Reply::Done { at: Timestamp(at), heard: Timestamp(at) },
                    2 => Reply::Retained { attempt, until: Timestamp(at) },
                    _ => Reply::Failed { attempt },
                },
                followed: some,
            },
        );
        let sents = prop::collection::vec(sent, 0..4);
        (sents, ".{0,9}", any::<u32>(), any::<Option<i64>>(), claims()).prop_map(
            |(sent, policy, round, since, claims)| {
                let sent_again = if round % 5 < 2 { sent.clone() } else { Vec::new() };
                let recalls = sent.iter().map(|command| Recalled {
                    id: command.id,
                    policy: policy.clone(),
                    command: command.clone(),
                    sent_at: command.sent_at,
                    attempt: round,
                });
                let recalls = recalls.collect();
                let left = sent.iter().map(|sent| Left {
                    target: sent.target.clone(),
                    stage: sent.stage,
                    categories: sent.categories.clone(),
                    request: sent.next.map(|next| Request { cause: sent.cause, at: next.on }),
                    since: sent.sent_at,
                    again: sent.expires.is_some(),
                    outlasted: sent.categories.clone(),
                });
                let (left, since) = (left.collect::<Vec<Left>>(), since.map(Timestamp));
                let deferral = since.map(|lifted| Deferral { id: policy.clone(), until: since, lifted: Some(lifted) });
                let retained = left.iter().map(|left: &Left| Retained {
                    command: Uuid::nil(),
                    target: left.target.clone(),
                    until: left.since,
                });
                let retained = retained.collect();
                let course = Course {
                    round,
                    since,
                    sent,
                    left,
                    served: since,
                    withdrawn: since,
                    refused_since: since,
                    refused_start: since,
                    returned: since,
                    retained,
                    deferral,
                    policy,
                };
                let resends = sent_again.into_iter().map(|sent| Resend {
                    order: sent.id,
                    target: sent.target.clone(),
                    ordered: sent.sent_at,
                    end: sent.deadline,
                    cause: sent.cause,
                    policies: sent.categories.clone(),
                    is_over: sent.followed,
                    sent: vec![(sent.target.clone(), sent); usize::from(round % 2 == 0)],
                });
                let courses = if round % 3 == 0 { Vec::new() } else { vec![course] };
                Record { courses, recalls, claims, resends: resends.collect() }
            },
        )
    }

    fn memories() -> impl Strategy<Value = Memory> {
        let rejects = prop_oneof![
            Just(AcceptedRejects::Nothing),
            Just(AcceptedRejects::UntilHeard),
            any::<u64>().prop_map(AcceptedRejects::UpTo),
        ];
        let doubts = any::<[Option<i64>; 3]>().prop_map(|times| times.map(|time| time.map(Timestamp)));
        let heard = (any::<(u64, i64)>(), doubts, rejects).prop_map(
            |((reading, since), [gap, accepted_gap, lost], rejects)| HeardPartition {
                gap,
                accepted_gap,
                lost,
                rejects,
                ..HeardPartition::new(reading, Timestamp(since))
            },
        );
        let silence = any::<(u64, i64, Option<i64>)>().prop_map(|(reading, at, ended)| AcceptedSilence {
            reading,
            at: Timestamp(at),
            ended: ended.map(Timestamp),
        });
        let rules = prop::collection::btree_map(any::<u16>(), silence, 0..3);
        let silences = prop::collection::btree_map(".{0,9}", rules, 0..3);
        let partitions = prop::collection::btree_map(any::<u32>(), heard, 0..4);
        let topics = prop::collection::btree_map(".{0,9}", partitions, 0..3);
        let facts = any::<(Option<u64>, bool, Option<i64>, Option<i64>)>();
        let sources = (facts, topics, silences).prop_map(|(facts, partitions, silences)| {
            let (rejected_reading, begins_anew, unknown, known) = facts;
            let (unknown_before, known_since) = (unknown.map(Timestamp), known.map(Timestamp));
            SourceMemory { rejected_reading, begins_anew, unknown_before, known_since, partitions, silences }
        });
        prop::collection::btree_map(".{0,9}", sources, 0..3).prop_map(|sources| Memory { sources })
    }

    fn all_brakes() -> impl Strategy<Value = Brakes> {
        let lane = || {
            any::<(u64, Option<i64>)>()
                .prop_map(|(customers, tripped)| Lane { customers, tripped: tripped.map(Timestamp) })
        };
        let stopped =
            (any::<i64>(), ".{0,9}", ".{0,9}").prop_map(|(at, by, reason)| Stopped { at: Timestamp(at), by, reason });
        let release = any::<(u128, i64, u64, Option<u64>, u64)>().prop_map(|(id, due, left, per_day, today)| Release {
            id: Uuid::from_u128(id),
            given: Timestamp(due.wrapping_add(1)),
            due_before: Timestamp(due),
            left,
            per_day,
            today,
        });
        let facts = (".{0,9}", any::<i64>(), 0..1_000_000_i32, lane(), lane());
        let brake = (facts, prop::option::of(stopped), prop::collection::vec(release, 0..3)).prop_map(
            |((version, effective, day, by_period, on_request), stopped, releases)| {
                let day = NaiveDate::from_num_days_from_ce_opt(day).unwrap();
                let effective = Timestamp(effective);
                let text = Some(TextHash([7; 16])).filter(|_| releases.is_empty());
                PolicyBrake { version, text, effective, day, by_period, on_request, stopped, releases }
            },
        );
        let policies = prop::collection::btree_map(".{0,9}", brake, 0..3);
        let instructions = prop::collection::vec(any::<u128>().prop_map(Uuid::from_u128), 0..3);
        (any::<Option<i64>>(), policies, instructions).prop_map(|(first_run, policies, instructions)| Brakes {
            first_run: first_run.map(Timestamp),
            policies,
            instructions,
        })
    }

    /// As format 1 wrote them.
    fn encode_old_brakes(brakes: &Brakes, buffer: &mut Vec<u8>) {
        let mut writer = Writer(buffer);
        writer.byte(FORMAT);
        writer.option(brakes.first_run, |writer, at| writer.signed(at.0));
        writer.list(&brakes.instructions, |writer, id| writer.bytes(id.as_bytes()));
        writer.unsigned(brakes.policies.len() as u64);
        for (policy, brake) in &brakes.policies {
            writer.text(policy);
            writer.text(&brake.version);
            writer.signed(brake.effective.0);
            writer.signed(i64::from(brake.day.num_days_from_ce()));
            for lane in [brake.by_period, brake.on_request] {
                writer.unsigned(lane.customers);
                writer.option(lane.tripped, |writer, at| writer.signed(at.0));
            }
            writer.option(brake.stopped.as_ref(), |writer, stopped| {
                writer.signed(stopped.at.0);
                writer.text(&stopped.by);
                writer.text(&stopped.reason);
            });
            writer.list(&brake.releases, |writer, release| {
                writer.bytes(release.id.as_bytes());
                writer.signed(release.due_before.0);
                writer.unsigned(release.left);
                writer.option(release.per_day, Writer::unsigned);
                writer.unsigned(release.today);
            });
        }
    }

    /// Whether this is how the record was written before there were additions, the first of them or the second.
    fn is_of_old(bytes: &[u8], record: &Record) -> bool {
        let before_resends = Record { resends: Vec::new(), ..record.clone() };
        let mut before_all = before_resends.clone();
        before_all.courses.iter_mut().for_each(|course| (course.refused_start, course.returned) = (None, None));
        let read = decode_record(bytes);
        read == Ok(before_all) || read == Ok(before_resends)
    }

    proptest! {
        #[test]
        fn what_the_brakes_remember_is_read_again(brakes in all_brakes(), cut in any::<prop::sample::Index>()) {
            let mut bytes = Vec::new();
            encode_brakes(&brakes, &mut bytes);
            prop_assert!(decode_brakes(&bytes[..cut.index(bytes.len())]).is_err());
            prop_assert_eq!(decode_brakes(&bytes), Ok(brakes));
        }

        #[test]
        fn what_they_remembered_before_there_were_texts_is_read(brakes in all_brakes()) {
            let mut bytes = Vec::new();
            encode_old_brakes(&brakes, &mut bytes);
            let mut of_old = brakes;
            for brake in of_old.policies.values_mut() {
                brake.text = None;
                brake.releases.iter_mut().for_each(|release| release.given = release.due_before);
            }
            prop_assert_eq!(decode_brakes(&bytes), Ok(of_old));
        }

        #[test]
        fn what_is_left_of_the_forgotten_is_read_again(
            end: i64, policies in prop::collection::vec(".{0,9}", 0..3),
            withdrawn in prop::collection::vec((".{0,9}", any::<i64>()), 0..3), pseudonym: [u8; 16]
        ) {
            let withdrawn = withdrawn.into_iter().map(|(name, at)| (name, Timestamp(at))).collect();
            let farewell = Farewell { end: Timestamp(end), cause: Cause::Withdrawn, policies, withdrawn, served: Timestamp(end) };
            let mut bytes = Vec::new();
            encode_farewell(&farewell, &mut bytes);
            prop_assert_eq!(decode_farewell(&bytes), Ok(farewell));
            let key = farewell_key(Pseudonym(pseudonym));
            prop_assert_eq!(pseudonym_of_key(&key), Some(Pseudonym(pseudonym)));
        }

        #[test]
        fn what_the_gate_remembers_is_read_again(memory in memories(), cut in any::<prop::sample::Index>()) {
            let mut bytes = Vec::new();
            encode_gate(&memory, &mut bytes);
            prop_assert!(decode_gate(&bytes[..cut.index(bytes.len())]).is_err());
            prop_assert_eq!(decode_gate(&bytes), Ok(memory));
        }

        #[test]
        fn what_is_written_is_read(
            seen in prop::collection::vec((any::<u32>(), any::<u32>()), 0..5), record in prop::option::of(records()),
            cut in any::<prop::sample::Index>()
        ) {
            let seen: Vec<_> = seen.into_iter().map(|(kind, at)| (KindTag(kind), LastSeen(at))).collect();
            let record = record.unwrap_or_default();
            let (mut bytes, mut record_bytes) = (Vec::new(), Vec::new());
            encode_record(&record, &mut record_bytes);
            encode_customer(seen.iter().copied(), &record_bytes, &mut bytes);
            let cut = CustomerState::decode(&bytes[..cut.index(bytes.len())]);
            prop_assert!(cut.is_err() || cut.unwrap().record.is_empty() || is_of_old(cut.unwrap().record, &record));
            let state = CustomerState::decode(&bytes).unwrap();
            prop_assert_eq!(state.seen().collect::<Vec<_>>(), seen);
            prop_assert_eq!(decode_record(state.record), Ok(record));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = CustomerState::decode(&bytes);
            let _ = Header::decode(&bytes);
            let _ = decode_gate(&bytes);
            let _ = decode_brakes(&bytes);
            let _ = decode_farewell(&bytes);
        }
    }

    /// Written before anybody could accept anything.
    #[test]
    fn what_the_gate_remembered_in_the_first_format_is_read() {
        let mut bytes = Vec::new();
        let mut writer = Writer(&mut bytes);
        writer.byte(1);
        writer.unsigned(1);
        writer.text("web");
        writer.option(Some(7), Writer::unsigned);
        writer.byte(1);
        writer.option(None::<i64>, Writer::signed);
        writer.option(Some(5), Writer::signed);
        writer.unsigned(1);
        writer.text("events");
        writer.unsigned(1);
        writer.unsigned(3);
        writer.unsigned(7);
        writer.signed(-50);
        let heard = BTreeMap::from([(3, HeardPartition::new(7, Timestamp(-50)))]);
        let source = SourceMemory {
            rejected_reading: Some(7),
            begins_anew: true,
            known_since: Some(Timestamp(5)),
            partitions: BTreeMap::from([("events".to_owned(), heard)]),
            ..SourceMemory::default()
        };
        let memory = Memory { sources: BTreeMap::from([("web".to_owned(), source)]) };
        assert_eq!(decode_gate(&bytes), Ok(memory));
        bytes[0] = GATE_FORMAT + 1;
        assert_eq!(decode_gate(&bytes), Err(DecodeError::UnknownFormat));
    }

    #[test]
    fn a_merely_active_customer_takes_eight_bytes_a_kind() {
        let mut bytes = Vec::new();
        encode_customer([(KindTag(1), LastSeen(2)); 3].into_iter(), &[], &mut bytes);
        assert_eq!(bytes.len(), 2 + 3 * 8);
    }
}
