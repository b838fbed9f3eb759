//! `brake`: how much a day is too much.

use crate::config::reader::At;
use crate::retention::policy::Brake;

/// What it doesn't say is as in `default`.
pub(super) fn brake(at: &At<'_>, default: Brake) -> Option<Brake> {
    let mut map = at.map()?;
    let per_day = map.optional("per_day", default.per_day, |at| share(&at));
    let at_least = map.optional("at_least", default.at_least, |at| at.whole_number(0, u32::MAX));
    map.finish();
    Some(Brake { per_day: per_day?, at_least: at_least? })
}

/// A percentage, as a number from 0 to 1.
pub(super) fn share(at: &At<'_>) -> Option<f64> {
    let percent = at.text()?.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    let share = percent.filter(|percent| (0.0..=100.0).contains(percent)).map(|percent| percent / 100.0);
    if share.is_none() {
        at.error(format!("is '{}', and must be a percentage from 0% to 100%, such as 0.1%", at.shown()));
    }
    share
}
