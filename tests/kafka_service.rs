//! The round trip on Apache Kafka itself: `lapsed run` from source topic to command and back, while its
//! processes are killed at random moments, and a `read_committed` reader that finds nothing lost, twice or
//! early.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a kill run tells what it does")]

mod support;

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::service::{Application, Instance, instant, nothing_is_twice, now_ms, target_obeys, text};

const LATENESS_SECONDS: i64 = 2;
const NOTICE_SECONDS: i64 = 8;
const PERIOD_SECONDS: i64 = 16;

fn yaml(name: &str, bootstrap: &str) -> String {
    format!(
        "application: {name}
time_zone: Europe/Amsterdam
short_periods: true
max_gate_lag: PT20S
brake: {{per_day: 100%, at_least: 1000000}}
kafka: {{bootstrap.servers: '{bootstrap}', session.timeout.ms: 6000, heartbeat.interval.ms: 1000}}
evidence: {{key: a key of this test only}}
http: {{listen: '127.0.0.1:0'}}
topics: {{partitions: 4, replication_factor: 1}}
sources:
  shop:
    topics: [{name}.activity]
    customer: /customer
    time: /at
    history_from: beginning
    allowed_lateness: PT{LATENESS_SECONDS}S
    max_silence: PT1M
    rules: [{{when: {{/event: seen}}, activity: seen}}]
targets:
  crm: {{topic: {name}.crm, acknowledge_within: PT15S}}
  mailing: {{topic: {name}.mailing, acknowledge_within: PT15S}}
policies:
  offers:
    purpose: {{en: Offers that fit until sixteen seconds after the last visit}}
    lawful_basis: legitimate_interest
    interest: {{en: keeping customers}}
    categories: [email, name]
    since_last: [seen]
    stages:
      - {{after: PT{warn}S, command: warn, targets: [mailing]}}
      - {{after: PT{PERIOD_SECONDS}S, command: expire}}
    targets: [crm, mailing]
    mode: enforce
    review_by: 2099-01-01
",
        warn = PERIOD_SECONDS - NOTICE_SECONDS,
    )
}

/// What the source has reported, and when the broker had it.
#[derive(Clone, Debug)]
struct Event {
    at_ms: i64,
    appended_ms: i64,
}

#[derive(Default)]
struct History {
    events: BTreeMap<String, Vec<Event>>,
}

/// Customers come and go for a while; a few stay, so that the source never falls silent.
fn customers_live(application: &Application, seconds: u64, stop: &AtomicBool) -> History {
    let producer: ThreadedProducer<_> = ClientConfig::new()
        .set("bootstrap.servers", &application.bootstrap)
        .set("enable.idempotence", "true")
        .create()
        .unwrap();
    let topic = application.topic("activity");
    let mut history = History::default();
    let mut random = fastrand::Rng::with_seed(7);
    let begun = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let open = begun.elapsed() < Duration::from_secs(seconds);
        let mut seen: Vec<String> = (0..3).map(|n| format!("stays-{n}")).collect();
        if open {
            seen.extend((0..7).map(|_| format!("customer-{}", random.u32(0..400))));
        }
        let at_ms = now_ms();
        for customer in &seen {
            let payload = json!({"customer": customer, "event": "seen", "at": at_ms}).to_string();
            producer.send(BaseRecord::<(), _>::to(&topic).payload(&payload)).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(Duration::from_secs(20)).unwrap();
        let appended_ms = now_ms();
        for customer in seen {
            history.events.entry(customer).or_default().push(Event { at_ms, appended_ms });
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    history
}

/// The last activity of each customer who has gone, in seconds, rounded up as `lapsed` does.
fn gone(history: &History) -> BTreeMap<&str, i64> {
    let mut gone = BTreeMap::new();
    for (customer, events) in &history.events {
        if !customer.starts_with("stays") {
            gone.insert(customer.as_str(), last_at(events.iter()));
        }
    }
    gone
}

fn last_at<'e>(events: impl Iterator<Item = &'e Event>) -> i64 {
    events.map(|event| (event.at_ms + 999).div_euclid(1000)).max().unwrap_or(0)
}

/// Every customer who has gone has exactly one removal in force at each target, for the right reason.
fn nothing_is_missing(commands: &[Value], gone: &BTreeMap<&str, i64>) -> Result<(), String> {
    let recalled: BTreeSet<&str> = commands.iter().filter_map(|command| command["data"]["recalls"].as_str()).collect();
    for (customer, last) in gone {
        for target in ["crm", "mailing"] {
            let removals: BTreeSet<&str> = commands
                .iter()
                .filter(|command| text(command, "customer") == *customer && text(command, "target") == target)
                .filter(|command| text(command, "command") == "expire")
                .filter(|command| instant(&command["data"]["since"]["date"]) == *last)
                .filter_map(|command| command["id"].as_str())
                .filter(|id| !recalled.contains(id))
                .collect();
            if removals.len() != 1 {
                return Err(format!("{customer} at {target}: {} removals", removals.len()));
            }
        }
    }
    Ok(())
}

fn nothing_is_early(commands: &[Value], history: &History) {
    for command in commands.iter().filter(|command| text(command, "command") == "expire") {
        let events = &history.events[text(command, "customer")];
        let deadline = instant(&command["data"]["deadline"]);
        let since = instant(&command["data"]["since"]["date"]);
        let proven = (deadline + LATENESS_SECONDS) * 1000;
        let known = last_at(events.iter().filter(|event| event.appended_ms <= proven));
        assert!(known <= since, "active at {known}, and still: {command}");
        assert_eq!(deadline, since + PERIOD_SECONDS, "{command}");
        assert!(instant(&command["time"]) >= deadline + LATENESS_SECONDS, "{command}");
        let warned = commands.iter().find(|warning| {
            text(warning, "command") == "warn"
                && text(warning, "customer") == text(command, "customer")
                && warning["data"]["since"] == command["data"]["since"]
                && instant(&warning["time"]) + NOTICE_SECONDS <= instant(&command["time"])
        });
        assert!(warned.is_some(), "without notice: {command}");
    }
    let strangers = commands.iter().find(|command| text(command, "customer").starts_with("stays"));
    assert!(strangers.is_none(), "never gone, and still: {strangers:?}");
}

/// Lets customers live and instances be treated by `fate`, then waits until everyone due has had their
/// commands, and judges.
fn round_trip(seconds: u64, fate: impl FnOnce(&Application)) {
    let application = Application::new(&support::broker::bootstrap(), yaml);
    application.create_topics();
    // The first customers are no backlog.
    application.run_first();
    let (commands, stop_reading, stop_living) =
        (Mutex::new(Vec::new()), AtomicBool::new(false), Arc::new(AtomicBool::new(false)));
    std::thread::scope(|scope| {
        let living = scope.spawn(|| customers_live(&application, seconds, &stop_living));
        scope.spawn(|| target_obeys(&application, |_| true, &commands, &stop_reading));
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| fate(&application)));
        let mut instances = [application.start("pod-0"), application.start("pod-1")];
        if outcome.is_ok() {
            settle(&application, &commands, &mut instances);
        }
        stop_living.store(true, Ordering::Relaxed);
        let history = living.join().unwrap();
        std::thread::sleep(Duration::from_secs(2));
        stop_reading.store(true, Ordering::Relaxed);
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let commands = commands.lock().unwrap();
        let gone = gone(&history);
        assert!(gone.len() > 100, "the history is too small to show anything: {}", gone.len());
        nothing_is_twice(&commands);
        nothing_is_early(&commands, &history);
        if let Err(missing) = nothing_is_missing(&commands, &gone) {
            panic!("{missing}\n{}\n{}", instances[0].tail(), instances[1].tail());
        }
        println!("{} customers gone, {} commands: 0 lost, 0 twice, 0 early", gone.len(), commands.len());
    });
}

/// Waits until no new command has come for longer than any of them may take.
fn settle(application: &Application, commands: &Mutex<Vec<Value>>, instances: &mut [Instance; 2]) {
    let deadline = Instant::now() + Duration::from_secs(180);
    let (mut count, mut since) = (0, Instant::now());
    while Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(500));
        for (pod, instance) in ["pod-0", "pod-1"].into_iter().zip(&mut *instances) {
            if let Some(status) = instance.child.try_wait().unwrap() {
                eprintln!("{pod} ended with {status}:\n{}", instance.tail());
                *instance = application.start(pod);
            }
        }
        let now = commands.lock().unwrap().len();
        if now != count {
            (count, since) = (now, Instant::now());
        }
        let quiet = Duration::from_secs(u64::try_from(PERIOD_SECONDS + NOTICE_SECONDS).unwrap() + 25);
        if count > 0 && since.elapsed() > quiet {
            return;
        }
    }
}

/// Stopped past its session and woken again, an instance finds its shards with others: what it still had
/// in hand goes nowhere.
#[test]
fn a_zombie_is_fenced() {
    round_trip(40, |application| {
        let mut instances = [application.start("pod-0"), application.start("pod-1")];
        for (victim, seconds) in [(0, 12), (1, 20), (0, 12)] {
            std::thread::sleep(Duration::from_secs(4));
            instances[victim].signal("STOP");
            std::thread::sleep(Duration::from_secs(seconds));
            instances[victim].signal("CONT");
            std::thread::sleep(Duration::from_secs(4));
            let ended = instances[victim].child.try_wait().unwrap();
            println!("woken after {seconds} s: {ended:?}");
            if ended.is_some() {
                instances[victim] = application.start(["pod-0", "pod-1"][victim]);
            }
        }
    });
}

#[test]
fn a_quiet_day() {
    round_trip(10, |_| {});
}

#[test]
fn twenty_kills() {
    round_trip(45, |application| {
        let mut random = fastrand::Rng::new();
        println!("seed {}", random.get_seed());
        let mut instances = [application.start("pod-0"), application.start("pod-1")];
        for kill in 0..20 {
            std::thread::sleep(Duration::from_millis(random.u64(500..4_000)));
            let victim = random.usize(0..2);
            instances[victim].kill();
            instances[victim] = application.start(["pod-0", "pod-1"][victim]);
            println!("kill {kill}: pod-{victim}");
        }
    });
}
