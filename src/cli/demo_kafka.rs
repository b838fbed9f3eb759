//! `lapsed demo --kafka`: the same on a real broker, with periods of seconds.

use super::demo::DemoArgs;
use crate::config::{Config, Environment, load};
use crate::ingest::status::IngestStatus;
use crate::ingest::worker::IngestWorker;
use crate::kafka::clients::{Clients, Isolation};
use crate::kafka::polled::PolledProducer;
use crate::kafka::topics::{Owner, create_plain, look};
use crate::telemetry::metrics::Metrics;
use crate::track::questions::queue;
use crate::track::status::TrackStatus;
use crate::track::worker::{Names, TrackWorker};
use anyhow::Context;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DefaultProducerContext};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const CUSTOMERS: usize = 30;
/// A customer who is gone is warned after this, and removed after twice this.
const PERIOD_SECONDS: u64 = 10;

pub(super) fn demo_on_kafka(bootstrap: &str, args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let config = Arc::new(configuration(bootstrap)?);
    let clients = Clients::new(config.kafka.clone(), &config.application, config.application.clone());
    prepare_topics(&clients, &config)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "On {bootstrap}, topics {}.*: {CUSTOMERS} customers.", config.application)?;
    writeln!(out, "Who is gone for {PERIOD_SECONDS} s is warned, and {PERIOD_SECONDS} s later removed.\n")?;
    let stop = Arc::new(AtomicBool::new(false));
    let workers = start(&clients, &config, &stop)?;
    let outcome = play(&clients, &config, args, &workers, &mut out);
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        if let Ok(Err(error)) = worker.join() {
            writeln!(out, "{error}")?;
        }
    }
    outcome
}

fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn configuration(bootstrap: &str) -> anyhow::Result<Config> {
    let application = format!("lapsed-demo-{}", wall_ms() / 1000);
    let text = format!(
        "application: {application}
time_zone: UTC
short_periods: true
max_gate_lag: PT20S
brake: {{per_day: 100%, at_least: 1000}}
kafka: {{bootstrap.servers: '{bootstrap}'}}
evidence: {{key: only for the demo on a broker}}
topics: {{partitions: 4, replication_factor: 1}}
sources:
  web:
    topics: [{application}.web]
    customer: /user
    time: /at
    history_from: beginning
    allowed_lateness: PT2S
    max_silence: PT1M
    rules: [{{when: {{/event: login}}, activity: login}}]
targets:
  crm: {{topic: {application}.crm, acknowledge_within: PT30S}}
  mailing: {{topic: {application}.mailing, acknowledge_within: PT30S}}
policies:
  offers:
    purpose: {{en: Relevant offers until some seconds after your last visit}}
    lawful_basis: contract
    categories: [email, name]
    since_last: [login]
    stages:
      - {{after: PT{PERIOD_SECONDS}S, command: warn, targets: [mailing]}}
      - {{after: PT{twice}S, command: anonymise}}
    targets: [crm, mailing]
    mode: enforce
    review_by: 2099-01-01
",
        twice = 2 * PERIOD_SECONDS
    );
    let today = chrono::NaiveDate::default();
    Ok(load::from_texts(&[("demo".to_owned(), text)], Environment::Resolve, today)?.config)
}

fn prepare_topics(clients: &Clients, config: &Config) -> anyhow::Result<()> {
    let needed = super::topics::needed(config);
    let found = look(clients, &needed)?;
    crate::kafka::topics::create(clients, &found)?;
    let others: Vec<&str> =
        needed.iter().filter(|topic| topic.owner != Owner::Ours).map(|topic| topic.name.as_str()).collect();
    create_plain(clients, &others, 1, 1)?;
    Ok(())
}

type Worker = JoinHandle<Result<(), String>>;

fn start(clients: &Clients, config: &Arc<Config>, stop: &Arc<AtomicBool>) -> anyhow::Result<Vec<Worker>> {
    let metrics = Arc::new(Metrics::new());
    let names = Names::new(&config.application, "demo");
    let status = Arc::new(TrackStatus::new(metrics.clone()));
    let track = TrackWorker::new(names, clients.clone(), config.clone(), status, Arc::default(), queue().1)?;
    let status = Arc::new(IngestStatus::new(metrics));
    let ingest = IngestWorker::new("demo", clients.clone(), config.clone(), status, Arc::default())?;
    let (stop_track, stop_ingest) = (stop.clone(), stop.clone());
    Ok(vec![
        thread::spawn(move || track.run(&stop_track).map_err(|error| error.to_string())),
        thread::spawn(move || ingest.run(&stop_ingest).map_err(|error| error.to_string())),
    ])
}

/// Customers visit and stay away; targets read, obey and answer; every command is shown.
fn play(
    clients: &Clients,
    config: &Config,
    args: &DemoArgs,
    workers: &[Worker],
    out: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    let producer = clients.producer(DefaultProducerContext)?;
    let commands = commands_from_now(clients, config)?;
    let mut random = fastrand::Rng::with_seed(args.seed);
    let mut last_seen = HashMap::<String, i64>::new();
    let (mut sent, mut early) = (0_u64, 0_u64);
    let begun = Instant::now();
    let mut next_visits = Instant::now();
    while begun.elapsed() < Duration::from_secs(args.seconds.max(1)) {
        if workers.iter().any(JoinHandle::is_finished) {
            break;
        }
        if Instant::now() >= next_visits {
            next_visits += Duration::from_millis(500);
            visit(&producer, config, &mut random, &mut last_seen)?;
        }
        let Some(message) = commands.poll(Duration::from_millis(50)) else { continue };
        let Ok(message) = message else { continue };
        let command: Value = serde_json::from_slice(message.payload().unwrap_or_default())?;
        sent += 1;
        early += u64::from(is_early(&command, &last_seen));
        show(&command, begun.elapsed(), out)?;
        acknowledge(&producer, config, &command)?;
    }
    writeln!(out, "\n{sent} commands, {early} early. The topics stay: delete {}.* when you like.", config.application)?;
    Ok(if sent > 0 && early == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Some come every few seconds, some seldom, some not again; one always, for a feed that says nothing can't
/// be told from one that broke.
fn visit(
    producer: &PolledProducer<DefaultProducerContext>,
    config: &Config,
    random: &mut fastrand::Rng,
    last_seen: &mut HashMap<String, i64>,
) -> anyhow::Result<()> {
    let topic = format!("{}.web", config.application);
    for customer in 0..CUSTOMERS {
        let comes = match customer {
            0 => true,
            1..10 => random.u8(0..100) < 20,
            10..20 => random.u8(0..100) < 3,
            _ => !last_seen.contains_key(&customer.to_string()),
        };
        if comes {
            let at = wall_ms();
            last_seen.insert(customer.to_string(), at);
            let payload = json!({"event": "login", "user": customer.to_string(), "at": at}).to_string();
            let record = BaseRecord::<(), str, ()>::to(&topic).payload(&payload);
            producer.send(record).map_err(|(error, _)| error).context("a visit could not be reported")?;
        }
    }
    Ok(())
}

fn is_early(command: &Value, last_seen: &HashMap<String, i64>) -> bool {
    let period_ms = i64::try_from(2 * PERIOD_SECONDS * 1000).unwrap_or(i64::MAX);
    let data = &command["data"];
    let seen = data["customer"].as_str().and_then(|customer| last_seen.get(customer)).copied();
    let sent = command["time"].as_str().and_then(|time| chrono::DateTime::parse_from_rfc3339(time).ok());
    let Some((seen, sent)) = seen.zip(sent) else { return false };
    data["command"] == "anonymise" && seen < sent.timestamp_millis() && sent.timestamp_millis() - seen < period_ms
}

fn commands_from_now(clients: &Clients, config: &Config) -> anyhow::Result<BaseConsumer> {
    let consumer = clients.reader(Isolation::ReadCommitted, None)?;
    let mut list = TopicPartitionList::new();
    for target in &config.rules.targets {
        list.add_partition_offset(&target.topic, 0, Offset::Beginning)?;
    }
    consumer.assign(&list)?;
    Ok(consumer)
}

fn show(command: &Value, elapsed: Duration, out: &mut impl Write) -> std::io::Result<()> {
    let text = |field: &str| command["data"][field].as_str().unwrap_or_default().to_owned();
    let since = command["data"]["since"]["date"].as_str().unwrap_or_default();
    writeln!(
        out,
        "{:5.1} s  customer {:>2}  {:<9}  {:<7}  last seen {since}",
        elapsed.as_secs_f64(),
        text("customer"),
        text("command"),
        text("target")
    )
}

fn acknowledge(
    producer: &PolledProducer<DefaultProducerContext>,
    config: &Config,
    command: &Value,
) -> anyhow::Result<()> {
    let data = &command["data"];
    let now = chrono::DateTime::<chrono::Utc>::from(SystemTime::now()).to_rfc3339();
    let answer = json!({
        "command": command["id"], "attempt": data["attempt"], "customer": data["customer"],
        "target": data["target"], "result": "done", "time": now,
    });
    let (topic, value) = (format!("{}.acks", config.application), answer.to_string());
    let record = BaseRecord::<str, str, ()>::to(&topic).payload(&value).key(data["customer"].as_str().unwrap_or(""));
    producer.send(record).map_err(|(error, _)| error).context("an acknowledgement could not be sent")?;
    Ok(())
}
