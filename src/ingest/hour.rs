//! How many records, and rejects among them, the last hour brought.

/// By minute; a minute ends with the clock that is passed in.
#[derive(Clone, Debug)]
pub struct LastHour {
    minutes: [Count; 60],
    /// Since 1970.
    minute: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub records: u64,
    pub rejects: u64,
}

impl LastHour {
    pub fn new(now_ms: i64) -> LastHour {
        LastHour { minutes: [Count::default(); 60], minute: now_ms.div_euclid(60_000) }
    }

    pub fn add(&mut self, count: Count, now_ms: i64) {
        self.advance(now_ms);
        let current = &mut self.minutes[place(self.minute)];
        current.records = current.records.saturating_add(count.records);
        current.rejects = current.rejects.saturating_add(count.rejects);
    }

    pub fn sum(&mut self, now_ms: i64) -> Count {
        self.advance(now_ms);
        self.total()
    }

    /// A clock that goes back by up to an hour stands still here; where it goes back further, everything
    /// counts as of then.
    fn advance(&mut self, now_ms: i64) {
        let minute = now_ms.div_euclid(60_000);
        if minute < self.minute - 60 {
            let sum = self.total();
            *self = LastHour::new(now_ms);
            self.minutes[place(minute)] = sum;
        }
        if minute > self.minute {
            for past in 0..(minute - self.minute).min(60) {
                self.minutes[place(minute - past)] = Count::default();
            }
            self.minute = minute;
        }
    }

    fn total(&self) -> Count {
        self.minutes.iter().fold(Count::default(), |sum, minute| Count {
            records: sum.records.saturating_add(minute.records),
            rejects: sum.rejects.saturating_add(minute.rejects),
        })
    }
}

fn place(minute: i64) -> usize {
    minute.rem_euclid(60) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_remembered_and_no_more() {
        let minute = |minute: i64| minute * 60_000 + 7;
        let mut hour = LastHour::new(minute(1000));
        hour.add(Count { records: 5, rejects: 1 }, minute(1000));
        hour.add(Count { records: 2, rejects: 0 }, minute(1030));
        let cases = [(1030, 7, 1), (1029, 7, 1), (1059, 7, 1), (1060, 2, 0), (1089, 2, 0), (1090, 0, 0), (9000, 0, 0)];
        for (now, records, rejects) in cases {
            assert_eq!(hour.sum(minute(now)), Count { records, rejects }, "{now}");
        }
        hour.add(Count { records: 1, rejects: 1 }, minute(9000));
        assert_eq!(hour.sum(minute(100)).records, 1, "years back");
        hour.add(Count { records: 1, rejects: 1 }, minute(100));
        assert_eq!(hour.sum(minute(159)).records, 2);
        assert_eq!(hour.sum(minute(160)).records, 0);
    }
}
