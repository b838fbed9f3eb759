//! `lapsed due`: who is due by a date, and for what they wait.

use super::config_args::ConfigArgs;
use super::progress::spinner;
use super::remote::{Either, EitherArgs, Remote};
use super::shards;
use super::table::{Table, day, list, text};
use crate::config::Config;
use crate::http::answers;
use crate::kafka::clients::Clients;
use crate::retention::calendar::{first_instant_after, local_date};
use crate::retention::policy::PolicyIndex;
use crate::track::shard::{Listed, Waits};
use anyhow::Context;
use chrono::NaiveDate;
use serde_json::{Value, json};
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

/// List who is due in a policy by a date, and for what they wait
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
    lapsed due -c lapsed.yaml offers                      who is due today
    lapsed due -c lapsed.yaml offers --by 2026-12-31      and by then, if nothing changes
    lapsed due --url http://lapsed:8080 --token-file /secrets/desk offers

With -c it reads the shards' state from Kafka as of the last transaction; the service need not run, and is not
disturbed. With --url a running instance is asked, and the look-up stands in audit. Customers' ids are shown: mind
where you print them.")]
pub struct DueArgs {
    #[command(flatten)]
    whence: EitherArgs,
    /// The policy's key
    policy: String,
    /// Due on this day or earlier; without it, today
    #[arg(long, value_name = "DATE")]
    by: Option<NaiveDate>,
    /// One JSON object a customer instead of a table
    #[arg(long)]
    json: bool,
}

/// Who is due, in the order in which it is shown.
struct Found {
    by: String,
    rows: Vec<Value>,
    total: u64,
    waiting_for_release: u64,
    waiting_for_mode: u64,
}

pub fn due(args: DueArgs) -> anyhow::Result<ExitCode> {
    let found = match args.whence.choose()? {
        Either::Kafka(config) => read(&config, &args.policy, args.by)?,
        Either::Service(remote) => ask(&remote, &args.policy, args.by)?,
    };
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    if args.json {
        found.rows.iter().try_for_each(|row| writeln!(out, "{row}"))?;
    } else {
        write_table(&mut out, &found.rows)?;
    }
    out.flush()?;
    let Found { by, total, waiting_for_release, waiting_for_mode, rows } = found;
    let others = total - waiting_for_release - waiting_for_mode;
    writeln!(
        std::io::stderr(),
        "{total} due in {} by {by}: {waiting_for_release} wait for a release, {waiting_for_mode} for the policy's \
         mode, {others} for their time or the gate",
        args.policy
    )?;
    if (rows.len() as u64) < total {
        writeln!(std::io::stderr(), "only the first {} are listed", rows.len())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn read(config: &ConfigArgs, key: &str, by: Option<NaiveDate>) -> anyhow::Result<Found> {
    let config = Arc::new(config.load()?.config);
    let policy = policy(&config, key)?;
    let clients = Clients::new(config.kafka.clone(), &config.application, format!("{}-due", config.application));
    let now = shards::now();
    let by = by.unwrap_or_else(|| local_date(now, config.zone));
    let before = first_instant_after(by, config.zone);
    let waiting = spinner("the shards' state is read");
    let shards = shards::read(&clients, &config);
    waiting.finish_and_clear();
    let mut listed: Vec<Listed> = shards?.iter().flat_map(|shard| shard.due_before(policy, before, now)).collect();
    listed.sort_by(|a, b| (a.prospect.due.deadline, &a.customer).cmp(&(b.prospect.due.deadline, &b.customer)));
    let waiting = |waits| listed.iter().filter(|listed| listed.waits == waits).count() as u64;
    Ok(Found {
        by: by.to_string(),
        total: listed.len() as u64,
        waiting_for_release: waiting(Waits::Release),
        waiting_for_mode: waiting(Waits::Mode),
        rows: listed.iter().map(|listed| answers::listed(listed, &config)).collect(),
    })
}

fn ask(remote: &Remote, policy: &str, by: Option<NaiveDate>) -> anyhow::Result<Found> {
    let mut body = json!({"policy": policy});
    if let Some(by) = by {
        body["by"] = json!(by);
    }
    let waiting = spinner("every customer is looked at");
    let told = remote.post("due", &body);
    waiting.finish_and_clear();
    let told = told?;
    let number = |field: &str| told[field].as_u64().unwrap_or(0);
    Ok(Found {
        by: text(&told["by"]),
        total: number("total"),
        waiting_for_release: number("waiting_for_release"),
        waiting_for_mode: number("waiting_for_mode"),
        rows: list(&told, "rows").to_vec(),
    })
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

fn write_table(out: &mut impl Write, rows: &[Value]) -> std::io::Result<()> {
    let mut table = Table::new(["customer", "deadline", "command", "cause", "since", "waits for", "held by"]);
    for row in rows {
        let since = &row["since"];
        table.row([
            text(&row["customer"]),
            day(&row["deadline"]),
            text(&row["command"]),
            text(&row["cause"]),
            format!("{} {}", text(&since["date"]), text(&since["kind"])),
            text(&row["waits_for"]),
            text(&row["held_by"]),
        ]);
    }
    table.write(out)
}
