//! What is worth a second look, and no more.

use crate::shop::warnings_with;

fn warns(table: &[(&[(&str, &str)], &str)]) {
    for (changes, warning) in table {
        assert_eq!(warnings_with(changes), [*warning], "{changes:?}");
    }
}

#[test]
fn of_policies() {
    warns(&[
        (
            &[("Relevant offers until two years after your last purchase", "Marketing")],
            "shop.yaml:27:14: policies.offers.purpose is too vague (en) to test anything against: say what is done, and \
             for how long",
        ),
        (
            &[("review_by: 2027-06-01", "review_by: 2026-11-23")],
            "shop.yaml:36:16: policies.offers.review_by is past: the policy should have been reviewed by 2026-11-23",
        ),
        (
            &[("lawful_basis: contract", "lawful_basis: legitimate_interest")],
            "shop.yaml:28:19: policies.offers.lawful_basis rests on a legitimate interest and doesn't name it; add \
             interest: {en: …}",
        ),
        (
            &[("after: P23M", "after: P725D")],
            "shop.yaml:32:9: policies.offers.stages[0] leaves less than P7D to react to the warning",
        ),
        (
            &[("command: anonymise}", "command: anonymise, targets: [crm]}")],
            "shop.yaml:34:14: policies.offers.targets names 'mailing', and no stage tells it to remove anything",
        ),
        (
            &[("command: warn, targets: [mailing]", "command: expire, targets: [mailing]")],
            "shop.yaml:33:9: policies.offers.stages[1] comes after an expire at the same target, which leaves nothing to \
             do it to",
        ),
        (
            &[("mode: enforce", "mode: test"), ("[purchase, login]", "[purchase, login, walk]")],
            "shop.yaml:30:35: policies.offers.since_last[2] is 'walk', which no source yields",
        ),
    ]);
}

#[test]
fn a_review_that_is_due_today_is_not_past() {
    assert_eq!(warnings_with(&[("review_by: 2027-06-01", "review_by: 2026-11-24")]), [""; 0]);
}

#[test]
fn of_sources() {
    warns(&[
        (
            &[("max_silence: P1D", "max_silence: none")],
            "shop.yaml:7:5: sources.orders has max_silence: none, and is live: when it breaks, its customers look as if \
             they had gone",
        ),
        (
            &[("activity: login", "activity: login, max_silence: none")],
            "shop.yaml:15:5: sources.web has a rule with max_silence: none, and is live: when it breaks, its customers \
             look as if they had gone",
        ),
        (
            &[("[purchase, login]", "[purchase]")],
            "shop.yaml:21:66: sources.web.rules[0].activity is 'login', which no policy counts",
        ),
    ]);
}

#[test]
fn nothing_is_said_of_a_silent_source_that_ended_or_is_a_snapshot() {
    let silent = ("max_silence: P1D", "max_silence: none");
    assert_eq!(warnings_with(&[silent, ("time: /at", "time: /at\n    retired: true")]), [""; 0]);
    assert_eq!(warnings_with(&[silent, ("activity: purchase", "activity: purchase, time: /last_order_at")]), [""; 0]);
}

#[test]
fn when_every_source_of_a_policy_has_ended() {
    let warnings = warnings_with(&[
        ("time: /at", "time: /at\n    retired: true"),
        ("time: record", "time: record\n    retired: true"),
    ]);
    assert_eq!(
        warnings,
        ["shop.yaml:32:17: policies.offers.since_last counts only what retired sources yielded: nothing can show any \
          more that a customer is active"]
    );
}

#[test]
fn of_the_service() {
    warns(&[
        (
            &[("0123456789abcdef0123456789abcdef", "hunter2")],
            "shop.yaml:4:17: evidence.key is shorter than 16 characters, so that it can be guessed; take 32 random ones",
        ),
        (
            &[("time_zone:", "max_gate_lag: PT9S\ntime_zone:")],
            "shop.yaml:2:15: max_gate_lag is less than ten seconds, and progress comes each second at most: the gate \
             will seldom be open",
        ),
    ]);
}
