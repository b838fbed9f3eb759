//! The retention paragraph of a privacy notice: articles 13(2)(a) and (c) and 14(2)(a) GDPR.

use super::limits::{Removal, anonymises_at_last, beforehand, condition, floor_limit, floors, limit, removals};
use super::teller::Teller;
use super::words::Language::{Dutch, English};
use super::words::Reader;
use crate::config::{LawfulBasis, PolicyText};
use crate::retention::policy::{Action, Floor, Mode, Policy};
use std::fmt::Write;

/// As Markdown; `None`: no policy is beyond `test`.
pub fn text(teller: &mut Teller<'_>) -> Option<String> {
    let published = published(teller);
    if published.is_empty() {
        return None;
    }
    let mut parts = vec![opening(teller).to_owned()];
    parts.extend(published.iter().map(|(policy, text)| section(teller, policy, text)));
    let policies: Vec<&Policy> = published.iter().map(|(policy, _)| *policy).collect();
    parts.push(for_all(teller, &policies));
    Some(parts.join("\n\n") + "\n")
}

/// What is done, and therefore may be told; the rest is remarked upon.
fn published<'c>(teller: &mut Teller<'c>) -> Vec<(&'c Policy, &'c PolicyText)> {
    let mut published = Vec::new();
    for (policy, text) in teller.policies() {
        let key = &policy.key;
        match policy.mode {
            Mode::Test => {
                teller.remark(format!("'{key}' is in mode test and left out: nothing of it is done yet"));
                continue;
            }
            Mode::Notify => teller.remark(format!(
                "'{key}' is in mode notify: it warns and removes nothing, also on request; the notice tells it as if it did"
            )),
            Mode::Enforce => {}
        }
        if text.lawful_basis == LawfulBasis::Consent && policy.consent.is_none() {
            teller.remark(format!(
                "'{key}' rests on consent and names none, so the notice says that it can be withdrawn and not what \
                 follows"
            ));
        }
        published.push((policy, text));
    }
    published
}

fn opening(teller: &Teller<'_>) -> &'static str {
    teller.language.either(
        "## Hoe lang wij uw gegevens bewaren\n\n\
         Wij bewaren uw gegevens niet langer dan nodig is voor het doel waarvoor wij ze gebruiken. Hieronder staat \
         per doel om welke gegevens het gaat, waarom wij ze mogen gebruiken, hoe lang wij ze bewaren en wat er daarna \
         mee gebeurt.",
        "## How long we keep your data\n\n\
         We keep your data no longer than the purpose for which we use it requires. For each purpose you can read \
         below which data this is, why we may use it, how long we keep it and what happens to it afterwards.",
    )
}

fn section(teller: &mut Teller<'_>, policy: &Policy, text: &PolicyText) -> String {
    let mut section = format!("### {}\n", teller.purpose(policy, text));
    let mut point = |head: &str, body: &str| {
        write!(section, "\n- **{head}:** {body}").expect("a String takes every write");
    };
    let language = teller.language;
    let categories = teller.categories(&policy.categories);
    point(language.either("Gegevens", "Data"), &language.and(&categories));
    if let Some(condition) = condition(teller, policy) {
        let whom = language.either("alleen als", "only if");
        point(language.either("Voor wie", "Who"), &format!("{whom} {condition}"));
    }
    point(language.either("Grondslag", "Legal basis"), &teller.lawful_basis(policy, text, Reader::Customer));
    let removals = removals(policy);
    let told_apart = removals.iter().any(|removal| removal.stage.targets != removals[0].stage.targets);
    for removal in &removals {
        let mut head = language.either("Bewaartermijn", "Kept until").to_owned();
        if told_apart {
            let _ = write!(head, " ({})", teller.targets(&removal.stage.targets).join(", "));
        }
        point(&head, &told_removal(teller, policy, text, removal));
    }
    for floor in floors(teller, policy) {
        point(language.either("Wettelijke bewaarplicht", "Kept by law"), &told_floor(teller, floor));
    }
    if let Some((head, body)) = told_end(teller, policy, text.lawful_basis) {
        point(head, &body);
    }
    section
}

fn told_removal(teller: &mut Teller<'_>, policy: &Policy, text: &PolicyText, removal: &Removal<'_>) -> String {
    let language = teller.language;
    let after = limit(teller, policy, removal.stage.after, text.lawful_basis, Reader::Customer);
    let mut told = match (language, removal.stage.action) {
        (Dutch, Action::Anonymise) => {
            format!("tot {after}. Daarna anonimiseren wij deze gegevens: alles waaraan u te herkennen bent, verdwijnt.")
        }
        (Dutch, _) => format!("tot {after}. Daarna verwijderen wij deze gegevens."),
        (English, Action::Anonymise) => {
            format!("{after}. Then we anonymise this data: everything by which you can be identified goes.")
        }
        (English, _) => format!("{after}. Then we delete this data."),
    };
    for warning in &removal.warnings {
        told += &match beforehand(warning.after, removal.stage.after).map(|period| language.period(period)) {
            Some(period) => match language {
                Dutch => format!(" Wij waarschuwen u {period} van tevoren."),
                English => format!(" We warn you {period} beforehand."),
            },
            None => {
                let after = limit(teller, policy, warning.after, text.lawful_basis, Reader::Customer);
                match language {
                    Dutch => format!(" Wij waarschuwen u van tevoren, {after}."),
                    English => format!(" We warn you beforehand, {after}."),
                }
            }
        };
    }
    told
}

fn told_floor(teller: &mut Teller<'_>, floor: &Floor) -> String {
    let category = teller.label(teller.config.category(floor.category));
    let limit = floor_limit(teller, floor, Reader::Customer);
    let because = &floor.because;
    match teller.language {
        Dutch => format!(
            "de wet verplicht ons {category} te bewaren tot {limit} ({because}). Eerder verwijderen wij die gegevens \
             niet, ook niet als u erom vraagt."
        ),
        English => format!(
            "the law obliges us to keep {category} until {limit} ({because}). We do not delete that data earlier, not \
             even if you ask us to."
        ),
    }
}

/// How whoever does not want it any more ends it, and what then happens.
fn told_end(teller: &Teller<'_>, policy: &Policy, basis: LawfulBasis) -> Option<(&'static str, String)> {
    let language = teller.language;
    let removed = if anonymises_at_last(policy) {
        language.either("anonimiseren", "anonymise")
    } else {
        language.either("verwijderen", "delete")
    };
    let what_follows = policy.consent.is_some().then(|| match language {
        Dutch => format!(
            "Wij gebruiken deze gegevens dan niet meer voor dit doel en {removed} ze zonder het einde van de termijn af \
             te wachten. Wat wij dan nog moeten bewaren, staat onderaan."
        ),
        English => format!(
            "We then no longer use this data for this purpose, and {removed} it without waiting for the period to end. \
             What we must keep even then is explained at the end."
        ),
    });
    let (head, right) = if basis == LawfulBasis::Consent {
        let right = language.either(
            "u kunt uw toestemming op elk moment intrekken. Wat wij met uw toestemming deden voordat u haar introk, \
             blijft rechtmatig.",
            "you can withdraw your consent at any time. What we did with your consent before you withdrew it remains \
             lawful.",
        );
        (language.either("Intrekken", "Withdrawing"), right)
    } else {
        policy.consent.as_ref()?;
        let right = language.either("u kunt op elk moment bezwaar maken.", "you can object at any time.");
        (language.either("Bezwaar", "Objecting"), right)
    };
    let told = what_follows.into_iter().fold(right.to_owned(), |told, more| format!("{told} {more}"));
    Some((head, told))
}

/// What holds for every policy.
fn for_all(teller: &mut Teller<'_>, policies: &[&Policy]) -> String {
    let language = teller.language;
    let mut parts =
        vec![language.either("### Wat voor al deze gegevens geldt", "### What applies to all of this data").to_owned()];
    let is_shared = |policy: &&Policy| {
        policies.iter().any(|other| other.key != policy.key && !other.category_set.and(policy.category_set).is_empty())
    };
    if policies.iter().any(is_shared) {
        parts.push(shared(teller).to_owned());
    }
    parts.push(holds(teller).to_owned());
    parts.push(erasure(teller, policies));
    parts.push(own_record(teller));
    parts.join("\n\n")
}

fn shared(teller: &Teller<'_>) -> &'static str {
    teller.language.either(
        "**Dezelfde gegevens voor meer dan één doel.** Gebruiken wij gegevens voor meer dan één doel, dan verwijderen wij \
         ze als de termijn van het laatste doel voorbij is. Voor een doel waarvan de termijn voorbij is, gebruiken wij \
         ze niet meer.",
        "**The same data for more than one purpose.** Where we use data for more than one purpose, we delete it when the \
         period of the last purpose is over. We no longer use it for a purpose whose period is over.",
    )
}

fn holds(teller: &Teller<'_>) -> &'static str {
    teller.language.either(
        "**Geschillen en lopende zaken.** Hebben wij gegevens nodig voor een geschil, een klacht of een lopende \
         overeenkomst met u, dan stellen wij het verwijderen uit tot die zaak is afgerond.",
        "**Disputes and open matters.** If we need data for a dispute, a complaint or a running contract with you, we \
         postpone its removal until that matter is closed.",
    )
}

fn erasure(teller: &mut Teller<'_>, policies: &[&Policy]) -> String {
    let language = teller.language;
    let anonymises = policies.iter().any(|policy| anonymises_at_last(policy));
    let mut told = match (language, anonymises) {
        (Dutch, false) => "**Uw recht op verwijdering.** U kunt ons altijd vragen uw gegevens te verwijderen (artikel 17 \
                           AVG). Wij verwijderen ze dan zonder een termijn af te wachten en zonder waarschuwing vooraf."
            .to_owned(),
        (Dutch, true) => "**Uw recht op verwijdering.** U kunt ons altijd vragen uw gegevens te verwijderen (artikel 17 \
                          AVG). Wij verwijderen of anonimiseren ze dan, zoals hierboven per doel staat, zonder een termijn \
                          af te wachten en zonder waarschuwing vooraf."
            .to_owned(),
        (English, false) => "**Your right to erasure.** You can always ask us to erase your data (Article 17 GDPR). We then \
                             delete it without waiting for a period to end, and without a warning beforehand."
            .to_owned(),
        (English, true) => "**Your right to erasure.** You can always ask us to erase your data (Article 17 GDPR). We then \
                            delete or anonymise it, as told above for each purpose, without waiting for a period to end, \
                            and without a warning beforehand."
            .to_owned(),
    };
    told += language.either(" Wij bewaren dan alleen nog:\n", " All that we still keep then is:\n");
    for floor in floors_of_all(teller, policies) {
        let category = teller.label(teller.config.category(floor.category));
        let (limit, because) = (floor_limit(teller, floor, Reader::Customer), &floor.because);
        told += &match language {
            Dutch => format!("\n- {category}, tot {limit}, omdat de wet dat eist ({because});"),
            English => format!("\n- {category}, until {limit}, because the law demands it ({because});"),
        };
    }
    told += language.either(
        "\n- wat nodig is voor een geschil, een klacht of een lopende overeenkomst, zolang die zaak loopt.\n\n\
         Is die reden er niet meer, dan verdwijnen ook die gegevens, tenzij u intussen weer actief bent geworden: dan \
         gelden de termijnen hierboven.",
        "\n- what a dispute, a complaint or a running contract needs, for as long as that lasts.\n\n\
         When that reason is gone that data goes, too, unless you have become active again in the meantime: then the \
         periods above apply.",
    );
    if policies.iter().any(|policy| policy.consent.is_some()) {
        told += language.either(
            " Hetzelfde geldt voor de gegevens van één doel als u daarvoor uw toestemming intrekt of bezwaar maakt. Daarna \
             gebruiken wij ze alleen weer voor dat doel als u dat opnieuw goedvindt.",
            " The same holds for the data of one purpose if you withdraw your consent to it or object to it. After that we \
             use it for that purpose again only if you agree to it anew.",
        );
    }
    told
}

/// Each once, in the order of their categories.
fn floors_of_all<'c>(teller: &Teller<'c>, policies: &[&Policy]) -> Vec<&'c Floor> {
    let names = |floor: &&Floor| policies.iter().any(|policy| policy.category_set.contains(floor.category));
    teller.config.rules.floors.iter().filter(names).collect()
}

fn own_record(teller: &Teller<'_>) -> String {
    let language = teller.language;
    let forget = teller.config.rules.forget;
    let [after, suppressed, evidence] =
        [forget.after, forget.suppress_for, teller.config.evidence.keep].map(|period| language.period(period));
    match language {
        Dutch => format!(
            "**Wat wij hiervoor bijhouden.** Om deze termijnen na te komen houden wij bij wanneer u voor het laatst actief \
             was en wat u ons hebt gevraagd. Is alles verwijderd, dan wissen wij dat {after} later ook. Daarna bewaren wij \
             nog {suppressed} een code die met een geheime sleutel uit uw klantnummer is berekend, en waaruit dat nummer \
             niet is af te lezen, zodat een nagekomen melding u niet opnieuw in onze bestanden brengt; langer als zo’n \
             melding dan nog kan komen. Het bewijs van wat wij hebben verwijderd bewaren wij {evidence}, onder zo’n code."
        ),
        English => format!(
            "**What we keep for this.** To observe these periods we record when you were last active and what you asked of \
             us. When everything has been removed, we erase that record, too, {after} later. After that we keep for another \
             {suppressed} a code that was computed from your customer number with a secret key, and from which that number \
             cannot be read, so that a late report does not bring you back into our files; longer if such a report can \
             still come then. The evidence of what we removed is kept for {evidence}, under such a code."
        ),
    }
}
