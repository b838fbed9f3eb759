//! Section "State": each part of what is told about a customer merges by an associative, commutative,
//! idempotent rule, and what there is no room for makes the customer held.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lapsed::retention::calendar::Timestamp;
use lapsed::retention::claims::{CLAIMS_MAX, Claim, Claims, HoldTag, OVERFLOW_HOLD, PAST_HOLDS_MAX};
use proptest::prelude::*;

/// Later than anything told here.
const NOW: Timestamp = Timestamp(1000);

fn merged<'a>(claims: impl IntoIterator<Item = &'a Claim>) -> Claims {
    let mut all = Claims::default();
    for claim in claims {
        all.merge(claim, NOW);
    }
    all
}

/// Few names and few instants, so that many are told of one thing and at one time.
fn claim() -> impl Strategy<Value = Claim> {
    let at = || (1..5_i64).prop_map(Timestamp);
    let name = || prop::sample::select(vec!["a", "b"]).prop_map(str::to_owned);
    let until = prop::option::of(prop::sample::select(vec![Timestamp(3), Timestamp(2000), Timestamp(3000)]));
    let policies = prop::option::of(prop::sample::subsequence(vec!["p".to_owned(), "q".to_owned()], 1..=2));
    let value = prop::option::of(name());
    prop_oneof![
        (name(), any::<bool>(), at()).prop_map(|(name, given, at)| Claim::Consent { name, given, at }),
        (name(), at(), until, name(), policies).prop_map(|(id, at, until, reason, policies)| Claim::Hold {
            id,
            at,
            until,
            reason,
            policies
        }),
        (name(), at()).prop_map(|(id, at)| Claim::Unhold { id, at }),
        at().prop_map(|at| Claim::Erasure { at }),
        (name(), value, at()).prop_map(|(name, value, at)| Claim::Attribute { name, value, at }),
    ]
}

fn claims_and_another_order() -> impl Strategy<Value = (Vec<Claim>, Vec<Claim>)> {
    let claims = prop::collection::vec(claim(), 0..12);
    claims.prop_flat_map(|claims| (Just(claims.clone()), Just(claims).prop_shuffle()))
}

proptest! {
    #[test]
    fn neither_order_nor_repetition_matters((claims, shuffled) in claims_and_another_order()) {
        let all = merged(&claims);
        prop_assert_eq!(&all, &merged(&shuffled));
        prop_assert_eq!(&all, &merged(claims.iter().chain(&shuffled)));
        prop_assert_eq!(&all, &merged(claims.iter().flat_map(|claim| [claim, claim])));
    }

    #[test]
    fn a_merge_says_whether_it_changed_anything((claims, shuffled) in claims_and_another_order()) {
        let mut all = Claims::default();
        for claim in claims.iter().chain(&shuffled) {
            let before = all.clone();
            let changed = all.merge(claim, NOW);
            prop_assert_eq!(changed, before != all, "{:?} into {:?}", claim, before);
        }
    }

    /// As long as there is room it does not matter when something arrives.
    #[test]
    fn nor_when_it_arrives((claims, _) in claims_and_another_order(), now in 0..4000_i64) {
        let mut all = Claims::default();
        for claim in &claims {
            all.merge(claim, Timestamp(now));
        }
        prop_assert_eq!(all, merged(&claims));
    }

    /// Up to the limits there is room for everything, whatever is full beside it.
    #[test]
    fn there_is_room_up_to_the_limits(order in Just((0..3 * CLAIMS_MAX).collect::<Vec<_>>()).prop_shuffle()) {
        let all: Vec<Claim> = order.iter().map(|place| one_of_many(*place)).collect();
        let claims = merged(&all);
        prop_assert!(!claims.has_overflowed());
        prop_assert_eq!(claims.holds_in_force(NOW).count(), CLAIMS_MAX);
        prop_assert_eq!((claims.consents.len(), claims.attributes.len()), (CLAIMS_MAX, CLAIMS_MAX));
    }

    /// In whatever order: one too many of any of them, and the customer is held.
    #[test]
    fn beyond_the_limit_the_customer_is_held(
        order in Just((0..3 * CLAIMS_MAX).collect::<Vec<_>>()).prop_shuffle(), which in 0..3_usize, place in 0..=192_usize
    ) {
        let mut all: Vec<Claim> = order.iter().map(|place| one_of_many(*place)).collect();
        all.insert(place.min(all.len()), one_of_many(3 * CLAIMS_MAX + which));
        let mut claims = merged(&all);
        prop_assert!(claims.has_overflowed());
        prop_assert!(claims.holds_in_force(NOW).any(|hold| hold.id == OVERFLOW_HOLD && hold.concerns("any")));
        prop_assert!(claims.holds_in_force(Timestamp::MAX - lapsed::retention::calendar::Seconds(1)).count() > 0);
        claims.merge(&Claim::Unhold { id: OVERFLOW_HOLD.to_owned(), at: NOW }, NOW);
        prop_assert!(!claims.has_overflowed(), "unhold ends it");
    }
}

/// Consents, holds and attributes in turn, each of another name.
fn one_of_many(place: usize) -> Claim {
    let (name, at) = (format!("n{}", place / 3), Timestamp(5));
    match place % 3 {
        0 => Claim::Consent { name, given: place.is_multiple_of(2), at },
        1 => Claim::Hold { id: name, at, until: None, reason: String::new(), policies: None },
        _ => Claim::Attribute { name, value: None, at },
    }
}

fn consent(given: bool, at: i64) -> Claim {
    Claim::Consent { name: "offers".to_owned(), given, at: Timestamp(at) }
}

fn hold(at: i64, until: Option<i64>, reason: &str) -> Claim {
    let (id, reason, until) = ("case-7".to_owned(), reason.to_owned(), until.map(Timestamp));
    Claim::Hold { id, at: Timestamp(at), until, reason, policies: None }
}

fn unhold(at: i64) -> Claim {
    Claim::Unhold { id: "case-7".to_owned(), at: Timestamp(at) }
}

#[test]
fn of_consent_the_latest_word_counts_and_on_a_tie_the_withdrawal() {
    let withdrawn_last = |claims: &[Claim]| merged(claims).consent("offers").unwrap().withdrawn_last();
    assert_eq!(withdrawn_last(&[consent(true, 1), consent(false, 2)]), Some(Timestamp(2)));
    assert_eq!(withdrawn_last(&[consent(false, 1), consent(true, 2)]), None);
    assert_eq!(withdrawn_last(&[consent(false, 2), consent(true, 2)]), Some(Timestamp(2)));
    assert_eq!(withdrawn_last(&[consent(true, 2)]), None);
    assert_eq!(merged(&[consent(true, 2)]).consent("newsletter"), None, "never heard is not withdrawn");
}

#[test]
fn of_a_hold_the_latest_word_counts_and_on_a_tie_what_holds_longer() {
    let in_force = |claims: &[Claim], now: i64| {
        let claims = merged(claims);
        let mut holds = claims.holds_in_force(Timestamp(now)).map(|hold| hold.reason.clone());
        holds.next()
    };
    let some = |reason: &str| Some(reason.to_owned());
    assert_eq!(in_force(&[hold(1, None, "a"), unhold(2)], 10), None);
    assert_eq!(in_force(&[unhold(2), hold(2, None, "a")], 10), some("a"), "placed wins");
    assert_eq!(in_force(&[hold(1, None, "a"), unhold(2), hold(3, Some(20), "b")], 10), some("b"));
    assert_eq!(in_force(&[hold(1, Some(20), "b"), hold(1, Some(5), "z")], 10), some("b"), "longest until");
    assert_eq!(in_force(&[hold(1, None, "a"), hold(1, Some(20), "b")], 10), some("a"), "no end is the longest");
    assert_eq!(in_force(&[hold(1, Some(20), "a"), hold(1, Some(20), "b")], 10), some("b"), "greater reason");
    assert_eq!(in_force(&[hold(1, Some(20), "a")], 20), None, "until is the first instant without it");
    assert_eq!(in_force(&[hold(1, None, "a"), hold(2, Some(5), "b")], 10), None, "the later word, though shorter");
}

#[test]
fn of_an_attribute_the_latest_word_counts_and_on_a_tie_the_greater() {
    let word = |value: Option<&str>, at: i64| Claim::Attribute {
        name: "segment".to_owned(),
        value: value.map(str::to_owned),
        at: Timestamp(at),
    };
    let value = |claims: &[Claim]| merged(claims).attribute("segment").map(str::to_owned);
    assert_eq!(value(&[word(Some("z"), 1), word(Some("a"), 2)]), Some("a".to_owned()));
    assert_eq!(value(&[word(Some("z"), 2), word(Some("a"), 2), word(None, 2)]), Some("z".to_owned()));
    assert_eq!(value(&[word(Some("z"), 1), word(None, 2)]), None, "no longer set");
}

#[test]
fn of_erasure_requests_the_latest_counts() {
    let claims = [4, 7, 2].map(|at| Claim::Erasure { at: Timestamp(at) });
    assert_eq!(merged(&claims).erasure, Some(Timestamp(7)));
}

#[test]
fn a_hold_that_is_released_or_over_takes_no_room() {
    let numbered = |place: usize, until: Option<i64>| Claim::Hold {
        id: format!("case-{place}"),
        at: Timestamp(1),
        until: until.map(Timestamp),
        reason: String::new(),
        policies: None,
    };
    let over = (0..CLAIMS_MAX).map(|place| numbered(place, Some(2)));
    let released = (CLAIMS_MAX..2 * CLAIMS_MAX)
        .flat_map(|place| [numbered(place, None), Claim::Unhold { id: format!("case-{place}"), at: Timestamp(2) }]);
    let in_force = (2 * CLAIMS_MAX..3 * CLAIMS_MAX).map(|place| numbered(place, None));
    let all: Vec<Claim> = over.chain(released).chain(in_force).collect();
    let mut claims = merged(&all);
    assert!(!claims.has_overflowed());
    assert_eq!(claims.holds_in_force(NOW).count(), CLAIMS_MAX);
    // One of those in force may change; another one there is no room for.
    claims.merge(
        &Claim::Hold {
            id: "case-130".to_owned(),
            at: Timestamp(3),
            until: None,
            reason: "x".to_owned(),
            policies: None,
        },
        NOW,
    );
    assert!(!claims.has_overflowed());
    claims.merge(&numbered(3 * CLAIMS_MAX, None), NOW);
    assert!(claims.has_overflowed());
}

#[test]
fn what_there_was_no_room_for_holds_again_when_it_is_told_again() {
    let mut claims = merged(&(0..=3 * CLAIMS_MAX).map(one_of_many).collect::<Vec<_>>());
    assert!(claims.has_overflowed());
    claims.merge(&Claim::Unhold { id: OVERFLOW_HOLD.to_owned(), at: Timestamp(6) }, NOW);
    assert!(!claims.has_overflowed());
    // Its event time is from before the release; but nobody can tell a repetition from another one that is late.
    claims.merge(&one_of_many(3 * CLAIMS_MAX), NOW);
    assert!(claims.has_overflowed());
}

/// A customer with a million holds has a record like any other: the oldest that hold no longer are forgotten,
/// those in force never.
#[test]
fn however_many_holds_there_were_few_are_remembered() {
    let mut claims = Claims::default();
    let now = Timestamp(2_000_000);
    let in_force = "in force".to_owned();
    claims.merge(
        &Claim::Hold { id: in_force, at: Timestamp(0), until: None, reason: String::new(), policies: None },
        now,
    );
    for number in 1..=1_000_000_i64 {
        let (id, at) = (number.to_string(), Timestamp(number));
        let until = (number % 2 == 0).then_some(at);
        claims.merge(&Claim::Hold { id: id.clone(), at, until, reason: String::new(), policies: None }, now);
        claims.merge(&Claim::Unhold { id, at: Timestamp(number + 1) }, now);
    }
    assert_eq!(claims.holds.len(), PAST_HOLDS_MAX + 1);
    assert_eq!(claims.holds_in_force(now).map(|hold| hold.id.as_str()).collect::<Vec<_>>(), ["in force"]);
    assert!(!claims.has_overflowed());
    let newest = HoldTag::of("1000000");
    assert!(claims.holds.iter().any(|hold| hold.tag == newest), "the newest are kept");
}
