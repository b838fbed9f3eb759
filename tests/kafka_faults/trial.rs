//! One application of its own while something goes wrong: customers who come once and are due soon, a source
//! that never falls silent, a target that answers, and a judge who saw it all.

use crate::support::proxy::Proxy;
use crate::support::service::{Application, Instance, instant, now_ms, target_obeys, text};
use rdkafka::ClientConfig;
use rdkafka::Message;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub const PERIOD_SECONDS: i64 = 4;
pub const LATENESS_SECONDS: i64 = 3;
/// Far more than anything takes on an idle machine: it is shared.
const PATIENCE: Duration = Duration::from_secs(240);

/// What is different in a trial's configuration.
#[derive(Clone, Copy)]
pub struct Setting {
    pub replicas: u32,
    pub lateness_seconds: i64,
    pub max_silence: &'static str,
    /// After how long our own records of a customer go, and the hash that is left of them, if soon.
    pub forgets: Option<(&'static str, &'static str)>,
}

pub const SETTING: Setting =
    Setting { replicas: 1, lateness_seconds: LATENESS_SECONDS, max_silence: "PT2M", forgets: None };

pub fn yaml(name: &str, bootstrap: &str, setting: Setting) -> String {
    let Setting { replicas, lateness_seconds, max_silence, forgets } = setting;
    let forget = forgets.map_or(String::new(), |(after, for_as_long)| {
        format!("forget: {{after: {after}, suppress_for: {for_as_long}}}\n")
    });
    format!(
        "application: {name}
time_zone: Europe/Amsterdam
short_periods: true
max_gate_lag: PT20S
brake: {{per_day: 100%, at_least: 1000000}}
{forget}kafka: {{bootstrap.servers: '{bootstrap}', session.timeout.ms: 6000, heartbeat.interval.ms: 1000, socket.timeout.ms: 8000}}
evidence: {{key: a key of this test only}}
http: {{listen: '127.0.0.1:0'}}
topics: {{partitions: 4, replication_factor: {replicas}}}
sources:
  shop:
    topics: [{name}.activity]
    customer: /customer
    time: /at
    history_from: beginning
    allowed_lateness: PT{lateness_seconds}S
    max_silence: {max_silence}
    rules: [{{when: {{/event: seen}}, activity: seen}}]
targets:
  crm: {{topic: {name}.crm, acknowledge_within: PT20S}}
policies:
  offers:
    purpose: {{en: Offers that fit until some seconds after the last visit}}
    lawful_basis: legitimate_interest
    interest: {{en: keeping customers}}
    categories: [email, name]
    since_last: [seen]
    stages: [{{after: PT{PERIOD_SECONDS}S, command: expire}}]
    targets: [crm]
    mode: enforce
    review_by: 2099-01-01
"
    )
}

/// What the source has reported of a customer, and when the brokers had it for certain.
#[derive(Clone, Copy, Debug)]
struct Event {
    at_ms: i64,
    appended_ms: i64,
}

/// What a source can still deliver keeps what is left of the forgotten.
fn keep_records_for(bootstrap: &str, topic: &str, time: Duration) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap();
    let milliseconds = time.as_millis().to_string();
    // A record goes with its segment.
    let config =
        AlterConfig::new(ResourceSpecifier::Topic(topic)).set("retention.ms", &milliseconds).set("segment.ms", "60000");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let altered = runtime.block_on(admin.alter_configs([&config], &AdminOptions::new())).unwrap();
    altered.into_iter().for_each(|topic| _ = topic.unwrap());
}

/// What a trial comes to.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub customers: usize,
    pub commands: usize,
    pub lost: usize,
    pub twice: usize,
    pub early: usize,
}

impl Verdict {
    pub fn is_clean(&self) -> bool {
        (self.lost, self.twice, self.early) == (0, 0, 0)
    }
}

pub struct Trial<'p> {
    pub application: Application,
    pub proxy: &'p Proxy,
    setting: Setting,
    producer: ThreadedProducer<DefaultProducerContext>,
    events: Mutex<BTreeMap<String, Vec<Event>>>,
    /// Who never comes back.
    gone: Mutex<BTreeSet<String>>,
    commands: Mutex<Vec<Value>>,
    instances: Mutex<BTreeMap<String, Instance>>,
    /// They are not started again when they end.
    down: Mutex<BTreeSet<String>>,
    waves: AtomicU32,
    /// Nobody visits.
    pub quiet: AtomicBool,
    stop: AtomicBool,
}

impl<'p> Trial<'p> {
    /// Plays `test` with one instance that runs, and judges. `direct` is the brokers' address past the proxy.
    pub fn play(direct: &str, proxy: &'p Proxy, setting: Setting, test: impl FnOnce(&Trial<'p>)) -> Verdict {
        let application = Application::new(direct, |name, _| yaml(name, &proxy.address, setting));
        application.create_topics_replicated(i32::try_from(setting.replicas).unwrap());
        if setting.forgets.is_some() {
            keep_records_for(direct, &application.topic("activity"), Duration::from_secs(180));
        }
        let producer = ClientConfig::new()
            .set("bootstrap.servers", direct)
            .set("enable.idempotence", "true")
            .set("partitioner", "murmur2_random")
            .create()
            .unwrap();
        let trial = Trial {
            application,
            proxy,
            setting,
            producer,
            events: Mutex::default(),
            gone: Mutex::default(),
            commands: Mutex::default(),
            instances: Mutex::default(),
            down: Mutex::default(),
            waves: AtomicU32::new(0),
            quiet: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        };
        std::thread::scope(|scope| {
            scope.spawn(|| target_obeys(&trial.application, |_| true, &trial.commands, &trial.stop));
            scope.spawn(|| trial.live());
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                trial.start("pod-0");
                trial.application.await_shards();
                test(&trial);
                trial.proxy.disarm();
                // Whoever is sent something twice is sent it soon.
                std::thread::sleep(Duration::from_secs(3));
            }));
            trial.proxy.disarm();
            trial.stop.store(true, Ordering::Relaxed);
            outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        });
        trial.verdict()
    }

    /// Some always visit, so that the source never falls silent.
    fn live(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            if !self.quiet.load(Ordering::Relaxed) {
                self.see(&["stays-0".to_owned(), "stays-1".to_owned(), "stays-2".to_owned()]);
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// Customers do something now.
    pub fn see(&self, customers: &[String]) {
        let at_ms = now_ms();
        let payloads = customers.iter().map(|customer| json!({"customer": customer, "event": "seen", "at": at_ms}));
        self.send(payloads);
        self.note(customers, at_ms, now_ms());
    }

    /// The judge knows that customers did something, and when the brokers had it.
    pub fn note(&self, customers: &[String], at_ms: i64, appended_ms: i64) {
        let mut events = self.events.lock().unwrap();
        for customer in customers {
            events.entry(customer.clone()).or_default().push(Event { at_ms, appended_ms });
        }
    }

    pub fn send(&self, payloads: impl Iterator<Item = Value>) {
        let topic = self.application.topic("activity");
        for payload in payloads {
            let (key, payload) = (payload["customer"].to_string(), payload.to_string());
            let mut record = BaseRecord::to(&topic).key(&key).payload(&payload);
            while let Err((_, again)) = self.producer.send(record) {
                std::thread::sleep(Duration::from_millis(50));
                record = again;
            }
        }
        self.producer.flush(Duration::from_secs(120)).unwrap();
    }

    /// So many customers come and never come back.
    pub fn wave(&self, size: usize) -> Vec<String> {
        let wave = self.waves.fetch_add(1, Ordering::Relaxed);
        let customers: Vec<String> = (0..size).map(|number| format!("wave-{wave}-{number}")).collect();
        self.see(&customers);
        self.gone.lock().unwrap().extend(customers.iter().cloned());
        customers
    }

    /// Waits until each of them has had a command.
    pub fn await_gone(&self, customers: &[String]) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let missing = self.missing(customers);
            if missing == 0 {
                return;
            }
            self.revive();
            assert!(Instant::now() < deadline, "{missing} of {} had no command\n{}", customers.len(), self.tails());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Waits until everyone who never comes back has had a command.
    pub fn await_all(&self) {
        let gone: Vec<String> = self.gone.lock().unwrap().iter().cloned().collect();
        self.await_gone(&gone);
    }

    /// How many of them have had none.
    pub fn missing(&self, customers: &[String]) -> usize {
        let commands = self.commands.lock().unwrap();
        let told: BTreeSet<&str> = commands.iter().map(|command| text(command, "customer")).collect();
        customers.iter().filter(|customer| !told.contains(customer.as_str())).count()
    }

    /// Long enough for anything that might leave to have left.
    pub fn pass_by(&self) {
        std::thread::sleep(Duration::from_secs(
            u64::try_from(PERIOD_SECONDS + self.setting.lateness_seconds + 8).unwrap(),
        ));
    }

    pub fn start(&self, pod: &str) {
        self.down.lock().unwrap().remove(pod);
        self.instances.lock().unwrap().insert(pod.to_owned(), self.application.start(pod));
    }

    /// By kill -9; it stays down.
    pub fn kill(&self, pod: &str) {
        self.down.lock().unwrap().insert(pod.to_owned());
        self.instances.lock().unwrap().remove(pod);
    }

    pub fn signal(&self, pod: &str, signal: &str) {
        self.instances.lock().unwrap()[pod].signal(signal);
    }

    /// Waits until an instance ends by itself; its exit code.
    pub fn ended(&self, pod: &str) -> Option<i32> {
        self.down.lock().unwrap().insert(pod.to_owned());
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.instances.lock().unwrap().get_mut(pod).unwrap().child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "{pod} does not end\n{}", self.tails());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Starts again what has ended, as Kubernetes would.
    pub fn revive(&self) {
        let down = self.down.lock().unwrap();
        for (pod, instance) in self.instances.lock().unwrap().iter_mut() {
            if !down.contains(pod) && instance.child.try_wait().unwrap().is_some() {
                *instance = self.application.start(pod);
            }
        }
    }

    pub fn tails(&self) -> String {
        self.instances.lock().unwrap().values().map(Instance::tail).collect::<Vec<_>>().join("\n--\n")
    }

    /// All that an instance, and those of its name before it, have logged.
    pub fn log(&self, pod: &str) -> String {
        self.instances.lock().unwrap()[pod].log_text()
    }

    /// Process id of an instance.
    pub fn pid(&self, pod: &str) -> u32 {
        self.instances.lock().unwrap()[pod].child.id()
    }

    /// Waits for the faults that are armed to have struck so often since `before`.
    pub fn await_struck(&self, before: usize, times: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.proxy.struck() < before + times {
            self.revive();
            assert!(Instant::now() < deadline, "no fault struck\n{}", self.tails());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn lapsed(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lapsed"));
        command.args(arguments).arg("-c").arg(self.application.file()).output().unwrap()
    }

    /// A person accepts a doubt as soon as it is there.
    pub fn accept(&self, doubt: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let output = self.lapsed(&["accept", "shop", doubt, "--reason", "a trial", "--by", "the trial"]);
            if output.status.success() {
                return;
            }
            self.revive();
            assert!(Instant::now() < deadline, "{output:?}");
        }
    }

    /// Of how many our own record has gone, as evidence tells.
    pub fn forgotten(&self) -> usize {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.application.bootstrap)
            .set("group.id", self.application.topic("auditor"))
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", "read_committed")
            .create()
            .unwrap();
        consumer.subscribe(&[&self.application.topic("audit")]).unwrap();
        let (mut forgotten, mut heard) = (0, Instant::now());
        while heard.elapsed() < Duration::from_secs(15) {
            let Some(Ok(message)) = consumer.poll(Duration::from_millis(200)) else { continue };
            heard = Instant::now();
            let entry: Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
            forgotten += usize::from(entry["entry"] == "forgotten");
        }
        forgotten
    }

    fn verdict(&self) -> Verdict {
        let (events, commands) = (self.events.lock().unwrap(), self.commands.lock().unwrap());
        let gone = self.gone.lock().unwrap();
        let recalled: BTreeSet<&str> =
            commands.iter().filter_map(|command| command["data"]["recalls"].as_str()).collect();
        let mut attempts = BTreeSet::new();
        let attempt = |sent: &Value| (sent["id"].to_string(), sent["data"]["attempt"].as_u64());
        let mut twice = commands.iter().filter(|sent| !attempts.insert(attempt(sent))).count();
        let mut removals: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let mut early = 0;
        for command in commands.iter().filter(|command| text(command, "command") == "expire") {
            let (customer, id) = (text(command, "customer"), command["id"].as_str().unwrap());
            if !recalled.contains(id) {
                removals.entry(customer).or_default().insert(id);
            }
            early += usize::from(self.is_early(command, &events[customer]));
        }
        let of = |customer: &String| removals.get(customer.as_str()).map_or(0, BTreeSet::len);
        twice += gone.iter().filter(|customer| of(customer) > 1).count();
        let lost = gone.iter().filter(|customer| of(customer) == 0).count();
        Verdict { customers: gone.len(), commands: commands.len(), lost, twice, early }
    }

    /// Not after its deadline and lateness, or in spite of something that had come in by then.
    fn is_early(&self, command: &Value, events: &[Event]) -> bool {
        let (deadline, since) = (instant(&command["data"]["deadline"]), instant(&command["data"]["since"]["date"]));
        let proven = deadline + self.setting.lateness_seconds;
        let in_time = events.iter().filter(|event| event.appended_ms <= proven * 1000);
        let known = in_time.map(|event| (event.at_ms + 999).div_euclid(1000)).max();
        instant(&command["time"]) < proven
            || deadline != since + PERIOD_SECONDS
            || known.is_some_and(|known| known > since)
    }
}
