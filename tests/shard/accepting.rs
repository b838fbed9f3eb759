//! A person answers for a source that is in doubt.

use crate::rig::{Entry, Rig, activity, at, instruct, progress, progress_with};
use lapsed::retention::brake::{Order, Refusal};
use lapsed::retention::calendar::{Seconds, Timestamp};
use lapsed::retention::gate::{Acceptable, Doubt};
use lapsed::retention::policy::SourceIndex;
use lapsed::track::shard::Applied;
use lapsed::wire::audit;
use lapsed::wire::progress::PartitionProgress;

const LEFT: &str = "2024-03-10";
/// The newsletter of whoever left then is due.
const DUE: &str = "2025-03-14";
const LETTER: &str = "2025-03-14 c newsletter expire mailing";

fn accept(append: i64, doubt: Acceptable) -> Entry {
    instruct(append, Order::Accept { source: "shop".to_owned(), doubt })
}

fn doubts(rig: &Rig) -> Vec<&'static str> {
    rig.shard.gate().doubts(SourceIndex(0), rig.shard.now().unwrap()).iter().map(Doubt::name).collect()
}

/// One customer who left, and what makes the source doubtful when their letter is due.
fn in_doubt(change: fn(&mut PartitionProgress)) -> (Rig, Entry) {
    let mut rig = Rig::new();
    let left = at(LEFT);
    rig.batch(&[activity(left, "c", "login", left), progress(left, &rig.config)]);
    let report = progress_with(at(DUE), &rig.config, change);
    rig.batch(std::slice::from_ref(&report));
    assert_eq!(rig.lines(), Vec::<String>::new());
    (rig, report)
}

fn silent(report: &mut PartitionProgress) {
    let newest = Timestamp(at(DUE)) - Seconds(5 * 86_400);
    report.rules.iter_mut().for_each(|rule| rule.matched.as_mut().unwrap().newest = newest);
}

fn rejected(report: &mut PartitionProgress) {
    (report.rejects_last_hour, report.rejects_total) = (90, 90);
}

fn gapped(report: &mut PartitionProgress) {
    report.gap = Some(Timestamp(at(LEFT)));
}

type Cause = (Acceptable, fn(&mut PartitionProgress), &'static [&'static str]);
const CAUSES: [Cause; 3] = [
    (Acceptable::Silence, silent, &["silent", "silent"]),
    (Acceptable::Rejects, rejected, &["rejects"]),
    (Acceptable::Gap, gapped, &["gap"]),
];

#[test]
fn what_a_person_accepts_lets_commands_go_here_and_after_a_restart() {
    for (doubt, change, names) in CAUSES {
        let (mut rig, report) = in_doubt(change);
        assert_eq!(doubts(&rig), names);
        let accepted = rig.batch(&[accept(at(DUE), doubt), report.clone()]);
        assert_eq!(accepted[0], Applied::Instructed(Ok(())), "{doubt}");
        assert_eq!((doubts(&rig), rig.lines()), (vec![], vec![LETTER.to_owned()]), "{doubt}");
        let mut restored = rig.restored();
        restored.batch(&[report]);
        assert_eq!((doubts(&restored), restored.lines()), (vec![], vec![]), "{doubt}");
    }
}

/// A restart knows what was accepted before it had heard anything.
#[test]
fn an_instruction_first_thing_after_a_restart_counts() {
    for (doubt, change, _) in CAUSES {
        let (rig, report) = in_doubt(change);
        let mut restored = rig.restored();
        let accepted = restored.batch(&[accept(at(DUE), doubt)]);
        assert_eq!((&accepted[0], restored.lines()), (&Applied::Instructed(Ok(())), vec![]), "{doubt}");
        restored.batch(&[report]);
        assert_eq!((doubts(&restored), restored.lines()), (vec![], vec![LETTER.to_owned()]), "{doubt}");
    }
}

#[test]
fn an_aborted_acceptance_never_was() {
    for (doubt, change, names) in CAUSES {
        let (mut rig, report) = in_doubt(change);
        let entries = [accept(at(DUE), doubt), report.clone()];
        let (_, out, _) = rig.try_batch(&entries);
        let tried: Vec<_> = out.commands().map(|(_, command)| command.id).collect();
        assert_eq!(tried.len(), 1, "{doubt}");
        rig.shard.abort();
        assert_eq!(doubts(&rig), names, "{doubt}");
        rig.batch(&[report]);
        assert_eq!((doubts(&rig).as_slice(), rig.lines()), (names, vec![]), "{doubt}");
        let mut restored = rig.restored();
        let accepted = restored.batch(&entries);
        assert_eq!((&accepted[0], restored.lines()), (&Applied::Instructed(Ok(())), vec![LETTER.to_owned()]));
        assert_eq!(restored.sent[0].1.id, tried[0], "the same decision again");
    }
}

#[test]
fn who_accepted_what_and_why_stands_in_audit() {
    let (mut rig, report) = in_doubt(rejected);
    let entries =
        [accept(at(DUE), Acceptable::Gap), accept(at(DUE), Acceptable::Rejects), accept(at(DUE), Acceptable::Rejects)];
    let (applied, out, _) = rig.try_batch(&entries);
    let refusal = Refusal::NoDoubt { about: "shop".to_owned(), doubt: Acceptable::Gap };
    assert_eq!(applied[0], Applied::Instructed(Err(refusal.clone())));
    assert_eq!(applied[1], Applied::Instructed(Ok(())));
    assert_eq!(applied[2], Applied::Instructed(Err(Refusal::Repeated)), "delivered twice");
    let decoded = out.audit().map(|(key, value)| (key, audit::decode(value).unwrap()));
    let told: Vec<_> = decoded
        .filter_map(|(key, (time, entry))| match entry {
            audit::Entry::Instruction(told) => Some((key.to_vec(), time, told)),
            _ => None,
        })
        .collect();
    assert_eq!(told.len(), 3);
    for ((key, time, told), (doubt, refused)) in told.iter().zip([
        ("gap", Some(refusal.to_string())),
        ("rejects", None),
        ("rejects", Some("it was obeyed before".to_owned())),
    ]) {
        assert_eq!((key.as_slice(), *time), (&b""[..], Timestamp(at(DUE))));
        assert_eq!((told.by.as_str(), told.reason.as_str(), told.shard), ("privacy", "a test", 0));
        let order = audit::Order::Accept { source: "shop".to_owned(), doubt: doubt.to_owned() };
        assert_eq!((&told.order, &told.refused), (&order, &refused));
    }
    rig.commit(&entries, &out);
    rig.batch(&[report]);
    assert_eq!(rig.lines(), [LETTER]);
}

/// One acceptance, then the same kind of doubt anew.
#[test]
fn the_next_occurrence_closes_the_gate_again() {
    let later: [fn(&mut PartitionProgress); 3] = [
        |report| {
            let again = Timestamp(at(DUE)) + Seconds(60);
            report.rules.iter_mut().for_each(|rule| rule.matched.as_mut().unwrap().newest = again);
        },
        |report| (report.rejects_last_hour, report.rejects_total) = (95, 101),
        |report| report.gap = Some(Timestamp(at(DUE))),
    ];
    for ((doubt, change, names), later) in CAUSES.into_iter().zip(later) {
        let (mut rig, report) = in_doubt(change);
        rig.batch(&[accept(at(DUE), doubt), report]);
        let next = if doubt == Acceptable::Silence { at(DUE) + 60 + 4 * 86_400 + 1 } else { at(DUE) + 60 };
        let report = progress_with(next, &rig.config, later);
        let mut restored = rig.restored();
        rig.batch(std::slice::from_ref(&report));
        restored.batch(&[report]);
        assert_eq!((doubts(&rig).as_slice(), doubts(&restored).as_slice()), (names, names), "{doubt}");
    }
}
