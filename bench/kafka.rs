//! What Kafka lets through: a bare consumer, ingest, and end to end, in turns on one broker.

use crate::measure::{row, runs};
use anyhow::Context;
use lapsed::config::{Config, Environment, load};
use lapsed::ingest::status::IngestStatus;
use lapsed::ingest::worker::IngestWorker;
use lapsed::kafka::clients::{Clients, Isolation};
use lapsed::kafka::topics::{create, create_plain, look, wanted};
use lapsed::telemetry::metrics::Metrics;
use lapsed::track::status::TrackStatus;
use lapsed::track::worker::{Names, TrackWorker};
use rdkafka::consumer::Consumer;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer};
use rdkafka::{Offset, TopicPartitionList};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const PARTITIONS: usize = 4;
/// How often a customer is seen on the same day.
const REPEATED: usize = 40;
const PATIENCE: Duration = Duration::from_secs(300);

/// Compares on the broker at `bootstrap`, with this many events of about 300 bytes.
pub fn kafka(bootstrap: &str, events: usize) -> anyhow::Result<()> {
    let application = format!("bench-{}", now_ms());
    let source = format!("{application}.web");
    let customers = (events / REPEATED).max(1);
    fill(bootstrap, &source, events, customers)?;
    let (mut bare, mut ingest, mut whole, mut memory) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for run in runs() {
        bare.push(bare_consumer(bootstrap, &source, events)?);
        ingest.push(service(bootstrap, &format!("{application}-i{run}"), &source, events, customers, false)?);
        whole.push(service(bootstrap, &format!("{application}-e{run}"), &source, events, customers, true)?);
        memory.push(peak_memory_mib());
    }
    let ratios = |rates: &[f64]| rates.iter().zip(&bare).map(|(rate, bare)| rate / bare).collect::<Vec<f64>>();
    let (ingest_ratio, whole_ratio) = (ratios(&ingest), ratios(&whole));
    row("bare consumer", "records/s", bare);
    row(&format!("ingest, {REPEATED} a customer and day"), "records/s", ingest);
    row("  of the bare consumer", "ratio", ingest_ratio);
    row("end to end, until committed", "records/s", whole);
    row("  of the bare consumer", "ratio", whole_ratio);
    row("peak memory of this process", "MiB", memory);
    Ok(())
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn clients(bootstrap: &str) -> Clients {
    let properties = [("bootstrap.servers".to_owned(), bootstrap.to_owned())];
    Clients::new(properties.into_iter().collect(), "bench", "bench".to_owned())
}

/// Fills the source's topic: every customer again and again, all on one day.
fn fill(bootstrap: &str, topic: &str, events: usize, customers: usize) -> anyhow::Result<()> {
    let clients = clients(bootstrap);
    create_plain(&clients, &[topic], 1, u32::try_from(PARTITIONS)?)?;
    let producer = clients.producer(DefaultProducerContext)?;
    let at = now_ms() - 3_600_000;
    let padding = "x".repeat(180);
    for event in 0..events {
        let customer = (event * 7919) % customers;
        let payload = format!(
            "{{\"event\":\"login\",\"user\":\"6ba7b810-9dad-11d1-80b4-{customer:012}\",\"at\":{at},\"page\":\"{padding}\"}}"
        );
        let partition = i32::try_from(event % PARTITIONS)?;
        let mut record = BaseRecord::<(), str>::to(topic).payload(&payload).partition(partition);
        while let Err((error, again)) = producer.send(record) {
            anyhow::ensure!(error.to_string().contains("QueueFull") || error.to_string().contains("full"), "{error}");
            std::thread::sleep(Duration::from_millis(1));
            record = again;
        }
    }
    producer.flush(PATIENCE)?;
    Ok(())
}

fn bare_consumer(bootstrap: &str, topic: &str, events: usize) -> anyhow::Result<f64> {
    let consumer = clients(bootstrap).reader(Isolation::ReadCommitted, None)?;
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(topic, i32::try_from(partition)?, Offset::Beginning)?;
    }
    consumer.assign(&list)?;
    let (begun, mut read) = (Instant::now(), 0);
    while read < events {
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            message?;
            read += 1;
        }
        anyhow::ensure!(begun.elapsed() < PATIENCE, "the bare consumer read {read} of {events} records");
    }
    Ok(events as f64 / begun.elapsed().as_secs_f64())
}

fn configuration(bootstrap: &str, application: &str, source: &str) -> anyhow::Result<Config> {
    let text = format!(
        "application: {application}
time_zone: Europe/Amsterdam
kafka: {{bootstrap.servers: '{bootstrap}'}}
evidence: {{key: only for the benchmark}}
topics: {{partitions: 4, replication_factor: 1}}
sources:
  web:
    topics: [{source}]
    customer: /user
    time: /at
    history_from: beginning
    max_silence: P1D
    rules: [{{when: {{/event: login}}, activity: login}}]
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

/// Runs ingest, and track if `whole`, until everything is read and, if so, everyone is committed.
fn service(
    bootstrap: &str,
    application: &str,
    source: &str,
    events: usize,
    customers: usize,
    whole: bool,
) -> anyhow::Result<f64> {
    let config = Arc::new(configuration(bootstrap, application, source)?);
    let clients = clients(bootstrap);
    let crm = format!("{application}.crm");
    let needed = wanted(application, config.topics.partitions, 1, 86_400_000, &[]);
    create(&clients, &look(&clients, &needed)?)?;
    create_plain(&clients, &[&crm], 1, 1)?;
    let metrics = Arc::new(Metrics::new());
    let stop = Arc::new(AtomicBool::new(false));
    let track_status = Arc::new(TrackStatus::new(metrics.clone()));
    let ingest = IngestWorker::new(
        "bench",
        clients.clone(),
        config.clone(),
        Arc::new(IngestStatus::new(metrics.clone())),
        Arc::default(),
    )?;
    let begun = Instant::now();
    let mut workers = Vec::new();
    if whole {
        let names = Names::new(application, "bench");
        let track = TrackWorker::new(
            names,
            clients,
            config,
            track_status.clone(),
            Arc::default(),
            lapsed::track::questions::queue().1,
        )?;
        let stop = stop.clone();
        workers.push(std::thread::spawn(move || track.run(&stop).map_err(|error| error.to_string())));
    }
    let stopping = stop.clone();
    workers.push(std::thread::spawn(move || ingest.run(&stopping).map_err(|error| error.to_string())));
    let read = || metrics.records.with_label_values(&["web", "signals"]).get() as usize;
    let covered = || {
        track_status.observe_gauges(&metrics);
        metrics.customers.with_label_values(&["offers", "none"]).get() as usize
    };
    while read() < events || whole && covered() < customers {
        std::thread::sleep(Duration::from_millis(20));
        if workers.iter().any(std::thread::JoinHandle::is_finished) || begun.elapsed() > PATIENCE {
            break;
        }
    }
    let elapsed = begun.elapsed();
    let (read, covered) = (read(), covered());
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.join().map_err(|_| anyhow::anyhow!("a worker panicked"))?.map_err(anyhow::Error::msg)?;
    }
    anyhow::ensure!(read == events, "{read} of {events} records were read");
    anyhow::ensure!(!whole || covered == customers, "{covered} of {customers} customers arrived");
    Ok(events as f64 / elapsed.as_secs_f64())
}

fn peak_memory_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").context("only on Linux").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}
