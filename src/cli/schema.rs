//! `lapsed schema`: the contracts, for editors and for those who write targets.

use std::io::Write;
use std::process::ExitCode;

/// Print a JSON Schema (draft 2020-12)
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Completion and checks in editors:

    lapsed schema config > lapsed.schema.json

and as the first line of lapsed.yaml:

    # yaml-language-server: $schema=lapsed.schema.json")]
pub struct SchemaArgs {
    /// What it describes
    #[arg(value_enum)]
    of: Of,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Of {
    /// The configuration file
    Config,
    /// A command, as a CloudEvent on a target's topic
    Command,
    /// A target's answer, on the application's acks topic
    Acknowledgement,
    /// An entry of evidence, on the application's audit topic
    Audit,
}

pub fn schema(args: SchemaArgs) -> anyhow::Result<ExitCode> {
    let schema = match args.of {
        Of::Config => crate::config::SCHEMA,
        Of::Command => crate::wire::command::SCHEMA,
        Of::Acknowledgement => crate::wire::acknowledgement::SCHEMA,
        Of::Audit => crate::wire::audit::SCHEMA,
    };
    std::io::stdout().lock().write_all(schema.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
