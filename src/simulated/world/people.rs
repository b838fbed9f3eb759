//! Customers, the systems that report on them, and how late, how often and how wrongly those do.

use super::World;
use super::kafka::{Place, Topic, Transaction};
use super::plan::{BEGIN, HOUR, LATENESS, MINUTE, STORM};
use serde_json::json;
use std::collections::BTreeMap;

/// Where something is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Web,
    Desk,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// An activity of a kind.
    Activity(&'static str),
    /// A hold with its number, and its end.
    Hold(u32, Option<i64>),
    Unhold(u32),
    Erasure,
    Consent(bool),
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// On its way.
    Pending,
    Appended,
    /// Its customer stands in another field than the configuration says.
    Renamed,
    /// Its producer's transaction was aborted, so it never happened.
    Aborted,
    /// Retention may have deleted it before it was read.
    Endangered,
}

/// Something that happened, as only the oracle knows it.
#[derive(Clone, Debug)]
pub struct Happened {
    pub customer: usize,
    pub what: What,
    pub source: Source,
    /// Seconds of Unix time.
    pub at: i64,
    pub appended_ms: i64,
    pub stamp_ms: i64,
    pub place: Option<(Place, i64)>,
    pub fate: Fate,
}

#[derive(Debug)]
struct Customer {
    next_visit: Option<i64>,
    last_seen: i64,
    open_hold: Option<u32>,
}

/// A source's open transaction.
#[derive(Debug)]
struct Open {
    epoch: u64,
    transaction: Transaction,
    ends_ms: i64,
    events: Vec<usize>,
}

#[derive(Debug, Default)]
pub struct People {
    customers: Vec<Customer>,
    pub happened: Vec<Happened>,
    /// By when it is appended; the second keeps order.
    due: BTreeMap<(i64, usize), ()>,
    open: [Option<Open>; 2],
    next_hold: u32,
    next_chat: i64,
}

/// These speak all the time, so that a source that is silent is broken.
pub const CHATTER: usize = 0;

/// As its id is written.
pub fn name(customer: usize) -> String {
    format!("c{customer}")
}

impl People {
    pub fn new(count: usize, random: &mut fastrand::Rng) -> People {
        let customers = (0..count).map(|_| Customer {
            next_visit: Some(BEGIN + random.i64(MINUTE..3 * HOUR)),
            last_seen: BEGIN,
            open_hold: None,
        });
        People { customers: customers.collect(), next_chat: BEGIN, next_hold: 1, ..People::default() }
    }

    /// Everything that happens and is reported up to `now_ms`.
    pub fn act(&mut self, world: &World, now_ms: i64) {
        let now = now_ms / 1000;
        while self.next_chat <= now {
            let at = self.next_chat;
            for what in ["login", "purchase", "contact"] {
                self.report(world, CHATTER, What::Activity(what), at);
            }
            self.next_chat += world.between(2 * MINUTE, 5 * MINUTE);
        }
        for customer in 1..self.customers.len() {
            while let Some(at) = self.customers[customer].next_visit.filter(|at| *at <= now) {
                self.visit(world, customer, at);
            }
        }
        while let Some((&(due_ms, event), ())) = self.due.first_key_value() {
            if due_ms > now_ms {
                break;
            }
            self.due.remove(&(due_ms, event));
            self.append(world, event, due_ms);
        }
        for source in [Source::Web, Source::Desk] {
            self.end_transaction(world, source, now_ms);
        }
    }

    fn visit(&mut self, world: &World, customer: usize, at: i64) {
        if world.chance(world.plan.claims) {
            self.claim(world, customer, at);
        } else {
            let kind = ["login", "login", "purchase", "contact", "order"][world.below(5)];
            self.report(world, customer, What::Activity(kind), at);
            self.customers[customer].last_seen = at;
        }
        let last = self.customers[customer].last_seen;
        let near = |world: &World, of: i64| of + world.between(-5, 6);
        let next = match world.below(100) {
            0..25 => Some(at + world.between(MINUTE, 90 * MINUTE)),
            // Just before or after something falls due.
            25..65 => {
                let periods = world.plan.settings[world.wanted.get()].1.periods();
                let period = periods[world.below(periods.len())];
                let late = if world.chance(500) { LATENESS } else { 0 };
                Some(near(world, last + period + late))
            }
            65..80 => Some(at + world.between(2 * HOUR, 8 * HOUR)),
            _ => None,
        };
        self.customers[customer].next_visit = next.map(|next| next.max(at + 1)).filter(|next| *next < BEGIN + STORM);
    }

    fn claim(&mut self, world: &World, customer: usize, at: i64) {
        let what = match (self.customers[customer].open_hold.take(), world.below(10)) {
            (Some(hold), 0..8) => What::Unhold(hold),
            (_, 0..5) => {
                let hold = self.next_hold;
                self.next_hold += 1;
                let until = world.chance(400).then(|| at + world.between(HOUR, 6 * HOUR));
                self.customers[customer].open_hold = until.is_none().then_some(hold);
                What::Hold(hold, until)
            }
            (_, 5..7) => What::Erasure,
            (_, given) => What::Consent(given == 9),
        };
        self.report(world, customer, what, at);
    }

    /// The source comes to know of it, sooner or later.
    fn report(&mut self, world: &World, customer: usize, what: What, at: i64) {
        let delay = match world.below(100) {
            _ if customer == CHATTER => 0,
            0..45 => world.between(0, 5),
            45..60 => world.between(0, LATENESS),
            60..92 => LATENESS - world.between(0, 5),
            _ => world.between(LATENESS, 3 * HOUR),
        };
        let source = match what {
            What::Activity("login" | "purchase" | "order") => Source::Web,
            _ => Source::Desk,
        };
        let mut appended_ms = (at + delay) * 1000;
        let mut stamp_ms = appended_ms;
        if let Some((from, until)) = world.plan.silence[source as usize]
            && (from * 1000..until * 1000).contains(&appended_ms)
        {
            appended_ms = until * 1000;
            stamp_ms = if world.plan.backlog_stamped_late { appended_ms } else { stamp_ms };
        }
        let event = self.happened.len();
        let fate = Fate::Pending;
        self.happened.push(Happened { customer, what, source, at, appended_ms, stamp_ms, place: None, fate });
        self.due.insert((appended_ms, event), ());
    }

    fn append(&mut self, world: &World, event: usize, now_ms: i64) {
        let happened = &self.happened[event];
        let is_renamed = happened.source == Source::Web && world.is_in(world.plan.renamed, now_ms / 1000);
        let payload = payload(happened, is_renamed);
        let (topic, pod) = match happened.source {
            Source::Web => (world.topics.web, "web"),
            Source::Desk => (world.topics.desk, "desk"),
        };
        let (source, stamp_ms) = (happened.source, happened.stamp_ms);
        let place: (Topic, u32) = (topic, world.below_u32(world.kafka.borrow().partitions(topic)));
        let in_transaction = world.chance(world.plan.source_transactions);
        let mut kafka = world.kafka.borrow_mut();
        let offset = kafka.end(place, super::kafka::Isolation::Uncommitted);
        if in_transaction && !world.is_calm() {
            let open = self.open[source as usize].get_or_insert_with(|| {
                let epoch = kafka.init(pod);
                let ends_ms = now_ms + world.between(1, 70 * MINUTE) * 1000;
                let transaction = kafka.begin(pod, epoch, ends_ms + 1).unwrap_or_default();
                Open { epoch, transaction, ends_ms, events: Vec::new() }
            });
            open.events.push(event);
            let producer = (pod, open.epoch, open.transaction);
            let _ = kafka.produce(producer, place, b"k", Some(payload.as_bytes()), stamp_ms);
        } else {
            kafka.append(place, None, Some(payload.as_bytes()), (stamp_ms, now_ms));
        }
        drop(kafka);
        let happened = &mut self.happened[event];
        happened.fate = if is_renamed { Fate::Renamed } else { Fate::Appended };
        happened.appended_ms = now_ms;
        happened.place = Some((place, offset));
    }

    fn end_transaction(&mut self, world: &World, source: Source, now_ms: i64) {
        let Some(open) = self.open[source as usize].take_if(|open| open.ends_ms <= now_ms || world.is_calm()) else {
            return;
        };
        let pod = if source == Source::Web { "web" } else { "desk" };
        let commit = world.chance(700);
        let mut kafka = world.kafka.borrow_mut();
        let ended = kafka.end_transaction((pod, open.epoch, open.transaction), commit);
        if ended.is_err() || !commit {
            for event in open.events {
                self.happened[event].fate = Fate::Aborted;
            }
        }
    }

    /// Everything before these offsets is deleted, read or not.
    pub fn endanger(&mut self, place: Place, before: i64) {
        let in_danger = |happened: &&mut Happened| {
            happened.place.is_some_and(|(at, offset)| at == place && offset < before) && happened.fate == Fate::Appended
        };
        self.happened.iter_mut().filter(in_danger).for_each(|happened| happened.fate = Fate::Endangered);
    }
}

fn payload(happened: &Happened, is_renamed: bool) -> String {
    let customer = name(happened.customer);
    let at = happened.at;
    let value = match happened.what {
        What::Activity("contact") => json!({"event": "call", "customer": customer, "at": at}),
        What::Activity(kind) if is_renamed => json!({"event": kind, "client": customer, "at": at}),
        What::Activity(kind) => json!({"event": kind, "user": customer, "at": at}),
        What::Hold(case, until) => {
            json!({"event": "opened", "customer": customer, "at": at, "case": format!("h{case}"), "until": until})
        }
        What::Unhold(case) => json!({"event": "closed", "customer": customer, "at": at, "case": format!("h{case}")}),
        What::Erasure => json!({"event": "forget", "customer": customer, "at": at}),
        What::Consent(offers) => {
            json!({"event": "preference", "customer": customer, "at": at, "offers": offers})
        }
    };
    value.to_string()
}
