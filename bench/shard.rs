//! One shard, without Kafka.

use crate::measure::{process_bytes, rate, row, runs, timed};
use anyhow::Context;
use clap::ValueEnum;
use lapsed::config::{Config, Environment, load};
use lapsed::retention::activity::KindTag;
use lapsed::retention::brake::{Instruction, Order};
use lapsed::retention::calendar::Timestamp;
use lapsed::track::outputs::Outputs;
use lapsed::track::questions::{Answered, Question, Reply, queue};
use lapsed::track::shard::{Foretelling, Home, Input, More, Shard};
use lapsed::wire::instruction;
use lapsed::wire::progress::{self, History, Matched, PartitionProgress, Progress, RuleFacts, TopicPartitions};
use lapsed::wire::signal::encode_activity;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// What a worker takes in at once when it is behind.
const BATCH: usize = 100_000;
const DAY: i64 = 86_400;
/// 2025-01-01 in UTC.
const BEGIN: i64 = 1_735_689_600;
const KINDS: [&str; 3] = ["registered", "purchase", "login"];

/// What customers' ids look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Ids {
    Uuid,
    /// As long as a UUID, and none.
    Text36,
}

impl Ids {
    fn name(self) -> &'static str {
        match self {
            Ids::Uuid => "UUIDs",
            Ids::Text36 => "36-character ids",
        }
    }

    /// The id of the customer of a number.
    fn id(self, number: usize) -> String {
        let mut random = fastrand::Rng::with_seed(number as u64);
        let id = uuid::Uuid::from_u128(random.u128(..));
        match self {
            Ids::Uuid => id.to_string(),
            Ids::Text36 => format!("shop-{:031x}", id.as_u128() >> 4),
        }
    }
}

fn config() -> Arc<Config> {
    parsed(CONFIG)
}

fn parsed(text: &str) -> Arc<Config> {
    let today = chrono::NaiveDate::default();
    let loaded = load::from_texts(&[("bench.yaml".to_owned(), text.to_owned())], Environment::Leave, today);
    Arc::new(loaded.expect("the text is a configuration").config)
}

const CONFIG: &str = "
time_zone: Europe/Amsterdam
kafka: {bootstrap.servers: localhost}
evidence: {key: bench}
topics: {partitions: 1}
sources:
  shop:
    topics: [shop]
    customer: /id
    time: /at
    history_from: beginning
    max_silence: P4D
    rules:
      - {when: {/event: registered}, activity: registered}
      - {when: {/event: order}, activity: purchase}
      - {when: {/event: login}, activity: login}
targets:
  crm: {topic: crm.commands, acknowledge_within: P3D}
  mailing: {topic: mail.commands, acknowledge_within: P1D}
policies:
  newsletter:
    purpose: {en: A weekly newsletter for a year after the last visit}
    lawful_basis: consent
    categories: [email]
    since_last: [registered, purchase, login]
    stages: [{after: P1Y, command: expire}]
    targets: [mailing]
    mode: enforce
    review_by: 2099-01-01
  offers:
    purpose: {en: Relevant offers until two years after the last purchase or visit}
    lawful_basis: legitimate_interest
    interest: {en: keeping customers}
    categories: [email, name]
    since_last: [registered, purchase, login]
    stages:
      - {after: P23M, command: warn, targets: [mailing]}
      - {after: P24M, command: anonymise}
    targets: [crm, mailing]
    mode: enforce
    review_by: 2099-01-01
";

fn new_shard(config: &Arc<Config>) -> Shard {
    Shard::new(Home { partition: 0, partitions: 1, cluster: "bench".to_owned() }, config.clone())
}

fn empty_shard(config: &Arc<Config>) -> Shard {
    let mut shard = new_shard(config);
    shard.finish_restore(false).expect("there is no state to be wrong");
    shard
}

/// Records side by side, as a client's buffers hold them.
#[derive(Default)]
struct Records {
    bytes: Vec<u8>,
    /// Ends of key and value.
    ends: Vec<(usize, usize)>,
}

impl Records {
    fn push(&mut self, key: &[u8], value: &[u8]) {
        self.bytes.extend_from_slice(key);
        let key_end = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.ends.push((key_end, self.bytes.len()));
    }

    fn len(&self) -> usize {
        self.ends.len()
    }

    fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let begins = std::iter::once(0).chain(self.ends.iter().map(|(_, end)| *end));
        begins.zip(&self.ends).map(|(begin, (key, end))| (&self.bytes[begin..*key], &self.bytes[*key..*end]))
    }
}

/// Activity of one kind for each customer in turn, or in no order.
fn signals(ids: Ids, customers: &[usize], kind: usize, at: i64) -> Records {
    let mut records = Records::default();
    let mut value = Vec::new();
    for customer in customers {
        value.clear();
        encode_activity(KindTag::of(KINDS[kind]), Timestamp(at - (*customer % 300) as i64 * DAY), &mut value);
        records.push(ids.id(*customer).as_bytes(), &value);
    }
    records
}

fn shuffled(customers: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..customers).collect();
    fastrand::Rng::with_seed(7).shuffle(&mut order);
    order
}

/// All was read up to now, and all rules have just matched.
fn report(shard: &mut Shard, now: i64) {
    let config = shard.config().clone();
    let matched = Some(Matched { first: Timestamp(1), newest: Timestamp(now) });
    let facts = RuleFacts { matched, silences: Vec::new(), history: History::Whole };
    let partition = PartitionProgress {
        source: "shop".to_owned(),
        topic: "shop".to_owned(),
        partition: 0,
        reading: config.sources[0].reading,
        first_read: Timestamp(1),
        complete_to: Some(Timestamp(now)),
        gap: None,
        records_last_hour: 1,
        rejects_last_hour: 0,
        rejects_total: 0,
        shown: History::Whole,
        rules: vec![facts; KINDS.len()],
    };
    let topics =
        vec![TopicPartitions { topic: "shop".to_owned(), source: "shop".to_owned(), partitions: 1, kept_for: None }];
    let mut value = Vec::new();
    progress::encode(&Progress { config: config.hash, topics, partitions: vec![partition] }, &mut value);
    shard.apply(Input { offset: 0, append_ms: now * 1000, key: None, value: Some(&value) });
}

/// Whole batches, up to the commit; returns the bytes of the changelog.
fn run(shard: &mut Shard, records: &Records, now: i64, out: &mut Outputs) -> usize {
    let mut records = records.iter().peekable();
    let mut changelog = 0;
    while records.peek().is_some() {
        shard.begin();
        report(shard, now);
        for (key, value) in records.by_ref().take(BATCH) {
            shard.apply(Input { offset: 0, append_ms: now * 1000, key: Some(key), value: Some(value) });
        }
        changelog += finish(shard, now, out);
    }
    changelog
}

fn finish(shard: &mut Shard, now: i64, out: &mut Outputs) -> usize {
    out.clear();
    let _ = shard.decide(now * 1000, BATCH, out);
    shard.changelog(out);
    shard.commit();
    out.bytes()
}

/// Decides until nothing is left; how many commands left.
fn settle(shard: &mut Shard, now: i64, out: &mut Outputs) -> usize {
    let mut commands = 0;
    loop {
        shard.begin();
        report(shard, now);
        out.clear();
        let more = shard.decide(now * 1000, BATCH, out);
        commands += out.commands().len();
        shard.changelog(out);
        shard.commit();
        if more == More::Nothing {
            return commands;
        }
    }
}

pub fn merge(customers: usize) {
    let config = config();
    let order = shuffled(customers);
    for ids in [Ids::Uuid, Ids::Text36] {
        let first = signals(ids, &(0..customers).collect::<Vec<_>>(), 2, BEGIN);
        let mut out = Outputs::default();
        rate(&format!("merge, every customer new, {}", ids.name()), "signals/s", || {
            let mut shard = empty_shard(&config);
            let (_, time) = timed(|| run(&mut shard, &first, BEGIN, &mut out));
            (first.len(), time)
        });
        let mut shard = empty_shard(&config);
        run(&mut shard, &first, BEGIN, &mut out);
        let mut day = BEGIN;
        rate(&format!("merge, a new day of known customers in any order, {}", ids.name()), "signals/s", || {
            day += DAY;
            let signals = signals(ids, &order, 2, day);
            let (_, time) = timed(|| run(&mut shard, &signals, day, &mut out));
            (signals.len(), time)
        });
        let again = signals(ids, &order, 2, day);
        rate(&format!("merge, nothing new, {}", ids.name()), "signals/s", || {
            let (_, time) = timed(|| run(&mut shard, &again, day, &mut out));
            (again.len(), time)
        });
    }
}

pub fn restore(customers: usize) {
    let config = config();
    for ids in [Ids::Uuid, Ids::Text36] {
        let mut shard = empty_shard(&config);
        let (mut out, mut changelog) = (Outputs::default(), Records::default());
        let order = shuffled(customers);
        for (place, _) in KINDS.iter().enumerate() {
            run(&mut shard, &signals(ids, &order, place, BEGIN), BEGIN, &mut out);
        }
        // What a compacted changelog holds: a record a customer, its last.
        for batch in order.chunks(BATCH) {
            shard.begin();
            for (key, value) in signals(ids, batch, 2, BEGIN + DAY).iter() {
                shard.apply(Input { offset: 0, append_ms: BEGIN * 1000, key: Some(key), value: Some(value) });
            }
            finish(&mut shard, BEGIN, &mut out);
            out.changelog().for_each(|(key, value)| changelog.push(key, value.unwrap_or_default()));
        }
        changelog.push(b"\0header", &header(&config));
        rate(&format!("restore, {}", ids.name()), "customers/s", || {
            let mut shard = new_shard(&config);
            let ((), time) = timed(|| {
                for (key, value) in changelog.iter() {
                    shard.restore(key, Some(value)).expect("it was written by a shard");
                }
                shard.finish_restore(true).expect("it was written by a shard");
            });
            (shard.stats().customers as usize, time)
        });
    }
}

fn header(config: &Arc<Config>) -> Vec<u8> {
    let (mut shard, mut out) = (empty_shard(config), Outputs::default());
    shard.begin();
    shard.changelog(&mut out);
    let (_, value) = out.changelog().next().expect("a new shard writes its header");
    value.unwrap_or_default().to_vec()
}

pub fn memory(customers: usize) -> anyhow::Result<()> {
    let program = std::env::current_exe()?;
    for ids in [Ids::Uuid, Ids::Text36] {
        let mut found = [Vec::new(), Vec::new(), Vec::new()];
        for _ in runs() {
            let name = ids.to_possible_value().context("every variant has a name")?;
            let customers = customers.to_string();
            let arguments = ["--customers", &customers, "--memory-of", name.get_name()];
            let output = Command::new(&program).args(arguments).output()?;
            let text = String::from_utf8(output.stdout)?;
            for (runs, word) in found.iter_mut().zip(text.split_whitespace()) {
                runs.push(word.parse()?);
            }
        }
        let [resident, most, counted] = found;
        row(&format!("memory of the whole process, {}", ids.name()), "bytes/customer", resident);
        row("  the most, while it grew", "bytes/customer", most);
        row(&format!("memory a shard knows of, {}", ids.name()), "bytes/customer", counted);
    }
    Ok(())
}

/// Prints what the process grew by, for good and at most, and what the shard counts, in bytes a customer.
pub fn memory_of(ids: Ids, customers: usize) -> anyhow::Result<()> {
    let config = config();
    let mut out = Outputs::default();
    let before = process_bytes("VmRSS:")?;
    let mut shard = empty_shard(&config);
    for kind in 0..KINDS.len() {
        for begin in (0..customers).step_by(BATCH / 10) {
            let batch: Vec<usize> = (begin..customers.min(begin + BATCH / 10)).collect();
            run(&mut shard, &signals(ids, &batch, kind, BEGIN), BEGIN, &mut out);
        }
    }
    settle(&mut shard, BEGIN, &mut out);
    // What the last batches took goes back after a second.
    std::thread::sleep(Duration::from_secs(3));
    let (grown, most) = (process_bytes("VmRSS:")? - before, process_bytes("VmHWM:")? - before);
    let each = |bytes: usize| bytes as f64 / customers as f64;
    println!("{} {} {}", each(grown), each(most), each(shard.memory_bytes()));
    Ok(())
}

/// Seen on days before `now`, so that none of them is due for months; 300 of them share a day.
fn fill(shard: &mut Shard, customers: usize, out: &mut Outputs) {
    let mut begin = 0;
    while begin < customers {
        let batch: Vec<usize> = (begin..customers.min(begin + BATCH)).collect();
        begin += batch.len();
        run(shard, &signals(Ids::Uuid, &batch, 2, BEGIN), BEGIN, out);
    }
    settle(shard, BEGIN, out);
}

/// A hundred customers fall due, among as many others as is told; two days later the next hundred, and so on.
pub fn firing(among: &[usize]) {
    const DUE: usize = 100;
    /// How often a hundred fall due.
    const ROUNDS: i64 = 20;
    // A target that answers would be sent the same again when it has not.
    let config = parsed(&CONFIG.replace("acknowledge_within: P1D", "acknowledge_within: none"));
    let day_of = |round: i64| BEGIN + (10 + 2 * round) * DAY;
    for among in among {
        let (mut shard, mut out) = (empty_shard(&config), Outputs::default());
        fill(&mut shard, *among, &mut out);
        let mut gone = Records::default();
        for round in 0..ROUNDS {
            let mut value = Vec::new();
            // A leap year, and two days of lateness: they have run out when that day has begun.
            encode_activity(KindTag::of(KINDS[2]), Timestamp(day_of(round) - 369 * DAY), &mut value);
            (0..DUE).for_each(|place| gone.push(format!("gone {round} {place}").as_bytes(), &value));
        }
        run(&mut shard, &gone, BEGIN, &mut out);
        settle(&mut shard, BEGIN, &mut out);
        let rounds = (0..ROUNDS).map(|round| {
            let (sent, time) = timed(|| settle(&mut shard, day_of(round), &mut out));
            assert_eq!(sent, DUE, "those of that day, and no others");
            time.as_secs_f64() * 1e6 / DUE as f64
        });
        row(&format!("{DUE} of {among} fall due"), "µs each", rounds.collect());
    }
}

/// Everyone is due at once, and waits for a person, who releases them.
pub fn backlog(customers: usize) -> anyhow::Result<()> {
    let config = parsed(&CONFIG.replace("topics: {partitions: 1}", "topics: {partitions: 1}\nbrake: {per_day: 1%}"));
    let mut figures = [Vec::new(), Vec::new(), Vec::new()];
    for _ in runs() {
        let (mut shard, mut out) = (empty_shard(&config), Outputs::default());
        fill(&mut shard, customers, &mut out);
        let now = BEGIN + 400 * DAY;
        let stopped = settle(&mut shard, now, &mut out);
        let before = process_bytes("VmRSS:")?;
        let order = Order::Release {
            policy: "newsletter".to_owned(),
            version: config.rules.policies[0].version.clone(),
            due_before: Timestamp(now + DAY),
            at_most: u64::MAX,
            per_day: None,
        };
        let (id, by, reason) = (uuid::Uuid::from_u128(7), "bench".to_owned(), "measured".to_owned());
        let mut value = Vec::new();
        instruction::encode(&Instruction { id, by, reason, order }, &mut value);
        shard.begin();
        shard.apply(Input { offset: 0, append_ms: now * 1000, key: None, value: Some(&value) });
        shard.commit();
        let (sent, time) = timed(|| settle(&mut shard, now, &mut out));
        anyhow::ensure!(stopped + sent == customers, "{stopped} and {sent} commands for {customers} customers");
        figures[0].push(sent as f64 / time.as_secs_f64());
        figures[1].push(before as f64 / customers as f64);
        figures[2].push(process_bytes("VmRSS:")? as f64 / customers as f64);
    }
    let [rate, before, after] = figures;
    row(&format!("{customers} due at once, released"), "commands/s", rate);
    row("  memory of the process before", "bytes/customer", before);
    row("  and after, each command remembered until it is answered", "bytes/customer", after);
    Ok(())
}

/// A policy's period changes while the service runs: until every customer has been judged under it.
pub fn reload(customers: usize) {
    let (before, after) = (config(), parsed(&CONFIG.replace("P1Y", "P2Y")));
    let (mut shard, mut out) = (empty_shard(&before), Outputs::default());
    let active: Vec<usize> = (0..customers).collect();
    for batch in active.chunks(BATCH * 10) {
        run(&mut shard, &signals(Ids::Uuid, batch, 2, BEGIN), BEGIN, &mut out);
    }
    settle(&mut shard, BEGIN, &mut out);
    let mut configs = [after, before].into_iter().cycle();
    rate(&format!("reload, {customers} customers filed anew"), "customers/s", || {
        let config = configs.next().expect("it goes on for ever");
        let (sent, time) = timed(|| {
            shard.reconfigure(config);
            settle(&mut shard, BEGIN, &mut out)
        });
        assert_eq!(sent, 0, "nobody is due");
        (customers, time)
    });
}

/// A year ahead for all customers of a shard: alone, and while it keeps taking in signals, in the turns in which the
/// service answers questions.
pub fn forecast(customers: usize) {
    const PER_TURN: usize = 20_000;
    let config = config();
    let (mut shard, mut out) = (empty_shard(&config), Outputs::default());
    for kind in 1..KINDS.len() {
        for begin in (0..customers).step_by(BATCH) {
            let batch: Vec<usize> = (begin..customers.min(begin + BATCH)).collect();
            run(&mut shard, &signals(Ids::Uuid, &batch, kind, BEGIN), BEGIN, &mut out);
        }
    }
    settle(&mut shard, BEGIN, &mut out);
    let what = format!("forecast of {customers} customers");
    let alone = runs().map(|_| {
        let mut foretelling = Foretelling::new(&shard, Timestamp(BEGIN), None);
        let mut steps = usize::MAX;
        let (foretold, time) = timed(|| foretelling.step(&shard, &mut steps));
        assert_eq!(foretold.map(|foretold| foretold.policies[1].covered), Some(customers as u64));
        time.as_secs_f64()
    });
    row(&format!("{what}, alone"), "s", alone.collect());
    let order = shuffled(customers);
    let (mut times, mut rates) = (Vec::new(), Vec::new());
    for _ in runs() {
        let (asker, mut questions) = queue();
        let (sender, told) = std::sync::mpsc::channel();
        let batches = order.chunks(PER_TURN).map(|batch| signals(Ids::Uuid, batch, 2, BEGIN + DAY));
        let mut prepared: Vec<Records> = batches.take(200).collect();
        asker.ask(0, Timestamp(BEGIN), Question::Forecast { other: None }, Box::new(Told(sender)));
        let mut merged = 0;
        let ((), time) = timed(|| {
            while told.try_recv().is_err() {
                if let Some(batch) = prepared.pop() {
                    merged += batch.len();
                    run(&mut shard, &batch, BEGIN, &mut out);
                }
                questions.turn(|_| Some(&shard));
            }
        });
        times.push(time.as_secs_f64());
        rates.push(merged as f64 / time.as_secs_f64());
    }
    row(&format!("{what}, while signals are taken in"), "s", times);
    row("signals taken in meanwhile", "signals/s", rates);
}

/// Whoever waits for an answer.
struct Told(std::sync::mpsc::Sender<bool>);

impl Reply for Told {
    fn is_wanted(&self) -> bool {
        true
    }

    fn give(self: Box<Self>, answer: Answered) {
        // Nobody stops waiting.
        let _ = self.0.send(answer.is_ok());
    }
}
