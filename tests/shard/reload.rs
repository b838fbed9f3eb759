//! A new configuration under way.

use crate::rig::{DAY, Rig, activity, at, config, progress, release, text};
use lapsed::wire::audit::{self, Entry};
use std::sync::Arc;

fn reconfigure(rig: &mut Rig, text: &str) {
    rig.config = config(text);
    rig.shard.reconfigure(Arc::clone(&rig.config));
}

#[test]
fn nothing_is_sent_until_ingest_has_the_same_configuration() {
    let mut rig = Rig::new();
    let left = at("2024-03-10");
    rig.batch(&[activity(left, "4711", "login", left), progress(left, &rig.config)]);
    let due = at("2025-04-01");
    let old = progress(due, &rig.config);
    reconfigure(&mut rig, &text().replace("P1Y,", "P6M,"));
    rig.batch(&[old]);
    assert_eq!(rig.lines().len(), 0);
    rig.batch(&[progress(due, &rig.config)]);
    assert_eq!(
        rig.shard.stats().policies[0].waiting_for_release,
        0,
        "another instance was just heard under the old one"
    );
    let due = due + 30;
    rig.batch(&[progress(due, &rig.config)]);
    // A shorter period makes backlog.
    assert_eq!(rig.shard.stats().policies[0].waiting_for_release, 1);
    rig.batch(&[release(due, &rig.config, "newsletter", due, 1)]);
    assert_eq!(rig.lines(), ["2025-04-01 4711 newsletter expire mailing"]);
}

/// The policies that a batch tells to evidence, with the purpose in English.
fn texts_told(rig: &mut Rig, now: i64) -> Vec<String> {
    let entries = [progress(now, &rig.config)];
    let (_, out, _) = rig.try_batch(&entries);
    let told = out.audit().filter_map(|(_, value)| match audit::decode(value).unwrap() {
        (_, Entry::Policy(policy)) => Some(format!("{}: {}", policy.policy, policy.purpose["en"])),
        _ => None,
    });
    let told = told.collect();
    rig.commit(&entries, &out);
    told
}

#[test]
fn a_new_text_is_told_to_evidence_once_and_changes_nothing_else() {
    let mut rig = Rig::new();
    let now = at("2026-03-01");
    assert_eq!(texts_told(&mut rig, now).len(), 2);
    assert_eq!(texts_told(&mut rig, now + 1).len(), 0);
    rig.batch(&[release(now + 2, &rig.config, "newsletter", at("2026-06-01"), 5)]);
    let before = rig.shard.brakes().policies["newsletter"].clone();
    reconfigure(&mut rig, &text().replace("A weekly newsletter", "Our weekly newsletter"));
    let told = ["newsletter: Our weekly newsletter for a year after the last visit"];
    assert_eq!(texts_told(&mut rig, now + 3), told);
    assert_eq!(texts_told(&mut rig, now + 4).len(), 0);
    let after = rig.shard.brakes().policies["newsletter"].clone();
    assert_ne!(after.text, before.text);
    assert_eq!((after.effective, &after.releases), (before.effective, &before.releases));
    // Nor is it told again by whoever restores the shard.
    assert_eq!(texts_told(&mut rig.restored(), now + 5).len(), 0);
    // What it was before is a change, too.
    reconfigure(&mut rig, &text());
    assert_eq!(texts_told(&mut rig, now + 6), ["newsletter: A weekly newsletter for a year after the last visit"]);
}

#[test]
fn a_longer_period_recalls_at_once() {
    let mut rig = Rig::new();
    let left = at("2024-03-10");
    rig.batch(&[activity(left, "4711", "login", left), progress(left, &rig.config)]);
    let due = at("2025-04-01");
    rig.batch(&[progress(due, &rig.config)]);
    assert_eq!(rig.lines(), ["2025-04-01 4711 newsletter expire mailing"]);
    reconfigure(&mut rig, &text().replace("P1Y,", "P2Y,"));
    let after = due + 60;
    rig.batch(&[progress(after, &rig.config)]);
    assert_eq!(rig.lines()[1..], ["2025-04-01 4711 newsletter recall mailing"]);
}

/// The removal had followed its warning, and is recalled because the policy, and with it the notice, is longer now.
#[test]
fn a_longer_notice_is_given_whole_after_a_recall() {
    let mut rig = Rig::new();
    let left = at("2024-03-10");
    rig.batch(&[activity(left, "4711", "purchase", left), progress(left, &rig.config)]);
    rig.days(at("2026-02-10"), at("2026-03-15") + 1, true);
    let sent = [
        "2026-02-13 4711 offers warn mailing",
        "2026-03-15 4711 offers anonymise crm",
        "2026-03-15 4711 offers anonymise mailing",
    ];
    assert_eq!(rig.lines(), sent);
    reconfigure(&mut rig, &text().replace("P24M, command", "P25M, command"));
    // Nobody has answered the removals, so they are recalled.
    rig.answered = rig.sent.len();
    let recalled_at = rig.sent.len();
    rig.days(at("2026-03-15") + 60, at("2026-05-01"), true);
    let again = rig.lines().split_off(recalled_at);
    let again: Vec<&String> = again.iter().filter(|line| line.contains("anonymise")).collect();
    // Answered on 2026-02-14; 59 days from then end with 2026-04-14.
    assert_eq!(again, ["2026-04-15 4711 offers anonymise crm", "2026-04-15 4711 offers anonymise mailing"]);
}

#[test]
fn a_kind_that_is_gone_for_a_while_is_not_forgotten() {
    let mut rig = Rig::new();
    let (bought, left) = (at("2024-09-10"), at("2024-03-10"));
    rig.batch(&[
        activity(bought, "4711", "purchase", bought),
        activity(bought, "4711", "login", left),
        activity(bought, "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "login", left),
        progress(bought, &rig.config),
    ]);
    let before = rig.state.clone();
    let without = text()
        .replace("[login, purchase]", "[login]")
        .replace("      - {when: {/event: order}, activity: purchase}\n", "");
    reconfigure(&mut rig, &without);
    // What arrives of it meanwhile is kept, too.
    let later = bought + DAY;
    rig.batch(&[activity(later, "4711", "purchase", later), progress(later, &rig.config)]);
    assert_eq!(rig.shard.stats().customers, 2);
    let mut restored = rig.restored();
    for rig in [&mut rig, &mut restored] {
        reconfigure(rig, &text());
        // Known again: a purchase that is older is nothing new, and nothing was lost.
        rig.batch(&[activity(later, "4711", "purchase", bought), progress(later, &rig.config)]);
        assert_eq!(rig.shard.stats().policies[1].active, 2);
        rig.days(later, at("2026-08-15"), true);
        let offers: Vec<_> = rig.lines().into_iter().filter(|line| line.contains("4711 offers")).collect();
        assert_eq!(offers, ["2026-08-14 4711 offers warn mailing"]);
    }
    assert_ne!(rig.state, before);
}

#[test]
fn a_policy_raised_to_enforce_skips_nothing() {
    let test = text().replace("    mode: enforce\n", "");
    let mut rig = Rig::of(config(&test));
    let left = at("2024-03-10");
    rig.batch(&[activity(left, "4711", "login", left), progress(left, &rig.config)]);
    rig.days(left, at("2026-06-01"), true);
    assert_eq!(rig.lines().len(), 0);
    let raised = at("2026-06-01");
    reconfigure(&mut rig, &text());
    rig.days(raised, raised + DAY, true);
    assert_eq!(rig.lines(), Vec::<String>::new(), "what was due already waits for a person");
    let releases = ["newsletter", "offers"].map(|policy| release(raised, &rig.config, policy, raised, 1));
    rig.batch(&releases);
    rig.days(raised, at("2026-08-01"), true);
    assert_eq!(
        rig.lines(),
        [
            "2026-06-01 4711 newsletter expire mailing",
            "2026-06-01 4711 offers warn mailing",
            "2026-06-30 4711 offers anonymise crm",
            "2026-06-30 4711 offers anonymise mailing",
        ]
    );
}
