//! `lapsed accept`: a person answers for a source that is in doubt.

use super::config_args::ConfigArgs;
use super::instruct::{Who, clients, send};
use super::remote::{Either, EitherArgs};
use super::shards;
use super::table::{list, text};
use crate::config::Config;
use crate::kafka::clients::Clients;
use crate::retention::brake::Order;
use crate::retention::calendar::Timestamp;
use crate::retention::gate::{Acceptable, Doubt};
use crate::retention::policy::SourceIndex;
use crate::track::shard::Shard;
use anyhow::bail;
use serde_json::json;
use std::collections::BTreeSet;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use uuid::Uuid;

/// Answer for a source that is in doubt, so that its progress counts again
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
    lapsed accept -c lapsed.yaml web    --silence --reason \"shop closed for the move, SHOP-71\"
    lapsed accept -c lapsed.yaml orders --rejects --reason \"test orders without a customer\"
    lapsed accept -c lapsed.yaml desk   --gap     --reason \"only newsletters expired, checked with CRM\"

Look first at why the gate is closed: lapsed_gate_doubt, and the service's log. You say that nothing is missing
which would have shown a customer to be active, up to now. The service must be running: what it reports is
what you answer for.

It answers what is there now and ends with it: a silence until its rule speaks again (what falls due later
waits for that, or for another `accept`); rejects up to now; gaps found up to now. What comes later is a new
doubt. A source that has ended says `retired: true` instead; where records are still there, `reread` finds what
they mean.")]
#[command(group = clap::ArgGroup::new("doubt").required(true))]
pub struct AcceptArgs {
    #[command(flatten)]
    whence: EitherArgs,
    /// The source's key
    source: String,
    /// That a rule has matched nothing for longer than `max_silence`
    #[arg(long, group = "doubt")]
    silence: bool,
    /// That more records were rejected than `max_rejects` allows
    #[arg(long, group = "doubt")]
    rejects: bool,
    /// That records may be missing
    #[arg(long, group = "doubt")]
    gap: bool,
    #[command(flatten)]
    who: Who,
}

impl AcceptArgs {
    fn doubt(&self) -> Acceptable {
        match (self.silence, self.rejects) {
            (true, _) => Acceptable::Silence,
            (_, true) => Acceptable::Rejects,
            _ => Acceptable::Gap,
        }
    }
}

pub fn accept(mut args: AcceptArgs) -> anyhow::Result<ExitCode> {
    match std::mem::take(&mut args.whence).choose()? {
        Either::Kafka(config) => accept_on_kafka(&config, &args),
        Either::Service(remote) => {
            let (source, doubt) = (&args.source, args.doubt().to_string());
            let body = json!({"source": source, "doubt": doubt, "reason": args.who.reason()});
            let told = remote.post("accept", &body)?;
            let mut out = std::io::stderr();
            writeln!(out, "accepted: {doubt} of '{source}' (instruction {})", text(&told["instruction"]))?;
            list(&told, "doubts").iter().try_for_each(|doubt| writeln!(out, "  {}", text(&doubt["says"])))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn accept_on_kafka(config: &ConfigArgs, args: &AcceptArgs) -> anyhow::Result<ExitCode> {
    let config = Arc::new(config.load()?.config);
    let (key, doubt) = (args.source.as_str(), args.doubt());
    let source = source(&config, key)?;
    let clients = clients(&config);
    let accepted = held(&clients, &config, source, doubt)?;
    let id = Uuid::now_v7();
    let order = Order::Accept { source: key.to_owned(), doubt };
    let orders = (0..config.topics.partitions).map(|partition| (partition, order.clone()));
    send(&clients, &config, &args.who, id, orders.collect())?;
    let mut out = std::io::stderr();
    writeln!(out, "accepted: {doubt} of '{key}' (instruction {id})")?;
    accepted.iter().try_for_each(|doubt| writeln!(out, "  {doubt}"))?;
    Ok(ExitCode::SUCCESS)
}

fn source(config: &Config, key: &str) -> anyhow::Result<SourceIndex> {
    let Some(place) = config.rules.sources.iter().position(|source| source.key == key) else {
        let known: Vec<&str> = config.rules.sources.iter().map(|source| source.key.as_str()).collect();
        bail!("there is no source '{key}'; there are: {}", known.join(", "));
    };
    if config.rules.sources[place].retired {
        bail!("source '{key}' is retired: it is not waited for, and nothing about it is in doubt");
    }
    Ok(SourceIndex(u16::try_from(place)?))
}

/// What there is to accept, in any shard, each once.
fn held(
    clients: &Clients,
    config: &Arc<Config>,
    source: SourceIndex,
    doubt: Acceptable,
) -> anyhow::Result<BTreeSet<String>> {
    let mut shards = shards::read(clients, config)?;
    shards::hear(clients, config, &mut shards, |shard| shard.gate().has_heard_all(source))?;
    let now = |shard: &Shard| shard.now().unwrap_or(Timestamp::MIN);
    let to_accept = shards.iter().flat_map(|shard| shard.gate().to_accept(source, doubt, now(shard)));
    let found: BTreeSet<String> = to_accept.map(|doubt| doubt.to_string()).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let key = &config.rules.sources[usize::from(source.0)].key;
    let doubts: Vec<Doubt> = shards.iter().flat_map(|shard| shard.gate().doubts(source, now(shard))).collect();
    if shards.iter().any(|shard| !shard.gate().has_heard_all(source)) {
        let partition = shards.iter().find(|shard| !shard.gate().has_heard_all(source));
        bail!(
            "whether '{key}' is in doubt for its {doubt} is not known: {}. Nothing is accepted. Does `lapsed run` run \
             with this configuration? (shard {})",
            doubts.first().map_or_else(String::new, ToString::to_string),
            partition.map_or(0, |shard| shard.home().partition),
        );
    }
    let others: BTreeSet<String> = doubts.iter().map(ToString::to_string).collect();
    if others.is_empty() {
        bail!("'{key}' is not in doubt: there is nothing to accept");
    }
    let others: Vec<String> = others.into_iter().collect();
    bail!("'{key}' is in doubt, but not for its {doubt}; nothing is accepted. {}", others.join("; "))
}
