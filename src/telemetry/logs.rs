//! Logs: one line an event, as text or JSON, to standard error. No customer id or payload above DEBUG.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// Begins to log. Levels come from `LAPSED_LOG` (`info`, `lapsed=debug,warn`); default `info`.
pub fn init(format: LogFormat) {
    let filter = EnvFilter::try_from_env("LAPSED_LOG").unwrap_or_else(|_| EnvFilter::new("info,librdkafka=warn"));
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colour).with_writer(std::io::stderr);
    // A second call, as tests make, changes nothing.
    let _ = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    std::panic::set_hook(Box::new(tell_panic));
}

/// Where it was, and not what it says: a panic's words may quote what was worked on, such as the text that could not be
/// cut.
fn tell_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
    let backtrace = Backtrace::capture();
    match backtrace.status() {
        BacktraceStatus::Captured => tracing::error!(place, thread, "panicked; what it says is at DEBUG\n{backtrace}"),
        _ => tracing::error!(place, thread, "panicked; what it says is at DEBUG"),
    }
    let says = panic.payload_as_str().unwrap_or("nothing");
    tracing::debug!(place, says, "panicked");
}
