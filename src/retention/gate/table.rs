//! A shard's view of all sources.

use super::acceptance::Acceptable;
use super::doubt::Doubt;
use super::memory::{Memory, SourceMemory};
use super::source::SourceGate;
use super::{Gate, KnownSince};
use crate::plant::{Plant, is_planted};
use crate::retention::brake::Refusal;
use crate::retention::calendar::{Seconds, Timestamp};
use crate::retention::policy::{FloorIndex, PolicyIndex, Rulebook, SourceIndex, Trust};
use crate::retention::progress::{ConfigHash, Progress};
use std::sync::Arc;

/// Judges progress. A clone is cheap and shares what doesn't change after it: a shard keeps one to go
/// back to when its transaction is aborted.
#[derive(Clone, Debug)]
pub struct GateTable {
    config: ConfigHash,
    lag_max: Seconds,
    policies: Arc<[PolicyGate]>,
    floors: Arc<[Vec<(SourceIndex, u16)>]>,
    /// Those that place holds or yield a floor's kinds.
    request_sources: Arc<[SourceIndex]>,
    /// In the order of [`Rulebook::sources`].
    sources: Vec<Arc<SourceGate>>,
    memory: Arc<Memory>,
    /// The newest append time of progress under this configuration.
    heard: Option<Timestamp>,
    /// The same, under another one.
    heard_another: Option<Timestamp>,
    /// The same, of reports under this configuration that told nothing.
    heard_nothing: Option<Timestamp>,
    /// For how long these count as news of an instance that still runs.
    news_for: Seconds,
}

/// An instance that hasn't reported so many times is taken to have gone.
const REPORTS_UNTIL_GONE: i64 = 3;

#[derive(Debug)]
struct PolicyGate {
    sources: Vec<SourceIndex>,
    lateness: Seconds,
    history_rules: Vec<(SourceIndex, u16)>,
}

impl GateTable {
    /// Nothing heard yet, and so closed; also what a reload begins with. `memory` is what the shard's
    /// changelog holds, or what the table before it remembered.
    pub fn new(rules: &Rulebook, config: ConfigHash, memory: Memory) -> GateTable {
        let policies = rules.policies.iter().map(|policy| PolicyGate {
            sources: policy.sources.clone(),
            lateness: policy.lateness,
            history_rules: policy.history_rules.clone(),
        });
        let floors = rules.floors.iter().map(|floor| floor.history_rules.clone());
        let of_floors = rules.floors.iter().flat_map(|floor| &floor.sources);
        let mut request_sources: Vec<SourceIndex> = rules.hold_sources.iter().chain(of_floors).copied().collect();
        request_sources.sort_unstable();
        request_sources.dedup();
        let nothing = SourceMemory::default();
        let sources = rules
            .sources
            .iter()
            .map(|trust| Arc::new(SourceGate::new(trust, memory.sources.get(&trust.key).unwrap_or(&nothing))));
        GateTable {
            config,
            lag_max: rules.gate_lag_max,
            policies: policies.collect(),
            floors: floors.collect(),
            request_sources: request_sources.into(),
            sources: sources.collect(),
            memory: Arc::new(memory),
            heard: None,
            heard_another: None,
            heard_nothing: None,
            news_for: Seconds(rules.report_every().0 * REPORTS_UNTIL_GONE),
        }
    }

    /// What takes its place when a configuration is taken over: empty, and other instances may still run
    /// the one before.
    pub fn renewed(&self, rules: &Rulebook, config: ConfigHash, memory: Memory) -> GateTable {
        let heard_another = if config == self.config { self.heard_another } else { self.heard.max(self.heard_another) };
        GateTable { heard_another, ..GateTable::new(rules, config, memory) }
    }

    /// Takes in a report that was appended to the shard's log at `append`. One without topics says only
    /// that its instance is there. One of another configuration proves nothing, and takes away what was
    /// proven: its partitions are read differently now, and while instances differ the gate is closed.
    pub fn observe(&mut self, progress: &Progress, append: Timestamp) {
        if progress.config != self.config && !is_planted(Plant::BelieveOtherProgress) {
            self.heard_another = self.heard_another.max(Some(append));
            self.unprove(progress);
            return;
        }
        self.heard = self.heard.max(Some(append));
        if progress.topics.is_empty() && self.sources.iter().any(|source| !source.trust().retired) {
            self.heard_nothing = self.heard_nothing.max(Some(append));
        }
        for place in 0..self.sources.len() {
            self.observe_source(place, progress, append);
        }
    }

    fn unprove(&mut self, progress: &Progress) {
        let read_otherwise = || progress.partitions.iter().map(|report| (report.topic.as_str(), report.partition));
        let nothing = SourceMemory::default();
        for source in &mut self.sources {
            if read_otherwise().any(|(topic, partition)| source.has_proof_of(topic, partition)) {
                let memory = self.memory.sources.get(&source.trust().key).unwrap_or(&nothing);
                Arc::make_mut(source).unprove(read_otherwise(), memory);
            }
        }
    }

    fn observe_source(&mut self, place: usize, progress: &Progress, append: Timestamp) {
        let trust = self.sources[place].trust();
        let (key, retired) = (trust.key.clone(), trust.retired);
        let mut memory = self.memory.sources.get(&key).cloned().unwrap_or_default();
        if retired {
            // Nobody reports on it any more. If nobody ever did, what it knew is unknown up to now.
            memory.known_since = memory.known_since.or(Some(append));
        } else if !progress.topics.is_empty() {
            let source = Arc::make_mut(&mut self.sources[place]);
            let topics = progress.topics.iter().filter(|topic| topic.source == key);
            source.hear_topics(topics);
            for report in progress.partitions.iter().filter(|report| report.source == key) {
                source.hear_partition(report.clone(), append);
            }
            source.remember(&mut memory);
            source.judge(&memory);
            if memory.begins_anew
                && let Some(begins_at) = source.begins_at()
            {
                memory.begins_anew = false;
                if let KnownSince::At(at) = begins_at {
                    memory.unknown_before = memory.unknown_before.max(Some(at));
                }
                source.judge(&memory);
            }
            if source.end_acceptances(&mut memory) {
                source.judge(&memory);
            }
            memory.known_since = memory.known_since.max(source.known_since_latest());
        }
        self.keep(key, memory);
    }

    fn keep(&mut self, source: String, memory: SourceMemory) {
        if self.memory.sources.get(&source) != Some(&memory) {
            Arc::make_mut(&mut self.memory).sources.insert(source, memory);
        }
    }

    /// A person answers for what is doubtful about a source at `now`, and for nothing that comes later.
    ///
    /// # Errors
    /// When no such source is read, or there is nothing to answer for.
    pub fn accept(&mut self, source: &str, doubt: Acceptable, now: Timestamp) -> Result<(), Refusal> {
        let known = self.sources.iter_mut().find(|known| known.trust().key == source && !known.trust().retired);
        let Some(known) = known else { return Err(Refusal::NoSource(source.to_owned())) };
        let mut memory = self.memory.sources.get(source).cloned().unwrap_or_default();
        if !known.accept(&mut memory, doubt, now) {
            return Err(Refusal::NoDoubt { about: source.to_owned(), doubt });
        }
        Arc::make_mut(known).judge(&memory);
        self.keep(source.to_owned(), memory);
        Ok(())
    }

    /// What the shard must keep in its changelog. Compare with what was kept last by [`Arc::ptr_eq`]:
    /// it is replaced only when it changes.
    pub fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    /// From when on an event can be that a live source still delivers at `now`; `None`: some topic is kept
    /// for ever, or not heard of.
    pub fn delivers_from(&self, now: Timestamp) -> Option<Timestamp> {
        let live = self.sources.iter().filter(|source| !source.trust().retired);
        let mut reaches = live.map(|source| Some(now - source.kept_for()? - source.trust().allowed_lateness));
        reaches.try_fold(now, |earliest, reach| Some(earliest.min(reach?)))
    }

    /// Whether the source's progress counts at `now`. A retired source is not waited for.
    pub fn is_open(&self, source: SourceIndex, now: Timestamp) -> bool {
        let source = self.source(source);
        source.trust().retired || (!self.differs(now) && source.proven(now, self.lag_max).is_some())
    }

    /// How far what is proven of the source lies behind `now`; `None`: nothing is.
    pub fn lag(&self, source: SourceIndex, now: Timestamp) -> Option<Seconds> {
        self.source(source).complete().map(|complete_to| now - complete_to)
    }

    /// The newest record of the source that any rule matched, by the record's own timestamp.
    pub fn newest_match(&self, source: SourceIndex) -> Option<Timestamp> {
        self.source(source).newest_match()
    }

    /// Why a source's progress doesn't count at `now`; empty: it does.
    pub fn doubts(&self, source: SourceIndex, now: Timestamp) -> Vec<Doubt> {
        let source = self.source(source);
        if source.trust().retired {
            return Vec::new();
        }
        let mut doubts = source.doubts(now, self.lag_max);
        doubts.extend(self.heard_another.filter(|_| self.differs(now)).map(|at| Doubt::InstancesDiffer { at }));
        if doubts.iter().any(|doubt| doubt.hides_a_partition() || matches!(doubt, Doubt::Behind { .. })) {
            let news = self.heard_nothing.filter(|at| now < *at + self.news_for);
            doubts.extend(news.map(|at| Doubt::NothingReported { at }));
        }
        doubts
    }

    /// What a person can answer for at `now`; a silence that lasts and was accepted can be once more, up to
    /// then.
    pub fn to_accept(&self, source: SourceIndex, doubt: Acceptable, now: Timestamp) -> Vec<Doubt> {
        let mut doubts = self.doubts(source, now);
        doubts.retain(|held| held.acceptable() == Some(doubt));
        if doubt == Acceptable::Silence {
            doubts.extend(self.source(source).accepted_silences());
        }
        doubts
    }

    /// Whether every partition of the source has been reported on.
    pub fn has_heard_all(&self, source: SourceIndex) -> bool {
        !self.source(source).is_partial()
    }

    /// Some instance runs another configuration, as far as anyone can tell at `now`.
    fn differs(&self, now: Timestamp) -> bool {
        self.heard_another.is_some_and(|at| now < at + self.news_for)
    }

    fn proven_by(&self, sources: &[SourceIndex], lateness: Seconds, now: Timestamp) -> Option<Timestamp> {
        if self.differs(now) {
            return None;
        }
        // Without a live source its starting points are final. They count as long as instances of this
        // configuration are about.
        let mut proven = self.heard.filter(|heard| *heard >= now - self.lag_max).map(|_| now)?;
        for source in sources {
            let (complete_to, spoken_to) = self.source(*source).proven(now, self.lag_max)?;
            proven = proven.min(complete_to - lateness).min(spoken_to);
        }
        Some(proven)
    }

    fn rules_known_since(&self, rules: &[(SourceIndex, u16)]) -> KnownSince {
        let known = rules.iter().map(|(source, rule)| self.rule_known_since(*source, *rule));
        // No rule yields its kinds, so nothing is known of anybody.
        known.max().unwrap_or(KnownSince::Unknown)
    }

    /// What is remembered of a policy's history, be nothing heard of it under this configuration yet.
    pub fn remembered_since(&self, policy: PolicyIndex) -> KnownSince {
        self.rules_remembered_since(&self.policies[usize::from(policy.0)].history_rules)
    }

    /// The same for a floor.
    pub fn floor_remembered_since(&self, floor: FloorIndex) -> KnownSince {
        self.rules_remembered_since(&self.floors[usize::from(floor.0)])
    }

    fn rules_remembered_since(&self, rules: &[(SourceIndex, u16)]) -> KnownSince {
        let known = rules.iter().map(|(source, rule)| self.remembered(self.source(*source).trust(), *rule));
        known.max().unwrap_or(KnownSince::Unknown)
    }

    fn source(&self, index: SourceIndex) -> &SourceGate {
        &self.sources[usize::from(index.0)]
    }

    fn rule_known_since(&self, source: SourceIndex, rule: u16) -> KnownSince {
        let source = self.source(source);
        let trust = source.trust();
        if !trust.retired {
            return source.rule_known_since(usize::from(rule));
        }
        self.remembered(trust, rule)
    }

    fn remembered(&self, trust: &Trust, rule: u16) -> KnownSince {
        match trust.rules.get(usize::from(rule)) {
            Some(rule) if rule.history_from_beginning => KnownSince::Beginning,
            // Its rules may have moved since it was last read, so the latest of them counts for all.
            _ => self
                .memory
                .sources
                .get(&trust.key)
                .and_then(|memory| memory.known_since)
                .map_or(KnownSince::Unknown, KnownSince::At),
        }
    }
}

impl Gate for GateTable {
    fn proven_up_to(&self, policy: PolicyIndex, now: Timestamp) -> Option<Timestamp> {
        let policy = &self.policies[usize::from(policy.0)];
        self.proven_by(&policy.sources, policy.lateness, now)
    }

    fn requests_proven_up_to(&self, now: Timestamp) -> Option<Timestamp> {
        self.proven_by(&self.request_sources, Seconds(0), now)
    }

    fn known_since(&self, policy: PolicyIndex) -> KnownSince {
        self.rules_known_since(&self.policies[usize::from(policy.0)].history_rules)
    }

    fn floor_known_since(&self, floor: FloorIndex) -> KnownSince {
        self.rules_known_since(&self.floors[usize::from(floor.0)])
    }
}
