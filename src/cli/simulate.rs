//! `lapsed simulate`: the same decisions offline.

use super::config_args::ConfigArgs;
use super::records::{self, Payload, Record};
use crate::config::Config;
use crate::ingest::extract::{Extracted, Extractor, Outcome, Reason, RecordView};
use crate::retention::calendar::{Timestamp, first_instant_of, local_date};
use crate::retention::command::Command;
use crate::retention::gate::KnownSince;
use crate::simulated::offline::{Acknowledging, Arrival, KnownSinces, Offline};
use crate::wire;
use chrono::{Datelike, NaiveDate};
use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;

/// Decide offline what `run` would decide: records in, commands out
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Records are read as `kcat -C -e -J` prints them, in any order, from files or standard input:

    kcat -b HOST:PORT -C -e -J -t web.events | lapsed simulate -c lapsed.yaml --until 2030-01-01

Commands go to standard output, one CloudEvent a line; counts and rejects to standard error.
Every policy is enforced, the gate always proves up to now, and no secret is resolved. Commands are
acknowledged the moment they leave, unless the input has records of the acks topic.")]
pub struct SimulateArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The day it was switched on: earlier records are read at that moment, and history is as declared.
    /// Without it, it was always on and all history is known
    #[arg(long, value_name = "DATE")]
    from: Option<NaiveDate>,
    /// Decide up to the beginning of this day; without it, up to the last record
    #[arg(long, value_name = "DATE")]
    until: Option<NaiveDate>,
    /// Files of records; standard input if there are none
    records: Vec<PathBuf>,
}

pub fn simulate(args: SimulateArgs) -> anyhow::Result<ExitCode> {
    let config = args.config.load_offline()?.config;
    let mut input = Input::new(&config);
    records::read(&args.records, |record| input.keep(record))?;
    let zone = config.rules.zone;
    let from = args.from.map(|date| first_instant_of(date, zone));
    let until_ms = match args.until {
        Some(date) => first_instant_of(date, zone).0 * 1000,
        None => input.last_ms.map_or(i64::MIN, |last| last + 1),
    };
    let told = input.tell(from);
    let offline = Offline::new(config.rules.clone(), told.known_since, told.acknowledging);
    let commands = offline.run(told.arrivals, until_ms);
    write_commands(&commands, &config)?;
    write_summary(&commands, &config, &told.rejects, &input.strangers)?;
    Ok(ExitCode::SUCCESS)
}

/// The records of the sources and of the acks topic.
struct Input<'c> {
    config: &'c Config,
    acks_topic: String,
    /// With the place of their source; `None`: acknowledgements.
    records: Vec<(Option<usize>, Record)>,
    /// By topic, how many records of topics that no source names.
    strangers: BTreeMap<String, u64>,
    sources: HashMap<String, Option<usize>>,
    last_ms: Option<i64>,
}

/// What the records told.
struct Told {
    arrivals: Vec<(i64, Arrival)>,
    rejects: Vec<(usize, String)>,
    known_since: KnownSinces,
    acknowledging: Acknowledging,
}

impl<'c> Input<'c> {
    fn new(config: &'c Config) -> Input<'c> {
        Input {
            config,
            acks_topic: format!("{}.acks", config.application),
            records: Vec::new(),
            strangers: BTreeMap::new(),
            sources: HashMap::new(),
            last_ms: None,
        }
    }

    fn keep(&mut self, record: Record) {
        self.last_ms = self.last_ms.max(record.timestamp_ms);
        if record.topic == self.acks_topic {
            return self.records.push((None, record));
        }
        let config = self.config;
        let source_of = |topic: &str| config.source_of_topic(topic);
        match *self.sources.entry(record.topic.clone()).or_insert_with(|| source_of(&record.topic)) {
            Some(source) => self.records.push((Some(source), record)),
            None => *self.strangers.entry(record.topic).or_default() += 1,
        }
    }

    /// Reads the records in the order in which they arrived.
    fn tell(&mut self, from: Option<Timestamp>) -> Told {
        let order = |(_, record): &(Option<usize>, Record)| {
            (record.timestamp_ms, record.topic.clone(), record.partition, record.offset)
        };
        self.records.sort_by_cached_key(order);
        let mut told = Told {
            arrivals: Vec::new(),
            rejects: Vec::new(),
            known_since: KnownSinces::beginning(&self.config.rules),
            acknowledging: Acknowledging::AtOnce,
        };
        let mut reader = Reader::new(self.config, from);
        for (source, record) in &self.records {
            match source {
                Some(source) => reader.read(*source, record, &mut told),
                None => reader.read_acknowledgement(record, &mut told),
            }
        }
        told.rejects.sort();
        told.known_since = reader.known_since();
        told
    }
}

struct Reader<'c> {
    config: &'c Config,
    extractor: Extractor,
    extracted: Extracted,
    names: HashMap<String, Rc<str>>,
    from: Option<Timestamp>,
    /// By source, topic and partition: the first offset that was there when it was switched on, and what
    /// it could still show.
    first: HashMap<(usize, String, i32), (i64, Timestamp)>,
}

impl<'c> Reader<'c> {
    fn new(config: &'c Config, from: Option<Timestamp>) -> Reader<'c> {
        Reader {
            config,
            extractor: Extractor::new(config),
            extracted: Extracted::default(),
            names: HashMap::new(),
            from,
            first: HashMap::new(),
        }
    }

    /// What lies before the moment it was switched on is read at that moment.
    fn arrives_ms(&self, timestamp_ms: i64) -> i64 {
        self.from.map_or(timestamp_ms, |from| timestamp_ms.max(from.0 * 1000))
    }

    fn name(&mut self, customer: &str) -> Rc<str> {
        match self.names.get(customer) {
            Some(name) => name.clone(),
            None => {
                let name: Rc<str> = customer.into();
                self.names.insert(customer.to_owned(), name.clone());
                name
            }
        }
    }

    fn read(&mut self, source: usize, record: &Record, told: &mut Told) {
        let mut extracted = std::mem::take(&mut self.extracted);
        let outcome = match &record.payload {
            Payload::Undecoded => Outcome::Rejected(Reason::Undecoded),
            payload => self.extractor.extract(source, view(record, payload), None, &mut extracted),
        };
        if let Outcome::Rejected(reason) = outcome {
            told.rejects.push((record.line, format!("{} ({})", reason, reason.name())));
        }
        let signals = outcome == Outcome::Signals;
        let happened = extracted.latest.filter(|_| signals);
        if !matches!(outcome, Outcome::Rejected(_)) {
            self.remember_first(source, record, happened);
        }
        if let (true, Some(timestamp)) = (signals, record.timestamp_ms) {
            let arrives = self.arrives_ms(timestamp);
            for activity in extracted.activities() {
                let customer = self.name(activity.customer);
                told.arrivals.push((arrives, Arrival::Activity { customer, kind: activity.kind, at: activity.at }));
            }
            for (customer, claim) in extracted.claims() {
                let customer = self.name(customer);
                told.arrivals.push((arrives, Arrival::Claim { customer, claim: claim.clone() }));
            }
        }
        self.extracted = extracted;
    }

    /// The later of timestamp and event time of the first record of a partition that could be read.
    fn remember_first(&mut self, source: usize, record: &Record, happened: Option<Timestamp>) {
        let (Some(from), Some(timestamp)) = (self.from, record.timestamp_ms) else { return };
        let stamp = Timestamp::from_millis_ceil(timestamp);
        if timestamp >= from.0 * 1000 {
            return;
        }
        let shows = happened.map_or(stamp, |happened| happened.max(stamp));
        let key = (source, record.topic.clone(), record.partition);
        let first = self.first.entry(key).or_insert((record.offset, shows));
        if record.offset < first.0 {
            *first = (record.offset, shows);
        }
    }

    fn read_acknowledgement(&mut self, record: &Record, told: &mut Told) {
        told.acknowledging = Acknowledging::FromInput;
        let appended_ms = record.timestamp_ms.unwrap_or_default();
        let appended = Timestamp::from_millis_floor(appended_ms);
        let decoded = match &record.payload {
            Payload::Bytes(bytes) => wire::acknowledgement::decode(bytes, appended, self.config.rules.zone),
            Payload::Null => return,
            Payload::Undecoded => {
                told.rejects.push((record.line, Reason::Undecoded.to_string()));
                return;
            }
        };
        match decoded {
            Ok((customer, acknowledgement)) => {
                let customer = self.name(&customer);
                let arrives = self.arrives_ms(appended_ms);
                told.arrivals.push((arrives, Arrival::Acknowledgement { customer, acknowledgement }));
            }
            Err(error) => told.rejects.push((record.line, format!("the acknowledgement {error}"))),
        }
    }

    fn known_since(&self) -> KnownSinces {
        let rules = &self.config.rules;
        let Some(from) = self.from else { return KnownSinces::beginning(rules) };
        let of_rule = |(source, rule): &(crate::retention::policy::SourceIndex, u16)| {
            let place = usize::from(source.0);
            let trust = &self.config.rules.sources[place];
            if trust.rules[usize::from(*rule)].history_from_beginning {
                return KnownSince::Beginning;
            }
            let partitions = self.first.iter().filter(|((source, ..), _)| *source == place);
            // A topic that showed nothing when it was switched on shows everything from then on.
            let shown = partitions.map(|(_, (_, shows))| *shows).max();
            KnownSince::At(shown.map_or(from, |shown| shown + trust.allowed_lateness))
        };
        let of_rules = |rules: &[(crate::retention::policy::SourceIndex, u16)]| {
            rules.iter().map(of_rule).max().unwrap_or(KnownSince::Beginning)
        };
        KnownSinces {
            policies: rules.policies.iter().map(|policy| of_rules(&policy.history_rules)).collect(),
            floors: rules.floors.iter().map(|floor| of_rules(&floor.history_rules)).collect(),
        }
    }
}

fn view<'r>(record: &'r Record, payload: &'r Payload) -> RecordView<'r> {
    let payload = match payload {
        Payload::Bytes(bytes) => Some(bytes.as_slice()),
        Payload::Null | Payload::Undecoded => None,
    };
    RecordView { timestamp_ms: record.timestamp_ms, key: record.key.as_deref(), payload, headers: record.headers() }
}

fn write_commands(commands: &[(Rc<str>, Command)], config: &Config) -> anyhow::Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut line = Vec::new();
    for (customer, command) in commands {
        line.clear();
        wire::command::encode(command, customer, &config.rules, &mut line);
        line.push(b'\n');
        out.write_all(&line)?;
    }
    out.flush()?;
    Ok(())
}

fn write_summary(
    commands: &[(Rc<str>, Command)],
    config: &Config,
    rejects: &[(usize, String)],
    strangers: &BTreeMap<String, u64>,
) -> anyhow::Result<()> {
    let mut counts = BTreeMap::<(String, &str, String), u64>::new();
    for (_, command) in commands {
        let date = local_date(command.time, config.rules.zone);
        let month = format!("{:04}-{:02}", date.year(), date.month());
        *counts.entry((command.policy.clone(), command.verb.name(), month)).or_default() += 1;
    }
    let mut err = std::io::stderr().lock();
    for (line, reason) in rejects {
        writeln!(err, "line {line}: rejected: {reason}")?;
    }
    for (topic, count) in strangers {
        writeln!(err, "{count} records of {topic}, which no source names")?;
    }
    writeln!(err, "{:<24} {:<10} {:<8} {:>8}", "policy", "command", "month", "commands")?;
    for ((policy, command, month), count) in &counts {
        writeln!(err, "{policy:<24} {command:<10} {month:<8} {count:>8}")?;
    }
    writeln!(err, "{} commands, {} rejects", commands.len(), rejects.len())?;
    Ok(())
}
