//! `lapsed reconcile`: a system's own list of customers against ours.

use super::progress::bar;
use super::remote::{Remote, RemoteArgs};
use super::table::list;
use anyhow::Context;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::process::ExitCode;

/// Hold a system's own list of customers against ours
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
    lapsed reconcile crm < ids.txt --url http://lapsed:8080 --token-file /secrets/desk

One id a line. For each: `unknown`: no source has told of it, or it was forgotten too long ago to be known;
`forgotten`: the target has said that it was removed, and still lists it; `due`: a removal is due there or has no
answer yet; `fine`. What is not fine is listed, all with --json. The look-up stands in audit. Exits with 1 if any is
forgotten: `lapsed erase` asks for them once more.")]
pub struct ReconcileArgs {
    /// The target's key
    target: String,
    #[command(flatten)]
    remote: RemoteArgs,
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
    for portion in ids.chunks(PORTION) {
        let told = remote.post("reconcile", &json!({"target": args.target, "customers": portion}))?;
        for (id, stands) in portion.iter().zip(list(&told, "stands")) {
            let stands = stands.as_str().unwrap_or_default();
            *counts.entry(stands.to_owned()).or_default() += 1;
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
    let is_clean = counts.get("forgotten").copied().unwrap_or(0) == 0;
    Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
