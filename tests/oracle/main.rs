//! A slow, obviously right oracle of section 6 of the design against the real core.
//!
//! It shares no code with `retention/`: at every instant that matters it looks at everything that has
//! arrived and everything that was sent, and asks what must leave now. To be read beside the design:
//!
//! * [`told`]: configurations and logs, in the oracle's own words
//! * [`days`]: days and periods (section 4)
//! * [`view`]: everything known at one moment (section 5), starting points, holds, floors
//! * [`keepers`]: the last purpose removes
//! * [`stages`]: stages in order, with full notice
//! * [`requests`]: requests, consent
//! * [`grounds`]: recall, leases, what deferred a command
//! * [`oracle`]: when it looks, what it sends, when it forgets
//!
//! and then [`core`], the real one; [`generate`], random cases; [`compare`]; hand-checked [`examples`]; and
//! [`laws`] that hold whatever the oracle says. One area alone: `cargo test --test oracle holds`; more cases:
//! `PROPTEST_CASES=20000`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod compare;
mod core;
mod days;
mod examples;
mod generate;
mod grounds;
mod keepers;
mod laws;
mod oracle;
mod requests;
mod stages;
mod told;
mod view;

use compare::difference;
use generate::{Area, EVERYTHING, PERIODS};
use proptest::test_runner::{Config, FileFailurePersistence, TestCaseError, TestError, TestRunner};
use told::Case;

/// Runs random cases of an area; a failing one is made as small as possible and shown.
pub fn check(area: Area, cases: u32, test: impl Fn(&Case) -> Result<(), String>) {
    let asked_for = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let config = Config {
        cases: asked_for.unwrap_or(cases),
        max_shrink_iters: 100_000,
        max_shrink_time: 15_000,
        source_file: Some(file!()),
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("failures"))),
        ..Config::default()
    };
    let run = |case: Case| test(&case).map_err(TestCaseError::fail);
    match TestRunner::new(config).run(&generate::case(area), run) {
        Ok(()) => {}
        Err(TestError::Fail(reason, _)) => panic!("{reason}"),
        Err(aborted) => panic!("{aborted}"),
    }
}

fn core_decides_what_the_oracle_does(area: Area, cases: u32) {
    check(area, cases, |case| {
        let found = core::Run::answered(case).decided();
        difference(case, &oracle::expected(case), &found).map_or(Ok(()), Err)
    });
}

#[test]
fn periods_and_keepers() {
    core_decides_what_the_oracle_does(Area { known_since: true, ..PERIODS }, 600);
}

#[test]
fn floors() {
    core_decides_what_the_oracle_does(Area { floors: true, ..PERIODS }, 400);
}

#[test]
fn holds() {
    core_decides_what_the_oracle_does(Area { holds: true, ..PERIODS }, 400);
}

#[test]
fn requests() {
    core_decides_what_the_oracle_does(Area { requests: true, floors: true, holds: true, ..PERIODS }, 400);
}

#[test]
fn consent_and_attributes() {
    let area = Area { consent: true, attributes: true, requests: true, ..PERIODS };
    core_decides_what_the_oracle_does(area, 400);
}

#[test]
fn answers() {
    core_decides_what_the_oracle_does(Area { answers: true, policies_max: 3, ..PERIODS }, 400);
}

#[test]
fn window() {
    core_decides_what_the_oracle_does(Area { window: true, answers: true, policies_max: 3, ..PERIODS }, 300);
}

#[test]
fn forgetting() {
    let area = Area { forgetting: true, requests: true, consent: true, ..PERIODS };
    core_decides_what_the_oracle_does(area, 400);
}

#[test]
fn everything_together() {
    core_decides_what_the_oracle_does(EVERYTHING, 600);
}

#[test]
fn everything_by_the_second() {
    core_decides_what_the_oracle_does(Area { by_second: true, ..EVERYTHING }, 400);
}
