//! What a seed stands for: a configuration and its changes, how people behave, which faults strike and how
//! often.

use crate::config::{Config, Environment, load};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

/// The first moment, in seconds of Unix time.
pub const BEGIN: i64 = 1_780_000_000;
pub const MINUTE: i64 = 60;
pub const HOUR: i64 = 3_600;

/// Faults strike for so long; then everything is put right.
pub const STORM: i64 = 13 * HOUR;

/// How long after it happened an event may arrive, in seconds.
pub const LATENESS: i64 = 10 * MINUTE;
/// `max_gate_lag`, in seconds.
pub const LAG: i64 = 15 * MINUTE;
pub const SHARDS: u32 = 3;
/// The time of `accounts`' only stage.
const ACCOUNT: i64 = 6 * HOUR;
/// Where orders count, every period is longer by this, so that its version tells.
const WITH_ORDERS: i64 = MINUTE;

/// What may differ between two configurations of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Seconds until the warning and the removal of `offers`.
    pub offers: (i64, i64),
    pub accounts_enforced: bool,
    /// Any change reads `web` again.
    pub reread: u32,
    /// So many a day and shard.
    pub brake: u32,
    pub max_silence: i64,
    /// Records of `web` without its customer are no longer meant.
    pub ignores_unnamed: bool,
    /// `web` tells of orders, too, which count as purchases.
    pub counts_orders: bool,
}

/// A policy, in the oracle's own words.
#[derive(Clone, Copy, Debug)]
pub struct PolicyRules {
    pub kinds: &'static [&'static str],
    /// Seconds until it.
    pub warning: Option<i64>,
    pub removal: i64,
    pub action: &'static str,
    pub targets: &'static [&'static str],
    /// Consent given counts as an activity.
    pub has_consent: bool,
    pub is_enforced: bool,
}

impl Settings {
    /// Seconds until the warning and the removal of `offers`, and the removal of `accounts`.
    pub fn periods(&self) -> [i64; 3] {
        let more = if self.counts_orders { WITH_ORDERS } else { 0 };
        [self.offers.0 + more, self.offers.1 + more, ACCOUNT + more]
    }

    pub fn policy(&self, key: &str) -> Option<PolicyRules> {
        let [warning, removal, account] = self.periods();
        match key {
            "offers" => Some(PolicyRules {
                kinds: if self.counts_orders {
                    &["login", "purchase", "contact", "order"]
                } else {
                    &["login", "purchase", "contact"]
                },
                warning: Some(warning),
                removal,
                action: "anonymise",
                targets: &["crm", "mailing"],
                has_consent: true,
                is_enforced: true,
            }),
            "accounts" => Some(PolicyRules {
                kinds: if self.counts_orders { &["login", "purchase", "order"] } else { &["login", "purchase"] },
                warning: None,
                removal: account,
                action: "expire",
                targets: &["crm"],
                has_consent: false,
                is_enforced: self.accounts_enforced,
            }),
            _ => None,
        }
    }

    /// Orders have counted under some configuration, so they may have been seen.
    pub fn counts_orders_ever(all: &[(i64, Settings)]) -> bool {
        all.iter().any(|(_, settings)| settings.counts_orders)
    }

    fn text(&self) -> String {
        let Settings { accounts_enforced, reread, brake, max_silence, ignores_unnamed, counts_orders, .. } = self;
        let [warn, remove, account] = self.periods();
        let purchase = if *counts_orders { "[purchase, order]" } else { "purchase" };
        let unless = if *ignores_unnamed { ", unless: {/user: null}" } else { "" };
        let mode = if *accounts_enforced { "enforce" } else { "test" };
        format!(
            r#"
application: sim
time_zone: UTC
short_periods: true
kafka: {{bootstrap.servers: "nowhere:9092"}}
evidence: {{key: 0123456789abcdef0123456789abcdef}}
topics: {{partitions: {SHARDS}, replication_factor: 1}}
max_gate_lag: PT{LAG}S
brake: {{per_day: 1%, at_least: {brake}}}
sources:
  web:
    topics: [web]
    customer: /user
    time: /at
    history_from: beginning
    allowed_lateness: PT{LATENESS}S
    max_silence: PT{max_silence}S
    reread: {reread}
    rules:
      - {{when: {{/event: login}}{unless}, activity: login}}
      - {{when: {{/event: {purchase}}}{unless}, activity: purchase}}
  desk:
    topics: [desk]
    customer: /customer
    time: /at
    history_from: beginning
    allowed_lateness: PT{LATENESS}S
    max_silence: PT{max_silence}S
    rules:
      - {{when: {{/event: call}}, activity: contact}}
      - {{when: {{/event: opened}}, hold: {{id: /case, reason: dispute, until: /until}}}}
      - {{when: {{/event: closed}}, unhold: {{id: /case}}}}
      - {{when: {{/event: forget}}, erasure: true}}
      - {{when: {{/event: preference}}, consent: {{offers: /offers}}}}
targets:
  crm: {{topic: crm, acknowledge_within: PT2H}}
  mailing: {{topic: mailing, acknowledge_within: PT1H}}
policies:
  offers:
    purpose: {{en: Relevant offers until some hours after your last visit}}
    lawful_basis: legitimate_interest
    interest: {{en: keeping customers}}
    consent: offers
    categories: [email]
    since_last: [login, purchase, contact]
    stages:
      - {{after: PT{warn}S, command: warn, targets: [mailing]}}
      - {{after: PT{remove}S, command: anonymise}}
    targets: [crm, mailing]
    mode: enforce
    review_by: 2030-01-01
  accounts:
    purpose: {{en: The account of a shop that is used by the hour}}
    lawful_basis: contract
    categories: [account]
    since_last: [login, purchase]
    stages: [{{after: PT{account}S, command: expire}}]
    targets: [crm]
    mode: {mode}
    review_by: 2030-01-01
"#
        )
    }

    /// The same text gives the same configuration; reading it takes longer than deciding under it.
    pub fn config(&self) -> Arc<Config> {
        thread_local! {
            static READ: RefCell<HashMap<String, Arc<Config>>> = RefCell::new(HashMap::new());
        }
        let text = self.text();
        READ.with_borrow_mut(|read| {
            let config = read.entry(text).or_insert_with_key(|text| {
                let texts = [("simulator.yaml".to_owned(), text.clone())];
                let loaded = load::from_texts(&texts, Environment::Leave, chrono::NaiveDate::default());
                Arc::new(loaded.unwrap_or_else(|errors| panic!("{errors}")).config)
            });
            config.clone()
        })
    }
}

/// How often faults strike, in a thousandth of the occasions.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    pub crash: u32,
    /// A process is stopped for a while between two steps.
    pub stall: u32,
    pub abort: u32,
    /// The answer to a commit is lost.
    pub lost_answer: u32,
    /// Somebody leaves a group, or a pod is added.
    pub rebalance: u32,
    /// A shard gets no records for hours.
    pub starve: u32,
}

/// Faults that come once or twice: from, until.
pub type Window = Option<(i64, i64)>;

/// Everything that a seed decides beforehand.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub processes: usize,
    pub customers: usize,
    pub batch_max: usize,
    /// How long brokers may take to say where partitions end, in milliseconds.
    pub answer_ms: i64,
    pub faults: Faults,
    /// In the order of time; the first from the beginning.
    pub settings: Vec<(i64, Settings)>,
    /// Largest difference of a clock that still agrees, in seconds.
    pub skew: i64,
    /// An instance's clock is years off.
    pub bad_clock: Window,
    /// The brokers' clock is ahead or back by so many seconds.
    pub broker_clock: (Window, i64),
    /// By source: nothing comes.
    pub silence: [Window; 2],
    /// A backlog is stamped when it comes, not when it should have.
    pub backlog_stamped_late: bool,
    /// The field with `web`'s customer has another name.
    pub renamed: Window,
    /// Retention deletes what nobody has read yet of `web`.
    pub gap_at: Option<i64>,
    pub partition_added_at: Option<i64>,
    /// Sources produce in transactions, in a thousandth of the records.
    pub source_transactions: u32,
    /// Holds, requests, consent, in a thousandth of the visits.
    pub claims: u32,
    /// An operator stops everything, then releases it.
    pub stopped: Window,
    /// Two lives of one pod at a time.
    pub twins: bool,
    /// A process takes over a new configuration, in a thousandth of its turns.
    pub takes_over: u32,
    /// What brokers have of a source's partition was not fetched yet, in a thousandth of the looks at it.
    pub unfetched: u32,
}

impl Plan {
    pub fn of(seed: u64) -> Plan {
        let mut random = fastrand::Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x51ed_270b);
        let mut rate = |of_ten: u8, rates: std::ops::Range<u32>| {
            let drawn = random.u32(rates);
            if random.u8(0..10) < of_ten { drawn } else { 0 }
        };
        let faults = Faults {
            crash: rate(6, 1..8),
            stall: rate(6, 1..12),
            abort: rate(6, 5..120),
            lost_answer: rate(6, 5..80),
            rebalance: rate(6, 2..30),
            starve: rate(4, 5..25),
        };
        let source_transactions = rate(4, 50..500);
        let claims = rate(6, 20..200);
        let mut window = |of_ten: u8, longest: i64| {
            let from = BEGIN + random.i64(HOUR..STORM - HOUR);
            let until = (from + random.i64(10 * MINUTE..longest)).min(BEGIN + STORM);
            (random.u8(0..10) < of_ten).then_some((from, until))
        };
        let silence = [window(3, 5 * HOUR), window(3, 5 * HOUR)];
        let (bad_clock, broker_window, stopped) = (window(2, 4 * HOUR), window(2, HOUR), window(2, 3 * HOUR));
        // By a clock that jumps nobody can tell what an order came before.
        let stopped = stopped.filter(|_| broker_window.is_none());
        let renamed = window(1, 3 * HOUR);
        let mut instant = |of_ten: u8| {
            let at = BEGIN + random.i64(HOUR..STORM - 2 * HOUR);
            (random.u8(0..10) < of_ten).then_some(at)
        };
        let (gap_at, partition_added_at) = (instant(1), instant(2));
        let first = Settings {
            offers: (3 * HOUR, 5 * HOUR),
            accounts_enforced: random.u8(0..8) > 0,
            reread: 1,
            brake: if random.u8(0..4) == 0 { 2 } else { 1_000 },
            max_silence: if random.bool() { 2 * HOUR } else { 6 * HOUR },
            ignores_unnamed: false,
            counts_orders: false,
        };
        let mut settings = vec![(BEGIN, first)];
        let changes = if random.u8(0..10) < 4 { random.usize(1..4) } else { 0 };
        let mut times: Vec<i64> = (0..changes).map(|_| BEGIN + random.i64(HOUR..STORM - HOUR)).collect();
        times.sort_unstable();
        for at in times {
            let mut next = settings[settings.len() - 1].1;
            match random.u8(0..7) {
                5.. => next.counts_orders = !next.counts_orders,
                0 => next.offers = (2 * HOUR, 4 * HOUR),
                1 => next.offers = (4 * HOUR, 7 * HOUR),
                2 => next.accounts_enforced = !next.accounts_enforced,
                3 => next.reread += 1,
                _ => next.offers = (3 * HOUR, 5 * HOUR),
            }
            settings.push((at, next));
        }
        // A gap, or a field's new name, is in doubt until the source is read again.
        if gap_at.is_some() || renamed.is_some() {
            let mut next = settings[settings.len() - 1].1;
            next.reread += 1;
            next.ignores_unnamed = renamed.is_some();
            settings.push((BEGIN + STORM, next));
        }
        Plan {
            seed,
            processes: random.usize(1..4),
            customers: random.usize(8..36),
            answer_ms: if random.u8(0..3) > 0 { 120_000 } else { 5_000 },
            batch_max: if random.bool() { 200 } else { 12 },
            faults,
            settings,
            skew: if random.u8(0..3) == 0 { random.i64(1..50) } else { 0 },
            bad_clock,
            broker_clock: (
                broker_window,
                if random.bool() { random.i64(60..2 * HOUR) } else { -random.i64(60..2 * HOUR) },
            ),
            silence,
            backlog_stamped_late: random.bool(),
            renamed,
            gap_at,
            partition_added_at,
            source_transactions,
            claims,
            stopped,
            twins: random.u8(0..4) == 0,
            takes_over: if random.u8(0..3) == 0 { 12 } else { 120 },
            unfetched: if random.u8(0..3) == 0 { 700 } else { 60 },
        }
    }
}
