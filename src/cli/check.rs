//! `lapsed check`: would `run` start, and is it wise?

use super::config_args::ConfigArgs;
use crate::config::{Environment, Problem};
use std::io::Write;
use std::process::ExitCode;

/// Check a configuration: errors would stop `run`, warnings are worth a second look
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:

    lapsed check -c lapsed.yaml                       before every deployment
    lapsed check -c config/ --no-environment          in CI, where no secret is at hand

All that is wrong is told at once, a line each, as FILE:LINE:COLUMN: KEY what and what to do. No broker is
asked: whether the topics are there and as they must be, `lapsed topics` tells.")]
pub struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Fail on warnings, too
    #[arg(long)]
    deny_warnings: bool,
    /// Resolve no secret: leave ${ENV} and file: as they are below kafka, in evidence.key and in tokens
    #[arg(long)]
    no_environment: bool,
}

pub fn check(args: CheckArgs) -> anyhow::Result<ExitCode> {
    let environment = if args.no_environment { Environment::Leave } else { Environment::Resolve };
    let mut err = std::io::stderr().lock();
    let loaded = match args.config.read(environment) {
        Ok(loaded) => loaded,
        Err(errors) => {
            tell(&mut err, "error", &errors.0)?;
            writeln!(err, "{}", counted(errors.0.len(), "error"))?;
            return Ok(ExitCode::FAILURE);
        }
    };
    tell(&mut err, "warning", &loaded.warnings)?;
    let (rules, warnings) = (&loaded.config.rules, loaded.warnings.len());
    writeln!(
        err,
        "{}, {}, {}: no errors, {}",
        counted(rules.sources.len(), "source"),
        counted(rules.targets.len(), "target"),
        if rules.policies.len() == 1 { "1 policy".to_owned() } else { format!("{} policies", rules.policies.len()) },
        counted(warnings, "warning"),
    )?;
    if args.deny_warnings && warnings > 0 {
        writeln!(err, "warnings are denied")?;
        return Ok(ExitCode::FAILURE);
    }
    writeln!(err, "targets must read their commands with isolation.level=read_committed")?;
    Ok(ExitCode::SUCCESS)
}

fn tell(to: &mut impl Write, what: &str, problems: &[Problem]) -> std::io::Result<()> {
    problems.iter().try_for_each(|problem| writeln!(to, "{what}: {problem}"))
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
