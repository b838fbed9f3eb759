//! Metrics in Prometheus' text format. No customer and nothing unbounded is ever a label; gauges are sums
//! over shards, so that they can be summed over pods, and absent, never 0, while shards are restored.

use prometheus::{
    Encoder, Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder, core::Collector,
};

/// All metrics of an instance. Handles are atomics: counting costs no lock in hot loops that keep theirs.
pub struct Metrics {
    registry: Registry,
    /// Commands that left, committed: policy, command, target, cause.
    pub commands: IntCounterVec,
    /// What came back: target, result.
    pub acknowledgements: IntCounterVec,
    /// Source records: source, outcome (signals, ignored, skipped, rejected).
    pub records: IntCounterVec,
    /// Rejected source records: source, reason.
    pub rejects: IntCounterVec,
    /// Event times that lay more than five minutes after their record's timestamp: source.
    pub times_replaced: IntCounterVec,
    /// Signals that ingest produced.
    pub signals_produced: IntCounter,
    /// Activities that ingest had already forwarded.
    pub signals_coalesced: IntCounter,
    /// Records of `signals` that track has read, committed.
    pub signals_applied: IntCounter,
    /// Records of `signals` that were none; nothing changed.
    pub signals_garbage: IntCounter,
    /// Transactions: outcome (committed, aborted, unknown).
    pub transactions: IntCounterVec,
    /// Acknowledgements of commands that never were, by target; they unmask a target that reads what was
    /// not committed.
    pub acknowledgements_unknown: IntCounterVec,
    /// Due and not sent: policy.
    pub due_unsent: IntGaugeVec,
    /// How long the oldest of them has been due: policy.
    pub oldest_due_age: IntGaugeVec,
    /// 1 where nothing more leaves until a person releases it: policy.
    pub brake_engaged: IntGaugeVec,
    /// Due, and waiting for a person's release: policy.
    pub waiting_for_release: IntGaugeVec,
    /// Requests that wait because a policy isn't enforced: policy.
    pub requests_withheld: IntGaugeVec,
    /// How long the oldest request that waits has been due, for whatever it waits.
    pub oldest_open_request: IntGaugeVec,
    /// 1 where progress counts: source.
    pub gate_open: IntGaugeVec,
    /// In how many shards a doubt is held against a source: source, doubt.
    pub gate_doubts: IntGaugeVec,
    /// How far what is proven lies behind now: source.
    pub gate_lag: IntGaugeVec,
    /// True time of the newest activity: source.
    pub last_activity: IntGaugeVec,
    /// Commands without an answer: target.
    pub unacknowledged: IntGaugeVec,
    /// Customers that a policy covers: policy, stage (the last one sent, or none).
    pub customers: IntGaugeVec,
    /// Customers with no activity that any policy counts.
    pub without_starting_point: IntGaugeVec,
    /// Customers with starting points only in policies that don't apply to them.
    pub uncovered: IntGaugeVec,
    /// Customers held because there was no room for something that was told of them.
    pub overflowed: IntGaugeVec,
    /// Customers whose record is gone and whose keyed hash is kept.
    pub forgotten: IntGaugeVec,
    /// Signals that came too late about them.
    pub signals_suppressed: IntCounter,
    /// When a policy is to be looked at again: policy.
    pub policy_review: IntGaugeVec,
    /// Whether the configuration on disk is the one in force.
    pub reload_successful: IntGauge,
    /// Shards that this instance owns: state (restoring, running).
    pub shards: IntGaugeVec,
    /// Share of the changelog that has been read, 0 to 1, while shards are restored.
    pub restore_ratio: Gauge,
    /// Bytes that the shards' tables hold.
    pub table_bytes: IntGauge,
}

fn registered<T: Collector + Clone + 'static>(registry: &Registry, metric: prometheus::Result<T>) -> T {
    let metric = metric.expect("names and labels are literals");
    registry.register(Box::new(metric.clone())).expect("no name stands here twice");
    metric
}

impl Metrics {
    pub fn new() -> Metrics {
        let registry = Registry::new();
        let r = &registry;
        let counters =
            |name: &str, help: &str, labels: &[&str]| registered(r, IntCounterVec::new(Opts::new(name, help), labels));
        let counter = |name: &str, help: &str| registered(r, IntCounter::new(name, help));
        let gauges =
            |name: &str, help: &str, labels: &[&str]| registered(r, IntGaugeVec::new(Opts::new(name, help), labels));
        let info = gauges("lapsed_build_info", "Version of this build", &["version"]);
        info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Metrics {
            commands: counters(
                "lapsed_commands_total",
                "Commands that left",
                &["policy", "command", "target", "cause"],
            ),
            acknowledgements: counters(
                "lapsed_acknowledgements_total",
                "Acknowledgements of commands",
                &["target", "result"],
            ),
            records: counters("lapsed_records_total", "Source records read", &["source", "outcome"]),
            rejects: counters("lapsed_rejects_total", "Source records rejected", &["source", "reason"]),
            times_replaced: counters(
                "lapsed_times_replaced_total",
                "Event times ahead of their record's timestamp, which replaced them",
                &["source"],
            ),
            signals_produced: counter("lapsed_signals_produced_total", "Signals produced by ingest"),
            signals_coalesced: counter("lapsed_signals_coalesced_total", "Activities already forwarded"),
            signals_applied: counter("lapsed_signals_applied_total", "Records of signals read and committed"),
            signals_garbage: counter("lapsed_signals_garbage_total", "Records of signals that were none"),
            transactions: counters("lapsed_transactions_total", "Transactions by outcome", &["outcome"]),
            acknowledgements_unknown: counters(
                "lapsed_acknowledgements_unknown_total",
                "Acknowledgements of commands that never were",
                &["target"],
            ),
            due_unsent: gauges("lapsed_due_unsent", "Customers due and not sent", &["policy"]),
            oldest_due_age: gauges(
                "lapsed_oldest_due_age_seconds",
                "How long the oldest unsent command has been due",
                &["policy"],
            ),
            brake_engaged: gauges("lapsed_brake_engaged", "Whether a person must release the policy", &["policy"]),
            waiting_for_release: gauges(
                "lapsed_waiting_for_release",
                "Customers due who wait for a person's release",
                &["policy"],
            ),
            requests_withheld: gauges(
                "lapsed_requests_withheld",
                "Requests that wait because the policy is not enforced",
                &["policy"],
            ),
            oldest_open_request: gauges(
                "lapsed_oldest_open_request_seconds",
                "How long the oldest request that waits has been due",
                &[],
            ),
            gate_open: gauges("lapsed_gate_open", "Whether a source's progress counts", &["source"]),
            gate_doubts: gauges(
                "lapsed_gate_doubts",
                "In how many shards a source is in doubt, by the reason",
                &["source", "doubt"],
            ),
            gate_lag: gauges("lapsed_gate_lag_seconds", "How far what is proven lies behind", &["source"]),
            last_activity: gauges(
                "lapsed_last_activity_timestamp_seconds",
                "True time of the newest activity",
                &["source"],
            ),
            unacknowledged: gauges("lapsed_commands_unacknowledged", "Commands without an answer", &["target"]),
            customers: gauges("lapsed_customers", "Customers covered, by the last stage sent", &["policy", "stage"]),
            without_starting_point: gauges(
                "lapsed_customers_without_starting_point",
                "Customers with no activity that any policy counts",
                &[],
            ),
            uncovered: gauges(
                "lapsed_customers_uncovered",
                "Customers with starting points only in policies that don't apply to them",
                &[],
            ),
            overflowed: gauges(
                "lapsed_customers_overflowed",
                "Customers held because there was no room for a hold, consent or attribute",
                &[],
            ),
            forgotten: gauges("lapsed_customers_forgotten", "Customers of whom a keyed hash is left", &[]),
            signals_suppressed: counter("lapsed_signals_suppressed_total", "Late signals about forgotten customers"),
            policy_review: gauges(
                "lapsed_policy_review_timestamp_seconds",
                "When a policy is to be looked at again",
                &["policy"],
            ),
            reload_successful: registered(
                r,
                IntGauge::new("lapsed_config_last_reload_successful", "Whether the file is the one in force"),
            ),
            shards: gauges("lapsed_shards", "Shards this instance owns", &["state"]),
            restore_ratio: registered(r, Gauge::new("lapsed_restore_ratio", "Share of the changelog read")),
            table_bytes: registered(r, IntGauge::new("lapsed_table_bytes", "Bytes held by the shards' tables")),
            registry,
        }
    }

    /// The exposition, as `/metrics` serves it.
    pub fn render(&self) -> Vec<u8> {
        let mut buffer = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut buffer).expect("a Vec takes every write");
        buffer
    }
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_served_and_gauges_are_absent_until_set() {
        let metrics = Metrics::new();
        metrics.commands.with_label_values(&["offers", "warn", "crm", "period"]).inc();
        let text = String::from_utf8(metrics.render()).unwrap();
        assert!(
            text.contains(
                "lapsed_commands_total{cause=\"period\",command=\"warn\",policy=\"offers\",target=\"crm\"} 1"
            )
        );
        assert!(text.contains("lapsed_build_info{version="));
        assert!(!text.contains("lapsed_due_unsent"), "{text}");
    }
}
