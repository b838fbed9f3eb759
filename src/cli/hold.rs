//! `lapsed hold`, `lapsed unhold` and `lapsed erase`: what people tell about one customer.

use super::remote::{Remote, RemoteArgs};
use serde_json::{Value, json};
use std::io::Write;
use std::process::ExitCode;

/// Place a hold on a customer: what is due by period waits until it is lifted or over
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
    lapsed hold 4711 --id case-9 --reason \"a dispute\" --until 2026-12-31 --token-file /secrets/privacy

It defers, and never cancels. It stands in audit, with the token's name; name no customer in the reason.")]
pub struct HoldArgs {
    /// The customer's id, as it came in
    customer: String,
    /// The hold's name: what lifts it again
    #[arg(long)]
    id: String,
    /// Why; it stands in audit
    #[arg(long)]
    reason: String,
    /// The last day of it, or the instant from which it no longer holds; without it, it has no end
    #[arg(long, value_name = "DATE")]
    until: Option<String>,
    /// Only these policies; without it, all
    #[arg(long, value_name = "POLICY", value_delimiter = ',')]
    policies: Option<Vec<String>>,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// Lift a hold from a customer: what was due meanwhile becomes due
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
    lapsed unhold 4711 --id case-9 --reason settled --token-file /secrets/privacy")]
pub struct UnholdArgs {
    /// The customer's id, as it came in
    customer: String,
    /// The hold's name
    #[arg(long)]
    id: String,
    /// Why; it stands in audit
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// Ask for a customer's erasure, at every target of every enforced policy
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
    lapsed erase 4711 --reason \"letter of 3 March\" --token-file /secrets/privacy

Where periods are days or longer it counts from the end of today. Holds and floors keep what they protect. It
can't be taken back.")]
pub struct EraseArgs {
    /// The customer's id, as it came in
    customer: String,
    /// Why; it stands in audit
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    remote: RemoteArgs,
}

pub fn hold(args: HoldArgs) -> anyhow::Result<ExitCode> {
    let mut body = json!({"customer": args.customer, "id": args.id, "reason": args.reason});
    if let Some(until) = args.until {
        body["until"] = json!(until);
    }
    if let Some(policies) = args.policies {
        body["policies"] = json!(policies);
    }
    tell(&args.remote, "hold", &body, "the hold is placed")
}

pub fn unhold(args: UnholdArgs) -> anyhow::Result<ExitCode> {
    let body = json!({"customer": args.customer, "id": args.id, "reason": args.reason});
    tell(&args.remote, "unhold", &body, "the hold is lifted")
}

pub fn erase(args: EraseArgs) -> anyhow::Result<ExitCode> {
    let body = json!({"customer": args.customer, "reason": args.reason});
    tell(&args.remote, "erase", &body, "erasure is asked for")
}

fn tell(remote: &RemoteArgs, path: &str, body: &Value, done: &str) -> anyhow::Result<ExitCode> {
    let told = Remote::new(remote)?.post(path, body)?;
    writeln!(std::io::stderr(), "{done} (shard {})", told["shard"])?;
    Ok(ExitCode::SUCCESS)
}
