//! Arguments in, exit code out.

use clap::Parser;
use std::io::Write;
use std::process::ExitCode;

/// librdkafka's threads allocate what ours give back; glibc's allocator has them wait for one another.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

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
