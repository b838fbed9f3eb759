//! `lapsed due`: who is due by a date, and for what they wait.

use super::config_args::ConfigArgs;
use super::shards;
use crate::config::Config;
use crate::kafka::clients::Clients;
use crate::retention::calendar::{Timestamp, first_instant_after, local_date};
use crate::retention::policy::PolicyIndex;
use crate::track::shard::{Listed, Waits};
use anyhow::Context;
use chrono::NaiveDate;
use serde_json::json;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

/// List who is due in a policy by a date, and for what they wait
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
    lapsed due -c lapsed.yaml offers                      who is due today
    lapsed due -c lapsed.yaml offers --by 2026-12-31      and by then, if nothing changes

It reads the shards' state from Kafka as of the last transaction; the service need not run, and is not
disturbed. Customers' ids are shown: mind where you print them.")]
pub struct DueArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The policy's key
    policy: String,
    /// Due on this day or earlier; without it, today
    #[arg(long, value_name = "DATE")]
    by: Option<NaiveDate>,
    /// One JSON object a customer instead of a table
    #[arg(long)]
    json: bool,
}

pub fn due(args: DueArgs) -> anyhow::Result<ExitCode> {
    let config = Arc::new(args.config.load()?.config);
    let policy = policy(&config, &args.policy)?;
    let clients = Clients::new(config.kafka.clone(), format!("{}-due", config.application));
    let now = shards::now();
    let by = args.by.unwrap_or_else(|| local_date(now, config.zone));
    let before = first_instant_after(by, config.zone);
    let shards = shards::read(&clients, &config)?;
    let mut listed: Vec<Listed> = shards.iter().flat_map(|shard| shard.due_before(policy, before, now)).collect();
    listed.sort_by(|a, b| (a.prospect.due.deadline, &a.customer).cmp(&(b.prospect.due.deadline, &b.customer)));
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    if args.json {
        for listed in &listed {
            writeln!(out, "{}", as_json(listed, &config))?;
        }
    } else {
        write_table(&mut out, &listed, &config)?;
    }
    out.flush()?;
    let waiting = |waits| listed.iter().filter(|listed| listed.waits == waits).count();
    writeln!(
        std::io::stderr(),
        "{} due in {} by {by}: {} wait for a release, {} for the policy's mode, {} for their time or the gate",
        listed.len(),
        args.policy,
        waiting(Waits::Release),
        waiting(Waits::Mode),
        waiting(Waits::Gate),
    )?;
    Ok(ExitCode::SUCCESS)
}

/// The place of a policy.
///
/// # Errors
/// When there is none of that name.
pub fn policy(config: &Config, key: &str) -> anyhow::Result<PolicyIndex> {
    config.rules.policy_by_key(key).with_context(|| {
        let known: Vec<&str> = config.rules.policies.iter().map(|policy| policy.key.as_str()).collect();
        format!("there is no policy '{key}'; there are {}", known.join(", "))
    })
}

fn date(at: Timestamp, config: &Config) -> String {
    local_date(at, config.zone).to_string()
}

fn waits_for(waits: Waits) -> &'static str {
    match waits {
        Waits::Gate => "gate",
        Waits::Mode => "mode",
        Waits::Release => "release",
    }
}

fn as_json(listed: &Listed, config: &Config) -> serde_json::Value {
    let prospect = &listed.prospect;
    json!({
        "customer": listed.customer,
        "policy": config.rules.policies[usize::from(listed.policy.0)].key,
        "command": prospect.action.name(),
        "cause": prospect.cause.name(),
        "since": {"kind": prospect.since.kind, "date": date(prospect.since.at, config)},
        "deadline": prospect.due.deadline.to_local_string(config.zone),
        "held_by": prospect.held_by,
        "waits_for": waits_for(listed.waits),
    })
}

fn write_table(out: &mut impl Write, listed: &[Listed], config: &Config) -> std::io::Result<()> {
    let width = listed.iter().map(|listed| listed.customer.chars().count()).max().unwrap_or(0).clamp(8, 40);
    writeln!(
        out,
        "{:width$}  {:<10}  {:<10}  {:<15}  {:<24}  {:<8}  held by",
        "customer", "deadline", "command", "cause", "since", "waits for"
    )?;
    for listed in listed {
        let prospect = &listed.prospect;
        let since = format!("{} {}", date(prospect.since.at, config), prospect.since.kind);
        writeln!(
            out,
            "{:width$}  {:<10}  {:<10}  {:<15}  {since:<24}  {:<9}  {}",
            listed.customer,
            date(prospect.due.deadline, config),
            prospect.action.name(),
            prospect.cause.name(),
            waits_for(listed.waits),
            prospect.held_by.as_deref().unwrap_or("-"),
        )?;
    }
    Ok(())
}
