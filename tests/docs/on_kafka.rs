//! What needs Kafka runs on Kafka: the pages are played from top to bottom, as their reader would.

use crate::commands::{Needs, Shown, of_block};
use crate::elsewhere::{is_written_by_us, values};
use crate::markdown::Page;
use crate::pages;
use crate::place::{Place, TOKENS, text};
use crate::support::broker::{bootstrap, create_topic, unique};
use crate::support::service::{now_ms, read_committed, until};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::net::TcpListener;
use std::process::{Child, Command};
use std::time::{Duration, Instant, SystemTime};

const PATIENCE: Duration = Duration::from_secs(90);
/// Topics that pages name, and that only one scene may have.
const TOPICS: [&str; 8] = [
    "shop.customers.baseline",
    "shop.public.orders",
    "web.events",
    "crm.events",
    "crm.commands",
    "mail.commands",
    "quick.web",
    "quick.crm",
];
/// The minute of config/quick.yaml, here.
const MINUTE: Duration = Duration::from_secs(6);
const DAY_MS: i64 = 86_400_000;

/// Services that a reader has started, and what they wrote down on the way.
struct Scene {
    place: Place,
    bootstrap: String,
    name: String,
    /// By configuration.
    running: BTreeMap<String, Child>,
    /// Configurations that were made to fit, and where their services listen.
    fitted: BTreeMap<String, String>,
    /// Of the service that was started last.
    address: String,
    last_produced: Option<Instant>,
    ran: usize,
}

impl Drop for Scene {
    fn drop(&mut self) {
        for child in self.running.values_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn year() -> String {
    chrono::DateTime::<chrono::Utc>::from(SystemTime::now()).format("%Y-").to_string()
}

impl Scene {
    fn new(name: &str) -> Scene {
        let (bootstrap, name) = (bootstrap(), unique(name));
        let mut names: Vec<(String, String)> = [
            ("CUSTOMER", "4711".to_owned()),
            ("${KAFKA_BOOTSTRAP_SERVERS}", bootstrap.clone()),
            ("localhost:9092", bootstrap.clone()),
            ("after: PT1M", format!("after: PT{}S", MINUTE.as_secs())),
            ("after: PT2M", format!("after: PT{}S", 2 * MINUTE.as_secs())),
            ("application: lapsed", format!("application: {name}.lapsed")),
            ("application: quick", format!("application: {name}.quick")),
        ]
        .map(|(there, here)| (there.to_owned(), here))
        .to_vec();
        names.extend(TOPICS.map(|topic| (topic.to_owned(), format!("{name}.{topic}"))));
        let place = Place::new(names);
        Scene {
            place,
            bootstrap,
            name,
            running: BTreeMap::new(),
            fitted: BTreeMap::new(),
            address: String::new(),
            last_produced: None,
            ran: 0,
        }
    }

    fn topic(&self, name: &str) -> String {
        format!("{}.{name}", self.name)
    }

    /// Records with their timestamps, in one partition: their order counts.
    fn produce(&self, topic: &str, records: &[(i64, String)]) {
        let producer: ThreadedProducer<_> =
            ClientConfig::new().set("bootstrap.servers", &self.bootstrap).create().unwrap();
        let topic = self.topic(topic);
        for (at_ms, payload) in records {
            let record = BaseRecord::<(), _>::to(&topic).partition(0).payload(payload).timestamp(*at_ms);
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(Duration::from_secs(20)).unwrap();
    }

    /// The shop of config/lapsed.yaml, as its reader has it: 4711 was seen years ago, 4712 is seen now, and the
    /// web has been silent for three days.
    fn open_the_shop(&self) {
        for topic in &TOPICS[..6] {
            create_topic(&self.bootstrap, &self.topic(topic), 2);
        }
        let now = now_ms();
        let row = json!({"id": 4711, "exported_at": now, "created_at": "2019-05-01", "last_order_at": "2020-02-03",
                         "last_login_at": null});
        self.produce("shop.customers.baseline", &[(now, row.to_string())]);
        let order = json!({"op": "c", "after": {"customer_id": 4712, "status": "paid", "placed_at": now}});
        self.produce("shop.public.orders", &[(now, order.to_string())]);
        self.produce("crm.events", &[(now, json!({"event": "call", "customer_id": 4712}).to_string())]);
        let silent_since = now - 3 * DAY_MS;
        let login = json!({"event": "login", "user": "4712", "at": silent_since});
        self.produce("web.events", &[(silent_since, login.to_string())]);
    }

    /// What the page does not say of a configuration, because a reader's machine has room for it.
    fn fit(&self, name: &str) -> String {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let mut text = std::fs::read_to_string(self.place.path(name)).unwrap().replace("127.0.0.1:8080", &address);
        if !text.contains("\nhttp:") {
            let token = |(name, may): (&str, &str)| {
                format!(
                    "{name}: {{secret: 'file:{}', may: {may}}}",
                    self.place.path(&format!("secrets/{name}")).display()
                )
            };
            let tokens = TOKENS.map(token).join(", ");
            text += &format!("\nhttp: {{listen: '{address}', tokens: {{{tokens}}}}}\n");
        }
        if !text.contains("\ntopics:") {
            text += "\ntopics: {partitions: 4, replication_factor: 1}\n";
        }
        std::fs::write(self.place.path(name), text).unwrap();
        address
    }

    /// `lapsed run`: goes on until the page ends.
    fn start(&mut self, shown: &Shown) {
        let words = &shown.pipeline()[0];
        let name = values(words, "-c")[0].to_owned();
        if self.running.contains_key(&name) {
            return;
        }
        let address = self.address_of(&name);
        let log = File::create(self.place.path("service.log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_lapsed"))
            .args(&words[1..])
            .current_dir(self.place.directory.path())
            .env("HOSTNAME", "pod-0")
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.running.insert(name, child);
        let log = self.place.path("service.log");
        until(PATIENCE, || {
            let whole = Command::new(env!("CARGO_BIN_EXE_lapsed"))
                .args(["status", "--url", &format!("http://{address}")])
                .output()
                .unwrap();
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            whole.status.success().then_some(()).ok_or_else(|| format!("{shown}\n{}\n{log}", text(&whole.stderr)))
        });
        self.address = address;
    }

    /// Where the service of a configuration listens, or will.
    fn address_of(&mut self, name: &str) -> String {
        if let Some(address) = self.fitted.get(name) {
            return address.clone();
        }
        let address = self.fit(name);
        self.fitted.insert(name.to_owned(), address.clone());
        address
    }

    /// `like` is what its output looks like.
    fn perform(&mut self, shown: &Shown, like: &str) {
        println!("{shown}");
        self.ran += 1;
        if shown.is("run") {
            return self.start(shown);
        }
        let mut command = shown.text.replace("2026-", &year());
        for address in ["http://lapsed:8080", "http://localhost:8080"] {
            command = command.replace(address, &format!("http://{}", self.address));
        }
        let configs: Vec<String> =
            shown.pipeline().iter().flat_map(|part| values(part, "-c")).map(str::to_owned).collect();
        if shown.needs() == Needs::Kafka && !shown.is("forecast") {
            configs.iter().for_each(|name| _ = self.address_of(name));
        }
        // What was told a moment ago is known a moment later.
        let patience = if shown.needs() == Needs::Kafka { PATIENCE } else { Duration::ZERO };
        until(patience, || {
            let output = self.place.run(&command);
            let printed = text(&output.stdout) + &text(&output.stderr);
            let fine = output.status.success() && looks_like(&printed, like);
            fine.then_some(()).ok_or_else(|| format!("{shown}\n{printed}{}", self.log()))
        });
        if shown.is("release") {
            self.await_evidence(&configs[0]);
        }
    }

    fn log(&self) -> String {
        let log = std::fs::read_to_string(self.place.path("service.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Until what was released has left.
    fn await_evidence(&mut self, config: &str) {
        let command = format!("lapsed evidence -c {config} 4711");
        until(PATIENCE, || {
            let output = self.place.run(&command);
            output.status.success().then_some(()).ok_or_else(|| format!("nothing left\n{}", self.log()))
        });
    }

    /// What the list of `elsewhere` leaves to this test.
    fn perform_elsewhere(&mut self, shown: &Shown) {
        let parts = shown.pipeline();
        let words = parts.last().unwrap();
        match words[0].as_str() {
            "kafka-topics.sh" => {
                let topic = values(words, "--topic")[0];
                let partitions = values(words, "--partitions").first().map_or(1, |count| count.parse().unwrap());
                create_topic(&self.bootstrap, &self.topic(topic), partitions);
                if topic == "web.events" {
                    self.bring_events();
                }
            }
            "kcat" if words.contains(&"-P".to_owned()) => {
                let [echo, said] = &parts[0][..] else { panic!("{shown}: what does it produce?") };
                assert_eq!(echo, "echo", "{shown}");
                // The page has its reader wait for a minute between them.
                if let Some(last) = self.last_produced {
                    std::thread::sleep((MINUTE + Duration::from_secs(2)).saturating_sub(last.elapsed()));
                }
                self.produce(values(words, "-t")[0], &[(now_ms(), said.clone())]);
                self.last_produced = Some(Instant::now());
            }
            "kcat" if parts[0][0] == "kcat" && is_written_by_us(values(&parts[0], "-t")[0]) => {
                let topic = self.topic(values(&parts[0], "-t")[0]);
                let records = until(PATIENCE, || {
                    let records = read_committed(&self.bootstrap, &topic, Duration::from_secs(20));
                    let fine = records.iter().all(|(_, value)| serde_json::from_str::<Value>(value).is_ok());
                    (!records.is_empty() && fine).then_some(records).ok_or_else(|| format!("{shown}\n{}", self.log()))
                });
                if let Some((_, file)) = shown.text.split_once(" > ") {
                    let line = |(key, payload): &(String, String)| json!({"key": key, "payload": payload}).to_string();
                    let lines: Vec<String> = records.iter().map(line).collect();
                    std::fs::write(self.place.path(file), lines.join("\n")).unwrap();
                }
            }
            _ => return,
        }
        self.ran += 1;
    }

    /// The topic has what the page's reader took from it, and somebody who came every day since: a feed with holes
    /// proves nothing.
    fn bring_events(&self) {
        let records = std::fs::read_to_string(self.place.path("events.ndjson")).unwrap();
        let taken: Vec<Value> = records.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let (first, now) = (taken[0]["ts"].as_i64().unwrap(), now_ms());
        let days = (first..now).step_by(usize::try_from(DAY_MS).unwrap()).chain([now]);
        let daily = days.map(|at| (at, json!({"event": "login", "user": "4712", "at": at}).to_string()));
        let taken = taken.iter().map(|record| (record["ts"].as_i64().unwrap(), record["payload"].to_string()));
        let mut all: Vec<(i64, String)> = taken.chain(daily).collect();
        all.sort();
        self.produce("web.events", &all);
    }

    fn play(&mut self, page: &Page) {
        for (place, block) in page.blocks.iter().enumerate() {
            self.place.write_block(block);
            self.place.begin_block();
            let commands = of_block(page, block);
            let shown = page.blocks.get(place + 1).filter(|next| next.is("like")).map_or("", |next| &next.text);
            for (number, command) in commands.iter().enumerate() {
                let like = if number + 1 == commands.len() { shown } else { "" };
                match command.needs() {
                    Needs::More => self.perform_elsewhere(command),
                    // A town in time-lapse and what is printed are looked at elsewhere.
                    Needs::Nothing if command.is("demo") => {}
                    Needs::Nothing | Needs::Kafka => self.perform(command, like),
                }
            }
        }
    }
}

/// Whether each line of `like` is there: numbers, dates and ids may be others.
fn looks_like(printed: &str, like: &str) -> bool {
    let shape = |line: &str| -> Vec<String> {
        let words = line.split_whitespace();
        words
            .map(|word| if word.contains(|c: char| c.is_ascii_digit()) { "#".to_owned() } else { word.to_owned() })
            .collect()
    };
    let there: Vec<Vec<String>> = printed.lines().map(shape).collect();
    like.lines().all(|line| there.contains(&shape(line)))
}

#[test]
fn what_looks_different_is_seen() {
    let printed = "4711  2025-01-30  waits for release\nnone due\n";
    assert!(looks_like(printed, "4712 2024-02-29 waits for release\n") && looks_like(printed, ""));
    assert!(!looks_like(printed, "4711 2025-01-30 waits for mode\n"));
}

const FIRST: &str = "docs/getting-started.md";

#[test]
fn a_reader_gets_from_nothing_to_commands() {
    let pages = pages();
    let mut scene = Scene::new("first");
    scene.play(pages.iter().find(|page| page.path == FIRST).unwrap());
    assert!(scene.ran > 15, "{} commands", scene.ran);
}

#[test]
fn what_needs_a_service_runs_with_one() {
    let mut scene = Scene::new("desk");
    scene.open_the_shop();
    let pages = pages();
    for page in pages.iter().filter(|page| page.path != FIRST) {
        let needs_kafka = page.blocks.iter().flat_map(|block| of_block(page, block));
        if needs_kafka.map(|command| command.needs()).any(|needs| needs == Needs::Kafka) {
            scene.play(page);
        }
    }
    assert!(scene.ran > 20, "{} commands", scene.ran);
}
