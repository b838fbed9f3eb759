//! The simulator: `cargo run --release --bin simulator -- --seeds 10000`; `-- --seed N` replays one.
//! See `docs/faults.md`.

#![allow(clippy::print_stdout, reason = "its output is read in a terminal")]

use clap::Parser;
use lapsed::simulated::world::{Outcome, run};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Runs the real ingest and shards over brokers in memory, with faults that a seed decides, and holds what
/// leaves against the truth.
#[derive(Parser)]
struct Arguments {
    /// Replay one seed, and tell what happened.
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// How many seeds to run.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Threads to run them on.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Plant a known mistake (built with `--features plant`), to see that it is found.
    #[arg(long)]
    plant: Option<String>,
}

fn main() -> ExitCode {
    match simulate() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn simulate() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let plant = planted(arguments.plant.as_deref())?;
    match arguments.seed {
        Some(seed) => {
            plant.plant();
            let outcome = run(seed, true);
            outcome.lines.iter().for_each(|line| println!("{line}"));
            match outcome.violation {
                Some(violation) => anyhow::bail!("seed {seed}: {violation}"),
                None => println!("seed {seed}: {} commands, {} deaths, all well", outcome.commands, outcome.deaths),
            }
        }
        None => run_many(&arguments, plant)?,
    }
    Ok(())
}

fn run_many(arguments: &Arguments, plant: Planted) -> anyhow::Result<()> {
    let next = AtomicU64::new(arguments.from);
    let until = arguments.from + arguments.seeds;
    let failed: Mutex<Vec<Outcome>> = Mutex::default();
    let totals = Mutex::new((0_u64, 0_u64, 0_u64));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads {
            scope.spawn(|| {
                plant.plant();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= until {
                        return;
                    }
                    let outcome = run(seed, false);
                    let mut totals = totals.lock().unwrap_or_else(PoisonError::into_inner);
                    totals.0 += 1;
                    totals.1 += outcome.commands as u64;
                    totals.2 += outcome.deaths as u64;
                    if let Some(violation) = &outcome.violation {
                        println!("seed {seed}: {violation}");
                        failed.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
                    }
                }
            });
        }
        let mut told = Instant::now();
        loop {
            std::thread::sleep(Duration::from_millis(100));
            let done = totals.lock().unwrap_or_else(PoisonError::into_inner).0;
            if done == arguments.seeds {
                return;
            }
            if told.elapsed() > Duration::from_secs(10) {
                told = Instant::now();
                println!("{done} of {} seeds, {} seconds", arguments.seeds, begun.elapsed().as_secs());
            }
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (seeds, commands, deaths) = totals.into_inner().unwrap_or_else(PoisonError::into_inner);
    let seconds = begun.elapsed().as_secs_f64();
    println!("{seeds} seeds in {seconds:.1} seconds: {commands} commands, {deaths} deaths, {} failed", failed.len());
    anyhow::ensure!(failed.is_empty(), "replay one with --seed N");
    Ok(())
}

#[cfg(feature = "plant")]
#[derive(Clone, Copy)]
struct Planted(Option<lapsed::plant::Plant>);

#[cfg(feature = "plant")]
impl Planted {
    fn plant(self) {
        lapsed::plant::plant(self.0);
    }
}

#[cfg(feature = "plant")]
fn planted(name: Option<&str>) -> anyhow::Result<Planted> {
    use anyhow::Context;
    use lapsed::plant::Plant;
    let Some(name) = name else { return Ok(Planted(None)) };
    let names: Vec<&str> = Plant::ALL.iter().map(|plant| plant.name()).collect();
    let found = Plant::ALL.into_iter().find(|plant| plant.name() == name);
    Ok(Planted(Some(found.with_context(|| format!("no such mistake; there are {}", names.join(", ")))?)))
}

#[cfg(not(feature = "plant"))]
#[derive(Clone, Copy)]
struct Planted;

#[cfg(not(feature = "plant"))]
impl Planted {
    fn plant(self) {}
}

#[cfg(not(feature = "plant"))]
fn planted(name: Option<&str>) -> anyhow::Result<Planted> {
    anyhow::ensure!(name.is_none(), "build with --features plant to plant a mistake");
    Ok(Planted)
}
