//! `lapsed evidence`: what was done, on which text.
//!
//! * [`reading`]: the audit topic from its beginning to its end
//! * [`promises`]: the policies' texts, and which was in force when
//! * [`timeline`]: all that evidence tells of one customer
//! * [`certificate`]: what was destroyed in a period under one policy

mod certificate;
mod promises;
mod reading;
#[cfg(test)]
mod tests;
mod timeline;

use super::config_args::ConfigArgs;
use super::remote::{Either, EitherArgs};
use crate::config::Config;
use crate::http::outside::EvidenceOf;
use crate::kafka::clients::Clients;
use crate::retention::calendar::{Timestamp, first_instant_after, first_instant_of};
use crate::retention::policy::SourceIndex;
use crate::wire::audit::Entry;
use anyhow::Context;
use certificate::{Certificate, Scope};
use chrono::NaiveDate;
use serde_json::{Value, json};
use std::io::Write;
use std::process::ExitCode;
use timeline::Timeline;

/// Show what was done about a customer and why, or certify what was destroyed in a period
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
    lapsed evidence -c lapsed.yaml 4711                     what was sent about customer 4711, on which text, and
                                                            what the targets answered
    lapsed evidence -c lapsed.yaml --policy offers \\
                    --from 2026-01-01 --to 2026-12-31       the certificate of destruction

With -c it reads the application's audit topic as of now; the service need not run. With --url a running instance
does, and the look-up stands in audit. The evidence key finds the customer:
evidence names nobody. A certificate lists the commands that first left in the period, with what has become of them
since, and the releases, stops and acceptances that were in force then. Its SHA-256 is that of the listed lines, each with a line feed; with --json, of the members of each command
in the order of the text, with one space between. Exits with 1 if there is no such evidence.")]
pub struct EvidenceArgs {
    #[command(flatten)]
    whence: EitherArgs,
    /// The customer's id, as it came in
    #[arg(required_unless_present = "policy", conflicts_with_all = ["policy", "from", "to"])]
    customer: Option<String>,
    /// Certify what this policy's commands did
    #[arg(long, value_name = "POLICY", requires_all = ["from", "to"])]
    policy: Option<String>,
    /// First day of the period
    #[arg(long, value_name = "DATE", requires = "policy")]
    from: Option<NaiveDate>,
    /// Last day of the period
    #[arg(long, value_name = "DATE", requires = "policy")]
    to: Option<NaiveDate>,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

pub fn evidence(mut args: EvidenceArgs) -> anyhow::Result<ExitCode> {
    match std::mem::take(&mut args.whence).choose()? {
        Either::Kafka(config) => read_oneself(&config, &args),
        Either::Service(remote) => {
            let mut body = json!({});
            let asked = [("customer", args.customer.map(Value::from)), ("policy", args.policy.map(Value::from))];
            let days = [("from", args.from), ("to", args.to)].map(|(name, day)| (name, day.map(|day| json!(day))));
            for (name, value) in asked.into_iter().chain(days) {
                if let Some(value) = value {
                    body[name] = value;
                }
            }
            print(&remote.post_for("evidence", &body, if args.json { "application/json" } else { "text/plain" })?)
        }
    }
}

fn read_oneself(config: &ConfigArgs, args: &EvidenceArgs) -> anyhow::Result<ExitCode> {
    let config = config.load()?.config;
    match (&args.customer, &args.policy, args.from, args.to) {
        (Some(customer), ..) => of_customer(&config, customer, args.json),
        (None, Some(policy), Some(from), Some(to)) if from <= to => {
            of_policy(&config, scope(&config, policy, from, to), args.json)
        }
        _ => {
            writeln!(std::io::stderr(), "lapsed: --to lies before --from")?;
            Ok(ExitCode::from(2))
        }
    }
}

/// Evidence as it is printed; `None`: there is none.
///
/// # Errors
/// When audit can't be read to its end.
pub fn found(clients: &Clients, config: &Config, of: &EvidenceOf, as_text: bool) -> anyhow::Result<Option<String>> {
    let topic = format!("{}.audit", config.application);
    match of {
        EvidenceOf::Customer(customer) => {
            let pseudonym = config.evidence.pseudonyms.of(customer.as_bytes());
            let mut timeline = Timeline::new(pseudonym, config.zone);
            let unread = reading::read(clients, &topic, |key, time, entry| timeline.take(key, time, entry))?;
            if timeline.is_empty() {
                return Ok(None);
            }
            Ok(Some(if as_text { timeline.text(unread) } else { timeline.json(unread) }))
        }
        EvidenceOf::Policy(policy, from, to) => {
            let mut certificate = Certificate::new(scope(config, policy, *from, *to));
            let unread = reading::read(clients, &topic, |key, time, entry| certificate.take(key, time, entry))?;
            if certificate.is_empty() {
                return Ok(None);
            }
            Ok(Some(if as_text { certificate.text(unread) } else { certificate.json(unread) }))
        }
    }
}

fn scope(config: &Config, policy: &str, from: NaiveDate, to: NaiveDate) -> Scope {
    let index = config.rules.policy_by_key(policy);
    let sources = index.map(|index| &config.rules.policies[usize::from(index.0)].sources);
    let key = |source: &SourceIndex| config.rules.sources[usize::from(source.0)].key.clone();
    Scope {
        sources: sources.map(|sources| sources.iter().map(key).collect()),
        application: config.application.clone(),
        policy: policy.to_owned(),
        from,
        to,
        begins: first_instant_of(from, config.zone),
        ends: first_instant_after(to, config.zone),
        zone: config.zone,
    }
}

fn of_customer(config: &Config, customer: &str, json: bool) -> anyhow::Result<ExitCode> {
    let pseudonym = config.evidence.pseudonyms.of(customer.as_bytes());
    let mut timeline = Timeline::new(pseudonym, config.zone);
    let unread = read(config, |key, time, entry| timeline.take(key, time, entry))?;
    if timeline.is_empty() {
        writeln!(
            std::io::stderr(),
            "no evidence about this customer ({pseudonym}): nothing was ever sent about them, or evidence.keep has \
             passed, or the id is written differently"
        )?;
        return Ok(ExitCode::FAILURE);
    }
    print(&if json { timeline.json(unread) } else { timeline.text(unread) })
}

fn of_policy(config: &Config, scope: Scope, json: bool) -> anyhow::Result<ExitCode> {
    let mut certificate = Certificate::new(scope);
    let unread = read(config, |key, time, entry| certificate.take(key, time, entry))?;
    if certificate.is_empty() {
        let Scope { policy, from, to, .. } = certificate.scope();
        writeln!(std::io::stderr(), "no evidence that '{policy}' sent anything from {from} up to and including {to}")?;
        return Ok(ExitCode::FAILURE);
    }
    print(&if json { certificate.json(unread) } else { certificate.text(unread) })
}

fn print(text: &str) -> anyhow::Result<ExitCode> {
    std::io::stdout().lock().write_all(text.as_bytes()).context("the evidence could not be printed")?;
    Ok(ExitCode::SUCCESS)
}

/// Hands on every entry there is, and returns how many records could not be read.
fn read(config: &Config, each: impl FnMut(&str, Timestamp, Entry)) -> anyhow::Result<u64> {
    let clients = Clients::new(config.kafka.clone(), &config.application, format!("{}-evidence", config.application));
    let unread = reading::read(&clients, &format!("{}.audit", config.application), each)?;
    if unread > 0 {
        writeln!(
            std::io::stderr(),
            "{unread} records of evidence could not be read; a newer version of lapsed may have written them"
        )?;
    }
    Ok(unread)
}
