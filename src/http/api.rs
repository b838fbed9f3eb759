//! `/api/v1`: every question and instruction. Look-ups are POST, the id stands in the body, and they are
//! told to audit before they are answered.

use super::answers;
use super::desk::{Desk, ForPeer, ForPeers, PEER_PATH, ShardQuestion};
use super::outside::{EvidenceOf, ForAudit, ForShard};
use super::problem::Problem;
use super::speech::{self, Language};
use super::tokens::Principal;
use crate::config::{Config, May, REASON_CHARS_MAX, TOLD_BYTES_MAX};
use crate::retention::brake::{Instruction, Order};
use crate::retention::calendar::{Seconds, Timestamp, first_instant_after, local_date};
use crate::retention::claims::Claim;
use crate::retention::gate::Acceptable;
use crate::track::ids::ID_BYTES_MAX;
use crate::track::questions::RECONCILE_MAX;
use crate::wire::audit::{self, Entry, LookUp, Ordered, OrderedKind};
use crate::wire::partition::shard_of;
use crate::wire::signal::Signal;
use crate::wire::{instruction, signal};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Json, Router};
use chrono::NaiveDate;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// A request's body may be this long.
pub const BODY_BYTES_MAX: usize = 2 << 20;
/// So many rows of `due` are listed unless fewer are asked for.
const ROWS_MAX: usize = 100_000;
/// An order may be given again for so long, in seconds.
const ORDER_AGE_MAX: i64 = 86_400;
/// So far may the clock of whoever gives it be ahead.
const ORDER_AHEAD_MAX: i64 = 300;
const ONE_SECOND: std::time::Duration = std::time::Duration::from_secs(1);

type Told = Result<Json<Value>, Problem>;
type Asking = (State<Arc<Desk>>, HeaderMap, Bytes);

/// Every route: method and path.
pub const ROUTES: [(&str, &str); 16] = [
    ("get", "/api/v1/openapi.json"),
    ("get", "/api/v1/status"),
    ("get", "/api/v1/forecast"),
    ("post", "/api/v1/forecast"),
    ("post", "/api/v1/explain"),
    ("post", "/api/v1/evidence"),
    ("post", "/api/v1/due"),
    ("post", "/api/v1/reconcile"),
    ("post", "/api/v1/resend"),
    ("post", "/api/v1/release"),
    ("post", "/api/v1/stop"),
    ("post", "/api/v1/accept"),
    ("post", "/api/v1/hold"),
    ("post", "/api/v1/unhold"),
    ("post", "/api/v1/erase"),
    ("post", PEER_PATH),
];

pub fn router(desk: Arc<Desk>) -> Router {
    let mut router = Router::new();
    for path in std::collections::BTreeSet::from(ROUTES.map(|(_, path)| path)) {
        if let Some(methods) = methods(path) {
            router = router.route(path, methods.fallback(no_such_method));
        }
    }
    router.with_state(desk)
}

/// What answers at a path, once for all its methods.
fn methods(path: &str) -> Option<MethodRouter<Arc<Desk>>> {
    Some(match path {
        "/api/v1/openapi.json" => get(description),
        "/api/v1/status" => get(status),
        "/api/v1/forecast" => get(forecast).post(forecast_of),
        "/api/v1/explain" => post(explain),
        "/api/v1/evidence" => post(evidence),
        "/api/v1/due" => post(due),
        "/api/v1/reconcile" => post(reconcile),
        "/api/v1/resend" => post(resend),
        "/api/v1/release" => post(release),
        "/api/v1/stop" => post(stop),
        "/api/v1/accept" => post(accept),
        "/api/v1/hold" => post(hold),
        "/api/v1/unhold" => post(unhold),
        "/api/v1/erase" => post(erase),
        PEER_PATH => post(shards),
        _ => return None,
    })
}

async fn no_such_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path is asked in another way; see /api/v1/openapi.json")
}

/// What a body says. serde's words may hold what the body holds, so only where it is wrong is told.
fn body<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Problem::bad(format!(
            "the body is not what is asked for here (line {line}, column {column}); see /api/v1/openapi.json"
        ))
    })
}

fn checked_customer(customer: String) -> Result<String, Problem> {
    if customer.is_empty() || customer.len() > ID_BYTES_MAX {
        return Err(Problem::bad(format!("a customer's id has 1 to {ID_BYTES_MAX} bytes")));
    }
    Ok(customer)
}

fn checked_reason(reason: &str) -> Result<String, Problem> {
    if reason.trim().is_empty() || reason.chars().count() > REASON_CHARS_MAX {
        return Err(Problem::bad(format!("a reason has 1 to {REASON_CHARS_MAX} characters; it stands in audit")));
    }
    Ok(reason.to_owned())
}

fn checked_policy(config: &Config, policy: &str) -> Result<(), Problem> {
    let known = config.rules.policy_by_key(policy).is_some();
    if known { Ok(()) } else { Err(Problem::not_found("there is no policy of that name")) }
}

/// Tells audit, and only then lets go on.
async fn audited(desk: &Desk, key: String, entry: Entry) -> Result<(), Problem> {
    all_audited(desk, vec![(key, entry)]).await
}

async fn all_audited(desk: &Desk, entries: Vec<(String, Entry)>) -> Result<(), Problem> {
    let now = desk.outside.now();
    let record = |(key, entry): (String, Entry)| {
        let mut value = Vec::new();
        audit::encode(&entry, now, &mut value);
        ForAudit { key, value }
    };
    let records = entries.into_iter().map(record).collect();
    desk.call(move |outside| outside.audit(records)).await
}

async fn look_up(
    desk: &Desk,
    key: String,
    question: audit::Question,
    principal: &Principal,
    customers: Option<u64>,
) -> Result<(), Problem> {
    audited(desk, key, Entry::LookUp(LookUp { question, by: principal.name.clone(), customers })).await
}

fn pseudonym(config: &Config, customer: &str) -> String {
    config.evidence.pseudonyms.of(customer.as_bytes()).to_string()
}

async fn description() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], super::OPENAPI).into_response()
}

async fn status(State(desk): State<Arc<Desk>>, headers: HeaderMap) -> Told {
    let principal = desk.tokens.admit_anyone(&headers)?;
    let status = desk.status(principal.as_ref().map(|principal| principal.authorization.as_str())).await;
    Ok(Json(status_told(&desk, &status)))
}

/// The state of things, and what is in force.
pub fn status_told(desk: &Desk, status: &answers::Status) -> Value {
    let config = desk.config();
    let mut told = serde_json::to_value(status).unwrap_or_default();
    told["application"] = json!(config.application);
    told["time"] = json!(desk.outside.now().to_utc_string());
    told["time_zone"] = json!(config.zone.name());
    told["shards_there_are"] = json!(config.topics.partitions);
    told
}

async fn forecast(State(desk): State<Arc<Desk>>, headers: HeaderMap) -> Told {
    let principal = desk.tokens.admit_anyone(&headers)?;
    let forecast = desk.forecast(principal.as_ref().map(|principal| principal.authorization.as_str())).await?;
    Ok(Json(json!(forecast)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ForecastOf {
    /// By file name: the text of another configuration.
    configuration: BTreeMap<String, String>,
}

async fn forecast_of((State(desk), headers, bytes): Asking) -> Told {
    let principal = desk.tokens.admit(&headers, May::LookUp)?;
    let asked: ForecastOf = body(&bytes)?;
    let texts: Vec<(String, String)> = asked.configuration.into_iter().collect();
    super::desk::another(&texts)?;
    let forecast = desk.forecast_of(Some(texts), Some(&principal.authorization)).await?;
    Ok(Json(json!(forecast)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Explain {
    customer: String,
    #[serde(default)]
    lang: Language,
}

async fn explain((State(desk), headers, bytes): Asking) -> Told {
    let principal = desk.tokens.admit(&headers, May::LookUp)?;
    let asked: Explain = body(&bytes)?;
    let customer = checked_customer(asked.customer)?;
    let config = desk.config();
    look_up(&desk, pseudonym(&config, &customer), audit::Question::Explain, &principal, None).await?;
    let shard = shard_of(customer.as_bytes(), config.topics.partitions);
    let question = ForPeer { shard, question: ShardQuestion::Explain { customer } };
    let told = desk.ask(vec![question], Some(&principal.authorization)).await?.pop();
    let mut told = told.ok_or_else(|| Problem::unavailable("the shard did not answer"))?.answer;
    told["says"] = json!(speech::says(&told, asked.lang));
    Ok(Json(told))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Evidence {
    customer: Option<String>,
    policy: Option<String>,
    from: Option<NaiveDate>,
    to: Option<NaiveDate>,
}

async fn evidence((State(desk), headers, bytes): Asking) -> Result<Response, Problem> {
    let principal = desk.tokens.admit(&headers, May::LookUp)?;
    let asked: Evidence = body(&bytes)?;
    let config = desk.config();
    let (of, key) = match (asked.customer, asked.policy, asked.from, asked.to) {
        (Some(customer), None, None, None) => {
            let customer = checked_customer(customer)?;
            let key = pseudonym(&config, &customer);
            (EvidenceOf::Customer(customer), key)
        }
        (None, Some(policy), Some(from), Some(to)) if from <= to => {
            (EvidenceOf::Policy(policy.clone(), from, to), policy)
        }
        _ => return Err(Problem::bad("ask for a customer, or for a policy from a date to a later one")),
    };
    look_up(&desk, key, audit::Question::Evidence, &principal, None).await?;
    let as_text = headers.get(header::ACCEPT).is_some_and(|accept| accept.as_bytes().starts_with(b"text/plain"));
    let _one = desk.evidence.acquire().await.map_err(|_| Problem::unavailable("stopping"))?;
    let found = desk.call(move |outside| outside.evidence(&config, &of, as_text)).await?;
    let found = found.ok_or_else(|| Problem::not_found("there is no such evidence"))?;
    let content_type = if as_text { "text/plain; charset=utf-8" } else { "application/json" };
    Ok(([(header::CONTENT_TYPE, content_type)], found).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DueBy {
    policy: String,
    /// Due on this day or earlier; without it, today.
    by: Option<NaiveDate>,
    #[serde(default = "rows_max")]
    rows: usize,
}

fn rows_max() -> usize {
    ROWS_MAX
}

/// The last day that is meant, and the first instant after it.
fn before(desk: &Desk, config: &Config, by: Option<NaiveDate>) -> (NaiveDate, Timestamp) {
    let by = by.unwrap_or_else(|| local_date(desk.outside.now(), config.zone));
    (by, first_instant_after(by, config.zone))
}

async fn due((State(desk), headers, bytes): Asking) -> Told {
    let principal = desk.tokens.admit(&headers, May::LookUp)?;
    let asked: DueBy = body(&bytes)?;
    let config = desk.config();
    checked_policy(&config, &asked.policy)?;
    look_up(&desk, asked.policy.clone(), audit::Question::Due, &principal, None).await?;
    let (by, before) = before(&desk, &config, asked.by);
    let rows_max = asked.rows.min(ROWS_MAX);
    let question = ShardQuestion::Due { policy: asked.policy, before: before.0, rows_max };
    let parts: BTreeMap<u32, answers::Due> = desk.ask_all(&question, Some(&principal.authorization)).await?;
    let mut told = json!(answers::Due::sum(parts.into_values().collect(), rows_max));
    told["by"] = json!(by);
    Ok(Json(told))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reconcile {
    target: String,
    customers: Vec<String>,
}

async fn reconcile((State(desk), headers, bytes): Asking) -> Told {
    let principal = desk.tokens.admit(&headers, May::LookUp)?;
    let asked: Reconcile = body(&bytes)?;
    let stands = stands(&desk, &principal, &asked.target, asked.customers).await?;
    let stands: Vec<Value> = stands.into_iter().map(|(_, stand)| stand).collect();
    Ok(Json(json!({"stands": stands})))
}

/// How each of a target's customers stands, in their order; audited.
async fn stands(
    desk: &Desk,
    principal: &Principal,
    target: &str,
    customers: Vec<String>,
) -> Result<Vec<(String, Value)>, Problem> {
    let config = desk.config();
    if config.rules.target_by_key(target).is_none() {
        return Err(Problem::not_found("there is no target of that name"));
    }
    if customers.len() > RECONCILE_MAX {
        let detail = format!("at most {RECONCILE_MAX} ids at once");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
    }
    let number = customers.len() as u64;
    look_up(desk, String::new(), audit::Question::Reconcile, principal, Some(number)).await?;
    let mut by_shard: BTreeMap<u32, (Vec<usize>, Vec<String>)> = BTreeMap::new();
    let mut told_of: Vec<(String, Value)> = Vec::with_capacity(customers.len());
    for (place, customer) in customers.into_iter().enumerate() {
        let customer = checked_customer(customer)?;
        let shard = shard_of(customer.as_bytes(), config.topics.partitions);
        let (places, customers) = by_shard.entry(shard).or_default();
        places.push(place);
        customers.push(customer.clone());
        told_of.push((customer, Value::Null));
    }
    let questions = by_shard.iter_mut().map(|(shard, (_, customers))| {
        let (target, customers) = (target.to_owned(), std::mem::take(customers));
        ForPeer { shard: *shard, question: ShardQuestion::Reconcile { target, customers } }
    });
    for part in desk.ask(questions.collect(), Some(&principal.authorization)).await? {
        let places = by_shard.get(&part.shard).map_or(&[][..], |(places, _)| places);
        for (place, stand) in places.iter().zip(part.answer.as_array().into_iter().flatten()) {
            told_of[*place].1 = stand.clone();
        }
    }
    Ok(told_of)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResendTo {
    target: String,
    customers: Vec<String>,
    reason: String,
    /// Of one that was given before and may not have arrived: a UUIDv7 of the last day.
    order: Option<Uuid>,
}

/// Orders that what was removed at a target be sent there once more, for those it still lists. Whether a shard obeys
/// shows when it has looked: in `explain`, and in audit.
async fn resend((State(desk), headers, bytes): Asking) -> Told {
    let principal = desk.tokens.admit(&headers, May::Operate)?;
    let asked: ResendTo = body(&bytes)?;
    let (config, reason) = (desk.config(), checked_reason(&asked.reason)?);
    let order = asked.order.map_or_else(|| Ok(new_order(&desk)), |order| checked_order(&desk, order))?;
    let stands = stands(&desk, &principal, &asked.target, asked.customers).await?;
    let mut forgotten: Vec<&String> =
        stands.iter().filter(|(_, stand)| stand == "forgotten").map(|(customer, _)| customer).collect();
    forgotten.sort_unstable();
    forgotten.dedup();
    let ordered = |customer: &&String| {
        let (order_kind, by, target) = (OrderedKind::Resend, principal.name.clone(), Some(asked.target.clone()));
        let ordered = Ordered { order: order_kind, by, reason: reason.clone(), hold: None, target, id: Some(order) };
        (pseudonym(&config, customer), Entry::Ordered(ordered))
    };
    all_audited(&desk, forgotten.iter().map(ordered).collect()).await?;
    let record = |customer: &&String| {
        let mut value = Vec::new();
        Signal::Resend(signal::Resend { order, target: asked.target.clone() }).encode(&mut value);
        let shard = shard_of(customer.as_bytes(), config.topics.partitions);
        ForShard { shard, key: Some(customer.as_bytes().to_vec()), value }
    };
    let (number, records) = (forgotten.len(), forgotten.iter().map(record).collect());
    desk.call(move |outside| outside.append(records)).await?;
    let stands: Vec<&Value> = stands.iter().map(|(_, stand)| stand).collect();
    Ok(Json(json!({"order": order, "ordered": number, "stands": stands})))
}

/// It tells when it was given, by the clock by which it is judged.
fn new_order(desk: &Desk) -> Uuid {
    let now = u64::try_from(desk.outside.now().0).unwrap_or_default();
    Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, now, 0))
}

/// Whoever gives an order again because no answer came must mean the same one, and soon.
fn checked_order(desk: &Desk, order: Uuid) -> Result<Uuid, Problem> {
    let given = signal::Resend { order, target: String::new() }.given();
    let age = given.map(|given| desk.outside.now() - given);
    let is_recent = age.is_some_and(|age| (Seconds(-ORDER_AHEAD_MAX)..=Seconds(ORDER_AGE_MAX)).contains(&age));
    if is_recent { Ok(order) } else { Err(Problem::bad("`order` is a UUIDv7 made within the last day")) }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Release {
    policy: String,
    due_by: NaiveDate,
    at_most: u64,
    per_day: Option<u64>,
    reason: String,
}

async fn release((State(desk), headers, bytes): Asking) -> Told {
    let principal = desk.tokens.admit(&headers, May::Operate)?;
    let asked: Release = body(&bytes)?;
    let (config, reason) = (desk.config(), checked_reason(&asked.reason)?);
    checked_policy(&config, &asked.policy)?;
    let due_before = first_instant_after(asked.due_by, config.zone);
    let question = ShardQuestion::Due { policy: asked.policy.clone(), before: due_before.0, rows_max: 0 };
    let parts: BTreeMap<u32, answers::Due> = desk.ask_all(&question, Some(&principal.authorization)).await?;
    let versions: std::collections::BTreeSet<&String> = parts.values().map(|part| &part.version).collect();
    let version = match versions.into_iter().collect::<Vec<_>>()[..] {
        [only] => only.clone(),
        _ => {
            return Err(Problem::conflict("shards decide under different versions of the policy; nothing is released"));
        }
    };
    let total: u64 = parts.values().map(|part| part.customers).sum();
    if total > asked.at_most {
        let detail = format!("{total} are due, more than {}; nothing is released", asked.at_most);
        return Err(Problem::conflict(detail));
    }
    let orders = parts.iter().map(|(shard, part)| {
        let per_day = asked.per_day.map(|per_day| share(per_day, part.customers, total));
        let (policy, version, at_most) = (asked.policy.clone(), version.clone(), part.customers);
        (*shard, Order::Release { policy, version, due_before, at_most, per_day })
    });
    let id = instruct(&desk, &principal, &reason, orders.collect()).await?;
    Ok(Json(json!({"instruction": id, "released": total})))
}

/// A shard's part of what may go a day; whoever has somebody to let go may let go of one.
pub fn share(per_day: u64, number: u64, total: u64) -> u64 {
    if total == 0 { 0 } else { (u128::from(per_day) * u128::from(number) / u128::from(total)).max(1) as u64 }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stop {
    /// `None`: all.
    policy: Option<String>,
    reason: String,
}

async fn stop((State(desk), headers, bytes): Asking) -> Told {
    let principal = desk.tokens.admit(&headers, May::Operate)?;
    let asked: Stop = body(&bytes)?;
    let (config, reason) = (desk.config(), checked_reason(&asked.reason)?);
    if let Some(policy) = &asked.policy {
        checked_policy(&config, policy)?;
    }
    let shards = 0..config.topics.partitions;
    let orders = shards.map(|shard| (shard, Order::Stop { policy: asked.policy.clone() }));
    let id = instruct(&desk, &principal, &reason, orders.collect()).await?;
    Ok(Json(json!({"instruction": id})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Accept {
    source: String,
    /// `silence`, `rejects` or `gap`.
    doubt: String,
    reason: String,
}

async fn accept((State(desk), headers, bytes): Asking) -> Told {
    let principal = desk.tokens.admit(&headers, May::Operate)?;
    let asked: Accept = body(&bytes)?;
    let (config, reason) = (desk.config(), checked_reason(&asked.reason)?);
    if !config.rules.sources.iter().any(|source| source.key == asked.source && !source.retired) {
        return Err(Problem::not_found("there is no source of that name that is waited for"));
    }
    let doubts = [Acceptable::Silence, Acceptable::Rejects, Acceptable::Gap];
    let doubt = doubts.into_iter().find(|doubt| doubt.to_string() == asked.doubt);
    let doubt = doubt.ok_or_else(|| Problem::bad("`doubt` is silence, rejects or gap"))?;
    let parts: BTreeMap<u32, answers::Status> =
        desk.ask_all(&ShardQuestion::Overview, Some(&principal.authorization)).await?;
    let mut sum = answers::Status::default();
    parts.into_values().for_each(|part| sum.add(part));
    let source = sum.sources.iter().find(|source| source.source == asked.source);
    let source = source.ok_or_else(|| Problem::unavailable("the shards don't tell of the source yet"))?;
    if !source.acceptable.contains(&asked.doubt) {
        let detail = format!("the source is not in doubt for its {doubt}; nothing is accepted");
        return Err(Problem::conflict(detail));
    }
    let shards = 0..config.topics.partitions;
    let orders = shards.map(|shard| (shard, Order::Accept { source: asked.source.clone(), doubt }));
    let id = instruct(&desk, &principal, &reason, orders.collect()).await?;
    Ok(Json(json!({"instruction": id, "doubts": source.doubts})))
}

/// Each shard tells audit what it made of it.
async fn instruct(
    desk: &Desk,
    principal: &Principal,
    reason: &str,
    orders: Vec<(u32, Order)>,
) -> Result<Uuid, Problem> {
    let id = Uuid::now_v7();
    let records = orders.into_iter().map(|(shard, order)| {
        let instruction = Instruction { id, by: principal.name.clone(), reason: reason.to_owned(), order };
        let mut value = Vec::new();
        instruction::encode(&instruction, &mut value);
        ForShard { shard, key: None, value }
    });
    let records = records.collect();
    desk.call(move |outside| outside.append(records)).await?;
    Ok(id)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hold {
    customer: String,
    /// Its name: what lifts it again.
    id: String,
    reason: String,
    /// A date, whose last instant is meant, or an instant; without it the hold has no end.
    until: Option<String>,
    /// Without it: all.
    policies: Option<Vec<String>>,
}

async fn hold((State(desk), headers, bytes): Asking) -> Told {
    let principal = desk.tokens.admit(&headers, May::Operate)?;
    let asked: Hold = body(&bytes)?;
    let config = desk.config();
    let (customer, id) = (checked_customer(asked.customer)?, checked_hold(asked.id)?);
    let reason = checked_reason(&asked.reason)?;
    let until = asked.until.as_deref().map(|until| end_of_hold(until, &config)).transpose()?;
    let mut policies = asked.policies;
    if let Some(policies) = &mut policies {
        policies.sort_unstable();
        policies.dedup();
        policies.iter().try_for_each(|policy| checked_policy(&config, policy))?;
    }
    let at = desk.outside.now();
    let claim = Claim::Hold { id: id.clone(), at, until, reason: reason.clone(), policies };
    let ordered =
        Ordered { order: OrderedKind::Hold, by: principal.name, reason, hold: Some(id), target: None, id: None };
    tell(&desk, &config, customer, ordered, &claim).await
}

fn checked_hold(id: String) -> Result<String, Problem> {
    let fits = !id.is_empty() && id.len() <= TOLD_BYTES_MAX;
    if fits { Ok(id) } else { Err(Problem::bad(format!("a hold's id has 1 to {TOLD_BYTES_MAX} bytes"))) }
}

fn end_of_hold(until: &str, config: &Config) -> Result<Timestamp, Problem> {
    if let Ok(date) = until.parse::<NaiveDate>() {
        return Ok(first_instant_after(date, config.zone));
    }
    let instant = chrono::DateTime::parse_from_rfc3339(until);
    let instant = instant.map_err(|_| Problem::bad("`until` is a date or an instant with its offset"))?;
    Ok(Timestamp(instant.timestamp()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unhold {
    customer: String,
    id: String,
    reason: String,
}

async fn unhold((State(desk), headers, bytes): Asking) -> Told {
    let principal = desk.tokens.admit(&headers, May::Operate)?;
    let asked: Unhold = body(&bytes)?;
    let (customer, id) = (checked_customer(asked.customer)?, checked_hold(asked.id)?);
    let reason = checked_reason(&asked.reason)?;
    // Of two words of one second the hold counts: this must be the later one.
    tokio::time::sleep(ONE_SECOND).await;
    let claim = Claim::Unhold { id: id.clone(), at: desk.outside.now() };
    let ordered =
        Ordered { order: OrderedKind::Unhold, by: principal.name, reason, hold: Some(id), target: None, id: None };
    tell(&desk, &desk.config(), customer, ordered, &claim).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Erase {
    customer: String,
    reason: String,
}

async fn erase((State(desk), headers, bytes): Asking) -> Told {
    let principal = desk.tokens.admit(&headers, May::Operate)?;
    let asked: Erase = body(&bytes)?;
    let (customer, reason) = (checked_customer(asked.customer)?, checked_reason(&asked.reason)?);
    let claim = Claim::Erasure { at: desk.outside.now() };
    let ordered = Ordered { order: OrderedKind::Erase, by: principal.name, reason, hold: None, target: None, id: None };
    tell(&desk, &desk.config(), customer, ordered, &claim).await
}

/// Tells audit, and then the customer's shard.
async fn tell(desk: &Desk, config: &Config, customer: String, ordered: Ordered, claim: &Claim) -> Told {
    audited(desk, pseudonym(config, &customer), Entry::Ordered(ordered)).await?;
    let shard = shard_of(customer.as_bytes(), config.topics.partitions);
    let mut value = Vec::new();
    signal::encode_claim(claim, &mut value);
    let record = ForShard { shard, key: Some(customer.into_bytes()), value };
    desk.call(move |outside| outside.append(vec![record])).await?;
    Ok(Json(json!({"shard": shard})))
}

/// Instances ask each other here; nothing is asked on, so no question goes in circles.
async fn shards((State(desk), headers, bytes): Asking) -> Told {
    let principal = desk.tokens.admit_anyone(&headers)?;
    let asked: Vec<ForPeers> = body(&bytes)?;
    if principal.is_none() && !asked.iter().all(|asked| asked.question.is_open()) {
        desk.tokens.admit(&headers, May::LookUp)?;
    }
    let partitions = usize::try_from(desk.config().topics.partitions).unwrap_or(usize::MAX);
    if asked.iter().map(|asked| asked.shards.len()).sum::<usize>() > partitions {
        return Err(Problem::bad("more questions than there are shards"));
    }
    Ok(Json(json!(desk.answer_peer(asked).await?)))
}
