//! What comes in faster than it can be worked off, and what can't be sent, waits in Kafka and not in memory: on
//! Apache Kafka, with the service's memory measured.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "a run tells its figures")]

mod support;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use support::service::{Application, Instance, PARTITIONS, nothing_is_twice, now_ms, target_obeys, text};

/// What `docs/benchmarks.md` promises: beside the customers themselves a gibibyte, whatever comes in.
const BOUND_KIB: u64 = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(180);

fn yaml(name: &str, bootstrap: &str, after: &str) -> String {
    format!(
        "application: {name}
time_zone: Europe/Amsterdam
short_periods: true
max_gate_lag: PT20S
brake: {{per_day: 100%, at_least: 1000000}}
kafka: {{bootstrap.servers: '{bootstrap}'}}
evidence: {{key: a key of this test only}}
http: {{listen: '127.0.0.1:0'}}
topics: {{partitions: {PARTITIONS}, replication_factor: 1}}
sources:
  shop:
    topics: [{name}.activity]
    customer: /customer
    time: /at
    history_from: beginning
    allowed_lateness: PT2S
    max_silence: PT1M
    rules: [{{activity: seen}}]
targets:
  crm: {{topic: {name}.crm, acknowledge_within: PT1M}}
policies:
  offers:
    purpose: {{en: Offers that fit until some time after the last visit}}
    lawful_basis: legitimate_interest
    interest: {{en: keeping customers}}
    categories: [email, name]
    since_last: [seen]
    stages: [{{after: {after}, command: expire}}]
    targets: [crm]
    mode: enforce
    review_by: 2099-01-01
"
    )
}

fn producer(bootstrap: &str) -> ThreadedProducer<rdkafka::producer::DefaultProducerContext> {
    ClientConfig::new().set("bootstrap.servers", bootstrap).set("linger.ms", "20").create().unwrap()
}

fn see(application: &Application, customer: &str, to: &ThreadedProducer<rdkafka::producer::DefaultProducerContext>) {
    let (topic, payload) = (application.topic("activity"), json!({"customer": customer, "at": now_ms()}).to_string());
    loop {
        match to.send(BaseRecord::<(), _>::to(&topic).payload(&payload)) {
            Ok(()) => return,
            Err((error, _)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err((error, _)) => panic!("{error}"),
        }
    }
}

/// The most memory the process ever had, in KiB.
fn peak_kib(instance: &Instance) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", instance.child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn until(what: &str, instance: &Instance, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}\n{}", instance.tail());
        std::thread::sleep(Duration::from_millis(300));
    }
}

fn delete(application: &Application, topic: &str) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &application.bootstrap).create().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let outcome = runtime.block_on(admin.delete_topics(&[&application.topic(topic)], &AdminOptions::new())).unwrap();
    assert!(outcome.iter().all(Result::is_ok), "{outcome:?}");
}

#[test]
fn while_a_target_s_topic_is_gone_commands_wait_and_none_is_lost() {
    let application = Application::new(&support::broker::bootstrap(), |name, bootstrap| yaml(name, bootstrap, "PT6S"));
    application.create_topics();
    let (commands, stop) = (Mutex::new(Vec::<Value>::new()), AtomicBool::new(false));
    let to = producer(&application.bootstrap);
    let leaves: Vec<String> = (0..2_000).map(|number| format!("leaves-{number}")).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| target_obeys(&application, |_| true, &commands, &stop));
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                see(&application, "stays", &to);
                std::thread::sleep(Duration::from_millis(200));
            }
        });
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let instance = application.start("pod-0");
            application.await_shards();
            delete(&application, "crm");
            leaves.iter().for_each(|customer| see(&application, customer, &to));
            until("it says that nothing can be sent", &instance, || instance.tail().contains("transaction aborted"));
            // Through more than one attempt.
            std::thread::sleep(Duration::from_secs(30));
            assert_eq!(commands.lock().unwrap().len(), 0);
            support::broker::create_topic(&application.bootstrap, &application.topic("crm"), 2);
            until("everyone leaves when the topic is back", &instance, || {
                commands.lock().unwrap().len() >= leaves.len()
            });
            std::thread::sleep(Duration::from_secs(3));
            let commands = commands.lock().unwrap();
            let mut told: BTreeMap<&str, usize> = BTreeMap::new();
            commands.iter().for_each(|command| *told.entry(text(command, "customer")).or_default() += 1);
            assert_eq!(told.len(), leaves.len());
            assert!(told.values().all(|count| *count == 1), "{told:?}");
            nothing_is_twice(&commands);
            let peak = peak_kib(&instance);
            println!("{} commands, each committed once; at most {} MiB", commands.len(), peak >> 10);
            assert!(peak < BOUND_KIB, "{peak} KiB");
        }));
        stop.store(true, Ordering::Relaxed);
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

/// A million customers at once: read as fast as ingest can, merged as fast as track can.
#[test]
fn a_flood_waits_in_kafka() {
    const CUSTOMERS: usize = 1_000_000;
    let application = Application::new(&support::broker::bootstrap(), |name, bootstrap| yaml(name, bootstrap, "P1D"));
    application.create_topics();
    let to = producer(&application.bootstrap);
    (0..CUSTOMERS).for_each(|number| see(&application, &format!("customer-{number}"), &to));
    to.flush(Duration::from_secs(60)).unwrap();
    let instance = application.start("pod-0");
    let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", &application.bootstrap).create().unwrap();
    let (state, wait) = (application.topic("state"), Duration::from_secs(20));
    until("all of them are in the changelog", &instance, || {
        let ends =
            (0..PARTITIONS).map(|shard| consumer.fetch_watermarks(&state, shard, wait).map_or(0, |marks| marks.1));
        usize::try_from(ends.sum::<i64>()).unwrap() > CUSTOMERS
    });
    let peak = peak_kib(&instance);
    println!("{CUSTOMERS} customers; at most {} MiB", peak >> 10);
    let of_customers = (CUSTOMERS * 80) as u64 >> 10;
    assert!(peak < BOUND_KIB + of_customers, "{peak} KiB");
}
