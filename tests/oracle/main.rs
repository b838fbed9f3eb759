//! A slow, obviously right oracle of section 6 of the design against the real core.
//!
//! It shares no code with `retention/`: at every instant that matters it looks at everything that has
//! arrived and everything that was sent, and asks what must leave now. To be read beside the design:
//!
//! * [`told`]: configurations and logs, in the oracle's own words
//! * [`days`]: days and periods (section 4)
//! * [`view`]: everything known at one moment (section 5), starting points, floors
//! * [`sent`]: what was sent, and what targets answered
//! * [`keepers`]: the last purpose removes
//! * [`stages`]: stages in order, with full notice
//! * [`requests`]: requests, consent
//! * [`holds`]: holds, and what deferred a command
//! * [`grounds`]: recall, leases
//! * [`oracle`]: when it looks, what it sends, when it forgets
//!
//! and then [`core`], the real one; [`generate`], random cases; [`compare`]; hand-checked [`examples`]; and
//! [`laws`] that hold whatever the oracle says, the longest in [`once`]. One area alone:
//! `cargo test --test oracle holds -- --exact`; every run sees the same cases, other and more ones with
//! `PROPTEST_CASES=20000`. A failure is shrunk for at most a quarter of a minute.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod compare;
mod core;
mod days;
mod examples;
mod generate;
mod grounds;
mod holds;
mod keepers;
mod laws;
mod once;
mod oracle;
mod requests;
mod sent;
mod stages;
mod told;
mod view;

use compare::difference;
use generate::{Area, EVERYTHING, PERIODS};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use told::Case;

/// Runs random cases of an area; a failing one is made as small as possible and shown.
pub fn check(area: Area, cases: u32, test: impl Fn(&Case) -> Result<(), String>) {
    let asked_for = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let config = Config {
        cases: asked_for.unwrap_or(cases),
        max_shrink_iters: 100_000,
        max_shrink_time: 15_000,
        failure_persistence: None,
        ..Config::default()
    };
    let run = |case: Case| test(&case).map_err(TestCaseError::fail);
    // The same cases at every run, so that a change is judged by what it changes; new ones when asked for more.
    let mut runner = match asked_for {
        Some(_) => TestRunner::new(config),
        None => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
    };
    match runner.run(&generate::case(area), run) {
        Ok(()) => {}
        // One that panicked does not say for which case.
        Err(TestError::Fail(reason, case)) if !reason.message().contains("log:") => {
            panic!("{}\n{reason}", compare::shown_case(&case))
        }
        Err(TestError::Fail(reason, _)) => panic!("{reason}"),
        Err(aborted) => panic!("{aborted}"),
    }
}

const FLOORS: Area = Area { floors: true, ..PERIODS };
const HOLDS: Area = Area { holds: true, ..PERIODS };
const REQUESTS: Area = Area { requests: true, floors: true, holds: true, policies_max: 3, ..PERIODS };
const CONSENT: Area = Area { consent: true, attributes: true, requests: true, policies_max: 3, ..PERIODS };

/// Targets answer late, otherwise than `done`, or not at all.
const fn answered(area: Area) -> Area {
    Area { answers: true, ..area }
}

fn core_decides_what_the_oracle_does(area: Area, cases: u32) {
    check(area, cases, |case| {
        let (mut expected, mut found) = (oracle::expected(case), core::Run::answered(case).decided());
        if std::env::var_os("ORACLE_DEFERRALS").is_none() {
            expected.iter_mut().for_each(|decided| decided.line.deferred_by = None);
            found.iter_mut().for_each(|decided| decided.line.deferred_by = None);
        }
        difference(case, &expected, &found).map_or(Ok(()), Err)
    });
}

#[test]
fn periods_and_keepers() {
    core_decides_what_the_oracle_does(Area { known_since: true, ..PERIODS }, 600);
}

#[test]
fn floors() {
    core_decides_what_the_oracle_does(FLOORS, 400);
}

#[test]
fn holds() {
    core_decides_what_the_oracle_does(HOLDS, 400);
}

#[test]
fn requests() {
    core_decides_what_the_oracle_does(REQUESTS, 400);
}

#[test]
fn consent_and_attributes() {
    core_decides_what_the_oracle_does(CONSENT, 400);
}

#[test]
fn answers() {
    core_decides_what_the_oracle_does(Area { policies_max: 3, ..answered(PERIODS) }, 400);
}

#[test]
fn answers_and_floors() {
    core_decides_what_the_oracle_does(answered(FLOORS), 400);
}

#[test]
fn answers_and_holds() {
    core_decides_what_the_oracle_does(answered(HOLDS), 400);
}

#[test]
fn answers_and_requests() {
    core_decides_what_the_oracle_does(answered(REQUESTS), 400);
}

#[test]
fn answers_and_consent_and_attributes() {
    core_decides_what_the_oracle_does(answered(CONSENT), 400);
}

#[test]
fn window() {
    core_decides_what_the_oracle_does(Area { window: true, policies_max: 3, ..answered(PERIODS) }, 400);
}

#[test]
fn forgetting() {
    let area = Area { forgetting: true, requests: true, consent: true, ..PERIODS };
    core_decides_what_the_oracle_does(area, 400);
}

#[test]
fn everything_together() {
    core_decides_what_the_oracle_does(EVERYTHING, 800);
}

#[test]
fn everything_by_the_second() {
    core_decides_what_the_oracle_does(Area { by_second: true, ..EVERYTHING }, 400);
}
