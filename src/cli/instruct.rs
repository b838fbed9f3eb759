//! An operator's orders, into every partition of `signals`: `lapsed release`, `lapsed stop`, and what
//! `lapsed accept` shares with them.

use super::config_args::ConfigArgs;
use super::due::policy;
use super::remote::{Either, EitherArgs, Remote};
use super::shards;
use super::table::text;
use crate::config::Config;
use crate::http::api::share;
use crate::kafka::clients::Clients;
use crate::retention::brake::{Instruction, Order};
use crate::retention::calendar::first_instant_after;
use crate::wire::instruction;
use anyhow::{Context, bail};
use chrono::NaiveDate;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer};
use serde_json::json;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// How long the brokers may take to acknowledge an instruction.
const PATIENCE: Duration = Duration::from_secs(30);

/// Let customers go who wait for a person: backlog, and what the brake has stopped
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
    lapsed due     -c lapsed.yaml offers --by 2026-12-31      look first
    lapsed release -c lapsed.yaml offers --due-by 2026-12-31 --at-most 1200 --reason \"year-end list, seen by PD\"

Every shard is asked for its own number, and never lets more go; if they add up to more than --at-most,
nothing is released. The release is bound to the policy's version, and ends when they are through. It may be
given ahead. It also lifts the brake, or a stop by hand, of this policy.")]
pub struct ReleaseArgs {
    #[command(flatten)]
    whence: EitherArgs,
    /// The policy's key
    policy: String,
    /// Whoever is due on this day or earlier
    #[arg(long, value_name = "DATE")]
    due_by: NaiveDate,
    /// Refuse if they are more than this
    #[arg(long, value_name = "N")]
    at_most: u64,
    /// So many a day, in all shards together
    #[arg(long, value_name = "M")]
    per_day: Option<u64>,
    #[command(flatten)]
    who: Who,
}

/// Pull the brake of a policy by hand, or of all
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
    lapsed stop -c lapsed.yaml offers --reason \"wrong segment loaded\"
    lapsed stop -c lapsed.yaml --all  --reason \"migration\"

Nothing but recalls leaves from then on, further attempts included, until `lapsed release`.")]
pub struct StopArgs {
    #[command(flatten)]
    whence: EitherArgs,
    /// The policy's key
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    policy: Option<String>,
    /// All policies
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    who: Who,
}

/// What audit says of the person.
#[derive(Debug, clap::Args)]
pub(super) struct Who {
    /// Why; it stands in audit
    #[arg(long)]
    reason: String,
    /// Who; it stands in audit. A service that is asked knows it by the token
    #[arg(long, env = "USER", default_value = "unknown")]
    by: String,
}

impl Who {
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

pub fn release(mut args: ReleaseArgs) -> anyhow::Result<ExitCode> {
    match std::mem::take(&mut args.whence).choose()? {
        Either::Kafka(config) => release_on_kafka(&config, &args),
        Either::Service(remote) => ask_for_release(&remote, &args),
    }
}

fn ask_for_release(remote: &Remote, args: &ReleaseArgs) -> anyhow::Result<ExitCode> {
    let mut body = json!({
        "policy": args.policy, "due_by": args.due_by, "at_most": args.at_most, "reason": args.who.reason,
    });
    if let Some(per_day) = args.per_day {
        body["per_day"] = json!(per_day);
    }
    let told = remote.post("release", &body)?;
    let (released, id) = (&told["released"], text(&told["instruction"]));
    writeln!(std::io::stderr(), "released: {released} in '{}' due by {} (instruction {id})", args.policy, args.due_by)?;
    Ok(ExitCode::SUCCESS)
}

fn release_on_kafka(config: &ConfigArgs, args: &ReleaseArgs) -> anyhow::Result<ExitCode> {
    let config = Arc::new(config.load()?.config);
    let index = policy(&config, &args.policy)?;
    let version = &config.rules.policies[usize::from(index.0)].version;
    let clients = clients(&config);
    let due_before = first_instant_after(args.due_by, config.zone);
    let now = shards::now();
    let mut numbers = Vec::new();
    for shard in shards::read(&clients, &config)? {
        let partition = shard.home().partition;
        let in_force = shard.brakes().policies.get(&args.policy).map(|brake| brake.version.as_str());
        if in_force != Some(version) {
            bail!(
                "shard {partition} runs version {} of '{}', and this configuration is version {version}; nothing is \
                 released",
                in_force.unwrap_or("(none)"),
                args.policy
            );
        }
        let mut customers: Vec<String> =
            shard.due_before(index, due_before, now).into_iter().map(|listed| listed.customer).collect();
        customers.sort_unstable();
        customers.dedup();
        numbers.push((partition, customers.len() as u64));
    }
    let total: u64 = numbers.iter().map(|(_, number)| number).sum();
    if total > args.at_most {
        bail!(
            "{total} are due in '{}' by {}, more than --at-most {}; nothing is released",
            args.policy,
            args.due_by,
            args.at_most
        );
    }
    let id = Uuid::now_v7();
    let orders = numbers.iter().map(|&(partition, at_most)| {
        let per_day = args.per_day.map(|per_day| share(per_day, at_most, total));
        let (policy, version) = (args.policy.clone(), version.clone());
        (partition, Order::Release { policy, version, due_before, at_most, per_day })
    });
    send(&clients, &config, &args.who, id, orders.collect())?;
    writeln!(std::io::stderr(), "released: {total} in '{}' due by {} (instruction {id})", args.policy, args.due_by)?;
    Ok(ExitCode::SUCCESS)
}

pub fn stop(mut args: StopArgs) -> anyhow::Result<ExitCode> {
    match std::mem::take(&mut args.whence).choose()? {
        Either::Kafka(config) => stop_on_kafka(&config, &args),
        Either::Service(remote) => {
            let told = remote.post("stop", &json!({"policy": args.policy, "reason": args.who.reason}))?;
            tell_stopped(args.policy.as_deref(), &text(&told["instruction"]))
        }
    }
}

fn tell_stopped(policy: Option<&str>, id: &str) -> anyhow::Result<ExitCode> {
    let what = policy.map_or("all policies".to_owned(), |key| format!("'{key}'"));
    writeln!(std::io::stderr(), "stopped: {what} (instruction {id})")?;
    Ok(ExitCode::SUCCESS)
}

fn stop_on_kafka(config: &ConfigArgs, args: &StopArgs) -> anyhow::Result<ExitCode> {
    let config = config.load()?.config;
    if let Some(key) = &args.policy {
        policy(&config, key)?;
    }
    let id = Uuid::now_v7();
    let orders =
        (0..config.topics.partitions).map(|partition| (partition, Order::Stop { policy: args.policy.clone() }));
    send(&clients(&config), &config, &args.who, id, orders.collect())?;
    tell_stopped(args.policy.as_deref(), &id.to_string())
}

pub(super) fn clients(config: &Config) -> Clients {
    Clients::new(config.kafka.clone(), &config.application, format!("{}-instruct", config.application))
}

/// Has each shard get its order.
pub(super) fn send(
    clients: &Clients,
    config: &Config,
    who: &Who,
    id: Uuid,
    orders: Vec<(u32, Order)>,
) -> anyhow::Result<()> {
    let producer = clients.producer(DefaultProducerContext)?;
    let topic = format!("{}.signals", config.application);
    for (partition, order) in orders {
        let instruction = Instruction { id, by: who.by.clone(), reason: who.reason.clone(), order };
        let mut value = Vec::new();
        instruction::encode(&instruction, &mut value);
        let record = BaseRecord::<(), [u8]>::to(&topic).partition(i32::try_from(partition)?).payload(&value);
        producer
            .send(record)
            .map_err(|(error, _)| error)
            .context("an instruction could not be handed to the brokers")?;
    }
    producer
        .flush(PATIENCE)
        .context("not every shard's instruction was acknowledged; look at `lapsed due`, then repeat")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn a_day_is_shared_by_number() {
        assert_eq!([share(10, 50, 100), share(10, 1, 100), share(3, 0, 0)], [5, 1, 0]);
        assert_eq!(share(u64::MAX, u64::MAX, u64::MAX), u64::MAX);
    }
}
