//! The names that parts of a file know each other by. They are taken from the raw tree, so that one
//! mistake in a source, target or policy is not told again wherever it is named.

use super::rule::YIELDS;
use crate::config::reader::{is_name, suggestion};
use crate::config::tree::{Key, Node};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
pub(super) struct Names<'n> {
    /// Keys, ordered.
    pub targets: Vec<&'n str>,
    /// Topics of targets, and whose they are.
    pub command_topics: BTreeMap<&'n str, &'n str>,
    /// Keys.
    pub policies: BTreeSet<&'n str>,
    /// Categories that have a floor.
    pub floors: BTreeSet<&'n str>,
    pub kinds: Yielded<'n>,
    pub consents: Yielded<'n>,
    pub attributes: Yielded<'n>,
    /// Kinds that policies and floors count.
    pub counted: BTreeSet<&'n str>,
    /// Consents that policies rest on.
    pub consents_read: BTreeSet<&'n str>,
    /// Attributes that policies look at.
    pub attributes_read: BTreeSet<&'n str>,
}

/// Names of one sort that rules yield.
#[derive(Default)]
pub(super) struct Yielded<'n> {
    pub all: BTreeSet<&'n str>,
    /// Those among them that a source yields which is still read.
    pub live: BTreeSet<&'n str>,
    /// A rule is so wrong that nobody knows what it yields.
    is_incomplete: bool,
}

impl<'n> Names<'n> {
    pub fn of(root: &'n Node) -> Names<'n> {
        let mut names = Names::default();
        for (key, target) in entries(root, "targets") {
            names.targets.push(&key.name);
            if let Some(topic) = target.member("topic").and_then(Node::as_text) {
                names.command_topics.insert(topic, &key.name);
            }
        }
        names.targets.sort_unstable();
        for (_, source) in entries(root, "sources") {
            names.take_source(source);
        }
        for (key, policy) in entries(root, "policies") {
            names.policies.insert(&key.name);
            names.take_counted(policy);
            names.consents_read.extend(policy.member("consent").and_then(Node::as_text));
            let attributes = policy.member("applies_to").map(Node::entries).unwrap_or_default();
            names.attributes_read.extend(attributes.iter().map(|(name, _)| name.name.as_str()));
        }
        for (category, floor) in entries(root, "floors") {
            names.floors.insert(&category.name);
            names.take_counted(floor);
        }
        names
    }

    fn take_counted(&mut self, of: &'n Node) {
        let kinds = of.member("since_last").map(Node::elements).unwrap_or_default();
        self.counted.extend(kinds.iter().filter_map(Node::as_text));
    }

    fn take_source(&mut self, source: &'n Node) {
        let is_live = source.member("retired").and_then(Node::as_text) != Some("true");
        let rules = source.member("rules").map(Node::elements).unwrap_or_default();
        let mut is_understood = !rules.is_empty();
        for rule in rules {
            is_understood &= YIELDS.iter().any(|key| rule.member(key).is_some());
            if let Some(kind) = rule.member("activity") {
                is_understood &= self.kinds.take(kind.as_text(), is_live);
            }
            for (key, yielded) in [("consent", &mut self.consents), ("attribute", &mut self.attributes)] {
                let Some(map) = rule.member(key) else { continue };
                is_understood &= !map.entries().is_empty();
                for (name, _) in map.entries() {
                    is_understood &= yielded.take(Some(&name.name), is_live);
                }
            }
        }
        for yielded in [&mut self.kinds, &mut self.consents, &mut self.attributes] {
            yielded.is_incomplete |= !is_understood;
        }
    }
}

impl<'n> Yielded<'n> {
    /// Whether it is a name at all.
    fn take(&mut self, name: Option<&'n str>, is_live: bool) -> bool {
        let Some(name) = name.filter(|name| is_name(name)) else { return false };
        self.all.insert(name);
        if is_live {
            self.live.insert(name);
        }
        true
    }

    /// `None`: a source yields it, or may; else whether another name is near.
    pub fn lacks(&self, name: &str) -> Option<String> {
        if self.all.contains(name) {
            return None;
        }
        let near = suggestion(name, self.all.iter().copied());
        (!near.is_empty() || !self.is_incomplete).then_some(near)
    }
}

fn entries<'n>(root: &'n Node, name: &str) -> &'n [(Key, Node)] {
    root.member(name).map(Node::entries).unwrap_or_default()
}
