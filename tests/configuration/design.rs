//! The design's own example: what is told beyond activity, what the law has kept, and how much a day.

use crate::shop::{DESIGN, changed};
use chrono::NaiveDate;
use lapsed::config::load::from_texts;
use lapsed::config::{Environment, Format, LoadErrors, Loaded, May, Pointer, Step, Told, Yield};
use lapsed::retention::calendar::{CountedFrom, Period, Resolution, Seconds};
use lapsed::retention::policy::{Brake, Forget, SourceIndex};

fn load(changes: &[(&str, &str)]) -> Result<Loaded, LoadErrors> {
    let texts = [("design.yaml".to_owned(), changed(DESIGN, changes))];
    from_texts(&texts, Environment::Leave, NaiveDate::from_ymd_opt(2026, 11, 24).unwrap())
}

fn loaded(changes: &[(&str, &str)]) -> Loaded {
    load(changes).unwrap_or_else(|errors| panic!("{errors}"))
}

/// Problems without their places.
fn messages(problems: &[lapsed::config::Problem]) -> Vec<String> {
    problems.iter().map(|problem| format!("{} {}", problem.path, problem.message)).collect()
}

fn refuses(table: &[(&str, &str, &str)]) {
    for (from, to, error) in table {
        let errors = load(&[(from, to)]).map(|_| ()).unwrap_err();
        assert_eq!(messages(&errors.0), [*error], "{from} → {to}");
    }
}

fn warns(table: &[(&[(&str, &str)], &str)]) {
    for (changes, warning) in table {
        assert_eq!(messages(&loaded(changes).warnings), [*warning], "{changes:?}");
    }
}

fn field(name: &str) -> Told {
    Told::Field(Pointer(vec![Step::Member(name.to_owned())]))
}

const ALL_IN_TEST: (&str, &str) = ("time_zone:", "mode: test\ntime_zone:");
const CONSENTS: &str = "consent: {newsletter: /newsletter, offers: /offers}";
const HOLD: &str = "hold: {id: /case, reason: /reason, until: /until}";
const NO_HISTORY: (&str, &str) = ("    time: record\n    history_from: beginning\n", "    time: record\n");

#[test]
fn it_is_without_fault() {
    assert_eq!(messages(&loaded(&[]).warnings), [""; 0]);
}

#[test]
fn rules_tell_of_more_than_activity() {
    let config = loaded(&[(HOLD, "hold: {id: 42, reason: legal, until: 2030-12-31, policies: [offers, newsletter]}")]);
    let desk: Vec<Yield> = config.config.sources[1].rules.iter().skip(1).map(|rule| rule.yields.clone()).collect();
    let literal = |text: &str| Told::Literal(text.to_owned());
    assert_eq!(
        desk,
        [
            Yield::Consent(vec![
                ("newsletter".to_owned(), field("newsletter")),
                ("offers".to_owned(), field("offers"))
            ]),
            Yield::Hold {
                id: literal("42"),
                reason: Some(literal("legal")),
                until: Some(literal("2030-12-31")),
                policies: Some(vec!["newsletter".to_owned(), "offers".to_owned()]),
            },
            Yield::Unhold { id: field("case") },
            Yield::Erasure,
            Yield::Attribute(vec![("segment".to_owned(), field("segment"))]),
        ]
    );
}

#[test]
fn who_depends_on_which_sources() {
    let rules = loaded(&[]).config.rules;
    let keys = |places: &[SourceIndex]| {
        let keys = places.iter().map(|place| rules.sources[usize::from(place.0)].key.as_str());
        keys.collect::<Vec<_>>().join(" ")
    };
    let policies: Vec<_> = rules.policies.iter().map(|policy| (policy.key.as_str(), keys(&policy.sources))).collect();
    assert_eq!(
        policies,
        [
            ("administration", "baseline desk orders".to_owned()),
            ("newsletter", "baseline desk orders web".to_owned()),
            ("offers", "baseline desk orders web".to_owned())
        ]
    );
    assert_eq!(keys(&rules.hold_sources), "desk");
    assert_eq!(keys(&rules.floors[0].sources), "baseline orders");
    let history =
        |rules: &[(SourceIndex, u16)]| rules.iter().map(|(source, rule)| (source.0, *rule)).collect::<Vec<_>>();
    assert_eq!(history(&rules.floors[0].history_rules), [(0, 1), (2, 0)]);
    assert_eq!(history(&rules.policies[1].history_rules), [(0, 0), (0, 1), (0, 2), (2, 0), (3, 0)], "no consent's");
}

#[test]
fn lateness_is_the_largest_of_all_of_them() {
    let late = |changes: &[(&str, &str)]| {
        let rules = loaded(changes).config.rules;
        rules.policies.iter().map(|policy| policy.lateness.0 / 86_400).collect::<Vec<_>>()
    };
    let desk = ("    max_silence: P4D", "    max_silence: P4D\n    allowed_lateness: P9D");
    assert_eq!(late(&[desk]), [9, 9, 9], "everyone depends on holds");
    let retired = ("    max_silence: P4D", "    max_silence: P4D\n    allowed_lateness: P9D\n    retired: true");
    assert_eq!(late(&[retired]), [2, 2, 2]);
    assert_eq!(loaded(&[retired]).config.rules.hold_sources, []);
}

/// A policy depends on what its floors count, although it counts something else itself.
#[test]
fn floors_of_its_categories_count() {
    let only_login = (
        "since_last: [registered, purchase, login]\n    stages: [{after: P1Y",
        "since_last: [login]\n    stages: [{after: P1Y",
    );
    let floor = (
        "  invoices: {since_last: [purchase]",
        "  email: {since_last: [registered], keep: P1M, because: x}\n  invoices: {since_last: [purchase]",
    );
    let baseline = ("    max_silence: none", "    max_silence: none\n    allowed_lateness: P8D");
    let lateness = |changes: &[(&str, &str)]| loaded(changes).config.rules.policies[1].lateness;
    assert_eq!(lateness(&[only_login, baseline]), Seconds(8 * 86_400), "last_login_at");
    let no_login = ("      - {activity: login,      time: /last_login_at}\n", "");
    assert_eq!(lateness(&[only_login, baseline, no_login]), Seconds(2 * 86_400));
    assert_eq!(lateness(&[only_login, baseline, no_login, floor]), Seconds(8 * 86_400));
}

#[test]
fn only_rules_that_make_activity_guard_where_there_are_any() {
    let guards = |source: usize, changes: &[(&str, &str)]| {
        let rules = loaded(changes).config.rules;
        let rules = &rules.sources[source].rules;
        rules.iter().map(|rule| (rule.silence_max.is_some(), rule.kind.is_some())).collect::<Vec<_>>()
    };
    let desk = guards(1, &[]);
    assert_eq!(desk[0], (true, true));
    assert_eq!(desk[1..], [(false, false); 5]);
    let no_call = ("      - {when: {/event: call},        activity: contact}\n", "");
    let not_counted = ("[registered, purchase, contact, login]", "[registered, purchase, login]");
    assert_eq!(guards(1, &[no_call, not_counted]), [(true, false); 5]);
}

#[test]
fn floors_window_brake_and_forgetting() {
    let config = loaded(&[]).config;
    let floor = &config.rules.floors[0];
    assert_eq!(config.rules.categories[usize::from(floor.category)], "invoices");
    assert_eq!((floor.counted_from, floor.keep), (CountedFrom::EndOfYear, Period::Calendar { months: 84, days: 0 }));
    assert_eq!(floor.because, "AWR art. 52 lid 4");
    let window = config.rules.window.unwrap();
    assert_eq!(window.days, [true, true, true, true, true, false, false]);
    assert_eq!((window.from.to_string(), window.to.unwrap().to_string()), ("09:00:00".into(), "17:00:00".into()));
    assert_eq!(config.rules.forget, Forget::default());
    assert_eq!(config.rules.policies[0].brake, Brake { per_day: 0.01, at_least: 10 });
    assert_eq!(
        config.rules.policies[0].applies_to,
        [("segment".to_owned(), vec![Some("consumer".to_owned()), Some("business".to_owned()), None])]
    );
    assert_eq!(config.rules.policies[1].consent.as_deref(), Some("newsletter"));
    assert_eq!(config.evidence.keep, Period::Calendar { months: 60, days: 0 });
}

#[test]
fn a_policys_brake_is_the_files_but_for_what_it_says() {
    let brake = |says: &str| {
        let changes = [
            ("{per_day: 1%, at_least: 10}", "{per_day: 2%, at_least: 20}"),
            ("    consent: newsletter\n", &format!("    consent: newsletter\n    {says}\n")),
        ];
        let brake = loaded(&changes).config.rules.policies[1].brake;
        (brake.per_day, brake.at_least)
    };
    assert_eq!(brake(""), (0.02, 20));
    assert_eq!(brake("per_day: 5%"), (0.05, 20));
    assert_eq!(brake("brake: {per_day: 5%}"), (0.05, 20));
    assert_eq!(brake("brake: {at_least: 5}"), (0.02, 5));
    assert_eq!(brake("brake: {at_least: 5}\n    per_day: 100%"), (1.0, 5));
}

#[test]
fn any_short_period_makes_seconds_count() {
    let resolution = |from: &str, to: &str| {
        let short = ("time_zone:", "short_periods: true\ntime_zone:");
        loaded(&[short, (from, to)]).config.rules.resolution
    };
    assert_eq!(resolution("after: P30D", "after: P31D"), Resolution::Day);
    assert_eq!(resolution("after: P30D", "after: PT5M"), Resolution::Second);
    assert_eq!(resolution("suppress_for: P2Y", "suppress_for: PT1H"), Resolution::Second);
    assert_eq!(resolution("keep: P7Y", "keep: PT48H"), Resolution::Second);
    assert_eq!(resolution("keep: P5Y", "keep: PT5M"), Resolution::Day, "evidence decides nothing");
}

#[test]
fn tokens_are_secrets() {
    let offline = loaded(&[]).config.http.tokens;
    let may: Vec<_> = offline.iter().map(|(name, token)| (name.as_str(), token.may, token.secret.is_some())).collect();
    assert_eq!(may, [("desk", May::LookUp, false), ("privacy", May::Operate, false)], "none is resolved");

    let online = |changes: &[(&str, &str)]| {
        let mut all = vec![("file:/secrets/evidence.key", "0123456789abcdef0123456789abcdef")];
        all.extend_from_slice(changes);
        let texts = [("design.yaml".to_owned(), changed(DESIGN, &all))];
        from_texts(&texts, Environment::Resolve, NaiveDate::from_ymd_opt(2026, 11, 24).unwrap())
    };
    let (desk, privacy) = ("hunter2-hunter2-hunter2", "swordfish-swordfish");
    let config = online(&[("file:/secrets/desk", desk), ("file:/secrets/privacy", privacy)]).unwrap().config;
    assert_eq!(config.http.tokens["desk"].secret.as_ref().unwrap().0, desk);
    let shown = format!("{config:?}");
    assert!(shown.contains("privacy") && !shown.contains("hunter2") && !shown.contains("swordfish"));
    for (changes, error) in [
        (
            [("file:/secrets/desk", desk), ("file:/secrets/privacy", desk)],
            "http.tokens.privacy has the secret of 'desk', so that nobody could tell whose it is",
        ),
        (
            [("file:/secrets/desk", "''"), ("file:/secrets/privacy", privacy)],
            "http.tokens.desk.secret is empty; take 32 random characters",
        ),
    ] {
        assert_eq!(messages(&online(&changes).map(|_| ()).unwrap_err().0), [error]);
    }
    let short = online(&[("file:/secrets/desk", "hunter2"), ("file:/secrets/privacy", privacy)]).unwrap();
    assert_eq!(
        messages(&short.warnings),
        ["http.tokens.desk.secret is shorter than 16 characters, so that it can be guessed; take 32 random ones"]
    );
}

#[test]
fn labels_and_formats_are_kept() {
    let config = loaded(&[
        ("time_zone:", "labels: {nl: {email: e-mailadres}}\ntime_zone:"),
        ("topics: [web.events]", "format: cloudevents\n    topics: [web.events]"),
    ]);
    assert_eq!(config.config.labels["nl"]["email"], "e-mailadres");
    assert_eq!((config.config.sources[3].format, config.config.sources[2].format), (Format::CloudEvents, Format::Json));
}

#[test]
fn what_rules_yield_is_checked() {
    let rule = "sources.desk.rules";
    refuses(&[
        ("erasure: true}", "erasure: false}", &format!("{rule}[4].erasure is false, and can only be true")),
        (
            "erasure: true}",
            "erasure: true, activity: contact}",
            &format!("{rule}[4] yields activity and erasure, and a rule yields one thing; make a rule of each"),
        ),
        (
            CONSENTS,
            "consent: {newsletter: yes, offers: /offers}",
            &format!(
                "{rule}[1].consent.newsletter is 'yes', and must be true, false, or a /pointer to where it stands"
            ),
        ),
        (
            CONSENTS,
            "consent: /newsletter",
            &format!("{rule}[1].consent must be a map of consents by name, and is a single value"),
        ),
        (
            HOLD,
            "hold: {reason: /reason}",
            &format!("{rule}[2].hold needs 'id': what tells the hold from others of the customer, such as /case"),
        ),
        (HOLD, "hold: {id: ''}", &format!("{rule}[2].hold.id must be text of 1 to 1024 bytes")),
        (
            HOLD,
            "hold: {id: /case, until: soon}",
            &format!("{rule}[2].hold.until is 'soon', which is no RFC 3339 time, date or Unix time"),
        ),
        (
            HOLD,
            "hold: {id: /case, until: 1969-07-20}",
            &format!("{rule}[2].hold.until is '1969-07-20', which lies before 1973"),
        ),
        (
            HOLD,
            "hold: {id: /case, policies: [offer]}",
            &format!("{rule}[2].hold.policies[0] is 'offer', which is not among the policies; did you mean 'offers'?"),
        ),
        (
            HOLD,
            "hold: {id: /case, policies: [offers, offers]}",
            &format!("{rule}[2].hold.policies[1] names 'offers' twice"),
        ),
        (
            HOLD,
            "hold: {id: /cases/*/id, reason: /notes/*/text}",
            &format!(
                "{rule}[2] reads /notes/*/text and /cases/*/id, and nothing tells which elements of the two arrays \
                 belong together"
            ),
        ),
        (
            "attribute: {segment: /segment}",
            "attribute: {segment: none}",
            &format!(
                "{rule}[5].attribute.segment is 'none', which stands for not set in applies_to; take another word"
            ),
        ),
        (
            "attribute: {segment: /segment}",
            "attribute: {segment: /a~2}",
            &format!(
                "{rule}[5].attribute.segment has the pointer '/a~2', in which '~' stands neither before 0 nor before 1 \
                 (RFC 6901)"
            ),
        ),
    ]);
}

#[test]
fn an_array_of_the_customers_goes_with_any_other() {
    let customers = ("    customer: /customer_id\n", "    customer: /people/*/id\n");
    for hold in ["/people/*/case", "/people/*/cases/*/id", "/cases/*/id"] {
        let hold = format!("hold: {{id: {hold}, reason: /people/*/reason, until: /until}}");
        assert!(load(&[customers, (HOLD, &hold)]).is_ok(), "{hold}");
    }
}

#[test]
fn what_policies_read_must_be_yielded() {
    refuses(&[
        (
            "    consent: newsletter\n",
            "    consent: newsleter\n",
            "policies.newsletter.consent is 'newsleter', which no source yields; did you mean 'newsletter'?",
        ),
        (
            "applies_to: {segment:",
            "applies_to: {kind:",
            "policies.administration.applies_to.kind is an attribute that no source yields",
        ),
        (
            "applies_to: {segment: [consumer, business, none]}",
            "applies_to: {segment: [consumer, consumer]}",
            "policies.administration.applies_to.segment[1] is 'consumer', which stands here twice",
        ),
        (
            "applies_to: {segment: [consumer, business, none]}",
            "applies_to: {segment: [consumer, ~]}",
            "policies.administration.applies_to.segment[1] is null; say none for not set",
        ),
        (
            "applies_to: {segment: [consumer, business, none]}",
            "applies_to: {}",
            "policies.administration.applies_to names no attribute; leave it out for everyone",
        ),
        (
            "{since_last: [purchase], counted_from_end_of: year, keep",
            "{since_last: [walk], counted_from_end_of: year, keep",
            "floors.invoices.since_last[0] is 'walk', which no source yields",
        ),
        (
            "  invoices: {since",
            "  bills: {since",
            "policies.administration.categories[0] is 'invoices', which has no floor; what is kept by legal_obligation \
             needs one, or mode: test",
        ),
        (
            "because: AWR art. 52 lid 4}",
            "because: ' '}",
            "floors.invoices.because is empty; name the law that has it kept",
        ),
        (
            "keep: P7Y",
            "keep: PT7M",
            "floors.invoices.keep is 'PT7M', which is less than a day; PT24M, say, is 24 minutes, and 24 months are \
             P24M. Set short_periods: true if you mean it",
        ),
    ]);
    warns(&[
        (
            &[
                ALL_IN_TEST,
                ("    consent: newsletter\n", "    consent: newslettr\n"),
                ("newsletter: /newsletter, ", ""),
            ],
            "policies.newsletter.consent is 'newslettr', which no source yields",
        ),
        (
            &[
                ALL_IN_TEST,
                ("{segment: [consumer,", "{kind: [consumer,"),
                ("      - {when: {/event: segment},     attribute: {segment: /segment}}\n", ""),
            ],
            "policies.administration.applies_to.kind is an attribute that no source yields",
        ),
    ]);
}

#[test]
fn what_was_told_before_may_not_be_missing() {
    let errors = load(&[NO_HISTORY]).map(|_| ()).unwrap_err();
    let says = "does not say history_from: beginning; what came before would be missing, and policies beyond test can't \
                do without it";
    let expected = [
        format!("sources.desk.rules[1] tells a consent, and {says}"),
        format!("sources.desk.rules[2] places or ends holds, and {says}"),
        format!("sources.desk.rules[3] places or ends holds, and {says}"),
        format!("sources.desk.rules[5] tells an attribute, and {says}"),
    ];
    assert_eq!(messages(&errors.0), expected);
    assert_eq!(messages(&loaded(&[ALL_IN_TEST, NO_HISTORY]).warnings), expected);
    // Of the policies that read them only those beyond test count.
    let administration_in_test = (
        "    stages: [{after: P7Y, command: expire}]\n    targets: [crm]\n    mode: enforce\n",
        "    stages: [{after: P7Y, command: expire}]\n    targets: [crm]\n",
    );
    let errors = load(&[NO_HISTORY, administration_in_test]).map(|_| ()).unwrap_err();
    assert_eq!(messages(&errors.0), expected[..3]);
}

#[test]
fn values_of_the_service() {
    refuses(&[
        (
            "\"09:00-17:00\"",
            "\"17:00-09:00\"",
            "window.hours is '17:00-09:00', and must be like 09:00-17:00, the earlier first, 24:00 at most",
        ),
        ("[mon, tue, wed,", "[mon, mon, wed,", "window.days[1] names 'mon' twice"),
        (
            "[mon, tue, wed,",
            "[mon, die, wed,",
            "window.days[1] is 'die', and must be one of mon, tue, wed, thu, fri, sat, sun",
        ),
        (", hours: \"09:00-17:00\"", "", "window needs 'hours': from when to when, such as \"09:00-17:00\""),
        (
            "brake: {per_day: 1%",
            "brake: {per_day: 1",
            "brake.per_day is '1', and must be a percentage from 0% to 100%, such as 0.1%",
        ),
        (
            "    consent: newsletter\n",
            "    consent: newsletter\n    brake: {per_day: 1%}\n    per_day: 2%\n",
            "policies.newsletter.per_day is set twice, also in brake; keep one",
        ),
        (
            "forget: {after: P30D",
            "forget: {after: PT30M",
            "forget.after is 'PT30M', which is less than a day; PT24M, say, is 24 minutes, and 24 months are P24M. Set \
             short_periods: true if you mean it",
        ),
        (
            "keep: P5Y",
            "keep: 5Y",
            "evidence.keep is '5Y', which is not an ISO 8601 period such as P2Y, P23M, P30D or PT12H",
        ),
        ("may: look_up", "may: look", "http.tokens.desk.may is 'look', and must be one of look_up, operate"),
        ("secret: file:/secrets/desk,", "", "http.tokens.desk needs 'secret': what has to be shown: file:/path"),
        (
            "time_zone:",
            "labels: {dutch: {email: e-mailadres}}\ntime_zone:",
            "labels.dutch is no language; a language is a code such as nl or en",
        ),
        (
            "topics: [web.events]",
            "format: avro\n    topics: [web.events]",
            "sources.web.format is 'avro', which is not supported yet by this version; json and cloudevents are",
        ),
        (
            "time_zone:",
            "schema_registry: {}\ntime_zone:",
            "schema_registry is not supported yet by this version; remove it",
        ),
    ]);
}

#[test]
fn what_is_worth_a_second_look() {
    warns(&[
        (
            &[("    consent: newsletter\n", ""), ("newsletter: /newsletter, ", "")],
            "policies.newsletter rests on consent and reads none, so that nobody's withdrawal ends it; add consent: NAME",
        ),
        (
            &[("stages: [{after: P7Y,", "stages: [{after: P83M,")],
            "policies.administration.stages[0] always lies before the floor of 'invoices', which is kept until that ends",
        ),
        (
            &[("  invoices: {since", "  bills: {since_last: [purchase], keep: P1Y, because: x}\n  invoices: {since")],
            "floors.bills is the floor of a category that no policy names",
        ),
        (
            &[(CONSENTS, "consent: {newsletter: /newsletter, offers: /offers, walks: /walks}")],
            "sources.desk.rules[1].consent.walks is read by no policy",
        ),
        (
            &[("erasure: true}", "erasure: true, max_silence: P1D}")],
            "sources.desk.rules[4] has a max_silence that does nothing: here, rules that make activity are guarded",
        ),
    ]);
    // Who bought nothing has no floor to wait for, and consent given starts no floor.
    let other = ("    since_last: [purchase]\n    counted", "    since_last: [purchase, login]\n    counted");
    assert_eq!(messages(&loaded(&[other, ("stages: [{after: P7Y,", "stages: [{after: P83M,")]).warnings), [""; 0]);
}

/// A change, and whether it moves the version of `administration`, the reading of `desk`, the hash of all.
#[test]
fn each_fingerprint_moves_with_what_it_stands_for() {
    let of = |changes: &[(&str, &str)]| {
        let config = loaded(changes).config;
        (config.rules.policies[0].version.clone(), config.sources[1].reading, config.hash)
    };
    let before = of(&[]);
    for (from, to, moves_policy, moves_reading, moves_config) in [
        ("[consumer, business, none]", "[none, business, consumer]", false, false, false),
        ("[consumer, business, none]", "[consumer, business]", true, false, true),
        ("    applies_to:", "    consent: offers\n    applies_to:", true, false, true),
        ("    applies_to:", "    per_day: 3%\n    applies_to:", false, false, true),
        ("because: AWR art. 52 lid 4", "because: AWR art. 52", false, false, true),
        ("keep: P7Y", "keep: P8Y", true, false, true),
        (
            "[purchase], counted_from_end_of: year, keep",
            "[purchase], counted_from_end_of: month, keep",
            true,
            false,
            true,
        ),
        ("  invoices: {", "  email: {since_last: [login], keep: P1M, because: x}\n  invoices: {", false, false, true),
        ("brake: {per_day: 1%", "brake: {per_day: 2%", false, false, true),
        ("forget: {after: P30D", "forget: {after: P31D", false, false, true),
        ("suppress_for: P2Y", "suppress_for: P24M", false, false, false),
        ("09:00-17:00", "09:00-18:00", false, false, true),
        ("09:00-17:00", "09:00 - 17:00", false, false, false),
        ("keep: P5Y", "keep: P6Y", false, false, true),
        ("time_zone:", "labels: {nl: {email: e-mailadres}}\ntime_zone:", false, false, true),
        ("may: look_up", "may: operate", false, false, false),
        (CONSENTS, "consent: {offers: /offers, newsletter: /newsletter}", false, false, false),
        (CONSENTS, "consent: {newsletter: true, offers: /offers}", false, true, true),
        ("reason: /reason", "reason: reason", false, true, true),
        ("until: /until}", "until: /until, policies: [offers]}", false, true, true),
        ("unhold: {id: /case}", "unhold: {id: /id}", false, true, true),
        ("erasure: true", "unhold: {id: all}", false, true, true),
        ("attribute: {segment: /segment}", "attribute: {segment: /group}", false, true, true),
        ("topics: [crm.events]", "format: cloudevents\n    topics: [crm.events]", false, true, true),
    ] {
        let after = of(&[(from, to)]);
        let moved = (before.0 != after.0, before.1 != after.1, before.2 != after.2);
        assert_eq!(moved, (moves_policy, moves_reading, moves_config), "{from} → {to}");
    }
}
