//! `lapsed reconcile`: a system's own list of customers against ours.

use super::progress::bar;
use super::remote::{Remote, RemoteArgs};
use super::table::list;
use anyhow::{Context, bail};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::process::ExitCode;
use uuid::Uuid;

/// Hold a system's own list of customers against ours
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
    lapsed reconcile crm < ids.txt --url http://lapsed:8080 --token-file /secrets/desk
    lapsed reconcile crm < ids.txt --send --reason \"restored from a backup, CRM-88\" --token-file /secrets/privacy

One id a line. For each: `unknown`: no source has told of it, or it was forgotten too long ago to be known;
`forgotten`: the target has said that it was removed, and still lists it; `due`: a removal is due there or has no
answer yet; `fine`. What is not fine is listed, all with --json. The look-up stands in audit. Exits with 1 if any is
forgotten.

With --send the target is told once more to remove those that are forgotten, by a token that may operate. Nothing
leaves early: a shard obeys when its sources prove, lateness included, that the customer was not seen between their
last removal and this order; who was seen, is held or must be kept is left alone. `lapsed explain` and `lapsed
evidence` tell what became of it. Every order is obeyed once: where no answer came, give it again with --order.")]
pub struct ReconcileArgs {
    /// The target's key
    target: String,
    #[command(flatten)]
    remote: RemoteArgs,
    /// Have the target told once more to remove those that are forgotten
    #[arg(long, requires = "reason")]
    send: bool,
    /// Why; it stands in audit
    #[arg(long, requires = "send")]
    reason: Option<String>,
    /// Send nothing if more than so many are forgotten
    #[arg(long, value_name = "NUMBER", requires = "send")]
    at_most: Option<usize>,
    /// The order that was given before and may not have arrived: it is obeyed once
    #[arg(long, value_name = "UUID", requires = "send")]
    order: Option<Uuid>,
    /// One JSON object an id, the fine ones too
    #[arg(long)]
    json: bool,
}

/// So many ids are asked about at once.
const PORTION: usize = 5_000;

pub fn reconcile(args: ReconcileArgs) -> anyhow::Result<ExitCode> {
    let remote = Remote::new(&args.remote)?;
    let ids: Vec<String> =
        std::io::stdin().lock().lines().collect::<Result<_, _>>().context("the ids can't be read")?;
    let ids: Vec<String> =
        ids.into_iter().map(|id| id.trim_end_matches('\r').to_owned()).filter(|id| !id.is_empty()).collect();
    let bar = bar(ids.len() as u64);
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut counts: BTreeMap<String, u64> =
        ["unknown", "forgotten", "due", "fine"].map(|stand| (stand.to_owned(), 0)).into();
    let mut forgotten: Vec<&String> = Vec::new();
    for portion in ids.chunks(PORTION) {
        let told = remote.post("reconcile", &json!({"target": args.target, "customers": portion}))?;
        for (id, stands) in portion.iter().zip(list(&told, "stands")) {
            let stands = stands.as_str().unwrap_or_default();
            *counts.entry(stands.to_owned()).or_default() += 1;
            if stands == "forgotten" {
                forgotten.push(id);
            }
            if args.json {
                writeln!(out, "{}", json!({"customer": id, "stands": stands}))?;
            } else if stands != "fine" {
                writeln!(out, "{stands:<10} {id}")?;
            }
        }
        bar.inc(portion.len() as u64);
    }
    bar.finish_and_clear();
    out.flush()?;
    let summary: Vec<String> = counts.iter().map(|(stand, number)| format!("{number} {stand}")).collect();
    writeln!(std::io::stderr(), "{} ids on the list of {}: {}", ids.len(), args.target, summary.join(", "))?;
    if args.send && !forgotten.is_empty() {
        return send(&args, &remote, &forgotten);
    }
    Ok(if forgotten.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Orders that the target be told once more.
fn send(args: &ReconcileArgs, remote: &Remote, forgotten: &[&String]) -> anyhow::Result<ExitCode> {
    if let Some(at_most) = args.at_most.filter(|at_most| forgotten.len() > *at_most) {
        bail!("{} are forgotten, more than {at_most}; nothing is sent", forgotten.len());
    }
    let order = args.order.unwrap_or_else(Uuid::now_v7);
    // Whoever gets no answer must be able to give the same order again.
    writeln!(std::io::stderr(), "order {order}")?;
    let mut ordered = 0;
    for portion in forgotten.chunks(PORTION) {
        let body = json!({"target": args.target, "customers": portion, "reason": args.reason, "order": order});
        let told = remote.post("resend", &body);
        let told = told.with_context(|| format!("{ordered} were ordered; --order {order} goes on"))?;
        ordered += told["ordered"].as_u64().unwrap_or(0);
    }
    writeln!(
        std::io::stderr(),
        "{} is to be told once more about {ordered}, as soon as nobody can have been seen unnoticed; `lapsed explain` \
         tells how far it is",
        args.target
    )?;
    Ok(ExitCode::SUCCESS)
}
