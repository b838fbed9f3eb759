//! A rolling restart of three instances under load, and SIGTERM in every phase of an instance's life: progress goes
//! on, the end comes soon, and nobody is lost, told twice or too early.

use crate::faults::on_one_broker;
use crate::support::proxy::{END_TXN, FETCH, Fault};
use crate::support::service::{Application, now_ms, until};
use crate::trial::{SETTING, Trial};
use lapsed::wire::progress::{self, PROGRESS};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const PODS: [&str; 3] = ["pod-0", "pod-1", "pod-2"];
const SHARDS: i32 = 4;
/// A pod's grace period, less what Kubernetes needs of it.
const END_MAX: Duration = Duration::from_secs(20);
/// The longest that a source partition may go without progress.
const GAP_MAX_MS: i64 = 60_000;
const JOIN_GROUP: i16 = 11;

/// When each shard was told that a source partition had been read up to some moment: append times by shard, topic and
/// partition.
type Told = BTreeMap<(i32, String, u32), Vec<i64>>;

/// Reads `signals` as it grows, for what is committed past is deleted.
fn listen(application: &Application, told: &Mutex<Told>, stop: &AtomicBool) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &application.bootstrap)
        .set("group.id", "listens without a group")
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    for shard in 0..SHARDS {
        list.add_partition_offset(&application.topic("signals"), shard, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    while !stop.load(Ordering::Relaxed) {
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else { continue };
        let Some(value) = message.payload().filter(|value| value.first() == Some(&PROGRESS)) else { continue };
        let appended = message.timestamp().to_millis().unwrap();
        let mut told = told.lock().unwrap();
        for partition in progress::decode(value).unwrap().partitions {
            if partition.complete_to.is_some() {
                let key = (message.partition(), partition.topic, partition.partition);
                told.entry(key).or_default().push(appended);
            }
        }
    }
}

/// The longest that any source partition went without progress in any shard, from one moment to another.
fn longest_gap_ms(told: &Told, from_ms: i64, to_ms: i64) -> i64 {
    assert_eq!(told.len(), 12, "three source partitions, told to four shards");
    let gap = |times: &Vec<i64>| {
        let within = times.iter().copied().filter(|at| (from_ms..to_ms).contains(at));
        let ends: Vec<i64> = [from_ms].into_iter().chain(within).chain([to_ms]).collect();
        ends.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap()
    };
    told.values().map(gap).max().unwrap()
}

/// Ends an instance with SIGTERM, and tells how long it took.
fn end(trial: &Trial<'_>, pod: &str, phase: &str) -> Duration {
    let begun = Instant::now();
    trial.signal(pod, "TERM");
    let code = trial.ended(pod);
    let took = begun.elapsed();
    assert_eq!(code, Some(0), "{phase}\n{}", trial.tails());
    assert!(took < END_MAX, "{phase}: it took {took:?}\n{}", trial.tails());
    println!("SIGTERM {phase}: {:.1} s", took.as_secs_f64());
    took
}

/// Waits until an instance that was started after its log was so long has said something.
fn says(trial: &Trial<'_>, pod: &str, known: usize, words: &str) {
    until(Duration::from_secs(90), || {
        let log = trial.log(pod);
        log.get(known..)
            .is_some_and(|log| log.contains(words))
            .then_some(())
            .ok_or_else(|| format!("{pod} never said '{words}'\n{log}"))
    });
}

/// Restarts each of three instances in turn, so many times, while customers come and go.
fn restart_in_turn(rounds: usize) {
    let (told, stop, mut gap) = (Mutex::new(Told::new()), AtomicBool::new(false), 0);
    let mut slowest = Duration::ZERO;
    let verdict = on_one_broker(SETTING, |trial| {
        std::thread::scope(|scope| {
            scope.spawn(|| listen(&trial.application, &told, &stop));
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    trial.wave(200);
                    std::thread::sleep(Duration::from_millis(250));
                }
            });
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                PODS[1..].iter().for_each(|pod| {
                    trial.start(pod);
                    says(trial, pod, 0, "shard restored");
                });
                let from_ms = now_ms();
                for pod in PODS.iter().cycle().take(rounds * PODS.len()) {
                    let known = trial.log(pod).len();
                    slowest = slowest.max(end(trial, pod, "in a rolling restart"));
                    trial.start(pod);
                    // As Kubernetes does, which waits until it is ready.
                    says(trial, pod, known, "shard restored");
                }
                std::thread::sleep(Duration::from_secs(3));
                gap = longest_gap_ms(&told.lock().unwrap(), from_ms, now_ms());
            }));
            stop.store(true, Ordering::Relaxed);
            outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        });
        trial.await_all();
    });
    println!(
        "{} restarts in turn: {verdict:?}; longest without progress {:.1} s, slowest end {:.1} s",
        rounds * PODS.len(),
        gap as f64 / 1000.0,
        slowest.as_secs_f64()
    );
    assert!(verdict.is_clean(), "{verdict:?}");
    assert!(gap < GAP_MAX_MS, "{gap} ms without progress");
}

#[test]
fn a_rolling_restart_leaves_no_gap() {
    if !crate::is_yours() {
        restart_in_turn(1);
    }
}

/// `LAPSED_ROUNDS` says how often each is restarted; ten times if nothing does.
#[test]
#[ignore = "takes some ten minutes"]
fn rolling_restarts() {
    if !crate::is_yours() {
        restart_in_turn(std::env::var("LAPSED_ROUNDS").map_or(10, |rounds| rounds.parse().unwrap()));
    }
}

/// Nothing that is asked of the broker gets there.
fn take_the_broker_away(trial: &Trial<'_>) {
    (0..=80).for_each(|api| trial.proxy.keep(api, Fault::LoseRequest));
}

#[test]
fn sigterm_in_every_phase_ends_it_soon() {
    if crate::is_yours() {
        return;
    }
    let pod = PODS[0];
    let verdict = on_one_broker(SETTING, |trial| {
        trial.wave(100);
        says(trial, pod, 0, "shard restored");
        end(trial, pod, "idle, or nearly");

        // The broker can't be reached when it starts.
        take_the_broker_away(trial);
        trial.start(pod);
        std::thread::sleep(Duration::from_secs(2));
        end(trial, pod, "at the start, with the broker away");
        trial.proxy.disarm();

        let (known, struck) = (trial.log(pod).len(), trial.proxy.struck());
        trial.proxy.keep(JOIN_GROUP, Fault::LoseRequest);
        trial.start(pod);
        says(trial, pod, known, "running");
        trial.await_struck(struck, 1);
        end(trial, pod, "while it joins its groups");
        trial.proxy.disarm();

        let known = trial.log(pod).len();
        trial.proxy.keep(FETCH, Fault::Delay(Duration::from_secs(3)));
        trial.start(pod);
        says(trial, pod, known, "restoring shards");
        end(trial, pod, "while it restores its shards");
        trial.proxy.disarm();

        // Far more than it can read in a moment.
        for _ in 0..20 {
            trial.wave(1_000);
        }
        let known = trial.log(pod).len();
        trial.start(pod);
        says(trial, pod, known, "subscribing");
        end(trial, pod, "with a backlog to read");

        let (known, struck) = (trial.log(pod).len(), trial.proxy.struck());
        trial.start(pod);
        says(trial, pod, known, "shard restored");
        trial.proxy.keep(END_TXN, Fault::Delay(Duration::from_secs(3)));
        trial.wave(100);
        trial.await_struck(struck, 1);
        end(trial, pod, "in a transaction");
        trial.proxy.disarm();

        let known = trial.log(pod).len();
        trial.start(pod);
        says(trial, pod, known, "shard restored");
        trial.wave(100);
        take_the_broker_away(trial);
        std::thread::sleep(Duration::from_secs(2));
        end(trial, pod, "with the broker away");
        trial.proxy.disarm();
        trial.start(pod);
        trial.await_all();
    });
    println!("SIGTERM in every phase: {verdict:?}");
    assert!(verdict.is_clean(), "{verdict:?}");
}
