//! Instants, dates, periods and words as text.

use super::{OrderedKind, Question};
use crate::retention::calendar::{CountedFrom, Period, Timestamp};
use crate::retention::command::{Cause, Verb};
use crate::retention::decide::Answered;
use crate::retention::policy::{Action, Mode};
use chrono::{DateTime, NaiveDate};

/// RFC 3339 has four digits for a year: what lies beyond is held at its end.
pub(super) fn instant_text(at: Timestamp) -> String {
    const FIRST: Timestamp = Timestamp(-62_135_596_800);
    const LAST: Timestamp = Timestamp(253_402_300_799);
    at.clamp(FIRST, LAST).to_utc_string()
}

pub(super) mod instant {
    use super::{DateTime, Timestamp, instant_text};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&instant_text(*at))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        parse(&String::deserialize(deserializer)?)
    }

    pub fn parse<E: Error>(text: &str) -> Result<Timestamp, E> {
        let at = DateTime::parse_from_rfc3339(text).map_err(E::custom)?;
        Ok(Timestamp(at.timestamp()))
    }
}

pub(super) mod instant_or_none {
    use super::{Timestamp, instant, instant_text};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        at.map(instant_text).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        Option::<String>::deserialize(deserializer)?.as_deref().map(instant::parse).transpose()
    }
}

pub(super) mod date {
    use super::NaiveDate;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(date: &NaiveDate, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(date)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NaiveDate, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

pub(super) mod period {
    use super::Period;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(period: &Period, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(period)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Period, D::Error> {
        Period::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// What has a word of its own for each of its values.
pub(super) trait Word: Copy + 'static {
    const ALL: &'static [Self];
    fn word(self) -> &'static str;
}

pub(super) mod word {
    use super::Word;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<T: Word, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(value.word())
    }

    pub fn deserialize<'de, T: Word, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        let text = String::deserialize(deserializer)?;
        let found = T::ALL.iter().copied().find(|value| value.word() == text);
        found.ok_or_else(|| D::Error::custom(format!("'{text}' is unknown")))
    }
}

impl Word for Verb {
    const ALL: &'static [Verb] =
        &[Verb::Recall, Verb::Act(Action::Warn), Verb::Act(Action::Expire), Verb::Act(Action::Anonymise)];
    fn word(self) -> &'static str {
        self.name()
    }
}

impl Word for Action {
    const ALL: &'static [Action] = &[Action::Warn, Action::Expire, Action::Anonymise];
    fn word(self) -> &'static str {
        self.name()
    }
}

impl Word for Cause {
    const ALL: &'static [Cause] = &[Cause::Period, Cause::Withdrawn, Cause::ErasureRequest];
    fn word(self) -> &'static str {
        self.name()
    }
}

impl Word for Answered {
    const ALL: &'static [Answered] = &[Answered::Command, Answered::Recall, Answered::Nothing];
    fn word(self) -> &'static str {
        match self {
            Answered::Command => "command",
            Answered::Recall => "recall",
            Answered::Nothing => "nothing",
        }
    }
}

impl Word for Mode {
    const ALL: &'static [Mode] = &[Mode::Test, Mode::Notify, Mode::Enforce];
    fn word(self) -> &'static str {
        match self {
            Mode::Test => "test",
            Mode::Notify => "notify",
            Mode::Enforce => "enforce",
        }
    }
}

impl Word for CountedFrom {
    const ALL: &'static [CountedFrom] = &[CountedFrom::Event, CountedFrom::EndOfMonth, CountedFrom::EndOfYear];
    fn word(self) -> &'static str {
        match self {
            CountedFrom::Event => "event",
            CountedFrom::EndOfMonth => "end_of_month",
            CountedFrom::EndOfYear => "end_of_year",
        }
    }
}

impl Word for Question {
    const ALL: &'static [Question] = &[Question::Explain, Question::Evidence, Question::Due, Question::Reconcile];
    fn word(self) -> &'static str {
        match self {
            Question::Explain => "explain",
            Question::Evidence => "evidence",
            Question::Due => "due",
            Question::Reconcile => "reconcile",
        }
    }
}

impl Word for OrderedKind {
    const ALL: &'static [OrderedKind] =
        &[OrderedKind::Hold, OrderedKind::Unhold, OrderedKind::Erase, OrderedKind::Resend];
    fn word(self) -> &'static str {
        match self {
            OrderedKind::Hold => "hold",
            OrderedKind::Unhold => "unhold",
            OrderedKind::Erase => "erase",
            OrderedKind::Resend => "resend",
        }
    }
}
