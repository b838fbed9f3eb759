//! The design's example, word for word, and what else may stand in a configuration.

use super::limits::beforehand;
use super::teller::Teller;
use super::words::Language::{self, Dutch, English};
use super::{notice, register};
use crate::config::load::from_texts;
use crate::config::{Config, Environment};
use crate::retention::calendar::Period;
use chrono::NaiveDate;

const DESIGN: &str = include_str!("../../../tests/configuration/design.yaml");
const LABELS: &str = include_str!("../../../tests/statement/labels.yaml");

/// A text of the example and what stands there instead.
type Change = (&'static str, &'static str);

fn config(changes: &[Change]) -> Config {
    let changed = changes.iter().fold(DESIGN.to_owned(), |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "'{from}'");
        text.replace(from, to)
    });
    let texts = [("design.yaml".to_owned(), changed), ("labels.yaml".to_owned(), LABELS.to_owned())];
    let today = NaiveDate::from_ymd_opt(2026, 11, 24).unwrap();
    from_texts(&texts, Environment::Leave, today).unwrap_or_else(|errors| panic!("{errors}")).config
}

/// The notice, and what is remarked.
fn notice_of(changes: &[Change], language: Language) -> (Option<String>, Vec<String>) {
    let config = config(changes);
    let mut teller = Teller::new(&config, language);
    let text = notice::text(&mut teller);
    (text, teller.into_remarks())
}

fn same(told: &str, golden: &str, file: &str) {
    assert!(told == golden, "tests/statement/{file} should be:\n{told}");
}

#[test]
fn the_notice_can_be_published_as_it_is() {
    let (dutch, remarks) = notice_of(&[], Dutch);
    same(&dutch.unwrap(), include_str!("../../../tests/statement/notice.nl.md"), "notice.nl.md");
    assert_eq!(remarks, [""; 0]);
    let (english, remarks) = notice_of(&[], English);
    same(&english.unwrap(), include_str!("../../../tests/statement/notice.en.md"), "notice.en.md");
    assert_eq!(remarks, [""; 0]);
}

#[test]
fn the_register_has_a_row_a_policy() {
    let config = config(&[]);
    let (mut dutch, mut english) = (Teller::new(&config, Dutch), Teller::new(&config, English));
    let markdown = register::markdown(&mut dutch);
    same(&markdown, include_str!("../../../tests/statement/register.nl.md"), "register.nl.md");
    let csv = register::csv(&mut english);
    same(&csv.replace("\r\n", "\n"), include_str!("../../../tests/statement/register.en.csv"), "register.en.csv");
    assert_eq!(csv.matches("\r\n").count(), 4, "lines end as RFC 4180 has it");
}

#[test]
fn what_is_not_done_is_not_told() {
    let in_test = ("    targets: [mailing]\n    mode: enforce\n", "    targets: [mailing]\n");
    let (text, remarks) = notice_of(&[in_test], English);
    assert!(!text.unwrap().contains("newsletter"));
    assert_eq!(remarks, ["'newsletter' is in mode test and left out: nothing of it is done yet"]);

    let (text, remarks) = notice_of(&[("time_zone:", "mode: test\ntime_zone:")], English);
    assert_eq!((text, remarks.len()), (None, 3));

    let (text, remarks) = notice_of(&[("time_zone:", "mode: notify\ntime_zone:")], English);
    assert!(text.unwrap().contains("newsletter"));
    assert!(remarks[0].starts_with("'administration' is in mode notify: it warns and removes nothing"), "{remarks:?}");
}

#[test]
fn what_is_missing_is_remarked_and_made_good() {
    let table: [(&[Change], Language, &str, &str); 4] = [
        (
            &[("purpose: {nl: Wekelijkse nieuwsbrief voor wie erom vroeg, en:", "purpose: {en:")],
            Dutch,
            "### Weekly newsletter to people who asked for it",
            "policies.newsletter.purpose has no text in 'nl'; the one in 'en' stands there",
        ),
        (
            &[("interest: {nl: klanten behouden, en: keeping customers}", "interest: {de: Kunden behalten}")],
            English,
            "our legitimate interest (Article 6(1)(f) GDPR): Kunden behalten",
            "policies.offers.interest has no text in 'en'; the one in 'de' stands there",
        ),
        (
            &[("categories: [email]", "categories: [email, cookie_id]")],
            Dutch,
            "**Gegevens:** e-mailadres en cookie_id\n",
            "without a label in 'nl', so that the name itself stands there: cookie_id; add labels: {nl: {cookie_id: …}}",
        ),
        (
            &[("    consent: newsletter\n", ""), ("newsletter: /newsletter, ", "")],
            Dutch,
            "**Intrekken:** u kunt uw toestemming op elk moment intrekken. Wat wij met uw toestemming deden voordat u haar \
             introk, blijft rechtmatig.\n",
            "'newsletter' rests on consent and names none, so the notice says that it can be withdrawn and not what follows",
        ),
    ];
    for (changes, language, told, remark) in table {
        let (text, remarks) = notice_of(changes, language);
        let text = text.unwrap();
        assert!(text.contains(told), "{told}\n{text}");
        assert_eq!(remarks, [remark]);
    }
}

#[test]
fn a_region_of_a_language_will_do() {
    let (text, remarks) = notice_of(&[("purpose: {nl: Fiscale", "purpose: {nl-NL: Fiscale")], Dutch);
    assert!(text.unwrap().contains("### Fiscale administratie van bestellingen"));
    assert_eq!(remarks, [""; 0]);
}

#[test]
fn stages_that_speak_to_different_systems_are_told_apart() {
    let stages = "[{after: P6M, command: expire, targets: [mailing]}, {after: P11M, command: warn, targets: [mailing]}, \
                  {after: P380D, command: expire, targets: [crm]}]\n    targets: [crm, mailing]";
    let (text, _) = notice_of(&[("[{after: P1Y, command: expire}]\n    targets: [mailing]", stages)], English);
    let text = text.unwrap();
    let since = "after your last registration, purchase, login or consent";
    for told in [
        format!("**Kept until (mailing system):** 6 months {since}. Then we delete this data.\n"),
        format!(
            "**Kept until (crm):** 380 days {since}. Then we delete this data. We warn you beforehand, 11 months {since}."
        ),
    ] {
        assert!(text.contains(&told), "{told}\n{text}");
    }
}

#[test]
fn periods_in_words() {
    for (period, dutch, english) in [
        ("P1Y", "1 jaar", "1 year"),
        ("P24M", "2 jaar", "2 years"),
        ("P1M", "1 maand", "1 month"),
        ("P23M", "23 maanden", "23 months"),
        ("P2Y6M", "2 jaar en 6 maanden", "2 years and 6 months"),
        ("P1D", "1 dag", "1 day"),
        ("P30D", "30 dagen", "30 days"),
        ("P1W", "1 week", "1 week"),
        ("P6W", "6 weken", "6 weeks"),
        ("P1Y1M2W", "13 maanden en 2 weken", "13 months and 2 weeks"),
        ("P2Y1M10D", "2 jaar, 1 maand en 10 dagen", "2 years, 1 month and 10 days"),
        ("PT1H", "1 uur", "1 hour"),
        ("PT48H", "48 uur", "48 hours"),
        ("PT90M", "1 uur en 30 minuten", "1 hour and 30 minutes"),
        ("PT1M1S", "1 minuut en 1 seconde", "1 minute and 1 second"),
        ("PT2S", "2 seconden", "2 seconds"),
    ] {
        let period = Period::parse(period).unwrap();
        assert_eq!((Dutch.period(period).as_str(), English.period(period).as_str()), (dutch, english));
    }
}

#[test]
fn how_long_before_is_told_where_a_period_says_it() {
    for (warning, removal, between) in [
        ("P23M", "P24M", Some("P1M")),
        ("P11M", "P1Y14D", Some("P1M14D")),
        ("P350D", "P1Y", None),
        ("P11M", "P365D", None),
        ("PT8S", "PT16S", Some("PT8S")),
        ("PT48H", "P3D", None),
    ] {
        let [warning, removal] = [warning, removal].map(|text| Period::parse(text).unwrap());
        assert_eq!(beforehand(warning, removal).map(|period| period.to_string()).as_deref(), between);
    }
}
