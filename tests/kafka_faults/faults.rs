//! Each fault of the list in DESIGN, on real brokers: what is done, and what must hold meanwhile. That
//! everybody gets one command, and nobody two or one too early, is judged of every trial.

use crate::support::broker::{Broker, Cluster, broker};
use crate::support::proxy::{
    ADD_OFFSETS_TO_TXN, ADD_PARTITIONS_TO_TXN, END_TXN, FETCH, Fault, HEARTBEAT, LIST_OFFSETS, OFFSET_FETCH, PRODUCE,
    Proxy, TXN_OFFSET_COMMIT,
};
use crate::support::service::now_ms;
use crate::trial::{SETTING, Setting, Trial, Verdict};
use crate::{alone, tried};
use rdkafka::ClientConfig;
use rdkafka::Message;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewPartitions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::json;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const WAVE: usize = 40;

/// A fault: in which words the list has it, what a trial does, and the trial.
pub struct Line {
    pub fault: &'static str,
    pub done: &'static str,
    pub setting: Setting,
    pub test: fn(&Trial<'_>),
}

const fn line(fault: &'static str, done: &'static str, test: fn(&Trial<'_>)) -> Line {
    Line { fault, done, setting: SETTING, test }
}

const SHORT_SILENCE: Setting = Setting { max_silence: "PT12S", ..SETTING };

/// The ones with which every change is tried.
pub const SHORT: [&str; 6] = [
    "SIGKILL with the commit in flight",
    "SIGKILL after the commit",
    "commit whose answer is lost",
    "disk full at the broker",
    "an open source transaction",
    "offsets expired",
];

pub const LINES: &[Line] = &[
    line("SIGKILL before produce", "killed when AddPartitionsToTxn is asked for", |trial| {
        kill_at(trial, ADD_PARTITIONS_TO_TXN, Fault::LoseRequest);
    }),
    line("SIGKILL after flush", "killed when AddOffsetsToTxn is asked for", |trial| {
        kill_at(trial, ADD_OFFSETS_TO_TXN, Fault::LoseRequest);
    }),
    line("SIGKILL after send_offsets", "killed when TxnOffsetCommit has been done", |trial| {
        kill_at(trial, TXN_OFFSET_COMMIT, Fault::LoseAnswer);
    }),
    line(
        "SIGKILL with the commit in flight",
        "killed when EndTxn is asked for, which the broker never gets",
        |trial| {
            kill_at(trial, END_TXN, Fault::LoseRequest);
        },
    ),
    line("SIGKILL after the commit", "killed when EndTxn has been done, before its answer", |trial| {
        kill_at(trial, END_TXN, Fault::LoseAnswer);
    }),
    line(
        "SIGKILL during restore",
        "killed while it fetches its offsets, and again while it reads the changelog",
        |trial| {
            trial.wave(WAVE);
            for api in [OFFSET_FETCH, FETCH] {
                trial.kill("pod-0");
                let struck = trial.proxy.struck();
                trial.proxy.keep(api, Fault::Delay(Duration::from_secs(2)));
                trial.start("pod-0");
                trial.await_struck(struck, 1);
                trial.kill("pod-0");
                trial.proxy.disarm();
            }
            trial.start("pod-0");
            gone_and_more(trial);
        },
    ),
    line("zombie", "SIGSTOP past the session, its shards with another, and SIGCONT", |trial| {
        trial.start("pod-1");
        for _ in 0..2 {
            let wave = trial.wave(WAVE);
            trial.signal("pod-0", "STOP");
            trial.await_gone(&wave);
            trial.signal("pod-0", "CONT");
        }
        gone_and_more(trial);
    }),
    line(
        "zombie with an open transaction",
        "SIGSTOP when EndTxn is asked for, and SIGCONT when another has its shards",
        |trial| {
            trial.start("pod-1");
            let wave = trial.wave(WAVE);
            let struck = trial.proxy.struck();
            trial.proxy.keep(END_TXN, Fault::Delay(Duration::from_secs(3)));
            trial.await_struck(struck, 1);
            trial.signal("pod-0", "STOP");
            trial.proxy.disarm();
            trial.await_gone(&wave);
            trial.signal("pod-0", "CONT");
            gone_and_more(trial);
        },
    ),
    line("commit whose answer is lost", "EndTxn lost, then its answer", |trial| {
        for fault in [Fault::LoseRequest, Fault::LoseAnswer] {
            let wave = trial.wave(WAVE);
            let struck = trial.proxy.struck();
            trial.proxy.arm(END_TXN, fault);
            trial.await_struck(struck, 1);
            trial.await_gone(&wave);
        }
    }),
    line("transaction time-out", "TxnOffsetCommit held up for 20 s; a transaction may take 15", |trial| {
        let wave = trial.wave(WAVE);
        let struck = trial.proxy.struck();
        trial.proxy.arm(TXN_OFFSET_COMMIT, Fault::Delay(Duration::from_secs(20)));
        trial.await_struck(struck, 1);
        trial.await_gone(&wave);
        gone_and_more(trial);
    }),
    line("a shard far behind", "nobody runs for 40 s, twice `max_gate_lag`, while customers come and go", |trial| {
        trial.kill("pod-0");
        let waves: Vec<Vec<String>> = (0..4)
            .map(|_| {
                std::thread::sleep(Duration::from_secs(10));
                trial.wave(WAVE)
            })
            .collect();
        trial.start("pod-0");
        waves.iter().for_each(|wave| trial.await_gone(wave));
    }),
    line(
        "an older owner's open transaction during restore, twice",
        "SIGSTOP in mid-commit, and its successor, too",
        |trial| {
            let wave = trial.wave(WAVE);
            let struck = trial.proxy.struck();
            trial.proxy.keep(END_TXN, Fault::LoseRequest);
            trial.await_struck(struck, 1);
            trial.signal("pod-0", "STOP");
            let struck = trial.proxy.struck();
            trial.start("pod-1");
            trial.await_struck(struck, 1);
            trial.signal("pod-1", "STOP");
            trial.proxy.disarm();
            trial.start("pod-2");
            trial.await_gone(&wave);
            trial.signal("pod-0", "CONT");
            trial.signal("pod-1", "CONT");
            gone_and_more(trial);
        },
    ),
    line(
        "rebalance in mid-batch, mid-transaction and mid-restore",
        "one joins while EndTxn takes 1 s, another while Fetch does; both leave",
        |trial| {
            let wave = trial.wave(WAVE);
            trial.proxy.keep(END_TXN, Fault::Delay(Duration::from_secs(1)));
            trial.start("pod-1");
            trial.wave(WAVE);
            std::thread::sleep(Duration::from_secs(4));
            trial.proxy.keep(FETCH, Fault::Delay(Duration::from_secs(1)));
            trial.start("pod-2");
            std::thread::sleep(Duration::from_secs(4));
            trial.wave(WAVE);
            trial.kill("pod-2");
            trial.signal("pod-1", "TERM");
            std::thread::sleep(Duration::from_secs(8));
            trial.proxy.disarm();
            trial.await_gone(&wave);
            gone_and_more(trial);
        },
    ),
    line("partitions added to a source", "from three to six while customers come", |trial| {
        trial.wave(WAVE);
        let topic = trial.application.topic("activity");
        wait(admin(trial).create_partitions([&NewPartitions::new(&topic, 6)], &AdminOptions::new())).unwrap();
        trial.wave(WAVE);
        std::thread::sleep(Duration::from_secs(5));
        gone_and_more(trial);
    }),
    line("partitions added to signals", "a start is refused; who was due stays due", |trial| {
        let before = trial.wave(WAVE);
        trial.await_gone(&before);
        trial.kill("pod-0");
        let topic = trial.application.topic("signals");
        wait(admin(trial).create_partitions([&NewPartitions::new(&topic, 6)], &AdminOptions::new())).unwrap();
        refuses_to_start(trial, "partitions");
    }),
    line("changelog truncated", "records deleted from its beginning; a start is refused", |trial| {
        let before = trial.wave(WAVE);
        trial.await_gone(&before);
        trial.kill("pod-0");
        let mut list = TopicPartitionList::new();
        let state = trial.application.topic("state");
        list.add_partition_offset(&state, 1, Offset::Offset(header(trial, &state, 1) + 1)).unwrap();
        // Brokers delete no records of a topic that is only compacted.
        set_cleanup(trial, &state, "compact,delete");
        delete_records(trial, &list);
        set_cleanup(trial, &state, "compact");
        refuses_to_start(trial, "the beginning of its state partition is gone");
    }),
    line("state re-created", "the topic deleted and made anew; a start is refused", |trial| {
        let before = trial.wave(WAVE);
        trial.await_gone(&before);
        trial.kill("pod-0");
        let state = trial.application.topic("state");
        delete_topic(trial, &state);
        let made = trial.lapsed(&["topics", "--create"]);
        assert!(made.status.success(), "{made:?}");
        refuses_to_start(trial, "has no header: its beginning is lost");
    }),
    line("disk full at the broker", "Produce is refused with KAFKA_STORAGE_ERROR for 8 s", |trial| {
        let wave = trial.wave(WAVE);
        let struck = trial.proxy.struck();
        trial.proxy.keep(PRODUCE, Fault::Error(56));
        trial.await_struck(struck, 3);
        std::thread::sleep(Duration::from_secs(8));
        trial.proxy.disarm();
        trial.await_gone(&wave);
        gone_and_more(trial);
    }),
    line(
        "times in the future, zero, negative, in the wrong unit",
        "nine such records of customers who still come",
        |trial| {
            let wave = trial.wave(WAVE);
            let now = now_ms();
            // Too far ahead, zero, negative, before 1973, no number; microseconds and nanoseconds are understood.
            let times =
                [json!(now + 86_400_000), json!(0), json!(-5), json!(60_000), json!("soon"), json!(1.5), json!(null)];
            let understood = [json!(now * 1_000), json!(now / 1000)];
            let record = |at| json!({"customer": "stays-0", "event": "seen", "at": at});
            trial.send(times.into_iter().chain(understood).map(record));
            trial.await_gone(&wave);
            gone_and_more(trial);
        },
    ),
    line("a flood of poison", "sixty records that can't be read: nothing leaves until a person accepts", |trial| {
        trial.send((0..60).map(|number| json!({"customer": "stays-0", "event": "seen", "at": format!("x{number}")})));
        nothing_leaves_until_accepted(trial, "--rejects");
    }),
    line(
        "a renamed field",
        "customers who stay are told of in another way: they are not forgotten; a reading of both reads again",
        |trial| {
            let staying: Vec<String> = (0..20).map(|number| format!("renamed-{number}")).collect();
            trial.see(&staying);
            for _ in 0..8 {
                std::thread::sleep(Duration::from_secs(1));
                let at_ms = now_ms();
                trial.send(
                    staying.iter().map(|customer| json!({"customer": customer, "event": "seen", "seen_at": at_ms})),
                );
                trial.note(&staying, at_ms, now_ms());
            }
            let wave = trial.wave(WAVE);
            trial.pass_by();
            assert_eq!(trial.missing(&staying), staying.len(), "they still came");
            assert_eq!(trial.missing(&wave), wave.len(), "their source is in doubt");
            let file = trial.application.file();
            let text = std::fs::read_to_string(&file).unwrap().replace("time: /at", "time: record");
            std::fs::write(&file, text).unwrap();
            trial.signal("pod-0", "HUP");
            trial.await_gone(&wave);
        },
    ),
    Line {
        fault: "a source gone silent, and back with a backlog",
        done: "quiet for longer than `max_silence`; then it speaks for as long, with old news first",
        setting: SHORT_SILENCE,
        test: |trial| {
            trial.quiet.store(true, Ordering::Relaxed);
            let silent = trial.wave(WAVE);
            let begun = Instant::now();
            trial.pass_by();
            assert_eq!(trial.missing(&silent), silent.len(), "a silent source proves nothing");
            trial.quiet.store(false, Ordering::Relaxed);
            let late = trial.wave(WAVE);
            trial.await_gone(&silent);
            trial.await_gone(&late);
            assert!(begun.elapsed() > Duration::from_secs(12));
        },
    },
    Line {
        fault: "a source gone silent, and a person knows why",
        done: "`lapsed accept --silence`",
        setting: SHORT_SILENCE,
        test: |trial| {
            trial.quiet.store(true, Ordering::Relaxed);
            let silent = trial.wave(WAVE);
            trial.pass_by();
            assert_eq!(trial.missing(&silent), silent.len(), "a silent source proves nothing");
            trial.accept("--silence");
            trial.await_gone(&silent);
        },
    },
    line(
        "offsets expired",
        "the group's offsets deleted while nobody runs: nothing leaves until a person accepts",
        |trial| {
            // What was never committed can't be missed: its shards have it in their changelogs that it was read.
            let wave = trial.wave(WAVE);
            trial.await_gone(&wave);
            trial.kill("pod-0");
            let group = format!("{}-ingest", trial.application.name);
            let admin = admin(trial);
            // Until the session of the one that was killed has ended, the group can't be deleted.
            let deadline = Instant::now() + Duration::from_secs(60);
            while wait(admin.delete_groups(&[&group], &AdminOptions::new())).unwrap()[0].is_err() {
                assert!(Instant::now() < deadline, "the group can't be deleted");
                std::thread::sleep(Duration::from_secs(1));
            }
            trial.start("pod-0");
            nothing_leaves_until_accepted(trial, "--gap");
        },
    ),
    line(
        "records expired before they were read",
        "deleted while nobody runs: nothing leaves until a person accepts",
        |trial| {
            trial.kill("pod-0");
            trial.see(&["stays-0".to_owned(), "stays-1".to_owned(), "stays-2".to_owned(), "stays-3".to_owned()]);
            std::thread::sleep(Duration::from_secs(3));
            let topic = trial.application.topic("activity");
            let mut list = TopicPartitionList::new();
            for partition in 0..3 {
                list.add_partition_offset(&topic, partition, Offset::End).unwrap();
            }
            delete_records(trial, &list);
            trial.start("pod-0");
            nothing_leaves_until_accepted(trial, "--gap");
        },
    ),
    line(
        "a source topic re-created",
        "deleted, made anew and filled beyond what had been read: nothing leaves until a person accepts",
        |trial| {
            let before = trial.wave(WAVE);
            trial.await_gone(&before);
            trial.quiet.store(true, Ordering::Relaxed);
            std::thread::sleep(Duration::from_secs(2));
            let topic = trial.application.topic("activity");
            delete_topic(trial, &topic);
            crate::support::broker::create_topic(&trial.application.bootstrap, &topic, 3);
            // So many that each offset that was reached before is one of the new topic, too.
            trial.wave(3 * WAVE);
            trial.quiet.store(false, Ordering::Relaxed);
            nothing_leaves_until_accepted(trial, "--gap");
        },
    ),
    line(
        "an open source transaction",
        "nothing leaves while it is open; what it holds counts when it is committed",
        |trial| {
            let stays: Vec<String> = (0..8).map(|number| format!("hidden-{number}")).collect();
            trial.see(&stays);
            let producer: ThreadedProducer<_> = ClientConfig::new()
                .set("bootstrap.servers", &trial.application.bootstrap)
                .set("transactional.id", trial.application.topic("shop"))
                .create()
                .unwrap();
            producer.init_transactions(Duration::from_secs(60)).unwrap();
            producer.begin_transaction().unwrap();
            let at_ms = now_ms();
            let topic = trial.application.topic("activity");
            for (customer, partition) in stays.iter().zip([0, 1, 2].into_iter().cycle()) {
                let payload = json!({"customer": customer, "event": "seen", "at": at_ms}).to_string();
                let record = BaseRecord::<(), _>::to(&topic).partition(partition).payload(&payload);
                producer.send(record).map_err(|(error, _)| error).unwrap();
            }
            producer.flush(Duration::from_secs(60)).unwrap();
            trial.note(&stays, at_ms, now_ms());
            let wave = trial.wave(WAVE);
            trial.pass_by();
            assert_eq!(trial.missing(&wave), wave.len(), "an open transaction may hold anything");
            producer.commit_transaction(Duration::from_secs(60)).unwrap();
            trial.await_gone(&wave);
        },
    ),
    line(
        "readings changed under way, two configurations at once",
        "`reread` on one instance, seconds later on the other",
        |trial| {
            trial.start("pod-1");
            let wave = trial.wave(WAVE);
            let file = trial.application.file();
            let text =
                std::fs::read_to_string(&file).unwrap().replace("    max_silence:", "    reread: 2\n    max_silence:");
            std::fs::write(&file, text).unwrap();
            trial.signal("pod-0", "HUP");
            std::thread::sleep(Duration::from_secs(4));
            let during = trial.wave(WAVE);
            trial.signal("pod-1", "HUP");
            trial.await_gone(&wave);
            trial.await_gone(&during);
            gone_and_more(trial);
        },
    ),
    line(
        "SIGTERM during each",
        "while AddPartitionsToTxn, TxnOffsetCommit, EndTxn, Produce, OffsetFetch, Fetch take 2 s",
        |trial| {
            for api in [ADD_PARTITIONS_TO_TXN, TXN_OFFSET_COMMIT, END_TXN, PRODUCE, OFFSET_FETCH, FETCH] {
                let wave = trial.wave(WAVE / 4);
                let struck = trial.proxy.struck();
                trial.proxy.keep(api, Fault::Delay(Duration::from_secs(2)));
                if api == OFFSET_FETCH {
                    trial.kill("pod-0");
                    trial.start("pod-0");
                }
                trial.await_struck(struck, 1);
                trial.signal("pod-0", "TERM");
                let code = trial.ended("pod-0");
                assert_eq!(code, Some(0), "{api}\n{}", trial.tails());
                trial.proxy.disarm();
                trial.start("pod-0");
                trial.await_gone(&wave);
            }
        },
    ),
];

/// APIs with the error that a broker would refuse each with.
const APIS: [(&str, i16, i16); 8] = [
    ("Produce", PRODUCE, 6),
    ("TxnOffsetCommit", TXN_OFFSET_COMMIT, 14),
    ("AddPartitionsToTxn", ADD_PARTITIONS_TO_TXN, 51),
    ("EndTxn", END_TXN, 51),
    ("Fetch", FETCH, 6),
    ("OffsetFetch", OFFSET_FETCH, 14),
    ("Heartbeat", HEARTBEAT, 27),
    ("ListOffsets", LIST_OFFSETS, 6),
];

/// One API late, dropped, unanswered, broken off and refused.
pub struct Api {
    name: &'static str,
    key: i16,
    code: i16,
}

impl Api {
    pub fn fault(&self) -> String {
        format!("{} delayed, dropped, blackholed, reset, refused", self.name)
    }

    pub fn done(&self) -> &'static str {
        "1 s late for 5 s; one lost; one answer lost; a black hole for 10 s; connections reset for 4 s; refused for 4 s"
    }

    pub fn play(&self) -> Verdict {
        on_one_broker(SETTING, |trial| one_api(trial, self.key, self.code))
    }
}

pub fn apis(is_picked: &impl Fn(&str) -> bool) -> Vec<Api> {
    let all = APIS.into_iter().map(|(name, key, code)| Api { name, key, code });
    all.filter(|api| is_picked(&api.fault())).collect()
}

fn one_api(trial: &Trial<'_>, api: i16, code: i16) {
    let seconds = |seconds| Duration::from_secs(seconds);
    for (fault, always) in [
        (Fault::Delay(seconds(1)), Some(seconds(5))),
        (Fault::LoseRequest, None),
        (Fault::LoseAnswer, None),
        (Fault::LoseRequest, Some(seconds(10))),
        (Fault::Reset, Some(seconds(4))),
        (Fault::Error(code), Some(seconds(4))),
    ] {
        let wave = trial.wave(WAVE);
        let struck = trial.proxy.struck();
        match always {
            Some(_) => trial.proxy.keep(api, fault),
            None => trial.proxy.arm(api, fault),
        }
        if api == OFFSET_FETCH {
            // Asked for only by whoever begins.
            trial.kill("pod-0");
            trial.start("pod-0");
        }
        trial.await_struck(struck, 1);
        std::thread::sleep(always.unwrap_or_default());
        trial.proxy.disarm();
        trial.await_gone(&wave);
    }
}

/// Every node of three killed in turn: leaders and coordinators move, and come back.
pub fn on_a_cluster() -> Vec<(&'static str, &'static str, Option<Verdict>)> {
    let mut cluster = Cluster::start();
    let proxied = cluster.proxied();
    let listeners: Vec<(&str, &str)> =
        proxied.iter().map(|(proxy, behind)| (proxy.as_str(), behind.as_str())).collect();
    let proxy = Proxy::before(&listeners);
    let setting = Setting { replicas: 3, lateness_seconds: 20, ..SETTING };
    let bootstrap = cluster.bootstrap();
    let moved = tried(|| {
        Trial::play(&bootstrap, &proxy, setting, |trial| {
            for node in 0..3 {
                let before = trial.wave(WAVE);
                cluster.kill(node);
                let during = trial.wave(WAVE);
                trial.await_gone(&before);
                trial.await_gone(&during);
                cluster.launch(node);
                cluster.await_node(node);
                let after = trial.wave(WAVE);
                trial.await_gone(&after);
            }
        })
    });
    let bounced = tried(|| {
        Trial::play(&bootstrap, &proxy, setting, |trial| {
            let wave = trial.wave(WAVE);
            for node in 0..3 {
                cluster.kill(node);
                cluster.launch(node);
                trial.wave(WAVE);
                cluster.await_node(node);
                std::thread::sleep(Duration::from_secs(10));
            }
            trial.await_gone(&wave);
            gone_and_more(trial);
        })
    });
    vec![
        ("coordinator moved", "each of three nodes killed in turn until everyone due has gone without it", moved),
        ("broker bounced", "each of three nodes killed and started at once", bounced),
    ]
}

pub fn on_one_broker(setting: Setting, test: impl FnOnce(&Trial<'_>)) -> Verdict {
    let (broker, _alone): (&Broker, _) = (broker(), alone());
    let proxy = Proxy::start(broker);
    Trial::play(&broker.address, &proxy, setting, test)
}

fn kill_at(trial: &Trial<'_>, api: i16, fault: Fault) {
    for _ in 0..2 {
        trial.wave(WAVE);
        let struck = trial.proxy.struck();
        trial.proxy.arm(api, fault);
        trial.await_struck(struck, 1);
        trial.kill("pod-0");
        trial.proxy.disarm();
        trial.start("pod-0");
    }
    gone_and_more(trial);
}

/// Everyone so far goes, and so do those who come now.
fn gone_and_more(trial: &Trial<'_>) {
    let wave = trial.wave(WAVE);
    trial.await_gone(&wave);
    trial.await_all();
}

fn nothing_leaves_until_accepted(trial: &Trial<'_>, doubt: &str) {
    let wave = trial.wave(WAVE);
    trial.pass_by();
    assert_eq!(trial.missing(&wave), wave.len(), "its source is in doubt\n{}", trial.tails());
    trial.accept(doubt);
    trial.await_gone(&wave);
    gone_and_more(trial);
}

/// Nothing that was committed can be trusted: it ends and says why, and sends nothing.
fn refuses_to_start(trial: &Trial<'_>, why: &str) {
    trial.start("pod-0");
    let code = trial.ended("pod-0");
    assert!(code == Some(1) && trial.tails().contains(why), "{code:?}\n{}", trial.tails());
}

fn admin(trial: &Trial<'_>) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", &trial.application.bootstrap).create().unwrap()
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn delete_records(trial: &Trial<'_>, before: &TopicPartitionList) {
    let deleted = wait(admin(trial).delete_records(before, &AdminOptions::new())).unwrap();
    deleted.elements().iter().for_each(|partition| partition.error().unwrap());
}

fn set_cleanup(trial: &Trial<'_>, state: &str, policy: &str) {
    let config = AlterConfig::new(ResourceSpecifier::Topic(state))
        .set("cleanup.policy", policy)
        .set("retention.ms", "-1")
        .set("max.compaction.lag.ms", "604800000")
        .set("segment.ms", "86400000");
    wait(admin(trial).alter_configs([&config], &AdminOptions::new())).unwrap().remove(0).unwrap();
}

/// Where the header of a state partition stands: not at its beginning, where the first transaction was aborted.
fn header(trial: &Trial<'_>, state: &str, partition: i32) -> i64 {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &trial.application.bootstrap)
        .set("group.id", "header")
        .set("isolation.level", "read_committed")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(state, partition, Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        assert!(Instant::now() < deadline, "{state} has no header");
        let Some(Ok(record)) = consumer.poll(Duration::from_secs(1)) else { continue };
        if record.key() == Some(lapsed::wire::state::HEADER_KEY) {
            return record.offset();
        }
    }
}

/// Until nobody knows of it any more.
fn delete_topic(trial: &Trial<'_>, topic: &str) {
    let deleted = wait(admin(trial).delete_topics(&[topic], &AdminOptions::new())).unwrap();
    deleted.into_iter().for_each(|topic| _ = topic.unwrap());
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", &trial.application.bootstrap).create().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while consumer
        .fetch_metadata(None, Duration::from_secs(10))
        .unwrap()
        .topics()
        .iter()
        .any(|known| known.name() == topic)
    {
        assert!(Instant::now() < deadline, "{topic} can't be deleted");
        std::thread::sleep(Duration::from_millis(200));
    }
}
