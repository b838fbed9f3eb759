//! `lapsed forecast`: what falls due per day for a year ahead, and what another configuration would change.

use super::progress::spinner;
use super::remote::{Remote, RemoteArgs};
use super::table::{Table, list, text};
use anyhow::{Context, bail};
use chrono::{Days, NaiveDate};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Foretell what falls due per day for a year, and whom a new configuration would hit
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
    lapsed forecast --url http://lapsed:8080                   under the configuration in force
    lapsed forecast -c new.yaml --token-file /secrets/desk     the difference a new one would make

From the live state, if nobody does anything until then and every target answers at once. With -c: who would be
due at once, who no longer, and the brake it would hit. References to an environment or a file are not resolved
in the new configuration, but for secrets, which it doesn't need.")]
pub struct ForecastArgs {
    /// A new configuration: a file or a directory of *.yaml files; repeat it to merge several
    #[arg(short, long = "config", value_name = "NEW")]
    config: Vec<PathBuf>,
    /// Days with something in them, one by one instead of by month
    #[arg(long)]
    days: bool,
    #[command(flatten)]
    remote: RemoteArgs,
    /// One JSON object instead of tables
    #[arg(long)]
    json: bool,
}

pub fn forecast(args: ForecastArgs) -> anyhow::Result<ExitCode> {
    let remote = Remote::new(&args.remote)?;
    let waiting = spinner("every customer is looked at");
    let told = if args.config.is_empty() {
        remote.get("forecast")
    } else {
        remote.post("forecast", &json!({"configuration": texts(&args.config)?}))
    };
    waiting.finish_and_clear();
    let told = told?;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{told}")?;
        return Ok(ExitCode::SUCCESS);
    }
    let first: NaiveDate = text(&told["first"]).parse().context("the forecast has no first day")?;
    write_forecast(&mut out, list(&told, "policies"), first, args.days)?;
    if told["other"].is_object() {
        write_difference(&mut out, &told)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// By file name: what stands there.
fn texts(paths: &[PathBuf]) -> anyhow::Result<Map<String, Value>> {
    let mut texts = Map::new();
    let mut take = |path: &Path| {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        texts.insert(path.display().to_string(), Value::String(text));
        Ok::<_, anyhow::Error>(())
    };
    for path in paths {
        if !path.is_dir() {
            take(path)?;
            continue;
        }
        let entries = std::fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml"));
        files.sort();
        files.iter().try_for_each(|file| take(file))?;
    }
    if texts.is_empty() {
        bail!("there is no *.yaml or *.yml file");
    }
    Ok(texts)
}

fn write_forecast(out: &mut impl Write, policies: &[Value], first: NaiveDate, by_day: bool) -> std::io::Result<()> {
    let mut now = Table::new(["policy", "mode", "covered", "due already", "held", "brake", "runs into it on"]);
    for policy in policies {
        now.row([
            text(&policy["policy"]),
            text(&policy["mode"]),
            text(&policy["covered"]),
            text(&policy["due"]),
            text(&policy["held"]),
            format!("{} a day", policy["brake_per_day"]),
            text(&policy["brake_trips_on"]),
        ]);
    }
    now.write(out)?;
    writeln!(out)?;
    let mut ahead = Table::new([if by_day { "day" } else { "month" }, "policy", "command", "target", "customers"]);
    let mut sums: BTreeMap<(String, usize, usize), u64> = BTreeMap::new();
    for (place, policy) in policies.iter().enumerate() {
        for (command, told) in list(policy, "commands").iter().enumerate() {
            for (day, number) in list(told, "days").iter().enumerate() {
                let date = first + Days::new(day as u64);
                let period = if by_day { date.to_string() } else { date.format("%Y-%m").to_string() };
                *sums.entry((period, place, command)).or_default() += number.as_u64().unwrap_or(0);
            }
        }
    }
    for ((period, place, command), number) in sums.into_iter().filter(|(_, number)| *number > 0) {
        let (policy, command) = (&policies[place], &list(&policies[place], "commands")[command]);
        ahead.row([
            period,
            text(&policy["policy"]),
            text(&command["command"]),
            text(&command["target"]),
            number.to_string(),
        ]);
    }
    ahead.write(out)
}

fn write_difference(out: &mut impl Write, told: &Value) -> std::io::Result<()> {
    writeln!(out, "\nunder the new configuration")?;
    let year = |policy: Option<&Value>| -> u64 {
        let days = policy.map_or(&[][..], |policy| list(policy, "customers"));
        days.iter().filter_map(Value::as_u64).sum()
    };
    let find = |policies: &'_ [Value], key: &Value| policies.iter().position(|policy| policy["policy"] == *key);
    let (before, after) = (list(told, "policies"), list(&told["other"], "policies"));
    let mut table = Table::new([
        "policy",
        "becomes due at once",
        "no longer due",
        "within a year",
        "was",
        "brake",
        "runs into it on",
    ]);
    for shift in list(&told["other"], "shifts") {
        let then = find(after, &shift["policy"]).map(|place| &after[place]);
        let was = find(before, &shift["policy"]).map(|place| &before[place]);
        let brake = then.map_or("-".to_owned(), |then| format!("{} a day", then["brake_per_day"]));
        table.row([
            text(&shift["policy"]),
            text(&shift["becomes_due"]),
            text(&shift["no_longer_due"]),
            year(then).to_string(),
            year(was).to_string(),
            brake,
            then.map_or("-".to_owned(), |then| text(&then["brake_trips_on"])),
        ]);
    }
    table.write(out)?;
    writeln!(out, "\nWhoever becomes due at once is backlog: they wait for `lapsed release`.")
}
