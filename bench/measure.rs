//! Three runs of everything, and what a process takes.

use anyhow::Context;
use std::time::{Duration, Instant};

const RUNS: usize = 3;

/// The head of the table that follows.
pub fn heading() {
    println!("| what | unit | least | median | most |\n| --- | --- | ---: | ---: | ---: |");
}

/// Runs something three times; it returns how much it did in what time.
pub fn rate(what: &str, unit: &str, mut run: impl FnMut() -> (usize, Duration)) {
    let runs = (0..RUNS).map(|_| {
        let (count, time) = run();
        count as f64 / time.as_secs_f64()
    });
    row(what, unit, runs.collect());
}

/// One line of the table.
pub fn row(what: &str, unit: &str, mut runs: Vec<f64>) {
    runs.sort_by(f64::total_cmp);
    let text = |value: f64| match value {
        value if value >= 1e6 => format!("{:.2} M", value / 1e6),
        value if value >= 1e4 => format!("{:.0} k", value / 1e3),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    };
    let (least, median, most) = (runs[0], runs[runs.len() / 2], runs[runs.len() - 1]);
    println!("| {what} | {unit} | {} | {} | {} |", text(least), text(median), text(most));
}

/// How often something is run.
pub fn runs() -> std::ops::Range<usize> {
    0..RUNS
}

/// How long something takes.
pub fn timed<T>(run: impl FnOnce() -> T) -> (T, Duration) {
    let begin = Instant::now();
    let result = run();
    (result, begin.elapsed())
}

/// What Linux tells of this process's memory under that name (`VmRSS:`, `VmHWM:`), in bytes.
pub fn process_bytes(name: &str) -> anyhow::Result<usize> {
    let status = std::fs::read_to_string("/proc/self/status").context("memory is measured on Linux")?;
    let line = status.lines().find(|line| line.starts_with(name)).context("memory is told under another name")?;
    let kilobytes: usize = line.split_whitespace().nth(1).context("it tells no number")?.parse()?;
    Ok(kilobytes * 1024)
}
