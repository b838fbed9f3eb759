//! Benchmarks: `cargo run --release --bin bench -- merge memory restore`.
//!
//! Everything is measured three times, for the machine may be shared: the least, the median, the most.

#![allow(clippy::print_stdout, reason = "a benchmark is read in a terminal")]

#[path = "../src/allocator.rs"]
mod allocator;
mod kafka;
mod measure;
mod one;
mod shard;
mod workload;

use clap::{Parser, ValueEnum};

/// Measures lapsed. Figures mean something in a release build only.
#[derive(Parser)]
struct Arguments {
    /// What to measure; everything, if nothing is named.
    parts: Vec<Part>,
    /// How many customers a shard has.
    #[arg(long, default_value_t = 1_000_000)]
    customers: usize,
    /// Among how many some fall due.
    #[arg(long, value_delimiter = ',', default_value = "1000000,10000000")]
    among: Vec<usize>,
    /// Measure on this broker, too: a bare consumer, ingest, end to end.
    #[arg(long, value_name = "HOST:PORT")]
    kafka: Option<String>,
    /// How many events lie on the broker.
    #[arg(long, default_value_t = 10_000_000)]
    events: usize,
    /// What they are.
    #[arg(long, value_delimiter = ',', default_value = "repeated,distinct,mixed")]
    workloads: Vec<workload::Workload>,
    /// Where the broker keeps its logs, to tell what was written there.
    #[arg(long, value_name = "DIRECTORY")]
    logs: Option<std::path::PathBuf>,
    /// The Kafka Streams peer with all that it needs, to compare with.
    #[arg(long, value_name = "DIRECTORY")]
    streams: Option<std::path::PathBuf>,
    /// Share the work among 1, 2 and 4 instances, too.
    #[arg(long)]
    scaling: bool,
    /// One measurement on Kafka, in a process of its own.
    #[arg(long, hide = true, requires_all = ["kafka", "application", "source", "expected"])]
    one: Option<one::What>,
    #[arg(long, hide = true)]
    application: Option<String>,
    #[arg(long, hide = true)]
    source: Option<String>,
    #[arg(long, hide = true, default_value_t = 1)]
    instances: usize,
    #[arg(long, hide = true, default_value_t = 4)]
    partitions: usize,
    /// Events, customers, signals.
    #[arg(long, hide = true, value_delimiter = ',')]
    expected: Vec<usize>,
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
    /// Everyone due at once, and released.
    Backlog,
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
    if let (Some(what), Some(bootstrap), Some(application), Some(source), [events, customers, signals]) =
        (arguments.one, &arguments.kafka, &arguments.application, &arguments.source, arguments.expected.as_slice())
    {
        let expected = workload::Expected { events: *events, customers: *customers, signals: *signals };
        let (instances, partitions) = (arguments.instances, arguments.partitions);
        let one = one::One { what, bootstrap, application, source, expected, instances, partitions };
        let report = one::one(&one)?;
        println!("{}", serde_json::to_string(&report)?);
        return Ok(());
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
            Part::Firing => shard::firing(&arguments.among),
            Part::Backlog => shard::backlog(arguments.customers)?,
            Part::Reload => shard::reload(arguments.customers),
            Part::Forecast => shard::forecast(arguments.customers),
        }
    }
    if let Some(bootstrap) = arguments.kafka {
        kafka::kafka(&kafka::Stage {
            bootstrap,
            events: arguments.events,
            workloads: arguments.workloads,
            logs: arguments.logs,
            streams: arguments.streams,
            scaling: arguments.scaling,
        })?;
    }
    Ok(())
}
