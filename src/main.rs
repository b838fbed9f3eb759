//! Arguments in, exit code out.

mod allocator;

use clap::Parser;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = lapsed::cli::Arguments::parse();
    match lapsed::cli::run(arguments) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "lapsed: {error:#}");
            ExitCode::FAILURE
        }
    }
}
