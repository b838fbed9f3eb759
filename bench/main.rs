//! Benchmarks: `cargo run --release --bin bench -- merge memory restore`.
//!
//! Everything is measured three times, for the machine may be shared: the least, the median, the most.

#![allow(clippy::print_stdout, reason = "a benchmark is read in a terminal")]

mod kafka;
mod measure;
mod shard;

use clap::{Parser, ValueEnum};

/// Measures lapsed. Figures mean something in a release build only.
#[derive(Parser)]
struct Arguments {
    /// What to measure; everything, if nothing is named.
    parts: Vec<Part>,
    /// How many customers a shard has.
    #[arg(long, default_value_t = 1_000_000)]
    customers: usize,
    /// Measure on this broker, too: a bare consumer, ingest, end to end.
    #[arg(long, value_name = "HOST:PORT")]
    kafka: Option<String>,
    /// How many events lie on the broker.
    #[arg(long, default_value_t = 2_000_000)]
    events: usize,
    /// One measurement of memory, in a process of its own.
    #[arg(long, hide = true)]
    memory_of: Option<shard::Ids>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Signals into one shard on one thread, changelog written.
    Merge,
    /// Bytes a customer, everything counted.
    Memory,
    /// From the changelog to a shard that decides.
    Restore,
    /// Few who are due among many who aren't.
    Firing,
    /// Every customer judged under a new version of a policy.
    Reload,
    /// What falls due per day for a year ahead.
    Forecast,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let Some(ids) = arguments.memory_of {
        return shard::memory_of(ids, arguments.customers);
    }
    let all = Part::value_variants();
    let only_kafka = arguments.kafka.is_some() && arguments.parts.is_empty();
    let parts = if only_kafka {
        &[]
    } else if arguments.parts.is_empty() {
        all
    } else {
        &arguments.parts
    };
    measure::heading();
    for part in parts {
        match part {
            Part::Merge => shard::merge(arguments.customers),
            Part::Memory => shard::memory(arguments.customers)?,
            Part::Restore => shard::restore(arguments.customers),
            Part::Firing => shard::firing(arguments.customers),
            Part::Reload => shard::reload(arguments.customers),
            Part::Forecast => shard::forecast(arguments.customers),
        }
    }
    if let Some(bootstrap) = &arguments.kafka {
        kafka::kafka(bootstrap, arguments.events)?;
    }
    Ok(())
}
