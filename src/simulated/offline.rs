//! The same decisions offline: time jumps from event to event, every policy is enforced, and the gate
//! always proves up to now. What `lapsed simulate` runs on.

use crate::retention::activity::{KindIndex, LastSeen};
use crate::retention::almanac::Almanac;
use crate::retention::calendar::Timestamp;
use crate::retention::claims::Claim;
use crate::retention::command::Command;
use crate::retention::customer::{AckResult, Acknowledgement, Record};
use crate::retention::decide::{
    Circumstances, Farewell, Heard, Sending, Unlimited, acknowledge, hear, is_from_before, judge, see,
};
use crate::retention::gate::{Gate, KnownSince};
use crate::retention::policy::{FloorIndex, Mode, PolicyIndex, Rulebook};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

/// Something that a record told, at the instant at which it arrived.
#[derive(Clone, Debug, PartialEq)]
pub enum Arrival {
    Activity { customer: Rc<str>, kind: KindIndex, at: Timestamp },
    Claim { customer: Rc<str>, claim: Claim },
    Acknowledgement { customer: Rc<str>, acknowledgement: Acknowledgement },
}

impl Arrival {
    /// When what it tells happened; `None`: it is about a command.
    fn at(&self) -> Option<Timestamp> {
        match self {
            Arrival::Activity { at, .. } => Some(*at),
            Arrival::Claim { claim, .. } => Some(claim.at()),
            Arrival::Acknowledgement { .. } => None,
        }
    }

    fn customer(&self) -> &Rc<str> {
        match self {
            Arrival::Activity { customer, .. }
            | Arrival::Claim { customer, .. }
            | Arrival::Acknowledgement { customer, .. } => customer,
        }
    }
}

/// Who acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledging {
    /// Every command is done the moment it leaves.
    AtOnce,
    /// Only what arrives counts.
    FromInput,
}

/// A gate that always proves up to now.
struct OpenGate {
    known_since: KnownSinces,
}

/// From when on history is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownSinces {
    /// In the order of the rulebook's policies.
    pub policies: Vec<KnownSince>,
    /// In the order of the rulebook's floors.
    pub floors: Vec<KnownSince>,
}

impl KnownSinces {
    /// All history is known.
    pub fn beginning(rules: &Rulebook) -> KnownSinces {
        KnownSinces {
            policies: vec![KnownSince::Beginning; rules.policies.len()],
            floors: vec![KnownSince::Beginning; rules.floors.len()],
        }
    }
}

impl Gate for OpenGate {
    fn proven_up_to(&self, _policy: PolicyIndex, now: Timestamp) -> Option<Timestamp> {
        Some(now)
    }

    fn requests_proven_up_to(&self, now: Timestamp) -> Option<Timestamp> {
        Some(now)
    }

    fn known_since(&self, policy: PolicyIndex) -> KnownSince {
        self.known_since.policies[usize::from(policy.0)]
    }

    fn floor_known_since(&self, floor: FloorIndex) -> KnownSince {
        self.known_since.floors[usize::from(floor.0)]
    }
}

#[derive(Default)]
struct Customer {
    seen: Vec<LastSeen>,
    record: Record,
    wake: Option<Timestamp>,
}

/// A simulation: feed it what arrives in order, and take the commands.
pub struct Offline {
    rules: Rulebook,
    almanac: Almanac,
    gate: OpenGate,
    acknowledging: Acknowledging,
    customers: HashMap<Rc<str>, Customer>,
    /// Those whose record is gone. Its topics may be kept for ever, so these are.
    forgotten: HashMap<Rc<str>, Farewell>,
    wakes: BTreeSet<(Timestamp, Rc<str>)>,
    commands: Vec<(Rc<str>, Command)>,
}

impl Offline {
    pub fn new(mut rules: Rulebook, known_since: KnownSinces, acknowledging: Acknowledging) -> Offline {
        for policy in &mut rules.policies {
            policy.mode = Mode::Enforce;
        }
        Offline {
            almanac: Almanac::new(rules.zone),
            rules,
            gate: OpenGate { known_since },
            acknowledging,
            customers: HashMap::new(),
            forgotten: HashMap::new(),
            wakes: BTreeSet::new(),
            commands: Vec::new(),
        }
    }

    pub fn rules(&self) -> &Rulebook {
        &self.rules
    }

    /// Runs through `arrivals`, ordered by the millisecond of Unix time at which each arrives, up to but
    /// not including `until_ms`, and returns every command with its customer, ordered by time, customer,
    /// policy, target, recalls first.
    pub fn run(mut self, arrivals: impl IntoIterator<Item = (i64, Arrival)>, until_ms: i64) -> Vec<(Rc<str>, Command)> {
        let mut by_instant = BTreeMap::<i64, Vec<Arrival>>::new();
        for (arrives_ms, arrival) in arrivals {
            by_instant.entry(arrives_ms).or_default().push(arrival);
        }
        let until = Timestamp::from_millis_ceil(until_ms);
        for (arrives_ms, arrivals) in by_instant {
            if arrives_ms >= until_ms {
                break;
            }
            // A decision of this very instant waits for the records of it.
            self.decide_before(Timestamp::from_millis_ceil(arrives_ms));
            self.arrive(Timestamp::from_millis_floor(arrives_ms), arrivals);
        }
        self.decide_before(until);
        let Offline { rules, mut commands, .. } = self;
        commands.sort_by(|(customer, a), (other, b)| {
            let key = |command: &Command| {
                (command.policy.clone(), rules.target(command.target).key.clone(), command.verb.is_recall())
            };
            let (key_a, key_b) = (key(a), key(b));
            (a.time, customer, key_a.0, key_a.1, !key_a.2).cmp(&(b.time, other, key_b.0, key_b.1, !key_b.2))
        });
        commands
    }

    fn decide_before(&mut self, end: Timestamp) {
        while let Some((wake, customer)) = self.wakes.first().cloned() {
            if wake >= end {
                return;
            }
            self.judge(&customer, wake);
        }
    }

    fn arrive(&mut self, now: Timestamp, mut arrivals: Vec<Arrival>) {
        let mut touched = BTreeSet::new();
        // Of one instant what was done comes before what was said of it, so that no order matters.
        arrivals.sort_by_key(|arrival| match arrival {
            // Of each kind only the latest is remembered, so the earlier one is told first.
            Arrival::Activity { at, .. } => (0, *at),
            Arrival::Claim { claim: Claim::Consent { given: false, .. }, .. } => (2, Timestamp::MIN),
            Arrival::Claim { .. } | Arrival::Acknowledgement { .. } => (1, Timestamp::MIN),
        });
        for arrival in arrivals {
            let Some(arrival) = self.admit(arrival) else { continue };
            let Offline { rules, almanac, gate, customers, .. } = self;
            let Some(customer) = customers.get_mut(arrival.customer()) else { continue };
            let circumstances = circumstances(rules, almanac, gate, now);
            let Customer { seen, record, .. } = customer;
            match &arrival {
                Arrival::Activity { kind, at, .. } => {
                    let last = &mut seen[usize::from(kind.0)];
                    *last = last.merge(LastSeen::at(*at));
                    see(circumstances, seen, record, (*kind, *at));
                }
                Arrival::Claim { claim, .. } => {
                    hear(circumstances, seen, record, claim);
                }
                Arrival::Acknowledgement { acknowledgement, .. } => {
                    acknowledge(record, acknowledgement, Heard::at(now));
                }
            }
            touched.insert(arrival.customer().clone());
        }
        for customer in touched {
            self.judge(&customer, now);
        }
    }

    /// Makes room for who is new. What comes late, of somebody whose record is gone, makes nobody new.
    fn admit(&mut self, arrival: Arrival) -> Option<Arrival> {
        let name = arrival.customer();
        let forgotten = self.forgotten.get(name);
        if let (Some(farewell), Some(at)) = (forgotten, arrival.at())
            && is_from_before(&self.rules, farewell.end, at)
        {
            return None;
        }
        if !self.customers.contains_key(name) {
            // An answer alone makes nobody.
            arrival.at()?;
            let mut customer = Customer { seen: vec![LastSeen::NEVER; self.rules.kinds.len()], ..Customer::default() };
            if let Some(farewell) = forgotten {
                farewell.stand(&self.rules, &mut customer.record);
            }
            self.customers.insert(name.clone(), customer);
        }
        Some(arrival)
    }

    fn judge(&mut self, name: &Rc<str>, now: Timestamp) {
        let Some(customer) = self.customers.get_mut(name) else { return };
        if let Some(wake) = customer.wake.take() {
            self.wakes.remove(&(wake, name.clone()));
        }
        let circumstances = circumstances(&self.rules, &self.almanac, &self.gate, now);
        let mut sent = Vec::new();
        // What is acknowledged the moment it leaves may let the next command leave.
        let farewell = loop {
            let first_new = sent.len();
            let wake = judge(circumstances, name, &customer.seen, &mut customer.record, &mut sent);
            customer.wake = wake.at;
            if self.acknowledging == Acknowledging::FromInput || sent.len() == first_new {
                break wake.farewell;
            }
            for command in &sent[first_new..] {
                acknowledge(&mut customer.record, &done(&self.rules, command, now), Heard::at(now));
            }
        };
        if let Some(wake) = customer.wake {
            debug_assert!(wake > now, "a second judgement at one instant changes nothing: {:#?}", customer.record);
            self.wakes.insert((wake, name.clone()));
        }
        self.commands.extend(sent.into_iter().map(|command| (name.clone(), command)));
        if let Some(farewell) = farewell {
            self.customers.remove(name);
            self.forgotten.insert(name.clone(), farewell);
        }
    }
}

fn circumstances<'a>(
    rules: &'a Rulebook,
    almanac: &'a Almanac,
    gate: &'a OpenGate,
    now: Timestamp,
) -> Circumstances<'a> {
    Circumstances { rules, almanac, gate, allowance: &Unlimited, now, sending: Sending::All }
}

fn done(rules: &Rulebook, command: &Command, now: Timestamp) -> Acknowledgement {
    Acknowledgement {
        command: command.id,
        attempt: command.attempt,
        target: rules.target(command.target).key.clone(),
        result: AckResult::Done,
        time: now,
    }
}
