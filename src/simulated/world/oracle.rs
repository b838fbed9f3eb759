//! Sees everything: what happened, what was reported, what every `read_committed` reader of the command
//! topics reads. It shares no code with `retention/`; its rules are few and meant to be obviously right.

use super::World;
use super::kafka::{Entry, Topic};
use super::people::{CHATTER, Fate, Happened, People, Source, What, name};
use super::plan::{HOUR, LAG, LATENESS, PolicyRules, SHARDS, Settings};
use crate::wire::partition::shard_of;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A command as a target reads it. Times are seconds of Unix time.
#[derive(Clone, Debug)]
pub struct Seen {
    pub id: String,
    pub verb: String,
    pub cause: String,
    pub policy: String,
    version: String,
    pub target: String,
    pub customer: usize,
    since: i64,
    since_kind: String,
    deadline: i64,
    pub time: i64,
    expires: Option<i64>,
    pub attempt: u64,
    recalls: Option<String>,
    has_kept: bool,
    pub visible_ms: i64,
}

/// What became of a command, by its id.
#[derive(Clone, Debug, Default)]
struct Fortune {
    recalled: bool,
    /// When it was executed, as its target says.
    done: Option<i64>,
    cancelled: bool,
}

/// A shard may be as far behind its process' clock as the gate may be behind the shard; then the process may
/// have been stopped, for less than a session, between deciding and producing.
const BEHIND_MS: i64 = (2 * LAG + 300) * 1000;

/// An order that reached a shard's log.
#[derive(Clone, Copy, Debug)]
pub struct Ordered {
    pub shard: u32,
    pub at: i64,
    pub stops: bool,
}

/// A shard's brake tripped.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Trip {
    shard: u32,
    policy: String,
    at: i64,
    on_request: bool,
    limit: usize,
}

#[derive(Debug, Default)]
pub struct Oracle {
    positions: BTreeMap<Topic, i64>,
    pub seen: Vec<Seen>,
    attempts: BTreeSet<(String, u64)>,
    fortunes: HashMap<String, Fortune>,
    /// Answers on their way: when, which command.
    answers: BTreeMap<(i64, usize), ()>,
    pub orders: Vec<Ordered>,
    /// By id and attempt: when it was last decided, by the true clock.
    decided: HashMap<(String, u64), i64>,
    trips: BTreeSet<Trip>,
    /// The first violation.
    pub violation: Option<String>,
}

fn instant(value: &Value) -> Option<i64> {
    chrono::DateTime::parse_from_rfc3339(value.as_str()?).ok().map(|at| at.timestamp())
}

fn read(entry: &Entry, now_ms: i64) -> Option<Seen> {
    let value: Value = serde_json::from_slice(entry.value.as_deref()?).ok()?;
    let data = &value["data"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Some(Seen {
        id: text(&value["id"]),
        verb: text(&data["command"]),
        cause: text(&data["cause"]),
        policy: text(&data["policy"]),
        version: text(&data["policy_version"]),
        target: text(&data["target"]),
        customer: data["customer"].as_str()?.strip_prefix('c')?.parse().ok()?,
        since: instant(&data["since"]["date"])?,
        since_kind: text(&data["since"]["kind"]),
        deadline: instant(&data["deadline"])?,
        time: instant(&value["time"])?,
        expires: instant(&value["expirytime"]),
        attempt: data["attempt"].as_u64()?,
        recalls: data["recalls"].as_str().map(str::to_owned),
        has_kept: !data["kept"].as_array()?.is_empty(),
        visible_ms: now_ms,
    })
}

impl Oracle {
    fn blame(&mut self, seen: &Seen, what: impl FnOnce() -> String) {
        if self.violation.is_none() {
            let Seen { verb, policy, target, customer, since, time, attempt, .. } = seen;
            let what = what();
            self.violation = Some(format!(
                "{what}: {verb} of {policy} for c{customer} to {target}, since {since}, decided {time}, attempt {attempt}"
            ));
        }
    }

    /// Reads what has become visible, and holds it against the truth.
    pub fn look(&mut self, world: &World) {
        for topic in [world.topics.crm, world.topics.mailing] {
            let position = self.positions.entry(topic).or_default();
            let (records, next) = world.kafka.borrow().read((topic, 0), *position, usize::MAX);
            *position = next;
            for record in records {
                match read(&record, world.now_ms()) {
                    Some(seen) => self.take(world, seen),
                    None => self.violation = Some("a command that no target can read".to_owned()),
                }
            }
        }
    }

    fn take(&mut self, world: &World, seen: Seen) {
        world.trace(|| {
            let Seen { verb, policy, target, customer, since, time, attempt, id, .. } = &seen;
            format!(
                "visible: {verb} {policy} c{customer} to {target} since {since} decided {time} attempt {attempt} ({id})"
            )
        });
        if !self.attempts.insert((seen.id.clone(), seen.attempt)) {
            self.blame(&seen, || format!("committed twice under one id ({})", seen.id));
        }
        match &seen.recalls {
            Some(recalled) => {
                if !self.fortunes.contains_key(recalled) {
                    self.blame(&seen, || format!("recalls {recalled}, which was never committed"));
                }
                self.fortunes.entry(recalled.clone()).or_default().recalled = true;
            }
            None => {
                self.judge(world, &seen);
                self.count_standing(&seen);
            }
        }
        self.fortunes.entry(seen.id.clone()).or_default();
        let place = self.seen.len();
        let silent = !world.is_calm() && world.chance(60);
        if !silent {
            let most = if world.is_calm() { 60 } else { 30 * 60 };
            self.answers.insert((seen.visible_ms + world.between(1, most) * 1000, place), ());
        }
        self.seen.push(seen);
    }

    /// Nobody has two commands that say the same.
    fn count_standing(&mut self, seen: &Seen) {
        let is_same = |other: &&Seen| {
            other.id != seen.id
                && (other.customer, &other.policy, &other.target) == (seen.customer, &seen.policy, &seen.target)
                && (&other.verb, &other.cause, other.since) == (&seen.verb, &seen.cause, seen.since)
                && other.recalls.is_none()
                && !other.has_kept
        };
        let stands = |other: &&Seen| self.fortunes.get(&other.id).is_some_and(|fortune| !fortune.recalled);
        let other = self.seen.iter().filter(is_same).find(stands).map(|other| other.id.clone());
        if let Some(other) = other {
            self.blame(seen, || format!("sent though {other} says the same and stands"));
        }
    }

    /// What targets execute, and say, up to now: JSON for the topic of acknowledgements.
    pub fn answer(&mut self, world: &World) -> Vec<String> {
        let mut answers = Vec::new();
        while let Some((&(at_ms, place), ())) = self.answers.first_key_value() {
            if at_ms > world.now_ms() {
                break;
            }
            self.answers.remove(&(at_ms, place));
            let seen = &self.seen[place];
            let at = at_ms / 1000;
            if let Some(recalled) = &seen.recalls {
                self.fortunes.entry(recalled.clone()).or_default().cancelled = true;
            } else if seen.expires.is_some_and(|expires| expires <= at)
                || self.fortunes.get(&seen.id).is_some_and(|fortune| fortune.cancelled)
            {
                continue;
            }
            let fails = !world.is_calm() && world.chance(20);
            if !fails {
                let done = &mut self.fortunes.entry(seen.id.clone()).or_default().done;
                *done = Some(done.map_or(at, |earlier| earlier.min(at)));
            }
            let time = chrono::DateTime::from_timestamp(at, 0).unwrap_or_default().to_rfc3339();
            let result = if fails { "failed" } else { "done" };
            answers.push(
                json!({
                    "command": seen.id, "attempt": seen.attempt, "customer": name(seen.customer),
                    "target": seen.target, "result": result, "time": time,
                })
                .to_string(),
            );
        }
        answers
    }

    fn rules(world: &World, seen: &Seen) -> Option<(Settings, PolicyRules)> {
        let settings = world.settings_of_version(&seen.policy, &seen.version)?;
        Some((settings, settings.policy(&seen.policy)?))
    }

    fn judge(&mut self, world: &World, seen: &Seen) {
        let Some((settings, rules)) = Oracle::rules(world, seen) else {
            return self.blame(seen, || "of a policy's version that never was".to_owned());
        };
        if !rules.is_enforced {
            self.blame(seen, || "sent in mode test".to_owned());
        }
        let people = world.people.borrow();
        self.judge_orders(seen);
        match seen.cause.as_str() {
            "period" => self.judge_period(world, &people, seen, settings, rules),
            cause => self.judge_request(&people, seen, cause),
        }
    }

    /// Whatever was ordered before the decision holds.
    fn judge_orders(&mut self, seen: &Seen) {
        let shard = shard_of(name(seen.customer).as_bytes(), SHARDS);
        let before = self.orders.iter().filter(|order| order.shard == shard && order.at < seen.time);
        let last = before.max_by_key(|order| order.at);
        // One of the same second may have been read before or after.
        let same = self.orders.iter().any(|order| order.shard == shard && order.at == seen.time);
        if last.is_some_and(|order| order.stops) && !same {
            self.blame(seen, || "sent though stopped".to_owned());
        }
    }

    fn judge_request(&mut self, people: &People, seen: &Seen, cause: &str) {
        let is_it = |happened: &&Happened| {
            let asks = match cause {
                "erasure_request" => happened.what == What::Erasure,
                _ => happened.what == What::Consent(false),
            };
            asks && happened.customer == seen.customer && happened.at == seen.since && is_readable(happened)
        };
        if !people.happened.iter().any(|happened| is_it(&happened)) {
            self.blame(seen, || format!("nobody asked ({cause})"));
        }
    }

    fn judge_period(&mut self, world: &World, people: &People, seen: &Seen, settings: Settings, rules: PolicyRules) {
        let is_warning = seen.verb == "warn";
        let after = if is_warning { rules.warning.unwrap_or(i64::MAX) } else { rules.removal };
        if seen.deadline != seen.since.saturating_add(after) {
            self.blame(seen, || format!("the deadline {} is wrong", seen.deadline));
        }
        if seen.time < seen.deadline + LATENESS {
            self.blame(seen, || "before deadline and lateness".to_owned());
        }
        // Everything reported before this must be known; a clock may be off by as much as is tolerated.
        // And a shard that is behind by more than it may be sends nothing.
        let decided_ms = self.decided.get(&(seen.id.clone(), seen.attempt)).copied().unwrap_or(i64::MIN);
        let known_ms = ((seen.time - LAG).max(seen.deadline + LATENESS) * 1000).max(decided_ms - BEHIND_MS);
        let known_ms = known_ms - world.plan.skew * 1000;
        let of_customer = || people.happened.iter().filter(|happened| happened.customer == seen.customer);
        let known = || {
            of_customer().filter(|happened| happened.appended_ms < known_ms && must_be_read(world, happened, seen.time))
        };
        // Who has withdrawn their consent is no longer kept by what they do, until they give it again.
        let is_refused = |at: i64| {
            let words =
                of_customer().filter(|happened| is_readable(happened) && happened.appended_ms <= seen.visible_ms);
            let words = words.filter_map(|happened| match happened.what {
                What::Consent(given) => Some((happened.at, !given)),
                _ => None,
            });
            rules.has_consent && words.max().is_some_and(|(withdrawn, is_withdrawn)| is_withdrawn && withdrawn <= at)
        };
        let later = |happened: &&Happened| {
            starts(&happened.what, rules) && happened.at > seen.since && !is_refused(happened.at)
        };
        if let Some(later) = known().find(later) {
            self.blame(seen, || {
                let (source, fate) = (later.source, later.fate);
                let reported = later.appended_ms / 1000;
                format!("EARLY: {:?} at {} was reported at {reported} by {source:?} ({fate:?})", later.what, later.at)
            });
        }
        let with_orders = Settings::counts_orders_ever(&world.plan.settings);
        let is_true = |happened: &Happened| {
            let starts = starts(&happened.what, rules) || (with_orders && happened.what == What::Activity("order"));
            starts && happened.at == seen.since && is_readable(happened)
        };
        if !of_customer().any(is_true) {
            self.blame(seen, || format!("nothing happened then ({})", seen.since_kind));
        }
        for hold in known() {
            let What::Hold(number, until) = hold.what else { continue };
            let in_force = hold.at <= seen.time && until.is_none_or(|until| until > seen.time);
            let is_over = of_customer().any(|happened| happened.what == What::Unhold(number));
            if in_force && !is_over {
                self.blame(seen, || format!("EARLY: hold {number} since {} is in force", hold.at));
            }
        }
        self.judge_voices(world, people, seen, settings, rules);
        if !is_warning && let Some(warned) = rules.warning {
            self.judge_notice(seen, rules.removal - warned);
        }
    }

    /// A source that is silent proves nothing.
    fn judge_voices(&mut self, world: &World, people: &People, seen: &Seen, settings: Settings, _rules: PolicyRules) {
        let speaks = |happened: &&Happened, kind: &str| {
            matches!(happened.what, What::Activity(spoken) if spoken == kind)
                && happened.appended_ms <= seen.visible_ms
                && is_readable(happened)
        };
        let guarded: &[&str] = &["login", "purchase", "contact"];
        for kind in guarded {
            // Every policy depends on both: the desk places holds.
            let heard = people.happened.iter().rev().filter(|happened| speaks(happened, kind));
            let newest = heard.map(|happened| happened.stamp_ms / 1000).max();
            let slack = world.plan.skew;
            if newest.is_none_or(|newest| newest + slack < seen.deadline) {
                self.blame(seen, || format!("EARLY: no {kind} was reported since the deadline"));
            }
            if newest.is_none_or(|newest| seen.time - newest > settings.max_silence + slack) {
                self.blame(seen, || format!("EARLY: no {kind} was reported for longer than max_silence"));
            }
        }
    }

    /// The whole notice after a warning that was given.
    fn judge_notice(&mut self, seen: &Seen, notice: i64) {
        let is_warning = |other: &&Seen| {
            other.verb == "warn"
                && (other.customer, &other.policy, other.since) == (seen.customer, &seen.policy, seen.since)
        };
        let given = self.seen.iter().filter(is_warning).filter_map(|warning| self.fortunes.get(&warning.id)?.done);
        match given.min() {
            None => self.blame(seen, || "EARLY: the warning before it was not given".to_owned()),
            Some(given) if seen.time < given + notice => {
                self.blame(seen, || format!("EARLY: warned at {given} with {notice} seconds of notice"));
            }
            Some(_) => {}
        }
    }

    /// Notes when a command was decided, whatever becomes of it.
    pub fn note_decided(&mut self, id: String, attempt: u32, now_ms: i64) {
        self.decided.insert((id, u64::from(attempt)), now_ms);
    }

    /// Notes a brake that has tripped, to be held against what was sent.
    pub fn note_trip(&mut self, shard: u32, policy: &str, at: i64, on_request: bool, limit: u32) {
        if !self.orders.iter().any(|order| order.shard == shard) {
            self.trips.insert(Trip { shard, policy: policy.to_owned(), at, on_request, limit: limit as usize });
        }
    }

    /// When everything is over: who was due got their command, the brake held what it should and no more.
    pub fn close(&mut self, world: &World) {
        self.check_trips();
        let people = world.people.borrow();
        let settings = world.settings_in_force();
        for customer in 1..world.plan.customers {
            for policy in ["offers", "accounts"] {
                let Some(rules) = settings.policy(policy).filter(|rules| rules.is_enforced) else { continue };
                self.check_customer(world, &people, customer, policy, rules);
            }
        }
    }

    fn check_trips(&mut self) {
        for trip in self.trips.clone() {
            let counted = self.seen.iter().filter(|seen| {
                shard_of(name(seen.customer).as_bytes(), SHARDS) == trip.shard
                    && seen.policy == trip.policy
                    && seen.recalls.is_none()
                    && seen.attempt == 1
                    && seen.time / 86_400 == trip.at / 86_400
                    && seen.time <= trip.at
                    && (seen.cause != "period") == trip.on_request
            });
            let counted: BTreeSet<(usize, i64)> = counted.map(|seen| (seen.customer, seen.time)).collect();
            if counted.len() < trip.limit && self.violation.is_none() {
                self.violation = Some(format!("the brake tripped after {} customers: {trip:?}", counted.len()));
            }
        }
    }

    fn check_customer(&mut self, world: &World, people: &People, customer: usize, policy: &str, rules: PolicyRules) {
        let all: Vec<&Happened> = people.happened.iter().filter(|happened| happened.customer == customer).collect();
        // Who may or may not have been seen is not held against anybody.
        let has_ordered = all.iter().any(|happened| happened.what == What::Activity("order"));
        let may_be_seen = Settings::counts_orders_ever(&world.plan.settings) && !rules.kinds.contains(&"order");
        if has_ordered && may_be_seen {
            return;
        }
        if all.iter().any(|happened| matches!(happened.fate, Fate::Endangered | Fate::Renamed)) {
            return;
        }
        let read = || all.iter().filter(|happened| is_readable(happened));
        let erasure = read().filter(|happened| happened.what == What::Erasure).map(|happened| happened.at).max();
        let command = |target: &str, cause: &str, since: i64, stands: bool| {
            self.seen.iter().any(|seen| {
                (seen.customer, seen.policy.as_str(), seen.target.as_str()) == (customer, policy, target)
                    && (seen.cause.as_str(), seen.since) == (cause, since)
                    && seen.verb == rules.action
                    && !(stands && self.fortunes.get(&seen.id).is_some_and(|fortune| fortune.recalled))
            })
        };
        // Who withdraws their consent before the erasure has left (a brake may hold it) is removed once, for that.
        let withdrawn_after = |target: &str, asked: i64| {
            let withdrawals = read().filter(|happened| happened.what == What::Consent(false) && happened.at >= asked);
            withdrawals.into_iter().any(|withdrawal| command(target, "withdrawn", withdrawal.at, false))
        };
        let is_told = |target: &str, asked: i64| {
            command(target, "erasure_request", asked, false) || withdrawn_after(target, asked)
        };
        let mut missing = None;
        for target in rules.targets {
            if let Some(asked) = erasure.filter(|asked| !is_told(target, *asked)) {
                missing.get_or_insert(format!("asked at {asked} to be erased, and {target} was never told"));
            }
        }
        let is_held = read().any(|happened| match happened.what {
            What::Hold(number, until) => {
                until.is_none_or(|until| until > world.now_ms() / 1000)
                    && !read().any(|other| other.what == What::Unhold(number))
            }
            _ => false,
        });
        let refused = rules.has_consent && read().any(|happened| happened.what == What::Consent(false));
        let start = read().filter(|happened| starts(&happened.what, rules)).map(|happened| happened.at).max();
        if let Some(start) = start.filter(|start| erasure.is_none_or(|asked| *start > asked))
            && !is_held
            && !refused
        {
            for target in rules.targets {
                if !command(target, "period", start, true) {
                    missing.get_or_insert(format!("was last seen at {start}, and {target} was never told"));
                }
            }
        }
        if let Some(missing) = missing
            && self.violation.is_none()
        {
            self.violation = Some(format!("FORGOTTEN: {policy}: {} {missing}", name(customer)));
        }
    }
}

fn starts(what: &What, rules: PolicyRules) -> bool {
    match what {
        What::Activity(kind) => rules.kinds.contains(kind),
        What::Consent(true) => rules.has_consent,
        _ => false,
    }
}

/// It lies in its topic for every reader.
fn is_readable(happened: &Happened) -> bool {
    matches!(happened.fate, Fate::Appended | Fate::Endangered)
}

/// It lies there, or is missing in a way that puts its source in doubt until that is read again.
fn must_be_read(world: &World, happened: &Happened, now: i64) -> bool {
    match happened.fate {
        Fate::Pending | Fate::Aborted => false,
        Fate::Appended => true,
        Fate::Endangered => !world.was_read_again(now),
        Fate::Renamed => {
            // Ten an hour are within what `max_rejects` allows.
            let people = world.people.borrow();
            let near = |other: &&Happened| {
                other.fate == Fate::Renamed
                    && other.source == Source::Web
                    && other.appended_ms <= happened.appended_ms
                    && other.appended_ms > happened.appended_ms - HOUR * 1000
            };
            people.happened.iter().filter(near).count() > 30 && !world.was_read_again(now)
        }
    }
}

const _: () = assert!(CHATTER == 0);
