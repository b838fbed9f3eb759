//! What questions are answered with, as JSON: of one shard, and summed over all.

use crate::config::Config;
use crate::retention::brake::PolicyBrake;
use crate::retention::calendar::{Timestamp, local_date};
use crate::retention::customer::{Record, Reply, Resend, Sent};
use crate::retention::decide::{Expected, LeftBehind, Outlook, Wait};
use crate::retention::forecast::PolicyForecast;
use crate::retention::gate::Doubt;
use crate::retention::policy::{Mode, PolicyIndex};
use crate::track::shard::{self, Explained, Foretold, Listed, Listing, Reconciled, Waits};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Not more doubts about one source are shown.
const DOUBTS_MAX: usize = 20;

/// The state of things: of a shard, or of all that have answered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Shards that have answered.
    pub shards: u32,
    /// The oldest now of a shard.
    pub now: Option<String>,
    pub customers: u64,
    pub without_starting_point: u64,
    pub uncovered: u64,
    pub overflowed: u64,
    pub forgotten: u64,
    pub suppressed: u64,
    pub sources: Vec<SourceStatus>,
    pub policies: Vec<PolicyStatus>,
    pub targets: Vec<TargetStatus>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SourceStatus {
    pub source: String,
    pub retired: bool,
    /// In every shard.
    pub open: bool,
    pub lag_seconds: Option<i64>,
    /// Since when some shard has seen it closed; as far as its instance knows.
    pub closed_since: Option<String>,
    pub shards_closed: u32,
    pub doubts: Vec<DoubtStatus>,
    /// What `accept` could answer for now: `silence`, `rejects` or `gap`.
    pub acceptable: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DoubtStatus {
    pub doubt: String,
    pub says: String,
    pub since: Option<String>,
    pub shards: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PolicyStatus {
    pub policy: String,
    pub version: String,
    pub mode: String,
    /// Covered, and nothing sent.
    pub active: u64,
    /// In the order of the policy.
    pub stages: Vec<StageStatus>,
    pub due_unsent: u64,
    pub oldest_due: Option<String>,
    pub waiting_for_release: u64,
    pub requests_withheld: u64,
    pub oldest_request: Option<String>,
    pub brake: BrakeStatus,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StageStatus {
    pub command: String,
    /// For whom it was the last that was sent.
    pub customers: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BrakeStatus {
    /// In any shard.
    pub engaged: bool,
    pub shards_engaged: u32,
    /// Since when more wanted to go than may.
    pub tripped_since: Option<String>,
    pub stopped: Option<StopStatus>,
    pub sent_today: u64,
    pub per_day: u64,
    /// How many may still go under releases.
    pub released: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StopStatus {
    pub at: String,
    pub by: String,
    pub reason: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TargetStatus {
    pub target: String,
    pub unacknowledged: u64,
}

/// Who is due.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Due {
    /// Customers: one may be due by period and on request.
    pub customers: u64,
    /// All rows there are.
    pub total: u64,
    pub waiting_for_release: u64,
    pub waiting_for_mode: u64,
    /// By deadline and customer; not more than were asked for.
    pub rows: Vec<Value>,
    /// Of the policy, as the shard decides.
    pub version: String,
}

/// A year ahead.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// The first day, today.
    pub first: String,
    pub policies: Vec<PolicyFuture>,
    /// Under another configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<OtherFuture>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PolicyFuture {
    pub policy: String,
    pub mode: String,
    pub covered: u64,
    pub due: u64,
    pub held: u64,
    pub customers: Vec<u64>,
    pub commands: Vec<CommandFuture>,
    pub brake_per_day: u64,
    /// The first day on which the brake of some shard would trip.
    pub brake_trips_on: Option<String>,
    pub shards_that_trip: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CommandFuture {
    pub command: String,
    pub target: String,
    pub due: u64,
    pub days: Vec<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OtherFuture {
    pub policies: Vec<PolicyFuture>,
    pub shifts: Vec<ShiftAnswer>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ShiftAnswer {
    pub policy: String,
    pub becomes_due: u64,
    pub no_longer_due: u64,
}

fn utc(at: Timestamp) -> String {
    at.to_utc_string()
}

fn earlier(a: Option<String>, b: Option<String>) -> Option<String> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn mode(mode: Mode) -> String {
    match mode {
        Mode::Test => "test",
        Mode::Notify => "notify",
        Mode::Enforce => "enforce",
    }
    .to_owned()
}

/// Since when a doubt has been, where it says so.
fn since(doubt: &Doubt) -> Option<Timestamp> {
    match doubt {
        Doubt::Silent { since, .. } => *since,
        Doubt::Gap { since, .. } => Some(*since),
        Doubt::Behind { complete_to } => *complete_to,
        Doubt::InstancesDiffer { at } => Some(*at),
        _ => None,
    }
}

fn doubt_status(doubt: &Doubt) -> DoubtStatus {
    DoubtStatus { doubt: doubt.name().to_owned(), says: doubt.to_string(), since: since(doubt).map(utc), shards: 1 }
}

impl Status {
    /// Of one shard; `closed_since` by source.
    pub fn of(overview: &shard::Overview, config: &Config, closed_since: &BTreeMap<String, Timestamp>) -> Status {
        let (rules, stats) = (&config.rules, &overview.stats);
        let sources = rules.sources.iter().zip(&overview.sources).map(|(trust, source)| SourceStatus {
            source: trust.key.clone(),
            retired: trust.retired,
            open: source.open,
            lag_seconds: source.lag.map(|lag| lag.0),
            closed_since: closed_since.get(&trust.key).filter(|_| !source.open).copied().map(utc),
            shards_closed: u32::from(!source.open),
            doubts: source.doubts.iter().take(DOUBTS_MAX).map(doubt_status).collect(),
            acceptable: source.acceptable.iter().map(ToString::to_string).collect(),
        });
        let policies = rules.policies.iter().zip(&stats.policies).zip(&overview.policies);
        let policies = policies.map(|((policy, stats), overview)| PolicyStatus {
            policy: policy.key.clone(),
            version: policy.version.clone(),
            mode: mode(policy.mode),
            active: stats.active,
            stages: policy
                .stages
                .iter()
                .zip(&stats.sent)
                .map(|(stage, sent)| StageStatus { command: stage.action.name().to_owned(), customers: *sent })
                .collect(),
            due_unsent: stats.due_unsent,
            oldest_due: stats.oldest_due.map(utc),
            waiting_for_release: stats.waiting_for_release,
            requests_withheld: stats.withheld_requests,
            oldest_request: stats.oldest_request.map(utc),
            brake: BrakeStatus::of(overview.brake.as_ref(), overview.limit),
        });
        let targets = rules.targets.iter().zip(&stats.unacknowledged);
        Status {
            shards: 1,
            now: overview.now.map(utc),
            customers: stats.customers,
            without_starting_point: stats.without_starting_point,
            uncovered: stats.uncovered,
            overflowed: stats.overflowed,
            forgotten: stats.forgotten,
            suppressed: stats.suppressed,
            sources: sources.collect(),
            policies: policies.collect(),
            targets: targets
                .map(|(target, waiting)| TargetStatus { target: target.key.clone(), unacknowledged: *waiting })
                .collect(),
        }
    }

    pub fn add(&mut self, other: Status) {
        self.shards += other.shards;
        self.now = earlier(self.now.take(), other.now);
        self.customers += other.customers;
        self.without_starting_point += other.without_starting_point;
        self.uncovered += other.uncovered;
        self.overflowed += other.overflowed;
        self.forgotten += other.forgotten;
        self.suppressed += other.suppressed;
        for source in other.sources {
            match self.sources.iter_mut().find(|known| known.source == source.source) {
                Some(known) => known.add(source),
                None => self.sources.push(source),
            }
        }
        for policy in other.policies {
            match self.policies.iter_mut().find(|known| known.policy == policy.policy) {
                Some(known) => known.add(policy),
                None => self.policies.push(policy),
            }
        }
        for target in other.targets {
            match self.targets.iter_mut().find(|known| known.target == target.target) {
                Some(known) => known.unacknowledged += target.unacknowledged,
                None => self.targets.push(target),
            }
        }
    }
}

impl SourceStatus {
    fn add(&mut self, other: SourceStatus) {
        self.open &= other.open;
        self.lag_seconds = self.lag_seconds.zip(other.lag_seconds).map(|(a, b)| a.max(b));
        self.closed_since = earlier(self.closed_since.take(), other.closed_since);
        self.shards_closed += other.shards_closed;
        for doubt in other.doubts {
            match self.doubts.iter_mut().find(|known| known.says == doubt.says) {
                Some(known) => known.shards += doubt.shards,
                None => self.doubts.push(doubt),
            }
        }
        self.doubts.truncate(DOUBTS_MAX);
        self.acceptable.extend(other.acceptable);
        self.acceptable.sort_unstable();
        self.acceptable.dedup();
    }
}

impl PolicyStatus {
    fn add(&mut self, other: PolicyStatus) {
        self.active += other.active;
        for (stage, more) in self.stages.iter_mut().zip(other.stages) {
            stage.customers += more.customers;
        }
        self.due_unsent += other.due_unsent;
        self.oldest_due = earlier(self.oldest_due.take(), other.oldest_due);
        self.waiting_for_release += other.waiting_for_release;
        self.requests_withheld += other.requests_withheld;
        self.oldest_request = earlier(self.oldest_request.take(), other.oldest_request);
        let (brake, more) = (&mut self.brake, other.brake);
        brake.engaged |= more.engaged;
        brake.shards_engaged += more.shards_engaged;
        brake.tripped_since = earlier(brake.tripped_since.take(), more.tripped_since);
        brake.stopped = brake.stopped.take().or(more.stopped);
        brake.sent_today += more.sent_today;
        brake.per_day += more.per_day;
        brake.released += more.released;
    }
}

impl BrakeStatus {
    fn of(brake: Option<&PolicyBrake>, per_day: u64) -> BrakeStatus {
        let Some(brake) = brake else { return BrakeStatus { per_day, ..BrakeStatus::default() } };
        let lanes = [&brake.by_period, &brake.on_request];
        BrakeStatus {
            engaged: brake.is_engaged(),
            shards_engaged: u32::from(brake.is_engaged()),
            tripped_since: lanes.iter().filter_map(|lane| lane.tripped).min().map(utc),
            stopped: brake.stopped.as_ref().map(|stopped| StopStatus {
                at: utc(stopped.at),
                by: stopped.by.clone(),
                reason: stopped.reason.clone(),
            }),
            sent_today: lanes.iter().map(|lane| lane.customers).sum(),
            per_day,
            released: brake.releases.iter().map(|release| release.left).sum(),
        }
    }
}

/// A row of `due`, as JSON.
pub fn listed(listed: &Listed, config: &Config) -> Value {
    let prospect = &listed.prospect;
    let waits = match listed.waits {
        Waits::Gate => "gate",
        Waits::Mode => "mode",
        Waits::Release => "release",
    };
    json!({
        "customer": listed.customer,
        "policy": config.rules.policies[usize::from(listed.policy.0)].key,
        "command": prospect.action.name(),
        "cause": prospect.cause.name(),
        "since": {"kind": prospect.since.kind, "date": local_date(prospect.since.at, config.zone).to_string()},
        "deadline": prospect.due.deadline.to_local_string(config.zone),
        "held_by": prospect.held_by,
        "waits_for": waits,
    })
}

impl Due {
    pub fn of(listing: Listing, policy: &str, config: &Config) -> Due {
        let version = config.rules.policy_by_key(policy).map(|PolicyIndex(place)| usize::from(place));
        let mut rows = listing.rows;
        rows.sort_by(|a, b| (a.prospect.due.deadline, &a.customer).cmp(&(b.prospect.due.deadline, &b.customer)));
        Due {
            customers: listing.customers,
            total: listing.total,
            waiting_for_release: listing.waiting_for_release,
            waiting_for_mode: listing.waiting_for_mode,
            rows: rows.iter().map(|row| listed(row, config)).collect(),
            version: version.map_or_else(String::new, |place| config.rules.policies[place].version.clone()),
        }
    }

    /// Rows in their order, and not more than so many.
    pub fn sum(parts: Vec<Due>, rows_max: usize) -> Due {
        let mut sum = Due::default();
        for part in parts {
            sum.customers += part.customers;
            sum.total += part.total;
            sum.waiting_for_release += part.waiting_for_release;
            sum.waiting_for_mode += part.waiting_for_mode;
            sum.rows.extend(part.rows);
            sum.version = part.version;
        }
        let key = |row: &Value| {
            let text = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
            let instant = chrono::DateTime::parse_from_rfc3339(&text("deadline")).ok();
            (instant.map(|instant| instant.timestamp()), text("customer"))
        };
        sum.rows.sort_by_cached_key(key);
        sum.rows.truncate(rows_max);
        sum
    }
}

impl Forecast {
    pub fn of(foretold: Foretold) -> Forecast {
        let futures = |policies: Vec<PolicyForecast>| policies.into_iter().map(PolicyFuture::of).collect();
        let shift = |shift: shard::Shift| ShiftAnswer {
            policy: shift.policy,
            becomes_due: shift.becomes_due,
            no_longer_due: shift.no_longer_due,
        };
        Forecast {
            first: foretold.first.to_string(),
            policies: futures(foretold.policies),
            other: foretold.other.map(|(policies, shifts)| OtherFuture {
                policies: futures(policies),
                shifts: shifts.into_iter().map(shift).collect(),
            }),
        }
    }

    pub fn add(&mut self, other: Forecast) {
        if self.first.is_empty() {
            *self = other;
            return;
        }
        add_futures(&mut self.policies, other.policies);
        if let (Some(sum), Some(other)) = (&mut self.other, other.other) {
            add_futures(&mut sum.policies, other.policies);
            for (shift, more) in sum.shifts.iter_mut().zip(other.shifts) {
                shift.becomes_due += more.becomes_due;
                shift.no_longer_due += more.no_longer_due;
            }
        }
    }
}

fn add_futures(sum: &mut [PolicyFuture], more: Vec<PolicyFuture>) {
    let add_days = |sum: &mut Vec<u64>, more: Vec<u64>| sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
    for policy in more {
        let Some(known) = sum.iter_mut().find(|known| known.policy == policy.policy) else { continue };
        known.covered += policy.covered;
        known.due += policy.due;
        known.held += policy.held;
        known.brake_per_day += policy.brake_per_day;
        known.brake_trips_on = earlier(known.brake_trips_on.take(), policy.brake_trips_on);
        known.shards_that_trip += policy.shards_that_trip;
        add_days(&mut known.customers, policy.customers);
        for (command, more) in known.commands.iter_mut().zip(policy.commands) {
            command.due += more.due;
            add_days(&mut command.days, more.days);
        }
    }
}

impl PolicyFuture {
    fn of(policy: PolicyForecast) -> PolicyFuture {
        let commands = policy.commands.into_iter().map(|command| CommandFuture {
            command: command.command.name().to_owned(),
            target: command.target,
            due: command.due,
            days: command.days,
        });
        PolicyFuture {
            policy: policy.policy,
            mode: mode(policy.mode),
            covered: policy.covered,
            due: policy.due,
            held: policy.held,
            customers: policy.customers,
            commands: commands.collect(),
            brake_per_day: policy.brake,
            brake_trips_on: policy.brake_trips.map(|(day, _)| day.to_string()),
            shards_that_trip: u32::from(policy.brake_trips.is_some()),
        }
    }
}

/// One word for how an id stands.
pub fn reconciled(reconciled: Reconciled) -> &'static str {
    match reconciled {
        Reconciled::Unknown => "unknown",
        Reconciled::Forgotten => "forgotten",
        Reconciled::Due => "due",
        Reconciled::Fine => "fine",
    }
}

/// Where a customer stands, in full. Instants in the configuration's zone; the id is not in it.
pub fn explained(explained: &Explained, shard: u32, config: &Config) -> Value {
    let zone = config.zone;
    let local = |at: Timestamp| at.to_local_string(zone);
    let closed = explained.closed.iter().map(|(source, doubts)| {
        let doubts: Vec<DoubtStatus> = doubts.iter().take(DOUBTS_MAX).map(doubt_status).collect();
        json!({"source": config.rules.sources[usize::from(source.0)].key, "doubts": doubts})
    });
    let forgotten = explained.forgotten.as_ref().map(|farewell| {
        json!({
            "end": local(farewell.end), "cause": farewell.cause.name(), "policies": farewell.policies,
            "withdrawn": farewell.withdrawn.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        })
    });
    let mut told = json!({
        "shard": shard,
        "now": local(explained.now),
        "time_zone": zone.name(),
        "known": explained.known.is_some(),
        "behind": explained.is_behind,
        "closed_gates": closed.collect::<Vec<_>>(),
        "forgotten": forgotten,
        "last_seen": [], "consents": [], "holds": [], "attributes": [], "erasure_requested": null,
        "policies": [], "recalls": [], "resends": [],
    });
    let Some(known) = &explained.known else { return told };
    let date = |at: &Timestamp| local_date(*at, zone).to_string();
    let claims = &known.record.claims;
    let last_seen = known.last_seen.iter().map(|(kind, at)| json!({"kind": kind, "date": date(at)}));
    told["last_seen"] = last_seen.collect();
    let consents = claims.consents.iter().map(|consent| {
        let given = consent.withdrawn_last().is_none();
        let at = if given { consent.given } else { consent.withdrawn };
        json!({"name": consent.name, "given": given, "at": at.map(local)})
    });
    told["consents"] = consents.collect();
    let holds = claims.holds_in_force(explained.now).map(
        |hold| json!({"id": hold.id, "until": hold.until.map(local), "reason": hold.reason, "policies": hold.policies}),
    );
    told["holds"] = holds.collect();
    told["attributes"] = claims.attributes.iter().map(|of| json!({"name": of.name, "value": of.value})).collect();
    told["erasure_requested"] = json!(claims.erasure.map(local));
    told["policies"] = known.outlooks.iter().map(|outlook| policy_told(outlook, &known.record, config)).collect();
    let recalls = known.record.recalls.iter().map(|recalled| {
        json!({
            "policy": recalled.policy, "target": recalled.command.target, "sent": local(recalled.sent_at),
            "attempt": recalled.attempt,
        })
    });
    told["recalls"] = recalls.collect();
    told["resends"] = known.record.resends.iter().map(|resend| resend_told(resend, config)).collect();
    told
}

/// A removal that somebody has ordered to be sent once more.
fn resend_told(resend: &Resend, config: &Config) -> Value {
    let state = match resend {
        _ if resend.waits() => "waits",
        _ if resend.is_over => "over",
        _ if resend.is_unanswered() => "sent",
        _ => "done",
    };
    let sent: Vec<Value> = resend.sent.iter().map(|(_, sent)| sent_told(sent, config)).collect();
    json!({
        "order": resend.order, "target": resend.target, "ordered": resend.ordered.to_local_string(config.zone),
        "state": state, "sent": sent,
    })
}

fn policy_told(outlook: &Outlook, record: &Record, config: &Config) -> Value {
    let place = usize::from(outlook.policy.0);
    let (policy, text) = (&config.rules.policies[place], &config.texts[place]);
    let course = record.courses.iter().find(|course| course.policy == policy.key);
    let local = |at: Timestamp| at.to_local_string(config.zone);
    let sent: Vec<Value> =
        course.into_iter().flat_map(|course| &course.sent).map(|sent| sent_told(sent, config)).collect();
    let retained = course.into_iter().flat_map(|course| &course.retained);
    let stages = policy.stages.iter().enumerate().map(|(place, stage)| {
        let targets = stage.targets.iter().map(|target| &config.rules.target(*target).key);
        json!({
            "command": stage.action.name(),
            "targets": targets.collect::<Vec<_>>(),
            "deadline": outlook.deadlines.get(place).copied().map(local),
        })
    });
    json!({
        "policy": policy.key,
        "purpose": text.purpose,
        "mode": mode(policy.mode),
        "applies": outlook.applies,
        "withdrawn": outlook.withdrawn,
        "since": outlook.since.as_ref().map(|since| json!({
            "kind": since.kind, "date": local_date(since.at, config.zone).to_string(),
        })),
        "stages": stages.collect::<Vec<_>>(),
        "removed": outlook.removed,
        "awaits_answer": outlook.awaits_answer,
        "sent": sent,
        "retained": retained.map(|kept| json!({"target": kept.target, "until": local(kept.until)})).collect::<Vec<_>>(),
        "next": outlook.next.iter().map(|next| next_told(next, config)).collect::<Vec<_>>(),
        "left": outlook.left.iter().map(|left| left_told(left, config)).collect::<Vec<_>>(),
    })
}

/// What is kept at a target although a removal was sent there.
fn left_told(left: &LeftBehind, config: &Config) -> Value {
    let kept = left.kept.iter().map(|kept| json!({"category": kept.category, "by": kept.by}));
    json!({
        "target": config.rules.target(left.target).key, "kept": kept.collect::<Vec<_>>(),
        "earliest": left.earliest.map(|at| at.to_local_string(config.zone)),
    })
}

fn sent_told(sent: &Sent, config: &Config) -> Value {
    let local = |at: Timestamp| at.to_local_string(config.zone);
    let (answer, at) = match sent.reply {
        Reply::None => ("none", None),
        Reply::Done { at, .. } => ("done", Some(at)),
        Reply::Retained { until, .. } => ("retained", Some(until)),
        Reply::Failed { .. } => ("failed", None),
    };
    json!({
        "id": sent.id, "command": sent.stage.action.name(), "target": sent.target, "cause": sent.cause.name(),
        "sent": local(sent.sent_at), "attempt": sent.attempt, "expires": sent.expires.map(local),
        "answer": answer, "answered": at.map(local),
        "categories": sent.categories,
    })
}

fn next_told(next: &Expected, config: &Config) -> Value {
    let prospect = &next.prospect;
    let targets = next.to.iter().map(|target| &config.rules.target(*target).key);
    let kept = next.kept.iter().map(|kept| json!({"category": kept.category, "by": kept.by}));
    json!({
        "command": prospect.action.name(),
        "targets": targets.collect::<Vec<_>>(),
        "cause": prospect.cause.name(),
        "since": {"kind": prospect.since.kind, "date": local_date(prospect.since.at, config.zone).to_string()},
        "deadline": prospect.due.deadline.to_local_string(config.zone),
        "earliest": prospect.due.ready.to_local_string(config.zone),
        "kept": kept.collect::<Vec<_>>(),
        "waits": next.waits.iter().map(|wait| wait_told(wait, config)).collect::<Vec<_>>(),
    })
}

fn wait_told(wait: &Wait, config: &Config) -> Value {
    let (what, until) = match wait {
        Wait::Deadline(until) => ("deadline", Some(*until)),
        Wait::Lateness(until) => ("lateness", Some(*until)),
        Wait::Notice(until) => ("notice", Some(*until)),
        Wait::Floor(until) => ("floor", Some(*until)),
        Wait::Window(until) => ("window", Some(*until)),
        Wait::Hold { until, .. } => ("hold", *until),
        Wait::Mode => ("mode", None),
        Wait::Gate => ("gate", None),
        Wait::Release => ("release", None),
    };
    let hold = if let Wait::Hold { id, .. } = wait { Some(id) } else { None };
    json!({"for": what, "until": until.map(|until| until.to_local_string(config.zone)), "hold": hold})
}
