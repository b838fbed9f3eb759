//! What ingest keeps beside a committed offset, in its metadata, so that no restart forgets it.

use super::facts::TopicId;
use super::heard;
use crate::config::{Source, Yield};
use crate::retention::calendar::Timestamp;
use crate::retention::policy::Kind;
use crate::retention::progress::{History, RuleFacts, SILENCES_MAX};
use crate::wire::bytes::{DecodeError, Reader, Writer};
use crate::wire::progress::{read_history, read_rules, read_time, write_history, write_rules};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::{Digest, Sha256};

/// A broker's default for how long metadata may be (`offset.metadata.max.bytes`).
pub const METADATA_BYTES_MAX: usize = 4096;

const FORMAT: u8 = 2;
/// It doesn't tell the topic.
const FORMAT_BEFORE: u8 = 1;

/// What is known of a partition up to its committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What its source's records meant.
    pub reading: u64,
    /// The topic that it is about, be there another one of its name by now; `None`: the brokers did not tell.
    pub topic: Option<TopicId>,
    /// When it was written.
    pub as_of: Timestamp,
    /// See [`crate::retention::progress::PartitionProgress::first_read`].
    pub first_read: Timestamp,
    pub gap: Option<Timestamp>,
    pub records_last_hour: u64,
    pub rejects_last_hour: u64,
    /// Since it was last read from its beginning.
    pub rejects_total: u64,
    pub shown: History,
    /// In the order of the source's rules, each with what tells whether it is still the same.
    pub rules: Vec<(RuleTag, RuleFacts)>,
}

/// Tells a rule that has been changed from one that has only moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RuleTag(pub u32);

impl RuleTag {
    /// Of the rule at `place` of a source.
    pub fn of(source: &Source, place: usize, kinds: &[Kind]) -> RuleTag {
        let rule = &source.rules[place];
        let yields = match &rule.yields {
            Yield::Activity(kind) => kinds[usize::from(kind.0)].name.clone(),
            claim => format!("{claim:?}"),
        };
        let time = rule.time.as_ref().unwrap_or(&source.time);
        let (format, customer) = (source.format, &source.customer);
        let text = format!("{format:?} {customer:?} {yields} {:?} {:?} {time:?}", rule.when, rule.unless);
        let digest = Sha256::digest(text.as_bytes());
        RuleTag(u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]))
    }
}

/// Why metadata can't be used. The partition is then read from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    #[error("is not ours")]
    NotOurs,
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

impl Note {
    /// ASCII of at most [`METADATA_BYTES_MAX`] bytes, as long as there are at most
    /// [`RULES_MAX`](crate::config::RULES_MAX) rules.
    /// Where it would be longer, silences are joined, which errs late.
    pub fn encode(&self) -> String {
        let mut note = self.clone();
        for silences_max in (1..=SILENCES_MAX).rev() {
            let text = note.encode_all();
            if text.len() <= METADATA_BYTES_MAX {
                return text;
            }
            for (_, facts) in &mut note.rules {
                heard::bound(facts, silences_max);
            }
        }
        note.encode_all()
    }

    fn encode_all(&self) -> String {
        let mut bytes = Vec::new();
        let mut writer = Writer(&mut bytes);
        writer.byte(FORMAT);
        writer.bytes(&self.reading.to_be_bytes());
        writer.option(self.topic, |writer, topic| writer.bytes(&topic.0.to_be_bytes()));
        writer.signed(self.as_of.0);
        writer.signed(self.first_read.0);
        writer.option(self.gap, |writer, at| writer.signed(at.0));
        for count in [self.records_last_hour, self.rejects_last_hour, self.rejects_total] {
            writer.unsigned(count);
        }
        write_history(&mut writer, self.shown, self.as_of);
        let (tags, facts): (Vec<_>, Vec<_>) = self.rules.iter().cloned().unzip();
        write_rules(&mut writer, &facts, self.as_of);
        for tag in tags {
            writer.bytes(&tag.0.to_be_bytes());
        }
        STANDARD_NO_PAD.encode(bytes)
    }

    /// # Errors
    /// Anything that [`Note::encode`] of a known format did not write.
    pub fn decode(metadata: &str) -> Result<Note, NoteError> {
        let bytes = STANDARD_NO_PAD.decode(metadata).map_err(|_| NoteError::NotOurs)?;
        let mut reader = Reader(&bytes);
        let format = reader.byte()?;
        if format != FORMAT && format != FORMAT_BEFORE {
            return Err(DecodeError::UnknownFormat.into());
        }
        let time = |reader: &mut Reader<'_>| read_time(reader, Timestamp(0));
        let mut note = Note {
            reading: u64::from_be_bytes(reader.array()?),
            topic: if format == FORMAT {
                reader.option(|reader| Ok(TopicId(u64::from_be_bytes(reader.array()?))))?
            } else {
                None
            },
            as_of: time(&mut reader)?,
            first_read: time(&mut reader)?,
            gap: reader.option(time)?,
            records_last_hour: reader.unsigned()?,
            rejects_last_hour: reader.unsigned()?,
            rejects_total: reader.unsigned()?,
            shown: History::Unread,
            rules: Vec::new(),
        };
        note.shown = read_history(&mut reader, note.as_of)?;
        for facts in read_rules(&mut reader, note.as_of)? {
            note.rules.push((RuleTag(0), facts));
        }
        for (tag, _) in &mut note.rules {
            *tag = RuleTag(u32::from_be_bytes(reader.array()?));
        }
        reader.finish()?;
        Ok(note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RULES_MAX;
    use crate::retention::progress::{Matched, Silence};
    use proptest::prelude::*;

    const NOW: i64 = 1_780_000_000;

    /// A rule whose facts are as long as they get: decades back, all silences in use.
    fn long_facts() -> RuleFacts {
        let silence = |days: i64| Silence { from: Timestamp(NOW - days * 86_400), to: Timestamp(NOW - days * 70_000) };
        RuleFacts {
            matched: Some(Matched { first: Timestamp(100_000_000), newest: Timestamp(NOW - 40_000_000) }),
            silences: [4000, 3000, 2000, 1000].map(silence).to_vec(),
            history: History::Since(Timestamp(100_000_000)),
        }
    }

    fn note(rules: usize) -> Note {
        Note {
            reading: u64::MAX,
            topic: Some(TopicId(u64::MAX)),
            as_of: Timestamp(NOW),
            first_read: Timestamp(NOW),
            gap: Some(Timestamp(NOW)),
            records_last_hour: u64::MAX,
            rejects_last_hour: u64::MAX,
            rejects_total: u64::MAX,
            shown: History::EmptyAt(Timestamp(NOW - 1)),
            rules: (0..rules as u32).map(|rule| (RuleTag(rule), long_facts())).collect(),
        }
    }

    #[test]
    fn it_always_fits() {
        for rules in [0, 1, 40, 50, 60, RULES_MAX] {
            let text = note(rules).encode();
            assert!(text.is_ascii() && text.len() <= METADATA_BYTES_MAX, "{rules} rules: {}", text.len());
            let read = Note::decode(&text).unwrap();
            assert_eq!(Note { rules: vec![], ..read.clone() }, Note { rules: vec![], ..note(0) });
            for (_, facts) in &read.rules {
                let (reported, whole) = (&facts.silences, long_facts().silences);
                assert_eq!((reported[0].from, reported[reported.len() - 1].to), (whole[0].from, whole[3].to));
                assert_eq!(facts.matched, long_facts().matched);
            }
        }
        assert_eq!(Note::decode(&note(40).encode()), Ok(note(40)));
    }

    #[test]
    fn a_rule_that_yields_something_else_is_another_rule() {
        use crate::config::{CustomerFrom, Format, Rule, TimeFrom, Told, Yield};
        use crate::retention::activity::{KindIndex, KindTag};
        let kinds = [Kind { name: "login".to_owned(), tag: KindTag::of("login") }];
        let tag = |yields: Yield, format: Format| {
            let source = Source {
                key: "web".to_owned(),
                format,
                topics: Vec::new(),
                customer: CustomerFrom::Key,
                lowercase: false,
                time: TimeFrom::Record,
                zone: chrono_tz::Tz::UTC,
                retired: false,
                rules: vec![Rule { when: Vec::new(), unless: Vec::new(), time: None, yields }],
                reading: 0,
            };
            RuleTag::of(&source, 0, &kinds).0
        };
        let id = |id: &str| Told::Literal(id.to_owned());
        let mut tags = vec![
            tag(Yield::Activity(KindIndex(0)), Format::Json),
            tag(Yield::Activity(KindIndex(0)), Format::CloudEvents),
            tag(Yield::Erasure, Format::Json),
            tag(Yield::Unhold { id: id("a") }, Format::Json),
            tag(Yield::Unhold { id: id("b") }, Format::Json),
            tag(Yield::Attribute(vec![("login".to_owned(), id("a"))]), Format::Json),
            tag(Yield::Consent(vec![("login".to_owned(), id("a"))]), Format::Json),
        ];
        let all = tags.len();
        tags.sort_unstable();
        tags.dedup();
        assert_eq!(tags.len(), all);
    }

    #[test]
    fn what_an_older_version_wrote_is_read() {
        let before = Note { topic: None, ..note(3) };
        let mut bytes = STANDARD_NO_PAD.decode(before.encode()).unwrap();
        // It had no word about the topic after the reading.
        bytes.remove(1 + 8);
        bytes[0] = FORMAT_BEFORE;
        assert_eq!(Note::decode(&STANDARD_NO_PAD.encode(bytes)), Ok(before));
    }

    #[test]
    fn what_others_wrote_is_refused() {
        for metadata in ["", "x", "lapsed", "AQ", "Ag", "é", "////"] {
            assert!(Note::decode(metadata).is_err(), "{metadata}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[A-Za-z0-9+/]{0,80}", tail in ".{0,20}") {
            let _ = Note::decode(&text);
            let _ = Note::decode(&format!("Ag{text}"));
            let _ = Note::decode(&tail);
        }

        #[test]
        fn a_cut_note_is_refused(cut in any::<prop::sample::Index>()) {
            let text = note(3).encode();
            prop_assert!(Note::decode(&text[..cut.index(text.len())]).is_err());
        }
    }
}
