//! What leaves when.

use crate::rig::{BUDGET, DAY, Rig, activity, at, config, progress, progress_with, release, sightings, text};
use lapsed::retention::calendar::Timestamp;
use lapsed::track::outputs::Outputs;
use lapsed::track::shard::{Applied, Input, More, Seen};
use lapsed::wire::progress::History;

#[test]
fn a_customer_who_stays_away_is_warned_and_forgotten() {
    let mut rig = Rig::new();
    let left = at("2024-03-10");
    rig.batch(&[activity(left, "4711", "login", left), progress(left, &rig.config)]);
    rig.days(left, at("2026-06-01"), true);
    // Lateness is two days; the notice is the days between the two deadlines.
    assert_eq!(
        rig.lines(),
        [
            "2025-03-13 4711 newsletter expire mailing",
            "2026-02-13 4711 offers warn mailing",
            "2026-03-15 4711 offers anonymise crm",
            "2026-03-15 4711 offers anonymise mailing",
        ]
    );
}

#[test]
fn whoever_returns_is_recalled_and_starts_over() {
    let mut rig = Rig::new();
    let left = at("2024-03-10");
    rig.batch(&[activity(left, "4711", "purchase", left), progress(left, &rig.config)]);
    rig.days(left, at("2026-02-20"), true);
    assert_eq!(rig.lines(), ["2026-02-13 4711 offers warn mailing"]);
    let back = at("2026-02-20");
    rig.batch(&[activity(back, "4711", "login", back), progress(back, &rig.config)]);
    assert_eq!(rig.lines()[1..], ["2026-02-20 4711 offers recall mailing"]);
    rig.days(back + DAY, at("2027-02-20"), true);
    assert_eq!(rig.lines().len(), 2);
}

#[test]
fn a_closed_gate_holds_back_until_it_opens() {
    let mut rig = Rig::new();
    let left = at("2024-03-10");
    rig.batch(&[activity(left, "4711", "login", left), progress(left, &rig.config)]);
    let due = at("2025-03-20");
    let silent = progress_with(due, &rig.config, |partition| {
        partition.rules[0].matched.as_mut().unwrap().newest = Timestamp(due - 30 * DAY);
    });
    rig.batch(&[silent]);
    assert_eq!(rig.lines().len(), 0);
    let stats = rig.shard.stats();
    assert_eq!((stats.policies[0].due_unsent, stats.policies[0].oldest_due), (1, Some(Timestamp(at("2025-03-11")))));
    rig.batch(&[progress(due + 10, &rig.config)]);
    assert_eq!(rig.lines(), ["2025-03-20 4711 newsletter expire mailing"]);
    let stats = rig.shard.stats();
    assert_eq!((stats.policies[0].due_unsent, stats.policies[0].sent.as_slice()), (0, &[1][..]));
    assert_eq!(stats.unacknowledged, [0, 1]);
}

#[test]
fn activity_that_arrives_while_the_gate_is_closed_counts() {
    let mut rig = Rig::new();
    let left = at("2024-03-10");
    rig.batch(&[activity(left, "4711", "login", left), progress(left, &rig.config)]);
    let due = at("2025-03-20");
    rig.batch(&[progress_with(due, &rig.config, |partition| partition.complete_to = None)]);
    assert_eq!(rig.shard.stats().policies[0].due_unsent, 1);
    rig.batch(&[activity(due + 1, "4711", "login", due), progress(due + 1, &rig.config)]);
    assert_eq!(rig.shard.stats().policies[0].due_unsent, 0);
    rig.days(due + DAY, at("2026-03-20"), true);
    assert_eq!(rig.lines().len(), 0);
    rig.days(at("2026-03-20"), at("2026-04-01"), true);
    assert_eq!(rig.lines(), ["2026-03-23 4711 newsletter expire mailing"]);
}

#[test]
fn a_shard_that_is_behind_only_merges_and_recalls() {
    let mut rig = Rig::new();
    let left = at("2024-03-10");
    rig.batch(&[activity(left, "a", "login", left), activity(left, "b", "purchase", left)]);
    rig.days(left, at("2026-02-20"), false);
    let warned = rig.lines().len();
    rig.ahead = 2 * 3600;
    let back = at("2026-02-20");
    rig.batch(&[activity(back, "b", "login", back), progress(back, &rig.config)]);
    assert_eq!(rig.lines()[warned..], ["2026-02-20 b offers recall mailing"]);
    rig.days(back, at("2026-06-01"), true);
    assert_eq!(rig.lines().len(), warned + 1);
    rig.ahead = 0;
    rig.batch(&[progress(at("2026-06-01"), &rig.config)]);
    assert!(rig.lines().len() > warned + 1, "{:?}", rig.lines());
}

#[test]
fn nothing_fires_before_the_first_record_after_a_restore() {
    let mut rig = Rig::new();
    let left = at("2024-03-10");
    rig.batch(&[activity(left, "4711", "login", left), progress(left, &rig.config)]);
    let mut restored = rig.restored();
    let mut out = Outputs::default();
    restored.shard.begin();
    assert_eq!(restored.shard.decide(at("2030-01-01") * 1000, BUDGET, &mut out), More::Nothing);
    restored.shard.changelog(&mut out);
    assert!(out.is_empty());
    restored.shard.commit();
    // Nor before the gate has heard progress again, although it was open before.
    let late = at("2025-04-01");
    restored.batch(&[activity(late, "other", "login", late)]);
    assert_eq!(restored.lines().len(), 0);
    restored.batch(&[progress(late, &rig.config)]);
    assert_eq!(restored.lines(), ["2025-04-01 4711 newsletter expire mailing"]);
}

#[test]
fn everyone_counts_as_active_when_history_begins() {
    let mut rig = Rig::of(config(&text().replace("    history_from: beginning\n", "")));
    let (left, known) = (at("2022-01-01"), at("2024-05-05"));
    let report = |now: i64, rig: &Rig| {
        progress_with(now, &rig.config, |partition| {
            partition.rules.iter_mut().for_each(|rule| rule.history = History::Since(Timestamp(known)));
        })
    };
    rig.batch(&[activity(known, "4711", "login", left), report(known, &rig)]);
    for day in 1..369 {
        rig.batch(&[report(known + day * DAY, &rig)]);
    }
    assert_eq!(rig.lines(), ["2025-05-08 4711 newsletter expire mailing"]);
    assert_eq!(rig.sent[0].1.since.kind, "history");
}

#[test]
fn what_is_due_is_taken_in_portions() {
    let mut rig = Rig::new();
    let left = at("2024-03-10");
    let customers: Vec<String> = (0..25_000).map(|place| format!("customer-{place}")).collect();
    let mut entries: Vec<_> = customers.iter().map(|customer| activity(left, customer, "login", left)).collect();
    entries.push(progress(left, &rig.config));
    rig.batch(&entries);
    while rig.try_batch(&[]).2 == More::Waiting {
        rig.shard.commit();
    }
    rig.shard.commit();
    let due = at("2025-04-01");
    let mut entries = vec![release(due, &rig.config, "newsletter", due, 25_000), progress(due, &rig.config)];
    let mut portions = Vec::new();
    loop {
        let (_, out, more) = rig.try_batch(&entries);
        rig.shard.commit();
        entries.clear();
        portions.push(out.commands().len());
        if more == More::Nothing {
            break;
        }
    }
    assert_eq!(portions.iter().sum::<usize>(), 25_000);
    assert!(portions.iter().all(|portion| *portion <= BUDGET), "{portions:?}");
}

#[test]
fn garbage_changes_nothing() {
    let mut rig = Rig::new();
    let now = at("2024-03-10");
    rig.batch(&[activity(now, "4711", "login", now), progress(now, &rig.config)]);
    let before = rig.shard.stats();
    let good = activity(now, "x", "login", now).value;
    let (long, report) = (vec![b'a'; 1025], progress(now, &rig.config).value);
    type Part<'a> = Option<&'a [u8]>;
    let several = sightings(now, &[("x".to_owned(), "login", now), ("y".to_owned(), "login", now)]).value;
    let table: [(Part, Part); 12] = [
        (Some(b"x"), Some(b"")),
        (Some(b"x"), Some(b"\xff\xff")),
        (Some(b"x"), None),
        (Some(b"x"), Some(&report)),
        (Some(b"x"), Some(&good[..good.len() - 1])),
        (Some(b""), Some(&good)),
        (Some(&long), Some(&good)),
        (Some(b"\0header"), Some(&good)),
        (Some(b"\xff"), Some(&good)),
        (None, Some(&good)),
        (None, Some(&several[..several.len() - 1])),
        (Some(b"x"), Some(&several)),
    ];
    rig.shard.begin();
    for (key, value) in table {
        let applied = rig.shard.apply(Input { offset: 9, append_ms: now * 1000, key, value });
        assert_eq!(applied, Applied::Garbage, "{key:?} {value:?}");
    }
    let of_nobody = ["", "a".repeat(1025).as_str(), "\0header"].map(|customer| (customer.to_owned(), "login", now));
    let value = Some(sightings(now, &of_nobody).value);
    let applied = rig.shard.apply(Input { offset: 9, append_ms: now * 1000, key: None, value: value.as_deref() });
    assert_eq!(applied, Applied::Seen(Seen { garbage: 3, suppressed: 0 }));
    rig.shard.commit();
    assert_eq!(rig.shard.stats(), before);
}
