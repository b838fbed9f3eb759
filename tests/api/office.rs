//! Instances with shards in memory, listening on loopback; the cluster between them is played here.

use crate::rig::{self, Entry, progress};
use lapsed::config::{Config, May, Secret, Token};
use lapsed::http::desk::Desk;
use lapsed::http::outside::{EvidenceOf, ForAudit, ForShard, Outside, OutsideError, PeerAnswer};
use lapsed::retention::calendar::Timestamp;
use lapsed::telemetry::metrics::Metrics;
use lapsed::track::outputs::Outputs;
use lapsed::track::questions::{Questions, queue};
use lapsed::track::shard::{Home, Input, Shard};
use lapsed::track::status::TrackStatus;
use lapsed::wire::partition::shard_of;
use lapsed::wire::progress::PartitionProgress;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub const SHARDS: u32 = 4;
pub const DESK: &str = "the secret of the desk";
pub const PRIVACY: &str = "the secret of the privacy officer";

/// What instances share: the log, audit, and who owns what.
#[derive(Default)]
pub struct Cluster {
    pub owners: Mutex<BTreeMap<u32, String>>,
    log: Mutex<Vec<(u32, Entry)>>,
    pub audit: Mutex<Vec<(String, Value)>>,
    pub peers_asked: AtomicU32,
    pub audit_fails: AtomicBool,
    now: AtomicI64,
}

struct InMemory(Arc<Cluster>);

impl Outside for InMemory {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.now.load(Ordering::Relaxed))
    }

    fn owners(&self, _fresh: bool) -> Result<BTreeMap<u32, String>, OutsideError> {
        Ok(self.0.owners.lock().unwrap().clone())
    }

    fn ask_peer(
        &self,
        address: &str,
        path: &str,
        authorization: Option<&str>,
        body: &[u8],
    ) -> Result<PeerAnswer, OutsideError> {
        self.0.peers_asked.fetch_add(1, Ordering::Relaxed);
        let (status, body) = post(&format!("http://{address}{path}"), authorization, body);
        Ok((status, body.into_bytes()))
    }

    fn append(&self, records: Vec<ForShard>) -> Result<(), OutsideError> {
        let mut log = self.0.log.lock().unwrap();
        let append = self.0.now.load(Ordering::Relaxed);
        log.extend(
            records.into_iter().map(|record| (record.shard, Entry { append, key: record.key, value: record.value })),
        );
        Ok(())
    }

    fn audit(&self, records: Vec<ForAudit>) -> Result<(), OutsideError> {
        if self.0.audit_fails.load(Ordering::Relaxed) {
            return Err(OutsideError("the brokers take nothing now".to_owned()));
        }
        let told = |record: ForAudit| (record.key, serde_json::from_slice(&record.value).unwrap());
        self.0.audit.lock().unwrap().extend(records.into_iter().map(told));
        Ok(())
    }

    fn evidence(&self, _config: &Arc<Config>, of: &EvidenceOf, as_text: bool) -> Result<Option<String>, OutsideError> {
        let found = |customer: &str| customer == "4711";
        let printed = if as_text { "evidence about" } else { "{\"entries\": []}" };
        Ok(match of {
            EvidenceOf::Customer(customer) => found(customer).then(|| printed.to_owned()),
            EvidenceOf::Policy(policy, ..) => (policy == "offers").then(|| printed.to_owned()),
        })
    }
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None);
    config.timeout_global(Some(Duration::from_secs(60))).build().into()
}

fn read(response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> (u16, String) {
    let mut response = response.unwrap();
    (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
}

pub fn post(url: &str, authorization: Option<&str>, body: &[u8]) -> (u16, String) {
    let mut request = agent().post(url).header("content-type", "application/json");
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    read(request.send(body))
}

pub fn get(url: &str) -> (u16, String) {
    read(agent().get(url).call())
}

/// Some instances over one cluster; each owns its part of the shards.
pub struct Office {
    pub cluster: Arc<Cluster>,
    pub config: Arc<Config>,
    pub addresses: Vec<String>,
    desks: Vec<Arc<Desk>>,
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

pub fn text() -> String {
    rig::text().replace("topics: {partitions: 1}", &format!("topics: {{partitions: {SHARDS}}}"))
}

fn tokens() -> BTreeMap<String, Token> {
    let token = |secret: &str, may| Token { secret: Some(Secret(secret.to_owned())), may };
    BTreeMap::from([
        ("desk".to_owned(), token(DESK, May::LookUp)),
        ("privacy".to_owned(), token(PRIVACY, May::Operate)),
    ])
}

impl Office {
    /// Begins with a log, at the instant of its last record.
    pub fn open(instances: u32, entries: Vec<Entry>) -> Office {
        let mut config = Config::clone(&rig::config(&text()));
        config.http.tokens = tokens();
        let config = Arc::new(config);
        let cluster = Arc::new(Cluster::default());
        cluster.now.store(entries.last().unwrap().append, Ordering::Relaxed);
        *cluster.log.lock().unwrap() = entries.into_iter().flat_map(for_shards).collect();
        let mut office = Office {
            cluster,
            config,
            addresses: Vec::new(),
            desks: Vec::new(),
            stop: Arc::default(),
            threads: Vec::new(),
        };
        (0..instances).for_each(|instance| office.start(instance, instances));
        office
    }

    fn start(&mut self, instance: u32, instances: u32) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let track = Arc::new(TrackStatus::new(Arc::new(Metrics::new())));
        let (asker, questions) = queue();
        let outside = Arc::new(InMemory(self.cluster.clone()));
        let desk = Arc::new(Desk::new(self.config.clone(), asker, track.clone(), outside));
        let own: Vec<u32> = (0..SHARDS).filter(|shard| shard % instances == instance).collect();
        self.cluster.owners.lock().unwrap().extend(own.iter().map(|shard| (*shard, address.clone())));
        let (cluster, config, stop) = (self.cluster.clone(), self.config.clone(), self.stop.clone());
        let restored = Arc::new(AtomicBool::new(false));
        let is_restored = restored.clone();
        self.threads
            .push(std::thread::spawn(move || work(&own, &cluster, &config, &track, questions, &stop, &is_restored)));
        while !restored.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let served = desk.clone();
        // It ends with the process.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                lapsed::http::serve(listener, None, served).await.unwrap();
            });
        });
        self.addresses.push(address);
        self.desks.push(desk);
    }

    pub fn ask(&self, path: &str, secret: &str, body: &Value) -> (u16, Value) {
        self.ask_at(0, path, secret, body)
    }

    pub fn ask_at(&self, instance: usize, path: &str, secret: &str, body: &Value) -> (u16, Value) {
        let url = format!("http://{}/api/v1/{path}", self.addresses[instance]);
        let (status, body) = post(&url, Some(&format!("Bearer {secret}")), body.to_string().as_bytes());
        (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
    }

    /// What is answered when it must be.
    pub fn told(&self, path: &str, secret: &str, body: &Value) -> Value {
        let (status, answer) = self.ask(path, secret, body);
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    pub fn get(&self, path: &str) -> (u16, String) {
        get(&format!("http://{}{path}", self.addresses[0]))
    }

    /// The log goes on.
    pub fn append(&self, entries: Vec<Entry>) {
        self.cluster.now.fetch_max(entries.iter().map(|entry| entry.append).max().unwrap(), Ordering::Relaxed);
        self.cluster.log.lock().unwrap().extend(entries.into_iter().flat_map(for_shards));
    }

    /// Records are missing from now on, which closes the gate.
    pub fn lose_records(&self, now: i64) {
        let gap = |partition: &mut PartitionProgress| partition.gap = Some(Timestamp(now));
        self.append(vec![rig::progress_with(now, &self.config, gap)]);
        let status = || serde_json::from_str::<Value>(&self.get("/api/v1/status").1).unwrap();
        self.until(|| (status()["sources"][0]["shards_closed"] == SHARDS).then_some(()));
    }

    pub fn desk(&self, instance: usize) -> &Desk {
        &self.desks[instance]
    }

    pub fn audited(&self) -> Vec<(String, Value)> {
        self.cluster.audit.lock().unwrap().clone()
    }

    /// Until an answer is as it should be.
    pub fn until<T>(&self, mut found: impl FnMut() -> Option<T>) -> T {
        for _ in 0..2_000 {
            if let Some(found) = found() {
                return found;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("it did not come to be");
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
    }
}

/// A customer's record goes to their shard, any other to all.
fn for_shards(entry: Entry) -> Vec<(u32, Entry)> {
    match &entry.key {
        Some(key) => vec![(shard_of(key, SHARDS), entry)],
        None => (0..SHARDS).map(|shard| (shard, entry.clone())).collect(),
    }
}

/// The worker of an instance: reads its shards' logs, and answers between batches.
fn work(
    own: &[u32],
    cluster: &Cluster,
    config: &Arc<Config>,
    track: &TrackStatus,
    mut questions: Questions,
    stop: &AtomicBool,
    is_restored: &AtomicBool,
) {
    let home = |partition| Home { partition, partitions: SHARDS, cluster: "test".to_owned() };
    let mut shards: BTreeMap<u32, Shard> =
        own.iter().map(|partition| (*partition, Shard::new(home(*partition), config.clone()))).collect();
    for (partition, shard) in &mut shards {
        shard.finish_restore(false).unwrap();
        track.running(*partition);
    }
    let mut read = 0;
    while !stop.load(Ordering::Relaxed) {
        let new: Vec<(u32, Entry)> = cluster.log.lock().unwrap()[read..].to_vec();
        // What was appended at one time makes a batch.
        for batch in new.chunk_by(|(_, one), (_, next)| one.append == next.append) {
            let (first, wall) = (read, batch[0].1.append);
            read += batch.len();
            for (partition, shard) in &mut shards {
                shard.begin();
                for (place, (_, entry)) in batch.iter().enumerate().filter(|(_, (of, _))| of == partition) {
                    let (key, value) = (entry.key.as_deref(), Some(entry.value.as_slice()));
                    let offset = i64::try_from(first + place).unwrap();
                    let _ = shard.apply(Input { offset, append_ms: entry.append * 1000, key, value });
                }
                let mut out = Outputs::default();
                let _ = shard.decide(wall * 1000, rig::BUDGET, &mut out);
                shard.changelog(&mut out);
                shard.commit();
                track.observe(*partition, shard, true);
            }
        }
        is_restored.store(true, Ordering::Relaxed);
        questions.turn(|partition| shards.get(&partition));
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A customer of each shard.
pub fn one_of_each() -> Vec<String> {
    let of = |shard: u32| (0..).map(|number| format!("c{number}")).find(|id| shard_of(id.as_bytes(), SHARDS) == shard);
    (0..SHARDS).map(|shard| of(shard).unwrap()).collect()
}

/// Everyone was last seen on a day, and nothing since; now is another.
pub fn seen(customers: &[String], day: i64, now: i64) -> Vec<Entry> {
    let config = rig::config(&text());
    let mut entries: Vec<Entry> = customers.iter().map(|customer| rig::activity(day, customer, "login", day)).collect();
    entries.push(progress(day, &config));
    entries.push(progress(now, &config));
    entries
}
