//! One source: what was heard of its partitions, and what that makes of it.

use super::KnownSince;
use super::acceptance::{Acceptable, AcceptedRejects, AcceptedSilence};
use super::doubt::Doubt;
use super::memory::{HeardPartition, SourceMemory};
use super::silence::{Voice, listen};
use crate::retention::calendar::{Seconds, Timestamp};
use crate::retention::policy::{RuleTrust, Trust};
use crate::retention::progress::{History, PartitionProgress, RuleFacts, TopicPartitions};
use std::collections::BTreeMap;

/// Of the last hour's records of a source at least this many may be rejects.
pub const REJECTS_MIN: u64 = 10;

/// What was heard of one source under this configuration.
#[derive(Clone, Debug)]
pub struct SourceGate {
    trust: Trust,
    topics: BTreeMap<String, TopicGate>,
    verdict: Verdict,
}

#[derive(Clone, Debug, Default)]
struct TopicGate {
    /// The most partitions it was ever heard to have.
    partitions: u32,
    /// The latest report's list of topics has it.
    is_there: bool,
    /// For how long it keeps its records; `None`: for ever, or nobody knows.
    kept_for: Option<Seconds>,
    reports: BTreeMap<u32, PartitionProgress>,
}

/// What the facts amount to; computed when they change, read for every customer judged.
#[derive(Clone, Debug)]
struct Verdict {
    /// Everything that was appended before has been handed to the shard; `None`: not known.
    complete_to: Option<Timestamp>,
    /// Doubts that no passing of time ends.
    lasting: Vec<Doubt>,
    /// By topic and guarded rule.
    voices: Vec<(String, usize, Voice, Seconds)>,
    /// The latest moment at which every guarded rule had spoken; `None`: one never has.
    spoken_to: Option<Timestamp>,
    /// From here on an ended silence is not held against it.
    doubted_until: Timestamp,
    /// After this a rule is silent.
    silent_after: Timestamp,
    /// By rule.
    known_since: Vec<KnownSince>,
}

impl SourceGate {
    pub fn new(trust: &Trust, memory: &SourceMemory) -> SourceGate {
        let mut source =
            SourceGate { trust: trust.clone(), topics: BTreeMap::new(), verdict: Verdict::nothing_heard() };
        source.judge(memory);
        source
    }

    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Takes in one report's list of the source's topics.
    pub fn hear_topics<'t>(&mut self, listed: impl Iterator<Item = &'t TopicPartitions>) {
        for topic in self.topics.values_mut() {
            topic.is_there = false;
        }
        for &TopicPartitions { topic: ref name, partitions, kept_for, .. } in listed {
            let topic = self.topics.entry(name.clone()).or_default();
            topic.is_there = partitions > 0;
            topic.partitions = topic.partitions.max(partitions);
            topic.kept_for = kept_for;
        }
    }

    /// For how long its topics keep their records; `None`: one for ever, or nobody knows.
    pub fn kept_for(&self) -> Option<Seconds> {
        let kept = self.topics.values().map(|topic| topic.kept_for);
        kept.reduce(|longest, kept| Some(longest?.max(kept?))).flatten()
    }

    /// Takes in the newest report on a partition, appended at `append`.
    pub fn hear_partition(&mut self, mut report: PartitionProgress, append: Timestamp) {
        if report.rules.len() != self.trust.rules.len() {
            return;
        }
        report.complete_to = report.complete_to.map(|complete_to| complete_to.min(append));
        let topic = self.topics.entry(report.topic.clone()).or_default();
        topic.reports.insert(report.partition, report);
    }

    /// There is a report that the partition has been read to some instant.
    pub fn has_proof_of(&self, topic: &str, partition: u32) -> bool {
        let report = self.topics.get(topic).and_then(|topic| topic.reports.get(&partition));
        report.is_some_and(|report| report.complete_to.is_some())
    }

    /// Those partitions are read under another configuration now: how far they were read proves nothing
    /// until they are reported on again. What their reports say of history still holds.
    pub fn unprove<'p>(&mut self, partitions: impl Iterator<Item = (&'p str, u32)>, memory: &SourceMemory) {
        for (topic, partition) in partitions {
            if let Some(report) = self.topics.get_mut(topic).and_then(|topic| topic.reports.get_mut(&partition)) {
                report.complete_to = None;
            }
        }
        self.judge(memory);
    }

    /// Keeps what must not be forgotten of the reports.
    pub fn remember(&self, memory: &mut SourceMemory) {
        for report in self.reports() {
            let heard = memory.partitions.entry(report.topic.clone()).or_default();
            let new = HeardPartition::new(report.reading, report.first_read);
            let partition = heard.entry(report.partition).or_insert(new);
            if partition.reading != report.reading {
                *partition = new;
            }
            partition.hear(report);
        }
        let Some(reading) = self.reading() else { return };
        // What was read under another reading must be read again from its beginning: nothing of it binds.
        for heard in memory.partitions.values_mut() {
            heard.retain(|_, partition| partition.reading == reading);
        }
        memory.partitions.retain(|_, heard| !heard.is_empty());
        for rules in memory.silences.values_mut() {
            rules.retain(|_, accepted| accepted.reading == reading);
        }
        memory.silences.retain(|_, rules| !rules.is_empty());
        if memory.rejected_reading.is_some_and(|rejected| rejected != reading) {
            memory.rejected_reading = None;
            memory.begins_anew = true;
        }
        if self.has_too_many_rejects(memory) {
            memory.rejected_reading = Some(reading);
        }
    }

    /// Where a source that was read again after too many rejects begins; `None`: not known yet.
    pub fn begins_at(&self) -> Option<KnownSince> {
        let shown = self.history(|report| report.shown);
        (!self.is_partial() && shown != KnownSince::Unknown).then_some(shown)
    }

    /// The latest history of the rules; `None`: not known yet, or from the beginning.
    pub fn known_since_latest(&self) -> Option<Timestamp> {
        match self.verdict.known_since.iter().max() {
            Some(KnownSince::At(at)) => Some(*at),
            _ => None,
        }
    }

    /// Has `memory` hold that a person answers for what is doubtful at `now`; judge it anew afterwards. Whether
    /// there may be something to answer for: what was not heard since a restart can't be told yet.
    pub fn accept(&self, memory: &mut SourceMemory, doubt: Acceptable, now: Timestamp) -> bool {
        match doubt {
            Acceptable::Silence => self.accept_silences(memory, now),
            Acceptable::Rejects => {
                let partitions = memory.partitions.values_mut().flat_map(|heard| heard.values_mut());
                partitions.for_each(|partition| partition.rejects = AcceptedRejects::UntilHeard);
                memory.rejected_reading.take().is_some()
            }
            Acceptable::Gap => {
                let partitions = memory.partitions.values_mut().flat_map(|heard| heard.values_mut());
                let missing = partitions.filter(|partition| partition.has_gap());
                missing.map(HeardPartition::accept_gap).count() > 0
            }
        }
    }

    fn accept_silences(&self, memory: &mut SourceMemory, at: Timestamp) -> bool {
        for (topic, heard) in &memory.partitions {
            let Some(reading) = heard.values().map(|partition| partition.reading).next() else { continue };
            let guarded = self.trust.rules.iter().zip(0_u16..).filter(|(rule, _)| rule.silence_max.is_some());
            let rules = memory.silences.entry(topic.clone()).or_default();
            rules.extend(guarded.map(|(_, rule)| (rule, AcceptedSilence { reading, at, ended: None })));
        }
        memory.silences.retain(|_, rules| !rules.is_empty());
        let mut judged = self.clone();
        judged.judge(memory);
        judged.end_acceptances(memory);
        memory.silences.values().flat_map(|rules| rules.values()).any(|accepted| accepted.at == at)
    }

    /// Notes in `memory` which silences have ended that a person had answered for, and forgets those that
    /// nobody holds against the source any more. Whether that makes a difference to the verdict.
    pub fn end_acceptances(&self, memory: &mut SourceMemory) -> bool {
        if self.is_partial() {
            return false;
        }
        let before = memory.silences.clone();
        for (topic, rule, voice, _) in &self.verdict.voices {
            let place = u16::try_from(*rule).unwrap_or(u16::MAX);
            let Some(rules) = memory.silences.get_mut(topic) else { continue };
            let Some(accepted) = rules.get_mut(&place).filter(|_| voice.accepted_at.is_none()) else { continue };
            accepted.ended = accepted.ended.or(voice.accepted_to.max(Some(accepted.at)));
            if voice.accepted_to.is_none() {
                rules.remove(&place);
            }
        }
        memory.silences.retain(|_, rules| !rules.is_empty());
        before != memory.silences
    }

    /// Silences that last and are accepted.
    pub fn accepted_silences(&self) -> impl Iterator<Item = Doubt> {
        let lasting = self.verdict.voices.iter().filter(|(_, _, voice, _)| voice.accepted_at.is_some());
        lasting.map(|(topic, rule, voice, _)| Doubt::Silent { topic: topic.clone(), rule: *rule, since: voice.newest })
    }

    /// Whether a topic or partition has not been reported on.
    pub fn is_partial(&self) -> bool {
        self.verdict.lasting.iter().any(Doubt::hides_a_partition)
    }

    /// Comes to a verdict on all that was heard.
    pub fn judge(&mut self, memory: &SourceMemory) {
        let lasting = self.lasting_doubts(memory);
        let voices = self.voices(memory);
        let spoken = voices.iter().map(|(_, _, voice, _)| voice.spoken_to());
        let doubted_until = voices.iter().filter_map(|(_, _, voice, _)| voice.doubted_until);
        let silent_after = voices.iter().map(|(_, _, voice, max)| voice.silent_after(*max));
        self.verdict = Verdict {
            complete_to: self.complete_to(&lasting),
            spoken_to: spoken.min().unwrap_or(Some(Timestamp::MAX)),
            doubted_until: doubted_until.max().unwrap_or(Timestamp::MIN),
            silent_after: silent_after.min().unwrap_or(Timestamp::MAX),
            known_since: self.known_since(&lasting, memory),
            lasting,
            voices,
        };
    }

    /// What is proven of the source at `now`: it is complete up to the first, every guarded rule has
    /// spoken at or after the second. `None`: it is in doubt, or lies further back than `lag_max`.
    pub fn proven(&self, now: Timestamp, lag_max: Seconds) -> Option<(Timestamp, Timestamp)> {
        let verdict = &self.verdict;
        let complete_to = verdict.complete_to.filter(|complete_to| *complete_to >= now - lag_max)?;
        let in_doubt = !verdict.lasting.is_empty() || now < verdict.doubted_until || now > verdict.silent_after;
        if in_doubt { None } else { Some((complete_to, verdict.spoken_to?)) }
    }

    /// Everything that was appended before has been handed to the shard; `None`: not known.
    pub fn complete(&self) -> Option<Timestamp> {
        self.verdict.complete_to
    }

    /// The newest record that any rule matched, by the record's own timestamp.
    pub fn newest_match(&self) -> Option<Timestamp> {
        let matched = self.reports().flat_map(|report| &report.rules).filter_map(|rule| rule.matched);
        matched.map(|matched| matched.newest).max()
    }

    /// By rule.
    pub fn rule_known_since(&self, rule: usize) -> KnownSince {
        self.verdict.known_since.get(rule).copied().unwrap_or(KnownSince::Unknown)
    }

    /// All reasons for which the source doesn't count at `now`.
    pub fn doubts(&self, now: Timestamp, lag_max: Seconds) -> Vec<Doubt> {
        let mut doubts = self.verdict.lasting.clone();
        let complete_to = self.verdict.complete_to;
        if doubts.is_empty() && complete_to.is_none_or(|complete_to| complete_to < now - lag_max) {
            doubts.push(Doubt::Behind { complete_to });
        }
        for (topic, rule, voice, max) in &self.verdict.voices {
            let (topic, rule) = (topic.clone(), *rule);
            if now > voice.silent_after(*max) {
                doubts.push(Doubt::Silent { topic, rule, since: voice.newest });
            } else if let Some(until) = voice.doubted_until.filter(|until| now < *until) {
                doubts.push(Doubt::WasSilent { topic, rule, until });
            }
        }
        doubts
    }

    fn reports(&self) -> impl Iterator<Item = &PartitionProgress> {
        self.topics.values().flat_map(|topic| topic.reports.values())
    }

    /// The reading in force: it is part of the configuration, so all reports agree on it.
    fn reading(&self) -> Option<u64> {
        self.reports().next().map(|report| report.reading)
    }

    fn has_too_many_rejects(&self, memory: &SourceMemory) -> bool {
        let (mut records, mut rejects) = (0u64, 0u64);
        for report in self.reports() {
            records = records.saturating_add(report.records_last_hour);
            let heard = memory.partitions.get(&report.topic).and_then(|heard| heard.get(&report.partition));
            let accepted = heard.map_or(AcceptedRejects::Nothing, |heard| heard.rejects);
            rejects = rejects.saturating_add(accepted.unanswered(report));
        }
        rejects > REJECTS_MIN && rejects as f64 > self.trust.rejects_max * records as f64
    }

    fn lasting_doubts(&self, memory: &SourceMemory) -> Vec<Doubt> {
        let mut doubts = Vec::new();
        if !self.topics.values().any(|topic| topic.is_there) {
            doubts.push(Doubt::NoTopic);
        }
        let reading = self.reading();
        for (name, topic) in &self.topics {
            topic.lasting_doubts(name, memory, reading, &mut doubts);
        }
        let remembered = memory.partitions.iter().filter(|(name, _)| !self.topics.contains_key(*name));
        for (name, heard) in remembered {
            if heard.values().any(|partition| Some(partition.reading) == reading) {
                doubts.push(Doubt::TopicGone { topic: name.clone() });
            }
        }
        if memory.rejected_reading.is_some() && memory.rejected_reading == reading {
            doubts.push(Doubt::Rejects);
        }
        doubts
    }

    fn complete_to(&self, lasting: &[Doubt]) -> Option<Timestamp> {
        if lasting.iter().any(Doubt::hides_a_partition) {
            return None;
        }
        // `None` is less than any moment, so one partition that is not known makes the whole unknown.
        self.reports().map(|report| report.complete_to).min().flatten()
    }

    fn voices(&self, memory: &SourceMemory) -> Vec<(String, usize, Voice, Seconds)> {
        let mut voices = Vec::new();
        for (name, topic) in &self.topics {
            for (rule, trust) in self.trust.rules.iter().enumerate() {
                if let Some(max) = trust.silence_max {
                    let accepted = memory.accepted_silence(name, rule);
                    voices.push((name.clone(), rule, listen(topic.facts(rule), max, accepted), max));
                }
            }
        }
        voices
    }

    fn known_since(&self, lasting: &[Doubt], memory: &SourceMemory) -> Vec<KnownSince> {
        let is_partial = lasting.iter().any(Doubt::hides_a_partition);
        let of_rule = |(rule, trust): (usize, &RuleTrust)| {
            if trust.history_from_beginning {
                KnownSince::Beginning
            } else if is_partial || memory.begins_anew {
                KnownSince::Unknown
            } else {
                let bound = memory.unknown_before.map_or(KnownSince::Beginning, KnownSince::At);
                self.history(|report| report.rules[rule].history).max(bound)
            }
        };
        self.trust.rules.iter().enumerate().map(of_rule).collect()
    }

    /// The latest over the topics.
    fn history(&self, of: impl Fn(&PartitionProgress) -> History) -> KnownSince {
        let topics = self.topics.values().map(|topic| topic.known_since(&of));
        topics.max().unwrap_or(KnownSince::Unknown)
    }
}

impl Doubt {
    pub(super) fn hides_a_partition(&self) -> bool {
        matches!(self, Doubt::NoTopic | Doubt::TopicGone { .. } | Doubt::PartitionUnheard { .. })
    }
}

impl TopicGate {
    fn facts(&self, rule: usize) -> impl Iterator<Item = &RuleFacts> {
        self.reports.values().map(move |report| &report.rules[rule])
    }

    fn lasting_doubts(&self, name: &str, memory: &SourceMemory, reading: Option<u64>, doubts: &mut Vec<Doubt>) {
        let topic = name.to_owned();
        if !self.is_there {
            doubts.push(Doubt::TopicGone { topic });
            return;
        }
        let remembered = memory.partitions.get(name);
        let ever = remembered.into_iter().flatten().filter(|(_, heard)| Some(heard.reading) == reading);
        let past_the_end = ever.map(|(partition, _)| *partition).filter(|partition| *partition >= self.partitions);
        let unheard = (0..self.partitions).chain(past_the_end).find(|partition| !self.reports.contains_key(partition));
        if let Some(partition) = unheard {
            doubts.push(Doubt::PartitionUnheard { topic: topic.clone(), partition });
        }
        for (&partition, heard) in remembered.into_iter().flatten().filter(|(_, heard)| Some(heard.reading) == reading)
        {
            if let Some(since) = heard.gap {
                doubts.push(Doubt::Gap { topic: topic.clone(), partition, since });
            }
            if heard.lost.is_some() {
                doubts.push(Doubt::CommitLost { topic: topic.clone(), partition });
            }
        }
    }

    /// The latest over the partitions. One that was empty from the start bounds nothing where another
    /// one had records.
    fn known_since(&self, of: impl Fn(&PartitionProgress) -> History) -> KnownSince {
        let (mut since, mut empty_at) = (None, None);
        for report in self.reports.values() {
            match of(report) {
                History::Unread => return KnownSince::Unknown,
                History::Whole => {}
                History::Since(at) => since = since.max(Some(at)),
                History::EmptyAt(at) => empty_at = empty_at.max(Some(at)),
            }
        }
        since.or(empty_at).map_or(KnownSince::Beginning, KnownSince::At)
    }
}

impl Verdict {
    fn nothing_heard() -> Verdict {
        Verdict {
            complete_to: None,
            lasting: Vec::new(),
            voices: Vec::new(),
            spoken_to: None,
            doubted_until: Timestamp::MIN,
            silent_after: Timestamp::MIN,
            known_since: Vec::new(),
        }
    }
}
