//! How far long work has come, where somebody watches.

use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// Work of which nobody knows how long it takes.
pub fn spinner(what: &'static str) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(what);
    spinner.enable_steady_tick(Duration::from_millis(120));
    spinner
}

/// Work of so many pieces.
pub fn bar(pieces: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos} of {len} ({eta} left)");
    let bar = ProgressBar::new(pieces);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
