//! `lapsed status`: the state of things.

use super::remote::{Remote, RemoteArgs};
use super::table::{Table, day, list, text};
use serde_json::Value;
use std::io::Write;
use std::process::ExitCode;

/// Show the state of things: gate, brake, backlog, acknowledgements
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
    lapsed status --url http://lapsed:8080

Of as many shards as can be asked now. It names nobody, so it takes no token. Exits with 1 if not all shards have
answered.")]
pub struct StatusArgs {
    #[command(flatten)]
    remote: RemoteArgs,
    /// One JSON object instead of tables
    #[arg(long)]
    json: bool,
}

pub fn status(args: StatusArgs) -> anyhow::Result<ExitCode> {
    let told = Remote::new(&args.remote)?.get("status")?;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{told}")?
    } else {
        write(&mut out, &told)?
    }
    let is_whole = told["shards"] == told["shards_there_are"];
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn write(out: &mut impl Write, told: &Value) -> std::io::Result<()> {
    writeln!(
        out,
        "{} at {}: {} of {} shards, {} customers, {} forgotten, {} without a starting point",
        text(&told["application"]),
        text(&told["time"]),
        told["shards"],
        told["shards_there_are"],
        told["customers"],
        told["forgotten"],
        told["without_starting_point"]
    )?;
    writeln!(out)?;
    let mut sources = Table::new(["source", "gate", "behind", "closed since", "doubts"]);
    for source in list(told, "sources") {
        let gate = match (&source["retired"], &source["open"]) {
            (Value::Bool(true), _) => "retired",
            (_, Value::Bool(true)) => "open",
            _ => "closed",
        };
        let behind = source["lag_seconds"].as_i64().map_or("-".to_owned(), |lag| format!("{lag} s"));
        let mut doubts = list(source, "doubts").iter().map(|doubt| text(&doubt["says"]));
        let first = doubts.next().unwrap_or_default();
        sources.row([text(&source["source"]), gate.to_owned(), behind, text(&source["closed_since"]), first]);
        doubts.for_each(|doubt| sources.row([String::new(), String::new(), String::new(), String::new(), doubt]));
    }
    sources.write(out)?;
    writeln!(out)?;
    let mut policies =
        Table::new(["policy", "mode", "last sent", "due, not sent", "oldest", "backlog", "brake", "today"]);
    for policy in list(told, "policies") {
        let mut sent = format!("none {}", policy["active"]);
        for stage in list(policy, "stages") {
            sent += &format!(", {} {}", text(&stage["command"]), stage["customers"]);
        }
        let brake = &policy["brake"];
        let engaged = match (&brake["stopped"], &brake["engaged"]) {
            (Value::Object(stopped), _) => format!("stopped by {}: {}", text(&stopped["by"]), text(&stopped["reason"])),
            (_, Value::Bool(true)) => format!("on since {}", day(&brake["tripped_since"])),
            _ => "off".to_owned(),
        };
        policies.row([
            text(&policy["policy"]),
            text(&policy["mode"]),
            sent,
            text(&policy["due_unsent"]),
            day(&policy["oldest_due"]),
            text(&policy["waiting_for_release"]),
            engaged,
            format!("{} of {}", brake["sent_today"], brake["per_day"]),
        ]);
    }
    policies.write(out)?;
    writeln!(out)?;
    let mut targets = Table::new(["target", "not acknowledged"]);
    for target in list(told, "targets") {
        targets.row([text(&target["target"]), text(&target["unacknowledged"])]);
    }
    targets.write(out)
}
