//! What one instance does, case by case.

use crate::world::{Arrived, CONFIG, Reader, START_MS, Source, config};
use lapsed::ingest::extract::Reason;
use lapsed::ingest::facts::Start;
use lapsed::ingest::instance::Sink;
use lapsed::retention::calendar::Timestamp;
use lapsed::retention::claims::Claim;
use lapsed::retention::progress::{History, PartitionProgress};
use lapsed::wire::partition::shard_of;
use lapsed::wire::progress::{self, Progress};
use lapsed::wire::signal::Signal;
use std::collections::BTreeMap;

const TOPIC: &str = "web.events";
const LOGIN: &str = r#"{"event": "login", "user": "ann"}"#;

struct One {
    source: Source,
    reader: Reader,
    committed: BTreeMap<(String, u32), lapsed::ingest::instance::Commit>,
    now_ms: i64,
}

impl One {
    fn new(payloads: &[&str]) -> One {
        let mut source = Source::default();
        source.create(TOPIC, 1);
        source.create("lapsed.acks", 1);
        payloads.iter().for_each(|payload| source.append(TOPIC, 0, START_MS, payload));
        let reader = Reader::started(&config(CONFIG), START_MS);
        let mut one = One { source, reader, committed: BTreeMap::new(), now_ms: START_MS };
        one.reader.look(&one.source, one.now_ms);
        one.assign();
        one
    }

    fn assign(&mut self) -> Start {
        self.reader.assign(&self.source, "lapsed.acks", 0, &self.committed, self.now_ms);
        self.reader.assign(&self.source, TOPIC, 0, &self.committed, self.now_ms)
    }

    /// Ten seconds in which everything goes well; what arrived.
    fn cycle(&mut self) -> Vec<Arrived> {
        self.now_ms += 10_000;
        self.reader.look(&self.source, self.now_ms);
        self.reader.read(&self.source, 1000, self.now_ms);
        let mut arrived: Vec<_> = (0..2).flat_map(|shard| self.reader.deliver(shard, 1000)).collect();
        self.reader.commit(&mut self.committed, self.now_ms);
        self.reader.report(self.now_ms);
        arrived.extend((0..2).flat_map(|shard| self.reader.deliver(shard, 1000)));
        arrived
    }

    fn restart(&mut self, text: &str) -> Start {
        self.reader = Reader::started(&config(text), self.now_ms);
        self.reader.look(&self.source, self.now_ms);
        self.assign()
    }
}

fn signals(arrived: &[Arrived]) -> Vec<&str> {
    let customers = arrived.iter().filter_map(|arrived| match arrived {
        Arrived::Signal(customer, _) => Some(customer.as_str()),
        Arrived::Progress(_) => None,
    });
    customers.collect()
}

fn reports(arrived: &[Arrived]) -> Vec<&Progress> {
    let reports = arrived.iter().filter_map(|arrived| match arrived {
        Arrived::Progress(progress) => Some(progress),
        Arrived::Signal(..) => None,
    });
    reports.collect()
}

/// What both shards were told of the one partition.
fn report(arrived: &[Arrived]) -> &PartitionProgress {
    let reports = reports(arrived);
    assert_eq!(reports.len(), 2, "one a shard");
    assert_eq!(reports[0], reports[1]);
    &reports[0].partitions[0]
}

/// News of one batch travel in one record a shard; what is alone has its customer for its key.
#[test]
fn news_of_a_shard_travel_together() {
    let login = |customer: usize| format!(r#"{{"event": "login", "user": "customer {customer}"}}"#);
    let logins: Vec<String> = (0..1000).map(login).collect();
    let mut many = One::new(&logins.iter().map(String::as_str).collect::<Vec<_>>());
    many.reader.read(&many.source, 1000, many.now_ms);
    let records = &many.reader.in_flight.by_shard;
    assert!(records.values().flatten().all(|(customer, value)| customer.is_none() && value.len() < 20_000));
    assert!(records.len() == 2 && records.values().all(|records| records.len() < 4), "16 KiB each");
    let arrived: Vec<Arrived> = (0..2).flat_map(|shard| many.reader.deliver(shard, 9)).collect();
    let mut arrived = signals(&arrived);
    arrived.sort();
    let mut expected: Vec<String> = (0..1000).map(|customer| format!("customer {customer}")).collect();
    expected.sort();
    assert_eq!(arrived, expected);
    many.reader.instance.turn();
    assert_eq!((many.reader.instance.in_flight(), many.reader.instance.counts(0).forwarded), (0, 1000));
}

#[test]
fn a_day_of_a_customer_is_forwarded_once() {
    let mut one = One::new(&[LOGIN, LOGIN, r#"{"event": "purchase", "user": "ann"}"#, LOGIN]);
    let arrived = one.cycle();
    assert_eq!(signals(&arrived), ["ann", "ann"]);
    let counts = one.reader.instance.counts(0);
    assert_eq!((counts.signals, counts.forwarded, counts.coalesced), (4, 2, 2));
    one.source.append(TOPIC, 0, one.now_ms + 86_400_000, LOGIN);
    one.now_ms += 86_400_000;
    assert_eq!(signals(&one.cycle()), ["ann"]);
}

#[test]
fn outcomes_are_kept_apart() {
    let rejected = ["nonsense", r#"{"event": "login"}"#];
    let others = [r#"{"event": "logout", "user": 1}"#, r#"{"event": "login", "user": null}"#];
    let mut one = One::new(&[rejected[0], rejected[1], others[0], others[1], LOGIN]);
    let arrived = one.cycle();
    let counts = one.reader.instance.counts(0);
    assert_eq!((counts.signals, counts.ignored, counts.skipped), (1, 1, 1));
    assert_eq!(
        counts.rejected.clone().into_iter().collect::<Vec<_>>(),
        [(Reason::NotJson, 1), (Reason::NoCustomer, 1)]
    );
    let report = report(&arrived);
    assert_eq!((report.records_last_hour, report.rejects_last_hour, report.rejects_total), (5, 2, 2));
    let reject: serde_json::Value = serde_json::from_str(&one.reader.in_flight.rejects[1]).unwrap();
    assert_eq!(reject["topic"], TOPIC);
    assert_eq!((&reject["partition"], &reject["offset"]), (&0.into(), &1.into()));
    assert_eq!(reject["reason"], "no_customer");
    assert!(reject["detail"].is_string() && !reject.to_string().contains("login"));
}

#[test]
fn acknowledgements_become_signals_and_no_progress() {
    let mut one = One::new(&[LOGIN]);
    let acknowledgement = r#"{"command": "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "attempt": 1, "customer": "bob",
        "target": "crm", "result": "done"}"#;
    for payload in [acknowledgement, acknowledgement, "nonsense"] {
        one.source.append("lapsed.acks", 0, START_MS, payload);
    }
    let arrived = one.cycle();
    assert_eq!(signals(&arrived).iter().filter(|customer| **customer == "bob").count(), 2);
    let is_acknowledgement = |arrived: &&Arrived| matches!(arrived, Arrived::Signal(_, Signal::Acknowledgement(_)));
    assert_eq!(arrived.iter().filter(is_acknowledgement).count(), 2);
    assert_eq!(one.reader.in_flight.rejects.len(), 1);
    assert_eq!(reports(&arrived)[0].partitions.len(), 1);
    assert_eq!(one.reader.instance.acknowledgement_counts().rejected[&Reason::NoAcknowledgement], 1);
    // After a restart they are not read again.
    one.restart(CONFIG);
    assert_eq!(signals(&one.cycle()), [""; 0]);
}

#[test]
fn complete_only_when_the_end_was_asked_first_and_all_is_acknowledged() {
    let mut one = One::new(&[LOGIN, r#"{"event": "login", "user": "bob"}"#]);
    let (looked_at, later) = (one.now_ms + 1000, one.now_ms + 30_000);
    one.reader.commit(&mut one.committed, one.now_ms);
    one.reader.look(&one.source, looked_at);
    one.reader.read(&one.source, 1, later);
    let told = |reader: &mut Reader, now_ms: i64| {
        reader.report(now_ms);
        let in_order: Vec<_> = (0..2).flat_map(|shard| reader.deliver(shard, 1000)).collect();
        reports(&in_order).iter().map(|progress| progress.partitions[0].complete_to).collect::<Vec<_>>()
    };
    assert_eq!(told(&mut one.reader, later), [None, None], "not read to its end");
    one.reader.read(&one.source, 1, later);
    let looked_at = Timestamp::from_millis_floor(looked_at);
    let busy = shard_of(b"bob", 2) as usize;
    let told_now = told(&mut one.reader, later + 10_000);
    assert_eq!((told_now[busy], told_now[1 - busy]), (None, Some(looked_at)), "only one has something in flight");
    assert_eq!(told(&mut one.reader, later + 20_000), [Some(looked_at); 2]);
    assert_eq!(told(&mut one.reader, later + 25_000), [], "not due");
}

#[test]
fn nothing_is_committed_while_it_is_in_flight() {
    let mut one = One::new(&[LOGIN, "nonsense", LOGIN]);
    one.reader.commit(&mut one.committed, one.now_ms);
    let offset = |one: &One| one.committed[&(TOPIC.to_owned(), 0)].offset;
    one.reader.read(&one.source, 3, one.now_ms);
    one.reader.commit(&mut one.committed, one.now_ms);
    assert_eq!((offset(&one), one.reader.instance.in_flight()), (0, 2));
    for shard in 0..2 {
        one.reader.deliver(shard, 10);
    }
    one.reader.commit(&mut one.committed, one.now_ms);
    assert_eq!((offset(&one), one.reader.instance.in_flight()), (3, 0));
    // Control records move the position alone.
    let slot = one.reader.instance.slot(TOPIC, 0).unwrap();
    one.reader.instance.position(slot, 5);
    one.reader.instance.turn();
    one.reader.instance.turn();
    one.reader.commit(&mut one.committed, one.now_ms);
    assert_eq!(offset(&one), 5);
}

#[test]
fn facts_survive_a_restart() {
    let mut one = One::new(&[LOGIN, "nonsense"]);
    let before = report(&one.cycle()).clone();
    assert_eq!(one.restart(CONFIG), Start::Continued);
    let after = one.cycle();
    assert_eq!(signals(&after), [""; 0]);
    let expected = PartitionProgress { complete_to: before.complete_to.map(|at| Timestamp(at.0 + 10)), ..before };
    assert_eq!(report(&after), &expected);
}

#[test]
fn another_reading_starts_from_the_beginning() {
    let mut one = One::new(&[LOGIN]);
    let before = report(&one.cycle()).clone();
    one.now_ms += 3_600_000;
    let changed = CONFIG.replace("{/event: purchase}", "{/event: order}");
    assert_eq!(one.restart(&changed), Start::Reread);
    one.source.starts.insert((TOPIC.to_owned(), 0), 0);
    let arrived = one.cycle();
    assert_eq!(signals(&arrived), ["ann"]);
    let after = report(&arrived);
    assert_eq!((before.first_read, before.rules[0].history), (after.first_read, after.rules[0].history));
    assert_ne!(before.reading, after.reading);
}

#[test]
fn expired_records_are_a_gap_that_a_restart_remembers() {
    let mut one = One::new(&[LOGIN]);
    one.cycle();
    (0..5).for_each(|_| one.source.append(TOPIC, 0, START_MS, LOGIN));
    one.source.starts.insert((TOPIC.to_owned(), 0), 3);
    assert_eq!(one.restart(CONFIG), Start::Gap);
    let gap = report(&one.cycle()).gap;
    assert_eq!(gap, Some(Timestamp(START_MS / 1000 + 10)));
    assert_eq!(one.restart(CONFIG), Start::Continued);
    assert_eq!(report(&one.cycle()).gap, gap);
    assert_eq!(one.restart(&CONFIG.replace("max_silence: PT12H", "max_silence: PT12H\n    reread: 2")), Start::Reread);
    assert_eq!(report(&one.cycle()).gap, None);
}

#[test]
fn a_topic_without_records_is_known_since_it_was_first_looked_at() {
    let mut one = One::new(&[]);
    let first_look = Timestamp(START_MS / 1000);
    assert_eq!(report(&one.cycle()).rules[0].history, History::EmptyAt(first_look));
    one.source.append(TOPIC, 0, one.now_ms, LOGIN);
    assert_eq!(report(&one.cycle()).rules[0].history, History::EmptyAt(first_look));
    // A partition that joins later shows all there ever was in it.
    one.source.create(TOPIC, 2);
    one.source.append(TOPIC, 1, one.now_ms, LOGIN);
    one.reader.look(&one.source, one.now_ms);
    one.reader.assign(&one.source, TOPIC, 1, &one.committed, one.now_ms);
    let arrived = one.cycle();
    let arrived = reports(&arrived)[0].clone();
    assert_eq!((arrived.topics[0].partitions, arrived.partitions[1].rules[0].history), (2, History::Whole));
}

#[test]
fn a_clock_that_is_off_is_not_believed() {
    let mut one = One::new(&[LOGIN]);
    one.cycle();
    one.reader.instance.clock(1, one.now_ms + 61_000, one.now_ms);
    let arrived = one.cycle();
    let partitions: Vec<_> = reports(&arrived).iter().map(|progress| progress.partitions.len()).collect();
    assert_eq!((partitions, one.reader.instance.may_read()), (vec![1, 0], false));
    one.reader.instance.clock(1, one.now_ms, one.now_ms);
    assert!(one.reader.instance.may_read());
    // It is told at once.
    one.reader.report(one.now_ms);
    let told: Vec<_> = (0..2).map(|shard| one.reader.deliver(shard, 10).len()).collect();
    assert_eq!(told, [0, 1]);
}

/// Until the brokers' answers show that our clock is wrong, what it takes for the future is none.
#[test]
fn a_clock_that_has_just_gone_back_rejects_nothing() {
    let mut one = One::new(&[]);
    one.cycle();
    one.source.append(TOPIC, 0, one.now_ms, LOGIN);
    let years_back = one.now_ms - 2 * 365 * 86_400_000;
    one.reader.read(&one.source, 10, years_back);
    let counts = one.reader.instance.counts(0);
    assert_eq!((counts.rejected.len(), counts.signals), (0, 1), "{counts:?}");
    // When it is right again, what is ahead of it is from the future.
    one.source.append(TOPIC, 0, one.now_ms + 86_400_000, LOGIN);
    one.reader.read(&one.source, 10, one.now_ms);
    assert_eq!(one.reader.instance.counts(0).rejected.values().sum::<u64>(), 1);
}

#[test]
fn an_instance_that_has_heard_nothing_says_only_that_it_is_there() {
    let mut reader = Reader::new(&config(CONFIG));
    assert!(!reader.instance.may_read());
    reader.report(START_MS);
    let arrived: Vec<_> = (0..2).flat_map(|shard| reader.deliver(shard, 10)).collect();
    assert!(reports(&arrived).iter().all(|progress| progress.topics.is_empty() && progress.partitions.is_empty()));
    assert_eq!(arrived.len(), 2);
}

#[test]
fn topics_are_found_by_name_and_pattern() {
    let text = CONFIG.replace("[web.events]", "['^web\\.', '^lapsed', missing]");
    let mut reader = Reader::new(&config(&text));
    let known =
        [("web.b", 3), ("web.a", 1), ("lapsed.signals", 2), ("lapsed.acks", 2), ("__consumer_offsets", 50), ("x", 1)];
    let read = reader.instance.topics(Timestamp(5), known.into_iter());
    assert_eq!(read, ["web.a", "web.b", "lapsed.acks"]);
    assert_eq!(reader.instance.elders("web.a").len(), 4);
    (0..2).for_each(|shard| reader.instance.clock(shard, START_MS, START_MS));
    reader.report(START_MS);
    let arrived = reader.deliver(0, 1);
    let listed: Vec<_> =
        reports(&arrived)[0].topics.iter().map(|topic| (topic.topic.as_str(), topic.partitions)).collect();
    assert_eq!(listed, [("missing", 0), ("web.a", 1), ("web.b", 3)]);
}

#[test]
fn a_record_from_the_future_is_no_sign_of_life() {
    let mut one = One::new(&[]);
    for payload in [LOGIN, r#"{"event": "login", "user": null}"#] {
        one.source.append(TOPIC, 0, START_MS + 86_400_000, payload);
    }
    let arrived = one.cycle();
    assert_eq!((signals(&arrived), report(&arrived).rules[0].matched), (vec![], None));
    assert_eq!(one.reader.instance.counts(0).skipped, 1);
}

#[test]
fn claims_are_forwarded_each_time() {
    let told = config(
        &CONFIG.replace("rules:\n", "rules:\n      - {when: {/event: preference}, consent: {offers: /offers}}\n"),
    );
    let preference = r#"{"event": "preference", "user": "ann", "offers": false}"#;
    let nothing = r#"{"event": "preference", "user": "ann"}"#;
    let mut source = Source::default();
    source.create(TOPIC, 1);
    source.create("lapsed.acks", 1);
    for payload in [preference, LOGIN, preference, LOGIN, nothing] {
        source.append(TOPIC, 0, START_MS, payload);
    }
    let mut reader = Reader::started(&told, START_MS);
    reader.look(&source, START_MS);
    reader.assign(&source, TOPIC, 0, &BTreeMap::new(), START_MS);
    reader.read(&source, 1000, START_MS);
    let arrived: Vec<_> = (0..2).flat_map(|shard| reader.deliver(shard, 1000)).collect();
    let consent = Signal::Claim(Claim::Consent {
        name: "offers".to_owned(),
        given: false,
        at: Timestamp::from_millis_floor(START_MS),
    });
    let claims = arrived
        .iter()
        .filter(|arrived| matches!(arrived, Arrived::Signal(who, told) if who == "ann" && *told == consent));
    assert_eq!((claims.count(), arrived.len()), (2, 3), "a login of the same day is forwarded once");
    let counts = reader.instance.counts(0);
    assert_eq!((counts.signals, counts.ignored, counts.forwarded, counts.coalesced), (4, 1, 3, 1));
}

/// A topic refuses records of more than a megabyte, and an instance whose report is refused would end.
#[test]
fn a_report_on_ten_thousand_partitions_fits_into_records() {
    #[derive(Default)]
    struct Reports(Vec<Vec<u8>>);
    impl Sink for Reports {
        fn signal(&mut self, _: u32, _: &str, _: &[u8]) {}
        fn sightings(&mut self, _: u32, _: &[u8]) {}
        fn reject(&mut self, _: &[u8]) {}
        fn progress(&mut self, shard: u32, value: &[u8]) {
            if shard == 0 {
                self.0.push(value.to_vec());
            }
        }
    }
    let rules: String =
        (0..9).map(|rule| format!("      - {{when: {{/event: e{rule}}}, activity: login}}\n")).collect();
    let many = config(&CONFIG.replacen("rules:\n", &format!("rules:\n{rules}"), 1));
    let mut source = Source::default();
    source.create(TOPIC, 10_000);
    source.create("lapsed.acks", 1);
    let mut reader = Reader::started(&many, START_MS);
    reader.look(&source, START_MS);
    let mut committed = BTreeMap::new();
    (0..10_000).for_each(|partition| _ = reader.assign(&source, TOPIC, partition, &committed, START_MS));
    let now_ms = START_MS + 10_000;
    reader.look(&source, now_ms);
    reader.commit(&mut committed, now_ms);
    let mut reports = Reports::default();
    reader.instance.progress(now_ms, &mut reports);
    assert!(reports.0.len() > 1, "one of {} bytes", reports.0[0].len());
    assert!(reports.0.iter().all(|report| report.len() < 1_000_000));
    let decoded: Vec<Progress> = reports.0.iter().map(|report| progress::decode(report).unwrap()).collect();
    assert!(decoded.iter().all(|report| report.topics == decoded[0].topics && !report.topics.is_empty()));
    let mut heard: Vec<u32> =
        decoded.iter().flat_map(|report| &report.partitions).map(|report| report.partition).collect();
    heard.sort_unstable();
    assert_eq!(heard, (0..10_000).collect::<Vec<_>>());
}
