//! `lapsed run`: the service.
//!
//! * [`brokers`]: what the API needs of the brokers and of other instances

mod brokers;

use super::config_args::ConfigArgs;
use crate::config::{Config, TopicPattern};
use crate::http::desk::Desk;
use crate::http::outside::Outside;
use crate::http::{self, Health};
use crate::ingest::status::IngestStatus;
use crate::ingest::worker::IngestWorker;
use crate::kafka::access::{self, Access, Operation};
use crate::kafka::clients::Clients;
use crate::kafka::topics::{Owner, look};
use crate::telemetry::logs::{self, LogFormat};
use crate::telemetry::metrics::{Metrics, UNKNOWN_TARGET};
use crate::track::questions;
use crate::track::status::{ShardState, TrackStatus};
use crate::track::worker::{Names, TrackWorker};
use anyhow::{Context, bail};
use brokers::Brokers;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Run the service: ingest, track, health and metrics
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
    lapsed topics -c lapsed.yaml --create     once, before the first run
    lapsed run -c lapsed.yaml

It verifies its topics and refuses to start on a wrong one. SIGTERM ends it after the transaction under
way; SIGHUP, or a change of the file, loads the configuration anew. The status page, /api/v1, /livez, /readyz
and /metrics are served at http.listen.")]
pub struct RunArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Name of this instance, the same after a restart; in Kubernetes the pod's name
    #[arg(long, env = "HOSTNAME", default_value = "lapsed")]
    instance: String,
    /// Where other instances reach this one's http.listen; without it, the address it listens at, or, if it
    /// listens at all, the instance's name and the port
    #[arg(long, env = "LAPSED_ADDRESS", value_name = "HOST:PORT")]
    address: Option<String>,
    /// How a line of the log looks
    #[arg(long, value_enum, default_value_t)]
    log_format: LogFormat,
}

/// How long a loop may stand still before the instance counts as dead.
const STILLNESS_MAX_SECONDS: i64 = 120;
/// How often the configuration is looked at.
const RELOAD_INTERVAL: Duration = Duration::from_secs(10);
/// A graceful stop may take this long; then the process ends all the same, which loses nothing.
const STOP_PATIENCE: Duration = Duration::from_secs(15);

pub fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    logs::init(args.log_format);
    // Until something has begun there is nothing to finish.
    let is_starting = Arc::new(AtomicBool::new(true));
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register_conditional_shutdown(signal, 0, is_starting.clone())?;
    }
    let loaded = args.config.load()?;
    loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let config = Arc::new(loaded.config);
    let (listener, address) = listen(&args, &config)?;
    // The group's members are known by it: so any instance finds the one that owns a customer.
    let clients = Clients::new(config.kafka.clone(), &config.application, address);
    verify_access(&clients, &config)?;
    verify_topics(&clients, &config)?;
    let service = Service::start(&args, &clients, config, loaded.referred, listener)?;
    is_starting.store(false, Ordering::Relaxed);
    service.watch(&args)
}

/// Begins to listen; answers come later. Returns where other instances reach it.
fn listen(args: &RunArgs, config: &Config) -> anyhow::Result<(TcpListener, String)> {
    let listen = config.http.listen;
    let listener = TcpListener::bind(listen);
    let listener = listener.with_context(|| format!("cannot listen at {listen}; set http.listen"))?;
    listener.set_nonblocking(true)?;
    let bound = listener.local_addr()?;
    let by_name = || format!("{}:{}", args.instance, bound.port());
    let address = if bound.ip().is_unspecified() { by_name() } else { bound.to_string() };
    Ok((listener, args.address.clone().unwrap_or(address)))
}

/// Refuses to start where something that it will have to do is not allowed.
fn verify_access(clients: &Clients, config: &Config) -> anyhow::Result<()> {
    let missing = access::missing(clients, &super::topics::needed_access(config))?;
    let sources: BTreeSet<&str> =
        config.sources.iter().flat_map(|source| &source.topics).map(TopicPattern::as_written).collect();
    // Only how long a source's records are kept is not known then: what is left of the forgotten stays longer.
    let is_needed =
        |access: &&Access| access.operation != Operation::DescribeConfigs || !sources.contains(access.topic.as_str());
    missing.iter().filter(|access| !is_needed(access)).for_each(|access| tracing::warn!("grant {access}"));
    let lines: Vec<String> = missing.iter().filter(is_needed).map(|access| format!("grant {access}")).collect();
    if lines.is_empty() { Ok(()) } else { bail!("not authorised, will not start:\n  {}", lines.join("\n  ")) }
}

/// Refuses to start on a topic that would break a promise.
fn verify_topics(clients: &Clients, config: &Config) -> anyhow::Result<()> {
    let mut wrong = Vec::new();
    for topic in look(clients, &super::topics::needed(config))? {
        let of_source = topic.wanted.owner == Owner::Source;
        for fault in topic.faults {
            let line = format!("topic {} {fault}", topic.wanted.name);
            // A source's missing topic is a doubt: the gate stays closed, and says so.
            if of_source && topic.partitions.is_none() { tracing::warn!("{line}") } else { wrong.push(line) }
        }
    }
    if wrong.is_empty() { Ok(()) } else { bail!("will not start:\n  {}", wrong.join("\n  ")) }
}

/// What a worker leaves when it ends: its name, and why if it was not asked to.
type Ended = (&'static str, Result<(), String>);

struct Service {
    config: Arc<Config>,
    metrics: Arc<Metrics>,
    stop: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
    ended: Receiver<Ended>,
    next: [Arc<Mutex<Option<Arc<Config>>>>; 2],
    desk: Arc<Desk>,
    /// What `file:` refers to in the configuration.
    referred: Vec<PathBuf>,
    /// As it is written, secrets not resolved.
    kafka_written: BTreeMap<String, String>,
}

impl Service {
    fn start(
        args: &RunArgs,
        clients: &Clients,
        config: Arc<Config>,
        referred: Vec<PathBuf>,
        listener: TcpListener,
    ) -> anyhow::Result<Service> {
        let metrics = Arc::new(Metrics::new());
        metrics.reload_successful.set(1);
        prepare(&metrics, &config);
        let (stop, reload) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        for signal in [SIGTERM, SIGINT] {
            // A second signal ends the process at once.
            signal_hook::flag::register_conditional_shutdown(signal, 1, stop.clone())?;
            signal_hook::flag::register(signal, stop.clone())?;
        }
        signal_hook::flag::register(SIGHUP, reload.clone())?;
        let track = Arc::new(TrackStatus::new(metrics.clone()));
        let ingest = Arc::new(IngestStatus::new(metrics.clone()));
        let (sender, ended) = std::sync::mpsc::channel();
        let next = [Arc::default(), Arc::default()];
        let (asker, questions) = questions::queue();
        let outside: Arc<dyn Outside> = Arc::new(Brokers::new(clients, &config.application)?);
        let desk = Arc::new(Desk::new(config.clone(), asker, track.clone(), outside));
        let health = Instance { track: track.clone(), ingest: ingest.clone() };
        serve(listener, &metrics, health, desk.clone(), sender.clone())?;

        let names = Names::new(&config.application, &args.instance);
        let worker = TrackWorker::new(names, clients.clone(), config.clone(), track, Arc::clone(&next[0]), questions)?;
        let stopping = stop.clone();
        spawn("track", sender.clone(), move || worker.run(&stopping).map_err(|error| error.to_string()))?;
        let worker = IngestWorker::new(&args.instance, clients.clone(), config.clone(), ingest, Arc::clone(&next[1]))?;
        let stopping = stop.clone();
        spawn("ingest", sender, move || worker.run(&stopping).map_err(|error| error.to_string()))?;
        tracing::info!(application = config.application, instance = args.instance, "running");
        let kafka_written = kafka_written(args)?;
        Ok(Service { config, metrics, stop, reload, ended, next, desk, referred, kafka_written })
    }

    /// Waits for the end, and takes over new configurations until then.
    fn watch(mut self, args: &RunArgs) -> anyhow::Result<ExitCode> {
        let mut known = fingerprint(args, &self.referred);
        let mut looked = Instant::now();
        while !self.stop.load(Ordering::Relaxed) {
            match self.ended.recv_timeout(Duration::from_millis(200)) {
                Ok((name, Err(why))) => {
                    tracing::error!(worker = name, "{why}");
                    self.stop.store(true, Ordering::Relaxed);
                    self.wind_up(1);
                    bail!("{why}");
                }
                // Asked to while this was waiting: some workers are quick.
                Ok((name, Ok(()))) if self.stop.load(Ordering::Relaxed) => {
                    tracing::info!(worker = name, "stopped");
                    self.wind_up(1);
                    return Ok(ExitCode::SUCCESS);
                }
                Ok((name, Ok(()))) => bail!("{name} ended without being asked to"),
                Err(RecvTimeoutError::Disconnected) => bail!("all workers are gone"),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let asked = self.reload.swap(false, Ordering::Relaxed);
            if asked || looked.elapsed() >= RELOAD_INTERVAL {
                looked = Instant::now();
                let found = fingerprint(args, &self.referred);
                if asked || found != known {
                    let referred = self.referred.clone();
                    self.take_over(args)?;
                    known = if referred == self.referred { found } else { fingerprint(args, &self.referred) };
                } else {
                    self.read_tokens(args);
                }
            }
        }
        tracing::info!("stopping");
        self.wind_up(2);
        Ok(ExitCode::SUCCESS)
    }

    /// Lets the workers finish what they are at.
    fn wind_up(&self, workers: usize) {
        let deadline = Instant::now() + STOP_PATIENCE;
        for _ in 0..workers {
            let patience = deadline.saturating_duration_since(Instant::now());
            match self.ended.recv_timeout(patience) {
                Ok((name, Ok(()))) => tracing::info!(worker = name, "stopped"),
                Ok((name, Err(why))) => tracing::error!(worker = name, "{why}"),
                Err(_) => tracing::warn!("a worker did not stop in time; what it was at is undone by the next owner"),
            }
        }
    }

    /// The files of secrets may have changed although the configuration has not.
    fn read_tokens(&mut self, args: &RunArgs) {
        let Ok(loaded) = args.config.load() else { return };
        if loaded.config.http.tokens != self.config.http.tokens && loaded.config.hash == self.config.hash {
            self.desk.take_tokens(&loaded.config.http);
            self.config = Arc::new(loaded.config);
            tracing::info!("other tokens are in force");
        }
    }

    /// An invalid file leaves the old configuration in force, and shows.
    ///
    /// # Errors
    /// When secrets of `kafka` have changed: librdkafka keeps those that it was made with.
    fn take_over(&mut self, args: &RunArgs) -> anyhow::Result<()> {
        let loaded = args.config.load().and_then(|loaded| Ok((loaded, kafka_written(args)?)));
        let (loaded, written) = match loaded {
            Ok(found) => found,
            Err(error) => {
                self.metrics.reload_successful.set(0);
                tracing::error!("the new configuration is not taken over:\n{error:#}");
                return Ok(());
            }
        };
        let new = Arc::new(loaded.config);
        let fixed = |config: &Config| (config.application.clone(), config.topics);
        if fixed(&new) != fixed(&self.config) || written != self.kafka_written {
            self.metrics.reload_successful.set(0);
            tracing::error!("application, kafka and topics need a restart; the old configuration stays in force");
            return Ok(());
        }
        if new.evidence.pseudonyms != self.config.evidence.pseudonyms {
            self.metrics.reload_successful.set(0);
            tracing::error!(
                "evidence.key must never change: the forgotten would not be known again, and evidence not be found. The old one stays in force; \
                 put it back before this instance is started anew"
            );
            return Ok(());
        }
        loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        self.metrics.reload_successful.set(1);
        prepare(&self.metrics, &new);
        self.referred = loaded.referred;
        if new.kafka != self.config.kafka {
            self.stop.store(true, Ordering::Relaxed);
            self.wind_up(2);
            bail!("secrets of kafka have changed: to be started anew, with them");
        }
        let is_the_same = new.hash == self.config.hash;
        self.config = new.clone();
        self.desk.reconfigure(new.clone());
        if is_the_same {
            // Nothing that decides: the gate stays as it is.
            tracing::info!("the configuration decides as before; tokens were read anew");
            return Ok(());
        }
        for next in &self.next {
            *next.lock().unwrap_or_else(PoisonError::into_inner) = Some(new.clone());
        }
        tracing::info!("a new configuration is in force");
        Ok(())
    }
}

/// `kafka:` as it is written, to tell a new secret from another property.
fn kafka_written(args: &RunArgs) -> anyhow::Result<BTreeMap<String, String>> {
    Ok(args.config.load_offline()?.config.kafka)
}

fn spawn(
    name: &'static str,
    ended: Sender<Ended>,
    work: impl FnOnce() -> Result<(), String> + Send + 'static,
) -> anyhow::Result<()> {
    let body = move || {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        let outcome = outcome.unwrap_or_else(|_| Err(format!("{name} panicked; the state on Kafka is whole")));
        // Nobody listens any more only when the process is ending.
        let _ = ended.send((name, outcome));
    };
    thread::Builder::new().name(name.to_owned()).spawn(body).context("no thread could be had")?;
    Ok(())
}

fn serve(
    listener: TcpListener,
    metrics: &Arc<Metrics>,
    health: Instance,
    desk: Arc<Desk>,
    ended: Sender<Ended>,
) -> anyhow::Result<()> {
    let metrics = metrics.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    spawn("http", ended, move || {
        let served = runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            http::serve(listener, Some((Arc::new(health), metrics)), desk).await
        });
        served.map_err(|error| format!("connections can't be taken: {error}"))
    })
}

/// Counters that begin at 0 show their first step, too; and policies show when they are to be looked at again.
fn prepare(metrics: &Metrics, config: &Config) {
    for target in config.rules.targets.iter().map(|target| target.key.as_str()).chain([UNKNOWN_TARGET]) {
        metrics.acknowledgements_unknown.with_label_values(&[target]);
    }
    for source in &config.rules.sources {
        for outcome in ["signals", "ignored", "skipped", "rejected"] {
            metrics.records.with_label_values(&[source.key.as_str(), outcome]);
        }
    }
    for outcome in ["committed", "aborted", "unknown"] {
        metrics.transactions.with_label_values(&[outcome]);
    }
    metrics.policy_review.reset();
    for (policy, text) in config.rules.policies.iter().zip(&config.texts) {
        let at = text.review_by.and_time(chrono::NaiveTime::MIN).and_utc().timestamp();
        metrics.policy_review.with_label_values(&[&policy.key]).set(at);
    }
}

/// The bytes of its files and of those it refers to: their times tell nothing in Kubernetes, where a mounted map is a link.
fn fingerprint(args: &RunArgs, referred: &[PathBuf]) -> Vec<Option<Vec<u8>>> {
    let read = |path: &PathBuf| match std::fs::read_dir(path) {
        Err(_) => vec![std::fs::read(path).ok()],
        Ok(entries) => {
            let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
            paths.sort();
            paths.iter().map(|path| std::fs::read(path).ok()).collect()
        }
    };
    args.config.config.iter().chain(referred).flat_map(read).collect()
}

/// The workers' health, summed up.
struct Instance {
    track: Arc<TrackStatus>,
    ingest: Arc<IngestStatus>,
}

impl Health for Instance {
    fn live(&self) -> Result<(), String> {
        for (name, stillness) in [("track", self.track.stillness()), ("ingest", self.ingest.stillness())] {
            if stillness > STILLNESS_MAX_SECONDS {
                return Err(format!("{name} has stood still for {stillness} seconds"));
            }
        }
        Ok(())
    }

    fn ready(&self) -> Result<(), String> {
        let shards = self.track.shards();
        let restoring: Vec<String> = shards
            .iter()
            .filter_map(|(partition, state)| match state {
                ShardState::Restoring { read, total } => Some(format!("shard {partition}: {read} of {total}")),
                ShardState::Running => None,
            })
            .collect();
        if !restoring.is_empty() {
            return Err(format!("restoring {}", restoring.join(", ")));
        }
        // One of more instances than shards is ready with none.
        if shards.is_empty() && !self.track.has_joined() { Err("joining".to_owned()) } else { Ok(()) }
    }

    fn observe(&self, metrics: &Metrics) {
        self.track.observe_gauges(metrics);
    }
}
