//! What was seen in one partition of a source: what progress reports, and commits keep.

use super::heard;
use super::hour::{Count, LastHour};
use super::note::{Note, RuleTag};
use crate::config::Source;
use crate::retention::calendar::{Seconds, Timestamp};
use crate::retention::policy::{Kind, Trust};
use crate::retention::progress::{History, PartitionProgress, RuleFacts};

/// What a source's facts depend on.
#[derive(Clone, Debug)]
pub struct FactsPlan {
    /// Key of the source.
    pub source: String,
    pub reading: u64,
    lateness: Seconds,
    rules: Vec<RulePlan>,
}

#[derive(Clone, Copy, Debug)]
struct RulePlan {
    tag: RuleTag,
    silence_max: Option<Seconds>,
}

impl FactsPlan {
    pub fn new(source: &Source, trust: &Trust, kinds: &[Kind]) -> FactsPlan {
        let rules = trust.rules.iter().enumerate();
        let plan = |(place, rule): (usize, &crate::retention::policy::RuleTrust)| RulePlan {
            tag: RuleTag::of(source, place, kinds),
            silence_max: rule.silence_max,
        };
        FactsPlan {
            source: source.key.clone(),
            reading: source.reading,
            lateness: trust.allowed_lateness,
            rules: rules.map(plan).collect(),
        }
    }
}

/// Tells a topic from one of the same name that was deleted: half of Kafka's topic id (KIP-516).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicId(pub u64);

/// What the brokers say of a partition, asked after `at`; the end as a `read_uncommitted` reader sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    pub at: Timestamp,
    /// Asked for before the rest; `None`: brokers that don't tell.
    pub topic: Option<TopicId>,
    pub log_start: i64,
    pub log_end: i64,
}

/// A committed offset and what was kept beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed<'m> {
    pub offset: i64,
    pub metadata: &'m str,
}

/// How reading a partition starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    Continued,
    /// There was no commit.
    First,
    /// What was committed was read differently, or can't be understood: it is read from its beginning.
    Reread,
    /// Records are missing between what was committed and what is there, or the topic is another one by now.
    Gap,
}

#[derive(Clone, Debug)]
pub struct Facts {
    topic: Option<TopicId>,
    first_read: Timestamp,
    gap: Option<Timestamp>,
    hour: LastHour,
    rejects_total: u64,
    shown: History,
    /// In the order of the source's rules.
    rules: Vec<RuleFacts>,
}

impl Facts {
    /// Decides where reading starts, and with which facts. `joins_later`: other partitions of its topic
    /// (of its source, where that reads topics by pattern) have been read before.
    pub fn begin(
        plan: &FactsPlan,
        committed: Option<Committed<'_>>,
        look: Look,
        joins_later: bool,
        now_ms: i64,
    ) -> (i64, Start, Facts) {
        let Some(committed) = committed else {
            let shown = if joins_later && look.log_start == 0 { History::Whole } else { shown_if_empty(look) };
            return (look.log_start, Start::First, Facts::fresh(plan, look.topic, look.at, shown, now_ms));
        };
        let note = Note::decode(committed.metadata).ok();
        let before = note.as_ref().and_then(|note| note.topic);
        // An offset says nothing about another topic, be it within its bounds.
        let is_same = before.is_none() || look.topic.is_none() || before == look.topic;
        let is_there = is_same && (look.log_start..=look.log_end).contains(&committed.offset);
        let topic = look.topic.or(before);
        match note {
            Some(note) if note.reading == plan.reading && note.rules.len() == plan.rules.len() => {
                let mut facts = Facts::resumed(&note, topic, now_ms);
                if is_there {
                    return (committed.offset, Start::Continued, facts);
                }
                // A further gap is another one, for which nobody has answered yet.
                facts.gap = Some(note.as_of);
                (look.log_start, Start::Gap, facts)
            }
            Some(note) => {
                let mut facts = Facts::fresh(plan, topic, note.first_read, shown_if_empty(look), now_ms);
                if is_there && note.gap.is_none() {
                    facts.keep_histories(plan, &note);
                }
                (look.log_start, Start::Reread, facts)
            }
            None => (look.log_start, Start::Reread, Facts::fresh(plan, topic, look.at, shown_if_empty(look), now_ms)),
        }
    }

    fn fresh(plan: &FactsPlan, topic: Option<TopicId>, first_read: Timestamp, shown: History, now_ms: i64) -> Facts {
        let rule = RuleFacts { history: shown, ..RuleFacts::default() };
        let rules = vec![rule; plan.rules.len()];
        Facts { topic, first_read, gap: None, hour: LastHour::new(now_ms), rejects_total: 0, shown, rules }
    }

    fn resumed(note: &Note, topic: Option<TopicId>, now_ms: i64) -> Facts {
        let mut hour = LastHour::new(now_ms);
        // Which minute they came in is not known, so they stay for an hour more.
        hour.add(Count { records: note.records_last_hour, rejects: note.rejects_last_hour }, now_ms);
        Facts {
            topic,
            first_read: note.first_read,
            gap: note.gap,
            hour,
            rejects_total: note.rejects_total,
            shown: note.shown,
            rules: note.rules.iter().map(|(_, facts)| facts.clone()).collect(),
        }
    }

    /// A rule that was there before and hasn't changed has seen more than can be shown again.
    fn keep_histories(&mut self, plan: &FactsPlan, note: &Note) {
        for (facts, rule) in self.rules.iter_mut().zip(&plan.rules) {
            if let Some((_, before)) = note.rules.iter().find(|(tag, _)| *tag == rule.tag)
                && before.history != History::Unread
            {
                facts.history = before.history;
            }
        }
    }

    /// Whether the topic is another one than that which is being read. One that was not known is, from now on.
    pub fn is_another(&mut self, topic: TopicId) -> bool {
        *self.topic.get_or_insert(topic) != topic
    }

    /// Counts a record.
    pub fn count(&mut self, is_reject: bool, now_ms: i64) {
        let rejects = u64::from(is_reject);
        self.hour.add(Count { records: 1, rejects }, now_ms);
        self.rejects_total += rejects;
    }

    /// Notes that a rule matched a record stamped `at`.
    pub fn matched(&mut self, plan: &FactsPlan, rule: usize, at: Timestamp, now: Timestamp) {
        heard::note_match(&mut self.rules[rule], at, plan.rules[rule].silence_max, now);
    }

    /// Whether no record has shown yet how far back the partition goes.
    pub fn is_unread(&self) -> bool {
        self.shown == History::Unread
    }

    /// The first record that could be read tells how far back it goes: `at` is the later of its
    /// timestamp and its events' times.
    pub fn first_record(&mut self, plan: &FactsPlan, at: Timestamp) {
        self.show(History::Since(at + plan.lateness));
    }

    /// Everything up to `at` has been read. If no record could be read until then, there is nothing to
    /// show from before.
    pub fn read_to(&mut self, at: Timestamp) {
        if self.is_unread() {
            self.show(History::Since(at));
        }
    }

    fn show(&mut self, shown: History) {
        self.shown = shown;
        for rule in &mut self.rules {
            if rule.history == History::Unread {
                rule.history = shown;
            }
        }
    }

    /// What a commit keeps.
    pub fn note(&mut self, plan: &FactsPlan, now_ms: i64) -> Note {
        let hour = self.hour.sum(now_ms);
        let as_of = Timestamp::from_millis_floor(now_ms);
        self.forget(as_of);
        Note {
            reading: plan.reading,
            topic: self.topic,
            as_of,
            first_read: self.first_read,
            gap: self.gap,
            records_last_hour: hour.records,
            rejects_last_hour: hour.rejects,
            rejects_total: self.rejects_total,
            shown: self.shown,
            rules: plan.rules.iter().map(|rule| rule.tag).zip(self.rules.iter().cloned()).collect(),
        }
    }

    /// What progress reports of the partition `topic[partition]`.
    pub fn report(
        &mut self,
        plan: &FactsPlan,
        (topic, partition): (&str, u32),
        complete_to: Option<Timestamp>,
        now_ms: i64,
    ) -> PartitionProgress {
        let hour = self.hour.sum(now_ms);
        self.forget(Timestamp::from_millis_floor(now_ms));
        PartitionProgress {
            source: plan.source.clone(),
            topic: topic.to_owned(),
            partition,
            reading: plan.reading,
            first_read: self.first_read,
            complete_to,
            gap: self.gap,
            records_last_hour: hour.records,
            rejects_last_hour: hour.rejects,
            rejects_total: self.rejects_total,
            shown: self.shown,
            rules: self.rules.clone(),
        }
    }

    fn forget(&mut self, now: Timestamp) {
        self.rules.iter_mut().for_each(|facts| heard::forget(facts, now));
    }
}

/// An empty partition shows all there ever was, if nothing has been deleted, or nothing.
fn shown_if_empty(look: Look) -> History {
    match look {
        Look { log_start, log_end, .. } if log_start < log_end => History::Unread,
        Look { log_start: 0, at, .. } => History::EmptyAt(at),
        Look { at, .. } => History::Since(at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retention::progress::Matched;

    const AT: Timestamp = Timestamp(50_000);
    const NOW_MS: i64 = 50_000_000;

    fn plan(reading: u64, tags: &[u32]) -> FactsPlan {
        let rule = |tag: &u32| RulePlan { tag: RuleTag(*tag), silence_max: None };
        FactsPlan { source: "web".into(), reading, lateness: Seconds(100), rules: tags.iter().map(rule).collect() }
    }

    fn look(log_start: i64, log_end: i64) -> Look {
        Look { at: AT, topic: None, log_start, log_end }
    }

    /// What was committed at offset 40 under reading 1 with rules 7 and 8.
    fn committed(change: impl FnOnce(&mut Facts)) -> String {
        let plan = plan(1, &[7, 8]);
        let (_, _, mut facts) = Facts::begin(&plan, None, look(0, 9), false, NOW_MS);
        facts.first_record(&plan, Timestamp(1000));
        facts.matched(&plan, 0, Timestamp(1100), AT);
        facts.count(true, NOW_MS);
        change(&mut facts);
        facts.note(&plan, NOW_MS).encode()
    }

    fn begin(plan: &FactsPlan, offset: i64, metadata: &str, look: Look) -> (i64, Start, Facts) {
        Facts::begin(plan, Some(Committed { offset, metadata }), look, false, NOW_MS)
    }

    fn histories(facts: &Facts) -> Vec<History> {
        facts.rules.iter().map(|rule| rule.history).collect()
    }

    #[test]
    fn a_first_look_tells_what_an_empty_partition_shows() {
        let cases = [
            (look(0, 0), false, History::EmptyAt(AT)),
            (look(7, 7), false, History::Since(AT)),
            (look(0, 9), false, History::Unread),
            (look(0, 9), true, History::Whole),
            (look(0, 0), true, History::Whole),
            (look(3, 9), true, History::Unread),
        ];
        for (look, joins_later, expected) in cases {
            let (offset, start, facts) = Facts::begin(&plan(1, &[7]), None, look, joins_later, NOW_MS);
            assert_eq!((offset, start, facts.first_read), (look.log_start, Start::First, AT));
            assert_eq!((facts.shown, histories(&facts)), (expected, vec![expected]), "{look:?}");
        }
    }

    #[test]
    fn the_first_record_shows_how_far_back_it_goes() {
        let plan = plan(1, &[7]);
        let unread = || Facts::begin(&plan, None, look(0, 9), false, NOW_MS).2;
        let (mut read, mut unreadable) = (unread(), unread());
        read.first_record(&plan, Timestamp(1000));
        read.read_to(AT);
        assert_eq!(histories(&read), [History::Since(Timestamp(1100))]);
        unreadable.read_to(AT);
        assert_eq!(histories(&unreadable), [History::Since(AT)]);
    }

    #[test]
    fn what_was_committed_is_continued() {
        let plan = plan(1, &[7, 8]);
        let (offset, start, mut facts) = begin(&plan, 40, &committed(|_| {}), look(10, 40));
        assert_eq!((offset, start), (40, Start::Continued));
        let report = facts.report(&plan, ("events", 3), Some(AT), NOW_MS);
        assert_eq!((report.records_last_hour, report.rejects_last_hour, report.rejects_total), (1, 1, 1));
        assert_eq!((report.gap, report.first_read, report.shown), (None, AT, History::Since(Timestamp(1100))));
        let at = Timestamp(1100);
        assert_eq!(report.rules[0].matched, Some(Matched { first: at, newest: at }));
    }

    #[test]
    fn a_commit_to_a_topic_that_was_deleted_is_a_gap_wherever_it_lies() {
        let plan = plan(1, &[7, 8]);
        let look = |topic: Option<u64>| Look { topic: topic.map(TopicId), ..look(0, 90) };
        let committed = |topic: Option<u64>| {
            let (_, _, mut facts) = Facts::begin(&plan, None, look(topic), false, NOW_MS);
            facts.note(&plan, NOW_MS).encode()
        };
        let table = [
            (Some(1), Some(1), Start::Continued),
            (Some(1), Some(2), Start::Gap),
            (Some(1), None, Start::Continued),
            (None, Some(2), Start::Continued),
        ];
        for (before, now, expected) in table {
            let metadata = committed(before);
            let committed = Some(Committed { offset: 40, metadata: &metadata });
            let (offset, start, mut facts) = Facts::begin(&plan, committed, look(now), false, NOW_MS);
            assert_eq!(start, expected, "{before:?} {now:?}");
            assert_eq!(offset, if start == Start::Gap { 0 } else { 40 });
            assert!(facts.is_another(TopicId(3)) && !facts.is_another(TopicId(now.or(before).unwrap())));
        }
        let (_, _, mut facts) = Facts::begin(&plan, None, look(None), false, NOW_MS);
        assert!(!facts.is_another(TopicId(3)) && facts.is_another(TopicId(4)), "it is known from then on");
    }

    #[test]
    fn a_commit_outside_the_log_is_a_gap_until_it_is_read_again() {
        let (web, other) = (plan(1, &[7, 8]), plan(2, &[7, 8]));
        for look in [look(41, 90), look(0, 39)] {
            let (offset, start, mut facts) = begin(&web, 40, &committed(|_| {}), look);
            assert_eq!((offset, start, facts.gap), (look.log_start, Start::Gap, Some(AT)));
            let metadata = facts.note(&web, NOW_MS + 9_000_000).encode();
            let (_, start, facts) = begin(&web, 50, &metadata, super::Look { log_end: 90, ..look });
            assert_eq!((start, facts.gap), (Start::Continued, Some(AT)));
            let (_, start, facts) = begin(&web, 95, &metadata, super::Look { log_end: 90, ..look });
            assert_eq!((start, facts.gap), (Start::Gap, Some(Timestamp(59_000))), "a further gap is another one");
            let (_, start, facts) = begin(&other, 50, &metadata, super::Look { log_end: 90, ..look });
            assert_eq!((start, facts.gap, histories(&facts)), (Start::Reread, None, vec![History::Unread; 2]));
        }
    }

    #[test]
    fn another_reading_keeps_the_history_of_what_did_not_change() {
        let known = History::Since(Timestamp(1100));
        let (offset, start, mut facts) = begin(&plan(2, &[9, 8]), 40, &committed(|_| {}), look(10, 90));
        assert_eq!((offset, start, facts.first_read), (10, Start::Reread, AT));
        assert_eq!((facts.shown, histories(&facts)), (History::Unread, vec![History::Unread, known]));
        assert_eq!((facts.hour.sum(NOW_MS), facts.rejects_total), (Count::default(), 0));
        assert_eq!(facts.rules[1].matched, None);

        let missing = begin(&plan(2, &[9, 8]), 40, &committed(|_| {}), look(41, 90)).2;
        assert_eq!(histories(&missing), [History::Unread; 2]);
        let unreadable = begin(&plan(1, &[7, 8]), 40, "by hand", look(10, 90));
        assert_eq!((unreadable.0, unreadable.1), (10, Start::Reread));
    }
}
