//! The service on Apache Kafka while something goes wrong: nobody is lost, nobody is told twice or too early.
//!
//! A short set runs with every `cargo test`. The whole matrix, and a long run under random kills:
//!
//!     cargo test --test kafka_faults -- --ignored --nocapture whole_matrix
//!     LAPSED_MINUTES=60 cargo test --test kafka_faults -- --ignored --nocapture long_run
//!     LAPSED_ROUNDS=10 cargo test --test kafka_faults -- --ignored --nocapture rolling_restarts
//!
//! `LAPSED_FAULTS=part of a name` picks lines of the matrix.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "a run tells what it did")]

mod faults;
mod long_run;
mod refusals;
mod rolling;
#[path = "../support/mod.rs"]
mod support;
mod trial;

use faults::{LINES, Line, SHORT, apis, on_a_cluster, on_one_broker};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use trial::Verdict;

/// A line of the table.
fn row(fault: &str, done: &str, verdict: Option<&Verdict>) -> String {
    match verdict {
        Some(Verdict { customers, commands, lost, twice, early }) => {
            let passed = verdict.is_some_and(Verdict::is_clean);
            let passed = if passed { "yes" } else { "**no**" };
            format!("| {fault} | {done} | {customers} | {commands} | {lost} | {twice} | {early} | {passed} |")
        }
        None => format!("| {fault} | {done} | | | | | | **no** |"),
    }
}

/// What came of it; `None`: what must hold meanwhile did not.
fn tried(test: impl FnOnce() -> Verdict) -> Option<Verdict> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(test)).ok()
}

fn play(line: &Line) -> Option<Verdict> {
    let begun = Instant::now();
    let verdict = tried(|| on_one_broker(line.setting, line.test));
    println!("{}", row(line.fault, line.done, verdict.as_ref()));
    println!("    {} s", begun.elapsed().as_secs());
    verdict
}

/// The broker's second listener knows of one proxy, so whoever puts one there is alone.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_yours() -> bool {
    let yours = support::broker::broker().proxy.is_empty();
    if yours {
        println!("a broker of yours has no listener behind the proxy: not tried");
    }
    yours
}

#[test]
fn the_worst_leave_nobody_out() {
    if is_yours() {
        return;
    }
    for fault in SHORT {
        let line = LINES.iter().find(|line| line.fault == fault).unwrap();
        let verdict = play(line);
        assert!(verdict.as_ref().is_some_and(Verdict::is_clean), "{fault}: {verdict:?}");
    }
}

#[test]
#[ignore = "takes most of an hour"]
fn whole_matrix() {
    if is_yours() {
        return;
    }
    let picked = std::env::var("LAPSED_FAULTS").unwrap_or_default();
    let is_picked = |fault: &str| fault.contains(&picked);
    let mut rows: Vec<(String, bool)> = Vec::new();
    let mut add = |fault: &str, done: &str, verdict: Option<&Verdict>| {
        rows.push((row(fault, done, verdict), verdict.is_some_and(Verdict::is_clean)));
    };
    for line in LINES.iter().filter(|line| is_picked(line.fault)) {
        add(line.fault, line.done, play(line).as_ref());
    }
    for api in apis(&is_picked) {
        let (fault, done) = (api.fault(), api.done());
        let verdict = tried(|| api.play());
        println!("{}", row(&fault, done, verdict.as_ref()));
        add(&fault, done, verdict.as_ref());
    }
    if is_picked("coordinator moved") || is_picked("broker bounced") {
        for (fault, done, verdict) in on_a_cluster() {
            println!("{}", row(fault, done, verdict.as_ref()));
            add(fault, done, verdict.as_ref());
        }
    }
    println!("\n| fault | what was done | customers | commands | lost | twice | early | pass |");
    println!("| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |");
    rows.iter().for_each(|(row, _)| println!("{row}"));
    let failed = rows.iter().filter(|(_, passed)| !passed).count();
    assert_eq!(failed, 0, "{failed} of {} lines failed", rows.len());
}
