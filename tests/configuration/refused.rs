//! What is wrong → what is said of it.

use crate::shop::{SHOP, errors_with, load};

/// Each change of the shop, and the one error it makes.
fn refuses(table: &[(&str, &str, &str)]) {
    for (from, to, error) in table {
        assert_eq!(errors_with(&[(from, to)]), [*error], "{from} → {to}");
    }
}

#[test]
fn unknown_keys_with_a_suggestion_where_one_is_near() {
    refuses(&[
        (
            "max_silence: P1D",
            "max_silnce: P1D\n    max_silence: P1D",
            "shop.yaml:11:5: sources.orders.max_silnce is not a known key; did you mean 'max_silence'?",
        ),
        (
            "time_zone:",
            "colour: red\ntime_zone:",
            "shop.yaml:2:1: colour is not a known key; known here: application, time_zone, short_periods, mode, brake, \
             kafka, http, evidence, topics, max_gate_lag, labels, window, forget, sources, targets, policies, floors",
        ),
        (
            "acknowledge_within: P3D",
            "acknowledge_within: P3D, tpoic: x",
            "shop.yaml:23:55: targets.crm.tpoic is not a known key; did you mean 'topic'?",
        ),
        (
            "mode: enforce",
            "<<: {}\n    mode: enforce",
            "shop.yaml:35:5: policies.offers.<< is a merge key of YAML 1.1; write the keys out",
        ),
    ]);
}

#[test]
fn keys_that_do_nothing_yet_are_refused_by_name() {
    refuses(&[
        (
            "time_zone:",
            "schema_registry: {url: x}\ntime_zone:",
            "shop.yaml:2:1: schema_registry is not supported yet by this version; remove it",
        ),
        (
            "time: /at",
            "time: /at\n    format: avro",
            "shop.yaml:10:13: sources.orders.format is 'avro', which is not supported yet by this version; json and \
             cloudevents are",
        ),
    ]);
}

#[test]
fn missing_keys() {
    refuses(&[
        (
            "time_zone: Europe/Amsterdam\n",
            "",
            "shop.yaml:1:1: needs 'time_zone': the calendar of periods, such as Europe/Amsterdam",
        ),
        (
            "    time: /at\n",
            "",
            "shop.yaml:7:5: sources.orders needs 'time': when it happened: /pointer, or record for the record's own timestamp",
        ),
        (
            ", acknowledge_within: P3D",
            "",
            "shop.yaml:23:8: targets.crm needs 'acknowledge_within': how long a command is valid, such as P3D, or none",
        ),
        (
            "    review_by: 2027-06-01\n",
            "",
            "shop.yaml:27:5: policies.offers needs 'review_by': the date by which someone looks at it again",
        ),
        (
            "bootstrap.servers: localhost:9092",
            "client.rack: a",
            "shop.yaml:3:8: kafka needs 'bootstrap.servers': the brokers to begin with, host:port, separated by commas",
        ),
        (
            "key: 0123456789abcdef0123456789abcdef",
            "",
            "shop.yaml:4:11: evidence needs 'key': a secret that never changes; command ids are derived from it",
        ),
    ]);
}

#[test]
fn values_of_the_service() {
    refuses(&[
        (
            "application: shop",
            "application: my shop",
            "shop.yaml:1:14: application is 'my shop'; it begins the names of topics, so it is 1 to 200 letters, \
             digits, '.', '_' or '-'",
        ),
        (
            "Europe/Amsterdam",
            "Europe/Amsterdm",
            "shop.yaml:2:12: time_zone is 'Europe/Amsterdm', which is no time zone of the IANA database; did you mean \
             'Europe/Amsterdam'?",
        ),
        (
            "time_zone:",
            "http: {listen: 8080}\ntime_zone:",
            "shop.yaml:2:16: http.listen is '8080', and must be an address and a port, such as 0.0.0.0:8080",
        ),
        (
            "time_zone:",
            "topics: {partitions: 0}\ntime_zone:",
            "shop.yaml:2:22: topics.partitions is '0', and must be a whole number from 1 to 10000",
        ),
        (
            "time_zone:",
            "short_periods: yes\ntime_zone:",
            "shop.yaml:2:16: short_periods is 'yes', and must be true or false",
        ),
        (
            "time_zone:",
            "mode: enforced\ntime_zone:",
            "shop.yaml:2:7: mode is 'enforced', and must be one of test, notify, enforce; did you mean 'enforce'?",
        ),
        (
            "time_zone:",
            "max_gate_lag: 15\ntime_zone:",
            "shop.yaml:2:15: max_gate_lag is '15', which is not an ISO 8601 period such as P2Y, P23M, P30D or PT12H",
        ),
        (
            "key: 0123456789abcdef0123456789abcdef",
            "key: ''",
            "shop.yaml:4:17: evidence.key is empty; take 32 random characters, and keep them for ever",
        ),
    ]);
}

#[test]
fn values_of_a_source() {
    refuses(&[
        (
            "customer: key:/id",
            "customer: key:id",
            "shop.yaml:16:15: sources.web.customer is 'key:id', and must be /pointer, key, key:/pointer or header:NAME",
        ),
        (
            "customer: key:/id",
            "customer: 'header:'",
            "shop.yaml:16:15: sources.web.customer is 'header:', and must be /pointer, key, key:/pointer or header:NAME",
        ),
        (
            "customer: key:/id",
            "customer: /a~2b",
            "shop.yaml:16:15: sources.web.customer has the pointer '/a~2b', in which '~' stands neither before 0 nor \
             before 1 (RFC 6901)",
        ),
        (
            "customer: key:/id",
            "customer: /*/*/*/*/*/id",
            "shop.yaml:16:15: sources.web.customer has the pointer '/*/*/*/*/*/id', which steps through more than 4 arrays",
        ),
        (
            "time: record",
            "time: now",
            "shop.yaml:17:11: sources.web.time is 'now', and must be /pointer, or record for the record's own timestamp",
        ),
        (
            "allowed_lateness: P3D",
            "allowed_lateness: PT5M",
            "shop.yaml:18:23: sources.web.allowed_lateness is 'PT5M', and must be at least PT10M (or set short_periods: true)",
        ),
        (
            "max_silence: PT12H",
            "max_silence: P1M",
            "shop.yaml:19:18: sources.web.max_silence is 'P1M', which has years or months, which have no fixed length \
             here; use days or hours",
        ),
        ("max_silence: PT12H", "max_silence:", "shop.yaml:19:16: sources.web.max_silence must be text, and is nothing"),
        (
            "max_silence: PT12H",
            "max_silence: PT12H\n    max_rejects: 0.1",
            "shop.yaml:20:18: sources.web.max_rejects is '0.1', and must be a percentage from 0% to 100%, such as 0.1%",
        ),
        (
            "history_from: beginning",
            "history_from: 2020-01-01",
            "shop.yaml:10:19: sources.orders.history_from is '2020-01-01'; say beginning, or leave it out for what the \
             topic can still show",
        ),
        (
            "  web:\n",
            "  'w b':\n",
            "shop.yaml:14:3: sources.w b is no usable name; a name is 1 to 100 letters, digits, \
          '.', '_' or '-', and begins with a letter or digit",
        ),
    ]);
}

#[test]
fn topics_of_sources_and_targets() {
    refuses(&[
        ("[shop.orders]", "[]", "shop.yaml:7:13: sources.orders.topics is empty, and must name at least one topic"),
        (
            "[shop.orders]",
            "shop.orders",
            "shop.yaml:7:13: sources.orders.topics must be a list, each element a topic, and is a single value",
        ),
        (
            "[shop.orders]",
            "[shop.orders, shop.orders]",
            "shop.yaml:7:27: sources.orders.topics[1] names 'shop.orders' twice",
        ),
        (
            "[shop.orders]",
            "[shop/orders]",
            "shop.yaml:7:14: sources.orders.topics[0] is 'shop/orders', and a topic's name is 1 to 249 letters, digits, \
             '.', '_' or '-'",
        ),
        (
            "^web\\.old\\.",
            "\"^web(\"",
            "shop.yaml:15:26: sources.web.topics[1] is '^web(', which is no regular expression: unclosed group",
        ),
        (
            "^web\\.old\\.",
            "^shop\\.or",
            "shop.yaml:15:26: sources.web.topics[1] is also read by source 'orders'; a topic belongs to one source",
        ),
        (
            "[shop.orders]",
            "[web.old.orders]",
            "shop.yaml:15:26: sources.web.topics[1] is also read by source 'orders'; a topic belongs to one source",
        ),
        (
            "[shop.orders]",
            "[shop.acks]",
            "shop.yaml:7:14: sources.orders.topics[0] is 'shop.acks', which is one of our own topics",
        ),
        (
            "[shop.orders]",
            "[^crm\\.]",
            "shop.yaml:7:14: sources.orders.topics[0] is '^crm\\.', which reads crm.commands, to which target 'crm' has its \
             commands",
        ),
        (
            "topic: crm.commands",
            "topic: shop.signals",
            "shop.yaml:23:16: targets.crm.topic is 'shop.signals', which is one of our own topics",
        ),
        (
            "topic: crm.commands",
            "topic: web.events",
            "shop.yaml:15:14: sources.web.topics[0] is 'web.events', which reads web.events, to which target 'crm' has its \
             commands",
        ),
    ]);
}

#[test]
fn rules() {
    refuses(&[
        (
            "activity: login",
            "activity: log in",
            "shop.yaml:21:66: sources.web.rules[0].activity is 'log in', and a name is 1 to 100 letters, digits, '.', '_' \
             or '-', and begins with a letter or digit",
        ),
        (
            ", activity: login",
            "",
            "shop.yaml:21:9: sources.web.rules[0] yields nothing; it needs one of activity, consent, hold, unhold, \
             erasure, attribute",
        ),
        (
            "{/agent: bot}",
            "{agent: bot}",
            "shop.yaml:21:49: sources.web.rules[0].unless.agent must be named by a JSON Pointer, such as /event",
        ),
        (
            "{/agent: bot}",
            "{/agent: []}",
            "shop.yaml:21:50: sources.web.rules[0].unless./agent is empty, and must name at least one value",
        ),
        (
            "{/agent: bot}",
            "{/agent: {a: b}}",
            "shop.yaml:21:50: sources.web.rules[0].unless./agent must be a value or a list of values, and is a map",
        ),
        (
            "{/agent: bot}",
            "{/agent: [bot, 'bot']}",
            "shop.yaml:21:56: sources.web.rules[0].unless./agent[1] is 'bot', which stands here twice",
        ),
    ]);
}

#[test]
fn policies() {
    refuses(&[
        (
            "lawful_basis: contract",
            "lawful_basis: contrakt",
            "shop.yaml:28:19: policies.offers.lawful_basis is 'contrakt', and must be one of consent, contract, \
             legal_obligation, vital_interests, public_task, legitimate_interest; did you mean 'contract'?",
        ),
        (
            "purpose: {en: Relevant offers until two years after your last purchase}",
            "purpose: Relevant offers until two years after your last purchase",
            "shop.yaml:27:14: policies.offers.purpose must be a map of texts by language, such as {en: …}, and is a \
             single value",
        ),
        (
            "{en: Relevant",
            "{english: Relevant",
            "shop.yaml:27:15: policies.offers.purpose.english is no language; a language is a code such as nl or en",
        ),
        ("[email, name]", "[email, name, email]", "shop.yaml:29:31: policies.offers.categories[2] names 'email' twice"),
        (
            "[purchase, login]",
            "[purchse, login]",
            "shop.yaml:30:18: policies.offers.since_last[0] is 'purchse', which no source yields; did you mean 'purchase'?",
        ),
        (
            "targets: [crm, mailing]",
            "targets: [crm, mail]",
            "shop.yaml:34:20: policies.offers.targets[1] is 'mail', which is not among the targets",
        ),
        (
            "review_by: 2027-06-01",
            "review_by: 2027-6-1",
            "shop.yaml:36:16: policies.offers.review_by is '2027-6-1', and must be a date such as 2027-06-01",
        ),
        (
            "mode: enforce",
            "counted_from_end_of: week",
            "shop.yaml:35:26: policies.offers.counted_from_end_of is 'week', and must be one of month, year",
        ),
    ]);
}

#[test]
fn stages() {
    refuses(&[
        (
            "after: P24M",
            "after: PT24M",
            "shop.yaml:33:17: policies.offers.stages[1].after is 'PT24M', which is less than a day; PT24M, say, is 24 \
             minutes, and 24 months are P24M. Set short_periods: true if you mean it",
        ),
        (
            "after: P24M",
            "after: P22M",
            "shop.yaml:33:9: policies.offers.stages[1] does not come after the stage before it, for instance for an \
             activity on 2024-01-01",
        ),
        (
            "after: P24M",
            "after: P2Y12H",
            "shop.yaml:33:17: policies.offers.stages[1].after is 'P2Y12H', which is not an ISO 8601 period such as P2Y, \
             P23M, P30D or PT12H",
        ),
        (
            "command: anonymise",
            "command: warn",
            "shop.yaml:33:9: policies.offers.stages[1] warns, and nothing follows; the last stage must be expire or anonymise",
        ),
        (
            "command: anonymise",
            "command: delete",
            "shop.yaml:33:32: policies.offers.stages[1].command is 'delete', and must be one of warn, expire, anonymise",
        ),
        (
            "targets: [mailing]}",
            "targets: [maling]}",
            "shop.yaml:32:48: policies.offers.stages[0].targets[0] is 'maling', which is not among the targets; did you \
             mean 'mailing'?",
        ),
    ]);
}

#[test]
fn kafka_properties_that_would_break_the_promises_and_why() {
    let refused = |property: &str| errors_with(&[("bootstrap.servers:", &format!("{property}, bootstrap.servers:"))]);
    for (property, error) in [
        (
            "enable.auto.commit: true",
            "kafka.enable.auto.commit may not be set: offsets are committed with what they stand for, never by a timer",
        ),
        (
            "isolation.level: read_uncommitted",
            "kafka.isolation.level may not be set: what was aborted must not be read, and a restore needs both levels",
        ),
        (
            "request.required.acks: 1",
            "kafka.request.required.acks may not be set: a record that only one broker has is lost with it; all must have it",
        ),
        (
            "sesion.timeout.ms: 9000",
            "kafka.sesion.timeout.ms is no property of librdkafka; did you mean 'session.timeout.ms'?",
        ),
        ("metadata.broker.list: x", "kafka.bootstrap.servers sets the same as 'metadata.broker.list'; keep one"),
        ("session.timeout.ms: 9s", "kafka.session.timeout.ms must be a whole number from 1 to 3600000"),
        ("security.protocol: tls", "kafka.security.protocol must be one of plaintext, ssl, sasl_plaintext, sasl_ssl"),
        ("sasl.password: [secret]", "kafka.sasl.password must be text, and is a list"),
    ] {
        let errors = refused(property);
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].ends_with(&format!(": {error}")), "{errors:?}");
    }
}

#[test]
fn yaml_itself() {
    for (text, errors) in [
        ("a: [1, 2", "2:1: this is not YAML: while parsing a flow sequence, expected ',' or ']'"),
        ("b:\n\ta: 1", "2:2: this is not YAML: tabs disallowed within this context (block indentation)"),
        ("a: *b", "1:4: this is not YAML: while parsing node, found unknown anchor"),
        ("[a, b]: 1", "1:1: a list or map is used as a key here; keys are text"),
        ("a: &a [*a]", "1:8: this alias refers to nothing that is complete before it"),
    ] {
        assert_eq!(load(text).unwrap_err().to_string(), format!("shop.yaml:{errors}"), "{text:?}");
    }
    refuses(&[
        ("time_zone:", "time_zone: UTC\ntime_zone:", "shop.yaml:3:1: 'time_zone' is set twice here, first in line 2"),
        ("2027-06-01", "2027-06-01\n---\na: b", "shop.yaml:38:1: a second document begins here; one file holds one"),
    ]);
    assert!(
        load("- a")
            .unwrap_err()
            .to_string()
            .starts_with("shop.yaml:1:1: a configuration is a map, and this is a list\n")
    );
}

#[test]
fn all_errors_at_once_and_none_twice() {
    let errors = errors_with(&[
        ("time_zone: Europe/Amsterdam", "time_zone: Mars/Olympus"),
        ("max_silence: P1D", "max_silence: P1Y"),
        ("customer: key:/id", "custmer: key:/id"),
        ("acknowledge_within: P3D", "acknowledge_within: P3M"),
        ("since_last: [purchase, login]", "since_last: [purchase, loin]"),
        ("after: P24M", "after: 24 months"),
        ("targets: [crm, mailing]", "targets: [crm, mailings]"),
    ]);
    let heads: Vec<String> =
        errors.iter().map(|error| error.split_whitespace().take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        heads,
        [
            "shop.yaml:2:12: time_zone",
            "shop.yaml:11:18: sources.orders.max_silence",
            "shop.yaml:15:5: sources.web",
            "shop.yaml:16:5: sources.web.custmer",
            "shop.yaml:23:50: targets.crm.acknowledge_within",
            "shop.yaml:30:28: policies.offers.since_last[1]",
            "shop.yaml:33:17: policies.offers.stages[1].after",
            "shop.yaml:34:20: policies.offers.targets[1]",
        ],
        "{errors:#?}"
    );
}

#[test]
fn an_empty_configuration_is_told_all_it_needs() {
    for text in ["", "# nothing\n", "---\n", "~"] {
        let errors = load(text).unwrap_err();
        let needs: Vec<String> =
            errors.0.iter().map(|error| error.message.split(':').next().unwrap().to_owned()).collect();
        let all = ["time_zone", "kafka", "evidence", "sources", "targets", "policies"];
        assert_eq!(needs, all.map(|key| format!("needs '{key}'")), "{text:?}");
    }
}

#[test]
fn too_much_of_a_kind() {
    let names = |count: usize| (0..count).map(|n| format!("c{n}")).collect::<Vec<_>>().join(", ");
    assert_eq!(
        errors_with(&[("[email, name]", &format!("[{}]", names(65)))]),
        ["shop.yaml:1:1: has 65 categories; at most 64 can be told apart"]
    );
    let rules = (0..254).map(|n| format!("      - {{activity: k{n}}}\n")).collect::<String>();
    let errors = errors_with(&[("      - {when: {/op", &format!("{rules}      - {{when: {{/op"))]);
    assert_eq!(
        errors,
        [
            "shop.yaml:1:1: has 256 kinds of activity; at most 255 can be told apart",
            "shop.yaml:13:7: sources.orders.rules has 255 rules; more than 80 could not be kept beside a committed \
             offset",
        ]
    );
}

#[test]
fn the_shop_itself_is_without_fault() {
    let loaded = load(SHOP).unwrap();
    assert_eq!(loaded.warnings, []);
}
