//! `lapsed statement`: what is promised, for those to whom it is promised and for those who supervise it.
//!
//! * [`notice`]: the retention paragraph of a privacy notice (articles 13 and 14 GDPR)
//! * [`register`]: the record of processing activities (article 30 GDPR)
//! * [`limits`]: a policy's periods in words, for both
//! * [`teller`]: names as people read them
//! * [`words`]: what differs by language

mod limits;
mod notice;
mod register;
mod teller;
#[cfg(test)]
mod tests;
mod words;

use super::config_args::ConfigArgs;
use anyhow::bail;
use std::io::Write;
use std::process::ExitCode;
use teller::Teller;
use words::Language;

/// Write the retention paragraph of a privacy notice, or the register of processing activities
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
    lapsed statement -c lapsed.yaml --for notice   --lang nl > notice.md
    lapsed statement -c lapsed.yaml --for register --lang en --format csv > register.csv

The notice leaves out policies in mode test: nothing of them is done yet. The register has every policy, and the
columns that article 30(1) GDPR demands and lapsed cannot know are there, empty and marked. What people read
instead of names stands in the configuration:

    labels: {nl: {email: e-mailadres, purchase: aankoop}}

What is missing is told on standard error. No secret is resolved.")]
pub struct StatementArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// What it is for
    #[arg(long = "for", value_enum, value_name = "WHAT")]
    purpose: Purpose,
    #[arg(long = "lang", value_enum)]
    language: Language,
    /// How the register is written; a notice is Markdown
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Purpose {
    /// The retention paragraph of a privacy notice
    Notice,
    /// The record of processing activities of article 30 GDPR
    Register,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    #[default]
    Markdown,
    /// RFC 4180
    Csv,
}

pub fn statement(args: StatementArgs) -> anyhow::Result<ExitCode> {
    let mut err = std::io::stderr();
    let config = args.config.load_offline()?.config;
    let mut teller = Teller::new(&config, args.language);
    let text = match (args.purpose, args.format) {
        (Purpose::Notice, Format::Csv) => {
            writeln!(err, "lapsed: a notice is running text; --format csv goes with --for register")?;
            return Ok(ExitCode::from(2));
        }
        (Purpose::Notice, Format::Markdown) => notice::text(&mut teller),
        (Purpose::Register, Format::Markdown) => Some(register::markdown(&mut teller)),
        (Purpose::Register, Format::Csv) => Some(register::csv(&mut teller)),
    };
    teller.into_remarks().iter().try_for_each(|remark| writeln!(err, "remark: {remark}"))?;
    let Some(text) = text else {
        bail!("no policy is beyond mode test, so there is nothing to publish");
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
