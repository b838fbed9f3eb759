//! `lapsed extract`: what each record says, and why not.

use super::config_args::ConfigArgs;
use super::records::{self, Payload, Record};
use crate::config::Config;
use crate::ingest::extract::{Extracted, Extractor, Outcome, Reason, RecordView};
use crate::retention::calendar::Timestamp;
use crate::retention::claims::Claim;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Show for each record its signals, or why it has none
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Records are read as `kcat -C -e -J` prints them, from files or standard input:

    kcat -b HOST:PORT -C -e -J -c 100 -t web.events | lapsed extract -c lapsed.yaml

Each gives one JSON line: its signals, or ignored (no rule applies), skipped (it names no customer) or
rejected, and why. Counts go to standard error.")]
pub struct ExtractArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Files of records; standard input if there are none
    records: Vec<PathBuf>,
}

pub fn extract(args: ExtractArgs) -> anyhow::Result<ExitCode> {
    let config = args.config.load_offline()?.config;
    let mut extractor = Extractor::new(&config);
    let mut extracted = Extracted::default();
    let mut counts = BTreeMap::<(String, &str), u64>::new();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut failed = None;
    records::read(&args.records, |record| {
        let (outcome, line) = describe(&config, &mut extractor, &mut extracted, &record);
        let source = config.source_of_topic(&record.topic);
        let name = source.map_or_else(|| "(no source)".to_owned(), |place| config.sources[place].key.clone());
        *counts.entry((name, outcome)).or_default() += 1;
        if let Err(error) = writeln!(out, "{line}") {
            failed.get_or_insert(error);
        }
    })?;
    out.flush()?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    let mut err = std::io::stderr().lock();
    for ((source, outcome), count) in counts {
        writeln!(err, "{source:<24} {outcome:<10} {count:>10}")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(
    config: &Config,
    extractor: &mut Extractor,
    extracted: &mut Extracted,
    record: &Record,
) -> (&'static str, Value) {
    let mut line = json!({
        "line": record.line, "topic": record.topic, "partition": record.partition, "offset": record.offset
    });
    let Some(source) = config.source_of_topic(&record.topic) else {
        line["outcome"] = "ignored".into();
        line["reason"] = "no source names this topic".into();
        return ("ignored", line);
    };
    let payload = match &record.payload {
        Payload::Bytes(bytes) => Some(bytes.as_slice()),
        Payload::Null | Payload::Undecoded => None,
    };
    let view = RecordView {
        timestamp_ms: record.timestamp_ms,
        key: record.key.as_deref(),
        payload,
        headers: record.headers(),
    };
    let outcome = match record.payload {
        Payload::Undecoded => Outcome::Rejected(Reason::Undecoded),
        _ => extractor.extract(source, view, None, extracted),
    };
    line["source"] = config.sources[source].key.as_str().into();
    let (name, reason) = match outcome {
        Outcome::Signals => ("signals", None),
        Outcome::Ignored if payload.is_none() => ("ignored", Some("a tombstone".to_owned())),
        Outcome::Ignored => ("ignored", Some("no rule applies".to_owned())),
        Outcome::Skipped => ("skipped", Some("it names no customer".to_owned())),
        Outcome::Rejected(reason) => ("rejected", Some(reason.to_string())),
    };
    line["outcome"] = name.into();
    if let Some(reason) = reason {
        line["reason"] = reason.into();
    }
    if let Outcome::Rejected(reason) = outcome {
        line["code"] = reason.name().into();
    }
    if outcome == Outcome::Signals {
        let activities = extracted.activities().map(|activity| {
            let kind = &config.rules.kinds[usize::from(activity.kind.0)].name;
            json!({
                "customer": activity.customer, "activity": kind,
                "time": activity.happened.to_utc_string(), "counts_as": activity.at.to_local_string(config.rules.zone)
            })
        });
        line["signals"] = activities.chain(extracted.claims().map(describe_claim)).collect();
        if extracted.replaced {
            line["note"] = "a time lay more than five minutes after the record's timestamp, which replaces it".into();
        }
    }
    (name, line)
}

/// `until`: the first instant at which a hold no longer holds; null: it has no end.
fn describe_claim((customer, claim): (&str, &Claim)) -> Value {
    let (at, mut signal) = match claim {
        Claim::Consent { name, given, at } => (at, json!({"consent": name, "given": given})),
        Claim::Hold { id, at, until, reason, policies } => {
            let until = until.map(Timestamp::to_utc_string);
            (at, json!({"hold": id, "until": until, "reason": reason, "policies": policies}))
        }
        Claim::Unhold { id, at } => (at, json!({"unhold": id})),
        Claim::Erasure { at } => (at, json!({"erasure": true})),
        Claim::Attribute { name, value, at } => (at, json!({"attribute": name, "value": value})),
    };
    signal["customer"] = customer.into();
    signal["time"] = at.to_utc_string().into();
    signal
}
