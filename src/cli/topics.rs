//! `lapsed topics`: each needed topic against what is there.

use super::config_args::ConfigArgs;
use crate::config::{Config, TopicPattern, Topics};
use crate::kafka::access::{Access, Operation};
use crate::kafka::clients::Clients;
use crate::kafka::topics::{Found, Owner, Wanted, create, look, wanted};
use std::io::Write;
use std::process::ExitCode;

/// Show each needed topic against what is there, and make what is missing
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
    lapsed topics -c lapsed.yaml              exits with 1 if anything is missing or wrong
    lapsed topics -c lapsed.yaml --create     makes what is missing; changes nothing that is there

Topics of sources and targets belong to others and are never made.")]
pub struct TopicsArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Make the topics that are missing
    #[arg(long)]
    create: bool,
}

pub fn topics(args: TopicsArgs) -> anyhow::Result<ExitCode> {
    let config = args.config.load()?.config;
    let clients = Clients::new(config.kafka.clone(), &config.application, format!("{}-topics", config.application));
    let needed = needed(&config);
    let mut found = look(&clients, &needed)?;
    if args.create {
        for name in create(&clients, &found)? {
            writeln!(std::io::stderr(), "created {name}")?;
        }
        found = look_until_there(&clients, &needed)?;
    }
    print(&found)?;
    let fine = found.iter().all(|topic| topic.faults.is_empty());
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What was made a moment ago may not be known to every broker yet.
fn look_until_there(clients: &Clients, needed: &[Wanted]) -> anyhow::Result<Vec<Found>> {
    for _ in 0..20 {
        let found = look(clients, needed)?;
        if found.iter().all(|topic| topic.wanted.owner != Owner::Ours || topic.partitions.is_some()) {
            return Ok(found);
        }
        std::thread::sleep(std::time::Duration::from_millis(250));
    }
    Ok(look(clients, needed)?)
}

/// The application's topics, its sources' and its targets'.
pub fn needed(config: &Config) -> Vec<Wanted> {
    let targets: Vec<&str> = config.rules.targets.iter().map(|target| target.topic.as_str()).collect();
    let Topics { partitions, replication_factor } = config.topics;
    let evidence_ms = config.evidence.keep.longest().0.saturating_mul(1000);
    let mut needed = wanted(&config.application, partitions, replication_factor, evidence_ms, &targets);
    let live = config.sources.iter().filter(|source| !source.retired);
    let names = live.flat_map(|source| &source.topics).filter_map(|pattern| match pattern {
        TopicPattern::Name(name) => Some(name),
        TopicPattern::Regex(_) => None,
    });
    needed.extend(names.map(|name| Wanted {
        name: name.clone(),
        partitions: None,
        replication_factor,
        settings: Vec::new(),
        owner: Owner::Source,
    }));
    needed
}

/// What `lapsed run` must be allowed to do with them; the groups and the transactional id name themselves when
/// they are refused. The chart's KafkaUser has the same, and a test tells if not.
pub fn needed_access(config: &Config) -> Vec<Access> {
    use Operation::{Delete, DescribeConfigs, Read, Write};
    let ours = |name: &str| format!("{}.{name}", config.application);
    let mut topics = vec![
        (ours("signals"), vec![Read, Write, Delete, DescribeConfigs]),
        (ours("state"), vec![Read, Write, DescribeConfigs]),
        (ours("audit"), vec![Write, DescribeConfigs]),
        (ours("acks"), vec![Read, DescribeConfigs]),
        (ours("rejects"), vec![Write, DescribeConfigs]),
    ];
    for topic in needed(config) {
        match topic.owner {
            Owner::Ours => {}
            Owner::Source => topics.push((topic.name, vec![Read, DescribeConfigs])),
            Owner::Target => topics.push((topic.name, vec![Write])),
        }
    }
    let each = |(topic, operations): (String, Vec<Operation>)| {
        operations.into_iter().map(move |operation| Access { operation, topic: topic.clone() })
    };
    topics.into_iter().flat_map(each).collect()
}

fn print(found: &[Found]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let width = found.iter().map(|topic| topic.wanted.name.len()).max().unwrap_or(0);
    for topic in found {
        let partitions = topic.partitions.map_or_else(|| "-".to_owned(), |count| count.to_string());
        let verdict = if topic.faults.is_empty() { "fine" } else { "wrong" };
        writeln!(out, "{:width$}  {partitions:>5} partitions  {verdict}", topic.wanted.name)?;
        for fault in &topic.faults {
            writeln!(out, "{:width$}  {fault}", "")?;
        }
    }
    Ok(())
}
