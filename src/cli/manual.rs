//! `lapsed completions` and `lapsed man`: what shells and readers know of the commands.

use super::Arguments;
use anyhow::Context;
use clap::CommandFactory;
use std::path::PathBuf;
use std::process::ExitCode;

/// Print the completion script of a shell
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
    lapsed completions bash > /etc/bash_completion.d/lapsed
    lapsed completions zsh  > ~/.zfunc/_lapsed")]
pub struct CompletionsArgs {
    shell: clap_complete::Shell,
}

/// Write man pages, one a command, into a directory
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// The directory; it must be there
    directory: PathBuf,
}

pub fn completions(args: CompletionsArgs) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Arguments::command(), "lapsed", &mut script);
    std::io::Write::write_all(&mut std::io::stdout().lock(), &script)?;
    Ok(ExitCode::SUCCESS)
}

pub fn man(args: ManArgs) -> anyhow::Result<ExitCode> {
    clap_mangen::generate_to(Arguments::command(), &args.directory)
        .with_context(|| format!("man pages can't be written to {}", args.directory.display()))?;
    Ok(ExitCode::SUCCESS)
}
