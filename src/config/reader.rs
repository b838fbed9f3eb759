//! Reads a tree's values and remembers what is wrong with them, so that all errors are told at once.

use super::tree::{Key, Node, Place, Value};
use crate::retention::calendar::{Period, Seconds};
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

/// Something wrong, or worth a second look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `None`: of the whole configuration, not of one place.
    pub place: Option<Place>,
    /// The key it concerns, from the top: `sources.web.max_silence`.
    pub path: String,
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{} ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// Collects problems.
#[derive(Clone, Default)]
pub struct Problems {
    pub errors: Rc<RefCell<Vec<Problem>>>,
    pub warnings: Rc<RefCell<Vec<Problem>>>,
}

impl Problems {
    pub fn error(&self, place: &Place, path: &str, message: impl Into<String>) {
        let problem = Problem { place: Some(place.clone()), path: path.to_owned(), message: message.into() };
        self.errors.borrow_mut().push(problem);
    }

    pub fn warning(&self, place: &Place, path: &str, message: impl Into<String>) {
        let problem = Problem { place: Some(place.clone()), path: path.to_owned(), message: message.into() };
        self.warnings.borrow_mut().push(problem);
    }
}

/// A value and the path to it.
#[derive(Clone)]
pub struct At<'n> {
    pub node: &'n Node,
    pub path: String,
    pub problems: Problems,
}

/// A map being read key by key; what nobody asks for is unknown.
pub struct MapReader<'n> {
    at: At<'n>,
    entries: &'n [(Key, Node)],
    known: Vec<&'static str>,
}

impl<'n> At<'n> {
    pub fn error(&self, message: impl Into<String>) {
        self.problems.error(&self.node.place, &self.path, message);
    }

    pub fn warning(&self, message: impl Into<String>) {
        self.problems.warning(&self.node.place, &self.path, message);
    }

    fn child(&self, name: &str, node: &'n Node) -> At<'n> {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        At { node, path, problems: self.problems.clone() }
    }

    pub fn map(&self) -> Option<MapReader<'n>> {
        match &self.node.value {
            Value::Map(entries) => Some(MapReader { at: self.clone(), entries, known: Vec::new() }),
            _ => {
                self.error(format!("must be a map, and is {}", self.node.kind()));
                None
            }
        }
    }

    /// The entries of a map whose keys are names of the user's choice.
    pub fn named(&self) -> Vec<(&'n Key, At<'n>)> {
        match &self.node.value {
            Value::Map(entries) => entries.iter().map(|(key, node)| (key, self.child(&key.name, node))).collect(),
            _ => {
                self.error(format!("must be a map, and is {}", self.node.kind()));
                Vec::new()
            }
        }
    }

    pub fn list(&self) -> Vec<At<'n>> {
        match &self.node.value {
            Value::List(list) => {
                list.iter().enumerate().map(|(place, node)| self.child(&place.to_string(), node)).collect()
            }
            _ => {
                self.error(format!("must be a list, and is {}", self.node.kind()));
                Vec::new()
            }
        }
    }

    /// A list, or one value that stands for a list of one.
    pub fn list_or_one(&self) -> Vec<At<'n>> {
        match &self.node.value {
            Value::List(_) => self.list(),
            _ => vec![self.clone()],
        }
    }

    pub fn text(&self) -> Option<&'n str> {
        match &self.node.value {
            Value::Scalar { text, .. } if !self.node.is_null() => Some(text),
            _ => {
                self.error(format!("must be text, and is {}", self.node.kind()));
                None
            }
        }
    }

    pub fn boolean(&self) -> Option<bool> {
        match &self.node.value {
            Value::Scalar { text, plain: true } if text == "true" => Some(true),
            Value::Scalar { text, plain: true } if text == "false" => Some(false),
            _ => {
                self.error("must be true or false");
                None
            }
        }
    }

    pub fn whole_number(&self, from: u32, to: u32) -> Option<u32> {
        let number = match &self.node.value {
            Value::Scalar { text, .. } => text.parse().ok().filter(|number| (from..=to).contains(number)),
            _ => None,
        };
        if number.is_none() {
            self.error(format!("must be a whole number from {from} to {to}"));
        }
        number
    }

    pub fn period(&self) -> Option<Period> {
        let text = self.text()?;
        Period::parse(text).map_err(|error| self.error(format!("is '{text}', which {error}"))).ok()
    }

    pub fn duration(&self) -> Option<Seconds> {
        let text = self.text()?;
        Seconds::parse(text).map_err(|error| self.error(format!("is '{text}', which {error}"))).ok()
    }

    /// One of several words.
    pub fn word<T: Copy>(&self, words: &[(&'static str, T)]) -> Option<T> {
        let text = self.text()?;
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            let near = suggestion(text, names.iter().copied());
            self.error(format!("is '{text}', and must be one of {}{near}", names.join(", ")));
        }
        found.map(|(_, value)| *value)
    }
}

impl<'n> MapReader<'n> {
    pub fn at(&self) -> &At<'n> {
        &self.at
    }

    pub fn get(&mut self, name: &'static str) -> Option<At<'n>> {
        self.known.push(name);
        let (_, node) = self.entries.iter().find(|(key, _)| key.name == name)?;
        Some(self.at.child(name, node))
    }

    pub fn need(&mut self, name: &'static str, what: &str) -> Option<At<'n>> {
        let found = self.get(name);
        if found.is_none() {
            self.at.error(format!("needs '{name}': {what}"));
        }
        found
    }

    /// Refuses keys whose behaviour does not exist yet.
    pub fn not_supported_yet(&mut self, names: &[&'static str]) {
        for (key, _) in self.entries {
            if let Some(name) = names.iter().find(|name| **name == key.name) {
                let path = self.at.child(name, self.at.node).path;
                let message = "is not supported yet by this version; remove it";
                self.at.problems.error(&key.place, &path, message);
            }
        }
        self.known.extend_from_slice(names);
    }

    /// Every key that nobody asked for is an error.
    pub fn finish(self) {
        for (key, _) in self.entries {
            if self.known.iter().any(|known| *known == key.name) {
                continue;
            }
            let path = self.at.child(&key.name, self.at.node).path;
            let near = suggestion(&key.name, self.known.iter().copied());
            let keys = if near.is_empty() { format!("; known here: {}", self.known.join(", ")) } else { near };
            self.at.problems.error(&key.place, &path, format!("is not a known key{keys}"));
        }
    }
}

/// `; did you mean 'login'?`, or nothing where no name is near.
pub fn suggestion<'a>(text: &str, names: impl Iterator<Item = &'a str>) -> String {
    let nearest = names.map(|name| (distance(text, name), name)).min();
    match nearest {
        Some((distance, name)) if distance <= name.len().max(3) / 3 => format!("; did you mean '{name}'?"),
        _ => String::new(),
    }
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().take(64).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
