//! Whether this instance's clock agrees with the brokers'.

/// A clock that differs by more from a shard's append times is off. In milliseconds.
const OFF_MS: i64 = 60_000;

/// What was last seen of each shard's append times.
#[derive(Clone, Debug)]
pub struct Clocks {
    shards: Vec<Clock>,
    /// The newest append time of all.
    newest_append_ms: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clock {
    Unknown,
    Agrees,
    Off,
}

impl Clocks {
    pub fn new(shards: usize) -> Clocks {
        Clocks { shards: vec![Clock::Unknown; shards], newest_append_ms: i64::MIN }
    }

    /// A record was appended to the shard's log at `append_ms` by its clock, and `now_ms` by ours. Whether
    /// the clock was off, or is.
    pub fn observe(&mut self, shard: usize, append_ms: i64, now_ms: i64) -> bool {
        self.newest_append_ms = self.newest_append_ms.max(append_ms);
        let is_off = append_ms.abs_diff(now_ms) > OFF_MS.unsigned_abs();
        let before = std::mem::replace(&mut self.shards[shard], if is_off { Clock::Off } else { Clock::Agrees });
        is_off || before == Clock::Off
    }

    pub fn agrees(&self, shard: usize) -> bool {
        self.shards[shard] == Clock::Agrees
    }

    /// Whether `now_ms` lies before what the brokers' clock has shown: then ours has gone back.
    pub fn is_back(&self, now_ms: i64) -> bool {
        now_ms < self.newest_append_ms.saturating_sub(OFF_MS)
    }

    /// Whether it agrees with most shards; otherwise nothing may be read.
    pub fn agrees_with_most(&self) -> bool {
        let agreeing = self.shards.iter().filter(|clock| **clock == Clock::Agrees).count();
        agreeing * 2 > self.shards.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_is_tolerated() {
        let cases = [(0, true), (60_000, true), (-60_000, true), (60_001, false), (-60_001, false), (i64::MAX, false)];
        for (difference, agrees) in cases {
            let mut clocks = Clocks::new(2);
            clocks.observe(1, difference, 0);
            assert_eq!((clocks.agrees(0), clocks.agrees(1)), (false, agrees), "{difference}");
        }
    }

    #[test]
    fn most_must_agree() {
        let mut clocks = Clocks::new(3);
        let mut observed = vec![clocks.agrees_with_most()];
        for (shard, append_ms) in [(0, 0), (1, 0), (1, 99_999), (2, 5)] {
            clocks.observe(shard, append_ms, 0);
            observed.push(clocks.agrees_with_most());
        }
        assert_eq!(observed, [false, false, true, false, true]);
    }
}
