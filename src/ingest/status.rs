//! What the rest of the process sees of ingest.

use super::instance::{Counts, Instance};
use crate::config::Config;
use crate::telemetry::metrics::Metrics;
use prometheus::IntCounter;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Shared by the loop and whoever asks.
pub struct IngestStatus {
    metrics: Arc<Metrics>,
    beat: AtomicI64,
}

impl IngestStatus {
    pub fn new(metrics: Arc<Metrics>) -> IngestStatus {
        let status = IngestStatus { metrics, beat: AtomicI64::new(0) };
        status.beat();
        status
    }

    /// The loop has turned.
    pub fn beat(&self) {
        self.beat.store(seconds(), Ordering::Relaxed);
    }

    /// Seconds since the loop last turned.
    pub fn stillness(&self) -> i64 {
        seconds() - self.beat.load(Ordering::Relaxed)
    }

    /// Adds what has happened since `told`, by source and last what was read of acknowledgements, and brings
    /// it up to date.
    pub fn tell(&self, instance: &Instance, config: &Config, told: &mut Vec<Counts>) {
        told.resize(config.sources.len() + 1, Counts::default());
        let (before, now) = (&mut told[config.sources.len()], instance.acknowledgement_counts());
        add(&self.metrics.acknowledgements_rejected, rejected(before), rejected(now));
        before.clone_from(now);
        for (place, source) in config.sources.iter().enumerate() {
            let now = instance.counts(place);
            self.tell_source(&source.key, &told[place], now);
            told[place] = now.clone();
        }
    }

    fn tell_source(&self, source: &str, before: &Counts, now: &Counts) {
        let records = |outcome: &str| self.metrics.records.with_label_values(&[source, outcome]);
        add(&records("signals"), before.signals, now.signals);
        add(&records("ignored"), before.ignored, now.ignored);
        add(&records("skipped"), before.skipped, now.skipped);
        add(&records("rejected"), rejected(before), rejected(now));
        for (reason, count) in &now.rejected {
            let counter = self.metrics.rejects.with_label_values(&[source, reason.name()]);
            add(&counter, before.rejected.get(reason).copied().unwrap_or(0), *count);
        }
        if now.replaced > 0 {
            add(&self.metrics.times_replaced.with_label_values(&[source]), before.replaced, now.replaced);
        }
        add(&self.metrics.signals_produced, before.forwarded, now.forwarded);
        add(&self.metrics.signals_coalesced, before.coalesced, now.coalesced);
    }
}

fn rejected(counts: &Counts) -> u64 {
    counts.rejected.values().sum()
}

fn add(counter: &IntCounter, before: u64, now: u64) {
    counter.inc_by(now.saturating_sub(before));
}

fn seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
