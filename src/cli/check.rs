//! `lapsed check`: would `run` start, and is it wise?

use super::config_args::ConfigArgs;
use crate::config::Environment;
use std::io::Write;
use std::process::ExitCode;

/// Check a configuration: errors would stop `run`, warnings are worth a second look
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
    lapsed check -c lapsed.yaml                       before every deployment
    lapsed check -c config/ --no-environment          in CI, where no secret is at hand")]
pub struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Fail on warnings, too
    #[arg(long)]
    deny_warnings: bool,
    /// Leave ${ENV} and file: as they are, so that no secret is needed
    #[arg(long)]
    no_environment: bool,
}

pub fn check(args: CheckArgs) -> anyhow::Result<ExitCode> {
    let environment = if args.no_environment { Environment::Leave } else { Environment::Resolve };
    let loaded = args.config.load_with(environment)?;
    let mut err = std::io::stderr().lock();
    for warning in &loaded.warnings {
        writeln!(err, "warning: {warning}")?;
    }
    if args.deny_warnings && !loaded.warnings.is_empty() {
        writeln!(err, "{} warnings, and warnings are denied", loaded.warnings.len())?;
        return Ok(ExitCode::FAILURE);
    }
    let config = &loaded.config;
    writeln!(
        err,
        "{} sources, {} targets, {} policies: no errors, {} warnings",
        config.sources.len(),
        config.rules.targets.len(),
        config.rules.policies.len(),
        loaded.warnings.len()
    )?;
    if config.rules.targets.iter().any(|target| target.acknowledge_within.is_some()) {
        writeln!(err, "targets must read their commands with isolation.level=read_committed")?;
    }
    Ok(ExitCode::SUCCESS)
}
