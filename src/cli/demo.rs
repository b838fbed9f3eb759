//! `lapsed demo`: a town of customers in time-lapse.

use super::demo_page::{DemoPage, TOKEN};
use crate::config::{Config, Environment, load};
use crate::retention::calendar::{Timestamp, first_instant_of, local_date};
use crate::retention::command::{Command, Verb};
use crate::retention::policy::{Action, Mode};
use crate::simulated::cluster::{Cluster, Happening};
use crate::simulated::town::{Report, Town};
use chrono::{Datelike, Days, NaiveDate};
use std::collections::{BTreeMap, HashMap};
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Watch a town of customers be warned, forgotten and called back, years in a minute
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
The real ingest and the real shards on a log in memory, with the policies of config/lapsed.yaml: no Kafka,
Java or network. In its third year a pipe breaks for two weeks: watch the gate.

    lapsed demo                       about a minute
    lapsed demo --seconds 0           as fast as it goes
    lapsed demo --kafka HOST:PORT     the same on your broker, with periods of seconds")]
pub struct DemoArgs {
    /// How long it takes
    #[arg(long, default_value_t = 60)]
    pub(super) seconds: u64,
    /// How many years pass
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=20))]
    years: u64,
    /// How many customers the town has
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(10..=100_000))]
    customers: u64,
    /// The same seed makes the same town
    #[arg(long, default_value_t = 7)]
    pub(super) seed: u64,
    /// Where the status page is served meanwhile
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "HOST:PORT")]
    listen: std::net::SocketAddr,
    /// Run on this broker instead
    #[arg(long, value_name = "HOST:PORT")]
    kafka: Option<String>,
}

const CONFIGURATION: &str = include_str!("../../config/lapsed.yaml");
const TARGET_DELAY_SECONDS: i64 = 3 * 3600;
/// On which day of the time-lapse the web's pipe breaks, and for how long.
const PIPE_BREAKS_ON: u64 = 800;
const PIPE_BREAKS_FOR: u64 = 14;
/// Hours of the day at which everything is looked at.
const HOURS: [i64; 4] = [0, 8, 16, 22];

pub fn demo(args: DemoArgs) -> anyhow::Result<ExitCode> {
    if let Some(bootstrap) = &args.kafka {
        return super::demo_kafka::demo_on_kafka(bootstrap, &args);
    }
    let config = Arc::new(configuration()?);
    let first = NaiveDate::from_ymd_opt(2021, 1, 1).unwrap_or_default();
    let mut show = Show::new(&args, config, first);
    show.play(&args)?;
    Ok(if show.check.early == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn configuration() -> anyhow::Result<Config> {
    let today = NaiveDate::from_ymd_opt(2021, 1, 1).unwrap_or_default();
    let files = [("config/lapsed.yaml".to_owned(), CONFIGURATION.to_owned())];
    let mut config = load::from_texts(&files, Environment::Leave, today)?.config;
    // A town needs no 32 shards; four show as much.
    config.topics.partitions = 4;
    Ok(config)
}

/// What the demo knows better than `lapsed`: when each customer was really last seen.
#[derive(Default)]
struct Check {
    last_seen: HashMap<String, NaiveDate>,
    removals: u64,
    early: u64,
    /// By command id, how many attempts were sent.
    attempts: HashMap<(uuid::Uuid, u32), u32>,
}

impl Check {
    fn sees(&mut self, command: &Command, customer: &str, config: &Config) {
        *self.attempts.entry((command.id, command.attempt)).or_default() += 1;
        if let Verb::Act(action) = command.verb
            && action.removes()
        {
            self.removals += 1;
            let since = local_date(command.since.at, config.rules.zone);
            self.early += u64::from(self.last_seen.get(customer).is_some_and(|seen| *seen > since));
        }
    }

    fn twice(&self) -> usize {
        self.attempts.values().filter(|count| **count > 1).count()
    }
}

struct Show {
    cluster: Cluster,
    town: Town,
    names: HashMap<String, &'static str>,
    check: Check,
    first: NaiveDate,
    month: Month,
    total: BTreeMap<&'static str, u64>,
    /// What the broken pipe holds back.
    held_back: Vec<Report>,
    pipe_is_broken: bool,
    seen_while_broken: u64,
    colour: bool,
    out: std::io::Stdout,
    page: Option<DemoPage>,
    /// Of the time-lapse.
    cluster_now: Timestamp,
}

/// What happened in a month to those who have no name.
#[derive(Default)]
struct Month {
    active: u64,
    counts: BTreeMap<&'static str, u64>,
}

impl Show {
    fn new(args: &DemoArgs, config: Arc<Config>, first: NaiveDate) -> Show {
        let town = Town::new(usize::try_from(args.customers).unwrap_or(1_000), first, args.seed);
        let names = town.people.iter().filter_map(|person| Some((person.id.clone(), person.name?))).collect();
        Show {
            cluster: Cluster::new(config, TARGET_DELAY_SECONDS),
            town,
            names,
            check: Check::default(),
            first,
            month: Month::default(),
            total: BTreeMap::new(),
            held_back: Vec::new(),
            pipe_is_broken: false,
            seen_while_broken: 0,
            colour: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
            out: std::io::stdout(),
            page: None,
            cluster_now: Timestamp(0),
        }
    }

    fn play(&mut self, args: &DemoArgs) -> anyhow::Result<()> {
        self.introduce()?;
        // As fast as it goes, nobody could look.
        if args.seconds > 0 {
            self.serve_page(args)?;
        }
        let days = args.years * 365;
        let begun = Instant::now();
        for day in 0..days {
            self.day(day)?;
            let due = Duration::from_secs(args.seconds).mul_f64(day as f64 / days as f64);
            self.wait_until(begun + due);
        }
        self.close(begun.elapsed())
    }

    fn serve_page(&mut self, args: &DemoArgs) -> std::io::Result<()> {
        match DemoPage::serve(self.cluster.config(), args.listen) {
            Ok(page) => {
                writeln!(
                    self.out,
                    "The status page: http://{}/ (the token is '{TOKEN}', the customers are 4711, 4712, …)\n",
                    page.address
                )?;
                self.page = Some(page);
                Ok(())
            }
            Err(error) => writeln!(self.out, "No status page: {} can't be listened at ({error})\n", args.listen),
        }
    }

    fn wait_until(&mut self, until: Instant) {
        if let Some(page) = &mut self.page {
            page.turn(self.cluster.shards(), self.cluster_now);
        }
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
    }

    fn introduce(&mut self) -> std::io::Result<()> {
        let config = self.cluster.config();
        writeln!(self.out, "A town of {} customers, and what they were promised:\n", self.town.people.len())?;
        for (policy, text) in config.rules.policies.iter().zip(&config.texts) {
            let purpose = text.purpose.get("en").or_else(|| text.purpose.values().next());
            writeln!(self.out, "  {:<12} {}", policy.key, purpose.map_or("", String::as_str))?;
            debug_assert_eq!(policy.mode, Mode::Enforce);
        }
        writeln!(self.out, "\nThe shop's database is read once; then Kafka tells what happens.\n")
    }

    fn day(&mut self, day: u64) -> std::io::Result<()> {
        let zone = self.cluster.config().zone;
        let date = self.first + Days::new(day);
        let midnight_ms = first_instant_of(date, zone).0 * 1000;
        if day == 0 {
            let baseline = self.town.baseline(midnight_ms);
            for person in &self.town.people {
                self.check.last_seen.insert(person.id.clone(), person.last_seen());
            }
            baseline.iter().for_each(|report| self.cluster.report(report.topic, report.at_ms, &report.payload));
        }
        self.break_or_mend_the_pipe(day, date, midnight_ms)?;
        let reports = self.town.day(date, midnight_ms);
        self.month.active += reports.len() as u64;
        let mut reports = reports.into_iter().peekable();
        for hour in HOURS {
            let now_ms = midnight_ms + hour * 3_600_000;
            while let Some(report) = reports.next_if(|report| report.at_ms <= now_ms) {
                self.reported(report, date);
            }
            self.tick(now_ms)?;
        }
        if date.day() == 1 && day > 0 {
            self.tell_month(date)?;
        }
        Ok(())
    }

    fn reported(&mut self, report: Report, date: NaiveDate) {
        if let Some(customer) = report.customer() {
            self.check.last_seen.insert(customer, date);
        }
        if self.pipe_is_broken && report.topic == "web.events" {
            self.seen_while_broken += 1;
            self.held_back.push(report);
        } else {
            self.cluster.report(report.topic, report.at_ms, &report.payload);
        }
    }

    fn break_or_mend_the_pipe(&mut self, day: u64, date: NaiveDate, midnight_ms: i64) -> std::io::Result<()> {
        if day == PIPE_BREAKS_ON {
            self.pipe_is_broken = true;
            self.tell(date, "✗", "the pipe from the web shop breaks; nobody has noticed", "31")?;
        }
        if day == PIPE_BREAKS_ON + PIPE_BREAKS_FOR {
            self.pipe_is_broken = false;
            let backlog = std::mem::take(&mut self.held_back);
            let count = self.seen_while_broken;
            self.tell(date, "✓", &format!("the pipe is mended; {count} visits arrive, up to two weeks late"), "32")?;
            for report in backlog {
                self.cluster.report(report.topic, midnight_ms, &report.payload);
            }
        }
        Ok(())
    }

    fn tick(&mut self, now_ms: i64) -> std::io::Result<()> {
        self.cluster_now = Timestamp::from_millis_floor(now_ms);
        let date = local_date(Timestamp::from_millis_floor(now_ms), self.cluster.config().zone);
        for happening in self.cluster.tick(now_ms) {
            match happening {
                Happening::Sent { customer, command } => self.sent(date, &customer, &command)?,
                Happening::Done { .. } => *self.total.entry("acknowledged").or_default() += 1,
                Happening::Gate { source, doubts } if doubts.is_empty() => {
                    self.tell(date, "●", &format!("gate open: {source}"), "32")?;
                }
                Happening::Gate { source, doubts } => {
                    let why = doubts.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                    let text = format!("gate closed: {source}: {why}; what depends on it waits");
                    self.tell(date, "○", &text, "33")?;
                }
            }
        }
        Ok(())
    }

    fn sent(&mut self, date: NaiveDate, customer: &str, command: &Command) -> std::io::Result<()> {
        self.check.sees(command, customer, self.cluster.config());
        let word = match command.verb {
            Verb::Recall => "recalled",
            Verb::Act(Action::Warn) => "warned",
            Verb::Act(Action::Expire) => "expired",
            Verb::Act(Action::Anonymise) => "anonymised",
        };
        *self.total.entry(word).or_default() += 1;
        let Some(name) = self.names.get(customer) else {
            *self.month.counts.entry(word).or_default() += 1;
            return Ok(());
        };
        let config = self.cluster.config();
        let target = &config.rules.target(command.target).key;
        let since = local_date(command.since.at, config.rules.zone);
        let because = match command.verb {
            Verb::Recall => "seen again, so the command is taken back".to_owned(),
            _ => format!("last seen {since} by {}", command.since.kind),
        };
        let next = command.next.map_or(String::new(), |next| {
            format!("; will {} from {}", Verb::Act(next.action).name(), local_date(next.on, config.rules.zone))
        });
        let kept: Vec<String> = command.kept.iter().map(|kept| format!("{} for {}", kept.category, kept.by)).collect();
        let kept = if kept.is_empty() { String::new() } else { format!("; keeps {}", kept.join(", ")) };
        let text = format!("{name}: {word} at {target} ({}): {because}{next}{kept}", command.policy);
        let (mark, colour) = match command.verb {
            Verb::Recall => ("↩", "36"),
            Verb::Act(Action::Warn) => ("!", "33"),
            Verb::Act(_) => ("✂", "35"),
        };
        self.tell(date, mark, &text, colour)
    }

    fn tell(&mut self, date: NaiveDate, mark: &str, text: &str, colour: &str) -> std::io::Result<()> {
        if self.colour {
            writeln!(self.out, "{date}  \u{1b}[{colour}m{mark} {text}\u{1b}[0m")
        } else {
            writeln!(self.out, "{date}  {mark} {text}")
        }
    }

    fn tell_month(&mut self, date: NaiveDate) -> std::io::Result<()> {
        let month = std::mem::take(&mut self.month);
        let counts: Vec<String> = month.counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
        let others = if counts.is_empty() { "nobody is due".to_owned() } else { counts.join(", ") };
        let text = format!("the month's other customers: {} signs of life, {others}", month.active);
        self.tell(date, " ", &text, "2")
    }

    fn close(&mut self, elapsed: Duration) -> anyhow::Result<()> {
        let stats: Vec<_> = self.cluster.shards().iter().map(crate::track::shard::Shard::stats).collect();
        let customers: u64 = stats.iter().map(|stats| stats.customers).sum();
        let bytes: usize = stats.iter().map(|stats| stats.memory_bytes).sum();
        let (mut forwarded, mut coalesced) = (0, 0);
        for source in 0..self.cluster.config().sources.len() {
            let counts = self.cluster.instance().counts(source);
            forwarded += counts.forwarded;
            coalesced += counts.coalesced;
        }
        let out = &mut self.out;
        writeln!(out, "\nIn {:.1} seconds:", elapsed.as_secs_f64())?;
        writeln!(out, "  {forwarded} activities forwarded, {coalesced} repeated ones dropped")?;
        writeln!(out, "  {customers} customers in {} shards, {bytes} bytes", stats.len())?;
        for (word, count) in &self.total {
            writeln!(out, "  {count:>6} {word}")?;
        }
        writeln!(
            out,
            "\nHeld against the town's own memory: {} removals, {} early, {} sent twice.",
            self.check.removals,
            self.check.early,
            self.check.twice()
        )?;
        writeln!(out, "Next: docs/getting-started.md, a first configuration of your own.")?;
        Ok(())
    }
}
