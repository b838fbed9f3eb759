//! Apache Kafka itself, one KRaft node from jars: started by the first test that needs it, ended with the
//! test process, however that ends. `LAPSED_TEST_KAFKA=host:port` names yours instead.

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A running broker. Its second listener advertises the address of a proxy, so that whoever begins at
/// the proxy stays with it.
pub struct Broker {
    pub address: String,
    /// Where the second listener listens.
    pub behind_proxy: String,
    /// Where it says that it listens: the proxy's place.
    pub proxy: String,
    _process: Option<Child>,
    _data: Option<tempfile::TempDir>,
}

/// The broker of this test process.
pub fn broker() -> &'static Broker {
    static BROKER: OnceLock<Broker> = OnceLock::new();
    BROKER.get_or_init(|| match std::env::var("LAPSED_TEST_KAFKA") {
        Ok(address) => {
            Broker { behind_proxy: String::new(), proxy: String::new(), address, _process: None, _data: None }
        }
        Err(_) => start(),
    })
}

pub fn bootstrap() -> String {
    broker().address.clone()
}

pub(super) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Apache Kafka's jars, fetched once.
pub(super) fn jars() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let lib = std::env::var_os("LAPSED_KAFKA_CACHE").map_or_else(|| root.join(".cache/kafka"), PathBuf::from);
    let complete = lib.join("complete");
    if !complete.exists() {
        std::fs::create_dir_all(&lib).unwrap();
        let fetched = Command::new("mvn")
            .args(["-q", "-B", "-f"])
            .arg(root.join("tests/support/kafka/pom.xml"))
            .arg("dependency:copy-dependencies")
            .arg(format!("-DoutputDirectory={}", lib.display()))
            .status()
            .expect("Maven fetches Apache Kafka's jars: install it (Debian: maven), or set LAPSED_TEST_KAFKA");
        assert!(fetched.success(), "Maven could not fetch Apache Kafka's jars");
        std::fs::write(complete, "").unwrap();
    }
    lib
}

fn java(jars: &Path, memory: &str) -> Command {
    let mut java = Command::new("java");
    java.arg(memory).arg("-cp").arg(format!("{}/*", jars.display()));
    java
}

/// One node's ports on this machine.
pub(super) struct Ports {
    pub plain: u16,
    pub behind_proxy: u16,
    pub proxy: u16,
    pub controller: u16,
}

impl Ports {
    pub fn free() -> Ports {
        Ports { plain: free_port(), behind_proxy: free_port(), proxy: free_port(), controller: free_port() }
    }
}

/// Settings of the node at `place` of a cluster whose nodes have these ports.
pub(super) fn settings(place: usize, ports: &[Ports], log: &Path) -> Vec<String> {
    let Ports { plain, behind_proxy: behind, proxy, controller } = ports[place];
    let voters = ports.iter().zip(1..).map(|(ports, id)| format!("{id}@127.0.0.1:{}", ports.controller));
    let (replicas, in_sync_min) = (ports.len(), ports.len().div_ceil(2));
    vec![
        "process.roles=broker,controller".to_owned(),
        format!("node.id={}", place + 1),
        format!("controller.quorum.voters={}", voters.collect::<Vec<_>>().join(",")),
        format!("listeners=PLAIN://127.0.0.1:{plain},PROXIED://127.0.0.1:{behind},CONTROLLER://127.0.0.1:{controller}"),
        format!("advertised.listeners=PLAIN://127.0.0.1:{plain},PROXIED://127.0.0.1:{proxy}"),
        "listener.security.protocol.map=PLAIN:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned(),
        "inter.broker.listener.name=PLAIN".to_owned(),
        "controller.listener.names=CONTROLLER".to_owned(),
        format!("log.dirs={}", log.display()),
        format!("min.insync.replicas={in_sync_min}"),
        format!("offsets.topic.replication.factor={replicas}"),
        "offsets.topic.num.partitions=4".to_owned(),
        format!("transaction.state.log.replication.factor={replicas}"),
        format!("transaction.state.log.min.isr={in_sync_min}"),
        "transaction.state.log.num.partitions=4".to_owned(),
        // A transaction that nobody ends is ended soon, so that a test can wait for it.
        "transaction.abort.timed.out.transaction.cleanup.interval.ms=1000".to_owned(),
        "share.coordinator.state.topic.replication.factor=1".to_owned(),
        "group.initial.rebalance.delay.ms=0".to_owned(),
        "group.min.session.timeout.ms=1000".to_owned(),
        "auto.create.topics.enable=false".to_owned(),
    ]
}

/// Formats a node's storage for `settings`; returns the file that holds them.
pub(super) fn format_storage(jars: &Path, directory: &Path, settings: &[String], more: &[String]) -> PathBuf {
    let properties = directory.join("server.properties");
    std::fs::write(&properties, settings.join("\n")).unwrap();
    let formatted = java(jars, "-Xmx256m")
        .args(["kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c"])
        .arg(&properties)
        .args(more)
        .stdout(Stdio::null())
        .status()
        .expect("Apache Kafka needs Java 17: install it (Debian: openjdk-17-jre-headless)");
    assert!(formatted.success(), "Kafka's storage could not be formatted");
    properties
}

/// The shell ends the node when the pipe to it closes: that is when this process ends, even by kill -9.
pub(super) fn launch(jars: &Path, memory: &str, properties: &Path) -> Child {
    let log = properties.with_file_name("broker.log");
    let log = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
    Command::new("sh")
        .args(["-c", r#"java "$@" </dev/null & broker=$!; cat >/dev/null; kill -9 $broker"#, "sh"])
        .args([memory, "-cp", &format!("{}/*", jars.display()), "kafka.Kafka"])
        .arg(properties)
        .stdin(Stdio::piped())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn start() -> Broker {
    let jars = jars();
    let data = tempfile::tempdir().unwrap();
    let ports = [Ports::free()];
    let properties = format_storage(&jars, data.path(), &settings(0, &ports, &data.path().join("log")), &[]);
    let process = launch(&jars, "-Xmx1g", &properties);
    let [Ports { plain, behind_proxy, proxy, .. }] = ports;
    let broker = Broker {
        address: format!("127.0.0.1:{plain}"),
        behind_proxy: format!("127.0.0.1:{behind_proxy}"),
        proxy: format!("127.0.0.1:{proxy}"),
        _process: Some(process),
        _data: Some(data),
    };
    await_broker(&broker.address);
    broker
}

/// Three KRaft nodes that replicate everything, of which one may be missing.
pub struct Cluster {
    ports: Vec<Ports>,
    properties: Vec<PathBuf>,
    processes: Vec<Option<Child>>,
    jars: PathBuf,
    _data: tempfile::TempDir,
}

impl Cluster {
    pub fn start() -> Cluster {
        let (jars, data) = (jars(), tempfile::tempdir().unwrap());
        let ports: Vec<Ports> = (0..3).map(|_| Ports::free()).collect();
        let node = |place: usize| {
            let directory = data.path().join(format!("node-{place}"));
            std::fs::create_dir_all(&directory).unwrap();
            format_storage(&jars, &directory, &settings(place, &ports, &directory.join("log")), &[])
        };
        let properties: Vec<PathBuf> = (0..3).map(node).collect();
        let processes = (0..3).map(|_| None).collect();
        let mut cluster = Cluster { ports, properties, processes, jars, _data: data };
        (0..3).for_each(|place| cluster.launch(place));
        (0..3).for_each(|place| await_broker(&format!("127.0.0.1:{}", cluster.ports[place].plain)));
        cluster
    }

    /// Past any proxy.
    pub fn bootstrap(&self) -> String {
        self.ports.iter().map(|ports| format!("127.0.0.1:{}", ports.plain)).collect::<Vec<_>>().join(",")
    }

    /// Where each says that it listens, and where it does.
    pub fn proxied(&self) -> Vec<(String, String)> {
        let address = |port: u16| format!("127.0.0.1:{port}");
        self.ports.iter().map(|ports| (address(ports.proxy), address(ports.behind_proxy))).collect()
    }

    pub fn launch(&mut self, place: usize) {
        self.processes[place] = Some(launch(&self.jars, "-Xmx384m", &self.properties[place]));
    }

    /// By kill -9.
    pub fn kill(&mut self, place: usize) {
        if let Some(mut process) = self.processes[place].take() {
            drop(process.stdin.take());
            process.wait().unwrap();
        }
    }

    /// Waits until a node that was launched answers.
    pub fn await_node(&self, place: usize) {
        await_broker(&format!("127.0.0.1:{}", self.ports[place].plain));
    }
}

pub(super) fn await_broker(address: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", address).set("log_level", "0").create().unwrap();
    while consumer.fetch_metadata(None, Duration::from_secs(2)).map_or(true, |found| found.brokers().is_empty()) {
        assert!(Instant::now() < deadline, "the broker at {address} did not answer within a minute");
    }
}

/// Creates a topic, deleted with the broker.
pub fn create_topic(bootstrap: &str, name: &str, partitions: i32) {
    create_topic_with(bootstrap, name, partitions, &[]);
}

pub fn create_topic_with(bootstrap: &str, name: &str, partitions: i32, settings: &[(&str, &str)]) {
    create_topic_replicated(bootstrap, name, partitions, 1, settings);
}

pub fn create_topic_replicated(bootstrap: &str, name: &str, partitions: i32, replicas: i32, settings: &[(&str, &str)]) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap();
    let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(replicas));
    for (key, value) in settings {
        topic = topic.set(key, value);
    }
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(20)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let created = runtime.block_on(admin.create_topics([&topic], &options)).unwrap();
    created.into_iter().for_each(|topic| _ = topic.unwrap());
}

/// A name that no other test uses.
pub fn unique(name: &str) -> String {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    format!("{name}-{}-{count}", std::process::id())
}
