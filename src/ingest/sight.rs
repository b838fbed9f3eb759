//! When what the brokers said was true.

use crate::plant::{Plant, is_planted};
use crate::retention::calendar::Timestamp;

/// Asks the brokers, and says since when the answer holds: what is made or appended while the question is
/// under way comes after the moment, and may or may not be in the answer. So first the moment, then the
/// question; the other way around something could pass for read that wasn't. `clock` is in milliseconds.
pub fn seen<T>(clock: impl Fn() -> i64, ask: impl FnOnce() -> T) -> (Timestamp, T) {
    if is_planted(Plant::MomentAfterEnd) {
        let answer = ask();
        return (Timestamp::from_millis_floor(clock()), answer);
    }
    let at = Timestamp::from_millis_floor(clock());
    (at, ask())
}
