//! What differs by language: numbers of years and days, lists, grounds.

use crate::config::LawfulBasis;
use crate::retention::calendar::{CountedFrom, Period};

/// To whom it is told: `uw laatste aankoop` in a notice, `laatste aankoop` in a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    Customer,
    Supervisor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Language {
    /// Nederlands
    #[value(name = "nl")]
    Dutch,
    /// English
    #[value(name = "en")]
    English,
}

use Language::{Dutch, English};

/// Years and months of more than this are told apart.
const MONTHS_ALONE_MAX: u32 = 24;

impl Language {
    /// As in the configuration's texts and labels.
    pub fn code(self) -> &'static str {
        self.either("nl", "en")
    }

    pub fn either<T>(self, dutch: T, english: T) -> T {
        match self {
            Dutch => dutch,
            English => english,
        }
    }

    /// `2 jaar`, `23 maanden`, `2 years and 6 months`, `6 weeks`, `36 hours`.
    pub fn period(self, period: Period) -> String {
        let counts = match period {
            Period::Calendar { months, days } => {
                let (years, months) = match months {
                    months if months.is_multiple_of(12) => (months / 12, 0),
                    months if months < MONTHS_ALONE_MAX => (0, months),
                    months => (months / 12, months % 12),
                };
                let (weeks, days) = if days.is_multiple_of(7) { (days / 7, 0) } else { (0, days) };
                let [years, months, weeks, days] = [years, months, weeks, days].map(i64::from);
                let (year, month) = (("jaar", "jaar", "year"), ("maand", "maanden", "month"));
                let (week, day) = (("week", "weken", "week"), ("dag", "dagen", "day"));
                vec![(years, year), (months, month), (weeks, week), (days, day)]
            }
            Period::Exact { seconds } => vec![
                (seconds / 3600, ("uur", "uur", "hour")),
                (seconds % 3600 / 60, ("minuut", "minuten", "minute")),
                (seconds % 60, ("seconde", "seconden", "second")),
            ],
        };
        let counted = counts.into_iter().filter(|(count, _)| *count > 0);
        let counted: Vec<String> = counted.map(|(count, unit)| self.counted(count, unit)).collect();
        self.and(&counted)
    }

    /// A number of what in Dutch has a singular and a plural, and in English a regular plural.
    fn counted(self, count: i64, (one, more, english): (&str, &str, &str)) -> String {
        match (self, count) {
            (Dutch, 1) => format!("1 {one}"),
            (Dutch, count) => format!("{count} {more}"),
            (English, 1) => format!("1 {english}"),
            (English, count) => format!("{count} {english}s"),
        }
    }

    pub fn and(self, parts: &[String]) -> String {
        list(parts, self.either("en", "and"))
    }

    pub fn or(self, parts: &[String]) -> String {
        list(parts, self.either("of", "or"))
    }

    /// What the period is counted from, before `laatste aankoop` or `last purchase`.
    pub fn counted_from(self, counted_from: CountedFrom) -> &'static str {
        match counted_from {
            CountedFrom::Event => "",
            CountedFrom::EndOfMonth => self.either("het einde van de maand van ", "the end of the month of "),
            CountedFrom::EndOfYear => {
                self.either("het einde van het kalenderjaar van ", "the end of the calendar year of ")
            }
        }
    }

    /// A ground of article 6(1), to a customer and to a supervisor.
    pub fn lawful_basis(self, basis: LawfulBasis, reader: Reader) -> String {
        let (dutch, english, point) = match (basis, reader) {
            (LawfulBasis::Consent, Reader::Customer) => ("uw toestemming", "your consent", 'a'),
            (LawfulBasis::Consent, Reader::Supervisor) => {
                ("toestemming van de betrokkene", "consent of the data subject", 'a')
            }
            (LawfulBasis::Contract, Reader::Customer) => {
                ("de uitvoering van een overeenkomst met u", "the performance of a contract with you", 'b')
            }
            (LawfulBasis::Contract, Reader::Supervisor) => (
                "uitvoering van een overeenkomst met de betrokkene",
                "performance of a contract with the data subject",
                'b',
            ),
            (LawfulBasis::LegalObligation, _) => ("een wettelijke verplichting", "a legal obligation", 'c'),
            (LawfulBasis::VitalInterests, _) => {
                ("de bescherming van vitale belangen", "the protection of vital interests", 'd')
            }
            (LawfulBasis::PublicTask, _) => (
                "een taak van algemeen belang of de uitoefening van openbaar gezag",
                "a task in the public interest or the exercise of official authority",
                'e',
            ),
            (LawfulBasis::LegitimateInterest, Reader::Customer) => {
                ("ons gerechtvaardigd belang", "our legitimate interest", 'f')
            }
            (LawfulBasis::LegitimateInterest, Reader::Supervisor) => {
                ("gerechtvaardigd belang", "legitimate interest", 'f')
            }
        };
        match self {
            Dutch => format!("{dutch} (artikel 6, lid 1, onder {point}, AVG)"),
            English => format!("{english} (Article 6(1)({point}) GDPR)"),
        }
    }
}

fn list(parts: &[String], word: &str) -> String {
    match parts {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} {word} {last}", first.join(", ")),
    }
}
