//! One measurement on Kafka, in a process of its own.

use crate::kafka::{Report, now_ms};
use crate::measure::process_bytes;
use crate::workload::{Expected, write_login};
use anyhow::Context;
use clap::ValueEnum;
use lapsed::config::{Config, Environment, load};
use lapsed::ingest::status::IngestStatus;
use lapsed::ingest::worker::IngestWorker;
use lapsed::kafka::clients::{Clients, Isolation};
use lapsed::kafka::inbox::Inbox;
use lapsed::kafka::topics::{create, create_plain, look, wanted};
use lapsed::telemetry::metrics::Metrics;
use lapsed::track::status::{ShardState, TrackStatus};
use lapsed::track::worker::{Names, TrackWorker};
use rdkafka::consumer::Consumer;
use rdkafka::producer::{BaseRecord, DefaultProducerContext};
use rdkafka::{Offset, TopicPartitionList};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(600);
/// How many events are timed one by one.
const SINGLE_EVENTS: usize = 10;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// librdkafka's batch call and nothing else: the limit.
    Bare,
    Ingest,
    Whole,
    /// Kafka Streams.
    Rocksdb,
    Memory,
}

impl What {
    pub fn name(self) -> &'static str {
        match self {
            What::Bare => "bare",
            What::Ingest => "ingest",
            What::Whole => "whole",
            What::Rocksdb => "rocksdb",
            What::Memory => "memory",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            What::Bare => "bare consumer",
            What::Ingest => "ingest",
            What::Whole => "end to end, until committed",
            What::Rocksdb => "Kafka Streams, RocksDB",
            What::Memory => "Kafka Streams, in memory",
        }
    }
}

pub fn clients(bootstrap: &str) -> Clients {
    let properties = [("bootstrap.servers".to_owned(), bootstrap.to_owned())];
    Clients::new(properties.into_iter().collect(), "bench", "bench".to_owned())
}

/// What one process does.
pub struct One<'o> {
    pub what: What,
    pub bootstrap: &'o str,
    pub application: &'o str,
    pub source: &'o str,
    pub expected: Expected,
    /// How many instances share the work, in this one process.
    pub instances: usize,
    /// Of the source's topic, and of `signals`.
    pub partitions: usize,
}

/// Measures, and checks that what came out is right.
pub fn one(one: &One<'_>) -> anyhow::Result<Report> {
    let expected = one.expected;
    let mut report = match one.what {
        What::Bare => bare(one.bootstrap, one.source, one.partitions, expected.events)?,
        _ => service(one)?,
    };
    report.records = expected.events as f64;
    report.peak_mib = process_bytes("VmHWM:")? as f64 / f64::from(1 << 20);
    Ok(report)
}

/// From the first record on.
#[derive(Clone, Copy)]
struct Clock {
    at: Instant,
    cpu_seconds: f64,
}

impl Clock {
    fn begin() -> Clock {
        Clock { at: Instant::now(), cpu_seconds: cpu_seconds() }
    }

    fn stop(&self) -> Report {
        let (seconds, cpu_seconds) = (self.at.elapsed().as_secs_f64(), cpu_seconds() - self.cpu_seconds);
        Report { seconds, cpu_seconds, ..Report::default() }
    }
}

fn bare(bootstrap: &str, topic: &str, partitions: usize, events: usize) -> anyhow::Result<Report> {
    let consumer = Arc::new(clients(bootstrap).reader(Isolation::ReadCommitted, None)?);
    let inbox = Inbox::new(consumer.clone());
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset(topic, i32::try_from(partition)?, Offset::Beginning)?;
        inbox.take_in(topic, u32::try_from(partition)?);
    }
    consumer.assign(&list)?;
    let (begun, mut clock, mut read, mut bytes) = (Instant::now(), None, 0, 0);
    while read < events {
        if let Some(message) = consumer.poll(Duration::ZERO) {
            message?;
        }
        for received in inbox.receive(2_000, Duration::from_millis(100)) {
            bytes += received.record()?.payload().map_or(0, <[u8]>::len);
            clock.get_or_insert_with(Clock::begin);
            read += 1;
        }
        anyhow::ensure!(begun.elapsed() < PATIENCE, "the bare consumer read {read} of {events} records");
    }
    let report = clock.context("there was nothing to read")?.stop();
    anyhow::ensure!(read == events && bytes / read >= 100, "{read} records of {bytes} bytes were read");
    Ok(report)
}

fn configuration(one: &One<'_>) -> anyhow::Result<Config> {
    let One { bootstrap, application, source, partitions, .. } = one;
    let text = format!(
        "application: {application}
time_zone: UTC
kafka: {{bootstrap.servers: '{bootstrap}'}}
evidence: {{key: only for the benchmark}}
topics: {{partitions: {partitions}, replication_factor: 1}}
sources:
  web:
    topics: [{source}, {application}.single]
    customer: /user
    time: /at
    history_from: beginning
    max_silence: P1D
    rules:
      - {{when: {{/event: login}}, activity: login}}
      - {{when: {{/event: preference}}, consent: {{newsletter: /newsletter}}}}
      - {{when: {{/event: segment}}, attribute: {{segment: /segment}}}}
      - {{when: {{/event: case_opened}}, hold: {{id: /case, reason: /reason}}}}
      - {{when: {{/event: case_closed}}, unhold: {{id: /case}}}}
targets: {{crm: {{topic: {application}.crm, acknowledge_within: P3D}}}}
policies:
  offers:
    purpose: {{en: Relevant offers until two years after your last visit}}
    lawful_basis: contract
    categories: [email]
    since_last: [login]
    stages: [{{after: P2Y, command: anonymise}}]
    targets: [crm]
    mode: enforce
    review_by: 2099-01-01
"
    );
    let files = [("bench".to_owned(), text)];
    Ok(load::from_texts(&files, Environment::Resolve, chrono::NaiveDate::default())?.config)
}

/// An instance in this process.
struct Instance {
    metrics: Arc<Metrics>,
    track: Arc<TrackStatus>,
}

impl Instance {
    fn records(&self, outcome: &str) -> usize {
        self.metrics.records.with_label_values(&["web", outcome]).get() as usize
    }

    /// How many of its shards are restored.
    fn running(&self) -> usize {
        self.track.shards().values().filter(|state| matches!(state, ShardState::Running)).count()
    }

    fn covered(&self) -> usize {
        self.track.observe_gauges(&self.metrics);
        self.metrics.customers.with_label_values(&["offers", "none"]).get() as usize
    }
}

type Worker = std::thread::JoinHandle<Result<(), String>>;

/// What instances run with.
struct Common<'o> {
    one: &'o One<'o>,
    clients: Clients,
    config: Arc<Config>,
    stop: Arc<AtomicBool>,
}

impl Common<'_> {
    fn begin_track(&self, name: &str) -> anyhow::Result<(Instance, Worker)> {
        let metrics = Arc::new(Metrics::new());
        let track = Arc::new(TrackStatus::new(metrics.clone()));
        let names = Names::new(self.one.application, name);
        let questions = lapsed::track::questions::queue().1;
        let (clients, config) = (self.clients.clone(), self.config.clone());
        let worker = TrackWorker::new(names, clients, config, track.clone(), Arc::default(), questions)?;
        let stop = self.stop.clone();
        let worker = std::thread::spawn(move || worker.run(&stop).map_err(|error| error.to_string()));
        Ok((Instance { metrics, track }, worker))
    }

    fn begin_ingest(&self, name: &str, instance: &Instance) -> anyhow::Result<Worker> {
        let status = Arc::new(IngestStatus::new(instance.metrics.clone()));
        let worker = IngestWorker::new(name, self.clients.clone(), self.config.clone(), status, Arc::default())?;
        let stop = self.stop.clone();
        Ok(std::thread::spawn(move || worker.run(&stop).map_err(|error| error.to_string())))
    }
}

/// Ingest, or all of it, until everything is read and, if so, everyone is committed.
fn service(one: &One<'_>) -> anyhow::Result<Report> {
    let (expected, whole, application) = (one.expected, one.what == What::Whole, one.application);
    let config = Arc::new(configuration(one)?);
    let clients = clients(one.bootstrap);
    let crm = format!("{application}.crm");
    let needed = wanted(application, config.topics.partitions, 1, 86_400_000, &[]);
    create(&clients, &look(&clients, &needed)?)?;
    // Others read the source, too: what is timed one by one must not get in their way.
    let single = format!("{application}.single");
    create_plain(&clients, &[&crm, &single], 1, 1)?;
    let common = Common { one, clients: clients.clone(), config, stop: Arc::default() };
    let (mut instances, mut workers) = (Vec::new(), Vec::new());
    for instance in 0..one.instances {
        if whole {
            let (instance, worker) = common.begin_track(&format!("bench-{instance}"))?;
            instances.push(instance);
            workers.push(worker);
        } else {
            let metrics = Arc::new(Metrics::new());
            instances.push(Instance { track: Arc::new(TrackStatus::new(metrics.clone())), metrics });
        }
    }
    // To join a group takes seconds. What is measured begins when everyone can work.
    let joining = Instant::now();
    while whole && instances.iter().map(Instance::running).sum::<usize>() < one.partitions {
        anyhow::ensure!(joining.elapsed() < PATIENCE, "the shards were not restored");
        std::thread::sleep(Duration::from_millis(10));
    }
    let begun = Instant::now();
    let at_first = Clock::begin();
    for (number, instance) in instances.iter().enumerate() {
        workers.push(common.begin_ingest(&format!("bench-{number}"), instance)?);
    }
    let records = |outcome: &str| instances.iter().map(|instance| instance.records(outcome)).sum::<usize>();
    let read = || records("signals") + records("ignored") + records("skipped") + records("rejected");
    let covered = || instances.iter().map(Instance::covered).sum::<usize>();
    let works = || !workers.iter().any(std::thread::JoinHandle::is_finished) && begun.elapsed() < PATIENCE;
    // What ingest has read it tells twice a second: its figures are right at that moment.
    let await_read = |count: usize| {
        while read() < count && works() {
            std::thread::sleep(Duration::from_millis(1));
        }
        (Clock::begin(), read())
    };
    let (first, before) = await_read(1);
    let begin_seconds = begun.elapsed().as_secs_f64();
    let (mut last, mut at) = (Clock::begin(), before);
    let mut second = None;
    while at < expected.events && works() {
        let (clock, now) = await_read(at + 1);
        second.get_or_insert((clock, now));
        // The last one waits for its turn with nothing left to read.
        if now < expected.events || before == at {
            (last, at) = (clock, now);
        } else {
            break;
        }
    }
    let share = |counted: usize| expected.events as f64 / counted.max(1) as f64;
    let mut report = if whole {
        while covered() < expected.customers && works() {
            std::thread::sleep(Duration::from_millis(10));
        }
        let until_first = (first.at - at_first.at).as_secs_f64();
        // Before it was told what had been read, it was read as fast as until it was told next.
        let before_seconds = second.map_or(until_first, |(clock, now)| {
            before as f64 * (clock.at - first.at).as_secs_f64() / (now - before) as f64
        });
        let seconds = first.at.elapsed().as_secs_f64() + before_seconds.min(until_first);
        Report { seconds, ..at_first.stop() }
    } else {
        let seconds = (last.at - first.at).as_secs_f64();
        let report = Report { seconds, cpu_seconds: last.cpu_seconds - first.cpu_seconds, ..Report::default() };
        scaled(report, share(at - before))
    };
    report.begin_seconds = begin_seconds;
    if whole {
        let transactions = || instances.iter().map(|instance| &instance.metrics.transaction_seconds);
        let seconds: f64 = transactions().map(|all| all.get_sample_sum()).sum();
        report.commit_ms = 1e3 * seconds / transactions().map(|all| all.get_sample_count()).sum::<u64>().max(1) as f64;
        report.latency_ms = latency_ms(&clients, &single, expected.customers, covered, works)?;
    }
    common.stop.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.join().map_err(|_| anyhow::anyhow!("a worker panicked"))?.map_err(anyhow::Error::msg)?;
    }
    let forwarded = instances.iter().map(|instance| instance.metrics.signals_produced.get() as usize).sum::<usize>();
    let read = read();
    let singles = if whole { SINGLE_EVENTS } else { 0 };
    let all = expected.events + singles;
    // Whoever takes over a partition reads again what was not committed yet.
    anyhow::ensure!(read == all || one.instances > 1 && read > all, "{read} of {all} records were read");
    anyhow::ensure!(records("rejected") == 0, "records were rejected");
    // A later day may be read first, from another partition; then the earlier one is no news. At times an entry has to
    // make room, and is forwarded again; and each instance remembers what it has forwarded itself.
    let (least, most) = (expected.customers, expected.signals * 11 / 10 * one.instances + singles);
    anyhow::ensure!((least..=most).contains(&forwarded), "{forwarded} signals were forwarded, not {least} to {most}");
    Ok(report)
}

/// What a part of the work took, for all of it.
fn scaled(report: Report, by: f64) -> Report {
    Report { seconds: report.seconds * by, cpu_seconds: report.cpu_seconds * by, ..report }
}

/// The median of some new customers' first events, one by one.
fn latency_ms(
    clients: &Clients,
    topic: &str,
    customers: usize,
    covered: impl Fn() -> usize,
    works: impl Fn() -> bool,
) -> anyhow::Result<f64> {
    let producer = clients.producer(DefaultProducerContext)?;
    let mut random = fastrand::Rng::with_seed(8);
    let mut times = Vec::new();
    anyhow::ensure!(covered() == customers, "{} of {customers} customers arrived", covered());
    for single in 1..=SINGLE_EVENTS {
        std::thread::sleep(Duration::from_millis(300 + 37 * single as u64));
        let mut payload = String::new();
        write_login(&mut payload, &mut random, usize::MAX - single, now_ms() - 1000)?;
        let begun = Instant::now();
        let record = BaseRecord::<(), str>::to(topic).payload(&payload).partition(0);
        producer.send(record).map_err(|(error, _)| error)?;
        while covered() < customers + single && works() {
            std::thread::sleep(Duration::from_millis(1));
        }
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    anyhow::ensure!(covered() == customers + SINGLE_EVENTS, "single events did not arrive");
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

/// Of this process, by user and kernel; Linux counts it in hundredths.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}
