//! What Kafka lets through: a bare consumer, ingest, end to end and the Kafka Streams peer, in turns on one
//! broker. Each runs in a process of its own, so that what it takes is its own.

use crate::measure::{row, runs};
use crate::one::{One, What, clients};
use crate::workload::Workload;
use anyhow::Context;
use lapsed::kafka::topics::create_plain;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

const PARTITIONS: usize = 4;
/// When instances share the work.
const PARTITIONS_SHARED: usize = 32;
const INSTANCES: [usize; 3] = [1, 2, 4];

/// Where and what to measure.
pub struct Stage {
    /// The broker.
    pub bootstrap: String,
    pub events: usize,
    pub workloads: Vec<Workload>,
    /// Where the broker keeps its logs.
    pub logs: Option<PathBuf>,
    /// The Kafka Streams peer and what it needs.
    pub streams: Option<PathBuf>,
    /// Whether to share the work among instances, too.
    pub scaling: bool,
}

/// What one process reports.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Report {
    pub records: f64,
    /// From the first record to the last.
    pub seconds: f64,
    /// In that time, by the whole process.
    pub cpu_seconds: f64,
    pub peak_mib: f64,
    /// Until the first record was read.
    pub begin_seconds: f64,
    pub commit_ms: f64,
    /// From an event's production until its customer's state is committed, where nothing else is going on.
    pub latency_ms: f64,
    pub broker_mib: f64,
}

/// Compares on the broker.
pub fn kafka(stage: &Stage) -> anyhow::Result<()> {
    for workload in &stage.workloads {
        compare(stage, *workload)?;
    }
    if stage.scaling { scale(stage) } else { Ok(()) }
}

/// The whole service, its work shared among instances. They share this machine's processors, too: it is what an
/// event costs that tells.
fn scale(stage: &Stage) -> anyhow::Result<()> {
    let workload = Workload::Repeated;
    let application = format!("bench-scaling-{}", now_ms());
    let source = format!("{application}.web");
    let clients = clients(&stage.bootstrap);
    create_plain(&clients, &[&source], 1, u32::try_from(PARTITIONS_SHARED)?)?;
    let expected = workload.fill(&clients, &source, PARTITIONS_SHARED, stage.events, now_ms())?;
    let mut reports: Vec<Vec<Report>> = vec![Vec::new(); INSTANCES.len()];
    for run in runs() {
        for (instances, reports) in INSTANCES.iter().zip(&mut reports) {
            let name = format!("{application}-{instances}-{run}");
            let one = One {
                what: What::Whole,
                bootstrap: &stage.bootstrap,
                application: &name,
                source: &source,
                expected,
                instances: *instances,
                partitions: PARTITIONS_SHARED,
            };
            let mut report = measure(stage, &one).with_context(|| format!("{instances} instances"))?;
            report.broker_mib = stage.logs.as_deref().map_or(0.0, |logs| mib_of(logs, &name));
            reports.push(report);
        }
    }
    for (instances, reports) in INSTANCES.iter().zip(&reports) {
        let each = |of: &dyn Fn(&Report) -> f64| reports.iter().map(of).collect::<Vec<f64>>();
        row(&format!("instances: {instances}"), "events/s", each(&|report| report.records / report.seconds));
        row("  processor time", "s per M events", each(&|report| report.cpu_seconds / report.records * 1e6));
        row("  peak memory of all", "MiB", each(&|report| report.peak_mib));
        row("  written to the broker's disk", "MiB", each(&|report| report.broker_mib));
        row("  a transaction, to its commit", "ms", each(&|report| report.commit_ms));
    }
    Ok(())
}

fn compare(stage: &Stage, workload: Workload) -> anyhow::Result<()> {
    let application = format!("bench-{}-{}", workload.name(), now_ms());
    let source = format!("{application}.web");
    let clients = clients(&stage.bootstrap);
    create_plain(&clients, &[&source], 1, u32::try_from(PARTITIONS)?)?;
    let expected = workload.fill(&clients, &source, PARTITIONS, stage.events, now_ms())?;
    let mut whats = vec![What::Bare, What::Ingest, What::Whole];
    // The peer knows of logins only.
    if stage.streams.is_some() && workload != Workload::Mixed {
        whats.extend([What::Rocksdb, What::Memory]);
    }
    let mut reports: Vec<Vec<Report>> = vec![Vec::new(); whats.len()];
    for run in runs() {
        for (what, reports) in whats.iter().zip(&mut reports) {
            let application = format!("{application}-{}-{run}", what.name());
            let one = One {
                what: *what,
                bootstrap: &stage.bootstrap,
                application: &application,
                source: &source,
                expected,
                instances: 1,
                partitions: PARTITIONS,
            };
            let mut report = measure(stage, &one).with_context(|| format!("{}, {}", workload.name(), what.name()))?;
            report.broker_mib = stage.logs.as_deref().map_or(0.0, |logs| mib_of(logs, &application));
            reports.push(report);
        }
    }
    tell(workload, &whats, &reports);
    Ok(())
}

fn tell(workload: Workload, whats: &[What], reports: &[Vec<Report>]) {
    let rate = |report: &Report| report.records / report.seconds;
    let bare: Vec<f64> = reports[0].iter().map(rate).collect();
    for (what, reports) in whats.iter().zip(reports) {
        let name = format!("{}, {}", workload.name(), what.title());
        let each = |of: &dyn Fn(&Report) -> f64| reports.iter().map(of).collect::<Vec<f64>>();
        row(&name, "events/s", each(&rate));
        if *what != What::Bare {
            let ratios = reports.iter().zip(&bare).map(|(report, bare)| rate(report) / bare).collect();
            row("  of the bare consumer", "ratio", ratios);
        }
        row("  processor time", "s per M events", each(&|report| report.cpu_seconds / report.records * 1e6));
        row("  peak memory of the process", "MiB", each(&|report| report.peak_mib));
        let optional = [
            ("  until the first record", "s", each(&|report| report.begin_seconds)),
            ("  written to the broker's disk", "MiB", each(&|report| report.broker_mib)),
            ("  a transaction, to its commit", "ms", each(&|report| report.commit_ms)),
            ("  from an event to committed state, idle", "ms", each(&|report| report.latency_ms)),
        ];
        for (name, unit, figures) in optional {
            if figures.iter().any(|figure| *figure > 0.0) {
                row(name, unit, figures);
            }
        }
    }
}

fn measure(stage: &Stage, one: &One<'_>) -> anyhow::Result<Report> {
    let One { what, bootstrap, application, source, expected, .. } = *one;
    let numbers = [expected.events, expected.customers, expected.signals, one.instances, one.partitions];
    let numbers = numbers.map(|number| number.to_string());
    let state = std::env::temp_dir().join(application);
    let mut command = match (what, &stage.streams) {
        (What::Rocksdb | What::Memory, Some(streams)) => {
            let target = format!("{application}.target");
            create_plain(&clients(bootstrap), &[&target], 1, 1)?;
            let (heap, store) = if what == What::Memory { ("-Xmx3g", "memory") } else { ("-Xmx1g", "rocksdb") };
            let mut command = Command::new("java");
            command.args([heap, "-XX:+UseParallelGC", "-cp"]).arg(streams.join("*")).arg("bench.LastSeen");
            command.args([bootstrap, application, source, &target, &numbers[0], &numbers[1], store]).arg(&state);
            command
        }
        _ => {
            let mut command = Command::new(std::env::current_exe()?);
            command.args(["--kafka", bootstrap, "--one", what.name(), "--application", application]);
            command.args(["--source", source, "--expected", &numbers[..3].join(",")]);
            command.args(["--instances", &numbers[3], "--partitions", &numbers[4]]);
            command
        }
    };
    let output = command.stderr(std::process::Stdio::inherit()).output()?;
    if state.exists() {
        std::fs::remove_dir_all(&state)?;
    }
    anyhow::ensure!(output.status.success(), "it failed: {}", output.status);
    let text = String::from_utf8(output.stdout)?;
    let line = text.lines().rfind(|line| line.starts_with('{')).context("it reported nothing")?;
    Ok(serde_json::from_str(line)?)
}

/// What the partitions of an application's topics take on disk.
fn mib_of(logs: &Path, application: &str) -> f64 {
    let Ok(partitions) = std::fs::read_dir(logs) else { return 0.0 };
    let is_ours = |entry: &std::fs::DirEntry| {
        entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.strip_prefix(application).is_some_and(|rest| rest.starts_with(['.', '-'])))
    };
    let segments = partitions.flatten().filter(is_ours).filter_map(|entry| std::fs::read_dir(entry.path()).ok());
    let is_log = |entry: &std::fs::DirEntry| entry.path().extension().is_some_and(|extension| extension == "log");
    let bytes = segments.flatten().flatten().filter(is_log).filter_map(|entry| entry.metadata().ok());
    bytes.map(|metadata| metadata.len() as f64).sum::<f64>() / (1 << 20) as f64
}

pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
