//! Metrics in Prometheus' text format. No customer and nothing unbounded is ever a label; gauges are sums
//! over shards, so that they can be summed over pods, and absent, never 0, while shards are restored.

use prometheus::core::Collector;
use prometheus::proto::MetricType;
use prometheus::{
    Encoder, Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

/// All metrics of an instance. Handles are atomics: counting costs no lock in hot loops that keep theirs.
pub struct Metrics {
    registry: Registry,
    described: Vec<Described>,
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
    /// Records of the acknowledgements' topic that were none.
    pub acknowledgements_rejected: IntCounter,
    /// From a transaction's first record to the brokers' word that it is committed.
    pub transaction_seconds: Histogram,
    /// Records of the changelog read to restore shards.
    pub restored_records: IntCounter,
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
    /// How long ago the oldest request was due that has not been sent, or not been answered.
    pub oldest_open_request: IntGaugeVec,
    /// 1 where progress counts: source.
    pub gate_open: IntGaugeVec,
    /// 1 for each reason for which progress doesn't count: source, doubt.
    pub gate_doubt: IntGaugeVec,
    /// How far what is proven lies behind now: source.
    pub gate_lag: IntGaugeVec,
    /// When the newest record that a rule matched was written: source.
    pub last_activity: IntGaugeVec,
    /// Commands without an answer: target.
    pub unacknowledged: IntGaugeVec,
    /// Of them those whose lease has run out, or that the target failed: target.
    pub overdue: IntGaugeVec,
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
    /// How far the shard that is furthest behind lies behind.
    pub shard_lag: IntGaugeVec,
    /// Bytes that the shards' tables hold.
    pub table_bytes: IntGaugeVec,
}

/// Stands for a target that an acknowledgement names and the configuration doesn't.
pub const UNKNOWN_TARGET: &str = "(unknown)";

/// A metric that may be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    pub labels: Vec<String>,
}

/// Registers metrics, and notes which there are.
#[derive(Default)]
struct Registrar {
    registry: Registry,
    described: std::cell::RefCell<Vec<Described>>,
}

impl Registrar {
    fn add<T: Collector + Clone + 'static>(&self, metric: prometheus::Result<T>) -> T {
        let metric = metric.expect("names and labels are literals");
        self.registry.register(Box::new(metric.clone())).expect("no name stands here twice");
        let kind = match metric.collect().first().map(prometheus::proto::MetricFamily::get_field_type) {
            Some(MetricType::COUNTER) => "counter",
            Some(MetricType::HISTOGRAM) => "histogram",
            _ => "gauge",
        };
        let described = metric.desc().into_iter().map(|desc| {
            let (name, labels) = (desc.fq_name.clone(), desc.variable_labels.clone());
            Described { name, kind, labels }
        });
        self.described.borrow_mut().extend(described);
        metric
    }

    fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.add(IntCounter::new(name, help))
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.add(IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.add(IntGaugeVec::new(Opts::new(name, help), labels))
    }

    /// What the operating system says of the process.
    #[cfg(target_os = "linux")]
    fn process(&self) {
        let process = prometheus::process_collector::ProcessCollector::for_self();
        let kind = |name: &str| if name.ends_with("_total") { "counter" } else { "gauge" };
        let described = process.desc().into_iter().map(|desc| {
            let (name, labels) = (desc.fq_name.clone(), desc.variable_labels.clone());
            Described { kind: kind(&name), name, labels }
        });
        self.described.borrow_mut().extend(described);
        self.registry.register(Box::new(process)).expect("no name stands here twice");
    }

    fn seconds(&self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        self.add(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec())))
    }
}

/// A commit takes some 80 ms, and gives up after 15 s.
const TRANSACTION_BUCKETS: &[f64] = &[0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0];

impl Metrics {
    pub fn new() -> Metrics {
        let all = Registrar::default();
        let info = all.gauges("lapsed_build_info", "Version of this build", &["version"]);
        info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        #[cfg(target_os = "linux")]
        all.process();
        Metrics {
            commands: all.counters(
                "lapsed_commands_total",
                "Commands that left",
                &["policy", "command", "target", "cause"],
            ),
            acknowledgements: all.counters(
                "lapsed_acknowledgements_total",
                "Acknowledgements of commands",
                &["target", "result"],
            ),
            records: all.counters("lapsed_records_total", "Source records read", &["source", "outcome"]),
            rejects: all.counters("lapsed_rejects_total", "Source records rejected", &["source", "reason"]),
            times_replaced: all.counters(
                "lapsed_times_replaced_total",
                "Event times ahead of their record's timestamp, which replaced them",
                &["source"],
            ),
            signals_produced: all.counter("lapsed_signals_produced_total", "Signals produced by ingest"),
            signals_coalesced: all.counter("lapsed_signals_coalesced_total", "Activities already forwarded"),
            signals_applied: all.counter("lapsed_signals_applied_total", "Records of signals read and committed"),
            signals_garbage: all.counter("lapsed_signals_garbage_total", "Records of signals that were none"),
            transactions: all.counters("lapsed_transactions_total", "Transactions by outcome", &["outcome"]),
            acknowledgements_unknown: all.counters(
                "lapsed_acknowledgements_unknown_total",
                "Acknowledgements of commands that never were",
                &["target"],
            ),
            acknowledgements_rejected: all.counter(
                "lapsed_acknowledgements_rejected_total",
                "Records of the acknowledgements' topic that were none",
            ),
            transaction_seconds: all.seconds(
                "lapsed_transaction_seconds",
                "From a transaction's first record to its commit",
                TRANSACTION_BUCKETS,
            ),
            restored_records: all.counter("lapsed_restored_records_total", "Records of the changelog read to restore"),
            due_unsent: all.gauges("lapsed_due_unsent", "Customers due and not sent", &["policy"]),
            oldest_due_age: all.gauges(
                "lapsed_oldest_due_age_seconds",
                "How long the oldest unsent command has been due",
                &["policy"],
            ),
            brake_engaged: all.gauges("lapsed_brake_engaged", "Whether a person must release the policy", &["policy"]),
            waiting_for_release: all.gauges(
                "lapsed_waiting_for_release",
                "Customers due who wait for a person's release",
                &["policy"],
            ),
            requests_withheld: all.gauges(
                "lapsed_requests_withheld",
                "Requests that wait because the policy is not enforced",
                &["policy"],
            ),
            oldest_open_request: all.gauges(
                "lapsed_oldest_open_request_seconds",
                "How long ago the oldest request was due that is not sent or not answered",
                &[],
            ),
            gate_open: all.gauges("lapsed_gate_open", "Whether a source's progress counts", &["source"]),
            gate_doubt: all.gauges("lapsed_gate_doubt", "Reasons why progress doesn't count", &["source", "doubt"]),
            gate_lag: all.gauges("lapsed_gate_lag_seconds", "How far what is proven lies behind", &["source"]),
            last_activity: all.gauges(
                "lapsed_last_activity_timestamp_seconds",
                "When the newest record that a rule matched was written",
                &["source"],
            ),
            unacknowledged: all.gauges("lapsed_commands_unacknowledged", "Commands without an answer", &["target"]),
            overdue: all.gauges(
                "lapsed_commands_overdue",
                "Commands without an answer whose lease has run out, or that failed",
                &["target"],
            ),
            customers: all.gauges(
                "lapsed_customers",
                "Customers covered, by the last stage sent",
                &["policy", "stage"],
            ),
            without_starting_point: all.gauges(
                "lapsed_customers_without_starting_point",
                "Customers with no activity that any policy counts",
                &[],
            ),
            uncovered: all.gauges(
                "lapsed_customers_uncovered",
                "Customers with starting points only in policies that don't apply to them",
                &[],
            ),
            overflowed: all.gauges(
                "lapsed_customers_overflowed",
                "Customers held because there was no room for a hold, consent or attribute",
                &[],
            ),
            forgotten: all.gauges("lapsed_customers_forgotten", "Customers of whom a keyed hash is left", &[]),
            signals_suppressed: all
                .counter("lapsed_signals_suppressed_total", "Late signals about forgotten customers"),
            policy_review: all.gauges(
                "lapsed_policy_review_timestamp_seconds",
                "When a policy is to be looked at again",
                &["policy"],
            ),
            reload_successful: all
                .add(IntGauge::new("lapsed_config_last_reload_successful", "Whether the file is the one in force")),
            shards: all.gauges("lapsed_shards", "Shards this instance owns", &["state"]),
            restore_ratio: all
                .add(Gauge::new("lapsed_restore_ratio", "Share of the changelog read, while shards are restored")),
            shard_lag: all.gauges("lapsed_shard_lag_seconds", "How far the last shard's clock lies behind", &[]),
            table_bytes: all.gauges("lapsed_table_bytes", "Bytes held by the shards' tables", &[]),
            registry: all.registry,
            described: all.described.into_inner(),
        }
    }

    /// Gauges that are set anew for each scrape, and absent until every shard is there.
    pub fn sampled(&self) -> impl Iterator<Item = &IntGaugeVec> {
        let gates = [&self.gate_open, &self.gate_doubt, &self.gate_lag, &self.last_activity];
        let due = [&self.due_unsent, &self.oldest_due_age, &self.oldest_open_request, &self.requests_withheld];
        let brakes = [&self.brake_engaged, &self.waiting_for_release, &self.unacknowledged];
        let customers = [&self.customers, &self.without_starting_point, &self.uncovered, &self.overflowed];
        let rest = [&self.overdue, &self.forgotten, &self.shard_lag, &self.table_bytes];
        gates.into_iter().chain(due).chain(brakes).chain(customers).chain(rest)
    }

    /// All metrics that may be served, by name.
    pub fn described(&self) -> Vec<Described> {
        let mut described = self.described.clone();
        described.sort_by(|one, other| one.name.cmp(&other.name));
        described
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

    /// What the design promises: name, kind, labels.
    const PROMISED: &[(&str, &str, &[&str])] = &[
        ("lapsed_acknowledgements_total", "counter", &["target", "result"]),
        ("lapsed_brake_engaged", "gauge", &["policy"]),
        ("lapsed_build_info", "gauge", &["version"]),
        ("lapsed_commands_total", "counter", &["policy", "command", "target", "cause"]),
        ("lapsed_commands_unacknowledged", "gauge", &["target"]),
        ("lapsed_config_last_reload_successful", "gauge", &[]),
        ("lapsed_customers", "gauge", &["policy", "stage"]),
        ("lapsed_customers_uncovered", "gauge", &[]),
        ("lapsed_customers_without_starting_point", "gauge", &[]),
        ("lapsed_due_unsent", "gauge", &["policy"]),
        ("lapsed_gate_lag_seconds", "gauge", &["source"]),
        ("lapsed_gate_open", "gauge", &["source"]),
        ("lapsed_last_activity_timestamp_seconds", "gauge", &["source"]),
        ("lapsed_oldest_due_age_seconds", "gauge", &["policy"]),
        ("lapsed_oldest_open_request_seconds", "gauge", &[]),
        ("lapsed_policy_review_timestamp_seconds", "gauge", &["policy"]),
        ("lapsed_records_total", "counter", &["source", "outcome"]),
        ("lapsed_rejects_total", "counter", &["source", "reason"]),
    ];

    #[test]
    fn what_the_design_promises_is_there() {
        let described = Metrics::new().described();
        for (name, kind, labels) in PROMISED {
            let found = described.iter().find(|metric| metric.name == *name).unwrap_or_else(|| panic!("no {name}"));
            assert_eq!(found.kind, *kind, "{name}");
            assert_eq!(found.labels, *labels, "{name}");
        }
    }

    /// Everything that can be a label is a word of the configuration or of a fixed set.
    #[test]
    fn no_label_is_unbounded() {
        let bounded = [
            "cause", "command", "doubt", "outcome", "policy", "reason", "result", "source", "stage", "state", "target",
        ];
        for metric in Metrics::new().described().iter().filter(|metric| metric.name != "lapsed_build_info") {
            let fine = metric.labels.iter().all(|label| bounded.contains(&label.as_str()));
            assert!(fine, "{metric:?}");
        }
    }

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
