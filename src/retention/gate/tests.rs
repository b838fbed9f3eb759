use super::acceptance::AcceptedRejects;
use super::memory::Memory;
use super::{Acceptable, Doubt, Gate, GateTable, KnownSince};
use crate::retention::activity::{KindIndex, KindTag};
use crate::retention::brake::Refusal;
use crate::retention::calendar::{CountedFrom, Period, Resolution, Seconds, Timestamp};
use crate::retention::policy::*;
use crate::retention::progress::*;
use proptest::prelude::*;

const HASH: ConfigHash = ConfigHash([7; 16]);
const READING: u64 = 11;
const LATENESS: i64 = 1000;
const LAG: i64 = 900;
const SILENCE: i64 = 500;
const NOW: Timestamp = Timestamp(100_000);
const POLICY: PolicyIndex = PolicyIndex(0);
const SOURCE: SourceIndex = SourceIndex(0);

fn rule(silence_max: Option<i64>, history_from_beginning: bool) -> RuleTrust {
    RuleTrust { kind: Some(KindIndex(0)), silence_max: silence_max.map(Seconds), history_from_beginning }
}

fn trust(key: &str, rules: Vec<RuleTrust>) -> Trust {
    Trust { key: key.into(), allowed_lateness: Seconds(LATENESS), rejects_max: 0.01, retired: false, rules }
}

/// One policy over all the sources.
fn rulebook(sources: Vec<Trust>) -> Rulebook {
    let indices = || (0..sources.len()).map(|place| SourceIndex(place as u16));
    let live = indices().filter(|source| !sources[usize::from(source.0)].retired).collect();
    let history_rules = indices()
        .flat_map(|source| (0..sources[usize::from(source.0)].rules.len()).map(move |rule| (source, rule as u16)))
        .collect();
    let stage = Stage { after: Period::Exact { seconds: 60 }, action: Action::Expire, targets: vec![TargetIndex(0)] };
    let policy = Policy {
        key: "offers".into(),
        version: String::new(),
        categories: vec![0],
        category_set: CategorySet(1),
        since_last: vec![KindIndex(0)],
        counted_from: CountedFrom::Event,
        stages: vec![stage],
        mode: Mode::Enforce,
        consent: None,
        applies_to: Vec::new(),
        brake: Brake::default(),
        sources: live,
        lateness: Seconds(LATENESS),
        history_rules,
    };
    Rulebook {
        application: "lapsed".into(),
        zone: chrono_tz::UTC,
        resolution: Resolution::Second,
        command_namespace: uuid::Uuid::nil(),
        kinds: vec![Kind { name: "login".into(), tag: KindTag::of("login") }],
        categories: vec!["email".into()],
        targets: vec![Target { key: "crm".into(), topic: "crm".into(), acknowledge_within: None }],
        sources,
        policies: vec![policy],
        floors: Vec::new(),
        hold_sources: Vec::new(),
        window: None,
        forget: Forget::default(),
        gate_lag_max: Seconds(LAG),
    }
}

fn one_rule() -> Rulebook {
    rulebook(vec![trust("web", vec![rule(Some(SILENCE), true)])])
}

fn table(rules: &Rulebook) -> GateTable {
    GateTable::new(rules, HASH, Memory::default())
}

fn spoke(first: i64, newest: i64) -> RuleFacts {
    RuleFacts {
        matched: Some(Matched { first: Timestamp(first), newest: Timestamp(newest) }),
        silences: Vec::new(),
        history: History::Whole,
    }
}

/// A partition in good health: complete up to now, just spoken.
fn healthy(partition: u32) -> PartitionProgress {
    PartitionProgress {
        source: "web".into(),
        topic: "events".into(),
        partition,
        reading: READING,
        first_read: Timestamp(50),
        complete_to: Some(NOW),
        gap: None,
        records_last_hour: 100,
        rejects_last_hour: 0,
        rejects_total: 0,
        shown: History::Whole,
        rules: vec![spoke(100, NOW.0)],
    }
}

fn events(partitions: u32) -> TopicPartitions {
    TopicPartitions { topic: "events".into(), source: "web".into(), partitions, kept_for: None }
}

fn progress(topics: Vec<TopicPartitions>, partitions: Vec<PartitionProgress>) -> Progress {
    Progress { config: HASH, topics, partitions }
}

fn hear(rules: &Rulebook, topics: Vec<TopicPartitions>, partitions: Vec<PartitionProgress>) -> GateTable {
    let mut table = table(rules);
    table.observe(&progress(topics, partitions), NOW);
    table
}

fn names(table: &GateTable, now: Timestamp) -> Vec<&'static str> {
    table.doubts(SOURCE, now).iter().map(Doubt::name).collect()
}

#[test]
fn a_healthy_source_proves_up_to_its_lateness() {
    let table = hear(&one_rule(), vec![events(2)], vec![healthy(0), healthy(1)]);
    assert_eq!(table.proven_up_to(POLICY, NOW), Some(NOW - Seconds(LATENESS)));
    assert!(table.is_open(SOURCE, NOW));
    assert_eq!(names(&table, NOW), [""; 0]);
    assert_eq!(table.lag(SOURCE, NOW + Seconds(3)), Some(Seconds(3)));
}

/// Each change to a healthy source of two partitions and the doubt it makes.
#[test]
fn what_closes_the_gate() {
    type Change = fn(&mut Progress);
    let cases: [(&str, Change); 16] = [
        ("partition_unheard", |p| drop(p.partitions.pop())),
        ("partition_unheard", |p| p.topics[0].partitions = 3),
        ("partition_unheard", |p| p.partitions[1].rules.clear()),
        ("topic_gone", |p| p.topics.push(TopicPartitions { topic: "named".into(), ..events(0) })),
        ("partition_unheard", |p| p.topics.push(TopicPartitions { topic: "new".into(), ..events(1) })),
        ("no_topic", |p| p.topics[0].source = "shop".into()),
        ("behind", |p| p.partitions[1].complete_to = None),
        ("behind", |p| p.partitions[1].complete_to = Some(NOW - Seconds(LAG + 1))),
        ("rejects", |p| p.partitions[1].rejects_last_hour = 11),
        ("rejects", |p| (p.partitions[0].rejects_last_hour, p.partitions[1].rejects_last_hour) = (5, 6)),
        ("gap", |p| p.partitions[1].gap = Some(Timestamp(5))),
        ("silent", |p| p.partitions.iter_mut().for_each(|p| p.rules[0] = RuleFacts::default())),
        ("silent", |p| p.partitions.iter_mut().for_each(|p| p.rules[0] = spoke(1, NOW.0 - SILENCE - 1))),
        ("was_silent", |p| {
            let silence = Silence { from: NOW - Seconds(700), to: NOW - Seconds(10) };
            p.partitions.iter_mut().for_each(|p| p.rules[0].silences = vec![silence]);
        }),
        // The second partition was silent before it first spoke, the first one between its two matches.
        ("was_silent", |p| {
            p.partitions[0].rules[0].silences = vec![Silence { from: NOW - Seconds(800), to: NOW - Seconds(1) }];
            p.partitions[1].rules[0] = spoke(NOW.0 - 5, NOW.0);
        }),
        // The second partition is still silent since its newest match.
        ("was_silent", |p| {
            p.partitions[0].rules[0].silences = vec![Silence { from: NOW - Seconds(800), to: NOW - Seconds(1) }];
            p.partitions[1].rules[0] = spoke(5, NOW.0 - 790);
        }),
    ];
    for (place, (name, change)) in cases.into_iter().enumerate() {
        let mut report = progress(vec![events(2)], vec![healthy(0), healthy(1)]);
        change(&mut report);
        let mut table = table(&one_rule());
        table.observe(&report, NOW);
        assert!(names(&table, NOW).contains(&name), "case {place}: {:?}", table.doubts(SOURCE, NOW));
        assert_eq!(table.proven_up_to(POLICY, NOW), None, "case {place}");
        assert!(!table.is_open(SOURCE, NOW), "case {place}");
        for doubt in table.doubts(SOURCE, NOW) {
            assert!(!doubt.to_string().is_empty());
        }
    }
}

/// What looks like one of the above and is none.
#[test]
fn what_leaves_the_gate_open() {
    type Change = fn(&mut Progress);
    let cases: [Change; 7] = [
        |p| p.partitions[1].complete_to = Some(NOW - Seconds(LAG)),
        |p| p.partitions[1].rejects_last_hour = 10,
        |p| (p.partitions[0].records_last_hour, p.partitions[1].rejects_last_hour) = (5000, 51),
        |p| p.partitions[1].rules[0] = RuleFacts { history: History::Whole, ..RuleFacts::default() },
        |p| p.partitions.iter_mut().for_each(|p| p.rules[0] = spoke(1, NOW.0 - SILENCE)),
        |p| {
            let silence = Silence { from: NOW - Seconds(1400), to: NOW - Seconds(700) };
            p.partitions.iter_mut().for_each(|p| p.rules[0].silences = vec![silence]);
        },
        // The partitions take turns: each is silent for long, the topic never is.
        |p| {
            p.partitions[0].rules[0].silences = vec![Silence { from: NOW - Seconds(900), to: NOW - Seconds(300) }];
            p.partitions[1].rules[0].silences = vec![Silence { from: NOW - Seconds(600), to: NOW - Seconds(1) }];
        },
    ];
    for (place, change) in cases.into_iter().enumerate() {
        let mut report = progress(vec![events(2)], vec![healthy(0), healthy(1)]);
        change(&mut report);
        let mut table = table(&one_rule());
        table.observe(&report, NOW);
        assert_eq!(names(&table, NOW), [""; 0], "case {place}");
        assert!(table.proven_up_to(POLICY, NOW).is_some(), "case {place}");
    }
}

#[test]
fn progress_counts_no_further_than_its_append_time() {
    let mut table = table(&one_rule());
    table.observe(&progress(vec![events(1)], vec![healthy(0)]), NOW - Seconds(60));
    assert_eq!(table.proven_up_to(POLICY, NOW), Some(NOW - Seconds(60 + LATENESS)));
}

/// An instance whose clock is off says only that it is there: that tells why others' reports are missed.
#[test]
fn an_empty_report_tells_why_the_gate_is_closed() {
    let mut table = hear(&one_rule(), vec![events(2)], vec![healthy(0)]);
    let empty = progress(vec![], vec![]);
    table.observe(&empty, NOW);
    assert_eq!(names(&table, NOW), ["partition_unheard", "nothing_reported"]);
    table.observe(&progress(vec![events(2)], vec![healthy(1)]), NOW);
    assert_eq!(names(&table, NOW), [""; 0]);
    let stale = NOW + Seconds(LAG + 1);
    assert_eq!(names(&table, stale), ["behind", "silent"]);
    table.observe(&empty, stale);
    assert_eq!(names(&table, stale), ["behind", "silent", "nothing_reported"]);
}

#[test]
fn an_empty_report_changes_nothing() {
    let mut table = hear(&one_rule(), vec![events(1)], vec![healthy(0)]);
    table.observe(&progress(vec![], vec![]), NOW);
    assert!(table.proven_up_to(POLICY, NOW).is_some());
}

#[test]
fn another_configuration_proves_nothing() {
    let mut table = table(&one_rule());
    table.observe(&another(vec![healthy(0)]), NOW);
    assert_eq!(table.proven_up_to(POLICY, NOW), None);
    assert_eq!(names(&table, NOW), ["no_topic", "instances_differ"]);
}

fn another(partitions: Vec<PartitionProgress>) -> Progress {
    Progress { config: ConfigHash([8; 16]), ..progress(vec![events(1)], partitions) }
}

/// Whether an instance with another configuration reads partitions or only runs shards.
#[test]
fn while_instances_differ_the_gate_is_closed() {
    let report_every = one_rule().report_every();
    let gone = Seconds(3 * report_every.0);
    for partitions in [vec![healthy(0)], Vec::new()] {
        let mut table = hear(&one_rule(), vec![events(1)], vec![healthy(0)]);
        table.observe(&another(partitions), NOW);
        table.observe(&progress(vec![events(1)], vec![healthy(0)]), NOW + Seconds(1));
        let last = NOW + gone - Seconds(1);
        assert_eq!(table.proven_up_to(POLICY, last), None);
        assert_eq!(table.requests_proven_up_to(last), None);
        assert!(!table.is_open(SOURCE, last));
        assert_eq!(names(&table, last), ["instances_differ"]);
        assert!(table.proven_up_to(POLICY, NOW + gone).is_some(), "it is gone, or has taken over this one");
        assert_eq!(names(&table, NOW + gone), [""; 0]);
    }
}

/// A partition that another configuration reads now is not complete, however long ago that was heard.
#[test]
fn what_another_configuration_reads_is_not_proven() {
    let mut table = hear(&one_rule(), vec![events(2)], vec![healthy(0), healthy(1)]);
    table.observe(&another(vec![healthy(1)]), NOW);
    let later = NOW + Seconds(100);
    table.observe(&progress(vec![events(2)], vec![healthy(0)]), later);
    assert_eq!(table.proven_up_to(POLICY, later), None);
    assert_eq!(names(&table, later), ["behind"]);
    table.observe(&progress(vec![events(2)], vec![healthy(1)]), later);
    assert!(table.proven_up_to(POLICY, later).is_some());
}

/// Other instances may still run the configuration that was left.
#[test]
fn a_configuration_just_taken_over_waits_for_the_others() {
    let rules = one_rule();
    let old = hear(&rules, vec![events(1)], vec![healthy(0)]);
    let mut new = old.renewed(&rules, ConfigHash([9; 16]), Memory::default());
    let report = Progress { config: ConfigHash([9; 16]), ..progress(vec![events(1)], vec![healthy(0)]) };
    new.observe(&report, NOW);
    assert_eq!(new.proven_up_to(POLICY, NOW), None);
    assert!(new.proven_up_to(POLICY, NOW + Seconds(3 * rules.report_every().0)).is_some());
    // The same one again is nothing new: only what was proven must be heard again.
    let mut same = old.renewed(&rules, HASH, Memory::default());
    same.observe(&progress(vec![events(1)], vec![healthy(0)]), NOW);
    assert!(same.proven_up_to(POLICY, NOW).is_some());
}

/// A guarded rule must have spoken since the deadline, in every topic of its source.
#[test]
fn deadlines_are_proven_up_to_what_every_guard_has_spoken() {
    let rules = rulebook(vec![trust("web", vec![rule(Some(5000), true), rule(None, true), rule(Some(5000), true)])]);
    let mut events_report = healthy(0);
    events_report.rules = vec![spoke(1, NOW.0), RuleFacts::default(), spoke(1, NOW.0 - 2000)];
    let mut other = PartitionProgress { topic: "other".into(), ..healthy(0) };
    other.rules = vec![spoke(1, NOW.0 - 3000), RuleFacts::default(), spoke(1, NOW.0)];
    let topics = vec![events(1), TopicPartitions { topic: "other".into(), ..events(1) }];
    let table = hear(&rules, topics, vec![events_report, other]);
    assert_eq!(table.proven_up_to(POLICY, NOW), Some(NOW - Seconds(3000)));
}

#[test]
fn every_source_of_the_policy_must_prove_it() {
    let rules = rulebook(vec![trust("shop", vec![rule(None, true)]), trust("web", vec![rule(None, true)])]);
    let mut table = table(&rules);
    table.observe(&progress(vec![events(1)], vec![healthy(0)]), NOW);
    assert_eq!(table.proven_up_to(POLICY, NOW), None);
    let shop = PartitionProgress {
        source: "shop".into(),
        topic: "orders".into(),
        complete_to: Some(NOW - Seconds(30)),
        ..healthy(0)
    };
    let orders = TopicPartitions { topic: "orders".into(), source: "shop".into(), partitions: 1, kept_for: None };
    table.observe(&progress(vec![events(1), orders], vec![shop]), NOW);
    assert_eq!(table.proven_up_to(POLICY, NOW), Some(NOW - Seconds(30 + LATENESS)));
    assert!(table.is_open(SourceIndex(0), NOW) && table.is_open(SourceIndex(1), NOW));
}

#[test]
fn proof_grows_stale_and_silence_sets_in_as_time_passes() {
    let table = hear(&one_rule(), vec![events(1)], vec![healthy(0)]);
    assert!(table.proven_up_to(POLICY, NOW + Seconds(SILENCE)).is_some());
    assert_eq!(table.proven_up_to(POLICY, NOW + Seconds(SILENCE + 1)), None);
    assert_eq!(names(&table, NOW + Seconds(LAG + 1)), ["behind", "silent"]);
}

#[test]
fn an_ended_silence_is_in_doubt_as_long_as_it_lasted() {
    let mut report = healthy(0);
    report.rules[0].silences = vec![Silence { from: NOW - Seconds(800), to: NOW - Seconds(100) }];
    let mut later = report.clone();
    let mut table = hear(&one_rule(), vec![events(1)], vec![report]);
    assert_eq!(names(&table, NOW), ["was_silent"]);
    let end = NOW + Seconds(600);
    (later.complete_to, later.rules[0].matched) = (Some(end), spoke(1, end.0).matched);
    table.observe(&progress(vec![events(1)], vec![later]), end);
    assert_eq!(names(&table, end - Seconds(1)), ["was_silent"]);
    assert_eq!(names(&table, end), [""; 0]);
}

#[test]
fn rejects_stay_in_doubt_until_the_reading_changes() {
    let mut bad = healthy(0);
    bad.rejects_last_hour = 90;
    let mut table = hear(&one_rule(), vec![events(1)], vec![bad]);
    table.observe(&progress(vec![events(1)], vec![healthy(0)]), NOW);
    assert_eq!(names(&table, NOW), ["rejects"]);

    let mut restored = GateTable::new(&one_rule(), HASH, Memory::clone(table.memory()));
    restored.observe(&progress(vec![events(1)], vec![healthy(0)]), NOW);
    assert_eq!(names(&restored, NOW), ["rejects"]);

    let reread = PartitionProgress { reading: READING + 1, first_read: NOW, ..healthy(0) };
    restored.observe(&progress(vec![events(1)], vec![reread]), NOW);
    assert_eq!(names(&restored, NOW), [""; 0]);
}

/// What was rejected may have gone from the log before it was read again.
#[test]
fn a_source_read_again_after_rejects_begins_anew() {
    let rules = rulebook(vec![trust("web", vec![rule(None, false)])]);
    let known = |memory: Memory, report: PartitionProgress| {
        let mut table = GateTable::new(&rules, HASH, memory);
        table.observe(&progress(vec![events(1)], vec![report]), NOW);
        (table.known_since(POLICY), Memory::clone(table.memory()))
    };
    let mut report = healthy(0);
    report.rules[0].history = History::Since(Timestamp(5));
    let fine = known(Memory::default(), report.clone()).1;
    let in_doubt = known(Memory::default(), PartitionProgress { rejects_last_hour: 90, ..report.clone() }).1;

    let again = PartitionProgress { reading: READING + 1, shown: History::Since(Timestamp(900)), ..report };
    assert_eq!(known(fine, again.clone()).0, KnownSince::At(Timestamp(5)));
    let unread = PartitionProgress { shown: History::Unread, ..again.clone() };
    let (before, memory) = known(in_doubt, unread);
    assert_eq!(before, KnownSince::Unknown);
    let (after, memory) = known(memory, again.clone());
    assert_eq!(after, KnownSince::At(Timestamp(900)));
    let third = PartitionProgress { reading: READING + 2, shown: History::Since(Timestamp(2000)), ..again };
    assert_eq!(known(memory, third).0, KnownSince::At(Timestamp(900)));
}

#[test]
fn a_commit_that_was_lost_is_a_gap_until_the_source_is_read_again() {
    let mut table = hear(&one_rule(), vec![events(1)], vec![healthy(0)]);
    let mut again = healthy(0);
    again.first_read = Timestamp(60);
    for _ in 0..2 {
        table.observe(&progress(vec![events(1)], vec![again.clone()]), NOW);
        assert_eq!(names(&table, NOW), ["commit_lost"]);
        table = GateTable::new(&one_rule(), HASH, Memory::clone(table.memory()));
    }
    again.reading += 1;
    table.observe(&progress(vec![events(1)], vec![again]), NOW);
    assert_eq!(names(&table, NOW), [""; 0]);
}

/// The gate as a restart finds it, told nothing yet.
fn restored(table: &GateTable) -> GateTable {
    GateTable::new(&one_rule(), HASH, Memory::clone(table.memory()))
}

fn accept(table: &mut GateTable, doubt: Acceptable, now: Timestamp) -> Result<(), Refusal> {
    table.accept("web", doubt, now)
}

fn no_doubt(doubt: Acceptable) -> Result<(), Refusal> {
    Err(Refusal::NoDoubt { about: "web".into(), doubt })
}

/// A rule that matched when `matches` tell, as of `now`.
fn spoken(matches: &[i64], now: Timestamp) -> Progress {
    let rules = vec![facts(matches, now.0)];
    progress(vec![events(1)], vec![PartitionProgress { rules, complete_to: Some(now), ..healthy(0) }])
}

#[test]
fn nobody_answers_for_what_is_not_in_doubt() {
    let mut table = hear(&one_rule(), vec![events(1)], vec![healthy(0)]);
    let before = table.memory().clone();
    for doubt in Acceptable::ALL {
        assert_eq!(accept(&mut table, doubt, NOW), no_doubt(doubt));
        assert_eq!(table.accept("desk", doubt, NOW), Err(Refusal::NoSource("desk".into())));
        assert_eq!(accept(&mut self::table(&one_rule()), doubt, NOW), no_doubt(doubt), "never heard");
    }
    assert!(std::sync::Arc::ptr_eq(&before, table.memory()));
    let mut retired = trust("web", vec![rule(Some(SILENCE), false)]);
    retired.retired = true;
    let mut table = self::table(&rulebook(vec![retired]));
    assert_eq!(accept(&mut table, Acceptable::Silence, NOW), Err(Refusal::NoSource("web".into())));
}

/// A person's word holds for as long as the silence lasts and as its doubt would, and reaches up to when it
/// was given; the next silence is another one.
#[test]
fn an_accepted_silence_ends_with_it() {
    let (fell_silent, accepted_at) = (NOW - Seconds(800), NOW);
    let mut table = table(&one_rule());
    table.observe(&spoken(&[1, fell_silent.0], NOW), NOW);
    assert_eq!(names(&table, NOW), ["silent"]);
    assert_eq!(accept(&mut table, Acceptable::Silence, accepted_at), Ok(()));
    let bound = NOW - Seconds(LATENESS);
    assert_eq!((names(&table, NOW), table.proven_up_to(POLICY, NOW)), (vec![], Some(bound)));

    // It lasts, and nothing that was due after the word is proven by it.
    let later = NOW + Seconds(9 * SILENCE);
    table = restored(&table);
    table.observe(&spoken(&[1, fell_silent.0], later), later);
    assert_eq!((names(&table, later), table.proven_up_to(POLICY, later)), (vec![], Some(accepted_at)));
    assert_eq!(accept(&mut table, Acceptable::Silence, later), Ok(()), "a person looks again");
    assert_eq!(table.proven_up_to(POLICY, later), Some(later - Seconds(LATENESS)));

    // It ends.
    let spoke = later + Seconds(10);
    table.observe(&spoken(&[1, fell_silent.0, spoke.0], spoke), spoke);
    assert_eq!(names(&table, spoke), [""; 0]);
    table = restored(&table);

    // Another one is in doubt, while it lasts and afterwards.
    let silent = spoke + Seconds(SILENCE + 1);
    table.observe(&spoken(&[1, fell_silent.0, spoke.0], silent), silent);
    assert_eq!(names(&table, silent), ["silent"]);
    table.observe(&spoken(&[1, fell_silent.0, spoke.0, silent.0], silent), silent);
    assert_eq!(names(&table, silent), ["was_silent"]);
    let joined = Silence { from: fell_silent, to: silent };
    let mut report = spoken(&[1, silent.0], silent);
    report.partitions[0].rules[0].silences = vec![joined];
    table.observe(&report, silent);
    assert_eq!(names(&table, silent), ["was_silent"], "reported as one with the accepted one");
    assert_eq!(accept(&mut table, Acceptable::Silence, silent), Ok(()));
    assert_eq!(names(&table, silent), [""; 0]);
    table.observe(&spoken(&[silent.0], silent), silent);
    assert_eq!(table.memory().sources["web"].silences, Default::default(), "nothing is left of what is over");
}

#[test]
fn a_silence_that_was_not_too_long_yet_is_not_accepted_with_another() {
    let rules = rulebook(vec![trust("web", vec![rule(Some(SILENCE), true), rule(Some(SILENCE), true)])]);
    let mut report = healthy(0);
    report.rules = vec![spoke(1, NOW.0 - 800), spoke(1, NOW.0 - SILENCE)];
    let mut table = hear(&rules, vec![events(1)], vec![report]);
    assert_eq!(names(&table, NOW), ["silent"]);
    assert_eq!(accept(&mut table, Acceptable::Silence, NOW), Ok(()));
    assert_eq!(names(&table, NOW), [""; 0]);
    assert_eq!(names(&table, NOW + Seconds(1)), ["silent"]);
}

/// A restart has heard nothing yet; a reading that begins anew has another meaning.
#[test]
fn an_acceptance_outlives_a_restart_and_no_reading() {
    let report = || spoken(&[1, NOW.0 - 800], NOW);
    let mut table = table(&one_rule());
    table.observe(&report(), NOW);
    table = restored(&table);
    assert_eq!(accept(&mut table, Acceptable::Silence, NOW), Ok(()));
    table.observe(&report(), NOW);
    assert_eq!(names(&table, NOW), [""; 0]);
    let mut reread = report();
    reread.partitions[0].reading += 1;
    table.observe(&reread, NOW);
    assert_eq!(names(&table, NOW), ["silent"]);
}

#[test]
fn a_rule_that_never_matched_is_accepted_until_it_does() {
    let mut table = table(&one_rule());
    table.observe(&spoken(&[], NOW), NOW);
    assert_eq!(accept(&mut table, Acceptable::Silence, NOW), Ok(()));
    assert_eq!((names(&table, NOW), table.proven_up_to(POLICY, NOW)), (vec![], Some(NOW - Seconds(LATENESS))));
    let first = NOW + Seconds(5);
    table.observe(&spoken(&[first.0], first), first);
    assert_eq!(names(&table, first), [""; 0]);
    let silent = first + Seconds(SILENCE + 1);
    table.observe(&spoken(&[first.0], silent), silent);
    assert_eq!(names(&table, silent), ["silent"]);
}

#[test]
fn accepted_rejects_are_those_up_to_the_next_report() {
    let report = |last_hour, total| {
        let rejected = PartitionProgress { rejects_last_hour: last_hour, rejects_total: total, ..healthy(0) };
        progress(vec![events(1)], vec![rejected])
    };
    let mut table = table(&one_rule());
    table.observe(&report(90, 90), NOW);
    assert_eq!(names(&table, NOW), ["rejects"]);
    table = restored(&table);
    assert_eq!(accept(&mut table, Acceptable::Rejects, NOW), Ok(()));
    for (last_hour, total, expected) in [
        (95, 95, vec![]),
        (100, 105, vec![]),
        // The eleventh for which nobody answers.
        (101, 106, vec!["rejects"]),
        (0, 106, vec!["rejects"]),
    ] {
        table.observe(&report(last_hour, total), NOW);
        assert_eq!(names(&table, NOW), expected, "{last_hour} of {total}");
        table = restored(&table);
        table.observe(&report(last_hour, total), NOW);
        assert_eq!(names(&table, NOW), expected, "restored: {last_hour} of {total}");
    }
    assert_eq!(accept(&mut table, Acceptable::Rejects, NOW), Ok(()));
    table.observe(&report(9, 106), NOW);
    // The first ones have passed out of the last hour: later ones count by themselves.
    table.observe(&report(9, 115), NOW);
    table.observe(&report(12, 118), NOW);
    assert_eq!(names(&table, NOW), ["rejects"]);
    let kept = table.memory().sources["web"].partitions["events"][&0].rejects;
    assert_eq!(kept, AcceptedRejects::Nothing, "nothing is left of what is over");
}

#[test]
fn an_accepted_gap_is_one_and_a_further_one_is_another() {
    let report = |gap: Option<i64>, first_read: i64| {
        let gap = gap.map(Timestamp);
        progress(vec![events(1)], vec![PartitionProgress { gap, first_read: Timestamp(first_read), ..healthy(0) }])
    };
    let mut table = table(&one_rule());
    let steps = [
        (report(Some(70), 50), vec!["gap"]),
        (report(Some(80), 50), vec!["gap"]),
        (report(None, 90), vec!["commit_lost"]),
        (report(Some(95), 90), vec!["gap"]),
        (report(Some(95), 97), vec!["commit_lost"]),
    ];
    for (report, doubts) in steps {
        table.observe(&report, NOW);
        assert_eq!(names(&table, NOW), doubts);
        table = restored(&table);
        assert_eq!(accept(&mut table, Acceptable::Gap, NOW), Ok(()), "the changelog knows of it");
        assert_eq!(accept(&mut table, Acceptable::Gap, NOW), no_doubt(Acceptable::Gap));
        for _ in 0..2 {
            table.observe(&report, NOW);
            assert_eq!(names(&table, NOW), [""; 0]);
            table = restored(&table);
        }
    }
}

#[test]
fn a_topic_or_partition_that_was_once_read_is_missed() {
    let other = TopicPartitions { topic: "other".into(), ..events(1) };
    let other_report = PartitionProgress { topic: "other".into(), ..healthy(0) };
    let mut table = hear(&one_rule(), vec![events(2), other], vec![healthy(0), healthy(1), other_report]);
    assert_eq!(names(&table, NOW), [""; 0]);

    let fewer = progress(vec![events(1)], vec![healthy(0)]);
    table.observe(&fewer, NOW);
    assert_eq!(names(&table, NOW), ["topic_gone"]);

    let mut restored = GateTable::new(&one_rule(), HASH, Memory::clone(table.memory()));
    restored.observe(&fewer, NOW);
    assert_eq!(names(&restored, NOW), ["partition_unheard", "topic_gone"]);

    let mut memory = Memory::clone(table.memory());
    memory.retain_topics(|source, topic| (source, topic) == ("web", "events"));
    let mut restored = GateTable::new(&one_rule(), HASH, memory);
    restored.observe(&progress(vec![events(2)], vec![healthy(0), healthy(1)]), NOW);
    assert_eq!(names(&restored, NOW), [""; 0]);
}

#[test]
fn history_is_known_from_the_latest_partition_on() {
    use History::{EmptyAt, Since, Unread, Whole};
    let at = |seconds| KnownSince::At(Timestamp(seconds));
    let cases = [
        ([Whole, Whole], KnownSince::Beginning),
        ([Since(Timestamp(5)), Since(Timestamp(9))], at(9)),
        ([Since(Timestamp(5)), Whole], at(5)),
        ([Since(Timestamp(5)), Unread], KnownSince::Unknown),
        ([Since(Timestamp(5)), EmptyAt(Timestamp(9))], at(5)),
        ([EmptyAt(Timestamp(4)), EmptyAt(Timestamp(9))], at(9)),
        ([Whole, EmptyAt(Timestamp(9))], at(9)),
    ];
    for (histories, expected) in cases {
        let rules = rulebook(vec![trust("web", vec![rule(None, false)])]);
        let report = |partition: u32| {
            let mut report = healthy(partition);
            report.rules[0].history = histories[partition as usize];
            report
        };
        let mut table = table(&rules);
        table.observe(&progress(vec![events(2)], vec![report(0)]), NOW);
        assert_eq!(table.known_since(POLICY), KnownSince::Unknown, "{histories:?}");
        table.observe(&progress(vec![events(2)], vec![report(1)]), NOW);
        assert_eq!(table.known_since(POLICY), expected, "{histories:?}");
    }
    assert_eq!(table(&one_rule()).known_since(POLICY), KnownSince::Beginning);
}

#[test]
fn a_retired_source_is_not_waited_for_but_its_history_counts() {
    let mut retired = trust("web", vec![rule(Some(SILENCE), false)]);
    retired.retired = true;
    let rules = rulebook(vec![retired]);
    let mut table = table(&rules);
    assert_eq!((table.proven_up_to(POLICY, NOW), table.known_since(POLICY)), (None, KnownSince::Unknown));
    table.observe(&progress(vec![], vec![]), NOW);
    assert_eq!((table.proven_up_to(POLICY, NOW), table.known_since(POLICY)), (Some(NOW), KnownSince::At(NOW)));
    assert!(table.is_open(SOURCE, NOW) && table.doubts(SOURCE, NOW).is_empty());
    // Never heard while it lived: unknown up to when it was first missed, and no later.
    table.observe(&progress(vec![], vec![]), NOW + Seconds(50));
    assert_eq!(table.known_since(POLICY), KnownSince::At(NOW));
    assert_eq!(table.proven_up_to(POLICY, NOW + Seconds(51 + LAG)), None);

    let live = rulebook(vec![trust("web", vec![rule(Some(SILENCE), false)])]);
    let mut report = healthy(0);
    report.rules[0].history = History::Since(Timestamp(5));
    let heard = hear(&live, vec![events(1)], vec![report]);
    let mut after = GateTable::new(&rules, HASH, Memory::clone(heard.memory()));
    after.observe(&progress(vec![], vec![]), NOW);
    assert_eq!(after.known_since(POLICY), KnownSince::At(Timestamp(5)));
}

#[test]
fn kinds_that_no_rule_yields_are_unknown() {
    let table = hear(&rulebook(vec![]), vec![], vec![]);
    assert_eq!(table.known_since(POLICY), KnownSince::Unknown);
}

#[test]
fn a_clone_is_what_an_aborted_transaction_goes_back_to() {
    let mut table = hear(&one_rule(), vec![events(1)], vec![healthy(0)]);
    let before = table.clone();
    let kept = table.memory().clone();
    table.observe(&progress(vec![events(1)], vec![healthy(0)]), NOW);
    assert!(std::sync::Arc::ptr_eq(&kept, table.memory()));
    let mut bad = healthy(0);
    bad.rejects_last_hour = 99;
    table.observe(&progress(vec![events(1)], vec![bad]), NOW);
    assert!(!std::sync::Arc::ptr_eq(&kept, table.memory()));
    assert_eq!((names(&before, NOW), names(&table, NOW)), (vec![], vec!["rejects"]));
}

/// When a partition's rule matched, and its facts as ingest would report them at `now`.
fn facts(matches: &[i64], now: i64) -> RuleFacts {
    let Some((first, newest)) = matches.first().zip(matches.last()) else { return RuleFacts::default() };
    let gaps = matches.windows(2).filter(|pair| pair[1] - pair[0] > SILENCE && 2 * pair[1] - pair[0] > now);
    let silences = gaps.map(|pair| Silence { from: Timestamp(pair[0]), to: Timestamp(pair[1]) }).collect();
    RuleFacts { silences, ..spoke(*first, *newest) }
}

/// From the matches of all partitions together: whether the topic is in doubt, and its newest match.
fn topic_truth(partitions: &[Vec<i64>], now: i64) -> (bool, Option<i64>) {
    let mut all: Vec<i64> = partitions.concat();
    all.sort_unstable();
    let was_silent = all.windows(2).any(|pair| pair[1] - pair[0] > SILENCE && now < pair[1] + (pair[1] - pair[0]));
    let newest = all.last().copied();
    (was_silent || newest.is_none_or(|newest| now - newest > SILENCE), newest)
}

fn matches_of_partitions() -> impl Strategy<Value = Vec<Vec<i64>>> {
    let sorted = |mut matches: Vec<i64>| {
        matches.sort_unstable();
        matches
    };
    prop::collection::vec(prop::collection::vec(95_000..=100_000i64, 0..12).prop_map(sorted), 1..5)
}

proptest! {
    /// Silence is judged as if all of a topic's matches lay in one list.
    #[test]
    fn silence_of_a_topic_is_what_its_partitions_share(partitions in matches_of_partitions(), later in 0..600i64) {
        let now = NOW + Seconds(later);
        let reports = partitions.iter().zip(0..).map(|(matches, partition)| PartitionProgress {
            rules: vec![facts(matches, now.0)],
            complete_to: Some(now),
            ..healthy(partition)
        });
        let mut table = table(&one_rule());
        table.observe(&progress(vec![events(partitions.len() as u32)], reports.collect()), now);
        let (in_doubt, newest) = topic_truth(&partitions, now.0);
        let expected = newest.filter(|_| !in_doubt).map(|newest| Timestamp(newest.min(now.0 - LATENESS)));
        prop_assert_eq!(table.proven_up_to(POLICY, now), expected);
        prop_assert_eq!(table.is_open(SOURCE, now), table.doubts(SOURCE, now).is_empty());
    }

    /// One person's word at any moment, in whatever history: what is proven afterwards rests on nothing but the
    /// word that was too long silent when it was given, and on what was said since.
    #[test]
    fn an_acceptance_covers_nothing_that_comes_later(
        partitions in matches_of_partitions(), accepted in 0..=5000i64, later in 0..3000i64, restarts: bool
    ) {
        let mut all: Vec<i64> = partitions.concat();
        all.sort_unstable();
        let at = Timestamp(95_000 + accepted);
        let now = at + Seconds(later);
        let until = |now: Timestamp| {
            let heard = |matches: &Vec<i64>| matches.iter().copied().filter(|at| *at <= now.0).collect::<Vec<_>>();
            let report = |(matches, partition)| PartitionProgress {
                rules: vec![facts(&heard(matches), now.0)],
                complete_to: Some(now),
                ..healthy(partition)
            };
            progress(vec![events(partitions.len() as u32)], partitions.iter().zip(0..).map(report).collect())
        };
        let mut table = table(&one_rule());
        table.observe(&until(at), at);
        if restarts {
            table = restored(&table);
        }
        let was_accepted = table.accept("web", Acceptable::Silence, at).is_ok();
        let mut moments: Vec<Timestamp> = all.iter().map(|match_at| Timestamp(*match_at)).collect();
        moments.retain(|moment| *moment > at && *moment < now);
        moments.push(now);
        for moment in moments {
            table.observe(&until(moment), moment);
        }
        let heard: Vec<i64> = all.iter().copied().filter(|match_at| *match_at <= now.0).collect();
        let is_meant = |from: i64| was_accepted && from + SILENCE < at.0;
        let newest = heard.last().copied();
        let is_silent = newest.is_none_or(|newest| now.0 - newest > SILENCE && !is_meant(newest))
            && !(newest.is_none() && was_accepted);
        let was_silent = heard.windows(2).any(|pair| {
            let length = pair[1] - pair[0];
            length > SILENCE && now.0 < pair[1] + length && !is_meant(pair[0])
        });
        prop_assert_eq!(table.is_open(SOURCE, now), !is_silent && !was_silent);
        if let Some(proven) = table.proven_up_to(POLICY, now) {
            let word = newest.is_none_or(is_meant).then_some(at.0);
            prop_assert!(Some(proven.0) <= newest.max(word));
        }
    }

    /// Whatever is heard in whatever order, a proven deadline satisfies the definition.
    #[test]
    fn never_early(
        counts in prop::collection::vec(1..3u32, 1..3),
        heard in prop::collection::vec(
            (0..2usize, 0..2u32, prop::option::weighted(0.97, -1000..60i64), prop::bool::weighted(0.02), 0..3u64, -550..0i64, -300..300i64),
            4..24,
        ),
    ) {
        let topics: Vec<_> = counts
            .iter()
            .enumerate()
            .map(|(place, count)| TopicPartitions { topic: format!("t{place}"), ..events(*count) })
            .collect();
        let mut table = table(&one_rule());
        let mut latest = std::collections::BTreeMap::new();
        let mut flooded = false;
        for (topic, partition, complete, gap, rejects, newest, append) in heard {
            let topic = topic % counts.len();
            let partition = partition % counts[topic];
            let report = PartitionProgress {
                topic: format!("t{topic}"),
                complete_to: complete.map(|complete| NOW + Seconds(complete)),
                gap: gap.then_some(Timestamp(1)),
                rejects_last_hour: rejects,
                records_last_hour: 300,
                rules: vec![spoke(1, NOW.0 + newest)],
                ..healthy(partition)
            };
            let append = NOW + Seconds(append.min(0));
            table.observe(&progress(topics.clone(), vec![report.clone()]), append);
            latest.insert((topic, partition), (report, append));
            let sum = |of: fn(&PartitionProgress) -> u64| latest.values().map(|(report, _)| of(report)).sum::<u64>();
            let (rejects, records) = (sum(|r| r.rejects_last_hour), sum(|r| r.records_last_hour));
            flooded |= rejects > 10 && rejects as f64 > 0.01 * records as f64;
        }
        let Some(deadline) = table.proven_up_to(POLICY, NOW) else { return Ok(()) };
        prop_assert!(!flooded);
        for (topic, count) in counts.iter().enumerate() {
            let mut newest = Timestamp::MIN;
            for partition in 0..*count {
                let (report, append) = &latest[&(topic, partition)];
                let complete = report.complete_to.unwrap().min(*append);
                prop_assert!(complete >= deadline + Seconds(LATENESS) && complete >= NOW - Seconds(LAG));
                prop_assert!(report.gap.is_none());
                newest = newest.max(report.rules[0].matched.unwrap().newest);
            }
            prop_assert!(newest >= NOW - Seconds(SILENCE));
        }
    }
}
