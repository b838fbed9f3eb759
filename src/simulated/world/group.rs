//! A consumer group: static members, cooperative rebalances in two generations, committed offsets.

use super::kafka::{Place, Topic};
use std::collections::{BTreeMap, BTreeSet};

/// Without a heartbeat for so long a member is put out.
pub const SESSION_MS: i64 = 45_000;

/// What the coordinator tells a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Assigned(Vec<Place>),
    Revoked(Vec<Place>),
}

#[derive(Debug)]
struct Member {
    /// Of this incarnation.
    id: u64,
    heard_ms: i64,
    subscribed: Vec<Topic>,
    /// What it reads, or has been told to give up and has not done so yet.
    owned: BTreeSet<Place>,
    giving_up: BTreeSet<Place>,
    told: Vec<Told>,
}

/// One group and its coordinator.
#[derive(Debug, Default)]
pub struct Group {
    generation: u64,
    next_id: u64,
    /// By the name of the static member.
    members: BTreeMap<String, Member>,
    /// Committed offsets with their metadata.
    pub offsets: BTreeMap<Place, (i64, String)>,
    counts: BTreeMap<Topic, u32>,
    is_unbalanced: bool,
}

impl Group {
    /// Joins under a static name; one who had it before is fenced, and its partitions are this one's.
    /// Returns the member's id.
    pub fn join(&mut self, name: &str, subscribed: &[Topic], now_ms: i64) -> u64 {
        self.next_id += 1;
        let id = self.next_id;
        let owned = self.members.remove(name).map(|member| member.owned).unwrap_or_default();
        let told = if owned.is_empty() { Vec::new() } else { vec![Told::Assigned(owned.iter().copied().collect())] };
        let subscribed = subscribed.to_vec();
        let member = Member { id, heard_ms: now_ms, subscribed, owned, giving_up: BTreeSet::new(), told };
        self.members.insert(name.to_owned(), member);
        self.is_unbalanced = true;
        id
    }

    /// Says goodbye.
    pub fn leave(&mut self, name: &str, id: u64) {
        if self.has(name, id) {
            self.members.remove(name);
            self.is_unbalanced = true;
        }
    }

    pub fn has(&self, name: &str, id: u64) -> bool {
        self.members.get(name).is_some_and(|member| member.id == id)
    }

    /// Whether another incarnation has taken the name.
    pub fn is_fenced(&self, name: &str, id: u64) -> bool {
        self.members.get(name).is_some_and(|member| member.id > id)
    }

    pub fn subscribe(&mut self, name: &str, subscribed: &[Topic]) {
        if let Some(member) = self.members.get_mut(name)
            && member.subscribed != subscribed
        {
            member.subscribed = subscribed.to_vec();
            self.is_unbalanced = true;
        }
    }

    pub fn heartbeat(&mut self, name: &str, id: u64, now_ms: i64) {
        if let Some(member) = self.members.get_mut(name).filter(|member| member.id == id) {
            member.heard_ms = now_ms;
        }
    }

    /// A heartbeat of whoever has the name.
    pub fn beat(&mut self, name: &str, now_ms: i64) {
        if let Some(member) = self.members.get_mut(name) {
            member.heard_ms = now_ms;
        }
    }

    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether a member's id and generation are those in force.
    pub fn is_current(&self, (id, generation): (u64, u64)) -> bool {
        generation == self.generation && self.members.values().any(|member| member.id == id)
    }

    /// What a member has not been told yet. What it is told to give up counts as given up.
    pub fn tell(&mut self, name: &str, id: u64) -> Vec<Told> {
        let Some(member) = self.members.get_mut(name).filter(|member| member.id == id) else { return Vec::new() };
        let told = std::mem::take(&mut member.told);
        if !member.giving_up.is_empty() {
            let giving_up = std::mem::take(&mut member.giving_up);
            member.owned.retain(|place| !giving_up.contains(place));
            self.is_unbalanced = true;
        }
        told
    }

    /// Puts out whoever is silent, and rebalances if there is reason. `counts` says how many partitions
    /// topics have.
    pub fn pass(&mut self, now_ms: i64, counts: impl Fn(Topic) -> u32) {
        let before = self.members.len();
        self.members.retain(|_, member| now_ms - member.heard_ms <= SESSION_MS);
        let topics: BTreeSet<Topic> =
            self.members.values().flat_map(|member| member.subscribed.iter().copied()).collect();
        let counts: BTreeMap<Topic, u32> = topics.into_iter().map(|topic| (topic, counts(topic))).collect();
        if self.members.len() != before || counts != self.counts || self.is_unbalanced {
            self.counts = counts;
            self.rebalance();
        }
    }

    /// One generation: members are told to give up what is not theirs any more; what nobody reads is
    /// handed out.
    fn rebalance(&mut self) {
        self.is_unbalanced = false;
        self.generation += 1;
        let places = self.counts.iter().flat_map(|(topic, count)| (0..*count).map(|number| (*topic, number)));
        let places: Vec<Place> = places.collect();
        for (place, name) in self.target(&places) {
            let owner = self.members.iter().find(|(_, member)| member.owned.contains(&place));
            match owner.map(|(owner, _)| owner.clone()) {
                Some(owner) if owner == name => {}
                Some(owner) => self.ask_back(&owner, place),
                None => self.hand_out(&name, place),
            }
        }
        let is_read = |place: &Place| places.contains(place);
        let names: Vec<String> = self.members.keys().cloned().collect();
        for name in names {
            let unread: Vec<Place> =
                self.members[&name].owned.iter().copied().filter(|place| !is_read(place)).collect();
            unread.into_iter().for_each(|place| self.ask_back(&name, place));
        }
    }

    /// Who shall read what: whoever reads it, up to a fair share.
    fn target(&self, places: &[Place]) -> BTreeMap<Place, String> {
        let mut target = BTreeMap::new();
        let mut load: BTreeMap<&String, usize> = self.members.keys().map(|name| (name, 0)).collect();
        let share = places.len().div_ceil(self.members.len().max(1));
        let reads = |name: &String, place: &Place| self.members[name].subscribed.contains(&place.0);
        for place in places {
            let owner = self.members.iter().find(|(_, member)| member.owned.contains(place));
            if let Some((owner, _)) = owner
                && load[owner] < share
                && reads(owner, place)
            {
                *load.entry(owner).or_default() += 1;
                target.insert(*place, owner.clone());
            }
        }
        for place in places {
            if target.contains_key(place) {
                continue;
            }
            let least = load.iter().filter(|(name, _)| reads(name, place)).min_by_key(|(_, load)| **load);
            if let Some((name, _)) = least {
                let name = *name;
                *load.entry(name).or_default() += 1;
                target.insert(*place, name.clone());
            }
        }
        target
    }

    fn ask_back(&mut self, owner: &str, place: Place) {
        let Some(member) = self.members.get_mut(owner) else { return };
        if member.giving_up.insert(place) {
            match member.told.last_mut() {
                Some(Told::Revoked(places)) => places.push(place),
                _ => member.told.push(Told::Revoked(vec![place])),
            }
        }
    }

    fn hand_out(&mut self, name: &str, place: Place) {
        let Some(member) = self.members.get_mut(name) else { return };
        member.owned.insert(place);
        match member.told.last_mut() {
            Some(Told::Assigned(places)) => places.push(place),
            _ => member.told.push(Told::Assigned(vec![place])),
        }
    }

    /// Commits on behalf of a membership; `false`: it is over.
    pub fn commit(&mut self, membership: (u64, u64), offsets: Vec<(Place, i64, String)>) -> bool {
        let is_current = self.is_current(membership);
        if is_current {
            self.offsets.extend(offsets.into_iter().map(|(place, offset, metadata)| (place, (offset, metadata))));
        }
        is_current
    }
}
